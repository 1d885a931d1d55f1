"""A replica while everything around it fails: rolls, cuts, corruption, half-open links, kills (rows R01, R05; I-03, I-14)."""

from __future__ import annotations

import random
import signal
import socket
import time
from types import SimpleNamespace

import pytest
from remote_system import FAST, Proxy, follow, identical, page, serve

from journal.frames import frames
from journal.messages import Alert, AlertSeverity, AlertState, LogRecord, Reason, ReplicaState, ReplicaStateCode, SourceRole
from journal.verify import survey
from sequencer.remote.server import ReplicationServer
from sequencer.remote.settings import SOURCE_KINDS, FollowerSettings, RemotePublisherSettings, ReplicationSettings
from sequencer.remote.wire import HEAD, Kind, head
from sequencer.settings import SourceSettings

SOURCES = [
    SourceSettings(name="md", role=SourceRole.MARKET_DATA),
    SourceSettings(name="replication", role=SourceRole.SUPERVISOR, kinds=SOURCE_KINDS),
]
TEXT = "x" * 200


def replication(**more) -> ReplicationSettings:
    return ReplicationSettings(
        listen="127.0.0.1:0",
        follower={"b": FollowerSettings(node=2, required=True), "c": FollowerSettings(node=3)},
        publisher={"md": RemotePublisherSettings(role="market_data")},
        **{**FAST, **more},
    )


@pytest.fixture
def system(folder, daemon):
    """(sequencer, port, start): a primary with its server; what start(…) starts is ended at the end."""
    made = []
    sequencer = daemon(SOURCES)
    server, port = serve(folder / "j", replication(), folder / "server.log")
    made.append(server)

    def start(process):
        made.append(process)
        return process

    yield sequencer, server, port, start
    for process in made:
        process.kill(signal.SIGCONT)
        process.kill()
        process.wait()


def publish(publisher, count: int, text: str = TEXT) -> None:
    with publisher.batch():
        for _ in range(count):
            publisher.publish(LogRecord(text=text))


def caught_up(folder, name: str = "b"):
    ours, theirs = page(folder / "j"), page(folder / name)
    return lambda: theirs.written_seq == ours.written_seq and theirs.durable_seq == theirs.written_seq


def finish(sequencer, folder, until, name: str = "b") -> None:
    """End the stream; the replica gets its last words too, and is the same journal."""
    assert sequencer.stop() == 0
    until(caught_up(folder, name))
    assert identical(folder / "j", folder / name)
    assert survey(folder / name).problems == []


def test_a_live_replica_through_rolls(folder, system, until):
    sequencer, server, port, start = system
    follower = start(follow(port, folder / "b", "b", folder / "b.log"))
    with sequencer.connect() as md:
        primary, replica = page(folder / "j"), page(folder / "b")
        highest = 0
        for _ in range(20):
            publish(md, 300, TEXT * 3)
            seen = int(primary.replicated_seq)
            assert highest <= seen <= int(primary.written_seq)
            highest = seen
        until(caught_up(folder))
        until(lambda: primary.replicated_seq >= highest + 1)
        assert int(replica.segment) > 3
        # A reader of the live replica sees the stream as it is.
        assert sum(1 for _ in frames(folder / "b", kinds=[LogRecord.KIND])) == 6_000
    states = [f.message.state for f in frames(folder / "b", kinds=[ReplicaState.KIND])]
    assert states[:2] == [ReplicaStateCode.JOINING, ReplicaStateCode.IN_SYNC]
    finish(sequencer, folder, until)
    assert follower.end() == 0
    assert survey(folder / "b").problems == []
    assert server.end() == 0


def test_corruption_cuts_and_silence(folder, system, until):
    """Each fault ends a connection and nothing else: the follower asks again from its last good frame."""
    sequencer, _, port, start = system
    proxy = Proxy(port)
    follower = start(follow(proxy.port, folder / "b", "b", folder / "b.log", silence_s=0.4))
    with sequencer.connect() as md:
        publish(md, 50)
        until(caught_up(folder))
        for round_ in range(4):
            proxy.corrupt = 1
            publish(md, 500)
            until(lambda: proxy.corrupt == 0)
            if round_ % 2:
                proxy.cut()
        until(caught_up(folder))
        proxy.stalled.set()  # half-open: nothing comes, nothing ends
        publish(md, 500)
        until(lambda: "silent for" in follower.said())
        proxy.stalled.clear()
        proxy.cut()
        publish(md, 500)
        until(caught_up(folder))
    said = follower.said()
    assert "nothing of it was kept" in said or "wrong crc" in said or "no message" in said
    finish(sequencer, folder, until)
    proxy.close()


def test_kills_at_any_moment(folder, system, until):
    rng = random.Random(5)
    sequencer, server, port, start = system
    processes = {"follower": start(follow(port, folder / "b", "b", folder / "b.log")), "server": server}
    with sequencer.connect() as md:
        for round_ in range(8):
            publish(md, rng.randrange(200, 3000))
            time.sleep(rng.random() * 0.02)
            which = rng.choice(["follower", "server"]) if round_ else "follower"
            processes[which].kill()
            processes[which].wait()
            if which == "server":
                processes["server"], port = serve(folder / "j", replication(), folder / "server.log")
                start(processes["server"])
                processes["follower"].kill()
                processes["follower"].wait()
            processes["follower"] = start(follow(port, folder / "b", "b", folder / "b.log"))
        publish(md, 100)
        until(caught_up(folder))
    finish(sequencer, folder, until)


