"""`lockstep bench zero-impact`: what it costs the stream to be looked at: by its own telemetry, by readers, a follower, `top`.

One sequencer in memory, publisher and loop in one thread, has its telemetry taken away and given back, millisecond by
millisecond: `telemetry_ratio`, messages a second with against without. Then one on disk takes floods and single messages while
eight tailers, a recorder, a replication server with its follower and `top` look, and while all of them stand still (stopped,
still attached), round by round: `throughput_ratio`, watched against not, and `p99_ratio`, the time until a message is written,
not watched against watched. `attached_ratio` says what it costs that they are there at all: rounds while they stand still
against rounds before they came and after they left.

Who looks needs a core of its own: `spare_cores` says how many there were besides publisher and loop. Without one these ratios
tell how the machine is shared, not what the stream pays. So the same is done once more with publisher and loop in one thread (a
hosted sequencer) that has a core to itself, and all others, the sequencer's sync thread too, on the rest: `spare_*`.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from journal import logs
from journal.messages import DurabilityPolicy, SessionMode, SourceRole
from journal.reader import JournalReader
from journal.segment import CONTROL, ControlPage
from lockstep.bench import rig
from lockstep.bench.conditions import conditions
from lockstep.bench.hosting import BATCH, Hosting
from lockstep.bench.pairs import Round, in_turns, medians, ratios
from lockstep.bench.rig import FRAME_BYTES, KIND
from lockstep.option_types import folder, whole
from sequencer.client import Publisher
from sequencer.daemon import run_sequencer
from sequencer.remote.follower import Follower
from sequencer.remote.replica import Replica
from sequencer.remote.server import ReplicationServer
from sequencer.remote.settings import SOURCE, SOURCE_KINDS, FollowerSettings, ReplicationSettings
from sequencer.settings import SequencerSettings, SourceSettings

RING_BYTES = 1 << 20
PINGS = 2_000
TAILERS = 8
SHORT, SHORT_PINGS, TELEMETRY_ROUNDS = 40 * BATCH, 200, 400
APART_ROUNDS = 5
"""Of each block without anybody, before and after."""
BUSY_PROCESSES = 2
"""Publisher and loop; both never sleep while a flood is under way."""
REST_S = 0.05
REST_TICKS = 1
"""Of processor time in REST_S: who uses no more has caught up."""
PATIENCE_S = 60.0
_TICK_FIELDS = slice(11, 13)
_spawn = multiprocessing.get_context("spawn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench zero-impact`."""
    parser.add_argument("--messages", type=whole(1), default=200_000, metavar="N", help="in one flood (default 200000)")
    parser.add_argument("--rounds", type=whole(1), default=12, metavar="N", help="floods of each kind (default 12)")
    parser.add_argument(
        "--folder", type=folder, default=None, help="where the journals are made (default: the temporary folder)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, metrics."""
    place = Path(arguments.folder or tempfile.gettempdir())
    compared = (SHORT + SHORT_PINGS) * FRAME_BYTES * (2 * TELEMETRY_ROUNDS + 1)
    watched = (arguments.messages + PINGS) * FRAME_BYTES * (2 * arguments.rounds + 2 * APART_ROUNDS + 1)
    rig.bytes_that_fit(place, 3 * watched, 3 * watched)
    with rig.workspace(place) as work:
        with tempfile.TemporaryDirectory(
            prefix="lkz-", dir=rig.memory_or(place, 2 * compared)
        ) as inside:  # the loop is compared, not the disk
            metrics = _telemetry(Path(inside), compared)
        metrics |= _watched(work, _Apart(work / "apart", watched), arguments)
        if len(os.sched_getaffinity(0)) > 1:
            spare = _watched(work, _hosting(work / "together", watched), arguments)
            metrics |= {f"spare_{name}": value for name, value in spare.items()}
    cores = len(os.sched_getaffinity(0))
    told = conditions(
        messages=arguments.messages, rounds=arguments.rounds, cores=cores, spare_cores=max(0, cores - BUSY_PROCESSES),
        scheduling="real-time" if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR) else "ordinary",
        watched_by=f"{TAILERS} tailers, recorder, replication server, follower, top, all with ordinary priority",
        disk=f"{place} ({rig.file_system(place)})",
        measured="with a spare core" if cores > BUSY_PROCESSES else "without a spare core: publisher and loop share theirs",
    )  # fmt: skip
    return {"bench": "zero-impact", "conditions": told, "metrics": metrics}


# ---- one stream

SOURCES = [
    SourceSettings(name="bench", role=SourceRole.MARKET_DATA, kinds=[KIND]),
    SourceSettings(name="recorder", role=SourceRole.SINK),
    SourceSettings(name=SOURCE, role=SourceRole.SUPERVISOR, kinds=SOURCE_KINDS),
]
SESSION: dict[str, Any] = {"mode": SessionMode.SIMULATION, "durability": DurabilityPolicy.WRITTEN}


def _settings(journal: Path, frames_bytes: int) -> SequencerSettings:
    """Of a journal whose first segment takes the whole run: what a fresh page costs is not the question."""
    rig.make_segment(journal, frames_bytes)
    return SequencerSettings(write_through=False, ring_bytes=RING_BYTES)


