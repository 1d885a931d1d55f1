"""Frames that somebody must see, found in C among those that are only checked: the same that a loop over all of them finds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.kernel._journal import ffi, lib
from journal.reader import JournalReader
from journal.writer import JournalWriter

COUNT = 400


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    folder, draw, ts = tmp_path_factory.mktemp("find"), random.Random(4), 0
    with JournalWriter.open(folder, stream_id=1, nonce=1, segment_bytes=1 << 20) as writer:
        for n in range(1, COUNT + 1):
            ts += draw.choice((1, 1, 5))
            writer.append_bytes(
                30_000 + draw.randrange(9), 1, bytes(8 * draw.randrange(9)), ts=ts, source=draw.randrange(1, 6), source_seq=n
            )
    return folder


def model(rows, kinds, sources, ts, seq):
    """(frame, time of the one before it)."""
    before = 0
    for row in rows:
        _, kind, source, this, at = row
        if kind in kinds or source in sources or at >= ts or this == seq:
            yield row, before
        before = at


@settings(max_examples=200, deadline=None)
@given(
    kinds=st.sets(st.integers(30_000, 30_009), max_size=3),
    sources=st.sets(st.integers(1, 6), max_size=2),
    ts=st.integers(0, 1200),
    seq=st.integers(0, COUNT + 1),
    most=st.integers(1, 40),
    scan_max=st.integers(1, 500),
    to_seq=st.integers(1, COUNT + 5),
    back=st.integers(0, 40),
)
def test_finds_what_a_loop_finds(journal, kinds, sources, ts, seq, most, scan_max, to_seq, back):
    tables = [ffi.new("uint16_t[65536]") for _ in range(2)]
    for table, numbers in zip(tables, (kinds, sources), strict=True):
        for number in numbers:
            table[number] = 7
    interest = ffi.new("struct lockstep_interest *", [*tables, ts, seq])
    found = ffi.new("struct lockstep_found[]", most)
    with JournalReader(journal) as reader:
        whole = list(reader.poll())
    expected = [(row, before) for row, before in model(whole, kinds, sources, ts, seq) if row[3] <= to_seq]
    got = []
    with JournalReader(journal) as reader:
        reader.poll(1)  # enters the segment
        lib.lockstep_reader_stand_behind(reader._c, whole[0][0])
        assert reader._c.next_seq == 2
        reader._c.offset, reader._c.next_seq, reader._c.last_ts = whole[0][0], 1, 0
        while True:
            first = reader._c.next_seq
            n = lib.lockstep_reader_find(reader._c, interest, found, most, scan_max, to_seq)
            refs = [((f.ref.offset, f.ref.kind, f.ref.source, f.ref.seq, f.ref.ts), f.ts_before) for f in found[0:n]]
            if back < n:
                # Behind one of them: what was found after it is found again.
                refs = refs[: back + 1]
                lib.lockstep_reader_stand_behind(reader._c, refs[-1][0][0])
                assert (reader._c.next_seq, reader._c.last_ts) == (refs[-1][0][3] + 1, refs[-1][0][4])
            got += refs
            assert reader._c.next_seq - first <= scan_max
            if reader._c.next_seq == first:
                break
        assert reader._c.next_seq == min(COUNT, to_seq) + 1
        assert reader._c.state == (lib.LOCKSTEP_MORE if to_seq <= COUNT else lib.LOCKSTEP_TAIL)
    assert got == expected
