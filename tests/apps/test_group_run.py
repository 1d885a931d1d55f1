"""The step of a group in C does what `Group.run` says in Python: the same calls, state, digests, emissions and errors."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apps.group
from apps.app import App
from apps.group import Group
from apps.ledger import Diverged, Ledger
from journal.errors import JournalCorrupt
from journal.frames import frames
from journal.messages import (
    NULL,
    REGISTRY,
    Clock,
    ConfigApplied,
    ConfigItem,
    Level,
    LogRecord,
    MarketByPriceUpdate,
    NewOrder,
    Reject,
    TopOfBook,
    TradeSummary,
)
from journal.messages.marketdata import Trade
from journal.reader import JournalReader, rows
from journal.writer import JournalWriter
from tests.apps.stream import MANY, Stream
from tests.journal.messages.test_messages_round_trip import messages_of

needs_it = pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")


class Base(App):
    def __init__(self):
        self.tops = {}

    def on_top_of_book(self, m):
        self.tops[m.instrument] = (m.bid_px, m.ask_px)
        if m.bid_px % 3 == 0:
            self.emit(LogRecord(about_seq=self.seq, text=f"third {m.bid_px}"))


class Busy(App):
    """Everything a group does for an app: timers set, moved and canceled, emissions, messages kept, a wake from its base."""

    requires = (Base,)

    def __init__(self):
        self.heard = []
        self.size = 1

    def configure(self, parameters):
        self.size = parameters.get("size", 1)

    def derived_handlers(self):
        return {LogRecord.KIND: self.told}

    def told(self, m):
        self.heard.append((self.seq, self.now, self.source, "told", m.text))

    def on_top_of_book(self, m):
        self.heard.append((self.seq, self.now, self.source, m, self.uses(Base).tops[m.instrument]))
        if m.bid_px % 5 == 0:
            self.set_timer(self.now + 2_500_000, m.bid_px % 4)
        if m.bid_px % 7 == 0:
            self.emit(NewOrder(order_id=abs(m.bid_px) + 1, order_qty=self.size))
        if m.bid_px % 11 == 0:
            self.cancel_timer(1)

    def on_market_by_price_update(self, m):
        self.heard.append((self.seq, self.source, m.exchange_seq, list(m.bids), [level.qty for level in m.asks]))

    def on_trade_summary(self, m):
        self.heard.append((self.seq, [t.trade_ref for t in m.trades]))

    def on_timer(self, token):
        self.heard.append((self.seq, self.now, self.source, "timer", token))
        self.emit(LogRecord(about_seq=self.seq, text=f"timer {token}"))


APPS = (("base", Base, 2, 0), ("busy", Busy, 3, 40))


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(apps.group, "DIGEST_EVERY", 64)
    monkeypatch.setattr(apps.group, "SNAPSHOT_EVERY", 256)


@pytest.fixture
def plainly(monkeypatch):
    """From its call on, apps speak and groups step as the reference says."""

    def switch():
        monkeypatch.setattr(App, "emit", App._emit)
        monkeypatch.setattr(Ledger, "accept", Ledger._accept)

    return switch


def group_of(*, accelerated, also=(), sink=None):
    group = Group()
    if not accelerated:
        group._runner = None
    for name, cls, source, active_from in (*APPS, *also):
        group.add(name, cls(), source=source, ledger=Ledger(name), active_from=active_from)
    group.snapshot_sink = sink
    return group


def a_day(folder, count=700):
    stream = Stream(folder)
    for name, cls, source, active_from in APPS:
        stream.add(name, cls(), source, active_from=active_from)
    for n in range(count):
        if n % 10 == 3:
            bids = [Level(10 * n + i, i) for i in range(n % 4)]
            stream.input(MarketByPriceUpdate(instrument=n % 3, exchange_seq=n, bids=bids, asks=[Level(1, 2)]))
        elif n % 10 == 6:
            stream.input(TradeSummary(instrument=1, trades=[Trade(px=n, trade_ref=f"ref-é{n}" * (n % 2))]))
        elif n == 200:
            stream.input(ConfigItem(owner=3, generation=2, name="size", value="5"))
            stream.input(ConfigApplied(owner=3, generation=2, items=1))
        else:
            top = TopOfBook(instrument=1 + n % 2, bid_px=n - 300, ask_px=NULL if n % 9 == 0 else n)
            stream.input(top, source=1 + n % 2 * 8)
    stream.close()
    return folder


def steps(group, reader, batch):
    """Through all there is, poll by poll."""
    while (polled := reader.poll(batch)) is not None:
        yield group.run(polled.buffer, polled.refs)


def reads(group, reader, batch):
    """The same as hosts do it that replay."""
    while (stepped := group.read(reader, max_frames=batch)) is not None:
        yield stepped


def ahead(group, reader, batch):
    """The same with a thread that reads ahead, however little there is to be read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apps.group, "AHEAD_FROM", 1)
        yield from reads(group, reader, batch)


