"""Tables: a digest kept up to date equals one made anew, and what changes unseen is found."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from enum import IntEnum, IntFlag
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


needs_it = pytest.mark.skipif(accelerator.tables is None, reason="the accelerator is not built")
NUMBERS = st.one_of(
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.sampled_from([s * (1 << n) + d for s in (1, -1) for n in range(63) for d in (-1, 0, 1)]),
)
IDS = st.one_of(
    st.integers(0, 300), st.integers(0, (1 << 64) - 1), st.builds(lambda s, n: s << 48 | n, st.integers(0, 3), KEYS)
)


class Colour(IntEnum):
    RED = 1
    FAR = 1 << 40
    BELOW = -200


class Flags(IntFlag):
    ONE = 1
    TWO = 2


class Deep(msgspec.Struct, array_like=True):
    a: Any
    b: Any = None
    c: Any = Colour.RED


class Named(msgspec.Struct):
    a: Any


class Tagged(msgspec.Struct, array_like=True, tag=True):
    a: Any


PLAIN = st.one_of(
    NUMBERS,
    st.none(),
    st.booleans(),
    st.text(max_size=40),
    st.binary(max_size=300),
    st.sampled_from(Colour),
    st.sampled_from([*Flags, Flags.ONE | Flags.TWO]),
)
HELD = st.recursive(
    PLAIN,
    lambda v: st.one_of(
        st.lists(v, max_size=20), st.lists(v, max_size=4).map(tuple), st.builds(Deep, v, v, v),
        st.dictionaries(st.one_of(NUMBERS, st.text(max_size=3)), v, max_size=20),
    ),
    max_leaves=40,
)  # fmt: skip
STRANGE = st.one_of(
    st.builds(Named, PLAIN), st.builds(Tagged, PLAIN), st.frozensets(st.integers(0, 9)),
    st.builds(bytearray, st.binary(max_size=3)), st.integers(1 << 64, 1 << 80), st.integers(-(1 << 80), -(1 << 63) - 1),
)  # fmt: skip


def refused(entry: Any) -> bytes:
    raise AssertionError(f"left to msgspec: {entry!r}")


def agree(key: Any, value: Any, encode: Any = refused) -> None:
    """The kernel and the model give an entry the same share."""
    assert tables.added(tables.NOTHING, {key: value}, [key], encode) == tables._added(tables.NOTHING, {key: value}, [key])


@needs_it
@given(st.one_of(NUMBERS, st.text(max_size=40)), HELD)
def test_the_kernel_packs_as_msgspec_does(key: Any, value: Any) -> None:
    agree(key, value)


@needs_it
@pytest.mark.parametrize("n", [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536])
def test_lengths_on_either_side_of_each_edge(n: int) -> None:
    for value in ("x" * n, "ä" * n, b"x" * n, [None] * n, (None,) * n, dict.fromkeys(range(n))):
        agree(n, value)


@needs_it
@given(st.one_of(STRANGE, st.builds(Deep, HELD, STRANGE), st.lists(STRANGE, max_size=2)))
def test_what_the_kernel_does_not_know_msgspec_does(value: Any) -> None:
    agree(1, value, tables._encode)


@needs_it
def test_errors_are_those_of_msgspec() -> None:
    for wrong in ("\ud800", [object()], Deep(1, 1 + 1j), {1: {2: int}}):
        with pytest.raises(Exception) as theirs:
            msgspec.msgpack.encode((1, wrong))
        with pytest.raises(type(theirs.value)):
            tables.added(tables.NOTHING, {1: wrong}, [1], tables._encode)


@needs_it
def test_what_is_deep_is_left_to_msgspec() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
        agree(1, value, tables._encode)


@needs_it
def test_more_classes_than_are_learnt() -> None:
    """In a process of its own: what a process has learnt it keeps."""
    program = """
