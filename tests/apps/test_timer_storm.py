"""Very many timers due at one instant: each fires once, in order, and what comes meanwhile has its place. (T06, T03)"""

from apps.app import App
from journal.messages import Clock, LogRecord, TopOfBook
from tests.apps.stream import Stream, replay

STORM = 100_000
DUE = 2_000_000_000


class Storm(App):
    """Asks for all of them at once, backwards; one more for the same instant from within the storm."""

    def __init__(self):
        self.fired = []
        self.ended = 0

    def on_clock(self, m):
        for token in range(STORM, 0, -1):
            self.set_timer(DUE, token)

    def on_timer(self, token):
        assert self.now >= DUE
        self.fired.append(token)
        if token == STORM:
            self.set_timer(DUE, 0)
        if token in (STORM, 0):
            self.emit(LogRecord(about_seq=token))

    def on_top_of_book(self, m):
        self.ended = len(self.fired)


def test_a_hundred_thousand_timers_at_one_instant(tmp_path):
    """Before the frame whose time has reached them, in the order of request, the one asked for in the storm last; a replay
    says the same."""
    stream = Stream(tmp_path / "j")
    storm = Storm()
    stream.add("storm", storm, 2)
    stream.input(Clock(), ts=1_000_000_000)
    stream.input(TopOfBook(), ts=DUE - 1)
    assert (storm.fired, storm.ended) == ([], 0)
    stream.input(TopOfBook(), ts=DUE + 5)
    assert storm.fired == [*range(STORM, 0, -1), 0]
    assert storm.ended == STORM + 1
    assert [m.about_seq for m in stream.messages(LogRecord)] == [STORM, 0]
    stream.close()
    again = Storm()
    replay(stream.path, ("storm", again, 2))
    assert again.fired == storm.fired
