"""The backtest host: sequencer, clock and venue driver in one loop, on stream time only.

Order of things at one instant: timers' clock frame, then what is scheduled (our requests arriving at the venue, its answers
arriving here) in order of scheduling, then market data. What an app emits is sequenced right behind the frame that caused
it, one nanosecond later, before anything else happens: decisions take no stream time, the wire does (`order_latency_ns`).
"""

from __future__ import annotations

import heapq
import itertools
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from apps.app import App
from apps.discovery import DISCOVERY_KINDS, AppSpec, Discovery
from apps.group import Group
from apps.guard.building import build
from apps.guard.places import Place, Places
from apps.guard.trap import trapped
from apps.ledger import Emission, Ledger
from apps.timers import NEVER
from journal.errors import OperatingError
from journal.messages import (
    REGISTRY,
    Clock,
    ConnectionState,
    DestinationDefined,
    DurabilityPolicy,
    EpochCause,
    EpochStart,
    Flag,
    GatewayPhase,
    GatewayStatus,
    Grant,
    ImportProvenance,
    InstrumentDefined,
    Message,
    OrderSent,
    RoutedCancel,
    RoutedCancelAll,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
    SessionEnd,
    SessionMode,
    SessionStart,
    SimulationSettings,
    SourceDefined,
    SourceRole,
    StreamStatus,
)
from journal.messages.derive import schema_digest
from journal.reader import JournalReader
from journal.writer import JournalWriter
from replay.backtest.feed import FeedEvent
from replay.backtest.venue import BacktestVenue
from replay.player import raised_in

_ROUTED = (RoutedOrder, RoutedReplace, RoutedCancel, RoutedQuery, RoutedCancelAll, RoutedQuote)
_ROUTED_KINDS = frozenset(c.KIND for c in _ROUTED)
DISCOVERY = frozenset(DISCOVERY_KINDS)
_SIMULATED = Flag.LAST | Flag.SIMULATED


class Source(msgspec.Struct, frozen=True):
    """A publisher of the backtest's stream."""

    name: str
    role: SourceRole
    grants: tuple[tuple[int, int], ...] = ()
    number: int = 0
    """What it had in another stream and keeps here, so that ids made of it are the same; 0: the next free one."""


def numbered(sources: list[Source]) -> dict[str, int]:
    """Name → number."""
    taken = {s.number for s in sources}
    free = (n for n in itertools.count(1) if n not in taken)
    return {s.name: s.number or next(free) for s in sources}


class Assumptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the run assumes; part of the journal (SimulationSettings)."""

    order_latency_ns: int = 1_000_000
    provenance: ImportProvenance | None = None


class Result(msgspec.Struct, kw_only=True):
    """What came of it."""

    journal: str
    frames: int
    market_events: int
    first_ts: int
    last_ts: int
    state_digest: str


class AppRaised(OperatingError):
    """An app's own code has raised. The text ends with the traceback of that code alone: what its author wants to see."""

    def __init__(self, app: str, seq: int, error: Exception) -> None:
        self.app = app
        self.seq = seq
        """The frame it was handling; 0: it was being started."""
        self.error = error
        places = Places()
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None and places.of(trace.tb_frame.f_code) is not Place.APP:
            trace = trace.tb_next
        frames = traceback.extract_tb(trace)
        what = traceback.format_exception_only(error)
        self.what = what[-1].strip()
        mine = [f for f, (frame, _) in zip(frames, traceback.walk_tb(trace), strict=True)
                if places.of(frame.f_code) is Place.APP]  # fmt: skip
        at = (mine or frames)[-1] if frames else None
        self.where = f"{at.filename}:{at.lineno}, in {at.name}" if at is not None else ""
        told = "".join(["Traceback (most recent call last):\n", *frames.format(), *what]).rstrip()
        super().__init__(f"{app}: raises {f'at seq {seq}' if seq else 'at its start'}: {self.what}\n{told}")


