"""SQL answers against the same answers computed from the day's tuples, which never were in a journal."""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from journal.messages import (
    NULL,
    NULL_I128,
    CurrencyDefined,
    ExecutionReport,
    InstrumentDefined,
    LogRecord,
    NewOrder,
    OrderSent,
    Position,
    RawMessage,
    Reason,
    RiskDecision,
    RiskLimitSet,
    RoutedOrder,
    TopOfBook,
    TradeSummary,
    VenueOrderUpdate,
    enums,
    order_id_text,
)
from journal.writer import JournalWriter
from replay.audit import Audit, AuditRefused
from tests.replay.desk import LOADER, Desk
from tests.replay.sample_day import EXPONENTS, LEDGER_EXP, NAMES, STRATEGY, Day, write_day

pytest.importorskip("duckdb", reason="audit tests need duckdb: pip install 'lockstep[audit]'")

STRATEGY_NAMES = dict(STRATEGY.values())


@pytest.fixture(scope="module")
def audit(day_path: Path):
    audit = Audit(day_path)
    yield audit
    audit.close()


def px(instrument: int, mantissa: int) -> Decimal:
    return Decimal(mantissa).scaleb(EXPONENTS[instrument][0])


def qty(instrument: int, mantissa: int) -> Decimal:
    return Decimal(mantissa).scaleb(EXPONENTS[instrument][1])


def of(day: Day, kind: type) -> list:
    return [p for p in day.puts if isinstance(p.message, kind)]


def time_of(ts: int) -> str:
    text = f"{datetime.fromtimestamp(ts // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{ts % 10**9:09d}"
    return text.rstrip("0").rstrip(".")


# -- answers ----------------------------------------------------------------------------------------------------------


def test_orders_have_their_last_terms_and_status(day: Day, audit: Audit) -> None:
    expected = {}
    for p in of(day, NewOrder):
        m = p.message
        expected[m.order_id] = [
            order_id_text(m.order_id),
            STRATEGY_NAMES[m.strategy],
            "sim-main",
            NAMES[m.instrument],
            enums.Side(m.side).name,
            "LIMIT",
            "GTC",
            qty(m.instrument, m.order_qty),
            px(m.instrument, m.price_px),
            "RECEIVED",
            Decimal(0),
            qty(m.instrument, m.order_qty),
            None,
            time_of(p.ts),
        ]
    for p in of(day, ExecutionReport):
        m, row = p.message, expected[p.message.order_id]
        row[7], row[8] = qty(m.instrument, m.order_qty), px(m.instrument, m.price_px)
        row[9], row[10] = enums.OrdStatus(m.ord_status).name, qty(m.instrument, m.cum_qty)
        row[11], row[12] = qty(m.instrument, m.leaves_qty), Reason(m.reason).name if m.reason else None
    answer = audit.query(
        "SELECT order_id, strategy, account, instrument, side, type, tif, qty, price, status, cum_qty, leaves_qty, reason, "
        "created FROM orders"
    )
    assert [list(row) for row in answer.rows] == list(expected.values())
    assert {row[9] for row in answer.rows} == {"FILLED", "CANCELED", "REJECTED"}


def test_executions_are_every_report_with_exact_decimals(day: Day, audit: Audit) -> None:
    expected = []
    for p in of(day, ExecutionReport):
        m = p.message
        expected.append(
            (
                p.seq,
                time_of(p.ts),
                order_id_text(m.order_id),
                enums.ExecType(m.exec_type).name,
                qty(m.instrument, m.last_qty) if m.last_qty != NULL else None,
                px(m.instrument, m.last_px) if m.last_px != NULL else None,
                Decimal(m.cum_notional).scaleb(sum(EXPONENTS[m.instrument])),
                Decimal(m.fee).scaleb(m.fee_exp) if m.fee != NULL else None,
                m.venue_trade_ref or None,
                p.cause,
            )
        )
    answer = audit.query(
        "SELECT seq, ts, order_id, exec_type, last_qty, last_px, cum_notional, fee, venue_trade_ref, cause FROM executions"
    )
    assert answer.rows == expected


