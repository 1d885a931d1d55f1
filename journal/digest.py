"""BLAKE3 of files and of parts of them, with the chaining values of their 64 KiB blocks.

The digest is the one that any other BLAKE3 program gives for the same bytes; the block values are inner nodes of its tree,
so that a difference has a place. The work is C and lets go of the GIL.
"""

from __future__ import annotations

from typing import Any

from journal.kernel._journal import ffi, lib

BLOCK = int(lib.LOCKSTEP_B3_BLOCK)
DIGEST = int(lib.LOCKSTEP_B3_DIGEST)


class BlockHash:
    """The digest of a growing prefix of bytes that do not change: each whole block is hashed once."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = ffi.from_buffer(buffer)
        self._values = bytearray()

    @property
    def values(self) -> bytes:
        """32 bytes for each whole block hashed so far."""
        return bytes(self._values)

    def extend(self, upto: int) -> None:
        """Hash the whole blocks below byte `upto`."""
        done, blocks = len(self._values) // DIGEST, upto // BLOCK
        if blocks > done:
            fresh = bytearray(DIGEST * (blocks - done))
            lib.lockstep_b3_blocks(self._buffer, done, blocks - done, ffi.from_buffer(fresh))
            self._values += fresh

    def digest(self, upto: int) -> bytes:
        """BLAKE3 of the first `upto` bytes."""
        self.extend(upto)
        out = bytearray(DIGEST)
        lib.lockstep_b3_root(self._buffer, upto, ffi.from_buffer(self._values), ffi.from_buffer(out))
        return bytes(out)


def blake3(data: Any) -> bytes:
    """BLAKE3-256 of a buffer."""
    return BlockHash(data).digest(len(data))
