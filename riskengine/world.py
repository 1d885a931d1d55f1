"""What the engine learns of the world: definitions, limits, kills, gateways, markets."""

from __future__ import annotations

from journal.messages import (
    BookState,
    ConnectionState,
    CurrencyDefined,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    KillRelease,
    KillSwitch,
    MarketStatus,
    RiskLimitSet,
    SourceDefined,
    SourceRole,
    SourceState,
    SourceStateCode,
    StreamStatus,
    TickTable,
    TopOfBook,
)
from riskengine.context import Context
from riskengine.limits import Limit
from riskengine.memory import Instrument, Memory, Seen, Touch

_GONE = (SourceStateCode.DETACHED, SourceStateCode.DEAD, SourceStateCode.QUARANTINED, SourceStateCode.REPLACED)


class World:
    """Handlers that only remember."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.memory = Memory()

    def on_source_defined(self, m: SourceDefined) -> None:
        """Who may do what, and whose book counts."""
        self.memory.roles[m.source] = m.role
        books = self.memory.books_sources
        if m.role == SourceRole.BOOKS and m.source not in books:
            books.append(m.source)
        elif m.role != SourceRole.BOOKS and m.source in books:
            books.remove(m.source)

    def on_currency_defined(self, m: CurrencyDefined) -> None:
        """The exponent amounts are booked with."""
        self.memory.ledger_exp[m.currency] = m.ledger_exp

    def on_instrument_defined(self, m: InstrumentDefined) -> None:
        """From here on the new definition judges."""
        before = self.memory.instruments.get(m.instrument)
        made = self.memory.instruments[m.instrument] = Instrument.of(m, self.ctx.seq)
        if before is not None:
            made.steps = before.steps

    def on_tick_table(self, m: TickTable) -> None:
        """Ticks that depend on the price."""
        instrument = self.memory.instruments.get(m.instrument)
        if instrument is not None:
            instrument.steps = sorted((s.from_px, s.tick_px) for s in m.steps)

    def on_risk_limit_set(self, m: RiskLimitSet) -> None:
        """A limit, or a new generation of it; an older generation changes nothing."""
        before = self.memory.limits.get(m.limit)
        if before is None or m.generation >= before.generation:
            self.memory.limits[m.limit] = Limit.of(m, self.ctx.seq)
            self.memory.generation = max(self.memory.generation, m.generation)

    def on_kill_switch(self, m: KillSwitch) -> None:
        """Blocks from this frame on."""
        self.memory.kills[m.kill] = (self.ctx.seq, m.encode())

    def on_kill_release(self, m: KillRelease) -> None:
        """The kill of that number is over."""
        self.memory.kills.pop(m.kill, None)

    def on_gateway_status(self, m: GatewayStatus) -> None:
        """READY opens the gate; nothing else does."""
        if m.account:
            self._gate(m.venue, m.account, m.phase)

    def on_stream_status(self, m: StreamStatus) -> None:
        """A trading connection lost shuts the gate until READY is said again."""
        if m.account and m.connection == ConnectionState.DISCONNECTED:
            self._gate(m.venue, m.account, GatewayPhase.DISCONNECTED)

    def on_source_state(self, m: SourceState) -> None:
        """A gateway that died says nothing any more."""
        if m.state in _GONE:
            for seen in self.memory.gates.values():
                if seen.source == m.source:
                    seen.value, seen.seq, seen.ts = GatewayPhase.DISCONNECTED, self.ctx.seq, self.ctx.now

    def _gate(self, venue: int, account: int, phase: int) -> None:
        self.memory.gates[f"{venue}/{account}"] = Seen(phase, self.ctx.seq, self.ctx.now, self.ctx.source)

    def on_market_status(self, m: MarketStatus) -> None:
        """Trading phase of an instrument."""
        self.memory.markets[m.instrument] = Seen(m.trading_status, self.ctx.seq, self.ctx.now, self.ctx.source)

    def _counts(self) -> bool:
        """Whether the frame's publisher is one whose word on books counts."""
        return not self.memory.books_sources or self.ctx.source in self.memory.books_sources

    def on_top_of_book(self, m: TopOfBook) -> None:
        """The touch, as the books app has it; as a gateway has it where nobody keeps books."""
        if self._counts():
            self.memory.touches[m.instrument] = Touch(m.bid_px, m.ask_px, self.ctx.seq, self.ctx.now)

    def on_book_state(self, m: BookState) -> None:
        """Whether a book can be traded on."""
        if self._counts():
            self.memory.books[m.instrument] = Seen(m.state, self.ctx.seq, self.ctx.now, self.ctx.source)
