"""Tables: a digest kept up to date equals one made anew, and what changes unseen is found."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from journal.messages import accelerator, tables
from journal.messages.tables import Fixed, Table, digest_of, look

KEYS = st.integers(0, 9)
VALUES = st.integers(0, 3)


class Entry(msgspec.Struct, array_like=True):
    n: int
    of: dict[int, int] = {}


class Machine(RuleBasedStateMachine):
    """Both kinds of table beside plain dicts. A digest is asked for now and then, as a host does."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Table[int, Entry] = Table({})
        self.fixed: Fixed[int, int] = Fixed({})
        self.plain: dict[int, int] = {}

    @rule(key=KEYS, value=VALUES)
    def put(self, key: int, value: int) -> None:
        self.table[key], self.fixed[key], self.plain[key] = Entry(value), value, value

    @rule(key=KEYS)
    def take(self, key: int) -> None:
        if key in self.plain:
            del self.table[key], self.fixed[key], self.plain[key]

    @rule(key=KEYS)
    def pop(self, key: int) -> None:
        entry = self.table.pop(key, None)
        assert (entry.n if entry else None) == self.fixed.pop(key, None) == self.plain.pop(key, None)

    @rule(key=KEYS, value=VALUES)
    def change_by_get(self, key: int, value: int) -> None:
        entry = self.table.get(key)
        if entry is not None:
            entry.n = self.fixed[key] = self.plain[key] = value

    @rule(key=KEYS, value=VALUES)
    def change_deep(self, key: int, value: int) -> None:
        if key in self.table:
            self.table[key].of[value] = value

    @rule(value=VALUES)
    def change_all(self, value: int) -> None:
        for entry in self.table.values():
            entry.n = value
        for key, entry in self.table.items():
            self.fixed[key] = self.plain[key] = entry.n

    @rule(key=KEYS)
    def look_and_forget(self, key: int) -> None:
        self.digest()
        self.table.get(key)
        self.table.looked()

    @rule()
    def digest(self) -> None:
        assert self.table.digest() == Table(dict(look(self.table))).digest()
        assert self.fixed.digest() == Fixed(dict(self.plain)).digest()

    @invariant()
    def holds_the_same(self) -> None:
        assert dict(self.fixed) == self.plain == {k: e.n for k, e in look(self.table)}

    def teardown(self) -> None:
        self.digest()


TestTables = Machine.TestCase
TestTables.settings = settings(max_examples=20 if "sanitized" in sys.modules else 80, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("kind", [Table, Fixed])
def test_order_and_way_have_no_share(kind: Callable[..., Any]) -> None:
    first, second = kind({}), kind({2: 20})
    assert first.digest() != second.digest()
    for n in (1, 2, 3):
        first[n] = n * 10
    second[3] = 30
    second[4] = 40
    second.digest()
    del second[4]
    second[1] = 10
    assert list(first) != list(second)
    assert first.digest() == second.digest()


@pytest.mark.parametrize("kind", [Table, Fixed])
def test_key_and_value_have_a_share_and_so_has_the_number_of_entries(kind: Callable[..., Any]) -> None:
    held = [{}, {1: 10}, {1: 11}, {2: 10}, {1: 10, 2: 10}]
    assert len({kind(x).digest() for x in held}) == len({digest_of(b"", (kind(x),)) for x in held}) == len(held)


def test_what_is_changed_behind_its_back_is_not_in_the_digest() -> None:
    table = Table({1: Entry(1)})
    table.digest()
    for _, entry in look(table):
        entry.n = 2
    assert table.digest() != Table(dict(look(table))).digest()  # so whoever keeps one has to compare them now and then
    table.touch(1)
    assert table.digest() == Table(dict(look(table))).digest()


def test_so_many_changes_are_remembered_and_then_all_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "TRACKED_MAX", 8)
    table, fixed = Table({0: 0}), Fixed({0: 0})
    table.digest()
    fixed.digest()
    for n in range(1, 100):
        table[n] = fixed[n] = n
        if n > 3:
            del table[n - 3], fixed[n - 3]
            fixed[n - 1] = -n
    assert len(table._asked or ()) <= 8
    assert len(fixed._added or ()) + len(fixed._removed) <= 8 + 3
    assert table.digest() == Table(dict(look(table))).digest()
    assert fixed.digest() == Fixed(dict(fixed)).digest()


@pytest.mark.parametrize("kind", [Table, Fixed])
def test_ways_in_that_are_not_watched_are_shut(kind: Callable[..., Any]) -> None:
    for way in ("setdefault", "update", "popitem", "clear"):
        with pytest.raises(NotImplementedError):
            getattr(kind({}), way)()


@pytest.mark.skipif(accelerator.tables is None, reason="the accelerator is not built")
@given(
    st.dictionaries(KEYS, st.binary(max_size=300)), st.dictionaries(KEYS, st.binary(min_size=32, max_size=32)), st.sets(KEYS),
    st.binary(min_size=32, max_size=32), st.sampled_from([1, -1]),
)  # fmt: skip
def test_the_kernel_follows_as_python_does(
    table: dict[int, bytes], hashes: dict[int, bytes], keys: set[int], before: bytes, sign: int
) -> None:
    assert accelerator.tables is not None
    changed, moved = accelerator.tables
    encode = msgspec.msgpack.encode
    noted = dict(hashes)
    assert changed(before, table, keys, hashes, encode) == tables._changed(before, table, keys, noted, encode)
    assert hashes == noted
    assert moved(before, table.items(), encode, sign) == tables._moved(before, table.items(), encode, sign)


@pytest.mark.skipif(accelerator.tables is None, reason="the accelerator is not built")
def test_the_kernel_says_what_it_cannot_do() -> None:
    assert accelerator.tables is not None
    changed, moved = accelerator.tables
    none = tables.NOTHING
    for wrong in (b"", "", bytes(31), None):
        with pytest.raises(TypeError, match="expected 32 bytes"):
            changed(wrong, {}, [], {}, repr)
    with pytest.raises(TypeError, match="expected 32 bytes"):
        changed(none, {1: 1}, [1], {1: b"short"}, msgspec.msgpack.encode)
    with pytest.raises(TypeError, match="encodes to no bytes"):
        changed(none, {1: 1}, [1], {}, repr)
    with pytest.raises(TypeError, match="expected \\(key, value\\)"):
        moved(none, [1], msgspec.msgpack.encode, 1)
    with pytest.raises(ZeroDivisionError):
        moved(none, [(1, 1)], lambda _: 1 // 0, 1)
