"""What the exchange does wrong on request or by lot, and what it remembers when it is started again."""

from collections import Counter

import pytest

FAR_BID, BETTER_BID = "50000.00", "50000.10"


@pytest.fixture
def venue(start_exchange):
    return start_exchange(rate=1, admin=True, more_api_keys=["other"])


@pytest.fixture
def api(venue):
    return venue.api("lockstep")


def arm(venue, fault, **params):
    assert venue.api().ask("admin.fault", fault=fault, **params) == {"fault": fault}


def pushed(api):
    """(what, client id, number) of the pushes so far."""
    return [(p["x"], p["c"], p["v"]) for p in api.settled()]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("lose_push", [("CANCELED", "b", 2)]),
        ("duplicate_push", [("NEW", "a", 1), ("NEW", "a", 1), ("CANCELED", "b", 2)]),
    ],
)
def test_a_push_is_lost_or_doubled(venue, api, fault, expected):
    arm(venue, fault)
    api.order("a", "BUY", "0.010", FAR_BID)
    api.ask("order.cancel", origClientOrderId="a", newClientOrderId="b")
    assert pushed(api) == expected


def test_a_late_push_comes_behind_those_after_it(venue, api):
    arm(venue, "late_push", ms=3000)
    api.order("a", "BUY", "0.010", FAR_BID)
    api.ask("order.cancel", origClientOrderId="a", newClientOrderId="b")
    api.until(lambda push: push["x"] == "NEW", timeout=60)
    assert pushed(api) == [("CANCELED", "b", 2), ("NEW", "a", 1)]


@pytest.mark.parametrize(("fault", "code", "lives"), [("unsure", -1007, True), ("unsure_undone", -1007, False),
                                                      ("rate_limit", -1003, False)])  # fmt: skip
def test_an_answer_that_says_nothing_and_one_that_says_too_many(venue, api, fault, code, lives):
    arm(venue, fault)
    assert api.order("a", "BUY", "0.010", FAR_BID) == code
    found = api.ask("order.status", origClientOrderId="a")
    assert (found != -2013) == lives
    assert [p[0] for p in pushed(api)] == (["NEW"] if lives else [])


def test_a_slow_cancel_is_crossed_by_the_fill(venue, api):
    api.order("a", "BUY", "0.010", FAR_BID)
    arm(venue, "slow_cancel", ms=5000)
    asked = api.send("order.cancel", origClientOrderId="a", newClientOrderId="b")
    best = venue.api("other")
    while best.ask("order.status", origClientOrderId="sweep") == -2013:
        best.order("sweep", "SELL", "500.000", FAR_BID, tif="IOC")
    message = api.answer(asked, timeout=60)
    assert message["error"]["code"] == -2011  # too late
    assert [(p["x"], p["X"]) for p in api.settled()] == [("NEW", "NEW"), ("TRADE", "FILLED")]


def test_by_lot_everything_happens_and_the_queries_tell_the_truth(start_exchange):
    venue = start_exchange(rate=1, faults={"chaos_per_mille": 400, "chaos_seed": 3, "chaos_ms": 5})
    api, codes, open_ids = venue.api("lockstep"), Counter(), set()
    for n in range(60):
        try:
            found = api.order(f"o{n}", "BUY", "0.010", FAR_BID)
        except Exception:  # the answer, or the request, went down with the connection
            codes["cut"] += 1
            api = venue.api("lockstep")
            continue
        codes[found if isinstance(found, int) else "ok"] += 1
    assert {"cut", -1007, -1003, -2010, "ok"} == set(codes)
    api = venue.api("lockstep")
    for n in range(60):
        found = api.ask("order.status", origClientOrderId=f"o{n}")
        if isinstance(found, dict):
            open_ids.add(found["orderId"])
    assert {o["orderId"] for o in api.ask("openOrders")} == open_ids
    assert codes["ok"] <= len(open_ids) <= 60 - codes[-2010] - codes[-1003]


def test_a_killed_exchange_with_a_state_comes_back_with_what_it_said(start_exchange, tmp_path):
    state = str(tmp_path / "state.json")
    venue = start_exchange(rate=1, state=state)
    api = venue.api("lockstep")
    api.order("a", "BUY", "0.010", FAR_BID)
    api.order("b", "BUY", "0.020", BETTER_BID)
    api.ask("order.modify", origClientOrderId="b", newClientOrderId="b2", quantity="0.030", price=BETTER_BID)
    api.order("taken", "BUY", "0.001")
    api.ask("order.cancel", origClientOrderId="a", newClientOrderId="c")
    before, trades = api.ask("openOrders"), api.ask("myTrades")
    assert [o["origQty"] for o in before] == ["0.030"]
    assert trades
    venue.process.kill()
    again = start_exchange(rate=1, state=state).api("lockstep")
    assert again.ask("openOrders") == before
    assert again.ask("myTrades") == trades
    assert again.order("a", "BUY", "0.010", FAR_BID) == -4116
    assert again.ask("order.status", origClientOrderId="a")["status"] == "CANCELED"
    assert again.ask("order.cancel", origClientOrderId="b2", newClientOrderId="d")["status"] == "CANCELED"
    assert again.order("e", "BUY", "0.010", FAR_BID)["orderId"] > before[0]["orderId"]
    forgotten = start_exchange(rate=1).api("lockstep")
    assert forgotten.ask("openOrders") == []


@pytest.mark.parametrize("text", ["{", '{"symbol":"ETHUSDT","accounts":[]}'])
def test_a_state_that_is_none_is_refused_by_name(tmp_path, capfd, text):
    from gateways.sim.exchange.process import run_exchange
    from gateways.sim.exchange.settings import ExchangeSettings

    (tmp_path / "state.json").write_text(text)
    assert run_exchange(ExchangeSettings(state=str(tmp_path / "state.json"))) == 2
    assert "settings: state = " in capfd.readouterr().err
