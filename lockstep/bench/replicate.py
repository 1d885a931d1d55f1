"""`lockstep bench replicate`: publisher → sequencer → journal → replication server → TCP → follower, while being written.

The figure is messages a second that stand, checked, in the follower's folder; the two folders are compared byte by byte
afterwards. The lag is taken at a steady pace: from a frame's own timestamp until a reader of the replica could see it.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import shutil
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from journal.messages import DurabilityPolicy, SessionMode, SourceRole
from journal.segment import CONTROL, ControlPage, segment_files
from lockstep.bench.conditions import conditions
from lockstep.bench.system import core_to_core_ns
from lockstep.option_types import folder, whole
from sequencer.client import Publisher
from sequencer.daemon import run_sequencer
from sequencer.kernel._sequencer import lib
from sequencer.remote.follower import Follower
from sequencer.remote.replica import Replica
from sequencer.remote.server import ReplicationServer
from sequencer.remote.settings import SOURCE, FollowerSettings, ReplicationSettings
from sequencer.settings import SequencerSettings, SourceSettings

KIND = 10_000
BODY_BYTES = 64
BATCH = 512
SEGMENT_BYTES_MAX = 2 << 30
PATIENCE_NS = 60_000_000_000
LOOK_S = 0.0005
PACE_PER_S = 100_000
PACE_BATCH = 10
PACE_S = 2.0
_spawn = multiprocessing.get_context("spawn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench replicate`."""
    parser.add_argument(
        "--size", type=whole(1 << 20), default=512 << 20, metavar="BYTES", help="journal to write (default 512 MiB)"
    )
    parser.add_argument(
        "--rounds", type=whole(1), default=5, metavar="N", help="runs of each kind; the median is told (default 5)"
    )
    parser.add_argument(
        "--folder", type=folder, default=None, help="where the journals are made (default: the temporary folder)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    return measure(arguments.size, rounds=arguments.rounds, folder=arguments.folder)


def measure(size_bytes: int = 512 << 20, *, rounds: int = 5, folder: Path | None = None) -> dict[str, Any]:
    """Run the bench in a folder of its own, which is removed again."""
    place = Path(folder or tempfile.gettempdir())
    free, wanted = shutil.disk_usage(place).free, size_bytes * 4 + (1 << 30)
    if free < wanted:
        raise SystemExit(f"lockstep bench: {place}: {free >> 20} MiB free; this run needs {wanted >> 20} MiB")
    work = Path(tempfile.mkdtemp(prefix="lockstep-bench-", dir=place))
    try:
        apart, full = [core_to_core_ns()], []
        for _ in range(rounds):
            full.append(_flood(work, size_bytes, BODY_BYTES))
            apart.append(core_to_core_ns())
        small = [_flood(work, size_bytes, 0) for _ in range(rounds)]
        lag = _paced(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    metrics = {
        "replicate_per_s": round(statistics.median(full)),
        "replicate_small_per_s": round(statistics.median(small)),
        "replicate_mib_per_s": round(statistics.median(full) * (64 + BODY_BYTES) / (1 << 20)),
        **lag,
    }
    told = conditions(
        body_bytes=BODY_BYTES, journal_bytes=size_bytes, batch=BATCH, rounds=rounds, core_to_core_ns=apart,
        replicate_per_s_runs=[round(x) for x in full], replicate_small_per_s_runs=[round(x) for x in small],
        identical="compared byte by byte", transport="TCP over loopback, without TLS", lag_pace_per_s=PACE_PER_S,
        huge_pages="the primary's journal", disk=f"{place}: both journals are synced behind their tails",
    )  # fmt: skip
    return {"bench": "replicate", "conditions": told, "metrics": metrics}


# ---- the processes


def _sequencer(journal: Path, segment_bytes: int, ready: Any) -> None:
    settings = SequencerSettings(
        idle="spin-then-park", ring_bytes=1 << 20, huge_pages=True, write_through=False, segment_bytes=segment_bytes
    )
    sources = [
        SourceSettings(name="bench", role=SourceRole.MARKET_DATA, kinds=[KIND]),
        SourceSettings(name=SOURCE, role=SourceRole.SUPERVISOR, kinds=[24]),
    ]
    raise SystemExit(
        run_sequencer(
            journal, settings, sources, mode=SessionMode.SIMULATION, durability=DurabilityPolicy.WRITTEN,
            config_digest=bytes(32), ready=ready.set,
        )
    )  # fmt: skip


def _serve(journal: Path, spin_us: int, port: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = ReplicationSettings(
        listen="127.0.0.1:0", spin_us=spin_us, follower={"follower": FollowerSettings(node=1, required=True)}
    )
    server = ReplicationServer(
        journal,
        settings,
    )
    server.start()
    port.value = server.address[1]
    stop.wait()
    server.close()


def _follow(folder: Path, port: int, lags: Any) -> None:
    replica = Replica(folder)
    follower = Follower(replica, [("127.0.0.1", port)], "follower")
    signal.signal(signal.SIGTERM, lambda *_: follower.stop())
    replica.lags = []
    follower.run()
    if lags is not None:
        lags.put(replica.lags)
    replica.close()


def _publish(journal: Path, count: int, go: Any) -> None:
    gc.freeze()  # its end collects nothing then, beside processes that are measured
    with Publisher.connect(journal, "bench") as publisher:
        go.wait()
        done = lib.lockstep_producer_flood(publisher.producer, KIND, publisher.next_source_seq, count, BATCH, PATIENCE_NS)
        if done != count:
            raise SystemExit(f"the sequencer stood still after {done} of {count} messages")


def _publish_small(journal: Path, count: int, go: Any) -> None:
    with Publisher.connect(journal, "bench") as publisher:
        go.wait()
        flood = lib.lockstep_producer_flood_empty
        done = flood(publisher.producer, KIND, publisher.next_source_seq, count, BATCH, PATIENCE_NS)
        if done != count:
            raise SystemExit(f"the sequencer stood still after {done} of {count} messages")


def _publish_paced(journal: Path, count: int, go: Any) -> None:
    """At a steady pace, whatever becomes of what was sent."""
    body = bytes(BODY_BYTES)
    with Publisher.connect(journal, "bench") as publisher:
        go.wait()
        due = time.perf_counter_ns()
        for _ in range(count // PACE_BATCH):
            due += PACE_BATCH * 1_000_000_000 // PACE_PER_S
            while time.perf_counter_ns() < due:
                time.sleep(0)
            with publisher.batch():
                for _ in range(PACE_BATCH):
                    publisher.publish_bytes(KIND, 1, body)


class _Running:
    """Sequencer, server, follower and a publisher that waits for `go`, for the time of a `with`."""

    def __init__(self, work: Path, segment_bytes: int, publish: Any, count: int, *, spin_us: int, lags: bool) -> None:
        self.journal, self.replica = work / "primary", work / "replica"
        self.ready, self.stop, self.go = _spawn.Event(), _spawn.Event(), _spawn.Event()
        self.port = _spawn.Value("i", 0)
        self.lags = _spawn.Queue() if lags else None
        self.sequencer = _spawn.Process(target=_sequencer, args=(self.journal, segment_bytes, self.ready))
        self.server = _spawn.Process(target=_serve, args=(self.journal, spin_us, self.port, self.stop))
        self.publisher = _spawn.Process(target=publish, args=(self.journal, count, self.go))
        self.follower: Any = None

    def __enter__(self) -> _Running:
        self.sequencer.start()
        self._until(self.ready.is_set)
        self.server.start()
        self._until(lambda: self.port.value != 0)
        self.follower = _spawn.Process(target=_follow, args=(self.replica, self.port.value, self.lags))
        self.follower.start()
        self.publisher.start()
        # Both sides have the segments of the run ready before it begins, as on a trading day.
        self._until(lambda: len(self.segments(self.journal)) >= 2 and len(self.segments(self.replica)) >= 2)
        self.primary_page, self.replica_page = ControlPage(self.journal / CONTROL), ControlPage(self.replica / CONTROL)
        quiet = time.monotonic() + 0.5
        self._until(lambda: time.monotonic() > quiet)
        return self

    @staticmethod
    def segments(folder: Path) -> list[Any]:
        return segment_files(folder) if folder.exists() else []

    def _until(self, condition: Any) -> None:
        while not condition():
            for process in (self.sequencer, self.server, self.follower, self.publisher):
                if process is not None and process.pid and process.exitcode:
                    raise SystemExit(f"lockstep bench: a process ended with {process.exitcode}")
            time.sleep(LOOK_S)

    def until_replicated(self, seq: int) -> None:
        """Until the replica shows so many frames."""
        self._until(lambda: self.replica_page.c.written_seq >= seq)

    def __exit__(self, kind: Any, *_: object) -> None:
        self.publisher.join(30)
        if kind is None:
            # The last words of the stream too.
            os.kill(self.sequencer.pid or 0, signal.SIGTERM)
            self.sequencer.join(30)
            end = time.monotonic() + 30
            while self.replica_page.c.written_seq < self.primary_page.c.written_seq and time.monotonic() < end:
                time.sleep(LOOK_S)
        if self.follower is not None and self.follower.exitcode is None:
            os.kill(self.follower.pid, signal.SIGTERM)
        self.lag = self.lags.get(timeout=60) if self.lags is not None and kind is None else []
        if self.follower is not None:
            self.follower.join(30)
        self.stop.set()
        self.server.join(30)
        for process in (self.sequencer, self.server, self.follower, self.publisher):
            if process is not None and process.exitcode is None and process.pid:
                process.kill()
                process.join()


def _flood(work: Path, size_bytes: int, body_bytes: int) -> float:
    """Messages a second in the replica."""
    count = size_bytes // (64 + body_bytes)
    # One segment takes the run: sealing the one before is other work, on a core of its own where there is one.
    segment_bytes = min(size_bytes + (8 << 20), SEGMENT_BYTES_MAX) >> 20 << 20
    try:
        with _Running(work, segment_bytes, _publish if body_bytes else _publish_small, count, spin_us=50, lags=False) as system:
            first = int(system.primary_page.c.written_seq)
            start = time.perf_counter()
            system.go.set()
            system.until_replicated(first + count)
            elapsed = time.perf_counter() - start
        _identical(system.journal, system.replica)
    finally:
        for name in ("primary", "replica"):
            shutil.rmtree(work / name, ignore_errors=True)
    return count / elapsed


def _paced(work: Path) -> dict[str, float]:
    """The lag at a steady pace."""
    count = int(PACE_PER_S * PACE_S)
    try:
        with _Running(work, 64 << 20, _publish_paced, count, spin_us=50, lags=True) as system:
            first = int(system.primary_page.c.written_seq)
            system.go.set()
            system.until_replicated(first + count)
        _identical(system.journal, system.replica)
    finally:
        for name in ("primary", "replica"):
            shutil.rmtree(work / name, ignore_errors=True)
    lags = sorted(ns / 1000 for frames, ns in system.lag for _ in range(frames))
    return {"lag_us_p50": round(lags[len(lags) // 2], 1), "lag_us_p99": round(lags[len(lags) * 99 // 100], 1)}


def _identical(primary: Path, replica: Path) -> None:
    """Every byte of every segment."""
    for (_, ours), (_, theirs) in zip(segment_files(primary), segment_files(replica), strict=False):
        with ours.open("rb") as a, theirs.open("rb") as b:
            while x := a.read(1 << 22):
                if x != b.read(1 << 22):
                    raise SystemExit(f"lockstep bench: {theirs} differs from {ours}")
