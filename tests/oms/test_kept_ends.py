"""Ends that the venue does not know: what of an order can be replaced, what the venue is told of it, and when we end it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oms_and_risk import GATEWAY, NULL, OPERATOR, SECOND, STRATEGY, VENUE, Desk
from recon_venue import Venue

from journal.messages import (
    CancelOrder,
    Clock,
    ContingencyType,
    CorrectionAction,
    CxlRejResponseTo,
    EmulatedTrigger,
    ExecType,
    ExecutionReport,
    Flag,
    GatewayPhase,
    ListMember,
    ListRole,
    OrderCancelReject,
    OrderList,
    OrdStatus,
    OrdType,
    Reason,
    ReconcileCorrection,
    ReconcileDifference,
    ReplaceOrder,
    RoutedCancel,
    RoutedReplace,
    SendRefused,
    TimeInForce,
    VenueCancelReject,
    VenueDefined,
    order_id_of,
)
from oms.differences import Settings
from oms.kills import CANCEL_AGAIN_NS

T, S, E = OrdType, OrdStatus, ExecType


@pytest.fixture
def desk() -> Desk:
    d = Desk()
    d.ready()
    d.touch(4995, 5005)
    return d


def ending(desk: Desk, ord_type: int = T.LIMIT, *, seconds: int = 10, **terms: Any) -> int:
    """An order with an end; one that is sent works."""
    given = {"tif": TimeInForce.GTD, "expire_ts": desk.now + seconds * SECOND} | terms
    order_id = desk.ask(ord_type, **({"price_px": 4900} | given))
    if desk.sent_of(order_id):
        desk.ack(order_id)
    return order_id


def replace(desk: Desk, order_id: int, source: int = STRATEGY, **terms: int) -> None:
    desk.frame(ReplaceOrder(order_id=order_id, **terms), source)


def until(desk: Desk, at: int) -> None:
    """The stream's time is this."""
    desk.frame(Clock(), 0, ns=at - desk.now)


def refused(desk: Desk) -> list[int]:
    return [m.reason for m in desk.said(OrderCancelReject) if m.response_to == CxlRejResponseTo.REPLACE]


def ends(desk: Desk, order_id: int) -> tuple[int, int]:
    """When it ends: as the OMS has it, and risk."""
    order, held = desk.oms.memory.peek(order_id), desk.risk.memory.exposure.orders[order_id]
    assert order is not None
    return order.expire_ts, held.expire_ts


def ends_at(desk: Desk, order_id: int, at: int) -> None:
    """It is canceled then, and not before."""
    assert ends(desk, order_id) == (at, at)
    until(desk, at - 1)
    assert desk.count(RoutedCancel) == 0
    until(desk, at)
    (cancel,) = desk.said(RoutedCancel)
    assert (cancel.order_id, cancel.reason) == (order_id, Reason.EXPIRED_BY_TIME)
    desk.update(order_id, E.CANCELED)
    assert desk.reports(order_id)[-1] == (E.CANCELED, S.CANCELED, Reason.EXPIRED_BY_TIME)
    assert desk.oms.memory.instructions.ends == {}
    assert desk.replay() == desk.emitted


def test_other_terms_go_to_the_venue_without_the_end_that_we_keep(desk: Desk) -> None:
    order_id = ending(desk)
    end = ends(desk, order_id)[0]
    replace(desk, order_id, price_px=4850, order_qty=70)
    (routed,) = desk.said(RoutedReplace)
    assert (routed.price_px, routed.order_qty, routed.expire_ts) == (4850, 70, 0)
    desk.update(order_id, E.REPLACED, order_qty=70, price_px=4850)
    assert desk.reserved(order_id) == 70
    replace(desk, order_id, price_px=4800)  # and once more: the end stays ours
    desk.update(order_id, E.REPLACED, order_qty=70, price_px=4800)
    assert refused(desk) == []
    ends_at(desk, order_id, end)


