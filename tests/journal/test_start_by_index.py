"""A start that goes by the indices of full segments: what it reads, what it believes, what it still refuses. (J18, J20)"""

from __future__ import annotations

import random
import shutil
import struct

import pytest
from index_journals import damages, fill

from journal import archive, recovery
from journal.archiving import archive_segment
from journal.chain import make_seals
from journal.errors import JournalDamaged, SegmentMissing, SegmentTruncated, WrongStream
from journal.index.make import make_indices
from journal.index.vouch import vouch_of
from journal.seal import write_seal
from journal.segment import ControlPage, crc32c, map_file, read_header, read_part
from journal.writer import JournalWriter

MIB = 1 << 20


@pytest.fixture
def path(folder):
    """Five segments, four of them full, with an index each."""
    fill(folder / "j", 8, segments=5)
    assert make_indices(folder / "j").made == 4
    return folder / "j"


@pytest.fixture
def mapped(monkeypatch):
    """Names of the segments that recovery has mapped."""
    names = []

    def note(file, **words):
        names.append(file.name)
        return map_file(file, **words)

    monkeypatch.setattr(recovery, "map_file", note)
    return names


def start(path, *, by_index=True):
    return recovery.recover(path, ControlPage(path / "control", writable=True), by_index=by_index)


def same(one, two):
    return all(getattr(one, name) == getattr(two, name) for name in one.__struct_fields__ if name != "passed")


def test_only_what_no_index_vouches_for_is_read(path, mapped):
    by_index = start(path)
    assert (mapped, sorted(by_index.passed)) == (["00000005.seg"], [1, 2, 3, 4])
    assert same(by_index, start(path, by_index=False))
    assert len(by_index.last_source_seq) > 3
    # Only who asks for it starts so.
    with JournalWriter.open(path) as w:
        assert w.passed == {}
    with JournalWriter.open(path, by_index=True) as w:
        assert len(w.passed) == 4


def test_a_segment_without_its_index_is_read(path, mapped):
    (path / "index" / "00000002.idx").unlink()
    found = start(path)
    assert (mapped, sorted(found.passed)) == (["00000002.seg", "00000005.seg"], [1, 3, 4])
    shutil.rmtree(path / "index")
    assert start(path).passed == {}


def test_what_may_not_be_on_disk_is_read(path):
    """The watermark of the control page, or an open record further on, must cover the segment's last frame."""
    ends = [vouch_of(read_header(path / f"0000000{n}.seg", n)).ends.last_seq for n in (1, 2, 3, 4)]
    page = ControlPage(path / "control", writable=True)
    for number in (2, 3, 4, 5):  # say nothing, as when nothing was synced yet
        with (path / f"0000000{number}.seg").open("rb+") as file:
            head = bytearray(file.read(552))
            head[520:528] = bytes(8)
            head[548:552] = struct.pack("<I", crc32c(bytes(head[:64] + head[512:548])))
            file.seek(0)
            file.write(head)
    for durable, passed in ((0, []), (ends[0] - 1, []), (ends[0], [1]), (ends[2], [1, 2, 3]), (ends[3] + 1, [1, 2, 3, 4])):
        page.c.durable_seq = durable
        assert sorted(start(path).passed) == passed
    page.c.durable_seq, page.c.role = ends[1], 1  # a replica's own page counts
    assert sorted(start(path).passed) == [1, 2]
    with (path / "00000005.seg").open("rb+") as file:
        head = bytearray(file.read(552))
        head[520:528] = struct.pack("<Q", ends[2])
        head[548:552] = struct.pack("<I", crc32c(bytes(head[:64] + head[512:548])))
        file.seek(0)
        file.write(head)
    assert sorted(start(path).passed) == [1, 2]  # the open records of a replica do not
    page.c.role = 0
    assert sorted(start(path).passed) == [1, 2, 3]
    (path / "control").unlink()
    assert recovery.recover(path, None, by_index=True).passed == {}  # no page, no trust


