"""Closed orders leave by a stated rule: what is held does not grow with the orders there were, and what comes late of one that
has left is neither lost nor taken twice."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from oms_and_risk import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, OTHER, SECOND, STRATEGY, VENUE, Desk
from recon_venue import Venue

from gateways.sim import order_view
from gateways.sim.order_view import OrderView
from journal.messages import (
    AccountDefined,
    Alert,
    AlertSeverity,
    CancelAll,
    CancelOrder,
    Channel,
    Clock,
    ContingencyType,
    DestinationDefined,
    DontKnowTrade,
    DownloadEnd,
    ExecType,
    ExecutionReport,
    ListMember,
    ListRole,
    MassQuote,
    Message,
    OrderCancelReject,
    OrderList,
    OrderStatusRequest,
    OrdStatus,
    OrdType,
    ParentOrder,
    QuoteEntry,
    Reason,
    ReconcileDifference,
    ReplaceOrder,
    ReportFlag,
    RiskDecision,
    ScopeType,
    Side,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    order_id_of,
    ranges,
)
from journal.messages.keeping import Keep
from journal.messages.quoting import QUOTE_NUMBERS

KEEP = Keep(50, 120 * SECOND)
S, E = OrdStatus, ExecType


class Trading(Desk):
    """Both machines and a gateway's view; nothing is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.view = OrderView(venue_name="sim", account_name="demo", source=GATEWAY, keep=KEEP)
        self.oms.memory.keep = self.risk.memory.families.keep = KEEP
        self.check_every = False
        self.frame(VenueDefined(venue=VENUE, name="sim"), 1)
        self.frame(AccountDefined(account=ACCOUNT, venue=VENUE, name="demo"), 1)
        self.ready()
        self.view.watch(AccountDefined(account=ACCOUNT, venue=VENUE, name="demo"), seq=1, epoch=0)
        self.view.watch(DestinationDefined(destination=2, venue=VENUE, account=ACCOUNT), seq=1, epoch=0)
        self.touch(4995, 5005)
        self.parents: list[int] = []

    def one(self, message: Message, source: int) -> int:
        seq = super().one(message, source)
        self.view.apply(message, seq=seq, source=source, epoch=0, ts=self.now)
        self.stream.clear()
        self.times.clear()
        return seq

    def update(self, order_id: int, exec_type: int, **fields: int) -> None:
        ends = {E.CANCELED: S.CANCELED, E.REJECTED: S.REJECTED}
        super().update(order_id, exec_type, ord_status=ends.get(exec_type, S.NEW), **fields)

    def answer(self) -> None:
        """The venue cancels what it was asked to."""
        for order in self.oms.open_orders():
            if order.cancel is not None:
                self.update(order.order_id, E.CANCELED)

    def settle(self) -> None:
        """What the test itself remembers is forgotten."""
        self.sent.clear()
        self.emitted.clear()
        self.flags.clear()
        self.passes.clear()

    def own(self) -> int:
        self.number += 1
        return order_id_of(STRATEGY, self.number)


def plain(t: Trading) -> None:
    order_id = t.ask(price_px=4990)
    t.ack(order_id)
    t.fill(order_id, 40, 4990)
    t.fill(order_id, 60, 4990)


def canceled(t: Trading) -> None:
    order_id = t.ask(price_px=4990)
    t.ack(order_id)
    t.frame(ReplaceOrder(order_id=order_id, price_px=4985), STRATEGY)
    t.update(order_id, E.REPLACED, order_qty=100, price_px=4985)
    t.frame(CancelOrder(order_id=order_id), STRATEGY)
    t.update(order_id, E.CANCELED)
    t.fill(order_id, 5, 4985)  # late
    t.frame(CancelOrder(order_id=order_id), STRATEGY)  # too late


def rejected(t: Trading) -> None:
    t.ask(price_px=4991)  # off the tick
    t.ask(price_px=4990, order_qty=0)
    order_id = t.ask(price_px=4990)
    t.update(order_id, E.REJECTED)


