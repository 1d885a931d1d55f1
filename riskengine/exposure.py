"""Exposure: positions, and what every open order may still do, at its worst.

An order reserves its largest possible rest: that of the terms in force or of a replace under way, whichever is larger, in
quantity and in value. It is reserved when it is decided, before anyone has seen it; it is released by what the OMS says, and
exactly once: an order remembers what is booked for it, and only the difference to what it holds now is ever booked.
"""

from __future__ import annotations

import msgspec

from journal.messages import NULL, ExecInst, order_id_source
from journal.messages.tables import look
from riskengine.codes import QuantityType, Side

REDUCING = int(ExecInst.DO_NOT_INCREASE | ExecInst.CLOSE_POSITION)
"""An order that may only make a position smaller. A plain int: an operation with a flag costs a microsecond."""


def direction(side: int) -> int:
    """+1 for a buy, -1 for any sell."""
    return 1 if side == Side.BUY else -1


class Wish(msgspec.Struct, array_like=True, gc=False):
    """A replace asked for and not answered to the end."""

    request_seq: int
    passed: bool
    """By this engine: only then it counts."""
    order_qty: int
    price_px: int
    stop_px: int
    display_qty: int
    expire_ts: int
    taken_up: bool = False
    """By the OMS; what it does not take up it refuses, in the order of asking."""
    end_kept: bool = False
    """As of the order, with these terms."""


class Held(msgspec.Struct, array_like=True, gc=False):
    """One open order as risk sees it."""

    order_id: int
    account: int
    strategy: int
    user: int
    instrument: int
    side: int
    ord_type: int
    order_qty: int
    price_px: int = NULL
    stop_px: int = NULL
    display_qty: int = NULL
    expire_ts: int = 0
    cum_qty: int = 0
    wishes: list[Wish] = []
    refusals_due: int = 0
    """Replaces the OMS has given up and whose OrderCancelReject is still to come."""
    value_px: int = NULL
    """What it is valued at where its terms have no price: the far touch when it was decided."""
    exec_inst: int = 0
    quantity_type: int = 0
    list_id: int = 0
    unknown: bool = False
    """Its outcome is not known; it counts in full, as any open order."""
    triggered: bool = False
    booked_qty: int = 0
    booked_value: int = 0
    """What is booked for it in its cell."""
    end_kept: bool = False
    """Its end is the OMS's to keep: no venue is told it."""

    @property
    def in_amount(self) -> bool:
        """Its quantity was asked for as an amount of money; `order_qty` is what that may buy."""
        return self.quantity_type == QuantityType.QUOTE_AMOUNT

    @property
    def reserved_qty(self) -> int:
        """The most it may still trade."""
        most = self.order_qty
        for w in self.wishes:
            if w.passed and w.order_qty > most:
                most = w.order_qty
        return most - self.cum_qty

    @property
    def reserved_value(self) -> int:
        """The most it may still be worth: quantity times price, in mantissas of both."""
        most = self.value_of(self.order_qty, self.price_px)
        for w in self.wishes:
            if w.passed:
                most = max(most, self.value_of(w.order_qty, w.price_px))
        return most

    def value_of(self, order_qty: int, price_px: int) -> int:
        """What it would be worth with these terms; 0 where nothing gives it a price."""
        px = price_px if price_px != NULL else self.value_px
        return 0 if px == NULL else (order_qty - self.cum_qty) * abs(px)

    @property
    def reducing(self) -> bool:
        """It may only make a position smaller."""
        return bool(self.exec_inst & REDUCING)

    def best_px(self) -> int:
        """The price at which it may trade, at its most aggressive; NULL: at any."""
        prices = [self.price_px, *(w.price_px for w in self.wishes if w.passed)]
        if NULL in prices:
            return NULL
        return max(prices) if self.side == Side.BUY else min(prices)


class Sums(msgspec.Struct, array_like=True):
    """What is held, of one owner or of a scope."""

    position: int = 0
    """Signed."""
    buying: int = 0
    selling: int = 0
    """Reserved by open orders; never negative."""
    orders: int = 0
    buying_value: int = 0
    selling_value: int = 0
    """As `buying`, `selling`, times the orders' prices."""
    buying_to_reduce: int = 0
    selling_to_reduce: int = 0
    """What of `buying`, `selling` may only reduce."""
    unknown: int = 0
    """Orders whose outcome is not known."""

    def adverse(self, sign: int) -> int:
        """The worst position on one side: +1 as long as it could get, -1 as short."""
        return self.position + self.buying if sign > 0 else -self.position + self.selling

    def worst(self, more_bought: int = 0, more_sold: int = 0) -> int:
        """The largest position it may lead to, on either side."""
        return max(abs(self.position + self.buying + more_bought), abs(self.position - self.selling - more_sold))

    def reserve(self, held: Held, qty: int, value: int) -> None:
        """Book a change of one order's reservation."""
        if held.side == Side.BUY:
            self.buying += qty
            self.buying_value += value
            if held.exec_inst & REDUCING:
                self.buying_to_reduce += qty
        else:
            self.selling += qty
            self.selling_value += value
            if held.exec_inst & REDUCING:
                self.selling_to_reduce += qty

    def add(self, other: Sums) -> None:
        """Add what another has."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_SUMMED = Sums.__struct_fields__


class Cell(Sums, array_like=True):
    """What one owner has in one instrument."""

    account: int = 0
    strategy: int = 0
    user: int = 0
    source: int = 0
    instrument: int = 0

    @property
    def key(self) -> str:
        """Its key in the book."""
        return _key(self.account, self.strategy, self.user, self.source, self.instrument)


class Book(msgspec.Struct, array_like=True):
    """All open orders and all cells. Whoever changes it (riskengine.view.View) keeps sums of its cells."""

    orders: dict[int, Held] = {}
    cells: dict[str, Cell] = {}

    def cell(self, account: int, strategy: int, user: int, source: int, instrument: int) -> Cell:
        """The cell of an owner and instrument, made when first asked for."""
        key = _key(account, strategy, user, source, instrument)
        found = self.cells.get(key)
        if found is None:
            found = self.cells[key] = Cell(account=account, strategy=strategy, user=user, source=source, instrument=instrument)
        return found

    def cell_of(self, held: Held) -> Cell:
        """The cell an order's exposure is booked in."""
        return self.cell(held.account, held.strategy, held.user, order_id_source(held.order_id), held.instrument)

    def check(self) -> None:
        """Assert I-42: what is booked is what the open orders hold, never negative. O(orders): for tests and the debugger."""
        sums = {key: Sums(position=cell.position) for key, cell in self.cells.items()}
        for order_id, held in look(self.orders):
            assert held.order_id == order_id, held
            assert held.reserved_qty >= 0, held
            assert held.reserved_value >= 0, held
            assert (held.booked_qty, held.booked_value) == (held.reserved_qty, held.reserved_value), held
            of_cell = sums[self.cell_of(held).key]
            of_cell.reserve(held, held.booked_qty, held.booked_value)
            of_cell.orders += 1
            of_cell.unknown += held.unknown
        for key, cell in self.cells.items():
            assert cell.key == key, cell
            assert all(getattr(cell, name) == getattr(sums[key], name) for name in _SUMMED), (cell, sums[key])
            assert min(getattr(cell, name) for name in _SUMMED if name != "position") >= 0, cell


def _key(account: int, strategy: int, user: int, source: int, instrument: int) -> str:
    return f"{instrument}/{account}/{strategy}/{user}/{source}"
