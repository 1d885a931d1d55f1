"""The 64-byte header that opens every frame, and its flags. Offsets and meanings: docs/journal-format.md."""

from __future__ import annotations

import enum
import struct

import msgspec

HEADER_BYTES = 64
FRAME_BYTES_MAX = 1 << 20
SEQUENCER_SOURCE = 0
HEADER = struct.Struct("<IIHHHHQqqQQII")
assert HEADER.size == HEADER_BYTES

OWN_CAUSE = 1 << 63
"""Set in `cause` by a publisher: the rest is a `source_seq` of its own, which the sequencer replaces by the seq that message
got. So an event can name the raw message it was made of, though both were published in one breath."""


class Flag(enum.IntFlag):
    """Header flags, docs/journal-format.md."""

    LAST = 1 << 0
    SNAPSHOT = 1 << 1
    POSS_RESEND = 1 << 2
    SYNTHETIC = 1 << 3
    SIMULATED = 1 << 4
    IMPORTED = 1 << 5
    SHADOW = 1 << 6
    LATE = 1 << 7
    ATOMIC = 1 << 8


class Header(msgspec.Struct, frozen=True):
    """One decoded frame header; field order is wire order."""

    length: int
    crc32c: int
    kind: int
    version: int
    flags: int
    source: int
    seq: int
    ts: int
    origin_ts: int
    source_seq: int
    cause: int
    epoch: int
    incarnation: int

    @classmethod
    def unpack(cls, buffer: bytes | memoryview, at: int = 0) -> Header:
        """The header at an offset of a buffer."""
        return cls(*HEADER.unpack_from(buffer, at))
