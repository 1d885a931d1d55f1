"""Orders that depend on one another: all or none begin, and what one does changes what the others have."""

from __future__ import annotations

from typing import Any

import pytest
from oms_and_risk import OTHER, SECOND, STRATEGY, Desk

from journal.messages import (
    Alert,
    AlertSeverity,
    CancelOrder,
    Clock,
    ContingencyType,
    EmulatedTrigger,
    ExecType,
    GatewayPhase,
    ListMember,
    ListRole,
    ListStatus,
    ListStatusCode,
    OrderCancelReject,
    OrderList,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedReplace,
    Side,
    Trigger,
    order_id_of,
)

T, S, C, R = OrdType, OrdStatus, ContingencyType, ListRole
BUY, SELL = Side.BUY, Side.SELL
LIST = order_id_of(STRATEGY, 900)


@pytest.fixture
def desk() -> Desk:
    d = Desk()
    d.ready()
    d.touch(4995, 5005)
    return d


def begin(desk: Desk, contingency: int, *members: tuple[int, int, dict[str, Any]], mode: int = 0) -> list[int]:
    """A list and its members (role, type, terms); their ids."""
    ids = [order_id_of(STRATEGY, 100 + n) for n in range(len(members))]
    legs = [ListMember(order_id=i, role=m[0]) for i, m in zip(ids, members, strict=True)]
    desk.frame(OrderList(list_id=LIST, contingency=contingency, trigger_mode=mode, members=legs), STRATEGY)
    for order_id, (_, ord_type, terms) in zip(ids, members, strict=True):
        desk.ask(ord_type, order_id=order_id, list_id=LIST, **terms)
    return ids


def statuses(desk: Desk) -> list[int]:
    return [m.list_status for m in desk.said(ListStatus)]


def sibling(**terms: Any) -> tuple[int, int, dict[str, Any]]:
    return R.SIBLING, T.LIMIT, {"price_px": 4900} | terms


def oco(desk: Desk) -> list[int]:
    ids = begin(desk, C.OCO, sibling(), sibling(price_px=4800))
    for order_id in ids:
        desk.ack(order_id)
    return ids


def bracket(desk: Desk, *, mode: int = 0, qty: int = 100) -> list[int]:
    return begin(
        desk, C.BRACKET,
        (R.PRIMARY, T.LIMIT, {"price_px": 5000, "order_qty": qty}),
        (R.STOP_LOSS, T.STOP, {"side": SELL, "stop_px": 4900, "order_qty": qty}),
        (R.TAKE_PROFIT, T.LIMIT, {"side": SELL, "price_px": 5100, "order_qty": qty}),
        mode=mode,
    )  # fmt: skip


def test_nothing_leaves_before_the_last_member_has_passed(desk: Desk) -> None:
    ids = [order_id_of(STRATEGY, 100 + n) for n in (0, 1)]
    legs = [ListMember(order_id=i, role=R.SIBLING) for i in ids]
    desk.frame(OrderList(list_id=LIST, contingency=C.OCO, members=legs), STRATEGY)
    desk.ask(T.LIMIT, order_id=ids[0], list_id=LIST, price_px=4900)
    assert desk.status(ids[0]) == S.SUSPENDED
    assert desk.sent == []
    desk.ask(T.LIMIT, order_id=ids[1], list_id=LIST, price_px=4800)
    assert [m.order_id for m in desk.sent] == ids
    assert statuses(desk) == [ListStatusCode.RECEIVED, ListStatusCode.EXECUTING]


