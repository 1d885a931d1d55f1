"""How orders fit with one another: rates and bans, duplicates, own orders on the other side, what only reduces."""

from __future__ import annotations

from typing import Any

import pytest
from risk_recorder import (
    ACCOUNT,
    GATEWAY,
    INSTRUMENT,
    MAKER,
    SECOND,
    STRATEGY,
    VENUE,
    RiskRecorder,
    listed,
    outcome,
    result,
    why,
)

from journal.messages import (
    NULL,
    Ban,
    CancelAll,
    CancelOrder,
    CheckResult,
    ConnectionState,
    Decision,
    ExecInst,
    ExecType,
    KillLevel,
    KillSwitch,
    LimitAction,
    OrdStatus,
    OrdType,
    Reason,
    RiskCheck,
    ScopeType,
    Side,
    StreamStatus,
    TopOfBook,
    TradingState,
    TradingStateSet,
    Violation,
    order_id_of,
)

REDUCE = int(ExecInst.DO_NOT_INCREASE)


def world(**instrument: Any) -> RiskRecorder:
    return RiskRecorder().open_world(**instrument)


# Rates and bans.


def test_a_rate_that_is_breached_earns_one_ban() -> None:
    r = world()
    r.limit(RiskCheck.ORDER_RATE, 2, period_ns=SECOND, action=LimitAction.BAN, ban_ms=5000)
    assert [why(r), why(r)] == [0, 0]
    assert why(r) == Reason.ORDER_RATE
    assert why(r) == Reason.ORDER_RATE
    (ban,) = r.said(Ban)
    assert (ban.scope_type, ban.scope_strategy) == (ScopeType.STRATEGY, MAKER)  # a limit for all bans who went over it
    assert (ban.until_ts, ban.count, ban.rule) == (r.now - 1 + 5 * SECOND, 3, RiskCheck.ORDER_RATE)
    assert why(r, ns=5 * SECOND) == 0
    assert [why(r), why(r)] == [0, Reason.ORDER_RATE]
    assert len(r.said(Ban)) == 2


def test_a_limit_that_does_not_ban_does_not() -> None:
    r = world()
    r.limit(RiskCheck.ORDER_RATE, 0, period_ns=SECOND, action=LimitAction.REJECT)
    assert why(r) == Reason.ORDER_RATE
    assert r.said(Ban) == []


def test_a_limit_of_an_account_bans_the_account_and_for_a_minute_unless_it_says_how_long() -> None:
    r = world()
    r.limit(
        RiskCheck.ORDER_RATE, 0, period_ns=SECOND, action=LimitAction.BAN, scope_type=ScopeType.ACCOUNT, scope_account=ACCOUNT
    )
    assert why(r) == Reason.ORDER_RATE
    (ban,) = r.said(Ban)
    assert (ban.scope_type, ban.scope_account, ban.until_ts) == (ScopeType.ACCOUNT, ACCOUNT, r.now + 60 * SECOND)


def lose(r: RiskRecorder, *, ns: int = 1, account: int = ACCOUNT) -> None:
    r.frame(StreamStatus(venue=VENUE, account=account, connection=ConnectionState.CONNECTING), GATEWAY)
    r.frame(StreamStatus(venue=VENUE, account=account, connection=ConnectionState.DISCONNECTED), GATEWAY, ns=ns)


def test_reconnect_rate() -> None:
    r = world()
    r.limit(RiskCheck.RECONNECT_RATE, 2, period_ns=SECOND, action=LimitAction.BAN, ban_ms=60_000)
    lose(r)
    first = r.now
    lose(r)
    assert outcome(r.new(), RiskCheck.RECONNECT_RATE).value == 2
    assert result(r.last(), RiskCheck.RECONNECT_RATE) == CheckResult.PASS
    assert r.said(Ban) == []
    lose(r)
    (ban,) = r.said(Ban)
    assert (ban.scope_type, ban.scope_account, ban.until_ts) == (ScopeType.ACCOUNT, ACCOUNT, r.now + 60 * SECOND)
    assert result(r.new(), RiskCheck.RECONNECT_RATE) == CheckResult.FAIL
    decision = r.new(ns=first + SECOND - r.now - 1)
    assert outcome(decision, RiskCheck.RECONNECT_RATE).value == 3
    assert outcome(r.new(), RiskCheck.RECONNECT_RATE).value == 2  # the first is out of the window
    assert outcome(r.new(account=ACCOUNT + 1), RiskCheck.RECONNECT_RATE).value == 0


