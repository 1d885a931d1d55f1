"""Quantities with units: exact, or a line that says what was expected."""

import pytest

from lockstep import units


@pytest.mark.parametrize(
    ("text", "ns"), [("10s", 10 * 10**9), ("500ms", 5 * 10**8), ("5m", 300 * 10**9), ("1.5s", 1_500_000_000), ("3 us", 3000)]
)
def test_durations(text, ns):
    assert units.duration_ns(text) == ns


@pytest.mark.parametrize("text", ["10", "10 parsecs", "s", "", "-5s", "1..2s", "10S"])
def test_wrong_durations_say_what_is_expected(text):
    with pytest.raises(units.WrongUnit, match="expected a duration"):
        units.duration_ns(text)


def test_rates():
    assert units.rate_e12("2%") == 2 * 10**10
    assert units.rate_e12("25bp") == 25 * 10**8
    assert units.rate_e12("0.02%") == 2 * 10**8
    for wrong in ("2", "2 percent", "%", "0.00000000001%"):
        with pytest.raises(units.WrongUnit):
            units.rate_e12(wrong)


def test_amounts_and_decimals():
    number, currency = units.amount("5000 USD")
    assert (str(number), currency) == ("5000", "USD")
    assert units.decimal("0.010") == (10, -3)
    assert units.decimal("15") == (15, 0)
    assert units.decimal("-1.23456789012345678901234567890123") == (-123456789012345678901234567890123, -32)
    assert units.decimal("1e999999999") == (1, 999999999)
    for wrong in ("abc", "NaN", "Infinity", ""):
        with pytest.raises(units.WrongUnit):
            units.decimal(wrong)


@pytest.mark.parametrize(
    ("text", "exp", "number"),
    [("61000.5", -2, 6100050), ("61000.500", -1, 610005), ("2e3", 0, 2000), ("3000", 3, 3), ("0.001", -3, 1)],
)
def test_mantissas(text, exp, number):
    assert units.mantissa(text, exp) == number


@pytest.mark.parametrize(
    ("text", "exp"), [("0.001", -2), ("0", -2), ("-1", -2), ("1500", 3), ("1e30", 0), ("1e999999999", -2), ("1e-999999999", -2)]
)
def test_what_is_no_mantissa_says_what_is_expected(text, exp):
    with pytest.raises(units.WrongUnit, match=f"expected a number above 0 with at most {max(-exp, 0)} decimals"):
        units.mantissa(text, exp)
