"""The arithmetic of comparisons on a shared machine."""

import pytest

from lockstep.bench.pairs import in_turns, medians, ratios


def test_ratios_are_of_rounds_side_by_side():
    """The second pair met a slow machine; a disturbance in the third hit one of the two."""
    on = [(99.0, 1.0), (9.9, 10.0), (99.0, 1.0)]
    off = [(100.0, 1.0), (10.0, 10.0), (10.0, 4.0)]
    assert ratios(on, off) == pytest.approx((0.99, 1.0))
    assert medians(on) == (99.0, 1.0)


def test_each_kind_is_the_first_as_often_as_the_second():
    done = []
    on, off = in_turns(4, lambda: (float(len(done)),), done.append)
    assert done == [False, True, True, False, False, True, True, False]
    assert (on, off) == ([(2.0,), (3.0,), (6.0,), (7.0,)], [(1.0,), (4.0,), (5.0,), (8.0,)])
