"""Orders: our routed messages to the venue's requests, its answers and pushes to our messages.

The venue's words, codes and decimals for orders stand here (and, as types, in wire.py) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gateways.sim.decimals import NotExact, decimal_pair, decimal_text, mantissa
from gateways.sim.mapping import NS_PER_MS, Listing
from gateways.sim.wire import (
    BadFrame,
    BalanceRow,
    EquityRow,
    ErrorBody,
    OrderRow,
    OrderTradeUpdate,
    PositionRow,
    RateLimitRow,
    TradeRow,
)
from journal.messages import (
    NULL,
    Channel,
    CxlRejResponseTo,
    DeadManAction,
    ExecInst,
    ExecType,
    FundsConfirmed,
    LiquidityIndicator,
    MarginConfirmed,
    OrdStatus,
    OrdType,
    PositionConfirmed,
    PositionSide,
    QuantityType,
    QuoteStatus,
    RateLimit,
    RateLimitType,
    RateLimitUsage,
    Reason,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuote,
    RoutedReplace,
    Side,
    StpMode,
    TimeInForce,
    Trigger,
    VenueCancelReject,
    VenueErrorCode,
    VenueFill,
    VenueMassCancelReport,
    VenueOrderUpdate,
    VenueQuoteUpdate,
)
from journal.messages.client_ids import TERMS

SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
TYPES = {"LIMIT": OrdType.LIMIT, "MARKET": OrdType.MARKET, "STOP_MARKET": OrdType.STOP, "STOP_LIMIT": OrdType.STOP_LIMIT}
STOPS: dict[int, int] = {OrdType.STOP: OrdType.MARKET, OrdType.STOP_LIMIT: OrdType.LIMIT}
TIFS = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK, "GTX": TimeInForce.GTC}
STATUSES = {
    "NEW": OrdStatus.NEW,
    "UNTRIGGERED": OrdStatus.SUSPENDED,
    "PARTIALLY_FILLED": OrdStatus.PARTIALLY_FILLED,
    "FILLED": OrdStatus.FILLED,
    "CANCELED": OrdStatus.CANCELED,
    "EXPIRED": OrdStatus.EXPIRED,
}
EXECS = {
    "NEW": ExecType.NEW,
    "TRIGGERED": ExecType.TRIGGERED,
    "CANCELED": ExecType.CANCELED,
    "EXPIRED": ExecType.EXPIRED,
    "AMENDMENT": ExecType.REPLACED,
    "TRADE": ExecType.TRADE,
}
OPEN_STATUSES = ("NEW", "PARTIALLY_FILLED", "UNTRIGGERED")
# Why an order ended, in the venue's word.
END_REASONS = {
    "NONE": Reason.UNDEFINED,
    "CANCEL_REQUEST": Reason.USER_REQUEST,
    "AMEND_BELOW_FILLED": Reason.REPLACE_BELOW_CUM,
    "AMEND_WOULD_TAKE": Reason.POST_ONLY_WOULD_TAKE,
    "IOC_REMAINDER": Reason.NOT_FILLED_IMMEDIATELY,
    "FOK_NOT_FILLED": Reason.NOT_FILLED_IMMEDIATELY,
    "NO_LIQUIDITY": Reason.NOT_FILLED_IMMEDIATELY,
    "SELF_TRADE": Reason.SELF_TRADE_PREVENTED,
    "DEAD_MAN": Reason.DEAD_MAN_FIRED,
    "HALT": Reason.HALT_CANCEL,
    "CANCEL_ON_DISCONNECT": Reason.CANCEL_ON_DISCONNECT,
}
_ABSENT = ("stop_px", "display_qty", "min_qty", "trail_offset", "peg_offset", "leverage")
_UNSET = ("trigger", "trigger_direction", "trail_type", "peg_type", "expire_ts", "position_effect", "margin_mode")
_ONLY: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(_ABSENT, (NULL,)),
    **dict.fromkeys(_UNSET, (0,)),
    "quantity_type": (QuantityType.UNDEFINED, QuantityType.UNITS),
    "stp_mode": (StpMode.UNDEFINED, StpMode.CANCEL_TAKER),
}
"""Terms for which the venue has no words: the only values that can be sent. It always cancels the taker of a self-trade."""
_ONLY_OF_STOPS = {name: plain for name, plain in _ONLY.items() if name != "stop_px"} | {
    "trigger": (Trigger.UNDEFINED, Trigger.LAST)
}
"""The same of stops: it triggers by its last trade."""
RATE_LIMIT_TYPES = {
    "ORDERS": RateLimitType.CREATE_AND_MODIFY_ORDER, "REQUEST_WEIGHT": RateLimitType.REQUEST_WEIGHT,
    "RAW_REQUESTS": RateLimitType.REQUEST,
}  # fmt: skip
_SECOND_NS = 1_000_000_000
INTERVALS_NS = {"SECOND": _SECOND_NS, "MINUTE": 60 * _SECOND_NS, "HOUR": 3600 * _SECOND_NS, "DAY": 86_400 * _SECOND_NS}
NEVER_EXISTED, WRONG_KEY = -2013, -2015
CLIENT_ID_MAX = TERMS["sim"].length_max
# Why a request was refused, by the venue's number.
REASONS = {
    -1003: Reason.RATE_LIMIT,
    -1008: Reason.BUSY,
    -1020: Reason.UNSUPPORTED_AT_VENUE,
    -1102: Reason.UNSUPPORTED_AT_VENUE,
    -1104: Reason.UNSUPPORTED_AT_VENUE,
    -1111: Reason.QUANTITY_REFUSED,
    -1115: Reason.UNSUPPORTED_AT_VENUE,
    -1116: Reason.UNSUPPORTED_AT_VENUE,
    -1117: Reason.UNSUPPORTED_AT_VENUE,
    -1121: Reason.UNKNOWN_SYMBOL,
    -1135: Reason.UNSUPPORTED_AT_VENUE,
    -2010: Reason.VENUE_OTHER,
    -2011: Reason.UNKNOWN_AT_VENUE,
    -2013: Reason.UNKNOWN_AT_VENUE,
    -2015: Reason.PERMISSION,  # of a key that has logged on
    -2018: Reason.FUNDS_AT_VENUE,
    -2019: Reason.MARGIN_AT_VENUE,
    -2022: Reason.REDUCE_ONLY_AT_VENUE,
    -2025: Reason.OPEN_ORDER_LIMIT,
    -2027: Reason.POSITION_LIMIT_AT_VENUE,
    -4002: Reason.PRICE_REFUSED,
    -4003: Reason.QUANTITY_REFUSED,
    -4005: Reason.ORDER_EXCEEDS_LIMIT,
    -4006: Reason.TRIGGER_REJECTED,
    -4013: Reason.PRICE_REFUSED,
    -4014: Reason.PRICE_REFUSED,
    -4015: Reason.UNSUPPORTED_AT_VENUE,
    -4016: Reason.PRICE_BAND,
    -4023: Reason.QUANTITY_REFUSED,
    -4024: Reason.PRICE_BAND,
    -4116: Reason.DUPLICATE_AT_VENUE,
    -4140: Reason.CLOSED,
    -5022: Reason.POST_ONLY_WOULD_TAKE,
    -5027: Reason.REPLACE_HAS_NO_EFFECT,
}


class Unsendable(Exception):
    """An order that this venue has no words for. Carries the reason of the SendRefused."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


