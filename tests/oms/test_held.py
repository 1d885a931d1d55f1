"""Held orders: what triggers them, what is sent then, and that nothing is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from oms_and_risk import GATEWAY, INSTRUMENT, OPERATOR, SECOND, STRATEGY, VENUE, Desk

from journal.messages import (
    NULL,
    Alert,
    CancelOrder,
    Clock,
    EmulatedTrigger,
    ExecInst,
    ExecType,
    GatewayPhase,
    KillLevel,
    KillRelease,
    KillSwitch,
    Mark,
    MarketStatus,
    MarkType,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    RiskCheck,
    RiskDecision,
    RiskLimitSet,
    RoutedCancel,
    RoutedOrder,
    ScopeType,
    Side,
    TimeInForce,
    Trade,
    TradeSummary,
    TradingCalendar,
    TradingStatus,
    TrailType,
    Trigger,
    TriggerDirection,
)
from journal.messages.capabilities import RELEASED_AS

T, S = OrdType, OrdStatus
BUY, SELL = Side.BUY, Side.SELL
TRAIL = {"trail_offset": 20, "trail_type": TrailType.PRICE}


@pytest.fixture
def desk() -> Desk:
    d = Desk()
    d.ready()
    d.touch(4995, 5005)
    return d


def test_a_stop_is_held_released_at_its_price_and_every_link_of_the_chain_is_named(desk: Desk) -> None:
    order_id = desk.ask(T.STOP, side=BUY, stop_px=5020)
    assert desk.status(order_id) == S.SUSPENDED
    assert desk.reserved(order_id) == 100
    assert desk.sent == []
    desk.touch(5010, 5015)
    assert desk.sent == []
    seq = desk.touch(5010, 5020)
    (trigger,) = desk.said(EmulatedTrigger)
    assert (trigger.observed_px, trigger.trigger_px, trigger.input_seq, trigger.trigger) == (5020, 5020, seq, Trigger.ASK)
    (routed,) = desk.sent
    assert (routed.ord_type, routed.tif, routed.price_px, routed.stop_px, routed.order_qty) == (T.MARKET, 4, NULL, NULL, 100)
    decision = next(m for s, _, m in desk.stream if s == routed.risk_seq)
    assert isinstance(decision, RiskDecision)
    assert decision.request_kind == EmulatedTrigger.KIND
    assert decision.reserved_qty == 0  # it was reserved from the start
    assert next(type(m) for s, _, m in desk.stream if s == decision.request_seq) is EmulatedTrigger
    assert desk.reserved(order_id) == 100
    assert [e for e, _, _ in desk.reports(order_id)] == [ExecType.SUSPENDED, ExecType.TRIGGERED, ExecType.PENDING_NEW]
    desk.ack(order_id)
    desk.fill(order_id, 100)
    assert desk.status(order_id) == S.FILLED
    assert desk.oms.memory.instructions.holds == {}
    assert desk.risk.memory.forms == {}


# (type, side, trigger price kind, stop, prices that do not trigger, price that does)
CASES = [
    (T.STOP, BUY, Trigger.LAST, 5020, [5015, 5019], 5020),
    (T.STOP, SELL, Trigger.LAST, 4980, [4985, 4981], 4980),
    (T.STOP_LIMIT, BUY, Trigger.MARK, 5020, [5019], 5021),
    (T.STOP_LIMIT, SELL, Trigger.INDEX, 4980, [4981], 4979),
    (T.MARKET_IF_TOUCHED, BUY, Trigger.LAST, 4980, [4981, 5100], 4980),
    (T.MARKET_IF_TOUCHED, SELL, Trigger.LAST, 5020, [5019, 4000], 5020),
    (T.LIMIT_IF_TOUCHED, BUY, Trigger.BID, 4980, [4981], 4980),
    (T.LIMIT_IF_TOUCHED, SELL, Trigger.ASK, 5020, [5019], 5025),
    (T.STOP, BUY, Trigger.MID, 5020, [5019], 5020),
]


def show(desk: Desk, trigger: int, px: int) -> None:
    if trigger == Trigger.LAST:
        desk.frame(TradeSummary(instrument=INSTRUMENT, trades=[Trade(px=px, qty=1, side=BUY)]), GATEWAY)
    elif trigger in (Trigger.MARK, Trigger.INDEX):
        kind = MarkType.VENUE_MARK if trigger == Trigger.MARK else MarkType.INDEX
        desk.frame(Mark(instrument=INSTRUMENT, mark_px=px, mark_type=kind), GATEWAY)
    elif trigger == Trigger.BID:
        desk.touch(px, px + 1000)
    elif trigger == Trigger.ASK:
        desk.touch(px - 1000, px)
    else:
        desk.touch(px - 5, px + 5)


@pytest.mark.parametrize(("ord_type", "side", "trigger", "stop", "not_yet", "now"), CASES)
def test_each_type_and_price(
    desk: Desk, ord_type: int, side: int, trigger: int, stop: int, not_yet: list[int], now: int
) -> None:
    limit = {"price_px": 5000} if RELEASED_AS[OrdType(ord_type)] == T.LIMIT else {}
    order_id = desk.ask(ord_type, side=side, trigger=trigger, stop_px=stop, **limit)
    for other in (Trigger.LAST, Trigger.MARK, Trigger.INDEX, Trigger.BID, Trigger.ASK, Trigger.MID):
        if other != trigger and trigger not in (Trigger.BID, Trigger.ASK, Trigger.MID):
            show(desk, other, now)  # a price of another kind triggers nothing
    for px in not_yet:
        show(desk, trigger, px)
    assert desk.sent == []
    show(desk, trigger, now)
    (routed,) = desk.sent
    assert routed.order_id == order_id
    assert routed.ord_type == RELEASED_AS[OrdType(ord_type)]
    assert routed.price_px == limit.get("price_px", NULL)


def test_a_direction_given_is_the_one_that_counts(desk: Desk) -> None:
    desk.ask(T.STOP, side=BUY, stop_px=4990, trigger=Trigger.LAST, trigger_direction=TriggerDirection.DOWN)
    show(desk, Trigger.LAST, 4991)
    assert desk.sent == []
    show(desk, Trigger.LAST, 4990)
    assert len(desk.sent) == 1


TRAILS: list[tuple[int, dict[str, int], list[tuple[int, int]]]] = [
    # (side, trail, [(price, where the stop then stands)])
    (SELL, {"trail_offset": 20, "trail_type": TrailType.PRICE}, [(5000, 4980), (5043, 5020), (5030, 5020), (5045, 5025)]),
    (BUY, {"trail_offset": 20, "trail_type": TrailType.PRICE}, [(5000, 5020), (4957, 4980), (4970, 4980), (4955, 4975)]),
    (SELL, {"trail_offset": 3, "trail_type": TrailType.TICKS}, [(5000, 4985), (5005, 4990)]),
    (SELL, {"trail_offset": 100, "trail_type": TrailType.BASIS_POINTS}, [(5000, 4950), (5100, 5045), (5090, 5045)]),
    (BUY, {"trail_offset": 15, "trail_offset_exp": -1, "trail_type": TrailType.PERCENT}, [(5000, 5075), (4000, 4060)]),
]


@pytest.mark.parametrize(("side", "trail", "path"), TRAILS)
def test_a_trail_follows_and_never_goes_back(desk: Desk, side: int, trail: dict[str, int], path: list[tuple[int, int]]) -> None:
    order_id = desk.ask(T.TRAILING_STOP, side=side, trigger=Trigger.LAST, **trail)
    for px, stop in path:
        show(desk, Trigger.LAST, px)
        assert desk.oms.memory.instructions.holds[order_id].stop_px == stop
    show(desk, Trigger.LAST, stop + (1 if side == SELL else -1))
    assert desk.sent == []
    show(desk, Trigger.LAST, stop)
    assert len(desk.sent) == 1
    assert desk.said(EmulatedTrigger)[0].trigger_px == stop


def test_the_limit_of_a_trailing_stop_limit_keeps_its_distance(desk: Desk) -> None:
    desk.ask(T.TRAILING_STOP_LIMIT, side=SELL, trigger=Trigger.LAST, stop_px=4980, price_px=4970, **TRAIL)
    for px in (5000, 5050, 5030):
        show(desk, Trigger.LAST, px)
    (routed,) = desk.sent
    assert (routed.ord_type, routed.price_px, routed.tif) == (T.LIMIT, 5020, TimeInForce.GTC)


REFUSED: list[tuple[int, dict[str, Any], int]] = [
    (T.PEGGED, {}, Reason.NOT_SUPPORTED_BY_VENUE),
    (T.STOP, {"stop_px": 5020, "trigger": Trigger.TIME}, Reason.EMULATION_NOT_POSSIBLE),
    (T.STOP, {}, Reason.INVALID_STOP_OR_TRIGGER),
    (T.TRAILING_STOP, {}, Reason.INVALID_TRAILING_OFFSET),
    (T.LIMIT, {"price_px": 5000, "tif": TimeInForce.GTD, "expire_ts": 1}, Reason.INVALID_EXPIRE_TIME),
    (T.LIMIT, {"price_px": 5000, "tif": TimeInForce.OPG}, Reason.NOT_SUPPORTED_BY_VENUE),
]


@pytest.mark.parametrize(("ord_type", "terms", "reason"), REFUSED)
def test_what_cannot_be_done_is_refused_with_its_reason(desk: Desk, ord_type: int, terms: dict[str, Any], reason: int) -> None:
    order_id = desk.ask(ord_type, **terms)
    assert (ExecType.REJECTED, S.REJECTED, reason) in desk.reports(order_id)
    assert desk.sent == []
    assert desk.reserved(order_id) == 0


def test_a_cancel_ends_a_held_order_at_once_and_a_second_is_too_late(desk: Desk) -> None:
    order_id = desk.ask(T.STOP, stop_px=5020)
    desk.frame(CancelOrder(order_id=order_id), STRATEGY)
    assert desk.reports(order_id)[-1] == (ExecType.CANCELED, S.CANCELED, Reason.USER_REQUEST)
    assert desk.count(RoutedCancel) == 0
    assert desk.reserved(order_id) == 0
    desk.frame(CancelOrder(order_id=order_id), STRATEGY)
    assert desk.said(OrderCancelReject)[-1].reason == Reason.TOO_LATE
    desk.touch(5020, 5025)
    assert desk.sent == []


def test_a_replace_of_a_held_order_is_decided_by_risk_and_in_force_at_once(desk: Desk) -> None:
    order_id = desk.ask(T.STOP_LIMIT, stop_px=5020, price_px=5030)
    desk.frame(ReplaceOrder(order_id=order_id, order_qty=70, stop_px=5040, price_px=5050), STRATEGY)
    assert [r[:2] for r in desk.reports(order_id)[1:]] == [
        (ExecType.PENDING_REPLACE, S.PENDING_REPLACE), (ExecType.REPLACED, S.SUSPENDED),
    ]  # fmt: skip
    assert desk.reserved(order_id) == 70
    desk.touch(5015, 5025)
    assert desk.sent == []
    desk.touch(5035, 5040)
    (routed,) = desk.sent
    assert (routed.order_qty, routed.price_px) == (70, 5050)


def test_a_replace_that_risk_refuses_leaves_the_held_order_as_it_was(desk: Desk) -> None:
    order_id = desk.ask(T.STOP_LIMIT, stop_px=5020, price_px=5030)
    desk.frame(ReplaceOrder(order_id=order_id, price_px=5031), STRATEGY)  # off the tick
    assert desk.said(OrderCancelReject)[-1].reason == Reason.PRICE_NOT_ON_TICK
    assert desk.status(order_id) == S.SUSPENDED
    desk.touch(5015, 5020)
    assert desk.sent[0].price_px == 5030


def test_a_disconnect_keeps_it_and_a_shut_gate_holds_it_back_until_the_next_price(desk: Desk) -> None:
    order_id = desk.ask(T.STOP, stop_px=5020)
    desk.disconnect()
    desk.phase(GatewayPhase.DISCONNECTED)
    assert desk.status(order_id) == S.SUSPENDED
    desk.touch(5020, 5025)
    assert desk.sent == []
    assert desk.count(EmulatedTrigger) == 0
    desk.phase(GatewayPhase.READY)
    assert desk.status(order_id) == S.SUSPENDED
    desk.touch(5020, 5025)
    assert len(desk.sent) == 1


def test_a_refusal_that_will_pass_keeps_it_held_any_other_ends_it(desk: Desk) -> None:
    desk.frame(RiskLimitSet(limit=1, check=RiskCheck.ORDER_RATE, scope_type=ScopeType.GLOBAL, hard=2, period_ns=10 * SECOND), 1)
    order_id = desk.ask(T.STOP, stop_px=5020)
    desk.ask(T.LIMIT, price_px=4000)
    desk.touch(5015, 5020)
    assert desk.status(order_id) == S.SUSPENDED
    assert desk.said(Alert)[-1].rule == Reason.ORDER_RATE
    triggers = desk.count(EmulatedTrigger)
    desk.touch(5015, 5020)  # within the second: not tried again
    assert desk.count(EmulatedTrigger) == triggers
    desk.now += 11 * SECOND
    desk.touch(5015, 5020)
    assert len(desk.sent_of(order_id)) == 1


def test_what_is_held_again_after_risk_had_passed_its_release_is_replaced_as_before(desk: Desk) -> None:
    order_id = desk.ask(T.STOP_LIMIT, stop_px=5020, price_px=5030)
    shut = desk.oms.shut
    desk.oms.shut = lambda order: Reason.GATE_SHUT if desk.count(EmulatedTrigger) else shut(order)  # type: ignore[method-assign]
    desk.touch(5015, 5020)
    del desk.oms.shut  # type: ignore[method-assign]
    assert (desk.status(order_id), desk.sent) == (S.SUSPENDED, [])
    desk.frame(ReplaceOrder(order_id=order_id, stop_px=5040, price_px=5050), STRATEGY)
    assert desk.count(OrderCancelReject) == 0
    desk.now += 2 * SECOND
    desk.touch(5035, 5040)
    assert [m.price_px for m in desk.sent] == [5050]


def test_a_refusal_for_good_rejects_it_and_tells(desk: Desk) -> None:
    limit_id = desk.ask(T.STOP_LIMIT, stop_px=5020, price_px=5020)
    # From here on limit orders must be within 1 % of the touch.
    desk.frame(RiskLimitSet(limit=1, check=RiskCheck.QUANTITY_LIMITS, scope_type=ScopeType.GLOBAL, hard=50), 1)
    desk.touch(5015, 5020)
    assert desk.status(limit_id) == S.REJECTED
    assert desk.reports(limit_id)[-1][2] == Reason.MAX_ORDER_QUANTITY
    assert desk.said(Alert)[-1].rule == Reason.MAX_ORDER_QUANTITY
    assert desk.reserved(limit_id) == 0


@pytest.mark.parametrize(("level", "status"), [(KillLevel.BLOCK, S.SUSPENDED), (KillLevel.BLOCK_CANCEL, S.CANCELED)])
def test_a_kill_blocks_or_ends_what_is_held(desk: Desk, level: int, status: int) -> None:
    order_id = desk.ask(T.STOP, stop_px=5020)
    desk.frame(KillSwitch(kill=1, level=level, scope_type=ScopeType.GLOBAL), OPERATOR)
    assert desk.status(order_id) == status
    desk.touch(5015, 5020)
    assert desk.sent == []
    desk.frame(KillRelease(kill=1), OPERATOR)
    desk.touch(5015, 5020)
    assert len(desk.sent) == (status == S.SUSPENDED)


def test_a_fill_of_what_was_never_sent_is_taken_and_told(desk: Desk) -> None:
    order_id = desk.ask(T.STOP, stop_px=5020)
    desk.fill(order_id, 30)
    assert desk.count(Alert) == 1
    assert desk.status(order_id) == S.CANCELED  # nothing more of it can work: we never sent it
    assert desk.oms.memory.peek(order_id).cum_qty == 30  # type: ignore[union-attr]


# Lives.


def test_gtd_is_sent_gtc_and_canceled_by_us_to_the_nanosecond(desk: Desk) -> None:
    end = desk.now + 10 * SECOND
    order_id = desk.ask(T.LIMIT, price_px=4000, tif=TimeInForce.GTD, expire_ts=end)
    assert (desk.sent[0].tif, desk.sent[0].expire_ts) == (TimeInForce.GTC, 0)
    desk.ack(order_id)
    desk.frame(Clock(), 0, ns=end - desk.now - 1)
    assert desk.count(RoutedCancel) == 0
    desk.frame(Clock(), 0)
    (cancel,) = desk.said(RoutedCancel)
    assert cancel.reason == Reason.EXPIRED_BY_TIME
    desk.update(order_id, ExecType.CANCELED)
    assert desk.reports(order_id)[-1] == (ExecType.CANCELED, S.CANCELED, Reason.EXPIRED_BY_TIME)


def test_a_held_gtd_order_expires_where_it_is(desk: Desk) -> None:
    order_id = desk.ask(T.STOP, stop_px=5020, tif=TimeInForce.GTD, expire_ts=desk.now + SECOND)
    desk.frame(Clock(), 0, ns=2 * SECOND)
    assert desk.reports(order_id)[-1] == (ExecType.EXPIRED, S.EXPIRED, Reason.EXPIRED_BY_TIME)
    assert desk.reserved(order_id) == 0


def test_a_day_ends_at_the_calendars_close_or_at_midnight_or_when_the_market_says_so(desk: Desk) -> None:
    day = 86_400 * SECOND
    by_midnight = desk.ask(T.LIMIT, price_px=4000, tif=TimeInForce.DAY)
    assert desk.oms.memory.instructions.ends[by_midnight] % day == 0
    close = desk.now + 3600 * SECOND
    desk.frame(TradingCalendar(venue=VENUE, from_ts=close, to_ts=close + 1, phase=TradingStatus.CLOSE), 1)
    by_calendar = desk.ask(T.LIMIT, price_px=4000, tif=TimeInForce.DAY)
    assert desk.oms.memory.instructions.ends[by_calendar] == close
    for order_id in (by_midnight, by_calendar):
        desk.ack(order_id)
    desk.frame(MarketStatus(instrument=INSTRUMENT, trading_status=TradingStatus.CLOSE), GATEWAY)
    assert [m.order_id for m in desk.said(RoutedCancel)] == [by_midnight, by_calendar]


# Release times.


def test_an_order_with_a_release_time_waits_for_the_streams_time(desk: Desk) -> None:
    at = desk.now + 5 * SECOND
    order_id = desk.ask(T.LIMIT, price_px=4000, release_ts=at)
    assert desk.status(order_id) == S.SUSPENDED
    desk.frame(Clock(), 0, ns=at - desk.now - 1)
    assert desk.sent == []
    desk.frame(Clock(), 0)
    assert [m.price_px for m in desk.sent] == [4000]
    assert desk.said(EmulatedTrigger)[0].trigger == Trigger.TIME


def test_a_release_time_comes_before_the_price(desk: Desk) -> None:
    at = desk.now + 5 * SECOND
    desk.ask(T.STOP, stop_px=5020, release_ts=at)
    desk.touch(5020, 5025)
    assert desk.sent == []
    desk.frame(Clock(), 0, ns=6 * SECOND)
    assert desk.sent == []
    desk.touch(5020, 5025)
    assert len(desk.sent) == 1


def test_a_release_time_past_a_shut_gate_goes_when_it_opens(desk: Desk) -> None:
    order_id = desk.ask(T.LIMIT, price_px=4000, release_ts=desk.now + SECOND)
    desk.phase(GatewayPhase.DISCONNECTED)
    desk.frame(Clock(), 0, ns=2 * SECOND)
    assert desk.status(order_id) == S.SUSPENDED
    desk.phase(GatewayPhase.READY)
    desk.frame(Clock(), 0, ns=2 * SECOND)
    assert len(desk.sent) == 1


def test_only_the_books_of_who_keeps_them_count(desk: Desk) -> None:
    from journal.messages import SourceDefined, SourceRole

    desk.frame(SourceDefined(source=20, role=SourceRole.BOOKS), 0)
    desk.ask(T.STOP, stop_px=5020)
    desk.touch(5015, 5020)
    assert desk.sent == []


def test_a_venue_with_stops_gets_the_stop_itself() -> None:
    desk = Desk()
    desk.ready(stops=True)
    desk.ask(T.STOP, stop_px=5020)
    assert [(m.ord_type, m.stop_px) for m in desk.said(RoutedOrder)] == [(T.STOP, 5020)]
    desk.ask(T.STOP, stop_px=5020, exec_inst=ExecInst.EMULATED)
    assert len(desk.sent) == 1  # held, for it asked for that


def test_a_restart_from_a_snapshot_at_any_frame_says_the_same(desk: Desk) -> None:
    desk.ask(T.TRAILING_STOP, side=SELL, trigger=Trigger.LAST, **TRAIL)
    desk.ask(T.LIMIT, price_px=4000, tif=TimeInForce.GTD, expire_ts=desk.now + SECOND)
    for px in (5000, 5050, 5030):
        show(desk, Trigger.LAST, px)
    desk.frame(Clock(), 0, ns=2 * SECOND)
    whole = desk.replay()
    assert whole == desk.emitted
    for at in range(1, len(desk.stream), 3):
        assert desk.replay(restart_at=at) == whole


# Stops that the venue has itself.


def test_a_native_stop_waits_by_the_venues_word_also_where_it_was_asked() -> None:
    desk = Desk()
    desk.ready(stops=True)
    desk.touch(4995, 5005)
    order_id = desk.ask(OrdType.STOP, stop_px=5020)
    desk.update(order_id, ExecType.SUSPENDED, ord_status=S.SUSPENDED)
    assert desk.status(order_id) == S.SUSPENDED
    desk.disconnect()
    desk.phase(GatewayPhase.DISCONNECTED)
    desk.phase(GatewayPhase.READY)
    assert desk.status(order_id) == S.UNKNOWN
    desk.update(order_id, ExecType.ORDER_STATUS, ord_status=S.SUSPENDED, order_qty=100, cum_qty=0, stop_px=5020)
    assert desk.status(order_id) == S.SUSPENDED
    desk.update(order_id, ExecType.TRIGGERED, ord_status=S.NEW)
    assert desk.status(order_id) == S.NEW
    assert desk.reports(order_id)[-1][0] == ExecType.TRIGGERED


def test_what_was_never_sent_is_not_held_because_a_venue_says_so() -> None:
    """It would wait for ever: nothing of ours holds it."""
    desk = Desk()
    desk.ready()
    desk.touch(4995, 5005)
    order_id = desk.ask(OrdType.LIMIT, price_px=4900)
    order = desk.oms.memory.orders[order_id]
    order.destination = 0
    desk.update(order_id, ExecType.SUSPENDED, ord_status=S.SUSPENDED)
    assert not order.held
    assert desk.status(order_id) == S.PENDING_NEW
