"""Payments of funding: pushed, missed and asked for, told again to be compared."""

from __future__ import annotations

import json

import pytest

from journal.messages import (
    Channel,
    DownloadEnd,
    Funding,
    InstrumentDefined,
    InstrumentType,
    QueryType,
    RoutedQuery,
    VenueError,
)
from tests.gateways.test_order_entry import LOADER, TRADE, Bench, ModelVenue

HOUR_MS = 3_600_000
RATE_1E12 = 250_000_000


class Venue(ModelVenue):
    """The model, with payments that it remembers."""

    def __init__(self):
        super().__init__()
        self.paid = []

    def pay(self, ms, income="-0.15450000", position="0.010"):
        """A payment; its push."""
        self.paid.append({"symbol": "BTCUSDT", "time": ms, "fundingRate": "0.00025000", "positionAmt": position,
                          "income": income, "asset": "USDT"})  # fmt: skip
        self.events += 1
        f = {"s": "BTCUSDT", "r": "0.00025000", "P": position, "n": income, "N": "USDT", "v": self.events}
        return json.dumps({"e": "FUNDING_FEE", "E": ms, "T": ms, "f": f}).encode()

    def account_funding(self, p):
        return [row for row in self.paid if row["time"] >= p["startTime"]][: p["limit"]], None, []

    def account_position(self, p):
        return [], None, []

    account_balance = account_margin = account_position


class Perpetual(Bench):
    """Its instrument is one."""

    def define(self):
        super().define()
        self.watch(LOADER, InstrumentDefined(instrument=7, venue=1, instrument_type=InstrumentType.PERPETUAL, name="BTCUSDT",
                                             px_exp=-2, qty_exp=-3))  # fmt: skip


@pytest.fixture
def b():
    return Perpetual(venue=Venue())


def hear(b, push):
    b.act(b.session.receive(push, b.now))


def told(b):
    return [(m.funding_ts // 10**6, m.channel) for m in b.said(Funding)]


def compare(b, from_ts=0):
    b.routed(RoutedQuery(account=3, destination=2, query=QueryType.OPEN_ORDERS, from_ts=from_ts, request=1))


def test_a_push_in_our_words(b):
    hear(b, b.venue.pay(HOUR_MS))
    (m,) = b.said(Funding)
    assert (m.account, m.instrument, m.currency, m.channel) == (3, 7, 1, Channel.ORDER_STREAM)
    assert (m.rate, m.position_qty, m.payment, m.payment_exp) == (RATE_1E12, 10, -15450000, -8)
    assert (m.funding_ts, m.exchange_seq) == (HOUR_MS * 10**6, 1)


def test_only_of_a_perpetual_is_it_asked_for(b):
    assert [r["method"] for r in b.sent] == ["session.logon", "openOrders", "account.funding"]
    assert "account.funding" not in [r["method"] for r in Bench(venue=Venue()).sent]


def test_what_was_missed_is_downloaded_once(b):
    hear(b, b.venue.pay(HOUR_MS))
    b.act(b.session.disconnected())
    b.venue.pay(2 * HOUR_MS)
    b.connect()
    assert told(b) == [(HOUR_MS, Channel.ORDER_STREAM), (2 * HOUR_MS, Channel.DOWNLOAD)]
    hear(b, b.venue.pay(3 * HOUR_MS))
    b.venue.pay(4 * HOUR_MS)  # nobody hears of it
    hear(b, b.venue.pay(5 * HOUR_MS))
    assert told(b)[3:] == [(5 * HOUR_MS, Channel.ORDER_STREAM), (4 * HOUR_MS, Channel.DOWNLOAD)]
    again = Perpetual(b.frames, b.venue)
    assert told(again) == told(b)


def test_to_be_compared_all_is_told_again_from_where_the_journal_begins(b):
    b.venue.pay(HOUR_MS - 1)
    b.view.began_ts = HOUR_MS * 10**6
    hear(b, b.venue.pay(2 * HOUR_MS))
    b.venue.events, b.session._event_number = 0, 0
    compare(b)
    assert told(b) == [(2 * HOUR_MS, Channel.ORDER_STREAM), (2 * HOUR_MS, Channel.DOWNLOAD)]
    assert b.said(DownloadEnd)[-1].rows == 1
    compare(b, from_ts=3 * HOUR_MS * 10**6)
    assert len(told(b)) == 2


def test_a_long_list_comes_page_by_page(b, monkeypatch):
    monkeypatch.setattr("gateways.sim.download.FUNDING_PAGE", 2)
    for hour in range(5):
        b.venue.pay((hour + 1) * HOUR_MS)
    compare(b)
    assert [ms // HOUR_MS for ms, _ in told(b)] == [1, 2, 3, 4, 5]
    assert [r["params"]["startTime"] for r in b.sent if r["method"] == "account.funding"][1:] == [
        0, 2 * HOUR_MS + 1, 4 * HOUR_MS + 1
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"income": "much"}, {"position": "0.0001"}])
def test_numbers_that_cannot_be_read_are_told(b, wrong):
    hear(b, b.venue.pay(HOUR_MS, **wrong))
    assert (b.said(Funding), len(b.said(VenueError))) == ([], 1)


def test_a_payment_of_a_symbol_that_is_not_ours(b):
    hear(b, b.venue.pay(HOUR_MS).replace(b"BTCUSDT", b"ETHUSDT"))
    assert (b.said(Funding, source=TRADE), len(b.said(VenueError))) == ([], 1)


def test_payments_are_forgotten_when_no_download_asks_for_them(b):
    for day in range(4):
        hear(b, b.venue.pay((day + 1) * 24 * HOUR_MS))
    assert len(b.view.funding_seen) == 2
