"""Dead man's handles: a heartbeat that stays away acts, by the stream's time.

A watch is armed by its first heartbeat and disarmed by the end of a session. Each missed interval may lead to more: an alert, a
pause (no new orders, DEAD_MAN_EXPIRED), cancels of what is open, a kill. The heartbeat's return clears the alert and nothing
else: what was paused or canceled stays so until a person sets the trading state to active, what was killed until the release.
"""

from __future__ import annotations

from journal.messages import (
    AbsenceAction,
    AlertSeverity,
    AlertState,
    CancelAll,
    Heartbeat,
    HeartbeatLost,
    KillLevel,
    KillTrigger,
    Reason,
    Scope,
    ScopeType,
    SessionEnd,
)
from riskengine.bans import Bans
from riskengine.controlled import Beat, Watch, scope_of

WATCHES = 3 << 48
"""Timer tokens: this, and the watch's number."""


class DeadMan(Bans):
    """Watches and what their silence leads to."""

    def on_heartbeat(self, m: Heartbeat) -> None:
        """The handle is held; number 0: whichever are this source's."""
        for watch in self.control.rules.watches:
            if watch.source == self.ctx.source and m.watch in (0, watch.watch):
                self._held(watch)

    def _held(self, watch: Watch) -> None:
        beat = self.control.beats.setdefault(watch.watch, Beat())
        beat.seq, beat.ts, beat.missed = self.ctx.seq, self.ctx.now, 0
        if beat.alerted:
            beat.alerted = False
            text = f"heartbeat of {watch.name} is back" + ("; paused until a person says otherwise" if beat.paused_seq else "")
            self.alert(Reason.HEARTBEAT_LOST, text, scope=scope_of_watch(watch), state=AlertState.CLEARED,
                       severity=AlertSeverity.NOTICE)  # fmt: skip
        self._arm_watch(watch, beat)

    def on_session_end(self, _: SessionEnd) -> None:
        """A session ends on purpose: in the next one each handle is taken up anew."""
        for number, beat in self.control.beats.items():
            beat.ts = 0
            self.ctx.cancel_timer(WATCHES + number)

    def watch_due(self, number: int) -> None:
        """One more interval has passed without a heartbeat."""
        watch = next((w for w in self.control.rules.watches if w.watch == number), None)
        beat = self.control.beats.get(number)
        if watch is None or beat is None or not beat.ts:
            return
        missed = (self.ctx.now - beat.ts) // watch.interval_ns
        for after, action in _actions(watch):
            if beat.missed < after <= missed:
                self._act(watch, beat, missed, action)
        beat.missed = max(beat.missed, missed)
        self._arm_watch(watch, beat)

    def _act(self, watch: Watch, beat: Beat, missed: int, action: AbsenceAction) -> None:
        scope = scope_of_watch(watch)
        self.ctx.emit(HeartbeatLost(last_seq=beat.seq, watch=watch.watch, missed=min(missed, 0xFFFF), action=action))
        severity = AlertSeverity.ERROR if action == AbsenceAction.ALERT else AlertSeverity.CRITICAL
        text = f"heartbeat of {watch.name} missed {missed} times: {action.name}"
        self.alert(Reason.HEARTBEAT_LOST, text, scope=scope, severity=severity)
        beat.alerted = True
        if action in (AbsenceAction.PAUSE, AbsenceAction.CANCEL_ALL) and not beat.paused_seq:
            beat.paused_seq = self.ctx.seq
        if action == AbsenceAction.CANCEL_ALL:
            self.cancel_all(scope, Reason.DEAD_MAN_EXPIRED)
        if action == AbsenceAction.KILL:
            self.kill(scope, KillTrigger.DEAD_MAN, level=KillLevel.BLOCK_CANCEL, reason=text)

    def _arm_watch(self, watch: Watch, beat: Beat) -> None:
        after = min((n for n, _ in _actions(watch) if n > beat.missed), default=0)
        if after:
            self.ctx.set_timer(beat.ts + after * watch.interval_ns, WATCHES + watch.watch)
        else:
            self.ctx.cancel_timer(WATCHES + watch.watch)

    def resume(self, watch: int) -> bool:
        """End a pause. A handle that nobody holds is armed again by its next heartbeat."""
        beat = self.control.beats.get(watch)
        if beat is None or not beat.paused_seq:
            return False
        beat.paused_seq = 0
        if beat.missed:
            beat.ts = 0
            self.ctx.cancel_timer(WATCHES + watch)
        return True

    def cancel_all(self, scope: Scope, reason: Reason) -> None:
        """Ask for the cancel of every order in a scope."""
        self.control.sweeps += 1
        self.ctx.emit(CancelAll(request=self.control.sweeps, reason=reason, **scope_of(scope)))


def scope_of_watch(watch: Watch) -> Scope:
    """What a watch acts on."""
    if watch.strategy:
        return Scope(scope_type=ScopeType.STRATEGY, scope_strategy=watch.strategy)
    return Scope(scope_type=ScopeType.GLOBAL)


def _actions(watch: Watch) -> list[tuple[int, AbsenceAction]]:
    """(missed intervals, action) of what is configured, the first first."""
    given = (
        (watch.alert, AbsenceAction.ALERT), (watch.pause, AbsenceAction.PAUSE), (watch.cancel_all, AbsenceAction.CANCEL_ALL),
        (watch.kill, AbsenceAction.KILL),
    )  # fmt: skip
    return sorted((n, action) for n, action in given if n)
