"""The index file: its bytes, and what is read from them. Defined in docs/journal-format.md, "Index"."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from journal.kernel._journal import ffi, lib
from journal.segment import SegmentHeader, crc32c

FOLDER = "index"
MAGIC = b"LKSTPIDX"
FORMAT = int(lib.LOCKSTEP_INDEX_FORMAT)
BLOCK_SHIFT = int(lib.LOCKSTEP_INDEX_BLOCK_SHIFT)
HEAD_BYTES = int(lib.LOCKSTEP_INDEX_HEAD_BYTES)
LEFT_OUT = 2**32 - 1
"""Instead of a directory's length: the segment had more rows of this dimension than an index takes."""

# magic, format, number, stream, nonce, segment bytes, first and last seq, first and last ts, then u32s.
_HEAD = struct.Struct("<8sIIQQQQQqqIIIII4x")
_SECTION = struct.Struct("<QQII")
_BLOCK = struct.Struct("<QqII")
_KIND = struct.Struct("<QQII")
_SOURCE = struct.Struct("<QIIII")
_NUMBER = struct.Struct("<QQ")
_PLACE = struct.Struct("<QI4x")
_CRC = struct.Struct("<I")
# First what a start of the writer reads: small, and side by side.
SECTIONS = ("kinds", "sources", "numbers", "places", "blocks", "by_kind", "by_instrument", "by_order")
DIMENSIONS = ("by_kind", "by_instrument", "by_order")
_ROW_BYTES = {
    "kinds": _KIND.size, "sources": _SOURCE.size, "numbers": _NUMBER.size, "places": _PLACE.size, "blocks": _BLOCK.size,
}  # fmt: skip


def index_path(header: SegmentHeader) -> Path:
    """Where a segment's index stands."""
    return header.path.parent / FOLDER / f"{header.number:08d}.idx"


def blocks_of(header: SegmentHeader) -> int:
    """How many blocks a segment has."""
    return -(-header.segment_bytes >> BLOCK_SHIFT)


class IndexDamaged(Exception):
    """An index that is not what it should be. Never shown to anybody: it is made again."""


class Block(NamedTuple):
    """The first frame that starts in a block or behind it."""

    seq: int
    ts: int
    offset: int


class Ends(NamedTuple):
    """What stands first and last in a segment."""

    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int
    last_crc: int
    last_epoch: int
    last_offset: int
    end_offset: int


class Blocks:
    """Where each block begins."""

    def __init__(self, rows: Any, count: int) -> None:
        self._rows = rows
        self.count = count

    def at(self, block: int) -> Block:
        """The beginning of one."""
        seq, ts, offset, _ = _BLOCK.unpack_from(self._rows, block * _BLOCK.size)
        return Block(seq, ts, offset)

    def of_seq(self, seq: int) -> int:
        """The last block that begins with this seq or an earlier one; the first when there is none."""
        return max(bisect.bisect_right(range(self.count), seq, key=lambda b: self.at(b).seq) - 1, 0)

    def of_ts(self, ts: int) -> int:
        """The last block that begins before this time: the first frame at or behind it is in there, or begins the next."""
        return max(bisect.bisect_left(range(self.count), ts, key=lambda b: self.at(b).ts) - 1, 0)


