"""The clock seam: whoever needs the time of day takes a `Clock`. C twin: journal/kernel/clock.h.

Apps never see one: their time is the timestamp of the frame they are given.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Nanoseconds since 1970, UTC. May jump: what orders the stream is the sequencer's ts, not this."""

    def now_ns(self) -> int:
        """The time now."""


class SystemClock:
    """The machine's wall clock."""

    def now_ns(self) -> int:
        """The time now."""
        return time.time_ns()


class ManualClock:
    """A clock that moves only when told: tests, simulation, backtests."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The time it was set to."""
        return self._now_ns

    def set(self, now_ns: int) -> None:
        """Move to an instant, forwards or backwards."""
        self._now_ns = now_ns

    def advance(self, by_ns: int) -> int:
        """Move by a duration; the new time."""
        self._now_ns += by_ns
        return self._now_ns
