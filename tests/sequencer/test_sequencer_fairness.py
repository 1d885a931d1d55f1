"""Sixty-four publishers under saturation have equal turns in bytes, whatever the size of their messages. (P08)"""

import os
import signal
from pathlib import Path

from journal.messages import LogRecord, SourceRole
from sequencer.settings import RateLimit, SourceSettings, SourceTuning

MANY = 64
SIZES = (8, 200, 1000, 3000)
BATCH = 1 << 11
"""Shorter than the longest of the messages."""
RING = 1 << 17


def body_of(size):
    return LogRecord(text="x" * size).encode()


def fill(publisher, size, messages=10_000):
    """As much as fits its ring."""
    body = body_of(size)
    count = min(messages, RING // (64 + len(body)) - 1)
    with publisher.batch():
        for _ in range(count):
            publisher.publish_bytes(LogRecord.KIND, 1, body)
    return count


def stands_still(pid):
    """Whether a process that was told to stop has: a thread on another core goes on for a moment."""
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def test_sixty_four_publishers_are_served_alike(daemon, until):
    """All rings filled, then let go. As long as all have something left, the most served is ahead by less than a turn and a
    message, however long the messages are, and has at most 1.2 times the least."""
    sources = [SourceSettings(name=f"s{i}", role=SourceRole.ALGO) for i in range(MANY)]
    one = daemon(sources, ring_bytes=RING, batch_bytes=BATCH, clock_interval_ms=60_000, segment_bytes=16 << 20)
    publishers = [one.connect(s.name) for s in sources]
    os.kill(one.pid, signal.SIGSTOP)
    until(lambda: stands_still(one.pid), 10)
    counts = [fill(p, SIZES[i % len(SIZES)]) for i, p in enumerate(publishers)]
    os.kill(one.pid, signal.SIGCONT)
    until(lambda: all(p.accepted_source_seq == n for p, n in zip(publishers, counts, strict=True)), 60)
    for publisher in publishers:
        publisher.close()
    assert one.stop() == 0
    wanted = dict(zip(range(1, MANY + 1), counts, strict=True))
    served = dict.fromkeys(wanted, 0)
    messages = dict.fromkeys(wanted, 0)
    looked = 0
    for frame in one.frames(LogRecord):
        source = frame.header.source
        served[source] += frame.header.length
        messages[source] += 1
        if messages[source] == wanted[source]:
            break  # the first to be done: from here on they are not all saturated
        looked += 1
    assert looked > 1000
    most, least = max(served.values()), min(served.values())
    assert most - least < BATCH + 64 + len(body_of(max(SIZES))), served
    assert most <= 1.2 * least, served
    for size in range(len(SIZES)):  # and by messages, among those of one size
        alike = [messages[n] for n in wanted if (n - 1) % len(SIZES) == size]
        assert max(alike) <= 1.2 * min(alike) + 1, (size, alike)


def test_a_banned_runaway_has_no_share(daemon, until):
    """While it is banned its messages are refused at a bounded pace, and the others have the stream."""
    sources = [SourceSettings(name=n, role=SourceRole.ALGO) for n in ("runaway", "a", "b")]
    tuning = {"runaway": SourceTuning(rate_limit=RateLimit(count=10, window_ms=10, ban_ms=60_000))}
    one = daemon(sources, tuning=tuning, ring_bytes=RING, batch_bytes=BATCH)
    runaway, a, b = (one.connect(s.name) for s in sources)
    fill(runaway, 8)
    until(lambda: runaway.rejected > 0)
    before = runaway.rejected
    for round_ in range(1, 6):
        counts = [fill(p, 8, 100) for p in (a, b)]
        until(lambda r=round_, c=counts: a.accepted_source_seq == r * c[0] and b.accepted_source_seq == r * c[1])
    assert (a.rejected, b.rejected, a.full_waits, b.full_waits) == (0, 0, 0, 0)
    assert before <= runaway.rejected
    for publisher in (runaway, a, b):
        publisher.close()
    assert one.stop() == 0
