"""A strategy that uses every kind of order and list once, when the script of its test says so."""

from __future__ import annotations

from decimal import Decimal

from apps.strategy import MILLISECOND, Strategy, on
from journal.messages import (
    CancelAllReport,
    ExecType,
    ExecutionReport,
    ListStatus,
    QuoteEntry,
    QuoteStatusReport,
    Side,
    TimeInForce,
    TopOfBook,
    TrailType,
    Trigger,
)


class Orders(Strategy):
    def start(self) -> None:
        self.begun = False
        self.heard: list[tuple[int, int, int]] = []
        self.lists: list[int] = []
        self.swept: list[int] = []
        self.quoted: list[int] = []
        self.bracketed: list[int] = []

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m: TopOfBook) -> None:
        if not self.begun:
            self.begun, self.instrument, self.px = True, m.instrument, m.ask_px
            for token in range(1, 9):
                self.wake(self.now + token * 50 * MILLISECOND, token)

    def on_timer(self, token: int) -> None:
        i, px = self.instrument, self.px
        if token == 1:  # an entry that fills at once, its stop held, its profit at the venue
            self.bracketed = self.bracket(
                self.draft(Side.BUY, i, 100, px + 100),
                stop=self.draft(Side.SELL, i, 100, stop=px - 2000, trigger=Trigger.BID),
                profit=self.draft(Side.SELL, i, 100, px + 500),
            )
        elif token == 2:
            self.trailing = self.sell(i, 10, trail=Decimal("3.00"), trigger=Trigger.BID)
        elif token == 3:
            self.oco(self.draft(Side.BUY, i, 10, px - 5000), self.draft(Side.BUY, i, 20, stop=px + 50_000))
        elif token == 4:
            self.buy(i, 10, px - 4000, expire=self.now + 30 * MILLISECOND)
            self.buy(i, 10, px - 4100, tif=TimeInForce.DAY)
            self.sell(i, 5, px + 9000, touched=px + 8000)
            self.sell(i, 5, trail=Decimal("12.5"), trail_type=TrailType.PERCENT)
            self.buy(i, 10, px - 4200, release=self.now + 10 * MILLISECOND)
        elif token == 5:
            self.mass_quote(QuoteEntry(entry=1, instrument=i, bid_px=px - 6000, bid_qty=5, ask_px=px + 6000, ask_qty=5))
        elif token == 6:
            self.mass_quote(QuoteEntry(entry=1, instrument=i, bid_px=px - 6100, bid_qty=5, ask_px=px + 6100, ask_qty=5))
        elif token == 7:
            self.pull_quotes()
        elif token == 8:
            self.mass_cancel(side=Side.BUY)

    def on_execution_report(self, m: ExecutionReport) -> None:
        if m.exec_type in (ExecType.TRADE, ExecType.TRIGGERED, ExecType.REJECTED):
            self.heard.append((m.order_id, m.exec_type, m.reason))

    @on(ListStatus)
    def listed(self, m: ListStatus) -> None:
        self.lists.append(m.list_status)

    @on(CancelAllReport)
    def swept_away(self, m: CancelAllReport) -> None:
        self.swept += [m.matched, m.canceled, m.final]

    @on(QuoteStatusReport)
    def said_of_quotes(self, m: QuoteStatusReport) -> None:
        self.quoted.append(m.quote_status)