def test_fills_add_up_to_positions(day: Day, audit: Audit) -> None:
    rows = audit.query(
        "SELECT strategy, instrument, sum(CASE side WHEN 'BUY' THEN qty ELSE -qty END), sum(fee), count(*) "
        "FROM fills GROUP BY ALL ORDER BY 1 DESC"
    ).rows
    assert rows == [
        (
            STRATEGY_NAMES[strategy],
            NAMES[instrument],
            qty(instrument, held.qty),
            Decimal(held.fees).scaleb(LEDGER_EXP),
            sum(p.message.strategy == strategy for p in of(day, Position)),
        )
        for (strategy, instrument), held in sorted(day.holdings.items())
    ]
    positions = audit.query("SELECT strategy, instrument, qty, cost, realized, fees, net, currency FROM positions").rows
    assert positions == [
        (
            STRATEGY_NAMES[strategy],
            NAMES[instrument],
            qty(instrument, held.qty),
            *(Decimal(v).scaleb(LEDGER_EXP) for v in (held.cost, held.realized, held.fees, held.realized - held.fees)),
            "USDT",
        )
        for (strategy, instrument), held in sorted(day.holdings.items())
    ]
    assert len(audit.query("FROM position_history").rows) == len(of(day, Position))


def test_top_of_book_and_trades(day: Day, audit: Audit) -> None:
    tops = audit.query("SELECT seq, instrument, bid_px, bid_qty, ask_px, ask_qty, spread, mid FROM top_of_book").rows
    assert tops == [
        (
            p.seq,
            NAMES[m.instrument],
            px(m.instrument, m.bid_px),
            qty(m.instrument, m.bid_qty),
            px(m.instrument, m.ask_px),
            qty(m.instrument, m.ask_qty),
            px(m.instrument, m.ask_px - m.bid_px),
            px(m.instrument, m.bid_px + m.ask_px) / 2,
        )
        for p in of(day, TopOfBook)
        for m in [p.message]
    ]
    trades = audit.query("SELECT seq, ts, instrument, side, qty, px, trade_ref FROM trades").rows
    assert trades == [
        (
            p.seq,
            time_of(p.ts),
            NAMES[p.message.instrument],
            enums.Side(t.side).name,
            qty(p.message.instrument, t.qty),
            px(p.message.instrument, t.px),
            t.trade_ref,
        )
        for p in of(day, TradeSummary)
        for t in p.message.trades
    ]


def test_levels_count_every_level(day: Day, audit: Audit) -> None:
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for p in day.puts:
        for side, rows in (("BUY", getattr(p.message, "bids", ())), ("SELL", getattr(p.message, "asks", ()))):
            if len(rows):
                expected[("SNAPSHOT" if type(p.message).__name__.endswith("Snapshot") else "UPDATE", side)] += len(rows)
    rows = audit.query("SELECT action, side, count(*) FROM levels GROUP BY ALL").rows
    assert {(a, s): n for a, s, n in rows} == expected
    deleted = audit.query("SELECT count(*) FROM levels WHERE qty = 0").rows
    assert deleted == [(len(of(day, TopOfBook)),)]


def test_risk_checks_have_their_numbers(day: Day, audit: Audit) -> None:
    expected = [
        (
            p.seq,
            order_id_text(p.message.order_id),
            enums.RiskCheck(c.check).name,
            enums.CheckResult(c.result).name,
            Decimal(c.value).scaleb(c.exp),
            Decimal(c.bound).scaleb(c.exp),
        )
        for p in of(day, RiskDecision)
        for c in p.message.checks
    ]
    assert audit.query('SELECT seq, order_id, "check", result, "value", bound FROM risk_checks').rows == expected
    reserved = audit.query("SELECT reserved_notional FROM risk_decisions").rows
    assert reserved == [(Decimal(p.message.reserved_notional).scaleb(LEDGER_EXP),) for p in of(day, RiskDecision)]
    by_kind = audit.query("SELECT request_kind, decision, count(*) FROM risk_decisions GROUP BY ALL").rows
    assert set(by_kind) == {("NewOrder", "PASS", 36), ("NewOrder", "REJECT", 5), ("ReplaceOrder", "PASS", 5)}


