"""The risk engine as an app: riskengine.RiskEngine with the host's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from apps.app import App, Handler, handlers_of
from journal.messages import (
    CancelOrder,
    ExecutionReport,
    NewOrder,
    ReplaceOrder,
    ReportFlag,
    RiskDecision,
    TopOfBook,
    accelerator,
)
from journal.messages.tables import Tables
from riskengine.conduct import REPORTED
from riskengine.controlled import Rules
from riskengine.engine import RiskEngine
from riskengine.exposure import REDUCING
from riskengine.flat import CLASSES, flat

_fast = accelerator.extension("apps.kernel._fast")


class RiskApp(App):
    """Hosts the pre-trade checks; everything they know is in `engine`."""

    def __init__(self) -> None:
        self.engine = RiskEngine(self)

    def handlers(self) -> dict[int, Handler]:
        return handlers_of(self.engine)

    def natives(self) -> dict[int, Any]:
        """Every touch is remembered, few are asked for; and most orders are plain ones that pass, are replaced, and are
        filled."""
        if not _fast:
            return {}
        decisions = _fast.Decisions(self.engine, CLASSES, flat, RiskDecision)
        return {
            TopOfBook.KIND: _fast.Touches(self.engine, CLASSES),
            NewOrder.KIND: decisions,
            ReplaceOrder.KIND: _fast.Changes(decisions, ReplaceOrder.KIND),
            CancelOrder.KIND: _fast.Changes(decisions, CancelOrder.KIND),
            ExecutionReport.KIND: _fast.Reports(self.engine, CLASSES, REPORTED, ReportFlag.PARENT, REDUCING),
        }

    def configure(self, parameters: dict[str, Any]) -> None:
        self.engine.configure(msgspec.convert(parameters, Rules, strict=True))

    def on_timer(self, token: int) -> None:
        self.engine.on_timer(token)

    def snapshot(self) -> bytes:
        return self.engine.snapshot()

    def restore(self, data: bytes) -> None:
        self.engine.restore(data)

    def parts(self) -> tuple[bytes, Tables]:
        return self.engine.parts()

    def assemble(self, rest: bytes, pieces: Sequence[Sequence[Any]]) -> None:
        self.engine.assemble(rest, pieces)
