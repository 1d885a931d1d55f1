"""How long a step back takes in the debugger, and a restart of all apps from their state on disk, over `bench replay`'s day."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from journal.reader import JournalReader
from replay.cursor import Cursor
from replay.player import Player

STEPS = 25
TAIL = 100_000
"""Frames after that state."""


def measure(day: Path) -> dict[str, Any]:
    """`back_ms` and `restart_ms` of a day, and over how many frames."""
    return steps(day, ("oms", "books")) | _restart(day)


def steps(day: Path, names: Sequence[str]) -> dict[str, Any]:
    """From places all over the day: the cursor stands there, then goes to the event before, of an app with few and of one with
    many."""
    with Cursor(day) as cursor:
        start = time.perf_counter()
        last = cursor.at(cursor.last).seq
        there_s = time.perf_counter() - start
        times: list[float] = []
        for name in names:
            for step in range(STEPS):
                cursor.at(last - step * last // STEPS)
                start = time.perf_counter()
                cursor.back(name)
                times.append((time.perf_counter() - start) * 1000)
        checkpoints = [cursor.checkpoints.folder / f"{seq:012d}.checkpoint" for seq in cursor.checkpoints.seqs]
        size = sum(path.stat().st_size for path in checkpoints)
    return {
        "back_ms": round(statistics.median(times), 1),
        "back_ms_max": round(max(times), 1),
        "back_frames": last,
        "back_first_way_s": round(there_s, 1),
        "back_checkpoints": len(checkpoints),
        "back_checkpoints_mib": round(size / (1 << 20), 1),
    }


def _restart(day: Path) -> dict[str, Any]:
    """What a live host does: make the apps, read their state from a file that is checked, step through the rest."""
    with Cursor(day) as cursor:
        at = max(1, cursor.last - TAIL)
        state = cursor.checkpoints.take(cursor.at(at).group)
        cursor.checkpoints.put(state)
        start = time.perf_counter()
        player = Player(day, specs=cursor.specs)
        held = cursor.checkpoints.get(at)
        assert held is not None
        held.restore(player.group)
        player.reader.close()
        player.reader = JournalReader(day, from_seq=at + 1)
        tail = player.run()
        seconds = time.perf_counter() - start
        player.reader.close()
    return {"restart_ms": round(seconds * 1000, 1), "restart_tail_frames": tail}
