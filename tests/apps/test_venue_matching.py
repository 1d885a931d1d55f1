"""The matching engine: named cases a trader would ask about, and a comparison with a slow, obvious model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.venue.events import Accepted, Amended, Canceled, Expired, Filled, LevelChanged, Printed, Refused
from apps.venue.matching import MatchingEngine
from apps.venue.rules import Rules
from journal.messages.enums import OrdType, Reason, Side, TimeInForce

B, S = Side.BUY, Side.SELL
GTC, IOC, FOK, GTX = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX
RULES = Rules(px_exp=-2, qty_exp=-3, tick=10, lot=1, maker_fee=20_000, taker_fee=50_000)


class Desk:
    """Short words for the tests; ids count up."""

    def __init__(self):
        self.engine = MatchingEngine(RULES)
        self.id = 0

    def new(self, side, qty, px=0, tif=GTC, account=1, ord_type=None):
        self.id += 1
        ord_type = ord_type or (OrdType.LIMIT if px else OrdType.MARKET)
        events = self.engine.new_order(
            order_id=self.id, account=account, side=side, ord_type=ord_type, tif=tif, qty=qty, px=px, now_ns=self.id
        )
        self.engine.check()
        return events


@pytest.fixture
def desk():
    return Desk()


def fills(events, order_id):
    return [(e.px, e.qty, e.maker) for e in events if isinstance(e, Filled) and e.order_id == order_id]


def kinds(events):
    return [type(e) for e in events]


def test_price_then_time(desk):
    desk.new(S, 5, 110)
    desk.new(S, 5, 100)
    desk.new(S, 5, 100)
    events = desk.new(B, 12, 110, account=2)
    assert fills(events, 4) == [(100, 5, False), (100, 5, False), (110, 2, False)]
    assert [e.trade_id for e in events if isinstance(e, Printed)] == [1, 2, 3]
    assert fills(events, 2) == [(100, 5, True)]
    assert fills(events, 3) == [(100, 5, True)]
    assert desk.engine.depth(9) == ([], [(110, 3)])


def test_limit_remainder_rests_and_level_events_tell_the_book(desk):
    desk.new(S, 3, 100)
    events = desk.new(B, 5, 100, account=2)
    assert events[-2:] == [LevelChanged(S, 100, 0), LevelChanged(B, 100, 2)]
    assert desk.engine.best(B) == (100, 2)


def test_market_order_never_rests(desk):
    desk.new(S, 3, 100)
    events = desk.new(B, 5, account=2)
    assert [e for e in events if isinstance(e, Expired)] == [Expired(2, 2, B, 3, 2, Reason.NOT_FILLED_IMMEDIATELY, 2)]
    assert desk.engine.depth(9) == ([], [])


def test_ioc_takes_what_is_there(desk):
    desk.new(S, 3, 100)
    events = desk.new(B, 5, 100, tif=IOC, account=2)
    assert fills(events, 2) == [(100, 3, False)]
    assert isinstance(events[-2], Expired)
    assert events[-2].cxl_qty == 2


def test_fok_all_or_nothing(desk):
    desk.new(S, 3, 100)
    desk.new(S, 3, 110)
    events = desk.new(B, 6, 100, tif=FOK, account=2)
    assert kinds(events) == [Accepted, Expired]
    events = desk.new(B, 6, 110, tif=FOK, account=2)
    assert fills(events, 4) == [(100, 3, False), (110, 3, False)]


def test_fok_counts_up_to_our_own_order_only(desk):
    desk.new(S, 3, 100, account=2)
    desk.new(S, 3, 110, account=1)
    events = desk.new(B, 5, 110, tif=FOK, account=1)
    assert kinds(events) == [Accepted, Expired]


def test_post_only_refused_when_it_would_take(desk):
    desk.new(S, 3, 100)
    assert desk.new(B, 1, 100, tif=GTX, account=2) == [Refused(2, 2, Reason.POST_ONLY_WOULD_TAKE, 2)]
    assert kinds(desk.new(B, 1, 90, tif=GTX, account=2)) == [Accepted, LevelChanged]


def test_self_trade_cancels_the_taker(desk):
    desk.new(S, 2, 100, account=2)
    desk.new(S, 2, 110, account=1)
    desk.new(S, 2, 120, account=2)
    events = desk.new(B, 6, 120, account=1)
    assert fills(events, 4) == [(100, 2, False)]
    assert Expired(4, 1, B, 2, 4, Reason.SELF_TRADE_PREVENTED, 4) in events
    assert desk.engine.depth(9) == ([], [(110, 2), (120, 2)])


def test_anonymous_orders_trade_with_each_other(desk):
    desk.new(S, 2, 100, account=0)
    assert fills(desk.new(B, 2, 100, account=0), 2) == [(100, 2, False)]


def test_fees_are_exact_and_rounded_once(desk):
    desk.new(S, 4, 6_180_010)
    events = desk.new(B, 4, 6_180_010, account=2)
    maker, taker = (e.fee for e in events if isinstance(e, Filled))
    # 0.004 * 61800.10 * 0.0002 = 0.04944008 and * 0.0005 = 0.1236002
    assert (maker, taker) == (4_944_008, 12_360_020)


@pytest.mark.parametrize(
    ("px", "qty", "rate", "fee"),
    [(1, 1, 50_000, 1), (1, 1, 49_999, 0), (1, 1, -50_000, -1), (3, 1, 50_000, 2), (10, 10, 100_000, 100)],
)
def test_fee_rounds_half_away_from_zero(px, qty, rate, fee):
    assert Rules(px_exp=-2, qty_exp=-3, taker_fee=rate).fee(px=px, qty=qty, maker=False) == fee


def test_replace_down_keeps_the_place(desk):
    desk.new(S, 5, 100, account=1)
    desk.new(S, 5, 100, account=2)
    events = desk.engine.replace(order_id=1, qty=2, px=100, now_ns=9)
    assert events == [Amended(1, 1, S, 100, 2, 0, 2, True, 9), LevelChanged(S, 100, 7)]
    assert [e.order_id for e in desk.new(B, 3, 100, account=3) if isinstance(e, Filled) and e.maker] == [1, 2]


@pytest.mark.parametrize(("qty", "px"), [(6, 100), (5, 110), (4, 90)])
def test_other_replaces_lose_the_place(desk, qty, px):
    desk.new(S, 5, 100, account=1)
    desk.new(S, 5, px, account=2)
    events = desk.engine.replace(order_id=1, qty=qty, px=px, now_ns=9)
    assert not events[0].kept_priority
    assert [e.order_id for e in desk.new(B, 6, px, account=3) if isinstance(e, Filled) and e.maker] == [2, 1]


def test_replace_may_take_then_rest(desk):
    desk.new(S, 2, 110, account=2)
    desk.new(B, 5, 100, account=1)
    events = desk.engine.replace(order_id=2, qty=4, px=110, now_ns=9)
    assert fills(events, 2) == [(110, 2, False)]
    assert desk.engine.best(B) == (110, 2)
    desk.engine.check()


def test_replace_to_at_or_below_filled_cancels(desk):
    desk.new(S, 5, 100)
    desk.new(B, 3, 100, account=2)
    events = desk.engine.replace(order_id=1, qty=3, px=100, now_ns=9)
    assert events[0] == Canceled(1, 1, S, 3, 2, Reason.REPLACE_BELOW_CUM, 9)
    assert desk.engine.replace(order_id=1, qty=9, px=100, now_ns=9) == [Refused(1, 0, Reason.UNKNOWN_AT_VENUE, 9)]


def test_replace_of_post_only_that_would_take_cancels(desk):
    desk.new(S, 5, 110)
    desk.new(B, 3, 100, tif=GTX, account=2)
    events = desk.engine.replace(order_id=2, qty=3, px=110, now_ns=9)
    assert events[0] == Canceled(2, 2, B, 0, 3, Reason.POST_ONLY_WOULD_TAKE, 9)


def test_replace_refused_leaves_the_order_alone(desk):
    desk.new(S, 5, 110)
    for qty, px, reason in [
        (5, 110, Reason.REPLACE_HAS_NO_EFFECT),
        (5, 115, Reason.PRICE_NOT_ON_TICK),
        (0, 110, Reason.INVALID_QUANTITY),
    ]:
        assert desk.engine.replace(order_id=1, qty=qty, px=px, now_ns=9) == [Refused(1, 1, reason, 9)]
    assert desk.engine.depth(9) == ([], [(110, 5)])


def test_cancel(desk):
    desk.new(S, 5, 110)
    assert desk.engine.cancel(order_id=1, now_ns=3) == [
        Canceled(1, 1, S, 0, 5, Reason.USER_REQUEST, 3),
        LevelChanged(S, 110, 0),
    ]
    assert desk.engine.cancel(order_id=1, now_ns=3) == [Refused(1, 0, Reason.UNKNOWN_AT_VENUE, 3)]


@pytest.mark.parametrize(
    ("side", "ord_type", "tif", "qty", "px", "reason"),
    [
        (B, OrdType.LIMIT, GTC, 0, 100, Reason.INVALID_QUANTITY),
        (B, OrdType.LIMIT, GTC, -1, 100, Reason.INVALID_QUANTITY),
        (B, OrdType.LIMIT, GTC, 10**9, 100, Reason.QUANTITY_ABOVE_MAXIMUM),
        (B, OrdType.LIMIT, GTC, 1, 0, Reason.INVALID_PRICE),
        (B, OrdType.LIMIT, GTC, 1, 10**12, Reason.INVALID_PRICE),
        (B, OrdType.LIMIT, GTC, 1, 105, Reason.PRICE_NOT_ON_TICK),
        (B, OrdType.MARKET, GTC, 1, 100, Reason.INVALID_PRICE),
        (B, OrdType.TRAILING_STOP, GTC, 1, 100, Reason.INVALID_ORD_TYPE),
        (B, OrdType.STOP, GTC, 1, 0, Reason.INVALID_STOP_OR_TRIGGER),
        (B, OrdType.LIMIT, TimeInForce.DAY, 1, 100, Reason.INVALID_TIME_IN_FORCE),
        (Side.UNDEFINED, OrdType.LIMIT, GTC, 1, 100, Reason.INVALID_SIDE),
        (B, OrdType.MARKET, GTX, 1, 0, Reason.INVALID_EXEC_INST),
    ],
)
def test_refusals(desk, side, ord_type, tif, qty, px, reason):
    assert desk.new(side, qty, px, tif=tif, ord_type=ord_type) == [Refused(1, 1, reason, 1)]


def test_ids_must_ascend(desk):
    desk.new(S, 5, 110)
    desk.id = 0
    with pytest.raises(ValueError, match="order_id 1 after 1: ids must ascend"):
        desk.new(S, 5, 110)


# The slow, obvious twin: a list of resting orders, scanned for the best each time.


class Model:
    def __init__(self):
        self.resting = []  # [arrival, id, account, side, px, leaves, post_only, total]
        self.arrivals = 0

    def opposite(self, side, limit):
        found = [o for o in self.resting if o["side"] != side]
        if limit is not None:
            found = [o for o in found if (o["px"] <= limit if side == B else o["px"] >= limit)]
        return sorted(found, key=lambda o: (o["px"] if side == B else -o["px"], o["arrival"]))

    def match(self, order, limit):
        """[(maker id, px, qty)], stopped by own order?"""
        trades = []
        for maker in self.opposite(order["side"], limit):
            if order["leaves"] == 0:
                break
            if maker["account"] == order["account"] != 0:
                return trades, True
            qty = min(order["leaves"], maker["leaves"])
            maker["leaves"] -= qty
            order["leaves"] -= qty
            trades.append((maker["id"], maker["px"], qty))
        self.resting = [o for o in self.resting if o["leaves"]]
        return trades, False

    def arrive(self, order):
        self.arrivals += 1
        order["arrival"] = self.arrivals
        self.resting.append(order)

    def new(self, id, account, side, qty, px, tif):
        order = {"id": id, "account": account, "side": side, "px": px, "leaves": qty, "post": tif == GTX, "total": qty}
        limit = px or None
        if tif == GTX and self.opposite(side, limit):
            return "refused", []
        if tif == FOK:
            there = 0
            for maker in self.opposite(side, limit):
                if maker["account"] == account != 0:
                    break
                there += maker["leaves"]
            if there < qty:
                return "expired", []
        trades, met_self = self.match(order, limit)
        self.resting = [o for o in self.resting if o["leaves"]]
        if order["leaves"] == 0:
            return "done", trades
        if met_self or not px or tif in (IOC, FOK):
            return "expired", trades
        self.arrive(order)
        return "rests", trades

    def replace(self, id, qty, px):
        order = next((o for o in self.resting if o["id"] == id), None)
        if order is None or (qty, px) == (order["total"], order["px"]):
            return "refused", []
        filled = order["total"] - order["leaves"]
        if qty <= filled or (order["post"] and px != order["px"] and self.opposite(order["side"], px)):
            self.resting.remove(order)
            return "canceled", []
        keeps = px == order["px"] and qty < order["total"]
        order.update(total=qty, leaves=qty - filled, px=px)
        if keeps:
            return "kept", []
        self.resting.remove(order)
        trades, met_self = self.match(order, px)
        self.resting = [o for o in self.resting if o["leaves"]]
        if order["leaves"] == 0:
            return "done", trades
        if met_self:
            return "expired", trades
        self.arrive(order)
        return "rests", trades

    def depth(self):
        sides = []
        for side in (B, S):
            levels = {}
            for o in self.resting:
                if o["side"] == side:
                    levels[o["px"]] = levels.get(o["px"], 0) + o["leaves"]
            sides.append(sorted(levels.items(), reverse=side == B))
        return tuple(sides)


def outcome(events, order_id):
    for event in events:
        if isinstance(event, Refused):
            return "refused"
        if isinstance(event, Canceled):
            return "canceled"
        if isinstance(event, Expired):
            return "expired"
        if isinstance(event, Amended) and event.kept_priority:
            return "kept"
    own = [e for e in events if isinstance(e, Filled) and e.order_id == order_id]
    return "done" if own and own[-1].leaves_qty == 0 else "rests"


def trades(events):
    return [(e.order_id, e.px, e.qty) for e in events if isinstance(e, Filled) and e.maker]


PX = st.integers(1, 8).map(lambda n: n * 10)
QTY = st.integers(1, 9)
REQUEST = st.one_of(
    st.tuples(
        st.just("new"), st.integers(0, 2), st.sampled_from([B, S]), QTY, PX, st.sampled_from([GTC, GTC, GTC, IOC, FOK, GTX])
    ),
    st.tuples(st.just("market"), st.integers(0, 2), st.sampled_from([B, S]), QTY),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("replace"), st.integers(0, 30), QTY, PX),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(REQUEST, max_size=50))
def test_equals_the_slow_model(requests):
    engine, model = MatchingEngine(RULES), Model()
    published = {B: {}, S: {}}  # the book as LevelChanged tells it
    for number, (what, *args) in enumerate(requests, start=1):
        if what in ("new", "market"):
            account, side, qty, px, tif = (*args, 0, GTC) if what == "market" else args
            order_id = number
            ord_type = OrdType.LIMIT if px else OrdType.MARKET
            events = engine.new_order(
                order_id=number, account=account, side=side, ord_type=ord_type, tif=tif, qty=qty, px=px, now_ns=number
            )
            expected = model.new(number, account, side, qty, px, tif)
        else:
            live = sorted(o["id"] for o in model.resting)
            order_id = live[args[0] % len(live)] if live else 99
            if what == "cancel":
                events = engine.cancel(order_id=order_id, now_ns=number)
                expected = ("canceled" if live else "refused", [])
                model.resting = [o for o in model.resting if o["id"] != order_id]
            else:
                events = engine.replace(order_id=order_id, qty=args[1], px=args[2], now_ns=number)
                expected = model.replace(order_id, args[1], args[2])
        assert (outcome(events, order_id), trades(events)) == expected
        engine.check()
        for event in events:
            if isinstance(event, LevelChanged):
                published[event.side].pop(event.px, None)
                if event.qty:
                    published[event.side][event.px] = event.qty
        assert engine.depth(99) == model.depth()
        assert (sorted(published[B].items(), reverse=True), sorted(published[S].items())) == model.depth()


@settings(max_examples=30, deadline=None)
@given(st.lists(REQUEST, max_size=40))
def test_same_calls_same_events(requests):
    def run():
        desk, out = Desk(), []
        for what, *args in requests:
            if what == "new":
                out += desk.new(args[1], args[2], args[3], args[4], args[0])
            elif what == "market":
                out += desk.new(args[1], args[2], 0, GTC, args[0])
            elif what == "cancel":
                out += desk.engine.cancel(order_id=args[0], now_ns=5)
            else:
                out += desk.engine.replace(order_id=args[0], qty=args[1], px=args[2], now_ns=5)
        return out

    assert run() == run()


# Stops.


def stop(desk, side, qty, stop_px, px=0, tif=GTC):
    desk.number = getattr(desk, "number", 100) + 1
    return desk.engine.new_order(
        order_id=desk.number, account=3, side=side, ord_type=OrdType.STOP_LIMIT if px else OrdType.STOP, tif=tif, qty=qty,
        px=px, now_ns=1, stop_px=stop_px,
    )  # fmt: skip


def trade(desk, px, number):
    """A trade at a price, of nothing that is left."""
    for account, (order_id, side) in enumerate(((number, S), (number + 1, B)), start=7):
        events = desk.engine.new_order(
            order_id=order_id, account=account, side=side, ord_type=OrdType.LIMIT, tif=GTC, qty=1, px=px, now_ns=1
        )
    desk.engine.check()
    return events


def named(events):
    return [(type(e).__name__, e.order_id) for e in events if hasattr(e, "order_id")]


def test_a_stop_waits_for_a_trade_at_its_price(desk):
    assert named(stop(desk, B, 5, 120)) == [("Accepted", 101)]
    assert named(stop(desk, S, 5, 80, px=70)) == [("Accepted", 102)]
    assert desk.engine.depth(9) == ([], [])  # nobody sees it
    assert ("Triggered", 101) not in named(trade(desk, 110, 200))
    assert named(trade(desk, 120, 210))[-2:] == [("Triggered", 101), ("Expired", 101)]  # a market order, and nothing there
    assert named(trade(desk, 80, 220))[-1:] == [("Triggered", 102)]
    assert desk.engine.best(S) == (70, 5)  # a limit order rests


def test_what_it_trades_lets_go_the_next(desk):
    trade(desk, 100, 50)
    stop(desk, B, 5, 110)
    stop(desk, B, 5, 120)
    for order_id, px in ((150, 110), (151, 120), (152, 130)):
        desk.engine.new_order(
            order_id=order_id, account=7, side=S, ord_type=OrdType.LIMIT, tif=GTC, qty=5, px=px, now_ns=1
        )  # fmt: skip
    events = desk.engine.new_order(order_id=153, account=8, side=B, ord_type=OrdType.LIMIT, tif=IOC, qty=1, px=110, now_ns=1)
    said = [(k, n) for k, n in named(events) if k == "Triggered"]
    assert said == [("Triggered", 101), ("Triggered", 102)]
    assert sum(qty for _, qty, _ in fills(events, 101)) == sum(qty for _, qty, _ in fills(events, 102)) == 5
    desk.engine.check()


def test_one_whose_price_has_traded_goes_at_once(desk):
    trade(desk, 100, 50)
    assert [k for k, _ in named(stop(desk, S, 5, 100, px=90))] == ["Accepted", "Triggered"]


def test_a_stop_is_canceled_and_changed_while_it_waits(desk):
    trade(desk, 100, 50)
    stop(desk, B, 5, 120, px=130)
    replace = desk.engine.replace
    assert [k for k, _ in named(replace(order_id=101, qty=7, px=140, stop_px=130, now_ns=1))] == ["Amended"]
    assert replace(order_id=101, qty=7, px=140, now_ns=1)[0].reason == Reason.REPLACE_HAS_NO_EFFECT
    assert ("Triggered", 101) not in named(trade(desk, 120, 200))
    (ended,) = desk.engine.cancel(order_id=101, now_ns=1)
    assert (ended.cum_qty, ended.cxl_qty) == (0, 7)
    assert ("Triggered", 101) not in named(trade(desk, 200, 210))


def test_a_change_may_let_it_go(desk):
    trade(desk, 100, 50)
    stop(desk, B, 5, 120)
    said = named(desk.engine.replace(order_id=101, qty=5, px=0, stop_px=100, now_ns=1))
    assert [k for k, _ in said] == ["Amended", "Triggered", "Expired"]