def _sequencer(journal: Path, settings: SequencerSettings, ready: Any) -> None:
    logs.configure(logs.LogSettings(level="error"))
    raise SystemExit(run_sequencer(journal, settings, SOURCES, config_digest=bytes(32), ready=ready.set, **SESSION))


class _Apart:
    """A sequencer process and its only busy publisher, which is this process."""

    def __init__(self, journal: Path, frames_bytes: int) -> None:
        self.journal = journal
        ready = _spawn.Event()
        self.process = _spawn.Process(target=_sequencer, args=(journal, _settings(journal, frames_bytes), ready))
        self.process.start()
        while not ready.wait(0.1):
            if self.process.exitcode is not None:
                raise SystemExit("lockstep bench: the sequencer did not start")
        self.publisher = Publisher.connect(journal, "bench")
        self._control = ControlPage(journal / CONTROL)
        self._pings = rig.Pings(journal, self.publisher)

    def elsewhere(self) -> contextlib.AbstractContextManager[None]:
        """What is started in the block runs wherever the kernel likes."""
        return contextlib.nullcontext()

    def idle(self, seconds: float) -> None:
        """Let the others have the time."""
        time.sleep(seconds)

    def settle(self) -> None:
        """Until what came before is on disk: its sync is not measured."""
        control = self._control.c
        while control.durable_seq < control.written_seq:
            self.publisher.wait(0.2, unless=lambda: control.durable_seq >= control.written_seq)

    def flood(self, count: int) -> float:
        """Messages a second until the last one is in the journal."""
        publisher = self.publisher
        begun, last = time.perf_counter(), publisher.next_source_seq + count - 1
        rig.flood(publisher, count, BATCH)
        while publisher.accepted_source_seq < last:
            publisher.wait(1.0, unless=lambda: publisher.accepted_source_seq >= last)
        return count / (time.perf_counter() - begun)

    def pings(self, count: int) -> list[float]:
        """Microseconds until written, of single messages with quiet between them."""
        return self._pings.measure(count)

    def close(self) -> None:
        self.publisher.close()
        self.process.terminate()
        self.process.join(PATIENCE_S)


def _hosting(journal: Path, frames_bytes: int) -> Hosting:
    """The same in one thread of this process."""
    return Hosting(journal, _settings(journal, frames_bytes), SOURCES, "bench")


def _round(stream: _Apart | Hosting, messages: int) -> Round:
    """Messages a second; p50 and p99 of single ones, µs."""
    stream.settle()
    rate = stream.flood(messages)
    stream.settle()
    us = stream.pings(PINGS)
    return rate, rig.percentile(us, 0.5), rig.percentile(us, 0.99)


def _figure(ratio: float) -> float:
    """Three digits of it, however small: 20 pings beside a hiccup are a p99 a few thousand times as long, and that is not 0."""
    return float(f"{ratio:.3g}")


# ---- telemetry


def _telemetry(work: Path, frames_bytes: int) -> dict[str, float]:
    stream = _hosting(work / "stream", frames_bytes)
    try:
        stream.flood(SHORT)  # touches what is touched once
        kept, without = in_turns(TELEMETRY_ROUNDS, lambda: _short_round(stream), stream.keep_telemetry)
    finally:
        stream.close()
        shutil.rmtree(stream.journal, ignore_errors=True)
    per_s, us_p50, us_p99 = ratios(kept, without)
    return {
        "telemetry_ratio": _figure(per_s),
        # Others on the machine only ever take time away.
        "telemetry_best_ratio": _figure(max(r[0] for r in kept) / max(r[0] for r in without)),
        "telemetry_single_ratio": _figure(1 / us_p50), "telemetry_p99_ratio": _figure(1 / us_p99),
        "telemetry_messages_per_s": round(medians(without)[0]),
    }  # fmt: skip


def _short_round(stream: Hosting) -> Round:
    """A millisecond of flood: mostly undisturbed, or so disturbed that it is far from the median."""
    rate, us = stream.flood(SHORT), stream.pings(SHORT_PINGS)
    return rate, rig.percentile(us, 0.5), rig.percentile(us, 0.99)


# ---- watched


def _watched(work: Path, stream: _Apart | Hosting, arguments: argparse.Namespace) -> dict[str, float]:
    measure = partial(_round, stream, arguments.messages)
    try:
        stream.flood(arguments.messages)
        apart = [measure() for _ in range(APART_ROUNDS)]
        with _observers(work, stream) as observers:
            watched, stood_still = in_turns(arguments.rounds, measure, observers.look)
        apart += [measure() for _ in range(APART_ROUNDS)]
    finally:
        stream.close()
        shutil.rmtree(stream.journal, ignore_errors=True)
    on, off, (per_s, us_p50, us_p99) = medians(watched), medians(stood_still), ratios(watched, stood_still)
    return {
        "throughput_ratio": _figure(per_s), "p99_ratio": _figure(1 / us_p99), "p50_ratio": _figure(1 / us_p50),
        "attached_ratio": _figure(off[0] / medians(apart)[0]),
        "messages_per_s_alone": round(off[0]), "messages_per_s_watched": round(on[0]),
        "written_us_p99_alone": round(off[2], 2), "written_us_p99_watched": round(on[2], 2),
    }  # fmt: skip


