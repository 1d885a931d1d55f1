"""A strategy for test_refusals.py: it asks for more than the venue grants, and begins again whenever its orders are gone."""

from __future__ import annotations

from apps.strategy import MILLISECOND, SECOND, Strategy, on
from journal.messages import ExecType, ExecutionReport, Reason, TopOfBook

FAR = 500_000
ASK_FOR_MUCH, AGAIN = 1, 2
GONE = (Reason.CANCEL_ON_DISCONNECT, Reason.HALT_CANCEL, Reason.MARKET_CLOSED)


class Refused(Strategy):
    def start(self) -> None:
        self.instrument = self.px = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m: TopOfBook) -> None:
        if self.instrument:
            return
        self.instrument, self.px = m.instrument, m.ask_px
        self.wake(self.now + 3 * SECOND, ASK_FOR_MUCH)  # by then all is reconciled, and somebody has traded

    def on_timer(self, token: int) -> None:
        if token == ASK_FOR_MUCH:
            self.buy(self.instrument, 1000, self.px - FAR)  # more than is secured
            self.buy(self.instrument, 10, self.px + FAR)  # beyond the band
            self.buy(self.instrument, 10, self.px - FAR)
        self.buy(self.instrument, 10, self.px - FAR)  # at first one too many

    def on_execution_report(self, m: ExecutionReport) -> None:
        if m.exec_type in (ExecType.CANCELED, ExecType.REJECTED, ExecType.ORDER_STATUS) and m.reason in GONE:
            self.wake(self.now + 500 * MILLISECOND, AGAIN)
