"""`lockstep replace`: other terms for an order or a parent, as frames with who, what and why; and what came of it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from journal.clock import SystemClock
from journal.frames import frames
from journal.messages import (
    NULL,
    CommandCode,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    NewOrder,
    OperatorCommand,
    OrderCancelReject,
    OrdStatus,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    TimeInForce,
    order_id_text,
)
from journal.text import time_text
from journal.when import BadTime, parse_time
from lockstep import units
from lockstep.config import ConfigError
from lockstep.person import ANSWER_S, Operator, add_person, awaited, in_steps
from oms.order import CLOSED
from replay.audit.render import decimal_text
from replay.finding import order_id

_LATEST = (1 << 63) - 1
"""Times are ns in 64 bits."""


class Standing(msgspec.Struct):
    """An order or parent, as the stream has it."""

    order_id: int
    defined: InstrumentDefined
    tif: int
    parent: bool
    status: int = OrdStatus.RECEIVED
    cum_qty: int = 0

    @property
    def name(self) -> str:
        """Its id, as every command prints it."""
        return order_id_text(self.order_id)

    def follow(self, m: ExecutionReport) -> None:
        """What the OMS says of it."""
        self.status, self.cum_qty = m.ord_status, m.cum_qty

    def qty(self, mantissa: int) -> str:
        """A quantity as people read it."""
        return decimal_text(mantissa, self.defined.qty_exp)

    def px(self, mantissa: int) -> str:
        """A price as people read it."""
        return decimal_text(mantissa, self.defined.px_exp)


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    text = "replace the terms of an order, or of a parent, whoever has asked for it"
    more = "What is not given stays as it is. Waits until the new terms are in force, or refused."
    command = subparsers.add_parser("replace", help=text, description=f"{text[0].upper()}{text[1:]}. {more}")
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder of the running system")
    command.add_argument("order", metavar="ORDER", help="its id, as every command prints it")
    command.add_argument("--qty", metavar="QTY", help="quantity in all, with what is filled, in units of the instrument")
    command.add_argument("--price", metavar="PRICE", help="of an order; the limit of a parent")
    command.add_argument("--stop", metavar="PRICE", help="where a stop order begins")
    command.add_argument("--display", metavar="QTY", help="how much of an iceberg is seen")
    end = command.add_mutually_exclusive_group()
    end.add_argument(
        "--end", metavar="TIME", help="of a parent, a GTC or GTD order, as 2026-11-21T10:15 or 10:15:00 (today); UTC"
    )
    end.add_argument("--for", dest="lasts", metavar="DURATION", help="the same, so long from now")
    add_person(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep replace`"""
    wanted = order_id(arguments.order)
    operator = Operator(arguments)
    order = _standing(arguments.path, wanted)
    if order is None:  # nor would anybody know what its numbers mean
        print(f"{order_id_text(wanted)}: not replaced (UNKNOWN_ORDER)")
        return 1
    m = _terms(arguments, order)
    before = operator.last_seq
    operator.say(operator.command(CommandCode.REPLACE_ORDER, target=wanted, verb="replace"), m)
    return _outcome(arguments.path, before, operator.request, order, m)


def _standing(path: Path, wanted: int) -> Standing | None:
    """What the stream has said of it; None: nothing."""
    found, number = None, 0
    for frame in frames(path, kinds=[NewOrder.KIND, ParentOrder.KIND, ExecutionReport.KIND], orders=[wanted]):
        m = frame.message
        if not isinstance(m, NewOrder | ParentOrder | ExecutionReport) or m.order_id != wanted:
            continue
        if found is None:
            parent = isinstance(m, ParentOrder) or (isinstance(m, ExecutionReport) and bool(m.report_flags & ReportFlag.PARENT))
            found = Standing(wanted, InstrumentDefined(), 0 if isinstance(m, ParentOrder) else m.tif, parent)
            number = m.instrument
        if isinstance(m, ExecutionReport):
            found.follow(m)
    if found is not None:
        for frame in frames(path, kinds=[InstrumentDefined.KIND]):
            if isinstance(frame.message, InstrumentDefined) and frame.message.instrument == number:
                found.defined = frame.message
    return found


