"""Risk kinds, 400-499."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import (
    I8,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    Entry,
    Message,
    Ns,
    Qty,
    Seq,
    Ts,
    entry,
    message,
)
from journal.messages.scopes import Scope


@message(400)
class RiskLimitSet(Scope):
    """PartyRiskLimitsDefinitionRequest (35=CS). `warn`, `hard` are mantissas with `exp`, or plain counts."""

    period_ns: Ns = 0
    warn: I64 = 0
    hard: I64 = 0
    approval_seq: Seq = 0
    valid_until_ts: Ts = 0
    limit: U32 = 0
    currency: U32 = 0
    generation: U32 = 0
    check: Annotated[U16, e.RiskCheck] = 0
    side: Annotated[U8, e.Side] = 0
    exp: I8 = 0
    action: Annotated[U8, e.LimitAction] = 0
    reason: str = ""


@entry
class CheckOutcome(Entry):
    """One check of a RiskDecision, with what it saw (`value`), against what (`bound`), and where it read it (`input_seq`)."""

    value: I64 = 0
    bound: I64 = 0
    input_seq: Seq = 0
    limit: U32 = 0
    check: Annotated[U16, e.RiskCheck] = 0
    result: Annotated[U8, e.CheckResult] = 0
    exp: I8 = 0


@message(401)
class RiskDecision(Message):
    """PartyRiskLimitCheckRequestAck (35=DG): every check with what it saw; a pass is consumed at most once."""

    reserved_notional: I128 = 0
    order_id: U64 = 0
    request_seq: Seq = 0
    content_hash: U64 = 0
    reserved_qty: Qty = 0
    valid_until_ts: Ts = 0
    rules_generation: U32 = 0
    request_kind: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    decision: Annotated[U8, e.Decision] = 0
    checks: Sequence[CheckOutcome] = ()


@message(403)
class KillSwitch(Scope):
    """PartyActionRequest (35=DH): one frame; blocks at once, the OMS answers with cancels."""

    kill: U64 = 0
    level: Annotated[U8, e.KillLevel] = 0
    trigger: Annotated[U8, e.KillTrigger] = 0
    reason: str = ""


@message(404)
class KillRelease(Message):
    """Ends a kill."""

    kill: U64 = 0
    approval_seq: Seq = 0
    reason: str = ""


__all__ = ["CheckOutcome", "KillRelease", "KillSwitch", "RiskDecision", "RiskLimitSet"]
