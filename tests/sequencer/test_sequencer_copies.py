"""Two copies of one source: what comes first is on the stream, what comes second is compared with it and dropped."""

import os
import random
import signal
import time

import pytest

from journal.messages import Divergence, LogRecord, Reason, Reject, SourceRole, SourceState, SourceStateCode
from sequencer.client import Publisher, PublisherRefused
from sequencer.settings import SourceSettings
from tests.sequencer.test_sequencer_exactly_once import exit_code, in_child

TWICE = [SourceSettings(name="algo", role=SourceRole.ALGO, copies=2), SourceSettings(name="md", role=SourceRole.MARKET_DATA)]


def text(n: int) -> LogRecord:
    return LogRecord(about_seq=n, text=f"message {n}")


class Model:
    """What the stream of a source with copies is, said slowly: numbers in order, the first content of each."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []
        self.duplicates = self.differing = 0

    def put(self, number: int, content: str, who: int) -> None:
        if number == len(self.said) + 1:
            self.said.append((content, who))
        elif number <= len(self.said):
            self.duplicates += 1
            self.differing += self.said[number - 1][0] != content
        else:
            raise AssertionError("a copy leaves no gap")


@pytest.mark.parametrize("seed", range(4))
def test_two_copies_are_one_source(daemon, until, seed):
    """Turns of random length; now and then one says something else."""
    print("seed", seed)
    chance, one, model = random.Random(seed), daemon(TWICE), Model()
    with one.connect("algo") as a, one.connect("algo") as b, one.connect("md") as md:
        assert {a.state, b.state} == {SourceStateCode.ATTACHED}
        copies, done = (a, b), 0
        while min(c.next_source_seq for c in copies) <= 400:
            # One puts a batch, and it is taken before the next one: so the model knows who was first.
            copy = chance.choice([c for c in copies if c.next_source_seq <= 400])
            with copy.batch():
                for _ in range(min(chance.choice([1, 1, 3, 40]), 401 - copy.next_source_seq)):
                    number = copy.next_source_seq
                    message = text(number) if chance.random() > 0.01 else text(number + 1000)
                    copy.publish(message, cause=number % 3, origin_ts=7)
                    model.put(number, message.text, copy.incarnation)
            md.publish(text(0))
            done += 1
            until(lambda c=copy, n=done: c.pending == 0 and md.accepted_source_seq == n)
        assert (copy.duplicates, copy.rejected) == (model.duplicates, model.differing)
    assert one.stop() == 0
    found = [f for f in one.frames(LogRecord) if f.header.source == 1]
    assert [f.header.source_seq for f in found] == list(range(1, 401))
    assert [(f.message.text, f.header.incarnation) for f in found] == model.said
    refused = sum(f.message.count for f in one.frames(Reject) if f.message.reason == Reason.DUPLICATE_DIFFERS)
    assert refused == model.differing
    assert bool(one.frames(Divergence)) == bool(model.differing)


def publish_as_a_copy(journal, count: int, seed: int) -> None:
    """As a copy of an app does after a start: everything again from 1; what the stream has already is not published."""
    chance = random.Random(seed)
    publisher = Publisher.connect(journal, "algo", timeout_s=20)
    number = publisher.next_source_seq
    while number <= count:
        try:
            with publisher.batch():
                for n in range(number, min(number + chance.choice([1, 1, 5, 30]), count + 1)):
                    assert publisher.publish(text(n)) == n
                    number = n + 1
        except ConnectionError:
            publisher.reconnect(20)
        if not publisher.alive:
            publisher.reconnect(20)
        if chance.random() < 0.02:
            time.sleep(0.001)
    while publisher.accepted_source_seq < count or publisher.pending:
        if not publisher.wait(0.05) and not publisher.alive:
            publisher.reconnect(20)
    publisher.close()


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_of_either_copy_and_of_the_sequencer(daemon, seed):
    """Six deaths at random moments: nothing lost, nothing doubled, nothing said to differ."""
    print("seed", seed)
    chance, count = random.Random(seed), 12_000
    one = daemon(TWICE, ring_bytes=1 << 14)
    copies = [in_child(lambda k=k: publish_as_a_copy(one.journal, count, k)) for k in range(2)]
    for _ in range(6):
        time.sleep(chance.uniform(0, 0.05))
        victim = chance.randrange(3)
        if victim == 2:
            one.kill()
            one.start()
        else:
            os.kill(copies[victim], signal.SIGKILL)
            exit_code(copies[victim])
            copies[victim] = in_child(lambda: publish_as_a_copy(one.journal, count, chance.randrange(1000)))
    assert [exit_code(pid) for pid in copies] == [0, 0]
    assert one.stop() == 0
    found = one.frames(LogRecord)
    assert [f.header.source_seq for f in found] == list(range(1, count + 1))
    assert [f.message.about_seq for f in found] == list(range(1, count + 1))
    assert one.frames(Divergence) == one.frames(Reject) == []


def test_a_third_replaces_the_oldest(daemon, until):
    one = daemon(TWICE)
    first, second = one.connect("algo"), one.connect("algo")
    first.publish(text(1))
    until(lambda: first.accepted_source_seq == 1)
    third = one.connect("algo")
    until(lambda: first.state == SourceStateCode.REPLACED)
    with pytest.raises(PublisherRefused, match="REPLACED"):
        first.publish(text(2))
    assert (second.state, third.state, third.last_source_seq) == (SourceStateCode.ATTACHED, SourceStateCode.ATTACHED, 1)
    second.publish(text(1))
    third.publish(text(2))
    second.publish(text(2))
    until(lambda: second.accepted_source_seq == third.accepted_source_seq == 2)
    for publisher in (first, second, third):
        publisher.close()
    assert one.stop() == 0
    states = [(f.message.state, f.message.incarnation) for f in one.frames(SourceState)]
    assert states[:4] == [
        (SourceStateCode.ATTACHED, 1), (SourceStateCode.ATTACHED, 2),
        (SourceStateCode.REPLACED, 1), (SourceStateCode.ATTACHED, 3),
    ]  # fmt: skip
    assert sorted(states[4:]) == [(SourceStateCode.DETACHED, 2), (SourceStateCode.DETACHED, 3)]


@pytest.mark.parametrize("segments", [1, 2], ids=["one segment", "over a roll"])
def test_a_copy_far_behind_is_compared(daemon, until, segments):
    """Found where it stands: in the segment that is written, or in one before it."""
    one = daemon(TWICE)
    count = 200 * segments
    with one.connect("algo") as a, one.connect("algo") as b:
        for first in range(1, count + 1, 10):  # many turns, and fewer than the loop remembers
            with a.batch():
                for n in range(first, first + 10):
                    a.publish(LogRecord(about_seq=n, text="x" * 4000))
            until(lambda n=first + 9: a.accepted_source_seq == n)
        for n in range(1, count + 1):
            b.publish(LogRecord(about_seq=n if n % 100 else n + 1000, text="x" * 4000))
            if n % 50 == 0:
                time.sleep(0.06)  # the loop looks things up only so often
        until(lambda: b.pending == 0)
        assert b.duplicates == count
        assert b.rejected == count // 100
    assert one.stop() == 0
    assert len(list(one.journal.glob("*.seg"))) >= segments
