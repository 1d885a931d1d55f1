"""Snapshot files: where an app starts again. Written whole or not at all, believed only when everything fits.

A file holds the app's own state and that of the mute state machines it reads, all after the same frame, and says what it is a
state of: the stream, the class, the code (`apps.identity`) and the schema. A damaged newest file is passed over for the one
before it, and in the end for a replay from the start: a snapshot saves time, never data. So is one whose state, once an app has
taken it, has not the digest that the app had said of it.

    file := BLAKE2b of the rest (32 bytes) ‖ bytes of the head (u32, little-endian) ‖ head (Head, msgpack) ‖ pieces of tables
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from apps.group import Group, Slot
from apps.identity import code_of
from apps.state import StateError
from journal.errors import OperatingError
from journal.messages import NO_DIGEST
from journal.messages.captures import cut
from journal.messages.derive import schema_digest
from journal.segment import write_durably

MAGIC = "lockstep snapshot 3"
KEPT = 3
"""Snapshot files kept for each app; one less, besides, that all apps of a host can start from."""
_LENGTH = struct.Struct("<I")


class SnapshotRefused(OperatingError):
    """A snapshot file that is not taken: names the file, what was found and what was expected."""


class SnapshotUnfit(OperatingError, ValueError):
    """A snapshot whose state the apps could not take, or took and were in another one. They are no good any more: `restore` is
    to be called again with fresh ones, and passes it over."""


class Part(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The state of one slot: what is beside the tables, and of each table the sizes of its pieces, which stand behind the head
    in this order."""

    rest: bytes
    pieces: list[list[int]] = []


