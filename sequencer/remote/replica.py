"""The follower's folder: a journal like any other, whose bytes come from another machine.

Recovered like any other, locked like any other. What arrives is checked in C before a local reader can see it, put on disk by
a thread of its own, and the next segment is made by another while the current one fills.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journal.errors import JournalError, os_failure
from journal.kernel._journal import ffi, lib
from journal.lock import FolderLock
from journal.quarantine import RecoveryResult
from journal.recovery import recover
from journal.segment import (
    BLOCK_BYTES,
    CONTROL,
    END_BYTES,
    FORMAT,
    SEGMENT_BYTES_MIN,
    SEGMENT_MAGIC,
    ControlPage,
    crc32c,
    create_control,
    segment_name,
)
from sequencer.remote.divergence import cut_after
from sequencer.remote.position import Position, position_of
from sequencer.remote.wire import Hello, LinkError

_IDENTITY = struct.Struct("<8sIIQQQIII8xI")
_OPEN = struct.Struct("<QQqIIII")
SYNC_INTERVAL_S = 0.0005
RECEIVE_BYTES = 256 << 10
"""Received and checked in one go: small enough to be checked in the cache it was copied into."""
_FAULTS = {
    1: "a frame length that fits", 2: "crc", 3: "seq", 4: "a ts of at least", 5: "an epoch of at least", 6: "an open record",
    7: "a segment that follows crc", 8: "an end marker for seq",
}  # fmt: skip


class Replica:
    """A folder that is being filled from elsewhere; holds its lock from `open` to `close`."""

    def __init__(self, folder: Path, *, write_through: bool = False) -> None:
        self.folder = Path(folder)
        self.write_through = write_through
        self.recovery: RecoveryResult | None = None
        self.control: ControlPage | None = None
        self.failed: JournalError | None = None
        """Of the disk, found by a thread of ours: nothing goes on."""
        self.lags: list[tuple[int, int]] | None = None
        """(frames, ns) of each run received, for who wants to know."""
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Fires when more is on disk, or a thread of ours failed."""
        self.c: Any = None
        self._run = ffi.new("struct lockstep_replica_run *")
        self._verdict = ffi.new("struct lockstep_replica_verdict *")
        self._place = ffi.new("uint8_t **")
        self._sync_lock = threading.Lock()
        self._fresh = threading.Event()
        self._ending = False
        self._syncer: threading.Thread | None = None
        self._preparer: threading.Thread | None = None
        self._prepared = b""
        self._lock = FolderLock(self.folder)
        try:
            if (self.folder / CONTROL).exists():
                self.control = ControlPage(self.folder / CONTROL, writable=True)
                self._recover()
        except BaseException:
            self._lock.release()
            raise

    # ---- start and end

    def create(self, stream_id: int, segment_bytes: int) -> None:
        """The first contact of an empty folder."""
        create_control(self.folder, stream_id, segment_bytes)
        self.control = ControlPage(self.folder / CONTROL, writable=True)
        self._recover()

    def _recover(self) -> None:
        """Bring the folder into a state that can be gone on with, and start the sync thread."""
        control = self.control
        assert control is not None
        stream = recover(self.folder, control, stream_id=control.stream_id)
        self.recovery = stream.result or self.recovery
        if stream.prepared:  # of which writer's nonce it is will be seen: it is made again when announced
            (self.folder / segment_name(stream.prepared)).unlink()
        c = ffi.new("struct lockstep_writer *")
        folder = os.fsencode(self.folder.resolve())
        if len(folder) >= lib.LOCKSTEP_FOLDER_BYTES:
            raise JournalError(f"{self.folder}: path of {len(folder)} bytes; at most {lib.LOCKSTEP_FOLDER_BYTES - 1}")
        c.folder, c.control, c.roll_fd, c.stream_id = folder, control.c, -1, control.stream_id
        c.write_through = self.write_through
        c.last_seq, c.last_ts, c.last_crc, c.epoch = stream.last_seq, stream.last_ts, stream.last_crc, self._last_epoch(stream)
        control.c.written_ts, control.c.written_seq, control.c.durable_seq = stream.last_ts, stream.last_seq, stream.last_seq
        control.c.writer_pid = os.getpid()
        self.c, self._prepared = c, b""
        if stream.segment:
            self._check(lib.lockstep_writer_adopt(c, stream.segment, lib.LOCKSTEP_CURRENT, stream.offset), "taking it over")
        control.flush()
        ffi.memmove(self._run, bytes(ffi.sizeof("struct lockstep_replica_run")), ffi.sizeof("struct lockstep_replica_run"))
        self._ending = False
        self._syncer = threading.Thread(target=self._sync_run, name="replica-sync", daemon=True)
        self._syncer.start()

    def _last_epoch(self, stream: Any) -> int:
        """Of the last frame, not of the page: frames of an epoch that the page only heard of are still to come."""
        found = position_of(self.folder, stream.last_seq)
        return found.epoch if found is not None else 0

    def follow(self, epoch: int) -> None:
        """From now on this folder is a replica of a writer in this epoch; on disk before anything of it is taken."""
        control = self.control
        assert control is not None
        control.c.role = lib.LOCKSTEP_ROLE_FOLLOWER
        control.c.fenced_epoch = max(int(control.c.fenced_epoch), epoch)
        control.flush()

    def cut(self, common: Position) -> list[str]:
        """Put aside what lies behind `common` (refused where it was acknowledged) and recover again."""
        control = self.control
        assert control is not None
        last = self.last_seq
        self._stop()
        names = cut_after(self.folder, control, common, last)
        self._recover()
        return names

    def _stop(self) -> None:
        self._ending = True
        self._fresh.set()
        if self._syncer is not None:
            self._syncer.join()
            self._syncer = None
        if self._preparer is not None:
            self._preparer.join()
            self._preparer = None
        if self.c is not None:
            lib.lockstep_replica_clear(self.c, self._run)
            lib.lockstep_replica_discard(self.c)
            if self.failed is None:
                durable = ffi.new("uint64_t *")
                code = lib.lockstep_writer_sync(self.c, durable)
                self.failed = os_failure(self.folder, -code, "syncing") if code else None
            lib.lockstep_writer_release(self.c)
            self.c = None

    def close(self) -> None:
        """Sync, let go of the folder."""
        try:
            self._stop()
            if self.control is not None:
                self.control.c.writer_pid = 0
                self.control.flush()
        finally:
            self._lock.release()
            os.close(self.wake_fd)

    # ---- where we are

    @property
    def stream_id(self) -> int:
        """0: the folder is new."""
        return self.control.stream_id if self.control is not None else 0

    @property
    def last_seq(self) -> int:
        """Of the last frame here."""
        return int(self.c.last_seq) if self.c is not None else 0

    @property
    def durable_seq(self) -> int:
        """Up to here it is on disk."""
        return int(self.control.c.durable_seq) if self.control is not None else 0

    @property
    def known_epoch(self) -> int:
        """The highest epoch that this folder has heard of."""
        if self.control is None:
            return 0
        return max(int(self.control.c.fenced_epoch), int(self.control.c.epoch), int(self.c.epoch) if self.c is not None else 0)

    def hello(self, name: str, protocol: int) -> Hello:
        """Who and where we are."""
        said = Hello(protocol, "follower", name, self.stream_id, FORMAT, self.known_epoch)
        if self.c is None:
            return said
        here = position_of(self.folder, self.last_seq)
        assert here is not None
        said.last_seq, said.digest = here.seq, here.digest.hex()
        said.segment = int(self.c.segment)
        if said.segment:
            said.offset = int(self.c.offset)
            said.open_crc = open_crc(self.folder, said.segment)
        return said

    # ---- what arrives

    def fileno_receive(self, fd: int, left: int) -> int:
        """Receive from a plain socket: bytes, 0 when nothing is there."""
        n = int(lib.lockstep_replica_receive(self.c, self._run, fd, min(left, RECEIVE_BYTES), self._verdict))
        if n == -errno.EAGAIN:
            return 0
        if n == 0:
            raise LinkError("the connection ended")
        if n == -errno.EBADMSG:
            raise self._refused()
        if n < 0:
            raise LinkError(os.strerror(-n))
        self._arrived()
        return n

    def receive_by(self, read_into: Callable[[memoryview], int], left: int) -> int:
        """Receive through a function that fills a buffer: TLS, or what is buffered already."""
        room = int(lib.lockstep_replica_place(self.c, self._run, self._place))
        n = min(left, room, RECEIVE_BYTES)
        if not n:
            raise LinkError("more bytes than its segment has room for")
        got = read_into(memoryview(ffi.buffer(self._place[0], n)))
        if lib.lockstep_replica_advance(self.c, self._run, got, self._verdict):
            raise self._refused()
        self._arrived()
        return got

    def _arrived(self) -> None:
        v = self._verdict
        if v.frames:
            self._fresh.set()
            if self.lags is not None:
                self.lags.append((int(v.frames), int(v.lag_ns)))

    def expects(self, segment: int, offset: int) -> bool:
        """Is this the next byte?"""
        return bool(self.c is not None and segment == self.c.segment and offset == self.c.offset + self._run.held)

    def restart(self) -> None:
        """A new connection: what was received of a frame that is not whole is forgotten."""
        if self.c is not None:
            lib.lockstep_replica_clear(self.c, self._run)

    def announce(self, number: int, head: bytes) -> None:
        """The next segment's identity and schema: begin to make it; again, when its writer has made it anew."""
        if number != self.c.segment + 1:
            raise LinkError(f"segment {number} announced; expected {self.c.segment + 1}")
        _check_head(head, number, self.stream_id)
        if head == self._prepared:
            return
        self.prepared(lambda: None)
        self._check(lib.lockstep_replica_discard(self.c), "removing a segment made in vain")
        self._prepared = head
        self._preparer = threading.Thread(target=self._prepare, args=(head,), name="replica-segments", daemon=True)
        self._preparer.start()

    def _prepare(self, head: bytes) -> None:
        frames_at = _IDENTITY.unpack_from(head)[2]
        block = head[: _IDENTITY.size].ljust(BLOCK_BYTES, b"\0") + head[_IDENTITY.size :]
        data = ffi.from_buffer(block.ljust(frames_at, b"\0"))
        while (code := lib.lockstep_replica_prepare(self.c, data, frames_at)) == -errno.EBUSY:
            self.sync()
        if code:
            self._fail(os_failure(self.folder, -code, "preparing a segment"))

    def prepared(self, waiting: Callable[[], None], patience_s: float = 1.0) -> None:
        """Wait for the segment in the making; `waiting` is called now and then."""
        while self._preparer is not None and self._preparer.is_alive():
            self._preparer.join(patience_s)
            waiting()
        self._preparer = None
        if self.failed is not None:
            raise self.failed

    def opened(self, record: bytes) -> None:
        """The open record of the announced segment."""
        if len(record) != _OPEN.size:
            raise LinkError(f"an open record of {len(record)} bytes")
        # What it says was on the writer's disk must be on ours first: else a power loss here would look like damage.
        if _OPEN.unpack(record)[1] > self.durable_seq:
            self.sync()
        self._ok(lib.lockstep_replica_open(self.c, ffi.from_buffer("struct lockstep_open_record *", record), self._verdict))

    def ended(self, marker: bytes, segment: int, offset: int) -> None:
        """The end marker of the current segment."""
        if len(marker) != END_BYTES or not self.expects(segment, offset) or self._run.held:
            raise LinkError(f"an end marker for segment {segment} at byte {offset}, which is not where we are")
        self._ok(lib.lockstep_replica_end(self.c, ffi.from_buffer("struct lockstep_end_marker *", marker), self._verdict))
        self._prepared = b""

    def replicated(self, seq: int) -> None:
        """How far the followers that count are, as the server says; never back."""
        control = self.control
        assert control is not None
        if seq > control.c.replicated_seq:
            control.c.replicated_seq = min(seq, self.last_seq)

    def _ok(self, code: int) -> None:
        if code:
            raise self._refused()

    def _refused(self) -> LinkError:
        v = self._verdict
        return LinkError(
            f"after frame {self.last_seq} expected {_FAULTS.get(int(v.state), 'a frame')} {int(v.expected):#x}, "
            f"received {int(v.found):#x}; nothing of it was kept"
        )

    def _check(self, code: int, doing: str) -> None:
        if code:
            raise os_failure(self.folder, -code, doing)

    # ---- the disk

    def sync(self) -> int:
        """Put on disk what was received; the durable seq."""
        durable = ffi.new("uint64_t *")
        with self._sync_lock:
            self._check(lib.lockstep_writer_sync(self.c, durable), "syncing")
        return int(durable[0])

    def _sync_run(self) -> None:
        """Behind the tail, one sync for all that came meanwhile."""
        pause = threading.Event()
        while not self._ending:
            self._fresh.wait()
            self._fresh.clear()
            if self._ending:
                return
            try:
                self.sync()
            except JournalError as error:
                self._fail(error)
                return
            os.eventfd_write(self.wake_fd, 1)
            pause.wait(SYNC_INTERVAL_S)

    def _fail(self, error: JournalError) -> None:
        self.failed = error
        os.eventfd_write(self.wake_fd, 1)


