"""The files of a journal as Python sees them: names, header blocks, open records, the control page."""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from journal.archive import SUFFIX, Archive, is_archive, map_archive
from journal.errors import (
    ForeignFile,
    JournalCorrupt,
    JournalMissing,
    NewerFormat,
    SegmentMissing,
    SegmentTruncated,
    WrongStream,
    os_failure,
)
from journal.kernel._journal import ffi, lib
from journal.messages.declared import SCHEMA_BYTES_MAX, Declared, SchemaError, read_kinds

FORMAT = int(lib.LOCKSTEP_FORMAT)
BLOCK_BYTES = int(lib.LOCKSTEP_BLOCK_BYTES)
OPEN_AT = int(lib.LOCKSTEP_OPEN_AT)
END_BYTES = int(lib.LOCKSTEP_END_BYTES)
SEGMENT_BYTES_MIN = int(lib.LOCKSTEP_SEGMENT_BYTES_MIN)
SEGMENT_BYTES_MAX = 2**32 - BLOCK_BYTES
"""Places in a segment have 32 bits."""
SEGMENT_BYTES_DEFAULT = 64 << 20
SEGMENT_MAGIC = b"LKSTPSEG"
CONTROL_MAGIC = b"LKSTPCTL"
CONTROL = "control"
_IDENTITY = struct.Struct("<8sIIQQQIII8xI")
_OPEN = struct.Struct("<QQqIIII")
_CONTROL = struct.Struct("<8sIIQQ")
_SEED = struct.Struct("<QQI")
_ZEROS_1 = bytes(OPEN_AT - _IDENTITY.size)
_ZEROS_2 = bytes(BLOCK_BYTES - OPEN_AT - _OPEN.size)
_NAME = re.compile(r"(\d{8})\.seg(\.zst)?")


def crc32c(data: Any, crc: int = 0) -> int:
    """CRC-32C of what `crc` covers, then `data`."""
    return int(lib.lockstep_crc(crc, ffi.from_buffer(data), len(data)))


class OpenRecord(msgspec.Struct, frozen=True):
    """What the writer stored when it rolled into a segment."""

    first_seq: int
    durable_seq: int
    prev_last_ts: int
    prev_last_crc: int
    epoch: int


class SegmentHeader(msgspec.Struct, frozen=True):
    """A checked header block. `opened` is None until the writer has rolled into the segment."""

    path: Path
    number: int
    frames_at: int
    stream_id: int
    nonce: int
    segment_bytes: int
    schema_bytes: int
    schema_crc: int
    opened: OpenRecord | None
    open_record_zero: bool

    @property
    def seed(self) -> int:
        """What every crc in this segment starts from."""
        return crc32c(_SEED.pack(self.stream_id, self.nonce, self.number))


def segment_name(number: int) -> str:
    """`00000001.seg`."""
    return f"{number:08d}.seg"


def _segments_in(folder: Path) -> list[re.Match[str]]:
    """The names of segments and archives of segments."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        raise JournalMissing(f"{folder}: no such folder; expected a journal") from None
    except NotADirectoryError:
        raise JournalMissing(f"{folder}: is a file; a journal is a folder") from None
    except OSError as error:
        raise os_failure(folder, error.errno or 0, "listing the journal") from None
    return [match for match in map(_NAME.fullmatch, names) if match is not None]


def all_segment_numbers(folder: Path) -> list[int]:
    """Numbers of all segments that are there, ascending; some may be missing."""
    return sorted({int(match[1]) for match in _segments_in(folder)})


def all_segment_files(folder: Path) -> list[tuple[int, Path]]:
    """All segments that are there, ascending; numbers may be missing. Where a segment stands beside its archive (that was
    interrupted), the segment counts."""
    found: dict[int, Path] = {}
    for match in sorted(_segments_in(folder), key=lambda match: match[0]):
        if not (match[2] and int(match[1]) in found):
            found[int(match[1])] = folder / match[0]
    return sorted(found.items())


def refuse_no_journal(folder: Path) -> None:
    """JournalMissing where neither a control page nor a segment is."""
    if not (folder / CONTROL).exists() and not all_segment_numbers(folder):
        raise JournalMissing(f"{folder}: no journal here: neither a control page nor a segment")


def count_segments(folder: Path) -> int:
    """How many there are. SegmentMissing when a number is missing."""
    numbers = all_segment_numbers(folder)
    if numbers and (numbers[0], numbers[-1]) != (1, len(numbers)):
        missing = next(expected for expected, number in enumerate(numbers, start=1) if number != expected)
        raise SegmentMissing(
            f"{folder / segment_name(missing)}: missing, though {segment_name(numbers[-1])} is there;"
            " restore it from a copy of this journal"
        )
    return len(numbers)


def segment_files(folder: Path) -> list[tuple[int, Path]]:
    """All segments, ascending. SegmentMissing when a number is missing."""
    count_segments(folder)
    return all_segment_files(folder)


def read_header(path: Path, number: int, stream_id: int | None = None) -> SegmentHeader:
    """Read and check one header block against its file name, its size and (if given) the journal's stream. A segment that was
    archived since its name was made up is read from there; the header's `path` says so."""
    return read_header_block(path, number, stream_id)[0]


