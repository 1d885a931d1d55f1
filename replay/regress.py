"""Two builds over one recorded day: what each app says under either, and where they say something else.

Both hear the recorded stream to its end: market data, venue's reports, and the recorded words of the other apps. So each app is
compared by itself, given the same inputs. After an app's first difference the stream goes on with what was recorded, and not
with what it says now: what follows may be a consequence, and is counted, not told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

from apps.group import DIGEST_EVERY
from journal.errors import OperatingError
from journal.frames import recorded_to
from journal.messages import REGISTRY, SnapshotTaken, StateDigest
from journal.segment import CONTROL, count_segments
from journal.slices import begins_after
from journal.text import Names, kind_name, message_text
from replay.bisect import Side

Said = list[Any]
"""Cause, kind, version, body in hex."""


class NoDays(OperatingError, ValueError):
    """A folder without journals."""


class AppDifference(msgspec.Struct):
    """How one app differs. Counts are to the end of the day, consequences included."""

    app: str
    first_seq: int = 0
    """The frame it handled when it first said something else; 0: it never did, its state alone differs."""
    here: list[str] = []
    """What this code says there, message by message."""
    there: list[str] = []
    """What the other says."""
    changed: int = 0
    here_only: int = 0
    there_only: int = 0
    state_seq: int = 0
    """The first digest of its state that differs; 0: none does."""


class Day(msgspec.Struct):
    """One day, compared."""

    journal: str
    frames: int = 0
    decisions: int = 0
    """What this code said in it, digests not counted."""
    apps: list[AppDifference] = []
    raised: str = ""
    """What a side raised, and where; the day is compared up to there."""
    trouble: str = ""
    """Why it could not be compared at all."""

    @property
    def same(self) -> bool:
        """Whether both builds behave alike on it."""
        return not (self.apps or self.raised or self.trouble)


def days_of(folder: Path) -> list[Path]:
    """The journals in a folder, by name; the folder itself, where it is one."""
    if not folder.is_dir():
        raise NoDays(f"{folder}: no such folder; expected one with recorded days")
    found = [p for p in [folder, *sorted(folder.iterdir())] if p.is_dir() and ((p / CONTROL).exists() or count_segments(p))]
    if not found:
        raise NoDays(f"{folder}: no journal in it; expected a folder of recorded days, or one of them")
    return found[:1] if found[0] == folder else found


def compare_day(one: Side, other: Side, journal: Path, progress: Callable[[int], None] | None = None) -> Day:
    """Let both hear the whole day. They run side by side."""
    end = recorded_to(journal)
    begun = begins_after(journal)
    day = Day(str(journal), end - begun)
    names = Names.of(journal)
    apps: dict[str, AppDifference] = {}
    seq = begun
    while seq < end:
        seq = min((seq // DIGEST_EVERY + 1) * DIGEST_EVERY, end)
        for side in (one, other):
            side.tell("hear", seq)
        a, b = one.answer(), other.answer()
        # Where one has raised the other went on: what is said of that frame and after it is none to compare.
        ended = min((x["seq"] for x in (a, b) if "raised" in x), default=seq + 1)
        for answer in (a, b):
            answer["said"] = {n: [s for s in said if s[0] < ended] for n, said in answer["said"].items()}
        for name in dict.fromkeys([*a["said"], *b["said"]]):
            here, there = a["said"].get(name, []), b["said"].get(name, [])
            day.decisions += sum(not _is_digest(said) for said in here)
            if here != there:
                _compare(apps.setdefault(name, AppDifference(name)), here, there, names)
        raised = [f"{side.what}: {x['raised']}, at seq {x['seq']}" for side, x in ((one, a), (other, b)) if "raised" in x]
        if raised:
            day.raised = "; ".join(raised)
            break
        if progress is not None:
            progress(seq)
    day.apps = [d for d in apps.values() if d.first_seq or d.state_seq]
    return day


def _compare(found: AppDifference, here: list[Said], there: list[Said], names: Names) -> None:
    by_cause: dict[int, tuple[list[Said], list[Said]]] = defaultdict(lambda: ([], []))
    digests: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for side, all_said in enumerate((here, there)):
        for said in all_said:
            if _is_digest(said):
                digests[side][said[0]] = said[3]
            else:
                by_cause[said[0]][side].append(said)
    if not found.state_seq:
        found.state_seq = next((seq for seq, d in sorted(digests[0].items()) if digests[1].get(seq, d) != d), 0)
    for cause, (ours, theirs) in sorted(by_cause.items()):
        if ours == theirs:
            continue
        if not found.first_seq:
            found.first_seq = cause
            found.here, found.there = ([_text(s, names) for s in said] for said in (ours, theirs))
        for x, y in zip_longest(ours, theirs):
            found.changed += x is not None and y is not None and x != y
            found.here_only += y is None
            found.there_only += x is None


def _is_digest(said: Said) -> bool:
    return said[1] in (StateDigest.KIND, SnapshotTaken.KIND)


def _text(said: Said, names: Names) -> str:
    _, kind, version, body = said
    cls = REGISTRY.get(kind)
    if cls is None or version != cls.VERSION:
        return f"{kind_name(kind)} version {version}, {len(body) // 2} bytes"
    return f"{kind_name(kind)} {message_text(cls.decode(memoryview(bytes.fromhex(body)), 0), names)}"
