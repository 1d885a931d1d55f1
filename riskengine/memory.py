"""All state of the risk engine, in one structure with canonical bytes: equal states give equal bytes."""

from __future__ import annotations

import msgspec

from journal.messages import NULL, InstrumentDefined
from riskengine.exposure import Book
from riskengine.ids import Ranges
from riskengine.limits import Limit

_encode = msgspec.msgpack.Encoder().encode


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

    @classmethod
    def of(cls, m: InstrumentDefined, seq: int) -> Instrument:
        """The definition of a frame."""
        return cls(
            m.instrument, seq, m.venue, m.instrument_status, m.instrument_type, m.contract, m.quote_currency, m.underlying,
            m.px_exp, m.qty_exp, m.multiplier if m.multiplier not in (NULL, 0) else 1, m.multiplier_exp, m.tick_px,
            m.lot_qty, m.min_qty, m.max_qty, m.market_max_qty, m.post_only_max_qty, m.min_px, m.max_px, m.max_orders,
            m.expiry_ts,
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


class Touch(msgspec.Struct, array_like=True):
    """Best bid and ask of an instrument."""

    bid_px: int
    ask_px: int
    seq: int
    ts: int


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

    def encode(self) -> bytes:
        """Canonical bytes."""
        return _encode(self)


decode = msgspec.msgpack.Decoder(Memory).decode
