"""`lockstep bench zero-impact`: what it costs the stream to be looked at: by its own telemetry, by readers, by `top`.

Two sequencers in memory, with and without telemetry, take the same floods in turns: `telemetry_ratio`. Then one on disk takes
floods and single messages alone, with eight tailers, a recorder and `top` attached, and alone again: `throughput_ratio` and
`p99_ratio` (the time until a message is written, alone over watched). Who looks needs a core of its own: `spare_cores` says how
many there were besides publisher and loop. Without one the ratios tell how the machine is shared, not what the stream pays.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from journal import logs
from journal.kernel._journal import ffi as journal_ffi
from journal.messages import DurabilityPolicy, SessionMode, SourceRole
from journal.reader import JournalReader
from journal.segment import CONTROL, ControlPage
from lockstep.bench.conditions import conditions
from sequencer.client import Publisher
from sequencer.daemon import run_sequencer
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SequencerSettings, SourceSettings

KIND = 10_000
FRAME_BYTES = 128
BATCH = 512
RING_BYTES = 1 << 20
PINGS = 4_000
QUIET_NS = 20_000
PATIENCE_NS = 30_000_000_000
TAILERS = 8
MEMORY = Path("/dev/shm")
BUSY_PROCESSES = 2
"""Publisher and loop; both never sleep while a flood is under way."""
_spawn = multiprocessing.get_context("spawn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench zero-impact`."""
    parser.add_argument("--messages", type=int, default=400_000, metavar="N", help="in one flood (default 400000)")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="floods of each kind (default 9)")
    parser.add_argument("--folder", type=Path, default=None, help="where the journals are made (default: the temporary folder)")
    parser.add_argument(
        "--follower", default="", metavar="COMMAND",
        help="one more that looks: a replication follower's command line; {journal} and {folder} are filled in",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    place = Path(arguments.folder or tempfile.gettempdir())
    flood = arguments.messages * FRAME_BYTES
    segment = max(64 << 20, (flood * arguments.rounds * 3 + (64 << 20)) >> 20 << 20)
    free, wanted = shutil.disk_usage(place).free, 4 * segment + (1 << 30)
    if free < wanted:
        raise SystemExit(f"lockstep bench: {place}: {free >> 20} MiB free; this run needs {wanted >> 20} MiB")
    work = Path(tempfile.mkdtemp(prefix="lkz-", dir=place))
    before = signal.signal(signal.SIGTERM, _end)  # what was made is removed however it ends
    try:
        memory = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > wanted else place
        with tempfile.TemporaryDirectory(prefix="lkz-", dir=memory) as inside:  # the loop is compared, not the disk
            metrics = _telemetry(Path(inside), segment, arguments)
        metrics |= _watched(work, segment, arguments)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)
    cores = len(os.sched_getaffinity(0))
    told = conditions(
        messages=arguments.messages, rounds=arguments.rounds, cores=cores, spare_cores=max(0, cores - BUSY_PROCESSES),
        watched_by=f"{TAILERS} tailers, recorder, top" + (", follower" if arguments.follower else ""),
        measured="with a spare core" if cores > BUSY_PROCESSES else "without a spare core: publisher and loop share theirs",
    )  # fmt: skip
    return {"bench": "zero-impact", "conditions": told, "metrics": metrics}


def _end(*_: object) -> None:
    raise SystemExit(143)


# ---- one stream


