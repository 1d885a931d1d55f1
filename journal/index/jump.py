"""Moving a C reader inside a segment without passing the frames between."""

from __future__ import annotations

from typing import Any

from journal.index.layout import Block, Blocks
from journal.index.plan import Plan
from journal.kernel._journal import lib

EARLIEST = -(2**63)


def to_block(reader: Any, block: Block) -> None:
    """Go on to the beginning of a block, if that is ahead. What stands there is checked when it is read: it must be a valid
    frame with this very seq. Its ts and epoch are compared with those of the frame read last, which are smaller or equal."""
    if block.seq > reader.next_seq:
        reader.offset, reader.next_seq = block.offset, block.seq


def to_seq(reader: Any, blocks: Blocks, seq: int) -> None:
    """Go on to a frame: its block by the table, then from head to head."""
    to_block(reader, blocks.at(blocks.of_seq(seq)))
    lib.lockstep_reader_seek(reader, seq, EARLIEST)


def follow(reader: Any, plan: Plan, seq: int, limit: int) -> int:
    """Go on to the first frame from `seq` on that the plan says is to be read; how far to read then. 0, and nothing is moved,
    when that frame is behind `limit`. Behind the last run it goes on to the end of the segment."""
    run, ends = plan.run_for(seq), plan.index.ends
    if (run.start.seq if run is not None else ends.last_seq + 1) > limit:
        return 0
    if run is None:
        if reader.next_seq <= ends.last_seq:
            reader.offset, reader.next_seq = ends.end_offset, ends.last_seq + 1
            reader.last_ts, reader.last_crc, reader.epoch = ends.last_ts, ends.last_crc, ends.last_epoch
        return limit
    to_block(reader, run.start)
    if reader.next_seq < seq:
        to_seq(reader, plan.index.blocks, seq)
    return min(limit, run.last_seq)
