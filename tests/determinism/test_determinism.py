"""The same frames give the same decisions: under any hash seed, garbage collector, interpreter option and Python version, from
the first frame and from every snapshot. `lockstep torture determinism` runs the full product of them."""

import contextlib
import itertools
import json
import subprocess
import sys

import pytest

from journal.frames import frames
from journal.messages import NewOrder, SnapshotTaken, SourceDefined, StateDigest
from lockstep import cli
from lockstep.torture.determinism import (
    COLLECTORS,
    OPTIONS,
    SEEDS,
    Case,
    configuration,
    covering,
    difference,
    matrix,
    product,
    wrong_in,
)
from lockstep.torture.drivers import ROOT
from lockstep.torture.pythons import HERE, MINORS, found
from tests.determinism.conftest import THIS, decide
from tests.end_to_end.test_copies import PARTS


def test_the_day_is_worth_deciding_again(day, made, taken, reference):
    whole = reference["0"]
    assert wrong_in(reference) == ""
    assert whole["said"] == whole["compared"] > 1000
    assert whole["state"] == made[1]["state"]
    sources = {f.message.source: f.message.name for f in frames(day, kinds=[SourceDefined.KIND])}
    assert {sources[f.header.source] for f in frames(day, kinds=[NewOrder.KIND])} == {"maker", "cross"}
    snapshots = {f.message.upto_seq for f in frames(day, kinds=[SnapshotTaken.KIND])}
    assert {int(start) for start in reference} == {0, *snapshots}
    assert len(snapshots) >= 2
    assert sum(1 for _ in frames(day, kinds=[StateDigest.KIND])) >= 6 * 9


@pytest.mark.timeout(900)
def test_every_condition_decides_the_same(day, taken, reference, interpreters):
    """Each pair of conditions at least once; each process from all starts."""
    cases = covering(tuple(interpreters))
    with contextlib.closing(matrix(cases, interpreters, day, taken, jobs=2)) as answers:
        for case, said in answers:
            assert said == reference, f"{case}: {difference(reference, said)}"


def test_the_other_pythons_decide_with_their_own_accelerators(interpreters):
    """Else it would be the cffi path that is compared, whatever is used in production."""
    tell = "import apps.group, journal.messages.accelerator as a; print(a._fast is not None and apps.group._fast is not None)"
    here = subprocess.run([sys.executable, "-c", tell], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for minor, python in interpreters.items():
        said = subprocess.run([str(python), "-c", tell], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert said == here, minor


def test_a_python_that_does_not_run_is_none(tmp_path, monkeypatch):
    """A name on the path that is a shim of a version manager, and one that is another version's."""
    folder, versions = tmp_path / "bin", tmp_path / "versions"
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))

    def script(path, line):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    script(folder / "python3.99", "echo 'python3.99: command not found' >&2; exit 127")
    assert found("3.99") is None
    script(versions / "3.99.1" / "bin" / "python", f'exec {sys.executable} "$@"')
    assert found("3.99") is None  # it runs, and is another
    script(versions / f"{HERE}.1" / "bin" / "python", f'exec {sys.executable} "$@"')
    assert found(HERE) == str(versions / f"{HERE}.1" / "bin" / "python")
    script(folder / f"python{HERE}", "exit 127")
    assert found(HERE) == str(versions / f"{HERE}.1" / "bin" / "python")
    (folder / f"python{HERE}").unlink()
    (folder / f"python{HERE}").symlink_to(sys.executable)
    assert found(HERE) == str(folder / f"python{HERE}")


@pytest.mark.parametrize("minors", [MINORS[:1], MINORS[:2], MINORS], ids=len)
def test_the_covering_meets_every_pair(minors):
    levels = (SEEDS, COLLECTORS, OPTIONS, minors)
    cases = covering(minors)
    assert len(cases) == len(set(cases)) <= 24 + 6
    met = {pair for case in cases for pair in itertools.combinations(enumerate(case), 2)}
    for (i, one), (j, two) in itertools.combinations(enumerate(levels), 2):
        assert {((i, a), (j, b)) for a in one for b in two} <= met
    assert len(product(minors)) == 8 * 3 * 3 * len(minors)


def test_a_backtest_writes_the_same_bytes_in_any_process(config, made, tmp_path):
    again = decide("backtest", config, tmp_path / "again", case=Case(4242, "on", "-O"))
    assert again == made[1]
    assert len(again["segments"]) >= 1


def test_what_depends_on_the_hash_seed_is_found(tmp_path):
    """The matrix can fail: a strategy that iterates over a set of texts."""
    strategy = tmp_path / "parts.py"
    strategy.write_text(PARTS.read_text())
    path = configuration(tmp_path, 6)
    path.write_text(
        f'{path.read_text()}\n[strategy.parts]\nclass = "{strategy}:Parts"\naccount = "demo"\nafter = 100\nsays = true\n'
    )
    day = tmp_path / "day"
    decide("backtest", path, day)
    (tmp_path / "none").mkdir()
    same, other = (next(iter(matrix([Case(seed)], THIS, day, tmp_path / "none", 1)))[1] for seed in (0, 1))
    assert wrong_in(same) == ""
    assert "'identical': False" in wrong_in(other)
    assert difference(same, other).startswith("from seq 0: ")


def test_the_campaign_says_what_it_ran(capsys):
    assert cli.main(["torture", "determinism", "--seed", "3", "--count", "2", "--seconds", "8", "--pairs", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["campaign"], said["finds"]) == ("determinism", [])
    assert said["metrics"]["processes"] == said["conditions"]["cases"] == 2
    assert said["metrics"]["decisions"] > 100
    assert HERE in said["conditions"]["pythons"]
