"""All state of the risk engine, in one structure with canonical bytes: equal states give equal bytes.

What there is one of for each order or instrument is in tables, whose share in the state's digest costs as much as what has
changed. Their order has no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from journal.messages import NULL, NULL_I128, AccountDefined, InstrumentDefined, Position
from journal.messages.capabilities import Offer
from journal.messages.captures import Entries
from journal.messages.ranges import Ranges
from journal.messages.tables import Fixed, Table, Tables, digest_of, only_looked_at
from riskengine.controlled import Control
from riskengine.exposure import Book, Held
from riskengine.family import Families, Parent
from riskengine.limits import Limit
from riskengine.usage import Usage
from riskengine.windows import Part

_encode = msgspec.json.Encoder().encode  # msgpack has no integers of more than 64 bits; sums of money do


class Instrument(msgspec.Struct, array_like=True):
    """What the checks read of InstrumentDefined."""

    instrument: int
    seq: int
    venue: int
    status: int
    instrument_type: int
    contract: int
    quote_currency: int
    underlying: int
    px_exp: int
    qty_exp: int
    multiplier: int
    multiplier_exp: int
    tick_px: int
    lot_qty: int
    min_qty: int
    max_qty: int
    market_max_qty: int
    post_only_max_qty: int
    min_px: int
    max_px: int
    max_orders: int
    expiry_ts: int
    steps: list[tuple[int, int]] = []
    """(from price, tick), ascending; empty: one tick everywhere."""
    base_currency: int = 0
    settlement_currency: int = 0
    quanto_rate: int = NULL
    quanto_rate_exp: int = 0
    initial_rate: int = NULL
    min_notional: int = NULL_I128
    max_notional: int = NULL_I128
    band_up_rate: int = NULL
    band_down_rate: int = NULL

    @classmethod
    def of(cls, m: InstrumentDefined, seq: int) -> Instrument:
        """The definition of a frame."""
        return cls(
            m.instrument, seq, m.venue, m.instrument_status, m.instrument_type, m.contract, m.quote_currency, m.underlying,
            m.px_exp, m.qty_exp, m.multiplier if m.multiplier not in (NULL, 0) else 1, m.multiplier_exp, m.tick_px,
            m.lot_qty, m.min_qty, m.max_qty, m.market_max_qty, m.post_only_max_qty, m.min_px, m.max_px, m.max_orders,
            m.expiry_ts, base_currency=m.base_currency, settlement_currency=m.settlement_currency, quanto_rate=m.quanto_rate,
            quanto_rate_exp=m.quanto_rate_exp, initial_rate=m.initial_rate, min_notional=m.min_notional,
            max_notional=m.max_notional, band_up_rate=m.band_up_rate, band_down_rate=m.band_down_rate,
        )  # fmt: skip

    def tick_at(self, px: int) -> int:
        """The price increment at a price; 1 where none is given."""
        tick = self.tick_px
        for from_px, step in self.steps:
            if px >= from_px:
                tick = step
        return tick if tick not in (NULL, 0) else 1


class Seen(msgspec.Struct, array_like=True):
    """Something last seen: a value, the frame and its time."""

    value: int = 0
    seq: int = 0
    ts: int = 0
    source: int = 0


class Barred(msgspec.Struct, array_like=True):
    """A gate that is not open (Gate)."""

    state: int
    causes: int
    seq: int


class Touch(msgspec.Struct, array_like=True):
    """Best bid and ask of an instrument."""

    bid_px: int
    ask_px: int
    seq: int
    ts: int


class Owner(msgspec.Struct, array_like=True):
    """What the checks read of AccountDefined."""

    account_type: int
    margin_mode: int
    currency: int

    @classmethod
    def of(cls, m: AccountDefined) -> Owner:
        """The definition of a frame."""
        return cls(m.account_type, m.margin_mode, m.currency)


class Price(msgspec.Struct, array_like=True):
    """A mantissa last seen, and the frame it is from: a mark, a conversion rate."""

    value: int
    exp: int
    seq: int


class Funds(msgspec.Struct, array_like=True):
    """A balance as the venue has confirmed it, and what was spent of it since."""

    balance: int
    exp: int
    seq: int
    spent: list[tuple[int, int]] = []
    """(exchange time of the fill or payment, amount with `exp`), oldest first. What comes in counts when it is confirmed."""


class Equity(msgspec.Struct, array_like=True):
    """What a venue says an account is worth (MarginConfirmed)."""

    equity: int
    exp: int
    currency: int
    seq: int


class Tier(msgspec.Struct, array_like=True):
    """From this notional on (quote currency, ledger exponent), these rates."""

    from_notional: int
    initial_rate: int
    max_leverage_rate: int


class Holding(msgspec.Struct, array_like=True):
    """A position and what it has made, as the positions app says (Position)."""

    account: int
    strategy: int
    instrument: int
    currency: int
    qty: int
    cost: int
    made: int
    """Realized, less fees, with funding."""
    realized: int
    seq: int

    @classmethod
    def of(cls, m: Position, seq: int) -> Holding:
        """The position of a frame."""
        return cls(
            m.account, m.strategy, m.instrument, m.currency, m.long_qty - m.short_qty, m.cost,
            m.realized - m.fees + m.funding, m.realized, seq,
        )  # fmt: skip


class Losses(msgspec.Struct, array_like=True):
    """How a limit on losses stands. Amounts with the limit's exponent."""

    recent: list[int] = []
    """Profit at the last inputs, as many as the limit wants confirmed, newest last."""
    base: int = 0
    """Profit when the day began; the highest that was confirmed; not used by streaks."""
    day: int = 0
    input_seq: int = 0
    """The newest input that has counted."""
    streak: int = 0
    last_ts: int = 0
    tripped: int = 0
    """The frame at which it tripped; until then 0."""


