"""Small parts against dumb twins: exact rescaling, scopes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.messages import Scope, ScopeType
from journal.messages.scopes import Subject, covers, kill_covers
from riskengine.numbers import clip, rescale_down, rescale_up


@given(st.integers(-(10**25), 10**25), st.integers(-20, 20), st.integers(-20, 20))
def test_rescaling_is_exact_or_on_the_safe_side(mantissa: int, exp: int, to_exp: int) -> None:
    exact = Fraction(mantissa) * Fraction(10) ** (exp - to_exp)
    up, down = rescale_up(mantissa, exp, to_exp), rescale_down(mantissa, exp, to_exp)
    assert abs(up) >= abs(exact) > abs(up) - 1 or up == exact == 0
    assert down <= exact < down + 1
    if exact.denominator == 1:
        assert up == down == exact


def test_clip() -> None:
    assert clip(1 << 80) == (1 << 63) - 1
    assert clip(-(1 << 80)) == -((1 << 63) - 1)
    assert clip(7) == 7


_SUBJECT = Subject(order_id=1, parent_order_id=2, account=3, strategy=4, user=5, instrument=6, underlying=7, venue=8, source=9)


@pytest.mark.parametrize(
    ("scope_type", "fields"),
    [
        (ScopeType.VENUE, {"venue": 8}),
        (ScopeType.ACCOUNT, {"account": 3}),
        (ScopeType.STRATEGY, {"strategy": 4}),
        (ScopeType.USER, {"user": 5}),
        (ScopeType.INSTRUMENT, {"instrument": 6}),
        (ScopeType.UNDERLYING, {"underlying": 7}),
        (ScopeType.SOURCE, {"source": 9}),
        (ScopeType.ACCOUNT_INSTRUMENT, {"account": 3, "instrument": 6}),
        (ScopeType.STRATEGY_INSTRUMENT, {"strategy": 4, "instrument": 6}),
        (ScopeType.ORDER_TREE, {"order_id": 2}),
    ],
)
def test_all_given_ids_of_a_scope_must_match(scope_type: ScopeType, fields: dict[str, int]) -> None:
    right = {f"scope_{name}": value for name, value in fields.items()}
    assert covers(Scope(scope_type=scope_type, **right), _SUBJECT)
    for name in right:
        assert not covers(Scope(scope_type=scope_type, **(right | {name: 99})), _SUBJECT)
        assert not kill_covers(Scope(scope_type=scope_type, **(right | {name: 99})), _SUBJECT)


def test_a_scope_that_cannot_be_judged_covers_for_kills_only() -> None:
    for scope_type in (ScopeType.UNDEFINED, ScopeType.GROUP, ScopeType.DESTINATION, 200):
        assert not covers(Scope(scope_type=scope_type), _SUBJECT)
        assert kill_covers(Scope(scope_type=scope_type), _SUBJECT)