def request(request_id: str, method: str, params: dict[str, Any] | None = None) -> bytes:
    """One request as bytes."""
    return msgspec.json.encode({"id": request_id, "method": method, "params": params or {}})


def post_only(m: RoutedOrder) -> bool:
    """Whether it may not take."""
    return bool(m.exec_inst & ExecInst.PARTICIPATE_DO_NOT_INITIATE)


def place_params(m: RoutedOrder, listing: Listing, client_id: str) -> dict[str, Any]:
    """Parameters of order.place; Unsendable where the venue has no such order."""
    if m.side not in (Side.BUY, Side.SELL):
        raise Unsendable(Reason.INVALID_SIDE)
    stop = m.ord_type in STOPS
    if any(getattr(m, name) not in plain for name, plain in (_ONLY_OF_STOPS if stop else _ONLY).items()):
        raise Unsendable(Reason.NOT_SUPPORTED_BY_VENUE)
    if stop and (m.stop_px <= 0 or post_only(m)):
        raise Unsendable(Reason.INVALID_EXEC_INST if post_only(m) else Reason.INVALID_STOP_OR_TRIGGER)
    if m.exec_inst & ~(ExecInst.PARTICIPATE_DO_NOT_INITIATE | ExecInst.DO_NOT_INCREASE):
        raise Unsendable(Reason.INVALID_EXEC_INST)
    if m.order_qty <= 0:
        raise Unsendable(Reason.INVALID_QUANTITY)
    params: dict[str, Any] = {
        "symbol": listing.symbol,
        "side": "BUY" if m.side == Side.BUY else "SELL",
        "quantity": decimal_text(m.order_qty, listing.qty_exp),
        "newClientOrderId": client_id,
    }
    if STOPS.get(m.ord_type, m.ord_type) == OrdType.LIMIT:
        if m.tif not in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK):
            raise Unsendable(Reason.INVALID_TIME_IN_FORCE)
        if post_only(m) and m.tif != TimeInForce.GTC:
            raise Unsendable(Reason.INVALID_EXEC_INST)
        if m.price_px <= 0:
            raise Unsendable(Reason.INVALID_PRICE)
        tif = "GTX" if post_only(m) else TimeInForce(m.tif).name
        params |= {"type": "LIMIT", "timeInForce": tif, "price": decimal_text(m.price_px, listing.px_exp)}
    elif STOPS.get(m.ord_type, m.ord_type) == OrdType.MARKET:
        if post_only(m):
            raise Unsendable(Reason.INVALID_EXEC_INST)
        params["type"] = "MARKET"
    else:
        raise Unsendable(Reason.INVALID_ORD_TYPE)
    if stop:
        word = next(word for word, t in TYPES.items() if t == m.ord_type)
        params |= {"type": word, "stopPrice": decimal_text(m.stop_px, listing.px_exp)}
    if m.exec_inst & ExecInst.DO_NOT_INCREASE:
        params["reduceOnly"] = True
    return params


