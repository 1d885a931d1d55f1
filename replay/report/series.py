"""Time series for the plots: mid price, position, P&L. Floats are allowed here, and only here: these numbers are looked at."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np

from apps.valuation import Unvalued, terms_of
from journal.messages import (
    NULL,
    ContractType,
    CurrencyDefined,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    Position,
    ReportFlag,
    Side,
    TopOfBook,
    order_id_text,
)
from replay.audit.definitions import Definitions
from replay.audit.stream import Array, Stream

POINTS_MAX = 20_000
"""Points of one line in the report; more cannot be seen and makes the page slow."""


class Prices(msgspec.Struct):
    """Mid price of one instrument. `px2` is bid + ask, twice the mid, an integer mantissa."""

    seq: Array
    ts: Array
    px2: Array


class Fills(msgspec.Struct):
    """Our fills in one instrument."""

    ts: Array
    px: Array
    qty: Array
    buy: Array
    order_ids: list[str]
    strategies: list[str]


class Line(msgspec.Struct):
    """Position and P&L of one strategy in one instrument."""

    strategy: str
    instrument: str
    currency: str
    ts: Array
    qty: Array
    realized: Array
    total: Array


def instruments_seen(stream: Stream) -> list[int]:
    """Instruments with our fills first (most fills first), then those that were only quoted."""
    trades = own_trades(stream)
    traded, fills = np.unique(trades["instrument"], return_counts=True)
    by_fills = [i for _, i in sorted(zip((-fills).tolist(), traded.tolist(), strict=True))]
    quoted = np.unique(stream.columns(TopOfBook)["instrument"]).tolist()
    return by_fills + [i for i in quoted if i not in set(by_fills)]


def own_trades(stream: Stream) -> Array:
    """The reports that are fills, without those that only say that a fill was told twice."""
    reports = stream.columns(ExecutionReport)
    mine: Array = reports[
        (reports["exec_type"] == ExecType.TRADE) & (reports["report_flags"] & ReportFlag.DUPLICATE_SUPPRESSED == 0)
    ]
    return mine


def mids(stream: Stream, instrument: int) -> Prices:
    """Mid price at every change of the top of the book; from the public trades where nobody said a top of book."""
    rows = stream.columns(TopOfBook)
    rows = rows[(rows["instrument"] == instrument) & (rows["bid_px"] != NULL) & (rows["ask_px"] != NULL)]
    if len(rows):
        # The venue's own and the derived top of book are the same news twice; the one with more rows is kept.
        sources, counts = np.unique(rows["source"], return_counts=True)
        rows = rows[rows["source"] == sources[np.argmax(counts)]]
        return Prices(rows["seq"], rows["ts"], rows["bid_px"] + rows["ask_px"])
    from journal.messages import TradeSummary

    parents = stream.columns(TradeSummary)
    found = stream.group(TradeSummary, "trades")
    own = parents["instrument"][found.parent] == instrument
    at = found.parent[own]
    return Prices(parents["seq"][at], parents["ts"][at], found.entries["px"][own] * 2)


def fills(stream: Stream, definitions: Definitions, instrument: int) -> Fills:
    """Our fills in an instrument, with what the hover shows."""
    from journal.messages import StrategyDefined

    rows = own_trades(stream)
    rows = rows[rows["instrument"] == instrument]
    px_exp, qty_exp = _exponents(definitions, instrument)
    names = definitions.names(StrategyDefined, rows["strategy"], rows["seq"])
    return Fills(
        rows["ts"],
        rows["last_px"] * 10.0**px_exp,
        rows["last_qty"] * 10.0**qty_exp,
        rows["side"] == Side.BUY,
        [order_id_text(i) for i in rows["order_id"].tolist()],
        [str(n or "") for n in names.tolist()],
    )


def lines(stream: Stream, definitions: Definitions) -> list[Line]:
    """One line a strategy and instrument, at every Position frame and at a thinned set of mid prices between them."""
    from journal.messages import StrategyDefined

    rows = stream.columns(Position)
    out: list[Line] = []
    keys = sorted(
        {(a, s, i) for a, s, i in zip(*(rows[n].tolist() for n in ("account", "strategy", "instrument")), strict=True)}
    )
    for account, strategy, instrument in keys:
        mine = rows[(rows["account"] == account) & (rows["strategy"] == strategy) & (rows["instrument"] == instrument)]
        definition = definitions.by_kind[InstrumentDefined].at(instrument, stream.to_seq)
        currency = definitions.by_kind[CurrencyDefined].at(int(mine["currency"][-1]), stream.to_seq)
        if definition is None or currency is None:
            continue
        prices = mids(stream, instrument)
        keep = thinned(prices.px2, POINTS_MAX // 4)
        ts = np.union1d(mine["ts"], prices.ts[keep])
        held = np.searchsorted(mine["ts"], ts, "right") - 1
        priced = np.searchsorted(prices.ts, ts, "right") - 1
        unit = 10.0**currency.ledger_exp
        money = {n: np.where(held >= 0, _i128(mine, n)[held] * unit, 0.0) for n in ("cost", "realized", "fees", "funding")}
        qty = np.where(held >= 0, (mine["long_qty"] - mine["short_qty"])[held], 0)
        worth = _worth(definition, {currency.currency: currency}, qty, np.where(priced >= 0, prices.px2[priced], 0)) * unit
        unrealized = np.where((qty != 0) & (priced >= 0), worth - money["cost"], 0.0)
        out.append(
            Line(
                definitions.name(StrategyDefined, strategy, stream.to_seq),
                definition.name,
                currency.name,
                ts,
                qty * 10.0**definition.qty_exp,
                money["realized"],
                money["realized"] + unrealized - money["fees"] + money["funding"],
            )
        )
    return out


def thinned(values: Array, points: int) -> Array:
    """Indices of at most `points` values that keep the look: first, last, and each stretch's lowest and highest."""
    n = len(values)
    if n <= points:
        return np.arange(n)
    stretches = (points - 2) // 2
    edges = np.linspace(0, n, stretches + 1).astype(np.int64)
    low = [a + int(np.argmin(values[a:b])) for a, b in itertools.pairwise(edges.tolist())]
    high = [a + int(np.argmax(values[a:b])) for a, b in itertools.pairwise(edges.tolist())]
    return np.unique(np.array([0, *low, *high, n - 1]))


def _worth(definition: Any, currencies: dict[int, Any], qty: Array, px2: Array) -> Array:
    """Value of quantities at the mids, in ledger units; the rule of apps.valuation, in floats."""
    try:
        terms = terms_of(definition, currencies)
    except Unvalued:
        return np.zeros(len(qty))
    if definition.contract == ContractType.INVERSE:
        return np.divide(-qty * float(terms.up), px2 / 2 * float(terms.down), out=np.zeros(len(qty)), where=px2 > 0)
    out: Array = px2 / 2 * qty * (terms.up / terms.down)
    return out


def _i128(rows: Array, name: str) -> Array:
    # The low half with a sign: 2**64 less a small amount is no double.
    low = rows[f"{name}_lo"].astype("<i8")
    out: Array = (rows[f"{name}_hi"] + (low < 0)) * 2.0**64 + low
    return out


def _exponents(definitions: Definitions, instrument: int) -> tuple[int, int]:
    definition = definitions.by_kind[InstrumentDefined].at(instrument, 1 << 62)
    return (definition.px_exp, definition.qty_exp) if definition else (0, 0)
