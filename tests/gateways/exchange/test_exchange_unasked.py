"""What the exchange does that no client asked for: it cancels the orders of an account that has gone, it halts."""

import json
import time

import pytest

FAR_BID = "50000.00"


@pytest.fixture
def deserting(start_exchange):
    return start_exchange(rate=1, admin=True, cancel_on_disconnect=True, more_api_keys=["other"])


def until_bid(market, quantity):
    """Read the public feed until so much is bid at the far price."""
    while True:
        data = json.loads(market.recv(timeout=10))["data"]
        if data["e"] == "depthUpdate" and [FAR_BID, quantity] in data["b"]:
            return


def ended(exchange, market, client_id):
    """The order, asked for by a new session once the book shows that it is gone: a sooner one would take it over."""
    until_bid(market, "0.000")
    return exchange.api("lockstep").ask("order.status", origClientOrderId=client_id)


def test_the_orders_of_an_account_end_with_its_session_and_no_others(deserting):
    api, other, market = deserting.api("lockstep"), deserting.api("other"), deserting.market()
    api.order("a", "BUY", "0.010", FAR_BID)
    other.order("a", "BUY", "0.020", FAR_BID)
    until_bid(market, "0.030")
    api.ws.close()
    until_bid(market, "0.020")
    order = deserting.api("lockstep").ask("order.status", origClientOrderId="a")
    assert (order["status"], order["endReason"]) == ("CANCELED", "CANCEL_ON_DISCONNECT")
    assert other.ask("order.status", origClientOrderId="a")["status"] == "NEW"
    assert other.ask("order.status", origClientOrderId="a")["endReason"] == "NONE"


def test_however_the_session_ends(deserting):
    api, market = deserting.api("lockstep"), deserting.market()
    api.order("a", "BUY", "0.010", FAR_BID)
    deserting.api().ask("admin.fault", fault="drop_api")
    assert api.closed() == 1006
    assert ended(deserting, market, "a")["endReason"] == "CANCEL_ON_DISCONNECT"


def test_a_newer_logon_takes_the_orders_over(deserting):
    first = deserting.api("lockstep")
    first.order("a", "BUY", "0.010", FAR_BID)
    second = deserting.api("lockstep")
    assert first.closed() == 4001
    assert [o["status"] for o in second.ask("openOrders")] == ["NEW"]
    assert second.ask("order.cancel", origClientOrderId="a", newClientOrderId="b")["endReason"] == "CANCEL_REQUEST"


def test_a_session_that_logs_on_as_another_leaves_its_account(deserting):
    api, market = deserting.api("lockstep"), deserting.market()
    api.order("a", "BUY", "0.010", FAR_BID)
    api.logon("lockstep")
    assert len(api.ask("openOrders")) == 1
    api.logon("other")
    assert ended(deserting, market, "a")["endReason"] == "CANCEL_ON_DISCONNECT"


def test_a_killed_exchange_has_ended_every_session(start_exchange, tmp_path):
    settings = {"rate": 1, "state": str(tmp_path / "state.json"), "cancel_on_disconnect": True}
    exchange = start_exchange(**settings)
    exchange.api("lockstep").order("a", "BUY", "0.010", FAR_BID)
    exchange.process.kill()
    again = start_exchange(**settings).api("lockstep")
    assert again.ask("openOrders") == []
    assert again.ask("order.status", origClientOrderId="a")["endReason"] == "CANCEL_ON_DISCONNECT"


def test_a_state_of_before_says_of_no_order_why_it_ended(start_exchange, tmp_path):
    path = tmp_path / "state.json"
    exchange = start_exchange(rate=1, state=str(path))
    exchange.api("lockstep").order("a", "BUY", "0.010", FAR_BID)
    exchange.process.kill()
    exchange.process.wait()
    text = path.read_text()
    assert '"end_reason":"NONE",' in text
    path.write_text(text.replace('"end_reason":"NONE",', ""))
    order = start_exchange(rate=1, state=str(path)).api("lockstep").ask("order.status", origClientOrderId="a")
    assert (order["status"], order["endReason"]) == ("NEW", "NONE")


