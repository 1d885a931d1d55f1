"""Books over a real day: a recorded Binance USD-M market, against an obvious reader of the same file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from apps.books.app import Books
from journal.messages import BookState, BookStateCode, Level, MarketByPriceSnapshot, MarketByPriceUpdate, Side, TopOfBook

SHARED = Path(__file__).parents[3] / "shared" / "data"
CAPTURE = SHARED / "captures/binance-usdm/hftbacktest_btcusdt_20240808.gz"

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not CAPTURE.exists(), reason=f"needs the recorded venue data in {SHARED}"),
]


def mantissa(text: str, places: int) -> int:
    """'61496.50' with 2 places → 6149650; digits only, no rounding."""
    whole, _, rest = text.partition(".")
    assert len(rest) <= places
    return int(whole + rest.ljust(places, "0"))


def levels(rows: list[list[str]]) -> list[Level]:
    return [Level(mantissa(px, 2), mantissa(qty, 3)) for px, qty in rows]


class ObviousReader:
    """The venue's manual, word by word: keep updates until the snapshot is there, drop those that are older than it; the first
    one must straddle it; then each follows the one before, and sets absolute quantities."""

    def __init__(self) -> None:
        self.kept: list[dict] = []
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.snapshot_id = self.last = 0

    def snapshot(self, m: dict) -> None:
        self.bids = {r.px: r.qty for r in levels(m["bids"])}
        self.asks = {r.px: r.qty for r in levels(m["asks"])}
        self.snapshot_id = self.last = m["lastUpdateId"]
        for kept in self.kept:
            self.update(kept)

    def update(self, m: dict) -> bool:
        if not self.snapshot_id:
            self.kept.append(m)
            return False
        if m["u"] < self.snapshot_id:
            return False
        if self.last == self.snapshot_id:
            assert m["U"] <= self.snapshot_id <= m["u"]
        else:
            assert m["pu"] == self.last
        self.last = m["u"]
        for side, rows in ((self.bids, m["b"]), (self.asks, m["a"])):
            for r in levels(rows):
                side[r.px] = r.qty
                if not r.qty:
                    del side[r.px]
        return True


def test_books_rebuild_a_recorded_market(stage):
    on, reader, applied = stage(Books()), ObviousReader(), 0
    book = on.app.book(1)

    def compare() -> None:
        on.app.check()
        assert book.exchange_seq == reader.last
        assert {r.px: r.qty for r in book.levels(Side.BUY, 10**6)} == reader.bids
        assert {r.px: r.qty for r in book.levels(Side.SELL, 10**6)} == reader.asks
        tops = [m for m in on.said if isinstance(m, TopOfBook)]
        assert (tops[-1].bid_px, tops[-1].ask_px) == (max(reader.bids), min(reader.asks))

    with gzip.open(CAPTURE, "rt") as lines:
        for line in lines:
            m = json.loads(line.partition(" ")[2])
            if "lastUpdateId" in m:
                rows = {"bids": levels(m["bids"]), "asks": levels(m["asks"])}
                on.frame(MarketByPriceSnapshot(instrument=1, stream=1, exchange_seq=m["lastUpdateId"], **rows))
                reader.snapshot(m)
                continue
            m = m["data"]
            if m["e"] != "depthUpdate":
                continue
            on.frame(
                MarketByPriceUpdate(
                    instrument=1, stream=1, prev_exchange_seq=m["pu"], first_exchange_seq=m["U"], exchange_seq=m["u"],
                    bids=levels(m["b"]), asks=levels(m["a"]),
                )
            )  # fmt: skip
            if reader.update(m):
                applied += 1
                assert book.is_live
                if applied % 1000 == 0:
                    compare()
    compare()
    assert applied > 1000
    states = [m.state for m in on.said if isinstance(m, BookState)]
    assert states == [BookStateCode.SNAPSHOT_PENDING, BookStateCode.LIVE]
