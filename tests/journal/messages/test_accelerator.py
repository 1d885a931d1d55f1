"""The accelerator gives the bytes, the messages and the errors of the generated Python it stands for."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.messages import (
    REGISTRY,
    CheckOutcome,
    ExecutionReport,
    NewOrder,
    RiskDecision,
    TopOfBook,
    VenueOrderUpdate,
    accelerator,
)
from journal.messages.schema import Field

FAST = accelerator.extension("journal.kernel._fast")
KINDS = [cls for cls in REGISTRY.values() if FAST is not None and isinstance(cls.encode, FAST.Encoder)]
needs_it = pytest.mark.skipif(FAST is None, reason="the accelerator was not built")


def outcome(call: Any, *arguments: Any) -> tuple[str, Any]:
    """What a call gives: its value with its type, or its error with its words."""
    try:
        value = call(*arguments)
    except Exception as error:
        return type(error).__name__, str(error)
    return type(value).__name__, value


def read(decode: Any, buffer: Any, at: int) -> Any:
    """The message, its groups read to the end: rows that are cut off are found no sooner."""
    m = decode(buffer, at)
    repr(m)
    return m


def fitting(f: Field) -> st.SearchStrategy[Any]:
    """What fits a field of a row."""
    if f.scalar is None:
        return st.text(max_size=9) if f.wire == "text" else st.binary(min_size=32, max_size=32)
    whole = 8 * f.bytes - f.scalar.signed
    return st.integers(-(2**whole) if f.scalar.signed else 0, 2**whole - 1)


def values(f: Field) -> st.SearchStrategy[Any]:
    """Mostly what fits the field, or nearly."""
    edges = [0, 1, -1, *(s * 2**b + d for b in (7, 8, 15, 16, 31, 32, 63, 64) for s in (1, -1) for d in (-1, 0, 1))]
    odd = st.sampled_from([None, 1.5, "x", b"", b"\0" * 32, True, "", (), 2**200])
    if f.wire == "digest":
        return st.binary(min_size=32, max_size=32) | odd
    if f.wire == "text":
        return st.just("") | st.text(max_size=9) | odd
    if f.wire == "blob":
        return st.just(b"") | st.binary(max_size=9) | odd
    if f.wire == "group":
        assert f.entry is not None
        rows = st.builds(f.entry, **{g.name: st.just(g.default) | values(g) for g in f.entry.LAYOUT.fields})
        well = st.builds(f.entry, **{g.name: st.just(g.default) | fitting(g) for g in f.entry.LAYOUT.fields})
        return (
            st.just(()) | st.lists(well, max_size=4) | st.lists(rows, max_size=3).map(tuple) | st.lists(odd, max_size=2) | odd
        )
    whole = 8 * f.bytes
    low, high = (-(2 ** (whole - 1)), 2 ** (whole - 1) - 1) if f.scalar and f.scalar.signed else (0, 2**whole - 1)
    return st.just(f.default) | st.integers(low, high) | st.one_of(st.integers(low, high), st.sampled_from(edges), odd)


@needs_it
def test_orders_and_prices_are_accelerated() -> None:
    assert {NewOrder, TopOfBook, ExecutionReport, RiskDecision} <= set(KINDS)
    assert len(KINDS) == len(REGISTRY)


@needs_it
def test_texts_rows_and_wide_integers_need_no_reference() -> None:
    rows = [CheckOutcome(check=n, value=-n, bound=2**62, input_seq=2**64 - 1) for n in range(1, 15)]
    said = [
        RiskDecision(order_id=7, reserved_notional=-(2**90), checks=rows),
        RiskDecision(checks=tuple(rows[:1])),
        ExecutionReport(cum_notional=2**126, venue_order_ref="V-7", venue_trade_ref="", text="straße · 7"),
        VenueOrderUpdate(text="x" * 4096),
    ]
    for m in said:
        slow: Any = type(m).encode.reference  # type: ignore[attr-defined]
        encoder = FAST.Encoder(type(m), _never, m.LAYOUT.fixed_bytes, _fields(type(m)))
        assert encoder(m) == slow(m)


def _never(_: Any) -> bytes:
    raise AssertionError("the reference was asked")


def _fields(cls: Any) -> list[Any]:
    rows = accelerator._rows
    return [(*accelerator._place(f), rows(f.entry) if f.entry else f.default) for f in cls.LAYOUT.fields]


@needs_it
@given(st.data())
def test_every_message_and_every_error_is_the_reference_s(data: st.DataObject) -> None:
    cls: Any = data.draw(st.sampled_from(KINDS))
    odd = data.draw(st.sets(st.sampled_from([f.name for f in cls.LAYOUT.fields]), max_size=6)) if cls.LAYOUT.fields else set()
    m = cls(**{f.name: data.draw(values(f)) if f.name in odd else f.default for f in cls.LAYOUT.fields})
    said = outcome(m.encode)
    assert said == outcome(cls.encode.reference, m)
    if said[0] != "bytes":
        return
    held = b"\xaa" * 8 + said[1]
    for buffer, at in ((said[1], 0), (memoryview(held), 8), (bytearray(held), 8), (held[:-1], 8), (held, -1), (held, 9)):
        assert outcome(read, cls.decode, buffer, at) == outcome(read, cls.decode.reference, buffer, at)


@needs_it
@given(st.data())
def test_any_bytes_decode_as_the_reference_does(data: st.DataObject) -> None:
    cls: Any = data.draw(st.sampled_from([cls for cls in KINDS if all(f.entry is None for f in cls.LAYOUT.fields)]))
    size = cls.LAYOUT.fixed_bytes
    body = data.draw(st.binary(min_size=size, max_size=size))
    assert outcome(cls.decode, body, 0) == outcome(cls.decode.reference, body, 0)


@needs_it
def test_what_is_no_message_of_the_kind_is_the_reference_s_to_refuse() -> None:
    for wrong in (None, TopOfBook(), 7):
        assert outcome(NewOrder.encode, wrong) == outcome(NewOrder.encode.reference, wrong)  # type: ignore[attr-defined]
    for arguments in ((), (b"",), (b"", "x"), (None, 0), (b"", 2**70)):
        assert outcome(NewOrder.decode, *arguments)[0] == outcome(NewOrder.decode.reference, *arguments)[0]  # type: ignore[attr-defined]


@needs_it
def test_a_class_that_is_no_message_is_refused() -> None:
    with pytest.raises(TypeError, match="layout"):
        FAST.Encoder(int, int, 8, [("real", 0, 8, "s", 0)])
    with pytest.raises(TypeError, match="layout"):
        FAST.Decoder(TopOfBook, int, 8, [("bid_px", 8, 8, "s", 0)])
    with pytest.raises(TypeError, match="layout"):
        FAST.Decoder(TopOfBook, int, 8, [("bid_px", 0, 3, "s", 0)])


def test_off_means_off() -> None:
    code = "from journal.messages import NewOrder, accelerator; print(type(NewOrder.encode).__name__, accelerator.follow)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {accelerator.VARIABLE: "off"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["function", "None"]


@given(st.binary(max_size=600), st.integers(1, 64))
def test_a_digest_is_that_of_hashlib(data, size):
    assert accelerator.blake2b(data, size) == hashlib.blake2b(data, digest_size=size).digest()


def test_a_long_digest_is_that_of_hashlib():
    data = bytes(range(256)) * 8192 + b"."
    assert accelerator.blake2b(memoryview(data), 32) == hashlib.blake2b(data, digest_size=32).digest()
    for size in (0, 65):
        with pytest.raises(ValueError, match="digest"):
            accelerator.blake2b(data, size)
