"""`lockstep state`, `limit`, `unban`, `heartbeat`: what may be sent, in whose judgement, and whether anybody is watching."""

from __future__ import annotations

import argparse
import datetime
import signal
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from journal.clock import SystemClock
from journal.frames import frames, last_seq
from journal.messages import (
    NULL,
    BanLifted,
    CommandCode,
    CurrencyDefined,
    Heartbeat,
    LimitAction,
    Reason,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    TradingState,
    TradingStateSet,
)
from lockstep import standing, units
from lockstep.config import ConfigError
from lockstep.person import SCOPES, Operator, add_person, add_scope, told
from sequencer.client import Publisher

CHECKS = {c.name.lower(): c for c in RiskCheck if c}
ACTIONS = {a.name.lower(): a for a in LimitAction if a}


def add_parser(subparsers: Any) -> None:
    """Register the commands."""
    state = subparsers.add_parser(
        "state",
        help="let a scope trade, only reduce, or halt it",
        description="Sets the trading state of a scope. The strictest that covers an order holds for it; cancels always go. "
        "`active` also ends what a dead man's handle has paused.",
    )
    _path(state)
    state.add_argument("state", choices=("active", "reducing", "halted"), help="what the scope may do from now on")
    add_scope(state)
    add_person(state)
    state.set_defaults(run=run_state)

    limit = subparsers.add_parser("limit", help="show limits, change one", description="What holds, and who has set it.")
    verbs = limit.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = verbs.add_parser("show", help="the limits in force", description="The limits in force.")
    _path(show)
    show.set_defaults(run=run_limit_show)
    change = verbs.add_parser(
        "set",
        help="change a limit, or make one",
        description="Changes the limit of a number, or makes one of a check and a scope. What tightens holds at once; a raise "
        "waits for another person's `lockstep approve` where [approval] limits = true. At the next `up` the file's limits hold "
        "again.",
    )
    _path(change)
    change.add_argument("limit", type=int, nargs="?", metavar="NUMBER", help="of a limit that `limit show` lists")
    change.add_argument("--check", choices=sorted(CHECKS), metavar="CHECK", help="of a new limit: position, order_rate, …")
    add_scope(change)
    change.add_argument("--hard", metavar="VALUE", help="the bound: '5', '2%%', '1000 USDT'")
    change.add_argument("--warn", metavar="VALUE", help="where warnings begin")
    change.add_argument("--window", metavar="DURATION", help="of a rate: '1s'")
    change.add_argument("--action", choices=sorted(ACTIONS), metavar="ACTION", help="what is done then: reject, ban, …")
    change.add_argument("--for", dest="lasts", metavar="DURATION", help="for so long; then what was before holds again")
    add_person(change)
    change.set_defaults(run=run_limit_set)

    unban = subparsers.add_parser(
        "unban", help="end a ban before its time", description="Without a number: shows those that hold."
    )
    _path(unban)
    unban.add_argument("ban", type=int, nargs="?", metavar="SEQ", help="the ban's frame")
    add_person(unban, must_reason=False)
    unban.set_defaults(run=run_unban)

    heartbeat = subparsers.add_parser(
        "heartbeat",
        help="hold a dead man's handle",
        description="Says a Heartbeat at once and again and again until it is ended (Ctrl-C). [watch.NAME] says what its "
        "absence leads to.",
    )
    _path(heartbeat)
    heartbeat.add_argument("--watch", required=True, metavar="NAME", help="[watch.NAME]")
    heartbeat.add_argument("--every", type=_seconds, metavar="SECONDS", help="default: half of the watch's interval")
    heartbeat.add_argument("--count", type=int, metavar="N", help="end after so many")
    heartbeat.set_defaults(run=run_heartbeat)


def _path(command: Any) -> None:
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.001 <= found <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, 0.001 to 86400")
    return found


