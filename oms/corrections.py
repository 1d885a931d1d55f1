"""Trades taken back (busts) and restated by the venue, and fills that cannot be placed.

A correction changes what was filled, exactly and whatever the order's state: the old fill is taken back by a TRADE_CANCEL
report, what stands instead follows as TRADE_CORRECT; whoever adds up fills subtracts the one, adds the other and edits nothing.
Both reports show the order as it is after the whole correction. The trade's id stays known, so that an echo of the old fill,
from a lookback or a slower channel, does not come to life again.
"""

from __future__ import annotations

from typing import Any

from journal.messages import (
    NULL,
    DkReason,
    ExecType,
    OrdStatus,
    Reason,
    ReportFlag,
    TradeCorrectionAction,
    VenueTradeCorrection,
)
from oms.answered import Answered
from oms.asked import QTY_MAX
from oms.order import CLOSED, Order
from oms.transitions import Event


class Corrections(Answered):
    """Handlers of what a venue says about trades of the past."""

    def on_venue_trade_correction(self, m: VenueTradeCorrection) -> None:
        """Take back or restate one trade; the same correction again changes nothing."""
        order = self.order_of(m)
        trade = str(m.trade_no) if m.trade_no else m.venue_trade_ref
        if order is None or trade not in order.fills:
            what = "an order" if order is None else "a trade"
            self.alert(order, Reason.UNKNOWN_ORDER, f"the venue corrects trade {trade or '?'} of {what} that we do not know")
            self.dont_know(m, DkReason.NO_MATCHING_ORDER)
            return
        order.heard_seq = self.ctx.seq
        canceled = m.action == TradeCorrectionAction.CANCEL
        qty, px = (0, order.fills[trade][1]) if canceled else (m.last_qty, m.last_px)
        if m.action == TradeCorrectionAction.UNDEFINED or not (
            (canceled or 0 < qty < QTY_MAX) and -QTY_MAX < px < QTY_MAX and order.cum_qty + qty < QTY_MAX
        ):
            text = f"correction of trade {trade}: action {m.action}, quantity {qty}, price {px}; not applied"
            self.alert(order, Reason.INVALID_VALUE, text)
            return
        if (qty, px) == order.fills[trade]:
            news: dict[str, Any] = {"venue_frame_seq": self.ctx.seq, "exchange_ts": m.exchange_ts}
            self.report(order, ExecType.ORDER_STATUS, flags=ReportFlag.DUPLICATE_SUPPRESSED, **news)
        else:
            self._restate(order, m, trade, qty, px)

    def _restate(self, order: Order, m: VenueTradeCorrection, trade: str, qty: int, px: int) -> None:
        old_qty, old_px = order.fills[trade]
        ref = m.venue_trade_ref or trade
        of: dict[str, Any] = {"venue_frame_seq": self.ctx.seq, "exchange_ts": m.exchange_ts, "venue_trade_ref": ref}
        old: dict[str, Any] = of | {"last_qty": old_qty, "last_px": old_px} | (_fee_taken(m) or self.fee_of(order, trade))
        new = of | {"last_qty": qty, "last_px": px, "fee": m.fee, "fee_exp": m.fee_exp, "fee_currency": m.fee_currency}
        reason = m.reason or Reason.VENUE_OTHER

        def taken_back() -> None:
            self.report(order, ExecType.TRADE_CANCEL, reason=reason, **old)

        if not order.source:
            self._restate_foreign(order, trade, qty, px)
            if old_qty:
                taken_back()
            if qty:
                self.report(order, ExecType.TRADE_CORRECT, reason=reason, **new)
        elif not qty:
            self._corrected(order, Event.TRADE_CANCEL, trade, qty, px, news=old, reason=reason)
        elif old_qty:
            self._corrected(order, Event.TRADE_CORRECT, trade, qty, px, news=new, reason=reason, first=taken_back)
        else:
            # Taken back before, and it stands after all: a fill like any other.
            after = order.cum_qty + qty
            event = Event.FILL if after < order.order_qty else Event.FILL_LAST if after == order.order_qty else Event.FILL_OVER
            self._corrected(order, event, trade, qty, px, news=new, reason=reason)
        if order.overfilled:
            self.overfilled(order)
            if old_qty:
                self.alert(order, Reason.OVERFILL, f"trade {trade} restated to {qty}: filled beyond the order quantity")

    def _corrected(self, order: Order, event: Event, trade: str, qty: int, px: int, **step: Any) -> None:
        end = order.base if order.base in CLOSED and order.base != OrdStatus.FILLED else OrdStatus.CANCELED
        self.step(order, event, then=lambda: order.restate_fill(trade, qty, px), end=end, **step)

    def _restate_foreign(self, order: Order, trade: str, qty: int, px: int) -> None:
        order.restate_fill(trade, qty, px)
        order.order_qty = max(order.order_qty, order.cum_qty)
        if order.base == OrdStatus.FILLED and order.cum_qty < order.order_qty:
            order.base = OrdStatus.CANCELED

    def reverse_fill(self, order: Order, trade: str, reason: int) -> None:
        """Take a fill back that the venue does not know: a person's correction."""
        qty, px = order.fills[trade]
        news: dict[str, Any] = {"last_qty": qty, "last_px": px, "venue_trade_ref": trade} | self.fee_of(order, trade)
        if order.source:
            self._corrected(order, Event.TRADE_CANCEL, trade, 0, px, news=news, reason=reason)
        else:
            self._restate_foreign(order, trade, 0, px)
            self.report(order, ExecType.TRADE_CANCEL, reason=reason, **news)

    def fee_of(self, _order: Order, _trade: str) -> dict[str, int]:
        """What a fill had cost, as far as it is noted: where reconciliation is configured."""
        return {}


def _fee_taken(m: VenueTradeCorrection) -> dict[str, int]:
    """What a fill that is taken back had cost, when the venue says so of the trade that it takes back."""
    if m.action == TradeCorrectionAction.CANCEL and m.fee != NULL:
        return {"fee": m.fee, "fee_exp": m.fee_exp, "fee_currency": m.fee_currency}
    return {}