def test_the_stop_of_a_native_stop_too() -> None:
    desk = Desk()
    desk.ready(stops=True)
    desk.touch(4995, 5005)
    order_id = desk.ask(T.STOP, stop_px=5020, tif=TimeInForce.GTD, expire_ts=desk.now + 10 * SECOND)
    desk.update(order_id, E.SUSPENDED, ord_status=S.SUSPENDED)
    end = ends(desk, order_id)[0]
    replace(desk, order_id, stop_px=5040)
    (routed,) = desk.said(RoutedReplace)
    assert (routed.stop_px, routed.price_px, routed.expire_ts) == (5040, NULL, 0)
    desk.update(order_id, E.REPLACED, order_qty=100, stop_px=5040)
    later = end + 5 * SECOND
    replace(desk, order_id, expire_ts=later)
    assert desk.reports(order_id)[-1][:2] == (E.REPLACED, S.SUSPENDED)
    ends_at(desk, order_id, later)


@pytest.mark.parametrize("seconds", [3, 30])
def test_a_new_end_alone_holds_at_once_and_no_venue_hears_of_it(desk: Desk, seconds: int) -> None:
    order_id = ending(desk)
    desk.fill(order_id, 40)
    version = desk.oms.memory.orders[order_id].version
    end = desk.now + seconds * SECOND
    replace(desk, order_id, expire_ts=end, price_px=4900)  # the price it has
    assert [r[:2] for r in desk.reports(order_id)[-2:]] == [
        (E.PENDING_REPLACE, S.PENDING_REPLACE),
        (E.REPLACED, S.PARTIALLY_FILLED),
    ]
    assert desk.oms.memory.orders[order_id].version == version + 1
    assert desk.risk.memory.exposure.orders[order_id].wishes == []
    assert (desk.reserved(order_id), desk.count(RoutedReplace), refused(desk)) == (60, 0, [])
    ends_at(desk, order_id, end)


def test_a_new_end_alone_needs_no_open_way(desk: Desk) -> None:
    """It holds between the frame that asks and risk's word, whatever stands between us and the venue."""
    order_id = ending(desk)
    end = desk.now + 20 * SECOND
    desk.oms.memory.overfilled[f"{desk.oms.memory.orders[order_id].account}/1001"] = desk.seq
    replace(desk, order_id, expire_ts=end)
    assert ends(desk, order_id) == (end, end)
    replace(desk, order_id, price_px=4800)
    assert len(refused(desk)) == 1


def test_with_other_terms_a_new_end_holds_once_the_venue_has_replaced_them(desk: Desk) -> None:
    order_id = ending(desk)
    end = ends(desk, order_id)[0]
    replace(desk, order_id, price_px=4850, expire_ts=end + 5 * SECOND)
    assert [m.expire_ts for m in desk.said(RoutedReplace)] == [0]
    assert ends(desk, order_id) == (end, end)
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    ends_at(desk, order_id, end + 5 * SECOND)


def test_what_the_venue_does_not_replace_keeps_its_end(desk: Desk) -> None:
    order_id = ending(desk)
    end = ends(desk, order_id)[0]
    replace(desk, order_id, price_px=4850, expire_ts=end + 5 * SECOND)
    desk.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.REPLACE, reason=Reason.PRICE_BAND), GATEWAY)
    assert refused(desk) == [Reason.PRICE_BAND]
    ends_at(desk, order_id, end)


def test_until_the_venue_answers_the_old_end_holds(desk: Desk) -> None:
    order_id = ending(desk)
    end = ends(desk, order_id)[0]
    replace(desk, order_id, price_px=4850, expire_ts=end + 5 * SECOND)
    until(desk, end)
    assert [m.reason for m in desk.said(RoutedCancel)] == [Reason.EXPIRED_BY_TIME]
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    assert desk.status(order_id) == S.PENDING_CANCEL
    desk.update(order_id, E.CANCELED)
    assert desk.reports(order_id)[-1] == (E.CANCELED, S.CANCELED, Reason.EXPIRED_BY_TIME)


