"""Orders at the simulated exchange, over its socket: every type, every answer, and what survives a disconnect."""

import json
import time
from decimal import Decimal

import pytest
from websockets.exceptions import ConnectionClosed

FAR_BID, FAR_ASK = "50000.00", "70000.00"


def story(pushes):
    """What a trader reads of a push."""
    return [(p["x"], p["X"], p["c"], p["z"]) for p in pushes]


def test_public_questions_need_no_logon(quiet_exchange):
    api = quiet_exchange.api()
    assert abs(api.ask("time")["serverTime"] - time.time() * 1000) < 5000
    symbol = api.ask("exchangeInfo")["symbols"][0]
    assert (symbol["symbol"], symbol["pricePrecision"], symbol["quantityPrecision"]) == ("BTCUSDT", 2, 3)
    assert [f.get("tickSize") or f.get("stepSize") for f in symbol["filters"]] == ["0.10", "0.001"]
    depth = api.depth(5)
    assert len(depth["bids"]) == len(depth["asks"]) == 5
    assert Decimal(depth["bids"][0][0]) < Decimal(depth["asks"][0][0])
    assert api.order("a", "BUY", "0.010", FAR_BID) == -2015
    assert api.ask("session.logon", apiKey="wrong") == -2015


def test_limit_rests_and_is_cancelled(api):
    order = api.order("a", "BUY", "0.010", FAR_BID)
    assert (order["status"], order["executedQty"], order["price"], order["origQty"]) == ("NEW", "0.000", FAR_BID, "0.010")
    assert api.ask("order.status", origClientOrderId="a") == order
    assert api.ask("openOrders") == [order]
    canceled = api.ask("order.cancel", origClientOrderId="a", newClientOrderId="b")
    assert canceled["status"] == "CANCELED"
    pushes = api.settled()
    assert story(pushes) == [("NEW", "NEW", "a", "0.000"), ("CANCELED", "CANCELED", "b", "0.000")]
    assert [p["v"] for p in pushes] == [1, 2]
    assert pushes[1]["C"] == "a"
    assert pushes[1]["r"] == "CANCEL_REQUEST"
    assert api.ask("openOrders") == []
    assert api.ask("order.status", origClientOrderId="b") == canceled  # a cancel can be asked for by its own id
    assert api.ask("order.cancel", origClientOrderId="a", newClientOrderId="c") == -2011


def test_market_order_takes_and_pays(api):
    order = api.order("a", "BUY", "0.010")
    assert (order["status"], order["timeInForce"], order["price"]) == ("NEW", "IOC", "0.00")
    pushes = api.settled()
    assert pushes[0]["x"] == "NEW"
    assert pushes[-1]["X"] == "FILLED"
    fills = [p for p in pushes if p["x"] == "TRADE"]
    assert sum(Decimal(p["l"]) for p in fills) == Decimal("0.010")
    for p in fills:
        assert Decimal(p["n"]) == (Decimal(p["l"]) * Decimal(p["L"]) * Decimal("0.0005")).quantize(Decimal("1e-8"))
        assert p["m"] is False
    trades = api.ask("myTrades", fromId=0)
    assert [t["id"] for t in trades] == [p["t"] for p in fills]
    assert api.ask("myTrades", fromId=fills[-1]["t"] + 1) == []
    assert sum(Decimal(t["quoteQty"]) for t in trades) == Decimal(api.ask("order.status", origClientOrderId="a")["cumQuote"])


def test_ioc_expires_its_remainder(api):
    ask = api.depth(1)["asks"][0]
    api.order("a", "BUY", "900.000", ask[0], "IOC")
    pushes = api.settled()
    assert pushes[1]["x"] == "TRADE"
    assert (pushes[-1]["x"], pushes[-1]["X"], pushes[-1]["r"]) == ("EXPIRED", "EXPIRED", "IOC_REMAINDER")
    assert Decimal("0") < Decimal(pushes[-1]["z"]) < Decimal("900")


