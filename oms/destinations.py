"""Destination selection: by which connection an order reaches its venue. Which venue it goes to was decided before (venues.py);
an order's instrument names it.

With one destination there is nothing to select and nothing is said. With several, those that are up and best by priority take
turns; every choice is a RoutingDecision with all candidates and why each was passed over. A connection is down when its gateway
says so, or when requests on it fail several times in a row: then for a while, after which one order tries it. What the venue
says through it proves that it works.
"""

from __future__ import annotations

from typing import Any

import msgspec

from journal.messages import (
    DestinationDefined,
    GatewayPhase,
    GatewayStatus,
    NewOrder,
    Reason,
    RouteCandidate,
    RoutingDecision,
)
from oms.memory import Gate, Route
from oms.order import Order
from oms.routing import Routing, is_down
from oms.transitions import Cell, Event
from oms.ways import Link

BY_TURNS, BY_REQUEST = 1, 2
"""RoutingDecision.rule: in turns among the best that are up; the order named it."""

_FAILURES = (Event.NEW_REFUSED, Event.CANCEL_REFUSED, Event.REPLACE_REFUSED, Event.TIMEOUT)
_OF_THE_CONNECTION = (
    Reason.NOT_CONNECTED, Reason.GATEWAY_NOT_READY, Reason.DISCONNECTED, Reason.OUTCOME_UNKNOWN, Reason.RATE_LIMIT,
)  # fmt: skip
_EVIDENCE = frozenset(event for event in Event if event.name.startswith(("VENUE_", "FILL"))) - {Event.VENUE_STATUS}


class Way(msgspec.Struct, frozen=True):
    """One candidate. `skipped`: why not; 0 = it could be."""

    route: Route
    rank: tuple[int, int]
    skipped: int


