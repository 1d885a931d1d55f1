"""A group: the apps of one host, stepped through the stream frame by frame, in topological order.

For each frame: timers that are due fire first, then every app that consumes the kind handles it, then (at fixed sequence
numbers) state digests and snapshots are said. All of it depends on the stream alone, so every host does it alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from apps import state
from apps.app import App, Handler
from apps.discovery import reconfigure
from apps.ledger import Emission, Ledger
from apps.looks import Looks
from apps.timers import NEVER, Timers
from journal.errors import OperatingError
from journal.messages import (
    HEADER_BYTES,
    REGISTRY,
    ConfigApplied,
    ConfigItem,
    Flag,
    Message,
    Reject,
    SnapshotTaken,
    StateDigest,
    accelerator,
)
from journal.messages.tables import Tables, digest_of
from journal.reader import JournalReader, Row, rows

DIGEST_EVERY = 4096
"""Frames between two state digests of an app."""
SNAPSHOT_EVERY = 65536
"""Frames between two snapshots of an app; a multiple of DIGEST_EVERY."""
SNAPSHOT_BYTES_A_FRAME = 32
"""A state so large that more of it would fall to each frame is taken half as often, and so on."""
ENTRY_BYTES = 256
"""What an entry of a table counts in the size of a state: to know it better, all would have to be encoded."""
AHEAD_FROM = 16384
"""Frames still to be read that are worth a second thread, which checks them ahead of those who handle them."""
ALL = 2**64 - 1
"""Later than any frame."""
_encode = msgspec.msgpack.Encoder().encode
_fast = accelerator.extension("apps.kernel._fast")
_OWN_KINDS = frozenset({Reject.KIND, ConfigItem.KIND, ConfigApplied.KIND})

Emit = Callable[[Message, int, int, int], None]
"""Takes a message with its flags, cause and origin_ts."""


class Moment(NamedTuple):
    """When a snapshot is due: after a frame, before anything is said of it."""

    seq: int
    ts: int
    digest: bytes
    """Of the slot, as its StateDigest says."""
    parts: tuple[bytes, Tables]
    """Of its app, as they are now."""


SnapshotSink = Callable[["Slot", Moment], None]


class CyclicApps(OperatingError, ValueError):
    """Apps that need one another: the path is named."""


class Place:
    """Where a group stands: the last frame that it is done with."""

    __slots__ = ("now", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.now = 0


class Slot:
    """One app in a group: its timers and, if it speaks, its ledger. The app's `Host`."""

    __slots__ = (
        "_group", "_timers", "active_from", "app", "emit", "events", "items", "ledger", "name", "natives", "size",
    )  # fmt: skip

    def __init__(self, group: Group, name: str, app: App, ledger: Ledger | None, active_from: int = 0) -> None:
        self._group = group
        self.name = name
        self.app = app
        self.ledger = ledger
        self.active_from = active_from
        self.events = 0
        self.size = 0  # of the state, when the last snapshot was due
        self.natives: dict[int, Any] = {}  # kind → handler in C, for the accelerated step
        self.items: dict[str, Any] = {}  # configuration said since the last ConfigApplied
        self._timers = Timers()
        self.emit: Emit = self._tell if ledger is None else ledger.accept  # a bound method: no call in between
        app._host = self

    def _tell(self, message: Message, _flags: int, _cause: int, _origin_ts: int) -> None:
        """A mute instance's emission is heard by the apps of its own host only; its speaking twin publishes."""
        if self._group.listens(self, message):
            self._group.derived.append((self, message))

    def say(self, message: Message) -> None:
        """What the group says in the app's name, whatever the app does with `emit`."""
        self.emit(message, Flag.LAST, self.app.seq, self.app.now)

    def set_timer(self, at: int, token: int) -> None:
        self._timers.set(at, token)
        self._group.due = min(self._group.due, at)

    def cancel_timer(self, token: int) -> None:
        self._timers.cancel(token)

    def due(self) -> int:
        """When the next timer is due; NEVER if there is none."""
        return self._timers.due()

    def fire(self, ts: int) -> None:
        """Fire all timers due at `ts`, in (due, order of request). One set meanwhile for a past time fires too."""
        while (token := self._timers.pop(ts)) is not None:
            if self._group.before_timer is None:
                self.app.on_timer(token)
            else:
                self._group.before_timer(self, token)

    def timers(self) -> list[tuple[int, int]]:
        """(due, token) of every timer that is set, in the order in which they will fire."""
        return [(due, token) for due, _, token in self._timers.rows()]

    def requests(self) -> dict[int, tuple[int, int]]:
        """Token → (due, order of request) of every timer that is set."""
        return {token: (due, order) for due, order, token in self._timers.rows()}

    @property
    def asked(self) -> int:
        """So many timers were asked for."""
        return self._timers.requests

    def turns(self) -> tuple[int, int, int]:
        """Frames handled, timers asked for, timers set. Equal at two moments: no code of the app has run in between."""
        return self.events, self._timers.requests, len(self._timers)

    @property
    def snapshot_every(self) -> int:
        """Frames between two snapshots. By powers of two, so that apps of one host have some of one frame."""
        every = SNAPSHOT_EVERY
        while self.size > every * SNAPSHOT_BYTES_A_FRAME:
            every *= 2
        return every

    def snapshot(self) -> bytes:
        """App, timers and ledger as canonical bytes."""
        return self._encoded(self.app.snapshot())

    def parts(self, of_app: tuple[bytes, Tables] | None = None) -> tuple[bytes, Tables]:
        """The same, with the tables of the app beside the bytes. `of_app`: those of the app, where they are known."""
        rest, tables = of_app or self.app.parts()
        return self._encoded(rest), tables

    def _encoded(self, app: bytes) -> bytes:
        said, timers = self.ledger, [list(row) for row in self._timers.rows()]
        return state.encode(self._held(app, self.items, timers, list(said.pending.values()) if said else []))

    def digest(self, of_app: tuple[bytes, Tables] | None = None) -> bytes:
        """32 bytes that say which state all of it is in."""
        # Nobody reads these bytes back: of hundreds of timers it is told without a look at each value, and of emissions which
        # are under way. What they say is compared with the journal, one by one.
        said, app = self.ledger, digest_of(*(of_app or self.app.parts()))
        held = self._held(app, state.encode(self.items), self._timers.rows(), list(said.pending.keys()) if said else [])
        return accelerator.blake2b(_encode(held), 32)

    def _held(self, app: bytes, items: Any, timers: list[Any], pending: list[Any]) -> dict[str, Any]:
        said = self.ledger
        held = {
            "app": app,
            "timers": timers,
            "requests": self._timers.requests,
            "items": items,
            "events": self.events,
            "emitted": said.emitted if said else 0,
            "pending": pending,
        }
        if self.snapshot_every > SNAPSHOT_EVERY:  # only then does it matter
            held["size"] = self.size
        return held

    def restore(self, data: bytes, pieces: Sequence[Sequence[Any]] | None = None) -> None:
        """Take the state of a snapshot; of parts, with the pieces of each table."""
        held: dict[str, Any] = state.decode(data)
        if pieces is None:
            self.app.restore(held["app"])
        else:
            self.app.assemble(held["app"], pieces)
        self._timers.restore(held["timers"], held["requests"])
        self._group.due = min(self._group.due, self.due())
        self.events, self.items = held["events"], held["items"]
        self.size = held.get("size", 0)
        if self.ledger is not None:
            self.ledger.restore(held["emitted"], [e for e in held["pending"] if isinstance(e, Emission)])