def test_fok_fills_whole_or_not_at_all(api):
    bid = api.depth(1)["bids"][0][0]
    api.order("a", "SELL", "900.000", bid, "FOK")
    pushes = api.settled()
    assert story(pushes) == [("NEW", "NEW", "a", "0.000"), ("EXPIRED", "EXPIRED", "a", "0.000")]
    assert pushes[1]["r"] == "FOK_NOT_FILLED"
    api.order("b", "SELL", "0.001", FAR_BID, "FOK")
    assert api.settled()[-1]["X"] == "FILLED"


def test_post_only(api):
    assert api.order("a", "BUY", "0.010", FAR_ASK, "GTX") == -5022
    assert api.ask("order.status", origClientOrderId="a") == -2013
    assert api.order("a", "BUY", "0.010", FAR_BID, "GTX")["status"] == "NEW"  # the refused id was not used up


def test_self_trade_expires_the_taker(api):
    best = api.depth(1)
    px = str(Decimal(best["asks"][0][0]) - Decimal("0.10"))
    if px == best["bids"][0][0]:
        px = best["bids"][0][0]
    api.order("a", "BUY", "0.010", px)
    api.order("b", "SELL", "900.000", "100.00")
    last = api.settled()[-1]
    assert (last["c"], last["x"], last["r"]) == ("b", "EXPIRED", "SELF_TRADE")


@pytest.mark.parametrize(("side", "closes"), [("BUY", "bids"), ("SELL", "asks")])
def test_equity_is_what_closing_at_the_touch_would_leave(api, side, closes):
    assert Decimal(api.ask("account.margin")[0]["equity"]) == 0  # a new account
    api.order("a", side, "0.010")
    for _ in range(50):
        before, margin, after = api.depth(1), api.ask("account.margin"), api.depth(1)
        if before[closes][0][0] == after[closes][0][0]:
            break
    else:
        pytest.fail("the market never stood still")
    (balance,), (position,) = api.ask("account.balance"), api.ask("account.position")
    worth = Decimal(position["positionAmt"]) * Decimal(before[closes][0][0])
    assert margin == [{"asset": "USDT", "equity": margin[0]["equity"]}]
    assert Decimal(margin[0]["equity"]) == Decimal(balance["balance"]) + worth
    assert Decimal(margin[0]["equity"]) < 0  # spread and fee are paid


def test_resting_order_is_filled_by_another_account(quiet_exchange, api):
    ask = Decimal(api.depth(1)["asks"][0][0])
    maker_px = str(ask - Decimal("0.10")) if ask - Decimal("0.10") > Decimal(api.depth(1)["bids"][0][0]) else str(ask)
    api.order("a", "SELL", "0.010", maker_px)
    other = quiet_exchange.api("key60")
    other.order("x1", "BUY", "900.000", maker_px, "IOC")
    fill = api.until(lambda o: o["x"] == "TRADE")
    assert (fill["X"], fill["m"], fill["L"], fill["l"]) == ("FILLED", True, maker_px, "0.010")
    assert fill["n"] == str((Decimal(maker_px) * Decimal("0.010") * Decimal("0.0002")).quantize(Decimal("1e-8")))
    assert api.ask("myTrades")[0]["maker"] is True


def test_modify(api):
    api.order("a", "BUY", "0.010", FAR_BID)
    amended = api.ask("order.modify", origClientOrderId="a", newClientOrderId="b", quantity="0.020", price="50000.10")
    assert (amended["clientOrderId"], amended["origClientOrderId"]) == ("b", "a")
    assert (amended["origQty"], amended["price"], amended["status"]) == ("0.020", "50000.10", "NEW")
    assert api.ask("order.status", origClientOrderId="a") == amended == api.ask("order.status", origClientOrderId="b")
    assert api.ask("order.modify", origClientOrderId="b", newClientOrderId="c", quantity="0.020", price="50000.10") == -5027
    assert api.ask("order.modify", origClientOrderId="zz", newClientOrderId="c", quantity="1", price="50000.10") == -2013
    assert api.ask("order.modify", origClientOrderId="a", newClientOrderId="b", quantity="1", price="50000.10") == -4116
    assert (
        api.ask("order.modify", origClientOrderId="a", newClientOrderId="c", quantity="0.030", price=FAR_ASK)["status"] == "NEW"
    )
    pushes = api.settled()
    assert [p["x"] for p in pushes][:3] == ["NEW", "AMENDMENT", "AMENDMENT"]
    assert pushes[-1]["X"] == "FILLED"
    assert {(p["c"], p["C"]) for p in pushes[2:]} == {("c", "a")}
    assert api.ask("order.modify", origClientOrderId="c", newClientOrderId="d", quantity="0.040", price=FAR_BID) == -2013


