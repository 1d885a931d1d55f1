"""Legal and illegal venues against a slow model: late fills, duplicates, cancel-ack before new-ack, fills that cross replaces,
lost connections, unknown outcomes, kills. The model only sums distinct fills and counts answers."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, OTHER, SECOND, STRATEGY, Recorder

from journal.messages import (
    NULL,
    CancelOrder,
    Channel,
    CxlRejResponseTo,
    Decision,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    KillLevel,
    KillRelease,
    KillSwitch,
    Message,
    OrderSent,
    OrdStatus,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    SendRefused,
    Side,
    TradeCorrectionAction,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
    VenueTradeCorrection,
)
from tests.apart import backwards, state_of

pick = st.integers(0, 1000)
INSTRUMENT_SHUT = f"{ACCOUNT}/{INSTRUMENT}"
EXEC_TYPES = [
    ExecType.NEW, ExecType.PENDING_NEW, ExecType.SUSPENDED, ExecType.REJECTED, ExecType.CANCELED, ExecType.EXPIRED,
    ExecType.DONE_FOR_DAY, ExecType.REPLACED, ExecType.TRIGGERED, ExecType.RESTATED, ExecType.TRADE, ExecType.UNDEFINED,
    ExecType.SELF_TRADE_PREVENTED, ExecType.PENDING_CANCEL,
]  # fmt: skip
STATUSES = [
    OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED,
    OrdStatus.UNDEFINED, OrdStatus.UNKNOWN, OrdStatus.SUSPENDED,
]  # fmt: skip
REASONS = [Reason.UNDEFINED, Reason.UNKNOWN_AT_VENUE, Reason.TOO_LATE_AT_VENUE, Reason.RATE_LIMIT, Reason.CANCEL_ON_DISCONNECT]


class OrderMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.r = Recorder()
        self.ids: list[int] = []
        self.undecided: list[int] = []
        self.trades: dict[int, dict[int, tuple[int, int]]] = {}  # the model: order → trade number → fill
        self.foreign: dict[int, int] = {}
        self.killed = 0

    @initialize()
    def world(self) -> None:
        self.r.ready()

    def order(self, n: int) -> int:
        """One of its orders, mostly a recent one."""
        return self.ids[-1 - min(n % len(self.ids), n % 3)]

    def venue(self, m: Message) -> None:
        self.r.frame(m, GATEWAY)

    def request(self, order_id: int, n: int) -> int:
        """The frame of one of its routed requests, or of none."""
        return [0, *(self.r.routed(order_id, c) for c in (RoutedOrder, RoutedReplace, RoutedCancel)), 999_999][n % 5]

    # What is asked.

    @rule(qty=st.sampled_from([1, 50, 100, 0, -5, NULL]), n=pick)
    def new(self, qty: int, n: int) -> None:
        if n % 10 == 0 and self.ids:
            known = self.order(n)
            before = self.r.oms.memory.peek(known)
            assert before is not None
            essence = before.essence()
            self.r.new(order_id=known, qty=qty, source=STRATEGY if n % 20 else OTHER)
            after = self.r.oms.memory.peek(known)
            assert after is not None
            assert after.essence() == essence
            return
        order_id, seq = self.r.new(len(self.ids) + 1, qty=qty)
        self.ids.append(order_id)
        self.undecided.append(seq)

    @rule(qty=st.sampled_from([50, 100]), acknowledged=st.booleans())
    def work(self, qty: int, acknowledged: bool) -> None:
        """An order that is at the venue: what most of the other rules are about."""
        self.release()
        self.r.phase(GatewayPhase.READY)
        order_id, seq = self.r.new(len(self.ids) + 1, qty=qty)
        self.ids.append(order_id)
        self.r.decide(seq)
        request_seq = self.r.routed(order_id)
        if INSTRUMENT_SHUT not in self.r.oms.memory.overfilled:
            assert request_seq
        self.venue(OrderSent(request_seq=request_seq, order_id=order_id))
        if acknowledged and request_seq:
            self.venue(VenueOrderUpdate(order_id=order_id, request_seq=request_seq, exec_type=ExecType.NEW))

    @precondition(lambda self: self.ids)
    @rule(qty=st.sampled_from([30, 100, 150]), n=pick)
    def replace_and_pass(self, qty: int, n: int) -> None:
        seq = self.r.frame(ReplaceOrder(order_id=self.order(n), order_qty=qty, price_px=5002), STRATEGY)
        self.r.decide(seq)

    @precondition(lambda self: self.undecided)
    @rule(n=pick, passed=st.sampled_from([True, True, True, False]), keep=st.booleans())
    def decide(self, n: int, passed: bool, keep: bool) -> None:
        seq = self.undecided[n % len(self.undecided)]
        if not keep:
            self.undecided.remove(seq)
        self.r.decide(seq, Decision.PASS if passed else Decision.REJECT, 0 if passed else Reason.PRICE_COLLAR)

    @precondition(lambda self: self.ids)
    @rule(n=pick, who=st.sampled_from([STRATEGY, STRATEGY, OTHER, OPERATOR]), version=st.integers(0, 3))
    def cancel(self, n: int, who: int, version: int) -> None:
        self.r.frame(CancelOrder(order_id=self.order(n), version=version), who)

    @precondition(lambda self: self.ids)
    @rule(n=pick, qty=st.sampled_from([NULL, 1, 30, 100, 150]), px=st.sampled_from([NULL, 5000, 5001]))
    def replace(self, n: int, qty: int, px: int) -> None:
        seq = self.r.frame(ReplaceOrder(order_id=self.order(n), order_qty=qty, price_px=px), STRATEGY)
        self.undecided.append(seq)

    # What the gateway and the venue do, legally or not.

    @precondition(lambda self: self.ids)
    @rule(n=pick, which=pick, refused=st.booleans())
    def sent(self, n: int, which: int, refused: bool) -> None:
        order_id = self.order(n)
        seq = self.request(order_id, which)
        cls = SendRefused if refused else OrderSent
        self.venue(cls(request_seq=seq, order_id=order_id))

    @precondition(lambda self: self.ids)
    @rule(
        n=pick, which=pick, exec_type=st.sampled_from(EXEC_TYPES), status=st.sampled_from(STATUSES),
        reason=st.sampled_from(REASONS), cum=st.sampled_from([NULL, NULL, 0, 10, 60, 100]),
        qty=st.sampled_from([NULL, NULL, 100, 150, 5]), px=st.sampled_from([NULL, 5000, 5001]),
    )  # fmt: skip
    def update(self, n: int, which: int, exec_type: int, status: int, reason: int, cum: int, qty: int, px: int) -> None:
        order_id = self.order(n)
        self.venue(
            VenueOrderUpdate(
                order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, request_seq=self.request(order_id, which),
                exec_type=exec_type, ord_status=status, reason=reason, cum_qty=cum, order_qty=qty, price_px=px,
                venue_order_ref=f"V{order_id}",
            )
        )  # fmt: skip

    @precondition(lambda self: self.ids)
    @rule(n=pick, status=st.sampled_from(STATUSES), reason=st.sampled_from(REASONS),
          cum=st.sampled_from([NULL, 0, 10, 60, 100]), qty=st.sampled_from([NULL, 100, 150]))  # fmt: skip
    def answer(self, n: int, status: int, reason: int, cum: int, qty: int) -> None:
        self.venue(
            VenueOrderUpdate(
                order_id=self.order(n), account=ACCOUNT, instrument=INSTRUMENT, channel=Channel.QUERY,
                exec_type=ExecType.ORDER_STATUS, ord_status=status, reason=reason, cum_qty=cum, order_qty=qty, price_px=5000,
            )
        )  # fmt: skip

    @precondition(lambda self: self.ids)
    @rule(n=pick, qty=st.sampled_from([1, 10, 10, 40, 50, 100]), px=st.sampled_from([4999, 5000]), trade=st.integers(1, 12))
    def fill(self, n: int, qty: int, px: int, trade: int) -> None:
        """Any order, any time; a number seen before is a repeat, whatever it says."""
        order_id = self.order(n)
        self.venue(
            VenueFill(
                order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=qty, last_px=px,
                trade_no=trade,
            )
        )  # fmt: skip
        self.trades.setdefault(order_id, {}).setdefault(trade, (qty, px))

    @precondition(lambda self: self.ids)
    @rule(n=pick, trade=st.integers(1, 12), qty=st.sampled_from([0, 0, 5, 60]), px=st.sampled_from([4999, 5000]))
    def correct(self, n: int, trade: int, qty: int, px: int) -> None:
        """A trade taken back (0) or restated; of a trade nobody knows it means nothing."""
        order_id = self.order(n)
        self.venue(
            VenueTradeCorrection(
                order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, trade_no=trade, last_qty=qty or NULL, last_px=px,
                action=TradeCorrectionAction.CORRECT if qty else TradeCorrectionAction.CANCEL,
            )
        )  # fmt: skip
        if trade in self.trades.get(order_id, {}):
            self.trades[order_id][trade] = (qty, px)

    @precondition(lambda self: self.ids)
    @rule(n=pick, which=pick, reason=st.sampled_from(REASONS), of=st.sampled_from(list(CxlRejResponseTo)))
    def cancel_reject(self, n: int, which: int, reason: int, of: int) -> None:
        order_id = self.order(n)
        self.venue(
            VenueCancelReject(order_id=order_id, request_seq=self.request(order_id, which), reason=reason, response_to=of)
        )

    @rule(trade=st.integers(1, 5), qty=st.integers(1, 9))
    def foreign_fill(self, trade: int, qty: int) -> None:
        self.venue(VenueFill(account=ACCOUNT, instrument=INSTRUMENT, side=Side.SELL, last_qty=qty, last_px=1, trade_no=trade,
                             venue_order_ref="theirs"))  # fmt: skip
        self.foreign.setdefault(trade, qty)

    @rule(status=st.sampled_from(STATUSES), qty=st.sampled_from([NULL, 20]))
    def foreign_update(self, status: int, qty: int) -> None:
        self.venue(VenueOrderUpdate(account=ACCOUNT, instrument=INSTRUMENT, side=Side.SELL, ord_status=status, order_qty=qty,
                                    exec_type=ExecType.ORDER_STATUS, venue_order_ref="theirs"))  # fmt: skip

    # The world.

    @rule(what=st.sampled_from(["ready", "down", "lost", "download", "partial", "block", "kill", "release"]))
    def world_turns(self, what: str) -> None:
        if what == "ready":
            self.r.phase(GatewayPhase.READY)
        elif what == "down":
            self.r.phase(GatewayPhase.DOWNLOADING)
        elif what == "lost":
            self.r.disconnect()
        elif what in ("download", "partial"):
            self.venue(DownloadBegin(account=ACCOUNT, download=1))
            self.venue(DownloadEnd(account=ACCOUNT, download=1, complete=what == "download"))
        elif what == "release":
            self.release()
        else:
            level = KillLevel.BLOCK_CANCEL if what == "kill" else KillLevel.BLOCK
            self.killed += 1
            scope = {"scope_type": ScopeType.ACCOUNT, "scope_account": ACCOUNT}
            self.r.frame(KillSwitch(kill=self.killed, level=level, **scope), OPERATOR)
            for order in self.r.oms.open_orders():
                assert level == KillLevel.BLOCK or not order.source or order.cancel is not None  # I-43

    def release(self) -> None:
        for kill in list(self.r.oms.memory.kills):
            self.r.frame(KillRelease(kill=kill), OPERATOR)

    @rule(ns=st.sampled_from([1, SECOND, 5 * SECOND, 200 * SECOND]))
    def time(self, ns: int) -> None:
        self.r.pass_time(ns)

    @rule()
    def restart(self) -> None:
        """A snapshot and back changes nothing, and is canonical."""
        held = self.r.oms.snapshot()
        self.r.oms.restore(held)
        assert self.r.oms.snapshot() == held
        said = state_of(self.r.oms)
        self.r.oms.assemble(*backwards(self.r.oms))
        assert state_of(self.r.oms) == said

    # What always holds.

    @invariant()
    def books_are_straight(self) -> None:
        self.r.oms.check()
        for order_id in self.ids:
            order = self.r.oms.memory.peek(order_id)
            assert order is not None
            trades = self.trades.get(order_id, {})
            assert order.cum_qty == sum(q for q, _ in trades.values())  # I-19
            assert order.cum_notional == sum(q * p for q, p in trades.values())
            assert order.cum_qty <= order.order_qty or order.overfilled  # I-16
            if order.unknown:
                assert order.query_at, order  # something will resolve it

    def teardown(self) -> None:
        self.r.history.end()
        # The same stream says the same, also through a restart in the middle.
        said = self.r.replay(restart_at=len(self.r.stream) // 2)
        assert [m.encode() for m in said] == [m.encode() for m in self.r.emitted]
        external = [m for m in self.r.said(ExecutionReport) if m.report_flags & ReportFlag.EXTERNAL]
        assert sum(m.last_qty for m in external if m.exec_type == ExecType.TRADE) == sum(self.foreign.values())


TestOrderMachine = OrderMachine.TestCase
TestOrderMachine.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
