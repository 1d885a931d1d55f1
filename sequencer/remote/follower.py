"""The follower: asks from its own last proven frame, takes what comes, says how far its disk is. Ends only when told, or when
its frames and the writer's differ where somebody relied on them.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable

import msgspec

from journal.errors import JournalError, OperatingError
from sequencer.remote.divergence import AcknowledgedDiffers
from sequencer.remote.position import Position, common_prefix
from sequencer.remote.replica import Replica
from sequencer.remote.tls import Credentials, is_loopback, wrap
from sequencer.remote.wire import ACK, MARKS, PROBED, PROTOCOL, Kind, Link, LinkError, Message, Refused, Welcome

BACKOFF_S = (0.05, 2.0)


class FollowerHalted(OperatingError, RuntimeError):
    """Following is over: trying again is of no use before a person has looked."""


def connect(
    endpoint: tuple[str, int], credentials: Credentials, *, heartbeat_s: float, silence_s: float, plaintext: bool = False
) -> Link:
    """A connection to a replication server. Without certificates on this machine only, unless allowed."""
    host, port = endpoint
    if not credentials and not plaintext and not is_loopback(host):
        raise FollowerHalted(
            f"{host}:{port}: a connection to another machine needs certificates (or plaintext, said explicitly)"
        )
    try:
        sock = socket.create_connection((host, port), timeout=silence_s)
    except OSError as error:
        raise LinkError(f"{host}:{port}: {error.strerror or error}") from None
    try:
        if credentials:
            sock = wrap(sock, credentials.context(server=False), server=False, host=host, timeout_s=silence_s)
        return Link(sock, f"{host}:{port}", heartbeat_s=heartbeat_s, silence_s=silence_s)
    except BaseException:
        sock.close()
        raise


class Follower:
    """Keeps a folder equal to a server's journal. `run` until `stop`."""

    def __init__(
        self,
        replica: Replica,
        endpoints: list[tuple[str, int]],
        name: str,
        *,
        credentials: Credentials | None = None,
        heartbeat_s: float = 1.0,
        silence_s: float = 5.0,
        plaintext: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.replica = replica
        self.endpoints = endpoints
        self.name = name
        self.credentials = credentials or Credentials()
        self.heartbeat_s = heartbeat_s
        self.silence_s = silence_s
        self.plaintext = plaintext
        self.say = say
        self.sessions = 0
        """Connections that got as far as taking frames."""
        self.put_aside: list[str] = []
        """Side files of what this folder had and the writer has not."""
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._acked = (0, 0)
        self._decides = False
        self._said = ""

    def stop(self) -> None:
        """End `run`. From any thread or a signal handler."""
        self._stopping = True
        os.eventfd_write(self._stop_fd, 1)
        os.eventfd_write(self.replica.wake_fd, 1)

    def run(self) -> None:
        """Follow until `stop`; FollowerHalted or a JournalError when that is of no use any more."""
        patience = BACKOFF_S[0]
        turn = 0
        while not self._stopping:
            before = self.sessions
            try:
                self._session(self.endpoints[turn % len(self.endpoints)])
            except LinkError as error:
                if self._stopping:
                    return
                self._tell(str(error))
            turn += 1
            patience = BACKOFF_S[0] if self.sessions > before else min(patience * 2, BACKOFF_S[1])
            select.select([self._stop_fd], [], [], patience)

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self.say(text)

    # ---- one connection

    def _session(self, endpoint: tuple[str, int]) -> None:
        link = connect(
            endpoint, self.credentials, heartbeat_s=self.heartbeat_s, silence_s=self.silence_s, plaintext=self.plaintext
        )
        try:
            self._greet(link)
            self.sessions += 1
            self._tell(f"following {link.peer} from frame {self.replica.last_seq + 1}")
            link.wake_fd = self.replica.wake_fd
            link.on_wake = lambda: self._acknowledge(link)
            link.on_idle = lambda: self._acknowledge(link, always=True)
            self._acknowledge(link, always=True)
            while not self._stopping:
                self._one(link)
        finally:
            link.close()
            self.replica.restart()

    def _greet(self, link: Link) -> None:
        replica = self.replica
        link.send(Kind.HELLO, msgspec.json.encode(replica.hello(self.name, PROTOCOL)))
        welcome: Welcome = self._answer(link, Kind.WELCOME).as_(Welcome)
        if welcome.epoch < replica.known_epoch:
            raise link.refuse(
                f"epoch {replica.known_epoch} has begun; a writer of epoch {welcome.epoch} is not followed any more",
                epoch=replica.known_epoch,
            )
        if replica.control is None:
            replica.create(welcome.stream_id, welcome.segment_bytes)
        elif welcome.stream_id != replica.stream_id:
            raise FollowerHalted(
                f"{link.peer}: serves stream {welcome.stream_id:#018x}; {replica.folder} is stream {replica.stream_id:#018x}"
            )
        if not welcome.same:
            self._agree(link, welcome)
        replica.follow(welcome.epoch)
        self._decides = welcome.decides
        replica.replicated(welcome.replicated_seq)
        link.send(Kind.START, msgspec.json.encode(replica.hello(self.name, PROTOCOL)))

    def _answer(self, link: Link, wanted: Kind) -> Message:
        """The next message but heartbeats, which must be this one."""
        while (m := link.receive()).kind == Kind.HEARTBEAT:
            pass
        if m.kind == Kind.REFUSED:
            self._turned_away(link, m.as_(Refused))
        if m.kind != wanted:
            raise LinkError(f"{link.peer}: a {m.kind.name} instead of a {wanted.name}")
        return m

    def _agree(self, link: Link, welcome: Welcome) -> None:
        """Find the last common frame; put aside what lies behind it, unless somebody relied on it."""
        replica = self.replica

        def ask(seq: int) -> tuple[int, bytes] | None:
            link.send(Kind.PROBE, value=seq)
            answer = self._answer(link, Kind.PROBED)
            epoch, digest = answer.fields(PROBED)
            return (epoch, digest) if answer.value == seq else None

        common: Position = common_prefix(replica.folder, min(replica.last_seq, welcome.last_seq), ask)
        try:
            names = replica.cut(common)
        except AcknowledgedDiffers as error:
            link.refuse(f"frames behind {common.seq} differ, and some were acknowledged", fatal=True)
            raise FollowerHalted(str(error)) from None
        self.put_aside += names
        for name in names:
            self.say(f"put aside {replica.folder / name}: not in the stream of {link.peer}, which goes on from {common.seq}")

    def _acknowledge(self, link: Link, *, always: bool = False) -> None:
        replica = self.replica
        if replica.failed is not None:
            raise replica.failed
        if self._stopping:
            raise LinkError("stopping")
        acked = (replica.last_seq, replica.durable_seq)
        if acked == self._acked and not always:
            return
        if self._decides:
            # Our word alone releases orders: it is on our own record before it is said.
            replica.replicated(acked[1])
        link.send(Kind.ACK, ACK.pack(*acked))
        self._acked = acked

    def _one(self, link: Link) -> None:
        replica = self.replica
        m = link.receive()
        if m.kind == Kind.DATA:
            self._take(link, m.word, m.value, m.size)
        elif m.kind == Kind.SEGMENT:
            replica.announce(m.word, m.payload)
        elif m.kind == Kind.OPEN:
            replica.prepared(lambda: self._acknowledge(link, always=True), self.heartbeat_s)
            replica.opened(m.payload)
        elif m.kind == Kind.END:
            replica.ended(m.payload, m.word, m.value)
        elif m.kind == Kind.MARKS:
            replica.replicated(m.fields(MARKS)[1])
        elif m.kind == Kind.REFUSED:
            self._turned_away(link, m.as_(Refused))
        elif m.kind != Kind.HEARTBEAT:
            raise LinkError(f"{link.peer}: a {m.kind.name} where none belongs")
        if time.monotonic() - link.said >= self.heartbeat_s:
            self._acknowledge(link, always=True)
        elif replica.durable_seq > self._acked[1]:
            self._acknowledge(link)

    def _turned_away(self, link: Link, no: Refused) -> None:
        if no.fatal:
            raise FollowerHalted(f"{link.peer}: {no.text}")
        raise LinkError(f"{link.peer}: {no.text}")

    def _take(self, link: Link, segment: int, offset: int, left: int) -> None:
        """The bytes of a DATA message, straight into their place."""
        replica = self.replica
        if not replica.expects(segment, offset):
            raise LinkError(f"{link.peer}: bytes for segment {segment}, offset {offset}, which is not where we are")
        fd = link.socket.fileno()
        while left:
            if link.plain and not link.buffered():
                n = replica.fileno_receive(fd, left)
                if not n:
                    link.wait()
                    continue
                link.heard = time.monotonic()
                left -= n
            else:
                left -= replica.receive_by(link.read_into, left)


def run_follower(follower: Follower) -> int:
    """Run, then let go of the folder; the exit code."""
    try:
        follower.run()
    except (JournalError, FollowerHalted) as error:
        follower.say(str(error))
        return 1
    finally:
        follower.replica.close()
    return 0
