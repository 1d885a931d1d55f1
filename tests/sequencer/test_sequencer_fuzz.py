"""Hostile bytes for a few seconds; the long form is `lockstep torture fuzz`. (P13, J23)"""

import argparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.messages import REGISTRY
from lockstep.torture import fuzz
from lockstep.torture.drivers import NoCompiler, compiler
from sequencer.kernel._sequencer import ffi, lib
from sequencer.rules import rule_table


def test_spoiled_rings_and_segments():
    """The production loop and reader under ASan and UBSan: no crash, and nothing that no publisher wrote."""
    try:
        compiler()
    except NoCompiler as error:
        pytest.skip(str(error))
    outcome = fuzz.run(argparse.Namespace(hours=0, minutes=2 / 60, seed=11), lambda *_: None)
    assert outcome.finds == []
    assert min(outcome.metrics.values()) > 0, outcome.metrics


@given(st.sampled_from(sorted(REGISTRY)), st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_admitted_is_canonical(kind, data):
    """A spoiled body that admission lets through decodes, and encodes to the same bytes: equal messages are equal bytes."""
    cls = REGISTRY[kind]
    body = bytearray(cls().encode())
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    rules, _ = rule_table()
    if lib.lockstep_check_body(rules + kind, ffi.from_buffer(body), len(body)) == 0:
        assert cls.decode(bytes(body), 0).encode() == bytes(body)
