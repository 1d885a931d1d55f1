"""Every kind, with any values: what is encoded comes back, and equal messages are equal bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.messages import (
    NULL,
    NULL_I128,
    REGISTRY,
    BookState,
    EncodeError,
    ExecutionReport,
    Group,
    Level,
    MarketByPriceUpdate,
    RawMessage,
    SessionStart,
    SourceDefined,
    TopOfBook,
    Trade,
    TradeSummary,
    group_bytes,
)
from journal.messages.codec import BODY_BYTES_MAX
from journal.messages.derive import wire_rules
from journal.messages.schema import TEXT_BYTES_MAX, Field, Layout

KINDS = [pytest.param(cls, id=cls.__name__) for _, cls in sorted(REGISTRY.items())]
RULES = {r.kind: r for r in wire_rules()}

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=24),
    st.sampled_from(["x" * TEXT_BYTES_MAX, "€" * (TEXT_BYTES_MAX // 3), "\0", "12345678", "₿🙂"]),
)


def integers_of(f: Field):
    bits = 8 * f.bytes
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if f.scalar.signed else (0, 2**bits - 1)
    return st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, 1, high // 2]))


def values_of(f: Field):
    if f.wire == "scalar":
        return integers_of(f)
    if f.wire == "digest":
        return st.binary(min_size=32, max_size=32)
    if f.wire == "blob":
        return st.binary(max_size=100)
    if f.wire == "text":
        return texts
    return st.lists(rows_of(f.entry), max_size=5)


def rows_of(entry):
    return st.builds(entry, **{f.name: values_of(f) for f in entry.LAYOUT.fields})


def messages_of(cls):
    return st.builds(cls, **{f.name: values_of(f) for f in cls.LAYOUT.fields})


def claimed_bytes(layout: Layout) -> set[int]:
    """Offsets of the fixed part that belong to a field, by the declaration."""
    claimed: set[int] = set()
    for f in layout.fields:
        claimed |= set(range(f.offset, f.offset + f.bytes))
    return claimed


def assert_canonical(cls, body: bytes) -> None:
    """What the sequencer admits: an independent reading of the layout rules, byte by byte."""
    rule = RULES[cls.KIND]
    assert len(body) % 8 == 0
    assert len(body) >= rule.fixed_bytes
    for at in set(range(rule.fixed_bytes)) - claimed_bytes(cls.LAYOUT):
        assert body[at] == 0, f"padding at {at}"
    end = rule.fixed_bytes
    for offset, what, stride in rule.descriptors:
        if what == 2:
            at, size = struct.unpack_from("<II", body, offset)
        else:
            at, size, third = struct.unpack_from("<IHH", body, offset)
            assert third == (0 if what == 1 else stride if size else 0)
            size *= stride
        if not size:
            assert at == 0
            continue
        assert at == end, "items stand in declared order, without holes"
        assert body[at + size : at + size + (-size & 7)] == bytes(-size & 7)
        end = at + size + (-size & 7)
        if what == 3:
            end += texts_in_rows(cls, body, offset, at, size // stride, end)
    assert end == len(body)


def texts_in_rows(cls, body: bytes, offset: int, at: int, rows: int, end: int) -> int:
    """Bytes that the texts of a group's rows take behind its table."""
    field = next(f for f in cls.LAYOUT.fields if f.offset == offset)
    layout, used = field.entry.LAYOUT, 0
    for row in range(rows):
        for f in layout.variable:
            text_at, size, zero = struct.unpack_from("<IHH", body, at + row * layout.fixed_bytes + f.offset)
            assert zero == 0
            assert text_at == (end + used if size else 0)
            used += size + (-size & 7)
    return used


@pytest.mark.parametrize("cls", KINDS)
def test_round_trip(cls):
    @settings(max_examples=25, deadline=None)
    @given(messages_of(cls), st.integers(0, 3))
    def check(m, words):
        body = m.encode()
        assert_canonical(cls, body)
        assert cls.decode(body) == m
        # In place, in the middle of a buffer, as a reader of a segment does it.
        around = bytes(8 * words) + body + b"\xff" * 16
        found = cls.decode(memoryview(around), 8 * words)
        assert found == m
        assert found.encode() == body
        assert type(m)(**{f: getattr(found, f) for f in m.__struct_fields__}).encode() == body

    check()


@pytest.mark.parametrize("cls", KINDS)
def test_defaults_encode(cls):
    m = cls()
    assert cls.decode(m.encode()) == m
    assert_canonical(cls, m.encode())


@pytest.mark.parametrize("cls", KINDS)
def test_integers_out_of_range_are_refused_by_name(cls):
    for f in cls.LAYOUT.fields:
        if f.wire != "scalar":
            continue
        bits = 8 * f.bytes
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if f.scalar.signed else (0, 2**bits - 1)
        for good in (low, high):
            assert getattr(cls.decode(cls(**{f.name: good}).encode()), f.name) == good
        for bad in (low - 1, high + 1, 1.5, "1", None):
            with pytest.raises(EncodeError, match=rf"{cls.__name__}\.{f.name}: .*expected an integer from {low} to {high}"):
                cls(**{f.name: bad}).encode()


