"""The writer's answers to wrong use, a second writer, a full disk, missing rights. (J13, J15, J21, J23, J24)"""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from journal.errors import (
    AccessDenied,
    DiskFull,
    JournalError,
    JournalFailed,
    JournalFenced,
    JournalLocked,
    MessageTooLong,
    WrongStream,
)
from journal.frames import frames, last_seq
from journal.kernel._journal import ffi, lib
from journal.messages import Clock
from journal.reader import JournalReader
from journal.segment import SEGMENT_BYTES_MIN
from journal.verify import survey
from journal.writer import JournalWriter

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


def child(code, *arguments, **keywords):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=60, **keywords
    )


def test_header_fields_arrive(folder):
    with JournalWriter.open(folder, segment_bytes=MIB) as w:
        assert (w.last_seq, w.last_ts, w.epoch, w.recovery, w.last_source_seq) == (0, 0, 0, None, {})
        assert w.begin_epoch() == 1
        w.append(Clock(wall_ts=1), ts=5, source=3, source_seq=8, cause=2, origin_ts=4, flags=9, incarnation=6)
        h = next(frames(folder)).header
    assert (h.kind, h.version, h.ts, h.source, h.source_seq, h.cause, h.origin_ts, h.flags, h.incarnation, h.epoch) == (
        4, 1, 5, 3, 8, 2, 4, 9, 6, 1,
    )  # fmt: skip
    with JournalWriter.open(folder) as w:
        assert (w.last_source_seq, w.last_incarnation, w.epoch, w.last_ts) == ({3: 8}, {3: 6}, 1, 5)


def test_wrong_use_is_refused_and_changes_nothing(folder):
    with pytest.raises(TypeError):
        JournalWriter()
    for wrong in (0, 4096, SEGMENT_BYTES_MIN + 1, 1 << 33):
        with pytest.raises(ValueError, match=f"segment_bytes {wrong}"):
            JournalWriter.open(folder / "x", segment_bytes=wrong)
    w = JournalWriter.open(folder / "j", segment_bytes=MIB)
    w.append(Clock(), ts=10)
    with pytest.raises(ValueError, match="ts 10; expected more than 10, the ts of frame 1"):
        w.append(Clock(), ts=10)
    with pytest.raises(ValueError, match="multiple of 8"):
        w.append_bytes(4, 1, b"123", ts=11)
    with pytest.raises(MessageTooLong, match=f"at most {w.body_bytes_max} in segments of {MIB}"):
        w.append_bytes(4, 1, bytes(w.body_bytes_max + 8), ts=11)
    with pytest.raises(MessageTooLong):
        w.append_bytes(4, 1, bytes(2 * MIB), ts=11)
    assert w.append_bytes(4, 1, bytes(w.body_bytes_max), ts=11) == 2
    w.close()
    w.close()
    with pytest.raises(JournalError, match="closed"):
        w.append(Clock(), ts=12)
    with pytest.raises(WrongStream, match="expected 0x0000000000000005"):
        JournalWriter.open(folder / "j", stream_id=5)
    assert last_seq(folder / "j") == 2


def test_seq_limit_is_far_and_firm(folder):
    with JournalWriter.open(folder, segment_bytes=MIB) as w:
        slot = ffi.new("struct lockstep_frame **")
        last, w.c.last_seq = w.c.last_seq, 2**63 - 2**40
        assert lib.lockstep_writer_reserve(w.c, 64, slot) == -75  # EOVERFLOW
        w.c.last_seq = last
        for length in (0, 8, 63, 65, MIB + 8, 0xFFFFFFF8):
            assert lib.lockstep_writer_reserve(w.c, length, slot) == -90  # EMSGSIZE


def test_one_writer_at_a_time(folder):
    with JournalWriter.open(folder, segment_bytes=MIB) as w:
        with pytest.raises(JournalLocked, match=f"process {os.getpid()} is writing"):
            JournalWriter.open(folder)
        other = child(f"from journal.writer import JournalWriter\nJournalWriter.open({str(folder)!r})")
        assert other.returncode == 1
        assert f"JournalLocked: {folder}: process {os.getpid()} is writing" in other.stderr
        assert w.append(Clock(), ts=1) == 1
    # A stale lock file (its process is gone) does not lock.
    (folder / "lock").write_text("1\n")
    JournalWriter.open(folder).close()


