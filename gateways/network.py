"""The network seam: every socket of every gateway is opened here, so that a simulator can replace the network as a whole.

A `Line` is one websocket that is kept open: connect, report, reconnect with a jittered back-off. Frames are handed over as
bytes, whole, in order; sending is synchronous, so what is published after `send` is published after the bytes were handed to
the kernel. The protocol itself is the sans-I/O one of `websockets`; no compression is offered, so a frame cannot inflate.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from journal.entropy import random_u64

OPEN_WITHIN_S = 5.0
PING_EVERY_S = 5.0
PONG_WITHIN_S = 10.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
STEADY_AFTER_S = 5.0
"""A connection that held this long counts as good: the next loss is retried at once again."""
SEND_BUFFER_BYTES_MAX = 1 << 20
"""A venue that stops reading while we keep asking is cut off, before memory is."""


class WebSocket(asyncio.Protocol):
    """One connection. Callbacks run inside the event loop's read, so that none overtakes another: opened, frames, closed."""

    def __init__(
        self,
        url: str,
        *,
        opened: Callable[[WebSocket], None],
        received: Callable[[bytes], None],
        closed: Callable[[str], None],
        max_frame_bytes: int,
    ) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_open, self._on_frame, self._on_close = opened, received, closed
        self._protocol = ClientProtocol(parse_uri(url), max_size=max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._alive_at = 0.0
        self._why = ""
        self._paused = False

    @property
    def is_open(self) -> bool:
        """Handshake done, not closing."""
        return self._protocol.state is State.OPEN and not self.closed.done()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._events()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._events()

    def connection_lost(self, exc: Exception | None) -> None:
        why = self._why or str(exc or "closed by the venue")
        self.closed.set_result(None)
        if self.opened.done():
            self._on_close(why)
        else:
            self.opened.set_exception(ConnectionError(why))

    def _events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            elif self._protocol.handshake_exc is not None:
                self.cut(f"handshake refused: {self._protocol.handshake_exc}")
            elif not self.opened.done():
                self._alive_at = asyncio.get_running_loop().time()
                self.opened.set_result(None)
                self._on_open(self)
        self._flush()
        if self._protocol.close_expected():
            # Whatever the reason, the session is over: nothing waits for the other side's politeness.
            error, goodbye = self._protocol.parser_exc, self._protocol.close_rcvd
            said = f"code {goodbye.code} {goodbye.reason}".rstrip() if goodbye else "closed by the venue"
            self._finish(f"{type(error).__name__}: {error}" if error else said)

    def _frame(self, frame: Frame) -> None:
        # Only whole frames prove life: a venue that drips one byte a minute into a frame is cut off by the timer.
        self._alive_at = asyncio.get_running_loop().time()
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._parts.append(bytes(frame.data))
            if frame.fin:
                data, self._parts = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0], []
                if not self._why:
                    self._on_frame(data)

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
        if self._transport.get_write_buffer_size() > SEND_BUFFER_BYTES_MAX:
            self.cut(f"the venue does not read: {self._transport.get_write_buffer_size()} bytes unsent")

    # Called by the line.

    def send(self, data: bytes) -> bool:
        """Hand one text frame to the socket. False: the connection is not open, nothing was handed over."""
        if not self.is_open or self._transport is None or self._transport.is_closing():
            return False
        self._protocol.send_text(data)
        self._flush()
        return True

    def cut(self, why: str) -> None:
        """End the connection at once."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """End the connection with a close frame, without waiting for the answer."""
        if self.is_open:
            self._protocol.send_close(1000)
            self._flush()
            self._finish("closed by us")

    def _finish(self, why: str) -> None:
        self._why = self._why or why
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # it does not read: nothing more is waited for
        else:
            self._transport.close()

    def pause(self, paused: bool) -> None:
        """Stop or go on reading: the venue then waits (or drops us), nothing piles up here."""
        if self._transport is None or self._transport.is_closing() or paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._alive_at = asyncio.get_running_loop().time()
            self._transport.resume_reading()

    async def keep_alive(self) -> None:
        """Ping while open; cut a connection on which no whole frame and no pong arrives any more."""
        loop = asyncio.get_running_loop()
        while self.is_open:
            await asyncio.sleep(PING_EVERY_S)
            if self._paused or not self.is_open:
                continue
            if loop.time() - self._alive_at > PING_EVERY_S + PONG_WITHIN_S:
                self.cut(f"nothing heard for {PING_EVERY_S + PONG_WITHIN_S:g} s")
            else:
                self._protocol.send_ping(b"")
                self._flush()


def backoff_s(failures: int) -> float:
    """How long to wait before the next attempt: doubling, between half and all of it, so that a crowd spreads out."""
    full: float = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures, 16))
    return full * (0.5 + random_u64() / 2**65)


class Line:
    """A websocket that is kept open until `stop`."""

    def __init__(
        self,
        url: str,
        *,
        opened: Callable[[], None],
        received: Callable[[bytes], None],
        closed: Callable[[str], None],
        max_frame_bytes: int,
    ) -> None:
        self.url = url
        self._on_open, self._on_frame, self._on_close = opened, received, closed
        self._max_frame_bytes = max_frame_bytes
        self._socket: WebSocket | None = None
        self._paused = False

    @property
    def is_open(self) -> bool:
        """Can something be sent now?"""
        return self._socket is not None and self._socket.is_open

    def send(self, data: bytes) -> bool:
        """Hand one frame to the socket, if there is one."""
        return self._socket is not None and self._socket.send(data)

    def cut(self, why: str) -> None:
        """End this connection; the line opens another one."""
        if self._socket is not None:
            self._socket.cut(why)

    def pause(self, paused: bool) -> None:
        """Stop or go on reading, over reconnections too."""
        self._paused = paused
        if self._socket is not None:
            self._socket.pause(paused)

    async def run(self) -> None:
        """Keep the line open until cancelled; hangs up then."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            since = loop.time()
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await self._one_connection()
            failures = 0 if loop.time() - since > STEADY_AFTER_S else failures + 1
            await asyncio.sleep(backoff_s(failures))

    async def _one_connection(self) -> None:
        loop = asyncio.get_running_loop()
        uri = parse_uri(self.url)
        async with asyncio.timeout(OPEN_WITHIN_S):
            _, socket = await loop.create_connection(self._new_socket, uri.host, uri.port)
            try:
                await socket.opened
            except BaseException:
                socket.cut("not opened in time")
                raise
        pings = loop.create_task(socket.keep_alive())
        try:
            await asyncio.shield(socket.closed)
        except asyncio.CancelledError:
            socket.hang_up()
            raise
        finally:
            pings.cancel()

    def _new_socket(self) -> WebSocket:
        return WebSocket(
            self.url, opened=self._opened, received=self._on_frame, closed=self._closed, max_frame_bytes=self._max_frame_bytes
        )

    def _opened(self, socket: WebSocket) -> None:
        self._socket = socket
        socket.pause(self._paused)
        self._on_open()

    def _closed(self, why: str) -> None:
        self._socket = None
        self._on_close(why)