@pytest.fixture
def haltable(start_exchange):
    return start_exchange(rate=200, seed=5, admin=True, halt_cancels=True, native=["mass_quote"], more_api_keys=["other"])


def statuses(market, count):
    """The next words about trading, and what came between them."""
    words, between = [], []
    while len(words) < count:
        data = json.loads(market.recv(timeout=10))["data"]
        (words if data["e"] == "tradingStatus" else between).append(data)
    return [(w["s"], w["S"]) for w in words], between


def test_a_halt_cancels_and_refuses_until_it_is_over(haltable):
    api, other, admin = haltable.api("lockstep"), haltable.api("other"), haltable.api()
    api.order("a", "BUY", "0.010", FAR_BID)
    other.order("b", "BUY", "0.020", FAR_BID)
    assert admin.ask("admin.halt") == {"status": "HALT"}
    for of, client_id in ((api, "a"), (other, "b")):
        end = of.until(lambda o, c=client_id: o["C"] == c and o["X"] != "NEW")
        assert (end["x"], end["X"], end["c"], end["r"]) == ("CANCELED", "CANCELED", client_id, "HALT")
        assert of.ask("openOrders") == []
    assert api.order("c", "BUY", "0.010", FAR_BID) == -4140
    assert api.order("c", "BUY", "0.010") == -4140
    side = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": FAR_BID}
    assert api.ask("quotes.place", quotes=[side | {"newClientOrderId": "q"}])[0]["error"]["code"] == -4140
    assert api.ask("exchangeInfo")["symbols"][0]["status"] == "HALT"
    before = api.depth()
    time.sleep(0.2)
    assert api.depth() == before  # nobody trades
    assert admin.ask("admin.resume") == {"status": "TRADING"}
    assert api.ask("exchangeInfo")["symbols"][0]["status"] == "TRADING"
    assert api.order("c", "BUY", "0.010", FAR_BID)["status"] == "NEW"


def test_everyone_is_told_of_a_halt_and_whoever_comes_how_it_is(haltable):
    market, admin = haltable.market(), haltable.api()
    assert statuses(market, 1) == ([("BTCUSDT", "TRADING")], [])
    admin.ask("admin.halt")
    later = haltable.market("?streams=btcusdt@tradingStatus")
    assert statuses(later, 1) == ([("BTCUSDT", "HALT")], [])
    admin.ask("admin.resume")
    assert statuses(later, 1) == ([("BTCUSDT", "TRADING")], [])
    words, _ = statuses(market, 2)
    assert words == [("BTCUSDT", "HALT"), ("BTCUSDT", "TRADING")]


def test_a_halt_lets_open_orders_be_and_cancels_go(start_exchange):
    exchange = start_exchange(rate=1, admin=True)
    api = exchange.api("lockstep")
    for name in "ab":
        api.order(name, "BUY", "0.010", FAR_BID)
    exchange.api().ask("admin.halt")
    assert len(api.ask("openOrders")) == 2
    modify = {"origClientOrderId": "a", "newClientOrderId": "m", "quantity": "0.005", "price": FAR_BID}
    assert api.ask("order.modify", **modify) == -4140
    assert api.ask("order.cancel", origClientOrderId="b", newClientOrderId="c")["status"] == "CANCELED"
    exchange.api().ask("admin.resume")
    assert api.ask("order.modify", **modify)["origQty"] == "0.005"


def test_what_was_recorded_cannot_be_halted(start_exchange, tmp_path):
    data = {"e": "depthUpdate", "E": 1, "T": 1, "s": "BTCUSDT", "U": 1, "u": 1, "pu": 0, "b": [["1.10", "1.000"]], "a": []}
    line = json.dumps({"stream": "btcusdt@depth@0ms", "data": data})
    (tmp_path / "day").write_text(f"1723161255000000000 {line}\n")
    exchange = start_exchange(capture=str(tmp_path / "day"), quote="USDT", admin=True)
    market = exchange.market()
    assert exchange.api().ask("admin.halt") == -1020
    assert market.recv(timeout=10) == line


def test_who_is_no_admin_halts_nothing(start_exchange):
    exchange = start_exchange(rate=1)
    assert exchange.api().ask("admin.halt") == -1020
    assert exchange.api().ask("admin.resume") == -1020
