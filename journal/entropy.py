"""The entropy seam: the only place where randomness enters. Stream ids and nonces need it; no app ever does."""

from __future__ import annotations

import os


def random_bytes(n: int) -> bytes:
    """n unpredictable bytes."""
    return os.urandom(n)


def random_u64() -> int:
    """An unpredictable 64-bit number, never 0."""
    while True:
        value = int.from_bytes(random_bytes(8), "little")
        if value:
            return value
