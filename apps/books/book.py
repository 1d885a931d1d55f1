"""One instrument's book: the C kernel's memory, and what readers see of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from apps.books.kernel._books import ffi, lib
from journal.messages import NULL, BookStateCode, Level, Side, group_bytes

LEVELS_MAX = 1 << 17
"""Levels a side may hold. The deepest venues show some ten thousand; a book beyond this is a decoding error."""
LEVELS_FIRST = 256
PENDING_MAX = 1024
"""Updates kept while a snapshot is awaited. At 100 a second that is ten seconds; venues answer within one."""
PENDING_BYTES_MAX = 16 << 20

TOUCHED, CROSSED, LOCKED = lib.BOOK_TOUCHED, lib.BOOK_CROSSED, lib.BOOK_LOCKED
BAD_LEVEL, UNSORTED, TOO_DEEP = lib.BOOK_BAD_LEVEL, lib.BOOK_UNSORTED, -4
LIVE = int(BookStateCode.LIVE)


class PendingUpdate(msgspec.Struct, frozen=True):
    """An update that came before the snapshot it continues; levels as (px, qty) rows of 16 bytes."""

    prev: int
    first: int
    exchange_seq: int
    bids: bytes
    asks: bytes

    @property
    def size(self) -> int:
        """Bytes of its rows."""
        return len(self.bids) + len(self.asks)


class Book:
    """The book of one instrument. Readers look, only the Books app changes it.

    Only a LIVE book has a touch: `bid_px`, `bid_qty`, `ask_px`, `ask_qty` are NULL otherwise, and on an empty side.
    `levels` shows what is held in any state, for people."""

    __slots__ = (
        "_address", "_book", "_memory", "connection_epoch", "exchange_seq", "given", "instrument", "joined", "pending",
        "reason", "seq", "sound", "source", "state", "stream", "touch_seq", "touched", "verified",
    )  # fmt: skip

    def __init__(self, instrument: int) -> None:
        self.instrument = instrument
        self.state: int = BookStateCode.EMPTY
        self.reason = 0
        self.source = 0  # who feeds it: publisher, stream and connection of the snapshot
        self.stream = 0
        self.connection_epoch = 0
        self.exchange_seq = 0  # the venue's number of the last update applied
        self.joined = False  # an update has followed the snapshot
        self.sound = False  # LIVE, or STALE since: the levels are the venue's as of exchange_seq
        self.verified = 0  # updates applied since the snapshot
        self.seq = 0  # frame that last changed the book or its state
        self.touch_seq = 0  # frame that last changed the touch
        self.touched = False  # whether the last frame about this book changed the touch
        self.given: int | None = None  # what the update at hand gave, where the accelerator has applied it already
        self.pending: deque[PendingUpdate] = deque()
        self._book = ffi.new("struct book *")
        self._address = int(ffi.cast("uintptr_t", self._book))
        self._memory: dict[str, Any] = {}
        self._room(self._book.bids, "bids", LEVELS_FIRST)
        self._room(self._book.asks, "asks", LEVELS_FIRST)
        lib.book_refresh(self._book)

    @property
    def is_live(self) -> bool:
        """Whether the book may be traded on."""
        return self.state == LIVE

    @property
    def bid_px(self) -> int:
        """Best bid price; NULL unless live with a bid."""
        return int(self._book.bid_px) if self.state == LIVE else NULL

    @property
    def bid_qty(self) -> int:
        """Quantity at the best bid; NULL unless live with a bid."""
        return int(self._book.bid_qty) if self.state == LIVE else NULL

    @property
    def ask_px(self) -> int:
        """Best ask price; NULL unless live with an ask."""
        return int(self._book.ask_px) if self.state == LIVE else NULL

    @property
    def ask_qty(self) -> int:
        """Quantity at the best ask; NULL unless live with an ask."""
        return int(self._book.ask_qty) if self.state == LIVE else NULL

    def levels(self, side: int, n: int) -> list[Level]:
        """The best `n` levels of a side (Side.BUY: bids), best first, whatever the state."""
        held = self._book.bids if side == Side.BUY else self._book.asks
        n = min(n, held.count)
        out = ffi.new("struct book_level[]", n)
        lib.book_depth(ffi.addressof(self._book, "bids" if side == Side.BUY else "asks"), n, out)
        return [Level(row.px, row.qty) for row in out]

    def depth(self, side: int) -> int:
        """How many levels a side holds."""
        return int(self._book.bids.count if side == Side.BUY else self._book.asks.count)

    def update(self, bids: Sequence[Level] | bytes, asks: Sequence[Level] | bytes) -> int:
        """Apply changed levels: bits TOUCHED, CROSSED, LOCKED, or a negative result and nothing changed."""
        if self.given is not None:
            result, self.given = self.given, None
            return result
        return self._apply(lib.book_update, bids, asks)

    def replace(self, bids: Sequence[Level] | bytes, asks: Sequence[Level] | bytes) -> int:
        """Take the rows of a snapshot, best first; results as `update`."""
        return self._apply(lib.book_replace, bids, asks)

    def keep(self, update: PendingUpdate) -> None:
        """Keep an update until a snapshot comes. Beyond the limits the oldest go; an older snapshot will then not join."""
        self.pending.append(update)
        while len(self.pending) > PENDING_MAX or sum(u.size for u in self.pending) > PENDING_BYTES_MAX:
            self.pending.popleft()

    def check(self) -> None:
        """Assert every invariant of the book. O(n): for tests and the debugger."""
        assert lib.book_check(self._book), f"instrument {self.instrument}: sides unsorted, or the touch is not their best"
        if self.state == LIVE and NULL not in (self.bid_px, self.ask_px):
            assert self.bid_px < self.ask_px, f"instrument {self.instrument}: live and crossed"
        assert self.state != LIVE or self.sound
        assert not (self.sound and self.pending), f"instrument {self.instrument}: updates wait for a book that can take them"

    def contents(self) -> tuple[bytes, bytes]:
        """Canonical bytes of both sides: 16 a level, worst first."""
        return bytes(ffi.buffer(self._book.bids.levels, self._book.bids.count * 16)), bytes(
            ffi.buffer(self._book.asks.levels, self._book.asks.count * 16)
        )

    def set_contents(self, bids: bytes, asks: bytes) -> None:
        """Take what `contents` gave."""
        for name, data in (("bids", bids), ("asks", asks)):
            side = getattr(self._book, name)
            side.count = 0
            self._room(side, name, max(LEVELS_FIRST, len(data) // 16))
            ffi.memmove(side.levels, data, len(data))
            side.count = len(data) // 16
        lib.book_refresh(self._book)

    def _apply(self, function: Any, bids: Any, asks: Any) -> int:
        bid_bytes, bid_rows, bid_stride = _rows(bids)
        ask_bytes, ask_rows, ask_stride = _rows(asks)
        book = self._book
        result = int(function(book, bid_bytes, bid_rows, bid_stride, ask_bytes, ask_rows, ask_stride))
        if result != lib.BOOK_FULL:
            return result
        for name, rows in (("bids", bid_rows), ("asks", ask_rows)):
            side = getattr(book, name)
            needed = rows + (side.count if function is lib.book_update else 0)
            if needed > LEVELS_MAX:
                return TOO_DEEP
            if needed > side.capacity:
                self._room(side, name, max(needed, 2 * side.capacity))
        return int(function(book, bid_bytes, bid_rows, bid_stride, ask_bytes, ask_rows, ask_stride))

    def _room(self, side: Any, name: str, levels: int) -> None:
        memory = ffi.new("struct book_level[]", levels)
        if side.count:
            ffi.memmove(memory, side.levels, side.count * 16)
        side.levels, side.capacity = memory, levels
        self._memory[name] = memory  # the struct's pointer keeps nothing alive


def _rows(rows: Any) -> tuple[Any, int, int]:
    """Rows as the kernel takes them: bytes in place, how many, how far apart."""
    if isinstance(rows, bytes):
        return ffi.from_buffer(rows), len(rows) // 16, 16
    n = len(rows)
    if not n:
        return ffi.NULL, 0, 16
    data = group_bytes(rows)
    return ffi.from_buffer(data), n, len(data) // n
