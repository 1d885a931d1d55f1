"""Every row of the order-life table as a whole conversation, and the rules that stand beside the table."""

from __future__ import annotations

import pytest
from oms_recorder import (
    ACCOUNT,
    GATEWAY,
    INSTRUMENT,
    OPERATOR,
    OTHER,
    RISK,
    SECOND,
    STRATEGY,
    VENUE,
    Recorder,
)
from oms_script import Life, read_lives

from journal.messages import (
    Alert,
    CancelOrder,
    Decision,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    KillLevel,
    KillSwitch,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    QueryType,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedQuery,
    ScopeType,
    Side,
    SourceState,
    SourceStateCode,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
    content_hash,
    order_id_of,
)


@pytest.mark.parametrize(("script", "said"), [pytest.param(s, w, id=t) for t, s, w in read_lives()])
def test_order_life(script: str, said: list[str]) -> None:
    life = Life()
    life.play(script)
    assert life.said() == said


def test_a_duplicate_id_is_refused_and_the_first_order_untouched() -> None:
    r = Recorder()
    r.ready()
    order_id, seq = r.new(1)
    r.decide(seq)
    r.new(1, qty=7)
    report = r.last()
    assert (report.exec_type, report.reason) == (ExecType.REJECTED, Reason.DUPLICATE_ORDER_ID)
    assert (report.ord_status, report.order_qty, report.leaves_qty) == (OrdStatus.PENDING_NEW, 100, 100)
    r.frame(RiskDecision(order_id=order_id, request_seq=r.seq, request_kind=NewOrder.KIND, decision=2), RISK)
    assert r.oms.memory.orders[order_id].base == OrdStatus.PENDING_NEW


def test_an_id_is_known_for_ever() -> None:
    r = Recorder()
    r.ready()
    r.new(1, qty=0)
    r.pass_time(120 * SECOND)
    r.new(2)
    assert order_id_of(STRATEGY, 1) in r.oms.memory.archive
    r.new(1)
    assert r.last().reason == Reason.DUPLICATE_ORDER_ID


def test_an_order_id_must_bear_the_number_of_its_source() -> None:
    r = Recorder()
    r.ready()
    r.new(order_id=order_id_of(STRATEGY, 1), source=OTHER)
    assert (r.last().ord_status, r.last().reason) == (OrdStatus.REJECTED, Reason.NOT_OWNER)
    r.new(order_id=order_id_of(STRATEGY, 2), source=OTHER, qty=-2)
    assert (r.last().reason, r.last().order_qty, r.last().report_flags) == (Reason.NOT_OWNER, -2, 0)
    _, seq = r.new(1)  # the owner's number is still free
    r.decide(seq)
    assert r.last().ord_status == OrdStatus.PENDING_NEW


@pytest.mark.parametrize(("who", "may"), [(STRATEGY, True), (OPERATOR, True), (RISK, True), (OTHER, False)])
def test_who_may_cancel(who: int, may: bool) -> None:
    life = Life()
    life.play("n")
    life.r.frame(CancelOrder(order_id=life.order_id), who)
    assert (life.r.count(RoutedCancel) == 1) is may
    assert may or life.r.said(OrderCancelReject)[0].reason == Reason.NOT_OWNER


@pytest.mark.parametrize(("who", "may"), [(STRATEGY, True), (OPERATOR, True), (RISK, False), (OTHER, False)])
def test_who_may_replace(who: int, may: bool) -> None:
    life = Life()
    life.play("n")
    life.r.frame(ReplaceOrder(order_id=life.order_id, order_qty=200), who)
    assert (life.r.last().ord_status == OrdStatus.PENDING_REPLACE) is may


def test_a_cancel_of_an_order_nobody_knows() -> None:
    r = Recorder()
    r.ready()
    r.frame(CancelOrder(order_id=order_id_of(STRATEGY, 5), version=3), STRATEGY)
    refused = r.said(OrderCancelReject)[0]
    assert (refused.reason, refused.version, refused.ord_status) == (Reason.UNKNOWN_ORDER, 3, OrdStatus.REJECTED)


def test_versions_go_up_and_conditions_hold() -> None:
    life = Life()
    life.play("n")
    ask = [
        (
            ReplaceOrder(order_id=life.order_id, version=2, conditional_on_version=1, order_qty=150),
            Reason.CONDITIONAL_VERSION_FAILED,
        ),
        (ReplaceOrder(order_id=life.order_id, version=2, order_qty=150), 0),
        (CancelOrder(order_id=life.order_id, version=2), Reason.STALE_VERSION),
    ]  # fmt: skip
    for m, reason in ask:
        before = life.r.count(OrderCancelReject)
        life.r.frame(m, STRATEGY)
        refused = life.r.said(OrderCancelReject)[before:]
        assert [x.reason for x in refused] == ([reason] if reason else [])


