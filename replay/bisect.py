"""Where two runs over one journal part: this code under two hash seeds, or this code and that of another checkout.

The record has a digest of each app's state every few thousand frames and nothing in between: against it, the first bad interval
is all that can be found. Two runs can be asked after any frame, so between them it is the first bad frame.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from apps.group import DIGEST_EVERY
from journal.frames import last_seq, recorded_to
from replay.builds import THIS, Build, CannotRun


class Parted(msgspec.Struct):
    """The first frame after which the two states differ, and whose."""

    seq: int
    apps: list[str]
    raised: str = ""
    """What one of the sides raised there."""


class Side:
    """A process that runs the journal's apps with the code of a checkout."""

    def __init__(self, journal: Path, names: list[str], *, build: Build | None = None, hash_seed: int = 0) -> None:
        self.what = build.what if build else f"hash seed {hash_seed}"
        build = build or THIS
        probe = Path(__file__).with_name("bisect_probe.py")
        moved = [f"--moved={old}={new}" for old, new in [build.moved] if old != new] if build.moved else []
        self._process = subprocess.Popen(
            # -P: the folder of the probe is not in front of the path.
            [build.python, "-P", str(probe), str(journal.resolve()), *moved, *names],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=build.folder,
            env={**os.environ, "PYTHONPATH": build.path, "PYTHONHASHSEED": str(hash_seed)},
        )  # fmt: skip
        try:
            self._read()
        except BaseException:
            self._end()
            raise

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._process.stderr.read().strip().splitlines()
            raise CannotRun(f"{self.what}: {said[-1] if said else 'it ended without a word'}")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, command: str, seq: int) -> dict[str, Any]:
        """`try` or `go`: what the states are after a frame."""
        self.tell(command, seq)
        return self._read()

    def tell(self, command: str, seq: int) -> None:
        """Begin with it; `answer` has to be taken."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{command} {seq}\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What came of `tell`."""
        return self._read()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


def bisect(
    one: Side,
    other: Side,
    journal: Path,
    to_seq: int | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    right_at: int = 0,
) -> Parted | None:
    """The first frame after which the states of the two sides differ; None: they never do. States that met again between two
    looks are not seen: then it is a frame at which they parted, if not the first one. `right_at`: after it they are equal."""
    last = to_seq if to_seq is not None else last_seq(journal)
    good, bad = right_at, 0
    if right_at:
        one.ask("go", right_at)
        other.ask("go", right_at)
    while good < last and not bad:
        seq = min(good + DIGEST_EVERY, last)
        if _same(one, other, "try", seq):
            one.ask("go", seq)
            other.ask("go", seq)
            good = seq
        else:
            bad = seq
        if progress is not None:
            progress(good)
    if not bad:
        if to_seq is None:
            recorded_to(journal)  # "never" is said of the whole journal
        return None
    while bad - good > 1:
        middle = (good + bad) // 2
        if _same(one, other, "try", middle):
            one.ask("go", middle)
            other.ask("go", middle)
            good = middle
        else:
            bad = middle
    a, b = one.ask("try", bad), other.ask("try", bad)
    names = sorted({*a["states"], *b["states"]})
    return Parted(
        seq=bad,
        apps=[name for name in names if a["states"].get(name) != b["states"].get(name)],
        raised=next((f"{side.what}: {x['raised']}" for side, x in ((one, a), (other, b)) if "raised" in x), ""),
    )


def _same(one: Side, other: Side, command: str, seq: int) -> bool:
    return one.ask(command, seq) == other.ask(command, seq)
