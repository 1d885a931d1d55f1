"""A place in a stream and its proof: the digest of the frame that ends there. Equal digests, equal history.

A frame is covered from its seq on by the digest of its bytes, and its crc by the segment's own random number: two machines have
the same frame at the same seq only if one copied it from the other, or both from a third.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from journal.frames import last_seq
from journal.messages.header import Header
from journal.reader import JournalReader

NO_DIGEST = bytes(32)


class Position(msgspec.Struct, frozen=True):
    """Behind which frame: its seq, segment, the byte behind it, epoch, digest. seq 0: the very beginning."""

    seq: int = 0
    segment: int = 0
    offset: int = 0
    epoch: int = 0
    digest: bytes = NO_DIGEST


def frame_digest(frame: bytes | memoryview) -> bytes:
    """BLAKE2b-256 of a frame's bytes."""
    return hashlib.blake2b(frame, digest_size=32).digest()


def position_of(folder: Path, seq: int) -> Position | None:
    """The position behind frame `seq`; None when the journal ends before it. The frame's crc is checked."""
    if seq == 0:
        return Position()
    with JournalReader(folder, from_seq=seq) as reader:
        batch = reader.poll(1)
        if batch is None or not len(batch):
            return None
        at = next(iter(batch))[0]
        header = Header.unpack(batch.buffer, at)
        end = at + header.length
        return Position(seq, batch.header.number, end, header.epoch, frame_digest(batch.buffer[at:end]))


def common_prefix(folder: Path, upto: int, ask: Callable[[int], tuple[int, bytes] | None]) -> Position:
    """The last position at which this journal and the one that `ask(seq)` answers for (epoch, digest) are equal.

    Histories part once and never meet again, so a search by halves finds the place.
    """
    low, high = 0, min(upto, last_seq(folder))
    found = Position()
    while low < high:
        middle = (low + high + 1) // 2
        ours, theirs = position_of(folder, middle), ask(middle)
        if ours is not None and theirs == (ours.epoch, ours.digest):
            low, found = middle, ours
        else:
            high = middle - 1
    return found
