"""A strategy's order types end to end: on the recorded market of a backtest, twice with equal bytes, and replayed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from journal.frames import frames
from journal.messages import (
    Alert,
    CancelAllReport,
    EmulatedTrigger,
    ExecType,
    ExecutionReport,
    Level,
    ListStatus,
    ListStatusCode,
    MarketByPriceSnapshot,
    NewOrder,
    OrdStatus,
    OrdType,
    QuoteStatus,
    QuoteStatusReport,
    Reason,
    Reject,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    TimeInForce,
    Trigger,
    VenueDefined,
    content_hash,
    order_id_text,
)
from lockstep import backtesting
from lockstep.backtesting import GENERATED_START_NS, run_backtest
from replay.audit import Stream, order_life
from replay.backtest.feed import FeedEvent
from replay.player import verify
from replay.why import why
from tests.end_to_end.system import configuration

MS = 1_000_000
BID = 6_180_000
# Milliseconds and the bid then: up, which pulls the trail and takes the profit, and down through both.
PATH = ((0, 0), (120, 100), (130, 400), (140, 700), (145, 500), (155, 390), (300, 300), (500, 0), (600, 0))


def market(instruments):
    i = instruments["BTCUSDT"].instrument
    for n, (ms, by) in enumerate(PATH):
        bid = BID + by
        bids, asks = [Level(bid, 1000), Level(bid - 10, 900)], [Level(bid + 10, 500), Level(bid + 20, 800)]
        m = MarketByPriceSnapshot(instrument=i, stream=1, exchange_seq=100 + n, bids=bids, asks=asks)
        yield FeedEvent(GENERATED_START_NS + ms * MS, GENERATED_START_NS + ms * MS, m)


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    folder = tmp_path_factory.mktemp("types")
    entry = {"class": f"{Path(__file__).with_name('orders_strategy.py')}:Orders", "account": "demo"}
    config = configuration(
        folder / "unused", strategy={"types": entry}, backtest={"order_latency": "2ms", "duration": "2s"}, risk={}
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(backtesting, "_feed", lambda config, source, instruments: market(instruments))
        for name in ("day", "again"):
            run_backtest(config, folder / name)
    return folder / "day"


@pytest.fixture(scope="module")
def told(day):
    return list(frames(day))


def of(told, *classes):
    return [f for f in told if isinstance(f.message, classes)]


def test_two_runs_are_equal_and_the_replay_is_identical(day):
    def digest(folder):
        return [hashlib.blake2b(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.seg"))]

    assert digest(day) == digest(day.with_name("again"))
    assert verify(day).identical


def test_the_venue_says_what_it_takes_and_nothing_was_refused(told):
    (venue,) = of(told, VenueDefined)
    assert venue.message.ord_types == 1 << OrdType.LIMIT | 1 << OrdType.MARKET
    assert of(told, Reject) == []
    assert of(told, Alert) == []
    assert [f.message for f in of(told, ExecutionReport) if f.message.exec_type == ExecType.REJECTED] == []
    assert {f.message.ord_type for f in of(told, RoutedOrder)} == {OrdType.LIMIT, OrdType.MARKET}


def test_every_routed_order_has_its_own_pass(told):
    by_seq = {f.header.seq: f for f in told}
    routed = of(told, RoutedOrder)
    passes = [f.message.risk_seq for f in routed]
    assert len(set(passes)) == len(passes)
    for f in routed:
        decision = by_seq[f.message.risk_seq]
        assert isinstance(decision.message, RiskDecision)
        assert decision.header.seq < f.header.seq
        assert decision.message.content_hash == f.message.content_hash == content_hash(f.message)


def test_the_trailing_stop_followed_and_each_link_is_the_cause_of_the_next(told):
    by_seq = {f.header.seq: f for f in told}
    asked = next(f.message for f in of(told, NewOrder) if f.message.ord_type == OrdType.TRAILING_STOP)
    trigger = next(f for f in of(told, EmulatedTrigger) if f.message.order_id == asked.order_id)
    assert trigger.message.trigger == Trigger.BID
    # The best bid was 700 up, the trail is 300 ticks of a cent behind: it stands at 400.
    assert (trigger.message.trigger_px, trigger.message.observed_px) == (BID + 400, BID + 390)
    assert trigger.header.cause == trigger.message.input_seq
    routed = next(f for f in of(told, RoutedOrder) if f.message.order_id == asked.order_id)
    assert by_seq[routed.header.cause].header.cause == trigger.header.seq
    assert (routed.message.ord_type, routed.message.tif) == (OrdType.MARKET, TimeInForce.IOC)
    last = [f.message for f in of(told, ExecutionReport) if f.message.order_id == asked.order_id][-1]
    assert last.ord_status == OrdStatus.FILLED


def test_the_bracket_took_its_profit_and_let_its_stop_go(told):
    entry, stop, profit = (m.message.order_id for m in of(told, NewOrder)[:3])
    ends = {f.message.order_id: f.message for f in of(told, ExecutionReport)}
    assert [ends[x].ord_status for x in (entry, stop, profit)] == [OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.FILLED]
    assert ends[stop].reason == Reason.CONTINGENCY
    assert [f.message.list_status for f in of(told, ListStatus)][:3] == [
        ListStatusCode.RECEIVED, ListStatusCode.EXECUTING, ListStatusCode.ALL_DONE,
    ]  # fmt: skip


def test_the_order_with_an_end_was_canceled_by_us_then(told):
    expired = [f for f in of(told, RoutedCancel) if f.message.reason == Reason.EXPIRED_BY_TIME]
    assert len(expired) == 1
    asked = next(f for f in of(told, NewOrder) if f.message.order_id == expired[0].message.order_id)
    assert expired[0].header.ts >= asked.message.expire_ts > asked.header.ts


def test_the_sweep_of_buys_ended_with_one_final_report(told):
    reports = [f.message for f in of(told, CancelAllReport)]
    assert [r.final for r in reports] == [0, 1]
    assert reports[-1].matched == reports[-1].canceled > 0
    sides = {f.message.order_id: f.message.side for f in of(told, NewOrder)}
    ends = {f.message.order_id: f.message for f in of(told, ExecutionReport)}
    assert all(ends[x].leaves_qty == 0 for x, side in sides.items() if side == 1)
    assert any(ends[x].leaves_qty for x, side in sides.items() if side == 2)


def test_the_quotes_were_replaced_and_pulled(told):
    said = [f.message.quote_status for f in of(told, QuoteStatusReport)]
    assert said == [QuoteStatus.ACCEPTED, QuoteStatus.ACTIVE, QuoteStatus.ACCEPTED, QuoteStatus.ACTIVE, QuoteStatus.CANCELED]


def test_every_order_s_life_begins_with_a_price_or_a_timer(day, told):
    """Whatever kind it is: nothing of it hangs in the air, and nothing is left untold."""
    stream = Stream(day)
    for order_id in {f.message.order_id for f in of(told, ExecutionReport)}:
        life = order_life(stream, order_id_text(order_id))
        assert {e.kind for e in life.events if not e.parent} <= {"MarketByPriceSnapshot", "Clock"}
        assert all(e.fields or e.kind == "Clock" for e in life.events)
        assert life.headline
    trailing = next(f.message for f in of(told, NewOrder) if f.message.ord_type == OrdType.TRAILING_STOP)
    tree = why(day, order_id_text(trailing.order_id))
    assert not tree.incomplete
    assert any(s.timer and s.timer.app == "types" for s in tree.steps if s.kind == "NewOrder")
    assert len({s.seq for s in tree.steps if s.kind == "RiskDecision"}) == 2
