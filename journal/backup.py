"""A copy of a journal that is being written, in an order that makes it whole, checked before it replaces a former copy.

The control page first, then the segments from the newest to the oldest: what the page says was on disk is below what the
segments hold, and a segment is full by the time its follower has been copied. So the copy looks like a journal after a crash,
and recovery opens it to a prefix. A plain copy in another order (cp, rsync) has the same frames, but its files are of different
moments: `from_copy` keeps the part of it that is whole.

What is copied is put together in a folder inside the target, with links to what a former backup left; there it is recovered,
verified, and compared with the former backup. Only then do its files take their places: a source that is damaged, or that has
another history, leaves the backup as it was.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from journal.archive import SUFFIX, is_archive, leads_nowhere, unreachable
from journal.chain import ChainWalker
from journal.digest import BlockHash
from journal.errors import JournalCorrupt, JournalError, JournalMissing, os_failure
from journal.kernel._journal import ffi, lib
from journal.quarantine import NOTE, QUARANTINE
from journal.recovery import start_reader
from journal.repair_plan import read_seal_or_none
from journal.seal import Seal, seal_name, sealed_numbers
from journal.segment import CONTROL, ControlPage, all_segment_files, map_file, read_header, segment_name, sync_folder
from journal.verify import Survey, survey
from journal.writer import JournalWriter

_CHUNK = 8 << 20
_WHOLE = 2**64 - 1
STAGE = "backup.new"
"""Where in the target a backup is put together."""


class Backup(msgspec.Struct, frozen=True):
    """What a backup holds."""

    path: str
    copied: int
    bytes: int
    skipped: int
    last_seq: int
    survey: Survey


def backup(
    source: Path, target: Path, progress: Callable[[int, int], None] | None = None, *, from_copy: bool = False
) -> Backup:
    """Copy `source`, live or not, to `target`, recover the copy, verify it. What a former backup of the same journal left there
    and cannot have changed (sealed segments and their seals) is not copied again; it stays as it was when this one fails.
    `from_copy`: `source` is a plain copy of a live journal; what of it is whole is kept."""
    if not (source / CONTROL).exists() or not all_segment_files(source):
        raise JournalMissing(f"{source}: no journal here: no control page, or no segment")
    if target.resolve() == source.resolve() or source.resolve() in target.resolve().parents:
        raise JournalError(f"{target}: lies in the journal itself; choose another folder")
    first = not target.exists()
    try:
        _same_stream(source, target)
        (target / STAGE).mkdir(parents=True, exist_ok=True)
        return _Backup(source, target, progress).run(from_copy)
    except Exception as error:
        # What was only interrupted is gone on with; what failed is no good to anybody.
        shutil.rmtree(target / STAGE, ignore_errors=True)
        if first:
            with contextlib.suppress(OSError):
                target.rmdir()
        if isinstance(error, OSError):
            raise os_failure(target, error.errno or 0, "copying the journal") from None
        raise


class _Backup:
    """The run of one backup."""

    def __init__(self, source: Path, target: Path, progress: Callable[[int, int], None] | None) -> None:
        self.source, self.target, self.stage = source, target, target / STAGE
        self._progress = progress
        self._copied = self._skipped = self._done = 0

    def run(self, from_copy: bool) -> Backup:
        self._copy_all()
        page = ControlPage(self.stage / CONTROL, writable=True)
        page.c.writer_pid = 0
        if from_copy:
            _keep_what_is_whole(self.stage, page)
        page.flush()
        sync_folder(self.stage)
        try:
            # Recovery, as after a crash: a tail that was caught in the midst of being written goes to the copy's quarantine.
            JournalWriter.open(self.stage).close()
        except JournalError as error:
            error.args = (self._refusal(str(error)),)
            raise
        self._compare_with_the_former()
        found = survey(self.stage)
        if found.problems:
            raise JournalError(self._refusal(found.problems[0]))
        self._take()
        found.path = str(self.target)
        return Backup(str(self.target), self._copied, self._done, self._skipped, found.last_seq, found)

    def _refusal(self, text: str) -> str:
        """What is wrong in the stage is wrong in the source, or in what the former backup left."""

        def owner(found: re.Match[str]) -> str:
            return str((self.target if (self.stage / found[1]).is_symlink() else self.source) / found[1])

        text = re.sub(re.escape(str(self.stage)) + r"/(\d{8}\.[a-z.]+)", owner, text)
        text = text.replace(str(self.stage), str(self.source))
        return f"{text}; {self.target} stays as it was" if (self.target / CONTROL).exists() else text

    # ---- copying

    def _copy_all(self) -> None:
        ours, theirs = _seals(self.source), _seals(self.target)
        whole = self._left_by_an_interrupted_one(ours)
        _copy(self.source / CONTROL, self.stage / CONTROL)
        # Seals before segments: a segment whose seal is there is full, and stays as it is.
        for number in sorted({*sealed_numbers(self.source), *theirs}):
            name = seal_name(number)
            if number in theirs and ours.get(number) in (None, theirs[number]):
                self._link(name)
            else:
                _copy(self.source / name, self.stage / name)
        files = all_segment_files(self.source)
        there = dict(all_segment_files(self.target))
        total = sum(_size(path) for _, path in files)
        for number, path in reversed(files):
            size = _size(path)
            # Of a former backup only what was sealed there is known to be full.
            if number in theirs and number in there and _is_same(path, ours.get(number), there[number], theirs[number]):
                self._link(there[number].name)
                self._skipped += 1
            elif number in whole:
                self._copied += 1
            else:
                size = self._copy_segment(path, is_last=number == files[-1][0])
            self._done += size
            if self._progress is not None:
                self._progress(self._done, total)

    def _left_by_an_interrupted_one(self, seals: dict[int, Seal]) -> set[int]:
        """Segments that need not be copied again; everything else that lies in the stage goes."""
        whole = {}
        for number, path in all_segment_files(self.stage):
            if number in seals and not path.is_symlink() and _has_digest(path, seals[number]):
                whole[path.name] = number
        for path in self.stage.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in whole:
                path.unlink()
        return set(whole.values())

    def _copy_segment(self, path: Path, *, is_last: bool) -> int:
        if leads_nowhere(path):
            raise unreachable(path)
        try:
            _copy(path, self.stage / path.name)
        except FileNotFoundError:
            # A segment that was prepared and never used may go when its writer ends; an archived one has another name now.
            path = path.with_name(path.name + SUFFIX)
            if path.exists():
                _copy(path, self.stage / path.name)
            elif is_last:
                return 0
            else:
                raise
        self._copied += 1
        return _size(path)

    def _link(self, name: str) -> None:
        (self.stage / name).unlink(missing_ok=True)
        (self.stage / name).symlink_to((self.target / name).resolve())

    # ---- from the stage to the target

    def _compare_with_the_former(self) -> None:
        """A journal only grows: what the former backup holds must stand in this one, byte for byte."""
        staged = dict(all_segment_files(self.stage))
        for number, path in all_segment_files(self.target):
            now = staged.get(number)
            if now is not None and now.is_symlink():
                continue
            try:
                header = read_header(path, number)
                if header.opened is None:
                    continue
                old = map_file(path)
            except JournalError:
                if now is None:
                    raise
                continue  # damaged there; the new copy mends it
            reader = ffi.new("struct lockstep_reader *")
            reader.verify = 1
            start_reader(reader, header, ffi.from_buffer(old))
            lib.lockstep_reader_survey(reader, _WHOLE, ffi.NULL, ffi.NULL, ffi.NULL)
            end = int(reader.offset)
            if end > header.frames_at and (now is None or not _begins_alike(map_file(now), old, end)):
                raise JournalError(
                    f"{self.target}: holds frames that {self.source} does not have ({path.name}, up to frame"
                    f" {int(reader.next_seq) - 1}); choose another folder"
                )

    def _take(self) -> None:
        """Put the new files in their places, the oldest first: when that is interrupted, what stands there is again a journal
        after a crash, and the next backup brings it up to date."""
        if not (self.target / CONTROL).exists():
            # By this the next one knows that it is a backup.
            os.replace(self.stage / CONTROL, self.target / CONTROL)
        for number, path in all_segment_files(self.stage):
            if path.is_symlink():
                continue
            os.replace(path, self.target / path.name)
            other = segment_name(number) + ("" if is_archive(path) else SUFFIX)
            (self.target / other).unlink(missing_ok=True)
        for number in sealed_numbers(self.target):
            if read_seal_or_none(self.target, number) is None:
                (self.target / seal_name(number)).unlink()
        for number in sealed_numbers(self.stage):
            if not (self.stage / seal_name(number)).is_symlink():
                os.replace(self.stage / seal_name(number), self.target / seal_name(number))
        if (self.stage / QUARANTINE).is_dir():
            (self.target / QUARANTINE).mkdir(exist_ok=True)
            for path in (self.stage / QUARANTINE).iterdir():
                os.replace(path, _free(self.target / QUARANTINE / path.name, path.read_bytes()))
            sync_folder(self.target / QUARANTINE)
        for name in (NOTE, CONTROL):
            if (self.stage / name).exists():
                os.replace(self.stage / name, self.target / name)
        sync_folder(self.target)
        shutil.rmtree(self.stage)


def _keep_what_is_whole(target: Path, page: ControlPage) -> None:
    """Follow the stream from its beginning; what lies behind its first gap is of another moment, and goes (from the copy)."""
    walker = ChainWalker(target, None)
    try:
        while walker.advance() is not None:
            pass
    except JournalCorrupt:
        # Either of this segment, at a place that the writer had not come to, or of the next one's link.
        pass
    last = max(walker.number, 1)
    for number, path in all_segment_files(target):
        if number > last:
            path.unlink()
    for number in sealed_numbers(target):
        if number > last or (number == last and walker.before is not None and walker.before.number < last):
            (target / seal_name(number)).unlink()
    page.c.segment = walker.number
    page.c.durable_seq = min(page.c.durable_seq, walker.last_seq)
    page.c.written_seq = min(page.c.written_seq, walker.last_seq)


def _same_stream(source: Path, target: Path) -> None:
    if (target / CONTROL).exists():
        ours, theirs = ControlPage(source / CONTROL).stream_id, ControlPage(target / CONTROL).stream_id
        if ours != theirs:
            raise JournalError(f"{target}: holds stream {theirs:#018x}; {source} is {ours:#018x}; choose an empty folder")
    elif target.exists() and any(path.name != STAGE for path in target.iterdir()):
        raise JournalError(f"{target}: is not empty, and no backup of a journal; choose an empty folder")


def _seals(folder: Path) -> dict[int, Seal]:
    """Those that can be read."""
    found = {number: read_seal_or_none(folder, number) for number in sealed_numbers(folder)}
    return {number: seal for number, seal in found.items() if seal is not None}


def _is_same(path: Path, seal: Seal | None, there: Path, seal_there: Seal) -> bool:
    """Whether a sealed segment of a former backup is the source's, by the seals, or by its bytes where the source has none."""
    if not is_archive(there) and _size(there) != seal_there.segment_bytes:
        return False
    return seal.chain == seal_there.chain if seal is not None else _has_digest(path, seal_there)


def _has_digest(path: Path, seal: Seal) -> bool:
    try:
        mapped = map_file(path)
    except JournalError:
        return False
    return BlockHash(mapped).digest(len(mapped)) == seal.digest


def _begins_alike(one: Any, other: Any, size: int) -> bool:
    return all(one[at : min(at + _CHUNK, size)] == other[at : min(at + _CHUNK, size)] for at in range(0, size, _CHUNK))


def _size(path: Path) -> int:
    """0: it has gone elsewhere since it was listed, or its link leads nowhere."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _free(path: Path, data: bytes) -> Path:
    """This name, or the next one under which there are no other bytes."""
    for attempt in itertools.count():
        free = path.with_name(path.name + (f".{attempt}" if attempt else ""))
        if not free.exists() or free.read_bytes() == data:
            return free
    raise AssertionError("unreachable")


def _copy(source: Path, target: Path) -> None:
    """Copy one file's bytes and put them on disk; whole under its name or not there."""
    temporary = target.with_name(target.name + ".tmp")
    with source.open("rb") as file, temporary.open("wb") as out:
        shutil.copyfileobj(file, out, _CHUNK)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, target)
