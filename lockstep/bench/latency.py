"""`lockstep bench latency`: how long one message takes, one in flight, by idle policy; and a whole decision, tick to order.

A trip: publisher → ring → sequencer → journal → reader, which checks the crc, back to back. Spinning, yielding, and parked, the
last one beside the machine's own futex round trip. Tick to order: a gateway publishes a top of book, a Python app on the live
host decides with a risk check, the gateway reads the order's frame; back to back too, and paced, with a pause before each tick.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.discovery import CLASS_ITEM
from apps.live import HostSettings, run_apps
from journal.frames import frames
from journal.messages import ConfigApplied, ConfigItem, NewOrder, SourceDefined, SourceRole, TopOfBook
from journal.reader import JournalReader
from lockstep.bench.conditions import conditions
from lockstep.bench.system import (
    SESSION,
    Process,
    SequencerProcess,
    c_reader,
    core_to_core_ns,
    cores,
    percentile_us,
    pinned,
    work_folder,
)
from lockstep.option_types import folder, whole
from sequencer.client import Publisher
from sequencer.hosted import HostedSequencer, hosted
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import IDLE, SequencerSettings, SourceSettings

KIND = 10_000
SEGMENT_BYTES = 128 << 20
DISK_BYTES = 2 << 30
TRIPS, SLOW_TRIPS, TICKS = 50_000, 3_000, 10_000
PATIENCE_NS = 10_000_000_000
PAUSE_NS = 20_000
"""Paced: between an answer and the next tick the app has its own order behind it and waits again, as between two market events.
Whatever takes a core away in the pause counts too: what the machine does to a tick that comes at any time."""
SOURCES = [
    SourceSettings(name="bench", role=SourceRole.MARKET_DATA, kinds=[KIND, TopOfBook.KIND]),
    SourceSettings(name="loader", role=SourceRole.LOADER),
    SourceSettings(name="ticker", role=SourceRole.ALGO),
]
CLASS = "lockstep.bench.ticker:Ticker"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench latency`."""
    parser.add_argument("--rounds", type=whole(1), default=5, help="rounds of each figure; their median counts (default: 5)")
    parser.add_argument("--folder", type=folder, default=None, help="where the journal is made (default: the temporary folder)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    metrics: dict[str, float] = {}
    apart = [core_to_core_ns()]
    with work_folder(arguments.folder, DISK_BYTES) as work:
        for name, idle, count in (("trip", "spin", TRIPS), ("yield", "yield", TRIPS), ("parked", "park", SLOW_TRIPS)):
            metrics |= _figures(name, _trips(work / name, idle, count, arguments.rounds))
        metrics |= _figures("futex", [_futex(SLOW_TRIPS) for _ in range(arguments.rounds)])
        metrics["parked_ratio"] = metrics["parked_us_p50"] / metrics["futex_us_p50"]
        metrics |= _figures("tick_to_order", _hosted_ticks(work / "hosted", arguments.rounds, 0))
        metrics |= _figures("tick_to_order_paced", _hosted_ticks(work / "paced", arguments.rounds, PAUSE_NS))
        metrics |= _figures("tick_to_order_yield", _yielding_ticks(work / "yielding", arguments.rounds))
    apart.append(core_to_core_ns())
    policy = {os.SCHED_FIFO: "fifo", os.SCHED_RR: "rr"}.get(os.sched_getscheduler(0), "normal")
    told = conditions(
        rounds=arguments.rounds, trips=TRIPS, parked_trips=SLOW_TRIPS, ticks=TICKS, paced_pause_us=PAUSE_NS // 1000,
        core_to_core_ns=apart,
        body_bytes=64, crc="written and checked", scheduling=policy, gateway="in C, turns the sequencer's loop",
        app=f"{CLASS} on apps.live, Python", risk="quantity, notional, collar, position, in the app",
    )  # fmt: skip
    return {"bench": "latency", "conditions": told, "metrics": {k: round(v, 2) for k, v in metrics.items()}}


def _figures(name: str, rounds: list[list[int]]) -> dict[str, float]:
    """Median over the rounds of each percentile."""
    return {
        f"{name}_us_{label}": statistics.median(percentile_us(ns, share) for ns in rounds)
        for label, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def _settings(idle: Any, cpu: int | None = None) -> SequencerSettings:
    return SequencerSettings(idle=idle, cpu=cpu, segment_bytes=SEGMENT_BYTES, write_through=False, ring_bytes=1 << 20)


def _measured(count: int, measure: Callable[[Any], int]) -> list[int]:
    ns = ffi.new("int64_t[]", count)
    done = measure(ns)
    if done != count:
        raise SystemExit(f"lockstep bench: message {done + 1} of {count} was not answered")
    return list(ns)


def _futex(count: int) -> list[int]:
    return _measured(count, lambda ns: int(lib.lockstep_measure_futex(count, ns)))


def _trips(journal: Path, idle: str, count: int, rounds: int) -> list[list[int]]:
    first, last = cores()
    apart = idle == "spin" and first != last
    with (
        SequencerProcess(journal, _settings(idle, last if apart else None), SOURCES),
        Publisher.connect(journal, "bench") as publisher,
        JournalReader(journal, kinds=[KIND]) as reader,
    ):
        at = c_reader(reader)

        def once(ns: Any) -> int:
            measured: int = lib.lockstep_measure_trips(publisher.producer, at, KIND, count, IDLE[idle], PATIENCE_NS, ns)
            return measured

        if not apart:
            return [_measured(count, once) for _ in range(rounds)]
        with pinned(first):
            return [_measured(count, once) for _ in range(rounds)]


# ---- tick to order


def _host(journal: Path, idle: Any, cpu: int | None) -> None:
    raise SystemExit(run_apps(journal, ["ticker"], HostSettings(idle=idle, cpu=cpu)))


def _configure(journal: Path, loader: Publisher) -> None:
    """Say on the stream which app there is."""
    defined = (f.message for f in frames(journal, kinds=[SourceDefined.KIND]))
    known = {m.name: m.source for m in defined if isinstance(m, SourceDefined)}
    with loader.batch():
        loader.publish(ConfigItem(owner=known["ticker"], name=CLASS_ITEM, value=json.dumps(CLASS)))
        loader.publish(ConfigApplied(owner=known["ticker"], generation=1))


def _rounds(
    journal: Path, publisher: Publisher, host: Process, sequencer: HostedSequencer | None, idle: str, rounds: int, gap_ns: int
) -> list[list[int]]:
    body = TopOfBook(instrument=1, bid_px=6_000_000, bid_qty=5, ask_px=6_000_010, ask_qty=7).encode()
    loop = sequencer._loop if sequencer is not None else ffi.NULL
    with JournalReader(journal, kinds=[NewOrder.KIND]) as reader:
        at = c_reader(reader)

        def ticks(count: int, patience_ns: int) -> Callable[[Any], int]:
            return lambda ns: int(
                lib.lockstep_measure_answers(
                    publisher.producer, loop, at, TopOfBook.KIND, body, len(body), count, IDLE[idle], 1, gap_ns, patience_ns, ns
                )
            )

        # The app is there when it answers. Until then it has to be let in.
        one = ffi.new("int64_t *")
        while ticks(1, 100_000_000)(one) != 1:
            if host.process.exitcode is not None:
                raise SystemExit("lockstep bench: the app's host has ended")
            if sequencer is not None:
                sequencer.attend()
        ticks(TICKS // 10, PATIENCE_NS)(ffi.new("int64_t[]", TICKS // 10))
        return [_measured(TICKS, ticks(TICKS, PATIENCE_NS)) for _ in range(rounds)]


def _hosted_ticks(journal: Path, rounds: int, gap_ns: int) -> list[list[int]]:
    """The sequencer's loop in the gateway's thread, the app on the other core, both spinning."""
    first, last = cores()
    with hosted(journal, _settings("spin"), SOURCES, **SESSION) as sequencer:
        loader, publisher = sequencer.connect("loader"), sequencer.connect("bench")
        _configure(journal, loader)
        with Process(_host, journal, "spin", last if last != first else None) as host, pinned(first):
            return _rounds(journal, publisher, host, sequencer, "spin", rounds, gap_ns)


def _yielding_ticks(journal: Path, rounds: int) -> list[list[int]]:
    """Gateway, sequencer and app in processes of their own, all yielding."""
    with SequencerProcess(journal, _settings("yield"), SOURCES), Publisher.connect(journal, "loader") as loader:
        _configure(journal, loader)
        with Publisher.connect(journal, "bench") as publisher, Process(_host, journal, "yield", None) as host:
            return _rounds(journal, publisher, host, None, "yield", rounds, 0)
