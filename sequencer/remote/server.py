"""The replication server: a process beside the sequencer that reads its journal and sends it to whoever may have it.

One thread for each connection; a slow or stopped follower costs its own thread and nothing else.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from journal.errors import OperatingError
from journal.frames import frames
from journal.messages import (
    Alert,
    AlertSeverity,
    AlertState,
    Reason,
    ReplicaState,
    ReplicaStateCode,
    ScopeType,
    SourceDefined,
)
from sequencer.remote.settings import SOURCE, ReplicationSettings, endpoint
from sequencer.remote.tls import Credentials, certificate_names, is_loopback, wrap
from sequencer.remote.voice import Voice
from sequencer.remote.wire import PROTOCOL, Hello, Kind, Link, LinkError, Welcome

CONNECTIONS_MAX = 64
LAST_WORDS_S = 2.0
LOOK_S = 0.005


class ServerFailed(OperatingError, RuntimeError):
    """The server cannot listen, or must not."""


class Standing:
    """How one follower stands; guarded by the server's lock."""

    def __init__(self, name: str, node: int, required: bool) -> None:
        self.name, self.node, self.required = name, node, required
        self.written_seq = self.durable_seq = 0
        self.state = ReplicaStateCode.UNDEFINED
        self.link: Link | None = None
        self.alerted = False
        self.mark_seq = 0
        """What was written at `mark_at`: whoever has it on disk within lag_alarm_ms keeps up, however fast the stream is."""
        self.mark_at = 0.0

    def forget_mark(self) -> None:
        """A connection has ended: the next one begins anew."""
        self.mark_seq, self.mark_at = 0, 0.0


