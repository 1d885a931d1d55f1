"""What a writer does before its first append: read the stream, cut a torn tail, refuse damage.

Who asks for it goes by the indices where they can be believed: full segments that were on disk are then not read but named in
the result, to be read afterwards (`journal.index.vouch`).

Rules and reasons: docs/journal-format.md, "Recovery". The decision is taken in C, by a function that changes nothing; this
module carries it out: copies first, then the cut, so that every step can be interrupted and begun again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from journal import quarantine
from journal.errors import JournalCorrupt, JournalDamaged, JournalError, SegmentMissing, WrongStream, os_failure
from journal.index.layout import index_path
from journal.index.vouch import Vouch, vouch_of
from journal.kernel._journal import ffi, lib
from journal.quarantine import RecoveryResult
from journal.segment import (
    BLOCK_BYTES,
    ControlPage,
    SegmentHeader,
    map_file,
    read_header_block,
    read_schema,
    segment_files,
    segment_name,
    sync_folder,
)


class RecoveredStream(msgspec.Struct):
    """Where the stream ends, and what the scan learnt."""

    last_seq: int = 0
    last_ts: int = 0
    last_crc: int = 0
    epoch: int = 0
    segment: int = 0
    offset: int = 0
    prepared: int = 0
    """Number of a prepared segment that can be reused; 0: none."""
    last_source_seq: dict[int, int] = {}
    last_incarnation: dict[int, int] = {}
    passed: dict[int, Vouch] = {}
    """Full segments that were not read, by number, and what vouched for them."""
    result: RecoveryResult | None = None


def describe(reader: Any) -> tuple[str, str]:
    """Expected and found of a reader that stopped at a bad place, in words."""
    state, expected, found = reader.state, int(reader.expected), int(reader.found)
    if state == lib.LOCKSTEP_BAD_LENGTH:
        return f"a frame length, a multiple of 8 from 64 to {expected}", str(found)
    if state == lib.LOCKSTEP_BAD_CRC:
        return f"frame {reader.next_seq} with crc {expected:#010x}", f"crc {found:#010x}"
    if state == lib.LOCKSTEP_BAD_SEQ:
        return f"seq {expected}", f"seq {found}"
    if state == lib.LOCKSTEP_BAD_TS:
        return f"frame {reader.next_seq} with a ts of at least {expected}", f"ts {found}"
    if state == lib.LOCKSTEP_BAD_EPOCH:
        return f"frame {reader.next_seq} of epoch {expected} or later", f"epoch {found}"
    if state == lib.LOCKSTEP_BAD_END:
        return f"an end marker for seq {reader.next_seq} ({expected:#x})", f"{found:#x}"
    if state == lib.LOCKSTEP_END:
        return f"an open segment for frame {reader.next_seq} behind the end marker", "none"
    return f"frame {reader.next_seq}", "no frame"


def nonzero(array: Any) -> dict[int, int]:
    """Index → value of a C array's entries that are not zero; they are few."""
    base, size = ffi.cast("uint8_t *", array), ffi.sizeof(array) // len(array)
    found: list[tuple[int, int]] = []
    end = ffi.sizeof(array)
    while end := int(lib.lockstep_last_nonzero(base, 0, end)):
        index = (end - 1) // size
        found.append((index, int(array[index])))
        end = index * size
    return dict(reversed(found))


def start_reader(reader: Any, header: SegmentHeader, base: Any) -> None:
    """Point a C reader at the first frame of an open segment."""
    assert header.opened is not None
    reader.base = base
    reader.bytes = header.segment_bytes
    reader.offset = header.frames_at
    reader.seed = header.seed
    reader.next_seq = header.opened.first_seq
    reader.last_ts = header.opened.prev_last_ts
    reader.last_crc = header.opened.prev_last_crc
    reader.epoch = header.opened.epoch


def chain_break(header: SegmentHeader, reader: Any) -> tuple[str, str] | None:
    """Expected and found where an open record does not continue what was read so far; None when it does."""
    opened = header.opened
    assert opened is not None
    if opened.first_seq != reader.next_seq:
        return f"a segment that starts with seq {reader.next_seq}", f"first_seq {opened.first_seq}"
    if opened.prev_last_crc != reader.last_crc or opened.prev_last_ts != reader.last_ts:
        return (
            f"a segment that follows a frame with ts {reader.last_ts}, crc {reader.last_crc:#010x}",
            f"ts {opened.prev_last_ts}, crc {opened.prev_last_crc:#010x}",
        )
    return None


