"""The page of a what-if: small, whole in itself, and true to both curves."""

import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.whatif.compare import Came, Comparison, Curve, Delta, What
from replay.whatif.decisions import Decision
from replay.whatif.equity import COLUMNS, thinned
from replay.whatif.page import SHOWN_MAX, write_page
from tests.replay.equity_page import Page

BEGIN = 1_795_842_000_000_000_000
MS = 1_000_000
DAY = 86_400_000 * MS


def curve(ms, total, currency="USDT"):
    return Curve(currency, BEGIN + np.array(ms, dtype=np.int64) * MS, np.array(total, dtype=float))


def came(curves):
    pnl = {c.currency: Decimal(f"{c.total[-1]:.8f}") for c in curves if len(c.ts)}
    return Came("out/run", 1, 0, 0, 1, {}, pnl, {}, {}, {}, {})


def changed(time="2026-11-28 05:00:02.000000000", strategy="s"):
    terms, outcome = {"qty": "0.01", "price": "61794.9", "type": "LIMIT"}, {"status": "FILLED", "filled": "0.01"}
    one = Decision("NewOrder", strategy, "BTCUSDT", "BUY", 7, 9, time, "9·1", terms, outcome)
    return Delta(What.REMOVED, one, None)


def page(tmp_path, base, other, deltas=(), *, config="other.toml", recording="day"):
    first = deltas[0] if deltas else None
    told = Comparison(recording, MS, came(base), came(other), list(deltas), 7, first, 10, 9)
    out = tmp_path / "whatif.html"
    write_page(out, told, base, other, config)
    return out.read_text("utf-8")


def read(tmp_path, base, other, *deltas):
    return Page(page(tmp_path, base, other, deltas))


def test_both_curves_are_drawn_at_the_same_moments(tmp_path):
    """So that what the page says of a moment belongs together: before its first point a run has made nothing."""
    base, other = curve([1000, 3000], [1, 5]), curve([2000, 4000], [2, 4.5])
    (plot,) = read(tmp_path, [base], [other], changed()).plots
    moments = [plot.begin + n * 1000 for n in range(4)]
    assert moments[0] == BEGIN / MS + 1000
    for name, values in (("base", [1, 1, 5, 5]), ("other", [0, 2, 2, 4.5]), ("apart", [-1, 1, -3, -0.5])):
        assert [plot.at(name, ms) for ms in moments] == pytest.approx(values, abs=plot.units[name])
    assert plot.told == {"base": "5.00000000", "other": "4.50000000", "apart": "-0.50000000"}
    assert plot.begin + plot.parted * plot.unit == BEGIN / MS + 2000


def test_the_axis_begins_where_the_decisions_part_if_that_is_earlier(tmp_path):
    (plot,) = read(tmp_path, [curve([3000, 5000], [1, 2])], [curve([3000], [3])], changed()).plots
    assert (plot.begin, plot.parted) == (BEGIN / MS + 2000, 0)
    assert (plot.at("base", plot.begin), plot.at("base", plot.begin + 1000)) == pytest.approx((0, 1), abs=1e-6)
    (alone,) = read(tmp_path, [curve([3000, 5000], [1, 2])], []).plots
    assert alone.parted is None
    assert alone.at("other", plot.begin + 9000) == 0


def walk(seed, points=300_000):
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(0, DAY, points))
    return Curve("USDT", BEGIN + ts, rng.normal(size=points).cumsum())


def test_a_long_day_stays_small_and_keeps_its_extremes(tmp_path):
    base, other = walk(1), walk(2)
    base.total[123_456], other.total[222_222] = 9_000.5, -7_000.25
    text = page(tmp_path, [base], [other], [changed()] * 5_000)
    assert len(text.encode()) < 150_000
    assert f"The first {SHOWN_MAX} of 5,000; --json has them all." in text
    (plot,) = Page(text).plots
    assert max(v for _, v in plot.lines["base"]) == pytest.approx(9_000.5, abs=plot.units["base"])
    assert min(v for _, v in plot.lines["other"]) == pytest.approx(-7_000.25, abs=plot.units["other"])
    for name, told in (("base", base), ("other", other)):
        assert plot.lines[name][-1][1] == pytest.approx(told.total[-1], abs=plot.units[name])


