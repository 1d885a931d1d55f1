"""The plots of the report as Plotly figures, in plain data: traces and layout, no Plotly needed to make them.

Numbers travel as base64 arrays, which Plotly reads as they are: a tenth of the size of digits, and nothing to parse. Colours
are names (`var:buy`) that the page resolves, so that the same figure is right in light and in dark.
"""

from __future__ import annotations

import base64
import html
from typing import Any

import numpy as np

from replay.audit.definitions import Definitions
from replay.audit.latency import all_hops
from replay.audit.stream import Array, Stream
from replay.report.screen import micros
from replay.report.series import POINTS_MAX, Fills, Line, Prices, fills, instruments_seen, lines, mids, thinned

INSTRUMENTS_MAX = 6
_PALETTE = ("#2d7dd2", "#e28413", "#8f5bd1", "#1b998b", "#c9485b", "#6c8a1f")
_BINS_PER_DECADE = 16
_MARKS_BIG_MAX = 400
_FONT = {"family": "system-ui, sans-serif", "size": 12, "color": "var:soft"}
AXIS = {"gridcolor": "var:grid", "zerolinecolor": "var:line", "linecolor": "var:line", "automargin": True}


class Plot:
    """One figure and where it goes."""

    def __init__(self, number: int, title: str, note: str, height: int, data: list[Any], layout: dict[str, Any]) -> None:
        self.id = f"plot{number}"
        self.title = title
        self.note = note
        self.height = height
        self.data = data
        self.layout = layout


def all_plots(stream: Stream, definitions: Definitions) -> list[Plot]:
    """A market plot an instrument (the ones we traded first), then latency."""
    out: list[Plot] = []
    by_name: dict[str, list[Line]] = {}
    for line in lines(stream, definitions):
        by_name.setdefault(line.instrument, []).append(line)
    from journal.messages import InstrumentDefined

    for instrument in instruments_seen(stream)[:INSTRUMENTS_MAX]:
        name = definitions.name(InstrumentDefined, instrument, stream.to_seq)
        definition = definitions.by_kind[InstrumentDefined].at(instrument, stream.to_seq)
        px_exp = definition.px_exp if definition else 0
        prices, ours = mids(stream, instrument), fills(stream, definitions, instrument)
        out.append(market_plot(len(out), name, px_exp, prices, ours, by_name.get(name, [])))
    if latency := latency_plot(len(out), all_hops(stream)):
        out.append(latency)
    return out


def market_plot(number: int, name: str, px_exp: int, prices: Prices, ours: Fills, held: list[Line]) -> Plot:
    """Mid with our fills, position, P&L: one under the other on one time axis, to be read together."""
    keep = thinned(prices.px2, POINTS_MAX)
    mid: dict[str, Any] = {
        "type": "scattergl" if len(keep) > 5_000 else "scatter", "mode": "lines", "name": "mid", "x": times(prices.ts[keep]),
        "y": numbers(prices.px2[keep] / 2 * 10.0**px_exp), "line": {"color": "var:mid", "width": 1.2, "shape": "hv"},
        "hovertemplate": f"%{{y:.{max(0, -px_exp) + 1}f}}<extra>mid</extra>",
    }  # fmt: skip
    data = [mid]
    for title, mask, symbol, color in (
        ("buys", ours.buy, "triangle-up", "var:buy"),
        ("sells", ~ours.buy, "triangle-down", "var:sell"),
    ):
        if mask.any():
            data.append(_marks(title, ours, mask, symbol, color, px_exp))
    currency = held[0].currency if held else ""
    for index, line in enumerate(held):
        color = _PALETTE[index % len(_PALETTE)]
        common = {"type": "scatter", "mode": "lines"}
        strategy = html.escape(line.strategy)
        position = {"x": times(line.ts), "y": numbers(line.qty), "line": {"color": color, "width": 1.5, "shape": "hv"}}
        hover = "%{y}<extra>" + strategy + " position</extra>"
        data.append({**common, **position, "yaxis": "y2", "name": f"{strategy} position", "fill": "tozeroy",
                     "fillcolor": color + "22", "hovertemplate": hover})  # fmt: skip
        for what, values, dash, width in (("P&L", line.total, "solid", 1.8), ("realized", line.realized, "dot", 1.3)):
            text = html.escape(what)
            money = {"x": times(line.ts), "y": numbers(values), "yaxis": "y3", "name": f"{strategy} {text}"}
            stroke = {"color": color, "width": width, "dash": dash, "shape": "hv"}
            hover = f"%{{y:,.2f}} {html.escape(line.currency)}<extra>{strategy} {text}</extra>"
            data.append({**common, **money, "line": stroke, "hovertemplate": hover})
    layout: dict[str, Any] = layout_of(
        720 if held else 400,
        xaxis={**AXIS, "type": "date", "anchor": "y3" if held else "y", "showspikes": True, "spikemode": "across",
               "spikethickness": 1, "spikecolor": "var:mid", "spikedash": "dot", "hoverformat": "%H:%M:%S.%L"},
        yaxis={**AXIS, "domain": [0.46, 1] if held else [0, 1], "title": {"text": "price"}, "tickformat": ",~f"},
    )  # fmt: skip
    if held:
        layout["yaxis2"] = {**AXIS, "domain": [0.25, 0.42], "title": {"text": "position"}}
        layout["yaxis3"] = {
            **AXIS,
            "domain": [0, 0.21],
            "title": {"text": f"P&L {html.escape(currency)}"},
            "tickformat": ",~f",
        }
    thin = (
        f" The mid is drawn with {len(keep):,} of {len(prices.px2):,} changes, extremes kept."
        if len(keep) < len(prices.px2)
        else ""
    )
    note = "P&L: realized and unrealized at the mid, less fees; dotted: realized alone." if held else ""
    return Plot(number, name, note + thin, int(layout["height"]), data, layout)


