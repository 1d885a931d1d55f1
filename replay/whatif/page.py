"""The page of a what-if: both equity curves on one axis, what both runs came to, and every decision that differs."""

from __future__ import annotations

import html
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from replay.report.html import PLOTLY_MISSING, figure, money_cell, page, plotly_code, table
from replay.report.plots import AXIS, Plot, layout_of, numbers, times
from replay.whatif.compare import Came, Comparison, Curve, Delta, What
from replay.whatif.decisions import Decision

SHOWN_MAX = 500
_NAMES = ("as recorded", "what if")


def write_page(out: Path, told: Comparison, base: list[Curve], other: list[Curve], config: str) -> str:
    """Write the page; returns "" or, in a line, what is missing in it."""
    code = plotly_code()
    by_currency = {c.currency: c for c in other}
    currencies = list(dict.fromkeys([*(c.currency for c in base), *by_currency]))
    of_base = {c.currency: c for c in base}
    plots = (
        [equity_plot(n, name, of_base.get(name), by_currency.get(name)) for n, name in enumerate(currencies)] if code else []
    )
    text = page(
        title=f"what if: {config}",
        heading=f"What if {config}",
        subtitle=f"the inputs of {told.recording}, order latency {told.order_latency_ns / 1e6:g} ms each way · {_first(told)}",
        figures="".join(_figures(told)),
        plots=plots,
        tables=_tables(told),
        footer=f"base {told.base.journal} · what if {told.other.journal} · both against the simulated venue; "
        f"the base made {told.reproduced:,} of the {told.recorded_decisions:,} recorded decisions",
        code=code,
    )
    out.write_text(text, encoding="utf-8")
    return "" if code else PLOTLY_MISSING


def equity_plot(number: int, currency: str, base: Curve | None, other: Curve | None) -> Plot:
    """P&L after fees of both runs, and below it how far they are apart."""
    shown = [(name, c) for name, c in zip(_NAMES, (base, other), strict=True) if c is not None]
    data: list[Any] = []
    for name, curve in shown:
        color = "var:mid" if name == _NAMES[0] else "var:accent"
        data.append(
            {
                "type": "scatter", "mode": "lines", "name": name, "x": times(curve.ts), "y": numbers(curve.total),
                "line": {"color": color, "width": 1.8, "shape": "hv"},
                "hovertemplate": f"%{{y:,.2f}} {html.escape(currency)}<extra>{name}</extra>",
            }
        )  # fmt: skip
    ts = np.unique(np.concatenate([c.ts for _, c in shown]))
    apart = _at(other, ts) - _at(base, ts)
    data.append(
        {
            "type": "scatter", "mode": "lines", "name": "difference", "x": times(ts), "y": numbers(apart), "yaxis": "y2",
            "line": {"color": "var:buy" if apart[-1] >= 0 else "var:sell", "width": 1.3, "shape": "hv"}, "fill": "tozeroy",
            "hovertemplate": f"%{{y:+,.2f}} {html.escape(currency)}<extra>difference</extra>",
        }
    )  # fmt: skip
    layout = layout_of(
        520,
        xaxis={**AXIS, "type": "date", "anchor": "y2", "hoverformat": "%H:%M:%S.%L"},
        yaxis={**AXIS, "domain": [0.36, 1], "title": {"text": f"P&L {html.escape(currency)}"}, "tickformat": ",~f"},
        yaxis2={**AXIS, "domain": [0, 0.28], "title": {"text": "difference"}, "tickformat": "+,~f"},
    )
    note = "Realized and unrealized at the mid, less fees, all strategies together. Below: what if less as recorded."
    return Plot(number, f"Equity in {currency}", note, int(layout["height"]), data, layout)


def _at(curve: Curve | None, ts: Any) -> Any:
    if curve is None:
        return np.zeros(len(ts))
    held = np.searchsorted(curve.ts, ts, "right") - 1
    return np.where(held >= 0, curve.total[held], 0.0)


def _first(told: Comparison) -> str:
    if told.first is None:
        return "the same decisions"
    return f"decisions part at seq {told.first_seq:,}, {told.first.decision.time[11:]}"


def _figures(told: Comparison) -> list[str]:
    out = []
    for currency in dict.fromkeys([*told.base.pnl, *told.other.pnl]):
        apart = told.other.pnl.get(currency, Decimal(0)) - told.base.pnl.get(currency, Decimal(0))
        out.append(figure(money_cell(apart, currency), "P&L difference"))
    for what in What:
        out.append(figure(f"{told.count(what, 'NewOrder'):,}", f"orders {what}"))
    return out


def _tables(told: Comparison) -> str:
    both = table(["", f"#{_NAMES[0]}", f"#{_NAMES[1]}", "#difference"], [[*row] for row in rows(told)])
    shown = told.deltas[:SHOWN_MAX]
    more = f'<p class="note">The first {SHOWN_MAX:,} of {len(told.deltas):,}.</p>' if len(told.deltas) > SHOWN_MAX else ""
    decisions = table(
        ["", "decision", "strategy", "instrument", "side", "time", "#seq", f"{_NAMES[0]}", f"{_NAMES[1]}"],
        [
            [d.what, d.decision.kind, d.decision.strategy, d.decision.instrument, d.decision.side, d.decision.time[11:],
             f"{d.decision.market_seq:,}", *said(d)]
            for d in shown
        ],
    )  # fmt: skip
    return (
        f"<section><h2>What they came to</h2>{both}</section><section><h2>Decisions that differ</h2>{more}{decisions}</section>"
    )


def said(delta: Delta) -> tuple[str, str]:
    """Both sides of a difference in a few words: all of it where one is missing, else the fields that differ."""
    if delta.fields:
        before, after = zip(*((f"{n} {x or '–'}", f"{n} {y or '–'}") for n, (x, y) in delta.fields.items()), strict=True)
        return ", ".join(before), ", ".join(after)
    return _whole(delta.base), _whole(delta.other)


def _whole(d: Decision | None) -> str:
    return ", ".join(f"{n} {v}" for n, v in (d.terms | d.outcome).items() if v) if d is not None else ""


def rows(told: Comparison) -> list[tuple[str, str, str, str]]:
    """What both runs came to, line by line, with the difference."""
    a, b = told.base, told.other
    out = [_counted(name, getattr(a, name), getattr(b, name)) for name in ("orders", "replaces", "cancels", "fills")]
    for what, unit in (
        ("pnl", "P&L {}"),
        ("fees", "fees {}"),
        ("traded", "traded {}"),
        ("position_max", "greatest position {}"),
    ):
        x, y = getattr(a, what), getattr(b, what)
        for name in dict.fromkeys([*x, *y]):
            before, after = x.get(name, Decimal(0)), y.get(name, Decimal(0))
            out.append((unit.format(name), f"{before:,f}", f"{after:,f}", f"{after - before:+,f}"))
    for currency in dict.fromkeys([*a.drawdown, *b.drawdown]):
        before, after = _fall(a, currency), _fall(b, currency)
        out.append((f"drawdown {currency}", f"{before:,.2f}", f"{after:,.2f}", f"{after - before:+,.2f}"))
    for reason in dict.fromkeys([*a.rejects, *b.rejects]):
        out.append(_counted(f"refused: {reason}", a.rejects.get(reason, 0), b.rejects.get(reason, 0)))
    return out


def _fall(side: Came, currency: str) -> float:
    return side.drawdown.get(currency, 0.0)


def _counted(name: str, before: int, after: int) -> tuple[str, str, str, str]:
    return name, f"{before:,}", f"{after:,}", f"{after - before:+,}" if after != before else "0"
