"""Is a recorded capture in a journal? Compared message by message, byte for byte, in order; nothing is taken on trust."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateways.sim.market_data import MARKET_STREAM
from journal.frames import frames
from journal.messages import Direction, RawMessage
from lockstep.feeds import capture_frames


def market_messages(journal: Path) -> Iterator[bytes]:
    """What the market stream received, message by message; long ones joined from their parts."""
    parts: list[bytes] = []
    for frame in frames(journal, kinds=[RawMessage.KIND]):
        m = frame.message
        assert isinstance(m, RawMessage)
        if m.stream == MARKET_STREAM and m.direction == Direction.IN:
            parts.append(m.data)
            if m.part == m.parts - 1:
                yield b"".join(parts)
                parts.clear()


def recorded_in(journal: Path, capture: Path) -> int:
    """How many of the capture's messages, from its first on, the journal has, verbatim and in order.

    Answers to our own depth requests may stand between them."""
    recorded = capture_frames((str(capture),))
    found = 0
    _, wanted = next(recorded, (0, None))
    for data in market_messages(journal):
        if data == wanted:
            found += 1
            _, wanted = next(recorded, (0, None))
    return found
