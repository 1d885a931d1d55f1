"""One order's life: every frame about it in sequence order, each under the frame that caused it.

    lockstep audit days/today order 9·42

The causes come from the frames themselves: `cause` in the header where an app spoke, `request_seq` in the body where the venue
did. So the page answers "why this fill" by walking up: report, fill, send, route, risk, order, the tick it was decided on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from journal.errors import JournalError
from journal.frames import Frame
from journal.messages import (
    NULL,
    Clock,
    ExecutionReport,
    NewOrder,
    OrderSent,
    Position,
    RawMessage,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    SourceDefined,
    VenueFill,
    VenueOrderUpdate,
    order_id_text,
)
from journal.messages.client_ids import readings
from replay.audit.definitions import Definitions
from replay.audit.render import Renderer, duration_text, time_text
from replay.audit.stream import Stream
from replay.causes import follows_from

_NEAREST = 5
_TYPED = re.compile(r"\s*(\d{1,5})\s*[·.:]\s*(\d{1,15})\s*")

# What one wants to know of each kind, in reading order.
_TELLING: dict[str, tuple[str, ...]] = {
    "NewOrder": ("strategy", "account", "instrument", "side", "ord_type", "tif", "exec_inst", "order_qty", "price_px"),
    "ParentOrder": (
        "strategy", "account", "instrument", "side", "algo", "order_qty", "limit_px", "max_slice_qty", "start_ts", "end_ts",
    ),
    "RoutingDecision": ("venue", "destination", "rule"),
    "ReplaceOrder": ("order_qty", "price_px", "stop_px", "version"),
    "CancelOrder": ("reason", "version"),
    "RiskDecision": ("decision", "reason", "reserved_qty", "reserved_notional"),
    "RoutedOrder": ("destination", "side", "order_qty", "price_px"),
    "RoutedReplace": ("destination", "replace_mode", "order_qty", "price_px"),
    "RoutedCancel": ("destination", "reason"),
    "RoutedQuery": ("destination", "query"),
    "OrderSent": ("stream", "bytes"),
    "SendRefused": ("reason",),
    "VenueOrderUpdate": (
        "exec_type", "ord_status", "price_px", "channel", "cum_qty", "leaves_qty", "reason", "venue_code", "client_ref",
        "venue_order_ref", "text",
    ),
    "VenueFill": ("side", "last_qty", "last_px", "liquidity", "fee", "fee_currency", "channel", "trade_no", "venue_trade_ref"),
    "VenueTradeCorrection": ("action", "last_qty", "last_px", "fee", "fee_currency", "reason", "trade_no", "venue_trade_ref"),
    "ReconcileDifference": ("difference", "ours", "theirs", "tolerance", "venue_trade_ref", "venue_order_ref"),
    "VenueCancelReject": ("response_to", "ord_status", "reason", "venue_code", "text"),
    "ExecutionReport": (
        "exec_type", "ord_status", "last_qty", "last_px", "order_qty", "price_px", "cum_qty", "leaves_qty", "cxl_qty",
        "liquidity", "fee", "fee_currency", "reason", "report_flags", "text",
    ),
    "OrderCancelReject": ("response_to", "ord_status", "reason", "text"),
    "Position": ("long_qty", "short_qty", "cost", "realized", "fees", "funding", "currency"),
    "FillDecision": ("queue_ahead_qty", "reason"),
    "KillSwitch": ("level", "trigger", "reason"),
    "OperatorCommand": ("command", "reason", "arguments"),
    "StreamStatus": ("connection", "reason", "authority"),
}  # fmt: skip
_WITH_INSTRUMENT = (NewOrder, ExecutionReport, RoutedOrder, VenueOrderUpdate)
_ZERO_TELLS = ("cum_qty", "leaves_qty", "realized", "long_qty")


class UnknownOrder(JournalError):
    """No such order in the journal; names the nearest."""


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
    fields: dict[str, str]
    checks: list[str] = []


class OrderLife(msgspec.Struct):
    """An order with everything that happened to it."""

    order_id: str
    order_no: int
    headline: str
    events: list[Event]


def order_life(stream: Stream, wanted: str) -> OrderLife:
    """The life of the order that `wanted` names: `9·42`, `9.42`, the integer, or an id as the venue or client knows it."""
    definitions = Definitions(stream)
    number = find_order(stream, wanted)
    found = frames_of(stream, number)
    render = renderer(definitions, found)
    return OrderLife(order_id_text(number), number, headline(render, found), events_of(definitions, render, found))


def renderer(definitions: Definitions, found: dict[int, Frame]) -> Renderer:
    """How frames are told whose instruments the same frames name."""
    instruments: dict[int, int] = {}
    for frame in found.values():
        if isinstance(frame.message, _WITH_INSTRUMENT):
            instruments.setdefault(frame.message.order_id, frame.message.instrument)
    return Renderer(definitions, lambda order_id: instruments.get(order_id, 0))


def events_of(definitions: Definitions, render: Renderer, found: dict[int, Frame]) -> list[Event]:
    """The frames in sequence order, each with the one it follows from."""
    sends = {f.message.request_seq: seq for seq, f in sorted(found.items()) if isinstance(f.message, OrderSent)}
    events: list[Event] = []
    depths: dict[int, int] = {}
    for seq, frame in sorted(found.items()):
        parent = follows_from(frame, found.get, lambda request: sends.get(request.header.seq, 0))
        depths[seq] = depths[parent] + 1 if parent else 0
        header = frame.header
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
                fields=dict(_fields(render, frame)),
                checks=[render.check(c) for c in getattr(frame.message, "checks", ())],
            )
        )
    return events


# -- finding the order ------------------------------------------------------------------------------------------------


def find_order(stream: Stream, wanted: str) -> int:
    """The order id that a text names; UnknownOrder with the nearest ids otherwise."""
    typed = _TYPED.fullmatch(wanted)
    if typed or wanted.strip().isdecimal():
        number = (int(typed[1]) << 48) | int(typed[2]) if typed else int(wanted)
        if next(stream.of_order(number, NewOrder, ExecutionReport), None) is not None:
            return number
    elif wanted.strip() and (by_ref := _by_reference(stream, wanted.strip())) is not None:
        return by_ref
    known = _known_orders(stream)
    if not known:
        raise UnknownOrder(f"order {wanted!r}: {stream.path} has no orders")
    nearest = ", ".join(order_id_text(n) for n in _nearest(known, wanted))
    raise UnknownOrder(f"order {wanted!r} is not among the {len(known)} orders of {stream.path}; nearest: {nearest}")


def _known_orders(stream: Stream) -> set[int]:
    return {n for cls in (NewOrder, ExecutionReport) for n in stream.columns(cls)["order_id"].tolist() if n}


def _by_reference(stream: Stream, ref: str) -> int | None:
    """By a client's, our or the venue's text id; a client id of ours also says which frame it was made of (`L1-5004`)."""
    for cls, names in (
        (NewOrder, ("cl_ord_ref",)),
        (VenueOrderUpdate, ("client_ref", "venue_order_ref")),
        (VenueFill, ("client_ref", "venue_order_ref", "venue_trade_ref")),
        (ExecutionReport, ("venue_order_ref", "venue_trade_ref")),
    ):
        ids = stream.columns(cls)["order_id"]
        for texts in stream.variable(cls, names).values():
            hits = ids[(texts == ref) & (ids > 0)]
            if len(hits):
                return int(hits[0])
    for seq in readings(ref):
        for routed in (RoutedOrder, RoutedReplace, RoutedCancel):
            rows = stream.columns(routed)
            hits = rows["order_id"][rows["seq"] == seq]
            if len(hits):
                return int(hits[0])
    return None


def _nearest(known: Iterable[int], wanted: str) -> list[int]:
    """The known ids closest to what was typed: same source first, then by number."""
    digits = [int(d) for d in re.findall(r"\d+", wanted)]
    source, number = (digits[0], digits[1]) if len(digits) > 1 else (None, digits[0] if digits else 0)
    if source is None and number >= 1 << 48:
        source, number = number >> 48, number & ((1 << 48) - 1)
    return sorted(known, key=lambda n: (n >> 48 != source, abs((n & ((1 << 48) - 1)) - number), n))[:_NEAREST]


# -- collecting its frames --------------------------------------------------------------------------------------------


def frames_of(stream: Stream, number: int) -> dict[int, Frame]:
    """Frames by seq: those that name the order, positions made of its reports, and the frames that caused any of them."""
    seqs = {frame.header.seq for frame in stream.of_order(number)}
    positions = stream.columns(Position)
    mine = [c in seqs for c in positions["cause"].tolist()]
    seqs.update(positions["seq"][mine].tolist() if len(positions) else ())
    found = stream.frames_at(seqs)
    causes = {s for f in found.values() for s in (getattr(f.message, "book_seq", 0), f.header.cause)}
    for seq, cause in stream.frames_at(causes - set(found)).items():
        # A raw message is the same news once more, in the venue's words; a clock frame says nothing.
        if cause.message is not None and not isinstance(cause.message, RawMessage | Clock):
            found[seq] = cause
    return found


# -- telling it -------------------------------------------------------------------------------------------------------


def _fields(render: Renderer, frame: Frame) -> Iterator[tuple[str, str]]:
    message: Any = frame.message
    seq = frame.header.seq
    kind = type(message).__name__
    if hasattr(message, "exchange_seq") and hasattr(message, "connection_epoch"):
        yield from _market(render, message, seq)
        return
    for name in _TELLING.get(kind, ()):
        text = render.field(message, name, seq)
        if text and (text != "0" or name in _ZERO_TELLS):
            yield name, text
    if kind == "NewOrder" and message.book_seq and message.book_seq != frame.header.cause:
        yield "book_seq", str(message.book_seq)


def _market(render: Renderer, message: Any, seq: int) -> Iterator[tuple[str, str]]:
    """A market-data frame in a line: its best prices, or the first levels it changes."""
    yield "instrument", render.field(message, "instrument", seq)
    if hasattr(message, "bid_px"):
        yield "bid", render.level(message, message.bid_px, message.bid_qty, seq)
        yield "ask", render.level(message, message.ask_px, message.ask_qty, seq)
    for side in ("bids", "asks", "trades"):
        rows = getattr(message, side, ())
        if len(rows):
            shown = ", ".join(render.level(message, r.px, r.qty, seq) for r in rows[:2])
            yield side, shown + (f", … {len(rows) - 2} more" if len(rows) > 2 else "")
    if hasattr(message, "state"):
        yield "state", render.field(message, "state", seq)


def headline(render: Renderer, found: dict[int, Frame]) -> str:
    """What it was and how it ended, in a line."""
    asked = next((f for f in found.values() if isinstance(f.message, NewOrder)), None)
    reports = [f for f in found.values() if isinstance(f.message, ExecutionReport)]
    last = max(reports, key=lambda f: f.header.seq) if reports else None
    terms = asked or last
    if terms is None:
        return ""
    names = ("side", "order_qty", "instrument", "ord_type", "price_px", "tif", "exec_inst", "strategy")
    said = [t if n != "price_px" else f"@ {t}" for n in names if (t := render.field(terms.message, n, terms.header.seq))]
    if last is None:
        return " ".join(said) + " → RECEIVED"
    message: Any = last.message
    out = f"{' '.join(said)} → {render.field(message, 'ord_status', last.header.seq)}"
    if message.cum_qty:
        out += f", filled {render.field(message, 'cum_qty', last.header.seq)}"
        if message.cum_notional not in (0, NULL):
            out += f" at {_average(render, message, last.header.seq)}"
    reason = render.field(message, "reason", last.header.seq)
    return out + (f" ({reason})" if reason else "")


def _average(render: Renderer, message: Any, seq: int) -> str:
    notional = Decimal(render.field(message, "cum_notional", seq))
    average = (notional / Decimal(render.field(message, "cum_qty", seq))).quantize(Decimal("1e-8"))
    text = f"{average:f}"
    return text.rstrip("0").rstrip(".")


def life_lines(life: OrderLife) -> Iterator[str]:
    """The page as plain text."""
    yield f"order {life.order_id}   {life.headline}"
    yield ""
    seq_width = max(len(str(e.seq)) for e in life.events)
    source_width = max(len(e.source) for e in life.events)
    day = life.events[0].time[:10]
    yield f"{day} UTC"
    for e in life.events:
        after = f"+{duration_text(e.after_ns)}" if e.after_ns is not None else ""
        fields = sentence(e)
        indent = "  " * e.depth
        cause = f"  ← {e.parent}" if e.parent else ""
        when = e.time[11:] if e.time[:10] == day else e.time
        lead = f"{e.seq:>{seq_width}}  {when}  {after:>9}  {e.source:<{source_width}}  "
        yield f"{lead}{indent}{e.kind}  {fields}{cause}".rstrip()
        for check in e.checks:
            yield f"{'':{len(lead)}}{indent}    {check}"


# How a field is introduced on the page; "" for those that speak for themselves. The rest by their own name.
_INTRODUCED = {
    "strategy": "", "account": "", "instrument": "", "side": "", "ord_type": "", "tif": "", "exec_inst": "", "exec_type": "",
    "ord_status": "→ ", "decision": "", "order_qty": "", "price_px": "@ ", "stop_px": "stop ", "last_qty": "", "last_px": "@ ",
    "cum_qty": "cum ", "leaves_qty": "leaves ", "cxl_qty": "canceled ", "fee_currency": "", "currency": "", "channel": "by ",
    "liquidity": "", "reserved_qty": "reserves ", "reserved_notional": "worth ", "long_qty": "long ", "short_qty": "short ",
    "client_ref": "id ", "venue_order_ref": "venue id ", "venue_trade_ref": "trade ", "replace_mode": "", "level": "",
}  # fmt: skip
_SAID_BEFORE = {
    # The JSON has them all; on the page they repeat the lines above unless the terms have just changed.
    "ExecutionReport": ("order_qty", "price_px"),
    "VenueOrderUpdate": ("price_px",),
    "VenueFill": ("side", "trade_no"),
    "RoutedOrder": ("side",),
}
_NEW_TERMS = ("REPLACED", "RESTATED", "PENDING_REPLACE")


def sentence(event: Event) -> str:
    """The fields of an event in a line, as one would say them: `TRADE → FILLED  0.24 @ 61234.6  cum 0.48  leaves 0`."""
    silent = () if event.fields.get("exec_type") in _NEW_TERMS else _SAID_BEFORE.get(event.kind, ())
    parts: list[str] = []
    for name, text in event.fields.items():
        if name in silent or (name == "ord_status" and text == event.fields.get("exec_type")):
            continue
        said = f"{_INTRODUCED.get(name, name + ' ')}{text}"
        # What belongs together is one space apart: price to its quantity, currency to its amount.
        joined = parts and name in ("price_px", "last_px", "fee_currency", "ord_status", "currency")
        parts.append(f" {said}" if joined else f"  {said}")
    return "".join(parts).strip()
