"""An algo that works one asset on two venues: where its children go, and that it never asks for what it may not; and what
persons give to it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.algo import Algo, OpenParent
from apps.books.app import Books
from apps.instruments import Instruments
from apps.venue_watch import VenueWatch
from journal.messages import (
    AccountDefined,
    Alert,
    AlgoVenue,
    CancelOrder,
    CommandCode,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    LogRecord,
    Message,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RoutingDecision,
    Side,
    SourceDefined,
    SourceRole,
    StrategyCommand,
    StrategyDefined,
    StrategyState,
    StrategyStateCode,
    VenueStatus,
    VenueStatusCode,
    order_id_of,
)

ME, SPOT, ALIKE, OTHER = 9, 1001, 2001, 2002
PERSON, SOMEBODY = 11, 12
GIVEN = order_id_of(PERSON, 1)


class Stage:
    """A host that records."""

    def __init__(self, cls: type[Algo] = Algo) -> None:
        self.said: list[Any] = []
        self.algo = cls()
        self.algo.me, self.algo._host = ME, self
        self.ref, self.watch = Instruments(), VenueWatch()
        books = Books()
        books._host, books._uses = self, {Instruments: self.ref}
        self.algo._uses = {Instruments: self.ref, VenueWatch: self.watch, Books: books}
        like = {"base_currency": 1, "quote_currency": 2, "px_exp": -1, "qty_exp": -3}
        for instrument, venue, terms in ((SPOT, 1, like), (ALIKE, 2, like), (OTHER, 2, like | {"base_currency": 3})):
            self.ref.on_instrument_defined(InstrumentDefined(instrument=instrument, venue=venue, **terms))
        for source, role in ((PERSON, SourceRole.OPERATOR), (SOMEBODY, SourceRole.ALGO)):
            self.ref.on_source_defined(SourceDefined(source=source, role=role))
        for account, venue in ((7, 1), (8, 2)):
            self.ref.on_account_defined(AccountDefined(account=account, venue=venue))
        self.algo._strategy_defined(StrategyDefined(strategy=3, app=ME, default_account=7, owner_user=5))

    def emit(self, message: Message, *_: int) -> None:
        self.said.append(message)

    def of(self, cls: type[Message]) -> list[Any]:
        return [m for m in self.said if type(m) is cls]

    def parent(self, **terms: Any) -> int:
        number = self.algo.parent(Side.BUY, SPOT, 100, 5000, **terms)
        self.report(number)
        return number

    def report(self, number: int, *, cum: int = 0, status: int = OrdStatus.NEW, qty: int = 100, limit: int = 5000,
               exec_type: int = ExecType.ORDER_STATUS, version: int = 0, exec_ref_seq: int = 0) -> None:  # fmt: skip
        self.algo._execution_report(
            ExecutionReport(order_id=number, instrument=SPOT, order_qty=qty, price_px=limit, cum_qty=cum, ord_status=status,
                            exec_type=exec_type, version=version, exec_ref_seq=exec_ref_seq,
                            report_flags=ReportFlag.PARENT)
        )  # fmt: skip

    def given(self, source: int = PERSON, *, answer: int = ExecType.NEW, **terms: Any) -> None:
        """Somebody's parent for the strategy, and the OMS's answer."""
        base = {"order_id": GIVEN, "account": 8, "user": 6, "strategy": 3, "instrument": SPOT, "side": Side.BUY,
                "order_qty": 100, "limit_px": 5000}  # fmt: skip
        self.algo.source = source
        self.algo.handlers()[ParentOrder.KIND](ParentOrder(**(base | terms)))
        if answer:
            self.report(
                (base | terms)["order_id"],
                exec_type=answer,
                status=OrdStatus.NEW if answer == ExecType.NEW else OrdStatus.REJECTED,
            )


class Taker(Algo):
    """Takes whatever is given."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[int, int]] = []

    def parent_given(self, parent: OpenParent, m: ParentOrder) -> bool:
        self.taken.append((parent.order_id, m.urgency))
        return True


def test_a_slice_fits_into_the_room_and_the_limit():
    s = Stage()
    assert s.algo.parent(Side.BUY, SPOT, 100) == s.said[0].order_id
    assert s.algo.slice(s.said[0].order_id, 10, 5000) == 0  # the OMS has not taken it yet
    number = s.parent()
    asked = s.of(ParentOrder)[-1]
    assert (asked.account, asked.strategy, asked.user, asked.order_qty, asked.limit_px) == (7, 3, 5, 100, 5000)
    s.algo.slice(number, 60, 5001)
    s.algo.slice(number, 60, 4999)
    assert s.algo.slice(number, 60, 4999) == 0
    assert [(m.order_qty, m.price_px, m.parent_order_id) for m in s.of(NewOrder)] == [(60, 5000, number), (40, 4999, number)]
    first = s.of(NewOrder)[0].order_id
    s.algo._execution_report(ExecutionReport(order_id=first, cum_qty=20, ord_status=OrdStatus.CANCELED))
    s.report(number, cum=20, status=OrdStatus.PARTIALLY_FILLED)
    assert s.algo.room(number) == 40


