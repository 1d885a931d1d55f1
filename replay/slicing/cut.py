"""Cuts a slice out of a journal: the frames of a range with their numbers and times, who is who before them, and the states
that the apps had where it begins."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from apps.discovery import DISCOVERY_KINDS, AppSpec, Discovery
from apps.ledger import Diverged
from apps.state import StateError
from journal.errors import OperatingError
from journal.frames import Frame, frames
from journal.lock import FolderLock
from journal.messages import (
    REGISTRY,
    ConfigApplied,
    ConfigItem,
    EpochStart,
    RiskLimitSet,
    SessionStart,
    SourceDefined,
)
from journal.reader import JournalReader
from journal.segment import BLOCK_BYTES, CONTROL, SEGMENT_BYTES_MIN
from journal.slices import begins_after
from journal.writer import JournalWriter
from replay.checkpoints import Checkpoint
from replay.cursor import Cursor
from replay.player import Player, Verdict, apps_of, judge, raised_in
from replay.slicing.begin import write_begin
from replay.slicing.redact import WITHOUT, CannotRedact, Redactor

_CONTEXT = [
    SessionStart.KIND, EpochStart.KIND, SourceDefined.KIND, ConfigItem.KIND, ConfigApplied.KIND,
    RiskLimitSet.KIND, *(k for k in REGISTRY if 100 <= k < 120),
]  # fmt: skip
_SEGMENT_BYTES_MAX = 64 << 20


class CannotSlice(OperatingError):
    """Why no slice can be made here; says what would be possible."""


class Slice(msgspec.Struct):
    """What was made."""

    path: str
    from_seq: int
    """The first frame of the range; lower where all frames from the journal's first on were needed."""
    to_seq: int
    frames: int
    """All, those that say who is who included."""
    names: int
    """How many names were replaced; 0 without redaction."""
    differs_at: int
    """Where the recorded session's replay differs, within the range; the slice's does, too. 0: nowhere."""
    verdict: Verdict
    """What its own replay found."""


def cut(
    path: Path, out: Path, from_seq: int, to_seq: int, *, redact: bool = False, progress: Callable[[int], None] | None = None
) -> Slice:
    """Make the slice `out` of the frames `from_seq` to `to_seq` (both included).

    It is whole and has been replayed when it gets its name; until then it stands beside it, and goes where anything fails.
    CannotSlice where the apps' states at its beginning cannot be had."""
    if out.exists() and any(out.iterdir()):
        raise CannotSlice(f"{out}: not empty; a slice is a new journal (choose another --out)")
    if begins_after(path):
        raise CannotSlice(f"{path}: is a slice; expected the whole journal")
    context = list(frames(path, to_seq=from_seq - 1, kinds=_CONTEXT)) if from_seq > 1 else []
    if from_seq - 1 <= 2 * len(context):
        context, from_seq = [], 1  # all that came before is hardly more than who is who
    states, differs_at = _states(path, from_seq, to_seq)
    redactor = Redactor.of(path) if redact else None
    frame_bytes = sum(f.header.length for f in itertools.chain(context, frames(path, from_seq=from_seq, to_seq=to_seq)))
    partial = _beside(out)
    try:
        with JournalWriter.open(partial, stream_id=_stream(path), segment_bytes=_segment_bytes(frame_bytes)) as writer:
            _write(path, partial, writer, context, from_seq, to_seq, states, redactor, differs_at, progress)
        player = Player(partial, specs=_specs(path, to_seq, redactor))
        try:
            verdict = judge(player)
        finally:
            player.reader.close()
        _name(partial, out)
    except BaseException:
        # Half a slice replays green, and may have the names that were to be replaced.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    made = to_seq - from_seq + 1 + len(context)
    return Slice(str(out), from_seq, to_seq, made, len(redactor.names) if redactor else 0, differs_at, verdict)


def _beside(out: Path) -> Path:
    """Where the slice is written. What one that was killed has left there is removed."""
    whole = out.resolve()
    partial = whole.with_name(whole.name + ".partial")
    if partial.exists():
        if not (partial / CONTROL).exists():
            raise CannotSlice(f"{partial}: is in the way, the slice is written there first (choose another --out)")
        FolderLock(partial).release()
        shutil.rmtree(partial)
    return partial


def _name(partial: Path, out: Path) -> None:
    if not out.exists():
        partial.rename(out.resolve())
        return
    # An empty folder stays what it is: where a shell stands, another disk.
    for part in sorted(partial.iterdir()):
        shutil.move(part, out / part.name)
    partial.rmdir()


def _states(path: Path, from_seq: int, to_seq: int) -> tuple[Checkpoint | None, int]:
    """The apps before the slice's first frame, and where within it their replay differs from the record."""
    with Cursor(path) as cursor:
        try:
            cursor.at(from_seq - 1)
            states = cursor.checkpoints.take(cursor.group) if from_seq > 1 else None
        except Diverged as difference:
            raise CannotSlice(
                f"{path}: the replay differs at seq {difference.seq}, before the slice would begin: the states there are not "
                f"those of the record; slice the first difference (--to {difference.seq}), or use the code that recorded"
            ) from None
        except StateError as error:
            raise CannotSlice(f"{path}: an app's state cannot be kept: {error}") from None
        except OperatingError:
            raise
        except Exception as error:
            at, slot = cursor.group.seq + 1, raised_in(cursor.group, error)
            raise CannotSlice(
                f"{path}: {slot.name if slot else 'an app'} raises at seq {at}, before the slice would begin "
                f"({error!r}); slice what raises (--to {at}), or use the code that recorded"
            ) from None
        try:
            cursor.at(to_seq)
        except OperatingError:
            raise
        except Exception:
            # It says something else or raises: the bug that is reported. From there on nothing is said anew.
            return states, cursor.group.seq + 1
    return states, 0


