"""Requests with a release time: kept by the stream's time, to the nanosecond."""

from __future__ import annotations

import pytest
from oms_and_risk import OTHER, SECOND, STRATEGY, Desk

from journal.messages import (
    CancelOrder,
    Clock,
    ExecType,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedReplace,
    TimeInForce,
)


@pytest.fixture
def desk() -> Desk:
    d = Desk()
    d.ready()
    d.touch(4995, 5005)
    return d


def work(desk: Desk) -> int:
    order_id = desk.ask(OrdType.LIMIT, price_px=4900)
    desk.ack(order_id)
    return order_id


def wait_until(desk: Desk, at: int) -> None:
    desk.frame(Clock(), 0, ns=at - desk.now)


def test_a_cancel_waits_and_holds_no_other_back(desk: Desk) -> None:
    first, second = work(desk), work(desk)
    at = desk.now + SECOND
    for order_id in (first, second):
        desk.frame(CancelOrder(order_id=order_id, release_ts=at), STRATEGY)
    assert desk.count(RoutedCancel) == 0
    desk.frame(CancelOrder(order_id=second), STRATEGY)
    assert [m.order_id for m in desk.said(RoutedCancel)] == [second]
    wait_until(desk, at - 1)
    assert desk.count(RoutedCancel) == 1
    wait_until(desk, at)
    assert [m.order_id for m in desk.said(RoutedCancel)] == [second, first]
    assert [m.reason for m in desk.said(OrderCancelReject)] == [Reason.ALREADY_PENDING]


def test_a_cancel_that_comes_due_after_the_end_is_too_late(desk: Desk) -> None:
    order_id = work(desk)
    desk.frame(CancelOrder(order_id=order_id, release_ts=desk.now + SECOND), STRATEGY)
    desk.fill(order_id, 100)
    wait_until(desk, desk.now + 2 * SECOND)
    assert [m.reason for m in desk.said(OrderCancelReject)] == [Reason.TOO_LATE]
    assert desk.oms.memory.instructions.scheduled == []


@pytest.mark.parametrize(("by", "reason"), [(OTHER, Reason.NOT_OWNER)])
def test_who_may_not_cancel_may_not_schedule_it(desk: Desk, by: int, reason: int) -> None:
    order_id = work(desk)
    desk.frame(CancelOrder(order_id=order_id, release_ts=desk.now + SECOND), by)
    assert desk.said(OrderCancelReject)[-1].reason == reason
    desk.frame(CancelOrder(order_id=1, release_ts=desk.now + SECOND), by)
    assert desk.said(OrderCancelReject)[-1].reason == Reason.UNKNOWN_ORDER


def test_a_replace_is_decided_at_once_and_sent_at_its_time(desk: Desk) -> None:
    order_id = work(desk)
    at = desk.now + SECOND
    desk.frame(ReplaceOrder(order_id=order_id, order_qty=150, release_ts=at), STRATEGY)
    assert desk.status(order_id) == OrdStatus.PENDING_REPLACE
    assert desk.reserved(order_id) == 150
    wait_until(desk, at - 1)
    assert desk.count(RoutedReplace) == 0
    wait_until(desk, at)
    assert [m.order_qty for m in desk.said(RoutedReplace)] == [150]
    desk.update(order_id, ExecType.REPLACED, order_qty=150)
    assert desk.oms.memory.instructions.later == {}


def test_a_cancel_goes_past_a_replace_that_waits(desk: Desk) -> None:
    order_id = work(desk)
    at = desk.now + SECOND
    desk.frame(ReplaceOrder(order_id=order_id, order_qty=150, release_ts=at), STRATEGY)
    desk.frame(CancelOrder(order_id=order_id), STRATEGY)
    desk.update(order_id, ExecType.CANCELED)
    wait_until(desk, at + SECOND)
    assert desk.count(RoutedReplace) == 0
    assert desk.reserved(order_id) == 0


def test_a_replace_that_risk_refuses_is_not_waited_for(desk: Desk) -> None:
    order_id = work(desk)
    desk.frame(ReplaceOrder(order_id=order_id, price_px=4901, release_ts=desk.now + SECOND), STRATEGY)
    assert desk.said(OrderCancelReject)[-1].reason == Reason.PRICE_NOT_ON_TICK
    assert desk.oms.memory.instructions.later == {}


def test_a_held_order_is_replaced_at_its_time(desk: Desk) -> None:
    order_id = desk.ask(OrdType.STOP, stop_px=5020)
    at = desk.now + SECOND
    desk.frame(ReplaceOrder(order_id=order_id, stop_px=5040, release_ts=at), STRATEGY)
    assert desk.oms.memory.instructions.holds[order_id].stop_px == 5020
    wait_until(desk, at)
    assert desk.oms.memory.instructions.holds[order_id].stop_px == 5040


def test_a_held_order_has_one_replace_at_a_time(desk: Desk) -> None:
    order_id = desk.ask(OrdType.STOP, stop_px=5020)
    at = desk.now + SECOND
    desk.frame(ReplaceOrder(order_id=order_id, order_qty=150, release_ts=at), STRATEGY)
    desk.frame(ReplaceOrder(order_id=order_id, stop_px=5040), STRATEGY)
    assert [m.reason for m in desk.said(OrderCancelReject)] == [Reason.ALREADY_PENDING]
    wait_until(desk, at)
    hold = desk.oms.memory.instructions.holds[order_id]
    assert (NewOrder.decode(hold.asked).order_qty, hold.stop_px) == (150, 5020)
    assert desk.risk.memory.exposure.orders[order_id].wishes == []


def test_an_order_cannot_be_released_after_its_own_end(desk: Desk) -> None:
    end = desk.now + SECOND
    for release, refused in ((end - 1, False), (end, True)):
        order_id = desk.ask(OrdType.LIMIT, price_px=4900, tif=TimeInForce.GTD, expire_ts=end, release_ts=release)
        assert (desk.reports(order_id)[-1][2] == Reason.INVALID_RELEASE_TIME) == refused


def test_restarts_say_the_same(desk: Desk) -> None:
    order_id = work(desk)
    desk.frame(ReplaceOrder(order_id=order_id, order_qty=150, release_ts=desk.now + SECOND), STRATEGY)
    desk.frame(CancelOrder(order_id=order_id, release_ts=desk.now + 3 * SECOND), STRATEGY)
    wait_until(desk, desk.now + 2 * SECOND)
    desk.update(order_id, ExecType.REPLACED, order_qty=150)
    wait_until(desk, desk.now + 2 * SECOND)
    whole = desk.replay()
    for at in range(1, len(desk.stream)):
        assert desk.replay(restart_at=at) == whole