def quote_params(sides: list[tuple[RoutedOrder, Listing, str]]) -> dict[str, Any]:
    """Parameters of quotes.place: each side with its client id; Unsendable where the venue has no such order."""
    if any(len(client_id) > CLIENT_ID_MAX for _, _, client_id in sides):
        raise Unsendable(Reason.NOT_SUPPORTED_BY_VENUE)  # of a scheme that leaves no room for the part
    return {"quotes": [place_params(m, listing, client_id) for m, listing, client_id in sides]}


def modify_params(m: RoutedReplace, listing: Listing, orig_id: str, client_id: str) -> dict[str, Any]:
    """Parameters of order.modify; both terms are always given."""
    if m.display_qty != NULL or m.expire_ts:
        raise Unsendable(Reason.REPLACE_NOT_ALLOWED)
    if m.order_qty <= 0:
        raise Unsendable(Reason.INVALID_QUANTITY)
    stop_market = m.stop_px != NULL and m.price_px == NULL
    if not stop_market and m.price_px <= 0:
        raise Unsendable(Reason.INVALID_PRICE)
    if m.stop_px != NULL and m.stop_px <= 0:
        raise Unsendable(Reason.INVALID_STOP_OR_TRIGGER)
    params = {
        "symbol": listing.symbol,
        "origClientOrderId": orig_id,
        "newClientOrderId": client_id,
        "quantity": decimal_text(m.order_qty, listing.qty_exp),
    }
    if not stop_market:
        params["price"] = decimal_text(m.price_px, listing.px_exp)
    if m.stop_px != NULL:
        params["stopPrice"] = decimal_text(m.stop_px, listing.px_exp)
    return params


class Known(msgspec.Struct, frozen=True):
    """What a client id of the venue stands for here; zeros for an order of another session."""

    request_seq: int = 0
    order_id: int = 0
    account: int = 0


