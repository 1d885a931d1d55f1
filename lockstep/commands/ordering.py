"""`lockstep parent`: a person's parent order, as a frame with who, what and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from journal.clock import SystemClock
from journal.frames import frames
from journal.messages import (
    NULL,
    AccountDefined,
    AlgoParameter,
    AlgoType,
    AlgoVenue,
    CommandCode,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    ParentOrder,
    Reason,
    ReportFlag,
    Side,
    StrategyDefined,
    ValueType,
    VenueDefined,
    order_id_of,
    order_id_source,
    order_id_text,
)
from lockstep import units
from lockstep.config import ConfigError
from lockstep.person import Operator, add_person

_ORDER_NUMBER = (1 << 47) - 1
"""Own numbers of orders that people give; those of quotes begin above it."""
_ALGOS = {a.name.lower(): a for a in AlgoType if a}


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    text = "give a parent order: one intention, worked by child orders that name it"
    more = "Prints the order's id. Its children name that id; the OMS holds that they stay within it."
    command = subparsers.add_parser("parent", help=text, description=f"{text[0].upper()}{text[1:]}. {more}")
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")
    command.add_argument("side", choices=("buy", "sell"))
    command.add_argument("qty", metavar="QTY", help="quantity in all, in units of the instrument")
    command.add_argument("instrument", metavar="SYMBOL")
    command.add_argument("--account", required=True, metavar="NAME", help="on which account")
    command.add_argument("--strategy", metavar="NAME", help="for which strategy (default: none)")
    command.add_argument("--algo", choices=_ALGOS, default="twap", help="how it is to be worked (default: twap)")
    command.add_argument("--limit", metavar="PRICE", help="no child is worse (default: any price)")
    command.add_argument("--start", metavar="DURATION", default="0s", help="not before so long from now (default: at once)")
    command.add_argument("--for", dest="lasts", metavar="DURATION", help="how long from its start (default: until done)")
    command.add_argument("--max-slice", metavar="QTY", help="no child is larger")
    command.add_argument("--min-slice", metavar="QTY", help="no child is to be smaller")
    command.add_argument("--participation", metavar="PERCENT", help="share of the market's volume, as 10%%")
    command.add_argument("--urgency", type=int, choices=range(256), default=0, metavar="0-255")
    command.add_argument("--venue", action="append", default=[], metavar="NAME", help="may be worked there too")
    command.add_argument(
        "--set", dest="parameters", action="append", default=[], metavar="NAME=VALUE", help="of the algo; again"
    )
    add_person(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep parent`"""
    operator = Operator(arguments)
    m = _order(arguments, operator)
    before = operator.last_seq
    operator.say(operator.command(CommandCode.NEW_ORDER, target=m.order_id, verb="parent"), m)
    print(f"parent {order_id_text(m.order_id)}")
    return _became(arguments.path, before, m.order_id)


def _order(arguments: argparse.Namespace, operator: Operator) -> ParentOrder:
    instrument = operator.number(InstrumentDefined, "instrument", arguments.instrument)
    defined = InstrumentDefined()
    for frame in frames(arguments.path, kinds=[InstrumentDefined.KIND]):
        if isinstance(frame.message, InstrumentDefined) and frame.message.instrument == instrument:
            defined = frame.message
    start_ts = SystemClock().now_ns() + _duration("--start", arguments.start)
    return ParentOrder(
        order_id=order_id_of(operator.sources["operator"], operator.request & _ORDER_NUMBER),
        account=operator.number(AccountDefined, "account", arguments.account),
        strategy=operator.number(StrategyDefined, "strategy", arguments.strategy) if arguments.strategy is not None else 0,
        user=operator.user, instrument=instrument, algo=_ALGOS[arguments.algo], urgency=arguments.urgency,
        side=Side.BUY if arguments.side == "buy" else Side.SELL,
        order_qty=_mantissa("QTY", arguments.qty, defined.qty_exp),
        limit_px=_mantissa("--limit", arguments.limit, defined.px_exp),
        max_slice_qty=_mantissa("--max-slice", arguments.max_slice, defined.qty_exp),
        min_slice_qty=_mantissa("--min-slice", arguments.min_slice, defined.qty_exp),
        participation_rate=_rate(arguments.participation),
        start_ts=start_ts if _duration("--start", arguments.start) else 0,
        end_ts=start_ts + _duration("--for", arguments.lasts) if arguments.lasts is not None else 0,
        venues=[AlgoVenue(venue=operator.number(VenueDefined, "venue", name)) for name in arguments.venue],
        parameters=_parameters(arguments.parameters),
    )  # fmt: skip


def _mantissa(option: str, text: str | None, exp: int) -> int:
    """Decimal text as a mantissa with this exponent, exact; NULL where nothing was given."""
    if text is None:
        return NULL
    try:
        value, own = units.decimal(text)
    except units.WrongUnit as error:
        raise ConfigError(f"parent: {option}: {error}") from None
    scaled, rest = (value * 10 ** (own - exp), 0) if own >= exp else divmod(value, 10 ** (exp - own))
    if rest or scaled <= 0 or scaled >= 1 << 62:
        raise ConfigError(f"parent: {option} = {text!r}: expected a number above 0 with at most {-exp} decimals")
    return int(scaled)


def _duration(option: str, text: str) -> int:
    try:
        return 0 if text == "0s" else units.duration_ns(text)
    except units.WrongUnit as error:
        raise ConfigError(f"parent: {option}: {error}") from None


def _rate(text: str | None) -> int:
    if text is None:
        return NULL
    try:
        found = units.rate_e12(text)
    except units.WrongUnit as error:
        raise ConfigError(f"parent: --participation: {error}") from None
    if not 0 < found <= 10**12:
        raise ConfigError(f"parent: --participation = {text!r}: expected above 0% and at most 100%")
    return found


def _parameters(texts: list[str]) -> list[AlgoParameter]:
    found: dict[str, AlgoParameter] = {}
    for text in texts:
        name, is_there, value = text.partition("=")
        if not name or not is_there:
            raise ConfigError(f"parent: --set {text!r}: expected NAME=VALUE")
        if name in found:
            raise ConfigError(f"parent: --set {text!r}: {name} is set twice")
        found[name] = AlgoParameter(type=ValueType.TEXT, name=name, value=value)
    return list(found.values())


def _became(path: Path, after: int, order_id: int) -> int:
    """Print what the OMS says of it, as soon as it does; the exit code."""
    end = SystemClock().now_ns() + 5_000_000_000
    while SystemClock().now_ns() < end:
        for frame in frames(path, from_seq=after + 1, kinds=[ExecutionReport.KIND]):
            m = frame.message
            if isinstance(m, ExecutionReport) and m.order_id == order_id and m.report_flags & ReportFlag.PARENT:
                refused = m.exec_type == ExecType.REJECTED
                print(f"rejected ({Reason(m.reason).name})" if refused else f"working under source {order_id_source(order_id)}")
                return 1 if refused else 0
    print("no answer within 5 s: the order is on the stream, what became of it is not")
    return 1
