"""Which segment, and which frame of it: by seq or by time. What a seek is made of."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journal.errors import JournalCorrupt
from journal.index.jump import to_block
from journal.index.store import discard, is_full, load_or_build
from journal.index.tail import tail_blocks
from journal.kernel._journal import ffi, lib
from journal.recovery import describe, start_reader
from journal.segment import OpenRecord, SegmentHeader, count_segments, map_file, read_header, segment_name

_TS_MIN, _TS_MAX = -(2**63), 2**63 - 1
"""What the kernel's times can be; people may ask for the year 1600."""


def last_segment(folder: Path, stream_id: int | None, begins: Callable[[OpenRecord], bool]) -> SegmentHeader | None:
    """The last open segment whose open record `begins` (in time or seq) before what is looked for; None: there is none."""
    low, high = 1, count_segments(folder) + 1
    found: SegmentHeader | None = None
    while low < high:
        middle = (low + high) // 2
        header = read_header(folder / segment_name(middle), middle, stream_id)
        stream_id = header.stream_id
        if header.opened is not None and begins(header.opened):
            found, low = header, middle + 1
        else:
            high = middle
    return found


def seq_at(path: Path | str, ts: int) -> int:
    """Seq of the first frame at this time or later; behind the last one where the journal ends earlier, 1 for an empty one."""
    ts = min(max(ts, _TS_MIN), _TS_MAX)
    header = last_segment(Path(path), None, lambda opened: opened.prev_last_ts < ts or opened.first_seq == 1)
    if header is None:
        return 1
    mapped = map_file(header.path)
    reader = ffi.new("struct lockstep_reader *")
    reader.verify = 1
    base = ffi.from_buffer(mapped)
    start_reader(reader, header, base)
    _jump(reader, header, mapped, ts)
    seq = _found(reader, ts)
    if not seq:
        # Either the frame is damaged or the index misled us: the whole segment tells.
        discard(header)
        start_reader(reader, header, base)
        seq = _found(reader, ts)
    if not seq:
        raise JournalCorrupt(header.path, int(reader.offset), *describe(reader))
    return seq


def _jump(reader: Any, header: SegmentHeader, mapped: mmap.mmap, ts: int) -> None:
    """To the block, where a table of blocks can be had."""
    index = load_or_build(header, mapped) if is_full(header) else None
    blocks = index.blocks if index is not None else tail_blocks(header, mapped)
    if blocks is not None:
        to_block(reader, blocks.at(blocks.of_ts(ts)))


def _found(reader: Any, ts: int) -> int:
    """Go on from head to head; the seq found, which is the next one where the segment ends earlier. 0 at a bad frame."""
    ref = ffi.new("struct lockstep_ref *")
    there = lib.lockstep_reader_seek(reader, 0, ts)
    seq = int(reader.next_seq)
    if there:
        # A damaged head may say any time: believe it when the frame's crc is right.
        lib.lockstep_reader_poll(reader, ref, 1, 1, seq)
        return seq if reader.next_seq > seq else 0
    return seq if reader.state in (lib.LOCKSTEP_TAIL, lib.LOCKSTEP_END) else 0