class _Observers:
    """Everybody who looks, each a process, and whether they do."""

    def __init__(self, stream: _Apart | Hosting, pids: Callable[[], dict[str, int]]) -> None:
        self._stream = stream
        self._pids = pids
        self._looking = True
        self._policy, self._parameters = os.sched_getscheduler(0), os.sched_getparam(0)

    def look(self, on: bool) -> None:
        """On: they go on, and have caught up when this returns. Off: they are stopped where they are."""
        if on != self._looking:
            for pid in self._pids().values():
                os.kill(pid, signal.SIGCONT if on else signal.SIGSTOP)
            self._looking = on
        if on:
            self._schedule(self._policy, self._parameters)
            self.settle()
            self._schedule(os.SCHED_OTHER, os.sched_param(0))

    def _schedule(self, policy: int, parameters: os.sched_param) -> None:
        """Who looks has ordinary priority, also where the stream is measured with another; ours to catch up."""
        if self._policy != os.SCHED_OTHER:
            for pid in self._pids().values():
                for task in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setscheduler(int(task), policy, parameters)

    def settle(self) -> None:
        """Until none of them has anything to do."""
        end = time.monotonic() + PATIENCE_S
        before = self._ticks()
        while True:
            self._stream.idle(REST_S)
            now = self._ticks()
            if now - before <= REST_TICKS:
                return
            if time.monotonic() > end:
                raise SystemExit(f"lockstep bench: who looks does not come to rest ({now - before} ticks in {REST_S:g} s)")
            before = now

    def _ticks(self) -> int:
        """Processor time of all of them so far."""
        total = 0
        for name, pid in self._pids().items():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                raise SystemExit(f"lockstep bench: {name}, which was to look, has ended")
            total += sum(int(x) for x in fields[_TICK_FIELDS])
        return total


@contextlib.contextmanager
def _observers(work: Path, stream: _Apart | Hosting) -> Iterator[_Observers]:
    journal = stream.journal
    command = [sys.executable, "-m", "lockstep"]
    lines = {f"tailer {i}": [*command, "journal", "tail", str(journal), "--kind", "SessionEnd"] for i in range(TAILERS)}
    lines["top"] = [*command, "top", str(journal), "--json"]
    ours, theirs = _spawn.Pipe()
    processes: dict[str, Any] = {
        "recorder": _spawn.Process(target=_record, args=(journal, work / "recorder" / "seq")),
        "replication server": _spawn.Process(target=_serve, args=(journal, theirs)),
    }
    try:
        with stream.elsewhere():
            for process in processes.values():
                process.start()
            _until(stream, ours.poll)
            processes["follower"] = _spawn.Process(target=_follow, args=(work / "replica", ours.recv()))
            processes["follower"].start()
            for name, line in lines.items():
                processes[name] = subprocess.Popen(line, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            _until(stream, (work / "recorder" / "seq").exists)
            _until(stream, (work / "replica" / CONTROL).exists)
            written = int(ControlPage(journal / CONTROL).c.written_seq)
            replica = ControlPage(work / "replica" / CONTROL).c
            _until(stream, lambda: int(replica.written_seq) >= written)
        yield _Observers(stream, lambda: {name: process.pid for name, process in processes.items()})
    finally:
        for process in processes.values():
            with contextlib.suppress(ProcessLookupError):
                if process.pid:
                    os.kill(process.pid, signal.SIGCONT)
                    process.terminate()
        for process in processes.values():
            if isinstance(process, subprocess.Popen):
                process.wait()
            elif process.pid:
                process.join(PATIENCE_S)
        for name in ("recorder", "replica"):
            shutil.rmtree(work / name, ignore_errors=True)


def _record(journal: Path, file: Path) -> None:
    """Reads every frame, checked, woken by its ring like a host, and keeps how far it is."""
    file.parent.mkdir()
    with Publisher.connect(journal, "recorder") as ring, JournalReader(journal) as reader, file.open("wb") as out:
        while True:
            batch = reader.poll()
            if batch is None:
                ring.saw(reader.next_seq - 1)
                ring.wait(0.5, unless=lambda: reader.written_seq >= reader.next_seq)
            else:
                out.write(reader.next_seq.to_bytes(8, "little"))


def _serve(journal: Path, port: Any) -> None:
    # Who is stopped says nothing for a while: that is not the end of the connection here.
    settings = ReplicationSettings(listen="127.0.0.1:0", silence_ms=600_000, follower={"follower": FollowerSettings(node=1)})
    server = ReplicationServer(journal, settings)
    server.start()
    port.send(server.address[1])
    signal.pause()


def _follow(folder: Path, port: int) -> None:
    Follower(Replica(folder), [("127.0.0.1", port)], "follower", silence_s=600.0).run()


def _until(stream: _Apart | Hosting, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("lockstep bench: recorder, replication server and follower did not start")
        stream.idle(0.01)
