"""What a follower gets next: the journal's bytes as they stand in its files, up to where they are whole frames.

The frames themselves are never looked at here: the kernel sends them from the page cache. At a roll the order is the writer's
own: the next segment is open before the end marker points to it.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

from journal.errors import JournalCorrupt, JournalError
from journal.kernel._journal import ffi, lib
from journal.segment import END_BYTES, OPEN_AT, ControlPage, map_file, read_header, read_schema, segment_name
from sequencer.remote.wire import CHUNK_MAX, Kind, Link, head

_IDENTITY_BYTES = 64
_OPEN_BYTES = 40
_END = 0xFFFFFFFF


class Feed:
    """A place in the journal, and the way on from it."""

    def __init__(self, folder: Path, control: Callable[[], ControlPage], segment: int, offset: int) -> None:
        self.folder = folder
        self._control = control
        self._segment, self._offset = segment, offset
        self._fd = -1
        self._map: mmap.mmap | None = None
        self._view: memoryview | None = None
        self._announced = b""
        """Identity and schema of the next segment, as they were sent."""
        if segment:
            self._enter(segment)

    @property
    def published(self) -> int:
        """segment << 32 | offset up to where there are whole frames."""
        return int(self._control().c.published)

    @property
    def behind(self) -> int:
        """Bytes that are still to be sent, about: of segments between, their whole size."""
        published = self.published
        segments = (published >> 32) - self._segment
        return max(0, segments * int(self._control().c.segment_bytes) + (published & 0xFFFFFFFF) - self._offset)

    def _enter(self, number: int) -> None:
        self.close()
        path = self.folder / segment_name(number)
        read_header(path, number, self._control().stream_id)
        self._map = map_file(path)
        self._view = memoryview(self._map)
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._segment = number
        self._announced = b""

    def send_next(self, link: Link) -> bool:
        """Send the next piece; False when there is none."""
        published = self.published
        segment, upto = published >> 32, published & 0xFFFFFFFF
        if segment < self._segment:
            return False
        if not self._segment:
            return self._roll(link) if segment else self._announce(link)
        if segment > self._segment:
            upto = self._end()
            if self._offset == upto:
                return self._roll(link)
        if self._offset < upto:
            self._send_frames(link, min(upto - self._offset, CHUNK_MAX))
            return True
        return self._announce(link)

    def _send_frames(self, link: Link, count: int) -> None:
        at = self._offset
        link.send_bytes(head(Kind.DATA, count, self._segment, at))
        if link.plain:
            link.send_file(self._fd, at, count)
        else:
            assert self._view is not None
            link.send_bytes(self._view[at : at + count])
        self._offset += count

    def _end(self) -> int:
        """Where the end marker of the current segment, which is full, stands."""
        assert self._map is not None
        view = ffi.from_buffer(self._map)
        last = int(lib.lockstep_last_nonzero(view, self._offset, len(self._map)))
        ffi.release(view)
        at = (last + 7) // 8 * 8 - END_BYTES
        if at < self._offset or struct.unpack_from("<I", self._map, at)[0] != _END:
            raise JournalCorrupt(self.folder / segment_name(self._segment), at, "an end marker", "none")
        return at

    def _identity(self, number: int) -> bytes | None:
        """Identity and schema of a segment that has its name; None when it has not."""
        path = self.folder / segment_name(number)
        if not path.exists():
            return None
        try:
            header = read_header(path, number, self._control().stream_id)
            with path.open("rb") as file:
                return file.read(_IDENTITY_BYTES) + read_schema(header)
        except JournalError:
            if not path.exists():  # made again at a start of the writer
                return None
            raise

    def _announce(self, link: Link) -> bool:
        """Let the follower make the next segment while this one fills. True when something was sent."""
        if self._announced or not (identity := self._identity(self._segment + 1)):
            return False
        link.send(Kind.SEGMENT, identity, word=self._segment + 1)
        self._announced = identity
        return True

    def _roll(self, link: Link) -> bool:
        number = self._segment + 1
        identity = self._identity(number)
        if identity is None:
            raise JournalCorrupt(self.folder / segment_name(number), 0, "the segment that the stream goes on in", "no file")
        if identity != self._announced:
            link.send(Kind.SEGMENT, identity, word=number)
        with (self.folder / segment_name(number)).open("rb") as file:
            file.seek(OPEN_AT)
            link.send(Kind.OPEN, file.read(_OPEN_BYTES), word=number)
        if self._map is not None:
            marker = self._map[self._offset : self._offset + END_BYTES]
            link.send(Kind.END, marker, word=self._segment, value=self._offset)
        self._enter(number)
        self._offset = read_header(self.folder / segment_name(number), number).frames_at
        return True

    def close(self) -> None:
        """Let go of the segment."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._view is not None:
            self._view.release()
            self._view = None
        self._map = None