def test_a_list_that_is_not_completed_in_time_ends(desk: Desk) -> None:
    ids = [order_id_of(STRATEGY, 100 + n) for n in (0, 1)]
    legs = [ListMember(order_id=i, role=R.SIBLING) for i in ids]
    desk.frame(OrderList(list_id=LIST, contingency=C.OCO, members=legs), STRATEGY)
    desk.ask(T.LIMIT, order_id=ids[0], list_id=LIST, price_px=4900)
    desk.frame(Clock(), 0, ns=6 * SECOND)
    assert desk.reports(ids[0])[-1] == (ExecType.REJECTED, S.REJECTED, Reason.LIST_INCOMPLETE)
    assert desk.said(ListStatus)[-1].reason == Reason.LIST_INCOMPLETE
    desk.ask(T.LIMIT, order_id=ids[1], list_id=LIST, price_px=4800)
    assert desk.reports(ids[1])[-1] == (ExecType.REJECTED, S.REJECTED, Reason.LIST_INCOMPLETE)
    assert desk.sent == []
    assert desk.reserved(ids[0]) == desk.reserved(ids[1]) == 0


def test_one_member_denied_denies_all(desk: Desk) -> None:
    ids = begin(desk, C.OCO, sibling(), sibling(price_px=4801))  # off the tick: risk refuses
    assert desk.reports(ids[0])[-1][2] == Reason.LIST_MEMBER_DENIED
    assert desk.reports(ids[1])[-1][2] == Reason.PRICE_NOT_ON_TICK
    assert desk.said(ListStatus)[-1].reason == Reason.LIST_MEMBER_DENIED
    assert desk.sent == []


def test_a_member_that_the_venue_cannot_take_denies_all(desk: Desk) -> None:
    ids = begin(desk, C.OCO, (R.SIBLING, T.PEGGED, {}), sibling())
    assert [desk.status(i) for i in ids] == [S.REJECTED, S.REJECTED]
    assert desk.reports(ids[1])[-1][2] == Reason.LIST_MEMBER_DENIED


MALFORMED: list[tuple[int, list[tuple[int, int]], dict[str, int]]] = [
    (C.OCO, [(1, R.SIBLING)], {}),
    (C.OCO, [(1, R.SIBLING), (1, R.SIBLING)], {}),
    (C.OCO, [(1, R.PRIMARY), (2, R.SIBLING)], {}),
    (C.OTO, [(1, R.SIBLING), (2, R.SIBLING)], {}),
    (C.BRACKET, [(1, R.PRIMARY), (2, R.SIBLING)], {}),
    (C.BRACKET, [(1, R.PRIMARY), (2, R.STOP_LOSS), (3, R.STOP_LOSS)], {}),
    (C.UNDEFINED, [(1, R.SIBLING), (2, R.SIBLING)], {}),
    (C.OCO, [(1, R.SIBLING), (2, R.SIBLING)], {"trigger_mode": 2}),
    (C.OCO, [(n, R.SIBLING) for n in range(1, 66)], {}),
]


@pytest.mark.parametrize(("contingency", "members", "terms"), MALFORMED)
def test_a_list_that_is_none_is_refused_and_so_are_its_orders(
    desk: Desk, contingency: int, members: list[tuple[int, int]], terms: dict[str, int]
) -> None:
    legs = [ListMember(order_id=order_id_of(STRATEGY, n), role=r) for n, r in members]
    desk.frame(OrderList(list_id=LIST, contingency=contingency, members=legs, **terms), STRATEGY)
    (said,) = desk.said(ListStatus)
    assert (said.list_status, said.reason) == (ListStatusCode.REJECTED, Reason.INVALID_ORDER_LIST)
    order_id = desk.ask(T.LIMIT, order_id=order_id_of(STRATEGY, 1), list_id=LIST, price_px=4900)
    assert desk.reports(order_id)[-1][2] == Reason.INVALID_ORDER_LIST


def test_somebody_elses_orders_or_list_number_are_no_members(desk: Desk) -> None:
    for list_id, owner, by in ((LIST, OTHER, STRATEGY), (LIST, STRATEGY, OTHER)):
        legs = [ListMember(order_id=order_id_of(owner, n), role=R.SIBLING) for n in (1, 2)]
        desk.frame(OrderList(list_id=list_id, contingency=C.OCO, members=legs), by)
    assert statuses(desk) == [ListStatusCode.REJECTED] * 2