def run_state(arguments: argparse.Namespace) -> int:
    """`lockstep state`"""
    state = TradingState[arguments.state.upper()]
    operator = Operator(arguments, named=state == TradingState.ACTIVE)
    scope = operator.scope(arguments)
    code = CommandCode.RESUME if state == TradingState.ACTIVE else CommandCode.PAUSE
    command = operator.command(code, target_type=scope["scope_type"], verb=f"state {arguments.state}")
    frame = TradingStateSet(request=operator.request, state=state, reason=Reason.USER_REQUEST, text=arguments.reason, **scope)
    came = operator.say(command, frame, answer_to=operator.request if operator.people else 0)
    return told(came) if operator.people else 0


# Limits.


def run_limit_show(arguments: argparse.Namespace) -> int:
    """`lockstep limit show`"""
    last_seq(arguments.path)
    names = {(cls, number): name for cls, held in _names(arguments.path).items() for name, number in held.items()}
    for number, limit in sorted(standing.limits(arguments.path).items()):
        print(_line(number, limit, names))
    return 0


def _names(path: Path) -> dict[type, dict[str, int]]:
    reader = argparse.Namespace(path=path, reason="", user=None)
    return dict(Operator(reader, named=False).names)


def _line(number: int, limit: standing.Standing, names: dict[Any, str]) -> str:
    m = limit.terms
    scope = "everything"
    for name, (cls, _, kind) in SCOPES.items():
        if m.scope_type == kind:
            scope = f"{name} {names.get((cls, getattr(m, f'scope_{name}')), '?')}"
    more = f" warn {_value(m.warn, m.exp)}" if m.warn else ""
    more += f" in {m.period_ns / 1e9:g} s" if m.period_ns else ""
    more += f" until {_time(m.valid_until_ts)}" if m.valid_until_ts else ""
    by = f", by user {limit.user}" if limit.user else ""
    action = LimitAction(m.action or LimitAction.REJECT).name.lower()
    return (f"{number:>4}  {RiskCheck(m.check).name.lower()}  {scope}: {_value(m.hard, m.exp)}{more}, {action}, "
            f"generation {m.generation}, since {limit.since_seq}{by}")  # fmt: skip


def _value(mantissa: int, exp: int) -> str:
    if mantissa == NULL:
        return "off"
    rate = exp == -12
    value = Decimal(mantissa).scaleb(exp + 2 if rate else exp).normalize()
    return f"{value:f}%" if rate else f"{value:f}"


