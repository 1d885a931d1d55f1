"""What the actions have in common: their options, and the bar of a long reading."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


def action(
    actions: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, json_help: str
) -> argparse.ArgumentParser:
    """Register one action with the options that all have: PATH and --json."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("path", metavar="PATH", type=Path, help="the journal's folder")
    parser.add_argument("--json", action="store_true", help=json_help)
    parser.set_defaults(run=run)
    return parser


_T = TypeVar("_T")


def with_progress(doing: str, work: Callable[[Callable[[int, int], None]], _T]) -> _T:
    """Run `work(progress)`, where `progress(done_bytes, total_bytes)` moves a bar on a terminal's stderr, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=None)
        return work(lambda done, total: progress.update(task, completed=done, total=total))
