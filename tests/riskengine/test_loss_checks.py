"""Losses: of the day, from the top, in a row; each waits for its confirmations."""

from __future__ import annotations

from typing import Any

from risk_recorder import ACCOUNT, INSTRUMENT, MAKER, SECOND, USD, RiskRecorder, outcome, result, why

from journal.messages import (
    NULL,
    CheckResult,
    ConversionRate,
    CurrencyDefined,
    KillSwitch,
    LimitAction,
    Mark,
    MarkType,
    Position,
    Reason,
    RiskCheck,
    ScopeType,
    Violation,
)

EUR, DAY = 978, 86_400 * SECOND


def world() -> RiskRecorder:
    """Long 1 at 500.0: a tick of 0.5 is 0.5 USD."""
    return RiskRecorder().open_world()


def position(r: RiskRecorder, *, qty: int = 1000, cost: int = 50_000_000, realized: int = 0, **terms: Any) -> None:
    """Money in 1e-5 USD."""
    base: dict[str, Any] = {"account": ACCOUNT, "strategy": MAKER, "instrument": INSTRUMENT, "currency": USD}
    r.frame(Position(long_qty=max(qty, 0), short_qty=max(-qty, 0), cost=cost, realized=realized, **(base | terms)), 9)


def mark(r: RiskRecorder, px: int, *, ns: int = 1) -> None:
    r.frame(Mark(instrument=INSTRUMENT, mark_px=px, mark_type=MarkType.VENUE_MARK), 8, ns=ns)


def test_daily_loss_at_its_boundary() -> None:
    r = world()
    r.limit(RiskCheck.DAILY_LOSS, 20, exp=0, currency=USD)
    position(r)
    mark(r, 4800)  # 20 USD lost
    assert why(r) == 0
    assert outcome(r.last(), RiskCheck.DAILY_LOSS).value == 20
    mark(r, 4799)
    assert why(r) == Reason.LOSS_LIMIT
    mark(r, 6000)
    assert why(r) == Reason.LOSS_LIMIT  # what is lost today stays lost
    assert len(r.said(Violation)) == 1
    assert why(r, ns=DAY) == 0
    mark(r, 5800)
    assert why(r) == 0
    mark(r, 5799)
    assert why(r) == Reason.LOSS_LIMIT  # against where the new day began


def test_one_bad_tick_stops_nobody() -> None:
    r = world()
    r.limit(RiskCheck.DAILY_LOSS, 20, exp=0, currency=USD, confirmations=3, action=LimitAction.KILL)
    position(r)
    mark(r, 5000)
    for px in (100, 100, 5000, 100, 100):
        mark(r, px)
    assert r.said(Violation) == []
    assert result(r.new(), RiskCheck.DAILY_LOSS) == CheckResult.WARN  # asked for, not an input of its own
    assert r.new().reason == 0
    mark(r, 100)
    assert result(r.new(), RiskCheck.DAILY_LOSS) == CheckResult.FAIL
    (told,) = r.said(Violation)
    assert (told.count, told.value, told.bound) == (3, 490, 20)
    assert len(r.said(KillSwitch)) == 1
    mark(r, 100)
    assert len(r.said(KillSwitch)) == 1


def test_drawdown_is_from_the_highest_that_was_confirmed() -> None:
    r = world()
    r.limit(RiskCheck.DRAWDOWN, 20, exp=0, currency=USD, confirmations=2)
    position(r)
    for px in (5300, 9000, 5300, 5300):  # one bad tick is no top
        mark(r, px)
    mark(r, 5100)
    mark(r, 5100)
    assert why(r) == 0
    assert outcome(r.last(), RiskCheck.DRAWDOWN).value == 20
    mark(r, 5099)
    assert why(r) == 0
    mark(r, 5099)
    assert why(r) == Reason.LOSS_LIMIT
    mark(r, 9000, ns=DAY)
    assert why(r) == Reason.LOSS_LIMIT  # until a person sets it anew
    r.limit(RiskCheck.DRAWDOWN, 30, exp=0, currency=USD, confirmations=2, generation=1)
    mark(r, 5000)
    mark(r, 5000)
    assert why(r) == 0
    mark(r, 4999)
    mark(r, 4999)
    assert why(r) == Reason.LOSS_LIMIT


