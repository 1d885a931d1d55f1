"""One client's way out: a bounded queue and the task that writes it to the socket.

The producer never waits for a client unless it asks to (`room`, for captures at full speed). A queue that is full ends the
client: `put` says so and the connection is cut without a close frame, as a venue does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

RESUME_SHARE = 2  # `room` lets the producer go on when the queue is down to limit / RESUME_SHARE


class Outlet:
    """Frames are bytes sent as text, or as binary where told."""

    def __init__(self, connection: ServerConnection, limit: int, on_slow: Callable[[Outlet], None]) -> None:
        self.connection = connection
        self._limit = limit
        self._on_slow = on_slow
        self._queue: deque[tuple[float, bytes, bool]] = deque()  # (not before, loop time; frame; as text)
        self._not_before = 0.0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._sending = False
        self.closed = False

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def peer(self) -> str:
        host, port = self.connection.remote_address[:2]
        return f"{host}:{port}"

    def put(self, frame: bytes, *, text: bool = True, delay_s: float = 0.0) -> None:
        """Queue a frame behind the others; a delay holds back everything behind it as well."""
        if self.closed:
            return
        if len(self._queue) >= self._limit:
            self._on_slow(self)
            self.cut()
            return
        if delay_s:
            self._not_before = max(self._not_before, asyncio.get_running_loop().time() + delay_s)
        self._queue.append((self._not_before, frame, text))
        self._filled.set()
        if len(self._queue) * RESUME_SHARE >= self._limit:
            self._drained.clear()

    def cut(self) -> None:
        """End the connection now, without a close frame."""
        self.closed = True
        self._queue.clear()
        self._filled.set()
        self._drained.set()
        self.connection.transport.abort()

    async def room(self) -> None:
        """Wait until the queue is not more than half full, or the client is gone."""
        await self._drained.wait()

    async def empty(self) -> None:
        """Wait until everything has been handed to the socket, or the client is gone."""
        while (self._queue or self._sending) and not self.closed:
            self._drained.clear()
            await self._drained.wait()

    async def write(self) -> None:
        """Runs for the life of the connection."""
        loop = asyncio.get_running_loop()
        try:
            while not self.closed:
                if not self._queue:
                    self._sending = False
                    self._drained.set()
                    self._filled.clear()
                    await self._filled.wait()
                    continue
                not_before, frame, text = self._queue[0]
                if not_before > loop.time():
                    await asyncio.sleep(not_before - loop.time())
                    continue
                self._sending = True
                self._queue.popleft()
                await self.connection.send(frame, text=text)
                if len(self._queue) * RESUME_SHARE < self._limit:
                    self._drained.set()
        except ConnectionClosed:
            pass
        finally:
            self.closed = True
            self._queue.clear()
            self._drained.set()