def read_header_block(path: Path, number: int, stream_id: int | None = None) -> tuple[SegmentHeader, bytes]:
    """As read_header, and the block's bytes."""
    path = where(path)
    try:
        block, size = _start(path, BLOCK_BYTES)
    except FileNotFoundError:
        raise SegmentMissing(f"{path}: missing; restore it from a copy of this journal") from None
    except OSError as error:
        raise os_failure(path, error.errno or 0, "opening the segment") from None
    if len(block) < BLOCK_BYTES:
        raise SegmentTruncated(f"{path}: {size} bytes; a segment has at least {SEGMENT_BYTES_MIN}")
    magic, format_, frames_at, stream, nonce, segment_bytes, own_number, schema_bytes, schema_crc, crc = _IDENTITY.unpack_from(
        block
    )
    if magic != SEGMENT_MAGIC:
        raise ForeignFile(f"{path}: starts with {magic!r}; a segment of a lockstep journal starts with {SEGMENT_MAGIC!r}")
    if format_ != FORMAT:
        raise NewerFormat(f"{path}: journal format {format_}; this version of lockstep reads format {FORMAT}")
    if crc32c(block[:60]) != crc:
        raise JournalCorrupt(path, 60, f"header crc {crc32c(block[:60]):#010x}", f"{crc:#010x}", "the header is damaged")
    if not (
        BLOCK_BYTES + schema_bytes <= frames_at <= segment_bytes - END_BYTES
        and frames_at % BLOCK_BYTES == segment_bytes % BLOCK_BYTES == 0
        and segment_bytes < 2**32
    ):
        sizes = f"frames_at {frames_at}, schema_bytes {schema_bytes}, segment_bytes {segment_bytes}"
        raise JournalCorrupt(path, 12, "sizes that fit each other", sizes, "the header is wrong")
    if own_number != number:
        raise WrongStream(f"{path}: holds segment {own_number} of its stream; the name says {number}; a file was renamed")
    if stream_id is not None and stream != stream_id:
        raise WrongStream(f"{path}: belongs to stream {stream:#018x}; this journal is stream {stream_id:#018x}")
    if size != segment_bytes:
        raise SegmentTruncated(f"{path}: {size} bytes; its header says {segment_bytes}; restore it from a copy of this journal")
    record = block[OPEN_AT : OPEN_AT + _OPEN.size]
    *fields, _, open_crc = _OPEN.unpack(record)
    if block[_IDENTITY.size : OPEN_AT] != _ZEROS_1 or block[OPEN_AT + _OPEN.size :] != _ZEROS_2:
        raise JournalCorrupt(path, _IDENTITY.size, "zeros in the unused bytes of the header block", "others")
    opened = OpenRecord(*fields) if crc32c(record[:-4], crc32c(block[:64])) == open_crc else None
    header = SegmentHeader(
        path, number, frames_at, stream, nonce, segment_bytes, schema_bytes, schema_crc, opened, not any(record)
    )
    return header, block


def where(path: Path) -> Path:
    """The file that holds a segment now: its archive, if it went there (with a link that leads nowhere at the moment, too)."""
    archive = path.with_name(path.name + SUFFIX)
    return archive if not is_archive(path) and not path.exists() and os.path.lexists(archive) else path


def _start(path: Path, size: int) -> tuple[bytes, int]:
    """The first bytes of a segment, and how many it has."""
    if is_archive(path):
        with Archive(path) as archive:
            return archive.start(size), archive.bytes
    with path.open("rb") as file:
        return file.read(size), os.fstat(file.fileno()).st_size


def read_part(path: Path, at: int, size: int) -> bytes:
    """Some of a segment's bytes, fewer where it ends before. Of an archive only what they stand in is unpacked."""
    path = where(path)
    if is_archive(path):
        with Archive(path) as archive:
            return archive.part(at, size)
    try:
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, at)
    except OSError as error:
        raise os_failure(path, error.errno or 0, "reading the segment") from None


