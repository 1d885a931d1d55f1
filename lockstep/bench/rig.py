"""What the benches of the sequencer share: a folder that is removed again, a sequencer process, floods, pings, its memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journal.errors import OperatingError
from journal.kernel._journal import ffi as journal_ffi
from journal.messages import Clock, DurabilityPolicy, SessionMode, SourceRole, TopOfBook
from journal.segment import CONTROL, ControlPage
from journal.writer import JournalWriter
from lockstep.bench.memory import Memory, memory_of
from sequencer.client import Publisher
from sequencer.daemon import run_sequencer
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SequencerSettings, SourceSettings

KIND = 10_000
BODY_BYTES = 64
FRAME_BYTES = 64 + BODY_BYTES
PATIENCE_NS = 30_000_000_000
QUIET_NS = 20_000
SPARE_BYTES = 2 << 30
"""Left free on the disk for everybody else."""
SEGMENT_BYTES_MAX = (4 << 30) - 4096
LOG = "sequencer.log"
MEMORY = Path("/dev/shm")
spawn = multiprocessing.get_context("spawn")


def bytes_that_fit(place: Path, wanted: int, least: int) -> int:
    """`wanted`, or less on a disk with less; refused below `least`."""
    fit = shutil.disk_usage(place).free - SPARE_BYTES
    if fit < least:
        raise OperatingError(
            f"{place}: {(fit + SPARE_BYTES) >> 20} MiB free; this bench needs {(least + SPARE_BYTES) >> 20} MiB;"
            " choose another place with --folder"
        )
    return min(wanted, fit)


def memory_or(place: Path, wanted: int) -> Path:
    """A folder in memory with so many bytes, else `place`."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > wanted else place


@contextlib.contextmanager
def workspace(place: Path) -> Iterator[Path]:
    """A new folder, removed at the end, also when the bench is interrupted or terminated (`lockstep.ending`)."""
    work = Path(tempfile.mkdtemp(prefix="lockstep-bench-", dir=place))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def file_system(place: Path) -> str:
    """What a folder lies on, e.g. ext4."""
    best, kind = "", "unknown"
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, at, what, *_ = line.split()
            if str(place.resolve()).startswith(at) and len(at) >= len(best):
                best, kind = at, what
    return kind


def make_segment(journal: Path, frames_bytes: int, *, huge_pages: bool = False) -> None:
    """Begin a journal whose first segment takes the whole run: made, and on disk as zeros, before the clock starts."""
    segment_bytes = min(frames_bytes + (8 << 20), SEGMENT_BYTES_MAX) // 4096 * 4096
    with JournalWriter.open(journal, segment_bytes=segment_bytes, write_through=True, huge_pages=huge_pages) as writer:
        writer.append(Clock(), ts=1)


def _sequencer(journal: Path, settings: SequencerSettings, publishers: int, readers: int, ready: Any) -> None:
    log = os.open(journal.parent / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, 2)
    sources = [
        SourceSettings(name=f"bench{i}", role=SourceRole.MARKET_DATA, kinds=[KIND, TopOfBook.KIND]) for i in range(publishers)
    ]
    sources += [SourceSettings(name=f"reader{i}", role=SourceRole.SINK) for i in range(readers)]
    raise SystemExit(
        run_sequencer(
            journal, settings, sources, mode=SessionMode.SIMULATION, durability=DurabilityPolicy.WRITTEN,
            config_digest=bytes(32), ready=ready.set,
        )
    )  # fmt: skip


class Running:
    """A sequencer process for the time of a `with`, with sources bench0 … and reader0 …"""

    def __init__(self, journal: Path, settings: SequencerSettings, *, publishers: int = 1, readers: int = 1) -> None:
        self.journal = journal
        self.ready = spawn.Event()
        self.process = spawn.Process(target=_sequencer, args=(journal, settings, publishers, readers, self.ready))

    def __enter__(self) -> Running:
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        self.process.start()
        while not self.ready.wait(0.1):
            if self.process.exitcode is not None:
                told = (self.journal.parent / LOG).read_text().strip()
                raise OperatingError(f"the bench's sequencer did not start: {told[-300:]}")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.exitcode is None and self.process.pid:
            os.kill(self.process.pid, signal.SIGTERM)
        self.process.join(60)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        shutil.rmtree(self.journal, ignore_errors=True)

    def memory(self) -> Memory:
        """What it holds now."""
        assert self.process.pid is not None
        return memory_of(self.process.pid, self.journal)


def flood(publisher: Publisher, count: int, batch: int) -> None:
    """Publish `count` messages from C, committed in batches. Waits while the ring is full, without the GIL."""
    done = lib.lockstep_producer_flood(publisher.producer, KIND, publisher.next_source_seq, count, batch, PATIENCE_NS)
    publisher.gave_out(done)
    if done != count:
        raise OperatingError(f"the sequencer stood still after {done} of {count} messages, {publisher.state.name}")


class Pings:
    """Single messages from C, one in flight: microseconds until a reader may use each of them (`written`)."""

    def __init__(self, journal: Path, publisher: Publisher) -> None:
        self._control = ControlPage(journal / CONTROL)
        words = journal_ffi.addressof(self._control.c, "written_seq")
        self._written = ffi.cast("uint64_t *", int(journal_ffi.cast("uintptr_t", words)))
        self._publisher = publisher

    def measure(self, count: int, quiet_ns: int = QUIET_NS) -> list[float]:
        """In the order in which they were sent."""
        ns, publisher = ffi.new("int64_t[]", count), self._publisher
        done = lib.lockstep_producer_ping(
            publisher.producer, self._written, KIND, publisher.next_source_seq, count, quiet_ns, PATIENCE_NS, ns
        )
        publisher.gave_out(done)
        if done != count:
            raise OperatingError(f"message {done} of {count} was not sequenced, {publisher.state.name}")
        return [n / 1000 for n in ns]

    @property
    def place(self) -> tuple[int, int]:
        """(segment, offset) of the next frame."""
        published = int(self._control.c.published)
        return published >> 32, published & 0xFFFFFFFF


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
