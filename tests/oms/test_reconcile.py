"""Reconciliation, case by case: every difference there is, what is done about it, what a person may do, what the gate says."""

from __future__ import annotations

import pytest
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, SECOND, VENUE, Recorder
from recon_venue import Venue

from journal.messages import (
    Alert,
    AlertSeverity,
    Approval,
    ApprovalDecision,
    Channel,
    CommandCode,
    CorrectionAction,
    DifferenceType,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    ExecutionReport,
    Funding,
    FundsConfirmed,
    Gate,
    GateCause,
    GateState,
    GatewayPhase,
    GatewayStatus,
    KillRelease,
    KillSwitch,
    MarginConfirmed,
    OperatorCommand,
    OrdStatus,
    PositionConfirmed,
    QueryType,
    Reason,
    ReconcileCorrection,
    ReconcileDifference,
    ReconcileFinished,
    ReconcileResult,
    ReconcileStarted,
    ReconcileTrigger,
    RoutedOrder,
    RoutedQuery,
    ScopeType,
    SourceDefined,
    SourceRole,
)
from oms.differences import Settings

POSITIONS = 12
ATTEMPTS = 3


def results(r: Recorder) -> list[int]:
    return [m.result for m in r.said(ReconcileFinished)]


def gate(r: Recorder) -> tuple[int, int]:
    last = [m for m in r.said(Gate) if not m.instrument][-1]
    return last.state, last.causes


def differences(r: Recorder) -> list[tuple[int, int, int]]:
    return [(m.difference, m.ours, m.theirs) for m in r.said(ReconcileDifference)]


def corrections(r: Recorder) -> list[int]:
    return [m.action for m in r.said(ReconcileCorrection)]


def halted() -> tuple[Venue, int, int]:
    """An account halted over an order that the venue lost: venue, order, the difference's frame."""
    venue = Venue.connected(attempts=ATTEMPTS)
    order_id = venue.work()
    venue.orders.clear()
    venue.settle(120)
    assert results(venue.r)[-1] == ReconcileResult.HALTED
    return venue, order_id, difference_seq(venue.r)


def difference_seq(r: Recorder) -> int:
    return [seq for seq, _, m in r.stream if isinstance(m, ReconcileDifference)][-1]


# Runs.


def test_a_connect_is_compared_before_anything_is_sent() -> None:
    """I-34: shut, then the gateway's download, READY, our own download with its lookback, and only then open."""
    r = Recorder()
    r.oms.reconcile_by(Settings(lookback_ns=1000 * SECOND))
    venue = Venue(r)
    r.ready()
    assert gate(r) == (GateState.CANCEL_ONLY, GateCause.RECONCILING)
    _, seq = r.new(1)
    r.decide(seq)
    assert (r.last().reason, r.count(RoutedOrder)) == (Reason.RECONCILING, 0)
    started, query = r.said(ReconcileStarted)[0], r.said(RoutedQuery)[0]
    assert (started.run, started.trigger, started.account) == (1, ReconcileTrigger.CONNECTED, ACCOUNT)
    assert (
        query.from_ts
        == started.lookback_from_ts
        == next(now for (_, _, m), now in zip(r.stream, r.times, strict=True) if isinstance(m, GatewayStatus)) - 1000 * SECOND
    )
    venue.answer()
    assert results(r) == [ReconcileResult.CONVERGED]
    assert gate(r) == (GateState.OPEN, 0)
    venue.work(2)
    r.oms.check()


def test_without_configuration_nothing_is_compared_or_said() -> None:
    r = Recorder()
    r.ready()
    r.frame(DownloadBegin(account=ACCOUNT), GATEWAY)
    r.frame(DownloadEnd(account=ACCOUNT, complete=1), GATEWAY)
    r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    r.pass_time(600 * SECOND)
    assert not r.emitted
    assert r.oms.memory.reconcile is None


