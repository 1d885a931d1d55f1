"""Puts a what-if together: a recorded session twice through the backtest, as it was configured and as CONFIG says."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from journal.errors import OperatingError
from journal.messages import REGISTRY, Message, SourceRole
from journal.messages.derive import schema_digest
from lockstep import units
from lockstep.config import Config, ConfigError
from lockstep.loader import Loader
from replay.audit.stream import Stream
from replay.backtest.engine import AppRaised, Assumptions, Backtest, Source
from replay.whatif.compare import Comparison, Run, compare, curves
from replay.whatif.page import write_page
from replay.whatif.recorded import APP_ROLES, OPERATOR, Recorded, recorded
from sequencer.grants import effective


def whatif(path: Path, config: Config, out: Path, progress: Callable[[str, int], None] | None = None) -> Comparison:
    """Run both, compare, and write `base/`, `whatif/` (journals) and `whatif.html` into `out`."""
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: not empty; a what-if writes two new journals (choose another --out)")
    there = out.exists()
    try:
        return _whatif(path, config, out, progress)
    except BaseException:
        # Half of a what-if is of no use, and in the way of the next try.
        for folder in (out / "base", out / "whatif") if there else (out,):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _whatif(path: Path, config: Config, out: Path, progress: Callable[[str, int], None] | None) -> Comparison:
    grants = effective(OPERATOR, SourceRole.OPERATOR, None)
    record = recorded(path, [k for k in REGISTRY if any(a <= k <= b for a, b in grants)])
    latency = _latency(record, config)
    base = _run(record, record.sources(record.apps), lambda _: record.setup, latency, out / "base", True, progress)
    sources = record.sources(_apps(record, config))
    other = _run(record, sources, lambda ids: _messages(record, config, ids), latency, out / "whatif", False, progress)
    told = compare(Stream(path, record.last_seq), base, other, latency)
    write_page(out / "whatif.html", told, curves(base), curves(other), config.path.name)
    return told


def _latency(record: Recorded, config: Config) -> int:
    """Both runs have the same: the record's own where it was simulated, else what CONFIG's [backtest] assumes."""
    if record.order_latency_ns is not None:
        return record.order_latency_ns
    plan = config.system.backtest
    return units.duration_ns(plan.order_latency) if plan is not None else Assumptions().order_latency_ns


def _apps(record: Recorded, config: Config) -> list[tuple[str, SourceRole, int]]:
    """CONFIG's apps; those that the record has too keep their numbers, and with them the numbers of their orders."""
    numbers = {name: number for name, _, number in record.apps}
    return [(s.name, s.role, numbers.get(s.name, 0)) for s in config.sources() if s.role in APP_ROLES]


def _messages(record: Recorded, config: Config, ids: dict[str, int]) -> list[Message]:
    """All that CONFIG says, with the ids that the record gave to the same names."""
    loader = Loader(config, journal=record.path, sources=ids)
    loader.known.forget()
    return loader.messages()


def _run(
    record: Recorded,
    sources: list[Source],
    setup: Callable[[dict[str, int]], Iterable[Message]],
    latency_ns: int,
    out: Path,
    late: bool,
    progress: Callable[[str, int], None] | None,
) -> Run:
    granted = [msgspec.structs.replace(s, grants=tuple(effective(s.name, s.role, None))) for s in sources]
    identity = hashlib.blake2b(f"{record.path}\0{out.name}\0".encode() + schema_digest(), digest_size=32).digest()
    host = Backtest(out, granted, Assumptions(order_latency_ns=latency_ns), identity=identity)
    fed: list[int] = []
    try:
        instruments = host.open(lambda: setup(host.ids), record.first_ts, out.name)
        told = (lambda done: progress(out.name, done)) if progress is not None else None
        host.run(record.feed(instruments, late=late, fed=fed), told)
    except AppRaised as raised:
        # By the recording's number, for the run's own journal is taken away.
        when = f"after market event {fed[-1]} of {record.path}" if fed else "before the first market event"
        raise OperatingError(f"{out.name}: {raised.app} raises {when}: {raised.what} ({raised.where})") from raised
    finally:
        host.close()
    return Run(Stream(out), fed)
