"""A day to decide again: a generated backtest of both strategies, with digests often enough for a short day."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.system import configuration_text

ROOT = Path(__file__).parents[2]
DIGEST_EVERY = 512  # instead of 4096, so that a short day has many; snapshots at every fourth


def decide(action, *arguments, python=sys.executable, options=(), seed="0", collector="plain", root=ROOT):
    """What `decide.py` says in a process of its own."""
    done = subprocess.run(
        [str(python), *options, str(Path(__file__).with_name("decide.py")), collector, str(DIGEST_EVERY), action,
         *map(str, arguments)],
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(root)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "day.toml"
    plan = {"market": "generated", "duration": "25s", "order_latency": "2ms"}
    changes = {"sequencer__segment_bytes": 1 << 20, "exchange__sim__rate": 200}
    path.write_text(configuration_text(path.parent / "unused", backtest=plan, **changes))
    return path


@pytest.fixture(scope="session")
def made(config, tmp_path_factory):
    """(journal, what its maker said of it)."""
    day = tmp_path_factory.mktemp("made") / "day"
    return day, decide("backtest", config, day)


@pytest.fixture(scope="session")
def day(made):
    return made[0]


@pytest.fixture(scope="session")
def reference(day):
    return decide("replay", day)
