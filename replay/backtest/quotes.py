"""The orders of a routed quote.

The frame does not name them: their ids follow from the MassQuote that it was made of, and which that is, from the pass that it
names. So both are watched, as a gateway watches them.
"""

from __future__ import annotations

from apps.ledger import Emission
from journal.messages import MassQuote, RiskDecision, RoutedOrder, RoutedQuote, content_hash
from journal.messages.quoting import quote_orders


class Quotes:
    """MassQuotes of the stream, and the passes of their orders."""

    def __init__(self) -> None:
        self._asked: dict[int, int] = {}
        """MassQuote's seq → who asked."""
        self._passed: dict[int, int] = {}
        """Seq of a decision → that of the MassQuote it is about."""

    def watch(self, seq: int, source: int, e: Emission) -> None:
        """One frame of an app."""
        if e.kind == MassQuote.KIND:
            self._asked[seq] = source
        elif e.kind == RiskDecision.KIND and e.cause in self._asked:
            self._passed[seq] = e.cause

    def sides(self, m: RoutedQuote) -> list[RoutedOrder]:
        """Its orders, bid before ask, entry by entry."""
        asked = self._passed[m.risk_seq]
        return [
            RoutedOrder(
                order_id=new.order_id, content_hash=content_hash(new), order_qty=new.order_qty, price_px=new.price_px,
                expire_ts=new.expire_ts, account=new.account, instrument=new.instrument, exec_inst=new.exec_inst,
                destination=m.destination, side=new.side, ord_type=new.ord_type, tif=new.tif,
            )
            for new in quote_orders(m, asked, self._asked[asked])
        ]  # fmt: skip
