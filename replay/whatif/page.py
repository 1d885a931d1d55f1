"""The page of a what-if: both equity curves on one axis, what both runs came to, and every decision that differs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np

from replay.report.html import figure, marked, money_cell, page, table
from replay.whatif.compare import Came, Comparison, Curve, Delta, What
from replay.whatif.decisions import Decision
from replay.whatif.equity import SCRIPT, STYLE, End, axis_of, equity_plot

SHOWN_MAX = 100
_NAMES = ("base", "what if")


def write_page(out: Path, told: Comparison, base: list[Curve], other: list[Curve], config: str) -> None:
    """Write the page: one file, nothing else needed."""
    text = page(
        title=f"what if: {config}",
        heading=f"What if {config}",
        subtitle=f"the inputs of {told.recording}, order latency {told.order_latency_ns / 1e6:g} ms each way · {_first(told)}",
        figures="".join(_figures(told)),
        plots=_plots(told, base, other),
        tables=_tables(told),
        footer=f"base {told.base.journal} · what if {told.other.journal} · both against the simulated venue; "
        f"the base made {told.reproduced:,} of the {told.recorded_decisions:,} recorded decisions",
        style=STYLE,
        scripts=f"<script>\n{SCRIPT}</script>",
    )
    out.write_text(text, encoding="utf-8")


def _plots(told: Comparison, base: list[Curve], other: list[Curve]) -> str:
    """A plot a currency, all on one time axis."""
    ours, theirs = ({c.currency: c for c in curves if len(c.ts)} for curves in (base, other))
    currencies = list(dict.fromkeys([*ours, *theirs]))
    if not currencies:
        return '<section><p class="note">Neither run ever held a position: there is no equity to draw.</p></section>'
    parted = int(np.datetime64(told.first.decision.time, "ns").astype(np.int64)) if told.first is not None else None
    axis = axis_of([*ours.values(), *theirs.values()], parted)
    return "".join(
        equity_plot(number, name, ours.get(name), theirs.get(name), axis, _end(told, name))
        for number, name in enumerate(currencies)
    )


def _end(told: Comparison, currency: str) -> End:
    before, after = (side.pnl.get(currency, Decimal(0)) for side in (told.base, told.other))
    return End(f"{before:,f}", f"{after:,f}", f"{after - before:+,f}")


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
    shown, count = told.deltas[:SHOWN_MAX], len(told.deltas)
    more = f'<p class="note">The first {SHOWN_MAX} of {count:,}; --json has them all.</p>' if count > SHOWN_MAX else ""
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
