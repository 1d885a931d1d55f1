"""What an order costs: asked → decided by risk → routed, and a venue's report → the order's update, in one process.

Risk engine and OMS are hosted as in a backtest: every frame goes into a journal, is read, checked and stepped; what they say is
sequenced right behind. `order_us`: from the step that takes the NewOrder to the RoutedOrder's emission, the risk decision's own
frame in between; `report_us`: from the step that takes the venue's word to the ExecutionReport. First with few orders at
hand, one at a time (`order_us_p50`, …), then with many working ones, in batches (`orders_per_s`): each order is asked, routed,
sent, acknowledged, and another, older one is filled, so that as many stay open. State digests are said meanwhile as ever.

`bytes_per_working_order`, `bytes_per_closed_order`: by which the process grows, of both apps together.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from apps.group import Group
from apps.ledger import Emission, Ledger
from apps.order_manager import OmsApp
from apps.risk import RiskApp
from journal.messages import (
    AccountDefined,
    BookState,
    BookStateCode,
    ConfigApplied,
    CurrencyDefined,
    DestinationDefined,
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
    RiskCheck,
    RiskLimitSet,
    RoutedOrder,
    ScopeType,
    Side,
    SourceDefined,
    SourceRole,
    TimeInForce,
    TopOfBook,
    VenueFill,
    VenueOrderUpdate,
    order_id_of,
)
from journal.reader import JournalReader
from journal.writer import JournalWriter
from lockstep.bench.conditions import conditions
from lockstep.bench.rig import percentile

MARKET, GATEWAY, OMS, RISK, STRATEGY, BOOKS = 3, 4, 5, 6, 9, 10
VENUE, ACCOUNT, INSTRUMENTS = 1, 7, 100
BID_PX, ASK_PX, QTY = 99_990, 100_010, 10
SINGLES, WARM = 20_000, 2_000
BATCH = 256
FRAME_NS = 1_000
SEGMENT_BYTES = 64 << 20
_UNLIMITED = 1 << 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench oms`."""
    parser.add_argument("--working", type=int, default=100_000, help="orders open meanwhile (default: 100000)")
    parser.add_argument("--orders", type=int, default=100_000, help="orders timed with so many open (default: 100000)")
    parser.add_argument("--folder", type=Path, default=None, help="where the journal is made (default: the temporary folder)")


