"""Time between the frames of one order's way, from their own timestamps. Whole columns at a time: a day has many orders.

All times are sequencer times of frames (one clock, strictly increasing), but the first: a market-data frame's `origin_ts` is
when its gateway saw the bytes.
"""

from __future__ import annotations

import msgspec
import numpy as np

from journal.messages import (
    REGISTRY,
    Channel,
    ExecType,
    ExecutionReport,
    Flag,
    NewOrder,
    OrderSent,
    Position,
    RiskDecision,
    RoutedOrder,
    VenueFill,
    VenueOrderUpdate,
)
from journal.messages.marketdata import MarketData
from replay.audit.stream import Array, Stream

_MARKET_KINDS = [c.KIND for c in REGISTRY.values() if issubclass(c, MarketData)]


class Hops(msgspec.Struct):
    """One row an order (a NewOrder frame), in sequence order. Times in ns; 0 where a step is missing."""

    order_id: Array
    seq: Array
    tick_seq: Array
    tick_ts: Array
    new_ts: Array
    risk_ts: Array
    routed_ts: Array
    sent_ts: Array
    ack_ts: Array

    STEPS = ("tick_ts", "new_ts", "risk_ts", "routed_ts", "sent_ts", "ack_ts")

    def between(self, first: str, last: str) -> tuple[Array, Array]:
        """Durations from one step to a later one, and which rows have both."""
        a, b = getattr(self, first), getattr(self, last)
        return b - a, (a > 0) & (b > 0)


def order_hops(stream: Stream) -> Hops:
    """The way of each new order: tick, NewOrder, RiskDecision, RoutedOrder, OrderSent, first answer of the venue."""
    new = stream.columns(NewOrder)
    decisions = stream.columns(RiskDecision)
    decisions = decisions[decisions["request_kind"] == NewOrder.KIND]
    routed, sent = stream.columns(RoutedOrder), stream.columns(OrderSent)
    said = stream.columns(VenueOrderUpdate)
    # The answer to a send is news on its own connection; a download or a query repeats old news.
    fresh = (said["flags"] & Flag.SNAPSHOT == 0) & ~np.isin(said["channel"], (Channel.QUERY, Channel.DOWNLOAD))
    said = said[fresh]

    tick_seq = _market_root(stream, np.where(new["book_seq"] > 0, new["book_seq"], new["cause"]))
    risk = first_row(decisions["request_seq"], new["seq"])
    route = first_row(routed["risk_seq"], _take(decisions["seq"], risk))
    routed_seq = _take(routed["seq"], route)
    # A fill may come before the acknowledgement: it answers the order just as well.
    fills = stream.columns(VenueFill)
    update_ts = _take(said["ts"], first_row(said["request_seq"], routed_seq))
    fill_ts = _take(fills["ts"], first_row(fills["request_seq"], routed_seq))
    answered = np.where((update_ts > 0) & ((fill_ts == 0) | (update_ts < fill_ts)), update_ts, fill_ts)
    return Hops(
        order_id=new["order_id"],
        seq=new["seq"],
        tick_seq=tick_seq,
        tick_ts=stream.ts_of(tick_seq),
        new_ts=new["ts"],
        risk_ts=_take(decisions["ts"], risk),
        routed_ts=_take(routed["ts"], route),
        sent_ts=_take(sent["ts"], first_row(sent["request_seq"], routed_seq)),
        ack_ts=answered,
    )


def all_hops(stream: Stream) -> dict[str, Array]:
    """Durations in ns by hop, in the order of an event's way; hops that never happened have an empty array."""
    hops = order_hops(stream)
    out: dict[str, Array] = {}
    headers = stream.headers
    market = headers[np.isin(headers["kind"], _MARKET_KINDS) & (headers["origin_ts"] > 0)]
    # What the books app derives carries the time of the frame it was derived from: no receipt of its own.
    received = market[~np.isin(_kinds_of(stream, market["cause"]), _MARKET_KINDS)]
    out["market data seen → sequenced"] = received["ts"] - received["origin_ts"]
    for name, first, last in (
        ("tick → NewOrder", "tick_ts", "new_ts"),
        ("NewOrder → RiskDecision", "new_ts", "risk_ts"),
        ("RiskDecision → RoutedOrder", "risk_ts", "routed_ts"),
        ("RoutedOrder → OrderSent", "routed_ts", "sent_ts"),
        ("OrderSent → venue's answer", "sent_ts", "ack_ts"),
        ("tick → OrderSent", "tick_ts", "sent_ts"),
    ):
        took, both = hops.between(first, last)
        out[name] = took[both]
    fills, reports, positions = stream.columns(VenueFill), stream.columns(ExecutionReport), stream.columns(Position)
    trades = reports[reports["exec_type"] == ExecType.TRADE]
    report = first_row(trades["venue_frame_seq"], fills["seq"])
    out["VenueFill → ExecutionReport"] = (_take(trades["ts"], report) - fills["ts"])[report >= 0]
    position = first_row(positions["cause"], trades["seq"])
    out["ExecutionReport → Position"] = (_take(positions["ts"], position) - trades["ts"])[position >= 0]
    return out


def _kinds_of(stream: Stream, seqs: Array) -> Array:
    headers = stream.headers
    if not len(headers):
        return np.zeros(len(seqs), "<u2")
    at = np.searchsorted(headers["seq"], seqs).clip(0, len(headers) - 1)
    return np.where(headers["seq"][at] == seqs, headers["kind"][at], 0)


def _market_root(stream: Stream, seqs: Array) -> Array:
    """The gateway's frame behind a market-data frame: a derived top of book is caused by the update it was derived from."""
    headers = stream.headers
    if not len(headers):
        return seqs
    at = np.searchsorted(headers["seq"], seqs).clip(0, len(headers) - 1)
    causes = np.where(headers["seq"][at] == seqs, headers["cause"][at], 0)
    return np.where(np.isin(_kinds_of(stream, causes), _MARKET_KINDS), causes, seqs)


def first_row(keys: Array, wanted: Array) -> Array:
    """For each wanted key the index of its first row; -1 where there is none, or the key is 0 (none)."""
    unique, first = np.unique(keys, return_index=True)
    if not len(unique):
        return np.full(len(wanted), -1)
    at = np.searchsorted(unique, wanted).clip(0, len(unique) - 1)
    return np.where((unique[at] == wanted) & (wanted > 0), first[at], -1)


def _take(values: Array, index: Array) -> Array:
    """values[index], 0 where the index is -1."""
    out = np.zeros(len(index), values.dtype)
    found = index >= 0
    out[found] = values[index[found]]
    return out
