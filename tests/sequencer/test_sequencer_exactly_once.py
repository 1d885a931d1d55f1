"""kill -9 of anything at any moment: every message is on the stream exactly once, in its publisher's order."""

import itertools
import os
import random
import signal
import time

import pytest

from journal.errors import JournalLocked
from journal.messages import OWN_CAUSE, NewOrder, SessionEnd, SourceState, SourceStateCode, StreamHalted, TopOfBook
from journal.verify import survey
from journal.writer import JournalWriter
from sequencer.client import Publisher, PublisherRefused
from sequencer.flow import EXIT_HALTED


def in_child(work) -> int:
    """Run work() in a forked process; its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def publish_through_deaths(journal, source: str, message, count: int) -> None:
    """Publish `count` messages singly and in batches, whatever happens to the sequencer meanwhile."""
    chance = random.Random(source)
    publisher = Publisher.connect(journal, source, timeout_s=20)
    while publisher.next_source_seq <= count:
        number = publisher.next_source_seq
        try:
            size = min(chance.choice([1, 1, 7, 40]), count + 1 - number)
            with publisher.batch():
                for n in range(number, number + size):
                    cause = OWN_CAUSE | (n - 1) if n > 1 and n % 5 == 0 else 0
                    publisher.publish(message(n), cause=cause)
        except ConnectionError:
            publisher.reconnect(20)
        if chance.random() < 0.02:
            time.sleep(0.001)
        if not publisher.alive:
            publisher.reconnect(20)
    while publisher.accepted_source_seq < count:
        if not publisher.wait(0.05) and not publisher.alive:
            publisher.reconnect(20)
    publisher.close()


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_of_the_sequencer(daemon, seed):
    """Three publishers, six deaths at random moments."""
    print("seed", seed)
    chance = random.Random(seed)
    count = 12_000
    one = daemon(ring_bytes=1 << 14)
    makers = {"md": lambda n: TopOfBook(bid_px=n), "algo": lambda n: NewOrder(order_id=n)}
    children = [in_child(lambda s=s, m=m: publish_through_deaths(one.journal, s, m, count)) for s, m in makers.items()]
    for _ in range(6):
        time.sleep(chance.uniform(0, 0.06))
        one.kill()
        one.start()
    assert [exit_code(pid) for pid in children] == [0, 0]
    assert one.stop() == 0
    seqs: dict[tuple[int, int], int] = {}
    for cls in (TopOfBook, NewOrder):
        found = one.frames(cls)
        assert [f.header.source_seq for f in found] == list(range(1, count + 1))
        assert [f.message.bid_px if cls is TopOfBook else f.message.order_id for f in found] == list(range(1, count + 1))
        seqs |= {(f.header.source, f.header.source_seq): f.header.seq for f in found}
        for f in found:
            n = f.header.source_seq
            wanted = seqs[f.header.source, n - 1] if n > 1 and n % 5 == 0 else 0
            assert f.header.cause == wanted
    everything = one.frames()
    assert [f.header.seq for f in everything] == list(range(1, len(everything) + 1))
    stamps = [f.header.ts for f in everything]
    assert all(a < b for a, b in itertools.pairwise(stamps))
    assert [f.header.epoch for f in everything][-1] == 7
    assert isinstance(everything[-1].message, SessionEnd)
    attached = [f for f in one.frames(SourceState) if f.message.state == SourceStateCode.ATTACHED]
    assert len(attached) > 2  # the deaths came while they published


def test_kill_9_of_a_publisher(daemon, until):
    """What it had committed is sequenced, what it had not is nowhere; the next one continues with the next number."""
    one = daemon(ring_bytes=1 << 16)
    chance = random.Random(9)
    last = 0
    for _ in range(8):

        def forever():
            publisher = one.connect("md")
            while True:
                publisher.publish(TopOfBook(bid_px=publisher.next_source_seq))

        pid = in_child(forever)
        time.sleep(0.02 + chance.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        exit_code(pid)
        with one.connect("md") as publisher:
            assert publisher.last_source_seq >= last
            last = publisher.last_source_seq
    assert one.stop() == 0
    found = one.frames(TopOfBook)
    assert [f.header.source_seq for f in found] == list(range(1, last + 1))
    assert [f.message.bid_px for f in found] == list(range(1, last + 1))
    starts = [f.message.incarnation for f in one.frames(SourceState) if f.message.state == SourceStateCode.ATTACHED]
    assert starts == list(range(1, len(starts) + 1))


def test_death_in_the_middle_of_a_write(daemon, until):
    """Bytes in the ring that were never committed are not looked at."""
    one = daemon()

    def half():
        publisher = one.connect("md")
        publisher.publish(TopOfBook(bid_px=1))
        with publisher.batch():
            publisher.publish(TopOfBook(bid_px=2))
            publisher.publish(TopOfBook(bid_px=3))
            os.kill(os.getpid(), signal.SIGKILL)

    assert exit_code(in_child(half)) == -signal.SIGKILL
    with one.connect("md") as publisher:
        assert publisher.last_source_seq == 1
        publisher.publish(TopOfBook(bid_px=22))
        until(lambda: publisher.accepted_source_seq == 2)
    one.stop()
    assert [f.message.bid_px for f in one.frames(TopOfBook)] == [1, 22]


def test_regenerated_messages_are_published_once(daemon, until):
    one = daemon()
    with one.connect("algo") as app:
        for n in range(1, 6):
            assert app.publish_numbered(n, NewOrder(order_id=n))
        until(lambda: app.accepted_source_seq == 5)
    with one.connect("algo") as app:
        assert [app.publish_numbered(n, NewOrder(order_id=n)) for n in range(1, 9)] == [False] * 5 + [True] * 3
        with pytest.raises(ValueError, match="leaves a gap; expected 9"):
            app.publish_numbered(12, NewOrder())
        until(lambda: app.accepted_source_seq == 8)
    one.stop()
    assert [f.message.order_id for f in one.frames(NewOrder)] == list(range(1, 9))


def test_a_refused_message_keeps_its_number_over_a_restart(daemon, until):
    one = daemon()
    with one.connect("md") as md:
        md.publish(TopOfBook())
        md.publish(NewOrder())
        until(lambda: md.rejected == 1)
    one.kill()
    one.start()
    with one.connect("md") as md:
        assert (md.last_source_seq, md.incarnation, md.epoch) == (2, 2, 2)
        md.publish(TopOfBook())
        until(lambda: md.accepted_source_seq == 3)
    one.stop()
    assert [f.header.source_seq for f in one.frames(TopOfBook)] == [1, 3]


def test_sigterm_drains_and_publishers_go_on_with_the_next_run(daemon, until):
    one = daemon()
    md = one.connect("md")
    for n in range(1, 101):
        md.publish(TopOfBook(bid_px=n))
    assert one.stop() == 0
    assert [f.message.bid_px for f in one.frames(TopOfBook)] == list(range(1, 101))
    assert isinstance(one.frames()[-1].message, SessionEnd)
    for n in range(101, 151):  # nobody listens: they wait in the ring
        md.publish(TopOfBook(bid_px=n))
    assert not md.alive
    one.start()
    md.reconnect()
    until(lambda: md.accepted_source_seq == 150)
    md.close()
    one.stop()
    assert [f.message.bid_px for f in one.frames(TopOfBook)] == list(range(1, 151))


def test_a_second_publisher_of_a_source_replaces_the_first(daemon, until):
    one = daemon()
    first = one.connect("md")
    first.publish(TopOfBook(bid_px=1))
    second = one.connect("md")
    assert second.last_source_seq == 1
    until(lambda: first.state == SourceStateCode.REPLACED)
    with pytest.raises(PublisherRefused, match="REPLACED"):
        first.publish(TopOfBook(bid_px=-1))
    second.publish(TopOfBook(bid_px=2))
    second.publish(TopOfBook(bid_px=3))
    until(lambda: second.accepted_source_seq == 3)
    with pytest.raises(PublisherRefused, match="another process published as this source"):
        first.reconnect(2)
    first.close()
    second.close()
    one.stop()
    assert [f.message.bid_px for f in one.frames(TopOfBook)] == [1, 2, 3]


def test_a_journal_that_lost_messages_is_noticed(daemon, until, folder):
    """The publisher knows that 1-5 were accepted; a journal without them cannot be continued silently."""
    one = daemon()
    md = one.connect("md")
    for n in range(1, 6):
        md.publish(TopOfBook(bid_px=n))
    until(lambda: md.accepted_source_seq == 5)
    one.stop()
    md.publish(TopOfBook(bid_px=6))
    one.journal.rename(folder / "elsewhere")
    JournalWriter.open(one.journal).close()
    one.start()
    with pytest.raises(PublisherRefused, match="the journal lost messages"):
        md.reconnect(5)


class NoLock:
    """What is left of a lock that was lost."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)

    def release(self):
        pass


