"""One parent order: what was asked, what its children hold of it, how far its end is."""

from __future__ import annotations

import msgspec

from journal.messages import NULL, OrdStatus
from journal.messages.family import Bounds
from oms.order import CLOSED

NOTIONAL_WORD = 62


def split(notional: int) -> tuple[int, int]:
    """A notional in two words."""
    return notional >> NOTIONAL_WORD, notional & ((1 << NOTIONAL_WORD) - 1)


class Child(msgspec.Struct, array_like=True):
    """What is booked of one child."""

    cum_qty: int = 0
    held_qty: int = 0
    """Filled, or able to fill at its worst: terms in force or of a replace under way."""
    notional_high: int = 0
    notional_low: int = 0
    live: bool = False
    unknown: bool = False
    again: bool = False
    """Its cancel was refused and is asked for again by the parent's timer."""

    @property
    def cum_notional(self) -> int:
        """Sum of quantity times price of its fills."""
        return (self.notional_high << NOTIONAL_WORD) + self.notional_low


class Parent(msgspec.Struct, array_like=True):
    """A ParentOrder. Times in ns of the stream; quantities and prices are mantissas of its instrument."""

    order_id: int
    source: int
    account: int
    instrument: int
    side: int
    order_qty: int
    limit_px: int = NULL
    max_slice_qty: int = NULL
    start_ts: int = 0
    end_ts: int = 0
    strategy: int = 0
    user: int = 0
    venues: list[int] = []
    request_seq: int = 0

    base: int = OrdStatus.NEW
    ending: int = 0
    """The closed state it is on its way to, when no child lives any more; 0 = it works."""
    reason: int = 0
    """Why it ends."""
    version: int = 0
    breached: bool = False
    """A venue did what we had not asked: the children hold more than the parent has. Flagged for good."""

    children: dict[int, Child] = {}
    cum_qty: int = 0
    held_qty: int = 0
    unknown_qty: int = 0
    live: int = 0
    notional_high: int = 0
    notional_low: int = 0
    left: Child = msgspec.field(default_factory=Child)
    """Sum of the children that have left."""

    @property
    def closed(self) -> bool:
        """It has ended; late fills of its children still count."""
        return self.base in CLOSED

    @property
    def leaves_qty(self) -> int:
        """What may still trade."""
        return 0 if self.closed else max(self.order_qty - self.cum_qty, 0)

    @property
    def cxl_qty(self) -> int:
        """What will not trade any more."""
        return max(self.order_qty - self.cum_qty, 0) if self.closed else 0

    @property
    def ord_status(self) -> int:
        """The reported state."""
        if self.closed or not self.ending:
            return self.base
        return OrdStatus.PENDING_CANCEL

    @property
    def bounds(self) -> Bounds | None:
        """What a new child must keep to; None once it ends."""
        if self.closed or self.ending:
            return None
        return Bounds(
            side=self.side, order_qty=self.order_qty, limit_px=self.limit_px, max_slice_qty=self.max_slice_qty,
            start_ts=self.start_ts, end_ts=self.end_ts,
        )  # fmt: skip

    @property
    def cum_notional(self) -> int:
        """Sum of quantity times price of all fills of all children; kept in two words, for it may pass 64 bits."""
        return (self.notional_high << NOTIONAL_WORD) + self.notional_low

    def add_notional(self, more: int) -> None:
        """Book a change of `cum_notional`."""
        self.notional_high, self.notional_low = split(self.cum_notional + more)

    def let_go(self, order_id: int) -> None:
        """A child has left: what it did stays."""
        gone, left = self.children.pop(order_id), self.left
        left.cum_qty, left.held_qty = left.cum_qty + gone.cum_qty, left.held_qty + gone.held_qty
        left.notional_high, left.notional_low = split(left.cum_notional + gone.cum_notional)

    def essence(self) -> tuple[int, ...]:
        """What a report is about."""
        return (self.base, self.ord_status, self.cum_qty, self.order_qty, self.limit_px)
