"""For tests of strategies: run a backtest in a test and look at what came of it; look at its source.

`backtest` sets the trap for calls to the outside world; `guarded` sets it around an app that a test drives by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

from apps.guard.lint import lint
from apps.guard.trap import trapped as guarded
from journal.frames import Frame, frames
from journal.messages import REGISTRY
from lockstep.backtesting import run_backtest
from lockstep.config import load
from replay.backtest.engine import AppRaised, Result

__all__ = ["Run", "assert_deterministic", "backtest", "guarded"]


class Run:
    """A finished backtest and its journal."""

    def __init__(self, journal: Path, result: Result) -> None:
        self.journal = journal
        self.result = result

    def frames(self, name: str) -> list[Frame]:
        """All frames of one message, by its class name."""
        kind = next(k for k, c in REGISTRY.items() if c.__name__ == name)
        return list(frames(self.journal, kinds=[kind]))

    def count(self, name: str) -> int:
        """How many frames of one message there are."""
        return len(self.frames(name))

    def digest(self) -> str:
        """BLAKE2b over the journal's segment files: equal runs give equal digests."""
        whole = hashlib.blake2b(digest_size=32)
        for segment in sorted(self.journal.glob("*.seg")):
            whole.update(segment.read_bytes())
        return whole.hexdigest()


def backtest(config: Path, out: Path, *, market: str | None = None) -> Run:
    """Run a configuration's backtest into a new journal. What an app raises comes through as it is."""
    try:
        return Run(out, run_backtest(load(config), out, market))
    except AppRaised as raised:
        raise raised.error from None


def assert_deterministic(*paths: Path) -> None:
    """Fail with what `lockstep lint` finds in a strategy's files, and in the modules of yours that they import."""
    found = [finding.text for finding in lint(paths).findings]
    assert not found, "\n" + "\n".join(found)