def test_reconnect_rate_alone_gives_the_reason_of_a_ban() -> None:
    r = world()
    r.limit(RiskCheck.RECONNECT_RATE, 0, period_ns=SECOND)
    lose(r)
    r.open_world()  # READY again, within the window
    assert why(r) == Reason.RATE_BAN
    assert r.said(Ban) == []


def test_a_market_data_connection_that_storms_bans_its_gateway() -> None:
    r = world()
    r.limit(RiskCheck.RECONNECT_RATE, 0, period_ns=SECOND, action=LimitAction.BAN)
    lose(r, account=0)
    (ban,) = r.said(Ban)
    assert (ban.scope_type, ban.scope_source) == (ScopeType.SOURCE, GATEWAY)


# Duplicates.


def test_duplicate() -> None:
    r = world()
    r.limit(RiskCheck.DUPLICATE, 0, period_ns=SECOND)
    assert why(r) == 0
    assert why(r, ns=SECOND - 1) == Reason.DUPLICATE_ORDER_TERMS
    assert why(r, ns=1) == 0  # the first is exactly as old as the window
    for other in ({"px": 4995}, {"qty": 110}, {"side": Side.SELL}, {"account": ACCOUNT + 1}, {"stop_px": 5000, "ord_type": 4}):
        assert why(r, **other) != Reason.DUPLICATE_ORDER_TERMS
    assert RiskCheck.DUPLICATE in listed(r.last())


def test_some_duplicates_may_be_allowed_and_old_ones_are_forgotten() -> None:
    r = world()
    r.limit(RiskCheck.DUPLICATE, 1, period_ns=SECOND)
    assert [why(r), why(r), why(r)] == [0, 0, Reason.DUPLICATE_ORDER_TERMS]
    assert why(r, px=4995, ns=SECOND) == 0
    assert len(r.engine.memory.fingerprints[int(RiskCheck.DUPLICATE)]) == 1


# Own orders.


def stp(r: RiskRecorder, **limit: Any) -> None:
    r.limit(RiskCheck.SELF_TRADE, 0, **limit)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"px": 5005}, Reason.SELF_TRADE),
        ({"px": 5000}, Reason.SELF_TRADE),
        ({"px": 4995}, 0),
        ({"px": NULL, "ord_type": OrdType.MARKET}, Reason.SELF_TRADE),
        ({"px": 5005, "side": Side.SELL}, 0),
    ],
)
def test_self_trade_across_strategies(order: dict[str, Any], reason: int) -> None:
    r = world()
    stp(r)
    r.new(side=Side.SELL, px=5000, strategy=MAKER + 1)
    assert why(r, **order) == reason
    if reason:
        assert outcome(r.last(), RiskCheck.SELF_TRADE).value == 1


def test_self_trade_of_a_sale() -> None:
    r = world()
    stp(r)
    order_id = r.new(px=5000).order_id
    assert why(r, px=5000, side=Side.SELL) == Reason.SELF_TRADE
    assert why(r, px=5005, side=Side.SELL) == 0
    r.report(order_id, OrdStatus.CANCELED, qty=100)
    assert why(r, px=5000, side=Side.SELL) == 0


def test_self_trade_with_a_price_that_a_replace_asks_for() -> None:
    r = world()
    stp(r)
    order_id = r.new(px=4900).order_id
    r.replace(order_id, price_px=5000)
    assert why(r, px=5000, side=Side.SELL) == Reason.SELF_TRADE
    other = r.new(px=5010, side=Side.SELL).order_id
    assert r.replace(other, price_px=5000).reason == Reason.SELF_TRADE
    assert r.replace(other, price_px=5005).reason == 0


def test_self_trade_with_orders_at_any_price_and_with_held_ones() -> None:
    r = world()
    stp(r)
    r.new(px=NULL, ord_type=OrdType.MARKET)
    assert why(r, px=9000, side=Side.SELL) == Reason.SELF_TRADE
    r = world()
    stp(r)
    order_id = r.new(px=5000, stop_px=5000, ord_type=OrdType.STOP_LIMIT).order_id
    assert why(r, px=5000, side=Side.SELL) == 0
    r.report(order_id, OrdStatus.NEW, qty=100, exec_type=ExecType.TRIGGERED, ord_type=OrdType.STOP_LIMIT)
    assert why(r, px=4990, side=Side.SELL) == Reason.SELF_TRADE


