"""The tables one asks for most, as SQL over the raw ones: `lockstep audit PATH tables` lists them with their columns.

Quantities and prices keep the vocabulary's names (cum_qty, leaves_qty, avg_px); `avg_px` alone is rounded (8 digits), it is a
quotient. Each entry names the raw tables it needs, which are loaded when a query mentions it.
"""

from __future__ import annotations

import msgspec


class Curated(msgspec.Struct, frozen=True):
    """A view: what it is for, what it reads, how."""

    about: str
    needs: tuple[str, ...]
    sql: str


_AVG = "CASE WHEN {r}.cum_qty > 0 THEN ({r}.cum_notional::DOUBLE / {r}.cum_qty::DOUBLE)::DECIMAL(38,8) END"

CURATED: dict[str, Curated] = {
    "orders": Curated(
        "one row an order: its terms, where it stands, why it ended",
        ("new_order", "execution_report"),
        f"""
WITH asked AS (
  SELECT * FROM new_order QUALIFY row_number() OVER (PARTITION BY order_no ORDER BY seq) = 1
), told AS (
  SELECT order_no, max(seq) AS seq, count(*) AS reports, count(*) FILTER (WHERE exec_type = 'TRADE') AS fills,
    max_by(venue_order_ref, seq) FILTER (WHERE venue_order_ref IS NOT NULL) AS venue_order_ref
  FROM execution_report
  WHERE reason IS DISTINCT FROM 'DUPLICATE_ORDER_ID'
  GROUP BY order_no
)
SELECT
  coalesce(n.order_id, r.order_id) AS order_id,
  coalesce(n.strategy, r.strategy) AS strategy,
  coalesce(n.account, r.account) AS account,
  coalesce(n.instrument, r.instrument) AS instrument,
  coalesce(n.side, r.side) AS side,
  coalesce(n.ord_type, r.ord_type) AS type,
  coalesce(n.tif, r.tif) AS tif,
  coalesce(n.exec_inst, r.exec_inst) AS exec_inst,
  coalesce(r.order_qty, n.order_qty) AS qty,
  coalesce(r.price_px, n.price_px) AS price,
  coalesce(r.ord_status, 'RECEIVED') AS status,
  coalesce(r.cum_qty, 0) AS cum_qty,
  coalesce(r.leaves_qty, n.order_qty) AS leaves_qty,
  {_AVG.format(r="r")} AS avg_px,
  r.reason AS reason,
  n.ts AS created,
  r.ts AS updated,
  coalesce(t.fills, 0) AS fills,
  coalesce(t.reports, 0) AS reports,
  r.version AS version,
  n.cl_ord_ref AS cl_ord_ref,
  t.venue_order_ref AS venue_order_ref,
  n.seq AS created_seq,
  r.seq AS updated_seq,
  coalesce(n.order_no, r.order_no) AS order_no
FROM asked n FULL JOIN told t ON t.order_no = n.order_no
LEFT JOIN execution_report r ON r.seq = t.seq
ORDER BY coalesce(n.seq, r.seq)""",
    ),
    "executions": Curated(
        "every ExecutionReport: what became of orders, step by step",
        ("execution_report",),
        f"""
SELECT r.seq, r.ts, r.order_id, r.strategy, r.account, r.instrument, r.side, r.exec_type, r.ord_status AS status,
  r.order_qty AS qty, r.price_px AS price, r.last_qty, r.last_px, r.cum_qty, r.leaves_qty, r.cxl_qty,
  {_AVG.format(r="r")} AS avg_px, r.cum_notional, r.liquidity, r.fee, r.fee_currency, r.reason, r.report_flags,
  r.version, r.venue_order_ref, r.venue_trade_ref, r.text, r.exchange_ts, r.venue_frame_seq, r.cause, r.source, r.order_no
FROM execution_report r""",
    ),
    "fills": Curated(
        "our fills: the executions of type TRADE",
        ("execution_report",),
        """
SELECT seq, ts, order_id, strategy, account, instrument, side, last_qty AS qty, last_px AS px, last_qty * last_px AS notional,
  liquidity, fee, fee_currency, cum_qty, leaves_qty, ord_status AS status, report_flags, venue_trade_ref, exchange_ts,
  venue_frame_seq, cause, order_no
FROM execution_report WHERE exec_type = 'TRADE'""",
    ),
    "trades": Curated(
        "public trades, one row a print; side is the taker's",
        ("trade_summary_trades",),
        """
SELECT seq, ts, instrument, side, qty, px, trade_no, trade_ref, conditions, trade_ts, exchange_ts
FROM trade_summary_trades""",
    ),
    "top_of_book": Curated(
        "best bid and ask",
        ("top_of_book_raw",),
        """
SELECT seq, ts, instrument, bid_qty, bid_px, ask_px, ask_qty, ask_px - bid_px AS spread, (bid_px + ask_px) * 0.5 AS mid,
  exchange_ts, exchange_seq, source
FROM top_of_book_raw""",
    ),
    "levels": Curated(
        "market by price, one row a level; in an update qty 0 deletes the level; not in order: sort by seq",
        (
            "market_by_price_snapshot_bids",
            "market_by_price_snapshot_asks",
            "market_by_price_update_bids",
            "market_by_price_update_asks",
        ),
        """
SELECT seq, ts, instrument, 'SNAPSHOT' AS action, 'BUY' AS side, row, px, qty FROM market_by_price_snapshot_bids
UNION ALL SELECT seq, ts, instrument, 'SNAPSHOT', 'SELL', row, px, qty FROM market_by_price_snapshot_asks
UNION ALL SELECT seq, ts, instrument, 'UPDATE', 'BUY', row, px, qty FROM market_by_price_update_bids
UNION ALL SELECT seq, ts, instrument, 'UPDATE', 'SELL', row, px, qty FROM market_by_price_update_asks""",
    ),
    "position_history": Curated(
        "every Position frame; net = realized - fees + funding, open positions not valued",
        ("position",),
        """
SELECT seq, ts, strategy, account, instrument, long_qty - short_qty AS qty, cost, realized, fees, funding,
  realized - fees + funding AS net, currency, last_fill_seq, cause
FROM position""",
    ),
    "positions": Curated(
        "where each strategy stands at the end: the last of its Position frames an instrument and account",
        ("position",),
        """
SELECT strategy, account, instrument, long_qty - short_qty AS qty, cost, realized, fees, funding,
  realized - fees + funding AS net, currency, ts AS updated, seq AS updated_seq
FROM position
QUALIFY row_number() OVER (PARTITION BY strategy_no, account_no, instrument_no, position_side ORDER BY seq DESC) = 1
ORDER BY strategy_no, account_no, instrument_no""",
    ),
    "risk_decisions": Curated(
        "what the risk engine said to each request",
        ("risk_decision",),
        """
SELECT seq, ts, order_id, request_kind, decision, reason, reserved_qty, reserved_notional, checks_count AS checks,
  rules_generation, request_seq, cause, order_no
FROM risk_decision""",
    ),
    "risk_checks": Curated(
        "each check of each decision, with what it saw and against what: as it is read, and as a number",
        ("risk_decision_checks",),
        """
SELECT seq, ts, order_id, "check", result, saw, against, "value", bound, "limit", input_seq, row, order_no
FROM risk_decision_checks""",
    ),
    "rejects": Curated(
        "everything refused: by the sequencer, risk, the oms, the gateway, the venue",
        ("reject", "execution_report", "order_cancel_reject", "send_refused", "venue_cancel_reject"),
        """
SELECT * FROM (
  SELECT seq, ts, 'Reject' AS frame, for_source AS source, NULL AS order_id, reason, refused_kind AS what, "count", NULL AS text
  FROM reject
  UNION ALL SELECT seq, ts, 'ExecutionReport', source, order_id, reason, 'NewOrder', 1, text
  FROM execution_report WHERE exec_type = 'REJECTED'
  UNION ALL SELECT seq, ts, 'OrderCancelReject', source, order_id, reason, response_to, 1, text FROM order_cancel_reject
  UNION ALL SELECT seq, ts, 'SendRefused', source, order_id, reason, 'RoutedOrder', 1, NULL FROM send_refused
  UNION ALL SELECT seq, ts, 'VenueCancelReject', source, order_id, reason, response_to, 1, text FROM venue_cancel_reject
) ORDER BY seq""",
    ),
    "instruments": Curated(
        "instruments as last defined",
        ("instrument_defined",),
        """
SELECT name AS instrument, venue, instrument_type AS type, instrument_status AS status, contract, tick_px AS tick,
  lot_qty AS lot, min_qty, max_qty, min_notional, multiplier, base_currency AS base, quote_currency AS quote,
  settlement_currency AS settlement, px_exp, qty_exp, instrument_no, seq AS defined_seq
FROM instrument_defined QUALIFY row_number() OVER (PARTITION BY instrument_no ORDER BY seq DESC) = 1
ORDER BY instrument_no""",
    ),
    "sources": Curated(
        "who published: role, how many frames, how the connection stood last",
        ("source_defined", "source_state", "frames"),
        """
WITH state AS (
  SELECT source_no, max_by(state, seq) AS state, max_by(incarnation, seq) AS incarnation FROM source_state GROUP BY source_no
), sent AS (
  SELECT source_no, count(*) AS frames, min(seq) AS first_seq, max(seq) AS last_seq FROM frames GROUP BY source_no
), defined AS (
  SELECT * FROM source_defined QUALIFY row_number() OVER (PARTITION BY source_no ORDER BY seq DESC) = 1
)
SELECT coalesce(d.name, 'sequencer') AS source, d.role, coalesce(s.frames, 0) AS frames, s.first_seq, s.last_seq, t.state,
  t.incarnation, d.uid, coalesce(d.source_no, s.source_no) AS source_no
FROM defined d FULL JOIN sent s ON s.source_no = d.source_no LEFT JOIN state t ON t.source_no = d.source_no
ORDER BY 9""",
    ),
}

BUILT = {
    "frames": "every frame's header: the whole stream, in order",
    "latency": "one row an order: nanoseconds from tick to decision, risk, route, send, answer",
}
"""Tables that are arrays of their own, not views."""
