"""Decimal text and integer mantissas, exactly or not at all."""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,18}))?", re.ASCII)


class NotDecimal(ValueError):
    """The text is no plain decimal number."""


class TooManyDecimals(ValueError):
    """The number has digits below the exponent."""


def mantissa(text: str, exp: int) -> int:
    """value = mantissa * 10**exp; exp <= 0. Zeros below the exponent are let through."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise NotDecimal(text)
    sign, whole, fraction = match.group(1), match.group(2), match.group(3) or ""
    kept, dropped = fraction[:-exp] if exp else "", fraction[-exp:] if exp else fraction
    if dropped.strip("0"):
        raise TooManyDecimals(text)
    value = int(whole + kept.ljust(-exp, "0"))
    return -value if sign else value


def text_of(value: int, exp: int) -> str:
    """Decimal text with exactly -exp decimals."""
    if exp == 0:
        return str(value)
    digits = str(abs(value)).rjust(1 - exp, "0")
    return f"{'-' if value < 0 else ''}{digits[:exp]}.{digits[exp:]}"


def decimals(text: str) -> int:
    """Digits behind the point."""
    return len(text.partition(".")[2])
