"""Bans: a scope sends nothing for a while; by a limit, ended by time or by a named person."""

from __future__ import annotations

from journal.messages import Ban, BanLifted, CommandCode, Reason, RequestState
from journal.messages.scopes import Scope
from riskengine.controlled import scope_of
from riskengine.states import States

BANS = 2 << 48
"""Timer token."""


class Bans(States):
    """Who is banned. Bans of publishers are the sequencer's own business."""

    def on_ban(self, m: Ban) -> None:
        """Holds from this frame on."""
        if self.ctx.source:
            self.control.bans[self.ctx.seq] = m.encode()
            self._arm()

    def on_ban_lifted(self, m: BanLifted) -> None:
        """Ended before its time, or our own word on one that had passed."""
        author = self.control.latch.persons.author(self.ctx.source, CommandCode.LIFT_BAN)
        if m.ban_seq not in self.control.bans:
            self.answer(author, RequestState.REJECTED, Reason.COMMAND_NOT_APPLICABLE, f"no ban at {m.ban_seq} holds")
            return
        if self.control.latch.persons.unknown(author.user):
            self.alert(Reason.NOT_AUTHENTICATED, f"the ban at {m.ban_seq} is lifted by a named person only")
            return
        del self.control.bans[m.ban_seq]
        self._arm()
        self.answer(author, RequestState.DONE, 0, f"the ban at {m.ban_seq} has ended")

    def lift_bans(self) -> None:
        """Say which bans time has ended."""
        for seq, body in list(self.control.bans.items()):
            if self.ctx.now >= Ban.decode(body).until_ts:
                del self.control.bans[seq]
                self.ctx.emit(BanLifted(ban_seq=seq, reason=Reason.EXPIRED_BY_TIME))
        self._arm()

    def _arm(self) -> None:
        due = min((Ban.decode(body).until_ts for body in self.control.bans.values()), default=0)
        if due:
            self.ctx.set_timer(due, BANS)
        else:
            self.ctx.cancel_timer(BANS)

    def ban(self, scope: Scope, rule: int, *, count: int, until: int) -> None:
        """Ban a scope until then."""
        self.ctx.emit(Ban(until_ts=until, count=count, rule=rule, **scope_of(scope)))
