"""The summary on one screen: what a trader asks after a day, from top to bottom, within 100 columns and 45 lines."""

from __future__ import annotations

from decimal import Decimal

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from replay.report.summary import PositionSummary, Summary

WIDTH = 100
_KINDS_SHOWN = 16
_POSITIONS_SHOWN = 6
_REJECTS_SHOWN = 4


def screen(summary: Summary) -> RenderableType:
    """The whole screen."""
    return Group(
        _title(summary),
        Text(),
        Columns([_kinds(summary), _orders(summary)], padding=(0, 4)),
        Text(),
        _positions(summary),
        Text(),
        _latency(summary),
        _footer(summary),
    )


def _title(summary: Summary) -> Text:
    s = summary.session
    text = Text(f"{s.name or 'session'}  ", style="bold")
    text.append(" · ".join((*modes(summary), f"{s.started[:19]} UTC", duration(s.duration_s))), style="not bold")
    if s.runs > 1:
        text.append(f" · {s.runs} runs", style="not bold")
    return text


def modes(summary: Summary) -> list[str]:
    """How it was run, as far as the journal says."""
    return [text for text in (summary.session.mode, summary.session.durability) if text not in ("UNDEFINED", "0")]


def _kinds(summary: Summary) -> Table:
    table = _table("frames sequenced", f"{summary.journal.frames:,}")
    kinds = list(summary.frames.items())
    shown = kinds if len(kinds) <= _KINDS_SHOWN else kinds[: _KINDS_SHOWN - 1]
    for name, count in shown:
        table.add_row(name, f"{count:,}")
    if rest := kinds[len(shown) :]:
        table.add_row(f"{len(rest)} other kinds", f"{sum(n for _, n in rest):,}", style="dim")
    return table


def _orders(summary: Summary) -> Table:
    o = summary.orders
    table = _table("orders", f"{o.new:,}")
    for status, count in o.by_status.items():
        table.add_row(f"  {status.lower().replace('_', ' ')}", f"{count:,}")
    table.add_row("replaced", f"{o.replaced:,}")
    table.add_row("fills", f"{o.fills:,}")
    table.add_row("rejects", f"{o.rejected:,}", style="yellow" if o.rejected else "")
    for name, count in list(o.rejects.items())[:_REJECTS_SHOWN]:
        table.add_row(f"  {name}", f"{count:,}")
    if rest := list(o.rejects.values())[_REJECTS_SHOWN:]:
        table.add_row(f"  {len(rest)} other reasons", f"{sum(rest):,}", style="dim")
    return table


def _positions(summary: Summary) -> RenderableType:
    if not summary.positions:
        return Text("no positions: nothing was filled", style="dim")
    # One blank between columns and short heads: it has to fit a terminal of 80 columns too.
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("position", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("qty", "avg px", "mid", "realized", "unreal.", "fees", "P&L"):
        table.add_column(name, justify="right", no_wrap=True)
    for p in summary.positions[:_POSITIONS_SHOWN]:
        table.add_row(p.strategy, p.instrument, *position_cells(p), pnl(p.total, p.currency))
    if rest := summary.positions[_POSITIONS_SHOWN:]:
        table.add_row(f"{len(rest)} more", style="dim")
    if len(summary.positions) > 1:
        for currency, total in summary.total.items():
            table.add_row("total", "", "", "", "", "", "", "", pnl(total, currency), style="bold")
    return table


def position_cells(p: PositionSummary) -> list[str]:
    """Quantity, average price, mid, realized, unrealized, fees: as short as they stay true."""
    unknown = "–"
    return [
        plain(p.qty),
        rounded(p.avg_px) if p.avg_px is not None else unknown,
        plain(p.mid) if p.mid is not None else unknown,
        rounded(p.realized),
        rounded(p.unrealized) if p.unrealized is not None else unknown,
        rounded(p.fees),
    ]


def _latency(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("latency (frames' own times)", min_width=34)
    for name in ("count", "p50", "p99", "max"):
        table.add_column(name, justify="right", min_width=9)
    for hop in summary.latency:
        if hop.count:
            table.add_row(hop.name, f"{hop.count:,}", micros(hop.p50_us), micros(hop.p99_us), micros(hop.max_us))
    return table


def _footer(summary: Summary) -> Text:
    j = summary.journal
    return Text(
        f"\njournal {size(j.frame_bytes)} of frames in {j.segments} segment{'s' if j.segments != 1 else ''} "
        f"({size(j.disk_bytes)} on disk) · last seq {j.last_seq:,}"
        + ("" if summary.session.clean_end else " · no SessionEnd: still running, or not stopped cleanly")
    )


def _table(title: str, count: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(title, min_width=26, max_width=36, no_wrap=True)
    table.add_column(count, justify="right", min_width=9)
    return table


def pnl(amount: Decimal, currency: str) -> Text:
    """Money with its sign and colour."""
    style = "green" if amount > 0 else "red" if amount < 0 else ""
    return Text(f"{amount:+,.2f} {currency}", style=style)


def plain(value: Decimal) -> str:
    """All digits that say something: 0.500 is 0.5."""
    text = f"{value:,f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def rounded(value: Decimal) -> str:
    """Money to two places; the exact figure is in --json."""
    return f"{value:,.2f}"


def micros(us: float) -> str:
    """A latency in the unit that reads best."""
    if us < 1:
        return f"{us * 1e3:.0f} ns"
    if us < 1_000:
        return f"{us:.1f} µs"
    return f"{us / 1e3:.2f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"


def duration(seconds: float) -> str:
    """`34.2 s`, `12 min 05 s`, `7 h 30 min`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(n: int) -> str:
    """Bytes in the unit that reads best."""
    for unit, step in (("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)):
        if n < step * 1024 or unit == "GiB":
            return f"{n / step:,.0f} {unit}" if step == 1 else f"{n / step:,.1f} {unit}"
    raise AssertionError
