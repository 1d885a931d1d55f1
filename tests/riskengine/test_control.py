"""Kills and their second person, trading states, bans, dead man's handles, limits that people change, violations."""

from __future__ import annotations

from typing import Any

import pytest
from risk_recorder import ACCOUNT, INSTRUMENT, MAKER, OMS, OPERATOR, OTHER, SECOND, STRATEGY, VENUE, RiskRecorder

from journal.messages import (
    NULL,
    AbsenceAction,
    Alert,
    AlertState,
    Approval,
    ApprovalDecision,
    Ban,
    BanLifted,
    CancelAll,
    CancelOrder,
    Clock,
    CommandCode,
    CommandResult,
    Decision,
    ExecInst,
    GroupDefined,
    GroupMember,
    Heartbeat,
    HeartbeatLost,
    KillLevel,
    KillRelease,
    KillSwitch,
    KillTrigger,
    LimitAcknowledged,
    LimitAction,
    Message,
    OperatorCommand,
    OrdStatus,
    OrdType,
    Reason,
    ReconcileDifference,
    RequestState,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    SessionEnd,
    Side,
    SourceRole,
    TradingState,
    TradingStateSet,
    UserDefined,
    Violation,
    order_id_of,
)
from riskengine.approvals import raises
from riskengine.controlled import Rules, Watch
from riskengine.limits import Limit

ALICE, BOB, CAROL = 1, 2, 3
POSITIONS = 12
GLOBAL = {"scope_type": ScopeType.GLOBAL}
BY_STRATEGY = {"scope_type": ScopeType.STRATEGY, "scope_strategy": MAKER}
ROLES = [(OPERATOR, int(SourceRole.OPERATOR)), (POSITIONS, int(SourceRole.POSITIONS))]


class Desk(RiskRecorder):
    """People and what they say."""

    def __init__(self, users: tuple[int, ...] = (ALICE, BOB, CAROL), **rules: Any) -> None:
        super().__init__()
        self.rules: dict[str, Any] = {"roles": ROLES, "violations": True, **rules}
        self.configure(Rules(**self.rules))
        self.open_world()
        for user in users:
            self.frame(UserDefined(user=user, name=f"user {user}"))
        self.requests = 100

    def said(self, cls: type[Any]) -> list[Any]:
        return [m for m in self.emitted if type(m) is cls]

    def command(self, code: CommandCode, user: int, frame: Message) -> int:
        """A person's frame behind its command. The seq of the frame; the command's is one less."""
        self.requests += 1
        self.frame(OperatorCommand(request=self.requests, user=user, command=code), OPERATOR)
        return self.frame(frame, OPERATOR)

    def kill(self, user: int = ALICE, kill: int = 7, **scope: Any) -> int:
        m = KillSwitch(kill=kill, level=KillLevel.BLOCK_CANCEL, trigger=KillTrigger.OPERATOR, **(scope or GLOBAL))
        return self.command(CommandCode.KILL, user, m)

    def release(self, user: int, kill: int = 7) -> int:
        return self.command(CommandCode.KILL_RELEASE, user, KillRelease(kill=kill))

    def approve(self, seq: int, user: int, decision: int = ApprovalDecision.APPROVED) -> None:
        self.frame(Approval(request_seq=seq, user=user, decision=decision), OPERATOR)

    def blocked(self, **order: Any) -> int:
        """The reason a new order is refused with; 0: it passes."""
        decision = self.decide(**order)
        return decision.reason if decision.decision == Decision.REJECT else 0

    def decide(self, **order: Any) -> Any:
        self.new(**order)
        return [m for m in self.emitted if type(m).__name__ == "RiskDecision"][-1]

    def last(self) -> Any:
        return self.emitted[-1]

    def result(self) -> tuple[int, int]:
        m = self.said(CommandResult)[-1]
        return m.status, m.reason

    def pass_time(self, seconds: float) -> None:
        self.frame(Clock(), 0, ns=int(seconds * SECOND))

    def same_after_restart(self) -> None:
        """Byte-equal emissions and state, restarted anywhere."""
        for at in range(len(self.stream)):
            other = RiskRecorder()
            other.configure(Rules(**self.rules))
            for n, (seq, now, source, message) in enumerate(self.stream):
                if n == at:
                    held = other.engine.snapshot()
                    other.engine = type(other.engine)(other)
                    other.engine.restore(held)
                    assert other.engine.snapshot() == held
                other.seq, other.now = seq - 1, now - 1
                other.frame(message, source)
            assert [m.encode() for m in other.emitted] == [m.encode() for m in self.emitted]
            assert other.engine.snapshot() == self.engine.snapshot()


