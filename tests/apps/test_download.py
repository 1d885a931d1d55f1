"""A download as it stands on the stream: the OMS's rows and the positions app's, caused by the request, by right."""

from __future__ import annotations

from apps.order_manager import OmsApp
from apps.positions import Positions
from journal.frames import frames
from journal.messages import (
    AccountDefined,
    CurrencyDefined,
    DownloadBegin,
    DownloadEnd,
    ExecutionReport,
    Flag,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    NewOrder,
    OrderStatusRequest,
    Position,
    ScopeType,
    Side,
    SourceDefined,
    SourceRole,
    StrategyDefined,
    UserDefined,
    VenueFill,
    order_id_of,
)
from tests.apps.stream import Stream

OMS, POSITIONS, GATEWAY, STRATEGY, OPERATOR = 5, 7, 4, 9, 11


def test_a_download_of_orders_trades_and_positions(tmp_path):
    s = Stream(tmp_path / "j")
    s.add("oms", OmsApp(), OMS)
    s.add("positions", Positions(), POSITIONS)
    for m in (
        SourceDefined(source=OPERATOR, role=SourceRole.OPERATOR, name="operator"),
        SourceDefined(source=STRATEGY, role=SourceRole.ALGO, name="maker"),
        CurrencyDefined(currency=840, ledger_exp=-8, name="USD"), AccountDefined(account=3, venue=1, name="demo"),
        InstrumentDefined(instrument=1001, venue=1, quote_currency=840, settlement_currency=840, px_exp=-2, qty_exp=-3),
        UserDefined(user=1, name="alice"), UserDefined(user=2, name="bob"),
        StrategyDefined(strategy=6, app=STRATEGY, owner_user=1, default_account=3, name="maker"),
    ):  # fmt: skip
        s.input(m)
    s.input(GatewayStatus(venue=1, account=3, phase=GatewayPhase.READY), source=GATEWAY)
    order_id = order_id_of(STRATEGY, 1)
    s.input(NewOrder(order_id=order_id, account=3, strategy=6, user=1, instrument=1001, side=Side.BUY, order_qty=100,
                     price_px=5000), source=STRATEGY)  # fmt: skip
    s.input(VenueFill(order_id=order_id, account=3, instrument=1001, side=Side.BUY, last_qty=40, last_px=5000, trade_no=1),
            source=GATEWAY)  # fmt: skip
    asked = {user: s.input(OrderStatusRequest(request=user, scope_type=ScopeType.USER, scope_user=user), source=OPERATOR)
             for user in (1, 2)}  # fmt: skip
    own = s.input(OrderStatusRequest(request=3), source=STRATEGY)
    s.close()
    rows = [f for f in frames(tmp_path / "j") if f.header.flags & Flag.SNAPSHOT]
    whole = [DownloadBegin, ExecutionReport, DownloadEnd, Position]
    for seq in (asked[1], own):
        found = [f.message for f in rows if f.header.cause == seq]
        assert [type(m) for m in found] == whole  # filled by a fill before its risk decision: closed, one trade
        assert (found[1].last_qty, found[1].cum_qty, found[3].long_qty) == (40, 40, 40)
    assert [type(f.message) for f in rows if f.header.cause == asked[2]] == [DownloadBegin, DownloadEnd]
    # Nothing was traded twice.
    assert [p.long_qty for p in (f.message for f in frames(tmp_path / "j", kinds=[Position.KIND]))] == [40, 40, 40]
