"""A stream whose publisher and loop are one thread, with a core to itself: what is measured there is the sequencer, not the
machine that two busy cores share with everybody else."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from journal import logs
from journal.messages import DurabilityPolicy, SessionMode
from journal.segment import CONTROL, ControlPage
from lockstep.bench import rig
from lockstep.bench.rig import KIND
from sequencer.hosted import HostedSequencer
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SequencerSettings, SourceSettings

BATCH = 512


class Hosting:
    """A hosted sequencer and the publisher `name`; the sequencer's other threads run on the other cores. Close it."""

    def __init__(self, journal: Path, settings: SequencerSettings, sources: Sequence[SourceSettings], name: str) -> None:
        self.journal = journal
        self._cores = os.sched_getaffinity(0)
        self._own = {min(self._cores)}
        logs.configure(logs.LogSettings(level="error"))
        self.sequencer = HostedSequencer(
            journal, settings, sources, mode=SessionMode.SIMULATION, durability=DurabilityPolicy.WRITTEN
        )
        with self.elsewhere():
            self.sequencer.start()
            self.publisher = self.sequencer.connect(name)
        self._telemetry = self.sequencer._loop.telemetry
        self._control = ControlPage(journal / CONTROL)

    @contextlib.contextmanager
    def elsewhere(self) -> Iterator[None]:
        """What is started in the block runs on the other cores."""
        os.sched_setaffinity(0, self._cores - self._own or self._own)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._own)

    def idle(self, seconds: float) -> None:
        """What the host of a sequencer does when nothing is to be done."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.sequencer.turn()
            self.sequencer.attend(min(left, 0.001))

    def keep_telemetry(self, kept: bool) -> None:
        """Whether the loop has telemetry, from now on: it does not turn meanwhile."""
        self.sequencer._loop.telemetry = self._telemetry if kept else ffi.NULL

    def settle(self) -> None:
        """Until what came before is on disk: its sync is not measured."""
        while self._control.c.durable_seq < self._control.c.written_seq:
            self.idle(0.001)

    def flood(self, count: int) -> float:
        """Messages a second, put and sequenced by turns."""
        us = self._measure(count // BATCH * BATCH, BATCH, 0)
        return len(us) * BATCH / sum(us) * 1e6

    def pings(self, count: int) -> list[float]:
        """Microseconds until sequenced, of single messages with quiet between them in which the loop turns."""
        return self._measure(count, 1, rig.QUIET_NS)

    def _measure(self, count: int, batch: int, gap_ns: int) -> list[float]:
        ns = ffi.new("int64_t[]", count // batch)
        done = lib.lockstep_measure_alone(self.publisher.producer, self.sequencer._loop, KIND, count, batch, gap_ns, ns)
        if done != count:
            raise SystemExit(f"lockstep bench: {done} of {count} messages were sequenced")
        return [n / 1000 for n in ns]

    def close(self) -> None:
        """End the stream, give the cores back."""
        self.publisher.close()
        self.sequencer.close()
        os.sched_setaffinity(0, self._cores)
