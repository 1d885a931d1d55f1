"""The gateway process against the real exchange process and a real sequencer, on loopback."""

from __future__ import annotations

import os
import signal

from journal.frames import frames
from journal.messages import (
    BookState,
    BookStateCode,
    BookStateReason,
    Channel,
    ConnectionState,
    CxlRejResponseTo,
    ExecType,
    Flag,
    GatewayPhase,
    GatewayStatus,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    MarketDataGap,
    OrderSent,
    OrdStatus,
    Reason,
    Reject,
    SendRefused,
    Side,
    SourceDefined,
    SourceState,
    SourceStateCode,
    StreamStatus,
    TimeInForce,
    VenueCancelReject,
    VenueError,
    VenueErrorCode,
    VenueFill,
    VenueOrderUpdate,
)
from sequencer.client import Publisher


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


def test_cut_connections_come_back_and_orders_are_asked_for(trading):
    s = trading
    order_id, seq = s.order()
    s.wait(VenueOrderUpdate, request_seq=seq, exec_type=ExecType.NEW)
    mark = s.mark()
    s.fault("drop_market")
    s.wait(BookState, mark, state=BookStateCode.STALE, reason=BookStateReason.DISCONNECTED)
    s.wait(BookState, mark, state=BookStateCode.LIVE)
    mark = s.mark()
    s.fault("drop_api")
    s.wait(StreamStatus, mark, connection=ConnectionState.DISCONNECTED, account=1)
    s.ready(mark)
    row = s.wait(VenueOrderUpdate, mark, request_seq=seq, exec_type=ExecType.ORDER_STATUS)
    assert row.message.ord_status == OrdStatus.NEW
    assert row.header.flags & Flag.SNAPSHOT
    assert s.cancel(order_id, seq)


def test_lost_requests_and_answers_have_an_outcome_in_the_end(trading):
    s = trading
    _, never = s.order()
    s.wait(VenueOrderUpdate, request_seq=never, exec_type=ExecType.NEW)
    for fault in ("lose_request", "lose_answer"):
        mark = s.mark()
        s.fault(fault)
        _, seq = s.order(px=9_000_000, tif=TimeInForce.IOC, qty=5)
        s.ready(mark)
        fills = [f for f in s.all(VenueFill, from_seq=mark) if f.message.request_seq == seq]
        states = [f.message for f in s.all(VenueOrderUpdate, from_seq=mark) if f.message.request_seq == seq]
        if fault == "lose_request":
            assert fills == []
            assert [(m.ord_status, m.reason) for m in states] == [(OrdStatus.UNDEFINED, Reason.UNKNOWN_AT_VENUE)]
        else:
            assert sum(f.message.last_qty for f in fills) == 5
            assert all(f.message.channel == Channel.DOWNLOAD and f.header.flags & Flag.POSS_RESEND for f in fills)
            assert states[-1].ord_status == OrdStatus.FILLED
    trades = [f.message.trade_no for f in s.all(VenueFill)]
    assert len(trades) == len(set(trades))


def test_a_gap_garbage_and_a_monster_frame_on_the_market_stream(trading):
    s = trading
    s.wait(BookState, state=BookStateCode.LIVE)
    mark = s.mark()
    s.fault("gap", count=2)
    gap = s.wait(MarketDataGap, mark)
    assert gap.message.got_seq > gap.message.expected_seq
    s.wait(BookState, gap.header.seq, state=BookStateCode.LIVE)
    mark = s.mark()
    s.fault("garbage")
    s.wait(VenueError, mark, error=VenueErrorCode.UNPARSED)
    s.fault("oversize", bytes=20_000_000)
    s.wait(StreamStatus, mark, stream=1, connection=ConnectionState.DISCONNECTED)
    s.wait(BookState, s.mark(), state=BookStateCode.LIVE)
    assert_book_is_continuous(s)
    assert s.processes["gateway"].poll() is None


def assert_book_is_continuous(s):
    """Between snapshots every update follows the one before, within one connection; raw frames are the causes."""
    last, epoch = 0, 0
    for frame in s.all(MarketByPriceSnapshot, MarketByPriceUpdate):
        m = frame.message
        if isinstance(m, MarketByPriceSnapshot):
            first = True
        else:
            assert m.connection_epoch == epoch
            assert m.prev_exchange_seq == last or (first and m.first_exchange_seq <= last + 1)
            first = False
        last, epoch = m.exchange_seq, m.connection_epoch
        assert frame.header.cause


def test_kill_9_of_the_gateway_loses_and_doubles_nothing(trading):
    s = trading
    resting = [s.order(px=5_000_000 + 10 * i) for i in range(5)]
    for _, seq in resting:
        s.wait(VenueOrderUpdate, request_seq=seq, exec_type=ExecType.NEW)
    _, filled = s.order(px=9_000_000, tif=TimeInForce.IOC, qty=3)
    s.wait(VenueFill, request_seq=filled)
    in_flight = [s.order(px=9_000_000, tif=TimeInForce.IOC, qty=3)[1] for _ in range(3)]
    s.kill("gateway")
    mark = s.mark()
    _, while_dead = s.order(px=9_000_000, qty=3)  # routed to nobody
    s.start_gateway()
    s.ready(mark)
    gone = s.wait(VenueOrderUpdate, mark, request_seq=while_dead)
    assert (gone.message.ord_status, gone.message.reason) == (OrdStatus.UNDEFINED, Reason.UNKNOWN_AT_VENUE)
    for order_id, seq in resting:
        row = s.wait(VenueOrderUpdate, mark, request_seq=seq, exec_type=ExecType.ORDER_STATUS)
        assert (row.message.ord_status, row.message.order_id) == (OrdStatus.NEW, order_id)
    trades = [f.message.trade_no for f in s.all(VenueFill)]
    assert len(trades) == len(set(trades)) >= 1
    for seq in in_flight:  # whole or never: the venue knows, and says it once
        done = sum(f.message.last_qty for f in s.all(VenueFill) if f.message.request_seq == seq)
        states = {f.message.ord_status for f in s.all(VenueOrderUpdate) if f.message.request_seq == seq}
        assert (done, OrdStatus.UNDEFINED in states) in ((3, False), (0, True)), (seq, done, states)
    sent = [f.message.request_seq for f in s.all(OrderSent)]
    assert len(sent) == len(set(sent))
    _, seq = s.order()
    s.wait(VenueOrderUpdate, request_seq=seq, exec_type=ExecType.NEW)