@pytest.mark.parametrize("held", [False, True])
def test_an_end_that_is_over_is_refused(desk: Desk, held: bool) -> None:
    order_id = ending(desk, T.STOP_LIMIT, stop_px=5020, price_px=5030) if held else ending(desk)
    end = ends(desk, order_id)[0]
    for over in (1, desk.now, desk.now + 1):  # the frame that asks is 1 ns later
        replace(desk, order_id, expire_ts=over, price_px=4850)
    assert refused(desk) == [Reason.INVALID_EXPIRE_TIME] * 3
    assert desk.count(RoutedReplace) == 0
    assert ends(desk, order_id) == (end, end)


@pytest.mark.parametrize(
    "terms",
    [
        {"ord_type": T.LIMIT, "price_px": 4900, "tif": TimeInForce.DAY},
        {"ord_type": T.STOP, "stop_px": 5020, "tif": TimeInForce.DAY},
        {"ord_type": T.STOP, "stop_px": 5020},
        {"ord_type": T.LIMIT, "price_px": 4900, "release_ts": 1 << 60},
    ],
)
def test_an_order_of_another_life_gets_no_end(desk: Desk, terms: dict[str, Any]) -> None:
    """A held one would be no order at all when it is released."""
    order_id = desk.ask(**terms)
    if desk.sent:
        desk.ack(order_id)
    replace(desk, order_id, expire_ts=desk.now + SECOND)
    assert refused(desk) == [Reason.INVALID_EXPIRE_TIME]
    assert ends(desk, order_id) == (0, 0)
    assert desk.risk.memory.exposure.orders[order_id].wishes == []


def test_the_price_of_a_day_order_can_be_replaced(desk: Desk) -> None:
    order_id = desk.ask(T.LIMIT, price_px=4900, tif=TimeInForce.DAY)
    desk.ack(order_id)
    midnight = desk.oms.memory.instructions.ends[order_id]
    replace(desk, order_id, price_px=4850)
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    assert desk.oms.memory.instructions.ends == {order_id: midnight}
    assert refused(desk) == []


def test_a_venue_that_knows_ends_is_told_them() -> None:
    desk = Desk()
    desk.ready(ends=True)
    order_id = ending(desk)
    end = ends(desk, order_id)[0]
    assert [(m.tif, m.expire_ts) for m in desk.sent] == [(TimeInForce.GTD, end)]
    replace(desk, order_id, price_px=4850)
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    replace(desk, order_id, expire_ts=end + SECOND)
    assert [m.expire_ts for m in desk.said(RoutedReplace)] == [end, end + SECOND]
    assert ends(desk, order_id) == (end, end)
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    assert ends(desk, order_id) == (end + SECOND, end + SECOND)
    until(desk, end + 2 * SECOND)
    assert desk.count(RoutedCancel) == 0  # the venue ends it


@pytest.mark.parametrize("native", [False, True])
def test_an_order_goes_on_with_the_end_that_it_left_with(native: bool) -> None:
    """What the venue says from the next day on is of the orders to come."""
    desk = Desk()
    desk.ready(ends=native)
    order_id = ending(desk)
    desk.offer(ends=not native)
    desk.ends = native
    replace(desk, order_id, price_px=4850)
    (routed,) = desk.said(RoutedReplace)
    assert bool(routed.expire_ts) == native


# An order without an end gets one.


