"""Is it an order, and one of this instrument: tradable, on the grid, of a permitted size, with terms that fit one another and
that the venue takes or we can hold."""

from __future__ import annotations

from journal.messages import (
    NULL,
    NULL_I128,
    AccountType,
    ExecInst,
    MarginMode,
    OrdType,
    PositionEffect,
    StpMode,
    TimeInForce,
    TrailType,
    Trigger,
)
from journal.messages.capabilities import OURS, Handling, capability
from riskengine.codes import InstrumentStatus, InstrumentType, QuantityType, Reason, RiskCheck, Side, TradingStatus
from riskengine.exposure import REDUCING
from riskengine.limits import Limit
from riskengine.memory import Instrument, Memory, Seen
from riskengine.numbers import MANTISSA_MAX, RATE_EXP, rescale_down, rescale_up
from riskengine.proposal import Proposal, Verdict, against, failed, not_applicable, passed
from riskengine.view import View

_SPREADS = (InstrumentType.SPREAD, InstrumentType.OPTION_SPREAD)
_SIDES = (Side.BUY, Side.SELL, Side.SELL_SHORT, Side.SELL_SHORT_EXEMPT)
_TYPES = tuple(t for t in OrdType if t is not OrdType.UNDEFINED)
_PRICED = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_IF_TOUCHED, OrdType.LIMIT_ON_CLOSE, OrdType.ICEBERG)
_QUANTITY_TYPES = (QuantityType.UNDEFINED, QuantityType.UNITS, QuantityType.CONTRACTS, QuantityType.QUOTE_AMOUNT)
_STOPS = (OrdType.STOP, OrdType.STOP_LIMIT, OrdType.MARKET_IF_TOUCHED, OrdType.LIMIT_IF_TOUCHED)
_TRAILS = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
_ENDS = (TimeInForce.GTD, TimeInForce.GOOD_FOR_TIME)
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
# Plain ints: an operation with a flag costs a microsecond.
_POST_ONLY = int(ExecInst.PARTICIPATE_DO_NOT_INITIATE | ExecInst.POST_ONLY_SLIDE)
_DO_NOT_INITIATE, _HIDDEN, _UNKNOWN_INSTS = int(ExecInst.PARTICIPATE_DO_NOT_INITIATE), int(ExecInst.HIDDEN), ~sum(ExecInst)
_OURS = int(OURS)
_TIFS, _STP_MODES, _EFFECTS = frozenset(TimeInForce), frozenset(StpMode), frozenset(PositionEffect)
_MODES, _TRIGGERS, _TRAIL_TYPES = frozenset(MarginMode), frozenset(Trigger), frozenset(TrailType) - {0}
_MARGIN_MODES = (MarginMode.ISOLATED, MarginMode.CROSS, MarginMode.PORTFOLIO)
_NO_ENTRY = (
    TradingStatus.START_OF_DAY, TradingStatus.HALT, TradingStatus.CLOSE_NOT_FINAL, TradingStatus.CLOSE,
    TradingStatus.POST_CLOSE, TradingStatus.END_OF_DAY, TradingStatus.CANCEL_ONLY, TradingStatus.MAINTENANCE,
    TradingStatus.SETTLEMENT, TradingStatus.NOT_AVAILABLE,
)  # fmt: skip


def instrument_tradable(view: View, p: Proposal, _limit: Limit | None) -> Verdict:
    """It is defined, takes such orders, has not expired, and its market is not closed. A status nobody told is no bar."""
    check, i, memory = RiskCheck.INSTRUMENT_TRADABLE, p.instrument, view.memory
    if i is None:
        return failed(check, Reason.UNKNOWN_INSTRUMENT, value=p.subject.instrument)
    if i.status == InstrumentStatus.EXPIRED or (i.expiry_ts and p.now >= i.expiry_ts):
        return failed(check, Reason.INSTRUMENT_EXPIRED, value=p.now, bound=i.expiry_ts, input_seq=i.seq, exp=-9)
    if not _status_allows(i.status, p):
        return failed(check, Reason.INSTRUMENT_NOT_TRADABLE, value=i.status, input_seq=i.seq)
    market = memory.markets.get(i.instrument) or Seen()
    if market.value in _NO_ENTRY:
        return failed(check, Reason.MARKET_CLOSED, value=market.value, input_seq=market.seq)
    if not _market_allows(market.value, p):
        return failed(check, Reason.MARKET_STATUS_FORBIDS, value=market.value, input_seq=market.seq)
    return passed(check, value=i.status, input_seq=i.seq)


