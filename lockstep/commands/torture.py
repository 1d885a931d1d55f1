"""`lockstep torture NAME`: break it on purpose, for hours if wanted. Exit code 1 where something is found."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from journal import entropy
from lockstep.ending import ended_in_order
from lockstep.option_types import hours, whole
from lockstep.torture import boundaries, calls, determinism, fuzz, images, passes, schemas
from lockstep.torture.outcome import Outcome

_CAMPAIGNS = {
    "images": images, "boundaries": boundaries, "calls": calls, "fuzz": fuzz, "schemas": schemas, "determinism": determinism,
    "passes": passes,
}  # fmt: skip


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    top = subparsers.add_parser(
        "torture",
        help="break it on purpose: " + ", ".join(_CAMPAIGNS),
        description="Campaigns that break the system on purpose and check that what was promised still holds. "
        "Exit code 1 where something is found, with the command that repeats it.",
    )
    names = top.add_subparsers(dest="campaign", metavar="NAME", required=True)
    for name, module in _CAMPAIGNS.items():
        text = (module.__doc__ or "").strip().splitlines()[0]
        parser = names.add_parser(name, help=text, description=module.__doc__)
        parser.add_argument(
            "--seed", type=whole(0), metavar="N", help="where randomness begins (default: another one each time)"
        )
        parser.add_argument("--hours", type=hours, default=0, metavar="H", help="go on for so long")
        parser.add_argument("--count", type=whole(0), default=0, metavar="N", help="stop after so many")
        parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what was found here")
        parser.add_argument("--json", action="store_true", help="one JSON object: campaign, conditions, metrics, finds")
        module.add_arguments(parser)
        parser.set_defaults(run=run, module=module)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep torture NAME`"""
    if arguments.seed is None:
        arguments.seed = entropy.random_u64() >> 32
    with ended_in_order():
        outcome = _with_progress(arguments)
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(outcome)))
    else:
        _print(outcome)
    return 1 if outcome.finds else 0


def _with_progress(arguments: argparse.Namespace) -> Outcome:
    """A bar on a terminal's stderr, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(arguments.campaign, total=None)

        def tell(done: float, total: float, text: str) -> None:
            progress.update(task, completed=done, total=total or None, description=text)

        outcome: Outcome = arguments.module.run(arguments, tell)
        return outcome


def _print(outcome: Outcome) -> None:
    print(f"torture {outcome.campaign}")
    for name, value in outcome.metrics.items():
        print(f"  {name:<28} {value:>16,}")
    print("  conditions: " + ", ".join(f"{k} {v}" for k, v in outcome.conditions.items()))
    for find in outcome.finds:
        print(f"FOUND {find.what}")
        print(f"  again: {find.reproduce}" + (f"; kept in {find.kept}" if find.kept else ""))
    print(f"  {len(outcome.finds)} found" if outcome.finds else "  nothing found")
