"""Quantities with units as people write them in configuration: "10s", "64 MiB", "2%", "5000 USD". Exact, or an error."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_DURATION_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_SCALE_MAX = 100
_NUMBER_UNIT = re.compile(r"^\s*([0-9.]+)\s*([A-Za-z%]+)\s*$")


class WrongUnit(ValueError):
    """A quantity that is not written as expected; says both."""


def _split(text: str, what: str) -> tuple[Decimal, str]:
    found = _NUMBER_UNIT.match(text)
    if not found:
        raise WrongUnit(f"{text!r}: expected {what}")
    try:
        return Decimal(found[1]), found[2]
    except InvalidOperation:
        raise WrongUnit(f"{text!r}: expected {what}") from None


def duration_ns(text: str) -> int:
    """ "500ms", "10s", "5m" in nanoseconds."""
    expected = "a duration such as '500ms', '10s', '5m' (units: ns us ms s m h d)"
    number, unit = _split(text, expected)
    if unit not in _DURATION_NS:
        raise WrongUnit(f"{text!r}: expected {expected}")
    return int(number * _DURATION_NS[unit])


def rate_e12(text: str) -> int:
    """ "2%" or "25bp" as a rate in 1e-12."""
    expected = "a rate such as '2%' or '25bp'"
    number, unit = _split(text, expected)
    scale = {"%": 10**10, "bp": 10**8}.get(unit)
    if scale is None or number * scale != int(number * scale):
        raise WrongUnit(f"{text!r}: expected {expected}")
    return int(number * scale)


def amount(text: str) -> tuple[Decimal, str]:
    """ "5000 USD" as the number and the currency code."""
    return _split(text, "an amount with its currency, such as '5000 USD'")


def decimal(text: str) -> tuple[int, int]:
    """ "0.015" as mantissa and exponent: (15, -3)."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise WrongUnit(f"{text!r}: expected a decimal number in quotes, such as '0.01'") from None
    if not value.is_finite():
        raise WrongUnit(f"{text!r}: expected a finite decimal number")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return int(Decimal((sign, digits, 0))), exponent  # exact, whatever the context's precision


def mantissa(text: str, exp: int) -> int:
    """ "61000.5" as a whole number of 10**exp, exact and above 0."""
    value, own = decimal(text)
    if abs(own - exp) > _SCALE_MAX:  # 1e999999999 is a number, too
        value, own = 0, exp
    scaled, rest = (value * 10 ** (own - exp), 0) if own >= exp else divmod(value, 10 ** (exp - own))
    if rest or scaled <= 0 or scaled >= 1 << 62:
        raise WrongUnit(f"{text!r}: expected a number above 0 with at most {max(-exp, 0)} decimals")
    return int(scaled)
