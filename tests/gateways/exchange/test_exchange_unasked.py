"""What the exchange does that nobody asked for, by configuration: it cancels the orders of an account that has gone."""

import time

import pytest

FAR_BID = "50000.00"


@pytest.fixture
def deserting(start_exchange):
    return start_exchange(rate=1, admin=True, cancel_on_disconnect=True, more_api_keys=["other"])


def ended(exchange, client_id, key="lockstep"):
    """The order once it is done, seen by a new session."""
    api, until = exchange.api(key), time.monotonic() + 10
    while time.monotonic() < until:
        order = api.ask("order.status", origClientOrderId=client_id)
        if order["status"] not in ("NEW", "PARTIALLY_FILLED"):
            return order
        time.sleep(0.05)
    raise AssertionError(order)


def test_the_orders_of_an_account_end_with_its_session_and_no_others(deserting):
    api, other = deserting.api("lockstep"), deserting.api("other")
    api.order("a", "BUY", "0.010", FAR_BID)
    other.order("a", "BUY", "0.010", FAR_BID)
    api.ws.close()
    time.sleep(0.2)
    order = ended(deserting, "a")
    assert (order["status"], order["endReason"]) == ("CANCELED", "CANCEL_ON_DISCONNECT")
    assert other.ask("order.status", origClientOrderId="a")["status"] == "NEW"
    assert other.ask("order.status", origClientOrderId="a")["endReason"] == "NONE"


def test_however_the_session_ends(deserting):
    api = deserting.api("lockstep")
    api.order("a", "BUY", "0.010", FAR_BID)
    deserting.api().ask("admin.fault", fault="drop_api")
    assert api.closed() == 1006
    time.sleep(0.2)
    assert ended(deserting, "a")["endReason"] == "CANCEL_ON_DISCONNECT"


def test_a_newer_logon_takes_the_orders_over(deserting):
    first = deserting.api("lockstep")
    first.order("a", "BUY", "0.010", FAR_BID)
    second = deserting.api("lockstep")
    assert first.closed() == 4001
    time.sleep(0.2)
    assert [o["status"] for o in second.ask("openOrders")] == ["NEW"]
    assert second.ask("order.cancel", origClientOrderId="a", newClientOrderId="b")["endReason"] == "CANCEL_REQUEST"


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