class ReplicationServer:
    """Serves one journal. `start`, then `close`; the threads do the rest."""

    def __init__(self, journal: Path, settings: ReplicationSettings, *, say: Callable[[str], None] = lambda _: None) -> None:
        self.journal = Path(journal)
        self.settings = settings
        self.say = say
        self.credentials = Credentials(settings.certificate, settings.key, settings.authority)
        self._context = self.credentials.context(server=True) if self.credentials else None
        try:
            self._endpoint = endpoint(settings.listen)
        except ValueError as error:
            raise ServerFailed(f"replication.listen = {error}") from None
        if self._context is None and not settings.plaintext and not is_loopback(self._endpoint[0]):
            raise ServerFailed(
                f"replication.listen = {settings.listen!r}: without certificates only 127.0.0.1 is served; give "
                "certificate, key and authority (lockstep replicate keys DIR makes them), or plaintext = true on your network"
            )
        self.voice = Voice(self.journal, say)
        self.lock = threading.Lock()
        self.standing = {n: Standing(n, f.node, f.required) for n, f in settings.follower.items()}
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._links: set[Link] = set()
        self._ending = threading.Event()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the port is real also when any was asked for."""
        assert self._listener is not None
        host, port, *_ = self._listener.getsockname()
        return host, port

    @property
    def epoch(self) -> int:
        """The epoch of our writer."""
        return int(self.voice.control.c.epoch)

    # ---- start and end

    def start(self) -> None:
        """Listen."""
        try:
            family = socket.AF_INET6 if ":" in self._endpoint[0] else socket.AF_INET
            self._listener = socket.create_server(self._endpoint, family=family, backlog=32)
        except OSError as error:
            raise ServerFailed(f"replication.listen = {self.settings.listen!r}: {error.strerror}") from None
        self.voice.start()
        raised = _raised(self.journal)
        for follower in self.standing.values():
            follower.alerted = follower.node in raised
        self._spawn(self._accept_run, "accept")
        self._spawn(self._watch_run, "watch")

    def _spawn(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()]
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Hang up on everybody, once the followers that are here have the last words of the stream: two seconds at most."""
        self._finish()
        self._ending.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self.lock:
            for link in self._links:
                with contextlib.suppress(OSError):
                    link.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self.voice.close()

    def _finish(self) -> None:
        last, end = int(self.voice.control.c.written_seq), time.monotonic() + LAST_WORDS_S
        while time.monotonic() < end:
            with self.lock:
                if all(f.durable_seq >= last for f in self.standing.values() if f.link is not None):
                    return
            self.voice.wake()  # who wrote them may be gone, and wakes nobody
            time.sleep(LOOK_S)

    # ---- connections

    def _accept_run(self) -> None:
        assert self._listener is not None
        while not self._ending.is_set():
            try:
                sock, address = self._listener.accept()
            except OSError:
                return
            with self.lock:
                full = len(self._links) >= CONNECTIONS_MAX
            if full:
                sock.close()
                continue
            self._spawn(partial(self._connection, sock, address[0]), f"peer-{address[0]}")

    def _connection(self, sock: socket.socket, host: str) -> None:
        """One peer, from its first byte to its last."""
        s = self.settings
        link: Link | None = None
        try:
            if self._context is not None:
                sock = wrap(sock, self._context, server=True, host=host, timeout_s=s.silence_ms / 1000)
            elif not is_loopback(host) and not s.plaintext:
                raise LinkError(f"{host}: without TLS only this machine is served")
            link = Link(sock, host, heartbeat_s=s.heartbeat_ms / 1000, silence_s=s.silence_ms / 1000)
            with self.lock:
                self._links.add(link)
            self._serve(link)
        except (LinkError, OperatingError) as error:
            if not self._ending.is_set():
                self.say(str(error))
        except OSError as error:
            self.say(f"{host}: {error.strerror or error}")
        finally:
            with self.lock:
                if link is not None:
                    self._links.discard(link)
            sock.close()

    def _serve(self, link: Link) -> None:
        m = link.receive()
        if m.kind != Kind.HELLO:
            raise LinkError(f"{link.peer}: a {m.kind.name} before a HELLO")
        hello: Hello = m.as_(Hello)
        names = certificate_names(link.socket)
        link.peer = f"{hello.name[:64]} at {link.peer}"
        if hello.protocol != PROTOCOL:
            raise link.refuse(f"protocol {hello.protocol}; this server speaks {PROTOCOL}", fatal=True)
        if hello.stream_id and hello.stream_id != self.voice.control.stream_id:
            raise link.refuse(
                f"stream {hello.stream_id:#018x}; this server has {self.voice.control.stream_id:#018x}", fatal=True
            )
        if hello.stream_id and hello.known_epoch > self.epoch:
            self.voice.fence(hello.known_epoch)
            raise link.refuse(f"epoch {hello.known_epoch} has begun; this writer ends", epoch=hello.known_epoch)
        if self.voice.control.c.fenced_epoch > self.epoch:
            raise link.refuse("this server's writer is fenced", epoch=int(self.voice.control.c.fenced_epoch))
        if hello.role == "peer":
            link.send(Kind.WELCOME, msgspec.json.encode(Welcome(self.voice.control.stream_id, self.epoch)))
        elif hello.role == "follower":
            from sequencer.remote.sender import serve_follower

            serve_follower(self, link, hello, names)
        elif hello.role == "publisher":
            from sequencer.remote.bridge import serve_publisher

            serve_publisher(self, link, hello, names)
        else:
            raise link.refuse(f"role {hello.role[:32]!r}; expected follower, publisher or peer", fatal=True)

    # ---- how the followers stand

    def acknowledged(self, follower: Standing, written: int, durable: int) -> None:
        """A follower's disk has got so far."""
        with self.lock:
            follower.written_seq, follower.durable_seq = written, durable
            all_there = durable >= int(self.voice.control.c.written_seq)
            if self._marked(follower) or all_there:
                self._state(follower, ReplicaStateCode.IN_SYNC)
            news = self._raise_watermark()
        if news:
            self.voice.wake()

    def _marked(self, follower: Standing) -> bool:
        """Move the mark of a follower that has reached it. True: it did so in time."""
        if follower.durable_seq < follower.mark_seq:
            return False
        now, since = time.monotonic(), follower.mark_at
        follower.mark_seq, follower.mark_at = int(self.voice.control.c.written_seq), now
        return bool(since) and now - since <= self.settings.lag_alarm_ms / 1000

    def _raise_watermark(self) -> bool:
        """replicated_seq: the least of the required followers' disks, as far as we have written; never back."""
        required = [s.durable_seq for s in self.standing.values() if s.required]
        control = self.voice.control.c
        if not required or control.fenced_epoch > control.epoch:
            return False
        seq = min(*required, int(control.written_seq)) if len(required) else 0
        if seq <= control.replicated_seq:
            return False
        control.replicated_seq = seq
        return True

    def state(self, follower: Standing, state: ReplicaStateCode, reason: int = 0) -> None:
        """Say a change on the stream; the same state twice is said once."""
        with self.lock:
            self._state(follower, state, reason)

    def _state(self, follower: Standing, state: ReplicaStateCode, reason: int = 0) -> None:
        if follower.state == state:
            return
        follower.state = state
        written = int(self.voice.control.c.written_seq)
        lag = max(0, written - follower.durable_seq)
        self.voice.say_on_stream(
            ReplicaState(
                acked_seq=follower.durable_seq, lag_bytes=lag * 64, node=follower.node, reason=reason, state=state,
                name=follower.name,
            )
        )  # fmt: skip
        bad = state not in (ReplicaStateCode.JOINING, ReplicaStateCode.IN_SYNC)
        if follower.required and bad != follower.alerted and state != ReplicaStateCode.JOINING:
            self._alert(follower)
        elif bad:
            self.say(f"follower {follower.name} is {state.name}; it has frames up to {follower.durable_seq} of {written}")

    def _alert(self, follower: Standing) -> None:
        """Orders wait for this one's disk, or wait no longer: one alert for each follower, raised and cleared."""
        follower.alerted = not follower.alerted
        how = "nothing is replicated behind" if follower.alerted else "replicated again, now up to"
        text = f"follower {follower.name} is {follower.state.name}: {how} frame {int(self.voice.control.c.replicated_seq)}"
        self.voice.say_on_stream(
            Alert(
                scope_type=ScopeType.GLOBAL, alert=follower.node, about_seq=follower.durable_seq, rule=Reason.NOT_RELEASED,
                severity=AlertSeverity.CRITICAL, state=AlertState.RAISED if follower.alerted else AlertState.CLEARED, text=text,
            )
        )  # fmt: skip
        self.say(text)

    def _watch_run(self) -> None:
        """Followers that fall behind, and the other machines' servers, which must know our epoch."""
        s = self.settings
        last_told, begun = 0.0, time.monotonic()
        while not self._ending.wait(min(s.lag_alarm_ms, s.heartbeat_ms) / 1000):
            now = time.monotonic()
            with self.lock:
                for follower in self.standing.values():
                    self._watch(follower, now - begun)
            if now - last_told > s.silence_ms / 1000:
                last_told = now
                self._tell_peers()

    def _watch(self, follower: Standing, for_s: float) -> None:
        """Has it fallen behind? Was it never here, and orders wait for it?"""
        s = self.settings
        if follower.link is not None:
            self._marked(follower)
            late = follower.durable_seq < follower.mark_seq and time.monotonic() - follower.mark_at > s.lag_alarm_ms / 1000
            if late and follower.state == ReplicaStateCode.IN_SYNC:
                self._state(follower, ReplicaStateCode.LAGGING)
        elif follower.required and follower.state == ReplicaStateCode.UNDEFINED and for_s > s.silence_ms / 1000:
            self._state(follower, ReplicaStateCode.LOST)

    def _tell_peers(self) -> None:
        from sequencer.remote.promote import tell_epoch

        for peer in self.settings.peers:
            with contextlib.suppress(LinkError, OperatingError, ValueError):
                answer = tell_epoch(
                    endpoint(peer), self.credentials, self.voice.control.stream_id, self.epoch,
                    plaintext=self.settings.plaintext, timeout_s=self.settings.silence_ms / 1000,
                )  # fmt: skip
                if answer > self.epoch:
                    self.voice.fence(answer)


def _raised(journal: Path) -> set[int]:
    """The alerts of servers before us on this stream that nobody has cleared yet."""
    source, raised = 0, set[int]()
    for frame in frames(journal, kinds=[SourceDefined.KIND, Alert.KIND]):
        m = frame.message
        if isinstance(m, SourceDefined) and m.name == SOURCE:
            source = m.source
        elif isinstance(m, Alert) and source and frame.header.source == source:
            (raised.add if m.state == AlertState.RAISED else raised.discard)(m.alert)
    return raised
