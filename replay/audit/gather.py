"""Which frames belong to an order's life: those that name it, what came of them, and what all these follow from.

An order's frames name it by `order_id`. What else belongs to them is found by what they name themselves: the parent, list or
quote that it is of, the run of a reconciliation, a request made for many orders at once, a frame that a check has read.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from journal.frames import Frame
from journal.messages import (
    Alert,
    Ban,
    CancelAll,
    CancelAllReport,
    CheckResult,
    Clock,
    KillSwitch,
    ListStatus,
    Message,
    NewOrder,
    OrderList,
    OrderSent,
    ParentOrder,
    Position,
    QuoteStatusReport,
    RawMessage,
    ReconcileStarted,
    RiskDecision,
    RoutedCancelAll,
    RoutedQuote,
    SendRefused,
    TradingStateSet,
    VenueMassCancelReport,
    VenueQuoteUpdate,
    Violation,
)
from journal.messages.quoting import is_quote_order
from replay.audit.stream import Array, Stream
from replay.causes import CHAIN_MAX, downloading, follows_from, sending

_FOR_MANY = (RoutedQuote, RoutedCancelAll)
"""Requests about many orders, which name none."""
_ANSWERS = (SendRefused, VenueMassCancelReport, VenueQuoteUpdate, CancelAllReport)
"""What is said of a request (`request_seq`) that may be one about many orders."""
_STEPS = (KillSwitch, TradingStateSet, Ban, CancelAll)
"""What risk does about a limit."""
_REFUSED = (CheckResult.FAIL, CheckResult.WARN)

Found = dict[int, Frame]
"""Frames by seq."""
Refers = Callable[[Frame], Iterable[int]]
_NOTHING: Found = {}


def frames_of(stream: Stream, number: int) -> Found:
    """All frames of an order's life. A parent's life has its children's in it."""
    own = own_frames(stream, number, *children_of(stream, number))
    found = dict(own)
    climb(stream, found, also=mentioned)
    added = stream.frames_at(set(_beside(stream, number, own, found)) - set(found))
    climb(stream, added, also=mentioned, known=found)
    return found | added


def lineage(stream: Stream, number: int) -> Found:
    """The frames of an order and what they follow from, no more."""
    found = own_frames(stream, number)
    climb(stream, found)
    return found


def own_frames(stream: Stream, *numbers: int) -> Found:
    """The frames that name these orders, and the positions that came of them."""
    seqs = {frame.header.seq for number in numbers for frame in stream.of_order(number)}
    return stream.frames_at(seqs | _where(stream, Position, "cause", seqs))


def children_of(stream: Stream, number: int) -> list[int]:
    """The orders that a parent is worked by; none where it is no parent."""
    if next(stream.of_order(number, ParentOrder), None) is None:
        return []
    rows = stream.columns(NewOrder)
    return [int(n) for n in rows["order_id"][rows["parent_order_id"] == number]]


def says(frame: Frame) -> bool:
    """A raw message is the same news as the frame made of it, in the venue's words; so it is only of use as a moment."""
    return frame.message is not None and not isinstance(frame.message, RawMessage)


def mentioned(frame: Frame) -> Iterator[int]:
    """Seqs of the frames that this one refers to: by its fields, and by what a check that did not pass had read."""
    message: Any = frame.message
    for field in message.LAYOUT.fields:
        if field.scalar is not None and field.scalar.unit == "seq":
            yield getattr(message, field.name)
    yield from (c.input_seq for c in getattr(message, "checks", ()) if c.result in _REFUSED)


def climb(stream: Stream, found: Found, *, also: Refers = lambda _: (), known: Mapping[int, Frame] = _NOTHING) -> None:
    """Add what the frames follow from (and what `also` says of each), up to the external inputs; the clock or raw message at
    which a timer fell due is one of them. `known`: frames that need not be added."""
    held = ChainMap(found, dict(known))
    sends = {f.message.request_seq: seq for seq, f in held.items() if isinstance(f.message, OrderSent)}

    def send(request: Frame) -> int:
        return sends.get(request.header.seq) or sending(stream.path, request)

    download = partial(downloading, stream.path)
    todo = list(found.values())
    for _ in range(CHAIN_MAX):
        if not todo:
            return
        named = {seq for f in todo for seq in (f.header.cause, getattr(f.message, "request_seq", 0))}
        near = ChainMap(stream.frames_at(named.difference(held)), held)
        led = {(follows_from(frame, near.get, send, download), frame.header.source) for frame in todo}
        wanted = {seq for seq, _ in led} | {seq for frame in todo for seq in also(frame) if seq < frame.header.seq}
        moments = {seq for seq, source in led if seq in near and near[seq].header.source != source}
        todo = [f for f in stream.frames_at(wanted.difference(held)).values() if says(f) or f.header.seq in moments]
        found.update({f.header.seq: f for f in todo})


