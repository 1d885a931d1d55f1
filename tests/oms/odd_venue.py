"""A journal with one order and an odd venue: the order manager and the positions run on it, all else is scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.discovery import CLASS_ITEM
from apps.order_manager import OmsApp
from apps.positions import Positions
from apps.risk import RiskApp
from journal.messages import (
    NULL,
    AccountDefined,
    CancelOrder,
    Channel,
    Clock,
    ConfigApplied,
    ConfigItem,
    ConnectionState,
    CurrencyDefined,
    CxlRejResponseTo,
    Decision,
    DestinationDefined,
    DownloadBegin,
    DownloadEnd,
    EpochStart,
    ExecType,
    ExecutionReport,
    Flag,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    Message,
    NewOrder,
    OrderSent,
    OrdStatus,
    OrdType,
    PositionConfirmed,
    Reason,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    SendRefused,
    SessionStart,
    Side,
    SourceDefined,
    SourceRole,
    StrategyDefined,
    StreamStatus,
    TimeInForce,
    TradeCorrectionAction,
    VenueCancelReject,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    VenueTradeCorrection,
    content_hash,
    order_id_of,
    replace_hash,
)
from tests.apps.stream import Stream

LOADER, GATEWAY, OMS, RISK, POSITIONS, STRATEGY = 2, 4, 5, 6, 7, 9
SOURCES = {
    LOADER: ("loader", SourceRole.LOADER), GATEWAY: ("odd", SourceRole.TRADING), OMS: ("oms", SourceRole.OMS),
    RISK: ("risk", SourceRole.RISK), POSITIONS: ("positions", SourceRole.POSITIONS), STRATEGY: ("maker", SourceRole.ALGO),
}  # fmt: skip
APPS = {OMS: "apps.order_manager:OmsApp", POSITIONS: "apps.positions:Positions"}
RECONCILE = {
    OMS: {"interval_ns": 10_000_000_000, "lookback_ns": 3_600_000_000_000, "close_missing": True},
    POSITIONS: {"position_tolerance": "0", "balance_tolerance": "0"},
}
MS = 1_000_000
ROW = int(Flag.SNAPSHOT | Flag.POSS_RESEND | Flag.LAST)


def void(_: int) -> None:
    """For what is called for its effect."""


class OddVenue:
    """Every verb is one frame, a millisecond after the last."""

    def __init__(self, path: Path, *, reconcile: bool = False, risk: bool = False) -> None:
        """`risk`: the risk engine decides; else every order passes."""
        self.path = path
        self.decides = risk
        apps = dict(APPS) | ({RISK: "apps.risk:RiskApp"} if risk else {})
        self.stream = Stream(path, step=MS)
        self.order_id = order_id_of(STRATEGY, 1)
        self.trades = 0
        self.put(SessionStart(stream_id=7), 0)
        self.put(EpochStart(new_epoch=1), 0)
        for source, (name, role) in SOURCES.items():
            self.put(SourceDefined(source=source, role=role, name=name), 0)
        for source, app in apps.items():
            with_reconcile = reconcile and source in RECONCILE
            items = {CLASS_ITEM: json.dumps(app)} | ({"reconcile": json.dumps(RECONCILE[source])} if with_reconcile else {})
            for name, value in items.items():
                self.put(ConfigItem(owner=source, generation=1, name=name, value=value), LOADER)
            self.put(ConfigApplied(owner=source, generation=1, items=len(items)), LOADER)
        for source, app_of in ((OMS, OmsApp()), (POSITIONS, Positions()), *(((RISK, RiskApp()),) if risk else ())):
            app_of.configure({"reconcile": dict(RECONCILE[source])} if reconcile and source in RECONCILE else {})
            self.stream.add(SOURCES[source][0], app_of, source, active_from=self.stream.reader.next_seq - 1)
        for m in (
            CurrencyDefined(currency=1, ledger_exp=-8, name="USD"), VenueDefined(venue=1, name="odd"),
            AccountDefined(account=1, venue=1, currency=1, name="main"),
            InstrumentDefined(instrument=1, venue=1, quote_currency=1, px_exp=-2, qty_exp=-3, name="LIN"),
            DestinationDefined(destination=1, venue=1, account=1, gateway=GATEWAY),
            StrategyDefined(strategy=1, app=STRATEGY, default_account=1, name="maker"),
        ):  # fmt: skip
            self.put(m, LOADER)
        self.phase(GatewayPhase.READY)

    def put(self, m: Message, source: int, *, cause: int = 0, flags: int = int(Flag.LAST)) -> int:
        return int(self.stream.input(m, source=source, cause=cause, flags=flags))

    def said(self, cls: type[Message]) -> list[Any]:
        return list(self.stream.messages(cls))

    def seq_of(self, cls: type[Message]) -> int:
        """The last frame of a kind about the order; 0: none."""
        from journal.frames import frames

        found = [f.header.seq for f in frames(self.path, kinds=[cls.KIND])]
        return found[-1] if found else 0

    def last(self) -> ExecutionReport:
        report: ExecutionReport = [m for m in self.said(ExecutionReport) if m.order_id == self.order_id][-1]
        return report

    def close(self) -> None:
        self.stream.close()

    # The strategy and risk.

    def new(self, qty: int = 100, px: int = 5000) -> None:
        """Asked, passed, routed, handed to the socket."""
        m = NewOrder(
            order_id=self.order_id, account=1, strategy=1, instrument=1, side=Side.BUY, ord_type=OrdType.LIMIT,
            tif=TimeInForce.GTC, order_qty=qty, price_px=px,
        )  # fmt: skip
        seq = self.put(m, STRATEGY)
        if not self.decides:
            self._pass(seq, NewOrder.KIND, content_hash(m))
        routed = self.seq_of(RoutedOrder)
        if routed > seq:
            self.put(OrderSent(request_seq=routed, order_id=self.order_id), GATEWAY)

    def _pass(self, seq: int, kind: int, digest: int) -> None:
        decision = RiskDecision(
            order_id=self.order_id, request_seq=seq, request_kind=kind, decision=Decision.PASS, content_hash=digest
        )
        self.put(decision, RISK, cause=seq)

    def cancel(self) -> None:
        self.put(CancelOrder(order_id=self.order_id, reason=Reason.USER_REQUEST), STRATEGY)

    def replace(self, qty: int) -> None:
        seq = self.put(ReplaceOrder(order_id=self.order_id, order_qty=qty), STRATEGY)
        digest = replace_hash(order_id=self.order_id, order_qty=qty, price_px=5000, stop_px=NULL, display_qty=NULL, expire_ts=0)
        self._pass(seq, ReplaceOrder.KIND, digest)

    # The venue.

    def update(self, exec_type: int, *, flags: int = int(Flag.LAST), of: type[Message] | None = None, **fields: Any) -> None:
        m = VenueOrderUpdate(
            order_id=self.order_id, account=1, instrument=1, exec_type=exec_type, venue_order_ref="V1",
            request_seq=self.seq_of(of) if of else 0, **({"channel": Channel.ORDER_STREAM} | fields),
        )  # fmt: skip
        self.put(m, GATEWAY, flags=flags)

    def ack(self) -> None:
        self.update(ExecType.NEW, of=RoutedOrder, ord_status=OrdStatus.NEW)

    def fill(self, qty: int, trade: int = 0, *, channel: int = Channel.ORDER_STREAM, flags: int = int(Flag.LAST)) -> None:
        self.trades += 1
        m = VenueFill(
            order_id=self.order_id, account=1, instrument=1, side=Side.BUY, last_qty=qty, last_px=5000, channel=channel,
            trade_no=trade or self.trades, exchange_ts=self.stream.ts, venue_order_ref="V1",
        )  # fmt: skip
        self.put(m, GATEWAY, flags=flags)

    def canceled(self, **fields: Any) -> None:
        self.update(ExecType.CANCELED, ord_status=OrdStatus.CANCELED, **fields)

    def refuse_cancel(self, reason: int, to: int = CxlRejResponseTo.CANCEL) -> None:
        cls = RoutedCancel if to == CxlRejResponseTo.CANCEL else RoutedReplace
        m = VenueCancelReject(request_seq=self.seq_of(cls), order_id=self.order_id, reason=reason, response_to=to)
        self.put(m, GATEWAY)

    def status(self, status: int, cum: int = 0, **fields: Any) -> None:
        """The answer to a query."""
        terms = {"order_qty": 100, "price_px": 5000} | fields
        self.update(ExecType.ORDER_STATUS, channel=Channel.QUERY, ord_status=status, cum_qty=cum, **terms)

    def never_existed(self) -> None:
        self.update(ExecType.ORDER_STATUS, channel=Channel.QUERY, reason=Reason.UNKNOWN_AT_VENUE)

    def refused_by_gateway(self) -> None:
        m = SendRefused(request_seq=self.seq_of(RoutedOrder), order_id=self.order_id, reason=Reason.NOT_CONNECTED)
        self.put(m, GATEWAY)

    def correct(self, trade: int, qty: int = 0, px: int = 5000) -> None:
        m = VenueTradeCorrection(
            order_id=self.order_id, account=1, instrument=1, trade_no=trade, last_qty=qty or NULL, last_px=px,
            action=TradeCorrectionAction.CORRECT if qty else TradeCorrectionAction.CANCEL,
        )  # fmt: skip
        self.put(m, GATEWAY)

    # The line.

    def phase(self, phase: int) -> None:
        self.put(GatewayStatus(venue=1, account=1, gateway=1, phase=phase), GATEWAY)

    def lost(self) -> None:
        self.put(StreamStatus(venue=1, account=1, stream=1, connection=ConnectionState.DISCONNECTED), GATEWAY)
        self.phase(GatewayPhase.DISCONNECTED)

    def back(self, *rows: Any) -> None:
        """Connected again; what was missed is downloaded."""
        self.phase(GatewayPhase.DOWNLOADING)
        self.download(*rows)
        self.phase(GatewayPhase.READY)

    def download(self, *rows: Any) -> None:
        self.put(DownloadBegin(account=1, download=1), GATEWAY)
        for row in rows:
            row()
        self.put(DownloadEnd(account=1, download=1, rows=len(rows), complete=1), GATEWAY)

    def row_fill(self, qty: int, trade: int) -> Callable[[], None]:
        return lambda: self.fill(qty, trade, channel=Channel.DOWNLOAD, flags=ROW)

    def row_position(self, qty: int) -> Callable[[], None]:
        """The venue's word on the position, long above 0."""
        m = PositionConfirmed(account=1, instrument=1, long_qty=max(qty, 0), short_qty=max(-qty, 0), currency=1)
        return lambda: void(self.put(m, GATEWAY, flags=ROW))

    def row_status(self, status: int, cum: int = 0) -> Callable[[], None]:
        return lambda: self.status(status, cum, flags=int(Flag.SNAPSHOT | Flag.LAST))

    def wait(self, seconds: float) -> None:
        self.stream.ts += int(seconds * 1000) * MS
        self.put(Clock(wall_ts=self.stream.ts), 0)
