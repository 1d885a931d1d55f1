"""Limits: which one holds for an order. The most specific scope wins; within one scope the newest generation, then the
tighter bound. They are kept by check and by what their scope names, so that a lookup does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from journal.messages import NULL, RiskLimitSet, Scope, ScopeType, Side
from journal.messages.scopes import Subject

Named = int | tuple[int, int]
"""What a scope names: one number, or two."""

SPECIFICITY: tuple[ScopeType, ...] = (
    ScopeType.GLOBAL, ScopeType.VENUE, ScopeType.GROUP, ScopeType.ACCOUNT, ScopeType.USER, ScopeType.SOURCE,
    ScopeType.STRATEGY, ScopeType.UNDERLYING, ScopeType.INSTRUMENT, ScopeType.ACCOUNT_INSTRUMENT,
    ScopeType.STRATEGY_INSTRUMENT, ScopeType.ORDER_TREE,
)  # fmt: skip
"""Kinds of scope, from wide to narrow."""

# What a subject is called in a scope of each kind: `journal.messages.scopes.covers`, turned round.
_NAMES: dict[int, Callable[[Subject], Iterable[Named]]] = {
    ScopeType.GLOBAL: lambda _: (0,),
    ScopeType.VENUE: lambda s: (s.venue,),
    ScopeType.GROUP: lambda s: s.groups or (),
    ScopeType.ACCOUNT: lambda s: (s.account,),
    ScopeType.USER: lambda s: (s.user,),
    ScopeType.SOURCE: lambda s: (s.source,),
    ScopeType.STRATEGY: lambda s: (s.strategy,),
    ScopeType.UNDERLYING: lambda s: (s.underlying,),
    ScopeType.INSTRUMENT: lambda s: (s.instrument,),
    ScopeType.ACCOUNT_INSTRUMENT: lambda s: ((s.account, s.instrument),),
    ScopeType.STRATEGY_INSTRUMENT: lambda s: ((s.strategy, s.instrument),),
    ScopeType.ORDER_TREE: lambda s: tuple(n for n in (s.order_id, s.parent_order_id) if n),
}
_NAMED: dict[int, Callable[[Scope], Named]] = {
    ScopeType.GLOBAL: lambda _: 0,
    ScopeType.VENUE: lambda s: s.scope_venue,
    ScopeType.GROUP: lambda s: s.scope_group,
    ScopeType.ACCOUNT: lambda s: s.scope_account,
    ScopeType.USER: lambda s: s.scope_user,
    ScopeType.SOURCE: lambda s: s.scope_source,
    ScopeType.STRATEGY: lambda s: s.scope_strategy,
    ScopeType.UNDERLYING: lambda s: s.scope_underlying,
    ScopeType.INSTRUMENT: lambda s: s.scope_instrument,
    ScopeType.ACCOUNT_INSTRUMENT: lambda s: (s.scope_account, s.scope_instrument),
    ScopeType.STRATEGY_INSTRUMENT: lambda s: (s.scope_strategy, s.scope_instrument),
    ScopeType.ORDER_TREE: lambda s: s.scope_order_id,
}
_SCOPE_FIELDS = Scope.__struct_fields__


def names(kind: int, subject: Subject) -> Iterable[Named]:
    """What a subject is called in scopes of a kind."""
    return _NAMES[kind](subject)


def named(scope: Scope) -> Named:
    """What a scope names."""
    return _NAMED[scope.scope_type](scope)


class Limit(msgspec.Struct, array_like=True):
    """One limit in force (RiskLimitSet)."""

    limit: int
    check: int
    scope: Scope
    side: int
    warn: int
    hard: int
    exp: int
    period_ns: int
    currency: int
    action: int
    generation: int
    valid_until_ts: int
    seq: int
    confirmations: int = 0
    ban_ns: int = 0

    @classmethod
    def of(cls, m: RiskLimitSet, seq: int) -> Limit:
        """The limit a frame sets."""
        scope = Scope(**{name: getattr(m, name) for name in _SCOPE_FIELDS})
        return cls(
            m.limit, m.check, scope, m.side, m.warn, m.hard, m.exp, m.period_ns, m.currency, m.action, m.generation,
            m.valid_until_ts, seq, m.confirmations, m.ban_ms * 1_000_000,
        )  # fmt: skip

    @property
    def off(self) -> bool:
        """It switches the check off for what it covers."""
        return self.hard == NULL

    def now_for(self, side: int, now: int) -> bool:
        """Whether it is about this side, now. What has no side (0) is either."""
        if self.valid_until_ts and now > self.valid_until_ts:
            return False
        return not (self.side and side and (self.side == Side.BUY) != (side == Side.BUY))


class Limits:
    """The limits of a memory, indexed. Nothing of its own: it can be made again at any time."""

    def __init__(self, limits: dict[int, Limit]) -> None:
        found: dict[int, dict[int, dict[Named, list[Limit]]]] = {}
        for limit in limits.values():
            kind = limit.scope.scope_type
            if kind in _NAMED:
                row = found.setdefault(limit.check, {}).setdefault(kind, {})
                row.setdefault(named(limit.scope), []).append(limit)
        self._rows = {
            check: [(_NAMES[kind], kinds[kind]) for kind in reversed(SPECIFICITY) if kind in kinds]
            for check, kinds in found.items()
        }  # fmt: skip
        """check → narrow to wide: (what a subject is called there, name → limits)."""
        self.lasting = not any(f.valid_until_ts or f.scope.scope_type == ScopeType.ORDER_TREE for f in limits.values())
        """Which limit holds depends on whose order it is and on nothing else."""

    def has(self, check: int) -> bool:
        """Whether any limit is about a check."""
        return check in self._rows

    def in_force(self, check: int, subject: Subject, side: int, now: int) -> Limit | None:
        """The limit of a check that holds for an order, or None."""
        for called, row in self._rows.get(check, ()):
            best = None
            for name in called(subject):
                for limit in row.get(name, ()):
                    if limit.now_for(side, now) and (best is None or _order(limit) > _order(best)):
                        best = limit
            if best is not None:
                return best
        return None

    def about(self, check: int, subject: Subject, side: int, now: int) -> Iterator[Limit]:
        """Every limit of a check that covers a subject, in force or shadowed by a narrower one: for what is counted."""
        for called, row in self._rows.get(check, ()):
            for name in called(subject):
                for limit in row.get(name, ()):
                    if limit.now_for(side, now):
                        yield limit

    def of(self, check: int) -> Iterator[Limit]:
        """All limits of a check."""
        for _, row in self._rows.get(check, ()):
            for limits in row.values():
                yield from limits


def _order(limit: Limit) -> tuple[int, int, int]:
    return limit.generation, -limit.hard, limit.limit
