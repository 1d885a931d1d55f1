"""What a day came to, as plain data: exact decimals for money, microseconds for latency, counts for the rest."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from apps.valuation import Unvalued, div_half_away, terms_of, value
from journal.messages import (
    AccountDefined,
    CurrencyDefined,
    DurabilityPolicy,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    NewOrder,
    OrderCancelReject,
    Position,
    Reject,
    RiskDecision,
    SendRefused,
    SessionEnd,
    SessionMode,
    SessionStart,
    StrategyDefined,
    VenueFill,
    enums,
)
from journal.segment import segment_files
from replay.audit.definitions import Definitions
from replay.audit.latency import all_hops
from replay.audit.render import decimal_of, time_text
from replay.audit.stream import Array, Stream
from replay.report.series import mids, own_trades

_PLACES = Decimal("1e-8")


class HopLatency(msgspec.Struct):
    """One hop of an event's way, in microseconds."""

    name: str
    count: int
    p50_us: float
    p99_us: float
    max_us: float


class PositionSummary(msgspec.Struct):
    """One strategy in one instrument. Money in `currency`; `total` = realized + unrealized - fees + funding."""

    strategy: str
    account: str
    instrument: str
    qty: Decimal
    avg_px: Decimal | None
    mid: Decimal | None
    realized: Decimal
    unrealized: Decimal | None
    """None where no price is known."""
    fees: Decimal
    funding: Decimal
    total: Decimal
    currency: str
    fills: int


class OrderCounts(msgspec.Struct):
    """Orders and what became of them."""

    new: int
    by_status: dict[str, int]
    replaced: int
    fills: int
    venue_fills: int
    risk_rejects: int
    rejects: dict[str, int]
    """Every refusal by who refused and why: `venue POST_ONLY_WOULD_TAKE`."""

    @property
    def rejected(self) -> int:
        """All refusals together."""
        return sum(self.rejects.values())


class SessionInfo(msgspec.Struct):
    """The run as its own frames tell it; the last one where a journal holds several."""

    runs: int
    mode: str
    durability: str
    name: str
    version: str
    host: str
    stream_id: int
    started: str
    ended: str
    duration_s: float
    epoch: int
    clean_end: bool


class JournalInfo(msgspec.Struct):
    """The files."""

    path: str
    first_seq: int
    last_seq: int
    frames: int
    frame_bytes: int
    segments: int
    disk_bytes: int


class Summary(msgspec.Struct):
    """All of it; `msgspec.json.encode` makes it JSON, decimals as text."""

    session: SessionInfo
    journal: JournalInfo
    frames: dict[str, int]
    orders: OrderCounts
    positions: list[PositionSummary]
    total: dict[str, Decimal]
    """P&L by currency."""
    latency: list[HopLatency]


def summarize(path: Path | str | Stream) -> Summary:
    """Read a journal once and say what it came to."""
    stream = path if isinstance(path, Stream) else Stream(path)
    definitions = Definitions(stream)
    positions = _positions(stream, definitions)
    total: dict[str, Decimal] = {}
    for p in positions:
        total[p.currency] = total.get(p.currency, Decimal(0)) + p.total
    return Summary(
        session=_session(stream),
        journal=_journal(stream),
        frames=stream.counts(),
        orders=_orders(stream),
        positions=positions,
        total=total,
        latency=[_hop(name, took) for name, took in all_hops(stream).items()],
    )


def _hop(name: str, took: Array) -> HopLatency:
    if not len(took):
        return HopLatency(name, 0, 0.0, 0.0, 0.0)
    p50, p99 = np.percentile(took, (50, 99)) / 1e3
    return HopLatency(name, len(took), round(float(p50), 3), round(float(p99), 3), round(float(took.max()) / 1e3, 3))


