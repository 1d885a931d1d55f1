"""The book, slow and obvious: what the C kernel must agree with after every step."""

from __future__ import annotations

from collections.abc import Sequence

from journal.messages import NULL, Level


class Refused(ValueError):
    """Rows that no book takes; the book is as it was."""


class ModelBook:
    """Two dicts, price → quantity."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def update(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Set changed levels; quantity 0 deletes."""
        for row in (*bids, *asks):
            if row.qty < 0 or row.px == NULL:
                raise Refused(f"bad level {row}")
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            for row in rows:
                if row.qty:
                    side[row.px] = row.qty
                else:
                    side.pop(row.px, None)

    def replace(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Take a snapshot: rows best first, quantities positive."""
        for row in (*bids, *asks):
            if row.qty <= 0 or row.px == NULL:
                raise Refused(f"bad level {row}")
        bid_px, ask_px = [r.px for r in bids], [r.px for r in asks]
        if bid_px != sorted(set(bid_px), reverse=True) or ask_px != sorted(set(ask_px)):
            raise Refused("rows are not strictly best first")
        self.bids = {r.px: r.qty for r in bids}
        self.asks = {r.px: r.qty for r in asks}

    def best(self) -> tuple[int, int, int, int]:
        """bid_px, bid_qty, ask_px, ask_qty; NULL for an empty side."""
        bid_px = max(self.bids, default=NULL)
        ask_px = min(self.asks, default=NULL)
        return bid_px, self.bids.get(bid_px, NULL), ask_px, self.asks.get(ask_px, NULL)

    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks, best first."""
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
