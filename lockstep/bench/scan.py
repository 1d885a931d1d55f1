"""How fast a journal is read back in C: the floor under every host, report and recovery.

128-byte frames. Timed are polls as every host does them, with and without the checksum, a poll that wants a rare kind only, and
the gathering of a column table. Files are in the page cache.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journal.columns import columns
from journal.messages import Clock, TopOfBook
from journal.reader import JournalReader
from journal.writer import JournalWriter
from lockstep.bench.conditions import conditions
from lockstep.option_types import whole

_BODY_BYTES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench scan`."""
    parser.add_argument("--frames", type=whole(1), default=1_000_000, help="frames in the journal (default: 1000000)")
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed rounds (default: 5)")


def _write(path: Path, count: int) -> None:
    filler = TopOfBook(instrument=1, bid_px=6_000_000, ask_px=6_000_010).encode()
    rare = Clock(mono_ns=1).encode()
    with JournalWriter.open(path, stream_id=1, nonce=1) as writer:
        for n in range(1, count + 1):
            if n % 1000:
                writer.append_bytes(20_000, 1, filler[:_BODY_BYTES], ts=n, source=1, source_seq=n)
            else:
                writer.append_bytes(Clock.KIND, 1, rare, ts=n)


def _poll_all(path: Path, *, verify: bool = True, kinds: list[int] | None = None) -> None:
    with JournalReader(path, verify=verify, kinds=kinds) as reader:
        while reader.poll(1 << 16) is not None:
            pass


def _rate(count: int, rounds: int, work: Callable[[], object]) -> int:
    seconds: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return round(count / statistics.median(seconds))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; one object with figures and conditions."""
    count, rounds = arguments.frames, arguments.rounds
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        path = Path(folder) / "journal"
        _write(path, count)
        _poll_all(path)
        metrics = {
            "poll_frames_per_s": _rate(count, rounds, lambda: _poll_all(path)),
            "poll_unchecked_frames_per_s": _rate(count, rounds, lambda: _poll_all(path, verify=False)),
            "poll_rare_kind_frames_per_s": _rate(count, rounds, lambda: _poll_all(path, kinds=[Clock.KIND])),
            "columns_frames_per_s": _rate(count, rounds, lambda: columns(path, Clock)),
        }
    return {
        "bench": "scan",
        "conditions": conditions(frames=count, rounds=rounds, frame_bytes=64 + _BODY_BYTES, crc="checked unless said"),
        "metrics": metrics,
    }
