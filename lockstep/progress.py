"""Long work with a progress bar, on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from journal.frames import last_seq
from replay.cursor import Cursor
from replay.player import Player, Verdict, judge


def verify_with_progress(
    path: Path, names: list[str] | None, console: Console, *, from_seq: int = 1, to_seq: int | None = None
) -> Verdict:
    """Verify with a progress bar on a terminal; from the nearest state before `from_seq` that is held, to `to_seq`."""
    total = to_seq if to_seq is not None else last_seq(path)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeElapsedColumn())
    with contextlib.ExitStack() as stack:
        if from_seq > 1:
            player = stack.enter_context(Cursor(path, names)).near(from_seq - 1).player
        else:
            player = Player(path, names)
            stack.callback(player.reader.close)
        bar = stack.enter_context(Progress(*columns, console=console, transient=True, disable=not console.is_terminal))
        task = bar.add_task("replay", total=total)
        bar.update(task, completed=player.reader.next_seq - 1)
        return judge(player, to_seq, lambda seq: bar.update(task, completed=seq))


@contextlib.contextmanager
def events_counted(console: Console) -> Iterator[Callable[[str, int], None]]:
    """On a terminal: which run it is and how many market events it has done, as one tells the function that this yields."""
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} market events"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda name, done: bar.update(task, description=name, completed=done)


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")