@pytest.mark.parametrize(
    ("m", "text"),
    [
        (ExecutionReport(text="x" * (TEXT_BYTES_MAX + 1)), "ExecutionReport.text: 4097 bytes of text; at most 4096"),
        (ExecutionReport(text="é" * 2049), "ExecutionReport.text: 4098 bytes of text; at most 4096"),
        (ExecutionReport(text="\ud800"), "ExecutionReport.text: '\\ud800'; not UTF-8: a lone surrogate"),
        (ExecutionReport(text=None), "ExecutionReport.text: None; expected text"),
        (ExecutionReport(text=b"bytes"), "ExecutionReport.text: b'bytes'; expected text"),
        (SessionStart(build_digest=b"short"), "SessionStart.build_digest: b'short'; expected 32 bytes"),
        (SessionStart(build_digest=bytes(33)), "SessionStart.build_digest: b'"),
        (RawMessage(data="text"), "RawMessage.data: 'text'; expected bytes"),
        (RawMessage(data=bytes(BODY_BYTES_MAX)), "RawMessage: longer than a frame's 1048512 bytes"),
        (MarketByPriceUpdate(bids=[Level()] * 65536), "MarketByPriceUpdate.bids: 65536 rows; a group holds at most 65535"),
        (MarketByPriceUpdate(bids=[(1, 2)]), "MarketByPriceUpdate.bids: row (1, 2); expected Level"),
        (MarketByPriceUpdate(bids=None), "MarketByPriceUpdate.bids: None; expected rows of Level"),
        (MarketByPriceUpdate(bids=[Level(px=2**63)]), "Level.px: 9223372036854775808; expected an integer"),
        (TradeSummary(trades=[Trade(), Trade(trade_ref="x" * 5000)]), "Trade.trade_ref: 5000 bytes of text; at most 4096"),
        (TradeSummary(trades=[Trade(side=256)]), "Trade.side: 256; expected an integer from 0 to 255"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(m, text):
    with pytest.raises(EncodeError) as error:
        m.encode()
    assert str(error.value).startswith(text)


def test_nulls_and_wide_integers():
    m = ExecutionReport(cum_notional=NULL_I128)
    assert ExecutionReport.decode(m.encode()).cum_notional == NULL_I128
    assert TopOfBook.decode(TopOfBook().encode()).bid_px == NULL
    for value in (-1, 2**64, -(2**64), 2**127 - 1, 2**63, -(2**63) - 1):
        assert ExecutionReport.decode(ExecutionReport(cum_notional=value).encode()).cum_notional == value


def test_groups_are_read_in_place_and_behave_as_lists():
    rows = [Level(px, px + 1) for px in range(5)]
    body = MarketByPriceUpdate(bids=rows).encode()
    bids = MarketByPriceUpdate.decode(body).bids
    assert isinstance(bids, Group)
    assert (len(bids), bids[0], bids[-1], bids[1:3], list(reversed(bids))) == (5, rows[0], rows[4], rows[1:3], rows[::-1])
    assert bids == rows
    assert rows == bids
    assert bids != rows[1:]
    with pytest.raises(IndexError, match="row 5 of a group of 5"):
        bids[5]
    assert bytes(group_bytes(bids)) == group_bytes(rows)
    assert MarketByPriceUpdate.decode(body).asks == ()


def test_a_group_with_wider_rows_of_a_later_version_is_read_and_copied():
    """Rows may grow at the end: the stride is in the frame."""
    body = bytearray(MarketByPriceUpdate(bids=[Level(1, 2), Level(3, 4), Level(5, 6)]).encode())
    offset = next(f.offset for f in MarketByPriceUpdate.LAYOUT.fields if f.name == "bids")
    at, _, _ = struct.unpack_from("<IHH", body, offset)
    struct.pack_into("<IHH", body, offset, at, 2, 24)
    m = MarketByPriceUpdate.decode(bytes(body))
    assert list(m.bids) == [Level(1, 2), Level(4, 5)] == [m.bids[0], m.bids[1]]
    assert MarketByPriceUpdate.decode(m.encode()).bids == [Level(1, 2), Level(4, 5)]


def test_enumerations_encode_as_numbers():
    from journal.messages import BookStateCode

    assert BookState(state=BookStateCode.LIVE).encode() == BookState(state=3).encode()


def test_rows_that_are_no_multiple_of_eight_are_padded():
    from journal.messages import Grant

    m = SourceDefined(name="x", grants=[Grant(1, 2), Grant(3, 4), Grant(5, 6)])
    assert_canonical(SourceDefined, m.encode())
    assert SourceDefined.decode(m.encode()) == m


@pytest.mark.parametrize(("count", "stride", "cut"), [(1, 8, 0), (2, 0, 0), (2, 16, 1), (3, 16, 0), (65_535, 64, 0)])
def test_rows_that_are_no_rows_are_not_handed_to_a_kernel(count, stride, cut):
    """A kernel reads whole rows wherever it is sent: one too short sent it beyond the buffer."""
    body = MarketByPriceUpdate(bids=[Level(99, 1), Level(98, 1)]).encode()
    at = len(body) - 32
    group = Group(Level, body[: len(body) - cut], 0, at, count, stride)
    with pytest.raises(ValueError, match=f"{count} rows of {stride} bytes each"):
        group.raw()
    assert bytes(Group(Level, body, 0, at, 2, 16).raw()) == body[at:]
    assert len(Group(Level, body, 0, 1 << 20, 0, 0).raw()) == 0
