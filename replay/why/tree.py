"""The causal tree: from market event or timer to the decision, its risk check, the order, the venue's reports, the position.

lockstep why days/today 9·42      the order, with everything that led to it and came of it
lockstep why days/today 3524      a frame: what led to it, and what followed from it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from journal.frames import Frame
from journal.messages import InstrumentDefined, NewOrder, ParentOrder, Position, SourceDefined, order_id_source, order_id_text
from replay.audit.definitions import Definitions
from replay.audit.finding import by_reference, find_order
from replay.audit.gather import climb, frames_of, lineage, says
from replay.audit.headline import headline
from replay.audit.order_life import Event, events_of, related_lines, renderer, said_of
from replay.audit.related import Related, related_to
from replay.audit.render import Renderer, decimal_text, duration_text, time_text
from replay.audit.stream import Stream
from replay.causes import chain
from replay.finding import NoSuchPlace
from replay.why.observe import BookView, Seen, Timer, observe

WITHIN = 4096
"""Frames behind a frame in which what followed from it is looked for; an order's tree goes as far as the order."""
FOLLOWED_MAX = 200


class Step(Event, kw_only=True):
    """A frame of the tree."""

    instrument: str = ""
    book: BookView | None = None
    """The instrument's book after this frame."""
    timer: Timer | None = None
    """The timer on which the app said this."""
    seen_ns: int | None = None
    """Of an external input: from its gateway's sight of it to its sequence number."""
    position: tuple[str, str] | None = None
    """Of a Position: the signed quantity before and after; "?" for what was before a slice began."""


class Hop(msgspec.Struct):
    """One edge of the way, over all of this tree: ns of the first, and of the slowest."""

    name: str
    count: int
    first_ns: int
    max_ns: int


class Why(msgspec.Struct):
    """A tree, its frames in sequence order; `parent` of a step says where it hangs."""

    about: str
    headline: str
    steps: list[Step]
    hops: list[Hop]
    related: list[Related]
    """Of an order: its parent, its children, its list, the other side of its quote."""
    incomplete: str = ""
    """Why books and timers are missing, where they are."""


def why(path: Path | str, wanted: str) -> Why:
    """The causal tree of an order (`9·42`, the integer, a client's or the venue's id) or of a frame (its seq). A frame that
    asks for an order stands for the order.

    UnknownOrder or NoSuchPlace where the journal has none such."""
    stream = Stream(path)
    definitions = Definitions(stream)
    seq = _seq(stream, wanted)
    number = _asked_for(stream, seq) if seq else find_order(stream, wanted)
    if number:
        found = frames_of(stream, number)
        about = f"order {order_id_text(number)}"
    else:
        found = {f.header.seq: f for f in chain(stream.path, seq) if f.header.seq == seq or says(f)}
        found |= _followers(stream, seq)
        climb(stream, found)
        about = f"seq {seq}"
    render = renderer(definitions, stream)
    events = events_of(stream, definitions, render, found)
    steps = [msgspec.convert({f: getattr(e, f) for f in e.__struct_fields__}, Step) for e in events]
    if number:
        out = Why(about, headline(render, number, found), steps, [], related_to(stream, render, number, found))
    else:
        it = next(s for s in steps if s.seq == seq)
        out = Why(about, _said(it, about), steps, [], [])
    _observe(stream, render, found, out)
    for step in steps:
        _complete(stream, definitions, render, found, step)
    out.hops = _hops(steps)
    return out


def range_of_order(path: Path | str, wanted: str) -> tuple[int, int]:
    """The first and the last frame of an order's tree."""
    stream = Stream(path)
    found = lineage(stream, find_order(stream, wanted))
    return min(found), max(found)


