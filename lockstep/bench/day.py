"""The demo's day: its configuration over a dense generated market, made as a backtest, replayed into all of its apps."""

from __future__ import annotations

import time
from importlib import resources
from pathlib import Path

from journal.messages import MarketData
from journal.messages.schema import REGISTRY
from journal.reader import JournalReader
from lockstep.backtesting import run_backtest
from lockstep.config import Config, load
from replay.player import Player

RATE = 5_000
"""Events of generated market a second: so dense that 95 % of the frames are market data."""


def configured(folder: Path, seconds: int) -> Config:
    """The demo's configuration, with so many seconds of market."""
    text = (
        resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8").replace("rate = 200 ", f"rate = {RATE} ")
    )
    config = folder / "day.toml"
    config.write_text(f'{text}\n[backtest]\nmarket = "generated"\nduration = "{seconds}s"\norder_latency = "1ms"\n')
    return load(config)


def make_day(folder: Path, seconds: int) -> Path:
    """The day as a journal."""
    run_backtest(configured(folder, seconds), folder / "day")
    return folder / "day"


def all_apps(path: Path) -> tuple[int, float]:
    """One round into all apps of the day; every emission is compared with the journal."""
    player = Player(path)
    start = time.perf_counter()
    count = player.run()
    seconds = time.perf_counter() - start
    player.reader.close()
    return count, seconds


def market_share(path: Path) -> float:
    """How much of a journal's frames is market data."""
    kinds = [kind for kind, cls in REGISTRY.items() if issubclass(cls, MarketData)]
    with JournalReader(path, kinds=kinds) as reader:
        held = 0
        while (batch := reader.poll()) is not None:
            held += len(batch)
        return held / reader.seen_seq