def open_crc(folder: Path, number: int) -> int:
    """The crc of a segment's open record: it covers the identity, and so the nonce."""
    with (folder / segment_name(number)).open("rb") as file:
        file.seek(lib.LOCKSTEP_OPEN_AT)
        return int(_OPEN.unpack(file.read(_OPEN.size))[6])


def _check_head(head: bytes, number: int, stream_id: int) -> None:
    """A segment's identity from the wire: as strict as one from a file, for it becomes one."""
    if len(head) < _IDENTITY.size:
        raise LinkError(f"a segment's identity of {len(head)} bytes")
    magic, format_, frames_at, stream, _, size, own, schema_bytes, schema_crc, crc = _IDENTITY.unpack_from(head)
    schema = head[_IDENTITY.size :]
    well = (
        magic == SEGMENT_MAGIC
        and format_ == FORMAT
        and crc32c(head[:60]) == crc
        and (own, stream) == (number, stream_id)
        and SEGMENT_BYTES_MIN <= size < 2**32
        and size % BLOCK_BYTES == frames_at % BLOCK_BYTES == 0
        and len(schema) == schema_bytes
        and frames_at == BLOCK_BYTES + -(-schema_bytes // BLOCK_BYTES) * BLOCK_BYTES
        and frames_at + END_BYTES <= size
        and crc32c(schema) == schema_crc
    )
    if not well or _IDENTITY.pack(magic, format_, frames_at, stream, _, size, own, schema_bytes, schema_crc, crc) != head[:64]:
        raise LinkError(f"segment {number}: an identity that is none of stream {stream_id:#018x}")
