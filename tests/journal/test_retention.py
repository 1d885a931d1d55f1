"""What is packed and moved, what is left alone, and that readers follow."""

import json
import shutil

import pytest
import sealed_journal as sealed

from journal.archiving import restore_segment
from journal.frames import frames
from journal.retention import execute, plan
from journal.seal import read_seal
from journal.segment import CONTROL, ControlPage, segment_files
from journal.verify import survey
from lockstep import cli

pytest.importorskip("zstandard")
NEVER = 2**62


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
    assert sorted(p.name for p in (cold / "one").iterdir()) == [f"0000000{n}.seg.zst" for n in range(1, 5)]
    assert all(path.is_symlink() for _, path in segment_files(day)[:4])
    assert [f.header for f in frames(day)] == before
    assert survey(day).problems == []
    assert list(execute(plan(day, NEVER, 0, 0, cold), cold, lambda _: None)) == []
    restore_segment(day, 2)
    assert survey(day).problems == []
    (cold / "one" / "00000001.seg.zst").unlink()
    assert any("00000001.seg" in p for p in survey(day).problems)


def test_half_an_instruction_is_refused(day, capsys):
    assert cli.main(["journal", "retention", str(day), "--keep", "30d"]) == 2
    assert "--keep and --cold go together" in capsys.readouterr().err
    assert cli.main(["journal", "retention", str(day)]) == 0
    assert "4 of 5 segments would change" in capsys.readouterr().out
