"""Exposure, credit, leverage and concentration in money; funds and margin."""

from __future__ import annotations

from typing import Any

import pytest
from risk_recorder import ACCOUNT, INSTRUMENT, MAKER, STRATEGY, USD, RiskRecorder, listed, outcome, why

from journal.messages import (
    NULL,
    ContractType,
    ConversionRate,
    CurrencyDefined,
    Funding,
    FundsConfirmed,
    GroupDefined,
    GroupMember,
    InstrumentType,
    LimitAction,
    MarginConfirmed,
    MarginTable,
    MarginTier,
    Mark,
    MarkType,
    OrdStatus,
    OrdType,
    Reason,
    RiskCheck,
    ScopeType,
    Side,
    order_id_of,
)

EUR, BTC, SECOND_INSTRUMENT, DESK = 978, 1, 1002, 4
PERPETUAL = InstrumentType.PERPETUAL


def world(**instrument: Any) -> RiskRecorder:
    """0.1 at 500.0 is 50 USD."""
    r = RiskRecorder().open_world(**instrument)
    r.frame(CurrencyDefined(currency=BTC, ledger_exp=-8))
    return r


def with_second(**terms: Any) -> RiskRecorder:
    """A second instrument, marked at 100.0."""
    r = world(**terms)
    r.define(instrument=SECOND_INSTRUMENT, **terms)
    r.frame(Mark(instrument=SECOND_INSTRUMENT, mark_px=1000, mark_type=MarkType.VENUE_MARK))
    return r


def test_gross_exposure_counts_the_worst_side_of_each_instrument() -> None:
    r = with_second()
    r.limit(RiskCheck.GROSS_EXPOSURE, 200, exp=0, currency=USD)
    r.holding(-1000, px=1000, instrument=SECOND_INSTRUMENT)  # 100 USD short
    assert why(r, qty=100) == 0  # 50 more
    assert outcome(r.last(), RiskCheck.GROSS_EXPOSURE).value == 150
    assert why(r, qty=100, side=Side.SELL) == 0  # the other side of the same instrument: no more
    assert outcome(r.last(), RiskCheck.GROSS_EXPOSURE).value == 150
    assert why(r, qty=110) == Reason.GROSS_EXPOSURE_LIMIT
    assert why(r, qty=100) == 0
    assert outcome(r.last(), RiskCheck.GROSS_EXPOSURE).value == 200
    assert why(r, qty=10) == Reason.GROSS_EXPOSURE_LIMIT


def test_net_exposure_offsets_long_and_short() -> None:
    r = with_second()
    r.limit(RiskCheck.NET_EXPOSURE, 50, exp=0, currency=USD)
    r.holding(-1000, px=1000, instrument=SECOND_INSTRUMENT)  # 100 USD short
    assert why(r, qty=300) == 0
    assert outcome(r.last(), RiskCheck.NET_EXPOSURE).value == 50
    assert why(r, qty=10) == Reason.NET_EXPOSURE_LIMIT
    r.report(order_id_of(STRATEGY, 2), OrdStatus.CANCELED, qty=300)
    assert why(r, qty=10, side=Side.SELL) == Reason.NET_EXPOSURE_LIMIT  # 105 short: a breach, and more of it


def test_what_reduces_exposure_passes_above_the_limit() -> None:
    r = world()
    r.holding(1000)
    r.limit(RiskCheck.GROSS_EXPOSURE, 100, exp=0, currency=USD)
    r.limit(RiskCheck.NET_EXPOSURE, 100, exp=0, currency=USD)
    assert why(r, qty=100, side=Side.SELL) == 0
    assert why(r, qty=10) == Reason.GROSS_EXPOSURE_LIMIT


def test_exposure_in_another_currency_needs_a_rate_in_either_direction() -> None:
    r = world()
    r.limit(RiskCheck.GROSS_EXPOSURE, 25, exp=0, currency=EUR)
    assert why(r) == Reason.REFERENCE_PRICE_UNAVAILABLE
    r.frame(ConversionRate(from_currency=USD, to_currency=EUR, rate=5, rate_exp=-1))
    assert why(r, qty=100) == 0
    assert why(r, qty=10) == Reason.GROSS_EXPOSURE_LIMIT
    other = world()
    other.limit(RiskCheck.GROSS_EXPOSURE, 25, exp=0, currency=EUR)
    other.frame(ConversionRate(from_currency=EUR, to_currency=USD, rate=2))
    assert why(other, qty=100) == 0
    assert why(other, qty=10) == Reason.GROSS_EXPOSURE_LIMIT
    other.frame(ConversionRate(from_currency=EUR, to_currency=USD, rate=0))  # hostile: changes nothing
    assert outcome(other.new(qty=10), RiskCheck.GROSS_EXPOSURE).value == 28


