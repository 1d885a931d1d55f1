"""A TWAP in a backtest: slices on time, within the parent, and the same bytes at every run and replay."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from journal.messages import (
    ExecType,
    ExecutionReport,
    NewOrder,
    OrdStatus,
    ParentOrder,
    ReportFlag,
    RiskCheck,
    RiskDecision,
    Side,
)
from lockstep.backtesting import run_backtest
from lockstep.testing import Run, assert_deterministic
from replay.player import verify
from tests.end_to_end.system import configuration

SECOND = 1_000_000_000
TWAP = {
    "class": "apps.strategies.twap:Twap", "account": "demo", "symbols": ["BTCUSDT"], "qty": "0.5", "side": "buy",
    "seconds": 8, "slices": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twap")
    made = []
    for name in ("one", "two"):
        config = configuration(folder / "unused", strategy={"twap": TWAP}, backtest={"duration": "10s"}, risk={})
        made.append(Run(folder / name, run_backtest(config, folder / name)))
    return made


def test_two_runs_are_byte_equal_and_a_replay_decides_the_same(runs):
    assert runs[0].digest() == runs[1].digest()
    verdict = verify(runs[0].journal)
    assert verdict.identical, verdict.difference


def test_the_parent_is_worked_in_slices_within_its_bounds(runs):
    (parent,) = [f.message for f in runs[0].frames("ParentOrder")]
    assert isinstance(parent, ParentOrder)
    children = [f for f in runs[0].frames("NewOrder") if f.message.parent_order_id == parent.order_id]
    assert len(children) >= 4
    gaps = [b.header.ts - a.header.ts for a, b in itertools.pairwise(children)]
    assert min(gaps) >= SECOND
    for child in children:
        assert isinstance(child.message, NewOrder)
        assert child.message.side == Side.BUY
        assert child.message.price_px <= parent.limit_px
    decisions = [f.message for f in runs[0].frames("RiskDecision")]
    assert all(isinstance(d, RiskDecision) for d in decisions)
    assert all(RiskCheck.PARENT_INVARIANTS in [c.check for c in d.checks] for d in decisions)


def test_the_parent_is_what_its_children_filled(runs):
    reports = [f.message for f in runs[0].frames("ExecutionReport")]
    of_parent = [m for m in reports if m.report_flags & ReportFlag.PARENT]
    trades = [m for m in reports if m.exec_type == ExecType.TRADE]
    assert isinstance(of_parent[-1], ExecutionReport)
    assert of_parent[-1].cum_qty == sum(m.last_qty for m in trades)
    assert of_parent[-1].ord_status in (OrdStatus.FILLED, OrdStatus.EXPIRED)
    positions = [f.message for f in runs[0].frames("Position")]
    assert positions[-1].long_qty == of_parent[-1].cum_qty  # once, not twice


def test_its_source_is_deterministic():
    assert_deterministic(Path("apps/strategies/twap.py"))
