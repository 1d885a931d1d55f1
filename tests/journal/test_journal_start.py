"""What a start leaves on disk, whatever comes after it: names, folders, watermarks. (J08, J15, J21)"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from journal import segment, writer
from journal.segment import ControlPage, create_control
from journal.writer import JournalWriter

MIB = 1 << 20


@pytest.fixture
def synced(monkeypatch, folder):
    """Paths of what was synced, in order."""
    paths = []
    fsync = os.fsync

    def note(fd):
        path = os.readlink(f"/proc/self/fd/{fd}")
        if Path(path).is_relative_to(folder):  # whoever else syncs something in this process
            paths.append(path)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    return paths


def test_the_folders_of_a_new_journal_are_on_disk(folder, synced):
    """A folder that is lost with its parent's entry takes every acknowledged frame with it."""
    with JournalWriter.open(folder / "a" / "b" / "j", segment_bytes=MIB):
        pass
    assert synced[:3] == [str(folder), str(folder / "a"), str(folder / "a" / "b")]


def test_a_prepared_segment_of_a_killed_writer_gets_its_name_on_disk(folder, synced):
    """J08: killed between the rename and the folder's sync; the next start goes on in that file and acknowledges frames."""
    first = JournalWriter.open(folder / "j", segment_bytes=MIB)
    first._let_go()
    del synced[:]
    with JournalWriter.open(folder / "j") as second:
        assert second.c.slots[1].state == 1
        assert str(folder / "j") in synced


def test_another_segment_size_keeps_the_watermarks_whenever_it_dies(folder, monkeypatch):
    """The page that replaces the old one has its words from the first moment: without, damage would pass for a torn tail."""
    with JournalWriter.open(folder / "j", segment_bytes=MIB) as w:
        w.begin_epoch()
        for ts in range(1, 9):
            w.append_bytes(10000, 1, b"", ts=ts)

    def dies(*arguments, **words):
        create_control(*arguments, **words)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "create_control", dies)
    with pytest.raises(KeyboardInterrupt):
        JournalWriter.open(folder / "j", segment_bytes=2 * MIB)
    page = ControlPage(folder / "j" / "control")
    assert (page.segment_bytes, page.c.durable_seq, page.c.segment, page.c.epoch) == (2 * MIB, 8, 1, 1)


@pytest.mark.parametrize("write_through", [False, True])
def test_segments_have_no_holes(tmp_path, write_through):
    """J15: every block is reserved, so that a store into the map cannot fail for want of space (SIGBUS)."""
    path = tmp_path / "j"
    with JournalWriter.open(path, segment_bytes=MIB, write_through=write_through) as w:
        while w.c.segment < 2:
            w.append_bytes(10000, 1, bytes(200_000), ts=w.last_ts + 1)
        w.prepare_next()
        for file in sorted(path.glob("*.seg")):
            status = file.stat()
            assert status.st_blocks * 512 >= status.st_size == MIB
            with file.open("rb") as opened:
                assert os.lseek(opened.fileno(), 0, os.SEEK_HOLE) == MIB
        assert len(list(path.glob("*.seg"))) == 3


def test_a_folder_that_cannot_be_synced_is_no_journal(folder, monkeypatch):
    def refuses(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(segment, "sync_folder", refuses)
    with pytest.raises(Exception, match="Input/output error while opening the journal"):
        JournalWriter.open(folder / "new", segment_bytes=MIB)
    shutil.rmtree(folder / "new")