def _seq(stream: Stream, wanted: str) -> int:
    """The seq that a text names; 0: it names an order. A number that is no seq of the journal may be a venue's id."""
    if not re.fullmatch(r"\s*-?\d{1,15}\s*", wanted, re.ASCII) or int(wanted) >= 1 << 48:
        return 0
    if stream.after < int(wanted) <= stream.to_seq:
        return int(wanted)
    if by_reference(stream, wanted.strip()):
        return 0
    raise NoSuchPlace(f"{stream.path}: seq {wanted} is not in the journal; it has {stream.after + 1} to {stream.to_seq}")


def _asked_for(stream: Stream, seq: int) -> int:
    """The order that a frame asks for; 0: it asks for none."""
    for frame in stream.frames_at([seq]).values():
        if isinstance(frame.message, NewOrder | ParentOrder):
            return frame.message.order_id
    return 0


# -- collecting -------------------------------------------------------------------------------------------------------


def _followers(stream: Stream, seq: int) -> dict[int, Frame]:
    """What followed from a frame: what has it as its cause, and so on."""
    found: dict[int, Frame] = {}
    causes = {seq}
    for frame in stream.frames(from_seq=seq + 1, to_seq=seq + WITHIN):
        answered = getattr(frame.message, "request_seq", 0)
        if (frame.header.cause in causes or answered in causes) and says(frame):
            found[frame.header.seq] = frame
            causes.add(frame.header.seq)
            if len(found) == FOLLOWED_MAX:
                break
    return found


# -- completing -------------------------------------------------------------------------------------------------------


def _observe(stream: Stream, render: Renderer, found: dict[int, Frame], out: Why) -> None:
    """Replay what only a replay knows, and hang what a timer was set by above what it woke."""
    instruments = {seq: render.instrument(f.message) for seq, f in found.items()}
    books = {(seq, i) for seq, i in instruments.items() if i}
    causes = {f.header.cause for f in found.values() if f.header.cause in found and f.header.source}
    seen: Seen = observe(stream.path, books, causes)
    out.incomplete = seen.trouble
    for step in out.steps:
        header = found[step.seq].header
        step.book = seen.books.get((step.seq, instruments[step.seq]))
        step.timer = seen.timers.get((header.cause, header.source, header.source_seq))


def _complete(stream: Stream, definitions: Definitions, render: Renderer, found: dict[int, Frame], step: Step) -> None:
    frame = found[step.seq]
    if number := render.instrument(frame.message):
        step.instrument = definitions.name(InstrumentDefined, number, step.seq)
    header = frame.header
    if not step.parent and 0 < header.origin_ts < header.ts:
        step.seen_ns = header.ts - header.origin_ts
    if isinstance(frame.message, Position):
        step.position = _positions(stream, definitions, frame.message, step.seq)


def _positions(stream: Stream, definitions: Definitions, m: Position, seq: int) -> tuple[str, str]:
    rows = stream.columns(Position)
    same = rows["seq"] < seq
    for name in ("account", "strategy", "instrument", "position_side"):
        same &= rows[name] == getattr(m, name)
    before = rows[same]
    definition = definitions.by_kind[InstrumentDefined].at(m.instrument, seq)
    exponent = definition.qty_exp if definition else 0
    if len(before):
        was = decimal_text(int(before["long_qty"][-1] - before["short_qty"][-1]), exponent)
    else:
        # Of a slice the record of it may be missing: nobody can tell.
        was = decimal_text(0, exponent) if not stream.after else "?"
    return was, decimal_text(m.long_qty - m.short_qty, exponent)


def _hops(steps: list[Step]) -> list[Hop]:
    by_seq = {s.seq: s for s in steps}
    found: dict[str, Hop] = {}
    for step in steps:
        if step.seen_ns is not None and step.fields.get("instrument"):
            name, took = f"seen → {step.kind}", step.seen_ns
        elif step.parent and step.after_ns is not None:
            name, took = f"{by_seq[step.parent].kind} → {step.kind}", step.after_ns
        else:
            continue
        hop = found.setdefault(name, Hop(name, 0, took, took))
        hop.count += 1
        hop.max_ns = max(hop.max_ns, took)
    return list(found.values())


