"""Books: every instrument's market-by-price book, and whether it may be traded on.

A snapshot makes a book live; updates of the same feed continue it while the venue's numbers prove that nothing is missing.
Anything else (a gap, a crossed or malformed book, a lost connection, a dead gateway, a new session) takes it out of LIVE in
the same frame, and only another snapshot brings it back. The one exception is a book that is merely STALE: if the next update
of the same connection begins exactly where the book ends, nothing was lost, and it is live again.

States: EMPTY → (SNAPSHOT_PENDING →) LIVE ⇄ STALE; LIVE → INVALID; a gateway may also say SNAPSHOT_PENDING, INVALID or
QUARANTINED. Says BookState when the state or its reason changes, TopOfBook when the touch of a live book does.
"""

from __future__ import annotations

from typing import Any, ClassVar

from apps import state
from apps.app import App
from apps.books.book import BAD_LEVEL, CROSSED, LIVE, LOCKED, TOO_DEEP, TOUCHED, UNSORTED, Book, PendingUpdate
from apps.books.continuity import APPLY, GAP, OLD, judge
from apps.instruments import Instruments
from journal.messages import (
    BookProof,
    BookState,
    BookStateCode,
    BookStateReason,
    BookType,
    ConnectionState,
    GapAction,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    MarketData,
    MarketDataGap,
    SessionStart,
    SourceRole,
    SourceState,
    SourceStateCode,
    StreamStatus,
    TopOfBook,
    accelerator,
    group_bytes,
)

_fast = accelerator.extension("apps.kernel._fast")
STALE, INVALID = int(BookStateCode.STALE), int(BookStateCode.INVALID)
_REFUSED = {
    BAD_LEVEL: BookStateReason.NEGATIVE_OR_ZERO,
    UNSORTED: BookStateReason.UNSORTED,
    TOO_DEEP: BookStateReason.TOO_MANY_LEVELS,
}
_GONE = (
    SourceStateCode.DETACHED,
    SourceStateCode.QUARANTINED,
    SourceStateCode.BANNED,
    SourceStateCode.DEAD,
    SourceStateCode.REPLACED,
)
# What survives a snapshot of the app, beside the levels and the pending updates.
_FIELDS = (
    "state", "reason", "source", "stream", "connection_epoch", "exchange_seq", "joined", "sound", "verified", "seq",
    "touch_seq", "touched",
)  # fmt: skip