def _session(stream: Stream) -> SessionInfo:
    starts = list(stream.frames(SessionStart))
    ends = stream.columns(SessionEnd)
    headers = stream.headers
    m: Any = starts[-1].message if starts else SessionStart()
    first, last = (int(headers["ts"][0]), int(headers["ts"][-1])) if len(headers) else (0, 0)
    return SessionInfo(
        runs=len(starts),
        mode=_name(SessionMode, m.mode),
        durability=_name(DurabilityPolicy, m.durability),
        name=m.name,
        version=m.version,
        host=m.host,
        stream_id=m.stream_id,
        started=time_text(first),
        ended=time_text(last),
        duration_s=round((last - first) / 1e9, 3),
        epoch=int(headers["epoch"][-1]) if len(headers) else 0,
        clean_end=bool(len(ends) and starts and ends["seq"][-1] > starts[-1].header.seq),
    )


def _journal(stream: Stream) -> JournalInfo:
    headers = stream.headers
    files = [path for _, path in segment_files(stream.path)]
    return JournalInfo(
        path=str(stream.path),
        first_seq=int(headers["seq"][0]) if len(headers) else 0,
        last_seq=int(headers["seq"][-1]) if len(headers) else 0,
        frames=len(headers),
        frame_bytes=int(headers["length"].sum(dtype="<u8")),
        segments=len(files),
        disk_bytes=sum(f.stat().st_blocks * 512 for f in files),
    )


def _orders(stream: Stream) -> OrderCounts:
    reports = stream.columns(ExecutionReport)
    duplicate = reports["reason"] == enums.Reason.DUPLICATE_ORDER_ID
    # A parent is no order of its own: its children are counted.
    told = reports[~duplicate & (reports["report_flags"] & enums.ReportFlag.PARENT == 0)]
    # The last report of each order says where it stands; an order nobody has reported on is still RECEIVED.
    ids, last = np.unique(told["order_id"][::-1], return_index=True)
    status, n = np.unique(told["ord_status"][::-1][last], return_counts=True)
    by_status = {_name(enums.OrdStatus, s): c for s, c in zip(status.tolist(), n.tolist(), strict=True)}
    asked = np.unique(stream.columns(NewOrder)["order_id"])
    if silent := len(np.setdiff1d(asked, ids)):
        by_status["RECEIVED"] = by_status.get("RECEIVED", 0) + silent
    decisions = stream.columns(RiskDecision)
    return OrderCounts(
        new=len(stream.columns(NewOrder)),
        by_status=dict(sorted(by_status.items(), key=lambda p: -p[1])),
        replaced=int((reports["exec_type"] == ExecType.REPLACED).sum()),
        fills=len(own_trades(stream)),
        venue_fills=len(stream.columns(VenueFill)),
        risk_rejects=int((decisions["decision"] == enums.Decision.REJECT).sum()),
        rejects=_rejects(stream),
    )


def _rejects(stream: Stream) -> dict[str, int]:
    out: dict[str, int] = {}

    def count(reasons: Array, weights: Array | None = None) -> None:
        for reason, n in zip(reasons.tolist(), (weights.tolist() if weights is not None else [1] * len(reasons)), strict=True):
            out_key = f"{_refuser(reason)} {_name(enums.Reason, reason)}"
            out[out_key] = out.get(out_key, 0) + n

    reports = stream.columns(ExecutionReport)
    count(reports["reason"][reports["exec_type"] == ExecType.REJECTED])
    count(stream.columns(OrderCancelReject)["reason"])
    count(stream.columns(SendRefused)["reason"])
    refused = stream.columns(Reject)
    count(refused["reason"], np.maximum(refused["count"], 1))
    return dict(sorted(out.items(), key=lambda p: (-p[1], p[0])))


