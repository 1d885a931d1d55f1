"""Limits: which one holds for an order. The most specific scope wins; within one scope the newest generation, then the
tighter bound."""

from __future__ import annotations

import msgspec

from journal.messages import RiskLimitSet, Scope, ScopeType, Side
from journal.messages.scopes import Subject, covers

# From wide to narrow.
_RANK: dict[int, int] = {
    kind: rank
    for rank, kind in enumerate(
        (
            ScopeType.GLOBAL, ScopeType.VENUE, ScopeType.ACCOUNT, ScopeType.USER, ScopeType.SOURCE, ScopeType.STRATEGY,
            ScopeType.UNDERLYING, ScopeType.INSTRUMENT, ScopeType.ACCOUNT_INSTRUMENT, ScopeType.STRATEGY_INSTRUMENT,
            ScopeType.ORDER_TREE,
        )
    )
}  # fmt: skip
_SCOPE_FIELDS = Scope.__struct_fields__


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

    @classmethod
    def of(cls, m: RiskLimitSet, seq: int) -> Limit:
        """The limit a frame sets."""
        scope = Scope(**{name: getattr(m, name) for name in _SCOPE_FIELDS})
        return cls(
            m.limit, m.check, scope, m.side, m.warn, m.hard, m.exp, m.period_ns, m.currency, m.action, m.generation,
            m.valid_until_ts, seq,
        )  # fmt: skip

    def holds(self, subject: Subject, side: int, now: int) -> bool:
        """Whether it is about this order, now."""
        if self.valid_until_ts and now > self.valid_until_ts:
            return False
        if self.side and (self.side == Side.BUY) != (side == Side.BUY):
            return False
        return covers(self.scope, subject)


def in_force(limits: dict[int, Limit], check: int, subject: Subject, side: int, now: int) -> Limit | None:
    """The limit of a check that holds for an order, or None."""
    found = [f for f in limits.values() if f.check == check and f.holds(subject, side, now)]
    return max(found, key=lambda f: (_RANK.get(f.scope.scope_type, -1), f.generation, -f.hard, f.limit), default=None)