def _word(table: dict[str, Any], word: str, what: str) -> Any:
    if word not in table:
        raise BadFrame(VenueErrorCode.UNKNOWN_ENUM, f"{what} {word[:64]}", f"{what} {word[:64]!r} is unknown")
    return table[word]


def push_update(push: OrderTradeUpdate, listing: Listing, known: Known) -> VenueOrderUpdate:
    """What a push says about an order, anything but a fill."""
    o = push.o
    return _update(
        known, listing, channel=Channel.ORDER_STREAM,
        exec_type=ExecType.SUSPENDED if (o.x, o.X) == ("NEW", "UNTRIGGERED") else _word(EXECS, o.x, "execution type"),
        status=o.X, side=o.S, order_type=o.o, tif=o.f, qty=o.q, px=o.p, stop=o.sp, cum=o.z, ts=push.T or push.E, sending=push.E,
        seq=o.v, ref=o.i, client=o.C or o.c, end=o.r,
    )  # fmt: skip


def status_update(row: OrderRow, listing: Listing, known: Known, *, exec_type: ExecType, channel: Channel) -> VenueOrderUpdate:
    """What the answer to a question says about an order."""
    return _update(
        known, listing, channel=channel, exec_type=exec_type, status=row.status, side=row.side, order_type=row.type,
        tif=row.time_in_force, qty=row.orig_qty, px=row.price, stop=row.stop_price, cum=row.executed_qty,
        ts=row.update_time, sending=0, seq=0, ref=row.order_id, client=row.orig_client_order_id or row.client_order_id,
        end=row.end_reason,
    )  # fmt: skip


def _update(
    known: Known, listing: Listing, *, channel: Channel, exec_type: ExecType, status: str, side: str, order_type: str,
    tif: str, qty: str, px: str, stop: str, cum: str, ts: int, sending: int, seq: int, ref: int, client: str,
    end: str,
) -> VenueOrderUpdate:  # fmt: skip
    try:
        order_qty, cum_qty = mantissa(qty, listing.qty_exp), mantissa(cum, listing.qty_exp)
        price, stop_px = mantissa(px, listing.px_exp), mantissa(stop, listing.px_exp)
    except NotExact as error:
        raise BadFrame(VenueErrorCode.UNPARSED, "order numbers", f"order {client[:64]!r}: {error}") from None
    return VenueOrderUpdate(
        request_seq=known.request_seq, order_id=known.order_id, account=known.account, instrument=listing.instrument,
        order_qty=order_qty, price_px=price or NULL, stop_px=stop_px or NULL, cum_qty=cum_qty,
        leaves_qty=max(order_qty - cum_qty, 0) if status in OPEN_STATUSES else 0,
        exchange_ts=ts * NS_PER_MS, sending_ts=sending * NS_PER_MS, exchange_seq=seq, channel=channel, exec_type=exec_type,
        ord_status=_word(STATUSES, status, "order status"), side=_word(SIDES, side, "side"),
        ord_type=TYPES.get(order_type, OrdType.UNDEFINED), tif=TIFS.get(tif, TimeInForce.UNDEFINED),
        exec_inst=int(ExecInst.PARTICIPATE_DO_NOT_INITIATE) if tif == "GTX" else 0,
        reason=END_REASONS.get(end, Reason.VENUE_OTHER), venue_order_ref=str(ref), client_ref=client[:64],
        text="" if end in END_REASONS else end[:500],
    )  # fmt: skip


def push_fill(push: OrderTradeUpdate, listing: Listing, known: Known, currencies: dict[str, int]) -> VenueFill:
    """The fill in a push of execution type TRADE."""
    o = push.o
    return _fill(
        known, listing, currencies, channel=Channel.ORDER_STREAM, side=o.S, qty=o.l, px=o.L, fee=o.n, asset=o.N or "",
        maker=o.m, ts=push.T or push.E, trade=o.t, seq=o.v, order=o.i, client=o.C or o.c,
    )  # fmt: skip