def test_an_order_whose_last_version_is_used_up_can_still_be_changed_and_canceled() -> None:
    life, last = Life(), (1 << 32) - 1
    life.play("n")
    life.r.frame(ReplaceOrder(order_id=life.order_id, version=last, order_qty=150), STRATEGY)
    life.r.frame(CancelOrder(order_id=life.order_id), STRATEGY)
    assert life.r.said(RoutedCancel)[-1].version == last
    assert not life.r.count(OrderCancelReject)


def test_a_pass_for_other_terms_is_no_pass() -> None:
    r = Recorder()
    r.ready()
    order_id, seq = r.new(1)
    wrong = content_hash(NewOrder(order_qty=1))
    r.frame(RiskDecision(order_id=order_id, request_seq=seq, request_kind=NewOrder.KIND, decision=1, content_hash=wrong), RISK)
    assert r.last().reason == Reason.RISK_PASS_MISSING_OR_DIFFERENT
    assert not r.count(RoutedOrder)


def test_a_pass_out_of_nowhere_is_an_alert() -> None:
    r = Recorder()
    r.ready()
    r.frame(RiskDecision(order_id=order_id_of(STRATEGY, 1), request_seq=2, request_kind=NewOrder.KIND, decision=1), RISK)
    assert r.said(Alert)[0].rule == Reason.RISK_PASS_MISSING_OR_DIFFERENT


def test_before_its_first_word_a_gateway_is_not_ready() -> None:
    r = Recorder()
    r.ready()
    r.oms.memory.gates.clear()
    _, seq = r.new(1)
    r.decide(seq)
    assert r.last().reason == Reason.GATEWAY_NOT_READY


@pytest.mark.parametrize(
    ("phase", "reason"),
    [(GatewayPhase.DOWNLOADING, Reason.GATEWAY_NOT_READY), (GatewayPhase.DISCONNECTED, Reason.DESTINATION_DOWN)],
)
def test_only_ready_opens_the_gate(phase: int, reason: int) -> None:
    r = Recorder()
    r.ready()
    r.phase(phase)
    _, seq = r.new(1)
    r.decide(seq)
    assert r.last().reason == reason


@pytest.mark.parametrize(
    ("terms", "reason"),
    [({"destination": 9}, Reason.UNKNOWN_VENUE_OR_DESTINATION), ({"instrument": 77}, Reason.NO_ROUTE)],
)
def test_no_way_to_the_venue(terms: dict[str, int], reason: int) -> None:
    r = Recorder()
    r.ready()
    m = NewOrder(order_id=order_id_of(STRATEGY, 1), account=ACCOUNT, side=Side.BUY, order_qty=1, price_px=1,
                 **({"instrument": INSTRUMENT} | terms))  # fmt: skip
    r.decide(r.frame(m, STRATEGY))
    assert r.last().reason == reason


def test_the_routed_order_has_all_terms_and_the_same_hash() -> None:
    r = Recorder()
    r.ready()
    _, seq = r.new(1, stop_px=4, display_qty=5, exec_inst=1)
    r.decide(seq)
    asked, routed = r.stream[seq - 1][2], r.said(RoutedOrder)[0]
    assert content_hash(routed) == content_hash(asked) == routed.content_hash
    assert routed.destination == 2
    assert r.said(ExecutionReport)[0].exec_type == ExecType.PENDING_NEW


def test_what_a_venue_suspends_and_we_never_sent_is_not_held_by_us() -> None:
    r = Recorder()
    r.ready()
    order_id, seq = r.new(1)
    r.decide(seq, Decision.REJECT, Reason.POSITION_LIMIT)
    for exec_type in (ExecType.NEW, ExecType.SUSPENDED):
        r.frame(VenueOrderUpdate(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=exec_type), GATEWAY)
    order = r.oms.memory.orders[order_id]
    assert (order.base, order.held) == (OrdStatus.NEW, False)
    r.oms.check()


