"""Who is attached: from a connection's request to a lane of the loop, and back when it ends."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from journal.logs import Log
from journal.messages import Reason, SourceStateCode
from sequencer.attach import REQUEST_BYTES_MAX, AttachReply, AttachRequest, peer, send_reply
from sequencer.flow import Lockout
from sequencer.kernel._sequencer import ffi, lib
from sequencer.rules import vocabulary_digest
from sequencer.session import Source

_LOG = Log("sequencer")


class Refusal(Exception):
    """One line for a publisher that gets no ring; retry_in_s: when it would get one."""

    def __init__(self, line: str, retry_in_s: float = 0.0) -> None:
        super().__init__(line)
        self.retry_in_s = retry_in_s


class Fenced(Exception):
    """A higher epoch of this stream has begun on another machine."""


class Lane(msgspec.Struct):
    """An attached publisher."""

    index: int
    source: Source
    connection: socket.socket
    fds: list[int]


class Publishers:
    """Lanes by connection. Runs in the control plane's thread."""

    def __init__(
        self, loop: Any, sources: dict[str, Source], ring_bytes: int, epoch: int, journal: Path, command: Callable[..., None]
    ) -> None:
        self._loop = loop
        self._sources = sources
        self._ring_bytes = ring_bytes
        self._epoch = epoch
        self._journal = journal
        self._command = command
        self._digest = vocabulary_digest().hex()
        self._lockout = Lockout()
        self._lanes: dict[socket.socket, Lane] = {}
        self._replaced: list[socket.socket] = []

    def hear(self, connection: socket.socket) -> bool:
        """Something came: an attach request, or the end. False: hang up."""
        try:
            data = connection.recv(REQUEST_BYTES_MAX + 1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data or connection in self._lanes:
            return False  # the end, or a publisher that speaks out of turn
        try:
            self._attach(connection, self._check(connection, data))
        except (Refusal, OSError) as error:
            retry_in_s = error.retry_in_s if isinstance(error, Refusal) else 0.0
            _LOG.warning("attach refused", why=error)
            # A peer that does not read its answer has none.
            with contextlib.suppress(OSError):
                send_reply(connection, AttachReply(error=str(error), retry_in_ms=math.ceil(retry_in_s * 1000)))
            return False
        return True

    def _check(self, connection: socket.socket, data: bytes) -> tuple[Source, str]:
        if len(data) > REQUEST_BYTES_MAX:
            raise Refusal(f"attach request longer than {REQUEST_BYTES_MAX} bytes")
        try:
            request = msgspec.json.decode(data, type=AttachRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(f'attach request: {error}; expected {{"source", "build", "schema_digest"}} as JSON') from None
        source = self._sources.get(request.source)
        if source is None:
            raise Refusal(
                f"source {request.source[:128]!r} is not configured for {self._journal}; known: {', '.join(self._sources)}"
            )
        pid, uid = peer(connection)
        if uid != source.uid:
            raise Refusal(f"source {source.name} belongs to user {source.uid}; process {pid} runs as user {uid}")
        if request.schema_digest != self._digest:
            raise Refusal(
                f"source {source.name}: schema {request.schema_digest[:16]!r}; this sequencer has {self._digest[:16]!r}: "
                "both must run the same version"
            )
        if request.fenced_epoch > self._epoch:
            raise Fenced(
                f"{self._journal}: epoch {request.fenced_epoch} has begun elsewhere; this writer of {self._epoch} ends"
            )
        if seconds := self._lockout.locked_for_s(source.name):
            raise Refusal(f"source {source.name}: attached too often; locked out for {seconds:.2f} s", seconds)
        return source, request.build

    def _attach(self, connection: socket.socket, asked: tuple[Source, str]) -> None:
        source, build = asked
        attached = [lane for lane in self._lanes.values() if lane.source is source]
        if len(attached) >= source.copies:
            # One whose process is gone and was not missed yet before one that is alive; of these the oldest.
            old = next((lane for lane in attached if _has_hung_up(lane.connection)), attached[0])
            self._drop(old, SourceStateCode.REPLACED, Reason.STALE_INCARNATION)
            self._replaced.append(old.connection)
        index = next((i for i in range(lib.LOCKSTEP_LANES_MAX) if not self._loop.lane[i].used), None)
        if index is None:
            raise Refusal(f"all {lib.LOCKSTEP_LANES_MAX} rings of this sequencer are attached")
        state = source.state
        ring_bytes = source.ring_bytes or self._ring_bytes
        ring_fd = lib.lockstep_ring_create(ring_bytes, source.id, state.incarnation + 1)
        if ring_fd < 0:
            raise Refusal(f"no ring of {ring_bytes} bytes: {os.strerror(-ring_fd)}")
        fds = [ring_fd, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)]
        try:
            self._start_lane(index, source, build, fds)
            lane = Lane(index, source, connection, fds)
            self._lanes[connection] = lane
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        reply = AttachReply(
            source.id,
            state.incarnation,
            state.last_source_seq,
            self._epoch,
            ring_bytes,
            str(self._journal),
            copies=source.copies,
        )
        send_reply(connection, reply, (ring_fd, self._loop.wake_fd, fds[1]))
        _LOG.info("attached", source=source.name, incarnation=int(state.incarnation), pid=peer(connection)[0])

    def _start_lane(self, index: int, source: Source, build: str, fds: list[int]) -> None:
        ring = ffi.new("struct lockstep_ring *")
        code = lib.lockstep_ring_map(fds[0], ring)
        if code:
            raise Refusal(f"no ring of {source.ring_bytes or self._ring_bytes} bytes: {os.strerror(-code)}")
        source.state.incarnation += 1
        lane = self._loop.lane[index]
        lib.lockstep_lanes_lock()
        ffi.memmove(ffi.addressof(lane), bytes(ffi.sizeof("struct lockstep_lane")), ffi.sizeof("struct lockstep_lane"))
        lane.ring, lane.source, lane.client_fd = ring[0], source.state, fds[1]
        lane.incarnation = source.state.incarnation
        lane.build_digest = _build_digest(build)
        lane.used = 1
        self._loop.lanes_seen = max(self._loop.lanes_seen, index + 1)
        lib.lockstep_lanes_unlock()
        self._command(lib.LOCKSTEP_ATTACH, index)

    def _drop(self, lane: Lane, state: SourceStateCode, reason: int) -> None:
        """Take the lane from the loop, which drains it first, and free what it held."""
        self._command(lib.LOCKSTEP_DETACH, lane.index, state, reason)
        _LOG.info("detached", source=lane.source.name, state=state.name, rejected=int(lane.source.state.rejected))
        self._free(lane)

    def _free(self, lane: Lane) -> None:
        lib.lockstep_lanes_lock()
        self._loop.lane[lane.index].used = 0
        lib.lockstep_ring_unmap(ffi.addressof(self._loop.lane[lane.index].ring))
        lib.lockstep_lanes_unlock()
        for fd in lane.fds:
            os.close(fd)
        del self._lanes[lane.connection]

    def gone(self, connection: socket.socket) -> None:
        """A connection ended: what its publisher had committed is sequenced, then it is DETACHED."""
        lane = self._lanes.get(connection)
        if lane is not None:
            self._drop(lane, SourceStateCode.DETACHED, 0)

    def replaced(self) -> Iterator[socket.socket]:
        """Connections whose source another publisher took over, once each."""
        while self._replaced:
            yield self._replaced.pop()

    def dead(self) -> list[socket.socket]:
        """Connections whose ring was found damaged."""
        return [c for c, lane in self._lanes.items() if self._loop.lane[lane.index].state == SourceStateCode.DEAD]

    def close(self) -> None:
        """After the loop has ended: free every ring; the connections' ends tell the publishers."""
        for lane in list(self._lanes.values()):
            lane.connection.close()
            self._free(lane)


def _has_hung_up(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _build_digest(build: str) -> bytes:
    try:
        digest = bytes.fromhex(build)
    except ValueError:
        digest = b""
    return digest if len(digest) == 32 else hashlib.blake2b(build.encode(), digest_size=32).digest() if build else bytes(32)
