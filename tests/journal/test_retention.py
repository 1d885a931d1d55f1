"""What is packed and moved, what is left alone, and that readers follow."""

import json
import os
import shutil

import pytest
import sealed_journal as sealed

from journal.archiving import archive_segment, restore_segment
from journal.errors import JournalError
from journal.frames import frames
from journal.repair import repair
from journal.repair_plan import plan_repair
from journal.retention import execute, plan
from journal.seal import read_seal
from journal.segment import CONTROL, ControlPage, segment_files
from journal.verify import survey
from lockstep import cli

pytest.importorskip("zstandard")
NEVER = 2**62
STORED = "one-0000000000000009"
"""The folder in the cold folder: the journal's own name and its stream."""


def actions(steps):
    return [s.action for s in steps]


@pytest.fixture
def day(folder):
    path = folder / "days" / "one"
    sealed.write(path, 4)
    sealed.seal(path)
    return path


def test_the_plan_goes_by_age_and_touches_nothing_unsealed(day):
    young = read_seal(day, 3).last_ts
    assert actions(plan(day, young + 50, 50, None, None)) == ["archive", "archive", "keep", "keep", "keep"]
    (day / "00000004.seal").unlink()
    steps = plan(day, NEVER, 0, None, None)
    assert actions(steps) == ["archive"] * 3 + ["keep"] * 2
    assert [s.why for s in steps[3:]] == ["not sealed", "not sealed"]


def test_rungs_of_snapshots_and_replicas_keep_what_they_start_from(day):
    (day / "snapshots").mkdir()
    for app, seq in (("maker", read_seal(day, 2).first_seq), ("maker", 9_999_999), ("books", 9_999_999)):
        (day / "snapshots" / f"{app}-{seq:012d}.snapshot").touch()
    steps = plan(day, NEVER, 0, 0, day.parent)
    assert actions(steps) == ["move", "keep", "keep", "keep", "keep"]
    assert "the snapshots of maker begin" in steps[1].why
    shutil.rmtree(day / "snapshots")
    page = ControlPage(day / CONTROL, writable=True)
    page.c.replicated_seq = read_seal(day, 4).first_seq
    page.flush()
    steps = plan(day, NEVER, 0, None, None)
    assert actions(steps) == ["archive"] * 3 + ["keep"] * 2
    assert "a replica has frames up to" in steps[3].why


def test_moved_archives_are_read_through_their_links(day, folder, capsys):
    before = [f.header for f in frames(day)]
    cold = folder / "cold"
    command = ["journal", "retention", str(folder / "days"), "--keep", "1d", "--cold", str(cold), "--json"]
    assert cli.main(command) == 0
    planned = json.loads(capsys.readouterr().out)["steps"]
    assert [s["action"] for s in planned] == ["move"] * 4 + ["keep"]
    assert not cold.exists()
    assert cli.main([*command, "--execute"]) == 0
    assert len(json.loads(capsys.readouterr().out)["done"]) == 4
    assert sorted(p.name for p in (cold / STORED).iterdir()) == [f"0000000{n}.seg.zst" for n in range(1, 5)]
    assert all(path.is_symlink() for _, path in segment_files(day)[:4])
    assert [f.header for f in frames(day)] == before
    assert survey(day).problems == []
    assert list(execute(plan(day, NEVER, 0, 0, cold), cold, lambda _: None)) == []
    restore_segment(day, 2)
    assert survey(day).problems == []
    (cold / STORED / "00000001.seg.zst").unlink()
    assert any("00000001.seg" in p for p in survey(day).problems)


def test_half_an_instruction_is_refused(day, capsys):
    assert cli.main(["journal", "retention", str(day), "--keep", "30d"]) == 2
    assert "--keep and --cold go together" in capsys.readouterr().err
    assert cli.main(["journal", "retention", str(day)]) == 0
    assert "4 of 5 segments would change" in capsys.readouterr().out


def moved(path, cold):
    return list(execute(plan(path, NEVER, 0, 0, cold), cold, lambda _: None))


