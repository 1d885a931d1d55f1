"""A trading desk on one stream, for tests of `why` and `audit`. Every app is production's, built from the stream's own
configuration frames; the strategy, the person, the market and the venue's gateway are scripted, a verb each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apps.discovery import CLASS_ITEM, Discovery, build
from journal.frames import frames
from journal.messages import (
    AccountDefined,
    CancelAll,
    CancelOrder,
    Clock,
    CommandCode,
    ConfigApplied,
    ConfigItem,
    CurrencyDefined,
    DestinationDefined,
    DownloadBegin,
    DownloadEnd,
    EpochStart,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    Level,
    MarketByPriceSnapshot,
    MassQuote,
    Message,
    NewOrder,
    OperatorCommand,
    OrderSent,
    OrdStatus,
    OrdType,
    QuantityType,
    QueryType,
    QuoteEntry,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedCancelAll,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
    ScopeType,
    SendRefused,
    SessionStart,
    Side,
    SourceDefined,
    SourceRole,
    StrategyDefined,
    TimeInForce,
    TopOfBook,
    UserDefined,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    order_id_of,
    order_id_text,
)
from journal.messages.quoting import quote_orders
from tests.apps.stream import Stream

LOADER, MARKET, GATEWAY, OMS, RISK, POSITIONS, BOOKS, STRATEGY, PERSON, TWAP = range(1, 11)
SOURCES = {
    LOADER: ("loader", SourceRole.LOADER), MARKET: ("market", SourceRole.MARKET_DATA), GATEWAY: ("venue", SourceRole.TRADING),
    OMS: ("oms", SourceRole.OMS), RISK: ("risk", SourceRole.RISK), POSITIONS: ("positions", SourceRole.POSITIONS),
    BOOKS: ("books", SourceRole.BOOKS), STRATEGY: ("maker", SourceRole.ALGO), PERSON: ("operator", SourceRole.OPERATOR),
    TWAP: ("twap", SourceRole.ALGO),
}  # fmt: skip
APPS = {
    BOOKS: "apps.books.app:Books", RISK: "apps.risk:RiskApp", OMS: "apps.order_manager:OmsApp",
    POSITIONS: "apps.positions:Positions", TWAP: "apps.strategies.twap:Twap",
}  # fmt: skip
ROLES = [[s, int(role)] for s, (_, role) in SOURCES.items() if s in (OMS, RISK, POSITIONS, BOOKS, PERSON)]
TYPES, LIVES = (OrdType.LIMIT, OrdType.MARKET), (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
MS, SECOND = 1_000_000, 1_000_000_000
_REQUESTS = (RoutedOrder, RoutedReplace, RoutedCancel, RoutedQuote, RoutedCancelAll)


class Desk:
    """BTCUSD, ticks of a cent, lots of 0.001, at 49.99 to 50.01. Every verb is a frame, a millisecond after the last."""

    def __init__(self, path: Path, *, supports: int = 0, **parameters: dict[str, Any]) -> None:
        """`supports`: what the venue does itself for many orders (SupportType). `parameters`: of an app, by its name; the algo
        runs where it has some."""
        self.path = path
        self.stream = Stream(path, step=MS)
        self.numbers = self.trades = 0
        self.handed: set[int] = set()
        self.refusing = 0
        """The reason for which the gateway refuses everything; 0: it does not."""
        self.put(SessionStart(stream_id=7), 0)
        self.put(EpochStart(new_epoch=1), 0)
        for source, (name, role) in SOURCES.items():
            self.put(SourceDefined(source=source, role=role, name=name), 0)
        for source, app in APPS.items():
            given = parameters.get(SOURCES[source][0], {})
            if source != TWAP or given:
                self._configure(source, {CLASS_ITEM: app} | ({"roles": ROLES} if source in (OMS, RISK) else {}) | given)
        for spec in Discovery().fold(frames(path)).specs.values():
            self.stream.add(spec.name, build(spec), spec.source, active_from=spec.active_from)
        for m in (
            CurrencyDefined(currency=1, ledger_exp=-8, name="USD"),
            VenueDefined(venue=1, name="sim", ord_types=sum(1 << t for t in TYPES), tifs=sum(1 << t for t in LIVES),
                         quantity_types=1 << QuantityType.UNITS, supports=supports),
            AccountDefined(account=1, venue=1, currency=1, name="main"),
            UserDefined(user=1, name="alice"), UserDefined(user=2, name="bob"),
            InstrumentDefined(instrument=1, venue=1, quote_currency=1, settlement_currency=1, px_exp=-2, qty_exp=-3, tick_px=1,
                              lot_qty=1, name="BTCUSD"),
            DestinationDefined(destination=1, venue=1, account=1, gateway=GATEWAY),
            StrategyDefined(strategy=1, app=STRATEGY, default_account=1, name="maker"),
            StrategyDefined(strategy=2, app=TWAP, default_account=1, name="twap"),
        ):  # fmt: skip
            self.put(m, LOADER)
        self.put(GatewayStatus(venue=1, account=1, gateway=GATEWAY, phase=GatewayPhase.READY), GATEWAY)
        if "reconcile" in parameters.get("oms", {}):
            self.download()
        self.tick(4999, 5001)

    def _configure(self, source: int, items: dict[str, Any]) -> None:
        for name, value in items.items():
            self.put(ConfigItem(owner=source, generation=1, name=name, value=json.dumps(value)), LOADER)
        self.put(ConfigApplied(owner=source, generation=1, items=len(items)), LOADER)

    def put(self, m: Message, source: int, *, cause: int = 0) -> int:
        """A frame, and all that the apps say to it."""
        return int(self.stream.input(m, source=source, cause=cause))

    def wait(self, ns: int) -> None:
        """Time passes; a clock frame says so."""
        self.stream.ts += ns
        self.put(Clock(wall_ts=self.stream.ts), 0)
        self.hand_over()

    def tick(self, bid: int, ask: int) -> None:
        """The market moves."""
        bids, asks = [Level(bid, 1000), Level(bid - 1, 900)], [Level(ask, 500), Level(ask + 1, 800)]
        m = MarketByPriceSnapshot(instrument=1, stream=1, exchange_seq=self.stream.ts, bids=bids, asks=asks)
        self.put(m, MARKET)
        self.hand_over()

    # The strategy, at each touch.

    def ask(self, m: Message) -> int:
        """It says something."""
        seq = self.put(m, STRATEGY, cause=self.last(TopOfBook))
        self.hand_over()
        return seq

    def new(self, qty: int = 100, px: int = 4990, **terms: Any) -> int:
        """A limit buy, good till canceled, unless the terms say otherwise; its id."""
        self.numbers += 1
        order_id = order_id_of(STRATEGY, self.numbers)
        given = {"side": Side.BUY, "ord_type": OrdType.LIMIT, "tif": TimeInForce.GTC, "order_qty": qty, "price_px": px} | terms
        self.ask(NewOrder(order_id=order_id, account=1, strategy=1, instrument=1, book_seq=self.last(TopOfBook), **given))
        return order_id

    def working(self, qty: int = 100, px: int = 4990, **terms: Any) -> int:
        """As `new`, and the venue works it."""
        order_id = self.new(qty, px, **terms)
        self.ack(order_id)
        return order_id

    def replace(self, order_id: int, **terms: Any) -> None:
        """Other terms are asked for."""
        self.ask(ReplaceOrder(order_id=order_id, **terms))

    def cancel(self, order_id: int) -> None:
        """Its end is asked for."""
        self.ask(CancelOrder(order_id=order_id, reason=Reason.USER_REQUEST))

    def quote(self, bid: int, ask: int, qty: int = 10) -> list[int]:
        """A two-sided quote; the ids of its orders."""
        entry = QuoteEntry(entry=1, instrument=1, bid_px=bid, bid_qty=qty, ask_px=ask, ask_qty=qty)
        m = MassQuote(quote_id=1, account=1, strategy=1, mmp_group=1, entries=[entry])
        return [o.order_id for o in quote_orders(m, self.ask(m), STRATEGY)]

    # The person.

    def command(self, code: CommandCode, m: Message, *, reason: str, user: int = 1) -> None:
        """A person's word, as the command line publishes it: who and why, and the typed frame that has it as cause."""
        said = self.put(OperatorCommand(request=self.stream.ts, command=code, user=user, reason=reason), PERSON)
        self.put(m, PERSON, cause=said)
        self.hand_over()

    def cancel_all(self, reason: str) -> None:
        """All orders of the account."""
        m = CancelAll(request=self.stream.ts, scope_type=ScopeType.ACCOUNT, scope_account=1)
        self.command(CommandCode.CANCEL_ALL, m, reason=reason)

    # The gateway and the venue.

    def hand_over(self) -> None:
        """What was routed is handed to the socket, or refused."""
        for f in list(frames(self.path, kinds=[c.KIND for c in _REQUESTS])):
            seq, order_id = f.header.seq, getattr(f.message, "order_id", 0)
            if seq in self.handed:
                continue
            self.handed.add(seq)
            if self.refusing:
                self.put(SendRefused(request_seq=seq, order_id=order_id, reason=self.refusing), GATEWAY, cause=seq)
            else:
                self.put(OrderSent(request_seq=seq, order_id=order_id, stream=2), GATEWAY, cause=seq)

    def update(self, order_id: int, exec_type: int, status: int, *, asked: int = 0, **fields: Any) -> None:
        """The venue's word on an order. `asked`: the request it answers."""
        m = VenueOrderUpdate(order_id=order_id, account=1, instrument=1, exec_type=exec_type, ord_status=status,
                             request_seq=asked, venue_order_ref=f"V{order_id_text(order_id)}", **fields)  # fmt: skip
        self.put(m, GATEWAY)
        self.hand_over()

    def ack(self, order_id: int) -> None:
        """It works."""
        self.update(order_id, ExecType.NEW, OrdStatus.NEW, asked=self.placed(order_id))

    def replaced(self, order_id: int, status: int = OrdStatus.NEW, **fields: Any) -> None:
        """The terms asked for are in force."""
        self.update(order_id, ExecType.REPLACED, status, asked=self.last(RoutedReplace, order_id), **fields)

    def canceled(self, order_id: int, **fields: Any) -> None:
        """It is gone, as our cancel of it or of everything asked, where there is one."""
        asked = self.last(RoutedCancel, order_id) or self.last(RoutedCancelAll) or self.placed(order_id)
        self.update(order_id, ExecType.CANCELED, OrdStatus.CANCELED, asked=asked, **fields)

    def fill(self, order_id: int, qty: int, px: int = 4990, side: int = Side.BUY, **fields: Any) -> None:
        """A trade of it."""
        self.trades += 1
        m = VenueFill(order_id=order_id, request_seq=self.placed(order_id), account=1, instrument=1, side=side, last_qty=qty,
                      last_px=px, trade_no=self.trades, venue_trade_ref=f"T{self.trades}",
                      exchange_ts=self.stream.ts, **fields)  # fmt: skip
        self.put(m, GATEWAY)
        self.hand_over()

    def download(self, *rows: Any) -> None:
        """What the venue knows, as a run of reconciliation has asked for it; each row is a call that says it."""
        queries = [f.header.seq for f in frames(self.path, kinds=[RoutedQuery.KIND]) if asks_for_all(f.message)]
        self.put(DownloadBegin(account=1, download=1, gateway=GATEWAY), GATEWAY, cause=queries[-1])
        for row in rows:
            row()
        self.put(DownloadEnd(account=1, download=1, gateway=GATEWAY, rows=len(rows), complete=1), GATEWAY)

    # What is in the journal.

    def placed(self, order_id: int) -> int:
        """The request that placed an order: its own, or that of its quote."""
        return self.last(RoutedOrder, order_id) or self.last(RoutedQuote)

    def last(self, cls: type[Message], order_id: int = 0) -> int:
        """Seq of the last frame of a kind (about an order); 0: none."""
        found = [f.header.seq for f in frames(self.path, kinds=[cls.KIND], orders=[order_id] if order_id else None)]
        return found[-1] if found else 0

    def said(self, cls: type[Message]) -> list[Any]:
        """All messages of a kind."""
        return list(self.stream.messages(cls))

    def status(self, order_id: int) -> OrdStatus:
        """How it was reported last."""
        return OrdStatus([m for m in self.said(ExecutionReport) if m.order_id == order_id][-1].ord_status)

    def close(self) -> None:
        """Let go of the journal."""
        self.stream.close()


def asks_for_all(m: Message | None) -> bool:
    """Whether it asks for everything that the venue has of an account."""
    return isinstance(m, RoutedQuery) and m.query == QueryType.OPEN_ORDERS
