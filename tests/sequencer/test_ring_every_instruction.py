"""A publisher dies between any two instructions of a publish: the message is there whole, or not at all. (P01, P02)"""

import ctypes

import pytest
from stepping import Stepped, possible

from journal.messages import LogRecord, SourceRole, SourceState, SourceStateCode
from sequencer.kernel import _sequencer
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SourceSettings

pytestmark = pytest.mark.skipif(not possible(), reason="steps x86-64 instructions")

TEXTS = ["", "short", "x" * 56, "y" * 200, "z" * 2000]
EVERY = 50
"""So many boundaries are looked at for each one where the publisher is really killed."""
WHAT = LogRecord.KIND | 1 << 16 | 1 << 32


def publish_address():
    return ctypes.cast(ctypes.CDLL(_sequencer.__file__).lockstep_producer_send, ctypes.c_void_p).value


def drained(ring, head):
    """What the loop would take from a copy of the ring: the records up to the tail."""
    tail = int(ring.page.tail)
    data = bytes(ffi.buffer(ring.data + head % ring.ring_bytes, tail - head))
    found = []
    while data:
        length = int.from_bytes(data[:4], "little")
        assert 64 <= length <= len(data)
        assert length % 8 == 0
        found.append((int.from_bytes(data[40:48], "little"), data[64:length]))
        data = data[length:]
    return found


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: f"{len(t)} bytes")
def test_every_boundary_of_a_publish(daemon, until, text):
    """Stepped through with the production object; every fiftieth boundary is a real SIGKILL under a real sequencer."""
    sources = [SourceSettings(name=f"s{i}", role=SourceRole.ALGO) for i in range(40)]
    one = daemon(sources, clock_interval_ms=60_000)
    body = LogRecord(about_seq=2, text=text).encode()
    before = LogRecord(about_seq=1, text="before").encode()
    killed, at, done, seen = 0, 0, False, set()
    send = lib.lockstep_producer_send
    while not done:
        with one.connect(sources[killed].name) as md:
            ring = md.producer.ring
            md.publish_bytes(LogRecord.KIND, 1, before)
            until(lambda md=md: md.accepted_source_seq == 1)
            head = int(ring.page.tail)
            child = Stepped(publish_address(), lambda md=md: send(md.producer, WHAT, body, len(body), 0, 0))
            while not done and child.steps < at:
                done = not child.step()
                there = drained(ring, head)
                assert there in ([], [(2, body)])
                seen.add(len(there))
            child.kill()
            whole = bool(drained(ring, head))
        killed += 1
        at += EVERY
        until(lambda n=killed: len(states(one)) == n)
        assert [f.message.about_seq for f in one.frames(LogRecord) if f.header.source == killed] == [1, 2][: 1 + whole]
    assert killed > 2
    assert seen == {0, 1}  # it was seen before and after the one store that matters
    assert one.stop() == 0


def states(one):
    """The publishers that have been given up."""
    return [f for f in one.frames(SourceState) if f.message.state == SourceStateCode.DETACHED]