def test_journals_whose_folders_have_one_name_share_a_cold_folder(folder):
    journals = [folder / "a" / "day1", folder / "b" / "day1"]
    for stream, path in enumerate(journals, start=1):
        sealed.write(path, 2, stream_id=stream, salt=stream)
        sealed.seal(path)
    before = [[f.header for f in frames(path)] for path in journals]
    for path in journals:
        assert len(moved(path, folder / "cold")) == 2
    assert [[f.header for f in frames(path)] for path in journals] == before
    assert [survey(path).problems for path in journals] == [[], []]


def test_what_stands_in_the_cold_folder_is_never_replaced(folder):
    """Of two streams with one id too, say a journal that was begun again: ours stays here."""
    cold = folder / "cold"
    for name, salt in (("a", 1), ("b", 2)):
        sealed.write(folder / name / "day1", 1, salt=salt)
        sealed.seal(folder / name / "day1")
    moved(folder / "a" / "day1", cold)
    stored = next(cold.rglob("*.zst"))
    data = stored.read_bytes()
    with pytest.raises(JournalError, match=r"stands there already and is not .*b/day1/00000001.seg.zst; nothing was moved"):
        moved(folder / "b" / "day1", cold)
    assert stored.read_bytes() == data
    assert not (folder / "b" / "day1" / "00000001.seg.zst").is_symlink()
    assert survey(folder / "a" / "day1").problems == survey(folder / "b" / "day1").problems == []


def test_an_interrupted_move_goes_on(day, folder):
    archive_segment(day, 1)
    stored = folder / "cold" / STORED / "00000001.seg.zst"
    stored.parent.mkdir(parents=True)
    shutil.copy(day / stored.name, stored)
    assert len(moved(day, folder / "cold")) == 4
    assert (day / stored.name).readlink() == stored
    assert survey(day).problems == []


@pytest.fixture
def unmounted(day, folder):
    """Its first four segments are on a disk that is away."""
    moved(day, folder / "cold")
    (folder / "cold").rename(folder / "away")
    return day


def test_a_cold_folder_that_is_away_is_named(unmounted, folder, capsys):
    assert cli.main(["journal", "retention", str(unmounted), "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [s["action"] for s in steps] == ["keep"] * 5
    assert steps[0]["why"] == f"not reachable: in {folder}/cold/{STORED}"
    (unmounted / "00000001.seal").unlink()
    for command in ("dump", "repair", "verify", "index", "seal"):
        assert cli.main(["journal", command, str(unmounted)]) != 0, command
        said = "".join(capsys.readouterr())
        assert f".seg.zst: is a link to {folder}/cold/{STORED}/0000000" in said, command
        assert "restore it from a copy" not in said


def test_nothing_is_cut_for_a_cold_folder_that_is_away(unmounted, folder, capsys):
    files = sorted(os.listdir(unmounted))
    assert cli.main(["journal", "repair", str(unmounted)]) == 1
    said = capsys.readouterr().out
    assert "--cut" not in said
    assert "make the folder reachable" in said
    assert cli.main(["journal", "repair", str(unmounted), "--cut", "--apply"]) == 1
    capsys.readouterr()
    assert [name for name in sorted(os.listdir(unmounted)) if name != "lock"] == [name for name in files if name != "lock"]
    (folder / "away").rename(folder / "cold")
    assert plan_repair(unmounted).well
    assert survey(unmounted).problems == []


def test_a_copy_takes_the_place_of_a_link_that_leads_nowhere(day, folder):
    shutil.copytree(day, folder / "copy")
    moved(day, folder / "cold")
    shutil.rmtree(folder / "cold")
    repair(plan_repair(day, [folder / "copy"]))
    assert survey(day).problems == []


def test_a_cold_folder_that_is_a_file(day, folder, capsys):
    (folder / "file").touch()
    command = ["journal", "retention", str(day), "--keep", "0s", "--execute", "--cold"]
    for cold in (folder / "file", folder / "file" / "below"):
        assert cli.main([*command, str(cold)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{folder}/file" in line
    assert not (day / "00000001.seg.zst").is_symlink()
