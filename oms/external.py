"""Orders that are not ours: another session's, a person's at the venue's own desk. Recorded, told, never dropped. A fill that
nothing had announced is said to be one we do not know (DontKnowTrade).

Such a record has an id of source 0 and no strategy: its positions end in suspense, and a person is told once.
"""

from __future__ import annotations

from typing import Any

from journal.messages import (
    AlertSeverity,
    Channel,
    DkReason,
    DontKnowTrade,
    ExecType,
    OrdStatus,
    Reason,
    ReportFlag,
    VenueFill,
    VenueOrderUpdate,
    VenueTradeCorrection,
)
from oms.asked import QTY_MAX, Asked
from oms.order import CLOSED, Order

ROWS = (Channel.QUERY, Channel.DOWNLOAD, Channel.HISTORY)
"""What a venue lists, as against what it pushes."""


class External(Asked):
    """The record of foreign orders, kept by the venue's reference."""

    def trade_of(self, m: VenueFill) -> str:
        """What makes a fill distinct within its order."""
        if m.trade_no:
            return str(m.trade_no)
        if m.venue_trade_ref:
            return m.venue_trade_ref
        self.alert(None, Reason.MISSING_FIELD, f"fill of order {m.order_id} without a trade id: a repeat could not be told")
        return f"frame {self.ctx.seq}"

    def fill_news(self, m: VenueFill) -> dict[str, Any]:
        """What the report of a fill carries of it."""
        return {
            "last_qty": m.last_qty, "last_px": m.last_px, "liquidity": m.liquidity, "fee": m.fee, "fee_exp": m.fee_exp,
            "fee_currency": m.fee_currency, "venue_trade_ref": m.venue_trade_ref or (str(m.trade_no) if m.trade_no else ""),
        }  # fmt: skip

    def _record(self, m: VenueOrderUpdate | VenueFill) -> tuple[Order, bool]:
        """Our record of a foreign order, and whether it is new."""
        order = self.foreign_order(m)
        if order is not None:
            return order, False
        key, ref = _key(m), _ref(m)
        self.memory.externals += 1
        number = self.memory.external[key] = self.memory.externals
        self.memory.refs[number] = key
        order = self.memory.orders[number] = Order(
            order_id=number, source=0, account=m.account, instrument=m.instrument, order_qty=0, side=m.side,
            venue=self.memory.account_venue.get(m.account, 0), request_seq=self.ctx.seq, base=OrdStatus.NEW,
            venue_order_ref=m.venue_order_ref,
        )  # fmt: skip
        what = f"order {m.order_id} of ours, which closed long ago" if self._left(m) else f"an order that is not ours: {ref}"
        self.alert(order, Reason.FOREIGN_ORDER, what, severity=AlertSeverity.CRITICAL)
        return order, True

    def order_of(self, m: VenueOrderUpdate | VenueFill | VenueTradeCorrection) -> Order | None:
        """The order that the venue speaks of, ours or a record of a foreign one. What comes late of one of ours that has
        left is in such a record."""
        return (self.memory.find(m.order_id, self.ctx.now) if m.order_id else None) or self.foreign_order(m)

    def foreign_order(self, m: VenueOrderUpdate | VenueFill | VenueTradeCorrection) -> Order | None:
        """Our record of a foreign order, if there is one."""
        number = self.memory.external.get(_key(m))
        return self.memory.find(number, self.ctx.now) if number is not None else None

    def external_update(self, m: VenueOrderUpdate) -> None:
        """The venue speaks of a foreign order: the record follows its word, but quantities filled come from fills alone."""
        ended = m.ord_status in CLOSED or m.ord_status in (OrdStatus.UNDEFINED, OrdStatus.UNKNOWN)
        if ended and self._left(m) and self.foreign_order(m) is None:
            self.alert(
                None, Reason.UNKNOWN_ORDER, f"the venue repeats the end of order {m.order_id}, which closed long ago",
                severity=AlertSeverity.WARNING,
            )  # fmt: skip
            return
        order, new = self._record(m)
        order.heard_seq = self.ctx.seq
        before = order.essence()
        if 0 < m.order_qty < QTY_MAX:
            order.order_qty = max(m.order_qty, order.cum_qty)
        order.side, order.ord_type, order.tif = m.side or order.side, m.ord_type or order.ord_type, m.tif or order.tif
        order.price_px, order.stop_px = m.price_px, m.stop_px
        done = order.order_qty > 0 and order.cum_qty >= order.order_qty
        if m.ord_status in CLOSED and (m.ord_status != OrdStatus.FILLED or done):
            base = m.ord_status
        else:
            # FILLED before its fills are seen: they count as exposure until found.
            base = OrdStatus.PARTIALLY_FILLED if order.cum_qty else OrdStatus.NEW
        self._settle(order, OrdStatus.FILLED if done else base)
        if new or order.essence() != before:
            news = {"venue_frame_seq": self.ctx.seq, "exchange_ts": m.exchange_ts}
            self.report(order, m.exec_type or ExecType.ORDER_STATUS, reason=m.reason or Reason.FOREIGN_ORDER,
                        venue_order_ref=m.venue_order_ref if new else "", **news)  # fmt: skip

    def external_fill(self, m: VenueFill) -> None:
        """A fill of a foreign order: applied, for the position is real. So is one of an order of ours that has left, unless it
        is a row of the venue's list from when that order was here: it was applied then."""
        if self._left(m) and m.channel in ROWS and m.exchange_ts <= self.memory.left_ts and self.foreign_order(m) is None:
            text = f"the venue lists a trade of order {m.order_id}, which closed long ago: it cannot be told from one we have"
            self.alert(None, Reason.UNKNOWN_ORDER, f"{text}; not applied")
            self.dont_know(m, DkReason.NO_MATCHING_ORDER)
            return
        order, new = self._record(m)
        order.heard_seq = self.ctx.seq
        if new:
            known = m.instrument in self.memory.instrument_venue
            self.dont_know(m, DkReason.NO_MATCHING_ORDER if known else DkReason.UNKNOWN_SYMBOL)
        trade = self.trade_of(m)
        news = {"venue_frame_seq": self.ctx.seq, "exchange_ts": m.exchange_ts}
        if trade in order.fills or order.cum_qty + m.last_qty >= QTY_MAX:
            self.report(order, ExecType.ORDER_STATUS, flags=ReportFlag.DUPLICATE_SUPPRESSED, **news)
            return
        late = order.closed
        order.side = order.side or m.side
        order.add_fill(trade, m.last_qty, m.last_px)
        # Its size may be unknown: it is at least what was filled.
        order.order_qty = max(order.order_qty, order.cum_qty)
        if order.cum_qty == order.order_qty:
            self._settle(order, OrdStatus.FILLED)
        elif not late:
            self._settle(order, OrdStatus.PARTIALLY_FILLED)
        flags = ReportFlag.LATE_FILL if late and not new else 0
        self.report(order, ExecType.TRADE, reason=Reason.FOREIGN_ORDER, flags=flags, **news, **self.fill_news(m))

    def _left(self, m: VenueOrderUpdate | VenueFill) -> bool:
        return m.order_id != 0 and self.memory.has_left(m.order_id)

    def dont_know(self, m: VenueFill | VenueTradeCorrection, reason: DkReason) -> None:
        """Say that a trade has no place here; what it moves is nobody's until a person decides."""
        ref = m.venue_trade_ref or (str(m.trade_no) if m.trade_no else "")
        self.ctx.emit(
            DontKnowTrade(
                venue_frame_seq=self.ctx.seq, last_qty=m.last_qty, last_px=m.last_px, account=m.account,
                instrument=m.instrument, dk_reason=reason, venue_trade_ref=ref,
            )
        )  # fmt: skip

    def close_foreign(self, order: Order) -> None:
        """The venue does not have it any more: what became of it we shall not hear."""
        self._settle(order, OrdStatus.CANCELED)
        self.synthetic = True
        self.report(order, ExecType.CANCELED, reason=Reason.CANCELED_ELSEWHERE)
        self.synthetic = False

    def _settle(self, order: Order, base: int) -> None:
        if base in CLOSED and not order.closed:
            self.memory.closed.add(self.ctx.now, order.order_id)
        order.base = base


def _ref(m: VenueOrderUpdate | VenueFill | VenueTradeCorrection) -> str:
    return m.venue_order_ref or m.client_ref or (f"#{m.order_id}" if m.order_id else f"?{m.instrument}")


def _key(m: VenueOrderUpdate | VenueFill | VenueTradeCorrection) -> str:
    return f"{m.account}/{_ref(m)}"