def _write(
    path: Path,
    out: Path,
    writer: JournalWriter,
    context: list[Frame],
    from_seq: int,
    to_seq: int,
    states: Checkpoint | None,
    redactor: Redactor | None,
    differs_at: int,
    progress: Callable[[int], None] | None,
) -> None:
    writer.c.last_seq = from_seq - 1 - len(context)
    for frame in context:
        _append(writer, frame, _body(frame, redactor), cause=0)
    if states is not None:
        write_begin(out, redactor.checkpoint(states) if redactor is not None else states)
    said = _Said(path, out, _specs(path, to_seq, redactor), redactor) if redactor is not None else None
    try:
        for frame in frames(path, from_seq=from_seq, to_seq=to_seq):
            body = None
            if said is not None and (not differs_at or frame.header.seq < differs_at):
                body = said.body(frame)
            _append(writer, frame, body if body is not None else _body(frame, redactor), cause=frame.header.cause)
            if progress is not None and frame.header.seq % 1024 == 0:
                progress(frame.header.seq - from_seq)
    finally:
        if said is not None:
            said.close()


def _specs(path: Path, to_seq: int, redactor: Redactor | None) -> list[AppSpec]:
    """The apps as the slice will tell of them, with their code where the whole has it."""
    if redactor is None:
        return [s for s in apps_of(path) if s.active_from <= to_seq]
    discovery = Discovery()
    for frame in frames(path, to_seq=to_seq, kinds=DISCOVERY_KINDS):
        if frame.message is not None:
            discovery.handle(frame.header.seq, redactor.message(frame.message))
    where = {s.source: s.class_path for s in apps_of(path)}
    found = sorted(discovery.specs.values(), key=lambda s: s.source)
    return [msgspec.structs.replace(s, class_path=where[s.source]) for s in found]


class _Said:
    """The apps running over the redacted slice while it is written. What they say under the other names is what stands in it:
    digests of states, checksums of orders, all that is made of a name come out right. A name that stands in an app's own code
    would still be in it, and cannot be replaced: the replay would say it."""

    def __init__(self, path: Path, out: Path, specs: list[AppSpec], redactor: Redactor) -> None:
        self._redactor = redactor
        self._names = {s.source: s.name for s in apps_of(path)}
        self._player = Player(out, specs=specs)
        self._slots = {s.app.me: s for s in self._player.slots}

    def body(self, frame: Frame) -> bytes | None:
        """The body of an app's frame; None for a frame that no app said."""
        h = frame.header
        slot = self._slots.get(h.source)
        if slot is None or slot.ledger is None:
            return None
        try:
            self._player.run(to_seq=h.seq - 1)
            said = slot.ledger.pending.get(h.source_seq)
        except OperatingError:
            raise
        except Exception as error:
            raise CannotRedact(f"with the other names an app raises before seq {h.seq}: {error}; {WITHOUT}") from None
        if said is None or (said.kind, said.cause) != (h.kind, h.cause):
            raise CannotRedact(
                f"with the other names {self._names[h.source]} decides otherwise at seq {h.seq}: it reads one; {WITHOUT}"
            )
        cls = REGISTRY.get(said.kind)
        if cls is None:
            raise CannotRedact(f"frame {h.seq}: kind {said.kind} is not declared here, names could stay in it; {WITHOUT}")
        if name := self._redactor.name_in(cls.decode(memoryview(said.body), 0)):
            raise CannotRedact(f"{self._names[h.source]} says a name of its own code at seq {h.seq}: {name!r}; {WITHOUT}")
        return said.body

    def close(self) -> None:
        """Let go of the slice."""
        self._player.reader.close()


def _append(writer: JournalWriter, frame: Frame, body: bytes, *, cause: int) -> None:
    h = frame.header
    while writer.epoch < h.epoch:
        writer.begin_epoch()
    writer.append_bytes(
        h.kind, h.version, body, ts=h.ts, source=h.source, source_seq=h.source_seq, cause=cause, origin_ts=h.origin_ts,
        flags=h.flags, incarnation=h.incarnation,
    )  # fmt: skip


def _body(frame: Frame, redactor: Redactor | None) -> bytes:
    body = bytes(frame.body)
    return redactor.body(frame.header.kind, body, f"frame {frame.header.seq}") if redactor is not None else body


def _stream(path: Path) -> int:
    with JournalReader(path) as reader:
        return reader.stream_id or 1


def _segment_bytes(frame_bytes: int) -> int:
    """One segment with room to spare, if that is not too large."""
    wanted = -(-(frame_bytes + (1 << 17)) * 9 // 8 // BLOCK_BYTES) * BLOCK_BYTES
    return max(SEGMENT_BYTES_MIN, min(wanted, _SEGMENT_BYTES_MAX))
