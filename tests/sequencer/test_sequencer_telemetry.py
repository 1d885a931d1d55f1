"""What the loop says of itself: counted rightly, published in time, readable by anybody, written by one."""

import itertools
import mmap
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.errors import ForeignFile, JournalMissing, NewerFormat, SegmentTruncated
from journal.messages import HEADER_BYTES, Clock, NewOrder, SourceRole, SourceStateCode
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SourceSettings
from sequencer.telemetry import Telemetry, bucket_bounds, name_of, percentile, telemetry_path

BUCKETS = lib.LOCKSTEP_BUCKETS


def bucket_model(value):
    """The bucket that begins at or before the value and nearest to it."""
    return max(b for b in range(BUCKETS) if bucket_bounds(b)[0] <= value)


@given(st.integers(0, 2**64 - 1) | st.integers(0, 70).flatmap(lambda b: st.integers(0, 2 ** min(b, 63))))
def test_the_kernels_buckets_are_the_models(value):
    assert lib.lockstep_histogram_bucket(value) == bucket_model(value)


def test_buckets_leave_no_value_out_and_hold_none_twice():
    bounds = [bucket_bounds(b) for b in range(BUCKETS)]
    assert bounds[0][0] == 0
    assert all(a[1] == b[0] for a, b in itertools.pairwise(bounds))
    assert all(high - low <= max(1, low // 4) for low, high in bounds)  # a quarter of the value at most


@given(st.lists(st.integers(0, 2**42), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_within_its_bucket_of_the_true_one(values, share):
    h = ffi.new("struct lockstep_histogram *")
    for value in values:
        lib.lockstep_histogram_add(h, value)
    assert (h.count, h.sum, h.max) == (len(values), sum(values), max(values))
    true = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]
    assert lib.lockstep_histogram_bucket(percentile(list(h.bucket), share)) == lib.lockstep_histogram_bucket(true)


def entry(telemetry, name):
    return next(s for s in telemetry.sources if name_of(s) == name)


def order(i):
    return NewOrder(instrument=i)


def test_counts_what_was_taken_and_refused(daemon, folder, until):
    running = daemon(clock_interval_ms=20)
    telemetry = Telemetry(running.journal)
    assert telemetry.page.pid == running.pid
    assert [name_of(s) for s in telemetry.sources] == ["md", "algo"]
    with running.connect("algo") as algo:
        for i in range(10):
            algo.publish(order(i + 1))
        for _ in range(3):
            algo.publish(Clock())  # no publisher may
        algo.saw(7)
        until(lambda: algo.rejected == 3)
        words = entry(telemetry, "algo")
        until(lambda: (words.accepted, words.rejected) == (10, 3))
        until(lambda: words.seen_seq == 7)
        assert words.state == SourceStateCode.ATTACHED
        assert (words.last_source_seq, words.incarnation) == (13, 1)
        assert words.bytes == 10 * (HEADER_BYTES + len(order(1).encode())) + 3 * (HEADER_BYTES + len(Clock().encode()))
        assert 0 < words.high_water <= words.bytes
        assert words.fill == 0
        assert entry(telemetry, "md").state == 0
    until(lambda: words.state == SourceStateCode.DETACHED)
    until(lambda: telemetry.page.syncs > 0)
    page = telemetry.page
    assert page.sync_ns.count == page.durable_ns.count > 0
    assert page.durable_ns.max >= page.sync_ns.bucket[0]
    until(lambda: page.frames >= running.frames()[-1].header.seq - 8)
    assert running.stop() == 0


def test_counts_go_on_over_an_attach_and_begin_anew_with_a_run(daemon, until):
    running = daemon(clock_interval_ms=20)
    for _ in range(2):
        with running.connect("algo") as algo:
            algo.publish(order(1))
    before = Telemetry(running.journal)
    words = entry(before, "algo")
    until(lambda: words.accepted == 2 and words.incarnation == 2 and words.state == SourceStateCode.DETACHED)
    assert running.stop() == 0
    running.start()
    assert before.replaced()
    assert entry(before, "algo").accepted == 2  # whoever looks at the old one sees the end of it
    again = Telemetry(running.journal)
    assert not again.replaced()
    assert again.page.epoch == before.page.epoch + 1
    assert entry(again, "algo").accepted == 0


def test_a_publisher_that_waits_for_room_is_seen(daemon, until):
    running = daemon(ring_bytes=4096, clock_interval_ms=20)
    with running.connect("algo") as algo:
        for i in range(400):
            algo.publish(order(i + 1))
        telemetry = Telemetry(running.journal)
        words = entry(telemetry, "algo")
        until(lambda: words.accepted == 400)
        until(lambda: words.full_waits == algo.full_waits)
        assert words.high_water <= 4096


def test_the_loop_is_alive_while_it_turns(daemon, until):
    running = daemon(clock_interval_ms=10, idle="park")
    telemetry = Telemetry(running.journal)
    first = int(telemetry.page.parks)
    until(lambda: telemetry.page.parks > first + 3)
    until(lambda: telemetry.page.park_ns.count > 0)
    assert telemetry.page.park_ns.max >= 1_000_000


def test_none_is_kept_when_not_wanted(daemon):
    running = daemon(telemetry=False)
    with running.connect("algo") as algo:
        algo.publish(order(1))
    with pytest.raises(JournalMissing, match="no telemetry"):
        Telemetry(running.journal)
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("at", "data", "error"),
    [(0, b"x", ForeignFile), (8, b"\x09", NewerFormat), (12, b"\x63", SegmentTruncated), (16, b"\1", SegmentTruncated)],
)
def test_a_file_of_another_make_is_refused(daemon, at, data, error):
    running = daemon()
    running.stop()
    path = telemetry_path(running.journal)
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    path.write_bytes(whole)
    with pytest.raises(error, match="telemetry"):
        Telemetry(running.journal)
    for size in (100, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(SegmentTruncated, match=f"telemetry: {size} bytes; a telemetry file has at least"):
            Telemetry(running.journal)


def test_only_the_sequencer_writes(daemon):
    running = daemon()
    path = telemetry_path(running.journal)
    assert os.stat(path).st_mode & 0o022 == 0
    with path.open("rb") as file, pytest.raises((PermissionError, ValueError, OSError)):
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE)


def test_a_source_may_have_a_ring_of_its_own(daemon):
    sources = [
        SourceSettings(name="md", role=SourceRole.MARKET_DATA, ring_bytes=1 << 13),
        SourceSettings(name="algo", role=SourceRole.ALGO),
    ]
    running = daemon(sources, ring_bytes=1 << 16)
    telemetry = Telemetry(running.journal)
    for name, size in (("md", 1 << 13), ("algo", 1 << 16)):
        with running.connect(name) as publisher:
            assert publisher.producer.ring.ring_bytes == size
        assert entry(telemetry, name).ring_bytes == size
