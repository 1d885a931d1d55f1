"""`lockstep replay` and `lockstep debug`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from journal.frames import frames
from journal.messages import SessionStart
from lockstep.progress import verify_with_progress
from replay.console import debug
from sequencer.session import build_digest


def add_parser(subparsers: Any) -> None:
    """Register both commands."""
    replay = subparsers.add_parser(
        "replay",
        help="run a session's apps over its journal again and compare every decision",
        description="Runs the apps of a recorded session over its journal and compares every decision with the record. "
        "Exit code 0: identical. 1: it differs; the first difference is printed.",
    )
    replay.add_argument("path", type=Path, metavar="PATH", help="journal folder")
    replay.add_argument("--verify", action="store_true", help="compare every decision (always done; named for clarity)")
    replay.add_argument("--app", action="append", metavar="NAME", help="only this app (may be repeated)")
    replay.add_argument("--json", action="store_true", help="print the verdict as JSON")
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
    console = Console(stderr=True)
    verdict = verify_with_progress(arguments.path, arguments.app, console)
    if arguments.json:
        print(msgspec.json.encode(verdict).decode())
    else:
        print(verdict.line)
        for app, compared in verdict.apps.items():
            print(f"  {app:<16} {compared:>10,} decisions")
        if verdict.pending:
            print(f"  {verdict.pending} said by apps after their last frames here: they had stopped, or the journal ends")
        if not verdict.identical:
            print(verdict.difference)
            recorded = _build_of(arguments.path, verdict.difference_seq)
            here = build_digest().hex()
            if recorded and recorded != here:
                print(f"recorded by build {recorded[:16]}, replayed by build {here[:16]}: lockstep's own code differs too")
            at, app = verdict.difference_cause or verdict.difference_seq, verdict.difference_app
            print(f"look: lockstep debug {arguments.path} --at {at} --app {app}")
    return 0 if verdict.identical else 1


def _build_of(path: Path, seq: int) -> str:
    """The build that ran at `seq`, as its session said; "" where none did (a backtest)."""
    build = bytes(32)
    for frame in frames(path, to_seq=seq, kinds=[SessionStart.KIND]):
        assert isinstance(frame.message, SessionStart)
        build = frame.message.build_digest
    return build.hex() if any(build) else ""


def run_debug(arguments: argparse.Namespace) -> int:
    """`lockstep debug PATH --at PLACE`"""
    return debug(arguments.path, arguments.at, arguments.app, listen=arguments.listen)
