"""What a host leaves behind when its app says something else than the journal has: which event it was, for whoever decides what
becomes of it. A file of the run folder, read by the supervisor of a copy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from apps.ledger import Diverged, Emission
from journal.frames import frames
from journal.messages import NO_DIGEST, OWN_CAUSE, DivergenceLevel, SnapshotTaken, StateDigest

_OF_THE_STATE = {StateDigest.KIND, SnapshotTaken.KIND}


class Parting(msgspec.Struct, kw_only=True):
    """Two runs of one app disagree: the journal's and this process's."""

    app: str
    source: int
    at_seq: int
    """The frame of the journal that this process would have said differently."""
    level: int
    """DivergenceLevel: EMISSION, or DIGEST where only the states differ so far."""
    first_bad_seq: int
    """The event at which they parted; of DIGEST the last one that may be it."""
    right_at: int
    """The last frame after which the states were equal: a digest says so. 0: there is none yet."""
    expected_digest: bytes
    got_digest: bytes
    text: str


def parting(journal: Path, source: int, found: Diverged) -> Parting:
    """What is known of a difference. Reads the digests of the journal up to it."""
    both = [e for e in (found.expected, found.got) if e is not None]
    of_the_state = {e.kind for e in both} <= _OF_THE_STATE and len({e.kind for e in both}) == 1
    right_at = 0
    for frame in frames(journal, to_seq=found.seq - 1, kinds=[StateDigest.KIND]):
        if frame.header.source == source and isinstance(frame.message, StateDigest):
            right_at = frame.message.upto_seq
    return Parting(
        app=found.app,
        source=source,
        at_seq=found.seq,
        level=DivergenceLevel.DIGEST if of_the_state else DivergenceLevel.EMISSION,
        # Who says more than the other said it earlier, under a number that the other used later.
        first_bad_seq=min((e.cause for e in both if e.cause < OWN_CAUSE), default=found.seq),
        right_at=right_at,
        expected_digest=_digest(found.expected),
        got_digest=_digest(found.got),
        text=str(found),
    )


def _digest(e: Emission | None) -> bytes:
    return hashlib.blake2b(e.body, digest_size=32).digest() if e is not None else NO_DIGEST


def path_of(journal: Path, host: str, copy: int) -> Path:
    """Where a host leaves it: `host` is its first app."""
    return journal.joinpath("run", f"{host}-{copy}.parting")


def leave(path: Path, found: Parting) -> None:
    """Whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(found))
    temporary.replace(path)


def take(path: Path) -> Parting | None:
    """What was left, once; None: nothing was."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Parting)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    path.unlink(missing_ok=True)
    return found
