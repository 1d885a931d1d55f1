"""`lockstep bench oms` in small: every order it times goes the whole way."""

import json
import tempfile
from pathlib import Path

import pytest

from lockstep import cli
from lockstep.bench import oms


@pytest.fixture
def place():
    """A socket's path is short, that of a test's folder is not."""
    with tempfile.TemporaryDirectory(prefix="lko-") as folder:
        yield Path(folder)


def test_it_measures_whatever_the_figures_are(capsys, monkeypatch, place):
    monkeypatch.setattr(oms, "SINGLES", 60)
    monkeypatch.setattr(oms, "WARM", 10)
    words = ["--working", "300", "--orders", "100", "--folder", str(place), "--json"]
    assert cli.main(["bench", "oms", *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["bench"], report["conditions"]["working"]) == ("oms", 300)
    named = {f"{what}_us_{figure}" for what in ("order", "report", "replace", "cancel") for figure in ("p50", "p99")}
    rates = {f"orders_per_s{of}" for of in ("", "_min", "_max")}
    timed = {*named, *rates, "snapshot_pause_us_p99", "snapshot_pause_us_max", "snapshot_s"}
    assert set(report["metrics"]) == {*timed, "bytes_per_working_order", "bytes_per_closed_order"}
    assert all(report["metrics"][name] > 0 for name in timed)
    assert not list(place.iterdir())
