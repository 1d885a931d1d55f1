"""A backtest whose file has a [reconcile] table: compared from start to end, and decided again alike."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import pytest
import tomli_w

from journal.messages import GateState, ReconcileResult
from lockstep.testing import Run, backtest
from replay.player import verify

TEMPLATE = resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    raw = tomllib.loads(TEMPLATE) | {"reconcile": {"interval": "2s", "overlap": "3s"}, "backtest": {"duration": "9s"}}
    path = tmp_path_factory.mktemp("reconcile") / "demo.toml"
    path.write_text(tomli_w.dumps(raw))
    return backtest(path, path.parent / "journal")


def test_every_run_converges_and_the_gate_opens_once(run: Run) -> None:
    results = [(f.header.source, f.message.result) for f in run.frames("ReconcileFinished")]
    assert len(results) >= 8  # of the OMS and, from the first fill on, of positions
    assert len({source for source, _ in results}) == 2
    assert {result for _, result in results} == {ReconcileResult.CONVERGED}
    assert not run.count("ReconcileDifference")
    gates = [f.message.state for f in run.frames("Gate")]
    assert gates[-1] == GateState.OPEN
    first = next(f.header.seq for f in run.frames("Gate") if f.message.state == GateState.OPEN)
    assert first < run.frames("RoutedOrder")[0].header.seq
    assert run.count("VenueFill") > 10


def test_it_is_decided_again_as_it_was(run: Run) -> None:
    verdict = verify(Path(run.journal))
    assert verdict.identical, verdict.difference
