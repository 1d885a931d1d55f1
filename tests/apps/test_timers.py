"""Timers of an app, whatever is set, set again, canceled and restored: they fire as an obvious model says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.app import App
from apps.group import Group
from apps.ledger import Ledger
from apps.timers import NEVER, Timers, _Timers

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


BOTH = list(dict.fromkeys((Timers, _Timers)))
ANY_TOKEN = st.one_of(st.integers(0, 40), st.sampled_from((-1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1)))
ASKED = st.one_of(
    st.tuples(st.just("set"), st.one_of(DELAYS, st.just(NEVER)), ANY_TOKEN),
    st.tuples(st.just("cancel"), ANY_TOKEN),
    st.tuples(st.just("pop"), st.integers(0, 70)),
    st.just(("restore",)),
)


@pytest.mark.skipif(Timers is _Timers, reason="the accelerator was not built")
@given(st.lists(ASKED, max_size=300))
def test_timers_in_c_do_as_those_in_python(steps):
    ours, model, now = Timers(), _Timers(), 100
    for what, *of in steps:
        if what == "set":
            for timers in (ours, model):
                timers.set(min(now + of[0], NEVER), of[1])
        elif what == "cancel":
            for timers in (ours, model):
                timers.cancel(of[0])
        elif what == "pop":
            now += of[0]
            while (token := model.pop(now)) is not None:
                assert ours.pop(now) == token
            assert ours.pop(now) is None
        else:
            rows, requests = ours.rows(), ours.requests
            ours = Timers()
            ours.restore([list(row) for row in rows], requests)
        assert (ours.due(), ours.rows(), len(ours), ours.requests) == (model.due(), model.rows(), len(model), model.requests)


@pytest.mark.parametrize("cls", BOTH, ids=lambda cls: cls.__name__)
def test_a_token_has_64_bits(cls):
    timers = cls()
    for token in (2**64, -(2**63) - 1):
        with pytest.raises(OverflowError, match=f"timer {token}: expected a token of 64 bits"):
            timers.set(1, token)
        timers.cancel(token)
    for at in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError, match=f"timer 1: due at {at}; expected ns in 64 bits"):
            timers.set(at, 1)
    assert (timers.rows(), timers.requests, timers.pop(5)) == ([], 0, None)


@pytest.mark.parametrize("cls", BOTH, ids=lambda cls: cls.__name__)
def test_what_is_asked_for_again_is_due_once(cls):
    timers = cls()
    for at in range(1000):
        timers.set(1000 + at, 7)
    assert (timers.due(), timers.pop(1998), timers.pop(1999), timers.due()) == (1999, None, 7, NEVER)
