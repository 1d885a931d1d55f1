"""The market stream's subscribers, and the frames that go to all of them, faults included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gateways.sim.exchange.faults import Faults
from gateways.sim.exchange.feed import MarketFrame
from gateways.sim.exchange.outlet import Outlet

_OVERSIZE_HEAD, _OVERSIZE_TAIL = b'{"stream":"', b'","data":{}}'


class Subscriber:
    """`streams` empty: everything."""

    def __init__(self, outlet: Outlet, streams: frozenset[str]) -> None:
        self.outlet = outlet
        self._streams = streams

    def wants(self, stream: str) -> bool:
        # A snapshot has no stream name and belongs to the book, which everyone may have asked for.
        return not self._streams or not stream or stream in self._streams


class Hub:
    def __init__(self, faults: Faults, symbol: str) -> None:
        self._faults = faults
        self.symbol = symbol
        self._depth_stream = f"{symbol.lower()}@depth@0ms"
        self._subscribers: dict[Subscriber, None] = {}
        self.first = asyncio.Event()  # the first subscriber has come
        self._present = asyncio.Event()
        self.frames = 0

    def join(self, subscriber: Subscriber) -> None:
        self._subscribers[subscriber] = None
        self.first.set()
        self._present.set()

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.pop(subscriber, None)
        if not self._subscribers:
            self._present.clear()

    def publish(self, frames: Iterable[MarketFrame]) -> None:
        for stream, text, kind in frames:
            self.frames += 1
            swallowed = kind == "depth" and self._faults.take("gap")
            if not swallowed:
                for subscriber in list(self._subscribers):
                    if subscriber.wants(stream):
                        subscriber.outlet.put(text)
            for name in self._faults.on_market_frame():
                self.misbehave(name, self._faults.oversize_bytes)

    def misbehave(self, name: str, size: int) -> None:
        actions: dict[str, Callable[[Outlet], None]] = {
            "drop_market": Outlet.cut,
            "garbage": lambda o: o.put(f'{{"stream":"{self._depth_stream}","data":{{"e":'.encode()),
            "binary": lambda o: o.put(bytes(range(256)), text=False),
            "oversize": lambda o: o.put(_OVERSIZE_HEAD.ljust(size - len(_OVERSIZE_TAIL), b"x") + _OVERSIZE_TAIL),
        }
        if name == "gap":
            self._faults.armed["gap"] += 1
            return
        for subscriber in list(self._subscribers):
            actions[name](subscriber.outlet)

    async def present(self) -> None:
        """Wait until there is a subscriber."""
        await self._present.wait()

    async def room(self) -> None:
        """Wait for the slowest subscriber."""
        for subscriber in list(self._subscribers):
            await subscriber.outlet.room()

    async def empty(self) -> None:
        for subscriber in list(self._subscribers):
            await subscriber.outlet.empty()
