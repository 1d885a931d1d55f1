"""Every bound of every check, to the last unit: at the bound an order passes, one unit beyond it does not, one within it does.
A check with a bound and no edge fails here, and so does a check that nobody has said anything about."""

from __future__ import annotations

import pytest
from edges import EDGES, NOW, Edge, banned, decide
from risk_recorder import outcome

from journal.messages import CheckResult, Decision, Reason, RiskDecision
from journal.messages import RiskCheck as C
from lockstep.risk_limits import BOUNDS, Bound
from riskengine.checks import CHECKS

WITHOUT_EDGE = {
    C.KILL_SWITCH: "there is a kill or not",
    C.TRADING_STATE: "a state",
    C.GATE: "a phase",
    C.PERMISSION: "an owner",
    C.BAN: "its end is a time, and ends it for everybody: below",
    C.CLIENT_ID_UNIQUE: "an id",
    C.QUOTE_QUANTITY_CONVERSION: "there is a price or not",
    C.VENUE_RATE_BUDGET: "warns beyond its bound, never refuses: test_risk_budget",
    C.DEAD_MAN: "a watch has paused or not; its intervals are in test_control",
    C.RESTRICTED_LIST: "on the list or not",
}


def results(decision: RiskDecision, edge: Edge) -> list[int]:
    """What the edge's check said; nothing where it is not listed."""
    return [c.result for c in decision.checks if c.check == edge.check]


@pytest.mark.parametrize("edge", EDGES, ids=lambda e: f"{e.check.name}: {e.name}")
def test_one_unit_beyond_its_bound_an_order_is_refused(edge: Edge) -> None:
    for bound in (edge.value, edge.within):
        passed = decide(edge, bound)
        assert (passed.decision, passed.reason) == (Decision.PASS, 0), bound
        assert CheckResult.PASS in results(passed, edge) or edge.limits is None
    refused = decide(edge, edge.beyond)
    assert (refused.decision, refused.reason) == (Decision.REJECT, edge.reason)
    assert [c.check for c in refused.checks if c.result == CheckResult.FAIL] == [edge.check]
    if edge.shown:
        seen = outcome(refused, edge.check)
        assert (seen.value, seen.bound) == (edge.value, edge.beyond)


def test_the_reason_of_every_edge_is_on_the_page_of_checks() -> None:
    from test_risk_page import ROWS

    for edge in EDGES:
        assert edge.reason.name in ROWS[edge.check][3].split(", "), (edge.check.name, edge.reason.name)


def test_a_ban_holds_until_its_last_nanosecond() -> None:
    at = NOW + 1000
    for until, reason in ((at, 0), (at + 1, Reason.RATE_BAN), (at - 1, 0)):
        r = banned(until)
        assert r.new(ns=at - r.now).reason == reason


def test_every_check_with_a_bound_has_an_edge() -> None:
    with_edge = {edge.check for edge in EDGES}
    assert with_edge.isdisjoint(WITHOUT_EDGE)
    left = {row.check for row in CHECKS} - with_edge - set(WITHOUT_EDGE)
    assert not left, f"write an edge for {sorted(c.name for c in left)}, or say why there is none"
    bounded = {check for check, bound in BOUNDS.items() if bound not in (Bound.SWITCH, Bound.NONE)}
    left = bounded - {edge.check for edge in EDGES if edge.limits is not None}
    assert not left, f"write an edge for the limit of {sorted(c.name for c in left)}"