class Group:
    """The apps of one host and their step.

    `run` below says what a step is. Where the accelerator was built, apps.kernel._fast does the same in C; a debugger's
    `before_handler` always gets the one in Python."""

    __slots__ = (
        "_decode", "_handlers", "_listeners", "_mute", "_place", "_runner", "_speaking", "_waiting", "before_handler",
        "before_timer", "derived", "due", "slots", "snapshot_sink",
    )  # fmt: skip

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.due = NEVER  # never later than the earliest timer; may be earlier when one was cancelled
        self.snapshot_sink: SnapshotSink | None = None
        self.before_handler: Callable[[Slot, Handler, Message, int], None] | None = None
        self.before_timer: Callable[[Slot, int], None] | None = None
        self.derived: list[tuple[Slot, Any]] = []
        self._listeners: dict[tuple[Slot, int], list[tuple[Slot, App, Handler]]] = {}
        self._mute: dict[type[App], Slot] = {}
        self._speaking: dict[int, Slot] = {}
        self._waiting: list[Slot] = []
        self._handlers: dict[int, list[tuple[Slot, App, Handler]]] = {}
        self._decode = {kind: cls.decode for kind, cls in REGISTRY.items()}
        self._runner = _fast and _fast.Runner(self, Slot, Looks)
        self._place: Place = self._runner or Place()
        for kind in _OWN_KINDS if self._runner else ():
            self._runner.own(kind, self._decode[kind])

    @property
    def seq(self) -> int:
        """The last frame that is done with; 0 before the first."""
        return self._place.seq

    @property
    def now(self) -> int:
        """Its timestamp."""
        return self._place.now

    def stand(self, seq: int, ts: int) -> None:
        """Stand behind a frame that the apps need not see: their states are those after it."""
        self._place.seq, self._place.now = seq, ts

    def add(self, name: str, app: App, *, source: int, ledger: Ledger, active_from: int = 0) -> Slot:
        """Add a speaking app, and mute instances of the state machines it requires, before it."""
        app.me = source
        app._uses = {cls: self._require(cls, (type(app),)).app for cls in app.requires}
        slot = Slot(self, name, app, ledger, active_from)
        self.slots.append(slot)
        self._speaking[source] = slot
        if self._runner:
            self._runner.speaks(source, slot)
        self._waiting.append(slot)
        return slot

    def _require(self, cls: type[App], path: tuple[type[App], ...]) -> Slot:
        if cls in path:
            raise CyclicApps(" requires ".join(c.__name__ for c in (*path, cls)))
        if cls not in self._mute:
            app = cls()
            app._uses = {c: self._require(c, (*path, cls)).app for c in cls.requires}
            slot = Slot(self, cls.__name__, app, None)
            self._mute[cls] = slot
            self.slots.append(slot)
            self._attach(slot)
        return self._mute[cls]

    def _attach(self, slot: Slot) -> None:
        order = {s: i for i, s in enumerate(self.slots)}
        slot.natives = slot.app.natives()
        for kind, handler in slot.app.handlers().items():
            row = self._handlers.setdefault(kind, [])
            row.append((slot, slot.app, handler))
            row.sort(key=lambda r: order[r[0]])
            if self._runner:
                self._runner.handle(kind, self._decode.get(kind), [(*r, r[0].natives.get(kind)) for r in row])
        for kind, handler in slot.app.derived_handlers().items():
            for mute in self.mute_of(slot):
                self._listeners.setdefault((mute, kind), []).append((slot, slot.app, handler))

    def listens(self, mute: Slot, message: Any) -> bool:
        """Whether an app of this host wants to hear this from that mute instance, now."""
        heard_by = [app._looks for _, app, _ in self._listeners.get((mute, message.KIND), ())]
        return any(looks is None or not looks.passes_over(message.instrument, mute.app.now) for looks in heard_by)

    def _deliver_derived(self, source: int, seq: int, ts: int) -> None:
        heard, self.derived = self.derived, []
        for mute, message in heard:
            for slot, app, handler in self._listeners[mute, message.KIND]:
                if app._looks is not None and not app._looks.look(message.instrument, ts):
                    continue
                app.now, app.seq, app.source = ts, seq, source
                slot.events += 1
                if self.before_handler is None:
                    handler(message)
                else:
                    self.before_handler(slot, handler, message, seq)

    def _activate(self, seq: int) -> None:
        """An app lives from the frame after the one that completed its configuration."""
        for slot in [s for s in self._waiting if s.active_from <= seq]:
            self._waiting.remove(slot)
            self._attach(slot)

    def run(self, buffer: Any, frames: bytes | Iterable[Row]) -> int:
        """Step through frames of one segment: packed refs, or rows of (offset, kind, source, seq, ts). Returns how many."""
        if isinstance(frames, bytes):
            if self._runner and self.before_handler is None:
                return int(self._runner.run(buffer, frames, DIGEST_EVERY))
            frames = rows(frames)
        handlers, decode, speaking, place = self._handlers, self._decode, self._speaking, self._place
        stopper, count = self.before_handler, 0
        for offset, kind, source, seq, ts in frames:
            if self._waiting:
                self._activate(seq - 1)
            if ts >= self.due:
                self._fire(source, seq, ts)
            if source in speaking:
                said = speaking[source].ledger
                assert said is not None
                said.match(buffer, offset, seq)
            if kind in handlers:
                message = decode[kind](buffer, offset + HEADER_BYTES)
                for slot, app, handler in handlers[kind]:
                    app.now, app.seq, app.source = ts, seq, source
                    slot.events += 1
                    if stopper is None:
                        handler(message)
                    else:
                        stopper(slot, handler, message, seq)
            if self.derived:
                self._deliver_derived(source, seq, ts)
            if kind in _OWN_KINDS:
                self._about_apps(decode[kind](buffer, offset + HEADER_BYTES), seq)
            if seq % DIGEST_EVERY == 0:
                self._digests(source, seq, ts)
            place.seq, place.now = seq, ts
            count += 1
        return count

    def read(self, reader: JournalReader, *, max_frames: int = 4096, to_seq: int = ALL) -> int | None:
        """Step through the next frames of a reader: at most `max_frames`, none behind `to_seq`. Returns how many it handed on
        (0 where it passed over what its filter leaves out); None: nothing new is there."""
        at = reader.tail(1) if self._runner and self.before_handler is None else None
        if at is not None:
            count = self._runner.read(reader.buffer, at[0], max_frames, to_seq, DIGEST_EVERY, AHEAD_FROM)
            if count or reader.is_at_tail:
                return int(count) or None
        # Without the accelerator, or another segment begins.
        batch = reader.poll(max_frames, to_seq=to_seq)
        return None if batch is None else self.run(batch.buffer, batch.refs)

    def follow(self, reader: JournalReader, max_frames: int, spin_ns: int, *, yields: bool = False) -> bool:
        """Wait at the tail of the stream for up to `spin_ns`, and step through what comes. False: nothing came."""
        at = reader.tail(max_frames) if self._runner and self.before_handler is None else None
        if at is not None:
            address, refs = at  # handed on one by one: to unpack them in the call makes a list and a tuple
            if self._runner.follow(reader.buffer, address, refs, max_frames, spin_ns, yields, DIGEST_EVERY):
                return True
            if reader.is_at_tail:
                return False
        # Without the accelerator, or another segment begins.
        found = reader.at_tail(max_frames, spin_ns if at is None else 0, yields=yields)
        if found is None:
            return False
        self.run(reader.buffer, found)
        return True

    def _fire(self, source: int, seq: int, ts: int) -> None:
        for slot in self.slots:
            if slot.due() <= ts and slot not in self._waiting:
                slot.app.now, slot.app.seq, slot.app.source = ts, seq, source
                slot.fire(ts)
        self.due = min((s.due() for s in self.slots), default=NEVER)

    def _about_apps(self, m: Reject | ConfigItem | ConfigApplied, seq: int) -> None:
        """Frames that are about an app rather than for it: a refused emission, a changed parameter."""
        slot = self._speaking.get(m.for_source if isinstance(m, Reject) else m.owner)
        if slot is None or slot.ledger is None:
            return
        if isinstance(m, Reject):
            slot.ledger.refused(m.for_source_seq)
        elif isinstance(m, ConfigItem):
            slot.items[m.name] = json.loads(m.value)
        else:
            items, slot.items = slot.items, {}
            # The first generation built the app; a later one changes it, from this frame on.
            if seq > slot.active_from:
                reconfigure(slot.name, slot.app, items)

    def _digests(self, source: int, seq: int, ts: int) -> None:
        for slot in self._speaking.values():
            if slot in self._waiting:
                continue
            of_app = slot.app.parts()
            moment = Moment(seq, ts, slot.digest(of_app), of_app)
            due = seq % slot.snapshot_every == 0
            if due and self.snapshot_sink is not None:
                self.snapshot_sink(slot, moment)
            slot.app.now, slot.app.seq, slot.app.source = ts, seq, source
            self._say_digest(slot, moment, due)

    def _say_digest(self, slot: Slot, moment: Moment, due: bool) -> None:
        seq, digest, (rest, tables) = moment.seq, moment.digest, moment.parts
        if due:
            slot.size = len(rest) + ENTRY_BYTES * sum(map(len, tables))
            # Said whether or not this host writes files: what an app emits must not depend on its host.
            file = f"{slot.name}-{seq:012d}.snapshot"
            slot.say(SnapshotTaken(upto_seq=seq, size=slot.size, app=slot.app.me, digest=digest, file=file))
        slot.say(StateDigest(upto_seq=seq, events=slot.events, app=slot.app.me, digest=digest))

    def restored(self, slot: Slot, seq: int, ts: int) -> None:
        """A slot was restored to the state after `seq`: say again what is said right after a snapshot is taken."""
        slot.app.now, slot.app.seq = ts, seq
        of_app = slot.app.parts()
        self._say_digest(slot, Moment(seq, ts, slot.digest(of_app), of_app), due=True)
        self.stand(seq, ts)

    def mute_of(self, slot: Slot) -> list[Slot]:
        """The mute instances that a speaking app reads, and those they read."""
        found: list[Slot] = []

        def collect(app: App) -> None:
            for cls in app.requires:
                mute = self._mute[cls]
                if mute not in found:
                    collect(mute.app)
                    found.append(mute)

        collect(slot.app)
        return found

    def state_digest(self) -> bytes:
        """One digest over the state of all speaking apps, in source order."""
        whole = hashlib.blake2b(digest_size=32)
        for source, slot in sorted(self._speaking.items()):
            held = msgspec.msgpack.encode([source, slot.app.digest()])
            whole.update(held)
        return whole.digest()
