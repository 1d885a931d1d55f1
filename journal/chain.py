"""Following the chain: from the last seal on, hash what is written, frame by frame checked, segment by segment.

One walker serves whoever needs a chain digest: the sealer beside a running sequencer (a little at a time, behind the durable
watermark), `lockstep journal seal`, the head of a stream at any seq.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journal.digest import BlockHash
from journal.errors import JournalCorrupt, JournalError, SealBroken, SegmentMissing, os_failure
from journal.kernel._journal import ffi, lib
from journal.recovery import chain_break, describe, start_reader
from journal.seal import NO_CHAIN, Seal, check_link, last_seal, read_seal, seal_name, sealed_numbers, write_seal
from journal.segment import SegmentHeader, map_file, read_header, segment_files, segment_name

_NO_LIMIT = 2**64 - 1
_FRAMES_A_STEP = 1 << 16


class ChainWalker:
    """Walks the stream behind `before`, the seal of the segment before the one it starts in."""

    def __init__(self, folder: Path, before: Seal | None) -> None:
        self.folder = folder
        self.before = before
        self.stream_id: int | None = before.stream_id if before is not None else None
        self._header: SegmentHeader | None = None
        self._c = ffi.new("struct lockstep_reader *")
        # Everything is looked at, nothing is delivered.
        self._c.verify = self._c.filtered = 1
        self._refs = ffi.new("struct lockstep_ref[1]")
        self._c.next_seq = before.last_seq + 1 if before is not None else 1
        if before is not None:
            self._c.last_ts, self._c.last_crc, self._c.epoch = before.last_ts, before.last_crc, before.last_epoch
        self._hash: BlockHash | None = None
        self._map: Any = None

    @property
    def last_seq(self) -> int:
        """How far it has walked."""
        return int(self._c.next_seq) - 1

    @property
    def sealed(self) -> int:
        """The last segment that is full and behind it."""
        return self.before.number if self.before is not None else 0

    @property
    def number(self) -> int:
        """The segment that holds `last_seq`; 0 in an empty stream."""
        done = self.before.number if self.before is not None else 0
        return done + (self._header is not None)

    def advance(self, to_seq: int = _NO_LIMIT) -> Seal | None:
        """Walk on to `to_seq` or to the end of what is written, at most to the end of one segment: then its seal is returned
        (not stored), and the next call goes on behind it. JournalCorrupt where a frame is bad."""
        if self._header is None and not self._enter():
            return None
        assert self._header is not None
        assert self._hash is not None
        c = self._c
        while True:
            lib.lockstep_reader_poll(c, self._refs, 1, _FRAMES_A_STEP, to_seq)
            self._hash.extend(int(c.offset))
            if c.state != lib.LOCKSTEP_MORE:
                break
            if c.next_seq > to_seq:
                return None
        if c.state == lib.LOCKSTEP_TAIL:
            return None
        if c.state != lib.LOCKSTEP_END:
            raise JournalCorrupt(self._header.path, int(c.offset), *describe(c))
        seal = self._facts(self._header.segment_bytes)
        self.before, self._header, self._hash, self._map = seal, None, None, None
        return seal

    def digest(self) -> bytes:
        """The chain digest of the stream up to `last_seq`; that of an empty stream is all zeros."""
        if self._header is None or int(self._c.offset) == self._header.frames_at:
            return self.before.chain if self.before is not None else NO_CHAIN
        return self._facts(int(self._c.offset)).chain

    def _enter(self) -> bool:
        number = self.number + 1
        path = next((p for n, p in segment_files(self.folder) if n == number), None)
        if path is None:
            return False
        header = read_header(path, number, self.stream_id)
        if header.opened is None:
            return False
        broken = chain_break(header, self._c)
        if broken is not None:
            raise JournalCorrupt(path, 512, *broken)
        self.stream_id = header.stream_id
        self._map = map_file(path)
        self._hash = BlockHash(self._map)
        self._header = header
        start_reader(self._c, header, ffi.from_buffer(self._map))
        return True

    def _facts(self, upto: int) -> Seal:
        header, c = self._header, self._c
        assert header is not None
        assert header.opened is not None
        assert self._hash is not None
        ts = self._map[header.frames_at + 24 : header.frames_at + 32]
        return Seal(
            header.number, header.stream_id, header.nonce, header.segment_bytes, upto, header.opened.first_seq, self.last_seq,
            int.from_bytes(ts, "little", signed=True), int(c.last_ts), int(c.last_crc), int(c.epoch),
            self.before.chain if self.before is not None else NO_CHAIN, self._hash.digest(upto), self._hash.values,
        )  # fmt: skip

    def sync(self, seal: Seal) -> None:
        """Put the segment of a seal that `advance` returned on disk: the seal must not outlive what it vouches for."""
        path = next(p for n, p in segment_files(self.folder) if n == seal.number)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise os_failure(path, error.errno or 0, "syncing the segment") from None


def measure(folder: Path, number: int) -> Seal:
    """The seal that a full segment must have, behind the seal of the one before. SealBroken if it has no end."""
    before = read_seal(folder, number - 1) if number > 1 else None
    if number > 1 and before is None:
        raise SegmentMissing(f"{folder / seal_name(number - 1)}: missing; segment {number} is sealed behind it")
    seal = ChainWalker(folder, before).advance()
    if seal is None:
        raise SealBroken(f"{folder / segment_name(number)}: has no end marker; only a full segment can be sealed")
    return seal


def make_seals(folder: Path) -> Iterator[Seal]:
    """Measure every full segment behind the last seal, one after the other; the caller stores each before it asks for the
    next. A seal that is lost in the middle is measured again too, and must fit the one behind it. SealBroken names one that
    cannot be read."""
    numbers = sealed_numbers(folder)
    for number in numbers:
        try:
            read_seal(folder, number)
        except JournalError as error:
            raise SealBroken(f"{error}; lockstep journal repair {folder} mends it") from None
    for number in [n for n in range(1, numbers[-1]) if n not in set(numbers)] if numbers else []:
        seal = measure(folder, number)
        after = read_seal(folder, number + 1)
        if after is not None:
            check_link(folder, after, seal)
        yield seal
    walker = ChainWalker(folder, read_seal(folder, numbers[-1]) if numbers else None)
    while (full := walker.advance()) is not None:
        walker.sync(full)
        yield full


def walker_behind_the_seals(folder: Path, seq: int = _NO_LIMIT) -> ChainWalker:
    """A walker that starts behind the newest seal that ends before `seq`."""
    seal = last_seal(folder)
    while seal is not None and seal.last_seq >= seq:
        seal = read_seal(folder, seal.number - 1) if seal.number > 1 else None
    return ChainWalker(folder, seal)


def store(folder: Path, seal: Seal, signature: str = "") -> Seal:
    """Sign, write; the seal as it is stored."""
    seal = seal.signed(signature) if signature else seal
    write_seal(folder, seal)
    return seal
