"""Repair: every class of damage is named, mended from a copy, or cut when told to. (J18, J19, J20)

Whatever is done, no byte is lost: what was replaced or cut stands in quarantine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil

import msgspec
import pytest
from index_journals import MIB, fill

from journal.archiving import archive_segment
from journal.chain import make_seals, store
from journal.errors import JournalCorrupt, JournalError, JournalLocked, JournalMissing
from journal.frames import frame_at, frames
from journal.index.make import make_indices
from journal.quarantine import untold
from journal.reader import JournalReader
from journal.repair import repair
from journal.repair_plan import plan_repair
from journal.seal import read_seal, seal_name, write_seal
from journal.segment import ControlPage
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.commands import journal as command

SEGMENTS = 4


def call(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    found = parser.parse_args(["journal", *map(str, arguments)])
    return found.run(found)


@pytest.fixture
def pair(folder):
    """A journal and a good copy of it."""
    path, backup = folder / "j", folder / "backup"
    fill(path, 21, segments=SEGMENTS)
    with JournalWriter.open(path) as w:
        for i in range(30):
            w.append_bytes(4, 1, bytes([i + 1]) * 1000, ts=w.last_ts + 1 + i)
    shutil.copytree(path, backup)
    return path, backup


def content(path):
    return [(f.header.seq, f.header.crc32c) for f in frames(path)]


def places(path, number):
    """Offsets of the frames of a segment."""
    with JournalReader(path) as reader:
        while (batch := reader.poll()) is not None:
            if batch.header.number == number:
                return [offset for offset, *_ in batch]
    raise AssertionError(number)


def edit(file, at, data):
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(data)


def flip(path, number):
    at = places(path, number)[7] + 20
    edit(path / f"{number:08d}.seg", at, bytes([(path / f"{number:08d}.seg").read_bytes()[at] ^ 16]))


def burst(path, number):
    edit(path / f"{number:08d}.seg", places(path, number)[5] + 3, random.Random(1).randbytes(3000))


def zeroed_page(path, number):
    at = places(path, number)[6] // 4096 * 4096
    edit(path / f"{number:08d}.seg", at, bytes(4096))


def swapped_pages(path, number):
    file, at = path / f"{number:08d}.seg", places(path, number)[6] // 4096 * 4096
    data = file.read_bytes()
    edit(file, at, data[at + 4096 : at + 8192] + data[at : at + 4096])


def duplicated_page(path, number):
    file, at = path / f"{number:08d}.seg", places(path, number)[6] // 4096 * 4096
    edit(file, at + 4096, file.read_bytes()[at : at + 4096])


def deleted(path, number):
    (path / f"{number:08d}.seg").unlink()


def truncated(path, number):
    os.truncate(path / f"{number:08d}.seg", 500_000)


def emptied(path, number):
    (path / f"{number:08d}.seg").write_bytes(b"")


def foreign(path, number):
    (path / f"{number:08d}.seg").write_bytes(b"PK\3\4" + bytes(MIB - 4))


def renamed(path, number):
    other = 2 if number != 2 else 1
    shutil.copy(path / f"{other:08d}.seg", path / f"{number:08d}.seg")


def header_bit(path, number):
    edit(path / f"{number:08d}.seg", 25, b"\xee")


def open_record(path, number):
    edit(path / f"{number:08d}.seg", 514, b"\xee")


def schema(path, number):
    edit(path / f"{number:08d}.seg", 5000, b"\xee")


def older_copy(path, number):
    """As it was when only some of its frames had been written."""
    file, at = path / f"{number:08d}.seg", places(path, number)[9]
    edit(file, at, bytes(MIB - at))


DAMAGES = [
    flip, burst, zeroed_page, swapped_pages, duplicated_page, deleted, truncated, emptied, foreign, renamed, header_bit,
    open_record, schema, older_copy,
]  # fmt: skip


@pytest.mark.parametrize("number", [1, 2, SEGMENTS])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_every_damage_is_named_and_mended_from_a_copy(pair, damage, number):
    path, backup = pair
    expected, name = content(backup), f"{number:08d}.seg"
    damage(path, number)
    spoilt = (path / name).read_bytes() if (path / name).exists() else None
    with pytest.raises(JournalError):
        JournalWriter.open(path)
    plan = plan_repair(path)
    assert [d.file for d in plan.damages] == [name]
    assert name in plan.damages[0].problems[0]
    assert (plan.cut_segment, plan.kept_seq) == (number, plan.damages[0].good_seq)
    assert plan.kept_seq == plan.last_seq < plan.durable_seq == expected[-1][0]

    plan = plan_repair(path, [backup])
    assert plan.damages[0].restore_from == str(backup / name)
    assert (plan.cut_segment, plan.kept_seq) == (0, expected[-1][0])
    done = repair(plan)
    assert done.restored == [name]
    assert content(path) == expected
    assert survey(path).problems == []
    assert plan_repair(path).well
    if spoilt is not None:
        assert (path / "quarantine" / name).read_bytes() == spoilt
    with JournalWriter.open(path) as w:
        assert w.last_seq == expected[-1][0]
        assert w.recovery is None


@pytest.mark.parametrize("number", [2, SEGMENTS])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_without_a_copy_it_is_cut_when_told_to(pair, damage, number):
    path, backup = pair
    expected = content(backup)
    (path / "snapshots").mkdir()
    (path / "snapshots" / "state").write_bytes(b"of the future")
    damage(path, number)
    before = {f.name: f.read_bytes() for f in path.iterdir() if f.is_file() and f.name != "lock"}
    plan = plan_repair(path)
    assert repair(plan) == repair(plan)  # nothing is done that was not asked for
    assert {f.name: f.read_bytes() for f in path.iterdir() if f.is_file() and f.name != "lock"} == before

    done = repair(plan, cut=True)
    assert done.cut_to_seq == plan.kept_seq
    assert content(path) == expected[: plan.kept_seq]
    assert survey(path).problems == []
    assert plan_repair(path).well
    assert not (path / "snapshots").exists()
    # Every byte that is gone from the journal is in quarantine.
    kept = {f.name: f.read_bytes() for f in (path / "quarantine").iterdir() if f.is_file()}
    for name, data in before.items():
        if not name.endswith(".seg") or ((path / name).exists() and (path / name).read_bytes() == data):
            continue
        part = [kept_name for kept_name in kept if kept_name.startswith(name[:8])]
        assert any(kept[p].rstrip(b"\0") and kept[p].rstrip(b"\0") in data for p in part) or not data, name
    assert untold(path).kept_seq == plan.kept_seq
    with JournalWriter.open(path) as w:
        assert w.last_seq == plan.kept_seq
        assert w.recovery.kept_seq == plan.kept_seq  # the sequencer says so on the stream
        w.append_bytes(4, 1, b"", ts=w.last_ts + 1)
    assert content(path)[:-1] == expected[: plan.kept_seq]


def test_copies_that_do_not_fit_are_refused_with_a_reason(pair, folder):
    path, backup = pair
    flip(path, 2)
    for name, spoil, reason in (
        ("damaged", flip, "at byte"),
        ("older", older_copy, "though the stream went on in the next segment"),
        ("wrong", renamed, "the name says 2"),
    ):
        copy = folder / name
        shutil.copytree(backup, copy)
        spoil(copy, 2)
        plan = plan_repair(path, [copy])
        assert plan.cut_segment == 2, name
        assert reason in plan.damages[0].refused[0]
    stranger = fill(folder / "stranger", 21, segments=SEGMENTS, stream_id=8)
    assert "stream" in plan_repair(path, [stranger]).damages[0].refused[0]
    other = fill(folder / "other", 22, segments=SEGMENTS)
    assert (
        "follows a frame" in plan_repair(path, [other]).damages[0].refused[0]
        or "starts with seq" in (plan_repair(path, [other]).damages[0].refused[0])
    )
    assert plan_repair(path, [folder / "damaged", other, backup]).damages[0].restore_from == str(backup / "00000002.seg")
    with pytest.raises(JournalMissing):
        plan_repair(path, [folder / "nowhere"])
    remade = fill(folder / "remade", 21, segments=SEGMENTS, nonce=99)
    edit(path / "00000001.seg", 600_000, bytes([(path / "00000001.seg").read_bytes()[600_000] ^ 1]))
    assert "another segment" in plan_repair(path, [remade]).damages[0].refused[0]


def test_several_segments_from_several_copies(pair, folder):
    path, backup = pair
    second = folder / "second"
    shutil.copytree(backup, second)
    deleted(backup, 3)
    deleted(second, 1)
    for number in (3, 1):
        flip(path, number)
    plan = plan_repair(path, [backup, second])
    assert [d.restore_from for d in plan.damages] == [str(backup / "00000001.seg"), str(second / "00000003.seg")]
    repair(plan)
    assert survey(path).problems == []


def test_control_page(pair):
    path, backup = pair
    expected = content(backup)
    for spoil in (lambda p: p.unlink(), lambda p: edit(p, 13, b"\xee"), lambda p: p.write_bytes(b"")):
        spoil(path / "control")
        plan = plan_repair(path)
        assert plan.control
        assert not plan.damages
        assert repair(plan).control_made
        assert ControlPage(path / "control").c.durable_seq == expected[-1][0]
        assert content(path) == expected
        assert survey(path).problems == []


def test_a_torn_tail_is_the_next_starts_business(pair):
    path, _ = pair
    page = ControlPage(path / "control", writable=True)
    last = content(path)[-1][0]
    page.c.durable_seq = last - 1
    page.flush()
    edit(path / f"{SEGMENTS:08d}.seg", places(path, SEGMENTS)[-1] + 70, b"\xee")
    assert plan_repair(path).well
    with JournalWriter.open(path) as w:
        assert w.last_seq == last - 1


def test_nothing_left_to_keep(pair):
    path, _ = pair
    header_bit(path, 1)
    with pytest.raises(JournalError, match="nothing of the stream can be read"):
        repair(plan_repair(path), cut=True)


def test_bytes_beside_the_frames(pair):
    """All frames can be read: nothing has to be cut, a copy mends it."""
    path, backup = pair
    edit(path / "00000002.seg", MIB - 3, b"\xee")
    plan = plan_repair(path)
    assert (len(plan.damages), plan.cut_segment, plan.damages[0].frames_lost) == (1, 0, False)
    repair(plan_repair(path, [backup]))
    assert plan_repair(path).well


def test_a_running_writer_is_not_disturbed(pair):
    path, backup = pair
    with JournalWriter.open(path):
        flip(path, 2)
        plan = plan_repair(path, [backup])
        assert plan.writer_pid == os.getpid()
        with pytest.raises(JournalLocked):
            repair(plan)


def test_command(pair, capsys):
    path, backup = pair
    assert call("repair", path) == 0
    assert "nothing to repair" in capsys.readouterr().out
    flip(path, 2)
    assert call("repair", path) == 1
    text = capsys.readouterr().out
    for part in ("00000002.seg: at byte", "--from", "--cut: end the stream with frame", "nothing has been changed"):
        assert part in text
    assert call("repair", path, "--from", backup) == 1
    assert f"restore 00000002.seg from {backup}/00000002.seg" in capsys.readouterr().out
    assert call("repair", path, "--from", backup, "--json") == 1
    assert json.loads(capsys.readouterr().out)["plan"]["damages"][0]["restore_from"] == f"{backup}/00000002.seg"
    assert call("repair", path, "--from", backup, "--apply") == 0
    assert "00000002.seg restored" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call("repair", path, "--apply", "--dry-run")
    flip(path, 3)
    assert call("repair", path, "--apply") == 1
    assert "still damaged" in capsys.readouterr().out
    with pytest.raises(JournalCorrupt):
        content(path)
    assert call("repair", path, "--cut", "--apply", "--json") == 0
    assert json.loads(capsys.readouterr().out)["done"]["cut_to_seq"] > 0


def archived(path, *numbers):
    pytest.importorskip("zstandard")
    for seal in make_seals(path):
        store(path, seal)
    for number in numbers:
        archive_segment(path, number)


def test_a_damaged_archive_is_mended_from_a_copy_or_cut(pair, folder):
    path, backup = pair
    expected = content(backup)
    archived(path, 1, 2)
    file = path / "00000002.seg.zst"
    edit(file, file.stat().st_size // 2, b"\xee\xee\xee\xee")
    cut = folder / "cut"
    shutil.copytree(path, cut)
    plan = plan_repair(path, [backup])
    assert [d.restore_from for d in plan.damages] == [str(backup / "00000002.seg")]
    repair(plan)
    assert content(path) == expected
    assert plan_repair(path).well
    assert survey(path).problems == []
    plan = plan_repair(cut)
    assert plan.cut_segment == 2
    repair(plan, cut=True)
    assert content(cut) == expected[: plan.kept_seq]
    assert plan_repair(cut).well
    with JournalWriter.open(cut) as w:
        w.append_bytes(4, 1, b"", ts=w.last_ts + 1)


def test_a_copy_may_be_an_archive(pair):
    path, backup = pair
    expected = content(backup)
    archived(backup, 2)
    flip(path, 2)
    repair(plan_repair(path, [backup]))
    assert content(path) == expected
    assert survey(path).problems == []


def test_an_archive_is_indexed_and_searched(pair):
    path, _ = pair
    expected = content(path)
    archived(path, 1, 2)
    assert make_indices(path).made == SEGMENTS - 1
    assert [frame_at(path, seq).header.crc32c for seq, _ in expected[::97]] == [crc for _, crc in expected[::97]]


@pytest.fixture
def sealed_pair(pair):
    for path in pair:
        for seal in make_seals(path):
            store(path, seal, "hmac-sha256:0:00")
    return pair


def seal_bit(path, number):
    file = path / seal_name(number)
    edit(file, 60, bytes([file.read_bytes()[60] ^ 1]))


@pytest.mark.parametrize("numbers", [(1,), (2,), (SEGMENTS - 1,), (1, 2), (1, 2, 3)])
def test_a_damaged_seal_is_mended(sealed_pair, numbers, capsys):
    path, backup = sealed_pair
    seals = {n: read_seal(path, n) for n in numbers}
    for number in numbers:
        seal_bit(path, number)
    assert call("repair", path) == 1
    said = capsys.readouterr().out
    for number in numbers:
        assert f"{seal_name(number)}: at byte" in said
        assert f"{seal_name(number)}: measure the segment again" in said
    assert "--cut" not in said
    with pytest.raises(JournalError, match=rf"{seal_name(numbers[0])}: at byte .*lockstep journal repair {path} mends it"):
        list(make_seals(path))
    again = path.parent / "again"
    shutil.copytree(path, again)
    assert call("repair", again, "--apply") == 0
    assert {n: read_seal(again, n) for n in numbers} == {n: seal.signed("") for n, seal in seals.items()}
    assert call("repair", path, "--from", backup, "--apply") == 0
    assert f"restore {seal_name(numbers[0])} from {backup}/{seal_name(numbers[0])}" in capsys.readouterr().out
    assert {n: read_seal(path, n) for n in numbers} == seals
    for mended in (path, again):
        assert {f.name for f in (mended / "quarantine").iterdir()} == {seal_name(n) for n in numbers}
        assert survey(mended).problems == []
        assert plan_repair(mended).well


def test_a_damaged_seal_of_a_damaged_segment(sealed_pair):
    path, backup = sealed_pair
    seal_bit(path, 2)
    flip(path, 2)
    plan = plan_repair(path)
    repair(plan)
    assert [len(plan.damages), len(plan.seals)] == [1, 1]
    assert not plan_repair(path).well  # nothing is measured that is damaged
    repair(plan_repair(path, [backup]))
    assert survey(path).problems == []
    seal_bit(path, 2)
    flip(path, 2)
    repair(plan_repair(path), cut=True)
    assert plan_repair(path).well
    assert survey(path).problems == []


def test_a_seal_that_does_not_fit_is_refused(sealed_pair, folder):
    path, _ = sealed_pair
    other = fill(folder / "other", 22, segments=SEGMENTS)
    for seal in make_seals(other):
        store(other, seal)
    seal_bit(path, 2)
    plan = plan_repair(path, [other])
    assert plan.seals[0].restore_from == ""
    assert "follows chain digest" in plan.seals[0].refused[0]
    # What is measured again must fit the seal behind it as well.
    copy = folder / "copy"
    shutil.copytree(path, copy)
    seal = read_seal(copy, 3)
    write_seal(copy, msgspec.structs.replace(seal, previous=bytes(32)))
    with pytest.raises(JournalError, match=r"00000003.seal: follows chain digest"):
        repair(plan_repair(copy))
    assert (copy / seal_name(2)).exists()
