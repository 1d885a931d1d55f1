"""Differences between us and a venue: said, judged whether they are still there, and repaired by policy or by a person.

A repair is an explicit frame (ReconcileCorrection) with its reason and author. What the venue's own frame has done already is
said afterwards; what a person or a policy does beyond that is followed by reports flagged SYNTHETIC. A person cannot make a
fill: only a frame of the venue can.
"""

from __future__ import annotations

from journal.messages import (
    NULL,
    Approval,
    ApprovalDecision,
    CorrectionAction,
    DifferenceType,
    OrdStatus,
    Reason,
    ReconcileCorrection,
    ReconcileDifference,
)
from oms.differences import APPROVALS_MAX, OF_POSITIONS, Compared, Open, Reconciling, key_of
from oms.gates import Gates
from oms.order import CLOSED, Order
from oms.transitions import Event

NOT_MENTIONED = OrdStatus.UNKNOWN
"""`theirs` of an order that a complete download did not mention; UNDEFINED: the venue says that it has no such order."""
_POLICY = {
    DifferenceType.ORDER_MISSING_AT_VENUE: CorrectionAction.CLOSE_OURS,
    DifferenceType.ORDER_UNKNOWN_TO_US: CorrectionAction.SUSPENSE,
    DifferenceType.STATUS: CorrectionAction.CLOSE_OURS,
    DifferenceType.QUANTITY: CorrectionAction.ADJUST,
    DifferenceType.PRICE: CorrectionAction.ADJUST,
    DifferenceType.FILL_MISSING_HERE: CorrectionAction.APPLY_FILL,
    DifferenceType.FILL_DIFFERS: CorrectionAction.APPLY_FILL,
    DifferenceType.FILL_MISSING_AT_VENUE: CorrectionAction.REVERSE_FILL,
    DifferenceType.FEE: CorrectionAction.ACCEPT_DIFFERENCE,
}
"""What a frame of the venue has done about a difference by the time it is back on the stream."""
_BY_PERSON = {
    CorrectionAction.CLOSE_OURS: (DifferenceType.ORDER_MISSING_AT_VENUE,),
    CorrectionAction.ADOPT_VENUE_ORDER: (DifferenceType.STATUS,),
    CorrectionAction.REVERSE_FILL: (DifferenceType.FILL_MISSING_AT_VENUE,),
    CorrectionAction.ACCEPT_DIFFERENCE: tuple(DifferenceType),
}
"""What a person may do about what. Fills are applied by the venue's frames alone."""


