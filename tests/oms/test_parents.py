"""Parents: one test for every reason a child or a parent is refused with, and the lives that end together."""

from __future__ import annotations

from typing import Any

import pytest
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, OTHER, SECOND, STRATEGY, VENUE, Recorder

from journal.messages import (
    NULL,
    AccountDefined,
    AlgoVenue,
    CancelOrder,
    DestinationDefined,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    KillLevel,
    KillSwitch,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RoutedCancel,
    RoutedOrder,
    ScopeType,
    Side,
    StrategyDefined,
    TimeInForce,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
    order_id_of,
)

PARENT = order_id_of(STRATEGY, 500)
GIVEN = order_id_of(OPERATOR, 500)
WORKER, ELSE = 3, 4
"""Strategies: STRATEGY decides for one, OTHER for the other."""


class Family:
    """A parent of 100 @ 5000 and what happens to it."""

    def __init__(self, **terms: Any) -> None:
        self.r = Recorder()
        self.r.ready()
        self.trade = 0
        self.parent(**terms)

    def parent(self, order_id: int = PARENT, source: int = STRATEGY, **terms: Any) -> ExecutionReport:
        base: dict[str, Any] = {
            "order_id": order_id, "account": ACCOUNT, "instrument": INSTRUMENT, "side": Side.BUY, "order_qty": 100,
            "limit_px": 5000,
        }  # fmt: skip
        self.r.frame(ParentOrder(**(base | terms)), source)
        return self.r.last()

    def child(self, number: int, qty: int, *, passed: bool = True, **terms: Any) -> int:
        order_id, seq = self.r.new(number, qty=qty, **({"parent_order_id": PARENT} | terms))
        order = self.r.oms.memory.peek(order_id)
        if passed and order is not None and not order.closed:
            self.r.decide(seq)
        self.r.oms.check()
        return order_id

    def refused(self, number: int, qty: int, **terms: Any) -> int:
        order_id = self.child(number, qty, **terms)
        assert self.r.routed(order_id) == 0
        last = self.r.last()
        assert (last.order_id, last.ord_status) == (order_id, OrdStatus.REJECTED)
        return last.reason

    def fill(self, order_id: int, qty: int, px: int = 4999) -> None:
        self.trade += 1
        self.r.frame(
            VenueFill(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=qty, last_px=px,
                      trade_no=self.trade),
            GATEWAY,
        )  # fmt: skip
        self.r.oms.check()

    def update(self, order_id: int, exec_type: int, **fields: Any) -> None:
        self.r.frame(
            VenueOrderUpdate(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=exec_type, **fields), GATEWAY
        )
        self.r.oms.check()

    def of_parent(self) -> ExecutionReport:
        found: ExecutionReport = [m for m in self.r.said(ExecutionReport) if m.order_id == PARENT][-1]
        return found

    def replace(self, source: int = STRATEGY, **terms: Any) -> int:
        """The reason it was refused with; 0 = done."""
        before = self.r.count(OrderCancelReject)
        self.r.frame(ReplaceOrder(order_id=PARENT, **terms), source)
        self.r.oms.check()
        said = self.r.said(OrderCancelReject)[before:]
        return int(said[0].reason) if said else 0

    def cancel(self) -> None:
        self.r.frame(CancelOrder(order_id=PARENT), STRATEGY)
        self.r.oms.check()


# Refusals of children.


def test_a_child_of_nobody_is_refused():
    f = Family()
    assert f.refused(1, 10, parent_order_id=PARENT + 1) == Reason.PARENT_UNKNOWN_OR_CLOSED
    f.cancel()
    assert f.refused(2, 10) == Reason.PARENT_UNKNOWN_OR_CLOSED


@pytest.mark.parametrize(("first", "second", "fits"), [(60, 40, True), (60, 41, False), (100, 1, False)])
def test_children_hold_no_more_than_their_parent(first, second, fits):
    f = Family()
    f.child(1, first)
    if fits:
        assert f.r.routed(f.child(2, second))
    else:
        assert f.refused(2, second) == Reason.CHILD_EXCEEDS_PARENT


def test_a_slice_is_no_larger_than_the_parent_says():
    f = Family(max_slice_qty=10)
    assert f.refused(1, 11) == Reason.CHILD_EXCEEDS_PARENT
    assert f.r.routed(f.child(2, 10))


@pytest.mark.parametrize(("side", "px", "fits"), [(Side.BUY, 5000, True), (Side.BUY, 5001, False), (Side.SELL, 5000, True),
                                                  (Side.SELL, 4999, False)])  # fmt: skip