def test_the_timer_asks_again_from_the_last_run_and_its_overlap() -> None:
    venue = Venue.connected(interval_ns=60 * SECOND, overlap_ns=5 * SECOND, lookback_ns=500 * SECOND)
    began = venue.r.oms.memory.reconcile.accounts[ACCOUNT].last_ts  # type: ignore[union-attr]
    venue.r.pass_time(61 * SECOND)
    started = venue.r.said(ReconcileStarted)[-1]
    assert (started.trigger, started.lookback_from_ts) == (ReconcileTrigger.TIMER, began - 5 * SECOND)
    assert gate(venue.r) == (GateState.OPEN, 0)  # trading goes on meanwhile
    venue.answer()
    assert results(venue.r) == [ReconcileResult.CONVERGED] * 2


def test_a_download_that_is_not_whole_is_not_compared() -> None:
    """Not complete, or with fewer rows than it says: the order it does not mention is not missing."""
    for complete, rows in ((0, -1), (1, 5)):
        venue = Venue.connected(attempts=9)
        venue.work()
        venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
        venue.asked += 1
        venue.download(lambda _: [], complete=bool(complete), rows=rows)
        assert results(venue.r)[-1] == ReconcileResult.INCOMPLETE
        assert not differences(venue.r)
        venue.settle(5)
        assert results(venue.r)[-1] == ReconcileResult.CONVERGED


def test_the_venues_words_on_money_are_rows_too() -> None:
    venue = Venue.connected()
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    words = [cls(account=ACCOUNT) for cls in (PositionConfirmed, FundsConfirmed, MarginConfirmed)]
    words.append(Funding(account=ACCOUNT, channel=Channel.DOWNLOAD))
    venue.answer(lambda rows: [*rows, *words])
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED


def test_a_payment_that_is_pushed_meanwhile_is_no_row() -> None:
    venue = Venue.connected()
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.r.frame(DownloadBegin(account=ACCOUNT), GATEWAY)
    venue.r.frame(Funding(account=ACCOUNT, channel=Channel.ORDER_STREAM), GATEWAY)
    venue.r.frame(DownloadEnd(account=ACCOUNT, rows=1, complete=1), GATEWAY)
    assert results(venue.r)[-1] == ReconcileResult.INCOMPLETE


def test_a_download_that_never_ends_is_incomplete_and_then_halts() -> None:
    venue = Venue.connected(attempts=2)
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    for _ in range(200):
        venue.r.pass_time(SECOND)
    assert results(venue.r)[1:] == [ReconcileResult.INCOMPLETE, ReconcileResult.HALTED]
    alerts = [m for m in venue.r.said(Alert) if m.rule == Reason.RECONCILING]
    assert [m.severity for m in alerts] == [AlertSeverity.CRITICAL]
    assert gate(venue.r)[1] == GateCause.HALTED
    venue.asked = venue.r.count(RoutedQuery)
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    assert gate(venue.r)[1] == GateCause.RECONCILING  # shut until it has converged
    venue.answer()
    assert gate(venue.r) == (GateState.OPEN, 0)


def test_a_lost_connection_ends_the_run_and_the_next_begins_anew() -> None:
    venue = Venue.connected()
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.r.disconnect()
    assert results(venue.r)[-1] == ReconcileResult.INCOMPLETE
    assert gate(venue.r) == (GateState.SHUT, GateCause.NOT_CONNECTED | GateCause.RECONCILING)
    venue.asked = venue.r.count(RoutedQuery)
    venue.reconnect()
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED
    assert gate(venue.r) == (GateState.OPEN, 0)


# Differences that the venue's own frames repair.


def test_a_missing_fill_is_applied_by_the_venues_row_alone() -> None:
    venue = Venue.connected()
    order_id = venue.work()
    venue.trade(order_id, 40, pushed=False)
    venue.settle(61)
    assert (DifferenceType.FILL_MISSING_HERE, 0, 40) in differences(venue.r)
    assert CorrectionAction.APPLY_FILL in corrections(venue.r)
    trades = [m for m in venue.r.said(ExecutionReport) if m.exec_type == ExecType.TRADE]
    assert [(m.last_qty, m.cum_qty) for m in trades] == [(40, 40)]
    assert not venue.r.synthetic
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED


def test_fills_that_we_have_come_again_in_a_lookback_without_an_echo() -> None:
    venue = Venue.connected()
    venue.trade(venue.work(), 40)
    before = venue.r.count(ExecutionReport)
    venue.settle(61)
    assert venue.r.count(ExecutionReport) == before
    assert not differences(venue.r)


def test_a_count_beyond_our_fills_is_asked_for_and_open_until_they_come() -> None:
    venue = Venue.connected(attempts=ATTEMPTS)
    order_id = venue.work()
    venue.there(order_id).cum = 30  # the venue counts a fill that no list of it shows
    venue.settle(150)
    assert (DifferenceType.FILL_MISSING_HERE, 0, 30) in differences(venue.r)
    assert results(venue.r)[-1] == ReconcileResult.HALTED
    assert venue.r.oms.memory.orders[order_id].cum_qty == 0  # nothing is invented


def test_an_end_that_we_missed() -> None:
    venue = Venue.connected()
    order_id = venue.work()
    venue.end(order_id, pushed=False)
    venue.settle(61)
    assert differences(venue.r) == [(DifferenceType.STATUS, OrdStatus.NEW, OrdStatus.CANCELED)]
    assert corrections(venue.r) == [CorrectionAction.CLOSE_OURS]
    assert venue.r.last().ord_status == OrdStatus.CANCELED


def test_terms_that_differ_are_the_venues() -> None:
    venue = Venue.connected()
    order_id = venue.work()
    venue.there(order_id).qty, venue.there(order_id).px = 90, 4999
    venue.settle(61)
    assert differences(venue.r) == [(DifferenceType.QUANTITY, 100, 90), (DifferenceType.PRICE, 5000, 4999)]
    assert corrections(venue.r) == [CorrectionAction.ADJUST] * 2
    assert (venue.r.last().order_qty, venue.r.last().price_px) == (90, 4999)


def test_an_order_that_is_not_ours_is_kept_in_suspense_until_it_is_gone() -> None:
    venue = Venue.connected()
    venue.accept(0, ref="theirs", pushed=False)
    venue.settle(61)
    assert differences(venue.r) == [(DifferenceType.ORDER_UNKNOWN_TO_US, 0, OrdStatus.NEW)]
    assert corrections(venue.r) == [CorrectionAction.SUSPENSE]
    del venue.orders["theirs"]
    venue.settle(61)
    assert corrections(venue.r)[-1] == CorrectionAction.CLOSE_OURS
    assert venue.r.last() in venue.r.synthetic
    assert (venue.r.last().ord_status, venue.r.last().cum_qty) == (OrdStatus.CANCELED, 0)
    assert venue.r.last().reason == Reason.CANCELED_ELSEWHERE
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED


def test_another_fee_is_said_and_accepted() -> None:
    venue = Venue.connected()
    venue.trade(venue.work(), 40, fee=7)
    venue.trades[0] = type(venue.trades[0]).decode(memoryview(venue.trades[0].encode()), 0)
    venue.trades[0].fee = 9
    venue.settle(61)
    assert differences(venue.r) == [(DifferenceType.FEE, 7, 9)]
    assert corrections(venue.r) == [CorrectionAction.ACCEPT_DIFFERENCE]


# What is in flight.


def test_an_order_sent_during_the_download_is_not_missing() -> None:
    venue = Venue.connected()
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.asked += 1
    venue.r.frame(DownloadBegin(account=ACCOUNT), GATEWAY)
    venue.work(2)
    venue.trade(venue.work(3), 10)
    venue.r.frame(DownloadEnd(account=ACCOUNT, complete=1), GATEWAY)
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED
    assert not differences(venue.r)


def test_an_order_not_acknowledged_yet_is_not_missing() -> None:
    venue = Venue.connected()
    _, seq = venue.r.new(1)
    venue.r.decide(seq)
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.asked += 1
    venue.download(lambda _: [])
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED


