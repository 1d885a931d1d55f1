"""What the apps of a slice start from: their states after the last frame before it, in a file of the slice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from apps.group import Group
from apps.state import StateError
from journal.errors import JournalError
from journal.slices import begin_file, begins_after
from replay.checkpoints import Checkpoint


class BeginDamaged(JournalError):
    """The states that a slice begins with cannot be taken: says why."""


def write_begin(folder: Path, checkpoint: Checkpoint) -> None:
    """Keep the states that a slice begins with."""
    body = msgspec.msgpack.encode(checkpoint)
    begin_file(folder, checkpoint.seq).write_bytes(hashlib.blake2b(body, digest_size=32).digest() + body)


def begin(folder: Path, group: Group) -> int:
    """Give a new group the states that a slice begins with; the last frame they have seen. 0, and nothing is done, for a whole
    journal. Whatever code runs here: a slice is there to be run by other code, too."""
    seq = begins_after(folder)
    if not seq:
        return 0
    path = begin_file(folder, seq)
    data = path.read_bytes()
    if hashlib.blake2b(data[32:], digest_size=32).digest() != data[:32]:
        raise BeginDamaged(f"{path}: damaged; get this slice again")
    try:
        held = msgspec.msgpack.decode(data[32:], type=Checkpoint)
        if not held.fits(group):
            raise LookupError("an app of this session has no state in it")
        held.restore(group)
    except (StateError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise BeginDamaged(
            f"{path}: not a state of the code here ({error}); expected the code that the slice was made with, or a later one "
            "that takes its states"
        ) from None
    return seq