class Destinations(Routing):
    """Several ways to one venue and account."""

    def on_destination_defined(self, m: DestinationDefined) -> None:
        """A way to a venue; from the second on each is watched."""
        self.memory.routes[m.destination] = Route(m.destination, m.venue, m.account, m.priority, m.gateway)
        ways, siblings = self.memory.ways, self._routes_to(m.venue, m.account)
        if len(siblings) < 2:
            return
        gate = self.memory.gates.setdefault(f"{m.venue}/{m.account}", Gate())
        for route in siblings:
            if route.destination not in ways.links:
                first = route.destination != m.destination
                ways.links[route.destination] = Link(gate.source if first else m.gateway, gate.phase if first else 0)
        ways.links[m.destination].gateway = m.gateway
        gate.source = 0

    def set_routing(self, failures_before_down: int, down_ns: int) -> None:
        """So many failures in a row, and a connection is passed over for so long."""
        self.memory.ways.failures_before_down, self.memory.ways.down_ns = failures_before_down, down_ns

    def _routes_to(self, venue: int, account: int) -> list[Route]:
        return [r for r in self.memory.routes.values() if (r.venue, r.account) == (venue, account)]

    def several(self, venue: int, account: int) -> bool:
        """Whether a venue and account are reached by more than one destination."""
        return bool(self.memory.ways.links) and len(self._routes_to(venue, account)) > 1

    # Selection.

    def route_for(self, new: NewOrder) -> Route | None:
        """The destination asked for; else the one whose turn it is among the best that are up."""
        ways = self._ways(new)
        if len(ways) < 2:
            return super().route_for(new)
        up = [w for w in ways if not w.skipped]
        if not up:
            return None
        best = sorted((w for w in up if w.rank[0] == min(u.rank[0] for u in up)), key=lambda w: w.rank)
        last = self.memory.ways.turns.get(f"{best[0].route.venue}/{new.account}", 0)
        return next((w.route for w in best if w.route.destination > last), best[0].route)

    def _ways(self, new: NewOrder) -> list[Way]:
        """Every way for an order, best first; empty where nothing is to be selected."""
        venue = self.memory.instrument_venue.get(new.instrument, 0)
        if not self.several(venue, new.account):
            return []
        found = []
        for route in self._routes_to(venue, new.account):
            asked = new.destination in (0, route.destination)
            skipped = self._down(route.destination) if asked else Reason.NO_ROUTE
            found.append(Way(route, (route.priority or 255, route.destination), skipped))
        return sorted(found, key=lambda w: w.rank)

    def _down(self, destination: int) -> int:
        link = self.memory.ways.links.get(destination)
        if link is None:
            return 0
        if is_down(link.phase) or link.down_until > self.ctx.now:
            return Reason.DESTINATION_DOWN
        return 0 if link.phase == GatewayPhase.READY else Reason.GATEWAY_NOT_READY

    def no_route(self, new: NewOrder) -> int:
        """Why there is no way for an order."""
        if new.destination and new.destination not in self.memory.routes:
            return Reason.UNKNOWN_VENUE_OR_DESTINATION
        ways = self._ways(new)
        asked = [w for w in ways if w.skipped != Reason.NO_ROUTE]
        return min((w.skipped for w in asked), default=Reason.NO_ROUTE)

    def decided(self, order: Order, new: NewOrder, route: Route | None) -> None:
        """Say which way an order goes, or that there is none, where there was something to select."""
        ways = self._ways(new)
        if len(ways) < 2:
            return
        if route is not None:
            self.memory.ways.turns[f"{route.venue}/{route.account}"] = route.destination
        self.ctx.emit(
            RoutingDecision(
                order_id=order.order_id, venue=order.venue, destination=route.destination if route is not None else 0,
                rule=BY_REQUEST if new.destination else BY_TURNS,
                candidates=[
                    RouteCandidate(score=-w.rank[0], venue=w.route.venue, destination=w.route.destination, skipped=w.skipped)
                    for w in ways
                ],
            )
        )  # fmt: skip

    # What becomes of connections.

    def shut(self, order: Order) -> int:
        """As for one destination; an order that is at one of several depends on that one."""
        reason = super().shut(order) or self.memory.ways.shut(order.venue, self.ctx.now)
        if reason or order.destination not in self.memory.ways.links:
            return reason
        phase = self.memory.ways.links[order.destination].phase
        return 0 if phase == GatewayPhase.READY else Reason.DESTINATION_DOWN if is_down(phase) else Reason.GATEWAY_NOT_READY

    def reachable(self, order: Order) -> bool:
        """Whether the venue can be asked now, by the connection the order went by."""
        link = self.memory.ways.links.get(order.destination)
        return super().reachable(order) if link is None else link.phase == GatewayPhase.READY

    def gateway_of(self, destination: int) -> int:
        """The source that serves a destination; 0: not known."""
        link, route = self.memory.ways.links.get(destination), self.memory.routes.get(destination)
        if link is not None or route is None:
            return link.gateway if link is not None else 0
        return route.gateway or self.gate(route.venue, route.account).source

    def link_of(self, venue: int, account: int, gateway: int) -> int:
        """The destination that a gateway serves; 0 when none of this venue and account is known to be its."""
        unknown = 0
        for route in self._routes_to(venue, account):
            link = self.memory.ways.links.get(route.destination)
            if link is not None and link.gateway == gateway:
                return route.destination
            if link is not None and not link.gateway:
                unknown = route.destination
        if unknown:
            # The first of them was defined before there was a second: it is the one nobody else is.
            self.memory.ways.links[unknown].gateway = gateway
        return unknown

    def link_phase(self, destination: int, phase: int) -> None:
        """A connection changes its phase; the gate of its venue and account is open while any is READY."""
        link, route = self.memory.ways.links[destination], self.memory.routes[destination]
        link.phase = phase
        if phase == GatewayPhase.READY:
            link.failures = link.down_until = 0
        phases = [self.memory.ways.links[r.destination].phase for r in self._routes_to(route.venue, route.account)]
        gate = self.memory.gates.setdefault(f"{route.venue}/{route.account}", Gate())
        gate.phase = GatewayPhase.READY if GatewayPhase.READY in phases else phase

    def destination_status(self, m: GatewayStatus) -> int:
        """What a gateway says of one of several connections; its destination."""
        destination = self.link_of(m.venue, m.account, self.ctx.source)
        if destination:
            self.link_phase(destination, m.phase)
        return destination

    def step(self, order: Order, event: Event, **what: Any) -> Cell:
        """As for any order; failures and evidence are noted of the connection it went by."""
        cell = super().step(order, event, **what)
        if order.destination in self.memory.ways.links:
            if event in _EVIDENCE:
                link = self.memory.ways.links[order.destination]
                link.failures = link.down_until = 0
            elif event in _FAILURES and what.get("reason", 0) in _OF_THE_CONNECTION:
                self._failed(self.memory.ways.links[order.destination])
        return cell

    def _failed(self, link: Link) -> None:
        link.failures += 1
        if link.failures >= self.memory.ways.failures_before_down:
            link.down_until = self.ctx.now + self.memory.ways.down_ns
