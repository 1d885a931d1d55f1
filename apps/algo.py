"""Algo: a strategy that works parent orders by children. One parent is one intention; the children are how it is done.

    self.work = self.parent(Side.BUY, instrument, "2.5", limit="101.0", end=self.now + 600 * SECOND, algo=AlgoType.TWAP)
    self.slice(self.work, "0.1", book.ask_px)

A parent that a person gives to the strategy (`lockstep parent … --strategy NAME`) is worked like one of its own, if
`parent_given` takes it.

What the children may not do (docs/parent-child.md) the OMS holds at every event; `room` and `slice` keep an algo from asking
for it in the first place.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from apps.app import App
from apps.strategy import Strategy
from apps.venue_watch import VenueWatch
from journal.messages import (
    NULL,
    Alert,
    AlertSeverity,
    AlertState,
    AlgoType,
    AlgoVenue,
    CancelOrder,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    OrderCancelReject,
    OrdStatus,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RoutingDecision,
    ScopeType,
    Side,
    SourceRole,
    order_id_source,
    order_id_text,
)
from oms.destinations import BY_TURNS
from oms.parents import kin_of
from oms.venues import Place

_OVER = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.REJECTED})


class OpenParent(msgspec.Struct):
    """A parent that the algo works and that has not ended: its own, or a person's. Prices and quantities are its instrument's
    mantissas, times ns of the stream."""

    order_id: int
    account: int
    user: int
    instrument: int
    side: int
    qty: int
    limit_px: int = NULL
    start_ts: int = 0
    end_ts: int = 0
    max_slice_qty: int = NULL
    min_slice_qty: int = NULL
    """What a person wants a child to hold at least."""
    status: int = OrdStatus.RECEIVED
    cum_qty: int = 0
    version: int = 0
    children: list[int] = []
    """Orders of it that may be open."""
    venues: list[int] = []
    """Where it may be worked besides its own venue."""
    ends: dict[int, int] = {}
    """Replaces that the OMS has not answered: frame → the end that is wanted, 0: as it is. No report tells it."""
    turn: int = 0
    """The venue its last child went to, where there was a choice."""

    @property
    def takes_children(self) -> bool:
        """The OMS has taken it, and nothing ends it."""
        return self.status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)


class Offered(msgspec.Struct):
    """A person's parent for this strategy that the OMS has not answered yet."""

    order: ParentOrder
    ends: dict[int, int] = {}
    """As of an OpenParent: who gives it may replace it before anybody has answered."""


