"""One plot of a what-if as inline SVG: both equity curves on one axis, and below it how far they are apart.

The SVG's paths are the data too: steps in whole units, which `equity.js` reads back to tell the values at a moment, to zoom and
to set the ticks. Where scripts are blocked the curves are there all the same, with their ends and their range.
"""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from replay.audit.render import time_text
from replay.audit.stream import Array
from replay.whatif.compare import Curve

COLUMNS = 500
"""Stretches of the time axis that are told apart: one is two pixels wide in the widest page."""
STYLE = Path(__file__).with_name("equity.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("equity.js").read_text(encoding="utf-8")

_UNITS_MAX = 10_000_000
"""Units on an axis, and so the resolution: browsers draw in float32, which has every integer up to 2**24."""
_EXP_MIN = -8
_FIXED = 'vector-effect="non-scaling-stroke"'
_MARGIN = 0.05
_NOTE = "Realized and unrealized at the mid, after fees, all strategies together. Below, the difference: what if − base."
_THINNED = (
    f"Drawn with {{:,}} of {{:,}} moments: of every {COLUMNS}th of the time the last, and the lowest and highest of each line."
)
_MOUSE = "Drag to zoom, double click for the whole."


class Axis(msgspec.Struct):
    """The time that all plots of a page share, in ns since the epoch. `parted`: when the decisions first differ, if they do."""

    begin: int
    end: int
    parted: int | None = None

    @property
    def unit(self) -> int:
        """The power of ten, in ns, that times are told in."""
        return int(10 ** max(0, math.ceil(math.log10((self.end - self.begin) / _UNITS_MAX))))

    @property
    def span(self) -> int:
        return -(-(self.end - self.begin) // self.unit)


class End(NamedTuple):
    """What a line comes to, as the tables have it."""

    base: str
    other: str
    apart: str


def axis_of(curves: list[Curve], parted: int | None = None) -> Axis:
    """Everything there is, and the moment at which the decisions part."""
    moments = [int(t) for c in curves for t in (c.ts[0], c.ts[-1])] + ([] if parted is None else [parted])
    begin, end = min(moments), max(moments)
    return Axis(begin, max(end, begin + 1_000_000_000) if begin == end else end, parted)


def equity_plot(number: int, currency: str, base: Curve | None, other: Curve | None, axis: Axis, end: End) -> str:
    """P&L after fees of both runs and their difference, as a section of HTML."""
    # Both at the moments of either, so that what is read at one moment belongs together.
    ts = np.unique(np.concatenate([np.array([axis.begin]), *(c.ts for c in (base, other) if c is not None)]))
    before, after = _at(base, ts), _at(other, ts)
    keep = thinned(ts, [before, after, after - before], COLUMNS)
    thin = f" {_THINNED.format(len(keep), len(ts), COLUMNS)}" if len(keep) < len(ts) else ""
    x = (ts[keep] - axis.begin) // axis.unit
    panes = _lines(x, before[keep], after[keep], axis) + _difference(number, x, (after - before)[keep], axis)
    told = _read("base", "base", end.base) + _read("other", "what if", end.other) + _read("apart", "difference", end.apart)
    unit, first, last = html.escape(currency), time_text(axis.begin)[:19], time_text(axis.end)[:19]
    return (
        f'<section><h2>Equity in {unit}</h2><p class="note">{_NOTE}{thin}<span class="mouse"> {_MOUSE}</span></p>'
        f'<div class="equity" data-begin="{axis.begin / 1e6:.6f}" data-unit="{axis.unit / 1e6:g}" data-span="{axis.span}">'
        f'<p class="read"><span class="at">at the end</span>{told}<span class="unit">{unit}</span></p>'
        f'<div class="panes">{panes}{_parted(axis)}</div>'
        f'<div class="times"></div><div class="ends"><span>{first}</span><span>{last} UTC</span></div></div></section>\n'
    )


def _lines(x: Array, before: Any, after: Any, axis: Axis) -> str:
    scale = _Scale([before, after])
    paths = [f'<path class="{name}" {_FIXED} d="{steps(x, scale.units(values), axis.span)}"/>'
             for name, values in (("base", before), ("other", after))]  # fmt: skip
    return _pane("lines", axis, scale, "".join(paths))


def _difference(number: int, x: Array, values: Any, axis: Axis) -> str:
    """Filled to zero: what was won in one colour, what was lost in another."""
    scale = _Scale([values, np.zeros(1)])
    zero = scale.top
    # Down to zero in capitals: `equity.js` reads the small letters.
    line = f"{steps(x, scale.units(values), axis.span)}V{zero}H0"
    halves = "".join(
        f'<clipPath id="{name}{number}"><rect y="{top}" width="{axis.span}" height="{height}"/></clipPath>'
        f'<use href="#apart{number}" class="{name}" clip-path="url(#{name}{number})"/>'
        for name, top, height in (("won", 0, zero), ("lost", zero, scale.height - zero))
    )
    path = f'<defs><path class="apart" id="apart{number}" {_FIXED} d="{line}"/></defs>'
    return _pane("apart", axis, scale, path + halves)


class _Scale:
    """Values as whole units of 10**exp, counted from the top of a pane down, as SVG counts. `top`: what is there, in units."""

    def __init__(self, lines: list[Any]) -> None:
        low, high = min(float(v.min()) for v in lines), max(float(v.max()) for v in lines)
        size = max(abs(low), abs(high), 1.0)
        # A flat line, and one that only sums of floats have moved, is drawn through the middle.
        room = (high - low if high - low > size * 1e-9 else size) * _MARGIN
        self.range = high - low + 2 * room
        self.exp = max(_EXP_MIN, math.ceil(math.log10(self.range / _UNITS_MAX)))
        self.top = math.ceil((high + room) * 10.0**-self.exp)
        self.height = self.top - math.floor((low - room) * 10.0**-self.exp)

    def units(self, values: Any) -> Any:
        return self.top - np.rint(values * 10.0**-self.exp).astype(np.int64)

    def text(self, units: int) -> str:
        return f"{units * 10.0**self.exp:,.{max(0, 2 - math.floor(math.log10(self.range)))}f}"


def _pane(name: str, axis: Axis, scale: _Scale, drawn: str) -> str:
    ends = (("0", scale.top), ("100%", scale.top - scale.height))
    return (
        f'<div class="pane {name}" data-top="{scale.top}" data-exp="{scale.exp}">'
        f'<svg viewBox="0 0 {axis.span} {scale.height}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
        + "".join(f'<i style="top:{place}"><b>{scale.text(units)}</b></i>' for place, units in ends)
        + "</div>"
    )


def _read(name: str, text: str, value: str) -> str:
    return f'<span class="{name}">{text} <b>{html.escape(value)}</b></span>'


def _parted(axis: Axis) -> str:
    if axis.parted is None:
        return ""
    at = (axis.parted - axis.begin) / axis.unit
    side = "left" if at > axis.span / 2 else "right"
    return f'<div class="parted {side}" data-x="{at:g}" style="left:{at / axis.span:.4%}"><span>decisions part</span></div>'


def thinned(ts: Array, lines: list[Any], columns: int) -> Array:
    """Indices of the moments that keep the look. Time is cut into equal columns; of each, its last moment (so that what is held
    until the next change is true, however long) and every line's lowest and highest."""
    if len(ts) <= 2 * columns:
        return np.arange(len(ts))
    column = np.minimum((ts - ts[0]) / (ts[-1] - ts[0]) * columns, columns - 1).astype(np.int64)
    starts = np.flatnonzero(np.diff(column, prepend=-1)).tolist()
    keep = {0}
    for a, b in zip(starts, [*starts[1:], len(ts)], strict=True):
        keep.add(b - 1)
        for values in lines:
            keep.update((a + int(np.argmin(values[a:b])), a + int(np.argmax(values[a:b]))))
    return np.array(sorted(keep))


def steps(x: Array, y: Array, end: int) -> str:
    """A line of steps as an SVG path: held to the right (`h`), then moved (`v`), in differences of whole units."""
    moved = np.flatnonzero(np.diff(y, prepend=y[0]))
    at, out = 0, [f"M0 {y[0]}"]
    for when, by in zip(x[moved].tolist(), (y[moved] - y[moved - 1]).tolist(), strict=True):
        out.append(f"h{when - at}v{by}" if when != at else f"v{by}")
        at = when
    return "".join([*out, f"h{end - at}"])


def _at(curve: Curve | None, ts: Any) -> Any:
    """A run's P&L at these moments; before its first it has made nothing."""
    if curve is None:
        return np.zeros(len(ts))
    held = np.searchsorted(curve.ts, ts, "right") - 1
    return np.where(held >= 0, curve.total[held], 0.0)
