"""`lockstep parent`, `cancel`: a person's parent order, the end of any order, as frames with who, what and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeVar

from journal.clock import SystemClock
from journal.frames import frames
from journal.messages import (
    NULL,
    AccountDefined,
    Alert,
    AlgoParameter,
    AlgoType,
    AlgoVenue,
    CancelOrder,
    CommandCode,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    LogRecord,
    OrderCancelReject,
    OrdStatus,
    ParentOrder,
    Reason,
    ReportFlag,
    Side,
    StrategyDefined,
    ValueType,
    VenueDefined,
    order_id_of,
    order_id_text,
)
from lockstep import units
from lockstep.config import ConfigError
from lockstep.person import ANSWER_S, Operator, add_person, awaited, in_steps
from oms.order import CLOSED
from replay.finding import order_id

D = TypeVar("D", InstrumentDefined, StrategyDefined)
_ORDER_NUMBER = (1 << 47) - 1
"""Own numbers of orders that people give; those of quotes begin above it."""
_ALGOS = {a.name.lower(): a for a in AlgoType if a}


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    text = "give a parent order: one intention, worked by child orders that name it"
    more = "Prints the order's id, and whether anybody works it. The OMS holds that its children stay within it."
    command = subparsers.add_parser("parent", help=text, description=f"{text[0].upper()}{text[1:]}. {more}")
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")
    command.add_argument("side", choices=("buy", "sell"))
    command.add_argument("qty", metavar="QTY", help="quantity in all, in units of the instrument")
    command.add_argument("instrument", metavar="SYMBOL")
    command.add_argument("--account", required=True, metavar="NAME", help="on which account")
    command.add_argument("--strategy", metavar="NAME", help="which strategy works it (default: none; nobody works it)")
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

    text = "cancel an order, or a parent with its children, whoever has asked for it"
    command = subparsers.add_parser("cancel", help=text, description=f"{text[0].upper()}{text[1:]}. Waits until it has ended.")
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")
    command.add_argument("order", metavar="ORDER", help="its id, as every command prints it")
    add_person(command)
    command.set_defaults(run=run_cancel)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep parent`"""
    operator = Operator(arguments)
    m = _order(arguments, operator)
    before = operator.last_seq
    operator.say(operator.command(CommandCode.NEW_ORDER, target=m.order_id, verb="parent"), m)
    print(f"parent {order_id_text(m.order_id)}")
    taken = _taken(arguments.path, before, m.order_id)
    return _worked(arguments.path, taken, arguments.strategy) if taken else 1


def run_cancel(arguments: argparse.Namespace) -> int:
    """`lockstep cancel`"""
    wanted = order_id(arguments.order)
    operator = Operator(arguments)
    before = operator.last_seq
    m = CancelOrder(order_id=wanted, reason=Reason.USER_REQUEST)
    operator.say(operator.command(CommandCode.CANCEL_ORDER, target=wanted, verb="cancel"), m)
    return _ended(arguments.path, before, wanted)


def _ended(path: Path, after: int, wanted: int) -> int:
    """Print how it ended; the exit code."""
    name = order_id_text(wanted)
    for frame in awaited(path, after, ExecutionReport, OrderCancelReject):
        m = frame.message
        if isinstance(m, OrderCancelReject) and m.order_id == wanted and m.response_to == CxlRejResponseTo.CANCEL:
            print(f"{name}: not canceled ({Reason(m.reason).name})")
            return 1
        if isinstance(m, ExecutionReport) and m.order_id == wanted and m.ord_status in CLOSED:
            print(f"{name}: {OrdStatus(m.ord_status).name.lower()}")
            return 0 if m.ord_status == OrdStatus.CANCELED else 1
    print(f"{name}: no end within {ANSWER_S:.0f} s: the cancel is on the stream, what became of it is not")
    return 1


def _order(arguments: argparse.Namespace, operator: Operator) -> ParentOrder:
    instrument = operator.number(InstrumentDefined, "instrument", arguments.instrument)
    defined = _defined(arguments.path, InstrumentDefined, arguments.instrument)
    start_ts = SystemClock().now_ns() + _duration("--start", arguments.start)
    return ParentOrder(
        order_id=order_id_of(operator.sources["operator"], operator.request & _ORDER_NUMBER),
        account=operator.number(AccountDefined, "account", arguments.account),
        strategy=operator.number(StrategyDefined, "strategy", arguments.strategy) if arguments.strategy is not None else 0,
        user=operator.user, instrument=instrument, algo=_ALGOS[arguments.algo], urgency=arguments.urgency,
        side=Side.BUY if arguments.side == "buy" else Side.SELL,
        order_qty=in_steps("parent", "QTY", arguments.qty, defined.qty_exp, defined.lot_qty),
        limit_px=in_steps("parent", "--limit", arguments.limit, defined.px_exp, defined.tick_px),
        max_slice_qty=in_steps("parent", "--max-slice", arguments.max_slice, defined.qty_exp, defined.lot_qty),
        min_slice_qty=in_steps("parent", "--min-slice", arguments.min_slice, defined.qty_exp, defined.lot_qty),
        participation_rate=_rate(arguments.participation),
        start_ts=start_ts if _duration("--start", arguments.start) else 0,
        end_ts=start_ts + _duration("--for", arguments.lasts) if arguments.lasts is not None else 0,
        venues=[AlgoVenue(venue=operator.number(VenueDefined, "venue", name)) for name in arguments.venue],
        parameters=_parameters(arguments.parameters),
    )  # fmt: skip


def _defined(path: Path, cls: type[D], name: str) -> D:
    """What a name stands for now."""
    found = cls()
    for frame in frames(path, kinds=[cls.KIND]):
        if isinstance(frame.message, cls) and frame.message.name == name:
            found = frame.message
    return found


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


def _taken(path: Path, after: int, order_id: int) -> int:
    """The frame in which the OMS has taken it; 0, said why, when it has not."""
    for frame in awaited(path, after, ExecutionReport):
        m = frame.message
        if isinstance(m, ExecutionReport) and m.order_id == order_id and m.report_flags & ReportFlag.PARENT:
            if m.exec_type != ExecType.REJECTED:
                return frame.header.seq
            print(f"rejected ({Reason(m.reason).name})")
            return 0
    print(f"no answer within {ANSWER_S:.0f} s: the order is on the stream, what became of it is not")
    return 0


def _worked(path: Path, taken: int, strategy: str | None) -> int:
    """Print what its strategy makes of it; the exit code."""
    if strategy is None:
        print("accepted; nobody works it: no --strategy was named")
        return 0
    app = _defined(path, StrategyDefined, strategy).app
    for frame in awaited(path, taken, Alert, LogRecord):
        m = frame.message
        if isinstance(m, Alert | LogRecord) and frame.header.source == app and m.about_seq == taken:
            print(f"{strategy}: {m.text}")
            return 0 if isinstance(m, LogRecord) else 1
    print(f"accepted; {strategy} has said nothing of it within {ANSWER_S:.0f} s: nobody works it so far")
    return 1
