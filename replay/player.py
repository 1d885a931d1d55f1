"""The player: runs the apps of a recorded session over its journal again and compares every decision with the record.

Which apps ran, with which parameters, is in the journal. An app that says anything else than it said then is a difference;
the first one is reported with both messages side by side. No difference is the proof that the code is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from apps.discovery import DISCOVERY_KINDS, AppSpec, Discovery
from apps.group import Group, Slot
from apps.guard.building import build
from apps.guard.trap import trapped
from apps.ledger import Diverged, Ledger
from journal.errors import OperatingError
from journal.frames import frames
from journal.reader import JournalReader


class Verdict(msgspec.Struct, kw_only=True):
    """What a replay found."""

    identical: bool
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
            raise UnknownApp(f"{path}: no app {name!r}; it has {', '.join(sorted(known)) or 'none'}")
    return [s for s in specs if s.name in names]


class Player:
    """The apps of a journal, ready to be stepped through it."""

    def __init__(self, path: Path, names: list[str] | None = None, *, specs: list[AppSpec] | None = None) -> None:
        """`specs`: what `apps_of` found, for whoever makes many players of one journal."""
        self.path = path
        self.reader = JournalReader(path)
        if specs is None:
            specs = apps_of(path, names)
        self.group = Group()
        self.slots: list[Slot] = [
            self.group.add(s.name, build(s), source=s.source, ledger=Ledger(s.name), active_from=s.active_from) for s in specs
        ]

    @trapped()
    def run(self, to_seq: int | None = None, progress: Callable[[int], None] | None = None) -> int:
        """Step through the frames up to `to_seq` (included; None: all there are). Returns how many. Raises Diverged."""
        count = 0
        while to_seq is None or self.reader.next_seq <= to_seq:
            limit = 4096 if to_seq is None else min(4096, to_seq + 1 - self.reader.next_seq)
            batch = self.reader.poll(limit)
            if batch is None:
                break
            count += self.group.run(batch.buffer, batch.refs)
            if progress is not None:
                progress(self.reader.next_seq - 1)
        return count

    def verdict(self, count: int, difference: Diverged | None = None) -> Verdict:
        """What was found, after `run`."""
        ledgers = [s.ledger for s in self.slots if s.ledger is not None]
        return Verdict(
            identical=difference is None,
            frames=count,
            last_seq=self.group.seq,
            decisions=sum(ledger.compared for ledger in ledgers),
            # Said after the app's last frame here: it had stopped or the journal ends. Legal, and published when it runs again.
            pending=sum(len(ledger.pending) for ledger in ledgers),
            state_digest=self.group.state_digest().hex(),
            apps={ledger.app: ledger.compared for ledger in ledgers},
            difference=str(difference) if difference else "",
            difference_seq=difference.seq if difference else 0,
            difference_app=difference.app if difference else "",
            difference_cause=next((e.cause for e in (difference.expected, difference.got) if e), 0) if difference else 0,
        )


def verify(path: Path, names: list[str] | None = None, progress: Callable[[int], None] | None = None) -> Verdict:
    """Replay a journal and compare all decisions of its apps (or of the named ones)."""
    player = Player(path, names)
    try:
        return player.verdict(player.run(progress=progress))
    except Diverged as difference:
        return player.verdict(player.group.seq, difference)
    finally:
        player.reader.close()
