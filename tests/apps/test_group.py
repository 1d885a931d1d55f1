"""The group: order of apps, timers, numbering, digests, and that a replay says the same."""

import sys

import pytest

from apps.app import App
from apps.group import DIGEST_EVERY, CyclicApps, Group, Slot
from apps.ledger import Diverged, Ledger
from journal.messages import Clock, LogRecord, StateDigest, TopOfBook
from tests.apps.stream import Stream, replay


class Echo(App):
    """Says how many tops it has seen; says it again after 5 ms."""

    def __init__(self):
        self.seen = 0

    def on_top_of_book(self, m):
        self.seen += 1
        self.emit(LogRecord(about_seq=self.seq, text=f"top {self.seen}"))
        self.set_timer(self.now + 5_000_000, m.instrument)

    def on_timer(self, token):
        self.emit(LogRecord(about_seq=self.seq, text=f"timer {token} at {self.now}"))


class Counter(App):
    def __init__(self):
        self.count = 0

    def on_top_of_book(self, m):
        self.count += 1


class Reader(App):
    requires = (Counter,)

    def __init__(self):
        self.saw = []

    def on_top_of_book(self, m):
        self.saw.append(self.uses(Counter).count)


def test_emissions_come_back_with_cause_and_times(tmp_path):
    stream = Stream(tmp_path / "j")
    stream.add("echo", Echo(), 2)
    seq = stream.input(TopOfBook(instrument=1))
    from journal.frames import frames

    said = [f for f in frames(stream.path) if f.header.source == 2]
    assert [f.message.text for f in said] == ["top 1"]
    assert said[0].header.cause == seq
    assert said[0].header.origin_ts == 1_001_000_000
    assert said[0].header.source_seq == 1


def test_an_apps_attributes_stay_quick_when_its_state_was_looked_at():
    app, plain = Echo(), {}
    app.snapshot()
    plain["seen"] = 0
    # A dict whose keys are shared with other instances is larger, and the interpreter's caches of attributes miss it.
    assert sys.getsizeof(vars(app)) == sys.getsizeof(plain)


def test_required_state_machines_run_first(tmp_path):
    stream = Stream(tmp_path / "j")
    reader = Reader()
    stream.add("reader", reader, 2)
    for _ in range(3):
        stream.input(TopOfBook(instrument=1))
    assert reader.saw == [1, 2, 3]


def test_cycle_is_refused_with_its_path():
    class A(App):
        pass

    class B(App):
        requires = (A,)

    A.requires = (B,)
    with pytest.raises(CyclicApps, match="A requires B requires A"):
        Group().add("a", A(), source=1, ledger=Ledger("a"))


def test_misspelt_handler_is_an_error():
    class Wrong(App):
        def on_top_of_buch(self, m):
            pass

    with pytest.raises(TypeError, match="on_top_of_buch"):
        Wrong().handlers()


def test_timers_fire_before_the_frame_in_order_of_due_then_request(tmp_path):
    heard = []

    class Timed(App):
        def on_top_of_book(self, m):
            heard.append(("top", self.now))

        def on_clock(self, m):
            self.set_timer(1_010_000_000, 1)
            self.set_timer(1_005_000_000, 2)
            self.set_timer(1_005_000_000, 3)
            self.set_timer(1_020_000_000, 4)
            self.cancel_timer(1)

        def on_timer(self, token):
            heard.append((token, self.now))
            if token == 2:
                self.set_timer(1, 9)  # in the past: fires now

    stream = Stream(tmp_path / "j")
    stream.add("timed", Timed(), 2)
    stream.input(Clock(), ts=1_000_000_001)
    stream.input(TopOfBook(), ts=1_015_000_000)
    stream.input(TopOfBook(), ts=1_020_000_000)
    now = 1_015_000_000
    assert heard == [(2, now), (9, now), (3, now), ("top", now), (4, 1_020_000_000), ("top", 1_020_000_000)]


def test_moved_timer_fires_once(tmp_path):
    heard = []

    class Moved(App):
        def on_clock(self, m):
            self.set_timer(1_005_000_000, 1)
            self.set_timer(1_015_000_000, 1)

        def on_timer(self, token):
            heard.append(self.now)

    stream = Stream(tmp_path / "j")
    stream.add("moved", Moved(), 2)
    stream.input(Clock(), ts=1_000_000_001)
    stream.input(TopOfBook(), ts=1_010_000_000)
    stream.input(TopOfBook(), ts=1_016_000_000)
    assert heard == [1_016_000_000]