def _marks(title: str, ours: Fills, mask: Array, symbol: str, color: str, px_exp: int) -> dict[str, Any]:
    at = np.flatnonzero(mask)
    many = len(at) > _MARKS_BIG_MAX
    texts = [
        f"{html.escape(ours.strategies[i])} {ours.order_ids[i]}<br>{ours.qty[i]:.10g} @ {ours.px[i]:,.{max(0, -px_exp)}f}"
        for i in at
    ]
    look = {"size": 6, "line": {"width": 0}} if many else {"size": 10, "line": {"width": 1, "color": "var:card"}}
    return {
        "type": "scattergl" if many else "scatter",
        "mode": "markers",
        "name": title,
        "x": times(ours.ts[mask]),
        "y": numbers(ours.px[mask]),
        "text": texts,
        "marker": {"symbol": symbol, "color": color, **look},
        "hovertemplate": "%{text}<br>%{x|%H:%M:%S.%L}<extra>" + title.removesuffix("s") + "</extra>",
    }


def latency_plot(number: int, hops: dict[str, Array]) -> Plot | None:
    """One histogram a hop on a common logarithmic axis, median and 99th percentile marked."""
    shown = [(name, np.maximum(took, 1) / 1e3) for name, took in hops.items() if len(took)]
    if not shown:
        return None
    low = np.floor(min(np.log10(t.min()) for _, t in shown))
    high = np.ceil(max(np.log10(t.max()) for _, t in shown))
    edges = np.logspace(low, max(high, low + 1), int(max(high - low, 1)) * _BINS_PER_DECADE + 1)
    data: list[Any] = []
    row = 1 / len(shown)
    layout = layout_of(72 * len(shown) + 70, showlegend=False, annotations=[], hovermode="closest")
    layout["margin"] = {"l": 12, "r": 24, "t": 8, "b": 48}
    for index, (name, took) in enumerate(shown):
        axis = "" if index == 0 else str(index + 1)
        top = 1 - index * row
        color = _PALETTE[index % len(_PALETTE)]
        counts = np.histogram(took, edges)[0]
        share = counts / counts.sum()
        p50, p99 = np.percentile(took, (50, 99))
        # Each bin as a step: an area under a line is right on a logarithmic axis, where bars are not.
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": numbers(np.repeat(edges, 2)[1:-1]),
                "y": numbers(np.repeat(share, 2)),
                "yaxis": f"y{axis}", "line": {"color": color, "width": 1}, "fill": "tozeroy", "fillcolor": color + "55",
                "hovertemplate": "%{x:,.3~s} µs: %{y:.1%}<extra></extra>", "name": html.escape(name),
            }
        )  # fmt: skip
        for value, dash in ((p50, "solid"), (p99, "dot")):
            data.append(
                {
                    "type": "scatter", "mode": "lines", "x": [float(value)] * 2, "y": [0, float(share.max()) * 1.15],
                    "yaxis": f"y{axis}", "line": {"color": "var:ink", "width": 1.2, "dash": dash},
                    "hovertemplate": f"{'p50' if dash == 'solid' else 'p99'} {micros(float(value))}<extra></extra>",
                }
            )  # fmt: skip
        layout[f"yaxis{axis}"] = {
            "domain": [max(0.0, top - row), top - row * 0.34], "showticklabels": False, "showgrid": False, "zeroline": True,
            "zerolinecolor": "var:line", "fixedrange": True, "rangemode": "tozero", "anchor": "x",
        }  # fmt: skip
        layout["annotations"].append(
            {
                "xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "y": top - row * 0.32, "yanchor": "bottom",
                "showarrow": False, "align": "left", "font": {**_FONT, "color": "var:ink", "size": 13},
                "text": f"{html.escape(name)}  <span style='font-size:11px'>{len(took):,} · p50 {micros(p50)} · "
                f"p99 {micros(p99)}</span>",
            }
        )  # fmt: skip
    layout["xaxis"] = {
        **AXIS, "type": "log", "title": {"text": "microseconds"}, "anchor": f"y{len(shown)}" if len(shown) > 1 else "y",
        "range": [low, max(high, low + 1)], "dtick": 1, "tickformat": ",~g", "minor": {"showgrid": False},
    }  # fmt: skip
    return Plot(
        number,
        "Latency per hop",
        "From the frames' own timestamps. Line: median; dots: 99th percentile.",
        layout["height"],
        data,
        layout,
    )


def layout_of(height: int, **more: Any) -> dict[str, Any]:
    """What all figures have in common, and more."""
    return {
        "height": height, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": _FONT,
        "margin": {"l": 8, "r": 24, "t": 8, "b": 40},
        "legend": {"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0, "font": {"size": 12}},
        "hovermode": "closest", "hoverlabel": {"font": {"size": 12}},
        "modebar": {"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": "var:mid", "activecolor": "var:accent"}, **more,
    }  # fmt: skip


def numbers(values: Array) -> dict[str, str]:
    """Values as Plotly reads them without parsing."""
    return {"dtype": "f8", "bdata": base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode()}


def times(ts: Array) -> dict[str, str]:
    """Plotly's dates are milliseconds; as doubles they keep the microseconds."""
    return numbers(ts / 1e6)
