"""Copies of a journal that is being written: each is a prefix, and proves it. (J22)"""

import itertools
import json
import random
import shutil
import threading

import pytest
import sealed_journal as sealed

from journal import backup as backups
from journal.archiving import archive_segment
from journal.backup import backup
from journal.chain import make_seals, store
from journal.errors import JournalCorrupt, JournalError, JournalMissing
from journal.head import head_of
from journal.repair import repair
from journal.repair_plan import plan_repair
from journal.verify import survey
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


@pytest.fixture
def pair(folder):
    """A journal with three full segments, two of them sealed, and its backup."""
    path, copy = folder / "j", folder / "copy"
    sealed.write(path, 3)
    sealed.seal(path)
    (path / "00000003.seal").unlink()
    backup(path, copy)
    return path, copy


def content(path):
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file() and f.name != "lock"}


def append(path, n, salt=0):
    rng = random.Random(salt)
    with JournalWriter.open(path) as w:
        for _ in range(n):
            w.append_bytes(12_345, 1, rng.randbytes(4000), ts=w.last_ts + 1)


def flip(file, n):
    data = bytearray(file.read_bytes())
    data[sealed.frame_offsets(data)[n] + 70] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("number", [3, 4])
def test_a_source_that_is_damaged_leaves_the_backup_as_it_was(pair, number, capsys):
    path, copy = pair
    append(path, 3)
    before = content(copy)
    flip(path / f"0000000{number}.seg", 0)
    assert cli.main(["journal", "backup", str(path), str(copy)]) == 2
    said = capsys.readouterr().err
    assert f"{path}/0000000{number}.seg: at byte" in said
    assert f"{copy} stays as it was" in said
    assert content(copy) == before


def test_bytes_beside_the_frames_are_not_backed_up_either(pair):
    path, copy = pair
    append(path, 3)
    before = content(copy)
    with (path / "00000003.seg").open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"\xee")
    with pytest.raises(JournalError, match=rf"{path}/00000003.seg: .*behind the last frame.*; {copy} stays as it was"):
        backup(path, copy)
    assert content(copy) == before


@pytest.mark.parametrize("number", [1, 3, 4])
@pytest.mark.parametrize("more", [0, 600])
def test_a_journal_that_was_cut_is_no_newer_state_of_its_backup(pair, number, more):
    """Whatever was written, and sealed, behind the cut."""
    path, copy = pair
    before = content(copy)
    flip(path / f"0000000{number}.seg", 40 if number < 4 else 0)
    repair(plan_repair(path), cut=True)
    append(path, more, salt=5)
    sealed.seal(path)
    assert survey(path).problems == []
    with pytest.raises(JournalError, match=rf"{copy}: holds frames that {path} does not have .*; choose another folder"):
        backup(path, copy)
    assert content(copy) == before
    assert backup(path, copy.parent / "another").last_seq == head_of(path).seq


def test_an_older_copy_is_refused_too(pair):
    path, copy = pair
    shutil.copytree(path, path.parent / "older")
    append(path, 3)
    backup(path, copy)
    before = content(copy)
    with pytest.raises(JournalError, match=r"holds frames that .*older does not have"):
        backup(path.parent / "older", copy, from_copy=True)
    assert content(copy) == before


def test_what_was_sealed_or_archived_since_is_taken(pair):
    pytest.importorskip("zstandard")
    path, copy = pair
    append(path, 300)
    sealed.seal(path)
    archive_segment(path, 1)
    archive_segment(path, 3)
    assert backup(path, copy).skipped == 2
    names = set(content(copy))
    assert {"00000001.seg", "00000003.seg.zst", "00000003.seal"} <= names
    assert not {"00000001.seg.zst", "00000003.seg", "backup.new"} & names
    assert survey(copy).problems == []
    assert head_of(copy).digest == head_of(path).digest


def test_a_backup_that_was_damaged_is_mended_where_it_is_not_sealed(pair):
    path, copy = pair
    flip(copy / "00000003.seg", 9)
    backup(path, copy)
    assert survey(copy).problems == []
    flip(copy / "00000002.seg", 9)
    with pytest.raises(JournalError, match=rf"{copy}/00000002.seg: at byte"):
        backup(path, copy)
    (copy / "00000002.seg").unlink()
    backup(path, copy)
    assert survey(copy).problems == []


@pytest.mark.parametrize("old", [True, False], ids=["a former backup", "the first"])
def test_interrupted_at_any_file_it_goes_on(folder, monkeypatch, old):
    """Killed, that is: nobody cleans up."""
    path = folder / "j"
    sealed.write(path, 2)
    for turn in range(100):
        copy = folder / f"copy{turn}"
        if old:
            backup(path, copy)
        append(path, 300)
        sealed.seal(path)
        left = iter(range(turn))

        def dies(call, left=left):
            def doing(*arguments):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return call(*arguments)

            return doing

        with monkeypatch.context() as patched:
            patched.setattr(backups, "_copy", dies(backups._copy))
            patched.setattr(backups.os, "replace", dies(backups.os.replace))
            try:
                backup(path, copy)
            except KeyboardInterrupt:
                pass
            else:
                break
        done = backup(path, copy)
        assert survey(copy).problems == []
        assert head_of(copy).digest == head_of(path, done.last_seq).digest
        assert not (copy / backups.STAGE).exists()
        shutil.rmtree(copy)
        if turn % 3 == 0:  # shorter again, or the last turns copy a long journal
            shutil.rmtree(path)
            sealed.write(path, 2)
    else:
        raise AssertionError("never came to the end")