# The latch.


def test_a_kill_is_released_by_a_second_person_only() -> None:
    d = Desk()
    d.kill(ALICE)
    assert d.blocked() == Reason.KILL_SWITCH_ACTIVE
    asked = d.release(ALICE)
    assert d.result() == (RequestState.PENDING, Reason.APPROVAL_REQUIRED)
    assert d.blocked() == Reason.KILL_SWITCH_ACTIVE
    d.approve(asked, ALICE)
    assert d.result() == (RequestState.PENDING, Reason.SAME_PERSON)
    assert d.said(Alert)[-1].rule == Reason.SAME_PERSON
    assert d.blocked() == Reason.KILL_SWITCH_ACTIVE
    d.approve(asked, BOB)
    assert d.result() == (RequestState.DONE, 0)
    assert d.blocked() == 0
    d.same_after_restart()


def test_neither_who_killed_nor_who_asks_approves_it() -> None:
    d = Desk()
    d.kill(ALICE)
    asked = d.release(BOB)
    for who in (ALICE, BOB):
        d.approve(asked, who)
        assert d.result() == (RequestState.PENDING, Reason.SAME_PERSON)
        assert d.blocked() == Reason.KILL_SWITCH_ACTIVE
    d.approve(asked - 1, CAROL)  # the command's own number will do
    assert d.result() == (RequestState.DONE, 0)


def test_an_approval_by_nobody_we_know_counts_for_nothing() -> None:
    d = Desk()
    d.kill(ALICE)
    asked = d.release(ALICE)
    d.approve(asked, 99)
    assert d.result() == (RequestState.PENDING, Reason.NOT_AUTHENTICATED)
    assert d.blocked() == Reason.KILL_SWITCH_ACTIVE


def test_a_release_by_nobody_we_know_is_refused() -> None:
    d = Desk()
    d.kill(ALICE)
    d.release(99)
    assert d.result() == (RequestState.REJECTED, Reason.NOT_AUTHENTICATED)
    d.frame(KillRelease(kill=7), OPERATOR)  # without a command nobody is behind it
    assert d.said(Alert)[-1].rule == Reason.NOT_AUTHENTICATED
    assert d.blocked() == Reason.KILL_SWITCH_ACTIVE


def test_a_second_person_may_refuse() -> None:
    d = Desk()
    d.kill(ALICE)
    asked = d.release(ALICE)
    d.approve(asked, BOB, ApprovalDecision.REFUSED)
    assert d.result() == (RequestState.REJECTED, Reason.APPROVAL_REFUSED)
    d.approve(asked, BOB)
    assert d.said(Alert)[-1].rule == Reason.COMMAND_NOT_APPLICABLE
    assert d.blocked() == Reason.KILL_SWITCH_ACTIVE


def test_an_approval_of_a_correction_is_no_business_of_the_risk_engine() -> None:
    d = Desk()
    difference = d.frame(ReconcileDifference(account=ACCOUNT), OMS)
    d.approve(difference, BOB)
    assert d.said(Alert) == []
    d.approve(difference + 1, BOB)  # of nothing
    assert [m.rule for m in d.said(Alert)] == [Reason.COMMAND_NOT_APPLICABLE]


@pytest.mark.parametrize(("over", "ends"), [(0, True), (1, False)])
def test_an_approval_has_its_time(over: int, ends: bool) -> None:
    d = Desk(approval_valid_ns=10 * SECOND)
    d.kill(ALICE)
    asked = d.release(ALICE)
    d.frame(Approval(request_seq=asked, user=BOB, decision=ApprovalDecision.APPROVED), OPERATOR, ns=10 * SECOND + over)
    assert (d.blocked() == 0) == ends
    if not ends:
        assert d.result() == (RequestState.REJECTED, Reason.APPROVAL_EXPIRED)


