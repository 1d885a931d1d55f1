"""A strategy that says how often it looks is woken no more often, and either way of the step wakes it alike."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apps.group
from apps.app import App
from apps.books.app import Books
from apps.ledger import Ledger
from apps.strategy import MILLISECOND, Strategy, on
from journal.messages import Clock, Level, MarketByPriceSnapshot, MarketByPriceUpdate, TopOfBook, TradeSummary
from journal.reader import JournalReader
from tests.apps.stream import MANY, Stream

BOOKS, FEED, LOOKS, HEARS = 5, 3, 8, 9


class Glances(Strategy):
    every_ms: int = 5

    def start(self):
        self.seen = []

    @on(TopOfBook, wake="touch_changed", every="every_ms")
    def touch(self, m):
        self.seen.append((self.now, self.seq, m.instrument, m.bid_px, m.ask_px))

    @on(TradeSummary)
    def trade(self, m):
        self.look_again(m.instrument, self.now + m.exchange_seq * MILLISECOND if m.exchange_seq else 0)

    @on(MarketByPriceUpdate)
    def update(self, m):
        if m.exchange_ts:  # in the very frame of a touch, which the books have said already
            self.look_again(m.instrument)


class Hears(App):
    """Hears every touch, whoever else does."""

    requires = (Books,)

    def __init__(self):
        self.heard = []

    def derived_handlers(self):
        return {TopOfBook.KIND: self.touch}

    def touch(self, m):
        self.heard.append((self.seq, m.encode()))


def glances(every_ms=5):
    strategy = Glances()
    strategy.configure({"every_ms": every_ms})
    return strategy


def with_apps(add, *, every_ms=5, hears=True):
    slots = [add("books", Books(), BOOKS), add("looks", glances(every_ms), LOOKS)]
    return slots + ([add("hears", Hears(), HEARS)] if hears else [])


def update(n, px, *, instrument=1, **more):
    bids = [Level(px, 5), Level(px - 1, 0)]
    return MarketByPriceUpdate(instrument=instrument, stream=2, prev_exchange_seq=n, exchange_seq=n + 1, bids=bids, **more)


def snapshot(instrument=1):
    return MarketByPriceSnapshot(instrument=instrument, stream=2, exchange_seq=1, bids=[Level(99, 5)], asks=[Level(10_000, 5)])


def test_it_looks_once_in_a_while(tmp_path):
    stream = Stream(tmp_path)
    _, slot = with_apps(stream.add, hears=False)
    stream.input(snapshot(), source=FEED)
    begun = slot.events
    for n in range(1, 20):
        stream.input(TradeSummary(instrument=2), source=FEED)  # nothing about this instrument
        stream.input(update(n, 99 + n), source=FEED, ts=stream.ts + MILLISECOND)
    seen = slot.app.seen
    assert len(seen) == 7
    assert all(after[0] - before[0] >= 5 * MILLISECOND for before, after in pairwise(seen))
    # What passes it by is no event of its: of the snapshot, trades, updates and touches that it handled itself, the last seven.
    assert slot.events - begun == 19 + 19 + 6
    stream.close()


def test_it_looks_again_when_it_says(tmp_path):
    stream = Stream(tmp_path)
    _, slot = with_apps(stream.add, every_ms=1000, hears=False)
    stream.input(snapshot(), source=FEED)
    stream.input(update(1, 100), source=FEED)
    assert len(slot.app.seen) == 1
    stream.input(TradeSummary(instrument=1), source=FEED)
    stream.input(update(2, 101), source=FEED)
    stream.input(update(3, 102), source=FEED)
    assert [s[3] for s in slot.app.seen] == [99, 101]
    stream.input(TradeSummary(instrument=1, exchange_seq=3), source=FEED)
    for n in range(4, 9):
        stream.input(update(n, 99 + n), source=FEED)
    assert [s[3] for s in slot.app.seen] == [99, 101, 105]
    stream.close()


def test_each_instrument_has_its_own_time(tmp_path):
    stream = Stream(tmp_path)
    _, slot = with_apps(stream.add, every_ms=1000, hears=False)
    for instrument in (1, 2):
        stream.input(snapshot(instrument), source=FEED)
    for n in range(1, 4):
        for instrument in (1, 2):
            stream.input(update(n, 99 + n, instrument=instrument), source=FEED)
    assert [(s[2], s[3]) for s in slot.app.seen] == [(1, 99), (2, 99)]
    stream.close()


def test_new_parameters_hold_from_the_next_look_on(tmp_path):
    stream = Stream(tmp_path)
    _, slot = with_apps(stream.add, every_ms=1000, hears=False)
    stream.input(snapshot(), source=FEED)
    slot.app.configure({"every_ms": 0})
    for n in range(1, 4):
        stream.input(update(n, 99 + n), source=FEED)
    assert [s[3] for s in slot.app.seen] == [99]
    slot.app.look_again(1)
    for n in range(4, 7):
        stream.input(update(n, 99 + n), source=FEED)
    assert [s[3] for s in slot.app.seen] == [99, 103, 104, 105]
    stream.close()


class Misnamed(Strategy):
    every_ms: int = 5

    @on(TopOfBook, wake="touch_changed", every="evry_ms")
    def touch(self, m): ...


@pytest.mark.parametrize(
    ("strategy", "every_ms", "found"), [(Glances, -1, "'every_ms' of touch: -1"), (Misnamed, 5, "'evry_ms' of touch: None")]
)
def test_it_must_be_a_parameter_of_milliseconds(strategy, every_ms, found):
    with pytest.raises(ValueError, match=f"every={found}; expected a parameter of milliseconds, 0 or more"):
        strategy().configure({"every_ms": every_ms})


@pytest.mark.parametrize(("kind", "terms", "why"), [
    (Clock, {"wake": "touch_changed"}, "of Clock; expected TopOfBook"),
    (TopOfBook, {"every": "every_ms"}, "without a wake"),
    (TopOfBook, {"wake": "always"}, "expected 'touch_changed'"),
])  # fmt: skip
def test_what_cannot_wake_is_refused(kind, terms, why):
    with pytest.raises(ValueError, match=why):
        on(kind, **terms)


def test_what_it_has_looked_at_is_state(tmp_path):
    stream = Stream(tmp_path)
    _, slot = with_apps(stream.add, every_ms=1000, hears=False)
    stream.input(snapshot(), source=FEED)
    other = glances(1000)
    other.restore(slot.app.snapshot())
    assert other._looks == slot.app._looks
    assert other._looks.after == {1: slot.app.seen[0][0] + 1000 * MILLISECOND}
    assert other.digest() == slot.app.digest()
    stream.close()


@st.composite
def market(draw):
    """Touches of two instruments, some in frames at which the strategy asks to look again, some after trades that say when."""
    frames, last = [], {1: 0, 2: 0}
    for _ in range(draw(st.integers(5, 60))):
        instrument = draw(st.sampled_from([1, 1, 2]))
        what = draw(st.integers(0, 9))
        after = draw(st.sampled_from([1, 2, MILLISECOND, 3 * MILLISECOND]))
        if not last[instrument] or what == 0:
            last[instrument] = 1
            frames.append((snapshot(instrument), after))
        elif what == 1:
            frames.append((TradeSummary(instrument=instrument, exchange_seq=draw(st.integers(0, 4))), after))
        else:
            n = last[instrument]
            last[instrument] += 1
            px = 99 + draw(st.integers(0, 3))
            frames.append((update(n, px, instrument=instrument, exchange_ts=int(what == 2)), after))
    return frames


def played(folder, *, accelerated, hears, every_ms):
    group = apps.group.Group()
    if not accelerated:
        group._runner = None
    slots = with_apps(lambda n, a, s: group.add(n, a, source=s, ledger=Ledger(n)), every_ms=every_ms, hears=hears)
    with JournalReader(folder) as reader:
        while (batch := reader.poll()) is not None:
            group.run(batch.buffer, batch.refs)
    states = [(s.snapshot(), s.events, s.app.seq, s.app.now) for s in group.slots]
    return states, slots[1].app.seen, slots[-1].app.heard if hears else []


@pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")
@settings(max_examples=MANY // 2, deadline=None)
@given(st.data())
def test_both_ways_wake_alike(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("looks")
    terms = {"hears": data.draw(st.booleans()), "every_ms": data.draw(st.sampled_from([0, 1, 5]))}
    stream = Stream(folder)
    with_apps(stream.add, **terms)
    for message, after in data.draw(market()):
        stream.input(message, source=FEED, ts=stream.ts + after)
    stream.close()
    fast, plain = (played(folder, accelerated=accelerated, **terms) for accelerated in (True, False))
    assert fast == plain
    assert fast[1]
