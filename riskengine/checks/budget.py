"""Has the venue room for one more request? Shown, never enforced here: the OMS paces requests (oms/pacing.py)."""

from __future__ import annotations

from journal.messages import CheckResult, RiskCheck
from riskengine.memory import Memory
from riskengine.numbers import clip
from riskengine.proposal import Proposal, Verdict
from riskengine.usage import NEW, REPLACE


def venue_rate_budget(memory: Memory, p: Proposal) -> Verdict | None:
    """`value`: the venue's count with the requests routed since and this one; `bound`: the venue's limit; a warning beyond it.
    None where the venue has told nothing about this account."""
    told = memory.usage.told.get(p.subject.account)
    found = told.fullest(REPLACE if p.replace else NEW, p.now) if told is not None else None
    if told is None or found is None:
        return None
    used, limit = found
    result = CheckResult.WARN if used > limit else CheckResult.PASS
    return Verdict(RiskCheck.VENUE_RATE_BUDGET, result, value=clip(used), bound=limit, input_seq=told.seq)
