"""What the two sans-I/O sessions hand to the driver, and the bookkeeping they share."""

from __future__ import annotations

from typing import NamedTuple

from gateways.sim.wire import BadFrame
from journal.messages import FRAME_BYTES_MAX, HEADER_BYTES, Direction, Encoding, Flag, Message, RawMessage, VenueError

RAW_PART_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES - RawMessage.LAYOUT.fixed_bytes
NEVER = 2**63 - 1
"""A timer that is not set."""


class Out(NamedTuple):
    """One message to publish. `of_raw`: its cause is the RawMessage published last; else `cause` stands as given."""

    message: Message
    of_raw: bool = False
    cause: int = 0
    flags: int = 0


def raw_parts(data: bytes, *, stream: int, connection_epoch: int, direction: Direction, request_seq: int = 0) -> list[Out]:
    """The frame as received or sent, as one message, or in parts when it is longer than a journal frame may be."""
    parts = max(1, -(-len(data) // RAW_PART_BYTES_MAX))
    return [
        Out(
            RawMessage(
                request_seq=request_seq, stream=stream, connection_epoch=connection_epoch, part=part, parts=parts,
                direction=direction, encoding=Encoding.JSON,
                data=data[part * RAW_PART_BYTES_MAX : (part + 1) * RAW_PART_BYTES_MAX],
            ),
            cause=request_seq,
        )
        for part in range(parts)
    ]  # fmt: skip


class Complaints:
    """What the venue said that could not be used: one VenueError for the first of its sort, then at every power of ten.

    A venue gone mad repeats itself thousands of times a second; the count says how often, the raw frames say what."""

    SORTS_MAX = 256

    def __init__(self, *, venue: int, stream: int) -> None:
        self.venue = venue
        self.stream = stream
        self.counts: dict[str, int] = {}

    def of(self, error: BadFrame, *, venue_code: int = 0) -> list[Out]:
        """The messages that this error is worth: one or none."""
        # Text of the venue is part of the key; a hostile one must not grow the table without end.
        key = error.key if error.key in self.counts or len(self.counts) < self.SORTS_MAX else "(other)"
        count = self.counts[key] = self.counts.get(key, 0) + 1
        if str(count).strip("0") != "1":
            return []
        message = VenueError(
            venue_code=venue_code, count=count, venue=self.venue, stream=self.stream, error=error.code, text=str(error)[:500]
        )
        return [Out(message)]


SNAPSHOT_ROW = int(Flag.SNAPSHOT)
