"""The venue's own mass cancel: when it goes, when it must not, and that each order's end is the same as by its own cancel."""

from __future__ import annotations

from typing import Any

import pytest
from oms_and_risk import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, OTHER, SECOND, STRATEGY, VENUE, Desk, sweep, work

from journal.messages import (
    CancelAllReport,
    CancelOrder,
    CxlRejResponseTo,
    DestinationDefined,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    KillLevel,
    KillSwitch,
    Message,
    OrderSent,
    OrdStatus,
    OrdType,
    Reason,
    RoutedCancel,
    RoutedCancelAll,
    RoutedQuery,
    ScopeType,
    SendRefused,
    Side,
    SupportType,
    VenueCancelReject,
    VenueMassCancelReport,
    VenueOrderUpdate,
)
from oms.budgets import Kind, Rule


@pytest.fixture
def desk() -> Desk:
    return venue(SupportType.CANCEL_ALL)


def venue(supports: int) -> Desk:
    d = Desk()
    d.ready(supports=supports)
    d.touch(4995, 5005)
    return d


def singles(desk: Desk) -> list[int]:
    return [m.order_id for m in desk.said(RoutedCancel)]


def seq_of(desk: Desk, m: Message) -> int:
    return next(seq for seq, _, said in desk.stream if said is m)


def mass(desk: Desk) -> tuple[RoutedCancelAll, int]:
    (m,) = desk.said(RoutedCancelAll)
    return m, seq_of(desk, m)


def test_many_go_as_one_and_each_end_is_told(desk: Desk) -> None:
    ids = [work(desk) for _ in range(3)]
    sweep(desk, reason=Reason.SHUTDOWN)
    m, seq = mass(desk)
    assert (m.scope_type, m.scope_account, m.account, m.destination) == (ScopeType.ACCOUNT, ACCOUNT, ACCOUNT, 2)
    assert singles(desk) == []
    assert [desk.status(o) for o in ids] == [OrdStatus.PENDING_CANCEL] * 3
    desk.frame(OrderSent(request_seq=seq), GATEWAY)
    desk.frame(VenueMassCancelReport(request_seq=seq, account=ACCOUNT, affected=3), GATEWAY)
    for order_id in ids[:2]:
        desk.update(order_id, ExecType.CANCELED, reason=Reason.USER_REQUEST)
    desk.fill(ids[2], 100)  # crossed
    assert [(r.matched, r.canceled, r.rejected, r.final) for r in desk.said(CancelAllReport)] == [(3, 0, 0, 0), (3, 2, 1, 1)]
    assert desk.reports(ids[0])[-1] == (ExecType.CANCELED, OrdStatus.CANCELED, Reason.SHUTDOWN)  # why we asked, not that
    assert singles(desk) == []


def test_as_by_single_cancels(desk: Desk) -> None:
    """The same story at a venue without it: every report of every order is the same."""
    plain = venue(0)
    for d in (desk, plain):
        ids = [work(d) for _ in range(3)]
        sweep(d)
        for order_id in ids:
            d.update(order_id, ExecType.CANCELED, reason=Reason.USER_REQUEST)
    told = [
        [(r.order_id, r.exec_type, r.ord_status, r.reason, r.version, r.cxl_qty) for r in d.said(ExecutionReport)]
        for d in (desk, plain)
    ]
    assert told[0] == told[1]
    assert (len(desk.said(RoutedCancelAll)), singles(desk)) == (1, [])
    assert (len(plain.said(RoutedCancelAll)), len(singles(plain))) == (0, 3)


def spare_by_owner(d: Desk) -> None:
    work(d, source=OTHER)


def spare_external(d: Desk) -> None:
    m = VenueOrderUpdate(account=ACCOUNT, instrument=INSTRUMENT, exec_type=ExecType.NEW, ord_status=OrdStatus.NEW,
                         order_qty=5, side=Side.BUY, venue_order_ref="77", price_px=4900)  # fmt: skip
    d.frame(m, GATEWAY)


def spare_unsent(d: Desk) -> None:
    """Held by us: the venue's cancel cannot hit it now, but it may be sent before it gets there."""
    d.ask(OrdType.STOP, source=OTHER, stop_px=5020)


