"""The player finds what differs and says it; a journal that agrees is proved."""

import json
import re
import sys

import pytest

import apps.group
from journal.errors import FramesLost
from journal.frames import frames
from journal.messages import Clock, NewOrder, order_id_text
from journal.reader import JournalReader
from journal.segment import SEGMENT_BYTES_MIN
from journal.text import time_text
from journal.writer import JournalWriter
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from replay.cursor import Cursor
from replay.player import Finding, Player, UnknownApp, apps_of, judge, verify
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
    assert head in out
    assert re.search(rf"^\* price_px +{price} +{price - 10}$", out, re.MULTILINE)
    assert re.search(r"^  order_qty +5 +5$", out, re.MULTILINE)  # the same on both sides: not marked
    assert [f.name for f in verdict.fields if f.differs] == ["price_px"]
    # Why: the chain from the frame it was decided on to the input.
    (because,) = re.findall(r"^because of\n  (\d+) ", out, re.MULTILINE)
    assert int(because) == verdict.difference_cause == asked[3].header.cause
    # Where it was decided, not where it was sequenced.
    assert f"look: lockstep debug {day} --at {asked[3].header.cause} --app changeable" in out


def test_silence_differs_too(day, capsys):
    source = day.parent / "changeable.py"
    source.write_text(STRATEGY.replace("self.seen % 20 == 0", "self.seen % 20 == 0 and self.seen < 50"))
    verdict = verify(day)
    assert not verdict.identical
    assert verdict.difference.splitlines()[2] == "  app:     nothing"
    assert main(["replay", str(day)]) == 1
    assert "the app has nothing here" in capsys.readouterr().out


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


def test_an_app_that_raises_is_a_difference_with_its_traceback(day, capsys):
    source = day.parent / "changeable.py"
    source.write_text(STRATEGY + "        if self.seen == 70:\n            raise RuntimeError('tangled')\n")
    verdict = verify(day)
    assert (verdict.identical, verdict.finding) == (False, Finding.RAISED)
    assert verdict.difference_app == "changeable"
    assert verdict.difference.startswith(f"changeable: raises at seq {verdict.difference_seq}\nTraceback")
    assert verdict.difference.endswith("RuntimeError: tangled")
    assert "changeable.py" in verdict.difference
    assert verdict.frames == verdict.last_seq == verdict.difference_seq - 1
    forget()
    assert main(["replay", str(day)]) == 4
    out = capsys.readouterr().out
    assert "RuntimeError: tangled" in out
    assert f"look: lockstep debug {day} --at {verdict.difference_seq} --app changeable" in out


