"""No order disappears, ours or the venue's, whatever is lost on the way: a venue that pushes what it likes, restarts, forgets,
and answers with downloads that are reordered, doubled, cut short or interrupted. In the end, once it answers honestly, both
sides agree or the account is halted with the differences named; and no fill is ever ours that the venue did not make.

The model is the venue's own list of orders and trades, nothing else."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oms_recorder import ACCOUNT, OPERATOR, SECOND, STRATEGY, Recorder
from recon_venue import Mangle, There, Venue

from journal.messages import (
    CancelOrder,
    CommandCode,
    DifferenceType,
    ExecutionReport,
    Gate,
    GateState,
    GatewayPhase,
    Message,
    OperatorCommand,
    OrdStatus,
    ReconcileCorrection,
    ReconcileDifference,
    ReconcileFinished,
    ReconcileResult,
    ReconcileStarted,
    RoutedOrder,
    RoutedQuery,
    VenueFill,
)
from oms.differences import Settings
from tests.apart import backwards, state_of

ATTEMPTS = 4
OPEN_THERE = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
pick = st.integers(0, 1000)


def mangled(how: str, seed: int) -> Mangle:
    """Rows as a bad line brings them."""

    def mangle(rows: list[Message]) -> list[Message]:
        rows = list(rows)
        dice = random.Random(seed)
        if how == "shuffled":
            dice.shuffle(rows)
        elif how == "doubled":
            rows = [row for row in rows for _ in range(dice.randint(1, 3))]
        elif how == "cut":
            rows = rows[: dice.randint(0, len(rows))]
        return rows

    return mangle


class ReconcileMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.r = Recorder()
        self.venue = Venue(self.r)
        self.number = 0
        self.foreign = 0
        self.gone: list[There] = []

    @initialize(close_missing=st.booleans(), lookback=st.sampled_from([0, 600 * SECOND]))
    def world(self, close_missing: bool, lookback: int) -> None:
        self.r.oms.reconcile_by(Settings(attempts=ATTEMPTS, close_missing=close_missing, lookback_ns=lookback))
        self.r.ready()
        if not lookback:
            self.venue.download()  # a gateway's own, after its logon
        self.venue.answer()

    def mine(self) -> list[There]:
        return [o for o in self.venue.orders.values() if o.order_id]

    # The venue and we.

    @rule(accepted=st.sampled_from(["pushed", "lost", "never"]))
    def send(self, accepted: str) -> None:
        self.number += 1
        order_id, seq = self.r.new(self.number)
        self.r.decide(seq)
        if self.r.routed(order_id) and accepted != "never":
            self.venue.accept(order_id, pushed=accepted == "pushed")

    @precondition(lambda self: self.venue.orders)
    @rule(n=pick, qty=st.sampled_from([10, 40, 100]), pushed=st.booleans())
    def trade(self, n: int, qty: int, pushed: bool) -> None:
        there = list(self.venue.orders.values())[n % len(self.venue.orders)]
        if there.status in OPEN_THERE and qty <= there.qty - there.cum:
            self.venue.trade(there.order_id, qty, ref=there.ref, pushed=pushed)

    @precondition(lambda self: self.venue.orders)
    @rule(n=pick, pushed=st.booleans(), status=st.sampled_from([OrdStatus.CANCELED, OrdStatus.EXPIRED]))
    def end(self, n: int, pushed: bool, status: int) -> None:
        there = list(self.venue.orders.values())[n % len(self.venue.orders)]
        if there.status in OPEN_THERE:
            self.venue.end(there.order_id, status, ref=there.ref, pushed=pushed)

    @precondition(lambda self: self.number)
    @rule(n=pick)
    def cancel(self, n: int) -> None:
        self.r.frame(CancelOrder(order_id=(STRATEGY << 48) | (n % self.number + 1)), STRATEGY)

    @rule(pushed=st.booleans())
    def someone_else(self, pushed: bool) -> None:
        self.foreign += 1
        self.venue.accept(0, ref=f"theirs-{self.foreign}", pushed=pushed)

    @precondition(lambda self: any(o.status in OPEN_THERE for o in self.mine()))
    @rule(n=pick)
    def venue_forgets(self, n: int) -> None:
        """A restart at the venue: an order is gone, its trades stay."""
        there = [o for o in self.mine() if o.status in OPEN_THERE]
        self.gone.append(self.venue.orders.pop(there[n % len(there)].ref))

    # The line.

    @rule(how=st.sampled_from(["straight", "shuffled", "doubled", "cut"]), seed=pick, complete=st.booleans())
    def answers(self, how: str, seed: int, complete: bool) -> None:
        """Pending queries, or an operator's, are answered."""
        if self.r.count(RoutedQuery) == self.venue.asked:
            self.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
        self.venue.answer(mangled(how, seed), complete=complete and how != "cut")

    @rule(seconds=st.sampled_from([1, 6, 70]))
    def time(self, seconds: int) -> None:
        self.r.pass_time(seconds * SECOND)

    @rule(during=st.booleans())
    def disconnect(self, during: bool) -> None:
        self.r.disconnect()
        self.venue.asked = self.r.count(RoutedQuery)  # what was asked went down with the line
        if during:
            self.r.phase(GatewayPhase.DISCONNECTED)
        self.r.phase(GatewayPhase.DOWNLOADING)
        self.venue.download()
        self.r.phase(GatewayPhase.READY)

    @rule()
    def restart(self) -> None:
        held = self.r.oms.snapshot()
        self.r.oms.restore(held)
        assert self.r.oms.snapshot() == held
        said = state_of(self.r.oms)
        self.r.oms.assemble(*backwards(self.r.oms))
        assert state_of(self.r.oms) == said

    # What always holds.

    @invariant()
    def nothing_is_invented(self) -> None:
        self.r.oms.check()
        made = {(t.order_id, str(t.trade_no)): (t.last_qty, t.last_px) for t in self.venue.trades}
        for number in range(1, self.number + 1):
            order = self.r.oms.memory.peek((STRATEGY << 48) | number)
            assert order is not None  # no order of ours disappears
            for trade, fill in order.fills.items():
                assert made[order.order_id, trade] == fill

    def teardown(self) -> None:
        if not self.r.oms.memory.roles:
            return
        self.converges_or_halts()
        check_history(self.r.stream)
        said = self.r.replay(restart_at=len(self.r.stream) // 2)
        assert [m.encode() for m in said] == [m.encode() for m in self.r.emitted]

    def converges_or_halts(self) -> None:
        """An honest venue, and time."""
        self.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
        self.venue.answer()
        self.venue.settle(200)
        held = self.r.oms.memory.reconcile
        assert held is not None
        c = held.accounts[ACCOUNT]
        result = self.r.said(ReconcileFinished)[-1].result
        assert result in (ReconcileResult.CONVERGED, ReconcileResult.HALTED)
        assert (result == ReconcileResult.HALTED) == c.halted == bool(c.open)
        assert {o.difference for o in c.open.values()} <= {DifferenceType.ORDER_MISSING_AT_VENUE, DifferenceType.STATUS,
                                                           DifferenceType.FILL_MISSING_HERE}  # fmt: skip
        named = {o.order_id for o in c.open.values()}
        # The union is conserved: what either side has open, both have, or it is named.
        ours = {o.order_id for o in self.r.oms.open_orders() if o.source and o.routed_seq}
        theirs = {o.order_id for o in self.mine() if o.status in OPEN_THERE}
        assert ours ^ theirs <= named
        foreign_ours = {o.venue_order_ref for o in self.r.oms.open_orders() if not o.source}
        assert foreign_ours == {o.ref for o in self.venue.orders.values() if not o.order_id and o.status in OPEN_THERE}
        # And so are the fills of our orders, as far as a lookback reaches.
        if held.settings.lookback_ns and not c.halted:
            for there in self.mine():
                order = self.r.oms.memory.peek(there.order_id)
                assert order is not None
                assert order.cum_qty == there.cum


def check_history(stream: list[tuple[int, int, Message]]) -> None:
    """I-33, I-34 and the record: nothing is sent past a gate that is not open, every difference has a run, every correction a
    difference, every run an end."""
    open_now = False
    started: set[int] = set()
    finished: set[int] = set()
    fills: set[int] = set()
    for seq, _, m in stream:
        if isinstance(m, Gate) and not m.instrument:
            open_now = m.state == GateState.OPEN
        elif isinstance(m, RoutedOrder):
            assert open_now
        elif isinstance(m, ReconcileStarted):
            started.add(m.run)
        elif isinstance(m, ReconcileDifference):
            assert m.run in started
            assert 0 < m.venue_frame_seq < seq
        elif isinstance(m, ReconcileCorrection):
            assert any(s == m.difference_seq and isinstance(x, ReconcileDifference) for s, _, x in stream)
        elif isinstance(m, ReconcileFinished):
            assert m.run in started - finished
            finished.add(m.run)
        elif isinstance(m, VenueFill):
            fills.add(seq)
        elif isinstance(m, ExecutionReport) and m.last_qty > 0:
            assert m.venue_frame_seq in fills  # a fill is a frame of the venue


TestReconcileMachine = ReconcileMachine.TestCase
TestReconcileMachine.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
