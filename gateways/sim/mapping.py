"""Market data: the venue's structs to our messages. Names, decimals, milliseconds and codes of the venue end here."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec

from gateways.sim.decimals import NotExact, mantissa
from gateways.sim.wire import BadFrame, BookTicker, Depth, DepthSnapshot, Levels, Print, StatusChange
from journal.messages import (
    NULL,
    InstrumentDefined,
    Level,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    MarketStatus,
    Side,
    TopOfBook,
    Trade,
    TradeCondition,
    TradeSummary,
    TradingStatus,
    VenueErrorCode,
)

NS_PER_MS = 1_000_000
LEVELS_MAX = 30_000
"""Per side. Two sides of 16-byte levels then stay below the journal's largest frame."""

# Trades that did not come out of the order book, by the venue's word.
CONDITIONS = {
    "MARKET": 0,
    "INSURANCE_FUND": int(TradeCondition.LIQUIDATION),
    "ADL": int(TradeCondition.AUTO_DELEVERAGE),
    "NA": int(TradeCondition.OFF_EXCHANGE),
}

TRADING_STATUSES = {"TRADING": TradingStatus.OPEN, "HALT": TradingStatus.HALT}


class Listing(msgspec.Struct, frozen=True):
    """What the gateway needs of an instrument: its number, the venue's symbol, the exponents."""

    instrument: int
    symbol: str
    px_exp: int
    qty_exp: int

    @classmethod
    def of(cls, m: InstrumentDefined) -> Listing:
        """The listing that a definition frame declares."""
        return cls(m.instrument, m.name, m.px_exp, m.qty_exp)


class Line(msgspec.Struct, frozen=True):
    """Which stream, in which connection, the messages come from."""

    stream: int
    connection_epoch: int


def _levels(rows: Levels, listing: Listing, side: str) -> list[Level]:
    if len(rows) > LEVELS_MAX:
        raise NotExact(f"{len(rows)} levels on the {side} side; at most {LEVELS_MAX} fit a frame")
    px_exp, qty_exp, out = listing.px_exp, listing.qty_exp, []
    for px_text, qty_text in rows:
        px, qty = mantissa(px_text, px_exp), mantissa(qty_text, qty_exp)
        if px <= 0 or qty < 0:
            raise NotExact(f"{side} level {px_text!r} x {qty_text!r}: expected a price above zero and no negative quantity")
        out.append(Level(px, qty))
    return out


def _bad(what: str, symbol: str, error: NotExact) -> BadFrame:
    return BadFrame(VenueErrorCode.UNPARSED, f"{what} {symbol}", f"{what} {symbol}: {error}")


def book_update(m: Depth, listing: Listing, line: Line) -> MarketByPriceUpdate:
    """A depth update. Spot streams have no `pu`: the update before ended at U - 1."""
    if m.u < m.U:
        raise BadFrame(VenueErrorCode.UNPARSED, f"depth {m.s}", f"depth {m.s}: first id U={m.U} is beyond last id u={m.u}")
    try:
        bids, asks = _levels(m.b, listing, "bid"), _levels(m.a, listing, "ask")
    except NotExact as error:
        raise _bad("depth", m.s, error) from None
    return MarketByPriceUpdate(
        instrument=listing.instrument, stream=line.stream, connection_epoch=line.connection_epoch,
        exchange_ts=(m.T or m.E) * NS_PER_MS, sending_ts=m.E * NS_PER_MS, exchange_seq=m.u,
        prev_exchange_seq=max(m.U - 1, 0) if m.pu is None else m.pu, first_exchange_seq=m.U, bids=bids, asks=asks,
    )  # fmt: skip


def _sorted_side(levels: Iterable[Level], *, best_high: bool) -> list[Level]:
    rows = sorted((level for level in levels if level.qty), key=lambda level: level.px, reverse=best_high)
    for a, b in itertools.pairwise(rows):
        if a.px == b.px:
            raise NotExact(f"price mantissa {a.px} stands twice on one side")
    return rows


