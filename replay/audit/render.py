"""Frames as people read them: names for ids, decimals for mantissas, only the telling fields."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import Any

from journal.messages import (
    NULL,
    NULL_I128,
    AccountDefined,
    CurrencyDefined,
    InstrumentDefined,
    Message,
    SourceDefined,
    StrategyDefined,
    UserDefined,
    VenueDefined,
    enums,
    order_id_text,
)
from journal.messages.schema import Field
from replay.audit.definitions import Definitions

_NAMED: dict[str, type[Message]] = {
    "instrument": InstrumentDefined,
    "account": AccountDefined,
    "strategy": StrategyDefined,
    "user": UserDefined,
    "venue": VenueDefined,
    "source": SourceDefined,
    "gateway": SourceDefined,
    "currency": CurrencyDefined,
    "fee_currency": CurrencyDefined,
}
_ORDERS = ("order_id", "parent_order_id", "list_id", "bid_order_id", "ask_order_id")
"""Ids that are made as an order's is."""
_UNDECLARED: dict[str, type[IntEnum]] = {
    "trail_type": enums.TrailType,
    "trigger": enums.Trigger,
    "trigger_direction": enums.TriggerDirection,
    "peg_type": enums.PegType,
}
"""Where the schema says a number only."""
_SHARED_EXP = ("value", "bound", "warn", "hard", "old_warn", "old_hard", "current", "ours", "theirs", "tolerance")
"""Numbers whose exponent is the message's `exp`."""
_DIFFERENT = {
    enums.DifferenceType.ORDER_MISSING_AT_VENUE: "status",
    enums.DifferenceType.STATUS: "status",
    enums.DifferenceType.QUANTITY: "qty",
    enums.DifferenceType.PRICE: "px",
    enums.DifferenceType.FILL_MISSING_HERE: "qty",
    enums.DifferenceType.FILL_MISSING_AT_VENUE: "qty",
}
"""What the two numbers of a ReconcileDifference are of; of the other differences they have the message's exponent."""
_NOTIONAL = ("cum_notional",)
RATE_EXP = -12
_RESERVED = "reserved_notional"
_LEDGER = ("cost", "realized", "fees", "funding")


def time_text(ts: int) -> str:
    """`2024-08-18 16:53:20.000000001`, UTC, to the nanosecond."""
    return f"{datetime.fromtimestamp(ts // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{ts % 10**9:09d}"


def duration_text(ns: int) -> str:
    """A duration in the unit that reads best: 340 ns, 12.5 µs, 1.20 ms, 3.40 s."""
    sign, n = ("-" if ns < 0 else ""), abs(ns)
    if n < 1000:
        return f"{sign}{n} ns"
    for unit, size in (("µs", 10**3), ("ms", 10**6), ("s", 10**9)):
        if n < 1000 * size or unit == "s":
            return f"{sign}{n / size:.3g} {unit}" if n < 1000 * size else f"{sign}{n / size:.0f} {unit}"
    raise AssertionError


def decimal_of(mantissa: int, exponent: int) -> Decimal:
    """mantissa × 10^exponent, exact: the context's 28 digits are too few for 128-bit money, the tuple form has no such limit.

    Zero without its exponent; Python would print `0E-8`."""
    if exponent > 0:
        return Decimal(mantissa * 10**exponent)
    return Decimal((mantissa < 0, tuple(map(int, str(abs(mantissa)))), exponent)) if mantissa else Decimal(0)


def decimal_text(mantissa: int, exponent: int) -> str:
    """As `decimal_of`, in plain digits, without the zeros that say nothing: 0.50000000 is 0.5."""
    text = f"{decimal_of(mantissa, exponent):f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


