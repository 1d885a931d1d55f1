"""What is wrong with a journal in the eyes of who has to mend it, and what can be done. Looks only; `journal.repair` acts.

The stream is followed from seq 1. Where a segment is damaged, missing or does not continue the one before, the same segment is
looked for in the folders that were given (a backup, a replica, an archive). A copy is taken only if every byte of it is right
and it fits on both sides: it continues the frame before it, and the segment behind continues it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from journal.check_segment import CheckedSegment, Tallies, alive, check_segment
from journal.digest import BlockHash
from journal.errors import JournalCorrupt, JournalError, JournalMissing, SegmentUnreachable
from journal.kernel._journal import ffi, lib
from journal.recovery import chain_break, describe, start_reader
from journal.seal import Seal, check_link, read_seal, seal_name, sealed_numbers
from journal.segment import (
    CONTROL,
    ControlPage,
    SegmentHeader,
    all_segment_files,
    map_file,
    read_header,
    read_schema,
    segment_name,
)

_WHOLE = 2**64 - 1


class Damage(msgspec.Struct):
    """One segment that is not as it should be."""

    number: int
    file: str
    problems: list[str]
    good_seq: int
    """The last frame before the damage that can be read."""
    offset: int = 0
    """Where in the file the good part ends; 0: nothing of it is good."""
    restore_from: str = ""
    """A copy that fits."""
    refused: list[str] = []
    """Copies that do not, and why."""
    frames_lost: bool = True
    """Frames are missing; False: only bytes beside them are wrong."""
    unreachable: bool = False
    """It stands on a disk that is not there now. Nothing is lost, so nothing is cut for it."""


class SealDamage(msgspec.Struct):
    """A seal that cannot be read. The stream does not need it, but nothing vouches for its segment without it."""

    number: int
    file: str
    problem: str
    restore_from: str = ""
    """A copy that fits; without one the segment is measured again, if it is whole, and must fit the seal behind it."""
    refused: list[str] = []
    """Copies that do not, and why."""


class RepairPlan(msgspec.Struct):
    """What is wrong, and what `repair` would do about it."""

    path: str
    writer_pid: int = 0
    stream_id: int = 0
    last_seq: int = 0
    """How far the stream can be followed now."""
    durable_seq: int = 0
    """How far it was on disk."""
    damages: list[Damage] = []
    seals: list[SealDamage] = []
    control: str = ""
    """What is wrong with the control page."""
    kept_seq: int = 0
    """The last frame after restoring what can be restored; a cut would end the stream there."""
    cut_segment: int = 0
    """The segment in which a cut would be made; 0: none is needed."""
    cut_offset: int = 0
    cut_files: list[str] = []
    """Segments behind it that a cut would move to quarantine."""

    @property
    def well(self) -> bool:
        """Nothing is to be done."""
        return not self.damages and not self.seals and not self.control


class _End(msgspec.Struct, frozen=True):
    """How far the stream was followed: what the next segment has to continue."""

    next_seq: int = 1
    last_ts: int = 0
    last_crc: int = 0


class _Look(msgspec.Struct):
    """One segment file."""

    end: _End
    full: bool = False
    offset: int = 0
    problems: list[str] = []
    unreachable: bool = False
    header: Any = None


def plan_repair(
    path: Path | str, folders: Sequence[Path] = (), progress: Callable[[int, int], None] | None = None
) -> RepairPlan:
    """Follow the stream, name the damage, look for copies."""
    return _Planner(Path(path), [Path(f) for f in folders], progress).run()


class _Planner:
    def __init__(self, path: Path, folders: list[Path], progress: Callable[[int, int], None] | None) -> None:
        self.path, self.folders, self.progress = path, folders, progress
        self.out = RepairPlan(str(path))
        self.files = dict(all_segment_files(path))
        self.control: ControlPage | None = None
        self.done = 0

    def run(self) -> RepairPlan:
        out = self.out
        for folder in self.folders:
            all_segment_files(folder)  # a folder that is not there is a mistake to be told now
        self._read_control()
        headers = self._headers()
        if not headers and not out.stream_id:
            raise JournalMissing(f"{self.path}: no segment and no control page that can be read; nothing to go by")
        out.stream_id = out.stream_id or next(iter(headers.values())).stream_id
        opened = {n: h.opened for n, h in headers.items() if h.opened is not None and h.stream_id == out.stream_id}
        out.durable_seq = max([out.durable_seq, *(o.durable_seq for o in opened.values())])
        last = max([*opened, int(self.control.c.segment) if self.control else 0])
        end, broken, reached = _End(), False, (0, 0)
        for number in range(1, last + 1):
            if broken and number in opened:
                # Nobody knows what should stand before it; let it be judged by itself.
                link = opened[number]
                end = _End(link.first_seq, link.prev_last_ts, link.prev_last_crc)
            look = self._look(
                self.path / segment_name(number), number, end, number < last, read_seal_or_none(self.path, number)
            )
            if look.problems:
                look, broken = self._damaged(number, look, end, number < last, headers.get(number + 1), broken)
            if not broken:
                end, reached = look.end, (number, look.offset)
        self._finish(end, broken, reached)
        for number in sealed_numbers(self.path):
            self._look_at_seal(number)
        return out

    def _read_control(self) -> None:
        page = self.path / CONTROL
        try:
            self.control = ControlPage(page)
        except JournalError as error:
            self.out.control = str(error)
        except FileNotFoundError:
            self.out.control = f"{page}: missing"
        else:
            self.out.stream_id, self.out.durable_seq = self.control.stream_id, int(self.control.c.durable_seq)
            pid = int(self.control.c.writer_pid)
            self.out.writer_pid = pid if alive(pid) else 0

    def _headers(self) -> dict[int, SegmentHeader]:
        found: dict[int, SegmentHeader] = {}
        for number, file in self.files.items():
            try:
                found[number] = read_header(file, number)
            except JournalError:
                continue
        return found

    def _look(self, file: Path, number: int, end: _End, must_be_full: bool, seal: Seal | None) -> _Look:
        """A file as the segment that continues `end`."""
        look = _Look(end)
        try:
            header = look.header = read_header(file, number, self.out.stream_id)
            read_schema(header)
            mapped = map_file(file)
        except JournalError as error:
            look.problems, look.unreachable = [str(error)], isinstance(error, SegmentUnreachable)
            return look
        if header.opened is None:
            look.problems = [f"{file}: was never opened, though the stream goes on behind frame {end.next_seq - 1}"]
            return look
        reader = ffi.new("struct lockstep_reader *")
        reader.verify, reader.next_seq, reader.last_ts, reader.last_crc = 1, end.next_seq, end.last_ts, end.last_crc
        if (broken := chain_break(header, reader)) is not None:
            look.problems = [str(JournalCorrupt(file, 512, *broken))]
            return look
        base = ffi.from_buffer(mapped)
        start_reader(reader, header, base)
        lib.lockstep_reader_survey(reader, _WHOLE, ffi.NULL, ffi.NULL, ffi.NULL)
        self._step(header.segment_bytes)
        look.end = _End(int(reader.next_seq), int(reader.last_ts), int(reader.last_crc))
        look.offset, look.full = int(reader.offset), reader.state == lib.LOCKSTEP_END
        if look.full or must_be_full:
            checked = CheckedSegment(number, file)
            check_segment(checked, self.out.stream_id, seal, Tallies(), lambda _: None)
            look.problems = list(checked.problems)
            if not look.full and not look.problems:
                look.problems = [
                    f"{file}: ends with frame {look.end.next_seq - 1}, though the stream went on in the next segment"
                ]
        elif look.end.next_seq - 1 < self.out.durable_seq:
            expected, found = describe(reader)
            lost = f"frames up to {self.out.durable_seq} were on disk"
            look.problems = [str(JournalCorrupt(file, look.offset, expected, found, lost))]
        return look

    def _damaged(
        self, number: int, look: _Look, end: _End, must_be_full: bool, following: SegmentHeader | None, broken: bool
    ) -> tuple[_Look, bool]:
        """Look for a copy; what the stream goes on with, and whether it can still be followed."""
        file = self.path / segment_name(number)
        damage = Damage(number, file.name, look.problems, look.end.next_seq - 1, look.offset)
        damage.frames_lost, damage.unreachable = not look.full, look.unreachable
        self.out.damages.append(damage)
        for folder in self.folders if not broken else []:
            copy, copied = self._copy(folder, number, look, end, must_be_full, following)
            if copied is not None:
                damage.restore_from = str(copy)
                return copied, False
            if copy is not None:
                damage.refused.append(str(copy))
        if broken or damage.frames_lost:
            if not broken:
                self.out.cut_segment, self.out.cut_offset = number, look.offset
                self.out.kept_seq = look.end.next_seq - 1
            return look, True
        return look, False

    def _copy(
        self, folder: Path, number: int, own: _Look, end: _End, must_be_full: bool, following: SegmentHeader | None
    ) -> tuple[Path | str | None, _Look | None]:
        """(file, its look) of a copy that fits; (why not, None); (None, None) where there is none."""
        file = dict(all_segment_files(folder)).get(number)
        if file is None:
            return None, None
        look = self._look(file, number, end, must_be_full, read_seal_or_none(self.path, number))
        if look.problems:
            return look.problems[0], None
        if own.header is not None and own.header.stream_id == self.out.stream_id and own.header.nonce != look.header.nonce:
            return f"{file}: is another segment {number} than ours, made anew at some time", None
        if look.end.next_seq <= own.end.next_seq and not look.full:
            return f"{file}: ends with frame {look.end.next_seq - 1}; ours is good up to {own.end.next_seq - 1}", None
        if must_be_full and following is not None and following.opened is not None:
            opened = following.opened
            if (opened.first_seq, opened.prev_last_ts, opened.prev_last_crc) != (
                look.end.next_seq, look.end.last_ts, look.end.last_crc,
            ):  # fmt: skip
                return f"{file}: {following.path.name} does not continue it", None
        return file, look

    def _look_at_seal(self, number: int) -> None:
        try:
            read_seal(self.path, number, self.out.stream_id)
        except JournalError as error:
            damage = SealDamage(number, seal_name(number), str(error))
        else:
            return
        self.out.seals.append(damage)
        for folder in self.folders:
            try:
                seal = read_seal(folder, number, self.out.stream_id)
                if seal is None:
                    continue
                self._seal_fits(seal, folder)
            except JournalError as error:
                damage.refused.append(str(error))
            else:
                damage.restore_from = str(folder / damage.file)
                return

    def _seal_fits(self, seal: Seal, folder: Path) -> None:
        """JournalError where a copy of a seal is not the one of our segment, between our other seals."""
        before = read_seal_or_none(self.path, seal.number - 1)
        if seal.number == 1 or before is not None:
            check_link(folder, seal, before)
        after = read_seal_or_none(self.path, seal.number + 1)
        if after is not None:
            check_link(self.path, after, seal)
        segment = self.path / segment_name(seal.number)
        copy = next((d.restore_from for d in self.out.damages if d.number == seal.number and d.restore_from), "")
        mapped = map_file(Path(copy) if copy else segment)
        if BlockHash(mapped).digest(len(mapped)) != seal.digest:
            raise JournalError(f"{folder / seal_name(seal.number)}: is not the seal of {segment} as it stands there")

    def _finish(self, end: _End, broken: bool, reached: tuple[int, int]) -> None:
        out = self.out
        first = next((d for d in out.damages if d.frames_lost), None)
        out.last_seq = first.good_seq if first is not None else end.next_seq - 1
        if any(d.unreachable and not d.restore_from for d in out.damages):
            out.cut_segment = out.cut_offset = 0
            return
        if broken:
            out.cut_files = [segment_name(n) for n in sorted(self.files) if n > out.cut_segment]
            if out.cut_offset == 0:
                out.cut_files.insert(0, segment_name(out.cut_segment))
            return
        out.kept_seq = end.next_seq - 1
        if out.kept_seq < out.durable_seq and not out.damages:
            # The last segments are gone without a trace but the watermark.
            out.cut_segment, out.cut_offset = reached
            problem = f"{self.path}: ends with frame {out.kept_seq}, but frames up to {out.durable_seq} were on disk"
            out.damages.append(Damage(reached[0], segment_name(reached[0]), [problem], out.kept_seq, reached[1]))

    def _step(self, size: int) -> None:
        self.done += size
        if self.progress is not None:
            self.progress(self.done, max(self.done, sum(f.stat().st_size for f in self.files.values() if f.exists())))


def read_seal_or_none(folder: Path, number: int) -> Seal | None:
    """A seal that cannot be read vouches for nothing."""
    try:
        return read_seal(folder, number)
    except JournalError:
        return None
