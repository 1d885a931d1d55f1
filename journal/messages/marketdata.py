"""Market data kinds, 200-299. All begin with the MarketData prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import (
    NULL,
    U8,
    U16,
    U32,
    U64,
    Blob,
    Entry,
    Message,
    Px,
    Qty,
    Seq,
    Ts,
    entry,
    message,
)


class MarketData(Message):
    """The prefix of every market-data kind, 32 bytes. `connection_epoch` counts (re)connections of a stream and is compared
    for equality only: an old book never merges with a new one."""

    instrument: U32 = 0
    stream: U16 = 0
    connection_epoch: U16 = 0
    exchange_ts: Ts = 0
    sending_ts: Ts = 0
    exchange_seq: U64 = 0


@entry
class Level(Entry):
    """One price level; quantity 0 deletes it in an update."""

    px: Px = 0
    qty: Qty = 0


@entry
class Trade(Entry):
    """One print of a TradeSummary; `side` is the taker's."""

    px: Px = 0
    qty: Qty = 0
    trade_no: U64 = 0
    trade_ts: Ts = 0
    conditions: Annotated[U16, e.TradeCondition] = 0
    side: Annotated[U8, e.Side] = 0
    trade_ref: str = ""


@message(200)
class MarketStatus(MarketData):
    """SecurityStatus (35=f)."""

    until_ts: Ts = 0
    trading_status: Annotated[U8, e.TradingStatus] = 0
    halt_reason: Annotated[U8, e.HaltReason] = 0
    venue_status: Annotated[U8, e.VenueStatusCode] = 0


@message(201)
class TopOfBook(MarketData):
    """Best bid and ask: the venue's own, or derived by the books app (the source tells)."""

    bid_px: Px = NULL
    bid_qty: Qty = NULL
    ask_px: Px = NULL
    ask_qty: Qty = NULL
    bid_orders: U32 = 0
    ask_orders: U32 = 0

    @property
    def mid2(self) -> int:
        """Mid price times two: an integer. Only meaningful when both sides are given."""
        return self.bid_px + self.ask_px


@message(202)
class MarketByPriceSnapshot(MarketData):
    """35=W: replaces the book always. Bids and asks best first."""

    checksum: U32 = 0
    depth: U16 = 0
    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()


@message(203)
class MarketByPriceUpdate(MarketData):
    """35=X: changed levels. `prev_exchange_seq` names the update before; quantity 0 deletes."""

    prev_exchange_seq: U64 = 0
    first_exchange_seq: U64 = 0
    checksum: U32 = 0
    depth: U16 = 0
    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()


@message(206)
class TradeSummary(MarketData):
    """Public trades."""

    trades: Sequence[Trade] = ()


@message(208)
class BookState(MarketData):
    """Live, stale, invalid, and why; trading gates on it."""

    exchange_seq_last: U64 = 0
    updates_verified: U64 = 0
    expected_checksum: U32 = 0
    got_checksum: U32 = 0
    book_type: Annotated[U8, e.BookType] = 0
    state: Annotated[U8, e.BookStateCode] = 0
    reason: Annotated[U8, e.BookStateReason] = 0
    proof: Annotated[U8, e.BookProof] = 0


@message(213)
class MarketDataGap(MarketData):
    """What was lost and what was done."""

    expected_seq: U64 = 0
    got_seq: U64 = 0
    action: Annotated[U8, e.GapAction] = 0


@message(290)
class RawMessage(Message):
    """The venue's frame as received or sent, secrets removed; the event made of it has it as `cause`."""

    request_seq: Seq = 0
    stream: U16 = 0
    connection_epoch: U16 = 0
    part: U16 = 0
    parts: U16 = 1
    direction: Annotated[U8, e.Direction] = 0
    encoding: Annotated[U8, e.Encoding] = 0
    data: Blob = b""


__all__ = [
    "BookState", "Level", "MarketByPriceSnapshot", "MarketByPriceUpdate", "MarketData", "MarketDataGap", "MarketStatus",
    "RawMessage", "TopOfBook", "Trade", "TradeSummary",
]  # fmt: skip
