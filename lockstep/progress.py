"""Long work with a progress bar, on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from journal.frames import last_seq
from replay.player import Verdict, verify


def verify_with_progress(path: Path, names: list[str] | None, console: Console) -> Verdict:
    """Verify with a progress bar on a terminal."""
    total = last_seq(path)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replay", total=total)
        return verify(path, names, lambda seq: bar.update(task, completed=seq))
