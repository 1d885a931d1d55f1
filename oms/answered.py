"""What gateways and venues answer: sent or not, acknowledged, refused, ended, filled. Truth first, alert second."""

from __future__ import annotations

from typing import Any

from journal.messages import (
    NULL,
    Channel,
    CxlRejResponseTo,
    DkReason,
    ExecType,
    KillLevel,
    OrderSent,
    OrdStatus,
    Reason,
    ReportFlag,
    SendRefused,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
)
from oms.asked import QTY_MAX
from oms.external import External
from oms.order import CLOSED, Ending, Order, Unknown
from oms.transitions import Event, State

_EVENT_OF = {
    ExecType.NEW: Event.VENUE_NEW,
    ExecType.PENDING_NEW: Event.VENUE_PENDING_NEW,
    ExecType.SUSPENDED: Event.VENUE_SUSPENDED,
    ExecType.TRIGGERED: Event.VENUE_TRIGGERED,
    ExecType.RESTATED: Event.VENUE_RESTATED,
    ExecType.DEPTH_REFRESH: Event.VENUE_RESTATED,
}
_FORCED = (ExecType.SELF_TRADE_PREVENTED, ExecType.LIQUIDATION, ExecType.AUTO_DELEVERAGE)
_ENDS = {
    ExecType.CANCELED: OrdStatus.CANCELED,
    ExecType.EXPIRED: OrdStatus.EXPIRED,
    ExecType.DONE_FOR_DAY: OrdStatus.DONE_FOR_DAY,
    **dict.fromkeys(_FORCED, OrdStatus.CANCELED),
}
_TOO_LATE = (Reason.TOO_LATE, Reason.TOO_LATE_AT_VENUE)
_UNKNOWN = (Reason.UNKNOWN_ORDER, Reason.UNKNOWN_AT_VENUE)


