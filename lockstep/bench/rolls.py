"""What it costs to go on into another segment: messages and bursts around rolls, in turns with the same within a segment.

A machine that is shared stops now and then by itself. What happens to as many messages of the same stream that meet no roll
says how often: `no_roll` is the control of `roll`.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from journal.segment import segment_name
from lockstep.bench import rig
from lockstep.bench.rig import FRAME_BYTES
from sequencer.client import Publisher
from sequencer.settings import SequencerSettings

ROLLS = 40
"""Around which messages are sent one behind the other; around as many others a burst is sent."""
SEGMENT_BYTES = 4 << 20
PINGS = 1_000
BURST = 8_000
BATCH = 512
AHEAD_FRAMES = 500
WARM_PINGS = 8
END_BYTES = 1024 + 16
"""What the writer keeps at the end of a segment."""
QUIET_S = 0.02
SPACE_BYTES = (2 * ROLLS + 4) * SEGMENT_BYTES
Row = dict[str, Any]


def await_segment(journal: Path, number: int) -> None:
    """Until a segment is made. What makes it is a thread of the sequencer: nothing tells us when it is done."""
    while not (journal / segment_name(number)).exists():
        time.sleep(QUIET_S)
    time.sleep(QUIET_S)


class _Around:
    """Where messages go: into the middle of a segment, or over its end."""

    def __init__(self, journal: Path, publisher: Publisher) -> None:
        self.journal, self.publisher = journal, publisher
        self.pings = rig.Pings(journal, publisher)

    def move(self, to_byte: int) -> None:
        """Publish until the next frame begins near that byte of the segment."""
        _, offset = self.pings.place
        self._flood(max(0, (to_byte - offset) // FRAME_BYTES))

    def ready(self) -> None:
        """The next segment is made."""
        await_segment(self.journal, self.pings.place[0] + 1)

    def single(self, ahead_frames: int) -> list[float]:
        """Messages one behind the other, one in flight, from so many frames before the end of the segment on."""
        self.move(SEGMENT_BYTES - END_BYTES - ahead_frames * FRAME_BYTES)
        time.sleep(QUIET_S)
        self.pings.measure(WARM_PINGS)  # the first ones after a pause pay for cold caches, wherever they stand
        return self.pings.measure(PINGS, quiet_ns=0)

    def burst(self, ahead_frames: int) -> float:
        """Messages a second of a burst that begins there."""
        self.move(SEGMENT_BYTES - END_BYTES - ahead_frames * FRAME_BYTES)
        time.sleep(QUIET_S)
        self.pings.measure(WARM_PINGS)
        return BURST / self._flood(BURST)

    def _flood(self, count: int) -> float:
        """Seconds until all are sequenced."""
        one = self.publisher
        start = time.perf_counter()
        if count:
            rig.flood(one, count, BATCH)
        last = one.next_source_seq - 1
        while one.accepted_source_seq < last:
            if not one.alive:
                raise SystemExit("lockstep bench: the sequencer ended")
        return time.perf_counter() - start


class _Found:
    """Of one case, over all turns."""

    def __init__(self) -> None:
        self.us: list[float] = []
        self.worst: list[float] = []
        self.rates: list[float] = []

    def singles(self, us: list[float]) -> None:
        self.us += us
        self.worst.append(max(us))

    def row(self, case: str, **more: Any) -> Row:
        return {
            "case": case,
            "per_s": round(statistics.median(self.rates)),
            "us_p50": round(rig.percentile(self.us, 0.5), 2),
            "us_p99": round(rig.percentile(self.us, 0.99), 2),
            "us_p999": round(rig.percentile(self.us, 0.999), 2),
            "us_worst": round(statistics.median(self.worst), 2),
            **more,
        }


def measure(journal: Path, settings: SequencerSettings) -> list[Row]:
    """The rows `no_roll` and `roll`: one message in a thousand rolls. `us_worst`: the slowest of them, in the median turn."""
    no_roll, roll = _Found(), _Found()
    rolled = 0
    middle = SEGMENT_BYTES // 2 // FRAME_BYTES
    with rig.Running(journal, settings) as running, Publisher.connect(journal, "bench0") as one:
        around = _Around(journal, one)
        for turn in range(2 * ROLLS):
            around.ready()
            segment = around.pings.place[0]
            if turn % 2:
                no_roll.singles(around.single(middle))
                roll.singles(around.single(AHEAD_FRAMES))
            else:
                no_roll.rates.append(around.burst(middle + BURST // 2))
                roll.rates.append(around.burst(BURST // 2))
            rolled += around.pings.place[0] - segment
        memory = running.memory()
    if rolled < ROLLS:
        raise SystemExit(f"lockstep bench: {rolled} rolls met of {2 * ROLLS}")
    return [
        no_roll.row("no_roll"),
        roll.row("roll", rss_mib=round(memory.own, 1), code_mib=round(memory.code, 1), rolls=rolled),
    ]