class _Stream:
    """A sequencer process and its only busy publisher, which is this process."""

    def __init__(self, journal: Path, segment_bytes: int, telemetry: bool) -> None:
        self.journal = journal
        settings = SequencerSettings(
            segment_bytes=segment_bytes, write_through=False, telemetry=telemetry, ring_bytes=RING_BYTES
        )
        ready = _spawn.Event()
        self.process = _spawn.Process(target=_sequencer, args=(journal, settings, ready))
        self.process.start()
        while not ready.wait(0.1):
            if self.process.exitcode is not None:
                raise SystemExit("lockstep bench: the sequencer did not start")
        self.publisher = Publisher.connect(journal, "bench")
        self.control = ControlPage(journal / CONTROL)

    def flood(self, count: int) -> float:
        """Messages a second until the last one is in the journal."""
        publisher = self.publisher
        first, control = publisher.next_source_seq, self.control.c
        while control.durable_seq < control.written_seq:  # what came before is on disk: its sync is not measured
            publisher.wait(0.2, unless=lambda: control.durable_seq >= control.written_seq)
        begun = time.perf_counter()
        done = lib.lockstep_producer_flood(publisher.producer, KIND, first, count, BATCH, PATIENCE_NS)
        publisher.gave_out(done)
        while publisher.accepted_source_seq < first + done - 1:
            publisher.wait(1.0, unless=lambda: publisher.accepted_source_seq >= first + done - 1)
        if done != count:
            raise SystemExit(f"lockstep bench: the sequencer stood still after {done} of {count} messages")
        return count / (time.perf_counter() - begun)

    def pings(self) -> list[float]:
        """Microseconds until written, of single messages with quiet between them, ascending."""
        ns = ffi.new("int64_t[]", PINGS)
        written = ffi.cast(
            "uint64_t *", int(journal_ffi.cast("uintptr_t", journal_ffi.addressof(self.control.c, "written_seq")))
        )
        # What was accepted may be let go of a moment later.
        lib.lockstep_producer_wait_room(self.publisher.producer, RING_BYTES // 2, PATIENCE_NS)
        done = lib.lockstep_producer_ping(
            self.publisher.producer, written, KIND, self.publisher.next_source_seq, PINGS, QUIET_NS, PATIENCE_NS, ns
        )
        self.publisher.gave_out(done)
        if done != PINGS:
            raise SystemExit(f"lockstep bench: message {done} of {PINGS} was not sequenced")
        return sorted(ns[i] / 1000 for i in range(PINGS))

    def close(self) -> None:
        self.publisher.close()
        if self.process.exitcode is None and self.process.pid:
            os.kill(self.process.pid, signal.SIGTERM)
        self.process.join(30)


def _sequencer(journal: Path, settings: SequencerSettings, ready: Any) -> None:
    sources = [
        SourceSettings(name="bench", role=SourceRole.MARKET_DATA, kinds=[KIND]),
        SourceSettings(name="recorder", role=SourceRole.SINK),
    ]
    logs.configure(logs.LogSettings(level="error"))
    raise SystemExit(
        run_sequencer(
            journal, settings, sources, mode=SessionMode.SIMULATION, durability=DurabilityPolicy.WRITTEN,
            config_digest=bytes(32), ready=ready.set,
        )
    )  # fmt: skip


# ---- telemetry


def _telemetry(work: Path, segment: int, arguments: argparse.Namespace) -> dict[str, float]:
    # Of two sequencers the one that was started first is slower, whichever it is: each is the first once.
    once, again = _pair(work, segment, arguments, (True, False)), _pair(work, segment, arguments, (False, True))
    found = {name: round(float(statistics.geometric_mean((once[name], again[name]))), 3) for name in once}
    return {f"telemetry_{name}": value for name, value in found.items()}


def _pair(work: Path, segment: int, arguments: argparse.Namespace, kept: tuple[bool, bool]) -> dict[str, float]:
    """One with telemetry and one without, in turns."""
    streams = {on: _Stream(work / ("with" if on else "without"), segment, on) for on in kept}
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    try:
        for turn in range(arguments.rounds + 1):
            for on in kept if turn % 2 else reversed(kept):
                rate, pings = streams[on].flood(arguments.messages), streams[on].pings()
                if turn:  # the first touches pages
                    found[on].append((rate, pings[PINGS // 2]))
    finally:
        for stream in streams.values():
            stream.close()
            shutil.rmtree(stream.journal, ignore_errors=True)
    # Others on the machine only ever take time away: the best round of each is the nearest to what the loop itself costs.
    (rate, quick), (rate_without, quick_without) = (
        (max(r for r, _ in rounds), min(p for _, p in rounds)) for rounds in (found[True], found[False])
    )
    return {
        "ratio": rate / rate_without, "single_ratio": quick_without / quick,
        "median_ratio": _ratio([found[True], found[False]]),
    }  # fmt: skip


def _ratio(found: list[list[tuple[float, float]]]) -> float:
    """The median of the rounds' own ratios: what changes slowly on a shared machine meets both."""
    return round(float(statistics.median(a[0] / b[0] for a, b in zip(*found, strict=True))), 3)


# ---- watched


def _watched(work: Path, segment: int, arguments: argparse.Namespace) -> dict[str, float]:
    stream = _Stream(work / "watched", segment, True)

    def measure() -> list[tuple[float, float]]:
        return [(stream.flood(arguments.messages), stream.pings()[PINGS * 99 // 100]) for _ in range(arguments.rounds)]

    try:
        stream.flood(arguments.messages)
        alone = measure()
        with _observers(work, stream.journal, arguments.follower):
            watched = measure()
        alone += measure()
    finally:
        stream.close()
    rate, p99 = (_medians(alone), _medians(watched)), 1
    return {
        "throughput_ratio": round(rate[1][0] / rate[0][0], 3), "p99_ratio": round(rate[0][p99] / rate[1][p99], 3),
        "messages_per_s_alone": round(rate[0][0]), "messages_per_s_watched": round(rate[1][0]),
        "written_us_p99_alone": round(rate[0][p99], 2), "written_us_p99_watched": round(rate[1][p99], 2),
    }  # fmt: skip


def _medians(found: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(rate for rate, _ in found), statistics.median(p99 for _, p99 in found)


@contextlib.contextmanager
def _observers(work: Path, journal: Path, follower: str) -> Iterator[None]:
    """Everybody who looks, each a process, until the end of the block."""
    command = [sys.executable, "-m", "lockstep"]
    lines = [[*command, "journal", "tail", str(journal), "--kind", "SessionEnd"] for _ in range(TAILERS)]
    lines.append([*command, "top", str(journal), "--json"])
    if follower:
        lines.append(shlex.split(follower.format(journal=journal, folder=work / "follower")))
    processes: list[Any] = []
    recorder = _spawn.Process(target=_record, args=(journal, work / "recorded"))
    try:
        processes += [subprocess.Popen(line, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) for line in lines]
        recorder.start()
        _until(lambda: (work / "recorded").exists())
        with JournalReader(journal) as reader:  # as long as one needs to come from the beginning, the others had to
            while reader.poll() is not None:
                pass
        yield
        if any(process.poll() is not None for process in processes) or recorder.exitcode is not None:
            raise SystemExit("lockstep bench: somebody who was to look has ended")
    finally:
        for process in processes:
            process.terminate()
        if recorder.pid:
            recorder.terminate()
            recorder.join()
        for process in processes:
            process.wait()


def _record(journal: Path, file: Path) -> None:
    """Reads every frame, checked, woken by its ring like a host, and keeps how far it is."""
    with Publisher.connect(journal, "recorder") as ring, JournalReader(journal) as reader, file.open("wb") as out:
        while True:
            batch = reader.poll()
            if batch is None:
                ring.saw(reader.next_seq - 1)
                ring.wait(0.5, unless=lambda: reader.written_seq >= reader.next_seq)
            else:
                out.write(reader.next_seq.to_bytes(8, "little"))


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("lockstep bench: the recorder did not start")
        os.sched_yield()
