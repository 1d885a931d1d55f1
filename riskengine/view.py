"""What follows from the memory and is kept beside it, so that a decision searches nothing: limits by check and scope, sums of
exposure by scope, own prices by instrument. No state: it is made again from the memory, which `check` asserts."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any

from journal.messages import NULL, Scope, order_id_source
from journal.messages.scopes import Subject, covers
from journal.messages.tables import look
from riskengine.codes import OrdType, RiskCheck, ScopeType, Side
from riskengine.exposure import Cell, Held, Sums
from riskengine.limits import Limit, Limits, Named, named, names
from riskengine.memory import Holding, Memory

_WAITING = frozenset(
    {
        OrdType.STOP, OrdType.STOP_LIMIT, OrdType.MARKET_IF_TOUCHED, OrdType.LIMIT_IF_TOUCHED, OrdType.TRAILING_STOP,
        OrdType.TRAILING_STOP_LIMIT,
    }
)  # fmt: skip
"""Not in the book until triggered: nothing can trade with them."""


class Area:
    """What a scope holds: open orders, and the sums of each instrument."""

    __slots__ = ("by_instrument", "orders", "unknown")

    def __init__(self) -> None:
        self.orders = self.unknown = 0
        self.by_instrument: dict[int, Sums] = {}

    def of(self, instrument: int) -> Sums:
        """What it holds in one instrument."""
        return self.by_instrument.get(instrument) or Sums()

    def join(self, instrument: int) -> Sums:
        """The sums of one instrument, to be added to."""
        return self.by_instrument.setdefault(instrument, Sums())


class Prices:
    """Own orders of one instrument and side by price, those at any price under NULL."""

    __slots__ = ("levels", "orders")

    def __init__(self) -> None:
        self.levels: list[int] = []
        self.orders: dict[int, dict[int, None]] = {}

    def put(self, px: int, order_id: int) -> None:
        """An order may trade at a price."""
        if px not in self.orders:
            self.orders[px] = {}
            insort(self.levels, px)
        self.orders[px][order_id] = None

    def take(self, px: int, order_id: int) -> None:
        """It no longer may."""
        level = self.orders[px]
        del level[order_id]
        if not level:
            del self.orders[px]
            del self.levels[bisect_left(self.levels, px)]


class View:
    """The memory, indexed. Every change of exposure goes through it."""

    __slots__ = (
        "_areas", "_groups", "_holdings", "_priced", "_prices", "_reached", "limits", "memory", "plans",
        "require_limits",
    )  # fmt: skip

    def __init__(self, memory: Memory, *, require_limits: bool = False) -> None:
        self.memory = memory
        self.require_limits = require_limits
        """Where a limit of the first cut's checks is missing, an order is refused."""
        self.reindex()

    def reindex(self) -> None:
        """Limits, groups or definitions have changed: make everything again. O(memory), and rare."""
        memory = self.memory
        self.limits = Limits(memory.limits)
        self.plans: dict[tuple[int, ...], Any] = {}
        """Whose order, and its side → the checks that run with their limits: riskengine.checks fills it."""
        self._groups: dict[tuple[int, int], tuple[int, ...]] = {}
        for group, members in sorted(memory.groups.items()):
            for kind, member in members:
                key = (kind, member)
                self._groups[key] = (*self._groups.get(key, ()), group)
        self._areas: dict[int, dict[Named, Area]] = {}
        self._reached: dict[str, list[tuple[Area, Sums]]] = {}
        self._holdings: dict[int, dict[tuple[int, int], Holding]] = {}
        self._prices: dict[tuple[int, bool], Prices] | None = None
        if self.limits.has(RiskCheck.SELF_TRADE):
            self._prices = {}
            self._priced: dict[int, int] = {}
            for _, held in look(memory.exposure.orders):
                self._price(held)

    # Whose it is.

    def subject(
        self, account: int, strategy: int, user: int, instrument: int, *, source: int = 0, order_id: int = 0, parent: int = 0,
    ) -> Subject:  # fmt: skip
        """Something as scopes see it."""
        i = self.memory.instruments.get(instrument)
        groups: tuple[int, ...] = ()
        if self._groups:
            of = self._groups.get
            groups = (
                of((ScopeType.ACCOUNT, account), ()) + of((ScopeType.STRATEGY, strategy), ())
                + of((ScopeType.USER, user), ()) + of((ScopeType.INSTRUMENT, instrument), ())
            )  # fmt: skip
        return Subject(
            order_id=order_id, parent_order_id=parent, account=account, strategy=strategy, user=user, instrument=instrument,
            venue=i.venue if i else 0, underlying=i.underlying if i else 0, source=source, groups=groups,
        )  # fmt: skip

    def groups_of(self, account: int) -> tuple[int, ...]:
        """The groups of an account."""
        return self._groups.get((ScopeType.ACCOUNT, account), ())

    def subject_of(self, held: Held) -> Subject:
        """An open order as scopes see it."""
        return self.subject(
            held.account, held.strategy, held.user, held.instrument, source=order_id_source(held.order_id),
            order_id=held.order_id,
        )  # fmt: skip

    def _subject_of_cell(self, cell: Cell) -> Subject:
        return self.subject(cell.account, cell.strategy, cell.user, cell.instrument, source=cell.source)

    # What it holds.

    def area(self, scope: Scope) -> Area:
        """What a scope holds. Summed when it is first asked for, kept up to date from then on."""
        return self.area_of(scope.scope_type, named(scope))

    def area_of(self, kind: int, name: Named) -> Area:
        """As `area`, of a kind of scope and what it names. One that holds nothing is not kept: names can be made up."""
        row = self._areas.get(kind)
        found = row.get(name) if row is not None else None
        if found is not None:
            return found
        found = Area()
        for cell in self.memory.exposure.cells.values():
            if name in names(kind, self._subject_of_cell(cell)):
                found.join(cell.instrument).add(cell)
                found.orders += cell.orders
                found.unknown += cell.unknown
        if found.by_instrument:
            self._areas.setdefault(kind, {})[name] = found
            self._reached.clear()
        return found

    def _reach(self, cell: Cell) -> list[tuple[Area, Sums]]:
        """What a cell counts in."""
        key = cell.key
        found = self._reached.get(key)
        if found is None:
            subject = self._subject_of_cell(cell)
            found = self._reached[key] = [
                (row[name], row[name].join(cell.instrument))
                for kind, row in self._areas.items()
                for name in dict.fromkeys(names(kind, subject))
                if name in row
            ]
        return found

    def account(self, account: int) -> Area:
        """What an account holds."""
        return self.area_of(ScopeType.ACCOUNT, account)

    def holdings(self, limit: Limit) -> dict[tuple[int, int], Holding]:
        """Positions and what they made, of what a limit covers, together by instrument and currency."""
        found = self._holdings.get(limit.limit)
        if found is None:
            found = self._holdings[limit.limit] = {}
            for h in self.memory.holdings.values():
                if covers(limit.scope, self.subject(h.account, h.strategy, 0, h.instrument)):
                    key = (h.instrument, h.currency)
                    held = found.setdefault(key, Holding(0, 0, h.instrument, h.currency, 0, 0, 0, 0, 0))
                    held.qty, held.cost, held.made = held.qty + h.qty, held.cost + h.cost, held.made + h.made
                    held.seq = max(held.seq, h.seq)
        return found

    def position_changed(self) -> None:
        """What a position made is another sum: add up again when it is asked for."""
        self._holdings.clear()

    # What changes it.

    def hold(self, held: Held) -> None:
        """Reserve an order that is not held yet."""
        orders = self.memory.exposure.orders
        assert held.order_id not in orders
        assert held.booked_qty == held.booked_value == 0
        orders[held.order_id] = held
        self._count(held, 1, held.unknown)
        self.settle(held)

    def release(self, held: Held) -> None:
        """Forget an order: its reservation ends."""
        self._count(held, -1, -held.unknown)
        self._book(held, 0, 0)
        del self.memory.exposure.orders[held.order_id]
        if self._prices is not None:
            self._unprice(held)

    def settle(self, held: Held) -> None:
        """Its terms or fills have changed: book what it holds now."""
        self._book(held, held.reserved_qty, held.reserved_value)
        if self._prices is not None:
            self._unprice(held)
            self._price(held)

    def known(self, held: Held, unknown: bool) -> None:
        """Whether its outcome is known."""
        if held.unknown != unknown:
            held.unknown = unknown
            self._count(held, 0, 1 if unknown else -1)

    def traded(self, cell: Cell, qty: int) -> None:
        """A position moves by a signed quantity."""
        cell.position += qty
        for _, sums in self._reach(cell):
            sums.position += qty

    def _home(self, held: Held) -> tuple[Cell, list[tuple[Area, Sums]]]:
        """The cell of an order, and what that counts in."""
        cell = self.memory.exposure.cell_of(held)
        return cell, self._reach(cell)

    def _book(self, held: Held, qty: int, value: int) -> None:
        more, worth = qty - held.booked_qty, value - held.booked_value
        if more or worth:
            assert qty >= 0, held  # I-42
            assert value >= 0, held
            held.booked_qty, held.booked_value = qty, value
            cell, reached = self._home(held)
            cell.reserve(held, more, worth)
            for _, sums in reached:
                sums.reserve(held, more, worth)

    def _count(self, held: Held, orders: int, unknown: int) -> None:
        cell, reached = self._home(held)
        cell.orders += orders
        cell.unknown += unknown
        for area, sums in reached:
            area.orders += orders
            area.unknown += unknown
            sums.orders += orders
            sums.unknown += unknown

    # Where its own orders stand.

    def crossing(self, instrument: int, side: int, px: int) -> list[Held]:
        """Own orders that an order of a side at a price (NULL: at any) could trade with, best price first."""
        buys = side == Side.BUY
        prices = self._prices.get((instrument, not buys)) if self._prices is not None else None
        if prices is None:
            return []
        crossed = list(prices.orders.get(NULL, ()))
        for level in prices.levels if buys else reversed(prices.levels):
            if level == NULL:
                continue
            if px != NULL and (level > px if buys else level < px):
                break
            crossed += prices.orders[level]
        return [self.memory.exposure.orders[n] for n in crossed]

    def _price(self, held: Held) -> None:
        assert self._prices is not None
        if _waits(held):
            return
        px = held.best_px()
        self._prices.setdefault((held.instrument, held.side == Side.BUY), Prices()).put(px, held.order_id)
        self._priced[held.order_id] = px

    def _unprice(self, held: Held) -> None:
        assert self._prices is not None
        px = self._priced.pop(held.order_id, None)
        if px is not None:
            self._prices[held.instrument, held.side == Side.BUY].take(px, held.order_id)

    def check(self) -> None:
        """Assert that everything kept is what would be made again. O(memory)."""
        book = self.memory.exposure
        book.check()
        for kind, row in self._areas.items():
            for name, area in row.items():
                again = Area()
                for n in area.by_instrument:
                    again.join(n)
                for cell in book.cells.values():
                    if name in names(kind, self._subject_of_cell(cell)):
                        again.join(cell.instrument).add(cell)
                        again.orders += cell.orders
                        again.unknown += cell.unknown
                assert (area.orders, area.unknown) == (again.orders, again.unknown), (kind, name)
                assert area.by_instrument == again.by_instrument, (kind, name)
        for limit, held in self._holdings.items():
            assert held == View(self.memory).holdings(self.memory.limits[limit]), limit
        if self._prices is not None:
            open_ = {n: h.best_px() for n, h in look(book.orders) if not _waits(h)}
            assert self._priced == open_
            standing = {n: px for prices in self._prices.values() for px, level in prices.orders.items() for n in level}
            assert standing == open_
            for prices in self._prices.values():
                assert prices.levels == sorted(prices.orders)


def _waits(held: Held) -> bool:
    return held.ord_type in _WAITING and not held.triggered