def test_a_segment_that_is_missing_truncated_renamed_or_swapped_is_refused(path, folder):
    """J20, from headers, sizes and ends alone: every index is there, and none of the segments would be read."""

    def refused(kind, match, prepare):
        copy = folder / "copy"
        shutil.copytree(path, copy)
        prepare(copy)
        for by_index in (True, False):
            with pytest.raises(kind, match=match):
                start(copy, by_index=by_index)
        shutil.rmtree(copy)

    refused(SegmentMissing, r"00000002.seg: missing, though", lambda c: (c / "00000002.seg").unlink())
    refused(SegmentMissing, r"00000005.seg: missing; the control page", lambda c: (c / "00000005.seg").unlink())

    def shorter(copy):
        with (copy / "00000003.seg").open("rb+") as file:
            file.truncate(MIB - 4096)

    def emptied(copy):
        """As long as before, but the end of it a hole: what an interrupted copy leaves."""
        with (copy / "00000003.seg").open("rb+") as file:
            file.truncate(MIB // 2)
            file.truncate(MIB)

    refused(SegmentTruncated, "00000003.seg: 1044480 bytes; its header says 1048576", shorter)
    refused(JournalDamaged, "00000003.seg: at byte", emptied)
    refused(WrongStream, "holds segment 2", lambda c: shutil.copy(c / "00000002.seg", c / "00000003.seg"))
    # The same stream, segment and nonce: another content of it, full as well; and an older copy, which was not full yet.
    other, older = folder / "other", folder / "older"
    fill(other, 9, segments=5)
    fill(older, 8, segments=5, until=vouch_of(read_header(path / "00000002.seg", 2)).ends.last_seq + 10)
    refused(JournalDamaged, "were on disk", lambda c: shutil.copy(other / "00000003.seg", c / "00000003.seg"))
    refused(JournalDamaged, "were on disk", lambda c: shutil.copy(older / "00000003.seg", c / "00000003.seg"))

    def other_with_its_index(copy):
        """Content and index agree, and the segments beside them do not."""
        make_indices(other)
        shutil.copy(other / "00000003.seg", copy / "00000003.seg")
        shutil.copy(other / "index" / "00000003.idx", copy / "index" / "00000003.idx")

    refused(JournalDamaged, "were on disk", other_with_its_index)


def test_an_index_of_another_content_is_not_believed(path, folder, mapped):
    """The very same place in stream and segment: what stood there before recovery cut it, or stands in another copy."""
    other = fill(folder / "other", 9, segments=5)
    make_indices(other)
    shutil.copy(other / "index" / "00000001.idx", path / "index" / "00000001.idx")
    shutil.copy(path / "index" / "00000002.idx", path / "index" / "00000003.idx")
    found = start(path)
    assert (mapped, sorted(found.passed)) == (["00000001.seg", "00000003.seg", "00000005.seg"], [2, 4])
    assert same(found, start(path, by_index=False))


def test_whatever_is_wrong_with_an_index_the_segment_is_read(path):
    rng = random.Random(11)
    file = path / "index" / "00000002.idx"
    good, expected = file.read_bytes(), start(path, by_index=False)
    needed = vouch_of(read_header(path / "00000002.seg", 2))._head.sections["numbers"].at
    for name, content in list(damages(path, rng)):
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        found = start(path)
        assert same(found, expected), name
        changed = content is None or len(content) != len(good) or content[:needed] != good[:needed]
        assert (2 not in found.passed) == changed, name  # damage further on does not matter yet
        file.write_bytes(good)


def test_rot_in_a_passed_segment_is_left_to_who_reads_it(path):
    with (path / "00000002.seg").open("rb+") as file:
        file.seek(MIB // 2)
        file.write(b"rotten")
    assert 2 in start(path).passed
    with pytest.raises(JournalDamaged, match=r"00000002.seg"):
        start(path, by_index=False)


@pytest.mark.parametrize("torn", [True, False], ids=["torn", "lost without a trace"])
def test_what_is_cut_has_no_index_any_more(path, torn):
    """The tail of segment 4 was lost with its end marker, whether 5 was open or not: 4 is filled anew, of the same identity."""
    if not torn:
        (path / "00000005.seg").unlink()
    vouch = vouch_of(read_header(path / "00000004.seg", 4))
    with (path / "00000004.seg").open("rb+") as file:
        file.seek(vouch.ends.last_offset)
        file.write(bytes(vouch.ends.end_offset - vouch.ends.last_offset + 16))
    page = ControlPage(path / "control", writable=True)
    page.c.durable_seq, page.c.segment = vouch.ends.first_seq, 4
    found = start(path)
    assert (found.result is not None) == torn
    assert (found.segment, found.last_seq) == (4, vouch.ends.last_seq - 1)
    assert sorted(p.name for p in (path / "index").iterdir()) == [f"0000000{n}.idx" for n in (1, 2, 3)]


def test_an_archive_is_passed_without_unpacking_it(path, monkeypatch):
    pytest.importorskip("zstandard")
    for seal in make_seals(path):
        write_seal(path, seal)
    for number in (1, 2, 3):
        archive_segment(path, number)
    monkeypatch.setattr(archive, "map_archive", None)
    monkeypatch.setattr("journal.segment.map_archive", None)
    assert sorted(start(path).passed) == [1, 2, 3, 4]


def test_parts_of_segments_are_the_same_bytes_packed_or_not(path):
    pytest.importorskip("zstandard")
    for seal in make_seals(path):
        write_seal(path, seal)
    data = (path / "00000001.seg").read_bytes()
    archive_segment(path, 1)
    assert not (path / "00000001.seg").exists()
    for at, size in ((0, 1), (0, 4096), (MIB - 5, 100), (MIB, 10), (4097, 8191), (0, MIB)):
        assert read_part(path / "00000001.seg", at, size) == data[at : at + size]
