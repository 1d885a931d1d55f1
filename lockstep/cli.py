"""The `lockstep` command: parses arguments, runs one command, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys

from apps.discovery import ConfigError as AppConfigError
from apps.instruments import NotExact
from journal.errors import JournalError
from lockstep.commands import audit, backtest, bench, demo, journal, operating, replaying, running, strategy
from lockstep.config import ConfigError
from lockstep.supervisor import SystemFailed
from replay.debug import NothingHandles
from replay.player import UnknownApp

_EXPECTED = (
    ConfigError,
    AppConfigError,
    JournalError,
    SystemFailed,
    NothingHandles,
    UnknownApp,
    NotExact,
)


_PARSERS = (
    demo.add_parser,
    running.add_parser,
    journal.add_parser,
    replaying.add_parser,
    backtest.add_parser,
    audit.add_parser,
    operating.add_parser,
    strategy.add_parser,
    bench.add_parser,
)  # in the order that `lockstep --help` shows them


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="lockstep",
        description="A deterministic sequenced-stream trading core: one journal is the bus, the log, "
        "the backtest input and the debugging trace.",
    )
    top.add_argument("--version", action="version", version=importlib.metadata.version("lockstep"))
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add_parser in _PARSERS:
        add_parser(subparsers)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command. Exit code 0 only when all is well; 2 for a wrong use or configuration."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except _EXPECTED as error:
        print(f"lockstep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has left (`| head`): nothing is wrong.
        sys.stderr.close()
        return 0
    return code
