"""What a start did not read is read afterwards: damage is told, on the stream too, and refused by the next start. (J18)"""

import struct
import threading

import pytest

from journal.archive import Archive
from journal.archiving import archive_segment
from journal.check_segment import Tallies
from journal.frames import frames, last_seq
from journal.index.layout import SegmentIndex, index_path
from journal.index.scan import SegmentScan
from journal.index.vouch import vouch_of
from journal.messages import Alert, AlertSeverity, AlertState, RawMessage, Reason, SegmentSealed
from journal.seal import seal_name
from journal.segment import crc32c, map_file, read_header, segment_name
from sequencer.scrubbing import Scrubbing, problems_of


def filled(one, until, full):
    """Let a sequencer fill so many segments, seal and index them, and end."""
    with one.connect("md") as md:
        while len(one.frames(SegmentSealed)) < full:
            for _ in range(45):
                md.publish(RawMessage(data=bytes([md.next_source_seq % 256]) * 25_000))
    until(lambda: (one.journal / f"index/0000000{full}.idx").exists(), 60)
    assert one.stop() == 0
    one.end = last_seq(one.journal)
    return one


@pytest.fixture
def past(daemon, until):
    """A journal of some full segments whose sequencer has ended."""
    return filled(daemon(), until, 4)


def read_again(one):
    return "segments that the start had passed over were read" in one.errors.read_text()


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 8]))


def alerts(one):
    """Told since then: what is damaged stands before. Not those of a disk that is slow today."""
    told = (f.message for f in frames(one.journal, from_seq=one.end + 1, kinds=[Alert.KIND]))
    return [alert for alert in told if not alert.text.startswith("disk:")]


def test_all_is_well(past, until):
    past.start()
    until(lambda: read_again(past), 60)
    assert "damaged=0" in past.errors.read_text()
    assert past.stop() == 0
    assert alerts(past) == []


def test_rot_is_told_and_the_next_start_refuses_it(past, until):
    flip(past.journal / "00000002.seg", 500_000)
    past.start()  # goes on: what its publishers need is known
    with past.connect("md") as md:
        last = md.last_source_seq
        until(lambda: alerts(past) and read_again(past), 60)
        md.publish(RawMessage(data=b"meanwhile"))
        until(lambda: md.accepted_source_seq == last + 1)
    assert past.stop() == 0
    (alert,) = alerts(past)
    assert (alert.severity, alert.state, alert.rule) == (AlertSeverity.CRITICAL, AlertState.RAISED, Reason.BAD_CHECKSUM)
    assert "00000002.seg: at byte " in alert.text
    assert vouch_of(read_header(past.journal / "00000001.seg", 1)).ends.last_seq < alert.about_seq
    said = past.errors.read_text()
    assert "00000002.seg: at byte " in said
    assert "bytes 458752 to 524287 are not those that 00000002.seal vouches for" in said
    assert "damaged=1" in said
    assert not (past.journal / "index" / "00000002.idx").exists()
    with pytest.raises(AssertionError, match=r"00000002.seg: at byte \d+ .*this is damage, no torn tail"):
        past.start()


def test_bytes_behind_a_full_segments_end_are_told(past):
    """No frame is wrong, so no start has ever refused this; the seal of such a segment is not needed to see it."""
    header = read_header(past.journal / "00000003.seg", 3)
    vouch = vouch_of(header)
    assert problems_of(past.journal, 3, vouch, Tallies()) == []
    (past.journal / seal_name(3)).unlink()
    flip(header.path, header.segment_bytes - 3)
    assert "behind the last frame" in problems_of(past.journal, 3, vouch, Tallies())[0]
    assert vouch_of(header) is None


