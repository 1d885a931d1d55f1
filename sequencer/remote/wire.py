"""The words of the protocol, one head of 24 bytes before each, and a connection that carries them.

Nothing that arrives is believed: heads have a crc, lengths have bounds by kind, what was not asked for ends the connection.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec

from journal.errors import OperatingError
from journal.segment import crc32c

PROTOCOL = 1
HEAD = struct.Struct("<HHIIIQ")
"""kind, zero, payload bytes, crc of the head (crc as 0) and, but for DATA and RECORDS, the payload; word; value."""
ACK = struct.Struct("<QQ")
"""written_seq, durable_seq of the follower."""
MARKS = struct.Struct("<QQ")
"""written_seq, replicated_seq of the server."""
STATUS = struct.Struct("<QQQQQQQ")
"""Bytes taken out of the ring since the connection began, then six words of its page: accepted_source_seq and those behind."""
PROBED = struct.Struct("<I32s")
"""Epoch and digest of the frame that was asked for."""
SMALL_MAX = 1 << 16
SCHEMA_MAX = 4 << 20
CHUNK_MAX = 1 << 20
SEND_BUFFER_BYTES = 2 << 20


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    WELCOME = 2
    REFUSED = 3
    HEARTBEAT = 4
    PROBE = 5
    PROBED = 6
    START = 7
    SEGMENT = 8
    OPEN = 9
    DATA = 10
    END = 11
    ACK = 12
    MARKS = 13
    RECORDS = 20
    STATUS = 21


_LIMIT = {Kind.SEGMENT: SCHEMA_MAX, Kind.DATA: CHUNK_MAX, Kind.RECORDS: CHUNK_MAX}
_BARE = (Kind.DATA, Kind.RECORDS)
"""Their payload is frames: the frame's own crc, and the sequencer's admission, look after it."""


class LinkError(OperatingError, ConnectionError):
    """The connection is of no use any more: ended, silent, or it carried something that no peer of ours says."""


class Hello(msgspec.Struct, forbid_unknown_fields=True):
    """The first word of who connects."""

    protocol: int
    role: str
    """follower, publisher, or peer (says its epoch and leaves)."""
    name: str
    stream_id: int = 0
    """0: any, the folder is new."""
    format: int = 0
    known_epoch: int = 0
    last_seq: int = 0
    segment: int = 0
    """Where the next frame goes: the segment, and the byte in it."""
    offset: int = 0
    digest: str = ""
    """Of the last frame, as sequencer.remote.position makes it."""
    open_crc: int = 0
    """Of the open record of that segment: it stands for the segment's nonce too."""
    schema_digest: str = ""
    build: str = ""


class Welcome(msgspec.Struct, forbid_unknown_fields=True):
    """The answer to a follower or publisher that may stay."""

    stream_id: int
    epoch: int
    segment_bytes: int = 0
    same: bool = False
    """The follower's last frame is ours too: nothing lies between us."""
    last_seq: int = 0
    replicated_seq: int = 0
    decides: bool = False
    """This follower's disk alone makes `replicated`: what it has acknowledged may have been acted upon."""
    source_id: int = 0
    incarnation: int = 0
    last_source_seq: int = 0
    ring_bytes: int = 0


class Refused(msgspec.Struct, forbid_unknown_fields=True):
    """No, and why. `epoch`: the higher epoch that the refused side must know of; `fatal`: trying again is of no use."""

    text: str
    epoch: int = 0
    fatal: bool = False


