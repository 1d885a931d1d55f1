"""The command itself: help, version, exit codes, and errors that a person can mend in one line."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lockstep
from apps.strategies.cross import Cross
from journal.errors import OperatingError
from journal.messages import LogRecord
from lockstep import cli
from lockstep.demo import Options, demo_config
from lockstep.supervisor import Supervisor
from tests.end_to_end.system import one_line, run

GOLDEN = Path(__file__).parents[1] / "golden" / "journal"
COMMANDS = [c for commands in cli._MODULES.values() for c in commands]


def test_version_and_help(capsys):
    for arguments, expected in ((["--version"], f"lockstep {lockstep.__version__}"), (["--help"], "the debugging trace")):
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        assert left.value.code == 0
        assert expected in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: lockstep {command}")
    assert len(out.splitlines()) > 4


@pytest.mark.parametrize("arguments", [[], ["trade"], ["replay"], ["debug", "--at", "7"], ["demo", "--duration", "long"]])
def test_wrong_use_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: lockstep" in capsys.readouterr().err


@pytest.mark.parametrize("duration", ["0", "-3", "nan", "inf"])
def test_a_demo_needs_time(duration, capsys):
    assert cli.main(["demo", "--duration", duration]) == 2
    assert "--duration" in one_line(capsys.readouterr().err)


def test_what_a_person_can_mend_is_a_line_and_a_bug_is_a_traceback(monkeypatch, capsys):
    def raises(error):
        class Parser:
            def parse_args(self, given):
                class Arguments:
                    @staticmethod
                    def run(arguments):
                        raise error

                return Arguments

        monkeypatch.setattr(cli, "parser", lambda command: Parser())

    raises(OperatingError("the disk is full"))
    assert cli.main(["x"]) == 2
    assert one_line(capsys.readouterr().err) == "lockstep: the disk is full"
    raises(KeyboardInterrupt())
    assert cli.main(["x"]) == 130
    raises(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        cli.main(["x"])


def test_a_reader_that_leaves_is_no_error(tmp_path):
    capture = subprocess.run(
        f"{sys.executable} -m lockstep journal --help | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert capture.stderr == ""


@pytest.mark.parametrize("arguments", [("info",), ("dump",), ("dump", "--json")])
def test_a_full_disk_under_the_output_is_one_line(arguments):
    """Told at once, and again at the end, where the interpreter would print a traceback of its own."""
    action, *options = arguments
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "lockstep", "journal", action, str(GOLDEN), *options]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "lockstep: standard output: No space left on device\n")


@pytest.mark.parametrize("verb", ["kill", "stop", "start"])
def test_operating_commands_need_a_running_system(verb, tmp_path, capsys):
    assert cli.main([verb, str(tmp_path / "absent"), "--reason", "test"]) == 2
    assert str(tmp_path / "absent") in one_line(capsys.readouterr().err)


def test_the_installed_command_is_this_one():
    scripts = tomllib.loads((Path(lockstep.__file__).parents[1] / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"lockstep": "lockstep.cli:main"}
    code, out, _ = run("--version")
    assert code == 0
    assert out.strip() == f"lockstep {lockstep.__version__}"


def test_a_replay_that_differs_says_whether_the_build_does_too(tmp_path, monkeypatch, capsys):
    journal = tmp_path / "day"
    system = Supervisor(demo_config(Options(journal=journal, strategies=["cross"])))
    try:
        system.start()
        system.until_ready()
        system.stop()
    except BaseException:
        system.kill()
        raise
    monkeypatch.setattr(Cross, "_strategy_defined", lambda self, m: self.emit(LogRecord(text="new code")))
    assert cli.main(["replay", str(journal)]) == 1
    said = capsys.readouterr()
    assert "build" not in said.out + said.err  # the strategy's code differs, lockstep's does not
    monkeypatch.setattr("replay.skew.build_digest", lambda: b"\1" * 32)
    assert cli.main(["replay", str(journal)]) == 1
    assert "replayed by build 0101010101010101" in capsys.readouterr().err
