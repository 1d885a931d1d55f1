"""Making an index: one checked pass over a segment in C. Of the segment that is being written it stays in memory and grows."""

from __future__ import annotations

import itertools
import mmap
import operator
import struct
from typing import Any

from journal.errors import JournalCorrupt
from journal.index.fields import fields_of
from journal.index.layout import LEFT_OUT, Blocks, Ends, Sources, blocks_of, pack, pack_sources
from journal.kernel._journal import ffi, lib
from journal.recovery import describe, nonzero, start_reader
from journal.segment import SegmentHeader

POSTINGS_MAX = 4 << 20
"""Rows of one dimension. A segment with more is indexed without that dimension, in 64 MiB of memory instead of any amount."""
_ROW = 16
_WINDOWS_FIRST = 2 * int(lib.LOCKSTEP_INDEX_STEP)
_WINDOW_BYTES = ffi.sizeof("struct lockstep_window")
_NUMBER = struct.Struct("<QQ")
_PLACE_BYTES = 16


class SegmentScan:
    """One segment's scan. `advance` takes in what is there now; `pack` when the segment is full."""

    def __init__(self, header: SegmentHeader, mapped: mmap.mmap, *, verify: bool = True) -> None:
        assert header.opened is not None
        self.header = header
        self._fields = fields_of(header)
        self._base = ffi.from_buffer(mapped)
        self.reader = ffi.new("struct lockstep_reader *")
        self.reader.verify = verify
        start_reader(self.reader, header, self._base)
        self.c = ffi.new("struct lockstep_indexer *")
        self._blocks = ffi.new("struct lockstep_block[]", blocks_of(header))
        self.c.blocks = self._blocks
        self._max = min(header.segment_bytes // int(lib.LOCKSTEP_HEAD_BYTES), POSTINGS_MAX)
        self._rows: list[Any] = []
        for postings in (self.c.kinds, self.c.instruments, self.c.orders):
            rows = _memory(self._max * _ROW)
            self._rows.append(rows)
            postings.rows, postings.max = ffi.cast("struct lockstep_posting *", rows), self._max
        self._windows: Any = None
        self._more_windows()

    @property
    def blocks(self) -> Blocks:
        """Where the blocks begin, as far as `advance` came."""
        count = int(self.c.blocks_count)
        return Blocks(ffi.buffer(self._blocks), count)

    def advance(self) -> bool:
        """Go on to the tail or the end; True when the segment is full. JournalCorrupt at a bad frame."""
        lib.lockstep_index_scan(self.c, self.reader, self._fields.c)
        while self.reader.state == lib.LOCKSTEP_MORE:
            self._more_windows()
            lib.lockstep_index_scan(self.c, self.reader, self._fields.c)
        state = self.reader.state
        if state not in (lib.LOCKSTEP_TAIL, lib.LOCKSTEP_END):
            raise JournalCorrupt(self.header.path, int(self.reader.offset), *describe(self.reader))
        return bool(state == lib.LOCKSTEP_END)

    def pack(self) -> bytes:
        """The file, after `advance` has said that the segment is full."""
        c, reader = self.c, self.reader
        assert self.header.opened is not None
        ends = Ends(
            self.header.opened.first_seq, int(reader.next_seq) - 1, int(c.first_ts), int(reader.last_ts),
            int(reader.last_crc), int(reader.epoch), int(c.last_offset), int(reader.offset),
        )  # fmt: skip
        frames, sizes = nonzero(c.frames_by_kind), nonzero(c.bytes_by_kind)
        return pack(
            self.header,
            ends,
            bytes(ffi.buffer(self._blocks))[: int(c.blocks_count) * 24],
            [(kind, n, sizes[kind]) for kind, n in frames.items()],
            self._sources(),
            [_encode(postings) for postings in (c.kinds, c.instruments, c.orders)],
        )

    @property
    def kinds(self) -> set[int]:
        """Which kinds occur, as far as `advance` came."""
        return set(nonzero(self.c.frames_by_kind))

    @property
    def sources(self) -> Sources:
        """What is said of sources, as far as `advance` came."""
        return Sources(self._sources().__getitem__)

    def _sources(self) -> dict[str, bytes]:
        seqs = nonzero(self.c.sources.last_source_seq)
        incarnations = nonzero(self.c.sources.last_incarnation)
        numbers, places = {}, {}
        for window in self.c.windows[0 : int(self.c.windows_count)]:
            own = sorted(filter(operator.itemgetter(0), _NUMBER.iter_unpack(ffi.buffer(window.numbers))))
            numbers[int(window.source)] = b"".join(itertools.starmap(_NUMBER.pack, own))
            ring, end = bytes(ffi.buffer(window.places)), int(window.places_count) * _PLACE_BYTES
            at = end % len(ring)
            places[int(window.source)] = ring[:end] if end <= len(ring) else ring[at:] + ring[:at]  # the oldest first
        known = seqs.keys() | incarnations.keys()
        return pack_sources({s: (seqs.get(s, 0), incarnations.get(s, 0)) for s in known}, numbers, places)

    def _more_windows(self) -> None:
        """Room for more sources than there was room for."""
        there = self.c.windows_max
        grown = _memory(max(_WINDOWS_FIRST, 2 * there) * _WINDOW_BYTES)
        if there:
            ffi.memmove(grown, self._windows, there * _WINDOW_BYTES)
        self._windows = grown
        self.c.windows = ffi.cast("struct lockstep_window *", grown)
        self.c.windows_max = len(grown) // _WINDOW_BYTES


def _memory(size: int) -> Any:
    """Memory whose pages cost nothing until they are used (ffi.new would touch them all)."""
    return ffi.from_buffer(mmap.mmap(-1, size, mmap.MAP_PRIVATE))


def _encode(postings: Any) -> tuple[bytes, int]:
    """Directory and data of one dimension, and the directory's length."""
    if postings.left_out:
        return b"", LEFT_OUT
    spare = _memory(max(int(postings.count), 1) * _ROW)
    count = int(lib.lockstep_index_sort(postings.rows, ffi.cast("struct lockstep_posting *", spare), postings.count))
    data = _memory(count * int(lib.LOCKSTEP_INDEX_LIST_BYTES_MAX) + 1)
    groups = _memory(count * _ROW + _ROW)
    lengths = ffi.new("uint64_t[2]")
    size = lib.lockstep_index_encode(
        postings.rows,
        count,
        ffi.cast("uint8_t *", data),
        ffi.cast("struct lockstep_index_group *", groups),
        lengths,
        lengths + 1,
    )
    return bytes(ffi.buffer(groups, lengths[0] * _ROW)) + bytes(ffi.buffer(data, size)), int(lengths[0])
