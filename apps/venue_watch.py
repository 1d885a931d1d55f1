"""Which venues are up, for strategies that have a choice: read as a mute instance, changed by the stream alone."""

from __future__ import annotations

from apps.app import App
from journal.messages import GatewayStatus, MarketStatus, VenueStatus
from oms.venues import Venues


class VenueWatch(App):
    """Folds what the stream says of venues, markets and gateways."""

    def __init__(self) -> None:
        self.venues = Venues()

    def on_venue_status(self, m: VenueStatus) -> None:
        self.venues.on_venue_status(m)

    def on_market_status(self, m: MarketStatus) -> None:
        self.venues.on_market_status(m)

    def on_gateway_status(self, m: GatewayStatus) -> None:
        if m.account:
            self.venues.on_gateway_phase(m.venue, m.account, m.phase)
