"""Canonical bytes of an app's state, and back. Equal states give equal bytes, in any process, under any hash seed.

Knows None, bool, int of any size, str, bytes, Decimal, list, tuple, deque, dict (in insertion order, which for an app is
stream order), msgspec structs, and plain objects of classes that the process has loaded. A float, a set or anything else is
refused by name: state that could differ between two runs must not get in. Never pickle: decoding builds data only.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from journal.messages import accelerator


class StateError(TypeError):
    """A value that is no deterministic state, or bytes that are no state."""


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder().decode
_WORD = 1 << 62


class _Unfit(Exception):
    """Why a value is no state; where it stands is put together on the way out, for nearly all values are state."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.steps: list[str] = []


def encode(value: Any) -> bytes:
    """Canonical bytes of a value."""
    try:
        packed = _pack(value)
    except _Unfit as found:
        raise StateError(f"state{''.join(reversed(found.steps))}: {found}") from None
    return _ENCODE(packed)


def decode(data: bytes) -> Any:
    """The value `encode` was given."""
    try:
        return _unpack(_DECODE(data))
    except (msgspec.DecodeError, LookupError, ValueError, AttributeError, TypeError) as error:
        raise StateError(f"not the bytes of a state: {error}") from None


def _pack(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return value if -_WORD < value < _WORD else ["i", str(value)]
    if value is None or kind is bool or kind is str or kind is bytes:
        return value
    if kind is dict or kind.__name__ == "defaultdict":
        return _pack_dict(value)
    if kind is list:
        return ["l", *_pack_all(value)]
    if kind is tuple:
        return ["t", *_pack_all(value)]
    if kind is deque:
        return ["q", value.maxlen, *_pack_all(value)]
    if isinstance(value, msgspec.Struct):
        return ["s", _name(kind), *_pack_fields(value)]
    if isinstance(value, Enum):
        return value.value if -_WORD < value.value < _WORD else ["i", str(value.value)]
    if kind is Decimal:
        return ["n", str(value)]
    if isinstance(value, float | complex | set | frozenset):
        raise _Unfit(f"{kind.__name__} {value!r}; state holds integers, text, lists and dicts only")
    if hasattr(value, "__dict__") and not callable(value):
        return ["o", _name(kind), *_pack_attributes(value)]
    raise _Unfit(f"{kind.__name__} is no state; use integers, text, lists, dicts or msgspec structs")


def _pack_all(values: Iterable[Any]) -> list[Any]:
    try:
        return [_pack(v) for v in values]
    except _Unfit as found:
        found.steps.append("[]")
        raise


def _pack_dict(values: dict[Any, Any]) -> list[Any]:
    packed: list[Any] = ["d"]
    for k, v in values.items():
        try:
            packed.append(_pack(k))
            packed.append(_pack(v))
        except _Unfit as found:
            found.steps.append(" key" if len(packed) % 2 else f"[{k!r}]")
            raise
    return packed


def _pack_fields(value: msgspec.Struct) -> list[Any]:
    packed = []
    for name in value.__struct_fields__:
        try:
            packed.append(_pack(getattr(value, name)))
        except _Unfit as found:
            found.steps.append(f".{name}")
            raise
    return packed


def _pack_attributes(value: object) -> list[Any]:
    packed: list[Any] = []
    for name, v in vars(value).items():
        try:
            packed += (name, _pack(v))
        except _Unfit as found:
            found.steps.append(f".{name}")
            raise
    return packed


_fast = accelerator.extension("apps.kernel._fast")
_in_python = _pack
if _fast is not None:
    _pack = _fast.Packer(_in_python, deque, msgspec.Struct)


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> type:
    module, _, qualname = name.partition(":")
    # Only what is loaded: a snapshot cannot make a process import something.
    found: Any = sys.modules[module]  # lockstep: allow DET103 because an app's classes are loaded wherever it runs
    for part in qualname.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise StateError(f"{name} is no class")
    return found


def _unpack(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    tag, rest = value[0], value[1:]
    if tag == "i":
        return int(rest[0])
    if tag == "l":
        return [_unpack(v) for v in rest]
    if tag == "t":
        return tuple(_unpack(v) for v in rest)
    if tag == "q":
        return deque((_unpack(v) for v in rest[1:]), maxlen=rest[0])
    if tag == "d":
        return {_unpack(k): _unpack(v) for k, v in zip(rest[::2], rest[1::2], strict=True)}
    if tag == "n":
        return Decimal(rest[0])
    kind = _class(rest[0])
    if tag == "s" and issubclass(kind, msgspec.Struct):
        return kind(**dict(zip(kind.__struct_fields__, [_unpack(v) for v in rest[1:]], strict=True)))
    if tag == "o":
        made: Any = object.__new__(kind)
        for k, v in zip(rest[1::2], rest[2::2], strict=True):
            setattr(made, k, _unpack(v))
        return made
    raise StateError(f"unknown tag {tag!r}")
