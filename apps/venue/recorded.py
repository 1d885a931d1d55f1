"""Our orders against a recorded market: what would they have done there?

The recording is never changed by us, so two rules keep the answer honest:

- **Taking.** A marketable order takes the displayed levels price by price. What it took stays taken until the next
  update of that level says what is there now.
- **Waiting.** A resting order queues behind the quantity displayed at its price when it arrived (`queue_ahead`). Trades at
  that price eat the queue first, then fill it; when the level shows less than the queue, the queue is that. A trade
  through its price, or an opposite level that appears at or through it, fills it up to the quantity seen there.

Events come in the order recorded, nothing later is looked at, and one unit of recorded quantity fills one unit of ours.
A trade that is told twice, as a smaller level first and as a print behind it, shortens a queue twice: then a resting order
fills a little too early. Nothing in the public feed tells such a print from another one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from sortedcontainers import SortedDict

from apps.venue.desk import Desk, Levels, Order, Step
from apps.venue.events import VenueEvent
from apps.venue.rules import Rules
from journal.messages.enums import Side


class _Half:
    """One side of the market: recorded levels and our queues, both keyed by rank (best first)."""

    __slots__ = ("levels", "queues", "sign", "taken")

    def __init__(self, sign: int) -> None:
        self.sign = sign  # rank = sign * px: -1 for bids
        self.levels: SortedDict = SortedDict()  # rank -> displayed quantity, > 0
        self.taken: dict[int, int] = {}  # rank -> what we took since the level's last update
        self.queues: SortedDict = SortedDict()  # rank -> OrderedDict of our orders

    def available(self, rank: int) -> int:
        return int(self.levels.get(rank, 0)) - self.taken.get(rank, 0)

    def reduce_queues(self, rank: int, by: int) -> None:
        """`by` left the front of the recorded queue at this price."""
        for order in self.queues.get(rank, _NOTHING).values():
            order.queue_ahead = max(0, order.queue_ahead - by)


_NOTHING: OrderedDict[int, Order] = OrderedDict()


class RecordedVenue(Desk):
    """Implements `Venue`, fed by `on_book_levels` and `on_trade`. Trade ids are our own, from 1."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._halves = {Side.BUY: _Half(-1), Side.SELL: _Half(1)}

    # The recorded market.

    def on_book_levels(
        self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], *, now_ns: int, snapshot: bool = False
    ) -> list[VenueEvent]:
        """Absolute quantities per price, 0 deletes. A snapshot replaces the book; queues are capped by what it shows."""
        for side, updates in ((Side.BUY, bids), (Side.SELL, asks)):
            half = self._halves[side]
            if snapshot:
                half.levels.clear()
                half.taken.clear()
            for px, qty in updates:
                self._set_level(half, half.sign * px, qty)
            if snapshot:
                for rank in half.queues:
                    self._cap_queues(half, rank, int(half.levels.get(rank, 0)))
        events: list[VenueEvent] = []
        self._fill_crossed(Side.BUY, events, now_ns)
        self._fill_crossed(Side.SELL, events, now_ns)
        return events

    def on_trade(self, *, px: int, qty: int, taker_side: Side, now_ns: int) -> list[VenueEvent]:
        """A recorded print: fills our orders better than `px`, then eats the queue at `px`, then fills there."""
        events: list[VenueEvent] = []
        half = self._halves[_opposite(taker_side)]
        trade_rank = half.sign * px
        left = qty
        for rank in [r for r in half.queues if r <= trade_rank]:
            eaten = 0  # of the recorded queue, at this price
            for order in list(half.queues[rank].values()):
                if rank == trade_rank:
                    step = min(left, max(0, order.queue_ahead - eaten))
                    eaten += step
                    left -= step
                    order.queue_ahead = max(0, order.queue_ahead - eaten)
                if left and (rank < trade_rank or order.queue_ahead == 0):
                    fill_qty = min(left, order.leaves_qty)
                    left -= fill_qty
                    self._fill_resting(order, fill_qty, events, now_ns)
        self.last_px = px
        self._trigger(events, now_ns)
        return events

    # The book as recorded, without what we took.

    def best(self, side: Side) -> tuple[int, int] | None:
        half = self._halves[side]
        if not half.levels:
            return None
        rank, qty = half.levels.peekitem(0)
        return abs(rank), qty

    def depth(self, limit: int) -> tuple[Levels, Levels]:
        """Bids and asks, best first."""
        return tuple(  # type: ignore[return-value]
            [(abs(rank), half.levels[rank]) for rank in half.levels.islice(0, limit)] for half in self._halves.values()
        )

    # What Desk asks for.

    def _plan(self, side: Side, limit_px: int | None) -> Iterator[Step]:
        """Recorded levels and our own resting orders of the other side, merged: at one price the recorded queue ahead of
        an order, the order, then what stands behind it."""
        half = self._halves[_opposite(side)]
        limit = None if limit_px is None else half.sign * limit_px
        for rank in _merged(half.levels, half.queues):
            if limit is not None and rank > limit:
                return
            px = abs(rank)
            available = half.available(rank)
            passed = 0
            for order in half.queues.get(rank, _NOTHING).values():
                ahead = min(available, order.queue_ahead) - passed
                if ahead > 0:
                    passed += ahead
                    yield Step(px, ahead, None)
                yield Step(px, order.leaves_qty, order)
            if available > passed:
                yield Step(px, available - passed, None)

    def _execute(self, step: Step, taker: Order, qty: int, now_ns: int) -> list[VenueEvent]:
        events: list[VenueEvent] = []
        if step.maker is not None:
            self._fill_resting(step.maker, qty, events, now_ns)
        else:
            self.last_trade_id += 1
            half = self._halves[_opposite(taker.side)]
            rank = half.sign * step.px
            half.taken[rank] = half.taken.get(rank, 0) + qty
            half.reduce_queues(rank, qty)
        events.append(self._fill(taker, px=step.px, qty=qty, maker=False, now_ns=now_ns))
        return events

    def _rest(self, order: Order) -> None:
        half = self._halves[order.side]
        rank = half.sign * order.px
        order.queue_ahead = max(0, half.available(rank))
        half.queues.setdefault(rank, OrderedDict())[order.order_id] = order

    def _unrest(self, order: Order) -> None:
        half = self._halves[order.side]
        rank = half.sign * order.px
        queue = half.queues[rank]
        del queue[order.order_id]
        if not queue:
            del half.queues[rank]

    def _shrunk(self, order: Order, by: int) -> None:
        """Our own size is not part of the recorded book."""

    # Parts.

    def _set_level(self, half: _Half, rank: int, qty: int) -> None:
        half.taken.pop(rank, None)
        if qty:
            half.levels[rank] = qty
        else:
            half.levels.pop(rank, None)
        self._cap_queues(half, rank, qty)

    @staticmethod
    def _cap_queues(half: _Half, rank: int, qty: int) -> None:
        for order in half.queues.get(rank, _NOTHING).values():
            order.queue_ahead = min(order.queue_ahead, qty)

    def _fill_crossed(self, side: Side, events: list[VenueEvent], now_ns: int) -> None:
        """Resting orders of `side` that the opposite recorded levels reach trade at their own price: they were there first."""
        own, opposite = self._halves[side], self._halves[_opposite(side)]
        while own.queues and opposite.levels:
            own_rank, queue = own.queues.peekitem(0)
            order = next(iter(queue.values()))
            # The first opposite level that still has something, if it reaches our price.
            rank = next((r for r in opposite.levels if opposite.available(r) > 0), None)
            if rank is None or rank > -own_rank:  # the sides have opposite signs
                return
            qty = min(order.leaves_qty, opposite.available(rank))
            opposite.taken[rank] = opposite.taken.get(rank, 0) + qty
            opposite.reduce_queues(rank, qty)
            self._fill_resting(order, qty, events, now_ns)

    def _fill_resting(self, order: Order, qty: int, events: list[VenueEvent], now_ns: int) -> None:
        self.last_trade_id += 1
        events.append(self._fill(order, px=order.px, qty=qty, maker=True, now_ns=now_ns))
        if order.leaves_qty == 0:
            self._drop(order)

    def check(self) -> None:
        """Assert every invariant. O(n): for tests."""
        self._check_orders()
        seen = 0
        for side, half in self._halves.items():
            for rank, qty in half.levels.items():
                assert qty > 0
                assert 0 <= half.taken.get(rank, 0) <= qty  # nobody takes what is not displayed
            for rank in half.taken:
                assert rank in half.levels  # a level that is gone has nothing taken
            for rank, queue in half.queues.items():
                assert queue
                ahead = [order.queue_ahead for order in queue.values()]
                assert ahead == sorted(ahead)  # who came later has not less before it
                for order in queue.values():
                    assert order.side == side
                    assert half.sign * order.px == rank
                    assert 0 <= order.queue_ahead <= half.levels.get(rank, 0)
                    assert self.orders[order.order_id] is order
                    seen += 1
        assert seen == len(self.orders)


def _opposite(side: Side) -> Side:
    return Side.SELL if side == Side.BUY else Side.BUY


def _merged(first: SortedDict, second: SortedDict) -> Iterator[int]:
    """Keys of both, ascending, each once; lazily, since a plan rarely goes past the first few."""
    a, b = iter(first), iter(second)
    x, y = next(a, None), next(b, None)
    while x is not None or y is not None:
        if y is None or (x is not None and x < y):
            assert x is not None
            yield x
            x = next(a, None)
        else:
            if x == y:
                x = next(a, None)
            yield y
            y = next(b, None)
