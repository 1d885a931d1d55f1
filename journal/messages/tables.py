"""Dicts of many entries of which few change, with a digest that costs as much as what has changed since the last one.

A table's digest is the sum of its entries' hashes, modulo 2^128: it says what is in it, not in which order it came in or which
way it came about. Nobody has to say what he changes. Of a `Fixed` table entries are replaced, never changed, so that the table
sees it. From a `Table` an entry is taken to be changed: whoever asks for it counts as if he had. Only `look` does not.

An entry's bytes are msgpack, or JSON where a number has more than 64 bits, for which msgpack has no room: a rule of the entry
alone.

Nothing is kept for it before the first digest was asked for: who never asks pays nothing.

By the same right a table tells what captures it (captures.py) of an entry that may change, before it does.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import msgspec

from journal.kernel._journal import ffi, lib
from journal.messages import accelerator

K = TypeVar("K")
V = TypeVar("V")

TRACKED_MAX = 1 << 18
"""So many changes are remembered until a digest is asked for; beyond that the next one is computed anew."""
HASH_BYTES = int(lib.LOCKSTEP_MURMUR3_BYTES)
NOTHING = bytes(HASH_BYTES)
"""The digest of an empty table."""
_MODULUS = 1 << 8 * HASH_BYTES
_pack, _tell = msgspec.msgpack.Encoder().encode, msgspec.json.Encoder().encode
_get, _item, _put = dict.get, dict.__getitem__, dict.__setitem__  # without super(), which costs as much again


def _encode(entry: tuple[Any, Any]) -> bytes:
    """The canonical bytes of an entry."""
    try:
        return _pack(entry)
    except OverflowError:
        return _tell(entry)


def _hash(key: Any, value: Any) -> bytes:
    data, found = _encode((key, value)), bytearray(HASH_BYTES)
    lib.lockstep_murmur3(data, len(data), ffi.from_buffer(found))
    return bytes(found)


def _number(hashed: bytes) -> int:
    return int.from_bytes(hashed, "little")


def _sum(number: int) -> bytes:
    return (number % _MODULUS).to_bytes(HASH_BYTES, "little")


def _changed(before: bytes, table: dict[K, V], keys: Iterable[K], hashes: dict[K, bytes], _: Any = None) -> bytes:
    """The sum with what the keys have now, noted in `hashes`, instead of what is noted there."""
    number = _number(before)
    for key in keys:
        number -= _number(hashes.pop(key, b""))
        if key in table:
            hashes[key] = now = _hash(key, _item(table, key))
            number += _number(now)
    return _sum(number)


def _added(before: bytes, table: dict[K, V], keys: Iterable[K], _: Any = None) -> bytes:
    """The sum with what each key has."""
    return _sum(_number(before) + sum(_number(_hash(key, _item(table, key))) for key in keys))


def _removed(before: bytes, rows: Iterable[tuple[K, V]], _: Any = None) -> bytes:
    """The sum without these (key, value)."""
    return _sum(_number(before) - sum(_number(_hash(key, value)) for key, value in rows))


changed, added, removed, _Hashes, _Keys = accelerator.tables or (_changed, _added, _removed, dict, dict)


class Watcher(Protocol):
    """What wants to see the entries of a table as they were."""

    def before(self, key: Any) -> None:
        """An entry will change, come or go."""

    def before_all(self) -> None:
        """Any may change."""


def look(table: dict[K, V]) -> ItemsView[K, V]:
    """The entries, for whoever only looks at them and changes none."""
    return dict.items(table)


class Fixed(dict[K, V]):
    """A table whose entries do not change."""

    __slots__ = ("_added", "_removed", "_sum", "watchers")

    def __init__(self, entries: dict[K, V]) -> None:
        super().__init__(entries)
        self.watchers: tuple[Watcher, ...] = ()
        self._sum = NOTHING
        self._added: dict[K, None] | None = None
        self._removed: list[tuple[K, V]] = []

    @classmethod
    def of(cls, entries: dict[K, V]) -> Fixed[K, V]:
        """The table itself, or one of these entries."""
        return entries if isinstance(entries, cls) else cls(entries)

    def __setitem__(self, key: K, value: V) -> None:
        self._goes(key)
        if self._added is not None:
            self._added[key] = None
        _put(self, key, value)

    def __delitem__(self, key: K) -> None:
        self._goes(key)
        super().__delitem__(key)

    def pop(self, key: K, *default: Any) -> Any:
        """As of any dict."""
        self._goes(key)
        return super().pop(key, *default)

    def _goes(self, key: K) -> None:
        for watcher in self.watchers:
            watcher.before(key)
        added = self._added
        if added is None or key not in self:
            return
        if key in added:
            del added[key]
        elif len(self._removed) + len(added) < TRACKED_MAX:
            self._removed.append((key, self[key]))
        else:
            self._added, self._removed = None, []

    def digest(self) -> bytes:
        """The sum of all entries' hashes. O(what came and went since the last)."""
        if self._added is None:
            self._sum = added(NOTHING, self, self, _encode)
        else:
            self._sum = removed(added(self._sum, self, self._added, _encode), self._removed, _encode)
        self._added, self._removed = {}, []
        return self._sum

    def setdefault(self, *_: Any) -> Any:
        """Not of a table."""
        raise NotImplementedError

    popitem = update = clear = __ior__ = setdefault


