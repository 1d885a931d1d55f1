"""Bad input, end to end: one clear line and an exit code, nothing lost, nothing stopped that need not stop."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from journal.frames import frames
from journal.logs import words
from journal.messages import ExecType, ExecutionReport, NewOrder, RiskDecision
from journal.messages.enums import Decision
from lockstep.cli import main
from lockstep.supervisor import SystemFailed
from replay.player import verify
from tests.end_to_end.system import ROOT, System, configuration, configuration_text, one_line, run, same_files, together


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.05)


class Sequencer:
    """`lockstep sequencer CONFIG`, for as long as a block lasts."""

    def __init__(self, config, journal):
        self.journal = journal
        self.child = subprocess.Popen(
            [sys.executable, "-m", "lockstep", "sequencer", str(config)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        )  # fmt: skip

    def __enter__(self):
        wait_for(lambda: (self.journal / "run/sequencer.sock").exists() or self.child.poll() is not None)
        assert self.child.poll() is None, self.child.stdout.read()
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        self.child.communicate(timeout=20)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(configuration_text(tmp_path / "day"))
    return path


def rewritten(config, tmp_path, **changes):
    config.write_text(configuration_text(tmp_path / "day", **changes))
    return config


# Configuration, names, ports.


def test_a_port_in_use_is_named(tmp_path, config, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        rewritten(config, tmp_path, exchange__sim__port=port)
        assert main(["up", str(config)]) == 2
    line = one_line(capsys.readouterr().err)
    assert f"{config}: exchange.sim.port = {port}: expected a free port" in line


WRONG = {
    "unknown key": ({"session__jurnal": "x"}, "session.jurnal: unknown key"),
    "wrong unit": ({"risk__default__max_messages": {"count": 5, "window": "10 parsecs"}}, "risk.default.max_messages.window"),
    "unknown venue": ({"instrument__BTCUSDT__venue": "mars"}, "instrument.BTCUSDT.venue = 'mars'"),
    "no such class": ({"strategy__maker__class": "nowhere:X"}, "strategy.maker.class = 'nowhere:X'"),
}


@pytest.mark.parametrize("command", ["up", "sequencer", "app maker", "gateway sim", "exchange sim", "backtest"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_one_line_from_every_command(tmp_path, config, capsys, command, name):
    changes, expected = WRONG[name]
    rewritten(config, tmp_path, **changes)
    assert main([*command.split(), str(config)]) == 2
    line = one_line(capsys.readouterr().err)
    assert line.startswith(f"lockstep: {config}: ")
    assert expected in line
    assert not (tmp_path / "day").exists()


NAMES = [("app", "nobody", "maker"), ("gateway", "mars", "sim"), ("exchange", "mars", "sim")]


@pytest.mark.parametrize(("command", "name", "known"), NAMES)
def test_an_unknown_name_is_told_the_known_ones(config, capsys, command, name, known):
    assert main([command, name, str(config)]) == 2
    line = one_line(capsys.readouterr().err)
    assert name in line
    assert known in line


@pytest.mark.parametrize("command", ["replay --verify", "debug --at 1", "journal info", "journal verify", "audit"])
def test_no_journal_is_one_line(tmp_path, capsys, command):
    assert main([*command.split(), str(tmp_path / "absent")]) != 0
    assert str(tmp_path / "absent") in one_line(capsys.readouterr().err)
    assert not (tmp_path / "absent").exists()


# A damaged journal.


@pytest.fixture(scope="module")
def good_day(tmp_path_factory):
    """A short backtest's journal."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "my.toml").write_text(configuration_text(folder / "unused", backtest={"market": "generated", "duration": "2s"}))
    assert main(["backtest", str(folder / "my.toml"), "--journal", str(folder / "day"), "--json"]) == 0
    return folder / "day"


def test_a_flipped_bit_is_found_by_all_and_mended_by_none(tmp_path, config, good_day, capsys):
    day = tmp_path / "day"
    shutil.copytree(good_day, day)
    total = sum(1 for _ in frames(day))
    segment = day / "00000001.seg"
    offset = 8192 + (segment.read_bytes().rstrip(b"\0").__len__() - 8192) // 2
    with segment.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
    before = same_files(day)
    capsys.readouterr()

    for command in (["journal", "verify"], ["replay", "--verify"], ["audit"]):
        assert main([*command, str(day)]) != 0, command
        told = capsys.readouterr()
        said = (told.err or told.out).strip()
        assert "Traceback" not in said
        assert str(segment) in said, command
        assert "expected" in said, command
    for _ in range(2):  # the first refusal must not pave the way for the second try
        code, _, err = run("sequencer", config, timeout=20)
        assert code != 0
        assert str(segment) in one_line(err)

    after = same_files(day)
    del before["control"], after["control"]  # says who tried to write
    assert {n: d for n, d in after.items() if not n.startswith("run/")} == before
    assert total > 100