def test_one_user_needs_no_second_one_who_does_not_exist() -> None:
    d = Desk(users=(ALICE,))
    d.kill(ALICE)
    d.release(ALICE)
    assert d.result() == (RequestState.DONE, 0)
    assert d.blocked() == 0


@pytest.mark.parametrize(("second_person", "waits"), [(None, False), (True, True), (False, False)])
def test_a_kill_by_a_limit_is_released_by_one_unless_configured(second_person: bool | None, waits: bool) -> None:
    d = Desk(second_person=second_person)
    d.frame(KillSwitch(kill=7, trigger=KillTrigger.LIMIT, **GLOBAL), 6)
    d.release(ALICE)
    assert (d.result()[1] == Reason.APPROVAL_REQUIRED) == waits


def test_a_second_person_can_be_switched_off() -> None:
    d = Desk(second_person=False)
    d.kill(ALICE)
    d.release(ALICE)
    assert d.blocked() == 0


def test_a_kill_cannot_be_narrowed_by_its_own_number() -> None:
    d = Desk()
    d.kill(ALICE)
    d.kill(ALICE, scope_type=ScopeType.STRATEGY, scope_strategy=99)
    assert d.blocked() == Reason.KILL_SWITCH_ACTIVE
    asked = d.release(ALICE)
    d.approve(asked, BOB)
    assert d.blocked() == 0
    assert not d.engine.memory.kills


def test_a_release_of_no_kill_is_told() -> None:
    d = Desk()
    d.release(ALICE, kill=8)
    assert d.result() == (RequestState.REJECTED, Reason.COMMAND_NOT_APPLICABLE)


def test_two_releases_of_one_kill_end_it_once() -> None:
    d = Desk()
    d.kill(ALICE)
    one, two = d.release(ALICE), d.release(BOB)
    d.approve(one, BOB)
    d.approve(two, CAROL)
    assert d.result() == (RequestState.REJECTED, Reason.COMMAND_NOT_APPLICABLE)
    assert d.blocked() == 0


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        (GLOBAL, True),
        ({"scope_type": ScopeType.ACCOUNT, "scope_account": ACCOUNT}, True),
        ({"scope_type": ScopeType.ACCOUNT, "scope_account": 99}, False),
        ({"scope_type": ScopeType.VENUE, "scope_venue": VENUE}, True),
        ({"scope_type": ScopeType.VENUE, "scope_venue": 99}, False),
        ({"scope_type": ScopeType.INSTRUMENT, "scope_instrument": INSTRUMENT}, True),
        ({"scope_type": ScopeType.USER, "scope_user": 5}, True),
        ({"scope_type": ScopeType.USER, "scope_user": 6}, False),
        ({"scope_type": ScopeType.GROUP, "scope_group": 1}, True),
        ({"scope_type": ScopeType.GROUP, "scope_group": 2}, False),
        ({"scope_type": ScopeType.GROUP, "scope_group": 3}, True),  # nobody has said who that is: it blocks
    ],
)
def test_a_kill_covers_its_scope(scope: dict[str, int], covers: bool) -> None:
    d = Desk()
    d.frame(GroupDefined(group=1, members=[GroupMember(member=MAKER, member_type=ScopeType.STRATEGY)]))
    d.frame(GroupDefined(group=2, members=[GroupMember(member=99, member_type=ScopeType.STRATEGY)]))
    d.kill(ALICE, **scope)
    assert (d.blocked(user=5) == Reason.KILL_SWITCH_ACTIVE) == covers


def test_only_the_app_that_flattens_trades_under_a_kill_that_wants_it() -> None:
    d = Desk()
    for number, strategy in ((500, MAKER), (501, 99)):
        d.report(order_id_of(STRATEGY, number), OrdStatus.FILLED, qty=200, cum=200, last=200, strategy=strategy)
    d.frame(KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL_FLATTEN, **BY_STRATEGY), OPERATOR)
    d.frame(TradingStateSet(state=TradingState.HALTED, **GLOBAL), OPERATOR)
    flat = {"ord_type": OrdType.MARKET, "px": NULL, "exec_inst": int(ExecInst.DO_NOT_INCREASE), "side": Side.SELL}
    own = {"source": POSITIONS, "order_id": order_id_of(POSITIONS, 1)}
    d.holding(10_000)
    assert d.blocked(**flat, **own) == 0
    assert d.blocked(**flat) == Reason.KILL_SWITCH_ACTIVE  # a strategy may not pose as it
    own["order_id"] = order_id_of(POSITIONS, 2)
    assert d.blocked(**flat | {"exec_inst": 0}, **own) == Reason.KILL_SWITCH_ACTIVE
    own["order_id"] = order_id_of(POSITIONS, 3)
    assert d.blocked(**flat, **own, strategy=99) == Reason.TRADING_HALTED  # outside of the kill it is as everybody else
    d.frame(KillRelease(kill=1), OPERATOR)


