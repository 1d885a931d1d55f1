"""One table a message kind, derived from its declaration: nothing here knows a kind by name.

A table is a set of arrays (strided views of the gathered frames, no copy) and one SQL expression a column, which makes of
the wire's integers what people read: prices and amounts as exact decimals, times as TIMESTAMP_NS, enumerations and ids as
names. Only the columns a query uses are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import Any

import msgspec
import numpy as np

from journal.messages import (
    NULL,
    REGISTRY,
    AccountDefined,
    CurrencyDefined,
    Flag,
    InstrumentDefined,
    Message,
    SourceDefined,
    StrategyDefined,
    UserDefined,
    VenueDefined,
    enums,
)
from journal.messages.derive import snake
from journal.messages.dtypes import HEADER_DTYPE
from journal.messages.schema import Field
from replay.audit.definitions import Definitions
from replay.audit.render import RATE_EXP
from replay.audit.stream import Array, Stream

_NAMED: dict[type[Message], tuple[str, ...]] = {
    InstrumentDefined: ("instrument", "underlying", "scope_instrument", "scope_underlying"),
    AccountDefined: ("account", "parent_account", "default_account", "scope_account"),
    StrategyDefined: ("strategy", "scope_strategy"),
    UserDefined: ("user", "owner_user", "scope_user"),
    VenueDefined: ("venue", "scope_venue"),
    CurrencyDefined: (
        "currency", "base_currency", "quote_currency", "settlement_currency", "margin_currency", "commission_currency",
        "strike_currency", "fee_currency",
    ),
    SourceDefined: ("source", "app", "gateway", "owner", "for_source", "scope_source"),
}  # fmt: skip
_NAMED_BY = {field: cls for cls, fields in _NAMED.items() for field in fields}
_ORDER_IDS = ("order_id", "parent_order_id", "scope_order_id")
_KINDS = ("request_kind", "refused_kind")
# Sums of px × qty: mantissas with both exponents of the instrument.
_NOTIONAL = ("cum_notional", "min_notional", "max_notional")
# In the ledger exponent of the instrument's quote currency, and of the row's own currency.
_RESERVED = "reserved_notional"
_LEDGER = ("cost", "realized", "fees", "funding")
_WITH_EXP = ("value", "bound", "warn", "hard")
_FLAGS_MAX = 1 << len(Flag)


class Table(msgspec.Struct):
    """What DuckDB is given for one table: arrays by column, and the SELECT list that makes them readable."""

    name: str
    arrays: dict[str, Array]
    select: list[tuple[str, str]]

    def plain(self, name: str, values: Array, expression: str = "", *, blob: bool = False) -> None:
        """Add a column as it stands, or through an expression of it."""
        self.arrays[name] = values
        if not expression:
            # Without the cast a column of Nones alone has the type NULL, and text functions refuse it.
            kind = "::BLOB" if blob else "::VARCHAR" if values.dtype == object else ""
            expression = f'"{name}"{kind}'
        self.select.append((name, expression))

    def view_sql(self, source: str) -> str:
        """The view's body over the arrays registered as `source`."""
        items = ",\n  ".join(f'{expression} AS "{name}"' for name, expression in self.select)
        return f'SELECT\n  {items}\nFROM "{source}"'


def table_names() -> dict[str, tuple[type[Message], str]]:
    """Raw table name → (kind, group or ""), for every declared kind."""
    out: dict[str, tuple[type[Message], str]] = {}
    for cls in REGISTRY.values():
        out[snake(cls.__name__)] = (cls, "")
        for f in cls.LAYOUT.fields:
            if f.wire == "group":
                out[f"{snake(cls.__name__)}_{f.name}"] = (cls, f.name)
    return out


def raw_table(stream: Stream, definitions: Definitions, cls: type[Message], wanted: Callable[[str], bool]) -> Table:
    """All scalar fields and texts of a kind, behind the telling header fields. Byte strings only if `wanted`."""
    rows = stream.columns(cls)
    build = _Builder(snake(cls.__name__), definitions, rows, rows["seq"])
    build.header({f.name for f in cls.LAYOUT.fields})
    build.instruments(rows, cls)
    texts = tuple(f.name for f in cls.LAYOUT.fields if f.wire == "text")
    blobs = tuple(f.name for f in cls.LAYOUT.fields if f.wire == "blob" and wanted(f.name))
    variable = stream.variable(cls, texts, blobs)
    for f in cls.LAYOUT.fields:
        build.field(f, variable)
    return build.table


def group_table(stream: Stream, definitions: Definitions, cls: type[Message], group: str) -> Table:
    """The rows of a group of a kind, each with its frame's seq, time and subject."""
    parents = stream.columns(cls)
    found = stream.group(cls, group)
    seqs = parents["seq"][found.parent]
    build = _Builder(f"{snake(cls.__name__)}_{group}", definitions, found.entries, seqs)
    build.plain("seq", seqs)
    build.time("ts", parents["ts"][found.parent])
    build.plain("row", found.row)
    entry = next(f.entry for f in cls.LAYOUT.fields if f.name == group)
    assert entry is not None
    own = {f.name for f in entry.LAYOUT.fields}
    for f in cls.LAYOUT.fields:
        if f.name in ("instrument", "order_id", "exchange_ts") and f.name not in own:
            build.rows = {f.name: parents[f.name][found.parent]}
            build.field(f, {})
    build.instruments(
        {n: parents[n][found.parent] for n in ("instrument", "order_id") if n in (parents.dtype.names or ())}, cls
    )
    build.rows = found.entries
    for f in entry.LAYOUT.fields:
        build.field(f, found.texts)
    return build.table