def test_exposure_of_what_has_no_price_is_not_guessed() -> None:
    r = world()
    r.limit(RiskCheck.GROSS_EXPOSURE, 10**6, exp=0, currency=USD)
    r.touch(NULL, 5010)
    assert why(r) == Reason.REFERENCE_PRICE_UNAVAILABLE
    r.frame(Mark(instrument=INSTRUMENT, mark_px=5000, mark_type=MarkType.INDEX))  # of something else
    assert why(r) == Reason.REFERENCE_PRICE_UNAVAILABLE
    r.frame(Mark(instrument=INSTRUMENT, mark_px=6000, mark_type=MarkType.VENUE_MARK))
    assert why(r) == 0
    assert outcome(r.last(), RiskCheck.GROSS_EXPOSURE).value == 60


def test_an_unknown_order_counts_in_full() -> None:
    r = world()
    r.limit(RiskCheck.GROSS_EXPOSURE, 50, exp=0, currency=USD)
    order_id = r.new(qty=100).order_id
    r.report(order_id, OrdStatus.UNKNOWN, qty=100)
    assert why(r, qty=10) == Reason.GROSS_EXPOSURE_LIMIT
    r.report(order_id, OrdStatus.CANCELED, qty=100)
    assert why(r, qty=100) == 0


def test_an_inverse_contract_has_its_value_without_a_price() -> None:
    r = world(contract=ContractType.INVERSE, multiplier=100, qty_exp=0, lot_qty=1, min_qty=1, settlement_currency=BTC)
    r.limit(RiskCheck.GROSS_EXPOSURE, 1000, exp=0, currency=USD)
    assert why(r, qty=10) == 0
    assert why(r, qty=1) == Reason.GROSS_EXPOSURE_LIMIT


def test_credit_counts_all_orders_in_full_at_their_own_prices() -> None:
    r = world()
    r.limit(RiskCheck.CREDIT, 150, exp=0, currency=USD)
    assert why(r, qty=100) == 0
    assert why(r, qty=100, px=5000, side=Side.SELL) == 0
    assert outcome(r.last(), RiskCheck.CREDIT).value == 100  # nothing offsets anything
    assert why(r, qty=110) == Reason.CREDIT_LIMIT
    assert why(r, qty=100) == 0
    assert r.replace(order_id_of(STRATEGY, 1), order_qty=90).reason == 0  # takes nothing more


def test_a_limit_of_a_desk_covers_its_members_and_is_shown() -> None:
    r = world()
    desk = [
        GroupMember(member=MAKER, member_type=ScopeType.STRATEGY),
        GroupMember(member=MAKER + 1, member_type=ScopeType.STRATEGY),
    ]
    r.frame(GroupDefined(group=DESK, members=desk))
    r.limit(RiskCheck.CREDIT, 1000, limit=1, exp=0, currency=USD)
    r.limit(RiskCheck.CREDIT, 60, limit=2, exp=0, currency=USD, scope_type=ScopeType.GROUP, scope_group=DESK)
    assert why(r, strategy=MAKER) == 0
    assert outcome(r.last(), RiskCheck.CREDIT).limit == 2
    assert why(r, strategy=MAKER + 1) == Reason.CREDIT_LIMIT  # together
    assert why(r, strategy=MAKER + 2) == 0  # another desk
    assert outcome(r.last(), RiskCheck.CREDIT).limit == 1
    r.frame(GroupDefined(group=DESK, members=desk[:1]))
    assert why(r, strategy=MAKER + 1) == 0
    r.limit(RiskCheck.CREDIT, 10, limit=3, exp=0, currency=USD, scope_type=ScopeType.STRATEGY, scope_strategy=MAKER)
    assert why(r, strategy=MAKER) == Reason.CREDIT_LIMIT  # narrower than its desk
    assert outcome(r.last(), RiskCheck.CREDIT).limit == 3


def equity(amount: int) -> MarginConfirmed:
    return MarginConfirmed(account=ACCOUNT, equity=amount, currency=USD, exp=0)


