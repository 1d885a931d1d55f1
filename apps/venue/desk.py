"""The order interface that every simulated venue shares: what is accepted, what expires, what a replace means.

A subclass knows its liquidity: it lists what an incoming order would meet (`_plan`), executes one such step (`_execute`), and
keeps what rests. Everything that traders argue about (FOK, post-only, self-trade, priority after a replace) is
decided here once, so that a backtest on a recorded market and the matching engine cannot drift apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from apps.venue.events import Accepted, Amended, Canceled, Expired, Filled, Refused, Triggered, VenueEvent
from apps.venue.rules import Rules
from journal.messages.enums import OrdType, Reason, Side, TimeInForce

STOPS = {OrdType.STOP: OrdType.MARKET, OrdType.STOP_LIMIT: OrdType.LIMIT}
"""What waits for a trade at its price, and what it is from then on."""
Levels = list[tuple[int, int]]
"""(px, qty), best first."""


class Order:
    """One live order. `account` 0 is the anonymous market: no self-trade prevention among its orders."""

    __slots__ = (
        "account",
        "cum_qty",
        "entered_ns",
        "leaves_qty",
        "order_id",
        "order_qty",
        "post_only",
        "px",
        "queue_ahead",
        "side",
    )

    def __init__(
        self, *, order_id: int, account: int, side: Side, px: int, order_qty: int, post_only: bool, entered_ns: int
    ) -> None:
        self.order_id = order_id
        self.account = account
        self.side = side
        self.px = px
        self.order_qty = order_qty  # cum_qty + leaves_qty, always
        self.cum_qty = 0
        self.leaves_qty = order_qty
        self.post_only = post_only
        self.entered_ns = entered_ns
        self.queue_ahead = 0  # recorded markets only: displayed quantity before us at our price

    def __repr__(self) -> str:
        return f"Order({self.order_id} {self.side.name} {self.leaves_qty}/{self.order_qty} @ {self.px} account {self.account})"


class Stop(NamedTuple):
    """An order that waits for its price: a trade at `stop_px` or beyond. `limit_px` None: it is then a market order."""

    order: Order
    limit_px: int | None
    tif: TimeInForce
    stop_px: int


class Step(NamedTuple):
    """One thing an incoming order meets: `maker` None is recorded liquidity."""

    px: int
    qty: int
    maker: Order | None


class Venue(Protocol):
    """What the exchange process and a backtest may rely on. Each call returns its events in order."""

    def new_order(
        self,
        *,
        order_id: int,
        account: int,
        side: Side,
        ord_type: OrdType,
        tif: TimeInForce,
        qty: int,
        px: int,
        now_ns: int,
        post_only: bool = False,
        stop_px: int = 0,
    ) -> list[VenueEvent]: ...

    def cancel(self, *, order_id: int, now_ns: int, reason: Reason = Reason.USER_REQUEST) -> list[VenueEvent]: ...

    def replace(self, *, order_id: int, qty: int, px: int, now_ns: int, stop_px: int = 0) -> list[VenueEvent]: ...

    def depth(self, limit: int) -> tuple[Levels, Levels]: ...

    @property
    def last_px(self) -> int: ...

    def check(self) -> None: ...


class Desk(ABC):
    """`order_id` is the caller's, unique and positive; reusing one is a bug of the caller (ValueError)."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.orders: dict[int, Order] = {}  # resting ones only
        self.stops: dict[int, Stop] = {}  # those that wait for their price, oldest first
        self.last_px = 0  # of the last public trade; 0: none yet
        self.last_order_id = 0
        self.last_trade_id = 0

    # What the subclass knows.

    @abstractmethod
    def _plan(self, side: Side, limit_px: int | None) -> Iterator[Step]:
        """What an order of `side` would meet, best price first, up to `limit_px` (None: any). Nothing changes meanwhile."""

    @abstractmethod
    def _execute(self, step: Step, taker: Order, qty: int, now_ns: int) -> list[VenueEvent]:
        """Trade `qty` (<= step.qty) of `taker` against the step; all bookkeeping but the taker's own."""

    @abstractmethod
    def _rest(self, order: Order) -> None:
        """Put the order at the end of the queue of its price."""

    @abstractmethod
    def _unrest(self, order: Order) -> None:
        """Take the order off the book."""

    @abstractmethod
    def _shrunk(self, order: Order, by: int) -> None:
        """`order.leaves_qty` has just become smaller by `by`, in place."""

    def _flush(self, events: list[VenueEvent]) -> list[VenueEvent]:
        """Last touch of a public call: a venue with a public book appends what changed in it."""
        return events

    # The order interface.

    def new_order(
        self,
        *,
        order_id: int,
        account: int,
        side: Side,
        ord_type: OrdType,
        tif: TimeInForce,
        qty: int,
        px: int,
        now_ns: int,
        post_only: bool = False,
        stop_px: int = 0,
    ) -> list[VenueEvent]:
        """Accept, match, then rest or expire. Market orders have px 0 and never rest. GTX is GTC with post_only. A stop waits
        for `stop_px` before that."""
        if order_id <= self.last_order_id:
            raise ValueError(f"order_id {order_id} after {self.last_order_id}: ids must ascend")
        self.last_order_id = order_id
        post_only = post_only or tif == TimeInForce.GTX
        stops = ord_type in STOPS
        refusal = self._stop_refusal(stop_px, post_only) if stops else None
        if refusal is None:
            refusal = self._refusal(side, STOPS.get(ord_type, ord_type), tif, qty, px, post_only)
        if refusal is not None:
            return [Refused(order_id, account, refusal, now_ns)]
        order = Order(
            order_id=order_id, account=account, side=side, px=px, order_qty=qty, post_only=post_only, entered_ns=now_ns
        )
        events: list[VenueEvent] = [Accepted(order_id, account, side, px, qty, now_ns, stop_px if stops else 0)]
        limit_px = None if STOPS.get(ord_type, ord_type) == OrdType.MARKET else px
        if stops:
            self.stops[order_id] = Stop(order, limit_px, tif, stop_px)
        else:
            self._work(order, limit_px, tif, events, now_ns)
        self._trigger(events, now_ns)
        return self._flush(events)

    def _work(self, order: Order, limit_px: int | None, tif: TimeInForce, events: list[VenueEvent], now_ns: int) -> None:
        """Match, then rest or expire."""
        if tif == TimeInForce.FOK and self._available(order, limit_px) < order.leaves_qty:
            events.append(_expired(order, Reason.NOT_FILLED_IMMEDIATELY, now_ns))
            return
        met_self = self._take(order, limit_px, events, now_ns)
        if order.leaves_qty:
            if met_self:
                events.append(_expired(order, Reason.SELF_TRADE_PREVENTED, now_ns))
            elif limit_px is None or tif in (TimeInForce.IOC, TimeInForce.FOK):
                events.append(_expired(order, Reason.NOT_FILLED_IMMEDIATELY, now_ns))
            else:
                self._keep(order)

    def _trigger(self, events: list[VenueEvent], now_ns: int) -> None:
        """Let go the stops whose price has traded, oldest first; what they trade may let go others."""
        while True:
            reached = next((stop for stop in self.stops.values() if self._reached(stop)), None)
            if reached is None:
                return
            order = reached.order
            del self.stops[order.order_id]
            events.append(Triggered(order.order_id, order.account, order.side, order.px, now_ns))
            self._work(order, reached.limit_px, reached.tif, events, now_ns)

    def _reached(self, stop: Stop) -> bool:
        if not self.last_px:
            return False
        return self.last_px >= stop.stop_px if stop.order.side == Side.BUY else self.last_px <= stop.stop_px

    def _stop_refusal(self, stop_px: int, post_only: bool) -> Reason | None:
        if post_only:
            return Reason.INVALID_EXEC_INST
        fits = self.rules.tick <= stop_px <= self.rules.max_px and stop_px % self.rules.tick == 0
        return None if fits else Reason.INVALID_STOP_OR_TRIGGER

    def cancel(self, *, order_id: int, now_ns: int, reason: Reason = Reason.USER_REQUEST) -> list[VenueEvent]:
        stop = self.stops.pop(order_id, None)
        if stop is not None:
            return [_canceled(stop.order, reason, now_ns)]
        order = self.orders.get(order_id)
        if order is None:
            return [Refused(order_id, 0, Reason.UNKNOWN_AT_VENUE, now_ns)]
        return self._flush([self._cancel(order, reason, now_ns)])

    def replace(self, *, order_id: int, qty: int, px: int, now_ns: int, stop_px: int = 0) -> list[VenueEvent]:
        """`qty` is the new total. Down at the same price keeps priority; all else re-enters the book as if new.

        Like the venue this stands for, a replace at or below the executed quantity, or of a post-only order into the
        opposite side, cancels the order. `stop_px`: of a stop that waits; 0 leaves it.
        """
        if order_id in self.stops:
            return self._replace_stop(self.stops[order_id], qty, px, stop_px, now_ns)
        order = self.orders.get(order_id)
        if order is None:
            return [Refused(order_id, 0, Reason.UNKNOWN_AT_VENUE, now_ns)]
        refusal = self.rules.refusal(ord_type=OrdType.LIMIT, qty=qty, px=px)
        if refusal is None and qty == order.order_qty and px == order.px:
            refusal = Reason.REPLACE_HAS_NO_EFFECT
        if refusal is not None:
            return [Refused(order_id, order.account, refusal, now_ns)]
        if qty <= order.cum_qty:
            return self._flush([self._cancel(order, Reason.REPLACE_BELOW_CUM, now_ns)])
        if order.post_only and px != order.px and self._would_take(order.side, px):
            return self._flush([self._cancel(order, Reason.POST_ONLY_WOULD_TAKE, now_ns)])
        if px == order.px and qty < order.order_qty:
            return self._flush([self._shrink(order, qty, now_ns)])
        events = self._reenter(order, qty, px, now_ns)
        self._trigger(events, now_ns)
        return self._flush(events)

    def _replace_stop(self, stop: Stop, qty: int, px: int, stop_px: int, now_ns: int) -> list[VenueEvent]:
        order, stop_px = stop.order, stop_px or stop.stop_px
        market = stop.limit_px is None
        refusal = self._stop_refusal(stop_px, post_only=False) or self.rules.refusal(
            ord_type=OrdType.MARKET if market else OrdType.LIMIT, qty=qty, px=px
        )
        if refusal is None and (qty, px, stop_px) == (order.order_qty, order.px, stop.stop_px):
            refusal = Reason.REPLACE_HAS_NO_EFFECT
        if refusal is not None:
            return [Refused(order.order_id, order.account, refusal, now_ns)]
        order.order_qty = order.leaves_qty = qty
        order.px = px
        self.stops[order.order_id] = stop._replace(limit_px=None if market else px, stop_px=stop_px)
        events: list[VenueEvent] = [_amended(order, kept_priority=True, now_ns=now_ns, stop_px=stop_px)]
        self._trigger(events, now_ns)
        return self._flush(events)

    def resume_stop(self, order: Order, *, ord_type: OrdType, tif: TimeInForce, stop_px: int) -> None:
        """A stop that waited before the venue was started anew waits on."""
        limit_px = None if STOPS[ord_type] == OrdType.MARKET else order.px
        self.stops[order.order_id] = Stop(order, limit_px, tif, stop_px)

    def resume(self, order: Order, now_ns: int) -> list[VenueEvent]:
        """An order that rested before the venue was started anew goes to the end of its queue, and trades first if it can."""
        events: list[VenueEvent] = []
        if self._take(order, order.px, events, now_ns):
            events.append(_expired(order, Reason.SELF_TRADE_PREVENTED, now_ns))
        elif order.leaves_qty:
            self._keep(order)
        return self._flush(events)

    def open_orders(self, account: int) -> list[Order]:
        return sorted((o for o in self.orders.values() if o.account == account), key=lambda o: o.order_id)

    # Parts.

    def _refusal(self, side: Side, ord_type: OrdType, tif: TimeInForce, qty: int, px: int, post_only: bool) -> Reason | None:
        if side not in (Side.BUY, Side.SELL):
            return Reason.INVALID_SIDE
        if ord_type not in (OrdType.LIMIT, OrdType.MARKET):
            return Reason.INVALID_ORD_TYPE
        if tif not in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX):
            return Reason.INVALID_TIME_IN_FORCE
        if post_only and (ord_type == OrdType.MARKET or tif in (TimeInForce.IOC, TimeInForce.FOK)):
            return Reason.INVALID_EXEC_INST
        refusal = self.rules.refusal(ord_type=ord_type, qty=qty, px=px)
        if refusal is None and post_only and self._would_take(side, px):
            return Reason.POST_ONLY_WOULD_TAKE
        return refusal

    def _would_take(self, side: Side, px: int) -> bool:
        return next(self._plan(side, px), None) is not None

    def _available(self, order: Order, limit_px: int | None) -> int:
        """How much of `order` could trade now; stops counting at an order of its own account."""
        total = 0
        for step in self._plan(order.side, limit_px):
            if _is_self(order, step.maker):
                break
            total += step.qty
            if total >= order.leaves_qty:
                break
        return total

    def _take(self, order: Order, limit_px: int | None, events: list[VenueEvent], now_ns: int) -> bool:
        """Trade what can be traded; True if it stopped at an order of its own account."""
        steps: list[Step] = []
        wanted = order.leaves_qty
        met_self = False
        for step in self._plan(order.side, limit_px):
            if wanted == 0:
                break
            if _is_self(order, step.maker):
                met_self = True
                break
            steps.append(step)
            wanted -= min(wanted, step.qty)
        for step in steps:
            events += self._execute(step, order, min(order.leaves_qty, step.qty), now_ns)
        assert order.leaves_qty == wanted
        return met_self

    def _keep(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self._rest(order)

    def _drop(self, order: Order) -> None:
        del self.orders[order.order_id]
        self._unrest(order)

    def _cancel(self, order: Order, reason: Reason, now_ns: int) -> VenueEvent:
        self._drop(order)
        return _canceled(order, reason, now_ns)

    def _shrink(self, order: Order, qty: int, now_ns: int) -> VenueEvent:
        by = order.order_qty - qty
        order.order_qty = qty
        order.leaves_qty -= by
        self._shrunk(order, by)
        return _amended(order, kept_priority=True, now_ns=now_ns)

    def _reenter(self, order: Order, qty: int, px: int, now_ns: int) -> list[VenueEvent]:
        self._drop(order)
        order.order_qty = qty
        order.leaves_qty = qty - order.cum_qty
        order.px = px
        order.queue_ahead = 0
        events: list[VenueEvent] = [_amended(order, kept_priority=False, now_ns=now_ns)]
        met_self = self._take(order, px, events, now_ns)
        if order.leaves_qty:
            if met_self:
                events.append(_expired(order, Reason.SELF_TRADE_PREVENTED, now_ns))
            else:
                self._keep(order)
        return events

    def _fill(self, order: Order, *, px: int, qty: int, maker: bool, now_ns: int) -> Filled:
        """Book one side of the newest trade."""
        assert 0 < qty <= order.leaves_qty
        order.cum_qty += qty
        order.leaves_qty -= qty
        return Filled(
            order.order_id,
            order.account,
            order.side,
            px,
            qty,
            order.cum_qty,
            order.leaves_qty,
            self.last_trade_id,
            maker,
            self.rules.fee(px=px, qty=qty, maker=maker),
            now_ns,
        )

    def _check_orders(self) -> None:
        for order_id, order in self.orders.items():
            assert order_id == order.order_id
            assert order.leaves_qty > 0  # a resting order has something left
            assert order.cum_qty + order.leaves_qty == order.order_qty
            assert order.px % self.rules.tick == 0
        for order_id, stop in self.stops.items():
            assert order_id == stop.order.order_id
            assert order_id not in self.orders  # it waits beside the book
            assert not self._reached(stop)


def _is_self(taker: Order, maker: Order | None) -> bool:
    return maker is not None and maker.account == taker.account and taker.account != 0


def _canceled(order: Order, reason: Reason, now_ns: int) -> Canceled:
    return Canceled(order.order_id, order.account, order.side, order.cum_qty, order.leaves_qty, reason, now_ns)


def _expired(order: Order, reason: Reason, now_ns: int) -> Expired:
    return Expired(order.order_id, order.account, order.side, order.cum_qty, order.leaves_qty, reason, now_ns)


def _amended(order: Order, *, kept_priority: bool, now_ns: int, stop_px: int = 0) -> Amended:
    return Amended(
        order.order_id,
        order.account,
        order.side,
        order.px,
        order.order_qty,
        order.cum_qty,
        order.leaves_qty,
        kept_priority,
        now_ns,
        stop_px,
    )
