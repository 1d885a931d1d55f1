"""`lockstep why PATH ORDER|SEQ`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from replay.why import tree_lines, why


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "why",
        help="the causal tree of an order or a frame: tick, decision, risk check, order, reports, position",
        description="Prints what led to an order and what came of it, as a tree: the market event or timer, the decision, each "
        "risk check with its numbers, what was sent, what the venue said, what became of the position; with the book as it "
        "stood and the time of each hop. A seq instead of an order: what led to this frame, and what followed from it. Books "
        "and timers come from a replay. Exit code 1: the tree is whole, but the apps could not be replayed up to it.",
        epilog="examples:\n  lockstep why days/today 9.42        (also 9·42, the integer, a client's or the venue's id)\n"
        "  lockstep why days/today 3524 --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder")
    command.add_argument("about", metavar="ORDER|SEQ", help="an order, or the seq of a frame")
    command.add_argument("--json", action="store_true", help="the tree as JSON: steps in sequence order, each with its parent")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep why`"""
    told = why(arguments.path, arguments.about)
    if arguments.json:
        print(msgspec.json.encode(told).decode())
    else:
        console = Console(highlight=False)
        for line in tree_lines(arguments.path, told):
            console.print(Text(line), soft_wrap=True)
    return 1 if told.incomplete else 0
