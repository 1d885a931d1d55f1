"""A strategy for test_backtest_quotes.py: quotes both sides of the touch again and again, and at last cancels everything."""

from __future__ import annotations

from apps.strategy import MILLISECOND, SECOND, Strategy, on
from journal.messages import NULL, QuoteEntry, TopOfBook


class Quoter(Strategy):
    def start(self) -> None:
        self.quoted = 0
        self.until = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m: TopOfBook) -> None:
        self.until = self.until or self.now + 2 * SECOND
        if NULL in (m.bid_px, m.ask_px) or not self.now - self.quoted > 50 * MILLISECOND or self.now > self.until:
            return
        if not self.quoted:
            self.wake(self.until + 100 * MILLISECOND)
        self.quoted = self.now
        far = QuoteEntry(entry=2, instrument=m.instrument, bid_px=m.bid_px - 500, bid_qty=5)
        self.mass_quote(
            QuoteEntry(entry=1, instrument=m.instrument, bid_px=m.bid_px, bid_qty=10, ask_px=m.ask_px, ask_qty=10), far
        )

    def on_timer(self, token: int) -> None:
        self.mass_cancel()
