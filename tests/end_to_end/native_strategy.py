"""A strategy for test_native.py: a stop that goes at once, one that waits, far orders, a quote; then it cancels everything."""

from __future__ import annotations

from apps.strategy import MILLISECOND, Strategy, on
from journal.messages import ExecType, ExecutionReport, QuoteEntry, Side, TopOfBook

FAR = 500_000
BEGUN, QUOTED, SWEPT = 1, 2, 3


class Native(Strategy):
    def start(self) -> None:
        self.instrument = self.px = self.stop = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m: TopOfBook) -> None:
        if self.instrument:
            return
        self.instrument, self.px = m.instrument, m.ask_px
        self.wake(self.now + 1500 * MILLISECOND, BEGUN)  # by then the book is live and the gateway READY

    def begin(self) -> None:
        i, px = self.instrument, self.px
        for n in range(3):
            self.buy(i, 10, px - FAR - 10 * n)
        self.sell(i, 10, px + FAR)
        self.buy(i, 10, px + FAR + 100, stop=px + FAR)
        self.stop = self.buy(i, 10, stop=px - FAR)

    def on_execution_report(self, m: ExecutionReport) -> None:
        if m.order_id == self.stop and m.exec_type == ExecType.TRADE and m.side == Side.BUY and not m.leaves_qty:
            self.wake(self.now + 200 * MILLISECOND, QUOTED)
            self.wake(self.now + 700 * MILLISECOND, SWEPT)

    def on_timer(self, token: int) -> None:
        if token == BEGUN:
            self.begin()
            return
        if token == SWEPT:
            self.mass_cancel()
            return
        far = 2 * FAR
        self.mass_quote(QuoteEntry(entry=1, instrument=self.instrument, bid_px=self.px - far, bid_qty=5,
                                   ask_px=self.px + far, ask_qty=5))  # fmt: skip
