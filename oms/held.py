"""Orders that we hold: emulated types, release times, and lives that we end.

A held order has passed risk and reserves its exposure from then on; no venue knows it. What it waits for is sequenced data or
the stream's time. When it is there, an EmulatedTrigger says which price in which frame did it, risk decides once more on what
is to be sent (a pass is of one epoch, and for exactly what leaves), and the order is routed by that pass:
price → EmulatedTrigger → RiskDecision → RoutedOrder, each the cause of the next.
"""

from __future__ import annotations

import msgspec

from journal.messages import (
    NULL,
    Decision,
    EmulatedTrigger,
    InstrumentDefined,
    Mark,
    MarketStatus,
    MarkType,
    NewOrder,
    OrdStatus,
    Reason,
    RiskDecision,
    Side,
    SourceRole,
    TimeInForce,
    TopOfBook,
    TradeSummary,
    TradingCalendar,
    TradingStatus,
    TrailType,
    Trigger,
    TriggerDirection,
    VenueDefined,
)
from journal.messages.capabilities import (
    RELEASED_AS,
    TIMED,
    TOUCHED,
    TRAILING,
    Handling,
    Offer,
    capability,
    decided_form,
    keeps_ends,
    released_form,
)
from journal.messages.tables import look
from oms.answered import Answered
from oms.asked import hash_of
from oms.instructions import Grid, Hold, Wait
from oms.order import Order, Request
from oms.transitions import Event

DAY_NS = 86_400_000_000_000
RETRY_NS = 1_000_000_000
"""After a refusal that will pass, a held order is not released again before so long."""
NOT_NOW = frozenset(
    {
        Reason.GATE_SHUT, Reason.RECONCILING, Reason.UNKNOWN_ORDERS_PENDING, Reason.BOOK_NOT_LIVE, Reason.BOOK_TOO_OLD,
        Reason.TRADING_HALTED, Reason.KILL_SWITCH_ACTIVE, Reason.MARKET_CLOSED, Reason.ORDER_RATE, Reason.VENUE_RATE_BUDGET,
        Reason.DESTINATION_DOWN, Reason.GATEWAY_NOT_READY,
    }
)  # fmt: skip
"""Why a release is refused for a while only: the order stays held."""
_DAY_ENDS = (TradingStatus.CLOSE, TradingStatus.POST_CLOSE, TradingStatus.END_OF_DAY)
_MARKS = {MarkType.UNDEFINED: Trigger.MARK, MarkType.VENUE_MARK: Trigger.MARK, MarkType.INDEX: Trigger.INDEX}


