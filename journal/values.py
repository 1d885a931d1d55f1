"""Fields as values that people compare: decimals in the instrument's scale, names beside numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from journal.messages.header import Header
from journal.messages.orders import order_id_text
from journal.messages.schema import NULL, NULL_I128, Field, Message
from journal.text import Names, enum_text, flags_text, kind_name

ABSENT: Any = object()
"""What a frame does not say."""


class Named(NamedTuple):
    """A number that people know by a name, or by several."""

    number: int
    words: tuple[str, ...]
    is_time: bool = False

    @property
    def text(self) -> str:
        """The first name."""
        return self.words[0] if self.words else str(self.number)


def header_value(header: Header, name: str, names: Names) -> Any:
    """A header field."""
    value: int = getattr(header, name)
    if name == "kind":
        return Named(value, (kind_name(value),))
    if name == "source":
        return Named(value, (names.source(value),))
    if name == "flags":
        return Named(value, (flags_text(value),))
    if name in ("ts", "origin_ts"):
        return Named(value, (), True)
    return value


def field_value(field: Field, message: Message, names: Names) -> Any:
    """A body field: a number, decimal, text or `Named`; of a group how many rows it has; ABSENT where nothing is given."""
    value: Any = getattr(message, field.name)
    if field.wire == "text":
        return value
    if field.wire == "group":
        return len(value)
    if field.wire != "scalar" or field.scalar is None:
        return bytes(value).hex() if field.wire == "digest" else bytes(value).decode("utf-8", "replace")
    if field.scalar.signed and value == (NULL_I128 if field.bytes == 16 else NULL):
        return ABSENT
    if field.enum:
        return Named(int(value), (enum_text(field.enum, int(value)),))
    if field.scalar.unit == "ns":
        return Named(value, (), True)
    return _in_its_scale(field, value, getattr(message, "instrument", 0), names)


def _in_its_scale(field: Field, value: int, instrument: int, names: Names) -> Any:
    assert field.scalar is not None
    defined = names.instruments.get(instrument)
    if field.name == "instrument":
        return Named(value, (defined.name,) if defined is not None else ())
    if field.name.endswith("order_id"):
        text = order_id_text(value)
        return Named(value, (text, text.replace("·", ".")))
    if field.name == "source" or field.name.endswith("_source") or field.name in ("app", "owner"):
        return Named(value, (names.source(value),))
    if field.scalar.unit == "rate":
        return Decimal(value).scaleb(-12)
    if defined is not None and field.scalar.unit in ("px", "qty"):
        return Decimal(value).scaleb(defined.px_exp if field.scalar.unit == "px" else defined.qty_exp)
    return value
