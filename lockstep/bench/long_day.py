"""A day of any length, replayed whole once.

To make a market takes three times as long as to trade on it. So 25 seconds of it are made, and they come again and again, as a
stream does after a reconnect: a new connection epoch, book pending, snapshot, live; times and the exchange's numbers go on.
Only the market repeats. Orders, fills and what the apps decide are of the whole day, for none of them begins anew.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from journal.errors import OperatingError
from journal.messages import BookState, MarketByPriceUpdate, TradeSummary
from journal.reader import JournalReader
from journal.segment import SEGMENT_BYTES_DEFAULT
from lockstep.backtesting import run_backtest
from lockstep.bench import day, rig
from lockstep.bench.memory import own_bytes
from replay.backtest.feed import FeedEvent
from replay.player import Player

STRETCH_SECONDS = 25
FRAMES_LEAST = 500_000
"""A hundredth of that is more than is read at once."""
FRAME_BYTES_MAX = 160
"""More than a frame of such a day has on average."""
MARKS = (1, 25, 50, 75, 100)
"""Percent of the day whose memory is told; the first is where all that is made but once has been made."""
LOOK_EVERY = 1024
"""Market events between two looks at how long the day is by now."""
MS = 1_000_000


def measure(folder: Path, asked: int) -> dict[str, Any]:
    """Make a day of so many frames or a few more, replay it, remove it."""
    path, frames = folder / "long-day", max(asked, FRAMES_LEAST)
    needed = frames * FRAME_BYTES_MAX + 2 * SEGMENT_BYTES_DEFAULT
    rig.bytes_that_fit(folder, needed, needed)
    start = time.perf_counter()
    _make_apart(path, frames)
    made_s = time.perf_counter() - start
    found = replayed(path) | {"market_share": round(day.market_share(path), 3), "made_s": round(made_s)}
    shutil.rmtree(path)
    return {f"long_day_{name}": value for name, value in found.items()}


# ---- making it


def _make_apart(path: Path, frames: int) -> None:
    """In a process of its own, so that the replay's has a heap that nothing was in."""
    process = rig.spawn.Process(target=_child, args=(path, frames), daemon=True)
    process.start()
    try:
        process.join()
    finally:
        process.kill()
        process.join()
    if process.exitcode:
        raise OperatingError(f"{path}: the day could not be made: exit code {process.exitcode}; what is wrong is said above")


def _child(path: Path, frames: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and ends this process
    make(path, frames)


def make(path: Path, frames: int, seconds: int = STRETCH_SECONDS) -> None:
    """The journal of a backtest over this market, `seconds` of it again and again until there are so many frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _bar("making", frames) as told:

        def prolonged(market: Iterable[FeedEvent]) -> Iterator[FeedEvent]:
            with JournalReader(path) as journal:
                for events, event in enumerate(repeated(market)):
                    if events % LOOK_EVERY == 0:
                        told(journal.written_seq)
                        if journal.written_seq >= frames:
                            return
                    yield event

        run_backtest(day.configured(path.parent, seconds), path, prolonged=prolonged)


def repeated(market: Iterable[FeedEvent]) -> Iterator[FeedEvent]:
    """A market without end. What was yielded is changed and yielded again: not to be kept."""
    stretch: list[FeedEvent] = []
    for event in market:
        stretch.append(event)
        yield event
    on = _onward(stretch)
    while True:
        for event in stretch:
            _move(event, on)
            yield event


class _Onward(NamedTuple):
    """How much later the same event is when it comes again."""

    ns: int
    updates: int
    prints: int
    """The exchange numbers its trades by themselves."""


def _onward(stretch: list[FeedEvent]) -> _Onward:
    messages: list[Any] = [event.message for event in stretch]
    return _Onward(
        ns=-(-(stretch[-1].ts + 1 - stretch[0].ts) // MS) * MS,  # the exchange's times stay whole milliseconds
        updates=max(m.exchange_seq for m in messages if not isinstance(m, TradeSummary)),
        prints=max((m.exchange_seq for m in messages if isinstance(m, TradeSummary)), default=0),
    )


def _move(event: FeedEvent, on: _Onward) -> None:
    event.ts += on.ns
    event.origin_ts += on.ns
    m: Any = event.message
    m.connection_epoch = m.connection_epoch % 0xFFFF + 1
    if m.exchange_ts:
        m.exchange_ts += on.ns
        m.sending_ts += on.ns
    if isinstance(m, TradeSummary):
        m.exchange_seq += on.prints
        for trade in m.trades:
            trade.trade_no += on.prints
            trade.trade_ts += on.ns
        return
    m.exchange_seq += on.updates
    if isinstance(m, MarketByPriceUpdate):
        m.first_exchange_seq += on.updates
        m.prev_exchange_seq += on.updates
    elif isinstance(m, BookState):
        m.exchange_seq_last += on.updates


# ---- replaying it


class _Passed(NamedTuple):
    """At a percent of the day."""

    seq: int
    s: float
    mib: float


def replayed(path: Path) -> dict[str, Any]:
    """The whole day into all apps; every emission is compared. Seconds from the opening of the journal to the last frame, and
    how fast it went and what memory of its own it had (MiB) on the way."""
    with JournalReader(path) as reader:
        last = reader.written_seq
    passed: list[_Passed] = []
    start = time.perf_counter()
    with _bar("replaying", last) as told:

        def on_the_way(seq: int) -> None:
            if seq * 100 >= last * (len(passed) + 1):
                passed.append(_Passed(seq, time.perf_counter() - start, own_bytes() / 2**20))
                told(seq)

        player = Player(path)
        opened_s = time.perf_counter() - start
        count = player.run(progress=on_the_way)
    s = time.perf_counter() - start
    verdict = player.verdict(count)
    player.reader.close()
    assert count == last, "a replay that raised nothing has seen everything"
    at = {mark: passed[mark - 1] for mark in MARKS}
    return {
        "frames": count,
        "s": round(s, 1),
        "opened_s": round(opened_s, 1),
        "frames_per_s": round(count / s),
        "decisions_compared": verdict.decisions,
        **{f"frames_per_s_to_{b}": round((at[b].seq - at[a].seq) / (at[b].s - at[a].s)) for a, b in itertools.pairwise(MARKS)},
        **{f"memory_mib_at_{mark}": round(p.mib, 1) for mark, p in at.items()},
        "memory_mib_max": round(max(p.mib for p in passed), 1),
        "memory_grown_mib": round(passed[-1].mib - passed[0].mib, 1),
    }


@contextlib.contextmanager
def _bar(what: str, frames: int) -> Iterator[Callable[[int], None]]:
    """Of frames, on a terminal."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(what, total=frames)
        yield lambda done: progress.update(bar, completed=done)
