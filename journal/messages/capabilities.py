"""What a venue takes, and what becomes of an order that it does not: native, emulated by us, or refused. One pure function,
asked by the risk engine when it decides and by the OMS when it routes, so that they cannot disagree.

A venue speaks by its VenueDefined; one that names no order type says nothing, and everything is sent to it as it was asked.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from journal.messages.enums import (
    ExecInst,
    MarginMode,
    OrdType,
    PositionEffect,
    QuantityType,
    Reason,
    StpMode,
    TimeInForce,
    TrailType,
    Trigger,
    TriggerDirection,
)
from journal.messages.orders import NewOrder
from journal.messages.reference import VenueDefined
from journal.messages.schema import NULL

RELEASED_AS = {
    OrdType.STOP: OrdType.MARKET,
    OrdType.STOP_LIMIT: OrdType.LIMIT,
    OrdType.MARKET_IF_TOUCHED: OrdType.MARKET,
    OrdType.LIMIT_IF_TOUCHED: OrdType.LIMIT,
    OrdType.TRAILING_STOP: OrdType.MARKET,
    OrdType.TRAILING_STOP_LIMIT: OrdType.LIMIT,
}
"""What an order that waits for a price is when it has been triggered."""
TRAILING = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
TOUCHED = (OrdType.MARKET_IF_TOUCHED, OrdType.LIMIT_IF_TOUCHED)
OBSERVED = (Trigger.UNDEFINED, Trigger.LAST, Trigger.MARK, Trigger.INDEX, Trigger.BID, Trigger.ASK, Trigger.MID)
"""Prices that the stream has, so that we can wait for them."""
TIMED = (TimeInForce.DAY, TimeInForce.GTD, TimeInForce.GOOD_FOR_TIME)
"""Lives that we can end ourselves, by the stream's time."""
# Plain integers: arithmetic with a flag's members costs a microsecond.
_EMULATED, _NO_EMULATION = int(ExecInst.EMULATED), int(ExecInst.NO_EMULATION)
OURS = _EMULATED | _NO_EMULATION
"""Instructions to us, not to the venue."""
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_RESTING = (TimeInForce.GTC, *TIMED)
_POST_ONLY = int(ExecInst.PARTICIPATE_DO_NOT_INITIATE | ExecInst.POST_ONLY_SLIDE)
_EFFECTS, _MARGINS = frozenset(map(int, PositionEffect)), frozenset(map(int, MarginMode))


class Handling(IntEnum):
    """What becomes of an order at a venue."""

    NATIVE = 1
    EMULATED = 2
    REFUSED = 3


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """What a venue takes (VenueDefined). `ord_types`, `tifs`, `stp_modes`, `quantity_types`: bit n = value n."""

    supports: int
    ord_types: int
    tifs: int
    exec_insts: int
    stp_modes: int
    quantity_types: int

    @classmethod
    def of(cls, m: VenueDefined) -> Offer | None:
        """The offer of a definition; None when it says nothing of orders."""
        if not m.ord_types:
            return None
        return cls(m.supports, m.ord_types, m.tifs, m.exec_insts, m.stp_modes, m.quantity_types)


class Ruling(NamedTuple):
    """What becomes of an order. `held`: it waits with us for its price; `timed`: we end its life. The rest: how it is sent."""

    how: Handling
    reason: int = 0
    held: bool = False
    timed: bool = False
    ord_type: int = 0
    tif: int = 0
    exec_inst: int = 0


def capability(offer: Offer | None, o: Any, *, now: int = 0) -> Ruling:
    """The ruling on an order's terms (NewOrder or RoutedOrder) at a venue that offers this, at a time (ns; 0: any)."""
    if offer is None:
        if o.exec_inst & _EMULATED:
            return Ruling(Handling.REFUSED, Reason.EMULATION_NOT_POSSIBLE)
        return Ruling(Handling.NATIVE, 0, False, False, o.ord_type, o.tif, o.exec_inst)
    reason = _nonsense(o, now) or _not_offered(offer, o)
    if reason:
        return Ruling(Handling.REFUSED, reason)
    held, ord_type, reason = _type(offer, o)
    timed, tif, tif_reason = _life(offer, o, ord_type, held=held)
    if reason or tif_reason:
        return Ruling(Handling.REFUSED, reason or tif_reason)
    how = Handling.EMULATED if held or timed else Handling.NATIVE
    return Ruling(how, 0, held, timed, ord_type, tif, o.exec_inst & ~OURS)


def keeps_ends(offer: Offer | None) -> bool:
    """Whether an end is ours to keep, for the venue says what it takes, and an end is not among it."""
    return offer is not None and not _bit(offer.tifs, TimeInForce.GTD)


def decided_form(offer: Offer | None, new: NewOrder) -> NewOrder:
    """The order that a risk decision on `new` is about: as it will be sent, or as it was asked while we hold it, for what a
    held order is sent as has a decision of its own (see `released_form`)."""
    plain = offer is None or (_bit(offer.ord_types, new.ord_type) and _bit(offer.tifs, new.tif))
    if plain and not new.exec_inst & OURS:
        return new
    ruling = capability(offer, new)
    return new if ruling.held or ruling.how == Handling.REFUSED else _sent(new, ruling)


def released_form(offer: Offer | None, new: NewOrder, trigger_px: int) -> NewOrder:
    """What a held order is sent as. `trigger_px`: where its stop stood when it was triggered; the limit of a trailing stop
    limit keeps its distance from the stop."""
    ruling = capability(offer, new)
    if not ruling.held:
        return _sent(new, ruling)
    px = new.price_px
    if new.ord_type == OrdType.TRAILING_STOP_LIMIT and trigger_px != NULL:
        px += trigger_px - new.stop_px
    sent = _sent(new, ruling)
    return msgspec.structs.replace(
        sent, price_px=px, stop_px=NULL, trail_offset=NULL, trail_offset_exp=0, trail_type=0, trigger=0, trigger_direction=0
    )