def test_modify_that_the_venue_turns_into_a_cancel(api):
    api.order("a", "BUY", "0.010", FAR_BID, "GTX")
    answer = api.ask("order.modify", origClientOrderId="a", newClientOrderId="b", quantity="0.010", price=FAR_ASK)
    assert answer["status"] == "CANCELED"
    last = api.settled()[-1]
    assert (last["x"], last["c"], last["r"]) == ("CANCELED", "b", "AMEND_WOULD_TAKE")
    api.order("p", "BUY", "900.000", api.depth(1)["asks"][0][0])
    api.settled()
    filled = api.ask("order.status", origClientOrderId="p")["executedQty"]
    answer = api.ask("order.modify", origClientOrderId="p", newClientOrderId="q", quantity=filled, price=FAR_BID)
    assert answer["status"] == "CANCELED"
    assert api.settled()[-1]["r"] == "AMEND_BELOW_FILLED"


def test_reduce_only(api):
    assert api.order("a", "SELL", "0.010", reduceOnly=True) == -2022
    api.order("b", "BUY", "0.010")
    assert api.order("c", "SELL", "0.011", reduceOnly=True) == -2022
    assert api.order("d", "SELL", "0.010", reduceOnly=True)["reduceOnly"] is True


def test_a_client_id_is_good_once(api):
    api.order("a", "BUY", "0.010", FAR_BID)
    assert api.order("a", "BUY", "0.010", FAR_BID) == -4116
    api.ask("order.cancel", origClientOrderId="a", newClientOrderId="b")
    assert api.order("a", "BUY", "0.010", FAR_BID) == -4116
    assert api.order("b", "BUY", "0.010", FAR_BID) == -4116


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "ETHUSDT"}, -1121),
        ({"side": "LONG"}, -1117),
        ({"type": "STOP"}, -1116),
        ({"timeInForce": "DAY"}, -1115),
        ({"timeInForce": None}, -1102),
        ({"quantity": 0.01}, -1102),
        ({"quantity": "1e3"}, -1102),
        ({"quantity": "0.0001"}, -1111),
        ({"quantity": "0.0100"}, None),
        ({"quantity": "0"}, -4003),
        ({"quantity": "-1"}, -4003),
        ({"quantity": "999999"}, -4005),
        ({"price": "50000.05"}, -4014),
        ({"price": "0"}, -4013),
        ({"price": "999999999"}, -4002),
        ({"price": "١٢"}, -1102),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "naïve"}, -4015),
        ({"newClientOrderId": ""}, -1102),
        ({"reduceOnly": "true"}, -1102),
        ({"icebergQty": "1"}, -1104),
        ({"type": "MARKET"}, -1104),
    ],
)
def test_bad_orders_are_refused_by_name(quiet_exchange, change, code):
    client = quiet_exchange.__dict__.setdefault("bad_orders_client", None) or quiet_exchange.api("key59")
    quiet_exchange.bad_orders_client = client
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": FAR_BID,
        "newClientOrderId": "bad" if code else "good",
    } | change
    message = client.answer(client.send("order.place", **order))
    if code is None:
        assert message["status"] == 200
    else:
        assert (message["status"], message["error"]["code"]) == (400, code)


def test_answer_comes_before_its_pushes_and_requests_keep_their_order(api):
    ids = [
        api.send(
            "order.place",
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity="0.001",
            price=FAR_BID,
            newClientOrderId=f"n{n}",
        )
        for n in range(50)
    ]
    seen = []
    while len(seen) < 100:
        message = json.loads(api.ws.recv(timeout=10))
        seen.append(message["o"]["c"] if "e" in message else message["result"]["clientOrderId"])
    assert seen == [f"n{n}" for n in range(50) for _ in range(2)]
    assert len(ids) == 50


