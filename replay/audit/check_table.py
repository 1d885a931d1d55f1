"""The numbers of risk checks in SQL, as people read them: columns `saw` and `against` of each check of each decision.

The numbers of some checks are no amounts: they stand for a state, a source, an order, a price. What they are is told by
`check_text` one at a time, so the columns are made only for a query that can show them.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from journal.messages import CheckResult, RiskDecision
from replay.audit.check_text import check_numbers
from replay.audit.definitions import Definitions
from replay.audit.raw import Table
from replay.audit.render import Renderer
from replay.audit.stream import Array, Stream

COLUMNS = ("saw", "against")


def add_numbers(table: Table, stream: Stream, definitions: Definitions, *, told: bool) -> None:
    """Add both columns to the table of the checks. Not `told`: they are there, and NULL throughout."""
    rows = len(table.arrays["seq"])
    texts: Array = np.full((rows, len(COLUMNS)), None, object)
    if told:
        texts[:] = [*_numbers(stream, definitions)]
    for name, column in zip(COLUMNS, texts.T, strict=True):
        table.plain(name, column)


def _numbers(stream: Stream, definitions: Definitions) -> list[tuple[str | None, str | None]]:
    @cache
    def instrument_of(order_id: int) -> int:
        return int(definitions.instruments_of_orders(np.array([order_id], "<u8"))[0])

    render = Renderer(definitions, instrument_of)
    out: list[tuple[str | None, str | None]] = []
    for frame in stream.frames(RiskDecision):
        decision = frame.message
        assert isinstance(decision, RiskDecision)
        for c in decision.checks:
            shown = c.result != CheckResult.NOT_APPLICABLE
            saw, against = check_numbers(render, decision, c, frame.header.seq) if shown else ("", "")
            out.append((saw or None, against or None))
    return out
