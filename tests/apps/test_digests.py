"""Digests that are kept up to date: the same live, in a replay, after a restart from any snapshot, asked for at any time."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import pytest

import apps.group
from apps.app import App
from apps.group import Group
from apps.ledger import Ledger
from apps.order_manager import OmsApp
from apps.positions import Positions
from apps.risk import RiskApp
from apps.snapshots import Snapshots
from apps.taking import Taking
from journal.messages import (
    CancelOrder,
    ExecType,
    LogRecord,
    OrderSent,
    OrdStatus,
    OrdType,
    ReplaceOrder,
    SnapshotTaken,
    SourceDefined,
    StateDigest,
    TimeInForce,
    VenueFill,
    VenueOrderUpdate,
    captures,
    order_id_of,
)
from journal.messages import NewOrder as New
from journal.messages.captures import Entries
from journal.messages.keeping import Keep
from journal.messages.tables import look
from journal.reader import JournalReader
from lockstep.bench.oms import ACCOUNT, BID_PX, ROLES, definitions
from oms.manager import OrderManager
from riskengine.engine import RiskEngine
from tests.apps.stream import Stream, replay

GATEWAY, OMS, RISK, STRATEGY, POSITIONS, WATCHES = 4, 5, 6, 9, 11, 12
fill = Entries.fill
NUMBERS = {"loader": 2, "books": 3, "gateway": GATEWAY, "strategy": STRATEGY, "risk": RISK, "oms": OMS}
KEEP = Keep(20, 1_000_000_000)
CLASSES = {"risk": "r", "oms": "o", "positions": "p", "watches": "w"}


class Oms(OmsApp):
    def configure(self, parameters: dict[str, Any]) -> None:
        super().configure(parameters | {"keep": {"orders": KEEP.orders, "ns": KEEP.ns}})


def world():
    for name, source in NUMBERS.items():
        yield 0, SourceDefined(source=source, role=ROLES[name], name=name)
    for name, message in definitions(NUMBERS):
        yield NUMBERS[name], message


def of_day():
    return (
        ("risk", RiskApp(), RISK), ("oms", Oms(), OMS), ("positions", Positions(), POSITIONS), ("watches", Watches(), WATCHES),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(apps.group, "DIGEST_EVERY", 64)
    monkeypatch.setattr(apps.group, "SNAPSHOT_EVERY", 512)
    monkeypatch.setattr(apps.group, "SNAPSHOT_BYTES_A_FRAME", 1 << 20)


def trade(stream: Stream, rng: random.Random, orders: int) -> None:
    for n in range(1, orders + 1):
        order_id, instrument = order_id_of(STRATEGY, n), 1 + n % 5
        of = {"order_id": order_id, "account": ACCOUNT, "instrument": instrument}
        stream.input(
            New(**of, strategy=1, side=1 + n % 2, ord_type=OrdType.LIMIT, tif=TimeInForce.GTC, order_qty=10,
                price_px=BID_PX if n % 2 else BID_PX + 20),
            source=STRATEGY,
        )  # fmt: skip
        routed = stream.reader.written_seq
        stream.input(OrderSent(request_seq=routed, order_id=order_id), source=GATEWAY)
        stream.input(VenueOrderUpdate(**of, exec_type=ExecType.NEW, ord_status=OrdStatus.NEW), source=GATEWAY)
        for _ in range(rng.randrange(3)):
            # Any order that there was, so that archived and left ones are asked for too.
            other = order_id_of(STRATEGY, rng.randint(1, n))
            again = {"order_id": other, "account": ACCOUNT, "instrument": 1 + (other & 0xFFFF) % 5}
            doing = rng.randrange(4)
            if doing == 0:
                stream.input(CancelOrder(order_id=other), source=STRATEGY)
                stream.input(
                    VenueOrderUpdate(**again, exec_type=ExecType.CANCELED, ord_status=OrdStatus.CANCELED), source=GATEWAY
                )
            elif doing == 1:
                stream.input(ReplaceOrder(order_id=other, order_qty=20 + n), source=STRATEGY)
            else:
                stream.input(
                    VenueFill(**again, side=1, last_qty=5, last_px=BID_PX, trade_no=rng.randint(1, 2 * orders),
                              venue_order_ref=f"V{other}"),
                    source=GATEWAY,
                )  # fmt: skip


class Watches(App):
    """Reads an order manager of its own, whose tables are in its snapshots too."""

    requires = (OmsApp,)

    def on_order_sent(self, m: OrderSent) -> None:
        memory = self.uses(OmsApp).machine.memory
        self.emit(
            LogRecord(about_seq=self.seq, text=f"{len(memory.orders)} {len(memory.archive)} {len(memory.closed.waiting)}")
        )


class InPieces(Stream):
    """Its snapshots are taken as by a live host, a piece between two frames."""

    under_way: ClassVar[list[Taking]] = []
    pieces = 0

    def take(self, kept: Snapshots, files: list[tuple[str, int, bytes]]) -> None:
        self.under_way, self.files = [], files
        self.group.snapshot_sink = lambda slot, moment: self.under_way.append(Taking(kept, self.group, slot, moment))

    def _poll(self) -> None:
        super()._poll()
        for taking in self.under_way[:]:
            self.pieces += 1
            if not taking.go_on():
                self.under_way.remove(taking)
                self.files.append((taking.app, taking.seq, taking.store().read_bytes()))

    def close(self) -> None:
        while self.under_way:
            self._poll()
        super().close()


@pytest.fixture
def day(tmp_path, monkeypatch):
    monkeypatch.setattr(captures, "PIECE", 4)
    stream = InPieces(tmp_path / "day", step=200_000_000)
    for name, app, source in of_day():
        stream.add(name, app, source)
    kept = Snapshots(tmp_path / "snapshots", 7, CLASSES)
    files = []
    stream.take(kept, files)
    for source, m in world():
        stream.input(m, source=source)
    trade(stream, random.Random(3), 700)
    stream.close()
    assert stream.pieces > 3_000
    return stream, kept, files


def backwards(entries: Entries, table: dict[Any, Any], pieces: Any) -> None:
    for piece in reversed(pieces):
        rows = {}
        fill(entries, rows, [piece])
        dict.update(table, reversed(rows.items()))


@pytest.mark.parametrize("put", [fill, backwards])
def test_a_restart_from_any_snapshot_says_the_same_digests(day, tmp_path, monkeypatch, put):
    monkeypatch.setattr(Entries, "fill", put)
    stream, _, files = day
    seqs = sorted({seq for _, seq, _ in files})
    assert len(seqs) > 5
    assert next(s.app.machine.memory.left for s in stream.group.slots if s.name == "oms")
    for seq in seqs:
        folder = tmp_path / f"from-{seq}"
        folder.mkdir()
        for name, at, data in files:
            if at == seq:
                (folder / f"{name}-{at:012d}.snapshot").write_bytes(data)
        group = Group()
        slots = [group.add(name, app, source=source, ledger=Ledger(name, None, 0)) for name, app, source in of_day()]
        with JournalReader(stream.path) as reader:
            assert Snapshots(folder, 7, CLASSES).restore(group, slots, reader.written_seq) == seq
        with JournalReader(stream.path, from_seq=seq + 1) as reader:
            while (batch := reader.poll()) is not None:
                group.run(batch.buffer, batch.refs)  # the ledgers compare each StateDigest with the journal's
        assert group.state_digest() == stream.group.state_digest()
        assert [s.digest() for s in slots] == [s.digest() for s in stream.group.slots if s.ledger is not None]
    assert len(stream.messages(StateDigest)) > 100
    assert len(stream.messages(SnapshotTaken)) == len(files)


def test_a_replay_says_the_same_whenever_digests_are_asked_for(day):
    stream, _, _ = day
    _, slots = replay(stream.path, *of_day())
    assert all(s.ledger.compared for s in slots)
    fresh = Group()
    others = [fresh.add(name, app, source=source, ledger=Ledger(name, None, 0)) for name, app, source in of_day()]
    with JournalReader(stream.path) as reader:
        while (batch := reader.poll(97)) is not None:
            fresh.run(batch.buffer, batch.refs)
            for slot in others:
                slot.digest()
    assert [s.digest() for s in others] == [s.digest() for s in slots]
    for slot in others:
        machine = slot.app.machine if slot.name == "oms" else slot.app.engine if slot.name == "risk" else None
        if machine is not None:
            machine.check()


def test_what_positions_and_machines_hold_does_not_grow(tmp_path):
    stream = Stream(tmp_path / "day", step=20_000_000)
    for name, app, source in of_day():
        stream.add(name, app, source)
    sizes = []
    stream.group.snapshot_sink = lambda slot, _: sizes.append((slot.name, len(slot.snapshot())))
    for source, m in world():
        stream.input(m, source=source)
    for n in range(1, 6_001):
        order_id, instrument = order_id_of(STRATEGY, n), 1 + n % 5
        of = {"order_id": order_id, "account": ACCOUNT, "instrument": instrument}
        stream.input(
            New(**of, strategy=1, side=1 + n % 2, ord_type=OrdType.LIMIT, tif=TimeInForce.GTC, order_qty=10,
                price_px=BID_PX if n % 2 else BID_PX + 20),
            source=STRATEGY,
        )  # fmt: skip
        stream.input(VenueFill(**of, side=1 + n % 2, last_qty=10, last_px=BID_PX, trade_no=n), source=GATEWAY)
    stream.close()
    for name in CLASSES:
        of_app = [size for who, size in sizes if who == name]
        half = len(of_app) // 2
        assert max(of_app[half:]) < 1.1 * max(of_app[:half]), name


@pytest.mark.parametrize("machine", ["oms", "risk"])
def test_a_change_that_no_table_has_seen_is_found_by_check(day, machine):
    stream, _, _ = day
    app = next(s.app for s in stream.group.slots if s.name == machine)
    if machine == "oms":
        oms: OrderManager = app.machine
        oms.check()
        next(o for _, o in look(oms.memory.orders) if not o.closed).version += 1
        with pytest.raises(AssertionError, match="unseen"):
            oms.check()
    else:
        engine: RiskEngine = app.engine
        engine.check()
        next(h for _, h in look(engine.memory.exposure.orders)).expire_ts += 1
        with pytest.raises(AssertionError, match="unseen"):
            engine.check()