def test_replay_says_the_same_and_digests_agree(tmp_path):
    stream = Stream(tmp_path / "j")
    stream.add("echo", Echo(), 2)
    for i in range(DIGEST_EVERY + 50):
        stream.input(TopOfBook(instrument=1 + i % 3))
    stream.close()
    digests = stream.messages(StateDigest)
    assert digests
    assert {d.app for d in digests} == {2}
    group, (slot,) = replay(stream.path, ("echo", Echo(), 2))
    assert slot.ledger.compared == slot.ledger.emitted - len(slot.ledger.pending)
    assert group.state_digest() == stream.group.state_digest()


def test_a_digest_follows_app_timers_emissions_and_configuration():
    def slot_of() -> Slot:
        return Group().add("echo", Echo(), source=2, ledger=Ledger("echo"))

    slot = slot_of()
    found = [slot.digest()]
    for change in (
        lambda: slot.set_timer(7, 1), lambda: slot.set_timer(1 << 62, 2), lambda: slot.cancel_timer(1),
        lambda: slot.emit(LogRecord(text="a"), 0, 1, 1), lambda: slot.emit(LogRecord(text="b"), 0, 1, 1),
        lambda: slot.ledger.refused(1), lambda: slot.items.update(limit=1 << 70), lambda: setattr(slot.app, "seen", 1),
    ):  # fmt: skip
        change()
        found.append(slot.digest())
        other = slot_of()
        other.restore(slot.snapshot())
        assert other.digest() == found[-1]
    assert len(set(found)) == len(found)


def test_a_changed_app_is_found_at_its_first_difference(tmp_path):
    stream = Stream(tmp_path / "j")
    stream.add("echo", Echo(), 2)
    for _ in range(20):
        stream.input(TopOfBook(instrument=1))
    stream.close()

    class Changed(Echo):
        def on_top_of_book(self, m):
            super().on_top_of_book(m)
            if self.seen == 7:
                self.seen += 1

    with pytest.raises(Diverged) as found:
        replay(stream.path, ("echo", Changed(), 2))
    assert "top 8" in str(found.value)
    assert "top 9" in str(found.value)


def test_an_app_that_says_less_is_found(tmp_path):
    stream = Stream(tmp_path / "j")
    stream.add("echo", Echo(), 2)
    stream.input(TopOfBook(instrument=1))
    stream.close()

    class Silent(App):
        pass

    with pytest.raises(Diverged, match="app:     nothing"):
        replay(stream.path, ("echo", Silent(), 2))


def test_restart_publishes_only_what_is_missing(tmp_path):
    stream = Stream(tmp_path / "j")
    stream.add("echo", Echo(), 2)
    for _ in range(5):
        stream.input(TopOfBook(instrument=1))
    stream.close()
    last = stream.group._speaking[2].ledger.emitted
    published = []
    # The journal lost the last two emissions with the process; the sequencer knows `last - 2`.
    replay(stream.path, ("echo", Echo(), 2), publish=published.append, published=last - 2)
    assert [e.source_seq for e in published] == [last - 1, last]


def test_derived_wake_comes_after_all_handlers_of_the_frame(tmp_path):
    order = []

    class Derives(App):
        def on_clock(self, m):
            self.emit(TopOfBook(instrument=5))

    class Other(App):
        def on_clock(self, m):
            order.append("other")

    class Listens(App):
        requires = (Derives, Other)

        def derived_handlers(self):
            return {TopOfBook.KIND: self.touched}

        def touched(self, m):
            order.append(("touched", m.instrument, self.seq))

    stream = Stream(tmp_path / "j")
    stream.add("listens", Listens(), 2)
    seq = stream.input(Clock())
    assert order == ["other", ("touched", 5, seq)]


def test_a_later_generation_of_parameters_holds_from_its_frame_on(tmp_path):
    from apps.discovery import ConfigError
    from journal.messages import ConfigApplied, ConfigItem

    class Tuned(App):
        size = 1

        def configure(self, parameters):
            self.size = parameters.get("size", 1)

        def on_top_of_book(self, m):
            self.emit(LogRecord(text=str(self.size)))

    stream = Stream(tmp_path / "j")
    stream.add("tuned", Tuned(), 2)
    stream.input(TopOfBook())
    stream.input(ConfigItem(owner=2, generation=2, name="size", value="5"))
    stream.input(TopOfBook())
    stream.input(ConfigApplied(owner=2, generation=2, items=1))
    stream.input(TopOfBook())
    stream.input(ConfigItem(owner=3, name="size", value="9"))
    stream.input(ConfigApplied(owner=3, generation=2, items=1))
    stream.input(TopOfBook())
    assert [m.text for m in stream.messages(LogRecord)] == ["1", "1", "5", "5"]
    replay(stream.path, ("tuned", Tuned(), 2))
    stream.input(ConfigItem(owner=2, generation=3, name="class", value='"apps.instruments:Instruments"'))
    with pytest.raises(ConfigError, match="expected the same class"):
        stream.input(ConfigApplied(owner=2, generation=3, items=1))
