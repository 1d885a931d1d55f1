"""Positions against cash-flow accounting in exact fractions. I-48, I-55, I-58."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.positions import Positions
from apps.valuation import Unvalued, div_half_away, rescale, terms_of, value
from journal.messages import (
    NULL,
    Alert,
    AlertState,
    ContractType,
    CurrencyDefined,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    OrdStatus,
    Position,
    ReportFlag,
    Side,
)

USD, BTC_COIN, BNB = 840, 1, 2
LINEAR, COARSE, INVERSE, QUANTO = 1001, 1002, 1003, 1004
ACCOUNT, STRATEGY = 11, 21

CURRENCIES = (
    CurrencyDefined(currency=USD, ledger_exp=-8, name="USD"),
    CurrencyDefined(currency=BTC_COIN, ledger_exp=-12, name="BTC"),
    CurrencyDefined(currency=BNB, ledger_exp=-8, name="BNB"),
)
INSTRUMENTS = (
    # px_exp + qty_exp + multiplier_exp = -5: every product is exact in 1e-8 USD.
    InstrumentDefined(instrument=LINEAR, quote_currency=USD, px_exp=-2, qty_exp=-3, contract=ContractType.LINEAR, name="LIN"),
    # -11: products are finer than the ledger, and are rounded.
    InstrumentDefined(
        instrument=COARSE, quote_currency=USD, px_exp=-3, qty_exp=-6, multiplier=5, multiplier_exp=-2, name="COARSE"
    ),
    InstrumentDefined(
        instrument=INVERSE,
        base_currency=BTC_COIN,
        quote_currency=USD,
        settlement_currency=BTC_COIN,
        px_exp=-1,
        qty_exp=0,
        multiplier=100,
        contract=ContractType.INVERSE,
        name="INV",
    ),
    InstrumentDefined(
        instrument=QUANTO,
        quote_currency=USD,
        settlement_currency=BTC_COIN,
        px_exp=-2,
        qty_exp=0,
        quanto_rate=1,
        quanto_rate_exp=-6,
        contract=ContractType.QUANTO,
        name="QUANTO",
    ),
)
LEDGER_EXP = {c.currency: c.ledger_exp for c in CURRENCIES}
MONEY_OF = {LINEAR: USD, COARSE: USD, INVERSE: BTC_COIN, QUANTO: BTC_COIN}


@pytest.fixture
def on_stage(stage):
    return defined(stage)


def defined(stage):
    on = stage(Positions())
    for m in (*CURRENCIES, *INSTRUMENTS):
        on.frame(m, on.SEQUENCER)
    return on


def fill(side: Side, qty: int, px: int, *, instrument: int = LINEAR, account: int = ACCOUNT, strategy: int = STRATEGY, **more):
    return ExecutionReport(
        order_id=5,
        account=account,
        strategy=strategy,
        instrument=instrument,
        side=side,
        exec_type=ExecType.TRADE,
        ord_status=OrdStatus.PARTIALLY_FILLED,
        last_qty=qty,
        last_px=px,
        **more,
    )


def held(on, instrument: int = LINEAR):
    return on.app.position(ACCOUNT, STRATEGY, instrument)


# The independent model: nothing but cash and quantity, in fractions of a currency unit, rounded once a fill as the market
# would be charged.


def decimal(mantissa: int, exp: int) -> Fraction:
    return Fraction(mantissa) * Fraction(10) ** exp


def true_value(d: InstrumentDefined, px: int, qty: int) -> Fraction:
    """What a signed quantity is worth, in currency units."""
    size = decimal(qty, d.qty_exp) * decimal(d.multiplier, d.multiplier_exp)
    price = decimal(px, d.px_exp)
    if d.contract == ContractType.INVERSE:
        return -size / price
    return size * price * (decimal(d.quanto_rate, d.quanto_rate_exp) if d.contract == ContractType.QUANTO else 1)


def ledger_units(amount: Fraction, exp: int) -> int:
    """Rounded to whole ledger units, halves away from zero."""
    scaled = amount / Fraction(10) ** exp
    whole, rest = divmod(abs(scaled), 1)
    return int(whole + (rest >= Fraction(1, 2))) * (1 if scaled >= 0 else -1)


class CashAndQuantity:
    def __init__(self, d: InstrumentDefined) -> None:
        self.d, self.exp = d, LEDGER_EXP[MONEY_OF[d.instrument]]
        self.cash = self.qty = 0

    def value(self, px: int, qty: int) -> int:
        return ledger_units(true_value(self.d, px, qty), self.exp)

    def fill(self, px: int, qty: int) -> None:
        self.cash -= self.value(px, qty)
        self.qty += qty


BY_ID = {d.instrument: d for d in INSTRUMENTS}
trades = st.lists(
    st.tuples(st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 500), st.integers(1, 7_000_000)), min_size=1, max_size=25
)
small_trades = st.lists(st.tuples(st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 4), st.integers(90, 110)), max_size=25)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(BY_ID)), st.one_of(trades, small_trades), st.integers(1, 7_000_000))
def test_realized_and_unrealized_are_the_cash_flow_exactly(stage, instrument, fills, mark):
    on, model = defined(stage), CashAndQuantity(BY_ID[instrument])
    before = 0
    for side, qty, px in fills:
        said = on.frame(fill(side, qty, px, instrument=instrument), on.OMS)
        signed = qty if side == Side.BUY else -qty
        model.fill(px, signed)
        p = held(on, instrument)
        # I-48: the position is the sum of the fills; I-55: profit is cash plus what is held, to the last unit.
        assert p.qty == model.qty
        assert p.realized == model.cash + p.cost
        equity = p.realized + on.app.unrealized(p, mark)
        assert equity == model.cash + model.value(mark, model.qty)
        assert equity - before == equity_change(model, mark, px, signed)
        before = equity
        if p.qty == 0:
            assert (p.cost, p.realized) == (0, model.cash)
        (m,) = said
        assert isinstance(m, Position)
        assert (m.long_qty, m.short_qty) == (max(p.qty, 0), max(-p.qty, 0))
        assert (m.cost, m.realized, m.last_fill_seq, m.currency) == (p.cost, p.realized, on.seq, MONEY_OF[instrument])


def equity_change(model: CashAndQuantity, mark: int, px: int, signed: int) -> int:
    """A fill's profit at the mark: what is held after, less what was held before, less what was paid."""
    now, then = model.value(mark, model.qty), model.value(mark, model.qty - signed)
    return now - then - model.value(px, signed)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(BY_ID)), small_trades)
