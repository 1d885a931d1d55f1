"""What a replay adds to a causal tree: the book as it stood at a frame, and the timer that an app was woken by."""

from __future__ import annotations

from pathlib import Path

import msgspec

from apps.books.app import Books
from apps.group import Group
from apps.guard.trap import NotAFunctionOfTheStream
from apps.ledger import Diverged
from journal.errors import JournalError, OperatingError
from journal.messages import NULL, BookStateCode, Side
from journal.slices import begins_after
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
    """What woke an app: a timer of its own, due at `due` (ns), set while it handled the frame `set_at` (0: at its start;
    null: not found, as one from before a slice)."""

    app: str
    token: int
    due: int
    set_at: int | None = None


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
            fired: list[_Fired] = []
            for seq in sorted({s for s, _ in books} | causes):
                if seq in causes:
                    fired += _watch(cursor, seq, seen)
                cursor.at(seq)
                _look(cursor.group, seq, books, seen)
            _tell_when_set(cursor, fired, begins_after(path), seen)
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


class _Fired(msgspec.Struct, frozen=True):
    """An emission that was said on a timer: its key in `Seen.timers`, and that the app had asked for a timer so often then."""

    said: tuple[int, int, int]
    app: str
    request: int


def _watch(cursor: Cursor, seq: int, seen: Seen) -> list[_Fired]:
    """Which emissions of a frame were said on a timer."""
    cursor.at(seq - 1)
    set_before = {s.name: s.requests() for s in cursor.group.slots if s.ledger is not None}
    fired: list[_Fired] = []

    def visit(stop: Stop) -> None:
        ledger, name = stop.slot.ledger, stop.slot.name
        assert ledger is not None
        before = ledger.emitted
        stop.call()
        due, request = set_before.get(name, {}).get(stop.token, (0, 0))
        if stop.message is None and request:
            for number in range(before + 1, ledger.emitted + 1):
                said = (seq, stop.slot.app.me, number)
                seen.timers[said] = Timer(name, stop.token, due)
                fired.append(_Fired(said, name, request))

    cursor.run_watched(set_before, visit, seq)
    return fired


def _tell_when_set(cursor: Cursor, fired: list[_Fired], begin: int, seen: Seen) -> None:
    for app in dict.fromkeys(f.app for f in fired):
        own = [f for f in fired if f.app == app]
        when = _when_set(cursor, app, {f.request: f.said[0] for f in own}, begin)
        for f in own:
            seen.timers[f.said] = msgspec.structs.replace(seen.timers[f.said], set_at=when.get(f.request))


def _when_set(cursor: Cursor, app: str, fired: dict[int, int], begin: int) -> dict[int, int]:
    """Request → the frame at which the app asked for that timer; 0: at its start. None from before a slice is found.

    `fired`: where they fell due. The count of requests only grows: one pass finds them all, and leaves out what checkpoints say
    is too early."""
    found: dict[int, int] = {}
    waiting = sorted(fired, reverse=True)

    def visit(stop: Stop) -> None:
        stop.call()
        while waiting and stop.slot.asked >= waiting[-1]:
            found[waiting.pop()] = stop.place.seq

    here = -1
    while waiting:
        low = _too_early(cursor, app, waiting[-1], fired[waiting[-1]], begin)
        if low > here:
            cursor.at(low)
            while waiting and cursor.slot(app).asked >= waiting[-1]:
                early = waiting.pop()
                if not begin:
                    found[early] = 0
        if waiting:
            here = fired[waiting[-1]]
            cursor.run_watched([app], visit, here)
        while waiting and fired[waiting[-1]] <= here:
            waiting.pop()  # it fell due and was never asked for: not to be explained
    return found


def _too_early(cursor: Cursor, app: str, request: int, before: int, begin: int) -> int:
    """The last checkpoint at which an app had not asked so often yet."""
    for seq in cursor.checkpoints.before(before):
        turns = cursor.checkpoints.turns(seq)
        if turns is not None and turns.get(app, (0, 0, 0))[1] < request:
            return max(seq, begin)
    return begin
