"""Engine events as market-data frames, for the generated market.

One engine step gives its trades, then one depth update with every level it changed, then the bookTicker if the best changed.
Update ids count level changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from apps.venue.events import LevelChanged, Printed, VenueEvent
from apps.venue.matching import MatchingEngine
from gateways.sim.exchange.listing import Listing
from journal.messages.enums import Side

MS = 1_000_000
FrameKind = Literal["depth", "other"]


class MarketFrame(NamedTuple):
    """`stream` is empty for a snapshot that the capture has inline."""

    stream: str
    text: bytes
    kind: FrameKind


class Feed:
    def __init__(self, listing: Listing, engine: MatchingEngine) -> None:
        self._listing = listing
        self._engine = engine
        self._best: tuple[tuple[int, int] | None, tuple[int, int] | None] = (None, None)
        self._ms = 0
        self.last_update_id = 0
        self.book_live = True  # a generated book always is
        name = listing.symbol.lower()
        self._depth, self._trade, self._ticker = f"{name}@depth@0ms", f"{name}@trade", f"{name}@bookTicker"

    def frames(self, events: Sequence[VenueEvent], now_ns: int) -> list[MarketFrame]:
        """What the public sees of one engine step."""
        self._ms = ms = now_ns // MS
        frames: list[MarketFrame] = []
        levels: dict[Side, list[str]] = {Side.BUY: [], Side.SELL: []}
        symbol, px, qty = self._listing.symbol, self._listing.px, self._listing.qty
        for event in events:
            if isinstance(event, Printed):
                text = (
                    f'{{"stream":"{self._trade}","data":{{"e":"trade","E":{ms},"T":{event.ts // MS},"s":"{symbol}",'
                    f'"t":{event.trade_id},"p":"{px(event.px)}","q":"{qty(event.qty)}","X":"MARKET",'
                    f'"m":{"true" if event.side == Side.SELL else "false"}}}}}'
                )
                frames.append(MarketFrame(self._trade, text.encode(), "other"))
            elif isinstance(event, LevelChanged):
                levels[event.side].append(f'["{px(event.px)}","{qty(event.qty)}"]')
        changes = len(levels[Side.BUY]) + len(levels[Side.SELL])
        if not changes:
            return frames
        before = self.last_update_id
        self.last_update_id += changes
        text = (
            f'{{"stream":"{self._depth}","data":{{"e":"depthUpdate","E":{ms},"T":{ms},"s":"{symbol}","U":{before + 1},'
            f'"u":{self.last_update_id},"pu":{before},"b":[{",".join(levels[Side.BUY])}],"a":[{",".join(levels[Side.SELL])}]}}}}'
        )
        frames.append(MarketFrame(self._depth, text.encode(), "depth"))
        best = (self._engine.best(Side.BUY), self._engine.best(Side.SELL))
        if best != self._best:
            self._best = best
            (bid, bid_qty), (ask, ask_qty) = (("0", "0") if b is None else (px(b[0]), qty(b[1])) for b in best)
            text = (
                f'{{"stream":"{self._ticker}","data":{{"e":"bookTicker","u":{self.last_update_id},"s":"{symbol}","b":"{bid}",'
                f'"B":"{bid_qty}","a":"{ask}","A":"{ask_qty}","T":{ms},"E":{ms}}}}}'
            )
            frames.append(MarketFrame(self._ticker, text.encode(), "other"))
        return frames

    def book_stamp(self) -> tuple[int, int, int]:
        """lastUpdateId, E, T of the current book."""
        return self.last_update_id, self._ms, self._ms


def status_frame(symbol: str, status: str, now_ns: int) -> MarketFrame:
    """Whether the instrument trades: TRADING or HALT."""
    stream, ms = f"{symbol.lower()}@tradingStatus", now_ns // MS
    text = f'{{"stream":"{stream}","data":{{"e":"tradingStatus","E":{ms},"T":{ms},"s":"{symbol}","S":"{status}"}}}}'
    return MarketFrame(stream, text.encode(), "other")
