"""Conditions on frames: what they mean, and that nothing but a condition gets in."""

from __future__ import annotations

from datetime import date

import make_golden
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.errors import JournalError
from journal.frames import frames
from journal.text import Names
from journal.when import BadTime, parse_time
from journal.where import BadCondition, Condition

GOLDEN = make_golden.GOLDEN
NAMES = Names.of(GOLDEN)
FRAMES = list(frames(GOLDEN))


def seqs(text):
    condition = Condition(text, NAMES)
    return [f.header.seq for f in FRAMES if condition(f)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seq > 9", [10, 11]),
        ("seq >= 3 and seq < 5", [3, 4]),
        ("3 <= seq < 5", [3, 4]),
        ("seq in (1, 7, 99)", [1, 7]),
        ("not seq > 2", [1, 2]),
        ("seq == 2 or seq == 4 or seq == 6", [2, 4, 6]),
        ("side == BUY", [7, 8]),
        ("side == 'buy' and ord_type == LIMIT", [7]),
        ("side == 1", [7, 8]),
        ("side in (SELL, BUY)", [7, 8]),
        ("side != SELL and kind == NewOrder", [7]),
        ("side == SELL", []),
        ("kind == TopOfBook", [6]),
        ("kind == 201", [6]),
        ("source == md", [4, 5, 6]),
        ("bid == 65432.10", [6]),
        ("bid == 65432.1", [6]),
        ("bid > 65432.09 and bid_px < 65432.11", [6]),
        ("bid > 65432.1", []),
        ("bid_qty == 1.5", [6]),
        ("ask - bid > 0", [6]),
        ("bid * 2 >= 130864.2", [6]),
        ("-bid < 0", [6]),
        ("bids == 2", [5]),
        ("no_such_field_anywhere == 1 or seq == 1", None),
        ("cause == 5", [6]),
        ("LAST in flags and seq == 1", [1]),
        ("instrument == 'no such'", []),
        ("ts < '2023-11-14T22:13:20.000000001'", [1]),
        ("body_source == md", [2]),
        ("ts >= '2023-11-14T22:13:20.000005Z'", [10, 11]),
        ("seq == 'text'", []),
        ("'BTC' in symbol or 'BTC' in name", None),
    ],
)
def test_meaning(text, expected):
    if expected is None:
        with pytest.raises(BadCondition, match="no field, source, instrument or value is called"):
            seqs(text)
    else:
        assert seqs(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "seq >", "seq = 1", "__import__('os').system('true')", "seq.__class__", "[seq for seq in (1,)]", "lambda: 1",
        "seq ** 9 ** 9", "seq / 0", "f'{seq}'", "(seq := 1)", "seq if seq else 1", "seq[0]", "1 if", "*seq", "await seq",
        "print(seq)", "None == seq", "b'x' in text", "1j == seq", "seq is 1", "seq << 60 > 1", "(1, 2) == seq", "a" * 3000,
        "side", "1", "True", "'a'", "-seq", "not side", "side == BUY or SELL", "side == (BUY or SELL)", "1 == 1",
        "md in (1, 2)", " ", "price + 1e999999999 > 2", "price > 1e99999999999999999999", "price > 1e-61", "ts > 'soon'",
        "'soon' < ts",
        "ts in ('soon',)", "until > '2026-11-28T23:14:99'", "1 < ts < '25:00'", "ts > '23:14:05'", "ts == md",
        "not " * 80 + "seq == 1", "(" * 300 + "seq" + ")" * 300, "sied == BUY", "\0",
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_one_line(text):
    with pytest.raises(BadCondition) as error:
        Condition(text, NAMES)
    assert "\n" not in str(error.value)


def test_a_name_comes_before_the_beginning_of_a_fields_name():
    """`maker` is the strategy, not maker_rate; whole names of fields come first."""
    names = Names.of(GOLDEN)
    names.sources[1] = "maker"
    names.sources[2] = "side"
    found = [f.header.seq for f in FRAMES if Condition("source == maker", names)(f)]
    assert found == [f.header.seq for f in FRAMES if Condition("source == 'maker'", names)(f)] == [4, 5, 6]
    assert [f.header.seq for f in FRAMES if Condition("side == BUY", names)(f)] == [7, 8]
    assert not any(Condition("maker_rate > 5", names)(f) for f in FRAMES)
    with pytest.raises(BadCondition, match="compares nothing of a frame"):
        Condition("maker > 0", names)
    assert not any(Condition("maker > 5", NAMES)(f) for f in FRAMES)  # where nobody has that name, it is the field


def test_times_without_a_date_are_of_the_given_day():
    def day():
        return date(2023, 11, 14)

    for text in ("ts >= '22:13:20.000005'", "'22:13:20.000005' <= ts < '22:14'", "not ts < '22:13:20.000005Z'"):
        assert [f.header.seq for f in FRAMES if Condition(text, NAMES, day)(f)] == [10, 11], text
    at = "2023-11-14T22:13:20"
    assert [f.header.seq for f in FRAMES if Condition(f"ts in ('{at}', '22:13:20.000000001')", NAMES, day)(f)] == seqs(
        f"ts == '{at}' or ts == '{at}.000000001'"
    )


@pytest.mark.parametrize("text", ["price + 1e60 * 1e60 * 1e60 > 2", "price > 1e-60", "bid * 1e60 > 1", "bid > 0.0"])
def test_numbers_of_any_scale_that_is_taken_can_be_reckoned_with(text):
    condition = Condition(text, NAMES)
    for frame in FRAMES:
        assert condition(frame) in (True, False)


def test_the_near_names_are_told():
    with pytest.raises(BadCondition, match=r"called sied; near: .*side"):
        Condition("sied == BUY", NAMES)
    with pytest.raises(BadCondition, match="called NewOrdr; near: NewOrder"):
        Condition("kind == NewOrdr", NAMES)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="seqbidpxsourcelambda_.()[]{}+-*/<>=!&|'\" 0123456789,:@%^~\\\n", max_size=40))
def test_any_text_is_a_condition_or_refused(text):
    try:
        condition = Condition(text, NAMES)
    except JournalError:
        return
    for frame in FRAMES:
        assert condition(frame) in (True, False)


def test_every_field_of_every_frame_can_be_compared():
    for frame in FRAMES:
        if frame.message is not None:
            for field in frame.message.LAYOUT.fields:
                Condition(f"{field.name} == 1 or {field.name} < 3 or 'x' in {field.name} or {field.name} + 1 > 2", NAMES)(frame)


def test_times():
    day = date(2026, 11, 21)
    base = 1_795_219_200 * 10**9
    for text, expected in (
        ("2026-11-21", 0),
        ("2026-11-21T00:00:01Z", 10**9),
        ("2026-11-21 01:00", 3600 * 10**9),
        ("2026-11-21T00:00:00.000000001", 1),
        ("2026-11-21T02:00:00+02:00", 0),
        ("2026-11-20T23:30-0030", 0),
        ("00:00:00,5", 5 * 10**8),
        ("10:15", 36_900 * 10**9),
    ):
        assert parse_time(text, day) - base == expected, text
    assert parse_time("1969-12-31T23:59:59.5") == -5 * 10**8
    for text in ("", "now", "2026-13-01", "2026-11-21T24:00", "10", "10:15:60", "2026-11-21T10:15:00+99:00", "0000-01-01"):
        with pytest.raises(BadTime, match="expected a time such as"):
            parse_time(text, day)
    with pytest.raises(BadTime):
        parse_time("10:15")
