"""RiskEngine: one decision for every new order and every replace, and the exposure it rests on.

What passes is reserved in the same step, before anyone can have seen it: two orders decided one after the other can never both
use the same room. What the OMS reports releases it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from journal.messages import (
    NULL,
    CancelOrder,
    CxlRejResponseTo,
    EmulatedTrigger,
    ExecutionReport,
    MassQuote,
    NewOrder,
    OrderCancelReject,
    ParentOrder,
    ReplaceOrder,
    ReportFlag,
    RiskDecision,
    content_hash,
    order_id_source,
    replace_hash,
)
from journal.messages.family import Wanted
from journal.messages.orders import OWN_NUMBER_BITS
from journal.messages.quoting import quote_orders, valid_quote
from journal.messages.ranges import add, contains
from journal.messages.tables import Tables
from riskengine.checks import evaluate
from riskengine.codes import CLOSED, CheckResult, Decision, ExecType, OrdStatus, QuantityType
from riskengine.context import Context
from riskengine.exposure import Held, Wish, direction
from riskengine.forms import Forming
from riskengine.funding import bought_by, spend
from riskengine.memory import Memory, assemble, decode
from riskengine.numbers import clip, rescale_up
from riskengine.proposal import Proposal
from riskengine.view import View
from riskengine.violations import Violations

_MOVES: dict[int, int] = {ExecType.TRADE: 1, ExecType.TRADE_CORRECT: 1, ExecType.TRADE_CANCEL: -1}
"""Reports that move a position; a trade taken back moves it back."""
_OWN_NUMBER = (1 << OWN_NUMBER_BITS) - 1


class RiskEngine(Violations, Forming):
    """Pre-trade risk. A pure state machine: same frames, same decisions, same bytes."""

    def __init__(self, ctx: Context, *, require_limits: bool = False) -> None:
        super().__init__(ctx)
        self.require_limits = self.view.require_limits = require_limits

    # Decisions.

    def on_new_order(self, m: NewOrder, kind: int = NewOrder.KIND) -> None:
        """Decide on a new order; reserve it if it passes. `kind`: of the frame that asks for it."""
        source = order_id_source(m.order_id)
        known = contains(self.memory.used.get(source, []), m.order_id & _OWN_NUMBER)
        if source == self.ctx.source and kind == NewOrder.KIND:  # a quote's ids are the stream's: never used before
            add(self.memory.used.setdefault(source, []), m.order_id & _OWN_NUMBER)
        subject = self.view.subject(
            m.account, m.strategy, m.user, m.instrument, source=source, order_id=m.order_id, parent=m.parent_order_id
        )
        i = self.memory.instruments.get(m.instrument)
        in_amount = m.quantity_type == QuantityType.QUOTE_AMOUNT
        p = Proposal(
            now=self.ctx.now, source=self.ctx.source, subject=subject, side=m.side, ord_type=m.ord_type, exec_inst=m.exec_inst,
            order_qty=bought_by(self.memory, i, m) if in_amount else m.order_qty, price_px=m.price_px, stop_px=m.stop_px,
            known_id=known, instrument=i, order=m, display_qty=m.display_qty, expire_ts=m.expire_ts, release_ts=m.release_ts,
            in_amount=in_amount,
        )  # fmt: skip
        if m.parent_order_id:
            child = Wanted(
                side=m.side, order_qty=m.order_qty, price_px=m.price_px, tif=m.tif, expire_ts=m.expire_ts,
                quantity_type=m.quantity_type,
            )  # fmt: skip
            p = msgspec.structs.replace(p, child=child)
        if self._decide(p, kind, content_hash(self.decided(m))):
            self.keep_form(m)
            held = self.memory.exposure.orders.get(m.order_id)
            if held is not None:  # a report has already made it known, for an order that is nobody's yet
                self.view.release(held)
            self.view.hold(
                Held(
                    m.order_id, m.account, m.strategy, m.user, m.instrument, m.side, m.ord_type, p.order_qty, m.price_px,
                    m.stop_px, m.display_qty, m.expire_ts, value_px=p.reference_px(self.memory)[0], exec_inst=m.exec_inst,
                    quantity_type=m.quantity_type, list_id=m.list_id, end_kept=self.end_kept(m),
                )
            )  # fmt: skip
            if m.parent_order_id:
                self.memory.families.passed(m, self.memory.exposure.orders[m.order_id])

    def on_parent_order(self, m: ParentOrder) -> None:
        """A parent is worked by its children, and these are decided on; its own id is used up."""
        source = order_id_source(m.order_id)
        if source == self.ctx.source:
            add(self.memory.used.setdefault(source, []), m.order_id & _OWN_NUMBER)
        self.memory.families.asked(m, self.ctx.seq, self.ctx.source)

    def on_mass_quote(self, m: MassQuote) -> None:
        """Decide on each of the orders that a quote stands for."""
        if valid_quote(m, self.ctx.now):
            for new in quote_orders(m, self.ctx.seq, self.ctx.source):
                self.on_new_order(new, MassQuote.KIND)

    def on_emulated_trigger(self, m: EmulatedTrigger) -> None:
        """Decide on what a held order is sent as. It is reserved already, so nothing more is."""
        held = self.memory.exposure.orders.get(m.order_id)
        form = self.released(m, held)
        if held is None or form is None:
            return  # it ended before this frame
        p = Proposal(
            now=self.ctx.now, source=order_id_source(m.order_id),  # the OMS asks in its owner's name
            subject=self.view.subject_of(held), side=held.side, ord_type=form.ord_type, exec_inst=form.exec_inst,
            order_qty=form.order_qty, price_px=form.price_px, stop_px=form.stop_px, known_id=True, held=held, replace=True,
            instrument=self.memory.instruments.get(held.instrument), display_qty=form.display_qty, expire_ts=form.expire_ts,
            in_amount=held.in_amount,
        )  # fmt: skip
        if self._decide(p, EmulatedTrigger.KIND, content_hash(form)):
            held.ord_type, held.price_px, held.stop_px = form.ord_type, form.price_px, form.stop_px
            held.end_kept = bool(held.expire_ts) and not form.expire_ts
            self.view.settle(held)

    def on_replace_order(self, m: ReplaceOrder) -> None:
        """Decide on new terms; until they are in force or refused, the larger of both is reserved."""
        if m.order_id in self.memory.families.parents:
            self.memory.families.asked_anew(m, self.ctx.seq)
            return  # its children are decided on
        held = self.memory.exposure.orders.get(m.order_id)
        wish = self._wish(m, held)
        hashed = replace_hash(
            order_id=m.order_id, order_qty=wish.order_qty, price_px=wish.price_px, stop_px=wish.stop_px,
            display_qty=wish.display_qty, expire_ts=0 if wish.end_kept else wish.expire_ts,
        )  # fmt: skip
        used = self.memory.used.get(order_id_source(m.order_id), [])
        subject = (
            self.view.subject_of(held)
            if held is not None
            else self.view.subject(0, 0, 0, 0, source=order_id_source(m.order_id), order_id=m.order_id)
        )
        parent = self.memory.families.parent_of.get(m.order_id, 0)
        if parent:
            subject = msgspec.structs.replace(subject, parent_order_id=parent)
        p = Proposal(
            now=self.ctx.now, source=self.ctx.source, subject=subject, side=held.side if held else 0,
            ord_type=held.ord_type if held else 0, exec_inst=held.exec_inst if held else 0,
            order_qty=0 if held is not None and held.in_amount and m.order_qty != NULL else wish.order_qty,
            price_px=wish.price_px, stop_px=wish.stop_px, known_id=contains(used, m.order_id & _OWN_NUMBER), held=held,
            replace=True, instrument=self.memory.instruments.get(subject.instrument), display_qty=wish.display_qty,
            expire_ts=wish.expire_ts, release_ts=m.release_ts, in_amount=held is not None and held.in_amount,
        )  # fmt: skip
        if subject.parent_order_id:
            child = Wanted(side=p.side, order_qty=wish.order_qty, price_px=wish.price_px, expire_ts=wish.expire_ts)
            p = msgspec.structs.replace(p, child=child)
        wish.passed = self._decide(p, ReplaceOrder.KIND, hashed)
        if held is not None:
            held.wishes.append(wish)
            self.view.settle(held)
            self.memory.families.moved(m.order_id, held, cum_qty=held.cum_qty, now=self.ctx.now)

    def _wish(self, m: ReplaceOrder, held: Held | None) -> Wish:
        """What a replace asks for, with what it leaves as it is filled in."""
        old = held or Held(m.order_id, 0, 0, 0, 0, 0, 0, NULL)
        return Wish(
            self.ctx.seq, False,
            old.order_qty if m.order_qty == NULL else m.order_qty,
            old.price_px if m.price_px == NULL else m.price_px,
            old.stop_px if m.stop_px == NULL else m.stop_px,
            old.display_qty if m.display_qty == NULL else m.display_qty,
            m.expire_ts or old.expire_ts,
            end_kept=old.end_kept or (not old.expire_ts and m.expire_ts > 0 and self.keeps_ends(old.instrument)),
        )  # fmt: skip

    def on_cancel_order(self, m: CancelOrder) -> None:
        """Counts towards the rate, and is never refused."""
        held = self.memory.exposure.orders.get(m.order_id)
        if held is not None:
            self.count_message(self.view.subject_of(held), held.side)

    def _decide(self, p: Proposal, kind: int, hashed: int) -> bool:
        """Evaluate, publish, count. True when it passed."""
        self.observe()
        verdicts = evaluate(self.view, p)
        failure, decision = None, Decision.PASS
        for v in verdicts:
            if v.result == CheckResult.FAIL:
                failure, decision = v, Decision.REJECT
                break
            if v.result == CheckResult.WARN:
                decision = Decision.PASS_WITH_WARNING
        reserved = 0 if failure else p.more_qty
        self.ctx.emit(
            RiskDecision(
                order_id=p.subject.order_id, request_seq=self.ctx.seq, request_kind=kind, decision=decision,
                reason=failure.reason if failure else 0, content_hash=hashed, rules_generation=self.memory.generation,
                reserved_qty=clip(reserved), reserved_notional=self._notional(p, reserved),
                checks=[v.outcome() for v in verdicts],
            )
        )  # fmt: skip
        if failure is None:
            self.passed(p)
        if decision != Decision.PASS:
            self.violated(p, verdicts)
        return failure is None

    def _notional(self, p: Proposal, qty: int) -> int:
        """What a quantity is worth, in the quote currency's ledger exponent; 0 when that cannot be said."""
        notional = p.notional(self.memory, qty) if p.instrument is not None and qty else None
        exp = self.memory.ledger_exp.get(p.instrument.quote_currency) if p.instrument is not None else None
        return 0 if notional is None or exp is None else rescale_up(notional[0], notional[1], exp)

    # What became of it.

    def on_execution_report(self, m: ExecutionReport) -> None:
        """The truth: fills move positions, and the rest is what is reserved from now on."""
        if m.report_flags & ReportFlag.PARENT:
            self.memory.families.reported(m, self.ctx.seq, self.ctx.now)
            return
        self._reserve(m)
        if self.memory.usage.told:
            self.memory.usage.reported(m, self.ctx.now)
        if m.parent_order_id:
            held = self.memory.exposure.orders.get(m.order_id)
            self.memory.families.moved(m.order_id, held, cum_qty=m.cum_qty, now=self.ctx.now)

    def _reserve(self, m: ExecutionReport) -> None:
        book = self.memory.exposure
        if m.exec_type in _MOVES:
            source = order_id_source(m.order_id)
            cell = book.cell(m.account, m.strategy, m.user, source, m.instrument)
            self.view.traded(cell, _MOVES[m.exec_type] * direction(m.side) * m.last_qty)
            i = self.memory.instruments.get(m.instrument)
            if i is not None and m.exec_type == ExecType.TRADE:
                spend(self.memory, i, m.account, m.side, m.last_qty, m.last_px, m.exchange_ts)
        if m.exec_type in (ExecType.TRADE, ExecType.REJECTED):
            self.reported(m)
        held = book.orders.get(m.order_id)
        if m.ord_status in CLOSED:
            if held is not None:
                self.view.release(held)
                self.order_closed(held)
            self.memory.forms.pop(m.order_id, None)
            return
        if held is None:
            # Not decided here, or open again after an end: it can trade, so it counts.
            held = Held(
                m.order_id, m.account, m.strategy, m.user, m.instrument, m.side, m.ord_type, max(m.order_qty, m.cum_qty),
                m.price_px, m.stop_px, cum_qty=m.cum_qty, exec_inst=m.exec_inst, unknown=m.ord_status == OrdStatus.UNKNOWN,
            )  # fmt: skip
            self.view.hold(held)
            return
        self._follow(held, m)
        if held.in_amount:  # the report's quantity is money
            held.order_qty = max(held.order_qty, m.cum_qty)
        else:
            held.order_qty = max(m.order_qty, m.cum_qty)
        held.cum_qty, held.price_px, held.stop_px = m.cum_qty, m.price_px, m.stop_px
        if m.order_id in self.memory.forms:  # a release that was decided and then put off: it is again what it was
            held.ord_type = m.ord_type
        held.triggered = held.triggered or m.exec_type == ExecType.TRIGGERED
        self.view.known(held, m.ord_status == OrdStatus.UNKNOWN)
        self.view.settle(held)

    def _follow(self, held: Held, m: ExecutionReport) -> None:
        """A replace is taken up, in force, or given up."""
        wish = next((w for w in held.wishes if m.exec_ref_seq and w.request_seq == m.exec_ref_seq), None)
        if wish is None:
            return
        if m.exec_type == ExecType.PENDING_REPLACE:
            wish.taken_up = True
            return
        held.wishes.remove(wish)
        if m.exec_type == ExecType.REPLACED:
            held.display_qty, held.expire_ts, held.end_kept = wish.display_qty, wish.expire_ts, wish.end_kept
        else:
            held.refusals_due += 1

    def on_order_cancel_reject(self, m: OrderCancelReject) -> None:
        """A replace was not done. Either its end was reported just before, or it was never taken up: then it is the oldest of
        these, for the OMS answers in the order of asking."""
        if m.response_to != CxlRejResponseTo.REPLACE:
            return
        if m.order_id in self.memory.families.parents:
            self.memory.families.refused(m.order_id)
        held = self.memory.exposure.orders.get(m.order_id)
        if held is None:
            return
        if held.refusals_due:
            held.refusals_due -= 1
            return
        refused = next((w for w in held.wishes if not w.taken_up), None)
        if refused is not None:
            held.wishes.remove(refused)
            self.view.settle(held)
            self.memory.families.moved(m.order_id, held, cum_qty=held.cum_qty, now=self.ctx.now)

    # State.

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes."""
        return self.memory.encode()

    def restore(self, data: bytes) -> None:
        """Take the state of a snapshot."""
        self._stand(decode(data))

    def parts(self) -> tuple[bytes, Tables]:
        """The state as bytes, and beside them tables of many entries."""
        return self.memory.parts()

    def assemble(self, rest: bytes, pieces: Sequence[Sequence[Any]]) -> None:
        """Take a state that was captured in parts."""
        self._stand(assemble(rest, pieces))

    def _stand(self, memory: Memory) -> None:
        self.memory = memory
        self.view = View(memory, require_limits=self.require_limits)

    def check(self) -> None:
        """Assert every invariant of the exposure. O(n): for tests and the debugger."""
        with self.memory.checked():
            self.view.check()
            self.memory.families.check()
