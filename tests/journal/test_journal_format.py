"""The format page, the C kernel and the slow Python model say the same."""

from __future__ import annotations

import random
import re
import struct
from pathlib import Path

import journal_model as model
import make_golden
import pytest

from journal.errors import JournalCorrupt
from journal.frames import frame_at, frames, last_seq
from journal.kernel._journal import ffi, lib
from journal.messages import Clock, Flag
from journal.reader import JournalReader
from journal.segment import crc32c
from journal.verify import survey
from journal.writer import JournalWriter

PAGE = Path(__file__).resolve().parents[2] / "docs" / "journal-format.md"


def test_crc_is_crc32c():
    assert crc32c(b"123456789") == model.crc32c(b"123456789") == model.crc32c_fast(b"123456789") == 0xE3069283
    data = random.Random(1).randbytes(300)
    for n in range(len(data)):
        assert crc32c(data[:n]) == model.crc32c_fast(data[:n])
        assert crc32c(data[n:], crc32c(data[:n])) == crc32c(data)


def test_the_worked_example_of_the_page(folder):
    block = re.search(r"## Worked example.*?```\n(.*?)```", PAGE.read_text(), re.S)[1]
    wanted = bytes.fromhex("".join(line.split("      ")[0] for line in block.splitlines()).replace(" ", ""))
    with JournalWriter.open(folder / "j", stream_id=0x0102030405060708, nonce=5, segment_bytes=1 << 20) as w:
        w.begin_epoch()
        w.append(Clock(wall_ts=1000, mono_ns=7), ts=1000, flags=Flag.LAST)
    data = bytearray((folder / "j" / "00000001.seg").read_bytes())
    at = struct.unpack_from("<I", data, 12)[0]
    # The page fixes the segment's nonce, the writer derives it: only the crc differs, and it is the model's.
    assert data[at : at + 4] + data[at + 8 : at + 80] == wanted[:4] + wanted[8:]
    seed = struct.pack("<QQI", 0x0102030405060708, 0x1112131415161718, 1)
    assert wanted[4:8] == struct.pack("<I", model.crc32c(seed + wanted[:4] + wanted[8:]))


def test_the_page_names_every_constant():
    text = PAGE.read_text()
    for struct_name in ("lockstep_segment_identity", "lockstep_open_record", "lockstep_frame", "lockstep_end_marker"):
        for name, field in ffi.typeof(f"struct {struct_name}").fields:
            if name.startswith("zero"):
                continue
            offset = field.offset + (lib.LOCKSTEP_OPEN_AT if struct_name == "lockstep_open_record" else 0)
            assert re.search(rf"\| {offset} \| \d+ \| `{name}` ", text), (struct_name, name, offset)
    for name, field in ffi.typeof("struct lockstep_control").fields:
        assert name.startswith("zero") or re.search(rf"\| {field.offset} \| \d+ \| `{name}` ", text), name


def test_model_and_kernel_agree_over_segments(folder):
    rng = random.Random(2)
    appended = []
    with JournalWriter.open(folder, stream_id=3, nonce=4, segment_bytes=1 << 20) as w:
        for i in range(400):
            body = rng.randbytes(8 * rng.choice([0, 1, 2, 10, 300, 2000]))
            w.append_bytes(rng.randrange(1, 65536), 1, body, ts=i + 1, source=rng.randrange(5), source_seq=i + 1)
            appended.append(body)
            if i % 150 == 149:
                w.begin_epoch()
        assert w.c.segment > 1
    by_model, end = model.read_stream(folder)
    by_kernel = [bytes(b.buffer[o : o + struct.unpack_from("<I", b.buffer, o)[0]]) for b in _batches(folder) for o, *_ in b]
    assert end == "tail"
    assert by_model == by_kernel
    assert [f[64:] for f in by_model] == appended
    assert survey(folder).problems == []


def _batches(path):
    with JournalReader(path) as reader:
        while (batch := reader.poll(37)) is not None:
            yield batch


def test_equal_inputs_give_equal_bytes(folder):
    for name in ("a", "b"):
        make_golden.write(folder / name)
    names = sorted(p.name for p in (folder / "a").iterdir() if p.is_file())
    assert names == ["00000001.seg", "control", "lock"]
    for name in names:
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def test_golden_journal_reads_as_ever():
    assert make_golden.text_of(make_golden.GOLDEN) == (make_golden.GOLDEN / "expected.txt").read_text()
    frames_, end = model.read_stream(make_golden.GOLDEN)
    assert (len(frames_), end) == (11, "tail")
    assert survey(make_golden.GOLDEN).problems == []


def test_frame_access(folder):
    with JournalWriter.open(folder, segment_bytes=1 << 20) as w:
        assert last_seq(folder) == 0
        for i in range(1, 101):
            w.append(Clock(wall_ts=i), ts=i, source=i % 2)
        assert last_seq(folder) == 100
        assert frame_at(folder, 50).message == Clock(wall_ts=50)
        assert [f.header.seq for f in frames(folder, from_seq=98)] == [98, 99, 100]
        assert [f.header.seq for f in frames(folder, from_seq=3, to_seq=5, kinds=[4])] == [3, 4, 5]
        assert list(frames(folder, kinds=[5])) == []
        with pytest.raises(Exception, match="no frame 101; the journal ends with 100"):
            frame_at(folder, 101)


def test_unverified_reading_still_checks_order(folder):
    with JournalWriter.open(folder, segment_bytes=1 << 20) as w:
        for i in range(1, 4):
            w.append(Clock(wall_ts=i), ts=i)
    path = folder / "00000001.seg"
    data = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", data, 12)[0]
    data[at + 80 + 64] ^= 1  # a body byte of frame 2
    path.write_bytes(data)
    with JournalReader(folder, verify=False) as reader:
        assert len(reader.poll()) == 3
    data[at + 80 + 16] ^= 1  # its seq
    path.write_bytes(data)
    with JournalReader(folder, verify=False) as reader:
        assert len(reader.poll()) == 1
        with pytest.raises(JournalCorrupt, match=f"at byte {at + 80} expected seq 2, found seq 3"):
            reader.poll()
