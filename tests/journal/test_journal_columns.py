"""`columns` equals the frames decoded one by one."""

from __future__ import annotations

import random

from journal.columns import columns, table_dtype
from journal.frames import frames
from journal.messages import REGISTRY, Clock, ExecutionReport, SourceDefined, TopOfBook
from journal.messages.schema import NULL
from journal.writer import JournalWriter

MIB = 1 << 20


def write(path, n):
    rng = random.Random(1)
    with JournalWriter.open(path, segment_bytes=MIB) as w:
        for i in range(1, n + 1):
            match rng.randrange(3):
                case 0:
                    m = TopOfBook(instrument=rng.randrange(9), bid_px=rng.choice([NULL, i]), ask_px=-i)
                case 1:
                    m = ExecutionReport(order_id=i, cum_notional=rng.randrange(-(2**100), 2**100))
                case _:
                    m = SourceDefined(source=i % 7, name="x" * (i % 50))
            w.append(m, ts=i * 3, source=i % 4)


def test_columns_equal_frames(folder):
    write(folder, 9000)
    for cls in (TopOfBook, ExecutionReport, SourceDefined):
        table = columns(folder, cls, 100, 8000)
        rows = list(frames(folder, from_seq=100, to_seq=8000, kinds=[cls.KIND]))
        assert len(table) == len(rows) > 1000
        assert [int(s) for s in table["seq"]] == [f.header.seq for f in rows]
        assert [int(s) for s in table["ts"]] == [f.header.ts for f in rows]
        for row, frame in zip(table[::37], rows[::37], strict=True):
            assert row.tobytes() == frame_bytes(frame)[: table.dtype.itemsize]
    top = columns(folder, TopOfBook)
    assert {int(v) for v in top["bid_px"][top["bid_px"] != NULL]} <= set(range(1, 9001))
    assert columns(folder, SourceDefined)["body_source"].max() == 6
    reports = columns(folder, ExecutionReport)
    first = next(frames(folder, kinds=[ExecutionReport.KIND])).message
    assert (int(reports["cum_notional_hi"][0]) << 64) + int(reports["cum_notional_lo"][0]) == first.cum_notional


def frame_bytes(frame):
    from journal.messages.header import HEADER

    h = frame.header
    return HEADER.pack(*(getattr(h, n) for n in h.__struct_fields__)) + bytes(frame.body)


def test_empty_and_every_kind_has_a_table(folder):
    JournalWriter.open(folder, segment_bytes=MIB).close()
    table = columns(folder, Clock)
    assert len(table) == 0
    assert table.dtype == table_dtype(Clock)
    for cls in REGISTRY.values():
        assert table_dtype(cls).itemsize == 64 + cls.LAYOUT.fixed_bytes


def test_a_frame_that_is_shorter_than_its_kind_has_zeros(folder):
    """Whoever wrote it: what stands in memory by chance is in no table."""
    with JournalWriter.open(folder, segment_bytes=MIB) as w:
        w.append_bytes(TopOfBook.KIND, 1, b"\x01" * 8, ts=1)
    row = columns(folder, TopOfBook)[0]
    assert row.tobytes()[64:] == b"\x01" * 8 + bytes(TopOfBook.LAYOUT.fixed_bytes - 8)
