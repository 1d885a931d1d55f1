"""Families: which orders are children of which parent, and what these hold of it, as the stream tells.

Closed children, and parents without any, leave as the orders of the OMS do; what the children did stays in the parent's sum.
"""

from __future__ import annotations

import msgspec

from journal.messages import (
    NULL,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrdStatus,
    ParentOrder,
    ReplaceOrder,
    order_id_source,
)
from journal.messages.family import Bounds, Held
from journal.messages.keeping import Keep, Line
from journal.messages.tables import Fixed, look
from riskengine.codes import CLOSED
from riskengine.exposure import Held as Reserved

LEAVE_MOST = 16
"""So many leave with one that closes."""


class Child(msgspec.Struct, array_like=True):
    """What one child holds."""

    qty: int = 0
    """Filled or able to fill."""
    unknown_qty: int = 0
    closed: bool = False


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
    strategy: int = 0
    open: bool = False
    """From the OMS's acceptance until it ends or is on its way to."""
    closed: bool = False
    children: dict[int, Child] = {}
    qty: int = 0
    unknown_qty: int = 0
    left_qty: int = 0
    """Of `qty`: that of children that have left."""
    ends: dict[int, int] = {}
    """Replaces that the OMS has not answered: frame → the end that is wanted, 0: as it is. No report tells it."""

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
    """Child → parent."""
    closed: Line = msgspec.field(default_factory=Line)
    """Children and parents that closed; may name one that was opened again."""
    keep: Keep = Keep()
    apps: dict[int, int] = {}
    """Strategy → the source that decides for it."""

    def __post_init__(self) -> None:
        self.parent_of = Fixed.of(self.parent_of)

    def asked(self, m: ParentOrder, seq: int, source: int) -> None:
        """A parent is asked for; it is one when the OMS says so."""
        if m.order_id not in self.parents and order_id_source(m.order_id) == source:
            self.parents[m.order_id] = Parent(
                m.order_id, seq, m.account, m.instrument, m.side, m.order_qty, m.limit_px, m.max_slice_qty, m.start_ts,
                m.end_ts, m.strategy,
            )  # fmt: skip

    def asked_anew(self, m: ReplaceOrder, seq: int) -> None:
        """New terms of a parent are asked for; they are its own when the OMS says so."""
        self.parents[m.order_id].ends[seq] = m.expire_ts

    def refused(self, order_id: int) -> None:
        """A replace of a parent was refused: the oldest there is, for the OMS answers in the order of asking."""
        ends = self.parents[order_id].ends
        if ends:
            del ends[next(iter(ends))]

    def reported(self, m: ExecutionReport, seq: int, now: int) -> None:
        """What the OMS says of a parent."""
        parent = self.parents.get(m.order_id)
        if parent is None or (m.exec_type == ExecType.REJECTED and parent.open):
            return  # an id used again: the one that has it is untouched
        parent.open = m.ord_status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
        if m.exec_type == ExecType.REPLACED:
            parent.order_qty, parent.limit_px, parent.seq = m.order_qty, m.price_px, seq
            parent.end_ts = parent.ends.pop(m.exec_ref_seq, 0) or parent.end_ts
        if m.ord_status in CLOSED and not parent.closed:
            parent.closed = True
            self.closed.add(now, parent.order_id)
            self.tidy(now)

    def passed(self, m: NewOrder, reserved: Reserved) -> None:
        """A child passed the checks: from here on it holds."""
        parent = self.parents.get(m.parent_order_id)
        if parent is not None:
            self.parent_of[m.order_id] = parent.order_id
            parent.book(m.order_id, Child(reserved.reserved_qty + reserved.cum_qty))

    def moved(self, order_id: int, reserved: Reserved | None, *, cum_qty: int, now: int) -> None:
        """A child's reservation has changed; None: it is closed."""
        number = self.parent_of.get(order_id)
        if number is None:
            return
        qty = cum_qty if reserved is None else reserved.reserved_qty + reserved.cum_qty
        unknown = reserved is not None and reserved.unknown
        child = Child(qty, qty - cum_qty if unknown else 0, closed=reserved is None)
        if child.closed and not self.parents[number].children[order_id].closed:
            self.closed.add(now, order_id)
        self.parents[number].book(order_id, child)
        if child.closed:
            self.tidy(now)

    def tidy(self, now: int) -> None:
        """Let go what has been closed for long. Amortised O(1) a call."""
        for _ in range(LEAVE_MOST):
            due = self.closed.due(self.keep, now)
            if due is None:
                break
            parent = self.parents.get(due[2])
            if parent is None:
                self._child_leaves(due[2])
            elif parent.children:
                self.closed.add(now, parent.order_id)  # after them
            else:
                del self.parents[parent.order_id]

    def _child_leaves(self, order_id: int) -> None:
        number = self.parent_of.get(order_id)
        if number is None or not self.parents[number].children[order_id].closed:
            return  # it closed twice, or was opened again
        parent = self.parents[number]
        parent.left_qty += parent.children.pop(order_id).qty
        del self.parent_of[order_id]

    def check(self) -> None:
        """Assert that what is booked is what the children hold. O(children): for tests and the debugger."""
        for _, parent in look(self.parents):
            assert parent.qty == parent.left_qty + sum(c.qty for c in parent.children.values()), parent
            assert parent.unknown_qty == sum(c.unknown_qty for c in parent.children.values()), parent