def recover(
    folder: Path, control: ControlPage | None, *, stream_id: int | None = None, by_index: bool = False
) -> RecoveredStream:
    """Bring a journal into a state that can be appended to. The caller holds the lock. `by_index`: full segments whose index
    can be believed are passed over; the caller sees to it that they are read later."""
    files = segment_files(folder)
    read = [read_header_block(path, number, stream_id) for number, path in files]
    headers = [header for header, _ in read]
    if headers and stream_id is None and len({h.stream_id for h in headers}) > 1:
        odd = next(h for h in headers if h.stream_id != headers[0].stream_id)
        raise WrongStream(
            f"{odd.path}: belongs to stream {odd.stream_id:#018x}; {segment_name(1)} to {headers[0].stream_id:#018x}"
        )
    if control is not None and control.c.segment > len(files):
        raise SegmentMissing(f"{folder / segment_name(control.c.segment)}: missing; the control page says that it was written")
    decision = _Decision(control, [block for _, block in read] if by_index else [])
    found, later = decision.take(headers)
    if found.verdict not in (lib.LOCKSTEP_VERDICT_CLEAN, lib.LOCKSTEP_VERDICT_TORN):
        raise _refusal(folder, headers, found)
    try:
        result = _put_aside(folder, headers, found, later) if found.verdict == lib.LOCKSTEP_VERDICT_TORN else None
        _cut(folder, headers, found, later, control)
        _sync_unsynced(headers, int(found.segment), int(control.c.durable_seq) if control else 0)
        (folder / "prepare.tmp").unlink(missing_ok=True)
        # Whatever was killed between a rename and its sync: from here on frames may be acknowledged in those files.
        sync_folder(folder)
    except OSError as error:
        raise os_failure(folder, error.errno or 0, "recovering it") from None
    last_source_seq, last_incarnation = decision.sources()
    return RecoveredStream(
        last_seq=int(found.last_seq),
        last_ts=int(found.last_ts),
        last_crc=int(found.last_crc),
        epoch=int(found.epoch),
        segment=int(found.segment),
        offset=int(found.offset),
        prepared=int(found.prepared),
        last_source_seq=last_source_seq,
        last_incarnation=last_incarnation,
        passed=decision.passed,
        result=result,
    )


class _Later(msgspec.Struct, frozen=True):
    """A segment behind the stream's end that does not stay as it is. `used`: how much of it is put aside, 0: nothing."""

    header: SegmentHeader
    used: int


class _Decision:
    """The decision, taken in C (journal/kernel/recovery.h): nothing is changed by it."""

    def __init__(self, control: ControlPage | None, blocks: list[bytes]) -> None:
        """`blocks`: header blocks of all segments, by which indices may be believed; none: every segment is read."""
        from journal.messages.derive import schema_text

        self.passed: dict[int, Vouch] = {}
        self._blocks = blocks
        self._found = found = ffi.new("struct lockstep_recovery *")
        self._sources = ffi.new("struct lockstep_sources *")
        schema = schema_text()
        self._schema = found.schema = ffi.from_buffer(schema)
        found.schema_bytes = len(schema)
        if control is not None:
            found.has_control = 1
            found.control_durable_seq, found.control_segment = control.c.durable_seq, control.c.segment
            found.control_epoch, found.segment_bytes = control.c.epoch, control.segment_bytes
            found.elsewhere = control.c.role != lib.LOCKSTEP_ROLE_WRITER

    def take(self, headers: list[SegmentHeader]) -> tuple[Any, list[_Later]]:
        """Look at every segment, or pass it."""
        found, later = self._found, []
        if headers:
            found.stream_id = headers[0].stream_id
        for block in self._blocks:
            lib.lockstep_recovery_hear(found, ffi.from_buffer(block))
        for header in headers:
            if self._passes(header):
                continue
            read_schema(header)
            used = ffi.new("uint64_t *")
            with map_file(header.path) as mapped:
                base = ffi.from_buffer(mapped)
                action = lib.lockstep_recovery_look(found, base, len(mapped), self._sources, used)
                ffi.release(base)
            if action == lib.LOCKSTEP_ACTION_INVALID:  # it was whole a moment ago, when its header was read
                raise JournalCorrupt(header.path, 0, "a valid header and schema", "others")
            if action in (lib.LOCKSTEP_ACTION_REMOVE, lib.LOCKSTEP_ACTION_PUT_ASIDE):
                later.append(_Later(header, int(used[0])))
        lib.lockstep_recovery_decide(found)
        return found, later

    def _passes(self, header: SegmentHeader) -> bool:
        if header.number >= len(self._blocks):  # the last one leads nowhere
            return False
        vouch = vouch_of(header)
        if vouch is None:
            return False
        claim = ffi.new("struct lockstep_claim *")
        header_block, next_block = self._blocks[header.number - 1 : header.number + 1]
        # Names, so that the bytes live until they were looked at.
        parts = [ffi.from_buffer(part) for part in (header_block, next_block, vouch.head_bytes, vouch.end)]
        claim.header, claim.next, claim.index, claim.end = parts
        claim.bytes, claim.end_bytes = header.segment_bytes, len(vouch.end)
        if not lib.lockstep_recovery_pass(self._found, claim):
            return False
        self.passed[header.number] = vouch
        return True

    def sources(self) -> tuple[dict[int, int], dict[int, int]]:
        """Each source's last number and last start number, of all segments."""
        seqs = nonzero(self._sources.last_source_seq)
        incarnations = nonzero(self._sources.last_incarnation)
        for vouch in self.passed.values():
            for source, row in vouch.sources.rows.items():
                for known, told in ((seqs, row.source_seq), (incarnations, row.incarnation)):
                    if told > known.get(source, 0):
                        known[source] = told
        return seqs, incarnations