def test_cost_is_the_average_cost(stage, instrument, fills):
    """Against average-cost accounting in fractions: off by less than a unit for each closing fill."""
    on, d = defined(stage), BY_ID[instrument]
    exp = LEDGER_EXP[MONEY_OF[instrument]]
    cost, net, roundings = Fraction(0), 0, 0
    for side, qty, px in fills:
        on.frame(fill(side, qty, px, instrument=instrument), on.OMS)
        signed = qty if side == Side.BUY else -qty
        if net * signed < 0:
            closing = min(abs(signed), abs(net))
            cost -= cost * Fraction(closing, abs(net))
            opening = abs(signed) - closing
            cost += true_value(d, px, opening if signed > 0 else -opening)
        else:
            cost += true_value(d, px, signed)
        roundings += 2
        net += signed
        if net == 0:
            roundings = 0
        assert abs(held(on, instrument).cost - cost / Fraction(10) ** exp) <= roundings
        # The open quantity never costs the other way round (an inverse long costs less than nothing).
        sign = -1 if d.contract == ContractType.INVERSE else 1
        assert held(on, instrument).cost * net * sign >= 0


def test_a_long_is_bought_part_sold_and_turned(on_stage):
    # LIN: 10 units at 100.00 and 10 at 110.00; sell 5 at 120.00; sell 20 at 90.00, through zero. Ledger: 1e-8 USD.
    usd = 10**8
    on_stage.frame(fill(Side.BUY, 10_000, 10_000))
    on_stage.frame(fill(Side.BUY, 10_000, 11_000))
    p = held(on_stage)
    assert (p.qty, p.cost, p.realized) == (20_000, 2_100 * usd, 0)
    on_stage.frame(fill(Side.SELL, 5_000, 12_000))
    assert (p.qty, p.cost, p.realized) == (15_000, 1_575 * usd, 75 * usd)
    assert on_stage.app.unrealized(p, 11_500) == 150 * usd
    on_stage.frame(fill(Side.SELL_SHORT, 20_000, 9_000))
    assert (p.qty, p.cost, p.realized) == (-5_000, -450 * usd, (75 - 225) * usd)
    assert on_stage.app.unrealized(p, 8_000) == 50 * usd
    on_stage.frame(fill(Side.BUY, 5_000, 8_000))
    assert (p.qty, p.cost, p.realized) == (0, 0, -100 * usd)


