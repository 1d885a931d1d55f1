"""A day to decide again: a generated backtest of both strategies, with digests often enough for a short day."""

import os
import sys
import warnings
from pathlib import Path

import pytest

from lockstep.torture import determinism
from lockstep.torture.determinism import Case
from lockstep.torture.pythons import HERE, NotMade, pythons

THIS = {HERE: Path(sys.executable)}


PLAIN = Case()


def decide(action, *paths, case=PLAIN):
    return determinism.decide(case, THIS, action, *paths)


@pytest.fixture(scope="session")
def interpreters():
    """All that are here. Where one cannot be prepared (no network), those that are ready, unless LOCKSTEP_MATRIX=1 insists;
    LOCKSTEP_MATRIX=0 prepares none. Their accelerators are built as they are used, and the compiler may warn of nothing."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CFLAGS", "-Werror")
            return pythons(make=os.environ.get("LOCKSTEP_MATRIX") != "0")
    except NotMade as error:
        if os.environ.get("LOCKSTEP_MATRIX") == "1":
            raise
        warnings.warn(f"the matrix goes without it: {error}", stacklevel=1)
        return pythons(make=False)


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    return determinism.configuration(tmp_path_factory.mktemp("config"), 8)


@pytest.fixture(scope="session")
def made(config, tmp_path_factory):
    """(journal, what its maker said of it)."""
    day = tmp_path_factory.mktemp("made") / "day"
    return day, decide("backtest", config, day)


@pytest.fixture(scope="session")
def day(made):
    return made[0]


@pytest.fixture(scope="session")
def taken(day, tmp_path_factory):
    """Every snapshot of the day, each in a folder named by its seq."""
    folder = tmp_path_factory.mktemp("taken")
    assert decide("keep", day, folder)["identical"]
    return folder


@pytest.fixture(scope="session")
def reference(day, taken):
    return decide("replay", day, taken)
