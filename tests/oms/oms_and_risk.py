"""OMS and risk engine on one stream, each fed with what the other says, at a venue that takes limit and market orders only.

`sent` is what a gateway would have let out: it checks each routed order against its pass as the gateway does."""

from __future__ import annotations

from typing import Any

from oms_recorder import (
    ACCOUNT,
    GATEWAY,
    INSTRUMENT,
    OMS,
    OPERATOR,
    OTHER,
    RISK,
    SECOND,
    STRATEGY,
    VENUE,
    Recorder,
)

from journal.messages import (
    NULL,
    AccountDefined,
    CancelAll,
    CurrencyDefined,
    Decision,
    DestinationDefined,
    ExecInst,
    ExecType,
    ExecutionReport,
    Flag,
    InstrumentDefined,
    Message,
    NewOrder,
    OrdType,
    QuantityType,
    RiskDecision,
    RoutedOrder,
    RoutedQuote,
    RoutedReplace,
    ScopeType,
    Side,
    SourceDefined,
    SourceRole,
    TimeInForce,
    TopOfBook,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    content_hash,
    order_id_of,
    order_id_source,
    replace_hash,
)
from journal.messages.derive import snake
from journal.messages.quoting import quote_hash, quote_orders
from riskengine.engine import RiskEngine

GATEWAY_READY = 6