def used_again(t: Trading) -> None:
    t.ask(price_px=4990, order_id=order_id_of(STRATEGY, 1 + t.number // 2))


def family(t: Trading) -> None:
    parent = t.own()
    t.frame(ParentOrder(order_id=parent, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=100), STRATEGY)
    for qty in (60, 40):
        child = t.ask(price_px=4990, order_qty=qty, parent_order_id=parent)
        t.ack(child)
        if t.number % 2:
            t.fill(child, qty, 4990)
    t.frame(CancelOrder(order_id=parent), STRATEGY)
    # And one that lives as long as the test: its children leave.
    child = t.ask(price_px=4990, order_qty=1, parent_order_id=t.parents[0])
    t.ack(child)
    t.fill(child, 1, 4990)


def listed(t: Trading) -> None:
    ids = [t.own(), t.own()]
    legs = [ListMember(order_id=n, role=ListRole.SIBLING) for n in ids]
    t.frame(OrderList(list_id=t.own(), contingency=ContingencyType.OCO, members=legs), STRATEGY)
    for n in ids:
        t.ask(price_px=4990, order_id=n, list_id=ids[1] + 1)
    for n in ids:
        t.ack(n)
    t.fill(ids[0], 100, 4990)
    t.update(ids[1], E.CANCELED)


def stop(t: Trading) -> None:
    order_id = t.ask(OrdType.STOP, stop_px=5050)
    t.touch(5045, 5055)
    t.ack(order_id)
    t.fill(order_id, 100, 5055)
    t.touch(4995, 5005)
    t.ask(OrdType.STOP, stop_px=5050)
    t.ask(price_px=4990, release_ts=t.now + SECOND)
    t.frame(CancelAll(request=t.seq, scope_type=ScopeType.GLOBAL), STRATEGY)


def quoted(t: Trading) -> None:
    e = QuoteEntry(entry=1, instrument=INSTRUMENT, bid_px=4990, bid_qty=10, ask_px=5010, ask_qty=10)
    t.frame(MassQuote(quote_id=t.number, account=ACCOUNT, strategy=3, entries=[e]), STRATEGY)
    for m in t.sent[-2:]:
        t.ack(m.order_id)


def foreign(t: Trading) -> None:
    t.trade += 1
    t.frame(
        VenueFill(account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=1, last_px=5000, trade_no=t.trade,
                  venue_order_ref=f"X{t.trade}"),
        GATEWAY,
    )  # fmt: skip


DOINGS = (plain, canceled, rejected, used_again, family, listed, stop, quoted, foreign)


def sizes(held: Any, path: str = "") -> dict[str, int]:
    """Length of every container of a state, by its path."""
    found: dict[str, int] = {}
    if isinstance(held, msgspec.Struct):
        for name in held.__struct_fields__:
            found |= sizes(getattr(held, name), f"{path}.{name}")
    elif isinstance(held, dict | list | tuple | set) or hasattr(held, "popleft"):
        found[path] = len(held)
        for x in held.values() if isinstance(held, dict) else held:
            for key, n in sizes(x, f"{path}[]").items():
                found[key] = max(found.get(key, 0), n)
    return found


def test_nothing_grows_with_the_orders_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "RANGES_MAX", 32)  # lists take numbers that are no order's: each leaves a hole
    for bound in ("PASSES_MAX", "OWNERS_MAX"):  # far above what this test makes
        monkeypatch.setattr(order_view, bound, 500)
    rng = random.Random(7)
    t = Trading()
    t.parents = [t.own()]
    t.frame(
        ParentOrder(order_id=t.parents[0], account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=1_000_000), STRATEGY
    )
    seen: list[dict[str, int]] = []
    for _ in range(4):
        most: dict[str, int] = {}
        for turn in range(600):
            for doing in rng.sample(DOINGS, 3):
                doing(t)
                t.answer()
                t.frame(Clock(), 0, ns=SECOND // 4)
            t.settle()
            if turn % 60 == 59:
                now = sizes(t.oms.memory, "oms") | sizes(t.risk.memory, "risk")
                for name, held in vars(t.view).items():
                    now |= sizes(held, f"view.{name}")
                now |= {"oms": len(t.oms.snapshot()), "risk": len(t.risk.snapshot())}
                most = {k: max(most.get(k, 0), now.get(k, 0)) for k in {**most, **now}}
        seen.append(most)
    t.oms.check()
    t.risk.check()
    assert t.number > 12_000
    late, early = seen[3], seen[1]
    assert {k: (early.get(k, 0), n) for k, n in late.items() if n > 1.25 * early.get(k, 0) + 40} == {}
    left = t.oms.memory.left[STRATEGY]
    assert left[0][0] == 2  # the first is still here
    assert len(left) <= 32 + 1  # and one of the quotes' numbers


# What comes of one that has left.


def left(t: Trading) -> int:
    """An order that was filled and has left."""
    order_id = t.ask(price_px=4990)
    t.ack(order_id)
    t.fill(order_id, 100, 4990)
    let_go(t)
    assert t.oms.memory.peek(order_id) is None
    assert t.oms.memory.has_left(order_id)
    return order_id


def let_go(t: Trading, turns: int = 4) -> None:
    """Time passes, and orders come."""
    for _ in range(turns):
        t.frame(Clock(), 0, ns=61 * SECOND)
        for _ in range(KEEP.orders // 2):
            t.ask(price_px=4991)
    t.settle()
    t.oms.check()
    t.risk.check()


@pytest.fixture
def t() -> Trading:
    return Trading()


def test_its_id_is_a_duplicate_and_nothing_is_recorded(t: Trading) -> None:
    order_id = left(t)
    t.ask(price_px=4990, order_id=order_id)
    assert t.reports(order_id) == [(E.REJECTED, S.REJECTED, Reason.DUPLICATE_ORDER_ID)]
    assert [m.decision for m in t.said(RiskDecision)] == []  # said by the engine, not by the OMS
    assert t.oms.memory.peek(order_id) is None
    assert t.reserved(order_id) == 0
    assert t.sent == []
    t.frame(ParentOrder(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=100), STRATEGY)
    assert t.reports(order_id)[-1] == (E.REJECTED, S.REJECTED, Reason.DUPLICATE_ORDER_ID)
    t.ask(price_px=4990, order_id=order_id, source=OTHER)
    assert t.reports(order_id)[-1] == (E.REJECTED, S.REJECTED, Reason.NOT_OWNER)


def test_a_cancel_or_replace_of_it_is_too_late(t: Trading) -> None:
    order_id = left(t)
    for source, reason in ((STRATEGY, Reason.TOO_LATE), (OPERATOR, Reason.TOO_LATE), (OTHER, Reason.NOT_OWNER)):
        t.frame(CancelOrder(order_id=order_id, version=3), source)
        t.frame(ReplaceOrder(order_id=order_id, price_px=4985), source)
        said = t.said(OrderCancelReject)[-2:]
        assert [(m.order_id, m.reason) for m in said] == [(order_id, reason)] * 2
        assert said[0].version == 3
    t.frame(CancelOrder(order_id=order_id_of(STRATEGY, 77_777)), STRATEGY)
    assert t.said(OrderCancelReject)[-1].reason == Reason.UNKNOWN_ORDER


def test_a_cancel_that_waited_for_its_time_is_answered(t: Trading) -> None:
    order_id = t.ask(price_px=4990)
    t.ack(order_id)
    t.frame(CancelOrder(order_id=order_id, release_ts=t.now + 1000 * SECOND), STRATEGY)
    t.fill(order_id, 100, 4990)
    let_go(t)
    assert t.oms.memory.has_left(order_id)
    t.frame(Clock(), 0, ns=1000 * SECOND)
    said = t.said(OrderCancelReject)[-1]
    assert (said.order_id, said.reason) == (order_id, Reason.TOO_LATE)


def test_the_limits_are_exact(t: Trading) -> None:
    order_id = t.ask(price_px=4990)
    t.update(order_id, E.REJECTED)
    t.frame(Clock(), 0, ns=61 * SECOND)
    t.ask(price_px=4991)
    assert order_id in t.oms.memory.archive
    at = t.oms.memory.archived.waiting[0][0]
    for _ in range(KEEP.orders + 10):
        t.ask(price_px=4991)
    t.frame(Clock(), 0, ns=61 * SECOND)
    for _ in range(5):
        t.ask(price_px=4991)  # now these are archived too
    assert t.oms.memory.archived.next > KEEP.orders + 1
    t.frame(Clock(), 0, ns=at + KEEP.ns - t.now - 10)
    t.ask(price_px=4991)
    assert t.now < at + KEEP.ns
    assert order_id in t.oms.memory.archive
    t.frame(Clock(), 0, ns=10)
    t.ask(price_px=4991)
    assert order_id not in t.oms.memory.archive
    # However long it has been: so many stay.
    t.frame(Clock(), 0, ns=10_000 * SECOND)
    for _ in range(200):
        t.ask(price_px=4991)
    assert len(t.oms.memory.archive) == KEEP.orders


def test_a_late_fill_is_booked_once_as_what_it_is(t: Trading) -> None:
    order_id = left(t)
    fill = VenueFill(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=3, last_px=4990,
                     trade_no=900, channel=Channel.ORDER_STREAM, exchange_ts=t.now, venue_order_ref="V1")  # fmt: skip
    before = cell(t)
    for _ in range(2):
        t.frame(fill, GATEWAY)
    trades = [m for m in t.said(ExecutionReport) if m.exec_type == E.TRADE]
    assert [(m.order_id >> 48, m.last_qty, m.strategy, m.reason) for m in trades] == [(0, 3, 0, Reason.FOREIGN_ORDER)]
    assert trades[0].report_flags & ReportFlag.EXTERNAL
    assert cell(t) == before + 3
    (alert,) = [m for m in t.said(Alert) if m.rule == Reason.FOREIGN_ORDER]
    assert alert.severity == AlertSeverity.CRITICAL
    assert str(order_id) in alert.text
    assert len(t.said(DontKnowTrade)) == 1


def cell(t: Trading) -> int:
    return sum(c.position for c in t.risk.memory.exposure.cells.values())


def test_a_row_from_when_it_was_here_is_not_booked_again(t: Trading) -> None:
    traded = t.now
    order_id = left(t)
    before = cell(t)
    row = VenueFill(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=100, last_px=4990,
                    trade_no=1, channel=Channel.DOWNLOAD, exchange_ts=traded, venue_order_ref="V1")  # fmt: skip
    t.frame(row, GATEWAY)
    assert cell(t) == before
    assert [m.last_qty for m in t.said(DontKnowTrade)] == [100]  # and a person is told
    assert [m.rule for m in t.said(Alert)] == [Reason.UNKNOWN_ORDER]
    # One that happened later is news, though it comes in a list.
    later = msgspec.structs.replace(row, trade_no=2, exchange_ts=t.oms.memory.left_ts + 1, last_qty=4)
    t.frame(later, GATEWAY)
    assert cell(t) == before + 4


@pytest.mark.parametrize(("status", "records"), [(S.CANCELED, 0), (S.UNDEFINED, 0), (S.NEW, 1)])
def test_an_end_said_again_changes_nothing_and_one_open_there_counts(t: Trading, status: int, records: int) -> None:
    order_id = left(t)
    t.frame(
        VenueOrderUpdate(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=E.ORDER_STATUS, ord_status=status,
                         side=Side.BUY, order_qty=100, price_px=4990, channel=Channel.DOWNLOAD, venue_order_ref="V1"),
        GATEWAY,
    )  # fmt: skip
    assert len(t.said(Alert)) == 1
    assert len(t.oms.memory.external) == records
    assert len([h for h in t.risk.memory.exposure.orders if h >> 48 == 0]) == records


def test_one_that_another_depends_on_stays(t: Trading) -> None:
    ids = [t.own(), t.own()]
    legs = [ListMember(order_id=ids[0], role=ListRole.PRIMARY), ListMember(order_id=ids[1], role=ListRole.SIBLING)]
    t.frame(OrderList(list_id=t.own(), contingency=ContingencyType.OTO, members=legs), STRATEGY)
    for n in ids:
        t.ask(price_px=4990, order_id=n, list_id=ids[1] + 1)
    t.ack(ids[0])
    t.fill(ids[0], 100, 4990)
    t.ack(ids[1])
    let_go(t, 8)
    assert t.status(ids[0]) == S.FILLED
    t.fill(ids[1], 100, 4990)
    let_go(t, 8)
    assert [t.oms.memory.has_left(n) for n in ids] == [True, True]
    assert t.oms.memory.instructions.list_of == {}


def test_a_quote_keeps_the_side_that_has_closed(t: Trading) -> None:
    e = QuoteEntry(entry=1, instrument=INSTRUMENT, bid_px=4990, bid_qty=10, ask_px=5010, ask_qty=10)
    t.frame(MassQuote(quote_id=1, account=ACCOUNT, strategy=3, entries=[e]), STRATEGY)
    bid, ask = [m.order_id for m in t.sent]
    t.ack(bid)
    t.ack(ask)
    t.fill(bid, 10, 4990)
    let_go(t, 8)
    assert t.status(bid) == S.FILLED
    t.fill(ask, 10, 5010)
    let_go(t, 8)
    assert t.oms.memory.instructions.quotes == {}
    assert t.oms.memory.has_left(bid)
    assert t.oms.memory.has_left(ask)
    assert not t.oms.memory.has_left(order_id_of(STRATEGY, QUOTE_NUMBERS | t.seq << 6))  # one still to come


def test_children_leave_and_what_they_did_stays(t: Trading) -> None:
    parent = t.own()
    t.frame(ParentOrder(order_id=parent, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=100), STRATEGY)
    child = t.ask(price_px=4990, order_qty=60, parent_order_id=parent)
    t.ack(child)
    t.fill(child, 60, 4990)
    let_go(t, 8)
    held = t.oms.memory.parents[parent]
    assert (held.children, held.cum_qty, held.cum_notional) == ({}, 60, 60 * 4990)
    # What is left of it is 40, for OMS and risk engine alike, which see children of their own come and go.
    more = t.ask(price_px=4990, order_qty=41, parent_order_id=parent)
    assert t.reports(more)[-1] == (E.REJECTED, S.REJECTED, Reason.CHILD_EXCEEDS_PARENT)
    last = t.ask(price_px=4990, order_qty=40, parent_order_id=parent)
    t.ack(last)
    t.fill(last, 40, 4990)
    assert t.reports(parent)[-1][:2] == (E.ORDER_STATUS, S.FILLED)
    let_go(t, 12)
    assert parent not in t.oms.memory.parents
    assert t.oms.memory.has_left(parent)


def test_closed_families_leave_the_risk_engine(t: Trading) -> None:
    parent = t.own()
    t.frame(ParentOrder(order_id=parent, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=1000), STRATEGY)
    families = t.risk.memory.families
    for _ in range(KEEP.orders + 5):
        child = t.ask(price_px=4990, order_qty=2, parent_order_id=parent)
        t.ack(child)
        t.fill(child, 1, 4990)
        t.update(child, E.CANCELED)
        t.frame(Clock(), 0, ns=10 * SECOND)
    assert len(families.parents[parent].children) == len(families.parent_of) == KEEP.orders
    assert families.parents[parent].qty == KEEP.orders + 5
    t.frame(CancelOrder(order_id=parent), STRATEGY)
    for _ in range(2 * KEEP.orders + 20):
        other = t.own()
        t.frame(ParentOrder(order_id=other, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=1), STRATEGY)
        t.frame(CancelOrder(order_id=other), STRATEGY)
        t.frame(Clock(), 0, ns=10 * SECOND)
    assert parent not in families.parents
    assert families.parent_of == {}
    t.risk.check()


def test_a_download_says_that_it_does_not_have_all(t: Trading) -> None:
    t.frame(OrderStatusRequest(request=1), STRATEGY)
    assert t.said(DownloadEnd)[-1].complete
    left(t)
    for source, complete in ((STRATEGY, False), (OPERATOR, False), (OTHER, True)):
        t.frame(OrderStatusRequest(request=2), source)
        assert bool(t.said(DownloadEnd)[-1].complete) == complete, source


def test_a_record_of_a_foreign_order_leaves_and_a_new_one_has_a_new_number(t: Trading) -> None:
    foreign(t)
    assert list(t.oms.memory.external.values()) == [1]
    let_go(t)
    assert t.oms.memory.external == t.oms.memory.refs == {}
    foreign(t)
    assert list(t.oms.memory.external.values()) == [2]


def test_no_fill_a_reconciliation_may_ask_for_leaves() -> None:
    venue = Venue.connected(lookback_ns=1000 * SECOND, overlap_ns=10 * SECOND)
    venue.r.oms.memory.keep = Keep(0, 0)
    order_id = venue.work()
    venue.trade(order_id, 100)
    for number in range(100, 1100):
        venue.r.new(number, qty=0)
        venue.r.pass_time(SECOND)
        if number % 60 == 0:
            venue.answer()
            assert venue.r.said(ReconcileDifference) == []
            assert venue.r.oms.memory.peek(order_id) is not None
    for number in range(1100, 1300):
        venue.r.new(number, qty=0)
        venue.r.pass_time(SECOND)
    assert venue.r.oms.memory.has_left(order_id)
    venue.answer()
    assert venue.r.said(ReconcileDifference) == []
    venue.r.oms.check()


def test_what_has_left_survives_a_restart(t: Trading) -> None:
    order_id = left(t)
    held, engine = t.oms.snapshot(), t.risk.snapshot()
    t.oms.restore(held)
    t.risk.restore(engine)
    assert t.oms.snapshot() == held
    assert t.risk.snapshot() == engine
    t.ask(price_px=4990, order_id=order_id)
    assert t.reports(order_id)[-1][2] == Reason.DUPLICATE_ORDER_ID
