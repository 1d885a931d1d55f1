"""What an order costs: asked → decided by risk → routed, and a venue's report → the order's update, in one process.

Risk engine and OMS live in the thread of their sequencer, as in a gateway that hosts the stream: what is published goes
through rings into a journal, is read, checked and stepped there, and what the apps say goes the same way. `order_us`:
from the NewOrder's frame to the RoutedOrder's, the risk decision's own frame in between; `report_us`: from the frame of the
venue's word to the ExecutionReport's; `replace_us`: from the ReplaceOrder's frame to the RoutedReplace's, risk's decision in
between; `cancel_us`: from the CancelOrder's to the RoutedCancel's; by the frames' own timestamps. First with few orders at
hand, one at a time (`order_us_p50`, …), then with many working ones, in batches (`orders_per_s`): each order is asked, routed,
sent, acknowledged, and another, older one is filled, so that as many stay open: the median of portions of 10,000 orders. State
digests are said meanwhile as ever.

`bytes_per_working_order`, `bytes_per_closed_order`: by which the process grows, of both apps together.

`snapshot_pause_us`: at the end both apps are snapshotted as by a live host, while orders go on as before: how long one step of
that (its begin, a piece) takes of the processor. `snapshot_s`: from the begin to the last piece.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import Progress

from apps.group import Group, Moment
from apps.ledger import Ledger
from apps.live import FRAMES_A_PIECE
from apps.order_manager import OmsApp
from apps.pages import use_large_pages
from apps.risk import RiskApp
from apps.snapshots import Snapshots
from apps.taking import SnapshotWriter
from journal import logs
from journal.frames import frames
from journal.messages import (
    AccountDefined,
    BookState,
    BookStateCode,
    CancelOrder,
    ConfigApplied,
    CurrencyDefined,
    DestinationDefined,
    DurabilityPolicy,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    InstrumentStatus,
    LimitAction,
    LiquidityIndicator,
    Message,
    NewOrder,
    OrderSent,
    OrdStatus,
    OrdType,
    ReplaceOrder,
    RiskCheck,
    RiskLimitSet,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    SessionMode,
    Side,
    SourceRole,
    TimeInForce,
    TopOfBook,
    VenueFill,
    VenueOrderUpdate,
    order_id_of,
)
from journal.reader import JournalReader
from lockstep.bench.conditions import conditions
from lockstep.bench.memory import own_bytes
from lockstep.bench.rig import file_system, memory_or, percentile
from lockstep.bench.system import work_folder
from lockstep.option_types import folder, whole
from sequencer.client import Publisher
from sequencer.hosted import HostedSequencer
from sequencer.settings import SequencerSettings, SourceSettings

ROLES = {
    "loader": SourceRole.LOADER, "books": SourceRole.BOOKS, "gateway": SourceRole.TRADING, "strategy": SourceRole.ALGO,
    "risk": SourceRole.RISK, "oms": SourceRole.OMS,
}  # fmt: skip
VENUE, ACCOUNT, INSTRUMENTS = 1, 7, 100
BID_PX, ASK_PX, TICK, QTY = 99_990, 100_010, 10, 10
SINGLES, WARM = 20_000, 2_000
Asked = NewOrder | ReplaceOrder | CancelOrder
Routed = RoutedOrder | RoutedReplace | RoutedCancel
TRIPS: dict[type[Asked], type[Routed]] = {NewOrder: RoutedOrder, ReplaceOrder: RoutedReplace, CancelOrder: RoutedCancel}
"""What is asked, and what is sent of it."""
BATCH = 256
PORTION = 10_000
"""Orders for which a rate is taken."""
FRAMES_A_STEP = 1024
RING_BYTES = 4 << 20
BYTES_AN_ORDER = 4096
"""Of the journal, with room to spare."""
_UNLIMITED = 1 << 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench oms`."""
    parser.add_argument("--working", type=whole(0), default=100_000, help="orders open meanwhile (default: 100000)")
    parser.add_argument("--orders", type=whole(1), default=100_000, help="orders timed with so many open (default: 100000)")
    parser.add_argument(
        "--folder", type=folder, default=None, help="where the journal is made (default: in memory, if it fits)"
    )


