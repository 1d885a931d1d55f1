"""A sequencer as a real process on a real journal, and a publisher that breaks every rule."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from journal.frames import frames
from journal.messages import DurabilityPolicy, Flag, SessionMode, SourceRole
from sequencer.client import Publisher
from sequencer.daemon import run_sequencer
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SequencerSettings, SourceSettings

MARKET = [SourceSettings(name="md", role=SourceRole.MARKET_DATA), SourceSettings(name="algo", role=SourceRole.ALGO)]


class Daemon:
    """Forks, runs the sequencer, waits until it is ready."""

    def __init__(
        self,
        journal: Path,
        sources=MARKET,
        *,
        mode=SessionMode.PAPER,
        clock=None,
        tuning=None,
        durability=DurabilityPolicy.DURABLE,
        **settings,
    ) -> None:
        self.journal = journal
        self.sources = list(sources)
        self.mode = mode
        self.clock = clock
        self.durability = durability
        self.settings = SequencerSettings(
            **{"segment_bytes": 1 << 20, "ring_bytes": 1 << 16, "sources": tuning or {}, **settings}
        )
        self.pid = 0
        self.errors = journal.parent / f"{journal.name}.stderr"

    def start(self) -> Daemon:
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                os.close(read)
                sys.stderr = self.errors.open("w", buffering=1)
                code = run_sequencer(
                    self.journal,
                    self.settings,
                    self.sources,
                    mode=self.mode,
                    durability=self.durability,
                    config_digest=bytes(32),
                    ready=lambda: os.write(write, b"1"),
                    clock=self.clock,
                )
            finally:
                os._exit(code)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.read(1) == b"1", self.errors.read_text()
        return self

    def _wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self._wait()

    def stop(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self._wait()

    def connect(self, source: str = "md", timeout_s: float = 10) -> Publisher:
        return Publisher.connect(self.journal, source, timeout_s=timeout_s)

    def frames(self, *kinds):
        return list(frames(self.journal, kinds=[k.KIND for k in kinds] or None))


@pytest.fixture
def folder():
    """Short, because a Unix socket's path is at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="lks-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def daemon(folder):
    """daemon(...) starts a sequencer on folder/"j" or journal; all are killed at the end."""
    made: list[Daemon] = []

    def make(sources=MARKET, *, journal=None, **settings) -> Daemon:
        one = Daemon(journal or folder / "j", sources, **settings)
        made.append(one)
        return one.start()

    yield make
    for one in made:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            one.kill()


class Hostile:
    """A publisher's ring without the publisher's manners: any header, any bytes, any tail."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.ring = publisher.producer.ring
        self.data = ffi.buffer(self.ring.data, self.ring.ring_bytes)
        self.tail = int(self.ring.page.tail)

    def record(
        self,
        *,
        kind=201,
        version=1,
        flags=int(Flag.LAST),
        source_seq=1,
        cause=0,
        body=b"",
        length=None,
        forged=0,
        committed=None,
    ) -> None:
        """Commit one record. `length` overrides the true one; `forged` fills every field the sequencer owns; `committed`: only
        so many bytes of it, the rest stands behind the tail."""
        size = 64 + len(body) if length is None else length
        head = struct.pack(
            "<IIHHHHQqqQQII",
            size,
            forged & 0xFFFFFFFF,
            kind,
            version,
            flags,
            forged & 0xFFFF,
            forged,
            forged,
            7,
            source_seq,
            cause,
            forged & 0xFFFFFFFF,
            forged & 0xFFFFFFFF,
        )
        self.raw(head + body, committed)

    def raw(self, data: bytes, advance: int | None = None) -> None:
        at = self.tail % len(self.data)
        both = data[: len(self.data) - at], data[len(self.data) - at :]
        self.data[at : at + len(both[0])] = both[0]
        self.data[: len(both[1])] = both[1]
        self.tail += len(data) if advance is None else advance
        self.commit()

    def commit(self) -> None:
        lib.lockstep_page_tail(self.ring.page, self.tail % 2**64)
        os.eventfd_write(self.publisher._fds[1], 1)


@pytest.fixture
def hostile():
    return Hostile


@pytest.fixture
def until():
    """until(condition): wait for something another process does."""

    def wait(condition, timeout_s=10.0):
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "did not happen in time"
            time.sleep(0.002)

    return wait