@pytest.mark.parametrize("damage", ["gone", "short", "header", "schema", "seal", "end"])
def test_whatever_is_wrong_is_named(past, damage):
    path, header = past.journal / "00000003.seg", read_header(past.journal / "00000003.seg", 3)
    vouch = vouch_of(header)
    match damage:
        case "gone":
            path.unlink()
        case "short":
            with path.open("r+b") as file:
                file.truncate(900_000)
        case "header":
            flip(path, 100)
        case "schema":
            flip(path, 5000)
        case "seal":
            flip(past.journal / seal_name(3), 60)
        case "end":
            with path.open("r+b") as file:
                file.seek(vouch.ends.last_offset)
                file.write(bytes(vouch.ends.end_offset - vouch.ends.last_offset + 16))
    problems = problems_of(past.journal, 3, vouch, Tallies())
    assert problems
    assert f"00000003.{'seal' if damage == 'seal' else 'seg'}" in problems[0]


def forged(header):
    """A whole index with right checksums that says a lower last number of source 1 than there is."""
    scan = SegmentScan(header, map_file(header.path))
    scan.advance()
    data = bytearray(scan.pack())
    section = SegmentIndex(bytes(data), header).head.sections["sources"]
    rows = list(struct.iter_unpack("<QIIII", data[section.at : section.at + section.bytes]))
    lied = b"".join(struct.pack("<QIIII", row[0] - (row[1] == 1), *row[1:]) for row in rows)
    data[section.at : section.at + section.bytes] = lied
    struct.pack_into("<I", data, 96 + 24 * 1 + 20, crc32c(lied))
    struct.pack_into("<I", data, 508, crc32c(bytes(data[:508])))
    return bytes(data)


def test_an_index_that_lied_is_told_and_made_anew(past, until):
    header = read_header(past.journal / "00000004.seg", 4)
    index_path(header).write_bytes(forged(header))
    assert vouch_of(header) is not None
    past.start()
    until(lambda: alerts(past) and read_again(past), 60)
    assert past.stop() == 0
    (alert,) = alerts(past)
    assert "00000004.idx: says something else than 00000004.seg" in alert.text
    past.start()
    until(lambda: past.errors.read_text().count("were read") == 1, 60)
    assert past.stop() == 0
    assert "damaged=0" in past.errors.read_text()
    assert len(alerts(past)) == 1


def test_archived_segments_are_read_too(daemon, until):
    """A start unpacks of them what it looks at: here the first and the last of three parts."""
    pytest.importorskip("zstandard")
    one = filled(daemon(segment_bytes=3 << 20), until, 3)
    archive_segment(one.journal, 2)
    path = one.journal / "00000002.seg.zst"
    with Archive(path) as archive:
        middle = archive.parts[1]
    flip(path, middle.at + middle.packed // 2)
    one.start()
    until(lambda: alerts(one) and read_again(one), 60)
    assert one.stop() == 0
    assert "00000002.seg.zst" in alerts(one)[0].text


def test_it_rests_and_ends_when_told(past):
    told = []
    vouches = {n: vouch_of(read_header(past.journal / segment_name(n), n)) for n in (1, 2, 3)}
    scrubbing = Scrubbing(past.journal, vouches, lambda: told.append(1))
    scrubbing.start()
    scrubbing.stop()  # wherever it is
    assert not any(thread.name == "scrub" for thread in threading.enumerate())
    assert told == []
    nothing = Scrubbing(past.journal, {}, lambda: told.append(1))
    nothing.start()
    assert not any(thread.name == "scrub" for thread in threading.enumerate())
    nothing.stop()


def test_what_is_found_at_the_very_end_is_told_there(past):
    """Damage that nobody was told of when the loop had ended is among the last frames."""
    from sequencer.daemon import Sequencer
    from sequencer.settings import SequencerSettings

    flip(past.journal / "00000002.seg", 500_000)
    sequencer = Sequencer(past.journal, SequencerSettings(segment_bytes=1 << 20), past.sources)
    sequencer.start()
    scrubbing = sequencer._scrubbing
    scrubbing._thread.join(60)
    assert len(scrubbing.found) == 1  # serve() was never called
    sequencer.close()
    assert [a.alert for a in alerts(past)] == [1 << 32 | 2]
