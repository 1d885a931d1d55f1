"""The app of `lockstep bench latency`: sees a top of book, decides, checks the risk, orders."""

from __future__ import annotations

from apps.app import App
from journal.messages import NewOrder, OrdType, Side, TimeInForce, TopOfBook, order_id_of

QTY = 5
QTY_MAX = 1_000
SPREAD_MAX = 100
NOTIONAL_MAX = 10_000_000_000
POSITION_MAX = 1_000_000_000
COLLAR_MILLE = 20
# Read once: a member of an enumeration costs a tenth of a microsecond each time it is named.
BUY, SELL, LIMIT, IOC = int(Side.BUY), int(Side.SELL), int(OrdType.LIMIT), int(TimeInForce.IOC)


class Ticker(App):
    """Buys and sells in turn at the far touch. Its checks are the pre-trade ones that need no other process, in integers:
    quantity, notional, collar around the mid, worst position with everything that is open."""

    def __init__(self) -> None:
        self.number = 0
        self.open_buys = 0
        self.open_sells = 0
        self.position = 0

    def on_top_of_book(self, m: TopOfBook) -> None:
        bid, ask = m.bid_px, m.ask_px
        if ask - bid > SPREAD_MAX:
            return
        buys = self.number & 1 == 0
        px = ask if buys else bid
        # Mid times two against price times two: no halves.
        mid2 = bid + ask
        if (
            QTY > QTY_MAX
            or QTY * px > NOTIONAL_MAX
            or abs(2 * px - mid2) * 1000 > COLLAR_MILLE * mid2
            or (self.position + self.open_buys if buys else self.open_sells - self.position) + QTY > POSITION_MAX
        ):
            return
        if buys:
            self.open_buys += QTY
        else:
            self.open_sells += QTY
        self.number += 1
        self.emit(
            NewOrder(
                order_id=order_id_of(self.me, self.number), account=1, strategy=1, instrument=m.instrument,
                side=BUY if buys else SELL, ord_type=LIMIT, tif=IOC, order_qty=QTY, price_px=px,
                book_seq=self.seq,
            )
        )  # fmt: skip
