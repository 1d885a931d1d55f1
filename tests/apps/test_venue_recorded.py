"""Orders against a recorded market: taking, waiting in the queue, being traded through; never more than was there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.venue.events import Accepted, Amended, Expired, Filled, Refused
from apps.venue.recorded import RecordedVenue
from apps.venue.rules import Rules
from journal.messages.enums import OrdType, Reason, Side, TimeInForce

B, S = Side.BUY, Side.SELL
GTC, IOC, FOK, GTX = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX


class Desk:
    def __init__(self):
        self.venue = RecordedVenue(Rules(tick=10, lot=1))
        self.id = 0

    def book(self, bids=(), asks=(), snapshot=False):
        events = self.venue.on_book_levels(bids, asks, now_ns=1, snapshot=snapshot)
        self.venue.check()
        return took(events)

    def trade(self, px, qty, taker):
        events = self.venue.on_trade(px=px, qty=qty, taker_side=taker, now_ns=1)
        self.venue.check()
        return took(events)

    def new(self, side, qty, px=0, tif=GTC, account=1):
        self.id += 1
        events = self.venue.new_order(
            order_id=self.id,
            account=account,
            side=side,
            ord_type=OrdType.LIMIT if px else OrdType.MARKET,
            tif=tif,
            qty=qty,
            px=px,
            now_ns=1,
        )
        self.venue.check()
        return events


def took(events):
    """(order, px, qty) of every fill; maker fills unless the order is an incoming one."""
    return [(e.order_id, e.px, e.qty) for e in events if isinstance(e, Filled)]


@pytest.fixture
def desk():
    desk = Desk()
    desk.book([(100, 10), (90, 20)], [(110, 10), (120, 20)], snapshot=True)
    return desk


def test_takes_level_by_level_and_it_stays_taken_until_the_update(desk):
    assert took(desk.new(B, 15, 120)) == [(1, 110, 10), (1, 120, 5)]
    assert took(desk.new(B, 20, 120, tif=IOC)) == [(2, 120, 15)]
    assert took(desk.new(B, 1)) == []  # nothing displayed is left
    desk.book(asks=[(110, 4)])
    assert took(desk.new(B, 9)) == [(4, 110, 4)]
    assert desk.venue.depth(9) == ([(100, 10), (90, 20)], [(110, 4), (120, 20)])  # the recording is untouched


def test_fok_and_post_only_look_at_what_is_left(desk):
    assert isinstance(desk.new(B, 31, 120, tif=FOK)[-1], Expired)
    assert took(desk.new(B, 30, 120, tif=FOK)) == [(2, 110, 10), (2, 120, 20)]
    assert isinstance(desk.new(B, 1, 110, tif=GTX)[0], Accepted)
    desk.book(asks=[(110, 1)], bids=[(110, 0)])
    assert desk.new(S, 1, 100, tif=GTX) == [Refused(4, 1, Reason.POST_ONLY_WOULD_TAKE, 1)]


def test_waits_behind_the_displayed_queue(desk):
    desk.new(B, 5, 100)
    assert desk.trade(100, 7, S) == []  # 3 ahead
    assert desk.trade(110, 50, B) == []  # the other side
    assert desk.trade(100, 5, S) == [(1, 100, 2)]
    assert desk.trade(100, 5, S) == [(1, 100, 3)]


def test_the_queue_is_capped_by_what_the_level_shows(desk):
    desk.new(B, 5, 100)
    desk.book([(100, 2)])
    desk.book([(100, 50)])  # later arrivals are behind us
    assert desk.trade(100, 3, S) == [(1, 100, 1)]


def test_a_snapshot_caps_queues_too(desk):
    desk.new(B, 5, 90)
    desk.book([(80, 1)], [(110, 1)], snapshot=True)
    assert desk.trade(90, 1, S) == [(1, 90, 1)]


def test_our_second_order_waits_behind_the_first(desk):
    desk.new(B, 3, 100)  # behind 10
    desk.book([(100, 12)])
    desk.new(B, 4, 100)  # behind 12 and our first
    assert desk.trade(100, 11, S) == [(1, 100, 1)]
    assert desk.trade(100, 5, S) == [(1, 100, 2), (2, 100, 1)]


def test_a_trade_through_the_price_fills_best_price_first(desk):
    desk.new(B, 3, 90)
    desk.new(B, 4, 100)
    assert desk.trade(80, 5, S) == [(2, 100, 4), (1, 90, 1)]


def test_an_opposite_level_at_or_through_the_price_fills_at_our_price(desk):
    desk.new(B, 5, 100)
    assert desk.book([(100, 0)], [(100, 2)]) == [(1, 100, 2)]
    assert desk.book(asks=[(120, 5)]) == []  # what filled us is taken
    assert desk.book(asks=[(90, 9)]) == [(1, 100, 3)]
    assert took(desk.new(B, 9, 90)) == [(2, 90, 6)]


def test_two_accounts_meet_in_queue_order(desk):
    desk.new(S, 5, 110, account=2)  # behind 10
    assert took(desk.new(B, 12, 110, account=1)) == [(2, 110, 10), (1, 110, 2), (2, 110, 2)]


def test_self_trade_stops_at_our_own_order(desk):
    desk.new(S, 5, 110)
    events = desk.new(B, 12, 120)
    assert took(events) == [(2, 110, 10)]
    assert events[-1] == Expired(2, 1, B, 10, 2, Reason.SELF_TRADE_PREVENTED, 1)


def test_replace_down_keeps_the_queue_and_a_new_price_joins_the_end(desk):
    desk.new(B, 5, 100)
    desk.trade(100, 8, S)
    events = desk.venue.replace(order_id=1, qty=3, px=100, now_ns=1)
    assert isinstance(events[0], Amended)
    assert events[0].kept_priority
    assert desk.trade(100, 3, S) == [(1, 100, 1)]
    desk.venue.replace(order_id=1, qty=3, px=90, now_ns=1)
    assert desk.trade(90, 21, S) == [(1, 90, 1)]


def test_market_order_in_an_empty_book_expires():
    desk = Desk()
    events = desk.new(S, 1)
    assert events[-1] == Expired(1, 1, S, 0, 1, Reason.NOT_FILLED_IMMEDIATELY, 1)


PX = st.integers(1, 8).map(lambda n: n * 10)
QTY = st.integers(1, 9)
LEVEL = st.tuples(PX, st.integers(0, 9))
STEP = st.one_of(
    st.tuples(st.just("book"), st.lists(LEVEL, max_size=3), st.lists(LEVEL, max_size=3), st.booleans()),
    st.tuples(st.just("trade"), PX, QTY, st.sampled_from([B, S])),
    st.tuples(st.just("new"), st.integers(1, 2), st.sampled_from([B, S]), QTY, PX, st.sampled_from([GTC, GTC, IOC, FOK, GTX])),
    st.tuples(st.just("cancel"), st.integers(1, 20)),
    st.tuples(st.just("replace"), st.integers(1, 20), QTY, PX),
)


def run(steps):
    venue = RecordedVenue(Rules(tick=10, lot=1))
    order_id, log = 0, []
    for what, *args in steps:
        shown = {B: dict(venue.depth(99)[0]), S: dict(venue.depth(99)[1])}
        if what == "book":
            events = venue.on_book_levels(args[0], args[1], now_ns=1, snapshot=args[2])
        elif what == "trade":
            events = venue.on_trade(px=args[0], qty=args[1], taker_side=args[2], now_ns=1)
            assert sum(e.qty for e in events) <= args[1]  # one print fills at most its quantity
            assert all(e.maker and e.side != args[2] for e in events)
        elif what == "new":
            order_id += 1
            account, side, qty, px, tif = args
            events = venue.new_order(
                order_id=order_id, account=account, side=side, ord_type=OrdType.LIMIT, tif=tif, qty=qty, px=px, now_ns=1
            )
            own = [e for e in events if isinstance(e, Filled) and e.order_id == order_id]
            assert all(e.px <= px if side == B else e.px >= px for e in own)  # never worse than the limit
            opposite = shown[S if side == B else B]
            others = sum(e.qty for e in events if isinstance(e, Filled) and e.maker)
            assert sum(e.qty for e in own) - others <= sum(opposite.values())
            if tif == FOK:
                assert sum(e.qty for e in own) in (0, qty)
        elif what == "cancel":
            events = venue.cancel(order_id=args[0], now_ns=1)
        else:
            events = venue.replace(order_id=args[0], qty=args[1], px=args[2], now_ns=1)
        venue.check()
        log += events
    return log


@settings(max_examples=250, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_never_more_than_was_there_and_always_the_same(steps):
    log = run(steps)
    assert log == run(steps)
    by_order = {}
    for event in log:
        if isinstance(event, Filled):
            by_order[event.order_id] = by_order.get(event.order_id, 0) + event.qty
            assert by_order[event.order_id] == event.cum_qty
