"""What `lockstep top` says of kills, states, bans, heartbeats and violations, as a journal grows."""

from journal.messages import (
    Approval,
    ApprovalDecision,
    Ban,
    BanLifted,
    CommandCode,
    Heartbeat,
    HeartbeatLost,
    KillLevel,
    KillRelease,
    KillSwitch,
    OperatorCommand,
    RiskCheck,
    ScopeType,
    TradingState,
    TradingStateSet,
    UserDefined,
    Violation,
)
from journal.writer import JournalWriter
from lockstep.commands.top import _control
from lockstep.controls import Controls

OPERATOR, RISK = 11, 6


def test_what_stands_is_shown_and_what_has_ended_is_not(tmp_path):
    with JournalWriter.open(tmp_path / "day", segment_bytes=1 << 20) as writer:
        numbers = {}

        def say(message, source=OPERATOR):
            numbers[source] = numbers.get(source, 0) + 1
            return writer.append(message, ts=writer.last_seq + 1, source=source, source_seq=numbers[source])

        controls = Controls(tmp_path / "day")
        say(UserDefined(user=1), 1)
        assert _control(controls.look()) == ""
        say(UserDefined(user=2), 1)
        say(OperatorCommand(request=7, user=1, command=CommandCode.KILL))
        say(KillSwitch(kill=7, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.GLOBAL))
        say(OperatorCommand(request=8, user=1, command=CommandCode.KILL_RELEASE))
        asked = say(KillRelease(kill=7))
        say(TradingStateSet(state=TradingState.HALTED, scope_type=ScopeType.STRATEGY, scope_strategy=1))
        ban = say(Ban(until_ts=9, scope_type=ScopeType.GLOBAL), RISK)
        say(HeartbeatLost(watch=1, action=2), RISK)
        say(Violation(check=int(RiskCheck.POSITION), count=1), RISK)
        say(Violation(check=int(RiskCheck.POSITION), count=3), RISK)
        assert _control(controls.look()) == (
            "kill 7: block_cancel of everything; halted: strategy; 1 bans; 1 requests wait for a second person; "
            "heartbeat 1 lost: pause; violations 4 position"
        )
        say(Approval(request_seq=asked, user=2, decision=ApprovalDecision.APPROVED))
        say(TradingStateSet(state=TradingState.ACTIVE, scope_type=ScopeType.STRATEGY, scope_strategy=1))
        say(BanLifted(ban_seq=ban), RISK)
        say(Heartbeat(watch=1))
        assert _control(controls.look()) == "violations 4 position"
        controls.close()
