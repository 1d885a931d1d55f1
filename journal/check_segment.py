"""Checking one segment to its last byte: frames, end, zeros, and every 64 KiB block against its seal.

Knows nothing of the segments beside it; what must fit them is left in `CheckedSegment` for the check of the whole journal.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from journal.archive import is_archive, map_archive
from journal.digest import BLOCK, DIGEST, BlockHash
from journal.errors import JournalCorrupt
from journal.evolve import evolution_of
from journal.kernel._journal import ffi, lib
from journal.messages.control import NO_DIGEST, EpochStart, SegmentSealed, SessionEnd
from journal.messages.header import HEADER_BYTES
from journal.recovery import describe, nonzero, start_reader
from journal.seal import NO_CHAIN, Seal, seal_name
from journal.segment import CONTROL, END_BYTES, ControlPage, SegmentHeader, map_file, read_header, read_schema

_FRAMES_A_STEP = 1 << 16
_BAD_PLACES_MAX = 1000
_NO_LIMIT = 2**64 - 1
_REFS = 256


class Claim(msgspec.Struct, frozen=True):
    """A frame says which chain digest the stream up to `seq` has."""

    by_seq: int
    seq: int
    digest: bytes


class CheckedSegment(msgspec.Struct):
    """What was found in one segment."""

    number: int
    path: Path
    segment_bytes: int = 0
    opened: bool = False
    state: str = "prepared"
    link: tuple[int, int, int] = (0, 0, 0)
    """What its open record continues: first seq, ts and crc of the frame before."""
    first_seq: int = 0
    last_seq: int = 0
    first_ts: int = 0
    last_ts: int = 0
    last_crc: int = 0
    first_epoch: int = 0
    last_epoch: int = 0
    used_bytes: int = 0
    frames: int = 0
    whole: Seal | None = None
    """The facts of the full segment as they stand here; `previous` is left open."""
    prefixes: dict[int, Seal] = {}
    """The same of parts of it, by their last seq."""
    claims: list[Claim] = []
    claims_wanted: list[int] = []
    problems: list[str] = []


class Tallies:
    """Counts of one thread; those of all are added up at the end."""

    def __init__(self) -> None:
        self.frames = ffi.new("uint64_t[65536]")
        self.bytes = ffi.new("uint64_t[65536]")
        self.sources = ffi.new("struct lockstep_sources *")

    @staticmethod
    def frames_by_kind(all_of: list[Tallies]) -> dict[int, int]:
        """Frames of each kind."""
        return _merged(operator.add, [t.frames for t in all_of])

    @staticmethod
    def bytes_by_kind(all_of: list[Tallies]) -> dict[int, int]:
        """Bytes of each kind."""
        return _merged(operator.add, [t.bytes for t in all_of])

    @staticmethod
    def last_source_seq(all_of: list[Tallies]) -> dict[int, int]:
        """The last number of each source."""
        return _merged(max, [t.sources.last_source_seq for t in all_of])


def _merged(how: Callable[[int, int], int], arrays: list[Any]) -> dict[int, int]:
    merged: dict[int, int] = {}
    for array in arrays:
        for index, value in nonzero(array).items():
            merged[index] = how(merged.get(index, 0), value)
    return dict(sorted(merged.items()))


def alive(pid: int) -> bool:
    """Is there such a process?"""
    return pid > 0 and Path(f"/proc/{pid}").exists()


def check_segment(
    found: CheckedSegment, stream_id: int, seal: Seal | None, tallies: Tallies, step: Callable[[int], None]
) -> None:
    """Check one segment and fill `found`. `step(bytes)` is told how much more of the file is done. JournalError when it cannot
    be read as a segment at all."""
    header = read_header(found.path, found.number, stream_id)
    read_schema(header)
    try:
        evolution_of(header)
    except JournalCorrupt as error:  # the frames can be checked all the same
        found.problems.append(str(error))
    found.segment_bytes = header.segment_bytes
    # What another reader has unpacked before says nothing about the file.
    mapped = map_archive(found.path, fresh=True) if is_archive(found.path) else map_file(found.path)
    base = ffi.from_buffer(mapped)
    if header.opened is None:
        if not header.open_record_zero:
            found.problems.append(f"{header.path}: the open record is damaged")
        if not _live(header.path.parent):
            _zeros(found, header, base, header.frames_at)
        if seal is not None:
            _against_seal(found, header, seal, BlockHash(mapped))
        step(header.segment_bytes)
        return
    opened = header.opened
    found.opened, found.link = True, (opened.first_seq, opened.prev_last_ts, opened.prev_last_crc)
    found.first_seq, found.first_epoch = opened.first_seq, opened.epoch
    reader = ffi.new("struct lockstep_reader *")
    reader.verify = 1
    start_reader(reader, header, base)
    hashed = BlockHash(mapped)
    damaged = _frames(found, header, reader, tallies, hashed, seal is not None, step)
    found.last_seq, found.last_ts, found.last_crc = int(reader.next_seq) - 1, int(reader.last_ts), int(reader.last_crc)
    found.last_epoch, found.used_bytes = int(reader.epoch), int(reader.offset)
    if found.last_seq >= found.first_seq:
        found.first_ts = int.from_bytes(mapped[header.frames_at + 24 : header.frames_at + 32], "little", signed=True)
    if reader.state == lib.LOCKSTEP_END:
        found.state = "full"
        _zeros(found, header, base, found.used_bytes + END_BYTES)
    elif reader.state == lib.LOCKSTEP_TAIL:
        found.state = "current"
        if not _live(header.path.parent):  # who may be storing there just now
            _zeros(found, header, base, found.used_bytes)
    if damaged:
        found.state = "corrupt"
    if seal is not None:
        _against_seal(found, header, seal, hashed)
    if not damaged:
        _prefixes(found, header, base, mapped, hashed)
    step(max(0, header.segment_bytes - found.used_bytes))


def _frames(
    found: CheckedSegment, header: SegmentHeader, reader: Any, tallies: Tallies, hashed: BlockHash, sealed: bool,
    step: Callable[[int], None],
) -> bool:  # fmt: skip
    """Every frame, going on behind bad ones; True when there was one. Hashes in the same steps, while the bytes are near."""
    damaged = False
    while True:
        before = int(reader.offset)
        n = lib.lockstep_reader_survey(reader, _FRAMES_A_STEP, tallies.sources, tallies.frames, tallies.bytes)
        found.frames += int(n)
        if sealed:
            hashed.extend(int(reader.offset))
        step(int(reader.offset) - before)
        if reader.state == lib.LOCKSTEP_MORE:
            continue
        if reader.state in (lib.LOCKSTEP_END, lib.LOCKSTEP_TAIL) and not _goes_on(header, reader):
            return damaged
        damaged = True
        at, seq = int(reader.offset), int(reader.next_seq)
        expected, actual = describe(reader)
        again = len(found.problems) < _BAD_PLACES_MAX and lib.lockstep_scrub_resync(reader)
        lost = int(reader.next_seq) - seq if again else 0
        extent = f"{lost} frames up to byte {int(reader.offset)} cannot be read" if lost > 0 else ""
        found.problems.append(str(JournalCorrupt(found.path, at, expected, actual, extent)))
        if not again:
            return True


def _goes_on(header: SegmentHeader, reader: Any) -> bool:
    """A zero length with a valid frame behind it is no tail, unless somebody writes there just now."""
    if reader.state == lib.LOCKSTEP_END or _live(header.path.parent):
        return False
    used = int(lib.lockstep_last_nonzero(reader.base, reader.offset, header.segment_bytes))
    if used <= int(reader.offset):
        return False
    probe = ffi.new("struct lockstep_reader *", reader[0])
    return bool(lib.lockstep_scrub_resync(probe))


def _zeros(found: CheckedSegment, header: SegmentHeader, base: Any, offset: int) -> None:
    """Behind the stream's end, and behind a full segment's, there is nothing."""
    used = int(lib.lockstep_last_nonzero(base, offset, header.segment_bytes))
    if used > offset:
        found.problems.append(
            f"{header.path}: {used - offset} bytes behind the last frame, from byte {offset}, are not zero;"
            " a torn tail: the next start of the writer cuts it"
        )


def _live(folder: Path) -> bool:
    control = folder / CONTROL
    return control.exists() and alive(int(ControlPage(control).c.writer_pid))


def _against_seal(found: CheckedSegment, header: SegmentHeader, seal: Seal, hashed: BlockHash) -> None:
    """The bytes as they are against the bytes that were sealed: the first says that they differ, the blocks say where."""
    digest = hashed.digest(header.segment_bytes)
    name = seal_name(found.number)
    if found.state != "corrupt":
        facts = {
            "nonce": header.nonce, "first_seq": found.first_seq, "last_seq": found.last_seq, "first_ts": found.first_ts,
            "last_ts": found.last_ts, "last_crc": found.last_crc, "last_epoch": found.last_epoch,
        }  # fmt: skip
        wrong = [f"{fact} {getattr(seal, fact)}, not {value}" for fact, value in facts.items() if getattr(seal, fact) != value]
        if found.state != "full":
            wrong.append("a full segment, and this one has no end")
        if wrong:
            found.problems.append(f"{found.path}: {name} vouches for {', '.join(wrong)}")
    if seal.segment_bytes != header.segment_bytes or seal.covered != header.segment_bytes:
        found.problems.append(
            f"{found.path}: {header.segment_bytes} bytes; {name} was made for {seal.covered} of {seal.segment_bytes}"
        )
    elif digest != seal.digest:
        count = min(len(hashed.values), len(seal.values)) // DIGEST
        ours, theirs = ffi.from_buffer(hashed.values), ffi.from_buffer(seal.values)
        to = ffi.new("uint64_t *")
        at = named = 0
        while (at := int(lib.lockstep_scrub_unequal(ours, theirs, at, count, to))) < count:
            found.problems.append(
                f"{found.path}: bytes {at * BLOCK} to {to[0] * BLOCK - 1} are not those that {name} vouches for"
            )
            at, named = int(to[0]), named + 1
        if not named:
            rest = f"bytes {count * BLOCK} to {header.segment_bytes - 1}" if header.segment_bytes % BLOCK else "its bytes"
            found.problems.append(f"{found.path}: {rest} are not those that {name} vouches for")
    elif seal.values != hashed.values:
        found.problems.append(f"{found.path.with_name(name)}: its block values do not give its digest; make it again")


def _prefixes(found: CheckedSegment, header: SegmentHeader, base: Any, mapped: Any, hashed: BlockHash) -> None:
    """Claims that frames here make about the past, and the facts of those parts of this segment that somebody speaks of."""
    reader = ffi.new("struct lockstep_reader *")
    start_reader(reader, header, base)
    reader.filtered = 1
    for kind in (SessionEnd.KIND, EpochStart.KIND, SegmentSealed.KIND):
        reader.kinds[kind // 64] |= 1 << (kind % 64)
    refs = ffi.new("struct lockstep_ref[]", _REFS)
    wanted = {seq for seq in found.claims_wanted if found.first_seq <= seq <= found.last_seq}
    while reader.state == lib.LOCKSTEP_MORE and reader.next_seq <= found.last_seq:
        n = lib.lockstep_reader_poll(reader, refs, _REFS, _FRAMES_A_STEP, found.last_seq)
        for ref in refs[0:n]:
            claim = _claim(mapped, int(ref.offset), int(ref.kind), int(ref.seq))
            if claim is not None:
                found.claims.append(claim)
                wanted.add(claim.seq)
    if found.state == "full" and found.last_seq >= found.first_seq:
        wanted.add(found.last_seq)
    walk = ffi.new("struct lockstep_reader *")
    start_reader(walk, header, base)
    for seq in sorted(s for s in wanted if found.first_seq <= s <= found.last_seq):
        lib.lockstep_reader_survey(walk, seq + 1 - walk.next_seq, ffi.NULL, ffi.NULL, ffi.NULL)
        found.prefixes[seq] = _facts(found, header, walk, hashed, int(walk.offset))
    if found.state == "full":
        hashed.extend(header.segment_bytes)  # heads, and the stream's own seals, are of the whole segment, sealed here or not
    if found.state == "full" and len(hashed.values) == header.segment_bytes // BLOCK * DIGEST:
        found.whole = _facts(found, header, walk, hashed, header.segment_bytes)


def _facts(found: CheckedSegment, header: SegmentHeader, walk: Any, hashed: BlockHash, upto: int) -> Seal:
    return Seal(
        header.number, header.stream_id, header.nonce, header.segment_bytes, upto, found.first_seq, int(walk.next_seq) - 1,
        found.first_ts, int(walk.last_ts), int(walk.last_crc), int(walk.epoch), NO_CHAIN, hashed.digest(upto),
    )  # fmt: skip


def _claim(mapped: Any, offset: int, kind: int, seq: int) -> Claim | None:
    """What a frame says of the stream before it; None when it does not know."""
    body = memoryview(mapped)[offset + HEADER_BYTES : offset + int.from_bytes(mapped[offset : offset + 4], "little")]
    if kind == SessionEnd.KIND and len(body) >= SessionEnd.LAYOUT.fixed_bytes:
        said, digest = seq - 1, SessionEnd.decode(body).chain_digest
    elif kind == EpochStart.KIND and len(body) >= EpochStart.LAYOUT.fixed_bytes:
        message = EpochStart.decode(body)
        said, digest = message.prev_last_seq, message.prev_chain_digest
    elif kind == SegmentSealed.KIND and len(body) >= SegmentSealed.LAYOUT.fixed_bytes:
        message = SegmentSealed.decode(body)
        said, digest = message.last_seq, message.chain_digest
    else:
        return None
    return Claim(seq, said, digest) if digest != NO_DIGEST else None
