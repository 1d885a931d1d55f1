"""Mass quotes: two orders an entry, replaced, pulled, told, and protected."""

from __future__ import annotations

from typing import Any

import pytest
from oms_and_risk import ACCOUNT, GATEWAY, INSTRUMENT, NULL, OPERATOR, OTHER, SECOND, STRATEGY, Desk

from journal.messages import (
    Alert,
    CancelQuotes,
    Clock,
    ExecType,
    ExecutionReport,
    MassQuote,
    MmpState,
    OrdStatus,
    QuoteEntry,
    QuoteStatus,
    QuoteStatusReport,
    Reason,
    RiskDecision,
    RoutedCancel,
    Side,
    VenueMmpState,
    order_id_source,
)

Q = QuoteStatus


@pytest.fixture
def desk() -> Desk:
    d = Desk()
    d.ready()
    d.touch(4995, 5005)
    return d


def entry(number: int = 1, bid: int = 4990, ask: int = 5010, qty: int = 10, **more: int) -> QuoteEntry:
    return QuoteEntry(entry=number, instrument=INSTRUMENT, bid_px=bid, bid_qty=qty, ask_px=ask, ask_qty=qty, **more)


def quote(desk: Desk, *entries: QuoteEntry, by: int = STRATEGY, quote_id: int = 1, **more: int) -> list[int]:
    """A MassQuote; the ids of the orders that were sent for it."""
    before = len(desk.sent)
    desk.frame(MassQuote(quote_id=quote_id, account=ACCOUNT, strategy=3, entries=list(entries or (entry(),)), **more), by)
    return [m.order_id for m in desk.sent[before:]]


def work(desk: Desk, *entries: QuoteEntry, **more: Any) -> list[int]:
    ids = quote(desk, *entries, **more)
    for order_id in ids:
        desk.ack(order_id)
    return ids


def told(desk: Desk) -> list[tuple[int, int, int]]:
    return [(r.entry, r.quote_status, r.reason) for r in desk.said(QuoteStatusReport)]


def test_two_orders_an_entry_each_decided_and_in_the_askers_name(desk: Desk) -> None:
    ids = work(desk, entry(1), entry(2, bid=4980, ask=5020), entry(3, bid=4970, ask=NULL))
    assert [(m.side, m.price_px, m.order_qty, m.strategy) for m in desk.sent] == [
        (Side.BUY, 4990, 10, 3), (Side.SELL, 5010, 10, 3), (Side.BUY, 4980, 10, 3), (Side.SELL, 5020, 10, 3),
        (Side.BUY, 4970, 10, 3),
    ]  # fmt: skip
    assert len(set(ids)) == 5
    assert {order_id_source(x) for x in ids} == {STRATEGY}
    kinds = {m.request_kind for _, _, m in desk.stream if isinstance(m, RiskDecision)}
    assert kinds == {MassQuote.KIND}
    assert told(desk) == [(n, s, 0) for s in (Q.ACCEPTED, Q.ACTIVE) for n in (1, 2, 3)]
    report = desk.said(QuoteStatusReport)[-1]
    assert (report.bid_order_id, report.ask_order_id) == (ids[4], 0)


def test_a_new_quote_pulls_the_old_before_it_goes(desk: Desk) -> None:
    old = work(desk)
    new = quote(desk, entry(bid=4985, ask=5015), quote_id=2)
    kinds = [(type(m).__name__, m.order_id) for m in desk.emitted if type(m).__name__ in ("RoutedOrder", "RoutedCancel")]
    assert kinds[2:] == [*(("RoutedCancel", x) for x in old), *(("RoutedOrder", x) for x in new)]
    assert desk.reserved(old[0]) + desk.reserved(new[0]) == 20  # until the venue has confirmed
    for order_id in old:
        desk.update(order_id, ExecType.CANCELED)
    assert [r.quote_id for r in desk.said(QuoteStatusReport)][-1] == 2


def test_other_entries_and_other_askers_are_left_alone(desk: Desk) -> None:
    work(desk, entry(1))
    work(desk, entry(2), quote_id=2)
    work(desk, entry(1), by=OTHER, quote_id=3)
    assert desk.count(RoutedCancel) == 0
    assert len(desk.oms.memory.instructions.quotes) == 3


