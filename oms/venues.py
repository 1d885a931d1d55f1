"""Venue selection: on which venue to trade what trades on several. By which connection is another matter (destinations.py).

A pure fold of what the stream says of venues, markets and gateways. The OMS asks whether a venue is shut; an algo that works
one asset on several venues (apps/algo.py) asks which instrument its next child should be of. Those that are up and best by
priority take turns.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from journal.messages import (
    GatewayPhase,
    MarketStatus,
    Reason,
    RouteCandidate,
    TradingStatus,
    VenueStatus,
    VenueStatusCode,
)

_SHUT: dict[int, int] = {
    VenueStatusCode.CANCEL_ONLY: Reason.MODE_RESTRICTED,
    VenueStatusCode.MAINTENANCE: Reason.MAINTENANCE,
    VenueStatusCode.DOWN: Reason.DESTINATION_DOWN,
}
_NO_ENTRY = frozenset(
    {
        TradingStatus.START_OF_DAY, TradingStatus.HALT, TradingStatus.CLOSE_NOT_FINAL, TradingStatus.CLOSE,
        TradingStatus.POST_CLOSE, TradingStatus.END_OF_DAY, TradingStatus.CANCEL_ONLY, TradingStatus.MAINTENANCE,
        TradingStatus.SETTLEMENT, TradingStatus.NOT_AVAILABLE,
    }
)  # fmt: skip


class Place(msgspec.Struct, frozen=True):
    """Where something could be traded. `priority`: lower is better; equal ones take turns."""

    venue: int
    account: int
    instrument: int
    priority: int = 0


class Venues(msgspec.Struct, array_like=True):
    """What is known of venues. What the stream has not spoken of is taken to be up."""

    states: dict[int, tuple[int, int]] = {}
    """Venue → (VenueStatusCode, until when; 0 = until further notice)."""
    markets: dict[int, int] = {}
    """Instrument → TradingStatus."""
    gateways: dict[str, int] = {}
    """venue/account → GatewayPhase."""

    def on_venue_status(self, m: VenueStatus) -> None:
        """The venue as a whole."""
        self.states[m.venue] = (m.status, m.until_ts)

    def on_market_status(self, m: MarketStatus) -> None:
        """One market."""
        self.markets[m.instrument] = m.trading_status

    def on_gateway_phase(self, venue: int, account: int, phase: int) -> None:
        """Our gateway there."""
        self.gateways[f"{venue}/{account}"] = phase

    def shut(self, venue: int, now: int) -> int:
        """Why a venue takes nothing new; 0 = it does. What it said until a time is over then."""
        status, until = self.states.get(venue, (0, 0))
        return 0 if until and now >= until else _SHUT.get(status, 0)

    def why_not(self, place: Place, now: int) -> int:
        """Why nothing new goes to a place; 0 = it may."""
        phase = self.gateways.get(f"{place.venue}/{place.account}", GatewayPhase.READY)
        if phase != GatewayPhase.READY:
            return Reason.GATEWAY_NOT_READY
        return self.shut(place.venue, now) or (
            Reason.MARKET_CLOSED if self.markets.get(place.instrument, 0) in _NO_ENTRY else 0
        )

    def select(self, last: int, places: Iterable[Place], now: int) -> tuple[Place | None, list[RouteCandidate]]:
        """The place whose turn it is after the venue that went last, and every candidate with why it was passed over."""
        ranked = sorted(places, key=lambda p: (p.priority, p.venue, p.instrument))
        skipped = [self.why_not(place, now) for place in ranked]
        rows = [RouteCandidate(score=-p.priority, venue=p.venue, skipped=why) for p, why in zip(ranked, skipped, strict=True)]
        up = [p for p, why in zip(ranked, skipped, strict=True) if not why]
        best = [p for p in up if p.priority == up[0].priority]
        if not best:
            return None, rows
        return next((p for p in best if p.venue > last), best[0]), rows