def test_what_is_held_through_a_silence_is_what_was_last(tmp_path):
    """The last value before it is neither the lowest nor the highest of its stretch, and is what stands for hours."""
    ms = np.concatenate([np.arange(5_000), [80_000_000]])
    base = curve(ms, np.concatenate([np.arange(5_000) % 100, [0]]))
    base.total[4_999] = 42
    (plot,) = read(tmp_path, [base], []).plots
    assert plot.at("base", BEGIN / MS + 40_000_000) == pytest.approx(42, abs=plot.units["base"])


moments = st.lists(st.integers(0, 2_000), min_size=2, max_size=400, unique=True).map(sorted)


@given(moments, st.data(), st.integers(1, 40))
def test_thinning_loses_no_extreme_and_no_last_value(ms, data, columns):
    """Against the obvious: every column, looked at by itself."""
    ts = np.array(ms)
    lines = [np.array(data.draw(st.lists(st.integers(-9, 9), min_size=len(ts), max_size=len(ts)))) for _ in range(3)]
    keep = thinned(ts, lines, columns)
    assert len(keep) <= columns * 7 + 1
    assert (np.diff(keep) > 0).all()
    column = [min(int((t - ms[0]) / (ms[-1] - ms[0]) * columns), columns - 1) for t in ms]
    for one in set(column):
        all_, kept = ([i for i in which if column[i] == one] for which in (range(len(ms)), keep.tolist()))
        assert all_[-1] == kept[-1]
        for values in lines:
            assert (min(values[kept]), max(values[kept])) == (min(values[all_]), max(values[all_]))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_values_of_every_size_come_back(tmp_path, scale):
    values = np.random.default_rng(4).normal(size=COLUMNS) * scale
    (plot,) = read(tmp_path, [curve(np.arange(COLUMNS) * 60_000, values)], []).plots
    drawn = [plot.at("base", BEGIN / MS + n * 60_000) for n in range(COLUMNS)]
    assert drawn == pytest.approx(values, abs=plot.units["base"])
    assert plot.units["base"] <= max(1e-8, np.ptp(values) / 1e6)


@pytest.mark.parametrize("empty", [[], [curve([], [])]], ids=["no curve", "an empty curve"])
def test_without_a_position_the_page_says_so(tmp_path, empty):
    found = read(tmp_path, empty, [])
    assert found.plots == []
    assert "Neither run ever held a position" in found.text
    (plot,) = read(tmp_path, empty, [curve([0, 1000], [0, 3])]).plots
    assert plot.lines["base"] == [(plot.begin, 0)]


def test_a_single_point_is_a_flat_line(tmp_path):
    (plot,) = read(tmp_path, [curve([5], [-3.25])], [curve([5], [-3.25])]).plots
    assert plot.span * plot.unit == 1000
    for name, value in (("base", -3.25), ("other", -3.25), ("apart", 0)):
        ((_, drawn),) = plot.lines[name]
        assert drawn == pytest.approx(value, abs=plot.units[name])


def test_several_currencies_share_one_axis(tmp_path):
    base = [curve([0, 4000], [1, 2]), curve([1000], [0.001], "BTC")]
    found = read(tmp_path, base, [curve([2000, 9000], [7, 8]), curve([3000], [5], "EUR")], changed())
    assert len(found.plots) == 3
    for name in ("Equity in USDT", "Equity in BTC", "Equity in EUR"):
        assert name in found.text
    assert {(p.begin, p.unit, p.span, p.parted) for p in found.plots} == {(BEGIN / MS, 0.001, 9_000_000, 2_000_000)}
    assert [p.told["apart"] for p in found.plots] == ["+6.00000000", "-0.00100000", "+5.00000000"]


def test_the_page_needs_nothing_but_itself_and_names_stay_text(tmp_path):
    evil = '</script></style><script>alert(1)</script><img src="//x" onerror=alert(2)>&amp;"'
    plain = Page(page(tmp_path, [curve([0, 9], [1, 2])], [curve([0, 9], [1, 3])], [changed()]))
    text = page(
        tmp_path, [curve([0, 9], [1, 2], evil)], [curve([0, 9], [1, 3], evil)], [changed(strategy=evil)], config=evil,
        recording=evil,
    )  # fmt: skip
    found = Page(text)
    assert found.tags == plain.tags
    assert found.outside == plain.outside == []
    assert found.text.count(evil) >= 6
    for word in ("@import", "http", "fetch(", "XMLHttpRequest", "WebSocket", "import("):
        assert word not in text
    assert set(re.findall(r"url\(.", text)) == {"url(#"}
