"""Dicts of many entries of which few change, with a digest that costs as much as what has changed since the last one.

A table's digest is the sum of its entries' hashes, modulo 2^256: it says what is in it, not in which order it came in or which
way it came about. Nobody has to say what he changes. Of a `Fixed` table entries are replaced, never changed, so that the table
sees it. From a `Table` an entry is taken to be changed: whoever asks for it counts as if he had. Only `look` does not.

Nothing is kept for it before the first digest was asked for: who never asks pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from journal.messages import accelerator

K = TypeVar("K")
V = TypeVar("V")
Encode = Callable[[Any], bytes]

TRACKED_MAX = 1 << 18
"""So many changes are remembered until a digest is asked for; beyond that the next one is computed anew."""
HASH_BYTES = 32
NOTHING = bytes(HASH_BYTES)
"""The digest of an empty table."""
_MODULUS = 1 << 8 * HASH_BYTES
_encode = msgspec.msgpack.Encoder().encode
_get, _item, _put = dict.get, dict.__getitem__, dict.__setitem__  # without super(), which costs as much again


def _hash(encode: Encode, key: Any, value: Any) -> bytes:
    return blake2b(encode((key, value)), digest_size=HASH_BYTES).digest()


def _number(hashed: bytes) -> int:
    return int.from_bytes(hashed, "little")


def _sum(number: int) -> bytes:
    return (number % _MODULUS).to_bytes(HASH_BYTES, "little")


def _changed(before: bytes, table: dict[K, V], keys: Iterable[K], hashes: dict[K, bytes], encode: Encode) -> bytes:
    """The sum with what the keys have now, noted in `hashes`, instead of what is noted there."""
    number = _number(before)
    for key in keys:
        number -= _number(hashes.pop(key, b""))
        if key in table:
            hashes[key] = now = _hash(encode, key, _item(table, key))
            number += _number(now)
    return _sum(number)


def _moved(before: bytes, rows: Iterable[tuple[K, V]], encode: Encode, sign: int) -> bytes:
    """The sum with each (key, value) added, or taken away where the sign is -1."""
    return _sum(_number(before) + sign * sum(_number(_hash(encode, key, value)) for key, value in rows))


changed, moved = accelerator.tables or (_changed, _moved)


def look(table: dict[K, V]) -> ItemsView[K, V]:
    """The entries, for whoever only looks at them and changes none."""
    return dict.items(table)


class Fixed(dict[K, V]):
    """A table whose entries do not change."""

    __slots__ = ("_added", "_encode", "_removed", "_sum")

    def __init__(self, entries: dict[K, V], encode: Encode = _encode) -> None:
        super().__init__(entries)
        self._encode = encode
        self._sum = NOTHING
        self._added: dict[K, None] | None = None
        self._removed: list[tuple[K, V]] = []

    @classmethod
    def of(cls, entries: dict[K, V], encode: Encode = _encode) -> Fixed[K, V]:
        """The table itself, or one of these entries."""
        return entries if isinstance(entries, cls) else cls(entries, encode)

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
            self._sum = moved(NOTHING, look(self), self._encode, 1)
        else:
            came = moved(self._sum, [(k, _item(self, k)) for k in self._added], self._encode, 1)
            self._sum = moved(came, self._removed, self._encode, -1)
        self._added, self._removed = {}, []
        return self._sum

    def setdefault(self, *_: Any) -> Any:
        """Not of a table."""
        raise NotImplementedError

    popitem = update = clear = __ior__ = setdefault


class Table(dict[K, V]):
    """A table whose entries change."""

    __slots__ = ("_asked", "_encode", "_hashes", "_sum")

    def __init__(self, entries: dict[K, V], encode: Encode = _encode) -> None:
        super().__init__(entries)
        self._encode = encode
        self._sum = NOTHING
        self._hashes: dict[K, bytes] = {}
        self._asked: dict[K, None] | None = None
        """Asked for since the last digest; None: everything may have changed."""

    @classmethod
    def of(cls, entries: dict[K, V], encode: Encode = _encode) -> Table[K, V]:
        """The table itself, or one of these entries."""
        return entries if isinstance(entries, cls) else cls(entries, encode)

    def __getitem__(self, key: K) -> V:
        value = _item(self, key)
        if self._asked is not None:
            self._asked[key] = None
        return value

    def get(self, key: K, default: Any = None) -> Any:
        """As of any dict."""
        value = _get(self, key, default)
        if value is not default and self._asked is not None:
            self._asked[key] = None
        return value

    def __setitem__(self, key: K, value: V) -> None:
        if self._asked is not None:
            self.touch(key)
        _put(self, key, value)

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        if self._asked is not None:
            self.touch(key)

    def pop(self, key: K, *default: Any) -> Any:
        """As of any dict."""
        if self._asked is not None:
            self.touch(key)
        return super().pop(key, *default)

    def touch(self, key: K) -> None:
        """An entry will change."""
        asked = self._asked
        if asked is not None:
            if len(asked) < TRACKED_MAX:
                asked[key] = None
            else:
                self._asked, self._hashes = None, {}

    def values(self) -> Any:
        """All entries, and any may be changed."""
        self._asked, self._hashes = None, {}
        return super().values()

    def items(self) -> Any:
        """All entries, and any may be changed."""
        self._asked, self._hashes = None, {}
        return super().items()

    def looked(self) -> None:
        """Whatever was asked for since the last digest, nothing was changed."""
        if self._asked is not None:
            self._asked = {}

    def digest(self) -> bytes:
        """The sum of all entries' hashes. O(what was asked for since the last)."""
        if self._asked is None:
            self._hashes = {}
            self._sum = changed(NOTHING, self, self.keys(), self._hashes, self._encode)
        else:
            self._sum = changed(self._sum, self, self._asked, self._hashes, self._encode)
        self._asked = {}
        return self._sum

    def setdefault(self, *_: Any) -> Any:
        """Not of a table."""
        raise NotImplementedError

    popitem = update = clear = __ior__ = setdefault


@contextmanager
def only_looked_at(tables: tuple[Fixed[Any, Any] | Table[Any, Any], ...]) -> Iterator[None]:
    """Whatever is asked for in the block, nothing is changed."""
    yield
    for table in tables:
        if isinstance(table, Table):
            table.looked()


def digest_of(rest: bytes, tables: tuple[Fixed[Any, Any] | Table[Any, Any], ...]) -> bytes:
    """One digest over the canonical bytes of a state without its tables, and these."""
    whole = blake2b(rest, digest_size=32)
    for table in tables:
        whole.update(len(table).to_bytes(8, "little") + table.digest())
    return whole.digest()