class Count(msgspec.Struct, array_like=True):
    """Events that count towards a limit."""

    times: list[int] = []
    """Of the window, ascending."""
    total: int = 0
    tripped: int = 0
    """The frame at which it was too many, where that lasts."""


class Bundle(msgspec.Struct, array_like=True):
    """What the orders of a list need of one currency together. Amounts with `exp`."""

    exp: int
    free: int
    """What was free when the list began."""
    needs: int = 0
    """Of all members that passed, filled or not."""
    orders: list[int] = []
    """Those still open."""


class Memory(msgspec.Struct, array_like=True):
    """The state. Keys of two numbers are written `a/b`."""

    roles: dict[int, int] = {}
    books_sources: list[int] = []
    """Sources of role BOOKS: if there are any, only their word on books counts."""
    instruments: dict[int, Instrument] = {}
    ledger_exp: dict[int, int] = {}
    limits: dict[int, Limit] = {}
    generation: int = 0
    kills: dict[int, tuple[int, bytes]] = {}
    """kill → (frame, body)."""
    gates: dict[str, Seen] = {}
    """venue/account → gateway phase."""
    markets: dict[int, Seen] = {}
    books: dict[int, Seen] = {}
    touches: dict[int, Touch] = {}
    used: dict[int, Ranges] = {}
    """source → its own numbers already used in order ids."""
    sent: dict[int, list[int]] = {}
    """limit → times of the messages that count towards it, ascending."""
    exposure: Book = msgspec.field(default_factory=Book)
    windows: dict[str, list[Part]] = {}
    """limit/instrument → lowest and highest mid, twice, by parts of the window."""
    venues: dict[int, Offer] = {}
    accounts: dict[int, Owner] = {}
    groups: dict[int, list[tuple[int, int]]] = {}
    """group → (ScopeType of the member, its number)."""
    marks: dict[int, Price] = {}
    rates: dict[str, Price] = {}
    """from/to → units of `to` for one of `from`."""
    funds: dict[str, Funds] = {}
    """account/currency."""
    equities: dict[int, Equity] = {}
    tiers: dict[str, list[Tier]] = {}
    """instrument/account, account 0: every; ascending."""
    holdings: dict[str, Holding] = {}
    """account/strategy/instrument."""
    losses: dict[int, Losses] = {}
    """By limit."""
    counts: dict[str, Count] = {}
    """limit, or limit/venue/account."""
    turnovers: dict[int, list[Part]] = {}
    """limit → notional traded, with the limit's exponent, by parts of its period."""
    fingerprints: dict[int, dict[str, list[int]]] = {}
    """limit → terms → when such orders passed; the terms used last stand last."""
    bundles: dict[str, Bundle] = {}
    """list/account/currency."""
    windowed: bool = False
    """Some limit wants the mids of a window: every touch must be seen (apps/kernel/python/touches.c)."""
    control: Control = msgspec.field(default_factory=Control)
    forms: dict[int, bytes] = {}
    """Open order that the OMS may hold → its NewOrder (body)."""

    families: Families = msgspec.field(default_factory=Families)
    usage: Usage = msgspec.field(default_factory=Usage)
    barred: dict[str, Barred] = {}
    """venue/account/instrument (0: all) → a gate that the OMS says is not open."""

    def __post_init__(self) -> None:
        self.instruments, self.forms = Fixed.of(self.instruments), Fixed.of(self.forms)
        self.exposure.orders = Table.of(self.exposure.orders)
        self.families.parents = Table.of(self.families.parents)

    def encode(self) -> bytes:
        """Canonical bytes."""
        return _encode(self)

    def _tables(self) -> Tables:
        families = self.families
        return (
            Table.of(self.exposure.orders), Table.of(families.parents), Fixed.of(self.forms), Fixed.of(families.parent_of),
            families.closed.table, Fixed.of(self.instruments),
        )  # fmt: skip

    def parts(self) -> tuple[bytes, Tables]:
        """Canonical bytes of what there is beside the tables, and these."""
        replace = msgspec.structs.replace
        families = replace(self.families, parents={}, parent_of={}, closed=self.families.closed.bare())
        bare = replace(self, instruments={}, forms={}, exposure=replace(self.exposure, orders={}), families=families)
        return _encode(bare), self._tables()

    def digest(self) -> bytes:
        """One digest over the whole state. O(what there is beside the tables, and what of these has changed since the last)."""
        return digest_of(*self.parts())

    @contextmanager
    def checked(self) -> Iterator[None]:
        """While everything is looked at and nothing changed: assert that the digest, kept up to date, is that of the bytes."""
        assert self.digest() == decode(self.encode()).digest(), "an entry of a table has changed unseen"
        with only_looked_at(self._tables()):
            yield


decode = msgspec.json.Decoder(Memory).decode
_ENTRIES = (
    Entries(int, Held), Entries(int, Parent), Entries(int, bytes), Entries(int, int), Entries(int, tuple[int, int]),
    Entries(int, Instrument),
)  # fmt: skip
"""What stands in each of the tables."""


def assemble(rest: bytes, pieces: Sequence[Sequence[Any]]) -> Memory:
    """A state of its parts: the bytes beside the tables, and of each table the pieces (journal.messages.captures)."""
    memory = decode(rest)
    for table, entries, found in zip(memory._tables(), _ENTRIES, pieces, strict=True):
        entries.fill(table, found)
    return memory
