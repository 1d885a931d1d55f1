"""`lockstep bench flat`: does it stay as fast? In a long journal, at rolls, with many readers, publishers, one far behind.

One stream of 128-byte frames in default segments, made on disk meanwhile. Up to each mark of the curve how fast it grew
(`growing_per_s`); at the mark, and in each case after the last: the rate at which a burst is published, sequenced and checked
by a reader, and the time of single messages (`written`). `reader_behind`: one reads the journal's first ninth again and again
meanwhile, `behind_frames` is the least that it was behind, `frames_read` what it read. The last two rows are of small
segments: messages and bursts around each roll, and in turns with them as many that meet none.

`rss_mib`: memory of the sequencer's own, its rings included, each page once, the journal not; `code_mib`: of programs and
libraries. What is not measured has no row, and `not_measured` says why.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from lockstep.bench import rig, rolls
from lockstep.bench.conditions import conditions
from lockstep.bench.rig import FRAME_BYTES
from lockstep.bench.tails import Tail, late, tails
from lockstep.option_types import folder, whole
from sequencer.client import Publisher
from sequencer.settings import SequencerSettings

FRAMES = 100_000_000
FRAMES_LEAST = 1_000_000
MORE = 8
"""The journal grows by an eighth behind the last mark: so far a reader can read, and still be as far behind as the mark."""
BURST = 400_000
"""Fits into the rest of a segment and the next one: a burst does not wait for segments to be made, the growing does."""
BATCH = 512
PINGS = 5_000
READERS = 8
PUBLISHERS = 64
RING_BYTES = 256 << 10
SEGMENT_BYTES = SequencerSettings().segment_bytes
Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench flat`."""
    parser.add_argument(
        "--frames", type=whole(1), default=FRAMES, help="length of the journal (default 100000000, or what the disk has free)"
    )
    parser.add_argument("--folder", type=folder, default=None, help="where the journal is made (default: the temporary folder)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: bench, conditions, table (the curve), metrics (the same, flat)."""
    place = Path(arguments.folder or tempfile.gettempdir())
    asked = max(arguments.frames, FRAMES_LEAST)
    frames = length_that_fits(place, asked)
    settings = SequencerSettings(idle="spin", ring_bytes=RING_BYTES, segment_bytes=SEGMENT_BYTES)
    with rig.workspace(place) as work, Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("frames", total=frames + frames // MORE)
        rows = _stream(work / "stream", settings, frames, lambda done: progress.update(bar, completed=done))
        rows += rolls.measure(
            work / "roll", SequencerSettings(idle="spin", ring_bytes=RING_BYTES, segment_bytes=rolls.SEGMENT_BYTES)
        )
    told = conditions(
        idle=settings.idle, frames=frames, burst=BURST, ring_bytes=RING_BYTES, segment_bytes=SEGMENT_BYTES,
        roll_segment_bytes=rolls.SEGMENT_BYTES, disk=f"{place} ({rig.file_system(place)})", **missing(asked, frames),
    )  # fmt: skip
    numbers = {f"{row['case']}_{name}": value for row in rows for name, value in row.items() if name != "case"}
    no_roll, roll = rows[-2:]
    numbers["roll_ratio"] = round(roll["us_p999"] / roll["us_p50"], 1)
    numbers["no_roll_ratio"] = round(no_roll["us_p999"] / no_roll["us_p50"], 1)
    numbers["roll_rate_ratio"] = round(roll["per_s"] / no_roll["per_s"], 3)
    return {"bench": "flat", "conditions": told, "table": rows, "metrics": numbers}


def length_that_fits(place: Path, asked: int) -> int:
    """So many frames, or as many as the disk takes."""
    unit = FRAME_BYTES * (MORE + 1)  # of MORE frames, with what comes behind the last mark
    extra = (len(marks(asked)) + 3) * BURST * FRAME_BYTES + 4 * SEGMENT_BYTES
    most = -(-asked // MORE) * unit + extra
    fit = rig.bytes_that_fit(place, most, max(FRAMES_LEAST // MORE * unit + extra, rolls.SPACE_BYTES))
    return min(asked, (fit - extra) // unit * MORE)


def missing(asked: int, frames: int) -> dict[str, str]:
    """What of the question has no row, for the conditions."""
    if frames >= FRAMES:
        return {}
    why = "as asked for" if frames == asked else f"the disk has room for {frames} only"
    return {"not_measured": f"{FRAMES} frames, and a reader as far behind: {why}"}


def marks(frames: int) -> list[int]:
    """1, 3, 10, 30 … million, and the end."""
    steps = [mantissa * 10**power for power in range(6, 12) for mantissa in (1, 3)]
    return [step for step in steps if step < frames] + [frames]


# ---- the cases


def _burst(publishers: list[Publisher], tail: Tail) -> float:
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


def _row(case: str, publishers: list[Publisher], tail: Tail, pings: rig.Pings, running: rig.Running) -> Row:
    rolls.await_segment(tail.reader.path, pings.place[0] + 1)
    rate = _burst(publishers, tail)
    us = pings.measure(PINGS)
    memory = running.memory()
    return {
        "case": case,
        "per_s": round(rate),
        "us_p50": round(rig.percentile(us, 0.5), 2),
        "us_p99": round(rig.percentile(us, 0.99), 2),
        "us_p999": round(rig.percentile(us, 0.999), 2),
        "rss_mib": round(memory.own, 1),
        "code_mib": round(memory.code, 1),
    }


def _grow(to: int, one: Publisher, tail: Tail, progress: Any) -> float:
    """Until the journal has nearly so many frames: the burst of the row is the rest. Frames a second."""
    begun, start = tail.reader.next_seq, time.perf_counter()
    while (missing := to - BURST - tail.reader.next_seq) > 0:
        rig.flood(one, min(missing, BURST), BATCH)
        progress(tail.reader.next_seq)
    tail.wait_for(tail.reader.written_seq)
    return (tail.reader.next_seq - begun) / (time.perf_counter() - start)


def _stream(journal: Path, settings: SequencerSettings, frames: int, progress: Any) -> list[Row]:
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(rig.Running(journal, settings, publishers=PUBLISHERS, readers=READERS))
        one = stack.enter_context(Publisher.connect(journal, "bench0"))
        pings = rig.Pings(journal, one)
        (tail,) = stack.enter_context(tails(journal, 0, 1, 1))
        for mark in marks(frames):
            grown = _grow(mark, one, tail, progress)
            rows.append(_row(f"frames_{mark}", [one], tail, pings, running) | {"growing_per_s": round(grown)})
        with tails(journal, 1, READERS - 1, tail.reader.written_seq + 1):
            rows.append(_row(f"readers_{READERS}", [one], tail, pings, running))
        with contextlib.ExitStack() as others:
            more = [others.enter_context(Publisher.connect(journal, f"bench{i}")) for i in range(1, PUBLISHERS)]
            rows.append(_row(f"publishers_{PUBLISHERS}", [one, *more], tail, pings, running))
        _grow(frames + frames // MORE, one, tail, progress)
        with late(journal, frames) as reader:
            row = _row("reader_behind", [one], tail, pings, running)
            rows.append(row | {"behind_frames": reader.behind, "frames_read": reader.frames})
        progress(tail.reader.next_seq)
    return rows
