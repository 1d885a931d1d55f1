"""`lockstep replay` and `lockstep debug`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from apps.discovery import AppSpec
from journal.frames import frames
from journal.text import Names, frame_text
from lockstep.commands.regress import compared, print_day
from lockstep.progress import verify_with_progress
from replay.bisect import Parted, Side, bisect
from replay.builds import Build, build_of
from replay.causes import chain
from replay.console import debug
from replay.finding import NoSuchPlace, find_seq
from replay.player import Compared, Finding, Verdict, apps_of
from replay.skew import skews

EXIT_CODES = {Finding.IDENTICAL: 0, Finding.DECISION: 1, Finding.DIGEST: 3, Finding.RAISED: 4}


class Bisected(msgspec.Struct):
    """What --bisect found."""

    against: str
    right_at: int = 0
    wrong_at: int = 0
    """Against the record the first bad frame is behind the one and not behind the other; 0: no state is wrong there."""
    parted: Parted | None = None
    """Where the two runs part; None: they never do."""


def add_parser(subparsers: Any) -> None:
    """Register both commands."""
    replay = subparsers.add_parser(
        "replay",
        help="run a session's apps over its journal again and compare every decision",
        description="Runs the apps of a recorded session over its journal and compares every decision and every state digest "
        "with the record. The first difference is printed. Exit code 0: identical. 1: a decision differs. 3: a state differs, "
        "and has led to no other decision yet. 4: an app raised. 2: it could not be run.",
    )
    replay.add_argument("path", type=Path, metavar="PATH", help="journal folder")
    replay.add_argument("--verify", action="store_true", help="compare every decision (always done; named for clarity)")
    replay.add_argument("--app", action="append", metavar="NAME", help="only this app (may be repeated)")
    replay.add_argument(
        "--from", dest="begin", metavar="PLACE", help="from here: from the nearest state before it that is held"
    )
    replay.add_argument("--to", dest="end", metavar="PLACE", help="up to here (a seq, a time or an order)")
    replay.add_argument(
        "--bisect",
        action="store_true",
        help="where it differs: the first bad interval, and the first frame at which two runs part",
    )
    replay.add_argument(
        "--against",
        metavar="REV",
        help="another build too: a git revision, or a checkout of lockstep; where both say something else. With --bisect: the "
        "other run (default: this code under another hash seed)",
    )
    replay.add_argument("--json", action="store_true", help="print what was found as JSON, in one object")
    replay.set_defaults(run=run_replay)
    stop = subparsers.add_parser(
        "debug",
        help="go through a journal, forward and back, on the production code",
        description="Replays a journal on the production code and stops just before an app's handler gets the frame at PLACE, "
        "or the next one that it handles. Commands (help lists them) move by events: next, back, goto, until, back-until, "
        "continue; show what is there: state, diff, why, book, timers, list; and step goes into the handler with pdb. They may "
        "come from a pipe. Exit code 2: a command from a pipe was wrong.",
    )
    stop.add_argument("path", type=Path, metavar="PATH", help="journal folder")
    stop.add_argument("--at", required=True, metavar="PLACE", help="a seq (500), a time (10:15:00.5) or an order (9.42)")
    stop.add_argument("--app", metavar="NAME", help="only in this app")
    stop.add_argument("--listen", type=int, metavar="PORT", help="wait for an IDE (debugpy) on this port, and stop there")
    stop.set_defaults(run=run_debug)


def run_replay(arguments: argparse.Namespace) -> int:
    """`lockstep replay PATH --verify`"""
    build = build_of(arguments.against) if arguments.against is not None else None
    path, console = arguments.path, Console(stderr=True)
    begin = find_seq(path, arguments.begin) if arguments.begin else 1
    end = find_seq(path, arguments.end) if arguments.end else None
    if end is not None and end < begin:
        # Of no frames everything is true.
        raise NoSuchPlace(f"--to {arguments.end} is seq {end}, before --from {arguments.begin}, seq {begin}")
    warn_of_skew(path, apps_of(path, arguments.app))
    verdict = verify_with_progress(path, arguments.app, console, from_seq=begin, to_seq=end)
    day = compared(path, arguments.app or [], build, console, path.name) if build is not None and not arguments.bisect else None
    if not arguments.json:
        print_verdict(path, verdict)
        if build is not None and day is not None:
            print(f"against {build.what}")
            print_day(day)
    found = _bisect(path, arguments.app or [], build, verdict, end) if arguments.bisect else None
    if arguments.json:
        told = msgspec.to_builtins(verdict if day is None else {"verdict": verdict, "against": day})
        print(msgspec.json.encode(told if found is None else told | {"bisect": found}).decode())
    elif found is not None:
        print_bisected(path, verdict, found, build)
    if day is not None and not day.same:
        return 2 if day.trouble else EXIT_CODES[verdict.finding] or 1
    return EXIT_CODES[verdict.finding]


def print_verdict(path: Path, verdict: Verdict, ran: dict[str, str] | None = None) -> None:
    """For people: what was found, field by field, its causes, and where to look. `ran`: app → class, where it is another one
    than the journal's, which is what the debugger opens."""
    print(verdict.line)
    if verdict.from_seq > 1:
        print(f"  from seq {verdict.from_seq}; what came before is the state that was held of it")
    for app, decisions in verdict.apps.items():
        print(f"  {app:<16} {decisions:>10,} decisions")
    if verdict.pending:
        print(f"  {verdict.pending} said by apps after their last frames here: they had stopped, or the journal ends")
    if verdict.identical:
        return
    if verdict.fields:
        print(verdict.difference.splitlines()[0])
        for line in _table(verdict.fields):
            print(line)
    else:
        print(verdict.difference)
    at, names = verdict.difference_cause or verdict.difference_seq, Names.of(path)
    print("because of")
    for depth, frame in enumerate(chain(path, at)):
        print(f"  {'  ' * depth}{frame_text(frame, names).strip()}")
    if verdict.finding is Finding.DIGEST:
        print(f"its state was right at seq {verdict.state_was_right_at}; --bisect looks further")
    app = f" --app {verdict.difference_app}" if verdict.difference_app else ""
    print(f"look: lockstep debug {path} --at {at}{app}")
    other = (ran or {}).get(verdict.difference_app)
    if other is not None:
        (journals,) = apps_of(path, [verdict.difference_app])
        print(f"  opens the journal's code, {journals.class_path}; what differs is {other}")


