"""The primary dies, a replica goes on, the old writer comes back: nothing acknowledged is lost, nothing is doubled, one writer
remains (rows R02, R04; I-03, I-05, I-06, I-07)."""

from __future__ import annotations

import contextlib
import os
import time

import pytest
from remote_system import FAST, Proxy, follow, identical, page, serve

from journal.errors import JournalFenced, JournalLocked
from journal.frames import frames
from journal.messages import DurabilityPolicy, EpochCause, EpochStart, LogRecord, SourceRole
from journal.reader import JournalReader
from journal.verify import survey
from journal.writer import JournalWriter
from sequencer.client import Publisher, SequencerGone
from sequencer.remote.promote import promote, tell_epoch
from sequencer.remote.settings import SOURCE_KINDS, FollowerSettings, RemotePublisherSettings, ReplicationSettings
from sequencer.remote.tls import Credentials
from sequencer.settings import SourceSettings

SOURCES = [
    SourceSettings(name="md", role=SourceRole.MARKET_DATA),
    SourceSettings(name="algo", role=SourceRole.ALGO),
    SourceSettings(name="replication", role=SourceRole.SUPERVISOR, kinds=SOURCE_KINDS),
]


def replication(follower: str) -> ReplicationSettings:
    return ReplicationSettings(
        listen="127.0.0.1:0", follower={follower: FollowerSettings(node=2, required=True)},
        publisher={"md": RemotePublisherSettings(role="market_data")}, **FAST,
    )  # fmt: skip


@pytest.fixture
def ended():
    """Processes to be ended at the end."""
    made = []
    yield made
    for process in made:
        process.kill()
        with contextlib.suppress(ChildProcessError, AssertionError):
            getattr(process, "wait", lambda: None)()


def texts(folder) -> list[str]:
    return [f.message.text for f in frames(folder, kinds=[LogRecord.KIND]) if f.message.text.startswith("m")]


def cut_off(daemon, folder, ended, until, policy):
    """A primary with frames which its follower, behind a cut, never gets; (primary, server, its port, the cut, publisher)."""
    old = daemon(SOURCES, durability=policy)
    server, port = serve(folder / "j", replication("b"), folder / "old.log")
    ended.append(server)
    proxy = Proxy(port)
    ended.append(follow(proxy.port, folder / "b", "b", folder / "b.log"))
    publisher = Publisher.connect(f"tcp://127.0.0.1:{port}", "md", timeout_s=10)
    for n in range(500):
        publisher.publish(LogRecord(text=f"m{n}"))
    until(lambda: publisher.accepted_source_seq == 500)
    until(lambda: page(folder / "j").replicated_seq == page(folder / "j").written_seq)
    proxy.stalled.set()
    for n in range(500, 800):
        publisher.publish(LogRecord(text=f"m{n}"))
    until(lambda: len(texts(folder / "j")) == 800)
    until(lambda: page(folder / "j").durable_seq == page(folder / "j").written_seq)
    # Written and durable there, accepted by nobody: the outbox keeps them.
    assert publisher.accepted_source_seq == 500
    assert int(page(folder / "j").replicated_seq) < int(page(folder / "j").written_seq)
    return old, server, port, proxy, publisher


def two_worlds(daemon, folder, ended, until, policy):
    """The same, and the primary dies; (primary, publisher)."""
    old, server, _, proxy, publisher = cut_off(daemon, folder, ended, until, policy)
    old.kill()
    server.kill()
    server.wait()
    proxy.close()
    return old, publisher


def test_a_replica_takes_over(daemon, folder, ended, until):
    old, publisher = two_worlds(daemon, folder, ended, until, DurabilityPolicy.REPLICATED)
    acknowledged = int(page(folder / "j").replicated_seq)
    with pytest.raises(JournalLocked):
        JournalWriter.open(folder / "b")
    made = promote(folder / "b")
    assert made.last_seq >= acknowledged
    assert promote(folder / "b").epoch == made.epoch  # again: the same

    new = daemon(SOURCES, journal=folder / "b", durability=DurabilityPolicy.REPLICATED)
    server, port = serve(folder / "b", replication("j"), folder / "new.log")
    ended.append(server)

    # Without a way to the new one the publisher holds what was not replicated, until its ring is full.
    def until_full():
        while True:
            publisher.publish(LogRecord(text="never sequenced" * 200))

    with pytest.raises(SequencerGone):
        until_full()
    publisher.close()
    start = next(
        f.message for f in frames(folder / "b", kinds=[EpochStart.KIND]) if f.message.cause_code == EpochCause.FAILOVER
    )
    assert (start.prev_last_seq, start.new_epoch, start.prev_epoch) == (made.last_seq, made.epoch, 1)

    # The old writer comes back and knows nothing: it is told, ends, and does not start again.
    old.start()
    old_server, old_port = serve(folder / "j", replication("b"), folder / "old2.log")
    ended.append(old_server)
    said = tell_epoch(("127.0.0.1", old_port), Credentials(), page_stream(folder / "j"), made.epoch)
    assert said == made.epoch
    assert old._wait() == 2  # not to be started again
    assert "has begun elsewhere" in old.errors.read_text()
    with JournalReader(folder / "j") as reader:
        assert all(reader.released_seq(policy) == 0 for policy in DurabilityPolicy)
    with pytest.raises(JournalFenced, match="follow the new writer"):
        JournalWriter.open(folder / "j")
    old_server.end()

    # As a follower of the new one it puts aside what nobody had relied on.
    follower = follow(port, folder / "j", "j", folder / "j.log")
    ended.append(follower)
    until(lambda: page(folder / "j").written_seq == page(folder / "b").written_seq)
    assert "put aside" in follower.said()
    assert list((folder / "j" / "quarantine").glob("*.bin"))
    with new.connect("md") as md:
        for n in range(md.last_source_seq, 900):
            md.publish(LogRecord(text=f"m{n}"))
        until(lambda: md.accepted_source_seq == 900)
    assert new.stop() == 0
    until(lambda: page(folder / "j").durable_seq == page(folder / "b").written_seq)
    assert identical(folder / "b", folder / "j")
    assert texts(folder / "j") == [f"m{n}" for n in range(900)]
    assert survey(folder / "j").problems == []
    epochs = [f.header.epoch for f in frames(folder / "j")]
    assert epochs == sorted(epochs)
    assert set(epochs) == {1, made.epoch}