def _market_allows(status: int, p: Proposal) -> bool:
    """What a market that is open takes: not everything, in some phases."""
    if status == TradingStatus.POST_ONLY:
        return bool(p.exec_inst & _POST_ONLY)
    if status == TradingStatus.LIMIT_ONLY:
        return not p.market
    if status == TradingStatus.REDUCE_ONLY:
        return bool(p.exec_inst & REDUCING)
    if status in (TradingStatus.PRE_OPEN_FREEZE, TradingStatus.PRE_CLOSE_FREEZE):
        return False
    if status == TradingStatus.PRE_OPEN:
        return p.order is None or p.order.tif not in _AT_ONCE
    return True


def _status_allows(status: int, p: Proposal) -> bool:
    if status == InstrumentStatus.POST_ONLY:
        return bool(p.exec_inst & _DO_NOT_INITIATE)
    if status == InstrumentStatus.LIMIT_ONLY:
        return not p.market
    if status == InstrumentStatus.CLOSING_ONLY:
        return bool(p.exec_inst & REDUCING)
    return status in (InstrumentStatus.UNDEFINED, InstrumentStatus.ACTIVE)


def price_increment(_: View, p: Proposal, _limit: Limit | None) -> Verdict:
    """The prices its type needs, and only these, on the tick and within the instrument's static limits."""
    check, i = RiskCheck.PRICE_INCREMENT, p.instrument
    if i is None:
        return not_applicable(check)
    if p.ord_type not in _TYPES:
        return failed(check, Reason.INVALID_ORD_TYPE, value=p.ord_type)
    if (p.ord_type in _PRICED and p.price_px == NULL) or (p.market and p.price_px != NULL):
        return failed(check, Reason.INVALID_PRICE, value=p.price_px)
    bad = _trigger(p) or _trail(p)
    if bad:
        return failed(check, bad, value=p.stop_px if p.stop_px != NULL else 0)
    for px in (p.price_px, p.stop_px):
        verdict = _price(i, px) if px != NULL else None
        if verdict is not None:
            return verdict
    return passed(check, value=p.price_px if p.price_px != NULL else 0, bound=i.tick_at(p.price_px), input_seq=i.seq)


def _trigger(p: Proposal) -> int | None:
    """A stop has a trigger price and a known trigger; a trailing stop may begin without a price."""
    if p.ord_type in _STOPS and p.stop_px == NULL:
        return Reason.INVALID_STOP_OR_TRIGGER
    if p.stop_px != NULL and p.ord_type not in (*_STOPS, *_TRAILS):
        return Reason.INVALID_STOP_OR_TRIGGER
    if p.order is not None and p.order.trigger and p.order.trigger not in _TRIGGERS:
        return Reason.INVALID_STOP_OR_TRIGGER
    return None


def _trail(p: Proposal) -> int | None:
    """A trailing stop, and only it, follows at an offset above 0 of a known kind."""
    if p.order is None:
        return None
    given = p.order.trail_offset != NULL or p.order.trail_type != 0
    if p.ord_type not in _TRAILS:
        return Reason.INVALID_TRAILING_OFFSET if given else None
    right = p.order.trail_offset != NULL and p.order.trail_offset > 0
    return None if right and p.order.trail_type in _TRAIL_TYPES else Reason.INVALID_TRAILING_OFFSET


def _price(i: Instrument, px: int) -> Verdict | None:
    check = RiskCheck.PRICE_INCREMENT
    if abs(px) >= MANTISSA_MAX:
        return failed(check, Reason.ARITHMETIC_OVERFLOW, value=px, bound=MANTISSA_MAX)
    if px <= 0 and i.instrument_type not in _SPREADS:
        return failed(check, Reason.INVALID_PRICE, value=px, bound=1)
    if i.min_px != NULL and px < i.min_px:
        return failed(check, Reason.PRICE_OUTSIDE_STATIC_LIMITS, value=px, bound=i.min_px, input_seq=i.seq)
    if i.max_px != NULL and px > i.max_px:
        return failed(check, Reason.PRICE_OUTSIDE_STATIC_LIMITS, value=px, bound=i.max_px, input_seq=i.seq)
    tick = i.tick_at(px)
    if px % tick:
        return failed(check, Reason.PRICE_NOT_ON_TICK, value=px, bound=tick, input_seq=i.seq)
    return None


