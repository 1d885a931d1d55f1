"""What an account of the exchange begins with and may have open, by configuration; and that closing is never refused."""

from decimal import Decimal

import pytest

from tests.gateways.exchange.conftest import Exchange

KEYS = [f"k{n}" for n in range(20)]
FAR_BID, FAR_ASK = "50000.00", "70000.00"


@pytest.fixture(scope="module")
def limited():
    exchange = Exchange(
        rate=1, seed=5, balance="1000", leverage=10, max_open_orders=3, max_position="0.5", native=["stops", "mass_quote"],
        more_api_keys=KEYS,
    )  # fmt: skip
    yield exchange.listening()
    exchange.close()


@pytest.fixture(scope="module")
def unused():
    return iter(KEYS)


@pytest.fixture
def api(limited, unused):
    return limited.api(next(unused))


def equity(api):
    return Decimal(api.ask("account.margin")[0]["equity"])


def test_an_account_begins_with_its_balance_and_pays_from_it(api):
    assert api.ask("account.balance") == [{"asset": "USDT", "balance": "1000.00000000"}]
    assert equity(api) == 1000
    api.order("a", "BUY", "0.010")
    fills = [p for p in api.settled() if p["x"] == "TRADE"]
    paid = sum(Decimal(p["L"]) * Decimal(p["l"]) + Decimal(p["n"]) for p in fills)
    assert Decimal(api.ask("account.balance")[0]["balance"]) == 1000 - paid
    assert 990 < equity(api) < 1000  # the fee, and half a spread


def test_margin_is_of_the_position_and_all_that_is_open(api):
    """1000 secure 10000: 0.2 at 50000."""
    assert api.order("a", "BUY", "0.150", FAR_BID)["status"] == "NEW"
    assert api.order("b", "BUY", "0.051", FAR_BID) == -2019
    assert api.order("b", "BUY", "0.050", FAR_BID)["status"] == "NEW"
    assert api.order("c", "SELL", "0.100", FAR_ASK)["status"] == "NEW"  # sales do not add to buys
    modify = {"origClientOrderId": "b", "newClientOrderId": "m", "price": FAR_BID}
    assert api.ask("order.modify", quantity="0.060", **modify) == -2019
    assert api.ask("order.modify", quantity="0.040", **modify)["origQty"] == "0.040"
    assert len(api.ask("openOrders")) == 3


def test_a_price_that_is_better_than_the_market_secures_no_less(api):
    """A sale below the bid trades at the bid; a market order at the best."""
    bid, ask = (Decimal(side[0][0]) for side in (api.depth(1)["bids"], api.depth(1)["asks"]))
    much = str((10_000 / min(bid, ask)).quantize(Decimal("0.001")) + Decimal("0.002"))
    assert api.order("a", "SELL", much, "100.00", "IOC") == -2019
    assert api.order("b", "BUY", much) == -2019
    assert api.order("c", "SELL", much) == -2019
    assert api.ask("order.status", origClientOrderId="a") == -2013  # never existed


def test_what_closes_is_let_through(api):
    api.order("a", "BUY", "0.155")  # nearly all that is secured
    assert api.order("b", "BUY", "0.010", FAR_BID) == -2019
    api.order("c", "SELL", "0.155")
    assert api.ask("account.position")[0]["positionAmt"] == "0.000"


def test_so_many_orders_may_be_open(api):
    for n in range(2):
        assert api.order(f"o{n}", "BUY", "0.001", FAR_BID)["status"] == "NEW"
    stop = {"side": "BUY", "type": "STOP_MARKET", "quantity": "0.001", "stopPrice": "90000.00"}
    assert api.ask("order.place", newClientOrderId="stop", **stop)["status"] == "UNTRIGGERED"
    assert api.order("o3", "BUY", "0.001", FAR_BID) == -2025
    assert api.ask("order.place", newClientOrderId="stop2", **stop) == -2025
    assert api.order("ioc", "BUY", "0.001", FAR_BID, "IOC")["status"] == "NEW"  # is never open
    moved = api.ask("order.modify", origClientOrderId="o0", newClientOrderId="m", quantity="0.002", price=FAR_BID)
    assert moved["origQty"] == "0.002"
    assert api.ask("order.cancel", origClientOrderId="o0", newClientOrderId="c")["status"] == "CANCELED"
    assert api.order("o3", "BUY", "0.001", FAR_BID)["status"] == "NEW"  # a refused id is not used up


def test_a_side_of_a_quote_is_an_order_too(api):
    for n in range(2):
        api.order(f"o{n}", "BUY", "0.001", FAR_BID)
    terms = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}
    sides = [
        {"side": "BUY", "price": FAR_BID, "newClientOrderId": "q/0B"},
        {"side": "SELL", "price": FAR_ASK, "newClientOrderId": "q/0A"},
    ]
    said = api.ask("quotes.place", quotes=[side | terms for side in sides])
    assert ["orderId" in said[0], said[1].get("error", {}).get("code")] == [True, -2025]


