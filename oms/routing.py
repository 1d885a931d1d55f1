"""Which way an order goes, and whether that way is open."""

from __future__ import annotations

from journal.messages import GatewayPhase, KillLevel, NewOrder, Reason
from oms.core import Core
from oms.memory import Route
from oms.order import Order

_DOWN = (
    GatewayPhase.STOPPED, GatewayPhase.CONNECTING, GatewayPhase.LOGIN_SENT, GatewayPhase.LOGGED_OUT, GatewayPhase.DISCONNECTED
)  # fmt: skip


def is_down(phase: int) -> bool:
    """Whether a gateway in this phase has lost its venue."""
    return phase in _DOWN


class Routing(Core):
    """Destinations, gates, kills: what is asked just before something is routed."""

    def route_for(self, new: NewOrder) -> Route | None:
        """The destination asked for, or the one defined for the order's account and the instrument's venue; the lowest
        priority number wins, then the lowest destination."""
        venue = self.memory.instrument_venue.get(new.instrument, 0)
        fitting = [
            r
            for r in self.memory.routes.values()
            if r.account == new.account and r.venue == venue and new.destination in (0, r.destination)
        ]
        return min(fitting, key=lambda r: (r.priority or 255, r.destination), default=None)

    def shut(self, order: Order) -> int:
        """Why nothing new may be sent for this order now; 0 = it may. Cancels are never held back by this."""
        if self.killed(order):
            return Reason.KILL_SWITCH_ACTIVE
        if f"{order.account}/{order.instrument}" in self.memory.overfilled:
            return Reason.GATE_SHUT
        phase = self.gate(order.venue, order.account).phase
        if is_down(phase):
            return Reason.DESTINATION_DOWN
        return 0 if phase == GatewayPhase.READY else Reason.GATEWAY_NOT_READY

    def killed(self, order: Order, *, level: int = KillLevel.BLOCK) -> bool:
        """Whether a kill of at least this level covers the order and does not want it; see oms.kills."""
        raise NotImplementedError(order, level)