class Postings:
    """Which keys occur in which blocks."""

    def __init__(self, data: bytes, groups: int, blocks: int) -> None:
        self._groups = ffi.from_buffer("struct lockstep_index_group[]", data[: groups * 16])
        self._data = ffi.from_buffer(data[groups * 16 :])
        self._groups_count = groups
        self._blocks = blocks
        self._runs = ffi.new("uint32_t[]", 2 * (blocks // 2 + 1))

    def runs(self, key: int) -> list[tuple[int, int]]:
        """Ranges of blocks with this key, ascending: (first, one behind the last)."""
        n = lib.lockstep_index_find(
            self._data, len(self._data), self._groups, self._groups_count, key, self._blocks, self._runs, self._blocks // 2 + 1
        )
        if n < 0:
            raise IndexDamaged(f"the list of key {key}")
        return [(self._runs[2 * i], self._runs[2 * i + 1]) for i in range(n)]

    def keys(self) -> list[int]:
        """All keys, ascending."""
        room = self._groups_count * int(lib.LOCKSTEP_INDEX_GROUP)
        keys = ffi.new("uint64_t[]", room)
        n = lib.lockstep_index_keys(self._data, len(self._data), self._groups, self._groups_count, keys, room)
        if n < 0:
            raise IndexDamaged("the keys")
        return list(keys[0:n])


class SourceRow(NamedTuple):
    """What a segment says of one source."""

    source_seq: int
    """Its last number, accepted or refused; 0: none."""
    incarnation: int
    numbers: range
    places: range
    """Which rows of these two sections are its own."""


class Sources:
    """What a segment says of its publishers. `section` reads one by its name; the long ones only when they are asked for."""

    def __init__(self, section: Callable[[str], bytes | memoryview]) -> None:
        self.section = section
        self.rows: dict[int, SourceRow] = {}
        numbers = places = 0
        for source_seq, source, incarnation, own_numbers, own_places in _SOURCE.iter_unpack(section("sources")):
            self.rows[source] = SourceRow(
                source_seq, incarnation, range(numbers, numbers + own_numbers), range(places, places + own_places)
            )
            numbers, places = numbers + own_numbers, places + own_places

    def numbers(self, source: int) -> list[tuple[int, int]]:
        """(source_seq, seq) of its frames, ascending: the last of each remainder by 64. None of what was refused."""
        return self._of(_NUMBER, "numbers", self.rows[source].numbers)

    def places(self, source: int) -> list[tuple[int, int]]:
        """(source_seq, offset), ascending: where its numbers from that one on are to be looked for."""
        return self._of(_PLACE, "places", self.rows[source].places)

    def _of(self, row: struct.Struct, name: str, rows: range) -> list[Any]:
        return list(row.iter_unpack(memoryview(self.section(name))[rows.start * row.size : rows.stop * row.size]))


def pack_sources(
    sources: Mapping[int, tuple[int, int]], numbers: Mapping[int, bytes], places: Mapping[int, bytes]
) -> dict[str, bytes]:
    """The three sections about sources: (last source_seq, last incarnation), and rows, by source."""
    rows = b"".join(
        _SOURCE.pack(
            source_seq, source, incarnation, len(numbers.get(source, b"")) // _NUMBER.size,
            len(places.get(source, b"")) // _PLACE.size,
        )
        for source, (source_seq, incarnation) in sorted(sources.items())
    )  # fmt: skip
    order = sorted(sources)
    return {
        "sources": rows,
        "numbers": b"".join(numbers.get(source, b"") for source in order),
        "places": b"".join(places.get(source, b"") for source in order),
    }


def pack(
    header: SegmentHeader,
    ends: Ends,
    blocks: bytes,
    kinds: Sequence[tuple[int, int, int]],
    sources: Mapping[str, bytes],
    postings: Sequence[tuple[bytes, int]],
) -> bytes:
    """A whole file. `kinds`: (kind, frames, bytes); `sources`: the three sections about them; `postings`: of each dimension
    directory and data in one, and the directory's length."""
    parts = [
        (b"".join(_KIND.pack(n, size, kind, 0) for kind, n, size in kinds), len(kinds)),
        (sources["sources"], len(sources["sources"]) // _SOURCE.size),
        (sources["numbers"], len(sources["numbers"]) // _NUMBER.size),
        (sources["places"], len(sources["places"]) // _PLACE.size),
        (blocks, len(blocks) // _BLOCK.size),
        *postings,
    ]
    table = b""
    at = HEAD_BYTES
    for data, count in parts:
        table += _SECTION.pack(at, len(data), count, crc32c(data))
        at += len(data)
    head = _HEAD.pack(
        MAGIC, FORMAT, header.number, header.stream_id, header.nonce, header.segment_bytes,
        ends.first_seq, ends.last_seq, ends.first_ts, ends.last_ts,
        ends.last_crc, ends.last_epoch, ends.last_offset, ends.end_offset, header.schema_crc,
    )  # fmt: skip
    head = (head + table).ljust(HEAD_BYTES - _CRC.size, b"\0")
    return head + _CRC.pack(crc32c(head)) + b"".join(data for data, _ in parts)


class Section(NamedTuple):
    """Where a section stands in the file."""

    at: int
    bytes: int
    rows: int
    crc: int


class IndexHead:
    """The checked beginning of an index file. What it says of the segment's content is still to be compared with it."""

    def __init__(self, data: bytes, header: SegmentHeader) -> None:
        """`data`: HEAD_BYTES, or the whole file. IndexDamaged when it is not the head of this segment's index."""
        if (
            len(data) < HEAD_BYTES
            or crc32c(data[: HEAD_BYTES - _CRC.size]) != _CRC.unpack_from(data, HEAD_BYTES - _CRC.size)[0]
        ):
            raise IndexDamaged("the head")
        magic, format_, *identity_and_ends = _HEAD.unpack_from(data)
        if magic != MAGIC or format_ != FORMAT:
            raise IndexDamaged("made by another version")
        identity, ends, schema_crc = identity_and_ends[:4], identity_and_ends[4:-1], identity_and_ends[-1]
        own = [header.number, header.stream_id, header.nonce, header.segment_bytes]
        if identity != own or schema_crc != header.schema_crc:
            raise IndexDamaged("of another segment")
        self.ends = Ends(*ends)
        if header.opened is None or self.ends.first_seq != header.opened.first_seq:
            raise IndexDamaged("of another opening of the segment")
        self.sections: dict[str, Section] = {}
        at = HEAD_BYTES
        for i, name in enumerate(SECTIONS):
            section = self.sections[name] = Section(*_SECTION.unpack_from(data, _HEAD.size + i * _SECTION.size))
            if section.at != at or (section.bytes != section.rows * _ROW_BYTES.get(name, 0) and name in _ROW_BYTES):
                raise IndexDamaged(f"section {name}")
            at += section.bytes
        self.file_bytes = at

    def check(self, name: str, data: bytes | memoryview) -> bytes | memoryview:
        """The bytes of a section, if they are right."""
        section = self.sections[name]
        if len(data) != section.bytes or crc32c(data) != section.crc:
            raise IndexDamaged(f"section {name}")
        return data


class SegmentIndex:
    """A checked index file. What it says of the segment's content is still to be compared with it (`journal.index.store`)."""

    def __init__(self, data: bytes, header: SegmentHeader) -> None:
        self.head = IndexHead(data, header)
        self.ends = self.head.ends
        if len(data) != self.head.file_bytes:
            raise IndexDamaged("its length")
        self._sections = {
            name: memoryview(self.head.check(name, memoryview(data)[section.at : section.at + section.bytes]))
            for name, section in self.head.sections.items()
        }
        count = self.head.sections["blocks"].rows
        if not 0 < count <= blocks_of(header):
            raise IndexDamaged("blocks")
        self.blocks = Blocks(self._sections["blocks"], count)

    def postings(self, dimension: str) -> Postings | None:
        """Of one dimension; None where the segment had too many rows of it."""
        part, groups = self._sections[dimension], self.head.sections[dimension].rows
        if groups == LEFT_OUT:
            return None
        if groups * 16 > len(part):
            raise IndexDamaged(f"section {dimension}")
        return Postings(bytes(part), groups, self.blocks.count)

    @property
    def kinds(self) -> dict[int, tuple[int, int]]:
        """Kind → frames, bytes."""
        return kinds_in(self._sections["kinds"])

    @property
    def sources(self) -> Sources:
        """What the segment says of its sources."""
        return Sources(self._sections.__getitem__)


def kinds_in(section: bytes | memoryview) -> dict[int, tuple[int, int]]:
    """Kind → frames, bytes."""
    return {kind: (n, size) for n, size, kind, _ in _KIND.iter_unpack(section)}