@pytest.mark.parametrize("alone", [False, True])
def test_a_gtc_order_gets_an_end_from_us_where_its_venue_knows_none(desk: Desk, alone: bool) -> None:
    order_id = desk.ask(T.LIMIT, price_px=4900)
    desk.ack(order_id)
    end = desk.now + 10 * SECOND
    replace(desk, order_id, expire_ts=end, **({} if alone else {"price_px": 4850}))
    assert [(m.price_px, m.expire_ts) for m in desk.said(RoutedReplace)] == ([] if alone else [(4850, 0)])
    if not alone:
        assert (ends(desk, order_id), desk.oms.memory.instructions.ends) == ((0, 0), {})
        desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    report = next(m for m in desk.said(ExecutionReport)[::-1] if m.exec_type == E.REPLACED)
    assert (report.tif, report.ord_status) == (TimeInForce.GTD, S.NEW)
    replace(desk, order_id, price_px=4800)  # and it is as any whose end we keep
    assert desk.said(RoutedReplace)[-1].expire_ts == 0
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4800)
    assert refused(desk) == []
    ends_at(desk, order_id, end)


def test_a_gtc_order_gets_no_end_that_is_over(desk: Desk) -> None:
    order_id = desk.ask(T.LIMIT, price_px=4900)
    desk.ack(order_id)
    replace(desk, order_id, expire_ts=desk.now)
    assert refused(desk) == [Reason.INVALID_EXPIRE_TIME]
    assert ends(desk, order_id) == (0, 0)


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.IOC])
def test_the_time_in_force_at_a_venue_that_keeps_ends_is_not_replaced(tif: int) -> None:
    """RoutedReplace has no word for it: with an end alone the venue could only guess."""
    desk = Desk()
    desk.ready(ends=True)
    order_id = desk.ask(T.LIMIT, price_px=4900, tif=tif)
    desk.ack(order_id)
    replace(desk, order_id, price_px=4850, expire_ts=desk.now + SECOND)
    assert refused(desk) == [Reason.REPLACE_NOT_ALLOWED]
    assert (desk.count(RoutedReplace), ends(desk, order_id)) == (0, (0, 0))
    assert desk.risk.memory.exposure.orders[order_id].wishes == []


def test_an_end_that_was_to_be_ours_stays_so_whatever_the_venue_says_it_takes_meanwhile(desk: Desk) -> None:
    order_id = desk.ask(T.LIMIT, price_px=4900)
    desk.ack(order_id)
    end = desk.now + 10 * SECOND
    replace(desk, order_id, price_px=4850, expire_ts=end)
    desk.offer(ends=True)
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    replace(desk, order_id, price_px=4800)
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4800)
    assert [m.expire_ts for m in desk.said(RoutedReplace)] == [0, 0]
    assert refused(desk) == []
    ends_at(desk, order_id, end)


def test_where_nothing_is_said_of_a_venue_an_end_goes_as_it_was_asked() -> None:
    desk = Desk()
    desk.ready(ends=True)
    desk.frame(VenueDefined(venue=VENUE), 1)
    order_id = desk.ask(T.LIMIT, price_px=4900)
    desk.ack(order_id)
    end = desk.now + SECOND
    replace(desk, order_id, expire_ts=end)
    assert [m.expire_ts for m in desk.said(RoutedReplace)] == [end]
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4900)
    assert ends(desk, order_id) == (end, end)
    assert desk.oms.memory.instructions.ends == {}


# Held orders.


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("released", [False, True])
def test_the_end_of_an_order_that_is_held_first(native: bool, released: bool) -> None:
    """Ours while it is held; then that of whoever keeps it."""
    desk = Desk()
    desk.ready(ends=native)
    desk.touch(4995, 5005)
    order_id = ending(desk, T.STOP_LIMIT, stop_px=5020, price_px=5030)
    end = ends(desk, order_id)[0]
    if released:
        desk.touch(5015, 5020)
        desk.ack(order_id)
    replace(desk, order_id, expire_ts=end + SECOND)
    replace(desk, order_id, price_px=5040)
    if not released:
        assert desk.count(RoutedReplace) == 0
        desk.touch(5015, 5020)
        (routed,) = desk.sent
        assert (routed.price_px, routed.expire_ts) == (5040, end + SECOND if native else 0)
        assert ends(desk, order_id) == (end + SECOND, end + SECOND)
    elif native:
        assert [m.expire_ts for m in desk.said(RoutedReplace)] == [end + SECOND]
        assert refused(desk) == [Reason.ALREADY_PENDING]
        return
    else:
        assert [(m.price_px, m.expire_ts) for m in desk.said(RoutedReplace)] == [(5040, 0)]
        desk.update(order_id, E.REPLACED, order_qty=100, price_px=5040)
    assert refused(desk) == []
    until(desk, end + 2 * SECOND)
    assert desk.count(RoutedCancel) == (not native)
    assert desk.replay() == desk.emitted


