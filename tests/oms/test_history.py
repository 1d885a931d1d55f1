"""The judge judges: each invariant broken by one frame of a life that is right otherwise, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from history import Breach, History, judge
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OMS, RISK, STRATEGY, Recorder

from journal.messages import (
    CancelOrder,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    Message,
    OrdStatus,
    ReplaceOrder,
    ReportFlag,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    VenueFill,
    VenueOrderUpdate,
    content_hash,
)

Stream = list[tuple[int, int, Any]]


def life() -> Stream:
    """An order that is filled in part, replaced, canceled, and filled once more, late."""
    r = Recorder()
    r.ready()
    r.frame(InstrumentDefined(instrument=INSTRUMENT, venue=1, tick_px=10, lot_qty=5), 1)
    order_id, seq = r.new(1)
    r.decide(seq)
    at = {"order_id": order_id, "account": ACCOUNT, "instrument": INSTRUMENT}
    r.frame(VenueOrderUpdate(request_seq=r.routed(order_id), exec_type=ExecType.NEW, **at), GATEWAY)
    r.frame(VenueFill(last_qty=40, last_px=5000, trade_no=1, **at), GATEWAY)
    r.decide(r.frame(ReplaceOrder(order_id=order_id, order_qty=120), STRATEGY))
    r.frame(VenueOrderUpdate(request_seq=r.routed(order_id, RoutedReplace), exec_type=ExecType.REPLACED, **at), GATEWAY)
    r.frame(CancelOrder(order_id=order_id), STRATEGY)
    r.frame(VenueOrderUpdate(exec_type=ExecType.CANCELED, ord_status=OrdStatus.CANCELED, **at), GATEWAY)
    r.frame(VenueFill(last_qty=10, last_px=5000, trade_no=2, **at), GATEWAY)
    assert (r.last().cum_qty, r.last().cxl_qty, r.last().report_flags) == (50, 70, ReportFlag.LATE_FILL)
    return r.stream


def test_a_life_that_is_right_is_right() -> None:
    judge(life())


def place(stream: Stream, cls: type[Message], n: int = 0) -> int:
    return [at for at, (_, _, m) in enumerate(stream) if type(m) is cls][n]


def changed(cls: type[Message], n: int = 0, **fields: Any) -> Callable[[Stream], None]:
    """A frame says something else."""

    def change(stream: Stream) -> None:
        at = place(stream, cls, n)
        seq, source, m = stream[at]
        stream[at] = (seq, source, msgspec.structs.replace(m, **fields))

    return change


def again(cls: type[Message], *, at_end: bool = False) -> Callable[[Stream], None]:
    """A frame comes twice."""

    def repeat(stream: Stream) -> None:
        at = place(stream, cls)
        stream.insert(len(stream) if at_end else at + 1, (stream[-1][0] + 1, OMS, stream[at][2]))

    return repeat


def fork(stream: Stream) -> None:
    """A second replace of the terms that the first has replaced."""
    at = next(n for n, (_, _, m) in enumerate(stream) if type(m) is ExecutionReport and m.exec_type == ExecType.REPLACED)
    pending = next(row for row in stream if type(row[2]) is ExecutionReport and row[2].exec_type == ExecType.PENDING_REPLACE)
    decision, routed = stream[place(stream, RiskDecision, 1)][2], stream[place(stream, RoutedReplace)][2]
    second = msgspec.structs.replace(routed, risk_seq=1000)
    stream[at + 1 : at + 1] = [
        (999, OMS, msgspec.structs.replace(pending[2], version=2)), (1000, RISK, decision), (1001, OMS, second),
    ]  # fmt: skip


def not_told(stream: Stream) -> None:
    """A replace goes that nobody was told of."""
    stream[:] = [row for row in stream if getattr(row[2], "exec_type", 0) != ExecType.PENDING_REPLACE]


def not_asked(stream: Stream) -> None:
    """Nobody has asked for the order."""
    stream[:] = [row for row in stream if type(row[2]).__name__ != "NewOrder"]


def off(**terms: int) -> Callable[[Stream], None]:
    """The definition was another one."""
    return changed(InstrumentDefined, 1, **terms)


def undecided(stream: Stream) -> None:
    del stream[place(stream, RiskDecision)]


BREACHES: list[tuple[str, Callable[[Stream], None]]] = [
    ("I-16", changed(ExecutionReport, -1, cum_qty=130, leaves_qty=0, cxl_qty=0)),
    ("I-17", changed(ExecutionReport, 1, leaves_qty=99)),
    ("I-17", changed(ExecutionReport, -1, cxl_qty=71)),
    ("I-18", changed(ExecutionReport, -1, report_flags=0)),
    ("I-18", changed(ExecutionReport, -1, leaves_qty=70, cxl_qty=0)),
    ("I-19", changed(ExecutionReport, -1, last_qty=9)),
    ("I-19", changed(ExecutionReport, -1, cum_notional=1)),
    ("I-19", changed(ExecutionReport, 2, exec_type=ExecType.ORDER_STATUS)),
    ("I-20", again(RoutedOrder)),
    ("I-21", fork),
    ("I-21", not_told),
    ("I-22", changed(RoutedReplace, orig_request_seq=0)),
    ("I-22", again(RoutedCancel, at_end=True)),
    ("I-22", changed(RoutedCancel, orig_request_seq=3)),
    ("I-26", off(tick_px=7)),
    ("I-26", off(lot_qty=7)),
    ("I-27", not_asked),
    ("I-29", undecided),
    ("I-29", changed(RiskDecision, content_hash=1)),
    ("I-29", changed(RoutedOrder, price_px=5010)),
    ("I-29", changed(RoutedReplace, order_qty=125)),
    ("I-29", changed(RiskDecision, decision=2)),
    ("I-30", again(RoutedReplace)),
]


@pytest.mark.parametrize(("invariant", "broken"), BREACHES)
def test_what_breaks_an_invariant_is_caught_by_its_name(invariant: str, broken: Callable[[Stream], None]) -> None:
    stream = life()
    broken(stream)
    with pytest.raises(Breach) as told:
        judge(stream)
    assert told.value.invariant == invariant


def test_a_pass_counts_once() -> None:
    """I-30: two orders of the same terms and one pass."""
    stream = life()
    seq, _, routed = stream[place(stream, RoutedOrder)]
    history = History()
    for row in stream[: place(stream, RoutedOrder) + 1]:
        history.see(*row)
    asked = stream[place(stream, RoutedOrder)][2]
    assert routed.content_hash == content_hash(asked)
    history.named.clear()  # were it not for its id
    with pytest.raises(Breach, match="I-30"):
        history.see(seq + 1, OMS, routed)
