"""A plan of checks as plain numbers: what the kernel (apps/kernel/python/judge.c) reads of it."""

from __future__ import annotations

from journal.messages import NULL
from journal.messages.capabilities import Offer
from journal.messages.tables import Fixed, Table
from riskengine.checks import Check, Plan
from riskengine.codes import RiskCheck
from riskengine.controlled import Beat, Control, Rules
from riskengine.exposure import Book, Cell, Held, Sums, Wish
from riskengine.family import Families
from riskengine.limits import Limit, Named, named
from riskengine.memory import Instrument, Memory, Seen, Touch
from riskengine.usage import Usage
from riskengine.view import Area, View
from riskengine.world import World

KNOWN = frozenset(
    {
        RiskCheck.KILL_SWITCH, RiskCheck.TRADING_STATE, RiskCheck.GATE, RiskCheck.PERMISSION, RiskCheck.BAN,
        RiskCheck.CLIENT_ID_UNIQUE, RiskCheck.INSTRUMENT_TRADABLE, RiskCheck.VENUE_CAPABILITY, RiskCheck.PRICE_INCREMENT,
        RiskCheck.QUANTITY_LIMITS, RiskCheck.LOT_STEP, RiskCheck.QUOTE_QUANTITY_CONVERSION, RiskCheck.NOTIONAL_LIMITS,
        RiskCheck.BOOK_VERIFIED_FRESH, RiskCheck.PRICE_COLLAR, RiskCheck.ORDER_NOTIONAL, RiskCheck.WORKING_ORDERS,
        RiskCheck.POSITION, RiskCheck.ORDER_RATE, RiskCheck.REDUCE_ONLY, RiskCheck.PARENT_INVARIANTS,
        RiskCheck.VENUE_RATE_BUDGET, RiskCheck.DEAD_MAN,
    }
)  # fmt: skip
"""Checks that the kernel can do. Where a plan has another, all its orders are decided in Python."""
CLASSES = {
    cls.__name__: cls
    for cls in (
        World, Memory, Book, Control, Rules, Beat, Usage, Seen, Touch, Instrument, Offer, Held, Wish, Sums, Cell, Area, View,
        Families, Table, Fixed,
    )
}  # fmt: skip
"""Whose objects it reads."""

Row = tuple[int, int | None, bool, int, int, int, int, int, int, int, Named]
Flat = tuple[tuple[Row, ...], tuple[tuple[int, int], ...]]


def flat(view: View, key: tuple[int, int, int, int, int, int]) -> Flat | None:
    """The plan of an owner (account, strategy, user, source, instrument) and side, as rows of (check, limit, off, hard, warn,
    period_ns, seq, currency, exp, kind of the limit's scope, what that names), and the limits (number, period_ns) that its
    messages count towards. None: the kernel does not know one of the checks."""
    plan: Plan = view.plans[key]
    if not all(row.check in KNOWN for row, _ in plan):
        return None
    account, strategy, user, source, instrument, side = key
    subject = view.subject(account, strategy, user, instrument, source=source)
    rates = tuple((f.limit, f.period_ns) for f in view.limits.about(RiskCheck.ORDER_RATE, subject, side, 0))
    return tuple(_row(row, limit) for row, limit in plan), rates


def _row(row: Check, limit: Limit | None) -> Row:
    if limit is None or row.fixed:
        return int(row.check), None, False, 0, 0, 0, 0, 0, 0, 0, 0
    return (
        int(row.check), limit.limit, limit.hard == NULL, limit.hard, limit.warn, limit.period_ns, limit.seq, limit.currency,
        limit.exp, limit.scope.scope_type, named(limit.scope),
    )  # fmt: skip
