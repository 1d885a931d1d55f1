"""The summary against the day's tuples; the screen's size; the page's independence of the network."""

from __future__ import annotations

import base64
import json
import re
import sys
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from journal.messages import (
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    NewOrder,
    OrderSent,
    Position,
    RoutedOrder,
    SessionStart,
    StrategyDefined,
    TopOfBook,
    TradeSummary,
    VenueFill,
)
from journal.messages import enums as e
from journal.writer import JournalWriter
from replay.audit import Stream
from replay.audit.definitions import Definitions
from replay.report.html import PLOTLY_MISSING, write_report
from replay.report.screen import screen
from replay.report.series import lines, mids, thinned
from replay.report.summary import Summary, summarize
from tests.replay.sample_day import BTC, ETH, EXPONENTS, LEDGER_EXP, NAMES, STRATEGY, Day, write_day


@pytest.fixture(scope="module")
def summary(day_path: Path) -> Summary:
    return summarize(day_path)


# -- summary ----------------------------------------------------------------------------------------------------------


def test_counts(day: Day, summary: Summary) -> None:
    kinds: dict[str, int] = {}
    for p in day.puts:
        kinds[type(p.message).__name__] = kinds.get(type(p.message).__name__, 0) + 1
    assert summary.frames == kinds
    assert list(summary.frames.values()) == sorted(kinds.values(), reverse=True)
    status = {
        p.message.order_id: e.OrdStatus(p.message.ord_status).name for p in day.puts if isinstance(p.message, ExecutionReport)
    }
    assert summary.orders.by_status == {s: list(status.values()).count(s) for s in ("FILLED", "REJECTED", "CANCELED")}
    assert summary.orders.new == sum(isinstance(p.message, NewOrder) for p in day.puts) == 41
    assert summary.orders.fills == summary.orders.venue_fills == sum(isinstance(p.message, VenueFill) for p in day.puts)
    assert summary.orders.rejects == {
        "oms TOO_LATE": 5,
        "risk MAX_ORDER_NOTIONAL": 5,
        "venue POST_ONLY_WOULD_TAKE": 5,
        "sequencer KIND_NOT_GRANTED": 4,
    }
    assert summary.orders.replaced == 5


def test_session_and_files(day: Day, day_path: Path, summary: Summary) -> None:
    s, j = summary.session, summary.journal
    assert (s.mode, s.durability, s.host, s.stream_id, s.runs, s.clean_end) == ("PAPER", "DURABLE", "testhost", 77, 1, True)
    assert s.duration_s == round((day.puts[-1].ts - day.puts[0].ts) / 1e9, 3)
    assert (j.first_seq, j.last_seq, j.frames) == (1, len(day.puts), len(day.puts))
    assert j.segments == len(list(day_path.glob("*.seg")))
    assert j.frame_bytes == sum(64 + len(p.message.encode()) for p in day.puts)


def test_positions_and_profit(day: Day, summary: Summary) -> None:
    by_strategy = dict(STRATEGY.values())
    last_mid2 = {p.message.instrument: p.message.mid2 for p in day.puts if isinstance(p.message, TopOfBook)}
    for (strategy, instrument), held in day.holdings.items():
        (p,) = [p for p in summary.positions if p.strategy == by_strategy[strategy] and p.instrument == NAMES[instrument]]
        px_exp, qty_exp = EXPONENTS[instrument]
        mid = Decimal(last_mid2[instrument]).scaleb(px_exp) / 2
        cost = Decimal(held.cost).scaleb(LEDGER_EXP)
        assert p.qty == Decimal(held.qty).scaleb(qty_exp)
        assert p.mid == mid
        assert p.realized == Decimal(held.realized).scaleb(LEDGER_EXP)
        assert p.fees == Decimal(held.fees).scaleb(LEDGER_EXP)
        assert p.unrealized == p.qty * mid - cost
        assert p.total == p.realized + p.unrealized - p.fees
        assert p.avg_px == (cost / p.qty).quantize(Decimal("1e-8"))
        assert p.fills == sum(isinstance(q.message, Position) and q.message.strategy == strategy for q in day.puts)
    assert summary.total == {"USDT": sum(p.total for p in summary.positions)}


