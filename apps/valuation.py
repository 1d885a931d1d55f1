"""What a quantity at a price is worth, in whole units of a currency's ledger: the one place where a product becomes money.

The value of a signed quantity is what it takes to acquire it: what a buyer pays. LINEAR (and spot): px × qty × multiplier in
the quote currency. INVERSE: −qty × multiplier ÷ px in the settlement currency, so that a long gains when the price rises.
QUANTO: as linear, times the quanto rate, in the settlement currency. Products are formed without bounds, brought to
`ledger_exp` and rounded once, half away from zero; with a `ledger_exp` as fine as the product nothing is rounded at all.
"""

from __future__ import annotations

import msgspec

from journal.messages import NULL, ContractType, CurrencyDefined, InstrumentDefined

AMOUNT_MAX = 1 << 126
"""Amounts stay well inside the wire's 128 bits, so that sums of them do too."""


class Unvalued(ValueError):
    """What cannot be turned into money, and why."""


class Terms(msgspec.Struct, frozen=True):
    """An instrument's rule: value = sign × px × qty × up / down, or with px below the line for an inverse contract."""

    currency: int
    inverse: bool
    up: int
    down: int


def div_half_away(numerator: int, denominator: int) -> int:
    """numerator ÷ denominator, rounded to the nearest integer, halves away from zero. denominator > 0."""
    rounded = (2 * abs(numerator) + denominator) // (2 * denominator)
    return rounded if numerator >= 0 else -rounded


def rescale(mantissa: int, exp: int, to_exp: int) -> int:
    """A decimal's mantissa under another exponent, rounded half away from zero where digits are lost."""
    return mantissa * 10 ** (exp - to_exp) if exp >= to_exp else div_half_away(mantissa, 10 ** (to_exp - exp))


_LINEAR = (int(ContractType.UNDEFINED), int(ContractType.LINEAR))
_INVERSE, _QUANTO = int(ContractType.INVERSE), int(ContractType.QUANTO)


def terms_of(d: InstrumentDefined, currencies: dict[int, CurrencyDefined]) -> Terms:
    """The rule that a definition gives; Unvalued, with the missing piece named, when it gives none."""
    if d.contract in _LINEAR:
        currency = d.quote_currency
    elif d.contract in (_INVERSE, _QUANTO):
        currency = d.settlement_currency or d.base_currency
    else:
        raise _unvalued(d, f"contract type {d.contract}; expected linear, inverse or quanto")
    money = currencies.get(currency)
    if money is None:
        raise _unvalued(d, f"currency {currency} is not defined")
    if d.multiplier <= 0:
        raise _unvalued(d, f"multiplier {d.multiplier}; expected a positive one")
    inverse = d.contract == _INVERSE
    factor = d.multiplier
    exp = d.qty_exp + d.multiplier_exp - money.ledger_exp + (-d.px_exp if inverse else d.px_exp)
    if d.contract == _QUANTO:
        if d.quanto_rate == NULL or d.quanto_rate <= 0:
            raise _unvalued(d, f"quanto rate {d.quanto_rate}; expected a positive one")
        factor *= d.quanto_rate
        exp += d.quanto_rate_exp
    return Terms(currency, inverse, factor * 10 ** max(exp, 0), 10 ** max(-exp, 0))


def _unvalued(d: InstrumentDefined, why: str) -> Unvalued:
    return Unvalued(f"instrument {d.instrument} {d.name}: {why}")


def value(terms: Terms, px: int, qty: int) -> int:
    """Value of a signed quantity at a price, in ledger units."""
    if not terms.inverse:
        amount = div_half_away(px * qty * terms.up, terms.down)
    elif px > 0:
        amount = div_half_away(-qty * terms.up, px * terms.down)
    else:
        raise Unvalued(f"price {px} of an inverse contract; expected a positive one")
    if not -AMOUNT_MAX < amount < AMOUNT_MAX:
        raise Unvalued(f"price {px} × quantity {qty}: more than 126 bits of money")
    return amount