class Held(Answered):
    """Holding and releasing."""

    # What is taken.

    def on_venue_defined(self, m: VenueDefined) -> None:
        """What a venue takes; nothing is remembered of one that does not say."""
        offer = Offer.of(m)
        if offer is not None:
            self.memory.instructions.offers[m.venue] = offer
        else:
            self.memory.instructions.offers.pop(m.venue, None)

    def on_instrument_defined(self, m: InstrumentDefined) -> None:
        """The grid of an instrument for whose venue we may hold."""
        if m.venue in self.memory.instructions.offers:
            tick = m.tick_px if m.tick_px not in (NULL, 0) else 1
            lot = m.lot_qty if m.lot_qty not in (NULL, 0) else 1
            self.memory.instructions.grids[m.instrument] = Grid(m.px_exp, tick, lot)

    def lot(self, instrument: int) -> int:
        """Quantity step; 1 where none is known."""
        grid = self.memory.instructions.grids.get(instrument)
        return grid.lot_qty if grid is not None else 1

    def on_trading_calendar(self, m: TradingCalendar) -> None:
        """When trading days end."""
        if m.phase in _DAY_ENDS:
            times = self.memory.instructions.closes.setdefault(f"{m.venue}/{m.instrument}", [])
            kept = {t for t in times if t > self.ctx.now} | {m.from_ts}
            times[:] = sorted(kept)

    def accepted(self, order: Order, new: NewOrder) -> None:
        """Refuse what the venue does not take and we cannot emulate; note when we end it."""
        i = self.memory.instructions
        offer = i.offers.get(order.venue)
        if offer is None and not (new.release_ts or new.exec_inst):
            return  # it goes as it was asked
        ruling = capability(offer, new, now=self.ctx.now)
        reason = ruling.reason
        if not reason and 0 < new.expire_ts <= new.release_ts:
            reason = Reason.INVALID_RELEASE_TIME
        if not reason and ruling.held and self._offset(new, new.stop_px) is None:
            reason = Reason.INVALID_TRAILING_OFFSET
        if ruling.how == Handling.REFUSED or reason:
            self.step(order, Event.RISK_REJECT, reason=reason)
            return
        waits = ruling.held or new.release_ts > self.ctx.now or bool(new.list_id)
        if ruling.timed or (waits and offer is not None and new.tif in TIMED):
            i.ends[order.order_id] = self._end_of(order, new)
            self.arm(order)
        sent = decided_form(offer, new)
        if sent is not new:
            order.asked = sent.encode()

    def _end_of(self, order: Order, new: NewOrder) -> int:
        if new.tif != TimeInForce.DAY:
            return new.expire_ts
        closes = self.memory.instructions.closes
        for key in (f"{order.venue}/{order.instrument}", f"{order.venue}/0"):
            later = [t for t in closes.get(key, ()) if t > self.ctx.now]
            if later:
                return later[0]
        return (self.ctx.now // DAY_NS + 1) * DAY_NS

    # Holding.

    def passed(self, order: Order, m: RiskDecision) -> None:
        """Risk passed a new order: it goes, or waits for what it says."""
        new = NewOrder.decode(order.asked)
        wait = self.first_wait(order, new)
        if wait:
            hold = Hold(order.asked, wait, new.stop_px)
            if wait == Wait.LIST:
                hold.pass_body, hold.pass_seq = m.encode(), self.ctx.seq
            self.hold(order, hold)
        else:
            self.route(order, m, risk_seq=self.ctx.seq)

    def first_wait(self, order: Order, new: NewOrder) -> int:
        """What a new order waits for; 0: nothing."""
        if new.release_ts > self.ctx.now:
            return Wait.TIME
        return Wait.PRICE if self._priced(order, new) else 0

    def _priced(self, order: Order, new: NewOrder) -> bool:
        offers = self.memory.instructions.offers
        return new.ord_type in RELEASED_AS and capability(offers.get(order.venue), new).held

    def hold(self, order: Order, hold: Hold) -> None:
        """Keep an order back."""
        i = self.memory.instructions
        i.holds[order.order_id] = hold
        if hold.wait == Wait.PRICE:
            watched = i.watched.setdefault(order.instrument, [])
            if order.order_id not in watched:
                watched.append(order.order_id)
        self.step(order, Event.HOLD)

    def _unwatch(self, order: Order) -> None:
        watched = self.memory.instructions.watched
        ids = watched.get(order.instrument)
        if ids is not None and order.order_id in ids:
            ids.remove(order.order_id)
            if not ids:
                del watched[order.instrument]

    def moved(self, order: Order) -> None:
        """A closed order is held no more. One that is open again has the end again that we kept, which may be past."""
        super().moved(order)
        i = self.memory.instructions
        if order.closed and (i.holds or i.ends):
            end = i.ends.pop(order.order_id, None)
            if end is not None and order.destination:
                order.kept_end = end or self.ctx.now
            if i.holds.pop(order.order_id, None) is not None:
                self._unwatch(order)
        elif order.kept_end and not order.closed:
            i.ends[order.order_id], order.kept_end = order.kept_end, 0
            self.arm(order)

    def held_replaced(self, order: Order, request: Request) -> None:
        """New terms: a trail begins anew where they put its stop."""
        super().held_replaced(order, request)
        if order.held:
            self.restate(order)

    def restate(self, order: Order) -> None:
        """The terms of a held order have changed: what will be sent changes with them."""
        hold = self.memory.instructions.holds[order.order_id]
        new = NewOrder.decode(hold.asked)
        if order.stop_px != new.stop_px:
            hold.stop_px = order.stop_px
        new = msgspec.structs.replace(
            new, order_qty=order.order_qty, price_px=order.price_px, stop_px=order.stop_px, display_qty=order.display_qty,
            expire_ts=order.expire_ts,
        )  # fmt: skip
        hold.asked = order.asked = new.encode()

    # Prices.

    def on_top_of_book(self, m: TopOfBook) -> None:
        """The touch; where somebody keeps books, theirs."""
        if m.instrument not in self.memory.instructions.watched or not self._counts():
            return
        both = m.bid_px != NULL and m.ask_px != NULL
        mid = m.bid_px + m.ask_px if both else NULL
        self._observe(m.instrument, {Trigger.BID: m.bid_px, Trigger.ASK: m.ask_px}, mid2=mid)

    def _counts(self) -> bool:
        roles = self.memory.roles
        return SourceRole.BOOKS not in roles.values() or roles.get(self.ctx.source) == SourceRole.BOOKS

    def on_trade_summary(self, m: TradeSummary) -> None:
        """Public trades, in their order."""
        for trade in m.trades:
            if m.instrument in self.memory.instructions.watched:
                self._observe(m.instrument, {Trigger.LAST: trade.px})

    def on_mark(self, m: Mark) -> None:
        """The venue's mark, or its index."""
        trigger = _MARKS.get(MarkType(m.mark_type)) if m.mark_type in MarkType.__members__.values() else None
        if trigger is not None and m.instrument in self.memory.instructions.watched:
            self._observe(m.instrument, {trigger: m.mark_px})

    def _observe(self, instrument: int, prices: dict[Trigger, int], *, mid2: int = NULL) -> None:
        """Show prices to the orders that wait for them, oldest first."""
        i = self.memory.instructions
        for order_id in list(i.watched.get(instrument, ())):
            order, hold = self.memory.orders.get(order_id), i.holds.get(order_id)
            if order is None or hold is None or hold.wait != Wait.PRICE:
                continue
            new = NewOrder.decode(hold.asked)
            trigger = Trigger(new.trigger) if new.trigger else (Trigger.ASK if new.side == Side.BUY else Trigger.BID)
            # Twice the price: a mid need not be on the grid.
            seen2 = mid2 if trigger == Trigger.MID else _twice(prices.get(trigger, NULL))
            if seen2 == NULL:
                continue
            if new.ord_type in TRAILING:
                self._trail(new, hold, seen2)
            if self._reached(new, hold.stop_px, seen2):
                self.release(order, hold, observed_px=seen2 // 2, trigger=trigger)

    def _reached(self, new: NewOrder, stop_px: int, seen2: int) -> bool:
        up = new.side == Side.BUY
        if new.ord_type in TOUCHED:
            up = not up
        if new.trigger_direction:
            up = new.trigger_direction == TriggerDirection.UP
        return seen2 >= 2 * stop_px if up else seen2 <= 2 * stop_px

    def _trail(self, new: NewOrder, hold: Hold, seen2: int) -> None:
        """Pull the stop after the price, never back. On the tick, rounded away from the market."""
        offset = self._offset(new, seen2 // 2)
        grid = self.memory.instructions.grids.get(new.instrument)
        if offset is None or grid is None:
            return
        buys, tick = new.side == Side.BUY, grid.tick_px
        px = seen2 // 2 + (seen2 & 1 if buys else 0)
        wanted = px + offset if buys else px - offset
        stop = -(-wanted // tick) * tick if buys else wanted // tick * tick
        if hold.stop_px == NULL:
            hold.stop_px = stop
        else:
            hold.stop_px = min(hold.stop_px, stop) if buys else max(hold.stop_px, stop)

    def _offset(self, new: NewOrder, px: int) -> int | None:
        """The distance of a trail at a price, a mantissa rounded up; 0: it does not trail; None: it cannot be said."""
        if new.ord_type not in TRAILING:
            return 0
        grid = self.memory.instructions.grids.get(new.instrument)
        if grid is None:
            return None
        value, exp = new.trail_offset, new.trail_offset_exp
        if new.trail_type in (TrailType.BASIS_POINTS, TrailType.PERCENT):
            value *= 1 if px == NULL else abs(px)
            exp -= 4 if new.trail_type == TrailType.BASIS_POINTS else 2
        elif new.trail_type == TrailType.TICKS:
            value *= grid.tick_px
        else:
            exp -= grid.px_exp
        one = int(10 ** abs(exp))
        return value * one if exp >= 0 else -(-value // one)

    # Release.

    def release(self, order: Order, hold: Hold, *, observed_px: int = NULL, trigger: int) -> None:
        """What an order waited for is there: say so and ask risk, unless the way is shut; then it stays held."""
        if self.ctx.now < hold.not_before:
            return
        if self.shut(order):
            if hold.wait != Wait.PRICE:
                hold.wait, hold.not_before = Wait.GATE, self.ctx.now + RETRY_NS
                self.arm(order)
            return
        if order.replace is not None:
            self.step(order, Event.REPLACE_FAIL, reason=Reason.TOO_LATE)
        self._unwatch(order)
        hold.wait, hold.trigger_seq = Wait.RISK, 0
        self.step(order, Event.RELEASE)
        self.ctx.emit(
            EmulatedTrigger(
                order_id=order.order_id, observed_px=observed_px, trigger_px=hold.stop_px, input_seq=self.ctx.seq,
                trigger=trigger,
            )
        )  # fmt: skip

    def on_emulated_trigger(self, m: EmulatedTrigger) -> None:
        """Our own word, come back with its number: what risk's decision will name."""
        hold = self.memory.instructions.holds.get(m.order_id)
        if hold is not None and hold.wait == Wait.RISK and not hold.trigger_seq:
            hold.trigger_seq = self.ctx.seq

    def on_risk_decision(self, m: RiskDecision) -> None:
        """A decision on the release of a held order, or any other."""
        if m.request_kind != EmulatedTrigger.KIND:
            super().on_risk_decision(m)
            return
        hold = self.memory.instructions.holds.get(m.order_id)
        order = self.memory.orders.get(m.order_id)
        if hold is None or order is None or not hold.trigger_seq or hold.trigger_seq != m.request_seq:
            return  # it ended meanwhile: the pass is not used
        refused = m.decision == Decision.REJECT
        reason = (m.reason or Reason.RISK_PASS_MISSING_OR_DIFFERENT) if refused else self.shut(order)
        if reason in NOT_NOW:
            self._keep(order, hold, reason)
            return
        if reason:
            self.alert(order, reason, f"a held order was refused at its release: reason {reason}")
            self.step(order, Event.RISK_REJECT, reason=reason)
            return
        form = released_form(self.memory.instructions.offers.get(order.venue), NewOrder.decode(hold.asked), hold.stop_px)
        del self.memory.instructions.holds[order.order_id]
        order.asked = form.encode()
        order.ord_type, order.tif, order.exec_inst = form.ord_type, form.tif, form.exec_inst
        order.price_px, order.stop_px = form.price_px, form.stop_px
        self.route(order, m, risk_seq=self.ctx.seq)

    def _keep(self, order: Order, hold: Hold, reason: int) -> None:
        """Not now: it stays held, and is tried again."""
        new = NewOrder.decode(hold.asked)
        hold.not_before = self.ctx.now + RETRY_NS
        hold.wait, hold.trigger_seq = Wait.PRICE if self._priced(order, new) else Wait.GATE, 0
        self.hold(order, hold)
        self.alert(order, reason, f"a held order was not released: reason {reason}; it stays held")

    # An end that we keep.

    def leaves(self, order: Order, sent: NewOrder) -> None:
        """Whose end it is from here on: what does not rest ends at once, and an end that the venue is told is the venue's."""
        super().leaves(order, sent)
        ends = self.memory.instructions.ends
        if order.order_id in ends and sent.tif != TimeInForce.GTC:
            del ends[order.order_id]
            order.expire_ts = sent.expire_ts

    def keeps_end(self, order: Order, request: Request) -> bool:
        """As it was decided when the order left. One that has no end gets it from us where its venue knows none."""
        i = self.memory.instructions
        if order.held or order.expire_ts or not request.expire_ts or order.tif != TimeInForce.GTC:
            return order.order_id in i.ends
        return keeps_ends(i.offers.get(order.venue))

    def _senseless(self, order: Order, request: Request) -> int:
        """As before; and another end is one that is to come, of an order that may have one."""
        reason = super()._senseless(order, request)
        if reason or request.expire_ts == order.expire_ts:
            return reason
        if order.held or request.end_kept:
            may = order.expire_ts or (order.tif == TimeInForce.GTC and not order.held)
            return 0 if may and request.expire_ts > self.ctx.now else Reason.INVALID_EXPIRE_TIME
        # A venue that keeps ends would have to be told another time in force, which no replace has.
        may = order.expire_ts or order.venue not in self.memory.instructions.offers
        return 0 if may else Reason.REPLACE_NOT_ALLOWED

    def covers(self, m: RiskDecision, order: Order, request: Request) -> bool:
        """As before. New terms of a held order are told to nobody, and who keeps its end once it is released may yet change: a
        pass with or without it is good."""
        return super().covers(m, order, request) or (
            order.held and m.content_hash == hash_of(order, request, request.expire_ts)
        )

    def is_ours_alone(self, order: Order, request: Request) -> bool:
        """It is a new end and nothing else."""
        now = (order.order_qty, order.price_px, order.stop_px, order.display_qty)
        wanted = (request.order_qty, request.price_px, request.stop_px, request.display_qty)
        return now == wanted and request.end_kept

    def move_end(self, order: Order, request: Request) -> None:
        """We end it then."""
        if request.end_kept and request.expire_ts != order.expire_ts:
            self.memory.instructions.ends[order.order_id] = request.expire_ts
            order.tif = order.tif if order.expire_ts else TimeInForce.GTD
        super().move_end(order, request)

    # Time.

    def due(self, order: Order) -> int:
        """When its life ends, or it is released, whichever is first."""
        i = self.memory.instructions
        dues = [i.ends.get(order.order_id, 0)]
        hold = i.holds.get(order.order_id)
        if hold is not None and hold.wait == Wait.TIME:
            dues.append(NewOrder.decode(hold.asked).release_ts)
        if hold is not None and hold.wait == Wait.GATE:
            dues.append(hold.not_before)
        return min((d for d in dues if d), default=0)

    def on_timer(self, token: int) -> None:
        """A life is over, a release time has come."""
        i = self.memory.instructions
        order, hold = self.memory.orders.get(token), i.holds.get(token)
        if order is not None and not order.closed:
            if 0 < i.ends.get(token, 0) <= self.ctx.now:
                i.ends[token] = 0
                self.expire(order)
            elif hold is not None and hold.wait == Wait.GATE and hold.not_before <= self.ctx.now:
                hold.not_before = 0
                self.release(order, hold, trigger=Trigger.TIME)
            elif hold is not None and hold.wait == Wait.TIME:
                self.waited(order, hold, Trigger.TIME)

    def waited(self, order: Order, hold: Hold, trigger: int) -> None:
        """A time or a fill it waited for is there; a price may be next."""
        new = NewOrder.decode(hold.asked)
        if hold.wait != Wait.PRICE and self._priced(order, new):
            hold.wait = Wait.PRICE
            self.memory.instructions.watched.setdefault(order.instrument, []).append(order.order_id)
            self.arm(order)
        else:
            self.release(order, hold, trigger=trigger)

    def expire(self, order: Order) -> None:
        """Its time is over: a held order ends at once, one at the venue is canceled."""
        if order.cancel is None:
            self.cancel(order, Event.POLICY_CANCEL, version=0, reason=Reason.EXPIRED_BY_TIME, end=OrdStatus.EXPIRED)

    def on_market_status(self, m: MarketStatus) -> None:
        """The trading day is over: DAY orders that we end, end."""
        i = self.memory.instructions
        if m.trading_status not in _DAY_ENDS or not i.ends:
            return
        for order_id in list(i.ends):
            order = self.memory.orders.get(order_id)
            if order is not None and order.instrument == m.instrument and order.tif == TimeInForce.DAY and i.ends[order_id]:
                i.ends[order_id] = 0
                self.expire(order)

    # State.

    def check_instructions(self) -> None:
        """Assert what holds of held orders. O(n)."""
        i = self.memory.instructions
        for order_id, hold in look(i.holds):
            order = self.memory.orders[order_id]
            where = f"{order!r} {hold!r}"
            assert not order.closed, where
            assert not order.destination, where  # no venue knows it
            assert not order.cum_qty, where
            assert order.held == (hold.wait != Wait.RISK), where
            assert (order_id in i.watched.get(order.instrument, ())) == (hold.wait == Wait.PRICE), where
        for _, order in look(self.memory.orders):
            assert not order.held or order.order_id in i.holds, order
            assert not order.kept_end or order.closed, order
        for instrument, ids in i.watched.items():
            assert ids, instrument
            assert len(set(ids)) == len(ids), instrument
            assert all(o in i.holds for o in ids), instrument
        for order_id in i.ends:
            assert not self.memory.orders[order_id].closed, order_id


def _twice(px: int) -> int:
    return NULL if px == NULL else 2 * px