class Answered(External):
    """Handlers of what was done and said."""

    def on_order_sent(self, m: OrderSent) -> None:
        """From here the outcome is the venue's: its time to answer starts."""
        order = self.memory.find(m.order_id, self.ctx.now)
        if order is None:
            return
        of = self.request_of(order, m.request_seq)
        deadline = self.ctx.now + self.request_timeout_ns
        if of == Unknown.CANCEL and order.cancel is not None:
            order.cancel.deadline = deadline
        elif of == Unknown.REPLACE and order.replace is not None:
            order.replace.deadline = deadline
        elif of == Unknown.NEW:
            order.deadline = deadline
            self.step(order, Event.ORDER_SENT)
        self.arm(order)

    def on_send_refused(self, m: SendRefused) -> None:
        """Certainly not sent."""
        order = self.memory.find(m.order_id, self.ctx.now)
        if order is None:
            return
        of = self.request_of(order, m.request_seq)
        if of == Unknown.NEW:
            self.step(order, Event.NEW_REFUSED, reason=m.reason, of=Unknown.NEW)
        elif of == Unknown.CANCEL:
            self.step(order, Event.CANCEL_REFUSED, reason=m.reason)
            self._not_canceled(order)
        elif of == Unknown.REPLACE:
            self.step(order, Event.REPLACE_REFUSED, reason=m.reason)

    def on_venue_order_update(self, m: VenueOrderUpdate) -> None:
        """One message of the venue about an order; its status word never decides what cum and leaves are."""
        order = self.memory.find(m.order_id, self.ctx.now) if m.order_id else None
        if order is None:
            self.external_update(m)
            return
        order.heard_seq = self.ctx.seq
        news = self._news(order, m)
        if m.exec_type == ExecType.ORDER_STATUS:
            self._status(order, m, news)
        elif m.exec_type in _ENDS:
            self._end(order, m, self._end_event(order, m), _ENDS[ExecType(m.exec_type)], news)
        elif m.exec_type == ExecType.REJECTED:
            self._rejected(order, m, news)
        elif m.exec_type == ExecType.REPLACED:
            self._replaced(order, m, news)
        elif m.exec_type == ExecType.RESTATED:
            self.step(order, Event.VENUE_RESTATED, then=lambda: self._adopt(order, m), reason=m.reason, news=news)
        elif m.exec_type == ExecType.SUSPENDED and not order.destination:
            # What we never sent waits with us or not at all, whatever a venue says of it.
            self.step(order, Event.VENUE_STATUS)
        elif m.exec_type in _EVENT_OF:
            self.step(order, _EVENT_OF[ExecType(m.exec_type)], reason=m.reason, news=news)
        else:
            self.step(order, Event.VENUE_STATUS)

    def _news(self, order: Order, m: VenueOrderUpdate | VenueFill) -> dict[str, Any]:
        """What a report carries of a venue's frame; the venue's order id the first time only."""
        news: dict[str, Any] = {"venue_frame_seq": self.ctx.seq, "exchange_ts": m.exchange_ts}
        if m.venue_order_ref and m.venue_order_ref != order.venue_order_ref:
            order.venue_order_ref = news["venue_order_ref"] = m.venue_order_ref
        return news

    # Ends.

    def _end_event(self, order: Order, m: VenueOrderUpdate) -> Event:
        if m.exec_type in _FORCED:
            return Event.FORCED_END
        if m.exec_type != ExecType.CANCELED:
            return Event.VENUE_EXPIRED
        if m.reason == Reason.CANCEL_ON_DISCONNECT:
            return Event.CANCEL_ON_DISCONNECT
        return Event.VENUE_CANCELED if order.cancel is None else Event.VENUE_CANCELED_ASKED

    def _end(self, order: Order, m: VenueOrderUpdate, event: Event, base: int, news: dict[str, Any]) -> None:
        """An end; if the venue counts fills that we have not seen, these first."""
        asked = order.cancel.reason if order.cancel is not None and event is Event.VENUE_CANCELED_ASKED else 0
        # That it was asked for is all a venue can say of a cancel of ours; why we asked says more.
        why = m.reason if m.reason != Reason.USER_REQUEST else 0
        reason = why or asked or m.reason or Reason.VENUE_OTHER
        if m.cum_qty != NULL and order.cum_qty < m.cum_qty < QTY_MAX:
            self._counts_more(order, m.cum_qty)
            ending = Ending(base, order.venue_cum, reason)
            self.step(order, Event.END_BEFORE_FILLS, then=lambda: setattr(order, "ending", ending), reason=reason, news=news)
        else:
            self.step(order, event, end=base, reason=reason, news=news)

    def _counts_more(self, order: Order, cum_qty: int) -> None:
        """The venue counts fills that we have not seen: asking for them need not wait for the pace of the last query."""
        if cum_qty > order.venue_cum:
            order.venue_cum, order.query_at = cum_qty, 0

    def _rejected(self, order: Order, m: VenueOrderUpdate, news: dict[str, Any]) -> None:
        of = self.request_of(order, m.request_seq)
        if of == Unknown.REPLACE and m.ord_status == OrdStatus.CANCELED:
            self._end(order, m, Event.CANCEL_NEW_FAILED, OrdStatus.CANCELED, news)
        elif of in (Unknown.CANCEL, Unknown.REPLACE):
            self._refused(order, of, m.reason)
        else:
            self.step(order, Event.VENUE_REJECTED, reason=m.reason or Reason.VENUE_OTHER, news=news)

    def on_venue_cancel_reject(self, m: VenueCancelReject) -> None:
        """The venue refuses a cancel or a replace."""
        order = self.memory.find(m.order_id, self.ctx.now)
        if order is None:
            self.alert(None, Reason.UNKNOWN_ORDER, f"venue refuses a cancel of order {m.order_id}, which we do not know")
            return
        order.heard_seq = self.ctx.seq
        of = Unknown.REPLACE if m.response_to == CxlRejResponseTo.REPLACE else Unknown.CANCEL
        overlay = order.replace if of == Unknown.REPLACE else order.cancel
        if overlay is not None and m.request_seq and overlay.routed_seq != m.request_seq:
            self.step(order, Event.VENUE_STATUS)  # the answer to an earlier request
        else:
            self._refused(order, of, m.reason)

    def _refused(self, order: Order, of: int, reason: int) -> None:
        reason = reason or Reason.VENUE_OTHER
        cancel = of == Unknown.CANCEL
        if reason in _TOO_LATE:
            event = Event.CANCEL_TOO_LATE if cancel else Event.REPLACE_TOO_LATE
        elif reason in _UNKNOWN:
            event = Event.CANCEL_UNKNOWN if cancel else Event.REPLACE_UNKNOWN
        else:
            event = Event.CANCEL_OTHER if cancel else Event.REPLACE_OTHER
        self.step(order, event, reason=reason)
        if cancel:
            self._not_canceled(order)

    def _not_canceled(self, order: Order) -> None:
        """A cancel for a kill or an end that is past, and was not done, is tried again, at the pace of the queries."""
        if not order.closed and order.cancel is None and self.wanted_canceled(order):
            self.ask(order)
            self.arm(order)

    # Terms.

    def _adopt(self, order: Order, m: VenueOrderUpdate) -> None:
        """Take the venue's terms; the quantity is never below what was filled."""
        if 0 < m.order_qty < QTY_MAX:
            order.order_qty = max(m.order_qty, order.cum_qty)
        if m.price_px != NULL and order.price_px != NULL:
            order.price_px = m.price_px
        if m.stop_px != NULL and order.stop_px != NULL:
            order.stop_px = m.stop_px

    def _replaced(self, order: Order, m: VenueOrderUpdate, news: dict[str, Any]) -> None:
        def terms() -> None:
            wanted, order.replace = order.replace, None
            if wanted is not None:
                order.order_qty = max(wanted.order_qty, order.cum_qty)
                order.price_px, order.stop_px = wanted.price_px, wanted.stop_px
                order.display_qty = wanted.display_qty
                order.version, order.current_seq = wanted.version, wanted.routed_seq or order.current_seq
                self.move_end(order, wanted)
            self._adopt(order, m)

        self.step(order, Event.VENUE_REPLACED, then=terms, reason=m.reason, news=news)

    # Answers to queries, rows of downloads.

    def _status(self, order: Order, m: VenueOrderUpdate, news: dict[str, Any]) -> None:
        if m.ord_status in (OrdStatus.UNDEFINED, OrdStatus.UNKNOWN):
            asked = m.channel in (Channel.QUERY, Channel.DOWNLOAD)
            if m.reason == Reason.UNKNOWN_AT_VENUE and asked:
                self.step(order, Event.NEVER_EXISTED, reason=Reason.NOT_CONNECTED, news=news)
            else:
                self.step(order, Event.NOT_FOUND, reason=m.reason, news=news)
        elif m.ord_status == OrdStatus.REJECTED and order.cum_qty == 0:
            self.step(order, Event.VENUE_REJECTED, reason=m.reason or Reason.VENUE_OTHER, news=news)
        elif m.ord_status in CLOSED:
            # FILLED with no more than we have: the venue's quantity is smaller than ours; what it does not work is canceled.
            ours = m.ord_status in (OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY)
            base = m.ord_status if ours else OrdStatus.CANCELED
            if not order.closed and self._has_replaced(order, m):
                self._replaced(order, m, news)  # before its end
            canceled = Event.VENUE_CANCELED if order.cancel is None else Event.VENUE_CANCELED_ASKED
            self._end(order, m, Event.VENUE_EXPIRED if ours else canceled, base, news)
        else:
            self._open_at_venue(order, m, news)

    @staticmethod
    def _has_replaced(order: Order, m: VenueOrderUpdate) -> bool:
        """Whether what the venue lists has the terms of our replace that it has not answered."""
        wanted = order.replace
        return wanted is not None and wanted.routed and (m.order_qty, m.price_px) == (wanted.order_qty, wanted.price_px)

    def _open_at_venue(self, order: Order, m: VenueOrderUpdate, news: dict[str, Any]) -> None:
        was_unknown = order.state is State.U
        wanted = order.replace
        if self._has_replaced(order, m):
            self._replaced(order, m, news)
        else:

            def terms() -> None:
                if was_unknown and wanted is not None and wanted.routed:
                    order.replace = None
                if order.replace is None:
                    self._adopt(order, m)

            waits = m.ord_status == OrdStatus.SUSPENDED and order.destination and not order.closed
            self.step(order, Event.VENUE_SUSPENDED if waits else Event.QUERY_OPEN, then=terms, news=news)
        if order.closed:
            return
        if m.cum_qty != NULL and order.cum_qty < m.cum_qty < QTY_MAX:
            self._counts_more(order, m.cum_qty)
            self.ask(order)
        # A cancel is harmless twice: what the connection may have swallowed goes again.
        if was_unknown and not order.unknown and order.cancel is not None and order.cancel.routed:
            self.route_cancel(order)
        elif order.cancel is None and self.killed(order, level=KillLevel.BLOCK_CANCEL):
            self.cancel(order, Event.KILL, version=0, reason=Reason.KILL_SWITCH_ACTIVE)
        elif self.is_over(order):
            self.expire(order)
        self.arm(order)

    # Fills.

    def overfilled(self, order: Order) -> None:
        """The venue filled more than was ordered: nothing new there until a complete download."""
        self.memory.overfilled[f"{order.account}/{order.instrument}"] = self.ctx.seq

    def on_venue_fill(self, m: VenueFill) -> None:
        """A distinct fill is applied whatever the state; the same one again changes nothing."""
        if not 0 < m.last_qty < QTY_MAX or not -QTY_MAX < m.last_px < QTY_MAX:
            self.alert(
                None, Reason.INVALID_VALUE, f"fill of order {m.order_id}: quantity {m.last_qty}, price {m.last_px}; not applied"
            )
            self.dont_know(m, DkReason.OTHER)
            return
        order = self.memory.find(m.order_id, self.ctx.now) if m.order_id else None
        if order is None:
            self.external_fill(m)
            return
        order.heard_seq = self.ctx.seq
        news = self._news(order, m)
        trade = self.trade_of(m)
        if trade in order.fills:
            self.step(order, Event.FILL_AGAIN)
            self.report(order, ExecType.ORDER_STATUS, flags=ReportFlag.DUPLICATE_SUPPRESSED, **news)
            return
        if order.cum_qty + m.last_qty >= QTY_MAX:
            self.alert(order, Reason.ARITHMETIC_OVERFLOW, f"fill of {m.last_qty} upon {order.cum_qty}; not applied")
            self.dont_know(m, DkReason.QUANTITY_EXCEEDS_ORDER)
            return
        if m.side and order.side and m.side != order.side:
            self.alert(
                order, Reason.INVALID_SIDE, f"the venue's fill has side {m.side}, the order {order.side}; applied as ours"
            )
        after = order.cum_qty + m.last_qty
        event = Event.FILL if after < order.order_qty else Event.FILL_LAST
        if after > order.order_qty:
            event = Event.FILL_OVER
            self.overfilled(order)
        self.step(
            order, event, then=lambda: order.add_fill(trade, m.last_qty, m.last_px),
            reason=Reason.OVERFILL if event is Event.FILL_OVER else 0, news=news | self.fill_news(m),
        )  # fmt: skip
        ending = order.ending
        if ending is not None and order.cum_qty >= ending.cum_qty:
            self.step(order, Event.FILLS_COMPLETE, end=ending.base, reason=ending.reason)
