"""PARENT_INVARIANTS: one test a reason, with the numbers that the decision shows; and what the children hold, as told."""

from __future__ import annotations

import pytest
from risk_recorder import ACCOUNT, INSTRUMENT, MAKER, OMS, OPERATOR, OTHER, SECOND, STRATEGY, RiskRecorder

from journal.messages import (
    NULL,
    CheckResult,
    CxlRejResponseTo,
    Decision,
    ExecType,
    ExecutionReport,
    OrderCancelReject,
    OrdStatus,
    ParentOrder,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RiskCheck,
    RiskDecision,
    Side,
    StrategyDefined,
    TimeInForce,
    order_id_of,
)
from tests.apart import state_of

PARENT = order_id_of(STRATEGY, 900)


def family(source=STRATEGY, **terms):
    """A world with a parent of 1000 @ 5000 that the OMS has taken."""
    r = RiskRecorder().open_world()
    r.frame(StrategyDefined(strategy=MAKER, app=STRATEGY))
    base = {"order_id": PARENT, "account": ACCOUNT, "strategy": MAKER, "instrument": INSTRUMENT, "side": Side.BUY,
            "order_qty": 1000, "limit_px": 5000}  # fmt: skip
    asked = ParentOrder(**(base | terms))
    r.frame(asked, source)
    accepted(r, base["order_qty"], order_id=asked.order_id)
    return r


def accepted(r, qty, exec_type=ExecType.NEW, status=OrdStatus.NEW, px=5000, order_id=PARENT, exec_ref_seq=0):
    r.frame(
        ExecutionReport(order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=qty, price_px=px,
                        leaves_qty=qty, exec_type=exec_type, ord_status=status, report_flags=ReportFlag.PARENT,
                        exec_ref_seq=exec_ref_seq),
        OMS,
    )  # fmt: skip


def outcome(decision: RiskDecision):
    return next(c for c in decision.checks if c.check == RiskCheck.PARENT_INVARIANTS)


def child(r, qty=100, **terms):
    return r.new(qty=qty, **({"parent_order_id": PARENT} | terms))


def test_an_order_without_a_parent_does_not_list_the_check():
    r = RiskRecorder().open_world()
    assert RiskCheck.PARENT_INVARIANTS not in [c.check for c in r.new().checks]


def test_a_child_that_fits_shows_what_is_held():
    r = family()
    child(r, 400)
    found = child(r, 600)
    assert found.decision == Decision.PASS
    assert (outcome(found).value, outcome(found).bound, outcome(found).input_seq) == (1000, 1000, r.seq - 3)
    r.engine.check()


@pytest.mark.parametrize(("terms", "reason", "value", "bound"), [
    ({"parent_order_id": PARENT + 1}, Reason.PARENT_UNKNOWN_OR_CLOSED, PARENT + 1, 0),
    ({"qty": 1010}, Reason.CHILD_EXCEEDS_PARENT, 1010, 1000),
    ({"px": 5005}, Reason.CHILD_WORSE_THAN_LIMIT, 5005, 5000),
    ({"side": Side.SELL}, Reason.CHILD_DIFFERS, INSTRUMENT, INSTRUMENT),
])  # fmt: skip
def test_a_child_is_refused(terms, reason, value, bound):
    found = child(family(), **terms)
    assert (found.decision, found.reason) == (Decision.REJECT, reason)
    assert (outcome(found).result, outcome(found).value, outcome(found).bound) == (CheckResult.FAIL, value, bound)


def test_a_slice_is_no_larger_than_the_parent_says():
    r = family(max_slice_qty=200)
    assert child(r, 200).decision == Decision.PASS
    found = child(r, 210)
    assert (found.reason, outcome(found).value, outcome(found).bound) == (Reason.CHILD_EXCEEDS_PARENT, 210, 200)


@pytest.mark.parametrize(("late", "reason"), [(0, 0), (1, Reason.CHILD_OUTLIVES_PARENT)])
def test_a_child_is_not_meant_to_outlive_its_parent(late, reason):
    end = 10_000 * SECOND
    found = child(family(end_ts=end), tif=TimeInForce.GTD, expire_ts=end + late)
    assert found.reason == reason