def test_leverage() -> None:
    r = with_second()
    r.limit(RiskCheck.LEVERAGE, 15, exp=-1)
    assert why(r) == Reason.MARGIN_CALCULATION_FAILED  # nobody said what the account is worth
    r.frame(equity(100))
    r.holding(1000, px=1000, instrument=SECOND_INSTRUMENT)  # 100 USD
    assert why(r, qty=100) == 0  # 150 of 100
    assert outcome(r.last(), RiskCheck.LEVERAGE).value == 15 * 10**11
    assert why(r, qty=10) == Reason.LEVERAGE_LIMIT
    r.frame(equity(0))
    assert why(r, qty=10) == Reason.MARGIN_CALCULATION_FAILED


def test_concentration() -> None:
    r = with_second()
    r.limit(RiskCheck.CONCENTRATION, 5, exp=-1)
    r.frame(equity(100))
    r.holding(1000, px=1000, instrument=SECOND_INSTRUMENT)  # does not matter here
    assert why(r, qty=100) == 0
    assert outcome(r.last(), RiskCheck.CONCENTRATION).value == 5 * 10**11
    assert why(r, qty=10) == Reason.CONCENTRATION_LIMIT


# Funds.


def funded(usd: int, btc: int = 0, **limit: Any) -> RiskRecorder:
    r = world(base_currency=BTC)
    r.limit(RiskCheck.FUNDS, limit.pop("keep", 0), exp=0, **limit)
    r.frame(FundsConfirmed(account=ACCOUNT, currency=USD, balance=usd, exp=0))
    r.frame(FundsConfirmed(account=ACCOUNT, currency=BTC, balance=btc, exp=-3))
    return r


def test_funds_to_buy_and_to_sell() -> None:
    r = funded(100, 100)
    assert why(r, qty=200) == 0
    assert why(r, qty=10) == Reason.INSUFFICIENT_FUNDS
    assert outcome(r.last(), RiskCheck.FUNDS).value == 105
    assert why(r, qty=100, side=Side.SELL) == 0
    assert why(r, qty=10, side=Side.SELL) == Reason.INSUFFICIENT_FUNDS
    r.report(order_id_of(STRATEGY, 1), OrdStatus.CANCELED, qty=200)
    assert why(r, qty=200) == 0


def test_funds_that_are_kept_back_are_not_spent() -> None:
    r = funded(100, keep=50)
    assert why(r, qty=100) == 0
    assert why(r, qty=10) == Reason.INSUFFICIENT_FUNDS


def test_a_fill_spends_at_once_and_a_confirmation_of_before_does_not_undo_it() -> None:
    r = funded(100)
    order_id = r.new(qty=200).order_id
    r.trade(order_id, qty=200, cum=200, last=200, exchange_ts=50)
    assert why(r, qty=10) == Reason.INSUFFICIENT_FUNDS
    r.frame(FundsConfirmed(account=ACCOUNT, currency=USD, balance=1000, exp=-1, exchange_ts=49))  # from before the fill
    assert why(r, qty=10) == Reason.INSUFFICIENT_FUNDS
    r.frame(FundsConfirmed(account=ACCOUNT, currency=USD, balance=5, exp=0, exchange_ts=50))
    assert why(r, qty=10) == 0
    assert why(r, qty=10) == Reason.INSUFFICIENT_FUNDS


def test_funding_that_is_charged_leaves_the_balance_at_once_and_what_is_paid_waits_for_a_confirmation() -> None:
    r = funded(100)
    r.frame(Funding(account=ACCOUNT, currency=USD, payment=990, payment_exp=-1, funding_ts=40))
    r.frame(Funding(account=ACCOUNT, currency=BTC, payment=-990, payment_exp=-1, funding_ts=40))
    assert why(r, qty=210) == Reason.INSUFFICIENT_FUNDS
    r.frame(Funding(account=ACCOUNT, currency=USD, payment=-955, payment_exp=-1, funding_ts=50))
    assert why(r, qty=10) == Reason.INSUFFICIENT_FUNDS
    r.frame(FundsConfirmed(account=ACCOUNT, currency=USD, balance=104, exp=0, exchange_ts=49))  # from before it
    assert why(r, qty=20) == Reason.INSUFFICIENT_FUNDS
    r.frame(FundsConfirmed(account=ACCOUNT, currency=USD, balance=5, exp=0, exchange_ts=50))
    assert why(r, qty=10) == 0


def test_many_fills_are_remembered_in_bounded_room() -> None:
    r = funded(1000)
    for n in range(100):
        r.holding(10, exchange_ts=n + 1)
    assert len(r.engine.memory.funds[f"{ACCOUNT}/{USD}"].spent) == 64
    assert why(r, qty=1000) == 0  # 500 of 1000 are spent
    assert why(r, qty=10) == Reason.INSUFFICIENT_FUNDS


