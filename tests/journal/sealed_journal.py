"""A sealed journal for tests, and the ways to tamper with it of somebody who knows the format as well as we do."""

from __future__ import annotations

import random
import struct
from pathlib import Path

from journal.chain import make_seals, store
from journal.segment import crc32c, read_header
from journal.writer import JournalWriter

MIB = 1 << 20
END = 0xFFFFFFFF


def write(path: Path, segments: int, *, stream_id: int = 9, nonce: int = 77, salt: int = 0, frames: int | None = None) -> None:
    """A journal with `segments` full segments and a beginning of one more; `salt` changes every body."""
    rng = random.Random(salt)
    with JournalWriter.open(path, stream_id=stream_id, nonce=nonce, segment_bytes=MIB) as w:
        w.begin_epoch()
        n = 0
        while w.c.segment <= segments if frames is None else n < frames:
            n += 1
            w.append_bytes(12_345, 1, rng.randbytes(8 * rng.randrange(20, 400)), ts=10 * n, source=1, source_seq=n)
        w.append_bytes(12_345, 1, b"the end.", ts=10 * n + 1, source=1, source_seq=n + 1)


def seal(path: Path, key=None) -> list:
    return [store(path, s, key.sign(s.chain) if key else "") for s in make_seals(path)]


def seed_of(data: bytes | bytearray) -> int:
    return crc32c(bytes(data[16:32]) + bytes(data[40:44]))


def frame_offsets(data: bytes | bytearray) -> list[int]:
    """Offsets of all frames of a segment's bytes."""
    found, at = [], struct.unpack_from("<I", data, 12)[0]
    while (length := struct.unpack_from("<I", data, at)[0]) not in (0, END):
        found.append(at)
        at += length
    return found


def fix_crcs(data: bytearray) -> None:
    """Give every frame and the end marker the crc that its bytes deserve."""
    seed, at = seed_of(data), struct.unpack_from("<I", data, 12)[0]
    while True:
        (length,) = struct.unpack_from("<I", data, at)
        size = 16 if length == END else length
        if not size:
            return
        crc = crc32c(bytes(data[at + 8 : at + size]), crc32c(struct.pack("<I", length), seed))
        struct.pack_into("<I", data, at + 4, crc)
        if length == END:
            return
        at += length


def last_frame(data: bytes | bytearray) -> tuple[int, int, int]:
    """seq, ts and crc of the last frame."""
    at = frame_offsets(data)[-1]
    seq, ts = struct.unpack_from("<Qq", data, at + 16)
    return seq, ts, struct.unpack_from("<I", data, at + 4)[0]


def relink(data: bytearray, before: bytes | bytearray) -> None:
    """Make a segment's open record continue another one."""
    seq, ts, crc = last_frame(before)
    struct.pack_into("<Q", data, 512, seq + 1)
    struct.pack_into("<qI", data, 528, ts, crc)
    struct.pack_into("<I", data, 548, crc32c(bytes(data[512:548]), crc32c(bytes(data[:64]))))


def header_of(path: Path, number: int):
    return read_header(path / f"{number:08d}.seg", number)
