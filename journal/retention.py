"""What may be packed, what may move to a cold disk: a plan by segment, then its execution.

Nothing of a stream is ever deleted: ids, restarts and proofs are functions of all of it. What costs space is packed, and what
is old goes to a cold folder, with a link in its place; readers follow it. Unsealed segments and those that somebody
starts from (a rung of an app's snapshots, a replica that is behind) stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from journal.archive import SUFFIX, is_archive, leads_nowhere, map_archive
from journal.archiving import archive_segment
from journal.digest import BlockHash
from journal.errors import JournalError, SealBroken, os_failure
from journal.seal import Seal, read_seal
from journal.segment import CONTROL, ControlPage, all_segment_files, read_header, segment_name, sync_folder

_SNAPSHOT = re.compile(r"(.+)-(\d{12})\.snapshot")
_NO_SEQ = 2**64 - 1


class Step(msgspec.Struct, frozen=True):
    """What is to become of one segment, and why. `action`: keep, archive or move."""

    journal: str
    segment: int
    file: str
    bytes: int
    last_ts: int
    action: str
    why: str


def needed_from(folder: Path) -> tuple[int, str]:
    """The first seq that somebody may still start from, and who; far away when there is nobody."""
    rungs: dict[str, int] = {}
    snapshots = folder / "snapshots"
    for path in snapshots.iterdir() if snapshots.is_dir() else ():
        match = _SNAPSHOT.fullmatch(path.name)
        if match is not None:
            rungs[match[1]] = min(rungs.get(match[1], _NO_SEQ), int(match[2]))
    found = min(((seq, f"the snapshots of {app} begin at seq {seq}") for app, seq in rungs.items()), default=(_NO_SEQ, ""))
    if (folder / CONTROL).exists():
        replicated = int(ControlPage(folder / CONTROL).c.replicated_seq)
        if replicated:
            found = min(found, (replicated, f"a replica has frames up to {replicated} only"))
    return found


def plan(folder: Path, now_ns: int, archive_after_ns: int, keep_ns: int | None, cold: Path | None) -> list[Step]:
    """One step a segment. `keep_ns`: how long a segment stays on this disk when there is a `cold` folder."""
    if cold is not None and cold.exists() and not cold.is_dir():
        raise JournalError(f"{cold}: is a file; archives are moved to a folder")
    needed, by_whom = needed_from(folder)
    steps = []
    for number, path in all_segment_files(folder):
        seal = read_seal(folder, number)
        action, why = _decide(path, seal, now_ns, archive_after_ns, keep_ns if cold is not None else None, needed, by_whom)
        size = (path.lstat() if leads_nowhere(path) else path.stat()).st_blocks * 512
        steps.append(Step(str(folder), number, path.name, size, seal.last_ts if seal is not None else 0, action, why))
    return steps


def _decide(
    path: Path, seal: Seal | None, now_ns: int, archive_after_ns: int, keep_ns: int | None, needed: int, by_whom: str
) -> tuple[str, str]:
    if leads_nowhere(path):
        return "keep", f"not reachable: in {path.readlink().parent}"
    if seal is None:
        opened = read_header(path, int(path.name[:8])).opened is not None
        return "keep", "not sealed" if opened else "not begun"
    if path.is_symlink():
        return "keep", f"in {path.readlink().parent}"
    if seal.last_seq >= needed:
        return "keep", by_whom
    age = now_ns - seal.last_ts
    if keep_ns is not None and age > keep_ns:
        return "move", "older than the time to keep it here"
    if is_archive(path):
        return "keep", "archived"
    return ("archive", "old enough") if age > archive_after_ns else ("keep", "young")


def execute(steps: list[Step], cold: Path | None, done: Callable[[Step], None]) -> Iterator[Step]:
    """Carry a plan out, step by step; each is proven before the old copy goes."""
    for step in steps:
        folder = Path(step.journal)
        if step.action in ("archive", "move") and not is_archive(folder / step.file):
            archive_segment(folder, step.segment)
        if step.action == "move":
            assert cold is not None
            _move(folder, step.segment, cold)
        if step.action != "keep":
            yield step
        done(step)


def _move(folder: Path, number: int, cold: Path) -> None:
    """Copy an archive to the cold folder, prove the copy, put a link in its place."""
    name = segment_name(number) + SUFFIX
    seal = read_seal(folder, number)
    assert seal is not None
    # Journals of many systems have folders of the same name (a date), and may share a cold folder.
    source, there = folder / name, (cold / f"{folder.resolve().name}-{seal.stream_id:016x}" / name).resolve()
    temporary = there.with_name(name + ".tmp")
    link = folder / (name + ".tmp")
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(there):
            # An earlier move that was interrupted before its link, or a file that nobody else may have: never replaced.
            if not _holds(there, seal):
                raise JournalError(f"{there}: stands there already and is not {source}; nothing was moved")
        else:
            shutil.copyfile(source, temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            if not _holds(temporary, seal):
                raise SealBroken(f"{temporary}: is not what was copied from {source}; nothing was removed")
            os.replace(temporary, there)
            sync_folder(there.parent)
        link.unlink(missing_ok=True)
        link.symlink_to(there)
        os.replace(link, source)
        sync_folder(folder)
    except OSError as error:
        raise os_failure(there, error.errno or 0, "moving the archive") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _holds(archive: Path, seal: Seal) -> bool:
    """Whether an archive, read from its disk, is the segment that the seal vouches for."""
    try:
        mapped = map_archive(archive, fresh=True)
    except JournalError:
        return False
    return BlockHash(mapped).digest(len(mapped)) == seal.digest


def journals_in(path: Path) -> list[Path]:
    """The journal at `path`, or the journals in that folder (one a day, say)."""
    if all_segment_files(path) or (path / CONTROL).exists():
        return [path]
    return sorted(p for p in path.iterdir() if p.is_dir() and (p / CONTROL).exists())
