"""What a venue refuses and what it does unasked, through exchange, gateway, OMS and risk; and the day replays the same."""

import asyncio
import json
from pathlib import Path

import pytest
import websockets

from journal.frames import frames
from journal.messages import (
    ExecType,
    ExecutionReport,
    FundsConfirmed,
    MarginConfirmed,
    MarketStatus,
    OrdStatus,
    Reason,
    ReconcileDifference,
    TradingStatus,
)
from tests.end_to_end.system import System, configuration, together
from tests.end_to_end.test_kill import prove

STRATEGY = {"class": f"{Path(__file__).with_name('refused_strategy.py')}:Refused", "account": "demo"}
EXCHANGE = {
    "balance": "10000", "leverage": 2, "price_band_bps": 500, "max_open_orders": 1, "cancel_on_disconnect": True,
    "halt_cancels": True, "admin": True,
}  # fmt: skip


def said(journal, kind):
    return [f.message for f in frames(journal, kinds=[kind.KIND])] if journal.exists() else []


def reasons(journal, *statuses):
    return [m.reason for m in said(journal, ExecutionReport) if m.ord_status in statuses]


def acknowledged(journal):
    return sum(m.exec_type == ExecType.NEW for m in said(journal, ExecutionReport))


def admin(system, method, **params):
    """A word to the exchange past the gateway, without a session of its own."""

    async def ask():
        host, port = system.endpoints["sim"]
        async with websockets.connect(f"ws://{host}:{port}/ws-api") as ws:
            await ws.send(json.dumps({"id": 1, "method": method, "params": params}))
            return json.loads(await ws.recv())

    assert asyncio.run(ask())["status"] == 200


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_venue_that_refuses_forgets_and_halts(tmp_path):
    journal = tmp_path / "day"
    apps = together("books", "risk", "oms", "positions", "refused")
    settings = {f"exchange__sim__{key}": value for key, value in EXCHANGE.items()}
    system = System(configuration(journal, strategy={"refused": STRATEGY}, risk={}, **apps, **settings))
    try:
        system.start()
        system.run_until(lambda: len(reasons(journal, OrdStatus.REJECTED)) >= 3, 30)
        assert acknowledged(journal) == 1

        admin(system, "admin.fault", fault="drop_api")
        system.run_until(lambda: acknowledged(journal) == 2, 30)
        assert reasons(journal, OrdStatus.CANCELED) == [Reason.CANCEL_ON_DISCONNECT]

        admin(system, "admin.halt")
        system.run_until(lambda: Reason.MARKET_CLOSED in reasons(journal, OrdStatus.REJECTED), 30)
        assert reasons(journal, OrdStatus.CANCELED) == [Reason.CANCEL_ON_DISCONNECT, Reason.HALT_CANCEL]

        admin(system, "admin.resume")
        system.run_until(lambda: acknowledged(journal) == 3, 30)
        system.stop()
    except BaseException:
        system.kill()
        raise
    refused = reasons(journal, OrdStatus.REJECTED)
    assert refused[:3] == [Reason.MARGIN_AT_VENUE, Reason.PRICE_BAND, Reason.OPEN_ORDER_LIMIT]
    assert set(refused[3:]) == {Reason.MARKET_CLOSED}  # risk knows of the halt before the venue is asked
    told = [m.trading_status for m in said(journal, MarketStatus)]
    assert told[-2:] == [TradingStatus.HALT, TradingStatus.OPEN]
    prove(system, journal)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_limits_on_leverage_know_what_an_account_began_with(tmp_path):
    journal = tmp_path / "day"
    apps = together("books", "risk", "oms", "positions", "refused")
    limits = [{"check": "leverage", "hard": "0.5"}]
    system = System(
        configuration(
            journal, strategy={"refused": STRATEGY}, risk={"limits": limits}, reconcile={"interval": "1s"},
            exchange__sim__balance="10000", **apps,
        )
    )  # fmt: skip
    try:
        system.start()
        system.run_until(lambda: acknowledged(journal) == 3 and len(said(journal, FundsConfirmed)) >= 4, 30)
        system.stop()
    except BaseException:
        system.kill()
        raise
    # More than 10000 at half of one. The price above the market trades, and is small enough.
    assert reasons(journal, OrdStatus.REJECTED) == [Reason.LEVERAGE_LIMIT]
    assert {m.balance // 10**-m.exp for m in said(journal, FundsConfirmed)[:1]} == {10_000}
    assert {m.equity // 10**-m.exp for m in said(journal, MarginConfirmed)[:1]} == {10_000}
    assert said(journal, ReconcileDifference) == []  # what was there to begin with is the opening
    prove(system, journal)
