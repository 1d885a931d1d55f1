"""What several benches need: a folder that is taken away again, a sequencer process, figures of a list of durations."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from journal.kernel._journal import ffi as journal_ffi
from journal.messages import DurabilityPolicy, SessionMode
from journal.reader import JournalReader
from sequencer.daemon import run_sequencer
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SequencerSettings, SourceSettings

SPAWN = multiprocessing.get_context("spawn")
SESSION: dict[str, Any] = {"mode": SessionMode.SIMULATION, "durability": DurabilityPolicy.WRITTEN}


@contextlib.contextmanager
def work_folder(place: Path | None, wanted_bytes: int) -> Iterator[Path]:
    """An empty folder for the time of a `with`; the disk is looked at first."""
    at = Path(place or tempfile.gettempdir())
    free = shutil.disk_usage(at).free
    if free < wanted_bytes:
        raise SystemExit(f"lockstep bench: {at}: {free >> 20} MiB free; this run needs {wanted_bytes >> 20} MiB")
    work = Path(tempfile.mkdtemp(prefix="lockstep-bench-", dir=at))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sequencer(journal: Path, settings: SequencerSettings, sources: Sequence[SourceSettings], ready: Any) -> None:
    raise SystemExit(run_sequencer(journal, settings, sources, **SESSION, config_digest=bytes(32), ready=ready.set))


class Process:
    """A process for the time of a `with`; SIGTERM ends it."""

    def __init__(self, target: Any, *arguments: Any) -> None:
        self.process = SPAWN.Process(target=target, args=arguments, daemon=True)

    def __enter__(self) -> Process:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.exitcode is None and self.process.pid:
            os.kill(self.process.pid, signal.SIGTERM)
        self.process.join(10)
        if self.process.exitcode is None:
            self.process.kill()


class SequencerProcess(Process):
    """A sequencer in a process of its own, ready inside the `with`."""

    def __init__(self, journal: Path, settings: SequencerSettings, sources: Sequence[SourceSettings]) -> None:
        self.ready = SPAWN.Event()
        super().__init__(_sequencer, journal, settings, sources, self.ready)

    def __enter__(self) -> SequencerProcess:
        super().__enter__()
        while not self.ready.wait(0.1):
            if self.process.exitcode is not None:
                raise SystemExit("lockstep bench: the sequencer did not start")
        return self


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """This thread on one core for the time of a `with`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores() -> tuple[int, int]:
    """The first and the last core we may use; the same one twice on a machine with one."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


def core_to_core_ns(count: int = 500) -> int:
    """A cache line from our first core to our last one and back: nanoseconds, the median of `count`; 0 on a machine with one.

    Where a host moves a virtual machine's cores between chiplets this changes from one second to the next, by four times and
    more, and every figure of processes that hand each other lines with it.
    """
    first, last = cores()
    if first == last:
        return 0
    ns = ffi.new("int64_t[]", count)
    with pinned(first):
        lib.lockstep_measure_line(count, last, ns)
    return int(statistics.median(ns))


def c_reader(reader: JournalReader) -> Any:
    """The reader's struct for functions of the sequencer's kernel; at the tail, everything before it passed over."""
    while reader.poll() is not None:
        pass
    return ffi.cast("struct lockstep_reader *", int(journal_ffi.cast("uintptr_t", reader._c)))


def percentile_us(ns: Sequence[int], share: float) -> float:
    """A percentile of durations in nanoseconds, in microseconds."""
    ordered = sorted(ns)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000
