"""What is said and not seen yet, in C, does as a dict of number and Emission does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import apps.group
from apps.ledger import Emission, Ledger

_fast = apps.group._fast
pytestmark = pytest.mark.skipif(_fast is None, reason="the accelerator was not built")
U16, U64 = st.integers(0, 0xFFFF), st.integers(0, 2**64 - 1)
STEPS = st.tuples(st.sampled_from(["add", "add", "add", "pop", "get", "del", "in", "first"]), st.integers(-1, 12))


def emission(number: int, **other: Any) -> Emission:
    said = {"kind": 7, "version": 1, "flags": 1, "cause": number, "origin_ts": number, "body": bytes(number)} | other
    return Emission(source_seq=number, **said)


def tried(pending: Any, what: str, number: int) -> Any:
    if what == "first":
        number = next((e.source_seq for e in pending.values()), 0)
        what = "pop"
    try:
        match what:
            case "pop":
                return pending.pop(number, None)
            case "get":
                return pending.get(number)
            case "in":
                return number in pending
            case "del":
                del pending[number]
        return pending[number]
    except KeyError as error:
        return repr(error)


@given(st.lists(STEPS, max_size=300))
def test_it_holds_what_a_dict_holds(steps: list[tuple[str, int]]) -> None:
    fast, model, last = _fast.Pending(), {}, 0
    for what, number in steps:
        if what == "add":
            last += 1 + number % 2
            fast[last] = model[last] = emission(last)
        else:
            at = last - number  # of those said lately
            assert tried(fast, what, at) == tried(model, what, at)
        assert len(fast) == len(model)
    assert (fast.keys(), fast.values()) == (list(model), list(model.values()))


@given(U64, U16, U16, U16, U64, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=9))
def test_an_emission_comes_out_as_it_went_in(
    number: int, kind: int, version: int, flags: int, cause: int, origin_ts: int, body: bytes
) -> None:
    e = Emission(number, kind, version, flags, cause, origin_ts, body)
    pending = _fast.Pending()
    pending[number] = e
    assert pending.get(number) == e


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"kind": 1 << 16},
        {"version": -1},
        {"flags": 1 << 16},
        {"cause": 1 << 64},
        {"origin_ts": 1 << 63},
        {"body": "text"},
    ],
)
def test_what_is_no_emission_is_not_taken(wrong: dict[str, Any] | None) -> None:
    pending = _fast.Pending()
    with pytest.raises(TypeError, match="expected an Emission"):
        pending[1] = None if wrong is None else emission(1, **wrong)
    assert len(pending) == 0


def test_numbers_grow() -> None:
    pending = _fast.Pending()
    pending[3] = emission(3)
    for number in (3, 2):
        with pytest.raises(ValueError, match=f"emission {number} after 3"):
            pending[number] = emission(number)
    assert [e.source_seq for e in pending.values()] == [3]
    assert ("3" in pending, pending.get(None), pending.get(-1), pending.get(1 << 80)) == (False, None, None, None)


def test_what_a_snapshot_had_is_there_again() -> None:
    ledger = Ledger("app")
    ledger.restore(5, [emission(4), emission(5)])
    assert (ledger.emitted, [e.source_seq for e in ledger.pending.values()]) == (5, [4, 5])
    ledger.refused(4)
    assert [e.source_seq for e in ledger.pending.values()] == [5]
