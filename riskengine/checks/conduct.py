"""What went before: too many executions, rejects, or orders nobody knows the fate of."""

from __future__ import annotations

from riskengine.codes import Reason, RiskCheck
from riskengine.conduct import standing
from riskengine.limits import Limit
from riskengine.proposal import Proposal, Verdict, against, not_applicable, refused
from riskengine.view import View


def repeated_execution(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Executions in the last `period_ns` (0: ever): not more than `hard`. Once there were more, nothing goes until a person
    sets the limit anew, with a higher generation (RTS 6 Art. 15(3), I-39)."""
    check = RiskCheck.REPEATED_EXECUTION
    state = view.memory.counts.get(str(limit.limit))
    count = standing(state, p.now, limit.period_ns)
    if state is not None and state.tripped:
        return refused(limit, check, Reason.REPEATED_EXECUTION, value=count, bound=limit.hard, seq=state.tripped)
    return against(limit, check, Reason.REPEATED_EXECUTION, value=count, bound=limit.hard, warn=limit.warn)


def reject_loop(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Orders rejected in the last `period_ns` (0: ever), by the venue or by a check: not more than `hard`. It opens by itself
    when the window has passed, for what it refuses does not count."""
    check = RiskCheck.REJECT_LOOP
    count = standing(view.memory.counts.get(str(limit.limit)), p.now, limit.period_ns)
    return against(limit, check, Reason.REJECT_LOOP, value=count, bound=limit.hard, warn=limit.warn)


def unknown_orders(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Open orders whose outcome is not known: not more than `hard`."""
    check = RiskCheck.UNKNOWN_ORDERS
    if p.replace and p.more_qty == 0:
        return not_applicable(check)
    return against(
        limit, check, Reason.UNKNOWN_ORDERS_PENDING, value=view.area(limit.scope).unknown, bound=limit.hard, warn=limit.warn
    )
