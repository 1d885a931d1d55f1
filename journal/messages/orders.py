"""Order kinds, 300-399, in four layers that can be audited alone: what was asked (300-), what we told the gateway and it did
(320-), what the venue said (330-), what is true for us (350-, made by the OMS only)."""

from __future__ import annotations

import hashlib
import struct
from typing import Annotated, Any

from journal.messages import enums as e
from journal.messages.schema import (
    I8,
    I32,
    I64,
    I128,
    NULL,
    NULL_I128,
    U8,
    U16,
    U32,
    U64,
    Message,
    Px,
    Qty,
    Seq,
    Ts,
    message,
)

OWN_NUMBER_BITS = 48


def order_id_of(source: int, number: int) -> int:
    """`order_id` = source (16 bits) · that source's own number (48 bits): unique for ever, equal in replay."""
    return (source << OWN_NUMBER_BITS) | number


def order_id_source(order_id: int) -> int:
    """The source that made an order id."""
    return order_id >> OWN_NUMBER_BITS


def order_id_text(order_id: int) -> str:
    """How people read an order id: `9·42`."""
    return f"{order_id >> OWN_NUMBER_BITS}·{order_id & ((1 << OWN_NUMBER_BITS) - 1)}"


_TERMS = struct.Struct("<IIIBBBBqqqqq")


def content_hash(terms: Any) -> int:
    """64-bit hash of the economic terms of a NewOrder or RoutedOrder: equal in the risk pass and in the routed frame.

    Covers account, instrument, side, type, TIF, instructions, quantities, prices, trigger; not the destination."""
    packed = _TERMS.pack(
        terms.account, terms.instrument, terms.exec_inst, terms.side, terms.ord_type, terms.tif, terms.trigger,
        terms.order_qty, terms.price_px, terms.stop_px, terms.display_qty, terms.min_qty,
    )  # fmt: skip
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")


def replace_hash(*, order_id: int, order_qty: int, price_px: int, stop_px: int, display_qty: int, expire_ts: int) -> int:
    """64-bit hash of the terms a replace asks for, after nulls were filled in: equal in the risk pass and in RoutedReplace."""
    packed = struct.pack("<Qqqqqq", order_id, order_qty, price_px, stop_px, display_qty, expire_ts)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")


@message(300)
class NewOrder(Message):
    """NewOrderSingle (35=D). `book_seq`: the market-data frame the decision was made on."""

    order_id: U64 = 0
    parent_order_id: U64 = 0
    list_id: U64 = 0
    order_qty: Qty = NULL
    price_px: Px = NULL
    stop_px: Px = NULL
    trail_offset: I64 = NULL
    display_qty: Qty = NULL
    min_qty: Qty = NULL
    peg_offset: I64 = NULL
    leverage: I64 = NULL
    expire_ts: Ts = 0
    release_ts: Ts = 0
    book_seq: Seq = 0
    account: U32 = 0
    strategy: U32 = 0
    user: U32 = 0
    instrument: U32 = 0
    exec_inst: Annotated[U32, e.ExecInst] = 0
    template: U16 = 0
    destination: U16 = 0
    side: Annotated[U8, e.Side] = 0
    ord_type: Annotated[U8, e.OrdType] = 0
    tif: Annotated[U8, e.TimeInForce] = 0
    position_effect: Annotated[U8, e.PositionEffect] = 0
    margin_mode: Annotated[U8, e.MarginMode] = 0
    quantity_type: Annotated[U8, e.QuantityType] = 0
    stp_mode: Annotated[U8, e.StpMode] = 0
    trigger: U8 = 0
    trigger_direction: U8 = 0
    trail_type: U8 = 0
    peg_type: U8 = 0
    trail_offset_exp: I8 = 0
    peg_offset_exp: I8 = 0
    leverage_exp: I8 = 0
    cl_ord_ref: str = ""


@message(301)
class ReplaceOrder(Message):
    """OrderCancelReplaceRequest (35=G). Null = leave as is; `order_qty` is the new total."""

    order_id: U64 = 0
    order_qty: Qty = NULL
    price_px: Px = NULL
    stop_px: Px = NULL
    display_qty: Qty = NULL
    expire_ts: Ts = 0
    release_ts: Ts = 0
    version: U32 = 0
    conditional_on_version: U32 = 0
    cl_ord_ref: str = ""