# Trading states.


def test_halted_takes_nothing_and_active_takes_all_again() -> None:
    d = Desk()
    d.command(CommandCode.PAUSE, ALICE, TradingStateSet(state=TradingState.HALTED, **BY_STRATEGY))
    assert d.result() == (RequestState.DONE, 0)
    assert d.blocked() == Reason.TRADING_HALTED
    assert d.blocked(strategy=99) == 0
    d.command(CommandCode.RESUME, ALICE, TradingStateSet(state=TradingState.ACTIVE, **BY_STRATEGY))
    assert d.result() == (RequestState.DONE, 0)
    assert d.blocked() == 0
    d.command(CommandCode.RESUME, ALICE, TradingStateSet(state=TradingState.ACTIVE, **BY_STRATEGY))
    assert d.result() == (RequestState.REJECTED, Reason.COMMAND_NOT_APPLICABLE)
    d.same_after_restart()


def test_a_state_that_is_asked_for_again_does_not_undo_what_was_said_since() -> None:
    d = Desk()
    d.command(CommandCode.PAUSE, ALICE, TradingStateSet(state=TradingState.HALTED, request=1, **BY_STRATEGY))
    d.command(CommandCode.RESUME, ALICE, TradingStateSet(state=TradingState.ACTIVE, request=2, **BY_STRATEGY))
    d.command(CommandCode.PAUSE, BOB, TradingStateSet(state=TradingState.HALTED, request=3, **BY_STRATEGY))
    d.command(CommandCode.RESUME, ALICE, TradingStateSet(state=TradingState.ACTIVE, request=2, **BY_STRATEGY))
    assert d.result() == (RequestState.REJECTED, Reason.REPEATED_REQUEST)
    assert d.blocked() == Reason.TRADING_HALTED
    d.command(CommandCode.RESUME, ALICE, TradingStateSet(state=TradingState.ACTIVE, request=4, **BY_STRATEGY))
    assert d.blocked() == 0
    d.same_after_restart()


def test_a_state_is_lifted_by_somebody_we_know() -> None:
    d = Desk()
    d.command(CommandCode.PAUSE, ALICE, TradingStateSet(state=TradingState.HALTED, **GLOBAL))
    d.command(CommandCode.RESUME, 99, TradingStateSet(state=TradingState.ACTIVE, **GLOBAL))
    assert d.blocked() == Reason.TRADING_HALTED


def test_reducing_takes_what_makes_the_position_smaller() -> None:
    d = Desk()
    first = order_id_of(STRATEGY, 500)
    d.report(first, OrdStatus.FILLED, qty=100, cum=100, last=100)  # long 100
    d.command(CommandCode.PAUSE, ALICE, TradingStateSet(state=TradingState.REDUCING, **GLOBAL))
    assert d.blocked(side=Side.BUY, qty=10) == Reason.TRADING_STATE_REDUCING
    assert d.blocked(side=Side.SELL, qty=110, px=5000) == Reason.TRADING_STATE_REDUCING  # it would turn over
    assert d.blocked(side=Side.SELL, qty=60, px=5000) == 0
    assert d.blocked(side=Side.SELL, qty=50, px=5000) == Reason.TRADING_STATE_REDUCING  # with what works already
    assert d.blocked(side=Side.SELL, qty=40, px=5000) == 0


# Bans.


