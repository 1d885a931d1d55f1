"""A host that only records: the stream is a counter, what is emitted comes back as frames when the test says so."""

from __future__ import annotations

from typing import Any

from history import History

from journal.messages import (
    AccountDefined,
    ConnectionState,
    Decision,
    DestinationDefined,
    ExecutionReport,
    Flag,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    Message,
    NewOrder,
    OrdType,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    Side,
    SourceDefined,
    SourceRole,
    StreamStatus,
    TimeInForce,
    content_hash,
    order_id_of,
    replace_hash,
)
from journal.messages.derive import snake
from oms.manager import OrderManager
from tests.apart import backwards, state_of

OMS, RISK, GATEWAY, STRATEGY, OTHER, OPERATOR = 5, 6, 4, 9, 10, 11
VENUE, ACCOUNT, INSTRUMENT = 1, 7, 1001
SECOND = 1_000_000_000


class Recorder:
    """Steps an OrderManager. Emissions are sequenced at once behind the frame that caused them, as a live stream would."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND
        self.seq = 0
        self.source = 0
        self.timers: dict[int, tuple[int, int]] = {}
        self.requests = 0
        self.emitted: list[Message] = []
        self.flags: list[int] = []
        self.synthetic: list[Message] = []
        self.stream: list[tuple[int, int, Message]] = []
        self.times: list[int] = []
        self.pending: list[Message] = []
        self.oms = OrderManager(self)
        self.history = History()

    def emit(self, message: Message, flags: int = Flag.LAST) -> None:
        message.encode()  # what cannot be encoded must not be emitted
        self.flags.append(flags)
        if flags & Flag.SYNTHETIC:
            self.synthetic.append(message)
        self.emitted.append(message)
        self.pending.append(message)

    def set_timer(self, at: int, token: int) -> None:
        self.requests += 1
        self.timers[token] = (at, self.requests)

    def cancel_timer(self, token: int) -> None:
        self.timers.pop(token, None)

    def frame(self, message: Message, source: int, *, ns: int = 1) -> int:
        """One frame, then whatever it made the OMS say, each a frame of its own. Returns the first one's seq."""
        self.now += ns
        self.seq += 1
        seq = self.seq
        self.fire()
        self._deliver(message, source)
        while self.pending:
            said = self.pending.pop(0)
            self.now += 1
            self.seq += 1
            self.fire()
            self._deliver(said, OMS)
        return seq

    def _deliver(self, message: Message, source: int) -> None:
        self.source = source
        self.stream.append((self.seq, source, message))
        self.history.see(self.seq, source, message)
        self.times.append(self.now)
        handler = getattr(self.oms, f"on_{snake(type(message).__name__)}", None)
        if handler is not None:
            handler(message)

    def fire(self) -> None:
        while True:
            due = sorted((at, order, token) for token, (at, order) in self.timers.items() if at <= self.now)
            if not due:
                return
            del self.timers[due[0][2]]
            self.source = 0
            self.oms.on_timer(due[0][2])

    def pass_time(self, ns: int) -> None:
        """A clock frame."""
        from journal.messages import Clock

        self.frame(Clock(), 0, ns=ns)

    def replay(self, *, restart_at: int = 0) -> list[Message]:
        """What a fresh order manager says of the same stream; with a restart from a snapshot before one of the frames."""
        other = Recorder()
        if self.oms.memory.reconcile is not None:
            other.oms.reconcile_by(self.oms.memory.reconcile.settings)
        for at, ((seq, source, message), now) in enumerate(zip(self.stream, self.times, strict=True)):
            if at == restart_at:
                held, other.oms = backwards(other.oms), OrderManager(other)
                other.oms.assemble(*held)
            other.now, other.seq = now, seq
            other.fire()
            other._deliver(message, source)
        assert state_of(other.oms) == state_of(self.oms)
        return other.emitted

    # The world.

    def ready(self) -> None:
        """Definitions, and a gateway that is READY."""
        for source, role in (
            (OMS, SourceRole.OMS), (RISK, SourceRole.RISK), (GATEWAY, SourceRole.TRADING),
            (STRATEGY, SourceRole.ALGO), (OTHER, SourceRole.ALGO), (OPERATOR, SourceRole.OPERATOR),
        ):  # fmt: skip
            self.frame(SourceDefined(source=source, role=role), 0)
        self.frame(AccountDefined(account=ACCOUNT, venue=VENUE), 1)
        self.frame(InstrumentDefined(instrument=INSTRUMENT, venue=VENUE), 1)
        self.frame(DestinationDefined(destination=2, venue=VENUE, account=ACCOUNT, gateway=GATEWAY), 1)
        self.phase(GatewayPhase.READY)

    def phase(self, phase: int) -> None:
        self.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, gateway=GATEWAY, phase=phase), GATEWAY)

    def disconnect(self) -> None:
        self.frame(StreamStatus(venue=VENUE, account=ACCOUNT, stream=1, connection=ConnectionState.DISCONNECTED), GATEWAY)

    def new(self, number: int = 1, *, qty: int = 100, px: int = 5000, source: int = STRATEGY, **terms: Any) -> tuple[int, int]:
        """NewOrder; its order id and frame."""
        order_id = terms.pop("order_id", order_id_of(source, number))
        m = NewOrder(
            order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, ord_type=OrdType.LIMIT,
            tif=TimeInForce.GTC, order_qty=qty, price_px=px, **terms,
        )  # fmt: skip
        return order_id, self.frame(m, source)

    def decide(self, seq: int, decision: int = Decision.PASS, reason: int = 0) -> None:
        """The risk engine's word on the request at a frame."""
        m = next(m for s, _, m in self.stream if s == seq)
        if isinstance(m, NewOrder):
            hashed = content_hash(m)
        else:
            assert isinstance(m, ReplaceOrder)
            order = self.oms.memory.peek(m.order_id)
            replace = order.replace if order is not None else None
            hashed = 0 if replace is None else replace_hash(
                order_id=m.order_id, order_qty=replace.order_qty, price_px=replace.price_px, stop_px=replace.stop_px,
                display_qty=replace.display_qty, expire_ts=replace.expire_ts,
            )  # fmt: skip
        self.frame(
            RiskDecision(
                order_id=m.order_id, request_seq=seq, request_kind=m.KIND, decision=decision, reason=reason,
                content_hash=hashed,
            ),
            RISK,
        )  # fmt: skip

    def routed(self, order_id: int, cls: type[Message] = RoutedOrder) -> int:
        """Frame of the last routed request of a kind; 0 when there is none."""
        found = [s for s, _, m in self.stream if type(m) is cls and m.order_id == order_id]  # type: ignore[attr-defined]
        return found[-1] if found else 0

    def said(self, cls: type[Message]) -> list[Any]:
        """Everything emitted of a kind."""
        return [m for m in self.emitted if type(m) is cls]

    def last(self) -> ExecutionReport:
        """The last report."""
        report: ExecutionReport = self.said(ExecutionReport)[-1]
        return report

    def count(self, cls: type[Message]) -> int:
        return len(self.said(cls))

    def kinds_since(self, n: int) -> list[str]:
        return [type(m).__name__ for m in self.emitted[n:]]


ROUTED = (RoutedOrder, RoutedReplace, RoutedCancel)
