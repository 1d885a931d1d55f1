"""Where bytes go that recovery cuts, and the note that they were cut, which stays until somebody was told.

A copy is on disk before the first byte goes. So is the note: a crash between the cut and the frame that reports it would
otherwise leave a clean journal that says nothing.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec

from journal.errors import JournalCorrupt
from journal.segment import sync_folder, write_durably

QUARANTINE = "quarantine"
NOTE = "recovery.json"


class RecoveryResult(msgspec.Struct, frozen=True):
    """What was cut. `kept_seq`: the last frame that stays. Bytes count up to the last non-zero one of each place."""

    kept_seq: int
    segment: int
    offset: int
    cut_bytes: int
    quarantined_bytes: int
    found: str
    files: tuple[str, ...]


def put_aside(folder: Path, number: int, offset: int, data: bytes) -> str:
    """Write cut bytes to quarantine; never over other bytes (a second crash may have zeroed a part meanwhile)."""
    if not (folder / QUARANTINE).is_dir():
        (folder / QUARANTINE).mkdir()
        sync_folder(folder)
    for attempt in itertools.count():
        name = f"{number:08d}-{offset}" + (f".{attempt}" if attempt else "") + ".bin"
        path = folder / QUARANTINE / name
        if not path.exists():
            write_durably(path, data)
            return f"{QUARANTINE}/{name}"
        if path.read_bytes() == data:
            return f"{QUARANTINE}/{name}"
    raise AssertionError("unreachable")


def note(folder: Path, result: RecoveryResult) -> None:
    """Keep, until `told`, what is about to be cut; together with what an interrupted recovery has noted before."""
    write_durably(folder / NOTE, msgspec.json.encode(_joined(untold(folder), result)))


def untold(folder: Path) -> RecoveryResult | None:
    """What was cut and not reported yet."""
    path = folder / NOTE
    if not path.exists():
        return None
    text = path.read_bytes()
    try:
        return msgspec.json.decode(text, type=RecoveryResult)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise JournalCorrupt(
            path, 0, "what the last recovery cut", str(error), f"look at {folder / QUARANTINE}, then remove {NOTE}"
        ) from None


def told(folder: Path) -> None:
    """Forget the note: its content is on the stream, or its reader has ended well."""
    if (folder / NOTE).exists():
        (folder / NOTE).unlink()
        sync_folder(folder)


def _joined(before: RecoveryResult | None, now: RecoveryResult) -> RecoveryResult:
    """One report of two recoveries, the first of which was not reported: the later end, all files, each once."""
    if before is None:
        return now
    files = (*before.files, *(name for name in now.files if name not in before.files))
    same = set(now.files) <= set(before.files)
    cut = before.cut_bytes if same else before.cut_bytes + now.cut_bytes
    return RecoveryResult(
        min(before.kept_seq, now.kept_seq), now.segment, now.offset, cut, cut, before.found if same else now.found, files
    )
