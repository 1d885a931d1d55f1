"""The demo: one command runs a trading day through the sequencer and proves that its replay is identical.

A real system (exchange, gateway, sequencer, apps; a process each) trades for a while, is stopped cleanly, and its journal
is then replayed, compared decision by decision, summed up on one screen and drawn in report.html.
"""

from __future__ import annotations

import datetime
import time
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateways.sim.exchange.capture import WrongCapture, probe
from gateways.sim.exchange.settings import ExchangeSettings
from journal.messages import (
    HEADER_BYTES,
    NULL,
    REGISTRY,
    Clock,
    ExecutionReport,
    InstrumentDefined,
    NewOrder,
    ReplaceOrder,
    RiskDecision,
    TopOfBook,
    VenueFill,
)
from journal.reader import JournalReader
from journal.text import Names, decimal_text
from lockstep.config import Config, ConfigError, parse
from lockstep.progress import verify_with_progress
from lockstep.recorded import recorded_in
from lockstep.supervisor import Supervisor, SystemFailed
from replay.player import Verdict
from replay.report.html import write_report
from replay.report.screen import screen
from replay.report.summary import Summary, summarize

DRAIN_S = 5.0
SHOWN_EVERY_S = 0.25
_SHOWN = frozenset({InstrumentDefined.KIND, TopOfBook.KIND})


class Options(msgspec.Struct, kw_only=True):
    """What the command line asked for."""

    journal: Path | None = None
    duration_s: float = 30.0
    capture: Path | None = None
    strategies: list[str] = []
    speed: str = "1"
    json: bool = False


class Outcome(msgspec.Struct, kw_only=True):
    """What the demo ends with; `--json` prints it."""

    journal: str
    report: str
    verdict: Verdict
    summary: Summary
    restarted: list[str]
    capture_messages: int | None = None
    """Recorded messages that the exchange served; null without --capture."""
    capture_recorded: int | None = None
    """Of these, how many are in the journal, verbatim and in order: compared with the file."""


