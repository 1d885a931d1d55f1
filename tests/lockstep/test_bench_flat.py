"""That the bench measures every row it names; its figures are no test."""

import argparse
import multiprocessing
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from lockstep.bench import flat, rig, rolls
from lockstep.bench.memory import counted

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def place():
    """A socket's path is short, that of a test's folder is not."""
    with tempfile.TemporaryDirectory(prefix="lkf-") as folder:
        yield Path(folder)


def test_every_row_is_measured(place, monkeypatch):
    """No figure is 0, the reader far behind is as far behind as it says, and nothing is left."""
    small = {
        "FRAMES": 100_000,
        "FRAMES_LEAST": 40_000,
        "BURST": 4_000,
        "PINGS": 50,
        "SEGMENT_BYTES": 1 << 20,
        "PUBLISHERS": 4,
        "READERS": 2,
    }
    for name, value in small.items():
        monkeypatch.setattr(flat, name, value)
    for name, value in {"ROLLS": 2, "SEGMENT_BYTES": 1 << 20, "BURST": 1_000}.items():
        monkeypatch.setattr(rolls, name, value)
    report = flat.run(argparse.Namespace(frames=40_000, folder=place))
    rows = {row["case"]: row for row in report["table"]}
    assert list(rows) == ["frames_40000", "readers_2", "publishers_4", "reader_behind", "no_roll", "roll"]
    assert {"roll_ratio", "no_roll_ratio", "roll_rate_ratio"} <= report["metrics"].keys()
    assert all(value > 0 for value in report["metrics"].values()), report["metrics"]
    assert 40_000 <= rows["reader_behind"]["behind_frames"] <= 60_000
    assert rows["roll"]["rolls"] >= 2
    assert report["conditions"]["not_measured"] == "100000 frames, and a reader as far behind: as asked for"
    assert not list(place.iterdir())
    assert multiprocessing.active_children() == []


def test_what_the_disk_has_no_room_for_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(rig.shutil, "disk_usage", lambda _: Usage(100 << 30, 0, 8 << 30))
    frames = flat.length_that_fits(tmp_path, flat.FRAMES)
    assert 30_000_000 < frames < 50_000_000
    assert flat.missing(flat.FRAMES, frames) == {
        "not_measured": f"100000000 frames, and a reader as far behind: the disk has room for {frames} only"
    }
    monkeypatch.setattr(rig.shutil, "disk_usage", lambda _: Usage(100 << 30, 0, 60 << 30))
    assert flat.missing(flat.FRAMES, flat.length_that_fits(tmp_path, flat.FRAMES)) == {}


SMAPS = """\
559ddd548000-559dddc79000 rw-p 00000000 00:00 0                          [heap]
Rss:                3072 kB
Anonymous:          3072 kB
VmFlags: rd wr mr mw me ac
7f5029c00000-7f502dc00000 rw-s 00000000 fe:00 2148666                    /j/00000002.seg
Rss:               65536 kB
Anonymous:             0 kB
7f5036e7f000-7f5036ec0000 rw-s 00000000 00:01 74602                      /memfd:lockstep-ring (deleted)
Rss:                 260 kB
Anonymous:             0 kB
7f5036ec0000-7f5036f00000 rw-s 00001000 00:01 74602                      /memfd:lockstep-ring (deleted)
Rss:                 256 kB
Anonymous:             0 kB
7f503787f000-7f50378c0000 rw-s 00000000 00:01 74957                      /memfd:lockstep-ring (deleted)
Rss:                 260 kB
Anonymous:             0 kB
7f5039fed000-7f5039157000 r-xp 00000000 fe:00 5859192                    /usr/lib/libc.so.6
Rss:                1024 kB
Anonymous:           512 kB
"""


def test_memory_is_each_page_once_and_the_journal_not():
    """Two rings of 260 KiB, one of them mapped twice; a library of which half is the process's own."""
    own, code = counted(SMAPS.splitlines(), Path("/j"))
    assert own * 1024 == 3072 + 260 + 260 + 512
    assert code * 1024 == 512