class _Builder:
    """Collects a table's columns field by field."""

    def __init__(self, name: str, definitions: Definitions, rows: Any, seqs: Array) -> None:
        self.table = Table(name, {}, [])
        self.rows = rows
        self._definitions = definitions
        self._seqs = seqs
        self._px_exp: Array | int = 0
        self._qty_exp: Array | int = 0
        self._money_exp: Array | int = 0
        self._header = frozenset[str]()

    # -- columns ------------------------------------------------------------------------------------------------------

    def plain(self, name: str, values: Array, expression: str = "", *, blob: bool = False) -> None:
        """A column as it stands, or through an expression of it."""
        self.table.plain(name, values, expression, blob=blob)

    def time(self, name: str, values: Array) -> None:
        self.plain(name, values, f'make_timestamp_ns(nullif("{name}", 0))')

    def header(self, own: set[str]) -> None:
        """The header fields people ask for. A body field of the same name keeps it: then it is `header_source`."""
        rows = self.rows
        self.plain("seq", rows["seq"])
        self.time("ts", rows["ts"])
        source = "header_source" if "source" in own else "source"
        self.plain(source, self._definitions.names(SourceDefined, rows["source"], rows["seq"]))
        self.plain("cause", rows["cause"])
        self.time("origin_ts", rows["origin_ts"])
        self.plain("source_seq", rows["source_seq"])
        self.plain("flags", rows["flags"], flags_sql("flags"))
        self._header = frozenset(("seq", "ts", "cause", "origin_ts", "source_seq", "flags"))

    def instruments(self, rows: Any, cls: type[Message]) -> None:
        """Find the exponents of each row's prices and quantities: its instrument's, or its order's instrument's."""
        names = rows if isinstance(rows, dict) else (rows.dtype.names or ())
        if cls is InstrumentDefined:
            self._px_exp, self._qty_exp = rows["px_exp"].astype("<i2"), rows["qty_exp"].astype("<i2")
            return
        if "instrument" in names:
            ids = rows["instrument"]
        elif "order_id" in names:
            ids = self._definitions.instruments_of_orders(rows["order_id"])
        else:
            return
        self._px_exp = self._definitions.exponents(ids, self._seqs, lambda d: int(d.px_exp))
        self._qty_exp = self._definitions.exponents(ids, self._seqs, lambda d: int(d.qty_exp))
        self._money_exp = self._definitions.exponents(ids, self._seqs, self._definitions.ledger_exponent)

    def field(self, f: Field, variable: dict[str, Array]) -> None:
        """One declared field, by its type, its unit or its name."""
        name = f"body_{f.name}" if f.name in self._header else f.name
        if f.wire == "scalar":
            self._scalar(f, name)
        elif f.wire == "digest":
            raw = np.ascontiguousarray(self._values(f.name)).tobytes()
            self.plain(name, _objects([raw[i : i + 32].hex() for i in range(0, len(raw), 32)]))
        elif f.wire == "group":
            self.plain(f"{name}_count", self.rows[f"{f.name}_count"])
        elif f.wire == "blob":
            self.plain(f"{name}_bytes", self.rows[f"{f.name}_len"])
            if f.name in variable:
                self.plain(name, variable[f.name], blob=True)
        elif f.name in variable:
            self.plain(name, variable[f.name], f"nullif(\"{name}\"::VARCHAR, '')")

    def _scalar(self, f: Field, name: str) -> None:
        assert f.scalar is not None
        if f.bytes == 16:
            self._wide(f, name)
            return
        values = self._values(f.name)
        unit = f.scalar.unit
        if f.enum:
            self._enum(f, name, values)
        elif f.name in _NAMED_BY:
            self.plain(name, self._definitions.names(_NAMED_BY[f.name], values, self._seqs))
            self.plain(f"{name}_no", values)
        elif f.name in _ORDER_IDS:
            self.plain(name, values, order_sql(name))
            self.table.select.append((f"{name.removesuffix('_id')}_no", f'"{name}"'))
        elif f.name in _KINDS:
            self.plain(name, _objects([REGISTRY[k].__name__ if k in REGISTRY else str(k) for k in values.tolist()]))
        elif unit == "px":
            self._decimal(name, values, self._px_exp)
        elif unit == "qty":
            self._decimal(name, values, self._qty_exp)
        elif unit == "rate":
            self._decimal(name, values, RATE_EXP)
        elif unit == "ns":
            self.time(name, values)
        elif (exponent := self._own_exponent(f.name)) is not None:
            self._decimal(name, values, exponent)
        elif f.default == NULL:
            self.plain(name, values, f'nullif("{name}", {NULL})')
        elif not f.name.startswith("scope_zero"):
            self.plain(name, values)

    def _values(self, name: str) -> Array:
        """A body field's array: in a gathered frame it is `body_version` where the header has a `version` too."""
        clash = f"body_{name}"
        names = self.rows if isinstance(self.rows, dict) else (self.rows.dtype.names or ())
        values: Array = self.rows[clash if clash in names and name in (HEADER_DTYPE.names or ()) else name]
        return values

    def _own_exponent(self, name: str) -> Array | None:
        """The exponent that a field carries beside it (`fee`, `fee_exp`), if it does."""
        names = self.rows if isinstance(self.rows, dict) else (self.rows.dtype.names or ())
        if name.endswith("_exp"):
            return None
        sibling = "exp" if name in _WITH_EXP else f"{name}_exp"
        return self.rows[sibling].astype("<i2") if sibling in names else None

    def _wide(self, f: Field, name: str) -> None:
        low, high = f"{name}_lo", f"{name}_hi"
        self.table.arrays[low], self.table.arrays[high] = self.rows[f"{f.name}_lo"], self.rows[f"{f.name}_hi"]
        exps: Array | int = 0
        if f.name in _NOTIONAL:
            exps = self._px_exp + self._qty_exp
        elif f.name == _RESERVED:
            exps = self._money_exp
        elif f.name in _LEDGER and "currency" in self.rows.dtype.names:
            exps = self._definitions.exponents(self.rows["currency"], self._seqs, lambda d: int(d.ledger_exp), CurrencyDefined)
        # -2**127 is "not given"; as a HUGEINT it is the least value, as a DECIMAL(38) it would not fit.
        value = (
            f'(CASE WHEN "{high}" = {NULL} AND "{low}" = 0 THEN NULL '
            f'ELSE "{high}"::HUGEINT * 18446744073709551616 + "{low}"::HUGEINT END)'
        )
        self._scaled(name, f"{value}::DECIMAL(38,0)", exps)

    def _decimal(self, name: str, values: Array, exps: Array | int) -> None:
        self.table.arrays[name] = values
        self._scaled(name, f'nullif("{name}", {NULL})::DECIMAL(19,0)', exps)

    def _scaled(self, name: str, mantissa: str, exps: Array | int) -> None:
        """mantissa × 10^exp as DECIMAL(38, n), exact: n is what the smallest exponent of the column needs."""
        distinct = [exps] if isinstance(exps, int) else np.unique(exps).tolist() or [0]
        scale = max(0, -min(distinct))
        width = min(38, scale + max(0, *distinct) + 1)
        if len(distinct) == 1:
            factor = _power(distinct[0], width, scale)
        else:
            assert not isinstance(exps, int)
            self.table.arrays[f"{name}__exp"] = exps
            cases = " ".join(f"WHEN {e} THEN {_power(e, width, scale)}" for e in distinct)
            factor = f'CASE "{name}__exp" {cases} END'
        self.table.select.append((name, f"{mantissa} * {factor}" if scale or max(distinct) else mantissa))

    def _enum(self, f: Field, name: str, values: Array) -> None:
        kind: Any = getattr(enums, f.enum)
        if issubclass(kind, IntFlag):
            distinct, index = np.unique(values, return_inverse=True)
            texts = np.array([*(_bits(kind, v) for v in distinct.tolist()), None], object)
            self.plain(name, texts[index])
            return
        self.plain(name, values, enum_sql(name, {int(m): m.name for m in kind}))


