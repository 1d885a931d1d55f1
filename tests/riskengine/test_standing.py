"""What a limit has in use when a person sets it: the number its check goes on from, or that it cannot be said."""

from __future__ import annotations

from typing import Any

import pytest
from risk_recorder import (
    ACCOUNT,
    GATEWAY,
    INSTRUMENT,
    MAKER,
    OPERATOR,
    SECOND,
    STRATEGY,
    USD,
    VENUE,
    RiskRecorder,
    outcome,
    why,
)

from journal.messages import (
    NULL,
    ConnectionState,
    ConversionRate,
    CurrencyDefined,
    Decision,
    LimitAcknowledged,
    Mark,
    MarkType,
    OrdStatus,
    Position,
    Reason,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    Side,
    StreamStatus,
    order_id_of,
)

EUR, OTHER_INSTRUMENT, MANY = 978, 1002, 10**9
EXP = {"exp": 0, "currency": USD}


def used() -> RiskRecorder:
    """1 short of a first instrument at 100.0; of a second, at 500.0: 0.3 long, 0.2 being bought, one of them of unknown
    outcome, 0.1 being sold."""
    r = RiskRecorder().open_world()
    r.define(instrument=OTHER_INSTRUMENT)
    r.frame(Mark(instrument=OTHER_INSTRUMENT, mark_px=1000, mark_type=MarkType.VENUE_MARK))
    r.holding(-1000, px=1000, instrument=OTHER_INSTRUMENT)
    r.holding(300)
    for terms in ({}, {}, {"side": Side.SELL}):
        assert why(r, **terms) == 0
    r.report(order_id_of(STRATEGY, r.numbers - 1), OrdStatus.UNKNOWN, qty=100)
    return r


def said(r: RiskRecorder, check: RiskCheck, hard: int = MANY, *, generation: int = 2, **terms: Any) -> int:
    """A person sets a limit; what stands now."""
    base: dict[str, Any] = {"scope_type": ScopeType.GLOBAL, "limit": int(check), "generation": generation}
    r.frame(RiskLimitSet(check=check, hard=hard, **(base | terms)), OPERATOR)
    return r.said(LimitAcknowledged)[-1].current


@pytest.mark.parametrize(
    ("check", "terms", "current", "more"),
    [
        (RiskCheck.WORKING_ORDERS, {}, 3, 1),
        (RiskCheck.UNKNOWN_ORDERS, {}, 1, 0),
        (RiskCheck.POSITION, {"exp": -3, "scope_type": ScopeType.INSTRUMENT, "scope_instrument": INSTRUMENT}, 500, 100),
        (RiskCheck.GROSS_EXPOSURE, EXP, 350, 50),  # 100, and 0.5 at 500.0
        (RiskCheck.CREDIT, EXP, 400, 50),  # 100, 150, and 0.3 ordered
        (RiskCheck.TURNOVER, EXP, 150, 50),  # nothing traded since it is counted, 0.3 ordered
    ],
)  # fmt: skip
def test_the_next_order_is_added_to_what_was_said(check: RiskCheck, terms: dict[str, int], current: int, more: int) -> None:
    r = used()
    assert said(r, check, **terms) == current
    row = outcome(r.new(), check)
    assert row.value == current + more
    assert row.bound == MANY


def test_net_exposure_is_that_of_the_larger_side_or_of_the_limits() -> None:
    r = used()  # long: 250 - 100; short: 100 - 100
    assert said(r, RiskCheck.NET_EXPOSURE, **EXP) == 150
    assert outcome(r.new(), RiskCheck.NET_EXPOSURE).value == 200
    assert said(r, RiskCheck.NET_EXPOSURE, **EXP, generation=3, side=Side.SELL) == 0
    r.holding(-2000, px=1000, instrument=OTHER_INSTRUMENT)
    # 300 short there, 0.2 long here with its sale done
    assert said(r, RiskCheck.NET_EXPOSURE, **EXP, generation=4) == 300 - 100


def test_a_position_is_that_of_the_largest_instrument_on_the_limits_side() -> None:
    r = used()
    assert said(r, RiskCheck.POSITION, exp=-3) == 1000
    assert said(r, RiskCheck.POSITION, exp=-3, generation=3, side=Side.BUY) == 500
    assert said(r, RiskCheck.POSITION, exp=0, generation=4, side=Side.BUY) == 1  # rounded up
    scope = {"scope_type": ScopeType.STRATEGY, "scope_strategy": MAKER + 1}
    assert said(r, RiskCheck.POSITION, exp=-3, generation=5, **scope) == 0


