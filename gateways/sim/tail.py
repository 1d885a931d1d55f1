"""The journal's tail as the gateway needs it: first the past into the view, then what is routed, held back until released."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateways.sim.mapping import Listing
from gateways.sim.order_view import OrderView
from journal.messages import (
    HEADER_BYTES,
    REGISTRY,
    AccountDefined,
    CurrencyDefined,
    DestinationDefined,
    DurabilityPolicy,
    EpochStart,
    ExecutionReport,
    Header,
    InstrumentDefined,
    MassQuote,
    NewOrder,
    RiskDecision,
    RoutedCancel,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
    SendRefused,
    SessionStart,
    SourceDefined,
    StreamStatus,
    VenueCancelReject,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
)
from journal.messages.kills_in_force import KINDS as KILL_KINDS
from journal.reader import JournalReader
from sequencer.client import Publisher

REQUESTS = (RoutedOrder, RoutedReplace, RoutedCancel, RoutedQuery, RoutedCancelAll, RoutedDeadMan, RoutedQuote)
WATCHED = (
    SessionStart, EpochStart, CurrencyDefined, VenueDefined, AccountDefined, InstrumentDefined, DestinationDefined,
    NewOrder, RiskDecision, MassQuote, ExecutionReport, SourceDefined, *KILL_KINDS,
)  # fmt: skip
OWN_WORDS = (StreamStatus, SendRefused, VenueOrderUpdate, VenueFill, VenueCancelReject)

Request = RoutedOrder | RoutedReplace | RoutedCancel | RoutedQuery | RoutedCancelAll | RoutedDeadMan | RoutedQuote


class Tail:
    """Reads the journal for one gateway. Until `go_live` every frame is past; after it, requests are handed out one by one."""

    def __init__(
        self, journal: Path, publisher: Publisher, view: OrderView, *, symbols: Sequence[str], policy: DurabilityPolicy
    ) -> None:
        self.view = view
        self._symbols = list(symbols)
        self._policy = policy
        self._reader = JournalReader(journal, kinds=[cls.KIND for cls in (*REQUESTS, *WATCHED, *OWN_WORDS)])
        # Attached already: whatever a former process of ours has said stands at or before this seq.
        self._past_upto = max(self._reader.written_seq, publisher.accepted_seq)
        self._live = False
        self._held: deque[tuple[Request, int, int, int]] = deque()

    def poll(self) -> bool:
        """Take in the next frames; False when there are none."""
        batch = self._reader.poll()
        if batch is None:
            return False
        view = self.view
        for at, kind, source, seq, ts in batch:
            epoch = Header.unpack(batch.buffer, at).epoch
            m = REGISTRY[kind].decode(batch.buffer, at + HEADER_BYTES)
            if not self._live:
                view.apply(m, seq=seq, source=source, epoch=epoch, ts=ts)
            elif isinstance(m, REQUESTS):
                self._held.append((m, seq, ts, epoch))
            elif isinstance(m, WATCHED):
                view.watch(m, seq=seq, epoch=epoch, source=source, ts=ts)
        return True

    @property
    def last_seq(self) -> int:
        """The last frame that was looked at."""
        return self._reader.next_seq - 1

    @property
    def ahead(self) -> bool:
        """Has this process seen frames that the journal does not have any more?"""
        return self.last_seq > self._reader.written_seq

    @property
    def ready(self) -> bool:
        """The past is read, and the stream has defined venue, account, the way to them and the instruments."""
        return self.last_seq >= self._past_upto and self.view.has_destination() and self.listings() != []

    def listings(self) -> list[Listing]:
        """The instruments to follow; empty while one of those named is not defined yet."""
        found = self.view.listings()
        if not self._symbols:
            return found
        named = [x for x in found if x.symbol in self._symbols]
        return named if len(named) == len(set(self._symbols)) else []

    def go_live(self) -> None:
        """From the next frame on, requests are held for `released`."""
        self._live = True

    @property
    def released_seq(self) -> int:
        """The watermark up to which a gateway may act outside: what the policy demands, and nothing once a higher epoch of this
        stream has begun on another machine."""
        return self._reader.released_seq(self._policy)

    def released(self) -> Iterator[tuple[Request, int, int, int]]:
        """Requests that the watermark has passed, in order: (message, seq, ts, epoch). None of a stream that has halted: what
        it wrote last may not be there after its next start."""
        if self._reader.halted:
            return
        while self._held and self._held[0][1] <= self.released_seq:
            yield self._held.popleft()