@pytest.mark.parametrize("members", [
    (sibling(), sibling(side=SELL)),
])  # fmt: skip
def test_members_whose_quantities_cannot_be_compared_are_refused(desk: Desk, members: Any) -> None:
    ids = begin(desk, C.OUO_ABSOLUTE, *members)
    assert [desk.reports(i)[-1][2] for i in ids] == [Reason.INVALID_ORDER_LIST] * 2


def test_oco_a_fill_of_one_cancels_the_other_and_its_own_rest_goes_on(desk: Desk) -> None:
    first, second = oco(desk)
    desk.fill(first, 30)
    (cancel,) = desk.said(RoutedCancel)
    assert (cancel.order_id, cancel.reason) == (second, Reason.CONTINGENCY)
    desk.update(second, ExecType.CANCELED)
    assert desk.reports(second)[-1][2] == Reason.CONTINGENCY
    assert desk.status(first) == S.PARTIALLY_FILLED
    desk.fill(first, 70)
    assert statuses(desk)[-1] == ListStatusCode.ALL_DONE
    assert [(m.ord_status, m.cum_qty) for m in desk.said(ListStatus)[-1].members] == [(S.FILLED, 100), (S.CANCELED, 0)]
    desk.frame(Clock(), 0, ns=61 * SECOND)
    assert desk.oms.memory.instructions.lists == {}
    assert desk.oms.memory.instructions.list_of == {}


def test_oco_the_end_of_one_ends_the_other(desk: Desk) -> None:
    first, second = oco(desk)
    desk.frame(CancelOrder(order_id=first), STRATEGY)
    desk.update(first, ExecType.CANCELED)
    assert [m.order_id for m in desk.said(RoutedCancel)] == [first, second]


@pytest.mark.parametrize("late", [False, True])
def test_oco_both_fill_at_once_is_taken_and_told_once(desk: Desk, late: bool) -> None:
    first, second = oco(desk)
    desk.fill(first, 100)
    if late:
        desk.update(second, ExecType.CANCELED)
    alerts = desk.count(Alert)
    desk.fill(second, 60)
    desk.fill(second, 40)
    told = [a for a in desk.said(Alert)[alerts:] if a.rule == Reason.CONTINGENCY]
    assert [a.severity for a in told] == [AlertSeverity.CRITICAL]
    assert desk.status(second) == S.FILLED


def test_ouo_absolute_takes_from_the_other_what_one_has_filled(desk: Desk) -> None:
    first, second = begin(desk, C.OUO_ABSOLUTE, sibling(), sibling(price_px=4800))
    desk.ack(first)
    desk.ack(second)
    desk.fill(first, 30)
    (replace,) = desk.said(RoutedReplace)
    assert (replace.order_id, replace.order_qty, replace.price_px) == (second, 70, 4800)
    desk.fill(first, 10)  # before the venue has answered: asked again when it has
    assert desk.count(RoutedReplace) == 1
    desk.update(second, ExecType.REPLACED, order_qty=70)
    assert [m.order_qty for m in desk.said(RoutedReplace)] == [70, 60]
    desk.update(second, ExecType.REPLACED, order_qty=60)
    desk.fill(first, 60)
    assert [m.order_id for m in desk.said(RoutedCancel)] == [second]


def test_ouo_a_reduction_that_the_venue_refuses_is_told_and_not_repeated_for_ever(desk: Desk) -> None:
    from journal.messages import CxlRejResponseTo, VenueCancelReject

    first, second = begin(desk, C.OUO_ABSOLUTE, sibling(), sibling(price_px=4800))
    desk.ack(first)
    desk.ack(second)
    desk.fill(first, 30)
    desk.frame(VenueCancelReject(order_id=second, response_to=CxlRejResponseTo.REPLACE, reason=Reason.RATE_LIMIT), 4)
    assert desk.said(Alert)[-1].rule == Reason.CONTINGENCY
    assert desk.count(RoutedReplace) == 1
    desk.fill(first, 10)  # another wish, another try
    assert [m.order_qty for m in desk.said(RoutedReplace)] == [70, 60]
    for _ in range(12):
        asked = desk.routed(second, RoutedReplace)
        refused = VenueCancelReject(order_id=second, request_seq=asked, response_to=CxlRejResponseTo.REPLACE, reason=419)
        desk.frame(refused, 4)
        desk.frame(Clock(), 0, ns=40 * SECOND)
    assert [m.order_qty for m in desk.said(RoutedReplace)] == [70, *[60] * 5]


