"""The OMS as an app: oms.OrderManager with the host's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from apps.app import App, Handler, handlers_of
from journal.messages import (
    CancelOrder,
    ExecutionReport,
    Mark,
    MarketStatus,
    Message,
    NewOrder,
    OrderSent,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    TopOfBook,
    TradeSummary,
    VenueFill,
    VenueOrderUpdate,
    accelerator,
)
from journal.messages.keeping import Keep
from journal.messages.tables import Tables
from oms.budgets import Rule
from oms.differences import Settings as Reconciling
from oms.differences import Trade
from oms.kills import Rules
from oms.manager import OrderManager
from oms.memory import CLOSED_AT_HAND_NS
from oms.places import CLASSES

_fast = accelerator.extension("apps.kernel._fast")
_WATCHED = ("memory", "instructions", "watched")
_ENDS = ("memory", "instructions", "ends")
_IDLE_WITHOUT: dict[type[Message], tuple[str, ...]] = {
    TopOfBook: _WATCHED,
    TradeSummary: _WATCHED,
    Mark: _WATCHED,
    MarketStatus: _ENDS,
}
"""Kinds that matter only while something is held: nothing is to be done while this is empty."""

_LIFE: tuple[type[Message], ...] = (
    NewOrder, ReplaceOrder, CancelOrder, RiskDecision, RoutedOrder, RoutedReplace, RoutedCancel, OrderSent, VenueOrderUpdate,
    VenueFill,
)  # fmt: skip
"""What the life of a plain order is made of."""


class Routing(msgspec.Struct, forbid_unknown_fields=True):
    """When a connection counts as down."""

    failures_before_down: int = 3
    down_ns: int = 10_000_000_000


class Mmp(msgspec.Struct, forbid_unknown_fields=True):
    """Market-maker protection: so many fills, or so much filled (mantissas), within the window freeze a group; 0: off."""

    window_ns: int
    fills: int = 0
    qty: int = 0


class Settings(Rules):
    """What the configuration says to the OMS, with ids for names."""

    mmp: Mmp | None = None
    budgets: tuple[Rule, ...] = ()
    routing: Routing = msgspec.field(default_factory=Routing)
    keep: Keep = Keep()
    """How long closed orders are kept."""
    reconcile: Reconciling | None = None
    """Without it nothing is reconciled."""


class OmsApp(App):
    """Hosts the order state machine; everything it knows is in `machine`."""

    def __init__(self) -> None:
        self.machine = OrderManager(self)

    def handlers(self) -> dict[int, Handler]:
        return handlers_of(self.machine)

    def natives(self) -> dict[int, Any]:
        """Markets tick all day, and mostly nothing is held; and most orders live as they should."""
        if not _fast:
            return {}
        m, times = self.machine, (self.machine.request_timeout_ns, CLOSED_AT_HAND_NS)
        idle = {cls.KIND: _fast.Idle(m, path) for cls, path in _IDLE_WITHOUT.items()}
        said = (RoutedOrder, RoutedReplace, RoutedCancel, ExecutionReport)
        return idle | {cls.KIND: _fast.Orders(m, CLASSES, cls.KIND, *times, *said, Trade) for cls in _LIFE}

    def configure(self, parameters: dict[str, Any]) -> None:
        found = msgspec.convert(parameters, Settings, strict=True)
        mmp, m = found.mmp or Mmp(0), self.machine
        m.configure(found)
        m.set_budgets(list(found.budgets))
        m.mmp_window_ns, m.mmp_fills, m.mmp_qty = mmp.window_ns, mmp.fills, mmp.qty
        m.set_routing(found.routing.failures_before_down, found.routing.down_ns)
        m.memory.keep = found.keep
        m.reconcile_by(found.reconcile)

    def on_timer(self, token: int) -> None:
        self.machine.on_timer(token)

    def snapshot(self) -> bytes:
        return self.machine.snapshot()

    def restore(self, data: bytes) -> None:
        self.machine.restore(data)

    def parts(self) -> tuple[bytes, Tables]:
        return self.machine.parts()

    def assemble(self, rest: bytes, pieces: Sequence[Sequence[Any]]) -> None:
        self.machine.assemble(rest, pieces)
