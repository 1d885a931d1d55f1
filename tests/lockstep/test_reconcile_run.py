"""A system whose file has a [reconcile] table, in a backtest and in real processes: compared from start to end, and decided
again alike."""

from __future__ import annotations

import socket
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from journal.frames import Frame, frames
from journal.messages import (
    Channel,
    DifferenceType,
    Funding,
    FundsConfirmed,
    Gate,
    GateCause,
    GateState,
    Message,
    Position,
    ReconcileDifference,
    ReconcileFinished,
    ReconcileResult,
    ReconcileStarted,
    ReconcileTrigger,
    RoutedOrder,
    VenueFill,
)
from lockstep import cli
from lockstep.config import parse
from lockstep.supervisor import Supervisor
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


# Real processes: the simulated exchange answers, an operator commands.

WITHIN_S = 90.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    folder = tmp_path_factory.mktemp("live")
    raw = tomllib.loads(TEMPLATE) | {"reconcile": {"interval": "1s", "overlap": "5s"}}
    raw["session"]["journal"] = str(folder / "day")
    raw["exchange"]["sim"] |= {"funding_rate": 25_000, "funding_interval_s": 1}
    del raw["strategy"]["cross"]
    system = Supervisor(parse(folder / "demo.toml", tomli_w.dumps(raw).encode()))
    try:
        system.start()
        system.until_ready()
        yield system
    finally:
        system.kill()


def wait_for(journal: Path, kind: type[Message], wanted: Callable[[Any], bool], from_seq: int = 1) -> Frame:
    """The first frame of a kind that is wanted."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        for frame in frames(journal, from_seq=from_seq, kinds=[kind.KIND]):
            if wanted(frame.message):
                return frame
        time.sleep(0.05)
    raise AssertionError(f"no such {kind.__name__} within {WITHIN_S} s")


def test_real_processes_agree_and_an_operator_may_ask(system: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    journal = system.config.journal
    wait_for(journal, VenueFill, lambda m: True)
    first = wait_for(journal, FundsConfirmed, lambda m: True)
    wait_for(journal, Gate, lambda m: m.state == GateState.OPEN)
    assert cli.main(["reconcile", str(journal), "--account", "demo", "--reason", "a look"]) == 0
    asked = wait_for(journal, ReconcileStarted, lambda m: m.trigger == ReconcileTrigger.OPERATOR)
    wait_for(journal, ReconcileFinished, lambda m: m.run == asked.message.run, first.header.seq)
    wait_for(journal, Funding, lambda m: m.channel == Channel.DOWNLOAD)
    assert capsys.readouterr().out.startswith("reconcile ")
    for wrong in (["--account", "rich"], []):
        command = ["reconcile", str(journal), *wrong] if wrong else ["correct", str(journal), "1", "--action", "close_ours"]
        assert cli.main([*command, "--reason", "x"]) == 2
    system.stop()
    results = [(f.header.source, f.message.result) for f in frames(journal, kinds=[ReconcileFinished.KIND])]
    assert {result for _, result in results} == {ReconcileResult.CONVERGED}
    assert len({source for source, _ in results}) == 2
    assert not list(frames(journal, kinds=[ReconcileDifference.KIND]))
    # Each payment once, whoever told it and however often.
    told: list[Any] = [f.message for f in frames(journal, kinds=[Funding.KIND])]
    paid = {m.funding_ts: m.payment * 10 ** (8 + m.payment_exp) for m in told}
    assert len(paid) < len(told)
    positions: list[Any] = [f.message for f in frames(journal, kinds=[Position.KIND])]
    assert sum({m.strategy: m.funding for m in positions}.values()) == sum(paid.values()) != 0
    verdict = verify(journal)
    assert verdict.identical, verdict.difference


def test_a_venue_that_lost_everything_halts_the_account_until_a_person_decides(tmp_path: Path) -> None:
    """V23, V29: the exchange is killed and comes back with no orders and no positions. Orders are closed by policy, positions
    differ until the account halts; a person accepts each difference by its number, and it trades again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    table = {"interval": "1s", "lookback": "0s", "attempts": 2, "missing_orders": "close", "backoff": "100ms"}
    raw = tomllib.loads(TEMPLATE) | {"reconcile": table}
    raw["session"]["journal"] = str(tmp_path / "day")
    raw["exchange"]["sim"]["port"] = port
    del raw["strategy"]["maker"]
    system = Supervisor(parse(tmp_path / "demo.toml", tomli_w.dumps(raw).encode()))
    journal = system.config.journal
    try:
        system.start()
        system.until_ready()
        wait_for(journal, Position, lambda m: m.long_qty or m.short_qty)
        exchange = system.exchanges["sim"]
        exchange.stop()
        exchange.start()
        halted = wait_for(journal, Gate, lambda m: m.causes & GateCause.HALTED)
        open_ones = {}
        for f in frames(journal, kinds=[ReconcileDifference.KIND]):
            open_ones[f.message.difference, f.message.instrument, f.message.currency] = f.header.seq
        assert {d for d, *_ in open_ones} >= {DifferenceType.POSITION, DifferenceType.BALANCE}
        for (difference, *_), seq in open_ones.items():
            if difference in (DifferenceType.POSITION, DifferenceType.BALANCE):
                command = ["correct", str(journal), str(seq), "--action", "accept_difference", "--reason", "venue restarted"]
                assert cli.main(command) == 0
        assert cli.main(["reconcile", str(journal), "--reason", "accepted"]) == 0
        opened = wait_for(journal, Gate, lambda m: m.state == GateState.OPEN, halted.header.seq)
        wait_for(journal, RoutedOrder, lambda m: True, opened.header.seq)
        system.stop()
    finally:
        system.kill()
    verdict = verify(journal)
    assert verdict.identical, verdict.difference
