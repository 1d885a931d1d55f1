"""Moving-average cross: long when the fast average of the mid is above the slow one, flat otherwise."""

from __future__ import annotations

from collections import deque

from apps.strategy import Qty, Strategy, on
from journal.messages import NULL, TopOfBook


class Averages:
    """Two running sums over the last `fast` and `slow` samples; compared without division."""

    def __init__(self, fast: int, slow: int) -> None:
        self.fast_n = fast
        self.slow_n = slow
        self.samples: deque[int] = deque(maxlen=slow)
        self.fast_sum = 0
        self.slow_sum = 0

    def add(self, value: int) -> None:
        """Take a sample."""
        if len(self.samples) >= self.fast_n:
            self.fast_sum -= self.samples[-self.fast_n]
        if len(self.samples) == self.slow_n:
            self.slow_sum -= self.samples[0]
        self.samples.append(value)
        self.fast_sum += value
        self.slow_sum += value

    @property
    def ready(self) -> bool:
        """Whether both windows are full."""
        return len(self.samples) == self.slow_n

    @property
    def fast_above(self) -> bool:
        """Whether the fast average is above the slow one (cross-multiplied: exact)."""
        return self.fast_sum * self.slow_n > self.slow_sum * self.fast_n


class Cross(Strategy):
    """Samples the mid of each instrument at most every `every_ms` milliseconds of stream time."""

    qty: Qty
    fast: int = 20
    slow: int = 100
    every_ms: int = 100

    def start(self) -> None:
        if not 0 < self.fast < self.slow:
            raise ValueError(f"fast = {self.fast}, slow = {self.slow}; expected 0 < fast < slow")
        self.averages: dict[int, Averages] = {}

    @on(TopOfBook, wake="touch_changed", every="every_ms")
    def touch(self, m: TopOfBook) -> None:
        if not self.trades(m.instrument):
            return
        if m.bid_px == NULL or m.ask_px == NULL:
            self.look_again(m.instrument)
            return
        averages = self.averages.setdefault(m.instrument, Averages(self.fast, self.slow))
        averages.add(m.mid2)
        if averages.ready:
            wanted = self.refdata.qty(m.instrument, self.qty) if averages.fast_above else 0
            if self.position(m.instrument) != wanted:
                self.target(m.instrument, wanted)
