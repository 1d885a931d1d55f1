"""Order kinds, 300-399, in four layers that can be audited alone: what was asked (300-), what we told the gateway and it did
(320-), what the venue said (330-), what is true for us (350-, made by the OMS only)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
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
    Entry,
    Message,
    Ns,
    Px,
    Qty,
    Rate,
    Seq,
    Ts,
    entry,
    message,
)
from journal.messages.scopes import Scope

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
_MORE_TERMS = struct.Struct("<qqqqBBBBBBBbbb")
_NO_MORE = (NULL, NULL, NULL, 0, *(0,) * 10)
"""As in an order that uses none of them: its hash is the one from before there were any."""


def content_hash(terms: Any) -> int:
    """64-bit hash of the economic terms of a NewOrder or RoutedOrder: equal in the risk pass and in the routed frame.

    Covers account, instrument, side, type, TIF and its end, instructions, quantities, prices, trigger, trail, peg, position
    effect, margin, leverage, self-trade prevention; not the destination."""
    packed = _TERMS.pack(
        terms.account, terms.instrument, terms.exec_inst, terms.side, terms.ord_type, terms.tif, terms.trigger,
        terms.order_qty, terms.price_px, terms.stop_px, terms.display_qty, terms.min_qty,
    )  # fmt: skip
    more = (
        terms.trail_offset, terms.peg_offset, terms.leverage, terms.expire_ts, terms.position_effect, terms.margin_mode,
        terms.quantity_type, terms.stp_mode, terms.trigger_direction, terms.trail_type, terms.peg_type,
        terms.trail_offset_exp, terms.peg_offset_exp, terms.leverage_exp,
    )  # fmt: skip
    if more != _NO_MORE:
        packed += _MORE_TERMS.pack(*more)
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


@message(303)
class CancelAll(Scope):
    """OrderMassCancelRequest (35=q): every open order in the scope, of one side where it is given."""

    request: U64 = 0
    reason: Annotated[U16, e.Reason] = 0
    side: Annotated[U8, e.Side] = 0


@entry
class ListMember(Entry):
    """An order of a list: a NewOrder that names this list."""

    order_id: U64 = 0
    role: Annotated[U8, e.ListRole] = 0


@message(304)
class OrderList(Message):
    """NewOrderList (35=E): orders that depend on one another. `members`: NewOrders with this `list_id`, which follow it."""

    list_id: U64 = 0
    contingency: Annotated[U8, e.ContingencyType] = 0
    trigger_mode: U8 = 0
    members: Sequence[ListMember] = ()


@entry
class AlgoVenue(Entry):
    """A venue a parent may be worked at."""

    venue: U16 = 0


@entry
class AlgoParameter(Entry):
    """StrategyParameter (957-960)."""

    type: Annotated[U8, e.ValueType] = 0
    name: str = ""
    value: str = ""


@message(305)
class ParentOrder(Message):
    """NewOrderSingle (35=D) with TargetStrategy (847): worked by an algo through child orders that name it; replaced and
    canceled like any order."""

    order_id: U64 = 0
    order_qty: Qty = NULL
    limit_px: Px = NULL
    start_ts: Ts = 0
    end_ts: Ts = 0
    participation_rate: Rate = NULL
    max_slice_qty: Qty = NULL
    min_slice_qty: Qty = NULL
    account: U32 = 0
    strategy: U32 = 0
    user: U32 = 0
    instrument: U32 = 0
    algo: Annotated[U16, e.AlgoType] = 0
    side: Annotated[U8, e.Side] = 0
    urgency: U8 = 0
    venues: Sequence[AlgoVenue] = ()
    parameters: Sequence[AlgoParameter] = ()


@entry
class QuoteEntry(Entry):
    """A two-sided quote; a side without a price is not quoted."""

    bid_px: Px = NULL
    bid_qty: Qty = NULL
    ask_px: Px = NULL
    ask_qty: Qty = NULL
    entry: U32 = 0
    instrument: U32 = 0
    exec_inst: Annotated[U32, e.ExecInst] = 0
    set: U16 = 0


@message(306)
class MassQuote(Message):
    """MassQuote (35=i): replaces the quotes of these entries at once."""

    quote_id: U64 = 0
    valid_until_ts: Ts = 0
    account: U32 = 0
    strategy: U32 = 0
    mmp_group: U16 = 0
    mmp_reset: U8 = 0
    entries: Sequence[QuoteEntry] = ()


@message(307)
class CancelQuotes(Message):
    """QuoteCancel (35=Z): what is given must match; 0 = any."""

    quote_id: U64 = 0
    account: U32 = 0
    instrument: U32 = 0
    set: U16 = 0
    reason: Annotated[U16, e.Reason] = 0


@message(308)
class OrderStatusRequest(Scope):
    """OrderMassStatusRequest (35=AF): the state of what the scope covers and the asker may see, once, between DownloadBegin
    and DownloadEnd."""

    request: U64 = 0


@message(320, version=2)
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
    trigger_direction: Annotated[U8, e.TriggerDirection] = 0
    trail_type: Annotated[U8, e.TrailType] = 0
    peg_type: Annotated[U8, e.PegType] = 0
    trail_offset_exp: I8 = 0
    peg_offset_exp: I8 = 0
    leverage_exp: I8 = 0
    trail_offset: I64 = NULL
    peg_offset: I64 = NULL
    leverage: I64 = NULL


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


@message(323)
class RoutedCancelAll(Scope):
    """The venue's own mass cancel, only where it cannot hit another owner."""

    request: U64 = 0
    account: U32 = 0
    destination: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    side: Annotated[U8, e.Side] = 0


