"""Doing what a repair plan says: restore segments from copies, cut what cannot be restored. Nothing is ever deleted.

Whatever is replaced or cut goes to `quarantine/`. Each step can be interrupted; the next plan then starts from what is there.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import msgspec

from journal import quarantine
from journal.archive import SUFFIX
from journal.chain import measure
from journal.errors import JournalError, os_failure
from journal.index.make import make_indices
from journal.lock import FolderLock
from journal.recovery import recover
from journal.repair_plan import RepairPlan, SealDamage, read_seal_or_none
from journal.seal import check_link, read_seal, seal_name, sealed_numbers, write_seal
from journal.segment import (
    CONTROL,
    ControlPage,
    all_segment_numbers,
    create_control,
    map_file,
    read_header,
    segment_name,
    sync_folder,
    write_durably,
)

SNAPSHOTS = "snapshots"


class Repaired(msgspec.Struct):
    """What was done."""

    restored: list[str] = []
    moved: list[str] = []
    """Files that stand in quarantine now."""
    cut_to_seq: int = 0
    """The stream was cut behind this frame; 0: it was not cut."""
    indices_made: int = 0
    control_made: bool = False


def repair(plan: RepairPlan, *, cut: bool = False) -> Repaired:
    """Restore what the plan found copies of; with `cut` also end the stream before what it did not find a copy of."""
    folder = Path(plan.path)
    done = Repaired()
    lock = FolderLock(folder)
    try:
        for damage in plan.damages:
            if damage.restore_from:
                _restore(folder, damage.file, Path(damage.restore_from), done)
        needs_cut = plan.cut_segment > 0
        if plan.control and not needs_cut:
            _make_control(folder, plan, done)
        if needs_cut and cut:
            _cut(folder, plan, done)
        whole = [s for s in plan.seals if not any(d.number == s.number and not d.restore_from for d in plan.damages)]
        for seal in whole:
            _mend_seal(folder, seal, done)
        if not any(d.unreachable and not d.restore_from for d in plan.damages) and (not needs_cut or cut):
            done.indices_made = make_indices(folder).made
    except OSError as error:
        raise os_failure(folder, error.errno or 0, "repairing it") from None
    finally:
        lock.release()
    return done


def _restore(folder: Path, name: str, copy: Path, done: Repaired) -> None:
    """The copy is whole on disk before the damaged file gives way to it."""
    temporary = folder / "repair.tmp"
    write_durably(temporary, memoryview(map_file(copy)))
    for old in (name, name + SUFFIX):
        if os.path.lexists(folder / old):
            _move(folder, old, done)
    os.replace(temporary, folder / name)
    sync_folder(folder)
    done.restored.append(name)


def _mend_seal(folder: Path, damage: SealDamage, done: Repaired) -> None:
    """Measured again, a seal is unsigned; `lockstep journal seal --key` signs it."""
    if not (folder / damage.file).exists():
        return  # cut off, with its segment
    if damage.restore_from:
        copy = Path(damage.restore_from)
        seal = read_seal(copy.parent, damage.number)
    else:
        seal = measure(folder, damage.number)
    if seal is None:
        raise JournalError(f"{damage.restore_from}: has gone since it was looked at; plan again")
    before, after = (read_seal_or_none(folder, n) for n in (damage.number - 1, damage.number + 1))
    if damage.number == 1 or before is not None:
        check_link(folder, seal, before)
    if after is not None:
        check_link(folder, after, seal)
    _move(folder, damage.file, done)
    write_seal(folder, seal)
    done.restored.append(damage.file)


def _move(folder: Path, name: str, done: Repaired) -> None:
    """Into quarantine, under its own name or the next one that is free."""
    aside = folder / quarantine.QUARANTINE
    aside.mkdir(exist_ok=True)
    for attempt in itertools.count():
        target = aside / (Path(name).name + (f".{attempt}" if attempt else ""))
        if not os.path.lexists(target):
            os.rename(folder / name, target)
            sync_folder(aside)
            sync_folder(folder)
            done.moved.append(f"{quarantine.QUARANTINE}/{target.name}")
            return


def _make_control(folder: Path, plan: RepairPlan, done: Repaired) -> None:
    """A new control page. What it says is what can be read: nobody knows of more."""
    if (folder / CONTROL).exists():
        _move(folder, CONTROL, done)
    segment, epoch, size = 0, 0, 0
    for number in all_segment_numbers(folder):
        header = read_header(folder / segment_name(number), number, plan.stream_id)
        size = size or header.segment_bytes
        if header.opened is not None:
            segment, epoch = number, header.opened.epoch
    if not segment:
        raise JournalError(f"{folder}: no segment is left to go by; restore the journal from a copy, whole")
    create_control(folder, plan.stream_id, size, segment=segment, epoch=epoch, durable_seq=plan.kept_seq)
    done.control_made = True


def _cut(folder: Path, plan: RepairPlan, done: Repaired) -> None:
    """End the stream before the damage. The note makes the sequencer say so on the stream at its next start."""
    kept = plan.cut_segment if plan.cut_offset else plan.cut_segment - 1
    if kept < 1:
        raise JournalError(f"{folder}: nothing of the stream can be read, so nothing would be left; restore it from a copy")
    if (folder / SNAPSHOTS).exists():
        # States of a future that is cut off: an app that starts from one would go on from what never happened.
        _move(folder, SNAPSHOTS, done)
    for number in reversed([n for n in sealed_numbers(folder) if n >= kept]):
        _move(folder, seal_name(number), done)
    for name in reversed(plan.cut_files):
        for old in (name + SUFFIX, name):
            if (folder / old).exists():
                _move(folder, old, done)
    last = segment_name(kept)
    if not (folder / last).exists():
        # The stream goes on behind the cut, in a segment that can be written.
        write_durably(folder / last, memoryview(map_file(folder / (last + SUFFIX))))
        _move(folder, last + SUFFIX, done)
    if plan.control:
        _make_control(folder, plan, done)
    control = ControlPage(folder / CONTROL, writable=True)
    control.c.segment, control.c.durable_seq = kept, plan.kept_seq
    control.c.written_seq = min(int(control.c.written_seq), plan.kept_seq)
    control.flush()
    moved = tuple(name for name in done.moved if ".seg" in name)
    size = sum((folder / name).stat().st_size for name in moved)
    note = quarantine.RecoveryResult(plan.kept_seq, kept, plan.cut_offset, size, size, "cut by an operator's repair", moved)
    quarantine.note(folder, note)
    stream = recover(folder, control, stream_id=plan.stream_id)
    if stream.result is not None:
        done.moved += stream.result.files
    if stream.last_seq != plan.kept_seq:
        raise JournalError(f"{folder}: ends with frame {stream.last_seq} after the cut, expected {plan.kept_seq}; plan again")
    done.cut_to_seq = plan.kept_seq