def test_the_numbers_of_risk_checks_are_told_as_they_are_read(tmp_path: Path) -> None:
    """Those of some checks are no amounts. A query that does not show them does not leave them out of the next one."""
    desk = Desk(tmp_path / "day")
    desk.put(RiskLimitSet(limit=1, check=enums.RiskCheck.ORDER_NOTIONAL, hard=40, currency=1, scope_type=1), LOADER)
    desk.working()
    desk.new(900)
    desk.close()
    audit = Audit(desk.path)
    try:
        assert audit.query("SELECT count(*) FROM risk_checks WHERE result = 'FAIL'").rows == [(1,)]
        rows = audit.query("SELECT * FROM risk_checks").rows
        said = audit.query('SELECT seq, "check", result, saw, against FROM risk_checks').rows
    finally:
        audit.close()
    assert said == [(row[0], *row[3:7]) for row in rows]
    of = {(seq, check): (result, saw, against) for seq, check, result, saw, against in said}
    first, second = sorted({seq for seq, _ in of})
    assert of[first, "GATE"] == ("PASS", "READY", "READY")
    assert of[first, "PERMISSION"] == ("PASS", "maker", "maker")
    assert of[first, "CLIENT_ID_UNIQUE"] == ("PASS", "8·1", None)
    assert of[first, "PRICE_INCREMENT"] == ("PASS", "49.9", "0.01")
    assert of[first, "KILL_SWITCH"] == ("PASS", None, None)
    assert of[first, "ORDER_RATE"] == ("NOT_APPLICABLE", None, None)
    assert of[second, "ORDER_NOTIONAL"] == ("FAIL", "45", "40")


def test_rejects_name_who_refused(audit: Audit) -> None:
    rows = audit.query("SELECT frame, source, reason, sum(count)::INT FROM rejects GROUP BY ALL ORDER BY ALL").rows
    assert rows == [
        ("ExecutionReport", "oms", "MAX_ORDER_NOTIONAL", 5),
        ("ExecutionReport", "oms", "POST_ONLY_WOULD_TAKE", 5),
        ("OrderCancelReject", "oms", "TOO_LATE", 5),
        ("Reject", "maker1", "KIND_NOT_GRANTED", 4),
        ("VenueCancelReject", "sim", "TOO_LATE_AT_VENUE", 5),
    ]


def test_latency_is_the_difference_of_the_frames_times(day: Day, audit: Audit) -> None:
    at = {p.seq: p.ts for p in day.puts}
    decisions = {p.message.request_seq: p for p in of(day, RiskDecision)}
    routed = {p.message.risk_seq: p for p in of(day, RoutedOrder)}
    sent = {p.message.request_seq: p for p in of(day, OrderSent)}
    acks: dict[int, int] = {}
    for p in of(day, VenueOrderUpdate):
        acks.setdefault(p.message.request_seq, p.ts)
    expected = []
    for p in of(day, NewOrder):
        tick, risk = p.message.book_seq, decisions[p.seq]
        route = routed.get(risk.seq)
        send = sent.get(route.seq) if route else None
        expected.append(
            (
                order_id_text(p.message.order_id),
                p.ts - at[tick],
                risk.ts - p.ts,
                route.ts - risk.ts if route else None,
                send.ts - route.ts if send else None,
                acks[route.seq] - send.ts if send else None,
                send.ts - at[tick] if send else None,
            )
        )
    rows = audit.query("SELECT order_id, decision_ns, risk_ns, route_ns, send_ns, ack_ns, tick_to_send_ns FROM latency").rows
    assert rows == expected


def test_frames_are_the_whole_stream(day: Day, audit: Audit) -> None:
    rows = audit.query("SELECT seq, ts, kind, cause, source_seq FROM frames").rows
    assert rows == [(p.seq, time_of(p.ts), type(p.message).__name__, p.cause, p.source_seq) for p in day.puts]
    sources = audit.query("SELECT source, frames, state FROM sources WHERE role = 'ALGO' ORDER BY source").rows
    assert sources == [(name, sum(p.source == n for p in day.puts), "ATTACHED") for n, name in ((10, "cross1"), (9, "maker1"))]


def test_every_table_can_be_read_whole_and_described(day: Day, audit: Audit) -> None:
    for name in audit.table_names():
        answer = audit.query(f'SELECT * FROM "{name}"')
        assert len(answer.columns) == len(set(answer.columns)), name
        assert len(audit.query(f"DESCRIBE {name}").rows) == len(answer.columns)
    listed = {row[0]: row[2] for row in audit.tables().rows}
    assert listed["new_order"] == len(of(day, NewOrder))
    assert "stream_halted" not in listed  # never occurred
    assert audit.query("show tables").rows == audit.tables().rows


