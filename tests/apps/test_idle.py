"""What the OMS leaves to a handler in C that only looks whether there is anything to do: nothing that it would have done."""

from __future__ import annotations

import pytest

import apps.group
from apps.order_manager import _IDLE_WITHOUT, OmsApp
from journal.messages import (
    AccountDefined,
    DestinationDefined,
    EmulatedTrigger,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    Mark,
    MarketStatus,
    NewOrder,
    OrdStatus,
    OrdType,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    SourceDefined,
    SourceRole,
    TimeInForce,
    TopOfBook,
    Trade,
    TradeSummary,
    TradingStatus,
    VenueDefined,
    content_hash,
    order_id_of,
)
from journal.messages.capabilities import decided_form
from tests.apps.stream import Stream

pytestmark = pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")

OMS, STRATEGY = 5, 9


def played(path, *, accelerated):
    """Ticks, an order held by its stop and one by its day, ticks that trigger, the end of the day: what was said, the end."""
    s = Stream(path)
    if not accelerated:
        s.group._runner = None
    slot = s.add("oms", OmsApp(), OMS)
    for m in (
        SourceDefined(source=OMS, role=SourceRole.OMS), VenueDefined(venue=1, ord_types=0b110, tifs=0b110100),
        AccountDefined(account=7, venue=1), InstrumentDefined(instrument=3, venue=1, tick_px=1, lot_qty=1),
        DestinationDefined(destination=2, venue=1, account=7), GatewayStatus(venue=1, account=7, phase=GatewayPhase.READY),
    ):  # fmt: skip
        s.input(m)
    ticks(s, 100)
    idle = [slot.app.machine.snapshot()]
    for n, terms in enumerate((
        {"ord_type": OrdType.STOP, "stop_px": 110, "tif": TimeInForce.GTC},
        {"ord_type": OrdType.LIMIT, "price_px": 90, "tif": TimeInForce.DAY},
    )):  # fmt: skip
        new = NewOrder(order_id=order_id_of(STRATEGY, n + 1), account=7, instrument=3, side=1, order_qty=5, **terms)
        seq = s.input(new, source=STRATEGY)
        hashed = content_hash(decided_form(slot.app.machine.memory.instructions.offers[1], new))
        s.input(
            RiskDecision(order_id=new.order_id, request_seq=seq, request_kind=300, decision=1, content_hash=hashed), source=6
        )
    ticks(s, 105)
    ticks(s, 111)
    s.input(MarketStatus(instrument=3, trading_status=TradingStatus.CLOSE), source=4)
    slot.app.machine.check()
    said = [m for m in s.messages() if isinstance(m, EmulatedTrigger | RoutedOrder | RoutedCancel | ExecutionReport)]
    s.close()
    return said, idle, slot.snapshot()


def ticks(s, px):
    s.input(TopOfBook(instrument=3, bid_px=px - 1, ask_px=px), source=4)
    s.input(TradeSummary(instrument=3, trades=[Trade(px=px, qty=1, side=1)]), source=4)
    s.input(Mark(instrument=3, mark_px=px), source=4)
    s.input(MarketStatus(instrument=3, trading_status=TradingStatus.OPEN), source=4)


def test_both_ways_say_the_same_and_end_in_the_same_state(tmp_path):
    fast, plain = played(tmp_path / "fast", accelerated=True), played(tmp_path / "plain", accelerated=False)
    assert fast == plain
    assert [type(m) for m in fast[0]].count(EmulatedTrigger) == 1  # something was held, and triggered
    assert [type(m) for m in fast[0]].count(RoutedOrder) == 1
    assert [m.ord_status for m in fast[0] if isinstance(m, ExecutionReport)][-1] == OrdStatus.PENDING_CANCEL


def test_the_kinds_that_matter_only_while_something_is_held():
    natives = OmsApp().natives()
    assert {kind for kind, native in natives.items() if isinstance(native, apps.group._fast.Idle)} == {
        cls.KIND for cls in _IDLE_WITHOUT
    }
