"""A real system on loopback for the gateway's tests.

Sequencer, exchange and gateway are processes; the test itself speaks for loader, risk and OMS."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from journal.frames import frames
from journal.messages import (
    NULL,
    AccountDefined,
    CurrencyDefined,
    Decision,
    DestinationDefined,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    NewOrder,
    OrdType,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedQuery,
    RoutedReplace,
    Side,
    TimeInForce,
    VenueDefined,
    content_hash,
    order_id_of,
    replace_hash,
)
from journal.reader import JournalReader

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 15.0

SEQUENCER = """
import sys; from pathlib import Path
from sequencer.daemon import run_sequencer
from sequencer.settings import SequencerSettings, SourceSettings
from journal.messages import SourceRole, SessionMode, DurabilityPolicy
roles = {"loader": "LOADER", "risk": "RISK", "oms": "OMS", "sim-md": "MARKET_DATA", "sim-trade": "TRADING"}
sys.exit(run_sequencer(Path(sys.argv[1]), SequencerSettings(segment_bytes=8 << 20, idle="park", clock_interval_ms=50),
    [SourceSettings(name=n, role=SourceRole[r]) for n, r in roles.items()],
    mode=SessionMode.SIMULATION, durability=DurabilityPolicy.DURABLE, config_digest=bytes(32)))
