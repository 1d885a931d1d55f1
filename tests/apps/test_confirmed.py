"""The venue's word on positions and balances against ours: in flight, opening, tolerance at its edge, and what is said. V29."""

from __future__ import annotations

import pytest

from apps.positions import Positions
from journal.messages import (
    NULL,
    Channel,
    CorrectionAction,
    CurrencyDefined,
    DifferenceType,
    ExecType,
    ExecutionReport,
    Funding,
    FundsConfirmed,
    InstrumentDefined,
    PositionConfirmed,
    ReconcileCorrection,
    ReconcileDifference,
    ReconcileFinished,
    ReconcileResult,
    Side,
)

USD, BNB, LIN, ACCOUNT = 840, 2, 1001, 11


@pytest.fixture
def on(stage):
    return begin(stage)


def begin(stage, **tolerance):
    app = Positions()
    app.configure({"reconcile": {"position_tolerance": "0", "balance_tolerance": "0"} | tolerance})
    on = stage(app)
    app.me = 10
    for m in (
        CurrencyDefined(currency=USD, ledger_exp=-8, name="USD"), CurrencyDefined(currency=BNB, ledger_exp=-8, name="BNB"),
        InstrumentDefined(instrument=LIN, quote_currency=USD, px_exp=-2, qty_exp=-3, name="LIN"),
    ):  # fmt: skip
        on.frame(m, on.SEQUENCER)
    return on


def fill(on, side, qty, px, *, frame=0, fee=0, fee_currency=USD, strategy=1):
    on.frame(
        ExecutionReport(
            order_id=5, account=ACCOUNT, strategy=strategy, instrument=LIN, side=side, exec_type=ExecType.TRADE, last_qty=qty,
            last_px=px, fee=fee, fee_exp=-2, fee_currency=fee_currency, venue_frame_seq=frame or on.seq,
        ),
        on.OMS,
    )  # fmt: skip


def word(on, qty, *, account=ACCOUNT):
    on.frame(PositionConfirmed(account=account, instrument=LIN, long_qty=max(qty, 0), short_qty=max(-qty, 0)))
    return on.seq


def funds(on, balance, exp=-2, currency=USD):
    on.frame(FundsConfirmed(account=ACCOUNT, currency=currency, balance=balance, exp=exp))


def finish(on, run=1):
    return on.frame(ReconcileFinished(run=run, account=ACCOUNT, venue=1, result=ReconcileResult.CONVERGED), on.OMS)


def kinds(said):
    return [type(m).__name__ for m in said]


def test_equal_words_converge(on):
    fill(on, Side.BUY, 30, 100_00, strategy=1)
    fill(on, Side.SELL, 10, 101_00, strategy=2)
    word(on, 20)
    (finished,) = finish(on)
    assert (finished.run, finished.result, finished.differences) == (1, ReconcileResult.CONVERGED, 0)


def test_without_a_word_of_the_venue_nothing_is_said(on):
    fill(on, Side.BUY, 30, 100_00)
    assert not finish(on)
    word(on, 30, account=99)
    assert not finish(on)


def test_without_configuration_the_venue_is_not_looked_at(stage):
    on = stage(Positions())
    word(on, 30)
    assert not finish(on)
    assert "confirmed" not in vars(on.app)


def test_what_the_venue_had_before_is_accepted_once_and_never_ours(on):
    word(on, 500)
    accepted, finished = finish(on)
    assert isinstance(accepted, ReconcileCorrection)
    assert accepted.action == CorrectionAction.ACCEPT_DIFFERENCE
    assert finished.result == ReconcileResult.CONVERGED
    assert on.app.net_qty(LIN) == 0
    fill(on, Side.BUY, 10, 100_00)
    word(on, 510)
    assert kinds(finish(on, 2)) == ["ReconcileFinished"]
    word(on, 500)
    difference, finished = finish(on, 3)
    assert (difference.ours, difference.theirs, difference.instrument) == (510, 500, LIN)
    assert finished.result == ReconcileResult.DIFFERENCES_OPEN


def test_fills_after_the_venues_word_are_in_flight(on):
    word(on, 0)
    finish(on)
    fill(on, Side.BUY, 30, 100_00)
    at = word(on, 30)
    fill(on, Side.BUY, 5, 100_00, frame=at + 1)  # made after the word
    fill(on, Side.BUY, 0 + 7, 100_00, frame=at - 1)  # made before it; only our report of it is late
    difference, _ = finish(on, 2)
    assert (difference.ours, difference.theirs) == (37, 30)
    word(on, 42)
    assert kinds(finish(on, 3)) == ["ReconcileFinished"]


@pytest.mark.parametrize(("off", "differs"), [(0, False), (5, False), (6, True), (-5, False), (-6, True)])
def test_the_tolerance_of_a_position_at_its_edge(stage, off, differs):
    on = begin(stage, position_tolerance="0.005")
    word(on, 0)
    finish(on)
    word(on, off)
    assert (ReconcileDifference in map(type, finish(on, 2))) is differs