def test_what_nobody_confirmed_is_not_there() -> None:
    r = world(base_currency=BTC)
    r.limit(RiskCheck.FUNDS, 0)
    assert why(r) == Reason.INSUFFICIENT_FUNDS
    r.touch(NULL, NULL)
    assert why(r, ord_type=OrdType.MARKET, px=NULL) == Reason.REFERENCE_PRICE_UNAVAILABLE


def test_a_replace_needs_only_what_is_more() -> None:
    r = funded(100)
    order_id = r.new(qty=100).order_id
    assert r.replace(order_id, order_qty=200).reason == 0
    assert r.replace(order_id, order_qty=210).reason == Reason.INSUFFICIENT_FUNDS
    assert r.replace(order_id, price_px=4900).reason == 0


def test_cumulative_funds_of_a_list() -> None:
    r = funded(100)
    r.limit(RiskCheck.CUMULATIVE_FUNDS, 0, limit=9)
    first = r.new(qty=100, list_id=7).order_id
    assert outcome(r.new(qty=100, list_id=7), RiskCheck.CUMULATIVE_FUNDS).value == 100
    assert r.last().reason == 0
    r.trade(first, qty=100, cum=100, last=100)  # filled, and still needed by the list
    assert why(r, qty=10, list_id=7) == Reason.INSUFFICIENT_FUNDS  # funds come first in the list of checks
    r.limit(RiskCheck.FUNDS, NULL, generation=1)
    assert why(r, qty=10, list_id=7) == Reason.CUMULATIVE_FUNDS
    assert RiskCheck.CUMULATIVE_FUNDS not in listed(r.new(qty=10))
    r.report(order_id_of(STRATEGY, 2), OrdStatus.CANCELED, qty=100)
    assert r.engine.memory.bundles == {}  # the list is over


def test_cumulative_funds_of_a_list_have_a_bound_of_their_own() -> None:
    r = funded(1000)
    r.limit(RiskCheck.CUMULATIVE_FUNDS, 100, limit=9)
    assert why(r, qty=200, list_id=7) == 0
    assert why(r, qty=10, list_id=7) == Reason.CUMULATIVE_FUNDS
    assert why(r, qty=200, list_id=8) == 0


# Margin.


def margined(amount: int, *, keep: int = 0) -> RiskRecorder:
    r = world(instrument_type=PERPETUAL)
    r.limit(RiskCheck.MARGIN, keep, exp=0)
    r.frame(equity(amount))
    tiers = [MarginTier(initial_rate=10**11), MarginTier(from_notional=100 * 10**5, initial_rate=5 * 10**11)]
    r.frame(MarginTable(instrument=INSTRUMENT, tiers=tiers))
    return r


@pytest.mark.parametrize(
    ("qty", "equity_", "reason"),
    [
        (100, 5, 0),  # 10% of 50
        (110, 5, Reason.INSUFFICIENT_MARGIN),
        (190, 10, 0),  # 95: the first tier
        (200, 49, Reason.INSUFFICIENT_MARGIN),  # 100: the second, 50%
        (200, 50, 0),
    ],
)
def test_margin(qty: int, equity_: int, reason: int) -> None:
    assert why(margined(equity_), qty=qty) == reason


def test_margin_kept_back_orders_and_what_reduces() -> None:
    r = margined(10, keep=5)
    assert why(r, qty=100) == 0
    assert why(r, qty=10) == Reason.INSUFFICIENT_MARGIN
    assert why(r, qty=100, side=Side.SELL) == 0  # the other side of what may be held
    r.holding(1000)
    assert why(r, qty=100, side=Side.SELL) == 0
    assert RiskCheck.FUNDS not in listed(r.last())


def test_margin_that_cannot_be_computed() -> None:
    r = world(instrument_type=PERPETUAL)
    r.limit(RiskCheck.MARGIN, 0)
    assert why(r) == Reason.MARGIN_CALCULATION_FAILED  # no equity
    r.frame(equity(5))
    assert why(r) == Reason.MARGIN_CALCULATION_FAILED  # no rate
    r.define(instrument_type=PERPETUAL, initial_rate=10**11)
    assert why(r, qty=100) == 0
    assert why(r, qty=10) == Reason.INSUFFICIENT_MARGIN
    r.limit(RiskCheck.MARGIN, 0, generation=1, action=LimitAction.WARN)
    assert why(r, qty=10) == 0