def test_an_order_held_again_after_risk_had_passed_its_release(desk: Desk) -> None:
    """Risk takes it for sent, with its end; it is held, so either is good."""
    desk = Desk()
    desk.ready(ends=True)
    desk.touch(4995, 5005)
    order_id = ending(desk, T.STOP_LIMIT, stop_px=5020, price_px=5030)
    shut = desk.oms.shut
    desk.oms.shut = lambda order: Reason.GATE_SHUT if desk.count(EmulatedTrigger) else shut(order)  # type: ignore[method-assign]
    desk.touch(5015, 5020)
    del desk.oms.shut  # type: ignore[attr-defined]
    assert (desk.status(order_id), desk.sent) == (S.SUSPENDED, [])
    replace(desk, order_id, price_px=5040)
    assert refused(desk) == []
    assert desk.oms.memory.orders[order_id].price_px == 5040


def test_what_is_released_to_take_what_there_is_has_no_end(desk: Desk) -> None:
    order_id = ending(desk, T.STOP, stop_px=5020, price_px=NULL)
    desk.touch(5015, 5020)
    assert [(m.tif, m.expire_ts) for m in desk.sent] == [(TimeInForce.IOC, 0)]
    assert desk.oms.memory.instructions.ends == {}
    assert ends(desk, order_id)[0] == 0


def test_a_member_of_a_list_with_an_end_that_its_venue_knows() -> None:
    desk = Desk()
    desk.ready(ends=True)
    ids = [order_id_of(STRATEGY, 100 + n) for n in (0, 1)]
    legs = [ListMember(order_id=i, role=ListRole.SIBLING) for i in ids]
    list_id = order_id_of(STRATEGY, 900)
    desk.frame(OrderList(list_id=list_id, contingency=ContingencyType.OCO, members=legs), STRATEGY)
    for order_id in ids:
        ending(desk, order_id=order_id, list_id=list_id)
    assert desk.oms.memory.instructions.ends == {}
    desk.ack(ids[0])
    replace(desk, ids[0], price_px=4850)
    assert [m.expire_ts for m in desk.said(RoutedReplace)] == [desk.sent_of(ids[0])[0].expire_ts]


# At its time, and past it.


def test_a_new_end_that_waits_for_its_time(desk: Desk) -> None:
    order_id = ending(desk)
    end = ends(desk, order_id)[0]
    at = desk.now + 2 * SECOND
    replace(desk, order_id, expire_ts=end + 5 * SECOND, release_ts=at)
    until(desk, at - 1)
    assert ends(desk, order_id) == (end, end)
    until(desk, at)
    assert (desk.count(RoutedReplace), refused(desk)) == (0, [])
    ends_at(desk, order_id, end + 5 * SECOND)


def test_a_cancel_goes_past_a_new_end_that_waits(desk: Desk) -> None:
    order_id = ending(desk)
    replace(desk, order_id, expire_ts=desk.now + 20 * SECOND, release_ts=desk.now + SECOND)
    desk.frame(CancelOrder(order_id=order_id), STRATEGY)
    until(desk, desk.now + 2 * SECOND)
    assert refused(desk) == [Reason.ALREADY_PENDING]
    desk.update(order_id, E.CANCELED)
    assert desk.reserved(order_id) == 0


