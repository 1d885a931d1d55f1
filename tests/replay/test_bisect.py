"""Bisection: the first frame at which two runs part, by hash seed or by code; against the record the first bad interval."""

import json
import re
import shutil
import sys

import pytest

import apps.group
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from replay.bisect import Side, bisect
from replay.builds import CannotRun, build_of
from replay.player import Player
from tests.end_to_end.system import ROOT, configuration, one_line

STRATEGY = """
from apps.strategy import Strategy, on
from journal.messages import TopOfBook


class Drifts(Strategy):
    def start(self):
        self.seen = 0
        self.total = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
        self.total += m.bid_px
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A day of a strategy that only counts, with digests every 256 frames."""
    monkeypatch.setattr(apps.group, "DIGEST_EVERY", 256)
    source = tmp_path / "drifts.py"
    source.write_text(STRATEGY)
    strategy = {"drifts": {"class": f"{source}:Drifts", "account": "demo"}}
    run_backtest(configuration(tmp_path / "unused", strategy=strategy, backtest={"duration": "3s"}), tmp_path / "day")
    sys.modules.pop("drifts", None)
    yield tmp_path / "day", source
    sys.modules.pop("drifts", None)


def wake(day, number):
    """The frame that woke the strategy the nth time, found by stepping."""
    player = Player(day, ["drifts"])
    while player.slots[0].app.seen < number:
        assert player.run(to_seq=player.reader.next_seq)
    player.reader.close()
    sys.modules.pop("drifts", None)
    return player.group.seq


def test_equal_sides_never_part(made):
    day, _ = made
    with Side(day, ["drifts"]) as one, Side(day, ["drifts"], hash_seed=1) as other:
        assert bisect(one, other, day) is None


def test_what_never_parts_is_told_as_one_object(made, capsys):
    day, _ = made
    assert main(["replay", str(day), "--app", "drifts", "--bisect", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"]
    assert (told["bisect"]["right_at"], told["bisect"]["wrong_at"], told["bisect"]["parted"]) == (0, 0, None)


def test_a_hash_that_got_in_is_found_at_its_frame(made, capsys):
    """By the order of a set of strings, which no trap sees."""
    day, source = made
    fiftieth = wake(day, 50)
    order = "sum(n * ord(x) for n, x in enumerate(set('abcdefghijklmnopqrst')))"
    source.write_text(STRATEGY + f"        if self.seen == 50:\n            self.total += {order}\n")
    with Side(day, ["drifts"]) as one, Side(day, ["drifts"], hash_seed=1) as other:
        parted = bisect(one, other, day)
    assert parted.apps == ["drifts"]
    assert parted.seq == fiftieth
    assert main(["replay", str(day), "--app", "drifts", "--bisect"]) == 3
    out = capsys.readouterr().out
    right = re.search(r"drifts was right at seq (\d+) and is not at seq (\d+)", out)
    assert int(right[1]) < parted.seq <= int(right[2]) == int(right[1]) + 256
    assert f"against this code under another hash seed: the first bad frame is {parted.seq}; after it differ drifts" in out
    assert f"look: lockstep debug {day} --at {parted.seq} --app drifts" in out
    sys.modules.pop("drifts", None)
    assert main(["replay", str(day), "--app", "drifts", "--bisect", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)  # one object, nothing around it
    assert (told["finding"], told["difference_app"]) == ("digest", "drifts")
    assert told["bisect"] == {
        "against": "this code under another hash seed", "right_at": int(right[1]), "wrong_at": int(right[2]),
        "parted": {"seq": fiftieth, "apps": ["drifts"], "raised": ""},
    }  # fmt: skip


def test_other_code_is_bisected_against_its_checkout(made, tmp_path, capsys):
    """Two checkouts whose books differ: one has lost a line."""
    day, source = made
    other = tmp_path / "other"
    for package in ("journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    positions = other / "apps" / "instruments.py"
    text = positions.read_text()
    assert "self.venues[m.venue] = m" in text
    positions.write_text(text.replace("self.venues[m.venue] = m", "self.venues[m.venue + 1] = m"))
    source.write_text(STRATEGY.replace("self.total += m.bid_px", "self.total += m.bid_px + (self.seen == 60)"))
    with Side(day, ["drifts"]) as one, Side(day, ["drifts"], build=build_of(str(other))) as two:
        assert bisect(one, two, day) is None  # the strategy's file is the same for both, and reads no venue
    strategy = other / "apps" / "strategy.py"
    text = strategy.read_text()
    changed = "        self.enabled = True\n        self._order_number = 0\n"
    assert changed in text
    strategy.write_text(text.replace(changed, "        self.enabled = True\n        self._order_number = 1\n"))
    assert main(["replay", str(day), "--app", "drifts", "--bisect", "--against", str(other)]) == 3
    assert f"against the code of {other}: the first bad frame is 1; after it differ drifts" in capsys.readouterr().out


def test_a_side_that_raises_is_named(made):
    day, source = made
    fiftieth = wake(day, 50)
    source.write_text(
        STRATEGY + "        if self.seen == 50 and hash('a') == hash_of_a():\n            raise RuntimeError('tangled')\n"
    )
    source.write_text(
        source.read_text()
        + "\n\ndef hash_of_a():\n    import os\n    return hash('a') if os.environ['PYTHONHASHSEED'] == '1' else None\n"
    )
    with Side(day, ["drifts"]) as one, Side(day, ["drifts"], hash_seed=1) as other:
        parted = bisect(one, other, day)
    assert parted.seq == fiftieth
    assert parted.raised == "hash seed 1: RuntimeError: tangled"


def test_a_folder_that_is_no_checkout(made, tmp_path, capsys):
    day, source = made
    assert main(["replay", str(day), "--bisect", "--against", str(tmp_path)]) == 2
    assert one_line(capsys.readouterr().err) == (
        f"lockstep: --against {tmp_path}: no checkout of lockstep; expected a folder with its sources and built kernels, "
        "or a git revision of the repository you stand in"
    )
    source.unlink()
    with pytest.raises(CannotRun, match=r"hash seed 0: .*drifts\.py"):
        Side(day, ["drifts"])
