"""The ring, obviously: what sequencer/kernel/ring.c does, as a list. Tests drive both and compare; nothing else uses it."""

from __future__ import annotations

from collections import deque

FRAME_BYTES_MAX = 1 << 20
OK, FULL, OVERSIZED = 0, -1, -2


class RingModel:
    """A single-producer, single-consumer queue of records with room for `ring_bytes` bytes of them."""

    def __init__(self, ring_bytes: int) -> None:
        self.ring_bytes = ring_bytes
        self.open: deque[tuple[int, bytes]] = deque()
        """Put, not yet committed: (source_seq, body padded to 8)."""
        self.committed: deque[tuple[int, bytes]] = deque()
        """What the consumer may see."""
        self.used = 0

    def put(self, source_seq: int, body: bytes) -> int:
        """Append a record behind the open batch."""
        body += bytes(-len(body) % 8)
        length = 64 + len(body)
        if length > min(self.ring_bytes // 2, FRAME_BYTES_MAX):
            return OVERSIZED
        if self.used + length > self.ring_bytes:
            return FULL
        self.open.append((source_seq, body))
        self.used += length
        return OK

    def commit(self) -> None:
        """Show the open batch to the consumer, all of it at once."""
        self.committed.extend(self.open)
        self.open.clear()

    def take(self, count: int) -> list[tuple[int, bytes]]:
        """Take up to `count` records out, oldest first; their room is free again."""
        taken = [self.committed.popleft() for _ in range(min(count, len(self.committed)))]
        self.used -= sum(64 + len(body) for _, body in taken)
        return taken