def test_an_inverse_contract_gains_in_coin(on_stage):
    on_stage.frame(fill(Side.BUY, 100, 500_000, instrument=INVERSE))  # 100 contracts of 100 USD at 50,000.0
    on_stage.frame(fill(Side.SELL, 100, 625_000, instrument=INVERSE))  # at 62,500.0
    p = held(on_stage, INVERSE)
    assert (p.qty, p.cost, p.currency) == (0, 0, BTC_COIN)
    assert p.realized == 4 * 10**10  # 0.2 - 0.16 = 0.04 BTC


def test_what_is_no_new_fill_changes_nothing(on_stage):
    on_stage.frame(fill(Side.BUY, 10, 100))
    before = on_stage.app.snapshot()
    duplicate = fill(Side.BUY, 10, 100, report_flags=ReportFlag.DUPLICATE_SUPPRESSED)
    status = fill(Side.BUY, 10, 100)
    status.exec_type = ExecType.ORDER_STATUS
    nothing = fill(Side.BUY, 0, NULL)
    for m in (duplicate, status, nothing, ExecutionReport(exec_type=ExecType.NEW)):
        assert on_stage.frame(m) == []
    assert on_stage.app.snapshot() == before


def test_fees_by_currency(on_stage):
    on_stage.frame(fill(Side.BUY, 10, 100, fee=125, fee_exp=-4, fee_currency=USD))
    on_stage.frame(fill(Side.BUY, 10, 100, fee=-25, fee_exp=-4))  # a rebate, in the position's own currency
    on_stage.frame(fill(Side.BUY, 10, 100, fee=3, fee_exp=-3, fee_currency=BNB))
    on_stage.frame(fill(Side.BUY, 10, 100, fee=15, fee_exp=-9, fee_currency=USD))  # 1.5 units: away from zero
    p = held(on_stage)
    assert p.fees == 10**6 + 2
    assert p.fees_elsewhere == {BNB: 300_000}
    assert on_stage.said[-1].fees == p.fees


def test_net_quantity_over_accounts_and_strategies(on_stage):
    for account, strategy, side, qty in ((1, 1, Side.BUY, 5), (1, 2, Side.BUY, 7), (2, 1, Side.SELL, 20)):
        on_stage.frame(fill(side, qty, 100, account=account, strategy=strategy))
    app = on_stage.app
    assert app.net_qty(LINEAR) == -8
    assert app.net_qty(LINEAR, account=1) == 12
    assert app.net_qty(LINEAR, strategy=1) == -15
    assert app.net_qty(LINEAR, account=1, strategy=2) == 7
    assert app.net_qty(COARSE, account=1, strategy=2) == app.net_qty(COARSE) == 0
    assert app.position(9, 9, LINEAR).qty == 0


def test_a_fill_of_an_unknown_instrument_is_held_and_folded_when_it_is_defined(stage):
    on = stage(Positions())
    alerts = on.frame(fill(Side.BUY, 10, 100, instrument=LINEAR))
    first = on.seq
    assert [(m.state, m.about_seq, m.scope_instrument) for m in alerts] == [(AlertState.RAISED, first, LINEAR)]
    assert f"seq {first} in suspense: instrument {LINEAR} is not defined" in alerts[0].text
    on.frame(fill(Side.SELL, 4, 120, instrument=LINEAR))
    assert on.frame(INSTRUMENTS[0]) == []  # its currency is still missing
    said = on.frame(CURRENCIES[0])
    assert [type(m) for m in said] == [Position, Alert, Position, Alert]
    assert said[0].last_fill_seq == first
    assert said[1].state == AlertState.CLEARED
    assert held(on).qty == 6
    assert on.app.held == []


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (fill(Side.UNDEFINED, 1, 100), "side 0"),
        (fill(Side.BUY, -1, 100), "quantity -1"),
        (fill(Side.BUY, 2**63 - 1, 1), "would not fit"),
        (fill(Side.BUY, 2**63 - 1, 2**63 - 1), "126 bits"),
        (fill(Side.BUY, 1, 0, instrument=INVERSE), "price 0 of an inverse"),
        (fill(Side.BUY, 1, 1, fee=1, fee_currency=77), "fee currency 77 is not defined"),
        (fill(Side.BUY, 1, 1, fee=1, fee_exp=100), "more than any fee"),
    ],
)
def test_a_fill_that_makes_no_sense_is_held_and_alerted_and_the_app_goes_on(on_stage, bad, text):
    (alert,) = on_stage.frame(bad)
    assert text in alert.text
    assert held(on_stage, bad.instrument).qty == 0
    on_stage.frame(fill(Side.BUY, 3, 100, instrument=COARSE))
    assert held(on_stage, COARSE).qty == 3


