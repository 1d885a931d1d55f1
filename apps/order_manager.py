"""The OMS as an app: oms.OrderManager with the host's context."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.app import App, Handler, handlers_of
from oms.kills import Rules
from oms.manager import OrderManager


class Mmp(msgspec.Struct, forbid_unknown_fields=True):
    """Market-maker protection: so many fills, or so much filled (mantissas), within the window freeze a group; 0: off."""

    window_ns: int
    fills: int = 0
    qty: int = 0


class Settings(Rules):
    """What the configuration says to the OMS."""

    mmp: Mmp | None = None


class OmsApp(App):
    """Hosts the order state machine; everything it knows is in `machine`."""

    def __init__(self) -> None:
        self.machine = OrderManager(self)

    def handlers(self) -> dict[int, Handler]:
        return handlers_of(self.machine)

    def configure(self, parameters: dict[str, Any]) -> None:
        found = msgspec.convert(parameters, Settings, strict=True)
        mmp, m = found.mmp or Mmp(0), self.machine
        m.configure(found)
        m.mmp_window_ns, m.mmp_fills, m.mmp_qty = mmp.window_ns, mmp.fills, mmp.qty

    def on_timer(self, token: int) -> None:
        self.machine.on_timer(token)

    def snapshot(self) -> bytes:
        return self.machine.snapshot()

    def restore(self, data: bytes) -> None:
        self.machine.restore(data)
