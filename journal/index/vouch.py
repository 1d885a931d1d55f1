"""Going by an index instead of reading its segment: what a start of the writer does with the full segments behind it.

Only as much is read as says whose index it is, how the segment ends (of the segment: that end), and what became of each source.
Whether it is believed is the decision of recovery (journal/kernel/recovery.h). Who went by it reads the segment later and asks
`contradicted`.
"""

from __future__ import annotations

import os

from journal.errors import JournalError
from journal.index.layout import (
    HEAD_BYTES,
    IndexDamaged,
    IndexHead,
    SegmentIndex,
    Sources,
    index_path,
    kinds_in,
)
from journal.kernel._journal import lib
from journal.segment import END_BYTES, SegmentHeader, read_part

FRAME_BYTES_MAX = int(lib.LOCKSTEP_FRAME_BYTES_MAX)
_BELIEVED = ("kinds", "sources", "numbers", "places")


class Vouch:
    """What an index file says of a full segment. IndexDamaged or OSError: there is none that could be believed."""

    def __init__(self, header: SegmentHeader) -> None:
        self.path = index_path(header)
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.head_bytes = os.pread(fd, HEAD_BYTES, 0)
            self._head = IndexHead(self.head_bytes, header)
            if os.fstat(fd).st_size != self._head.file_bytes:
                raise IndexDamaged("its length")
            kinds, self._sources = self._read(fd, "kinds"), self._read(fd, "sources")
        finally:
            os.close(fd)
        self.ends = ends = self._head.ends
        self.kinds = kinds_in(kinds)
        """Kind → frames, bytes."""
        self.sources = Sources(self.section)
        """What it says of the segment's sources."""
        for name in ("numbers", "places"):
            if sum(len(getattr(row, name)) for row in self.sources.rows.values()) != self._head.sections[name].rows:
                raise IndexDamaged(f"section {name}")
        if not 0 < ends.end_offset - ends.last_offset <= FRAME_BYTES_MAX:
            raise IndexDamaged("offsets")
        try:
            self.end = read_part(header.path, ends.last_offset, ends.end_offset + END_BYTES - ends.last_offset)
        except JournalError as error:
            raise IndexDamaged(str(error)) from None

    def section(self, name: str) -> bytes | memoryview:
        """One of the sections about sources, read now. IndexDamaged or OSError: the file is another one by now."""
        if name == "sources":
            return self._sources
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._read(fd, name)
        finally:
            os.close(fd)

    def _read(self, fd: int, name: str) -> bytes | memoryview:
        section = self._head.sections[name]
        return self._head.check(name, os.pread(fd, section.bytes, section.at))

    def contradicted(self, fresh: SegmentIndex) -> bool:
        """Whether the segment, read now, says something else than was believed of it."""
        return fresh.ends != self.ends or any(self._head.sections[n][1:] != fresh.head.sections[n][1:] for n in _BELIEVED)


def vouch_of(header: SegmentHeader) -> Vouch | None:
    """What an index says of this segment; None where there is none, or one that is of no use."""
    try:
        return Vouch(header)
    except (IndexDamaged, OSError):
        return None
