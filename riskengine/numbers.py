"""Exact comparison of mantissas with different exponents. Python integers: a product cannot overflow here; what does not fit
a frame is refused before it gets there."""

from __future__ import annotations

MANTISSA_MAX = 1 << 62
"""Every quantity, price and amount stays below this (the bound of the ledger)."""
RATE_EXP = -12
_I64 = (1 << 63) - 1


def rescale_up(mantissa: int, exp: int, to_exp: int) -> int:
    """The mantissa at another exponent, rounded away from zero: a size is never made to look smaller than it is."""
    unit: int = 10 ** abs(to_exp - exp)
    if exp >= to_exp:
        return mantissa * unit
    return -(-mantissa // unit) if mantissa >= 0 else -((-mantissa + unit - 1) // unit)


def rescale_down(mantissa: int, exp: int, to_exp: int) -> int:
    """The mantissa at another exponent, rounded towards minus infinity: a bound is never made to look wider than it is."""
    unit: int = 10 ** abs(to_exp - exp)
    return mantissa * unit if exp >= to_exp else mantissa // unit


def clip(value: int) -> int:
    """A value for the record: as large as a field can show."""
    return value if -_I64 <= value <= _I64 else _I64 if value > 0 else -_I64