BAD: list[list[QuoteEntry]] = [
    [], [entry(1), entry(1)], [entry(bid=5010, ask=5010)], [entry(qty=0)], [entry(qty=-1)], [entry(bid=NULL, ask=NULL)],
    [entry(n) for n in range(33)],
]  # fmt: skip


@pytest.mark.parametrize("entries", BAD)
def test_what_is_no_quote_is_refused_whole(desk: Desk, entries: list[QuoteEntry]) -> None:
    desk.frame(MassQuote(quote_id=1, account=ACCOUNT, entries=entries), STRATEGY)
    assert {(s, r) for _, s, r in told(desk)} == {(Q.REJECTED, Reason.INVALID_QUOTE)}
    assert desk.sent == []
    assert desk.risk.memory.exposure.orders == {}


def test_the_largest_quote_goes(desk: Desk) -> None:
    assert len(quote(desk, *(entry(n) for n in range(32)))) == 64


def test_a_side_that_risk_refuses_does_not_take_the_other_along(desk: Desk) -> None:
    (ask,) = quote(desk, entry(bid=4991))  # off the tick
    desk.ack(ask)
    assert told(desk)[-1][1] == Q.ACTIVE
    both = quote(desk, entry(2, bid=4991, ask=5011), quote_id=2)
    assert both == []
    assert told(desk)[-1] == (2, Q.REJECTED, Reason.PRICE_NOT_ON_TICK)


def test_fills_are_reported_as_of_any_order(desk: Desk) -> None:
    bid, ask = work(desk)
    desk.fill(bid, 10)
    assert told(desk)[-1][1] == Q.TRADED
    trade = next(r for r in desk.said(ExecutionReport) if r.exec_type == ExecType.TRADE)
    assert (trade.order_id, trade.strategy, trade.cum_qty) == (bid, 3, 10)
    desk.fill(ask, 10)
    assert desk.oms.memory.instructions.quotes == {}


def test_a_quote_with_an_end_is_over_then(desk: Desk) -> None:
    end = desk.now + SECOND
    work(desk, valid_until_ts=end)
    desk.frame(Clock(), 0, ns=end - desk.now)
    assert [m.reason for m in desk.said(RoutedCancel)] == [Reason.EXPIRED_BY_TIME] * 2
    desk.frame(MassQuote(quote_id=2, account=ACCOUNT, valid_until_ts=desk.now, entries=[entry()]), STRATEGY)
    assert told(desk)[-1][2] == Reason.INVALID_QUOTE


PULLS: list[tuple[dict[str, int], int, list[int]]] = [
    ({}, STRATEGY, [1, 2]),
    ({"quote_id": 2}, STRATEGY, [2]),
    ({"set": 7}, STRATEGY, [2]),
    ({"instrument": 5}, STRATEGY, []),
    ({"account": ACCOUNT}, STRATEGY, [1, 2]),
    ({}, OTHER, []),
    ({}, OPERATOR, [1, 2]),
]


@pytest.mark.parametrize(("what", "by", "pulled"), PULLS)
def test_cancel_quotes(desk: Desk, what: dict[str, int], by: int, pulled: list[int]) -> None:
    ids = {1: work(desk, entry(1)), 2: work(desk, entry(2, set=7), quote_id=2)}
    desk.frame(CancelQuotes(**what), by)
    assert [m.order_id for m in desk.said(RoutedCancel)] == [x for n in pulled for x in ids[n]]
    for order_id in [x for n in pulled for x in ids[n]]:
        desk.update(order_id, ExecType.CANCELED)
    assert [(e, s) for e, s, _ in told(desk) if s == Q.CANCELED] == [(n, Q.CANCELED) for n in pulled]


def protected(desk: Desk, *, fills: int = 0, qty: int = 0) -> None:
    desk.oms.mmp_window_ns, desk.oms.mmp_fills, desk.oms.mmp_qty = SECOND, fills, qty


