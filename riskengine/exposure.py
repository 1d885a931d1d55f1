"""Exposure: positions, and what every open order may still do, at its worst.

An order reserves its largest possible rest: that of the terms in force or of a replace under way, whichever is larger. It is
reserved when it is decided, before anyone has seen it; it is released by what the OMS says, and exactly once, because what is
held is always recomputed from the order and only the difference is booked.
"""

from __future__ import annotations

import msgspec

from journal.messages import NULL, Side, order_id_source


def direction(side: int) -> int:
    """+1 for a buy, -1 for any sell."""
    return 1 if side == Side.BUY else -1


class Wish(msgspec.Struct, array_like=True):
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


class Held(msgspec.Struct, array_like=True):
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

    @property
    def reserved_qty(self) -> int:
        """The most it may still trade."""
        return max(max((w.order_qty for w in self.wishes if w.passed), default=0), self.order_qty) - self.cum_qty


class Cell(msgspec.Struct, array_like=True):
    """What one owner has in one instrument."""

    account: int
    strategy: int
    user: int
    source: int
    instrument: int
    position: int = 0
    """Signed."""
    buying: int = 0
    selling: int = 0
    """Reserved by open orders; never negative."""
    orders: int = 0

    def adverse(self, sign: int) -> int:
        """The worst position on one side: +1 as long as it could get, -1 as short."""
        return self.position + self.buying if sign > 0 else -self.position + self.selling


class Book(msgspec.Struct, array_like=True):
    """All open orders and all cells."""

    orders: dict[int, Held] = {}
    cells: dict[str, Cell] = {}

    def cell(self, account: int, strategy: int, user: int, source: int, instrument: int) -> Cell:
        """The cell of an owner and instrument, made when first asked for."""
        key = _key(account, strategy, user, source, instrument)
        found = self.cells.get(key)
        if found is None:
            found = self.cells[key] = Cell(account, strategy, user, source, instrument)
        return found

    def cell_of(self, held: Held) -> Cell:
        """The cell an order's exposure is booked in."""
        return self.cell(held.account, held.strategy, held.user, order_id_source(held.order_id), held.instrument)

    def hold(self, held: Held) -> None:
        """Reserve an order that is not held yet."""
        assert held.order_id not in self.orders
        self.orders[held.order_id] = held
        self.cell_of(held).orders += 1
        self.book(held, held.reserved_qty)

    def release(self, held: Held) -> None:
        """Forget an order: its reservation ends."""
        del self.orders[held.order_id]
        self.cell_of(held).orders -= 1
        self.book(held, -held.reserved_qty)

    def book(self, held: Held, delta: int) -> None:
        """Book a change of one order's reservation."""
        cell = self.cell_of(held)
        if direction(held.side) > 0:
            cell.buying += delta
        else:
            cell.selling += delta

    def check(self) -> None:
        """Assert that what is booked is what the orders hold. O(orders): for tests and the debugger."""
        sums: dict[str, list[int]] = {key: [0, 0, 0] for key in self.cells}
        for held in self.orders.values():
            assert held.reserved_qty >= 0, held
            booked = sums[_key(held.account, held.strategy, held.user, order_id_source(held.order_id), held.instrument)]
            booked[0 if direction(held.side) > 0 else 1] += held.reserved_qty
            booked[2] += 1
        for key, cell in self.cells.items():
            assert [cell.buying, cell.selling, cell.orders] == sums[key], cell


def _key(account: int, strategy: int, user: int, source: int, instrument: int) -> str:
    return f"{instrument}/{account}/{strategy}/{user}/{source}"