def _beside(stream: Stream, number: int, own: Found, found: Found) -> Iterator[int]:
    """Seqs of the frames that belong to an order and do not name it by `order_id`."""
    yield from _belongs_to(stream, own)
    yield from _where(stream, Alert, "scope_order_id", {number})
    yield from _alerts(stream, own)
    yield from _verdicts(stream, found)
    if is_quote_order(number):
        for side in ("bid_order_id", "ask_order_id"):
            yield from _where(stream, QuoteStatusReport, side, {number})
    requests: Found = {}
    accounts = {a for f in own.values() if (a := getattr(f.message, "account", 0))}
    for cls in _FOR_MANY:
        rows = stream.columns(cls)
        hits = _among(rows["cause"], found) & _among(rows["account"], accounts)
        requests |= stream.frames_at(rows["seq"][hits].tolist())
    yield from requests
    yield from (sending(stream.path, request) for request in requests.values())
    asked = {*requests, *(seq for seq, f in found.items() if isinstance(f.message, CancelAll))}
    for answer in _ANSWERS if asked else ():
        yield from _where(stream, answer, "request_seq", asked)


def _belongs_to(stream: Stream, own: Found) -> Iterator[int]:
    """What made the parent, the list and the run of reconciliation that the order's frames name, and what became of a list."""
    for number in _named(own, "parent_order_id"):
        yield from (f.header.seq for f in stream.of_order(number, ParentOrder))
    lists = _named(own, "list_id")
    for cls in (OrderList, ListStatus) if lists else ():
        yield from _where(stream, cls, "list_id", lists)
    if runs := _named(own, "run"):
        yield from _where(stream, ReconcileStarted, "run", runs)


def _alerts(stream: Stream, own: Found) -> Iterator[int]:
    """Alerts about no order in particular, raised by what has moved this one: a protection that pulls many quotes."""
    moved_by = stream.frames_at({f.header.cause for f in own.values()})
    about = {seq for seq, f in moved_by.items() if not _market(f)}
    rows = stream.columns(Alert)
    yield from rows["seq"][_among(rows["cause"], about) & (rows["scope_order_id"] == 0)].tolist()


def _verdicts(stream: Stream, found: Found) -> Iterator[int]:
    """Why risk took a step: the decision and the violation that it said at the same frame, with their numbers."""
    steps = {(f.header.cause, f.header.source) for f in found.values() if isinstance(f.message, _STEPS)}
    causes = {seq: getattr(found[seq].message, "order_id", 0) for seq, _ in steps if seq in found}
    said = [f for number in {*causes.values()} - {0} for f in stream.of_order(number, RiskDecision)]
    said += stream.frames_at(_where(stream, Violation, "cause", causes)).values() if causes else ()
    yield from (f.header.seq for f in said if (f.header.cause, f.header.source) in steps)


def _market(frame: Frame) -> bool:
    """Whether it is everybody's cause: a price, or time."""
    m = frame.message
    return isinstance(m, Clock) or (hasattr(m, "exchange_seq") and not hasattr(m, "order_id"))


def _named(own: Found, field: str) -> set[int]:
    return {n for f in own.values() if (n := getattr(f.message, field, 0))}


def _where(stream: Stream, cls: type[Message], field: str, values: Iterable[int]) -> set[int]:
    """Seqs of the frames of a kind whose field has one of these values."""
    rows = stream.columns(cls)
    return set(rows["seq"][_among(rows[field], values)].tolist()) if len(rows) else set()


def _among(column: Array, values: Iterable[int]) -> Array:
    # Of the column's own type: ids fill 64 bits, and numpy would make floats of some of them.
    return np.isin(column, np.array(list(values), column.dtype))
