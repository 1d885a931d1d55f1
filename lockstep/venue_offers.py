"""What the venue of a configuration takes, as the bits of its VenueDefined."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum, IntFlag
from typing import Protocol

from journal.messages import ExecInst, OrdType, QuantityType, StpMode, SupportType, TimeInForce

LISTS: dict[str, type[IntEnum] | type[IntFlag]] = {
    "order_types": OrdType,
    "times_in_force": TimeInForce,
    "instructions": ExecInst,
    "self_trade_prevention": StpMode,
    "quantity_types": QuantityType,
}
"""Key of [venue.NAME] → what its words are of."""
SIMULATED = {
    "order_types": ["limit", "market"],
    "times_in_force": ["gtc", "ioc", "fok"],
    "instructions": ["participate_do_not_initiate", "do_not_increase"],
    "self_trade_prevention": ["cancel_taker"],
    "quantity_types": ["units"],
}
"""What the simulated exchange takes, and a backtest's venue with it."""
NATIVE = {
    "stops": SupportType.NATIVE_TRIGGER,
    "cancel_all": SupportType.CANCEL_ALL,
    "dead_man": SupportType.DEAD_MAN,
    "mass_quote": SupportType.MASS_QUOTE,
    "rate_limits": SupportType.RATE_LIMITS,
}
"""Word of `native` → what a venue does itself that we can do for it."""
BACKTESTED = ("cancel_all", "mass_quote")
"""Those that a backtest's venue does, too."""
_FIELDS = {
    "order_types": "ord_types",
    "times_in_force": "tifs",
    "instructions": "exec_insts",
    "self_trade_prevention": "stp_modes",
    "quantity_types": "quantity_types",
}


class Lists(Protocol):
    """The part of [venue.NAME] that is read here."""

    type: str


def offered(venue: Lists, natives: Collection[str] = ()) -> dict[str, int]:
    """The fields of VenueDefined. A venue that lists no order type says nothing. `natives`: what it does itself for many
    orders at once."""
    own = SIMULATED if venue.type.lower() == "simulated" else {}
    found = {}
    for key, enum in LISTS.items():
        listed = getattr(venue, key)
        words = own.get(key, []) if listed is None else listed
        if listed is None and own and key == "order_types" and "stops" in natives:
            words = [*words, "stop", "stop_limit"]
        values = [int(enum[word.upper()]) for word in words]
        found[_FIELDS[key]] = sum({v if issubclass(enum, IntFlag) else 1 << v for v in values})
    if natives:
        found["supports"] = int(sum({NATIVE[word] for word in natives}))
    return found if found["ord_types"] else {}
