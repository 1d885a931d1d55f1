"""A capture served verbatim, while our orders are matched against the book that it describes.

The book follows the venue's own join rule. What does not join makes it stale (no depth, no new orders) until the next inline
snapshot; the recorded frames are served all the same, since they are what the clients have to cope with.
"""

from __future__ import annotations

import msgspec

from apps.venue.events import VenueEvent
from apps.venue.recorded import RecordedVenue
from gateways.sim.exchange.capture import CaptureLine, Depth, Print
from gateways.sim.exchange.feed import MarketFrame
from gateways.sim.exchange.listing import Listing
from gateways.sim.exchange.numbers import NotDecimal, TooManyDecimals
from journal.messages.enums import Side

WAITING_MAX = 100_000  # depth updates kept for a snapshot that has not come yet


class BadLine(ValueError):
    """A line whose content cannot be this instrument's."""


class Playback:
    """`book_live` tells whether the rebuilt book is the venue's."""

    def __init__(self, listing: Listing, venue: RecordedVenue) -> None:
        self._listing = listing
        self._venue = venue
        self._spot = listing.market == "capture-spot"
        self._waiting: list[Depth] = []  # since the book was last live
        self._last = (0, 0, 0)  # u, E, T of the newest update in the book
        self._joined = False  # an update has followed the snapshot
        self.book_live = False

    def book_stamp(self) -> tuple[int, int, int]:
        return self._last

    def play(self, line: CaptureLine, now_ns: int) -> tuple[MarketFrame, list[VenueEvent]]:
        """The frame to serve and what the line did to our orders."""
        stream = line.message.stream
        try:
            if line.message.lastUpdateId is not None:
                return MarketFrame("", line.text, "other"), self._snapshot(line, now_ns)
            if "@depth" in stream:
                return MarketFrame(stream, line.text, "depth"), self._depth(line, now_ns)
            if stream.endswith("@trade"):
                return MarketFrame(stream, line.text, "other"), self._trade(line, now_ns)
        except (msgspec.DecodeError, NotDecimal) as error:
            raise BadLine(f"line {line.number}: {error}") from None
        except TooManyDecimals as error:
            rules = self._listing.rules
            raise BadLine(
                f"line {line.number}: {error} has more decimals than px_exp {rules.px_exp}, qty_exp {rules.qty_exp} allow: "
                f"give them in the settings"
            ) from None
        return MarketFrame(stream, line.text, "other"), []

    def _trade(self, line: CaptureLine, now_ns: int) -> list[VenueEvent]:
        trade = msgspec.json.decode(line.message.data, type=Print)
        return self._venue.on_trade(
            px=self._listing.px_mantissa(trade.p),
            qty=self._listing.qty_mantissa(trade.q),
            taker_side=Side.SELL if trade.m else Side.BUY,
            now_ns=now_ns,
        )

    def _snapshot(self, line: CaptureLine, now_ns: int) -> list[VenueEvent]:
        message = line.message
        assert message.lastUpdateId is not None
        if self.book_live and message.lastUpdateId <= self._last[0]:
            return []  # older than the book that we have
        events = self._apply(message.bids, message.asks, now_ns, snapshot=True)
        self._last = (message.lastUpdateId, message.E, message.T)
        self.book_live, self._joined = True, False
        waiting, self._waiting = self._waiting, []
        for depth in waiting:
            events += self._update(depth, now_ns)
        return events

    def _depth(self, line: CaptureLine, now_ns: int) -> list[VenueEvent]:
        return self._update(msgspec.json.decode(line.message.data, type=Depth), now_ns)

    def _update(self, depth: Depth, now_ns: int) -> list[VenueEvent]:
        if self.book_live:
            if not self._joined and self._before_book(depth):
                return []
            if self._follows(depth):
                self._joined = True
                self._last = (depth.u, depth.E, depth.T)
                return self._apply(depth.b, depth.a, now_ns)
            self.book_live = False
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(depth)
        return []

    def _before_book(self, depth: Depth) -> bool:
        return depth.u <= self._last[0] if self._spot else depth.u < self._last[0]

    def _follows(self, depth: Depth) -> bool:
        last = self._last[0]
        if self._spot:
            return last + 1 == depth.U if self._joined else depth.U <= last + 1 <= depth.u
        return depth.pu == last or (not self._joined and depth.U <= last <= depth.u)

    def _apply(
        self, bids: list[tuple[str, str]], asks: list[tuple[str, str]], now_ns: int, *, snapshot: bool = False
    ) -> list[VenueEvent]:
        px, qty = self._listing.px_mantissa, self._listing.qty_mantissa
        return self._venue.on_book_levels(
            [(px(p), qty(q)) for p, q in bids], [(px(p), qty(q)) for p, q in asks], now_ns=now_ns, snapshot=snapshot
        )
