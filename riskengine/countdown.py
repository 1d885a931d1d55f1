"""A venue's own dead man's handle: a timer there that cancels everything of an account unless it is refreshed.

The engine holds it, by the stream's time, so that a refresh proves the whole way: sequencer, engine, journal, gateway and
connection. Where any of them is gone for too long, the venue acts although nobody here can. It is armed when a gateway is
READY, refreshed three times in its time, and disarmed while the venue is under maintenance, after which it would find
everything unrefreshed.
"""

from __future__ import annotations

from journal.messages import (
    ConnectionState,
    DeadManAction,
    DestinationDefined,
    GatewayPhase,
    GatewayStatus,
    Reason,
    RoutedDeadMan,
    SourceState,
    StreamStatus,
    SupportType,
    VenueDeadMan,
    VenueStatus,
    VenueStatusCode,
)
from riskengine.controlled import Countdown
from riskengine.deadman import DeadMan
from riskengine.world import GONE

COUNTDOWNS = 6 << 48
"""Timer tokens: this, and the destination's number."""
REFRESHES = 3
"""Within the time after which the venue acts: two may be lost."""


class Countdowns(DeadMan):
    """Holds venues' timers, of those that have one and are configured."""

    def on_destination_defined(self, m: DestinationDefined) -> None:
        """A way to a venue and account."""
        if m.destination not in self.control.countdowns:
            self.control.countdowns[m.destination] = Countdown(m.venue, m.account, m.gateway)

    def on_gateway_status(self, m: GatewayStatus) -> None:
        """READY: the timer is armed anew, for nobody knows how the venue has it."""
        super().on_gateway_status(m)
        for destination, c in self.control.countdowns.items():
            if (c.venue, c.account) == (m.venue, m.account) and c.gateway in (0, self.ctx.source):
                c.gateway, c.ready = self.ctx.source, m.phase == GatewayPhase.READY
                if c.ready and not c.shut:
                    self._hold(destination, c, DeadManAction.ARM)

    def on_stream_status(self, m: StreamStatus) -> None:
        """Without its connection nothing can be refreshed."""
        super().on_stream_status(m)
        if m.account and m.connection == ConnectionState.DISCONNECTED:
            self._lost(self.ctx.source)

    def on_source_state(self, m: SourceState) -> None:
        """Nor without its gateway."""
        super().on_source_state(m)
        if m.state in GONE:
            self._lost(m.source)

    def _lost(self, gateway: int) -> None:
        for c in self.control.countdowns.values():
            if c.gateway == gateway:
                c.ready = False

    def on_venue_status(self, m: VenueStatus) -> None:
        """Let go during maintenance, taken up again after it."""
        shut = m.status == VenueStatusCode.MAINTENANCE
        for destination, c in self.control.countdowns.items():
            if c.venue != m.venue:
                continue
            c.shut = shut
            if c.ready and shut == c.armed:
                self._hold(destination, c, DeadManAction.DISARM if shut else DeadManAction.ARM)

    def on_venue_dead_man(self, m: VenueDeadMan) -> None:
        """What the venue says of it. That nothing will be canceled there a person has to know, once."""
        for c in self.control.countdowns.values():
            if (c.venue, c.account) == (m.venue, m.account):
                if not m.confirmed and not c.told:
                    self.alert(Reason.VENUE_OTHER, f"venue {m.venue} does not hold the dead man's timer of account {m.account}")
                c.told = not m.confirmed

    def countdown_due(self, destination: int) -> None:
        """Time for a sign of life; where the configuration has none for this venue any more, the last word."""
        c = self.control.countdowns.get(destination)
        if c is not None and c.armed and c.ready:
            self._hold(destination, c, DeadManAction.REFRESH)

    def _hold(self, destination: int, c: Countdown, action: DeadManAction) -> None:
        timeout_ns = dict(self.control.rules.dead_men).get(c.venue, 0)
        offer = self.memory.venues.get(c.venue)
        offered = offer is not None and bool(offer.supports & SupportType.DEAD_MAN)
        if not (timeout_ns and offered):
            if not c.armed:
                return
            action = DeadManAction.DISARM
        c.armed = action != DeadManAction.DISARM
        self.ctx.emit(
            RoutedDeadMan(
                timeout_ns=timeout_ns if c.armed else 0, account=c.account, destination=destination, action=action
            )
        )  # fmt: skip
        if c.armed:
            self.ctx.set_timer(self.ctx.now + timeout_ns // REFRESHES, COUNTDOWNS + destination)
        else:
            self.ctx.cancel_timer(COUNTDOWNS + destination)