def quantity_limits(_: View, p: Proposal, limit: Limit | None) -> Verdict:
    """A quantity between the instrument's bounds, and not above the limit on one order (RTS 6: maximum order volume)."""
    check, i, qty = RiskCheck.QUANTITY_LIMITS, p.instrument, p.order_qty
    if p.side not in _SIDES:
        return failed(check, Reason.INVALID_SIDE, value=p.side)
    if p.order is not None and p.order.quantity_type not in _QUANTITY_TYPES:
        return failed(check, Reason.INVALID_QUANTITY_TYPE, value=p.order.quantity_type)
    if p.unpriced:
        return not_applicable(check)
    if qty <= 0 or (p.order is not None and p.order.min_qty != NULL and not 0 <= p.order.min_qty <= qty):
        return failed(check, Reason.INVALID_QUANTITY, value=qty, bound=1)
    bad_display = _display(p)
    if bad_display:
        return failed(check, Reason.INVALID_DISPLAY_QUANTITY, value=p.display_qty if p.display_qty != NULL else 0, bound=qty)
    if qty >= MANTISSA_MAX:
        return failed(check, Reason.ARITHMETIC_OVERFLOW, value=qty, bound=MANTISSA_MAX)
    if i is None:
        return not_applicable(check)
    if i.min_qty != NULL and qty < i.min_qty:
        return failed(check, Reason.QUANTITY_BELOW_MINIMUM, value=qty, bound=i.min_qty, input_seq=i.seq, exp=i.qty_exp)
    maxima = [i.max_qty, i.market_max_qty if p.market else NULL]
    maxima.append(i.post_only_max_qty if p.exec_inst & _DO_NOT_INITIATE else NULL)
    for most in maxima:
        if most != NULL and qty > most:
            return failed(check, Reason.QUANTITY_ABOVE_MAXIMUM, value=qty, bound=most, input_seq=i.seq, exp=i.qty_exp)
    if limit is None:
        bound = min((most for most in maxima if most != NULL), default=0)
        return passed(check, value=qty, bound=bound, input_seq=i.seq, exp=i.qty_exp)
    return against(
        limit, check, Reason.MAX_ORDER_QUANTITY, value=rescale_up(qty, i.qty_exp, limit.exp), bound=limit.hard,
        warn=limit.warn, seq=limit.seq, exp=limit.exp,
    )  # fmt: skip


def _display(p: Proposal) -> bool:
    """What is shown is a part of the order, on the lot; an iceberg shows something, a hidden order nothing."""
    if p.display_qty == NULL:
        return p.ord_type == OrdType.ICEBERG
    if p.exec_inst & _HIDDEN and p.display_qty:
        return True
    lot = p.instrument.lot_qty if p.instrument is not None and p.instrument.lot_qty not in (NULL, 0) else 1
    least = 0 if p.exec_inst & _HIDDEN else 1
    return not least <= p.display_qty <= p.order_qty or bool(p.display_qty % lot)


def lot_step(_: View, p: Proposal, _limit: Limit | None) -> Verdict:
    """A whole number of lots. Of an amount of money the venue makes lots."""
    check, i = RiskCheck.LOT_STEP, p.instrument
    if i is None or i.lot_qty in (NULL, 0) or p.in_amount:
        return not_applicable(check)
    verdict = passed if p.order_qty % i.lot_qty == 0 else lambda c, **found: failed(c, Reason.QUANTITY_NOT_ON_LOT, **found)
    return verdict(check, value=p.order_qty, bound=i.lot_qty, input_seq=i.seq, exp=i.qty_exp)


def quote_quantity_conversion(_: View, p: Proposal, _limit: Limit | None) -> Verdict | None:
    """An amount of quote currency can be turned into a quantity of the instrument, at the order's price or the far touch; from
    here on that quantity is what counts. The amount cannot be replaced."""
    check, i = RiskCheck.QUOTE_QUANTITY_CONVERSION, p.instrument
    if not p.in_amount:
        return None
    qty = p.order_qty
    if i is None or p.unpriced:
        return failed(check, Reason.QUANTITY_CONVERSION_FAILED, value=qty)
    return passed(check, value=qty, input_seq=i.seq, exp=i.qty_exp)


