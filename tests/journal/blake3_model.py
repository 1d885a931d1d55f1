"""BLAKE3 as its specification tells it, one word at a time: what the kernel is compared with."""

from __future__ import annotations

import struct

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
MASK = 0xFFFFFFFF


def _rotate(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) & MASK


def _mix(v: list[int], a: int, b: int, c: int, d: int, x: int, y: int) -> None:
    for word, first, second in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & MASK
        v[d] = _rotate(v[d] ^ v[a], first)
        v[c] = (v[c] + v[d]) & MASK
        v[b] = _rotate(v[b] ^ v[c], second)


def compress(h: tuple[int, ...], block: bytes, size: int, counter: int, flags: int) -> tuple[int, ...]:
    m = struct.unpack("<16I", block)
    v = [*h, *IV[:4], counter & MASK, counter >> 32, size, flags]
    for _ in range(7):
        for i in range(4):
            _mix(v, i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1])
        for i in range(4):
            _mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i])
        m = tuple(m[p] for p in PERMUTATION)
    return tuple(v[i] ^ v[i + 8] for i in range(8))


def node(data: bytes, counter: int = 0, root: int = 0) -> bytes:
    """The chaining value of the subtree over `data`, whose first chunk is number `counter` of the input."""
    if len(data) <= 1024:
        h = IV
        blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
        for i, block in enumerate(blocks):
            last = i == len(blocks) - 1
            flags = CHUNK_START * (i == 0) | (CHUNK_END | root) * last
            h = compress(h, block.ljust(64, b"\0"), len(block), counter, flags)
    else:
        left = 1024
        while 2 * left < len(data):
            left *= 2
        pair = node(data[:left], counter) + node(data[left:], counter + left // 1024)
        h = compress(IV, pair, 64, 0, PARENT | root)
    return struct.pack("<8I", *h)


def blake3(data: bytes) -> bytes:
    return node(data, 0, ROOT)
