"""`lockstep shadow`: what it says of a difference. Beside a system that trades: tests/end_to_end/test_shadow.py."""

import signal
import sys

import pytest

from lockstep.backtesting import run_backtest
from lockstep.cli import main
from lockstep.config import load
from tests.end_to_end.system import configuration_text
from tests.replay.paced_strategy import paced


@pytest.fixture
def day(tmp_path, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "old_pace.py").write_text(paced("Pace"))
    (tmp_path / "new_pace.py").write_text(paced("Pace").replace("every: int = 40", "every: int = 30"))
    for build in ("old", "new"):
        strategy = {"pace": {"class": f"{tmp_path}/{build}_pace.py:Pace", "account": "demo", "qty": "0.010"}}
        text = configuration_text(tmp_path / "unused", strategy=strategy, backtest={"duration": "2s"})
        (tmp_path / f"{build}.toml").write_text(text)
    run_backtest(load(tmp_path / "old.toml"), tmp_path / "day")
    yield tmp_path
    for name in ("old_pace", "new_pace"):
        sys.modules.pop(name, None)


def test_it_says_that_the_debugger_opens_the_code_of_the_journal(day, capsys):
    """The new file is in CONFIG alone: whoever looks for the difference there is told that it is not."""
    shadow = ["shadow", "--journal", str(day / "day"), "--app", "pace", "--seconds", "1"]
    assert main([*shadow, str(day / "new.toml")]) == 1
    look, note = capsys.readouterr().out.splitlines()[-2:]
    assert look.startswith(f"look: lockstep debug {day}/day --at ")
    assert note == f"  opens the journal's code, {day}/old_pace.py:Pace; what differs is {day}/new_pace.py:Pace"
    (day / "old_pace.py").write_text((day / "new_pace.py").read_text())
    sys.modules.pop("old_pace")
    assert main([*shadow, str(day / "old.toml")]) == 1  # the same file: it opens what differs
    assert capsys.readouterr().out.splitlines()[-1].startswith("look: ")
