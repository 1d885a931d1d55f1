"""Every command that asks a journal: one line for a journal that cannot be read, whatever is wrong with it."""

import re
import shutil

import pytest

from journal.frames import frames
from journal.messages import Clock, TopOfBook
from journal.messages.schema import REGISTRY, U64, Message, message
from journal.segment import SEGMENT_BYTES_MIN
from journal.writer import JournalWriter
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from tests.end_to_end.system import ROOT, configuration, configuration_text, one_line

COMMANDS = {
    "why": ["why", "DAY", "3"],
    "whatif": ["whatif", "DAY", "CONFIG", "--out", "OUT"],
    "slice": ["slice", "DAY", "--from", "1", "--out", "OUT"],
    "replay": ["replay", "DAY", "--verify"],
    "bisect": ["replay", "DAY", "--bisect"],
    "debug": ["debug", "DAY", "--at", "3"],
    "regress": ["regress", "DAY", "--against", str(ROOT)],
}
MORE = {
    "replay a part": ["replay", "DAY", "--verify", "--to", "100"],
    "replay against": ["replay", "DAY", "--against", str(ROOT)],
    "slice an order": ["slice", "DAY", "--order", "9.1", "--out", "OUT"],
    "shadow": ["shadow", "CONFIG", "--journal", "DAY", "--seconds", "1"],
    "audit": ["audit", "DAY", "SELECT count(*) FROM orders"],
    "order life": ["audit", "DAY", "order", "9.1"],
    "dump": ["journal", "dump", "DAY"],
    "tail": ["journal", "tail", "DAY"],
    "kill": ["kill", "DAY", "--reason", "test"],
}
"""They too, where it is the schema that is newer."""
BYTES = {
    "info": ["journal", "info", "DAY"],
    "verify": ["journal", "verify", "DAY"],
    "index": ["journal", "index", "DAY"],
    "seal": ["journal", "seal", "DAY"],
    "repair": ["journal", "repair", "DAY"],
    "backup": ["journal", "backup", "DAY", "OUT"],
    "dump a kind": ["journal", "dump", "DAY", "--kind", "Clock"],
}
"""What these look at is the same whatever the frames say."""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command on a day: (exit code, what it said that is not its result)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(configuration_text(tmp_path / "unused"))

    def go(day, words):
        names = {"DAY": str(day), "CONFIG": str(tmp_path / "config.toml"), "OUT": str(tmp_path / "out")}
        code = main([names.get(word, word) for word in words])
        said = capsys.readouterr()
        # It goes on with the other days: what is wrong with one is part of its result.
        return code, f"lockstep: {said.out.splitlines()[0]}" if words[0] == "regress" else said.err

    return go


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
def test_it_is_one_line_that_names_the_file(day, run, command, damage):
    damage(day)
    code, said = run(day, COMMANDS[command])
    assert code == 2
    assert "00000001.seg" in one_line(said)


@pytest.mark.parametrize("command", [*COMMANDS, "replay an app", "replay as JSON"])
def test_a_journal_without_its_only_segment_proves_nothing(session, run, command, tmp_path):
    """No segment is none yet, but the control page knows better."""
    shutil.copytree(session, tmp_path / "day")
    (tmp_path / "day" / "00000001.seg").unlink()
    more = {"replay an app": ["replay", "DAY", "--app", "oms"], "replay as JSON": ["replay", "DAY", "--json"]}
    code, said = run(tmp_path / "day", (COMMANDS | more)[command])
    assert code == 2
    line = one_line(said)
    if command.startswith(("replay", "bisect", "regress")):
        assert re.search(r"ends with seq 0, but frames up to \d+ were on disk; frames are lost", line)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A short day that trades, in a segment no larger than it needs."""
    folder = tmp_path_factory.mktemp("session")
    run_backtest(configuration(folder / "unused", backtest={"duration": "2s"}), folder / "day")
    assert main(["slice", str(folder / "day"), "--from", "1", "--out", str(folder / "small")]) == 0
    return folder / "small"


@pytest.fixture(scope="module", params=["a kind", "a version"])
def upgraded(session, request, tmp_path_factory):
    """The day, gone on by a newer build: (journal, what it says of the first frame that is not understood)."""
    folder = tmp_path_factory.mktemp("upgraded") / "day"
    shutil.copytree(session, folder)
    held = dict(REGISTRY)
    try:
        if request.param == "a kind":

            @message(98, 1)
            class Tomorrow(Message):
                a: U64 = 0

            other: Message = Tomorrow(a=1)
        else:
            today: type[Message] = TopOfBook
            del REGISTRY[today.KIND]

            @message(today.KIND, today.VERSION + 1)
            class Touch(today):
                implied: U64 = 0

            other = Touch(instrument=1)
        end = list(frames(folder))[-1].header
        with JournalWriter.open(folder) as writer:
            writer.begin_epoch()
            seq = writer.append(other, ts=end.ts + 1)
            writer.append(Clock(wall_ts=1), ts=end.ts + 2)
    finally:
        REGISTRY.clear()
        REGISTRY.update(held)
    return folder, seq


@pytest.mark.parametrize("command", COMMANDS | MORE)
def test_a_newer_schema_is_one_line_that_names_the_frame(upgraded, run, command):
    day, seq = upgraded
    code, said = run(day, (COMMANDS | MORE)[command])
    assert code == 2
    line = one_line(said)
    assert f"00000002.seg: frame {seq} at byte " in line
    assert "read it with a newer one" in line


@pytest.mark.parametrize("command", BYTES)
def test_what_looks_at_bytes_alone_takes_a_newer_schema(upgraded, run, command, tmp_path):
    shutil.copytree(upgraded[0], tmp_path / "copy")
    code, said = run(tmp_path / "copy", BYTES[command])
    assert (code, said) == (0, "")