def played(folder, *, accelerated, batch=4096, way=steps, **more):
    snapshots = []
    group = group_of(
        accelerated=accelerated, sink=lambda slot, moment: snapshots.append((slot.name, moment, slot.snapshot())), **more
    )
    count, error = 0, None
    with JournalReader(folder) as reader:
        try:
            for stepped in way(group, reader, batch):
                count += stepped
        except (Diverged, ZeroDivisionError) as raised:
            count, error = group.seq, str(raised)
    held = [slot.snapshot() for slot in group.slots if slot.name != "keeps"]
    context = [(slot.app.seq, slot.app.now, slot.app.source, slot.events) for slot in group.slots]
    ledgers = [(s.ledger.compared, s.ledger.emitted, list(s.ledger.pending.values())) for s in group.slots if s.ledger]
    return group, (count, error, group.seq, group.now, group.due, held, context, ledgers, snapshots)


@needs_it
@pytest.mark.parametrize("way", [steps, reads, ahead])
@pytest.mark.parametrize("batch", [1, 7, 300, 4096])
def test_the_same_day(tmp_path, often, plainly, batch, way):
    a_day(tmp_path)
    _, fast = played(tmp_path, accelerated=True, batch=batch, way=way)
    plainly()
    _, plain = played(tmp_path, accelerated=False)
    assert fast == plain
    assert fast[0] > 900
    assert fast[7][1][0] > 200, "hardly anything was compared"
    assert fast[8], "no snapshot was taken"


@needs_it
@pytest.mark.parametrize("way", [steps, reads, ahead])
def test_a_difference_is_found_at_the_same_frame(tmp_path, often, monkeypatch, way):
    a_day(tmp_path)
    plainly = Busy.on_timer

    def changed(self, token):
        plainly(self, token if len(self.heard) < 400 else token + 1)

    monkeypatch.setattr(Busy, "on_timer", changed)
    _, fast = played(tmp_path, accelerated=True, way=way)
    _, plain = played(tmp_path, accelerated=False)
    assert fast == plain
    assert "differs from the journal" in fast[1]


