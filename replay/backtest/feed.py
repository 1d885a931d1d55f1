"""Market data for a backtest: what happened, when, in the units of the backtest's own instruments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from journal.errors import OperatingError
from journal.frames import frames
from journal.messages import (
    BookState,
    InstrumentDefined,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    MarketDataGap,
    MarketStatus,
    Message,
    SourceDefined,
    SourceRole,
    TopOfBook,
    TradeSummary,
)

MARKET_KINDS = (
    MarketStatus.KIND,
    TopOfBook.KIND,
    MarketByPriceSnapshot.KIND,
    MarketByPriceUpdate.KIND,
    TradeSummary.KIND,
    BookState.KIND,
    MarketDataGap.KIND,
)


class FeedEvent(msgspec.Struct):
    """One input and when we had it (ns, the recording's clock)."""

    ts: int
    origin_ts: int
    message: Message
    seq: int = 0
    """Its frame in the recorded session; 0 where it was not one."""
    source: str = ""
    """Who published it: a source of the backtest by name; "": its market data."""


class FeedError(OperatingError, ValueError):
    """A recording that cannot drive this backtest; says what is missing."""


def journal_feed(path: Path, instruments: dict[str, InstrumentDefined], to_seq: int | None = None) -> Iterator[FeedEvent]:
    """The market data that gateways published in a recorded session, up to a frame (None: to its end of now).

    `instruments`: symbol → this backtest's definition. Ids are translated by symbol; exponents must be the recording's, a
    symbol that the backtest does not define is passed over."""
    ours: dict[int, int] = {}
    gateways: set[int] = set()
    for frame in frames(path, to_seq=to_seq, kinds=[InstrumentDefined.KIND, SourceDefined.KIND, *MARKET_KINDS]):
        m: Any = frame.message
        if isinstance(m, SourceDefined):
            if m.role == SourceRole.MARKET_DATA:
                gateways.add(m.source)
        elif isinstance(m, InstrumentDefined):
            mine = instruments.get(m.name)
            if mine is None:
                continue
            if (mine.px_exp, mine.qty_exp) != (m.px_exp, m.qty_exp):
                raise FeedError(
                    f"{path}: {m.name} was recorded with {-m.px_exp} price and {-m.qty_exp} quantity decimals; "
                    f"this backtest defines {-mine.px_exp} and {-mine.qty_exp}"
                )
            ours[m.instrument] = mine.instrument
        elif frame.header.source in gateways and m.instrument in ours:
            m.instrument = ours[m.instrument]
            yield FeedEvent(frame.header.ts, frame.header.origin_ts, m, frame.header.seq)