def test_one_journal_has_one_sequencer(config, tmp_path):
    with Sequencer(config, tmp_path / "day") as first:
        code, _, err = run("sequencer", config, timeout=20)
        assert code != 0
        line = one_line(err)
        assert f"process {first.child.pid} is writing this journal" in line
        assert first.child.poll() is None
    assert first.child.returncode == 0
    assert next(f.header.seq for f in frames(tmp_path / "day")) == 1


def test_a_full_disk_at_the_start_is_one_line(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs to mount a small tmpfs, which this user may not")
    try:
        config = tmp_path / "my.toml"
        config.write_text(configuration_text(disk / "day", sequencer__segment_bytes=16 << 20))
        code, _, err = run("up", config, timeout=30)
        assert code != 0
        line = one_line(err)
        assert "disk full" in line
        assert "segment_bytes" in line
        code, _, err = run("sequencer", config, timeout=20)
        assert code != 0
        assert "disk full" in one_line(err)
        # Room again (a smaller segment): what the failed start has left does not stand in the way.
        config.write_text(configuration_text(disk / "day", sequencer__segment_bytes=1 << 20))
        with Sequencer(config, disk / "day") as running:
            pass
        assert running.child.returncode == 0
    finally:
        subprocess.run(["umount", disk], check=True)


# Strategies that are wrong, and orders that are too large.

STRATEGIES = """
from apps.strategies.cross import Cross
from apps.strategies.maker import MarketMaker
from apps.strategy import Strategy, on
from journal.messages import TopOfBook


class Raises(Strategy):
    def start(self):
        self.seen = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
        if self.seen == 5:
            raise ZeroDivisionError("on the fifth touch")


class Floats(Strategy):
    def start(self):
        self.average = 0.5


class Greedy(Strategy):
    def start(self):
        self.asked = False

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        if not self.asked:
            self.asked = True
            self.buy(m.instrument, 5_000, m.bid_px)
"""


def system(tmp_path, name, **changes):
    (tmp_path / "wrong.py").write_text(STRATEGIES)
    table = {"class": f"{tmp_path / 'wrong.py'}:{name.capitalize()}", "account": "demo"}
    others = together("books", "risk", "oms", "positions", "maker", "cross")
    return System(configuration(tmp_path / "day", **{f"strategy__{name}": table}, **others, **changes))


@pytest.mark.slow
def test_a_strategy_that_raises_halts_alone_until_it_is_hopeless(tmp_path):
    running = system(tmp_path, "raises")
    try:
        running.start()
        with pytest.raises(SystemFailed) as failed:
            running.run_for(150)
        line = str(failed.value)
        assert "\n" not in line
        assert line.startswith("raises: exit code 4 (raises: halted on the frame after seq ")
        assert str(tmp_path / "day/run/raises.log") in line
        assert set(running.restarted) == {"raises"}, "others were stopped too"
        assert len(running.restarted) == 5
        assert [n for n, p in running.processes.items() if p.ended() is not None] == ["raises"]
        running.stop()
    except BaseException:
        running.kill()
        raise
    log = (tmp_path / "day/run/raises.log").read_text()
    assert "ZeroDivisionError: on the fifth touch" in log
    assert "wrong.py" in log
    halts = {words(line) for line in log.splitlines() if " error host " in line}
    assert len(halts) == 1, "it must halt on the same frame each time"


def test_a_strategy_that_holds_a_float_is_refused_before_it_trades(tmp_path, config, capsys):
    (tmp_path / "wrong.py").write_text(STRATEGIES)
    rewritten(config, tmp_path, strategy__floats={"class": "wrong.py:Floats", "account": "demo"})
    for command in ("up", "backtest"):
        assert main([command, str(config)]) == 2
        line = one_line(capsys.readouterr().err)
        assert f"{config}: strategy.floats" in line
        assert "state['average']: float 0.5; state holds integers, text, lists and dicts only" in line
    assert not (tmp_path / "day").exists()


@pytest.mark.slow
def test_an_oversized_order_is_refused_on_the_stream(tmp_path):
    running = system(tmp_path, "greedy")
    journal = tmp_path / "day"

    def refused():
        """A busy machine's first orders may be refused for books that are not fresh yet."""
        reports = [f.message for f in frames(journal, kinds=[ExecutionReport.KIND])]
        return [m for m in reports if m.exec_type == ExecType.REJECTED and m.order_qty == 5_000]

    try:
        running.start()
        running.run_until(lambda: (journal / "control").exists() and refused())
        running.stop()
    except BaseException:
        running.kill()
        raise
    report = refused()[0]
    asked = next(f for f in frames(journal, kinds=[NewOrder.KIND]) if f.message.order_id == report.order_id)
    decision = next(f.message for f in frames(journal, kinds=[RiskDecision.KIND]) if f.message.order_id == report.order_id)
    assert asked.message.order_qty == 5_000
    assert decision.decision == Decision.REJECT
    assert decision.request_seq == asked.header.seq
    assert report.reason == decision.reason
    assert running.restarted == []
    assert verify(journal).identical
