"""`lockstep bench durable`: sustained durable appends beside the disk's own write() + fdatasync, one durable
acknowledgement beside one fdatasync, and what the sync thread costs a stream that does not wait for it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journal.kernel._journal import ffi as journal_ffi
from journal.messages import SourceRole
from journal.reader import JournalReader
from journal.segment import CONTROL, ControlPage
from lockstep.bench.conditions import conditions
from lockstep.bench.system import SPAWN, SequencerProcess, c_reader, cores, percentile_us, pinned, work_folder
from lockstep.option_types import folder, whole
from sequencer.client import Publisher
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import IDLE, SequencerSettings, SourceSettings

KIND = 10_000
FRAME_BYTES = 128
BATCH = 512
ACKS = 1_000
SYNCS = 500
TRIPS = 50_000
PAGE_BYTES = 4096
SYNC_FILE_BYTES = 16 << 20
WRITE_BYTES = 1 << 20
PATIENCE_NS = 30_000_000_000
NEVER_US = 10_000_000
SOURCES = [SourceSettings(name="bench", role=SourceRole.MARKET_DATA, kinds=[KIND])]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench durable`."""
    parser.add_argument(
        "--size", type=whole(1 << 20), default=512 << 20, metavar="BYTES", help="journal of a round (default 512 MiB)"
    )
    parser.add_argument("--rounds", type=whole(1), default=3, help="rounds of each figure; their median counts (default: 3)")
    parser.add_argument("--folder", type=folder, default=None, help="where the journal is made (default: the temporary folder)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    size, rounds = arguments.size, arguments.rounds
    with work_folder(arguments.folder, size * 4 + (1 << 30)) as work:
        # Side by side, round by round: a shared disk has moods.
        written, appended = [], []
        for n in range(rounds):
            written.append(_disk_bandwidth(work / "file", size))
            appended.append(_durable_bandwidth(work / f"stream{n}", size))
        syncs, acks = [], []
        for n in range(rounds):
            syncs.append(percentile_us(_syncs(work / "file"), 0.5))
            acks.append(_acknowledgements(work / f"acks{n}"))
        on, off = [], []
        for n in range(rounds):
            on.append(percentile_us(_trips(work / f"on{n}", SequencerSettings().sync_interval_us), 0.5))
            off.append(percentile_us(_trips(work / f"off{n}", NEVER_US), 0.5))
    metrics = {
        "durable_mib_per_s": statistics.median(appended),
        "disk_mib_per_s": statistics.median(written),
        "durable_ratio": statistics.median(a / w for a, w in zip(appended, written, strict=True)),
        "durable_ack_us_p50": statistics.median(percentile_us(ns, 0.5) for ns in acks),
        "durable_ack_us_p99": statistics.median(percentile_us(ns, 0.99) for ns in acks),
        "fdatasync_us_p50": statistics.median(syncs),
        "durable_ack_ratio": statistics.median(percentile_us(a, 0.5) / s for a, s in zip(acks, syncs, strict=True)),
        "sync_on_us_p50": statistics.median(on),
        "sync_off_us_p50": statistics.median(off),
        "sync_impact": statistics.median(a / b for a, b in zip(on, off, strict=True)),
    }
    mine = len(os.sched_getaffinity(0))
    told = conditions(
        journal_bytes=size, rounds=rounds, frame_bytes=FRAME_BYTES, sync_interval_us=SequencerSettings().sync_interval_us,
        spare_core="yes" if mine > 2 else "no: publisher and sequencer spin, the sync thread takes turns with one of them",
    )  # fmt: skip
    return {"bench": "durable", "conditions": told, "metrics": {k: round(v, 2) for k, v in metrics.items()}}


def _disk_bandwidth(file: Path, size: int) -> float:
    """MiB/s of write() in mebibytes and one fdatasync at the end: what this disk takes."""
    block = bytes(WRITE_BYTES)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        start = time.perf_counter()
        for _ in range(size // WRITE_BYTES):
            os.write(fd, block)
        os.fdatasync(fd)
        return size / (1 << 20) / (time.perf_counter() - start)
    finally:
        os.close(fd)
        file.unlink()


def _flood(journal: Path, count: int, go: Any) -> None:
    with Publisher.connect(journal, "bench") as publisher:
        go.wait()
        done = lib.lockstep_producer_flood(publisher.producer, KIND, publisher.next_source_seq, count, BATCH, PATIENCE_NS)
        if done != count:
            raise SystemExit(f"lockstep bench: the sequencer stood still after {done} of {count} messages")


@contextlib.contextmanager
def _control(journal: Path) -> Iterator[Any]:
    page = ControlPage(journal / CONTROL)
    yield page.c
    del page


def _durable_bandwidth(journal: Path, size: int) -> float:
    """MiB/s from the first message until the last one is on disk, as a daemon runs: segments are made meanwhile."""
    count = size // FRAME_BYTES
    go = SPAWN.Event()
    with SequencerProcess(journal, SequencerSettings(), SOURCES), _control(journal) as control:
        publisher = SPAWN.Process(target=_flood, args=(journal, count, go), daemon=True)
        publisher.start()
        with JournalReader(journal) as reader:
            while reader.written_seq < len(SOURCES) + 4:
                time.sleep(0.01)  # the publisher attaches: its SourceState
        before = int(control.written_seq)
        start = time.perf_counter()
        go.set()
        while int(control.durable_seq) < before + count:
            time.sleep(0.001)
            if publisher.exitcode:
                raise SystemExit("lockstep bench: the publisher failed")
        elapsed = time.perf_counter() - start
        publisher.join()
    return size / (1 << 20) / elapsed


def _syncs(file: Path) -> list[int]:
    """A page of an allocated, once written file: pwrite and fdatasync."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(fd, bytes(SYNC_FILE_BYTES))
        os.fdatasync(fd)
        ns = ffi.new("int64_t[]", SYNCS)
        if lib.lockstep_measure_syncs(fd, PAGE_BYTES, SYNC_FILE_BYTES, SYNCS, ns) != SYNCS:
            raise SystemExit(f"lockstep bench: {file}: fdatasync failed")
        return list(ns)
    finally:
        os.close(fd)
        file.unlink()


def _acknowledgements(journal: Path) -> list[int]:
    """One message in flight, from publish until it is known to be on disk; the publisher sleeps meanwhile."""
    ns = ffi.new("int64_t[]", ACKS)
    with (
        SequencerProcess(journal, SequencerSettings(), SOURCES),
        _control(journal) as control,
        Publisher.connect(journal, "bench") as publisher,
    ):
        durable = ffi.cast("uint64_t *", int(journal_ffi.cast("uintptr_t", journal_ffi.addressof(control, "durable_seq"))))
        if lib.lockstep_measure_durable(publisher.producer, durable, KIND, ACKS, PATIENCE_NS, ns) != ACKS:
            raise SystemExit("lockstep bench: a message did not become durable")
    return list(ns)


def _trips(journal: Path, sync_interval_us: int) -> list[int]:
    """Trips of single messages, both ends spinning, with the sync thread at work or as good as asleep."""
    first, last = cores()
    settings = SequencerSettings(
        idle="spin", cpu=last if last != first else None, segment_bytes=64 << 20, sync_interval_us=sync_interval_us
    )
    ns = ffi.new("int64_t[]", TRIPS)
    with (
        SequencerProcess(journal, settings, SOURCES),
        Publisher.connect(journal, "bench") as publisher,
        JournalReader(journal, kinds=[KIND]) as reader,
        pinned(first),
    ):
        at = c_reader(reader)
        if lib.lockstep_measure_trips(publisher.producer, at, KIND, TRIPS, IDLE["spin"], PATIENCE_NS, ns) != TRIPS:
            raise SystemExit("lockstep bench: a message was not answered")
    return list(ns)