@message(302)
class CancelOrder(Message):
    """OrderCancelRequest (35=F)."""

    order_id: U64 = 0
    release_ts: Ts = 0
    version: U32 = 0
    conditional_on_version: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    cl_ord_ref: str = ""


@message(320)
class RoutedOrder(Message):
    """The only frame a gateway turns into a new order. All terms after routing."""

    order_id: U64 = 0
    risk_seq: Seq = 0
    content_hash: U64 = 0
    order_qty: Qty = NULL
    price_px: Px = NULL
    stop_px: Px = NULL
    display_qty: Qty = NULL
    min_qty: Qty = NULL
    expire_ts: Ts = 0
    account: U32 = 0
    instrument: U32 = 0
    strategy: U32 = 0
    exec_inst: Annotated[U32, e.ExecInst] = 0
    destination: U16 = 0
    side: Annotated[U8, e.Side] = 0
    ord_type: Annotated[U8, e.OrdType] = 0
    tif: Annotated[U8, e.TimeInForce] = 0
    position_effect: Annotated[U8, e.PositionEffect] = 0
    margin_mode: Annotated[U8, e.MarginMode] = 0
    quantity_type: Annotated[U8, e.QuantityType] = 0
    stp_mode: Annotated[U8, e.StpMode] = 0
    trigger: U8 = 0


@message(321)
class RoutedReplace(Message):
    """As RoutedOrder, for a change of terms. `order_qty`, `price_px`: the terms wanted, both given."""

    order_id: U64 = 0
    risk_seq: Seq = 0
    content_hash: U64 = 0
    orig_request_seq: Seq = 0
    order_qty: Qty = NULL
    price_px: Px = NULL
    stop_px: Px = NULL
    display_qty: Qty = NULL
    expire_ts: Ts = 0
    account: U32 = 0
    instrument: U32 = 0
    version: U32 = 0
    destination: U16 = 0
    replace_mode: Annotated[U8, e.ReplaceMode] = 0
    side: Annotated[U8, e.Side] = 0


@message(322)
class RoutedCancel(Message):
    """Needs no risk pass. `orig_request_seq`: the RoutedOrder (or last accepted RoutedReplace) to cancel."""

    order_id: U64 = 0
    orig_request_seq: Seq = 0
    account: U32 = 0
    instrument: U32 = 0
    version: U32 = 0
    destination: U16 = 0
    reason: Annotated[U16, e.Reason] = 0


@message(325)
class RoutedQuery(Message):
    """Ask the venue what became of a request, by client order id."""

    order_id: U64 = 0
    orig_request_seq: Seq = 0
    from_ts: Ts = 0
    request: U64 = 0
    account: U32 = 0
    instrument: U32 = 0
    destination: U16 = 0
    query: Annotated[U8, e.QueryType] = 0


@message(327)
class OrderSent(Message):
    """Bytes handed to the socket; from here the outcome is the venue's."""

    request_seq: Seq = 0
    order_id: U64 = 0
    handed_ts: Ts = 0
    bytes: U32 = 0
    stream: U16 = 0
    connection_epoch: U16 = 0


@message(328)
class SendRefused(Message):
    """Certainly not sent, and why."""

    request_seq: Seq = 0
    order_id: U64 = 0
    reason: Annotated[U16, e.Reason] = 0


@message(330)
class VenueOrderUpdate(Message):
    """One message of the venue about an order, unjudged. SNAPSHOT flag in a download."""

    cum_notional: I128 = NULL_I128
    request_seq: Seq = 0
    order_id: U64 = 0
    order_qty: Qty = NULL
    price_px: Px = NULL
    stop_px: Px = NULL
    cum_qty: Qty = NULL
    leaves_qty: Qty = NULL
    exchange_ts: Ts = 0
    sending_ts: Ts = 0
    exchange_seq: U64 = 0
    account: U32 = 0
    instrument: U32 = 0
    exec_inst: Annotated[U32, e.ExecInst] = 0
    venue_code: I32 = 0
    reason: Annotated[U16, e.Reason] = 0
    channel: Annotated[U8, e.Channel] = 0
    exec_type: Annotated[U8, e.ExecType] = 0
    ord_status: Annotated[U8, e.OrdStatus] = 0
    side: Annotated[U8, e.Side] = 0
    ord_type: Annotated[U8, e.OrdType] = 0
    tif: Annotated[U8, e.TimeInForce] = 0
    venue_order_ref: str = ""
    client_ref: str = ""
    text: str = ""


