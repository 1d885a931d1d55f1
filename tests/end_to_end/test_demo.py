"""The demo and `lockstep up` as a user has them: a day that trades, ends cleanly, adds up and is proved."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from fractions import Fraction

import pytest

from journal.frames import frames
from journal.messages import (
    REGISTRY,
    ConfigItem,
    CurrencyDefined,
    EpochStart,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    NewOrder,
    SessionEnd,
    SessionStart,
    Side,
    SourceDefined,
    StrategyDefined,
    VenueFill,
)
from lockstep.supervisor import _OPEN
from replay.player import verify
from tests.end_to_end.system import ROOT, alive, configuration_text, processes_of, run


def units(mantissa, exponent):
    return Fraction(mantissa) * Fraction(10) ** exponent


@pytest.mark.slow
def test_the_demo_trades_adds_up_and_is_proved(tmp_path):
    code, out, err = run("demo", "--json", "--duration", "4", "--journal", tmp_path / "day")
    assert code == 0, err
    told = json.loads(out)
    verdict, summary = told["verdict"], told["summary"]
    assert verdict["identical"]
    assert verdict["decisions"] == sum(verdict["apps"].values()) > 0
    assert set(verdict["apps"]) == {"books", "risk", "oms", "positions", "maker", "cross"}

    # The same sums, counted the long way.
    everything = list(frames(tmp_path / "day"))
    assert [f.header.seq for f in everything] == list(range(1, verdict["last_seq"] + 1))
    assert summary["frames"] == Counter(REGISTRY[f.header.kind].__name__ for f in everything)
    assert summary["journal"]["frames"] == verdict["frames"] == len(everything)
    messages = [f.message for f in everything]
    reports = [m for m in messages if isinstance(m, ExecutionReport)]
    trades = [m for m in reports if m.exec_type == ExecType.TRADE]
    orders = summary["orders"]
    assert orders["new"] == sum(isinstance(m, NewOrder) for m in messages) > 0
    assert orders["fills"] == len(trades)
    assert orders["venue_fills"] == sum(isinstance(m, VenueFill) for m in messages)
    last = {m.order_id: m.ord_status for m in reports}
    assert sum(orders["by_status"].values()) == len(last)
    assert not [i for i, status in last.items() if status in _OPEN], "orders were left open"

    strategies = {m.strategy: m.name for m in messages if isinstance(m, StrategyDefined)}
    instrument = next(m for m in messages if isinstance(m, InstrumentDefined))
    assert {m.ledger_exp for m in messages if isinstance(m, CurrencyDefined)} == {-8}
    for position in summary["positions"]:
        mine = [m for m in trades if strategies[m.strategy] == position["strategy"]]
        assert position["fills"] == len(mine)
        signed = [(1 if m.side == Side.BUY else -1) * units(m.last_qty, instrument.qty_exp) for m in mine]
        cash = -sum(q * units(m.last_px, instrument.px_exp) for q, m in zip(signed, mine, strict=True))
        fees = sum(units(m.fee, m.fee_exp) for m in mine)
        assert Fraction(position["qty"]) == sum(signed)
        assert Fraction(position["fees"]) == fees
        worth = cash + sum(signed) * Fraction(position["mid"]) - fees
        assert abs(Fraction(position["total"]) - worth) <= len(mine) * Fraction(1, 10**8)

    page = (tmp_path / "day/report.html").read_text("utf-8")
    assert told["report"] == str(tmp_path / "day/report.html")
    assert "plotly" in page.lower()
    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)\s*=\s*["']?(https?:)?//""", page), "fetches something"
    assert "BTCUSDT" in page


@pytest.mark.slow
def test_the_demo_with_one_strategy_says_it_on_one_screen(tmp_path):
    code, out, err = run(
        "demo", "--duration", "2", "--strategy", "maker", "--journal", tmp_path / "day", env={"COLUMNS": "160"}
    )
    assert code == 0, err
    assert re.search(r"replay identical: [\d,]+ decisions compared, state digest [0-9a-f]{16}", out)
    assert f"report: {tmp_path / 'day/report.html'}" in out.replace("\n", "")
    names = [f.message.name for f in frames(tmp_path / "day", kinds=[StrategyDefined.KIND])]
    assert names == ["maker"]


class Up:
    """`lockstep up` in a process of its own."""

    def __init__(self, config, journal):
        self.journal = journal
        self.child = subprocess.Popen(
            [sys.executable, "-m", "lockstep", "up", str(config)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        )  # fmt: skip
        self.pids = []

    def trade(self, orders):
        """Until that many orders more were asked for."""
        before = self.orders()
        end = time.monotonic() + 120
        while self.orders() < before + orders:
            assert self.child.poll() is None, self.child.stdout.read()
            assert time.monotonic() < end, "no orders"
            time.sleep(0.2)
        self.pids = processes_of(self.journal)
        assert len(self.pids) == 9  # exchange, sequencer, gateway, six apps

    def orders(self):
        if not (self.journal / "control").exists():
            return 0
        return sum(1 for _ in frames(self.journal, kinds=[NewOrder.KIND]))

    def end(self, number):
        self.child.send_signal(number)
        out, _ = self.child.communicate(timeout=10)
        assert self.child.returncode == 0, out
        assert not [pid for pid in self.pids if alive(pid)], "a process was left"
        assert processes_of(self.journal) == []
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.terminate()
            self.child.wait(20)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_up_ends_cleanly_on_a_signal_and_goes_on_the_next_day(tmp_path):
    journal = tmp_path / "day"
    config = tmp_path / "up.toml"
    config.write_text(configuration_text(journal, exchange__sim__rate=120))

    for session, number in enumerate((signal.SIGTERM, signal.SIGINT), start=1):
        with Up(config, journal) as up:
            up.trade(4)
            out = up.end(number)
        assert "stopping: withdrawing orders" in out
        assert f"lockstep replay {journal} --verify" in out
        everything = list(frames(journal))
        assert isinstance(everything[-1].message, SessionEnd)
        status = {m.order_id: m.ord_status for f in everything if isinstance(m := f.message, ExecutionReport)}
        assert not [i for i, s in status.items() if s in _OPEN], "orders were left open"
        assert [f.message.new_epoch for f in everything if isinstance(f.message, EpochStart)] == list(range(1, session + 1))
        assert sum(isinstance(f.message, SessionStart) for f in everything) == session

    # What the first day has defined is not said again, and each strategy traded in both.
    second = next(f.header.seq for f in everything if isinstance(f.message, EpochStart) and f.message.new_epoch == 2)
    said_again = [
        f.message
        for f in everything
        if f.header.seq > second and isinstance(f.message, SourceDefined | ConfigItem | InstrumentDefined | StrategyDefined)
    ]
    assert said_again == []
    sources = {m.source: m.name for f in everything if isinstance(m := f.message, SourceDefined)}
    for part in (lambda s: s < second, lambda s: s > second):
        asked = {sources[f.header.source] for f in everything if isinstance(f.message, NewOrder) and part(f.header.seq)}
        assert "maker" in asked
    order_ids = [f.message.order_id for f in everything if isinstance(f.message, NewOrder)]
    assert len(order_ids) == len(set(order_ids))
    verdict = verify(journal)
    assert verdict.identical, verdict.difference
    assert verdict.frames == len(everything)
