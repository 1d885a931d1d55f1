"""The arithmetic of the bench, and that it cleans up after itself; its figures are no test."""

import argparse

import pytest

from lockstep.bench import zero_impact


def test_ratios_are_of_rounds_side_by_side():
    # The second round met a busy machine: both did.
    assert zero_impact._ratio([[(99.0, 1.0), (9.9, 1.0)], [(100.0, 1.0), (10.0, 1.0)]]) == 0.99


def test_too_small_a_disk_is_said_before_anything_is_made(tmp_path):
    arguments = argparse.Namespace(messages=1 << 40, rounds=9, folder=tmp_path, follower="")
    with pytest.raises(SystemExit, match="MiB free; this run needs"):
        zero_impact.run(arguments)
    assert not list(tmp_path.iterdir())


def test_what_was_made_is_removed_when_it_ends_early(tmp_path, monkeypatch):
    def fails(work, segment, arguments):
        (work / "something").write_text("x")
        raise KeyboardInterrupt

    monkeypatch.setattr(zero_impact, "MEMORY", tmp_path / "none")
    monkeypatch.setattr(zero_impact, "_telemetry", fails)
    with pytest.raises(KeyboardInterrupt):
        zero_impact.run(argparse.Namespace(messages=1000, rounds=1, folder=tmp_path, follower=""))
    assert not list(tmp_path.iterdir())