def test_a_cancel_waits_for_the_number_of_the_new() -> None:
    """NewOrder, pass, and a cancel that is sequenced before the RoutedOrder has come back."""
    r = Recorder()
    r.ready()
    order_id, seq = r.new(1)
    r.seq += 1
    asked = r.stream[seq - 1][2]
    r._deliver(
        RiskDecision(
            order_id=order_id, request_seq=seq, request_kind=NewOrder.KIND, decision=1, content_hash=content_hash(asked)
        ),
        RISK,
    )
    routed = r.pending[0]
    r.pending = []
    r.frame(CancelOrder(order_id=order_id), STRATEGY)
    assert not r.count(RoutedCancel)
    assert r.last().ord_status == OrdStatus.PENDING_CANCEL
    at = r.frame(routed, 5)
    assert r.said(RoutedCancel)[0].orig_request_seq == at


def test_a_gateway_that_died_has_lost_its_orders() -> None:
    life = Life()
    life.play("n")
    life.r.frame(SourceState(source=GATEWAY, state=SourceStateCode.DETACHED), 0)
    assert life.r.last().ord_status == OrdStatus.UNKNOWN
    assert not life.r.count(RoutedQuery)  # nobody there to ask
    life.play("ready")
    assert life.r.count(RoutedQuery) == 1


def test_what_a_complete_download_does_not_mention_is_asked_for() -> None:
    for complete, asked in ((0, 0), (1, 1)):
        life = Life()
        life.play("n")
        life.r.frame(DownloadBegin(account=ACCOUNT), GATEWAY)
        life.r.frame(DownloadEnd(account=ACCOUNT, complete=complete), GATEWAY)
        assert life.r.count(RoutedQuery) == asked


def test_an_overfill_shuts_until_a_complete_download() -> None:
    life = Life()
    life.play("n, fill 150, new, pass")
    assert life.r.last().reason == Reason.GATE_SHUT
    life.r.frame(DownloadBegin(account=ACCOUNT), GATEWAY)
    life.r.frame(DownloadEnd(account=ACCOUNT, complete=1), GATEWAY)
    life.play("new, pass")
    assert life.r.last().ord_status == OrdStatus.PENDING_NEW


def test_a_foreign_order_is_recorded_and_never_dropped() -> None:
    r = Recorder()
    r.ready()
    common = {"account": ACCOUNT, "instrument": INSTRUMENT, "side": Side.SELL, "venue_order_ref": "theirs-1"}
    r.frame(VenueOrderUpdate(exec_type=ExecType.NEW, ord_status=OrdStatus.NEW, order_qty=10, **common), GATEWAY)
    assert r.said(Alert)[0].rule == Reason.FOREIGN_ORDER
    assert r.last().report_flags == ReportFlag.EXTERNAL
    assert (r.last().leaves_qty, r.last().strategy) == (10, 0)
    r.frame(VenueFill(last_qty=4, last_px=3, trade_no=1, **common), GATEWAY)
    r.frame(VenueFill(last_qty=4, last_px=3, trade_no=1, **common), GATEWAY)
    assert r.last().report_flags == ReportFlag.EXTERNAL | ReportFlag.DUPLICATE_SUPPRESSED
    r.frame(VenueOrderUpdate(exec_type=ExecType.CANCELED, ord_status=OrdStatus.CANCELED, **common), GATEWAY)
    assert (r.last().cum_qty, r.last().leaves_qty, r.last().cxl_qty) == (4, 0, 6)
    r.frame(CancelOrder(order_id=r.last().order_id), OPERATOR)
    assert r.said(OrderCancelReject)[0].reason == Reason.FOREIGN_ORDER
    r.oms.check()


def test_hostile_numbers_are_told_not_applied() -> None:
    life = Life()
    life.play("n")
    before = life.r.count(ExecutionReport)
    for qty, px in ((0, 1), (-5, 1), (1 << 62, 1), (5, -(1 << 63))):
        life.r.frame(VenueFill(order_id=life.order_id, last_qty=qty, last_px=px, trade_no=1), GATEWAY)
        assert life.r.said(Alert)[-1].rule == Reason.INVALID_VALUE
    life.r.frame(VenueCancelReject(order_id=12345), GATEWAY)
    assert life.r.said(Alert)[-1].rule == Reason.UNKNOWN_ORDER
    assert life.r.count(ExecutionReport) == before


def test_fills_without_a_trade_id_are_applied_each_with_an_alert() -> None:
    life = Life()
    life.play("n")
    for _ in range(2):
        life.r.frame(VenueFill(order_id=life.order_id, last_qty=10, last_px=5000), GATEWAY)
    assert life.r.last().cum_qty == 20
    assert [m.rule for m in life.r.said(Alert)] == [Reason.MISSING_FIELD] * 2


