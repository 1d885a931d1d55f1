"""A second reader of the journal, written from docs/journal-format.md alone: slow, obvious, no C, nothing shared.

`read_stream` gives the frames of the longest valid stream, as bytes, and says how it ended.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

END = 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


_TABLE = []
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = (_c >> 1) ^ (0x82F63B78 if _c & 1 else 0)
    _TABLE.append(_c)


def crc32c_fast(data: bytes) -> int:
    """The same, a byte at a time: for whole segments."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class Segment:
    """One segment file, checked; `.open` is None or (first_seq, durable_seq, prev_last_ts, prev_last_crc, epoch)."""

    def __init__(self, path: Path) -> None:
        self.data = data = path.read_bytes()
        assert data[0:8] == b"LKSTPSEG", path
        self.format, self.frames_at = struct.unpack_from("<II", data, 8)
        assert self.format == 1
        self.stream_id, self.nonce, self.segment_bytes = struct.unpack_from("<QQQ", data, 16)
        self.number, self.schema_bytes, self.schema_crc = struct.unpack_from("<III", data, 40)
        assert crc32c_fast(data[0:60]) == struct.unpack_from("<I", data, 60)[0]
        assert len(data) == self.segment_bytes
        assert self.number == int(path.stem)
        self.schema = data[4096 : 4096 + self.schema_bytes]
        assert crc32c_fast(self.schema) == self.schema_crc
        assert self.frames_at == 4096 + -(-self.schema_bytes // 4096) * 4096
        first, durable, ts, crc, epoch, _, open_crc = struct.unpack_from("<QQqIIII", data, 512)
        opened = crc32c_fast(data[0:64] + data[512:548]) == open_crc
        self.open = (first, durable, ts, crc, epoch) if opened else None

    def crc_of(self, at: int, length: int, size: int) -> int:
        """crc(stream_id ‖ nonce ‖ number ‖ length ‖ bytes 8 …)"""
        seed = struct.pack("<QQI", self.stream_id, self.nonce, self.number)
        return crc32c_fast(seed + struct.pack("<I", length) + self.data[at + 8 : at + size])


def read_stream(folder: Path) -> tuple[list[bytes], str]:
    """Frames (whole, as bytes) and the end: "tail", "corrupt" or "next" (the next segment is not open)."""
    frames: list[bytes] = []
    seq, ts, crc, epoch = 0, 0, 0, 0
    numbers = sorted(int(p.stem) for p in folder.iterdir() if re.fullmatch(r"\d{8}\.seg", p.name))
    for number in numbers:
        segment = Segment(folder / f"{number:08d}.seg")
        if segment.open is None:
            return frames, "next"
        first, _, prev_ts, prev_crc, _ = segment.open
        if (first, prev_ts, prev_crc) != (seq + 1, ts, crc):
            return frames, "corrupt"
        at = segment.frames_at
        while True:
            (length,) = struct.unpack_from("<I", segment.data, at)
            (own_crc,) = struct.unpack_from("<I", segment.data, at + 4)
            if length == 0:
                return frames, "tail" if not any(segment.data[at:]) else "corrupt"
            if length == END:
                if own_crc != segment.crc_of(at, END, 16) or struct.unpack_from("<Q", segment.data, at + 8)[0] != seq + 1:
                    return frames, "corrupt"
                break
            if length % 8 or not 64 <= length <= 1 << 20 or at + length > segment.segment_bytes - 16:
                return frames, "corrupt"
            if own_crc != segment.crc_of(at, length, length):
                return frames, "corrupt"
            own_seq, own_ts = struct.unpack_from("<Qq", segment.data, at + 16)
            (own_epoch,) = struct.unpack_from("<I", segment.data, at + 56)
            if own_seq != seq + 1 or own_ts <= ts or own_epoch < epoch:
                return frames, "corrupt"
            frames.append(segment.data[at : at + length])
            seq, ts, crc, epoch = own_seq, own_ts, own_crc, own_epoch
            at += length
    return frames, "next"
