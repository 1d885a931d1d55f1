"""What a writer does before its first append: read the whole stream, cut a torn tail, refuse damage.

Rules and reasons: docs/journal-format.md, "Recovery". Nothing is changed before the verdict is known; every step can be
interrupted and begun again.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from journal.errors import JournalDamaged, SegmentMissing, WrongStream, os_failure
from journal.kernel._journal import ffi, lib
from journal.segment import (
    BLOCK_BYTES,
    ControlPage,
    SegmentHeader,
    map_file,
    read_header,
    read_schema,
    segment_files,
    segment_name,
    sync_folder,
    write_durably,
)

QUARANTINE = "quarantine"
_WHOLE = 2**64 - 1


class RecoveryResult(msgspec.Struct, frozen=True):
    """What was cut. `kept_seq`: the last frame that stays. Bytes count up to the last non-zero one of each place."""

    kept_seq: int
    segment: int
    offset: int
    cut_bytes: int
    quarantined_bytes: int
    found: str
    files: tuple[str, ...]


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
    result: RecoveryResult | None = None


class _End(msgspec.Struct):
    """Where the scan stopped, before any verdict."""

    index: int
    offset: int
    cut_to: int
    found: str


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


def nonzero(array: Any, dtype: str) -> dict[int, int]:
    """Index → value of a C array's entries that are not zero."""
    values = np.frombuffer(ffi.buffer(array), dtype=dtype)
    return {int(i): int(values[i]) for i in np.flatnonzero(values)}


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


def recover(folder: Path, control: ControlPage | None, *, stream_id: int | None = None) -> RecoveredStream:
    """Bring a journal into a state that can be appended to. The caller holds the lock."""
    files = segment_files(folder)
    headers = [read_header(path, number, stream_id) for number, path in files]
    if headers and stream_id is None and len({h.stream_id for h in headers}) > 1:
        odd = next(h for h in headers if h.stream_id != headers[0].stream_id)
        raise WrongStream(
            f"{odd.path}: belongs to stream {odd.stream_id:#018x}; {segment_name(1)} to {headers[0].stream_id:#018x}"
        )
    if control is not None and control.c.segment > len(files):
        raise SegmentMissing(f"{folder / segment_name(control.c.segment)}: missing; the control page says that it was written")
    for header in headers:
        read_schema(header)
    durable = max([h.opened.durable_seq for h in headers if h.opened], default=0)
    durable = max(durable, int(control.c.durable_seq) if control else 0)
    stream = RecoveredStream(epoch=int(control.c.epoch) if control else 0)
    end = _scan(headers, stream)
    later = headers[end.index + 1 :] if end is not None else headers
    cut_later = [(h.number, upto) for h in later if (upto := _used_bytes(h))]
    torn = bool(cut_later) or (end is not None and end.cut_to > end.offset)
    if stream.last_seq < durable or (torn and control is None):
        _refuse(folder, end, headers, stream, durable, control is None)
    if control is not None and control.c.segment > stream.segment:
        # Before any file goes: else an interruption would leave a page that misses a segment cut on purpose.
        control.c.segment = stream.segment
        control.flush()
    put_aside = _clear_later(folder, later, dict(cut_later), stream, control)
    if torn:
        stream.result = _cut_tail(folder, end, headers, stream, put_aside)
    _sync_unsynced(headers, stream, int(control.c.durable_seq) if control else 0)
    (folder / "prepare.tmp").unlink(missing_ok=True)
    return stream


def _scan(headers: list[SegmentHeader], stream: RecoveredStream) -> _End | None:
    """Follow the chain as far as it is valid; fill the stream's end and its sources."""
    reader = ffi.new("struct lockstep_reader *")
    reader.verify, reader.next_seq = 1, 1
    sources = ffi.new("struct lockstep_sources *")
    end: _End | None = None
    for index, header in enumerate(headers):
        if header.opened is None:
            break
        if chain_break(header, reader) is not None:
            break
        mapped = map_file(header.path)
        base = ffi.from_buffer(mapped)
        start_reader(reader, header, base)
        lib.lockstep_reader_survey(reader, _WHOLE, sources, ffi.NULL, ffi.NULL)
        # An end marker counts as torn too when the segment it points to turns out not to be open.
        cut_to = lib.lockstep_last_nonzero(base, reader.offset, header.segment_bytes)
        found = "" if cut_to == reader.offset else "expected {}, found {}".format(*describe(reader))
        end = _End(index, int(reader.offset), int(cut_to), found)
        stream.segment, stream.offset = header.number, end.offset
        stream.epoch = max(stream.epoch, reader.epoch)
        if reader.state != lib.LOCKSTEP_END:
            break
    stream.last_seq, stream.last_ts, stream.last_crc = int(reader.next_seq) - 1, int(reader.last_ts), int(reader.last_crc)
    stream.last_source_seq = nonzero(sources.last_source_seq, "<u8")
    stream.last_incarnation = nonzero(sources.last_incarnation, "<u4")
    return end


