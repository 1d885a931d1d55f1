"""One order's life: every frame about it in sequence order, each under the frame that caused it.

    lockstep audit days/today order 9·42

The causes come from the frames themselves: `cause` in the header where an app spoke, `request_seq` in the body where the venue
did. So the page answers "why this fill" by walking up: report, fill, send, route, risk, order, the tick it was decided on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import msgspec

from journal.frames import Frame
from journal.messages import OrderSent, SourceDefined, order_id_text
from replay.audit.check_text import check_text
from replay.audit.definitions import Definitions
from replay.audit.finding import UnknownOrder, find_order
from replay.audit.gather import Found, frames_of
from replay.audit.headline import headline
from replay.audit.related import Related, related_to
from replay.audit.render import Renderer, duration_text, time_text
from replay.audit.stream import Stream
from replay.audit.telling import fields_of, sentence
from replay.causes import downloading, follows_from


class Event(msgspec.Struct):
    """One frame of an order's life."""

    seq: int
    ts: int
    time: str
    after_ns: int | None
    """Time since the frame that caused it; null where there is none here."""
    parent: int
    """Seq of the frame it follows from; 0 for a beginning."""
    depth: int
    source: str
    kind: str
    order: str
    """The order that it names; "" for none. The page says it of other orders than the one asked about."""
    fields: dict[str, str]
    checks: list[str] = []


class OrderLife(msgspec.Struct):
    """An order with everything that happened to it."""

    order_id: str
    order_no: int
    headline: str
    events: list[Event]
    related: list[Related]


def order_life(stream: Stream, wanted: str) -> OrderLife:
    """The life of the order that `wanted` names: `9·42`, `9.42`, the integer, or an id as the venue or client knows it."""
    definitions = Definitions(stream)
    number = find_order(stream, wanted)
    found = frames_of(stream, number)
    render = renderer(definitions, stream)
    return OrderLife(
        order_id_text(number), number, headline(render, number, found), events_of(stream, definitions, render, found),
        related_to(stream, render, number, found),
    )  # fmt: skip


def renderer(definitions: Definitions, stream: Stream) -> Renderer:
    """How the frames of a stream are told."""
    return Renderer(definitions, instruments_of(stream))


def instruments_of(stream: Stream) -> Callable[[int], int]:
    """The instrument of an order, by any frame that names both; 0 where none does."""

    @cache
    def instrument_of(order_id: int) -> int:
        return next((int(n) for f in stream.of_order(order_id) if (n := getattr(f.message, "instrument", 0))), 0)

    return instrument_of


def events_of(stream: Stream, definitions: Definitions, render: Renderer, found: Found) -> list[Event]:
    """The frames in sequence order, each with the one it follows from."""
    sends = {f.message.request_seq: seq for seq, f in sorted(found.items()) if isinstance(f.message, OrderSent)}
    events: list[Event] = []
    depths: dict[int, int] = {}

    def send(request: Frame) -> int:
        return sends.get(request.header.seq, 0)

    download = partial(downloading, stream.path)
    for seq, frame in sorted(found.items()):
        parent = follows_from(frame, found.get, send, download)
        depths[seq] = depths[parent] + 1 if parent else 0
        header, order = frame.header, getattr(frame.message, "order_id", 0)
        checks = getattr(frame.message, "checks", ())
        events.append(
            Event(
                seq=seq,
                ts=header.ts,
                time=time_text(header.ts),
                after_ns=header.ts - found[parent].header.ts if parent else None,
                parent=parent,
                depth=depths[seq],
                source=definitions.name(SourceDefined, header.source, seq),
                kind=type(frame.message).__name__,
                order=order_id_text(order) if order else "",
                fields=dict(fields_of(render, frame)),
                checks=[check_text(render, frame.message, c, seq) for c in checks],
            )
        )
    return events


def said_of(event: Event, asked: str) -> str:
    """What an event says, on the page of the order `asked`."""
    order = f"order {event.order}" if event.order not in ("", asked) else ""
    return "  ".join(part for part in (order, sentence(event)) if part)


def related_lines(related: list[Related]) -> Iterator[str]:
    """The orders it is one of several with, a line each."""
    width = max((len(f"{r.relation} {r.order_id}") for r in related), default=0)
    for r in related:
        yield f"  {f'{r.relation} {r.order_id}':<{width}}   {r.headline}"


def life_lines(life: OrderLife) -> Iterator[str]:
    """The page as plain text."""
    yield f"order {life.order_id}   {life.headline}"
    yield from related_lines(life.related)
    yield ""
    seq_width = max(len(str(e.seq)) for e in life.events)
    source_width = max(len(e.source) for e in life.events)
    day = life.events[0].time[:10]
    yield f"{day} UTC"
    for e in life.events:
        after = f"+{duration_text(e.after_ns)}" if e.after_ns is not None else ""
        indent = "  " * e.depth
        cause = f"  ← {e.parent}" if e.parent else ""
        when = e.time[11:] if e.time[:10] == day else e.time
        lead = f"{e.seq:>{seq_width}}  {when}  {after:>9}  {e.source:<{source_width}}  "
        yield f"{lead}{indent}{f'{e.kind}  {said_of(e, life.order_id)}'.rstrip()}{cause}"
        for check in e.checks:
            yield f"{'':{len(lead)}}{indent}    {check}"


__all__ = ["Event", "OrderLife", "UnknownOrder", "life_lines", "order_life"]
