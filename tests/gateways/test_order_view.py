"""What a gateway forgets: an order that the OMS has closed, with its requests and trades, as the OMS does."""

from __future__ import annotations

import pytest

from gateways.sim.order_view import FORGET_MOST, OrderView
from journal.messages import (
    AccountDefined,
    DestinationDefined,
    ExecType,
    ExecutionReport,
    OrdStatus,
    RoutedCancel,
    RoutedOrder,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
)
from journal.messages.keeping import Keep

TRADE, OMS, LOADER = 4, 5, 2
SECOND = 1_000_000_000


class Stream:
    """A view and frames for it."""

    def __init__(self, keep: Keep) -> None:
        self.view = OrderView(venue_name="sim", account_name="demo", source=TRADE, keep=keep)
        self.seq = 0
        self.now = SECOND
        self.say(VenueDefined(venue=1, name="sim"), LOADER)
        self.say(AccountDefined(account=7, venue=1, name="demo"), LOADER)
        self.say(DestinationDefined(destination=2, venue=1, account=7, gateway=TRADE), LOADER)
        self.say(DestinationDefined(destination=3, venue=1, account=7, gateway=44), LOADER)

    def say(self, m: object, source: int, ns: int = 1) -> int:
        self.seq += 1
        self.now += ns
        self.view.apply(m, seq=self.seq, source=source, epoch=0, ts=self.now)  # type: ignore[arg-type]
        return self.seq

    def order(self, number: int, destination: int = 2) -> int:
        return self.say(RoutedOrder(order_id=number, account=7, instrument=1, order_qty=10, destination=destination), OMS)

    def fill(self, number: int, qty: int = 10, trade: int = 0) -> None:
        self.say(VenueFill(order_id=number, instrument=1, last_qty=qty, trade_no=trade or number), TRADE)

    def report(self, number: int, status: int) -> None:
        self.say(ExecutionReport(order_id=number, ord_status=status, exec_type=ExecType.ORDER_STATUS), OMS)

    def whole(self, number: int, destination: int = 2) -> int:
        seq = self.order(number, destination)
        self.fill(number)
        self.report(number, OrdStatus.FILLED)
        return seq


def test_a_closed_order_is_forgotten_with_its_requests_and_trades() -> None:
    s = Stream(Keep(2, 60 * SECOND))
    seq = s.order(100)
    cancel = s.say(RoutedCancel(order_id=100, orig_request_seq=seq, account=7, destination=2), OMS)
    s.fill(100)
    s.report(100, OrdStatus.FILLED)
    s.whole(101)
    s.whole(102)
    s.now += 59 * SECOND
    s.report(103, OrdStatus.NEW)
    assert (s.view.order_of[seq], s.view.order_of[cancel]) == (100, 100)  # so many have closed, but not so long ago
    s.now += SECOND
    s.report(103, OrdStatus.NEW)
    assert seq not in s.view.order_of
    assert cancel not in s.view.order_of
    assert s.view.unanswered == {}
    assert s.view.trades_seen == {(1, 101), (1, 102)}
    assert set(s.view.told) == {101, 102}  # so many stay, however long it has been
    assert s.view.has_routed


@pytest.mark.parametrize("destination", [2, 3])
def test_one_that_is_opened_again_stays_until_it_closes_again(destination: int) -> None:
    """Also one that another gateway of the account sends: its trades come here too, and must find it."""
    s = Stream(Keep(0, 60 * SECOND))
    seq = s.order(100, destination)
    s.report(100, OrdStatus.REJECTED)
    s.report(100, OrdStatus.NEW)
    s.now += 600 * SECOND
    s.report(1, OrdStatus.NEW)
    assert s.view.order_of == {seq: 100}
    s.report(100, OrdStatus.CANCELED)
    s.say(VenueOrderUpdate(order_id=100, ord_status=OrdStatus.CANCELED, exec_type=ExecType.CANCELED), TRADE)
    s.now += 61 * SECOND
    s.report(1, OrdStatus.NEW)
    assert s.view.order_of == {}


def test_one_whose_end_the_venue_has_not_told_here_stays() -> None:
    s = Stream(Keep(0, 60 * SECOND))
    seq = s.order(100)
    s.report(100, OrdStatus.CANCELED)  # by another's drop copy, or a person
    s.now += 600 * SECOND
    s.report(1, OrdStatus.NEW)
    assert s.view.order_of == {seq: 100}
    assert set(s.view.orders) == {100}


def test_nothing_grows_with_the_orders_there_were() -> None:
    s = Stream(Keep(20, SECOND))
    for number in range(1000, 4000):
        s.whole(number)
        s.fill(0, trade=10_000 + number)  # somebody else's
        s.now += SECOND
    view = s.view
    sizes = [len(x) for x in (view.order_of, view.told, view.closed.waiting, view.trades_elsewhere, view.unanswered)]
    assert max(sizes) <= 20 + FORGET_MOST
    assert len(view.trades_seen) <= 2 * (20 + FORGET_MOST)
    assert view.last_trade_no == 13_999