def test_a_new_end_of_the_parent_holds_when_the_oms_says_so():
    end, later = 10_000 * SECOND, 20_000 * SECOND
    r = family(end_ts=end)

    def reason(expire_ts):
        return child(r, qty=10, tif=TimeInForce.GTD, expire_ts=expire_ts).reason

    asked = [r.frame(ReplaceOrder(order_id=PARENT, expire_ts=ts), STRATEGY) for ts in (later, later + 1, 0)]
    assert reason(later) == Reason.CHILD_OUTLIVES_PARENT
    accepted(r, 1000, ExecType.REPLACED, exec_ref_seq=asked[0])
    assert (reason(later), reason(later + 1)) == (0, Reason.CHILD_OUTLIVES_PARENT)
    r.frame(OrderCancelReject(order_id=PARENT, response_to=CxlRejResponseTo.CANCEL), OMS)
    r.frame(OrderCancelReject(order_id=PARENT, response_to=CxlRejResponseTo.REPLACE), OMS)
    accepted(r, 1000, ExecType.REPLACED, exec_ref_seq=asked[2])  # without a new end
    assert (reason(later), reason(later + 1)) == (0, Reason.CHILD_OUTLIVES_PARENT)
    assert not r.engine.memory.families.parents[PARENT].ends


def test_another_source_has_no_children_by_it():
    found = child(family(), source=OTHER, order_id=order_id_of(OTHER, 1))
    assert found.reason == Reason.NOT_OWNER


@pytest.mark.parametrize(("source", "strategy", "of", "reason"), [
    (STRATEGY, MAKER, MAKER, 0), (OPERATOR, 0, MAKER, 0), (STRATEGY, 0, MAKER, Reason.NOT_OWNER),
    (OTHER, MAKER, MAKER, Reason.NOT_OWNER), (STRATEGY, MAKER, 0, Reason.NOT_OWNER),
])  # fmt: skip
def test_a_persons_parent_is_worked_by_the_app_of_the_strategy_that_it_names(source, strategy, of, reason):
    given = order_id_of(OPERATOR, 900)
    r = family(OPERATOR, order_id=given, strategy=of)
    found = child(r, parent_order_id=given, source=source, order_id=order_id_of(source, 1), strategy=strategy)
    assert found.reason == reason
    if not reason:
        assert r.replace(found.order_id, source=source, order_qty=1010).reason == Reason.CHILD_EXCEEDS_PARENT
    r.engine.check()


def test_a_parent_takes_no_child_before_the_oms_took_it_nor_after_its_end():
    r = RiskRecorder().open_world()
    r.frame(ParentOrder(order_id=PARENT, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, order_qty=1000), STRATEGY)
    assert child(r).reason == Reason.PARENT_UNKNOWN_OR_CLOSED
    accepted(r, 1000)
    assert child(r).decision == Decision.PASS
    accepted(r, 1000, ExecType.PENDING_CANCEL, OrdStatus.PENDING_CANCEL)
    assert child(r).reason == Reason.PARENT_UNKNOWN_OR_CLOSED


def test_an_unknown_child_counts_in_full_and_says_so():
    r = family()
    first = child(r, 600).order_id
    r.report(first, OrdStatus.UNKNOWN, qty=600, parent_order_id=PARENT)
    assert child(r, 410).reason == Reason.CHILD_UNKNOWN_BLOCKS
    r.report(first, OrdStatus.CANCELED, qty=600, cum=100, parent_order_id=PARENT)
    assert child(r, 910).reason == Reason.CHILD_EXCEEDS_PARENT
    assert child(r, 900).decision == Decision.PASS
    r.engine.check()


def test_a_replace_asked_of_an_unknown_child_leaves_it_unknown():
    r = family()
    first = child(r, 600).order_id
    r.report(first, OrdStatus.UNKNOWN, qty=600, parent_order_id=PARENT)
    r.replace(first, order_qty=500)
    assert child(r, 410).reason == Reason.CHILD_UNKNOWN_BLOCKS


def test_replaces_of_parent_and_child():
    r = family()
    first = child(r, 600).order_id
    said = len(r.emitted)
    r.replace(PARENT, order_qty=700)
    assert len(r.emitted) == said  # nothing to decide: its children are
    accepted(r, 700, ExecType.REPLACED)
    assert r.replace(first, order_qty=710).reason == Reason.CHILD_EXCEEDS_PARENT
    found = r.replace(first, order_qty=700)
    assert (found.decision, outcome(found).value, outcome(found).bound) == (Decision.PASS, 700, 700)
    assert child(r, 10).reason == Reason.CHILD_EXCEEDS_PARENT
    r.engine.check()


def test_the_id_of_a_parent_is_used_up():
    assert family().new(order_id=PARENT).reason == Reason.DUPLICATE_ORDER_ID


def test_reports_of_parents_are_no_exposure():
    r = family()
    accepted(r, 1000, ExecType.ORDER_STATUS, OrdStatus.PARTIALLY_FILLED)
    assert not r.engine.memory.exposure.orders
    assert not r.engine.memory.exposure.cells


def test_a_restart_changes_nothing():
    r = family(limit_px=NULL)
    child(r, 400)
    child(r, 700)
    for at in range(len(r.stream)):
        again = r.replay(restart_at=at)
        assert [m.encode() for m in again.emitted] == [m.encode() for m in r.emitted]
        assert state_of(again.engine) == state_of(r.engine)
