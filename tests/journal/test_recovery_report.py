"""What a recovery cut is told, however often the starts after it die before they can: never silently dropped. (J04, J06)"""

from __future__ import annotations

import os
import shutil

import pytest

from journal import quarantine, recovery
from journal.errors import JournalCorrupt, JournalError
from journal.messages import Clock, EpochStart
from journal.messages.control import RecoveryReport
from journal.segment import ControlPage
from journal.writer import JournalWriter

MIB = 1 << 20


def torn(path, frames=3):
    """A journal whose last frame has a wrong byte and was never on disk."""
    with JournalWriter.open(path, stream_id=9, segment_bytes=MIB) as w:
        for i in range(frames):
            w.append(Clock(wall_ts=i, mono_ns=i), ts=i + 1)
        last = w.c.offset - 80
    data = bytearray((path / "00000001.seg").read_bytes())
    data[last + 70] ^= 1
    (path / "00000001.seg").write_bytes(data)
    page = ControlPage(path / "control", writable=True)
    page.c.durable_seq = frames - 1
    page.flush()


def killed(path):
    """A start that dies before it has said anything: its recovery, and no clean end."""
    writer = JournalWriter.open(path)
    found = writer.recovery
    writer._let_go()
    return found


def test_a_cut_is_told_until_someone_ends_well(folder):
    torn(folder)
    first = killed(folder)
    assert (first.kept_seq, len(first.files)) == (2, 1)
    assert killed(folder) == first
    with JournalWriter.open(folder) as w:
        assert w.recovery == first
    with JournalWriter.open(folder) as w:
        assert w.recovery is None
    assert (folder / first.files[0]).exists()


def test_a_report_on_the_stream_is_enough(folder):
    torn(folder)
    writer = JournalWriter.open(folder)
    writer.append(EpochStart(), ts=100)
    writer.append(RecoveryReport(kept_seq=writer.recovery.kept_seq), ts=101)
    writer._let_go()
    assert killed(folder) is None
    assert not (folder / quarantine.NOTE).exists()


def test_a_report_of_another_cut_is_not(folder):
    torn(folder)
    writer = JournalWriter.open(folder)
    writer.append(RecoveryReport(kept_seq=1), ts=100)
    writer._let_go()
    assert killed(folder).kept_seq == 2


def test_two_cuts_in_a_row_are_told_together(folder):
    torn(folder)
    first = killed(folder)
    data = bytearray((folder / "00000001.seg").read_bytes())
    data[first.offset + 8] = 7
    (folder / "00000001.seg").write_bytes(data)
    both = killed(folder)
    assert both.kept_seq == 2
    assert len(both.files) == 2
    assert both.cut_bytes == first.cut_bytes + 9
    assert set(first.files) < set(both.files)


def test_interrupted_at_any_step_it_ends_in_the_same_state(folder, monkeypatch):
    """J04: recovery stopped before each of its own steps on the disk, then run again: same journal, same report."""
    torn(folder / "whole")
    shutil.copytree(folder / "whole", folder / "straight")
    with JournalWriter.open(folder / "straight") as w:
        expected = w.recovery
    steps = 0
    while True:
        path = folder / f"stopped{steps}"
        shutil.copytree(folder / "whole", path)
        if not stopped_at(path, steps, monkeypatch):
            break
        with JournalWriter.open(path) as w:
            assert w.recovery == expected, steps
        assert (path / "00000001.seg").read_bytes() == (folder / "straight" / "00000001.seg").read_bytes()
        steps += 1
    assert steps >= 8


class Stopped(Exception):
    pass


def stopped_at(path, step, monkeypatch):
    """Run recovery up to the `step`th call that changes the disk; False when it has fewer."""
    left = step

    def counted(original):
        def call(*arguments, **named):
            nonlocal left
            if left == 0:
                raise Stopped
            left -= 1
            return original(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "fsync", "fdatasync", "mkdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(recovery, "lib", Counted(recovery.lib, counted))
        try:
            recovery.recover(path, ControlPage(path / "control", writable=True))
        except Stopped:
            return True
    return False


class Counted:
    """The C library, its one function that stores into a segment counted as a step."""

    def __init__(self, lib, counted):
        self._lib = lib
        self.lockstep_zero_range = counted(lib.lockstep_zero_range)

    def __getattr__(self, name):
        return getattr(self._lib, name)


def test_a_damaged_note_is_not_believed(folder):
    torn(folder)
    killed(folder)
    (folder / quarantine.NOTE).write_bytes(b'{"kept_seq":')
    with pytest.raises(JournalCorrupt, match=r"recovery\.json.*then remove"):
        JournalWriter.open(folder)


def test_no_room_for_the_copy_nothing_is_cut(folder, monkeypatch):
    torn(folder)
    before = (folder / "00000001.seg").read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(JournalError, match="disk full"):
            JournalWriter.open(folder)
    assert (folder / "00000001.seg").read_bytes() == before
    with JournalWriter.open(folder) as w:
        assert w.recovery.kept_seq == 2
