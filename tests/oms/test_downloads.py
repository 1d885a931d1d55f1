"""What a user may see, and the download that shows it: rows that change nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, OTHER, STRATEGY, Recorder

from journal.messages import (
    DownloadBegin,
    DownloadEnd,
    ExecType,
    ExecutionReport,
    Flag,
    GroupDefined,
    GroupMember,
    OrderStatusRequest,
    OrdStatus,
    ParentOrder,
    ReportFlag,
    ScopeType,
    Side,
    StrategyDefined,
    UserDefined,
    VenueFill,
    order_id_of,
)
from journal.messages.rights import SEES_ALL, Rights

ALICE, BOB, CAROL, AUDITOR = 1, 2, 3, 4


class Day:
    """Alice has an order with a fill, Bob one, a parent is nobody's."""

    def __init__(self) -> None:
        self.r = Recorder()
        self.r.ready()
        for user, roles in ((ALICE, 0), (BOB, 0), (CAROL, 0), (AUDITOR, SEES_ALL)):
            self.r.frame(UserDefined(user=user, roles=roles, name=f"user{user}"), 1)
        self.alice, seq = self.r.new(1, user=ALICE, strategy=1)
        self.r.decide(seq)
        self.r.frame(
            VenueFill(order_id=self.alice, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=40, last_px=5000,
                      trade_no=7), GATEWAY
        )  # fmt: skip
        self.bob, _ = self.r.new(2, user=BOB, source=OTHER)
        self.parent = order_id_of(STRATEGY, 9)
        self.r.frame(
            ParentOrder(order_id=self.parent, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=10), STRATEGY
        )

    def ask(self, source: int = OPERATOR, **scope: Any) -> list[Any]:
        before, state = len(self.r.emitted), self.r.oms.snapshot()
        self.r.frame(OrderStatusRequest(request=77, **scope), source)
        assert self.r.oms.snapshot() == state  # asking changes nothing
        said, flags = self.r.emitted[before:], self.r.flags[before:]
        assert all(f == Flag.LAST | Flag.SNAPSHOT for f in flags)
        assert isinstance(said[0], DownloadBegin)
        assert isinstance(said[-1], DownloadEnd)
        assert (said[0].download, said[-1].download, said[-1].rows, said[-1].complete) == (77, 77, len(said) - 2, 1)
        assert all(isinstance(m, ExecutionReport) and m.exec_type == ExecType.ORDER_STATUS for m in said[1:-1])
        return said[1:-1]

    def orders(self, **scope: Any) -> list[int]:
        return [m.order_id for m in self.ask(**scope) if not m.report_flags & ReportFlag.DUPLICATE_SUPPRESSED]


def test_an_operator_sees_open_orders_parents_and_trades():
    d = Day()
    rows = d.ask()
    assert [m.order_id for m in rows] == [d.parent, d.alice, d.bob, d.alice]
    trade = rows[-1]
    assert (trade.last_qty, trade.last_px, trade.venue_trade_ref, trade.cum_qty) == (40, 5000, "7", 40)
    assert trade.report_flags & ReportFlag.DUPLICATE_SUPPRESSED
    assert rows[0].report_flags & ReportFlag.PARENT


@pytest.mark.parametrize(("user", "alice", "bob"), [(ALICE, True, False), (BOB, False, True), (CAROL, False, False),
                                                    (AUDITOR, True, True), (99, False, False)])  # fmt: skip
def test_a_user_sees_what_is_his(user, alice, bob):
    d = Day()
    found = d.orders(scope_type=ScopeType.USER, scope_user=user)
    assert (d.alice in found, d.bob in found) == (alice, bob)


def test_an_owner_sees_what_his_strategy_does():
    d = Day()
    d.r.frame(StrategyDefined(strategy=1, app=STRATEGY, owner_user=CAROL), 1)
    assert d.orders(scope_type=ScopeType.USER, scope_user=CAROL) == [d.alice]


def test_a_group_shares_its_members():
    d = Day()
    d.r.frame(
        GroupDefined(group=5, members=[GroupMember(member=CAROL, member_type=ScopeType.USER),
                                       GroupMember(member=1, member_type=ScopeType.STRATEGY)]), 1
    )  # fmt: skip
    assert d.orders(scope_type=ScopeType.USER, scope_user=CAROL) == [d.alice]


def test_others_see_what_they_sent():
    d = Day()
    assert d.orders(source=OTHER) == [d.bob]
    assert d.orders(source=STRATEGY) == [d.parent, d.alice]
    assert d.orders(source=GATEWAY) == []


def test_a_scope_narrows_it():
    d = Day()
    assert d.orders(scope_type=ScopeType.INSTRUMENT, scope_instrument=INSTRUMENT + 1) == []
    assert d.orders(scope_type=ScopeType.STRATEGY, scope_strategy=1) == [d.alice]
    assert d.orders(scope_type=ScopeType.ORDER_TREE, scope_order_id=d.parent) == [d.parent]


def test_closed_orders_show_their_trades_only():
    d = Day()
    d.r.frame(
        VenueFill(order_id=d.alice, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=60, last_px=5001,
                  trade_no=8), GATEWAY
    )  # fmt: skip
    rows = [m for m in d.ask() if m.order_id == d.alice]
    assert [(m.last_qty, m.ord_status) for m in rows] == [(40, OrdStatus.FILLED), (60, OrdStatus.FILLED)]


def test_a_replay_says_the_same():
    d = Day()
    d.ask()
    assert [m.encode() for m in d.r.replay(restart_at=len(d.r.stream) // 2)] == [m.encode() for m in d.r.emitted]


ids = st.integers(1, 3)


@given(
    owners=st.dictionaries(ids, ids), desks=st.dictionaries(ids, st.integers(0, 2), min_size=1),
    groups=st.dictionaries(st.integers(1, 2), st.lists(st.tuples(st.sampled_from(
        [ScopeType.ACCOUNT, ScopeType.STRATEGY, ScopeType.INSTRUMENT, ScopeType.USER]), ids), max_size=4)),
    user=ids, account=ids, strategy=st.integers(0, 3), instrument=ids, of_user=st.integers(0, 3),
)  # fmt: skip
def test_rights_are_what_the_sentences_say(owners, desks, groups, user, account, strategy, instrument, of_user):
    rights = Rights()
    for number, desk in desks.items():
        rights.on_user_defined(UserDefined(user=number, desk=desk))
    for number, owner in owners.items():
        rights.on_strategy_defined(StrategyDefined(strategy=number, owner_user=owner))
    for number, members in groups.items():
        rights.on_group_defined(GroupDefined(group=number, members=[GroupMember(member=m, member_type=t) for t, m in members]))
    own = user == of_user or owners.get(strategy) == user
    shared = False
    for number, members in groups.items():
        if desks.get(user) == number or (ScopeType.USER, user) in members:
            for kind, member in members:
                of = {ScopeType.ACCOUNT: account, ScopeType.STRATEGY: strategy, ScopeType.INSTRUMENT: instrument,
                      ScopeType.USER: of_user}[kind]  # fmt: skip
                shared |= of == member
    expected = user in desks and (own or shared)
    assert rights.sees(user, account=account, strategy=strategy, instrument=instrument, of_user=of_user) == expected
