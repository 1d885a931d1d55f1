"""One step of one order: look the cell up, move, report. Every handler of the manager ends here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from journal.messages import (
    Alert,
    AlertSeverity,
    AlertState,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    Flag,
    GatewayPhase,
    OrderCancelReject,
    OrdStatus,
    QueryType,
    Reason,
    ReportFlag,
    RoutedQuery,
    ScopeType,
)
from journal.messages.scopes import Subject
from oms.context import Context
from oms.memory import Gate, Memory
from oms.order import Order, Request, Unknown
from oms.transitions import TABLE, Cell, Event, State

REQUEST_TIMEOUT_NS = 5_000_000_000
PACE_MAX = 12
"""Queries about one order are never further apart than this many timeouts."""
QUERIES_BEFORE_ALERT = 10
"""So many unanswered queries, and a person is told; the exposure stays."""

CANCEL_ANSWERS = (Event.CANCEL_REFUSED, Event.CANCEL_TOO_LATE, Event.CANCEL_UNKNOWN, Event.CANCEL_OTHER)
_REPLACE_ANSWERS = (
    Event.REPLACE_FAIL, Event.REPLACE_REFUSED, Event.REPLACE_TOO_LATE, Event.REPLACE_UNKNOWN, Event.REPLACE_OTHER,
)  # fmt: skip
_REPLACED = (Event.VENUE_REPLACED, Event.HELD_REPLACED)
_PROVES_IT_WORKS = (
    Event.VENUE_NEW, Event.FILL, Event.VENUE_REPLACED, Event.VENUE_TRIGGERED, Event.VENUE_RESTATED, Event.QUERY_OPEN,
    Event.TRADE_CANCEL, Event.TRADE_CORRECT, Event.CORRECTED_OPEN,
)  # fmt: skip
_LIFTS_SUSPENSION = (Event.VENUE_NEW, Event.FILL, Event.VENUE_TRIGGERED)
_FILLS = (Event.FILL, Event.FILL_LAST, Event.FILL_OVER)
_RESTATES = (Event.TRADE_CANCEL, Event.TRADE_CORRECT)
"""They change what was filled, whatever else they do: always applied, always reported."""
_EXEC_TYPE = {
    Event.RISK_PASS: ExecType.PENDING_NEW,
    Event.CANCEL_ASKED: ExecType.PENDING_CANCEL,
    Event.KILL: ExecType.PENDING_CANCEL,
    Event.POLICY_CANCEL: ExecType.PENDING_CANCEL,
    Event.HOLD: ExecType.SUSPENDED,
    Event.RELEASE: ExecType.TRIGGERED,
    Event.HELD_REPLACE: ExecType.PENDING_REPLACE,
    Event.HELD_REPLACED: ExecType.REPLACED,
    Event.RESIZED: ExecType.RESTATED,
    Event.REPLACE_ASKED: ExecType.PENDING_REPLACE,
    Event.VENUE_NEW: ExecType.NEW,
    Event.VENUE_SUSPENDED: ExecType.SUSPENDED,
    Event.VENUE_REPLACED: ExecType.REPLACED,
    Event.VENUE_TRIGGERED: ExecType.TRIGGERED,
    Event.VENUE_RESTATED: ExecType.RESTATED,
}
_EXEC_TYPE_OF_END = {
    OrdStatus.CANCELED: ExecType.CANCELED,
    OrdStatus.EXPIRED: ExecType.EXPIRED,
    OrdStatus.DONE_FOR_DAY: ExecType.DONE_FOR_DAY,
    OrdStatus.REJECTED: ExecType.REJECTED,
    OrdStatus.FILLED: ExecType.ORDER_STATUS,
}
_END_OF_CELL = {"F": OrdStatus.FILLED, "C": OrdStatus.CANCELED, "E": OrdStatus.EXPIRED, "R": OrdStatus.REJECTED}


class Core:
    """State, the step, and what it emits."""

    __slots__ = ("__dict__", "memory", "synthetic")  # at a place of their own, where the kernel finds them

    def __init__(self, ctx: Context, *, request_timeout_ns: int = REQUEST_TIMEOUT_NS) -> None:
        self.ctx = ctx
        self.request_timeout_ns = request_timeout_ns
        self.memory = Memory()
        self.synthetic = False
        """What is reported now follows from a correction of ours, not from a frame of the venue."""

    # The step.

    def step(
        self,
        order: Order,
        event: Event,
        *,
        then: Callable[[], None] | None = None,
        end: int = 0,
        reason: int = 0,
        of: int = Unknown.ORDER,
        news: dict[str, Any] | None = None,
        first: Callable[[], None] | None = None,
    ) -> Cell:
        """Move one order by one event. `then` does what the event brings with it (a fill, new terms, an overlay), unless the
        cell says that nothing moves. `end`: which closed state exactly; `of`: whose outcome an UNKNOWN is about; `news`:
        what the report carries of the venue's message; `first`: what is said before it. A report goes out only when the
        order changed."""
        before, was, lost = order.essence(), order.state, order.unknown
        cell = TABLE[event][was]
        news = news or {}
        if cell.to == "x":
            self.alert(order, Reason.ILLEGAL_TRANSITION, f"{event.value} at an order that is {was.value}: impossible; ignored")
            return cell
        if cell.to == "rj":
            return cell
        cancel, replace = order.cancel, order.replace
        if then is not None and (cell.to != "=" or event in _FILLS or event in _RESTATES):
            then()
        if event in CANCEL_ANSWERS:
            order.cancel = None
        if event in _REPLACE_ANSWERS:
            order.replace = None
        contradiction = self._move(order, event, cell.to, end or 0, of)
        if not order.closed and order.leaves_qty == 0 and order.cum_qty:
            self._close(order, OrdStatus.FILLED)
        if order.essence() != before or event in _RESTATES:
            if first is not None:
                first()
            flags = ReportFlag.LATE_FILL if cell.late else 0
            turned = replace or order.replace
            if turned is not None and (replace is None) != (order.replace is None):
                news = news | {"exec_ref_seq": turned.request_seq}  # a replace begins or ends
            self.report(order, self._exec_type(order, event, was), reason=reason, flags=flags, **news)
        if bool(lost) != bool(order.unknown):
            self.turned(order)
        self._answer(order, cancel, replace, event, reason)
        if cell.alert or contradiction:
            self.alert(order, reason or Reason.ILLEGAL_TRANSITION, f"{event.value} at an order that was {was.value}")
        if cell.query or contradiction:
            self.ask(order)
        self.arm(order)
        self.moved(order)
        return cell

    def moved(self, order: Order) -> None:
        """An order has taken a step: for those whose business depends on another's."""

    def turned(self, order: Order) -> None:
        """An order's outcome has become unknown, or is known again: for whoever counts these."""

    def _move(self, order: Order, event: Event, to: str, end: int, of: int) -> bool:
        """Do what the cell says with base and overlays. True when the venue contradicted itself."""
        if to in _END_OF_CELL:
            self._close(order, end or _END_OF_CELL[to])
        elif to == "R0" or to == "Rn":
            if order.cum_qty == 0 and (to == "R0" or order.base == OrdStatus.PENDING_NEW):
                self._close(order, OrdStatus.REJECTED)
            else:
                if to == "Rn":
                    self._lose(order, of)
                return True
        elif to == "U":
            self._lose(order, of)
        elif to == "PN":
            order.base = OrdStatus.PENDING_NEW
        elif to == "RCV":
            order.base = OrdStatus.RECEIVED
        elif to == "SUS":
            self._suspend(order, ours=event is Event.HOLD)
            self._know(order)
        elif to in ("b", "bn", "bo", "N", "PF", "PC", "PR"):
            new_unknown = order.base == OrdStatus.PENDING_NEW
            own_unknown = order.unknown == (Unknown.CANCEL if event is Event.CANCEL_REFUSED else Unknown.REPLACE)
            self._lift(order, event)
            if to not in ("bn", "bo") or (to == "bn" and new_unknown) or (to == "bo" and own_unknown):
                self._know(order)
        return False

    def _lift(self, order: Order, event: Event) -> None:
        """Let the base follow what the event proves."""
        if event is Event.VENUE_SUSPENDED:
            self._suspend(order, ours=False)
        elif order.base == OrdStatus.SUSPENDED and event not in _LIFTS_SUSPENSION:
            return
        elif event in _PROVES_IT_WORKS or order.base == OrdStatus.NEW:
            order.base = OrdStatus.PARTIALLY_FILLED if order.cum_qty else OrdStatus.NEW

    @staticmethod
    def _suspend(order: Order, *, ours: bool) -> None:
        """What a venue suspends and we never sent is not held by us: it stays open."""
        if ours or order.destination:
            order.base = OrdStatus.SUSPENDED

    def _lose(self, order: Order, of: int) -> None:
        if not order.unknown:
            order.queries, order.query_at = 0, 0
        order.unknown = of

    def _know(self, order: Order) -> None:
        """The outcome is known again; requests still under way are waited for anew."""
        if not order.unknown or order.ending is not None:
            return
        order.unknown, order.queries, order.query_at, order.query_wanted = Unknown.NO, 0, 0, False
        for request in (order.cancel, order.replace):
            if request is not None and request.routed:
                request.deadline = self.ctx.now + self.request_timeout_ns
        if order.base == OrdStatus.PENDING_NEW:
            order.deadline = self.ctx.now + self.request_timeout_ns

    def _close(self, order: Order, base: int) -> None:
        if not order.closed:
            self.memory.closed.add(self.ctx.now, order.order_id)
        order.base = OrdStatus.FILLED if order.cum_qty >= order.order_qty and order.cum_qty else base
        order.cancel = order.replace = order.ending = None
        order.unknown, order.query_wanted, order.asked = Unknown.NO, False, b""

    def _exec_type(self, order: Order, event: Event, was: State) -> int:
        if event in _FILLS:
            return ExecType.TRADE
        if event in _RESTATES:
            return ExecType.TRADE_CANCEL if event is Event.TRADE_CANCEL else ExecType.TRADE_CORRECT
        if event is Event.VENUE_REPLACED:
            return ExecType.REPLACED
        if order.closed:
            return _EXEC_TYPE_OF_END[OrdStatus(order.base)]
        if order.state is State.U and was is not State.U:
            return ExecType.UNKNOWN
        if was is State.U and order.state is not State.U:
            return _EXEC_TYPE.get(event, ExecType.RESOLVED)
        return _EXEC_TYPE.get(event, ExecType.ORDER_STATUS)

    def _answer(self, order: Order, cancel: Request | None, replace: Request | None, event: Event, reason: int) -> None:
        """Tell the asker of a cancel or replace that it was not done, once."""
        if cancel is not None and order.cancel is None and order.base != OrdStatus.CANCELED:
            why = reason if event in CANCEL_ANSWERS and reason else Reason.TOO_LATE
            self.refuse(order, CxlRejResponseTo.CANCEL, cancel.version, why)
        if replace is not None and order.replace is None and event not in _REPLACED:
            why = reason if event in (*_REPLACE_ANSWERS, Event.CANCEL_NEW_FAILED) and reason else Reason.TOO_LATE
            # Open with the old terms: the replace went down with the connection.
            why = Reason.DISCONNECTED if event is Event.QUERY_OPEN else why
            self.refuse(order, CxlRejResponseTo.REPLACE, replace.version, why)

    # What goes out.

    def report(self, order: Order, exec_type: int, *, reason: int = 0, flags: int = 0, **news: Any) -> None:
        """The truth about an order, as of now."""
        flags |= (ReportFlag.OVERFILL if order.overfilled else 0) | (ReportFlag.EXTERNAL if order.source == 0 else 0)
        version = order.version
        if exec_type == ExecType.PENDING_CANCEL and order.cancel is not None:
            version = order.cancel.version
        elif exec_type == ExecType.PENDING_REPLACE and order.replace is not None:
            version = order.replace.version
        assert order.cum_qty >= 0, order  # I-16
        assert not order.overfilled or order.base == OrdStatus.FILLED, order  # OVERFILL, and an end
        assert order.cum_qty + order.leaves_qty + order.cxl_qty == max(order.order_qty, order.cum_qty), order  # I-17
        self._tell(
            ExecutionReport(
                order_id=order.order_id, parent_order_id=order.parent_order_id, account=order.account,
                strategy=order.strategy, user=order.user, instrument=order.instrument, side=order.side,
                ord_type=order.ord_type, tif=order.tif, exec_inst=order.exec_inst, version=version,
                order_qty=order.order_qty, price_px=order.price_px, stop_px=order.stop_px, cum_qty=order.cum_qty,
                leaves_qty=order.leaves_qty, cxl_qty=order.cxl_qty, cum_notional=order.cum_notional,
                exec_type=exec_type, ord_status=order.ord_status, reason=reason, report_flags=flags, **news,
            )
        )  # fmt: skip

    def _tell(self, report: ExecutionReport) -> None:
        if self.synthetic:
            self.ctx.emit(report, Flag.SYNTHETIC | Flag.LAST)
        else:
            self.ctx.emit(report)

    def refuse(self, order: Order, response_to: int, version: int, reason: int) -> None:
        """A cancel or replace was not done; the order is as it is."""
        self.ctx.emit(
            OrderCancelReject(
                order_id=order.order_id, version=version, reason=reason, response_to=response_to,
                ord_status=order.ord_status,
            )
        )  # fmt: skip

    def alert(self, order: Order | None, reason: int, text: str, *, severity: int = AlertSeverity.ERROR) -> None:
        """A person should know."""
        self.memory.alerts += 1
        alert = Alert(
            alert=self.memory.alerts, about_seq=self.ctx.seq, rule=reason, severity=severity, state=AlertState.RAISED, text=text
        )
        if order is not None:
            alert.scope_type, alert.scope_order_id = ScopeType.ORDER_TREE, order.order_id
            alert.scope_account, alert.scope_instrument = order.account, order.instrument
            alert.scope_strategy = order.strategy
        self.ctx.emit(alert)

    # Asking the venue.

    def gate(self, venue: int, account: int) -> Gate:
        """The gateway of a venue and account; shut when nothing was heard of it."""
        return self.memory.gates.get(f"{venue}/{account}") or Gate()

    def reachable(self, order: Order) -> bool:
        """Whether the venue can be asked now."""
        return self.gate(order.venue, order.account).phase == GatewayPhase.READY

    def ask(self, order: Order) -> None:
        """Ask the venue what became of an order, not faster than the pace; what cannot be asked now is asked later."""
        if self.ctx.now < order.query_at or not self.reachable(order):
            order.query_wanted = True
            order.query_at = max(order.query_at, self.ctx.now + 1)
            return
        order.queries += 1
        order.query_wanted = False
        order.query_at = self.ctx.now + self.request_timeout_ns * min(order.queries, PACE_MAX)
        self.memory.queries += 1
        self.ctx.emit(
            RoutedQuery(
                order_id=order.order_id, orig_request_seq=order.routed_seq, request=self.memory.queries,
                account=order.account, instrument=order.instrument, destination=order.destination,
                query=QueryType.FILLS if order.fills_missing else QueryType.ORDER,
            )
        )  # fmt: skip
        if order.queries == QUERIES_BEFORE_ALERT:
            self.alert(order, Reason.OUTCOME_UNKNOWN, f"{order.queries} queries unanswered; a person decides, exposure stays")

    def arm(self, order: Order) -> None:
        """One timer an order: the earliest of its deadlines and its next query. Its token is the order id."""
        dues = []
        if not order.closed:
            if order.unknown or order.query_wanted:
                # Unreachable: no point in waking; READY wakes them all.
                dues.append(order.query_at if self.reachable(order) else 0)
            if not order.unknown:
                dues.append(order.deadline if order.base == OrdStatus.PENDING_NEW else 0)
                dues += [r.deadline for r in (order.cancel, order.replace) if r is not None]
            dues.append(self.due(order))
        dues.append(self.cancel_due(order))
        due = min((d for d in dues if d), default=0)
        if due:
            self.ctx.set_timer(due, order.order_id)
        else:
            self.ctx.cancel_timer(order.order_id)

    def due(self, order: Order) -> int:  # noqa: ARG002 - for who has something
        """When something else is due for an open order, ns; 0: nothing."""
        return 0

    def cancel_due(self, order: Order) -> int:
        """When an open order has to be canceled of our own accord; 0 = it has not."""
        raise NotImplementedError(order)

    def wanted_canceled(self, order: Order) -> bool:
        """Whether an open order ought not to be; see oms.kills."""
        raise NotImplementedError(order)

    def is_over(self, order: Order) -> bool:
        """Whether an end of it that we keep is past."""
        return self.memory.instructions.ends.get(order.order_id) == 0

    def expire(self, order: Order) -> None:
        """Let an order whose end is past end; see oms.held."""
        raise NotImplementedError(order)

    # Small change.

    def subject(self, order: Order) -> Subject:
        """The order as scopes see it."""
        return Subject(
            order_id=order.order_id, parent_order_id=order.parent_order_id, account=order.account, strategy=order.strategy,
            user=order.user, instrument=order.instrument, venue=order.venue, source=order.source,
            underlying=self.memory.underlyings.get(order.instrument, 0),
        )  # fmt: skip

    def open_orders(self, wanted: Callable[[Order], bool] | None = None) -> list[Order]:
        """Every order that is not closed, or of these what is wanted, oldest first; to be changed."""
        found = self.memory.open_orders(wanted)
        for order in found:
            self.memory.touch(order)
        return found
