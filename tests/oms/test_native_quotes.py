"""Quotes at a venue that takes them whole: one frame, a pass for each side, and orders as any others from there on."""

from __future__ import annotations

import pytest
from oms_and_risk import ACCOUNT, GATEWAY, INSTRUMENT, NULL, OPERATOR, SECOND, STRATEGY, VENUE, Desk

from journal.messages import (
    CancelOrder,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    KillSwitch,
    MassQuote,
    OrderSent,
    OrdStatus,
    QuoteEntry,
    QuoteStatus,
    QuoteStatusReport,
    Reason,
    RiskCheck,
    RiskLimitSet,
    RoutedCancel,
    RoutedQuery,
    RoutedQuote,
    ScopeType,
    SendRefused,
    SupportType,
)
from oms.budgets import Kind, Policy, Rule


@pytest.fixture
def desk() -> Desk:
    return venue(SupportType.MASS_QUOTE)


def venue(supports: int) -> Desk:
    d = Desk()
    d.ready(supports=supports)
    d.touch(4995, 5005)
    return d


def entry(number: int = 1, bid: int = 4990, ask: int = 5010, qty: int = 10) -> QuoteEntry:
    return QuoteEntry(entry=number, instrument=INSTRUMENT, bid_px=bid, bid_qty=qty, ask_px=ask, ask_qty=qty)


def quote(desk: Desk, *entries: QuoteEntry, quote_id: int = 1, **more: int) -> list[int]:
    """A MassQuote; the ids of its orders."""
    before = len(desk.oms.memory.orders)
    desk.frame(MassQuote(quote_id=quote_id, account=ACCOUNT, strategy=3, entries=list(entries or (entry(),)), **more), STRATEGY)
    return list(desk.oms.memory.orders)[before:]


def seq_of(desk: Desk, m: RoutedQuote) -> int:
    return next(seq for seq, _, said in desk.stream if said is m)


def told(desk: Desk) -> list[tuple[int, int]]:
    return [(r.entry, r.quote_status) for r in desk.said(QuoteStatusReport)]


def test_one_frame_for_all_of_them_and_their_life_is_that_of_orders(desk: Desk) -> None:
    ids = quote(desk, entry(1), entry(2, 4985, 5015))
    (m,) = desk.said(RoutedQuote)
    assert desk.sent == []
    assert (m.quote_id, m.account, m.destination) == (1, ACCOUNT, 2)
    assert [(e.bid_px, e.bid_qty, e.ask_px, e.ask_qty) for e in m.entries] == [(4990, 10, 5010, 10), (4985, 10, 5015, 10)]
    assert [desk.status(o) for o in ids] == [OrdStatus.PENDING_NEW] * 4
    desk.frame(OrderSent(request_seq=seq_of(desk, m)), GATEWAY)
    for order_id in ids:
        desk.update(order_id, ExecType.NEW, request_seq=seq_of(desk, m))
    assert told(desk)[-2:] == [(1, QuoteStatus.ACTIVE), (2, QuoteStatus.ACTIVE)]
    desk.frame(CancelOrder(order_id=ids[0]), STRATEGY)
    (cancel,) = desk.said(RoutedCancel)
    assert (cancel.order_id, cancel.orig_request_seq) == (ids[0], seq_of(desk, m))
    desk.fill(ids[1], 10, 5010)
    assert desk.status(ids[1]) == OrdStatus.FILLED
    assert desk.oms.memory.instructions.native_quotes == {}


def test_as_by_orders(desk: Desk) -> None:
    plain = venue(0)
    for d in (desk, plain):
        ids = quote(d, entry(1), entry(2, 4985, 5015))
        for order_id in ids:
            d.ack(order_id)
        quote(d, entry(1, 4980, 5020), quote_id=2)
    told = [sorted((r.price_px, r.exec_type, r.ord_status, r.reason) for r in d.said(ExecutionReport)) for d in (desk, plain)]
    assert told[0] == told[1]
    assert (len(desk.quotes), len(desk.sent)) == (2, 0)
    assert (len(plain.quotes), len(plain.sent)) == (0, 6)


