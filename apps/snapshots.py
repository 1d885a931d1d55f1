"""Snapshot files: where an app starts again. Written whole or not at all, believed only when everything fits.

A file holds the app's own state and that of the mute state machines it reads, all after the same frame, and says what it is a
state of: the stream, the class, the code (`apps.identity`) and the schema. A damaged newest file is passed over for the one
before it, and in the end for a replay from the start: a snapshot saves time, never data.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from apps.group import Group, Slot
from apps.identity import code_of
from journal.errors import JournalError, OperatingError
from journal.messages import NO_DIGEST, accelerator
from journal.messages.derive import schema_digest
from journal.segment import write_durably

MAGIC = "lockstep snapshot 2"
KEPT = 3
"""Snapshot files kept for each app; one less, besides, that all apps of a host can start from."""
WAITING_MAX = 8
"""Files a host may have waiting for its disk; of more than that the newest are not written."""


class SnapshotRefused(OperatingError):
    """A snapshot file that is not taken: names the file, what was found and what was expected."""


class SnapshotFile(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Contents of a snapshot file."""

    magic: str
    stream_id: int
    app: str
    class_path: str
    code: bytes
    schema: bytes
    upto_seq: int
    ts: int
    state: bytes
    mute: dict[str, bytes]


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

    def write(self, group: Group, slot: Slot, seq: int, ts: int, data: bytes) -> Path:
        """Write one app's snapshot atomically: temporary file, sync, rename, sync of the folder."""
        return self._store(slot.name, seq, self._encode(group, slot, seq, ts, data))

    def _encode(self, group: Group, slot: Slot, seq: int, ts: int, data: bytes) -> bytes:
        held = SnapshotFile(
            magic=MAGIC,
            stream_id=self.stream_id,
            app=slot.name,
            class_path=self.classes[slot.name],
            code=self.code.get(slot.name, NO_DIGEST),
            schema=self.schema,
            upto_seq=seq,
            ts=ts,
            state=data,
            mute={m.name: m.snapshot() for m in group.mute_of(slot)},
        )
        return msgspec.msgpack.encode(held)

    def _store(self, name: str, seq: int, body: bytes) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}-{seq:012d}.snapshot"
        write_durably(path, accelerator.blake2b(body, 32) + body)
        self._prune(name)
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
        digest, body = data[:32], data[32:]
        if accelerator.blake2b(body, 32) != digest:
            raise SnapshotRefused(f"{path}: damaged: its digest is not that of its {len(body)} bytes")
        try:
            held = msgspec.msgpack.decode(body, type=SnapshotFile)
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise SnapshotRefused(f"{path}: of another version of lockstep; expected a {MAGIC!r}") from None
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
        return held

    def read(self, path: Path) -> SnapshotFile | None:
        """A snapshot file's contents, None where it is refused."""
        try:
            return self.take(path)
        except SnapshotRefused as reason:
            self.refused.append(str(reason))
            return None

    def restore(self, group: Group, slots: list[Slot], last_seq: int, ts_at: Callable[[int], int] | None = None) -> int:
        """Restore all of a group's speaking slots from the newest seq for which each has a good file.

        `ts_at` says when the journal's frame of a seq was: a snapshot of a frame that the journal lost with the power, and
        another has taken the number of, is not taken. Returns the seq after which the stream goes on, 0 when there is nothing
        to restore from."""
        self.refused.clear()
        good: dict[int, dict[str, SnapshotFile]] = {}
        for slot in slots:
            for path in self._files(slot.name):
                held = self.read(path)
                if held is not None and held.upto_seq <= last_seq:
                    good.setdefault(held.upto_seq, {})[slot.name] = held
        for seq in sorted((seq for seq, files in good.items() if len(files) == len(slots)), reverse=True):
            times = {held.ts for held in good[seq].values()}
            if ts_at is not None and times != {ts_at(seq)}:
                self.refused.append(f"{self.folder}: of seq {seq} as another journal had it: its time is not that of our frame")
                continue
            self._restore(group, slots, good[seq])
            return seq
        return 0

    def _restore(self, group: Group, slots: list[Slot], files: dict[str, SnapshotFile]) -> None:
        restored: set[str] = set()
        for slot in slots:
            held = files[slot.name]
            for mute in group.mute_of(slot):
                if mute.name not in restored:
                    mute.restore(held.mute[mute.name])
                    restored.add(mute.name)
            slot.restore(held.state)
            group.restored(slot, held.upto_seq, held.ts, held.state)


class SnapshotWriter:
    """Puts a host's snapshots on disk from a thread of its own: the host pays for the bytes, not for the disk.

    The state is turned into bytes where the host stands (it moves on at once); writing, syncing and renaming are done behind
    it. A file that cannot be written is told to `complain` and missed by nobody but the next restart."""

    def __init__(self, snapshots: Snapshots, complain: Callable[[str], None]) -> None:
        self.snapshots = snapshots
        self._complain = complain
        self._waiting: queue.Queue[tuple[str, int, bytes] | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._write, name="snapshots", daemon=True)
        self._thread.start()

    def sink(self, group: Group) -> Callable[[Slot, int, int, bytes], None]:
        """For `Group.snapshot_sink`."""

        def keep(slot: Slot, seq: int, ts: int, data: bytes) -> None:
            body = self.snapshots._encode(group, slot, seq, ts, data)
            try:
                self._waiting.put_nowait((slot.name, seq, body))
            except queue.Full:
                self._complain(f"{slot.name}: no snapshot of seq {seq}: {WAITING_MAX} are waiting for the disk")

        return keep

    def _write(self) -> None:
        while (item := self._waiting.get()) is not None:
            name, seq, body = item
            try:
                self.snapshots._store(name, seq, body)
            except (JournalError, OSError) as error:
                self._complain(f"{name}: no snapshot of seq {seq}: {error}")

    def close(self) -> None:
        """Write what is waiting, and end."""
        self._waiting.put(None)
        self._thread.join()
