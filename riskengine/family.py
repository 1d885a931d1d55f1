"""Families: which orders are children of which parent, and what these hold of it, as the stream tells."""

from __future__ import annotations

import msgspec

from journal.messages import (
    NULL,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrdStatus,
    ParentOrder,
    order_id_source,
)
from journal.messages.family import Bounds, Held
from riskengine.exposure import Held as Reserved


class Child(msgspec.Struct, array_like=True):
    """What one child holds."""

    qty: int = 0
    """Filled or able to fill."""
    unknown_qty: int = 0


class Parent(msgspec.Struct, array_like=True):
    """A parent in its terms of now."""

    order_id: int
    seq: int
    """The frame with these terms."""
    account: int
    instrument: int
    side: int
    order_qty: int
    limit_px: int = NULL
    max_slice_qty: int = NULL
    start_ts: int = 0
    end_ts: int = 0
    open: bool = False
    """From the OMS's acceptance until it ends or is on its way to."""
    children: dict[int, Child] = {}
    qty: int = 0
    unknown_qty: int = 0

    @property
    def bounds(self) -> Bounds | None:
        """What a child must keep to; None when it takes none."""
        if not self.open:
            return None
        return Bounds(
            side=self.side, order_qty=self.order_qty, limit_px=self.limit_px, max_slice_qty=self.max_slice_qty,
            start_ts=self.start_ts, end_ts=self.end_ts,
        )  # fmt: skip

    def without(self, order_id: int) -> Held:
        """What all children hold but this one."""
        own = self.children.get(order_id) or Child()
        return Held(self.qty - own.qty, self.unknown_qty - own.unknown_qty)

    def book(self, order_id: int, now: Child) -> None:
        """Replace what a child holds."""
        own = self.children.get(order_id) or Child()
        self.qty += now.qty - own.qty
        self.unknown_qty += now.unknown_qty - own.unknown_qty
        self.children[order_id] = now


class Families(msgspec.Struct, array_like=True):
    """All parents."""

    parents: dict[int, Parent] = {}
    parent_of: dict[int, int] = {}

    def asked(self, m: ParentOrder, seq: int, source: int) -> None:
        """A parent is asked for; it is one when the OMS says so."""
        if m.order_id not in self.parents and order_id_source(m.order_id) == source:
            self.parents[m.order_id] = Parent(
                m.order_id, seq, m.account, m.instrument, m.side, m.order_qty, m.limit_px, m.max_slice_qty, m.start_ts, m.end_ts
            )

    def reported(self, m: ExecutionReport, seq: int) -> None:
        """What the OMS says of a parent."""
        parent = self.parents.get(m.order_id)
        if parent is None or (m.exec_type == ExecType.REJECTED and parent.open):
            return  # an id used again: the one that has it is untouched
        parent.open = m.ord_status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
        if m.exec_type == ExecType.REPLACED:
            parent.order_qty, parent.limit_px, parent.seq = m.order_qty, m.price_px, seq

    def passed(self, m: NewOrder, reserved: Reserved) -> None:
        """A child passed the checks: from here on it holds."""
        parent = self.parents.get(m.parent_order_id)
        if parent is not None:
            self.parent_of[m.order_id] = parent.order_id
            parent.book(m.order_id, Child(reserved.reserved_qty + reserved.cum_qty))

    def moved(self, order_id: int, reserved: Reserved | None, *, cum_qty: int) -> None:
        """A child's reservation has changed; None: it is closed."""
        number = self.parent_of.get(order_id)
        if number is None:
            return
        qty = cum_qty if reserved is None else reserved.reserved_qty + reserved.cum_qty
        unknown = reserved is not None and reserved.unknown
        self.parents[number].book(order_id, Child(qty, qty - cum_qty if unknown else 0))

    def check(self) -> None:
        """Assert that what is booked is what the children hold. O(children): for tests and the debugger."""
        for parent in self.parents.values():
            assert parent.qty == sum(c.qty for c in parent.children.values()), parent
            assert parent.unknown_qty == sum(c.unknown_qty for c in parent.children.values()), parent
