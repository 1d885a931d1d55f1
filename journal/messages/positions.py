"""Position and ledger kinds, 500-599."""

from __future__ import annotations

from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import I128, U8, U32, Message, Qty, Seq, message


@message(500)
class Position(Message):
    """PositionReport (35=AP): ours, a fold of the stream; has the fill's report as cause. Money in `currency`'s ledger_exp.

    `cost`: signed cost of the open quantity (positive long, negative short). `realized`: before fees."""

    cost: I128 = 0
    realized: I128 = 0
    fees: I128 = 0
    funding: I128 = 0
    long_qty: Qty = 0
    short_qty: Qty = 0
    last_fill_seq: Seq = 0
    account: U32 = 0
    strategy: U32 = 0
    instrument: U32 = 0
    currency: U32 = 0
    margin_mode: Annotated[U8, e.MarginMode] = 0
    position_side: Annotated[U8, e.PositionSide] = 0


__all__ = ["Position"]
