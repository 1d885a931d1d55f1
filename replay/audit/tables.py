"""SQL over a journal: DuckDB on arrays gathered from the frames, read only, and closed to everything outside them.

A query's words are compared with the names of the tables, and only those that occur are loaded, with what they need: a
question about orders in a journal of a hundred million quotes reads the order frames.

The SQL comes from outside. The connection has no file system, no network, no extensions, no Python variables, a locked
configuration, a cap on memory and on time, and runs in a read-only transaction; only questions are accepted at all.
"""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from journal.errors import JournalError
from journal.messages import REGISTRY, RiskDecision, SourceDefined, order_id_text
from replay.audit.check_table import COLUMNS as CHECK_NUMBERS
from replay.audit.check_table import add_numbers
from replay.audit.curated import BUILT, CURATED
from replay.audit.definitions import Definitions
from replay.audit.latency import order_hops
from replay.audit.raw import Table, flags_sql, group_table, raw_table, table_names
from replay.audit.stream import Array, Stream

MEMORY_LIMIT = "2GB"
TIMEOUT_S = 120.0
_CONTAINED = (
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    f"SET memory_limit = '{MEMORY_LIMIT}'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_WORD = re.compile(r"\w+")
_SHOW_TABLES = re.compile(r"\s*(show\s+(all\s+)?tables|pragma\s+show_tables(_expanded)?)\s*;?\s*", re.IGNORECASE)
_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\b", re.IGNORECASE)
_NOT_WRAPPED = re.compile(r"\s*(explain|describe|desc|show|summarize)\b", re.IGNORECASE)
_QUESTIONS = "SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN or PRAGMA show_tables"


class AuditRefused(JournalError):
    """A query that is not answered, and why, in one line."""


class Answer(msgspec.Struct):
    """Rows of a query; `more` when a limit cut them."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]
    more: bool = False


def open_duckdb() -> Any:
    """The duckdb module, or one line with the remedy."""
    try:
        import duckdb
    except ImportError:
        raise AuditRefused("SQL needs DuckDB, which is not installed here; remedy: pip install 'lockstep[audit]'") from None
    return duckdb


class Audit:
    """SQL over one journal. Cheap to make; tables load when a query mentions them."""

    def __init__(self, path: Path | str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._duckdb = open_duckdb()
        self.stream = Stream(path)
        self.definitions = Definitions(self.stream)
        self.timeout_s = timeout_s
        # A kind whose own name is that of a curated table gives it up: it is `top_of_book_raw`.
        self._raw = {f"{n}_raw" if n in CURATED else n: v for n, v in table_names().items()}
        self._loaded: set[str] = set()
        self._db = self._duckdb.connect(":memory:")
        for setting in _CONTAINED:
            self._db.execute(setting)

    def close(self) -> None:
        self._db.close()

    def table_names(self) -> list[str]:
        """Every table one may ask for: the curated first."""
        return [*CURATED, *BUILT, *sorted(self._raw)]

    def tables(self) -> Answer:
        """What there is: each table with its rows and what it is for. Kinds that never occur are left out."""
        counts = self.stream.counts()
        rows: list[tuple[Any, ...]] = [(name, "curated", None, c.about) for name, c in CURATED.items()]
        rows += [(name, "curated", None, about) for name, about in BUILT.items()]
        for name, (cls, group) in sorted(self._raw.items()):
            if counts.get(cls.__name__):
                about = f"rows of {cls.__name__}.{group}" if group else _first_line(cls.__doc__)
                rows.append((name, "raw", None if group else counts[cls.__name__], about))
        return Answer(["table", "layer", "frames", "about"], ["VARCHAR", "VARCHAR", "BIGINT", "VARCHAR"], rows)

    def query(self, sql: str, *, limit: int | None = None) -> Answer:
        """Answer one question. AuditRefused for anything else, for SQL that is wrong, and past the time limit."""
        if _SHOW_TABLES.fullmatch(sql):
            return self.tables()
        text = self._admit(sql)
        try:
            for name in self._mentioned(sql):
                self._load(name, sql)
            return self._answer(text, limit)
        except self._duckdb.InterruptException:
            raise AuditRefused(f"no answer after {self.timeout_s:g} s; ask for less, or raise --timeout") from None
        except self._duckdb.CatalogException as error:
            raise AuditRefused(self._no_such(str(error))) from None
        except self._duckdb.Error as error:
            raise AuditRefused(_one_line(str(error))) from None

    def _no_such(self, message: str) -> str:
        """DuckDB suggests its own catalogue; what was meant is one of our tables."""
        missing = re.match(r"Catalog Error: Table with name (\S+) does not exist", message)
        if missing is None:
            return _one_line(message)
        near = difflib.get_close_matches(missing[1].lower(), self.table_names(), n=3, cutoff=0.5)
        return f"no table {missing[1]}; " + (f"nearest: {', '.join(near)}; " if near else "") + "'tables' lists them all"

    # -- admission ----------------------------------------------------------------------------------------------------

    def _admit(self, sql: str) -> str:
        """The text of the one question in `sql`."""
        # Parsing touches no data, but DuckDB resolves some statements as it parses them; either way it is refused here.
        try:
            statements = self._db.extract_statements(sql)
        except self._duckdb.Error as error:
            raise AuditRefused(_one_line(str(error))) from None
        if len(statements) != 1:
            raise AuditRefused(f"{len(statements)} statements; expected one")
        kind = self._duckdb.StatementType
        found = statements[0].type
        text = str(statements[0].query).strip().rstrip(";")
        if found == kind.EXPLAIN:
            inner = _EXPLAIN.sub("", text, count=1)
            if inner == text or not inner.strip():
                raise AuditRefused("EXPLAIN with options is not offered here; use EXPLAIN or EXPLAIN ANALYZE")
            self._admit(inner)
            return text
        if found == kind.MULTI:
            raise AuditRefused("PIVOT needs to create a type here; write it with IN (...), or with FILTER")
        if found != kind.SELECT:
            raise AuditRefused(f"{found.name} is refused: the journal is read only; expected {_QUESTIONS}")
        return text

    def _mentioned(self, sql: str) -> list[str]:
        words = {w.lower() for w in _WORD.findall(sql)}
        return [name for name in self.table_names() if name in words]

    # -- loading ------------------------------------------------------------------------------------------------------

    def _load(self, name: str, sql: str) -> bool:
        """Make the table ready for a query. True: for every later one too."""
        if name in self._loaded:
            return True
        if name in CURATED:
            needs = [self._load(need, sql) for need in CURATED[name].needs]
            keep = all(needs)
            self._db.execute(f'CREATE OR REPLACE VIEW "{name}" AS {CURATED[name].sql}')
        else:
            table, keep = self._built(name, sql)
            self._db.register(f"_{name}", table.arrays)
            self._db.execute(f'CREATE OR REPLACE VIEW "{name}" AS {table.view_sql(f"_{name}")}')
        if keep:
            self._loaded.add(name)
        return keep

    def _built(self, name: str, sql: str) -> tuple[Table, bool]:
        """The arrays of a table, and whether they serve every later query too."""
        if name == "frames":
            return self._frames(), True
        if name == "latency":
            return self._latency(), True
        cls, group = self._raw[name]
        if group:
            table = group_table(self.stream, self.definitions, cls, group)
            if cls is not RiskDecision:
                return table, True
            told = bool(_shown(sql, CHECK_NUMBERS))
            add_numbers(table, self.stream, self.definitions, told=told)
            return table, told
        # Raw venue messages are most of a journal's bytes: gathered only for a query that can show them.
        blobs = {f.name for f in cls.LAYOUT.fields if f.wire == "blob"}
        wanted = _shown(sql, blobs)
        return raw_table(self.stream, self.definitions, cls, wanted.__contains__), wanted == blobs

    def _frames(self) -> Table:
        headers = self.stream.headers
        kinds = np.unique(headers["kind"])
        names = np.array([REGISTRY[k].__name__ if k in REGISTRY else f"kind {k}" for k in kinds.tolist()], object)
        table = Table("frames", {n: headers[n] for n in headers.dtype.names or ()}, [])
        table.arrays["kind_name"] = names[np.searchsorted(kinds, headers["kind"])] if len(kinds) else np.empty(0, object)
        table.arrays["source_name"] = self.definitions.names(SourceDefined, headers["source"], headers["seq"])
        plain = ("cause", "source_seq", "length", "epoch", "incarnation", "version", "crc32c")
        table.select = [
            ("seq", "seq"),
            ("ts", "make_timestamp_ns(ts)"),
            ("kind", "kind_name"),
            ("source", "source_name"),
            *((name, name) for name in plain),
            ("origin_ts", "make_timestamp_ns(nullif(origin_ts, 0))"),
            ("flags", flags_sql("flags")),
            ("kind_no", "kind"),
            ("source_no", "source"),
        ]
        return table

    def _latency(self) -> Table:
        hops = order_hops(self.stream)
        table = Table("latency", {}, [])
        ids: Array = np.empty(len(hops.seq), object)
        ids[:] = [order_id_text(i) for i in hops.order_id.tolist()]
        for name, values in (("order_id", ids), ("seq", hops.seq), ("tick_seq", hops.tick_seq)):
            table.arrays[name] = values
            table.select.append((name, f'"{name}"'))
        for name, first, last in (
            ("decision_ns", "tick_ts", "new_ts"), ("risk_ns", "new_ts", "risk_ts"), ("route_ns", "risk_ts", "routed_ts"),
            ("send_ns", "routed_ts", "sent_ts"), ("ack_ns", "sent_ts", "ack_ts"), ("tick_to_send_ns", "tick_ts", "sent_ts"),
        ):  # fmt: skip
            took, both = hops.between(first, last)
            table.arrays[name], table.arrays[f"{name}_known"] = took, both
            table.select.append((name, f'CASE WHEN "{name}_known" THEN "{name}" END'))
        return table

    # -- answering ----------------------------------------------------------------------------------------------------

    def _answer(self, text: str, limit: int | None) -> Answer:
        timer = threading.Timer(self.timeout_s, self._db.interrupt)
        timer.daemon = True
        timer.start()
        self._db.execute("BEGIN TRANSACTION READ ONLY")
        try:
            exact, shown = self._exact(text)
            result = self._db.execute(exact)
            described = [(str(d[0]), str(d[1])) for d in result.description]
            rows = result.fetchall() if limit is None else result.fetchmany(limit + 1)
        finally:
            timer.cancel()
            self._db.execute("ROLLBACK")
        names, types = zip(*(shown or described), strict=True)
        more = limit is not None and len(rows) > limit
        return Answer(list(names), list(types), rows[:limit] if more else rows, more)

    def _exact(self, text: str) -> tuple[str, list[tuple[str, str]]]:
        """The query with its nanosecond times as text (Python's datetime ends at microseconds and would cut them), and the
        names and types of its columns; nothing to show for a query that stays as it is."""
        if _NOT_WRAPPED.match(text):
            return text, []
        described = [(str(row[0]), str(row[1])) for row in self._db.execute(f"DESCRIBE ({text}\n)").fetchall()]
        if not any("TIMESTAMP_NS" in t for _, t in described):
            return text, []
        items = ", ".join(f"c{i}::VARCHAR" if "TIMESTAMP_NS" in t else f"c{i}" for i, (_, t) in enumerate(described))
        names = ", ".join(f"c{i}" for i in range(len(described)))
        return f"SELECT {items} FROM ({text}\n) AS t({names})", described


def rows_as_dicts(answer: Answer) -> Iterator[dict[str, Any]]:
    """Rows by column name; the second column of one name is `name_2`."""
    seen: dict[str, int] = {}
    names: list[str] = []
    for name in answer.columns:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    for row in answer.rows:
        yield dict(zip(names, row, strict=True))


def _shown(sql: str, columns: Iterable[str]) -> set[str]:
    """Those of the columns that a query can show."""
    words = {w.lower() for w in _WORD.findall(sql)}
    shown_all = "select" not in words or "*" in sql.replace("count(*)", "")
    return {c for c in columns if c in words or shown_all}


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]


def _one_line(message: str) -> str:
    """DuckDB's message without its picture of the query."""
    first = message.split("\n\nLINE ")[0]
    return " ".join(first.split())
