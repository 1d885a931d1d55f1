"""Captures: whatever becomes of a table while it is captured, the pieces hold what it was when that began."""

from __future__ import annotations

import copy
import random
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from journal.messages import accelerator, captures
from journal.messages.captures import Capture, Entries, cut
from journal.messages.tables import Fixed, Table, look

KEYS = st.integers(0, 40)
VALUES = st.one_of(st.integers(0, 3), st.just(1 << 70))


class Entry(msgspec.Struct, array_like=True):
    n: int
    of: dict[int, int] = {}


ENTRIES = Entries(int, Entry)


def pieces(of: Capture) -> list[memoryview]:
    return cut(memoryview(b"".join(of.blocks)), of.sizes)


def read(of: Capture) -> dict[int, Entry]:
    found: dict[int, Entry] = {}
    ENTRIES.fill(found, pieces(of))
    return found


class Machine(RuleBasedStateMachine):
    """Both kinds of table; several captures of each at once, some with the walk in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Table[int, Entry] = Table({n: Entry(n) for n in range(30)})
        self.fixed: Fixed[int, Entry] = Fixed({n: Entry(n) for n in range(30)})
        self.under_way: list[tuple[Capture, dict[int, Entry]]] = []

    @rule(in_python=st.booleans())
    def begin(self, in_python: bool) -> None:
        for table in (self.table, self.fixed):
            self.under_way.append((Capture(table), copy.deepcopy(dict(look(table)))))
            if in_python:
                self.under_way[-1][0]._walk = captures._Walk(table)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 9))
    def go_on(self, which: int) -> None:
        found, wanted = self.under_way[which % len(self.under_way)]
        if not found.go_on():
            self.under_way.pop(which % len(self.under_way))
            assert read(found) == wanted

    @rule(key=KEYS, value=VALUES)
    def put(self, key: int, value: int) -> None:
        self.table[key], self.fixed[key] = Entry(value), Entry(value)

    @rule(key=KEYS)
    def take(self, key: int) -> None:
        if key in self.table:
            del self.table[key], self.fixed[key]

    @rule(key=KEYS)
    def pop(self, key: int) -> None:
        for table in (self.table, self.fixed):
            table.pop(key, None)

    @rule(first=KEYS, count=st.integers(1, 60))
    def come_and_go(self, first: int, count: int) -> None:
        """A dict grows, and its entries move."""
        for n in range(count):
            self.table[1000 * first + n], self.fixed[1000 * first + n] = Entry(n), Entry(n)
        for n in range(0, count, 2):
            del self.table[1000 * first + n], self.fixed[1000 * first + n]

    @rule(key=KEYS, value=VALUES)
    def change_by_get(self, key: int, value: int) -> None:
        entry = self.table.get(key)
        if entry is not None:
            entry.n = value
            self.fixed[key] = Entry(value, dict(entry.of))

    @rule(key=KEYS, value=st.integers(0, 3))
    def change_deep(self, key: int, value: int) -> None:
        if key in self.table:
            self.table[key].of[value] = value

    @rule(key=KEYS, value=VALUES)
    def touch(self, key: int, value: int) -> None:
        for at, entry in look(self.table):
            if at == key:
                self.table.touch(key)
                entry.n = value

    @rule(value=VALUES)
    def change_all(self, value: int) -> None:
        for entry in self.table.values():
            entry.n = value

    @rule()
    def digest(self) -> None:
        assert self.table.digest() == Table(dict(look(self.table))).digest()
        assert self.fixed.digest() == Fixed(dict(look(self.fixed))).digest()

    def teardown(self) -> None:
        while self.under_way:
            self.go_on(0)
        assert self.table.watchers == self.fixed.watchers == ()


TestCaptures = Machine.TestCase
TestCaptures.settings = settings(max_examples=30 if "sanitized" in sys.modules else 120, stateful_step_count=40, deadline=None)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "PIECE", 4)
    monkeypatch.setattr(captures, "BLOCK_BYTES", 100)


@pytest.mark.parametrize("kind", [Table, Fixed])
@pytest.mark.parametrize("walk", [captures._Walk, captures._walk])
def test_what_changes_before_its_turn_is_as_it_was(kind: Any, walk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "_walk", walk)
    table = kind({n: Entry(n) for n in range(1000)})
    found = Capture(table)
    rng = random.Random(1)
    added = 1000
    while found.go_on():
        for _ in range(3):
            key = rng.randrange(1000)
            if rng.random() < 0.5:
                table[key] = Entry(-1)
            else:
                table.pop(key, None)
            table[added] = Entry(added)
            added += 1
    assert read(found) == {n: Entry(n) for n in range(1000)}
    assert max(len(ENTRIES._packed.decode(p)) for p in pieces(found)) == captures.PIECE
    assert table.watchers == ()


def test_a_number_of_more_than_64_bits_is_told_as_json() -> None:
    table = Table({n: Entry(n << 63) for n in range(8)})
    found = Capture(table)
    found.before_all()
    assert read(found) == dict(look(table))
    found = Capture(table)
    for key in range(8):
        table[key].n = 0
    while found.go_on():
        pass
    assert read(found) == {n: Entry(n << 63) for n in range(8)}
    assert {bytes(p[:1]) for p in pieces(found)} == {b"{", b"\xde"}


needs_it = pytest.mark.skipif(accelerator.walk is None, reason="the accelerator is not built")


@needs_it
def test_a_walk_finds_its_place_when_the_dict_has_moved_its_entries() -> None:
    assert accelerator.walk is not None
    table = dict.fromkeys(range(100))
    walk = accelerator.walk(table)
    assert walk.next(50) == list(range(50))
    for key in range(45):
        del table[key]
    walk.leave(50)
    del table[50]
    for key in range(1000, 3000):
        table[key] = None
    assert walk.next(10) == list(range(51, 61))
    del table[61]
    with pytest.raises(RuntimeError, match="removed without a word"):
        walk.next(1)
    table.clear()


@needs_it
def test_a_walk_says_what_it_cannot_do() -> None:
    assert accelerator.walk is not None
    assert accelerator.walk({}).next(5) == []
    with pytest.raises(TypeError):
        accelerator.walk([])
    with pytest.raises(TypeError):
        accelerator.walk({1: 1}).next("a")
