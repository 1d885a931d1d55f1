"""The timers of one app: each token is due once, and they fall due in (due, order of request)."""

from __future__ import annotations

import heapq

from journal.messages import accelerator

NEVER = 2**63 - 1
"""Later than any frame."""
Row = tuple[int, int, int]
"""(due in ns of the stream, order of request, token)."""


class _Timers:
    """A dict of what is set, and a heap of what was asked for: what is set no more leaves it when it comes to the front."""

    __slots__ = ("_heap", "_set", "requests")

    def __init__(self) -> None:
        self.requests = 0
        """So many were asked for."""
        self._set: dict[int, tuple[int, int]] = {}  # token → (due, order of request)
        self._heap: list[Row] = []

    def __len__(self) -> int:
        """So many are set."""
        return len(self._set)

    def set(self, at: int, token: int) -> None:
        """Let a token be due at a time (ns), and at no other. A token is an integer of 64 bits, signed or not."""
        if not -(1 << 63) <= token < 1 << 64:
            raise OverflowError(f"timer {token}: expected a token of 64 bits")
        if not -(1 << 63) <= at < 1 << 63:
            raise OverflowError(f"timer {token}: due at {at}; expected ns in 64 bits")
        self.requests += 1
        self._put(at, self.requests, token)

    def _put(self, at: int, order: int, token: int) -> None:
        self._set[token] = (at, order)
        heapq.heappush(self._heap, (at, order, token))

    def cancel(self, token: int) -> None:
        """It is due no more."""
        self._set.pop(token, None)

    def due(self) -> int:
        """When the next is due; NEVER if there is none."""
        while self._heap and self._set.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else NEVER

    def pop(self, ts: int) -> int | None:
        """The token that is due first, if that is not after `ts`: it is set no more."""
        if self.due() > ts or not self._heap:
            return None
        token = heapq.heappop(self._heap)[2]
        del self._set[token]
        return token

    def rows(self) -> list[Row]:
        """All that are set, in the order in which they will fall due."""
        return sorted((due, order, token) for token, (due, order) in self._set.items())

    def restore(self, rows: list[Row], requests: int) -> None:
        """Be as another was that had these rows."""
        self.requests, self._set, self._heap = requests, {}, []
        for row in rows:
            self._put(*row)


_fast = accelerator.extension("apps.kernel._fast")
Timers: type[_Timers] = _fast.Timers if _fast is not None else _Timers