def shut(d: Desk) -> None:
    d.phase(GatewayPhase.DOWNLOADING)


def second_way(d: Desk) -> None:
    d.frame(DestinationDefined(destination=3, venue=VENUE, account=ACCOUNT, gateway=44), 1)


def no_budget(d: Desk) -> None:
    rule = Rule(name="a", venue=VENUE, kind=Kind.FIXED_WINDOW, limit=10, period_ns=10**6 * SECOND, costs=(0, 0, 10, 0))
    d.oms.set_budgets([rule])
    extra = work(d)
    d.frame(CancelOrder(order_id=extra), STRATEGY)  # uses it up


@pytest.mark.parametrize("spoil", [spare_by_owner, spare_external, spare_unsent, shut, second_way, no_budget])
def test_where_it_would_hit_more_or_cannot_go_each_goes_alone(desk: Desk, spoil: Any) -> None:
    ids = [work(desk) for _ in range(2)]
    spoil(desk)
    sweep(desk)
    assert desk.said(RoutedCancelAll) == []
    waiting = [w.order_id for w in desk.oms.memory.pace.queue]
    assert {*ids} <= {*singles(desk), *waiting}


def test_a_filter_that_spares_one_spares_it(desk: Desk) -> None:
    buys = [work(desk) for _ in range(2)]
    work(desk, side=Side.SELL, price_px=5100)
    sweep(desk, side=Side.BUY)
    assert desk.said(RoutedCancelAll) == []
    assert singles(desk) == buys


def test_one_order_has_its_own_cancel(desk: Desk) -> None:
    order_id = work(desk)
    sweep(desk)
    assert (desk.said(RoutedCancelAll), singles(desk)) == ([], [order_id])


def test_one_under_way_is_hit_too_and_asked_once(desk: Desk) -> None:
    ids = [work(desk) for _ in range(3)]
    desk.frame(CancelOrder(order_id=ids[0]), STRATEGY)
    sweep(desk, by=OPERATOR)
    assert singles(desk) == [ids[0]]
    mass(desk)


def test_held_ones_end_at_once(desk: Desk) -> None:
    ids = [work(desk) for _ in range(2)]
    held = desk.ask(OrdType.STOP, stop_px=5020)
    sweep(desk)
    assert desk.status(held) == OrdStatus.CANCELED
    mass(desk)
    assert [desk.status(o) for o in ids] == [OrdStatus.PENDING_CANCEL] * 2


@pytest.mark.parametrize("reason", [Reason.RATE_LIMIT, Reason.OUTCOME_UNKNOWN, Reason.UNSUPPORTED_AT_VENUE])
def test_where_the_venue_does_not_do_it_each_goes_alone(desk: Desk, reason: int) -> None:
    ids = [work(desk) for _ in range(3)]
    sweep(desk)
    _, seq = mass(desk)
    desk.update(ids[0], ExecType.CANCELED)
    desk.frame(VenueMassCancelReport(request_seq=seq, account=ACCOUNT, reason=reason), GATEWAY)
    assert singles(desk) == ids[1:]
    refused = VenueCancelReject(order_id=ids[1], response_to=CxlRejResponseTo.CANCEL, reason=Reason.VENUE_OTHER)
    desk.frame(refused, GATEWAY)
    assert desk.status(ids[1]) == OrdStatus.NEW  # and the sweep knows
    desk.update(ids[2], ExecType.CANCELED)
    assert [(r.canceled, r.rejected) for r in desk.said(CancelAllReport) if r.final] == [(2, 1)]
    desk.frame(VenueMassCancelReport(request_seq=seq, account=ACCOUNT, reason=reason), GATEWAY)
    assert len(singles(desk)) == 2  # said twice, done once


def test_where_the_gateway_does_not_send_it_each_goes_alone(desk: Desk) -> None:
    ids = [work(desk) for _ in range(2)]
    sweep(desk)
    _, seq = mass(desk)
    desk.frame(SendRefused(request_seq=seq, reason=Reason.NOT_CONNECTED), GATEWAY)
    assert singles(desk) == ids


