"""The orders that an order is one of several with: its parent, its children, its list, the other side of its quote."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from journal.messages import ExecutionReport, MassQuote, NewOrder, OrderList, ParentOrder, order_id_source, order_id_text
from journal.messages.quoting import is_quote_order, quote_orders
from replay.audit.gather import Found, children_of
from replay.audit.headline import headline
from replay.audit.render import Renderer
from replay.audit.stream import Stream


class Related(msgspec.Struct):
    """Another order, and what it is to the one asked about: `parent`, `child`, `list`, `quote`."""

    order_id: str
    relation: str
    headline: str


def related_to(stream: Stream, render: Renderer, number: int, found: Found) -> list[Related]:
    """All of them, each with how it stands, in the order in which they were asked for."""
    out = []
    for other, relation in dict.fromkeys(_others(stream, number, found)):
        frames = {f.header.seq: f for f in stream.of_order(other, NewOrder, ParentOrder, ExecutionReport)}
        out.append(Related(order_id_text(other), relation, headline(render, other, frames)))
    return out


def _others(stream: Stream, number: int, found: Found) -> Iterator[tuple[int, str]]:
    for frame in found.values():
        m = frame.message
        if isinstance(m, NewOrder) and m.order_id == number and m.parent_order_id:
            yield m.parent_order_id, "parent"
        elif isinstance(m, OrderList) and number in (members := [x.order_id for x in m.members]):
            yield from ((other, "list") for other in members if other != number)
        elif isinstance(m, MassQuote) and is_quote_order(number):
            sides = [o.order_id for o in quote_orders(m, frame.header.seq, order_id_source(number))]
            yield from ((other, "quote") for other in sides if other != number and number in sides)
    yield from ((other, "child") for other in children_of(stream, number))
