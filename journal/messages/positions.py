"""Position and ledger kinds, 500-599."""

from __future__ import annotations

from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import I8, I64, I128, NULL, U8, U32, U64, Message, Px, Qty, Rate, Seq, Ts, message


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


@message(501)
class PositionConfirmed(Message):
    """The venue's word on a position: compared, never copied."""

    long_qty: Qty = 0
    short_qty: Qty = 0
    entry_px: Px = NULL
    liquidation_px: Px = NULL
    unrealized: I64 = NULL
    exchange_ts: Ts = 0
    exchange_seq: U64 = 0
    account: U32 = 0
    instrument: U32 = 0
    currency: U32 = 0
    margin_mode: Annotated[U8, e.MarginMode] = 0
    position_side: Annotated[U8, e.PositionSide] = 0
    unrealized_exp: I8 = 0


@message(502)
class FundsConfirmed(Message):
    """AccountSummaryReport (35=CQ): the venue's word on a balance. One exponent for all four."""

    balance: I64 = NULL
    hold: I64 = NULL
    borrowed: I64 = NULL
    unrealized: I64 = NULL
    exchange_ts: Ts = 0
    exchange_seq: U64 = 0
    account: U32 = 0
    currency: U32 = 0
    margin_mode: Annotated[U8, e.MarginMode] = 0
    exp: I8 = 0


@message(504)
class MarginConfirmed(Message):
    """The venue's word on margin. One exponent for the three amounts."""

    equity: I64 = NULL
    initial: I64 = NULL
    maintenance: I64 = NULL
    ratio: Rate = NULL
    leverage: I64 = NULL
    exchange_ts: Ts = 0
    exchange_seq: U64 = 0
    account: U32 = 0
    currency: U32 = 0
    exp: I8 = 0
    leverage_exp: I8 = 0


@message(520)
class Mark(Message):
    """SettlPrice (730): a price to value at, sequenced."""

    mark_px: Px = NULL
    source_seq_ref: Seq = 0
    exchange_ts: Ts = 0
    instrument: U32 = 0
    mark_type: Annotated[U8, e.MarkType] = 0


@message(521)
class ConversionRate(Message):
    """SettlCurrFxRate (155): units of `to_currency` for one of `from_currency`."""

    rate: I64 = 0
    source_seq_ref: Seq = 0
    from_currency: U32 = 0
    to_currency: U32 = 0
    rate_exp: I8 = 0


@message(522)
class Funding(Message):
    """A payment between the longs and the shorts of a perpetual, as the venue charged it: negative is paid, positive received.
    SNAPSHOT flag in a download. `position_qty`: what it was charged on, negative short."""

    rate: Rate = NULL
    position_qty: Qty = NULL
    payment: I64 = NULL
    funding_ts: Ts = 0
    exchange_seq: U64 = 0
    account: U32 = 0
    instrument: U32 = 0
    currency: U32 = 0
    channel: Annotated[U8, e.Channel] = 0
    payment_exp: I8 = 0
    venue_ref: str = ""


__all__ = ["ConversionRate", "Funding", "FundsConfirmed", "MarginConfirmed", "Mark", "Position", "PositionConfirmed"]
