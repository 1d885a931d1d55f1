"""Archived segments: NNNNNNNN.seg.zst in the place of NNNNNNNN.seg, for every reader the same bytes.

The file is zstd in the seekable format (independent frames, then a skippable frame with a table of them), so any zstd program
unpacks it, and a header is read without the rest. A reader needs one contiguous map: the segment is unpacked into anonymous
memory. The last few stay there, for readers come back: definitions first, then frames, then columns.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import msgspec

from journal.errors import JournalCorrupt, JournalError, SegmentUnreachable, os_failure

SUFFIX = ".zst"
PART_BYTES = 1 << 20
LEVEL = 9
KEPT_BYTES_MAX = 256 << 20
_TABLE = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_TABLE_MAGIC = 0x184D2A5E
_FOOTER_MAGIC = 0x8F92EAB1
_UNPACKED_MAX = 1 << 32


class Part(msgspec.Struct, frozen=True):
    """One independent zstd frame: where it stands in the file, and how long it is packed and unpacked."""

    at: int
    packed: int
    unpacked: int


class Archive:
    """An opened archive: its table, checked; parts are unpacked when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _not_opened(path, error) from None
        try:
            self.parts = self._read_table(os.fstat(self._fd).st_size)
        except BaseException:
            os.close(self._fd)
            raise
        self.bytes = sum(p.unpacked for p in self.parts)

    def _bad(self, at: int, expected: str, found: str) -> JournalCorrupt:
        return JournalCorrupt(self.path, at, expected, found, "the archive is damaged; restore it from a copy")

    def _read_table(self, size: int) -> list[Part]:
        least = _TABLE.size + _FOOTER.size
        if size < least:
            raise self._bad(size, f"an archive of at least {least} bytes", f"{size} bytes")
        count, descriptor, magic = _FOOTER.unpack(os.pread(self._fd, _FOOTER.size, size - _FOOTER.size))
        if magic != _FOOTER_MAGIC or descriptor != 0:
            raise self._bad(size - 4, f"the seek table's end {_FOOTER_MAGIC:#010x}", f"{magic:#010x}")
        table_at = size - least - count * _ENTRY.size
        if table_at < 0:
            raise self._bad(size - _FOOTER.size, "a number of parts that fits the file", str(count))
        data = os.pread(self._fd, _TABLE.size + count * _ENTRY.size, table_at)
        if _TABLE.unpack_from(data) != (_TABLE_MAGIC, count * _ENTRY.size + _FOOTER.size):
            raise self._bad(table_at, "a seek table", data[:8].hex())
        parts, at = [], 0
        for packed, unpacked in _ENTRY.iter_unpack(data[_TABLE.size :]):
            if not (packed > 0 and 0 < unpacked <= 16 * PART_BYTES):
                raise self._bad(table_at, "parts with sensible lengths", f"{packed} and {unpacked} bytes")
            parts.append(Part(at, packed, unpacked))
            at += packed
        if at != table_at or sum(p.unpacked for p in parts) >= _UNPACKED_MAX:
            raise self._bad(table_at, f"parts of {table_at} bytes together", f"{at}")
        return parts

    def read(self, index: int) -> bytes:
        """One part, unpacked; its own checksum is checked. JournalCorrupt names the archive's byte where it begins."""
        zstandard = library(self.path)
        part = self.parts[index]
        try:
            data: bytes = zstandard.ZstdDecompressor().decompress(
                os.pread(self._fd, part.packed, part.at), max_output_size=part.unpacked
            )
        except zstandard.ZstdError as error:
            raise self._bad(part.at, f"a part of {part.packed} bytes that can be unpacked", str(error)) from None
        if len(data) != part.unpacked:
            raise self._bad(part.at, f"{part.unpacked} bytes", f"{len(data)}")
        return data

    def start(self, size: int) -> bytes:
        """The first bytes of the segment."""
        return self.part(0, size)

    def part(self, at: int, size: int) -> bytes:
        """Some of the segment's bytes, fewer where it ends before."""
        data, skip, behind = b"", 0, 0
        for index, part in enumerate(self.parts):
            before, behind = behind, behind + part.unpacked
            if behind <= at:
                continue
            if before >= at + size:
                break
            if not data:
                skip = at - before
            data += self.read(index)
        return data[skip : skip + size]

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def library(path: Path) -> Any:
    """zstandard, or the one line that says how to get it."""
    try:
        import zstandard
    except ImportError:
        raise JournalError(f"{path}: is archived; reading it needs a library: pip install 'lockstep[archive]'") from None
    return zstandard


def leads_nowhere(path: Path) -> bool:
    """Is this a link (to a cold folder, say) whose target is not there?"""
    return path.is_symlink() and not path.exists()


def unreachable(path: Path) -> SegmentUnreachable:
    """The error for such a link."""
    return SegmentUnreachable(
        f"{path}: is a link to {path.readlink()}, which is not there: mount the cold folder, or put the file back into it"
    )


def _not_opened(path: Path, error: OSError) -> JournalError:
    return unreachable(path) if leads_nowhere(path) else os_failure(path, error.errno or 0, "opening the archive")


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.endswith(SUFFIX)


def pack(data: Any, out: Path) -> int:
    """Write an archive of these bytes and put it on disk; its size. Not yet under its name: that is the caller's."""
    zstandard = library(out)
    packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    entries = b""
    view = memoryview(data)
    try:
        with out.open("wb") as file:
            for at in range(0, len(view), PART_BYTES):
                part = view[at : at + PART_BYTES]
                packed = packer.compress(part)
                file.write(packed)
                entries += _ENTRY.pack(len(packed), len(part))
            file.write(_TABLE.pack(_TABLE_MAGIC, len(entries) + _FOOTER.size) + entries)
            file.write(_FOOTER.pack(len(entries) // _ENTRY.size, 0, _FOOTER_MAGIC))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        out.unlink(missing_ok=True)
        raise os_failure(out, error.errno or 0, "writing the archive") from None


class _Unpacked:
    """Descriptors of anonymous memory with unpacked segments, the last used ones, bounded by their bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int, int, int], tuple[int, int]] = OrderedDict()

    def map(self, path: Path, fresh: bool) -> mmap.mmap:
        try:
            stat = os.stat(path)
        except OSError as error:
            raise _not_opened(path, error) from None
        key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and not fresh:
                self._kept.move_to_end(key)
                return mmap.mmap(kept[0], 0, access=mmap.ACCESS_READ)
        with Archive(path) as archive:
            fd = os.memfd_create(path.name, os.MFD_CLOEXEC)
            try:
                for index in range(len(archive.parts)):
                    os.write(fd, archive.read(index))
                mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
            except BaseException:
                os.close(fd)
                raise
        with self._lock:
            if key in self._kept:
                os.close(self._kept.pop(key)[0])
            self._kept[key] = (fd, archive.bytes)
            while sum(size for _, size in self._kept.values()) > KEPT_BYTES_MAX:
                _, (old, _) = self._kept.popitem(last=False)
                os.close(old)
        return mapped


_unpacked = _Unpacked()


def map_archive(path: Path, *, fresh: bool = False) -> mmap.mmap:
    """The whole segment, unpacked, as one read-only map. The memory is free again when the map is, and others came after it.
    `fresh`: read the file anew, whatever is still in memory."""
    return _unpacked.map(path, fresh)
