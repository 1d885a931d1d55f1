"""A host that only records, and a small world in which orders pass: one instrument, a live book at 4990 / 5010."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from journal.messages import (
    BookState,
    BookStateCode,
    CheckOutcome,
    CheckResult,
    CurrencyDefined,
    Decision,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    InstrumentStatus,
    Message,
    NewOrder,
    OrdStatus,
    OrdType,
    ReplaceOrder,
    RiskCheck,
    RiskDecision,
    RiskLimitSet,
    ScopeType,
    Side,
    SourceDefined,
    SourceRole,
    TimeInForce,
    TopOfBook,
    order_id_of,
)
from journal.messages.derive import snake
from riskengine.controlled import Rules
from riskengine.engine import RiskEngine
from tests.apart import backwards

SEQUENCER, LOADER, GATEWAY, OMS, BOOKS, STRATEGY, OTHER, OPERATOR = 0, 1, 4, 5, 8, 9, 10, 11
VENUE, ACCOUNT, INSTRUMENT, USD, MAKER = 1, 7, 1001, 840, 3
SECOND = 1_000_000_000


M = TypeVar("M", bound=Message)


class RiskRecorder:
    """Steps a RiskEngine; what it emits is kept."""

    made: ClassVar[list[RiskRecorder]] = []
    """Those of the test at hand."""

    def __init__(self, *, require_limits: bool = False) -> None:
        self.now = 1_000 * SECOND
        self.seq = 0
        self.source = 0
        self.emitted: list[Message] = []
        self.stream: list[tuple[int, int, int, Message | Rules]] = []
        self.engine = RiskEngine(self, require_limits=require_limits)
        self.numbers = 0
        self.timers: dict[int, int] = {}
        self.made.append(self)

    def emit(self, message: Message) -> None:
        message.encode()
        self.emitted.append(message)

    def set_timer(self, at: int, token: int) -> None:
        self.timers[token] = at

    def cancel_timer(self, token: int) -> None:
        self.timers.pop(token, None)

    def fire(self) -> None:
        """Timers that are due, in order of time."""
        while self.timers and min(self.timers.values()) <= self.now:
            token = min(self.timers, key=lambda t: (self.timers[t], t))
            del self.timers[token]
            self.engine.on_timer(token)

    def frame(self, message: Message, source: int = LOADER, *, ns: int = 1) -> int:
        self.now += ns
        self.seq += 1
        self.source = source
        self.stream.append((self.seq, self.now, source, message))
        self.fire()
        handler = getattr(self.engine, f"on_{snake(type(message).__name__)}", None)
        if handler is not None:
            handler(message)
        return self.seq

    def configure(self, rules: Rules) -> None:
        """Parameters, as a host gives them between two frames."""
        self.stream.append((self.seq, self.now, 0, rules))
        self.engine.configure(rules)

    def replay(self, *, restart_at: int) -> RiskRecorder:
        """A fresh engine on the same stream, restarted from a snapshot before one of the frames."""
        other = RiskRecorder(require_limits=self.engine.require_limits)
        for at, (seq, now, source, message) in enumerate(self.stream):
            if at == restart_at:
                held, other.engine = other.engine.snapshot(), RiskEngine(other, require_limits=self.engine.require_limits)
                other.engine.restore(held)
                assert other.engine.snapshot() == held
                other.engine.assemble(*backwards(other.engine))
            if isinstance(message, Rules):
                other.configure(message)
                continue
            other.seq, other.now = seq - 1, now - 1
            other.frame(message, source)
        return other

    # The world.

    def open_world(self, **instrument: Any) -> RiskRecorder:
        self.frame(SourceDefined(source=STRATEGY, role=SourceRole.ALGO))
        self.frame(SourceDefined(source=OPERATOR, role=SourceRole.OPERATOR))
        self.frame(SourceDefined(source=BOOKS, role=SourceRole.BOOKS))
        self.frame(CurrencyDefined(currency=USD, ledger_exp=-5))
        self.define(**instrument)
        self.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, gateway=GATEWAY, phase=GatewayPhase.READY), GATEWAY)
        self.book(BookStateCode.LIVE)
        self.touch(4990, 5010)
        return self

    def define(self, **terms: Any) -> None:
        base: dict[str, Any] = {
            "instrument": INSTRUMENT, "venue": VENUE, "instrument_status": InstrumentStatus.ACTIVE, "px_exp": -1,
            "qty_exp": -3, "tick_px": 5, "lot_qty": 10, "min_qty": 10, "max_qty": 10_000, "quote_currency": USD,
        }  # fmt: skip
        self.frame(InstrumentDefined(**(base | terms)))

    def book(self, state: int, source: int = BOOKS) -> None:
        self.frame(BookState(instrument=INSTRUMENT, state=state), source)

    def touch(self, bid: int, ask: int, source: int = BOOKS) -> None:
        self.frame(TopOfBook(instrument=INSTRUMENT, bid_px=bid, bid_qty=1, ask_px=ask, ask_qty=1), source)

    def limit(self, check: int, hard: int, *, limit: int = 0, **terms: Any) -> None:
        base: dict[str, Any] = {"scope_type": ScopeType.GLOBAL, "limit": limit or int(check)}
        self.frame(RiskLimitSet(check=check, hard=hard, **(base | terms)))

    def new(self, *, qty: int = 100, px: int = 5000, side: int = Side.BUY, source: int = STRATEGY, ns: int = 1,
            **terms: Any) -> RiskDecision:  # fmt: skip
        """A new order; the decision on it."""
        self.numbers += 1
        base: dict[str, Any] = {
            "order_id": order_id_of(STRATEGY, self.numbers), "account": ACCOUNT, "strategy": MAKER,
            "instrument": INSTRUMENT, "side": side, "ord_type": OrdType.LIMIT, "tif": TimeInForce.GTC, "order_qty": qty,
            "price_px": px,
        }  # fmt: skip
        self.frame(NewOrder(**(base | terms)), source, ns=ns)
        return self.last()

    def replace(self, order_id: int, *, source: int = STRATEGY, **terms: Any) -> RiskDecision:
        """A replace; the decision on it."""
        self.frame(ReplaceOrder(order_id=order_id, **terms), source)
        return self.last()

    def report(self, order_id: int, status: int, *, qty: int, cum: int = 0, last: int = 0, exec_type: int = 0,
               side: int = Side.BUY, px: int = 5000, **terms: Any) -> None:  # fmt: skip
        """What the OMS says of an order."""
        closed = status in (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED)
        base: dict[str, Any] = {
            "order_id": order_id, "account": ACCOUNT, "strategy": MAKER, "instrument": INSTRUMENT, "side": side,
            "ord_type": OrdType.LIMIT, "order_qty": qty, "price_px": px, "cum_qty": cum, "last_qty": last or -(2**63),
            "leaves_qty": 0 if closed else qty - cum, "cxl_qty": qty - cum if closed else 0, "ord_status": status,
            "exec_type": exec_type or (ExecType.TRADE if last else ExecType.ORDER_STATUS),
        }  # fmt: skip
        self.frame(ExecutionReport(**(base | terms)), OMS)

    def last(self) -> RiskDecision:
        return next(m for m in reversed(self.emitted) if isinstance(m, RiskDecision))

    def said(self, kind: type[M]) -> list[M]:
        """What was emitted of one kind."""
        return [m for m in self.emitted if isinstance(m, kind)]

    def trade(self, order_id: int, *, qty: int, cum: int, last: int, px: int = 5000, **terms: Any) -> None:
        """A fill: partial, or the last one."""
        status = OrdStatus.FILLED if cum == qty else OrdStatus.PARTIALLY_FILLED
        self.report(order_id, status, qty=qty, cum=cum, last=last, px=px, last_px=px, **terms)

    def holding(self, qty: int, px: int = 5000, **terms: Any) -> None:
        """A position, by an order of before that was filled."""
        self.numbers += 1
        side = Side.BUY if qty > 0 else Side.SELL
        self.trade(order_id_of(STRATEGY, self.numbers), qty=abs(qty), cum=abs(qty), last=abs(qty), px=px, side=side, **terms)


def outcome(decision: RiskDecision, check: RiskCheck) -> CheckOutcome:
    """One check's row of a decision."""
    found: CheckOutcome = next(c for c in decision.checks if c.check == check)
    return found


def why(r: RiskRecorder, **order: Any) -> int:
    """The reason an order is refused with; 0 when it passes."""
    decision = r.new(**order)
    assert (decision.decision == Decision.REJECT) == (decision.reason != 0)
    r.engine.check()
    return decision.reason


def listed(decision: RiskDecision) -> set[int]:
    """The checks of a decision."""
    return {c.check for c in decision.checks}


def result(decision: RiskDecision, check: RiskCheck) -> CheckResult:
    return CheckResult(outcome(decision, check).result)
