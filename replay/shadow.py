"""A shadow: this build's apps at the tail of a journal that others write, their emissions kept back and compared with it.

Nothing of the journal is touched: it is read through mappings, no source is attached, no checkpoint is kept beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from apps.discovery import AppSpec
from apps.guard.trap import NotAFunctionOfTheStream
from journal.errors import JournalError, OperatingError
from replay.player import Player, Verdict, apps_of

LOOK_S = 0.005
"""How long it sleeps when nothing is new: it is in nobody's way, and not in a hurry."""
PORTION = 65_536
"""Frames between two looks at whether to stop."""


class Behind(OperatingError):
    """The journal ends before what was seen of it: a power cut took frames, and others will have their numbers."""


class Progress(msgspec.Struct):
    """How far a shadow is."""

    seq: int
    written_seq: int
    decisions: int
    caught_up: bool


def specs_for(journal: Path, names: list[str] | None, class_of: Callable[[str], str | None]) -> list[AppSpec]:
    """The apps as the journal configures them, with the classes of a new build: `class_of` says which, None: the journal's."""
    return [
        msgspec.structs.replace(spec, class_path=class_of(spec.name) or spec.class_path) for spec in apps_of(journal, names)
    ]


def follow(
    journal: Path, specs: list[AppSpec], stopped: Callable[[], bool], tell: Callable[[Progress], None] | None = None
) -> Verdict:
    """Run the apps from the first frame and on at the tail, until `stopped` says so or one differs; what was found."""
    player = Player(journal, specs=specs)
    reader, difference, count = player.reader, None, 0
    try:
        while not stopped():
            written = reader.written_seq
            if written < reader.next_seq - 1:
                raise Behind(f"{journal}: ends at seq {written}, this shadow has seen {reader.next_seq - 1}; start it again")
            # No further than the watermark: frames stand in the journal a moment before it says so, and what it has not said it
            # cannot be missing.
            to_seq = min(written, reader.next_seq + PORTION - 1)
            came = player.run(to_seq=to_seq) if written >= reader.next_seq else 0
            count += came
            if tell is not None:
                decisions = sum(s.ledger.compared for s in player.slots if s.ledger is not None)
                tell(Progress(reader.next_seq - 1, written, decisions, reader.next_seq > written))
            if not came:
                time.sleep(LOOK_S)
    except (JournalError, OperatingError, NotAFunctionOfTheStream):
        raise
    except Exception as found:
        difference, count = found, player.group.seq
    finally:
        reader.close()
    return player.verdict(count, difference)