def _time(ns: int) -> str:
    return datetime.datetime.fromtimestamp(ns // 10**9, datetime.UTC).isoformat().replace("+00:00", "Z")


def run_limit_set(arguments: argparse.Namespace) -> int:
    """`lockstep limit set`"""
    operator = Operator(arguments)
    held = standing.limits(arguments.path)
    m = _wanted(arguments, operator, held)
    command = operator.command(CommandCode.SET_LIMIT, target=m.limit, verb=f"limit set {m.limit}")
    came = operator.say(command, m, answer_to=operator.request if operator.people else 0)
    print(f"limit {m.limit}, request {operator.request}")
    how = f"another person: lockstep approve {arguments.path} {operator.request} --user NAME --reason …"
    return told(came, how) if operator.people else 0


def _wanted(arguments: argparse.Namespace, operator: Operator, held: dict[int, standing.Standing]) -> RiskLimitSet:
    if arguments.limit is not None:
        if arguments.limit not in held:
            raise ConfigError(f"limit {arguments.limit}: expected one of {', '.join(map(str, sorted(held))) or 'none'}")
        if arguments.check is not None or operator.scope(arguments)["scope_type"] != ScopeType.GLOBAL:
            raise ConfigError("limit set: a limit keeps its check and scope; expected NUMBER, or --check and a scope")
        m = msgspec.structs.replace(held[arguments.limit].terms, approval_seq=0)
        m.generation += 1
    elif arguments.check is None or arguments.hard is None:
        raise ConfigError("limit set: expected the NUMBER of a limit, or --check and --hard for a new one")
    else:
        number = max(held, default=0) + 1
        m = RiskLimitSet(limit=number, check=CHECKS[arguments.check], generation=1, action=LimitAction.REJECT)
        for field, value in operator.scope(arguments).items():
            setattr(m, field, value)
    try:
        _terms(arguments, operator.path, m)
    except units.WrongUnit as error:
        raise ConfigError(f"limit set: {error}") from None
    m.reason = arguments.reason
    return m


def _terms(arguments: argparse.Namespace, path: Path, m: RiskLimitSet) -> None:
    currencies = {c.name: c.currency for f in frames(path, kinds=[CurrencyDefined.KIND])
                  if isinstance(c := f.message, CurrencyDefined)}  # fmt: skip
    if arguments.hard is not None:
        m.hard, m.exp, currency = _number(arguments.hard, currencies)
        m.currency = currency or m.currency
        if arguments.warn is None:
            m.warn = 0 if not m.warn else min(m.warn, m.hard)
    if arguments.warn is not None:
        warn, exp, _ = _number(arguments.warn, currencies)
        shared = min(exp, m.exp)
        m.hard, m.warn, m.exp = m.hard * 10 ** (m.exp - shared), warn * 10 ** (exp - shared), shared
    if arguments.window is not None:
        m.period_ns = units.duration_ns(arguments.window)
    if arguments.action is not None:
        m.action = ACTIONS[arguments.action]
    m.valid_until_ts = SystemClock().now_ns() + units.duration_ns(arguments.lasts) if arguments.lasts is not None else 0


def _number(text: str, currencies: dict[str, int]) -> tuple[int, int, int]:
    """(mantissa, exponent, currency) of a bound as people write it."""
    if text.endswith(("%", "bp")):
        return units.rate_e12(text), -12, 0
    if " " in text.strip():
        value, currency = units.amount(text)
        if currency not in currencies:
            raise units.WrongUnit(f"{text!r}: expected a currency of this system ({', '.join(currencies)})")
        return *units.decimal(str(value)), currencies[currency]
    return *units.decimal(text), 0


# Bans.


def run_unban(arguments: argparse.Namespace) -> int:
    """`lockstep unban`"""
    held = standing.bans(arguments.path)
    if arguments.ban is None:
        for seq, ban in held.items():
            rule, scope = RiskCheck(ban.rule).name.lower(), ScopeType(ban.scope_type).name.lower()
            print(f"{seq}  {rule}  {scope}  until {_time(ban.until_ts)}")
        return 0
    if arguments.ban not in held:
        raise ConfigError(f"ban {arguments.ban}: expected one of {', '.join(map(str, held)) or 'none that hold'}")
    if arguments.reason is None:
        raise ConfigError("lockstep unban: --reason TEXT is required; it becomes part of the record")
    operator = Operator(arguments)
    command = operator.command(CommandCode.LIFT_BAN, target=arguments.ban, verb="unban")
    lifted = BanLifted(ban_seq=arguments.ban, reason=Reason.USER_REQUEST)
    came = operator.say(command, lifted, answer_to=operator.request if operator.people else 0)
    return told(came) if operator.people else 0


# Heartbeats.


def run_heartbeat(arguments: argparse.Namespace) -> int:
    """`lockstep heartbeat`"""
    last_seq(arguments.path)
    found, names = standing.watches(arguments.path)
    if arguments.watch not in found:
        raise ConfigError(
            f"--watch = {arguments.watch!r}: expected one of {', '.join(found) or 'none; add a [watch.NAME] table'}"
        )
    watch = found[arguments.watch]
    source = names[watch["source"]]
    if source != f"watch-{arguments.watch}":
        raise ConfigError(f"--watch = {arguments.watch!r}: its heartbeats are those of {source}, not of a person")
    every = arguments.every or watch["interval_ns"] / 2e9
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    counter = 0
    with Publisher.connect(arguments.path, source, timeout_s=5) as publisher:
        while not ended.is_set():
            counter += 1
            publisher.publish(Heartbeat(counter=counter, interval_ns=int(every * 1e9), watch=watch["watch"]))
            if counter == arguments.count:
                break
            ended.wait(every)
            if not publisher.alive:
                publisher.reconnect(timeout_s=every)
    return 0