class Desk:
    """A stream of one process: whatever is fed is sequenced, stepped, and so is what the apps say to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = JournalWriter.open(path, stream_id=1, nonce=1, segment_bytes=SEGMENT_BYTES)
        self.reader = JournalReader(path)
        self.group = Group()
        self.ts = 0
        self.orders = 0
        self.routed_ns = self.reported_ns = 0
        self.routed: deque[int] = deque()
        """Of RoutedOrders: their sequence numbers."""
        self._said: deque[tuple[int, Emission]] = deque()
        self._numbers: dict[int, int] = {}
        definitions = _definitions()
        for name, app, source in (("risk", RiskApp(), RISK), ("oms", OmsApp(), OMS)):
            ledger = Ledger(name, partial(self._publish, source))
            self.group.add(name, app, source=source, ledger=ledger, active_from=0)
        for source, message in definitions:
            self.append(source, message)
        self.settle()

    def close(self) -> None:
        """Let go of the journal."""
        self.reader.close()
        self.writer.close()

    def append(self, source: int, message: Message) -> int:
        """Sequence an input; nobody has seen it yet."""
        self._numbers[source] = number = self._numbers.get(source, 0) + 1
        self.ts += FRAME_NS
        return self.writer.append(message, ts=self.ts, source=source, source_seq=number, origin_ts=self.ts)

    def ask(self) -> int:
        """A strategy asks for one more order."""
        self.orders += 1
        n = self.orders
        return self.append(
            STRATEGY,
            NewOrder(
                order_id=order_id_of(STRATEGY, n), account=ACCOUNT, strategy=1, instrument=1 + n % INSTRUMENTS,
                side=Side.BUY if n // INSTRUMENTS % 2 else Side.SELL, ord_type=OrdType.LIMIT, tif=TimeInForce.GTC,
                order_qty=QTY, price_px=BID_PX if n // INSTRUMENTS % 2 else ASK_PX,
            ),
        )  # fmt: skip

    def acknowledge(self, n: int, request_seq: int) -> None:
        """The gateway has sent the n-th order and the venue works it."""
        order_id, instrument = order_id_of(STRATEGY, n), 1 + n % INSTRUMENTS
        self.append(GATEWAY, OrderSent(request_seq=request_seq, order_id=order_id))
        self.append(
            GATEWAY,
            VenueOrderUpdate(
                request_seq=request_seq, order_id=order_id, account=ACCOUNT, instrument=instrument, exec_type=ExecType.NEW,
                ord_status=OrdStatus.NEW, cum_qty=0, leaves_qty=QTY, venue_order_ref=f"V{n}",
            ),
        )  # fmt: skip

    def fill(self, n: int) -> None:
        """The n-th order is filled at once."""
        buy = n // INSTRUMENTS % 2
        self.append(
            GATEWAY,
            VenueFill(
                order_id=order_id_of(STRATEGY, n), account=ACCOUNT, instrument=1 + n % INSTRUMENTS,
                side=Side.BUY if buy else Side.SELL, last_qty=QTY, last_px=BID_PX if buy else ASK_PX, trade_no=n,
                liquidity=LiquidityIndicator.MAKER, fee=1, fee_exp=-5, fee_currency=1,
            ),
        )  # fmt: skip

    def settle(self) -> None:
        """Step through what was appended, and through what that leads to."""
        self._step()
        while self._said:
            for _ in range(len(self._said)):
                source, e = self._said.popleft()
                self.ts += FRAME_NS
                seq = self.writer.append_bytes(
                    e.kind, e.version, e.body, ts=self.ts, source=source, source_seq=e.source_seq, cause=e.cause,
                    origin_ts=e.origin_ts, flags=e.flags,
                )  # fmt: skip
                if e.kind == RoutedOrder.KIND:
                    self.routed.append(seq)
            self._step()

    def _publish(self, source: int, e: Emission) -> None:
        if e.kind == RoutedOrder.KIND:
            self.routed_ns = time.perf_counter_ns()
        elif e.kind == ExecutionReport.KIND:
            self.reported_ns = time.perf_counter_ns()
        self._said.append((source, e))

    def _step(self) -> None:
        end = self.writer.last_seq
        while self.group.seq < end:
            self.group.read(self.reader, to_seq=end)


def _definitions() -> list[tuple[int, Message]]:
    """Who is there, what is traded, and a limit for each check that wants one."""
    roles = {
        MARKET: SourceRole.MARKET_DATA, GATEWAY: SourceRole.TRADING, OMS: SourceRole.OMS, RISK: SourceRole.RISK,
        STRATEGY: SourceRole.ALGO, BOOKS: SourceRole.BOOKS,
    }  # fmt: skip
    said: list[tuple[int, Message]] = [(0, SourceDefined(source=n, role=role, name=role.name)) for n, role in roles.items()]
    said += [(2, ConfigApplied(owner=n)) for n in (RISK, OMS)]
    said += [
        (2, CurrencyDefined(currency=1, ledger_exp=-5, name="USD")),
        (2, AccountDefined(account=ACCOUNT, venue=VENUE, currency=1, name="main")),
        (2, DestinationDefined(destination=1, venue=VENUE, account=ACCOUNT, gateway=GATEWAY)),
    ]
    for check in (
        RiskCheck.PRICE_COLLAR, RiskCheck.ORDER_NOTIONAL, RiskCheck.WORKING_ORDERS, RiskCheck.POSITION,
        RiskCheck.QUANTITY_LIMITS,
    ):  # fmt: skip
        said.append(
            (
                2,
                RiskLimitSet(
                    limit=int(check), check=check, scope_type=ScopeType.GLOBAL, hard=_UNLIMITED, action=LimitAction.REJECT
                ),
            )
        )
    for n in range(1, INSTRUMENTS + 1):
        instrument = InstrumentDefined(
            instrument=n, venue=VENUE, instrument_status=InstrumentStatus.ACTIVE, px_exp=-2, qty_exp=0, tick_px=10,
            lot_qty=1, min_qty=1, quote_currency=1, name=f"I{n}",
        )  # fmt: skip
        said += [
            (2, instrument),
            (BOOKS, BookState(instrument=n, state=BookStateCode.LIVE)),
            (BOOKS, TopOfBook(instrument=n, bid_px=BID_PX, bid_qty=5, ask_px=ASK_PX, ask_qty=5)),
        ]
    return [*said, (GATEWAY, GatewayStatus(gateway=GATEWAY, venue=VENUE, account=ACCOUNT, phase=GatewayPhase.READY))]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    with (
        tempfile.TemporaryDirectory(prefix="lockstep-bench-", dir=arguments.folder) as folder,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("orders", total=SINGLES + WARM + arguments.working + arguments.orders)
        # In this order: memory that the singles had given back would be used again, and no growth be seen.
        many = _many(Path(folder) / "many", arguments.working, arguments.orders, partial(progress.advance, bar))
        metrics = _singles(Path(folder) / "singles", partial(progress.advance, bar)) | many
    told = conditions(singles=SINGLES, working=arguments.working, orders=arguments.orders, batch=BATCH, instruments=INSTRUMENTS)
    return {"bench": "oms", "conditions": told, "metrics": metrics}


def _singles(path: Path, done: Any) -> dict[str, float]:
    """One order at a time, each filled before the next."""
    desk = Desk(path)
    asked_us, told_us = [], []
    for turn in range(WARM + SINGLES):
        desk.ask()
        start = time.perf_counter_ns()
        desk.settle()
        asked_us.append((desk.routed_ns - start) / 1000)
        if len(desk.routed) != 1:
            raise SystemExit(f"lockstep bench: order {desk.orders} was not routed")
        desk.acknowledge(desk.orders, desk.routed.popleft())
        start = time.perf_counter_ns()
        desk.settle()
        told_us.append((desk.reported_ns - start) / 1000)
        desk.fill(desk.orders)
        start = time.perf_counter_ns()
        desk.settle()
        told_us.append((desk.reported_ns - start) / 1000)
        if turn % 100 == 0:
            done(100)
    desk.close()
    found = {}
    for name, us, warm in (("order", asked_us, WARM), ("report", told_us, 2 * WARM)):
        for figure, share in (("p50", 0.5), ("p99", 0.99)):
            found[f"{name}_us_{figure}"] = round(percentile(us[warm:], share), 2)
    return found


def _many(path: Path, working: int, orders: int, done: Any) -> dict[str, float]:
    """In batches, with so many open ones."""
    desk = Desk(path)
    gc.collect()
    before = _rss_bytes()
    filled = 0

    def turn(count: int, fills: int) -> None:
        nonlocal filled
        first = desk.orders + 1
        for _ in range(count):
            desk.ask()
        desk.settle()
        if len(desk.routed) != count:
            raise SystemExit(f"lockstep bench: {len(desk.routed)} of {count} orders were routed")
        for n in range(first, first + count):
            desk.acknowledge(n, desk.routed.popleft())
        for _ in range(fills):
            filled += 1
            desk.fill(filled)
        desk.settle()
        done(count)

    while desk.orders < working:
        turn(min(BATCH, working - desk.orders), 0)
    gc.collect()
    open_bytes = _rss_bytes() - before
    start = time.perf_counter()
    while desk.orders < working + orders:
        count = min(BATCH, working + orders - desk.orders)
        turn(count, count)
    seconds = time.perf_counter() - start
    gc.collect()
    closed_bytes = _rss_bytes() - before - open_bytes
    desk.close()
    return {
        "orders_per_s": round(orders / seconds),
        "bytes_per_working_order": round(open_bytes / working),
        "bytes_per_closed_order": round(closed_bytes / orders),
    }


def _rss_bytes() -> int:
    """Anonymous memory of this process: the mapped journal is the page cache's."""
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))
