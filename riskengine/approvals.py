"""Limits changed by people: at once when they tighten; a raise waits for a second person where that is configured."""

from __future__ import annotations

from fractions import Fraction

from journal.messages import (
    NULL,
    AlertSeverity,
    CommandCode,
    LimitAcknowledged,
    LimitAction,
    Reason,
    RequestState,
    RiskCheck,
    RiskLimitSet,
)
from journal.messages.persons import Asked, Author
from riskengine.controlled import scope_key
from riskengine.countdown import Countdowns
from riskengine.limits import SPECIFICITY, Limit
from riskengine.standing import current

EXPIRIES = 4 << 48
"""Timer token."""
_STRICTNESS: dict[int, int] = {
    LimitAction.WARN: 0, LimitAction.REDUCE_ONLY: 1, LimitAction.UNDEFINED: 2, LimitAction.REJECT: 2, LimitAction.CANCEL: 3,
    LimitAction.BAN: 4, LimitAction.DISABLE_STRATEGY: 5, LimitAction.KILL: 6, LimitAction.FLATTEN: 7,
}  # fmt: skip
_KEPT_BACK = (RiskCheck.FUNDS, RiskCheck.MARGIN)
"""Their bound is what must stay: a smaller one allows more."""


class Approvals(Countdowns):
    """What a person asks of a limit. The loader's word, which is the configuration's, holds as it comes."""

    def on_risk_limit_set(self, m: RiskLimitSet) -> None:
        """A limit from a person is judged; from the configuration it is in force."""
        if not self.by_operator():
            self.control.former.pop(m.limit, None)
            super().on_risk_limit_set(m)
            return
        author = self.control.latch.persons.author(self.ctx.source, CommandCode.SET_LIMIT)
        before = self.memory.limits.get(m.limit)
        reason = self._not_possible(m, before, author)
        if reason:
            self._refuse_limit(author, m.limit, reason)
        elif self.control.rules.approve_limits and raises(before, m):
            self.control.latch.persons.ask(m.KIND, m.encode(), author, seq=self.ctx.seq, now=self.ctx.now, not_by=[])
            self.arm_approvals()
            text = f"limit {m.limit} stays as it is until another person approves"
            self.answer(author, RequestState.PENDING, Reason.APPROVAL_REQUIRED, text)
            self.alert(Reason.APPROVAL_REQUIRED, text, scope=m, severity=AlertSeverity.NOTICE)
        else:
            self._put(m, author, self.ctx.seq)

    def _not_possible(self, m: RiskLimitSet, before: Limit | None, author: Author) -> int:
        if self.control.latch.persons.unknown(author.user):
            return Reason.NOT_AUTHENTICATED
        if m.check not in RiskCheck.__members__.values() or not m.check or not m.limit or m.hard < 0:
            return Reason.INVALID_VALUE
        if m.action not in _STRICTNESS or m.scope_type not in SPECIFICITY:
            return Reason.INVALID_VALUE
        if m.valid_until_ts and m.valid_until_ts <= self.ctx.now:
            return Reason.INVALID_EXPIRE_TIME
        if before is not None and m.generation <= before.generation:
            return Reason.STALE_VERSION  # somebody else has changed it meanwhile
        return 0

    def approved_limit(self, wanted: Asked) -> None:
        """In force from here, unless it has changed since it was asked for."""
        m = RiskLimitSet.decode(wanted.body)
        author = Author(wanted.user, wanted.request, wanted.command_seq)
        reason = self._not_possible(m, self.memory.limits.get(m.limit), author)
        if reason:
            self._refuse_limit(author, m.limit, reason)
        else:
            self._put(m, author, wanted.seq)

    def _refuse_limit(self, author: Author, limit: int, reason: int) -> None:
        text = f"limit {limit} is not changed: {Reason(reason).name}"
        self.answer(author, RequestState.REJECTED, reason, text)
        self.alert(reason, text, severity=AlertSeverity.WARNING)

    def _put(self, m: RiskLimitSet, author: Author, request_seq: int) -> None:
        before = self.memory.limits.get(m.limit)
        if not m.valid_until_ts:
            self.control.former.pop(m.limit, None)
        elif before is not None and not before.valid_until_ts:
            self.control.former[m.limit] = before
        self._take(Limit.of(m, self.ctx.seq), before, author, request_seq, 0)
        self.answer(author, RequestState.DONE, 0, f"limit {m.limit} holds from here on")
        self._arm_expiries()

    def _take(self, new: Limit, before: Limit | None, author: Author, request_seq: int, reason: int) -> None:
        self.put_limit(new)
        self.ctx.emit(
            LimitAcknowledged(
                old_warn=before.warn if before else NULL, old_hard=before.hard if before else NULL, warn=new.warn,
                hard=new.hard, current=current(self.view, new, self.ctx.now), request_seq=request_seq, limit=new.limit,
                generation=new.generation, user=author.user, check=new.check, exp=new.exp, reason=reason,
            )
        )  # fmt: skip

    # A change for a while: what was before comes back.

    def expire_limits(self) -> None:
        """Put back what held before a change whose time is over."""
        for number, former in list(self.control.former.items()):
            now = self.memory.limits[number]
            if self.ctx.now > now.valid_until_ts:
                del self.control.former[number]
                former.generation, former.seq = now.generation + 1, self.ctx.seq
                self._take(former, now, Author(), 0, Reason.EXPIRED_BY_TIME)
        self._arm_expiries()

    def _arm_expiries(self) -> None:
        due = min((self.memory.limits[n].valid_until_ts for n in self.control.former), default=0)
        if due:
            self.ctx.set_timer(due + 1, EXPIRIES)
        else:
            self.ctx.cancel_timer(EXPIRIES)


def raises(before: Limit | None, m: RiskLimitSet) -> bool:
    """Whether a change allows anything that was not allowed: a new limit may stand before a tighter, wider one."""
    if before is None:
        return True
    if (before.check, before.side, before.currency, before.period_ns) != (m.check, m.side, m.currency, m.period_ns):
        return True
    if scope_key(before.scope) != scope_key(m):
        return True
    if _room(m.check, m.hard, m.exp) > _room(m.check, before.hard, before.exp):
        return True
    if before.warn and not (m.warn and _room(m.check, m.warn, m.exp) <= _room(m.check, before.warn, before.exp)):
        return True
    if _STRICTNESS[m.action] < _STRICTNESS[before.action]:
        return True
    if m.confirmations > before.confirmations or m.ban_ms * 1_000_000 < before.ban_ns:
        return True
    # What was allowed for a while only must not be allowed for longer.
    return before.valid_until_ts != 0 and not 0 < m.valid_until_ts <= before.valid_until_ts


def _room(check: int, bound: int, exp: int) -> tuple[bool, Fraction]:
    """What a bound leaves room for, to be compared: without a bound there is room for everything."""
    if bound == NULL or (check == RiskCheck.CUMULATIVE_FUNDS and bound == 0):
        return True, Fraction(0)
    value = Fraction(10) ** exp * bound
    return False, -value if check in _KEPT_BACK else value
