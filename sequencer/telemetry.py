"""The telemetry file of a running sequencer: made by the daemon, written by its loop, read by whoever may.

`JOURNAL/run/telemetry` is mapped memory (sequencer/kernel/telemetry.h). It gets its name when it is complete, so a reader never
sees half of it, and a reader that holds the file of a sequencer before keeps that, unchanged.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from journal.errors import ForeignFile, JournalMissing, NewerFormat, SegmentTruncated, os_failure
from sequencer.kernel._sequencer import ffi, lib
from sequencer.session import Source
from sequencer.settings import IDLE, SequencerSettings

MAGIC = int.from_bytes(b"LKSTELEM", "little")
_PAGE = ffi.sizeof("struct lockstep_telemetry")
_SOURCE = ffi.sizeof("struct lockstep_source_telemetry")


def telemetry_path(journal: Path) -> Path:
    """Where the sequencer of a journal keeps it."""
    return Path(journal) / "run" / "telemetry"


def create(journal: Path, loop: Any, sources: Iterable[Source], settings: SequencerSettings, now_ns: int) -> Any:
    """Make the file, map it, hand it to a loop that does not run yet. Returns what must live as long as the loop."""
    path, known = telemetry_path(journal), list(sources)
    size = _PAGE + _SOURCE * len(known)
    temporary = path.with_name("telemetry.tmp")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            # Allocated, not sparse: a full disk must show here, not as a signal in the loop.
            os.posix_fallocate(fd, 0, size)
            mapped = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        page = ffi.from_buffer("struct lockstep_telemetry *", mapped, require_writable=True)
        page.version, page.sources, page.bytes = lib.LOCKSTEP_TELEMETRY_VERSION, len(known), size
        page.stream_id, page.epoch, page.pid = loop.writer.stream_id, loop.writer.epoch, os.getpid()
        page.started_ns, page.segment_bytes = now_ns, loop.writer.segment_bytes
        page.idle, page.cpu = IDLE[settings.idle], -1 if settings.cpu is None else settings.cpu
        entries = lib.lockstep_telemetry_sources(page)
        for entry, source in zip(range(len(known)), known, strict=True):
            words = entries[entry]
            name = source.name.encode()[: lib.LOCKSTEP_SOURCE_NAME_BYTES]
            ffi.memmove(words.name, name, len(name))
            words.source, words.role, words.ring_bytes = source.id, int(source.role), source.ring_bytes or settings.ring_bytes
            source.state.telemetry = ffi.addressof(words)
        page.magic = MAGIC
        loop.telemetry = page
        os.replace(temporary, path)
    except OSError as error:
        raise os_failure(path, error.errno or 0, "making the telemetry file") from None
    return mapped, page


class Telemetry:
    """The file, mapped to read. `page` and `sources[i]` are the C structs: they change under the reader, and live as long
    as this object does."""

    def __init__(self, journal: Path) -> None:
        self.path = path = telemetry_path(journal)
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                self.inode = found.st_ino
                if found.st_size < _PAGE:  # nothing at all cannot even be mapped
                    raise SegmentTruncated(f"{path}: {found.st_size} bytes; a telemetry file has at least {_PAGE}")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise JournalMissing(
                f"{path}: no telemetry; expected the file of a sequencer that has run there (sequencer.telemetry = true)"
            ) from None
        except (OSError, ValueError) as error:
            raise os_failure(path, getattr(error, "errno", 0) or 0, "reading it") from None
        self.page: Any = ffi.from_buffer("struct lockstep_telemetry *", self._map)
        if self.page.magic != MAGIC:
            raise ForeignFile(f"{path}: starts with {bytes(self._map[:8])!r}; a telemetry file starts with b'LKSTELEM'")
        if self.page.version != lib.LOCKSTEP_TELEMETRY_VERSION:
            raise NewerFormat(
                f"{path}: telemetry version {self.page.version}; this lockstep reads version {lib.LOCKSTEP_TELEMETRY_VERSION}"
            )
        if self.page.bytes != len(self._map) or self.page.bytes != _PAGE + _SOURCE * self.page.sources:
            raise SegmentTruncated(f"{path}: {len(self._map)} bytes for {self.page.sources} sources")
        entries = lib.lockstep_telemetry_sources(self.page)
        self.sources: list[Any] = [entries[i] for i in range(self.page.sources)]

    def replaced(self) -> bool:
        """Whether another sequencer has put a file of its own there."""
        try:
            return os.stat(self.path).st_ino != self.inode
        except OSError:
            return False


def name_of(entry: Any) -> str:
    """A source's name."""
    return bytes(ffi.buffer(entry.name)).rstrip(b"\0").decode(errors="replace")


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """The values that a bucket holds: first, and first of the next."""
    if bucket < 4:
        return bucket, bucket + 1
    step = 1 << (bucket // 4 - 1)
    first = (4 + bucket % 4) * step
    return first, first + step


def percentile(counts: list[int], share: float) -> int:
    """The value below which `share` of what was counted lies, from the middle of its bucket; 0 when nothing was counted."""
    total = sum(counts)
    if not total:
        return 0
    wanted, seen = share * total, 0
    for bucket, count in enumerate(counts):
        seen += count
        if count and seen >= wanted:
            low, high = bucket_bounds(bucket)
            return (low + high - 1) // 2
    return bucket_bounds(len(counts) - 1)[0]
