"""CancelAll: what it covers, what it must not touch, and that it adds up, with one final word."""

from __future__ import annotations

import pytest
from oms_and_risk import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, OTHER, STRATEGY, VENUE, Desk, sweep, work

from journal.messages import (
    CancelAllReport,
    CancelOrder,
    CxlRejResponseTo,
    DestinationDefined,
    ExecType,
    GatewayPhase,
    GatewayStatus,
    GroupDefined,
    GroupMember,
    InstrumentDefined,
    KillLevel,
    KillSwitch,
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


@pytest.mark.parametrize(
    "scope",
    [
        {"scope_type": 0},
        {"scope_type": 99},
        {"side": 9},
        {"scope_type": ScopeType.GROUP, "scope_group": 77},
        {"scope_type": ScopeType.DESTINATION},
        {"scope_type": ScopeType.DESTINATION, "scope_source": 77},
    ],
)
def test_a_filter_that_cannot_be_judged_is_refused_and_hits_nobody(desk: Desk, scope: dict[str, int]) -> None:
    work(desk)
    sweep(desk, **scope)
    (report,) = desk.said(CancelAllReport)
    assert (report.reason, report.final, report.matched) == (Reason.INVALID_FILTER, 1, 0)
    assert canceled(desk) == []


MEMBERS = [
    (ScopeType.STRATEGY, 2, {"strategy": 2}, {"strategy": 3}),
    (ScopeType.USER, 4, {"user": 4}, {"user": 5}),
]


@pytest.mark.parametrize(("member_type", "member", "hit", "spared"), MEMBERS)
def test_a_group_is_its_members(desk: Desk, member_type: int, member: int, hit: dict[str, int], spared: dict[str, int]) -> None:
    desk.frame(GroupDefined(group=6, members=[GroupMember(member_type=member_type, member=member)]), 1)
    first = work(desk, **hit)
    work(desk, **spared)
    sweep(desk, by=OPERATOR, scope_type=ScopeType.GROUP, scope_group=6)
    assert canceled(desk) == [first]
    desk.frame(GroupDefined(group=6), 1)  # nobody is left in it
    sweep(desk, by=OPERATOR, scope_type=ScopeType.GROUP, scope_group=6)
    assert numbers(desk)[-1] == (0, 0, 0, 0, 1)


def test_an_underlying_is_that_of_the_instrument(desk: Desk) -> None:
    order_id = work(desk)
    of_five = {"scope_type": ScopeType.UNDERLYING, "scope_underlying": 5}
    sweep(desk, by=OPERATOR, **of_five)
    assert canceled(desk) == []
    for underlying, hits in ((4, []), (5, [order_id])):
        desk.frame(InstrumentDefined(instrument=INSTRUMENT, venue=VENUE, tick_px=5, lot_qty=1, underlying=underlying), 1)
        sweep(desk, by=OPERATOR, **of_five)
        assert canceled(desk) == hits


def test_a_kill_of_an_underlying_covers_its_orders(desk: Desk) -> None:
    order_id = work(desk)
    desk.frame(InstrumentDefined(instrument=INSTRUMENT, venue=VENUE, tick_px=5, lot_qty=1, underlying=5), 1)
    for underlying, hits in ((4, []), (5, [order_id])):
        kill = KillSwitch(kill=underlying, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.UNDERLYING,
                          scope_underlying=underlying)  # fmt: skip
        desk.frame(kill, OPERATOR)
        assert canceled(desk) == hits


def test_a_connection_is_that_of_a_gateway(desk: Desk) -> None:
    desk.frame(DestinationDefined(destination=3, venue=VENUE, account=ACCOUNT, gateway=44), 1)
    desk.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, gateway=44, phase=GatewayPhase.READY), 44)
    by = {n: work(desk, destination=n) for n in (2, 3)}
    held = desk.ask(OrdType.STOP, stop_px=5020)  # went by none
    sweep(desk, by=OPERATOR, scope_type=ScopeType.DESTINATION, scope_source=44)
    assert canceled(desk) == [by[3]]
    sweep(desk, by=OPERATOR, scope_type=ScopeType.DESTINATION, scope_source=GATEWAY)
    assert canceled(desk) == [by[3], by[2]]
    assert desk.status(held) == OrdStatus.SUSPENDED


def test_the_only_connection_need_not_be_defined_with_its_gateway(desk: Desk) -> None:
    desk.frame(DestinationDefined(destination=2, venue=VENUE, account=ACCOUNT), 1)
    order_id = work(desk)
    sweep(desk, by=OPERATOR, scope_type=ScopeType.DESTINATION, scope_source=GATEWAY)
    assert canceled(desk) == [order_id]


def test_it_adds_up_until_its_one_final_word(desk: Desk) -> None:
    ids = [work(desk) for _ in range(4)]
    held = desk.ask(OrdType.STOP, stop_px=5020)
    desk.frame(CancelOrder(order_id=ids[3]), STRATEGY)  # its own cancel is under way: waited for, not sent twice
    sweep(desk, request=5)
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


def test_one_that_comes_again_hits_nothing_that_was_asked_since(desk: Desk) -> None:
    first = work(desk)
    sweep(desk, request=7)
    later = work(desk)
    sweep(desk, request=7)
    assert canceled(desk) == [first]
    assert numbers(desk) == [(1, 0, 0, 1, 0), (0, 0, 0, 0, 1)]
    again = desk.said(CancelAllReport)[-1]
    assert (again.request, again.reason, again.request_seq) == (7, Reason.REPEATED_REQUEST, desk.seq - 1)
    sweep(desk, by=OPERATOR, request=7, side=BUY)  # his own seven
    assert canceled(desk) == [first, later]
    for _ in range(2):
        sweep(desk)  # without a number each is one of its own
    assert desk.said(CancelAllReport)[-1].reason == 0
    whole = desk.replay()
    for at in range(1, len(desk.stream)):
        assert desk.replay(restart_at=at) == whole


def test_restarts_say_the_same(desk: Desk) -> None:
    ids = [work(desk) for _ in range(3)]
    sweep(desk)
    for order_id in ids:
        desk.update(order_id, ExecType.CANCELED)
    whole = desk.replay()
    for at in range(1, len(desk.stream), 2):
        assert desk.replay(restart_at=at) == whole
