"""`lockstep journal index`: make the indices that make seeks and filters fast, before somebody waits for them."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from typing import Any

import msgspec

from journal.index.make import IndexReport, make_indices
from journal.reader import JournalReader
from journal.segment import CONTROL, ControlPage
from lockstep.commands.journal.options import action, with_progress

# Segments last seconds to hours, and nobody waits for their index.
_FOLLOW_INTERVAL_S = 1.0


def add_actions(actions: Any) -> None:
    """Register it."""
    parser = action(actions, "index", run_index, "make the indices of full segments", "print what was made as one JSON object")
    parser.add_argument("--rebuild", action="store_true", help="make all of them again, also those that are right")
    parser.add_argument(
        "--follow", action="store_true", help="stay, and index each segment when it is full; takes only idle processor time"
    )


def run_index(arguments: argparse.Namespace) -> int:
    """`lockstep journal index`"""
    path = arguments.path
    _step_back(idle=arguments.follow)
    report = with_progress("indexing", lambda bar: make_indices(path, rebuild=arguments.rebuild, progress=bar))
    _print(report, arguments.json)
    if arguments.follow:
        _follow(arguments)
    return 1 if report.damaged else 0


def _follow(arguments: argparse.Namespace) -> None:
    with JournalReader(arguments.path):
        control = ControlPage(arguments.path / CONTROL)
    segment = int(control.c.segment)
    while True:
        time.sleep(_FOLLOW_INTERVAL_S)
        if int(control.c.segment) > segment:
            _print(make_indices(arguments.path, from_number=segment), arguments.json)
            segment = int(control.c.segment)


def _step_back(*, idle: bool) -> None:
    """Others come first; where somebody waits for the end of it, it gets a little of a busy machine too."""
    os.nice(19)
    if not idle:
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _print(report: IndexReport, as_json: bool) -> None:
    if as_json:
        print(json.dumps(msgspec.to_builtins(report)), flush=True)
        return
    print(
        f"{report.path}: {report.full_segments} full segments, {report.made} indexed now ({report.frames:,} frames),"
        f" {report.removed} files removed, indices {report.index_bytes / 2**20:.1f} MiB",
        flush=True,
    )
    for name in report.damaged:
        print(f"{report.path}/{name}: damaged, so it has no index; next: lockstep journal verify {report.path}", flush=True)
