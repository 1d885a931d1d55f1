"""Seeded agents that keep a lively, realistic book: makers around a fair value, takers, cancels.

The fair value (in thousandths of a tick) is a random walk with trends that come and go and a slow pull back to where it
began, so a market maker earns its spread and a moving average has something to cross. The seed fixes every decision; a
client's orders change the book and with it what follows. This is the outside world: random is meant, and nothing of it
reaches an app but through the socket.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from apps.venue.events import Accepted, Canceled, Expired, Filled, VenueEvent
from apps.venue.matching import MatchingEngine
from gateways.sim.exchange.listing import Listing
from journal.messages.enums import OrdType, Side, TimeInForce

ORDERS_TARGET = 600  # live background orders, both sides
SEED_LEVELS = 60  # ticks per side that the first book fills
NEAR_TICKS = 7  # mean distance of a new order from the fair value
NEAR_LEVELS = 10  # that a taker looks at
MILLI = 1000
WALK_MILLITICKS = 700  # each step moves the fair value by at most this
TREND_MILLITICKS = 120
TREND_STEPS = 500  # mean life of a trend
PULL_STEPS = 60_000  # a deviation halves in about this many steps times ln 2


class Agents:
    """The background flow: account 0. `ids` gives the exchange's next order id."""

    def __init__(self, listing: Listing, engine: MatchingEngine, *, seed: int, start_px: int, ids: OrderIds) -> None:
        self._engine = engine
        self._rules = listing.rules
        self._random = random.Random(seed)
        self._ids = ids
        self._anchor = start_px // listing.rules.tick * MILLI
        self.fair = self._anchor
        self._trend = 0
        self._live: list[int] = []  # order ids; a random one is picked by index
        self._place: dict[int, int] = {}  # order id -> its index in _live

    def open(self, now_ns: int) -> list[VenueEvent]:
        """The first book."""
        events: list[VenueEvent] = []
        for distance in range(SEED_LEVELS):
            for side in (Side.BUY, Side.SELL):
                for _ in range(self._random.randint(1, 6)):
                    events += self._make(side, distance, now_ns)
        return events

    def step(self, now_ns: int) -> list[VenueEvent]:
        """One action of one agent; at times nothing comes of it (a post-only order that would have taken)."""
        self._move_fair()
        chance = self._random.random()
        stale = self._stale_side()
        if stale is not None and chance < 0.4:
            return self._sweep(stale, now_ns)
        for side in (Side.BUY, Side.SELL):
            if self._engine.best(side) is None:
                return self._make(side, 0, now_ns)
        crowd = len(self._live) / ORDERS_TARGET
        if chance < 0.08:
            return self._hit(now_ns)
        if self._random.random() < crowd / 2:
            return self._withdraw(now_ns)
        side = Side.BUY if self._random.random() < 0.5 else Side.SELL
        return self._make(side, int(self._random.expovariate(1 / NEAR_TICKS)), now_ns)

    def absorb(self, events: Sequence[VenueEvent]) -> None:
        """Keep track of our own orders, whoever caused the events."""
        for event in events:
            if isinstance(event, Accepted):
                if event.account == 0 and event.px:
                    self._place[event.order_id] = len(self._live)
                    self._live.append(event.order_id)
            elif isinstance(event, (Canceled, Expired)) or (isinstance(event, Filled) and event.leaves_qty == 0):
                self._forget(event.order_id)

    # Decisions.

    def _move_fair(self) -> None:
        if self._random.random() < 1 / TREND_STEPS:
            self._trend = self._random.randint(-TREND_MILLITICKS, TREND_MILLITICKS)
        pull = (self._anchor - self.fair) // PULL_STEPS
        self.fair += self._random.randint(-WALK_MILLITICKS, WALK_MILLITICKS) + self._trend + pull
        self.fair = max(self.fair, 200 * MILLI)

    def _stale_side(self) -> Side | None:
        """Whose best quote the fair value has left behind."""
        bid, ask = self._engine.best(Side.BUY), self._engine.best(Side.SELL)
        fair_px = self.fair * self._rules.tick // MILLI
        if ask is not None and ask[0] < fair_px:
            return Side.SELL
        if bid is not None and bid[0] > fair_px:
            return Side.BUY
        return None

    def _sweep(self, stale: Side, now_ns: int) -> list[VenueEvent]:
        """An informed taker: everything on the wrong side of the fair value, up to a size."""
        px = self.fair // MILLI * self._rules.tick
        side = Side.BUY if stale == Side.SELL else Side.SELL
        return self._take(side, self._size(300), px, now_ns)

    def _hit(self, now_ns: int) -> list[VenueEvent]:
        """An uninformed taker; leans with the trend."""
        lean = 0.5 + self._trend / (4 * TREND_MILLITICKS)
        side = Side.BUY if self._random.random() < lean else Side.SELL
        return self._take(side, self._size(60), 0, now_ns)

    def _take(self, side: Side, qty: int, px: int, now_ns: int) -> list[VenueEvent]:
        """Never more than half of what is near: takers know what a thin book costs."""
        bids, asks = self._engine.depth(NEAR_LEVELS)
        near = sum(level_qty for _, level_qty in (asks if side == Side.BUY else bids)) // 2
        qty = min(qty, near // self._rules.lot * self._rules.lot)
        return self._send(side, qty, px, TimeInForce.IOC, now_ns) if qty else []

    def _make(self, side: Side, distance: int, now_ns: int) -> list[VenueEvent]:
        ticks = self.fair // MILLI - distance if side == Side.BUY else self.fair // MILLI + 1 + distance
        if ticks < 1:
            return []
        return self._send(side, self._size(120), ticks * self._rules.tick, TimeInForce.GTX, now_ns)

    def _withdraw(self, now_ns: int) -> list[VenueEvent]:
        """Of three orders picked at random, the one farthest from the fair value goes."""
        fair_px = self.fair * self._rules.tick // MILLI
        picked = [self._live[self._random.randrange(len(self._live))] for _ in range(3)]
        order_id = max(picked, key=lambda i: abs(self._engine.orders[i].px - fair_px))
        events = self._engine.cancel(order_id=order_id, now_ns=now_ns)
        self.absorb(events)
        return events

    # Parts.

    def _size(self, median_lots: int) -> int:
        lots = int(self._random.lognormvariate(math.log(median_lots), 1.1))
        return min(max(lots, 1), 50_000) * self._rules.lot

    def _send(self, side: Side, qty: int, px: int, tif: TimeInForce, now_ns: int) -> list[VenueEvent]:
        events = self._engine.new_order(
            order_id=self._ids.next(),
            account=0,
            side=side,
            ord_type=OrdType.LIMIT if px else OrdType.MARKET,
            tif=tif,
            qty=qty,
            px=px,
            now_ns=now_ns,
        )
        self.absorb(events)
        return events

    def _forget(self, order_id: int) -> None:
        index = self._place.pop(order_id, None)
        if index is None:
            return
        last = self._live.pop()
        if last != order_id:
            self._live[index] = last
            self._place[last] = index


class OrderIds:
    """The exchange's order ids: one count for everybody."""

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def next(self) -> int:
        self._last += 1
        return self._last
