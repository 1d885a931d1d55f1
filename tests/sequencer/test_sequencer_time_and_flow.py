"""Time, sleep and fairness: what the loop does between messages and with many publishers."""

import itertools
import os
import select
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from journal.frames import frames
from journal.messages import Clock, NewOrder, SessionMode, SourceRole, TopOfBook
from journal.reader import JournalReader
from sequencer.client import Publisher, SequencerGone
from sequencer.clock import LoopClock
from sequencer.daemon import Sequencer
from sequencer.settings import SequencerSettings, SourceSettings

HOUR = 3_600_000_000_000


@pytest.fixture
def inside(folder):
    """A sequencer in this process, in threads, so that a test can move its clock."""
    clock = LoopClock(1_000 * HOUR)
    settings = SequencerSettings(segment_bytes=1 << 20, ring_bytes=1 << 16, clock_interval_ms=5)
    sequencer = Sequencer(
        folder / "j", settings, [SourceSettings(name="md", role=SourceRole.MARKET_DATA)], mode=SessionMode.PAPER, clock=clock
    )
    sequencer.start()
    thread = threading.Thread(target=sequencer.serve)
    thread.start()
    yield sequencer, clock
    sequencer.stop()
    thread.join()
    sequencer.close()


def test_stream_time_never_steps_back(inside, until):
    """The wall clock jumps an hour back, stands still, jumps forward: ts goes on by a nanosecond at least, always."""
    sequencer, clock = inside
    with Publisher.connect(sequencer.journal, "md") as md:
        for n, move in enumerate((0, -HOUR, 0, 2 * HOUR, 1), start=1):
            clock.advance(move)
            with md.batch():
                for _ in range(10):
                    md.publish(TopOfBook(bid_px=n))
            until(lambda n=n: md.accepted_source_seq == 10 * n)
    stamps = [f.header.ts for f in frames(sequencer.journal)]
    assert all(a < b for a, b in itertools.pairwise(stamps))
    third = [f.header.ts for f in frames(sequencer.journal, kinds=[TopOfBook.KIND]) if f.message.bid_px == 3]
    assert third[0] < 1_000 * HOUR + 1_000_000  # back an hour: still just behind where it was
    fourth = [f.header.ts for f in frames(sequencer.journal, kinds=[TopOfBook.KIND]) if f.message.bid_px == 4]
    assert fourth[0] == 1_001 * HOUR


