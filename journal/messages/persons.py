"""Who says something on the stream, and whose second word it needs: the one reading of it, for all who judge.

A person's frame (a kill, its release, a limit) follows an OperatorCommand of the same source, which names the person. What
needs a second person waits here until an Approval of another one; the same one's does not count. Pure state: equal streams,
equal bytes.
"""

from __future__ import annotations

import msgspec

from journal.messages.enums import ApprovalDecision, CommandCode, Reason
from journal.messages.operators import Approval, OperatorCommand
from journal.messages.reference import UserDefined

APPROVAL_VALID_NS = 3_600_000_000_000
"""How long a request waits for its second person unless the configuration says otherwise."""


class Author(msgspec.Struct, frozen=True):
    """Who a frame is from; all 0 when nobody is named."""

    user: int = 0
    request: int = 0
    command_seq: int = 0


class Asked(msgspec.Struct, array_like=True):
    """A request that waits for a second person."""

    seq: int
    """Of the frame that is wanted (KillRelease, RiskLimitSet)."""
    command_seq: int
    request: int
    user: int
    kind: int
    body: bytes
    until_ts: int
    not_by: list[int]
    """Whose approval does not count, besides the asker's."""


class Persons(msgspec.Struct, array_like=True):
    """Users, their last commands, and what waits for another one of them."""

    users: list[int] = []
    spoken: dict[int, tuple[int, int, int, int]] = {}
    """source → (seq, request, user, command) of its last OperatorCommand that nothing has followed yet."""
    asked: list[Asked] = []
    valid_ns: int = APPROVAL_VALID_NS

    def define(self, m: UserDefined) -> None:
        """A person or program that may say something."""
        if m.user not in self.users:
            self.users.append(m.user)

    def command(self, m: OperatorCommand, source: int, seq: int) -> None:
        """The typed frame it leads to comes next from the same source. Nobody is defined: nobody is remembered."""
        if self.users:
            self.spoken[source] = (seq, m.request, m.user, m.command)

    def author(self, source: int, command: CommandCode) -> Author:
        """Who is behind a frame of this source: the command just before it, if it is of that kind. One command, one frame."""
        seq, request, user, code = self.spoken.pop(source, (0, 0, 0, 0))
        return Author(user, request, seq) if code == command else Author()

    def unknown(self, user: int) -> bool:
        """Persons are defined, and this is none of them."""
        return bool(self.users) and user not in self.users

    def ask(self, kind: int, body: bytes, author: Author, *, seq: int, now: int, not_by: list[int]) -> Asked:
        """Let a request wait for its second person."""
        wanted = Asked(seq, author.command_seq, author.request, author.user, kind, body, now + self.valid_ns, not_by)
        self.asked.append(wanted)
        return wanted

    def answer(self, m: Approval, now: int) -> tuple[Asked | None, int]:
        """What an Approval is about, and why it does not put it in force (0: it does). One that is decided waits no more."""
        wanted = next((a for a in self.asked if m.request_seq and m.request_seq in (a.seq, a.command_seq)), None)
        if wanted is None:
            return None, Reason.COMMAND_NOT_APPLICABLE
        if now > wanted.until_ts:
            self.asked.remove(wanted)
            return wanted, Reason.APPROVAL_EXPIRED
        if not m.user or self.unknown(m.user):
            return wanted, Reason.NOT_AUTHENTICATED
        if m.decision == ApprovalDecision.REFUSED:
            self.asked.remove(wanted)
            return wanted, Reason.APPROVAL_REFUSED
        if m.decision != ApprovalDecision.APPROVED:
            return wanted, Reason.INVALID_VALUE
        if m.user == wanted.user or m.user in wanted.not_by:
            return wanted, Reason.SAME_PERSON
        self.asked.remove(wanted)
        return wanted, 0

    def expire(self, now: int) -> list[Asked]:
        """Take out what has waited for too long."""
        over = [a for a in self.asked if now > a.until_ts]
        self.asked = [a for a in self.asked if now <= a.until_ts]
        return over


__all__ = ["APPROVAL_VALID_NS", "Asked", "Author", "Persons"]