def test_orders_survive_a_disconnect(quiet_exchange, api):
    api.order("a", "BUY", "0.010", FAR_BID)
    api.order("b", "BUY", "0.010")
    traded = [p["t"] for p in api.settled() if p["x"] == "TRADE"]
    api.ws.socket.close()
    again = quiet_exchange.api(api.key)
    assert [o["clientOrderId"] for o in again.ask("openOrders")] == ["a"]
    assert again.ask("order.status", origClientOrderId="b")["status"] == "FILLED"
    assert again.ask("order.status", origClientOrderId="never") == -2013
    assert [t["id"] for t in again.ask("myTrades", fromId=traded[0])] == traded
    again.ask("order.cancel", origClientOrderId="a", newClientOrderId="c")
    assert again.settled()[-1]["x"] == "CANCELED"


def test_a_logon_replaces_and_nothing_of_the_old_session_is_executed_later(quiet_exchange, api):
    again = quiet_exchange.api()
    for n in range(2000):
        order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": FAR_BID}
        try:
            api.send("order.place", newClientOrderId=f"n{n}", **order)
        except ConnectionClosed:
            break
        if n == 1500:
            again.send("session.logon", apiKey=api.key)
    again.answer(1)
    accepted = [o["clientOrderId"] for o in again.ask("openOrders")]
    assert accepted == [f"n{n}" for n in range(len(accepted))]
    time.sleep(0.3)
    assert len(again.ask("openOrders")) == len(accepted)
    if len(accepted) < 2000:  # how many the exchange had read by then is up to the machine
        assert again.ask("order.status", origClientOrderId="n1999") == -2013
    assert api.closed() == 4001


@pytest.mark.parametrize(("fault", "lives"), [("lose_answer", True), ("lose_request", False)])
def test_lost_answers_can_be_asked_for(quiet_exchange, api, fault, lives):
    admin = quiet_exchange.api()
    assert admin.ask("admin.fault", fault=fault) == {"fault": fault}
    api.send("order.place", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price=FAR_BID, newClientOrderId="a")
    assert api.closed() == 1006
    again = quiet_exchange.api(api.key)
    status = again.ask("order.status", origClientOrderId="a")
    assert (status["status"] == "NEW") if lives else (status == -2013)


def test_reject_and_delay_on_request(quiet_exchange, api):
    admin = quiet_exchange.api()
    admin.ask("admin.fault", fault="reject")
    assert api.order("a", "BUY", "0.010", FAR_BID) == -2010
    admin.ask("admin.fault", fault="delay", ms=300, count=2)  # the first is this answer's own
    start = time.monotonic()
    assert api.order("a", "BUY", "0.010", FAR_BID)["status"] == "NEW"
    assert time.monotonic() - start > 0.25
    assert admin.ask("admin.fault", fault="nonsense") == -1102


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[1]",
        "{",
        '{"id":1}',
        '{"id":true,"method":"time"}',
        '{"id":1,"method":"time","params":[]}',
        "[" * 50_000,
        b"\x00\xff",
    ],
)
def test_garbage_is_answered_and_the_session_goes_on(quiet_exchange, frame):
    api = quiet_exchange.api()
    api.ws.send(frame)
    message = json.loads(api.ws.recv(timeout=10))
    assert (message["id"], message["status"], message["error"]["code"]) == (None, 400, -1135)
    assert "serverTime" in api.ask("time")
    assert api.ask("no.such.method") == -1020


def test_too_much_garbage_and_oversized_frames_close_the_connection_only(quiet_exchange):
    api = quiet_exchange.api()
    for _ in range(100):
        api.ws.send("?")
    assert api.closed() == 1008
    api = quiet_exchange.api()
    api.ws.send("x" * 70_000)
    assert api.closed() == 1009
    assert "serverTime" in quiet_exchange.api().ask("time")


def test_admin_is_off_by_default(start_exchange):
    assert start_exchange(rate=1).api().ask("admin.fault", fault="gap") == -1020
