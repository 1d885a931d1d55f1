"""The numbers of commands that were heard: what comes twice is done once. Pure state: equal streams, equal bytes."""

from __future__ import annotations

import msgspec

REMEMBERED = 64
"""So many numbers of each source; an older one would be heard again."""


class Heard(msgspec.Struct, array_like=True):
    """Request numbers (CancelAll, TradingStateSet, StrategyCommand), each its source's own; 0 is none."""

    numbers: dict[int, list[int]] = {}
    """Source → its last ones, oldest first."""

    def again(self, source: int, request: int) -> bool:
        """Hear a command; whether one of that number has come from there before."""
        if not request:
            return False
        known = self.numbers.setdefault(source, [])
        if request in known:
            return True
        known.append(request)
        del known[:-REMEMBERED]
        return False


__all__ = ["REMEMBERED", "Heard"]
