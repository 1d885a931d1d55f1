"""Instruments: reference data as the stream has defined it. The effective definition is the last before the current frame."""

from __future__ import annotations

from decimal import Decimal

from apps.app import App
from journal.errors import OperatingError
from journal.messages import (
    NULL,
    AccountDefined,
    CurrencyDefined,
    DestinationDefined,
    InstrumentDefined,
    SourceDefined,
    StrategyDefined,
    VenueDefined,
)


class NotExact(OperatingError, ValueError):
    """A decimal that is no whole number of an instrument's smallest units."""


def mantissa_exact(value: Decimal, exponent: int, what: str) -> int:
    """`value` as an integer count of 10**exponent; NotExact when it is none."""
    scaled = value.scaleb(-exponent)
    if scaled != scaled.to_integral_value():
        raise NotExact(f"{what} = {value}: not a multiple of 1e{exponent}")
    return int(scaled)


class Instruments(App):
    """id → definition, for instruments, currencies, venues, accounts, strategies, destinations and sources."""

    def __init__(self) -> None:
        self.instruments: dict[int, InstrumentDefined] = {}
        self.currencies: dict[int, CurrencyDefined] = {}
        self.venues: dict[int, VenueDefined] = {}
        self.accounts: dict[int, AccountDefined] = {}
        self.strategies: dict[int, StrategyDefined] = {}
        self.destinations: dict[int, DestinationDefined] = {}
        self.roles: dict[int, int] = {}
        self.names: dict[int, str] = {}

    def on_instrument_defined(self, m: InstrumentDefined) -> None:
        self.instruments[m.instrument] = m

    def on_currency_defined(self, m: CurrencyDefined) -> None:
        self.currencies[m.currency] = m

    def on_venue_defined(self, m: VenueDefined) -> None:
        self.venues[m.venue] = m

    def on_account_defined(self, m: AccountDefined) -> None:
        self.accounts[m.account] = m

    def on_strategy_defined(self, m: StrategyDefined) -> None:
        self.strategies[m.strategy] = m

    def on_destination_defined(self, m: DestinationDefined) -> None:
        self.destinations[m.destination] = m

    def on_source_defined(self, m: SourceDefined) -> None:
        self.roles[m.source] = m.role
        self.names[m.source] = m.name

    def __getitem__(self, instrument: int) -> InstrumentDefined:
        return self.instruments[instrument]

    def named(self, symbol: str) -> InstrumentDefined | None:
        """The instrument with this symbol."""
        return next((i for i in self.instruments.values() if i.name == symbol), None)

    def strategy_of(self, source: int) -> StrategyDefined | None:
        """The strategy that a source decides for."""
        return next((s for s in self.strategies.values() if s.app == source), None)

    def px(self, instrument: int, value: Decimal) -> int:
        """A decimal price as this instrument's mantissa, exactly."""
        return mantissa_exact(value, self.instruments[instrument].px_exp, "price")

    def qty(self, instrument: int, value: Decimal) -> int:
        """A decimal quantity as this instrument's mantissa, exactly."""
        return mantissa_exact(value, self.instruments[instrument].qty_exp, "quantity")

    def tick(self, instrument: int) -> int:
        """The price increment, at least one mantissa unit."""
        tick = self.instruments[instrument].tick_px
        return tick if tick not in (NULL, 0) else 1

    def lot(self, instrument: int) -> int:
        """The quantity increment, at least one mantissa unit."""
        lot = self.instruments[instrument].lot_qty
        return lot if lot not in (NULL, 0) else 1
