"""Handlers in C do what those in Python do: the same books, emissions, wakes, remembered touches and bytes of every state."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apps.group
from apps.app import App
from apps.books.app import Books
from apps.books.book import LEVELS_FIRST
from apps.group import Group
from apps.ledger import Ledger
from apps.risk import RiskApp
from journal.messages import (
    NULL,
    BookState,
    BookStateCode,
    Level,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    SourceDefined,
    SourceRole,
    TopOfBook,
)
from journal.reader import JournalReader
from journal.writer import JournalWriter
from tests.apps.stream import MANY, Stream

pytestmark = pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")

BOOKS, RISK, WAKES = 5, 6, 9


class Wakes(App):
    """What a strategy hears of its own books, and how they stand when it hears it. Keeps some of the messages."""

    requires = (Books,)

    def __init__(self):
        self.heard = []
        self.kept = []

    def derived_handlers(self):
        return {TopOfBook.KIND: self.touch, BookState.KIND: self.touch}

    def touch(self, m):
        book = self.uses(Books).book(m.instrument)
        self.heard.append((self.seq, self.now, self.source, m.encode(), book.bid_px, book.ask_qty, book.seq, book.touched))
        if len(self.heard) % 3 == 0:
            self.kept.append(m)


def group_of(*, accelerated, publish=None):
    group = Group()
    if not accelerated:
        group._runner = None
    for name, app, source in (("books", Books(), BOOKS), ("risk", RiskApp(), RISK), ("wakes", Wakes(), WAKES)):
        ledger = Ledger(name, publish and (lambda e, source=source: publish.append((source, e))))
        group.add(name, app, source=source, ledger=ledger)
    return group


def state_of(group):
    """Everything: states as bytes, what readers of the books see, contexts, ledgers."""
    looks = []
    for slot in group.slots:
        if isinstance(slot.app, Books):
            slot.app.check()
            books = [slot.app.book(i) for i in range(4)]
            looks += [(b.touched, b.touch_seq, b.seq, b.verified, b.given, *b.contents()) for b in books]
    return (
        group.seq,
        group.now,
        [slot.snapshot() for slot in group.slots],
        [(slot.app.seq, slot.app.now, slot.app.source, slot.events) for slot in group.slots],
        [(s.ledger.compared, s.ledger.emitted, list(s.ledger.pending.values())) for s in group.slots if s.ledger],
        looks,
    )


def played(folder, *, accelerated, batch=4096):
    group = group_of(accelerated=accelerated)
    states = []
    with JournalReader(folder) as reader:
        while (polled := reader.poll(batch)) is not None:
            group.run(polled.buffer, polled.refs)
            states.append(state_of(group))
    return states


def a_level(draw):
    return Level(draw(st.integers(95, 106)), draw(st.integers(0, 3)))


@st.composite
def market(draw):
    """Two instruments, mostly continued as venues do it, with gaps, repetitions, crossings and bad levels in between."""
    last = {1: 0, 2: 0}
    frames = [(SourceDefined(source=BOOKS, role=SourceRole.BOOKS), 0)] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(5, 60))):
        instrument = draw(st.sampled_from([1, 1, 2]))
        what = draw(st.integers(0, 19))
        common = {"instrument": instrument, "stream": draw(st.sampled_from([2] * 9 + [3])), "connection_epoch": 1}
        source = draw(st.sampled_from([3] * 15 + [4]))
        if what == 0 or not last[instrument]:
            seq = last[instrument] = last[instrument] + draw(st.integers(0, 3))
            bids = [Level(99 - i, 1 + i) for i in range(draw(st.integers(0, 4)))]
            asks = [Level(101 + i, 1 + i) for i in range(draw(st.integers(0, 4)))]
            frames.append((MarketByPriceSnapshot(**common, exchange_seq=seq, bids=bids, asks=asks), source))
            last[instrument] = max(last[instrument], 1)
        elif what == 1:
            state = draw(st.sampled_from([BookStateCode.STALE, BookStateCode.INVALID]))
            frames.append((BookState(**common, state=state, reason=1), source))
        elif what == 2:
            frames.append((TopOfBook(**common, bid_px=draw(st.integers(-(2**63), 2**63 - 1)), ask_px=7), source))
        else:
            before = last[instrument] + (draw(st.integers(-2, 2)) if what == 3 else 0)
            numbers = {"prev_exchange_seq": max(before, 0), "exchange_seq": max(before, 0) + draw(st.integers(1, 2))}
            if what == 4:
                numbers = {"exchange_seq": numbers["exchange_seq"]}
            if what == 5:
                numbers = {"first_exchange_seq": max(before, 0) + 1, "exchange_seq": numbers["exchange_seq"]}
            last[instrument] = max(last[instrument], numbers["exchange_seq"])
            wild = what == 6
            bids = [Level(a_level(draw).px - 6 * (not wild), a_level(draw).qty) for _ in range(draw(st.integers(0, 3)))]
            asks = [Level(a_level(draw).px + 6 * (not wild), a_level(draw).qty) for _ in range(draw(st.integers(0, 3)))]
            if what == 7:
                bids.append(Level(90, -1))
            frames.append(
                (MarketByPriceUpdate(**common, **numbers, exchange_ts=what, sending_ts=what + 1, bids=bids, asks=asks), source)
            )
    return frames


def recorded(folder, frames):
    stream = Stream(folder)
    for name, app, source in (("books", Books(), BOOKS), ("risk", RiskApp(), RISK), ("wakes", Wakes(), WAKES)):
        stream.add(name, app, source)
    for message, source in frames:
        stream.input(message, source=source)
    stream.close()


@settings(max_examples=MANY // 5, deadline=None)
@given(st.data())
def test_the_same_market(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("market")
    recorded(folder, data.draw(market()))
    batch = data.draw(st.sampled_from([1, 7, 4096]))
    assert played(folder, accelerated=True, batch=batch) == played(folder, accelerated=False, batch=batch)


def live_market(count=300):
    yield SourceDefined(source=BOOKS, role=SourceRole.BOOKS), 0
    levels = {"bids": [Level(99, 5), Level(98, 5)], "asks": [Level(101, 5), Level(102, 5)]}
    yield MarketByPriceSnapshot(instrument=1, stream=2, exchange_seq=1, **levels), 3
    for n in range(1, count):
        changed = {"bids": [Level(99 - n % 3, 1 + n % 5)], "asks": [Level(101 + n % 2, 1 + n % 7)]}
        yield MarketByPriceUpdate(instrument=1, stream=2, prev_exchange_seq=n, exchange_seq=n + 1, **changed), 3


def test_a_live_book_needs_no_python(tmp_path, monkeypatch):
    """What the two ways are compared over is not the way in Python twice."""
    recorded(tmp_path, live_market())
    plain = played(tmp_path, accelerated=False)

    def never(*_):
        raise AssertionError("in Python")

    monkeypatch.setattr(Books, "on_market_by_price_update", never)
    monkeypatch.setattr("riskengine.world.World.on_top_of_book", never)
    assert played(tmp_path, accelerated=True) == plain
    assert plain[-1][4][0][0] > 200, "hardly a touch was compared"


@pytest.mark.parametrize("wide", [1, LEVELS_FIRST - 1, LEVELS_FIRST * 2])
def test_a_book_that_grows(tmp_path, wide):
    frames = list(live_market(3))
    for n in range(3, 20):
        bids = [Level(-n * wide - i, 1) for i in range(wide)]
        frames.append((MarketByPriceUpdate(instrument=1, stream=2, prev_exchange_seq=n, exchange_seq=n + 1, bids=bids), 3))
    recorded(tmp_path, frames)
    fast = played(tmp_path, accelerated=True)
    assert fast == played(tmp_path, accelerated=False)


def test_an_update_that_crosses_is_applied_once(tmp_path):
    """A crossed book is left to Python, which is told what the update gave: it leaves LIVE, with the levels as they are."""
    crossing = {"bids": [Level(103, 1), Level(103, 0), Level(104, 2)]}
    after = {"bids": [Level(1, 1)]}
    frames = [
        *live_market(3),
        (MarketByPriceUpdate(instrument=1, stream=2, prev_exchange_seq=3, exchange_seq=4, **crossing), 3),
        (MarketByPriceUpdate(instrument=1, stream=2, prev_exchange_seq=4, exchange_seq=5, **after), 3),
    ]
    recorded(tmp_path, frames)
    fast = played(tmp_path, accelerated=True)
    assert fast == played(tmp_path, accelerated=False)


@settings(max_examples=MANY * 2 // 3, deadline=None)
@given(st.data())
def test_hostile_updates(tmp_path_factory, data):
    """Rows that are said to stand anywhere, and bodies that end too early: the same end as in Python, or the same error."""
    folder = tmp_path_factory.mktemp("hostile")
    good = MarketByPriceUpdate(
        instrument=1, stream=2, prev_exchange_seq=2, exchange_seq=3, bids=[Level(99, 1)], asks=[Level(101, 2)]
    ).encode()
    bent = bytearray(good)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(48, len(bent) - 1))
        bent[at] = data.draw(st.sampled_from([0, 1, 8, 16, 64, 72, 255]))
    with JournalWriter.open(folder, stream_id=1, nonce=1, segment_bytes=1 << 20) as writer:
        for seq, (message, source) in enumerate(list(live_market(2)), 1):
            writer.append(message, ts=seq, source=source)
        writer.append_bytes(MarketByPriceUpdate.KIND, MarketByPriceUpdate.VERSION, bytes(bent), ts=10, source=3)
    with JournalReader(folder) as reader:
        batch = reader.poll()
        refs, whole = batch.refs, bytes(batch.buffer)
    end = len(whole) - data.draw(st.integers(0, 1)) * (len(whole) - int.from_bytes(refs[-24:-20], "little") - 64 - 40)
    found = []
    for accelerated in (True, False):
        group = group_of(accelerated=accelerated)
        try:
            group.run(memoryview(whole)[:end], refs)
            outcome = "good"
        except Exception as error:
            outcome = type(error).__name__
        found.append((outcome, state_of(group)))
    assert found[0] == found[1]


def test_a_remembered_touch_that_somebody_holds_stays_what_it_was(tmp_path):
    recorded(tmp_path, live_market(30))
    group = group_of(accelerated=True)
    memory = next(slot.app for slot in group.slots if slot.name == "risk").engine.memory
    held = []
    with JournalReader(tmp_path) as reader:
        while (batch := reader.poll(1)) is not None:
            group.run(batch.buffer, batch.refs)
            touch = memory.touches.get(1)
            if touch is not None and len(held) < 5:
                held.append((touch, touch.bid_px, touch.ask_px, touch.seq, touch.ts))
    assert len(held) == 5
    assert all((t.bid_px, t.ask_px, t.seq, t.ts) == (bid, ask, seq, ts) for t, bid, ask, seq, ts in held)


def test_touches_go_to_python_while_a_limit_looks_back(tmp_path):
    """What the window of a price collar holds must not depend on which way a touch came."""
    limit = RiskLimitSet(
        limit=1, check=RiskCheck.PRICE_COLLAR_WINDOW, hard=1, exp=-2, period_ns=32, scope_type=ScopeType.GLOBAL
    )
    frames = list(live_market(40))
    off = RiskLimitSet(limit=1, check=RiskCheck.PRICE_COLLAR_WINDOW, hard=NULL, generation=1, scope_type=ScopeType.GLOBAL)
    recorded(tmp_path, [*frames[:10], (limit, 3), *frames[10:30], (off, 3), *frames[30:]])
    fast, kept = group_of(accelerated=True), []
    risk = next(slot.app for slot in fast.slots if slot.name == "risk")
    with JournalReader(tmp_path) as reader:
        while (batch := reader.poll(1)) is not None:
            fast.run(batch.buffer, batch.refs)
            kept.append(sum(map(len, risk.engine.memory.windows.values())))
    assert max(kept) > 0
    assert kept[0] == kept[-1] == 0
    assert played(tmp_path, accelerated=True) == played(tmp_path, accelerated=False)
