"""A cursor over a journal: the live app objects as they were after any frame, forward and back.

    with replay.open("day") as cursor:
        cursor.at(500)                       # every app has handled the frames 1 to 500
        cursor["oms"].machine.memory.orders  # the objects themselves
        cursor.back("oms")                   # to just before the last frame that the oms handled

Going back is the nearest checkpoint and re-execution: the same code over the same frames. Checkpoints are taken on the way, so
close to one another in time that re-execution from one to the next takes about a tenth of a second, whatever the apps do.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from apps.app import App, Handler
from apps.discovery import load_class
from apps.group import Group, Slot
from apps.identity import code_of
from apps.snapshots import Snapshots, SnapshotUnfit
from apps.state import StateError
from journal.errors import OperatingError
from journal.frames import last_seq
from journal.messages import Message
from journal.reader import JournalReader
from journal.slices import begins_after
from replay.checkpoints import Checkpoint, Checkpoints
from replay.player import Player, UnknownApp, apps_of

GRAIN = 4096
"""Checkpoints stand after frames whose seq is a multiple of it."""
PAUSE_S = 0.1
"""Of replaying, between two checkpoints."""
SPAN = 8
"""Grains between two checkpoints at the most: re-execution that stops at every event is slower than the way that laid them."""


class OutOfRange(OperatingError, ValueError):
    """A seq that the journal does not have."""


class Place(NamedTuple):
    """Just before code of an app runs: the `nth` time in this frame (1: the first), over all apps that are watched."""

    seq: int
    nth: int = 1


class Stop(NamedTuple):
    """Code of an app is about to run: a handler with its message, or `on_timer` with its token."""

    slot: Slot
    place: Place
    message: Message | None
    token: int
    call: Callable[[], None]
    target: Callable[..., None]
    """What `call` calls."""

    @property
    def argument(self) -> Message | int:
        """What it is called with."""
        return self.token if self.message is None else self.message


Visit = Callable[[Stop], None]
"""Takes a stop and has to call its `call`, or to leave by an exception."""


class Cursor:
    """A place in a journal, with the session's apps as they were there."""

    def __init__(
        self, path: Path | str, names: list[str] | None = None, *, grain: int = GRAIN, pause_s: float = PAUSE_S
    ) -> None:
        """`names`: these apps only. Checkpoints are read then, and none are made."""
        self.path = Path(path)
        self.specs = apps_of(self.path, names)
        self._all = not names
        self._grain, self._pause_s = grain, pause_s
        self._begin = begins_after(self.path)
        self._last = last_seq(self.path)
        self._player = Player(self.path, specs=self.specs)
        slots = self._player.slots
        stream_id = self._player.reader.stream_id or 0
        self.checkpoints = Checkpoints(self.path, stream_id, self._code())
        self._snapshots = Snapshots.of(self.path, stream_id, slots, {s.name: s.class_path for s in self.specs})
        self._since = time.perf_counter()
        self._recorded: tuple[int, Place, frozenset[str], list[Place]] | None = None
        self._laid: set[tuple[int, int]] = set()
        self.broken = False
        """Left in the middle of a frame: the objects are of no frame. The next move makes new ones."""
        self.touched = False
        """A person may have changed the objects: nothing is kept of them."""

    def _code(self) -> bytes:
        """Of all apps of the session: a checkpoint is one of all."""
        everything = self.specs if self._all else apps_of(self.path)
        return code_of(load_class(spec.class_path) for spec in everything)

    # Where it stands.

    @property
    def seq(self) -> int:
        """The last frame that all apps have handled; 0: none."""
        return self._player.reader.next_seq - 1

    @property
    def now(self) -> int:
        """That frame's timestamp, ns."""
        return self._player.group.now

    @property
    def last(self) -> int:
        """The journal's last frame. A live journal grows."""
        return self._last

    @property
    def group(self) -> Group:
        """The apps with all that hosts them. Another object after each move back."""
        return self._player.group

    @property
    def apps(self) -> dict[str, App]:
        """Name → app, for the session's apps. Other objects after each move back."""
        return {s.name: s.app for s in self._player.slots}

    def slot(self, name: str) -> Slot:
        """An app with its timers and emissions. UnknownApp where the session has none of that name."""
        for slot in self._player.slots:
            if slot.name == name:
                return slot
        raise UnknownApp(f"{self.path}: no app {name!r}; it has {', '.join(sorted(self.apps)) or 'none'}")

    def __getitem__(self, name: str) -> App:
        return self.slot(name).app

    @property
    def player(self) -> Player:
        """What runs the apps. Another object after each move back."""
        return self._player

    # Moves.

    def near(self, seq: int) -> Cursor:
        """Stand after the nearest frame up to `seq` of which a state is held, and run nothing."""
        self._check(seq)
        self._stand(seq)
        return self

    def at(self, seq: int) -> Cursor:
        """Stand after frame `seq`: every app has handled it and all before it. 0: before the first frame (of a slice: the seq
        before its first).

        OutOfRange for a seq that the journal does not have; Diverged where an app says something else than the journal has;
        what an app raises comes through."""
        self._check(seq)
        if self.broken or self.touched or seq < self.seq or self._is_worth(seq):
            self._stand(seq)
        self._run(seq)
        return self

    def back(self, name: str, match: Callable[[Stop], bool] | None = None) -> Place | None:
        """Stand after the frame before the last one up to here in which code of an app ran (and `match` said yes); its place.
        None, and the cursor stays, when there is none."""
        here = self.seq
        found = self.previous(Place(here + 1), [name], match)
        self.at(found.seq - 1 if found is not None else here)
        return found

    def forward(self, name: str, match: Callable[[Stop], bool] | None = None) -> Place | None:
        """Stand after the frame before the next one in which code of an app will run (and `match` says yes); its place. The
        frame right after the cursor counts, as it does for `back`: `at(place.seq)` goes past it. None: at the journal's end."""

        def visit(stop: Stop) -> None:
            if match is None or match(stop):
                raise _Found(stop.place)
            stop.call()

        try:
            self.run_watched([name], visit)
        except _Found as found:
            self.broken = True
            self.at(found.place.seq - 1)
            return found.place
        return None

    def previous(
        self,
        before: Place,
        names: Iterable[str],
        match: Callable[[Stop], bool] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Place | None:
        """The last place before `before` at which code of one of these apps ran (and `match` said yes); None: there is none.
        The cursor moves: it has to be told where to stand afterwards."""
        watched, high = frozenset(names), before.seq
        while high > 0:
            low = self._lay(self.checkpoints.before(high - 1)[0], high)
            if progress is not None:
                progress(low)
            if not self._idle(low, high, watched):
                found = self._places(low, min(before, Place(high + 1)), watched, match)
                if found:
                    return found[-1]
            high = low
        return None

    def run_watched(self, names: Iterable[str], visit: Visit, to_seq: int | None = None) -> None:
        """Go forward to `to_seq` (included; None: the journal's end) and visit every stop of these apps on the way. Code of the
        other apps runs as always."""
        self._prepare()
        self._player.group.before_handler = watch = _Watch(self.group, frozenset(names), visit)
        self._player.group.before_timer = watch.timer
        try:
            self._run(to_seq)
        except BaseException:
            self.broken = True
            raise
        finally:
            self._player.group.before_handler = self._player.group.before_timer = None

    def close(self) -> None:
        """Let go of the journal."""
        self._player.reader.close()
        self.checkpoints.close()

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # How.

    def _check(self, seq: int) -> None:
        if seq > self._last:
            self._last = last_seq(self.path)
        if not self._begin <= seq <= self._last:
            raise OutOfRange(f"{self.path}: seq {seq} is not in the journal; it has {self._begin + 1} to {self._last}")

    def _prepare(self) -> None:
        if self.broken:
            self._stand(self._player.group.seq)
            self._run(self._player.group.seq)

    def _is_worth(self, seq: int) -> bool:
        """Whether a checkpoint, or a snapshot of the live host, saves more than a few frames on the way to `seq`."""
        if seq - self.seq <= self._grain:
            return False
        nearest = self.checkpoints.before(seq)[0]
        return nearest > self.seq + self._grain or (self.seq == 0 and nearest == 0)

    def _stand(self, seq: int) -> None:
        """New objects, as they were after the nearest frame up to `seq` of which a state is held."""
        for low in self.checkpoints.before(seq):
            if low == 0:
                break
            checkpoint = self.checkpoints.get(low)
            if checkpoint is not None and self._take(checkpoint):
                return
        self._from_snapshot(seq)

    def _take(self, checkpoint: Checkpoint) -> bool:
        self._fresh()
        if not checkpoint.fits(self.group):
            return False
        if not self._begin_after(checkpoint.seq, checkpoint.ts):
            # Of frames that a power loss took; others have their numbers now.
            self.checkpoints.drop(checkpoint.seq)
            return False
        try:
            checkpoint.restore(self.group)
        except (StateError, LookupError, TypeError, ValueError):
            self.checkpoints.drop(checkpoint.seq)
            self._fresh()
            return False
        return True

    def _from_snapshot(self, seq: int) -> None:
        """As a live host would start: from the newest snapshots up to here; else from nothing."""
        self._fresh()
        try:
            restored = self._snapshots.restore(self.group, self._player.slots, seq, self._ts) if seq else 0
        except SnapshotUnfit:
            self._from_snapshot(seq)
            return
        player = self._player
        if restored:
            for slot in player.group.slots:
                slot.app.now, slot.app.seq = player.group.now, restored
            player.reader.close()
            player.reader = JournalReader(self.path, from_seq=restored + 1, build_index=True)
            if self._all:
                self.checkpoints.put(self.checkpoints.take(player.group))

    def _lay(self, low: int, high: int) -> int:
        """Have checkpoints between two that are far apart; after which frame the last one before `high` stands now."""
        if high - low <= 16 * self._grain or (low, high) in self._laid:
            return low
        self._stand(low)
        self._run(high - 1)
        low = self.checkpoints.before(high - 1)[0]
        self._laid.add((low, high))
        return low

    def _fresh(self) -> None:
        self._player.reader.close()
        self._player = Player(self.path, specs=self.specs)
        self.broken = self.touched = False
        self._since = time.perf_counter()

    def _ts(self, seq: int) -> int:
        with JournalReader(self.path, from_seq=seq, build_index=True) as reader:
            batch = reader.poll(1)
            return next((ts for _, _, _, found, ts in batch or () if found == seq), 0)

    def _begin_after(self, seq: int, ts: int) -> bool:
        """Read on after a frame, if it is of this time."""
        reader = JournalReader(self.path, from_seq=seq, build_index=True)
        batch = reader.poll(1)
        if batch is None or [(row[3], row[4]) for row in batch] != [(seq, ts)]:
            reader.close()
            return False
        self._player.reader.close()
        self._player.reader = reader
        return True

    def _run(self, to_seq: int | None) -> None:
        player = self._player
        try:
            while to_seq is None or self.seq < to_seq:
                step = (self.seq // self._grain + 1) * self._grain
                before = self.seq
                player.run(to_seq=step if to_seq is None else min(step, to_seq))
                if self.seq == before:
                    break
                if self.seq == step and self.seq == player.group.seq:
                    self._keep()
        except BaseException:
            self.broken = True
            raise

    def _keep(self) -> None:
        if not self._all or self.touched:
            return
        near = self.seq - self.checkpoints.before(self.seq)[0] < SPAN * self._grain
        if near and time.perf_counter() - self._since < self._pause_s:
            return
        if self.seq not in self.checkpoints.seqs:
            # An app whose state has no bytes: its first digest will say so.
            with contextlib.suppress(StateError):
                self.checkpoints.put(self.checkpoints.take(self.group))
        self._since = time.perf_counter()

    def _idle(self, low: int, high: int, names: frozenset[str]) -> bool:
        """Whether none of these apps' code ran between two checkpoints."""
        if high not in self.checkpoints.seqs:
            return False
        a, b = self.checkpoints.turns(low), self.checkpoints.turns(high)
        return a is not None and b is not None and all(a.get(name, (0, 0, 0)) == b.get(name, (0, 0, 0)) for name in names)

    def _places(self, low: int, end: Place, names: frozenset[str], match: Callable[[Stop], bool] | None) -> list[Place]:
        """Where code of these apps ran after frame `low` and before `end`."""
        held = self._recorded
        if match is None and held is not None and held[0] == low and held[1] >= end and held[2] == names:
            return [place for place in held[3] if place < end]
        places: list[Place] = []

        def visit(stop: Stop) -> None:
            if stop.place >= end:
                raise _Found(stop.place)
            if match is None or match(stop):
                places.append(stop.place)
            stop.call()

        self._stand(low)
        try:
            self.run_watched(names, visit, min(end.seq, self._last))
        except _Found:
            pass
        except OperatingError:
            raise
        except Exception:
            # What an app raises or says differently in the last frame is after all that was looked for.
            if self._player.group.seq + 1 < end.seq:
                raise
        if match is None:
            self._recorded = (low, end, names, places)
        return places


class _Found(Exception):
    def __init__(self, place: Place) -> None:
        self.place = place


class _Watch:
    """Stands between a group and its apps: makes stops of the calls into the watched ones."""

    def __init__(self, group: Group, names: frozenset[str], visit: Visit) -> None:
        self._group = group
        self._names = names
        self._visit = visit
        self._place = Place(0, 0)

    def __call__(self, slot: Slot, handler: Handler, message: Message, seq: int) -> None:
        """See `Group.before_handler`."""
        if slot.ledger is None or slot.name not in self._names:
            handler(message)
        else:
            self._visit(Stop(slot, self._next(seq), message, 0, lambda: handler(message), handler))

    def timer(self, slot: Slot, token: int) -> None:
        """See `Group.before_timer`."""
        if slot.ledger is None or slot.name not in self._names:
            slot.app.on_timer(token)
        else:
            on_timer = slot.app.on_timer
            self._visit(Stop(slot, self._next(slot.app.seq), None, token, lambda: on_timer(token), on_timer))

    def _next(self, seq: int) -> Place:
        self._place = Place(seq, self._place.nth + 1 if seq == self._place.seq else 1)
        return self._place
