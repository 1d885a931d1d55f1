"""`lockstep kill`, `release`, `approve`, `refuse`, `start`, `stop`: a person's commands, as frames with who, what and why."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from journal.frames import frames
from journal.messages import (
    Approval,
    ApprovalDecision,
    CommandCode,
    CommandResult,
    KillLevel,
    KillRelease,
    KillSwitch,
    KillTrigger,
    Message,
    OperatorCommand,
    RequestState,
    RiskLimitSet,
    ScopeType,
    StrategyCommand,
)
from lockstep.config import ConfigError
from lockstep.person import Operator, add_person, add_scope, told

LEVELS = {
    "block": KillLevel.BLOCK, "cancel": KillLevel.BLOCK_CANCEL, "flatten": KillLevel.BLOCK_CANCEL_FLATTEN,
}  # fmt: skip
_TEXTS = {
    "kill": (
        "block all new orders (of a scope) at once, cancel the open ones, close the positions if asked to",
        "The block holds until `lockstep release`, over restarts too. Prints the number that release wants.",
    ),
    "release": (
        "end a kill",
        "A kill by a person is ended by two: another one than who killed and who asks has to `lockstep approve` it, as soon as "
        "the configuration has two users. Until then the kill holds.",
    ),
    "approve": ("approve what another person has asked for", "Without a number: shows what waits for approval."),
    "refuse": ("refuse what another person has asked for", "What was asked for is over; the kill or limit stays as it is."),
    "start": ("let strategies trade (again)", "Undoes `lockstep stop`; a kill is ended by `lockstep release` only."),
    "stop": (
        "stop strategies and withdraw their orders",
        "Stopped strategies keep their state and see the market; they stay stopped, over restarts too, until `lockstep start`.",
    ),
}


def add_parser(subparsers: Any) -> None:
    """Register the commands."""
    for name, (text, more) in _TEXTS.items():
        command = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. {more}")
        command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")
        if name == "release":
            command.add_argument("kill", type=int, metavar="ID", help="the number that `lockstep kill` printed")
        elif name in ("approve", "refuse"):
            command.add_argument("number", type=int, nargs="?", metavar="SEQ|REQUEST", help="the request, or its frame's seq")
        elif name == "kill":
            add_scope(command)
            command.add_argument("--level", choices=LEVELS, default="cancel", help="how far it goes (default: cancel)")
        else:
            add_scope(command, ("strategy",))
        add_person(command, must_reason=name not in ("approve", "refuse"))
        command.set_defaults(run=globals()[f"run_{name}"] if name in ("kill", "release") else run, verb=name)


def run_kill(arguments: argparse.Namespace) -> int:
    """`lockstep kill`: whoever says it, it holds."""
    operator = Operator(arguments, named=False)
    scope = operator.scope(arguments)
    kill = KillSwitch(
        kill=operator.request, level=LEVELS[arguments.level], trigger=KillTrigger.OPERATOR, reason=arguments.reason, **scope
    )
    command = operator.command(CommandCode.KILL, target_type=scope["scope_type"], verb="kill")
    operator.say(command, kill)
    print(f"kill {operator.request}; lift it with: lockstep release {arguments.path} {operator.request} --reason …")
    if arguments.level == "flatten" and "flattener" not in operator.sources:
        print(
            "lockstep: blocked and canceled; nothing here closes positions: [risk] flatten is not set",
            file=sys.stderr,
        )
        return 1
    return 0


def run_release(arguments: argparse.Namespace) -> int:
    """`lockstep release`: asks; whether it is enough the risk engine says."""
    operator = Operator(arguments)
    command = operator.command(CommandCode.KILL_RELEASE, target=arguments.kill, verb="release")
    release = KillRelease(kill=arguments.kill, reason=arguments.reason)
    came = operator.say(command, release, answer_to=operator.request if operator.people else 0)
    print(f"release {operator.request}")
    how = f"another person: lockstep approve {arguments.path} {operator.request} --user NAME --reason …"
    return told(came, how) if operator.people else 0


def run(arguments: argparse.Namespace) -> int:
    """`lockstep approve`, `refuse`, `start`, `stop`."""
    if arguments.verb in ("approve", "refuse"):
        return _decide(arguments)
    operator = Operator(arguments, named=arguments.verb == "start")
    scope = operator.scope(arguments)
    strategy = scope.get("scope_strategy", 0)
    code = CommandCode.START if arguments.verb == "start" else CommandCode.STOP
    target_type = ScopeType.STRATEGY if strategy else ScopeType.GLOBAL
    command = operator.command(code, target=strategy, target_type=target_type, verb=arguments.verb)
    operator.say(command, StrategyCommand(request=operator.request, strategy=strategy, command=code))
    print(f"{arguments.verb} {operator.request}")
    return 0


def _decide(arguments: argparse.Namespace) -> int:
    operator = Operator(arguments)
    if not operator.people:
        raise ConfigError(f"{arguments.path}: this system has no users; expected [user.NAME] tables in its configuration")
    if arguments.number is None:
        return _waiting(arguments.path)
    if arguments.reason is None:
        raise ConfigError(f"lockstep {arguments.verb}: --reason TEXT is required; it becomes part of the record")
    seq, request = _request(arguments.path, arguments.number)
    decision = ApprovalDecision.APPROVED if arguments.verb == "approve" else ApprovalDecision.REFUSED
    approval = Approval(request_seq=seq, user=operator.user, decision=decision, reason=arguments.reason)
    came = operator.say(None, approval, answer_to=request)
    code = told(came)
    refused = decision == ApprovalDecision.REFUSED and came is not None and came.status == RequestState.REJECTED
    return 0 if refused else code


def _request(path: Path, number: int) -> tuple[int, int]:
    """(seq, request) of what a person has asked for, by either number."""
    before = OperatorCommand()
    for frame in frames(path, kinds=[OperatorCommand.KIND, KillRelease.KIND, RiskLimitSet.KIND]):
        m: Message | None = frame.message
        if isinstance(m, OperatorCommand):
            before = m
        if number in (frame.header.seq, m.request if isinstance(m, OperatorCommand) else 0):
            return frame.header.seq, before.request
    raise ConfigError(f"{number}: expected a person's request, or its frame's seq; `lockstep approve PATH` lists what waits")


def _waiting(path: Path) -> int:
    last: dict[int, CommandResult] = {}
    asked: dict[int, OperatorCommand] = {}
    for frame in frames(path, kinds=[OperatorCommand.KIND, CommandResult.KIND]):
        m = frame.message
        if isinstance(m, OperatorCommand):
            asked[m.request] = m
        elif isinstance(m, CommandResult):
            last[m.request] = m
    for request, m in last.items():
        if m.status == RequestState.PENDING and request in asked:
            print(f"{request}  {CommandCode(asked[request].command).name}  by user {asked[request].user}: "
                  f"{asked[request].reason}; {m.text}")  # fmt: skip
    return 0