def _used_bytes(header: SegmentHeader) -> int:
    """Bytes from the open record to the last non-zero one that a never opened segment should not have; 0: pristine."""
    mapped = map_file(header.path)
    used = int(lib.lockstep_last_nonzero(ffi.from_buffer(mapped), header.frames_at, header.segment_bytes))
    if used > header.frames_at:
        return used
    return 0 if header.open_record_zero else BLOCK_BYTES


def _refuse(
    folder: Path,
    end: _End | None,
    headers: list[SegmentHeader],
    stream: RecoveredStream,
    durable: int,
    no_control: bool,
) -> None:
    if end is None:
        where, offset, found = (headers[0].path, BLOCK_BYTES, "no open segment") if headers else (folder, 0, "no segment")
    else:
        where, offset = headers[end.index].path, end.offset
        found = end.found.rpartition(", found ")[2] or "zeros"
    if stream.last_seq < durable:
        raise JournalDamaged(
            where, offset, f"frame {stream.last_seq + 1}", found,
            f"frames up to {durable} were on disk, so this is damage, no torn tail: restore the file from a copy",
        )  # fmt: skip
    assert no_control
    raise JournalDamaged(
        where, offset, "zeros behind the last frame", found,
        "the control page is missing, so a torn tail cannot be told from damage: restore it from a copy",
    )  # fmt: skip


def _clear_later(
    folder: Path,
    later: list[SegmentHeader],
    used: dict[int, int],
    stream: RecoveredStream,
    control: ControlPage | None,
) -> list[tuple[str, int]]:
    """Remove the segments behind the stream's end, used ones with a copy in quarantine; keep a pristine next one that fits.

    From the last one backwards, so that an interruption leaves no number missing. Returns names and sizes of the copies."""
    from journal.messages.derive import schema_text

    copies: list[tuple[str, int]] = []
    for header in reversed(later):
        upto = used.get(header.number, 0)
        if upto:
            with map_file(header.path) as mapped:
                copies.append((_put_aside(folder, header.number, 0, mapped[:upto]), upto))
        elif (
            header.number == stream.segment + 1
            and (control is None or header.segment_bytes == control.segment_bytes)
            and read_schema(header) == schema_text()
        ):
            stream.prepared = header.number
            continue
        header.path.unlink()
        sync_folder(folder)
    return copies


def _cut_tail(
    folder: Path, end: _End | None, headers: list[SegmentHeader], stream: RecoveredStream, copies: list[tuple[str, int]]
) -> RecoveryResult:
    """Copy the tail to quarantine, then zero it."""
    found = "a later segment that does not follow"
    segment = offset = 0
    if end is not None:
        header = headers[end.index]
        segment, offset, found = header.number, end.offset, end.found or found
        if end.cut_to > end.offset:
            with map_file(header.path) as mapped:
                name = _put_aside(folder, header.number, end.offset, mapped[end.offset : end.cut_to])
            copies = [*copies, (name, end.cut_to - end.offset)]
            code = lib.lockstep_zero_range(os.fsencode(header.path), end.offset, end.cut_to)
            if code:
                raise os_failure(header.path, -code, "zeroing the torn tail")
    cut = sum(size for _, size in copies)
    return RecoveryResult(stream.last_seq, segment, offset, cut, cut, found, tuple(name for name, _ in copies))


def _put_aside(folder: Path, number: int, offset: int, data: bytes) -> str:
    """Write cut bytes to quarantine; never over other bytes (a second crash may have zeroed a part meanwhile)."""
    if not (folder / QUARANTINE).is_dir():
        (folder / QUARANTINE).mkdir()
        sync_folder(folder)
    for attempt in itertools.count():
        name = f"{number:08d}-{offset}" + (f".{attempt}" if attempt else "") + ".bin"
        path = folder / QUARANTINE / name
        if not path.exists():
            write_durably(path, data)
            return f"{QUARANTINE}/{name}"
        if path.read_bytes() == data:
            return f"{QUARANTINE}/{name}"
    raise AssertionError("unreachable")


def _sync_unsynced(headers: list[SegmentHeader], stream: RecoveredStream, durable: int) -> None:
    """A killed writer leaves frames in the page cache that no sync has covered; before they count as durable, one must."""
    for header in headers[: stream.segment]:
        following = headers[header.number] if header.number < stream.segment else None
        if following is not None and following.opened is not None and following.opened.first_seq <= durable + 1:
            continue
        with header.path.open("rb+") as file:
            os.fdatasync(file.fileno())