def test_another_state_is_told_from_another_decision(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(apps.group, "DIGEST_EVERY", 128)
    source = tmp_path / "changeable.py"
    source.write_text(STRATEGY)
    strategy = {"changeable": {"class": f"{source}:Changeable", "account": "demo"}}
    run_backtest(configuration(tmp_path / "unused", strategy=strategy, backtest={"duration": "2s"}), tmp_path / "day")
    forget()
    source.write_text(STRATEGY + "        if self.seen == 30:\n            self.other = 1\n")
    assert main(["replay", str(tmp_path / "day")]) == 3
    out = capsys.readouterr().out
    assert re.search(r"^\* digest ", out, re.MULTILINE)
    (right,) = re.findall(r"its state was right at seq (\d+); --bisect looks further", out)
    assert int(right) % 128 == 0
    verdict = verify(tmp_path / "day")
    assert verdict.difference_cause == int(right) + 128 == verdict.state_was_right_at + 128
    forget()


def test_frames_that_are_lost_are_no_proof(day, tmp_path):
    """Zeros where the last frames were look like an end."""
    before = verify(day)
    with JournalReader(day) as reader:
        batch = reader.poll(2**20)
        at = [offset for offset, *_ in batch][-3]
    segment = day / "00000001.seg"
    data = bytearray(segment.read_bytes())
    data[at:] = bytes(len(data) - at)
    segment.write_bytes(data)
    lost = f"ends with seq {before.last_seq - 3}, but frames up to {before.last_seq} were on disk; frames are lost"
    with pytest.raises(FramesLost, match=lost):
        verify(day)
    # What stands before them can be proved.
    player = Player(day)
    assert judge(player, before.last_seq - 3).identical
    player.reader.close()


def test_a_new_and_a_growing_journal_are_proved_as_far_as_they_go(tmp_path):
    with JournalWriter.open(tmp_path / "day", segment_bytes=SEGMENT_BYTES_MIN) as writer:
        assert (verify(tmp_path / "day").identical, verify(tmp_path / "day").frames) == (True, 0)
        writer.begin_epoch()
        player = Player(tmp_path / "day")
        for n in range(1, 2 * SEGMENT_BYTES_MIN // 80):
            writer.append(Clock(wall_ts=n), ts=n)
            if n % 1000 == 0:
                writer.sync()
                player.run()
                assert player.group.seq == writer.durable_seq == verify(tmp_path / "day").last_seq
        player.reader.close()


def test_a_journal_that_grows_while_its_end_is_looked_at_has_lost_nothing(tmp_path, monkeypatch):
    """More is on disk than stood there when the last look at the frames was."""
    with JournalWriter.open(tmp_path / "day", segment_bytes=SEGMENT_BYTES_MIN) as writer:
        writer.begin_epoch()
        writer.append(Clock(wall_ts=1), ts=1)
        player = Player(tmp_path / "day")
        read = apps.group.Group.read

        def grows(group, reader, **options):
            found = read(group, reader, **options)
            if found is None:
                writer.append(Clock(wall_ts=2), ts=2)
                writer.sync()
            return found

        monkeypatch.setattr(apps.group.Group, "read", grows)
        seen = writer.last_seq
        assert player.run() == seen < writer.durable_seq
        player.reader.close()


def test_from_a_place_to_a_place(day, capsys):
    with Cursor(day, grain=64, pause_s=0) as cursor:
        whole = cursor.at(cursor.last).group.state_digest().hex()
        held, last = list(cursor.checkpoints.seqs), cursor.last
    assert main(["replay", str(day), "--from", str(held[3] + 5), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["from_seq"] == held[3] + 1
    assert verdict["frames"] == last - held[3]
    assert verdict["state_digest"] == whole
    assert verdict["decisions"] == sum(1 for f in frames(day, from_seq=held[3] + 1) if f.header.source in sources(day))
    assert main(["replay", str(day), "--from", str(held[3] + 5), "--to", str(held[5]), "--app", "oms"]) == 0
    assert f"from seq {held[3] + 1};" in capsys.readouterr().out
    first = next(frames(day, from_seq=held[2], to_seq=held[2]))
    assert main(["replay", str(day), "--to", time_text(first.header.ts), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["last_seq"] == held[2]
    assert main(["replay", str(day), "--from", "yesterday"]) == 2
    assert "expected a seq (500), a time" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--json"], ["--bisect"]])
def test_an_empty_range_is_not_proved(day, capsys, more):
    assert main(["replay", str(day), "--from", "500", "--to", "100", *more]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "lockstep: --to 100 is seq 100, before --from 500, seq 500\n"
    orders = [f for f in frames(day, kinds=[NewOrder.KIND]) if f.header.source_seq > 1]
    late, soon = (order_id_text(f.message.order_id).replace("·", ".") for f in (orders[-1], orders[0]))
    assert main(["replay", str(day), "--from", late, "--to", soon, *more]) == 2
    assert f"--to {soon} is seq {orders[0].header.seq}, before --from {late}, seq " in capsys.readouterr().err
    assert main(["replay", str(day), "--from", "500", "--to", "500"]) == 0


def sources(day):
    return {spec.source for spec in apps_of(day)}