def test_a_side_that_risk_refuses_is_left_out_and_the_places_stay(desk: Desk) -> None:
    limit = RiskLimitSet(limit=1, check=RiskCheck.QUANTITY_LIMITS, hard=50, generation=1, scope_type=ScopeType.GLOBAL)
    desk.frame(limit, 1)
    wide = QuoteEntry(entry=1, instrument=INSTRUMENT, bid_px=4990, bid_qty=60, ask_px=5010, ask_qty=60)
    half = QuoteEntry(entry=2, instrument=INSTRUMENT, bid_px=4985, bid_qty=60, ask_px=5015, ask_qty=10)
    ids = quote(desk, wide, half, entry(3, 4980, 5020))
    assert [desk.status(o) for o in ids] == [OrdStatus.REJECTED] * 3 + [OrdStatus.PENDING_NEW] * 3
    (m,) = desk.said(RoutedQuote)
    assert [(e.bid_px, e.ask_px) for e in m.entries] == [(NULL, NULL), (NULL, 5015), (4980, 5020)]


def test_all_refused_and_nothing_is_kept(desk: Desk) -> None:
    desk.frame(KillSwitch(kill=1, scope_type=ScopeType.GLOBAL), OPERATOR)
    ids = quote(desk)
    assert [desk.status(o) for o in ids] == [OrdStatus.REJECTED] * 2
    assert (desk.quotes, desk.oms.memory.instructions.native_quotes) == ([], {})


def test_one_side_alone_is_an_order(desk: Desk) -> None:
    quote(desk, QuoteEntry(entry=1, instrument=INSTRUMENT, bid_px=4990, bid_qty=10))
    assert (len(desk.quotes), len(desk.sent)) == (0, 1)


def test_beyond_the_budget_they_go_as_orders_may(desk: Desk) -> None:
    rule = Rule(name="a", venue=VENUE, kind=Kind.FIXED_WINDOW, limit=1, period_ns=10**6 * SECOND, reserve_percent=0,
                policy=Policy.REJECT)  # fmt: skip
    desk.oms.set_budgets([rule])
    quote(desk)
    assert len(desk.quotes) == 1  # four orders' worth for one
    ids = quote(desk, entry(2), quote_id=2)
    assert len(desk.quotes) == 1
    assert {desk.reports(o)[-1][2] for o in ids} == {Reason.VENUE_RATE_BUDGET}


def test_a_gateway_that_is_not_ready(desk: Desk) -> None:
    desk.phase(GatewayPhase.DOWNLOADING)
    ids = quote(desk)
    assert desk.quotes == []
    assert [desk.status(o) for o in ids] == [OrdStatus.REJECTED] * 2


def test_refused_by_the_gateway_none_was_sent(desk: Desk) -> None:
    ids = quote(desk)
    (m,) = desk.quotes
    desk.frame(SendRefused(request_seq=seq_of(desk, m), reason=Reason.HARD_CAP), GATEWAY)
    assert [desk.reports(o)[-1] for o in ids] == [(ExecType.REJECTED, OrdStatus.REJECTED, Reason.HARD_CAP)] * 2
    assert [desk.reserved(o) for o in ids] == [0, 0]


def test_no_answer_and_each_is_asked_for(desk: Desk) -> None:
    ids = quote(desk)
    (m,) = desk.quotes
    desk.pass_time(6 * SECOND)
    asked = desk.said(RoutedQuery)
    assert [(q.order_id, q.orig_request_seq) for q in asked] == [(o, seq_of(desk, m)) for o in ids]


def test_one_refused_by_the_venue_leaves_the_other(desk: Desk) -> None:
    bid, ask = quote(desk)
    desk.update(bid, ExecType.REJECTED, ord_status=OrdStatus.REJECTED, reason=Reason.POST_ONLY_WOULD_TAKE)
    desk.ack(ask)
    assert (desk.status(bid), desk.status(ask)) == (OrdStatus.REJECTED, OrdStatus.NEW)


def test_restarts_say_the_same(desk: Desk) -> None:
    for order_id in quote(desk, entry(1), entry(2, 4985, 5015)):
        desk.ack(order_id)
    quote(desk, entry(1, 4980, 5020), quote_id=2)
    whole = desk.replay()
    for at in range(1, len(desk.stream), 2):
        assert desk.replay(restart_at=at) == whole