def test_an_end_that_overtakes_the_list_is_no_difference() -> None:
    """V22: the list was made before the end we have heard since; it does not take it back."""
    venue = Venue.connected()
    order_id = venue.work()
    old = venue.rows()
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.asked += 1
    venue.r.frame(DownloadBegin(account=ACCOUNT), GATEWAY)
    venue.end(order_id)
    for row in old:
        venue.r.frame(row, GATEWAY)
    venue.r.frame(DownloadEnd(account=ACCOUNT, rows=len(old), complete=1), GATEWAY)
    assert not differences(venue.r)
    assert venue.r.oms.memory.orders[order_id].base == OrdStatus.CANCELED


# Differences that nobody repairs: bounded, then a person.


def test_an_order_that_the_venue_has_lost_halts_the_account() -> None:
    venue, order_id, _ = halted()
    mine = results(venue.r)
    assert mine.count(ReconcileResult.DIFFERENCES_OPEN) == ATTEMPTS - 1
    assert gate(venue.r)[1] & GateCause.HALTED
    assert venue.r.oms.memory.orders[order_id].leaves_qty == 100  # the exposure stays
    _, seq = venue.r.new(9)
    venue.r.decide(seq)
    assert venue.r.last().reason == Reason.GATE_SHUT
    runs = len(mine)
    venue.settle(300)
    assert len(results(venue.r)) == runs  # no more by itself


def test_by_configuration_it_is_closed_when_the_venue_has_said_so_twice() -> None:
    venue = Venue.connected(attempts=ATTEMPTS, close_missing=True)
    order_id = venue.work()
    venue.trade(order_id, 30)
    venue.orders.clear()
    venue.settle(120)
    assert venue.r.oms.memory.orders[order_id].base == OrdStatus.CANCELED
    end = next(m for m in venue.r.said(ExecutionReport) if m.exec_type == ExecType.CANCELED)
    assert end in venue.r.synthetic
    assert (end.cum_qty, end.cxl_qty, end.reason) == (30, 70, Reason.UNKNOWN_AT_VENUE)
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED
    assert gate(venue.r) == (GateState.OPEN, 0)


def test_a_fill_that_the_venue_does_not_list_is_reversed_by_a_person_only() -> None:
    venue = Venue.connected(attempts=ATTEMPTS)
    order_id = venue.work()
    venue.trade(order_id, 40)
    venue.trades.clear()
    venue.there(order_id).cum = 0
    venue.settle(90)
    assert results(venue.r)[-1] == ReconcileResult.HALTED
    assert set(differences(venue.r)) == {(DifferenceType.FILL_MISSING_AT_VENUE, 40, 0)}
    assert venue.r.oms.memory.orders[order_id].cum_qty == 40
    correct(venue.r, difference_seq(venue.r), CorrectionAction.REVERSE_FILL)
    taken = venue.r.last()
    assert (taken.exec_type, taken.last_qty, taken.fee, taken.cum_qty) == (ExecType.TRADE_CANCEL, 40, 7, 0)
    assert taken in venue.r.synthetic


def test_a_fill_that_differs_halts_until_the_venue_or_a_person_speaks() -> None:
    venue = Venue.connected(attempts=ATTEMPTS)
    venue.trade(venue.work(), 40, px=5000)
    venue.trades[0] = type(venue.trades[0]).decode(memoryview(venue.trades[0].encode()), 0)
    venue.trades[0].last_px = 4990
    venue.settle(90)
    assert set(differences(venue.r)) == {(DifferenceType.FILL_DIFFERS, 5000, 4990)}
    assert results(venue.r)[-1] == ReconcileResult.HALTED
    correct(venue.r, difference_seq(venue.r), CorrectionAction.ACCEPT_DIFFERENCE)
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.answer()
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED  # as accepted; another difference would count again
    assert gate(venue.r) == (GateState.OPEN, 0)