def test_an_order_past_its_end_that_the_venue_would_not_cancel_gets_another(desk: Desk) -> None:
    order_id = ending(desk)
    until(desk, ends(desk, order_id)[0])
    assert desk.count(RoutedCancel) == 1
    desk.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT), GATEWAY)
    assert desk.status(order_id) == S.NEW
    replace(desk, order_id, price_px=4850)
    assert refused(desk) == [Reason.INVALID_EXPIRE_TIME]  # risk has it that its time is over
    end = desk.now + SECOND
    replace(desk, order_id, price_px=4850, expire_ts=end)
    assert [m.expire_ts for m in desk.said(RoutedReplace)] == [0]
    desk.update(order_id, E.REPLACED, order_qty=100, price_px=4850)
    until(desk, end)
    assert desk.count(RoutedCancel) == 2


def test_a_lost_connection_and_a_restart_at_any_frame(desk: Desk) -> None:
    order_id = ending(desk)
    later = ends(desk, order_id)[0] + 5 * SECOND
    replace(desk, order_id, expire_ts=later)
    replace(desk, order_id, order_qty=70)
    desk.disconnect()
    desk.phase(GatewayPhase.DISCONNECTED)
    replace(desk, order_id, expire_ts=later + SECOND)
    assert refused(desk) == [Reason.ORDER_OUTCOME_UNKNOWN]
    desk.phase(GatewayPhase.READY)
    desk.update(order_id, E.ORDER_STATUS, ord_status=S.NEW, order_qty=70, price_px=4900, cum_qty=0)
    assert ends(desk, order_id) == (later, later)
    until(desk, later)
    desk.update(order_id, E.CANCELED)
    whole = desk.replay()
    assert whole == desk.emitted
    for at in range(1, len(desk.stream)):
        assert desk.replay(restart_at=at) == whole


# Open again after an end.


@pytest.fixture
def venue() -> Venue:
    """One that takes no ends, and a desk that compares itself with it and gives up soon."""
    found = Venue(Desk())
    found.r.oms.reconcile_by(Settings(attempts=1))
    assert isinstance(found.r, Desk)
    found.r.ready()
    found.answer()
    return found


def take_up(venue: Venue, order_id: int) -> None:
    """The venue lists as working what has ended here, and a person believes it."""
    venue.accept(order_id, px=4900, pushed=False)
    venue.settle(90)
    (seq,) = [seq for seq, _, m in venue.r.stream if isinstance(m, ReconcileDifference)][-1:]
    venue.r.frame(ReconcileCorrection(difference_seq=seq, action=CorrectionAction.ADOPT_VENUE_ORDER, user=2), OPERATOR)


def test_an_order_that_a_person_takes_up_again_has_its_end_again(venue: Venue) -> None:
    desk = venue.r
    assert isinstance(desk, Desk)
    order_id = ending(desk, seconds=1000)
    end = ends(desk, order_id)[0]
    desk.update(order_id, E.CANCELED)
    assert desk.oms.memory.instructions.ends == {}
    take_up(venue, order_id)
    assert desk.status(order_id) == S.NEW
    assert desk.oms.memory.instructions.ends == {order_id: end}
    until(desk, end - 1)
    assert desk.count(RoutedCancel) == 0
    until(desk, end)
    assert [(m.order_id, m.reason) for m in desk.said(RoutedCancel)] == [(order_id, Reason.EXPIRED_BY_TIME)]
    desk.update(order_id, E.CANCELED)
    assert desk.reports(order_id)[-1] == (E.CANCELED, S.CANCELED, Reason.EXPIRED_BY_TIME)
    whole = desk.replay()
    for at in range(1, len(desk.stream), 7):
        assert desk.replay(restart_at=at) == whole