def test_a_child_is_never_worse_than_the_limit(side, px, fits):
    f = Family(side=side)
    new = NewOrder(order_id=order_id_of(STRATEGY, 1), parent_order_id=PARENT, account=ACCOUNT, instrument=INSTRUMENT, side=side,
                   ord_type=OrdType.LIMIT, tif=TimeInForce.GTC, order_qty=10, price_px=px)  # fmt: skip
    f.r.decide(f.r.frame(new, STRATEGY))
    assert bool(f.r.routed(new.order_id)) == fits
    assert fits or f.r.said(ExecutionReport)[1].reason == Reason.CHILD_WORSE_THAN_LIMIT


def test_a_market_order_is_worse_than_any_limit_but_no_limit():
    assert Family().refused(1, 10, px=NULL) == Reason.CHILD_WORSE_THAN_LIMIT
    f = Family(limit_px=NULL)
    assert f.r.routed(f.child(1, 10, px=NULL))


def test_a_child_has_the_side_instrument_and_account_of_its_parent():
    f = Family()
    for number, terms in enumerate(({"side": Side.SELL}, {"instrument": INSTRUMENT + 1}, {"account": ACCOUNT + 1}), start=1):
        base = {"account": ACCOUNT, "instrument": INSTRUMENT, "side": Side.BUY} | terms
        f.r.frame(InstrumentDefined(instrument=INSTRUMENT + 1, venue=VENUE), 1)
        f.r.frame(NewOrder(order_id=order_id_of(STRATEGY, number), parent_order_id=PARENT, order_qty=10, price_px=5000, **base),
                  STRATEGY)  # fmt: skip
        assert f.r.last().reason == Reason.CHILD_DIFFERS


@pytest.mark.parametrize(("expire", "fits"), [(0, True), (59, True), (60, True), (61, False)])
def test_a_child_is_not_meant_to_outlive_its_parent(expire, fits):
    f = Family()
    end = f.r.now + 60 * SECOND
    assert f.replace(expire_ts=end) == 0
    terms = {"tif": TimeInForce.GTD if expire else TimeInForce.GTC, "expire_ts": end - (60 - expire) * SECOND if expire else 0}
    new = NewOrder(order_id=order_id_of(STRATEGY, 1), parent_order_id=PARENT, account=ACCOUNT, instrument=INSTRUMENT,
                   side=Side.BUY, ord_type=OrdType.LIMIT, order_qty=10, price_px=5000, **terms)  # fmt: skip
    f.r.decide(f.r.frame(new, STRATEGY))
    assert bool(f.r.routed(new.order_id)) == fits
    assert fits or f.r.last().reason == Reason.CHILD_OUTLIVES_PARENT


def test_a_child_does_not_begin_before_its_parent():
    f = Family()
    f.parent(order_id_of(STRATEGY, 501), start_ts=f.r.now + SECOND)
    assert f.refused(1, 10, parent_order_id=order_id_of(STRATEGY, 501)) == Reason.CHILD_OUTLIVES_PARENT
    f.r.pass_time(SECOND)
    assert f.r.routed(f.child(2, 10, parent_order_id=order_id_of(STRATEGY, 501)))


def test_an_unknown_child_counts_in_full_and_says_so():
    f = Family()
    first = f.child(1, 60)
    f.update(first, ExecType.NEW)
    f.r.disconnect()
    f.r.phase(GatewayPhase.READY)
    assert f.refused(2, 41) == Reason.CHILD_UNKNOWN_BLOCKS
    assert f.refused(3, 101) == Reason.CHILD_EXCEEDS_PARENT
    assert f.replace(order_qty=59) == Reason.CHILD_UNKNOWN_BLOCKS


def test_only_the_owner_of_a_parent_has_children_by_it():
    f = Family()
    order_id, _ = f.r.new(1, qty=10, source=OTHER, parent_order_id=PARENT)
    assert (f.r.last().order_id, f.r.last().reason) == (order_id, Reason.NOT_OWNER)


# A person's parent.


def given(strategy: int = WORKER) -> Family:
    """A person's parent for a strategy."""
    f = Family()
    for number, app in ((WORKER, STRATEGY), (ELSE, OTHER)):
        f.r.frame(StrategyDefined(strategy=number, app=app), 1)
    f.parent(GIVEN, OPERATOR, strategy=strategy)
    return f