@message(324)
class RoutedQuote(Message):
    """The only frame a gateway turns into quotes."""

    quote_id: U64 = 0
    risk_seq: Seq = 0
    content_hash: U64 = 0
    valid_until_ts: Ts = 0
    account: U32 = 0
    destination: U16 = 0
    mmp_group: U16 = 0
    mmp_reset: U8 = 0
    entries: Sequence[QuoteEntry] = ()


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


@message(326)
class RoutedDeadMan(Message):
    """The venue's own timer that cancels everything unless it is refreshed."""

    timeout_ns: Ns = 0
    account: U32 = 0
    destination: U16 = 0
    action: Annotated[U8, e.DeadManAction] = 0


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


@message(333)
class VenueTradeCorrection(Message):
    """The venue takes a trade back or restates it (ExecType (150) H, G). `last_qty`, `last_px`: as they are now."""

    request_seq: Seq = 0
    order_id: U64 = 0
    last_qty: Qty = NULL
    last_px: Px = NULL
    fee: I64 = NULL
    exchange_ts: Ts = 0
    exchange_seq: U64 = 0
    trade_no: U64 = 0
    account: U32 = 0
    instrument: U32 = 0
    fee_currency: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    channel: Annotated[U8, e.Channel] = 0
    action: Annotated[U8, e.TradeCorrectionAction] = 0
    fee_exp: I8 = 0
    venue_trade_ref: str = ""
    venue_order_ref: str = ""
    client_ref: str = ""


@message(334)
class VenueMassCancelReport(Scope):
    """OrderMassCancelReport (35=r) as received; each order's own end follows."""

    request_seq: Seq = 0
    account: U32 = 0
    affected: U32 = 0
    reason: Annotated[U16, e.Reason] = 0


@message(335)
class VenueQuoteUpdate(Message):
    """MassQuoteAck (35=b): one entry of a quote as the venue has it."""

    request_seq: Seq = 0
    quote_id: U64 = 0
    entry: U32 = 0
    account: U32 = 0
    instrument: U32 = 0
    set: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    quote_status: Annotated[U8, e.QuoteStatus] = 0
    bid_order_ref: str = ""
    ask_order_ref: str = ""


@message(336)
class VenueMmpState(Message):
    """Market-maker protection has tripped, or was reset."""

    frozen_until_ts: Ts = 0
    account: U32 = 0
    mmp_group: U16 = 0
    state: Annotated[U8, e.MmpState] = 0


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


@message(352)
class CancelAllReport(Scope):
    """OrderMassCancelReport (35=r): how far a CancelAll is. matched = canceled + rejected + pending; `final`: no more of it
    will come."""

    request: U64 = 0
    request_seq: Seq = 0
    matched: U32 = 0
    canceled: U32 = 0
    rejected: U32 = 0
    pending: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    final: U8 = 0


@message(353)
class QuoteStatusReport(Message):
    """QuoteStatusReport (35=AI): one entry of a quote, and the orders it stands for."""

    quote_id: U64 = 0
    bid_order_id: U64 = 0
    ask_order_id: U64 = 0
    entry: U32 = 0
    account: U32 = 0
    instrument: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    quote_status: Annotated[U8, e.QuoteStatus] = 0


