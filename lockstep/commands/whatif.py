"""`lockstep whatif PATH CONFIG`"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from lockstep.config import load
from lockstep.progress import events_counted
from lockstep.whatif import whatif
from replay.whatif.compare import Comparison, What
from replay.whatif.page import rows, said

DELTAS_SHOWN = 40


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "whatif",
        help="the inputs of a recorded session through other parameters or other code: which decisions differ",
        description="Runs the inputs of a recorded session (market data, operators' commands) twice through the backtest's "
        "simulated venue: as the session was configured, and as CONFIG says. Prints the decisions that differ (orders added, "
        "removed, changed), the difference in P&L and risk, and the first seq of the recording at which they part; writes both "
        "journals and a page with both equity curves.",
    )
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the recorded session")
    command.add_argument("config", type=Path, metavar="CONFIG", help="configuration of the other run (TOML)")
    command.add_argument("--out", type=Path, metavar="DIR", help="for both journals and the page (default: whatif/NAME-TIME)")
    command.add_argument("--json", action="store_true", help="print the comparison as JSON")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep whatif PATH CONFIG`"""
    config = load(arguments.config)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    out = arguments.out or Path("whatif") / f"{arguments.config.stem}-{stamp}"
    with events_counted(Console(stderr=True)) as counted:
        told = whatif(arguments.path, config, out, counted)
    page = out / "whatif.html"
    if arguments.json:
        print(msgspec.json.encode({"comparison": told, "page": str(page)}, enc_hook=str).decode())
    else:
        _print(told)
        print(f"journals {told.base.journal}, {told.other.journal}\npage: {page}")
    return 0


def _print(told: Comparison) -> None:
    print(f"both against the simulated venue, order latency {told.order_latency_ns / 1e6:g} ms each way")
    print(f"the base made {told.reproduced:,} of the {told.recorded_decisions:,} recorded decisions")
    table = [("", "base", "what if", "difference"), *rows(told)]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    for row in table:
        print(f"  {row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}".rstrip())
    for kind in ("NewOrder", "ReplaceOrder", "CancelOrder"):
        counts = [f"{n:,} {what}" for what in What if (n := told.count(what, kind))]
        if counts:
            print(f"{kind}: {', '.join(counts)}")
    if told.first is None:
        print("the same decisions")
        return
    print(f"decisions part at seq {told.first_seq} of {told.recording}")
    for delta in told.deltas[:DELTAS_SHOWN]:
        d = delta.decision
        base, other = said(delta)
        both = f"{base} → {other}" if base and other else base or other
        mark = {What.ADDED: "+", What.REMOVED: "-", What.CHANGED: "~"}[delta.what]
        print(f"{mark} {d.market_seq:>9} {d.time[11:]} {d.strategy} {d.kind} {d.side} {d.instrument}  {both}")
    if len(told.deltas) > DELTAS_SHOWN:
        print(f"… {len(told.deltas) - DELTAS_SHOWN:,} more; --json has them all")
