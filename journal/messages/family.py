"""Parents and children: the one reading of what a child order may be. The OMS and the risk engine, which know one another from
the stream only, both judge with it.

A parent is an order that is worked by other orders, its children. Whatever happens, the children together never hold more than
the parent's quantity (held: filled, or able to fill; an order whose outcome is unknown counts in full), none is worse than the
parent's limit, and none is of another side or asset.

A parent is worked by its own source; one that a person has given, by the app of the strategy that it names, too.
"""

from __future__ import annotations

import msgspec

from journal.messages.enums import QuantityType, Reason, Side, SourceRole, TimeInForce
from journal.messages.schema import NULL

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a parent sets. Quantities and prices: mantissas of its instrument."""

    side: int
    order_qty: int
    limit_px: int = NULL
    max_slice_qty: int = NULL
    start_ts: int = 0
    end_ts: int = 0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a child would be."""

    side: int
    order_qty: int
    """In all, filled included."""
    price_px: int = NULL
    tif: int = 0
    expire_ts: int = 0
    quantity_type: int = 0
    alike: bool = True
    """Of the parent's instrument, or of its like on one of the parent's venues."""


class Held(msgspec.Struct, frozen=True):
    """What the other children hold."""

    qty: int
    """Filled or able to fill."""
    unknown_qty: int = 0
    """The part of it that may be gone already, which nobody knows."""


class Whose(msgspec.Struct, frozen=True):
    """Who asks for an order, and for which strategy."""

    source: int
    strategy: int


def may_work(child: Whose, parent: Whose, *, roles: dict[int, int], apps: dict[int, int]) -> bool:
    """Whether one may send children of another's parent. `roles`: of sources, as defined; `apps`: strategy → the source that
    decides for it. That the child says the strategy is not enough: anybody could."""
    if child.source == parent.source:
        return True
    given = roles.get(parent.source) == SourceRole.OPERATOR and parent.strategy != 0
    return given and child.strategy == parent.strategy and apps.get(parent.strategy) == child.source


def worse(side: int, px: int, limit_px: int) -> bool:
    """Whether a price is worse for us than a limit. No price at all (a market order) is worse than any limit."""
    if limit_px == NULL:
        return False
    if px == NULL:
        return True
    return px > limit_px if side == Side.BUY else px < limit_px


def outlives(bounds: Bounds, tif: int, expire_ts: int) -> bool:
    """Whether a child is meant to work beyond its parent. One without a time of its own ends when the parent does."""
    return bool(bounds.end_ts and tif not in _AT_ONCE and expire_ts > bounds.end_ts)


def fault(bounds: Bounds | None, child: Wanted, held: Held, now: int) -> int:
    """Why a child may not be (a Reason); 0 = it may. `bounds` None: there is no such parent, or it is over."""
    if bounds is None:
        return Reason.PARENT_UNKNOWN_OR_CLOSED
    if child.side != bounds.side or not child.alike or child.quantity_type > QuantityType.CONTRACTS:
        return Reason.CHILD_DIFFERS
    if worse(child.side, child.price_px, bounds.limit_px):
        return Reason.CHILD_WORSE_THAN_LIMIT
    if now < bounds.start_ts or outlives(bounds, child.tif, child.expire_ts):
        return Reason.CHILD_OUTLIVES_PARENT
    if bounds.max_slice_qty != NULL and child.order_qty > bounds.max_slice_qty:
        return Reason.CHILD_EXCEEDS_PARENT
    if held.qty + child.order_qty > bounds.order_qty:
        known = held.qty - held.unknown_qty + child.order_qty
        return Reason.CHILD_EXCEEDS_PARENT if known > bounds.order_qty else Reason.CHILD_UNKNOWN_BLOCKS
    return 0


__all__ = ["Bounds", "Held", "Wanted", "Whose", "fault", "may_work", "outlives", "worse"]
