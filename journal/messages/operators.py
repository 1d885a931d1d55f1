"""Operator, alert and log kinds, 800-899."""

from __future__ import annotations

from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import U8, U16, U32, U64, Message, Seq, message
from journal.messages.scopes import Scope


@message(800)
class OperatorCommand(Message):
    """Every shell verb with who, from where, why; the typed frame it leads to has it as cause.
    `request` is the idempotency key."""

    request: U64 = 0
    target: U64 = 0
    user: U32 = 0
    session: U32 = 0
    command: Annotated[U16, e.CommandCode] = 0
    target_type: Annotated[U8, e.ScopeType] = 0
    needs_approval: U8 = 0
    reason: str = ""
    arguments: str = ""


@message(801)
class CommandResult(Message):
    """What became of an OperatorCommand."""

    request: U64 = 0
    reason: Annotated[U16, e.Reason] = 0
    status: Annotated[U8, e.RequestState] = 0
    text: str = ""


@message(802)
class Approval(Message):
    """A second person's word on a request; the same person's does not count."""

    request_seq: Seq = 0
    user: U32 = 0
    session: U32 = 0
    decision: Annotated[U8, e.ApprovalDecision] = 0
    reason: str = ""


@message(804)
class Alert(Scope):
    """Derived by apps, so that alerts can be back-tested."""

    alert: U64 = 0
    about_seq: Seq = 0
    rule: U16 = 0
    severity: Annotated[U8, e.AlertSeverity] = 0
    state: Annotated[U8, e.AlertState] = 0
    text: str = ""


@message(806)
class LogRecord(Message):
    """One log line that belongs to the record."""

    about_seq: Seq = 0
    facility: U16 = 0
    severity: Annotated[U8, e.AlertSeverity] = 0
    text: str = ""


__all__ = ["Alert", "Approval", "CommandResult", "LogRecord", "OperatorCommand"]
