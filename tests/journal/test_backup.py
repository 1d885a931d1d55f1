"""Copies of a journal that is being written: each is a prefix, and proves it. (J22)"""

import itertools
import json
import random
import shutil
import threading

import pytest
import sealed_journal as sealed

from journal.backup import backup
from journal.chain import make_seals, store
from journal.errors import JournalCorrupt, JournalError, JournalMissing
from journal.head import head_of
from journal.writer import JournalWriter
from lockstep import cli

BACKUPS, COPIES, SEGMENTS_MAX = 8, 6, 30


@pytest.fixture
def live(folder):
    """A journal, written as fast as Python can, synced and sealed meanwhile."""
    path, stop = folder / "live", threading.Event()
    ready = threading.Event()

    def write():
        rng = random.Random(1)
        bodies = [rng.randbytes(8 * rng.randrange(10, 3000)) for _ in range(50)]
        with JournalWriter.open(path, stream_id=5, segment_bytes=1 << 20) as w:
            for n in itertools.count(1):
                w.append_bytes(12_345, 1, bodies[n % 50], ts=n, source=1, source_seq=n)
                if n % 40 == 0:
                    w.sync()
                if n == 300:
                    ready.set()
                if n % 500 == 0:
                    for seal in make_seals(path):
                        store(path, seal)
                if stop.is_set() or w.c.segment > SEGMENTS_MAX:
                    return

    thread = threading.Thread(target=write)
    thread.start()
    assert ready.wait(60)
    yield path
    stop.set()
    thread.join()


def test_a_backup_of_a_live_journal_is_a_prefix_that_verifies(folder, live):
    rng, last = random.Random(2), 0
    for _ in range(BACKUPS):
        done = backup(live, folder / "copy")
        assert done.last_seq >= last
        assert head_of(folder / "copy").digest == head_of(live, done.last_seq).digest
        last = done.last_seq
        if rng.random() < 0.3:
            shutil.rmtree(folder / "copy")


def test_a_backup_is_brought_up_to_date(folder):
    sealed.write(folder / "j", 3)
    sealed.seal(folder / "j")
    first = backup(folder / "j", folder / "copy")
    assert (first.copied, first.skipped) == (4, 0)
    with JournalWriter.open(folder / "j") as w:
        w.append_bytes(12_345, 1, bytes(8), ts=10**9)
    again = backup(folder / "j", folder / "copy")
    assert (again.copied, again.skipped, again.last_seq) == (1, 3, first.last_seq + 1)


def test_a_plain_copy_in_any_order_opens_to_a_prefix(folder, live):
    rng = random.Random(3)
    for turn in range(COPIES):
        plain = folder / "plain"
        plain.mkdir()
        names = sorted(p.name for p in live.iterdir() if p.is_file() and p.name != "lock")
        if turn % 3:
            rng.shuffle(names)
        for name in names:
            try:
                shutil.copyfile(live / name, plain / name)
            except FileNotFoundError:
                assert name.endswith(".tmp") or name == names[-1]
        done = backup(plain, folder / "copy", from_copy=True)
        if done.last_seq:
            assert head_of(folder / "copy").digest == head_of(live, done.last_seq).digest
        for path in (plain, folder / "copy"):
            shutil.rmtree(path)


def test_what_is_damaged_is_not_backed_up_as_if_it_were_whole(folder, capsys):
    path = folder / "j"
    sealed.write(path, 2)
    sealed.seal(path)
    assert cli.main(["journal", "backup", str(path), str(folder / "good"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["last_seq"] == head_of(path).seq
    data = bytearray((path / "00000001.seg").read_bytes())
    data[sealed.frame_offsets(data)[5] + 70] ^= 1
    (path / "00000001.seg").write_bytes(data)
    with pytest.raises(JournalCorrupt, match=r"00000001.seg: at byte"):
        backup(path, folder / "bad")
    with pytest.raises(JournalError, match="is not empty, and no backup"):
        backup(path, folder)
    with pytest.raises(JournalError, match="lies in the journal itself"):
        backup(path, path / "inside")
    with pytest.raises(JournalMissing, match="no journal here"):
        backup(folder / "none", folder / "x")
    sealed.write(folder / "stranger", 1, stream_id=77)
    with pytest.raises(JournalError, match="holds stream"):
        backup(folder / "stranger", folder / "good")
