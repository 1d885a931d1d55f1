"""The life of plain orders in C: what is said, what is set and what is kept is as oms.OrderManager has it in Python, whatever
venue, strategy and operator do."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import apps.group
from apps.order_manager import OmsApp
from journal.frames import frames
from journal.messages import (
    NULL,
    CancelOrder,
    DestinationDefined,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    KillRelease,
    KillSwitch,
    LiquidityIndicator,
    Message,
    NewOrder,
    OrderSent,
    OrdStatus,
    OrdType,
    OwnershipDefined,
    Reason,
    ReplaceOrder,
    RiskDecision,
    RoutedOrder,
    ScopeType,
    SendRefused,
    Side,
    StreamStatus,
    TimeInForce,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    VenueStatus,
    order_id_of,
)
from oms.differences import Settings
from tests.apps.stream import MANY, Stream
from tests.apps.test_decisions import RISK, SOURCES, InPython, orders, world

pytestmark = pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")

GATEWAY, OMS, OPERATOR = 4, 5, 12


class OmsInPython(OmsApp):
    """The reference: nothing is done in C."""

    def natives(self) -> dict[int, Any]:
        return {}


def before() -> list[tuple[int, Message]]:
    """What there is when the day begins."""
    return [*world(), *((2, DestinationDefined(destination=a, venue=1, account=a, gateway=GATEWAY)) for a in (7, 8))]


PLAIN: dict[str, Any] = {
    "source": 9, "account": 7, "strategy": 1, "user": 0, "instrument": 1, "side": Side.BUY, "ord_type": OrdType.LIMIT,
    "tif": TimeInForce.GTC, "order_qty": 40, "price_px": 10_000,
}  # fmt: skip
SMOOTH = ("order", "sent", "new", "part", "part", "rest")
"""What usually comes of an order, one after the other."""

odd = st.sampled_from(
    (
        "again", "over", "canceled", "expired", "rejected", "refused", "cancel", "replace", "lost", "ready", "kill", "release",
        "pending", "status", "no trade id", "text id", "unnamed", "other side", "huge", "venue down", "venue up", "owned",
        "offers", "second way", "bad ref", "long ref", "wrong request", "late", "time", "unknown order", "negative",
    )
)  # fmt: skip
smooth = st.sampled_from(SMOOTH)
steps = st.one_of(
    st.tuples(smooth, st.integers(0, 30)), st.tuples(smooth, st.just(0)), st.tuples(odd, st.integers(0, 5)),
    st.tuples(st.just("any order"), orders()),
)  # fmt: skip
days = st.lists(steps, min_size=8, max_size=60)


class Day:
    """The frames of a day, given to one order manager with its risk engine."""

    def __init__(self, folder: str, *, in_c: bool, compared: bool = False) -> None:
        self.stream = Stream(Path(folder), step=1_000_000_000)
        risk, oms = InPython(), OmsApp() if in_c else OmsInPython()
        self.stream.add("risk", risk, RISK)
        self.slot = self.stream.add("oms", oms, OMS)
        self.last = dict.fromkeys(SOURCES, 0)
        self.orders: list[NewOrder] = []
        self.routed: dict[int, int] = {}
        self.cum: dict[int, int] = {}
        self.trades = 0
        self.seen = 0
        self.in_python = 0
        for name in (
            "on_new_order",
            "on_risk_decision",
            "on_routed_order",
            "on_order_sent",
            "on_venue_order_update",
            "on_venue_fill",
        ):
            self._count(oms.machine, name)
        oms.machine.reconcile_by(Settings(max_unknown=1) if compared else None)
        for source, m in before():
            self.stream.input(m, source=source)
        for account in (7, 8) if compared else ():  # as after a download without differences
            self.stream.input(DownloadBegin(account=account), source=GATEWAY)
            self.stream.input(DownloadEnd(account=account, complete=True), source=GATEWAY)

    def _count(self, machine: Any, name: str) -> None:
        handler = getattr(machine, name)

        def counted(m: Message) -> None:
            self.in_python += 1
            handler(m)

        setattr(machine, name, counted)

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
        elif self.orders:
            self.answer(what, self.orders[which % len(self.orders)])
        self._learn()

    def ask(self, *, source: int, again: bool = False, foreign: bool = False, skip: int = 1, **terms: Any) -> None:
        """A strategy asks for an order."""
        number = self.last[source] = max(self.last[source] + (0 if again else skip), 1)
        m = NewOrder(order_id=order_id_of(source + (1 if foreign else 0), number), **terms)
        self.stream.input(m, source=source)
        self.orders.insert(0, m)

    def _learn(self) -> None:
        for f in frames(self.stream.path, from_seq=self.seen + 1):
            self.seen = f.header.seq
            if isinstance(f.message, RoutedOrder):
                self.routed[f.message.order_id] = f.header.seq

    def answer(self, what: str, o: NewOrder) -> None:
        """What somebody says about an order, or about everything."""
        seq = self.routed.get(o.order_id, 0)
        update = self._updates(o, seq).get(what)
        if update is not None:
            self.stream.input(update, source=GATEWAY)
        elif what in ("part", "rest", "again", "over", "no trade id", "text id", "other side", "huge", "negative"):
            self.stream.input(self._fill(what, o, seq), source=GATEWAY)
        elif what == "time":
            self.stream.ts += 6_000_000_000
        else:
            source, m = self._world(what, o)
            self.stream.input(m, source=source)

    def _updates(self, o: NewOrder, seq: int) -> dict[str, Message]:
        def update(exec_type: ExecType, **more: Any) -> VenueOrderUpdate:
            terms = {"venue_order_ref": f"V{o.order_id % 100}", "request_seq": seq, "order_id": o.order_id} | more
            return VenueOrderUpdate(account=o.account, instrument=o.instrument, exec_type=exec_type, exchange_ts=5, **terms)

        cum = self.cum.get(o.order_id, 0)
        return {
            "sent": OrderSent(request_seq=seq, order_id=o.order_id),
            "new": update(ExecType.NEW, ord_status=OrdStatus.NEW, cum_qty=0, leaves_qty=o.order_qty),
            "unnamed": update(ExecType.NEW, venue_order_ref=""),
            "pending": update(ExecType.PENDING_NEW),
            "canceled": update(ExecType.CANCELED, cum_qty=cum),
            "late": update(ExecType.CANCELED, cum_qty=cum + 2, reason=Reason.USER_REQUEST),
            "expired": update(ExecType.EXPIRED),
            "rejected": update(ExecType.REJECTED, reason=Reason.VENUE_OTHER),
            "status": update(
                ExecType.ORDER_STATUS, ord_status=OrdStatus.NEW, cum_qty=cum, order_qty=o.order_qty, price_px=o.price_px
            ),
            "bad ref": update(ExecType.NEW, venue_order_ref="Ü" + "0" * 5),
            "long ref": update(ExecType.NEW, venue_order_ref="x" * 300, reason=3),
            "wrong request": OrderSent(request_seq=seq + 1, order_id=o.order_id),
            "unknown order": update(ExecType.NEW, order_id=order_id_of(9, 1000 + o.order_id % 3)),
            "refused": SendRefused(request_seq=seq, order_id=o.order_id, reason=Reason.NOT_CONNECTED),
        }

    def _fill(self, what: str, o: NewOrder, seq: int) -> VenueFill:
        cum = self.cum.get(o.order_id, 0)
        qty = {"part": max((o.order_qty - cum) // 2, 1), "over": o.order_qty, "huge": 1 << 62}.get(
            what, max(o.order_qty - cum, 1)
        )
        self.trades += what != "again"
        self.cum[o.order_id] = cum + (qty if what != "again" else 0)
        named: dict[str, Any] = {"trade_no": self.trades}
        if what in ("no trade id", "text id"):
            named = {"venue_trade_ref": f"T{self.trades}" if what == "text id" else ""}
        return VenueFill(
            request_seq=seq, order_id=o.order_id, account=o.account, instrument=o.instrument, last_qty=qty,
            side=3 - min(o.side, 2) if what == "other side" else o.side if what != "text id" else 0,
            last_px=-10_000 if what == "negative" else max(o.price_px, 1), fee=-3 if what == "text id" else NULL, fee_exp=-2,
            liquidity=LiquidityIndicator.TAKER, exchange_ts=9, venue_order_ref="W" if what == "text id" else "", **named,
        )  # fmt: skip

    def _world(self, what: str, o: NewOrder) -> tuple[int, Message]:
        by = o.order_id >> 48
        worlds: dict[str, tuple[int, Message]] = {
            "cancel": (by, CancelOrder(order_id=o.order_id)),
            "replace": (by, ReplaceOrder(order_id=o.order_id, order_qty=o.order_qty + 2)),
            "lost": (GATEWAY, StreamStatus(venue=1, account=o.account, connection=3)),
            "ready": (GATEWAY, GatewayStatus(venue=1, account=o.account, phase=GatewayPhase.READY)),
            "kill": (OPERATOR, KillSwitch(kill=1, level=1, scope_type=ScopeType.STRATEGY, scope_strategy=o.strategy)),
            "release": (OPERATOR, KillRelease(kill=1)),
            "venue down": (GATEWAY, VenueStatus(venue=1, status=7)),
            "venue up": (GATEWAY, VenueStatus(venue=1, status=1)),
            "owned": (2, OwnershipDefined(account=o.account, instrument=o.instrument, strategy=2, exclusive=o.strategy == 1)),
            "offers": (2, VenueDefined(venue=1, ord_types=0b110, tifs=0b110100, exec_insts=1, quantity_types=0b100)),
            "second way": (2, DestinationDefined(destination=9, venue=1, account=8, gateway=GATEWAY)),
        }
        return worlds[what]


@settings(max_examples=MANY // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(days, st.booleans())
def test_orders_live_as_in_python(day: list[tuple[str, Any]], compared: bool) -> None:
    with ExitStack() as stack:
        fast, slow = (
            stack.enter_context(
                Day(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")), in_c=in_c, compared=compared)
            )
            for in_c in (True, False)
        )
        for step in [("order", 1), *day]:
            for each in (fast, slow):
                each.play(*step)
            assert fast.slot.snapshot() == slow.slot.snapshot(), step
        assert fast.stream.messages() == slow.stream.messages()
        fast.slot.app.machine.check()


@pytest.mark.parametrize("compared", [False, True])
def test_a_plain_life_is_all_in_c(compared: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Day(folder, in_c=True, compared=compared) as day:
        for n in range(20):
            for what in SMOOTH:
                day.play(what, n if what == "order" else 0)
        assert day.in_python == 0
        reports = day.stream.messages(ExecutionReport)
        decisions = day.stream.messages(RiskDecision)
    assert len(decisions) == 20
    assert [m.exec_type for m in reports[:5]] == [ExecType.PENDING_NEW, ExecType.NEW, *[ExecType.TRADE] * 3]
    assert sum(m.ord_status == OrdStatus.FILLED for m in reports) == 20