@needs_it
def test_an_emission_that_nobody_said_and_one_said_otherwise(tmp_path):
    """The parts of an emission, one by one: what C strikes off is what the ledger would have found equal."""
    stream = Stream(tmp_path)
    stream.add("base", Base(), 2)
    stream.input(TopOfBook(bid_px=3))
    stream.close()
    with JournalReader(tmp_path) as reader:
        batch = reader.poll()
        refs = batch.refs
        said = next(row for row in rows(refs) if row[2] == 2)
        whole = bytearray(batch.buffer)
    for offset, size in ((8, 2), (10, 2), (12, 2), (32, 8), (40, 8), (48, 8), (64, 8), (0, 4)):
        for bit in range(8 * size):
            bent = bytearray(whole)
            bent[said[0] + offset + bit // 8] ^= 1 << bit % 8
            found = []
            for accelerated in (True, False):
                group = Group()
                if not accelerated:
                    group._runner = None
                slot = group.add("base", Base(), source=2, ledger=Ledger("base"))
                try:
                    group.run(memoryview(bent), refs)
                    outcome = "the same"
                except Exception as error:
                    outcome = f"{type(error).__name__}: {error}"
                found.append((outcome, slot.ledger.compared, len(slot.ledger.pending), group.seq))
            assert found[0] == found[1], f"byte {offset}, bit {bit}"


@needs_it
@pytest.mark.parametrize("way", [steps, reads, ahead])
def test_what_a_handler_raises_leaves_the_group_where_python_would(tmp_path, way):
    class Fails(App):
        def on_trade_summary(self, m):
            if m.trades[0].px > 100:
                _ = 1 // 0

    a_day(tmp_path)
    also = [("fails", Fails, 12, 0)]
    _, fast = played(tmp_path, accelerated=True, also=also, way=way)
    _, plain = played(tmp_path, accelerated=False, also=also)
    assert fast == plain
    assert fast[1] == "integer division or modulo by zero"


def naps(group, seed):
    """An app that handles few frames and is woken among those that nobody handles; and where its host stands meanwhile."""
    draw, stands = random.Random(seed), []
    delays = [[draw.choice((0, 1, 3, 40, 900)) for _ in range(draw.randrange(3))] for _ in range(8)]

    class Naps(App):
        def __init__(self):
            self.woken = []

        def on_trade_summary(self, m):
            self.wake("frame", m.instrument)

        def on_timer(self, token):
            self.wake("timer", self.seq + token)

        def wake(self, why, n):
            self.woken.append((why, self.seq, self.now, self.source))
            stands.append((group.seq, group.now))
            for token, delay in enumerate(delays[n % len(delays)]):
                self.set_timer(self.now + (delay if why == "frame" else delay + 1), token)

    return Naps(), stands


@needs_it
@settings(max_examples=MANY // 4, deadline=None)
@given(
    seed=st.integers(0, 2**32), count=st.integers(1, 700), every=st.integers(1, 60), batch=st.sampled_from([1, 5, 300, 4096])
)
def test_frames_that_nobody_handles_wake_whoever_asked_for_it(tmp_path_factory, seed, count, every, batch):
    folder, draw, ts = tmp_path_factory.mktemp("naps"), random.Random(seed), 0
    with JournalWriter.open(folder, stream_id=1, nonce=1, segment_bytes=1 << 20) as writer:
        for n in range(1, count + 1):
            ts += draw.choice((1, 1, 1, 2, 30))
            message = TradeSummary(instrument=draw.randrange(100)) if draw.randrange(every) == 0 else Clock(mono_ns=n)
            writer.append(message, ts=ts, source=1, source_seq=n)
    found = []
    for way in (ahead, reads, steps):
        group = Group()
        if way is steps:
            group._runner = None
        app, stands = naps(group, seed)
        slot = group.add("naps", app, source=3, ledger=Ledger("naps"))
        with JournalReader(folder) as reader:
            stepped = sum(way(group, reader, batch))
        found.append((stepped, group.seq, group.now, group.due, stands, slot.snapshot()))
    assert found[0] == found[1] == found[2]
    assert found[0][0] == count


@needs_it
def test_no_frame_is_read_behind_the_one_that_was_asked_for(tmp_path):
    a_day(tmp_path)
    group = group_of(accelerated=True)
    with JournalReader(tmp_path) as reader:
        for to_seq in (1, 2, 50, 50, 49, 400):
            before = group.seq
            stepped = group.read(reader, to_seq=to_seq)
            assert (stepped or 0) == max(0, to_seq - before)
            assert group.seq == max(before, to_seq) == reader.seen_seq
        assert group.read(reader, max_frames=3, to_seq=500) == 3
        assert group.seq == 403


@needs_it
@pytest.mark.parametrize("way", [reads, ahead])
def test_damage_is_told_when_the_frames_before_it_have_been_handled(tmp_path, way):
    a_day(tmp_path)
    path = next(tmp_path.glob("*.seg"))
    with JournalReader(tmp_path) as reader:
        offset, *_, seq, _ = list(reader.poll())[600]
    data = bytearray(path.read_bytes())
    data[offset + 70] ^= 1
    path.write_bytes(data)
    group = group_of(accelerated=True)
    with JournalReader(tmp_path) as reader, pytest.raises(JournalCorrupt) as raised:
        for _ in way(group, reader, 4096):
            pass
    assert group.seq == seq - 1
    assert raised.value.offset == offset


@needs_it
def test_a_handler_may_close_the_reader(tmp_path):
    a_day(tmp_path)
    group, seen = Group(), []

    class Closes(App):
        def on_top_of_book(self, m):
            seen.append(m.bid_px)
            if len(seen) == 100:
                reader.close()

    group.add("closes", Closes(), source=12, ledger=Ledger("closes"))
    reader = JournalReader(tmp_path)
    assert group.read(reader, max_frames=20) == 20
    stepped = group.read(reader)
    assert 100 <= len(seen) <= 132
    assert group.seq == 20 + stepped


@needs_it
def test_a_debugger_gets_the_steps_in_python(tmp_path):
    a_day(tmp_path, 60)
    stops = []
    group = group_of(accelerated=True)
    group.before_handler = lambda slot, handler, message, seq: stops.append((slot.name, seq)) or handler(message)
    with JournalReader(tmp_path) as reader:
        batch = reader.poll()
        group.run(batch.buffer, batch.refs)
    assert stops
    assert len(stops) == sum(slot.events for slot in group.slots)


class Keeps(App):
    """Keeps some messages, parts of some, and changes some that it does not keep."""

    def __init__(self):
        self.kept = []
        self.parts = []

    def handlers(self):
        return dict.fromkeys(REGISTRY, self.take)

    def take(self, m):
        if self.seq % 3 == 0:
            self.kept.append((self.seq, m))
        elif self.seq % 3 == 1:
            for f in m.LAYOUT.fields:
                self.parts.append((self.seq, f.name, getattr(m, f.name)))
        else:
            for f in m.LAYOUT.fields:
                setattr(m, f.name, -12345678901 if self.seq % 2 else "changed")


@needs_it
@settings(max_examples=MANY // 5, deadline=None)
@given(st.data())
def test_what_is_kept_stays_what_it_was(tmp_path_factory, data):
    """Messages are filled anew when nobody kept them; whoever did has what a decoder of one's own would have given."""
    kinds = data.draw(st.lists(st.sampled_from(list(REGISTRY.values())), min_size=1, max_size=2))
    drawn = data.draw(st.lists(st.one_of(*map(messages_of, kinds)), min_size=1, max_size=12))
    repeats = data.draw(st.integers(1, 3))
    folder = tmp_path_factory.mktemp("kept")
    with JournalWriter.open(folder, stream_id=1, nonce=1, segment_bytes=4 << 20) as writer:
        for n, message in enumerate(drawn * repeats, start=1):
            writer.append(message, ts=n, source=1, source_seq=n)
    group = Group()
    app = Keeps()
    group.add("keeps", app, source=9, ledger=Ledger("keeps"))
    # What is kept must survive the reader.
    with JournalReader(folder) as reader:
        while (batch := reader.poll()) is not None:
            group.run(batch.buffer, batch.refs)
    by_seq = {f.header.seq: f for f in frames(folder)}
    for seq, message in app.kept:
        assert type(message) is REGISTRY[by_seq[seq].header.kind]
        assert message == type(message).decode.reference(by_seq[seq].body)
        assert message.encode() == bytes(by_seq[seq].body)[: len(message.encode())]
        assert repr(message) == repr(by_seq[seq].message)
    for seq, name, value in app.parts:
        expected = getattr(by_seq[seq].message, name)
        assert value == expected
        assert type(value) is type(expected)
    assert len(app.kept) == len(by_seq) // 3
    assert sum(slot.events for slot in group.slots) == len(by_seq)


@needs_it
def test_one_object_serves_until_it_is_kept(tmp_path):
    ids, kept = [], []

    class Looks(App):
        def on_clock(self, m):
            ids.append(id(m))
            if m.wall_ts == 3:
                kept.append(m)

    with JournalWriter.open(tmp_path, stream_id=1, nonce=1) as writer:
        for n in range(1, 7):
            writer.append(Clock(wall_ts=n), ts=n)
    group = Group()
    group.add("looks", Looks(), source=9, ledger=Ledger("looks"))
    with JournalReader(tmp_path) as reader:
        batch = reader.poll()
        group.run(batch.buffer, batch.refs)
    assert ids[0] == ids[1] == ids[2]
    assert len({*ids[:3]} | {*ids[3:]}) == 2
    assert kept == [Clock(wall_ts=3)]


@needs_it
def test_a_segment_is_let_go_when_nobody_needs_it(tmp_path):
    """Rows of a group point into the segment; the message that nobody kept does not hold it once the next one is read."""

    class Looks(App):
        def on_market_by_price_update(self, m):
            len(m.bids)

    body = MarketByPriceUpdate(bids=[Level(1, 2)]).encode()
    group = Group()
    group.add("looks", Looks(), source=9, ledger=Ledger("looks"))
    with JournalWriter.open(tmp_path, stream_id=1, nonce=1, segment_bytes=1 << 20) as writer:
        for n in range(1, 20_000):
            writer.append_bytes(MarketByPriceUpdate.KIND, MarketByPriceUpdate.VERSION, body, ts=n)
    with JournalReader(tmp_path) as reader:
        while (batch := reader.poll()) is not None:
            group.run(batch.buffer, batch.refs)
            del batch
            mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line}
            assert len([path for path in mapped if path.endswith(".seg")]) <= 2, mapped


@needs_it
@settings(max_examples=MANY, deadline=None)
@given(st.data())
def test_hostile_bodies_are_what_the_decoder_says(data):
    """Descriptors that point anywhere, bodies that end too early: the message or the error of the generated decoder."""
    kind, cls = data.draw(st.sampled_from(sorted(REGISTRY.items())))
    size = cls.LAYOUT.fixed_bytes
    body = data.draw(st.binary(min_size=max(0, size - 8), max_size=size + 64))
    frame = bytes(64) + body
    second = data.draw(st.sampled_from([0, 8, len(frame)]))
    refs = packed(0, kind, 1, 1) + packed(second, kind, 1, 2)
    got = []
    for accelerated in (True, False):
        seen = []

        class Looks(App):
            def handlers(self, seen=seen):
                return {kind: lambda m: seen.append(outcome(m))}

        group = Group()
        if not accelerated:
            group._runner = None
            group._decode = {kind: getattr(cls.decode, "reference", cls.decode)}
        group.add("looks", Looks(), source=9, ledger=Ledger("looks"))
        try:
            group.run(memoryview(frame), refs)
        except Exception as error:
            seen.append(type(error).__name__)
        got.append(seen)
    assert got[0] == got[1]


def packed(offset, kind, source, seq):
    return struct.pack("<IHHQq", offset, kind, source, seq, seq)


def outcome(m):
    """All that can be read of a message, with the errors of reading it."""
    found = []
    for f in m.LAYOUT.fields:
        value = getattr(m, f.name)
        if f.wire == "group":
            try:
                value = list(value)
            except Exception as error:
                value = type(error).__name__
        found.append((f.name, type(value).__name__, value))
    return found


@needs_it
def test_refused_emissions_are_struck_off(tmp_path):
    stream = Stream(tmp_path)
    slot = stream.add("base", Base(), 2)
    slot.ledger._publish = None  # the sequencer refuses it
    stream.input(TopOfBook(bid_px=3))
    assert [e.source_seq for e in slot.ledger.pending.values()] == [1]
    stream.input(Reject(for_source=2, for_source_seq=1), source=0)
    assert not slot.ledger.pending
    stream.close()


class Wire:
    """A ring that gives numbers, or fails."""

    def __init__(self, first=1, fails_at=0):
        self.given = first - 1
        self.fails_at = fails_at
        self.sent = []

    def send(self, what, body, cause, origin_ts):
        self.given += 1
        self.sent.append((what, body, cause, origin_ts))
        if self.given == self.fails_at:
            raise ConnectionError("the ring is gone")
        return self.given


def spoken(wire, ledger, *calls):
    """What came of these emissions: results and errors, what was sent, what is noted."""
    app = Base()
    Group().add("base", app, source=2, ledger=ledger)
    outcomes = []
    for n, (args, named) in enumerate(calls):
        app.seq, app.now = 10**9 + n, 10**18 + n
        try:
            outcomes.append(app.emit(*args, **named))
        except Exception as error:
            text = str(error).replace("_emit", "emit").replace("App.", "")
            outcomes.append((type(error).__name__, text if isinstance(error, AssertionError | ValueError) else ""))
    return outcomes, wire.sent, ledger.emitted, list(ledger.pending.values())


@needs_it
def test_emissions_are_numbered_sent_and_noted_as_in_python(plainly):
    log, order = LogRecord(text="héllo"), NewOrder(order_id=7)
    calls = [
        ((log,), {}),
        ((order, 0), {}),
        ((order, apps.group.Flag.LAST | apps.group.Flag.SIMULATED), {}),
        ((order,), {"flags": 3}),
        ((), {}),
        ((order, 1, 2), {}),
        ((order,), {"flag": 3}),
        ((order, "x"), {}),
        (("no message",), {}),
        ((NewOrder(order_id=-1),), {}),
        ((LogRecord(text="x" * 5000),), {}),
        ((order,), {}),
    ]
    makers = [
        lambda wire: Ledger("base", None, 0, wire.send),
        lambda wire: Ledger("base", None, 3, wire.send),
        lambda wire: Ledger("base", wire.sent.append, 2),
        lambda wire: Ledger("base"),
    ]
    wires = [lambda: Wire(), lambda: Wire(4), lambda: Wire(), lambda: Wire()]
    wires += [lambda: Wire(fails_at=3), lambda: Wire(first=5)]  # a ring that breaks, one that counts otherwise
    makers += [makers[0], makers[0]]
    runs = []
    for mode in (None, plainly):
        if mode:
            mode()
        made = [(wire(), maker) for wire, maker in zip(wires, makers, strict=True)]
        runs.append([spoken(wire, maker(wire), *calls) for wire, maker in made])
    assert runs[0] == runs[1]
    assert runs[0][0][2] == 5, "the good ones"
    assert runs[0][5][0][0] == ("AssertionError", "base: emission 1 was numbered 5")


@needs_it
def test_who_has_no_host_cannot_speak():
    with pytest.raises(AttributeError):
        Base().emit(LogRecord())


@needs_it
def test_wrong_use_is_refused(tmp_path):
    fast = apps.group._fast
    group = Group()
    with pytest.raises(TypeError, match="refs as bytes"):
        group._runner.run(b"", [], 1)
    with pytest.raises(ValueError, match="at least 1"):
        group._runner.run(b"", b"", 0)
    with pytest.raises(TypeError, match="slot due"):
        fast.Runner(type("Odd", (), {"due": 0})(), apps.group.Slot, apps.group.Looks)

    class Nested(App):
        def on_clock(self, m):
            group.run(b"", b"")

    group.add("nested", Nested(), source=9, ledger=Ledger("nested"))
    refs = packed(0, Clock.KIND, 1, 1)
    with pytest.raises(RuntimeError, match="stepping already"):
        group.run(bytes(64) + Clock().encode(), refs)
    assert group.run(b"", b"") == 0
