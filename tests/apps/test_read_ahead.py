"""A thread in C that reads ahead of a replay: where it begins, where it ends, and that nobody can tell otherwise."""

from __future__ import annotations

import gc
import os
import random
import signal
import time

import pytest

import apps.group
from apps.app import App
from apps.group import Group
from apps.ledger import Ledger
from journal.messages import Clock, TopOfBook, TradeSummary
from journal.reader import JournalReader
from journal.writer import JournalWriter

pytestmark = [
    pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built"),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: nothing reads ahead"),
]
COUNT = 40_000


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("ahead"), random.Random(5)
    with JournalWriter.open(folder, stream_id=1, nonce=1, segment_bytes=1 << 22) as writer:
        for n in range(1, COUNT + 1):
            kind = draw.randrange(12)
            message = TradeSummary(instrument=n) if kind == 0 else TopOfBook(bid_px=n) if kind == 1 else Clock(mono_ns=n)
            writer.append(message, ts=5 * n, source=1, source_seq=n)
    return folder


def threads():
    return len(os.listdir("/proc/self/task"))


def are_left(count):
    """Whether no more threads than so many are there, soon: one that was waited for is listed for a moment longer."""
    until = time.monotonic() + 10
    while threads() > count and time.monotonic() < until:
        time.sleep(0.001)
    return threads() <= count  # a fork ends those of numpy


@pytest.fixture(autouse=True)
def before():
    count = threads()
    yield count
    assert are_left(count)


class Heard:
    """What an app gets, how many threads there are meanwhile, and what it does besides; none of that is its state."""

    def __init__(self):
        self.seen, self.threads, self.then = [], set(), {}

    def hear(self, *row):
        self.seen.append(row)
        if len(self.seen) % 100 == 0:
            self.threads.add(threads())
            self.then.get(len(self.seen), int)()

    def app(self):
        hear = self.hear

        class Hears(App):
            def on_trade_summary(self, m):
                hear(self.seq, self.now, m.instrument)

        return Hears()


def group_of(heard):
    group = Group()
    group.add("hears", heard.app(), source=3, ledger=Ledger("hears"))
    return group


def read_all(group, reader, **limits):
    count = 0
    while (stepped := group.read(reader, **limits)) is not None:
        count += stepped
    return count


@pytest.fixture(scope="module")
def expected(journal):
    heard = Heard()
    group = group_of(heard)
    group._runner = None
    with JournalReader(journal) as reader:
        assert read_all(group, reader) == COUNT
    return heard.seen


def test_a_long_read_has_a_thread_until_it_is_done(journal, expected, before):
    heard = Heard()
    group = group_of(heard)
    with JournalReader(journal) as reader:
        assert read_all(group, reader) == COUNT
        assert are_left(before)
    assert heard.seen == expected
    assert heard.threads == {before, before + 1}  # the first frames are read as a segment begins, and its last by no thread


def test_a_short_one_has_none(journal, expected, before):
    heard = Heard()
    group = group_of(heard)
    with JournalReader(journal) as reader:
        for to_seq in range(0, COUNT, 10_000):
            while reader.next_seq <= to_seq and group.read(reader, to_seq=to_seq):
                pass
            assert group.seq == to_seq
    assert heard.seen == [row for row in expected if row[0] <= COUNT - 10_000]
    assert heard.threads == {before}


def test_it_ends_at_the_frame_that_was_asked_for(journal, expected, before):
    heard = Heard()
    group = group_of(heard)
    with JournalReader(journal) as reader:
        while group.seq < 30_001:
            group.read(reader, to_seq=30_001)
        assert are_left(before)
        assert heard.threads == {before, before + 1}
        assert reader.next_seq == 30_002
    assert heard.seen == [row for row in expected if row[0] <= 30_001]


def test_on_one_core_there_is_none(journal, expected, before):
    heard, cores = Heard(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with JournalReader(journal) as reader:
            read_all(group_of(heard), reader)
    finally:
        os.sched_setaffinity(0, cores)
    assert heard.seen == expected
    assert heard.threads == {before}


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_a_handler_raises_ends_it(journal, expected, before, error):
    heard = Heard()

    def fail():
        if error is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        raise error

    heard.then[1000] = fail
    group = group_of(heard)
    with JournalReader(journal) as reader, pytest.raises(error):
        read_all(group, reader)
    assert heard.threads == {before, before + 1}
    assert are_left(before)
    assert heard.seen == expected[:1000]
    assert group.seq == heard.seen[-1][0] - 1


def test_a_group_that_is_let_go_lets_go_of_it(journal, before):
    group = group_of(Heard())
    reader = JournalReader(journal)
    group.read(reader)
    group.read(reader)
    assert threads() == before + 1
    reader.close()
    del group
    gc.collect()
    assert are_left(before)


class Tops(App):
    def __init__(self):
        self.seen = []

    def on_top_of_book(self, m):
        self.seen.append(self.seq)


def test_an_app_that_comes_meanwhile_gets_its_frames(journal, expected):
    first, second = Heard(), Heard()
    group = group_of(first)
    with JournalReader(journal) as reader:
        group.read(reader)
        group.read(reader, max_frames=5000)

        group.add("second", second.app(), source=5, ledger=Ledger("second"), active_from=20_000)
        tops = Tops()
        group.add("tops", tops, source=4, ledger=Ledger("tops"), active_from=12_345)
        read_all(group, reader)
    assert first.seen == expected
    assert second.seen == [row for row in expected if row[0] > 20_000]
    with JournalReader(journal, kinds=[TopOfBook.KIND]) as reader:
        held = []
        while (batch := reader.poll()) is not None:
            held += [row[3] for row in batch]
    assert tops.seen == [seq for seq in held if seq > 12_345]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_meanwhile_reads_on_without_it(journal, expected):
    heard, child = Heard(), []

    def fork():
        child.append(os.fork())
        if not child[0]:
            signal.alarm(20)

    heard.then[1000] = fork
    group = group_of(heard)
    with JournalReader(journal) as reader:
        try:
            read_all(group, reader)
        finally:
            if child and not child[0]:
                os._exit(0 if heard.seen == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child[0], 0)[1]) == 0
    assert heard.seen == expected