def test_a_rate_limit_bans_for_its_time() -> None:
    d = Desk(ban_ns=5 * SECOND)
    d.limit(RiskCheck.ORDER_RATE, 2, period_ns=SECOND, action=LimitAction.BAN)
    assert [d.blocked(), d.blocked(), d.blocked()] == [0, 0, Reason.ORDER_RATE]
    (ban,) = d.said(Ban)
    assert (ban.rule, ban.until_ts, ban.scope_type) == (RiskCheck.ORDER_RATE, d.now + 5 * SECOND, ScopeType.STRATEGY)
    seq = d.frame(ban, 6)
    assert d.blocked(ns=2 * SECOND) == Reason.RATE_BAN
    assert d.said(Ban) == [ban]  # once
    d.now = ban.until_ts - 2
    assert d.blocked() == Reason.RATE_BAN
    assert d.blocked() == 0
    (lifted,) = d.said(BanLifted)
    assert (lifted.ban_seq, lifted.reason) == (seq, Reason.EXPIRED_BY_TIME)
    d.same_after_restart()


def test_a_ban_is_lifted_by_a_named_person() -> None:
    d = Desk()
    seq = d.frame(Ban(until_ts=d.now + 100 * SECOND, rule=int(RiskCheck.ORDER_RATE), **BY_STRATEGY), 6)
    d.command(CommandCode.LIFT_BAN, 99, BanLifted(ban_seq=seq, reason=Reason.USER_REQUEST))
    assert d.blocked() == Reason.RATE_BAN
    d.command(CommandCode.LIFT_BAN, ALICE, BanLifted(ban_seq=seq, reason=Reason.USER_REQUEST))
    assert d.result() == (RequestState.DONE, 0)
    assert d.blocked() == 0
    d.command(CommandCode.LIFT_BAN, ALICE, BanLifted(ban_seq=seq, reason=Reason.USER_REQUEST))
    assert d.result() == (RequestState.REJECTED, Reason.COMMAND_NOT_APPLICABLE)


def test_bans_of_publishers_are_the_sequencers_business() -> None:
    d = Desk()
    d.frame(Ban(until_ts=d.now + SECOND, scope_type=ScopeType.SOURCE, scope_source=STRATEGY), 0)
    assert d.blocked() == 0


# Dead man's handles.

WATCH = Watch(watch=1, name="desk", source=OPERATOR, interval_ns=SECOND, alert=2, pause=3, cancel_all=4, kill=5)


def beat(d: Desk, source: int = OPERATOR, ns: int = 1) -> None:
    d.frame(Heartbeat(watch=1, interval_ns=SECOND), source, ns=ns)


def test_a_handle_that_nobody_took_does_nothing() -> None:
    d = Desk(watches=[WATCH])
    beat(d, source=OTHER)  # not whose handle it is
    d.pass_time(60)
    assert d.blocked() == 0
    assert not d.said(HeartbeatLost)


def test_each_missed_interval_leads_to_more() -> None:
    d = Desk(watches=[WATCH])
    assert d.blocked() == 0
    beat(d)
    at = d.now
    for n, action in enumerate(AbsenceAction):
        if not action:
            continue
        d.now = at + (n + 1) * SECOND - 2
        d.frame(Clock(), 0)
        assert len(d.said(HeartbeatLost)) == n - 1
        d.frame(Clock(), 0)
        assert d.said(HeartbeatLost)[-1].action == action
        assert d.said(HeartbeatLost)[-1].missed == n + 1
        if action == AbsenceAction.PAUSE:
            assert d.blocked() == Reason.DEAD_MAN_EXPIRED
    assert [m.rule for m in d.said(Alert)] == [Reason.HEARTBEAT_LOST] * 4
    (cancel,) = d.said(CancelAll)
    assert (cancel.scope_type, cancel.reason) == (ScopeType.GLOBAL, Reason.DEAD_MAN_EXPIRED)
    (kill,) = d.said(KillSwitch)
    assert (kill.trigger, kill.level, kill.scope_type) == (KillTrigger.DEAD_MAN, KillLevel.BLOCK_CANCEL, ScopeType.GLOBAL)
    d.same_after_restart()


def test_all_that_was_missed_at_once_is_done_at_once() -> None:
    d = Desk(watches=[WATCH])
    beat(d)
    d.pass_time(60)
    assert [m.action for m in d.said(HeartbeatLost)] == [1, 2, 3, 4]
    d.pass_time(60)
    assert len(d.said(HeartbeatLost)) == 4


