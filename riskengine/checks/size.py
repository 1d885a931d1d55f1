"""How much: the value of one order, the number of orders, the position they may lead to."""

from __future__ import annotations

from collections.abc import Iterator

from journal.messages import Reason, RiskCheck
from journal.messages.scopes import Subject, covers
from riskengine.exposure import Cell
from riskengine.memory import Memory
from riskengine.numbers import MANTISSA_MAX, rescale_up
from riskengine.proposal import Proposal, Verdict, against, failed, limit_of, missing, not_applicable, passed


def order_notional(memory: Memory, p: Proposal, *, require_limits: bool) -> Verdict:
    """The value of the order is within the limit of its quote currency (RTS 6: maximum order value)."""
    check, i = RiskCheck.ORDER_NOTIONAL, p.instrument
    if i is None:
        return not_applicable(check)
    notional = p.notional(memory, p.order_qty)
    ledger_exp = memory.ledger_exp.get(i.quote_currency)
    if notional is not None and ledger_exp is not None:
        booked = rescale_up(notional[0], notional[1], ledger_exp)
        if booked >= MANTISSA_MAX:
            return failed(check, Reason.ARITHMETIC_OVERFLOW, value=booked, bound=MANTISSA_MAX, exp=ledger_exp)
    limit = limit_of(memory, p, check)
    if limit is None:
        return missing(require_limits, check)
    if limit.currency not in (0, i.quote_currency):
        # A bound in another currency says nothing about this order: shut, not open.
        return failed(check, Reason.LIMIT_NOT_DEFINED, input_seq=limit.seq)
    if notional is None:
        return failed(check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    value = rescale_up(notional[0], notional[1], limit.exp)
    return against(
        limit, check, Reason.MAX_ORDER_NOTIONAL, value=value, bound=limit.hard, warn=limit.warn,
        seq=notional[2] or limit.seq, exp=limit.exp,
    )  # fmt: skip


def working_orders(memory: Memory, p: Proposal, *, require_limits: bool) -> Verdict:
    """Not too many orders at once: per scope, and the venue's own cap per account and instrument."""
    check, i = RiskCheck.WORKING_ORDERS, p.instrument
    if p.replace or i is None:
        return not_applicable(check)
    if i.max_orders:
        there = sum(c.orders for c, _ in _cells(memory, i.instrument) if c.account == p.subject.account)
        if there + 1 > i.max_orders:
            return failed(check, Reason.MAX_WORKING_ORDERS, value=there + 1, bound=i.max_orders, input_seq=i.seq)
    limit = limit_of(memory, p, check)
    if limit is None:
        return missing(require_limits, check)
    count = 1 + sum(c.orders for c, s in _cells(memory, 0) if covers(limit.scope, s))
    return against(
        limit, check, Reason.MAX_WORKING_ORDERS, value=count, bound=limit.hard, warn=limit.warn, seq=limit.seq, exp=0
    )


def position(memory: Memory, p: Proposal, *, require_limits: bool) -> Verdict:
    """Position, working and UNKNOWN orders, all against us, after acceptance (I-40). In quantity of the order's instrument,
    summed over what the limit's scope covers. What does not add to the exposure always passes."""
    check, i = RiskCheck.POSITION, p.instrument
    if i is None or p.order_qty <= 0:
        return not_applicable(check)
    limit = limit_of(memory, p, check)
    exposure = p.more_qty
    for cell, subject in _cells(memory, i.instrument):
        if limit is None or covers(limit.scope, subject):
            exposure += cell.adverse(p.sign)
    if exposure >= MANTISSA_MAX:
        return failed(check, Reason.ARITHMETIC_OVERFLOW, value=exposure, bound=MANTISSA_MAX, exp=i.qty_exp)
    if limit is None:
        return missing(require_limits, check)
    value = rescale_up(exposure, i.qty_exp, limit.exp)
    if p.more_qty == 0:
        return passed(check, value=value, bound=limit.hard, input_seq=limit.seq, exp=limit.exp)
    return against(
        limit, check, Reason.POSITION_LIMIT, value=value, bound=limit.hard, warn=limit.warn, seq=limit.seq, exp=limit.exp
    )


def _cells(memory: Memory, instrument: int) -> Iterator[tuple[Cell, Subject]]:
    """The cells of an instrument (0 = all), as scopes see them."""
    for cell in memory.exposure.cells.values():
        if instrument in (0, cell.instrument):
            i = memory.instruments.get(cell.instrument)
            yield cell, Subject(
                account=cell.account, strategy=cell.strategy, user=cell.user, source=cell.source, instrument=cell.instrument,
                venue=i.venue if i else 0, underlying=i.underlying if i else 0,
            )  # fmt: skip
