"""May anything be sent at all: kills, gates, whose order it is."""

from __future__ import annotations

from journal.messages import GateState, KillSwitch, order_id_source
from journal.messages.gates import barred_by
from riskengine.checks.control import flattening
from riskengine.codes import GatewayPhase, Reason, RiskCheck, SourceRole
from riskengine.memory import Barred, Memory, Seen
from riskengine.proposal import Proposal, Verdict, failed, not_applicable, passed


def kill_switch(memory: Memory, p: Proposal) -> Verdict:
    """No kill covers it; a replace counts as new risk. What a kill wants flattened passes."""
    for kill, (seq, body) in memory.kills.items():
        if memory.control.latch.covers(KillSwitch.decode(body), p.subject) and not flattening(memory, p):
            return failed(RiskCheck.KILL_SWITCH, Reason.KILL_SWITCH_ACTIVE, value=kill, input_seq=seq)
    return passed(RiskCheck.KILL_SWITCH)


def gate(memory: Memory, p: Proposal) -> Verdict:
    """The gateway of the instrument's venue and the account is READY; before its first word it is not. And the OMS has not shut
    the gate of the account or of the instrument there."""
    check, i = RiskCheck.GATE, p.instrument
    if i is None:
        return not_applicable(check)
    way = f"{i.venue}/{p.subject.account}"
    seen = memory.gates.get(way) or Seen()
    if seen.value != GatewayPhase.READY:
        return failed(check, Reason.GATE_SHUT, value=seen.value, bound=GatewayPhase.READY, input_seq=seen.seq)
    if memory.barred:
        for key in (f"{way}/0", f"{way}/{i.instrument}"):
            barred = memory.barred.get(key)
            reason = _reason(barred) if barred is not None else 0
            if barred is not None and reason:
                return failed(check, reason, value=barred.state, bound=GateState.OPEN, input_seq=barred.seq)
    return passed(check, value=seen.value, bound=GatewayPhase.READY, input_seq=seen.seq)


def _reason(barred: Barred) -> int:
    return barred_by(barred.causes) if barred.causes else Reason.GATE_SHUT


def permission(memory: Memory, p: Proposal) -> Verdict:
    """An order id bears the number of the source that asks; an operator and the OMS (for a list) may replace
    anyone's."""
    owner = order_id_source(p.subject.order_id)
    operator = p.replace and memory.roles.get(p.source) in (SourceRole.OPERATOR, SourceRole.OMS)
    if p.subject.order_id != 0 and (owner == p.source or operator):
        return passed(RiskCheck.PERMISSION, value=p.source, bound=owner)
    return failed(RiskCheck.PERMISSION, Reason.NOT_OWNER, value=p.source, bound=owner)


def client_id_unique(_: Memory, p: Proposal) -> Verdict:
    """A new order has a new id; a replace is about an order that is open."""
    number = p.subject.order_id
    if not p.replace:
        if p.known_id:
            return failed(RiskCheck.CLIENT_ID_UNIQUE, Reason.DUPLICATE_ORDER_ID, value=number)
    elif p.held is None:
        return failed(RiskCheck.CLIENT_ID_UNIQUE, Reason.TOO_LATE if p.known_id else Reason.UNKNOWN_ORDER, value=number)
    return passed(RiskCheck.CLIENT_ID_UNIQUE, value=number)
