"""Requests and their budgets: who goes, who waits, who is refused, and that the stream says so."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, SECOND, STRATEGY, VENUE, Recorder

from journal.messages import (
    CancelOrder,
    ExecType,
    KillLevel,
    KillSwitch,
    OrderCancelReject,
    OrdStatus,
    RateLimit,
    RateLimitType,
    RateLimitUsage,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedOrder,
    RoutedQuery,
    RoutedReplace,
    ScopeType,
    VenueCancelReject,
    VenueOrderUpdate,
)
from oms.budgets import Kind, Per, Policy, Rule


class Paced:
    def __init__(self, *rules: Rule, **terms: Any) -> None:
        self.r = Recorder()
        base = {"name": "orders", "venue": VENUE, "kind": Kind.ROLLING_WINDOW, "limit": 10, "period_ns": SECOND}
        self.rules = list(rules) or [Rule(**(base | terms))]
        self.r.oms.set_budgets(self.rules)
        self.r.ready()
        self.numbers = 0

    def new(self, qty: int = 10) -> int:
        self.numbers += 1
        order_id, seq = self.r.new(self.numbers, qty=qty)
        self.r.decide(seq)
        self.r.oms.check()
        return order_id

    def acked(self) -> int:
        order_id = self.new()
        self.r.frame(VenueOrderUpdate(order_id=order_id, exec_type=ExecType.NEW), GATEWAY)
        return order_id

    def cancel(self, order_id: int) -> None:
        self.r.frame(CancelOrder(order_id=order_id), STRATEGY)
        self.r.oms.check()

    def replace(self, order_id: int, qty: int) -> None:
        self.r.decide(self.r.frame(ReplaceOrder(order_id=order_id, order_qty=qty), STRATEGY))
        self.r.oms.check()

    def usage(self, **row: Any) -> None:
        base = {"limit_type": RateLimitType.ORDER_ACTION, "period_ns": SECOND}
        self.r.frame(RateLimitUsage(venue=VENUE, account=ACCOUNT, limits=[RateLimit(**(base | row))]), GATEWAY)

    def waiting(self) -> int:
        return len(self.r.oms.memory.pace.queue)

    def replayed(self) -> None:
        from oms_recorder import OrderManager

        other = Recorder()
        other.oms.set_budgets(self.rules)
        half = len(self.r.stream) // 2
        for at, ((seq, source, message), now) in enumerate(zip(self.r.stream, self.r.times, strict=True)):
            if at == half:
                held, other.oms = other.oms.snapshot(), OrderManager(other)
                other.oms.restore(held)
            other.now, other.seq = now, seq
            other.fire()
            other._deliver(message, source)
        assert [m.encode() for m in other.emitted] == [m.encode() for m in self.r.emitted]
        assert other.oms.snapshot() == self.r.oms.snapshot()


def test_new_orders_leave_cancels_their_share():
    p = Paced()
    orders = [p.new() for _ in range(8)]
    assert [bool(p.r.routed(o)) for o in orders] == [True] * 7 + [False]
    last = p.r.last()
    assert (last.order_id, last.reason, last.ord_status) == (orders[7], Reason.VENUE_RATE_BUDGET, OrdStatus.RECEIVED)
    for order_id in orders[:3]:
        p.cancel(order_id)
        assert p.r.routed(order_id, RoutedCancel)
    p.cancel(orders[3])  # the eleventh
    assert not p.r.routed(orders[3], RoutedCancel)
    assert p.waiting() == 2
    p.r.pass_time(SECOND)
    p.r.oms.check()
    assert p.waiting() == 0
    # The cancel first, though it was asked for later.
    assert p.r.routed(orders[3], RoutedCancel) < p.r.routed(orders[7])
    p.replayed()


def test_a_waiting_order_keeps_its_pass():
    p = Paced(limit=1, reserve_percent=0)
    p.new()
    second = p.new()
    p.r.pass_time(SECOND)
    routed = next(m for m in p.r.said(RoutedOrder) if m.order_id == second)
    decided = next(s for s, _, m in p.r.stream if type(m).__name__ == "RiskDecision" and m.order_id == second)
    assert routed.risk_seq == decided


def test_what_is_refused_by_policy():
    p = Paced(policy=Policy.REJECT, limit=2, reserve_percent=0)
    first = p.acked()
    p.new()
    third = p.new()
    last = p.r.last()
    assert (last.order_id, last.ord_status, last.reason) == (third, OrdStatus.REJECTED, Reason.VENUE_RATE_BUDGET)
    p.replace(first, 20)
    assert p.r.said(OrderCancelReject)[-1].reason == Reason.VENUE_RATE_BUDGET
    p.cancel(first)  # never refused
    assert p.waiting() == 1
    p.r.pass_time(SECOND)
    assert p.r.routed(first, RoutedCancel)
    p.replayed()


def test_a_queue_that_is_full_refuses():
    p = Paced(limit=1, reserve_percent=0, queue_max=1)
    p.new()
    p.new()
    p.new()
    assert (p.r.last().ord_status, p.r.last().reason) == (OrdStatus.REJECTED, Reason.VENUE_RATE_BUDGET)


def test_nobody_overtakes():
    p = Paced(limit=2, reserve_percent=0)
    orders = [p.new() for _ in range(6)]
    for _ in range(3):
        p.r.pass_time(SECOND)
    seqs = [p.r.routed(o) for o in orders]
    assert all(seqs)
    assert seqs == sorted(seqs)


def test_a_cancel_or_a_kill_takes_a_waiting_order_out():
    p = Paced(limit=1, reserve_percent=0)
    p.new()
    second, third = p.new(), p.new()
    p.cancel(second)
    assert p.r.last().ord_status == OrdStatus.CANCELED
    p.r.frame(KillSwitch(kill=1, level=KillLevel.BLOCK, scope_type=ScopeType.GLOBAL), OPERATOR)
    p.r.pass_time(SECOND)
    assert not p.r.routed(second)
    assert not p.r.routed(third)
    assert p.waiting() == 0


def test_a_waiting_replace_and_the_cancel_that_comes_first():
    p = Paced(limit=2, reserve_percent=0)
    first = p.acked()
    p.new()
    p.replace(first, 20)
    assert p.waiting() == 1
    p.r.pass_time(SECOND)
    assert p.r.routed(first, RoutedReplace)
    p.r.frame(VenueOrderUpdate(order_id=first, exec_type=ExecType.REPLACED), GATEWAY)
    p.new()
    p.replace(first, 30)
    p.cancel(first)
    assert p.waiting() == 2
    p.r.pass_time(SECOND)
    p.r.oms.check()
    assert p.r.routed(first, RoutedCancel)
    assert p.r.count(RoutedReplace) == 1
    assert p.r.said(OrderCancelReject)[-1].reason == Reason.ALREADY_PENDING
    p.replayed()


def test_what_the_venue_answered_before_it_went_is_overtaken_by_the_next():
    p = Paced(limit=2, reserve_percent=0)
    first = p.acked()
    p.new()
    p.cancel(first)
    assert p.waiting() == 1
    p.r.frame(VenueCancelReject(order_id=first, reason=Reason.RATE_LIMIT), GATEWAY)  # of nothing that we sent
    p.cancel(first)
    p.r.oms.check()
    assert p.waiting() == 1
    p.r.pass_time(SECOND)
    assert p.r.routed(first, RoutedCancel)
    assert p.waiting() == 0
    p.replayed()


def test_the_age_of_an_order_makes_its_cancel_dear():
    ages = [(5 * SECOND, 8), (10 * SECOND, 6)]
    p = Paced(kind=Kind.TOKEN_BUCKET, limit=10, refill=1, period_ns=10 * SECOND, costs=(1, 1, 0, 0), cancel_ages=ages,
              reserve_percent=0)  # fmt: skip
    first, second = p.acked(), p.acked()
    p.cancel(first)
    assert p.r.routed(first, RoutedCancel)  # 2 + 8
    p.cancel(second)
    assert p.waiting() == 1
    p.r.pass_time(9 * SECOND)
    assert p.waiting() == 1
    p.r.pass_time(SECOND)  # ten seconds old it costs nothing
    assert p.r.routed(second, RoutedCancel)
    p.replayed()


def test_instruments_accounts_and_venues_have_counts_of_their_own():
    p = Paced(per=Per.INSTRUMENT, limit=1, reserve_percent=0)
    first, second = p.new(), p.new()
    assert p.r.routed(first)
    assert not p.r.routed(second)
    assert list(p.r.oms.memory.pace.gauges) == [f"orders/{VENUE}/{ACCOUNT}/{INSTRUMENT}"]
    q = Paced(venue=VENUE + 1, limit=1)
    assert q.r.routed(q.new())
    assert q.r.routed(q.new())  # another venue's budget


def test_two_budgets_at_once():
    a = {"venue": VENUE, "kind": Kind.ROLLING_WINDOW, "reserve_percent": 0}
    p = Paced(Rule(name="second", limit=2, period_ns=SECOND, **a), Rule(name="minute", limit=3, period_ns=60 * SECOND, **a))
    orders = [p.new() for _ in range(4)]
    p.r.pass_time(SECOND)
    assert [bool(p.r.routed(o)) for o in orders] == [True, True, True, False]
    p.r.pass_time(59 * SECOND)
    assert p.r.routed(orders[3])


def test_the_venues_word_corrects():
    p = Paced(limit_type=RateLimitType.ORDER_ACTION, reserve_percent=0)
    p.new()
    p.usage(used=10)
    waits = p.new()
    assert not p.r.routed(waits)
    p.usage(used=0, limit=12)
    assert p.r.routed(waits)
    p.usage(used=12, limit_type=RateLimitType.CONNECTION)  # about something else
    assert p.r.routed(p.new())
    p.replayed()


def test_queries_count_and_always_go():
    p = Paced(limit=2, reserve_percent=0, costs=(1, 1, 1, 1))
    p.acked()
    p.acked()
    p.r.disconnect()
    p.r.phase(6)
    assert p.r.count(RoutedQuery) == 2
    assert p.r.oms.memory.pace.gauges[f"orders/{VENUE}/{ACCOUNT}/0"].used == 4


def test_without_budgets_nothing_is_counted():
    r = Recorder()
    r.ready()
    order_id, seq = r.new(1)
    r.decide(seq)
    assert r.routed(order_id)
    assert not r.oms.memory.pace.gauges


class PacingMachine(RuleBasedStateMachine):
    """Whatever is asked: what left, by the stream alone, never exceeded the budget; no one overtook; nobody is left behind."""

    LIMIT, PERIOD, CAP = 6, SECOND, 4

    @initialize(policy=st.sampled_from(list(Policy)))
    def world(self, policy: int) -> None:
        self.p = Paced(limit=self.LIMIT, period_ns=self.PERIOD, reserve_percent=30, policy=policy)
        self.asked: list[int] = []

    @rule(n=st.integers(1, 4))
    def new(self, n: int) -> None:
        for _ in range(n):
            self.asked.append(self.p.acked())

    @precondition(lambda self: self.asked)
    @rule(n=st.integers(0, 1000))
    def cancel(self, n: int) -> None:
        self.p.cancel(self.asked[n % len(self.asked)])

    @precondition(lambda self: self.asked)
    @rule(n=st.integers(0, 1000), qty=st.integers(11, 40))
    def replace(self, n: int, qty: int) -> None:
        self.p.replace(self.asked[n % len(self.asked)], qty)

    @precondition(lambda self: self.asked)
    @rule(n=st.integers(0, 1000), what=st.sampled_from([ExecType.CANCELED, ExecType.REPLACED]))
    def venue(self, n: int, what: int) -> None:
        order_id = self.asked[n % len(self.asked)]
        if self.p.r.routed(order_id):
            self.p.r.frame(VenueOrderUpdate(order_id=order_id, exec_type=what), GATEWAY)

    @rule(ns=st.sampled_from([1, SECOND // 3, SECOND // 2, SECOND, 2 * SECOND]))
    def time(self, ns: int) -> None:
        self.p.r.pass_time(ns)

    @invariant()
    def within_the_budget(self) -> None:
        self.p.r.oms.check()
        sent = [
            (now, type(m) is RoutedCancel)
            for (_, _, m), now in zip(self.p.r.stream, self.p.r.times, strict=True)
            if isinstance(m, RoutedOrder | RoutedReplace | RoutedCancel)
        ]
        for i, (now, cancel) in enumerate(sent):
            # A frame's time is some nanoseconds after the decision that it was: the window is that much narrower.
            before = sum(1 for ts, _ in sent[:i] if ts > now - self.PERIOD + 200)
            assert before + 1 <= (self.LIMIT if cancel else self.CAP)

    def teardown(self) -> None:
        if not hasattr(self, "p"):
            return
        for _ in range(len(self.asked) * 3 + 3):
            self.p.r.pass_time(SECOND)
        assert self.p.waiting() == 0
        went = [m.order_id for _, _, m in self.p.r.stream if isinstance(m, RoutedOrder)]
        assert went == sorted(went)
        for order_id in self.asked:
            found = self.p.r.oms.memory.peek(order_id)
            assert found is not None
            assert found.base != OrdStatus.RECEIVED
        self.p.replayed()


TestPacingMachine = PacingMachine.TestCase
TestPacingMachine.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
