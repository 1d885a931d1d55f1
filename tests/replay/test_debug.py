"""The debugger: stops on the production code just before a handler gets a frame, takes pdb's commands, leaves quietly."""

import io
import re
import subprocess
import sys

import pytest

from journal.frames import frames
from journal.messages import ExecutionReport, MarketByPriceUpdate, NewOrder, SourceDefined
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from replay.debug import NothingHandles, debug
from tests.end_to_end.system import ROOT, configuration, one_line


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debug")
    run_backtest(configuration(folder / "unused", backtest={"duration": "3s"}), folder / "day")
    return folder / "day"


def seqs(day, cls):
    return [f.header.seq for f in frames(day, kinds=[cls.KIND])]


def session(day, at, name=None, commands="q\n"):
    said = io.StringIO()
    stops = debug(day, at, name, stdin=io.StringIO(commands), stdout=said)
    return stops, said.getvalue()


def test_it_stops_at_the_handlers_first_line_with_the_message(day):
    at = seqs(day, NewOrder)[2]
    stops, said = session(day, at, "risk", "p m.order_qty\np self.ctx.now\np self.ctx.seq\nw\nq\n")
    assert stops == 1
    frame = next(f for f in frames(day, from_seq=at, to_seq=at))
    assert re.search(rf"^risk gets {at} .* NewOrder ", said)
    assert "def on_new_order" in said or "-> " in said
    assert f"(risk@{at}) {frame.message.order_qty}" in said
    assert f"(risk@{at}) {frame.header.ts}" in said
    assert f"(risk@{at}) {at}" in said
    assert "riskengine" in said or "apps/risk.py" in said


def test_it_can_go_on_through_all_that_handle_the_frame(day):
    at = seqs(day, ExecutionReport)[3]
    stops, said = session(day, at, None, "c\n" * 20)
    assert stops >= 3
    for name in ("risk", "positions", "maker"):
        assert re.search(rf"^(\(.*\) )?{name} gets {at} .* ExecutionReport ", said, re.MULTILINE)


def test_quit_leaves_all_of_it(day):
    at = seqs(day, ExecutionReport)[3]
    stops, said = session(day, at, None, "q\n")
    assert stops == 1
    assert said.count(f" gets {at} ") == 1


def test_the_end_of_the_commands_is_a_quit(day):
    stops, _ = session(day, seqs(day, NewOrder)[0], None, "")
    assert stops == 1


@pytest.mark.parametrize("commands", ["q\n", "c\n" * 20, "n\nn\ns\nq\n", ""])
def test_the_command_ends_quietly(day, commands):
    at = seqs(day, NewOrder)[1]
    done = subprocess.run(
        [sys.executable, "-m", "lockstep", "debug", str(day), "--at", str(at)],
        input=commands, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert f" gets {at} " in done.stdout


@pytest.mark.parametrize("at", [0, -1, 10**6])
def test_a_seq_that_is_not_there(day, at, capsys):
    assert main(["debug", str(day), "--at", str(at)]) == 2
    line = one_line(capsys.readouterr().err)
    assert f"seq {at} is not in the journal; it has 1 to " in line


def test_a_frame_that_nobody_handles(day, capsys):
    nothing = seqs(day, SourceDefined)[0]
    last = max(seqs(day, MarketByPriceUpdate))
    with pytest.raises(
        NothingHandles, match=f"no app of this session does not handle the frame at seq {nothing}|at seq {nothing}"
    ):
        debug(day, nothing)
    assert main(["debug", str(day), "--at", str(last), "--app", "risk"]) == 2
    line = one_line(capsys.readouterr().err)
    assert f"'risk' does not handle the frame at seq {last}" in line
    assert "lockstep journal dump" in line


def test_an_app_that_is_not_there(day, capsys):
    assert main(["debug", str(day), "--at", "5", "--app", "nobody"]) == 2
    line = one_line(capsys.readouterr().err)
    assert "nobody" in line
    assert "maker" in line