@entry
class ListMemberStatus(Entry):
    """A member of a list as it stands."""

    order_id: U64 = 0
    cum_qty: Qty = 0
    ord_status: Annotated[U8, e.OrdStatus] = 0


@message(354)
class ListStatus(Message):
    """ListStatus (35=N)."""

    list_id: U64 = 0
    reason: Annotated[U16, e.Reason] = 0
    list_status: Annotated[U8, e.ListStatusCode] = 0
    members: Sequence[ListMemberStatus] = ()


@entry
class RouteCandidate(Entry):
    """A way an order could go; `skipped`: why it did not, 0 = it was chosen or came later."""

    score: I64 = 0
    venue: U16 = 0
    destination: U16 = 0
    skipped: Annotated[U16, e.Reason] = 0


@message(355)
class RoutingDecision(Message):
    """Why this venue and this connection. `rule`: the number of the rule that chose."""

    order_id: U64 = 0
    venue: U16 = 0
    destination: U16 = 0
    rule: U16 = 0
    candidates: Sequence[RouteCandidate] = ()


@message(360)
class ReconcileStarted(Message):
    """What we hold true is compared with what the venue says."""

    run: U64 = 0
    lookback_from_ts: Ts = 0
    account: U32 = 0
    venue: U16 = 0
    trigger: Annotated[U8, e.ReconcileTrigger] = 0


@message(361)
class ReconcileDifference(Message):
    """One difference, typed. `ours`, `theirs`: mantissas of what the type is about (quantity, price, amount, OrdStatus)."""

    ours: I128 = 0
    theirs: I128 = 0
    tolerance: I128 = 0
    run: U64 = 0
    order_id: U64 = 0
    venue_frame_seq: Seq = 0
    account: U32 = 0
    instrument: U32 = 0
    currency: U32 = 0
    difference: Annotated[U8, e.DifferenceType] = 0
    exp: I8 = 0
    venue_order_ref: str = ""
    venue_trade_ref: str = ""


@message(362)
class ReconcileCorrection(Message):
    """An explicit repair, by policy (`user` 0) or by a person. The frames that follow from it are flagged SYNTHETIC."""

    run: U64 = 0
    difference_seq: Seq = 0
    approval_seq: Seq = 0
    user: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    action: Annotated[U8, e.CorrectionAction] = 0
    text: str = ""


@message(363)
class ReconcileFinished(Message):
    """Opens the gate, or halts the account."""

    run: U64 = 0
    account: U32 = 0
    differences: U32 = 0
    open: U32 = 0
    venue: U16 = 0
    result: Annotated[U8, e.ReconcileResult] = 0


@message(370)
class DontKnowTrade(Message):
    """DontKnowTrade (35=Q): a fill that we cannot place; it is held in suspense."""

    venue_frame_seq: Seq = 0
    last_qty: Qty = NULL
    last_px: Px = NULL
    account: U32 = 0
    instrument: U32 = 0
    dk_reason: Annotated[U8, e.DkReason] = 0
    venue_trade_ref: str = ""


__all__ = [
    "AlgoParameter",
    "AlgoVenue",
    "CancelAll",
    "CancelAllReport",
    "CancelOrder",
    "CancelQuotes",
    "DontKnowTrade",
    "ExecutionReport",
    "ListMember",
    "ListMemberStatus",
    "ListStatus",
    "MassQuote",
    "NewOrder",
    "OrderCancelReject",
    "OrderList",
    "OrderSent",
    "OrderStatusRequest",
    "ParentOrder",
    "QuoteEntry",
    "QuoteStatusReport",
    "ReconcileCorrection",
    "ReconcileDifference",
    "ReconcileFinished",
    "ReconcileStarted",
    "ReplaceOrder",
    "RouteCandidate",
    "RoutedCancel",
    "RoutedCancelAll",
    "RoutedDeadMan",
    "RoutedOrder",
    "RoutedQuery",
    "RoutedQuote",
    "RoutedReplace",
    "RoutingDecision",
    "SendRefused",
    "VenueCancelReject",
    "VenueFill",
    "VenueMassCancelReport",
    "VenueMmpState",
    "VenueOrderUpdate",
    "VenueQuoteUpdate",
    "VenueTradeCorrection",
    "content_hash",
    "order_id_of",
    "order_id_source",
    "order_id_text",
    "replace_hash",
]  # fmt: skip