def test_a_reduction_lost_with_the_connection_is_asked_again(desk: Desk) -> None:
    first, second = begin(desk, C.OUO_ABSOLUTE, sibling(), sibling(price_px=4800))
    desk.ack(first)
    desk.ack(second)
    desk.fill(first, 30)
    desk.disconnect()
    desk.phase(GatewayPhase.DISCONNECTED)
    desk.phase(GatewayPhase.READY)
    for order_id, cum in ((first, 30), (second, 0)):
        desk.update(order_id, ExecType.ORDER_STATUS, ord_status=S.NEW, order_qty=100, cum_qty=cum, price_px=4800, channel=4)
    desk.frame(Clock(), 0, ns=3 * SECOND)
    assert [m.order_qty for m in desk.said(RoutedReplace)] == [70, 70]


def test_ouo_proportional_takes_the_same_share_rounded_against_the_rest(desk: Desk) -> None:
    first, second = begin(desk, C.OUO_PROPORTIONAL, sibling(order_qty=100), sibling(order_qty=33))
    desk.ack(first)
    desk.ack(second)
    desk.fill(first, 50)
    assert desk.said(RoutedReplace)[-1].order_qty == 16  # 33 - ceil(16.5)


def test_a_user_does_not_change_what_the_list_decides(desk: Desk) -> None:
    first, _ = begin(desk, C.OUO_ABSOLUTE, sibling(), sibling(price_px=4800))
    desk.ack(first)
    desk.frame(ReplaceOrder(order_id=first, order_qty=50), STRATEGY)
    assert desk.said(OrderCancelReject)[-1].reason == Reason.REPLACE_NOT_ALLOWED
    desk.frame(ReplaceOrder(order_id=first, price_px=4850), STRATEGY)
    assert desk.count(RoutedReplace) == 1


def test_oto_waits_for_its_parent(desk: Desk) -> None:
    parent, child = begin(
        desk, C.OTO, (R.PRIMARY, T.LIMIT, {"price_px": 5000}), (R.SIBLING, T.LIMIT, {"price_px": 5100, "side": SELL})
    )
    assert [m.order_id for m in desk.sent] == [parent]
    assert desk.status(child) == S.SUSPENDED
    desk.ack(parent)
    desk.fill(parent, 40)
    assert len(desk.sent) == 1
    desk.fill(parent, 60)
    assert [m.order_id for m in desk.sent] == [parent, child]
    assert desk.said(EmulatedTrigger)[0].trigger == Trigger.ORDER_FILL


def test_a_parent_that_ends_without_a_fill_takes_its_children_along(desk: Desk) -> None:
    parent, child = begin(
        desk, C.OTO, (R.PRIMARY, T.LIMIT, {"price_px": 5000}), (R.SIBLING, T.LIMIT, {"price_px": 5100, "side": SELL})
    )
    desk.update(parent, ExecType.REJECTED, reason=Reason.PRICE_REFUSED)
    assert desk.reports(child)[-1] == (ExecType.CANCELED, S.CANCELED, Reason.CONTINGENCY)
    assert statuses(desk)[-1] == ListStatusCode.ALL_DONE


