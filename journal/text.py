"""Frames as lines that people read: names for numbers, decimals where the instrument is known, enumerations by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

from journal.frames import Frame, frames
from journal.messages import REGISTRY, InstrumentDefined, SourceDefined, enums, order_id_text
from journal.messages.header import Flag, Header
from journal.messages.schema import NULL, NULL_I128, Entry, Field, Message

_RATE_EXP = -12
_DIGITS_MAX = 20


def time_text(ns: int) -> str:
    """`2026-11-21T04:33:05.123456789Z`."""
    seconds, rest = divmod(ns, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (ValueError, OverflowError, OSError):
        return f"{ns} ns"


def decimal_text(mantissa: int, exp: int) -> str:
    """`12345` with exponent -2 → `123.45`. Exact; trailing zeros stay, they show the scale."""
    if exp >= 0:
        return str(mantissa * 10**exp)
    digits = str(abs(mantissa)).rjust(1 - exp, "0")
    return ("-" if mantissa < 0 else "") + digits[:exp] + "." + digits[exp:]


def kind_name(kind: int) -> str:
    """`NewOrder`, or `kind 12345` where it is not declared here."""
    cls = REGISTRY.get(kind)
    return cls.__name__ if cls is not None else f"kind {kind}"


def number_of(text: str) -> int | None:
    """The number that ASCII digits write, no longer than 64 bits need; None: the text is something else (a name, `²`, `٣`)."""
    if len(text) > _DIGITS_MAX or not text.isascii() or not text.isdigit():
        return None
    return number if (number := int(text)) < 1 << 64 else None


class Names:
    """Definitions met so far in a stream: source names, instrument names and exponents."""

    def __init__(self) -> None:
        self.sources: dict[int, str] = {0: "sequencer"}
        self.instruments: dict[int, InstrumentDefined] = {}

    @classmethod
    def of(cls, path: Path | str) -> Names:
        """All definitions of a journal; a pass filtered in C."""
        names = cls()
        for frame in frames(path, kinds=[SourceDefined.KIND, InstrumentDefined.KIND]):
            names.see(frame.message)
        return names

    def see(self, message: Message | None) -> None:
        """Take in a definition; everything else is ignored."""
        if isinstance(message, SourceDefined):
            self.sources[message.source] = message.name
        elif isinstance(message, InstrumentDefined):
            self.instruments[message.instrument] = message

    def known(self) -> set[str]:
        """All names met so far."""
        return {*self.sources.values(), *(defined.name for defined in self.instruments.values())}

    def source(self, number: int) -> str:
        """A source's name, or its number."""
        return self.sources.get(number, f"source {number}")

    def source_number(self, text: str) -> int | None:
        """The source with this name or number; None when there is none of that name."""
        if (given := number_of(text)) is not None:
            return given
        return next((number for number, name in self.sources.items() if name == text), None)


def flags_text(flags: int) -> str:
    """`LAST|SNAPSHOT`; what has no name stays a number."""
    names = [f.name or "" for f in Flag if flags & f]
    rest = flags & ~sum(Flag)
    return "|".join(names + ([hex(rest)] if rest else []))


def _scalar_text(field: Field, value: int, names: Names, instrument: int) -> str | None:
    """The value for people; None when it is not given."""
    assert field.scalar is not None
    if value == (NULL_I128 if field.bytes == 16 else NULL) and field.scalar.signed:
        return None
    if field.enum:
        return enum_text(field.enum, value)
    unit = field.scalar.unit
    defined = names.instruments.get(instrument)
    if unit == "px" and defined is not None:
        return decimal_text(value, defined.px_exp)
    if unit == "qty" and defined is not None:
        return decimal_text(value, defined.qty_exp)
    if unit == "rate":
        return decimal_text(value, _RATE_EXP)
    if unit == "ns":
        return time_text(value) if value else None
    if field.name.endswith("order_id"):
        return order_id_text(value) if value else None
    if field.name == "instrument" and defined is not None:
        return defined.name
    if field.name == "source" or field.name.endswith("_source") or field.name in ("app", "owner"):
        return names.source(value)
    return str(value)


