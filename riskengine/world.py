"""What the engine learns of the world: definitions, limits, gateways, markets."""

from __future__ import annotations

import msgspec

from journal.messages import (
    NULL,
    AccountDefined,
    BookState,
    ConnectionState,
    CurrencyDefined,
    Gate,
    GateState,
    GatewayPhase,
    GatewayStatus,
    GroupDefined,
    InstrumentDefined,
    MarketStatus,
    RateLimitUsage,
    RiskCheck,
    RiskLimitSet,
    SourceDefined,
    SourceRole,
    SourceState,
    SourceStateCode,
    StrategyDefined,
    StreamStatus,
    TickTable,
    TopOfBook,
    VenueDefined,
)
from journal.messages.capabilities import Offer
from riskengine.context import Context
from riskengine.limits import Limit
from riskengine.memory import Barred, Instrument, Memory, Owner, Seen, Touch
from riskengine.view import View
from riskengine.windows import note

GONE = (SourceStateCode.DETACHED, SourceStateCode.DEAD, SourceStateCode.QUARANTINED, SourceStateCode.REPLACED)


class World:
    """Handlers that only remember."""

    __slots__ = ("__dict__", "memory", "view")  # at a place of their own, where the kernel finds them

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.memory = Memory()
        self.view = View(self.memory)

    def on_source_defined(self, m: SourceDefined) -> None:
        """Who may do what, and whose book counts."""
        self.has_role(m.source, m.role)

    def has_role(self, source: int, role: int) -> None:
        """By its definition, or by our parameters: an app lives from its configuration on, and the sources that were defined
        before that, in the first session of a journal, it has not seen."""
        self.memory.roles[source] = role
        books = self.memory.books_sources
        if role == SourceRole.BOOKS and source not in books:
            books.append(source)
        elif role != SourceRole.BOOKS and source in books:
            books.remove(source)

    def on_currency_defined(self, m: CurrencyDefined) -> None:
        """The exponent amounts are booked with."""
        self.memory.ledger_exp[m.currency] = m.ledger_exp

    def on_instrument_defined(self, m: InstrumentDefined) -> None:
        """From here on the new definition judges."""
        before = self.memory.instruments.get(m.instrument)
        made = Instrument.of(m, self.ctx.seq)
        if before is not None:
            made.steps = before.steps
        self.memory.instruments[m.instrument] = made
        if before is None or (before.venue, before.underlying) != (made.venue, made.underlying):
            self.view.reindex()

    def on_tick_table(self, m: TickTable) -> None:
        """Ticks that depend on the price."""
        instrument = self.memory.instruments.get(m.instrument)
        if instrument is not None:
            steps = sorted((s.from_px, s.tick_px) for s in m.steps)
            self.memory.instruments[m.instrument] = msgspec.structs.replace(instrument, steps=steps)

    def on_venue_defined(self, m: VenueDefined) -> None:
        """What it offers; nothing is remembered of one that does not say."""
        offer = Offer.of(m)
        if offer is not None:
            self.memory.venues[m.venue] = offer
        else:
            self.memory.venues.pop(m.venue, None)

    def on_account_defined(self, m: AccountDefined) -> None:
        """What kind of account it is."""
        self.memory.accounts[m.account] = Owner.of(m)

    def on_strategy_defined(self, m: StrategyDefined) -> None:
        """Who works the parents that persons give to a strategy."""
        self.memory.families.apps[m.strategy] = m.app

    def on_group_defined(self, m: GroupDefined) -> None:
        """Whose limits are a desk's, a book's."""
        self.memory.groups[m.group] = sorted((row.member_type, row.member) for row in m.members)
        self.view.reindex()

    def on_risk_limit_set(self, m: RiskLimitSet) -> None:
        """A limit, or a new generation of it; an older generation changes nothing."""
        before = self.memory.limits.get(m.limit)
        if before is None or m.generation >= before.generation:
            self.put_limit(Limit.of(m, self.ctx.seq))

    def put_limit(self, limit: Limit) -> None:
        """In force from here."""
        before = self.memory.limits.get(limit.limit)
        self.memory.limits[limit.limit] = limit
        self.memory.generation = max(self.memory.generation, limit.generation)
        self.view.reindex()
        if before is None or limit.generation > before.generation:
            self.limit_set(limit, before)

    def limit_set(self, limit: Limit, before: Limit | None) -> None:
        """A limit, or a new generation of it, is in force from here."""
        if limit.check == RiskCheck.PRICE_COLLAR_WINDOW:
            self.memory.windowed = any(not f.off for f in self.view.limits.of(limit.check))
            for key in [k for k in self.memory.windows if before is not None and k.partition("/")[0] == str(limit.limit)]:
                del self.memory.windows[key]  # its period may be another

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
        if m.state in GONE:
            for seen in self.memory.gates.values():
                if seen.source == m.source:
                    seen.value, seen.seq, seen.ts = GatewayPhase.DISCONNECTED, self.ctx.seq, self.ctx.now

    def _gate(self, venue: int, account: int, phase: int) -> None:
        self.memory.gates[f"{venue}/{account}"] = Seen(phase, self.ctx.seq, self.ctx.now, self.ctx.source)

    def on_gate(self, m: Gate) -> None:
        """The OMS lets nothing pass, or lets it pass again."""
        key = f"{m.venue}/{m.account}/{m.instrument}"
        self.memory.barred.pop(key, None)
        if m.state != GateState.OPEN:
            self.memory.barred[key] = Barred(m.state, m.causes, self.ctx.seq)

    def on_rate_limit_usage(self, m: RateLimitUsage) -> None:
        """What a venue counts."""
        self.memory.usage.tell(m, self.ctx.seq, self.ctx.now)

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
            if self.memory.windowed and NULL not in (m.bid_px, m.ask_px):
                self._note_mid(m.instrument, m.bid_px + m.ask_px)

    def _note_mid(self, instrument: int, mid2: int) -> None:
        """Where the market was, for the limits that look back."""
        for limit in self.view.limits.of(RiskCheck.PRICE_COLLAR_WINDOW):
            if not limit.off and limit.scope.scope_instrument in (0, instrument):
                parts = self.memory.windows.setdefault(f"{limit.limit}/{instrument}", [])
                note(parts, self.ctx.now, limit.period_ns, mid2)

    def on_book_state(self, m: BookState) -> None:
        """Whether a book can be traded on."""
        if self._counts():
            self.memory.books[m.instrument] = Seen(m.state, self.ctx.seq, self.ctx.now, self.ctx.source)
