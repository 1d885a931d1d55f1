"""Cancels that go together: by the venue's own mass cancel where that hits exactly what is meant, else one by one.

A venue's mass cancel is about a whole account. So it goes out only where every open order of the account, ours, held or another
session's, is to be canceled anyway, by the one connection that account has: what is asked for later is behind it there. Each
order has its cancel under way as if it had been sent alone. What became of it the venue says order by order; where the mass
cancel was not done, each order's own cancel goes after all.
"""

from __future__ import annotations

from journal.messages import (
    GatewayPhase,
    OrderSent,
    OrdStatus,
    RoutedCancelAll,
    ScopeType,
    SendRefused,
    SupportType,
    VenueMassCancelReport,
)
from oms.answered import Answered
from oms.budgets import Action
from oms.order import Order, Request
from oms.transitions import Event

_CANCEL_ALL = int(SupportType.CANCEL_ALL)
_WORTH = 2
"""For one order its own cancel says more exactly what is meant."""


class Together(Answered):
    """Many cancels of one decision, and the answers to those that went as one."""

    def cancel_together(self, orders: list[Order], event: Event, *, reason: int) -> None:
        """Cancel these orders, those that have no cancel under way yet."""
        masses = self._masses(orders)
        for order in orders:
            if order.closed or order.cancel is not None:
                continue  # an earlier one's end has ended it, or it is waited for already
            if f"{order.venue}/{order.account}" in masses and _sendable(order):
                self._cancel_by_mass(order, event, reason)
            else:
                self.cancel(order, event, version=0, reason=reason)
            self.arm(order)
        for destination, account in masses.values():
            self.ctx.emit(
                RoutedCancelAll(
                    scope_type=ScopeType.ACCOUNT, scope_account=account, request=self.ctx.seq, account=account,
                    destination=destination, reason=reason,
                )
            )  # fmt: skip

    def _masses(self, orders: list[Order]) -> dict[str, tuple[int, int]]:
        """venue/account → (destination, account) of what goes as one."""
        offers = self.memory.instructions.offers
        if not any(offer.supports & _CANCEL_ALL for offer in offers.values()):
            return {}
        meant = {order.order_id for order in orders}
        spared = {f"{o.venue}/{o.account}" for o in self.open_orders() if o.order_id not in meant}
        found: dict[str, list[Order]] = {}
        for order in orders:
            offer = offers.get(order.venue)
            if offer is not None and offer.supports & _CANCEL_ALL and _sendable(order):
                found.setdefault(f"{order.venue}/{order.account}", []).append(order)
        return {
            key: (group[0].destination, group[0].account)
            for key, group in found.items()
            if len(group) >= _WORTH
            and key not in spared
            and self._one_way(group[0])
            and self.fits_as_one(group[0], Action.CANCEL)
        }

    def _one_way(self, order: Order) -> bool:
        """Whether the venue is reached, and by this connection only: over another a later order could come before."""
        ready = self.gate(order.venue, order.account).phase == GatewayPhase.READY
        return ready and not self.several(order.venue, order.account)

    def _cancel_by_mass(self, order: Order, event: Event, reason: int) -> None:
        def overlay() -> None:
            order.cancel = Request(
                request_seq=self.ctx.seq, version=0, reason=reason, routed=True,
                deadline=self.ctx.now + self.request_timeout_ns,
            )  # fmt: skip

        self.step(order, event, then=overlay, reason=reason)

    # What became of it.

    def on_routed_cancel_all(self, m: RoutedCancelAll) -> None:
        """Learn its number: what gateway and venue will name."""
        for order in self.open_orders():
            request = order.cancel
            if order.account == m.account and request is not None and request.routed and request.request_seq == m.request:
                request.routed_seq = self.ctx.seq

    def _sent_by(self, seq: int) -> list[Order]:
        return [o for o in self.open_orders() if seq and o.cancel is not None and o.cancel.routed_seq == seq]

    def on_order_sent(self, m: OrderSent) -> None:
        """As for any request; a mass cancel names no order."""
        super().on_order_sent(m)
        for order in self._sent_by(m.request_seq) if not m.order_id else ():
            if order.cancel is not None:
                order.cancel.deadline = self.ctx.now + self.request_timeout_ns
            self.arm(order)

    def on_send_refused(self, m: SendRefused) -> None:
        """As for any request; of a mass cancel: each order's own goes, and is answered."""
        super().on_send_refused(m)
        if not m.order_id:
            self._one_by_one(m.request_seq)

    def on_venue_mass_cancel_report(self, m: VenueMassCancelReport) -> None:
        """Done: each order's own end follows. Not done, or nobody knows: a cancel is harmless twice."""
        if m.reason:
            self._one_by_one(m.request_seq)

    def _one_by_one(self, seq: int) -> None:
        for order in self._sent_by(seq):
            self.route_cancel(order)
            self.arm(order)


def _sendable(order: Order) -> bool:
    """At the venue, or on its way there, without a cancel."""
    return not (order.closed or order.held or order.base == OrdStatus.RECEIVED or order.cancel is not None)