@pytest.mark.parametrize(("source", "strategy", "of", "fits"), [
    (STRATEGY, WORKER, WORKER, True),
    (OPERATOR, 0, WORKER, True),  # whose it is
    (STRATEGY, 0, WORKER, False),
    (STRATEGY, ELSE, ELSE, False),  # it says so, and is not
    (OTHER, WORKER, WORKER, False),
    (OTHER, ELSE, WORKER, False),
    (STRATEGY, 0, 0, False),  # given to nobody
])  # fmt: skip
def test_a_persons_parent_is_worked_by_the_app_of_the_strategy_that_it_names(source, strategy, of, fits):
    f = given(of)
    order_id, seq = f.r.new(1, qty=10, source=source, parent_order_id=GIVEN, strategy=strategy)
    f.r.oms.check()
    assert (f.r.last().reason == Reason.NOT_OWNER) is not fits
    if fits:
        f.r.decide(seq)
        f.fill(order_id, 10)
        said = next(m for m in reversed(f.r.said(ExecutionReport)) if m.order_id == GIVEN)
        assert (said.cum_qty, said.ord_status) == (10, OrdStatus.PARTIALLY_FILLED)


def test_a_strategys_parent_is_its_own_whatever_strategy_it_names():
    f = given()
    f.parent(order_id_of(STRATEGY, 501), strategy=ELSE)
    f.r.new(1, qty=10, source=OTHER, parent_order_id=order_id_of(STRATEGY, 501), strategy=ELSE)
    assert f.r.last().reason == Reason.NOT_OWNER


@pytest.mark.parametrize(("source", "cancels", "replaces"), [
    (OPERATOR, True, True), (STRATEGY, True, False), (OTHER, False, False),
])  # fmt: skip
def test_who_works_a_persons_parent_may_give_it_back_and_not_change_it(source, cancels, replaces):
    f = given()
    for m, may in ((ReplaceOrder(order_id=GIVEN, order_qty=90), replaces), (CancelOrder(order_id=GIVEN), cancels)):
        before = f.r.count(OrderCancelReject)
        f.r.frame(m, source)
        assert [m.reason for m in f.r.said(OrderCancelReject)[before:]] == ([] if may else [Reason.NOT_OWNER])
    assert f.r.oms.memory.parents[GIVEN].closed is cancels


def test_a_replace_of_a_child_is_judged_like_a_child():
    f = Family()
    first = f.child(1, 60)
    f.child(2, 30)
    f.update(first, ExecType.NEW)
    for terms, reason in (
        ({"order_qty": 71}, Reason.CHILD_EXCEEDS_PARENT),
        ({"price_px": 5001}, Reason.CHILD_WORSE_THAN_LIMIT),
    ):
        f.r.frame(ReplaceOrder(order_id=first, **terms), STRATEGY)
        assert f.r.said(OrderCancelReject)[-1].reason == reason
    f.r.frame(ReplaceOrder(order_id=first, order_qty=70), STRATEGY)
    f.r.oms.check()
    assert f.r.last().exec_type == ExecType.PENDING_REPLACE
    # The replace under way holds the rest already.
    assert f.refused(3, 1) == Reason.CHILD_EXCEEDS_PARENT


# Parents.


@pytest.mark.parametrize(("terms", "reason"), [
    ({"side": 0}, Reason.INVALID_SIDE), ({"order_qty": 0}, Reason.INVALID_QUANTITY), ({"order_qty": 1}, 0),
    ({"max_slice_qty": 0}, Reason.INVALID_QUANTITY), ({"min_slice_qty": 0}, Reason.INVALID_QUANTITY),
    ({"max_slice_qty": 5, "min_slice_qty": 5}, 0), ({"max_slice_qty": 5, "min_slice_qty": 6}, Reason.INVALID_QUANTITY),
    ({"limit_px": 1 << 62}, Reason.INVALID_PRICE),
    ({"instrument": 9}, Reason.UNKNOWN_INSTRUMENT), ({"end_ts": 1}, Reason.INVALID_EXPIRE_TIME),
    ({"source": OTHER}, Reason.NOT_OWNER), ({"order_id": PARENT}, Reason.DUPLICATE_ORDER_ID),
])  # fmt: skip
def test_a_parent_is_refused(terms, reason):
    f = Family()
    said = f.parent(**({"order_id": PARENT + 7} | terms))
    assert said.report_flags & ReportFlag.PARENT
    assert (said.reason, said.ord_status) == (reason, OrdStatus.REJECTED if reason else OrdStatus.NEW)
    f.r.oms.check()


def test_an_id_is_used_once_by_orders_and_parents_alike():
    f = Family()
    f.r.new(500, qty=10)
    assert f.of_parent().reason == Reason.DUPLICATE_ORDER_ID
    order_id, _ = f.r.new(1)
    assert f.parent(order_id).reason == Reason.DUPLICATE_ORDER_ID