def test_while_both_sides_of_a_cut_lead_only_one_lets_anything_out(daemon, folder, ended, until):
    """The old writer lives and does not hear that a person has promoted its follower. (R03)"""
    policy = DurabilityPolicy.REPLICATED
    old, _, old_port, proxy, publisher = cut_off(daemon, folder, ended, until, policy)
    released = int(page(folder / "j").replicated_seq)
    made = promote(folder / "b")
    new = daemon(SOURCES, journal=folder / "b", durability=policy)
    new_server, port = serve(folder / "b", replication("c"), folder / "new.log")
    ended.append(new_server)
    ended.append(follow(port, folder / "c", "c", folder / "c.log"))
    with old.connect("algo") as one, new.connect("algo") as other:
        for n in range(50):
            one.publish(LogRecord(text=f"old {n}"))
            other.publish(LogRecord(text=f"new {n}"))
        until(lambda: one.accepted_source_seq == 50 or page(folder / "j").written_seq >= released + 50)
        until(lambda: other.accepted_source_seq == 50)
    with JournalReader(folder / "j") as here, JournalReader(folder / "b") as there:
        until(lambda: there.released_seq(policy) == there.written_seq)
        assert here.written_seq > released
        assert here.released_seq(policy) == released  # what was replicated before the cut, and nothing since
        assert there.released_seq(policy) > made.last_seq
    os.kill(old.pid, 0)  # it lives
    # The cut heals: the old one hears of the higher epoch, and from then on lets nothing out at all.
    assert tell_epoch(("127.0.0.1", old_port), Credentials(), page_stream(folder / "j"), made.epoch)
    assert old._wait() == 2
    with JournalReader(folder / "j") as here:
        assert here.released_seq(policy) == 0
    publisher.close()
    proxy.close()


def page_stream(folder) -> int:
    with JournalReader(folder) as reader:
        return int(reader.stream_id or 0)


def test_a_publisher_moves_to_the_new_writer(daemon, folder, ended, until):
    """One publisher, two hosts in its address: what it had in its outbox goes in once, wherever it had been before."""
    _, publisher = two_worlds(daemon, folder, ended, until, DurabilityPolicy.REPLICATED)
    promote(folder / "b")
    daemon(SOURCES, journal=folder / "b")
    settings = ReplicationSettings(listen="127.0.0.1:0", publisher={"md": RemotePublisherSettings(role="market_data")}, **FAST)
    server, port = serve(folder / "b", settings, folder / "new.log")
    ended.append(server)
    publisher.endpoints.append(("127.0.0.1", port))
    end = time.monotonic() + 20
    while True:
        try:
            publisher.reconnect(5)
            break
        except OSError:
            assert time.monotonic() < end
    for n in range(800, 1000):
        publisher.publish(LogRecord(text=f"m{n}"))
    until(lambda: publisher.accepted_source_seq == 1000)
    publisher.close()
    assert texts(folder / "b") == [f"m{n}" for n in range(1000)]


def test_what_was_acknowledged_is_never_cut(daemon, folder, ended, until):
    """Under `durable` the old writer's orders may have been sent: its folder is not touched, a person decides."""
    _, publisher = two_worlds(daemon, folder, ended, until, DurabilityPolicy.DURABLE)
    publisher.close()
    assert ended[1].end() == 0
    with pytest.raises(JournalFenced, match="lockstep replicate promote"):
        JournalWriter.open(folder / "b")
    promote(folder / "b")
    daemon(SOURCES, journal=folder / "b")
    server, port = serve(folder / "b", replication("j"), folder / "new.log")
    ended.append(server)
    before = texts(folder / "j")
    follower = follow(port, folder / "j", "j", folder / "j.log")
    ended.append(follower)
    assert follower.wait() == 1
    assert "were acknowledged here" in follower.said()
    assert texts(folder / "j") == before
    assert not (folder / "j" / "quarantine").exists()
    assert server.code is None
