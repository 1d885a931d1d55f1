"""The page of a what-if: both equity curves on one axis, what both runs came to, and every decision that differs."""

from __future__ import annotations

import html
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from replay.audit.stream import Array
from replay.report.html import PLOTLY_MISSING, figure, marked, money_cell, page, plotly_code, table
from replay.report.plots import AXIS, Plot, layout_of, numbers, times
from replay.whatif.compare import Came, Comparison, Curve, Delta, What
from replay.whatif.decisions import Decision

SHOWN_MAX = 500
_NAMES = ("base", "what if")


def write_page(out: Path, told: Comparison, base: list[Curve], other: list[Curve], config: str) -> str:
    """Write the page; returns "" or, in a line, what is missing in it."""
    code = plotly_code()
    by_currency = {c.currency: c for c in other}
    currencies = list(dict.fromkeys([*(c.currency for c in base), *by_currency]))
    of_base = {c.currency: c for c in base}
    parted = told.first.decision.time if told.first is not None else ""
    plots = [
        equity_plot(n, name, of_base.get(name), by_currency.get(name), parted)
        for n, name in enumerate(currencies if code else [])
    ]
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


def equity_plot(number: int, currency: str, base: Curve | None, other: Curve | None, parted: str = "") -> Plot:
    """P&L after fees of both runs, and below it how far they are apart. `parted`: when their decisions first differ."""
    # Both at the moments of either, so that what is read at one moment belongs together.
    ts = np.unique(np.concatenate([c.ts for c in (base, other) if c is not None]))
    before, after = _at(base, ts), _at(other, ts)
    shown, apart, unit = times(ts), after - before, html.escape(currency)
    data = [
        _line(shown, values, name, color, f"%{{y:,.2f}} {unit}", width=1.8)
        for name, values, color in ((_NAMES[0], before, "var:mid"), (_NAMES[1], after, "var:accent"))
    ]
    # What was won and what was lost, each an area of its own colour; one of them says the amount.
    for values, color, says in ((np.maximum(apart, 0), "var:buy", apart), (np.minimum(apart, 0), "var:sell", None)):
        area = {"yaxis": "y2", "fill": "tozeroy", "showlegend": False}
        told = {"customdata": numbers(says)} if says is not None else {"hoverinfo": "skip"}
        hover = f"%{{customdata:+,.2f}} {unit}" if says is not None else ""
        data.append(_line(shown, values, "difference", color, hover, width=1) | area | told)
    layout = layout_of(
        520,
        hovermode="x unified",
        xaxis={**AXIS, "type": "date", "anchor": "y2", "hoverformat": "%H:%M:%S.%L"},
        yaxis={**AXIS, "domain": [0.36, 1], "title": {"text": f"P&L {unit}"}, "tickformat": ",~f"},
        yaxis2={**AXIS, "domain": [0, 0.28], "title": {"text": "difference"}, "tickformat": ",~f"},
    )
    layout["hoverlabel"] |= {"bgcolor": "var:card", "bordercolor": "var:line"}
    if parted:
        at = parted.rstrip("Z").replace("T", " ")
        layout["shapes"] = [{"type": "line", "xref": "x", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
                             "line": {"color": "var:soft", "width": 1, "dash": "dot"}}]  # fmt: skip
        layout["annotations"] = [{"xref": "x", "x": at, "yref": "paper", "y": 1, "xanchor": "left", "yanchor": "top",
                                  "xshift": 4, "showarrow": False, "text": "decisions part"}]  # fmt: skip
    note = "Realized and unrealized at the mid, after fees, all strategies together. Below, the difference: what if − base."
    return Plot(number, f"Equity in {currency}", note, int(layout["height"]), data, layout)


def _line(ts: Any, values: Array, name: str, color: str, hover: str, *, width: float) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": ts, "y": numbers(values),
        "line": {"color": color, "width": width, "shape": "hv"}, "hovertemplate": f"{hover}<extra>{name}</extra>",
    }  # fmt: skip


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
        ["", "decision", "strategy", "instrument", "side", "time", "#seq", f"~{_NAMES[0]}", f"~{_NAMES[1]}"],
        [
            [marked(d.what, d.what), d.decision.kind, d.decision.strategy, d.decision.instrument, d.decision.side,
             d.decision.time[11:], f"{d.decision.market_seq:,}", *said(d)]
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
