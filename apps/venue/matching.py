"""A price-time matching engine: continuous limit order book of one instrument.

Best price first, then the order of arrival; trades happen at the resting order's price. Cost: O(log levels) to open or close
a price level, O(1) per order and per fill. Deterministic: the same calls give the same events, ids included.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from sortedcontainers import SortedDict

from apps.venue.desk import Desk, Levels, Order, Step
from apps.venue.events import LevelChanged, Printed, VenueEvent
from apps.venue.rules import Rules
from journal.messages.enums import Side


class Level:
    """Orders of one price in order of arrival (an OrderedDict, because taking the first of a dict costs its dead entries)."""

    __slots__ = ("orders", "qty")

    def __init__(self) -> None:
        self.orders: OrderedDict[int, Order] = OrderedDict()
        self.qty = 0  # sum of leaves_qty


class MatchingEngine(Desk):
    """Implements `Venue`. Order and trade ids ascend from 1 on."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        # Keyed by rank, best first: bids by -px, asks by px.
        self._sides: dict[Side, SortedDict] = {Side.BUY: SortedDict(), Side.SELL: SortedDict()}
        self._dirty: dict[tuple[Side, int], None] = {}  # levels touched by this call, in order

    def best(self, side: Side) -> tuple[int, int] | None:
        """(px, qty) of the best level of a side."""
        levels = self._sides[side]
        if not levels:
            return None
        rank, level = levels.peekitem(0)
        return abs(rank), level.qty

    def depth(self, limit: int) -> tuple[Levels, Levels]:
        """Bids and asks, best first."""
        return tuple(  # type: ignore[return-value]
            [(abs(rank), self._sides[side][rank].qty) for rank in self._sides[side].islice(0, limit)]
            for side in (Side.BUY, Side.SELL)
        )

    def _plan(self, side: Side, limit_px: int | None) -> Iterator[Step]:
        opposite = _opposite(side)
        limit = None if limit_px is None else _rank(opposite, limit_px)
        for rank, level in self._sides[opposite].items():
            if limit is not None and rank > limit:
                return
            for order in level.orders.values():
                yield Step(order.px, order.leaves_qty, order)

    def _execute(self, step: Step, taker: Order, qty: int, now_ns: int) -> list[VenueEvent]:
        maker = step.maker
        assert maker is not None
        self.last_trade_id += 1
        self.last_px = step.px
        events: list[VenueEvent] = [
            Printed(self.last_trade_id, step.px, qty, taker.side, now_ns),
            self._fill(maker, px=step.px, qty=qty, maker=True, now_ns=now_ns),
            self._fill(taker, px=step.px, qty=qty, maker=False, now_ns=now_ns),
        ]
        self._shrunk(maker, qty)
        if maker.leaves_qty == 0:
            self._drop(maker)
        return events

    def _rest(self, order: Order) -> None:
        levels = self._sides[order.side]
        rank = _rank(order.side, order.px)
        level = levels.get(rank)
        if level is None:
            level = levels[rank] = Level()
        level.orders[order.order_id] = order
        level.qty += order.leaves_qty
        self._dirty[order.side, order.px] = None

    def _unrest(self, order: Order) -> None:
        levels = self._sides[order.side]
        rank = _rank(order.side, order.px)
        level = levels[rank]
        del level.orders[order.order_id]
        level.qty -= order.leaves_qty
        if not level.orders:
            del levels[rank]
        self._dirty[order.side, order.px] = None

    def _shrunk(self, order: Order, by: int) -> None:
        self._sides[order.side][_rank(order.side, order.px)].qty -= by
        self._dirty[order.side, order.px] = None

    def _flush(self, events: list[VenueEvent]) -> list[VenueEvent]:
        for side, px in self._dirty:
            level = self._sides[side].get(_rank(side, px))
            events.append(LevelChanged(side, px, level.qty if level is not None else 0))
        self._dirty.clear()
        return events

    def check(self) -> None:
        """Assert every invariant. O(n): for tests."""
        self._check_orders()
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        assert bid is None or ask is None or bid[0] < ask[0], (bid, ask)  # never crossed or locked
        seen = 0
        for side, levels in self._sides.items():
            for rank, level in levels.items():
                assert level.orders, (side, rank)  # an empty level is removed
                assert level.qty == sum(o.leaves_qty for o in level.orders.values())
                for order_id, order in level.orders.items():
                    assert self.orders[order_id] is order
                    assert order.side == side
                    assert _rank(side, order.px) == rank
                    seen += 1
        assert seen == len(self.orders)  # every open order is on the book once
        assert not self._dirty  # every public call flushes


def _opposite(side: Side) -> Side:
    return Side.SELL if side == Side.BUY else Side.BUY


def _rank(side: Side, px: int) -> int:
    return -px if side == Side.BUY else px
