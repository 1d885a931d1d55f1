"""Terms of an order as a strategy writes them, and the fields of NewOrder that they are."""

from __future__ import annotations

from typing import Any

from journal.messages import ExecInst, OrdType, QuantityType, TimeInForce

WORDS = frozenset(
    {
        "tif", "post_only", "reduce_only", "hidden", "stop", "touched", "trail", "trail_type", "trail_exp", "trigger",
        "trigger_direction", "display", "expire", "release", "stp_mode", "position_effect", "margin_mode", "leverage",
        "leverage_exp", "quote_quantity", "emulated",
    }
)  # fmt: skip
"""What `buy`, `sell` and `draft` take beside instrument, quantity and price."""
_FLAGS = {
    "post_only": int(ExecInst.PARTICIPATE_DO_NOT_INITIATE),
    "reduce_only": int(ExecInst.DO_NOT_INCREASE),
    "hidden": int(ExecInst.HIDDEN),
    "emulated": int(ExecInst.EMULATED),
}
_FIELDS = {
    "trail": "trail_offset", "trail_type": "trail_type", "trail_exp": "trail_offset_exp", "trigger": "trigger",
    "trigger_direction": "trigger_direction", "display": "display_qty", "expire": "expire_ts", "release": "release_ts",
    "stp_mode": "stp_mode", "position_effect": "position_effect", "margin_mode": "margin_mode", "leverage": "leverage",
    "leverage_exp": "leverage_exp",
}  # fmt: skip


def fields_of(terms: dict[str, Any], *, limit: bool) -> dict[str, Any]:
    """The fields of NewOrder for terms in mantissas; `limit`: the order has a price. An unknown word is a TypeError."""
    if not terms.keys() <= WORDS:
        unknown = sorted(set(terms) - WORDS)
        raise TypeError(f"order terms {', '.join(unknown)}; expected some of {', '.join(sorted(WORDS))}")
    stop, touched, trail = terms.get("stop"), terms.get("touched"), terms.get("trail")
    if touched is not None and (stop is not None or trail is not None):
        raise TypeError("an order is a stop or is touched, not both")
    waits = "trail" if trail is not None else "touched" if touched is not None else "stop" if stop is not None else ""
    ord_type = _TYPES[waits, limit]
    found: dict[str, Any] = {
        _FIELDS[word]: int(value) for word, value in terms.items() if word in _FIELDS and value is not None
    }
    if stop is not None or touched is not None:
        found["stop_px"] = touched if stop is None else stop
    tif = terms.get("tif")
    if tif is None:
        resting = TimeInForce.GTD if terms.get("expire") else TimeInForce.GTC
        tif = TimeInForce.IOC if ord_type == OrdType.MARKET else resting
    inst = 0
    for word, value in terms.items():
        if value and word in _FLAGS:
            inst |= _FLAGS[word]
    if terms.get("quote_quantity"):
        found["quantity_type"] = QuantityType.QUOTE_AMOUNT
    found["ord_type"], found["tif"], found["exec_inst"] = ord_type, tif, inst
    return found


_TYPES = {
    ("", False): OrdType.MARKET,
    ("", True): OrdType.LIMIT,
    ("stop", False): OrdType.STOP,
    ("stop", True): OrdType.STOP_LIMIT,
    ("touched", False): OrdType.MARKET_IF_TOUCHED,
    ("touched", True): OrdType.LIMIT_IF_TOUCHED,
    ("trail", False): OrdType.TRAILING_STOP,
    ("trail", True): OrdType.TRAILING_STOP_LIMIT,
}
