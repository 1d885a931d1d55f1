"""What differs between two runs over the same inputs: decisions, and what they came to."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from journal.messages import (
    REGISTRY,
    CancelOrder,
    InstrumentDefined,
    NewOrder,
    Position,
    ReplaceOrder,
    SourceDefined,
    SourceRole,
    StrategyDefined,
)
from replay.audit.definitions import Definitions
from replay.audit.render import decimal_of
from replay.audit.stream import Array, Stream
from replay.backtest.feed import MARKET_KINDS
from replay.report.series import lines, own_trades
from replay.report.summary import summarize
from replay.whatif.decisions import Decision, Key, decisions

_MARKET = [REGISTRY[kind] for kind in MARKET_KINDS]


class What(StrEnum):
    """How a decision differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Delta(msgspec.Struct):
    """One difference. `fields`: name → (base, other), for a decision that both have."""

    what: What
    base: Decision | None
    other: Decision | None
    fields: dict[str, tuple[str, str]] = {}

    @property
    def decision(self) -> Decision:
        """The one there is; the base's where there are two."""
        found = self.base or self.other
        assert found is not None
        return found


class Curve(msgspec.Struct):
    """P&L after fees in a currency, valued at the mid, at each time it moves. ns since the epoch; floats: to look at."""

    currency: str
    ts: Array
    total: Array


class Came(msgspec.Struct):
    """What a run came to."""

    journal: str
    orders: int
    replaces: int
    cancels: int
    fills: int
    rejects: dict[str, int]
    """By who refused and why."""
    pnl: dict[str, Decimal]
    """By currency, after fees, open positions at the last mid."""
    fees: dict[str, Decimal]
    drawdown: dict[str, float]
    """The deepest fall of the equity curve below its height so far, by currency."""
    position_max: dict[str, Decimal]
    """Greatest absolute position, by `strategy instrument`."""
    traded: dict[str, Decimal]
    """Quantity traded, by `strategy instrument`."""


class Comparison(msgspec.Struct):
    """A what-if, whole."""

    recording: str
    order_latency_ns: int
    base: Came
    other: Came
    deltas: list[Delta]
    first_seq: int = 0
    """The market event of the recording at which the decisions first differ; 0: they never do, or before the first."""
    first: Delta | None = None
    recorded_decisions: int = 0
    reproduced: int = 0
    """Of the recorded decisions, those that the base made too: how close the simulated venue comes to the record."""

    def count(self, what: What, kind: str) -> int:
        """Differences of one sort."""
        return sum(d.what == what and d.decision.kind == kind for d in self.deltas)


class Run:
    """A finished run, ready to be compared. `fed`: seq in the recording of each market event, in order."""

    def __init__(self, stream: Stream, fed: list[int]) -> None:
        self.stream = stream
        self.definitions = Definitions(stream)
        market = {n for n, _, m in self.definitions.by_kind[SourceDefined] if m.role == SourceRole.MARKET_DATA}
        mine = [f.header.seq for f in stream.frames(*_MARKET) if f.header.source in market]
        assert len(mine) == len(fed), f"{stream.path}: {len(mine)} market events of {len(fed)}"
        self._mine, self._fed = mine, fed
        self.decisions = decisions(stream, self.definitions, self._before)

    def _before(self, seq: int) -> int:
        at = bisect.bisect_right(self._mine, seq)
        return self._fed[at - 1] if at else 0


def of_record(stream: Stream, fed: list[int]) -> list[Decision]:
    """The decisions of the recording itself."""

    def before(seq: int) -> int:
        at = bisect.bisect_right(fed, seq)
        return fed[at - 1] if at else 0

    return decisions(stream, Definitions(stream), before)


def differences(base: list[Decision], other: list[Decision], *, outcomes: bool = True) -> list[Delta]:
    """Decisions that one side alone has, and those that ask for something else (or, with `outcomes`, came to something else),
    in the order of the recording."""
    sides: dict[Key, tuple[list[Decision], list[Decision]]] = defaultdict(lambda: ([], []))
    for which, made in enumerate((base, other)):
        for decision in made:
            sides[decision.key][which].append(decision)
    out: list[Delta] = []
    for ours, theirs in sides.values():
        for a, b in zip(ours, theirs, strict=False):
            x, y = (d.terms | (d.outcome if outcomes else {}) for d in (a, b))
            fields = {n: (x.get(n, ""), y.get(n, "")) for n in dict.fromkeys([*x, *y]) if x.get(n, "") != y.get(n, "")}
            if fields:
                out.append(Delta(What.CHANGED, a, b, fields))
        out += [Delta(What.REMOVED, a, None) for a in ours[len(theirs) :]]
        out += [Delta(What.ADDED, None, b) for b in theirs[len(ours) :]]
    return sorted(out, key=lambda d: (d.decision.market_seq, d.decision.seq, d.what))


