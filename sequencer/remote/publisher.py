"""A publisher whose sequencer is on another machine: the same class, the same ring, its other end served by a thread here.

The ring is the outbox as ever. The thread sends what was committed and frees what the far end has said to be safe; when the
connection ends it hangs up, and `reconnect` does what it always does: learns the last number on the stream, sends the rest.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from pathlib import Path
from typing import Any

import msgspec

from journal.errors import OperatingError
from sequencer.attach import AttachError, AttachReply
from sequencer.client import Publisher
from sequencer.kernel._sequencer import ffi, lib
from sequencer.remote.follower import connect
from sequencer.remote.settings import endpoint
from sequencer.remote.tls import Credentials
from sequencer.remote.wire import PROTOCOL, STATUS, Hello, Kind, Link, LinkError, Message, Refused, Welcome
from sequencer.rules import vocabulary_digest

SEND_MOST = 256 << 10
_DETACHED = 2


class RemotePublisher(Publisher):
    """One source's connection to a sequencer elsewhere."""

    def __init__(
        self, url: str, source: str, build: str, credentials: Credentials, plaintext: bool, times: tuple[float, float]
    ) -> None:
        super().__init__(Path(url), source, build)
        self.url = url
        scheme, _, rest = url.partition("://")
        try:
            self.endpoints = [endpoint(part) for part in rest.rstrip("/").split(",")]
        except ValueError as error:
            raise AttachError(f"{url}: {error}") from None
        if scheme == "tls" and not credentials:
            raise AttachError(f"{url}: needs credentials: certificate, key and authority files (or tcp:// on this machine)")
        self.credentials = credentials if scheme == "tls" else Credentials()
        self.plaintext = plaintext
        self.heartbeat_s, self.silence_s = times
        self._turn = 0
        self._pump: _Pump | None = None

    @classmethod
    def connect_to(
        cls, url: str, source: str, *, timeout_s: float = 10, build: str = "", credentials: Credentials | None = None,
        plaintext: bool = False, heartbeat_s: float = 1.0, silence_s: float = 5.0,
    ) -> RemotePublisher:  # fmt: skip
        """Attach as `source` at the first of the URL's servers that answers."""
        self = cls(url, source, build, credentials or Credentials(), plaintext, (heartbeat_s, silence_s))
        self._attach(timeout_s)
        self._producer.next_source_seq = self.last_source_seq + 1
        return self

    def _request(self, timeout_s: float) -> tuple[socket.socket, AttachReply, list[int]]:
        where = self.endpoints[self._turn % len(self.endpoints)]
        self._turn += 1
        try:
            link = connect(
                where, self.credentials, heartbeat_s=self.heartbeat_s, silence_s=min(self.silence_s, max(timeout_s, 0.1)),
                plaintext=self.plaintext,
            )  # fmt: skip
        except LinkError:
            raise
        except OperatingError as error:
            raise AttachError(str(error)) from None
        try:
            welcome = self._greet(link)
            link.silence_s = self.silence_s
            self._pump = _Pump(link, welcome)
            return self._pump.start(self.url, welcome)
        except BaseException:
            link.close()
            raise

    def close(self) -> None:
        """Hang up, once what was committed is safe at the far end, or the far end is gone."""
        super().close()
        if self._pump is not None:
            self._pump.join()

    def _greet(self, link: Link) -> Welcome:
        hello = Hello(PROTOCOL, "publisher", self.name, schema_digest=vocabulary_digest().hex(), build=self.build)
        link.send(Kind.HELLO, msgspec.json.encode(hello))
        while (m := link.receive()).kind == Kind.HEARTBEAT:
            pass
        if m.kind == Kind.REFUSED:
            no: Refused = m.as_(Refused)
            raise (AttachError if no.fatal else LinkError)(f"{link.peer}: {no.text}")
        if m.kind != Kind.WELCOME:
            raise LinkError(f"{link.peer}: a {m.kind.name} where none belongs")
        welcome: Welcome = m.as_(Welcome)
        return welcome


