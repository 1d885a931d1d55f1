"""What holds of every check alike: a limit switches it off, the narrower limit holds and is shown, and whatever counts open
orders counts those whose outcome is not known as if they worked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from edges import (
    CHILD,
    EDGES,
    PERPETUAL,
    REDUCE,
    SELL,
    USD,
    WINDOW,
    Edge,
    balance,
    decide,
    equity,
    family,
    holding,
    told,
    world,
)
from risk_recorder import ACCOUNT, INSTRUMENT, MAKER, VENUE, RiskRecorder, outcome

from journal.messages import (
    NULL,
    CheckResult,
    Decision,
    GroupDefined,
    GroupMember,
    KillSwitch,
    LimitAction,
    OrdStatus,
    RiskDecision,
    ScopeType,
    Side,
)
from journal.messages import RiskCheck as C
from riskengine.checks import CHECKS

DESK, EUR = 4, 978
FIXED = {row.check for row in CHECKS if row.fixed}
ALONE = {"scope_type": ScopeType.STRATEGY_INSTRUMENT, "scope_strategy": MAKER, "scope_instrument": INSTRUMENT}
SCOPES: list[dict[str, int]] = [
    {"scope_type": ScopeType.GLOBAL},
    {"scope_type": ScopeType.VENUE, "scope_venue": VENUE},
    {"scope_type": ScopeType.GROUP, "scope_group": DESK},
    {"scope_type": ScopeType.ACCOUNT, "scope_account": ACCOUNT},
    {"scope_type": ScopeType.STRATEGY, "scope_strategy": MAKER},
    {"scope_type": ScopeType.INSTRUMENT, "scope_instrument": INSTRUMENT},
    {"scope_type": ScopeType.ACCOUNT_INSTRUMENT, "scope_account": ACCOUNT, "scope_instrument": INSTRUMENT},
    ALONE,
]
"""From wide to narrow: what a configuration can name."""
OF_A_CONNECTION = SCOPES[:4]
"""A connection is lost by a venue and account, not by a strategy or an instrument."""
LIMITED = [edge for edge in EDGES if edge.limits is not None]


def name(edge: Edge) -> str:
    return f"{edge.check.name}: {edge.name}"


@pytest.mark.parametrize("edge", EDGES, ids=name)
def test_a_limit_that_is_off_switches_the_check_off_for_its_scope(edge: Edge) -> None:
    off = {"limit": 99, "exp": 0, **ALONE}
    decision = decide(edge, edge.beyond, lambda r: r.limit(edge.check, NULL, **off))
    if edge.check in FIXED:
        assert decision.reason == edge.reason
        return
    assert decision.decision == Decision.PASS
    shown = outcome(decision, edge.check)
    assert (shown.result, shown.limit) == (CheckResult.NOT_APPLICABLE, 99)


@pytest.mark.parametrize("edge", LIMITED, ids=name)
def test_the_narrower_limit_holds_and_is_shown(edge: Edge) -> None:
    for wide, narrow in pairwise(OF_A_CONNECTION if edge.check == C.RECONNECT_RATE else SCOPES):
        for first, second, reason in ((edge.beyond, edge.within, 0), (edge.within, edge.beyond, edge.reason)):
            decision = scoped(edge, (wide, first), (narrow, second))
            assert decision.reason == reason, (wide, narrow)
            assert outcome(decision, edge.check).limit == 2, (wide, narrow)
            # Which of them came first does not matter.
            decision = scoped(edge, (narrow, second), (wide, first))
            assert (decision.reason, outcome(decision, edge.check).limit) == (reason, 1), (wide, narrow)


def scoped(edge: Edge, *limits: tuple[dict[str, int], int]) -> RiskDecision:
    assert edge.limits is not None
    RiskRecorder.made.clear()  # a restart of each would take a minute: others see to that
    desk = GroupDefined(group=DESK, members=[GroupMember(member=ACCOUNT, member_type=ScopeType.ACCOUNT)])
    return edge.ask(edge.limits(*limits, first=told(desk)))


@pytest.mark.parametrize("edge", LIMITED, ids=name)
def test_a_limit_that_only_warns_lets_it_pass(edge: Edge) -> None:
    decision = scoped(edge, ({"action": LimitAction.WARN}, edge.beyond))
    assert (decision.decision, decision.reason) == (Decision.PASS_WITH_WARNING, 0)
    assert (outcome(decision, edge.check).result, outcome(decision, edge.check).limit) == (CheckResult.WARN, 1)


@pytest.mark.parametrize("edge", LIMITED, ids=name)
def test_beyond_its_warning_it_passes_with_one(edge: Edge) -> None:
    far = 0 if edge.least else 1000 * edge.value
    for warn, result in ((edge.value, CheckResult.PASS), (edge.within, CheckResult.PASS), (edge.beyond, CheckResult.WARN)):
        decision = scoped(edge, ({"warn": warn}, far))
        assert decision.reason == 0
        assert (outcome(decision, edge.check).result, outcome(decision, edge.check).limit) == (result, 1), warn


class Counted(NamedTuple):
    """A check that counts open orders: an order, and another one before it that counts towards it."""

    check: C
    world: RiskRecorder
    order: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    other: dict[str, Any] = {}  # noqa: RUF012


def with_limit(check: C, *messages: Any, instrument: Any = None, **terms: Any) -> RiskRecorder:
    r = world(**(instrument or {}))
    told(*messages)(r)
    r.limit(check, 10**15, **({"exp": -4, "currency": USD} | terms))
    return r


COUNTED = {
    C.WORKING_ORDERS: lambda c: Counted(c, with_limit(c)),
    C.POSITION: lambda c: Counted(c, with_limit(c)),
    C.GROSS_EXPOSURE: lambda c: Counted(c, with_limit(c)),
    C.NET_EXPOSURE: lambda c: Counted(c, with_limit(c)),
    C.FUNDS: lambda c: Counted(c, with_limit(c, balance(10**9), action=LimitAction.WARN)),
    C.MARGIN: lambda c: Counted(c, with_limit(c, equity(10**9), instrument=PERPETUAL, action=LimitAction.WARN)),
    C.LEVERAGE: lambda c: Counted(c, with_limit(c, equity(100, 0))),
    C.CONCENTRATION: lambda c: Counted(c, with_limit(c, equity(100, 0))),
    C.CREDIT: lambda c: Counted(c, with_limit(c), {}, SELL),
    C.SHORT_SELL: lambda c: Counted(c, with_limit(c), SELL, SELL),
    C.TURNOVER: lambda c: Counted(c, with_limit(c, **WINDOW), {}, SELL),
    C.SELF_TRADE: lambda c: Counted(c, with_limit(c, action=LimitAction.WARN), {}, SELL),
    C.REDUCE_ONLY: lambda c: Counted(c, holding(1000), SELL | REDUCE, SELL | REDUCE),
    C.PARENT_INVARIANTS: lambda c: Counted(c, family(1000), CHILD, CHILD),
}
OF_NO_OPEN_ORDERS = {
    # The order alone, or who sends it.
    C.KILL_SWITCH, C.TRADING_STATE, C.GATE, C.PERMISSION, C.BAN, C.CLIENT_ID_UNIQUE, C.INSTRUMENT_TRADABLE, C.VENUE_CAPABILITY,
    C.PRICE_INCREMENT, C.QUANTITY_LIMITS, C.LOT_STEP, C.QUOTE_QUANTITY_CONVERSION, C.NOTIONAL_LIMITS, C.BOOK_VERIFIED_FRESH,
    C.PRICE_COLLAR, C.PRICE_COLLAR_WINDOW, C.ORDER_NOTIONAL, C.DEAD_MAN, C.RESTRICTED_LIST,
    # What went before, whatever became of it.
    C.ORDER_RATE, C.RECONNECT_RATE, C.DUPLICATE, C.VENUE_RATE_BUDGET, C.DAILY_LOSS, C.DRAWDOWN, C.LOSS_STREAK,
    C.REPEATED_EXECUTION, C.REJECT_LOOP,
    # A list needs what its orders need until it is over; unknown orders are counted for themselves.
    C.CUMULATIVE_FUNDS, C.UNKNOWN_ORDERS,
}  # fmt: skip


def test_of_every_check_it_is_known_whether_it_counts_open_orders() -> None:
    assert set(COUNTED).isdisjoint(OF_NO_OPEN_ORDERS)
    assert set(COUNTED) | OF_NO_OPEN_ORDERS == {row.check for row in CHECKS}


# POSITION shows no limit here: days that were recorded before would be decided otherwise.
SHOWN_ALWAYS = sorted(set(COUNTED) - FIXED - {C.WORKING_ORDERS, C.REDUCE_ONLY, C.POSITION})


@pytest.mark.parametrize("check", SHOWN_ALWAYS, ids=lambda check: check.name)
def test_what_asks_for_nothing_more_passes_above_the_bound_and_shows_whose_it_is(check: C) -> None:
    counted = COUNTED[check](check)
    r = counted.world
    order_id = r.new(**counted.order).order_id
    most = 10**15 if check in (C.FUNDS, C.MARGIN) else 0  # of these, what is kept back
    r.limit(check, most, generation=1, **({"exp": -4, "currency": USD} | (WINDOW if check == C.TURNOVER else {})))
    shown = outcome(r.replace(order_id, order_qty=50), check)
    assert (shown.result, shown.limit) == (CheckResult.PASS, int(check))


@pytest.mark.parametrize("check", COUNTED, ids=lambda check: check.name)
def test_an_order_counts_in_full_until_its_end_is_known(check: C) -> None:
    counted = COUNTED[check](check)
    r = counted.world

    def value() -> int:
        """What the check sees of the order; which is gone again before the next."""
        decision = r.new(**counted.order)
        assert decision.reason == 0
        told_of(decision.order_id, OrdStatus.CANCELED, counted.order)
        return outcome(decision, check).value

    def told_of(order_id: int, status: int, terms: dict[str, Any]) -> None:
        parent = {"parent_order_id": p} if (p := terms.get("parent_order_id")) else {}
        r.report(order_id, status, qty=100, side=terms.get("side", Side.BUY), exec_inst=terms.get("exec_inst", 0), **parent)

    alone = value()
    other = r.new(**counted.other).order_id
    both = value()
    assert both > alone
    for status in (OrdStatus.PENDING_NEW, OrdStatus.NEW, OrdStatus.PENDING_CANCEL, OrdStatus.UNKNOWN):
        told_of(other, status, counted.other)
        assert value() == both, OrdStatus(status).name
    r.replace(other, order_qty=50)  # may be refused or lost: the larger of both counts
    assert value() == both
    told_of(other, OrdStatus.CANCELED, counted.other)
    assert value() == alone
    r.engine.check()


UNKNOWN_WORTH: dict[C, dict[str, Any]] = {
    C.PRICE_COLLAR: {"exp": -12}, C.PRICE_COLLAR_WINDOW: {"exp": -12, **WINDOW}, C.ORDER_NOTIONAL: {"currency": EUR},
    C.GROSS_EXPOSURE: {"currency": EUR}, C.NET_EXPOSURE: {"currency": EUR}, C.CREDIT: {"currency": EUR},
    C.TURNOVER: {"currency": EUR, **WINDOW}, C.LEVERAGE: {}, C.CONCENTRATION: {}, C.MARGIN: {},
}  # fmt: skip


@pytest.mark.parametrize("check", UNKNOWN_WORTH, ids=lambda check: check.name)
def test_what_cannot_be_computed_is_refused_and_kills_nobody(check: C) -> None:
    terms = {"exp": 0} | UNKNOWN_WORTH[check]
    r = world(**(PERPETUAL if check == C.MARGIN else {}))
    if check == C.PRICE_COLLAR:
        r.touch(NULL, NULL)
    r.limit(check, 10**9, **terms, action=LimitAction.KILL)
    refused = r.new()
    assert refused.decision == Decision.REJECT
    assert (outcome(refused, check).result, outcome(refused, check).limit) == (CheckResult.FAIL, int(check))
    assert r.said(KillSwitch) == []
    r.limit(check, 10**9, generation=1, **terms, action=LimitAction.WARN)
    assert (r.new().decision, outcome(r.last(), check).result) == (Decision.PASS_WITH_WARNING, CheckResult.WARN)
