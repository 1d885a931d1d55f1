"""How fast frames reach a Python app that handles every one of them.

The journal is made first: seeded top-of-book and market-by-price frames, as a gateway would publish them. Timed is what every
host does: poll in C with the checksum on, decode, dispatch, the handler's own work (two reads and an addition).
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from apps.app import App
from apps.group import Group
from apps.ledger import Ledger
from journal.messages import Level, MarketByPriceUpdate, TopOfBook, TradeSummary
from journal.messages.marketdata import Trade
from journal.reader import JournalReader
from journal.writer import JournalWriter
from lockstep.bench.conditions import conditions


class Every(App):
    """Handles every frame: the least a strategy does."""

    def __init__(self) -> None:
        self.frames = 0
        self.total = 0

    def on_top_of_book(self, m: TopOfBook) -> None:
        self.frames += 1
        self.total += m.bid_px + m.ask_px

    def on_market_by_price_update(self, m: MarketByPriceUpdate) -> None:
        self.frames += 1
        self.total += m.exchange_seq

    def on_trade_summary(self, m: TradeSummary) -> None:
        self.frames += 1
        self.total += m.exchange_seq


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench replay`."""
    parser.add_argument("--frames", type=int, default=500_000, help="frames in the journal (default: 500000)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: 5)")


def make_journal(path: Path, count: int) -> None:
    """A seeded journal: 70 % top of book, 25 % two-level book updates, 5 % trades."""
    rng = random.Random(1)
    writer = JournalWriter.open(path, stream_id=1, nonce=1)
    bodies = []
    for i in range(1000):
        px = 6_000_000 + rng.randrange(1000)
        draw = rng.random()
        m: Any
        if draw < 0.7:
            m = TopOfBook(instrument=1, exchange_seq=i, bid_px=px, bid_qty=5, ask_px=px + 10, ask_qty=7)
        elif draw < 0.95:
            m = MarketByPriceUpdate(instrument=1, exchange_seq=i, bids=[Level(px, 5)], asks=[Level(px + 10, 0)])
        else:
            m = TradeSummary(instrument=1, exchange_seq=i, trades=[Trade(px=px, qty=3, side=1)])
        bodies.append((m.KIND, m.VERSION, m.encode()))
    for n in range(count):
        kind, version, body = bodies[n % len(bodies)]
        writer.append_bytes(kind, version, body, ts=1 + n, source=1, source_seq=n + 1)
    writer.close()


def one_round(path: Path) -> tuple[int, float]:
    """Frames handled, and seconds."""
    group = Group()
    app = Every()
    group.add("every", app, source=2, ledger=Ledger("every"))
    with JournalReader(path) as reader:
        start = time.perf_counter()
        while (batch := reader.poll()) is not None:
            group.run(batch.buffer, batch.refs)
        seconds = time.perf_counter() - start
    return app.frames, seconds


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; one object with figures and conditions."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        path = Path(folder) / "journal"
        make_journal(path, arguments.frames)
        rates: list[float] = []
        for _ in range(arguments.rounds):
            frames, seconds = one_round(path)
            assert frames == arguments.frames, f"{frames} of {arguments.frames} frames reached the app"
            rates.append(frames / seconds)
    return {
        "bench": "replay",
        "conditions": conditions(frames=arguments.frames, rounds=arguments.rounds, crc="checked"),
        "metrics": {
            "python_frames_per_s": round(statistics.median(rates)),
            "python_frames_per_s_min": round(min(rates)),
            "python_frames_per_s_max": round(max(rates)),
            "ns_per_frame": round(1e9 / statistics.median(rates)),
        },
    }