class Renderer:
    """Telling fields of one frame as (name, text) pairs."""

    def __init__(self, definitions: Definitions, instrument_of: Callable[[int], int]) -> None:
        """`instrument_of`: the instrument of an order id, for frames that name the order only."""
        self._definitions = definitions
        self._instrument_of = instrument_of

    def field(self, message: Any, name: str, seq: int) -> str:
        """One field as text; "" where it says nothing (none, not given)."""
        field = next(f for f in message.LAYOUT.fields if f.name == name)
        value = getattr(message, name)
        if field.wire == "text":
            return str(value)
        assert field.scalar is not None
        if field.enum:
            return _enum_text(field, value)
        if value in (NULL, NULL_I128):
            return ""
        if name in _UNDECLARED:
            return enum_name(_UNDECLARED[name], value)
        if name == "rule" and hasattr(message, "severity"):
            return enum_name(enums.Reason, value)
        of_scope = name.removeprefix("scope_")
        if of_scope in _NAMED:
            return self.name(_NAMED[of_scope], value, seq) if value else ""
        if of_scope in _ORDERS:
            return order_id_text(value) if value else ""
        if field.scalar.unit == "ns":
            return time_text(value) if value else ""
        if field.scalar.unit == "duration_ns":
            return duration_text(value) if value else ""
        if name in ("ours", "theirs") and hasattr(message, "difference"):
            return self._different(message, value, seq)
        exponent = self._exponent(message, field, seq)
        return decimal_text(value, exponent) if exponent is not None else str(value) if value else ""

    def name(self, cls: type[Message], number: int, seq: int) -> str:
        """The name of an id, as it is defined at a seq."""
        return self._definitions.name(cls, number, seq)

    def instrument(self, message: Any) -> int:
        """The instrument a message is about: its own, or its order's; 0: none."""
        return getattr(message, "instrument", 0) or self._instrument_of(getattr(message, "order_id", 0))

    def level(self, message: Any, px: int, qty: int, seq: int) -> str:
        """One price level, `0.31 @ 61234.5`."""
        return f"{self.quantity(message.instrument, qty, seq)} @ {self.price(message.instrument, px, seq)}"

    def price(self, instrument: int, px: int, seq: int) -> str:
        definition = self._definitions.by_kind[InstrumentDefined].at(instrument, seq)
        return decimal_text(px, definition.px_exp if definition else 0) if px != NULL else "–"

    def quantity(self, instrument: int, qty: int, seq: int) -> str:
        definition = self._definitions.by_kind[InstrumentDefined].at(instrument, seq)
        return decimal_text(qty, definition.qty_exp if definition else 0) if qty != NULL else "–"

    def _different(self, message: Any, value: int, seq: int) -> str:
        match _DIFFERENT.get(message.difference):
            case "status":
                return enum_name(enums.OrdStatus, value)
            case "qty":
                return self.quantity(message.instrument, value, seq)
            case "px":
                return self.price(message.instrument, value, seq)
        return decimal_text(value, message.exp)

    def _exponent(self, message: Any, field: Field, seq: int) -> int | None:
        name = field.name
        own = getattr(message, f"{name}_exp", None)
        if own is not None:
            return int(own)
        if name in _SHARED_EXP and hasattr(message, "exp"):
            return int(message.exp)
        if name in _LEDGER:
            currency = self._definitions.by_kind[CurrencyDefined].at(message.currency, seq)
            return int(currency.ledger_exp) if currency else 0
        assert field.scalar is not None
        if field.scalar.unit == "rate":
            return RATE_EXP
        if field.scalar.unit not in ("px", "qty") and name not in _NOTIONAL and name != _RESERVED:
            return None
        definition = self._definitions.by_kind[InstrumentDefined].at(self.instrument(message), seq)
        if definition is None:
            return 0
        if name == _RESERVED:
            return self._definitions.ledger_exponent(definition)
        if name in _NOTIONAL:
            return int(definition.px_exp + definition.qty_exp)
        return int(definition.px_exp if field.scalar.unit == "px" else definition.qty_exp)


def enum_name(kind: type[IntEnum], value: int) -> str:
    """The name of a value, the number itself where this build has none; "" for 0."""
    try:
        return kind(value).name if value else ""
    except ValueError:
        return str(value)


def _enum_text(field: Field, value: int) -> str:
    kind: Any = getattr(enums, field.enum)
    if issubclass(kind, IntFlag):
        return "|".join(m.name for m in kind if value & m)
    return enum_name(kind, value)