def demo_config(options: Options) -> Config:
    """The demo's configuration: the template, with what the command line changes."""
    raw = tomllib.loads(resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8"))
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    raw["session"]["journal"] = str(options.journal or Path("days") / f"demo-{stamp}")
    if options.strategies:
        raw["strategy"] = _strategies(raw["strategy"], options.strategies)
    if options.capture is not None:
        _capture(raw, options.capture, options.speed)
    text = tomli_w.dumps(raw)
    return parse(Path("demo.toml"), text.encode())


def _strategies(known: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    """The strategies asked for: the demo's own by name, or a file of the user's with its configuration beside it."""
    found: dict[str, Any] = {}
    for name in wanted:
        if name in known:
            found[name] = known[name]
            continue
        path = Path(name)
        beside = path.with_suffix(".toml")
        if path.suffix != ".py" or not path.exists() or not beside.exists():
            raise ConfigError(
                f"--strategy = {name!r}: expected one of {', '.join(known)}, or a FILE.py with its FILE.toml beside it "
                "(`lockstep strategy new NAME` writes both)"
            )
        tables = parse(beside, beside.read_bytes()).system.strategy
        found |= tables
    return found


def _capture(raw: dict[str, Any], capture: Path, speed: str) -> None:
    """Let the exchange serve a recorded capture; the instrument is what the capture says it is."""
    try:
        told = probe(ExchangeSettings(capture=str(capture)))
    except WrongCapture as error:
        raise ConfigError(f"--capture: {error}") from None
    rules = told.rules
    exchange = raw["exchange"]["sim"]
    exchange |= {"capture": str(capture.absolute()), "speed": speed}
    exchange.pop("seed", None)
    exchange.pop("rate", None)
    template = raw["instrument"].pop("BTCUSDT")
    template |= {
        "price_decimals": -rules.px_exp,
        "quantity_decimals": -rules.qty_exp,
        "tick": told.px(rules.tick),
        "lot": told.qty(rules.lot),
    }
    raw["instrument"][told.symbol] = template
    for strategy in raw["strategy"].values():
        if "symbols" in strategy:
            strategy["symbols"] = [told.symbol]


class Screen:
    """The live display: counted from the journal itself, as any reader would."""

    def __init__(self, journal: Path, options: Options) -> None:
        self.reader = JournalReader(journal)
        self.kinds: dict[int, int] = {}
        self.names = Names()
        self.touch: TopOfBook | None = None
        self.until = options.duration_s if options.capture is None else None
        self.started = time.monotonic()
        self.progress = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self.task = self.progress.add_task("trading", total=self.until)

    def update(self) -> None:
        """Read what is new."""
        while (batch := self.reader.poll()) is not None:
            for offset, kind, _, _, _ in batch:
                self.kinds[kind] = self.kinds.get(kind, 0) + 1
                if kind in _SHOWN:
                    m = REGISTRY[kind].decode(batch.buffer, offset + HEADER_BYTES)
                    self.names.see(m)
                    self.touch = m if isinstance(m, TopOfBook) else self.touch
        self.progress.update(self.task, completed=time.monotonic() - self.started)

    def __rich__(self) -> Group:
        table = Table.grid(padding=(0, 2))
        total = sum(self.kinds.values())
        table.add_row("frames sequenced", f"{total:,}")
        table.add_row("bid / ask", self._bid_ask())
        for cls in (NewOrder, ReplaceOrder, RiskDecision, VenueFill, ExecutionReport):
            table.add_row(cls.__name__, f"{self.kinds.get(cls.KIND, 0):,}")
        return Group(self.progress, table)

    def _bid_ask(self) -> str:
        if self.touch is None or NULL in (self.touch.bid_px, self.touch.ask_px):
            return "–"
        instrument = self.names.instruments[self.touch.instrument]
        sides = (decimal_text(px, instrument.px_exp) for px in (self.touch.bid_px, self.touch.ask_px))
        return f"{instrument.name}  {' / '.join(sides)}"

    def besides_clocks(self) -> int:
        """Frames that say something."""
        return sum(self.kinds.values()) - self.kinds.get(Clock.KIND, 0)


def trade(config: Config, options: Options, console: Console) -> tuple[Supervisor, int | None]:
    """Run the system until its time is over or the capture is; returns it stopped, and how many messages the
    exchange served of the capture."""
    supervisor = Supervisor(config)
    served: int | None = None
    try:
        supervisor.start()
        supervisor.until_ready()
        shown = Screen(supervisor.journal, options)
        ends = time.monotonic() + options.duration_s if options.capture is None else None
        with Live(shown, console=console, refresh_per_second=4, transient=True):
            while ends is None or time.monotonic() < ends:
                supervisor.wait(SHOWN_EVERY_S)
                supervisor.check()
                shown.update()
                for _, event in supervisor.exchange_events():
                    if event["event"] == "end_of_capture":
                        served = int(str(event["messages"]))
                if served is not None:
                    _drain(supervisor, shown)
                    break
        supervisor.stop()
        shown.reader.close()
    except BaseException:
        supervisor.kill()
        raise
    return supervisor, served


def _drain(supervisor: Supervisor, shown: Screen) -> None:
    """After the capture's last message: wait until the stream carries nothing but clock frames."""
    end = time.monotonic() + DRAIN_S
    quiet_since, last = time.monotonic(), 0
    while time.monotonic() < end and time.monotonic() - quiet_since < 1.0:
        supervisor.wait(SHOWN_EVERY_S)
        shown.update()
        total = shown.besides_clocks()
        if total != last:
            quiet_since, last = time.monotonic(), total


def run_demo(options: Options) -> int:
    """The whole demo. Exit code 0 only when the replay is identical, all of a capture is in the journal, and nothing was
    restarted."""
    console = Console(stderr=options.json)
    config = demo_config(options)
    if not options.json:
        console.print(f"journal {config.journal}")
    supervisor, served = trade(config, options, console)
    verdict = verify_with_progress(supervisor.journal, None, console)
    summary = summarize(supervisor.journal)
    report = supervisor.journal / "report.html"
    write_report(supervisor.journal, report)
    recorded = recorded_in(supervisor.journal, options.capture) if options.capture is not None else None
    outcome = Outcome(
        journal=str(supervisor.journal),
        report=str(report),
        verdict=verdict,
        summary=summary,
        restarted=supervisor.restarted,
        capture_messages=served,
        capture_recorded=recorded,
    )
    if options.json:
        print(msgspec.json.encode(outcome).decode())
    else:
        console.print(screen(summary))
        if served is not None:
            style = "green" if recorded == served else "red"
            line = f"capture: {served:,} recorded messages served, {recorded:,} of them in the journal, verbatim and in order"
            console.print(f"[{style}]{line}[/]")
        if supervisor.restarted:
            console.print(f"[yellow]restarted: {', '.join(supervisor.restarted)}[/]")
        console.print(f"[bold {'green' if verdict.identical else 'red'}]{verdict.line}[/]")
        if not verdict.identical:
            console.print(verdict.difference)
        console.print(f"report: {report}")
    return 0 if verdict.identical and recorded == served and not supervisor.restarted else 1


__all__ = ["Options", "SystemFailed", "run_demo"]
