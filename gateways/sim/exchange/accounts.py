"""Orders, client order ids and trades per account, kept for the life of the process whatever connects or disconnects.

A venue's events are folded here into order records, and each becomes the push that its owner gets if it is listening.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from apps.venue.events import Accepted, Amended, Canceled, Expired, Filled, Refused, Triggered, VenueEvent
from gateways.sim.exchange.funding import Paid, funding_push, payment
from gateways.sim.exchange.listing import Listing
from gateways.sim.exchange.numbers import text_of
from journal.messages.enums import OrdType, Reason, Side, TimeInForce

MS = 1_000_000
OPEN = ("NEW", "PARTIALLY_FILLED", "UNTRIGGERED")
TYPE_WORDS = {OrdType.LIMIT: "LIMIT", OrdType.MARKET: "MARKET", OrdType.STOP: "STOP_MARKET", OrdType.STOP_LIMIT: "STOP_LIMIT"}


class OrderRecord(msgspec.Struct, kw_only=True):
    """One accepted order, open or done. px, quantities and cum_quote are mantissas."""

    order_id: int
    account: int
    client_id: str  # of order.place
    current_id: str  # of the newest accepted place or modify
    side: Side
    ord_type: OrdType
    tif: TimeInForce
    reduce_only: bool
    px: int
    order_qty: int
    cum_qty: int = 0
    cum_quote: int = 0  # sum of px * qty
    stop_px: int = 0
    status: str = "NEW"
    end_reason: str = "NONE"  # why it is done, as its last push says
    time_ms: int = 0
    update_ms: int = 0


class TradeRecord(msgspec.Struct, frozen=True, kw_only=True):
    trade_id: int
    order_id: int
    client_id: str
    side: Side
    px: int
    qty: int
    fee: int
    maker: bool
    time_ms: int


class Account(msgspec.Struct, kw_only=True):
    """`requests`: every client id of an accepted place, modify or cancel, and the order it named."""

    number: int
    requests: dict[str, OrderRecord] = {}
    orders: list[OrderRecord] = []  # by order id
    trades: list[TradeRecord] = []  # by trade id
    position: int = 0  # bought minus sold, quantity mantissa
    spent: int = 0  # sum of px * qty bought minus that sold, notional mantissa
    fees: int = 0
    funding: list[Paid] = []  # oldest first
    funded: int = 0  # sum of their payments
    events: int = 0  # pushes numbered so far
    window: int = 0  # number of the window that `used` is of
    used: int = 0  # orders and modifies in it
    dead_man_ns: int = 0  # when everything is canceled unless its owner is heard of; 0: not


class Push(NamedTuple):
    account: int
    text: bytes


class Pending(NamedTuple):
    """The request that is being executed: who asked, under which client id, for an order that will look like this."""

    client_id: str
    tif: TimeInForce = TimeInForce.GTC
    ord_type: OrdType = OrdType.LIMIT
    reduce_only: bool = False


class Accounts:
    def __init__(self, listing: Listing, count: int, deposit: int = 0) -> None:
        """`deposit`: what each begins with, a mantissa of FEE_EXP."""
        self._listing = listing
        self._deposit = deposit
        self.accounts = [Account(number=n) for n in range(1, count + 1)]
        self._orders: dict[int, OrderRecord] = {}
        self.order_count = 0
        self.trade_count = 0

    def of(self, number: int) -> Account:
        return self.accounts[number - 1]

    def resume(self, account: Account) -> None:
        """Take an account up as it was when the exchange ended."""
        self.accounts[account.number - 1] = account
        self._orders |= {o.order_id: o for o in account.orders}
        self.order_count += len(account.orders)
        self.trade_count += len(account.trades)

    def open_orders(self, number: int) -> list[OrderRecord]:
        return [o for o in self.of(number).orders if o.status in OPEN]

    # Events in.

    def absorb(self, events: list[VenueEvent], pending: Pending | None = None) -> list[Push]:
        """Fold events of the venue. The first event answers `pending`; the others were caused by it or by the market."""
        pushes = []
        for event in events:
            if isinstance(event, (Accepted, Filled, Amended, Triggered, Canceled, Expired)) and event.account:
                pushes.append(self._fold(event, pending))
                pending = None
            else:
                assert not isinstance(event, Refused) or pending is None
        return pushes

    def _fold(self, event: Accepted | Filled | Amended | Triggered | Canceled | Expired, pending: Pending | None) -> Push:
        account = self.of(event.account)
        ms = event.ts // MS
        if isinstance(event, Accepted):
            assert pending is not None
            order = self._accept(account, event, pending, ms)
        else:
            order = self._orders[event.order_id]
        order.update_ms = ms
        client_id, exec_type, reason, fill = order.current_id, "NEW", "NONE", None
        if isinstance(event, Filled):
            exec_type, fill = "TRADE", event
            self._trade(account, order, event, ms)
        elif isinstance(event, Amended):
            assert pending is not None
            exec_type = "AMENDMENT"
            order.px, order.order_qty = event.px, event.order_qty
            order.stop_px = event.stop_px or order.stop_px
            order.current_id = client_id = self._named(account, order, pending)
        elif isinstance(event, Triggered):
            exec_type, order.status = "TRIGGERED", "NEW"
        elif isinstance(event, Canceled):
            exec_type = order.status = "CANCELED"
            if pending is not None:  # a cancel of many names none of them
                client_id = self._named(account, order, pending)
            order.end_reason = reason = _CANCEL_REASONS[event.reason]
        elif isinstance(event, Expired):
            exec_type = order.status = "EXPIRED"
            order.end_reason = reason = _expiry_reason(order, event.reason)
        account.events += 1
        return Push(account.number, self._push(order, client_id, exec_type, reason, fill, account.events))

    def _accept(self, account: Account, event: Accepted, pending: Pending, ms: int) -> OrderRecord:
        order = OrderRecord(
            order_id=event.order_id,
            account=account.number,
            client_id=pending.client_id,
            current_id=pending.client_id,
            side=event.side,
            ord_type=pending.ord_type,
            tif=pending.tif,
            reduce_only=pending.reduce_only,
            px=event.px,
            order_qty=event.order_qty,
            stop_px=event.stop_px,
            status="UNTRIGGERED" if event.stop_px else "NEW",
            time_ms=ms,
        )
        self._orders[order.order_id] = order
        account.orders.append(order)
        self._named(account, order, pending)
        self.order_count += 1
        return order

    @staticmethod
    def _named(account: Account, order: OrderRecord, pending: Pending) -> str:
        assert pending.client_id not in account.requests
        account.requests[pending.client_id] = order
        return pending.client_id

    def _trade(self, account: Account, order: OrderRecord, event: Filled, ms: int) -> None:
        order.cum_qty = event.cum_qty
        order.cum_quote += event.px * event.qty
        order.status = "FILLED" if event.leaves_qty == 0 else "PARTIALLY_FILLED"
        bought = event.qty if event.side == Side.BUY else -event.qty
        account.position += bought
        account.spent += event.px * bought
        account.fees += event.fee
        self.trade_count += 1
        account.trades.append(
            TradeRecord(
                trade_id=event.trade_id,
                order_id=order.order_id,
                client_id=order.client_id,
                side=order.side,
                px=event.px,
                qty=event.qty,
                fee=event.fee,
                maker=event.maker,
                time_ms=ms,
            )
        )

    def fund(self, mark2: int, rate: int, ms: int) -> list[Push]:
        """Every position is charged, or is paid, what the rate makes of it."""
        pushes = []
        for account in self.accounts:
            if not account.position:
                continue
            amount = payment(self._listing.rules, position=account.position, mark2=mark2, rate=rate)
            paid = Paid(time_ms=ms, rate=rate, position=account.position, payment=amount)
            account.funding.append(paid)
            account.funded += amount
            account.events += 1
            pushes.append(Push(account.number, funding_push(self._listing, paid, account.events)))
        return pushes

    # Records out, in the venue's words.

    def order_json(self, order: OrderRecord) -> dict[str, Any]:
        listing = self._listing
        return {
            "symbol": listing.symbol,
            "orderId": order.order_id,
            "clientOrderId": order.current_id,
            "origClientOrderId": order.client_id,
            "status": order.status,
            "type": TYPE_WORDS[order.ord_type],
            "timeInForce": order.tif.name,
            "side": order.side.name,
            "price": listing.px(order.px),
            "stopPrice": listing.px(order.stop_px),
            "origQty": listing.qty(order.order_qty),
            "executedQty": listing.qty(order.cum_qty),
            "cumQuote": listing.notional(order.cum_quote),
            "reduceOnly": order.reduce_only,
            "endReason": order.end_reason,
            "time": order.time_ms,
            "updateTime": order.update_ms,
        }

    def trade_json(self, trade: TradeRecord) -> dict[str, Any]:
        listing = self._listing
        return {
            "symbol": listing.symbol,
            "id": trade.trade_id,
            "orderId": trade.order_id,
            "clientOrderId": trade.client_id,
            "side": trade.side.name,
            "price": listing.px(trade.px),
            "qty": listing.qty(trade.qty),
            "quoteQty": listing.notional(trade.px * trade.qty),
            "commission": listing.fee(trade.fee),
            "commissionAsset": listing.quote,
            "time": trade.time_ms,
            "maker": trade.maker,
            "buyer": trade.side == Side.BUY,
        }

    def position_json(self, account: Account) -> dict[str, Any]:
        return {"symbol": self._listing.symbol, "positionAmt": self._listing.qty(account.position)}

    def balance_json(self, account: Account) -> dict[str, Any]:
        """What was there to begin with and what trading has brought in, less fees, with funding."""
        return {"asset": self._listing.quote, "balance": self._listing.balance(-account.spent, self._paid_in(account))}

    def equity_json(self, account: Account, close_px: int) -> dict[str, Any]:
        return {"asset": self._listing.quote, "equity": text_of(self.equity(account, close_px), self._listing.money_exp)}

    def equity(self, account: Account, close_px: int) -> int:
        """The balance, and what closing the position at a price would bring: a mantissa of the listing's `money_exp`."""
        return self._listing.money(account.position * close_px - account.spent, self._paid_in(account))

    def _paid_in(self, account: Account) -> int:
        return self._deposit - account.fees + account.funded

    def _push(self, order: OrderRecord, client_id: str, exec_type: str, reason: str, fill: Filled | None, number: int) -> bytes:
        listing = self._listing
        return msgspec.json.encode(
            {
                "e": "ORDER_TRADE_UPDATE",
                "E": order.update_ms,
                "T": order.update_ms,
                "o": {
                    "s": listing.symbol,
                    "c": client_id,
                    "C": order.client_id,
                    "S": order.side.name,
                    "o": TYPE_WORDS[order.ord_type],
                    "f": order.tif.name,
                    "q": listing.qty(order.order_qty),
                    "p": listing.px(order.px),
                    "sp": listing.px(order.stop_px),
                    "x": exec_type,
                    "X": order.status,
                    "i": order.order_id,
                    "l": listing.qty(fill.qty if fill else 0),
                    "z": listing.qty(order.cum_qty),
                    "L": listing.px(fill.px if fill else 0),
                    "n": listing.fee(fill.fee if fill else 0),
                    "N": listing.quote,
                    "t": fill.trade_id if fill else 0,
                    "m": fill is not None and fill.maker,
                    "R": order.reduce_only,
                    "r": reason,
                    "v": number,
                },
            }
        )


_CANCEL_REASONS = {
    Reason.USER_REQUEST: "CANCEL_REQUEST",
    Reason.REPLACE_BELOW_CUM: "AMEND_BELOW_FILLED",
    Reason.POST_ONLY_WOULD_TAKE: "AMEND_WOULD_TAKE",
    Reason.DEAD_MAN_FIRED: "DEAD_MAN",
    Reason.CANCEL_ON_DISCONNECT: "CANCEL_ON_DISCONNECT",
    Reason.HALT_CANCEL: "HALT",
}


def _expiry_reason(order: OrderRecord, reason: Reason) -> str:
    if reason == Reason.SELF_TRADE_PREVENTED:
        return "SELF_TRADE"
    if order.ord_type in (OrdType.MARKET, OrdType.STOP):
        return "NO_LIQUIDITY"
    return "FOK_NOT_FILLED" if order.tif == TimeInForce.FOK else "IOC_REMAINDER"
