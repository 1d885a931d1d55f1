"""`lockstep bench flat`: does it stay as fast? In a long journal, at rolls, with many readers, publishers, one far behind.

One stream of 128-byte frames in default segments, made on disk meanwhile. Up to each mark of the curve how fast it grew
(`growing_per_s`); at the mark, and in each case after the last: the rate at which a burst is published, sequenced and checked
by a reader, and the time of single messages (`written`). The last case writes in the smallest segments, and looks at the
messages around each roll only.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from journal.reader import JournalReader
from journal.segment import segment_name
from lockstep.bench import rig
from lockstep.bench.conditions import conditions
from lockstep.bench.rig import FRAME_BYTES
from sequencer.client import Publisher
from sequencer.settings import SequencerSettings

FRAMES = 100_000_000
FRAMES_LEAST = 1_000_000
BURST = 400_000
"""Fits into the rest of a segment and the next one: a burst does not wait for segments to be made, the growing does."""
BATCH = 512
PINGS = 5_000
READERS = 8
PUBLISHERS = 64
RING_BYTES = 256 << 10
ROLLS = 60
ROLL_PINGS = 40
ROLL_SEGMENT_BYTES = 1 << 20
AHEAD_FRAMES = 20
WARM_PINGS = 8
END_BYTES = 1024 + 16
"""What the writer keeps at the end of a segment."""
QUIET_S = 0.05
Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench flat`."""
    parser.add_argument(
        "--frames", type=int, default=FRAMES, help="length of the journal (default 100000000, or what the disk has free)"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where the journal is made (default: the temporary folder)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, table (the curve), metrics (the same, flat)."""
    place = Path(arguments.folder or tempfile.gettempdir())
    wanted = max(arguments.frames, FRAMES_LEAST) * FRAME_BYTES
    frames = rig.bytes_that_fit(place, wanted, FRAMES_LEAST * FRAME_BYTES) // FRAME_BYTES
    settings = SequencerSettings(idle="spin", ring_bytes=RING_BYTES)
    with rig.workspace(place) as work, Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("frames", total=frames)
        rows = _stream(work / "stream", settings, frames, lambda done: progress.update(bar, completed=done))
        rows.append(_rolls(work / "roll", settings))
    told = conditions(
        idle=settings.idle, frames=frames, burst=BURST, ring_bytes=RING_BYTES, segment_bytes=settings.segment_bytes,
        disk=f"{place} ({rig.file_system(place)})",
    )  # fmt: skip
    numbers = {f"{row['case']}_{name}": value for row in rows for name, value in row.items() if name != "case"}
    numbers["roll_ratio"] = round(rows[-1]["us_p999"] / rows[-1]["us_p50"], 1)
    return {"bench": "flat", "conditions": told, "table": rows, "metrics": numbers}


def marks(frames: int) -> list[int]:
    """1, 3, 10, 30 … million, and the end."""
    steps = [mantissa * 10**power for power in range(6, 12) for mantissa in (1, 3)]
    return [step for step in steps if step < frames] + [frames]


# ---- the parties


class _Tail(threading.Thread):
    """A reader in C of everything, crc checked; sleeps while there is nothing."""

    def __init__(self, journal: Path, name: str, from_seq: int) -> None:
        super().__init__(daemon=True)
        self.reader = JournalReader(journal, from_seq=from_seq, kinds=())
        self.wake = Publisher.connect(journal, name)
        self.ended = threading.Event()
        self.news = threading.Condition()

    def run(self) -> None:
        reader = self.reader
        while not self.ended.is_set():
            if reader.poll() is None:
                with self.news:
                    self.news.notify_all()
                self.wake.wait(0.2, unless=lambda: reader.written_seq >= reader.next_seq)

    def wait_for(self, seq: int) -> None:
        """Until it has checked the frame with this seq."""
        with self.news:
            while self.reader.next_seq <= seq:
                if not self.news.wait(1.0) and not self.is_alive():
                    raise SystemExit("lockstep bench: a reader ended")

    def close(self) -> None:
        self.ended.set()
        self.join()
        self.wake.close()
        self.reader.close()


@contextlib.contextmanager
def _tails(journal: Path, first: int, count: int, from_seq: int) -> Iterator[list[_Tail]]:
    tails: list[_Tail] = []
    try:
        for i in range(count):
            tails.append(_Tail(journal, f"reader{first + i}", from_seq))
            tails[-1].start()
        yield tails
    finally:
        for tail in tails:
            tail.close()


def _await_segment(journal: Path, number: int) -> None:
    """Until a segment is made. What makes it is a thread of the sequencer: nothing tells us when it is done."""
    while not (journal / segment_name(number)).exists():
        time.sleep(QUIET_S)
    time.sleep(QUIET_S)


def _burst(publishers: list[Publisher], tail: _Tail) -> float:
    """Messages a second until the reader has checked the last."""
    share = BURST // len(publishers)
    before = tail.reader.written_seq
    threads = [threading.Thread(target=rig.flood, args=(p, share, BATCH)) for p in publishers]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tail.wait_for(before + share * len(publishers))
    return share * len(publishers) / (time.perf_counter() - start)


def _row(case: str, publishers: list[Publisher], tail: _Tail, pings: rig.Pings, running: rig.Running) -> Row:
    _await_segment(tail.reader.path, pings.place[0] + 1)
    rate = _burst(publishers, tail)
    us = pings.measure(PINGS)
    return {
        "case": case,
        "per_s": round(rate),
        "us_p50": round(rig.percentile(us, 0.5), 2),
        "us_p99": round(rig.percentile(us, 0.99), 2),
        "us_p999": round(rig.percentile(us, 0.999), 2),
        "rss_mib": round(running.memory_mib(), 1),
    }


# ---- the cases


def _stream(journal: Path, settings: SequencerSettings, frames: int, progress: Any) -> list[Row]:
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(rig.Running(journal, settings, publishers=PUBLISHERS, readers=READERS + 1))
        one = stack.enter_context(Publisher.connect(journal, "bench0"))
        pings = rig.Pings(journal, one)
        (tail,) = stack.enter_context(_tails(journal, 0, 1, 1))
        for mark in marks(frames):
            begun, start = tail.reader.next_seq, time.perf_counter()
            while (missing := mark - BURST - tail.reader.next_seq) > 0:
                rig.flood(one, min(missing, BURST), BATCH)
                progress(tail.reader.next_seq)
            tail.wait_for(tail.reader.written_seq)
            grown = (tail.reader.next_seq - begun) / (time.perf_counter() - start)
            rows.append(_row(f"frames_{mark}", [one], tail, pings, running) | {"growing_per_s": round(grown)})
            progress(mark)
        end = tail.reader.written_seq
        with _tails(journal, 1, READERS - 1, end + 1):
            rows.append(_row(f"readers_{READERS}", [one], tail, pings, running))
        with _tails(journal, READERS, 1, 1) as (late,):
            row = _row("reader_behind", [one], tail, pings, running)
            row["behind_frames"] = late.reader.written_seq - late.reader.seen_seq
            rows.append(row)
        with contextlib.ExitStack() as others:
            more = [others.enter_context(Publisher.connect(journal, f"bench{i}")) for i in range(1, PUBLISHERS)]
            rows.append(_row(f"publishers_{PUBLISHERS}", [one, *more], tail, pings, running))
    return rows


def _rolls(journal: Path, settings: SequencerSettings) -> Row:
    """The messages just before and after the writer goes on into another segment."""
    small = SequencerSettings(idle=settings.idle, ring_bytes=settings.ring_bytes, segment_bytes=ROLL_SEGMENT_BYTES)
    us: list[float] = []
    with rig.Running(journal, small) as running, Publisher.connect(journal, "bench0") as one:
        pings, rolled = rig.Pings(journal, one), 0
        pings.measure(ROLL_PINGS)
        for _ in range(ROLLS):
            segment, offset = pings.place
            rig.flood(one, max(0, (ROLL_SEGMENT_BYTES - END_BYTES - offset) // FRAME_BYTES - AHEAD_FRAMES), BATCH)
            last = one.next_source_seq - 1
            while one.accepted_source_seq < last:
                one.wait(0.1, unless=lambda last=last: one.accepted_source_seq >= last)
            _await_segment(journal, segment + 1)
            pings.measure(WARM_PINGS)  # the first ones after a pause pay for cold caches, wherever they stand
            us += pings.measure(ROLL_PINGS)
            rolled += pings.place[0] - segment
        memory = running.memory_mib()
    if rolled < ROLLS // 2:
        raise SystemExit(f"lockstep bench: {rolled} rolls met of {ROLLS}")
    return {
        "case": "roll",
        "per_s": 0,
        "us_p50": round(rig.percentile(us, 0.5), 2),
        "us_p99": round(rig.percentile(us, 0.99), 2),
        "us_p999": round(rig.percentile(us, 0.999), 2),
        "rss_mib": round(memory, 1),
        "rolls": rolled,
    }
