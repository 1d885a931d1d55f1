"""Violations: a limit that was met by an order, told as an event and an alert, and what the limit wants done about it.

One of a kind (limit, verdict, strategy) is told at once, those of the next second together: the stream stays readable, and
nothing is lost. All by the stream's time."""

from __future__ import annotations

from journal.messages import (
    AlertSeverity,
    AlertState,
    CheckResult,
    KillLevel,
    KillTrigger,
    LimitAction,
    Reason,
    RiskCheck,
    Scope,
    ScopeType,
    TradingState,
    Violation,
)
from riskengine.approvals import EXPIRIES, Approvals
from riskengine.bans import BANS
from riskengine.conduct import offender
from riskengine.controlled import Told, scope_of
from riskengine.countdown import COUNTDOWNS
from riskengine.deadman import WATCHES
from riskengine.kills import APPROVALS
from riskengine.limits import Limit
from riskengine.numbers import clip
from riskengine.proposal import Proposal, Verdict

VIOLATIONS = 5 << 48
"""Timer token."""
TELL_NS = 1_000_000_000
"""Violations of one kind are told once in so long."""
_KIND = 1 << 48
_NOT_KNOWN = (Reason.REFERENCE_PRICE_UNAVAILABLE, Reason.MARGIN_CALCULATION_FAILED, Reason.LIMIT_NOT_DEFINED)
"""Refused because something could not be computed: that is no breach, and nobody is killed for a price that is missing."""
_ONLY_REFUSED = (LimitAction.UNDEFINED, LimitAction.WARN, LimitAction.REJECT, LimitAction.REDUCE_ONLY)
"""Done by the decision itself: what reduces passes a limit of REDUCE_ONLY."""


class Violations(Approvals):
    """The top of the engine's control: what every decision may lead to."""

    def violated(self, p: Proposal, verdicts: list[Verdict]) -> None:
        """Tell what limits a proposal has met, and do what they want."""
        for verdict in verdicts:
            limit = self.memory.limits.get(verdict.limit)
            if limit is None or verdict.result not in (CheckResult.FAIL, CheckResult.WARN):
                continue
            if self.control.rules.violations:
                self._tell(p, verdict, limit)
            breached = verdict.result == CheckResult.FAIL and verdict.reason not in _NOT_KNOWN
            if breached and limit.action not in _ONLY_REFUSED:
                count = min(clip(verdict.value), 0xFFFFFFFF)
                self.carry_out(limit, verdict.check, verdict.reason, offender(limit, p.subject), p.subject.strategy, count)

    def _tell(self, p: Proposal, verdict: Verdict, limit: Limit) -> None:
        failed = verdict.result == CheckResult.FAIL
        m = Violation(
            value=clip(verdict.value), bound=clip(verdict.bound), about_seq=self.ctx.seq, limit=limit.limit, count=1,
            check=verdict.check, reason=verdict.reason, exp=verdict.exp, action=limit.action,
            severity=AlertSeverity.ERROR if failed else AlertSeverity.WARNING,
            scope_type=ScopeType.STRATEGY_INSTRUMENT, scope_strategy=p.subject.strategy,
            scope_instrument=p.subject.instrument, scope_account=p.subject.account, scope_venue=p.subject.venue,
        )  # fmt: skip
        key = f"{limit.limit}/{verdict.result}/{p.subject.strategy}"
        told = self.control.told.get(key)
        if told is not None:
            told.count, told.body = told.count + 1, m.encode()
            return
        self.control.told[key] = Told(self.ctx.now)
        self._say(m, AlertState.RAISED)
        self._arm_told()

    def _say(self, m: Violation, state: AlertState) -> None:
        self.ctx.emit(m)
        times = f", {m.count} times" if m.count > 1 else ""
        self.alert(m.reason or m.check, f"{RiskCheck(m.check).name}: {m.value} against {m.bound} (e{m.exp}){times}",
                   scope=m, severity=m.severity, state=state)  # fmt: skip

    def tell_rest(self) -> None:
        """Say together what has come since the first of a kind; forget the kinds that have stopped."""
        for key, told in list(self.control.told.items()):
            if self.ctx.now < told.ts + TELL_NS:
                continue
            if not told.count:
                del self.control.told[key]
                continue
            m = Violation.decode(told.body)
            m.count = told.count
            self.control.told[key] = Told(self.ctx.now)
            self._say(m, AlertState.REPEATED)
        self._arm_told()

    def _arm_told(self) -> None:
        due = min((told.ts + TELL_NS for told in self.control.told.values()), default=0)
        if due:
            self.ctx.set_timer(due, VIOLATIONS)

    # What a limit wants done.

    def carry_out(self, limit: Limit, check: int, reason: int, whom: Scope, strategy: int, count: int) -> None:
        """Each action once: not again while it holds, nor while it is on its way."""
        key = f"{limit.limit}/{'/'.join(str(n) for n in scope_of(whom).values())}"
        if self.control.acted.get(key, 0) > self.ctx.now:
            return
        text = f"limit {limit.limit}: {RiskCheck(check).name}"
        trigger = KillTrigger.REJECT_LOOP if check == RiskCheck.REJECT_LOOP else KillTrigger.LIMIT
        match limit.action:
            case LimitAction.BAN:
                until = self.ctx.now + (limit.ban_ns or self.control.rules.ban_ns)
                self.control.acted[key] = until
                self.ban(whom, check, count=count, until=until)
            case LimitAction.DISABLE_STRATEGY:
                scope = Scope(scope_type=ScopeType.STRATEGY, scope_strategy=strategy) if strategy else whom
                self.restrict(scope, TradingState.HALTED, Reason.STRATEGY_DISABLED, text)
            case LimitAction.CANCEL:
                self.control.acted[key] = self.ctx.now + TELL_NS
                self.cancel_all(whom, Reason(reason))
            case LimitAction.KILL:
                self.kill(whom, trigger, level=KillLevel.BLOCK_CANCEL, reason=text)
            case LimitAction.FLATTEN:
                self.kill(whom, trigger, level=KillLevel.BLOCK_CANCEL_FLATTEN, reason=text)

    def limit_set(self, limit: Limit, before: Limit | None) -> None:
        """What a limit has had done it may have done anew."""
        super().limit_set(limit, before)
        for key in [k for k in self.control.acted if k.partition("/")[0] == str(limit.limit)]:
            del self.control.acted[key]

    # Time.

    def on_timer(self, token: int) -> None:
        """Bans and requests end, handles are missed, violations are told: each has a timer."""
        kind, number = token // _KIND, token % _KIND
        if kind == APPROVALS // _KIND:
            self.expire_approvals()
        elif kind == BANS // _KIND:
            self.lift_bans()
        elif kind == WATCHES // _KIND:
            self.watch_due(number)
        elif kind == COUNTDOWNS // _KIND:
            self.countdown_due(number)
        elif kind == EXPIRIES // _KIND:
            self.expire_limits()
        elif kind == VIOLATIONS // _KIND:
            self.tell_rest()
