"""What the exchange does itself beyond single orders, by configuration: cancel everything, when asked or when nobody asks."""

import json
import time

import pytest

from tests.gateways.exchange.conftest import Exchange


@pytest.fixture(scope="module")
def native():
    exchange = Exchange(
        rate=1,
        admin=True,
        seed=5,
        native=["cancel_all", "dead_man", "mass_quote"],
        more_api_keys=["a", "b", "c", "d", "e", "q"],
    )
    yield exchange.listening()
    exchange.close()


def orders(api, count=3, px="100.00"):
    for n in range(count):
        assert api.order(f"o{n}", "BUY", "0.010", px)["status"] == "NEW"


def test_not_unless_configured(api):
    assert api.ask("openOrders.cancelAll") == -1020
    assert api.ask("account.countdownCancelAll", countdownTime=1000) == -1020
    assert api.ask("quotes.place", quotes=[]) == -1020


def test_cancel_all_hits_the_account_and_nobody_else(native):
    mine, theirs = native.api("a"), native.api("b")
    orders(mine)
    orders(theirs, 1)
    mine.ask("order.cancel", origClientOrderId="o0", newClientOrderId="c0")
    mine.settled()
    assert mine.ask("openOrders.cancelAll", symbol="BTCUSDT") == {"affected": 2}
    ends = mine.settled()
    assert [(o["x"], o["X"], o["c"], o["C"], o["r"]) for o in ends] == [
        ("CANCELED", "CANCELED", "o1", "o1", "CANCEL_REQUEST"),
        ("CANCELED", "CANCELED", "o2", "o2", "CANCEL_REQUEST"),
    ]
    assert mine.ask("openOrders") == []
    assert len(theirs.ask("openOrders")) == 1
    assert mine.ask("openOrders.cancelAll") == {"affected": 0}
    assert mine.ask("openOrders.cancelAll", side="BUY") == -1104


def test_the_public_book_says_each_level_once(native):
    api, market = native.api("c"), native.market("?streams=btcusdt@depth@0ms")
    orders(api, px="200.00")
    api.ask("openOrders.cancelAll")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        levels = json.loads(market.recv(timeout=10))["data"]["b"]
        assert len({px for px, _ in levels}) == len(levels)
        if ["200.00", "0.000"] in levels:
            return
    raise AssertionError("the level did not go")


def test_the_countdown_cancels_unless_it_is_begun_anew(native):
    api = native.api("d")
    orders(api, 2)
    answer = api.ask("account.countdownCancelAll", countdownTime=600)
    assert abs(answer["firesAt"] - 600 - time.time() * 1000) < 300
    api.settled()
    time.sleep(0.3)
    api.ask("account.countdownCancelAll", countdownTime=600)
    time.sleep(0.4)
    assert len(api.ask("openOrders")) == 2  # the first countdown would be over
    end = api.until(lambda o: o["C"] == "o1")
    assert (end["x"], end["X"], end["r"]) == ("CANCELED", "CANCELED", "DEAD_MAN")
    assert api.ask("openOrders") == []


def test_the_countdown_is_let_go_and_survives_its_owner(native):
    api = native.api("e")
    orders(api, 1)
    api.ask("account.countdownCancelAll", countdownTime=300)
    api.ask("account.countdownCancelAll", countdownTime=0)
    time.sleep(0.5)
    assert len(api.ask("openOrders")) == 1
    api.ask("account.countdownCancelAll", countdownTime=300)
    api.ws.close()
    time.sleep(0.5)
    assert native.api("e").ask("openOrders") == []
    assert native.api("e").ask("account.countdownCancelAll") == -1102
    assert native.api("e").ask("account.countdownCancelAll", countdownTime=-1) == -1102


def test_lost_on_the_way_and_lost_on_the_way_back(native):
    api = native.api("a")
    orders_before = len(api.ask("openOrders"))
    api.order("x1", "BUY", "0.010", "100.00")
    admin = native.api()
    admin.ask("admin.fault", fault="unsure_undone", count=1)
    assert api.ask("openOrders.cancelAll") == -1007
    assert len(api.ask("openOrders")) == orders_before + 1
    admin.ask("admin.fault", fault="unsure", count=1)
    assert api.ask("openOrders.cancelAll") == -1007
    assert api.ask("openOrders") == []


def side(client_id, side, price, **more):
    terms = {"side": side, "type": "LIMIT", "timeInForce": "GTX", "quantity": "0.010", "price": price}
    return terms | {"newClientOrderId": client_id} | more


