"""Canonical state bytes: round trip, equality, refusal of what is no state."""

import contextlib
from collections import defaultdict, deque
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps import state
from apps.strategy import OpenOrder
from journal.messages import OrdStatus

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=4).map(tuple)
    | st.lists(inner, max_size=4).map(lambda v: deque(v, maxlen=9))
    | st.dictionaries(st.integers() | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(values)
def test_round_trip(value):
    data = state.encode(value)
    back = state.decode(data)
    assert back == value
    assert type(back) is type(value)
    assert state.encode(back) == data


def test_structs_and_objects_come_back():
    order = OpenOrder(order_id=1, instrument=2, side=1, qty=3, px=4, leaves_qty=3, status=2)
    assert state.decode(state.encode({"orders": {1: order}}))["orders"][1] == order


def test_deque_keeps_its_limit():
    back = state.decode(state.encode(deque([1, 2, 3], maxlen=3)))
    back.append(4)
    assert list(back) == [2, 3, 4]


@pytest.mark.parametrize("bad", [1.5, {1, 2}, frozenset([1]), complex(1), lambda: None, open])
def test_what_is_no_state_is_refused_by_name(bad):
    with pytest.raises(state.StateError, match="state"):
        state.encode({"x": bad})


@given(st.binary(max_size=200))
def test_hostile_bytes_only_err(data):
    with contextlib.suppress(state.StateError):
        state.decode(data)


def test_a_snapshot_cannot_import():
    import sys

    import msgspec

    data = msgspec.msgpack.encode(["o", "antigravity:Fly"])
    with pytest.raises(state.StateError):
        state.decode(data)
    assert "antigravity" not in sys.modules


def test_decimal_is_exact():
    assert state.decode(state.encode(Decimal("0.10"))) == Decimal("0.10")


class Plain:
    def __init__(self, **attributes):
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (1.5, "state: float 1.5;"),
        ({"x": [1, (2, {1, 2})]}, "state['x'][][]: set"),
        ({7: {"y": 1.5}}, "state[7]['y']: float"),
        ({(1, 1.5): 2}, "state key[]: float"),
        ({"x": Plain(good=1, bad=open)}, "state['x'].bad: builtin_function_or_method is no state"),
        ([OpenOrder(order_id=1, instrument=2, side=1, qty=1.5, px=4, leaves_qty=3, status=2)], "state[].qty: float"),
    ],
)
def test_what_is_no_state_is_found(value, where):
    with pytest.raises(state.StateError) as found:
        state.encode(value)
    assert str(found.value).startswith(where)
    with in_python(), pytest.raises(state.StateError) as reference:
        state.encode(value)
    assert str(found.value) == str(reference.value)


@contextlib.contextmanager
def in_python():
    """Packed by the reference, whatever was built."""
    before, state._pack = state._pack, state._in_python
    try:
        yield
    finally:
        state._pack = before


odd = st.builds(
    OpenOrder, order_id=st.integers(), instrument=st.integers(), side=st.integers(0, 9), qty=values, px=values,
    leaves_qty=st.integers(-(2**63), 2**63), status=st.sampled_from([OrdStatus.NEW, OrdStatus.FILLED]),
)  # fmt: skip
edges = st.sampled_from([2**62, 2**62 - 1, -(2**62), 1 - 2**62, 2**63 - 1, -(2**63), 2**64])


def defaulted(value):
    return defaultdict(list, {1: value})


@given(
    st.recursive(values | odd | edges, lambda v: st.builds(Plain, x=v, y=v) | st.lists(v, max_size=3) | st.builds(defaulted, v))
)
def test_both_ways_give_the_same_bytes(value):
    with in_python():
        reference = state.encode(value)
    assert state.encode(value) == reference


def test_a_state_that_changes_while_it_is_packed_is_refused():
    held = {}

    class Grows:
        @property
        def __dict__(self):
            held[len(held)] = 1
            return {}

    held["x"] = Grows()
    for way in (contextlib.nullcontext(), in_python()):
        with way, pytest.raises(RuntimeError, match="changed size"):
            state.encode(held)


def test_a_state_that_holds_itself_is_refused():
    ring = []
    ring.append(ring)
    for way in (contextlib.nullcontext(), in_python()):
        with way, pytest.raises(RecursionError):
            state.encode(ring)
