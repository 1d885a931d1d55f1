"""What the tables of OMS and risk hold: the kernel packs all of it, as msgspec does."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oms.memory
import riskengine.memory
from journal.messages import accelerator, tables
from journal.messages.tables import Fixed, Table
from oms.differences import Reconciling, Settings

INTEGERS = st.one_of(st.integers(-(1 << 63), (1 << 64) - 1), st.integers(-300, 300))
SCALARS = {int: INTEGERS, bool: st.booleans(), str: st.text(max_size=40), bytes: st.binary(max_size=300), NoneType: st.none()}


def held(state: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """(where, type of the dict) of each table of a state."""
    hints = typing.get_type_hints(type(state))
    for name in state.__struct_fields__:
        value = getattr(state, name)
        if isinstance(value, Table | Fixed):
            yield f"{type(state).__name__}.{name}", hints[name]
        elif isinstance(value, msgspec.Struct):
            yield from held(value)


def values(of: Any) -> st.SearchStrategy[Any]:
    """Any value of a type; a field may also be as it is by default, which may be a member of an enumeration."""
    kind, inner = typing.get_origin(of), typing.get_args(of)
    if kind in (typing.Union, UnionType):
        return st.one_of(*map(values, inner))
    if kind is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=3)
    if kind is list:
        return st.lists(values(inner[0]), max_size=3)
    if kind is tuple:
        return st.tuples(*map(values, inner))
    if of in SCALARS:
        return SCALARS[of]
    hints = typing.get_type_hints(of)
    required = {f.name for f in msgspec.structs.fields(of) if f.required}
    given = {name: values(hint) for name, hint in hints.items()}
    return st.fixed_dictionaries(
        {n: v for n, v in given.items() if n in required}, optional={n: v for n, v in given.items() if n not in required}
    ).map(lambda fields: of(**fields))


OMS = oms.memory.Memory(reconcile=Reconciling(Settings()))
HELD = {f"{state.__module__}.{where}": of for state in (OMS, riskengine.memory.Memory()) for where, of in held(state)}


WIDE = {"riskengine.memory.Memory.instruments"}
"""Each entry has numbers of more than 64 bits, for a sum of money that is not given is one: JSON, which msgspec writes."""
PACKED = {where: of for where, of in HELD.items() if where not in WIDE}


def test_all_tables_are_found() -> None:
    assert len(HELD) == len(OMS._tables()) + len(riskengine.memory.Memory()._tables()) - 1  # two lines are one class's


@pytest.mark.skipif(accelerator.tables is None, reason="the accelerator is not built")
@pytest.mark.parametrize("of", PACKED.values(), ids=PACKED)
@given(data=st.data())
def test_the_kernel_packs_it(of: Any, data: st.DataObject) -> None:
    key, value = (data.draw(values(part)) for part in typing.get_args(of))

    def refused(entry: Any) -> bytes:
        raise AssertionError(f"left to msgspec: {entry!r}")

    assert tables.added(tables.NOTHING, {key: value}, [key], refused) == tables._added(tables.NOTHING, {key: value}, [key])
