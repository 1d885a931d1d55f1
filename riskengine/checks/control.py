"""May anything be sent at all, by a person's word or a handle that nobody holds: trading states, bans, dead man's handles.

A check is listed only where there is something to check: a stream without states, bans and watches has none of them."""

from __future__ import annotations

from journal.messages import (
    Ban,
    ExecInst,
    KillSwitch,
    OrdType,
    Reason,
    RiskCheck,
    ScopeType,
    SourceRole,
    TradingState,
    TradingStateSet,
    order_id_source,
)
from journal.messages.latch import flattens
from riskengine.deadman import scope_of_watch
from riskengine.memory import Memory
from riskengine.proposal import Proposal, Verdict, failed, passed


def flattening(memory: Memory, p: Proposal) -> bool:
    """An order that closes a position because a kill wants it: a reduce-only market order of the app that does this, in the
    scope of a kill of level FLATTEN. It passes what keeps all others back."""
    if p.ord_type != OrdType.MARKET or not p.exec_inst & ExecInst.DO_NOT_INCREASE or p.replace:
        return False
    if memory.roles.get(order_id_source(p.subject.order_id)) != SourceRole.POSITIONS:
        return False
    kills = (KillSwitch.decode(body) for _, body in memory.kills.values())
    return any(flattens(kill) and memory.control.latch.covers(kill, p.subject) for kill in kills)


def trading_state(memory: Memory, p: Proposal) -> Verdict | None:
    """The strictest state that covers the order: HALTED takes nothing, REDUCING what makes the position smaller."""
    check = RiskCheck.TRADING_STATE
    if not memory.control.states:
        return None
    if flattening(memory, p):
        return passed(check)
    worst, at, reason = int(TradingState.ACTIVE), 0, 0
    for seq, body in memory.control.states.values():
        m = TradingStateSet.decode(body)
        if m.state > worst and memory.control.latch.covers(m, p.subject):
            worst, at, reason = m.state, seq, m.reason
    if worst == TradingState.HALTED:
        why = Reason.STRATEGY_DISABLED if reason == Reason.STRATEGY_DISABLED else Reason.TRADING_HALTED
        return failed(check, why, value=worst, bound=TradingState.ACTIVE, input_seq=at)
    if worst == TradingState.REDUCING and not reduces(memory, p):
        return failed(check, Reason.TRADING_STATE_REDUCING, value=worst, bound=TradingState.ACTIVE, input_seq=at)
    return passed(check, value=worst, bound=TradingState.ACTIVE, input_seq=at)


def reduces(memory: Memory, p: Proposal) -> bool:
    """With all that is working on its side the position of its account and strategy becomes smaller and does not turn over."""
    position, working = 0, p.more_qty
    for cell in memory.exposure.cells.values():
        if (cell.account, cell.strategy, cell.instrument) == (p.subject.account, p.subject.strategy, p.subject.instrument):
            position += cell.position
            working += cell.buying if p.sign > 0 else cell.selling
    return working <= -p.sign * position


def ban(memory: Memory, p: Proposal) -> Verdict | None:
    """No ban covers it; one that has run out does not."""
    if not memory.control.bans:
        return None
    if flattening(memory, p):
        return passed(RiskCheck.BAN)
    for seq, body in memory.control.bans.items():
        m = Ban.decode(body)
        if p.now < m.until_ts and memory.control.latch.covers(m, p.subject):
            return failed(RiskCheck.BAN, Reason.RATE_BAN, value=p.now, bound=m.until_ts, input_seq=seq, exp=-9)
    return passed(RiskCheck.BAN)


def dead_man(memory: Memory, p: Proposal) -> Verdict | None:
    """No watch that covers it has paused."""
    if not memory.control.rules.watches:
        return None
    if flattening(memory, p):
        return passed(RiskCheck.DEAD_MAN)
    for watch in memory.control.rules.watches:
        beat = memory.control.beats.get(watch.watch)
        if beat is None or not beat.paused_seq:
            continue
        scope = scope_of_watch(watch)
        if scope.scope_type == ScopeType.GLOBAL or scope.scope_strategy == p.subject.strategy:
            return failed(
                RiskCheck.DEAD_MAN, Reason.DEAD_MAN_EXPIRED, value=watch.watch, bound=beat.seq, input_seq=beat.paused_seq
            )
    return passed(RiskCheck.DEAD_MAN)
