"""Kills at the orders: whom they cancel, that refused cancels are sent again, who ends them; and I-43 against a plain model."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from oms_recorder import ACCOUNT, INSTRUMENT, OPERATOR, SECOND, STRATEGY, Recorder

from journal.messages import (
    Approval,
    ApprovalDecision,
    Clock,
    CommandCode,
    CxlRejResponseTo,
    ExecInst,
    ExecType,
    GatewayPhase,
    KillLevel,
    KillRelease,
    KillSwitch,
    KillTrigger,
    NewOrder,
    OperatorCommand,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    Side,
    SourceDefined,
    SourceRole,
    TimeInForce,
    UserDefined,
    VenueCancelReject,
    VenueOrderUpdate,
    order_id_of,
)
from oms.kills import CANCEL_AGAIN_NS, Rules
from oms.manager import OrderManager

ALICE, BOB, CAROL = 1, 2, 3
FLATTENER = 12
GATEWAY = 4
RISK = 6


def world() -> Recorder:
    r = Recorder()
    r.oms.configure(Rules(roles=[(OPERATOR, int(SourceRole.OPERATOR)), (FLATTENER, int(SourceRole.POSITIONS))]))
    r.ready()
    for user in (ALICE, BOB, CAROL):
        r.frame(UserDefined(user=user), 1)
    return r


def command(r: Recorder, code: CommandCode, user: int, frame: KillSwitch | KillRelease) -> int:
    r.frame(OperatorCommand(request=r.seq, user=user, command=code), OPERATOR)
    return r.frame(frame, OPERATOR)


def kill(r: Recorder, user: int = ALICE, kill: int = 7, level: int = KillLevel.BLOCK_CANCEL) -> None:
    m = KillSwitch(kill=kill, level=level, trigger=KillTrigger.OPERATOR, scope_type=ScopeType.GLOBAL)
    command(r, CommandCode.KILL, user, m)


def ask(r: Recorder, number: int, source: int = STRATEGY, **terms: int) -> int:
    order_id = order_id_of(source, number)
    base = {
        "account": ACCOUNT, "strategy": 3, "instrument": INSTRUMENT, "side": Side.BUY, "ord_type": OrdType.LIMIT,
        "tif": TimeInForce.GTC, "order_qty": 100, "price_px": 5000,
    }  # fmt: skip
    m = NewOrder(order_id=order_id, **(base | terms))
    seq = r.frame(m, source)
    r.decide(seq)
    return order_id


def working(r: Recorder, number: int = 1) -> int:
    order_id = ask(r, number)
    r.frame(VenueOrderUpdate(order_id=order_id, request_seq=r.routed(order_id), exec_type=ExecType.NEW), GATEWAY)
    return order_id


def test_a_refused_cancel_is_sent_again_as_long_as_the_kill_holds() -> None:
    r = world()
    order_id = working(r)
    kill(r)
    assert r.count(RoutedCancel) == 1
    r.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT), GATEWAY)
    assert r.oms.memory.orders[order_id].cancel is None
    r.oms.check()
    r.frame(Clock(), 0, ns=CANCEL_AGAIN_NS)
    assert r.count(RoutedCancel) == 2
    r.frame(VenueOrderUpdate(order_id=order_id, exec_type=ExecType.CANCELED, ord_status=OrdStatus.CANCELED), GATEWAY)
    assert not r.oms.memory.again
    r.frame(Clock(), 0, ns=60 * SECOND)
    assert r.count(RoutedCancel) == 2


def test_a_release_ends_the_sending_again() -> None:
    r = world()
    order_id = working(r)
    kill(r)
    r.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT), GATEWAY)
    asked = command(r, CommandCode.KILL_RELEASE, ALICE, KillRelease(kill=7))
    assert r.oms.memory.again
    r.frame(Approval(request_seq=asked, user=BOB, decision=ApprovalDecision.APPROVED), OPERATOR)
    assert not r.oms.memory.again
    r.frame(Clock(), 0, ns=60 * SECOND)
    assert r.count(RoutedCancel) == 1


def test_what_the_venue_opens_again_under_a_kill_is_canceled() -> None:
    r = world()
    order_id = working(r)
    r.frame(VenueOrderUpdate(order_id=order_id, exec_type=ExecType.REJECTED, ord_status=OrdStatus.REJECTED), GATEWAY)
    kill(r)
    # A venue that contradicts itself: it works what it had rejected.
    r.frame(VenueOrderUpdate(order_id=order_id, exec_type=ExecType.NEW, ord_status=OrdStatus.NEW), GATEWAY)
    order = r.oms.memory.orders[order_id]
    assert not order.closed
    r.oms.check()
    r.frame(Clock(), 0, ns=CANCEL_AGAIN_NS)
    assert order.cancel is not None


def test_the_same_person_does_not_end_it_and_nothing_is_routed_until_then() -> None:
    r = world()
    kill(r)
    asked = command(r, CommandCode.KILL_RELEASE, ALICE, KillRelease(kill=7))
    r.frame(Approval(request_seq=asked, user=ALICE, decision=ApprovalDecision.APPROVED), OPERATOR)
    ask(r, 1)
    assert r.count(RoutedOrder) == 0
    assert r.last().reason == Reason.KILL_SWITCH_ACTIVE
    r.frame(Approval(request_seq=asked, user=BOB, decision=ApprovalDecision.APPROVED), OPERATOR)
    ask(r, 2)
    assert r.count(RoutedOrder) == 1


def test_only_the_app_that_flattens_is_routed_under_a_kill_that_wants_it() -> None:
    r = world()
    kill(r, level=KillLevel.BLOCK_CANCEL_FLATTEN)
    flat = {"ord_type": int(OrdType.MARKET), "price_px": -(2**63), "exec_inst": int(ExecInst.DO_NOT_INCREASE)}
    ask(r, 1, **flat)
    assert r.count(RoutedOrder) == 0
    order_id = ask(r, 1, source=FLATTENER, **flat)
    assert r.routed(order_id)
    kill(r, user=BOB, kill=8)  # another one does not cancel it
    assert r.count(RoutedCancel) == 0


def test_the_state_is_the_same_after_a_restart() -> None:
    r = world()
    order_id = working(r)
    kill(r)
    r.frame(VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT), GATEWAY)
    command(r, CommandCode.KILL_RELEASE, ALICE, KillRelease(kill=7))
    held = r.oms.snapshot()
    other = OrderManager(r)
    other.restore(held)
    assert other.snapshot() == held
    assert other.memory.latch == r.oms.memory.latch


# I-43 against a model that is as plain as the sentence: after a kill's seq nothing new in its scope until two persons end it.

SCOPES = (
    {"scope_type": ScopeType.GLOBAL},
    {"scope_type": ScopeType.STRATEGY, "scope_strategy": 3},
    {"scope_type": ScopeType.STRATEGY, "scope_strategy": 4},
    {"scope_type": ScopeType.ACCOUNT, "scope_account": ACCOUNT},
    {"scope_type": ScopeType.INSTRUMENT, "scope_instrument": INSTRUMENT + 1},
)
COVERED = ({3, 4}, {3}, {4}, {3, 4}, set())
"""Which strategies each of them stops."""
users = st.sampled_from([ALICE, BOB, CAROL])


class Killed(RuleBasedStateMachine):
    @initialize()
    def world(self) -> None:
        self.r = world()
        self.r.frame(SourceDefined(source=STRATEGY, role=SourceRole.ALGO), 1)
        self.number = 0
        self.kills: dict[int, tuple[int, int]] = {}  # kill → (scope, who)
        self.releases: list[tuple[int, int, int]] = []  # (seq, kill, who)
        self.judged = 0  # frames looked at

    @rule(scope=st.integers(0, len(SCOPES) - 1), user=users, level=st.sampled_from([KillLevel.BLOCK, KillLevel.BLOCK_CANCEL]))
    def kill(self, scope: int, user: int, level: int) -> None:
        number = 1 + len(self.kills) + 100 * self.r.seq
        m = KillSwitch(kill=number, level=level, trigger=KillTrigger.OPERATOR, **SCOPES[scope])
        self.kills[number] = (scope, user)
        command(self.r, CommandCode.KILL, user, m)

    @rule(n=st.integers(0, 9), user=users)
    def release(self, n: int, user: int) -> None:
        if self.kills:
            number = list(self.kills)[n % len(self.kills)]
            self.releases.append((command(self.r, CommandCode.KILL_RELEASE, user, KillRelease(kill=number)), number, user))

    @rule(
        n=st.integers(0, 9), user=users, decision=st.sampled_from([ApprovalDecision.APPROVED] * 3 + [ApprovalDecision.REFUSED])
    )
    def approve(self, n: int, user: int, decision: int) -> None:
        if not self.releases:
            return
        seq, number, asker = self.releases[n % len(self.releases)]
        if decision == ApprovalDecision.REFUSED or number not in self.kills:
            self.releases.remove((seq, number, asker))
        elif user not in (asker, self.kills[number][1]):
            self.releases.remove((seq, number, asker))
            del self.kills[number]
        self.r.frame(Approval(request_seq=seq, user=user, decision=decision), OPERATOR)

    @rule(strategy=st.sampled_from([3, 4]), ack=st.booleans())
    def new(self, strategy: int, ack: bool) -> None:
        self.number += 1
        order_id = ask(self.r, self.number, strategy=strategy)
        if ack and (seq := self.r.routed(order_id)):
            self.r.frame(VenueOrderUpdate(order_id=order_id, request_seq=seq, exec_type=ExecType.NEW), GATEWAY)

    @rule(n=st.integers(0, 9), qty=st.integers(50, 60))
    def replace(self, n: int, qty: int) -> None:
        if self.number:
            order_id = order_id_of(STRATEGY, 1 + n % self.number)
            m = ReplaceOrder(order_id=order_id, order_qty=qty)
            seq = self.r.frame(m, STRATEGY)
            order = self.r.oms.memory.peek(order_id)
            if order is not None and order.replace is not None and order.replace.request_seq == seq:
                self.r.decide(seq)

    @rule(n=st.integers(0, 9), refused=st.booleans())
    def answer(self, n: int, refused: bool) -> None:
        if not self.number:
            return
        order_id = order_id_of(STRATEGY, 1 + n % self.number)
        if refused:
            m = VenueCancelReject(order_id=order_id, response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT)
            self.r.frame(m, GATEWAY)
        else:
            self.r.frame(VenueOrderUpdate(order_id=order_id, exec_type=ExecType.CANCELED), GATEWAY)

    @rule(lost=st.booleans())
    def gateway(self, lost: bool) -> None:
        if lost:
            self.r.disconnect()
        else:
            self.r.phase(GatewayPhase.READY)

    @rule(seconds=st.sampled_from([1, 2, 6]))
    def wait(self, seconds: int) -> None:
        self.r.frame(Clock(), 0, ns=seconds * SECOND)

    @invariant()
    def nothing_new_leaves(self) -> None:
        self.r.oms.check()
        stopped = set().union(*(COVERED[scope] for scope, _ in self.kills.values()))
        for _, _, m in self.r.stream[self.judged :]:
            if isinstance(m, RoutedOrder | RoutedReplace):
                assert self.r.oms.memory.peek(m.order_id).strategy not in stopped, m
        self.judged = len(self.r.stream)
        canceling = set().union(
            *(COVERED[scope] for n, (scope, _) in self.kills.items()
              if KillSwitch.decode(self.r.oms.memory.kills[n]).level >= KillLevel.BLOCK_CANCEL)
        )  # fmt: skip
        assert set(self.kills) == set(self.r.oms.memory.kills)
        for order in self.r.oms.open_orders():
            if order.strategy in canceling:
                assert order.cancel is not None or order.order_id in self.r.oms.memory.again


TestKilled = Killed.TestCase
TestKilled.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