def notional_limits(view: View, p: Proposal, _limit: Limit | None) -> Verdict | None:
    """The instrument's own smallest and largest order value, in the ledger exponent of its quote currency. What only reduces
    may be smaller."""
    check, i = RiskCheck.NOTIONAL_LIMITS, p.instrument
    if i is None or (i.min_notional == NULL_I128 and i.max_notional == NULL_I128):
        return None
    memory = view.memory
    exp = memory.ledger_exp.get(i.quote_currency)
    found = p.notional(memory, p.order_qty)
    if exp is None or found is None:
        return failed(check, Reason.REFERENCE_PRICE_UNAVAILABLE, input_seq=i.seq)
    up, down = rescale_up(found[0], found[1], exp), rescale_down(found[0], found[1], exp)
    if i.min_notional != NULL_I128 and down < i.min_notional and not p.exec_inst & REDUCING:
        return failed(check, Reason.NOTIONAL_BELOW_MINIMUM, value=down, bound=i.min_notional, input_seq=i.seq, exp=exp)
    if i.max_notional != NULL_I128 and up > i.max_notional:
        return failed(check, Reason.NOTIONAL_ABOVE_MAXIMUM, value=up, bound=i.max_notional, input_seq=i.seq, exp=exp)
    bound = i.max_notional if i.max_notional != NULL_I128 else i.min_notional
    return passed(check, value=up, bound=bound, input_seq=i.seq, exp=exp)


def venue_capability(view: View, p: Proposal, _limit: Limit | None) -> Verdict | None:
    """Its instructions fit one another, and the venue takes it or we can hold it: journal.messages.capabilities. `value`: how
    (Handling). Listed where the venue says what it offers, or something does not fit."""
    check, memory = RiskCheck.VENUE_CAPABILITY, view.memory
    bad = _time(p) or (_instructions(memory, p) if p.order is not None else None)
    if bad:
        return failed(check, bad)
    if p.order is None or p.ord_type not in _TYPES:
        return None
    offer = memory.venues.get(p.subject.venue)
    if offer is None and not p.exec_inst & _OURS:
        return None
    ruling = capability(offer, p.order, now=p.now)
    if ruling.how == Handling.REFUSED:
        return failed(check, ruling.reason, value=ruling.how)
    return passed(check, value=ruling.how) if offer is not None else None


def _time(p: Proposal) -> int | None:
    """Its time in force is one, has its end where it needs it and not behind it, and it is released before that."""
    end = p.expire_ts
    if p.order is not None:
        tif = p.order.tif
        if tif not in _TIFS:
            return Reason.INVALID_TIME_IN_FORCE
        if tif in _ENDS and not end:
            return Reason.INVALID_EXPIRE_TIME
    if end and end <= p.now:
        return Reason.INVALID_EXPIRE_TIME
    ends = [ts for ts in (end, p.instrument.expiry_ts if p.instrument is not None else 0) if ts]
    if p.release_ts and ends and p.release_ts >= min(ends):
        return Reason.INVALID_RELEASE_TIME
    return None


def _instructions(memory: Memory, p: Proposal) -> int | None:
    """Instructions, position effect, margin and self-trade prevention: known values that do not contradict one another."""
    m = p.order
    assert m is not None
    if (
        m.exec_inst & _UNKNOWN_INSTS
        or (m.exec_inst & _POST_ONLY and (p.market or m.tif in _AT_ONCE))
        or m.stp_mode not in _STP_MODES
    ):
        return Reason.INVALID_EXEC_INST
    if m.position_effect not in _EFFECTS:
        return Reason.INVALID_POSITION_EFFECT
    if m.position_effect == PositionEffect.OPEN and m.exec_inst & REDUCING:
        return Reason.INVALID_POSITION_EFFECT
    return Reason.INVALID_MARGIN_MODE_OR_LEVERAGE if _bad_margin(memory, p) else None


def _bad_margin(memory: Memory, p: Proposal) -> bool:
    """A cash account has no margin; leverage is above 0, for what is margined, and not above the instrument's first tier."""
    m, i = p.order, p.instrument
    assert m is not None
    if m.margin_mode not in _MODES:
        return True
    owner = memory.accounts.get(p.subject.account)
    if owner is not None and owner.account_type == AccountType.CASH and m.margin_mode in _MARGIN_MODES:
        return True
    if m.leverage == NULL:
        return False
    if m.leverage <= 0 or m.margin_mode == MarginMode.CASH:
        return True
    tiers = memory.tiers.get(f"{p.subject.instrument}/{p.subject.account}") or memory.tiers.get(f"{p.subject.instrument}/0")
    most = max((t.max_leverage_rate for t in tiers), default=NULL) if tiers and i is not None else NULL
    return most != NULL and rescale_up(m.leverage, m.leverage_exp, RATE_EXP) > most