def enum_text(enum: str, value: int) -> str:
    """A member's name; flags joined by |; the number where it has no name."""
    cls = getattr(enums, enum)
    if issubclass(cls, IntFlag):
        members = [m.name or "" for m in cls if value & m]
        rest = value & ~sum(cls)
        return "|".join(members + ([hex(rest)] if rest else [])) or "0"
    try:
        name: str = cls(value).name
    except ValueError:
        return str(value)
    return name


def _is_quantity(field: Field) -> bool:
    return field.scalar is not None and field.scalar.unit in ("px", "qty", "amt", "rate")


def _blob_text(value: bytes) -> str:
    """The beginning of a byte string: as text where it is text (a venue's JSON), else in hex."""
    head = value[:120].decode("utf-8", "replace")
    shown = head if head.isprintable() and "\ufffd" not in head[:-1] else value[:32].hex()
    rest = f"… ({len(value)} bytes)" if len(value) > 120 or (shown != head and len(value) > 32) else ""
    return shown + rest


def message_text(message: Message | Entry, names: Names, instrument: int = 0) -> str:
    """`bid_px=123.45 bid_qty=0.500 …`: fields that say something, in declared order."""
    instrument = getattr(message, "instrument", instrument)
    parts: list[str] = []
    for field in message.LAYOUT.fields:
        value: Any = getattr(message, field.name)
        if field.wire == "scalar":
            text = _scalar_text(field, value, names, instrument)
            # Zero means "none" for ids and enumerations; a price of zero is a price.
            if text is None or (value == 0 and not _is_quantity(field)):
                continue
        elif not value:
            continue
        elif field.wire == "group":
            text = "[" + ", ".join(message_text(row, names, instrument) for row in value) + "]"
        elif field.wire == "text":
            text = repr(value)
        else:
            if not any(value):
                continue
            text = _blob_text(value)
        parts.append(f"{field.name}={text}")
    return " ".join(parts)


def frame_columns(frame: Frame, names: Names) -> tuple[str, str, str, str, str]:
    """What a line about a frame says: seq, time, source, kind with cause and flags, body."""
    h = frame.header
    message = frame.message
    body = message_text(message, names) if message is not None else f"{len(frame.body)} bytes"
    extra = f" flags={flags_text(h.flags)}" if h.flags not in (0, Flag.LAST) else ""
    cause = f" <-{h.cause}" if h.cause else ""
    return f"{h.seq:>9}", time_text(h.ts), f"{names.source(h.source):<14}", f"{kind_name(h.kind)}{cause}{extra}", body


def frame_text(frame: Frame, names: Names) -> str:
    """One line: seq, time, source, kind, cause, body."""
    return " ".join(frame_columns(frame, names)).rstrip()


def frame_json(frame: Frame) -> dict[str, Any]:
    """Everything, as numbers: header fields, kind name, and the decoded body where the kind is known."""
    h = frame.header
    out: dict[str, Any] = {name: getattr(h, name) for name in Header.__struct_fields__}
    out["kind_name"] = kind_name(h.kind)
    message = frame.message
    if message is not None:
        out["message"] = _plain(message)
    else:
        out["body"] = bytes(frame.body).hex()
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, (Message, Entry)):
        return {f.name: _plain_scalar(f, getattr(value, f.name)) for f in value.LAYOUT.fields}
    return value


def _plain_scalar(field: Field, value: Any) -> Any:
    if field.wire in ("digest", "blob"):
        return bytes(value).hex()
    if field.wire == "group":
        rows: Sequence[Any] = value
        return [_plain(row) for row in rows]
    if field.wire == "scalar" and field.scalar is not None and field.scalar.signed:
        return None if value == (NULL_I128 if field.bytes == 16 else NULL) else value
    return int(value) if isinstance(value, IntEnum) else value