@pytest.mark.parametrize("what", ["removed", "replaced", "another name of the folder"])
def test_a_lock_file_that_somebody_took_away_locks_all_the_same(folder, what):
    """J21: the next writer locks another file of that name, and still is the second one."""
    path = other = folder / "j"
    with JournalWriter.open(path, segment_bytes=MIB) as w:
        if what == "replaced":
            (folder / "new").write_text("1\n")
            (folder / "new").rename(path / "lock")
        elif what == "removed":
            (path / "lock").unlink()
        else:
            other = folder / "link"
            other.symlink_to(path)
        for _ in range(2):
            with pytest.raises(JournalLocked, match="is writing this journal"):
                JournalWriter.open(other)
        second = child(f"from journal.writer import JournalWriter\nJournalWriter.open({str(other)!r})")
        assert "JournalLocked" in second.stderr
        assert w.append(Clock(), ts=1) == 1
    with JournalWriter.open(other) as w:
        assert w.last_seq == 1


def test_a_writer_that_was_overtaken_writes_nothing_more(folder):
    """J21: the lock itself was lost, and another one has begun an epoch: the first one's next call fails, and its end touches
    neither frames nor files nor watermarks."""
    first = JournalWriter.open(folder, segment_bytes=MIB)
    first.begin_epoch()
    first.append(Clock(), ts=1)
    first.prepare_next()
    first._lock.release()
    second = JournalWriter.open(folder)
    assert second.begin_epoch() == 2
    second.append(Clock(), ts=2)
    second.prepare_next()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(JournalFenced, match=f"epoch 2 has begun here, by process {os.getpid()}; this writer of epoch 1 ends"):
        first.append(Clock(), ts=3)
    with pytest.raises(JournalFailed):
        first.sync()
    with pytest.raises(JournalFenced):
        first.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert second.append(Clock(), ts=4) == 3
    second.close()
    assert survey(folder).problems == []
    assert [f.header.epoch for f in frames(folder)] == [1, 2, 2]


def test_unused_segment_is_removed_at_close_and_reused_after_a_crash(folder):
    w = JournalWriter.open(folder / "j", segment_bytes=MIB)
    w.append(Clock(), ts=1)
    w.prepare_next()
    assert (folder / "j" / "00000002.seg").exists()
    shutil.copytree(folder / "j", folder / "killed")
    w.close()
    assert not (folder / "j" / "00000002.seg").exists()
    (folder / "killed" / "prepare.tmp").write_bytes(b"half made")
    before = (folder / "killed" / "00000002.seg").read_bytes()
    with JournalWriter.open(folder / "killed") as w:
        assert not (folder / "killed" / "prepare.tmp").exists()
        assert (folder / "killed" / "00000002.seg").read_bytes() == before
        for i in range(10):
            w.append_bytes(4, 1, bytes(200_000), ts=i + 2)
    assert survey(folder / "killed").problems == []


def test_other_segment_size_from_now_on(folder):
    with JournalWriter.open(folder, segment_bytes=MIB) as w:
        w.append_bytes(4, 1, bytes(900_000), ts=1)
        w.prepare_next()
        w.sync()
        shutil.copytree(folder, folder / "copy")
    with JournalWriter.open(folder / "copy", segment_bytes=2 * MIB) as w:
        assert w.durable_seq == 1
        w.append_bytes(4, 1, bytes(900_000), ts=2)
    sizes = [s.bytes for s in survey(folder / "copy").segments]
    assert sizes == [MIB, 2 * MIB]
    assert survey(folder / "copy").problems == []


def test_segments_have_no_holes(tmp_path):
    with JournalWriter.open(tmp_path / "j", segment_bytes=MIB) as w:
        w.prepare_next()
        assert (tmp_path / "j" / "00000001.seg").stat().st_blocks * 512 >= MIB