def test_bracket_protects_what_was_filled_when_the_entry_is_done(desk: Desk) -> None:
    entry, stop, profit = bracket(desk)
    desk.ack(entry)
    desk.fill(entry, 60)
    desk.frame(CancelOrder(order_id=entry), STRATEGY)
    desk.update(entry, ExecType.CANCELED)
    assert [(m.order_id, m.order_qty) for m in desk.sent[1:]] == [(profit, 60)]
    assert desk.status(stop) == S.SUSPENDED
    assert desk.reserved(stop) == 60
    desk.ack(profit)
    desk.touch(4900, 4910)
    assert [(m.order_id, m.order_qty, m.ord_type) for m in desk.sent[2:]] == [(stop, 60, T.MARKET)]
    desk.ack(stop)
    desk.fill(stop, 60)
    assert [m.order_id for m in desk.said(RoutedCancel)][-1] == profit
    desk.update(profit, ExecType.CANCELED)
    assert statuses(desk)[-1] == ListStatusCode.ALL_DONE


def test_bracket_mode_1_grows_with_the_entry(desk: Desk) -> None:
    entry, stop, profit = bracket(desk, mode=1)
    desk.ack(entry)
    desk.fill(entry, 30)
    assert [(m.order_id, m.order_qty) for m in desk.sent[1:]] == [(profit, 30)]
    desk.ack(profit)
    desk.fill(entry, 20)
    assert [(m.order_id, m.order_qty) for m in desk.said(RoutedReplace)] == [(profit, 50)]
    desk.update(profit, ExecType.REPLACED, order_qty=50)
    desk.fill(profit, 10)
    desk.touch(4895, 4900)
    assert [(m.order_id, m.order_qty) for m in desk.sent[2:]] == [(stop, 40)]


def test_bracket_a_partial_profit_takes_from_the_stop(desk: Desk) -> None:
    entry, stop, profit = bracket(desk)
    desk.ack(entry)
    desk.fill(entry, 100)
    desk.ack(profit)
    desk.fill(profit, 40)
    assert desk.reports(stop)[-1] == (ExecType.RESTATED, S.SUSPENDED, Reason.CONTINGENCY)
    assert desk.reserved(stop) == 60
    desk.fill(profit, 60)
    assert desk.reports(stop)[-1] == (ExecType.CANCELED, S.CANCELED, Reason.CONTINGENCY)
    assert statuses(desk)[-1] == ListStatusCode.ALL_DONE


def test_bracket_both_legs_fill_is_told(desk: Desk) -> None:
    entry, stop, profit = bracket(desk)
    desk.ack(entry)
    desk.fill(entry, 100)
    desk.ack(profit)
    desk.touch(4900, 4910)
    desk.ack(stop)
    desk.fill(stop, 100)
    desk.fill(profit, 1)  # crossed our cancel
    assert desk.said(Alert)[-1].rule == Reason.CONTINGENCY


def test_a_protection_is_not_taken_away_because_the_other_is(desk: Desk) -> None:
    entry, stop, profit = bracket(desk)
    desk.ack(entry)
    desk.fill(entry, 100)
    desk.ack(profit)
    desk.frame(CancelOrder(order_id=profit), STRATEGY)
    desk.update(profit, ExecType.CANCELED)
    assert desk.status(stop) == S.SUSPENDED


def test_a_replace_while_the_list_is_incomplete_is_pending(desk: Desk) -> None:
    ids = [order_id_of(STRATEGY, 100 + n) for n in (0, 1)]
    legs = [ListMember(order_id=i, role=R.SIBLING) for i in ids]
    desk.frame(OrderList(list_id=LIST, contingency=C.OCO, members=legs), STRATEGY)
    desk.ask(T.LIMIT, order_id=ids[0], list_id=LIST, price_px=4900)
    desk.frame(ReplaceOrder(order_id=ids[0], price_px=4905), STRATEGY)
    assert desk.said(OrderCancelReject)[-1].reason == Reason.ALREADY_PENDING


def test_restarts_say_the_same(desk: Desk) -> None:
    entry, _, profit = bracket(desk, mode=1)
    desk.ack(entry)
    desk.fill(entry, 30)
    desk.ack(profit)
    desk.fill(profit, 10)
    desk.fill(entry, 70)
    desk.touch(4900, 4910)
    desk.frame(Clock(), 0, ns=61 * SECOND)
    whole = desk.replay()
    for at in range(1, len(desk.stream), 2):
        assert desk.replay(restart_at=at) == whole
