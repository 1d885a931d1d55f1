"""The gateway process against the real exchange process and a real sequencer, on loopback."""

from __future__ import annotations

from journal.messages import (
    BookState,
    BookStateCode,
    CxlRejResponseTo,
    ExecType,
    MarketByPriceSnapshot,
    OrderSent,
    OrdStatus,
    Reason,
    Side,
    TimeInForce,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
)


def test_an_order_lives_and_ends(trading):
    s = trading
    order_id, seq = s.order(px=5_000_000)
    sent = s.wait(OrderSent, request_seq=seq)
    assert sent.header.cause == seq
    new = s.wait(VenueOrderUpdate, request_seq=seq, exec_type=ExecType.NEW)
    assert (new.message.order_id, new.message.order_qty, new.message.price_px) == (order_id, 10, 5_000_000)
    assert new.message.client_ref == f"T-{seq}"
    assert new.header.cause > sent.header.seq  # the raw frame it was made of
    replaced = s.replace(order_id, seq, 20, 5_000_010)
    update = s.wait(VenueOrderUpdate, request_seq=replaced, exec_type=ExecType.REPLACED).message
    assert (update.order_id, update.order_qty, update.price_px) == (order_id, 20, 5_000_010)
    canceled = s.cancel(order_id, seq)
    assert s.wait(VenueOrderUpdate, request_seq=canceled, exec_type=ExecType.CANCELED).message.order_id == order_id
    again = s.cancel(order_id, seq)
    refused = s.wait(VenueCancelReject, request_seq=again).message
    assert (refused.reason, refused.response_to) == (Reason.UNKNOWN_AT_VENUE, CxlRejResponseTo.CANCEL)
    order_id, seq = s.order(side=Side.BUY, qty=5, px=9_000_000, tif=TimeInForce.IOC)
    fill = s.wait(VenueFill, request_seq=seq).message
    assert fill.order_id == order_id
    assert fill.fee > 0
    assert fill.fee_currency == 1
    assert s.terminate("gateway") == 0