def test_a_balance_is_cash_less_fees(on):
    funds(on, 1000_00)
    finish(on)
    fill(on, Side.BUY, 2000, 100_00, fee=25)  # 2 at 100: 200 out, 0.25 fee
    fill(on, Side.SELL, 1000, 110_00, fee=3, fee_currency=BNB)
    funds(on, 909_75)
    assert kinds(finish(on, 2)) == ["ReconcileFinished"]
    funds(on, 909_74)
    difference, _ = finish(on, 3)
    assert (difference.difference, difference.currency, difference.exp) == (DifferenceType.BALANCE, USD, -8)
    assert difference.ours - difference.theirs == 10**6


@pytest.mark.parametrize(("cents", "differs"), [(1, False), (2, True)])
def test_the_tolerance_of_a_balance_at_its_edge(stage, cents, differs):
    on = begin(stage, balance_tolerance="0.01")
    funds(on, 0)
    finish(on)
    funds(on, cents)
    assert (ReconcileDifference in map(type, finish(on, 2))) is differs


def test_a_snapshot_goes_on_where_it_was(on, stage):
    word(on, 500)
    finish(on)
    word(on, 499)
    other = begin(stage)
    other.app.restore(on.app.snapshot())
    other.seq = on.seq
    assert other.app.snapshot() == on.app.snapshot()
    assert finish(other, 2) == finish(on, 2)
    assert other.app.snapshot() == on.app.snapshot()


def test_what_a_person_accepts_counts_no_more_and_what_comes_on_top_does(on):
    word(on, 0)
    finish(on)
    fill(on, Side.BUY, 30, 100_00)
    word(on, 10)
    difference, _ = finish(on, 2)
    on.frame(difference, on.app.me)
    accept = ReconcileCorrection(difference_seq=on.seq, action=CorrectionAction.ACCEPT_DIFFERENCE)
    on.frame(accept, 99)  # an operator's: the OMS has not said yet that he may
    word(on, 10)
    assert ReconcileDifference in map(type, finish(on, 3))
    on.frame(accept, on.OMS)
    fill(on, Side.BUY, 5, 100_00)
    word(on, 15)
    assert kinds(finish(on, 4)) == ["ReconcileFinished"]
    word(on, 10)
    difference, _ = finish(on, 5)
    assert (difference.ours, difference.theirs) == (15, 10)
    assert on.app.net_qty(LIN) == 35  # ours is ours


# Funding.


def pay(on, payment, *, ts=1, row=False, position=NULL, **fields):
    channel = Channel.DOWNLOAD if row else Channel.ORDER_STREAM
    given = {"account": ACCOUNT, "instrument": LIN, "currency": USD, "payment": payment, "payment_exp": -2} | fields
    return on.frame(Funding(funding_ts=ts, channel=channel, position_qty=position, **given))


def test_a_payment_that_a_download_told_is_a_difference_and_is_booked_once(on):
    fill(on, Side.BUY, 30, 100_00)
    funds(on, -3_00)
    assert kinds(finish(on)) == ["ReconcileFinished"]
    (position,) = pay(on, -5, row=True)
    assert position.funding == -5 * 10**6
    assert pay(on, -5, row=True) == []
    funds(on, -3_05)
    missing, finished = finish(on, 2)
    assert (missing.difference, missing.ours, missing.theirs, missing.exp) == (DifferenceType.FUNDING, 0, -5 * 10**6, -8)
    assert (missing.run, missing.account, missing.instrument, missing.currency) == (2, ACCOUNT, LIN, USD)
    assert (finished.result, finished.differences, finished.open) == (ReconcileResult.CONVERGED, 1, 0)
    on.frame(missing, on.app.me)
    funds(on, -3_05)
    assert kinds(finish(on, 3)) == ["ReconcileFinished"]


def test_a_payment_that_was_pushed_is_none_and_one_that_differs_is_told_and_left(on):
    fill(on, Side.BUY, 30, 100_00)
    pay(on, -5)
    assert pay(on, -5, row=True) == []
    funds(on, -3_05)
    assert kinds(finish(on)) == ["ReconcileFinished"]
    assert pay(on, -6, row=True) == []
    funds(on, -3_05)
    differs, finished = finish(on, 2)
    assert (differs.ours, differs.theirs) == (-5 * 10**6, -6 * 10**6)
    assert finished.result == ReconcileResult.CONVERGED


def test_a_payment_after_the_venue_s_word_is_not_in_it(on):
    fill(on, Side.BUY, 30, 100_00)
    funds(on, -3_00)
    pay(on, -5)
    assert kinds(finish(on)) == ["ReconcileFinished"]
    funds(on, -3_00)
    (difference, _) = finish(on, 2)
    assert (difference.difference, difference.ours - difference.theirs) == (DifferenceType.BALANCE, -5 * 10**6)