class Rows:
    """Bodies of one kind and one length, one behind the other, made before the clock runs."""

    def __init__(self, messages: list[Message]) -> None:
        self._cls = type(messages[0])
        bodies = [m.encode() for m in messages]
        self._data = bytearray().join(bodies)
        self._size = len(bodies[0])
        self._rows = len(bodies)

    def fill(self, field: str, values: list[int]) -> None:
        """Set a field of 64 bits that was not known before, in each row."""
        at = next(f.offset for f in self._cls.LAYOUT.fields if f.name == field)
        np.ndarray((self._rows,), "<u8", self._data, at, (self._size,))[:] = values

    def publish(self, publisher: Publisher) -> None:
        """All of them at once."""
        publisher.publish_rows(self._cls.KIND, self._cls.VERSION, self._data, row_bytes=self._size)


class Desk:
    """A stream of one process: whatever is published is sequenced, stepped, and so is what the apps say to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.orders = 0
        self.filled = 0
        use_large_pages()  # as a host does
        self.group = Group()
        self.writer: SnapshotWriter | None = None
        self.pauses_ns: list[int] = []
        self._close = contextlib.ExitStack()
        logs.configure(logs.LogSettings(level="error"))
        settings = SequencerSettings(idle="spin", ring_bytes=RING_BYTES, write_through=False)
        sources = [SourceSettings(name=name, role=role) for name, role in ROLES.items()]
        self.sequencer = HostedSequencer(
            path, settings, sources, mode=SessionMode.SIMULATION, durability=DurabilityPolicy.WRITTEN
        )
        self._close.callback(self.sequencer.close)
        self.sequencer.start()
        self.publishers = {name: self.sequencer.connect(name) for name in ROLES}
        for publisher in self.publishers.values():
            self._close.callback(publisher.close)
        self.reader = self._close.enter_context(JournalReader(path))
        self._routed = self._close.enter_context(JournalReader(path, kinds=[c.KIND for c in TRIPS.values()]))
        for name, app in (("risk", RiskApp()), ("oms", OmsApp())):
            publisher = self.publishers[name]
            ledger = Ledger(name, send=publisher.send)
            self.group.add(name, app, source=publisher.source, ledger=ledger, active_from=0)
        for name, message in definitions({name: p.source for name, p in self.publishers.items()}):
            self.publishers[name].publish(message)
            self.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()

    def settle(self) -> None:
        """Sequence and step through what was published, and through what that leads to."""
        while self.sequencer.turn() | self._follow():
            pass

    def _follow(self) -> bool:
        if self.writer is None or not self.writer.busy:
            return self.group.follow(self.reader, FRAMES_A_STEP, 0)
        came = self.group.follow(self.reader, FRAMES_A_PIECE, 0)
        self._paused(self.writer.go_on)
        return came

    def _paused(self, step: Callable[[], None]) -> None:
        start = time.thread_time_ns()
        step()
        self.pauses_ns.append(time.thread_time_ns() - start)

    def begin_snapshots(self) -> SnapshotWriter:
        """Of all apps, after the frame that the group stands behind."""
        apps = [slot for slot in self.group.slots if slot.ledger is not None]
        files = Snapshots(self.path / "snapshots", 0, {slot.name: "" for slot in apps})
        self.writer = SnapshotWriter(files, lambda line: sys.exit(f"lockstep bench: {line}"))
        self._close.callback(self.writer.close)
        begin = self.writer.sink(self.group)
        for slot in apps:
            parts = slot.app.parts()
            moment = Moment(self.group.seq, self.group.now, slot.digest(parts), parts)
            self._paused(partial(begin, slot, moment))
        return self.writer

    def routed(self, count: int) -> list[int]:
        """The sequence numbers of so many requests that were routed since the last call."""
        found: list[int] = []
        while (batch := self._routed.poll()) is not None:
            found += [seq for _, _, _, seq, _ in batch]
        if len(found) != count:
            raise SystemExit(f"lockstep bench: {len(found)} of {count} requests were routed")
        return found

    def order_id(self, n: int) -> int:
        """Of the n-th order."""
        return order_id_of(self.publishers["strategy"].source, n)

    def ask(self, n: int) -> NewOrder:
        """A strategy asks for the n-th order."""
        return NewOrder(
            order_id=self.order_id(n), account=ACCOUNT, strategy=1, instrument=1 + n % INSTRUMENTS,
            side=_side(n), ord_type=OrdType.LIMIT, tif=TimeInForce.GTC, order_qty=QTY, price_px=_px(n),
        )  # fmt: skip

    def sent(self, n: int, request_seq: int = 0) -> OrderSent:
        """The gateway has sent the n-th order."""
        return OrderSent(request_seq=request_seq, order_id=self.order_id(n))

    def acknowledged(
        self, n: int, request_seq: int = 0, exec_type: ExecType = ExecType.NEW, ord_status: OrdStatus = OrdStatus.NEW
    ) -> VenueOrderUpdate:
        """The venue works the n-th order, or has done what was asked of it."""
        return VenueOrderUpdate(
            request_seq=request_seq, order_id=self.order_id(n), account=ACCOUNT,
            instrument=1 + n % INSTRUMENTS, exec_type=exec_type, ord_status=ord_status, cum_qty=0, leaves_qty=QTY,
            venue_order_ref=f"V{n:09}",
        )  # fmt: skip

    def fill(self, n: int) -> VenueFill:
        """The n-th order is filled at once."""
        return VenueFill(
            order_id=self.order_id(n), account=ACCOUNT, instrument=1 + n % INSTRUMENTS,
            side=_side(n), last_qty=QTY, last_px=_px(n), trade_no=n, liquidity=LiquidityIndicator.MAKER,
            fee=1, fee_exp=-5, fee_currency=1,
        )  # fmt: skip

    def _asked(self, n: int, m: Asked) -> int:
        """Something is asked of the n-th order, routed and sent: the request's frame."""
        self.publishers["strategy"].publish(m)
        self.settle()
        (request_seq,) = self.routed(1)
        self._told(self.sent(n, request_seq))
        return request_seq

    def _told(self, m: Message) -> None:
        self.publishers["gateway"].publish(m)
        self.settle()

    def single(self) -> None:
        """One order, acknowledged and filled before anything else happens."""
        self.orders = self.filled = n = self.orders + 1
        request_seq = self._asked(n, self.ask(n))
        for word in (self.acknowledged(n, request_seq), self.fill(n)):
            self._told(word)

    def changed(self) -> None:
        """One order, acknowledged, replaced in price and quantity, and canceled."""
        self.orders = n = self.orders + 1
        replace = ReplaceOrder(order_id=self.order_id(n), order_qty=QTY + 1, price_px=_px(n) + TICK)
        for m, done, status in (
            (self.ask(n), ExecType.NEW, OrdStatus.NEW), (replace, ExecType.REPLACED, OrdStatus.NEW),
            (CancelOrder(order_id=self.order_id(n)), ExecType.CANCELED, OrdStatus.CANCELED),
        ):  # fmt: skip
            self._told(self.acknowledged(n, self._asked(n, m), done, status))

    def turn(self, count: int, fills: int) -> Callable[[], float]:
        """What makes `count` more orders working and fills as many of the oldest as `fills` says, once it is called: seconds
        that sequencer and apps took. What the gateway reads and notes in between is not theirs."""
        numbers = range(self.orders + 1, self.orders + count + 1)
        asked, sent, acknowledged = (Rows([of(n) for n in numbers]) for of in (self.ask, self.sent, self.acknowledged))
        filled = Rows([self.fill(n) for n in range(self.filled + 1, self.filled + fills + 1)]) if fills else None
        self.orders, self.filled = self.orders + count, self.filled + fills
        strategy, gateway = self.publishers["strategy"], self.publishers["gateway"]

        def run() -> float:
            seconds = self._timed((asked, strategy))
            requests = self.routed(count)
            for rows in (sent, acknowledged):
                rows.fill("request_seq", requests)
            return seconds + self._timed(*((rows, gateway) for rows in (sent, acknowledged, filled) if rows is not None))

        return run

    def _timed(self, *said: tuple[Rows, Publisher]) -> float:
        """Seconds until what is published has led to all that it leads to."""
        start = time.perf_counter()
        for rows, publisher in said:
            rows.publish(publisher)
        self.settle()
        return time.perf_counter() - start