class Backtest:
    """One run. `sources` must hold a market-data, a trading, a loader and a simulator source besides the apps'."""

    def __init__(self, path: Path, sources: list[Source], assumptions: Assumptions, *, identity: bytes) -> None:
        word = int.from_bytes(identity[:8], "little") >> 1 | 1
        self.path = path
        self.writer = JournalWriter.open(path, stream_id=word, nonce=word)
        self.reader = JournalReader(path)
        self.assumptions = assumptions
        self.identity = identity
        self.ids = numbered(sources)
        self.sources = sources
        self.group = Group()
        self.venue = BacktestVenue()
        self.now = 0
        self._numbers: dict[int, int] = {}
        self._said: deque[tuple[int, Emission]] = deque()
        self._scheduled: list[tuple[int, int, Callable[[], None]]] = []
        self._schedules = 0
        self._market_data = next(i for s, i in self._rows() if s.role == SourceRole.MARKET_DATA)
        self._trading = next(i for s, i in self._rows() if s.role == SourceRole.TRADING)
        self._instruments: dict[str, InstrumentDefined] = {}

    def _rows(self) -> Iterator[tuple[Source, int]]:
        return ((s, self.ids[s.name]) for s in self.sources)

    @trapped()
    def open(self, setup: Callable[[], Iterable[Message]], first_ts: int, build_name: str) -> dict[str, InstrumentDefined]:
        """Write the beginning of the stream: session, sources, configuration and definitions. Returns the instruments."""
        self.now = first_ts
        self.writer.begin_epoch()
        self._append(0, EpochStart(new_epoch=self.writer.epoch, cause_code=EpochCause.FIRST_START))
        start = SessionStart(
            session=1,
            stream_id=self.writer.stream_id,
            mode=SessionMode.BACKTEST,
            durability=DurabilityPolicy.WRITTEN,
            config_digest=self.identity,
            schema_digest=schema_digest(),
            name=build_name,
        )
        self._append(0, start)
        for source, number in self._rows():
            grants = [Grant(first=a, last=b) for a, b in source.grants]
            self._append(0, SourceDefined(source=number, role=source.role, name=source.name, grants=grants))
        loader = next(i for s, i in self._rows() if s.role == SourceRole.LOADER)
        simulator = next(i for s, i in self._rows() if s.role == SourceRole.SIMULATOR)
        self._append(simulator, SimulationSettings(order_latency_ns=self.assumptions.order_latency_ns))
        if self.assumptions.provenance is not None:
            self._append(simulator, self.assumptions.provenance)
        discovery = Discovery()
        discovery.names = {number: s.name for s, number in self._rows()}
        messages = list(setup())
        # The apps have to exist before the frame after their ConfigApplied: look ahead in what is about to be said.
        seq = self.writer.last_seq
        for offset, message in enumerate(messages, start=1):
            if message.KIND in DISCOVERY:
                discovery.handle(seq + offset, message)
        for spec in sorted(discovery.specs.values(), key=lambda s: s.source):
            ledger = Ledger(spec.name, self._publish_as(spec.source))
            self.group.add(spec.name, self._built(spec), source=spec.source, ledger=ledger, active_from=spec.active_from)
        for message in messages:
            if isinstance(message, InstrumentDefined):
                self._instruments[message.name] = message
                self.venue.define(message)
            self._append(loader, message, cause=0)
        self._step()
        for m in [m for m in messages if isinstance(m, DestinationDefined)]:
            up = StreamStatus(stream=1, venue=m.venue, account=m.account, connection=ConnectionState.UP)
            ready = GatewayStatus(gateway=self._trading, venue=m.venue, account=m.account, phase=GatewayPhase.READY)
            self._append(self._trading, up)
            self._append(self._trading, ready)
        self._settle()
        return self._instruments

    @trapped()
    def run(self, feed: Iterable[FeedEvent], progress: Callable[[int], None] | None = None) -> Result:
        """Run to the end of the feed, and until nothing is scheduled any more."""
        first_ts, events = self.now, 0
        for event in feed:
            ts = max(event.ts, self.now)
            self._advance(ts)
            self.now = ts
            events += 1
            if event.source:
                self._append(self.ids[event.source], event.message, origin_ts=event.origin_ts)
            else:
                for message in self.venue.market(event.message, ts):
                    self._later(ts + self.assumptions.order_latency_ns, self._answer(message))
                self._append(self._market_data, event.message, origin_ts=event.origin_ts, flags=_SIMULATED)
            self._settle()
            if progress is not None and events % 1024 == 0:
                progress(events)
        while self._scheduled:
            self._advance(self._scheduled[0][0] + 1)
        self._append(0, SessionEnd(frames=self.writer.last_seq + 1))
        self._settle()
        self.writer.sync()
        digest = self.group.state_digest().hex()
        result = Result(
            journal=str(self.path),
            frames=self.writer.last_seq,
            market_events=events,
            first_ts=first_ts,
            last_ts=self.writer.last_ts,
            state_digest=digest,
        )
        self.close()
        return result

    def close(self) -> None:
        """Let go of the journal."""
        self.reader.close()
        self.writer.close()

    def _publish_as(self, source: int) -> Callable[[Emission], None]:
        return lambda emission: self._said.append((source, emission))

    def _later(self, at: int, action: Callable[[], None]) -> None:
        self._schedules += 1
        heapq.heappush(self._scheduled, (at, self._schedules, action))

    def _advance(self, to_ts: int) -> None:
        """Let timers fire and scheduled things happen, in time order, strictly before `to_ts`."""
        while True:
            due = self.group.due
            scheduled = self._scheduled[0][0] if self._scheduled else NEVER
            if min(due, scheduled) >= to_ts:
                return
            if due <= scheduled:
                self.now = max(self.now, due)
                self._append(0, Clock(wall_ts=self.now))
            else:
                at, _, action = heapq.heappop(self._scheduled)
                self.now = max(self.now, at)
                action()
            self._settle()

    def _answer(self, message: Message) -> Callable[[], None]:
        def answer() -> None:
            self._append(self._trading, message, flags=_SIMULATED)

        return answer

    def _arrive(self, m: Any, seq: int) -> Callable[[], None]:
        def arrive() -> None:
            for message in self.venue.request(m, seq, self.now):
                self._later(self.now + self.assumptions.order_latency_ns, self._answer(message))

        return arrive

    def _append(self, source: int, message: Message, *, cause: int = 0, origin_ts: int = 0, flags: int = Flag.LAST) -> int:
        """Sequence an input of this host itself (market data, venue, loader, sequencer)."""
        number = 0
        if source:
            number = self._numbers[source] = self._numbers.get(source, 0) + 1
        ts = max(self.now, self.writer.last_ts + 1)
        return self.writer.append(
            message, ts=ts, source=source, source_seq=number, cause=cause, origin_ts=origin_ts or ts, flags=flags
        )

    def _settle(self) -> None:
        """Step the apps through what was appended, sequence what they say, until they have nothing more to say."""
        self._step()
        while self._said:
            source, e = self._said.popleft()
            ts = max(self.now, self.writer.last_ts + 1)
            seq = self.writer.append_bytes(
                e.kind,
                e.version,
                e.body,
                ts=ts,
                source=source,
                source_seq=e.source_seq,
                cause=e.cause,
                origin_ts=e.origin_ts,
                flags=e.flags,
            )
            self.venue.quotes.watch(seq, source, e)
            if e.kind in _ROUTED_KINDS:
                self._route(e, seq, ts)
            self._step()

    def _route(self, e: Emission, seq: int, ts: int) -> None:
        """What a gateway would do with a routed frame: hand it over, say so."""
        m: Any = REGISTRY[e.kind].decode(memoryview(e.body), 0)
        self._later(ts + self.assumptions.order_latency_ns, self._arrive(m, seq))
        if e.kind != RoutedQuery.KIND:
            order_id = getattr(m, "order_id", 0)
            self._append(self._trading, OrderSent(request_seq=seq, order_id=order_id, handed_ts=ts, stream=1), cause=seq)

    def _built(self, spec: AppSpec) -> App:
        try:
            return build(spec)
        except OperatingError:
            raise
        except Exception as error:
            raise AppRaised(spec.name, 0, error) from error

    def _step(self) -> None:
        try:
            while self.group.read(self.reader) is not None:
                pass
        except OperatingError:
            raise
        except Exception as error:
            slot = raised_in(self.group, error)
            if slot is None:
                raise
            raise AppRaised(slot.name, self.group.seq + 1, error) from error
