"""What a limit, a kill, a ban or a command is about, and the one reading of what such a scope covers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from journal.messages.enums import ScopeType
from journal.messages.enums import ScopeType as S
from journal.messages.schema import U8, U16, U32, U64, Message


class Scope(Message):
    """What a limit or command is about; `scope_type` says which ids are read, all given ones must match. 40 bytes."""

    scope_order_id: U64 = 0
    scope_account: U32 = 0
    scope_strategy: U32 = 0
    scope_user: U32 = 0
    scope_group: U32 = 0
    scope_instrument: U32 = 0
    scope_underlying: U32 = 0
    scope_venue: U16 = 0
    scope_source: U16 = 0
    scope_type: Annotated[U8, ScopeType] = 0
    scope_zero8: U8 = 0
    scope_zero16: U16 = 0


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about: an order, or an order to be."""

    order_id: int = 0
    parent_order_id: int = 0
    account: int = 0
    strategy: int = 0
    user: int = 0
    instrument: int = 0
    underlying: int = 0
    venue: int = 0
    source: int = 0
    groups: tuple[int, ...] | None = None
    """The groups (GroupDefined) that one of its other numbers is a member of; None: whoever asks does not know."""


def covers(scope: Scope, s: Subject) -> bool:
    """Whether a scope covers a subject. The type says which ids are read; all of them must match.

    DESTINATION names what a subject does not carry: it covers nothing here; nor does GROUP where the groups are not known."""
    match scope.scope_type:
        case S.GLOBAL:
            return True
        case S.VENUE:
            return scope.scope_venue == s.venue
        case S.ACCOUNT:
            return scope.scope_account == s.account
        case S.STRATEGY:
            return scope.scope_strategy == s.strategy
        case S.USER:
            return scope.scope_user == s.user
        case S.GROUP:
            return s.groups is not None and scope.scope_group in s.groups
        case S.INSTRUMENT:
            return scope.scope_instrument == s.instrument
        case S.UNDERLYING:
            return scope.scope_underlying == s.underlying
        case S.SOURCE:
            return scope.scope_source == s.source
        case S.ACCOUNT_INSTRUMENT:
            return scope.scope_account == s.account and scope.scope_instrument == s.instrument
        case S.STRATEGY_INSTRUMENT:
            return scope.scope_strategy == s.strategy and scope.scope_instrument == s.instrument
        case S.ORDER_TREE:
            return scope.scope_order_id in (s.order_id, s.parent_order_id) and scope.scope_order_id != 0
    return False


def kill_covers(scope: Scope, s: Subject) -> bool:
    """As `covers`, but a scope that cannot be judged here blocks: a kill that reaches too far is undone by its release,
    one that reaches too short is not undone at all."""
    if scope.scope_type == S.GROUP and s.groups is None:
        return True
    judged = scope.scope_type not in (S.UNDEFINED, S.DESTINATION) and scope.scope_type in S.__members__.values()
    return covers(scope, s) if judged else True


__all__ = ["Scope", "Subject", "covers", "kill_covers"]
