"""Oddities of venues, each a journal that is decided anew and whose page is as recorded. What users of other systems reported
as lost fills, doubled fills and orders gone after restarts is here by name; docs/order-life.md says what happens in each.

LOCKSTEP_REWRITE_GOLDEN=1 writes the pages anew; read the difference before committing it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_venue import LOADER, STRATEGY, OddVenue

from journal.messages import (
    Alert,
    Channel,
    ExecType,
    Gate,
    GateCause,
    GateState,
    GatewayPhase,
    LimitAction,
    OrderCancelReject,
    OrdStatus,
    Position,
    Reason,
    ReconcileDifference,
    ReconcileFinished,
    ReconcileResult,
    ReconcileStarted,
    RiskCheck,
    RiskLimitSet,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    Violation,
    order_id_of,
    order_id_text,
)
from replay.audit import Stream, life_lines, order_life
from replay.player import verify

GOLDEN = Path(__file__).parents[1] / "golden" / "oddities"
N, PF, F, C, R = OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED
Ending = tuple[int, int, int, int]
ODDITIES: dict[str, tuple[Callable[[OddVenue], None], Ending]] = {}


def oddity(*ending: int) -> Callable[[Callable[[OddVenue], None]], Callable[[OddVenue], None]]:
    """How the order ends: status, cum, leaves, cxl."""

    def named(script: Callable[[OddVenue], None]) -> Callable[[OddVenue], None]:
        ODDITIES[script.__name__] = (script, ending)  # type: ignore[assignment]
        return script

    return named


@oddity(F, 100, 0, 0)
def kraken_filled_apart(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.fill(40)
    o.fill(60)
    o.update(ExecType.TRADE, ord_status=OrdStatus.PARTIALLY_FILLED, cum_qty=100)
    o.update(ExecType.ORDER_STATUS, ord_status=OrdStatus.FILLED, cum_qty=100)


@oddity(PF, 40, 60, 0)
def fill_before_ack(o: OddVenue) -> None:
    o.new()
    o.fill(40)
    o.ack()


@oddity(C, 0, 0, 100)
def cancel_ack_before_new_ack(o: OddVenue) -> None:
    o.new()
    o.cancel()
    o.canceled(of=RoutedCancel)
    o.ack()


@oddity(C, 30, 0, 70)
def fill_after_cancel_ack(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.cancel()
    o.canceled(of=RoutedCancel)
    o.fill(30)


@oddity(F, 100, 0, 0)
def fill_crosses_our_cancel(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.cancel()
    o.fill(100)
    o.refuse_cancel(Reason.UNKNOWN_AT_VENUE)
    assert [m.reason for m in o.said(OrderCancelReject)] == [Reason.TOO_LATE]


@oddity(PF, 50, 10, 0)
def fill_crosses_our_replace(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.replace(60)
    o.fill(50)
    o.update(ExecType.REPLACED, of=RoutedReplace, ord_status=OrdStatus.NEW, order_qty=60)


@oddity(C, 0, 0, 100)
def binance_expire_on_self_trade(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.update(ExecType.SELF_TRADE_PREVENTED, ord_status=OrdStatus.EXPIRED, reason=Reason.SELF_TRADE_PREVENTED)
    assert o.last().reason == Reason.SELF_TRADE_PREVENTED


@oddity(C, 40, 0, 60)
def unsolicited_cancel(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.fill(40)
    o.cancel()
    o.update(ExecType.LIQUIDATION, ord_status=OrdStatus.CANCELED, reason=Reason.LIQUIDATION)
    o.cancel()
    assert [m.reason for m in o.said(OrderCancelReject)] == [Reason.TOO_LATE]


@oddity(R, 0, 0, 100)
def outcome_unknown_then_never_existed(o: OddVenue) -> None:
    o.new()
    o.wait(6)
    o.update(ExecType.ORDER_STATUS, channel=Channel.QUERY)  # not found, yet: says nothing
    o.wait(6)
    o.never_existed()
    assert len(o.said(RoutedOrder)) == 1


@oddity(N, 0, 100, 0)
def outcome_unknown_then_working(o: OddVenue) -> None:
    o.new()
    o.wait(6)
    o.status(OrdStatus.NEW)
    assert len(o.said(RoutedOrder)) == 1


@oddity(PF, 40, 60, 0)
def fill_by_two_channels(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.fill(40, 1)
    o.fill(40, 1, channel=Channel.DROP_COPY)
    o.fill(40, 1, channel=Channel.HISTORY)
    assert [m.long_qty for m in o.said(Position)] == [40]


@oddity(PF, 40, 60, 0)
def duplicate_fills_after_restart(o: OddVenue) -> None:
    o.download()
    o.new()
    o.ack()
    o.fill(40, 1)
    o.lost()
    o.back(o.row_fill(40, 1), o.row_status(PF, 40))
    o.download(o.row_fill(40, 1), o.row_status(PF, 40))
    assert [m.long_qty for m in o.said(Position)] == [40]
    assert not o.said(ReconcileDifference)
    assert o.said(ReconcileFinished)[-1].result == ReconcileResult.CONVERGED


@oddity(PF, 70, 30, 0)
def fills_lost_on_the_stream(o: OddVenue) -> None:
    o.download()
    o.new()
    o.ack()
    o.fill(10, 1)
    o.wait(11)
    o.download(o.row_fill(10, 1), o.row_fill(25, 2), o.row_fill(35, 3), o.row_status(PF, 70))
    assert [m.theirs for m in o.said(ReconcileDifference)] == [25, 35]
    assert [m.long_qty for m in o.said(Position)] == [10, 35, 70]


@oddity(PF, 40, 60, 0)
def restart_with_orders_there(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.fill(40)
    o.lost()
    o.back(o.row_status(PF, 40))
    assert len(o.said(RoutedOrder)) == 1


@oddity(C, 40, 0, 60)
def restart_with_orders_gone(o: OddVenue) -> None:
    o.download()
    o.new()
    o.ack()
    o.fill(40, 1)
    o.lost()
    o.back(o.row_fill(40, 1), o.never_existed)
    for _ in range(3):
        o.download(o.row_fill(40, 1), o.never_existed)
        o.wait(4)
    o.download(o.row_fill(40, 1))
    assert o.said(ReconcileFinished)[-1].result == ReconcileResult.CONVERGED
    assert o.said(Gate)[-1].state == GateState.OPEN


@oddity(N, 0, 100, 0)
def venue_works_what_we_believe_rejected(o: OddVenue) -> None:
    o.new()
    o.refused_by_gateway()
    o.ack()
    assert o.said(Alert)


@oddity(C, 10, 0, 30)
def working_order_unknown_to_us(o: OddVenue) -> None:
    o.order_id = 0
    o.update(ExecType.NEW, ord_status=OrdStatus.NEW, order_qty=40, price_px=4000, side=2)
    o.fill(10)
    o.canceled()
    o.order_id = 1  # our record of it
    assert [m.rule for m in o.said(Alert)] == [Reason.FOREIGN_ORDER]


@oddity(C, 40, 0, 60)
def end_before_its_fills(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.canceled(cum_qty=40)
    o.fill(15)
    o.fill(25)


@oddity(PF, 60, 40, 0)
def status_out_of_order(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.fill(20)
    o.fill(40)
    o.status(PF, 20)


@oddity(C, 20, 0, 80)
def cancel_on_disconnect(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.lost()
    o.back()
    o.canceled(reason=Reason.CANCEL_ON_DISCONNECT)
    o.fill(20)


@oddity(C, 0, 0, 100)
def cancel_silently_lost(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.cancel()
    o.wait(6)
    o.status(OrdStatus.NEW)
    assert len(o.said(RoutedCancel)) == 2
    o.canceled(of=RoutedCancel)


@oddity(F, 120, 0, 0)
def overfill(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.fill(120)


@oddity(C, 50, 0, 50)
def bust_and_correction(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.fill(40, 1)
    o.fill(60, 2)
    o.correct(1)
    o.correct(2, 50, 4990)
    assert [m.long_qty for m in o.said(Position)] == [40, 100, 60, 0, 50]


@oddity(PF, 75, 25, 0)
def fills_overlap_after_reconnect(o: OddVenue) -> None:
    o.download()
    o.new()
    o.ack()
    o.fill(20, 1)
    o.fill(25, 2)
    o.lost()
    o.back(o.row_fill(25, 2), o.row_fill(30, 3), o.row_status(PF, 75))
    o.fill(30, 3)  # the stream tells what it had not told, behind the download that did
    o.fill(25, 2)
    assert [m.long_qty for m in o.said(Position)] == [20, 45, 75]


@oddity(F, 100, 0, 0)
def fills_during_a_disconnect(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.lost()
    o.fill(60, 1)  # no flag of ours makes a venue's message go away
    o.phase(GatewayPhase.DOWNLOADING)
    o.fill(40, 2)
    o.back(o.row_fill(60, 1), o.row_fill(40, 2))
    assert [m.long_qty for m in o.said(Position)] == [60, 100]


@oddity(PF, 30, 70, 0)
def accepted_through_an_outage(o: OddVenue) -> None:
    o.new()
    o.lost()  # before any answer
    o.wait(60)
    assert o.last().ord_status == OrdStatus.UNKNOWN
    o.back(o.row_fill(30, 1), o.row_status(PF, 30))
    assert len(o.said(RoutedOrder)) == 1
    assert [m.long_qty for m in o.said(Position)] == [30]


@oddity(PF, 40, 60, 0)
def position_older_than_the_lookback(o: OddVenue) -> None:
    o.download(o.row_position(0))
    o.new()
    o.ack()
    o.fill(40, 1)
    o.wait(11 * 24 * 3600)
    o.lost()
    o.back(o.row_status(PF, 40), o.row_position(40))  # the fill is too old for any lookback
    o.download(o.row_status(PF, 40), o.row_position(40))
    assert [m.long_qty for m in o.said(Position)] == [40]
    assert not o.said(ReconcileDifference)
    assert o.said(ReconcileFinished)[-1].result == ReconcileResult.CONVERGED


@oddity(PF, 75, 25, 0)
def difference_that_never_goes_away(o: OddVenue) -> None:
    o.download(o.row_position(0))
    o.new()
    o.ack()
    o.fill(75, 1)
    for _ in range(12):  # more than it is ever asked
        o.wait(20)
        o.download(o.row_fill(75, 1), o.row_status(PF, 75), o.row_position(-65))
    assert [m.long_qty for m in o.said(Position)] == [75]  # no fill is invented
    gate = o.said(Gate)[-1]
    assert (gate.state, gate.causes & GateCause.HALTED) == (GateState.CANCEL_ONLY, GateCause.HALTED)
    assert o.said(Alert)
    asked = len(o.said(ReconcileStarted))
    o.wait(3600)
    assert len(o.said(ReconcileStarted)) == asked  # it has come to an end


@oddity(C, 0, 0, 100)
def cancel_refused_by_the_rate_limit(o: OddVenue) -> None:
    o.new()
    o.ack()
    o.cancel()
    o.refuse_cancel(Reason.RATE_LIMIT)
    assert o.last().ord_status == OrdStatus.NEW  # it works, and its owner knows
    assert [m.reason for m in o.said(OrderCancelReject)] == [Reason.RATE_LIMIT]
    o.cancel()
    o.canceled(of=RoutedCancel)


@oddity(R, 0, 0, 100)
def rejected_over_and_over(o: OddVenue) -> None:
    limit = RiskLimitSet(
        limit=1, check=RiskCheck.REJECT_LOOP, hard=3, period_ns=60 * 10**9, action=LimitAction.DISABLE_STRATEGY,
        scope_type=ScopeType.GLOBAL,
    )  # fmt: skip
    o.put(limit, LOADER)
    for number in range(1, 21):
        o.order_id = order_id_of(STRATEGY, number)
        o.new()
        if o.last().ord_status != OrdStatus.REJECTED:
            o.update(ExecType.REJECTED, of=RoutedOrder, ord_status=OrdStatus.REJECTED, reason=Reason.FUNDS_AT_VENUE)
    assert len(o.said(RoutedOrder)) == 4  # and not a hundred thousand
    assert [m.count for m in o.said(Violation)] == [4]
    assert o.last().reason == Reason.STRATEGY_DISABLED


COMPARED = (
    "duplicate_fills_after_restart", "fills_lost_on_the_stream", "restart_with_orders_gone", "fills_overlap_after_reconnect",
    "position_older_than_the_lookback", "difference_that_never_goes_away",
)  # fmt: skip
DECIDED = ("rejected_over_and_over",)
THREADS = {
    "nautilus_trader 3046: a restart replays fills it has": "duplicate_fills_after_restart",
    "nautilus_trader 3104: a position that is older than the lookback": "position_older_than_the_lookback",
    "nautilus_trader 3622: a reconciliation that never converges": "difference_that_never_goes_away",
    "nautilus_trader 5000: a restart drops a working order": "working_order_unknown_to_us",
    "nautilus_trader 3878: other ids at every restart": "restart_with_orders_gone",
    "nautilus_trader 3176: a restart makes orders": "restart_with_orders_there",
    "nautilus_trader 4991: a reconnect counts fills twice or not at all": "fills_overlap_after_reconnect",
    "Lean InteractiveBrokers 249: fills during a disconnect are dropped": "fills_during_a_disconnect",
    "Lean TradeStation 95: fills lost while heartbeats go on": "fills_lost_on_the_stream",
    "hummingbot 8457: accepted orders marked as failed": "accepted_through_an_outage",
    "hummingbot 2380, 7594, 1664: a rate limit refuses cancels": "cancel_refused_by_the_rate_limit",
    "hummingbot 7594: cancels that silently fail": "cancel_silently_lost",
    "hummingbot 462: rejected orders without end": "rejected_over_and_over",
}
"""What users of other systems have reported of restarts, fills, timeouts and loops → the journal of what happens here."""


def test_each_report_of_users_has_its_journal() -> None:
    assert set(THREADS.values()) <= set(ODDITIES)


@pytest.mark.parametrize("name", ODDITIES)
def test_the_journal_and_its_page_are_as_recorded(name: str, tmp_path: Path) -> None:
    script, ending = ODDITIES[name]
    o = OddVenue(tmp_path / "j", reconcile=name in COMPARED, risk=name in DECIDED)
    try:
        script(o)
        last = o.last()
        assert (last.ord_status, last.cum_qty, last.leaves_qty, last.cxl_qty) == ending
    finally:
        o.close()
    verdict = verify(o.path)
    assert verdict.identical, verdict.difference
    assert verdict.decisions > 1
    page = "\n".join(life_lines(order_life(Stream(o.path), order_id_text(o.order_id)))) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("LOCKSTEP_REWRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(page, encoding="utf-8")
    assert page == file.read_text(encoding="utf-8")
