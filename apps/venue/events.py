"""What a venue says about orders, and what its public feed is made of.

Prices, quantities and fees are integer mantissas: `px` and `qty` by the exponents of the venue's `Rules`, fees by
`FEE_EXP`. Reasons are the vocabulary's own. Every call of a venue returns its events in the order they happened.
"""

from __future__ import annotations

import msgspec

from journal.messages.enums import Reason, Side


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The order is in: it has not matched yet."""

    order_id: int
    account: int
    side: Side
    px: int  # 0 for a market order
    order_qty: int
    ts: int
    stop_px: int = 0  # of a stop: it waits for this price


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The request changed nothing. A refused new order never existed."""

    order_id: int
    account: int
    reason: Reason
    ts: int


class Filled(msgspec.Struct, frozen=True, gc=False):
    """One execution of one order, one price, one counterparty."""

    order_id: int
    account: int
    side: Side
    px: int
    qty: int
    cum_qty: int
    leaves_qty: int
    trade_id: int  # both sides of a trade carry the same
    maker: bool
    fee: int  # mantissa of FEE_EXP in the quote asset; negative is a rebate
    ts: int


class Amended(msgspec.Struct, frozen=True, gc=False):
    """The replace was accepted; fills that it causes follow."""

    order_id: int
    account: int
    side: Side
    px: int
    order_qty: int
    cum_qty: int
    leaves_qty: int
    kept_priority: bool
    ts: int
    stop_px: int = 0  # of a stop that waits


class Triggered(msgspec.Struct, frozen=True, gc=False):
    """The price of a stop has traded: it works from here on."""

    order_id: int
    account: int
    side: Side
    px: int  # 0 for a market order
    ts: int


class Canceled(msgspec.Struct, frozen=True, gc=False):
    """Done by request: USER_REQUEST, or a replace that the venue turned into a cancel: REPLACE_BELOW_CUM,
    POST_ONLY_WOULD_TAKE; or unasked: DEAD_MAN_FIRED, CANCEL_ON_DISCONNECT, HALT_CANCEL."""

    order_id: int
    account: int
    side: Side
    cum_qty: int
    cxl_qty: int
    reason: Reason
    ts: int


class Expired(msgspec.Struct, frozen=True, gc=False):
    """Done by rule: NOT_FILLED_IMMEDIATELY (market, IOC, FOK) or SELF_TRADE_PREVENTED."""

    order_id: int
    account: int
    side: Side
    cum_qty: int
    cxl_qty: int
    reason: Reason
    ts: int


class Printed(msgspec.Struct, frozen=True, gc=False):
    """A public trade. `side` is the taker's."""

    trade_id: int
    px: int
    qty: int
    side: Side
    ts: int


class LevelChanged(msgspec.Struct, frozen=True, gc=False):
    """The public book: total displayed quantity at a price after the call, 0 when the level is gone. Last in the list."""

    side: Side
    px: int
    qty: int


VenueEvent = Accepted | Refused | Filled | Amended | Triggered | Canceled | Expired | Printed | LevelChanged
