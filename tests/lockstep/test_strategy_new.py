"""`lockstep strategy new`: what it writes runs as it is."""

import subprocess
import sys

import pytest

from lockstep.cli import main
from lockstep.config import load
from replay.player import verify
from tests.end_to_end.system import ROOT, one_line, run


@pytest.fixture
def made(tmp_path):
    assert main(["strategy", "new", "my_idea", "--dir", str(tmp_path)]) == 0
    return tmp_path


def test_it_writes_three_files_and_says_what_next(tmp_path, capsys):
    assert main(["strategy", "new", "my_idea", "--dir", str(tmp_path / "new")]) == 0
    out = capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["my_idea.py", "my_idea.toml", "test_my_idea.py"]
    for command in ("lockstep demo --strategy", "python -m pytest", "lockstep backtest"):
        assert command in out
    assert "class MyIdea(Strategy)" in (tmp_path / "new/my_idea.py").read_text()
    assert not [p for p in (tmp_path / "new").iterdir() if "@NAME@" in p.read_text() or "@CLASS@" in p.read_text()]


def test_its_configuration_is_valid_and_its_code_is_clean(made):
    assert load(made / "my_idea.toml").class_of("my_idea") == f"{made / 'my_idea.py'}:MyIdea"
    ruff = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(made)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_its_test_passes(made):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(made)],
        cwd=made, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.slow
def test_it_backtests_from_the_command_line(made, capsys):
    text = (made / "my_idea.toml").read_text().replace('duration = "60s"', 'duration = "15s"')
    (made / "my_idea.toml").write_text(text)
    assert main(["backtest", str(made / "my_idea.toml"), "--journal", str(made / "run")]) == 0
    out = capsys.readouterr().out
    assert "replay identical" in out
    assert "my_idea" in out
    assert (made / "run/report.html").exists()


@pytest.mark.slow
def test_it_runs_in_the_demo(made):
    code, out, err = run("demo", "--strategy", made / "my_idea.py", "--duration", "2", "--journal", made / "day", cwd=made)
    assert code == 0, err
    assert "replay identical" in out
    assert "my_idea" in verify(made / "day").apps


@pytest.mark.parametrize("name", ["My", "1st", "class", "a-b", "", "../up"])
def test_a_name_that_is_no_module_is_refused(tmp_path, name, capsys):
    assert main(["strategy", "new", name, "--dir", str(tmp_path)]) == 2
    assert repr(name) in one_line(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(made, capsys):
    (made / "my_idea.py").unlink()
    (made / "my_idea.toml").write_text("# mine\n")
    capsys.readouterr()
    assert main(["strategy", "new", "my_idea", "--dir", str(made)]) == 2
    assert "nothing was written" in one_line(capsys.readouterr().err)
    assert (made / "my_idea.toml").read_text() == "# mine\n"
    assert not (made / "my_idea.py").exists()


@pytest.mark.parametrize("name", ["nobody", "absent.py"])
def test_the_demo_names_the_strategies_it_knows(tmp_path, name, capsys):
    assert main(["demo", "--strategy", str(tmp_path / name), "--journal", str(tmp_path / "day")]) == 2
    line = one_line(capsys.readouterr().err)
    assert "expected one of maker, cross, or a FILE.py" in line
    assert not (tmp_path / "day").exists()
