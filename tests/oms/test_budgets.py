"""Rate budgets: the arithmetic against the obvious model (everything that ever went, added up), and the boundaries."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.budgets import Action, Gauge, Kind, Rule

SECOND = 1_000_000_000


def rule(kind: int, **terms) -> Rule:
    base = {"name": "r", "venue": 1, "kind": kind, "limit": 10, "period_ns": 1000, "refill": 3, "reserve_percent": 0}
    return Rule(**(base | terms))


KRAKEN = rule(
    Kind.TOKEN_BUCKET, limit=180, period_ns=100 * SECOND, refill=375, costs=(1, 1, 0, 0),
    replace_ages=[(5 * SECOND, 3), (10 * SECOND, 2), (15 * SECOND, 1)],
    cancel_ages=[(5 * SECOND, 8), (10 * SECOND, 6), (15 * SECOND, 5), (45 * SECOND, 4), (90 * SECOND, 2), (300 * SECOND, 1)],
)  # fmt: skip


@pytest.mark.parametrize(
    ("age_s", "cancel", "replace"), [(5, 8, 4), (10, 6, 3), (15, 5, 2), (45, 4, 1), (90, 2, 1), (300, 1, 1)]
)
def test_what_krakens_requests_cost_at_each_age(age_s, cancel, replace):
    just_under = age_s * SECOND - 1
    assert (KRAKEN.cost(Action.CANCEL, just_under), KRAKEN.cost(Action.REPLACE, just_under)) == (cancel, replace)
    after = KRAKEN.cost(Action.CANCEL, age_s * SECOND)
    assert after < cancel
    assert KRAKEN.cheaper_in(Action.CANCEL, just_under) == 1
    assert KRAKEN.cost(Action.NEW, 0) == 1
    assert KRAKEN.cost(Action.CANCEL, 300 * SECOND) == 0
    assert KRAKEN.cheaper_in(Action.CANCEL, 300 * SECOND) == 0


@pytest.mark.parametrize(("kind", "free"), [(Kind.FIXED_WINDOW, 2000), (Kind.ROLLING_WINDOW, 2500), (Kind.TOKEN_BUCKET, 1834)])
def test_the_limit_itself_fits_and_one_more_waits(kind, free):
    r, g = rule(kind), Gauge()
    g.settle(r, 1500)
    for _ in range(10):
        assert g.free_at(r, 1, 10) == 0
        g.charge(r, 1)
    assert g.free_at(r, 1, 10) == free
    g.settle(r, free - 1)
    assert g.free_at(r, 1, 10) == free
    g.settle(r, free)
    assert g.free_at(r, 1, 10) == 0


@pytest.mark.parametrize(("limit", "percent", "kept"), [(10, 30, 3), (10, 31, 4), (10, 0, 0), (1, 30, 1), (180, 30, 54)])
def test_the_reserve_is_rounded_up(limit, percent, kept):
    r = rule(Kind.FIXED_WINDOW, limit=limit, reserve_percent=percent)
    assert Gauge().cap(r, Action.NEW) == limit - kept
    assert Gauge().cap(r, Action.CANCEL) == limit


def test_what_costs_more_than_there_can_be_goes_when_nothing_is_used():
    for kind in Kind:
        r, g = rule(kind), Gauge()
        g.settle(r, 0)
        assert g.free_at(r, 11, 10) == 0
        g.charge(r, 11)
        later = g.free_at(r, 11, 10)
        g.settle(r, later - 1)
        assert g.free_at(r, 11, 10) == later
        g.settle(r, later)
        assert g.free_at(r, 11, 10) == 0


def test_the_venues_word_raises_what_is_used_and_never_lowers_it():
    for kind in Kind:
        r, g = rule(kind), Gauge()
        g.settle(r, 100)
        g.charge(r, 4)
        g.correct(r, limit=0, used=3, end_ts=0)
        assert g.used_now(r) == 4
        g.correct(r, limit=20, used=19, end_ts=0)
        assert (g.used_now(r), g.limit_of(r)) == (19, 20)
        assert g.free_at(r, 1, 20) == 0
        assert g.free_at(r, 2, 20) > 0
        g.check(r)


def test_the_venues_window_ends_when_it_says():
    r, g = rule(Kind.FIXED_WINDOW), Gauge()
    g.settle(r, 100)
    g.charge(r, 10)
    g.correct(r, limit=0, used=10, end_ts=1250)
    assert g.free_at(r, 1, 10) == 1250
    g.settle(r, 1250)
    assert g.window_end == 2250


steps = st.lists(st.tuples(st.integers(0, 700), st.integers(1, 6)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(list(Kind)), steps=steps)
def test_a_gauge_is_what_an_obvious_model_says(kind, steps):
    """The model knows only when what went; it looks for the first nanosecond by trying."""
    r, g = rule(kind), Gauge()
    went: list[tuple[int, int]] = []

    def used(at: int) -> Fraction:
        if kind == Kind.FIXED_WINDOW:
            return Fraction(sum(c for ts, c in went if ts // 1000 == at // 1000))
        if kind == Kind.ROLLING_WINDOW:
            return Fraction(sum(c for ts, c in went if at - 1000 < ts))
        level, last = Fraction(0), 0
        for ts, c in [*went, (at, 0)]:
            level, last = max(level - Fraction(3 * (ts - last), 1000), Fraction(0)) + c, ts
        return level

    now = 0
    for wait, cost in steps:
        now += wait
        g.settle(r, now)
        g.check(r)
        fits = used(now) + cost <= 10
        free = g.free_at(r, cost, 10)
        assert (free == 0) == fits
        if fits:
            g.charge(r, cost)
            went.append((now, cost))
        else:
            assert free > now
            assert used(free) + cost <= 10
            assert used(free - 1) + cost > 10