class Table(dict[K, V]):
    """A table whose entries change. Its keys are integers from 0 up to 2^64."""

    __slots__ = ("_asked", "_hashes", "_sum", "watchers")

    def __init__(self, entries: dict[K, V]) -> None:
        super().__init__(entries)
        self.watchers: tuple[Watcher, ...] = ()
        self._sum = NOTHING
        self._hashes = _Hashes()
        self._asked: dict[K, None] | None = None
        """Asked for since the last digest; None: everything may have changed."""

    @classmethod
    def of(cls, entries: dict[K, V]) -> Table[K, V]:
        """The table itself, or one of these entries."""
        return entries if isinstance(entries, cls) else cls(entries)

    def __getitem__(self, key: K) -> V:
        value = _item(self, key)
        if self.watchers:
            self._tell(key)
        if self._asked is not None:
            self._asked[key] = None
        return value

    def get(self, key: K, default: Any = None) -> Any:
        """As of any dict."""
        value = _get(self, key, default)
        if value is not default:
            if self.watchers:
                self._tell(key)
            if self._asked is not None:
                self._asked[key] = None
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self.touch(key)
        _put(self, key, value)

    def __delitem__(self, key: K) -> None:
        self.touch(key)
        super().__delitem__(key)

    def pop(self, key: K, *default: Any) -> Any:
        """As of any dict."""
        self.touch(key)
        return super().pop(key, *default)

    def _tell(self, key: K) -> None:
        for watcher in self.watchers:
            watcher.before(key)

    def touch(self, key: K) -> None:
        """An entry will change: to be said before it does."""
        if self.watchers:
            self._tell(key)
        asked = self._asked
        if asked is not None:
            if len(asked) < TRACKED_MAX:
                asked[key] = None
            else:
                self._asked, self._hashes = None, _Hashes()

    def values(self) -> Any:
        """All entries, and any may be changed."""
        self._forget()
        return super().values()

    def items(self) -> Any:
        """All entries, and any may be changed."""
        self._forget()
        return super().items()

    def _forget(self) -> None:
        for watcher in self.watchers:
            watcher.before_all()
        self._asked, self._hashes = None, _Hashes()

    def looked(self) -> None:
        """Whatever was asked for since the last digest, nothing was changed."""
        if self._asked is not None:
            self._asked = _Keys()

    def digest(self) -> bytes:
        """The sum of all entries' hashes. O(what was asked for since the last)."""
        if self._asked is None:
            self._hashes = _Hashes()
            self._sum = changed(NOTHING, self, self, self._hashes, _encode)
        else:
            self._sum = changed(self._sum, self, self._asked, self._hashes, _encode)
        self._asked = _Keys()
        return self._sum

    def setdefault(self, *_: Any) -> Any:
        """Not of a table."""
        raise NotImplementedError

    popitem = update = clear = __ior__ = setdefault


Tables = tuple[Fixed[Any, Any] | Table[Any, Any], ...]


@contextmanager
def only_looked_at(tables: Tables) -> Iterator[None]:
    """Whatever is asked for in the block, nothing is changed."""
    yield
    for table in tables:
        if isinstance(table, Table):
            table.looked()


def digest_of(rest: bytes, tables: Tables) -> bytes:
    """One digest over the canonical bytes of a state without its tables, and these."""
    parts = [rest]
    for table in tables:
        parts += len(table).to_bytes(8, "little"), table.digest()
    return accelerator.blake2b(b"".join(parts), 32)
