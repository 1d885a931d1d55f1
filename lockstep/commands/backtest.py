"""`lockstep backtest CONFIG`"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from lockstep.backtesting import run_backtest
from lockstep.config import load
from lockstep.progress import events_counted
from replay.backtest.engine import AppRaised
from replay.player import verify
from replay.report.html import write_report
from replay.report.screen import screen
from replay.report.summary import summarize


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "backtest",
        help="run a configuration's strategies over recorded or generated market data",
        description="Runs the strategies of CONFIG over the market data of a recorded journal, a capture or the seeded "
        "generator, against the in-process simulated venue, and writes a journal. The same inputs give the same bytes.",
    )
    command.add_argument("config", type=Path, metavar="CONFIG", help="configuration with a [backtest] table (TOML)")
    command.add_argument("--journal", type=Path, metavar="DIR", help="the journal to write (default: backtests/NAME-TIME)")
    command.add_argument("--market", metavar="SOURCE", help="instead of backtest.market: 'generated', a journal, a capture")
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep backtest CONFIG`"""
    config = load(arguments.config)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    out = arguments.journal or Path("backtests") / f"{arguments.config.stem}-{stamp}"
    try:
        with events_counted(Console(stderr=True)) as counted:
            result = run_backtest(config, out, arguments.market, lambda done: counted("backtest", done))
    except AppRaised as raised:
        print(f"lockstep: {raised}", file=sys.stderr)
        if raised.seq:  # what led to it has been written
            print(f"look: lockstep debug {out} --at {raised.seq} --app {raised.app}", file=sys.stderr)
        return 2
    verdict = verify(out)
    summary = summarize(out)
    report = out / "report.html"
    write_report(out, report)
    if arguments.json:
        told = {"result": result, "verdict": verdict, "summary": summary, "report": str(report)}
        print(msgspec.json.encode(told).decode())
    else:
        Console().print(screen(summary))
        print(verdict.line)
        print(f"journal {out}\nreport: {report}")
    return 0 if verdict.identical else 1
