"""`lockstep bench sequencer`: publisher → ring → sequencer → journal → reader, each a process; 64-byte bodies, crc checked.

Throughput of a publisher that commits in batches (into a segment made before, and into default ones made meanwhile), of one
that commits every message; the time from `publish` of one message on a quiet machine until a reader may use it (`written`);
what a publish costs in Python; the memory the sequencer holds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from journal.messages import SourceState, TopOfBook
from journal.reader import Batch, JournalReader
from journal.writer import JournalWriter
from lockstep.bench import rig
from lockstep.bench.conditions import conditions
from lockstep.bench.rig import BODY_BYTES, FRAME_BYTES, KIND, QUIET_NS
from lockstep.bench.system import core_to_core_ns
from lockstep.option_types import folder, ring_bytes, whole
from sequencer.client import Publisher
from sequencer.settings import SequencerSettings

BATCH = 512
NAP_S = 0.0002
"""So long a reader that has caught up sleeps: it is asked for throughput, not for its answer."""
PREPARE_BYTES = 128 << 20
SIZE_LEAST = 128 << 20
SINGLES_MAX = 4_000_000
PINGS = 20_000
ROUNDS = 200
ROUND_MESSAGES = 500
ROWS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench sequencer`."""
    parser.add_argument(
        "--size",
        type=whole(SIZE_LEAST),
        default=4 << 30,
        metavar="BYTES",
        help="frames to write (default 4 GiB, or what the disk has free)",
    )
    parser.add_argument(
        "--ring", type=ring_bytes, default=1 << 20, metavar="BYTES", help="the publisher's ring (default 1 MiB)"
    )
    parser.add_argument("--runs", type=whole(1), default=5, metavar="N", help="throughput: the median of N runs (default 5)")
    parser.add_argument("--folder", type=folder, default=None, help="where the journal is made (default: the temporary folder)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    return measure(arguments.size, ring_bytes=arguments.ring, folder=arguments.folder, runs=arguments.runs)


def measure(size_bytes: int, *, ring_bytes: int = 1 << 20, folder: Path | None = None, runs: int = 1) -> dict[str, Any]:
    """Run the bench in a folder of its own, which is removed again."""
    place = Path(folder or tempfile.gettempdir())
    size_bytes = rig.bytes_that_fit(place, size_bytes, SIZE_LEAST)
    count = size_bytes // FRAME_BYTES
    settings = SequencerSettings(idle="spin", ring_bytes=ring_bytes)
    with rig.workspace(place) as work:
        # One segment takes the whole run and is made before it begins, as on a trading day. What making segments costs is a
        # figure of its own (rolling): a stream that never ends cannot be faster than that.
        # Streams of batches under the default idle policy: three processes and the sync thread share the cores, and a loop that
        # spins while there is nothing takes one from them.
        stream = SequencerSettings(ring_bytes=ring_bytes)
        full_speed = msgspec.structs.replace(stream, huge_pages=True)
        apart = [core_to_core_ns()]
        batched = []
        for _ in range(runs):
            batched.append(_throughput(work / "batched", full_speed, count, BATCH, made_before=True))
            apart.append(core_to_core_ns())
        small = _throughput(work / "small", stream, count, BATCH, made_before=True)
        rolling = _throughput(work / "rolling", stream, count, BATCH)
        single = _throughput(work / "single", settings, min(count, SINGLES_MAX), 1, made_before=True)
        metrics = {
            "messages_per_s": statistics.median(rate for rate, _ in batched),
            "messages_per_s_most": max(rate for rate, _ in batched),
            "small_pages_per_s": small[0],
            "rolling_per_s": rolling[0],
            "single_per_s": single[0],
            **_one_by_one(work / "trip", settings),
            "sequencer_rss_mib": max(mib for _, mib in [*batched, small, rolling, single]),
            "prepare_mib_per_s": _preparation(work / "prepare"),
        }
    metrics["mib_per_s"] = metrics["messages_per_s"] * FRAME_BYTES / (1 << 20)
    told = conditions(
        idle=f"batches: {stream.idle}; one at a time: {settings.idle}",
        body_bytes=BODY_BYTES,
        journal_bytes=size_bytes,
        messages_per_s_runs=[round(rate) for rate, _ in batched],
        core_to_core_ns=apart,
        ring_bytes=settings.ring_bytes,
        batch=BATCH,
        huge_pages="messages_per_s: yes, all else: no",
        scheduling="real-time" if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR) else "ordinary",
        disk=f"{place} ({rig.file_system(place)}), synced behind the tail every {settings.sync_interval_us} us",
    )
    rounded = {
        n: round(value, 2) if "_us_" in n or n.endswith(("_ns", "_mib")) else round(value) for n, value in metrics.items()
    }
    return {"bench": "sequencer", "conditions": told, "metrics": rounded}