def test_latency_per_hop(day: Day, summary: Summary) -> None:
    at = {p.seq: p for p in day.puts}
    hops = {h.name: h for h in summary.latency}
    took = {
        "tick → NewOrder": [p.ts - at[p.message.book_seq].ts for p in day.puts if isinstance(p.message, NewOrder)],
        "RoutedOrder → OrderSent": [
            p.ts - at[p.cause].ts
            for p in day.puts
            if isinstance(p.message, OrderSent) and isinstance(at[p.message.request_seq].message, RoutedOrder)
        ],
        "VenueFill → ExecutionReport": [
            p.ts - at[p.cause].ts
            for p in day.puts
            if isinstance(p.message, ExecutionReport) and p.message.exec_type == ExecType.TRADE
        ],
        "ExecutionReport → Position": [p.ts - at[p.cause].ts for p in day.puts if isinstance(p.message, Position)],
        "market data seen → sequenced": [
            p.ts - p.origin_ts
            for p in day.puts
            if 200 <= p.message.KIND < 290 and not 200 <= (at[p.cause].message.KIND if p.cause else 0) < 290
        ],
    }
    for name, values in took.items():
        assert hops[name].count == len(values), name
        assert hops[name].max_us == round(max(values) / 1e3, 3), name
        assert hops[name].p50_us == pytest.approx(np.median(values) / 1e3, abs=0.001), name
    assert [h.name for h in summary.latency][-3:] == [
        "tick → OrderSent",
        "VenueFill → ExecutionReport",
        "ExecutionReport → Position",
    ]


def test_a_derived_top_of_book_is_timed_from_its_update(tmp_path: Path) -> None:
    """Strategies decide on the top of book that the books app derives; the tick is the gateway's frame behind it."""
    path = tmp_path / "journal"
    with JournalWriter.open(path, stream_id=1, segment_bytes=1 << 20, nonce=1) as writer:
        tick = writer.append(TradeSummary(instrument=1), ts=1_000, origin_ts=400)
        top = writer.append(TopOfBook(instrument=1, bid_px=1, ask_px=3), ts=3_500, cause=tick, origin_ts=1_000)
        writer.append(NewOrder(order_id=7, instrument=1, book_seq=top), ts=9_000, cause=top)
    hops = {h.name: h for h in summarize(path).latency}
    assert hops["market data seen → sequenced"].count == 1
    assert hops["market data seen → sequenced"].max_us == 0.6
    assert hops["tick → NewOrder"].max_us == 8.0


def test_json_is_exact_text(summary: Summary) -> None:
    told = msgspec.json.decode(msgspec.json.encode(summary))
    assert told["positions"][0]["realized"] == str(summary.positions[0].realized)
    assert told["positions"][0]["funding"] == "0"
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary


def test_an_empty_journal_and_one_without_definitions(tmp_path: Path) -> None:
    with JournalWriter.open(tmp_path / "empty", stream_id=1, segment_bytes=1 << 20, nonce=1):
        pass
    empty = summarize(tmp_path / "empty")
    assert (empty.journal.frames, empty.orders.new, empty.positions) == (0, 0, [])
    Console(width=100, file=open("/dev/null", "w")).print(screen(empty))  # noqa: SIM115
    with JournalWriter.open(tmp_path / "bare", stream_id=1, segment_bytes=1 << 20, nonce=1) as writer:
        writer.append(Position(instrument=4, strategy=2, long_qty=5, cost=10, realized=-3, fees=1), ts=1)
    bare = summarize(tmp_path / "bare").positions[0]
    assert (bare.instrument, bare.strategy, bare.qty, bare.realized) == ("#4", "#2", Decimal(5), Decimal(-3))
    assert (bare.unrealized, bare.avg_px, bare.mid, bare.total) == (None, None, None, Decimal(-4))
    write_report(tmp_path / "empty", tmp_path / "empty.html")
    write_report(tmp_path / "bare", tmp_path / "bare.html")


# -- screen -----------------------------------------------------------------------------------------------------------


def test_the_screen_fits_a_terminal(summary: Summary) -> None:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(screen(summary))
    rows = console.export_text().split("\n")
    assert len(rows) <= 45
    assert max(len(r.rstrip()) for r in rows) <= 100
    text = "\n".join(rows)
    for shown in (
        "PAPER · DURABLE",
        "maker1",
        "tick → OrderSent",
        "MarketByPriceUpdate",
        "-45.04 USDT",
        "rejects",
        "last seq 1,253",
    ):
        assert shown in text


# -- series -----------------------------------------------------------------------------------------------------------


def test_thinning_keeps_the_extremes() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=300_000).cumsum()
    values[123_456], values[222_222] = 1e6, -1e6
    keep = thinned(values, 20_000)
    assert len(keep) <= 20_000
    assert {0, 123_456, 222_222, 299_999} <= set(keep.tolist())
    assert (np.diff(keep) > 0).all()
    assert thinned(values[:50], 100).tolist() == list(range(50))


