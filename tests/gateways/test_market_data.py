"""The market-data session: joining, following, losing and finding the book; whatever the venue sends."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.sim.mapping import Listing
from gateways.sim.market_data import MarketDataSession
from gateways.sim.session import RAW_PART_BYTES_MAX
from journal.messages import (
    NULL,
    BookState,
    BookStateCode,
    BookStateReason,
    ConnectionState,
    Flag,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    MarketDataGap,
    MarketStatus,
    RawMessage,
    Side,
    StreamStatus,
    TopOfBook,
    TradeSummary,
    TradingStatus,
    VenueError,
    VenueErrorCode,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason="recorded venue data is not beside this checkout")
MS = 1_000_000
LISTING = Listing(7, "BTCUSDT", -2, -3)


def session(raw=False, **settings):
    found = MarketDataSession([LISTING], venue=1, raw=raw, **settings)
    found.connected(0)
    return found


def messages(out, *kinds):
    return [o.message for o in out if not kinds or isinstance(o.message, kinds)]


def depth(first, last, prev=None, bids=(), asks=(), symbol="BTCUSDT"):
    data = {"e": "depthUpdate", "E": 5, "T": 4, "s": symbol, "U": first, "u": last, "b": list(bids), "a": list(asks)}
    if prev is not None:
        data["pu"] = prev
    return json.dumps({"stream": "btcusdt@depth@0ms", "data": data}).encode()


def inline(last, bids=(), asks=()):
    return json.dumps({"lastUpdateId": last, "E": 5, "T": 4, "bids": list(bids), "asks": list(asks)}).encode()


def answer(request, last, bids=(), asks=()):
    result = {"lastUpdateId": last, "E": 5, "T": 4, "bids": list(bids), "asks": list(asks)}
    return json.dumps({"id": json.loads(request)["id"], "status": 200, "result": result}).encode()


class Reader:
    """An independent, obvious reader of our messages: the book that an app would have."""

    def __init__(self):
        self.bids, self.asks, self.seq, self.live = {}, {}, 0, False

    def take(self, out):
        for m in messages(out):
            if isinstance(m, MarketByPriceSnapshot):
                self.bids, self.asks = {r.px: r.qty for r in m.bids}, {r.px: r.qty for r in m.asks}
                self.seq = m.exchange_seq
            elif isinstance(m, MarketByPriceUpdate):
                for side, rows in ((self.bids, m.bids), (self.asks, m.asks)):
                    for r in rows:
                        side[r.px] = r.qty
                        if not r.qty:
                            del side[r.px]
                self.seq = m.exchange_seq
            elif isinstance(m, BookState):
                self.live = m.state == BookStateCode.LIVE


# Joining.


def test_inline_snapshot_joins_the_kept_updates():
    s = session()
    assert messages(s.receive(depth(1, 4, 0, [["1", "1"]]), 1)) == []
    assert messages(s.receive(depth(5, 8, 4, [["2", "1"]]), 1)) == []
    out = s.receive(inline(6, [["2.00", "3"], ["1", "1"]], [["3", "0.5"]]), 2)
    kinds = [type(m) for m in messages(out)]
    assert kinds == [MarketByPriceSnapshot, MarketByPriceUpdate, BookState]
    snapshot, update, state = messages(out)
    assert [(r.px, r.qty) for r in snapshot.bids] == [(200, 3000), (100, 1000)]
    assert out[0].flags & Flag.SNAPSHOT
    assert (update.prev_exchange_seq, update.first_exchange_seq, update.exchange_seq) == (4, 5, 8)
    assert (update.exchange_ts, update.sending_ts) == (4 * MS, 5 * MS)
    assert (state.state, state.reason, state.exchange_seq_last) == (BookStateCode.LIVE, BookStateReason.VERIFIED, 8)
    assert [m.exchange_seq for m in messages(s.receive(depth(9, 9, 8), 3))] == [9]


def test_snapshot_is_asked_for_after_a_grace_and_again_until_answered():
    s = session(snapshot_grace_ns=100, answer_within_ns=1000)
    assert s.requests(99) == []
    (first,) = s.requests(100)
    assert json.loads(first)["method"] == "depth"
    assert s.requests(500) == []
    (second,) = s.requests(1100)
    assert messages(s.receive_answer(answer(first, 5), 1101)) == []  # given up meanwhile
    assert messages(s.receive_answer(answer(second, 6), 1102), BookState)[0].state == BookStateCode.LIVE
    assert s.requests(10**12) == []


def test_no_book_yet_is_asked_again_quietly():
    s = session(snapshot_grace_ns=0)
    (first,) = s.requests(0)
    refusal = {"id": json.loads(first)["id"], "status": 503, "error": {"code": -1008, "msg": "no book yet"}}
    assert messages(s.receive_answer(json.dumps(refusal).encode(), 1)) == []
    assert s.requests(2) == []
    assert len(s.requests(s.next_timer_ns())) == 1


def test_snapshot_older_than_everything_kept():
    s = session(snapshot_grace_ns=0)
    s.receive(depth(11, 14, 10), 1)
    (ask,) = s.requests(1)
    (state,) = messages(s.receive_answer(answer(ask, 5), 2))
    assert (state.state, state.reason) == (BookStateCode.STALE, BookStateReason.SNAPSHOT_OLDER_THAN_BUFFER)
    (ask,) = s.requests(s.next_timer_ns())
    out = s.receive_answer(answer(ask, 12), 10**9)
    assert [m.exchange_seq for m in messages(out, MarketByPriceUpdate)] == [14]


@pytest.mark.parametrize("futures", [True, False])
def test_gap_makes_stale_asks_and_recovers(futures):
    s = session()
    s.receive(inline(10), 1)
    s.receive(depth(11, 12, 10 if futures else None), 1)
    out = s.receive(depth(15, 16, 14 if futures else None), 2)
    gap, state = messages(out)
    assert isinstance(gap, MarketDataGap)
    assert (gap.expected_seq, gap.got_seq) == (12, 14)
    assert (state.state, state.reason, state.exchange_seq_last) == (BookStateCode.STALE, BookStateReason.SEQUENCE_GAP, 12)
    assert messages(s.receive(depth(17, 18, 16 if futures else None), 3)) == []
    (ask,) = s.requests(3)
    out = s.receive_answer(answer(ask, 15), 4)
    assert [m.exchange_seq for m in messages(out, MarketByPriceSnapshot, MarketByPriceUpdate)] == [15, 16, 18]
    assert messages(out)[-1].state == BookStateCode.LIVE


def test_duplicates_are_dropped():
    s = session()
    s.receive(inline(10), 1)
    frame = depth(11, 12, 10)
    assert len(messages(s.receive(frame, 1))) == 1
    assert messages(s.receive(frame, 1)) == []
    assert messages(s.receive(inline(12), 1)) == []


def test_reconnection_never_joins_the_old_book():
    s = session()
    s.receive(inline(10), 1)
    epoch = s.connection_epoch
    out = messages(s.disconnected())
    assert next((type(m), getattr(m, "state", 0)) for m in out) == (BookState, BookStateCode.STALE)
    assert isinstance(out[1], StreamStatus)
    assert out[1].connection == ConnectionState.DISCONNECTED
    assert s.disconnected() == []
    out = messages(s.connected(5))
    assert out[0].connection_epoch == epoch + 1
    assert messages(s.receive(depth(11, 12, 10), 6)) == []  # would have followed, but the line was cut


def test_silence_makes_stale_and_the_next_update_live():
    s = session(silent_after_ns=100)
    s.receive(inline(10), 1)
    assert messages(s.on_timer(50)) == []
    (state,) = messages(s.on_timer(101))
    assert (state.state, state.reason) == (BookStateCode.STALE, BookStateReason.NO_UPDATE_TOO_LONG)
    assert messages(s.on_timer(500)) == []
    assert messages(s.receive(depth(11, 12, 10), 501))[-1].state == BookStateCode.LIVE


# The true book, whatever the order of arrival.


class TrueBook:
    """The venue: a few levels, random changes, updates and snapshots of any moment."""

    def __init__(self, changes, spot):
        self.spot, self.states, self.updates, last = spot, [(0, {}, {})], [], 0
        for width, side, px, qty in changes:
            _, bids, asks = self.states[-1]
            bids, asks = dict(bids), dict(asks)
            book = (bids, asks)[side]
            book[px] = qty
            if not qty:
                del book[px]
            row = [[f"{px}.00", f"{qty}"]]
            rows = (row, []) if side == 0 else ([], row)
            self.updates.append(depth(last + 1, last + width, None if spot else last, *rows))
            last += width
            self.states.append((last, bids, asks))

    def snapshot(self, at):
        last, bids, asks = self.states[at]
        return last, [[f"{p}", f"{q}"] for p, q in bids.items()], [[f"{p}", f"{q}"] for p, q in asks.items()]

    def mantissas(self, at):
        last, bids, asks = self.states[at]
        return last, {p * 100: q * 1000 for p, q in bids.items()}, {p * 100: q * 1000 for p, q in asks.items()}


changes = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 1), st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=7
)


@settings(max_examples=60, deadline=None)
@given(changes, st.booleans(), st.integers(0, 7))
def test_every_interleaving_of_snapshot_and_updates_gives_the_true_book(rows, spot, moment):
    venue = TrueBook(rows, spot)
    n = len(venue.updates)
    moment = min(moment, n)
    for position in range(n + 1):  # the snapshot of `moment` arrives before update number `position`
        s, reader = session(snapshot_grace_ns=0), Reader()
        for at in range(n + 1):
            if at == position:
                reader.take(s.receive(inline(*venue.snapshot(moment)), 1))
            for ask in s.requests(10**12):  # asks get the truth as of what was sent so far
                reader.take(s.receive_answer(answer(ask, *venue.snapshot(at)), 1))
            if at < n:
                reader.take(s.receive(venue.updates[at], 1))
        for ask in s.requests(10**15):
            reader.take(s.receive_answer(answer(ask, *venue.snapshot(n)), 1))
        assert reader.live
        assert (reader.seq, reader.bids, reader.asks) == venue.mantissas(max(n, moment))


@settings(max_examples=150, deadline=None)
@given(changes, st.booleans(), st.data())
def test_lost_doubled_and_reordered_updates_end_in_the_true_book(rows, spot, data):
    venue = TrueBook(rows, spot)
    n = len(venue.updates)
    arriving = data.draw(st.lists(st.integers(0, n - 1), max_size=8))
    s, reader = session(snapshot_grace_ns=0), Reader()
    reader.take(s.receive(inline(*venue.snapshot(0)), 0))
    for at in arriving:
        reader.take(s.receive(venue.updates[at], 1))
        if reader.live:  # what is live is a true book of some moment
            at_now = [state for state in range(n + 1) if venue.mantissas(state)[0] == reader.seq]
            assert (reader.seq, reader.bids, reader.asks) == venue.mantissas(at_now[0])
    for ask in s.requests(10**15):
        reader.take(s.receive_answer(answer(ask, *venue.snapshot(n)), 1))
    for update in venue.updates:
        reader.take(s.receive(update, 2))
    for ask in s.requests(10**16):
        reader.take(s.receive_answer(answer(ask, *venue.snapshot(n)), 3))
    assert (reader.live, reader.seq, reader.bids, reader.asks) == (True, *venue.mantissas(n))


# Other messages.


def test_trades_and_tops():
    s = session()
    trade = {"e": "trade", "E": 9, "T": 8, "s": "BTCUSDT", "t": 5, "p": "61800.30", "q": "0.006", "X": "MARKET", "m": True}
    (m,) = messages(s.receive(json.dumps({"stream": "btcusdt@trade", "data": trade}).encode(), 1))
    assert isinstance(m, TradeSummary)
    (row,) = m.trades
    assert (row.px, row.qty, row.side, row.trade_no, row.trade_ts) == (6180030, 6, Side.SELL, 5, 8 * MS)
    top = {"u": 9, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.78800000", "a": "0", "A": "0"}  # spot: no type, no time
    (m,) = messages(s.receive(json.dumps({"stream": "btcusdt@bookTicker", "data": top}).encode(), 1))
    assert isinstance(m, TopOfBook)
    assert (m.bid_px, m.bid_qty, m.ask_px, m.ask_qty, m.exchange_seq) == (6183763, 3788, NULL, NULL, 9)


@pytest.mark.parametrize("ms", [0, 1, 4, 5, 9_223_372_036_854])
def test_whatever_time_the_venue_writes_is_kept_and_orders_nothing(ms):
    """The past, the future, zero, the same again: recorded as it came; the book goes on, stale by our own time only. (T04)"""
    s = session(silent_after_ns=1000)
    s.receive(inline(10, [["1", "1"]]), 1)
    at = MS * ms
    for n, now in ((11, 2), (12, 3)):
        frame = depth(n, n, n - 1, [["1", str(n)]]).replace(b'"E": 5, "T": 4', f'"E": {ms}, "T": {ms}'.encode())
        (m,) = messages(s.receive(frame, now), MarketByPriceUpdate)
        assert (m.exchange_ts, m.sending_ts, m.exchange_seq) == (at, at, n)
    trade = {"e": "trade", "E": ms, "T": ms, "s": "BTCUSDT", "t": 5, "p": "1", "q": "1", "X": "MARKET", "m": True}
    (m,) = messages(s.receive(json.dumps({"stream": "btcusdt@trade", "data": trade}).encode(), 4), TradeSummary)
    assert m.trades[0].trade_ts == at
    assert messages(s.on_timer(1002), BookState) == []
    (state,) = messages(s.on_timer(1004), BookState)
    assert (state.state, state.reason) == (BookStateCode.STALE, BookStateReason.NO_UPDATE_TOO_LONG)


def trading_status(word):
    data = {"e": "tradingStatus", "E": 5, "T": 4, "s": "BTCUSDT", "S": word}
    return json.dumps({"stream": "btcusdt@tradingStatus", "data": data}).encode()


def test_whether_the_instrument_trades():
    s = session()
    for word, status in (("HALT", TradingStatus.HALT), ("TRADING", TradingStatus.OPEN)):
        (m,) = messages(s.receive(trading_status(word), 1))
        assert (m.instrument, m.trading_status, m.exchange_ts, m.sending_ts) == (7, status, 4 * MS, 5 * MS)
        assert isinstance(m, MarketStatus)
    (error,) = messages(s.receive(trading_status("LUNCH"), 1))
    assert (error.error, error.text) == (VenueErrorCode.UNKNOWN_ENUM, "trading status 'LUNCH' is unknown")


def test_unknown_trade_condition_is_kept_and_told_once():
    s = session()
    trade = {"e": "trade", "E": 9, "T": 8, "s": "BTCUSDT", "t": 5, "p": "1", "q": "1", "X": "NEW_THING", "m": True}
    frame = json.dumps(trade).encode()
    assert [type(m) for m in messages(s.receive(frame, 1))] == [TradeSummary, VenueError]
    assert [type(m) for m in messages(s.receive(frame, 1))] == [TradeSummary]


GOOD = depth(11, 12, 10, [["61800.10", "0.5"]])
BAD_FRAMES = [
    b"", b"{", b"[]", b"null", b"1", b'""', b"\xff\xfe", b"{}", GOOD[:-5], GOOD + b"x", b"[" * 200_000,
    GOOD.replace(b'"61800.10"', b"61800.10"), GOOD.replace(b"61800.10", b"6.18e4"), GOOD.replace(b"61800.10", b"NaN"),
    GOOD.replace(b"61800.10", b"-61800.10"), GOOD.replace(b'"0.5"', b'"-0.5"'), GOOD.replace(b"61800.10", b"61800.105"),
    GOOD.replace(b'"u": 12', b'"u": 12, "u": 13'), GOOD.replace(b'"u": 12', b'"u": 12, "\\u0075": 13'),
    GOOD.replace(b'"u": 12', b'"u": 99999999999999999999'), GOOD.replace(b'"u": 12', b'"u": -1'),
    GOOD.replace(b'"u": 12', b'"u": 12.0'), GOOD.replace(b'"u": 12', b'"u": "12"'), GOOD.replace(b'"U": 11', b'"U": 13'),
    GOOD.replace(b'["61800.10", "0.5"]', b'["61800.10"]'), GOOD.replace(b"depthUpdate", b"trade"),
    GOOD.replace(b"BTCUSDT", b"ETHUSDT"),
    GOOD.replace(b"btcusdt@depth@0ms", b"btcusdt@kline_1m").replace(b"depthUpdate", b"kline"),
    GOOD.replace(b'"T": 4', b'"T": 9999999999999999'), GOOD.replace(b"BTCUSDT", b"\\ud800"),
    json.dumps({"lastUpdateId": 5, "bids": [["1", "1"], ["1.0", "2"]], "asks": []}).encode(),
    depth(11, 12, 10, [["1", "1"]] * 30_001),
]  # fmt: skip


@pytest.mark.parametrize("frame", BAD_FRAMES, ids=range(len(BAD_FRAMES)))
def test_bad_frames_are_told_once_counted_and_hurt_nothing(frame):
    s = session()
    s.receive(inline(10), 1)
    (error,) = messages(s.receive(frame, 1))
    assert isinstance(error, VenueError)
    assert error.count == 1
    assert error.text
    assert [m.count for m in messages(itertools.chain(*(s.receive(frame, 1) for _ in range(120))), VenueError)] == [10, 100]
    error.encode()
    assert [m.exchange_seq for m in messages(s.receive(GOOD, 2))] == [12]


def test_a_thousand_sorts_of_nonsense_do_not_grow_without_end():
    s = session()
    out = [o for i in range(2000) for o in s.receive(json.dumps({"stream": f"x@{i}", "data": {"e": f"t{i}"}}).encode(), 1)]
    assert len(messages(out)) < 300
    assert len(s.complaints.counts) <= 257


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(GOOD) - 1))
def test_any_bytes_are_survived(junk, at):
    s = session(raw=True)
    s.receive(inline(10), 1)
    for frame in (junk, GOOD[:at] + junk + GOOD[at:], GOOD[:at], GOOD[:at] + junk + GOOD[at + len(junk) :]):
        for m in messages(s.receive(frame, 1)) + messages(s.receive_answer(frame, 1)):
            m.encode()


# Recording.


def test_raw_frames_are_recorded_and_are_the_cause():
    s = session(raw=True)
    s.receive(inline(10), 1)
    raw, update = s.receive(GOOD, 1)
    assert raw.message.data == GOOD
    assert not raw.of_raw
    assert update.of_raw
    assert raw.message.connection_epoch == s.connection_epoch


def test_a_frame_longer_than_a_journal_frame_is_recorded_in_parts():
    s = session(raw=True)
    frame = b"x" * (2 * RAW_PART_BYTES_MAX + 5)
    out = messages(s.receive(frame, 1), RawMessage)
    assert [(m.part, m.parts) for m in out] == [(0, 3), (1, 3), (2, 3)]
    assert b"".join(m.data for m in out) == frame
    assert all(len(m.encode()) + 64 <= 1 << 20 for m in out)


# Recorded messages of the venue.


@shared_data
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "kind"), [("depth_update_stream", None), ("trade_stream", TradeSummary), ("book_ticker_stream", TopOfBook)]
)
def test_sample_messages(name, kind):
    data = (SHARED / f"messages/binance/futures/market_data_json/{name}.json").read_bytes()
    s = MarketDataSession([Listing(1, "BTCUSDT", -8, -8), Listing(2, "BNBUSDT", -8, -8)], venue=1, raw=False)
    s.connected(0)
    out = messages(s.receive(data, 1))
    assert [type(m) for m in out] == ([kind] if kind else [])


@shared_data
@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name", ["ticker_stream", "mark_price_stream", "kline_stream_open", "liquidation_stream", "agg_trade_stream"]
)
def test_sample_messages_of_other_types_are_told_once(name):
    data = (SHARED / f"messages/binance/futures/market_data_json/{name}.json").read_bytes()
    s = session()
    (error,) = messages(s.receive(data, 1))
    assert error.error == VenueErrorCode.UNKNOWN_TYPE
    assert messages(s.receive(data, 1)) == []


@shared_data
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "px_exp", "qty_exp"),
    [("binance-usdm/hftbacktest_btcusdt_20240808.gz", -1, -3), ("binance-spot/hftbacktest_btcusdt_20240808.gz", -2, -8)],
)
def test_a_capture_gives_the_book_of_an_obvious_reader(file, px_exp, qty_exp):
    s, reader = MarketDataSession([Listing(1, "BTCUSDT", px_exp, qty_exp)], venue=1, raw=False), Reader()
    reader.take(s.connected(0))
    bids, asks, last, updates, compared, early = {}, {}, 0, 0, 0, []
    with gzip.open(SHARED / "captures" / file) as lines:
        for line in itertools.islice(lines, 30_000):
            body = line.partition(b" ")[2]
            reader.take(s.receive(body, 1))
            frame = json.loads(body)
            data = frame.get("data", frame)
            if "lastUpdateId" in data:
                last = data["lastUpdateId"]
                bids, asks = dict(data["bids"]), dict(data["asks"])
                for update in early:  # recorded before the snapshot, but newer than it
                    if update["u"] > last:
                        bids |= dict(update["b"])
                        asks |= dict(update["a"])
            elif "U" in data and not last:
                early.append(data)
            elif "U" in data and last and data["u"] > last:
                bids |= dict(data["b"])
                asks |= dict(data["a"])
                updates += 1
                if updates % 200 == 0:
                    compared += 1
                    for ours, theirs in ((reader.bids, bids), (reader.asks, asks)):
                        scaled = {round(float(p) * 10**-px_exp): round(float(q) * 10**-qty_exp) for p, q in theirs.items()}
                        assert ours == {p: q for p, q in scaled.items() if q}
    assert reader.live
    assert compared > 5