def test_the_venue_works_what_we_hold_for_closed() -> None:
    venue = Venue.connected(attempts=ATTEMPTS)
    order_id = venue.work()
    venue.end(order_id)
    venue.there(order_id).status = OrdStatus.NEW
    venue.settle(90)
    assert set(differences(venue.r)) == {(DifferenceType.STATUS, OrdStatus.CANCELED, OrdStatus.NEW)}
    assert results(venue.r)[-1] == ReconcileResult.HALTED
    correct(venue.r, difference_seq(venue.r), CorrectionAction.ADOPT_VENUE_ORDER)
    assert venue.r.last() in venue.r.synthetic
    assert (venue.r.last().ord_status, venue.r.last().leaves_qty) == (OrdStatus.NEW, 100)
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.answer()
    assert gate(venue.r) == (GateState.OPEN, 0)


# A person.


def correct(r: Recorder, seq: int, action: int, *, source: int = OPERATOR, **more: int) -> None:
    m = ReconcileCorrection(difference_seq=seq, action=action, reason=Reason.USER_REQUEST, user=2, text="looked", **more)
    r.frame(m, source)


def test_a_person_closes_it_and_the_next_run_opens_the_gate() -> None:
    venue, order_id, seq = halted()
    correct(venue.r, seq, CorrectionAction.CLOSE_OURS)
    assert venue.r.oms.memory.orders[order_id].base == OrdStatus.CANCELED
    assert venue.r.last() in venue.r.synthetic
    assert gate(venue.r)[1] & GateCause.HALTED  # a person says when it goes on
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE, target=ACCOUNT, target_type=ScopeType.ACCOUNT), OPERATOR)
    venue.answer()
    assert venue.r.said(ReconcileStarted)[-1].trigger == ReconcileTrigger.OPERATOR
    assert gate(venue.r) == (GateState.OPEN, 0)
    venue.r.oms.check()


@pytest.mark.parametrize("action", [CorrectionAction.APPLY_FILL, CorrectionAction.ADOPT_VENUE_ORDER, 99])
def test_what_a_person_may_not_do_is_refused_and_changes_nothing(action: int) -> None:
    venue, order_id, seq = halted()
    before = venue.r.oms.memory.orders[order_id].essence()
    correct(venue.r, seq, action)
    assert venue.r.oms.memory.orders[order_id].essence() == before
    assert venue.r.said(Alert)[-1].rule == Reason.COMMAND_NOT_APPLICABLE


def test_what_a_run_has_done_by_policy_is_no_persons_word() -> None:
    venue, order_id, seq = halted()
    correct(venue.r, seq, CorrectionAction.CLOSE_OURS, source=POSITIONS, run=3)
    assert not venue.r.oms.memory.orders[order_id].closed


def test_a_number_that_is_no_difference_is_refused() -> None:
    venue, _, seq = halted()
    correct(venue.r, seq + 1000, CorrectionAction.CLOSE_OURS)
    assert venue.r.said(Alert)[-1].rule == Reason.COMMAND_NOT_APPLICABLE


def test_by_configuration_a_second_person_must_approve() -> None:
    venue, order_id, seq = halted()
    held = venue.r.oms.memory.reconcile
    assert held is not None
    held.settings.approval = True
    correct(venue.r, seq, CorrectionAction.CLOSE_OURS)
    assert venue.r.said(Alert)[-1].rule == Reason.APPROVAL_REQUIRED
    for user, decision, reason in (
        (2, ApprovalDecision.APPROVED, Reason.SAME_PERSON), (3, ApprovalDecision.REFUSED, Reason.APPROVAL_REQUIRED),
    ):  # fmt: skip
        approval = venue.r.frame(Approval(request_seq=seq, user=user, decision=decision), OPERATOR)
        correct(venue.r, seq, CorrectionAction.CLOSE_OURS, approval_seq=approval)
        assert venue.r.said(Alert)[-1].rule == reason
    approval = venue.r.frame(Approval(request_seq=seq, user=3, decision=ApprovalDecision.APPROVED), OPERATOR)
    correct(venue.r, seq, CorrectionAction.CLOSE_OURS, approval_seq=approval)
    assert venue.r.oms.memory.orders[order_id].base == OrdStatus.CANCELED