class Head(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a snapshot file begins with."""

    magic: str
    stream_id: int
    app: str
    class_path: str
    code: bytes
    schema: bytes
    upto_seq: int
    ts: int
    digest: bytes
    """Of the app's slot, as the StateDigest of this frame says."""
    own: Part
    mute: dict[str, Part]


class SnapshotFile(NamedTuple):
    """Contents of a snapshot file."""

    head: Head
    own: list[list[memoryview]]
    """The pieces of each table."""
    mute: dict[str, list[list[memoryview]]]


class Snapshots:
    """Snapshot files of one journal."""

    def __init__(
        self,
        folder: Path,
        stream_id: int,
        classes: dict[str, str],
        code: dict[str, bytes] | None = None,
        *,
        other_code: bool = False,
    ) -> None:
        """`classes`: app name → class path; `code`: app name → digest of its code. Another class's state is never this
        class's; a state that other code left is taken with `other_code` only."""
        self.folder = folder
        self.stream_id = stream_id
        self.classes = classes
        self.code = code or {}
        self.other_code = other_code
        self.schema = schema_digest()
        self.refused: list[str] = []
        """One line for each file that `restore` passed over."""
        self._unfit: dict[int, str] = {}

    @classmethod
    def of(
        cls,
        journal: Path,
        stream_id: int,
        slots: list[Slot],
        classes: dict[str, str],
        *,
        other_code: bool = False,
        copy: int = 1,
    ) -> Snapshots:
        """Those of a journal's apps, as their code is in this process. A second copy has a folder of its own: where two
        differ, one must not start from the other's state."""
        code = {s.name: code_of([type(s.app)]) for s in slots}
        folder = journal / "snapshots" if copy == 1 else journal / "snapshots" / f"copy-{copy}"
        return cls(folder, stream_id, classes, code, other_code=other_code)

    def head(self, app: str, upto_seq: int, ts: int, digest: bytes, own: Part, mute: dict[str, Part]) -> Head:
        """Of a file to be written."""
        code = self.code.get(app, NO_DIGEST)
        return Head(MAGIC, self.stream_id, app, self.classes[app], code, self.schema, upto_seq, ts, digest, own=own, mute=mute)

    def store(self, head: Head, pieces: Sequence[bytes | bytearray]) -> Path:
        """Write one app's snapshot atomically: temporary file, sync, rename, sync of the folder."""
        told = msgspec.msgpack.encode(head)
        blocks = [_LENGTH.pack(len(told)) + told, *pieces]
        whole = hashlib.blake2b(digest_size=32)
        for block in blocks:
            whole.update(block)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{head.app}-{head.upto_seq:012d}.snapshot"
        write_durably(path, whole.digest(), blocks)
        self._prune(head.app)
        return path

    def _prune(self, name: str) -> None:
        """The newest of an app stay, and the newest that all apps of the host have: a large one has fewer, and all start from
        one frame."""
        endings = [{p.name[len(app) :] for p in self._files(app)} for app in self.classes]
        together = sorted(set.intersection(*endings))[1 - KEPT :]  # what was just written, the others may not have yet
        for old in self._files(name)[:-KEPT]:
            if old.name[len(name) :] not in together:
                old.unlink(missing_ok=True)

    def _files(self, name: str) -> list[Path]:
        """Of one app, oldest first. `books-2` is another app than `books`."""
        return sorted(p for p in self.folder.glob(f"{name}-*.snapshot") if p.name[len(name) + 1 : -len(".snapshot")].isdigit())

    def take(self, path: Path) -> SnapshotFile:
        """A snapshot file's contents; SnapshotRefused when it is damaged, or of something else than this journal and code."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SnapshotRefused(f"{path}: {error.strerror}") from None
        if hashlib.blake2b(memoryview(data)[32:], digest_size=32).digest() != data[:32]:
            raise SnapshotRefused(f"{path}: damaged: its digest is not that of its {len(data[32:])} bytes")
        try:
            found = _read(memoryview(data)[32:])
        except (struct.error, msgspec.DecodeError, msgspec.ValidationError):
            raise SnapshotRefused(f"{path}: of another version of lockstep; expected a {MAGIC!r}") from None
        held = found.head
        code = self.code.get(held.app, NO_DIGEST)
        expected = self.classes.get(held.app)
        if held.magic != MAGIC:
            raise SnapshotRefused(f"{path}: {held.magic!r}; expected {MAGIC!r}")
        if held.stream_id != self.stream_id:
            raise SnapshotRefused(f"{path}: of stream {held.stream_id:#x}; this journal is stream {self.stream_id:#x}")
        if held.class_path != expected:
            raise SnapshotRefused(f"{path}: of class {held.class_path}; {held.app} is {expected or 'no app of this journal'}")
        if held.schema != self.schema:
            raise SnapshotRefused(f"{path}: of schema {held.schema.hex()[:16]}; this build's is {self.schema.hex()[:16]}")
        if held.code != code and not self.other_code:
            raise SnapshotRefused(f"{path}: written by code {held.code.hex()[:16]}; this process runs {code.hex()[:16]}")
        return found

    def read(self, path: Path) -> SnapshotFile | None:
        """A snapshot file's contents, None where it is refused."""
        try:
            return self.take(path)
        except SnapshotRefused as reason:
            self.refused.append(str(reason))
            return None

    def restore(self, group: Group, slots: list[Slot], last_seq: int, ts_at: Callable[[int], int] | None = None) -> int:
        """Restore all of a group's speaking slots, which are fresh ones, from the newest seq for which each has a good file.

        `ts_at` says when the journal's frame of a seq was: a snapshot of a frame that the journal lost with the power, and
        another has taken the number of, is not taken. Returns the seq after which the stream goes on, 0 when there is nothing
        to restore from; or raises SnapshotUnfit."""
        self.refused[:] = self._unfit.values()
        good: dict[int, dict[str, SnapshotFile]] = {}
        for slot in slots:
            for path in self._files(slot.name):
                found = self.read(path)
                if found is not None and found.head.upto_seq <= last_seq:
                    good.setdefault(found.head.upto_seq, {})[slot.name] = found
        for seq in sorted((seq for seq, files in good.items() if len(files) == len(slots)), reverse=True):
            if seq in self._unfit:
                continue
            times = {found.head.ts for found in good[seq].values()}
            if ts_at is not None and times != {ts_at(seq)}:
                self.refused.append(f"{self.folder}: of seq {seq} as another journal had it: its time is not that of our frame")
                continue
            self._restore(group, slots, seq, good[seq])
            return seq
        return 0

    def _restore(self, group: Group, slots: list[Slot], seq: int, files: dict[str, SnapshotFile]) -> None:
        try:
            _give(group, slots, files)
            why = next((w for slot in slots if (w := self._why_not(slot, files[slot.name].head))), "")
        except (StateError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
            why = f"it cannot be taken: {error}"
        if why:
            self._unfit[seq] = f"{self.folder}: of seq {seq}: {why}"
            raise SnapshotUnfit(self._unfit[seq])
        for slot in slots:
            group.restored(slot, seq, files[slot.name].head.ts)

    def _why_not(self, slot: Slot, head: Head) -> str:
        """What is wrong with the state that an app has taken. Other code may have another digest of the same state."""
        digest = slot.digest()
        if head.code != self.code.get(slot.name, NO_DIGEST) or digest == head.digest:
            return ""
        return f"the state of {slot.name} has the digest {digest.hex()[:16]}; when it was taken it had {head.digest.hex()[:16]}"


def _give(group: Group, slots: list[Slot], files: dict[str, SnapshotFile]) -> None:
    restored: set[str] = set()
    for slot in slots:
        found = files[slot.name]
        for mute in group.mute_of(slot):
            if mute.name not in restored:
                mute.restore(found.head.mute[mute.name].rest, found.mute[mute.name])
                restored.add(mute.name)
        slot.restore(found.head.own.rest, found.own)


def _read(body: memoryview) -> SnapshotFile:
    (size,) = _LENGTH.unpack_from(body)
    at = _LENGTH.size + size
    head = msgspec.msgpack.decode(body[_LENGTH.size : at], type=Head)

    def tables(part: Part) -> list[list[memoryview]]:
        nonlocal at
        found = []
        for sizes in part.pieces:
            found.append(cut(body[at:], sizes))
            at += sum(sizes)
        return found

    return SnapshotFile(head, tables(head.own), {name: tables(part) for name, part in head.mute.items()})