def downloaded_fill(row: TradeRow, listing: Listing, known: Known, currencies: dict[str, int]) -> VenueFill:
    """A fill from the venue's list of trades: one that happened while nobody listened."""
    return _fill(
        known, listing, currencies, channel=Channel.DOWNLOAD, side=row.side, qty=row.qty, px=row.price, fee=row.commission,
        asset=row.commission_asset, maker=row.maker, ts=row.time, trade=row.id, seq=0, order=row.order_id,
        client=row.client_order_id,
    )  # fmt: skip


def _fill(
    known: Known, listing: Listing, currencies: dict[str, int], *, channel: Channel, side: str, qty: str, px: str, fee: str,
    asset: str, maker: bool, ts: int, trade: int, seq: int, order: int, client: str,
) -> VenueFill:  # fmt: skip
    try:
        last_qty, last_px = mantissa(qty, listing.qty_exp), mantissa(px, listing.px_exp)
        fee_mantissa, fee_exp = decimal_pair(fee)
        if last_qty <= 0 or last_px <= 0 or trade == 0:
            raise NotExact(f"trade {trade}: {qty!r} at {px!r}: expected a trade id, quantity and price above zero")
    except NotExact as error:
        raise BadFrame(VenueErrorCode.UNPARSED, "fill numbers", f"fill of {client[:64]!r}: {error}") from None
    return VenueFill(
        request_seq=known.request_seq, order_id=known.order_id, account=known.account, instrument=listing.instrument,
        last_qty=last_qty, last_px=last_px, fee=fee_mantissa, fee_exp=fee_exp, fee_currency=currencies.get(asset, 0),
        exchange_ts=ts * NS_PER_MS, exchange_seq=seq, trade_no=trade, channel=channel, side=_word(SIDES, side, "side"),
        liquidity=LiquidityIndicator.MAKER if maker else LiquidityIndicator.TAKER,
        venue_trade_ref=str(trade), venue_order_ref=str(order), client_ref=client[:64],
    )  # fmt: skip


def position_confirmed(row: PositionRow, listing: Listing, account: int, now_ns: int) -> PositionConfirmed:
    """The venue's word on a position."""
    try:
        qty = mantissa(row.position_amt, listing.qty_exp)
    except NotExact as error:
        raise BadFrame(VenueErrorCode.UNPARSED, "position numbers", f"position of {row.symbol[:64]!r}: {error}") from None
    return PositionConfirmed(
        account=account, instrument=listing.instrument, position_side=PositionSide.NET, long_qty=max(qty, 0),
        short_qty=max(-qty, 0), exchange_ts=now_ns,
    )  # fmt: skip


def funds_confirmed(row: BalanceRow, currency: int, account: int, now_ns: int) -> FundsConfirmed:
    """The venue's word on a balance."""
    try:
        balance, exp = decimal_pair(row.balance)
    except NotExact as error:
        raise BadFrame(VenueErrorCode.UNPARSED, "balance numbers", f"balance of {row.asset[:64]!r}: {error}") from None
    return FundsConfirmed(account=account, currency=currency, balance=balance, exp=exp, exchange_ts=now_ns)


def margin_confirmed(row: EquityRow, currency: int, account: int, now_ns: int) -> MarginConfirmed:
    """The venue's word on what the account is worth. It names no rates: what margin takes, it does not say."""
    try:
        equity, exp = decimal_pair(row.equity)
    except NotExact as error:
        raise BadFrame(VenueErrorCode.UNPARSED, "equity numbers", f"equity of {row.asset[:64]!r}: {error}") from None
    return MarginConfirmed(account=account, currency=currency, equity=equity, exp=exp, exchange_ts=now_ns)


def reason_of(error: ErrorBody) -> Reason:
    """Our reason for the venue's number; an unlisted one is VENUE_OTHER, its number stays in `venue_code`."""
    return REASONS.get(error.code, Reason.VENUE_OTHER)


def logon_reason(error: ErrorBody) -> Reason:
    """The same of a logon: there the key itself is refused."""
    return Reason.AUTHENTICATION if error.code == WRONG_KEY else reason_of(error)


