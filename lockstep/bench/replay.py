"""How fast a day is replayed: by C alone, into a Python app that handles every frame or a tenth, and into all apps of the demo.

Two journals are made first. One holds seeded market data as a gateway would publish it, with the digests that two small apps
say of themselves: 65 % top of book, 25 % book updates, 10 % trades. The other is a backtest of the demo's configuration over
a dense generated market: books, risk, OMS, positions, two strategies. Timed is what every replay does: poll in C with the
checksum on, decode, step, the handlers' own work, the comparison of every emission with the journal. `--day-frames` makes a
third, such a day of any length (`long_day`), and replays it whole, once: `long_day_s`, and its memory on the way.
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
    Message,
    SourceDefined,
    SourceRole,
    TopOfBook,
    TradeSummary,
)
from journal.messages.marketdata import Trade
from journal.reader import JournalReader
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.bench import back, day, long_day, rig
from lockstep.bench.conditions import conditions
from lockstep.bench.memory import own_bytes
from lockstep.option_types import folder, whole

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
    parser.add_argument("--seconds", type=whole(1), default=12, help=f"of the demo's day, {day.RATE} events each (default: 12)")
    parser.add_argument(
        "--back-frames",
        type=whole(0),
        default=0,
        help="step back in a market journal of so many frames, not in the day (10000000)",
    )
    parser.add_argument(
        "--day-frames", type=whole(0), default=0, help="make a day of so many frames and replay it whole (100000000: 16 GB)"
    )
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed rounds (default: 5)")
    parser.add_argument("--folder", type=folder, default=None, help="where journals are made (default: the temporary folder)")


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


def _rates(rounds: int, once: Callable[[], tuple[int, float]]) -> list[float]:
    return [count / seconds for count, seconds in (once() for _ in range(rounds))]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; one object with figures and conditions."""
    with rig.workspace(Path(arguments.folder or tempfile.gettempdir())) as work:
        # First: what its memory grows by is to be seen, not hidden in what earlier parts have given back.
        whole_day = long_day.measure(work, arguments.day_frames) if arguments.day_frames else {}
        market = work / "market"
        make_journal(market, arguments.frames)
        made = day.make_day(work, arguments.seconds)
        scanned = _rates(arguments.rounds, lambda: scan(market))
        every = _rates(arguments.rounds, lambda: into(market, "every"))
        tenth = _rates(arguments.rounds, lambda: into(market, "tenth"))
        days = [day.all_apps(made)]
        before = own_bytes()
        days += [day.all_apps(made) for _ in range(arguments.rounds - 1)]
        grown = (own_bytes() - before) / 2**20
        share = day.market_share(made)
        moves = back.measure(made)
        if arguments.back_frames:
            long = work / "long"
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
            **({"long_day": f"the same, {long_day.STRETCH_SECONDS} s of market again and again"} if whole_day else {}),
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
            **whole_day,
        },
    }  # fmt: skip