def test_self_trade_looks_only_at_what_the_limit_covers() -> None:
    r = world()
    stp(r, scope_type=ScopeType.STRATEGY, scope_strategy=MAKER)
    r.new(px=5000, strategy=MAKER + 1)
    assert why(r, px=5000, side=Side.SELL) == 0
    r.new(px=4990)
    assert why(r, px=4990, side=Side.SELL) == Reason.SELF_TRADE
    stp(r, limit=99, scope_type=ScopeType.STRATEGY_INSTRUMENT, scope_strategy=MAKER, scope_instrument=INSTRUMENT,
        action=LimitAction.WARN)  # fmt: skip
    assert r.new(px=4990, side=Side.SELL).decision == Decision.PASS_WITH_WARNING


# What is made up.


def test_owners_that_somebody_makes_up_fill_no_memory() -> None:
    r = world(max_orders=5)
    r.limit(RiskCheck.FUNDS, 0)
    r.new()
    for n in range(5000):
        r.new(account=10_000 + n, user=n, exec_inst=REDUCE)
    view = r.engine.view
    assert len(view.plans) <= 4096
    assert sum(len(row) for row in view._areas.values()) <= 3
    assert len(r.engine.snapshot()) < 20_000


# Reduce only.


@pytest.mark.parametrize("inst", [ExecInst.DO_NOT_INCREASE, ExecInst.CLOSE_POSITION])
@pytest.mark.parametrize(("held", "side"), [(100, Side.SELL), (-100, Side.BUY)])
def test_reduce_only(inst: int, held: int, side: int) -> None:
    r = world()
    r.holding(held)
    other = Side.BUY if side == Side.SELL else Side.SELL
    assert why(r, qty=10, side=other, exec_inst=int(inst)) == Reason.REDUCE_ONLY_WOULD_INCREASE
    assert why(r, qty=110, side=side, exec_inst=int(inst)) == Reason.REDUCE_ONLY_WOULD_INCREASE
    assert why(r, qty=60, side=side, exec_inst=int(inst)) == 0
    assert why(r, qty=50, side=side, exec_inst=int(inst)) == Reason.REDUCE_ONLY_WOULD_INCREASE  # with the one that works
    assert (outcome(r.last(), RiskCheck.REDUCE_ONLY).value, outcome(r.last(), RiskCheck.REDUCE_ONLY).bound) == (110, 100)
    assert why(r, qty=40, side=side, exec_inst=int(inst)) == 0
    assert why(r, qty=500, side=side) == 0  # an order that may increase is none of this


def test_reduce_only_is_about_the_account_and_the_strategy() -> None:
    r = world()
    r.holding(100)
    r.holding(-60, strategy=MAKER + 1)
    order = {"side": Side.SELL, "exec_inst": REDUCE}
    assert why(r, qty=50, **order) == Reason.REDUCE_ONLY_WOULD_INCREASE  # the account holds 40
    assert why(r, qty=40, **order) == 0
    assert why(r, qty=10, strategy=MAKER + 1, **order) == Reason.REDUCE_ONLY_WOULD_INCREASE  # that one is short


def test_reduce_only_follows_fills_and_ends() -> None:
    r = world()
    r.holding(100)
    order_id = r.new(qty=100, side=Side.SELL, exec_inst=REDUCE).order_id
    r.trade(order_id, qty=100, cum=30, last=30, side=Side.SELL)
    assert why(r, qty=10, side=Side.SELL, exec_inst=REDUCE) == Reason.REDUCE_ONLY_WOULD_INCREASE
    r.report(order_id, OrdStatus.CANCELED, qty=100, cum=30, side=Side.SELL)
    assert why(r, qty=70, side=Side.SELL, exec_inst=REDUCE) == 0
    assert r.replace(r.last().order_id, order_qty=80).reason == Reason.REDUCE_ONLY_WOULD_INCREASE
    assert RiskCheck.REDUCE_ONLY not in listed(r.new())


def test_a_limit_that_lets_what_reduces_pass() -> None:
    r = world()
    r.holding(1000)
    r.limit(RiskCheck.ORDER_NOTIONAL, 10, exp=0, action=LimitAction.REDUCE_ONLY)
    assert why(r) == Reason.MAX_ORDER_NOTIONAL
    assert r.new(qty=1000, side=Side.SELL).decision == Decision.PASS_WITH_WARNING  # all of it, marked or not
    assert why(r, qty=10, px=9000, side=Side.SELL) == 0
    assert why(r, qty=100, side=Side.SELL) == Reason.MAX_ORDER_NOTIONAL


# The window of the collar.


