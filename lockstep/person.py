"""A person at the stream: who they are, what the names mean that they say, their command, and what became of it."""

from __future__ import annotations

import argparse
import getpass
import time
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from journal import entropy
from journal.errors import OperatingError
from journal.frames import Frame, frames, last_seq
from journal.messages import (
    NULL,
    OWN_CAUSE,
    AccountDefined,
    CommandCode,
    CommandResult,
    GroupDefined,
    InstrumentDefined,
    Message,
    OperatorCommand,
    Reason,
    RequestState,
    ScopeType,
    SourceDefined,
    StrategyDefined,
    UserDefined,
    VenueDefined,
)
from lockstep import units
from lockstep.config import ConfigError
from sequencer.client import Publisher

ANSWER_S = 5.0
"""How long a command waits for its answer."""

SCOPES: dict[str, tuple[type[Message], str, ScopeType]] = {
    "account": (AccountDefined, "account", ScopeType.ACCOUNT),
    "strategy": (StrategyDefined, "strategy", ScopeType.STRATEGY),
    "venue": (VenueDefined, "venue", ScopeType.VENUE),
    "instrument": (InstrumentDefined, "instrument", ScopeType.INSTRUMENT),
    "user": (UserDefined, "user", ScopeType.USER),
    "group": (GroupDefined, "group", ScopeType.GROUP),
}
"""Option → (what defines its names, the field with the number, the scope it gives)."""


def add_scope(command: Any, names: tuple[str, ...] = tuple(SCOPES)) -> None:
    """Options that say what a command is about; none: everything."""
    scope = command.add_mutually_exclusive_group()
    for name in names:
        option = "--of-user" if name == "user" else f"--{name}"
        scope.add_argument(option, metavar="NAME", dest=f"scope_{name}", help=f"only this {name} (default: everything)")


def add_person(command: Any, *, must_reason: bool = True) -> None:
    """Who says it, and why."""
    command.add_argument("--reason", required=must_reason, metavar="TEXT", help="why; it becomes part of the record")
    command.add_argument("--user", metavar="NAME", help="who you are ([user.NAME]; default: the user whose login is yours)")


def in_steps(command: str, option: str, text: str | None, exp: int, step: int) -> int:
    """Decimal text as a mantissa that is a whole number of ticks or lots; NULL where nothing was given."""
    if text is None:
        return NULL
    try:
        found = units.mantissa(text, exp)
    except units.WrongUnit as error:
        raise ConfigError(f"{command}: {option}: {error}") from None
    if step not in (NULL, 0) and found % step:
        raise ConfigError(f"{command}: {option} = {text!r}: expected a multiple of {Decimal(step).scaleb(exp).normalize():f}")
    return found


class NotTaken(OperatingError, RuntimeError):
    """The command is not on the stream."""


