"""The sequencer inside another program's thread: same stream, same rules, same end as in a process of its own."""

import contextlib
import os
import select
import signal
import sys

import pytest

from journal.frames import frames
from journal.messages import DurabilityPolicy, SessionEnd, SessionMode, SourceRole, SourceState, TopOfBook
from journal.segment import segment_name
from sequencer.client import Publisher
from sequencer.daemon import StreamEnded
from sequencer.hosted import hosted
from sequencer.settings import RateLimit, SequencerSettings, SourceSettings, SourceTuning

SOURCES = [SourceSettings(name=n, role=SourceRole.MARKET_DATA) for n in ("host", "guest", "other")]
SESSION = {"mode": SessionMode.PAPER, "durability": DurabilityPolicy.DURABLE}


def settings(**more):
    return SequencerSettings(**{"segment_bytes": 1 << 20, "ring_bytes": 1 << 16, **more})


def run_host(journal, ready, *, every):
    """A program with work of its own: publishes, turns, attends, and sleeps when there is nothing to do."""
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    said = 0
    with hosted(journal, settings(), SOURCES, **SESSION) as sequencer:
        mine = sequencer.connect("host")
        ready()
        poll = select.poll()
        for fd in (sequencer.fileno(), sequencer.wake_fd):
            poll.register(fd, select.POLLIN)
        while not stopping:
            if said < every:
                said += 1
                mine.publish(TopOfBook(instrument=1, bid_px=said))
            sequencer.attend()
            if sequencer.turn() or said < every:
                continue
            left_s = sequencer.arm()
            poll.poll(left_s * 1000)
            sequencer.disarm()
        mine.close()


class Host:
    def __init__(self, folder):
        self.journal = folder / "j"
        self.errors = folder / "host.stderr"
        self.pid = 0

    def start(self, *, every=0):
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                os.close(read)
                sys.stderr = self.errors.open("w", buffering=1)
                run_host(self.journal, lambda: os.write(write, b"1"), every=every)
                code = 0
            finally:
                os._exit(code)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.read(1) == b"1", self.errors.read_text()
        return self

    def end(self, number):
        os.kill(self.pid, number)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def host(folder):
    one = Host(folder)
    yield one
    if one.pid:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            one.end(signal.SIGKILL)


def prices(journal, instrument):
    return [f.message.bid_px for f in frames(journal, kinds=[TopOfBook.KIND]) if f.message.instrument == instrument]


