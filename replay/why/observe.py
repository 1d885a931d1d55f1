"""What a replay adds to a causal tree: the book as it stood at a frame, and the timer that an app was woken by."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from apps.books.app import Books
from apps.group import Group
from apps.guard.trap import NotAFunctionOfTheStream
from apps.ledger import Diverged
from journal.errors import JournalError, OperatingError
from journal.messages import NULL, BookStateCode, Side
from replay.cursor import Cursor, Stop
from replay.player import Player, apps_of
from replay.scene import find

LEVELS = 5
_BOOKS = f"{Books.__module__}:{Books.__qualname__}"


class Level(msgspec.Struct, frozen=True, array_like=True):
    """Price and quantity, mantissas of the instrument."""

    px: int
    qty: int


class BookView(msgspec.Struct, frozen=True):
    """The best levels of an instrument after a frame, best first."""

    instrument: int
    state: str
    bids: list[Level]
    asks: list[Level]


class Timer(msgspec.Struct, frozen=True):
    """What woke an app: a timer of its own, due at `due` (ns), set while it handled the frame `set_at` (0: at its start)."""

    app: str
    token: int
    due: int
    set_at: int


class Seen(msgspec.Struct):
    """What a replay saw. `trouble`: why it could not see all, in a line."""

    books: dict[tuple[int, int], BookView] = {}
    """(seq, instrument) → the book after that frame."""
    timers: dict[tuple[int, int, int], Timer] = {}
    """(cause, source, source_seq) of an emission → the timer it was said on."""
    trouble: str = ""


def observe(path: Path, books: set[tuple[int, int]], causes: set[int]) -> Seen:
    """Replay up to each of the frames. `books`: (seq, instrument) of the books wanted; `causes`: frames whose stops are
    looked at for timers. Where the apps cannot be run, or say something else than the record, the books alone are replayed."""
    seen = Seen()
    try:
        with Cursor(path) as cursor:
            for seq in sorted({s for s, _ in books} | causes):
                if seq in causes:
                    _watch(cursor, seq, seen)
                cursor.at(seq)
                _look(cursor.group, seq, books, seen)
    except (JournalError, NotAFunctionOfTheStream):
        raise
    except Diverged as difference:
        seen.trouble = f"{difference.app} says something else than the record at seq {difference.seq}"
    except Exception as error:
        lines = (
            str(error).splitlines() if isinstance(error, OperatingError) else [f"an app raises {type(error).__name__}: {error}"]
        )
        seen.trouble = lines[0] if lines else type(error).__name__
    if seen.trouble:
        _books_alone(path, {(s, i) for s, i in books if (s, i) not in seen.books}, seen)
    return seen


def _books_alone(path: Path, wanted: set[tuple[int, int]], seen: Seen) -> None:
    """The books are the product's own and depend on no other app."""
    specs = [s for s in apps_of(path) if s.class_path == _BOOKS]
    if not specs:
        return
    player = Player(path, specs=specs[:1])
    try:
        for seq in sorted({s for s, _ in wanted}):
            player.run(to_seq=seq)
            _look(player.group, seq, wanted, seen)
    except Diverged:
        pass  # books of another build: better none than wrong ones
    finally:
        player.reader.close()


def _look(group: Group, seq: int, wanted: set[tuple[int, int]], seen: Seen) -> None:
    held = find(group, None, Books)
    if held is None:
        return
    for instrument in (i for s, i in wanted if s == seq):
        book = held.book(instrument)
        if book.seq:
            bids, asks = (
                [Level(x.px, x.qty) for x in book.levels(side, LEVELS) if x.px != NULL] for side in (Side.BUY, Side.SELL)
            )
            seen.books[seq, instrument] = BookView(instrument, BookStateCode(book.state).name, bids, asks)


def _watch(cursor: Cursor, seq: int, seen: Seen) -> None:
    """Which emissions of a frame were said on a timer, and where that timer was set."""
    cursor.at(seq - 1)
    set_before = {s.name: dict(s._timers) for s in cursor.group.slots if s.ledger is not None}
    fired: list[tuple[str, int, int, int, int]] = []

    def visit(stop: Stop) -> None:
        ledger = stop.slot.ledger
        assert ledger is not None
        before = ledger.emitted
        stop.call()
        due, request = set_before.get(stop.slot.name, {}).get(stop.token, (0, 0))
        if stop.message is None and request:
            for number in range(before + 1, ledger.emitted + 1):
                seen.timers[seq, stop.slot.app.me, number] = Timer(stop.slot.name, stop.token, due, 0)
                fired.append((stop.slot.name, stop.slot.app.me, number, request, due))

    cursor.run_watched(set_before, visit, seq)
    when: dict[tuple[str, int], int] = {}
    for name, source, number, request, _ in fired:
        if (name, request) not in when:
            when[name, request] = _when_set(cursor, name, request, seq)
        held = seen.timers[seq, source, number]
        seen.timers[seq, source, number] = msgspec.structs.replace(held, set_at=when[name, request])


class _Set(Exception):
    pass


def _when_set(cursor: Cursor, name: str, request: int, before: int) -> int:
    """The frame at which an app asked for a timer for the `request`th time. The count only grows: the checkpoints say between
    which two of them, re-execution says where."""
    low = 0
    for seq in cursor.checkpoints.before(before):
        turns = cursor.checkpoints.turns(seq)
        if turns is not None and turns.get(name, (0, 0, 0))[1] < request:
            low = seq
            break
    cursor.at(low)
    if cursor.slot(name)._requests >= request:
        return 0
    found = 0

    def visit(stop: Stop) -> None:
        nonlocal found
        stop.call()
        if stop.slot._requests >= request:
            found = stop.place.seq
            raise _Set

    with contextlib.suppress(_Set):
        cursor.run_watched([name], visit, before)
    return found
