"""How fast a frame is found in a long journal: by seq, by time, by order; how fast the indices for it are made; and how long a
sequencer takes to start on it again, with them and without.

128-byte frames, a hundred instruments, one frame in eight of an order. Each seek is a whole call, as a tool makes it: list the
folder, choose the segment, read and check its index, find the frame and check it. Files are in the page cache.
"""

from __future__ import annotations

import argparse
import errno
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from journal import logs
from journal.errors import OperatingError, os_failure
from journal.frames import frame_at, frames
from journal.index.locate import seq_at
from journal.index.make import make_indices
from journal.index.scan import SegmentScan
from journal.kernel._journal import ffi as journal_ffi
from journal.messages import SessionMode, SourceRole
from journal.segment import map_file, read_header, segment_files
from journal.writer import JournalWriter
from lockstep.bench.conditions import conditions
from lockstep.bench.kernel._fill import ffi, lib
from lockstep.option_types import folder, whole
from sequencer.daemon import Sequencer
from sequencer.settings import SequencerSettings, SourceSettings

FRAMES_LEAST = 600_000
"""More than one segment: only a full one has an index."""
_FRAME_BYTES = 128
_FRAMES = 100_000_000
_BUILDS_TIMED = 9
_SEGMENTS_A_STEP = 8
_STARTS = 9
_STARTS_UNINDEXED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench seek`."""
    parser.add_argument(
        "--frames",
        type=whole(FRAMES_LEAST),
        default=0,
        help="frames in the journal (default: 100000000, or what half of the free disk takes)",
    )
    parser.add_argument("--seeks", type=whole(1), default=2000, help="timed seeks of each sort (default: 2000)")
    parser.add_argument(
        "--folder", type=folder, default=Path(tempfile.gettempdir()), help="where the journal is written meanwhile"
    )


def _frames_that_fit(folder: Path, wanted: int) -> int:
    fit = shutil.disk_usage(folder).free // 2 // _FRAME_BYTES
    wanted = wanted or max(FRAMES_LEAST, min(_FRAMES, fit))
    if wanted > fit:
        raise OperatingError(
            f"--frames {wanted}: takes {wanted * _FRAME_BYTES / 2**30:.1f} GiB of {folder}; at most half of what is free"
            f" there is used, {fit} frames"
        )
    return wanted


def _write(path: Path, count: int) -> tuple[int, float]:
    """The journal and its indices, made as it grows: what is long on disk may have left the cache. Frames indexed, seconds."""
    indexed, seconds, number = 0, 0.0, 1
    with JournalWriter.open(path, stream_id=1, nonce=1) as writer:
        pointer = ffi.cast("struct lockstep_writer *", int(journal_ffi.cast("uintptr_t", writer.c)))
        code = ffi.new("int *")
        while count:
            count -= lib.lockstep_bench_fill(pointer, count, code)
            if code[0] not in (0, -errno.EAGAIN):
                raise os_failure(path, -code[0], "writing the journal")
            if not count or writer.c.segment >= number + _SEGMENTS_A_STEP:
                writer.sync()
                start = time.perf_counter()
                indexed += make_indices(path, from_number=number).frames
                seconds += time.perf_counter() - start
                number = int(writer.c.segment)
            if count:
                writer.prepare_next()
    return indexed, seconds


def _times_us(keys: np.ndarray[Any, Any], seek: Callable[[int], object]) -> np.ndarray[Any, Any]:
    taken: list[float] = []
    for key in keys.tolist():
        start = time.perf_counter()
        seek(key)
        taken.append(time.perf_counter() - start)
    return np.array(taken) * 1e6


def _build_rates(path: Path) -> list[float]:
    """Frames a second of single segments, the newest ones: scan and encoding, as a reader does both."""
    rates: list[float] = []
    for number, file in segment_files(path)[:-1][-_BUILDS_TIMED:]:
        header, mapped = read_header(file, number), map_file(file)
        start = time.perf_counter()
        scan = SegmentScan(header, mapped)
        scan.advance()
        scan.pack()
        rates.append(int(scan.c.frames) / (time.perf_counter() - start))
    return rates


def _measure(path: Path, count: int, seeks: int, indexed: int, make_s: float) -> dict[str, float]:
    rates = _build_rates(path)
    # The same places in every run. Warm means: looked at a moment ago, by somebody else.
    places = np.random.default_rng(1).integers(1, count + 1, seeks)
    step = int(lib.LOCKSTEP_BENCH_TS_STEP)
    _times_us(places, lambda seq: frame_at(path, seq))
    by_seq = _times_us(places, lambda seq: frame_at(path, seq))
    by_time = _times_us(places * step - step // 2, lambda ts: seq_at(path, ts))
    last_order = count // 8 // int(lib.LOCKSTEP_BENCH_FRAMES_AN_ORDER)
    orders = (1 << 48) + 1 + np.random.default_rng(2).integers(0, max(last_order, 1), 10)
    _times_us(orders, lambda order: list(frames(path, orders=[order])))
    by_order = _times_us(orders, lambda order: list(frames(path, orders=[order])))
    both = np.concatenate([by_seq, by_time])
    return {
        "seek_us_p50": float(np.percentile(both, 50)),
        "seek_us_p99": float(np.percentile(both, 99)),
        "seek_seq_us_p50": float(np.percentile(by_seq, 50)),
        "seek_seq_us_p99": float(np.percentile(by_seq, 99)),
        "seek_time_us_p50": float(np.percentile(by_time, 50)),
        "seek_time_us_p99": float(np.percentile(by_time, 99)),
        "order_history_ms": float(np.median(by_order)) / 1000,
        "build_frames_per_s": float(np.median(rates)) if rates else 0.0,
        "make_frames_per_s": indexed / make_s if make_s else 0.0,
        "index_share_percent": 100 * sum(f.stat().st_size for f in path.glob("index/*.idx")) / (count * _FRAME_BYTES),
    }


def _restart_ms(path: Path) -> dict[str, float]:
    """From the call until publishers can attach, of a sequencer that ended in order: everything is sealed and on disk."""
    _start_ms(path)  # the first one seals what nobody has sealed yet, and makes the indices of this format
    by_index = [_start_ms(path) for _ in range(_STARTS)]
    unindexed = []
    for _ in range(_STARTS_UNINDEXED):
        shutil.rmtree(path / "index")
        unindexed.append(_start_ms(path))
    return {"restart_ms": float(np.median(by_index)), "restart_unindexed_ms": float(np.median(unindexed))}


def _start_ms(path: Path) -> float:
    source = SourceSettings(name="bench", role=SourceRole.MARKET_DATA)
    sequencer = Sequencer(path, SequencerSettings(), [source], mode=SessionMode.PAPER)
    try:
        start = time.perf_counter()
        sequencer.start()
        return (time.perf_counter() - start) * 1000
    finally:
        sequencer.close()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; one object with figures and conditions."""
    logs.configure(logs.LogSettings(level="error"))
    count = _frames_that_fit(arguments.folder, arguments.frames)
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-", dir=arguments.folder) as folder:
        path = Path(folder) / "journal"
        indexed, make_s = _write(path, count)
        segments = len(segment_files(path))
        metrics = _measure(path, count, arguments.seeks, indexed, make_s) | _restart_ms(path)
    return {
        "bench": "seek",
        "conditions": conditions(frames=count, segments=segments, frame_bytes=_FRAME_BYTES, seeks=arguments.seeks),
        "metrics": {name: round(value, 2 if value < 1000 else None) for name, value in metrics.items()},
    }