def test_the_largest_position_counts_what_is_open_on_the_side(start_exchange):
    api = start_exchange(rate=1, seed=5, max_position="0.5").api("lockstep")
    api.order("a", "BUY", "0.300")
    assert api.order("b", "BUY", "0.201", FAR_BID) == -2027
    assert api.order("b", "BUY", "0.200", FAR_BID)["status"] == "NEW"
    assert api.order("c", "BUY", "0.001") == -2027
    assert api.order("d", "SELL", "0.800", FAR_ASK)["status"] == "NEW"  # from 0.3 long to 0.5 short
    assert api.order("e", "SELL", "0.001") == -2027
    modify = {"origClientOrderId": "b", "newClientOrderId": "m", "price": FAR_BID}
    assert api.ask("order.modify", quantity="0.201", **modify) == -2027
    assert api.ask("order.modify", quantity="0.100", **modify)["origQty"] == "0.100"


def test_what_is_beyond_a_lower_limit_may_shrink(start_exchange, tmp_path):
    state = str(tmp_path / "state.json")
    exchange = start_exchange(rate=1, state=state)
    exchange.api("lockstep").order("a", "BUY", "0.300", FAR_BID)
    exchange.close()
    api = start_exchange(rate=1, state=state, max_position="0.1", balance="1", leverage=1).api("lockstep")
    modify = {"origClientOrderId": "a", "price": FAR_BID}
    assert api.ask("order.modify", newClientOrderId="m", quantity="0.301", **modify) == -2027
    assert api.ask("order.modify", newClientOrderId="m", quantity="0.200", **modify)["origQty"] == "0.200"


def test_without_leverage_an_order_is_paid_for(start_exchange):
    api = start_exchange(rate=1, seed=5, balance="500.5", leverage=1).api("lockstep")
    assert api.order("a", "BUY", "0.011", FAR_BID) == -2018
    assert api.order("a", "BUY", "0.010", FAR_BID)["status"] == "NEW"
    assert api.order("b", "BUY", "0.001", FAR_BID) == -2018


def test_a_price_too_far_beyond_the_last_trade(start_exchange):
    """As Binance's PERCENT_PRICE: only on the side that hurts."""
    exchange = start_exchange(rate=1, seed=5, price_band_bps=500, max_open_orders=200)
    api = exchange.api("lockstep")
    filters = {f["filterType"]: f for f in api.ask("exchangeInfo")["symbols"][0]["filters"]}
    assert (filters["PERCENT_PRICE"]["multiplierUp"], filters["PERCENT_PRICE"]["multiplierDown"]) == ("1.0500", "0.9500")
    assert filters["MAX_NUM_ORDERS"]["limit"] == 200
    api.order("trade", "BUY", "0.001")
    last = next(Decimal(p["L"]) for p in api.settled() if p["x"] == "TRADE")
    high, low = ((last * by).quantize(Decimal("0.1")) for by in (Decimal("1.05"), Decimal("0.95")))
    assert api.order("a", "BUY", "0.001", f"{high + 1}", "IOC") == -4016
    assert api.order("b", "SELL", "0.001", f"{low - 1}", "IOC") == -4024
    assert api.order("c", "BUY", "0.001", f"{low - 1}")["status"] == "NEW"
    assert api.order("d", "SELL", "0.001", f"{high + 1}")["status"] == "NEW"
    modify = {"origClientOrderId": "c", "newClientOrderId": "m", "quantity": "0.001"}
    assert api.ask("order.modify", price=f"{high + 1}", **modify) == -4016


def test_the_balance_is_what_it_was_when_the_exchange_is_started_again(start_exchange, tmp_path):
    settings = {"rate": 1, "balance": "1000", "state": str(tmp_path / "state.json")}
    exchange = start_exchange(**settings)
    api = exchange.api("lockstep")
    api.order("a", "BUY", "0.010")
    api.order("b", "SELL", "0.004")
    before = api.ask("account.balance")
    exchange.close()
    assert start_exchange(**settings).api("lockstep").ask("account.balance") == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"balance": "1e5"}, "balance = '1e5': expected decimal text from 0 on"),
        ({"balance": "-1"}, "balance = '-1'"),
        ({"balance": "0.123456789"}, "at most 8 decimals"),
        ({"max_position": "0.0001"}, "max_position = '0.0001': expected decimal text from 0 on, at most 3 decimals"),
        ({"read_only_keys": ["other"]}, "read_only_keys = 'other': expected one of api_key, more_api_keys"),
        ({"leverage": 126}, "leverage = 126: expected 0 to 125"),
        ({"price_band_bps": 10_000}, "price_band_bps = 10000: expected 0 to 9999"),
    ],
)
def test_wrong_settings_are_named(run_to_end, settings, said):
    code, error = run_to_end(**settings)
    assert code == 2
    assert said in error


def test_a_key_that_may_only_read(start_exchange):
    native = ["cancel_all", "dead_man", "mass_quote"]
    exchange = start_exchange(rate=1, native=native, more_api_keys=["eyes"], read_only_keys=["eyes"], order_limit=1)
    eyes = exchange.api("eyes")
    assert eyes.order("a", "BUY", "0.010", FAR_BID) == -2015
    for method, params in (
        ("order.modify", {"origClientOrderId": "a"}), ("order.cancel", {"origClientOrderId": "a"}),
        ("openOrders.cancelAll", {}), ("account.countdownCancelAll", {"countdownTime": 1}), ("quotes.place", {"quotes": []}),
    ):  # fmt: skip
        message = eyes.answer(eyes.send(method, **params))
        assert (message["status"], message["error"]["code"]) == (401, -2015)
    assert eyes.ask("openOrders") == []
    assert eyes.ask("account.position")[0]["positionAmt"] == "0.000"
    assert exchange.api("lockstep").order("a", "BUY", "0.010", FAR_BID)["status"] == "NEW"
