"""Archived segments: readers do not see the difference, damage is found, the original is never given up for less."""

import os
import random
import shutil
import sys

import numpy as np
import pytest
import sealed_journal as sealed

from journal.archive import Archive, map_archive, pack
from journal.archiving import archive_segment, candidates, restore_segment
from journal.columns import columns
from journal.errors import JournalError, SealBroken
from journal.frames import frame_at, frames, last_seq
from journal.head import head_of
from journal.messages import Clock, EpochStart
from journal.segment import read_header, read_schema, segment_files, segment_name
from journal.verify import survey
from journal.writer import JournalWriter

zstandard = pytest.importorskip("zstandard")


def heads_of(path):
    return [(f.header, bytes(f.body)) for f in frames(path)]


@pytest.fixture
def archived(folder):
    """A sealed journal of three full segments, the first two archived, beside an untouched copy."""
    with JournalWriter.open(folder / "j", stream_id=9, segment_bytes=1 << 20) as w:
        w.begin_epoch()
        n = 0
        while w.c.segment <= 3:
            n += 1
            w.append(Clock(wall_ts=n, mono_ns=n) if n % 3 else EpochStart(new_epoch=n), ts=n, source=1, source_seq=n)
    sealed.seal(folder / "j")
    shutil.copytree(folder / "j", folder / "plain")
    for number in (1, 2):
        archive_segment(folder / "j", number)
    return folder / "j"


def test_readers_do_not_see_the_difference(archived):
    plain = archived.parent / "plain"
    assert [p.name for _, p in segment_files(archived)][:3] == ["00000001.seg.zst", "00000002.seg.zst", "00000003.seg"]
    assert heads_of(archived) == heads_of(plain)
    assert np.array_equal(columns(archived, EpochStart), columns(plain, EpochStart))
    assert last_seq(archived) == last_seq(plain)
    assert frame_at(archived, 7000).header == frame_at(plain, 7000).header
    assert head_of(archived, 500) == head_of(plain, 500)
    for (number, a), (_, b) in zip(segment_files(archived), segment_files(plain), strict=True):
        assert read_schema(read_header(a, number)) == read_schema(read_header(b, number))
    one, two = survey(archived), survey(plain)
    assert one.problems == two.problems == []
    assert (one.frames, one.frames_by_kind, one.last_source_seq) == (two.frames, two.frames_by_kind, two.last_source_seq)


def test_a_writer_goes_on_behind_archived_segments(archived):
    before = last_seq(archived)
    with JournalWriter.open(archived) as w:
        assert (w.last_seq, w.recovery) == (before, None)
        assert w.last_source_seq == {1: before}
        w.append(Clock(), ts=10**9)
    assert survey(archived).problems == []


def test_any_zstd_program_unpacks_it_and_restore_does(archived):
    whole = (archived.parent / "plain" / "00000001.seg").read_bytes()
    packed = (archived / "00000001.seg.zst").read_bytes()
    assert len(packed) * 4 < len(whole)
    assert zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(packed) == whole
    restore_segment(archived, 1)
    assert (archived / "00000001.seg").read_bytes() == whole
    assert not (archived / "00000001.seg.zst").exists()
    assert survey(archived).problems == []


def test_only_sealed_segments_that_are_still_right_are_packed(folder):
    sealed.write(folder, 2)
    with pytest.raises(JournalError, match="has no seal"):
        archive_segment(folder, 1)
    sealed.seal(folder)
    assert [n for n, *_ in candidates(folder)] == [1, 2]
    path = folder / segment_name(1)
    data = bytearray(path.read_bytes())
    data[200_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(SealBroken, match=r"00000001.seg: has digest"):
        archive_segment(folder, 1)
    assert path.exists()
    assert sorted(p.name for p in folder.iterdir() if "zst" in p.name) == []


def test_an_archive_that_is_not_the_segment_never_replaces_it(folder, monkeypatch):
    sealed.write(folder, 1)
    sealed.seal(folder)

    def lossy(data, out):
        return pack(bytes(data[:-1]) + b"\1", out)

    monkeypatch.setattr("journal.archiving.pack", lossy)
    with pytest.raises(SealBroken, match=r"seg.zst.tmp: has digest"):
        archive_segment(folder, 1)
    assert [p.name for p in sorted(folder.iterdir()) if p.name.startswith("00000001")] == ["00000001.seal", "00000001.seg"]


def test_interrupted_between_its_two_last_steps(folder):
    sealed.write(folder, 1)
    sealed.seal(folder)
    whole = (folder / "00000001.seg").read_bytes()
    archive_segment(folder, 1)
    (folder / "00000001.seg").write_bytes(whole)
    assert segment_files(folder)[0][1].name == "00000001.seg"
    assert survey(folder).problems == []
    archive_segment(folder, 1)
    assert not (folder / "00000001.seg").exists()


def unpacked(path):
    with Archive(path) as archive:
        return b"".join(archive.read(n) for n in range(len(archive.parts)))


def test_every_damage_to_an_archive_is_found(archived):
    """But for the bits of a zstd frame that mean nothing: then what is unpacked is what was packed."""
    path = archived / "00000001.seg.zst"
    good, whole = path.read_bytes(), unpacked(path)
    unnoticed = []
    rng = random.Random(7)
    places = [rng.randrange(len(good)) for _ in range(50)] + list(range(len(good) - 40, len(good)))
    for at in places:
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
        if not any("00000001.seg.zst" in p for p in survey(archived).problems):
            assert unpacked(path) == whole, at
            unnoticed.append(at)
    assert len(unnoticed) <= 2, unnoticed
    for cut in (0, 5, 17, 1000, len(good) - 1):
        path.write_bytes(good[:cut])
        assert any("00000001.seg.zst" in p for p in survey(archived).problems), cut
    path.write_bytes(good)
    assert survey(archived).problems == []
    shutil.copy(archived / "00000002.seg.zst", path)
    assert any("a file was renamed" in p for p in survey(archived).problems)


def test_without_the_library_it_is_said(archived, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(JournalError, match=r"is archived; reading it needs a library: pip install 'lockstep\[archive\]'"):
        list(frames(archived))


def test_memory_for_unpacked_segments_is_bounded(archived, monkeypatch):
    monkeypatch.setattr("journal.archive.KEPT_BYTES_MAX", 1 << 20)
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for number in (1, 2):
            map_archive(archived / f"0000000{number}.seg.zst").close()
    assert len(os.listdir("/proc/self/fd")) <= open_before + 1
    with Archive(archived / "00000001.seg.zst") as archive:
        assert archive.bytes == 1 << 20