def test_quotes_are_orders_and_one_refused_stops_no_other(native):
    api = native.api("q")
    rows = [side("q/0B", "BUY", "100.00"), side("q/0A", "SELL", "50.00"), side("q/1B", "BUY", "99.00")]
    said = api.ask("quotes.place", quotes=rows)
    assert [(r["clientOrderId"], "orderId" in r, r.get("error", {}).get("code")) for r in said] == [
        ("q/0B", True, None),
        ("q/0A", False, -5022),
        ("q/1B", True, None),
    ]
    assert [(o["x"], o["C"]) for o in api.settled()] == [("NEW", "q/0B"), ("NEW", "q/1B")]
    assert [o["origClientOrderId"] for o in api.ask("openOrders")] == ["q/0B", "q/1B"]
    # What cannot be read changes nothing at all.
    for bad, code in (
        ([], -1102),
        ([7], -1102),
        ("x", -1102),
        ([side("q/2B", "BUY", "98.00"), side("q/2A", "SELL", "1.00", magic=1)], -1104),
    ):
        assert api.ask("quotes.place", quotes=bad) == code
    assert len(api.ask("openOrders")) == 2
    wrong = api.ask("quotes.place", quotes=[side("q/3B", "BUY", "98.00", symbol="OTHER")])
    assert wrong[0]["error"]["code"] == -1121


def test_an_unknown_word_is_refused(run_to_end):
    code, error = run_to_end(native=["everything"])
    assert code == 2
    assert "native = 'everything': expected cancel_all, dead_man, mass_quote, stops" in error


@pytest.fixture(scope="module")
def lively():
    exchange = Exchange(rate=500, seed=5, native=["stops"], order_limit=5, order_window_s=3600, more_api_keys=["s", "t"])
    yield exchange.listening()
    exchange.close()


def stop(api, client_id, side, stop_px, price=None):
    terms = {"type": "STOP_LIMIT", "price": price, "timeInForce": "GTC"} if price else {"type": "STOP_MARKET"}
    return api.ask(
        "order.place", side=side, quantity="0.010", stopPrice=stop_px, newClientOrderId=client_id, **terms
    )  # fmt: skip


def test_stops_wait_beside_the_book_and_trade_after_the_market_has(lively):
    api = lively.api("s")
    assert "STOP_LIMIT" in api.ask("exchangeInfo")["symbols"][0]["orderTypes"]
    far = stop(api, "far", "BUY", "90000.00", "90001.00")
    assert (far["status"], far["type"], far["stopPrice"]) == ("UNTRIGGERED", "STOP_LIMIT", "90000.00")
    moved = api.ask("order.modify", origClientOrderId="far", newClientOrderId="far2", quantity="0.020", price="90001.00",
                    stopPrice="90000.50")  # fmt: skip
    assert (moved["stopPrice"], moved["origQty"], moved["status"]) == ("90000.50", "0.020", "UNTRIGGERED")
    assert api.ask("order.place", side="BUY", type="MARKET", quantity="0.010", stopPrice="1.00", newClientOrderId="m") == -1104
    assert stop(api, "odd", "BUY", "90000.05") == -4006
    near = stop(api, "near", "SELL", "89999.00")  # below it already: goes as soon as anybody trades
    assert near["type"] == "STOP_MARKET"
    seen = [api.until(lambda o, x=x: o["C"] == "near" and o["x"] == x)["X"] for x in ("NEW", "TRIGGERED", "TRADE")]
    assert seen[:2] == ["UNTRIGGERED", "NEW"]
    assert api.ask("order.cancel", origClientOrderId="far", newClientOrderId="c")["status"] == "CANCELED"
    assert api.ask("openOrders") == []


def test_the_budget_counts_orders_and_refuses_what_is_beyond(lively):
    api = lively.api("t")
    for n in range(1, 7):
        message = api.answer(api.send("order.place", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010",
                                      price="100.00", newClientOrderId=f"b{n}"))  # fmt: skip
        (row,) = message["rateLimits"]
        assert (row["limit"], row["count"], row["intervalNum"]) == (5, min(n, 5), 3600)
    assert (message["status"], message["error"]["code"]) == (429, -1003)
    assert api.ask("order.cancel", origClientOrderId="b1", newClientOrderId="c1")["status"] == "CANCELED"
    assert len(api.ask("openOrders")) == 4


def test_a_stop_waits_on_over_a_restart(start_exchange, tmp_path):
    settings = {"rate": 1, "native": ["stops"], "state": str(tmp_path / "state.json")}
    exchange = start_exchange(**settings)
    api = exchange.api("lockstep")
    stop(api, "far", "BUY", "90000.00", "90001.00")
    exchange.close()
    api = start_exchange(**settings).api("lockstep")
    (row,) = api.ask("openOrders")
    assert (row["status"], row["stopPrice"]) == ("UNTRIGGERED", "90000.00")
    assert api.ask("order.cancel", origClientOrderId="far", newClientOrderId="c")["status"] == "CANCELED"