class Message(msgspec.Struct):
    """One message. Of DATA the payload is still on the wire."""

    kind: Kind
    word: int
    value: int
    size: int
    payload: bytes = b""

    def as_(self, type_: type[Any]) -> Any:
        """The JSON payload as a struct; LinkError when it is none."""
        try:
            return msgspec.json.decode(self.payload, type=type_)
        except msgspec.MsgspecError as error:
            raise LinkError(f"a {self.kind.name} that is none: {error}") from None

    def fields(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The fixed payload; LinkError when it has another size."""
        if len(self.payload) != layout.size:
            raise LinkError(f"a {self.kind.name} of {len(self.payload)} bytes; expected {layout.size}")
        return layout.unpack(self.payload)


def head(kind: Kind, payload_bytes: int, word: int = 0, value: int = 0, payload: bytes = b"") -> bytes:
    """The 24 bytes before a payload."""
    crc = crc32c(HEAD.pack(kind, 0, payload_bytes, 0, word, value))
    return HEAD.pack(kind, 0, payload_bytes, crc32c(payload, crc) if payload else crc, word, value)


class Link:
    """A connection, plain or TLS, used by one thread. It never waits longer than `silence_s` for a peer that says nothing."""

    def __init__(self, sock: socket.socket, peer: str, *, heartbeat_s: float, silence_s: float) -> None:
        self.socket = sock
        self.peer = peer
        self.plain = not isinstance(sock, ssl.SSLSocket)
        self.heartbeat_s = heartbeat_s
        self.silence_s = silence_s
        self.heard = self.said = time.monotonic()
        self.wake_fd = -1
        """An eventfd; `on_wake` is called when it fires during a wait."""
        self.hangup_fd = -1
        """A descriptor whose readability ends a wait, and nothing more."""
        self.on_wake: Callable[[], None] = lambda: None
        self.on_idle: Callable[[], None] = self.heartbeat
        """Called when nothing was said for heartbeat_s during a wait."""
        self._in = bytearray()
        self._waiting = False
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The kernel would grow it to about this, slowly. What is received is left to the kernel: far away it takes more.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    # ---- waiting

    def _wait(self, events: int) -> None:
        """Until the socket is ready, the wake fd fired or it is time to say something; LinkError after a silence."""
        if self._waiting:  # a send inside on_wake or on_idle: only the socket counts
            self._poll(events, self.silence_s, wake=False)
            return
        self._waiting = True
        try:
            now = time.monotonic()
            if now - self.said >= self.heartbeat_s:
                self.on_idle()
            self._poll(events, max(0.001, self.heartbeat_s - (time.monotonic() - self.said)), wake=True)
        finally:
            self._waiting = False
        self._mind_the_silence()

    def _mind_the_silence(self) -> None:
        """LinkError where the peer has said nothing for too long. What it said while this process stood still has arrived."""
        if time.monotonic() - self.heard <= self.silence_s:
            return
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        if not poller.poll(0):
            raise LinkError(f"{self.peer}: silent for {self.silence_s:g} s")

    def _poll(self, events: int, timeout_s: float, *, wake: bool) -> None:
        poller = select.poll()
        poller.register(self.socket, events)
        if wake and self.wake_fd >= 0:
            poller.register(self.wake_fd, select.POLLIN)
        if wake and self.hangup_fd >= 0:
            poller.register(self.hangup_fd, select.POLLIN)
        for fd, _ in poller.poll(timeout_s * 1000):
            if wake and fd == self.wake_fd:
                os.eventfd_read(fd)
                self.on_wake()

    def wait(self) -> None:
        """Until something may have arrived or the wake fd fired."""
        if not (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            self._wait(select.POLLIN)

    # ---- sending

    def send(self, kind: Kind, payload: bytes = b"", *, word: int = 0, value: int = 0) -> None:
        """A whole small message."""
        bare = kind in _BARE
        self.send_bytes(head(kind, len(payload), word, value, b"" if bare else payload) + payload)

    def send_bytes(self, data: bytes | memoryview) -> None:
        """Bytes as they are."""
        view = memoryview(data)
        while len(view):
            try:
                sent = self.socket.send(view, 0 if not self.plain else socket.MSG_NOSIGNAL)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
                self._blocked(error)
                continue
            except OSError as error:
                raise LinkError(f"{self.peer}: {error.strerror or error}") from None
            view = view[sent:]
        self.said = time.monotonic()

    def send_file(self, fd: int, offset: int, count: int) -> None:
        """Bytes of a file, without copying them. Plain connections only."""
        while count:
            try:
                sent = os.sendfile(self.socket.fileno(), fd, offset, count)
            except BlockingIOError as error:
                self._blocked(error)
                continue
            except OSError as error:
                raise LinkError(f"{self.peer}: {error.strerror or error}") from None
            if not sent:
                raise LinkError(f"{self.peer}: the file ends before byte {offset}")
            offset, count = offset + sent, count - sent
        self.said = time.monotonic()

    def _blocked(self, error: OSError) -> None:
        """The peer does not take more now: hear what it says meanwhile, so that two senders never wait for each other."""
        self._take(once=True)
        events = select.POLLIN if isinstance(error, ssl.SSLWantReadError) else select.POLLIN | select.POLLOUT
        was, self._waiting = self._waiting, True  # a message is half said: nothing may be put into it
        try:
            self._poll(events, self.heartbeat_s, wake=False)
        finally:
            self._waiting = was
        self._mind_the_silence()

    def heartbeat(self) -> None:
        """Say that we are here."""
        self.send(Kind.HEARTBEAT)

    # ---- receiving

    def _recv(self, view: memoryview) -> int:
        """Bytes received, 0: none yet."""
        try:
            n = self.socket.recv_into(view)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            raise LinkError(f"{self.peer}: {error.strerror or error}") from None
        if n == 0:
            raise LinkError(f"{self.peer}: the connection ended")
        self.heard = time.monotonic()
        return n

    def _take(self, *, once: bool = False) -> None:
        """Everything that has arrived, into our buffer; bounded, for who sends more than we read is no peer."""
        piece = memoryview(bytearray(SMALL_MAX))
        while n := self._recv(piece):
            self._in += piece[:n]
            if len(self._in) > 2 * CHUNK_MAX + SCHEMA_MAX:
                raise LinkError(f"{self.peer}: sends more than was asked for")
            if once:
                return

    def read_into(self, view: memoryview) -> int:
        """Some bytes of a payload, waiting for them: at least one."""
        if self._in:
            n = min(len(view), len(self._in))
            view[:n] = self._in[:n]
            del self._in[:n]
            return n
        while not (n := self._recv(view)):
            self._wait(select.POLLIN)
        return n

    def buffered(self) -> int:
        """Bytes that were received while we sent."""
        return len(self._in)

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = bytearray(size)
        view = memoryview(data)
        done = 0
        while done < size:
            done += self.read_into(view[done:])
        return bytes(data)

    def receive(self) -> Message:
        """The next message, waiting for it."""
        return self._parse(self.read(HEAD.size), self.read)

    def _parse(self, raw: bytes, more: Callable[[int], bytes]) -> Message:
        number, zero, size, crc, word, value = HEAD.unpack(raw)
        expected = crc32c(HEAD.pack(number, zero, size, 0, word, value))
        known = number in Kind._value2member_map_
        if not known or zero or size > _LIMIT.get(Kind(number), SMALL_MAX) or (Kind(number) in _BARE and crc != expected):
            raise LinkError(f"{self.peer}: sent something that is no message (kind {number}, {size} bytes)")
        kind = Kind(number)
        if kind == Kind.DATA:
            return Message(kind, word, value, size)
        payload = more(size) if size else b""
        if kind not in _BARE and crc != (crc32c(payload, expected) if payload else expected):
            raise LinkError(f"{self.peer}: a {kind.name} with a wrong crc")
        return Message(kind, word, value, size, payload)

    def arrived(self) -> Message | None:
        """The next message if all of it has arrived; never waits."""
        self._take(once=len(self._in) >= HEAD.size)
        if len(self._in) < HEAD.size:
            return None
        size = HEAD.unpack_from(self._in)[2]
        if size > CHUNK_MAX:
            raise LinkError(f"{self.peer}: sent something that is no message ({size} bytes)")
        if len(self._in) < HEAD.size + size:
            return None
        raw, payload = bytes(self._in[: HEAD.size]), bytes(self._in[HEAD.size : HEAD.size + size])
        message = self._parse(raw, lambda _: payload)
        del self._in[: HEAD.size + size]
        return message

    def refuse(self, text: str, *, epoch: int = 0, fatal: bool = False) -> LinkError:
        """Say no; the error to raise."""
        with contextlib.suppress(LinkError):
            self.send(Kind.REFUSED, msgspec.json.encode(Refused(text, epoch, fatal)))
        return LinkError(f"{self.peer}: refused: {text}")

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
