"""`report.html`: the day to look at, in one file that needs no network: data, styles and Plotly's own code are inside.

Without Plotly (extra `report`) the page has everything but the plots, and says what to install.
"""

from __future__ import annotations

import html
import json
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

from replay.audit.definitions import Definitions
from replay.audit.stream import Stream
from replay.report.plots import Plot, all_plots
from replay.report.screen import duration, micros, modes, position_cells, size
from replay.report.summary import Summary, summarize

PLOTLY_MISSING = "The plots need Plotly, which is not installed here; remedy: pip install 'lockstep[report]'"
_PAGE = Path(__file__).with_name("page.tmpl")
_DRAW = Path(__file__).with_name("plotly.js")


def write_report(journal: Path | str, out: Path | str, summary: Summary | None = None) -> str:
    """Write the report of a journal; returns "" or, in a line, what is missing in it."""
    stream = Stream(journal)
    code = _plotly_code()
    plots = all_plots(stream, Definitions(stream)) if code else []
    page = render(summary or summarize(stream), plots, code)
    Path(out).write_text(page, encoding="utf-8")
    return "" if code else PLOTLY_MISSING


def render(summary: Summary, plots: list[Plot], code: str) -> str:
    """The page as text."""
    s = summary.session
    version = [f"lockstep {s.version}"] if s.version else []
    subtitle = " · ".join((*modes(summary), f"{s.started[:19]} UTC", duration(s.duration_s), *version))
    runs = f" · {s.runs} runs" if s.runs > 1 else ""
    drawn = "".join(_plot_section(p) for p in plots) if code else f'<section><p class="note">{PLOTLY_MISSING}</p></section>'
    return page(
        title=f"{s.name or 'lockstep'} {s.started[:10]}",
        heading=s.name or "lockstep session",
        subtitle=subtitle + runs,
        figures="".join(_figures(summary)),
        plots=drawn,
        tables=_tables(summary),
        footer=_footer(summary),
        scripts=_scripts(plots, code) if code else "",
    )


def page(
    *,
    title: str,
    heading: str,
    subtitle: str,
    figures: str,
    plots: str,
    tables: str,
    footer: str,
    style: str = "",
    scripts: str = "",
) -> str:
    """A page of plots and tables in one file. `figures`, `plots`, `tables` and `scripts` are HTML, `style` is CSS; the other
    texts are escaped here."""
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        heading=html.escape(heading),
        subtitle=html.escape(subtitle),
        figures=figures,
        plots=plots,
        tables=tables,
        footer=html.escape(footer),
        style=style,
        scripts=scripts,
    )


def _scripts(plots: list[Plot], code: str) -> str:
    """The plots' data, Plotly's own code, and what draws the one with the other."""
    data = [{"id": p.id, "data": p.data, "layout": p.layout} for p in plots]
    # `</` would end the script element from inside a string.
    told = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    draw = _DRAW.read_text(encoding="utf-8")
    return f'<script type="application/json" id="plots">{told}</script>\n<script>{code}</script>\n<script>\n{draw}</script>'


