"""`lockstep bench sequencer`: publisher → ring → sequencer → journal → reader, each a process; 64-byte bodies, crc checked.

Throughput of a publisher that commits in batches (into segments made before, and into default ones made meanwhile), of one that
commits every message, and the time from `publish` of a single message on a quiet machine until a reader may use it (`written`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from journal.kernel._journal import ffi as journal_ffi
from journal.messages import DurabilityPolicy, SessionMode, SourceRole, SourceState
from journal.reader import Batch, JournalReader
from journal.segment import CONTROL, ControlPage
from journal.writer import JournalWriter
from lockstep.bench.conditions import conditions
from sequencer.client import Publisher
from sequencer.daemon import run_sequencer
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SequencerSettings, SourceSettings

KIND = 10_000
BODY_BYTES = 64
FRAME_BYTES = 64 + BODY_BYTES
BATCH = 512
POLLS_BEFORE_SLEEP = 20
SEGMENT_BYTES_MAX = 2 << 30
PREPARE_BYTES = 128 << 20
SINGLES_MAX = 4_000_000
PINGS = 20_000
QUIET_NS = 20_000
PATIENCE_NS = 30_000_000_000
_spawn = multiprocessing.get_context("spawn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench sequencer`."""
    parser.add_argument("--size", type=int, default=1 << 30, metavar="BYTES", help="journal to write (default 1 GiB)")
    parser.add_argument("--ring", type=int, default=1 << 20, metavar="BYTES", help="the publisher's ring (default 1 MiB)")
    parser.add_argument("--folder", type=Path, default=None, help="where the journal is made (default: the temporary folder)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    return measure(arguments.size, ring_bytes=arguments.ring, folder=arguments.folder)


def measure(size_bytes: int = 1 << 30, *, ring_bytes: int = 1 << 20, folder: Path | None = None) -> dict[str, Any]:
    """Run the bench in a folder of its own, which is removed again."""
    place = Path(folder or tempfile.gettempdir())
    free, wanted = shutil.disk_usage(place).free, size_bytes * 2 + (1 << 30)
    if free < wanted:
        raise SystemExit(f"lockstep bench: {place}: {free >> 20} MiB free; this run needs {wanted >> 20} MiB")
    work = Path(tempfile.mkdtemp(prefix="lockstep-bench-", dir=place))
    try:
        # Two segments hold the whole run; both are made before it begins, as on a trading day. What making them costs is a
        # figure of its own: a stream that never ends cannot be faster than that.
        segment_bytes = min(size_bytes // 2 + (8 << 20), SEGMENT_BYTES_MAX) >> 20 << 20
        settings = SequencerSettings(idle="spin", ring_bytes=ring_bytes, write_through=False, segment_bytes=segment_bytes)
        metrics = {
            "messages_per_s": _throughput(work / "batched", settings, size_bytes // FRAME_BYTES, BATCH),
            # As a daemon runs by default: 64 MiB segments, made on disk in the background while the stream goes on.
            "rolling_per_s": _throughput(
                work / "rolling", SequencerSettings(idle="spin", ring_bytes=ring_bytes), size_bytes // FRAME_BYTES, BATCH
            ),
            "single_per_s": _throughput(work / "single", settings, min(size_bytes // FRAME_BYTES, SINGLES_MAX), 1),
            **_trips(work / "trip", settings),
            "prepare_mib_per_s": _preparation(work / "prepare"),
        }
    finally:
        shutil.rmtree(work, ignore_errors=True)
    metrics["mib_per_s"] = metrics["messages_per_s"] * FRAME_BYTES / (1 << 20)
    told = conditions(
        idle=settings.idle,
        body_bytes=BODY_BYTES,
        journal_bytes=size_bytes,
        segment_bytes=settings.segment_bytes,
        ring_bytes=settings.ring_bytes,
        batch=BATCH,
        disk=f"{place} ({_file_system(place)}), synced behind the tail every {settings.sync_interval_us} us",
    )
    rounded = {name: round(value, 2) if "_us_" in name else round(value) for name, value in metrics.items()}
    return {"bench": "sequencer", "conditions": told, "metrics": rounded}


def _file_system(place: Path) -> str:
    best, kind = "", "unknown"
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, at, what, *_ = line.split()
            if str(place.resolve()).startswith(at) and len(at) >= len(best):
                best, kind = at, what
    return kind


# ---- the processes


def _sequencer(journal: Path, settings: SequencerSettings, ready: Any) -> None:
    sources = [
        SourceSettings(name="bench", role=SourceRole.MARKET_DATA, kinds=[KIND]),
        SourceSettings(name="reader", role=SourceRole.SINK),
    ]
    raise SystemExit(
        run_sequencer(
            journal, settings, sources, mode=SessionMode.SIMULATION, durability=DurabilityPolicy.WRITTEN,
            config_digest=bytes(32), ready=ready.set,
        )
    )  # fmt: skip


def _publish(journal: Path, count: int, batch: int, go: Any) -> None:
    with Publisher.connect(journal, "bench") as publisher:
        go.wait()
        done = lib.lockstep_producer_flood(publisher.producer, KIND, publisher.next_source_seq, count, batch, PATIENCE_NS)
        if done != count:
            raise SystemExit(f"the sequencer stood still after {done} of {count} messages, {publisher.state.name}")


class _Running:
    """A sequencer process for the time of a `with`."""

    def __init__(self, journal: Path, settings: SequencerSettings) -> None:
        self.ready = _spawn.Event()
        self.process = _spawn.Process(target=_sequencer, args=(journal, settings, self.ready))

    def __enter__(self) -> None:
        self.process.start()
        while not self.ready.wait(0.1):
            if self.process.exitcode is not None:
                raise SystemExit("lockstep bench: the sequencer did not start")

    def __exit__(self, *_: object) -> None:
        if self.process.exitcode is None and self.process.pid:
            os.kill(self.process.pid, signal.SIGTERM)
        self.process.join(30)


def _throughput(journal: Path, settings: SequencerSettings, count: int, batch: int) -> float:
    with _Running(journal, settings):
        go = _spawn.Event()
        publisher = _spawn.Process(target=_publish, args=(journal, count, batch, go))
        publisher.start()
        # Delivers control frames only; every frame is looked at and its crc checked, in C. It sleeps as a host does.
        with Publisher.connect(journal, "reader") as wake, JournalReader(journal, kinds=range(1, 100)) as reader:
            control, attached = 0, 0
            while attached < 2:
                attached += sum(kind == SourceState.KIND for _, kind, *_ in _next(reader, publisher, wake))
            first = reader.next_seq
            start = time.perf_counter()
            go.set()
            while reader.next_seq - first - control < count:
                control += len(_next(reader, publisher, wake))
            elapsed = time.perf_counter() - start
        publisher.join()
    shutil.rmtree(journal, ignore_errors=True)
    return count / elapsed


def _next(reader: JournalReader, publisher: Any, wake: Publisher) -> Batch:
    """The next frames; sleeps while there are none."""
    while True:
        for _ in range(POLLS_BEFORE_SLEEP):
            if (batch := reader.poll()) is not None:
                return batch
        if publisher.exitcode:
            raise SystemExit("lockstep bench: the publisher failed")
        wake.wait(0.5, unless=lambda: reader.written_seq >= reader.next_seq)


def _preparation(journal: Path) -> float:
    """MiB of segments made ready a second, by one thread with nothing else to do."""
    start = time.perf_counter()
    with JournalWriter.open(journal, segment_bytes=PREPARE_BYTES):
        return PREPARE_BYTES / (1 << 20) / (time.perf_counter() - start)


def _trips(journal: Path, settings: SequencerSettings) -> dict[str, float]:
    with _Running(journal, settings), Publisher.connect(journal, "bench") as publisher:
        ns = ffi.new("int64_t[]", PINGS)
        control = ControlPage(journal / CONTROL)
        written = ffi.cast("uint64_t *", int(journal_ffi.cast("uintptr_t", journal_ffi.addressof(control.c, "written_seq"))))
        done = lib.lockstep_producer_ping(
            publisher.producer, written, KIND, publisher.next_source_seq, PINGS, QUIET_NS, PATIENCE_NS, ns
        )
        if done != PINGS:
            raise SystemExit(f"lockstep bench: message {done} of {PINGS} was not sequenced, {publisher.state.name}")
        c = sorted(ns[i] / 1000 for i in range(PINGS))
        python = sorted(_python_trips(journal, publisher, PINGS // 4))
    return {
        "trip_us_p50": c[len(c) // 2],
        "trip_us_p99": c[len(c) * 99 // 100],
        "trip_us_max": c[-1],
        "python_trip_us_p50": python[len(python) // 2],
        "python_trip_us_p99": python[len(python) * 99 // 100],
    }


def _python_trips(journal: Path, publisher: Publisher, count: int) -> list[float]:
    """The same trip through the Python API on both ends, crc checked, one in flight."""
    body, found = bytes(BODY_BYTES), []
    publisher.gave_out(PINGS)
    with JournalReader(journal, kinds=[KIND]) as reader:
        while reader.poll() is not None:
            pass
        for _ in range(count):
            quiet = time.perf_counter_ns() + QUIET_NS
            while time.perf_counter_ns() < quiet:
                pass
            start = time.perf_counter_ns()
            publisher.publish_bytes(KIND, 1, body)
            while True:
                batch = reader.poll()
                if batch is not None and len(batch):
                    break
            found.append((time.perf_counter_ns() - start) / 1000)
    return found