def test_profit_line_ends_at_the_summary(day_path: Path, summary: Summary) -> None:
    stream = Stream(day_path)
    drawn = lines(stream, Definitions(stream))
    assert len(drawn) == len(summary.positions)
    for line, position in zip(drawn, summary.positions, strict=True):
        assert (line.strategy, line.instrument) == (position.strategy, position.instrument)
        assert line.qty[-1] == pytest.approx(float(position.qty))
        assert line.total[-1] == pytest.approx(float(position.total), abs=1e-8)
        assert line.realized[-1] == pytest.approx(float(position.realized))


def test_mids_come_from_trades_where_nobody_says_a_top_of_book(tmp_path: Path) -> None:
    longer = Day(4)
    longer.open()
    longer.trade(60)
    longer.puts = [p for p in longer.puts if not isinstance(p.message, TopOfBook)]
    for seq, p in enumerate(longer.puts, 1):
        p.seq, p.cause = seq, 0
    path = write_day(longer, tmp_path / "journal")
    for instrument in (BTC, ETH):
        prints = [
            t.px * 2
            for p in longer.puts
            if isinstance(p.message, TradeSummary) and p.message.instrument == instrument
            for t in p.message.trades
        ]
        assert mids(Stream(path), instrument).px2.tolist() == prints


# -- page -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would fetch, and the data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.fetched += [str(v) for n, v in attrs if n in ("src", "href", "data", "action", "srcset", "poster")]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        else:
            self.text += data


def numbers(array: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(array["bdata"]), "<f8")


def traces(page: Page) -> list[list[dict[str, Any]]]:
    return [plot["data"] for plot in json.loads(page.scripts[0])]


def test_the_report_needs_nothing_but_itself(day: Day, day_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="the report's plots need plotly: pip install 'lockstep[report]'")
    out = tmp_path / "report.html"
    assert write_report(day_path, out) == ""
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.fetched == []
    assert "@import" not in text.split("</style>")[0]
    assert "url(" not in text.split("</style>")[0]
    assert "Plotly" in page.scripts[1]
    assert 'showSendToCloud: false, plotlyServerURL: ""' in page.scripts[2]  # else its bar offers to upload the plot
    btc, eth, latency = traces(page)
    names = [t["name"] for t in btc]
    assert names == ["mid", "buys", "sells", "maker1 position", "maker1 P&amp;L", "maker1 realized"]
    fills = [p for p in day.puts if isinstance(p.message, ExecutionReport) and p.message.exec_type == ExecType.TRADE]
    buys = [p for p in fills if p.message.instrument == BTC and p.message.side == e.Side.BUY]
    drawn = next(t for t in btc if t["name"] == "buys")
    assert numbers(drawn["y"]) == pytest.approx([p.message.last_px / 10 for p in buys])
    assert numbers(drawn["x"]) == pytest.approx([p.ts / 1e6 for p in buys])
    assert drawn["text"][0] == "maker1 9·41<br>0.361 @ 61,234.4"
    mid = [p.message.mid2 / 20 for p in day.puts if isinstance(p.message, TopOfBook) and p.message.instrument == BTC]
    assert numbers(btc[0]["y"]) == pytest.approx(mid)
    assert len(eth) == 6
    assert {t["name"] for t in latency if "name" in t} >= {"tick → NewOrder", "tick → OrderSent"}
    for shown in ("Positions", "Latency", "Orders", "Frames by kind", "maker1", "-43.41 USDT"):
        assert shown in page.text


@pytest.mark.parametrize(
    "evil",
    [
        "</script><script>alert(1)</script><img src=x onerror=alert(2)><span class=up>",
        '<span class="up"><img src=x onerror=alert(1)></span>',  # begins as our own markup does
    ],
    ids=["ends a script", "looks like ours"],
)
def test_names_from_outside_stay_text(tmp_path: Path, evil: str) -> None:
    pytest.importorskip("plotly", reason="the report's plots need plotly: pip install 'lockstep[report]'")
    day = Day(6)
    day.open()
    day.trade(40)
    for p in day.puts:
        if isinstance(p.message, SessionStart | InstrumentDefined | StrategyDefined):
            p.message.name = evil
    out = tmp_path / "report.html"
    write_report(write_day(day, tmp_path / "journal"), out)
    page = Page(out.read_text(encoding="utf-8"))
    assert len(page.scripts) == 3
    assert page.fetched == []
    assert evil in page.text
    assert not re.search(r"<img|<script", json.dumps(traces(page)))


def test_without_plotly_the_report_says_so(day_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    out = tmp_path / "report.html"
    assert write_report(day_path, out) == PLOTLY_MISSING
    text = Page(out.read_text(encoding="utf-8")).text
    assert PLOTLY_MISSING in text
    assert "-43.41 USDT" in text
