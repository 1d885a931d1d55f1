"""Torn tails are cut and put aside; damage is refused; every flipped bit is found. (J05, J06, J10, J18, J19, J20, J23)"""

from __future__ import annotations

import os
import random
import shutil
import struct

import journal_model as model
import pytest

from journal.errors import (
    ForeignFile,
    JournalCorrupt,
    JournalDamaged,
    JournalError,
    JournalMissing,
    NewerFormat,
    SegmentMissing,
    SegmentTruncated,
    WrongStream,
)
from journal.frames import frames
from journal.kernel._journal import ffi, lib
from journal.messages import Clock, Reject
from journal.reader import JournalReader
from journal.recovery import recover
from journal.segment import ControlPage, crc32c
from journal.verify import survey
from journal.writer import JournalWriter

MIB = 1 << 20


def write(path, n, *, start=0, nonce=None, stream_id=9, body=16):
    with JournalWriter.open(path, stream_id=stream_id, nonce=nonce, segment_bytes=MIB) as w:
        for i in range(start + 1, start + n + 1):
            w.append_bytes(4, 1, struct.pack("<Q", i) * (body // 8), ts=i, source=1, source_seq=i)


def set_durable(path, seq):
    page = ControlPage(path / "control", writable=True)
    page.c.durable_seq = seq
    page.flush()


def offsets(path):
    with JournalReader(path) as reader:
        return [o for o, *_ in reader.poll()]


def seqs(path):
    return [f.header.seq for f in frames(path)]


@pytest.mark.parametrize("lost", ["end", "start"])
def test_torn_at_every_byte_of_the_last_frame(folder, lost):
    write(folder, 3)
    segment = folder / "00000001.seg"
    whole = segment.read_bytes()
    last = offsets(folder)[-1]
    frame = whole[last : last + 80]
    for cut in range(81):
        torn = frame[:cut] + bytes(80 - cut) if lost == "end" else bytes(cut) + frame[cut:]
        segment.write_bytes(whole[:last] + torn + whole[last + 80 :])
        shutil.rmtree(folder / "quarantine", ignore_errors=True)
        set_durable(folder, 2)
        stream = recover(folder, ControlPage(folder / "control"))
        if torn == frame:
            assert stream.last_seq == 3
            assert stream.result is None
            continue
        assert stream.last_seq == 2
        assert stream.offset == last
        used = torn.rstrip(b"\0")
        if used:
            assert stream.result.quarantined_bytes == len(used)
            assert (folder / stream.result.files[0]).read_bytes() == used
        else:
            assert stream.result is None
        assert segment.read_bytes() == whole[:last] + bytes(len(whole) - last)
        again = recover(folder, ControlPage(folder / "control"))
        assert (again.last_seq, again.offset, again.result) == (2, last, None)


def test_appending_goes_on_behind_the_cut(folder):
    write(folder, 3)
    segment = folder / "00000001.seg"
    data = bytearray(segment.read_bytes())
    data[offsets(folder)[1] + 70] ^= 4
    segment.write_bytes(data)
    set_durable(folder, 1)
    with JournalWriter.open(folder) as w:
        assert w.last_seq == 1
        assert w.last_source_seq == {1: 1}
        assert w.recovery.kept_seq == 1
        assert w.recovery.cut_bytes == 153  # up to the last byte that is not zero
        assert "crc" in w.recovery.found
        assert w.append(Clock(wall_ts=5), ts=100) == 2
    assert seqs(folder) == [1, 2]
    assert survey(folder).problems == []
    with JournalWriter.open(folder) as w:
        assert (w.last_seq, w.recovery) == (2, None)


def test_a_bad_frame_below_durable_is_damage(folder):
    write(folder, 5)
    segment = folder / "00000001.seg"
    data = bytearray(segment.read_bytes())
    at = offsets(folder)[2]
    data[at + 65] ^= 1
    segment.write_bytes(data)
    before = segment.read_bytes()
    with pytest.raises(JournalDamaged) as error:
        JournalWriter.open(folder)
    assert (error.value.file, error.value.offset) == (segment, at)
    assert "frames up to 5 were on disk" in str(error.value)
    assert "\n" not in str(error.value)
    assert segment.read_bytes() == before
    assert not (folder / "quarantine").exists()
    with pytest.raises(JournalCorrupt, match=f"at byte {at} expected frame 3 with crc"):
        seqs(folder)


def test_without_a_control_page_nothing_is_cut(folder):
    write(folder, 3)
    (folder / "control").unlink()
    with JournalWriter.open(folder) as w:
        assert w.last_seq == 3
    segment = folder / "00000001.seg"
    data = bytearray(segment.read_bytes())
    data[offsets(folder)[2] + 65] ^= 1
    segment.write_bytes(data)
    (folder / "control").unlink()
    with pytest.raises(JournalDamaged, match="control page is missing"):
        JournalWriter.open(folder)


def test_quarantine_is_never_overwritten(folder):
    """J04: a crash while the tail was being zeroed; the second recovery sees fewer bytes and keeps both."""
    write(folder, 3)
    segment = folder / "00000001.seg"
    data = bytearray(segment.read_bytes())
    at = offsets(folder)[1]
    data[at + 65] ^= 1
    segment.write_bytes(data)
    set_durable(folder, 1)
    (folder / "quarantine").mkdir()
    (folder / "quarantine" / f"00000001-{at}.bin").write_bytes(b"from before")
    stream = recover(folder, ControlPage(folder / "control"))
    assert (folder / "quarantine" / f"00000001-{at}.bin").read_bytes() == b"from before"
    assert stream.result.files == (f"quarantine/00000001-{at}.1.bin",)


def test_every_single_bit_flip_is_found(folder):
    write(folder, 2, body=0)
    with JournalWriter.open(folder) as w:
        w.append(Reject(for_source=1, for_source_seq=9), ts=50)
        end = w.c.offset
    segment = folder / "00000001.seg"
    whole = segment.read_bytes()
    frames_at = offsets(folder)[0]
    rng = random.Random(3)
    bits = [*range(64 * 8), *range(512 * 8, 552 * 8), *range(frames_at * 8, int(end) * 8)]
    bits += [rng.randrange(64 * 8, frames_at * 8) for _ in range(150)] + [rng.randrange(end * 8, MIB * 8) for _ in range(50)]
    with segment.open("rb+", buffering=0) as file:
        for bit in bits:
            byte = bytes([whole[bit // 8] ^ 1 << bit % 8])
            os.pwrite(file.fileno(), byte, bit // 8)
            assert survey(folder).problems, f"bit {bit % 8} of byte {bit // 8}"
            os.pwrite(file.fileno(), whole[bit // 8 : bit // 8 + 1], bit // 8)
    assert survey(folder).problems == []


def test_bursts_zeroed_swapped_and_duplicated_pages_are_found(folder):
    write(folder, 2000, body=64)
    segment = folder / "00000001.seg"
    whole = segment.read_bytes()
    rng = random.Random(4)
    start = offsets(folder)[0] // 4096 + 1
    for _ in range(40):
        data = bytearray(whole)
        a, b = rng.sample(range(start, start + 50), 2)
        page_a, page_b = whole[a * 4096 :][:4096], whole[b * 4096 :][:4096]
        match rng.randrange(4):
            case 0:
                data[a * 4096 : a * 4096 + 4096] = bytes(4096)
            case 1:
                data[a * 4096 : a * 4096 + 4096], data[b * 4096 : b * 4096 + 4096] = page_b, page_a
            case 2:
                data[a * 4096 : a * 4096 + 4096] = page_b
            case _:
                data[a * 4096 : a * 4096 + 300] = rng.randbytes(300)
        segment.write_bytes(data)
        assert survey(folder).problems
        with pytest.raises(JournalDamaged):
            JournalWriter.open(folder)


def test_stale_frame_of_a_recycled_segment_cannot_pass(folder):
    """Same stream, same segment number, same seqs, same content; only the nonce differs."""
    write(folder / "old", 5, nonce=1)
    write(folder / "new", 3, nonce=2)
    old, new = (folder / n / "00000001.seg" for n in ("old", "new"))
    at = offsets(folder / "old")[3]
    data = bytearray(new.read_bytes())
    data[at : at + 160] = old.read_bytes()[at : at + 160]
    new.write_bytes(data)
    with JournalReader(folder / "new") as reader:
        assert len(reader.poll()) == 3
        with pytest.raises(JournalCorrupt, match="frame 4 with crc"):
            reader.poll()
    with JournalWriter.open(folder / "new") as w:
        assert w.last_seq == 3
        assert w.recovery.cut_bytes == 153  # up to the last byte that is not zero


def test_frames_with_right_crc_but_wrong_place_are_refused(folder):
    write(folder, 3)
    segment = folder / "00000001.seg"
    whole = segment.read_bytes()
    at = offsets(folder)[2]
    seed = struct.pack("<QQI", *struct.unpack_from("<QQ", whole, 16), 1)

    def with_field(offset, code, value):
        frame = bytearray(whole[at : at + 80])
        struct.pack_into(code, frame, offset, value)
        struct.pack_into("<I", frame, 4, crc32c(seed + frame[:4] + frame[8:]))
        segment.write_bytes(whole[:at] + frame + whole[at + 80 :])
        with JournalReader(folder) as reader:
            reader.poll(2)
            reader.poll()

    with pytest.raises(JournalCorrupt, match="expected seq 3, found seq 4"):
        with_field(16, "<Q", 4)
    with pytest.raises(JournalCorrupt, match="ts of at least 3, found ts 2"):
        with_field(24, "<q", 2)
    for length in (8, 63, 100, (1 << 20) + 8, 0x7FFFFFFF, MIB - 16, 72):
        with pytest.raises(JournalCorrupt):
            with_field(0, "<I", length)
    with_field(56, "<I", 7)
    with JournalReader(folder) as reader:
        assert len(reader.poll()) == 3


def test_hostile_header_with_a_right_crc_is_refused(folder):
    write(folder, 1)
    segment = folder / "00000001.seg"
    whole = segment.read_bytes()
    for at, code, values in (
        (12, "<I", (0, 64, 4096, MIB, 0xFFFFF000, 69633)),
        (44, "<I", (0xFFFFFFFF, MIB)),
        (32, "<Q", (0, 2**64 - 4096)),
    ):
        for value in values:
            data = bytearray(whole)
            struct.pack_into(code, data, at, value)
            struct.pack_into("<I", data, 60, crc32c(bytes(data[:60])))
            segment.write_bytes(data)
            with pytest.raises(JournalCorrupt, match="sizes that fit each other"):
                seqs(folder)
            with pytest.raises(JournalCorrupt):
                JournalWriter.open(folder)


def two_segments(path, n=12):
    with JournalWriter.open(path, stream_id=9, segment_bytes=MIB) as w:
        for i in range(1, n + 1):
            w.append_bytes(4, 1, bytes([i]) * 200_000, ts=i)
        assert w.c.segment == 3


def test_missing_truncated_renamed_foreign_newer(folder):
    path = folder / "j"
    two_segments(path)

    def refused(kind, match, prepare):
        copy = folder / "copy"
        shutil.copytree(path, copy)
        prepare(copy)
        for attempt in (lambda: JournalWriter.open(copy), lambda: seqs(copy)):
            with pytest.raises(kind, match=match) as error:
                attempt()
            assert "\n" not in str(error.value)
        shutil.rmtree(copy)

    def patch(name, at, data):
        def apply(copy):
            with (copy / name).open("rb+") as file:
                file.seek(at)
                file.write(data)

        return apply

    def second_is_first(copy):
        shutil.copy(copy / "00000001.seg", copy / "00000002.seg")

    refused(SegmentMissing, "00000002.seg: missing, though 00000003.seg is there", lambda c: (c / "00000002.seg").unlink())
    refused(SegmentTruncated, "1000000 bytes; its header says 1048576", lambda c: os.truncate(c / "00000002.seg", 1_000_000))
    refused(SegmentTruncated, "100 bytes", lambda c: os.truncate(c / "00000003.seg", 100))
    refused(ForeignFile, "starts with b'PK", patch("00000002.seg", 0, b"PK\3\4----"))
    refused(NewerFormat, "journal format 2; this version of lockstep reads format 1", patch("00000002.seg", 8, b"\2\0\0\0"))
    refused(NewerFormat, "control: journal format 2", patch("control", 8, b"\2\0\0\0"))
    refused(ForeignFile, "control: starts with", patch("control", 0, b"--------"))
    refused(
        WrongStream,
        "holds segment 1 of its stream; the name says 2",
        lambda c: shutil.copy(c / "00000001.seg", c / "00000002.seg"),
    )
    two_segments(folder / "other")

    def mix(copy):
        with JournalWriter.open(folder / "stranger", stream_id=10, segment_bytes=MIB) as w:
            w.append(Clock(), ts=1)
        shutil.copy(folder / "stranger" / "00000001.seg", copy / "00000001.seg")

    refused(WrongStream, "belongs to stream 0x000000000000000a", mix)


def test_last_segment_missing_is_refused(folder):
    two_segments(folder)
    (folder / "00000003.seg").unlink()
    with pytest.raises(SegmentMissing, match=r"00000003.seg: missing; the control page"):
        JournalWriter.open(folder)
    assert any("00000003.seg: missing" in p for p in survey(folder).problems)


def test_older_copy_of_a_segment_is_a_chain_break(folder):
    path = folder / "j"
    with JournalWriter.open(path, stream_id=9, nonce=1, segment_bytes=MIB) as w:
        for i in range(1, 4):
            w.append_bytes(4, 1, bytes([i]) * 200_000, ts=i)
    shutil.copy(path / "00000001.seg", folder / "older")
    with JournalWriter.open(path) as w:
        for i in range(4, 9):
            w.append_bytes(4, 1, bytes([i]) * 200_000, ts=i)
    shutil.copy(folder / "older", path / "00000001.seg")
    with pytest.raises(JournalDamaged, match="frames up to 8 were on disk"):
        JournalWriter.open(path)
    assert any("first_seq" in p for p in survey(path).problems)


def test_no_journal_here(folder):
    with pytest.raises(JournalMissing, match="no such folder"):
        JournalReader(folder / "none")
    with pytest.raises(JournalMissing, match="neither a control page nor a segment"):
        JournalReader(folder)
    (folder / "file").write_bytes(b"")
    with pytest.raises(JournalMissing, match="is a file"):
        JournalReader(folder / "file")
    with pytest.raises(JournalError):
        JournalWriter.open(folder / "file")


def test_torn_roll_cuts_later_segments(folder):
    """The tail of segment 1 was lost with its end marker, segment 2 was open: power loss may do that (J03, J06)."""
    two_segments(folder)
    segment = folder / "00000001.seg"
    data = bytearray(segment.read_bytes())
    at = offsets(folder)[2]
    data[at + 4096 : at + 8192] = bytes(4096)
    segment.write_bytes(data)
    for name in ("00000002.seg", "00000003.seg"):  # their open records know of nothing durable
        raw = bytearray((folder / name).read_bytes())
        raw[520:528] = bytes(8)
        struct.pack_into("<I", raw, 548, crc32c(bytes(raw[0:64] + raw[512:548])))
        (folder / name).write_bytes(raw)
    set_durable(folder, 1)
    with JournalWriter.open(folder) as w:
        assert w.last_seq == 2
        assert len(w.recovery.files) == 3
        assert w.append_bytes(4, 1, b"", ts=77) == 3
    assert seqs(folder) == [1, 2, 3]
    assert model.read_stream(folder)[1] == "tail"


def test_last_nonzero_is_exact(folder):
    rng = random.Random(5)
    for _ in range(300):
        data = bytearray(rng.randrange(1, 100))
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = 1
        start = rng.randrange(len(data) + 1)
        want = max((i + 1 for i in range(start, len(data)) if data[i]), default=start)
        assert lib.lockstep_last_nonzero(ffi.from_buffer(data), start, len(data)) == want
