"""The `lockstep` command: parses arguments, runs one command, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from journal.errors import OperatingError
from lockstep import __version__

# Command module → its commands, in the order that `lockstep --help` shows them. Only the module that is needed is imported:
# a system starts a dozen of these processes at once.
_MODULES = {
    "demo": ("demo",),
    "running": ("up", "sequencer", "app", "gateway", "exchange"),
    "journal": ("journal",),
    "replaying": ("replay", "debug"),
    "why": ("why",),
    "shadow": ("shadow",),
    "backtest": ("backtest",),
    "whatif": ("whatif",),
    "slice": ("slice",),
    "regress": ("regress",),
    "audit": ("audit",),
    "operating": ("kill", "release", "approve", "refuse", "start", "stop"),
    "controlling": ("state", "limit", "unban", "heartbeat"),
    "ordering": ("parent", "cancel"),
    "replacing": ("replace",),
    "reconciling": ("reconcile", "correct", "approve-correction"),
    "replicate": ("replicate",),
    "strategy": ("strategy",),
    "lint": ("lint",),
    "service": ("service",),
    "top": ("top",),
    "dropcopy": ("dropcopy",),
    "bench": ("bench",),
    "torture": ("torture",),
}


def parser(command: str = "") -> argparse.ArgumentParser:
    """The command's options; without a known command those of all."""
    top = argparse.ArgumentParser(
        prog="lockstep",
        description="A deterministic sequenced-stream trading core: one journal is the bus, the log, "
        "the backtest input and the debugging trace.",
    )
    top.epilog = "start: lockstep demo; lockstep strategy new NAME; lockstep COMMAND --help explains one command"
    top.add_argument("--version", action="version", version=f"lockstep {__version__}")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    needed = [m for m, commands in _MODULES.items() if command in commands] or list(_MODULES)
    for name in needed:
        importlib.import_module(f"lockstep.commands.{name}").add_parser(subparsers)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command. Exit code 0 only when all is well; 2 for a wrong use or configuration."""
    given = sys.argv[1:] if argv is None else argv
    arguments = parser(given[0] if given else "").parse_args(given)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a strategy named by its module may live where the command is started
    try:
        code: int = arguments.run(arguments)
        print(end="", flush=True)  # while a failure can still be told
    except OperatingError as error:
        print(f"lockstep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has left (`| head`): nothing is wrong.
        sys.stderr.close()
        return 0
    except OSError as error:
        if not _stdout_failed():
            raise
        print(f"lockstep: standard output: {error.strerror or error}", file=sys.stderr)
        return 2
    return code


def _stdout_failed() -> bool:
    """Whether what was said cannot be written, as on a full disk. Then it is dropped: the end would try again."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
