"""The replica's kernel against its model: any cuts of the stream, any damage; and what local readers see meanwhile."""

from __future__ import annotations

import itertools
import mmap
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from replica_model import ReplicaModel

from journal.frames import frames
from journal.kernel._journal import ffi, lib
from journal.messages import LogRecord
from journal.segment import CONTROL, ControlPage, create_control, read_header, segment_name
from journal.verify import survey
from journal.writer import JournalWriter

STREAM = 77


def primary(folder: Path, sizes: list[int]) -> int:
    """Write a journal of one segment; where it ends."""
    with JournalWriter.open(folder, stream_id=STREAM, segment_bytes=1 << 20) as w:
        for i, size in enumerate(sizes):
            if i % 3 == 0:
                w.begin_epoch()
            w.append(LogRecord(text="x" * size), ts=i + 1)
        w.sync()
        return int(w.c.offset)


class Kernel:
    """A follower's folder, driven by hand."""

    def __init__(self, folder: Path, source: Path) -> None:
        folder.mkdir()
        create_control(folder, STREAM, 1 << 20)
        self.folder, self.control = folder, ControlPage(folder / CONTROL, writable=True)
        self.c = ffi.new("struct lockstep_writer *")
        self.c.folder, self.c.control, self.c.roll_fd, self.c.stream_id = bytes(folder), self.control.c, -1, STREAM
        self.run, self.verdict = ffi.new("struct lockstep_replica_run *"), ffi.new("struct lockstep_replica_verdict *")
        self.header = read_header(source / segment_name(1), 1)
        data = (source / segment_name(1)).read_bytes()
        head = bytearray(data[: self.header.frames_at])
        record, head[512:552] = bytes(head[512:552]), bytes(40)
        assert lib.lockstep_replica_prepare(self.c, ffi.from_buffer(bytes(head)), len(head)) == 0
        wrong = bytearray(record)
        wrong[3] ^= 1
        assert lib.lockstep_replica_open(self.c, ffi.from_buffer("struct lockstep_open_record *", wrong), self.verdict)
        assert lib.lockstep_replica_open(self.c, ffi.from_buffer("struct lockstep_open_record *", record), self.verdict) == 0

    def advance(self, data: bytes) -> bool:
        place = ffi.new("uint8_t **")
        while data:
            room = int(lib.lockstep_replica_place(self.c, self.run, place))
            piece, data = data[:room], data[room:]
            ffi.memmove(place[0], piece, len(piece))
            if lib.lockstep_replica_advance(self.c, self.run, len(piece), self.verdict):
                return False
        return True

    def close(self) -> None:
        lib.lockstep_replica_clear(self.c, self.run)
        durable = ffi.new("uint64_t *")
        assert lib.lockstep_writer_sync(self.c, durable) == 0
        lib.lockstep_writer_release(self.c)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    damage=st.one_of(st.none(), st.tuples(st.integers(0, 10**6), st.integers(1, 255))),
)
def test_any_cuts_any_damage(sizes, cuts, damage):
    folder = Path(tempfile.mkdtemp(prefix="lks-"))
    try:
        end = primary(folder / "a", sizes)
        kernel = Kernel(folder / "b", folder / "a")
        data = (folder / "a" / segment_name(1)).read_bytes()
        at = kernel.header.frames_at
        stream = bytearray(data[at:end])
        if damage:
            stream[damage[0] % len(stream)] ^= damage[1]
        model = ReplicaModel(kernel.header.seed, 0, 0, 0, len(data) - 16 - at)
        edges = sorted({0, len(stream), *(c % len(stream) for c in cuts)})
        for a, b in itertools.pairwise(edges):
            right = model.advance(bytes(stream[a:b]))
            assert kernel.advance(bytes(stream[a:b])) == right
            assert kernel.c.last_seq == model.last_seq == kernel.control.c.written_seq
            with (folder / "b" / segment_name(1)).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as seen:
                assert seen[at : at + len(model.shown)] == model.shown
                assert seen[at + len(model.shown) : at + len(model.shown) + 8] == bytes(8)
                if not right:
                    assert not any(seen[at + len(model.shown) :])
            if not right:
                break
        kernel.close()
        assert survey(folder / "b").problems == []
        assert [f.header.seq for f in frames(folder / "b")] == list(range(1, model.last_seq + 1))
        if damage is None:
            assert model.last_seq == len(sizes)
        else:
            assert model.last_seq < len(sizes)
    finally:
        shutil.rmtree(folder)