def test_equal_fills_are_two_and_one_fill_told_twice_is_one() -> None:
    """V15, I-49: a fill is known by the venue's trade number, not by what it looks like; also long after the order's end."""
    life = Life()
    life.play("n")
    for trade_no in (1, 2, 1, 2):
        life.r.frame(VenueFill(order_id=life.order_id, last_qty=50, last_px=5000, trade_no=trade_no), GATEWAY)
    assert life.r.last().cum_qty == 100
    life.r.pass_time(120 * SECOND)
    life.r.new(9)
    assert life.order_id in life.r.oms.memory.archive
    life.r.oms.restore(life.r.oms.snapshot())
    life.r.frame(VenueFill(order_id=life.order_id, last_qty=50, last_px=5000, trade_no=1), GATEWAY)
    assert life.r.last().report_flags == ReportFlag.DUPLICATE_SUPPRESSED
    assert (life.r.last().order_id, life.r.last().cum_qty) == (life.order_id, 100)
    life.r.oms.check()


def test_unanswered_queries_slow_down_and_a_person_is_told() -> None:
    life = Life()
    life.play("pn")
    for _ in range(600):
        life.r.pass_time(SECOND)
    queries = [m.request for m in life.r.said(RoutedQuery)]
    assert queries == sorted(set(queries))
    assert 10 <= len(queries) <= 20
    assert [m.rule for m in life.r.said(Alert)] == [Reason.OUTCOME_UNKNOWN]
    assert life.r.oms.memory.orders[life.order_id].leaves_qty == 100  # the exposure stays


def test_a_question_that_shuts_the_gate_is_not_asked_again_as_soon_as_that_is_open() -> None:
    """Fills are asked for by a download, which ends with READY: asked again at once, the venue would hear of nothing else."""
    life = Life()
    life.play("n")
    r = life.r
    filled = VenueOrderUpdate(
        order_id=life.order_id, account=ACCOUNT, instrument=INSTRUMENT, exec_type=ExecType.ORDER_STATUS,
        ord_status=OrdStatus.FILLED, cum_qty=100, leaves_qty=0,
    )  # fmt: skip
    r.frame(filled, GATEWAY)
    assert [m.query for m in r.said(RoutedQuery)] == [QueryType.FILLS]
    for _ in range(20):
        r.phase(GatewayPhase.DOWNLOADING)
        r.phase(GatewayPhase.READY)
    assert r.count(RoutedQuery) == 1
    r.pass_time(6 * SECOND)
    assert r.count(RoutedQuery) == 2


@pytest.mark.parametrize(
    ("scope", "hit"),
    [
        ({"scope_type": ScopeType.GLOBAL}, True),
        ({"scope_type": ScopeType.VENUE, "scope_venue": VENUE}, True),
        ({"scope_type": ScopeType.ACCOUNT, "scope_account": ACCOUNT + 1}, False),
        ({"scope_type": ScopeType.SOURCE, "scope_source": STRATEGY}, True),
        ({"scope_type": ScopeType.STRATEGY, "scope_strategy": 3}, False),
        ({"scope_type": ScopeType.ACCOUNT_INSTRUMENT, "scope_account": ACCOUNT, "scope_instrument": INSTRUMENT}, True),
        ({"scope_type": ScopeType.ACCOUNT_INSTRUMENT, "scope_account": ACCOUNT, "scope_instrument": 2}, False),
        ({"scope_type": ScopeType.GROUP, "scope_group": 1}, True),  # cannot be judged here: blocks
    ],
)
def test_scope_of_a_kill(scope: dict[str, int], hit: bool) -> None:
    life = Life()
    life.play("n")
    life.r.frame(KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, **scope), OPERATOR)
    assert (life.r.count(RoutedCancel) == 1) is hit


def test_a_kill_that_only_blocks_leaves_open_orders() -> None:
    life = Life()
    life.play("n")
    life.r.frame(KillSwitch(kill=1, level=KillLevel.BLOCK, scope_type=ScopeType.GLOBAL), OPERATOR)
    assert not life.r.count(RoutedCancel)
    life.play("new, pass")
    assert life.r.last().reason == Reason.KILL_SWITCH_ACTIVE


def test_a_notional_beyond_64_bits_is_exact_and_survives_a_restart() -> None:
    life = Life()
    big = (1 << 61) - 1
    life.play(f"new {big}, pass, ack, fill {big}")
    assert life.r.last().cum_notional == big * 5000
    held = life.r.oms.snapshot()
    life.r.oms.restore(held)
    assert life.r.oms.memory.orders[life.order_id].cum_notional == big * 5000
    life.r.oms.check()
