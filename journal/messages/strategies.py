"""Strategy kinds, 600-699."""

from __future__ import annotations

from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import NULL, U8, U16, U32, U64, Message, Px, Seq, message


@message(600)
class StrategyCommand(Message):
    """Start, stop, pause, resume, flatten a strategy."""

    request: U64 = 0
    strategy: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    command: Annotated[U8, e.CommandCode] = 0


@message(601)
class StrategyState(Message):
    """Answer of a strategy to a command, or its own change of state."""

    request: U64 = 0
    strategy: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    state: Annotated[U8, e.StrategyStateCode] = 0


@message(609)
class EmulatedTrigger(Message):
    """TriggerType (1100): a held order is released, with the price that did it and the frame it stood in."""

    order_id: U64 = 0
    observed_px: Px = NULL
    trigger_px: Px = NULL
    input_seq: Seq = 0
    trigger: Annotated[U8, e.Trigger] = 0


__all__ = ["EmulatedTrigger", "StrategyCommand", "StrategyState"]
