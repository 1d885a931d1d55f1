"""What `check()` asserts is broken on purpose: one number of a state that is right otherwise, by the id of the invariant; and
what is asserted in production stops the machine at its next word."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from oms_and_risk import ACCOUNT, INSTRUMENT, OPERATOR, OTHER, STRATEGY, Desk

from journal.messages import (
    ExecType,
    KillLevel,
    KillSwitch,
    OrdStatus,
    ParentOrder,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    Side,
    order_id_of,
)
from oms.differences import Settings
from oms.order import Order
from oms.parent import Parent
from riskengine.exposure import Cell, Held

PARENT = order_id_of(STRATEGY, 900)
LIMIT = {"price_px": 5000}


class World:
    """A parent with a child filled in part, an order of its own, and one that is canceled."""

    def __init__(self) -> None:
        self.desk = d = Desk()
        d.ready()
        d.frame(RiskLimitSet(limit=1, check=RiskCheck.SELF_TRADE, scope_type=ScopeType.GLOBAL), 1)
        at = {"account": ACCOUNT, "instrument": INSTRUMENT, "side": Side.BUY}
        d.frame(ParentOrder(order_id=PARENT, order_qty=1000, limit_px=5000, **at), STRATEGY)
        self.child_id = d.ask(parent_order_id=PARENT, **LIMIT)
        d.fill(self.child_id, 40)
        self.own_id = d.ask(**LIMIT)
        d.ack(self.own_id)
        self.ended_id = d.ask(**LIMIT)
        d.update(self.ended_id, ExecType.CANCELED, ord_status=OrdStatus.CANCELED)

    def order(self, order_id: int) -> Order:
        return self.desk.oms.memory.orders[order_id]

    @property
    def child(self) -> Order:
        return self.order(self.child_id)

    @property
    def own(self) -> Order:
        return self.order(self.own_id)

    @property
    def ended(self) -> Order:
        return self.order(self.ended_id)

    @property
    def parent(self) -> Parent:
        return self.desk.oms.memory.parents[PARENT]

    @property
    def held(self) -> Held:
        return self.desk.risk.memory.exposure.orders[self.own_id]

    @property
    def cell(self) -> Cell:
        return next(iter(self.desk.risk.memory.exposure.cells.values()))

    def check(self) -> None:
        self.desk.oms.check()
        self.desk.risk.check()

    def kill(self) -> None:
        kill = KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.GLOBAL)
        self.desk.frame(kill, OPERATOR)


def put(what: Callable[[World], object], name: str, value: object) -> Callable[[World], None]:
    return lambda w: setattr(what(w), name, value)


def overfilled(w: World) -> None:
    w.child.add_fill("more", 100, 5000)


def killed_and_forgotten(w: World) -> None:
    w.kill()
    w.own.cancel = None


def gate_said_open(w: World) -> None:
    """The sum of the gate is not what was said last."""
    w.desk.oms.reconcile_by(Settings())
    w.desk.phase(0)
    w.desk.phase(6)
    compared = w.desk.oms.compared(ACCOUNT)
    assert compared is not None
    w.check()
    compared.halted = True


def a_worse_child(w: World) -> None:
    w.child.price_px = 5005


def a_child_left_alone(w: World) -> None:
    w.parent.ending = OrdStatus.CANCELED


def released_twice(w: World) -> None:
    w.desk.risk.view._book(w.held, 0, 0)
    w.cell.buying -= 100


BREAKS: list[tuple[str, Callable[[World], None]]] = [
    ("I-16", overfilled),
    ("I-16", put(lambda w: w.child, "cum_qty", -1)),
    ("I-18", put(lambda w: w.ended, "unknown", 1)),
    ("I-19", put(lambda w: w.child, "cum_qty", 41)),
    ("I-19", put(lambda w: w.child, "notional_low", 1)),
    ("I-19", lambda w: w.child.fills.clear()),
    ("I-23", put(lambda w: w.parent, "order_qty", 99)),
    ("I-23", put(lambda w: w.parent, "held_qty", 60)),
    ("I-23: UNKNOWN counts", put(lambda w: w.child, "unknown", 1)),
    ("I-24", a_worse_child),
    ("I-24", put(lambda w: w.child, "side", Side.SELL)),
    ("I-24", put(lambda w: w.child, "account", ACCOUNT + 1)),
    ("I-24", put(lambda w: w.parent, "source", OTHER)),
    ("I-25", put(lambda w: w.parent, "cum_qty", 0)),
    ("I-25", a_child_left_alone),
    ("I-27", put(lambda w: w.own, "source", STRATEGY + 1)),
    ("I-33", gate_said_open),
    ("I-40: UNKNOWN is forgotten", put(lambda w: w.held, "unknown", True)),
    ("I-42", released_twice),
    ("I-42", put(lambda w: w.held, "booked_qty", 99)),
    ("I-42", put(lambda w: w.held, "order_qty", -1)),
    ("I-42", put(lambda w: w.cell, "buying", -1)),
    ("I-42", put(lambda w: w.cell, "orders", 9)),
    ("I-42: left out", lambda w: w.desk.risk.memory.exposure.orders.pop(w.own_id) and None),
    ("I-43", killed_and_forgotten),
]


@pytest.mark.parametrize(("invariant", "broken"), BREAKS, ids=lambda of: of if isinstance(of, str) else "")
def test_a_state_that_is_not_right_is_found(invariant: str, broken: Callable[[World], None]) -> None:
    w = World()
    w.check()
    broken(w)
    with pytest.raises(AssertionError):
        w.check()


@pytest.mark.parametrize("cum", [-1, 101])
def test_no_report_leaves_with_a_quantity_that_cannot_be(cum: int) -> None:
    """I-16 and I-17, in production: the next report of the order is not made."""
    w = World()
    w.own.cum_qty = cum
    w.desk.check_every = False
    with pytest.raises(AssertionError, match="cum_qty"):
        w.desk.update(w.own_id, ExecType.RESTATED, order_qty=100, price_px=4995)


def test_nothing_is_reserved_below_zero() -> None:
    """I-42, in production."""
    w = World()
    w.held.order_qty = -1
    with pytest.raises(AssertionError, match="booked_qty"):
        w.desk.risk.view.settle(w.held)
