"""Decimal text from the venue to integer mantissas and back: exactly, or with an error that shows the text.

No float is made anywhere. The grammar is the venue's own and nothing more: an optional minus, digits, optionally a point and
digits. Exponents, plus signs, blanks, underscores, other alphabets' digits, "NaN" and numbers beyond 64 bits are refused.
"""

from __future__ import annotations

from journal.messages import NULL

TEXT_CHARACTERS_MAX = 40
"""Longer number text is refused unread: no price or quantity needs it, and big-integer parsing costs time squared."""
_INT64_MAX = 2**63 - 1


class NotExact(ValueError):
    """Number text that is no decimal, or has no exact 64-bit mantissa at the instrument's exponent."""


def mantissa(text: str, exp: int) -> int:
    """The integer m with text = m * 10**exp. Zeros beyond the exponent are accepted, digits are not."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    # isdigit alone would let through other alphabets; isascii closes that. "1." and ".5" are not the venue's grammar.
    if not (digits.isdigit() and digits.isascii() and len(text) <= TEXT_CHARACTERS_MAX and whole):
        return _signed(text, exp)
    if not fraction and len(whole) != len(text):
        raise NotExact(f"number {_shown(text)}: no digits after the point")
    shift = -exp - len(fraction)
    if shift >= 0:
        value: int = int(digits) * 10**shift
    else:
        value, rest = divmod(int(digits), 10**-shift)
        if rest:
            raise NotExact(f"number {_shown(text)}: finer than 1e{exp}, the instrument's exponent")
    if value > _INT64_MAX:
        raise NotExact(f"number {_shown(text)}: does not fit 64 bits at exponent {exp}")
    return value


def _signed(text: str, exp: int) -> int:
    if text.startswith("-") and text[1:2].isdigit():
        return -mantissa(text[1:], exp)
    raise NotExact(f"number {_shown(text)}: expected decimal digits with at most one point")


def _shown(text: str) -> str:
    return repr(text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "…")


def decimal_pair(text: str) -> tuple[int, int]:
    """Text as (mantissa, exponent) with every digit the venue wrote: for amounts whose scale the venue chooses, as fees."""
    places = len(text.partition(".")[2])
    return mantissa(text, -places), -places


def decimal_text(value: int, exp: int) -> str:
    """The shortest decimal text of value * 10**exp that keeps the exponent's places."""
    if value == NULL:
        raise NotExact("a value that is not given has no decimal text")
    if exp >= 0:
        return str(value * 10**exp)
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(1 - exp, "0")
    return f"{sign}{digits[:exp]}.{digits[exp:]}"
