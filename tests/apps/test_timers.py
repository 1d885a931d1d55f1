"""Timers of an app, whatever is set, set again, canceled and restored: they fire as an obvious model says."""

from hypothesis import given
from hypothesis import strategies as st

from apps.app import App
from apps.group import NEVER, Group
from apps.ledger import Ledger

DELAYS = st.sampled_from((5, 60, 1, 500, 0, -3))
TOKENS = st.integers(0, 12)
STEPS = st.one_of(
    st.tuples(st.just("set"), DELAYS, TOKENS),
    st.tuples(st.just("cancel"), TOKENS),
    st.tuples(st.just("pass"), st.integers(0, 70)),
    st.just(("restore",)),
)


class Fires(App):
    def __init__(self):
        self.fired = []

    def on_timer(self, token):
        self.fired.append(token)
        if token % 4 == 3:  # one for the past and one for later, from within
            self.set_timer(self.now - 1, token - 1)
            self.set_timer(self.now + 5, token)


class Model:
    """A dict, looked through each time."""

    def __init__(self):
        self.set, self.requests, self.fired = {}, 0, []

    def ask(self, at, token):
        self.requests += 1
        self.set[token] = (at, self.requests)

    def due(self):
        return min((at for at, _ in self.set.values()), default=NEVER)

    def fire(self, now):
        while self.due() <= now:
            token = min(self.set, key=lambda t: self.set[t])
            del self.set[token]
            self.fired.append(token)
            if token % 4 == 3:
                self.ask(now - 1, token - 1)
                self.ask(now + 5, token)


def slot():
    return Group().add("fires", Fires(), source=2, ledger=Ledger("fires"))


@given(st.lists(STEPS, max_size=80))
def test_timers_fire_as_the_model_says(steps):
    ours, model, now = slot(), Model(), 100
    for what, *of in steps:
        if what == "set":
            ours.set_timer(now + of[0], of[1])
            model.ask(now + of[0], of[1])
        elif what == "cancel":
            ours.cancel_timer(of[0])
            model.set.pop(of[0], None)
        elif what == "pass":
            now += of[0]
            ours.app.now = now
            ours.fire(now)
            model.fire(now)
        else:
            data = ours.snapshot()
            ours = slot()
            ours.restore(data)
            ours.app.now = now
        assert ours.due() == model.due()
        assert ours.timers() == [(at, token) for (at, _), token in sorted((row, token) for token, row in model.set.items())]
        assert ours.app.fired == model.fired
