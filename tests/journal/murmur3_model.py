"""MurmurHash3, x64, 128 bits, seed 0, as its author wrote it down: what the kernel must give."""

_WORD = (1 << 64) - 1
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F


def _turned(x: int, by: int) -> int:
    return (x << by | x >> (64 - by)) & _WORD


def _first(k: int) -> int:
    return _turned(k * _C1 & _WORD, 31) * _C2 & _WORD


def _second(k: int) -> int:
    return _turned(k * _C2 & _WORD, 33) * _C1 & _WORD


def _mixed(k: int) -> int:
    k = (k ^ k >> 33) * 0xFF51AFD7ED558CCD & _WORD
    k = (k ^ k >> 33) * 0xC4CEB9FE1A85EC53 & _WORD
    return k ^ k >> 33


def murmur3(data: bytes) -> bytes:
    """16 bytes, both halves with the lowest byte first."""
    h1 = h2 = 0
    whole = len(data) // 16 * 16
    for at in range(0, whole, 16):
        k1, k2 = (int.from_bytes(data[i : i + 8], "little") for i in (at, at + 8))
        h1 = ((_turned(h1 ^ _first(k1), 27) + h2) * 5 + 0x52DCE729) & _WORD
        h2 = ((_turned(h2 ^ _second(k2), 31) + h1) * 5 + 0x38495AB5) & _WORD
    rest = data[whole:]
    h1 ^= _first(int.from_bytes(rest[:8], "little")) ^ len(data)
    h2 ^= _second(int.from_bytes(rest[8:], "little")) ^ len(data)
    h1 = h1 + h2 & _WORD
    h2 = h2 + h1 & _WORD
    h1, h2 = _mixed(h1), _mixed(h2)
    h1 = h1 + h2 & _WORD
    h2 = h2 + h1 & _WORD
    return h1.to_bytes(8, "little") + h2.to_bytes(8, "little")
