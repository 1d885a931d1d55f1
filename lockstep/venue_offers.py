"""What the venue of a configuration takes, as the bits of its VenueDefined."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Protocol

from journal.messages import ExecInst, OrdType, QuantityType, StpMode, TimeInForce

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


def offered(venue: Lists) -> dict[str, int]:
    """The fields of VenueDefined. A venue that lists no order type says nothing."""
    own = SIMULATED if venue.type.lower() == "simulated" else {}
    found = {}
    for key, enum in LISTS.items():
        listed = getattr(venue, key)
        words = own.get(key, []) if listed is None else listed
        values = [int(enum[word.upper()]) for word in words]
        found[_FIELDS[key]] = sum({v if issubclass(enum, IntFlag) else 1 << v for v in values})
    return found if found["ord_types"] else {}
