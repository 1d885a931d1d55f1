"""The process that is stepped: it calls the production shared objects, once for each scenario it is asked for.

Reads "NAME SIZE FOLDER" lines, forks for each, prepares in the fork and says its pid and the address of the function to be
stepped; then waits for one byte, calls, and ends with SIGUSR2. See boundaries.c.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import sequencer.kernel._sequencer as sequencer_kernel
from apps.snapshots import Part, Snapshots
from journal import recovery
from journal.index import store
from journal.kernel import _journal as journal_kernel
from journal.kernel._journal import ffi, lib
from journal.messages import NO_DIGEST, SourceState
from journal.messages.derive import schema_text
from journal.segment import ControlPage, create_control, map_file, read_header
from journal.writer import JournalWriter

SCHEMA = schema_text([SourceState.KIND])
"""The sequencer's turn says that its source was attached; all else here are frames of a user's kind."""
SEGMENT_BYTES = 32768
_PATIENCE_S = 300
RUN = 3
"""Frames of a batch."""


class Small:
    """The C writer on segments of 32 KiB, with a control page on disk."""

    def __init__(self, folder: Path) -> None:
        create_control(folder, 77, SEGMENT_BYTES)
        self.page = ControlPage(folder / "control", writable=True)
        self.c = ffi.new("struct lockstep_writer *")
        self.schema = ffi.from_buffer(SCHEMA)
        self.c.folder = os.fsencode(folder)
        self.c.control, self.c.roll_fd, self.c.stream_id, self.c.nonce, self.c.epoch = self.page.c, -1, 77, 5, 1
        self.c.segment_bytes, self.c.schema, self.c.schema_bytes = SEGMENT_BYTES, self.schema, len(SCHEMA)
        self.head = ffi.new("struct lockstep_frame *")
        self.head.kind, self.head.version, self.head.source = 10000, 1, 1
        self.durable = ffi.new("uint64_t *")

    def append(self, body: bytes) -> int:
        self.head.ts, self.head.source_seq = self.c.last_ts + 1, self.c.last_seq + 1
        code = int(lib.lockstep_writer_append(self.c, self.head, ffi.from_buffer(body), len(body)))
        lib.lockstep_writer_publish_watermark(self.c)
        return code

    def prepare(self) -> None:
        assert lib.lockstep_writer_prepare(self.c) == 0

    def sync(self) -> None:
        assert lib.lockstep_writer_sync(self.c, self.durable) == 0

    def started(self) -> Small:
        self.prepare()
        for n in range(3):
            assert self.append(bytes([n + 1]) * 24) == 0
        self.sync()
        return self


def body_of(size: int, n: int = 0) -> bytes:
    """A body for a frame of `size` bytes."""
    return bytes((i * 37 + n * 11 + 1) % 256 for i in range(size - 64))


def address(module: ModuleType, name: str) -> int:
    """Where a function of a shared object stands in this process: the object that is imported already, no copy of it."""
    assert module.__file__ is not None
    return ctypes.cast(getattr(ctypes.CDLL(module.__file__), name), ctypes.c_void_p).value or 0


Scenario = tuple[int, Callable[[], Any]]


def single(folder: Path, size: int) -> Scenario:
    writer = Small(folder).started()
    return address(journal_kernel, "lockstep_writer_append"), lambda: writer.append(body_of(size))


def run(folder: Path, size: int) -> Scenario:
    writer = Small(folder).started()
    return address(journal_kernel, "lockstep_writer_append"), lambda: [writer.append(body_of(size, n)) for n in range(RUN)]


def roll(folder: Path, size: int) -> Scenario:
    writer = Small(folder).started()
    while writer.append(body_of(size)) != -errno.EAGAIN:
        pass
    writer.prepare()
    return address(journal_kernel, "lockstep_writer_append"), lambda: writer.append(body_of(size))


def prepare(folder: Path, size: int) -> Scenario:
    writer = Small(folder).started()
    writer.append(body_of(size))
    return address(journal_kernel, "lockstep_writer_prepare"), writer.prepare


def sync(folder: Path, size: int) -> Scenario:
    writer = Small(folder).started()
    writer.prepare()
    while writer.c.segment < 2:
        writer.append(body_of(size))
    return address(journal_kernel, "lockstep_writer_sync"), writer.sync


def zero(folder: Path, size: int) -> Scenario:
    """Recovery's own store: a frame with a wrong byte and a whole one behind it are cut."""
    writer = Small(folder).started()
    start = int(writer.c.offset)
    writer.append(body_of(size))
    writer.append(body_of(size))
    writer.c.base[start + 60] ^= 1
    end = int(writer.c.offset)
    path = os.fsencode(folder / "00000001.seg")
    return address(journal_kernel, "lockstep_zero_range"), lambda: lib.lockstep_zero_range(path, start, end)


