"""Families under legal and illegal venues, against the obvious model: what the reports of the children say, added up."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, SECOND, STRATEGY, Recorder

from journal.messages import (
    NULL,
    CancelOrder,
    Channel,
    CxlRejResponseTo,
    Decision,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    KillLevel,
    KillRelease,
    KillSwitch,
    OrdStatus,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RoutedOrder,
    ScopeType,
    Side,
    StrategyDefined,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
    order_id_of,
    order_id_source,
)
from oms.order import CLOSED
from tests.apart import backwards, state_of

pick = st.integers(0, 1000)
WORKER = 3
"""The strategy that STRATEGY decides for."""
ALIVE_THOUGH_ENDED = (OrdStatus.PENDING_CANCEL, OrdStatus.UNKNOWN)


class FamilyMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.r = Recorder()
        self.parents: list[int] = []
        self.children: list[int] = []
        self.undecided: list[int] = []
        self.number = self.kills = self.seen = 0
        self.last: dict[int, ExecutionReport] = {}
        self.family: dict[int, set[int]] = {}
        self.legal = True  # until the venue does what we have not asked

    @initialize()
    def world(self) -> None:
        self.r.ready()
        self.r.frame(StrategyDefined(strategy=WORKER, app=STRATEGY), 1)

    def next_id(self, source: int = STRATEGY) -> int:
        self.number += 1
        return order_id_of(source, self.number)

    def of(self, ids: list[int], n: int) -> int:
        return ids[-1 - min(n % len(ids), n % 3)]

    @rule(qty=st.sampled_from([60, 100]), limit=st.sampled_from([NULL, 5000]), ends=st.sampled_from([0, 0, 7]),
          source=st.sampled_from([STRATEGY, OPERATOR]))  # fmt: skip
    def parent(self, qty: int, limit: int, ends: int, source: int) -> None:
        self.parents.append(self.next_id(source))
        self.r.frame(
            ParentOrder(order_id=self.parents[-1], account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=qty,
                        limit_px=limit, end_ts=self.r.now + ends * SECOND if ends else 0, strategy=WORKER),
            source,
        )  # fmt: skip

    @precondition(lambda self: self.parents)
    @rule(n=pick, qty=st.sampled_from([10, 40, 60, 61]), px=st.sampled_from([4999, 5000, 5001]), decided=st.booleans(),
          acknowledged=st.booleans(), strategy=st.sampled_from([WORKER, WORKER, 0]))  # fmt: skip
    def child(self, n: int, qty: int, px: int, *, decided: bool, acknowledged: bool, strategy: int) -> None:
        parent = self.of(self.parents, n)
        order_id, seq = self.r.new(order_id=self.next_id(), qty=qty, px=px, parent_order_id=parent, strategy=strategy)
        if order_id_source(parent) != STRATEGY and strategy != WORKER:
            assert self.r.last().ord_status == OrdStatus.REJECTED
            return  # none of the family: what a venue may do with it is no parent's
        self.children.append(order_id)
        if not decided:
            self.undecided.append(seq)
            return
        self.r.decide(seq)
        request = self.r.routed(order_id)
        if request and acknowledged:
            self.r.frame(VenueOrderUpdate(order_id=order_id, request_seq=request, exec_type=ExecType.NEW), GATEWAY)

    @precondition(lambda self: self.undecided)
    @rule(n=pick, passed=st.booleans())
    def decide(self, n: int, *, passed: bool) -> None:
        seq = self.undecided.pop(n % len(self.undecided))
        self.r.decide(seq, Decision.PASS if passed else Decision.REJECT, 0 if passed else Reason.PRICE_COLLAR)

    @precondition(lambda self: self.children)
    @rule(n=pick, qty=st.sampled_from([NULL, 5, 40, 90]), px=st.sampled_from([NULL, 4998, 5001]), venue_agrees=st.booleans())
    def replace(self, n: int, qty: int, px: int, *, venue_agrees: bool) -> None:
        order_id = self.of(self.children, n)
        seq = self.r.frame(ReplaceOrder(order_id=order_id, order_qty=qty, price_px=px), STRATEGY)
        self.r.decide(seq)
        if venue_agrees:
            self.r.frame(VenueOrderUpdate(order_id=order_id, exec_type=ExecType.REPLACED), GATEWAY)

    @precondition(lambda self: self.parents)
    @rule(n=pick, qty=st.sampled_from([NULL, 10, 50, 100, 150]), px=st.sampled_from([NULL, 4999, 5000]))
    def replace_parent(self, n: int, qty: int, px: int) -> None:
        self.r.frame(ReplaceOrder(order_id=self.of(self.parents, n), order_qty=qty, price_px=px), STRATEGY)

    @precondition(lambda self: self.parents)
    @rule(n=pick)
    def cancel_parent(self, n: int) -> None:
        self.r.frame(CancelOrder(order_id=self.of(self.parents, n)), STRATEGY)

    @precondition(lambda self: self.children)
    @rule(n=pick)
    def cancel_child(self, n: int) -> None:
        self.r.frame(CancelOrder(order_id=self.of(self.children, n)), STRATEGY)

    @precondition(lambda self: self.children)
    @rule(n=pick, qty=st.sampled_from([1, 10, 40, 60]), trade=st.integers(1, 9))
    def fill(self, n: int, qty: int, trade: int) -> None:
        order_id = self.of(self.children, n)
        order = self.r.oms.memory.peek(order_id)
        assert order is not None
        known = str(trade) in order.fills
        self.legal &= known or (bool(self.r.routed(order_id)) and qty <= order.leaves_qty + order.cxl_qty)
        self.r.frame(
            VenueFill(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=qty, last_px=4990,
                      trade_no=trade),
            GATEWAY,
        )  # fmt: skip

    @precondition(lambda self: self.children)
    @rule(n=pick, exec_type=st.sampled_from([ExecType.NEW, ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED,
                                             ExecType.SUSPENDED]))  # fmt: skip
    def update(self, n: int, exec_type: int) -> None:
        order_id = self.of(self.children, n)
        order = self.r.oms.memory.peek(order_id)
        assert order is not None
        # What was said to be dead comes to life: nobody can have kept room for it.
        self.legal &= not (order.base == OrdStatus.REJECTED and exec_type == ExecType.NEW)
        seq = self.r.routed(order_id) if exec_type == ExecType.REJECTED else 0
        self.r.frame(VenueOrderUpdate(order_id=order_id, exec_type=exec_type, request_seq=seq), GATEWAY)

    @precondition(lambda self: self.children)
    @rule(n=pick, qty=st.sampled_from([30, 80]))
    def restate(self, n: int, qty: int) -> None:
        self.legal = False
        self.r.frame(VenueOrderUpdate(order_id=self.of(self.children, n), exec_type=ExecType.RESTATED, order_qty=qty), GATEWAY)

    @precondition(lambda self: self.children)
    @rule(n=pick, reason=st.sampled_from([Reason.RATE_LIMIT, Reason.TOO_LATE_AT_VENUE, Reason.UNKNOWN_AT_VENUE]))
    def cancel_refused(self, n: int, reason: int) -> None:
        self.r.frame(
            VenueCancelReject(order_id=self.of(self.children, n), reason=reason, response_to=CxlRejResponseTo.CANCEL), GATEWAY
        )

    @precondition(lambda self: self.children)
    @rule(n=pick, found=st.booleans())
    def answer(self, n: int, *, found: bool) -> None:
        order_id = self.of(self.children, n)
        order = self.r.oms.memory.peek(order_id)
        assert order is not None
        what = {"ord_status": OrdStatus.NEW, "order_qty": order.order_qty, "price_px": order.price_px} if found else {
            "reason": Reason.UNKNOWN_AT_VENUE
        }  # fmt: skip
        self.r.frame(
            VenueOrderUpdate(order_id=order_id, channel=Channel.QUERY, exec_type=ExecType.ORDER_STATUS, **what), GATEWAY
        )

    @rule(what=st.sampled_from(["lost", "ready", "kill", "release", "wait", "restart"]))
    def world_turns(self, what: str) -> None:
        if what == "lost":
            self.r.disconnect()
        elif what == "ready":
            self.r.phase(GatewayPhase.READY)
        elif what == "kill":
            self.kills += 1
            self.r.frame(KillSwitch(kill=self.kills, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.GLOBAL), OPERATOR)
        elif what == "release":
            for kill in list(self.r.oms.memory.kills):
                self.r.frame(KillRelease(kill=kill), OPERATOR)
        elif what == "wait":
            self.r.pass_time(6 * SECOND)
        else:
            held = self.r.oms.snapshot()
            self.r.oms.restore(held)
            assert self.r.oms.snapshot() == held
            said = state_of(self.r.oms)
            self.r.oms.assemble(*backwards(self.r.oms))
            assert state_of(self.r.oms) == said

    @invariant()
    def the_reports_add_up(self) -> None:
        self.r.oms.check()
        for m in self.r.emitted[self.seen :]:
            if isinstance(m, ExecutionReport):
                self.last[m.order_id] = m
                if m.parent_order_id:
                    self.family.setdefault(m.parent_order_id, set()).add(m.order_id)
        self.seen = len(self.r.emitted)
        last, family = self.last, self.family
        for number in self.parents:
            said = last[number]
            children = [last[c] for c in family.get(number, ())]
            assert said.cum_qty == sum(c.cum_qty for c in children)  # I-25
            assert said.cum_qty + said.leaves_qty + said.cxl_qty == max(said.order_qty, said.cum_qty)
            if said.ord_status in CLOSED:
                working = [c for c in children if c.leaves_qty and c.ord_status not in ALIVE_THOUGH_ENDED]
                assert not working or not self.legal or self.refused_and_due(number, working)
            if self.legal:
                assert sum(c.cum_qty + c.leaves_qty for c in children) <= said.order_qty  # I-23

    def refused_and_due(self, parent: int, working: list[ExecutionReport]) -> bool:
        """The venue refused to cancel them; the parent's timer will ask again."""
        return parent in self.r.timers and bool(working)

    def teardown(self) -> None:
        limits: dict[int, int] = {}
        asked = {m.order_id: m for _, _, m in self.r.stream if type(m).__name__ == "NewOrder"}
        for _, _, m in self.r.stream:
            if isinstance(m, ExecutionReport) and m.report_flags & ReportFlag.PARENT:
                limits[m.order_id] = m.price_px
            elif isinstance(m, RoutedOrder):
                limit = limits[asked[m.order_id].parent_order_id]
                assert limit == NULL or m.price_px <= limit  # I-24
                assert (m.side, m.instrument) == (Side.BUY, INSTRUMENT)
                child = asked[m.order_id]
                assert child.strategy == WORKER or order_id_source(child.parent_order_id) == STRATEGY
        said = self.r.replay(restart_at=len(self.r.stream) // 2)
        assert [m.encode() for m in said] == [m.encode() for m in self.r.emitted]


TestFamilyMachine = FamilyMachine.TestCase
TestFamilyMachine.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