def _sent(new: NewOrder, ruling: Ruling) -> NewOrder:
    if (ruling.ord_type, ruling.tif, ruling.exec_inst) == (new.ord_type, new.tif, new.exec_inst):
        return new
    return msgspec.structs.replace(
        new, ord_type=ruling.ord_type, tif=ruling.tif, exec_inst=ruling.exec_inst,
        expire_ts=new.expire_ts if ruling.tif == new.tif else 0,
    )  # fmt: skip


def _bit(bits: int, value: int) -> bool:
    return bool(bits >> value & 1)


def _nonsense(o: Any, now: int) -> int:
    """What no venue takes."""
    if o.exec_inst & OURS == OURS:
        return Reason.INVALID_EXEC_INST
    if o.exec_inst & _POST_ONLY and (o.tif in _AT_ONCE or RELEASED_AS.get(o.ord_type, o.ord_type) == OrdType.MARKET):
        return Reason.INVALID_EXEC_INST
    if (o.tif in (TimeInForce.GTD, TimeInForce.GOOD_FOR_TIME)) != bool(o.expire_ts) or (now and 0 < o.expire_ts <= now):
        return Reason.INVALID_EXPIRE_TIME
    if o.display_qty != NULL and not 0 < o.display_qty <= o.order_qty:
        return Reason.INVALID_DISPLAY_QUANTITY
    if o.position_effect not in _EFFECTS:
        return Reason.INVALID_POSITION_EFFECT
    if o.margin_mode not in _MARGINS or (o.leverage != NULL and o.leverage <= 0):
        return Reason.INVALID_MARGIN_MODE_OR_LEVERAGE
    return _no_trigger(o) if o.ord_type in RELEASED_AS else 0


def _no_trigger(o: Any) -> int:
    """What is wrong with when it is to be triggered."""
    limit = RELEASED_AS[o.ord_type] == OrdType.LIMIT
    if limit and o.price_px == NULL:
        return Reason.INVALID_PRICE
    if o.ord_type in TRAILING:
        if o.trail_offset == NULL or o.trail_offset <= 0 or o.trail_type not in TrailType.__members__.values():
            return Reason.INVALID_TRAILING_OFFSET
        # The distance of its limit from its stop is what trails: without a stop there is none.
        missing = limit and o.stop_px == NULL
        return Reason.INVALID_STOP_OR_TRIGGER if missing or o.trigger_direction else 0
    good = o.stop_px != NULL and o.trigger_direction in TriggerDirection.__members__.values()
    return 0 if good else Reason.INVALID_STOP_OR_TRIGGER


def _not_offered(offer: Offer, o: Any) -> int:
    """Instructions that cannot be emulated and that the venue does not take."""
    if o.exec_inst & ~OURS & ~offer.exec_insts:
        return Reason.NOT_SUPPORTED_BY_VENUE
    if o.display_qty != NULL and not _bit(offer.ord_types, OrdType.ICEBERG):
        return Reason.NOT_SUPPORTED_BY_VENUE
    if o.stp_mode not in (StpMode.UNDEFINED, StpMode.NONE) and not _bit(offer.stp_modes, o.stp_mode):
        return Reason.NOT_SUPPORTED_BY_VENUE
    if o.quantity_type not in (QuantityType.UNDEFINED, QuantityType.UNITS):
        return 0 if _bit(offer.quantity_types, o.quantity_type) else Reason.NOT_SUPPORTED_BY_VENUE
    return 0


def _type(offer: Offer, o: Any) -> tuple[bool, int, int]:
    """(held, type as sent, reason)."""
    wanted, forbidden = o.exec_inst & _EMULATED, o.exec_inst & _NO_EMULATION
    if _bit(offer.ord_types, o.ord_type) and not wanted:
        return False, o.ord_type, 0
    if o.ord_type not in RELEASED_AS:
        return False, 0, Reason.EMULATION_NOT_POSSIBLE if wanted else Reason.NOT_SUPPORTED_BY_VENUE
    if forbidden:
        return False, 0, Reason.NOT_SUPPORTED_BY_VENUE
    released = RELEASED_AS[o.ord_type]
    possible = _bit(offer.ord_types, released) and o.trigger in OBSERVED
    return possible, released, 0 if possible else Reason.EMULATION_NOT_POSSIBLE


def _life(offer: Offer, o: Any, ord_type: int, *, held: bool) -> tuple[bool, int, int]:
    """(we end it, time in force as sent, reason)."""
    if held and ord_type == OrdType.MARKET and o.tif in _RESTING:
        # Its life was the wait; what is released takes what there is.
        fits = _bit(offer.tifs, TimeInForce.IOC)
        return o.tif in TIMED, TimeInForce.IOC if fits else o.tif, 0 if fits else Reason.EMULATION_NOT_POSSIBLE
    if _bit(offer.tifs, o.tif):
        return held and o.tif in TIMED, o.tif, 0
    emulable = o.tif in TIMED and not o.exec_inst & _NO_EMULATION and _bit(offer.tifs, TimeInForce.GTC)
    return emulable, TimeInForce.GTC, 0 if emulable else Reason.NOT_SUPPORTED_BY_VENUE


__all__ = [
    "OBSERVED", "RELEASED_AS", "TIMED", "TOUCHED", "TRAILING", "Handling", "Offer", "Ruling", "capability", "decided_form",
    "keeps_ends", "released_form",
]  # fmt: skip