class Algo(Strategy):
    """Base of strategies with parents."""

    requires: ClassVar[tuple[type[App], ...]] = (*Strategy.requires, VenueWatch)

    def __init__(self) -> None:
        super().__init__()
        self.parents: dict[int, OpenParent] = {}
        self._offered: dict[int, Offered] = {}

    # What a user overrides.

    def parent_given(self, parent: OpenParent, m: ParentOrder) -> bool:  # noqa: ARG002 - for who takes some
        """A person has given us a parent, for an instrument that we trade, and the OMS has taken it: whether we work it. True:
        from now on it is one of `parents`. False: it is left alone, and an alert says so."""
        return False

    def parent_changed(self, parent: OpenParent, m: ExecutionReport) -> None:
        """Something happened to one of our parents; it is over when its status says so."""

    # What a user does.

    def parent(
        self, side: Side, instrument: int, qty: int | Decimal, limit: int | Decimal | None = None, *, start: int = 0,
        end: int = 0, algo: AlgoType = AlgoType.UNDEFINED, max_slice: int | Decimal | None = None, venues: tuple[int, ...] = (),
    ) -> int:  # fmt: skip
        """Ask for a parent order of `qty`, no worse than `limit` (none: any price), from `start` to `end` (ns of the stream; 0:
        now, until canceled), in pieces no larger than `max_slice`, on its own venue and `venues`. Returns its order id, 0 when
        the strategy is stopped."""
        d = self._definition
        if not self.enabled or d is None:
            return 0
        order_id = self._number()
        m = ParentOrder(
            order_id=order_id, account=d.default_account, strategy=d.strategy, user=d.owner_user, instrument=instrument,
            side=side, order_qty=self._qty(instrument, qty), limit_px=NULL if limit is None else self._px(instrument, limit),
            start_ts=start, end_ts=end, algo=algo,
            max_slice_qty=NULL if max_slice is None else self._qty(instrument, max_slice),
            venues=[AlgoVenue(venue=venue) for venue in venues],
        )  # fmt: skip
        self.parents[order_id] = _open(m)
        self.emit(m)
        return order_id

    def room(self, parent_id: int) -> int:
        """What the children do not hold of a parent yet (mantissa); 0 before its start."""
        parent = self.parents.get(parent_id)
        if parent is None or not parent.takes_children or self.now < parent.start_ts:
            return 0
        return max(parent.qty - self.held(parent_id), 0)

    def held(self, parent_id: int) -> int:
        """What the children hold of a parent (mantissa): filled, or able to fill."""
        parent = self.parents.get(parent_id)
        if parent is None:
            return 0
        return parent.cum_qty + sum(self.orders[child].leaves_qty for child in parent.children if child in self.orders)

    def slice(
        self, parent_id: int, qty: int | Decimal, px: int | Decimal | None = None, *, place: Place | None = None, **terms: Any
    ) -> int:
        """Send a child of a parent: at most what there is room for and what a child of it may be, never beyond its limit. Terms
        as in `buy`. Returns its order id, 0 when nothing was sent."""
        room = self.room(parent_id)
        if room == 0:
            return 0
        parent = self.parents[parent_id]
        instrument, account = (place.instrument, place.account) if place is not None else (parent.instrument, parent.account)
        wanted = min(self._qty(instrument, qty), room)
        if parent.max_slice_qty != NULL:
            wanted = min(wanted, parent.max_slice_qty)
        price = None if px is None else self._px(instrument, px)
        if parent.limit_px != NULL:
            bound = min if parent.side == Side.BUY else max
            price = parent.limit_px if price is None else bound(price, parent.limit_px)
        # In the name of whoever the parent is: risk decides on its children only, so the limits of a person hold for these.
        own = {"parent_order_id": parent_id, "account": account, "user": parent.user}
        child = self._one(Side(parent.side), instrument, wanted, price, terms, **own)
        if child:
            parent.children = [*(c for c in parent.children if c in self.orders), child]
        return child

    def slice_anywhere(self, parent_id: int, qty: int | Decimal, px: int | Decimal | None = None, **terms: Any) -> int:
        """As `slice`, on the venue whose turn it is among those of the parent that are up; 0 when none is, or nothing is left.
        The choice is a RoutingDecision on the stream."""
        parent = self.parents.get(parent_id)
        if parent is None or self.room(parent_id) == 0:
            return 0
        place, rows = self.uses(VenueWatch).venues.select(parent.turn, self._places(parent), self.now)
        decision = RoutingDecision(order_id=parent_id, rule=BY_TURNS, candidates=rows)
        if place is None:
            self.emit(decision)
            return 0
        parent.turn, decision.venue = place.venue, place.venue
        child = self.slice(parent_id, qty, px, place=place, **terms)
        decision.order_id = child
        self.emit(decision)
        return child

    def _places(self, parent: OpenParent) -> list[Place]:
        """Where children of a parent may be: its own instrument, and those alike on its venues."""
        ref = self.refdata
        own = ref[parent.instrument]
        places = [Place(own.venue, parent.account, parent.instrument)]
        for i in ref.instruments.values():
            if i.venue in parent.venues and i.venue != own.venue and kin_of(i) == kin_of(own):
                account = next((a.account for a in ref.accounts.values() if a.venue == i.venue), 0)
                places += [Place(i.venue, account, i.instrument)] if account else []
        return places

    def cancel_parent(self, parent_id: int) -> None:
        """Ask to end a parent; the OMS cancels its children."""
        parent = self.parents.get(parent_id)
        if parent is not None and parent.status != OrdStatus.PENDING_CANCEL:
            parent.version += 1
            self.emit(CancelOrder(order_id=parent_id, version=parent.version, reason=Reason.USER_REQUEST))

    def replace_parent(
        self, parent_id: int, *, qty: int | Decimal | None = None, limit: int | Decimal | None = None, end: int = 0
    ) -> None:
        """Ask for new terms of a parent: total quantity, limit, end. Not given: left as it is. Nothing for one that a person
        has given: its terms are theirs."""
        parent = self.parents.get(parent_id)
        if parent is None or order_id_source(parent_id) != self.me:
            return
        parent.version += 1
        self.emit(
            ReplaceOrder(
                order_id=parent_id, version=parent.version, expire_ts=end,
                order_qty=NULL if qty is None else self._qty(parent.instrument, qty),
                price_px=NULL if limit is None else self._px(parent.instrument, limit),
            )
        )  # fmt: skip

    def cancel_all(self, instrument: int = 0) -> None:
        """Ask to end all our own parents (of an instrument), and cancel what is no child of them. A person's parent loses its
        children only: whoever stops the strategy has not taken it back, and once started again it is worked on."""
        for parent in list(self.parents.values()):
            if instrument in (0, parent.instrument) and order_id_source(parent.order_id) == self.me:
                self.cancel_parent(parent.order_id)
        super().cancel_all(instrument)

    # The machinery.

    def on_parent_order(self, m: ParentOrder) -> None:
        """Keep what a person gives to this strategy until the OMS has answered."""
        d = self._definition
        if d is not None and m.strategy == d.strategy and self.refdata.roles.get(self.source) == SourceRole.OPERATOR:
            self._offered.setdefault(m.order_id, Offered(m))

    def on_replace_order(self, m: ReplaceOrder) -> None:
        """New terms of a parent are asked for, by us or by the person whose it is."""
        parent = self.parents.get(m.order_id) or self._offered.get(m.order_id)
        if parent is not None:
            parent.ends[self.seq] = m.expire_ts

    def _cancel_reject(self, m: OrderCancelReject) -> None:
        parent = self.parents.get(m.order_id) or self._offered.get(m.order_id)
        if parent is not None and parent.ends and m.response_to == CxlRejResponseTo.REPLACE:
            del parent.ends[next(iter(parent.ends))]  # the OMS answers in the order of asking
        super()._cancel_reject(m)

    def _execution_report(self, m: ExecutionReport) -> None:
        if not m.report_flags & ReportFlag.PARENT:
            super()._execution_report(m)
            return
        offered = self._offered.pop(m.order_id, None)
        parent = self.parents.get(m.order_id)
        if offered is not None and parent is None and m.exec_type == ExecType.NEW:
            self._given(offered, m)
        elif parent is not None and (m.exec_type != ExecType.REJECTED or parent.status == OrdStatus.RECEIVED):
            _follow(parent, m)
            if m.ord_status in _OVER:
                del self.parents[m.order_id]
            self.parent_changed(parent, m)

    def _given(self, offered: Offered, m: ExecutionReport) -> None:
        """The OMS has taken a person's parent. They are told whether anybody works it."""
        parent = self.parents[m.order_id] = _open(offered.order)
        parent.ends = offered.ends
        _follow(parent, m)
        name = f"parent {order_id_text(m.order_id)}"
        if self.trades(m.instrument) and self.parent_given(parent, offered.order):
            self.log(f"{name} is worked" if self.enabled else f"{name} waits: the strategy is stopped")
            return
        del self.parents[m.order_id]
        why = f"{type(self).__name__} takes none like it"
        self.emit(
            Alert(
                alert=m.order_id, about_seq=self.seq, severity=AlertSeverity.WARNING, state=AlertState.RAISED,
                scope_type=ScopeType.ORDER_TREE, scope_order_id=m.order_id, text=f"{name} is worked by nobody: {why}",
            )
        )  # fmt: skip


def _open(m: ParentOrder) -> OpenParent:
    return OpenParent(
        m.order_id, m.account, m.user, m.instrument, m.side, m.order_qty, m.limit_px, m.start_ts, m.end_ts, m.max_slice_qty,
        m.min_slice_qty, venues=[row.venue for row in m.venues],
    )  # fmt: skip


def _follow(parent: OpenParent, m: ExecutionReport) -> None:
    """What the OMS says of it. Others may have changed it, too: what we ask next is of a later version."""
    parent.status, parent.cum_qty, parent.qty, parent.limit_px = m.ord_status, m.cum_qty, m.order_qty, m.price_px
    parent.version = max(parent.version, m.version)
    if m.exec_type == ExecType.REPLACED:
        parent.end_ts = parent.ends.pop(m.exec_ref_seq, 0) or parent.end_ts
