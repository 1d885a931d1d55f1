"""Syncing behind a stream that flows: what is durable when, and that the appender never pays for it with a page fault."""

from __future__ import annotations

import resource

import pytest

from journal.kernel._journal import ffi, lib
from journal.writer import JournalWriter

MIB = 1 << 20
FOLIO = 65536


def sync_behind(writer):
    durable = ffi.new("uint64_t *")
    assert lib.lockstep_writer_sync_behind(writer.c, durable) == 0
    assert durable[0] == writer.durable_seq
    return int(durable[0])


def append(writer, count, bytes_each=4096 - 64):
    for _ in range(count):
        writer.append_bytes(10_000, 1, bytes(bytes_each), ts=writer.last_ts + 1)
    return writer.last_seq


def test_while_it_flows_a_round_makes_durable_what_stood_when_the_last_one_began(folder):
    with JournalWriter.open(folder, segment_bytes=MIB) as w:
        assert sync_behind(w) == 0
        first = append(w, 3)
        assert sync_behind(w) == first  # nothing flowed before it: all of it
        assert sync_behind(w) == first
        previous = first
        for _ in range(20):  # over several segments
            last = append(w, 40)
            assert sync_behind(w) == previous
            previous = last
        assert sync_behind(w) == previous  # it pauses: its last frames are not kept waiting
        slow = append(w, FOLIO // 4096 - 1)
        assert sync_behind(w) == slow  # so little is a pause
        last = append(w, 40)
        assert w.sync() == last


def test_with_huge_pages_what_flows_waits_until_its_page_is_left(folder):
    """A round for less than such a page would make all of it fault again. What a round noted is durable once it is behind."""
    huge = 2 * MIB
    with JournalWriter.open(folder, segment_bytes=16 * MIB, huge_pages=True) as w:
        ends = {append(w, 1): w.c.offset}
        assert sync_behind(w) == w.last_seq
        durable, moved = w.last_seq, 0
        for _ in range(100):
            ends[append(w, 40)] = w.c.offset
            now = sync_behind(w)
            assert ends[now] <= max(ends[durable], w.c.offset // huge * huge)
            moved += now != durable
            durable = now
        assert 4 <= moved <= 8  # 16 MB are eight pages
        assert sync_behind(w) == w.last_seq  # it pauses


@pytest.mark.parametrize("huge_pages", [False, True])
def test_what_flows_is_synced_without_faults_for_the_appender(tmp_path, huge_pages):
    """The pages of a prepared segment are there and writable, and stay so ahead of the tail. On tmpfs nothing is ever
    protected; the repository's disk is none."""
    segment, each, rounds = 64 * MIB, 75, 200  # pages; rounds end inside a folio
    body = bytes(4096 - 64)
    with JournalWriter.open(tmp_path, segment_bytes=segment, write_through=True, huge_pages=huge_pages) as w:
        append(w, 64)
        sync_behind(w)
        w.prepare_next()
        found = 0
        for _ in range(rounds):
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
            for _ in range(each):
                w.append_bytes(10_000, 1, body, ts=w.last_ts + 1)
            found += resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before
            sync_behind(w)
        assert w.c.segment == 1
        # Python's own memory may fault now and then; a protected tail does so every round.
        assert found < rounds // 10, f"{found} faults in {rounds} rounds"
