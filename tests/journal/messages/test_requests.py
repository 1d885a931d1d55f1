"""Commands that come twice are heard once, and what is remembered stays small."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from journal.messages.requests import REMEMBERED, Heard


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 9)), max_size=60))
def test_a_number_is_new_once_for_each_source(came: list[tuple[int, int]]) -> None:
    heard, seen = Heard(), set[tuple[int, int]]()
    for source, request in came:
        assert heard.again(source, request) == (request != 0 and (source, request) in seen)
        seen.add((source, request))
        heard = msgspec.msgpack.decode(msgspec.msgpack.encode(heard), type=Heard)


def test_the_last_ones_are_remembered() -> None:
    heard = Heard()
    for request in range(1, 3 * REMEMBERED):
        assert not heard.again(1, request)
        assert len(heard.numbers[1]) == min(request, REMEMBERED)
    assert all(heard.again(1, request) for request in range(2 * REMEMBERED, 3 * REMEMBERED))
    assert not heard.again(1, 2 * REMEMBERED - 1)
