"""Deliberate faults, one at a time in a copy of the product, and the tests that must notice.

A harness that never sees a fault proves nothing about the absence of faults. Each mutant is an edit of one file, small enough
to be somebody's slip; the tests named with it pass on the product and must fail on the mutant. Where the text to be edited
is gone, the mutant itself fails: it follows the code.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kernels import kernel

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep", "tests")
KERNELS = {"journal": {"journal", "sequencer"}, "sequencer": {"sequencer"}}
"""Which extensions a change of a package's C files needs built anew."""


@dataclass(frozen=True)
class Mutant:
    """`before` stands once in `file`; with `after` in its place, at least one of `tests` fails."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    also: tuple[tuple[str, str, str], ...] = ()
    """Further edits that belong to the same fault: (file, before, after)."""


class Survived(AssertionError):
    """The tests passed on a product with a fault in it."""


def copy_product(to: Path) -> None:
    """The packages and tests as they are, with their built kernels and what Python has compiled of them: it knows a file by its
    time, which a copy keeps and an edit does not."""
    ignore = shutil.ignore_patterns("*.o", "*.pyc.*", "mutants")  # the second are being written
    for package in PACKAGES:
        shutil.copytree(ROOT / package, to / package, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, to / name)
    # Always the same examples, since what notices a fault must do so every time. A failure is enough: searching for its
    # smallest example would take most of the time.
    (to / "tests" / "conftest.py").write_text(
        "from hypothesis import HealthCheck, Phase, settings\n"
        "settings.register_profile('mutants', phases=[Phase.explicit, Phase.generate], derandomize=True, deadline=None,\n"
        "                          suppress_health_check=[HealthCheck.too_slow])\n"
        "settings.load_profile('mutants')\n"
    )


def infect(place: Path, mutant: Mutant) -> None:
    """Edit the copy; build its kernels if they changed."""
    changed: set[str] = set()
    for file, before, after in ((mutant.file, mutant.before, mutant.after), *mutant.also):
        text = (place / file).read_text()
        assert text.count(before) == 1, f"{mutant.name}: {file} no longer has this text once: {before!r}"
        (place / file).write_text(text.replace(before, after))
        if file.endswith((".c", ".h")):
            changed.add(file)
    for package in sorted({package for file in changed for package in KERNELS[file.split("/")[0]]}):
        kernel(package).build(place, changed)


def _run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1", "LOCKSTEP_MATRIX": "0"}
    for name in [n for n in environment if n.startswith("PYTEST_")]:
        del environment[name]
    return subprocess.run([sys.executable, *arguments], cwd=place, env=environment, capture_output=True, text=True, timeout=170)


def check(mutant: Mutant, place: Path) -> str:
    """Run the mutant's tests in an infected copy: the line that names the failure. Raises Survived when they pass."""
    copy_product(place)
    infect(place, mutant)
    done = _run(place, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *mutant.tests)
    said = done.stdout[-3000:]
    if done.returncode == 0:
        raise Survived(f"{mutant.name}: {', '.join(mutant.tests)} passed on it\n{said}")
    if done.returncode == -signal.SIGABRT:
        return f"{mutant.name}: the kernel's own assertion ended the process"
    # 1 is a failing test; an error of collection or of usage would be a catch by accident.
    assert done.returncode == 1, f"{mutant.name}: pytest could not run\n{said}{done.stderr[-2000:]}"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert any(line.startswith("FAILED") for line in failed), f"{mutant.name}: no test failed\n{said}"
    return failed[0]