import msgspec
from journal.messages import tables
for n in range(600):
    cls = msgspec.defstruct(f"C{n}", [("a", int)], array_like=True)
    for _ in range(2):
        table = {1: cls(n), 2: [cls(n + 1)]}
        assert tables.added(tables.NOTHING, table, table, tables._encode) == tables._added(tables.NOTHING, table, table)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_number_of_more_than_64_bits_is_told_as_json() -> None:
    table = {1: Deep((1 << 64) - 1), 2: Deep(1 << 64), 3: Deep(-(1 << 63) - 1)}
    assert [tables._encode((k, v))[:1] for k, v in table.items()] == [b"\x92", b"[", b"["]
    assert Fixed(table).digest() == tables._added(tables.NOTHING, table, table)


@needs_it
@given(
    st.lists(st.tuples(st.dictionaries(IDS, PLAIN, max_size=40), st.sets(IDS)), max_size=8), st.binary(min_size=16, max_size=16)
)
def test_the_kernel_follows_as_python_does(steps: list[tuple[dict[int, Any], set[int]]], before: bytes) -> None:
    kept, noted, table = tables._Hashes(), {}, {}
    asked: set[int] = set()
    theirs = ours = before
    for more, less in steps:
        table |= more
        for key in less:
            table.pop(key, None)
        keys = tables._Keys()
        for key in (*more, *less, *more):
            keys[key] = None
        theirs = tables.changed(theirs, table, keys, kept, tables._encode)
        ours = tables._changed(ours, table, more.keys() | less, noted)
        asked |= more.keys() | less
        assert theirs == ours
        assert len(kept) == len(noted) == len(table)
        assert len(keys) == len(more.keys() | less)
        rows = list(more.items())
        assert tables.removed(before, rows, tables._encode) == tables._removed(before, rows)
        # Told of all that there is, as a list, it comes to the same.
        assert tables.changed(theirs, table, list(asked), kept, tables._encode) == ours


@needs_it
def test_many_keys_come_and_go() -> None:
    kept, noted, ours = tables._Hashes(), {}, tables.NOTHING
    rng = random.Random(1)
    table = {}
    theirs = ours
    for _ in range(60):
        keys = [rng.randrange(4) << 48 | rng.randrange(3_000) for _ in range(300)]
        for key in keys:
            if rng.random() < 0.5:
                table[key] = rng.randrange(9)
            else:
                table.pop(key, None)
        theirs = tables.changed(theirs, table, keys, kept, tables._encode)
        ours = tables._changed(ours, table, keys, noted)
        assert theirs == ours == tables._added(tables.NOTHING, table, table)
        assert len(kept) == len(table)


@needs_it
def test_the_kernel_says_what_it_cannot_do() -> None:
    kept, none = tables._Hashes(), tables.NOTHING
    for wrong in (b"", "", bytes(15), None):
        with pytest.raises(TypeError, match="expected 16 bytes"):
            tables.changed(wrong, {}, [], kept, repr)
    for key in ("a", -1, 1 << 64, None):
        with pytest.raises(TypeError, match="expected a key from 0 up to 2\\^64"):
            tables.changed(none, {key: 1}, [key], kept, tables._encode)
        with pytest.raises(TypeError, match="expected a key from 0 up to 2\\^64"):
            tables._Keys()[key] = None
    with pytest.raises(TypeError, match="encodes to no bytes"):
        tables.changed(none, {1: {2}}, [1], kept, repr)
    with pytest.raises(TypeError, match="expected \\(key, value\\)"):
        tables.removed(none, [1], tables._encode)
    with pytest.raises(ZeroDivisionError):
        tables.removed(none, [(1, {1})], lambda _: 1 // 0)
    with pytest.raises(KeyError):
        tables.added(none, {}, [1], tables._encode)
    with pytest.raises(TypeError, match="added only"):
        tables._Keys()[1] = 1
    with pytest.raises(TypeError, match="added only"):
        del tables._Keys()[1]
    with pytest.raises(TypeError, match="argument"):
        tables._Keys([1])
