"""The judge of what was said: reads a stream frame by frame and holds it to the invariants of orders and sends, by their ids
(docs/invariants.md). It knows nothing of the order manager: whoever writes such a stream is judged by what it says.

What a venue or a client says is never wrong here; what the OMS publishes is."""

from __future__ import annotations

from typing import Any

from journal.messages import (
    NULL,
    CxlRejResponseTo,
    Decision,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    MassQuote,
    Message,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    Reason,
    ReportFlag,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedQuote,
    RoutedReplace,
    content_hash,
    order_id_source,
    replace_hash,
)
from journal.messages.quoting import quote_orders
from oms.order import CLOSED

MOVES = {ExecType.TRADE: 1, ExecType.TRADE_CORRECT: 1, ExecType.TRADE_CANCEL: -1}
MANTISSA_MAX = 1 << 62


class Breach(AssertionError):
    """An invariant does not hold. `invariant`: which."""

    def __init__(self, invariant: str, frame: Message) -> None:
        super().__init__(f"{invariant}: {frame!r}")
        self.invariant = invariant


class History:
    """Everything said so far of the orders that were asked for on this stream."""

    def __init__(self) -> None:
        self.askers: dict[int, set[int]] = {}
        """Order id → who has asked for an order of this id."""
        self.quoting: set[int] = set()
        self.terms: dict[int, InstrumentDefined] = {}
        self.passes: dict[int, tuple[int, int, int]] = {}
        """Frame of a pass → (order, content hash, frame that asked); gone when it is used."""
        self.used: set[int] = set()
        self.named: dict[int, dict[int, int]] = {}
        """Order id → frames a request may name: the New, then the replaces; each with the frame it replaces."""
        self.head: dict[int, int] = {}
        """Order id → the frame with the terms in force."""
        self.replaces: dict[tuple[int, int], int] = {}
        """(order, frame that asked) → the RoutedReplace."""
        self.pending: dict[int, int] = {}
        self.last: dict[int, ExecutionReport] = {}
        self.sums: dict[int, list[int]] = {}

    def see(self, seq: int, source: int, m: Message) -> None:
        """The next frame. Breach where it must not be."""
        match m:
            case NewOrder():
                self.askers.setdefault(m.order_id, set()).add(source)
            case MassQuote():
                self.quoting.add(source)
            case InstrumentDefined():
                self.terms[m.instrument] = m
            case RiskDecision() if m.decision != Decision.REJECT:
                self.passes[seq] = (m.order_id, m.content_hash, m.request_seq)
            case RoutedOrder():
                self._new(seq, m)
            case RoutedQuote():
                self._quote(seq, m)
            case RoutedReplace():
                self._replace(seq, m)
            case RoutedCancel():
                self._request(m)
            case OrderCancelReject():
                if m.response_to == CxlRejResponseTo.REPLACE and self.pending.get(m.order_id) == m.version:
                    del self.pending[m.order_id]
            case ExecutionReport() if not m.report_flags & ReportFlag.PARENT:
                self._report(m)

    # Sends.

    def _new(self, seq: int, m: RoutedOrder) -> None:
        self._hold("I-20", m.order_id not in self.named, m)
        owner = order_id_source(m.order_id)
        self._hold("I-27", owner != 0 and owner in self.askers.get(m.order_id, self.quoting), m)
        self._passed(seq, m, content_hash(m))
        self._sized(m)
        self.named[m.order_id] = {seq: 0}
        self.head[m.order_id] = seq

    def _quote(self, seq: int, m: RoutedQuote) -> None:
        """Several orders in one frame: each has its own pass; the frame names the last of these."""
        last = self.passes.get(m.risk_seq)
        self._hold("I-29", last is not None and m.risk_seq < seq, m)
        assert last is not None
        for new in quote_orders(m, last[2], order_id_source(last[0])):
            self._hold("I-20", new.order_id not in self.named, m)
            wanted = (new.order_id, content_hash(new), last[2])
            found = next((at for at, known in self.passes.items() if known == wanted and at not in self.used), None)
            self._hold("I-29", found is not None, m)
            assert found is not None
            self.used.add(found)
            self.named[new.order_id] = {seq: 0}
            self.head[new.order_id] = seq

    def _replace(self, seq: int, m: RoutedReplace) -> None:
        self._request(m)
        self._hold("I-21", m.order_id in self.pending and m.orig_request_seq == self.head[m.order_id], m)
        hashed = replace_hash(
            order_id=m.order_id, order_qty=m.order_qty, price_px=m.price_px, stop_px=m.stop_px, display_qty=m.display_qty,
            expire_ts=m.expire_ts,
        )  # fmt: skip
        asked = self._passed(seq, m, hashed)
        self._sized(m)
        self.named[m.order_id][seq] = m.orig_request_seq
        self.replaces[m.order_id, asked] = seq

    def _request(self, m: RoutedCancel | RoutedReplace) -> None:
        """About an order that is at the venue, and not at its end."""
        self._hold("I-22", m.orig_request_seq in self.named.get(m.order_id, ()), m)
        self._hold("I-22", self.last[m.order_id].ord_status not in CLOSED, m)

    def _passed(self, seq: int, m: RoutedOrder | RoutedReplace, hashed: int) -> int:
        self._hold("I-30", m.risk_seq not in self.used, m)
        found = self.passes.get(m.risk_seq)
        self._hold("I-29", found is not None and m.risk_seq < seq, m)
        assert found is not None
        self._hold("I-29", found[:2] == (m.order_id, hashed) and m.content_hash == hashed, m)
        self.used.add(m.risk_seq)
        return found[2]

    def _sized(self, m: RoutedOrder | RoutedReplace) -> None:
        """On tick and lot of the definition in force, below the bound of the ledger."""
        i = self.terms.get(m.instrument)
        self._hold("I-26", 0 < m.order_qty < MANTISSA_MAX, m)
        for px in (m.price_px, m.stop_px):
            self._hold("I-26", px == NULL or (abs(px) < MANTISSA_MAX and not px % _unit(i.tick_px if i else 0)), m)
        self._hold("I-26", not m.order_qty % _unit(i.lot_qty if i else 0), m)

    # Reports.

    def _report(self, m: ExecutionReport) -> None:
        before = self.last.get(m.order_id)
        ask_refused = m.exec_type == ExecType.REJECTED and m.reason in (Reason.DUPLICATE_ORDER_ID, Reason.NOT_OWNER)
        if before is not None and before.ord_status in CLOSED and ask_refused and m.ord_status == OrdStatus.REJECTED:
            return  # of an order that has left the report has what was asked, not what had become of it
        if m.order_qty != NULL:
            self._hold("I-17", m.cum_qty + m.leaves_qty + m.cxl_qty == max(m.order_qty, m.cum_qty), m)
            self._hold("I-16", 0 <= m.cum_qty <= max(m.order_qty, 0) or bool(m.report_flags & ReportFlag.OVERFILL), m)
        self._follow(m)
        if before is not None:
            self._moved(before, m)
        if m.exec_type in MOVES:
            totals = self.sums.setdefault(m.order_id, [0, 0])
            totals[0] += MOVES[ExecType(m.exec_type)] * m.last_qty
            totals[1] += MOVES[ExecType(m.exec_type)] * m.last_qty * m.last_px
            if m.exec_type != ExecType.TRADE_CANCEL:  # a restated trade is taken back first: exact when it is put right
                self._hold("I-19", totals[0] == m.cum_qty, m)
        self.last[m.order_id] = m

    def _follow(self, m: ExecutionReport) -> None:
        """A replace begins, and ends in force or given up: one at a time."""
        if m.ord_status in CLOSED:
            self._hold("I-18", m.leaves_qty == 0, m)
            self.pending.pop(m.order_id, None)
        if m.exec_type == ExecType.PENDING_REPLACE:
            self._hold("I-21", m.order_id not in self.pending, m)
            self.pending[m.order_id] = m.version
        elif m.exec_type == ExecType.REPLACED:
            self.pending.pop(m.order_id, None)
            accepted = self.replaces.get((m.order_id, m.exec_ref_seq))
            if accepted is not None:
                self._hold("I-21", self.named[m.order_id][accepted] == self.head[m.order_id], m)
                self._hold("I-21", m.cum_qty <= m.order_qty or bool(m.report_flags & ReportFlag.OVERFILL), m)
                self.head[m.order_id] = accepted

    def _moved(self, before: ExecutionReport, m: ExecutionReport) -> None:
        """What was filled changes by fills and by what takes them back, and late only with a flag."""
        moved = m.cum_qty - before.cum_qty
        if m.exec_type == ExecType.TRADE:
            self._hold("I-19", moved == m.last_qty, m)
            if before.ord_status in CLOSED and m.ord_status in CLOSED and before.ord_status != OrdStatus.FILLED:
                late = m.report_flags & (ReportFlag.LATE_FILL | ReportFlag.OVERFILL)
                self._hold("I-18", bool(late) or before.ord_status == OrdStatus.REJECTED, m)
        elif m.exec_type not in MOVES:
            self._hold("I-19", moved == 0, m)
        if m.report_flags & ReportFlag.DUPLICATE_SUPPRESSED or m.reason in (Reason.DUPLICATE_ORDER_ID, Reason.NOT_OWNER):
            numbers = [(x.cum_qty, x.leaves_qty, x.cxl_qty, x.order_qty, x.price_px) for x in (before, m)]
            self._hold("I-20", numbers[0] == numbers[1], m)

    def end(self) -> None:
        """Whoever only adds up reports has the truth."""
        for order_id, totals in self.sums.items():
            last = self.last[order_id]
            self._hold("I-19", totals == [last.cum_qty, last.cum_notional], last)

    @staticmethod
    def _hold(invariant: str, holds: bool, m: Message) -> None:
        if not holds:
            raise Breach(invariant, m)


def _unit(step: int) -> int:
    return step if step not in (0, NULL) else 1


def judge(stream: list[tuple[int, int, Any]]) -> None:
    """A whole stream of (seq, source, message)."""
    history = History()
    for seq, source, m in stream:
        history.see(seq, source, m)
    history.end()
