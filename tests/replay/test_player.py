"""The player finds what differs and says it; a journal that agrees is proved."""

import sys

import pytest

from journal.frames import frames
from journal.messages import NewOrder
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from replay.player import Player, UnknownApp, verify
from tests.end_to_end.system import configuration

STRATEGY = """
from apps.strategy import SECOND, Strategy, on
from journal.messages import TopOfBook


class Changeable(Strategy):
    def start(self):
        self.seen = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
        if self.seen % 20 == 0:
            self.buy(m.instrument, 5, m.bid_px - 10 * (self.seen > 100))
"""


def forget():
    """Let the next replay load the strategy's file again, as another process would."""
    sys.modules.pop("changeable", None)


@pytest.fixture
def day(tmp_path):
    source = tmp_path / "changeable.py"
    source.write_text(STRATEGY)
    strategy = {"changeable": {"class": f"{source}:Changeable", "account": "demo"}}
    config = configuration(tmp_path / "unused", strategy=strategy, backtest={"duration": "4s"})
    run_backtest(config, tmp_path / "day")
    forget()
    yield tmp_path / "day"
    forget()


def test_equal_code_is_identical(day):
    verdict = verify(day)
    assert verdict.identical
    assert verdict.frames == verdict.last_seq == sum(1 for _ in frames(day))
    assert verdict.apps["changeable"] > 5
    assert verdict.pending == 0
    assert verdict.difference == ""
    assert verdict.line.startswith("replay identical: ")


def test_changed_code_is_found_at_its_first_other_decision(day, capsys):
    source = day.parent / "changeable.py"
    source.write_text(STRATEGY.replace("self.seen > 100", "self.seen > 60"))
    verdict = verify(day)
    assert not verdict.identical
    asked = list(frames(day, kinds=[NewOrder.KIND]))
    assert verdict.difference_seq == asked[3].header.seq  # at the 80th touch; those at 20, 40 and 60 are as they were
    assert verdict.apps["changeable"] >= 3

    head, journal, app = verdict.difference.splitlines()
    assert head == f"changeable: differs from the journal at seq {verdict.difference_seq}"
    price = asked[3].message.price_px
    assert f"price_px={price}" in journal
    assert f"price_px={price - 10}" in app

    forget()
    assert main(["replay", str(day), "--verify"]) == 1
    out = capsys.readouterr().out
    assert f"replay DIFFERS at seq {verdict.difference_seq}" in out
    assert verdict.difference in out
    # Where it was decided, not where it was sequenced.
    assert f"look: lockstep debug {day} --at {asked[3].header.cause} --app changeable" in out


def test_silence_differs_too(day):
    source = day.parent / "changeable.py"
    source.write_text(STRATEGY.replace("self.seen % 20 == 0", "self.seen % 20 == 0 and self.seen < 50"))
    verdict = verify(day)
    assert not verdict.identical
    assert verdict.difference.splitlines()[2] == "  app:     nothing"


def test_a_class_that_has_gone_is_one_line(day, capsys):
    (day.parent / "changeable.py").unlink()
    assert main(["replay", str(day), "--verify"]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert "changeable.py:Changeable" in err


def test_only_the_apps_that_are_named(day):
    verdict = verify(day, ["risk", "oms"])
    assert verdict.identical
    assert set(verdict.apps) == {"risk", "oms"}


def test_an_unknown_app_is_told_those_there_are(day, capsys):
    with pytest.raises(UnknownApp, match="no app 'nobody'; it has books, changeable, oms, positions, risk"):
        verify(day, ["nobody"])
    assert main(["replay", str(day), "--app", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


def test_a_player_can_stop_anywhere_and_go_on(day):
    whole, steps = Player(day), Player(day)
    whole.run()
    end = whole.group.seq
    for at in (1, 2, end // 3, end // 3, end):
        steps.run(to_seq=at)
        assert steps.group.seq == at
    assert steps.group.state_digest() == whole.group.state_digest()
    whole.reader.close()
    steps.reader.close()