def test_an_open_position_keeps_its_units(on_stage):
    on_stage.frame(fill(Side.BUY, 10, 100))
    finer = InstrumentDefined(instrument=LINEAR, quote_currency=USD, px_exp=-2, qty_exp=-4, name="LIN")
    on_stage.frame(finer)
    (alert,) = on_stage.frame(fill(Side.BUY, 10, 100))
    assert "qty_exp -4; the open position's is -3" in alert.text
    assert held(on_stage).qty == 10


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"contract": 77}, "contract type 77"),
        ({"quote_currency": 5}, "currency 5 is not defined"),
        ({"multiplier": 0}, "multiplier 0"),
        ({"contract": ContractType.QUANTO, "settlement_currency": USD}, "quanto rate"),
    ],
)
def test_a_definition_that_gives_no_value_names_what_is_missing(change, text):
    d = InstrumentDefined(**{"instrument": 7, "quote_currency": USD, "name": "X", **change})
    with pytest.raises(Unvalued, match=f"instrument 7 X: {text}"):
        terms_of(d, {USD: CURRENCIES[0]})


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_rounding_is_half_away_from_zero(numerator, denominator):
    assert div_half_away(numerator, denominator) == ledger_units(Fraction(numerator, denominator), 0)


@given(st.integers(-(2**62), 2**62), st.integers(-20, 20), st.integers(-20, 20))
def test_rescale(mantissa, exp, to_exp):
    assert rescale(mantissa, exp, to_exp) == ledger_units(decimal(mantissa, exp), to_exp)


@given(st.sampled_from(sorted(BY_ID)), st.integers(1, 2**40), st.integers(-(2**40), 2**40))
def test_value_is_the_true_one_rounded_once_and_odd(instrument, px, qty):
    terms = terms_of(BY_ID[instrument], {c.currency: c for c in CURRENCIES})
    assert value(terms, px, qty) == ledger_units(true_value(BY_ID[instrument], px, qty), LEDGER_EXP[terms.currency])
    assert value(terms, px, -qty) == -value(terms, px, qty)


@settings(max_examples=30, deadline=None)
@given(trades, st.integers(0, 25))
def test_a_restored_app_goes_on_as_the_old_one(stage, fills, at):
    on = defined(stage)
    frames = [fill(s, q, p, instrument=(LINEAR, COARSE, 999)[i % 3]) for i, (s, q, p) in enumerate(fills)]
    for m in frames[:at]:
        on.frame(m)
    other = defined(stage)
    other.app.restore(on.app.snapshot())
    other.seq = on.seq
    assert other.app.snapshot() == on.app.snapshot()
    for m in frames[at:]:
        assert other.frame(m) == on.frame(m)
    assert other.app.snapshot() == on.app.snapshot()


@given(
    st.lists(
        st.tuples(st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 50), st.integers(900, 1100), st.integers(-5, 5)),
        min_size=1, max_size=12,
    ),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 40), st.integers(900, 1100)), max_size=4),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_trades_taken_back_and_restated_leave_what_never_was(stage, trades, corrections):
    """The reversal is booked, not edited in: quantity, cash (realized less cost) and fees end as if the trades had always been
    what they are now. V16, I-52."""
    on = defined(stage)
    for side, qty, px, fee in trades:
        on.frame(fill(side, qty, px, fee=fee, fee_exp=-2, fee_currency=USD))
    for at, qty, px in corrections:
        side, old_qty, old_px, old_fee = trades[at % len(trades)]
        if not old_qty:
            continue
        taken = fill(side, old_qty, old_px, fee=old_fee, fee_exp=-2, fee_currency=USD)
        taken.exec_type = ExecType.TRADE_CANCEL
        on.frame(taken)
        if qty:
            stands = fill(side, qty, px, fee=1, fee_exp=-2, fee_currency=USD)
            stands.exec_type = ExecType.TRADE_CORRECT
            on.frame(stands)
        trades[at % len(trades)] = (side, qty, px, 1 if qty else 0)
    signed = [(qty if side == Side.BUY else -qty, px) for side, qty, px, _ in trades]
    now = held(on)
    assert now.qty == sum(qty for qty, _ in signed)
    assert now.realized - now.cost == -sum(qty * px for qty, px in signed) * 1000
    assert now.fees == sum(fee for *_, fee in trades) * 10**6
    assert on.said[-1] == Position(
        account=ACCOUNT, strategy=STRATEGY, instrument=LINEAR, position_side=1, long_qty=max(now.qty, 0),
        short_qty=max(-now.qty, 0), cost=now.cost, realized=now.realized, fees=now.fees, currency=USD,
        last_fill_seq=now.last_fill_seq,
    )  # fmt: skip