def lane(folder: Path, size: int) -> Scenario:
    """The sequencer's loop takes a batch from a ring: one turn of the production loop."""
    f, s = sequencer_kernel.ffi, sequencer_kernel.lib
    writer = Small(folder).started()
    loop, source, clock = f.new("struct lockstep_loop *"), f.new("struct lockstep_source *"), f.new("int64_t *", 1000)
    producer, ring = f.new("struct lockstep_producer *"), f.new("struct lockstep_ring *")
    rules = f.new("struct lockstep_wire_rule *")
    fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(5)]
    loop.writer = f.cast("struct lockstep_writer *", int(ffi.cast("uintptr_t", writer.c)))
    loop.rules, loop.rules_count, loop.batch_bytes, loop.manual_ns = rules, 1, 1 << 16, clock
    loop.clock_interval_ns = loop.sync_interval_ns = 1 << 60
    loop.wake_fd, loop.control_fd, loop.sync_fd, loop.segment_fd = fds[:4]
    source.source = 1
    source.granted[10000 >> 3] = source.granted_kept[10000 >> 3] = 1 << (10000 & 7)
    ring_fd = s.lockstep_ring_create(1 << 16, 1, 1)
    assert s.lockstep_ring_map(ring_fd, ring) == 0
    assert s.lockstep_ring_map(ring_fd, f.addressof(producer.ring)) == 0
    s.lockstep_producer_init(producer, fds[0], fds[4])
    taken = loop.lane[0]
    taken.ring, taken.source, taken.client_fd, taken.used = ring[0], source, fds[4], 1
    s.lockstep_loop_post(loop, s.LOCKSTEP_ATTACH, 0, 0, 0)
    assert s.lockstep_loop_turn(loop) >= 0
    for n in range(RUN):
        assert s.lockstep_producer_put(producer, 10000, 1, 1, 7, n + 1, 0, body_of(size, n), size - 64) == 0
    s.lockstep_producer_commit(producer)
    before = int(writer.c.last_seq)

    def turn() -> None:
        s.lockstep_loop_turn(loop)
        if writer.c.last_seq != before + RUN:
            os._exit(9)

    return address(sequencer_kernel, "lockstep_loop_turn"), turn


def snapshot(folder: Path, size: int) -> Scenario:
    """An app's snapshot over an older one."""
    snapshots = Snapshots(folder, 77, {"app": "some.App"})

    def store(seq: int, state: bytes) -> None:
        entries = state * size
        snapshots.store(snapshots.head("app", seq, 10 * seq, NO_DIGEST, Part(state, [[len(entries)]]), {}), [entries])

    store(10, b"old")
    return 0, lambda: store(20, b"new")


def full_segment(folder: Path, size: int) -> JournalWriter:
    writer = JournalWriter.open(folder, stream_id=77, nonce=5, segment_bytes=1 << 20)
    while writer.c.segment < 2:
        writer.append_bytes(10000, 1, body_of(size), ts=writer.last_ts + 1)
    return writer


def index(folder: Path, size: int) -> Scenario:
    """The index of a full segment, over one that is there."""
    full_segment(folder, size).close()
    header = read_header(folder / "00000001.seg", 1)
    store.build(header, map_file(header.path))
    return 0, lambda: store.build(header, map_file(header.path))


def control(folder: Path, size: int) -> Scenario:
    """Another segment size: the control page of a journal is replaced."""
    full_segment(folder, size).close()
    return 0, lambda: JournalWriter.open(folder, segment_bytes=2 << 20).close()


def recover(folder: Path, size: int) -> Scenario:
    """A torn tail of two segments: copies, note, cut. Killed at any call and begun again, it must end the same."""
    writer = full_segment(folder, size)
    writer._let_go()
    page = ControlPage(folder / "control", writable=True)
    page.c.durable_seq = 3
    with map_file(folder / "00000001.seg", writable=True) as mapped:
        mapped[len(mapped) // 2] ^= 0xFF
    return 0, lambda: recovery.recover(folder, page)


SCENARIOS: dict[str, Callable[[Path, int], Scenario]] = {
    "append": single, "batch": run, "lane": lane, "roll": roll, "prepare": prepare, "sync": sync, "zero": zero,
    "py-snapshot": snapshot, "py-index": index, "py-control": control, "py-recover": recover,
}  # fmt: skip


def child(name: str, size: int, folder: Path) -> None:
    """One scenario, in a process of its own that does not outlive a driver that has lost it."""
    signal.alarm(_PATIENCE_S)
    at, call = SCENARIOS[name](folder, size)
    os.write(1, f"{os.getpid()} {at}\n".encode())
    os.read(0, 1)
    if at == 0:
        os.kill(os.getpid(), signal.SIGUSR1)
    call()
    os.kill(os.getpid(), signal.SIGUSR2)


def main() -> None:
    """Serve scenarios until the input ends."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    while line := os.read(0, 8192):
        name, size, folder = line.decode().split(" ", 2)
        pid = os.fork()
        if pid == 0:
            try:
                child(name, int(size), Path(folder.rstrip("\n")))
            except BaseException as error:
                os.write(1, f"{type(error).__name__}: {error}\n".encode())
            os._exit(8)
        os.waitpid(pid, 0)
        os.write(1, b"done\n")


if __name__ == "__main__":
    main()
