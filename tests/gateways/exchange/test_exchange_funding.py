"""Funding at the simulated exchange: who pays, how much, when, and that it is remembered."""

import json
import time
from decimal import Decimal

import pytest

from apps.venue.rules import Rules
from gateways.sim.exchange.funding import payment

RATE = 25_000  # 0.025 %
HELD = "0.010"


@pytest.fixture
def paying(start_exchange):
    return start_exchange(rate=1, funding_interval_s=1, funding_rate=RATE, more_api_keys=["other"])


def next_push(api):
    """The next payment that is pushed."""
    while True:
        message = json.loads(api.ws.recv(timeout=10))
        if message.get("e") == "FUNDING_FEE":
            return message


def balance(api):
    (row,) = api.ask("account.balance")
    return Decimal(row["balance"])


def made(api):
    """What trading has brought in, less fees."""
    trades = api.ask("myTrades")
    return sum((-1 if t["buyer"] else 1) * Decimal(t["quoteQty"]) - Decimal(t["commission"]) for t in trades)


def test_longs_pay_shorts_receive_and_nobody_else_is_asked(paying):
    long, short, flat = paying.api("lockstep"), paying.api("other"), paying.api()
    long.order("a", "BUY", HELD)
    short.order("a", "SELL", HELD)
    paid, received = next_push(long), next_push(short)
    f, g = paid["f"], received["f"]
    assert paid["T"] % 1000 == 0
    assert (f["s"], f["r"], f["P"], f["N"], g["P"]) == ("BTCUSDT", "0.00025000", "0.010", "USDT", "-0.010")
    assert Decimal(f["n"]) < 0 < Decimal(g["n"])
    bids, asks = (flat.depth(1)[side] for side in ("bids", "asks"))
    middle = (Decimal(bids[0][0]) + Decimal(asks[0][0])) / 2
    assert abs(Decimal(g["n"]) / (Decimal(HELD) * middle * RATE / 10**8) - 1) < Decimal("0.01")
    assert flat.ask("account.funding") == -2015


def test_a_payment_is_in_the_list_and_in_the_balance(paying):
    api = paying.api("lockstep")
    api.order("a", "BUY", HELD)
    told = [next_push(api) for _ in range(2)]
    assert told[1]["f"]["v"] == told[0]["f"]["v"] + 1
    assert told[1]["T"] - told[0]["T"] == 1000
    api.order("b", "SELL", HELD)  # flat: it is over
    rows = api.ask("account.funding", symbol="BTCUSDT")
    assert [(r["time"], r["income"], r["positionAmt"], r["fundingRate"], r["asset"]) for r in rows[:2]] == [
        (m["T"], m["f"]["n"], m["f"]["P"], m["f"]["r"], m["f"]["N"]) for m in told
    ]
    assert api.ask("account.funding", startTime=told[1]["T"], limit=1) == rows[1:2]
    assert balance(api) == made(api) + sum(Decimal(r["income"]) for r in rows)


def test_payments_outlive_a_restart(start_exchange, tmp_path):
    settings = {"rate": 1, "funding_interval_s": 1, "funding_rate": -RATE, "state": str(tmp_path / "state.json")}
    exchange = start_exchange(**settings)
    api = exchange.api("lockstep")
    api.order("a", "BUY", HELD)
    told = next_push(api)
    assert Decimal(told["f"]["n"]) > 0  # a negative rate: shorts pay
    exchange.process.kill()
    exchange.process.wait()
    again = start_exchange(**settings).api("lockstep")
    again.order("b", "SELL", HELD)
    rows = again.ask("account.funding")
    assert (rows[0]["time"], rows[0]["income"]) == (told["T"], told["f"]["n"])
    assert balance(again) == made(again) + sum(Decimal(r["income"]) for r in rows)


def test_without_an_interval_nobody_pays(start_exchange):
    api = start_exchange(rate=1, funding_rate=RATE).api("lockstep")
    api.order("a", "BUY", HELD)
    time.sleep(1.1)
    assert api.ask("account.funding") == []


@pytest.mark.parametrize(
    ("rules", "position", "mark2", "rate", "expected"),
    [
        (Rules(px_exp=-2, qty_exp=-3), 10, 2 * 6_180_000, RATE, -15_450_000),  # 0.010 * 61800.00 * 0.025 % = 0.15450000
        (Rules(px_exp=-2, qty_exp=-3), -10, 2 * 6_180_000, RATE, 15_450_000),
        (Rules(px_exp=-2, qty_exp=-3), 1, 1, 100_000, -1),  # half of a unit: away from zero
        (Rules(px_exp=-2, qty_exp=-3), 1, 1, -100_000, 1),
        (Rules(px_exp=-2, qty_exp=-3), 1, 1, 99_999, 0),
        (Rules(px_exp=0, qty_exp=1, tick=1), 3, 2 * 7, 10, -2100),
    ],
)
def test_a_payment_is_rounded_once(rules, position, mark2, rate, expected):
    assert payment(rules, position=position, mark2=mark2, rate=rate) == expected