# ---- throughput


def _publish(journal: Path, count: int, batch: int, go: Any) -> None:
    with Publisher.connect(journal, "bench0") as publisher:
        go.wait()
        rig.flood(publisher, count, batch)


def _throughput(
    journal: Path, settings: SequencerSettings, count: int, batch: int, *, made_before: bool = False
) -> tuple[float, float]:
    """Messages a second from the first commit until the reader has checked the last frame; MiB of the sequencer then."""
    if made_before:
        rig.make_segment(journal, count * FRAME_BYTES, huge_pages=settings.huge_pages)
    with rig.Running(journal, settings) as running:
        go = rig.spawn.Event()
        publisher = rig.spawn.Process(target=_publish, args=(journal, count, batch, go))
        publisher.start()
        # Delivers control frames only; every frame is looked at and its crc checked, in C.
        with JournalReader(journal, kinds=range(1, 100)) as reader:
            control, attached = 0, 0
            while attached < 1:
                attached += sum(kind == SourceState.KIND for _, kind, *_ in _next(reader, publisher))
            first = reader.next_seq
            start = time.perf_counter()
            go.set()
            while reader.next_seq - first - control < count:
                control += len(_next(reader, publisher))
            elapsed = time.perf_counter() - start
        memory = running.memory().own
        publisher.join()
    return count / elapsed, memory


def _next(reader: JournalReader, publisher: Any) -> Batch:
    """The next frames; sleeps while there are none."""
    while (batch := reader.poll()) is None:
        if publisher.exitcode:
            raise SystemExit("lockstep bench: the publisher failed")
        time.sleep(NAP_S)
    return batch


def _preparation(journal: Path) -> float:
    """MiB of segments made ready a second, by one thread with nothing else to do."""
    start = time.perf_counter()
    with JournalWriter.open(journal, segment_bytes=PREPARE_BYTES):
        return PREPARE_BYTES / (1 << 20) / (time.perf_counter() - start)


# ---- one message


def _one_by_one(journal: Path, settings: SequencerSettings) -> dict[str, float]:
    with rig.Running(journal, settings), Publisher.connect(journal, "bench0") as publisher:
        c = rig.Pings(journal, publisher).measure(PINGS)
        python = _python_trips(journal, publisher, PINGS // 4)
        costs = _publish_costs(publisher)
    return {
        "trip_us_p50": rig.percentile(c, 0.5),
        "trip_us_p99": rig.percentile(c, 0.99),
        "trip_us_max": max(c),
        "python_trip_us_p50": rig.percentile(python, 0.5),
        "python_trip_us_p99": rig.percentile(python, 0.99),
        **costs,
    }


def _publish_costs(publisher: Publisher) -> dict[str, float]:
    """Nanoseconds of the public calls, with the loop that makes them; the ring has room, the sequencer reads it meanwhile."""
    body, rows, message = bytes(BODY_BYTES), bytes(BODY_BYTES * ROWS), TopOfBook(bid_px=1)
    return {
        "publish_ns": _cost(publisher, lambda: publisher.publish_bytes(KIND, 1, body)),
        "publish_message_ns": _cost(publisher, lambda: publisher.publish(message)),
        "publish_batch_ns": _cost(publisher, lambda: publisher.publish_rows(KIND, 1, rows, row_bytes=BODY_BYTES), ROWS),
    }


def _cost(publisher: Publisher, call: Callable[[], object], messages: int = 1) -> float:
    """The median of many short rounds, each begun with an empty ring."""
    found = []
    for _ in range(ROUNDS):
        last = publisher.next_source_seq - 1
        publisher.wait(1.0, unless=lambda last=last: publisher.accepted_source_seq >= last)
        calls = range(max(1, ROUND_MESSAGES // messages))
        start = time.perf_counter_ns()
        for _ in calls:
            call()
        found.append((time.perf_counter_ns() - start) / (len(calls) * messages))
    return statistics.median(found)


def _python_trips(journal: Path, publisher: Publisher, count: int) -> list[float]:
    """The same trip through the Python API on both ends, crc checked, one in flight."""
    body, found = bytes(BODY_BYTES), []
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
