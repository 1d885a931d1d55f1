"""`lockstep bench fairness`: what publishers have of one another: equal turns, and little from one that has run away.

`fair_max_min_ratio`: the rings of 64 publishers are full, with messages of several sizes; bytes served to the most and to the
least served one until the first ring is empty.

`runaway_p50_ratio`, `runaway_p99_ratio`: single messages of a well-behaved publisher beside one that floods, is held back and
banned for a time, again and again, against the same alone. On two cores a busy third process takes a core from the others
whatever the sequencer does; so publisher and loop are one thread with a core to itself (a hosted sequencer), and the runaway
has another one, where it never sleeps: what it can take is the sequencer's service. `busy_*`: beside a process that is as busy
and publishes nothing, against alone: the machine's share. `unlimited_*`: beside the same flood without a limit. `apart_*`:
publisher and loop on a core each; the runaway fills its ring when nobody else wants the core, before each round.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from journal.frames import frames
from journal.messages import Ban, Reject, SourceRole
from journal.reader import JournalReader
from lockstep.bench import rig
from lockstep.bench.conditions import conditions
from lockstep.bench.hosting import BATCH, Hosting
from lockstep.bench.pairs import Round, in_turns, medians, ratios
from lockstep.bench.rig import KIND
from lockstep.option_types import folder, whole
from sequencer.client import Publisher
from sequencer.kernel._sequencer import lib
from sequencer.settings import RateLimit, SequencerSettings, SourceSettings, SourceTuning
from sequencer.telemetry import Telemetry, name_of

PUBLISHERS = 64
RING_BYTES = 256 << 10
FULL_RING_BYTES = 1 << 20
"""Where turns are compared: sixteen turns long, so that the last one, which some have had and some not, is a small part."""
SIZES = (8, 200, 1000, 3000)
LIMIT = RateLimit(count=1000, window_ms=50, ban_ms=150)
"""Of the runaway: it is held back for 50 ms, banned for 150, and so on."""
PINGS = 2_000
FULL = 0.5
"""Part of its ring from which on a runaway counts as held back."""
PATIENCE_S = 60.0
SEGMENT_BYTES = 1 << 30
"""Made and touched before anything is measured: fresh pages are not the question."""
SYNC_US = 10_000
"""Seldom: a wake of the sync thread is no question either."""
SPACE_BYTES, MEMORY_BYTES = 1 << 30, 6 << 30
_spawn = multiprocessing.get_context("spawn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench fairness`."""
    parser.add_argument(
        "--rounds", type=whole(1), default=25, metavar="N", help="pairs of rounds of each comparison (default 25)"
    )
    parser.add_argument(
        "--folder", type=folder, default=None, help="where the journals are made (default: the temporary folder)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    place = Path(arguments.folder or tempfile.gettempdir())
    rig.bytes_that_fit(place, SPACE_BYTES, SPACE_BYTES)
    cores = len(os.sched_getaffinity(0))
    with rig.workspace(place) as work:
        metrics = _shares(work / "shares")
        if cores > 1:
            memory = rig.memory_or(place, MEMORY_BYTES)
            with tempfile.TemporaryDirectory(prefix="lkf-", dir=memory) as inside:  # turns are compared, not the disk
                metrics |= _hosted(Path(inside) / "hosted", arguments.rounds)
                metrics |= _apart(Path(inside) / "apart", arguments.rounds)
    told = conditions(
        rounds=arguments.rounds, pings=PINGS, publishers=PUBLISHERS, sizes=SIZES, ring_bytes=RING_BYTES,
        limit=f"{LIMIT.count} in {LIMIT.window_ms} ms, banned for {LIMIT.ban_ms} ms",
        scheduling="real-time" if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR) else "ordinary",
        disk=f"{place} ({rig.file_system(place)})",
    )  # fmt: skip
    return {"bench": "fairness", "conditions": told, "metrics": metrics}


# ---- equal turns