def test_roll_under_load_with_preparer_and_syncer_in_threads(folder):
    """The roles as the sequencer runs them; a reader follows; nothing is lost at 30 rolls."""
    w = JournalWriter.open(folder, segment_bytes=MIB)
    stop = threading.Event()
    failures: list[BaseException] = []

    def run(step):
        try:
            while not stop.is_set():
                step()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f,)) for f in (w.prepare_next, w.sync)]
    for t in threads:
        t.start()
    head = ffi.new("struct lockstep_frame *", {"kind": 4, "version": 1})
    body = bytes(30_000)
    reader = JournalReader(folder)
    seen = n = 0
    while n < 1000:
        head.ts = n + 1
        code = lib.lockstep_writer_append(w.c, head, ffi.from_buffer(body), len(body))
        assert code in (0, -11)
        n += code == 0
        lib.lockstep_writer_publish_watermark(w.c)
        if n % 10 == 0 and (batch := reader.poll()) is not None:
            assert batch.first_seq == seen + 1
            seen = batch.last_seq
    stop.set()
    for t in threads:
        t.join()
    assert failures == []
    w.close()
    found = survey(folder)
    assert (found.problems, found.last_seq, found.durable_seq) == ([], 1000, 1000)
    assert len(found.segments) > 25


def test_many_segments_without_a_sync(folder):
    """More rolls than slots: the writer syncs by itself when it must."""
    with JournalWriter.open(folder, segment_bytes=MIB) as w:
        for i in range(100):
            w.append_bytes(4, 1, bytes(300_000), ts=i + 1)
        assert w.c.segment > 20
    assert survey(folder).last_seq == 100


@pytest.fixture
def small_disk(folder):
    """A tmpfs of 4 MiB: needs the right to mount."""
    mount = folder / "disk"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", mount], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no right to mount a small tmpfs: {made.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def test_full_disk_at_start_and_later(small_disk):
    with pytest.raises(DiskFull, match=r"disk full while preparing 00000001.seg"):
        JournalWriter.open(small_disk / "large")
    shutil.rmtree(small_disk / "large")
    w = JournalWriter.open(small_disk / "j", segment_bytes=MIB)

    def fill():
        for i in range(100):
            w.append_bytes(4, 1, bytes(200_000), ts=i + 1)

    with pytest.raises(DiskFull, match=r"disk full while preparing 0000000\d.seg"):
        fill()
    written = w.last_seq
    assert written >= 8
    assert not (small_disk / "j" / "prepare.tmp").exists()
    w.close()
    found = survey(small_disk / "j")
    assert (found.problems, found.last_seq) == ([], written)


def test_full_disk_without_mounting(folder):
    """The same through a file size limit: posix_fallocate fails."""
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))
from journal.writer import JournalWriter
JournalWriter.open({str(folder / "j")!r}, segment_bytes=1 << 20)
"""
    result = child(code)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "DiskFull" in last
    assert "00000001.seg" in last
    assert resource.RLIMIT_FSIZE is not None
    with JournalWriter.open(folder / "j", segment_bytes=MIB) as w:
        assert w.append(Clock(), ts=1) == 1


def test_no_rights(folder):
    path = folder / "j"
    with JournalWriter.open(path, segment_bytes=MIB) as w:
        w.append(Clock(), ts=1)
    code = f"""
import os
from journal.writer import JournalWriter
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    JournalWriter.open({str(path)!r})
except Exception as error:
    print(type(error).__name__, error)
"""
    folder.chmod(0o755)
    path.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH | stat.S_IRGRP | stat.S_IXGRP)
    for file in path.iterdir():
        file.chmod(0o444)
    result = child(code)
    assert "AccessDenied" in result.stdout, result.stderr
    assert "\n" not in result.stdout.strip()
    assert issubclass(AccessDenied, JournalError)


def test_a_failed_sync_is_final(folder):
    """J11: no retry-and-trust."""
    w = JournalWriter.open(folder, segment_bytes=MIB)
    w.append(Clock(), ts=1)
    base = w.c.slots[1].base
    w.c.slots[1].base = ffi.cast("uint8_t *", 1 << 12)  # msync answers ENOMEM, as it would answer EIO once
    with pytest.raises(JournalFailed, match="while syncing"):
        w.sync()
    w.c.slots[1].base = base
    with pytest.raises(JournalFailed):
        w.sync()
    with pytest.raises(JournalFailed):
        w.append(Clock(), ts=2)
    assert w.durable_seq == 0
    with pytest.raises(JournalFailed):
        w.close()
    with JournalWriter.open(folder) as w:
        assert (w.last_seq, w.recovery) == (1, None)