def _bits(kind: Any, value: int) -> str | None:
    names = [m.name for m in kind if value & m]
    rest = value & ~sum(int(m) for m in kind)
    return "|".join([*names, *([hex(rest)] if rest else [])]) or None


def enum_sql(column: str, names: dict[int, str]) -> str:
    """A number's name; NULL for 0, the number itself where this build has no name for it."""
    listed = ", ".join("NULL" if not v or v not in names else f"'{names[v]}'" for v in range(max(names) + 1))
    return f'coalesce([{listed}][("{column}")::INTEGER + 1], nullif("{column}", 0)::VARCHAR)'


def flags_sql(column: str) -> str:
    """Names of the header flags."""
    listed = ", ".join(f"'{_bits(Flag, v)}'" if v else "NULL" for v in range(_FLAGS_MAX))
    return f'coalesce([{listed}]["{column}"::INTEGER + 1], nullif("{column}", 0)::VARCHAR)'


def order_sql(column: str) -> str:
    """How people read an order id; the same text as `order_id_text`."""
    return f'CASE WHEN "{column}" = 0 THEN NULL ELSE ("{column}" >> 48) || \'·\' || ("{column}" & {(1 << 48) - 1}) END'


def _power(exponent: int, width: int, scale: int) -> str:
    digits = "1" + "0" * exponent if exponent >= 0 else "0." + "0" * (-exponent - 1) + "1"
    return f"CAST('{digits}' AS DECIMAL({width},{scale}))"


def _objects(values: list[Any]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out
