"""Risk kinds, 400-499."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import (
    I8,
    I64,
    I128,
    NULL,
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


@message(400, version=2)
class RiskLimitSet(Scope):
    """PartyRiskLimitsDefinitionRequest (35=CS). `warn`, `hard` are mantissas with `exp`, or plain counts; a `hard` of NULL
    switches the check off for this scope. `confirmations`: so many new inputs in a row must breach a loss limit before it
    trips. `ban_ms`: how long the action BAN lasts."""

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
    confirmations: U8 = 0
    zero16: U16 = 0
    ban_ms: U32 = 0
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


@message(402)
class Violation(Scope):
    """A limit or an invariant was breached; `count` in a row, `action` is what follows."""

    value: I64 = 0
    bound: I64 = 0
    until_ts: Ts = 0
    about_seq: Seq = 0
    limit: U32 = 0
    count: U32 = 0
    check: Annotated[U16, e.RiskCheck] = 0
    reason: Annotated[U16, e.Reason] = 0
    severity: Annotated[U8, e.AlertSeverity] = 0
    exp: I8 = 0
    action: Annotated[U8, e.LimitAction] = 0
    text: str = ""


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


@message(405)
class TradingStateSet(Scope):
    """Whether a scope trades, only reduces, or is halted."""

    request: U64 = 0
    reason: Annotated[U16, e.Reason] = 0
    state: Annotated[U8, e.TradingState] = 0
    text: str = ""


@message(406)
class Gate(Message):
    """Whether orders pass to a venue and account (and instrument, where it is given), and all that keeps them from it.
    `causes`: the reasons, as bits of GateCause."""

    venue_frame_seq: Seq = 0
    account: U32 = 0
    instrument: U32 = 0
    causes: Annotated[U32, e.GateCause] = 0
    venue: U16 = 0
    state: Annotated[U8, e.GateState] = 0


@message(407)
class Heartbeat(Message):
    """A dead man's handle: its absence acts, by the stream's time. `watch`: which of the configured watches it is for."""

    counter: U64 = 0
    interval_ns: Ns = 0
    user: U32 = 0
    watch: U16 = 0


@message(408)
class HeartbeatLost(Message):
    """A watch has missed so many intervals; what is done now."""

    last_seq: Seq = 0
    watch: U16 = 0
    missed: U16 = 0
    action: Annotated[U8, e.AbsenceAction] = 0


@message(409)
class Exposure(Scope):
    """What a scope has working and at risk, for people; decisions do not need it."""

    gross_notional: I128 = 0
    net_notional: I128 = 0
    reserved_notional: I128 = 0
    working_buy_qty: Qty = 0
    working_sell_qty: Qty = 0
    unknown_qty: Qty = 0
    currency: U32 = 0
    orders: U32 = 0


@message(410)
class LimitAcknowledged(Message):
    """A limit is live from here. `old_hard`, `old_warn`: what it replaces; NULL: there was none."""

    old_warn: I64 = NULL
    old_hard: I64 = NULL
    warn: I64 = 0
    hard: I64 = 0
    current: I64 = 0
    request_seq: Seq = 0
    limit: U32 = 0
    generation: U32 = 0
    user: U32 = 0
    check: Annotated[U16, e.RiskCheck] = 0
    reason: Annotated[U16, e.Reason] = 0
    exp: I8 = 0


__all__ = [
    "CheckOutcome",
    "Exposure",
    "Gate",
    "Heartbeat",
    "HeartbeatLost",
    "KillRelease",
    "KillSwitch",
    "LimitAcknowledged",
    "RiskDecision",
    "RiskLimitSet",
    "TradingStateSet",
    "Violation",
]  # fmt: skip
