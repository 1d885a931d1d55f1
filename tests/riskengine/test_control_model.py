"""People against a plain model: which kills hold, which limit, who is paused. Risk engine and order manager judge for
themselves from the same frames, and must agree with it, with one another, and with themselves after a restart."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from oms_recorder import Recorder
from risk_recorder import OPERATOR, SECOND, RiskRecorder

from journal.messages import (
    Approval,
    ApprovalDecision,
    Clock,
    CommandCode,
    Heartbeat,
    KillLevel,
    KillRelease,
    KillSwitch,
    KillTrigger,
    Message,
    OperatorCommand,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    SourceRole,
    TradingState,
    TradingStateSet,
    UserDefined,
)
from oms.kills import Rules as OmsRules
from riskengine.controlled import Rules, Watch

VALID_NS = 20 * SECOND
ROLES = [(OPERATOR, int(SourceRole.OPERATOR))]
USERS = (1, 2, 3)
people = st.sampled_from([*USERS, 9])  # 9 is nobody
pick = st.integers(0, 50)
PAUSE, INTERVAL = 3, SECOND
RULES = Rules(
    roles=ROLES, approval_valid_ns=VALID_NS, approve_limits=True, violations=True,
    watches=[Watch(watch=1, name="desk", source=OPERATOR, interval_ns=INTERVAL, pause=PAUSE)],
)  # fmt: skip


class People(RuleBasedStateMachine):
    @initialize()
    def world(self) -> None:
        self.risk, self.oms = RiskRecorder(), Recorder()
        self.risk.configure(RULES)
        self.oms.oms.configure(OmsRules(roles=ROLES, approval_valid_ns=VALID_NS))
        self.oms.now = self.risk.now
        for user in USERS:
            self.say(UserDefined(user=user), 1)
        self.say(RiskLimitSet(limit=1, check=RiskCheck.QUANTITY_LIMITS, hard=100, generation=1, scope_type=ScopeType.GLOBAL), 1)
        self.kills: dict[int, set[int] | None] = {}  # kill → who said it; None: a machine
        self.asked: dict[int, tuple[str, int, int, int, set[int]]] = {}  # seq → (what, which, value, when, not by whom)
        self.hard, self.generation = 100, 1
        self.halted = False
        self.beat = self.paused_at = 0
        self.requests = 0

    def say(self, m: Message, source: int = OPERATOR, ns: int = 1) -> int:
        """One frame, at one seq and time for both."""
        self.risk.seq = self.oms.seq = max(self.risk.seq, self.oms.seq)
        self.risk.now = self.oms.now = max(self.risk.now, self.oms.now)
        seq = self.risk.frame(m, source, ns=ns)
        assert self.oms.frame(m, source, ns=ns) == seq
        return seq

    def command(self, code: CommandCode, user: int, m: Message) -> int:
        self.requests += 1
        self.say(OperatorCommand(request=self.requests, user=user, command=code))
        return self.say(m)

    @property
    def now(self) -> int:
        return max(self.risk.now, self.oms.now)

    @rule(number=st.integers(1, 3), user=people, machine=st.booleans())
    def kill(self, number: int, user: int, machine: bool) -> None:
        trigger = KillTrigger.LIMIT if machine else KillTrigger.OPERATOR
        m = KillSwitch(kill=100 + number, level=KillLevel.BLOCK, trigger=trigger, scope_type=ScopeType.GLOBAL)
        if machine:
            self.say(m, 6)
            self.kills.setdefault(100 + number, None)
        else:
            self.command(CommandCode.KILL, user, m)
            self.kills[100 + number] = (self.kills.get(100 + number) or set()) | {user}

    @rule(number=st.integers(1, 3), user=people)
    def release(self, number: int, user: int) -> None:
        kill = 100 + number
        seq = self.command(CommandCode.KILL_RELEASE, user, KillRelease(kill=kill))
        if kill not in self.kills or user not in USERS:
            return
        if self.kills[kill] is None:
            del self.kills[kill]
        else:
            self.asked[seq] = ("kill", kill, 0, self.now, {user} | (self.kills[kill] or set()))

    @rule(hard=st.sampled_from([50, 80, 100, 150, 200]), user=people, stale=st.integers(0, 4))
    def limit(self, hard: int, user: int, stale: int) -> None:
        generation = self.generation + (0 if stale == 0 else 1)
        m = RiskLimitSet(
            limit=1, check=RiskCheck.QUANTITY_LIMITS, hard=hard, generation=generation, scope_type=ScopeType.GLOBAL
        )
        seq = self.command(CommandCode.SET_LIMIT, user, m)
        if user not in USERS or stale == 0:
            return
        if hard > self.hard:
            self.asked[seq] = ("limit", generation, hard, self.now, {user})
        else:
            self.hard, self.generation = hard, generation

    @rule(n=pick, user=people, refused=st.integers(0, 4), late=st.integers(0, 5))
    def approve(self, n: int, user: int, refused: int, late: int) -> None:
        seq = list(self.asked)[n % len(self.asked)] if self.asked else 1
        decision = ApprovalDecision.REFUSED if refused == 0 else ApprovalDecision.APPROVED
        self.say(Approval(request_seq=seq, user=user, decision=decision), ns=VALID_NS + SECOND if late == 0 else 1)
        if seq not in self.asked:
            return
        what, which, value, at, not_by = self.asked[seq]
        if self.now > at + VALID_NS:
            del self.asked[seq]
            return
        if user not in USERS or (refused and user in not_by):
            return
        del self.asked[seq]
        if not refused:
            return
        if what == "kill":
            self.kills.pop(which, None)
        elif which > self.generation:
            self.hard, self.generation = value, which

    @rule(active=st.booleans(), user=people)
    def state(self, active: bool, user: int) -> None:
        state = TradingState.ACTIVE if active else TradingState.HALTED
        m = TradingStateSet(state=state, scope_type=ScopeType.GLOBAL)
        self.command(CommandCode.RESUME if active else CommandCode.PAUSE, user, m)
        if not active:
            self.halted = True
        elif user in USERS:
            self.halted = False
            if self.paused_at:
                self.paused_at = 0
                if self.missed():
                    self.beat = 0

    def missed(self) -> bool:
        return bool(self.beat) and self.now >= self.beat + PAUSE * INTERVAL

    @rule()
    def heartbeat(self) -> None:
        self.say(Heartbeat(watch=1))
        self.beat = self.now

    @rule(seconds=st.sampled_from([1, 2, 3]))
    def wait(self, seconds: int) -> None:
        self.say(Clock(), 0, ns=seconds * SECOND)

    @invariant()
    def all_agree(self) -> None:
        if self.missed() and not self.paused_at:
            self.paused_at = self.now
        self.asked = {seq: a for seq, a in self.asked.items() if self.now <= a[3] + VALID_NS}
        risk, oms = self.risk.engine, self.oms.oms
        assert {KillSwitch.decode(body).kill for _, body in risk.memory.kills.values()} == set(self.kills)
        assert {KillSwitch.decode(body).kill for body in oms.memory.kills.values()} == set(self.kills)
        assert risk.memory.limits[1].hard == self.hard
        assert bool(risk.control.states) == self.halted
        assert bool(risk.control.beats.get(1) and risk.control.beats[1].paused_seq) == bool(self.paused_at)
        oms.check()

    def teardown(self) -> None:
        if not hasattr(self, "risk"):
            return
        other = RiskRecorder()
        other.configure(RULES)
        for n, (seq, now, source, message) in enumerate(self.risk.stream):
            if n == len(self.risk.stream) // 2:
                held, other.engine = other.engine.snapshot(), type(other.engine)(other)
                other.engine.restore(held)
                assert other.engine.snapshot() == held
            other.seq, other.now = seq - 1, now - 1
            other.frame(message, source)
        assert [m.encode() for m in other.emitted] == [m.encode() for m in self.risk.emitted]
        assert other.engine.snapshot() == self.risk.engine.snapshot()


TestPeople = People.TestCase
TestPeople.settings = settings(max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