@pytest.mark.parametrize(("settings", "enough"), [({"fills": 3}, [1, 1, 1]), ({"qty": 6}, [3, 2, 1])])
def test_protection_trips_at_its_bound_and_not_before(desk: Desk, settings: dict[str, int], enough: list[int]) -> None:
    protected(desk, **settings)
    bid, ask = work(desk, mmp_group=1)
    for qty in enough[:-1]:
        desk.fill(bid, qty)
    assert desk.count(RoutedCancel) == 0
    desk.fill(bid, enough[-1])
    assert [(m.order_id, m.reason) for m in desk.said(RoutedCancel)] == [
        (bid, Reason.MMP_TRIGGERED), (ask, Reason.MMP_TRIGGERED),
    ]  # fmt: skip
    assert desk.said(Alert)[-1].rule == Reason.MMP_TRIGGERED


def test_fills_outside_the_window_do_not_count(desk: Desk) -> None:
    protected(desk, fills=3)
    bid, _ = work(desk, mmp_group=1)
    desk.fill(bid, 1)
    desk.fill(bid, 1)
    desk.frame(Clock(), 0, ns=SECOND)
    desk.fill(bid, 1)
    assert desk.count(RoutedCancel) == 0
    desk.fill(bid, 1)
    desk.fill(bid, 1)
    assert desk.count(RoutedCancel) == 2


def test_a_frozen_group_stays_frozen_until_it_is_reset(desk: Desk) -> None:
    protected(desk, fills=1)
    bid, ask = work(desk, mmp_group=1)
    desk.fill(bid, 1)
    for order_id in (bid, ask):
        desk.update(order_id, ExecType.CANCELED)
    assert quote(desk, entry(), quote_id=2, mmp_group=1) == []
    assert told(desk)[-1] == (1, Q.MMP_FROZEN, Reason.MMP_TRIGGERED)
    assert len(desk.risk.memory.exposure.orders) == 0
    assert len(quote(desk, entry(), quote_id=3, mmp_group=2)) == 2  # another group is another
    assert len(quote(desk, entry(2), quote_id=4, mmp_group=1, mmp_reset=1)) == 2


def test_the_same_fill_again_is_none(desk: Desk) -> None:
    protected(desk, fills=2)
    bid, _ = work(desk, mmp_group=1)
    desk.fill(bid, 1)
    desk.trade -= 1
    desk.fill(bid, 1)
    assert desk.count(RoutedCancel) == 0


def test_the_venues_protection_freezes_and_thaws(desk: Desk) -> None:
    work(desk, mmp_group=1)
    until = desk.now + SECOND
    desk.frame(VenueMmpState(account=ACCOUNT, mmp_group=1, state=MmpState.FROZEN, frozen_until_ts=until), GATEWAY)
    assert desk.count(RoutedCancel) == 2
    assert quote(desk, quote_id=2, mmp_group=1) == []
    desk.now = until
    assert len(quote(desk, quote_id=3, mmp_group=1)) == 2
    desk.frame(VenueMmpState(account=ACCOUNT, mmp_group=1, state=MmpState.FROZEN), GATEWAY)
    assert quote(desk, quote_id=4, mmp_group=1) == []
    desk.frame(VenueMmpState(account=ACCOUNT, mmp_group=1, state=MmpState.ACTIVE), GATEWAY)
    assert len(quote(desk, quote_id=5, mmp_group=1)) == 2


def test_a_side_long_archived_is_no_harm(desk: Desk) -> None:
    bid, ask = work(desk)
    desk.fill(bid, 10)
    for _ in range(3):
        desk.now += 61 * SECOND
        desk.ask(2, price_px=4000)
    assert bid not in desk.oms.memory.orders
    desk.update(ask, ExecType.CANCELED)
    assert desk.oms.memory.instructions.quotes == {}
    assert desk.status(ask) == OrdStatus.CANCELED


def test_restarts_say_the_same(desk: Desk) -> None:
    old = work(desk, mmp_group=1)
    work(desk, entry(bid=4985), quote_id=2, mmp_group=1)
    for order_id in old:
        desk.update(order_id, ExecType.CANCELED)
    desk.frame(VenueMmpState(account=ACCOUNT, mmp_group=1, state=MmpState.FROZEN), GATEWAY)
    whole = desk.replay()
    for at in range(1, len(desk.stream), 2):
        assert desk.replay(restart_at=at) == whole
