"""[venue.NAME.budget.NAME]: the rate budgets of a venue, as people write them, and as the OMS gets them."""

from __future__ import annotations

from typing import Any

import msgspec

from journal.messages import RateLimitType
from lockstep import units
from oms.budgets import Kind, Per, Policy, Rule


class BudgetError(ValueError):
    """A value that cannot be: which key, what was found, what was expected."""

    def __init__(self, key: str, found: Any, expected: str) -> None:
        super().__init__(f"{key} = {found!r}: expected {expected}")
        self.key, self.found, self.expected = key, found, expected


class Budget(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One budget."""

    type: str
    limit: int
    window: str
    per: str = "account"
    refill: int = 0
    new: int = 1
    replace: int = 1
    cancel: int = 1
    query: int = 0
    replace_by_age: dict[str, int] = {}
    cancel_by_age: dict[str, int] = {}
    reserve_for_cancels: str = "30%"
    over: str = "queue"
    queue: int = 1000
    venue_counts: str = ""


def rule(b: Budget, *, name: str, venue: int) -> Rule:
    """The OMS's rule; BudgetError names what cannot be."""
    kind = _choice("type", b.type, Kind)
    if b.limit < 1 or b.limit > 10**9:
        raise BudgetError("limit", b.limit, "1 to 1000000000")
    period = _duration("window", b.window)
    if (kind == Kind.TOKEN_BUCKET) != (b.refill > 0):
        raise BudgetError("refill", b.refill, "1 or more tokens each window for a token_bucket, none for the others")
    for key in ("new", "replace", "cancel", "query"):
        if getattr(b, key) < 0:
            raise BudgetError(key, getattr(b, key), "0 (not counted) or more")
    try:
        percent = units.rate_e12(b.reserve_for_cancels)
    except units.WrongUnit as error:
        raise BudgetError("reserve_for_cancels", b.reserve_for_cancels, str(error).partition("expected ")[2]) from None
    if percent % 10**10 or percent > 90 * 10**10:
        raise BudgetError("reserve_for_cancels", b.reserve_for_cancels, "whole percents, '0%' to '90%'")
    if b.queue < 1:
        raise BudgetError("queue", b.queue, "1 or more")
    made = Rule(
        name=name, venue=venue, kind=kind, per=_choice("per", b.per, Per), limit=b.limit, period_ns=period, refill=b.refill,
        costs=(b.new, b.replace, b.cancel, b.query), replace_ages=_ages("replace_by_age", b.replace_by_age),
        cancel_ages=_ages("cancel_by_age", b.cancel_by_age), reserve_percent=percent // 10**10,
        policy=_choice("over", b.over, Policy), queue_max=b.queue,
        limit_type=_choice("venue_counts", b.venue_counts, RateLimitType) if b.venue_counts else 0,
    )  # fmt: skip
    room = made.limit - -(-made.limit * made.reserve_percent // 100)
    if max(b.new, b.replace) > room:
        raise BudgetError("limit", b.limit, f"room for a request of {max(b.new, b.replace)} beside the share of the cancels")
    return made


def _choice(key: str, found: str, choices: Any) -> int:
    names = {m.name.lower(): int(m) for m in choices if m.value}
    if found not in names:
        raise BudgetError(key, found, "one of " + ", ".join(names))
    return names[found]


def _duration(key: str, found: str) -> int:
    try:
        ns = units.duration_ns(found)
    except units.WrongUnit as error:
        raise BudgetError(key, found, str(error).partition("expected ")[2]) from None
    if not 0 < ns <= 7 * 86_400 * 10**9:
        raise BudgetError(key, found, "more than nothing, at most '7d'")
    return ns


def _ages(key: str, found: dict[str, int]) -> list[tuple[int, int]]:
    """(age in ns, cost), ascending by age."""
    for age, cost in found.items():
        if cost < 1:
            raise BudgetError(f"{key}.{age}", cost, "1 or more")
    return sorted((_duration(f"{key}.{age}", age), cost) for age, cost in found.items())
