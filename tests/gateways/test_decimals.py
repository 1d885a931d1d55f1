"""Decimal text to mantissas: exactly or with an error; never a float."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.sim.decimals import NotExact, decimal_pair, decimal_text, mantissa
from journal.messages import NULL


@pytest.mark.parametrize(
    ("text", "exp", "expected"),
    [
        ("61800.20", -1, 618002), ("61800.20", -2, 6180020), ("0", -3, 0), ("0.00000000", -3, 0), ("007", 0, 7),
        ("1500", 2, 15), ("-5.5", -1, -55), ("9223372036854775807", 0, 2**63 - 1), ("-0", -2, 0),
    ],
)  # fmt: skip
def test_exact(text, exp, expected):
    assert mantissa(text, exp) == expected


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "-", "--1", "-.5", "+1", " 1", "1 ", "1e3", "1E3", "NaN", "nan", "inf", "Infinity", "0x10", "1_000",
     "1,000", "1.2.3", "٣", "１", "1٫5", "²", "9223372036854775808", "1" * 41, "0" * 1_000_000, "\x00", "1\n", "\ud800"],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(NotExact) as error:
        mantissa(text, 0)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(("text", "exp"), [("0.01", -1), ("61800.25", -1), ("15", 1), ("0.0000000001", -8)])
def test_finer_than_the_exponent(text, exp):
    with pytest.raises(NotExact, match="finer"):
        mantissa(text, exp)


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-12, 0))
def test_round_trip(value, exp):
    text = decimal_text(value, exp)
    assert mantissa(text, exp) == value
    assert decimal_pair(text) == (value, exp)


@given(st.text(max_size=45), st.integers(-9, 3))
def test_any_text_is_exact_or_refused(text, exp):
    try:
        value = mantissa(text, exp)
    except NotExact:
        return
    assert Fraction(text) == value * Fraction(10) ** exp


def test_null_has_no_text():
    with pytest.raises(NotExact):
        decimal_text(NULL, -2)