def compare(recording: Stream, base: Run, other: Run, order_latency_ns: int) -> Comparison:
    """All of it."""
    deltas = differences(base.decisions, other.decisions)
    # What a decision came to differs only where another one was different before.
    told = [d for d in deltas if d.what is not What.CHANGED or set(d.fields) & set(d.decision.terms)]
    first = next(iter(told or deltas), None)
    record = of_record(recording, base._fed)
    missed = {id(d.base) for d in differences(record, base.decisions, outcomes=False) if d.base is not None}
    return Comparison(
        recording=str(recording.path),
        order_latency_ns=order_latency_ns,
        base=came(base),
        other=came(other),
        deltas=deltas,
        first_seq=first.decision.market_seq if first else 0,
        first=first,
        recorded_decisions=len(record),
        reproduced=len(record) - len(missed),
    )


def came(run: Run) -> Came:
    """What a run came to."""
    summary = summarize(run.stream)
    fees: dict[str, Decimal] = {}
    for p in summary.positions:
        fees[p.currency] = fees.get(p.currency, Decimal(0)) + p.fees
    kinds = [d.kind for d in run.decisions]
    return Came(
        journal=str(run.stream.path),
        orders=kinds.count(NewOrder.__name__),
        replaces=kinds.count(ReplaceOrder.__name__),
        cancels=kinds.count(CancelOrder.__name__),
        fills=summary.orders.fills,
        rejects=summary.orders.rejects,
        pnl=summary.total,
        fees=fees,
        drawdown={c.currency: _drawdown(c.total) for c in curves(run)},
        position_max=_position_max(run),
        traded=_traded(run),
    )


def curves(run: Run) -> list[Curve]:
    """One equity curve a currency: the sum over strategies and instruments."""
    by_currency: dict[str, list[tuple[Array, Array]]] = defaultdict(list)
    for line in lines(run.stream, run.definitions):
        by_currency[line.currency].append((line.ts, line.total))
    out = []
    for currency, parts in sorted(by_currency.items()):
        ts = np.unique(np.concatenate([t for t, _ in parts]))
        total = np.zeros(len(ts))
        for at, values in parts:
            held = np.searchsorted(at, ts, "right") - 1
            total += np.where(held >= 0, values[held], 0.0)
        out.append(Curve(currency, ts, total))
    return out


def _drawdown(total: Array) -> float:
    """From zero on: a loss from the start is one."""
    if not len(total):
        return 0.0
    return float(np.max(np.maximum(np.maximum.accumulate(total), 0.0) - total))


def _position_max(run: Run) -> dict[str, Decimal]:
    rows = run.stream.columns(Position)
    quantities = np.abs(rows["long_qty"] - rows["short_qty"])
    return _by_holding(run, rows, quantities, np.maximum.reduce)


def _traded(run: Run) -> dict[str, Decimal]:
    rows = own_trades(run.stream)
    return _by_holding(run, rows, rows["last_qty"], np.add.reduce)


def _by_holding(run: Run, rows: Array, values: Array, fold: Callable[[Array], Any]) -> dict[str, Decimal]:
    out: dict[str, Decimal] = {}
    end = run.stream.to_seq
    for strategy, instrument in sorted({(int(s), int(i)) for s, i in zip(rows["strategy"], rows["instrument"], strict=True)}):
        mine = values[(rows["strategy"] == strategy) & (rows["instrument"] == instrument)]
        definition = run.definitions.by_kind[InstrumentDefined].at(instrument, end)
        names = (run.definitions.name(StrategyDefined, strategy, end), run.definitions.name(InstrumentDefined, instrument, end))
        out[" ".join(names)] = decimal_of(int(fold(mine)), definition.qty_exp if definition else 0)
    return out
