"""The journal beside a plain list: whatever is appended, rolled, synced, closed, killed, is read back."""

from __future__ import annotations

import shutil

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from journal_folder import fast_folder

from journal.frames import frames
from journal.messages import EpochStart, Reject, SegmentSealed, SessionEnd
from journal.reader import JournalReader
from journal.verify import survey
from journal.writer import JournalWriter

MIB = 1 << 20
SAYS_MORE = {Reject.KIND, SessionEnd.KIND, EpochStart.KIND, SegmentSealed.KIND}
"""Kinds whose body the journal itself looks into: other sources' numbers, digests of what stands before."""


class Journal(RuleBasedStateMachine):
    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.root = fast_folder()
        self.path = self.root / "j"
        self.model: list[tuple[int, int, int, int, int, bytes]] = []  # kind, ts, source, source_seq, epoch, body
        self.synced = 0
        self.sources: dict[int, int] = {}
        self.copies = 0

    @initialize()
    def create(self) -> None:
        self.writer = JournalWriter.open(self.path, stream_id=7, segment_bytes=MIB)

    def teardown(self) -> None:
        self.writer.close()
        assert survey(self.path).problems == []
        self.compare(self.path, self.model)
        shutil.rmtree(self.root)

    def compare(self, path, model) -> None:
        read = []
        for seq, frame in enumerate(frames(path), start=1):
            h = frame.header
            assert h.seq == seq
            read.append((h.kind, h.ts, h.source, h.source_seq, h.epoch, bytes(frame.body)))
        assert read == model

    def add(self, kind, source, step, body) -> None:
        ts = (self.model[-1][1] if self.model else 0) + step
        number = self.sources.get(source, 0) + 1
        seq = self.writer.append_bytes(kind, 1, body, ts=ts, source=source, source_seq=number)
        self.sources[source] = number
        self.model.append((kind, ts, source, number, self.writer.epoch, body))
        assert seq == len(self.model) == self.writer.last_seq

    @rule(
        kind=st.integers(1, 65535).filter(lambda k: k not in SAYS_MORE),
        source=st.integers(0, 5),
        step=st.integers(1, 10**12),
        words=st.integers(0, 40),
        fill=st.integers(0, 255),
    )
    def append(self, kind, source, step, words, fill) -> None:
        self.add(kind, source, step, bytes([fill]) * (8 * words))

    @rule(n=st.integers(1, 4), fill=st.integers(0, 255))
    def append_large(self, n, fill) -> None:
        for _ in range(n):
            self.add(1, 1, 1, bytes([fill]) * 240_000)

    @rule(refused=st.integers(1, 5))
    def append_reject(self, refused) -> None:
        number = self.sources.get(refused, 0) + 1
        ts = (self.model[-1][1] if self.model else 0) + 1
        message = Reject(for_source=refused, for_source_seq=number, count=1)
        self.writer.append(message, ts=ts)
        self.sources[refused] = number
        self.model.append((Reject.KIND, ts, 0, 0, self.writer.epoch, message.encode()))

    @rule()
    def prepare(self) -> None:
        self.writer.prepare_next()

    @rule()
    def sync(self) -> None:
        self.synced = self.writer.sync()
        assert self.synced == len(self.model)

    @rule()
    def new_epoch(self) -> None:
        epoch = self.writer.epoch
        assert self.writer.begin_epoch() == epoch + 1

    @rule()
    def reopen(self) -> None:
        epoch = self.writer.epoch
        self.writer.close()
        self.writer = JournalWriter.open(self.path)
        self.synced = len(self.model)
        assert self.writer.recovery is None
        assert self.writer.epoch == epoch
        assert self.writer.last_seq == len(self.model)
        assert self.writer.last_source_seq == self.sources

    @rule()
    def kill(self) -> None:
        """The files as they are, without a close: what a killed writer leaves."""
        self.copies += 1
        copy = self.root / f"copy{self.copies}"
        shutil.copytree(self.path, copy)
        with JournalWriter.open(copy) as other:
            assert other.recovery is None
            assert other.last_seq == len(self.model)
            assert other.last_source_seq == self.sources
            assert other.durable_seq == len(self.model)
        self.compare(copy, self.model)
        shutil.rmtree(copy)

    @rule(target=readers, back=st.integers(0, 30))
    def attach(self, back):
        start = max(1, len(self.model) - back)
        return [JournalReader(self.path, from_seq=start), start]

    @rule(reader=readers, n=st.integers(1, 50))
    def read(self, reader, n) -> None:
        """Readers of any distance see the model's frames, once each, in order."""
        source, expected = reader
        batch = source.poll(n)
        if batch is None:
            assert expected == len(self.model) + 1
            return
        assert batch.first_seq == expected
        for offset, kind, number, seq, ts in batch:
            assert (kind, ts, number) == self.model[seq - 1][:3]
            body = self.model[seq - 1][5]
            assert batch.buffer[offset + 64 : offset + 64 + len(body)] == body
        reader[1] = batch.last_seq + 1

    @invariant()
    def watermarks(self) -> None:
        if hasattr(self, "writer"):
            assert self.synced <= self.writer.durable_seq <= len(self.model)
            assert self.writer.control.c.written_seq == len(self.model)


TestJournal = Journal.TestCase
TestJournal.settings = settings(max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