# Positions and balances, found by whoever keeps them.


def test_a_position_that_differs_shuts_repeats_and_halts() -> None:
    venue = Venue.connected(attempts=ATTEMPTS)
    venue.r.frame(SourceDefined(source=POSITIONS, role=SourceRole.POSITIONS), 0)

    def say(result: int, count: int) -> None:
        run = venue.r.said(ReconcileStarted)[-1].run
        if count:
            m = ReconcileDifference(run=run, account=ACCOUNT, instrument=INSTRUMENT, difference=DifferenceType.POSITION, ours=5)
            venue.r.frame(m, POSITIONS)
        venue.r.frame(ReconcileFinished(run=run, account=ACCOUNT, differences=count, result=result), POSITIONS)

    say(ReconcileResult.DIFFERENCES_OPEN, 1)
    assert gate(venue.r) == (GateState.CANCEL_ONLY, GateCause.DIFFERENCES)
    venue.settle(2)  # again, after the backoff
    assert venue.r.count(ReconcileStarted) == 2
    say(ReconcileResult.CONVERGED, 0)
    assert gate(venue.r) == (GateState.OPEN, 0)
    for _ in range(ATTEMPTS):
        say(ReconcileResult.DIFFERENCES_OPEN, 1)
        venue.settle(10)
    assert gate(venue.r)[1] == GateCause.DIFFERENCES | GateCause.HALTED
    correct(venue.r, difference_seq(venue.r), CorrectionAction.ACCEPT_DIFFERENCE)
    told = venue.r.said(ReconcileCorrection)[-1]  # what the positions go by
    assert (told.difference_seq, told.action) == (difference_seq(venue.r), CorrectionAction.ACCEPT_DIFFERENCE)
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.answer()
    say(ReconcileResult.CONVERGED, 0)
    assert gate(venue.r) == (GateState.OPEN, 0)


# The gate.


@pytest.mark.parametrize(("unknown", "reason"), [(2, 0), (3, Reason.UNKNOWN_ORDERS_PENDING)])
def test_more_unknown_orders_than_allowed_shut_the_gate(unknown: int, reason: int) -> None:
    venue = Venue.connected(max_unknown=2)
    for number in range(1, unknown + 1):
        _, seq = venue.r.new(number)
        venue.r.decide(seq)
    venue.r.pass_time(6 * SECOND)  # none was acknowledged
    _, seq = venue.r.new(9)
    venue.r.decide(seq)
    assert venue.r.last().reason == reason
    wanted = (GateState.CANCEL_ONLY, GateCause.UNKNOWN_ORDERS) if reason else (GateState.OPEN, 0)
    assert gate(venue.r) == wanted
    venue.r.oms.check()


def unsure(venue: Venue, *numbers: int) -> None:
    """Orders that the venue has, and of which nobody has told us in time."""
    for number in numbers:
        venue.work(number, pushed=False)
        venue.r.pass_time(6 * SECOND)


def test_one_unknown_order_too_many_is_compared_at_once() -> None:
    venue = Venue.connected(max_unknown=2)
    venue.r.pass_time(SECOND)
    unsure(venue, 1, 2)
    assert [m.trigger for m in venue.r.said(ReconcileStarted)] == [ReconcileTrigger.CONNECTED]
    unsure(venue, 3)
    started = venue.r.said(ReconcileStarted)[-1]
    assert started.trigger == ReconcileTrigger.UNKNOWN_ORDERS
    assert [m.query for m in venue.r.said(RoutedQuery)].count(QueryType.OPEN_ORDERS) == 2
    venue.answer()
    assert results(venue.r)[-1] == ReconcileResult.CONVERGED
    assert gate(venue.r) == (GateState.OPEN, 0)
    assert not any(order.unknown for order in venue.r.oms.memory.orders.values())
    venue.r.oms.check()