class Books(App):
    """Rebuilds books. Read by strategies as a mute instance: `self.uses(Books).book(instrument)`."""

    requires: ClassVar[tuple[type[App], ...]] = (Instruments,)

    def __init__(self) -> None:
        self._books: dict[int, Book] = {}

    def book(self, instrument: int) -> Book:
        """The book of an instrument; EMPTY if the stream has said nothing of it yet. The same object every time."""
        found = self._books.get(instrument)
        if found is None:
            found = self._books[instrument] = Book(instrument)
        return found

    def natives(self) -> dict[int, Any]:
        """Updates that continue a live book, nearly all frames there are, are applied without Python."""
        if _fast is None or type(self) is not Books:
            return {}
        return {MarketByPriceUpdate.KIND: _fast.BookUpdates(self._books, Book, TopOfBook, LIVE)}

    # Levels.

    def on_market_by_price_snapshot(self, m: MarketByPriceSnapshot) -> None:
        """Replace the book, and continue it with the updates that were waiting for this snapshot."""
        book = self.book(m.instrument)
        book.touched = False
        same_feed = self._fed_by(book, m)
        if book.state == LIVE and same_feed and 0 < m.exchange_seq < book.exchange_seq:
            return  # older than the book, which is proved to be right
        if not same_feed:
            book.pending.clear()
        book.source, book.stream, book.connection_epoch = self.source, m.stream, m.connection_epoch
        book.exchange_seq, book.joined, book.verified, book.sound = m.exchange_seq, False, 0, True
        book.seq = self.seq
        result = book.replace(m.bids, m.asks)
        reason = _wrong(result) or self._continue(book)
        if reason:
            self._leave(book, m, INVALID, reason)
            return
        if book.state != LIVE:
            self._enter(book, m, BookStateCode.LIVE, BookStateReason.VERIFIED)
            self._touch(book, m)
        elif result & TOUCHED:
            self._touch(book, m)

    def on_market_by_price_update(self, m: MarketByPriceUpdate) -> None:
        """Apply changed levels, if the numbers prove that they continue the book."""
        book = self.book(m.instrument)
        book.touched = False
        if not book.sound or not self._fed_by(book, m):
            self._waiting(book, m)
            return
        verdict = judge(
            last=book.exchange_seq,
            joined=book.joined,
            prev=m.prev_exchange_seq,
            first=m.first_exchange_seq,
            exchange_seq=m.exchange_seq,
        )
        if verdict == OLD:
            return
        if verdict != APPLY or (book.state == STALE and not m.prev_exchange_seq and not m.first_exchange_seq):
            backwards = verdict not in (APPLY, GAP)
            why = BookStateReason.SEQUENCE_BACKWARDS if backwards else BookStateReason.SEQUENCE_GAP
            self._leave(book, m, INVALID, why)
            _keep(book, m)
            return
        book.seq = self.seq
        result = book.update(m.bids, m.asks)
        reason = _wrong(result)
        if reason:
            self._leave(book, m, INVALID, reason)
            return
        book.exchange_seq, book.joined = m.exchange_seq, True
        book.verified += 1
        if book.state != LIVE:
            self._enter(book, m, BookStateCode.LIVE, BookStateReason.VERIFIED)
            self._touch(book, m)
        elif result & TOUCHED:
            self._touch(book, m)

    # What others say of the feed.

    def on_book_state(self, m: BookState) -> None:
        """A gateway knows of trouble before the numbers show it. Its LIVE is not taken: a snapshot proves that."""
        if self.uses(Instruments).roles.get(self.source) == SourceRole.BOOKS:
            return  # our own word, come back
        book = self.book(m.instrument)
        book.touched = False
        if m.state in (BookStateCode.UNDEFINED, LIVE) or (book.state == LIVE and not self._feeds(book, m.stream)):
            return
        self._leave(book, m, m.state, m.reason)

    def on_market_data_gap(self, m: MarketDataGap) -> None:
        """The gateway has lost messages and has asked for a snapshot."""
        book = self.book(m.instrument)
        book.touched = False
        if m.action == GapAction.IGNORED or (book.state == LIVE and not self._feeds(book, m.stream)):
            return
        self._leave(book, m, INVALID, BookStateReason.SEQUENCE_GAP)

    def on_stream_status(self, m: StreamStatus) -> None:
        """A connection is down, quiet, or new: what it fed is stale."""
        for book in self._books.values():
            if book.state != LIVE or not self._feeds(book, m.stream):
                continue
            if m.connection == ConnectionState.UP and m.connection_epoch == book.connection_epoch:
                continue
            quiet = m.connection == ConnectionState.STALE
            self._stale(book, BookStateReason.NO_UPDATE_TOO_LONG if quiet else BookStateReason.DISCONNECTED)

    def on_source_state(self, m: SourceState) -> None:
        """A gateway has died without a word."""
        if m.state in _GONE:
            for book in self._books.values():
                if book.state == LIVE and book.source == m.source:
                    self._stale(book, BookStateReason.DISCONNECTED)

    def on_session_start(self, _m: SessionStart) -> None:
        """The stream was interrupted: whether a feed went on meanwhile, its next update will prove."""
        for book in self._books.values():
            if book.state == LIVE:
                self._stale(book, BookStateReason.DISCONNECTED)

    # State.

    def snapshot(self) -> bytes:
        """Books by instrument. One that only a reader asked for is no state: the stream has said nothing of it."""
        return state.encode(
            {
                i: [
                    *[int(getattr(b, name)) for name in _FIELDS],
                    *b.contents(),
                    [[u.prev, u.first, u.exchange_seq, u.bids, u.asks] for u in b.pending],
                ]
                for i, b in sorted(self._books.items())
                if b.seq
            }
        )

    def restore(self, data: bytes) -> None:
        """Take the state of a snapshot. Book objects that a reader holds stay the same."""
        for instrument, (*values, bids, asks, pending) in state.decode(data).items():
            book = self.book(instrument)
            for name, value in zip(_FIELDS, values, strict=True):
                setattr(book, name, type(getattr(book, name))(value))
            book.set_contents(bids, asks)
            book.pending.clear()
            book.pending.extend(PendingUpdate(*row) for row in pending)

    def check(self) -> None:
        """Assert the invariants of every book. O(levels)."""
        for book in self._books.values():
            book.check()

    # How books change state.

    def _fed_by(self, book: Book, m: MarketData) -> bool:
        """Whether a message comes from the connection that the book was built from."""
        return self._feeds(book, m.stream) and m.connection_epoch == book.connection_epoch

    def _feeds(self, book: Book, stream: int) -> bool:
        return self.source == book.source and stream == book.stream

    def _waiting(self, book: Book, m: MarketByPriceUpdate) -> None:
        """An update for a book that cannot take it: ahead of its snapshot, or of another connection."""
        if not self._fed_by(book, m):
            if book.state == LIVE and not self._feeds(book, m.stream):
                return  # a second feed of the instrument; the first one is good
            # A new connection, and nobody said that the old one ended. An old book never merges with a new one.
            known = bool(book.source)
            book.pending.clear()
            book.source, book.stream, book.connection_epoch = self.source, m.stream, m.connection_epoch
            reason = BookStateReason.DISCONNECTED if known else BookStateReason.SUBSCRIBED
            self._leave(book, m, BookStateCode.SNAPSHOT_PENDING, reason)
        _keep(book, m)

    def _continue(self, book: Book) -> int:
        """Apply the pending updates that continue a fresh snapshot; the reason if one of them cannot."""
        while book.pending:
            u = book.pending[0]
            verdict = judge(last=book.exchange_seq, joined=book.joined, prev=u.prev, first=u.first, exchange_seq=u.exchange_seq)
            if verdict == APPLY:
                reason = _wrong(book.update(u.bids, u.asks))
                if reason:
                    return reason
                book.exchange_seq, book.joined = u.exchange_seq, True
                book.verified += 1
            elif verdict == GAP:
                return BookStateReason.SEQUENCE_GAP if book.joined else BookStateReason.SNAPSHOT_OLDER_THAN_BUFFER
            elif verdict != OLD:
                return BookStateReason.SEQUENCE_BACKWARDS
            book.pending.popleft()
        return 0

    def _enter(self, book: Book, m: Any, code: int, reason: int) -> None:
        book.state, book.reason, book.seq = int(code), int(reason), self.seq
        self.emit(
            BookState(
                instrument=book.instrument,
                stream=book.stream,
                connection_epoch=book.connection_epoch,
                exchange_ts=m.exchange_ts if m is not None else 0,
                exchange_seq=m.exchange_seq if m is not None else 0,
                exchange_seq_last=book.exchange_seq,
                updates_verified=book.verified,
                book_type=BookType.MARKET_BY_PRICE,
                state=book.state,
                reason=book.reason,
                proof=BookProof.SEQUENCE if book.exchange_seq else 0,
            )
        )

    def _leave(self, book: Book, m: Any, code: int, reason: int) -> None:
        """Any state that is not live. Readers lose the touch in this frame."""
        book.sound = book.sound and code == STALE
        if (book.state, book.reason) == (code, reason):
            return
        if book.state == LIVE:
            book.touched, book.touch_seq = True, self.seq
        self._enter(book, m, code, reason)

    def _stale(self, book: Book, reason: BookStateReason) -> None:
        self._leave(book, None, STALE, reason)

    def _touch(self, book: Book, m: MarketData) -> None:
        book.touched, book.touch_seq = True, self.seq
        self.emit(
            TopOfBook(
                instrument=m.instrument,
                stream=m.stream,
                connection_epoch=m.connection_epoch,
                exchange_ts=m.exchange_ts,
                sending_ts=m.sending_ts,
                exchange_seq=m.exchange_seq,
                bid_px=book.bid_px,
                bid_qty=book.bid_qty,
                ask_px=book.ask_px,
                ask_qty=book.ask_qty,
            )
        )


def _wrong(result: int) -> int:
    """What a kernel result means for the book's state; 0 when nothing is wrong."""
    if result < 0:
        return _REFUSED[result]
    if result & CROSSED:
        return BookStateReason.CROSSED
    return BookStateReason.LOCKED if result & LOCKED else 0


def _keep(book: Book, m: MarketByPriceUpdate) -> None:
    """Keep an update for the snapshot to come, if its numbers will show whether it continues it."""
    if m.prev_exchange_seq or m.first_exchange_seq:
        bids, asks = bytes(group_bytes(m.bids)), bytes(group_bytes(m.asks))
        book.keep(PendingUpdate(m.prev_exchange_seq, m.first_exchange_seq, m.exchange_seq, bids, asks))