@pytest.mark.parametrize(
    ("px", "reason"),
    [
        (5300, 0),
        (5305, Reason.PRICE_COLLAR_WINDOW),  # more than 10% above 4820
        (4765, 0),
        (4760, Reason.PRICE_COLLAR_WINDOW),  # more than 10% below 5290
    ],
)
def test_price_collar_window(px: int, reason: int) -> None:
    r = world()
    r.limit(RiskCheck.PRICE_COLLAR_WINDOW, 10, exp=-2, period_ns=32 * SECOND)
    for mid in (5290, 4820, 5000):
        r.touch(mid - 10, mid + 10)
    assert why(r, px=px) == reason
    assert why(r, px=NULL, ord_type=OrdType.MARKET) == 0


def test_price_collar_window_forgets() -> None:
    r = world()
    r.limit(RiskCheck.PRICE_COLLAR_WINDOW, 10, exp=-2, period_ns=32 * SECOND)
    assert why(r) == Reason.REFERENCE_PRICE_UNAVAILABLE  # nothing was seen since
    r.touch(3990, 4010)
    r.touch(NULL, 4010)
    assert why(r, px=5000) == Reason.PRICE_COLLAR_WINDOW
    r.frame(TopOfBook(instrument=INSTRUMENT, bid_px=4990, ask_px=5010), 8, ns=32 * SECOND)
    assert why(r, px=5000) == Reason.PRICE_COLLAR_WINDOW  # the part it is in counts whole
    assert why(r, px=5000, ns=SECOND) == 0
    assert len(r.engine.memory.windows) == 1
    r.limit(RiskCheck.PRICE_COLLAR_WINDOW, NULL, generation=1)
    assert not r.engine.memory.windowed
    assert not r.engine.memory.windows


# What a breach outside a single order leads to.


def rejected(r: RiskRecorder, n: int = 1, reason: int = Reason.FUNDS_AT_VENUE, **terms: Any) -> None:
    for _ in range(n):
        r.numbers += 1
        r.report(
            order_id_of(STRATEGY, r.numbers), OrdStatus.REJECTED, qty=100, exec_type=ExecType.REJECTED, reason=reason, **terms
        )


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (LimitAction.BAN, Ban), (LimitAction.CANCEL, CancelAll), (LimitAction.KILL, KillSwitch),
        (LimitAction.FLATTEN, KillSwitch), (LimitAction.DISABLE_STRATEGY, TradingStateSet),
    ],
)  # fmt: skip
def test_actions(action: int, kind: Any) -> None:
    r = world()
    r.limit(RiskCheck.REJECT_LOOP, 2, period_ns=SECOND, action=action)
    rejected(r, 5)
    (told,) = r.said(Violation)
    assert (told.check, told.reason, told.value, told.bound) == (RiskCheck.REJECT_LOOP, Reason.REJECT_LOOP, 3, 2)
    (done,) = r.said(kind)
    assert (done.scope_type, done.scope_strategy) == (ScopeType.STRATEGY, MAKER)
    if isinstance(done, KillSwitch):
        flatten = action == LimitAction.FLATTEN
        assert done.level == (KillLevel.BLOCK_CANCEL_FLATTEN if flatten else KillLevel.BLOCK_CANCEL)
    if isinstance(done, TradingStateSet):
        assert done.state == TradingState.HALTED


def test_reject_loop() -> None:
    r = world()
    r.limit(RiskCheck.REJECT_LOOP, 2, period_ns=SECOND)
    rejected(r, 2)
    assert why(r) == 0
    rejected(r)
    assert why(r) == Reason.REJECT_LOOP
    rejected(r, 5, reason=Reason.REJECT_LOOP)  # what it refuses does not keep it shut
    assert why(r, ns=SECOND) == 0
    rejected(r, 3, strategy=MAKER + 1)
    assert why(r) == Reason.REJECT_LOOP  # the limit is for all


@pytest.mark.parametrize("reason", [Reason.REJECT_LOOP, Reason.RATE_BAN, Reason.STRATEGY_DISABLED, Reason.KILL_SWITCH_ACTIVE])
def test_what_a_breaker_has_shut_does_not_count_as_rejected_again(reason: int) -> None:
    """Whatever the loop's limit does, ban, disable or kill: the orders that come all the same do not keep it shut."""
    r = world()
    r.limit(RiskCheck.REJECT_LOOP, 2, period_ns=SECOND)
    rejected(r, 3)
    rejected(r, 5, reason=reason)
    assert outcome(r.new(), RiskCheck.REJECT_LOOP).value == 3
    assert why(r, ns=SECOND) == 0


