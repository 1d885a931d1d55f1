"""Journals for the tests of indices: a few full segments of a MiB, frames of many kinds, instruments and orders; and what may
be wrong with an index file."""

from __future__ import annotations

import random
import struct

from journal.index.layout import HEAD_BYTES
from journal.segment import crc32c
from journal.writer import JournalWriter

MIB = 1 << 20
KINDS = (4, 11, 30, 201, 206, 300, 302, 20_000)


def body(rng, kind, instruments, orders):
    """Fixed parts where the schema has the fields, any number of bytes behind; sometimes too short for them."""
    data = bytearray(rng.choice((0, 8, 64, 200, 200, 1000, 3000, 9000)))
    if kind in (201, 206) and len(data) >= 8:
        struct.pack_into("<I", data, 0, rng.choice(instruments))
    if kind in (300, 302) and len(data) >= 8:
        struct.pack_into("<Q", data, 0, rng.choice(orders))
    if kind == 300 and len(data) >= 128:
        struct.pack_into("<I", data, 124, rng.choice(instruments))
    if kind == 30 and len(data) >= 56:
        struct.pack_into("<QIH", data, 0, rng.randrange(1000), 1, rng.randrange(5))
    if kind == 11 and len(data) >= 56:
        struct.pack_into("<QIH", data, 0, 0, rng.randrange(9), rng.randrange(5))
    return bytes(data)


def fill(path, seed, *, segments=3, stream_id=7, nonce=1, until=None):
    """Write until there are so many segments (or frames); the path."""
    rng = random.Random(seed)
    instruments = [1 + rng.getrandbits(32) % (2**32 - 1) for _ in range(rng.choice((1, 3, 40)))]
    orders = [1 + rng.getrandbits(63) for _ in range(rng.choice((1, 5, 300)))]
    if rng.random() < 0.5:
        orders = [9 << 48 | n for n in range(1, len(orders) + 1)]
    phase = rng.randrange(50, 400)
    with JournalWriter.open(path, stream_id=stream_id, nonce=nonce, segment_bytes=MIB) as w:
        ts = 0
        while w.c.segment < segments and (until is None or w.last_seq < until):
            # Kinds come in phases, so that whole blocks are without some of them.
            few = KINDS[w.last_seq // phase % len(KINDS) :][:3]
            ts += rng.choice((1, 1, 5, 1000))
            kind = rng.choice(few)
            source = rng.choice((0, 1, 2, 40_000))
            w.append_bytes(
                kind, 1, body(rng, kind, instruments, orders), ts=ts, source=source,
                source_seq=w.last_seq if source else 0, incarnation=source and 1 + w.last_seq // 500,
            )  # fmt: skip
    return path


def damages(path, rng):
    """(name, how to damage the index file of segment 2) for every class there is."""
    file = path / "index" / "00000002.idx"
    good = file.read_bytes()

    def patched(at, data):
        return good[:at] + data + good[at + len(data) :]

    def resealed(at, data):
        head = patched(at, data)[: HEAD_BYTES - 4]
        return head + struct.pack("<I", crc32c(head)) + good[HEAD_BYTES:]

    yield "missing", None
    yield "empty", b""
    yield "garbage", rng.randbytes(5000)
    yield "zeros", bytes(len(good))
    for size in (1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 5, len(good) - 1):
        yield f"cut to {size}", good[:size]
    for _ in range(60):
        bit = rng.randrange(len(good) * 8)
        yield f"bit {bit}", patched(bit // 8, bytes([good[bit // 8] ^ 1 << bit % 8]))
    yield "of another segment", (path / "index" / "00000001.idx").read_bytes()
    yield "of another format", resealed(8, struct.pack("<I", 1))
    yield "of another stream", resealed(16, struct.pack("<Q", 8))
    yield "of another life of the file", resealed(24, struct.pack("<Q", 3))
    yield "of another last frame", resealed(80, struct.pack("<I", 1))
    yield "offsets outside", resealed(88, struct.pack("<II", 2**32 - 8, 2**32 - 8))