# -- telling ----------------------------------------------------------------------------------------------------------


def tree_lines(path: Path | str, told: Why) -> Iterator[str]:
    """The tree as text: what follows from a frame stands below it, one step to the right."""
    definitions = Definitions(Stream(path))
    yield f"{told.about}   {told.headline}"
    yield from related_lines(told.related)
    yield ""
    day = told.steps[0].time[:10]
    yield f"{day} UTC"
    children: dict[int, list[Step]] = {}
    for step in told.steps:
        children.setdefault(step.parent, []).append(step)
    lead = max(len(str(s.seq)) for s in told.steps)
    by_seq = {s.seq: s for s in told.steps}

    def walk(step: Step, indent: str, mark: str) -> Iterator[str]:
        when = step.time[11:] if step.time[:10] == day else step.time
        after = f"+{duration_text(step.after_ns)}" if step.after_ns is not None else ""
        margin = f"{'':{lead}}  {'':{len(when)}}  {'':>9}  "
        below = indent + ("" if not mark else "│ " if mark == "├─" else "  ")
        more = below + ("│   " if step.seq in children else "    ")
        yield f"{step.seq:>{lead}}  {when}  {after:>9}  {indent}{mark}{_said(step, told.about)}"
        for line in _details(definitions, step, by_seq.get(step.parent)):
            yield f"{margin}{more}{line}"
        under = children.get(step.seq, [])
        for n, child in enumerate(under):
            yield from walk(child, below, "└─" if n == len(under) - 1 else "├─")

    for root in children.get(0, []):
        yield from walk(root, "", "")
    if told.hops:
        yield ""
        width = max(len(h.name) for h in told.hops)
        yield f"{'hop':<{width}}  {'count':>5}  {'first':>9}  {'slowest':>9}"
        for hop in told.hops:
            yield f"{hop.name:<{width}}  {hop.count:>5}  {duration_text(hop.first_ns):>9}  {duration_text(hop.max_ns):>9}"
    if told.incomplete:
        yield ""
        yield f"a replay could not say everything (books, timers): {told.incomplete}"


def _said(step: Step, about: str) -> str:
    return f"{step.kind} of {step.source}  {said_of(step, about.removeprefix('order '))}".rstrip()


def _details(definitions: Definitions, step: Step, above: Step | None) -> Iterator[str]:
    if step.timer is not None:
        t = step.timer
        begun = f", set at seq {t.set_at}" if t.set_at else ", set at its start" if t.set_at == 0 else ""
        source = order_id_source(t.token)
        known = source and definitions.by_kind[SourceDefined].at(source, step.seq) is not None
        token = f"of order {order_id_text(t.token)}" if known else t.token
        yield f"on its timer {token}, due {time_text(t.due)[11:]}{begun}"
    if step.seen_ns is not None:
        yield f"seen by its gateway {duration_text(step.seen_ns)} before"
    yield from step.checks
    if step.position is not None:
        yield f"position {step.position[0]} → {step.position[1]}"
    # Said again only where it has changed: a decision, its check and its order mostly see the same.
    if step.book is not None and (above is None or above.book != step.book):
        yield f"book {_touch(definitions, step.book, step.seq)}"


def _touch(definitions: Definitions, book: BookView, seq: int) -> str:
    render = Renderer(definitions, lambda _: book.instrument)
    sides = []
    for levels in (book.bids, book.asks):
        best = [
            f"{render.quantity(book.instrument, x.qty, seq)} @ {render.price(book.instrument, x.px, seq)}" for x in levels[:2]
        ]
        sides.append(", ".join(best) or "–")
    state = "" if book.state == "LIVE" else f"  {book.state}"
    return f"{sides[0]} | {sides[1]}{state}"


__all__ = ["Why", "tree_lines", "why"]
