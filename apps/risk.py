"""The risk engine as an app: riskengine.RiskEngine with the host's context."""

from __future__ import annotations

from apps.app import App, Handler, handlers_of
from riskengine.engine import RiskEngine


class RiskApp(App):
    """Hosts the pre-trade checks; everything they know is in `engine`."""

    def __init__(self) -> None:
        self.engine = RiskEngine(self)

    def handlers(self) -> dict[int, Handler]:
        return handlers_of(self.engine)

    def on_timer(self, token: int) -> None:
        self.engine.on_timer(token)

    def snapshot(self) -> bytes:
        return self.engine.snapshot()

    def restore(self, data: bytes) -> None:
        self.engine.restore(data)
