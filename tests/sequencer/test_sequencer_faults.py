"""A real sequencer on a bad disk and with a bad clock. (J11, J13, J14, J16, J17, T01, T02, T05)"""

import argparse
import errno
import itertools
import os
import re
import shutil
import signal
import time

import pytest

from journal.frames import frames
from journal.messages import (
    Alert,
    AlertSeverity,
    AlertState,
    Clock,
    ClockJump,
    LogRecord,
    Reason,
    Resource,
    ResourceState,
    SourceStateCode,
    StreamHalted,
)
from journal.reader import JournalReader
from lockstep.torture import calls
from lockstep.torture.daemons import SOURCE, Daemons
from lockstep.torture.drivers import NoCompiler, compiler
from sequencer.client import Publisher, SequencerGone
from sequencer.flow import EXIT_HALTED
from sequencer.kernel._sequencer import lib

HOUR = 3_600_000_000_000
SEGMENT = {"segment_bytes": 1 << 20, "ring_bytes": 1 << 18}

EACH = [
    ("fdatasync", "EIO"),
    ("fdatasync", "EINTR"),
    ("msync", "EIO"),
    ("msync", "EINTR"),
    ("fsync", "EDQUOT"),
    ("allocate", "ENOSPC"),
    ("open", "EMFILE"),
    ("map", "ENOMEM"),
    ("rename", "EIO"),
    ("write", "ENOSPC"),
    ("truncate", "EIO"),
]
"""Of the campaign, the error that each call is most likely to meet."""


@pytest.fixture(scope="module")
def daemons(tmp_path_factory):
    try:
        compiler()
    except NoCompiler as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("faults")
    with Daemons(folder) as found:
        yield found


@pytest.fixture
def journal(folder):
    yield folder / "j"
    shutil.rmtree(folder / "j", ignore_errors=True)


def publish_on(publisher):
    for _ in range(2000):
        publisher.publish(LogRecord(text="x" * 3000))


@pytest.mark.parametrize(("call", "error"), EACH)
def test_every_call_may_fail(daemons, journal, call, error, monkeypatch):
    """The first, the second, … until the workload needs no more of them: nothing released is lost, nothing is invented."""
    monkeypatch.setattr(calls, "ROUNDS", 3)
    for nth in itertools.count(1):
        trial = calls.Trial(daemons, journal, call, error, nth)
        assert trial.run() == "", (call, error, nth)
        if not trial.fired:
            break
    assert nth > 2


def test_a_campaign_says_what_it_did(tmp_path):
    told = []
    arguments = argparse.Namespace(call=["rename"], error=["EIO"], nth=2, count=0, keep=None)
    outcome = calls.run(arguments, lambda *words: told.append(words))
    assert (outcome.metrics["runs"], outcome.finds) == (1, [])
    assert told == [(0, 1, "rename EIO 2")]


def test_a_lost_message_would_be_found(daemons, journal, monkeypatch):
    """The judge itself: a consumer that acted on what was not durable yet is told so."""
    trial = calls.Trial(daemons, journal, "rename", "EIO", 1000)
    trial.released = {0: 4711}
    assert "released before the error, and not there afterwards: [0]" in trial.run()


def test_an_exit_without_trust(daemons, journal, until):
    """The watermark stands where it was before the failed sync, the page and the last frame say halted, publishers are told."""
    assert daemons.start(journal, **SEGMENT) is None
    with Publisher.connect(journal, SOURCE) as md, JournalReader(journal) as reader:
        md.publish(LogRecord(text="a"))
        until(lambda: md.accepted_seq and reader.durable_seq >= md.accepted_seq)
        daemons.arm("msync", 1, errno.EIO, times=1000)
        durable = reader.durable_seq
        md.publish(LogRecord(text="b"))
        assert daemons.wait() == EXIT_HALTED
        assert not md.alive
        assert reader.durable_seq < md.accepted_seq
        assert reader.durable_seq <= durable + 2  # a clock frame may have been on its way
        assert reader.halted == Reason.STREAM_HALTED
    (line,) = daemons.said()
    assert "Input/output error while syncing; the stream ends at seq" in line
    last = list(frames(journal))[-1].message
    assert isinstance(last, StreamHalted)
    assert (last.os_error, last.reason) == (errno.EIO, Reason.STREAM_HALTED)
    daemons.arm()
    assert daemons.start(journal, **SEGMENT) is None
    with JournalReader(journal) as reader:
        assert reader.halted == 0
    assert daemons.stop() == 0


