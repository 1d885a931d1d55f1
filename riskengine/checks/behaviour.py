"""How fast: messages in a rolling window."""

from __future__ import annotations

from bisect import bisect_right

from journal.messages import RiskCheck
from journal.messages.enums import Reason
from journal.messages.scopes import Subject
from riskengine.memory import Memory
from riskengine.proposal import Proposal, Verdict, against, limit_of, missing


def order_rate(memory: Memory, p: Proposal, *, require_limits: bool) -> Verdict:
    """The messages that went out in the last `period_ns`, this one included. A refused one does not go out and does not
    count; a cancel counts and is never refused."""
    check = RiskCheck.ORDER_RATE
    limit = limit_of(memory, p, check)
    if limit is None:
        return missing(require_limits, check)
    times = memory.sent.get(limit.limit, [])
    count = 1 + len(times) - bisect_right(times, p.now - limit.period_ns)
    return against(limit, check, Reason.ORDER_RATE, value=count, bound=limit.hard, warn=limit.warn, seq=limit.seq, exp=0)


def count_message(memory: Memory, subject: Subject, side: int, now: int) -> None:
    """A message goes out: it counts towards every rate limit that is about it, in force or shadowed by a narrower one."""
    for limit in memory.limits.values():
        if limit.check == RiskCheck.ORDER_RATE and limit.holds(subject, side, now):
            times = memory.sent.setdefault(limit.limit, [])
            times.append(now)
            del times[: bisect_right(times, now - limit.period_ns)]
