"""What is known of the ways to venues, where there is more than one."""

from __future__ import annotations

import msgspec

from oms.venues import Venues


class Link(msgspec.Struct, array_like=True):
    """One of several connections to a venue and account."""

    gateway: int
    """The source that serves it; 0 = not known yet."""
    phase: int = 0
    """GatewayPhase."""
    failures: int = 0
    """Requests that failed on it, in a row."""
    down_until: int = 0
    """Passed over until then, for its failures."""


class Ways(msgspec.Struct, array_like=True):
    """Connections, whose turn it is, and the states of venues."""

    links: dict[int, Link] = {}
    """By destination."""
    turns: dict[str, int] = {}
    """venue/account → the destination that went last."""
    failures_before_down: int = 3
    down_ns: int = 10_000_000_000
    venues: Venues = msgspec.field(default_factory=Venues)

    def shut(self, venue: int, now: int) -> int:
        """Why nothing new goes to a venue; 0 = it may."""
        return self.venues.shut(venue, now)
