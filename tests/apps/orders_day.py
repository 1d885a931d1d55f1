"""A day of orders for one order manager: what strategies, risk, gateway, venue and operators say, by the name of each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from apps.order_manager import OmsApp
from journal.frames import frames
from journal.messages import (
    NULL,
    CancelAll,
    CancelOrder,
    Channel,
    ContingencyType,
    CxlRejResponseTo,
    Decision,
    DestinationDefined,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    GatewayPhase,
    GatewayStatus,
    KillRelease,
    KillSwitch,
    LiquidityIndicator,
    ListMember,
    ListRole,
    Message,
    NewOrder,
    OrderList,
    OrderSent,
    OrdStatus,
    OrdType,
    OwnershipDefined,
    ParentOrder,
    Reason,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    SendRefused,
    Side,
    StreamStatus,
    TimeInForce,
    VenueCancelReject,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    VenueStatus,
    content_hash,
    order_id_of,
    replace_hash,
)
from journal.messages.capabilities import decided_form
from oms.asked import told_end
from oms.differences import Settings
from tests.apps.stream import Stream
from tests.apps.test_decisions import MARKET_ORDER, RISK, SOURCES, InPython, world

GATEWAY, OMS, OPERATOR, BESIDE = 4, 5, 12, 14
SECOND = 1_000_000_000
HANDLERS = (
    "on_new_order", "on_replace_order", "on_cancel_order", "on_risk_decision", "on_routed_order", "on_routed_replace",
    "on_routed_cancel", "on_order_sent", "on_venue_order_update", "on_venue_fill",
)  # fmt: skip
"""Those that have a twin."""
PLAIN: dict[str, Any] = {
    "source": 9, "account": 7, "strategy": 1, "user": 0, "instrument": 1, "side": Side.BUY, "ord_type": OrdType.LIMIT,
    "tif": TimeInForce.GTC, "order_qty": 40, "price_px": 10_000,
}  # fmt: skip
FILLS = ("part", "rest", "again", "over", "no trade id", "text id", "other side", "huge", "negative", "row")
_TYPES: tuple[type[Message], ...] = (RoutedOrder, RoutedReplace, RoutedCancel)


class OmsInPython(OmsApp):
    """The reference: nothing is done in C."""

    def natives(self) -> dict[int, Any]:
        return {}


def before() -> list[tuple[int, Message]]:
    """What there is when the day begins."""
    return [*world(), *((2, DestinationDefined(destination=a, venue=1, account=a, gateway=GATEWAY)) for a in (7, 8))]


class Day:
    """The frames of a day, given to one order manager: with its risk engine, or `alone`, and risk decides as the day says."""

    def __init__(self, folder: str, *, in_c: bool, compared: bool = False, alone: bool = False) -> None:
        self.stream = Stream(Path(folder), step=SECOND)
        self.app = OmsApp() if in_c else OmsInPython()
        self.alone = alone
        if not alone:
            self.stream.add("risk", InPython(), RISK)
        self.slot = self.stream.add("oms", self.app, OMS)
        self.last = dict.fromkeys(SOURCES, 0)
        self.orders: list[NewOrder] = []
        self.routed: dict[tuple[type[Message], int], int] = {}
        """What was routed of an order, and its frame: the last of each kind."""
        self.cum: dict[int, int] = {}
        self.trades = 0
        self.seen = 0
        self.in_python: list[str] = []
        for name in HANDLERS:
            self._count(name)
        self.app.machine.reconcile_by(Settings(max_unknown=1) if compared else None)
        for source, m in before():
            self.stream.input(m, source=source)
        for account in (7, 8) if compared else ():  # as after a download without differences
            self.stream.input(DownloadBegin(account=account), source=GATEWAY)
            self.stream.input(DownloadEnd(account=account, complete=True), source=GATEWAY)

    def _count(self, name: str) -> None:
        handler = getattr(self.app.machine, name)

        def counted(m: Message) -> None:
            self.in_python.append(name)
            handler(m)

        setattr(self.app.machine, name, counted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def play(self, what: str, which: Any) -> None:
        """One step of a day."""
        if what == "any order":
            self.ask(**which)
        elif what == "order":
            self.ask(**PLAIN | {"instrument": 1 + which % 3, "side": 1 + which % 2, "price_px": (10_000, 9_990)[which % 2]})
        elif what == "market":
            self.ask(**PLAIN | MARKET_ORDER | {"instrument": 1 + which % 3, "side": 1 + which % 2, "tif": TimeInForce.IOC})
        elif what == "ending":
            self.ask(**PLAIN | {"tif": TimeInForce.GTD, "expire_ts": self.stream.ts + (12 + which) * SECOND})
        elif what == "child":
            parent = self.last[9] = self.last[9] + 1
            of = {name: PLAIN[name] for name in ("account", "instrument", "side", "strategy")}
            self.stream.input(ParentOrder(order_id=order_id_of(9, parent), order_qty=4000, **of), source=9)
            self.ask(**PLAIN | {"parent_order_id": order_id_of(9, parent)})
        elif what == "listed":
            self._list()
        elif self.orders and (what != "pass" or self.alone):
            self.answer(what, self.orders[which % len(self.orders)])
        self._learn()

    def _list(self) -> None:
        """Two orders, the first of which that fills ends the other; both have passed."""
        first = self.last[9] + 1
        ids = [order_id_of(9, n) for n in (first, first + 1)]
        legs = [ListMember(order_id=i, role=ListRole.SIBLING) for i in ids]
        listed = OrderList(list_id=order_id_of(9, 30_000 + first), contingency=ContingencyType.OCO, members=legs)
        self.stream.input(listed, source=9)
        for _ in ids:
            self.ask(**PLAIN | {"list_id": listed.list_id})
            if self.alone:
                self.answer("pass", self.orders[0])

    def ask(self, *, source: int, again: bool = False, foreign: bool = False, skip: int = 1, **terms: Any) -> None:
        """A strategy asks for an order."""
        number = self.last[source] = max(self.last[source] + (0 if again else skip), 1)
        m = NewOrder(order_id=order_id_of(source + (1 if foreign else 0), number), **terms)
        self.stream.input(m, source=source)
        self.orders.insert(0, m)

    def _learn(self) -> None:
        for f in frames(self.stream.path, from_seq=self.seen + 1):
            self.seen = f.header.seq
            if isinstance(f.message, _TYPES):
                self.routed[type(f.message), f.message.order_id] = f.header.seq

    def answer(self, what: str, o: NewOrder) -> None:
        """What somebody says about an order, or about everything."""
        if what == "time":
            self.stream.ts += 6 * SECOND
            return
        of_venue = self._updates(o) | self._of_requests(o)
        if what in FILLS:
            source, m = GATEWAY, self._fill(what, o)
        elif what in of_venue:
            source, m = GATEWAY, of_venue[what]
        else:
            source, m = (self._changes(o) | self._decisions(o) | self._world(o))[what]
        self.stream.input(m, source=source)

    def _seq(self, cls: type[Message], o: NewOrder) -> int:
        return self.routed.get((cls, o.order_id), 0)

    def _changes(self, o: NewOrder) -> dict[str, tuple[int, Message]]:
        """What is asked of an order that was sent."""
        by, other = o.order_id >> 48, 20 - (o.order_id >> 48)
        held = self.app.machine.memory.peek(o.order_id)
        qty, px, last = (held.order_qty, held.price_px, held.last_version) if held is not None else (o.order_qty, o.price_px, 0)
        later = self.stream.ts + 6 * SECOND

        def replace(*, source: int = by, **terms: Any) -> tuple[int, Message]:
            return source, ReplaceOrder(order_id=o.order_id, **terms)

        def cancel(*, source: int = by, **terms: Any) -> tuple[int, Message]:
            return source, CancelOrder(order_id=o.order_id, **terms)

        return {
            "replace": replace(order_qty=qty + 2),
            "replace less": replace(order_qty=max(qty - 4, 1)),
            "replace px": replace(price_px=px + 5 if px != NULL else 10_005),
            "replace both": replace(order_qty=qty + 4, price_px=9_995),
            "replace to filled": replace(order_qty=max(self.cum.get(o.order_id, 0), 1)),
            "replace to none": replace(order_qty=0),
            "replace below": replace(order_qty=self.cum.get(o.order_id, 0) - 1),
            "replace nothing": replace(order_qty=qty),
            "replace empty": replace(),
            "replace stop": replace(order_qty=qty + 2, stop_px=9_000),
            "replace display": replace(order_qty=qty + 2, display_qty=2),
            "replace life": replace(order_qty=qty + 2, expire_ts=later),
            "replace end": replace(expire_ts=later),
            "replace huge": replace(order_qty=1 << 62),
            "replace numbered": replace(order_qty=qty + 2, version=last + 3),
            "replace stale": replace(order_qty=qty + 2, version=max(last, 1)),
            "replace last": replace(order_qty=qty + 2, version=(1 << 32) - 1),
            "replace if first": replace(price_px=9_985, conditional_on_version=1),
            "replace later": replace(price_px=9_985, release_ts=later),
            "replace by other": replace(source=other, price_px=9_985),
            "replace by operator": replace(source=OPERATOR, price_px=9_985),
            "sweep": (by, CancelAll(scope_type=ScopeType.GLOBAL)),
            "cancel": cancel(),
            "cancel why": cancel(reason=Reason.PRICE_COLLAR),
            "cancel numbered": cancel(version=last + 2),
            "cancel stale": cancel(version=max(last, 1)),
            "cancel if first": cancel(conditional_on_version=1),
            "cancel later": cancel(release_ts=later),
            "cancel by other": cancel(source=other),
            "cancel by operator": cancel(source=OPERATOR),
            "change unknown": replace(order_qty=5) if o.order_id % 2 else (by, CancelOrder(order_id=order_id_of(by, 5000))),
        }

    def _decisions(self, o: NewOrder) -> dict[str, tuple[int, Message]]:
        """What risk says, by itself or once more."""
        held = self.app.machine.memory.peek(o.order_id)
        request = held.replace if held is not None else None
        offer = self.app.machine.memory.instructions.offers.get(1)
        asked, kind = (held.request_seq if held is not None else 1), NewOrder.KIND
        hashed = content_hash(decided_form(offer, o))
        if held is not None and request is not None:
            asked, kind = request.request_seq, ReplaceOrder.KIND
            hashed = replace_hash(
                order_id=o.order_id, order_qty=request.order_qty, price_px=request.price_px, stop_px=request.stop_px,
                display_qty=request.display_qty, expire_ts=told_end(request),
            )  # fmt: skip

        def decided(decision: int, content: int, reason: int = 0, seq: int = asked) -> tuple[int, Message]:
            return RISK + 1, RiskDecision(
                order_id=o.order_id, request_seq=seq, request_kind=kind, content_hash=content, decision=decision, reason=reason
            )

        return {
            "pass": decided(Decision.PASS, hashed),
            "pass again": decided(Decision.PASS, hashed),
            "warn": decided(Decision.PASS_WITH_WARNING, hashed),
            "pass other": decided(Decision.PASS, hashed ^ 1),
            "pass earlier": decided(Decision.PASS, hashed, seq=asked - 1),
            "refuse": decided(Decision.REJECT, hashed, Reason.PRICE_COLLAR),
        }

    def _update(self, o: NewOrder, exec_type: ExecType, **more: Any) -> VenueOrderUpdate:
        terms = {"venue_order_ref": f"V{o.order_id % 100}", "request_seq": self._seq(RoutedOrder, o), "order_id": o.order_id}
        return VenueOrderUpdate(
            account=o.account, instrument=o.instrument, exec_type=exec_type, exchange_ts=5, **terms | more
        )  # fmt: skip

    def _updates(self, o: NewOrder) -> dict[str, Message]:
        """What gateway and venue say of the order."""
        seq, cum, update = self._seq(RoutedOrder, o), self.cum.get(o.order_id, 0), self._update
        return {
            "sent": OrderSent(request_seq=seq, order_id=o.order_id),
            "new": update(o, ExecType.NEW, ord_status=OrdStatus.NEW, cum_qty=0, leaves_qty=o.order_qty),
            "unnamed": update(o, ExecType.NEW, venue_order_ref=""),
            "pending": update(o, ExecType.PENDING_NEW),
            "suspended": update(o, ExecType.SUSPENDED),
            "canceled": update(o, ExecType.CANCELED, cum_qty=cum, reason=Reason.USER_REQUEST),
            "ended": update(o, ExecType.CANCELED),
            "ended why": update(o, ExecType.CANCELED, cum_qty=cum, reason=Reason.VENUE_OTHER, venue_order_ref="E"),
            "disconnect": update(o, ExecType.CANCELED, reason=Reason.CANCEL_ON_DISCONNECT),
            "late": update(o, ExecType.CANCELED, cum_qty=cum + 2, reason=Reason.USER_REQUEST),
            "expired": update(o, ExecType.EXPIRED),
            "rejected": update(o, ExecType.REJECTED, reason=Reason.VENUE_OTHER),
            "status": update(
                o, ExecType.ORDER_STATUS, ord_status=OrdStatus.NEW, cum_qty=cum, order_qty=o.order_qty, price_px=o.price_px
            ),
            "bad ref": update(o, ExecType.NEW, venue_order_ref="Ü" + "0" * 5),
            "long ref": update(o, ExecType.NEW, venue_order_ref="x" * 300, reason=3),
            "wrong request": OrderSent(request_seq=seq + 1, order_id=o.order_id),
            "unknown order": update(o, ExecType.NEW, order_id=order_id_of(9, 1000 + o.order_id % 3)),
            "refused": SendRefused(request_seq=seq, order_id=o.order_id, reason=Reason.NOT_CONNECTED),
        }

    def _of_requests(self, o: NewOrder) -> dict[str, Message]:
        """What gateway and venue say of a replace or cancel."""
        replace, cancel, update = self._seq(RoutedReplace, o), self._seq(RoutedCancel, o), self._update

        def rejected(seq: int, of: CxlRejResponseTo, reason: int) -> VenueCancelReject:
            return VenueCancelReject(request_seq=seq, order_id=o.order_id, response_to=of, reason=reason)

        return {
            "replace sent": OrderSent(request_seq=replace, order_id=o.order_id),
            "cancel sent": OrderSent(request_seq=cancel, order_id=o.order_id),
            "replaced": update(o, ExecType.REPLACED, request_seq=replace, reason=0),
            "replaced to": update(
                o, ExecType.REPLACED, request_seq=replace, order_qty=o.order_qty + 8, price_px=9_980, reason=5
            ),
            "replaced small": update(o, ExecType.REPLACED, order_qty=1, venue_order_ref="R"),
            "replaced odd": update(o, ExecType.REPLACED, order_qty=-3, price_px=-7, stop_px=9_000),
            "replaced huge": update(o, ExecType.REPLACED, order_qty=1 << 62),
            "replace late": rejected(replace, CxlRejResponseTo.REPLACE, Reason.TOO_LATE_AT_VENUE),
            "replace rejected": rejected(replace, CxlRejResponseTo.REPLACE, Reason.VENUE_OTHER),
            "cancel late": rejected(cancel, CxlRejResponseTo.CANCEL, Reason.TOO_LATE),
            "cancel rejected": rejected(cancel, CxlRejResponseTo.CANCEL, 0),
            "cancel of none": rejected(cancel, CxlRejResponseTo.CANCEL, Reason.UNKNOWN_AT_VENUE),
            "replace refused": SendRefused(request_seq=replace, order_id=o.order_id, reason=Reason.NOT_CONNECTED),
            "cancel refused": SendRefused(request_seq=cancel, order_id=o.order_id, reason=Reason.RATE_LIMIT),
            "stray cancel": RoutedCancel(order_id=o.order_id, version=o.order_id % 3),
            "stray replace": RoutedReplace(order_id=o.order_id, version=o.order_id % 3),
        }

    def _fill(self, what: str, o: NewOrder) -> VenueFill:
        held, cum = self.app.machine.memory.peek(o.order_id), self.cum.get(o.order_id, 0)
        whole = held.order_qty if held is not None else o.order_qty
        qty = {"part": max((whole - cum) // 2, 1), "over": whole, "huge": 1 << 62}.get(what, max(whole - cum, 1))
        self.trades += what != "again"
        self.cum[o.order_id] = cum + (qty if what not in ("again", "huge") else 0)
        named: dict[str, Any] = {"trade_no": self.trades}
        if what in ("no trade id", "text id"):
            named = {"venue_trade_ref": f"T{self.trades}" if what == "text id" else ""}
        return VenueFill(
            request_seq=self._seq(RoutedOrder, o), order_id=o.order_id, account=o.account, instrument=o.instrument,
            last_qty=qty,
            side=3 - min(o.side, 2) if what == "other side" else o.side if what != "text id" else 0,
            last_px=-10_000 if what == "negative" else max(o.price_px, 1), fee=-3 if what == "text id" else NULL, fee_exp=-2,
            channel=Channel.DOWNLOAD if what == "row" else 0,
            liquidity=LiquidityIndicator.TAKER, exchange_ts=9, venue_order_ref="W" if what == "text id" else "", **named,
        )  # fmt: skip

    @staticmethod
    def _world(o: NewOrder) -> dict[str, tuple[int, Message]]:
        return {
            "lost": (GATEWAY, StreamStatus(venue=1, account=o.account, connection=3)),
            "ready": (GATEWAY, GatewayStatus(venue=1, account=o.account, phase=GatewayPhase.READY)),
            "kill": (OPERATOR, KillSwitch(kill=1, level=1, scope_type=ScopeType.STRATEGY, scope_strategy=o.strategy)),
            "kill one": (OPERATOR, KillSwitch(kill=1, level=2, scope_type=ScopeType.STRATEGY, scope_strategy=o.strategy)),
            "release": (OPERATOR, KillRelease(kill=1)),
            "venue down": (GATEWAY, VenueStatus(venue=1, status=7)),
            "venue up": (GATEWAY, VenueStatus(venue=1, status=1)),
            "owned": (2, OwnershipDefined(account=o.account, instrument=o.instrument, strategy=2, exclusive=o.strategy == 1)),
            "offers": (2, VenueDefined(venue=1, ord_types=0b110, tifs=0b110100, exec_insts=1, quantity_types=0b100)),
            "download": (GATEWAY, DownloadBegin(account=o.account, download=3)),
            "downloaded": (GATEWAY, DownloadEnd(account=o.account, download=3, complete=False)),
            "way beside": (2, DestinationDefined(destination=9, venue=1, account=o.account, gateway=BESIDE)),
            "its way is loading": (GATEWAY, GatewayStatus(venue=1, account=o.account, phase=GatewayPhase.DOWNLOADING)),
            "that is ready": (BESIDE, GatewayStatus(venue=1, account=o.account, phase=GatewayPhase.READY)),
            "second way": (2, DestinationDefined(destination=9, venue=1, account=8, gateway=GATEWAY)),
        }
