"""The decisions of a run: its orders, replaces and cancels, each known by the market event it was made at.

Sequence numbers and order numbers shift with the first difference; the market events are the same in both runs, so a decision
is named by who made it, on what, which way, and after which market event of the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from journal.messages import (
    NULL,
    CancelOrder,
    ExecutionReport,
    InstrumentDefined,
    NewOrder,
    OrdStatus,
    OrdType,
    ReplaceOrder,
    Side,
    StrategyDefined,
    TimeInForce,
    order_id_text,
)
from replay.audit.definitions import Definitions
from replay.audit.render import decimal_text, time_text
from replay.audit.stream import Stream

Key = tuple[str, str, str, str, int]
"""Strategy, instrument, kind of request, side, seq of the market event in the recording."""


class Decision(msgspec.Struct):
    """One request of a strategy."""

    kind: str
    strategy: str
    instrument: str
    side: str
    market_seq: int
    """The last market event before it, by its seq in the recording; 0: before the first."""
    seq: int
    time: str
    order_id: str
    terms: dict[str, str]
    """What it asks for."""
    outcome: dict[str, str]
    """What became of it in this run; a new order's only."""

    @property
    def key(self) -> Key:
        return (self.strategy, self.instrument, self.kind, self.side, self.market_seq)


def decisions(stream: Stream, definitions: Definitions, market_before: Callable[[int], int]) -> list[Decision]:
    """All of a journal, in sequence order. `market_before`: seq here → seq of the last market event up to it, in the
    recording."""
    terms: dict[int, NewOrder] = {}
    last: dict[int, ExecutionReport] = {}
    for frame in stream.frames(ExecutionReport):
        report = frame.message
        if isinstance(report, ExecutionReport):
            last[report.order_id] = report
    out: list[Decision] = []
    for frame in stream.frames(NewOrder, ReplaceOrder, CancelOrder):
        m: Any = frame.message
        seq = frame.header.seq
        if isinstance(m, NewOrder):
            terms[m.order_id] = m
        order = terms.get(m.order_id)
        if order is None:
            continue  # of an order from before this journal
        definition = definitions.by_kind[InstrumentDefined].at(order.instrument, seq)
        px_exp, qty_exp = (definition.px_exp, definition.qty_exp) if definition else (0, 0)
        asked: dict[str, str] = {}
        if not isinstance(m, CancelOrder):
            asked = {"qty": _number(m.order_qty, qty_exp), "price": _number(m.price_px, px_exp)}
        if isinstance(m, NewOrder):
            asked |= {"type": OrdType(m.ord_type).name, "tif": TimeInForce(m.tif).name}
        out.append(
            Decision(
                kind=type(m).__name__,
                strategy=definitions.name(StrategyDefined, order.strategy, seq),
                instrument=definitions.name(InstrumentDefined, order.instrument, seq),
                side=Side(order.side).name,
                market_seq=market_before(frame.header.cause or seq),
                seq=seq,
                time=time_text(frame.header.ts),
                order_id=order_id_text(m.order_id),
                terms=asked,
                outcome=_outcome(last.get(m.order_id), px_exp, qty_exp) if isinstance(m, NewOrder) else {},
            )
        )
    return out


def _number(mantissa: int, exponent: int) -> str:
    return "" if mantissa == NULL else decimal_text(mantissa, exponent)


def _outcome(report: ExecutionReport | None, px_exp: int, qty_exp: int) -> dict[str, str]:
    if report is None:
        return {"status": "RECEIVED"}
    told = {"status": OrdStatus(report.ord_status).name, "filled": decimal_text(report.cum_qty, qty_exp)}
    if report.cum_qty:
        told["value"] = decimal_text(report.cum_notional, px_exp + qty_exp)
    return told
