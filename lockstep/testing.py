"""For tests of strategies: run a backtest in a test and look at what came of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from journal.frames import Frame, frames
from journal.messages import REGISTRY
from lockstep.backtesting import run_backtest
from lockstep.config import load
from replay.backtest.engine import Result


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
    """Run a configuration's backtest into a new journal."""
    return Run(out, run_backtest(load(config), out, market))
