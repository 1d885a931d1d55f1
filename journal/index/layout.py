"""The index file: its bytes, and what is read from them. Defined in docs/journal-format.md, "Index"."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from journal.kernel._journal import ffi, lib
from journal.segment import SegmentHeader, crc32c

MAGIC = b"LKSTPIDX"
FORMAT = 1
BLOCK_SHIFT = int(lib.LOCKSTEP_INDEX_BLOCK_SHIFT)
HEAD_BYTES = 256
LEFT_OUT = 2**32 - 1
"""Instead of a directory's length: the segment had more rows of this dimension than an index takes."""

# magic, format, number, stream, nonce, segment bytes, first and last seq, first and last ts, then u32s.
_HEAD = struct.Struct("<8sIIQQQQQqqIIIII")
_SECTION = struct.Struct("<QQII")
_BLOCK = struct.Struct("<QqII")
_KIND = struct.Struct("<QQII")
_SOURCE = struct.Struct("<QII")
_CRC = struct.Struct("<I")
SECTIONS = ("blocks", "kinds", "sources", "by_kind", "by_instrument", "by_order")
DIMENSIONS = ("by_kind", "by_instrument", "by_order")


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


def pack(
    header: SegmentHeader,
    ends: Ends,
    blocks: bytes,
    kinds: Sequence[tuple[int, int, int]],
    sources: Sequence[tuple[int, int, int]],
    postings: Sequence[tuple[bytes, int]],
) -> bytes:
    """A whole file. `kinds`: (kind, frames, bytes); `sources`: (source, last source_seq, last incarnation); `postings`: of
    each dimension directory and data in one, and the directory's length."""
    parts = [
        (blocks, len(blocks) // _BLOCK.size),
        (b"".join(_KIND.pack(n, size, kind, 0) for kind, n, size in kinds), len(kinds)),
        (b"".join(_SOURCE.pack(seq, source, incarnation) for source, seq, incarnation in sources), len(sources)),
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


class SegmentIndex:
    """A checked index file. What it says of the segment's content is still to be compared with it (`journal.index.store`)."""

    def __init__(self, data: bytes, header: SegmentHeader) -> None:
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
        self._data = data
        self._sections: dict[str, tuple[memoryview, int]] = {}
        for i, name in enumerate(SECTIONS):
            at, size, count, crc = _SECTION.unpack_from(data, _HEAD.size + i * _SECTION.size)
            part = memoryview(data)[at : at + size]
            if len(part) != size or crc32c(part) != crc:
                raise IndexDamaged(f"section {name}")
            self._sections[name] = part, count
        rows, count = self._sections["blocks"]
        if not 0 < count == len(rows) // _BLOCK.size <= blocks_of(header) or header.opened is None:
            raise IndexDamaged("blocks")
        if self.ends.first_seq != header.opened.first_seq:
            raise IndexDamaged("of another opening of the segment")
        self.blocks = Blocks(rows, count)

    def postings(self, dimension: str) -> Postings | None:
        """Of one dimension; None where the segment had too many rows of it."""
        part, groups = self._sections[dimension]
        if groups == LEFT_OUT:
            return None
        if groups * 16 > len(part):
            raise IndexDamaged(f"section {dimension}")
        return Postings(bytes(part), groups, self.blocks.count)

    @property
    def kinds(self) -> dict[int, tuple[int, int]]:
        """Kind → frames, bytes."""
        return {kind: (n, size) for n, size, kind, _ in _KIND.iter_unpack(self._sections["kinds"][0])}

    @property
    def sources(self) -> dict[int, tuple[int, int]]:
        """Source → the last source_seq and incarnation that this segment has of it."""
        return {source: (seq, incarnation) for seq, source, incarnation in _SOURCE.iter_unpack(self._sections["sources"][0])}