def quote_updates(m: RoutedQuote, seq: int, refs: dict[str, int], errors: dict[str, ErrorBody]) -> Iterator[VenueQuoteUpdate]:
    """How each entry of a quote is at the venue: `refs` by part of what is in, `errors` of what is not."""
    for at, e in enumerate(m.entries):
        bid, ask = f"{at}B", f"{at}A"
        error = errors.get(bid) or errors.get(ask)
        if bid in refs or ask in refs:
            status = QuoteStatus.ACCEPTED
        elif error is not None:
            status = QuoteStatus.REJECTED
        else:
            continue  # neither of its sides went
        yield VenueQuoteUpdate(
            request_seq=seq, quote_id=m.quote_id, entry=e.entry, account=m.account, instrument=e.instrument, set=e.set,
            reason=reason_of(error) if error is not None else 0, quote_status=status,
            bid_order_ref=str(refs[bid]) if bid in refs else "", ask_order_ref=str(refs[ask]) if ask in refs else "",
        )  # fmt: skip


def dead_man_params(m: RoutedDeadMan) -> dict[str, Any]:
    """Parameters of account.countdownCancelAll: whole milliseconds, never none while it is armed."""
    off = m.action == DeadManAction.DISARM
    return {"countdownTime": 0 if off else max(m.timeout_ns // NS_PER_MS, 1)}


def mass_canceled(m: RoutedCancelAll, seq: int, affected: int, reason: Reason) -> VenueMassCancelReport:
    """What came of a cancel of everything; each order's own end is said apart."""
    return VenueMassCancelReport(
        scope_type=m.scope_type, scope_account=m.scope_account, request_seq=seq, account=m.account, affected=affected,
        reason=reason,
    )  # fmt: skip


def rate_limit_usage(rows: list[RateLimitRow], *, account: int, venue: int, stream: int, now_ns: int) -> RateLimitUsage:
    """What the venue says of its budgets. A window of its begins at whole multiples of its length."""
    limits = []
    for row in rows:
        limit_type = _word(RATE_LIMIT_TYPES, row.rate_limit_type, "rate limit type")
        period_ns = _word(INTERVALS_NS, row.interval, "interval") * row.interval_num
        end_ts = (now_ns // period_ns + 1) * period_ns
        limits.append(
            RateLimit(period_ns=period_ns, end_ts=end_ts, limit=row.limit, used=row.count, limit_type=limit_type)
        )  # fmt: skip
    return RateLimitUsage(account=account, venue=venue, stream=stream, limits=limits)


def rejected(m: RoutedOrder, seq: int, error: ErrorBody) -> VenueOrderUpdate:
    """The venue refused order.place: the order never existed there."""
    return VenueOrderUpdate(
        request_seq=seq, order_id=m.order_id, account=m.account, instrument=m.instrument, order_qty=m.order_qty,
        price_px=m.price_px, cum_qty=0, leaves_qty=0, venue_code=error.code, reason=reason_of(error),
        channel=Channel.REQUEST_RESPONSE, exec_type=ExecType.REJECTED, ord_status=OrdStatus.REJECTED,
        side=m.side, ord_type=m.ord_type, tif=m.tif, text=error.msg[:500],
    )  # fmt: skip


def never_existed(*, seq: int, order_id: int, account: int, instrument: int) -> VenueOrderUpdate:
    """The definite answer of the venue: it never accepted a request of this id, and never will."""
    return VenueOrderUpdate(
        request_seq=seq, order_id=order_id, account=account, instrument=instrument, venue_code=NEVER_EXISTED,
        reason=Reason.UNKNOWN_AT_VENUE, channel=Channel.QUERY, exec_type=ExecType.ORDER_STATUS, ord_status=OrdStatus.UNDEFINED,
    )  # fmt: skip


def request_rejected(seq: int, order_id: int, response_to: CxlRejResponseTo, error: ErrorBody) -> VenueCancelReject:
    """The venue refused a cancel or a modify; the order is untouched."""
    return VenueCancelReject(
        request_seq=seq, order_id=order_id, venue_code=error.code, reason=reason_of(error), response_to=response_to,
        text=error.msg[:500],
    )  # fmt: skip
