"""A TWAP in a backtest: slices on time, within the parent, and the same bytes at every run and replay; and on a desk, where
persons give it parents."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from journal.messages import (
    NULL,
    Alert,
    AlgoType,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrdStatus,
    ParentOrder,
    ReportFlag,
    RiskCheck,
    RiskDecision,
    Side,
    SourceDefined,
    SourceRole,
    order_id_of,
)
from lockstep.backtesting import run_backtest
from lockstep.testing import Run, assert_deterministic
from replay.player import verify
from tests.end_to_end.system import configuration
from tests.replay.desk import PERSON, Desk

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


# What persons give.

GIVEN = order_id_of(PERSON, 1)


def give(path, *, lasts=5, **terms):
    """A desk with a TWAP of four slices in four seconds, and a person's parent for it: 0.4, from in a second on."""
    d = Desk(path, twap={"symbols": ["BTCUSD"], "seconds": 4, "slices": 4})
    d.put(SourceDefined(source=PERSON, role=SourceRole.OPERATOR, name="operator"), 0)
    start = d.stream.ts + SECOND
    end = start + lasts * SECOND if lasts else 0
    base = {"order_id": GIVEN, "account": 1, "strategy": 2, "instrument": 1, "side": Side.BUY, "order_qty": 400,
            "limit_px": 5001, "algo": AlgoType.TWAP, "start_ts": start, "end_ts": end}  # fmt: skip
    d.put(ParentOrder(**(base | terms)), PERSON)
    return d, start


def work(d, seconds, *, fills=True):
    """Time passes by half seconds; the venue fills each child, or has nothing for it. (Time, quantity) of the children."""
    children = []
    for _ in range(2 * seconds):
        d.wait(SECOND // 2)
        for m in d.said(NewOrder)[len(children) :]:
            children.append((d.stream.ts, m.order_qty))
            if fills:
                d.fill(m.order_id, m.order_qty, m.price_px)
            else:
                d.canceled(m.order_id)
    return children


@pytest.mark.parametrize(("terms", "slices"), [
    ({}, [100, 100, 100, 100]),
    ({"limit_px": NULL}, [100, 100, 100, 100]),
    ({"max_slice_qty": 70}, [66, 67, 67, 66, 67, 67]),
    ({"min_slice_qty": 150}, [200, 200]),
    ({"order_qty": 100, "min_slice_qty": 80}, [100]),
    ({"end_ts": 0}, [100, 100, 100, 100]),
])  # fmt: skip
def test_a_persons_parent_is_worked_from_its_start_to_its_end(tmp_path, terms, slices):
    d, start = give(tmp_path / "day", **terms)
    children = work(d, 7)
    assert [qty for _, qty in children] == slices
    assert start < children[0][0]
    assert children[-1][0] < start + 5 * SECOND
    assert d.status(GIVEN) == OrdStatus.FILLED
    d.close()


def test_one_without_an_end_is_worked_until_it_is_done(tmp_path):
    d, _ = give(tmp_path / "day", lasts=0)
    assert len(work(d, 8, fills=False)) > 4
    assert d.status(GIVEN) == OrdStatus.NEW
    d.close()


def test_one_that_is_to_be_worked_otherwise_is_left_alone(tmp_path):
    d, _ = give(tmp_path / "day", algo=AlgoType.POV)
    assert not work(d, 7)
    assert [m.scope_order_id for m in d.said(Alert)] == [GIVEN]
    d.close()
