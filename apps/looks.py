"""Looks: how often a strategy looks at an instrument. In between, what its books say passes it by, and it is not woken.

`Group` in Python asks `Looks.passes_over`; apps.kernel._fast does the same in C, before a message is made of what was said.
"""

from __future__ import annotations

import msgspec


class Looks(msgspec.Struct):
    """Of one app, and part of its state. Times are ns of the stream."""

    every: int
    """So long lies at least between two looks at the same instrument."""
    after: dict[int, int] = {}
    """Instrument → before this time it is not looked at."""

    def passes_over(self, instrument: int, now: int) -> bool:
        """Whether an instrument is not looked at yet."""
        return now < self.after.get(instrument, 0)

    def look(self, instrument: int, now: int) -> bool:
        """Look at it now, if it does not pass over."""
        if self.passes_over(instrument, now):
            return False
        self.after[instrument] = now + self.every
        return True
