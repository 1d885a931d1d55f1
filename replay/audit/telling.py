"""What is told of a frame: its telling fields in reading order, and these as a line, as one would say them.

The kinds that an order meets every day have an order of reading of their own. Any other kind tells all that is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from journal.frames import Frame
from journal.messages.header import Header
from journal.messages.schema import Field
from replay.audit.render import Renderer

_TERMS = (
    "stop_px", "trail_offset", "trail_type", "trigger", "trigger_direction", "display_qty", "min_qty", "quantity_type",
    "position_effect", "peg_type", "peg_offset", "expire_ts", "release_ts", "list_id", "parent_order_id",
)  # fmt: skip
"""Of an order: those that few orders have."""
_SCOPE = tuple(f"scope_{n}" for n in ("account", "strategy", "user", "group", "instrument", "underlying", "venue", "order_id"))
# What one wants to know of each kind, in reading order.
_TELLING: dict[str, tuple[str, ...]] = {
    "NewOrder": (
        "strategy", "account", "instrument", "side", "ord_type", "tif", "exec_inst", "order_qty", "price_px", *_TERMS,
    ),
    "ParentOrder": (
        "strategy", "account", "instrument", "side", "algo", "order_qty", "limit_px", "max_slice_qty", "start_ts", "end_ts",
    ),
    "RoutingDecision": ("venue", "destination", "rule"),
    "ReplaceOrder": ("order_qty", "price_px", "stop_px", "display_qty", "expire_ts", "version"),
    "CancelOrder": ("reason", "version"),
    "RiskDecision": ("decision", "reason", "reserved_qty", "reserved_notional"),
    "RoutedOrder": ("destination", "side", "order_qty", "price_px", "stop_px", "trail_offset", "display_qty"),
    "RoutedReplace": ("destination", "replace_mode", "order_qty", "price_px", "stop_px", "display_qty"),
    "RoutedCancel": ("destination", "reason"),
    "RoutedQuery": ("destination", "query", "from_ts"),
    "OrderSent": ("stream", "bytes"),
    "SendRefused": ("reason",),
    "VenueOrderUpdate": (
        "exec_type", "ord_status", "price_px", "channel", "cum_qty", "leaves_qty", "reason", "venue_code", "client_ref",
        "venue_order_ref", "text",
    ),
    "VenueFill": ("side", "last_qty", "last_px", "liquidity", "fee", "fee_currency", "channel", "trade_no", "venue_trade_ref"),
    "VenueTradeCorrection": ("action", "last_qty", "last_px", "fee", "fee_currency", "reason", "trade_no", "venue_trade_ref"),
    "ReconcileDifference": ("difference", "ours", "theirs", "tolerance", "run", "venue_trade_ref", "venue_order_ref"),
    "VenueCancelReject": ("response_to", "ord_status", "reason", "venue_code", "text"),
    "ExecutionReport": (
        "exec_type", "ord_status", "last_qty", "last_px", "order_qty", "price_px", "cum_qty", "leaves_qty", "cxl_qty",
        "liquidity", "fee", "fee_currency", "reason", "report_flags", "text",
    ),
    "OrderCancelReject": ("response_to", "ord_status", "reason", "text"),
    "Position": ("long_qty", "short_qty", "cost", "realized", "fees", "funding", "currency"),
    "FillDecision": ("queue_ahead_qty", "reason"),
    "Funding": ("instrument", "payment", "currency", "position_qty", "rate", "channel"),
    "EmulatedTrigger": ("trigger", "observed_px", "trigger_px"),
    "KillSwitch": ("level", "trigger", "scope_type", *_SCOPE, "reason"),
    "OperatorCommand": ("command", "user", "reason", "arguments"),
    "Clock": (),
    "RawMessage": ("stream",),
    "Alert": ("severity", "state", "rule", "text"),
    "StreamStatus": ("connection", "reason", "authority"),
}  # fmt: skip
_ZERO_TELLS = ("cum_qty", "leaves_qty", "realized", "long_qty", "ours", "theirs")
_UNSAID = frozenset(
    {
        "order_id", "content_hash", "request", "session", "kill", "handed_ts", "connection_epoch", "scope_zero8",
        "scope_zero16", "zero16", "exchange_seq", "checks", "exp",
    }
)  # fmt: skip
"""Of no use to a reader: said elsewhere in the line, or numbers that only programs compare."""
ROWS_SHOWN = 8


class Told(Protocol):
    """A frame with its fields."""

    kind: str
    fields: dict[str, str]


def fields_of(render: Renderer, frame: Frame) -> Iterator[tuple[str, str]]:
    """The telling fields of a frame: (name, text)."""
    message: Any = frame.message
    seq = frame.header.seq
    kind = type(message).__name__
    if hasattr(message, "exchange_seq") and hasattr(message, "connection_epoch"):
        yield from _market(render, message, seq)
        return
    if kind not in _TELLING:
        yield from _all_given(render, message, frame.header)
        return
    for name in _TELLING[kind]:
        text = render.field(message, name, seq)
        if text and (text != "0" or name in _ZERO_TELLS):
            yield name, text
    if kind == "NewOrder" and message.book_seq and message.book_seq != frame.header.cause:
        yield "book_seq", str(message.book_seq)


def _all_given(render: Renderer, message: Any, header: Header) -> Iterator[tuple[str, str]]:
    for field in message.LAYOUT.fields:
        if field.name in _UNSAID:
            continue
        told = _rows if field.wire == "group" else _given
        text = told(render, message, field, header.seq)
        if field.name.endswith("_seq") and text == str(header.cause):
            continue  # the frame that it stands under
        if text:
            yield field.name, text


def _given(render: Renderer, message: Any, field: Field, seq: int) -> str:
    if field.wire not in ("scalar", "text"):
        return ""
    text = render.field(message, field.name, seq)
    return "" if text == "0" else text


def _rows(render: Renderer, message: Any, field: Field, seq: int) -> str:
    """The rows of a group, each in brackets."""
    rows = getattr(message, field.name)
    shown = [f"[{_row(render, row, seq)}]" for row in rows[:ROWS_SHOWN]]
    return " ".join([*shown, *([f"… {len(rows) - ROWS_SHOWN} more"] if len(rows) > ROWS_SHOWN else [])])


def _row(render: Renderer, row: Any, seq: int) -> str:
    if hasattr(row, "bid_px"):
        sides = (render.level(row, px, qty, seq) for px, qty in ((row.bid_px, row.bid_qty), (row.ask_px, row.ask_qty)))
        return f"{render.field(row, 'instrument', seq)} {' | '.join(sides)}"
    said = ((f.name, _given(render, row, f, seq) if f.name != "order_id" else render.field(row, f.name, seq))
            for f in row.LAYOUT.fields)  # fmt: skip
    return " ".join(f"{_introduced(name)}{text}" for name, text in said if text)


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


# How a field is introduced on the page; "" for those that speak for themselves. The rest by their own name.
_INTRODUCED = {
    "strategy": "", "account": "", "instrument": "", "side": "", "ord_type": "", "tif": "", "exec_inst": "", "exec_type": "",
    "ord_status": "→ ", "decision": "", "order_qty": "", "price_px": "@ ", "stop_px": "stop ", "last_qty": "", "last_px": "@ ",
    "cum_qty": "cum ", "leaves_qty": "leaves ", "cxl_qty": "canceled ", "fee_currency": "", "currency": "", "channel": "by ",
    "liquidity": "", "reserved_qty": "reserves ", "reserved_notional": "worth ", "long_qty": "long ", "short_qty": "short ",
    "client_ref": "id ", "venue_order_ref": "venue id ", "venue_trade_ref": "trade ", "replace_mode": "", "level": "",
    "limit_px": "limit ", "parent_order_id": "parent ", "list_id": "list ", "user": "by ", "command": "", "order_id": "",
    "bid_order_id": "bid ", "ask_order_id": "ask ",
    "observed_px": "saw ", "trigger_px": "for ", "trail_offset": "trail ", "trail_type": "", "severity": "",
    "expire_ts": "until ", "end_ts": "until ", "release_ts": "from ", "start_ts": "from ", "difference": "", "action": "",
    "scope_type": "scope ", "book_seq": "book at ", "entries": "",
    "members": "", "quote_status": "", "list_status": "", "contingency": "",
}  # fmt: skip
_SAID_BEFORE = {
    # The JSON has them all; on the page they repeat the lines above unless the terms have just changed.
    "ExecutionReport": ("order_qty", "price_px"),
    "VenueOrderUpdate": ("price_px",),
    "VenueFill": ("side", "trade_no"),
    "RoutedOrder": ("side",),
}
_NEW_TERMS = ("REPLACED", "RESTATED", "PENDING_REPLACE")


def _introduced(name: str) -> str:
    named = f"{name.removesuffix('_seq')} at " if name.endswith("_seq") else f"{name.removeprefix('scope_')} "
    return _INTRODUCED.get(name, named)


def sentence(event: Told) -> str:
    """The fields of an event in a line, as one would say them: `TRADE → FILLED  0.24 @ 61234.6  cum 0.48  leaves 0`."""
    silent = () if event.fields.get("exec_type") in _NEW_TERMS else _SAID_BEFORE.get(event.kind, ())
    parts: list[str] = []
    for name, text in event.fields.items():
        if name in silent or (name == "ord_status" and text == event.fields.get("exec_type")):
            continue
        said = f"{_introduced(name)}{text}"
        # What belongs together is one space apart: price to its quantity, currency to its amount.
        joined = parts and name in ("price_px", "last_px", "fee_currency", "ord_status", "trail_type")
        joined = joined or (name == "currency" and event.kind in ("Position", "Funding"))
        parts.append(f" {said}" if joined else f"  {said}")
    return "".join(parts).strip()