def test_a_full_disk_is_foreseen_one_segment_ahead(daemons, journal, until):
    """ResourceState while a segment is left, StreamHalted in the room that is kept, and nobody's message is lost."""
    daemons.arm()
    assert daemons.start(journal, **SEGMENT, disk_patience_ms=300) is None
    daemons.arm("allocate", 1, errno.ENOSPC, times=1 << 40)
    with Publisher.connect(journal, SOURCE) as md:
        for _ in range(400):  # into the second segment, and no further
            md.publish(LogRecord(text="x" * 3000))
        until(lambda: any(frames(journal, kinds=[ResourceState.KIND])))
        with pytest.raises(SequencerGone):
            publish_on(md)
        assert daemons.wait() == EXIT_HALTED
        found = list(frames(journal))
        (alarm,) = (f for f in found if isinstance(f.message, ResourceState))
        assert alarm.message.resource == Resource.DISK
        assert 0 < alarm.message.used <= alarm.message.capacity
        left = sum(3072 for f in found if f.header.seq > alarm.header.seq and isinstance(f.message, LogRecord))
        assert left > 500_000  # most of a segment was still to come
        assert isinstance(found[-1].message, StreamHalted)
        assert (found[-1].message.os_error, found[-1].message.reason) == (errno.ENOSPC, Reason.DISK_LOW)
        assert "the one being written is the last" in daemons.said()[0]
        daemons.arm()
        assert daemons.start(journal, **SEGMENT) is None
        md.reconnect()
        last = md.publish(LogRecord(text="last"))
        until(lambda: md.accepted_source_seq == last)
        assert daemons.stop() == 0
    assert [f.header.source_seq for f in frames(journal, kinds=[LogRecord.KIND])] == list(range(1, last + 1))


def test_room_in_time_goes_on(daemons, journal, until):
    daemons.arm()
    assert daemons.start(journal, **SEGMENT, disk_patience_ms=30_000) is None
    daemons.arm("allocate", 1, errno.ENOSPC, times=1 << 40)
    with Publisher.connect(journal, SOURCE) as md:
        while lib.lockstep_producer_wait_room(md.producer, 4096, 500_000_000):
            md.publish(LogRecord(text="x" * 3000))
        daemons.arm()
        last = md.publish(LogRecord(text="last"))
        until(lambda: md.accepted_source_seq == last, 30)
    assert daemons.stop() == 0
    assert len(list(frames(journal, kinds=[ResourceState.KIND]))) == 2  # runs out, and has recovered