@message(331)
class VenueFill(Message):
    """One fill as the venue says it; deduplicated by (venue, account, trade id) in the OMS, not here."""

    request_seq: Seq = 0
    order_id: U64 = 0
    last_qty: Qty = NULL
    last_px: Px = NULL
    quote_amt: I64 = NULL
    fee: I64 = NULL
    realized: I64 = NULL
    exchange_ts: Ts = 0
    exchange_seq: U64 = 0
    trade_no: U64 = 0
    account: U32 = 0
    instrument: U32 = 0
    fee_currency: U32 = 0
    channel: Annotated[U8, e.Channel] = 0
    side: Annotated[U8, e.Side] = 0
    liquidity: Annotated[U8, e.LiquidityIndicator] = 0
    fee_type: Annotated[U8, e.FeeType] = 0
    position_effect: Annotated[U8, e.PositionEffect] = 0
    quote_amt_exp: I8 = 0
    fee_exp: I8 = 0
    realized_exp: I8 = 0
    venue_trade_ref: str = ""
    venue_order_ref: str = ""
    client_ref: str = ""


@message(332)
class VenueCancelReject(Message):
    """OrderCancelReject (35=9) as received."""

    request_seq: Seq = 0
    order_id: U64 = 0
    venue_code: I32 = 0
    reason: Annotated[U16, e.Reason] = 0
    response_to: Annotated[U8, e.CxlRejResponseTo] = 0
    ord_status: Annotated[U8, e.OrdStatus] = 0
    text: str = ""


@message(350)
class ExecutionReport(Message):
    """ExecutionReport (35=8): the truth for clients, positions and people. cum + leaves + cxl = qty always.
    ExecID (17) is its own seq. `exec_ref_seq`: the ReplaceOrder that this report takes up (PENDING_REPLACE),
    puts in force (REPLACED) or gives up (any other; an OrderCancelReject follows)."""

    cum_notional: I128 = 0
    order_id: U64 = 0
    parent_order_id: U64 = 0
    order_qty: Qty = NULL
    price_px: Px = NULL
    stop_px: Px = NULL
    last_qty: Qty = NULL
    last_px: Px = NULL
    cum_qty: Qty = 0
    leaves_qty: Qty = 0
    cxl_qty: Qty = 0
    fee: I64 = NULL
    exec_ref_seq: Seq = 0
    venue_frame_seq: Seq = 0
    exchange_ts: Ts = 0
    account: U32 = 0
    strategy: U32 = 0
    user: U32 = 0
    instrument: U32 = 0
    exec_inst: Annotated[U32, e.ExecInst] = 0
    version: U32 = 0
    fee_currency: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    report_flags: Annotated[U16, e.ReportFlag] = 0
    exec_type: Annotated[U8, e.ExecType] = 0
    ord_status: Annotated[U8, e.OrdStatus] = 0
    side: Annotated[U8, e.Side] = 0
    ord_type: Annotated[U8, e.OrdType] = 0
    tif: Annotated[U8, e.TimeInForce] = 0
    liquidity: Annotated[U8, e.LiquidityIndicator] = 0
    fee_exp: I8 = 0
    venue_order_ref: str = ""
    venue_trade_ref: str = ""
    text: str = ""


@message(351)
class OrderCancelReject(Message):
    """OrderCancelReject (35=9): a cancel or replace that was not done; the order is untouched."""

    order_id: U64 = 0
    version: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    response_to: Annotated[U8, e.CxlRejResponseTo] = 0
    ord_status: Annotated[U8, e.OrdStatus] = 0
    text: str = ""


__all__ = [
    "CancelOrder",
    "ExecutionReport",
    "NewOrder",
    "OrderCancelReject",
    "OrderSent",
    "ReplaceOrder",
    "RoutedCancel",
    "RoutedOrder",
    "RoutedQuery",
    "RoutedReplace",
    "SendRefused",
    "VenueCancelReject",
    "VenueFill",
    "VenueOrderUpdate",
    "content_hash",
    "order_id_of",
    "order_id_source",
    "order_id_text",
    "replace_hash",
]  # fmt: skip
