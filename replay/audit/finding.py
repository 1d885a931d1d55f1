"""Which order a text names: `9·42`, `9.42`, the integer, a client's, our or the venue's id."""

from __future__ import annotations

import re
from collections.abc import Iterable

from journal.errors import JournalError
from journal.messages import (
    CancelOrder,
    ExecutionReport,
    NewOrder,
    OrderList,
    ReplaceOrder,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    VenueFill,
    VenueOrderUpdate,
    order_id_text,
)
from journal.messages.client_ids import readings
from journal.text import number_of
from replay.audit.stream import Stream

_NEAREST = 5
_TYPED = re.compile(r"\s*(\d{1,5})\s*[·.:]\s*(\d{1,15})\s*", re.ASCII)


class UnknownOrder(JournalError):
    """No such order in the journal; names the nearest."""


def find_order(stream: Stream, wanted: str) -> int:
    """The order id that a text names; UnknownOrder with the nearest ids otherwise."""
    typed = _TYPED.fullmatch(wanted)
    number = (int(typed[1]) << 48) | int(typed[2]) if typed else number_of(wanted.strip())
    if number is not None:
        if next(stream.of_order(number, NewOrder, ExecutionReport), None) is not None:
            return number
        if members := _members(stream, number):
            return members[0]
    if not typed and (found := by_reference(stream, wanted.strip())):
        return found
    known = _known_orders(stream)
    if not known:
        raise UnknownOrder(f"order {wanted!r}: {stream.path} has no orders")
    nearest = ", ".join(order_id_text(n) for n in _nearest(known, wanted))
    raise UnknownOrder(f"order {wanted!r} is not among the {len(known)} orders of {stream.path}; nearest: {nearest}")


def _known_orders(stream: Stream) -> set[int]:
    return {n for cls in (NewOrder, ExecutionReport) for n in stream.columns(cls)["order_id"].tolist() if n}


def _members(stream: Stream, list_id: int) -> list[int]:
    """The orders of a list; a list is told by the first of them."""
    rows = stream.columns(OrderList)
    made = stream.frames_at(rows["seq"][rows["list_id"] == list_id].tolist()) if 0 < list_id < 1 << 64 else {}
    return [m.order_id for frame in made.values() if isinstance(frame.message, OrderList) for m in frame.message.members]


def by_reference(stream: Stream, ref: str) -> int:
    """The order with this client's, our or the venue's text id; 0: none. A client id of ours also says which frame it was made
    of (`L1-5004`); a bare number does not, for some venues' ids are numbers too."""
    if not ref:
        return 0
    for cls, names in (
        (NewOrder, ("cl_ord_ref",)),
        (ReplaceOrder, ("cl_ord_ref",)),
        (CancelOrder, ("cl_ord_ref",)),
        (VenueOrderUpdate, ("client_ref", "venue_order_ref")),
        (VenueFill, ("client_ref", "venue_order_ref", "venue_trade_ref")),
        (ExecutionReport, ("venue_order_ref", "venue_trade_ref")),
    ):
        ids = stream.columns(cls)["order_id"]
        for texts in stream.variable(cls, names).values():
            hits = ids[(texts == ref) & (ids > 0)]
            if len(hits):
                return int(hits[0])
    for seq in () if ref.isdecimal() else readings(ref):
        for routed in (RoutedOrder, RoutedReplace, RoutedCancel):
            rows = stream.columns(routed)
            hits = rows["order_id"][rows["seq"] == seq]
            if len(hits):
                return int(hits[0])
    return 0


def _nearest(known: Iterable[int], wanted: str) -> list[int]:
    """The known ids closest to what was typed: same source first, then by number."""
    digits = [int(d) for d in re.findall(r"\d{1,20}", wanted, re.ASCII)]
    source, number = (digits[0], digits[1]) if len(digits) > 1 else (None, digits[0] if digits else 0)
    if source is None and number >= 1 << 48:
        source, number = number >> 48, number & ((1 << 48) - 1)
    return sorted(known, key=lambda n: (n >> 48 != source, abs((n & ((1 << 48) - 1)) - number), n))[:_NEAREST]
