"""`lockstep bench replay --day-frames` in small: the market goes on at each seam, the apps trade on, a replay is identical."""

import json
from collections import Counter
from itertools import islice, pairwise

import pytest

from journal.errors import OperatingError
from journal.frames import frames
from journal.messages import (
    BookState,
    ExecutionReport,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    MarketDataGap,
    NewOrder,
    Position,
    SourceDefined,
    SourceRole,
    TopOfBook,
    TradeSummary,
)
from journal.messages.marketdata import Level, Trade
from lockstep import cli
from lockstep.bench import back, day, long_day
from replay.backtest.feed import FeedEvent
from replay.player import verify

STRETCH = 2
"""Seconds; the day has its market four times."""
FRAMES = 80_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "day"
    long_day.make(path, FRAMES, STRETCH)
    return path


def of(path, *kinds):
    """Frames of these kinds: header, message."""
    return [(f.header, f.message) for f in frames(path, kinds=[k.KIND for k in kinds])]


def source_of(path, role):
    return next(m.source for _, m in of(path, SourceDefined) if m.role == role)


def test_a_day_is_as_long_as_asked_and_market_data_for_the_most_part(made):
    count = sum(1 for _ in frames(made))
    assert FRAMES <= count < FRAMES + 5_000
    assert day.market_share(made) > 0.9


def test_its_replay_is_identical(made):
    found = verify(made)
    assert (found.identical, found.pending) == (True, 0)
    assert all(found.apps[name] > 0 for name in ("books", "risk", "oms", "positions", "maker", "cross"))


def test_the_apps_trade_in_every_part_of_it(made):
    starts = [h.ts for h, m in of(made, MarketByPriceSnapshot)]
    assert len(starts) == 4
    for kind in (NewOrder, ExecutionReport, Position):
        parts = Counter(sum(start <= h.ts for start in starts) for h, _ in of(made, kind))
        assert all(parts[part] > 10 for part in (1, 2, 3, 4)), kind


def test_the_market_has_no_gap_and_its_books_are_right_at_the_end(made):
    gateway, books = source_of(made, SourceRole.MARKET_DATA), source_of(made, SourceRole.BOOKS)
    assert not of(made, MarketDataGap)
    sides = {"bids": {}, "asks": {}}
    last, touch = None, None
    for h, m in of(made, MarketByPriceSnapshot, MarketByPriceUpdate, TopOfBook):
        if isinstance(m, TopOfBook):
            touch = m if h.source == books else touch
            continue
        assert h.source == gateway
        if isinstance(m, MarketByPriceSnapshot):
            assert last is None or (m.connection_epoch, m.exchange_seq) > (last.connection_epoch, last.exchange_seq)
            sides = {"bids": {}, "asks": {}}
        elif isinstance(last, MarketByPriceSnapshot):  # the first behind a snapshot may begin inside it
            assert m.first_exchange_seq <= last.exchange_seq + 1
        else:
            assert m.prev_exchange_seq == last.exchange_seq
        last = m
        for name, side in sides.items():
            side.update((level.px, level.qty) for level in getattr(m, name))
            sides[name] = {px: qty for px, qty in side.items() if qty}
    bid, ask = max(sides["bids"]), min(sides["asks"])
    assert (touch.bid_px, touch.bid_qty, touch.ask_px, touch.ask_qty) == (bid, sides["bids"][bid], ask, sides["asks"][ask])


def test_what_comes_again_is_later_and_numbered_on():
    def stretch():
        yield FeedEvent(100, 90, BookState(instrument=1, connection_epoch=0xFFFE))
        yield FeedEvent(
            200, 190, TradeSummary(instrument=1, exchange_seq=1, exchange_ts=5, trades=[Trade(trade_no=1, trade_ts=5)])
        )
        yield FeedEvent(300, 290, MarketByPriceSnapshot(instrument=1, exchange_seq=6, exchange_ts=5, bids=[Level(1, 1)]))
        yield FeedEvent(
            1_000_100, 400, MarketByPriceUpdate(instrument=1, exchange_seq=9, first_exchange_seq=7, prev_exchange_seq=6)
        )

    seen = []
    for event in islice(long_day.repeated(stretch()), 12):
        m = event.message
        trade = [(t.trade_no, t.trade_ts) for t in getattr(m, "trades", ())]
        joins = getattr(m, "first_exchange_seq", 0), getattr(m, "prev_exchange_seq", 0), getattr(m, "exchange_seq_last", 0)
        seen.append((event.ts, event.origin_ts, m.exchange_ts, m.exchange_seq, m.connection_epoch, joins, trade))
    later = 2_000_000  # more than the stretch takes, in whole milliseconds
    assert seen[4:8] == [
        (later + 100, later + 90, 0, 9, 0xFFFF, (0, 0, 9), []),
        (later + 200, later + 190, later + 5, 2, 1, (0, 0, 0), [(2, later + 5)]),
        (later + 300, later + 290, later + 5, 15, 1, (0, 0, 0), []),
        (later + 1_000_100, later + 400, 0, 18, 1, (16, 15, 0), []),
    ]
    assert [row[4] for row in seen[8::4]] == [1]
    assert all(a[0] <= b[0] for a, b in pairwise(seen))


def test_the_bench_makes_it_tells_and_removes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(long_day, "FRAMES_LEAST", 40_000)
    monkeypatch.setattr(long_day, "MARKS", (2, 4, 6))  # a read is a tenth of so short a day
    monkeypatch.setattr(back, "STEPS", 1)
    words = ["--day-frames", "1", "--frames", "5000", "--seconds", "1", "--rounds", "1", "--folder", str(tmp_path), "--json"]
    assert cli.main(["bench", "replay", *words]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert not list(tmp_path.iterdir())
    assert found["long_day_frames"] >= 40_000
    assert found["long_day_decisions_compared"] > 1_000
    assert found["long_day_market_share"] > 0.9
    assert found["long_day_memory_mib_max"] >= found["long_day_memory_mib_at_2"] > 0
    assert min(found["long_day_frames_per_s"], found["long_day_frames_per_s_to_6"], found["apps_frames_per_s"]) > 0


def test_no_day_is_begun_that_the_disk_cannot_hold(tmp_path):
    with pytest.raises(OperatingError, match="this bench needs"):
        long_day.measure(tmp_path, 10**12)
    assert not list(tmp_path.iterdir())


def test_a_day_that_cannot_be_made_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(long_day, "FRAMES_LEAST", 1)
    (tmp_path / "long-day").mkdir()
    (tmp_path / "long-day" / "x").write_text("in the way")
    with pytest.raises(OperatingError, match="could not be made: exit code 1"):
        long_day.measure(tmp_path, 1)
    assert "not empty" in capfd.readouterr().err