def test_the_orders_of_a_desk_are_canceled_by_one_word() -> None:
    d = Desk()
    d.frame(GroupDefined(group=1, members=[GroupMember(member=MAKER, member_type=ScopeType.STRATEGY)]))
    assert d.blocked() == 0
    desk = {"scope_type": ScopeType.GROUP, "scope_group": 1}
    d.limit(RiskCheck.QUANTITY_LIMITS, 100, exp=-3, action=LimitAction.CANCEL, **desk)
    d.blocked(qty=110)
    (cancel,) = d.said(CancelAll)
    assert (cancel.scope_type, cancel.scope_group) == (ScopeType.GROUP, 1)
    assert not d.said(CancelOrder)


def test_the_heartbeats_return_clears_the_alert_and_a_person_the_pause() -> None:
    d = Desk(watches=[Watch(watch=1, name="desk", source=OPERATOR, interval_ns=SECOND, alert=1, pause=2)])
    beat(d)
    d.pass_time(2.5)
    beat(d)
    assert d.said(Alert)[-1].state == AlertState.CLEARED
    assert d.blocked() == Reason.DEAD_MAN_EXPIRED
    d.command(CommandCode.RESUME, ALICE, TradingStateSet(state=TradingState.ACTIVE, **GLOBAL))
    assert d.blocked() == 0
    d.pass_time(2.5)  # the handle is armed: the person has lifted the pause, not the watch
    assert d.blocked() == Reason.DEAD_MAN_EXPIRED


def test_a_pause_of_a_strategy_is_of_that_strategy() -> None:
    d = Desk(watches=[Watch(watch=1, name="maker", source=STRATEGY, interval_ns=SECOND, strategy=MAKER, pause=1)])
    beat(d, source=STRATEGY)
    d.pass_time(1)
    assert d.blocked() == Reason.DEAD_MAN_EXPIRED
    assert d.blocked(strategy=99) == 0


def test_the_end_of_a_session_disarms() -> None:
    d = Desk(watches=[WATCH])
    beat(d)
    d.frame(SessionEnd(), 0)
    d.pass_time(3600)
    assert d.blocked() == 0
    beat(d)
    d.pass_time(3)
    assert d.blocked() == Reason.DEAD_MAN_EXPIRED


# Limits.


def limit(generation: int = 2, hard: int = 200, **terms: Any) -> RiskLimitSet:
    base = {"limit": 10, "check": RiskCheck.QUANTITY_LIMITS, "hard": hard, "exp": -3, "generation": generation, **GLOBAL}
    return RiskLimitSet(**(base | terms))


def limited(**rules: Any) -> Desk:
    d = Desk(**rules)
    d.frame(limit(1, 100))
    assert d.blocked(qty=110) == Reason.MAX_ORDER_QUANTITY
    return d


def test_a_limit_is_changed_by_a_person_and_told() -> None:
    d = limited()
    seq = d.command(CommandCode.SET_LIMIT, ALICE, limit())
    (told,) = d.said(LimitAcknowledged)
    assert (told.old_hard, told.hard, told.user, told.limit, told.generation) == (100, 200, ALICE, 10, 2)
    assert told.request_seq == seq
    assert (d.blocked(qty=200), d.blocked(qty=210)) == (0, Reason.MAX_ORDER_QUANTITY)


def test_a_raise_waits_for_a_second_person_and_a_cut_does_not() -> None:
    d = limited(approve_limits=True)
    seq = d.command(CommandCode.SET_LIMIT, ALICE, limit())
    assert d.result() == (RequestState.PENDING, Reason.APPROVAL_REQUIRED)
    assert d.blocked(qty=110) == Reason.MAX_ORDER_QUANTITY
    d.approve(seq, ALICE)
    assert d.result() == (RequestState.PENDING, Reason.SAME_PERSON)
    d.approve(seq, BOB)
    assert d.result() == (RequestState.DONE, 0)
    assert d.blocked(qty=200) == 0
    d.command(CommandCode.SET_LIMIT, ALICE, limit(3, 50))
    assert d.result() == (RequestState.DONE, 0)
    assert d.blocked(qty=60) == Reason.MAX_ORDER_QUANTITY
    d.same_after_restart()