def test_a_killed_parent_is_refused():
    f = Family()
    f.r.frame(KillSwitch(kill=1, level=KillLevel.BLOCK, scope_type=ScopeType.INSTRUMENT, scope_instrument=INSTRUMENT), OPERATOR)
    assert f.parent(PARENT + 1).reason == Reason.KILL_SWITCH_ACTIVE


def test_the_replace_of_a_parent_leaves_room_for_what_its_children_hold():
    f = Family()
    first = f.child(1, 60)
    f.fill(first, 20)
    assert f.replace(order_qty=100) == Reason.REPLACE_HAS_NO_EFFECT
    assert f.replace(order_qty=0) == Reason.INVALID_QUANTITY
    assert f.replace(order_qty=19) == Reason.REPLACE_BELOW_CUM
    assert f.replace(order_qty=59) == Reason.CHILD_EXCEEDS_PARENT
    assert f.replace(price_px=4999) == Reason.CHILD_WORSE_THAN_LIMIT
    assert f.replace(stop_px=1) == Reason.REPLACE_NOT_ALLOWED
    assert f.replace(expire_ts=1) == Reason.INVALID_EXPIRE_TIME
    assert f.replace(source=OTHER, order_qty=90) == Reason.NOT_OWNER
    assert f.replace(version=0, conditional_on_version=3, order_qty=90) == Reason.CONDITIONAL_VERSION_FAILED
    assert f.replace(order_qty=60) == 0
    said = f.of_parent()
    assert (said.exec_type, said.order_qty, said.cum_qty, said.leaves_qty) == (ExecType.REPLACED, 60, 20, 40)
    assert f.replace(version=1, order_qty=90) == Reason.STALE_VERSION
    f.fill(first, 40)
    assert f.of_parent().ord_status == OrdStatus.FILLED
    assert f.replace(order_qty=90) == Reason.TOO_LATE


def test_a_replace_that_would_end_before_a_child_is_refused():
    f = Family()
    late = f.r.now + 60 * SECOND
    f.child(1, 10)
    order = f.r.oms.memory.peek(order_id_of(STRATEGY, 1))
    assert order is not None
    f.r.oms.memory.orders[order.order_id].expire_ts = late
    assert f.replace(expire_ts=late - 1) == 0  # a parent without an end takes any
    assert f.replace(expire_ts=late - 2) == Reason.CHILD_OUTLIVES_PARENT


def test_a_parent_fills_as_its_children_do_and_is_no_trade():
    f = Family()
    first, second = f.child(1, 60), f.child(2, 40)
    f.fill(first, 60, 4998)
    said = f.of_parent()
    assert (said.ord_status, said.cum_qty, said.leaves_qty, said.cum_notional) == (OrdStatus.PARTIALLY_FILLED, 60, 40, 299_880)
    f.fill(second, 40, 5000)
    said = f.of_parent()
    assert (said.ord_status, said.cum_qty, said.cum_notional) == (OrdStatus.FILLED, 100, 299_880 + 200_000)
    assert all(m.exec_type != ExecType.TRADE for m in f.r.said(ExecutionReport) if m.report_flags & ReportFlag.PARENT)


def test_a_canceled_parent_waits_for_its_children():
    f = Family()
    working, undecided = f.child(1, 60), f.child(2, 40, passed=False)
    f.update(working, ExecType.NEW)
    f.cancel()
    assert f.of_parent().ord_status == OrdStatus.PENDING_CANCEL
    assert f.r.routed(working, RoutedCancel)
    found = f.r.oms.memory.peek(undecided)
    assert found is not None
    assert found.base == OrdStatus.CANCELED
    f.fill(working, 10)  # crosses the cancel
    assert (f.of_parent().ord_status, f.of_parent().cum_qty) == (OrdStatus.PENDING_CANCEL, 10)
    f.r.frame(CancelOrder(order_id=PARENT), STRATEGY)
    assert f.r.said(OrderCancelReject)[-1].reason == Reason.ALREADY_PENDING
    f.update(working, ExecType.CANCELED)
    said = f.of_parent()
    assert (said.ord_status, said.cum_qty, said.cxl_qty, said.reason) == (OrdStatus.CANCELED, 10, 90, Reason.USER_REQUEST)
    child = [m for m in f.r.said(ExecutionReport) if m.order_id == working][-1]
    assert child.reason == Reason.PARENT_CANCELED


