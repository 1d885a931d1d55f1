"""`lockstep regress DIR --against REV`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from journal.errors import OperatingError
from journal.frames import last_seq
from replay.bisect import Side
from replay.builds import THIS, Build, build_of
from replay.regress import Day, compare_day, days_of


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "regress",
        help="replay recorded days with two builds: which decisions differ",
        description="Runs every recorded day in DIR with this code and with another build (a git revision of the repository "
        "you stand in, or a checkout of lockstep), and reports per day and app where they first say something else, and how "
        "much differs. Exit code 0: they behave alike on all days. 1: they do not. 2: a day could not be compared.",
        epilog="examples:\n  lockstep regress days --against HEAD        (what has been changed and not committed)\n"
        "  lockstep regress days --against v1.4 --app my_idea --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="folder of journals, or one journal")
    command.add_argument("--against", required=True, metavar="REV", help="the other build: a git revision, or a checkout")
    command.add_argument("--app", action="append", metavar="NAME", help="only this app (may be repeated)")
    command.add_argument("--json", action="store_true", help="print the days as JSON")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep regress DIR --against REV`"""
    console = Console(stderr=True)
    journals = days_of(arguments.folder)
    build = build_of(arguments.against)
    days: list[Day] = []
    for number, journal in enumerate(journals, 1):
        day = compared(journal, arguments.app or [], build, console, f"{number}/{len(journals)} {journal.name}")
        days.append(day)
        if not arguments.json:
            print_day(day)
    different = [d for d in days if not d.same]
    if arguments.json:
        print(msgspec.json.encode({"against": build.what, "same": not different, "days": days}).decode())
    else:
        print(f"{len(days)} days against {build.what}: {len(days) - len(different)} alike, {len(different)} not")
    return 2 if any(d.trouble for d in days) else 1 if different else 0


def compared(journal: Path, names: list[str], build: Build, console: Console, title: str) -> Day:
    """One day under this code and under another build, with a progress bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with (
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
            Side(journal, names, build=THIS) as one,
            Side(journal, names, build=build) as other,
        ):
            task = bar.add_task(title, total=last_seq(journal))
            return compare_day(one, other, journal, lambda seq: bar.update(task, completed=seq))
    except OperatingError as error:
        return Day(str(journal), trouble=str(error))


def print_day(day: Day) -> None:
    """One day in a few lines."""
    if day.trouble:
        print(f"{day.journal}: not compared: {day.trouble}")
        return
    print(f"{day.journal}: {'alike' if day.same else 'DIFFERS'}, {day.frames:,} frames, {day.decisions:,} decisions")
    if day.raised:
        print(f"  raised: {day.raised}")
    for app in day.apps:
        if not app.first_seq:
            print(f"  {app.app}: its state differs, first seen in the digest after seq {app.state_seq}; the same decisions")
            continue
        counts = f"{app.changed:,} changed, {app.here_only:,} here alone, {app.there_only:,} there alone"
        print(f"  {app.app}: first at seq {app.first_seq}; to the end of the day {counts}")
        for which, said in (("here ", app.here), ("there", app.there)):
            for line in said or ["nothing"]:
                print(f"    {which}  {line}")
        print(f"  look: lockstep debug {day.journal} --at {app.first_seq} --app {app.app}")