@pytest.mark.parametrize("by_us", [False, True], ids=["canceled before it", "canceled at it"])
def test_an_end_that_is_past_when_the_order_is_taken_up_again_is_due_at_once(venue: Venue, by_us: bool) -> None:
    desk = venue.r
    assert isinstance(desk, Desk)
    order_id = ending(desk, seconds=20)
    end = ends(desk, order_id)[0]
    until(desk, end if by_us else end - SECOND)
    assert desk.count(RoutedCancel) == by_us
    desk.update(order_id, E.CANCELED)
    take_up(venue, order_id)
    assert desk.now > end + 60 * SECOND
    assert [m.reason for m in desk.said(RoutedCancel)] == [Reason.EXPIRED_BY_TIME] * (1 + by_us)
    assert [r[:2] for r in desk.reports(order_id)[-2:]] == [(E.ORDER_STATUS, S.NEW), (E.PENDING_CANCEL, S.PENDING_CANCEL)]
    by_person = [m for m, flags in zip(desk.emitted, desk.flags, strict=True) if flags & Flag.SYNTHETIC]
    assert [m.ord_status for m in by_person if isinstance(m, ExecutionReport)] == [S.NEW]  # the cancel is ours
    desk.update(order_id, E.CANCELED)
    assert desk.reports(order_id)[-1] == (E.CANCELED, S.CANCELED, Reason.EXPIRED_BY_TIME)
    assert desk.replay() == desk.emitted


def test_the_end_of_a_day_order_that_is_taken_up_again(venue: Venue) -> None:
    desk = venue.r
    assert isinstance(desk, Desk)
    order_id = desk.ask(T.LIMIT, price_px=4900, tif=TimeInForce.DAY)
    desk.ack(order_id)
    midnight = desk.oms.memory.instructions.ends[order_id]
    desk.update(order_id, E.CANCELED)
    take_up(venue, order_id)
    until(desk, midnight)
    assert [m.reason for m in desk.said(RoutedCancel)] == [Reason.EXPIRED_BY_TIME]


def test_what_was_called_rejected_and_works_has_its_end(desk: Desk) -> None:
    order_id = desk.ask(T.LIMIT, price_px=4900, tif=TimeInForce.GTD, expire_ts=desk.now + 10 * SECOND)
    end = ends(desk, order_id)[0]
    desk.update(order_id, E.REJECTED, reason=Reason.INSUFFICIENT_FUNDS)
    assert desk.status(order_id) == S.REJECTED
    desk.ack(order_id)
    assert desk.status(order_id) == S.NEW
    until(desk, end)
    assert [m.reason for m in desk.said(RoutedCancel)] == [Reason.EXPIRED_BY_TIME]
    assert desk.replay() == desk.emitted