def test_a_refusal_of_something_else_moves_nothing(desk: Desk) -> None:
    [work(desk) for _ in range(2)]
    sweep(desk)
    desk.frame(SendRefused(request_seq=1, reason=Reason.NOT_CONNECTED), GATEWAY)
    desk.frame(VenueMassCancelReport(request_seq=0, reason=Reason.RATE_LIMIT), GATEWAY)
    assert singles(desk) == []


def test_an_order_whose_frame_is_not_back_is_canceled_once(desk: Desk) -> None:
    """Its RoutedOrder stands before the mass cancel, so the venue has it by then."""
    ids = [work(desk) for _ in range(2)]
    order = desk.oms.memory.orders[ids[1]]
    order.routed_seq, routed = 0, next(m for m in desk.sent if m.order_id == ids[1])
    sweep(desk)
    mass(desk)
    desk.oms.on_routed_order(routed)
    assert singles(desk) == []


def test_a_kill_goes_as_one_and_is_asked_again_where_it_was_refused(desk: Desk) -> None:
    ids = [work(desk) for _ in range(2)]
    desk.frame(KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.GLOBAL), OPERATOR)
    _, seq = mass(desk)
    desk.frame(VenueMassCancelReport(request_seq=seq, account=ACCOUNT, reason=Reason.RATE_LIMIT), GATEWAY)
    assert singles(desk) == ids
    for order_id in ids:
        desk.update(order_id, ExecType.CANCELED)
    assert [desk.status(o) for o in ids] == [OrdStatus.CANCELED] * 2


def test_a_kill_of_one_strategy_spares_the_other(desk: Desk) -> None:
    mine = [work(desk, strategy=1) for _ in range(2)]
    work(desk, strategy=2)
    kill = KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.STRATEGY, scope_strategy=1)
    desk.frame(kill, OPERATOR)
    assert desk.said(RoutedCancelAll) == []
    assert singles(desk) == mine


def test_no_answer_at_all_and_the_venue_is_asked(desk: Desk) -> None:
    ids = [work(desk) for _ in range(2)]
    sweep(desk)
    desk.pass_time(6 * SECOND)
    assert [desk.status(o) for o in ids] == [OrdStatus.UNKNOWN] * 2
    assert [q.order_id for q in desk.said(RoutedQuery)] == ids
    desk.update(ids[0], ExecType.ORDER_STATUS, ord_status=OrdStatus.NEW, order_qty=100, cum_qty=0, price_px=4900)
    assert singles(desk) == [ids[0]]  # what may have been lost goes again


def test_through_a_lost_connection(desk: Desk) -> None:
    ids = [work(desk) for _ in range(2)]
    sweep(desk)
    desk.disconnect()
    desk.phase(GatewayPhase.DISCONNECTED)
    desk.phase(GatewayPhase.READY)
    desk.update(ids[0], ExecType.ORDER_STATUS, ord_status=OrdStatus.CANCELED, order_qty=100, cum_qty=0)
    desk.update(ids[1], ExecType.ORDER_STATUS, ord_status=OrdStatus.NEW, order_qty=100, cum_qty=0, price_px=4900)
    assert singles(desk) == [ids[1]]
    desk.update(ids[1], ExecType.CANCELED)
    assert [(r.canceled, r.rejected) for r in desk.said(CancelAllReport) if r.final] == [(2, 0)]


def test_it_costs_the_budget_of_one_cancel(desk: Desk) -> None:
    desk.oms.set_budgets([Rule(name="a", venue=VENUE, kind=Kind.FIXED_WINDOW, limit=10, period_ns=10**6 * SECOND)])
    [work(desk) for _ in range(5)]
    (gauge,) = desk.oms.memory.pace.gauges.values()
    before = gauge.used
    sweep(desk)
    mass(desk)
    assert gauge.used == before + 1


def test_restarts_say_the_same(desk: Desk) -> None:
    ids = [work(desk) for _ in range(3)]
    sweep(desk)
    _, seq = mass(desk)
    desk.frame(VenueMassCancelReport(request_seq=seq, account=ACCOUNT, reason=Reason.RATE_LIMIT), GATEWAY)
    for order_id in ids:
        desk.update(order_id, ExecType.CANCELED)
    whole = desk.replay()
    for at in range(1, len(desk.stream), 2):
        assert desk.replay(restart_at=at) == whole