def test_a_fill_after_the_end_counts_and_is_late():
    f = Family()
    first = f.child(1, 60)
    f.update(first, ExecType.NEW)
    f.cancel()
    f.update(first, ExecType.CANCELED)
    f.fill(first, 5)
    said = f.of_parent()
    assert (said.ord_status, said.cum_qty, said.cxl_qty) == (OrdStatus.CANCELED, 5, 95)
    assert said.report_flags & ReportFlag.LATE_FILL


def test_a_parent_ends_at_its_time_and_takes_its_children_along():
    f = Family()
    assert f.replace(expire_ts=f.r.now + 60 * SECOND) == 0
    first = f.child(1, 60)
    f.update(first, ExecType.NEW)
    f.r.pass_time(59 * SECOND)
    assert not f.r.routed(first, RoutedCancel)
    f.r.pass_time(SECOND)
    f.r.oms.check()
    assert f.r.routed(first, RoutedCancel)
    f.update(first, ExecType.CANCELED)
    assert (f.of_parent().ord_status, f.of_parent().reason) == (OrdStatus.EXPIRED, Reason.EXPIRED_BY_TIME)


def test_a_kill_that_cancels_ends_parents_too():
    f = Family()
    first = f.child(1, 60)
    f.update(first, ExecType.NEW)
    f.r.frame(
        KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.ORDER_TREE, scope_order_id=PARENT), OPERATOR
    )
    f.r.oms.check()
    assert f.r.count(RoutedCancel) == 1
    f.update(first, ExecType.CANCELED)
    assert (f.of_parent().ord_status, f.of_parent().reason) == (OrdStatus.CANCELED, Reason.KILL_SWITCH_ACTIVE)


def test_a_refused_cancel_of_a_child_is_tried_again_and_not_in_a_loop():
    f = Family()
    first = f.child(1, 60)
    f.update(first, ExecType.NEW)
    f.cancel()
    f.r.frame(VenueCancelReject(order_id=first, reason=Reason.RATE_LIMIT, response_to=1), GATEWAY)
    f.r.oms.check()
    assert f.r.count(RoutedCancel) == 1
    f.r.pass_time(5 * SECOND)
    f.r.oms.check()
    assert f.r.count(RoutedCancel) == 2


def test_what_a_venue_does_beyond_the_parent_is_alerted_and_canceled():
    f = Family()
    first = f.child(1, 60)
    f.child(2, 40)
    f.update(first, ExecType.NEW)
    f.update(first, ExecType.RESTATED, order_qty=61)
    assert f.r.routed(first, RoutedCancel)
    f.r.oms.check()


def test_a_child_on_another_venue_is_of_the_same_asset():
    f = Family()
    f.r.frame(AccountDefined(account=8, venue=2), 1)
    like = {"base_currency": 1, "quote_currency": 2, "px_exp": -1, "qty_exp": -3}
    f.r.frame(InstrumentDefined(instrument=INSTRUMENT, venue=VENUE, **like), 1)
    f.r.frame(InstrumentDefined(instrument=2001, venue=2, **like), 1)
    f.r.frame(InstrumentDefined(instrument=2002, venue=2, **(like | {"base_currency": 3})), 1)
    f.r.frame(DestinationDefined(destination=3, venue=2, account=8), 1)
    f.r.frame(GatewayStatus(venue=2, account=8, gateway=GATEWAY, phase=GatewayPhase.READY), GATEWAY)
    parent = order_id_of(STRATEGY, 501)
    f.parent(parent, venues=[AlgoVenue(venue=VENUE), AlgoVenue(venue=2)])
    new = {"parent_order_id": parent, "account": 8, "side": Side.BUY, "order_qty": 10, "price_px": 5000}
    for number, (instrument, of) in enumerate(((2001, parent), (2002, parent), (2001, PARENT)), start=1):
        m = NewOrder(order_id=order_id_of(STRATEGY, number), instrument=instrument, **(new | {"parent_order_id": of}))
        f.r.decide(f.r.frame(m, STRATEGY))
        f.r.oms.check()
        assert bool(f.r.routed(m.order_id)) == (number == 1)
        assert number == 1 or f.r.last().reason == Reason.CHILD_DIFFERS
    assert f.r.count(RoutedOrder) == 1


def test_the_same_stream_says_the_same_through_a_restart():
    f = Family()
    first = f.child(1, 60)
    f.fill(first, 20)
    f.cancel()
    f.update(first, ExecType.CANCELED)
    for at in range(0, len(f.r.stream), 3):
        said = f.r.replay(restart_at=at)
        assert [m.encode() for m in said] == [m.encode() for m in f.r.emitted]
