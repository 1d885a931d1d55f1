"""CancelAll: what it covers, what it must not touch, and that it adds up, with one final word."""

from __future__ import annotations

from typing import Any

import pytest
from oms_and_risk import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, OTHER, STRATEGY, VENUE, Desk

from journal.messages import (
    CancelAll,
    CancelAllReport,
    CancelOrder,
    CxlRejResponseTo,
    ExecType,
    GatewayPhase,
    OrdStatus,
    OrdType,
    Reason,
    RoutedCancel,
    ScopeType,
    Side,
    VenueCancelReject,
)

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def desk() -> Desk:
    d = Desk()
    d.ready()
    d.touch(4995, 5005)
    return d


def work(desk: Desk, **terms: Any) -> int:
    order_id = desk.ask(OrdType.LIMIT, **({"price_px": 4900} | terms))
    desk.ack(order_id)
    return order_id


def sweep(desk: Desk, by: int = STRATEGY, **fields: int) -> None:
    desk.frame(CancelAll(**({"scope_type": ScopeType.GLOBAL, "request": 5} | fields)), by)


def numbers(desk: Desk) -> list[tuple[int, int, int, int, int]]:
    return [(r.matched, r.canceled, r.rejected, r.pending, r.final) for r in desk.said(CancelAllReport)]


def canceled(desk: Desk) -> list[int]:
    return [m.order_id for m in desk.said(RoutedCancel)]


def test_one_owner_never_hits_another(desk: Desk) -> None:
    mine, theirs = work(desk), work(desk, source=OTHER)
    sweep(desk)
    assert canceled(desk) == [mine]
    sweep(desk, by=OPERATOR)
    assert canceled(desk) == [mine, theirs]
    assert numbers(desk) == [(1, 0, 0, 1, 0), (2, 0, 0, 2, 0)]


# Two orders each: the scope covers the first of these only.
FILTERS: list[tuple[dict[str, int], dict[str, int], dict[str, int]]] = [
    ({"scope_type": ScopeType.STRATEGY, "scope_strategy": 1}, {"strategy": 1}, {"strategy": 2}),
    ({"scope_type": ScopeType.USER, "scope_user": 3}, {"user": 3}, {"user": 4}),
    ({"side": SELL}, {"side": SELL, "price_px": 5100}, {"side": BUY}),
    ({"scope_type": ScopeType.SOURCE, "scope_source": OTHER}, {"source": OTHER}, {}),
    (
        {"scope_type": ScopeType.STRATEGY_INSTRUMENT, "scope_strategy": 1, "scope_instrument": INSTRUMENT},
        {"strategy": 1}, {"strategy": 2},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "hit", "spared"), FILTERS)
def test_filters(desk: Desk, scope: dict[str, int], hit: dict[str, int], spared: dict[str, int]) -> None:
    first = work(desk, **hit)
    work(desk, **spared)
    sweep(desk, by=OPERATOR, **scope)
    assert canceled(desk) == [first]


@pytest.mark.parametrize(("scope", "hits"), [
    ({"scope_type": ScopeType.ACCOUNT, "scope_account": ACCOUNT}, True),
    ({"scope_type": ScopeType.ACCOUNT, "scope_account": 99}, False),
    ({"scope_type": ScopeType.VENUE, "scope_venue": VENUE}, True),
    ({"scope_type": ScopeType.VENUE, "scope_venue": 99}, False),
    ({"scope_type": ScopeType.INSTRUMENT, "scope_instrument": INSTRUMENT}, True),
    ({"scope_type": ScopeType.INSTRUMENT, "scope_instrument": 99}, False),
])  # fmt: skip
def test_places(desk: Desk, scope: dict[str, int], hits: bool) -> None:
    order_id = work(desk)
    sweep(desk, by=OPERATOR, **scope)
    assert canceled(desk) == ([order_id] if hits else [])
    if not hits:
        assert numbers(desk) == [(0, 0, 0, 0, 1)]


@pytest.mark.parametrize("scope", [{"scope_type": 0}, {"scope_type": 99}, {"scope_type": ScopeType.GROUP}, {"side": 9}])
def test_a_filter_that_cannot_be_judged_is_refused_and_hits_nobody(desk: Desk, scope: dict[str, int]) -> None:
    work(desk)
    sweep(desk, **scope)
    (report,) = desk.said(CancelAllReport)
    assert (report.reason, report.final, report.matched) == (Reason.INVALID_FILTER, 1, 0)
    assert canceled(desk) == []


def test_it_adds_up_until_its_one_final_word(desk: Desk) -> None:
    ids = [work(desk) for _ in range(4)]
    held = desk.ask(OrdType.STOP, stop_px=5020)
    desk.frame(CancelOrder(order_id=ids[3]), STRATEGY)  # its own cancel is under way: waited for, not sent twice
    sweep(desk)
    assert canceled(desk) == [ids[3], *ids[:3]]
    assert numbers(desk) == [(5, 1, 0, 4, 0)]
    assert desk.status(held) == OrdStatus.CANCELED
    desk.update(ids[0], ExecType.CANCELED)
    desk.fill(ids[1], 100)  # crossed
    refused = VenueCancelReject(order_id=ids[2], response_to=CxlRejResponseTo.CANCEL, reason=Reason.RATE_LIMIT)
    desk.frame(refused, GATEWAY)
    assert len(numbers(desk)) == 1
    desk.update(ids[3], ExecType.CANCELED)
    assert numbers(desk) == [(5, 1, 0, 4, 0), (5, 3, 2, 0, 1)]
    assert desk.said(CancelAllReport)[-1].request == 5
    desk.update(ids[0], ExecType.CANCELED)
    assert len(numbers(desk)) == 2
    assert desk.oms.memory.instructions.sweeps == {}
    assert desk.oms.memory.instructions.swept == {}


def test_it_waits_through_a_disconnect(desk: Desk) -> None:
    order_id = work(desk)
    sweep(desk)
    desk.disconnect()
    desk.phase(GatewayPhase.DISCONNECTED)
    assert numbers(desk) == [(1, 0, 0, 1, 0)]
    desk.phase(GatewayPhase.READY)
    desk.update(order_id, ExecType.CANCELED)
    assert numbers(desk)[-1] == (1, 1, 0, 0, 1)


def test_two_at_once_each_get_their_final_word(desk: Desk) -> None:
    order_id = work(desk)
    sweep(desk, request=1)
    sweep(desk, by=OPERATOR, request=2)
    assert len(canceled(desk)) == 1
    desk.update(order_id, ExecType.CANCELED)
    assert [r.request for r in desk.said(CancelAllReport) if r.final] == [1, 2]


def test_restarts_say_the_same(desk: Desk) -> None:
    ids = [work(desk) for _ in range(3)]
    sweep(desk)
    for order_id in ids:
        desk.update(order_id, ExecType.CANCELED)
    whole = desk.replay()
    for at in range(1, len(desk.stream), 2):
        assert desk.replay(restart_at=at) == whole
