"""A recorded session as something to run again: who published, what was configured, what came from outside."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from journal.errors import OperatingError
from journal.frames import frames, last_seq
from journal.messages import (
    REGISTRY,
    ConfigApplied,
    ConfigItem,
    DestinationDefined,
    InstrumentDefined,
    Message,
    RiskLimitSet,
    SimulationSettings,
    SourceDefined,
    SourceRole,
)
from journal.slices import begins_after
from replay.backtest.engine import Source
from replay.backtest.feed import MARKET_KINDS, FeedEvent, journal_feed

LOADER, SIMULATOR, MARKET_DATA, TRADING, OPERATOR = "loader", "simulator", "market-data", "trading", "operator"
APP_ROLES = frozenset({SourceRole.BOOKS, SourceRole.OMS, SourceRole.RISK, SourceRole.POSITIONS, SourceRole.ALGO})
_DEFINITIONS = [ConfigItem.KIND, ConfigApplied.KIND, RiskLimitSet.KIND, *(k for k in REGISTRY if 100 <= k < 120)]
_OUTSIDE = {
    SourceRole.LOADER: LOADER,
    SourceRole.SIMULATOR: SIMULATOR,
    SourceRole.MARKET_DATA: MARKET_DATA,
    SourceRole.TRADING: TRADING,
    SourceRole.OPERATOR: OPERATOR,
}


class NothingToRun(OperatingError, ValueError):
    """A journal without market data, or without apps: says which."""


class Recorded(msgspec.Struct):
    """What a journal holds besides its market data."""

    path: Path
    apps: list[tuple[str, SourceRole, int]]
    """Name, role, number of every source whose frames an app said."""
    numbers: dict[str, int]
    """Numbers of the outside's sources; those of a role that published first."""
    setup: list[Message]
    """Configuration and definitions up to the first market event, in order."""
    late: list[FeedEvent]
    """Those that came later."""
    operator: list[FeedEvent]
    order_latency_ns: int | None
    """What the record's own simulation assumed; None for a session with a real exchange."""
    first_ts: int
    last_seq: int
    """Where it ended when it was read. One that is still written grows, and both runs are to hear the same."""

    def sources(self, apps: Iterable[tuple[str, SourceRole, int]]) -> list[Source]:
        """The outside with the record's numbers, and these apps."""
        outside = [Source(name, role, number=self.numbers.get(name, 0)) for role, name in _OUTSIDE.items()]
        return outside + [Source(name, role, number=number) for name, role, number in apps]

    def feed(self, instruments: dict[str, InstrumentDefined], *, late: bool, fed: list[int]) -> Iterator[FeedEvent]:
        """Market data and the operators' words in order; `late`: the changes of configuration and definitions too.
        `fed` gets the seq of each market event."""
        others = heapq.merge(self.operator, self.late if late else [], key=lambda e: e.seq)
        for event in heapq.merge(journal_feed(self.path, instruments, self.last_seq), others, key=lambda e: e.seq):
            if not event.source:
                fed.append(event.seq)
            yield event


def recorded(path: Path, operator_kinds: Iterable[int]) -> Recorded:
    """Read a journal up to its end of now. NothingToRun where there is no market data or no app, or not the whole session."""
    before = begins_after(path)
    if before:
        # The book, the orders and the states that a slice begins with are in no frame of it that could be run again.
        raise NothingToRun(f"{path}: a slice, begun behind seq {before:,}; a what-if runs a session from its beginning")
    last = last_seq(path)
    first = next(_market(path, last), None)
    if first is None:
        raise NothingToRun(f"{path}: no market data of a gateway; expected a recorded session or a backtest's journal")
    apps: dict[int, tuple[str, SourceRole, int]] = {}
    numbers: dict[str, int] = {}
    operators: set[int] = set()
    for frame in frames(path, to_seq=last, kinds=[SourceDefined.KIND]):
        m = frame.message
        if not isinstance(m, SourceDefined):
            continue
        if m.role in APP_ROLES:
            apps[m.source] = (m.name, SourceRole(m.role), m.source)
        elif m.role in _OUTSIDE:
            numbers.setdefault(_OUTSIDE[SourceRole(m.role)], m.source)
        if m.role == SourceRole.OPERATOR:
            operators.add(m.source)
    setup, late, configured = [], [], set()
    for frame in frames(path, to_seq=last, kinds=_DEFINITIONS):
        m = frame.message
        if m is None:
            continue
        if isinstance(m, DestinationDefined):
            m.gateway = numbers.get(TRADING, 0)  # one simulated venue stands for all gateways
        if isinstance(m, ConfigApplied):
            configured.add(m.owner)
        if frame.header.seq < first.seq:
            setup.append(m)
        else:
            late.append(FeedEvent(frame.header.ts, frame.header.origin_ts, m, frame.header.seq, LOADER))
    running = [app for number, app in sorted(apps.items()) if number in configured]
    if not running:
        raise NothingToRun(f"{path}: no app of this session has a configuration in its journal")
    said = [
        FeedEvent(f.header.ts, f.header.origin_ts, f.message, f.header.seq, OPERATOR)
        for f in frames(path, to_seq=last, kinds=operator_kinds)
        if f.header.source in operators and f.message is not None
    ]
    assumed = next((f.message for f in frames(path, to_seq=last, kinds=[SimulationSettings.KIND])), None)
    latency = assumed.order_latency_ns if isinstance(assumed, SimulationSettings) else None
    return Recorded(path, running, numbers, setup, late, said, latency, first.ts - 1_000_000, last)


def _market(path: Path, to_seq: int) -> Iterator[FeedEvent]:
    """Market data of gateways, whatever the instrument."""
    gateways: set[int] = set()
    for frame in frames(path, to_seq=to_seq, kinds=[SourceDefined.KIND, *MARKET_KINDS]):
        m: Any = frame.message
        if isinstance(m, SourceDefined):
            if m.role == SourceRole.MARKET_DATA:
                gateways.add(m.source)
        elif frame.header.source in gateways:
            yield FeedEvent(frame.header.ts, frame.header.origin_ts, m, frame.header.seq)