def _table(fields: list[Compared]) -> list[str]:
    """Field by field; `*` where they differ. A side that said nothing is empty."""
    rows = [(" *"[f.differs], f.name, f.journal, f.app) for f in fields]
    silent = [name for name, i in (("journal", 2), ("app", 3)) if not any(row[i] for row in rows)]
    width, wide = max(len(row[1]) for row in rows), min(60, max(len(row[2]) for row in rows))
    head = f"  {'':<{width}}  {'journal':<{wide}}  app"
    note = [f"  the {name} has nothing here" for name in silent]
    return [head, *(f"{mark} {name:<{width}}  {a:<{wide}}  {b}".rstrip() for mark, name, a, b in rows), *note]


def _bisect(path: Path, names: list[str], build: Build | None, verdict: Verdict, end: int | None) -> Bisected:
    found = Bisected(build.what if build else "this code under another hash seed")
    if verdict.finding in (Finding.DECISION, Finding.DIGEST):
        found.right_at = verdict.state_was_right_at
        found.wrong_at = verdict.difference_cause or verdict.difference_seq
    with Side(path, names) as one, Side(path, names, build=build, hash_seed=1) as other:
        found.parted = bisect(one, other, path, end)
    return found


def print_bisected(path: Path, verdict: Verdict, found: Bisected, build: Build | None) -> None:
    """For people: between which frames, and at which one."""
    if found.wrong_at:
        print(
            f"against the record: {verdict.difference_app} was right at seq {found.right_at} and is not at seq "
            f"{found.wrong_at}: the first bad frame is one of {found.right_at + 1} to {found.wrong_at}"
        )
    parted = found.parted
    if parted is None:
        print(f"against {found.against}: the same states to the end")
        if build is None and not verdict.identical:
            print("this code is deterministic here, and not the one that was recorded: give its checkout with --against")
        return
    print(f"against {found.against}: the first bad frame is {parted.seq}; after it differ {', '.join(parted.apps)}")
    if parted.raised:
        print(f"  raised there: {parted.raised}")
    print(f"  {frame_text(next(frames(path, from_seq=parted.seq, to_seq=parted.seq)), Names.of(path)).strip()}")
    print(f"look: lockstep debug {path} --at {parted.seq} --app {parted.apps[0]}")


def warn_of_skew(path: Path, specs: list[AppSpec]) -> None:
    """Version skew: both identities, before anything is compared."""
    for skew in skews(path, specs):
        print(skew.line, file=sys.stderr)


def run_debug(arguments: argparse.Namespace) -> int:
    """`lockstep debug PATH --at PLACE`"""
    warn_of_skew(arguments.path, apps_of(arguments.path, [arguments.app] if arguments.app else None))
    return debug(arguments.path, arguments.at, arguments.app, listen=arguments.listen)
