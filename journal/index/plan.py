"""What a reader has to read of a full segment: the blocks in which something it wants occurs, by the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from journal.index.layout import Block, SegmentIndex


class Wanted(NamedTuple):
    """Keys of each dimension, ascending; None: all."""

    kinds: tuple[int, ...] | None = None
    instruments: tuple[int, ...] | None = None
    orders: tuple[int, ...] | None = None

    @property
    def all(self) -> bool:
        """Nothing is filtered."""
        return self.kinds is None and self.instruments is None and self.orders is None


class Run(NamedTuple):
    """Neighbouring blocks that are read: from their first frame to the last that starts in them."""

    start: Block
    last_seq: int


class Plan:
    """The runs of one segment, in order."""

    def __init__(self, index: SegmentIndex, wanted: Wanted) -> None:
        self.index = index
        self._runs = _runs(index, wanted)
        self._next = 0

    def run_for(self, seq: int) -> Run | None:
        """The first run that ends with this seq or behind it. Seqs asked for never go down."""
        while self._next < len(self._runs):
            run = self._runs[self._next]
            if run.last_seq >= seq:
                return run
            self._next += 1
        return None


def _runs(index: SegmentIndex, wanted: Wanted) -> list[Run]:
    blocks = index.blocks
    # A set of blocks is an integer with a bit for each.
    chosen = (1 << blocks.count) - 1
    for dimension, keys in zip(("by_kind", "by_instrument", "by_order"), wanted, strict=True):
        if keys is not None:
            chosen &= _blocks_with(index, dimension, keys, chosen)
    runs: list[Run] = []
    at = 0
    while chosen >> at:
        rest = chosen >> at
        first = at + (rest & -rest).bit_length() - 1
        gone = ~(chosen >> first)
        at = first + (gone & -gone).bit_length() - 1
        last_seq = blocks.at(at).seq - 1 if at < blocks.count else index.ends.last_seq
        runs.append(Run(blocks.at(first), last_seq))
    return runs


def _blocks_with(index: SegmentIndex, dimension: str, keys: Iterable[int], otherwise: int) -> int:
    postings = index.postings(dimension)
    if postings is None:
        return otherwise
    found = 0
    for key in keys:
        for first, end in postings.runs(key):
            found |= (1 << end) - (1 << first)
    return found