def test_how_short_it_may_get() -> None:
    r = used()
    here = {"exp": -3, "scope_type": ScopeType.INSTRUMENT}
    assert said(r, RiskCheck.SHORT_SELL, scope_instrument=INSTRUMENT, **here) == 0  # long, even when the sale is done
    assert said(r, RiskCheck.SHORT_SELL, generation=3, scope_instrument=OTHER_INSTRUMENT, **here) == 1000


def test_messages_and_events_of_the_window() -> None:
    r = RiskRecorder().open_world()
    window = {"period_ns": 10 * SECOND}
    for check in (RiskCheck.ORDER_RATE, RiskCheck.REJECT_LOOP, RiskCheck.REPEATED_EXECUTION, RiskCheck.RECONNECT_RATE):
        r.limit(check, 100, **window)
    for account, lost in ((ACCOUNT, 2), (ACCOUNT + 1, 3)):
        for _ in range(lost):
            r.frame(StreamStatus(venue=VENUE, account=account, connection=ConnectionState.DISCONNECTED), GATEWAY)
    assert r.new().decision == Decision.REJECT  # the gate: nothing went out
    r.report(r.last().order_id, OrdStatus.REJECTED, qty=100, exec_type=5, reason=Reason.GATE_SHUT)
    r.holding(100)
    r.holding(100)
    r.open_world()
    assert why(r) == 0
    # Setting a limit anew begins its counters of events again, as its check does; the rate goes on.
    assert said(r, RiskCheck.ORDER_RATE, generation=1, **window) == 1
    counts = {int(key.partition("/")[0]): count for key, count in r.engine.memory.counts.items()}
    assert counts[RiskCheck.REPEATED_EXECUTION].total == 2
    for check in (RiskCheck.REJECT_LOOP, RiskCheck.REPEATED_EXECUTION, RiskCheck.RECONNECT_RATE):
        assert said(r, check, **window) == 0


def test_what_is_lost_now() -> None:
    r = RiskRecorder().open_world()
    terms = {**EXP, "confirmations": 3}
    for check in (RiskCheck.DAILY_LOSS, RiskCheck.DRAWDOWN):
        r.limit(check, MANY, **terms)
    r.frame(Position(account=ACCOUNT, strategy=MAKER, instrument=INSTRUMENT, currency=USD, long_qty=1000, cost=50_000_000), 9)
    r.frame(Mark(instrument=INSTRUMENT, mark_px=4800, mark_type=MarkType.VENUE_MARK))
    for check in (RiskCheck.DAILY_LOSS, RiskCheck.DRAWDOWN):
        assert said(r, check, **terms) == 20
        assert outcome(r.new(), check).value == 20
    assert said(r, RiskCheck.LOSS_STREAK) == 0


def test_in_another_currency_and_in_none() -> None:
    r = used()
    assert said(r, RiskCheck.GROSS_EXPOSURE, exp=0) == 350  # all of it is quoted in USD
    assert said(r, RiskCheck.GROSS_EXPOSURE, exp=0, currency=EUR, generation=3) == NULL
    r.frame(ConversionRate(from_currency=USD, to_currency=EUR, rate=5, rate_exp=-1))
    assert said(r, RiskCheck.GROSS_EXPOSURE, exp=0, currency=EUR, generation=4) == 175
    r.frame(CurrencyDefined(currency=EUR, ledger_exp=-2))
    r.define(instrument=OTHER_INSTRUMENT, quote_currency=EUR)
    for check in (RiskCheck.GROSS_EXPOSURE, RiskCheck.NET_EXPOSURE, RiskCheck.CREDIT, RiskCheck.TURNOVER):
        assert said(r, check, exp=0, generation=9) == NULL  # no currency that both are in


@pytest.mark.parametrize(
    "check", [RiskCheck.ORDER_NOTIONAL, RiskCheck.QUANTITY_LIMITS, RiskCheck.PRICE_COLLAR, RiskCheck.DUPLICATE, RiskCheck.FUNDS]
)
def test_what_bounds_single_orders_has_nothing_in_use(check: RiskCheck) -> None:
    assert said(used(), check) == NULL
