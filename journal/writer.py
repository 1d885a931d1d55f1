"""The single writer of a journal, for whoever writes from Python: tests, backtests, importers, the sequencer's control plane.

The sequencer appends in C through `.c`; its threads call `prepare_next` and `sync` here, which block without the GIL.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from journal import entropy, quarantine
from journal.errors import JournalError, JournalFenced, MessageTooLong, WrongStream, os_failure
from journal.frames import frames
from journal.index.vouch import Vouch
from journal.kernel._journal import ffi, lib
from journal.lock import FolderLock
from journal.messages.control import Clock, RecoveryReport
from journal.messages.declared import read_kinds
from journal.messages.derive import schema_text
from journal.messages.header import HEADER_BYTES, Flag
from journal.messages.schema import Message
from journal.quarantine import RecoveryResult
from journal.recovery import recover
from journal.segment import (
    BLOCK_BYTES,
    CONTROL,
    SEGMENT_BYTES_DEFAULT,
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
    ControlPage,
    SegmentHeader,
    create_control,
    read_header,
    schema_kinds,
    segment_files,
    segment_name,
)

# How far behind the cut a RecoveryReport is looked for: EpochStart and SessionStart come before it.
_REPORTED_WITHIN = 15


class JournalWriter:
    """Appends frames; owns the journal's lock from `open` to `close`.

    `recovery` says what was cut at the start, None when the journal was clean. `last_source_seq` has the last number of
    each source that ever published, refused messages included, `last_incarnation` the last start number. `passed`: full
    segments that the start did not read, by number, and what vouched for them.
    """

    def __init__(self) -> None:
        raise TypeError("use JournalWriter.open(path)")

    path: Path
    stream_id: int
    c: Any
    control: ControlPage
    recovery: RecoveryResult | None
    last_source_seq: dict[int, int]
    last_incarnation: dict[int, int]
    passed: dict[int, Vouch]
    _lock: FolderLock
    _schema: bytes

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        stream_id: int | None = None,
        segment_bytes: int | None = None,
        nonce: int | None = None,
        write_through: bool = False,
        huge_pages: bool = False,
        schema: bytes | None = None,
        by_index: bool = False,
    ) -> JournalWriter:
        """Create a journal, or recover one and go on behind its last frame.

        `stream_id` and `nonce`: random unless given; equal ones and equal appends give equal segment files. `segment_bytes`:
        of segments made from now on; 64 MiB for a new journal, what it had for an old one. `write_through`: new
        segments are written to disk as zeros, so that later syncs only overwrite (what the sequencer wants). `huge_pages`:
        they come into memory 2 MiB at a time: half the work of a stream at full speed, and each sync of a tail writes 2 MiB.
        `schema`: the text that describes what is appended; None: this build's kinds. Where the last segment's schema does not
        declare all that, the next frame begins a new segment.
        `by_index`: full segments whose index can be believed are not read now; the caller reads those in `passed` later.
        """
        if segment_bytes is not None and (segment_bytes < SEGMENT_BYTES_MIN or segment_bytes % BLOCK_BYTES):
            raise ValueError(
                f"segment_bytes {segment_bytes}; expected a multiple of {BLOCK_BYTES}, at least {SEGMENT_BYTES_MIN}"
            )
        if segment_bytes is not None and segment_bytes > SEGMENT_BYTES_MAX:
            raise ValueError(f"segment_bytes {segment_bytes}; at most {SEGMENT_BYTES_MAX}")
        self = object.__new__(cls)
        self.path = Path(path)
        self.c = None
        self._lock = FolderLock(self.path)
        try:
            self._start(stream_id, segment_bytes, nonce, write_through, huge_pages, schema or schema_text(), by_index)
        except BaseException:
            self._let_go()
            raise
        return self

    def _start(
        self,
        stream_id: int | None,
        segment_bytes: int | None,
        nonce: int | None,
        write_through: bool,
        huge_pages: bool,
        schema: bytes,
        by_index: bool,
    ) -> None:
        control_path = self.path / CONTROL
        old = segment_files(self.path)
        control = ControlPage(control_path, writable=True) if control_path.exists() else None
        if control is not None:
            refuse_foreign_epoch(self.path, control)
        known = control.stream_id if control else read_header(old[0][1], 1).stream_id if old else None
        if known is not None and stream_id is not None and known != stream_id:
            raise WrongStream(f"{self.path}: is stream {known:#018x}; expected {stream_id:#018x}")
        if known is None:
            known = stream_id if stream_id is not None else entropy.random_u64()
            create_control(self.path, known, segment_bytes or SEGMENT_BYTES_DEFAULT)
            control = ControlPage(control_path, writable=True)
        elif control is not None and segment_bytes not in (None, control.segment_bytes):
            control = self._resize(control, segment_bytes)
        stream = recover(self.path, control, stream_id=known, by_index=by_index)
        if control is None:
            create_control(
                self.path, known, segment_bytes or read_header(old[0][1], 1).segment_bytes,
                durable_seq=stream.last_seq, segment=stream.segment, epoch=stream.epoch,
            )  # fmt: skip
            control = ControlPage(control_path, writable=True)
        self.stream_id, self.control, self.recovery = known, control, self._untold()
        self.last_source_seq, self.last_incarnation = stream.last_source_seq, stream.last_incarnation
        self.passed = stream.passed
        c = ffi.new("struct lockstep_writer *")
        self._schema = schema
        self._schema_c = ffi.from_buffer(self._schema)
        folder = os.fsencode(self.path.resolve())
        if len(folder) >= lib.LOCKSTEP_FOLDER_BYTES:
            raise JournalError(f"{self.path}: path of {len(folder)} bytes; at most {lib.LOCKSTEP_FOLDER_BYTES - 1}")
        c.folder = folder
        c.control, c.roll_fd, c.stream_id = control.c, -1, known
        c.nonce = nonce if nonce is not None else entropy.random_u64()
        c.segment_bytes, c.write_through = control.segment_bytes, write_through
        c.folio_bytes = lib.LOCKSTEP_HUGE_BYTES if huge_pages else lib.LOCKSTEP_FOLIO_BYTES
        c.schema, c.schema_bytes = self._schema_c, len(self._schema)
        c.last_seq, c.last_ts, c.last_crc, c.epoch = stream.last_seq, stream.last_ts, stream.last_crc, stream.epoch
        self.c = c
        control.c.epoch = stream.epoch
        control.c.written_ts, control.c.written_seq, control.c.durable_seq = stream.last_ts, stream.last_seq, stream.last_seq
        control.c.writer_pid = os.getpid()
        control.c.halted = 0
        if stream.segment:
            self._check(lib.lockstep_writer_adopt(c, stream.segment, lib.LOCKSTEP_CURRENT, stream.offset), "taking it over")
        if stream.prepared:
            self._check(lib.lockstep_writer_adopt(c, stream.prepared, lib.LOCKSTEP_PREPARED, 0), "taking over the next segment")
        elif not stream.segment:
            self.prepare_next()
        control.flush()
        if stream.segment:
            self._leave_foreign_segment(read_header(self.path / segment_name(stream.segment), stream.segment))

    def _leave_foreign_segment(self, header: SegmentHeader) -> None:
        """Where the segment's schema does not tell how to read what this writer appends: the next frame begins another one."""
        there = {kind.kind: kind.version for kind in schema_kinds(header)}
        if all(there.get(kind.kind) == kind.version for kind in read_kinds(self._schema)):
            return
        if self.c.offset == header.frames_at and there.get(Clock.KIND) == Clock.VERSION:
            # Opened by a run that died before its first frame. No segment in the midst of a stream is empty.
            self.append(Clock(wall_ts=self.last_ts), ts=self.last_ts + 1)
        self.c.limit = self.c.offset

    def _resize(self, control: ControlPage, segment_bytes: int | None) -> ControlPage:
        """Another segment size from now on: a new page with the old watermarks."""
        assert segment_bytes is not None
        create_control(
            self.path, control.stream_id, segment_bytes,
            durable_seq=control.c.durable_seq, segment=control.c.segment, epoch=control.c.epoch,
            replicated_seq=control.c.replicated_seq, fenced_epoch=control.c.fenced_epoch, role=control.c.role,
        )  # fmt: skip
        return ControlPage(self.path / CONTROL, writable=True)

    def _untold(self) -> RecoveryResult | None:
        """What was cut, at this start or at an earlier one that died before its report was on the stream."""
        cut = quarantine.untold(self.path)
        if cut is not None and self._reported(cut):
            quarantine.told(self.path)
            return None
        return cut

    def _reported(self, cut: RecoveryResult) -> bool:
        """A sequencer reports among its first frames."""
        first = cut.kept_seq + 1
        return any(
            isinstance(frame.message, RecoveryReport) and frame.message.kept_seq == cut.kept_seq
            for frame in frames(self.path, from_seq=first, to_seq=first + _REPORTED_WITHIN, kinds=[RecoveryReport.KIND])
        )

    def _check(self, code: int, doing: str) -> None:
        if code:
            raise os_failure(self.path, -code, doing)

    @property
    def last_seq(self) -> int:
        """Seq of the last frame; 0 in a new stream."""
        return int(self.c.last_seq)

    @property
    def last_ts(self) -> int:
        """ts of the last frame; 0 in a new stream."""
        return int(self.c.last_ts)

    @property
    def epoch(self) -> int:
        """What new frames carry; 0 until the first `begin_epoch` of a stream."""
        return int(self.c.epoch)

    @property
    def durable_seq(self) -> int:
        """Frames up to here are on disk."""
        return int(self.control.c.durable_seq)

    def begin_epoch(self) -> int:
        """Raise the epoch by one; it is on disk before any frame can carry it."""
        epoch = self.epoch + 1
        self.control.c.epoch = epoch
        try:
            self.control.flush()
        except BaseException:
            self.control.c.epoch = self.epoch  # not begun
            raise
        self.c.epoch = epoch
        return epoch

    def append(
        self,
        message: Message,
        *,
        ts: int,
        source: int = 0,
        source_seq: int = 0,
        cause: int = 0,
        origin_ts: int = 0,
        flags: int = Flag.LAST,
        incarnation: int = 0,
    ) -> int:
        """Append a message; its seq. Visible to readers at once, on disk after the next `sync`."""
        return self.append_bytes(
            message.KIND, message.VERSION, message.encode(), ts=ts, source=source, source_seq=source_seq, cause=cause,
            origin_ts=origin_ts, flags=flags, incarnation=incarnation,
        )  # fmt: skip

    def append_bytes(
        self,
        kind: int,
        version: int,
        body: bytes | memoryview,
        *,
        ts: int,
        source: int = 0,
        source_seq: int = 0,
        cause: int = 0,
        origin_ts: int = 0,
        flags: int = Flag.LAST,
        incarnation: int = 0,
    ) -> int:
        """Append an encoded body; its seq."""
        c = self.c
        if c is None:
            raise JournalError(f"{self.path}: this writer is closed")
        if ts <= c.last_ts:
            raise ValueError(f"ts {ts}; expected more than {c.last_ts}, the ts of frame {c.last_seq}")
        if len(body) % 8:
            raise ValueError(f"body of {len(body)} bytes; expected a multiple of 8")
        data = body if type(body) is bytes else ffi.from_buffer(body)
        size = len(body)
        while code := lib.lockstep_writer_put(
            c, kind, version, flags, source, ts, origin_ts, source_seq, cause, incarnation, data, size
        ):
            self._make_room(code, size)
        if source_seq > self.last_source_seq.get(source, 0):
            self.last_source_seq[source] = source_seq
        return int(c.last_seq)

    def _make_room(self, code: int, body_bytes: int) -> None:
        """What an append may need before it can succeed: the next segment, or a slot for it."""
        if code == -errno.EMSGSIZE:
            raise MessageTooLong(
                f"{self.path}: body of {body_bytes} bytes; at most {self.body_bytes_max} in segments of {self.c.segment_bytes}"
            )
        if code == -errno.EOVERFLOW:
            raise JournalError(f"{self.path}: {self._full()}: begin a new journal")
        if code == -errno.ESTALE:
            raise self._overtaken()
        if code != -errno.EAGAIN:
            raise os_failure(self.path, -code, "appending")
        if lib.lockstep_writer_wants_segment(self.c) == 2:
            self.sync()
        self.prepare_next()

    def _overtaken(self) -> JournalFenced:
        return JournalFenced(overtaken(self.path, self.control, self.epoch))

    def _full(self) -> str:
        if self.c.last_seq >= lib.lockstep_seq_max():
            return f"ends with seq {self.c.last_seq}; a stream ends at {lib.lockstep_seq_max()}"
        return f"has {self.c.segment} segments; a journal has at most {lib.LOCKSTEP_SEGMENTS_MAX}"

    @property
    def body_bytes_max(self) -> int:
        """The longest body that fits a frame and an empty segment."""
        blocks = 1 + -(-len(self._schema) // BLOCK_BYTES)
        kept = int(lib.LOCKSTEP_END_BYTES + lib.LOCKSTEP_RESERVE_BYTES)
        room = int(self.c.segment_bytes) - blocks * BLOCK_BYTES - kept
        return min(int(lib.LOCKSTEP_FRAME_BYTES_MAX), room // 8 * 8) - HEADER_BYTES

    def prepare_next(self) -> None:
        """Make the segment behind the current one, if it is not there. Blocks; may run in a thread of its own."""
        code = lib.lockstep_writer_prepare(self.c)
        if code == -errno.EOVERFLOW:
            raise JournalError(f"{self.path}: {self._full()}: begin a new journal")
        if code and code != -errno.EBUSY:
            raise os_failure(self.path, -code, f"preparing {segment_name(self.c.segment + 1)}")

    def sync(self) -> int:
        """Put on disk what was appended; the durable seq. Blocks; may run in a thread of its own."""
        durable = ffi.new("uint64_t *")
        self._check(lib.lockstep_writer_sync(self.c, durable), "syncing")
        return int(durable[0])

    def close(self) -> None:
        """Sync, remove the unused prepared segment, let go of the lock. JournalFenced, and nothing is touched, where another
        process writes this folder now."""
        if self.c is None:
            return
        try:
            if self.control.c.epoch > self.c.epoch:
                raise self._overtaken()
            self.sync()
            quarantine.told(self.path)
            number = self.c.segment + 1
            slot = self.c.slots[number % lib.LOCKSTEP_SLOTS]
            if slot.state == lib.LOCKSTEP_PREPARED and slot.number == number:
                (self.path / segment_name(number)).unlink(missing_ok=True)
            self.control.c.writer_pid = 0
            self.control.flush()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self.c is not None:
            lib.lockstep_writer_release(self.c)
            self.c = None
        self._lock.release()

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def overtaken(folder: Path, control: ControlPage, epoch: int) -> str:
    """What to say where another process has begun an epoch in the folder that we write: the lock was lost."""
    return (
        f"{folder}: epoch {control.c.epoch} has begun here, by process {control.c.writer_pid}; this writer of epoch {epoch} "
        "ends. A journal has one writer at a time: find out who took its lock away"
    )


def refuse_foreign_epoch(folder: Path, control: ControlPage) -> None:
    """JournalFenced for a folder whose stream is written elsewhere: a follower's, or one that a higher epoch has overtaken."""
    if control.c.role == lib.LOCKSTEP_ROLE_FOLLOWER:
        raise JournalFenced(
            f"{folder}: is a replica, its writer is elsewhere; to write here, first: lockstep replicate promote {folder}"
        )
    if control.c.fenced_epoch > control.c.epoch:
        raise JournalFenced(
            f"{folder}: epoch {control.c.fenced_epoch} of this stream has begun elsewhere, this folder ends with epoch "
            f"{control.c.epoch}; follow the new writer: lockstep replicate follow HOST:PORT {folder}"
        )
