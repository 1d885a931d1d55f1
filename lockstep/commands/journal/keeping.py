"""`lockstep journal archive|retention|backup`: keep a journal for years in little space, and in more than one place."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from journal import backup as backups
from journal.archive import is_archive
from journal.archiving import Archived, archive_segment, candidates, restore_segment
from journal.clock import SystemClock
from journal.errors import JournalError
from journal.retention import Step, execute, journals_in, plan
from journal.segment import all_segment_files, refuse_no_journal
from lockstep.commands.journal.options import action, with_progress
from lockstep.units import WrongUnit, duration_ns


def add_actions(actions: Any) -> None:
    """Register them."""
    archive = action(actions, "archive", run_archive, "pack sealed segments; readers do not see the difference", "one object")
    archive.add_argument("--restore", action="store_true", help="unpack archived segments instead")
    retention = action(
        actions,
        "retention",
        run_retention,
        "show what would be packed or moved, segment by segment; --execute does it",
        "the plan",
    )
    retention.add_argument(
        "--archive-after",
        type=_duration,
        default=_duration("1d"),
        metavar="TIME",
        help="pack sealed segments older than this (1d)",
    )
    retention.add_argument("--keep", type=_duration, metavar="TIME", help="move archives older than this to --cold")
    retention.add_argument("--cold", type=Path, metavar="FOLDER", help="where archives go; a link stays in the journal")
    mode = retention.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="only show the plan (this is what happens anyway)")
    mode.add_argument("--execute", action="store_true", help="carry the plan out")
    backup = action(actions, "backup", run_backup, "copy a journal, live or not, and verify the copy", "one object")
    backup.add_argument(
        "target", metavar="TARGET", type=Path, help="folder of the copy; a former backup there is brought up to date"
    )
    backup.add_argument(
        "--from-copy", action="store_true", help="PATH is a plain copy (cp, rsync) of a live journal: keep what of it is whole"
    )


def _duration(text: str) -> int:
    try:
        return duration_ns(text)
    except WrongUnit as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run_archive(arguments: argparse.Namespace) -> int:
    """`lockstep journal archive`"""
    folder: Path = arguments.path
    refuse_no_journal(folder)
    if arguments.restore:
        packed = [number for number, path in all_segment_files(folder) if is_archive(path)]
        files = with_progress("unpacking", lambda progress: [_restore(folder, n, packed, progress) for n in packed])
        print(json.dumps({"restored": files}) if arguments.json else f"{folder}: {len(files)} segments unpacked")
        return 0
    numbers = [number for number, _, _ in candidates(folder)]
    done = with_progress("packing", lambda progress: [_archive(folder, n, numbers, progress) for n in numbers])
    if arguments.json:
        print(json.dumps({"archived": msgspec.to_builtins(done)}))
        return 0
    for one in done:
        print(f"{one.file}  {one.bytes:,} bytes in {one.packed_bytes:,}  ({one.bytes / one.packed_bytes:.1f}:1)")
    if not done:
        print(f"{folder}: nothing to pack; only sealed segments are: lockstep journal seal {folder}")
    return 0


def _archive(folder: Path, number: int, numbers: list[int], progress: Any) -> Archived:
    done = archive_segment(folder, number)
    progress(numbers.index(number) + 1, len(numbers))
    return done


def _restore(folder: Path, number: int, numbers: list[int], progress: Any) -> str:
    name = restore_segment(folder, number).name
    progress(numbers.index(number) + 1, len(numbers))
    return name


def run_retention(arguments: argparse.Namespace) -> int:
    """`lockstep journal retention`"""
    if (arguments.keep is None) != (arguments.cold is None):
        raise JournalError("--keep and --cold go together: how long an archive stays here, and where it goes then")
    now = SystemClock().now_ns()
    journals = journals_in(arguments.path)
    if not journals:
        raise JournalError(f"{arguments.path}: no journal here, and none in its folders")
    steps = [s for j in journals for s in plan(j, now, arguments.archive_after, arguments.keep, arguments.cold)]
    if not arguments.execute:
        if arguments.json:
            print(json.dumps({"steps": msgspec.to_builtins(steps)}))
        else:
            _print_plan(steps)
        return 0
    count = iter(range(1, len(steps) + 1))
    done = with_progress(
        "keeping", lambda progress: list(execute(steps, arguments.cold, lambda _: progress(next(count), len(steps))))
    )
    if arguments.json:
        print(json.dumps({"done": msgspec.to_builtins(done)}))
    else:
        for step in done:
            print(f"{step.action}: {Path(step.journal) / step.file}")
        print(f"{len(done)} of {len(steps)} segments changed")
    return 0


def _print_plan(steps: list[Step]) -> None:
    table = Table("journal", "segment", "on disk", "action", "why")
    for step in steps:
        table.add_row(Path(step.journal).name, step.file, f"{step.bytes / 2**20:,.1f} MiB", step.action, step.why)
    Console().print(table)
    changing = [s for s in steps if s.action != "keep"]
    print(f"{len(changing)} of {len(steps)} segments would change; --execute does it")


def run_backup(arguments: argparse.Namespace) -> int:
    """`lockstep journal backup`"""
    done = with_progress(
        "copying",
        lambda progress: backups.backup(arguments.path, arguments.target, progress, from_copy=arguments.from_copy),
    )
    if arguments.json:
        print(json.dumps({f: getattr(done, f) for f in ("path", "copied", "skipped", "bytes", "last_seq")}))
    else:
        print(f"{done.path}: frames 1-{done.last_seq}, verified ({done.copied} segments copied, {done.skipped} were there)")
    return 0
