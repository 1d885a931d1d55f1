"""Funding in positions: each payment once, every cent of it somebody's, and nothing booked that cannot be said what it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.payments import KNOWN_MOST, Payments, shares
from apps.positions import Positions
from journal.messages import NULL, Alert, Funding, Position, Side
from tests.apps.test_positions import ACCOUNT, BNB, COARSE, LINEAR, USD, defined, fill

SHORT = 22


@pytest.fixture
def on(stage):
    return defined(stage)


def pay(on, payment, *, ts=1, position=NULL, **fields):
    given = {"account": ACCOUNT, "instrument": LINEAR, "currency": USD, "payment": payment, "payment_exp": -8} | fields
    return on.frame(Funding(funding_ts=ts, position_qty=position, **given))


def paid(said):
    """What each strategy was paid in all, as the positions say."""
    assert all(isinstance(m, Position) for m in said)
    return {m.strategy: m.funding for m in said}


def test_each_strategy_s_share_is_as_its_position(on):
    on.frame(fill(Side.BUY, 30, 100_00, strategy=21), on.OMS)
    on.frame(fill(Side.SELL, 10, 100_00, strategy=SHORT), on.OMS)
    cash = on.app.cash(ACCOUNT, USD)
    assert paid(pay(on, -200, position=20)) == {21: -300, SHORT: 100}
    assert on.app.cash(ACCOUNT, USD) == cash - 200
    assert paid(pay(on, 100, ts=2)) == {21: -150, SHORT: 50}  # all that was charged on is ours where the venue does not say


def test_the_same_payment_again_changes_nothing(on):
    on.frame(fill(Side.BUY, 30, 100_00), on.OMS)
    assert len(pay(on, -200)) == 1
    before = on.app.snapshot()
    assert pay(on, -200) == []
    assert pay(on, -300) == []
    assert on.app.snapshot() == before


def test_what_is_no_strategy_s_is_nobody_s(on):
    """A position that the venue had before, or one that is closed by now."""
    on.frame(fill(Side.BUY, 30, 100_00), on.OMS)
    assert paid(pay(on, -200, position=40)) == {21: -150, 0: -50}
    on.frame(fill(Side.SELL, 30, 100_00), on.OMS)
    assert paid(pay(on, -80, ts=2, position=40)) == {0: -130}
    assert paid(pay(on, 7, ts=3)) == {0: -123}
    assert on.app.cash(ACCOUNT, USD) == -150 - 123


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"currency": 77}, "not defined"), ({"instrument": 77}, "not defined"), ({"payment": NULL}, "no amount"),
        ({"currency": BNB}, "not the position's"),
    ],
)  # fmt: skip
def test_what_cannot_be_booked_is_alerted(on, fields, words):
    on.frame(fill(Side.BUY, 30, 100_00), on.OMS)
    (alert,) = pay(on, **({"payment": -200} | fields))
    assert isinstance(alert, Alert)
    assert words in alert.text
    assert on.app.net_qty(LINEAR) == 30
    assert on.app.cash(ACCOUNT, BNB) == 0


def test_a_position_of_another_instrument_is_not_asked(on):
    on.frame(fill(Side.BUY, 30, 100_00), on.OMS)
    on.frame(fill(Side.BUY, 30, 100_00, instrument=COARSE), on.OMS)
    (said,) = pay(on, -200, position=30)
    assert (said.instrument, said.funding) == (LINEAR, -200)


def test_a_restored_app_knows_what_was_paid(on, stage):
    on.frame(fill(Side.BUY, 30, 100_00), on.OMS)
    plain = on.app.snapshot()
    pay(on, -200)
    again = Positions()
    again.restore(on.app.snapshot())
    assert again.holdings == on.app.holdings
    assert again.payments == on.app.payments
    assert b"payments" not in plain  # where nobody pays, nothing is kept


quantities = st.integers(-1000, 1000)


@given(st.lists(quantities, max_size=4), quantities, st.integers(-(10**6), 10**6))
def test_every_unit_is_somebody_s_once(held, charged, payment):
    found, left = shares(payment, held, charged)
    assert sum(found) + left == payment
    for share, qty in zip(found, held, strict=True):
        if charged:
            assert abs(share * charged - payment * qty) <= abs(charged) * len(held)
        else:
            assert share == 0
    if held and charged and sum(held) == charged:
        assert left == 0


def test_so_many_payments_are_known_and_older_ones_are_as_they_were():
    known = Payments()
    for ts in range(1, KNOWN_MOST + 2):
        assert known.take(Funding(account=1, instrument=1, funding_ts=2 * ts), ts) is None
    assert known.take(Funding(account=1, instrument=1, funding_ts=2), 5) == 5
    assert known.take(Funding(account=1, instrument=1, funding_ts=4), 5) == 2
    assert known.take(Funding(account=1, instrument=1, funding_ts=7), 5) is None
    assert known.take(Funding(account=1, instrument=2, funding_ts=4), 5) is None
