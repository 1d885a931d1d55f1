"""Replaces and cancels with a release time. (New orders with one are held, see `held`.)

A replace is decided by risk when it is asked and pending from then on; it is routed when its time is there, by the pass it has.
A cancel is remembered and asked when its time is there; it holds no other cancel back."""

from __future__ import annotations

from journal.messages import CancelOrder, CxlRejResponseTo, Decision, Reason, ReplaceOrder, RiskDecision
from oms.instructions import Later, Scheduled
from oms.massing import Massing
from oms.order import Order, Request
from oms.transitions import Event


class Releasing(Massing):
    """Requests that wait for the stream's time."""

    def on_cancel_order(self, m: CancelOrder) -> None:
        """At once, or at its time."""
        if m.release_ts <= self.ctx.now:
            super().on_cancel_order(m)
            return
        order = self.memory.find(m.order_id, self.ctx.now)
        reason = self._not_allowed(order, m, replace=False)
        if not reason and order is not None and order.closed:
            reason = Reason.TOO_LATE
        if order is None or reason:
            self._refuse_ask(order, m, CxlRejResponseTo.CANCEL, reason)
            return
        version = m.version or order.next_version
        order.last_version = max(order.last_version, version)
        i = self.memory.instructions
        i.scheduled.append(Scheduled(m.release_ts, m.order_id, version, m.reason or Reason.USER_REQUEST))
        self.arm_shared()

    def on_replace_order(self, m: ReplaceOrder) -> None:
        """Pending from now on; sent at its time."""
        super().on_replace_order(m)
        order = self.memory.orders.get(m.order_id)
        ours = order is not None and order.replace is not None and order.replace.request_seq == self.ctx.seq
        if ours and m.release_ts > self.ctx.now:
            self.memory.instructions.later[m.order_id] = Later(m.release_ts)

    def replace_decided(self, order: Order, request: Request, m: RiskDecision, *, risk_seq: int) -> None:
        """A pass of a replace whose time is not there yet is kept."""
        later = self.memory.instructions.later.get(order.order_id)
        if later is not None and m.decision != Decision.REJECT and self.ctx.now < later.at:
            later.pass_body, later.pass_seq = m.encode(), risk_seq
            self.arm(order)
            return
        self.memory.instructions.later.pop(order.order_id, None)
        super().replace_decided(order, request, m, risk_seq=risk_seq)

    def moved(self, order: Order) -> None:
        """A replace that ended otherwise is not waited for."""
        super().moved(order)
        later = self.memory.instructions.later
        if later and order.replace is None:
            later.pop(order.order_id, None)

    def due(self, order: Order) -> int:
        """As before, or when its replace is to be sent."""
        i = self.memory.instructions
        if not (i.holds or i.ends or i.later or i.list_of):
            return 0
        due, later = super().due(order), i.later.get(order.order_id)
        return min((d for d in (due, later.at if later is not None and later.pass_seq else 0) if d), default=0)

    def on_timer(self, token: int) -> None:
        """The time of a replace is there."""
        order, later = self.memory.orders.get(token), self.memory.instructions.later.get(token)
        if (
            order is not None
            and later is not None
            and order.replace is not None
            and later.pass_seq
            and later.at <= self.ctx.now
        ):
            decision = RiskDecision.decode(later.pass_body)
            self.replace_decided(order, order.replace, decision, risk_seq=later.pass_seq)
        super().on_timer(token)

    def shared_due(self) -> None:
        """The time of a cancel is there."""
        super().shared_due()
        i = self.memory.instructions
        due = sorted(s for s in i.scheduled if s.at <= self.ctx.now)
        i.scheduled[:] = [s for s in i.scheduled if s.at > self.ctx.now]
        for s in due:
            order = self.memory.find(s.order_id, self.ctx.now)
            if order is None:
                late = CancelOrder(order_id=s.order_id, version=s.version)
                self._refuse_ask(None, late, CxlRejResponseTo.CANCEL, Reason.TOO_LATE)
                continue
            reason: int = Reason.ALREADY_PENDING if order.cancel is not None else 0
            reason = reason or self.cancel(order, Event.CANCEL_ASKED, version=s.version, reason=s.reason)
            if reason:
                self.refuse(order, CxlRejResponseTo.CANCEL, s.version, reason)

    def shared_dues(self) -> list[int]:
        """As before, and the times of cancels."""
        return super().shared_dues() + [s.at for s in self.memory.instructions.scheduled]