STEPS = (
    "price",
    "end",
    "both",
    "later",
    "replaced",
    "refused",
    "touch",
    "time",
    "lose",
    "find",
    "offer",
    "restart",
    "cancel",
    "works",
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.booleans(),
    st.sampled_from((T.LIMIT, T.STOP_LIMIT)),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 9)), min_size=3, max_size=14),
)
def test_oms_and_risk_agree_on_ends_whatever_happens(
    native: bool, ord_type: int, ends_itself: bool, steps: list[tuple[str, int]]
) -> None:
    """That what leaves has its pass, and no end that we keep, the desk asserts."""
    desk = Desk()
    desk.ready(ends=native)
    desk.touch(4995, 5005)
    terms = {"stop_px": 5020, "price_px": 5030} if ord_type == T.STOP_LIMIT else {}
    order_id = ending(desk, ord_type, **terms | ({} if ends_itself else {"tif": TimeInForce.GTC, "expire_ts": 0}))
    again = False  # risk has not heard of the end that it has again
    told = {m.order_id for m in desk.sent if m.expire_ts}
    for what, n in steps:
        order = desk.oms.memory.peek(order_id)
        assert order is not None
        wanted = order.replace
        match what:
            case "price":
                replace(desk, order_id, price_px=4800 + 5 * n)
            case "end":
                replace(desk, order_id, expire_ts=desk.now + n * SECOND)
            case "both":
                replace(desk, order_id, price_px=4800 + 5 * n, expire_ts=desk.now + n * SECOND)
            case "later":
                replace(desk, order_id, expire_ts=desk.now + n * SECOND, release_ts=desk.now + n * SECOND // 2)
            case "replaced" if wanted is not None and wanted.routed:
                desk.update(order_id, E.REPLACED, order_qty=wanted.order_qty, price_px=wanted.price_px)
            case "refused" if wanted is not None and wanted.routed:
                desk.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.REPLACE), GATEWAY)
            case "refused" if order.cancel is not None:
                desk.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL), GATEWAY)
            case "touch":
                desk.touch(5015, 5000 + 5 * n)
                if desk.sent and order.base == S.PENDING_NEW:
                    desk.ack(order_id)
            case "time":
                until(desk, desk.now + n * SECOND // 3)
            case "lose":
                desk.disconnect()
                desk.phase(GatewayPhase.DISCONNECTED)
            case "find":
                desk.phase(GatewayPhase.READY)
                if desk.sent:
                    desk.update(order_id, E.ORDER_STATUS, ord_status=S.NEW, order_qty=100, price_px=order.price_px, cum_qty=0)
            case "works" if order.base == S.NEW and order_id not in told and not native:
                desk.update(order_id, E.REJECTED)
                desk.ack(order_id)
                again = True
            case "offer" if not again:
                desk.ends, native = True, n % 2 == 0
                desk.offer(ends=native)
                desk.ends = True  # what has left with an end keeps it
            case "restart":
                for machine in (desk.oms, desk.risk):
                    machine.restore(machine.snapshot())
            case "cancel" if order.cancel is not None:
                desk.update(order_id, E.CANCELED)
        told |= {m.order_id for m in desk.sent if m.expire_ts}
        order = desk.oms.memory.peek(order_id)
        assert order is not None
        if order.closed:
            break
        held = desk.risk.memory.exposure.orders[order_id]
        kept = order_id in desk.oms.memory.instructions.ends
        assert kept == (order.expire_ts > 0 and order_id not in told)
        if not again or held.expire_ts:
            assert held.expire_ts == order.expire_ts
            assert order.held or held.end_kept == kept
    assert Reason.RISK_PASS_MISSING_OR_DIFFERENT not in refused(desk)
    assert not [m for m in desk.said(RoutedReplace) if bool(m.expire_ts) != (m.order_id in told)]
    assert desk.replay() == desk.emitted


@pytest.mark.parametrize("lost", [False, True], ids=["refused", "not sent"])
def test_a_cancel_at_the_end_that_is_not_done_is_sent_again(desk: Desk, lost: bool) -> None:
    """An order does not outlive its end because the venue was busy then."""
    order_id = ending(desk)
    until(desk, ends(desk, order_id)[0])
    assert desk.count(RoutedCancel) == 1
    if lost:
        seq = desk.oms.memory.orders[order_id].cancel.routed_seq
        desk.frame(SendRefused(order_id=order_id, request_seq=seq, reason=Reason.RATE_LIMIT), GATEWAY)
    else:
        desk.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT), GATEWAY)
    assert desk.oms.memory.orders[order_id].cancel is None
    desk.oms.check()
    until(desk, desk.now + CANCEL_AGAIN_NS)
    assert [(m.order_id, m.reason) for m in desk.said(RoutedCancel)] == [(order_id, Reason.EXPIRED_BY_TIME)] * 2
    desk.update(order_id, E.CANCELED)
    assert desk.reports(order_id)[-1] == (E.CANCELED, S.CANCELED, Reason.EXPIRED_BY_TIME)
    assert desk.oms.memory.again == {}
    assert desk.replay() == desk.emitted


def test_another_end_calls_off_a_cancel_that_was_to_be_sent_again(desk: Desk) -> None:
    order_id = ending(desk)
    until(desk, ends(desk, order_id)[0])
    desk.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT), GATEWAY)
    later = desk.now + 20 * SECOND
    replace(desk, order_id, expire_ts=later)
    until(desk, desk.now + 2 * CANCEL_AGAIN_NS)
    assert desk.count(RoutedCancel) == 1
    until(desk, later)
    assert desk.count(RoutedCancel) == 2
