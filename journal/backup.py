"""A copy of a journal that is being written, in an order that makes it whole, and checked afterwards.

The control page first, then the segments from the newest to the oldest: what the page says was on disk is below what the
segments hold, and a segment is full by the time its follower has been copied. So the copy looks like a journal after a crash,
and recovery opens it to a prefix. A plain copy in another order (cp, rsync) has the same frames, but its files are of different
moments: `from_copy` keeps the part of it that is whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from journal.archive import SUFFIX
from journal.chain import ChainWalker
from journal.errors import JournalCorrupt, JournalError, JournalMissing, os_failure
from journal.seal import seal_name, sealed_numbers
from journal.segment import CONTROL, ControlPage, all_segment_files, sync_folder
from journal.verify import Survey, survey
from journal.writer import JournalWriter

_CHUNK = 8 << 20


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
    and cannot have changed (sealed segments and their seals) is not copied again. `from_copy`: `source` is a plain copy of a
    live journal; what of it is whole is kept."""
    if not (source / CONTROL).exists() or not all_segment_files(source):
        raise JournalMissing(f"{source}: no journal here: no control page, or no segment")
    if target.resolve() == source.resolve() or source.resolve() in target.resolve().parents:
        raise JournalError(f"{target}: lies in the journal itself; choose another folder")
    try:
        _same_stream(source, target)
        target.mkdir(parents=True, exist_ok=True)
        copied, skipped, size = _copy_all(source, target, progress)
        page = ControlPage(target / CONTROL, writable=True)
        page.c.writer_pid = 0
        if from_copy:
            _keep_what_is_whole(target, page)
        page.flush()
        sync_folder(target)
    except OSError as error:
        raise os_failure(target, error.errno or 0, "copying the journal") from None
    # Recovery, as after a crash: a tail that was caught in the midst of being written goes to the copy's quarantine.
    JournalWriter.open(target).close()
    found = survey(target)
    if found.problems:
        raise JournalError(f"{target}: the copy does not verify: {found.problems[0]}")
    return Backup(str(target), copied, size, skipped, found.last_seq, found)


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
    elif target.exists() and any(target.iterdir()):
        raise JournalError(f"{target}: is not empty, and no backup of a journal; choose an empty folder")


def _copy_all(source: Path, target: Path, progress: Callable[[int, int], None] | None) -> tuple[int, int, int]:
    # Of a former backup only what was sealed there is known to be full.
    known = set(sealed_numbers(target))
    _copy(source / CONTROL, target / CONTROL)
    # Seals before segments: a segment whose seal is there is full, and stays as it is.
    for number in sealed_numbers(source):
        if not (target / seal_name(number)).exists():
            _copy(source / seal_name(number), target / seal_name(number))
    files = all_segment_files(source)
    copied = skipped = done = 0
    total = sum(path.stat().st_size for _, path in files)
    for number, path in reversed(files):
        try:
            size = path.stat().st_size
            there = target / path.name
            if number in known and there.exists() and there.stat().st_size == size:
                skipped += 1
            else:
                _copy(path, there)
                copied += 1
        except FileNotFoundError:
            # A segment that was prepared and never used may go when its writer ends; an archived one has another name now.
            moved = path.with_name(path.name + SUFFIX)
            if moved.exists():
                _copy(moved, target / moved.name)
                copied, size = copied + 1, moved.stat().st_size
            elif number != files[-1][0]:
                raise
        done += size
        if progress is not None:
            progress(done, total)
    return copied, skipped, done


def _copy(source: Path, target: Path) -> None:
    """Copy one file's bytes and put them on disk; whole under its name or not there."""
    temporary = target.with_name(target.name + ".tmp")
    with source.open("rb") as file, temporary.open("wb") as out:
        shutil.copyfileobj(file, out, _CHUNK)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, target)
