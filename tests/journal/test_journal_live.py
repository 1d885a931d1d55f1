"""Real processes: readers that follow a writer in another process, and a writer killed at random moments. (J01-J03, J22)"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from journal.errors import JournalCorrupt, SegmentMissing, SegmentTruncated
from journal.frames import frames
from journal.kernel._journal import lib
from journal.reader import JournalReader
from journal.verify import survey
from journal.writer import JournalWriter

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys, threading
from journal.writer import JournalWriter
path, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
w = JournalWriter.open(path, segment_bytes=1 << 20)
w.begin_epoch()
print("start", w.last_seq, w.durable_seq, flush=True)
def body(seq):
    return seq.to_bytes(8, "little") * (1 + seq * 7919 % 97 * (40 if seq % 50 == 0 else 1))
for _ in range(count):
    seq = w.last_seq + 1
    w.append_bytes(10_000 + seq % 5, 1, body(seq), ts=seq * 10, source=seq % 3, source_seq=seq)
    if seq % 37 == 0:
        print("durable", w.sync(), flush=True)
w.close()
print("closed", w.path, flush=True)
"""


def body(seq):
    return seq.to_bytes(8, "little") * (1 + seq * 7919 % 97 * (40 if seq % 50 == 0 else 1))


def start_writer(path, count, seed=0):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed), str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def check_frames(path, upto=None):
    n = 0
    for n, frame in enumerate(frames(path), start=1):
        h = frame.header
        assert (h.seq, h.kind, h.ts, h.source) == (n, 10_000 + n % 5, n * 10, n % 3)
        assert frame.body == body(n)
    assert upto is None or n == upto
    return n


def test_readers_follow_another_process(folder):
    """One reads everything, one a kind, one starts far on; all while the writer stores and rolls."""
    count = 12_000
    process = start_writer(folder / "j", count)
    assert process.stdout.readline().split()[0] == "start"
    every = JournalReader(folder / "j")
    kind = JournalReader(folder / "j", kinds=[10_003])
    late = JournalReader(folder / "j", from_seq=count - 100)
    seen = [0, 0, 0]
    deadline = time.monotonic() + 60
    while every.next_seq <= count or kind.next_seq <= count or late.next_seq <= count:
        assert time.monotonic() < deadline
        for i, reader in enumerate((every, kind, late)):
            batch = reader.poll(500)
            if batch is None:
                continue
            for offset, k, _, seq, _ in batch:
                assert k == 10_000 + seq % 5
                assert batch.buffer[offset + 64 : offset + 72] == seq.to_bytes(8, "little")
                seen[i] += 1
    assert seen == [count, count // 5, 101]
    assert every.poll() is None
    process.wait(30)
    assert every.written_seq == every.durable_seq == count
    assert survey(folder / "j").problems == []


def test_batches_outlive_the_reader(folder):
    with JournalWriter.open(folder, segment_bytes=1 << 20) as w:
        for seq in range(1, 4):
            w.append_bytes(10_000, 1, body(seq), ts=seq)
        with JournalReader(folder) as reader:
            batch = reader.poll()
    shutil.rmtree(folder)
    assert [bytes(batch.buffer[o + 64 : o + 72]) for o, *_ in batch] == [body(i)[:8] for i in (1, 2, 3)]


def test_kill_9_at_random_moments(folder):
    """Again and again on one journal: every frame said to be durable is there, nothing else than what was appended is."""
    rng = random.Random(int(os.environ.get("LOCKSTEP_SEED", "1")))
    path = folder / "j"
    last = 0
    for round_ in range(6):
        process = start_writer(path, 10**9)
        first = process.stdout.readline().split()
        assert first[0] == "start"
        assert int(first[1]) >= last
        time.sleep(rng.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split("\n")[:-1]  # the last one may be cut
        process.wait(30)
        durable = max([int(line.split()[1]) for line in lines if line.startswith("durable ")], default=0)
        # A copy recovers to the same as the original: J22, and recovery is idempotent.
        if round_ % 3 == 0:
            shutil.copytree(path, folder / "copy")
        w = JournalWriter.open(path)
        # After SIGKILL the page cache is whole: nothing but the frame being stored can be cut.
        assert w.recovery is None or w.recovery.cut_bytes < 100_000
        last = w.last_seq
        assert last >= durable
        w.close()
        if round_ % 3 == 0:
            with JournalWriter.open(folder / "copy") as copy:
                assert copy.last_seq == last
            shutil.rmtree(folder / "copy")
    assert last > 300
    check_frames(path, last)
    assert survey(path).problems == []


def test_copy_of_a_live_journal_is_a_prefix(folder):
    """J22: files copied one by one while the writer stores. What reads is a prefix; where the copy tore, the reader says so."""
    process = start_writer(folder / "j", 10**9)
    assert process.stdout.readline().split()[0] == "start"
    for i in range(3):
        time.sleep(0.05)
        copy = folder / f"copy{i}"
        copy.mkdir()
        for file in sorted((folder / "j").glob("*.seg")):
            shutil.copy(file, copy / file.name)
        with contextlib.suppress(JournalCorrupt, SegmentMissing, SegmentTruncated):
            check_frames(copy)
    process.kill()
    process.wait(30)
    check_frames(folder / "j")


def test_lines_are_asked_for_ahead_only_where_no_writer_is_at_work(tmp_path):
    path = tmp_path / "j"
    with JournalWriter.open(path, segment_bytes=1 << 20) as writer:
        for seq in range(1, 101):
            writer.append_bytes(10_000, 1, body(1), ts=seq, source=1, source_seq=seq)
        with JournalReader(path) as reader:
            assert reader.poll() is not None
            at = reader._c.offset
            assert reader._c.ahead_to == max(0, at - lib.LOCKSTEP_READ_AHEAD_BYTES)
            for seq in range(101, 20_001):
                writer.append_bytes(10_000, 1, body(1), ts=seq, source=1, source_seq=seq)
            assert reader.poll() is not None
            assert reader._c.ahead_to < at  # learned when the segment was entered
        with JournalReader(path) as reader:
            assert reader.poll() is not None
            assert reader._c.ahead_to == (1 << 20) - lib.LOCKSTEP_READ_AHEAD_BYTES
    assert check_read(path) == 20_000


def check_read(path):
    with JournalReader(path) as reader:
        return sum(len(batch) for batch in iter(reader.poll, None))