def _side(n: int) -> Side:
    return Side.BUY if n // INSTRUMENTS % 2 else Side.SELL


def _px(n: int) -> int:
    return BID_PX if n // INSTRUMENTS % 2 else ASK_PX


def definitions(numbers: dict[str, int]) -> Iterator[tuple[str, Message]]:
    """Who says what is traded, and a limit for each check that wants one."""
    for name in ("risk", "oms"):
        yield "loader", ConfigApplied(owner=numbers[name])
    yield "loader", CurrencyDefined(currency=1, ledger_exp=-5, name="USD")
    yield "loader", AccountDefined(account=ACCOUNT, venue=VENUE, currency=1, name="main")
    yield "loader", DestinationDefined(destination=1, venue=VENUE, account=ACCOUNT, gateway=numbers["gateway"])
    for check in (
        RiskCheck.PRICE_COLLAR, RiskCheck.ORDER_NOTIONAL, RiskCheck.WORKING_ORDERS, RiskCheck.POSITION,
        RiskCheck.QUANTITY_LIMITS,
    ):  # fmt: skip
        limit = RiskLimitSet(
            limit=int(check), check=check, scope_type=ScopeType.GLOBAL, hard=_UNLIMITED, action=LimitAction.REJECT
        )
        yield "loader", limit
    for n in range(1, INSTRUMENTS + 1):
        instrument = InstrumentDefined(
            instrument=n, venue=VENUE, instrument_status=InstrumentStatus.ACTIVE, px_exp=-2, qty_exp=0, tick_px=TICK,
            lot_qty=1, min_qty=1, quote_currency=1, name=f"I{n}",
        )  # fmt: skip
        yield "loader", instrument
        yield "books", BookState(instrument=n, state=BookStateCode.LIVE)
        yield "books", TopOfBook(instrument=n, bid_px=BID_PX, bid_qty=5, ask_px=ASK_PX, ask_qty=5)
    yield "gateway", GatewayStatus(gateway=numbers["gateway"], venue=VENUE, account=ACCOUNT, phase=GatewayPhase.READY)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    wanted = (arguments.working + arguments.orders) * BYTES_AN_ORDER + (256 << 20)
    place = arguments.folder or memory_or(Path(tempfile.gettempdir()), wanted)
    with (
        work_folder(place, wanted) as folder,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("orders", total=2 * (SINGLES + WARM) + arguments.working + arguments.orders)

        def done(count: int) -> None:
            progress.advance(bar, count)

        # In this order: memory that the singles had given back would be used again, and no growth be seen.
        many = _many(folder / "many", arguments.working, arguments.orders, done)
        metrics = _singles(folder / "singles", done) | _changes(folder / "changes", done) | many
    told = conditions(
        singles=SINGLES, working=arguments.working, orders=arguments.orders, batch=BATCH, instruments=INSTRUMENTS,
        file_system=file_system(place),
    )  # fmt: skip
    return {"bench": "oms", "conditions": told, "metrics": metrics}


def _singles(path: Path, done: Callable[[int], None]) -> dict[str, float]:
    """One order at a time, each filled before the next."""
    _repeat(path, Desk.single, done)
    return _figures("order", _trips(path, NewOrder)[WARM:]) | _figures("report", _reports(path)[2 * WARM :])


def _changes(path: Path, done: Callable[[int], None]) -> dict[str, float]:
    """One order at a time, each replaced once, and canceled before the next."""
    _repeat(path, Desk.changed, done)
    return _figures("replace", _trips(path, ReplaceOrder)[WARM:]) | _figures("cancel", _trips(path, CancelOrder)[WARM:])


def _repeat(path: Path, life: Callable[[Desk], None], done: Callable[[int], None]) -> None:
    with Desk(path) as desk:
        life(desk)
        gc.collect()
        gc.freeze()
        for turn in range(WARM + SINGLES):
            life(desk)
            if turn % 100 == 0:
                done(100)
    gc.unfreeze()


def _figures(name: str, us: list[float]) -> dict[str, float]:
    return {f"{name}_us_{figure}": round(percentile(us, share), 2) for figure, share in (("p50", 0.5), ("p99", 0.99))}


def _trips(path: Path, asked: type[Asked]) -> list[float]:
    """Microseconds from the frame of what is asked of an order to the frame of what is sent of it."""
    since: dict[int, int] = {}  # by order_id
    us = []
    for frame in frames(path, kinds=[asked.KIND, TRIPS[asked].KIND]):
        m, ts = frame.message, frame.header.ts
        if isinstance(m, Asked):
            since[m.order_id] = ts
        elif isinstance(m, Routed):
            us.append((ts - since.pop(m.order_id)) / 1000)
    return us


def _reports(path: Path) -> list[float]:
    """Microseconds from the frame of the venue's word to the frame of what we report of it."""
    since: dict[int, int] = {}  # by seq
    us = []
    for frame in frames(path, kinds=[c.KIND for c in (VenueOrderUpdate, VenueFill, ExecutionReport)]):
        head = frame.header
        if not isinstance(frame.message, ExecutionReport):
            since[head.seq] = head.ts
        elif head.cause in since:
            us.append((head.ts - since.pop(head.cause)) / 1000)
    return us


def _many(path: Path, working: int, orders: int, done: Callable[[int], None]) -> dict[str, float]:
    """In batches, with so many open ones."""
    with Desk(path) as desk:

        def run(count: int, fills: bool) -> float:
            seconds, until = 0.0, desk.orders + count
            while desk.orders < until:
                now = min(BATCH, until - desk.orders)
                turn = desk.turn(now, now if fills else 0)
                seconds += turn()
                desk.sequencer.attend()
                done(now)
            return seconds

        gc.collect()
        gc.freeze()
        before = own_bytes()
        run(working, fills=False)
        gc.collect()
        open_bytes = own_bytes() - before
        portions = [min(PORTION, orders - at) for at in range(0, orders, PORTION)]
        rates = [count / run(count, fills=True) for count in portions]
        gc.collect()
        closed_bytes = own_bytes() - before - open_bytes
        gc.freeze()
        start = time.perf_counter()
        writer = desk.begin_snapshots()
        while writer.busy:
            desk.turn(BATCH, min(BATCH, working))()
            desk.sequencer.attend()
        snapshot_s = time.perf_counter() - start
    gc.unfreeze()
    return {
        "orders_per_s": round(statistics.median(rates)),
        "orders_per_s_min": round(min(rates)),
        "orders_per_s_max": round(max(rates)),
        "bytes_per_working_order": round(open_bytes / working),
        "bytes_per_closed_order": round(closed_bytes / orders),
        "snapshot_pause_us_p99": round(percentile([ns / 1000 for ns in desk.pauses_ns], 0.99), 1),
        "snapshot_pause_us_max": round(max(desk.pauses_ns) / 1000, 1),
        "snapshot_s": round(snapshot_s, 3),
    }