def test_raw_bytes_only_when_asked_for(day_path: Path) -> None:
    audit = Audit(day_path)
    assert audit.query("SELECT sum(data_bytes) > 0 FROM raw_message").rows == [(True,)]
    assert audit.query("SELECT COLUMNS('data.+') FROM raw_message").columns == ["data_bytes"]
    assert "data" in [row[0] for row in audit.query("DESCRIBE raw_message").rows]
    assert audit.query("SELECT DISTINCT decode(data) FROM raw_message").rows == [('{"e":"depthUpdate"}',)]
    audit.close()


def test_other_forms_of_question(audit: Audit) -> None:
    assert audit.query("WITH t AS (SELECT 1 AS a) SELECT a + 1 FROM t -- a remark").rows == [(2,)]
    assert audit.query("FROM fills LIMIT 3").columns[:3] == ["seq", "ts", "order_id"]
    assert audit.query("VALUES (1), (2);").rows == [(1,), (2,)]
    assert audit.query("SUMMARIZE orders").rows
    assert "count_star" in audit.query("EXPLAIN SELECT count(*) FROM fills").rows[0][1]
    assert audit.query("SELECT seq, ts FROM fills ORDER BY ts DESC LIMIT 1").rows[0][1].startswith("2024-08-18 16:53:2")
    cut = audit.query("SELECT seq FROM frames", limit=7)
    assert len(cut.rows) == 7
    assert cut.more
    assert not audit.query("SELECT 1", limit=7).more


# -- wide numbers, redefinitions, growth -------------------------------------------------------------------------------


def test_extremes_survive(tmp_path: Path) -> None:
    """128-bit money, nulls, an instrument redefined in mid-stream, unknown ids and enum values."""
    path = tmp_path / "journal"
    big = 10**30 + 7
    with JournalWriter.open(path, stream_id=1, segment_bytes=1 << 20, nonce=1) as writer:
        ts = iter(range(1_724_000_000_000_000_000, 1_724_000_000_000_001_000))
        writer.append(CurrencyDefined(currency=1, ledger_exp=-5, name="USD"), ts=next(ts))
        writer.append(InstrumentDefined(instrument=5, px_exp=-1, qty_exp=-8, quote_currency=1, name="OLD"), ts=next(ts))
        writer.append(TopOfBook(instrument=5, bid_px=-123, bid_qty=1), ts=next(ts))
        writer.append(InstrumentDefined(instrument=5, px_exp=2, qty_exp=0, quote_currency=1, name="NEW"), ts=next(ts))
        writer.append(TopOfBook(instrument=5, bid_px=2**62, bid_qty=1, ask_px=0), ts=next(ts))
        writer.append(TopOfBook(instrument=6, bid_px=9), ts=next(ts))
        writer.append(Position(cost=-big, realized=big, currency=1, instrument=5), ts=next(ts))
        writer.append(
            ExecutionReport(order_id=1, side=99, reason=60_000, exec_inst=1 << 30, cum_notional=NULL_I128), ts=next(ts)
        )
        writer.append(LogRecord(text="a 'quoted' ünicode; DROP TABLE x"), ts=next(ts))
        audit = Audit(path)
        tops = audit.query("SELECT instrument, bid_px, ask_px FROM top_of_book").rows
        assert tops == [
            ("OLD", Decimal("-12.3"), None),
            ("NEW", Decimal(2**62 * 100), Decimal(0)),
            ("#6", Decimal(9), None),
        ]
        assert audit.query("SELECT cost, realized FROM positions").rows == [
            (Decimal("-10000000000000000000000000.00007"), Decimal("10000000000000000000000000.00007"))
        ]
        report = audit.query("SELECT side, reason, exec_inst, cum_notional, text FROM execution_report").rows
        assert report == [("99", "60000", "0x40000000", None, None)]
        assert audit.query("SELECT text FROM log_record").rows == [("a 'quoted' ünicode; DROP TABLE x",)]
        # A live journal goes on growing: an open audit answers for the moment it was opened.
        writer.append(TopOfBook(instrument=5), ts=next(ts))
        assert audit.query("SELECT max(seq) FROM frames").rows == [(9,)]
        assert len(Audit(path).query("FROM top_of_book").rows) == 4