def test_idle_time_is_told(inside, until):
    sequencer, clock = inside
    clock.advance(-HOUR)
    until(lambda: len(list(frames(sequencer.journal, kinds=[Clock.KIND]))) >= 5)
    found = [f.message for f in frames(sequencer.journal, kinds=[Clock.KIND])]
    assert found[-1].wall_ts == 999 * HOUR
    assert all(a.mono_ns < b.mono_ns for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("idle", ["spin", "yield", "spin-then-park", "park"])
def test_every_idle_policy_sequences_and_wakes(daemon, idle, until):
    one = daemon(idle=idle)
    with one.connect("md") as md, JournalReader(one.journal, kinds=[TopOfBook.KIND]) as reader:
        for n in range(1, 51):
            md.publish(TopOfBook(bid_px=n))
            found = []
            while not found:
                batch = reader.poll()
                if batch is None:
                    md.wait(1)
                else:
                    found = list(batch)
            if n % 10 == 0:
                time.sleep(0.003)  # let it fall asleep
    assert one.stop() == 0


def test_the_wake_comes_once_and_only_when_asked(daemon, until):
    one = daemon(clock_interval_ms=60_000, sync_interval_us=0)
    with one.connect("md") as md, one.connect("algo") as other:
        time.sleep(0.1)
        poll = select.poll()
        poll.register(other.park_fd(), select.POLLIN)
        md.publish(TopOfBook())
        until(lambda: md.accepted_source_seq == 1)
        time.sleep(0.05)
        assert not poll.poll(0)  # not armed: not woken
        other.arm()
        for _ in range(100):
            md.publish(TopOfBook())
        assert poll.poll(5000)
        until(lambda: md.accepted_source_seq == 101)
        time.sleep(0.05)
        # Once for frames and once for durable_seq, not a hundred times.
        assert 1 <= os.eventfd_read(other.park_fd()) <= 2
        other.disarm()
    assert one.stop() == 0


def test_durable_follows_and_wakes(daemon):
    one = daemon(clock_interval_ms=60_000)
    with one.connect("md") as md, JournalReader(one.journal) as reader:
        md.publish(TopOfBook())
        end = time.monotonic() + 5
        while md.accepted_seq == 0 or reader.durable_seq < md.accepted_seq:
            md.wait(1, unless=lambda: md.accepted_seq and reader.durable_seq >= md.accepted_seq)
            assert time.monotonic() < end
    assert one.stop() == 0


def test_a_full_ring_makes_its_publisher_wait_and_loses_nothing(daemon, until):
    one = daemon(ring_bytes=1 << 12)
    with one.connect("md") as md:
        for n in range(1, 5001):
            md.publish(TopOfBook(bid_px=n))
        with md.batch():  # larger than the ring: it goes in parts
            for n in range(5001, 5201):
                md.publish(TopOfBook(bid_px=n))
        until(lambda: md.accepted_source_seq == 5200)
        with pytest.raises(ValueError, match="at most 1984 fit a frame of this ring"):
            md.publish_bytes(201, 1, bytes(4096))
    one.stop()
    assert [f.message.bid_px for f in one.frames(TopOfBook)] == list(range(1, 5201))


def test_rows_of_a_buffer_are_messages(daemon, until):
    """More rows than the ring holds, from a numpy array and from bytes; each is a frame with a number of its own."""
    one = daemon(ring_bytes=1 << 12)
    md = one.connect("md")
    encoded = [TopOfBook(bid_px=n).encode() for n in range(1, 201)]
    size = len(encoded[0])
    array = np.frombuffer(b"".join(encoded[:100]), dtype=np.dtype((np.void, size)))
    assert md.publish_rows(TopOfBook.KIND, TopOfBook.VERSION, array) == range(1, 101)
    with md.batch():
        given = md.publish_rows(TopOfBook.KIND, TopOfBook.VERSION, b"".join(encoded[100:]), row_bytes=size, cause=1)
        assert md.publish(TopOfBook(bid_px=201)) == 201
    assert given == range(101, 201)
    until(lambda: md.accepted_source_seq == 201)
    for rows, row_bytes, why in [(bytes(10), 3, "no whole rows"), (bytes(8000), 8000, "at most")]:
        with pytest.raises(ValueError, match=why):
            md.publish_rows(TopOfBook.KIND, TopOfBook.VERSION, rows, row_bytes=row_bytes)
    for kind, version in [(1 << 16, 1), (201, 1 << 16)]:
        with pytest.raises(ValueError, match="16 bits"):
            md.publish_rows(kind, version, bytes(64), row_bytes=64)
        with pytest.raises(ValueError, match="16 bits"):
            md.publish_bytes(kind, version, bytes(64))
    assert md.publish_rows(TopOfBook.KIND, TopOfBook.VERSION, b"", row_bytes=size) == range(202, 202)
    md.close()
    one.stop()
    found = one.frames(TopOfBook)
    assert [f.message.bid_px for f in found] == list(range(1, 202))
    assert [f.header.source_seq for f in found] == list(range(1, 202))
    assert {f.header.cause for f in found[100:200]} == {1}


def test_a_full_ring_without_a_sequencer_says_so(daemon, until):
    one = daemon(ring_bytes=1 << 12)
    md = one.connect("md")
    one.kill()
    count = (1 << 12) // (64 + len(TopOfBook().encode()))
    for n in range(1, count + 1):
        md.publish(TopOfBook(bid_px=n))
    with pytest.raises(SequencerGone, match="has ended and the ring is full"):
        md.publish(TopOfBook(bid_px=-1))
    one.start()
    md.reconnect()
    md.publish(TopOfBook(bid_px=count + 1))
    until(lambda: md.accepted_source_seq == count + 1)
    md.close()
    one.stop()
    assert [f.message.bid_px for f in one.frames(TopOfBook)] == list(range(1, count + 2))


def test_eight_publishers_have_equal_turns(daemon, until):
    """Eight full rings: as long as all have more, no one has two turns while another waits for one."""
    sources = [SourceSettings(name=f"s{i}", role=SourceRole.ALGO) for i in range(8)]
    body, turn = NewOrder().encode(), 4
    one = daemon(sources, ring_bytes=1 << 16, batch_bytes=turn * (64 + len(body)), clock_interval_ms=60_000)
    publishers = [one.connect(s.name) for s in sources]
    count = (1 << 16) // (64 + len(body))
    os.kill(one.pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{one.pid}/task")  # the loop's thread is stopped when it is, not when the signal is sent
    until(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()))
    for publisher in publishers:
        with publisher.batch():
            for _ in range(count):
                publisher.publish_bytes(NewOrder.KIND, 1, body)
    os.kill(one.pid, signal.SIGCONT)
    until(lambda: all(p.accepted_source_seq == count for p in publishers))
    one.stop()
    order = [f.header.source for f in one.frames(NewOrder)]
    assert len(order) == 8 * count
    turns = [order[i] for i in range(0, len(order), turn)]
    assert all(order[i : i + turn] == [turns[i // turn]] * turn for i in range(0, 8 * turn * (count // turn), turn))
    done = dict.fromkeys(range(1, 9), 0)
    for source in turns[: 8 * (count // turn)]:
        done[source] += 1
        assert max(done.values()) - min(done.values()) <= 2
    for publisher in publishers:
        publisher.close()


def test_a_flood_does_not_keep_the_others_waiting(daemon, until):
    sources = [SourceSettings(name=f"s{i}", role=SourceRole.ALGO) for i in range(3)]
    one = daemon(sources, ring_bytes=1 << 16)
    flooding = [one.connect("s0"), one.connect("s1")]
    body, stop = NewOrder().encode(), threading.Event()

    def flood(publisher):
        while not stop.is_set():
            with publisher.batch():
                for _ in range(50):
                    publisher.publish_bytes(NewOrder.KIND, 1, body)

    threads = [threading.Thread(target=flood, args=(p,)) for p in flooding]
    for thread in threads:
        thread.start()
    with one.connect("s2") as quiet:
        waits = []
        for n in range(1, 51):
            before = time.perf_counter()
            quiet.publish(NewOrder(order_id=n))
            until(lambda n=n: quiet.accepted_source_seq == n)
            waits.append(time.perf_counter() - before)
        assert quiet.full_waits == 0
    stop.set()
    for thread in threads:
        thread.join()
    until(lambda: all(p.pending == 0 for p in flooding))
    one.stop()
    assert sorted(waits)[25] < 2, waits  # it would be minutes
    for publisher in flooding:
        publisher.close()
