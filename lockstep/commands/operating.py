"""`lockstep kill`, `release`, `start`, `stop`: an operator's commands, as frames with who, what and why."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path
from typing import Any

from journal import entropy
from journal.frames import frames, last_seq
from journal.messages import (
    OWN_CAUSE,
    CommandCode,
    KillLevel,
    KillRelease,
    KillSwitch,
    KillTrigger,
    Message,
    OperatorCommand,
    ScopeType,
    StrategyCommand,
    StrategyDefined,
)
from lockstep.config import ConfigError
from sequencer.client import Publisher


def add_parser(subparsers: Any) -> None:
    """Register the four commands."""
    texts = {
        "kill": "block all new orders (of a strategy) at once and cancel the open ones",
        "release": "end a kill",
        "start": "let strategies trade (again)",
        "stop": "stop strategies and withdraw their orders",
    }
    more = {
        "kill": "The block holds until `lockstep release`, over restarts too. Prints the number that release wants.",
        "release": "Strategies trade again at once.",
        "start": "Undoes `lockstep stop`; a kill is ended by `lockstep release` only.",
        "stop": "Stopped strategies keep their state and see the market; they stay stopped, over restarts too, until "
        "`lockstep start`.",
    }
    for name, text in texts.items():
        command = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. {more[name]}")
        command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")
        if name == "release":
            command.add_argument("kill", type=int, metavar="ID", help="the number that `lockstep kill` printed")
        else:
            command.add_argument("--strategy", metavar="NAME", help="only this strategy (default: all)")
        command.add_argument("--reason", required=True, metavar="TEXT", help="why; it becomes part of the record")
        command.set_defaults(run=run, verb=name)


def run(arguments: argparse.Namespace) -> int:
    """One command: an OperatorCommand frame, and the frame it leads to with it as its cause."""
    last_seq(arguments.path)  # no journal at all: say so now, do not wait for its sequencer
    request = entropy.random_u64() >> 1
    strategy = _strategy(arguments.path, getattr(arguments, "strategy", None))
    code, frame = _frame(arguments, request, strategy)
    command = OperatorCommand(
        request=request,
        command=code,
        target=strategy,
        target_type=ScopeType.STRATEGY if strategy else ScopeType.GLOBAL,
        reason=arguments.reason,
        arguments=f"{arguments.verb} by {getpass.getuser()}",
    )
    with Publisher.connect(arguments.path, "operator", timeout_s=5) as publisher, publisher.batch():
        number = publisher.publish(command)
        publisher.publish(frame, cause=OWN_CAUSE | number)
    print(f"{arguments.verb} {request}" + (f"; lift it with: lockstep release {arguments.path} {request} --reason …"
                                           if arguments.verb == "kill" else ""))  # fmt: skip
    return 0


def _strategy(path: Path, name: str | None) -> int:
    if name is None:
        return 0
    known = {m.name: m.strategy for f in frames(path, kinds=[StrategyDefined.KIND])
             if isinstance(m := f.message, StrategyDefined)}  # fmt: skip
    if name not in known:
        raise ConfigError(f"--strategy = {name!r}: expected one of {', '.join(known) or 'none defined'}")
    return known[name]


def _frame(arguments: argparse.Namespace, request: int, strategy: int) -> tuple[CommandCode, Message]:
    if arguments.verb == "kill":
        return CommandCode.KILL, KillSwitch(
            kill=request,
            level=KillLevel.BLOCK_CANCEL,
            trigger=KillTrigger.OPERATOR,
            scope_type=ScopeType.STRATEGY if strategy else ScopeType.GLOBAL,
            scope_strategy=strategy,
            reason=arguments.reason,
        )
    if arguments.verb == "release":
        return CommandCode.KILL_RELEASE, KillRelease(kill=arguments.kill, reason=arguments.reason)
    code = CommandCode.START if arguments.verb == "start" else CommandCode.STOP
    return code, StrategyCommand(request=request, strategy=strategy, command=code)
