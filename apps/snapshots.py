"""Snapshot files: where an app starts again. Written whole or not at all, believed only when everything fits.

A file holds the app's own state and that of the mute state machines it reads, all after the same frame. A damaged newest
file is passed over for the one before it, and in the end for a replay from the start: a snapshot saves time, never data.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from apps.group import Group, Slot
from journal.segment import write_durably

MAGIC = "lockstep snapshot 1"
KEPT = 3
"""Snapshot files kept for each app."""


class SnapshotFile(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Contents of a snapshot file."""

    magic: str
    stream_id: int
    app: str
    class_path: str
    upto_seq: int
    ts: int
    state: bytes
    mute: dict[str, bytes]


class Snapshots:
    """Snapshot files of one journal."""

    def __init__(self, folder: Path, stream_id: int, classes: dict[str, str]) -> None:
        self.folder = folder
        self.stream_id = stream_id
        self.classes = classes  # app name → class path; another class's state is not this class's
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, group: Group, slot: Slot, seq: int, ts: int, data: bytes) -> Path:
        """Write one app's snapshot atomically: temporary file, sync, rename, sync of the folder."""
        held = SnapshotFile(
            magic=MAGIC,
            stream_id=self.stream_id,
            app=slot.name,
            class_path=self.classes[slot.name],
            upto_seq=seq,
            ts=ts,
            state=data,
            mute={m.name: m.snapshot() for m in group.mute_of(slot)},
        )
        body = msgspec.msgpack.encode(held)
        path = self.folder / f"{slot.name}-{seq:012d}.snapshot"
        write_durably(path, hashlib.blake2b(body, digest_size=32).digest() + body)
        for old in sorted(self.folder.glob(f"{slot.name}-*.snapshot"))[:-KEPT]:
            old.unlink(missing_ok=True)
        return path

    def read(self, path: Path) -> SnapshotFile | None:
        """A snapshot file's contents; None when it is damaged, cut, of another stream or of another class."""
        try:
            data = path.read_bytes()
            digest, body = data[:32], data[32:]
            if hashlib.blake2b(body, digest_size=32).digest() != digest:
                return None
            held = msgspec.msgpack.decode(body, type=SnapshotFile)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return None
        fits = held.magic == MAGIC and held.stream_id == self.stream_id and self.classes.get(held.app) == held.class_path
        return held if fits else None

    def restore(self, group: Group, slots: list[Slot], last_seq: int) -> int:
        """Restore all of a group's speaking slots from the newest seq for which each has a good file.

        Returns the seq after which the stream goes on, 0 when there is nothing to restore from."""
        good: dict[int, dict[str, SnapshotFile]] = {}
        for slot in slots:
            for path in sorted(self.folder.glob(f"{slot.name}-*.snapshot"), reverse=True):
                held = self.read(path)
                if held is not None and held.upto_seq <= last_seq:
                    good.setdefault(held.upto_seq, {})[slot.name] = held
        complete = [seq for seq, files in good.items() if len(files) == len(slots)]
        if not complete:
            return 0
        seq = max(complete)
        restored: set[str] = set()
        for slot in slots:
            held = good[seq][slot.name]
            for mute in group.mute_of(slot):
                if mute.name not in restored:
                    mute.restore(held.mute[mute.name])
                    restored.add(mute.name)
            slot.restore(held.state)
            group.restored(slot, seq, held.ts, held.state)
        return seq