class Aside:
    """The engine's view of the stream."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.now = self.seq = self.source = 0

    def emit(self, message: Message) -> None:
        message.encode()
        self.desk.queue.append((RISK, message))

    def set_timer(self, at: int, token: int) -> None:
        raise AssertionError

    def cancel_timer(self, token: int) -> None:
        raise AssertionError


class Desk(Recorder):
    """Both machines. Times are at `self.now`; prices are mantissas with exponent 0, the tick is 5."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[tuple[int, Message]] = []
        self.aside = Aside(self)
        self.risk = RiskEngine(self.aside)
        self.passes: dict[int, list[Any]] = {}  # frame → [order, hash, used]
        self.asked_at: dict[int, int] = {}
        self.quotes: list[RoutedQuote] = []
        self.sent: list[RoutedOrder] = []
        self.trade = 0
        self.number = 0
        self.check_every = True
        self.ends = True
        """The venue takes orders with an end."""

    def emit(self, message: Message, flags: int = Flag.LAST) -> None:
        message.encode()
        self.flags.append(flags)
        self.emitted.append(message)
        self.queue.append((OMS, message))

    def frame(self, message: Message, source: int, *, ns: int = 1) -> int:
        self.now += ns
        first = self.one(message, source)
        while self.queue:
            by, said = self.queue.pop(0)
            self.now += 1
            self.one(said, by)
        if self.check_every:
            self.oms.check()
            self.risk.check()
        return first

    def one(self, message: Message, source: int) -> int:
        self.seq += 1
        seq = self.seq
        self.fire()
        self._deliver(message, source)
        self.aside.now, self.aside.seq, self.aside.source = self.now, seq, source
        handler = getattr(self.risk, f"on_{snake(type(message).__name__)}", None)
        if handler is not None:
            handler(message)
        self._gateway(message, seq)
        return seq

    def _gateway(self, m: Message, seq: int) -> None:
        if isinstance(m, RiskDecision) and m.decision != Decision.REJECT:
            self.passes[seq] = [m.order_id, m.content_hash, False]
            self.asked_at[seq] = m.request_seq
        elif isinstance(m, RoutedQuote):
            asked = self.asked_at[m.risk_seq]
            sides = quote_orders(m, asked, order_id_source(self.passes[m.risk_seq][0]))
            used = [next(s for s, p in self.passes.items() if p == [o.order_id, content_hash(o), False]) for o in sides]
            assert max(used) == m.risk_seq
            assert m.content_hash == quote_hash([content_hash(o) for o in sides])
            for at in used:
                self.passes[at][2] = True
            self.quotes.append(m)
        elif isinstance(m, RoutedOrder | RoutedReplace):
            hashed = content_hash(m) if isinstance(m, RoutedOrder) else replace_hash(
                order_id=m.order_id, order_qty=m.order_qty, price_px=m.price_px, stop_px=m.stop_px,
                display_qty=m.display_qty, expire_ts=m.expire_ts,
            )  # fmt: skip
            found = self.passes.get(m.risk_seq)
            assert found == [m.order_id, hashed, False], (found, m)  # nothing leaves without a pass, used once
            found[2] = True
            assert self.ends or not m.expire_ts, m  # the venue has no word for it
            if isinstance(m, RoutedOrder):
                self.sent.append(m)

    # The world.

    def ready(self, *, stops: bool = False, ends: bool = False, supports: int = 0) -> None:
        """Definitions, and a gateway that is READY. `stops`, `ends`: the venue takes stop orders, GTD orders. `supports`: what
        else it does."""
        for source, role in (
            (OMS, SourceRole.OMS), (RISK, SourceRole.RISK), (GATEWAY, SourceRole.TRADING),
            (STRATEGY, SourceRole.ALGO), (OTHER, SourceRole.ALGO), (OPERATOR, SourceRole.OPERATOR),
        ):  # fmt: skip
            self.frame(SourceDefined(source=source, role=role), 0)
        self.offer(stops=stops, ends=ends, supports=supports)
        self.frame(CurrencyDefined(currency=1, ledger_exp=-2, name="USD"), 1)
        self.frame(AccountDefined(account=ACCOUNT, venue=VENUE), 1)
        self.frame(InstrumentDefined(instrument=INSTRUMENT, venue=VENUE, tick_px=5, lot_qty=1, quote_currency=1), 1)
        self.frame(DestinationDefined(destination=2, venue=VENUE, account=ACCOUNT, gateway=GATEWAY), 1)
        self.phase(GATEWAY_READY)

    def offer(self, *, stops: bool = False, ends: bool = False, supports: int = 0) -> None:
        """What the venue takes, from here on."""
        types = (OrdType.LIMIT, OrdType.MARKET, *((OrdType.STOP,) if stops else ()))
        self.ends = ends
        tifs = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, *((TimeInForce.GTD,) if ends else ()))
        self.frame(
            VenueDefined(
                venue=VENUE, ord_types=sum(1 << t for t in types), quantity_types=1 << QuantityType.UNITS,
                tifs=sum(1 << t for t in tifs), supports=supports,
                exec_insts=ExecInst.PARTICIPATE_DO_NOT_INITIATE | ExecInst.DO_NOT_INCREASE,
            ),
            1,
        )  # fmt: skip

    def ask(self, ord_type: int = OrdType.LIMIT, *, source: int = STRATEGY, **terms: Any) -> int:
        """A new order; its id."""
        self.number += 1
        order_id = terms.pop("order_id", order_id_of(source, self.number))
        given = {"side": Side.BUY, "tif": TimeInForce.GTC, "order_qty": 100} | terms
        self.frame(NewOrder(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, ord_type=ord_type, **given), source)
        return int(order_id)

    def touch(self, bid: int, ask: int) -> int:
        """A top of book."""
        return self.frame(TopOfBook(instrument=INSTRUMENT, bid_px=bid, ask_px=ask, bid_qty=1, ask_qty=1), GATEWAY)

    def ack(self, order_id: int) -> None:
        """The venue works it."""
        self.update(order_id, ExecType.NEW)

    def update(self, order_id: int, exec_type: int, **fields: int) -> None:
        """The venue says something of an order."""
        self.frame(
            VenueOrderUpdate(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=exec_type, **fields), GATEWAY
        )

    def fill(self, order_id: int, qty: int, px: int = 5000, side: int = 0) -> None:
        """A fill."""
        self.trade += 1
        self.frame(
            VenueFill(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=side, last_qty=qty, last_px=px,
                      trade_no=self.trade),
            GATEWAY,
        )  # fmt: skip

    def status(self, order_id: int) -> int:
        """The reported status of an order."""
        order = self.oms.memory.peek(order_id)
        assert order is not None
        return order.ord_status

    def reports(self, order_id: int) -> list[tuple[int, int, int]]:
        """(what, status, reason) of every report of an order."""
        return [(r.exec_type, r.ord_status, r.reason) for r in self.said(ExecutionReport) if r.order_id == order_id]

    def sent_of(self, order_id: int) -> list[RoutedOrder]:
        """What left for an order."""
        return [m for m in self.sent if m.order_id == order_id]

    def reserved(self, order_id: int) -> int:
        """What risk holds for an order."""
        held = self.risk.memory.exposure.orders.get(order_id)
        return held.reserved_qty if held is not None else 0


def work(desk: Desk, **terms: Any) -> int:
    """A limit order that the venue works."""
    order_id = desk.ask(OrdType.LIMIT, **({"price_px": 4900} | terms))
    desk.ack(order_id)
    return order_id


def sweep(desk: Desk, by: int = STRATEGY, **fields: int) -> None:
    """Ask for the end of everything, or of what `fields` name."""
    desk.frame(CancelAll(**({"scope_type": ScopeType.GLOBAL} | fields)), by)


__all__ = [
    "ACCOUNT", "GATEWAY", "INSTRUMENT", "NULL", "OMS", "OPERATOR", "OTHER", "RISK", "SECOND", "STRATEGY", "VENUE", "Desk",
    "sweep", "work",
]  # fmt: skip
