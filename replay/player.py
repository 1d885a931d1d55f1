"""The player: runs the apps of a recorded session over its journal again and compares every decision with the record.

Which apps ran, with which parameters, is in the journal. An app that says anything else than it said then is a difference;
the first one is reported with both messages side by side. No difference is the proof that the code is deterministic.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from apps.discovery import DISCOVERY_KINDS, AppSpec, Discovery
from apps.group import ALL, Group, Slot
from apps.guard.building import build
from apps.guard.trap import NotAFunctionOfTheStream, trapped
from apps.ledger import Diverged, Emission, Ledger
from journal.errors import JournalError, OperatingError
from journal.frames import frames, recorded_to
from journal.messages import HEADER, REGISTRY, StateDigest
from journal.reader import JournalReader
from replay.slicing.begin import begin


class Compared(msgspec.Struct, frozen=True):
    """A field of the message that the journal has and of the one that the app says; "" where there is none."""

    name: str
    journal: str
    app: str

    @property
    def differs(self) -> bool:
        """Whether they are not the same."""
        return self.journal != self.app


class Finding(StrEnum):
    """What a replay found, the most telling first."""

    IDENTICAL = "identical"
    DECISION = "decision"
    """An app says something else than the journal has, or nothing."""
    DIGEST = "digest"
    """An app's state is another one, and has led to no other decision yet."""
    RAISED = "raised"
    """An app raises where it did not."""


class Verdict(msgspec.Struct, kw_only=True):
    """What a replay found."""

    identical: bool
    finding: Finding = Finding.IDENTICAL
    from_seq: int = 1
    """The first frame that was replayed; what came before was taken from a checkpoint or a snapshot."""
    frames: int
    last_seq: int
    decisions: int
    pending: int
    state_digest: str
    apps: dict[str, int]
    difference: str = ""
    difference_seq: int = 0
    difference_app: str = ""
    difference_cause: int = 0
    """The frame that the app was handling when it said something else: where to stop in the debugger."""
    fields: list[Compared] = []
    """Both messages, field by field."""
    state_was_right_at: int = 0
    """The last frame of which a digest of this app's state agreed: what is wrong began after it."""

    @property
    def line(self) -> str:
        """The proof in one line."""
        if self.identical:
            return f"replay identical: {self.decisions:,} decisions compared, state digest {self.state_digest[:16]}"
        return f"replay DIFFERS at seq {self.difference_seq}"


class UnknownApp(OperatingError, ValueError):
    """An app that the journal does not have; names those it has."""


def apps_of(path: Path, names: Iterable[str] | None = None) -> list[AppSpec]:
    """The apps of a journal as its configuration frames describe them, by source; all, or the named ones."""
    found = Discovery().fold(frames(path, kinds=DISCOVERY_KINDS))
    specs = sorted(found.specs.values(), key=lambda s: s.source)
    if not names:
        return specs
    known = {s.name for s in specs}
    for name in names:
        if name not in known:
            recorded_to(path)  # its source may be among frames that are lost
            raise UnknownApp(f"{path}: no app {name!r}; it has {', '.join(sorted(known)) or 'none'}")
    return [s for s in specs if s.name in names]


class DecisionLedger(Ledger):
    """Compares what an app decided, and that it said a digest of its state when it did then, but not the digest."""

    __slots__ = ()

    def match(self, buffer: Any, offset: int, seq: int) -> None:
        """As a ledger does, of all that is no digest."""
        header = HEADER.unpack_from(buffer, offset)
        said = self.pending.get(header[9])
        if header[2] == StateDigest.KIND and said is not None and said.kind == StateDigest.KIND:
            del self.pending[header[9]]
            self.compared += 1
        else:
            super().match(buffer, offset, seq)


