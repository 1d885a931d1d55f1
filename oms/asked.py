"""What is asked of us: new orders, replaces, cancels, and the risk engine's word on them."""

from __future__ import annotations

from journal.messages import (
    NULL,
    CancelOrder,
    CxlRejResponseTo,
    Decision,
    ExecType,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceMode,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    SourceRole,
    content_hash,
    order_id_source,
    replace_hash,
)
from oms.budgets import Action, Waiting
from oms.order import Order, Request, Unknown
from oms.pacing import Pacing
from oms.transitions import Event, State

_MAY_REPLACE = (SourceRole.OPERATOR, SourceRole.OMS)
_MAY_CANCEL = (SourceRole.OPERATOR, SourceRole.RISK)
QTY_MAX = 1 << 62


class Asked(Pacing):
    """Handlers of the asked kinds and of our own routed frames."""

    def on_new_order(self, m: NewOrder) -> None:
        """Keep it until risk has decided; refuse at once what cannot be an order of this source."""
        self.memory.tidy(self.ctx.now)
        known = self.memory.find(m.order_id, self.ctx.now)
        foreign = m.order_id == 0 or order_id_source(m.order_id) != self.ctx.source
        if known is not None:
            # The report has the numbers and state of the order that has this id: it is untouched.
            reason = Reason.NOT_OWNER if foreign else Reason.DUPLICATE_ORDER_ID
            self.report(known, ExecType.REJECTED, reason=reason)
            return
        order = self._order_of(m)
        if foreign or self.memory.has_left(m.order_id):
            # Not recorded: an id belongs to the source whose number it bears, and to one order for ever.
            order.base = OrdStatus.REJECTED
            self.report(order, ExecType.REJECTED, reason=Reason.NOT_OWNER if foreign else Reason.DUPLICATE_ORDER_ID)
            return
        self.memory.orders[m.order_id] = order
        if not 0 < m.order_qty < QTY_MAX:
            order.order_qty = 0
            self.step(order, Event.RISK_REJECT, reason=Reason.INVALID_QUANTITY)
        else:
            self.accepted(order, m)

    def accepted(self, order: Order, new: NewOrder) -> None:
        """A new order that can be one, before risk has decided."""

    def _order_of(self, m: NewOrder) -> Order:
        return Order(
            order_id=m.order_id, source=self.ctx.source, account=m.account, instrument=m.instrument, order_qty=m.order_qty,
            side=m.side, strategy=m.strategy, user=m.user, parent_order_id=m.parent_order_id, ord_type=m.ord_type, tif=m.tif,
            exec_inst=m.exec_inst, price_px=m.price_px, stop_px=m.stop_px, display_qty=m.display_qty, expire_ts=m.expire_ts,
            venue=self.memory.instrument_venue.get(m.instrument, 0), request_seq=self.ctx.seq, asked=m.encode(),
        )  # fmt: skip

    def on_risk_decision(self, m: RiskDecision) -> None:
        """A pass is used once, for exactly what was asked."""
        order = self.memory.find(m.order_id, self.ctx.now)
        if m.request_kind == ReplaceOrder.KIND:
            if order is not None and order.replace is not None and order.replace.request_seq == m.request_seq:
                self.replace_decided(order, order.replace, m, risk_seq=self.ctx.seq)
            return
        if order is None or order.request_seq != m.request_seq:
            if m.decision != Decision.REJECT:
                self.alert(order, Reason.RISK_PASS_MISSING_OR_DIFFERENT, f"risk passed frame {m.request_seq}, no order of ours")
            return
        if m.decision == Decision.REJECT:
            self.step(order, Event.RISK_REJECT, reason=m.reason)
        elif order.state is State.RCV:
            self.passed(order, m)
        else:
            self.step(order, Event.RISK_PASS)

    def passed(self, order: Order, m: RiskDecision) -> None:
        """Risk passed a new order: it goes."""
        self.route(order, m, risk_seq=self.ctx.seq)

    def route(self, order: Order, m: RiskDecision, *, risk_seq: int) -> None:
        """Send an order by a pass, if it is for exactly this order and the way is open."""
        new = NewOrder.decode(order.asked)
        route = self.route_for(new)
        if m.content_hash != content_hash(new):
            reason: int = Reason.RISK_PASS_MISSING_OR_DIFFERENT
        elif m.valid_until_ts and self.ctx.now > m.valid_until_ts:
            reason = Reason.TOO_OLD_TO_SEND
        elif route is None:
            reason = self.no_route(new)
        else:
            reason = self.shut(order)
        if reason or route is None:
            if route is None:
                self.decided(order, new, None)
            self.step(order, Event.RISK_REJECT, reason=reason)
            return
        asked = order.request_seq
        if self.held_back(order, Action.NEW, asked, risk_seq=risk_seq, hashed=m.content_hash, until=m.valid_until_ts):
            return
        self.decided(order, new, route)
        self.leaves(order, new)
        order.destination, order.asked = route.destination, b""
        order.deadline = self.ctx.now + self.request_timeout_ns
        self.ctx.emit(
            RoutedOrder(
                order_id=order.order_id, risk_seq=risk_seq, content_hash=m.content_hash, order_qty=new.order_qty,
                price_px=new.price_px, stop_px=new.stop_px, display_qty=new.display_qty, min_qty=new.min_qty,
                expire_ts=new.expire_ts, account=new.account, instrument=new.instrument, strategy=new.strategy,
                exec_inst=new.exec_inst, destination=route.destination, side=new.side, ord_type=new.ord_type, tif=new.tif,
                position_effect=new.position_effect, margin_mode=new.margin_mode, quantity_type=new.quantity_type,
                stp_mode=new.stp_mode, trigger=new.trigger, trigger_direction=new.trigger_direction,
                trail_type=new.trail_type, peg_type=new.peg_type, trail_offset_exp=new.trail_offset_exp,
                peg_offset_exp=new.peg_offset_exp, leverage_exp=new.leverage_exp, trail_offset=new.trail_offset,
                peg_offset=new.peg_offset, leverage=new.leverage,
            )
        )  # fmt: skip
        self.step(order, Event.RISK_PASS)

    def leaves(self, order: Order, sent: NewOrder) -> None:
        """An order goes to its venue, as this."""

    # Replace.

    def on_replace_order(self, m: ReplaceOrder) -> None:
        """Terms change only when the venue says so; until then the wish is an overlay."""
        order = self.memory.find(m.order_id, self.ctx.now)
        reason = self._not_allowed(order, m, replace=True)
        if order is None or reason:
            self._refuse_ask(order, m, CxlRejResponseTo.REPLACE, reason)
            return
        request = Request(
            request_seq=self.ctx.seq, version=m.version or order.next_version,
            order_qty=order.order_qty if m.order_qty == NULL else m.order_qty,
            price_px=order.price_px if m.price_px == NULL else m.price_px,
            stop_px=order.stop_px if m.stop_px == NULL else m.stop_px,
            display_qty=order.display_qty if m.display_qty == NULL else m.display_qty,
            expire_ts=m.expire_ts or order.expire_ts,
        )  # fmt: skip
        request.end_kept = self.keeps_end(order, request)
        reason = self._senseless(order, request)
        if not reason and order.held and order.replace is not None:
            reason = Reason.ALREADY_PENDING  # its state, which the table asks, does not tell
        if not reason:
            event = Event.HELD_REPLACE if order.held else Event.REPLACE_ASKED
            reason = self.step(order, event, then=lambda: setattr(order, "replace", request)).refuse
        if reason:
            self._refuse_ask(order, m, CxlRejResponseTo.REPLACE, reason)
        else:
            order.last_version = max(order.last_version, request.version)

    def _senseless(self, order: Order, request: Request) -> int:
        if order.closed:
            return 0  # the table has the better reason
        if not order.routed_seq and not order.held and order.base not in (OrdStatus.RECEIVED, OrdStatus.PENDING_NEW):
            return Reason.ORDER_OUTCOME_UNKNOWN  # the venue works what we never sent: there is no request to replace
        if not 0 < request.order_qty < QTY_MAX:
            return Reason.INVALID_QUANTITY
        if request.order_qty < order.cum_qty:
            return Reason.REPLACE_BELOW_CUM
        if order.ord_type == OrdType.MARKET and request.price_px != order.price_px:
            return Reason.REPLACE_NOT_ALLOWED
        now = (order.order_qty, order.price_px, order.stop_px, order.display_qty, order.expire_ts)
        wanted = (request.order_qty, request.price_px, request.stop_px, request.display_qty, request.expire_ts)
        return Reason.REPLACE_HAS_NO_EFFECT if now == wanted else 0

    def replace_decided(self, order: Order, request: Request, m: RiskDecision, *, risk_seq: int) -> None:
        """Risk's word on a replace that is pending."""
        if m.decision == Decision.REJECT:
            reason = m.reason
        elif request.routed:
            self.alert(order, Reason.RISK_PASS_CONSUMED, f"second risk pass for the replace at {m.request_seq}")
            return
        elif not self.covers(m, order, request):
            reason = Reason.RISK_PASS_MISSING_OR_DIFFERENT
        elif order.held:
            self.held_replaced(order, request)
            return
        elif self.is_ours_alone(order, request):
            reason = self.step(order, Event.REPLACE_PASS).refuse
            if not reason:
                self.held_replaced(order, request)
                return
        else:
            reason = self.shut(order) or self.step(order, Event.REPLACE_PASS).refuse
        if reason:
            self.step(order, Event.REPLACE_FAIL, reason=reason)
        else:
            self.send_replace(order, request, m.content_hash, risk_seq=risk_seq)

    def covers(self, m: RiskDecision, order: Order, request: Request) -> bool:
        """Whether a pass is for these terms, as they are sent."""
        return m.content_hash == hash_of(order, request, told_end(request))

    def keeps_end(self, order: Order, request: Request) -> bool:  # noqa: ARG002
        """Whether the end that is asked for is not the venue's business."""
        return False

    def is_ours_alone(self, order: Order, request: Request) -> bool:  # noqa: ARG002
        """Whether all that changes is what no venue knows."""
        return False

    def send_replace(self, order: Order, request: Request, hashed: int, *, risk_seq: int) -> None:
        """Send a replace that has its pass."""
        if self.held_back(order, Action.REPLACE, request.request_seq, risk_seq=risk_seq, hashed=hashed):
            return
        request.routed, request.deadline = True, self.ctx.now + self.request_timeout_ns
        self.ctx.emit(
            RoutedReplace(
                order_id=order.order_id, risk_seq=risk_seq, content_hash=hashed, orig_request_seq=order.current_seq,
                order_qty=request.order_qty, price_px=request.price_px, stop_px=request.stop_px,
                display_qty=request.display_qty, expire_ts=told_end(request), account=order.account,
                instrument=order.instrument, version=request.version, destination=order.destination,
                replace_mode=ReplaceMode.AMEND, side=order.side,
            )
        )  # fmt: skip
        self.arm(order)

    def held_replaced(self, order: Order, request: Request) -> None:
        """New terms are in force at once where no venue knows the old ones: of a held order, or of what we keep."""

        def terms() -> None:
            order.replace = None
            order.order_qty, order.price_px, order.stop_px = request.order_qty, request.price_px, request.stop_px
            order.display_qty, order.version = request.display_qty, request.version
            self.move_end(order, request)

        self.step(order, Event.HELD_REPLACED, then=terms)

    def move_end(self, order: Order, request: Request) -> None:
        """An order has another end from now on."""
        order.expire_ts = request.expire_ts

    # Cancel.

    def on_cancel_order(self, m: CancelOrder) -> None:
        """Cancels always go: past gates, past a pending replace, into an unknown outcome."""
        order = self.memory.find(m.order_id, self.ctx.now)
        reason = self._not_allowed(order, m, replace=False)
        if order is not None and not reason and order.cancel is not None:
            reason = Reason.ALREADY_PENDING
        if order is None or reason:
            self._refuse_ask(order, m, CxlRejResponseTo.CANCEL, reason)
            return
        why = m.reason or Reason.USER_REQUEST
        version = m.version or order.next_version
        reason = self.cancel(order, Event.CANCEL_ASKED, version=version, reason=why)
        if reason:
            self._refuse_ask(order, m, CxlRejResponseTo.CANCEL, reason)
        else:
            order.last_version = max(order.last_version, version)

    def cancel(self, order: Order, event: Event, *, version: int, reason: int, end: int = OrdStatus.CANCELED) -> int:
        """Set the cancel overlay and route it; a reason if the table refuses. `end`: what a held order becomes, at once."""
        held = order.held

        def overlay() -> None:
            if order.base != OrdStatus.RECEIVED and not held:
                due = self.ctx.now + self.request_timeout_ns
                order.cancel = Request(request_seq=self.ctx.seq, version=version, reason=reason, deadline=due)
                self.route_cancel(order)

        return self.step(order, event, then=overlay, reason=reason, end=end if held else 0).refuse

    def route_cancel(self, order: Order) -> None:
        """Send the cancel under way. It names the frame the New was routed with, so it waits until that has come back."""
        if order.cancel is None or not order.routed_seq:
            return
        if self.held_back(order, Action.CANCEL, order.cancel.request_seq):
            order.cancel.deadline = 0
            return
        order.cancel.routed, order.cancel.routed_seq = True, 0
        order.cancel.deadline = self.ctx.now + self.request_timeout_ns
        self.ctx.emit(
            RoutedCancel(
                order_id=order.order_id, orig_request_seq=order.current_seq, account=order.account,
                instrument=order.instrument, version=order.cancel.version, destination=order.destination,
                reason=order.cancel.reason,
            )
        )  # fmt: skip

    def send_waiting(self, order: Order, waiting: Waiting) -> None:
        """What waited for its budget goes, or meets what has happened meanwhile."""
        if waiting.action == Action.NEW:
            risk = RiskDecision(content_hash=waiting.content_hash, valid_until_ts=waiting.valid_until_ts)
            self.route(order, risk, risk_seq=waiting.risk_seq)
        elif waiting.action == Action.CANCEL:
            self.route_cancel(order)
            self.arm(order)
        elif order.replace is not None:
            pending = Reason.ALREADY_PENDING if order.cancel is not None else 0
            reason = pending or (Reason.ORDER_OUTCOME_UNKNOWN if order.unknown else self.shut(order))
            if reason:
                self.step(order, Event.REPLACE_FAIL, reason=reason)
            else:
                self.send_replace(order, order.replace, waiting.content_hash, risk_seq=waiting.risk_seq)

    def _not_allowed(self, order: Order | None, m: CancelOrder | ReplaceOrder, *, replace: bool) -> int:
        left = order is None and self.memory.has_left(m.order_id)
        if order is None and not left:
            return Reason.UNKNOWN_ORDER
        role = self.memory.roles.get(self.ctx.source, 0)
        owner = order.source if order is not None else order_id_source(m.order_id)
        if self.ctx.source != owner and role not in (_MAY_REPLACE if replace else _MAY_CANCEL):
            return Reason.NOT_OWNER
        if order is None:
            return Reason.TOO_LATE  # it closed long ago
        if order.source == 0:
            return Reason.FOREIGN_ORDER
        if m.version and m.version <= order.last_version:
            return Reason.STALE_VERSION
        if m.conditional_on_version and m.conditional_on_version != order.version:
            return Reason.CONDITIONAL_VERSION_FAILED
        return 0

    def _refuse_ask(self, order: Order | None, m: CancelOrder | ReplaceOrder, response_to: int, reason: int) -> None:
        if order is not None:
            self.refuse(order, response_to, m.version, reason)
        else:
            self.ctx.emit(
                OrderCancelReject(
                    order_id=m.order_id, version=m.version, reason=reason, response_to=response_to,
                    # How one that has left had ended is in the journal, and not here.
                    ord_status=OrdStatus.UNDEFINED if self.memory.has_left(m.order_id) else OrdStatus.REJECTED,
                )
            )  # fmt: skip

    # Our own routed frames, come back with their sequence numbers: what gateways and venues will name.

    def on_routed_order(self, m: RoutedOrder) -> None:
        """Learn the number of the New."""
        order = self.memory.find(m.order_id, self.ctx.now)
        if order is None or order.routed_seq:
            return
        self.routed_at(order, self.ctx.seq)

    def routed_at(self, order: Order, seq: int) -> None:
        """What gateway and venue will name is known; a cancel may have waited for it."""
        order.routed_seq = order.current_seq = seq
        if not order.closed:
            if order.cancel is not None and not order.cancel.routed:
                self.route_cancel(order)
            self.arm(order)

    def on_routed_replace(self, m: RoutedReplace) -> None:
        """Learn the number of a replace."""
        order = self.memory.find(m.order_id, self.ctx.now)
        if order is not None and order.replace is not None and order.replace.version == m.version:
            order.replace.routed_seq = self.ctx.seq

    def on_routed_cancel(self, m: RoutedCancel) -> None:
        """Learn the number of a cancel."""
        order = self.memory.find(m.order_id, self.ctx.now)
        if order is not None and order.cancel is not None and order.cancel.version == m.version:
            order.cancel.routed_seq = self.ctx.seq

    def request_of(self, order: Order, request_seq: int) -> int:
        """Which request of an order a frame answers; NO when it names none that is under way."""
        if not request_seq:
            return Unknown.NO
        if order.cancel is not None and order.cancel.routed_seq == request_seq:
            return Unknown.CANCEL
        if order.replace is not None and order.replace.routed_seq == request_seq:
            return Unknown.REPLACE
        return Unknown.NEW if order.routed_seq == request_seq else Unknown.NO


def told_end(request: Request) -> int:
    """The end that the venue is told with new terms; 0: none."""
    return 0 if request.end_kept else request.expire_ts


def hash_of(order: Order, request: Request, expire_ts: int) -> int:
    """The content hash of a replace that tells the venue this end."""
    return replace_hash(
        order_id=order.order_id, order_qty=request.order_qty, price_px=request.price_px, stop_px=request.stop_px,
        display_qty=request.display_qty, expire_ts=expire_ts,
    )  # fmt: skip