def test_loss_streak_counts_closing_fills_after_fees() -> None:
    r = world()
    r.limit(RiskCheck.LOSS_STREAK, 2)
    for realized, fees in ((-1, 0), (-1, 0), (0, 2)):  # a loss, nothing closed, a gain that the fee takes
        position(r, realized=realized, fees=fees)
    assert why(r) == 0
    assert outcome(r.last(), RiskCheck.LOSS_STREAK).value == 2
    position(r, realized=10, fees=2)  # a gain ends it
    assert outcome(r.new(), RiskCheck.LOSS_STREAK).value == 0
    for realized in (9, 8, 7):
        position(r, realized=realized, fees=2)
    assert why(r) == Reason.LOSS_LIMIT
    position(r, realized=100, fees=2)
    assert why(r, ns=DAY) == Reason.LOSS_LIMIT
    r.limit(RiskCheck.LOSS_STREAK, 2, generation=1)
    assert why(r) == 0


def test_loss_streak_that_rests() -> None:
    r = world()
    r.limit(RiskCheck.LOSS_STREAK, 0, period_ns=SECOND)
    position(r, realized=-1)
    assert why(r, ns=SECOND - 1) == Reason.LOSS_LIMIT
    assert why(r, ns=1) == 0


def test_losses_are_of_what_the_limit_covers() -> None:
    r = world()
    r.limit(RiskCheck.DAILY_LOSS, 20, exp=0, currency=USD, scope_type=ScopeType.STRATEGY, scope_strategy=MAKER)
    position(r, strategy=MAKER + 1)
    mark(r, 4000)
    assert why(r) == 0
    assert why(r, strategy=MAKER + 1) == 0
    position(r)
    assert why(r) == Reason.LOSS_LIMIT
    assert why(r, strategy=MAKER + 1) == 0


def test_positions_of_one_instrument_offset_one_another_exactly() -> None:
    r = world()
    r.limit(RiskCheck.DAILY_LOSS, 20, exp=0, currency=USD)
    position(r)
    position(r, strategy=MAKER + 1, qty=-900, cost=-45_000_000)
    mark(r, 3000)  # 0.1 long at heart: 20 lost
    assert why(r) == 0
    position(r, strategy=MAKER + 2, qty=0, cost=0, realized=-1)
    assert why(r) == Reason.LOSS_LIMIT


def test_losses_in_another_currency_need_a_rate() -> None:
    r = world()
    r.frame(CurrencyDefined(currency=EUR, ledger_exp=-5))
    r.limit(RiskCheck.DAILY_LOSS, 10, exp=0, currency=EUR)
    position(r)
    mark(r, 4800)
    assert why(r) == Reason.REFERENCE_PRICE_UNAVAILABLE
    r.frame(ConversionRate(from_currency=EUR, to_currency=USD, rate=2))
    assert why(r) == 0
    mark(r, 4799)
    assert why(r) == Reason.LOSS_LIMIT


def test_losses_without_a_mark_are_at_the_touch_and_without_that_unknown() -> None:
    r = world()
    r.limit(RiskCheck.DAILY_LOSS, 20, exp=0, currency=USD)
    position(r)
    r.touch(4790, 4810)
    assert why(r) == 0
    r.touch(4790, 4800)
    assert why(r) == Reason.LOSS_LIMIT
    r = world()
    r.limit(RiskCheck.DAILY_LOSS, 20, exp=0, currency=USD)
    position(r)
    r.touch(NULL, 4800)
    assert why(r) == Reason.REFERENCE_PRICE_UNAVAILABLE


def test_a_limit_set_in_the_middle_of_a_day_counts_from_there() -> None:
    r = world()
    position(r)
    mark(r, 4000)
    r.limit(RiskCheck.DAILY_LOSS, 20, exp=0, currency=USD)
    mark(r, 3800)
    assert why(r) == 0
    mark(r, 3799)
    assert why(r) == Reason.LOSS_LIMIT
