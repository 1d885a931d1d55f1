"""`lockstep shadow CONFIG`: this build beside a system that runs, comparing."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.status import Status

from lockstep.commands.replaying import EXIT_CODES, print_verdict, warn_of_skew
from lockstep.config import Config, ConfigError, load
from replay.player import apps_of
from replay.shadow import Progress, follow, specs_for


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "shadow",
        help="follow the journal of a running system with this build and compare every decision",
        description="Runs the apps of a running system in this build, from the journal's first frame and on at its tail. What "
        "they say is kept back and compared with what the system says; nothing is written, nobody waits. Parameters are those "
        "of the journal, classes those of CONFIG: a new strategy file is named there. Ends at the first difference, which is "
        "printed as `lockstep replay` does, on SIGTERM or Ctrl-C, or after --seconds. Exit code 0: identical so far. "
        "1: a decision differs. 3: a state differs. 4: an app raised. 2: it could not be run.",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (TOML) of the new build")
    parser.add_argument("--journal", metavar="DIR", help="journal folder instead of the configuration's")
    parser.add_argument("--app", action="append", metavar="NAME", help="only this app (may be repeated)")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after so long (default: never)")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep shadow CONFIG`"""
    config = load(arguments.config, journal=arguments.journal)
    specs = specs_for(config.journal, arguments.app, lambda name: _class_of(config, name))
    if not specs:
        raise ConfigError(f"{config.journal}: no apps here to compare with; expected the journal of a system that runs")
    warn_of_skew(config.journal, specs)
    end = time.monotonic() + arguments.seconds if arguments.seconds is not None else None
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: asked.append(n))
    console = Console(stderr=True)
    with console.status("reading", spinner="line") if console.is_terminal else _Nothing() as status:
        verdict = follow(
            config.journal, specs, lambda: bool(asked) or (end is not None and time.monotonic() >= end), _Told(status)
        )
    if arguments.json:
        print(msgspec.json.encode(verdict).decode())
    else:
        of_journal = {spec.name: spec.class_path for spec in apps_of(config.journal, arguments.app)}
        ran = {spec.name: spec.class_path for spec in specs if spec.class_path != of_journal[spec.name]}
        print_verdict(config.journal, verdict, ran)
    return EXIT_CODES[verdict.finding]


def _class_of(config: Config, name: str) -> str | None:
    return config.class_of(name) if name in config.apps or name in config.system.strategy else None


class _Nothing:
    """In the place of a status line where there is no terminal."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None: ...


class _Told:
    """Says once that the tail is reached, and on a terminal how far it is."""

    def __init__(self, status: Status | None) -> None:
        self._status = status
        self._reached = False

    def __call__(self, at: Progress) -> None:
        if self._status is not None:
            behind = at.written_seq - at.seq
            self._status.update(f"seq {at.seq:,}, {behind:,} behind, {at.decisions:,} decisions identical")
        if at.caught_up and not self._reached:
            self._reached = True
            print(f"at the tail: seq {at.seq}, {at.decisions} decisions identical", file=sys.stderr, flush=True)