def _shares(journal: Path) -> dict[str, float]:
    """Bytes, and messages among those of one size, of the most and the least served."""
    settings = SequencerSettings(idle="spin", ring_bytes=FULL_RING_BYTES)
    with rig.Running(journal, settings, publishers=PUBLISHERS) as running, contextlib.ExitStack() as stack:
        publishers = [stack.enter_context(Publisher.connect(journal, f"bench{i}")) for i in range(PUBLISHERS)]
        pid = running.process.pid
        assert pid is not None
        _stop(pid)
        for i, publisher in enumerate(publishers):
            body = bytes(SIZES[i % len(SIZES)])
            with publisher.batch():
                for _ in range(FULL_RING_BYTES // (64 + len(body)) - 1):
                    publisher.publish_bytes(KIND, 1, body)
        os.kill(pid, signal.SIGCONT)
        for publisher in publishers:
            while publisher.pending:
                publisher.wait(1.0, unless=lambda p=publisher: not p.pending)
        served, messages = _served(journal, {p.source: p.next_source_seq - 1 for p in publishers})
    alike = [[messages[p.source] for p in publishers[i :: len(SIZES)]] for i in range(len(SIZES))]
    return {
        "fair_max_min_ratio": round(max(served.values()) / min(served.values()), 3),
        "fair_messages_ratio": round(max(max(of_size) / min(of_size) for of_size in alike), 3),
    }


def _stop(pid: int) -> None:
    """Returns when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)


def _served(journal: Path, wanted: dict[int, int]) -> tuple[Counter[int], Counter[int]]:
    """Bytes and messages of each source until the first one has all of its own: from there on they are not all saturated."""
    served, messages = Counter(dict.fromkeys(wanted, 0)), Counter(dict.fromkeys(wanted, 0))
    with JournalReader(journal, kinds=[KIND]) as reader:
        while (batch := reader.poll()) is not None:
            for offset, _, source, _, _ in batch:
                served[source] += int.from_bytes(batch.buffer[offset : offset + 4], "little")
                messages[source] += 1
                if messages[source] == wanted[source]:
                    return served, messages
    raise SystemExit("lockstep bench: not everything that was published is in the journal")


# ---- beside a runaway


class _Beside:
    """A process that can be there or not: stopped and started again."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        ready = _spawn.Event()
        self.process = _spawn.Process(target=target, args=(*arguments, ready), daemon=True)
        self.process.start()
        self._ready = ready
        self.there = True

    @property
    def ready(self) -> bool:
        """It does what it is for."""
        if self.process.exitcode is not None:
            raise SystemExit(f"lockstep bench: {self.process.name}, which was to disturb, has ended")
        return self._ready.is_set()

    def be_there(self, there: bool) -> None:
        """From now on."""
        pid = self.process.pid
        assert pid is not None
        if there != self.there:
            os.kill(pid, signal.SIGCONT) if there else _stop(pid)
        self.there = there

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def _spin(ready: Any) -> None:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    ready.set()
    while True:
        pass


def _run_away(journal: Path, name: str, restless: bool, ready: Any) -> None:
    """Floods without an end. Restless: it does not sleep while its ring is full; else only where nobody else wants the core."""
    os.sched_setscheduler(0, os.SCHED_OTHER if restless else os.SCHED_IDLE, os.sched_param(0))
    patience_ns = 0 if restless else 1_000_000_000
    with Publisher.connect(journal, name, timeout_s=PATIENCE_S) as publisher:
        ready.set()
        while True:
            done = lib.lockstep_producer_flood(publisher.producer, KIND, publisher.next_source_seq, 1 << 20, BATCH, patience_ns)
            publisher.gave_out(done)


class _Rings:
    """How full the rings are, as the loop tells it."""

    def __init__(self, journal: Path) -> None:
        self._telemetry = Telemetry(journal)
        self._sources = {name_of(source): source for source in self._telemetry.sources}

    def held_back(self, name: str) -> bool:
        """It asks for more than it gets."""
        source = self._sources[name]
        return int(source.fill) > FULL * int(source.ring_bytes)

    def empty(self, name: str) -> bool:
        """Nothing of it is left."""
        return int(self._sources[name].fill) == 0


def _until(condition: Callable[[], bool], idle: Callable[[float], None]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("lockstep bench: the runaway's ring was not filled or emptied in time")
        idle(0.005)


def _compare(
    beside: _Beside, rounds: int, pings: Callable[[], list[float]], idle: Callable[[float], None],
    there: Callable[[], bool], gone: Callable[[], bool],
) -> tuple[list[Round], list[Round]]:  # fmt: skip
    """p50 and p99 with it and without it."""

    def switch(on: bool) -> None:
        beside.be_there(on)
        _until(there if on else gone, idle)

    def measure() -> Round:
        us = pings()
        return rig.percentile(us, 0.5), rig.percentile(us, 0.99)

    try:
        _until(lambda: beside.ready, idle)
        return in_turns(rounds, measure, switch)
    finally:
        beside.end()


def _sources() -> tuple[list[SourceSettings], dict[str, SourceTuning]]:
    names = ("bench0", "runaway", "unlimited")
    return (
        [SourceSettings(name=name, role=SourceRole.MARKET_DATA, kinds=[KIND]) for name in names],
        {"runaway": SourceTuning(rate_limit=LIMIT)},
    )


def _hosted(journal: Path, rounds: int) -> dict[str, float]:
    sources, tuning = _sources()
    rig.make_segment(journal, SEGMENT_BYTES)
    settings = SequencerSettings(ring_bytes=RING_BYTES, sync_interval_us=SYNC_US, sources=tuning)
    stream = Hosting(journal, settings, sources, "bench0")
    rings, found = _Rings(journal), {}
    try:
        for case in ("busy", "runaway", "unlimited"):
            with stream.elsewhere():
                beside = _Beside(_spin) if case == "busy" else _Beside(_run_away, journal, case, True)
            there = partial(rings.held_back, case) if case == "runaway" else _at_once
            gone = _at_once if case == "busy" else partial(rings.empty, case)
            some = max(1, rounds // 5) if case == "unlimited" else rounds  # its effect is seen at once
            found[case] = _compare(beside, some, lambda: stream.pings(PINGS), stream.idle, there, gone)
    finally:
        stream.close()
    return _figures(found) | _told(journal)


def _at_once() -> bool:
    return True


def _apart(journal: Path, rounds: int) -> dict[str, float]:
    cores = sorted(os.sched_getaffinity(0))
    rig.make_segment(journal, SEGMENT_BYTES)
    settings = SequencerSettings(
        idle="spin",
        cpu=cores[-1],
        sync_interval_us=SYNC_US,
        sources={"bench1": SourceTuning(rate_limit=LIMIT, ring_bytes=RING_BYTES)},
    )
    with rig.Running(journal, settings, publishers=2), Publisher.connect(journal, "bench0") as publisher:
        pings, rings = rig.Pings(journal, publisher), _Rings(journal)
        os.sched_setaffinity(0, cores[:1])
        try:
            beside = _Beside(_run_away, journal, "bench1", False)
            there, gone = partial(rings.held_back, "bench1"), partial(rings.empty, "bench1")
            found = _compare(beside, rounds, lambda: pings.measure(PINGS), time.sleep, there, gone)
        finally:
            os.sched_setaffinity(0, cores)
    return _figures({"apart": found})


def _figures(found: dict[str, tuple[list[Round], list[Round]]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for case, (on, off) in found.items():
        p50, p99 = ratios(on, off)
        figures |= {f"{case}_p50_ratio": round(p50, 3), f"{case}_p99_ratio": round(p99, 3)}
        figures |= {f"{case}_us_p50": round(medians(on)[0], 3), f"{case}_us_p99": round(medians(on)[1], 3)}
        figures |= {f"{case}_alone_us_p50": round(medians(off)[0], 3), f"{case}_alone_us_p99": round(medians(off)[1], 3)}
    return figures


def _told(journal: Path) -> dict[str, float]:
    """What the stream says of the runaway: that it was banned, and how much was refused."""
    told = [frame.message for frame in frames(journal, kinds=[Ban.KIND, Reject.KIND])]
    return {
        "bans": sum(isinstance(m, Ban) for m in told),
        "refused_messages": sum(m.count for m in told if isinstance(m, Reject)),
    }