def test_unknown_orders_are_not_compared_faster_than_runs_are_repeated_nor_on_a_lost_line() -> None:
    venue = Venue.connected(max_unknown=0, backoff_ns=100 * SECOND)
    unsure(venue, 1)
    assert gate(venue.r) == (GateState.CANCEL_ONLY, GateCause.UNKNOWN_ORDERS)
    assert len(venue.r.said(ReconcileStarted)) == 1
    other = Venue.connected(max_unknown=0)
    other.work()
    other.r.pass_time(SECOND)
    other.r.phase(GatewayPhase.DISCONNECTED)  # it is unknown now, and there is nobody to ask
    assert gate(other.r)[1] & GateCause.UNKNOWN_ORDERS
    assert len(other.r.said(ReconcileStarted)) == 1


def test_a_kill_of_the_account_shows_at_the_gate() -> None:
    venue = Venue.connected()
    for kill, scope in enumerate(({"scope_type": ScopeType.GLOBAL}, {"scope_type": ScopeType.VENUE, "scope_venue": VENUE},
                                  {"scope_type": ScopeType.ACCOUNT, "scope_account": ACCOUNT}), 1):  # fmt: skip
        venue.r.frame(KillSwitch(kill=kill, **scope), OPERATOR)
        assert gate(venue.r) == (GateState.CANCEL_ONLY, GateCause.KILL)
        venue.r.frame(KillRelease(kill=kill), OPERATOR)
        assert gate(venue.r) == (GateState.OPEN, 0)
    venue.r.frame(KillSwitch(kill=9, scope_type=ScopeType.STRATEGY, scope_strategy=1), OPERATOR)
    assert gate(venue.r) == (GateState.OPEN, 0)  # narrower: not the account's


def test_an_overfill_shuts_its_instrument_until_a_complete_download() -> None:
    venue = Venue.connected()
    venue.trade(venue.work(), 150)
    assert Reason.OVERFILL in [m.rule for m in venue.r.said(Alert)]
    shut = [m for m in venue.r.said(Gate) if m.instrument][-1]
    assert (shut.state, shut.causes, shut.instrument) == (GateState.CANCEL_ONLY, GateCause.OVERFILL, INSTRUMENT)
    venue.r.frame(OperatorCommand(command=CommandCode.RECONCILE), OPERATOR)
    venue.answer()
    assert [m for m in venue.r.said(Gate) if m.instrument][-1].state == GateState.OPEN


def test_the_gate_follows_the_gateway() -> None:
    venue = Venue.connected()
    venue.r.phase(GatewayPhase.DOWNLOADING)
    assert gate(venue.r) == (GateState.SHUT, GateCause.DOWNLOADING)
    venue.r.phase(GatewayPhase.READY)
    assert gate(venue.r) == (GateState.OPEN, 0)  # a hole in the pushes, filled: the connection is the same


def test_a_gate_is_opened_when_nothing_is_compared_any_more() -> None:
    venue = Venue.connected()
    venue.trade(venue.work(), 150)  # an overfill
    venue.r.phase(GatewayPhase.DISCONNECTED)
    assert gate(venue.r)[0] == GateState.SHUT
    venue.r.oms.reconcile_by(None)
    venue.r.pass_time(0)
    opened = venue.r.said(Gate)[-2:]
    assert [(m.venue, m.account, m.instrument) for m in opened] == [(VENUE, ACCOUNT, 0), (VENUE, ACCOUNT, INSTRUMENT)]
    assert {m.state for m in opened} == {GateState.OPEN}
    assert not venue.r.oms.memory.left_shut


def test_notes_of_trades_leave_after_the_lookback() -> None:
    venue = Venue.connected(lookback_ns=10 * SECOND, overlap_ns=SECOND)
    order_id = venue.work()
    for _ in range(5):
        venue.trade(order_id, 1)
        venue.r.pass_time(6 * SECOND)
    held = venue.r.oms.memory.reconcile
    assert held is not None
    assert len(held.trades) == 2
    said = venue.r.replay(restart_at=len(venue.r.stream) // 2)
    assert said == venue.r.emitted