def read_schema(header: SegmentHeader) -> bytes:
    """The schema text a segment carries, crc checked."""
    block, _ = _start(header.path, header.frames_at)
    text = block[BLOCK_BYTES : BLOCK_BYTES + header.schema_bytes]
    padding = block[BLOCK_BYTES + header.schema_bytes :]
    if crc32c(text) != header.schema_crc:
        raise JournalCorrupt(
            header.path, BLOCK_BYTES, f"schema crc {header.schema_crc:#010x}", f"{crc32c(text):#010x}", "the schema is damaged"
        )
    if padding.strip(b"\0"):
        raise JournalCorrupt(header.path, BLOCK_BYTES + header.schema_bytes, "zeros behind the schema", "others")
    return text


def schema_kinds(header: SegmentHeader) -> list[Declared]:
    """The kinds that a segment's schema declares. JournalCorrupt for a text that is no schema, whoever wrote it so."""
    if header.schema_bytes > SCHEMA_BYTES_MAX:
        found = f"one of {header.schema_bytes} bytes"
        raise JournalCorrupt(header.path, BLOCK_BYTES, f"a schema of at most {SCHEMA_BYTES_MAX} bytes", found)
    try:
        return read_kinds(read_schema(header))
    except SchemaError as error:
        raise not_a_schema(header, error) from None


def not_a_schema(header: SegmentHeader, error: SchemaError) -> JournalCorrupt:
    """The error for a schema that cannot be believed."""
    return JournalCorrupt(header.path, BLOCK_BYTES, "a schema as docs/journal-format.md has it", str(error))


def map_file(path: Path, *, writable: bool = False) -> mmap.mmap:
    """Map a whole file; the map keeps no descriptor of ours. An archived segment is unpacked into memory for that.

    A page of it that is gone later ends the process, as the system does it; by then it says which file and where."""
    lib.lockstep_name_gone_pages()  # if it cannot, the end comes without a word, as before
    if not writable and is_archive(path := where(path)):
        return map_archive(path)
    try:
        fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as error:
        raise os_failure(path, error.errno or 0, "opening it") from None
    try:
        return mmap.mmap(fd, 0, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise SegmentTruncated(f"{path}: cannot be mapped ({error})") from None
    finally:
        os.close(fd)


class ControlPage:
    """The mapped control page. `.c` is `struct lockstep_control *`; readers hold it read-only."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.path = path
        self._map = map_file(path, writable=writable)
        if len(self._map) != BLOCK_BYTES:
            raise SegmentTruncated(f"{path}: {len(self._map)} bytes; a control page has {BLOCK_BYTES}")
        magic, format_, crc, self.stream_id, self.segment_bytes = _CONTROL.unpack_from(self._map)
        if magic != CONTROL_MAGIC:
            raise ForeignFile(
                f"{path}: starts with {magic!r}; a control page of a lockstep journal starts with {CONTROL_MAGIC!r}"
            )
        if format_ != FORMAT:
            raise NewerFormat(f"{path}: journal format {format_}; this version of lockstep reads format {FORMAT}")
        expected = crc32c(self._map[16:32], crc32c(self._map[:12]))
        if crc != expected:
            raise JournalCorrupt(path, 12, f"identity crc {expected:#010x}", f"{crc:#010x}", "the control page is damaged")
        self.c = ffi.from_buffer("struct lockstep_control *", self._map)

    def flush(self) -> None:
        """Put the page on disk. A call that a signal interrupted is made again; mmap does not do so by itself."""
        while True:
            try:
                self._map.flush()
            except InterruptedError:
                continue
            return


def create_control(folder: Path, stream_id: int, segment_bytes: int, **words: int) -> None:
    """Make a journal's control page: complete, with the words that are known already, under its name or not there at all."""
    head = _CONTROL.pack(CONTROL_MAGIC, FORMAT, 0, stream_id, segment_bytes)
    crc = crc32c(head[16:32], crc32c(head[:12]))
    page = bytearray(_CONTROL.pack(CONTROL_MAGIC, FORMAT, crc, stream_id, segment_bytes).ljust(BLOCK_BYTES, b"\0"))
    with ffi.from_buffer("struct lockstep_control *", page) as control:
        for name, value in words.items():
            setattr(control, name, value)
    write_durably(folder / CONTROL, page)


def make_folder(folder: Path) -> None:
    """Create a folder and what is missing above it, all of it on disk: a journal whose folder is lost is lost."""
    missing = [folder, *folder.parents]
    missing = missing[: next((i for i, path in enumerate(missing) if path.exists()), len(missing))]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync_folder(path.parent)


def write_durably(
    path: Path, data: bytes | bytearray | memoryview, more: Iterable[bytes | bytearray] = (), *, temporary: Path | None = None
) -> None:
    """Write a whole file, `more` behind `data`, sync it, give it its name, sync the folder. Where several processes may write
    the same file, each names a `temporary` of its own."""
    temporary = temporary or path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.writelines(more)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise os_failure(path, error.errno or 0, "writing it") from None


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
