"""Mass quotes at a venue that takes them whole: the orders that risk has passed go as one frame, each by its own pass.

Up to there and from there on they are orders as any others. The frame goes when the last of them is decided; one side alone, or
what a single frame cannot carry now, goes as orders.
"""

from __future__ import annotations

import msgspec

from journal.messages import (
    NULL,
    MassQuote,
    NewOrder,
    OrderSent,
    QuoteEntry,
    RiskDecision,
    RoutedQuote,
    SendRefused,
    Side,
    SupportType,
    content_hash,
)
from journal.messages.quoting import is_quote_order, quote_hash, quote_order_id, quote_orders
from oms.budgets import Action
from oms.instructions import NativeQuote
from oms.order import Order, Unknown
from oms.release import Releasing
from oms.transitions import Event, State

_MASS_QUOTE = int(SupportType.MASS_QUOTE)
_WORTH = 2


class NativeQuotes(Releasing):
    """Gathers the passes of a quote, and sends it."""

    def gather(self, m: MassQuote) -> None:
        """The orders of the quote at this frame follow; where its venue takes quotes they go together."""
        i = self.memory.instructions
        venues = [self.memory.instrument_venue.get(e.instrument, 0) for e in m.entries]
        offer = i.offers.get(venues[0])
        if offer is not None and offer.supports & _MASS_QUOTE and venues.count(venues[0]) == len(venues):
            i.native_quotes[self.ctx.seq] = NativeQuote(m.encode(), self.ctx.source)

    def gathered(self, seq: int) -> None:
        """The frame of a quote is done with: of one whose orders were all refused nothing is left to wait for."""
        made = self.memory.instructions.native_quotes.get(seq)
        orders = [self.memory.orders[new.order_id] for new in self._orders_of(seq, made)] if made is not None else []
        if made is not None and all(order.closed for order in orders):
            del self.memory.instructions.native_quotes[seq]

    def passed(self, order: Order, m: RiskDecision) -> None:
        """A side of a gathered quote waits for the others."""
        natives = self.memory.instructions.native_quotes
        made = natives.get(order.request_seq) if natives and is_quote_order(order.order_id) else None
        if made is None:
            super().passed(order, m)
            return
        made.passes[order.order_id] = (self.ctx.seq, m.content_hash, m.valid_until_ts)
        self._decided(order.request_seq, made)

    def moved(self, order: Order) -> None:
        """A side that is refused or canceled before is not waited for."""
        super().moved(order)
        natives = self.memory.instructions.native_quotes
        made = natives.get(order.request_seq) if natives and order.closed else None
        if made is not None:
            self._decided(order.request_seq, made)

    def _decided(self, seq: int, made: NativeQuote) -> None:
        if made.risk_seq or self.ctx.seq == seq:
            return  # on its way, or its own frame is not done with
        sides = [
            o
            for new in self._orders_of(seq, made)
            if (o := self.memory.find(new.order_id, self.ctx.now)) and o.state is State.RCV
        ]
        if all(order.order_id in made.passes for order in sides):
            del self.memory.instructions.native_quotes[seq]
            self._send(seq, made, sides)

    @staticmethod
    def _orders_of(seq: int, made: NativeQuote) -> list[NewOrder]:
        return quote_orders(MassQuote.decode(made.asked), seq, made.source)

    def _send(self, seq: int, made: NativeQuote, sides: list[Order]) -> None:
        """Those that may go: as one, or as orders, which says of each why it may not."""
        new = {o.order_id: NewOrder.decode(o.asked) for o in sides}
        route = self.route_for(new[sides[0].order_id]) if sides else None
        together = (
            route is not None
            and len(sides) >= _WORTH
            and not self.several(route.venue, route.account)
            and not any(self._unfit(o, new[o.order_id], made) for o in sides)
            and len({new[o.order_id].expire_ts for o in sides}) == 1
            and self.fits_as_one(sides[0], Action.NEW)
        )
        if not together or route is None:
            for order in sides:
                risk_seq, hashed, until = made.passes[order.order_id]
                self.route(order, RiskDecision(content_hash=hashed, valid_until_ts=until), risk_seq=risk_seq)
            return
        made.risk_seq = max(made.passes[o.order_id][0] for o in sides)
        self.memory.instructions.native_quotes[seq] = made  # until it is back
        for order in sides:
            order.destination, order.asked = route.destination, b""
            order.deadline = self.ctx.now + self.request_timeout_ns
        m = MassQuote.decode(made.asked)
        self.ctx.emit(
            RoutedQuote(
                quote_id=m.quote_id, risk_seq=made.risk_seq, valid_until_ts=new[sides[0].order_id].expire_ts,
                content_hash=quote_hash([made.passes[o.order_id][1] for o in sides]), account=m.account,
                destination=route.destination, mmp_group=m.mmp_group, mmp_reset=m.mmp_reset,
                entries=[_entry(e, at, new, made.source, seq) for at, e in enumerate(m.entries)],
            )
        )  # fmt: skip
        for order in sides:
            self.step(order, Event.RISK_PASS)

    def _unfit(self, order: Order, new: NewOrder, made: NativeQuote) -> bool:
        _, hashed, until = made.passes[order.order_id]
        late = 0 < until < self.ctx.now
        return hashed != content_hash(new) or late or bool(self.shut(order))

    # Its frame, come back, and what was done with it.

    def on_routed_quote(self, m: RoutedQuote) -> None:
        """Learn its number, which is that of each of its orders."""
        natives = self.memory.instructions.native_quotes
        seq = next((seq for seq, made in natives.items() if made.risk_seq == m.risk_seq), 0)
        if not seq:
            return
        for new in self._orders_of(seq, natives.pop(seq)):
            order = self.memory.find(new.order_id, self.ctx.now)
            if order is not None and order.destination and not order.routed_seq:
                self.routed_at(order, self.ctx.seq)

    def _quoted_at(self, seq: int) -> list[Order]:
        return [o for o in self.open_orders() if seq and o.routed_seq == seq and is_quote_order(o.order_id)]

    def on_order_sent(self, m: OrderSent) -> None:
        """As for any request; a quote's names no order."""
        super().on_order_sent(m)
        for order in self._quoted_at(m.request_seq) if not m.order_id else ():
            order.deadline = self.ctx.now + self.request_timeout_ns
            self.step(order, Event.ORDER_SENT)

    def on_send_refused(self, m: SendRefused) -> None:
        """As for any request; nothing of a quote was sent."""
        super().on_send_refused(m)
        for order in self._quoted_at(m.request_seq) if not m.order_id else ():
            self.step(order, Event.NEW_REFUSED, reason=m.reason, of=Unknown.NEW)

    def check_instructions(self) -> None:
        """Assert what holds of quotes that go as one. O(n)."""
        super().check_instructions()
        for seq, made in self.memory.instructions.native_quotes.items():
            orders = [o for new in self._orders_of(seq, made) if (o := self.memory.peek(new.order_id))]
            waits = [o for o in orders if o.state is State.RCV and o.order_id not in made.passes]
            assert made.risk_seq or waits, (seq, made)


def _entry(e: QuoteEntry, at: int, sent: dict[int, NewOrder], source: int, seq: int) -> QuoteEntry:
    """The entry with the sides that go. It keeps its place, which names its orders."""
    bid, ask = (sent.get(quote_order_id(source, seq, at, side)) for side in (Side.BUY, Side.SELL))
    side = bid or ask
    return msgspec.structs.replace(
        e, exec_inst=side.exec_inst if side is not None else 0,
        bid_px=bid.price_px if bid else NULL, bid_qty=bid.order_qty if bid else NULL,
        ask_px=ask.price_px if ask else NULL, ask_qty=ask.order_qty if ask else NULL,
    )  # fmt: skip
