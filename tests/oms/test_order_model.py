"""The order's life against an independent model: a venue that is a handful of plain orders and two lines, one each way.

The model knows nothing of the transition table. It says what must be true: whatever is under way, lost or told twice, what we
count as possible is never less than what the venue can still do; and when both lines are empty, every order is for us exactly
what it is there. I-15 to I-22, I-28."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, SECOND, STRATEGY, Recorder

from journal.messages import (
    NULL,
    CancelOrder,
    Channel,
    CxlRejResponseTo,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    GatewayPhase,
    Message,
    OrderSent,
    OrdStatus,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedOrder,
    RoutedQuery,
    RoutedReplace,
    Side,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
)
from oms.order import CLOSED

pick = st.integers(0, 1000)
OPEN = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)


@dataclass
class Plain:
    """An order at the venue: what a person would write on paper."""

    qty: int
    px: int
    request: int
    cum: int = 0
    status: int = OrdStatus.NEW

    @property
    def can_do(self) -> int:
        """The most it will have filled in the end."""
        return self.qty if self.status in OPEN else self.cum


class OrderModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.r = Recorder()
        self.read = 0
        self.to_venue: deque[tuple[int, Message]] = deque()
        self.to_us: deque[Message] = deque()
        self.there: dict[int, Plain] = {}
        self.fills: list[VenueFill] = []
        self.number = 0
        self.arrived: set[int] = set()

    @initialize()
    def world(self) -> None:
        self.r.ready()

    def collect(self) -> None:
        """What was routed goes onto the line."""
        for seq, _, m in self.r.stream[self.read :]:
            if isinstance(m, RoutedOrder | RoutedReplace | RoutedCancel | RoutedQuery):
                self.to_venue.append((seq, m))
        self.read = len(self.r.stream)

    def sent(self) -> list[int]:
        return [(STRATEGY << 48) | n for n in range(1, self.number + 1)]

    # We.

    @rule(qty=st.sampled_from([50, 100]))
    def new(self, qty: int) -> None:
        self.number += 1
        _, seq = self.r.new(self.number, qty=qty)
        self.r.decide(seq)
        self.collect()

    @precondition(lambda self: self.number)
    @rule(n=pick)
    def cancel(self, n: int) -> None:
        self.r.frame(CancelOrder(order_id=self.sent()[-1 - n % min(self.number, 3)]), STRATEGY)
        self.collect()

    @precondition(lambda self: self.number)
    @rule(n=pick, qty=st.sampled_from([NULL, 30, 80, 150]), px=st.sampled_from([NULL, 5001]))
    def replace(self, n: int, qty: int, px: int) -> None:
        order_id = self.sent()[-1 - n % min(self.number, 3)]
        seq = self.r.frame(ReplaceOrder(order_id=order_id, order_qty=qty, price_px=px), STRATEGY)
        order = self.r.oms.memory.peek(order_id)
        if order is not None and order.replace is not None and order.replace.request_seq == seq:
            self.r.decide(seq)
        self.collect()

    # The venue: legal, and in the order of its line.

    @precondition(lambda self: self.to_venue)
    @rule(count=st.integers(1, 3))
    def takes(self, count: int) -> None:
        for _ in range(min(count, len(self.to_venue))):
            seq, m = self.to_venue.popleft()
            if isinstance(m, RoutedOrder):
                self.to_us.append(OrderSent(request_seq=seq, order_id=m.order_id))
                self.there[m.order_id] = Plain(m.order_qty, m.price_px, seq)
                self.push(m.order_id, ExecType.NEW, seq)
            elif isinstance(m, RoutedCancel):
                self.take_cancel(seq, m)
            elif isinstance(m, RoutedReplace):
                self.take_replace(seq, m)
            elif isinstance(m, RoutedQuery):
                self.answer(m.order_id)

    def take_cancel(self, seq: int, m: RoutedCancel) -> None:
        order = self.there.get(m.order_id)
        if order is None or order.status not in OPEN:
            self.refuse(seq, m.order_id, CxlRejResponseTo.CANCEL, order)
        else:
            assert m.orig_request_seq == order.request or m.orig_request_seq in self.arrived  # I-21: a name it has had
            order.status = OrdStatus.CANCELED
            self.push(m.order_id, ExecType.CANCELED, seq)

    def take_replace(self, seq: int, m: RoutedReplace) -> None:
        order = self.there.get(m.order_id)
        if order is None or order.status not in OPEN or m.order_qty <= order.cum:
            self.refuse(seq, m.order_id, CxlRejResponseTo.REPLACE, order)
            return
        assert m.orig_request_seq == order.request  # I-21: a chain without a fork
        self.arrived.add(order.request)
        order.qty, order.px, order.request = m.order_qty, m.price_px, seq
        self.push(m.order_id, ExecType.REPLACED, seq)

    def refuse(self, seq: int, order_id: int, to: int, order: Plain | None) -> None:
        reason = Reason.UNKNOWN_AT_VENUE if order is None else Reason.TOO_LATE_AT_VENUE
        if order is not None and order.status in OPEN:
            reason = Reason.QUANTITY_REFUSED
        self.to_us.append(VenueCancelReject(request_seq=seq, order_id=order_id, response_to=to, reason=reason))

    @precondition(lambda self: any(o.status in OPEN for o in self.there.values()))
    @rule(n=pick, qty=st.sampled_from([1, 20, 1000]), px=st.sampled_from([4999, 5000]))
    def trades(self, n: int, qty: int, px: int) -> None:
        order_id, order = self.open_there(n)
        qty = min(qty, order.qty - order.cum)
        order.cum += qty
        order.status = OrdStatus.FILLED if order.cum == order.qty else OrdStatus.PARTIALLY_FILLED
        fill = VenueFill(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=qty, last_px=px,
                         trade_no=len(self.fills) + 1)  # fmt: skip
        self.fills.append(fill)
        self.to_us.append(fill)

    @precondition(lambda self: any(o.status in OPEN for o in self.there.values()))
    @rule(n=pick, status=st.sampled_from([OrdStatus.CANCELED, OrdStatus.EXPIRED]))
    def ends(self, n: int, status: int) -> None:
        order_id, order = self.open_there(n)
        order.status = status
        self.push(order_id, ExecType.CANCELED if status == OrdStatus.CANCELED else ExecType.EXPIRED, 0)

    def open_there(self, n: int) -> tuple[int, Plain]:
        found = [(i, o) for i, o in self.there.items() if o.status in OPEN]
        return found[n % len(found)]

    def push(self, order_id: int, exec_type: int, seq: int, channel: int = Channel.ORDER_STREAM) -> None:
        order = self.there[order_id]
        self.to_us.append(
            VenueOrderUpdate(
                order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, request_seq=seq, exec_type=exec_type,
                channel=channel, ord_status=order.status, order_qty=order.qty, price_px=order.px, cum_qty=order.cum,
            )
        )  # fmt: skip

    def answer(self, order_id: int) -> None:
        """Its fills, then what it is; or that it never was."""
        self.to_us.extend(f for f in self.fills if f.order_id == order_id)
        if order_id in self.there:
            self.push(order_id, ExecType.ORDER_STATUS, 0, Channel.QUERY)
        else:
            self.to_us.append(
                VenueOrderUpdate(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=ExecType.ORDER_STATUS,
                                 channel=Channel.QUERY, reason=Reason.UNKNOWN_AT_VENUE)
            )  # fmt: skip

    # The lines.

    @precondition(lambda self: self.to_us)
    @rule(count=st.integers(1, 4))
    def hear(self, count: int) -> None:
        for _ in range(min(count, len(self.to_us))):
            self.r.frame(self.to_us.popleft(), GATEWAY)
        self.collect()

    @precondition(lambda self: self.fills)
    @rule(n=pick)
    def hear_again(self, n: int) -> None:
        """Another channel tells a fill early or late."""
        self.r.frame(self.fills[n % len(self.fills)], GATEWAY)
        self.collect()

    @rule()
    def line_breaks(self) -> None:
        """Both lines lose what is on them; after the next connect the gateway asks for everything."""
        self.to_venue.clear()
        self.to_us.clear()
        self.r.disconnect()
        self.r.phase(GatewayPhase.DISCONNECTED)
        self.r.phase(GatewayPhase.DOWNLOADING)
        self.r.frame(DownloadBegin(account=ACCOUNT, download=1), GATEWAY)
        for order in list(self.r.oms.open_orders()):
            if order.routed_seq:
                self.answer(order.order_id)
        rows = len(self.to_us)
        while self.to_us:
            self.r.frame(self.to_us.popleft(), GATEWAY)
        self.r.frame(DownloadEnd(account=ACCOUNT, download=1, rows=rows, complete=1), GATEWAY)
        self.r.phase(GatewayPhase.READY)
        self.collect()

    @rule(seconds=st.sampled_from([1, 6]))
    def time(self, seconds: int) -> None:
        self.r.pass_time(seconds * SECOND)
        self.collect()

    # What must be true.

    @invariant()
    def nothing_is_understated(self) -> None:
        self.r.oms.check()
        lost_or_coming = {m.order_id for _, m in self.to_venue}
        for order_id, real in self.there.items():
            ours = self.r.oms.memory.peek(order_id)
            assert ours is not None
            if ours.closed:
                # Only a fill of the past may still come.
                assert real.status not in OPEN
                assert ours.cum_qty <= real.cum
                continue
            wished = ours.replace.order_qty if ours.replace is not None and ours.replace.routed else 0
            assert max(ours.order_qty, wished) >= real.can_do or order_id in lost_or_coming, (ours, real)
            assert ours.cum_qty <= real.cum  # I-16, I-19: no more than there is

    def teardown(self) -> None:
        for _ in range(60):
            while self.to_venue or self.to_us:
                self.takes(3) if self.to_venue else None
                self.hear(4) if self.to_us else None
            self.time(6)
        for order_id in self.sent():
            ours = self.r.oms.memory.peek(order_id)
            assert ours is not None
            real = self.there.get(order_id)
            if real is None:
                # Canceled before it was sent, refused by a shut gate, or lost on the way and denied by the venue.
                assert ours.base in (OrdStatus.REJECTED, OrdStatus.CANCELED)
                assert ours.cum_qty == 0
                continue
            assert (ours.base in CLOSED) == (real.status not in OPEN), (ours, real)
            assert ours.base == real.status
            assert (ours.order_qty, ours.price_px, ours.cum_qty) == (real.qty, real.px, real.cum)
            assert (ours.leaves_qty, ours.cxl_qty) == (
                (real.qty - real.cum, 0) if real.status in OPEN else (0, real.qty - real.cum)
            )
            assert ours.cum_notional == sum(f.last_qty * f.last_px for f in self.fills if f.order_id == order_id)
            assert ours.cancel is ours.replace is None
            assert not ours.unknown
        routed = [m.order_id for m in self.r.said(RoutedOrder)]
        assert len(routed) == len(set(routed))  # I-20, I-32


TestOrderModel = OrderModel.TestCase
TestOrderModel.settings = settings(
    max_examples=100, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)
