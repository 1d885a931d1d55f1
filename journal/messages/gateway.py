"""Gateway kinds, 700-799."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import I32, U8, U16, U32, U64, Entry, Message, Ns, Seq, Ts, entry, message


@message(700)
class GatewayStatus(Message):
    """READY only after its own download."""

    supported: Annotated[U64, e.SupportType] = 0
    available: Annotated[U64, e.SupportType] = 0
    unavailable: Annotated[U64, e.SupportType] = 0
    account: U32 = 0
    gateway: U16 = 0
    venue: U16 = 0
    phase: Annotated[U8, e.GatewayPhase] = 0


@message(701)
class StreamStatus(Message):
    """State of one connection."""

    account: U32 = 0
    stream: U16 = 0
    venue: U16 = 0
    connection_epoch: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    connection: Annotated[U8, e.ConnectionState] = 0
    transport: Annotated[U8, e.Transport] = 0
    protocol: Annotated[U8, e.Protocol] = 0
    encoding: Annotated[U8, e.Encoding] = 0
    priority: Annotated[U8, e.Priority] = 0
    interface: str = ""
    authority: str = ""
    path: str = ""


@message(703)
class DownloadBegin(Message):
    """Rows flagged SNAPSHOT follow, then DownloadEnd."""

    account: U32 = 0
    download: U32 = 0
    contents: U32 = 0
    gateway: U16 = 0


@message(704)
class DownloadEnd(Message):
    """A partial download never counts."""

    account: U32 = 0
    download: U32 = 0
    rows: U32 = 0
    gateway: U16 = 0
    complete: U8 = 0


@entry
class RateLimit(Entry):
    """One budget of the venue as it stands."""

    period_ns: Ns = 0
    end_ts: Ts = 0
    limit: U32 = 0
    used: U32 = 0
    limit_type: Annotated[U8, e.RateLimitType] = 0
    origin: U8 = 0


@message(705)
class RateLimitUsage(Message):
    """What the venue says of its budgets."""

    account: U32 = 0
    venue: U16 = 0
    stream: U16 = 0
    limits: Sequence[RateLimit] = ()


@message(706)
class VenueStatus(Message):
    """TradingSessionStatus (35=h): the venue as a whole."""

    until_ts: Ts = 0
    venue: U16 = 0
    status: Annotated[U8, e.VenueStatusCode] = 0
    text: str = ""


@message(707)
class VenueError(Message):
    """Something the venue said that we could not use: recorded, alerted once, no crash."""

    raw_seq: Seq = 0
    venue_code: I32 = 0
    count: U32 = 0
    venue: U16 = 0
    stream: U16 = 0
    error: Annotated[U8, e.VenueErrorCode] = 0
    text: str = ""


@message(710)
class VenueDeadMan(Message):
    """The venue's own cancel timer as it stands."""

    fires_ts: Ts = 0
    account: U32 = 0
    instrument: U32 = 0
    venue: U16 = 0
    state: Annotated[U8, e.DeadManAction] = 0
    confirmed: U8 = 0


__all__ = [
    "DownloadBegin", "DownloadEnd", "GatewayStatus", "RateLimit", "RateLimitUsage", "StreamStatus", "VenueDeadMan",
    "VenueError", "VenueStatus",
]  # fmt: skip
