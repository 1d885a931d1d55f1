"""Every command that asks a journal: one line for a journal that cannot be read, whatever is wrong with it."""

import pytest

from journal.messages import Clock
from journal.segment import SEGMENT_BYTES_MIN
from journal.writer import JournalWriter
from lockstep.cli import main
from tests.end_to_end.system import configuration_text, one_line

COMMANDS = {
    "why": ["why", "DAY", "3"],
    "whatif": ["whatif", "DAY", "CONFIG", "--out", "OUT"],
    "slice": ["slice", "DAY", "--from", "1", "--out", "OUT"],
    "replay": ["replay", "DAY", "--verify"],
    "debug": ["debug", "DAY", "--at", "3"],
}


@pytest.fixture
def day(tmp_path):
    with JournalWriter.open(tmp_path / "day", segment_bytes=SEGMENT_BYTES_MIN) as writer:
        writer.begin_epoch()
        for n in range(1, 2 * SEGMENT_BYTES_MIN // 80):
            writer.append(Clock(wall_ts=n), ts=n)
    assert (tmp_path / "day" / "00000002.seg").exists()
    return tmp_path / "day"


def missing(day):
    (day / "00000001.seg").unlink()


def shortened(day):
    with open(day / "00000001.seg", "r+b") as segment:
        segment.truncate(100_000)


def newer(day):
    with open(day / "00000001.seg", "r+b") as segment:
        segment.write(b"\xff" * 8)


@pytest.mark.parametrize("damage", [missing, shortened, newer])
@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_one_line_that_names_the_file(day, tmp_path, monkeypatch, capsys, command, damage):
    damage(day)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(configuration_text(tmp_path / "unused"))
    names = {"DAY": str(day), "CONFIG": str(tmp_path / "config.toml"), "OUT": str(tmp_path / "out")}
    assert main([names.get(word, word) for word in COMMANDS[command]]) == 2
    assert "00000001.seg" in one_line(capsys.readouterr().err)