def test_what_was_approved_too_late_is_not_put_in_force() -> None:
    d = limited(approve_limits=True)
    seq = d.command(CommandCode.SET_LIMIT, ALICE, limit())
    d.command(CommandCode.SET_LIMIT, BOB, limit(2, 50))  # tighter, meanwhile
    d.approve(seq, BOB)
    assert d.result() == (RequestState.REJECTED, Reason.STALE_VERSION)
    assert d.blocked(qty=60) == Reason.MAX_ORDER_QUANTITY


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"generation": 1}, Reason.STALE_VERSION),
        ({"valid_until_ts": 5}, Reason.INVALID_EXPIRE_TIME),
        ({"check": 999}, Reason.INVALID_VALUE),
        ({"hard": -1}, Reason.INVALID_VALUE),
        ({"action": 99}, Reason.INVALID_VALUE),
        ({"scope_type": 99}, Reason.INVALID_VALUE),
    ],
)
def test_what_cannot_be_a_limit_is_refused(terms: dict[str, int], reason: int) -> None:
    d = limited()
    d.command(CommandCode.SET_LIMIT, ALICE, limit(**terms))
    assert d.result() == (RequestState.REJECTED, reason)
    d.command(CommandCode.SET_LIMIT, 99, limit())
    assert d.result() == (RequestState.REJECTED, Reason.NOT_AUTHENTICATED)


def test_a_change_for_a_while_ends_and_what_was_before_holds_again() -> None:
    d = limited()
    until = d.now + 10 * SECOND
    d.command(CommandCode.SET_LIMIT, ALICE, limit(valid_until_ts=until))
    d.now = until - 1
    assert d.blocked(qty=150) == 0
    assert d.blocked(qty=150) == Reason.MAX_ORDER_QUANTITY
    told = d.said(LimitAcknowledged)[-1]
    assert (told.old_hard, told.hard, told.generation, told.reason) == (200, 100, 3, Reason.EXPIRED_BY_TIME)
    d.same_after_restart()


@pytest.mark.parametrize(
    ("terms", "more"),
    [
        ({}, False), ({"hard": 99}, False), ({"hard": 101}, True), ({"hard": 1000, "warn": 500, "exp": -4}, False),
        ({"hard": 1001, "warn": 500, "exp": -4}, True),
        ({"warn": 50}, False), ({"warn": 51}, True), ({"warn": 0}, True), ({"action": LimitAction.WARN}, True),
        ({"action": LimitAction.KILL}, False), ({"side": Side.BUY}, True), ({"check": RiskCheck.POSITION}, True),
        ({"scope_type": ScopeType.VENUE}, True), ({"valid_until_ts": 9}, False),
        ({"confirmations": 2}, False), ({"confirmations": 3}, True), ({"ban_ms": 5000}, False), ({"ban_ms": 4999}, True),
    ],
)  # fmt: skip
def test_what_counts_as_a_raise(terms: dict[str, int], more: bool) -> None:
    held = {"hard": 100, "warn": 50, "confirmations": 2, "ban_ms": 5000}
    before = Limit.of(limit(1, **held), 1)
    assert raises(before, limit(**(held | terms))) == more


@pytest.mark.parametrize(
    ("check", "held", "hard", "more"),
    [
        (RiskCheck.POSITION, NULL, 10**9, False),  # it was off: any bound is tighter
        (RiskCheck.FUNDS, 100, 99, True), (RiskCheck.FUNDS, 100, 101, False),  # what is kept back
        (RiskCheck.MARGIN, 100, 99, True), (RiskCheck.MARGIN, 100, 101, False),
        (RiskCheck.CUMULATIVE_FUNDS, 100, 0, True), (RiskCheck.CUMULATIVE_FUNDS, 0, 100, False),  # 0: no bound
        (RiskCheck.CUMULATIVE_FUNDS, 100, 101, True), (RiskCheck.CUMULATIVE_FUNDS, 100, 100, False),
        (RiskCheck.SHORT_SELL, 0, 1, True),
    ],
)  # fmt: skip
def test_what_counts_as_a_raise_of_bounds_that_are_not_alike(check: int, held: int, hard: int, more: bool) -> None:
    assert raises(Limit.of(limit(1, held, check=check), 1), limit(hard=hard, check=check)) == more