def test_a_disk_that_stands_still(daemons, journal, until):
    """Nothing becomes durable, so nothing is sent; an alert within a second; then it goes on as if nothing had been."""
    daemons.arm()
    assert daemons.start(journal, **SEGMENT, stall_alert_ms=200, clock_interval_ms=60_000) is None
    with Publisher.connect(journal, SOURCE) as md, JournalReader(journal, kinds=[Alert.KIND]) as reader:
        md.publish(LogRecord(text="a"))
        until(lambda: md.accepted_seq and reader.durable_seq >= md.accepted_seq)
        daemons.arm("msync", 1, hang_ns=1_200_000_000)
        durable, since = reader.durable_seq, time.monotonic()
        number = md.publish(LogRecord(text="b"))
        until(lambda: daemons.faults.fired)
        until(lambda: reader.poll() is not None)
        if time.monotonic() - since < 1.0:  # else this machine is busier than the disk is slow
            assert reader.durable_seq == durable
        daemons.arm()
        until(lambda: reader.durable_seq >= md.accepted_seq and md.accepted_source_seq == number)
        until(lambda: len(list(frames(journal, kinds=[Alert.KIND]))) >= 2)
    assert daemons.stop() == 0
    raised, cleared, *_ = (f.message for f in frames(journal, kinds=[Alert.KIND]))  # a slow disk may stand still once more
    assert (raised.state, cleared.state) == (AlertState.RAISED, AlertState.CLEARED)
    assert raised.alert == cleared.alert == 1
    assert f"no frame behind {raised.about_seq} became durable" in raised.text
    assert any("stands still: orders wait" in line for line in daemons.said())


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_stepped_clock_is_a_frame(daemons, journal, until, step):
    daemons.arm()
    daemons.faults.wall_ns = 0
    assert daemons.start(journal, **SEGMENT, clock_interval_ms=20) is None
    with Publisher.connect(journal, SOURCE) as md:
        for moved in (0, step, 0):
            daemons.faults.wall_ns = moved
            number = md.publish(LogRecord(about_seq=abs(moved)))
            until(lambda n=number: md.accepted_source_seq == n)
            time.sleep(0.1)  # clock frames in between
    assert daemons.stop() == 0
    daemons.faults.wall_ns = 0
    found = list(frames(journal))
    assert all(a.header.ts < b.header.ts for a, b in itertools.pairwise(found))
    there, back = (f for f in found if isinstance(f.message, ClockJump))
    for jump, expected in ((there, step), (back, -step)):
        m = jump.message
        assert abs(m.after_ts - m.before_ts - m.mono_delta_ns - expected) < 50_000_000
    # Nothing that is stamped by the new time stands before the frame that tells of it.
    for f in found:
        if isinstance(f.message, Clock):
            told = step if there.header.seq < f.header.seq < back.header.seq else 0
            assert abs(f.message.wall_ts - found[0].header.origin_ts - told) < HOUR // 2


@pytest.fixture
def clocks(daemons):
    """Right again at the end, whatever was found."""
    daemons.arm()
    yield daemons
    daemons.faults.wall_ns = daemons.faults.wall_pace = daemons.faults.mono_ns = 0


@pytest.mark.parametrize("pace", [-1000, 9000], ids=["frozen", "ten times as fast"])
def test_a_clock_that_does_not_keep_pace(clocks, journal, until, pace):
    """T02: each frame has a ts of its own, an alert tells of it, not a frame for each look, and another one when it is over."""
    assert clocks.start(journal, **SEGMENT, clock_interval_ms=20, clock_jump_ms=40) is None

    def alerts():  # not those of a slow disk
        return [f.message for f in frames(journal, kinds=[Alert.KIND]) if "wall clock" in f.message.text]

    def told(what):
        return any(what in line for line in clocks.said())

    with Publisher.connect(journal, SOURCE) as md:
        number = md.publish(LogRecord(about_seq=1))
        until(lambda: md.accepted_source_seq == number)
        clocks.pace(pace)
        begun = time.monotonic()
        first = md.next_source_seq
        # All the time it has something to do, and for a while after it has noticed.
        while md.next_source_seq < first + 400 or not (alerts() and told("the wall clock does not keep pace")):
            with md.batch():
                for _ in range(20):
                    md.publish(LogRecord(about_seq=2))
            assert time.monotonic() - begun < 60
        last = md.next_source_seq - 1
        until(lambda: md.accepted_source_seq == last)
        clocks.pace(0)
        lasted_s = time.monotonic() - begun
        until(lambda: len(alerts()) == 2 and told("the wall clock keeps pace again"), 60)
        assert md.rejected == 0
    assert clocks.stop() == 0
    found = list(frames(journal))
    assert all(a.header.ts < b.header.ts for a, b in itertools.pairwise(found))
    raised, cleared = alerts()
    assert (raised.state, cleared.state, raised.severity) == (AlertState.RAISED, AlertState.CLEARED, AlertSeverity.ERROR)
    assert raised.alert == cleared.alert
    wall_ms, mono_ms = (int(n) for n in re.findall(r"(\d+) ms", raised.text))
    assert mono_ms > 0
    assert wall_ms < mono_ms / 5 if pace < 0 else wall_ms > mono_ms * 5
    jumps = [f for f in found if isinstance(f.message, ClockJump)]
    assert 3 <= len(jumps) <= 3 + lasted_s + 2
    if pace < 0:  # nothing moves but the stream
        ours = [f.header for f in found if f.header.source_seq > first + 200]
        assert len(ours) > 100
        behind = [f.header for f in found if ours[0].seq <= f.header.seq <= ours[-1].seq]
        assert all(b.ts - a.ts == 1 for a, b in itertools.pairwise(behind))