def test_repeated_execution_waits_for_a_person() -> None:
    r = world()
    r.limit(RiskCheck.REPEATED_EXECUTION, 2)
    r.holding(10)
    r.holding(10)
    assert why(r) == 0
    r.holding(10)
    assert why(r) == Reason.REPEATED_EXECUTION
    assert why(r, ns=10**6 * SECOND) == Reason.REPEATED_EXECUTION
    r.limit(RiskCheck.REPEATED_EXECUTION, 2)  # said again, not set anew
    assert why(r) == Reason.REPEATED_EXECUTION
    r.limit(RiskCheck.REPEATED_EXECUTION, 2, generation=1)
    assert why(r) == 0
    assert len(r.said(Violation)) == 1


def test_repeated_execution_in_a_window() -> None:
    r = world()
    r.limit(RiskCheck.REPEATED_EXECUTION, 1, period_ns=SECOND)
    for _ in range(3):
        r.frame(CancelOrder(), STRATEGY, ns=SECOND)
        r.holding(10)
    assert why(r) == 0
    r.holding(10)
    assert why(r) == Reason.REPEATED_EXECUTION


def test_unknown_orders() -> None:
    r = world()
    r.limit(RiskCheck.UNKNOWN_ORDERS, 1)
    first, second = r.new().order_id, r.new().order_id
    r.report(first, OrdStatus.UNKNOWN, qty=100)
    assert why(r) == 0
    r.report(second, OrdStatus.UNKNOWN, qty=100)
    assert why(r) == Reason.UNKNOWN_ORDERS_PENDING
    assert r.replace(r.last().order_id - 1, order_qty=90).reason == 0  # asks for nothing more
    r.report(first, OrdStatus.NEW, qty=100)
    assert why(r) == 0


# Optional controls.


def test_short_sell() -> None:
    r = world()
    r.holding(100)
    r.limit(RiskCheck.SHORT_SELL, 0, exp=-3)
    assert why(r, qty=60, side=Side.SELL) == 0
    assert why(r, qty=40, side=Side.SELL_SHORT) == 0
    assert why(r, qty=10, side=Side.SELL) == Reason.SHORT_SELL_NOT_PERMITTED
    assert why(r, qty=10, side=Side.BUY) == 0
    r.limit(RiskCheck.SHORT_SELL, 10, exp=-3, generation=1)
    assert why(r, qty=10, side=Side.SELL) == 0
    assert why(r, qty=10, side=Side.SELL_SHORT_EXEMPT) == Reason.SHORT_SELL_NOT_PERMITTED


def test_restricted_list() -> None:
    r = world()
    r.holding(100)
    r.limit(RiskCheck.RESTRICTED_LIST, 0, scope_type=ScopeType.INSTRUMENT, scope_instrument=INSTRUMENT)
    assert why(r) == Reason.RESTRICTED_INSTRUMENT
    assert why(r, side=Side.SELL) == Reason.RESTRICTED_INSTRUMENT
    r.limit(RiskCheck.RESTRICTED_LIST, 0, scope_type=ScopeType.INSTRUMENT, scope_instrument=INSTRUMENT, generation=1,
            action=LimitAction.REDUCE_ONLY)  # fmt: skip
    assert why(r, side=Side.SELL) == 0
    assert why(r) == Reason.RESTRICTED_INSTRUMENT
    r.limit(RiskCheck.RESTRICTED_LIST, NULL, limit=88, scope_type=ScopeType.STRATEGY_INSTRUMENT, scope_strategy=MAKER,
            scope_instrument=INSTRUMENT)  # fmt: skip
    assert why(r) == 0
    assert outcome(r.last(), RiskCheck.RESTRICTED_LIST).limit == 88


def test_turnover() -> None:
    """In USD: 0.1 at 500.0 is 50."""
    r = world()
    r.limit(RiskCheck.TURNOVER, 150, exp=0, period_ns=32 * SECOND)
    r.holding(100)
    order_id = r.new(qty=100, side=Side.SELL).order_id
    assert why(r, qty=110) == Reason.TURNOVER_LIMIT
    assert why(r, qty=100) == 0
    assert outcome(r.last(), RiskCheck.TURNOVER).value == 150
    assert why(r, qty=10) == Reason.TURNOVER_LIMIT
    r.trade(order_id, qty=100, cum=100, last=100, side=Side.SELL)  # from open to traded
    assert why(r, qty=10) == Reason.TURNOVER_LIMIT
    assert why(r, qty=100, ns=33 * SECOND) == 0  # 50 open, 50 new
