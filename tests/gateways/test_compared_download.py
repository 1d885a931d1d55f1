"""What a reconciliation asks of the gateway, at the simulated exchange: rows between DownloadBegin and DownloadEnd, while
trading goes on."""

from __future__ import annotations

from gateways.sim.decimals import mantissa
from journal.messages import (
    Channel,
    DownloadBegin,
    DownloadEnd,
    Flag,
    FundsConfirmed,
    GatewayPhase,
    GatewayStatus,
    MarginConfirmed,
    OrdStatus,
    OrdType,
    PositionConfirmed,
    QueryType,
    RoutedQuery,
    Side,
    TimeInForce,
    VenueFill,
    VenueOrderUpdate,
)

ROWS = (VenueFill, VenueOrderUpdate, PositionConfirmed, FundsConfirmed, MarginConfirmed)


def compared(system, query: int = QueryType.OPEN_ORDERS, from_ts: int = 0):
    """The rows of a download that is asked for."""
    mark = system.publish("oms", RoutedQuery(account=1, destination=1, query=query, from_ts=from_ts, request=1))
    begin = system.wait(DownloadBegin, mark)
    assert begin.header.cause == mark
    end = system.wait(DownloadEnd, mark)
    assert end.message.complete
    between = system.all(*ROWS, from_seq=begin.header.seq)
    rows = [f for f in between if f.header.seq < end.header.seq and f.header.flags & Flag.SNAPSHOT]
    assert len(rows) == end.message.rows
    assert not [f for f in system.all(GatewayStatus, from_seq=mark) if f.message.phase != GatewayPhase.READY]
    return rows


def test_everything_of_the_account_is_told_again_while_trading_goes_on(trading):
    open_id, _ = trading.order(px=100_000)
    trading.wait(VenueOrderUpdate, order_id=open_id)
    taken_id, _ = trading.order(qty=5, tif=TimeInForce.IOC, ord_type=OrdType.MARKET)
    fill = trading.wait(VenueFill, order_id=taken_id)
    rows = compared(trading)
    fills = [f for f in rows if isinstance(f.message, VenueFill)]
    assert [f.message.trade_no for f in fills] == [f.message.trade_no for f in trading.all(VenueFill)][: len(fills)]
    assert all(f.header.flags & Flag.POSS_RESEND and f.message.channel == Channel.DOWNLOAD for f in fills)
    orders = {f.message.order_id: f.message for f in rows if isinstance(f.message, VenueOrderUpdate)}
    assert orders[open_id].ord_status == OrdStatus.NEW
    held = next(f.message for f in rows if isinstance(f.message, PositionConfirmed))
    pushed = [f.message for f in trading.all(VenueFill) if not f.header.flags & Flag.SNAPSHOT]
    assert held.long_qty == sum(m.last_qty for m in pushed)
    funds = next(f.message for f in rows if isinstance(f.message, FundsConfirmed))
    spent = sum(m.last_qty * m.last_px * 10**3 + m.fee * 10 ** (8 + m.fee_exp) for m in pushed)
    assert funds.balance * 10 ** (8 + funds.exp) == -spent
    worth = next(f.message for f in rows if isinstance(f.message, MarginConfirmed))
    (bid, _), *_ = trading.venue("depth")["result"]["bids"]
    px, rest = divmod(worth.equity * 10 ** (8 + worth.exp) + spent, held.long_qty * 10**3)
    assert rest == 0
    assert abs(px - mantissa(bid, -2)) * 100 < px  # the market goes on
    assert worth.currency == funds.currency
    assert trading.venue("time")["status"] == 200
    assert fill.message.side == Side.BUY


def test_fills_since_a_time_and_one_part_alone(trading):
    order_id, _ = trading.order(qty=5, tif=TimeInForce.IOC, ord_type=OrdType.MARKET)
    fill = trading.wait(VenueFill, order_id=order_id).message
    assert [f.message.trade_no for f in compared(trading, QueryType.FILLS, fill.exchange_ts)][:1] == [fill.trade_no]
    assert not compared(trading, QueryType.FILLS, fill.exchange_ts + 3_600_000_000_000)
    assert {type(f.message) for f in compared(trading, QueryType.POSITIONS)} == {PositionConfirmed}
    assert {type(f.message) for f in compared(trading, QueryType.FUNDS)} == {FundsConfirmed, MarginConfirmed}
