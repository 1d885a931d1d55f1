"""Making the indices of a whole journal ahead of the first question."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from journal.clock import SystemClock
from journal.index.layout import FOLDER, index_path
from journal.index.store import build, discard, is_full, load
from journal.segment import map_file, read_header, refuse_no_journal, segment_files

_LEFTOVER_NS = 600 * 10**9


class IndexReport(msgspec.Struct):
    """What was found and made."""

    path: str
    full_segments: int = 0
    """Segments that can have an index; the one being written cannot."""
    made: int = 0
    removed: int = 0
    """Index files that did not fit their segment, and halves that somebody who was killed left behind."""
    frames: int = 0
    """In the segments that an index was made of."""
    index_bytes: int = 0
    damaged: list[str] = []
    """Segments that cannot be indexed."""


def make_indices(
    path: Path | str,
    *,
    from_number: int = 1,
    rebuild: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> IndexReport:
    """Index every full segment from this number on that has no index that fits; with `rebuild` every one."""
    folder = Path(path)
    refuse_no_journal(folder)
    files = segment_files(folder)
    report = IndexReport(str(folder))
    report.removed = _remove_leftovers(folder)
    total = sum(file.lstat().st_size for _, file in files)
    done = 0
    for number, file in files:
        header = read_header(file, number) if number >= from_number else None
        if header is not None and is_full(header):
            report.full_segments += 1
            mapped = map_file(file)
            there = index_path(header).exists()
            if rebuild:
                discard(header)
            index = load(header, mapped)
            if index is None:
                report.removed += there and not rebuild
                index = build(header, mapped)
                report.made += index is not None
                report.frames += index.ends.last_seq - index.ends.first_seq + 1 if index is not None else 0
            if index is None:
                report.damaged.append(file.name)
            elif index_path(header).exists():
                report.index_bytes += index_path(header).stat().st_size
        done += file.lstat().st_size
        if progress is not None:
            progress(done, total)
    return report


def _remove_leftovers(folder: Path) -> int:
    """Temporary files of processes that were killed while they wrote one; nobody takes ten minutes for it."""
    removed = 0
    for leftover in (folder / FOLDER).glob("*.tmp"):
        with contextlib.suppress(OSError):
            if SystemClock().now_ns() - leftover.stat().st_mtime_ns > _LEFTOVER_NS:
                leftover.unlink()
                removed += 1
    return removed