def test_a_stopped_follower_slows_nobody(folder, system, until):
    sequencer, _, port, start = system
    required = start(follow(port, folder / "b", "b", folder / "b.log"))
    other = start(follow(port, folder / "c", "c", folder / "c.log"))
    with sequencer.connect() as md:
        publish(md, 100)
        until(caught_up(folder))
        until(caught_up(folder, "c"))
        until(lambda: page(folder / "j").replicated_seq == page(folder / "j").written_seq)
        required.kill(signal.SIGSTOP)
        held = int(page(folder / "j").replicated_seq)
        publish(md, 8_000, TEXT * 10)  # more than every buffer between them
        until(lambda: md.accepted_source_seq == 8_100)
        until(caught_up(folder, "c"), 60)
        # It has not moved: not by the other one's disk, not by time. What the stopped one had in flight may be acknowledged.
        assert int(page(folder / "j").replicated_seq) < int(page(folder / "j").written_seq) - 1000
        assert int(page(folder / "j").replicated_seq) >= held
        late = (ReplicaStateCode.LAGGING, ReplicaStateCode.LOST)
        until(lambda: any(f.message.node == 2 and f.message.state in late for f in sequencer.frames(ReplicaState)))
        until(lambda: [f.message.state for f in sequencer.frames(Alert)] == [AlertState.RAISED])
        required.kill(signal.SIGCONT)
        until(caught_up(folder), 60)
        until(lambda: [f.message.state for f in sequencer.frames(Alert)] == [AlertState.RAISED, AlertState.CLEARED])
    finish(sequencer, folder, until)
    assert other.end() == 0


def test_a_follower_that_orders_wait_for_and_that_never_comes_is_lost(folder, daemon, until):
    """Said once, also when the server is another one by the time it comes."""
    sequencer = daemon(SOURCES)
    settings = replication(silence_ms=100)
    server, _ = serve(folder / "j", settings, folder / "server.log")
    until(lambda: len(sequencer.frames(Alert)) == 1)
    assert [(f.message.node, f.message.state) for f in sequencer.frames(ReplicaState)] == [(2, ReplicaStateCode.LOST)]
    server.kill()
    server.wait()
    server, port = serve(folder / "j", replication(), folder / "server.log")
    follower = follow(port, folder / "b", "b", folder / "b.log")
    until(lambda: len(sequencer.frames(Alert)) == 2)
    raised, cleared = (f.message for f in sequencer.frames(Alert))
    assert (raised.state, cleared.state) == (AlertState.RAISED, AlertState.CLEARED)
    assert (raised.alert, raised.rule, raised.severity) == (2, Reason.NOT_RELEASED, AlertSeverity.CRITICAL)
    assert raised.alert == cleared.alert
    assert raised.text in server.said()
    assert follower.end() == 0
    assert server.end() == 0
    assert sequencer.stop() == 0


def test_a_follower_a_little_behind_at_all_times_keeps_up(folder, daemon, monkeypatch):
    """A stream that never pauses: each frame is on the follower's disk soon, all of them never are."""
    daemon(SOURCES).stop()
    server = ReplicationServer(folder / "j", replication())
    now, said = [100.0], []
    monkeypatch.setattr("sequencer.remote.server.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(server.voice, "say_on_stream", lambda m: said.append(m.state) if isinstance(m, ReplicaState) else None)
    follower, control = server.standing["b"], server.voice.control.c
    follower.link = object()
    server.state(follower, ReplicaStateCode.JOINING)

    def pass_time(steps, acknowledges):
        for _ in range(steps):
            now[0] += 0.01
            control.written_seq += 100
            if acknowledges:
                server.acknowledged(follower, int(control.written_seq) - 1, int(control.written_seq) - 50)
            server._watch(follower, now[0])

    pass_time(100, True)
    assert said == [ReplicaStateCode.JOINING, ReplicaStateCode.IN_SYNC]
    pass_time(9, False)
    assert said[2:] == []
    pass_time(4, False)
    assert said[2:] == [ReplicaStateCode.LAGGING]
    pass_time(20, True)
    assert said[3:] == [ReplicaStateCode.IN_SYNC]


def test_a_segment_prepared_anew_by_the_writer(folder, system, until):
    """A clean restart makes the next segment with another nonce; a kill leaves the old one. The replica follows either."""
    sequencer, _, port, start = system
    start(follow(port, folder / "b", "b", folder / "b.log"))
    for clean in (True, False, True):
        with sequencer.connect() as md:
            publish(md, 1500)
            until(lambda md=md: md.accepted_source_seq == md.next_source_seq - 1)
            until(caught_up(folder))
        sequencer.stop() if clean else sequencer.kill()
        sequencer.start()
    with sequencer.connect() as md:
        publish(md, 6000)
        until(lambda: md.accepted_source_seq == md.next_source_seq - 1)
    finish(sequencer, folder, until)


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 4,
        b"\xff" * 4096,
        head(Kind.HELLO, 2, payload=b"{}") + b"{}",
        head(Kind.HELLO, 3, payload=b"abc") + b"abc",
        HEAD.pack(Kind.HELLO, 0, 1 << 31, 0, 0, 0),
        HEAD.pack(Kind.DATA, 0, 100, 7, 0, 0) + bytes(100),
        head(Kind.ACK, 16, payload=bytes(16)) + bytes(16),
    ],
    ids=["http", "ones", "empty", "no-json", "huge", "data", "ack-first"],
)
def test_who_speaks_something_else_is_hung_up_on(system, first):
    _, server, port, _ = system
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(first)
        said = b""
        try:
            while data := peer.recv(65536):
                said += data
        except ConnectionResetError:
            pass
        assert len(said) < 4096
    assert server.code is None
