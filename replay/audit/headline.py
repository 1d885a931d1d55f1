"""What an order was and how it stands, in a line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from journal.frames import Frame
from journal.messages import NULL, ExecutionReport, NewOrder, ParentOrder
from replay.audit.render import Renderer

_TERMS = {
    "side": "", "order_qty": "", "instrument": "", "ord_type": "", "algo": "", "price_px": "@ ", "limit_px": "@ ",
    "stop_px": "stop ", "trail_offset": "trail ", "trail_type": "", "tif": "", "exec_inst": "", "strategy": "",
}  # fmt: skip


def headline(render: Renderer, number: int, found: dict[int, Frame]) -> str:
    """Of one order among the frames: its terms as they were asked for, its status, what was filled, why it ended."""
    mine = [f for _, f in sorted(found.items()) if getattr(f.message, "order_id", 0) == number]
    asked = next((f for f in mine if isinstance(f.message, NewOrder | ParentOrder)), None)
    last = next((f for f in reversed(mine) if isinstance(f.message, ExecutionReport)), None)
    terms = asked or last
    if terms is None:
        return ""
    names = {f.name for f in type(terms.message).LAYOUT.fields} if terms.message is not None else set()
    texts = ((lead, render.field(terms.message, name, terms.header.seq)) for name, lead in _TERMS.items() if name in names)
    said = " ".join(f"{lead}{text}" for lead, text in texts if text and text != "0")
    if last is None:
        return f"{said} → RECEIVED"
    message: Any = last.message
    out = f"{said} → {render.field(message, 'ord_status', last.header.seq)}"
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
