"""Reading a journal, live or offline, from any seq. Maps files read-only and checks every frame; the writer never notices."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from journal.errors import JournalCorrupt, JournalMissing
from journal.kernel._journal import ffi, lib
from journal.recovery import chain_break, describe, start_reader
from journal.segment import (
    CONTROL,
    ControlPage,
    SegmentHeader,
    map_file,
    read_header,
    segment_files,
    segment_name,
)

_REF = struct.Struct("<IHHQq")
_NO_LIMIT = 2**64 - 1
# How many frames a filtered poll looks at before it says how far it came.
_SCAN_FACTOR = 64


class Batch:
    """Frames of one poll, in order: iteration yields (offset, kind, source, seq, ts); the body stands at offset + 64.

    `buffer` is the whole mapped segment and stays valid as long as the batch or a view of it is held. `first_seq` and
    `last_seq` are what the poll looked at, frames that were filtered out included. `refs` are the rows, 24 bytes each.
    """

    __slots__ = ("buffer", "first_seq", "header", "last_seq", "refs")

    def __init__(self, buffer: memoryview, refs: bytes, first_seq: int, last_seq: int, header: SegmentHeader) -> None:
        self.buffer = buffer
        self.refs = refs
        self.first_seq = first_seq
        self.last_seq = last_seq
        self.header = header

    def __iter__(self) -> Iterator[tuple[int, int, int, int, int]]:
        return _REF.iter_unpack(self.refs)

    def __len__(self) -> int:
        return len(self.refs) // _REF.size


class JournalReader:
    """Polls a journal from `from_seq` on. Any number may read at once, each at its own pace.

    `verify=False` trusts crc, ts and epoch (seq and length are always checked). `kinds` are filtered in C.
    """

    def __init__(self, path: Path | str, *, from_seq: int = 1, verify: bool = True, kinds: Iterable[int] | None = None) -> None:
        self.path = Path(path)
        if from_seq < 1:
            raise ValueError(f"from_seq {from_seq}; the first frame of a stream is 1")
        self._control: ControlPage | None = None
        if not segment_files(self.path) and not (self.path / CONTROL).exists():
            raise JournalMissing(f"{self.path}: no journal here: neither a control page nor a segment")
        self._from_seq = from_seq
        self._stream_id: int | None = None
        self._header: SegmentHeader | None = None
        self._buffer: memoryview | None = None
        self._base: Any = None
        self._c = ffi.new("struct lockstep_reader *")
        self._c.verify = verify
        self._c.next_seq = 1
        if kinds is not None:
            self._c.filtered = 1
            for kind in kinds:
                self._c.kinds[kind // 64] |= 1 << (kind % 64)
        self._refs: Any = None
        self._refs_max = 0
        self._read_control()

    def _read_control(self) -> ControlPage | None:
        if self._control is None and (self.path / CONTROL).exists():
            self._control = ControlPage(self.path / CONTROL)
            self._stream_id = self._control.stream_id
        return self._control

    @property
    def next_seq(self) -> int:
        """The next frame to be looked at; filtered frames count."""
        return max(int(self._c.next_seq), self._from_seq)

    @property
    def seen_seq(self) -> int:
        """The last frame looked at or skipped; below `next_seq` - 1 while the journal ends before `from_seq`."""
        return int(self._c.next_seq) - 1

    @property
    def written_seq(self) -> int:
        """How far the writer says it is; 0 where there is no control page."""
        control = self._read_control()
        return int(control.c.written_seq) if control else 0

    @property
    def durable_seq(self) -> int:
        """How much of it is on disk; 0 where there is no control page."""
        control = self._read_control()
        return int(control.c.durable_seq) if control else 0

    @property
    def halted(self) -> int:
        """Reason why the stream has ended by itself: act outside no more. 0: it goes on, or was stopped in order."""
        control = self._read_control()
        return int(control.c.halted) if control else 0

    @property
    def stream_id(self) -> int | None:
        """Of the journal; None while nothing is written yet and no control page is there."""
        return self._stream_id

    @property
    def segment(self) -> SegmentHeader | None:
        """The segment the next frame is read from; None before the first poll."""
        return self._header

    def poll(self, max_frames: int = 4096, *, to_seq: int = _NO_LIMIT) -> Batch | None:
        """The next frames, at most `max_frames` and of one segment; None when nothing new is there.

        A batch may be empty (len 0) when all it looked at was filtered out. JournalCorrupt where a frame is bad; what stood
        before it has been delivered by then.
        """
        if max_frames > self._refs_max:
            self._refs, self._refs_max = ffi.new("struct lockstep_ref[]", max_frames), max_frames
        c = self._c
        while True:
            if self._header is None and not self._enter_first():
                return None
            if c.next_seq < self._from_seq:
                lib.lockstep_reader_survey(c, self._from_seq - c.next_seq, ffi.NULL, ffi.NULL, ffi.NULL)
                if c.next_seq < self._from_seq and not self._go_on():
                    return None
                continue
            first = int(c.next_seq)
            scan_max = max_frames * _SCAN_FACTOR if c.filtered else max_frames
            n = lib.lockstep_reader_poll(c, self._refs, max_frames, scan_max, to_seq)
            if c.next_seq > first:
                assert self._buffer is not None
                assert self._header is not None
                refs = bytes(ffi.buffer(self._refs, n * _REF.size)) if n else b""
                return Batch(self._buffer, refs, first, int(c.next_seq) - 1, self._header)
            if not self._go_on():
                return None

    def _go_on(self) -> bool:
        """After a stop without a frame: True when the next segment was entered, False at the tail."""
        state = self._c.state
        if state in (lib.LOCKSTEP_TAIL, lib.LOCKSTEP_MORE):
            return False
        assert self._header is not None
        if state == lib.LOCKSTEP_END:
            self._enter(self._next_header(self._header))
            return True
        expected, found = describe(self._c)
        raise JournalCorrupt(self._header.path, int(self._c.offset), expected, found)

    def _next_header(self, header: SegmentHeader) -> SegmentHeader:
        path = self.path / segment_name(header.number + 1)
        following = read_header(path, header.number + 1, self._stream_id)
        if following.opened is None:
            raise JournalCorrupt(path, 512, "an open record, for the segment before ends here", "none")
        broken = chain_break(following, self._c)
        if broken is not None:
            raise JournalCorrupt(path, 512, *broken)
        return following

    def _enter_first(self) -> bool:
        """Find the open segment that holds `from_seq`; False while nothing is open yet."""
        files = segment_files(self.path)
        low, high = 0, len(files)
        found: SegmentHeader | None = None
        while low < high:
            middle = (low + high) // 2
            header = read_header(files[middle][1], files[middle][0], self._stream_id)
            self._stream_id = header.stream_id
            if header.opened is not None and header.opened.first_seq <= self._from_seq:
                found, low = header, middle + 1
            else:
                high = middle
        if found is None:
            return False
        self._enter(found)
        return True

    def _enter(self, header: SegmentHeader) -> None:
        mapped = map_file(header.path)
        self._base = ffi.from_buffer(mapped)
        self._buffer = memoryview(mapped)
        self._header = header
        start_reader(self._c, header, self._base)

    def close(self) -> None:
        """Let go of the maps; batches still held keep theirs."""
        self._base = self._buffer = self._header = self._control = None
        self._c.base = ffi.NULL

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
