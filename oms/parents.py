"""Parents: orders that are worked by other orders. What a parent bounds is held after every event of every child, not only when
a child is sent; what a venue does beyond it is alerted and canceled.

A parent has no risk decision and goes to no venue: each of its children does. It is reported like any order, with the flag
PARENT and never as a trade, for the trades are its children's. It ends when no child lives any more.
"""

from __future__ import annotations

from typing import Any

from journal.messages import (
    NULL,
    CancelOrder,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    KillLevel,
    KillSwitch,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    Side,
    SourceRole,
    TimeInForce,
    order_id_source,
)
from journal.messages.family import Held, Wanted, Whose, fault, may_work, outlives, worse
from journal.messages.scopes import Subject, kill_covers
from journal.messages.tables import look
from oms.asked import QTY_MAX
from oms.core import CANCEL_ANSWERS
from oms.order import VERSION_MAX, Order, Unknown
from oms.ownership import Ownership
from oms.parent import Child, Parent, split
from oms.transitions import Cell, Event

_SIDES = (Side.BUY, Side.SELL, Side.SELL_SHORT, Side.SELL_SHORT_EXEMPT)
_EXEC_TYPE_OF_END = {
    OrdStatus.CANCELED: ExecType.CANCELED, OrdStatus.EXPIRED: ExecType.EXPIRED, OrdStatus.FILLED: ExecType.ORDER_STATUS,
}  # fmt: skip


def kin_of(m: InstrumentDefined) -> tuple[int, ...]:
    """What two instruments have alike when a child of one may work a parent of the other: the same asset against the same
    currency, in the same units."""
    multiplier = m.multiplier if m.multiplier not in (NULL, 0) else 1
    return (
        m.instrument_type, m.contract, m.base_currency, m.quote_currency, m.px_exp, m.qty_exp, multiplier, m.multiplier_exp,
        m.expiry_ts, m.strike_px, m.option_type,
    )  # fmt: skip


