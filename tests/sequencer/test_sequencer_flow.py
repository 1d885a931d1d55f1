"""Who says too much, too late, comes too often, or says something else the second time. (P03, P07, P08, P09)"""

import itertools
import os
import signal
import threading
import time

import pytest

from journal.messages import (
    Ban,
    BanLifted,
    Divergence,
    Flag,
    LogRecord,
    Reason,
    Reject,
    ScopeType,
    SourceDefined,
    SourceStateCode,
)
from journal.segment import CONTROL, ControlPage
from sequencer.attach import LockedOut
from sequencer.client import Publisher
from sequencer.flow import ATTACHES_FREE, ATTACHES_WINDOW_S, LOCKOUT_FIRST_S, LOCKOUT_MOST_S, Lockout
from sequencer.session import ConfigurationError
from sequencer.settings import RateLimit, SourceTuning


def limited(count, window_ms, ban_ms=0):
    return {"md": SourceTuning(rate_limit=RateLimit(count=count, window_ms=window_ms, ban_ms=ban_ms))}


def publish_fast(publisher, count):
    with publisher.batch():
        for n in range(count):
            publisher.publish(LogRecord(about_seq=n))


def test_a_limited_publisher_is_held_back_alone(daemon, until):
    """400 at once, then 400 in each 200 ms: nothing is refused, nothing lost, and the other one does not wait."""
    one = daemon(tuning=limited(400, 200))
    with one.connect("md") as md, one.connect("algo") as algo:
        begun = time.monotonic()
        publish_fast(md, 1000)
        assert algo.publish(LogRecord(text="not limited")) == 1
        until(lambda: algo.accepted_source_seq == 1)
        until(lambda: md.accepted_source_seq >= 400)
        until(lambda: md.accepted_source_seq == 1000)
        assert time.monotonic() - begun > 0.25  # 600 behind the first 400, at 2 a millisecond
        assert (md.rejected, md.state) == (0, SourceStateCode.ATTACHED)
    one.stop()
    assert [f.header.source_seq for f in one.frames(LogRecord) if f.header.source == 1] == list(range(1, 1001))
    assert one.frames(Ban) == []
    assert {f.message.name: f.message.rate_limit for f in one.frames(SourceDefined)} == {"md": 2000, "algo": 0}


def test_a_runaway_is_banned_for_a_time(daemon, until):
    one = daemon(tuning=limited(100, 50, 400))
    stop = threading.Event()
    with one.connect("md") as md, one.connect("algo") as algo:

        def run_away():
            while not stop.is_set():
                publish_fast(md, 50)

        thread = threading.Thread(target=run_away)
        thread.start()
        until(lambda: md.state == SourceStateCode.BANNED)
        number = algo.publish(LogRecord(text="others go on"))
        until(lambda: algo.accepted_source_seq == number)
        until(lambda: md.last_reject_reason == Reason.SOURCE_BANNED)
        stop.set()
        thread.join()
        last = md.next_source_seq - 1
        until(lambda: md.state == SourceStateCode.ATTACHED and md.pending == 0)
        again = md.publish(LogRecord(text="welcome back"))
        until(lambda: md.accepted_source_seq == again == last + 1)
    assert one.stop() == 0
    ban, lifted = one.frames(Ban)[0], one.frames(BanLifted)[0]
    assert (ban.message.scope_type, ban.message.scope_source, ban.message.rule) == (ScopeType.SOURCE, 1, Reason.PUBLISH_RATE)
    assert ban.message.until_ts - ban.header.ts == 400_000_000
    assert lifted.message.ban_seq == ban.header.seq
    assert lifted.header.ts >= ban.message.until_ts - 50_000_000
    between = [f for f in one.frames() if ban.header.seq < f.header.seq < lifted.header.seq]
    assert not [f for f in between if f.header.source == 1]
    # Every number is on the stream once: as a message, or counted in a Reject.
    refused = sum(f.message.count for f in one.frames(Reject) if f.message.reason == Reason.SOURCE_BANNED)
    assert refused + len([f for f in one.frames(LogRecord) if f.header.source == 1]) == again


