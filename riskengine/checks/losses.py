"""What was lost: today, from the top, in a row. riskengine.finances keeps the figures and waits for confirmations."""

from __future__ import annotations

from riskengine.codes import CheckResult, Reason, RiskCheck
from riskengine.finances import profit
from riskengine.limits import Limit
from riskengine.memory import Losses
from riskengine.proposal import Proposal, Verdict, refused
from riskengine.view import View


def daily_loss(view: View, _: Proposal, limit: Limit) -> Verdict:
    """Profit of what the limit covers, realized and not, against where the day began: not more than `hard` lost. A day is
    `period_ns` (0: 24 hours, from midnight UTC). Once confirmed it holds until the day is over."""
    return _lost(view, limit, RiskCheck.DAILY_LOSS)


def drawdown(view: View, _: Proposal, limit: Limit) -> Verdict:
    """As DAILY_LOSS, against the highest profit that was confirmed. Once confirmed it holds until the limit is set anew."""
    return _lost(view, limit, RiskCheck.DRAWDOWN)


def loss_streak(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Closing fills in a row that lost money, after fees: not more than `hard`. Then nothing goes for `period_ns` after the
    last of them; 0: until the limit is set anew."""
    check = RiskCheck.LOSS_STREAK
    state = view.memory.losses.get(limit.limit) or Losses()
    if limit.period_ns and p.now - state.last_ts >= limit.period_ns:
        state = Losses()
    if state.tripped:
        return refused(limit, check, Reason.LOSS_LIMIT, value=state.streak, bound=limit.hard, seq=state.tripped)
    warn = bool(limit.warn) and state.streak > limit.warn
    return Verdict(
        check, CheckResult.WARN if warn else CheckResult.PASS, 0, state.streak, limit.hard, limit.seq, limit.limit
    )  # fmt: skip


def lost(view: View, limit: Limit) -> tuple[int, int] | None:
    """(what is lost now, newest input), confirmed or not; None where something has no price."""
    state = view.memory.losses.get(limit.limit) or Losses()
    found = profit(view, limit)
    return (max(state.base - found[0], 0), found[1]) if found is not None else None


def _lost(view: View, limit: Limit, check: int) -> Verdict:
    state = view.memory.losses.get(limit.limit) or Losses()
    found = lost(view, limit)
    if found is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    loss, seq = found
    if state.tripped:
        return refused(
            limit, check, Reason.LOSS_LIMIT, value=loss, bound=limit.hard, seq=state.tripped, exp=limit.exp
        )  # fmt: skip
    warn = loss > limit.hard or bool(limit.warn and loss > limit.warn)
    return Verdict(check, CheckResult.WARN if warn else CheckResult.PASS, 0, loss, limit.hard, seq, limit.limit, limit.exp)
