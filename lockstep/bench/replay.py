"""How fast a day is replayed: by C alone, into a Python app that handles every frame or a tenth, and into all apps of the demo.

Two journals are made first. One holds seeded market data as a gateway would publish it, with the digests that two small apps
say of themselves: 65 % top of book, 25 % book updates, 10 % trades. The other is a backtest of the demo's configuration over
a dense generated market: books, risk, OMS, positions, two strategies. Timed is what every replay does: poll in C with the
checksum on, decode, step, the handlers' own work, the comparison of every emission with the journal.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from apps.app import App
from apps.discovery import CLASS_ITEM
from apps.group import Group
from apps.ledger import Emission, Ledger
from journal.messages import (
    ConfigApplied,
    ConfigItem,
    Level,
    MarketByPriceUpdate,
    MarketData,
    Message,
    SourceDefined,
    SourceRole,
    TopOfBook,
    TradeSummary,
)
from journal.messages.marketdata import Trade
from journal.messages.schema import REGISTRY
from journal.reader import JournalReader
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.backtesting import run_backtest
from lockstep.bench import back
from lockstep.bench.conditions import conditions
from lockstep.config import load
from lockstep.option_types import whole
from replay.player import Player

RATE = 5_000
"""Events of generated market a second: so dense that 95 % of the frames are market data."""
PORTION = 4096


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


class Tenth(App):
    """Handles one kind, a tenth of the frames: what nobody wants never reaches Python."""

    def __init__(self) -> None:
        self.frames = 0
        self.total = 0

    def on_trade_summary(self, m: TradeSummary) -> None:
        self.frames += 1
        self.total += m.exchange_seq


APPS: dict[str, tuple[type[App], int]] = {"every": (Every, 2), "tenth": (Tenth, 3)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench replay`."""
    parser.add_argument("--frames", type=whole(1), default=500_000, help="frames of the market journal (default: 500000)")
    parser.add_argument("--seconds", type=whole(1), default=12, help=f"of the demo's day, {RATE} events each (default: 12)")
    parser.add_argument(
        "--back-frames",
        type=whole(0),
        default=0,
        help="step back in a market journal of so many frames, not in the day (10000000)",
    )
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed rounds (default: 5)")


def _note(said: list[tuple[int, Emission]], source: int, e: Emission) -> None:
    said.append((source, e))


def make_journal(path: Path, count: int) -> None:
    """The market journal, with what the two apps say over it, as a live sequencer would have it."""
    rng = random.Random(1)
    bodies = []
    for i in range(1000):
        px = 6_000_000 + rng.randrange(1000)
        draw = rng.random()
        m: Any
        if draw < 0.65:
            m = TopOfBook(instrument=1, exchange_seq=i, bid_px=px, bid_qty=5, ask_px=px + 10, ask_qty=7)
        elif draw < 0.9:
            m = MarketByPriceUpdate(instrument=1, exchange_seq=i, bids=[Level(px, 5)], asks=[Level(px + 10, 0)])
        else:
            m = TradeSummary(instrument=1, exchange_seq=i, trades=[Trade(px=px, qty=3, side=1)])
        bodies.append((m.KIND, m.VERSION, m.encode()))
    said: list[tuple[int, Emission]] = []
    group = Group()
    defined = _definitions()
    for name, (cls, source) in APPS.items():
        ledger = Ledger(name, partial(_note, said, source))
        group.add(name, cls(), source=source, ledger=ledger, active_from=len(defined))
    ts = 0
    with JournalWriter.open(path, stream_id=1, nonce=1) as writer, JournalReader(path) as reader:
        for message in defined:
            ts += 1
            writer.append(message, ts=ts)
        for first in range(0, count, PORTION):
            for n in range(first, min(first + PORTION, count)):
                kind, version, body = bodies[n % len(bodies)]
                ts += 1
                writer.append_bytes(kind, version, body, ts=ts, source=1, source_seq=n + 1)
            _run(reader, group)
            for source, e in said:
                ts += 1
                writer.append_bytes(
                    e.kind, e.version, e.body, ts=ts, source=source, source_seq=e.source_seq, cause=e.cause,
                    origin_ts=e.origin_ts, flags=e.flags,
                )  # fmt: skip
            said.clear()


def _definitions() -> list[Message]:
    """What says that the two apps are this journal's: so tools that ask it find them."""
    found: list[Message] = []
    for name, (cls, source) in APPS.items():
        path = json.dumps(f"{cls.__module__}:{cls.__qualname__}")
        found += [
            SourceDefined(source=source, role=SourceRole.ALGO, name=name),
            ConfigItem(owner=source, name=CLASS_ITEM, value=path),
        ]
    return [*found, *(ConfigApplied(owner=source) for _, source in APPS.values())]


