"""`lockstep demo`"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from lockstep.config import ConfigError
from lockstep.demo import Options, run_demo


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "demo",
        help="run a trading day through the sequencer and prove the replay identical",
        description="Starts a simulated exchange, a gateway, the sequencer and the apps as separate processes, trades, stops "
        "cleanly, replays the journal and compares every decision. With --capture the market is a recorded venue capture.",
    )
    command.add_argument("--journal", type=Path, metavar="DIR", help="where to write (default: days/demo-TIME)")
    command.add_argument("--duration", type=float, default=30.0, metavar="SECONDS", help="how long to trade (default: 30)")
    command.add_argument("--capture", type=Path, metavar="FILE", help="serve this recorded capture, whole, as the market")
    command.add_argument("--speed", default="1", metavar="N|max", help="pace of the capture (default: 1, as recorded)")
    command.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="NAME|FILE.py",
        help="maker, cross, or a strategy file with its .toml beside it; may be repeated (default: maker and cross)",
    )
    command.add_argument("--json", action="store_true", help="print the outcome as JSON")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep demo`"""
    if not 0 < arguments.duration < math.inf:
        raise ConfigError(f"--duration = {arguments.duration}: expected seconds above 0")
    if arguments.capture is not None and not arguments.capture.is_file():
        raise ConfigError(f"--capture = {arguments.capture}: no such file; expected a capture such as NAME.gz")
    return run_demo(
        Options(
            journal=arguments.journal,
            duration_s=arguments.duration,
            capture=arguments.capture,
            strategies=arguments.strategy,
            speed=arguments.speed,
            json=arguments.json,
        )
    )
