"""Risk and orders on one stream, with a random venue: what is reserved is what may still trade, and never more than the limit.

The engine knows orders only by what the OMS says. After every frame and everything it led to, both must agree."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OMS, OPERATOR, RISK, SECOND, STRATEGY, VENUE, Recorder

from journal.messages import (
    NULL,
    CancelOrder,
    Channel,
    Clock,
    CurrencyDefined,
    CxlRejResponseTo,
    Decision,
    ExecType,
    GatewayPhase,
    InstrumentDefined,
    KillLevel,
    KillRelease,
    KillSwitch,
    LimitAction,
    Message,
    NewOrder,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    RiskCheck,
    RiskDecision,
    RiskLimitSet,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    SendRefused,
    Side,
    TimeInForce,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
    order_id_of,
)
from journal.messages.derive import snake
from riskengine.engine import RiskEngine
from riskengine.exposure import direction
from tests.apart import backwards, state_of

LIMIT = 300
RATE = 20
pick = st.integers(0, 1000)


class RiskContext:
    """The engine's view of the stream the recorder steps."""

    def __init__(self, recorder: Both) -> None:
        self.recorder = recorder
        self.now = self.seq = self.source = 0
        self.timers: dict[int, int] = {}

    def emit(self, message: Message) -> None:
        message.encode()
        self.recorder.decided.append(message)
        self.recorder.pending_of.append((RISK, message))

    def set_timer(self, at: int, token: int) -> None:
        self.timers[token] = at

    def cancel_timer(self, token: int) -> None:
        self.timers.pop(token, None)


class Both(Recorder):
    """Both machines on one stream, each fed with what the other says."""

    def __init__(self) -> None:
        super().__init__()
        self.decided: list[Message] = []
        self.pending_of: list[tuple[int, Message]] = []
        self.context = RiskContext(self)
        self.risk = RiskEngine(self.context)

    def emit(self, message: Message) -> None:
        message.encode()
        self.emitted.append(message)
        self.pending_of.append((OMS, message))

    def frame(self, message: Message, source: int, *, ns: int = 1) -> int:
        self.now += ns
        first = self.one(message, source)
        while self.pending_of:
            said_by, said = self.pending_of.pop(0)
            self.now += 1
            self.one(said, said_by)
        return first

    def one(self, message: Message, source: int) -> int:
        self.seq += 1
        seq = self.seq
        self.fire()
        self._deliver(message, source)
        to_risk(self.risk, self.context, (seq, source, message), self.now)
        return seq


def to_risk(risk: RiskEngine, context: RiskContext, frame: tuple[int, int, Message], now: int) -> None:
    context.seq, context.source, message = frame
    context.now = now
    handler = getattr(risk, f"on_{snake(type(message).__name__)}", None)
    if handler is not None:
        handler(message)


