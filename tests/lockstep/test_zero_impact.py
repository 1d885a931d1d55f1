"""That the bench measures what it says and cleans up after itself; its figures are no test."""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

import pytest

from journal.errors import OperatingError
from lockstep.bench import rig, zero_impact


def test_a_ratio_is_never_rounded_away():
    assert zero_impact._figure(0.00023456) == 0.000235
    assert zero_impact._figure(0.98765) == 0.988


def test_too_small_a_disk_is_said_before_anything_is_made(tmp_path):
    arguments = argparse.Namespace(messages=1 << 40, rounds=9, folder=tmp_path)
    with pytest.raises(OperatingError, match="MiB free; this bench needs"):
        zero_impact.run(arguments)
    assert not list(tmp_path.iterdir())


def test_what_was_made_is_removed_when_it_ends_early(tmp_path, monkeypatch):
    def fails(work, frames_bytes):
        (work / "something").write_text("x")
        raise KeyboardInterrupt

    monkeypatch.setattr(rig, "MEMORY", tmp_path / "none")
    monkeypatch.setattr(zero_impact, "_telemetry", fails)
    with pytest.raises(KeyboardInterrupt):
        zero_impact.run(argparse.Namespace(messages=1000, rounds=1, folder=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def place():
    """A socket's path is short, that of a test's folder is not."""
    with tempfile.TemporaryDirectory(prefix="lkz-") as folder:
        yield Path(folder)


def test_it_measures_whatever_the_figures_are(place, monkeypatch):
    """Everybody who looks is started, catches up, is stopped, goes on, and is gone in the end."""
    small = {"TELEMETRY_ROUNDS": 2, "SHORT": 1024, "SHORT_PINGS": 5, "PINGS": 20, "APART_ROUNDS": 1, "TAILERS": 1}
    for name, value in small.items():
        monkeypatch.setattr(zero_impact, name, value)
    report = zero_impact.run(argparse.Namespace(messages=2048, rounds=1, folder=place))
    assert {"telemetry_ratio", "throughput_ratio", "p99_ratio", "attached_ratio"} <= report["metrics"].keys()
    assert all(value > 0 for value in report["metrics"].values())
    assert "follower" in report["conditions"]["watched_by"]
    assert not list(place.iterdir())
    assert multiprocessing.active_children() == []
