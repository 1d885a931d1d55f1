"""A table as it was at one moment, encoded a few entries at a time while it goes on changing.

An entry that may change, or goes, is encoded just before, if it was not yet: its state is still that of the moment, for the
table tells of every access (tables.py). One that comes later is no part of it. So nothing is copied, and nobody waits for more
than a piece. A piece is a dict of entries; one entry may be in two, and is the same in both. They come in no order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

import msgspec

from journal.messages import accelerator
from journal.messages.tables import Fixed, Table

PIECE = 64
"""Entries that are encoded at once: some 50 µs."""
PASSES = 8
"""So often a piece looks for entries to be encoded: what was, or came later, is passed over faster than it comes, and the end
is reached."""
BLOCK_BYTES = 1 << 18
"""Pieces stand together in blocks: a thread that hashed and wrote each by itself would take the interpreter thousands of times.
One block is not made larger, for a megabyte that grows takes the time of ten pieces."""
_pack, _tell = msgspec.msgpack.Encoder().encode, msgspec.json.Encoder().encode
_item = dict.__getitem__
_TOLD = ord("{")
"""JSON begins so, msgpack of a dict does not."""
_MAP_16 = struct.Struct(">BH")


class _Walk:
    """The keys of a dict that comes and goes meanwhile, a few at a time. The model of journal.kernel._fast.Walk, which does
    not touch 100,000 keys at once."""

    def __init__(self, table: dict[Any, Any]) -> None:
        self._table = table
        self._keys: list[Any] | None = None

    def next(self, count: int) -> list[Any]:
        """The next so many; none at the end."""
        if self._keys is None:
            self._keys = list(self._table)[::-1]
        found = self._keys[-count:][::-1]
        del self._keys[-count:]
        return found

    def leave(self, key: Any) -> None:
        """A key will be removed."""


_walk: Callable[[dict[Any, Any]], Any] = accelerator.walk or _Walk


class Capture:
    """One table, from the moment when this is made until it is done."""

    __slots__ = ("_early", "_seen", "_table", "_walk", "blocks", "sizes")

    def __init__(self, table: Fixed[Any, Any] | Table[Any, Any]) -> None:
        self.blocks: list[bytearray] = []
        """The pieces, one behind the other."""
        self.sizes: list[int] = []
        """How long each is."""
        self._table = table
        self._walk = _walk(table)
        self._seen: set[Any] = set()
        """Keys that need no look any more: captured before a change, or come later."""
        self._early: list[bytes] = []
        """Of the former, the entries that are in no piece yet."""
        table.watchers = (*table.watchers, self)

    def before(self, key: Any) -> None:
        """An entry will change, come or go."""
        self._walk.leave(key)
        if key not in self._seen:
            self._seen.add(key)
            if key in self._table:
                self._early.append(_encode({key: _item(self._table, key)}))
                if len(self._early) == PIECE:
                    self._join()

    def before_all(self) -> None:
        """Any may change."""
        while self.go_on():
            pass

    def go_on(self) -> bool:
        """Encode some entries. False: all are."""
        rows: dict[Any, Any] = {}  # one object for the collector to count, where tuples would be sixty-four
        for _ in range(PASSES):
            keys = self._walk.next(PIECE - len(rows))
            for key in keys:
                if key not in self._seen:
                    rows[key] = _item(self._table, key)
            if len(rows) == PIECE or not keys:
                break
        if rows:
            self._add(_encode(rows))
        if not keys:
            self._table.watchers = tuple(w for w in self._table.watchers if w is not self)
            self._join()
        return bool(keys)

    def _join(self) -> None:
        """Those taken early are a piece too."""
        told = [e for e in self._early if e[0] == _TOLD]
        packed = [e for e in self._early if e[0] != _TOLD]
        self._early.clear()
        if packed:
            self._add(_MAP_16.pack(0xDE, len(packed)) + b"".join(e[1:] for e in packed))
        if told:
            self._add(b"{" + b",".join(e[1:-1] for e in told) + b"}")

    def _add(self, piece: bytes) -> None:
        if not self.blocks or len(self.blocks[-1]) >= BLOCK_BYTES:
            self.blocks.append(bytearray())
        self.blocks[-1] += piece
        self.sizes.append(len(piece))


def cut(body: memoryview, sizes: list[int]) -> list[memoryview]:
    """The pieces that stand at the beginning of what the blocks make together."""
    ends = list(accumulate(sizes))
    return [body[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _encode(of: Any) -> bytes:
    """msgpack; JSON where a number has more than 64 bits."""
    try:
        return _pack(of)
    except OverflowError:
        return _tell(of)


class Entries:
    """Reads the pieces of a table whose entries are of one type."""

    def __init__(self, key: type, value: Any) -> None:
        rows = dict[key, value]  # type: ignore[valid-type]
        self._packed, self._told = msgspec.msgpack.Decoder(rows), msgspec.json.Decoder(rows)

    def fill(self, table: dict[Any, Any], pieces: Iterable[Any]) -> None:
        """Put what they hold into a table that nobody has asked anything of yet."""
        for piece in pieces:
            rows = (self._told if piece[0] == _TOLD else self._packed).decode(piece)
            dict.update(table, rows)
