"""A clock that a test or a simulator moves while the loop, which is C, reads it."""

from __future__ import annotations

from typing import Any

from journal.clock import ManualClock
from sequencer.kernel._sequencer import ffi


class LoopClock(ManualClock):
    """A ManualClock whose time the loop sees as well. Hand it to the sequencer in place of the wall clock."""

    def __init__(self, start_ns: int = 0) -> None:
        super().__init__(start_ns)
        self.cell: Any = ffi.new("int64_t *", start_ns)

    def set(self, now_ns: int) -> None:
        """Move to an instant, forwards or backwards."""
        super().set(now_ns)
        self.cell[0] = now_ns

    def advance(self, by_ns: int) -> int:
        """Move by a duration; the new time."""
        self.set(self.now_ns() + by_ns)
        return self.now_ns()
