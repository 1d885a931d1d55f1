"""An algo that works one asset on two venues: where its children go, and that it never asks for what it may not."""

from __future__ import annotations

from typing import Any

from apps.algo import Algo
from apps.books.app import Books
from apps.instruments import Instruments
from apps.venue_watch import VenueWatch
from journal.messages import (
    AccountDefined,
    CancelOrder,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    Message,
    NewOrder,
    OrdStatus,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RoutingDecision,
    Side,
    StrategyDefined,
    VenueStatus,
    VenueStatusCode,
)

ME, SPOT, ALIKE, OTHER = 9, 1001, 2001, 2002


class Stage:
    """A host that records."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.algo = Algo()
        self.algo.me, self.algo._host = ME, self
        self.ref, self.watch = Instruments(), VenueWatch()
        books = Books()
        books._host, books._uses = self, {Instruments: self.ref}
        self.algo._uses = {Instruments: self.ref, VenueWatch: self.watch, Books: books}
        like = {"base_currency": 1, "quote_currency": 2, "px_exp": -1, "qty_exp": -3}
        for instrument, venue, terms in ((SPOT, 1, like), (ALIKE, 2, like), (OTHER, 2, like | {"base_currency": 3})):
            self.ref.on_instrument_defined(InstrumentDefined(instrument=instrument, venue=venue, **terms))
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

    def report(self, number: int, *, cum: int = 0, status: int = OrdStatus.NEW, qty: int = 100, limit: int = 5000) -> None:
        self.algo._execution_report(
            ExecutionReport(order_id=number, order_qty=qty, price_px=limit, cum_qty=cum, ord_status=status,
                            exec_type=ExecType.ORDER_STATUS, report_flags=ReportFlag.PARENT)
        )  # fmt: skip


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
