"""The backtest's host and venue: time, order of things, and every answer the venue can give."""

import hashlib
import itertools
import re
import sys
from pathlib import Path

import pytest

from journal.frames import frames
from journal.messages import (
    Clock,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    ImportProvenance,
    InstrumentDefined,
    Level,
    LiquidityIndicator,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    NewOrder,
    OrderSent,
    OrdStatus,
    OrdType,
    Reason,
    RoutedCancel,
    RoutedOrder,
    RoutedQuery,
    RoutedReplace,
    SessionEnd,
    SessionStart,
    Side,
    SourceDefined,
    SourceRole,
    TimeInForce,
    TopOfBook,
    Trade,
    TradeSummary,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
)
from journal.writer import JournalWriter
from lockstep import backtesting, testing
from lockstep.backtesting import GENERATED_START_NS, run_backtest
from lockstep.cli import main
from lockstep.config import ConfigError
from replay.backtest.feed import FeedError, FeedEvent, journal_feed
from replay.backtest.venue import BacktestVenue
from replay.player import Finding, verify
from tests.end_to_end.captures import lines_of, made_capture
from tests.end_to_end.system import configuration, configuration_text, one_line
from tests.replay.paced_strategy import paced

MS = 1_000_000
LATENCY = 2 * MS
T0 = GENERATED_START_NS
BID, ASK = 6_180_000, 6_180_010
STEPS = (
    f"10 buy 100 {BID}",  # 0: rests behind 1000
    f"20 buy 100 {ASK} POST",  # 1: would take
    f"30 buy 600 {ASK} FOK",  # 2: only 500 are there
    f"40 buy 700 {ASK} IOC",  # 3: takes 500
    "50 replace 0 60",
    "60 cancel 0",
    f"70 sell 40 {ASK + 20}",  # 6: hit by the trade at 90 ms
    f"110 buy 10 {BID - 500}",  # 7: what stays open at the end
)


def market(instruments):
    """A book of two levels a side; one trade at 90 ms; an update whose time is before the one ahead of it."""
    i = instruments["BTCUSDT"].instrument

    def event(ms, message):
        return FeedEvent(T0 + ms * MS, T0 + ms * MS, message)

    bids, asks = [Level(BID, 1000), Level(BID - 10, 900)], [Level(ASK, 500), Level(ASK + 10, 800)]
    yield event(0, MarketByPriceSnapshot(instrument=i, stream=1, exchange_seq=100, bids=bids, asks=asks))
    yield event(90, TradeSummary(instrument=i, stream=1, trades=[Trade(px=ASK + 30, qty=100, side=Side.BUY)]))
    yield event(80, MarketByPriceUpdate(
        instrument=i, stream=1, prev_exchange_seq=100, first_exchange_seq=101, exchange_seq=101,
        bids=[Level(BID - 10, 800)], asks=[],
    ))  # fmt: skip
    yield event(200, MarketByPriceUpdate(
        instrument=i, stream=1, prev_exchange_seq=101, first_exchange_seq=102, exchange_seq=102,
        bids=[Level(BID - 10, 700)], asks=[],
    ))  # fmt: skip


def plan(tmp_path, **changes):
    scripted = {"class": f"{Path(__file__).with_name('scripted.py')}:Scripted", "account": "demo", "steps": list(STEPS)}
    defaults = {"strategy": {"scripted": scripted}, "backtest": {"order_latency": "2ms", "duration": "2s"}}
    return configuration(tmp_path / "unused", **(defaults | changes))