def _refusal(folder: Path, headers: list[SegmentHeader], found: Any) -> JournalError:
    """What is wrong, where, and what to do."""
    if found.verdict == lib.LOCKSTEP_VERDICT_FULL:
        return JournalError(
            f"{folder}: ends with seq {found.last_seq}; a stream ends at {lib.lockstep_seq_max()}: begin a new journal"
        )
    if found.segment == 0:
        where, offset, seen = (headers[0].path, BLOCK_BYTES, "no open segment") if headers else (folder, 0, "no segment")
    else:
        where, offset = headers[found.segment - 1].path, int(found.offset)
        seen = describe(found.reader)[1] if found.cut_to > found.offset else "zeros"
    if found.verdict == lib.LOCKSTEP_VERDICT_DAMAGE:
        return JournalDamaged(
            where, offset, f"frame {found.last_seq + 1}", seen,
            f"frames up to {found.durable_seq} were on disk, so this is damage, no torn tail: restore the file from a copy",
        )  # fmt: skip
    assert found.verdict == lib.LOCKSTEP_VERDICT_UNPROVEN
    return JournalDamaged(
        where, offset, "zeros behind the last frame", seen,
        "the control page is missing, so a torn tail cannot be told from damage: restore it from a copy",
    )  # fmt: skip


def _put_aside(folder: Path, headers: list[SegmentHeader], found: Any, later: list[_Later]) -> RecoveryResult:
    """Copy everything that will be cut, and note that it was: before the first byte goes."""
    copies: list[tuple[str, int]] = []
    for segment in reversed(later):
        if segment.used:
            with map_file(segment.header.path) as mapped:
                name = quarantine.put_aside(folder, segment.header.number, 0, mapped[: segment.used])
            copies.append((name, segment.used))
    start, end = int(found.offset), int(found.cut_to)
    why = "a later segment that does not follow"
    if end > start:
        why = "expected {}, found {}".format(*describe(found.reader))
        with map_file(headers[found.segment - 1].path) as mapped:
            name = quarantine.put_aside(folder, int(found.segment), start, mapped[start:end])
        copies.append((name, end - start))
    cut = sum(size for _, size in copies)
    names = tuple(name for name, _ in copies)
    result = RecoveryResult(int(found.last_seq), int(found.segment), start, cut, cut, why, names)
    quarantine.note(folder, result)
    return result


def _cut(folder: Path, headers: list[SegmentHeader], found: Any, later: list[_Later], control: ControlPage | None) -> None:
    """Remove the segments behind the end, from the last one backwards, so that an interruption leaves no number missing;
    then zero the tail."""
    if control is not None and control.c.segment > found.segment:
        # Before any file goes: else an interruption would leave a page that misses a segment cut on purpose.
        control.c.segment = found.segment
        control.flush()
    for segment in reversed(later):
        segment.header.path.unlink()
        sync_folder(folder)
    _forget_indices(headers[max(int(found.segment), 1) - 1 :])
    if found.cut_to > found.offset:
        path = headers[found.segment - 1].path
        code = lib.lockstep_zero_range(os.fsencode(path), found.offset, found.cut_to)
        if code:
            raise os_failure(path, -code, "zeroing the torn tail")


def _forget_indices(headers: list[SegmentHeader]) -> None:
    """The last segment and what is behind it: what an index says of them was cut, or lost in a way that leaves nothing to cut,
    and is filled anew under the same identity."""
    gone = False
    for header in headers:
        path = index_path(header)
        if path.exists():
            path.unlink()
            gone = True
    if gone:
        sync_folder(path.parent)


def _sync_unsynced(headers: list[SegmentHeader], segment: int, durable: int) -> None:
    """A killed writer leaves frames in the page cache that no sync has covered; before they count as durable, one must."""
    for header in headers[:segment]:
        following = headers[header.number] if header.number < segment else None
        if following is not None and following.opened is not None and following.opened.first_seq <= durable + 1:
            continue
        with header.path.open("rb+") as file:
            os.fdatasync(file.fileno())
