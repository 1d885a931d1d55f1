"""Kills as a latch: the one reading of which are in force, what they cover, and who may end them.

Risk engine, order manager and flattener each keep one and reach the same verdict from the stream alone. A kill holds from its
frame on. Its release needs the Approval of a second person: neither who killed nor who asks for the release.

By default that is so for kills by people as soon as two users are defined: with one there is nobody
to ask, and a kill by a limit or a dead man's handle has no first person whom a second one should keep in check.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from journal.messages.enums import CommandCode, KillLevel, KillTrigger, Reason, ScopeType, SourceRole
from journal.messages.operators import Approval, OperatorCommand
from journal.messages.persons import Asked, Author, Persons
from journal.messages.reference import GroupDefined, UserDefined
from journal.messages.risk import KillRelease, KillSwitch
from journal.messages.scopes import Scope, Subject, kill_covers


class SecondPerson(IntEnum):
    """When a release needs one."""

    DEFAULT = 0
    ALWAYS = 1
    NEVER = 2

    @classmethod
    def of(cls, given: bool | None) -> SecondPerson:
        """As a configuration says it."""
        return cls.DEFAULT if given is None else cls.ALWAYS if given else cls.NEVER


class Released(msgspec.Struct, frozen=True):
    """What came of a release: `reason` 0 ended the kill, APPROVAL_REQUIRED lets it wait, anything else refuses."""

    kill: int
    reason: int
    author: Author = Author()


class Latch(msgspec.Struct, array_like=True):
    """The kills of a stream, and the persons who may end them."""

    persons: Persons = msgspec.field(default_factory=Persons)
    groups: dict[int, list[tuple[int, int]]] = {}
    """group → (scope type, member)."""
    killers: dict[int, list[int]] = {}
    """kill in force → users who said it; empty: no person did."""
    by_people: list[int] = []
    """Kills in force that a person said, not a limit or a dead man's handle."""
    second_person: int = SecondPerson.DEFAULT

    # Definitions.

    def on_user_defined(self, m: UserDefined) -> None:
        """Somebody who may ask and approve."""
        self.persons.define(m)

    def on_group_defined(self, m: GroupDefined) -> None:
        """Who belongs to a desk, a book, a portfolio."""
        self.groups[m.group] = [(e.member_type, e.member) for e in m.members]

    def on_operator_command(self, m: OperatorCommand, source: int, seq: int) -> None:
        """Whose word the next frame of this source is."""
        self.persons.command(m, source, seq)

    # The latch.

    def kill(self, m: KillSwitch, *, source: int, role: int) -> None:
        """Holds from here. The same number again adds its person to those whose approval does not count."""
        author = self.persons.author(source, CommandCode.KILL)
        killers = self.killers.setdefault(m.kill, [])
        if author.user and author.user not in killers:
            killers.append(author.user)
        said = author.user or role == SourceRole.OPERATOR or m.trigger in (KillTrigger.UNDEFINED, KillTrigger.OPERATOR)
        if said and m.kill not in self.by_people:
            self.by_people.append(m.kill)

    def release(self, m: KillRelease, *, source: int, seq: int, now: int) -> Released:
        """End a kill, or let its release wait for a second person."""
        author = self.persons.author(source, CommandCode.KILL_RELEASE)
        if m.kill not in self.killers:
            return Released(m.kill, Reason.COMMAND_NOT_APPLICABLE, author)
        if self.persons.unknown(author.user):
            return Released(m.kill, Reason.NOT_AUTHENTICATED, author)
        if self.needs_second_person(m.kill):
            self.persons.ask(KillRelease.KIND, m.encode(), author, seq=seq, now=now, not_by=list(self.killers[m.kill]))
            return Released(m.kill, Reason.APPROVAL_REQUIRED, author)
        self._end(m.kill)
        return Released(m.kill, 0, author)

    def approval(self, m: Approval, now: int) -> tuple[Asked | None, int]:
        """As `Persons.answer`; an approved release ends its kill."""
        wanted, reason = self.persons.answer(m, now)
        if wanted is not None and not reason and wanted.kind == KillRelease.KIND:
            kill = KillRelease.decode(wanted.body).kill
            if kill not in self.killers:
                return wanted, Reason.COMMAND_NOT_APPLICABLE  # two releases were asked for, the other one came first
            self._end(kill)
        return wanted, reason

    def needs_second_person(self, kill: int) -> bool:
        """Whether this kill's release waits for an approval."""
        if self.second_person == SecondPerson.DEFAULT:
            return kill in self.by_people and len(self.persons.users) > 1
        return self.second_person == SecondPerson.ALWAYS

    def _end(self, kill: int) -> None:
        del self.killers[kill]
        if kill in self.by_people:
            self.by_people.remove(kill)

    # What it covers.

    def covers(self, scope: Scope, subject: Subject) -> bool:
        """Whether a kill is about a subject. A group that nobody has defined blocks, as every scope that cannot be judged."""
        if scope.scope_type == ScopeType.GROUP:
            members = self.groups.get(scope.scope_group)
            return members is None or any(_is_member(kind, member, subject) for kind, member in members)
        return kill_covers(scope, subject)


def _is_member(kind: int, member: int, s: Subject) -> bool:
    own = {
        ScopeType.ACCOUNT: s.account, ScopeType.STRATEGY: s.strategy, ScopeType.USER: s.user,
        ScopeType.INSTRUMENT: s.instrument, ScopeType.UNDERLYING: s.underlying, ScopeType.VENUE: s.venue,
    }  # fmt: skip
    return member != 0 and own.get(ScopeType(kind)) == member if kind in own else False


def flattens(kill: KillSwitch) -> bool:
    """Whether positions in its scope are to be closed."""
    return kill.level == KillLevel.BLOCK_CANCEL_FLATTEN


__all__ = ["Latch", "Released", "SecondPerson", "flattens"]
