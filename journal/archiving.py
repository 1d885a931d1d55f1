"""Putting segments into the archive, and the way back. Never the only copy: what was packed is unpacked again and its digest
compared with the seal before the segment goes."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from journal.archive import SUFFIX, is_archive, map_archive, pack
from journal.digest import BlockHash
from journal.errors import JournalError, SealBroken, os_failure
from journal.seal import Seal, read_seal, seal_name
from journal.segment import all_segment_files, map_file, segment_name, sync_folder, write_durably


class Archived(msgspec.Struct, frozen=True):
    """One segment that was packed."""

    number: int
    file: str
    bytes: int
    packed_bytes: int


def candidates(folder: Path) -> list[tuple[int, Path, Seal]]:
    """Segments that may be packed: sealed, and not packed yet."""
    found = []
    for number, path in all_segment_files(folder):
        if is_archive(path):
            continue
        seal = read_seal(folder, number)
        if seal is not None:
            found.append((number, path, seal))
    return found


def archive_segment(folder: Path, number: int) -> Archived:
    """Pack one sealed segment, prove the archive, remove the segment. Interrupted anywhere and begun again it ends the same."""
    path, archive = folder / segment_name(number), folder / (segment_name(number) + SUFFIX)
    seal = read_seal(folder, number)
    if seal is None:
        raise JournalError(f"{path}: has no seal; only sealed segments are archived: lockstep journal seal {folder}")
    mapped = map_file(path)
    _compare(path, BlockHash(mapped).digest(len(mapped)), seal)
    temporary = archive.with_name(archive.name + ".tmp")
    pack(mapped, temporary)
    try:
        _prove(temporary, seal)
        os.replace(temporary, archive)
        sync_folder(folder)
        path.unlink()
        sync_folder(folder)
    except OSError as error:
        raise os_failure(archive, error.errno or 0, "putting the archive in its place") from None
    finally:
        temporary.unlink(missing_ok=True)
    return Archived(number, archive.name, seal.segment_bytes, archive.stat().st_size)


def restore_segment(folder: Path, number: int) -> Path:
    """Unpack an archived segment into its file again; the archive goes when the file is on disk and proven."""
    path, archive = folder / segment_name(number), folder / (segment_name(number) + SUFFIX)
    seal = read_seal(folder, number)
    if seal is None:
        raise JournalError(f"{folder / seal_name(number)}: missing; nothing vouches for {archive.name}")
    _prove(archive, seal)
    with map_archive(archive) as mapped:
        write_durably(path, memoryview(mapped))
    archive.unlink()
    sync_folder(folder)
    return path


def _prove(archive: Path, seal: Seal) -> None:
    """Unpack and compare with the seal. JournalCorrupt or SealBroken if it is not the segment."""
    mapped = map_archive(archive, fresh=True)
    _compare(archive, BlockHash(mapped).digest(len(mapped)), seal)


def _compare(path: Path, digest: bytes, seal: Seal) -> None:
    if digest != seal.digest:
        raise SealBroken(f"{path}: has digest {digest.hex()}; {seal_name(seal.number)} vouches for {seal.digest.hex()}")