def test_a_sequencer_whose_lock_was_lost_ends_when_another_begins(daemon, until, monkeypatch):
    """J21, I-07: the old one ends before it would append again; the new one's frames, socket, watermarks stay as they are."""
    monkeypatch.setattr("journal.writer.FolderLock", NoLock)
    old = daemon(clock_interval_ms=60_000)
    monkeypatch.undo()
    with old.connect("md") as md:
        for n in range(1, 101):
            md.publish(TopOfBook(bid_px=n))
        until(lambda: md.accepted_source_seq == 100)
        new = daemon(clock_interval_ms=10)
        md.publish(TopOfBook(bid_px=101))  # into the old one's ring
        assert old._wait() == EXIT_HALTED
        assert f"epoch 2 has begun here, by process {new.pid}; this writer of epoch 1 ends" in new.errors.read_text()
        md.reconnect()
        assert (md.epoch, md.last_source_seq) == (2, 100)
        for n in range(102, 201):
            md.publish(TopOfBook(bid_px=n))
        until(lambda: md.accepted_source_seq == 200)
    with pytest.raises(JournalLocked):
        JournalWriter.open(new.journal)
    assert new.stop() == 0
    assert survey(new.journal).problems == []
    assert [f.message.bid_px for f in new.frames(TopOfBook)] == list(range(1, 201))
    assert not new.frames(StreamHalted)
    epochs = [f.header.epoch for f in new.frames()]
    assert epochs == sorted(epochs)
