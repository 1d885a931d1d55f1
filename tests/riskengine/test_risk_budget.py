"""VENUE_RATE_BUDGET: what the venue said and what went since, shown and never enforced."""

from __future__ import annotations

import pytest
from risk_recorder import ACCOUNT, GATEWAY, SECOND, VENUE, RiskRecorder

from journal.messages import (
    CheckResult,
    Decision,
    ExecType,
    OrdStatus,
    RateLimit,
    RateLimitType,
    RateLimitUsage,
    RiskCheck,
)


def told(r, **row):
    base = {"limit_type": RateLimitType.ORDER_ACTION, "limit": 10, "used": 5, "period_ns": SECOND}
    r.frame(RateLimitUsage(venue=VENUE, account=ACCOUNT, limits=[RateLimit(**(base | row))]), GATEWAY)
    return r


def shown(decision):
    return next(((c.value, c.bound, c.result) for c in decision.checks if c.check == RiskCheck.VENUE_RATE_BUDGET), None)


def test_it_is_listed_only_where_the_venue_tells():
    r = RiskRecorder().open_world()
    assert shown(r.new()) is None
    told(r, limit_type=RateLimitType.CONNECTION)
    assert shown(r.new()) is None


@pytest.mark.parametrize(("used", "result"), [(8, CheckResult.PASS), (9, CheckResult.PASS), (10, CheckResult.WARN)])
def test_the_limit_itself_is_within(used, result):
    found = told(RiskRecorder().open_world(), used=used).new()
    assert shown(found) == (used + 1, 10, result)
    assert found.decision == (Decision.PASS if result == CheckResult.PASS else Decision.PASS_WITH_WARNING)


def test_what_was_routed_since_counts_and_time_takes_it_away():
    r = told(RiskRecorder().open_world())
    order_id = r.new().order_id
    r.report(order_id, OrdStatus.PENDING_NEW, qty=100, exec_type=ExecType.PENDING_NEW)
    r.report(order_id, OrdStatus.NEW, qty=100, exec_type=ExecType.NEW)
    r.report(order_id, OrdStatus.PENDING_CANCEL, qty=100, exec_type=ExecType.PENDING_CANCEL)
    assert shown(r.new()) == (8, 10, CheckResult.PASS)
    assert shown(r.new(ns=SECOND)) == (1, 10, CheckResult.PASS)


def test_a_window_ends_when_the_venue_says():
    r = RiskRecorder().open_world()
    told(r, end_ts=r.now + 100, period_ns=60 * SECOND)
    assert shown(r.new()) == (6, 10, CheckResult.PASS)
    assert shown(r.new(ns=100)) == (1, 10, CheckResult.PASS)


def test_cancels_are_not_new_orders():
    r = told(RiskRecorder().open_world(), limit_type=RateLimitType.CREATE_ORDER)
    order_id = r.new().order_id
    r.report(order_id, OrdStatus.PENDING_CANCEL, qty=100, exec_type=ExecType.PENDING_CANCEL)
    assert shown(r.new()) == (6, 10, CheckResult.PASS)
