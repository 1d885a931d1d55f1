"""Is it an order of this instrument: tradable, on the grid, of a permitted size."""

from __future__ import annotations

from journal.messages import (
    NULL,
    ExecInst,
    InstrumentStatus,
    InstrumentType,
    OrdType,
    Reason,
    RiskCheck,
    Side,
    TradingStatus,
)
from riskengine.memory import Instrument, Memory, Seen
from riskengine.numbers import MANTISSA_MAX, rescale_up
from riskengine.proposal import Proposal, Verdict, against, failed, limit_of, not_applicable, passed

_SPREADS = (InstrumentType.SPREAD, InstrumentType.OPTION_SPREAD)
_SIDES = (Side.BUY, Side.SELL, Side.SELL_SHORT, Side.SELL_SHORT_EXEMPT)
_TYPES = tuple(t for t in OrdType if t is not OrdType.UNDEFINED)
_PRICED = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_IF_TOUCHED, OrdType.LIMIT_ON_CLOSE, OrdType.ICEBERG)
_STOPS = (OrdType.STOP, OrdType.STOP_LIMIT, OrdType.MARKET_IF_TOUCHED, OrdType.LIMIT_IF_TOUCHED)
_NO_ENTRY = (
    TradingStatus.START_OF_DAY, TradingStatus.HALT, TradingStatus.CLOSE_NOT_FINAL, TradingStatus.CLOSE,
    TradingStatus.POST_CLOSE, TradingStatus.END_OF_DAY, TradingStatus.CANCEL_ONLY, TradingStatus.MAINTENANCE,
    TradingStatus.SETTLEMENT, TradingStatus.NOT_AVAILABLE,
)  # fmt: skip


def instrument_tradable(memory: Memory, p: Proposal) -> Verdict:
    """It is defined, takes such orders, has not expired, and its market is not closed. A status nobody told is no bar."""
    check, i = RiskCheck.INSTRUMENT_TRADABLE, p.instrument
    if i is None:
        return failed(check, Reason.UNKNOWN_INSTRUMENT, value=p.subject.instrument)
    if not _status_allows(i.status, p) or (i.expiry_ts and p.now >= i.expiry_ts):
        return failed(check, Reason.INSTRUMENT_NOT_TRADABLE, value=i.status, input_seq=i.seq)
    market = memory.markets.get(i.instrument) or Seen()
    if market.value in _NO_ENTRY:
        return failed(check, Reason.MARKET_CLOSED, value=market.value, input_seq=market.seq)
    return passed(check, value=i.status, input_seq=i.seq)


def _status_allows(status: int, p: Proposal) -> bool:
    if status == InstrumentStatus.POST_ONLY:
        return bool(p.exec_inst & ExecInst.PARTICIPATE_DO_NOT_INITIATE)
    if status == InstrumentStatus.LIMIT_ONLY:
        return not p.market
    if status == InstrumentStatus.CLOSING_ONLY:
        return bool(p.exec_inst & ExecInst.DO_NOT_INCREASE)
    return status in (InstrumentStatus.UNDEFINED, InstrumentStatus.ACTIVE)


def price_increment(_: Memory, p: Proposal) -> Verdict:
    """The prices its type needs, and only these, on the tick and within the instrument's static limits."""
    check, i = RiskCheck.PRICE_INCREMENT, p.instrument
    if i is None:
        return not_applicable(check)
    if p.ord_type not in _TYPES:
        return failed(check, Reason.INVALID_ORD_TYPE, value=p.ord_type)
    if (p.ord_type in _PRICED and p.price_px == NULL) or (p.market and p.price_px != NULL):
        return failed(check, Reason.INVALID_PRICE, value=p.price_px)
    if p.ord_type in _STOPS and p.stop_px == NULL:
        return failed(check, Reason.INVALID_PRICE, value=p.stop_px)
    for px in (p.price_px, p.stop_px):
        verdict = _price(i, px) if px != NULL else None
        if verdict is not None:
            return verdict
    return passed(check, value=p.price_px if p.price_px != NULL else 0, bound=i.tick_at(p.price_px), input_seq=i.seq)


def _price(i: Instrument, px: int) -> Verdict | None:
    check = RiskCheck.PRICE_INCREMENT
    if abs(px) >= MANTISSA_MAX:
        return failed(check, Reason.ARITHMETIC_OVERFLOW, value=px, bound=MANTISSA_MAX)
    if px <= 0 and i.instrument_type not in _SPREADS:
        return failed(check, Reason.INVALID_PRICE, value=px, bound=1)
    if i.min_px != NULL and px < i.min_px:
        return failed(check, Reason.INVALID_PRICE, value=px, bound=i.min_px, input_seq=i.seq)
    if i.max_px != NULL and px > i.max_px:
        return failed(check, Reason.INVALID_PRICE, value=px, bound=i.max_px, input_seq=i.seq)
    tick = i.tick_at(px)
    if px % tick:
        return failed(check, Reason.PRICE_NOT_ON_TICK, value=px, bound=tick, input_seq=i.seq)
    return None


def quantity_limits(memory: Memory, p: Proposal) -> Verdict:
    """A quantity between the instrument's bounds, and not above the limit on one order (RTS 6: maximum order volume)."""
    check, i, qty = RiskCheck.QUANTITY_LIMITS, p.instrument, p.order_qty
    if p.side not in _SIDES:
        return failed(check, Reason.INVALID_SIDE, value=p.side)
    if qty <= 0:
        return failed(check, Reason.INVALID_QUANTITY, value=qty, bound=1)
    if qty >= MANTISSA_MAX:
        return failed(check, Reason.ARITHMETIC_OVERFLOW, value=qty, bound=MANTISSA_MAX)
    if i is None:
        return not_applicable(check)
    if i.min_qty != NULL and qty < i.min_qty:
        return failed(check, Reason.QUANTITY_BELOW_MINIMUM, value=qty, bound=i.min_qty, input_seq=i.seq, exp=i.qty_exp)
    maxima = [i.max_qty, i.market_max_qty if p.market else NULL]
    maxima.append(i.post_only_max_qty if p.exec_inst & ExecInst.PARTICIPATE_DO_NOT_INITIATE else NULL)
    for most in maxima:
        if most != NULL and qty > most:
            return failed(check, Reason.QUANTITY_ABOVE_MAXIMUM, value=qty, bound=most, input_seq=i.seq, exp=i.qty_exp)
    limit = limit_of(memory, p, check)
    if limit is None:
        return passed(check, value=qty, bound=max(maxima), input_seq=i.seq, exp=i.qty_exp)
    return against(
        limit, check, Reason.MAX_ORDER_QUANTITY, value=rescale_up(qty, i.qty_exp, limit.exp), bound=limit.hard,
        warn=limit.warn, seq=limit.seq, exp=limit.exp,
    )  # fmt: skip


def lot_step(_: Memory, p: Proposal) -> Verdict:
    """A whole number of lots."""
    check, i = RiskCheck.LOT_STEP, p.instrument
    if i is None or i.lot_qty in (NULL, 0):
        return not_applicable(check)
    verdict = passed if p.order_qty % i.lot_qty == 0 else lambda c, **found: failed(c, Reason.QUANTITY_NOT_ON_LOT, **found)
    return verdict(check, value=p.order_qty, bound=i.lot_qty, input_seq=i.seq, exp=i.qty_exp)