def test_host_and_guests_are_sequenced_once_each_and_the_end_is_clean(host, until):
    host.start(every=3000)
    with Publisher.connect(host.journal, "guest") as guest, Publisher.connect(host.journal, "other") as other:
        for n in range(1, 2001):
            guest.publish(TopOfBook(instrument=2, bid_px=n))
            if n % 100 == 0:
                until(lambda n=n: guest.accepted_source_seq == n)  # it falls asleep, and is woken
                other.publish(TopOfBook(instrument=3, bid_px=n // 100))
        until(lambda: other.accepted_source_seq == 20)
        until(lambda: len(prices(host.journal, 1)) == 3000)
        assert host.end(signal.SIGTERM) == 0, host.errors.read_text()
    assert prices(host.journal, 1) == list(range(1, 3001))
    assert prices(host.journal, 2) == list(range(1, 2001))
    assert prices(host.journal, 3) == list(range(1, 21))
    last = list(frames(host.journal))[-1]
    assert last.header.kind == SessionEnd.KIND


def test_a_killed_host_is_a_killed_sequencer_nothing_more(host, until):
    """Its guests keep their rings; what the journal does not have goes in once, under whatever sequencer comes next."""
    host.start(every=500)
    guest = Publisher.connect(host.journal, "guest")
    for n in range(1, 301):
        guest.publish(TopOfBook(instrument=2, bid_px=n))
    until(lambda: guest.accepted_source_seq >= 1)
    host.end(signal.SIGKILL)
    for n in range(301, 401):
        guest.publish(TopOfBook(instrument=2, bid_px=n))
    had = len(prices(host.journal, 1))
    host.start(every=10)
    guest.reconnect()
    until(lambda: guest.accepted_source_seq == 400)
    until(lambda: len(prices(host.journal, 1)) == had + 10)
    assert host.end(signal.SIGTERM) == 0, host.errors.read_text()
    assert prices(host.journal, 2) == list(range(1, 401))
    # The host's own ring died with it: what had not been sequenced is gone, as with any publisher that is killed.
    assert prices(host.journal, 1) == [*range(1, had + 1), *range(1, 11)]
    guest.close()


def test_a_turn_does_not_wait_for_a_segment(folder, until):
    """While the disk gives none, rings hold what comes and the host goes on with its work; nothing is lost or doubled."""
    with hosted(folder / "j", settings(), SOURCES, **SESSION) as sequencer:
        mine, loop = sequencer.connect("host"), sequencer._loop
        # No thread prepares: the end of its segments is the loop's.
        prepared, loop.segment_fd = loop.segment_fd, os.eventfd(0, os.EFD_NONBLOCK)
        body = TopOfBook().encode()
        said = 0
        while loop.stalls == 0:
            mine.publish_bytes(TopOfBook.KIND, 1, body)
            said += 1
            assert said < 40_000
            sequencer.turn()
        before = mine.accepted_source_seq
        assert not any(sequencer.turn() for _ in range(100))
        assert mine.accepted_source_seq == before < said or mine.pending == 0
        loop.segment_fd = prepared
        os.eventfd_write(prepared, 1)
        until(lambda: sequencer.turn() or mine.accepted_source_seq == said)
        until(lambda: (sequencer.turn(), mine.accepted_source_seq == said)[1])
    assert len(list(frames(folder / "j", kinds=[TopOfBook.KIND]))) == said


@pytest.mark.parametrize("interval_us", [100, 10_000_000], ids=["the syncer", "the loop"])
def test_somebody_wakes_who_prepares_the_next_segment(folder, until, interval_us):
    """The thread that syncs, where that is soon, for it costs the loop nothing; else the loop."""
    with hosted(folder / "j", settings(sync_interval_us=interval_us), SOURCES, **SESSION) as sequencer:
        mine, body = sequencer.connect("host"), TopOfBook().encode()
        assert (sequencer._loop.writer.roll_fd < 0) == (interval_us == 100)

        def next_is_made(after):
            while mine.pending < 1 << 15 and sequencer._loop.writer.segment < after:  # never more than the ring takes
                mine.publish_bytes(TopOfBook.KIND, 1, body)
            sequencer.turn()
            return (folder / "j" / segment_name(after + 1)).exists()

        for segment in range(2, 8):
            until(lambda segment=segment: next_is_made(segment))


def test_a_refused_attach_is_the_hosts_to_hear(folder):
    with hosted(folder / "j", settings(), SOURCES, **SESSION) as sequencer, pytest.raises(OSError, match="not configured"):
        sequencer.connect("nobody")


def test_a_failed_journal_ends_the_host_with_the_reason(folder):
    def turn_for_ever():
        with hosted(folder / "j", settings(), SOURCES, **SESSION) as sequencer:
            mine = sequencer.connect("host")
            sequencer._loop.writer.failed = 5
            mine.publish(TopOfBook())
            while True:
                sequencer.turn()

    with pytest.raises(StreamEnded, match="while appending"):
        turn_for_ever()
    states = [f.message for f in frames(folder / "j", kinds=[SourceState.KIND])]
    assert len(states) == 1


def test_a_host_sleeps_no_longer_than_a_publisher_is_held_back(folder):
    """Its messages wait for tokens, and nobody else wakes the host for them."""
    limit = {"guest": SourceTuning(rate_limit=RateLimit(count=1, window_ms=200))}
    with hosted(folder / "j", settings(sources=limit, clock_interval_ms=60_000), SOURCES, **SESSION) as sequencer:
        guest = sequencer.connect("guest")
        for n in range(3):
            guest.publish(TopOfBook(instrument=1, bid_px=n + 1))
        while guest.accepted_source_seq < 3:
            while sequencer.turn():
                pass
            left_s = sequencer.arm()
            assert left_s <= 0.2
            select.select([sequencer.wake_fd], [], [], left_s)
            sequencer.disarm()
        guest.close()
