"""May anything be sent at all: kills, gates, whose order it is."""

from __future__ import annotations

from journal.messages import KillSwitch, order_id_source
from riskengine.checks.control import flattening
from riskengine.codes import GatewayPhase, Reason, RiskCheck, SourceRole
from riskengine.memory import Memory, Seen
from riskengine.proposal import Proposal, Verdict, failed, not_applicable, passed


def kill_switch(memory: Memory, p: Proposal) -> Verdict:
    """No kill covers it; a replace counts as new risk. What a kill wants flattened passes."""
    for kill, (seq, body) in memory.kills.items():
        if memory.control.latch.covers(KillSwitch.decode(body), p.subject) and not flattening(memory, p):
            return failed(RiskCheck.KILL_SWITCH, Reason.KILL_SWITCH_ACTIVE, value=kill, input_seq=seq)
    return passed(RiskCheck.KILL_SWITCH)


def gate(memory: Memory, p: Proposal) -> Verdict:
    """The gateway of the instrument's venue and the account is READY; before its first word it is not."""
    if p.instrument is None:
        return not_applicable(RiskCheck.GATE)
    seen = memory.gates.get(f"{p.instrument.venue}/{p.subject.account}") or Seen()
    ready = seen.value == GatewayPhase.READY
    verdict = passed if ready else lambda check, **found: failed(check, Reason.GATE_SHUT, **found)
    return verdict(RiskCheck.GATE, value=seen.value, bound=GatewayPhase.READY, input_seq=seen.seq)


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