def _plotly_code() -> str:
    """Plotly's own code; "" where it is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        return ""
    return str(get_plotlyjs())


def _plot_section(p: Plot) -> str:
    note = f'<p class="note">{html.escape(p.note)}</p>' if p.note else ""
    place = f'<div class="plot" id="{p.id}" style="width:100%;height:{p.height}px"></div>'
    return f"<section><h2>{html.escape(p.title)}</h2>{note}{place}</section>"


def _figures(summary: Summary) -> list[str]:
    """The numbers one looks for first."""
    o, j = summary.orders, summary.journal
    out = [figure(money_cell(total, currency), "P&L after fees") for currency, total in summary.total.items()]
    out.append(figure(f"{o.new:,}", f"orders, {o.replaced:,} replaced"))
    out.append(figure(f"{o.fills:,}", "fills"))
    out.append(figure(f"{o.rejected:,}", "rejects"))
    hop = next((h for h in summary.latency if h.name == "tick → OrderSent" and h.count), None)
    if hop is not None:
        out.append(figure(micros(hop.p50_us), f"tick to order sent, p99 {micros(hop.p99_us)}"))
    out.append(figure(f"{j.frames:,}", f"frames, {size(j.frame_bytes)}"))
    return out


def figure(value: str, about: str) -> str:
    """One number with what it is."""
    return f'<div class="figure"><b>{_escaped(value)}</b><span>{html.escape(about)}</span></div>'


def _tables(summary: Summary) -> str:
    positions = table(
        ["strategy", "account", "instrument", *(f"#{n}" for n in ("quantity", "avg price", "last mid", "realized", "unrealized",
         "fees", "P&L", "fills"))],
        [
            [p.strategy, p.account, p.instrument, *position_cells(p), money_cell(p.total, p.currency), f"{p.fills:,}"]
            for p in summary.positions
        ],
    )  # fmt: skip
    hops = table(
        ["hop", "#count", "#p50", "#p99", "#max"],
        [[h.name, f"{h.count:,}", micros(h.p50_us), micros(h.p99_us), micros(h.max_us)] for h in summary.latency if h.count],
    )
    o = summary.orders
    orders = [
        ["new", f"{o.new:,}"],
        *([f"now {k.lower().replace('_', ' ')}", f"{n:,}"] for k, n in o.by_status.items()),
        ["replaced", f"{o.replaced:,}"],
        ["fills", f"{o.fills:,}"],
        ["fills as the venue told them", f"{o.venue_fills:,}"],
        *([f"refused: {k}", f"{n:,}"] for k, n in o.rejects.items()),
    ]
    frames = [[name, f"{n:,}"] for name, n in summary.frames.items()]
    positioned = f"<section><h2>Positions</h2>{positions}</section>" if summary.positions else ""
    return (
        f"{positioned}<section><h2>Latency</h2>{hops}</section>"
        f'<div class="tables"><section><h2>Orders</h2>{table(["", "#"], orders)}</section>'
        f"<section><h2>Frames by kind</h2>{table(['kind', '#frames'], frames)}</section></div>"
    )


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """A table; columns named `#…` are numbers, aligned right, those named `~…` texts of several lines."""
    look = [{"#": " class=n", "~": " class=w"}.get(c[:1], "") for c in columns]
    head = "".join(f"<th{how}>{html.escape(c.lstrip('#~'))}</th>" for c, how in zip(columns, look, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{how}>{_escaped(cell)}</td>" for cell, how in zip(row, look, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class _Markup(str):
    """Text that is HTML already; every other text comes from outside and is escaped."""


def _escaped(value: Any) -> str:
    return value if isinstance(value, _Markup) else html.escape(str(value))


def money_cell(amount: Decimal, currency: str) -> _Markup:
    """An amount with its sign and colour."""
    side = "up" if amount > 0 else "down" if amount < 0 else ""
    return marked(f"{amount:+,.2f} {currency}", side)


def marked(text: str, look: str) -> _Markup:
    """A text in one of the page's looks: up, down, added, removed, changed."""
    return _Markup(f'<span class="{look}">{html.escape(text)}</span>')


def _footer(summary: Summary) -> str:
    s, j = summary.session, summary.journal
    end = "" if s.clean_end else " · no SessionEnd: still running, or not stopped cleanly"
    return (
        f"Journal {j.path} · stream {s.stream_id:016x} · seq {j.first_seq:,} to {j.last_seq:,} · epoch {s.epoch} · "
        f"{j.segments} segment{'s' if j.segments != 1 else ''}, {size(j.disk_bytes)} on disk · host {s.host}{end}"
    )


__all__ = ["PLOTLY_MISSING", "figure", "marked", "money_cell", "page", "render", "table", "write_report"]
