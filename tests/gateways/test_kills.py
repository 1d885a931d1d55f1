"""Gateway and sequencer are killed with -9 while orders flow and the venue loses answers; then every order is counted."""

from __future__ import annotations

import random
import signal
import time

import pytest

from journal.messages import (
    ExecType,
    GatewayPhase,
    GatewayStatus,
    OrderSent,
    OrdStatus,
    Reject,
    RoutedCancel,
    RoutedOrder,
    SendRefused,
    TimeInForce,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
)

TAKES_PX = 9_000_000
QTY = 3
FAULTS = [
    "lose_answer", "lose_request", "unsure", "unsure_undone", "rate_limit", "slow_cancel", "lose_push", "duplicate_push",
    "late_push", "drop_api", "drop_market",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 6])
def test_random_kills_and_faults_lose_and_double_nothing(trading, seed):
    s, draw = trading, random.Random(seed)
    orders = []
    for _ in range(4):
        for _ in range(draw.randrange(3, 15)):
            what = draw.random()
            if what < 0.5:
                orders.append(s.order(px=TAKES_PX, tif=TimeInForce.IOC, qty=QTY))
            elif what < 0.8:
                orders.append(s.order(qty=QTY))
            elif orders:
                s.cancel(*draw.choice(orders))
        if draw.random() < 0.5:
            s.fault(draw.choice(FAULTS))
        time.sleep(draw.random() * 0.02)  # somewhere between the routing and the answers
        if draw.random() < 0.67:
            s.kill("gateway")
            mark = s.mark()
            s.start_gateway()
            s.ready(mark)
        else:
            s.kill("sequencer")
            s.start_sequencer()
    marker = s.order(px=TAKES_PX, tif=TimeInForce.IOC, qty=QTY)[1]
    settle(s, marker)
    fills, refused = s.all(VenueFill), {f.message.request_seq for f in s.all(SendRefused)}
    said = {f.message.request_seq: f.message for f in s.all(VenueOrderUpdate, VenueCancelReject)}
    trades = {}
    for f in fills:  # a push that came twice is said twice, in the same words; the OMS takes it once
        assert trades.setdefault(f.message.trade_no, f.message).last_qty == f.message.last_qty
    sent = [f.message.request_seq for f in s.all(OrderSent)]
    assert len(set(sent)) == len(sent)
    assert s.all(Reject) == []
    never = {
        f.message.request_seq
        for f in s.all(VenueOrderUpdate)
        if f.message.exec_type == ExecType.REJECTED
        or (f.message.exec_type == ExecType.ORDER_STATUS and f.message.ord_status == OrdStatus.UNDEFINED)
    }
    for f in s.all(RoutedOrder, RoutedCancel):
        seq, m = f.header.seq, f.message
        assert seq in refused or seq in said, f"request {seq} has no outcome"
        if isinstance(m, RoutedOrder) and m.tif == TimeInForce.IOC:
            done = sum(x.last_qty for x in trades.values() if x.order_id == m.order_id)
            assert done == (0 if seq in never or seq in refused else QTY), f"order routed at {seq}"


@pytest.mark.slow
def test_a_gateway_that_slept_through_an_epoch_sends_nothing_twice_and_nothing_stale(trading):
    """Stopped with orders under its nose, the sequencer begins a new epoch, it goes on: each order once or refused. (P12)"""
    s = trading
    s.processes["gateway"].send_signal(signal.SIGSTOP)
    early = [s.order(qty=QTY) for _ in range(3)]
    s.kill("sequencer")
    s.start_sequencer()
    late = [s.order(qty=QTY) for _ in range(2)]
    mark = s.mark()
    s.processes["gateway"].send_signal(signal.SIGCONT)
    waiting = {seq for _, seq in (*early, *late)}
    for frame in s.follow(SendRefused, VenueOrderUpdate, from_seq=mark):
        waiting.discard(frame.message.request_seq)
        if not waiting:
            break
    sent = [f.message.request_seq for f in s.all(OrderSent)]
    refused = [f.message for f in s.all(SendRefused)]
    assert len(set(sent)) == len(sent)
    assert set(sent) | {m.request_seq for m in refused} == {seq for _, seq in (*early, *late)}
    assert not set(sent) & {m.request_seq for m in refused}
    assert not set(sent) & {seq for _, seq in early}, "an order of the epoch before was sent"


def settle(s, marker):
    """Until the last order has its outcome and no download is under way."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        outcome = [f for f in s.all(SendRefused, VenueOrderUpdate, VenueFill) if f.message.request_seq == marker]
        if outcome and s.all(GatewayStatus)[-1].message.phase == GatewayPhase.READY:
            time.sleep(0.3)  # what was pushed behind it
            return
        time.sleep(0.05)
    raise AssertionError("did not settle")
