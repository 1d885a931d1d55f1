"""The market-data session, sans-I/O: frames of the venue and the time in, messages to publish out.

It speaks about its own line only: connected or not, book joined or waiting, gap, silence. What the levels mean is for the
books app. Snapshots come inline in the stream or as answers to `depth`, which the driver sends over the API connection
when `requests()` asks for it; the session never waits for anything, it has one timer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import msgspec

from gateways.sim.book_line import BookLine, Gap
from gateways.sim.mapping import (
    CONDITIONS,
    Line,
    Listing,
    book_snapshot,
    book_update,
    market_status,
    top_of_book,
    trade_summary,
)
from gateways.sim.session import NEVER, SNAPSHOT_ROW, Complaints, Out, raw_parts
from gateways.sim.wire import (
    BadFrame,
    Depth,
    DepthSnapshot,
    Print,
    Response,
    StatusChange,
    decode_api,
    decode_market,
    decode_snapshot,
)
from journal.messages import (
    BookProof,
    BookState,
    BookStateCode,
    BookStateReason,
    BookType,
    ConnectionState,
    Direction,
    Encoding,
    GapAction,
    MarketDataGap,
    Protocol,
    Reason,
    StreamStatus,
    Transport,
    VenueErrorCode,
)

MARKET_STREAM = 1
DEPTH_LEVELS = 5000
NO_BOOK_YET = -1008


class _Book(msgspec.Struct):
    """One instrument: its line, and when to ask for a snapshot or call it silent."""

    listing: Listing
    line: BookLine = msgspec.field(default_factory=BookLine)
    ask_at: int = NEVER
    """When to send (or, with `asked` set, repeat) the depth request."""
    asked: str = ""
    """Id of the depth request in flight; its answer only counts if it is this one."""
    wait_ns: int = 0
    silent_at: int = NEVER
    silent: bool = False


class MarketDataSession:
    """State of the market stream. Every method returns what to publish, in order."""

    def __init__(
        self,
        listings: Iterable[Listing],
        *,
        venue: int,
        last_epoch: int = 0,
        raw: bool = True,
        snapshot_grace_ns: int = 300_000_000,
        silent_after_ns: int = 5_000_000_000,
        answer_within_ns: int = 2_000_000_000,
    ) -> None:
        self.books = {listing.symbol: _Book(listing) for listing in listings}
        self.venue = venue
        self.raw = raw
        self.snapshot_grace_ns = snapshot_grace_ns
        self.silent_after_ns = silent_after_ns
        self.answer_within_ns = answer_within_ns
        self.connection_epoch = last_epoch
        self.connected_now = False
        self.complaints = Complaints(venue=venue, stream=MARKET_STREAM)
        self._line = Line(MARKET_STREAM, last_epoch)
        self._ids = itertools.count(1)

    # The connection.

    def connected(self, now_ns: int) -> list[Out]:
        """The market stream is open: a new connection epoch, all books wait for a snapshot."""
        self.connected_now = True
        self.connection_epoch = self.connection_epoch % 0xFFFF + 1
        self._line = Line(MARKET_STREAM, self.connection_epoch)
        out = [self._status(ConnectionState.UP, Reason.UNDEFINED)]
        for book in self.books.values():
            book.line.reset()
            # The stream may bring a snapshot of its own; asking at once would race it for nothing.
            book.ask_at, book.asked, book.wait_ns = now_ns + self.snapshot_grace_ns, "", 0
            book.silent_at, book.silent = now_ns + self.silent_after_ns, False
            out.append(self._state(book, BookStateCode.SNAPSHOT_PENDING, BookStateReason.SUBSCRIBED))
        return out

    def disconnected(self, reason: Reason = Reason.DISCONNECTED) -> list[Out]:
        """The market stream is gone (or never came): all books stale."""
        if not self.connected_now:
            return []
        self.connected_now = False
        out = []
        for book in self.books.values():
            book.line.reset()
            book.ask_at = book.silent_at = NEVER
            book.asked = ""
            out.append(self._state(book, BookStateCode.STALE, BookStateReason.DISCONNECTED))
        out.append(self._status(ConnectionState.DISCONNECTED, reason))
        return out

    # Frames.

    def receive(self, data: bytes, now_ns: int) -> list[Out]:
        """One frame of the market stream."""
        return self._record(data) + self._heard(lambda: self._market(data, now_ns))

    def receive_answer(self, data: bytes, now_ns: int) -> list[Out]:
        """One frame of the connection that depth requests go over."""
        return self._record(data) + self._heard(lambda: self._answer(data, now_ns))

    def _record(self, data: bytes) -> list[Out]:
        if not self.raw:
            return []
        return raw_parts(data, stream=MARKET_STREAM, connection_epoch=self.connection_epoch, direction=Direction.IN)

    def _heard(self, handle: Callable[[], list[Out]]) -> list[Out]:
        """What a frame led to, with the frame as its cause where frames are recorded."""
        try:
            out = handle()
        except BadFrame as error:
            out = self.complaints.of(error)
        return [o._replace(of_raw=True) for o in out] if self.raw else out

    def _market(self, data: bytes, now_ns: int) -> list[Out]:
        m = decode_market(data)
        if isinstance(m, DepthSnapshot):
            return self._snapshot(self._only_waiting(), m, now_ns)
        book = self.books.get(m.s)
        if book is None:
            raise BadFrame(VenueErrorCode.PROTOCOL, f"symbol {m.s[:64]}", f"symbol {m.s[:64]!r} is not configured here")
        if isinstance(m, Depth):
            return self._depth(book, m, now_ns)
        if isinstance(m, StatusChange):
            return [Out(market_status(m, book.listing, self._line))]
        book.silent_at = now_ns + self.silent_after_ns
        if isinstance(m, Print):
            out = [Out(trade_summary(m, book.listing, self._line))]
            if m.X not in CONDITIONS:
                error = BadFrame(VenueErrorCode.UNKNOWN_ENUM, f"trade X {m.X[:64]}", f"trade X={m.X[:64]!r} is unknown")
                out += self.complaints.of(error)
            return out
        return [Out(top_of_book(m, book.listing, self._line))]

    def _depth(self, book: _Book, m: Depth, now_ns: int) -> list[Out]:
        update = book_update(m, book.listing, self._line)
        book.silent_at = now_ns + self.silent_after_ns
        step = book.line.update(update)
        if step is None:
            return []
        if isinstance(step, Gap):
            return self._gap(book, step, now_ns)
        out = [Out(step)]
        if book.silent:
            book.silent = False
            out.append(self._state(book, BookStateCode.LIVE, BookStateReason.VERIFIED))
        return out

    def _gap(self, book: _Book, gap: Gap, now_ns: int) -> list[Out]:
        book.ask_at, book.asked, book.wait_ns, book.silent = now_ns, "", 0, False
        lost = MarketDataGap(
            instrument=book.listing.instrument, stream=MARKET_STREAM, connection_epoch=self.connection_epoch,
            exchange_seq=gap.expected, expected_seq=gap.expected, got_seq=gap.got, action=GapAction.RESNAPSHOT,
        )  # fmt: skip
        return [Out(lost), self._state(book, BookStateCode.STALE, BookStateReason.SEQUENCE_GAP)]

    # Snapshots.

    def requests(self, now_ns: int) -> list[bytes]:
        """Depth requests that are due. Call after every other method; send them over the API connection."""
        out = []
        for book in self.books.values():
            if book.ask_at > now_ns:
                continue
            book.asked = f"depth-{next(self._ids)}"
            book.ask_at = now_ns + self.answer_within_ns
            params = {"symbol": book.listing.symbol, "limit": DEPTH_LEVELS}
            out.append(msgspec.json.encode({"id": book.asked, "method": "depth", "params": params}))
        return out

    def _answer(self, data: bytes, now_ns: int) -> list[Out]:
        m = decode_api(data)
        book = next((b for b in self.books.values() if isinstance(m, Response) and b.asked == m.id), None)
        if book is None or not isinstance(m, Response):
            return []  # late answer to a question that was given up or answered by the stream
        if m.error is not None or m.status != 200:
            self._ask_later(book, now_ns)
            code = m.error.code if m.error else m.status
            if code == NO_BOOK_YET:
                return []
            text = f"depth {book.listing.symbol}: status {m.status}, code {code}: {m.error.msg if m.error else ''}"
            return self.complaints.of(BadFrame(VenueErrorCode.PROTOCOL, f"depth {code}", text), venue_code=code)
        try:
            return self._snapshot(book, decode_snapshot(m.result), now_ns)
        except BadFrame:
            self._ask_later(book, now_ns)
            raise

    def _ask_later(self, book: _Book, now_ns: int) -> None:
        book.wait_ns = min(max(book.wait_ns * 2, 100_000_000), self.answer_within_ns)
        book.ask_at, book.asked = now_ns + book.wait_ns, ""

    def _only_waiting(self) -> _Book:
        """A snapshot inside the stream bears no symbol: it can only be taken where one book could be meant."""
        books = list(self.books.values())
        waiting = [b for b in books if not b.line.live] if len(books) > 1 else books
        if len(waiting) != 1:
            text = f"snapshot without symbol: {len(waiting)} books wait for one"
            raise BadFrame(VenueErrorCode.PROTOCOL, "snapshot without symbol", text)
        return waiting[0]

    def _snapshot(self, book: _Book, m: DepthSnapshot, now_ns: int) -> list[Out]:
        snapshot = book_snapshot(m, book.listing, self._line)
        joined = book.line.snapshot(m.last_update_id)
        if joined is None:
            return []  # a recorded snapshot of a book that we follow already
        if isinstance(joined, Gap):
            self._ask_later(book, now_ns)
            why = BookStateReason.SNAPSHOT_OLDER_THAN_BUFFER if joined.snapshot_too_old else BookStateReason.SEQUENCE_GAP
            return [self._state(book, BookStateCode.STALE, why)]
        book.ask_at, book.asked, book.wait_ns = NEVER, "", 0
        book.silent_at, book.silent = now_ns + self.silent_after_ns, False
        out = [Out(snapshot, flags=SNAPSHOT_ROW)]
        out += [Out(update) for update in joined]
        out.append(self._state(book, BookStateCode.LIVE, BookStateReason.VERIFIED))
        return out

    # Time.

    def next_timer_ns(self) -> int:
        """When on_timer wants to be called; NEVER if not."""
        return min((min(b.ask_at, b.silent_at) for b in self.books.values()), default=NEVER)

    def on_timer(self, now_ns: int) -> list[Out]:
        """Silence is found here; due depth requests are handed out by `requests`."""
        out = []
        for book in self.books.values():
            if book.silent_at <= now_ns:
                book.silent_at = NEVER
                if book.line.live:
                    book.silent = True
                    out.append(self._state(book, BookStateCode.STALE, BookStateReason.NO_UPDATE_TOO_LONG))
        return out

    def resumed(self, now_ns: int) -> None:
        """Frames were left unread for a while, and that was our doing: silence begins to count anew."""
        for book in self.books.values():
            if book.silent_at != NEVER:
                book.silent_at = now_ns + self.silent_after_ns

    # Messages about the line itself.

    def _state(self, book: _Book, state: BookStateCode, reason: BookStateReason) -> Out:
        live = state == BookStateCode.LIVE
        return Out(
            BookState(
                instrument=book.listing.instrument, stream=MARKET_STREAM, connection_epoch=self.connection_epoch,
                exchange_seq=book.line.last, exchange_seq_last=book.line.last, updates_verified=book.line.verified,
                book_type=BookType.MARKET_BY_PRICE, state=state, reason=reason, proof=BookProof.SEQUENCE if live else 0,
            )
        )  # fmt: skip

    def _status(self, connection: ConnectionState, reason: Reason) -> Out:
        return Out(
            StreamStatus(
                stream=MARKET_STREAM, venue=self.venue, connection_epoch=self.connection_epoch, reason=reason,
                connection=connection, transport=Transport.TCP, protocol=Protocol.WS, encoding=Encoding.JSON, path="/stream",
            )
        )  # fmt: skip