class Operator:
    """One command of one person."""

    def __init__(self, arguments: argparse.Namespace, *, named: bool = True) -> None:
        """`named`: this takes a person whom the stream knows, where it knows any; what stops trading takes nobody's name."""
        self.path: Path = arguments.path
        self.last_seq = last_seq(self.path)  # no journal at all: say so now, do not wait for its sequencer
        self.reason: str = arguments.reason or ""
        self.names: dict[type[Message], dict[str, int]] = {cls: {} for cls, _, _ in SCOPES.values()}
        self.sources: dict[str, int] = {}
        kinds = [SourceDefined.KIND, *(cls.KIND for cls in self.names)]
        for m in (frame.message for frame in frames(self.path, kinds=kinds)):
            if isinstance(m, SourceDefined):
                self.sources[m.name] = m.source
            elif m is not None:
                field = next(field for cls, field, _ in SCOPES.values() if cls is type(m))
                self.names[type(m)][m.name] = getattr(m, field)  # type: ignore[attr-defined]
        self.user = self._user(arguments.user, named)
        self.request = entropy.random_u64() >> 1

    def _user(self, given: str | None, named: bool) -> int:
        known = self.names[UserDefined]
        if not known:
            if given is not None:
                raise ConfigError(f"--user {given}: this system has no users; expected [user.NAME] tables in its configuration")
            return 0
        name = given if given is not None else _of_login(self.path, getpass.getuser())
        if name in known:
            return known[name]
        if given is None and not named:
            return 0
        raise ConfigError(f"--user = {name!r}: expected one of {', '.join(known)}")

    def scope(self, arguments: argparse.Namespace) -> dict[str, int]:
        """The fields of a scope that the options name."""
        for name, (cls, _, kind) in SCOPES.items():
            given = getattr(arguments, f"scope_{name}", None)
            if given is not None:
                return {"scope_type": kind, f"scope_{name}": self.number(cls, name, given)}
        return {"scope_type": ScopeType.GLOBAL}

    def number(self, cls: type[Message], option: str, name: str) -> int:
        """The number of a name."""
        known = self.names[cls]
        if name not in known:
            raise ConfigError(f"--{option} = {name!r}: expected one of {', '.join(known) or 'none defined'}")
        return known[name]

    @property
    def people(self) -> bool:
        """Whether the system knows its users: then commands are answered."""
        return bool(self.names[UserDefined])

    def command(self, code: CommandCode, *, target: int = 0, target_type: int = 0, verb: str = "") -> OperatorCommand:
        """The frame that says who, what and why."""
        return OperatorCommand(
            request=self.request, command=code, user=self.user, target=target, target_type=target_type, reason=self.reason,
            arguments=f"{verb} by {getpass.getuser()}",
        )  # fmt: skip

    def say(self, command: OperatorCommand | None, frame: Message, *, answer_to: int = 0) -> CommandResult | None:
        """Publish a command and the frame it leads to; wait for the answer to a request, where one is expected."""
        with Publisher.connect(self.path, "operator", timeout_s=5) as publisher:
            with publisher.batch():
                number = publisher.publish(command) if command is not None else 0
                last = publisher.publish(frame, cause=OWN_CAUSE | number if number else 0)
            self._until_taken(publisher, last)
            return self._answer(answer_to) if answer_to else None

    def _until_taken(self, publisher: Publisher, number: int) -> None:
        """Until the sequencer has ordered it: then it is a fact, whatever happens to us."""
        end = time.monotonic() + ANSWER_S
        while publisher.accepted_source_seq < number:
            if publisher.rejected:
                raise NotTaken(f"{self.path}: the sequencer has refused the command: {publisher.last_reject_reason.name}")
            if time.monotonic() > end:
                raise NotTaken(f"{self.path}: the sequencer has not taken the command within {ANSWER_S:.0f} s")
            publisher.wait(0.02)

    def _answer(self, request: int) -> CommandResult | None:
        for frame in awaited(self.path, self.last_seq, CommandResult):
            if isinstance(frame.message, CommandResult) and frame.message.request == request:
                return frame.message
        return None


def awaited(path: Path, after: int, *kinds: type[Message]) -> Iterator[Frame]:
    """Frames behind one, those that are still to come, too, for as long as an answer is waited for."""
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        for frame in frames(path, from_seq=after + 1, kinds=[cls.KIND for cls in kinds]):
            after = frame.header.seq
            yield frame
        time.sleep(0.02)


def told(came: CommandResult | None, waits: str = "") -> int:
    """Print what became of a command; its exit code."""
    if came is None:
        print(f"no answer within {ANSWER_S:.0f} s: the command is on the stream, what became of it is not")
        return 1
    reason = f" ({Reason(came.reason).name})" if came.reason else ""
    print(f"{RequestState(came.status).name.lower()}{reason}: {came.text}")
    if came.status == RequestState.PENDING and waits:
        print(waits)
    return 0 if came.status in (RequestState.DONE, RequestState.PENDING) and came.reason != Reason.SAME_PERSON else 1


def _of_login(path: Path, login: str) -> str:
    """The user whose login this is, by the configuration that the system runs with; else the one of that name."""
    try:
        users = tomllib.loads((path / "run" / "config.toml").read_text("utf-8")).get("user", {})
    except (OSError, tomllib.TOMLDecodeError):
        return login
    return next((name for name, table in users.items() if table.get("login") == login), login)