def test_children_go_where_the_turn_is_and_the_choice_is_told():
    s = Stage()
    number = s.parent(venues=(1, 2))
    for _ in range(3):
        assert s.algo.slice_anywhere(number, 10, 5000)
    assert [(m.instrument, m.account) for m in s.of(NewOrder)] == [(SPOT, 7), (ALIKE, 8), (SPOT, 7)]
    decisions = s.of(RoutingDecision)
    assert [d.order_id for d in decisions] == [m.order_id for m in s.of(NewOrder)]
    assert [d.venue for d in decisions] == [1, 2, 1]
    s.watch.on_venue_status(VenueStatus(venue=2, status=VenueStatusCode.DOWN))
    assert s.algo.slice_anywhere(number, 10, 5000)
    assert [(c.venue, c.skipped) for c in s.of(RoutingDecision)[-1].candidates] == [(1, 0), (2, Reason.DESTINATION_DOWN)]
    s.watch.on_gateway_status(GatewayStatus(venue=1, account=7, phase=GatewayPhase.DISCONNECTED))
    assert s.algo.slice_anywhere(number, 10, 5000) == 0
    assert s.of(RoutingDecision)[-1].order_id == number


def test_an_end_takes_the_parents_along():
    s = Stage()
    number = s.parent()
    s.algo.replace_parent(number, qty=90, limit=4990)
    assert [(m.order_id, m.order_qty, m.price_px) for m in s.of(ReplaceOrder)] == [(number, 90, 4990)]
    s.algo.cancel_all()
    assert [m.order_id for m in s.of(CancelOrder)] == [number]
    s.report(number, status=OrdStatus.CANCELED)
    assert not s.algo.parents


def test_a_new_end_holds_from_the_oms_word_on():
    s = Stage()
    number = s.parent(end=90)
    for seq, end in ((41, 120), (42, 0), (43, 150)):  # the second asks for another quantity only, and is refused
        s.algo.seq = seq
        s.algo.handlers()[ReplaceOrder.KIND](ReplaceOrder(order_id=number, expire_ts=end))
    assert s.algo.parents[number].end_ts == 90
    s.report(number, exec_type=ExecType.REPLACED, exec_ref_seq=41)
    assert s.algo.parents[number].end_ts == 120
    for response_to in (CxlRejResponseTo.CANCEL, CxlRejResponseTo.REPLACE):
        s.algo._cancel_reject(OrderCancelReject(order_id=number, response_to=response_to))
    assert s.algo.parents[number].ends == {43: 150}
    s.report(number, exec_type=ExecType.REPLACED, exec_ref_seq=43)
    assert (s.algo.parents[number].end_ts, s.algo.parents[number].ends) == (150, {})


# What persons give.


def test_a_persons_parent_is_worked_like_our_own_in_the_persons_name():
    s = Stage(Taker)
    s.given(max_slice_qty=30, start_ts=50, end_ts=90, urgency=4, venues=[AlgoVenue(venue=1), AlgoVenue(venue=2)])
    assert s.algo.taken == [(GIVEN, 4)]
    assert "worked" in s.of(LogRecord)[0].text
    parent = s.algo.parents[GIVEN]
    assert (parent.start_ts, parent.end_ts, parent.takes_children) == (50, 90, True)
    assert s.algo.slice(GIVEN, 10) == 0  # it waits for its start
    s.algo.now = 50
    assert s.algo.room(GIVEN) == 100
    assert s.algo.slice(GIVEN, 60, 5001)
    assert s.algo.slice_anywhere(GIVEN, 5)
    assert [
        (m.order_qty, m.price_px, m.account, m.user, m.strategy, m.parent_order_id) for m in s.of(NewOrder)
    ] == [(30, 5000, 8, 6, 3, GIVEN), (5, 5000, 8, 6, 3, GIVEN)]  # fmt: skip
    s.algo.replace_parent(GIVEN, qty=90)
    assert not s.of(ReplaceOrder)
    s.report(GIVEN, exec_type=ExecType.REPLACED, qty=80, version=1)
    assert s.algo.room(GIVEN) == 45
    s.algo.cancel_parent(GIVEN)
    assert [(m.order_id, m.version) for m in s.of(CancelOrder)] == [(GIVEN, 2)]
    s.report(GIVEN, status=OrdStatus.CANCELED)
    assert not s.algo.parents