class RiskAndOrders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.r = Both()
        self.ids: list[int] = []
        self.lawful = True  # the venue never gave more than it was asked for, nor after an end
        self.passed: list[int] = []

    @initialize()
    def world(self) -> None:
        self.r.ready()
        self.r.frame(CurrencyDefined(currency=1, ledger_exp=-5), 1)
        self.r.frame(InstrumentDefined(instrument=INSTRUMENT, venue=VENUE, quote_currency=1), 1)
        scope = {"scope_type": ScopeType.ACCOUNT_INSTRUMENT, "scope_account": ACCOUNT, "scope_instrument": INSTRUMENT}
        self.r.frame(RiskLimitSet(limit=1, check=RiskCheck.POSITION, hard=LIMIT, **scope), 1)
        # Looked at, never in the way: so that their sums and prices are kept, and checked, as well.
        for limit, check in ((3, RiskCheck.WORKING_ORDERS), (4, RiskCheck.UNKNOWN_ORDERS), (5, RiskCheck.SELF_TRADE)):
            self.r.frame(RiskLimitSet(limit=limit, check=check, hard=0, action=LimitAction.WARN, scope_type=1), 1)
        self.r.frame(RiskLimitSet(limit=2, check=RiskCheck.ORDER_RATE, hard=RATE, period_ns=SECOND, scope_type=1), 1)

    def order(self, n: int) -> int:
        return self.ids[-1 - min(n % len(self.ids), n % 3)]

    @rule(side=st.sampled_from([Side.BUY, Side.SELL]), qty=st.sampled_from([10, 100, 200, 350]), ack=st.booleans(),
          again=st.integers(0, 9))  # fmt: skip
    def new(self, side: int, qty: int, ack: bool, again: int) -> None:
        number = len(self.ids) + (0 if again == 0 and self.ids else 1)
        order_id = order_id_of(STRATEGY, number)
        if order_id not in self.ids:
            self.ids.append(order_id)
        m = NewOrder(order_id=order_id, account=ACCOUNT, strategy=3, instrument=INSTRUMENT, side=side, ord_type=OrdType.LIMIT,
                     tif=TimeInForce.GTC, order_qty=qty, price_px=5000)  # fmt: skip
        self.r.frame(m, STRATEGY)
        seq = self.r.routed(order_id)
        if ack and seq:
            self.venue(VenueOrderUpdate(order_id=order_id, request_seq=seq, exec_type=ExecType.NEW))

    def venue(self, m: Message) -> None:
        self.r.frame(m, GATEWAY)

    @precondition(lambda self: self.ids)
    @rule(n=pick, qty=st.sampled_from([NULL, 20, 120, 250, 400]), px=st.sampled_from([NULL, 5001]), version=st.integers(0, 3))
    def replace(self, n: int, qty: int, px: int, version: int) -> None:
        self.r.frame(ReplaceOrder(order_id=self.order(n), order_qty=qty, price_px=px, version=version), STRATEGY)

    @precondition(lambda self: self.ids)
    @rule(n=pick, qty=st.sampled_from([20, 90, 120, 250]), filled=st.sampled_from([0, 15]))
    def amend(self, n: int, qty: int, filled: int) -> None:
        """A replace that goes all the way, perhaps crossed by a fill."""
        order_id = self.order(n)
        self.r.frame(ReplaceOrder(order_id=order_id, order_qty=qty), STRATEGY)
        if filled:
            self.fill(n, filled, 100 + qty)
        self.update(n, ExecType.REPLACED, NULL)

    @precondition(lambda self: self.ids)
    @rule(n=pick)
    def cancel(self, n: int) -> None:
        self.r.frame(CancelOrder(order_id=self.order(n)), STRATEGY)

    @precondition(lambda self: self.ids)
    @rule(n=pick, qty=st.sampled_from([1, 10, 60, 200]), trade=st.integers(1, 30))
    def fill(self, n: int, qty: int, trade: int) -> None:
        order_id = self.order(n)
        order = self.r.oms.memory.peek(order_id)
        if order is None or (str(trade) not in order.fills and (qty > order.leaves_qty or not order.routed_seq)):
            if trade % 10:
                return  # mostly a lawful venue
            self.lawful = False
        self.venue(VenueFill(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=order.side if order else 1,
                             last_qty=qty, last_px=5000, trade_no=trade))  # fmt: skip

    @precondition(lambda self: self.ids)
    @rule(n=pick, exec_type=st.sampled_from([ExecType.NEW, ExecType.CANCELED, ExecType.REPLACED, ExecType.REJECTED,
                                             ExecType.EXPIRED]), cum=st.sampled_from([NULL, 30]))  # fmt: skip
    def update(self, n: int, exec_type: int, cum: int) -> None:
        order_id = self.order(n)
        order = self.r.oms.memory.peek(order_id)
        if exec_type == ExecType.NEW and order is not None and order.base == OrdStatus.REJECTED:
            self.lawful = False  # it works what it had refused
        self.venue(VenueOrderUpdate(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=exec_type, cum_qty=cum,
                                    request_seq=self.r.routed(order_id, RoutedReplace)))  # fmt: skip

    @precondition(lambda self: self.ids)
    @rule(n=pick, status=st.sampled_from([OrdStatus.NEW, OrdStatus.CANCELED, OrdStatus.UNDEFINED]),
          gone=st.booleans(), cum=st.sampled_from([NULL, 30]))  # fmt: skip
    def answer(self, n: int, status: int, gone: bool, cum: int) -> None:
        self.venue(VenueOrderUpdate(order_id=self.order(n), account=ACCOUNT, instrument=INSTRUMENT, channel=Channel.QUERY,
                                    exec_type=ExecType.ORDER_STATUS, ord_status=status, cum_qty=cum,
                                    reason=Reason.UNKNOWN_AT_VENUE if gone else 0))  # fmt: skip

    @precondition(lambda self: self.ids)
    @rule(n=pick, of=st.sampled_from([CxlRejResponseTo.CANCEL, CxlRejResponseTo.REPLACE]),
          reason=st.sampled_from([Reason.RATE_LIMIT, Reason.UNKNOWN_AT_VENUE]))  # fmt: skip
    def refuse(self, n: int, of: int, reason: int) -> None:
        self.venue(VenueCancelReject(order_id=self.order(n), response_to=of, reason=reason))

    @precondition(lambda self: self.ids)
    @rule(n=pick, replace=st.booleans())
    def not_sent(self, n: int, replace: bool) -> None:
        order_id = self.order(n)
        seq = self.r.routed(order_id, RoutedReplace if replace else RoutedOrder)
        self.venue(SendRefused(order_id=order_id, request_seq=seq, reason=Reason.NOT_CONNECTED))

    @rule(qty=st.integers(1, 9), ref=st.integers(1, 9))
    def foreign(self, qty: int, ref: int) -> None:
        if ref > 1:
            return
        self.lawful = False
        self.venue(VenueOrderUpdate(account=ACCOUNT, instrument=INSTRUMENT, exec_type=ExecType.NEW, ord_status=OrdStatus.NEW,
                                    side=Side.BUY, order_qty=qty, venue_order_ref=f"theirs {ref}"))  # fmt: skip

    @rule(what=st.sampled_from(["lost", "ready", "ready", "kill", "release", "release", "wait", "wait"]))
    def turn(self, what: str) -> None:
        if what == "lost":
            self.r.disconnect()
        elif what == "ready":
            self.r.phase(GatewayPhase.READY)
        elif what == "kill":
            self.r.frame(KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.GLOBAL), OPERATOR)
        elif what == "release":
            self.r.frame(KillRelease(kill=1), OPERATOR)
        else:
            self.r.frame(Clock(), 0, ns=6 * SECOND)

    @invariant()
    def both_agree(self) -> None:
        self.r.oms.check()
        self.r.risk.check()
        book = self.r.risk.memory.exposure
        ours = {o.order_id: o for o in self.r.oms.open_orders()}
        assert set(book.orders) == set(ours)
        positions = 0
        for order_id, held in book.orders.items():
            order = ours[order_id]
            assert (held.order_qty, held.cum_qty) == (max(order.order_qty, order.cum_qty), order.cum_qty)
            assert len(held.wishes) == (order.replace is not None)  # every replace was answered exactly once
            assert held.reserved_qty >= order.leaves_qty
        for number in [*self.ids, *self.r.oms.memory.external.values()]:
            known = self.r.oms.memory.peek(number)
            positions += direction(known.side) * known.cum_qty if known is not None else 0
        assert positions == sum(c.position for c in book.cells.values())
        if self.lawful:  # I-40
            assert sum(c.adverse(+1) for c in book.cells.values()) <= LIMIT
            assert sum(c.adverse(-1) for c in book.cells.values()) <= LIMIT

    def teardown(self) -> None:
        times = dict(zip((s for s, _, _ in self.r.stream), self.r.times, strict=True))
        passes = [m for m in self.r.decided if isinstance(m, RiskDecision) and m.decision != Decision.REJECT]
        sent = [times[m.request_seq] for m in passes]
        for i, at in enumerate(sent):  # I-38
            assert sum(1 for t in sent[: i + 1] if t > at - SECOND) <= RATE
        # The same stream gives the same decisions, also through a restart in the middle.
        other = Both()
        for n, frame in enumerate(self.r.stream):
            if n == len(self.r.stream) // 2:
                held, other.risk = other.risk.snapshot(), RiskEngine(other.context)
                other.risk.restore(held)
                assert other.risk.snapshot() == held
                other.risk.assemble(*backwards(other.risk))
            to_risk(other.risk, other.context, frame, times[frame[0]])
        assert [m.encode() for m in other.decided] == [m.encode() for m in self.r.decided]
        assert state_of(other.risk) == state_of(self.r.risk)


TestRiskAndOrders = RiskAndOrders.TestCase
TestRiskAndOrders.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