@pytest.mark.parametrize("check", [RiskCheck.FUNDS, RiskCheck.MARGIN])
def test_a_warning_about_what_is_kept_back_comes_later_when_less_is_wanted(check: int) -> None:
    before = Limit.of(limit(1, 100, check=check, warn=200), 1)
    assert [raises(before, limit(hard=100, check=check, warn=warn)) for warn in (200, 201, 199, 0)] == [
        False,
        False,
        True,
        True,
    ]


def test_an_action_that_lets_more_pass_is_a_raise() -> None:
    strict = [
        LimitAction.WARN, LimitAction.REDUCE_ONLY, LimitAction.REJECT, LimitAction.CANCEL, LimitAction.BAN,
        LimitAction.DISABLE_STRATEGY, LimitAction.KILL, LimitAction.FLATTEN,
    ]  # fmt: skip
    for n, held in enumerate(strict):
        for m, wanted in enumerate(strict):
            assert raises(Limit.of(limit(1, action=held), 1), limit(action=wanted)) == (m < n), (held, wanted)
    assert sorted(strict) == sorted(a for a in LimitAction if a)


def test_what_was_allowed_for_a_while_is_not_tightened_into_for_ever() -> None:
    before = Limit.of(limit(1, 100, valid_until_ts=9), 1)
    assert raises(before, limit(hard=90))
    assert not raises(before, limit(hard=90, valid_until_ts=9))


# Violations.


def test_a_violation_is_told_at_once_and_the_rest_of_a_second_together() -> None:
    d = Desk()
    d.limit(RiskCheck.QUANTITY_LIMITS, 100, exp=-3)
    for _ in range(4):
        assert d.blocked(qty=110) == Reason.MAX_ORDER_QUANTITY
    (first,) = d.said(Violation)
    assert (first.value, first.bound, first.count, first.reason) == (110, 100, 1, Reason.MAX_ORDER_QUANTITY)
    assert (first.scope_strategy, first.scope_instrument) == (MAKER, INSTRUMENT)
    assert d.said(Alert)[-1].rule == Reason.MAX_ORDER_QUANTITY
    d.pass_time(1)
    assert [m.count for m in d.said(Violation)] == [1, 3]
    assert d.said(Alert)[-1].state == AlertState.REPEATED
    d.pass_time(2)
    assert not d.engine.control.told
    assert d.blocked(qty=110) == Reason.MAX_ORDER_QUANTITY
    assert [m.count for m in d.said(Violation)] == [1, 3, 1]
    d.same_after_restart()


def test_nothing_is_told_where_it_is_not_configured() -> None:
    d = Desk(violations=False)
    d.limit(RiskCheck.QUANTITY_LIMITS, 100, exp=-3, action=LimitAction.KILL)
    assert d.blocked(qty=110) == Reason.MAX_ORDER_QUANTITY
    assert not d.said(Violation)
    assert d.said(KillSwitch)  # done all the same


@pytest.mark.parametrize(
    ("action", "then"),
    [
        (LimitAction.REJECT, 0), (LimitAction.CANCEL, 0),
        (LimitAction.DISABLE_STRATEGY, Reason.STRATEGY_DISABLED), (LimitAction.KILL, Reason.KILL_SWITCH_ACTIVE),
        (LimitAction.FLATTEN, Reason.KILL_SWITCH_ACTIVE),
    ],
)  # fmt: skip
def test_what_a_limit_wants_is_done_once(action: LimitAction, then: int) -> None:
    d = Desk()
    assert d.blocked() == 0  # works from here on
    d.limit(RiskCheck.QUANTITY_LIMITS, 100, exp=-3, action=action)
    d.blocked(qty=110)
    d.blocked(qty=110)
    assert d.blocked(side=Side.BUY) == then
    sent = {
        LimitAction.REDUCE_ONLY: TradingStateSet, LimitAction.DISABLE_STRATEGY: TradingStateSet,
        LimitAction.CANCEL: CancelAll, LimitAction.KILL: KillSwitch, LimitAction.FLATTEN: KillSwitch,
    }  # fmt: skip
    if action in sent:
        (said,) = d.said(sent[action])
        level = getattr(said, "level", 0)
        assert level == {LimitAction.KILL: KillLevel.BLOCK_CANCEL, LimitAction.FLATTEN: KillLevel.BLOCK_CANCEL_FLATTEN}.get(
            action, 0
        )
    d.same_after_restart()
