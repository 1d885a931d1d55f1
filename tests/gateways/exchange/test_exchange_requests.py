"""Requests without a socket: whatever is asked, the answer is a result or a documented error, and the books stay whole."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.venue.matching import MatchingEngine
from gateways.sim.exchange.accounts import Accounts
from gateways.sim.exchange.feed import Feed
from gateways.sim.exchange.limits import NO_LIMITS, Limits
from gateways.sim.exchange.listing import generated_listing
from gateways.sim.exchange.market import OrderIds
from gateways.sim.exchange.numbers import NotDecimal, TooManyDecimals, decimals, mantissa, text_of
from gateways.sim.exchange.requests import Desk, Request, RequestError, read_request
from gateways.sim.exchange.settings import ExchangeSettings
from journal.messages.enums import Side

CODES = {-1000, -1008, -1020, -1102, -1104, -1111, -1115, -1116, -1117, -1121, -1135, -2010, -2011, -2013, -2015, -2022}
CODES |= {-4002, -4003, -4005, -4013, -4014, -4015, -4023, -4116, -4140, -5022, -5027}

METHODS = [
    "time",
    "exchangeInfo",
    "depth",
    "order.place",
    "order.modify",
    "order.cancel",
    "order.status",
    "openOrders",
    "myTrades",
]
IDS = st.sampled_from([f"c{n}" for n in range(12)])
SENSIBLE = {
    "symbol": st.just("BTCUSDT"),
    "side": st.sampled_from(["BUY", "SELL"]),
    "type": st.sampled_from(["LIMIT", "LIMIT", "LIMIT", "MARKET"]),
    "timeInForce": st.sampled_from(["GTC", "GTC", "IOC", "FOK", "GTX"]),
    "quantity": st.sampled_from(["0.001", "0.002", "0.005", "0.010"]),
    "price": st.sampled_from(["100.00", "100.10", "100.20", "100.30"]),
    "newClientOrderId": IDS,
    "origClientOrderId": IDS,
    "reduceOnly": st.booleans(),
    "limit": st.integers(0, 1200),
    "fromId": st.integers(-1, 20),
}
NEEDED = {
    "order.place": ["side", "type", "timeInForce", "quantity", "price", "newClientOrderId"],
    "order.modify": ["origClientOrderId", "newClientOrderId", "quantity", "price"],
    "order.cancel": ["origClientOrderId", "newClientOrderId"],
    "order.status": ["origClientOrderId"],
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def requests(draw):
    method = draw(st.sampled_from(METHODS + ["order.place"] * 6 + ["order.modify"] * 3))
    params = {name: draw(SENSIBLE[name]) for name in NEEDED.get(method, [])}
    if params.get("type") == "MARKET":
        del params["price"], params["timeInForce"]
    if draw(st.integers(0, 4)) == 0:
        name = draw(st.sampled_from(list(SENSIBLE)) | st.text(max_size=9))
        params[name] = draw(JUNK)
    return Request(1, method, params)


class Front:
    def __init__(self, limits=NO_LIMITS):
        self.listing = generated_listing(ExchangeSettings())
        self.engine = MatchingEngine(self.listing.rules)
        self.accounts = Accounts(self.listing, 2)
        feed = Feed(self.listing, self.engine)
        self.desk = Desk(self.listing, self.engine, self.accounts, feed, OrderIds(), limits=limits)
        self.pushed = {1: [], 2: []}

    def ask(self, request, account, now_ns=10**9):
        outcome = self.desk.execute(request, account, now_ns)
        for push in outcome.pushes:
            self.pushed[push.account].append(json.loads(push.text)["o"])
        return outcome.result

    def check(self):
        self.engine.check()
        for account in self.accounts.accounts:
            pushed = self.pushed[account.number]
            assert [o["v"] for o in pushed] == list(range(1, len(pushed) + 1))
            assert {o.order_id for o in self.accounts.open_orders(account.number)} == {
                o.order_id for o in self.engine.open_orders(account.number)
            }
            for order in account.orders:
                mine = [o for o in pushed if o["i"] == order.order_id]
                assert (mine[-1]["X"], mine[-1]["z"]) == (order.status, self.listing.qty(order.cum_qty))
                fills = [t for t in account.trades if t.order_id == order.order_id]
                assert sum(t.qty for t in fills) == order.cum_qty
                assert sum(t.px * t.qty for t in fills) == order.cum_quote
        assert sum(a.position for a in self.accounts.accounts) == 0  # the two trade with each other only


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(requests(), st.integers(0, 2)), max_size=40))
def test_any_request_gets_a_result_or_a_documented_error(asked):
    front = Front()
    for request, account in asked:
        refused = None
        try:
            json.dumps(front.ask(request, account))
        except RequestError as error:
            refused = error
        assert refused is None or (refused.code in CODES and refused.status in (400, 401, 503))
    front.check()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(requests(), st.integers(1, 2)), max_size=60))
def test_whatever_is_asked_an_account_stays_within_its_limits(asked):
    front = Front(Limits(max_open_orders=2, max_position=8, price_band_bps=10))
    for request, account in asked:
        with contextlib.suppress(RequestError):
            front.ask(request, account)
        for a in front.accounts.accounts:
            open_orders = front.accounts.open_orders(a.number)
            assert len(open_orders) <= 2
            for side, held in ((Side.BUY, a.position), (Side.SELL, -a.position)):
                assert held + sum(o.order_qty - o.cum_qty for o in open_orders if o.side == side) <= 8
    front.check()


@given(st.text() | st.binary() | JUNK.map(json.dumps))
def test_any_frame_is_a_request_or_is_refused(frame):
    request, code = None, None
    try:
        request = read_request(frame)
    except RequestError as error:
        code = error.code
    assert code == -1135 or isinstance(request.method, str)


@given(st.integers(-(10**15), 10**15), st.integers(-12, 0))
def test_numbers_there_and_back(value, exp):
    text = text_of(value, exp)
    assert decimals(text) == -exp
    assert mantissa(text, exp) == value
    assert mantissa(text + ("0" if exp else ".0"), exp) == value


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "+1", "1e3", " 1", "1_0", "١", "NaN", "--1", "1.0.0", "9" * 40])
def test_not_decimals(text):
    with pytest.raises(NotDecimal):
        mantissa(text, -2)


def test_too_many_decimals():
    with pytest.raises(TooManyDecimals):
        mantissa("1.001", -2)
    with pytest.raises(TooManyDecimals):
        mantissa("1.5", 0)
