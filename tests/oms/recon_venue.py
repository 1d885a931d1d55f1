"""A venue for tests of reconciliation: what it has is the truth, and it answers queries as a gateway would report them.

It knows nothing of the order manager's state; what is pushed and what is lost, a test decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, SECOND, Recorder

from journal.messages import (
    NULL,
    Channel,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    GatewayPhase,
    Message,
    OrdStatus,
    QueryType,
    Reason,
    RoutedQuery,
    Side,
    VenueFill,
    VenueOrderUpdate,
)
from oms.differences import Settings

Mangle = Callable[[list[Message]], list[Message]]


@dataclass
class There:
    """An order at the venue."""

    order_id: int
    qty: int
    px: int
    status: int = OrdStatus.NEW
    ref: str = ""
    cum: int = 0


@dataclass
class Venue:
    """Orders and trades as they are."""

    r: Recorder
    orders: dict[str, There] = field(default_factory=dict)
    trades: list[VenueFill] = field(default_factory=list)
    asked: int = 0
    downloads: int = 0

    @classmethod
    def connected(cls, **settings: int) -> Venue:
        """A venue, an order manager that reconciles, and a first run that has converged."""
        venue = cls(Recorder())
        venue.r.oms.reconcile_by(Settings(**settings))
        venue.r.ready()
        venue.answer()
        return venue

    # What happens there.

    def work(self, number: int = 1, *, qty: int = 100, px: int = 5000, pushed: bool = True) -> int:
        """An order of ours, asked, passed, routed and accepted."""
        order_id, seq = self.r.new(number, qty=qty, px=px)
        self.r.decide(seq)
        assert self.r.routed(order_id), self.r.last()
        self.accept(order_id, qty=qty, px=px, pushed=pushed)
        return order_id

    def accept(self, order_id: int, *, qty: int = 100, px: int = 5000, ref: str = "", pushed: bool = True) -> There:
        ref = ref or f"V{order_id & 0xFFFF}"
        there = self.orders[ref] = There(order_id, qty, px, ref=ref)
        if pushed:
            self.push(there, ExecType.NEW)
        return there

    def trade(self, order_id: int, qty: int, *, px: int = 5000, ref: str = "", pushed: bool = True, fee: int = 7) -> VenueFill:
        there = self.there(order_id, ref)
        there.cum += qty
        there.status = OrdStatus.FILLED if there.cum >= there.qty else OrdStatus.PARTIALLY_FILLED
        fill = VenueFill(
            order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=qty, last_px=px, fee=fee,
            fee_currency=1, exchange_ts=self.r.now, trade_no=len(self.trades) + 1, channel=Channel.ORDER_STREAM,
            venue_order_ref=there.ref,
        )  # fmt: skip
        self.trades.append(fill)
        if pushed:
            self.r.frame(fill, GATEWAY)
        return fill

    def end(self, order_id: int, status: int = OrdStatus.CANCELED, *, pushed: bool = True, ref: str = "") -> None:
        there = self.there(order_id, ref)
        there.status = status
        if pushed:
            self.push(there, ExecType.EXPIRED if status == OrdStatus.EXPIRED else ExecType.CANCELED)

    def there(self, order_id: int, ref: str = "") -> There:
        return self.orders[ref] if ref else next(o for o in self.orders.values() if o.order_id == order_id)

    def push(self, there: There, exec_type: int) -> None:
        self.r.frame(self.update(there, exec_type, Channel.ORDER_STREAM), GATEWAY)

    def update(self, there: There, exec_type: int, channel: int) -> VenueOrderUpdate:
        return VenueOrderUpdate(
            order_id=there.order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=exec_type, ord_status=there.status,
            order_qty=there.qty, price_px=there.px, cum_qty=there.cum, side=Side.BUY, channel=channel, exchange_ts=self.r.now,
            venue_order_ref=there.ref,
        )  # fmt: skip

    # What it answers.

    def rows(self, from_ts: int = 0) -> list[Message]:
        """Fills since then, every order of ours, foreign orders that are open; an order it does not have is denied."""
        found: list[Message] = []
        for trade in self.trades:
            if trade.exchange_ts >= from_ts:
                row = VenueFill.decode(memoryview(trade.encode()), 0)
                row.channel = Channel.DOWNLOAD
                found.append(row)
        by_id = {o.order_id: o for o in self.orders.values() if o.order_id}
        for order in self.r.oms.open_orders():
            if order.source and order.routed_seq:
                there = by_id.pop(order.order_id, None)
                found.append(self.status(order.order_id, there))
        # Of those we hold for closed, the venue's list of open orders still shows what works there.
        rest = [*by_id.values(), *(o for o in self.orders.values() if not o.order_id)]
        open_there = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
        found += [self.update(o, ExecType.ORDER_STATUS, Channel.DOWNLOAD) for o in rest if o.status in open_there]
        return found

    def status(self, order_id: int, there: There | None) -> VenueOrderUpdate:
        if there is not None:
            return self.update(there, ExecType.ORDER_STATUS, Channel.QUERY)
        return VenueOrderUpdate(
            order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=ExecType.ORDER_STATUS, cum_qty=NULL,
            ord_status=OrdStatus.UNDEFINED, reason=Reason.UNKNOWN_AT_VENUE, channel=Channel.QUERY,
        )  # fmt: skip

    def answer(self, mangle: Mangle = list, *, complete: bool = True) -> int:
        """Answer every query that came since the last time, and those that come of the answers. Returns how many."""
        count = 0
        while True:
            queries = self.r.said(RoutedQuery)[self.asked :]
            if not queries:
                return count
            for m in queries:
                self.asked += 1
                count += 1
                if m.query == QueryType.OPEN_ORDERS:
                    self.download(mangle, from_ts=m.from_ts, complete=complete)
                else:
                    for trade in [t for t in self.trades if t.order_id == m.order_id]:
                        self.r.frame(trade, GATEWAY)
                    there = next((o for o in self.orders.values() if o.order_id == m.order_id), None)
                    self.r.frame(self.status(m.order_id, there), GATEWAY)

    def download(self, mangle: Mangle = list, *, from_ts: int = 0, complete: bool = True, rows: int = -1) -> None:
        self.downloads += 1
        self.r.frame(DownloadBegin(account=ACCOUNT, download=self.downloads), GATEWAY)
        sent = mangle(self.rows(from_ts))
        for row in sent:
            self.r.frame(row, GATEWAY)
        count = len(sent) if rows < 0 else rows
        self.r.frame(DownloadEnd(account=ACCOUNT, download=self.downloads, rows=count, complete=complete), GATEWAY)

    def reconnect(self) -> None:
        """The connection goes and comes again."""
        self.r.disconnect()
        self.r.phase(GatewayPhase.DISCONNECTED)
        self.r.phase(GatewayPhase.DOWNLOADING)
        self.download()
        self.r.phase(GatewayPhase.READY)
        self.answer()

    def settle(self, seconds: int = 90) -> None:
        """Time passes, queries are answered."""
        for _ in range(seconds):
            self.r.pass_time(SECOND)
            self.answer()
