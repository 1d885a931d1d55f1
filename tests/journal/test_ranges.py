"""Ranges of used numbers against a set."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.messages import ranges as module
from journal.messages.ranges import Ranges, add, contains, reach


@given(st.lists(st.integers(0, 60), max_size=80))
def test_ranges_equal_a_set(numbers: list[int]) -> None:
    ranges: Ranges = []
    for n in numbers:
        add(ranges, n)
    used = set(numbers)
    assert [n for n in range(62) if contains(ranges, n)] == sorted(used)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))  # sorted, disjoint, not touching
    assert len(ranges) == sum(1 for n in used if n - 1 not in used)


def test_counting_up_costs_one_range() -> None:
    ranges: Ranges = []
    for n in range(1, 1000):
        add(ranges, n)
    assert ranges == [[1, 999]]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)), max_size=20))
def test_reaching_uses_all_between(spans: list[tuple[int, int]]) -> None:
    ranges: Ranges = []
    used: set[int] = set()
    for first, more in spans:
        reach(ranges, first, first + more)
        used |= set(range(first, first + more + 1))
    assert [n for n in range(72) if contains(ranges, n)] == sorted(used)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))


def test_too_many_holes_close_the_lowest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RANGES_MAX", 3)
    ranges: Ranges = []
    for n in range(0, 100, 10):
        add(ranges, n)
    assert ranges == [[0, 70], [80, 80], [90, 90]]
    assert contains(ranges, 5)  # never used, and not free any more
    assert not contains(ranges, 85)