class Player:
    """The apps of a journal, ready to be stepped through it."""

    def __init__(
        self, path: Path, names: list[str] | None = None, *, specs: list[AppSpec] | None = None, states: bool = True
    ) -> None:
        """`specs`: what `apps_of` found, for whoever makes many players of one journal. `states`: digests of states are
        compared too; not where the apps of then kept other state."""
        self.path = path
        if specs is None:
            specs = apps_of(path, names)
        self.group = Group()
        kept = Ledger if states else DecisionLedger
        self.slots: list[Slot] = [
            self.group.add(s.name, build(s), source=s.source, ledger=kept(s.name), active_from=s.active_from) for s in specs
        ]
        self.reader = JournalReader(path, from_seq=begin(path, self.group) + 1)

    @trapped()
    def run(self, to_seq: int | None = None, progress: Callable[[int], None] | None = None) -> int:
        """Step through the frames up to `to_seq` (included; None: all there are). Returns how many. Raises Diverged, and
        FramesLost where the journal ends before what was on disk of it."""
        count = 0
        while to_seq is None or self.reader.next_seq <= to_seq:
            stepped = self.group.read(self.reader, to_seq=ALL if to_seq is None else to_seq)
            if stepped is None:
                # A proof of frames that are not there proves nothing. A live journal has only grown since.
                if self.reader.seen_seq < self.reader.durable_seq:
                    recorded_to(self.path)
                break
            count += stepped
            if progress is not None:
                progress(self.reader.next_seq - 1)
        return count

    def verdict(self, count: int, difference: Exception | None = None) -> Verdict:
        """What was found, after `run`: nothing, Diverged, or what an app raised."""
        ledgers = [s.ledger for s in self.slots if s.ledger is not None]
        found = Verdict(
            identical=difference is None,
            frames=count,
            last_seq=self.group.seq,
            decisions=sum(ledger.compared for ledger in ledgers),
            # Said after the app's last frame here: it had stopped or the journal ends. Legal, and published when it runs again.
            pending=sum(len(ledger.pending) for ledger in ledgers),
            state_digest=self.group.state_digest().hex(),
            apps={ledger.app: ledger.compared for ledger in ledgers},
        )
        if isinstance(difference, Diverged):
            kinds = {e.kind for e in (difference.expected, difference.got) if e is not None}
            found.finding = Finding.DIGEST if kinds == {StateDigest.KIND} else Finding.DECISION
            found.difference, found.difference_seq = str(difference), difference.seq
            found.difference_app = difference.app
            found.difference_cause = next((e.cause for e in (difference.expected, difference.got) if e), 0)
            found.fields = compare(difference)
            found.state_was_right_at = self._right_at(difference)
        elif difference is not None:
            slot = raised_in(self.group, difference)
            found.finding = Finding.RAISED
            found.difference_app = slot.name if slot is not None and slot.ledger is not None else ""
            found.difference_seq = found.difference_cause = self.group.seq + 1
            shown = traceback.format_exception(difference)
            found.difference = (
                f"{slot.name if slot else 'an app'}: raises at seq {found.difference_seq}\n{''.join(shown).rstrip()}"
            )
        return found

    def _right_at(self, difference: Diverged) -> int:
        """The last digest of the app before a difference, all of which have been compared."""
        source = next(s.app.me for s in self.slots if s.name == difference.app)
        right = 0
        for frame in frames(self.path, to_seq=difference.seq - 1, kinds=[StateDigest.KIND]):
            if frame.header.source == source and isinstance(frame.message, StateDigest):
                right = frame.message.upto_seq
        return right


def compare(difference: Diverged) -> list[Compared]:
    """Both messages of a difference, field by field."""
    journal, app = _fields(difference.expected), _fields(difference.got)
    return [Compared(name, journal.get(name, ""), app.get(name, "")) for name in dict.fromkeys([*journal, *app])]


def _fields(e: Emission | None) -> dict[str, str]:
    if e is None:
        return {}
    cls = REGISTRY.get(e.kind)
    said = {"kind": cls.__name__ if cls else str(e.kind)} | {
        n: str(getattr(e, n)) for n in ("source_seq", "cause", "origin_ts", "flags")
    }
    if cls is None or e.version != cls.VERSION:
        return said | {"version": str(e.version), "body": e.body.hex()}
    message = cls.decode(memoryview(e.body), 0)
    for field in cls.LAYOUT.fields:
        value = getattr(message, field.name)
        said[field.name] = bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
    return said


def raised_in(group: Group, error: BaseException) -> Slot | None:
    """The app whose code raised: the innermost one in the traceback."""
    found: Slot | None = None
    by_app = {id(slot.app): slot for slot in group.slots}
    trace = error.__traceback__
    while trace is not None:
        # A hosted state machine knows its app as `ctx`.
        this = trace.tb_frame.f_locals.get("self")
        found = by_app.get(id(this)) or by_app.get(id(getattr(this, "ctx", None))) or found
        trace = trace.tb_next
    return found


def judge(player: Player, to_seq: int | None = None, progress: Callable[[int], None] | None = None) -> Verdict:
    """Run a player to `to_seq` (None: all there is) and say what was found."""
    first = player.reader.next_seq
    difference: Exception | None = None
    count = 0
    try:
        count = player.run(to_seq, progress)
    except (JournalError, NotAFunctionOfTheStream):
        raise
    except Exception as found:
        difference, count = found, player.group.seq + 1 - first
    verdict = player.verdict(count, difference)
    verdict.from_seq = first
    return verdict


def verify(
    path: Path, names: list[str] | None = None, progress: Callable[[int], None] | None = None, *, states: bool = True
) -> Verdict:
    """Replay a journal and compare all decisions of its apps (or of the named ones). `states`: see Player."""
    player = Player(path, names, states=states)
    try:
        return judge(player, None, progress)
    finally:
        player.reader.close()
