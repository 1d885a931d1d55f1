"""`lockstep reconcile`, `correct`, `approve-correction`: a person's part in a reconciliation, as frames with who and why."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path
from typing import Any

from journal import entropy
from journal.frames import frames, last_seq
from journal.messages import (
    OWN_CAUSE,
    AccountDefined,
    Approval,
    ApprovalDecision,
    CommandCode,
    CorrectionAction,
    Message,
    OperatorCommand,
    Reason,
    ReconcileCorrection,
    ReconcileDifference,
    ScopeType,
)
from lockstep.config import ConfigError
from sequencer.client import Publisher

ACTIONS = ("close_ours", "adopt_venue_order", "reverse_fill", "accept_difference")


def add_parser(subparsers: Any) -> None:
    """Register the three commands."""
    command = _parser(subparsers, "reconcile", "compare with the venue now",
                      "Every account, or one, is compared at once. It is the only way out of a halt.")  # fmt: skip
    command.add_argument("--account", metavar="NAME", help="only this account (default: all)")
    command = _parser(subparsers, "correct", "repair a difference to the venue",
                      "The OMS does it, or refuses it with an alert. Fills cannot be made so: only the venue's own frame "
                      "applies one.")  # fmt: skip
    _difference(command)
    command.add_argument("--action", required=True, choices=ACTIONS, help="what is done about it")
    command.add_argument("--approval", type=int, default=0, metavar="SEQ",
                         help="the frame of a second person's approval, where the configuration wants one")  # fmt: skip
    command = _parser(subparsers, "approve-correction", "agree to another person's correction",
                      "Where the configuration wants a second person; `correct --approval` names its frame.")  # fmt: skip
    _difference(command)


def _parser(subparsers: Any, name: str, text: str, more: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = subparsers.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}. {more}"
    )
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")
    command.add_argument("--user", type=int, default=0, metavar="N", help="the user's number in the stream (default: 0)")
    command.add_argument("--reason", required=True, metavar="TEXT", help="why; it becomes part of the record")
    command.set_defaults(run=run, verb=name)
    return command


def _difference(command: argparse.ArgumentParser) -> None:
    command.add_argument("difference", type=int, metavar="SEQ", help="the number of the ReconcileDifference")


def run(arguments: argparse.Namespace) -> int:
    """One command: an OperatorCommand frame, and the frame it leads to with it as its cause."""
    end = last_seq(arguments.path)
    request = entropy.random_u64() >> 1
    code, target, target_type, frame = _meant(arguments)
    command = OperatorCommand(
        request=request, command=code, target=target, target_type=target_type, user=arguments.user, reason=arguments.reason,
        arguments=f"{arguments.verb} by {getpass.getuser()}",
    )  # fmt: skip
    with Publisher.connect(arguments.path, "operator", timeout_s=5) as publisher, publisher.batch():
        number = publisher.publish(command)
        if frame is not None:
            publisher.publish(frame, cause=OWN_CAUSE | number)
    line = f"{arguments.verb} {request}"
    if isinstance(frame, Approval):
        line += f"; its frame, after {end}: lockstep journal dump {arguments.path} --kind Approval"
    print(line)
    return 0


def _meant(arguments: argparse.Namespace) -> tuple[CommandCode, int, ScopeType, Message | None]:
    if arguments.verb == "reconcile":
        account = _account(arguments.path, arguments.account)
        return CommandCode.RECONCILE, account, ScopeType.ACCOUNT if account else ScopeType.GLOBAL, None
    seq = arguments.difference
    if not any(f.header.seq == seq for f in frames(arguments.path, from_seq=seq, to_seq=seq, kinds=[ReconcileDifference.KIND])):
        raise ConfigError(f"{arguments.path}: frame {seq}: expected the number of a ReconcileDifference")
    if arguments.verb == "approve-correction":
        frame: Message = Approval(
            request_seq=seq, user=arguments.user, decision=ApprovalDecision.APPROVED, reason=arguments.reason
        )
    else:
        frame = ReconcileCorrection(
            difference_seq=seq, approval_seq=arguments.approval, user=arguments.user, reason=Reason.USER_REQUEST,
            action=CorrectionAction[arguments.action.upper()], text=arguments.reason,
        )  # fmt: skip
    return CommandCode.APPROVE_CORRECTION, seq, ScopeType.GLOBAL, frame


def _account(path: Path, name: str | None) -> int:
    if name is None:
        return 0
    known = {m.name: m.account for f in frames(path, kinds=[AccountDefined.KIND]) if isinstance(m := f.message, AccountDefined)}
    if name not in known:
        raise ConfigError(f"--account = {name!r}: expected one of {', '.join(known) or 'none defined'}")
    return known[name]