"""
GATEWAY = """
import sys, msgspec; from pathlib import Path
from gateways.sim.driver import run_gateway
from gateways.sim.settings import SimGatewaySettings
sys.exit(run_gateway(Path(sys.argv[1]), "sim", msgspec.json.decode(sys.argv[2], type=SimGatewaySettings)))
"""


class System:
    """Processes, and the publishers that stand in for the apps."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "j"
        self.log = (folder / "stderr.txt").open("wb")
        self.processes: dict[str, subprocess.Popen] = {}
        self.publishers: dict = {}
        self.port = 0
        self.count = 0
        self.settings: dict = {}

    def start(self, name: str, *arguments: str, pipe: bool = False) -> subprocess.Popen:
        self.processes[name] = child = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE if pipe else self.log, stderr=self.log
        )
        return child

    def start_sequencer(self) -> None:
        self.start("sequencer", "-c", SEQUENCER, str(self.journal))

    def start_exchange(self, **settings) -> None:
        child = self.start("exchange", "-m", "gateways.sim.exchange", json.dumps({"admin": True, **settings}), pipe=True)
        line = child.stdout.readline()
        assert line, "the exchange did not start"
        self.port = json.loads(line)["port"]

    def start_gateway(self, **settings) -> None:
        self.settings = {"venue": "sim", "account": "demo", "port": self.port, "tag": "T-", **settings}
        self.start("gateway", "-c", GATEWAY, str(self.journal), json.dumps(self.settings))

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def terminate(self, name: str) -> int:
        self.processes[name].send_signal(signal.SIGTERM)
        return self.processes[name].wait(10)

    def close(self) -> None:
        for publisher in self.publishers.values():
            publisher.close()
        for child in self.processes.values():
            if child.poll() is None:
                child.kill()
                child.wait()
            if child.stdout:
                child.stdout.close()
        self.log.close()

    # The stream.

    def publish(self, source: str, message, cause: int = 0) -> int:
        """Publish as one of the apps; returns the seq it got."""
        from sequencer.client import Publisher

        if source not in self.publishers:
            self.publishers[source] = Publisher.connect(self.journal, source)
        publisher = self.publishers[source]
        if not publisher.alive:
            publisher.reconnect()
        number = publisher.publish(message, cause=cause)
        for frame in self.follow(type(message)):
            if frame.header.source == publisher.source and frame.header.source_seq == number:
                return frame.header.seq
        raise AssertionError("not sequenced")

    def follow(self, *kinds, from_seq: int = 1):
        """Frames of these kinds, waiting for more."""
        until = time.monotonic() + WITHIN_S
        seq = from_seq
        while time.monotonic() < until:
            for frame in frames(self.journal, from_seq=seq, kinds=[k.KIND for k in kinds]):
                seq = frame.header.seq + 1
                yield frame
            time.sleep(0.01)
        log = Path(self.log.name).read_text()
        raise AssertionError(f"nothing came within {WITHIN_S} s of {[k.__name__ for k in kinds]}; stderr: {log[-3000:]}")

    def wait(self, kind, from_seq: int = 1, **fields):
        """The first frame of a kind with these field values."""
        for frame in self.follow(kind, from_seq=from_seq):
            if all(getattr(frame.message, k) == v for k, v in fields.items()):
                return frame
        raise AssertionError

    def all(self, *kinds, from_seq: int = 1) -> list:
        return list(frames(self.journal, from_seq=from_seq, kinds=[k.KIND for k in kinds]))

    def mark(self) -> int:
        """The seq of the next frame."""
        with JournalReader(self.journal) as reader:
            return reader.written_seq + 1

    def ready(self, from_seq: int = 1):
        return self.wait(GatewayStatus, from_seq, phase=GatewayPhase.READY)

    # What loader, risk and OMS would say.

    def define(self, px_exp: int = -2, qty_exp: int = -3) -> None:
        for m in (
            CurrencyDefined(currency=1, name="USDT"), CurrencyDefined(currency=2, name="BTC"),
            VenueDefined(venue=1, name="sim"), AccountDefined(account=1, venue=1, name="demo"),
            InstrumentDefined(instrument=1, venue=1, name="BTCUSDT", px_exp=px_exp, qty_exp=qty_exp),
            DestinationDefined(destination=1, venue=1, account=1),
        ):  # fmt: skip
            self.publish("loader", m)

    def order(
        self, side=Side.BUY, qty: int = 10, px: int = 5_000_000, tif=TimeInForce.GTC, ord_type=OrdType.LIMIT
    ) -> tuple[int, int]:
        """A risk pass and the routed order made of it: (order id, seq of the RoutedOrder)."""
        self.count += 1
        order_id = order_id_of(9, self.count)
        terms = {"order_id": order_id, "order_qty": qty, "price_px": px if ord_type == OrdType.LIMIT else NULL, "account": 1,
                 "instrument": 1, "side": side, "ord_type": ord_type, "tif": tif}  # fmt: skip
        digest = content_hash(RoutedOrder(**terms))
        risk = RiskDecision(
            order_id=order_id, request_seq=1, request_kind=NewOrder.KIND, content_hash=digest, decision=Decision.PASS
        )
        risk_seq = self.publish("risk", risk)
        routed = RoutedOrder(**terms, destination=1, risk_seq=risk_seq, content_hash=digest)
        return order_id, self.publish("oms", routed, cause=risk_seq)

    def replace(self, order_id: int, orig: int, qty: int, px: int) -> int:
        terms = {"order_id": order_id, "order_qty": qty, "price_px": px, "stop_px": NULL, "display_qty": NULL, "expire_ts": 0}
        digest = replace_hash(**terms)
        risk = RiskDecision(order_id=order_id, request_kind=ReplaceOrder.KIND, content_hash=digest, decision=Decision.PASS)
        risk_seq = self.publish("risk", risk)
        m = RoutedReplace(
            **terms, risk_seq=risk_seq, content_hash=digest, orig_request_seq=orig, account=1, instrument=1, destination=1
        )
        return self.publish("oms", m, cause=risk_seq)

    def cancel(self, order_id: int, orig: int) -> int:
        return self.publish(
            "oms", RoutedCancel(order_id=order_id, orig_request_seq=orig, account=1, instrument=1, destination=1)
        )

    def query(self, order_id: int, orig: int) -> int:
        m = RoutedQuery(order_id=order_id, orig_request_seq=orig, account=1, instrument=1, destination=1, query=1)
        return self.publish("oms", m)

    # The venue's own word, past the gateway.

    def venue(self, method: str, **params):
        async def ask():
            from websockets.asyncio.client import connect

            async with connect(f"ws://127.0.0.1:{self.port}/ws-api") as socket:
                await socket.send(msgspec.json.encode({"id": "x", "method": method, "params": params}), text=True)
                while True:
                    answer = msgspec.json.decode(await socket.recv())
                    if answer.get("id") == "x":
                        return answer

        return asyncio.run(ask())

    def fault(self, fault: str, **params) -> None:
        assert self.venue("admin.fault", fault=fault, **params)["status"] == 200


@pytest.fixture
def system(tmp_path):
    found = System(tmp_path)
    yield found
    found.close()


@pytest.fixture
def trading(system):
    """A system that trades: definitions made, gateway ready."""
    system.start_exchange()
    system.start_sequencer()
    system.define()
    system.start_gateway()
    system.ready()
    return system
