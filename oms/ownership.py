"""Ownership: several strategies share one login at a venue, and each has its own instruments there."""

from __future__ import annotations

from journal.messages import NewOrder, OwnershipDefined, Reason
from oms.answered import Answered
from oms.transitions import Event


class Ownership(Answered):
    """Refuses what another strategy owns."""

    def on_ownership_defined(self, m: OwnershipDefined) -> None:
        """From here on; without `exclusive` it is given up."""
        key = f"{m.account}/{m.instrument}"
        if m.exclusive:
            self.memory.owners[key] = m.strategy
        else:
            self.memory.owners.pop(key, None)

    def on_new_order(self, m: NewOrder) -> None:
        """As always, unless another strategy alone may trade this instrument on this account."""
        super().on_new_order(m)
        owner = self.memory.owners.get(f"{m.account}/{m.instrument}", m.strategy)
        order = self.memory.orders.get(m.order_id) if owner != m.strategy else None
        if order is not None and order.request_seq == self.ctx.seq and not order.closed:
            self.step(order, Event.RISK_REJECT, reason=Reason.NOT_OWNER)