def test_the_time_that_a_sequencer_stood_still_is_held_against_nobody(daemon, until):
    """T05: a publisher was held back when the process stopped, and has kept to its limit since: it is not banned for that."""
    one = daemon(tuning=limited(100, 1000, 60_000))
    with one.connect("md") as md:
        publish_fast(md, 150)
        until(lambda: md.accepted_source_seq >= 100)
        os.kill(one.pid, signal.SIGSTOP)
        publish_fast(md, 100)
        time.sleep(1.5)
        os.kill(one.pid, signal.SIGCONT)
        until(lambda: md.accepted_source_seq == 250)
        assert (md.state, md.rejected) == (SourceStateCode.ATTACHED, 0)
    assert one.stop() == 0
    assert one.frames(Ban) == []


def test_a_ban_outlives_the_sequencer(daemon, until):
    one = daemon(tuning=limited(10, 20, 60_000))
    with one.connect("md") as md:
        for _ in range(20):
            publish_fast(md, 20)
        until(lambda: md.state == SourceStateCode.BANNED)
        one.kill()
        one.start()
        md.reconnect()
        number = md.publish(LogRecord(text="still banned"))
        until(lambda: md.pending == 0 and md.last_reject_reason == Reason.SOURCE_BANNED)
        assert md.accepted_source_seq < number
    one.stop()
    assert len(one.frames(Ban)) == 1


def test_who_is_left_alone_hears_of_frames_all_the_same(daemon, until):
    """A banned publisher's ring is not touched for a while, nor is the word there that it sleeps: it is woken afterwards. No
    other frame comes, and syncs, which wake it as well, are ten seconds apart."""
    quiet = {"clock_interval_ms": 60_000, "sync_interval_us": 10_000_000, "stall_alert_ms": 60_000}
    one = daemon(tuning=limited(10, 20, 60_000), **quiet)
    control = ControlPage(one.journal / CONTROL).c
    with one.connect("md") as md, one.connect("algo") as algo:
        for _ in range(20):
            publish_fast(md, 20)
        until(lambda: md.state == SourceStateCode.BANNED)
        for _ in range(5):
            md.publish(LogRecord(text="refused, then its ring rests"))
            while md.pending:
                md.wait(0)  # nor has it a wake left from before
            assert md.wait(60, unless=lambda: algo.publish(LogRecord()) == 0)
            if control.durable_seq < control.written_seq:
                return
        pytest.fail("only syncs have woken it")


def test_limits_name_sources_that_exist(folder):
    from sequencer.daemon import Sequencer
    from sequencer.settings import SequencerSettings

    sequencer = Sequencer(folder / "j", SequencerSettings(sources={"nobody": SourceTuning()}), [])
    with pytest.raises(ConfigurationError, match=r"sequencer\.sources\.nobody: no such source"):
        sequencer.start()
    sequencer.close(clean=False)


@pytest.mark.parametrize("restart", [False, True], ids=["same run", "after a restart"])
def test_a_second_copy_is_compared(daemon, hostile, until, restart):
    """The first copy is the stream's. An equal one is dropped; one that differs is a Divergence, and refused."""
    one = daemon()
    bodies = [LogRecord(about_seq=n, text=f"message {n}").encode() for n in range(1, 301)]
    with one.connect("md") as md:
        for body in bodies:
            md.publish_bytes(LogRecord.KIND, 1, body, origin_ts=7)
        until(lambda: md.accepted_source_seq == 300)
    if restart:
        one.kill()
        one.start()
    with one.connect("md") as md:
        ring = hostile(md)
        for n in (300, 1, 2, 3, 150, 299):
            ring.record(kind=LogRecord.KIND, source_seq=n, body=bodies[n - 1])
        until(lambda: md.duplicates == 6)
        assert (md.rejected, one.frames(Divergence)) == (0, [])
        for n in (150, 151):
            ring.record(kind=LogRecord.KIND, source_seq=n, body=LogRecord(about_seq=n, text="something else").encode())
        until(lambda: md.rejected == 2)
        assert md.last_reject_reason == Reason.DUPLICATE_DIFFERS
        ring.record(kind=LogRecord.KIND, source_seq=301, body=bodies[0])
        until(lambda: md.accepted_source_seq == 301)
    one.stop()
    found = one.frames(LogRecord)
    assert [f.header.source_seq for f in found] == list(range(1, 302))
    (said,) = (f.message for f in one.frames(Divergence))  # one for each attachment, the Rejects count the rest
    assert (said.at_seq, said.app, said.field) == (found[149].header.seq, 1, "content")
    assert said.expected_digest != said.got_digest
    assert sum(f.message.count for f in one.frames(Reject) if f.message.reason == Reason.DUPLICATE_DIFFERS) == 2