def test_kill_9_of_the_sequencer_keeps_the_venue_connections(trading):
    s = trading
    order_id, seq = s.order()
    s.wait(VenueOrderUpdate, request_seq=seq, exec_type=ExecType.NEW)
    mark = s.mark()
    s.kill("sequencer")
    s.start_sequencer()
    replaced = s.replace(order_id, seq, 20, 5_000_010)
    s.wait(VenueOrderUpdate, request_seq=replaced, exec_type=ExecType.REPLACED)
    s.wait(MarketByPriceUpdate, s.mark())
    assert s.all(StreamStatus, from_seq=mark) == []
    for source in {f.header.source for f in s.all(OrderSent, MarketByPriceUpdate)}:
        numbers = [f.header.source_seq for f in frames(s.journal) if f.header.source == source]
        assert numbers == list(range(1, len(numbers) + 1))
    assert_book_is_continuous(s)
    assert s.terminate("gateway") == 0
    assert s.all(GatewayStatus)[-1].message.phase == GatewayPhase.STOPPED


def test_an_attempt_to_come_back_that_was_given_up_does_not_leave_the_gate_shut(trading):
    """The sequencer took the attempt and then saw it end: for the stream the gateway was gone, so it says that it is READY."""
    s = trading
    gateway = s.processes["gateway"]
    os.kill(gateway.pid, signal.SIGSTOP)
    mark = s.mark()
    s.kill("sequencer")
    s.start_sequencer()
    source = next(f.message for f in s.all(SourceDefined) if f.header.source == 0 and f.message.name == "sim-trade")
    Publisher.connect(s.journal, source.name, timeout_s=10).close()
    gone = s.wait(SourceState, mark, source=source.source, state=SourceStateCode.DETACHED)
    os.kill(gateway.pid, signal.SIGCONT)
    s.wait(GatewayStatus, gone.header.seq, phase=GatewayPhase.READY)
    assert s.terminate("gateway") == 0


def test_the_gateway_waits_for_definitions_and_for_the_exchange(system):
    s = system
    s.start_exchange()
    s.terminate("exchange")
    s.start_sequencer()
    s.start_gateway(max_order_qty="0.010")
    s.define()
    s.wait(GatewayStatus, phase=GatewayPhase.CONNECTING)
    _, seq = s.order()
    assert s.wait(SendRefused, request_seq=seq).message.reason == Reason.NOT_CONNECTED
    s.start_exchange(port=s.port)
    s.ready()
    _, seq = s.order(qty=11)
    assert s.wait(SendRefused, request_seq=seq).message.reason == Reason.HARD_CAP


def test_a_wrong_key_says_so_and_trades_nothing(system):
    s = system
    s.start_exchange()
    s.start_sequencer()
    s.define()
    s.start_gateway(api_key="wrong")
    s.wait(GatewayStatus, phase=GatewayPhase.LOGGED_OUT)
    assert s.wait(VenueError, venue_code=-2015).message.text.startswith("logon refused")
    _, seq = s.order()
    assert s.wait(SendRefused, request_seq=seq)


def test_a_key_that_may_not_trade_sees_everything_and_is_refused(system):
    s = system
    s.start_exchange(read_only_keys=["lockstep"])
    s.start_sequencer()
    s.define()
    s.start_gateway()
    s.ready()
    _, seq = s.order()
    m = s.wait(VenueOrderUpdate, request_seq=seq).message
    assert (m.exec_type, m.reason, m.venue_code) == (ExecType.REJECTED, Reason.PERMISSION, -2015)


def test_a_long_join_is_admitted_whole(system):
    """Hundreds of updates wait for a snapshot; each of them names a cause that the sequencer still knows."""
    s = system
    s.start_exchange(rate=2000)
    s.start_sequencer()
    s.define()
    s.start_gateway()
    s.ready()
    s.wait(BookState, state=BookStateCode.LIVE)
    mark = s.mark()
    s.fault("delay", ms=700, count=3)  # two of them are the answers to these two lines
    s.fault("gap", count=1)
    gap = s.wait(MarketDataGap, mark)
    snapshot = s.wait(MarketByPriceSnapshot, gap.header.seq)
    live = s.wait(BookState, snapshot.header.seq, state=BookStateCode.LIVE)
    joined = [f for f in s.all(MarketByPriceUpdate, from_seq=snapshot.header.seq) if f.header.seq < live.header.seq]
    assert len(joined) > 64
    assert all(snapshot.header.cause <= f.header.cause < f.header.seq for f in joined)
    assert s.all(Reject) == []
    assert_book_is_continuous(s)


def test_another_tag_on_the_same_journal_is_refused(trading):
    """Asked for under another id the venue would deny orders that it works."""
    s = trading
    _, seq = s.order()
    s.wait(VenueOrderUpdate, request_seq=seq, exec_type=ExecType.NEW)
    assert s.terminate("gateway") == 0
    s.start_gateway(tag="U-")
    assert s.processes["gateway"].wait(10) == 2
    assert "'T-" in (s.journal.parent / "stderr.txt").read_text()
