"""Checking a whole journal, to the last byte: every header, schema, chain link, frame, and the zeros behind them.

Unlike recovery it changes nothing and does not stop at the first bad place: each segment is checked by itself, so that all
damage is named. A journal that is being written may be verified; its end is then where it was when the check came there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from journal.errors import JournalCorrupt, JournalError, JournalMissing, os_failure
from journal.kernel._journal import ffi, lib
from journal.recovery import chain_break, describe, nonzero, start_reader
from journal.segment import (
    CONTROL,
    END_BYTES,
    ControlPage,
    SegmentHeader,
    map_file,
    read_header,
    read_schema,
    segment_files,
    segment_name,
)

_CHUNK = 1 << 20


class SegmentSurvey(msgspec.Struct):
    """What one segment holds."""

    number: int
    file: str
    bytes: int
    used_bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_epoch: int = 0
    last_epoch: int = 0
    state: str = "prepared"


class Survey(msgspec.Struct):
    """What a journal holds, and what is wrong with it (nothing, when `problems` is empty)."""

    path: str
    stream_id: int = 0
    segments: list[SegmentSurvey] = []
    frames: int = 0
    first_ts: int = 0
    last_ts: int = 0
    last_seq: int = 0
    frames_by_kind: dict[int, int] = {}
    bytes_by_kind: dict[int, int] = {}
    last_source_seq: dict[int, int] = {}
    written_seq: int = 0
    durable_seq: int = 0
    writer_pid: int = 0
    quarantine: list[str] = []
    problems: list[str] = []


class _Survey:
    """The run of one survey: C reader, tallies, and what it writes into."""

    def __init__(self, path: Path, progress: Callable[[int, int], None] | None) -> None:
        self.path = path
        self.progress = progress
        self.out = Survey(str(path))
        self.reader = ffi.new("struct lockstep_reader *")
        self.reader.verify, self.reader.next_seq = 1, 1
        self.frames = ffi.new("uint64_t[65536]")
        self.bytes = ffi.new("uint64_t[65536]")
        self.sources = ffi.new("struct lockstep_sources *")
        self.done_bytes = self.total_bytes = 0

    def run(self) -> Survey:
        out = self.out
        files = segment_files(self.path)
        control = ControlPage(self.path / CONTROL) if (self.path / CONTROL).exists() else None
        if control is None and not files:
            raise JournalMissing(f"{self.path}: no journal here: neither a control page nor a segment")
        out.stream_id = control.stream_id if control else read_header(files[0][1], 1).stream_id
        if control is None:
            out.problems.append(f"{self.path / CONTROL}: missing; how far the journal was on disk is not known")
        self.total_bytes = sum(path.stat().st_size for _, path in files)
        closed = False
        for number, path in files:
            try:
                closed = self._segment(number, path, closed)
            except JournalError as error:
                out.problems.append(str(error))
            except OSError as error:
                out.problems.append(str(os_failure(path, error.errno or 0, "reading it")))
        self._finish(control, files[-1][0] if files else 0)
        return out

    def _segment(self, number: int, path: Path, closed: bool) -> bool:
        """Check one segment; True when the stream has ended in it or before."""
        out, reader = self.out, self.reader
        header = read_header(path, number, out.stream_id)
        read_schema(header)
        entry = SegmentSurvey(number, path.name, header.segment_bytes)
        out.segments.append(entry)
        mapped = map_file(path)
        base = ffi.from_buffer(mapped)
        if header.opened is None:
            self._unopened(header, base)
            return True
        if closed:
            out.problems.append(f"{path}: is open, but the stream ends in an earlier segment")
        broken = chain_break(header, reader)
        if broken is not None:
            out.problems.append(str(JournalCorrupt(path, 512, *broken)))
        start_reader(reader, header, base)
        entry.first_seq, entry.first_epoch = header.opened.first_seq, header.opened.epoch
        self._frames(header)
        entry.last_seq, entry.last_epoch = int(reader.next_seq) - 1, int(reader.epoch)
        entry.used_bytes = int(reader.offset)
        if not out.first_ts and entry.last_seq >= entry.first_seq:
            out.first_ts = int.from_bytes(mapped[header.frames_at + 24 : header.frames_at + 32], "little", signed=True)
        out.last_ts, out.last_seq = int(reader.last_ts), entry.last_seq
        if reader.state == lib.LOCKSTEP_END:
            entry.state = "full"
            self._zeros(header, base, entry.used_bytes + END_BYTES)
            return False
        if reader.state == lib.LOCKSTEP_TAIL:
            entry.state = "current"
            self._zeros(header, base, entry.used_bytes)
            return True
        entry.state = "corrupt"
        out.problems.append(str(JournalCorrupt(path, entry.used_bytes, *describe(reader))))
        return False

    def _frames(self, header: SegmentHeader) -> None:
        reader = self.reader
        while True:
            n = lib.lockstep_reader_survey(reader, _CHUNK, self.sources, self.frames, self.bytes)
            self.out.frames += int(n)
            if self.progress is not None:
                self.progress(self.done_bytes + int(reader.offset), self.total_bytes)
            if reader.state != lib.LOCKSTEP_MORE:
                break
        self.done_bytes += header.segment_bytes

    def _unopened(self, header: SegmentHeader, base: Any) -> None:
        self.done_bytes += header.segment_bytes
        if not header.open_record_zero:
            self.out.problems.append(f"{header.path}: the open record is damaged")
        self._zeros(header, base, header.frames_at)

    def _zeros(self, header: SegmentHeader, base: Any, offset: int) -> None:
        """Behind the stream's end there is nothing; a live writer may be storing there just now."""
        used = int(lib.lockstep_last_nonzero(base, offset, header.segment_bytes))
        if used > offset and not self._live():
            self.out.problems.append(
                f"{header.path}: {used - offset} bytes behind the last frame, from byte {offset}, are not zero;"
                " a torn tail: the next start of the writer cuts it"
            )

    def _live(self) -> bool:
        control = self.path / CONTROL
        return control.exists() and _alive(int(ControlPage(control).c.writer_pid))

    def _finish(self, control: ControlPage | None, last_number: int) -> None:
        out = self.out
        out.frames_by_kind = nonzero(self.frames, "<u8")
        out.bytes_by_kind = nonzero(self.bytes, "<u8")
        out.last_source_seq = nonzero(self.sources.last_source_seq, "<u8")
        quarantine = self.path / "quarantine"
        out.quarantine = sorted(p.name for p in quarantine.iterdir()) if quarantine.is_dir() else []
        if control is None:
            return
        out.written_seq, out.durable_seq = int(control.c.written_seq), int(control.c.durable_seq)
        pid = int(control.c.writer_pid)
        out.writer_pid = pid if _alive(pid) else 0
        if out.last_seq < out.durable_seq and not out.writer_pid:
            out.problems.append(
                f"{self.path}: ends with seq {out.last_seq}, but frames up to {out.durable_seq} were on disk; frames are lost"
            )
        if control.c.segment > last_number:
            out.problems.append(
                f"{self.path / segment_name(control.c.segment)}: missing; the control page says that it was written"
            )


def _alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()


def survey(path: Path | str, progress: Callable[[int, int], None] | None = None) -> Survey:
    """Read and check everything; `progress(done_bytes, total_bytes)` is called about every million frames."""
    return _Survey(Path(path), progress).run()
