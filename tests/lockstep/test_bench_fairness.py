"""That the bench measures what it says; its figures are no test."""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

import pytest

from lockstep.bench import fairness


@pytest.fixture
def place():
    """A socket's path is short, that of a test's folder is not."""
    with tempfile.TemporaryDirectory(prefix="lkf-") as folder:
        yield Path(folder)


def test_it_measures_whatever_the_figures_are(place, monkeypatch):
    """Rings are filled and emptied, the runaway is held back and gone, and nothing is left."""
    for name, value in {"PUBLISHERS": 8, "PINGS": 50, "SEGMENT_BYTES": 64 << 20}.items():
        monkeypatch.setattr(fairness, name, value)
    report = fairness.run(argparse.Namespace(rounds=1, folder=place))
    assert report["metrics"]["fair_max_min_ratio"] >= 1
    if report["conditions"]["cores"] > 1:
        assert {"runaway_p99_ratio", "busy_p99_ratio", "unlimited_p99_ratio", "apart_p99_ratio"} <= report["metrics"].keys()
    assert not list(place.iterdir())
    assert multiprocessing.active_children() == []