def test_a_late_message_has_its_place_and_its_age(daemon, hostile, until):
    """P07: sequenced where it came, with the origin that it had, and marked; never dated back, and nothing is refused."""
    one = daemon(tuning={"md": SourceTuning(late_ms=60_000)})
    now = time.time_ns()
    ages_s = [0, 120, 1, 7200, 0]
    with one.connect("md") as md, one.connect("algo") as algo:
        for n, age in enumerate(ages_s, start=1):
            md.publish(LogRecord(about_seq=n), origin_ts=now - age * 10**9)
        md.publish(LogRecord(about_seq=6), origin_ts=now + 3600 * 10**9)
        md.publish(LogRecord(about_seq=7))  # it does not say
        md.publish(LogRecord(about_seq=8), origin_ts=-(2**63))
        md.publish(LogRecord(about_seq=9), origin_ts=now, flags=Flag.LAST | Flag.LATE)  # not its to say
        number = algo.publish(LogRecord(about_seq=10), origin_ts=now - 7200 * 10**9)  # without a limit
        until(lambda: md.accepted_source_seq == 9 and algo.accepted_source_seq == number)
        assert (md.rejected, md.state) == (0, SourceStateCode.ATTACHED)
        ring = hostile(md)
        body = LogRecord(about_seq=11).encode()
        for _ in range(2):  # the same once more: that it was late is no difference
            ring.record(kind=LogRecord.KIND, source_seq=10, body=body)
        until(lambda: md.duplicates == 1)
        assert md.rejected == 0
    assert one.stop() == 0
    found = one.frames(LogRecord)
    md = {f.message.about_seq: f.header for f in found if f.header.source == 1}
    assert [h.source_seq for h in md.values()] == list(range(1, 11))
    assert [n for n, h in md.items() if h.flags & Flag.LATE] == [2, 4, 8, 11]
    assert [md[n].origin_ts for n in range(1, 6)] == [now - age * 10**9 for age in ages_s]
    assert all(a.ts < b.ts and abs(b.ts - now) < 600 * 10**9 for a, b in itertools.pairwise(md.values()))
    assert not any(f.header.flags & Flag.LATE for f in found if f.header.source == 2)
    assert one.frames(Divergence) == []
    said = [line for line in one.errors.read_text().splitlines() if "LATE" in line]
    assert len(said) == 1
    assert "source md: messages are older than 60000 ms when they come" in said[0]


def test_who_attaches_again_and_again_waits_longer_and_longer():
    now = [1000.0]
    lockout = Lockout(lambda: now[0])
    waits = []
    for _ in range(40):
        while (seconds := lockout.locked_for_s("loop")) == 0:
            now[0] += 0.001
        waits.append(seconds)
        assert lockout.locked_for_s("loop") == pytest.approx(seconds)  # asking meanwhile makes it no longer
        now[0] += seconds
    assert waits[:3] == [LOCKOUT_FIRST_S, 2 * LOCKOUT_FIRST_S, 4 * LOCKOUT_FIRST_S]
    assert max(waits) == waits[-1] == LOCKOUT_MOST_S
    assert all(b in (a * 2, LOCKOUT_MOST_S) for a, b in itertools.pairwise(waits))
    now[0] += 2 * LOCKOUT_MOST_S  # quiet for a while: forgiven
    for _ in range(100):
        assert lockout.locked_for_s("loop") == 0
        now[0] += ATTACHES_WINDOW_S / ATTACHES_FREE + 0.01


def test_a_reconnect_loop_is_locked_out_and_told_when_to_come(daemon):
    one = daemon()
    for _ in range(ATTACHES_FREE):
        one.connect("md").close()
    with pytest.raises(LockedOut, match=r"attached too often; locked out for 0\.25 s") as refused:
        Publisher.connect(one.journal, "md", timeout_s=0.05)
    assert 0 < refused.value.retry_in_s <= LOCKOUT_FIRST_S
    one.connect("algo").close()  # nobody else pays
    one.connect("md", timeout_s=10).close()  # waits as long as it was told
    assert one.stop() == 0