class _Pump:
    """The thread that plays the sequencer for a local ring. It owns the link and its own mapping of the ring."""

    def __init__(self, link: Link, welcome: Welcome) -> None:
        self.link = link
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._client_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ring = ffi.new("struct lockstep_ring *")
        self._woken = ffi.new("uint64_t *")
        self._at = ffi.new("uint8_t const **")
        self._ticket = 0
        self._sent = self._start = 0
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="remote-publisher", daemon=True)
        self._incarnation, self._source, self._ring_bytes = welcome.incarnation, welcome.source_id, welcome.ring_bytes

    def start(self, url: str, welcome: Welcome) -> tuple[socket.socket, AttachReply, list[int]]:
        """Make the ring, run; what the publisher gets."""
        ring_fd = lib.lockstep_ring_create(self._ring_bytes, self._source, self._incarnation)
        code = lib.lockstep_ring_map(ring_fd, self._ring) if ring_fd >= 0 else ring_fd
        if code:
            raise AttachError(f"{url}: no ring of {self._ring_bytes} bytes: {os.strerror(-code)}")
        self._start = self._sent = int(self._ring.page.head)
        words = ffi.new("uint64_t[6]", [welcome.last_source_seq, 0, 0, 0, 0, 1])
        lib.lockstep_ring_answer(self._ring, self._start, words, self._client_fd, self._woken)
        reply = AttachReply(
            source_id=self._source, incarnation=self._incarnation, last_source_seq=welcome.last_source_seq,
            epoch=welcome.epoch, ring_bytes=self._ring_bytes, journal=url,
        )  # fmt: skip
        fds = [ring_fd, os.dup(self._wake_fd), os.dup(self._client_fd)]
        self._thread.start()
        return self._theirs, reply, fds

    def join(self) -> None:
        """Until the thread has ended: it does when the far end has everything, or says nothing for too long."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        link = self.link
        link.wake_fd = self._wake_fd
        # A word that stands for the end of either side: the publisher's close, or the far end's silence.
        try:
            while True:
                while (m := link.arrived()) is not None:
                    self._hear(m)
                if self._send():
                    continue
                self._ticket += 1
                lib.lockstep_ring_park(self._ring, self._ticket)
                try:
                    if not self._span(1 << 30) and not self._left(0):
                        self._wait()
                finally:
                    lib.lockstep_ring_park(self._ring, 0)
                if self._left(0):
                    self._last_words()
                    return
        except LinkError:
            pass
        finally:
            words = ffi.new("uint64_t[6]")
            page = ffi.new("uint64_t[10]")
            lib.lockstep_page_words(self._ring.page, page)
            for i in range(6):
                words[i] = page[4 + i]
            if words[5] < _DETACHED:
                words[5] = _DETACHED
            lib.lockstep_ring_answer(self._ring, int(page[0]), words, self._client_fd, self._woken)
            link.close()
            self._ours.close()
            lib.lockstep_ring_unmap(self._ring)
            os.close(self._wake_fd)
            os.close(self._client_fd)

    def _left(self, timeout_s: float) -> bool:
        """Has the publisher hung up?"""
        return bool(select.select([self._ours], [], [], timeout_s)[0])

    def _wait(self) -> None:
        """Something to send, something to hear, or the publisher's end."""
        link = self.link
        link.hangup_fd = self._ours.fileno()
        link.wait()

    def _last_words(self) -> None:
        """The publisher has closed: what it had committed still goes, and is waited for."""
        while self._send():
            pass
        while self._acknowledged < self._sent:
            self._hear(self.link.receive())

    @property
    def _acknowledged(self) -> int:
        return int(self._ring.page.head)

    def _span(self, most: int) -> int:
        n = int(lib.lockstep_ring_span(self._ring, self._sent, most, self._at))
        if n == 2**64 - 1:
            raise LinkError("this publisher's ring is damaged")
        return n

    def _send(self) -> bool:
        n = self._span(SEND_MOST) or self._span(1 << 20)
        if not n:
            return False
        self.link.send(Kind.RECORDS, bytes(ffi.buffer(self._at[0], n)))
        self._sent += n
        return True

    def _hear(self, m: Message) -> None:
        if m.kind == Kind.STATUS:
            taken, *words = m.fields(STATUS)
            if not self._acknowledged - self._start <= taken <= self._sent - self._start:
                raise LinkError(f"{self.link.peer}: has taken {taken} bytes of {self._sent - self._start} sent")
            lib.lockstep_ring_answer(self._ring, self._start + taken, words, self._client_fd, self._woken)
        elif m.kind == Kind.REFUSED:
            no: Any = m.as_(Refused)
            raise LinkError(f"{self.link.peer}: {no.text}")
        elif m.kind != Kind.HEARTBEAT:
            raise LinkError(f"{self.link.peer}: a {m.kind.name} where none belongs")