def book_snapshot(m: DepthSnapshot, listing: Listing, line: Line) -> MarketByPriceSnapshot:
    """A whole book, best first on both sides, empty levels left out."""
    try:
        bids = _sorted_side(_levels(m.bids, listing, "bid"), best_high=True)
        asks = _sorted_side(_levels(m.asks, listing, "ask"), best_high=False)
    except NotExact as error:
        raise _bad("snapshot", listing.symbol, error) from None
    return MarketByPriceSnapshot(
        instrument=listing.instrument, stream=line.stream, connection_epoch=line.connection_epoch,
        exchange_ts=(m.T or m.E) * NS_PER_MS, sending_ts=m.E * NS_PER_MS, exchange_seq=m.last_update_id,
        bids=bids, asks=asks,
    )  # fmt: skip


def trade_summary(m: Print, listing: Listing, line: Line) -> TradeSummary:
    """One public trade; the side is the taker's. An unknown `X` is kept as a trade without condition."""
    try:
        px, qty = mantissa(m.p, listing.px_exp), mantissa(m.q, listing.qty_exp)
        if px <= 0 or qty <= 0:
            raise NotExact(f"{m.q!r} at {m.p!r}: expected quantity and price above zero")
    except NotExact as error:
        raise _bad("trade", m.s, error) from None
    ts = (m.T or m.E) * NS_PER_MS
    row = Trade(
        px=px, qty=qty, trade_no=m.t, trade_ts=ts, side=Side.SELL if m.m else Side.BUY, conditions=CONDITIONS.get(m.X, 0)
    )
    return TradeSummary(
        instrument=listing.instrument, stream=line.stream, connection_epoch=line.connection_epoch,
        exchange_ts=ts, sending_ts=m.E * NS_PER_MS, exchange_seq=m.t, trades=(row,),
    )  # fmt: skip


def top_of_book(m: BookTicker, listing: Listing, line: Line) -> TopOfBook:
    """The venue's best bid and ask; an empty side, written as zero, is not given."""
    try:
        bid_px, bid_qty = mantissa(m.b, listing.px_exp), mantissa(m.B, listing.qty_exp)
        ask_px, ask_qty = mantissa(m.a, listing.px_exp), mantissa(m.A, listing.qty_exp)
        if min(bid_px, bid_qty, ask_px, ask_qty) < 0:
            raise NotExact(f"{m.B!r} at {m.b!r}, {m.A!r} at {m.a!r}: expected nothing negative")
    except NotExact as error:
        raise _bad("bookTicker", m.s, error) from None
    return TopOfBook(
        instrument=listing.instrument, stream=line.stream, connection_epoch=line.connection_epoch,
        exchange_ts=(m.T or m.E) * NS_PER_MS, sending_ts=m.E * NS_PER_MS, exchange_seq=m.u,
        bid_px=bid_px if bid_px and bid_qty else NULL, bid_qty=bid_qty if bid_px and bid_qty else NULL,
        ask_px=ask_px if ask_px and ask_qty else NULL, ask_qty=ask_qty if ask_px and ask_qty else NULL,
    )  # fmt: skip


def market_status(m: StatusChange, listing: Listing, line: Line) -> MarketStatus:
    """Whether the instrument trades. A word that is not known says nothing, so it is not told as if it did."""
    if m.S not in TRADING_STATUSES:
        raise BadFrame(VenueErrorCode.UNKNOWN_ENUM, f"trading status {m.S[:64]}", f"trading status {m.S[:64]!r} is unknown")
    return MarketStatus(
        instrument=listing.instrument, stream=line.stream, connection_epoch=line.connection_epoch,
        exchange_ts=(m.T or m.E) * NS_PER_MS, sending_ts=m.E * NS_PER_MS, trading_status=TRADING_STATUSES[m.S],
    )  # fmt: skip
