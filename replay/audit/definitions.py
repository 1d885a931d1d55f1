"""Names and exponents: what the definition frames of a journal say of an id, at a seq.

A definition holds from its seq on, so a lookup takes the seq of the frame that mentions the id. A row older than the first
definition of its id gets that first one: better a name than a number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from journal.messages import (
    AccountDefined,
    CurrencyDefined,
    InstrumentDefined,
    Message,
    SourceDefined,
    StrategyDefined,
    UserDefined,
    VenueDefined,
)
from replay.audit.stream import Array, Stream

ID_FIELD: dict[type[Message], str] = {
    CurrencyDefined: "currency",
    VenueDefined: "venue",
    AccountDefined: "account",
    UserDefined: "user",
    StrategyDefined: "strategy",
    InstrumentDefined: "instrument",
    SourceDefined: "source",
}


class Dated:
    """The definitions of one kind: by id, each from its seq on."""

    def __init__(self, rows: list[tuple[int, int, Any]]) -> None:
        self.rows: list[tuple[int, int, Any]] = []
        for row in sorted(rows, key=lambda r: r[:2]):
            # A restart publishes the same definitions again; only a change starts a new row.
            if not self.rows or self.rows[-1][0] != row[0] or self.rows[-1][2] != row[2]:
                self.rows.append(row)
        self._ids, self._first = np.unique(np.array([r[0] for r in self.rows], "<u8"), return_index=True)
        self._end = np.append(self._first[1:], len(self.rows))
        self._seqs = np.array([r[1] for r in self.rows], "<u8")

    def __iter__(self) -> Any:
        return iter(self.rows)

    def index(self, ids: Array, seqs: Array) -> Array:
        """Index into `rows` of the definition that holds; -1 where the id was never defined."""
        if not len(self.rows):
            return np.full(len(ids), -1)
        wanted = ids.astype("<u8")
        which = np.searchsorted(self._ids, wanted).clip(0, len(self._ids) - 1)
        known = self._ids[which] == wanted
        out = np.where(known, self._first[which], -1)
        for one in np.flatnonzero(self._end - self._first > 1):
            mine = known & (which == one)
            held = self._seqs[self._first[one] : self._end[one]]
            later = np.searchsorted(held, seqs[mine].astype("<u8"), "right") - 1
            out[mine] = self._first[one] + later.clip(0)
        return out

    def at(self, number: int, seq: int) -> Any | None:
        """The definition of one id that holds at a seq."""
        index = int(self.index(np.array([number], "<u8"), np.array([seq], "<u8"))[0])
        return None if index < 0 else self.rows[index][2]


class Definitions:
    """All definitions of a journal. Scalar lookups for printing, whole-column lookups for tables."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        found: dict[type[Message], list[tuple[int, int, Any]]] = {cls: [] for cls in ID_FIELD}
        for frame in stream.frames(*ID_FIELD):
            message = frame.message
            if message is None:
                continue
            kind = type(message)
            found[kind].append((getattr(message, ID_FIELD[kind]), frame.header.seq, message))
        self.by_kind = {cls: Dated(rows) for cls, rows in found.items()}

    def name(self, cls: type[Message], number: int, seq: int) -> str:
        """The name of an id, `#17` when it was never defined, "" for none."""
        definition = self.by_kind[cls].at(number, seq)
        if definition is not None:
            return str(definition.name)
        if cls is SourceDefined and number == 0:
            return "sequencer"
        return f"#{number}" if number else ""

    def names(self, cls: type[Message], ids: Array, seqs: Array) -> Array:
        """Names of a column of ids, as an object array; None for id 0."""
        dated = self.by_kind[cls]
        texts = np.array([str(row[2].name) for row in dated] + [None], object)
        index = dated.index(ids, seqs)
        out: Array = texts[index]
        for unknown in np.unique(ids[index < 0]).tolist():
            fill = "sequencer" if cls is SourceDefined and unknown == 0 else f"#{unknown}" if unknown else None
            out[(ids == unknown) & (index < 0)] = fill
        return out

    def exponents(self, ids: Array, seqs: Array, of: Callable[[Any], int], cls: type[Message] = InstrumentDefined) -> Array:
        """An exponent of each row's instrument (or currency); 0 where it was never defined."""
        dated = self.by_kind[cls]
        values = np.array([of(row[2]) for row in dated] + [0], "<i2")
        return values[dated.index(ids, seqs)]

    def ledger_exponent(self, instrument: Any) -> int:
        """The exponent of the risk engine's amounts: the ledger's of the instrument's quote currency."""
        currency = self.by_kind[CurrencyDefined].at(instrument.quote_currency, self._stream.to_seq)
        return int(currency.ledger_exp) if currency is not None else 0

    @cached_property
    def _order_instruments(self) -> tuple[Array, Array]:
        from journal.messages import ExecutionReport, NewOrder

        orders, reports = self._stream.columns(NewOrder), self._stream.columns(ExecutionReport)
        ids = np.concatenate([orders["order_id"], reports["order_id"]])
        instruments = np.concatenate([orders["instrument"], reports["instrument"]])
        unique, first = np.unique(ids, return_index=True)
        return unique, instruments[first]

    def instruments_of_orders(self, order_ids: Array) -> Array:
        """The instrument of each order id; 0 where the order is not in the journal."""
        ids, instruments = self._order_instruments
        if not len(ids):
            return np.zeros(len(order_ids), "<u4")
        at = np.searchsorted(ids, order_ids).clip(0, len(ids) - 1)
        return np.where(ids[at] == order_ids, instruments[at], 0)