def test_a_machine_that_slept(clocks, journal, until):
    """T05: the process stood still, and the wall clock went on without the monotonic one: a ClockJump, and nobody is blamed."""
    settings = {**SEGMENT, "clock_interval_ms": 20, "stall_alert_ms": 2000, "sync_interval_us": 500_000}
    assert clocks.start(journal, **settings) is None
    with Publisher.connect(journal, SOURCE) as md:
        first = md.publish(LogRecord(text="before"))
        until(lambda: md.accepted_source_seq == first)
        os.kill(clocks.pid, signal.SIGSTOP)
        clocks.faults.wall_ns = HOUR
        md.publish(LogRecord(text="meanwhile"))
        time.sleep(2.5)
        os.kill(clocks.pid, signal.SIGCONT)
        last = md.publish(LogRecord(text="after"))
        until(lambda: md.accepted_source_seq == last)
        until(lambda: any(frames(journal, kinds=[ClockJump.KIND])))
        time.sleep(0.3)  # looks a few times
        assert (md.alive, md.state, md.rejected) == (True, SourceStateCode.ATTACHED, 0)
    assert clocks.stop() == 0
    found = list(frames(journal))
    assert not [f for f in found if isinstance(f.message, Alert)]
    (jump,) = (f.message for f in found if isinstance(f.message, ClockJump))
    assert abs(jump.after_ts - jump.before_ts - jump.mono_delta_ns - HOUR) < 50_000_000
    assert all(a.header.ts < b.header.ts for a, b in itertools.pairwise(found))


def test_a_monotonic_clock_that_began_anew(clocks, journal, until):
    """T05: the machine was started again between two runs, its monotonic clock counts from zero. Nothing compares the two."""
    clocks.faults.mono_ns = 10**15
    limit = {SOURCE: {"rate_limit": {"count": 10, "window_ms": 20, "ban_ms": 600_000}}}
    settings = {**SEGMENT, "clock_interval_ms": 20}
    assert clocks.start(journal, **settings, sources=limit) is None
    with Publisher.connect(journal, SOURCE) as md:
        while md.state != SourceStateCode.BANNED:
            with md.batch():
                for _ in range(20):
                    md.publish(LogRecord())
        until(lambda: any(frames(journal, kinds=[Clock.KIND])))
    clocks.stop(signal.SIGKILL)
    clocks.faults.mono_ns = 0
    assert clocks.start(journal, **settings, sources=limit) is None
    with Publisher.connect(journal, SOURCE) as md:
        until(lambda: md.state == SourceStateCode.BANNED)  # ten minutes are not over by any clock
        until(lambda: any(f.header.epoch == 2 for f in frames(journal, kinds=[Clock.KIND])))
    assert clocks.stop() == 0
    found = list(frames(journal))
    assert not [f for f in found if isinstance(f.message, Alert | ClockJump)]
    assert all(a.header.ts < b.header.ts for a, b in itertools.pairwise(found))
    epochs = [[f.message.mono_ns for f in found if isinstance(f.message, Clock) and f.header.epoch == n] for n in (1, 2)]
    assert min(epochs[0]) > 10**15 > max(epochs[1])


def test_a_daemon_that_was_left_is_ended(daemons, journal, tmp_path):
    """As by a test that fails: it would keep a core busy for ever."""
    daemons.arm()
    assert daemons.start(journal, **SEGMENT) is None
    left = daemons.pid
    assert daemons.start(tmp_path / "other", **SEGMENT) is None
    with pytest.raises(ProcessLookupError):
        os.kill(left, 0)
    assert daemons.stop() == 0
