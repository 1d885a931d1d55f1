"""Market data for backtests that does not come from a journal: a recorded capture, or a seeded generated market.

Both go through the gateway's own sans-I/O session, so a backtest sees the very messages that the gateway would publish.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

import msgspec

from apps.venue.matching import MatchingEngine
from gateways.sim.exchange.capture import Capture
from gateways.sim.exchange.feed import Feed
from gateways.sim.exchange.listing import Listing as ExchangeListing
from gateways.sim.exchange.listing import generated_listing
from gateways.sim.exchange.market import Agents, OrderIds
from gateways.sim.exchange.settings import ExchangeSettings
from gateways.sim.mapping import Listing
from gateways.sim.market_data import MarketDataSession
from journal.messages import InstrumentDefined
from replay.backtest.feed import FeedEvent

SECOND = 1_000_000_000
DEPTH_LIMIT = 1000


def capture_frames(files: tuple[str, ...]) -> Iterator[tuple[int, bytes]]:
    """(ns, frame) of a recorded capture, as it was recorded."""
    for line in Capture(files):
        yield line.recv_ns, line.text


def session_feed(
    frames: Iterable[tuple[int, bytes]],
    instruments: dict[str, InstrumentDefined],
    *,
    venue: int,
    depth: Callable[[], bytes | None] = lambda: None,
) -> Iterator[FeedEvent]:
    """Frames of a market stream as messages. `depth` answers a snapshot request (the result object as JSON)."""
    session = MarketDataSession([Listing.of(i) for i in instruments.values()], venue=venue, raw=False)
    started = False
    latest = 0
    for ns, text in frames:
        # A receiver's clock may step back; a stream's time may not.
        latest = max(latest, ns)
        outs = [] if started else session.connected(latest)
        started = True
        outs += session.receive(text, latest)
        outs += session.on_timer(latest) if session.next_timer_ns() <= latest else []
        for request in session.requests(latest):
            result = depth()
            if result is not None:
                asked = msgspec.json.decode(request)["id"]
                answer = msgspec.json.encode({"id": asked, "status": 200, "result": msgspec.Raw(result)})
                outs += session.receive_answer(answer, latest)
        for out in outs:
            if hasattr(out.message, "instrument"):
                yield FeedEvent(latest, ns, out.message)


class GeneratedMarket:
    """The simulated exchange's background flow, in process and on its own time. The seed fixes all of it."""

    def __init__(self, settings: ExchangeSettings, *, start_ns: int, duration_ns: int) -> None:
        self.listing: ExchangeListing = generated_listing(settings)
        self._engine = MatchingEngine(self.listing.rules)
        self._agents = Agents(self.listing, self._engine, seed=settings.seed, start_px=settings.start_px, ids=OrderIds())
        self._feed = Feed(self.listing, self._engine)
        self._start_ns = start_ns
        self._end_ns = start_ns + duration_ns
        self._gap_ns = SECOND // settings.rate
        self._pace = random.Random(settings.seed)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """(ns, frame) until the duration is over."""
        now = self._start_ns
        self._feed.frames(self._agents.open(now), now)
        while now < self._end_ns:
            now += int(self._pace.expovariate(1 / self._gap_ns)) + 1
            for frame in self._feed.frames(self._agents.step(now), now):
                yield now, frame.text

    def depth(self) -> bytes:
        """The answer to a depth request."""
        update_id, e, t = self._feed.book_stamp()
        bids, asks = self._engine.depth(DEPTH_LIMIT)
        px, qty = self.listing.px, self.listing.qty
        return msgspec.json.encode(
            {
                "lastUpdateId": update_id,
                "E": e,
                "T": t,
                "bids": [[px(p), qty(q)] for p, q in bids],
                "asks": [[px(p), qty(q)] for p, q in asks],
            }
        )
