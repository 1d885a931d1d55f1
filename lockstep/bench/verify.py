"""How fast a sealed journal is verified: every crc, every 64 KiB block against its seal, the chain, from the page cache.

128-byte frames in segments of 64 MiB, once with all cores and once on one; beside them what the two checks cost by themselves.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journal.chain import make_seals, store
from journal.digest import BlockHash
from journal.kernel._journal import ffi, lib
from journal.messages import TopOfBook
from journal.segment import map_file, segment_name
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.bench.conditions import conditions
from lockstep.option_types import whole

_SEGMENT = 64 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep bench verify`."""
    parser.add_argument("--segments", type=whole(1), default=8, help="full segments of 64 MiB (default: 8)")
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed rounds (default: 5)")


def _write(path: Path, segments: int) -> None:
    body = TopOfBook(instrument=1, bid_px=6_000_000, ask_px=6_000_010).encode()[:64]
    with JournalWriter.open(path, stream_id=1, nonce=1, segment_bytes=_SEGMENT) as writer:
        ts = 0
        while writer.c.segment <= segments:
            for _ in range(10_000):
                ts += 1
                writer.append_bytes(20_000, 1, body, ts=ts, source=1, source_seq=ts)
    for seal in make_seals(path):
        store(path, seal)


def _gb_per_s(size: int, rounds: int, work: Callable[[], object]) -> float:
    seconds: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return round(size / statistics.median(seconds) / 1e9, 2)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; one object with figures and conditions."""
    segments, rounds = arguments.segments, arguments.rounds
    need = (segments + 2) * _SEGMENT
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < need * 2:
        raise SystemExit(
            f"lockstep bench verify: {free >> 20} MiB free in {tempfile.gettempdir()}; {need * 2 >> 20} are needed"
        )
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        path = Path(folder) / "journal"
        _write(path, segments)
        size = segments * _SEGMENT
        cores = os.sched_getaffinity(0)

        def check() -> None:
            problems = survey(path).problems
            if problems:
                raise SystemExit(f"lockstep bench verify: {problems[0]}")

        check()
        metrics = {"verify_gb_per_s": _gb_per_s(size, rounds, check)}
        os.sched_setaffinity(0, {min(cores)})
        try:
            metrics["verify_one_core_gb_per_s"] = _gb_per_s(size, rounds, check)
            one = map_file(path / segment_name(1))
            base = ffi.from_buffer(one)
            metrics["blake3_gb_per_s"] = _gb_per_s(_SEGMENT, rounds, lambda: BlockHash(one).digest(_SEGMENT))
            metrics["crc32c_gb_per_s"] = _gb_per_s(_SEGMENT, rounds, lambda: lib.lockstep_crc(0, base, _SEGMENT))
        finally:
            os.sched_setaffinity(0, cores)
    return {
        "bench": "verify",
        "conditions": conditions(
            segments=segments,
            segment_mib=_SEGMENT >> 20,
            rounds=rounds,
            frame_bytes=128,
            cores=len(cores),
            digest_lanes=int(lib.lockstep_b3_lanes(0)),
        ),
        "metrics": metrics,
    }
