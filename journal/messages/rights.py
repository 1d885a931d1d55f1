"""Who may see what: the one reading of users, desks and groups. The OMS answers downloads by it, a drop copy filters by it.

A user sees the orders, trades and positions that are his own; those of the strategies he owns; those of every account,
strategy, instrument and user of the groups he belongs to (his desk is the group of that number); and, with the role SEES_ALL,
everything.
"""

from __future__ import annotations

import msgspec

from journal.messages.enums import ScopeType
from journal.messages.reference import GroupDefined, StrategyDefined, UserDefined

SEES_ALL = 1 << 0
"""UserDefined.roles: a supervisor, an auditor."""


class Rights(msgspec.Struct, array_like=True):
    """A fold of the definitions."""

    roles: dict[int, int] = {}
    desks: dict[int, int] = {}
    owners: dict[int, int] = {}
    """Strategy → user."""
    groups: dict[int, list[tuple[int, int]]] = {}
    """Group → (ScopeType, number) of its members."""

    def on_user_defined(self, m: UserDefined) -> None:
        """A person or program."""
        self.roles[m.user], self.desks[m.user] = m.roles, m.desk

    def on_strategy_defined(self, m: StrategyDefined) -> None:
        """Whose strategy it is."""
        self.owners[m.strategy] = m.owner_user

    def on_group_defined(self, m: GroupDefined) -> None:
        """A desk, a book, a portfolio."""
        self.groups[m.group] = [(member.member_type, member.member) for member in m.members]

    def sees(self, user: int, *, account: int, strategy: int, instrument: int, of_user: int = 0) -> bool:
        """Whether a user may see what belongs to these. An unknown user sees nothing."""
        if user not in self.roles:
            return False
        if self.roles[user] & SEES_ALL or user == of_user or (strategy and self.owners.get(strategy) == user):
            return True
        theirs = (
            (ScopeType.ACCOUNT, account), (ScopeType.STRATEGY, strategy), (ScopeType.INSTRUMENT, instrument),
            (ScopeType.USER, of_user),
        )  # fmt: skip
        return any(
            any(pair in members for pair in theirs if pair[1])
            for group, members in self.groups.items()
            if group == self.desks[user] or (ScopeType.USER, user) in members
        )


__all__ = ["SEES_ALL", "Rights"]
