"""The OMS as an app: oms.OrderManager with the host's context."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.app import App, Handler, handlers_of
from oms.kills import Rules
from oms.manager import OrderManager


class OmsApp(App):
    """Hosts the order state machine; everything it knows is in `machine`."""

    def __init__(self) -> None:
        self.machine = OrderManager(self)

    def handlers(self) -> dict[int, Handler]:
        return handlers_of(self.machine)

    def configure(self, parameters: dict[str, Any]) -> None:
        self.machine.configure(msgspec.convert(parameters, Rules, strict=True))

    def on_timer(self, token: int) -> None:
        self.machine.on_timer(token)

    def snapshot(self) -> bytes:
        return self.machine.snapshot()

    def restore(self, data: bytes) -> None:
        self.machine.restore(data)
