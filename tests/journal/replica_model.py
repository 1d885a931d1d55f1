"""The slow, obvious twin of journal/kernel/replica.c: what a follower may show of the bytes it has received."""

from __future__ import annotations

import struct

from journal.segment import crc32c

HEAD = struct.Struct("<IIHHHHQqqQQII")


class ReplicaModel:
    """Keeps everything received; shows the frames that are whole and right, in order; forgets a run that is wrong."""

    def __init__(self, seed: int, last_seq: int, last_ts: int, epoch: int, room: int) -> None:
        self.seed, self.last_seq, self.last_ts, self.epoch, self.room = seed, last_seq, last_ts, epoch, room
        self.shown = b""
        self.held = b""

    def advance(self, data: bytes) -> bool:
        """True when nothing was wrong."""
        self.held += data
        seq, ts, epoch, at = self.last_seq, self.last_ts, self.epoch, 0
        while len(self.held) - at >= 8:
            length, crc = struct.unpack_from("<II", self.held, at)
            if length % 8 or not 64 <= length <= 1 << 20 or length > self.room - len(self.shown) - at:
                self.held = b""
                return False
            if length > len(self.held) - at:
                break
            frame = self.held[at : at + length]
            fields = HEAD.unpack_from(frame)
            if crc32c(frame[:4] + frame[8:], self.seed) != crc or fields[6] != seq + 1 or fields[7] <= ts or fields[11] < epoch:
                self.held = b""
                return False
            seq, ts, epoch, at = fields[6], fields[7], fields[11], at + length
        self.last_seq, self.last_ts, self.epoch = seq, ts, epoch
        self.shown += self.held[:at]
        self.held = self.held[at:]
        return True
