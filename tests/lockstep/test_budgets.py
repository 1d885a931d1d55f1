"""Budgets from the file to the machine, and a backtest that keeps to one."""

from __future__ import annotations

import json

import pytest

from apps.order_manager import OmsApp
from journal.messages import Reason
from lockstep.backtesting import run_backtest
from lockstep.testing import Run
from oms.budgets import Kind, Per, Policy
from replay.player import verify
from tests.end_to_end.system import configuration

SECOND = 1_000_000_000
BUDGET = {
    "type": "token_bucket", "per": "instrument", "limit": 6, "refill": 5, "window": "10s", "cancel": 0, "over": "queue",
    "cancel_by_age": {"5s": 2, "1s": 3}, "reserve_for_cancels": "50%",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paced")
    budget = BUDGET | {"venue_counts": "order_action"}
    config = configuration(folder / "unused", venue__sim__budget={"pair": budget}, backtest={"duration": "10s"})
    return Run(folder / "day", run_backtest(config, folder / "day"))


def test_a_backtest_keeps_to_its_budget_and_replays(run):
    assert [f for f in run.frames("ExecutionReport") if f.message.reason == Reason.VENUE_RATE_BUDGET]
    # Three at once, then what comes back: half a token a second.
    assert 3 <= run.count("RoutedOrder") <= 3 + 5
    verdict = verify(run.journal)
    assert verdict.identical, verdict.difference


def test_the_machine_gets_what_the_file_says(run):
    (budgets,) = [f.message.value for f in run.frames("ConfigItem") if f.message.name == "budgets"]
    app = OmsApp()
    app.configure({"budgets": json.loads(budgets)})
    (rule,) = app.machine.memory.pace.rules
    assert (rule.name, rule.kind, rule.per, rule.policy) == ("sim.pair", Kind.TOKEN_BUCKET, Per.INSTRUMENT, Policy.QUEUE)
    assert (rule.limit, rule.refill, rule.period_ns, rule.costs) == (6, 5, 10 * SECOND, (1, 1, 0, 0))
    assert rule.cancel_ages == [(SECOND, 3), (5 * SECOND, 2)]
    assert (rule.reserve_percent, rule.limit_type) == (50, 1)
    restored = OmsApp()
    restored.restore(app.snapshot())
    assert restored.machine.memory.pace == app.machine.memory.pace
