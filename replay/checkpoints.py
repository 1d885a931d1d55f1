"""Checkpoints: the state of all apps of a session after some frames, so that a cursor need not begin at the first one again.

They are a cache, kept in `JOURNAL/checkpoints/CODE/` where that folder can be written and in a temporary one elsewhere; nothing
is lost with them. Each is believed only when its digest is right, it is of this stream, schema and code, and the journal's
frame of its seq is of the same time. A damaged one is passed over for the one before it, and in the end for a whole replay.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from apps.group import Group, Slot
from journal.messages.derive import schema_digest

MAGIC = "lockstep checkpoint 1"
COUNT_MAX = 1000
BYTES_MAX = 1 << 30
"""Of one journal and code; beyond either every second one goes, and re-execution takes twice as long."""
CODES_KEPT = 2
"""A journal keeps the checkpoints of the code that looked at it last, and of the one before."""

Turns = tuple[int, int, int]


class Held(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One slot: its state, and the frame that its app saw last."""

    state: bytes
    turns: Turns
    now: int
    seq: int
    source: int


class Checkpoint(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """All apps of a group after the frame `seq`."""

    magic: str
    stream_id: int
    code: bytes
    schema: bytes
    seq: int
    ts: int
    speaking: dict[str, Held]
    mute: dict[str, Held]

    def fits(self, group: Group) -> bool:
        """Whether it has the state of every app of a group. One that had not begun by then has none."""
        for slot in group.slots:
            if slot.name not in (self.mute if slot.ledger is None else self.speaking) and not (
                slot.ledger is not None and slot.active_from > self.seq
            ):
                return False
        return True

    def restore(self, group: Group) -> None:
        """Give a group that has seen no frame yet the state it had after `seq`."""
        assert group.seq == 0
        for slot in group.slots:
            held = (self.mute if slot.ledger is None else self.speaking).get(slot.name)
            if held is not None:
                slot.restore(held.state)
                slot.app.now, slot.app.seq, slot.app.source = held.now, held.seq, held.source
        group.stand(self.seq, self.ts)


def _held(slot: Slot) -> Held:
    return Held(slot.snapshot(), slot.turns(), slot.app.now, slot.app.seq, slot.app.source)


class Checkpoints:
    """The checkpoints of one journal under one code."""

    def __init__(self, journal: Path, stream_id: int, code: bytes) -> None:
        self.stream_id = stream_id
        self.code = code
        self.schema = schema_digest()
        self._temporary: Any = None
        self._turns: dict[int, dict[str, Turns]] = {}
        self.folder = journal / "checkpoints" / code.hex()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            _forget_old(self.folder)
        except OSError:
            # A read-only or foreign journal: what is learned is kept for as long as we look at it.
            self._temporary = tempfile.TemporaryDirectory(prefix="lockstep-checkpoints-")
            self.folder = Path(self._temporary.name)
        self._sizes = {int(p.stem): p.stat().st_size for p in self.folder.glob("*.checkpoint") if p.stem.isdigit()}
        self.seqs = sorted(self._sizes)
        """After which frames there is one, ascending."""

    def take(self, group: Group) -> Checkpoint:
        """The state of a group between two frames."""
        mute, speaking = ({s.name: _held(s) for s in group.slots if (s.ledger is None) is m} for m in (True, False))
        return Checkpoint(MAGIC, self.stream_id, self.code, self.schema, group.seq, group.now, speaking, mute)

    def put(self, checkpoint: Checkpoint) -> None:
        """Keep one. Where the disk is full it is not kept."""
        body = msgspec.msgpack.encode(checkpoint)
        path = self._path(checkpoint.seq)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            # Not synced: what a power loss leaves of it has another digest.
            temporary.write_bytes(hashlib.blake2b(body, digest_size=32).digest() + body)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            return
        if checkpoint.seq not in self._sizes:
            bisect.insort(self.seqs, checkpoint.seq)
        self._sizes[checkpoint.seq] = len(body) + 32
        self._turns[checkpoint.seq] = {name: held.turns for name, held in checkpoint.speaking.items()}
        while len(self.seqs) > COUNT_MAX or (sum(self._sizes.values()) > BYTES_MAX and len(self.seqs) > 1):
            for seq in self.seqs[-2::-2]:
                self.drop(seq)

    def get(self, seq: int) -> Checkpoint | None:
        """The checkpoint of a seq; None, and it is forgotten, when it is not what it should be."""
        try:
            data = self._path(seq).read_bytes()
            if hashlib.blake2b(data[32:], digest_size=32).digest() != data[:32]:
                raise ValueError("damaged")
            found = msgspec.msgpack.decode(data[32:], type=Checkpoint)
        except (OSError, ValueError, msgspec.DecodeError, msgspec.ValidationError):
            self.drop(seq)
            return None
        if (found.magic, found.stream_id, found.code, found.schema, found.seq) != (
            MAGIC, self.stream_id, self.code, self.schema, seq,
        ):  # fmt: skip
            self.drop(seq)
            return None
        self._turns[seq] = {name: held.turns for name, held in found.speaking.items()}
        return found

    def turns(self, seq: int) -> dict[str, Turns] | None:
        """How much of each speaking app's code had run by then; None where there is no good checkpoint. 0: nothing had."""
        if seq and seq not in self._turns:
            self.get(seq)
        return self._turns.get(seq) if seq else {}

    def before(self, seq: int) -> list[int]:
        """After which frames up to `seq` there is one, the last first; 0 at the end: before the first frame."""
        return [*self.seqs[: bisect.bisect_right(self.seqs, seq)][::-1], 0]

    def drop(self, seq: int) -> None:
        """Forget one."""
        if self._sizes.pop(seq, None) is not None:
            self.seqs.remove(seq)
        self._turns.pop(seq, None)
        with contextlib.suppress(OSError):
            self._path(seq).unlink(missing_ok=True)

    def _path(self, seq: int) -> Path:
        return self.folder / f"{seq:012d}.checkpoint"

    def close(self) -> None:
        """Remove the temporary folder, if it is one."""
        if self._temporary is not None:
            self._temporary.cleanup()


def _forget_old(folder: Path) -> None:
    """Folders of code that has not looked at this journal for longest."""
    os.utime(folder)
    others = sorted(folder.parent.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[CODES_KEPT:]:
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