@pytest.mark.parametrize(("why", "told"), [
    ({"cls": Algo}, True), ({"symbols": ("ELSE",)}, True),
    ({"strategy": 4}, False), ({"source": SOMEBODY}, False), ({"answer": ExecType.REJECTED}, False), ({"answer": 0}, False),
])  # fmt: skip
def test_what_is_not_for_us_is_left_alone(why, told):
    s = Stage(why.pop("cls", Taker))
    s.algo.symbols = why.pop("symbols", ())
    s.given(**why)
    assert not s.algo.parents
    assert not s.algo.room(GIVEN)
    assert [(m.scope_order_id, "by nobody" in m.text) for m in s.of(Alert)] == [(GIVEN, True)] * told
    assert not s.of(LogRecord)


def test_a_stop_takes_the_children_of_a_persons_parent_and_leaves_it():
    s = Stage(Taker)
    s.given()
    child, own = s.algo.slice(GIVEN, 10), s.parent()
    s.algo._command(StrategyCommand(command=CommandCode.STOP))
    assert [m.order_id for m in s.of(CancelOrder)] == [own, child]
    assert s.algo.slice(GIVEN, 10) == 0
    s.given(order_id=GIVEN + 1)
    assert "stopped" in s.of(LogRecord)[-1].text
    s.algo._command(StrategyCommand(command=CommandCode.START))
    assert s.algo.slice(GIVEN, 10)


def test_a_command_that_comes_again_does_not_undo_what_was_said_since():
    s = Stage(Taker)
    for code, request in ((CommandCode.START, 1), (CommandCode.STOP, 2), (CommandCode.START, 1)):
        s.algo._command(StrategyCommand(command=code, request=request))
    assert not s.algo.enabled
    assert [(m.request, m.state, m.reason) for m in s.of(StrategyState)] == [
        (1, StrategyStateCode.ENABLED, 0), (2, StrategyStateCode.DISABLED, 0), (1, 0, Reason.REPEATED_REQUEST),
    ]  # fmt: skip
    s.algo.source = SOMEBODY
    s.algo._command(StrategyCommand(command=CommandCode.START, request=1))
    assert s.algo.enabled


def test_an_id_that_is_used_again_ends_nothing():
    s = Stage(Taker)
    s.given()
    s.given(answer=ExecType.REJECTED)
    assert s.algo.room(GIVEN) == 100


@pytest.mark.parametrize("answered", [False, True])
def test_what_was_given_is_there_after_a_restart(answered):
    s, again = Stage(Taker), Stage(Taker)
    s.given(answer=ExecType.NEW if answered else 0, venues=[AlgoVenue(venue=2)])
    again.algo.restore(s.algo.snapshot())
    assert again.algo.digest() == s.algo.digest()
    if not answered:
        again.report(GIVEN, exec_type=ExecType.NEW)
    assert again.algo.parents[GIVEN].venues == [2]
    assert again.algo.slice(GIVEN, 10)


def test_a_person_may_replace_before_anybody_has_answered():
    s = Stage(Taker)
    s.given(answer=0, end_ts=90)
    for seq, end in ((41, 120), (42, 150)):  # the first is refused
        s.algo.seq = seq
        s.algo.handlers()[ReplaceOrder.KIND](ReplaceOrder(order_id=GIVEN, expire_ts=end))
    s.report(GIVEN, exec_type=ExecType.NEW)
    s.algo._cancel_reject(OrderCancelReject(order_id=GIVEN, response_to=CxlRejResponseTo.REPLACE))
    assert (s.algo.parents[GIVEN].end_ts, s.algo.parents[GIVEN].ends) == (90, {42: 150})
    s.report(GIVEN, exec_type=ExecType.REPLACED, exec_ref_seq=42)
    assert (s.algo.parents[GIVEN].end_ts, s.algo.parents[GIVEN].ends) == (150, {})


def test_what_the_children_hold_is_what_they_filled_and_what_they_may_fill():
    s = Stage()
    number = s.parent()
    s.algo.slice(number, 60, 5000)
    s.report(number, cum=20, status=OrdStatus.PARTIALLY_FILLED)
    assert (s.algo.held(number), s.algo.room(number)) == (80, 20)
    assert s.algo.held(number + 99) == 0
