"""The server's end of a follower: where do we part, then bytes, as long as the follower takes them."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from journal.errors import JournalError
from journal.kernel._journal import lib
from journal.messages import ReplicaStateCode
from journal.segment import FORMAT, read_header, segment_name
from sequencer.remote.feed import Feed
from sequencer.remote.position import NO_DIGEST, position_of
from sequencer.remote.replica import open_crc
from sequencer.remote.wire import ACK, MARKS, PROBED, Hello, Kind, Link, LinkError, Message, Refused, Welcome

if TYPE_CHECKING:
    from sequencer.remote.server import ReplicationServer, Standing

MARKS_EVERY_S = 0.01


def serve_follower(server: ReplicationServer, link: Link, hello: Hello, names: list[str]) -> None:
    """Until the connection ends."""
    follower = server.standing.get(hello.name)
    if names and hello.name not in names:
        raise link.refuse(f"the certificate is of {', '.join(names)}, not of {hello.name!r}", fatal=True)
    if follower is None:
        known = ", ".join(server.standing) or "none"
        raise link.refuse(f"no [replication.follower.{hello.name}] is configured; known: {known}", fatal=True)
    if hello.format not in (0, FORMAT):
        raise link.refuse(f"journal format {hello.format}; this server has {FORMAT}", fatal=True)
    _Sender(server, link, follower).run(hello)


class _Sender:
    """One follower's connection."""

    def __init__(self, server: ReplicationServer, link: Link, follower: Standing) -> None:
        self.server = server
        self.link = link
        self.follower = follower
        self.marks = (0, 0)
        self.marked = 0.0

    def run(self, hello: Hello) -> None:
        server, link, follower = self.server, self.link, self.follower
        with server.lock:
            before, follower.link = follower.link, link
        if before is not None:
            # A follower that comes again has lost its old connection, whether we have heard of that or not.
            with contextlib.suppress(OSError):
                before.socket.shutdown(socket.SHUT_RDWR)
        control = server.voice.control
        try:
            link.send(
                Kind.WELCOME,
                msgspec.json.encode(
                    Welcome(
                        stream_id=control.stream_id, epoch=server.epoch, segment_bytes=control.segment_bytes,
                        same=self._same(hello), last_seq=int(control.c.written_seq),
                        replicated_seq=min(int(control.c.replicated_seq), int(control.c.written_seq)),
                        decides=server.settings.required == [follower.name],
                    )
                ),
            )  # fmt: skip
            start = self._until_start()
            if not self._same(start):
                raise link.refuse("the start is not in this stream")
            server.state(follower, ReplicaStateCode.JOINING)
            self._send(start)
        finally:
            with server.lock:
                mine = follower.link is link
                if mine:
                    follower.link = None
                    follower.forget_mark()
            if mine and follower.state not in (ReplicaStateCode.UNDEFINED, ReplicaStateCode.REFUSED):
                server.state(follower, ReplicaStateCode.LOST)

    def _same(self, said: Hello) -> bool:
        """Is the follower's end a place in our stream?"""
        folder = self.server.journal
        try:
            here = position_of(folder, said.last_seq)
            if here is None or said.last_seq > int(self.server.voice.control.c.written_seq):
                return False
            if said.segment == 0:
                return said.last_seq == 0
            if said.last_seq and here.digest.hex() != said.digest:
                return False
            if open_crc(folder, said.segment) != said.open_crc:
                return False
            if (here.segment, here.offset) == (said.segment, said.offset):
                return True
            first = read_header(folder / segment_name(said.segment), said.segment).frames_at
            return said.segment == here.segment + 1 and said.offset == first
        except (JournalError, OSError):
            return False

    def _until_start(self) -> Hello:
        """Answer the follower's questions about our frames until it knows where to start."""
        link = self.link
        while True:
            m = link.receive()
            if m.kind == Kind.START:
                start: Hello = m.as_(Hello)
                return start
            if m.kind == Kind.PROBE:
                found = position_of(self.server.journal, m.value)
                epoch, digest = (found.epoch, found.digest) if found is not None else (0, NO_DIGEST)
                link.send(Kind.PROBED, PROBED.pack(epoch, digest), value=m.value)
            else:
                self._hear(m)

    def _hear(self, m: Message) -> None:
        if m.kind == Kind.ACK:
            self.server.acknowledged(self.follower, *m.fields(ACK))
        elif m.kind == Kind.REFUSED:
            no: Refused = m.as_(Refused)
            self.server.state(self.follower, ReplicaStateCode.REFUSED)
            if no.epoch > self.server.epoch:
                self.server.voice.fence(no.epoch)
            raise LinkError(f"{self.link.peer}: {no.text}")
        elif m.kind != Kind.HEARTBEAT:
            raise LinkError(f"{self.link.peer}: a {m.kind.name} where none belongs")

    def _send(self, start: Hello) -> None:
        server, link, voice = self.server, self.link, self.server.voice
        feed = Feed(server.journal, lambda: voice.control, start.segment, start.offset)
        spin_ns = server.settings.spin_us * 1000
        link.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        link.on_idle = lambda: self._mark(always=True)
        try:
            while True:
                while (m := link.arrived()) is not None:
                    self._hear(m)
                seen = feed.published
                self._mark()
                if feed.send_next(link) or feed.published != seen:
                    continue
                if spin_ns and lib.lockstep_replica_spin(voice.control.c, seen, spin_ns) != seen:
                    continue
                voice.sleep(link.wake_fd)
                if feed.published == seen:
                    link.wait()
        finally:
            voice.forget(link.wake_fd)
            os.close(link.wake_fd)
            link.wake_fd = -1
            feed.close()

    def _mark(self, *, always: bool = False) -> None:
        """Tell the follower the watermarks: at once when asked, else now and then."""
        now = time.monotonic()
        if not always and now - self.marked < MARKS_EVERY_S:
            return
        control = self.server.voice.control.c
        marks = int(control.written_seq), int(control.replicated_seq)
        if always or marks[1] != self.marks[1] or now - self.link.said >= self.link.heartbeat_s:
            self.link.send(Kind.MARKS, MARKS.pack(*marks))
            self.marks, self.marked = marks, now