def _terms(arguments: argparse.Namespace, order: Standing) -> ReplaceOrder:
    d = order.defined
    m = ReplaceOrder(
        order_id=order.order_id,
        order_qty=in_steps("replace", "--qty", arguments.qty, d.qty_exp, d.lot_qty),
        price_px=in_steps("replace", "--price", arguments.price, d.px_exp, d.tick_px),
        stop_px=in_steps("replace", "--stop", arguments.stop, d.px_exp, d.tick_px),
        display_qty=in_steps("replace", "--display", arguments.display, d.qty_exp, d.lot_qty),
        expire_ts=_end(arguments, order),
    )
    if m == ReplaceOrder(order_id=order.order_id):
        raise ConfigError("replace: nothing is asked for; expected --qty, --price, --end or another term")
    return m


def _end(arguments: argparse.Namespace, order: Standing) -> int:
    """When it is to end; 0: as before."""
    now = SystemClock().now_ns()
    if arguments.end is None and arguments.lasts is None:
        return 0
    if not order.parent and order.tif not in (TimeInForce.GTC, TimeInForce.GTD):
        tif = TimeInForce(order.tif).name
        raise ConfigError(f"replace: {order.name} is {tif}: expected a parent, a GTC or a GTD order where an end is given")
    if arguments.lasts is not None:
        try:
            lasts = units.duration_ns(arguments.lasts)
        except units.WrongUnit as error:
            raise ConfigError(f"replace: --for: {error}") from None
        if not 0 < lasts < _LATEST - now:
            raise ConfigError(
                f"replace: --for = {arguments.lasts!r}: expected a duration above 0, and an end before the year 2262"
            )
        return now + lasts
    try:
        end = parse_time(arguments.end, datetime.fromtimestamp(now // 10**9, UTC).date())
    except BadTime as error:
        raise ConfigError(f"replace: --end: {error}") from None
    if not now < end < _LATEST:
        it_is = f"it is {time_text(now)}" if end <= now else "before the year 2262"
        raise ConfigError(f"replace: --end = {arguments.end!r}: expected a time to come; {it_is}")
    return end


def _outcome(path: Path, after: int, request: int, order: Standing, asked: ReplaceOrder) -> int:
    """Print what came of it; the exit code. Others may replace the same order: only what is said to our frame counts."""
    command = ours = version = 0
    for frame in awaited(path, after, OperatorCommand, ReplaceOrder, ExecutionReport, OrderCancelReject):
        m, header = frame.message, frame.header
        if isinstance(m, OperatorCommand) and m.request == request:
            command = header.seq
        elif isinstance(m, ReplaceOrder) and command and header.cause == command:
            ours = header.seq
        elif isinstance(m, ExecutionReport) and m.order_id == order.order_id:
            order.follow(m)
            if not ours or m.exec_ref_seq != ours:
                continue
            if m.exec_type == ExecType.REPLACED:
                print(f"{order.name}: replaced: {_in_force(order, asked, m)}")
                return 0
            if m.exec_type == ExecType.PENDING_REPLACE:
                version = m.version  # what a refusal that comes later names
        elif isinstance(m, OrderCancelReject) and (m.order_id, m.response_to) == (order.order_id, CxlRejResponseTo.REPLACE):
            if not ours or (header.cause != ours and (not version or m.version != version)):
                continue
            print(f"{order.name}: not replaced ({Reason(m.reason).name}){_why(order, m.reason)}")
            return 1
    if version:
        print(f"{order.name}: pending: neither replaced nor refused within {ANSWER_S:.0f} s")
    else:
        print(f"{order.name}: no answer within {ANSWER_S:.0f} s: the replace is on the stream, what became of it is not")
    return 1


def _in_force(order: Standing, asked: ReplaceOrder, m: ExecutionReport) -> str:
    """The terms from here on. Of the end and of what is seen no report tells: it is as asked."""
    terms = [f"quantity {order.qty(m.order_qty)}"]
    terms += [f"{'limit' if order.parent else 'price'} {order.px(m.price_px)}"] if m.price_px != NULL else []
    terms += [f"stop {order.px(m.stop_px)}"] if m.stop_px != NULL else []
    terms += [f"display {order.qty(asked.display_qty)}"] if asked.display_qty != NULL else []
    terms += [f"end {time_text(asked.expire_ts)}"] if asked.expire_ts else []
    filled = f"; {order.qty(m.cum_qty)} is filled" if m.cum_qty else ""
    return ", ".join(terms) + filled


def _why(order: Standing, reason: int) -> str:
    """What a refusal is about, where a number or a state says more than its reason."""
    if reason == Reason.TOO_LATE and order.status in CLOSED:
        return f": it is {OrdStatus(order.status).name.lower()}"
    return f": {order.qty(order.cum_qty)} is filled" if reason == Reason.REPLACE_BELOW_CUM else ""
