"""The kill switch: blocks from its frame on, and is ended by a second person only (journal.messages.latch)."""

from __future__ import annotations

from journal.messages import (
    AlertSeverity,
    Approval,
    GroupDefined,
    KillLevel,
    KillRelease,
    KillSwitch,
    KillTrigger,
    OperatorCommand,
    Reason,
    ReconcileDifference,
    RequestState,
    RiskLimitSet,
    Scope,
    ScopeType,
    UserDefined,
)
from journal.messages.latch import Released
from journal.messages.persons import Asked, Author
from riskengine.controlled import scope_of
from riskengine.telling import Telling


class Kills(Telling):
    """Kills and their release, and the approvals that releases and limits wait for."""

    def on_user_defined(self, m: UserDefined) -> None:
        """Somebody who may ask and approve."""
        self.control.latch.on_user_defined(m)

    def on_group_defined(self, m: GroupDefined) -> None:
        """Whom a kill of a group is about."""
        super().on_group_defined(m)
        self.control.latch.on_group_defined(m)

    def on_operator_command(self, m: OperatorCommand) -> None:
        """Whose word comes next."""
        self.control.latch.on_operator_command(m, self.ctx.source, self.ctx.seq)

    def on_kill_switch(self, m: KillSwitch) -> None:
        """Blocks from this frame on. A number that is in force already takes nothing back: both hold until it is released."""
        key = m.kill
        held = self.memory.kills.get(key)
        if held is not None and held[1] != m.encode():
            key = -self.ctx.seq
        self.memory.kills[key] = (self.ctx.seq, m.encode())
        self.control.latch.kill(m, source=self.ctx.source, role=self.memory.roles.get(self.ctx.source, 0))

    def on_kill_release(self, m: KillRelease) -> None:
        """Ends a kill, waits for a second person, or is refused and told."""
        latch = self.control.latch
        came = latch.release(m, source=self.ctx.source, seq=self.ctx.seq, now=self.ctx.now)
        if came.reason == Reason.APPROVAL_REQUIRED:
            self.arm_approvals()
            self.answer(came.author, RequestState.PENDING, came.reason, f"kill {m.kill} holds until another person approves")
            self.alert(came.reason, f"release of kill {m.kill} waits for a second person", severity=AlertSeverity.NOTICE)
        elif came.reason:
            self._refused(came)
        else:
            self._released(m.kill, came.author)

    def _refused(self, came: Released) -> None:
        if not self.control.latch.persons.users:
            return
        self.answer(came.author, RequestState.REJECTED, came.reason, f"kill {came.kill}: {Reason(came.reason).name}")
        self.alert(came.reason, f"release of kill {came.kill} refused: {Reason(came.reason).name}")

    def _released(self, kill: int, author: Author) -> None:
        for key in [k for k, (_, body) in self.memory.kills.items() if KillSwitch.decode(body).kill == kill]:
            del self.memory.kills[key]
        self.answer(author, RequestState.DONE, 0, f"kill {kill} has ended")

    # The second person's word.

    def on_approval(self, m: Approval) -> None:
        """Puts what waits in force, or says why not."""
        wanted, reason = self.control.latch.approval(m, self.ctx.now)
        if wanted is None and m.request_seq in self.control.differences:
            return  # a correction waits for it, in the OMS
        if wanted is None:
            self.alert(reason, f"approval of {m.request_seq}: nothing waits for it", severity=AlertSeverity.NOTICE)
            return
        author = Author(wanted.user, wanted.request, wanted.command_seq)
        if reason == Reason.SAME_PERSON:
            self.answer(author, RequestState.PENDING, reason, "the person who approves has to be another one")
            self.alert(reason, f"approval of the request at {wanted.seq} refused: same person")
        elif reason:
            over = reason in (Reason.APPROVAL_REFUSED, Reason.APPROVAL_EXPIRED, Reason.COMMAND_NOT_APPLICABLE)
            status = RequestState.REJECTED if over else RequestState.PENDING
            self.answer(author, status, reason, f"request at {wanted.seq}: {Reason(reason).name}")
            self.alert(reason, f"request at {wanted.seq}: {Reason(reason).name}", severity=AlertSeverity.WARNING)
        elif wanted.kind == KillRelease.KIND:
            self._released(KillRelease.decode(wanted.body).kill, author)
        else:
            self.approved_limit(wanted)
        self.arm_approvals()

    def on_reconcile_difference(self, _: ReconcileDifference) -> None:
        """A person may correct it, and a second one approve that."""
        self.control.differences.append(self.ctx.seq)
        del self.control.differences[:-DIFFERENCES_MOST]

    def expire_approvals(self) -> None:
        """What nobody approved in time is over."""
        for wanted in self.control.latch.persons.expire(self.ctx.now):
            author = Author(wanted.user, wanted.request, wanted.command_seq)
            self.answer(author, RequestState.REJECTED, Reason.APPROVAL_EXPIRED, "nobody has approved it in time")
            self.alert(Reason.APPROVAL_EXPIRED, f"request at {wanted.seq}: nobody has approved it in time",
                       severity=AlertSeverity.WARNING)  # fmt: skip
        self.arm_approvals()

    def arm_approvals(self) -> None:
        """A timer for the first request that expires."""
        due = min((a.until_ts for a in self.control.latch.persons.asked), default=0)
        if due:
            self.ctx.set_timer(due + 1, APPROVALS)
        else:
            self.ctx.cancel_timer(APPROVALS)

    def approved_limit(self, wanted: Asked) -> None:
        """A limit's second person has said yes."""
        raise NotImplementedError(RiskLimitSet)

    # A kill of our own.

    def kill(self, scope: Scope, trigger: KillTrigger, *, level: KillLevel, reason: str) -> None:
        """Say a kill, unless one of this scope, or of everything, and level is in force. It blocks at once, not only when it
        has come back."""
        for _, body in self.memory.kills.values():
            held = KillSwitch.decode(body)
            wider = held.scope_type == ScopeType.GLOBAL or scope_of(held) == scope_of(scope)
            if wider and held.level >= level:
                return
        self.control.kills += 1
        m = KillSwitch(kill=self.control.kills, level=level, trigger=trigger, reason=reason, **scope_of(scope))
        self.ctx.emit(m)
        self.memory.kills[m.kill] = (self.ctx.seq, m.encode())
        self.control.latch.kill(m, source=self.ctx.source, role=0)


APPROVALS = 1 << 48
"""Timer token."""
DIFFERENCES_MOST = 1024
"""So many are remembered; an account with more is halted long before."""