def test_a_journal_of_many_segments(day: Day, tmp_path: Path) -> None:
    longer = Day(3)
    longer.open()
    longer.trade(3_000)
    path = write_day(longer, tmp_path / "journal")
    assert len(list(path.glob("*.seg"))) > 2
    audit = Audit(path)
    assert audit.query("SELECT count(*), min(seq), max(seq) FROM frames").rows == [(len(longer.puts), 1, len(longer.puts))]
    texts = audit.query("SELECT trade_ref FROM trades").rows
    assert texts == [(t.trade_ref,) for p in of(longer, TradeSummary) for t in p.message.trades]
    refs = audit.query("SELECT client_ref FROM venue_order_update").rows
    assert refs == [(p.message.client_ref,) for p in of(longer, VenueOrderUpdate)]
    assert audit.query("SELECT sum(data_bytes) FROM raw_message").rows == [
        (sum(len(p.message.data) for p in of(longer, RawMessage)),)
    ]


# -- hostile SQL ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_parquet('https://example.invalid/x.parquet')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT getenv('HOME')",
    "COPY (SELECT 1) TO '/tmp/lockstep-hostile'",
    "COPY orders TO '/tmp/lockstep-hostile'",
    "EXPORT DATABASE '/tmp/lockstep-hostile'",
    "ATTACH '/tmp/lockstep-hostile.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "PRAGMA database_list",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW orders AS SELECT 1",
    "CREATE MACRO f(x) AS x",
    "DROP VIEW orders",
    "INSERT INTO orders VALUES (1)",
    "WITH d AS (INSERT INTO orders VALUES (1) RETURNING *) SELECT * FROM d",
    "DELETE FROM _new_order",
    "UPDATE orders SET qty = 0",
    "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/lockstep-hostile'",
    "EXPLAIN (ANALYZE) CREATE TABLE t AS SELECT 1",
    "CALL pragma_version()",
    "PREPARE p AS SELECT 1",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN TRANSACTION",
    "SELECT 1; DROP VIEW orders",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
    "SELECT * FROM sys",
    "SELECT * FROM local_secret",
    "SELECT * FROM duckdb_secrets()",
    "nonsense",
    "SELECT * FROM no_such_table",
    "SELECT no_such_column FROM orders",
    "SELECT 1/",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_sql_gets_one_line(audit: Audit, sql: str) -> None:
    local_secret = {"a": [1]}  # DuckDB would find Python's variables, were it let
    assert local_secret
    with pytest.raises(AuditRefused) as refused:
        audit.query(sql)
    assert "\n" not in str(refused.value)
    assert not list(Path("/tmp").glob("lockstep-hostile*"))
    assert audit.query("SELECT count(*) FROM orders").rows == [(41,)]


def test_refusals_say_what_was_meant(audit: Audit) -> None:
    with pytest.raises(AuditRefused, match=r"^no table order_s; nearest: orders.*'tables' lists them all$"):
        audit.query("SELECT * FROM order_s")
    with pytest.raises(AuditRefused, match=r"^DROP is refused: the journal is read only; expected SELECT"):
        audit.query("DROP TABLE orders")
    with pytest.raises(AuditRefused, match=r"^2 statements; expected one$"):
        audit.query("SELECT 1; SELECT 2")


def test_a_query_without_end_is_stopped(day_path: Path) -> None:
    audit = Audit(day_path, timeout_s=0.5)
    with pytest.raises(AuditRefused, match=r"no answer after 0.5 s"):
        audit.query("SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 11")
    assert audit.query("SELECT 1").rows == [(1,)]


def test_memory_is_bounded(day_path: Path) -> None:
    audit = Audit(day_path)
    with pytest.raises(AuditRefused, match=r"(?i)memory"):
        audit.query("SELECT list(x) FROM (SELECT repeat('x', 1000000) || i AS x FROM range(5000) t(i))")
    assert audit.query("SELECT 1").rows == [(1,)]


def test_without_duckdb_the_remedy_is_named(day_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(AuditRefused, match=r"pip install 'lockstep\[audit\]'"):
        Audit(day_path)