def _refuser(reason: int) -> str:
    """Who says such a thing: the hundreds of the reason list."""
    return {0: "sequencer", 1: "validation", 2: "risk", 3: "oms", 4: "venue", 5: "operator"}.get(reason // 100, "other")


def _positions(stream: Stream, definitions: Definitions) -> list[PositionSummary]:
    rows = stream.columns(Position)
    trades = own_trades(stream)
    end = stream.to_seq
    last: dict[tuple[int, int, int, int], Any] = {}
    for index, key in enumerate(
        zip(*(rows[n].tolist() for n in ("account", "strategy", "instrument", "position_side")), strict=True)
    ):
        last[key] = index
    currencies = {c.currency: c for _, _, c in definitions.by_kind[CurrencyDefined]}
    prices: dict[int, int | None] = {}
    out: list[PositionSummary] = []
    for (account, strategy, instrument, _), index in sorted(last.items()):
        row = rows[index]
        definition = definitions.by_kind[InstrumentDefined].at(instrument, end)
        currency = currencies.get(int(row["currency"]))
        px_exp, qty_exp = (definition.px_exp, definition.qty_exp) if definition else (0, 0)
        ledger_exp = currency.ledger_exp if currency else 0
        money = {n: _i128(row, n) for n in ("cost", "realized", "fees", "funding")}
        qty = int(row["long_qty"]) - int(row["short_qty"])
        if instrument not in prices:
            series = mids(stream, instrument)
            prices[instrument] = int(series.px2[-1]) if len(series.px2) else None
        unrealized = _unrealized(definition, currencies, prices[instrument], qty, money["cost"])
        total = money["realized"] + (unrealized or 0) - money["fees"] + money["funding"]
        mine = trades[(trades["account"] == account) & (trades["strategy"] == strategy) & (trades["instrument"] == instrument)]
        px2 = prices[instrument]
        out.append(
            PositionSummary(
                strategy=definitions.name(StrategyDefined, strategy, end),
                account=definitions.name(AccountDefined, account, end),
                instrument=definitions.name(InstrumentDefined, instrument, end),
                qty=decimal_of(qty, qty_exp),
                avg_px=_average(definition, money["cost"], qty, ledger_exp),
                mid=decimal_of(px2, px_exp) / 2 if px2 is not None else None,
                realized=decimal_of(money["realized"], ledger_exp),
                unrealized=None if unrealized is None else decimal_of(unrealized, ledger_exp),
                fees=decimal_of(money["fees"], ledger_exp),
                funding=decimal_of(money["funding"], ledger_exp),
                total=decimal_of(total, ledger_exp),
                currency=definitions.name(CurrencyDefined, int(row["currency"]), end),
                fills=len(mine),
            )
        )
    return out


def _unrealized(definition: Any, currencies: dict[int, Any], px2: int | None, qty: int, cost: int) -> int | None:
    """What closing at the last mid would add, in ledger units. The mid is half an integer: valued at both ends, halved."""
    if not qty:
        return 0
    if definition is None or px2 is None:
        return None
    try:
        terms = terms_of(definition, currencies)
        low, high = px2 // 2, px2 - px2 // 2
        both = value(terms, low, qty) + value(terms, high, qty)
    except Unvalued:
        return None
    return div_half_away(both, 2) - cost


def _average(definition: Any, cost: int, qty: int, ledger_exp: int) -> Decimal | None:
    """Average entry price of what is open; of a linear contract, the others' cost is not a price times a quantity."""
    linear = definition is not None and definition.contract in (enums.ContractType.UNDEFINED, enums.ContractType.LINEAR)
    if not qty or not linear:
        return None
    per_unit = (
        decimal_of(cost, ledger_exp)
        / decimal_of(qty, definition.qty_exp)
        / decimal_of(definition.multiplier, definition.multiplier_exp)
    )
    return per_unit.quantize(_PLACES)


def _i128(row: Any, name: str) -> int:
    return (int(row[f"{name}_hi"]) << 64) | int(row[f"{name}_lo"])


def _name(kind: Any, number: int) -> str:
    try:
        return str(kind(number).name)
    except ValueError:
        return str(number)
