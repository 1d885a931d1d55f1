"""How much: the value of one order, the number of orders, the position they may lead to."""

from __future__ import annotations

from riskengine.codes import Reason, RiskCheck, ScopeType
from riskengine.limits import Limit
from riskengine.numbers import MANTISSA_MAX, rescale_up
from riskengine.proposal import Proposal, Verdict, against, failed, missing, not_applicable, passed, refused
from riskengine.view import View


def order_notional(view: View, p: Proposal, limit: Limit | None) -> Verdict:
    """The value of the order is within the limit of its quote currency (RTS 6: maximum order value)."""
    check, i, memory = RiskCheck.ORDER_NOTIONAL, p.instrument, view.memory
    if i is None:
        return not_applicable(check)
    notional = p.notional(memory, p.order_qty)
    ledger_exp = memory.ledger_exp.get(i.quote_currency)
    if notional is not None and ledger_exp is not None:
        booked = rescale_up(notional[0], notional[1], ledger_exp)
        if booked >= MANTISSA_MAX:
            return failed(check, Reason.ARITHMETIC_OVERFLOW, value=booked, bound=MANTISSA_MAX, exp=ledger_exp)
    if limit is None:
        return missing(view.require_limits, check)
    if limit.currency not in (0, i.quote_currency):
        # A bound in another currency says nothing about this order: shut, not open.
        return refused(limit, check, Reason.LIMIT_NOT_DEFINED)
    if notional is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    value = rescale_up(notional[0], notional[1], limit.exp)
    return against(
        limit, check, Reason.MAX_ORDER_NOTIONAL, value=value, bound=limit.hard, warn=limit.warn,
        seq=notional[2] or limit.seq, exp=limit.exp,
    )  # fmt: skip


def working_orders(view: View, p: Proposal, limit: Limit | None) -> Verdict:
    """Not too many orders at once: per scope, and the venue's own cap per account and instrument."""
    check, i = RiskCheck.WORKING_ORDERS, p.instrument
    if p.replace or i is None:
        return not_applicable(check)
    if i.max_orders:
        there = view.area_of(ScopeType.ACCOUNT_INSTRUMENT, (p.subject.account, i.instrument)).orders
        if there + 1 > i.max_orders:
            return failed(check, Reason.MAX_WORKING_ORDERS, value=there + 1, bound=i.max_orders, input_seq=i.seq)
    if limit is None:
        return missing(view.require_limits, check)
    count = 1 + view.area(limit.scope).orders
    return against(
        limit, check, Reason.MAX_WORKING_ORDERS, value=count, bound=limit.hard, warn=limit.warn, seq=limit.seq, exp=0
    )


def position(view: View, p: Proposal, limit: Limit | None) -> Verdict:
    """Position, working and UNKNOWN orders, all against us, after acceptance (I-40). In quantity of the order's instrument,
    summed over what the limit's scope covers. What does not add to the exposure always passes."""
    check, i = RiskCheck.POSITION, p.instrument
    if i is None or p.order_qty <= 0:
        return not_applicable(check)
    more = p.more_qty
    area = view.area(limit.scope) if limit is not None else view.area_of(ScopeType.INSTRUMENT, i.instrument)
    exposure = more + area.of(i.instrument).adverse(p.sign)
    if exposure >= MANTISSA_MAX:
        return failed(check, Reason.ARITHMETIC_OVERFLOW, value=exposure, bound=MANTISSA_MAX, exp=i.qty_exp)
    if limit is None:
        return missing(view.require_limits, check)
    value = rescale_up(exposure, i.qty_exp, limit.exp)
    if more == 0:  # without the limit's number, which `free` would show: recorded days are decided again as they were
        return passed(check, value=value, bound=limit.hard, input_seq=limit.seq, exp=limit.exp)
    return against(
        limit, check, Reason.POSITION_LIMIT, value=value, bound=limit.hard, warn=limit.warn, seq=limit.seq, exp=limit.exp
    )