def _run(reader: JournalReader, group: Group) -> int:
    count = 0
    while (stepped := group.read(reader)) is not None:
        count += stepped
    return count


def into(path: Path, name: str) -> tuple[int, float]:
    """One round into one of the apps: frames of journal, and seconds."""
    group, (cls, source) = Group(), APPS[name]
    app: Any = cls()
    group.add(name, app, source=source, ledger=Ledger(name), active_from=len(_definitions()))
    with JournalReader(path) as reader:
        start = time.perf_counter()
        count = _run(reader, group)
        seconds = time.perf_counter() - start
    assert app.frames, "nothing reached the app"
    return count, seconds


def scan(path: Path) -> tuple[int, float]:
    """One round in C alone: every frame checked, none wanted."""
    with JournalReader(path, kinds=[]) as reader:
        start = time.perf_counter()
        while reader.poll(PORTION) is not None:
            pass
        return reader.seen_seq, time.perf_counter() - start


def make_day(folder: Path, seconds: int) -> Path:
    """The demo's day as a backtest over a dense market."""
    text = (
        resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8").replace("rate = 200 ", f"rate = {RATE} ")
    )
    config = folder / "day.toml"
    config.write_text(f'{text}\n[backtest]\nmarket = "generated"\nduration = "{seconds}s"\norder_latency = "1ms"\n')
    run_backtest(load(config), folder / "day")
    return folder / "day"


def all_apps(path: Path) -> tuple[int, float]:
    """One round into all apps of the day; every emission is compared with the journal."""
    player = Player(path)
    start = time.perf_counter()
    count = player.run()
    seconds = time.perf_counter() - start
    player.reader.close()
    return count, seconds


def market_share(path: Path) -> float:
    """How much of a journal's frames is market data."""
    kinds = [kind for kind, cls in REGISTRY.items() if issubclass(cls, MarketData)]
    with JournalReader(path, kinds=kinds) as reader:
        held = 0
        while (batch := reader.poll()) is not None:
            held += len(batch)
        return held / reader.seen_seq


def _rates(rounds: int, once: Callable[[], tuple[int, float]]) -> list[float]:
    return [count / seconds for count, seconds in (once() for _ in range(rounds))]


def _memory_mib() -> float:
    """Of its own: the journal's pages are the cache's."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; one object with figures and conditions."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        folder = Path(name)
        market = folder / "market"
        make_journal(market, arguments.frames)
        day = make_day(folder, arguments.seconds)
        scanned = _rates(arguments.rounds, lambda: scan(market))
        every = _rates(arguments.rounds, lambda: into(market, "every"))
        tenth = _rates(arguments.rounds, lambda: into(market, "tenth"))
        days = [all_apps(day)]
        before = _memory_mib()
        days += [all_apps(day) for _ in range(arguments.rounds - 1)]
        grown = _memory_mib() - before
        share = market_share(day)
        moves = back.measure(day)
        if arguments.back_frames:
            long = folder / "long"
            make_journal(long, arguments.back_frames)
            moves |= back.steps(long, tuple(APPS))
        frame_bytes = sum(survey(market).bytes_by_kind.values()) / scan(market)[0]
    apps = [count / seconds for count, seconds in days]
    return {
        "bench": "replay",
        "conditions": conditions(
            frames=arguments.frames, frame_bytes=round(frame_bytes), rounds=arguments.rounds, crc="checked",
            mix="65 % top of book, 25 % book, 10 % trades",
            day_frames=days[0][0], day_market_share=round(share, 3), day="demo.toml: books, risk, OMS, positions, 2 strategies",
        ),
        "metrics": {
            "scan_frames_per_s": round(statistics.median(scanned)),
            "scan_gb_per_s": round(statistics.median(scanned) * frame_bytes / 1e9, 2),
            "python_frames_per_s": round(statistics.median(every)),
            "python_frames_per_s_min": round(min(every)),
            "python_frames_per_s_max": round(max(every)),
            "ns_per_frame": round(1e9 / statistics.median(every)),
            "filtered_frames_per_s": round(statistics.median(tenth)),
            "apps_frames_per_s": round(statistics.median(apps)),
            "apps_frames_per_s_max": round(max(apps)),
            "apps_memory_grown_mib": round(grown, 1),
            **moves,
        },
    }  # fmt: skip
