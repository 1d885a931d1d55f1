"""RiskEngine: one decision for every new order and every replace, and the exposure it rests on.

What passes is reserved in the same step, before anyone can have seen it: two orders decided one after the other can never both
use the same room. What the OMS reports releases it.
"""

from __future__ import annotations

from journal.messages import (
    NULL,
    CancelOrder,
    CheckResult,
    CxlRejResponseTo,
    Decision,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    ReplaceOrder,
    RiskDecision,
    content_hash,
    order_id_source,
    replace_hash,
)
from journal.messages.orders import OWN_NUMBER_BITS
from journal.messages.scopes import Subject
from riskengine.checks import evaluate
from riskengine.checks.behaviour import count_message
from riskengine.context import Context
from riskengine.exposure import Held, Wish, direction
from riskengine.ids import add, contains
from riskengine.memory import decode
from riskengine.numbers import clip, rescale_up
from riskengine.proposal import Proposal
from riskengine.world import World

_CLOSED = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY, OrdStatus.REJECTED})
_OWN_NUMBER = (1 << OWN_NUMBER_BITS) - 1


class RiskEngine(World):
    """Pre-trade risk. A pure state machine: same frames, same decisions, same bytes."""

    def __init__(self, ctx: Context, *, require_limits: bool = False) -> None:
        super().__init__(ctx)
        self.require_limits = require_limits

    # Decisions.

    def on_new_order(self, m: NewOrder) -> None:
        """Decide on a new order; reserve it if it passes."""
        source = order_id_source(m.order_id)
        known = contains(self.memory.used.get(source, []), m.order_id & _OWN_NUMBER)
        if source == self.ctx.source:
            add(self.memory.used.setdefault(source, []), m.order_id & _OWN_NUMBER)
        p = self._proposal(
            self._subject(m.order_id, m.account, m.strategy, m.user, m.instrument, m.parent_order_id), m.side, m.ord_type,
            m.exec_inst, m.order_qty, m.price_px, m.stop_px, known_id=known,
        )  # fmt: skip
        if self._decide(p, NewOrder.KIND, content_hash(m)):
            held = self.memory.exposure.orders.get(m.order_id)
            if held is not None:  # a report has already made it known, for an order that is nobody's yet
                self.memory.exposure.release(held)
            self.memory.exposure.hold(
                Held(
                    m.order_id, m.account, m.strategy, m.user, m.instrument, m.side, m.ord_type, m.order_qty, m.price_px,
                    m.stop_px, m.display_qty, m.expire_ts,
                )
            )  # fmt: skip

    def on_replace_order(self, m: ReplaceOrder) -> None:
        """Decide on new terms; until they are in force or refused, the larger of both is reserved."""
        held = self.memory.exposure.orders.get(m.order_id)
        wish = self._wish(m, held)
        hashed = replace_hash(
            order_id=m.order_id, order_qty=wish.order_qty, price_px=wish.price_px, stop_px=wish.stop_px,
            display_qty=wish.display_qty, expire_ts=wish.expire_ts,
        )  # fmt: skip
        used = self.memory.used.get(order_id_source(m.order_id), [])
        if held is None:
            subject = self._subject(m.order_id, 0, 0, 0, 0, 0)
            side = ord_type = 0
        else:
            subject = self._subject(m.order_id, held.account, held.strategy, held.user, held.instrument, 0)
            side, ord_type = held.side, held.ord_type
        p = self._proposal(
            subject, side, ord_type, 0, wish.order_qty, wish.price_px, wish.stop_px,
            known_id=contains(used, m.order_id & _OWN_NUMBER), held=held, replace=True,
        )  # fmt: skip
        wish.passed = self._decide(p, ReplaceOrder.KIND, hashed)
        if held is not None:
            before = held.reserved_qty
            held.wishes.append(wish)
            self.memory.exposure.book(held, held.reserved_qty - before)

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
        )  # fmt: skip

    def on_cancel_order(self, m: CancelOrder) -> None:
        """Counts towards the rate, and is never refused."""
        held = self.memory.exposure.orders.get(m.order_id)
        if held is not None:
            subject = self._subject(m.order_id, held.account, held.strategy, held.user, held.instrument, 0)
            count_message(self.memory, subject, held.side, self.ctx.now)

    def _subject(self, order_id: int, account: int, strategy: int, user: int, instrument: int, parent: int) -> Subject:
        i = self.memory.instruments.get(instrument)
        return Subject(
            order_id=order_id, parent_order_id=parent, account=account, strategy=strategy, user=user, instrument=instrument,
            venue=i.venue if i else 0, underlying=i.underlying if i else 0, source=order_id_source(order_id),
        )  # fmt: skip

    def _proposal(
        self, subject: Subject, side: int, ord_type: int, exec_inst: int, order_qty: int, price_px: int, stop_px: int, *,
        known_id: bool, held: Held | None = None, replace: bool = False,
    ) -> Proposal:  # fmt: skip
        return Proposal(
            now=self.ctx.now, source=self.ctx.source, subject=subject, side=side, ord_type=ord_type, exec_inst=exec_inst,
            order_qty=order_qty, price_px=price_px, stop_px=stop_px, known_id=known_id, held=held, replace=replace,
            instrument=self.memory.instruments.get(subject.instrument),
        )  # fmt: skip

    def _decide(self, p: Proposal, kind: int, hashed: int) -> bool:
        """Evaluate, publish, count. True when it passed."""
        verdicts = evaluate(self.memory, p, require_limits=self.require_limits)
        failure = next((v for v in verdicts if v.result == CheckResult.FAIL), None)
        warned = any(v.result == CheckResult.WARN for v in verdicts)
        decision = Decision.REJECT if failure else Decision.PASS_WITH_WARNING if warned else Decision.PASS
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
            count_message(self.memory, p.subject, p.side, self.ctx.now)
        return failure is None

    def _notional(self, p: Proposal, qty: int) -> int:
        """What a quantity is worth, in the quote currency's ledger exponent; 0 when that cannot be said."""
        notional = p.notional(self.memory, qty) if p.instrument is not None and qty else None
        exp = self.memory.ledger_exp.get(p.instrument.quote_currency) if p.instrument is not None else None
        return 0 if notional is None or exp is None else rescale_up(notional[0], notional[1], exp)

    # What became of it.

    def on_execution_report(self, m: ExecutionReport) -> None:
        """The truth: fills move positions, and the rest is what is reserved from now on."""
        book = self.memory.exposure
        if m.exec_type == ExecType.TRADE:
            source = order_id_source(m.order_id)
            cell = book.cell(m.account, m.strategy, m.user, source, m.instrument)
            cell.position += direction(m.side) * m.last_qty
        held = book.orders.get(m.order_id)
        if m.ord_status in _CLOSED:
            if held is not None:
                book.release(held)
            return
        if held is None:
            # Not decided here, or open again after an end: it can trade, so it counts.
            book.hold(
                Held(
                    m.order_id, m.account, m.strategy, m.user, m.instrument, m.side, m.ord_type,
                    max(m.order_qty, m.cum_qty), m.price_px, m.stop_px, cum_qty=m.cum_qty,
                )
            )  # fmt: skip
            return
        before = held.reserved_qty
        self._follow(held, m)
        held.order_qty, held.cum_qty = max(m.order_qty, m.cum_qty), m.cum_qty
        held.price_px, held.stop_px = m.price_px, m.stop_px
        book.book(held, held.reserved_qty - before)

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
            held.display_qty, held.expire_ts = wish.display_qty, wish.expire_ts
        else:
            held.refusals_due += 1

    def on_order_cancel_reject(self, m: OrderCancelReject) -> None:
        """A replace was not done. Either its end was reported just before, or it was never taken up: then it is the oldest of
        these, for the OMS answers in the order of asking."""
        held = self.memory.exposure.orders.get(m.order_id)
        if held is None or m.response_to != CxlRejResponseTo.REPLACE:
            return
        if held.refusals_due:
            held.refusals_due -= 1
            return
        before = held.reserved_qty
        refused = next((w for w in held.wishes if not w.taken_up), None)
        if refused is not None:
            held.wishes.remove(refused)
            self.memory.exposure.book(held, held.reserved_qty - before)

    def on_timer(self, token: int) -> None:
        """The engine sets no timers: windows and ages are judged when they are asked about."""

    # State.

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes."""
        return self.memory.encode()

    def restore(self, data: bytes) -> None:
        """Take the state of a snapshot."""
        self.memory = decode(data)

    def check(self) -> None:
        """Assert every invariant of the exposure. O(n): for tests and the debugger."""
        self.memory.exposure.check()
