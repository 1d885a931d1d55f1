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
    CommandCode,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    ParentOrder,
    Reason,
    ReplaceOrder,
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
    children, before = [], len(d.said(NewOrder))
    for _ in range(round(2 * seconds)):
        d.wait(SECOND // 2)
        for m in d.said(NewOrder)[before + len(children) :]:
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


# What persons replace.


def decided_again(d):
    """A replay of the desk's day decides the same."""
    d.close()
    verdict = verify(d.path)
    assert verdict.identical, verdict.difference


def replace(d, order_id=GIVEN, **terms):
    """A person asks for other terms."""
    d.command(CommandCode.REPLACE_ORDER, ReplaceOrder(order_id=order_id, **terms), reason="other terms")


def after(children, start):
    """When the children were sent, in seconds and a bit from the start, and how large they are."""
    return [(round((ts - start) / SECOND, 1), qty) for ts, qty in children]


@pytest.mark.parametrize(("terms", "first", "then"), [
    # Two slices have passed and two are to come. Their times stay as they are.
    ({"order_qty": 1000}, {}, [(3, 400), (4, 400)]),
    ({"order_qty": 300}, {}, [(3, 50), (4, 50)]),
    ({"price_px": 5002}, {}, [(3, 100), (4, 100)]),
    ({"order_qty": 500}, {"fills": False}, [(3, 250), (4, 250)]),  # what the first did not get is spread, too
    # Another end, or more slices than are left: four or more over what is left of the time, the first no later than at 3 s.
    ({"expire_ts": 12}, {}, [(3, 50), (5.5, 50), (7.5, 50), (10, 50)]),
    ({"expire_ts": 4.6}, {}, [(3, 50), (3.5, 50), (4, 50), (4.5, 50)]),
    ({"expire_ts": 12, "order_qty": 1000}, {}, [(3, 200), (5.5, 200), (7.5, 200), (10, 200)]),
    ({"order_qty": 800}, {"max_slice_qty": 150}, [(3, 150), (3.5, 150), (4, 150), (4.5, 150)]),
])  # fmt: skip
def test_the_rest_of_a_replaced_parent_is_spread_evenly_from_then_on(tmp_path, terms, first, then):
    fills = first.pop("fills", True)
    d, start = give(tmp_path / "day", **first)
    work(d, 3.5, fills=fills)  # until 2.5 s from the start
    if "expire_ts" in terms:
        terms = terms | {"expire_ts": start + int(terms["expire_ts"] * SECOND)}
    replace(d, **terms)
    children = work(d, 10)
    assert after(children, start) == then
    assert d.status(GIVEN) == OrdStatus.FILLED
    decided_again(d)


def test_a_lower_limit_holds_for_the_slices_to_come(tmp_path):
    d, start = give(tmp_path / "day")
    work(d, 3.5)
    replace(d, price_px=5000)
    d.tick(4998, 4999)
    assert after(work(d, 1), start) == [(3, 100)]
    d.tick(4999, 5001)
    assert after(work(d, 1), start) == [(4, 100)]
    assert [m.price_px for m in d.said(NewOrder)] == [5001, 5001, 4999, 5000]
    decided_again(d)


def test_a_replace_that_a_working_child_would_break_is_refused_and_changes_nothing(tmp_path):
    d, start = give(tmp_path / "day")
    d.wait(2 * SECOND + SECOND // 10)
    (child,) = d.said(NewOrder)
    replace(d, price_px=5000)
    replace(d, order_qty=99)
    (low, small) = d.said(OrderCancelReject)
    assert (low.reason, small.reason) == (Reason.CHILD_WORSE_THAN_LIMIT, Reason.CHILD_EXCEEDS_PARENT)
    assert {low.response_to, small.response_to} == {CxlRejResponseTo.REPLACE}
    replace(d, order_qty=250)  # what works is held, and stays
    d.canceled(child.order_id)
    assert after(work(d, 4), start) == [(2.1, 150), (3.1, 50), (4.1, 50)]
    assert d.status(GIVEN) == OrdStatus.FILLED
    decided_again(d)


def test_one_replaced_before_its_start_is_planned_from_its_start(tmp_path):
    d, start = give(tmp_path / "day")
    replace(d, expire_ts=start + 10 * SECOND, order_qty=800)
    assert after(work(d, 11), start) == [(2, 200), (4, 200), (6, 200), (8, 200)]
    assert d.status(GIVEN) == OrdStatus.FILLED
    decided_again(d)


def test_one_whose_slices_are_over_goes_on_with_a_later_end(tmp_path):
    d, start = give(tmp_path / "day")
    assert len(work(d, 5.5, fills=False)) == 4
    replace(d, expire_ts=start + 9 * SECOND)
    children = after(work(d, 6), start)
    assert [qty for _, qty in children] == [100, 100, 100, 100]
    assert children[0][0] == 5.5
    assert children[-1][0] < 9
    decided_again(d)


def test_one_without_an_end_gets_one_and_one_of_its_own_is_replaced_like_a_persons(tmp_path):
    d = Desk(tmp_path / "day", twap={"symbols": ["BTCUSD"], "seconds": 4, "slices": 4, "qty": "0.4"})
    d.put(SourceDefined(source=PERSON, role=SourceRole.OPERATOR, name="operator"), 0)
    (own,) = d.said(ParentOrder)
    work(d, 1.5)
    replace(d, own.order_id, order_qty=700)
    assert [qty for _, qty in work(d, 4)] == [200, 200, 200]
    assert d.status(own.order_id) == OrdStatus.FILLED
    start = d.stream.ts
    d.put(
        ParentOrder(order_id=GIVEN, account=1, strategy=2, instrument=1, side=Side.SELL, order_qty=400, algo=AlgoType.TWAP),
        PERSON,
    )
    replace(d, expire_ts=start + 2 * SECOND)
    assert sum(qty for _, qty in work(d, 2)) == 400
    decided_again(d)


def test_whoever_replaces_it_again_and_again_does_not_keep_it_from_being_worked(tmp_path):
    d, start = give(tmp_path / "day")
    for n in range(24):
        d.wait(SECOND // 4)
        replace(d, expire_ts=start + 10 * SECOND + n)
        for m in d.said(NewOrder):
            if d.status(m.order_id) == OrdStatus.PENDING_NEW:
                d.fill(m.order_id, m.order_qty, m.price_px)
    assert len(d.said(NewOrder)) >= 3
    work(d, 20)
    assert d.status(GIVEN) == OrdStatus.FILLED
    decided_again(d)


def test_a_replace_of_one_that_has_ended_is_refused(tmp_path):
    d, _ = give(tmp_path / "day")
    work(d, 5)
    replace(d, order_qty=900)
    assert [m.reason for m in d.said(OrderCancelReject)] == [Reason.TOO_LATE]
    assert not work(d, 3)
    decided_again(d)