class Parents(Ownership):
    """Handlers of parents, and the watch over their children."""

    def learn_kin(self, m: InstrumentDefined) -> None:
        """Remember what makes instruments of several venues alike. A stream with one venue has no need of it."""
        memory = self.memory
        if m.venue > 1 or memory.kin or any(venue > 1 for venue in memory.account_venue.values()):
            memory.kin[m.instrument] = kin_of(m)

    # What is asked of a parent.

    def on_parent_order(self, m: ParentOrder) -> None:
        """It works from here on, or is refused at once."""
        foreign = m.order_id == 0 or order_id_source(m.order_id) != self.ctx.source
        parent = Parent(
            order_id=m.order_id, source=self.ctx.source, account=m.account, instrument=m.instrument, side=m.side,
            order_qty=m.order_qty, limit_px=m.limit_px, max_slice_qty=m.max_slice_qty, start_ts=m.start_ts, end_ts=m.end_ts,
            strategy=m.strategy, user=m.user, venues=[v.venue for v in m.venues], request_seq=self.ctx.seq,
        )  # fmt: skip
        self.memory.tidy(self.ctx.now)
        known = m.order_id in self.memory.parents or self.memory.peek(m.order_id) is not None
        if foreign or known or self.memory.has_left(m.order_id):
            # Not recorded: the id is another's.
            self._refuse_parent(parent, Reason.NOT_OWNER if foreign else Reason.DUPLICATE_ORDER_ID)
            return
        self.memory.parents[m.order_id] = parent
        reason = self._invalid(m) or (Reason.KILL_SWITCH_ACTIVE if self._parent_killed(parent) else 0)
        if reason:
            self._refuse_parent(parent, reason)
            return
        self._parent_report(parent, ExecType.NEW)
        if m.end_ts:
            self.ctx.set_timer(m.end_ts, m.order_id)

    def _invalid(self, m: ParentOrder) -> int:
        if m.side not in _SIDES:
            return Reason.INVALID_SIDE
        if not 0 < m.order_qty < QTY_MAX or any(qty != NULL and qty <= 0 for qty in (m.max_slice_qty, m.min_slice_qty)):
            return Reason.INVALID_QUANTITY
        if NULL not in (m.max_slice_qty, m.min_slice_qty) and m.min_slice_qty > m.max_slice_qty:
            return Reason.INVALID_QUANTITY  # no slice is both
        if m.limit_px != NULL and not -QTY_MAX < m.limit_px < QTY_MAX:
            return Reason.INVALID_PRICE
        if m.instrument not in self.memory.instrument_venue:
            return Reason.UNKNOWN_INSTRUMENT
        if m.end_ts and (m.end_ts <= self.ctx.now or m.end_ts <= m.start_ts):
            return Reason.INVALID_EXPIRE_TIME
        return 0

    def _refuse_parent(self, parent: Parent, reason: int) -> None:
        if self.memory.parents.get(parent.order_id) is parent:
            self.memory.closed.add(self.ctx.now, parent.order_id)
        parent.base = OrdStatus.REJECTED
        parent.order_qty = parent.order_qty if 0 < parent.order_qty < QTY_MAX else 0
        self._parent_report(parent, ExecType.REJECTED, reason=reason)

    def on_cancel_order(self, m: CancelOrder) -> None:
        """A parent is canceled with its children, and has ended when they have. Who works it may give it back."""
        parent = self.memory.parents.get(m.order_id)
        if parent is None:
            super().on_cancel_order(m)
            return
        works = self._works(self.ctx.source, parent.strategy, parent)
        reason = self._parent_not_allowed(parent, m, (SourceRole.OPERATOR, SourceRole.RISK), works=works)
        if reason:
            self._refuse_parent_ask(parent, m, CxlRejResponseTo.CANCEL, reason)
            return
        parent.version = max(m.version, min(parent.version + 1, VERSION_MAX))
        self._end_parent(parent, OrdStatus.CANCELED, m.reason or Reason.USER_REQUEST)

    def on_replace_order(self, m: ReplaceOrder) -> None:
        """New terms of a parent hold at once, if its children can live with them; those of a child, if its parent can."""
        parent = self.memory.parents.get(m.order_id)
        if parent is None:
            self._replace_child(m)
            return
        reason = self._parent_not_allowed(parent, m, (SourceRole.OPERATOR,)) or self._too_tight(parent, m)
        if reason:
            self._refuse_parent_ask(parent, m, CxlRejResponseTo.REPLACE, reason)
            return
        parent.version = max(m.version, min(parent.version + 1, VERSION_MAX))
        parent.order_qty = parent.order_qty if m.order_qty == NULL else m.order_qty
        parent.limit_px = parent.limit_px if m.price_px == NULL else m.price_px
        if m.expire_ts:
            parent.end_ts = m.expire_ts
            self.ctx.set_timer(parent.end_ts, parent.order_id)
        self._parent_report(parent, ExecType.REPLACED, exec_ref_seq=self.ctx.seq)
        self._settle_parent(parent)

    def _parent_not_allowed(
        self, parent: Parent, m: CancelOrder | ReplaceOrder, others: tuple[SourceRole, ...], *, works: bool = False
    ) -> int:
        if not works and self.ctx.source != parent.source and self.memory.roles.get(self.ctx.source, 0) not in others:
            return Reason.NOT_OWNER
        if parent.closed:
            return Reason.TOO_LATE
        if parent.ending:
            return Reason.ALREADY_PENDING
        if m.version and m.version <= parent.version:
            return Reason.STALE_VERSION
        if m.conditional_on_version and m.conditional_on_version != parent.version:
            return Reason.CONDITIONAL_VERSION_FAILED
        return 0

    def _too_tight(self, parent: Parent, m: ReplaceOrder) -> int:
        """Why new terms of a parent cannot be: what its children have done or may do would break them."""
        if (m.stop_px, m.display_qty) != (NULL, NULL):
            return Reason.REPLACE_NOT_ALLOWED
        qty = parent.order_qty if m.order_qty == NULL else m.order_qty
        limit = parent.limit_px if m.price_px == NULL else m.price_px
        end_ts = m.expire_ts or parent.end_ts
        if not 0 < qty < QTY_MAX:
            return Reason.INVALID_QUANTITY
        if (qty, limit, end_ts) == (parent.order_qty, parent.limit_px, parent.end_ts):
            return Reason.REPLACE_HAS_NO_EFFECT
        if m.expire_ts and (end_ts <= self.ctx.now or end_ts <= parent.start_ts):
            return Reason.INVALID_EXPIRE_TIME
        if qty < parent.cum_qty:
            return Reason.REPLACE_BELOW_CUM
        if qty < parent.held_qty:
            known = parent.held_qty - parent.unknown_qty
            return Reason.CHILD_EXCEEDS_PARENT if qty < known else Reason.CHILD_UNKNOWN_BLOCKS
        bounds = parent.bounds
        assert bounds is not None
        for order in self._living(parent):
            prices = [order.price_px] + ([order.replace.price_px] if order.replace is not None else [])
            if any(worse(parent.side, px, limit) for px in prices):
                return Reason.CHILD_WORSE_THAN_LIMIT
            if end_ts and order.expire_ts > end_ts and outlives(bounds, order.tif, order.expire_ts):
                return Reason.CHILD_OUTLIVES_PARENT
        return 0

    def _refuse_parent_ask(self, parent: Parent, m: CancelOrder | ReplaceOrder, response_to: int, reason: int) -> None:
        self.ctx.emit(
            OrderCancelReject(
                order_id=parent.order_id, version=m.version, reason=reason, response_to=response_to,
                ord_status=parent.ord_status,
            )
        )  # fmt: skip

    # What is asked of a child.

    def on_new_order(self, m: NewOrder) -> None:
        """An order that names a parent joins it, or is refused."""
        if m.order_id in self.memory.parents:
            known = self.memory.parents[m.order_id]
            reason = Reason.DUPLICATE_ORDER_ID if known.source == self.ctx.source else Reason.NOT_OWNER
            self._parent_report(known, ExecType.REJECTED, reason=reason)
            return
        super().on_new_order(m)
        order = self.memory.orders.get(m.order_id) if m.parent_order_id else None
        if order is None or order.request_seq != self.ctx.seq or order.closed:
            return
        wanted = Wanted(
            side=m.side, order_qty=m.order_qty, price_px=m.price_px, tif=m.tif, expire_ts=m.expire_ts,
            quantity_type=m.quantity_type, alike=self._alike(m.parent_order_id, m.instrument, m.account),
        )  # fmt: skip
        parent, wrong = self._judge(m.parent_order_id, order, wanted)
        if parent is not None and wrong not in (Reason.NOT_OWNER, Reason.CHILD_DIFFERS):
            # Also one that is refused: should a venue ever fill it, it counts.
            parent.children[m.order_id] = Child()
        if wrong:
            self.step(order, Event.RISK_REJECT, reason=wrong)
        elif parent is not None:
            self._book(parent, order)

    def _replace_child(self, m: ReplaceOrder) -> None:
        order = self.memory.find(m.order_id, self.ctx.now)
        parent = self.memory.parents.get(order.parent_order_id) if order is not None else None
        if order is not None and parent is not None and m.order_id in parent.children and not order.closed:
            wanted = Wanted(
                side=order.side, order_qty=order.order_qty if m.order_qty == NULL else m.order_qty,
                price_px=order.price_px if m.price_px == NULL else m.price_px, tif=order.tif,
                expire_ts=m.expire_ts or order.expire_ts,
            )  # fmt: skip
            _, reason = self._judge(parent.order_id, order, wanted)
            if reason and self._not_allowed(order, m, replace=True) == 0:
                self._refuse_ask(order, m, CxlRejResponseTo.REPLACE, reason)
                return
        super().on_replace_order(m)

    def _judge(self, parent_id: int, order: Order, wanted: Wanted) -> tuple[Parent | None, int]:
        """The parent and why the child may not be, or be so. The others' holdings count, its own not."""
        parent = self.memory.parents.get(parent_id)
        if parent is not None and not self._works(order.source, order.strategy, parent):
            return parent, Reason.NOT_OWNER
        own = parent.children.get(order.order_id) if parent is not None else None
        held = Held(0)
        if parent is not None:
            mine = own or Child()
            held = Held(parent.held_qty - mine.held_qty, parent.unknown_qty - _unknown(mine))
        return parent, fault(parent.bounds if parent is not None else None, wanted, held, self.ctx.now)

    def _works(self, source: int, strategy: int, parent: Parent) -> bool:
        own, theirs = Whose(source, strategy), Whose(parent.source, parent.strategy)
        return may_work(own, theirs, roles=self.memory.roles, apps=self.memory.apps)

    def _alike(self, parent_id: int, instrument: int, account: int) -> bool:
        parent = self.memory.parents.get(parent_id)
        if parent is None or parent.instrument == instrument:
            return parent is None or parent.account == account
        kin = self.memory.kin
        there = self.memory.instrument_venue.get(instrument, 0) in parent.venues
        return there and parent.instrument in kin and kin.get(instrument) == kin[parent.instrument]

    # The watch.

    def step(self, order: Order, event: Event, **what: Any) -> Cell:
        """As for any order; then its parent is looked at."""
        cell = super().step(order, event, **what)
        if order.parent_order_id:
            self.child_moved(order, later=event in CANCEL_ANSWERS)
        return cell

    def child_moved(self, order: Order, *, later: bool = False) -> None:
        """Something about a child has changed. `later`: its cancel was just refused; asking again has to wait."""
        parent = self.memory.parents.get(order.parent_order_id)
        if parent is None or order.order_id not in parent.children:
            return
        late = parent.closed
        before = parent.essence()
        self._book(parent, order)
        if not order.closed:
            self._rein(parent, order, later=later)
        elif parent.held_qty > parent.order_qty:  # filled beyond what was left for it: the others have too much
            for other in self._living(parent):
                self._rein(parent, other)
        if parent.cum_qty > parent.order_qty and not parent.breached:
            parent.breached = True
            self.alert(order, Reason.OVERFILL, f"the children filled {parent.cum_qty} of a parent of {parent.order_qty}")
        self._settle_parent(parent)
        if parent.essence() != before and parent.closed == late:
            flags = ReportFlag.LATE_FILL if late else 0
            self._parent_report(parent, ExecType.ORDER_STATUS, flags=flags)

    def _book(self, parent: Parent, order: Order) -> None:
        """Recompute what the child holds, and book the difference: nothing is ever counted twice."""
        child = parent.children[order.order_id]
        most = order.order_qty
        if order.replace is not None:
            most = max(most, order.replace.order_qty)
        now = Child(
            cum_qty=order.cum_qty, held_qty=order.cum_qty if order.closed else max(most, order.cum_qty),
            live=not order.closed, unknown=bool(order.unknown),
        )  # fmt: skip
        now.notional_high, now.notional_low = split(order.cum_notional)
        parent.cum_qty += now.cum_qty - child.cum_qty
        parent.held_qty += now.held_qty - child.held_qty
        parent.unknown_qty += _unknown(now) - _unknown(child)
        parent.live += now.live - child.live
        parent.add_notional(order.cum_notional - child.cum_notional)
        parent.children[order.order_id] = now

    def _rein(self, parent: Parent, order: Order, *, later: bool = False) -> None:
        """A child that lives although it should not, or beyond what its parent allows, is canceled: by its venue's doing, for
        nothing of the kind was ever sent."""
        reason = 0
        if parent.held_qty > parent.order_qty:
            reason = Reason.CHILD_EXCEEDS_PARENT
        elif worse(parent.side, order.price_px, parent.limit_px):
            reason = Reason.CHILD_WORSE_THAN_LIMIT
        if reason:
            if not parent.breached:
                parent.breached = True
                self.alert(order, reason, f"held {parent.held_qty} of {parent.order_qty}, price {order.price_px}: canceled")
        elif parent.closed or parent.ending:
            reason = Reason.PARENT_CANCELED
        if reason and later:
            parent.children[order.order_id].again = True
            self.ctx.set_timer(self.ctx.now + self.request_timeout_ns, parent.order_id)
        elif reason:
            self._cancel_child(order, reason)

    def _cancel_child(self, order: Order, reason: int) -> None:
        if order.cancel is None and not order.closed:
            self.cancel(order, Event.CANCEL_ASKED, version=order.last_version, reason=reason)

    def _living(self, parent: Parent) -> list[Order]:
        living = [self.memory.orders.get(number) for number, child in parent.children.items() if child.live]
        return [order for order in living if order is not None and not order.closed]

    # Its end.

    def _end_parent(self, parent: Parent, base: int, reason: int) -> None:
        """From here on no child is taken, and those that live are canceled."""
        parent.ending, parent.reason = base, reason
        if parent.live:
            self._parent_report(parent, ExecType.PENDING_CANCEL, reason=reason)
        for order in self._living(parent):
            self._cancel_child(order, Reason.PARENT_CANCELED)
        self._settle_parent(parent)

    def _settle_parent(self, parent: Parent) -> None:
        """Let the state follow the quantities; close it when nothing lives any more."""
        if parent.closed:
            # A late fill may complete it, a trade taken back may open a hole: it stays over.
            if parent.cum_qty >= parent.order_qty:
                parent.base = OrdStatus.FILLED
            elif parent.base == OrdStatus.FILLED:
                parent.base = OrdStatus.CANCELED
            return
        filled = parent.cum_qty >= parent.order_qty
        if not filled and not (parent.ending and parent.live == 0):
            parent.base = OrdStatus.PARTIALLY_FILLED if parent.cum_qty else OrdStatus.NEW
            return
        parent.base = OrdStatus.FILLED if filled else parent.ending
        self.memory.closed.add(self.ctx.now, parent.order_id)
        self.ctx.cancel_timer(parent.order_id)
        self._parent_report(parent, _EXEC_TYPE_OF_END[OrdStatus(parent.base)], reason=0 if filled else parent.reason)
        for order in self._living(parent):
            self._cancel_child(order, Reason.PARENT_CANCELED)

    def parent_due(self, order_id: int) -> None:
        """A parent's time is up, or a cancel of a child has to be tried again."""
        parent = self.memory.parents[order_id]
        if not parent.closed and not parent.ending and 0 < parent.end_ts <= self.ctx.now:
            self._end_parent(parent, OrdStatus.EXPIRED, Reason.EXPIRED_BY_TIME)
            return
        for order in self._living(parent):
            self._rein(parent, order)
        if parent.end_ts > self.ctx.now and not parent.closed and not parent.ending:
            self.ctx.set_timer(parent.end_ts, order_id)

    def kill_parents(self, m: KillSwitch) -> None:
        """A kill that cancels ends the parents it covers; their children it has reached itself, or the end does."""
        if m.level < KillLevel.BLOCK_CANCEL:
            return
        for number in [parent.order_id for parent in self.memory.open_parents()]:
            parent = self.memory.parents[number]
            if not parent.closed and not parent.ending and kill_covers(m, self._parent_subject(parent)):
                self._end_parent(parent, OrdStatus.CANCELED, Reason.KILL_SWITCH_ACTIVE)

    def _parent_killed(self, parent: Parent) -> bool:
        subject = self._parent_subject(parent)
        return any(kill_covers(KillSwitch.decode(body), subject) for body in self.memory.kills.values())

    def _parent_subject(self, parent: Parent) -> Subject:
        return Subject(
            order_id=parent.order_id, account=parent.account, strategy=parent.strategy, user=parent.user,
            instrument=parent.instrument, venue=self.memory.instrument_venue.get(parent.instrument, 0), source=parent.source,
        )  # fmt: skip

    # What is said of it.

    def _parent_report(self, parent: Parent, exec_type: int, *, reason: int = 0, flags: int = 0, exec_ref_seq: int = 0) -> None:
        flags |= ReportFlag.PARENT | (ReportFlag.OVERFILL if parent.cum_qty > parent.order_qty else 0)
        self.ctx.emit(
            ExecutionReport(
                order_id=parent.order_id, account=parent.account, strategy=parent.strategy, user=parent.user,
                instrument=parent.instrument, side=parent.side, tif=TimeInForce.GTD if parent.end_ts else TimeInForce.GTC,
                ord_type=OrdType.MARKET if parent.limit_px == NULL else OrdType.LIMIT, version=parent.version,
                order_qty=parent.order_qty, price_px=parent.limit_px, cum_qty=parent.cum_qty, leaves_qty=parent.leaves_qty,
                cxl_qty=parent.cxl_qty, cum_notional=parent.cum_notional, exec_type=exec_type, ord_status=parent.ord_status,
                reason=reason, report_flags=flags, exec_ref_seq=exec_ref_seq,
            )
        )  # fmt: skip

    def check_parents(self) -> None:
        """Assert every invariant of every parent, from the orders themselves. O(children): for tests and the debugger."""
        for number, parent in look(self.memory.parents):
            where = f"parent {number}: {parent!r}"
            assert parent.order_id == number, where
            orders = [self.memory.peek(child) for child in parent.children]
            cum, held, notional = parent.left.cum_qty, parent.left.held_qty, parent.left.cum_notional
            unknown = live = 0
            for order in orders:
                assert order is not None, where
                assert (order.parent_order_id, order.side) == (number, parent.side), where  # I-24
                assert self._works(order.source, order.strategy, parent), where
                assert self._alike(number, order.instrument, order.account), where
                most = max(order.order_qty, order.replace.order_qty if order.replace is not None else 0, order.cum_qty)
                mine = order.cum_qty if order.closed else most
                cum, held, notional = cum + order.cum_qty, held + mine, notional + order.cum_notional
                unknown += mine - order.cum_qty if order.unknown != Unknown.NO else 0
                live += not order.closed
                if not order.closed:
                    assert parent.breached or not worse(parent.side, order.price_px, parent.limit_px), where  # I-24
                    ends = order.cancel is not None or parent.children[order.order_id].again
                    assert ends or not (parent.closed or parent.ending), where  # I-25
            assert (parent.cum_qty, parent.held_qty, parent.unknown_qty, parent.live) == (cum, held, unknown, live), where
            assert parent.cum_notional == notional, where
            assert parent.held_qty <= parent.order_qty or parent.breached, where  # I-23
            assert parent.cum_qty + parent.leaves_qty + parent.cxl_qty == max(parent.order_qty, parent.cum_qty), where
            if parent.base == OrdStatus.FILLED:
                assert parent.cum_qty >= parent.order_qty, where
            else:
                assert parent.cum_qty < parent.order_qty or parent.base == OrdStatus.REJECTED, where


def _unknown(child: Child) -> int:
    return child.held_qty - child.cum_qty if child.unknown else 0
