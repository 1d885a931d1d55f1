"""Puts a backtest together from a configuration: sources, definitions, market data, the run."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from gateways.sim.exchange.settings import ExchangeSettings
from journal.messages import ImportProvenance, InstrumentDefined, SourceRole
from journal.messages.derive import schema_digest
from lockstep import units
from lockstep.config import Config, ConfigError
from lockstep.feeds import GeneratedMarket, capture_frames, session_feed
from lockstep.loader import Loader
from replay.backtest.engine import Assumptions, Backtest, Result, Source
from replay.backtest.feed import FeedEvent, journal_feed
from sequencer.grants import effective

GENERATED = "generated"
GENERATED_START_NS = int(datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC).timestamp()) * 1_000_000_000


def run_backtest(
    config: Config,
    out: Path,
    market: str | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    prolonged: Callable[[Iterable[FeedEvent]], Iterable[FeedEvent]] = iter,
) -> Result:
    """Run the configuration's strategies over its market data; writes a new journal at `out`.

    Equal configuration, code and market data give equal bytes. The identity of the run is a digest of exactly these.
    `prolonged`: what a bench makes of the market data for a longer day."""
    plan = config.system.backtest
    if plan is None:
        raise ConfigError(f"{config.path}: no [backtest] table; expected one with market = 'generated', a journal or a capture")
    market = market or plan.market
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: not empty; a backtest writes a new journal (choose another --journal)")
    sources = [
        Source("loader", SourceRole.LOADER),
        Source("simulator", SourceRole.SIMULATOR),
        Source("market-data", SourceRole.MARKET_DATA),
        Source("trading", SourceRole.TRADING),
        *(Source(s.name, s.role) for s in config.sources() if s.role not in _OUTSIDE),
    ]
    sources = [Source(s.name, s.role, tuple(effective(s.name, s.role, None))) for s in sources]
    identity = hashlib.blake2b(config.text + b"\0" + market.encode() + b"\0" + schema_digest(), digest_size=32).digest()
    latency = units.duration_ns(plan.order_latency)
    provenance = None
    if market != GENERATED and Path(market).is_file():
        digest = hashlib.blake2b(Path(market).read_bytes(), digest_size=32).digest()
        provenance = ImportProvenance(import_no=1, file_digest=digest, name=os.path.basename(market))
    assumptions = Assumptions(order_latency_ns=latency, provenance=provenance)
    run = Backtest(out, sources, assumptions, identity=identity)
    try:
        first_ts = _first_ts(config, market)
        instruments = run.open(Loader(config, journal=out, sources=run.ids).messages, first_ts, config.system.session.name)
        return run.run(prolonged(_feed(config, market, instruments)), progress)
    except BaseException:
        run.close()
        raise


_OUTSIDE = frozenset(
    {
        SourceRole.LOADER,
        SourceRole.SUPERVISOR,
        SourceRole.OPERATOR,
        SourceRole.MARKET_DATA,
        SourceRole.TRADING,
        SourceRole.SIMULATOR,
    }
)


def _generated(config: Config) -> GeneratedMarket:
    plan = config.system.backtest
    assert plan is not None
    settings = next(iter(config.system.exchange.values()), ExchangeSettings())
    return GeneratedMarket(
        msgspec.structs.replace(settings, capture=None),
        start_ns=GENERATED_START_NS,
        duration_ns=units.duration_ns(plan.duration),
    )


def _first_ts(config: Config, market: str) -> int:
    """The stream begins a moment before its first market data."""
    if market == GENERATED:
        return GENERATED_START_NS - 1_000_000
    path = Path(market)
    if not path.exists():
        raise ConfigError(
            f"{config.path}: backtest.market = {market!r}: expected 'generated', a journal folder or a capture file"
        )
    if path.is_dir():
        # Definitions of the same names and exponents are checked while it runs; here only the time is wanted.
        any_of = {name: InstrumentDefined(px_exp=-i.price_decimals, qty_exp=-i.quantity_decimals, name=name)
                  for name, i in config.system.instrument.items()}  # fmt: skip
        first = next(journal_feed(path, any_of), None)
        if first is None:
            raise ConfigError(
                f"{config.path}: backtest.market = {market!r}: no market data of {', '.join(any_of) or 'no instrument'}"
            )
        return first.ts - 1_000_000
    begun = next(capture_frames((market,)), None)
    if begun is None:
        raise ConfigError(f"{config.path}: backtest.market = {market!r}: no whole line; expected lines 'NANOSECONDS JSON'")
    return begun[0] - 1_000_000


def _feed(config: Config, market: str, instruments: dict[str, InstrumentDefined]) -> Iterable[FeedEvent]:
    venue = next((i.venue for i in instruments.values()), 0)
    if market == GENERATED:
        generated = _generated(config)
        return session_feed(generated.frames(), instruments, venue=venue, depth=generated.depth)
    if Path(market).is_dir():
        return journal_feed(Path(market), instruments)
    return session_feed(capture_frames((market,)), instruments, venue=venue)
