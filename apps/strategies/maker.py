"""A market maker: one quote a side around the mid, moved when the market moves, leaning against its inventory."""

from __future__ import annotations

from apps.strategy import MILLISECOND, SECOND, Qty, Strategy, on
from journal.messages import NULL, ExecutionReport, OrdStatus, Side, TopOfBook


class MarketMaker(Strategy):
    """Quotes `qty` on both sides, `half_spread_ticks` from the mid, post-only."""

    qty: Qty
    max_position: Qty
    half_spread_ticks: int = 2
    requote_ticks: int = 1  # move a quote only when it is off by more than this
    skew_ticks: int = 3  # how far the quotes lean at full inventory
    min_interval_ms: int = 50  # between two looks at the same instrument

    @on(TopOfBook, wake="touch_changed", every="min_interval_ms")
    def touch(self, m: TopOfBook) -> None:
        if self.trades(m.instrument):
            self.quote(m.instrument)

    def quote(self, instrument: int) -> None:
        """Bring both quotes to where they belong."""
        book = self.book(instrument)
        if not book.is_live or book.bid_px == NULL or book.ask_px == NULL:
            self.cancel_all(instrument)
            return
        tick = self.refdata.tick(instrument)
        limit = self.refdata.qty(instrument, self.max_position)
        held = self.position(instrument)
        lean = self.skew_ticks * held // limit if limit else 0
        fair2 = book.bid_px + book.ask_px - 2 * lean * tick
        bid = (fair2 - 2 * self.half_spread_ticks * tick) // (2 * tick) * tick
        ask = -(-(fair2 + 2 * self.half_spread_ticks * tick) // (2 * tick)) * tick
        # Never through the other side: a post-only order that would take is refused by the venue.
        self.side(instrument, Side.BUY, min(bid, book.ask_px - tick), held < limit)
        self.side(instrument, Side.SELL, max(ask, book.bid_px + tick), held > -limit)

    def side(self, instrument: int, side: Side, px: int, wanted: bool) -> None:
        """One quote of one side: send, move or withdraw it."""
        mine = self.working(instrument, side)
        far = self.requote_ticks * self.refdata.tick(instrument)
        for order in mine:
            if not wanted:
                self.cancel(order.order_id)
            elif abs(order.px - px) > far:
                self.replace(order.order_id, px=px)
        if wanted and not mine:
            send = self.buy if side == Side.BUY else self.sell
            send(instrument, self.qty, px, post_only=True)

    def on_execution_report(self, m: ExecutionReport) -> None:
        if m.ord_status == OrdStatus.REJECTED:
            # Whoever said no will hardly change its mind at the next tick.
            self.look_again(m.instrument, self.now + SECOND + self.min_interval_ms * MILLISECOND)
        elif m.last_qty != NULL and m.last_qty > 0:
            self.look_again(m.instrument)  # a fill moves the inventory
