"""Quotes and cancels that go to a backtest's venue as one request, as they go to the simulated exchange."""

from pathlib import Path

import pytest

from apps.ledger import Emission
from journal.frames import frames
from journal.messages import (
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    Level,
    MarketByPriceSnapshot,
    MassQuote,
    OrderSent,
    OrdStatus,
    QuoteEntry,
    RiskDecision,
    RoutedCancelAll,
    RoutedOrder,
    RoutedQuote,
    VenueOrderUpdate,
    VenueQuoteUpdate,
)
from journal.messages.quoting import is_quote_order
from lockstep.backtesting import run_backtest
from replay.backtest.venue import BacktestVenue
from replay.player import verify
from tests.end_to_end.system import configuration
from tests.gateways.test_order_entry import RISK, Bench
from tests.gateways.test_quotes import MAKER, Venue, passed, routed

# The model refuses this quantity, and here it is no multiple of the lot.
REFUSED = 666
QUOTE = [
    QuoteEntry(entry=5, instrument=7, bid_px=4000, bid_qty=10, ask_px=5000, ask_qty=20),
    QuoteEntry(entry=6, instrument=7, bid_px=3900, bid_qty=REFUSED, ask_px=5100, ask_qty=10),
    QuoteEntry(entry=7, instrument=7, ask_px=5200, ask_qty=REFUSED),
]


def told(m):
    """What an answer says, but for the numbers that a venue gives, and for why it refuses."""
    if isinstance(m, VenueQuoteUpdate):
        refs = (bool(m.bid_order_ref), bool(m.ask_order_ref))
        return m.request_seq, m.quote_id, m.entry, m.instrument, m.quote_status, bool(m.reason), refs
    return m.request_seq, m.order_id, m.exec_type, m.ord_status, m.order_qty, m.price_px, m.cum_qty, m.leaves_qty


def emission(cls, cause=0):
    return Emission(source_seq=1, kind=cls.KIND, version=1, flags=1, cause=cause, origin_ts=0, body=b"")


def test_a_quote_is_answered_as_by_the_simulated_exchange():
    bench = Bench(venue=Venue())
    m, orders, seqs = passed(bench, QUOTE)
    sent = routed(m, orders, seqs)
    seq = bench.routed(sent)
    expected = [told(m) for m in bench.said(VenueOrderUpdate, VenueQuoteUpdate)]
    assert [len(x) for x in expected] == [8, 8, 7, 7, 7, 8, 8, 8]  # two are refused, three entries, three are in

    venue = BacktestVenue()
    venue.define(InstrumentDefined(instrument=7, px_exp=-2, qty_exp=-3, tick_px=1, lot_qty=5, name="X"))
    venue.market(MarketByPriceSnapshot(instrument=7, bids=[Level(3000, 5)], asks=[Level(9000, 5)]), 0)
    asked = seqs[0] - 1
    venue.quotes.watch(asked, MAKER, emission(MassQuote))
    for passed_at in seqs:
        venue.quotes.watch(passed_at, RISK, emission(RiskDecision, cause=asked))
    assert [told(m) for m in venue.request(sent, seq, 0)] == expected


STRATEGY = {"class": f"{Path(__file__).with_name('quoting_strategy.py')}:Quoter", "account": "demo"}
NATIVE = ["mass_quote", "cancel_all", "stops"]


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """The same day at a venue that takes quotes whole and cancels everything itself, and at one that does neither."""
    folder = tmp_path_factory.mktemp("quoting")
    for name, native in (("native", NATIVE), ("plain", [])):
        changes = {"strategy": {"quoter": STRATEGY}, "backtest": {"duration": "3s"}, "exchange__sim__native": native}
        run_backtest(configuration(folder / "unused", **changes), folder / name)
    return folder / "native", folder / "plain"


def said(day, *kinds):
    return [f.message for f in frames(day, kinds=[k.KIND for k in kinds])]


def decided(day):
    """What strategy, risk and OMS have decided, by the numbers of the orders among all."""
    numbers = {m.order_id: n for n, m in enumerate(said(day, RiskDecision))}
    out = []
    for m in said(day, MassQuote, RiskDecision, ExecutionReport):
        if isinstance(m, MassQuote):
            out.append(tuple((e.bid_px, e.bid_qty, e.ask_px, e.ask_qty) for e in m.entries))
        elif isinstance(m, RiskDecision):
            checks = [(c.check, c.result, c.value if c.input_seq or c.limit else 0, c.bound) for c in m.checks]
            out.append((numbers[m.order_id], m.decision, m.reason, checks))
        else:
            out.append((numbers[m.order_id], m.exec_type, m.ord_status, m.last_qty, m.last_px, m.cum_qty, m.reason))
    return out


def test_a_quoting_strategy_decides_the_same_whatever_its_venue_takes_whole(days):
    native, plain = (decided(day) for day in days)
    assert sum(isinstance(x[0], tuple) for x in native) > 10
    assert len([x for x in native if len(x) == 7 and x[1] == ExecType.TRADE]) > 2
    assert native == plain
    for day in days:
        assert verify(day).identical


def test_what_went_as_one(days):
    native, plain = days
    quotes = {f.header.seq: f.message for f in frames(native, kinds=[RoutedQuote.KIND])}
    asked = said(native, MassQuote)
    assert len(quotes) == len(asked) == len(said(plain, MassQuote))
    assert (said(native, RoutedOrder), said(plain, RoutedQuote, RoutedCancelAll)) == ([], [])
    assert {m.request_seq for m in said(native, OrderSent) if not m.order_id} > set(quotes)
    assert {m.request_seq for m in said(native, VenueQuoteUpdate)} == set(quotes)
    placed = [m for m in said(native, VenueOrderUpdate) if m.exec_type == ExecType.NEW]
    assert all(is_quote_order(m.order_id) and m.request_seq in quotes for m in placed)
    (swept,) = [f.header.seq for f in frames(native, kinds=[RoutedCancelAll.KIND])]
    ends = [m.request_seq for m in said(native, VenueOrderUpdate) if m.ord_status == OrdStatus.CANCELED]
    assert ends.count(swept) > 1