@pytest.fixture(scope="module")
def scripted_day(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripted")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(backtesting, "_feed", lambda config, source, instruments: market(instruments))
        run_backtest(plan(folder), folder / "day")
        run_backtest(plan(folder), folder / "again")
    return folder / "day"


def segments(folder):
    return [hashlib.blake2b(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.seg"))]


class Day:
    def __init__(self, path):
        self.frames = list(frames(path))
        self.by_seq = {f.header.seq: f for f in self.frames}
        self.asked = self.of(NewOrder)

    def of(self, *classes):
        return [f for f in self.frames if isinstance(f.message, classes)]

    def order(self, number, *classes):
        """Frames about the n-th order asked for."""
        order_id = self.asked[number].message.order_id
        return [f for f in self.of(*classes) if f.message.order_id == order_id]


@pytest.fixture(scope="module")
def day(scripted_day):
    return Day(scripted_day)


def test_two_runs_give_the_same_bytes_and_replay_identically(scripted_day):
    assert segments(scripted_day) == segments(scripted_day.with_name("again"))
    assert verify(scripted_day).identical


def test_stream_time_only_goes_forward(day):
    assert all(a.header.ts < b.header.ts for a, b in itertools.pairwise(day.frames))
    assert [f.header.seq for f in day.frames] == list(range(1, len(day.frames) + 1))
    assert isinstance(day.frames[-1].message, SessionEnd)
    assert day.of(SessionStart)[0].header.ts >= T0 - 10 * MS


def test_a_timer_fires_on_a_clock_frame_at_its_due_time(day):
    start = day.of(MarketByPriceSnapshot)[0].header.ts
    due = [start + int(step.split()[0]) * MS for step in STEPS]
    clocks = [f for f in day.of(Clock) if f.header.ts - start in {d - start for d in due}]
    assert [f.header.ts for f in clocks] == due
    for asked in day.asked:
        assert asked.header.cause in {f.header.seq for f in clocks}
        assert asked.header.ts - day.by_seq[asked.header.cause].header.ts < 100  # decisions take no stream time


def test_the_wire_takes_its_time_both_ways(day):
    for routed in day.of(RoutedOrder, RoutedReplace, RoutedCancel):
        sent = next(f for f in day.of(OrderSent) if f.message.request_seq == routed.header.seq)
        assert 0 < sent.header.ts - routed.header.ts < 100
        answer = next(f for f in day.of(VenueOrderUpdate) if f.message.request_seq == routed.header.seq)
        assert answer.message.exchange_ts == routed.header.ts + LATENCY
        assert 0 <= answer.header.ts - (routed.header.ts + 2 * LATENCY) < 100


def test_market_data_comes_in_the_feeds_order(day):
    rows = day.of(MarketByPriceSnapshot, TradeSummary, MarketByPriceUpdate)
    assert [type(f.message).__name__[:5] for f in rows] == ["Marke", "Trade", "Marke", "Marke"]
    late = rows[2]
    assert late.header.ts > rows[1].header.ts  # a stream's time does not step back
    assert late.header.origin_ts == T0 + 80 * MS


def said(day, number):
    return [ExecType(f.message.exec_type) for f in day.order(number, ExecutionReport)]


def test_resting_replaced_and_canceled(day):
    E = ExecType
    assert said(day, 0) == [E.PENDING_NEW, E.NEW, E.PENDING_REPLACE, E.REPLACED, E.PENDING_CANCEL, E.CANCELED]
    assert day.order(0, ExecutionReport)[3].message.order_qty == 60
    last = day.order(0, ExecutionReport)[-1].message
    assert (last.cum_qty, last.leaves_qty, last.cxl_qty) == (0, 0, 60)


def test_post_only_that_would_take_is_refused(day):
    last = day.order(1, ExecutionReport)[-1].message
    assert last.ord_status in (OrdStatus.REJECTED, OrdStatus.EXPIRED)
    assert last.reason == Reason.POST_ONLY_WOULD_TAKE
    assert day.order(1, VenueFill) == []


def test_fill_or_kill_without_enough_is_killed_whole(day):
    last = day.order(2, ExecutionReport)[-1].message
    assert last.ord_status in (OrdStatus.EXPIRED, OrdStatus.CANCELED, OrdStatus.REJECTED)
    assert last.cum_qty == 0
    assert day.order(2, VenueFill) == []


def test_immediate_or_cancel_takes_what_is_there(day):
    fill = [f.message for f in day.order(3, VenueFill)]
    assert [(m.last_qty, m.last_px, m.liquidity) for m in fill] == [(500, ASK, LiquidityIndicator.TAKER)]
    last = day.order(3, ExecutionReport)[-1].message
    assert (last.ord_status, last.cum_qty, last.leaves_qty, last.cxl_qty) == (OrdStatus.EXPIRED, 500, 0, 200)


def test_a_recorded_trade_fills_a_resting_order(day):
    fill = day.order(4, VenueFill)
    assert [(f.message.last_qty, f.message.last_px, f.message.liquidity) for f in fill] == [
        (40, ASK + 20, LiquidityIndicator.MAKER)
    ]
    trade = day.of(TradeSummary)[0]
    assert 0 <= fill[0].header.ts - (trade.header.ts + LATENCY) < 100
    assert day.order(4, ExecutionReport)[-1].message.ord_status == OrdStatus.FILLED


def test_what_rests_at_the_end_stays_open(day):
    assert day.order(5, ExecutionReport)[-1].message.ord_status == OrdStatus.NEW


def test_the_venue_answers_for_orders_it_does_not_know_or_has_closed():
    venue = BacktestVenue()
    venue.define(
        InstrumentDefined(instrument=1, px_exp=-2, qty_exp=-3, tick_px=10, lot_qty=1, name="X", maker_rate=0, taker_rate=0)
    )
    for request, answers_to in (
        (RoutedCancel(order_id=5, instrument=1), CxlRejResponseTo.CANCEL),
        (RoutedReplace(order_id=5, instrument=1, order_qty=1, price_px=10), CxlRejResponseTo.REPLACE),
    ):
        (answer,) = venue.request(request, 77, T0)
        assert isinstance(answer, VenueCancelReject)
        assert (answer.request_seq, answer.order_id, answer.response_to) == (77, 5, answers_to)
        assert answer.reason == Reason.UNKNOWN_AT_VENUE
    (answer,) = venue.request(RoutedQuery(order_id=5, instrument=1), 78, T0)
    assert (answer.ord_status, answer.reason) == (OrdStatus.UNDEFINED, Reason.UNKNOWN_AT_VENUE)

    venue.market(MarketByPriceSnapshot(instrument=1, bids=[Level(100, 5)], asks=[Level(110, 5)]), T0)
    order = RoutedOrder(
        order_id=6, instrument=1, side=Side.BUY, ord_type=OrdType.LIMIT, tif=TimeInForce.IOC, order_qty=5, price_px=110
    )
    assert isinstance(venue.request(order, 80, T0)[-1], VenueFill)
    (answer,) = venue.request(RoutedCancel(order_id=6, instrument=1), 81, T0)
    assert (answer.reason, answer.ord_status) == (Reason.TOO_LATE_AT_VENUE, OrdStatus.FILLED)
    (answer,) = venue.request(RoutedQuery(order_id=6, instrument=1), 82, T0)
    assert (answer.ord_status, answer.cum_qty, answer.request_seq) == (OrdStatus.FILLED, 5, 82)


# Market data from a journal, from a capture.


def recording(path, *, px_exp=-2):
    """A journal in which the instrument has another id, and not all that looks like market data is a gateway's."""
    writer = JournalWriter.open(path, stream_id=3, nonce=3, segment_bytes=1 << 20)
    numbers = itertools.count(1)
    ts = itertools.count(T0, MS)

    def say(source, message):
        writer.append(message, ts=next(ts), source=source, source_seq=next(numbers) if source else 0, origin_ts=T0 - 5)

    say(0, SourceDefined(source=5, role=SourceRole.MARKET_DATA, name="venue-md"))
    say(0, SourceDefined(source=6, role=SourceRole.BOOKS, name="books"))
    say(1, InstrumentDefined(instrument=42, px_exp=px_exp, qty_exp=-3, name="BTCUSDT"))
    say(1, InstrumentDefined(instrument=43, px_exp=-9, qty_exp=-9, name="OTHER"))
    say(5, MarketByPriceSnapshot(instrument=42, bids=[Level(BID, 1)], asks=[Level(ASK, 1)], exchange_seq=1))
    say(5, TopOfBook(instrument=43, bid_px=1, ask_px=2))
    say(6, TopOfBook(instrument=42, bid_px=BID, ask_px=ASK))
    say(5, TradeSummary(instrument=42, trades=[Trade(px=BID, qty=1, side=Side.SELL)]))
    writer.close()
    return path


def test_a_journals_market_data_is_translated(tmp_path):
    mine = {"BTCUSDT": InstrumentDefined(instrument=9, px_exp=-2, qty_exp=-3, name="BTCUSDT")}
    found = list(journal_feed(recording(tmp_path / "day"), mine))
    assert [(type(e.message).__name__, e.message.instrument) for e in found] == [
        ("MarketByPriceSnapshot", 9),
        ("TradeSummary", 9),
    ]
    assert [e.ts for e in found] == [T0 + 4 * MS, T0 + 7 * MS]
    assert {e.origin_ts for e in found} == {T0 - 5}


def test_other_decimals_are_refused(tmp_path):
    mine = {"BTCUSDT": InstrumentDefined(instrument=9, px_exp=-2, qty_exp=-3, name="BTCUSDT")}
    with pytest.raises(FeedError, match=r"BTCUSDT was recorded with 1 price and 3 quantity decimals.*defines 2 and 3"):
        list(journal_feed(recording(tmp_path / "day", px_exp=-1), mine))


def usual(tmp_path, **changes):
    return configuration(tmp_path / "unused", backtest={"order_latency": "1ms", "duration": "5s"}, **changes)


def test_a_journal_drives_another_backtest(tmp_path):
    first = run_backtest(usual(tmp_path), tmp_path / "first")
    second = run_backtest(usual(tmp_path), tmp_path / "second", str(tmp_path / "first"))
    third = run_backtest(usual(tmp_path), tmp_path / "third", str(tmp_path / "first"))
    assert second.market_events == first.market_events > 500
    assert segments(tmp_path / "second") == segments(tmp_path / "third")
    assert verify(tmp_path / "second").identical
    fed = [[(f.header.origin_ts, f.body.tobytes()) for f in frames(tmp_path / n, kinds=[MarketByPriceUpdate.KIND])]
           for n in ("first", "second")]  # fmt: skip
    assert [body for _, body in fed[0]] == [body for _, body in fed[1]]
    assert third.state_digest == second.state_digest


def test_a_capture_drives_a_backtest(tmp_path):
    capture = tmp_path / "made.gz"
    made_capture(capture, seconds=5)
    run_backtest(usual(tmp_path), tmp_path / "first", str(capture))
    run_backtest(usual(tmp_path), tmp_path / "second", str(capture))
    assert segments(tmp_path / "first") == segments(tmp_path / "second")
    assert verify(tmp_path / "first").identical
    (imported,) = [f.message for f in frames(tmp_path / "first", kinds=[ImportProvenance.KIND])]
    assert imported.name == "made.gz"
    assert bytes(imported.file_digest) == hashlib.blake2b(capture.read_bytes(), digest_size=32).digest()
    trades = sum(b"@trade" in text for _, text in lines_of(capture))
    assert sum(1 for _ in frames(tmp_path / "first", kinds=[TradeSummary.KIND])) == trades


@pytest.mark.parametrize(("source", "expected"), [("absent", "expected 'generated', a journal folder or a capture file")])
def test_no_market_is_one_line(tmp_path, source, expected):
    with pytest.raises(ConfigError, match=expected):
        run_backtest(usual(tmp_path), tmp_path / "out", str(tmp_path / source))


def test_a_backtest_does_not_write_over_another(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        run_backtest(usual(tmp_path), tmp_path / "out")


def raising(tmp_path, before, after):
    source = tmp_path / "raising.py"
    source.write_text(paced("Raises").replace(before, after))
    strategy = {"raises": {"class": f"{source}:Raises", "account": "demo", "qty": "0.010"}}
    config = tmp_path / "raising.toml"
    config.write_text(configuration_text(tmp_path / "unused", strategy=strategy, backtest={"duration": "1s"}))
    return source, config


@pytest.fixture
def forgotten():
    yield
    sys.modules.pop("raising", None)


def test_an_app_that_raises_is_told_with_its_own_traceback(tmp_path, capsys, forgotten):
    code = "self.seen += 1; assert self.seen < 9, 'tangled'"
    source, config = raising(tmp_path, "self.seen += 1", code)
    assert main(["backtest", str(config), "--journal", str(tmp_path / "day")]) == 2
    said = capsys.readouterr().err
    found = re.match(r"lockstep: raises: raises at seq (\d+): AssertionError: tangled\nTraceback ", said)
    assert found, said
    assert "replay/backtest" not in said  # what is lockstep's own is of no use to its author
    assert f'File "{source}", line ' in said
    assert code in said
    assert said.endswith(f"look: lockstep debug {tmp_path}/day --at {found[1]} --app raises\n")
    verdict = verify(tmp_path / "day")
    assert (verdict.finding, verdict.difference_seq) == (Finding.RAISED, int(found[1]))
    with pytest.raises(AssertionError, match="tangled"):  # a test of its author sees what it raises
        testing.backtest(config, tmp_path / "again")


def test_an_app_that_cannot_be_started_is_one_line(tmp_path, capsys, forgotten):
    source, config = raising(tmp_path, "self.seen = 0", "self.seen = {}['tangled']")
    assert main(["backtest", str(config), "--journal", str(tmp_path / "day")]) == 2
    said = one_line(capsys.readouterr().err)
    assert f"strategy.raises: cannot be started: KeyError: 'tangled' ({source}:11, in start)" in said
