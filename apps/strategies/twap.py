"""Time-weighted average price: one parent, worked in equal slices at equal distances of time, each through the touch."""

from __future__ import annotations

from apps.algo import Algo, OpenParent
from apps.strategy import SECOND, Qty, on
from journal.messages import NULL, AlgoType, ExecutionReport, Side, TimeInForce, TopOfBook


class Twap(Algo):
    """Buys or sells `qty` of each of its symbols within `seconds`, in `slices` pieces, no further than `limit_ticks` from the
    mid it began at. What a slice did not get the later ones take along."""

    qty: Qty
    side: str = "buy"
    seconds: int = 60
    slices: int = 10
    limit_ticks: int = 50

    def start(self) -> None:
        if self.side not in ("buy", "sell") or self.seconds < 1 or self.slices < 1:
            raise ValueError(
                f"side = {self.side!r}, seconds = {self.seconds}, slices = {self.slices}; expected 'buy' or 'sell', 1 or more"
            )
        self.plan: dict[int, tuple[int, int]] = {}
        """Instrument → its parent, when that began."""
        self.done: dict[int, int] = {}
        """Instrument → what was bought or sold in the end (mantissa)."""

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m: TopOfBook) -> None:
        """The first live touch begins it."""
        if m.instrument in self.plan or not self.trades(m.instrument) or NULL in (m.bid_px, m.ask_px):
            return
        side = Side.BUY if self.side == "buy" else Side.SELL
        tick = self.refdata.tick(m.instrument)
        away = self.limit_ticks * tick * (1 if side == Side.BUY else -1)
        limit = (m.mid2 + 2 * away) // (2 * tick) * tick
        parent = self.parent(side, m.instrument, self.qty, limit, end=self.now + self.seconds * SECOND, algo=AlgoType.TWAP)
        if parent:
            self.plan[m.instrument] = (parent, self.now)
            self.wake(self.now + self._step, m.instrument)

    @property
    def _step(self) -> int:
        return self.seconds * SECOND // (self.slices + 1)

    def on_timer(self, token: int) -> None:
        """A slice is due: what should have been done by now, less what the children hold."""
        parent_id, began = self.plan[token]
        parent = self.parents.get(parent_id)
        if parent is None:
            return
        due = parent.qty * min((self.now - began) // self._step, self.slices) // self.slices
        lot, book = self.refdata.lot(token), self.book(token)
        missing = (due - (parent.qty - self.room(parent_id))) // lot * lot
        px = book.ask_px if parent.side == Side.BUY else book.bid_px
        if missing > 0 and book.is_live and px != NULL:
            self.slice(parent_id, missing, px, tif=TimeInForce.IOC)
        if self.now + self._step < parent.end_ts:
            self.wake(self.now + self._step, token)

    def parent_changed(self, parent: OpenParent, m: ExecutionReport) -> None:
        self.done[parent.instrument] = m.cum_qty
