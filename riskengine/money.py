"""What quantities are worth, in any currency: exact fractions, rounded once, and never so that a risk looks smaller."""

from __future__ import annotations

from typing import NamedTuple

from journal.messages import NULL
from riskengine.codes import ContractType
from riskengine.memory import Instrument, Memory


class Amount(NamedTuple):
    """`n` / `d` × 10^`exp` of a currency; `d` > 0. `seq`: the newest frame it was read from."""

    n: int
    d: int
    exp: int
    currency: int
    seq: int = 0

    def up(self, exp: int) -> int:
        """The mantissa at an exponent, rounded towards plus infinity."""
        return -self.negated().down(exp)

    def down(self, exp: int) -> int:
        """As `up`, towards minus infinity."""
        unit: int = 10 ** abs(self.exp - exp)
        return self.n * unit // self.d if self.exp >= exp else self.n // (self.d * unit)

    def negated(self) -> Amount:
        """What is owed instead of owned."""
        return self._replace(n=-self.n)


def twice_price(memory: Memory, instrument: int) -> tuple[int, int] | None:
    """(price times two, frame) to value an instrument at: its mark, or the middle of its touch; None without either."""
    mark = memory.marks.get(instrument)
    if mark is not None:
        return 2 * mark.value, mark.seq
    touch = memory.touches.get(instrument)
    if touch is None or NULL in (touch.bid_px, touch.ask_px):
        return None
    return touch.bid_px + touch.ask_px, touch.seq


def notional(memory: Memory, i: Instrument, qty: int) -> Amount | None:
    """The notional of a signed quantity at the mark, in the currency the contract is quoted in (QUANTO: is settled in). An
    inverse contract has its value without a price."""
    exp = i.qty_exp + i.multiplier_exp
    if i.contract == ContractType.INVERSE:
        return Amount(qty * i.multiplier, 1, exp, i.quote_currency, i.seq)
    priced = twice_price(memory, i.instrument) if qty else (0, 0)
    if priced is None:
        return None
    return _quoted(i, qty * priced[0], 2, exp + i.px_exp, priced[1])


def of_orders(i: Instrument, qty: int, value: int) -> Amount:
    """The notional of orders at their own prices; `value`: the sum of quantity times price."""
    exp = i.qty_exp + i.multiplier_exp
    if i.contract == ContractType.INVERSE:
        return Amount(qty * i.multiplier, 1, exp, i.quote_currency, i.seq)
    return _quoted(i, value, 1, exp + i.px_exp, 0)


def _quoted(i: Instrument, n: int, d: int, exp: int, seq: int) -> Amount:
    if i.contract == ContractType.QUANTO and i.quanto_rate != NULL:
        return Amount(n * i.multiplier * i.quanto_rate, d, exp + i.quanto_rate_exp, i.settlement_currency, seq)
    return Amount(n * i.multiplier, d, exp, i.quote_currency, seq)


def unrealized(memory: Memory, i: Instrument, qty: int, cost: int, currency: int) -> Amount | None:
    """What closing a position at the mark would add: its value less its cost (of the positions app), in its currency."""
    ledger_exp = memory.ledger_exp.get(currency)
    if ledger_exp is None:
        return None
    if not qty:
        return Amount(-cost, 1, ledger_exp, currency)
    priced = twice_price(memory, i.instrument)
    if priced is None or (i.contract == ContractType.INVERSE and priced[0] <= 0):
        return None
    px2, seq = priced
    if i.contract == ContractType.INVERSE:
        worth = Amount(-2 * qty * i.multiplier, px2, i.qty_exp + i.multiplier_exp - i.px_exp, currency, seq)
    else:
        worth = _quoted(i, qty * px2, 2, i.qty_exp + i.px_exp + i.multiplier_exp, seq)._replace(currency=currency)
    return plus(worth, Amount(-cost, 1, ledger_exp, currency))


def plus(a: Amount, b: Amount) -> Amount:
    """The sum of two amounts of one currency, exact."""
    exp = min(a.exp, b.exp)
    n = a.n * 10 ** (a.exp - exp) * b.d + b.n * 10 ** (b.exp - exp) * a.d
    return Amount(n, a.d * b.d, exp, a.currency, max(a.seq, b.seq))


def convert(memory: Memory, a: Amount, currency: int) -> Amount | None:
    """An amount in another currency, by the last ConversionRate of the pair in either direction; None without one."""
    if a.currency == currency or not a.n:
        return a._replace(currency=currency)
    rate = memory.rates.get(f"{a.currency}/{currency}")
    if rate is not None:
        return Amount(a.n * rate.value, a.d, a.exp + rate.exp, currency, max(a.seq, rate.seq))
    rate = memory.rates.get(f"{currency}/{a.currency}")
    if rate is not None:
        return Amount(a.n, a.d * rate.value, a.exp - rate.exp, currency, max(a.seq, rate.seq))
    return None