class Repair(Gates):
    """Handlers of differences, approvals and corrections."""

    def differs(
        self, c: Compared, difference: DifferenceType, order: Order, ours: int, theirs: int, *, trade: str = "", exp: int = 0
    ) -> None:
        self.say(c, difference, order.order_id, order.instrument, ours, theirs, order_ref=order.venue_order_ref, trade=trade,
                  exp=exp)  # fmt: skip

    def say(
        self, c: Compared, difference: DifferenceType, order_id: int, instrument: int, ours: int, theirs: int, *,
        order_ref: str = "", trade: str = "", exp: int = 0,
    ) -> None:  # fmt: skip
        made = Open(difference, order_id, ours, theirs, trade or (order_ref if not order_id else ""))
        if c.accepted.get(made.key) == (ours, theirs):
            return
        c.found += 1
        c.open[made.key] = made
        self.ctx.emit(
            ReconcileDifference(
                ours=ours, theirs=theirs, run=c.run, order_id=order_id, venue_frame_seq=self.ctx.seq, account=c.account,
                instrument=instrument, difference=difference, exp=exp, venue_order_ref=order_ref, venue_trade_ref=trade,
            )
        )  # fmt: skip

    def still(self, c: Compared, o: Open) -> bool:
        """Whether a difference is still one."""
        if o.difference in OF_POSITIONS:
            return True  # whoever keeps positions says when not
        order = self.memory.peek(o.order_id) if o.order_id else None
        if order is None or o.difference in (DifferenceType.ORDER_UNKNOWN_TO_US, DifferenceType.FEE):
            return False
        match o.difference:
            case DifferenceType.FILL_MISSING_HERE:
                return order.fills.get(o.ref, (0, 0))[0] != o.theirs if o.ref else order.cum_qty < o.theirs
            case DifferenceType.FILL_DIFFERS:
                return o.ours in order.fills.get(o.ref, ())
            case DifferenceType.FILL_MISSING_AT_VENUE:
                return bool(order.fills.get(o.ref, (0, 0))[0])
            case DifferenceType.STATUS:
                return order.closed if o.ours in CLOSED else not order.closed
            case DifferenceType.QUANTITY:
                return not order.closed and order.order_qty != o.theirs
            case DifferenceType.PRICE:
                return not order.closed and order.price_px != o.theirs
        return not order.closed and (order.unknown > 0 or order.heard_seq < c.began_seq)

    def on_reconcile_difference(self, m: ReconcileDifference) -> None:
        """Our own, back with its number: done already, or open until someone does it. Or one of positions and balances."""
        c = self.compared(m.account)
        if c is None:
            return
        ref = m.venue_trade_ref or (m.venue_order_ref if not m.order_id else "")
        if m.difference in OF_POSITIONS:
            ref = f"{m.instrument}/{m.currency}"
            c.open[key_of(m.difference, 0, ref)] = Open(m.difference, 0, m.ours, m.theirs, ref, self.ctx.seq)
            self.turn_gate(m.account)
            return
        o = c.open.get(key_of(m.difference, m.order_id, ref))
        if o is not None and self.still(c, o):
            o.seq = self.ctx.seq
            self._by_policy(c, o)
        else:
            c.open.pop(key_of(m.difference, m.order_id, ref), None)
            action = _POLICY[DifferenceType(m.difference)]
            self._correct(c, self.ctx.seq, action, "as the venue's word is")
        self.turn_gate(m.account)

    # Corrections.

    def _by_policy(self, c: Compared, o: Open) -> None:
        order = self.memory.find(o.order_id, self.ctx.now)
        if o.difference != DifferenceType.ORDER_MISSING_AT_VENUE or order is None:
            return
        definite = o.theirs != NOT_MENTIONED and c.attempt and not order.fills_missing
        if self.held().settings.close_missing and definite:
            self._correct(c, o.seq, CorrectionAction.CLOSE_OURS, "the venue has said twice that it has no such order")
            self._synthetic(order, Event.CORRECTED_END, Reason.UNKNOWN_AT_VENUE)
            c.open.pop(o.key, None)

    def _correct(self, c: Compared, seq: int, action: CorrectionAction, text: str) -> None:
        self.ctx.emit(ReconcileCorrection(run=c.run, difference_seq=seq, reason=Reason.RECONCILING, action=action, text=text))

    def _synthetic(self, order: Order, event: Event, reason: int) -> None:
        self.synthetic = True
        try:
            self.step(order, event, reason=reason)
        finally:
            self.synthetic = False

    def on_approval(self, m: Approval) -> None:
        """A second person's word on a correction to come."""
        held = self.memory.reconcile
        if held is not None and m.decision == ApprovalDecision.APPROVED:
            held.approvals[self.ctx.seq] = (m.request_seq, m.user)
            if len(held.approvals) > APPROVALS_MAX:
                del held.approvals[next(iter(held.approvals))]

    def on_reconcile_correction(self, m: ReconcileCorrection) -> None:
        """A person repairs an open difference; what cannot be done so is told, and nothing is changed. Of a run itself is what
        policy has done, our own or that of positions; who else may speak here is for grants to say."""
        held = self.memory.reconcile
        if held is None or m.run:
            return
        found = [(c, o) for c in held.accounts.values() for o in c.open.values() if o.seq == m.difference_seq]
        if not found:
            self.alert(
                None, Reason.COMMAND_NOT_APPLICABLE, f"correction of {m.difference_seq}: no open difference has that number"
            )
            return
        c, o = found[0]
        reason = self._not_so(m, o)
        if reason:
            known = m.action in CorrectionAction.__members__.values()
            action = CorrectionAction(m.action).name if known else f"action {m.action}"
            what = f"correction of {m.difference_seq}: {action} of {DifferenceType(o.difference).name}"
            self.alert(None, reason, f"{what} refused: {Reason(reason).name}")
            return
        self._apply(c, o, CorrectionAction(m.action), m.reason or Reason.USER_REQUEST)
        c.open.pop(o.key, None)
        self.turn_gate(c.account)

    def _not_so(self, m: ReconcileCorrection, o: Open) -> int:
        allowed = _BY_PERSON.get(CorrectionAction(m.action), ()) if m.action in CorrectionAction.__members__.values() else ()
        if o.difference not in allowed:
            return Reason.COMMAND_NOT_APPLICABLE
        if self.held().settings.approval:
            difference_seq, user = self.held().approvals.pop(m.approval_seq, (0, 0))
            if difference_seq != m.difference_seq:
                return Reason.APPROVAL_REQUIRED
            if not user or user == m.user:
                return Reason.SAME_PERSON
        return 0

    def _apply(self, c: Compared, o: Open, action: CorrectionAction, reason: int) -> None:
        order = self.memory.find(o.order_id, self.ctx.now) if o.order_id else None
        if o.difference in OF_POSITIONS:
            # Whoever keeps positions takes it from us, for only we know whether a person may.
            self._correct(c, o.seq, action, "a person accepts it")
        elif action == CorrectionAction.ACCEPT_DIFFERENCE or order is None:
            c.accepted[o.key] = (o.ours, o.theirs)
        elif action == CorrectionAction.CLOSE_OURS:
            self._synthetic(order, Event.CORRECTED_END, reason)
        elif action == CorrectionAction.ADOPT_VENUE_ORDER:
            self._synthetic(order, Event.CORRECTED_OPEN, reason)
        else:
            self.synthetic = True
            self.reverse_fill(order, o.ref, reason)
            self.synthetic = False

    # Small change.

    def fee_of(self, order: Order, trade: str) -> dict[str, int]:
        """The fee of a fill, as long as it is noted."""
        held = self.memory.reconcile
        noted = held.trades.get(f"{order.account}/{order.order_id}/{trade}") if held is not None else None
        if noted is None or noted.fee == NULL:
            return {}
        return {"fee": noted.fee, "fee_exp": noted.fee_exp, "fee_currency": noted.fee_currency}

    def held(self) -> Reconciling:
        held = self.memory.reconcile
        assert held is not None
        return held
