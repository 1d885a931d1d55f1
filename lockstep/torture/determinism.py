"""The matrix of determinism: one day decided again under 8 hash seeds, collector on, off and aggressive, no option, -O and
-X dev, every Python that is here, from its first frame and from each snapshot. All must agree.

Each process replays from every start, so the starts meet everything. `--pairs` runs as few processes as meet each pair of the
others once; else it is the full product.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from journal.errors import OperatingError
from lockstep.option_types import whole
from lockstep.torture.drivers import ROOT, scratch
from lockstep.torture.outcome import Find, Outcome, Tell
from lockstep.torture.pythons import HERE, interpreter, pythons

SEEDS = (0, 1, 2, 3, 7, 42, 4242, 2**32 - 1)
COLLECTORS = ("on", "off", "aggressive")
OPTIONS = ("", "-O", "-X dev")
DIGEST_EVERY = 512
"""Instead of 4096, so that a short day has many; snapshots at every fourth."""


class Failed(OperatingError):
    """A process of the matrix ended with an error; its last line."""


class Case(NamedTuple):
    """How one process decides."""

    seed: int = 0
    collector: str = "on"
    options: str = ""
    minor: str = HERE

    def __str__(self) -> str:
        return f"seed {self.seed}, collector {self.collector}, {self.options or 'no option'}, Python {self.minor}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is run, and over how long a day."""
    parser.add_argument("--pairs", action="store_true", help="not the full product: as few as meet each pair of conditions")
    parser.add_argument("--seconds", type=whole(1), default=12, metavar="N", help="length of the generated day (default 12)")
    parser.add_argument("--jobs", type=whole(1), default=2, metavar="N", help="processes at once (default 2)")
    parser.add_argument(
        "--pythons", action="store_true", help="make the .venv-MINOR of each Python that is here, where it is missing"
    )


def run(arguments: argparse.Namespace, tell: Tell) -> Outcome:
    """`lockstep torture determinism`"""
    found = pythons(make=arguments.pythons)
    cases = covering(tuple(found)) if arguments.pairs else product(tuple(found))
    cases = cases[: arguments.count or None]
    outcome = Outcome(
        "determinism", {"market_seed": arguments.seed, "pythons": " ".join(found), "cases": len(cases)}, {"processes": 0}
    )
    with scratch() as folder:
        config = configuration(folder, arguments.seconds, seed=arguments.seed)
        day, snapshots = folder / "day", folder / "taken"
        decide(Case(), found, "backtest", config, day)
        held = decide(Case(), found, "keep", day, snapshots)
        reference = decide(Case(), found, "replay", day, snapshots)
        outcome.metrics |= {"decisions": reference["0"]["said"], "starts": len(reference), "snapshots": held["snapshots"]}
        if wrong := wrong_in(reference):
            outcome.finds.append(Find(wrong, _again(Case(), day, snapshots)))
        for case, said in matrix(cases, found, day, snapshots, arguments.jobs):
            outcome.metrics["processes"] += 1
            tell(outcome.metrics["processes"], len(cases), str(case))
            if said != reference:
                outcome.finds.append(Find(f"{case}: {difference(reference, said)}", _again(case, day, snapshots)))
        if outcome.finds and arguments.keep is not None:
            shutil.copytree(folder, arguments.keep, dirs_exist_ok=True)
            outcome.finds = [Find(f.what, f.reproduce.replace(str(folder), str(arguments.keep)), str(arguments.keep))
                             for f in outcome.finds]  # fmt: skip
    return outcome


def product(minors: Sequence[str]) -> list[Case]:
    """All of them."""
    return [Case(*row) for row in itertools.product(SEEDS, COLLECTORS, OPTIONS, minors)]


def covering(minors: Sequence[str]) -> list[Case]:
    """As few cases as meet each pair of conditions: the greedy way, the same ones every time."""
    levels: tuple[Sequence[Any], ...] = (SEEDS, COLLECTORS, OPTIONS, minors)
    left = {((i, a), (j, b)) for i, j in itertools.combinations(range(len(levels)), 2) for a in levels[i] for b in levels[j]}
    every = [(row, set(itertools.combinations(enumerate(row), 2))) for row in itertools.product(*levels)]
    rows: list[Case] = []
    while left:
        row, pairs = max(every, key=lambda one: len(one[1] & left))  # the first of the best
        rows.append(Case(*row))
        left -= pairs
    return rows


def matrix(cases: Sequence[Case], interpreters: dict[str, Path], day: Path, snapshots: Path, jobs: int) -> Any:
    """(case, what its process says), in the order of the cases. Closed early, it starts no more of them."""
    pool = ThreadPoolExecutor(max(1, jobs))
    try:
        yield from zip(cases, pool.map(lambda c: decide(c, interpreters, "replay", day, snapshots), cases), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def decide(case: Case, interpreters: dict[str, Path], action: str, *paths: Path) -> dict[str, Any]:
    """What lockstep/torture/decide.py says in a process of its own."""
    done = subprocess.run(
        _command(case, interpreters.get(case.minor, Path(sys.executable)), action, *paths), env=_environment(case),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"{case}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _command(case: Case, python: Path, action: str, *paths: Path) -> list[str]:
    return [
        str(python), *case.options.split(), "-m", "lockstep.torture.decide", case.collector, str(DIGEST_EVERY), action,
        *map(str, paths),
    ]  # fmt: skip


def _environment(case: Case) -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": str(case.seed), "PYTHONPATH": str(ROOT)}


def _again(case: Case, day: Path, snapshots: Path) -> str:
    python = interpreter(case.minor, make=False) or Path(sys.executable)
    return f"PYTHONHASHSEED={case.seed} " + shlex.join(_command(case, python, "replay", day, snapshots))


def wrong_in(found: dict[str, Any]) -> str:
    """What is wrong with one process' answer by itself; "" when the record and all starts agree."""
    for start, run_ in found.items():
        if isinstance(run_, str) or not run_["identical"] or run_["pending"] or not run_.get("same", True):
            return f"from seq {start}: {run_}"
    return ""


def difference(reference: dict[str, Any], found: dict[str, Any]) -> str:
    """The first start at which two answers differ."""
    for start in reference.keys() | found.keys():
        if reference.get(start) != found.get(start):
            return f"from seq {start}: {found.get(start)} instead of {reference.get(start)}"
    return "nothing"


def configuration(folder: Path, seconds: int, *, seed: int = 7, rate: int = 200) -> Path:
    """A short generated day of both strategies of the demo."""
    text = resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8")
    # Averages so short that both strategies trade on a short day.
    wanted = {
        "seed = 7\n": f"seed = {seed}\n",
        "rate = 200 ": f"rate = {rate} ",
        "fast = 10\n": "fast = 3\n",
        "slow = 40\n": "slow = 10\n",
    }
    for before, after in wanted.items():
        assert before in text, before
        text = text.replace(before, after)
    path = folder / "day.toml"
    path.write_text(f'{text}\n[backtest]\nmarket = "generated"\nduration = "{seconds}s"\norder_latency = "2ms"\n')
    return path
