"""What a person or an expression sees at a stop: the message, the app, the order it is about, our position."""

from __future__ import annotations

from typing import Any, TypeVar

from apps.app import App
from apps.group import Group, Slot
from apps.order_manager import OmsApp
from apps.positions import Positions
from apps.strategy import Strategy
from journal.messages import ExecutionReport
from journal.values import ABSENT
from replay.cursor import Stop

A = TypeVar("A", bound=App)

# What an order's field is called here → where records and messages have it.
_FIELDS = {
    "status": ("ord_status", "status", "base"),
    "qty": ("order_qty", "qty"),
    "px": ("price_px", "px"),
    **{name: (name,) for name in (
        "order_id", "instrument", "side", "leaves_qty", "cum_qty", "account", "strategy", "version", "reason", "exec_type",
        "last_qty", "last_px", "ord_type", "tif",
    )},
}  # fmt: skip


class OrderView:
    """The fields of an order that are known here."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return "order(" + ", ".join(f"{name}={value}" for name, value in vars(self).items()) + ")"


class Scene:
    """The names of `replay.expression.NAMES` at one stop."""

    def __init__(self, group: Group, stop: Stop) -> None:
        self._group = group
        self._slot = stop.slot
        self.m: Any = stop.message if stop.message is not None else ABSENT
        self.token: Any = stop.token if stop.message is None else ABSENT
        self.app: App = stop.slot.app
        self.now = stop.slot.app.now
        self.seq = stop.place.seq
        self.kind: Any = stop.message.KIND if stop.message is not None else ABSENT

    @property
    def order(self) -> Any:
        """The order that the message is about: what the app has of it, under what this very message says of it."""
        order_id = getattr(self.m, "order_id", 0)
        if not order_id:
            return ABSENT
        held = self._held(order_id)
        # A report says how the order stands; a request says only what somebody wants.
        told = self.m if isinstance(self.m, ExecutionReport) or held is None else None
        seen: dict[str, Any] = {}
        for name, places in _FIELDS.items():
            for of in (told, held):
                found = next((getattr(of, place) for place in places if of is not None and hasattr(of, place)), ABSENT)
                if found is not ABSENT:
                    seen[name] = found
                    break
        return OrderView(seen)

    def _held(self, order_id: int) -> Any:
        if isinstance(self.app, OmsApp):
            return self.app.machine.memory.peek(order_id)
        return self.app.orders.get(order_id) if isinstance(self.app, Strategy) else None

    @property
    def position(self) -> Any:
        """Our signed quantity of the message's instrument, as the app sees it; the message's strategy's, if it names one."""
        instrument = getattr(self.m, "instrument", 0) or getattr(self.order, "instrument", 0)
        if not instrument:
            return ABSENT
        if isinstance(self.app, Strategy):
            return self.app.position(instrument)
        held = find(self._group, self._slot, Positions)
        return held.net_qty(instrument, strategy=getattr(self.m, "strategy", 0) or None) if held is not None else ABSENT


def find(group: Group, slot: Slot | None, cls: type[A]) -> A | None:
    """The state machine that an app reads, or the session's own."""
    near = [slot, *group.mute_of(slot)] if slot is not None else []
    for each in [*near, *group.slots]:
        if isinstance(each.app, cls):
            return each.app
    return None
