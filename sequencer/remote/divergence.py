"""A folder that has frames which the stream's new writer does not have: what was never acknowledged goes to a side file.

What was acknowledged is never cut: a gateway may have acted upon it, and only a person can say which stream is right.
"""

from __future__ import annotations

import os
from pathlib import Path

from journal.errors import JournalError, os_failure
from journal.frames import frames
from journal.kernel._journal import ffi, lib
from journal.messages import DurabilityPolicy, SessionStart
from journal.quarantine import put_aside
from journal.seal import seal_name, sealed_numbers
from journal.segment import ControlPage, map_file, segment_files, sync_folder
from sequencer.remote.position import Position


class AcknowledgedDiffers(JournalError):
    """Two machines have different frames where one of them had already told others to rely on them."""


def acknowledged_seq(folder: Path, control: ControlPage, last: int) -> int:
    """Up to where somebody may have acted upon the frames of this folder."""
    c = control.c
    if c.role == lib.LOCKSTEP_ROLE_FOLLOWER:
        return int(c.replicated_seq)
    policy = DurabilityPolicy.DURABLE
    for frame in frames(folder, kinds=[SessionStart.KIND]):
        if isinstance(frame.message, SessionStart):
            policy = DurabilityPolicy(frame.message.durability)
    if policy == DurabilityPolicy.REPLICATED:
        return int(c.replicated_seq)
    if policy == DurabilityPolicy.DURABLE_AND_REPLICATED:
        return min(int(c.replicated_seq), int(c.durable_seq))
    return last if policy == DurabilityPolicy.WRITTEN else int(c.durable_seq)


def cut_after(folder: Path, control: ControlPage, common: Position, last: int) -> list[str]:
    """Move every byte behind `common` to the quarantine; the names of the side files. The caller holds the folder's lock.

    Copies first, then the page's claims, then the bytes, the last segment first: an interruption leaves a folder that is cut
    again in the same way.
    """
    acked = acknowledged_seq(folder, control, last)
    if common.seq < acked:
        raise AcknowledgedDiffers(
            f"{folder}: frames {common.seq + 1} to {acked} were acknowledged here, but the writer that is to be followed has "
            f"others there; nothing was changed. Find out which stream is right; to go on with the writer's, follow it into "
            "an empty folder and keep this one"
        )
    cuts: list[tuple[int, Path, int, int]] = []
    for number, path in segment_files(folder):
        if number < common.segment:
            continue
        start = common.offset if number == common.segment else 0
        with map_file(path) as mapped:
            view = ffi.from_buffer(mapped)
            end = int(lib.lockstep_last_nonzero(view, start, len(mapped)))
            ffi.release(view)
            if end > start:
                cuts.append((number, path, start, end))
    names = []
    for number, path, start, end in cuts:
        with map_file(path) as mapped:
            names.append(put_aside(folder, number, start, mapped[start:end]))
    c = control.c
    c.durable_seq, c.segment = min(int(c.durable_seq), common.seq), common.segment
    c.written_seq = min(int(c.written_seq), common.seq)
    c.published = common.segment << 32 | common.offset
    control.flush()
    for number in sealed_numbers(folder):
        if number >= common.segment:
            (folder / seal_name(number)).unlink()
    for number, path, start, end in reversed(cuts):
        if number == common.segment:
            code = lib.lockstep_zero_range(os.fsencode(path), start, end)
            if code:
                raise os_failure(path, -code, "zeroing what was cut")
        else:
            path.unlink()
            sync_folder(folder)
    return names
