"""What follows from the declarations: C header, numpy dtypes, schema text and the table the sequencer validates with.

`python -m journal.messages.derive` rewrites journal/kernel/messages.h; a test proves that it is up to date and that the C
compiler, numpy and the codec agree on every offset.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Collection
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec

from journal.messages import REGISTRY, enums
from journal.messages.declared import SCHEMA_FORMAT
from journal.messages.schema import Field, Layout

KERNEL_ENUMS: tuple[type[IntEnum], ...] = (
    enums.BookStateCode, enums.CheckResult, enums.ContractType, enums.Decision, enums.ExecType, enums.GatewayPhase,
    enums.InstrumentStatus, enums.OrdStatus, enums.OrdType, enums.QuantityType, enums.Reason, enums.ReplaceMode,
    enums.RiskCheck, enums.ScopeType, enums.Side, enums.TimeInForce, enums.TradingStatus,
)  # fmt: skip
"""What kernels read by name."""
HEADER_PATH = Path(__file__).parent.parent / "kernel" / "messages.h"


def snake(name: str) -> str:
    """`MarketByPriceUpdate` → `market_by_price_update`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _c_fields(layout: Layout) -> list[str]:
    lines: list[str] = []
    at = pads = 0
    for f in layout.fields:
        if at < f.offset:
            lines.append(f"    uint8_t  zero{pads}[{f.offset - at}];")
            pads += 1
        if f.scalar is not None:
            lines.append(f"    {f.scalar.ctype:<8} {f.name};")
        elif f.wire == "digest":
            lines.append(f"    uint8_t  {f.name}[32];")
        else:
            lines.append(f"    struct lockstep_{f.wire} {f.name};")
        at = f.offset + f.bytes
    if at < layout.fixed_bytes:
        lines.append(f"    uint8_t  zero{pads}[{layout.fixed_bytes - at}];")
    return lines


def _entries() -> dict[str, Layout]:
    found: dict[str, Layout] = {}
    for cls in REGISTRY.values():
        for f in cls.LAYOUT.fields:
            if f.entry is not None:
                found[f.entry.__name__] = f.entry.LAYOUT
    return found


def c_header() -> str:
    """The C view of every kind: no directives but #pragma-free structs and enums, so that cffi reads the same text."""
    out = [
        "/* Generated from journal/messages by `python -m journal.messages.derive`. Do not edit.",
        " * Fixed parts of all message bodies; variable parts stand behind them, where the descriptors say. */",
        "",
        "typedef struct { uint64_t lo; int64_t hi; } lockstep_i128;",
        "struct lockstep_text  { uint32_t at; uint16_t len; uint16_t zero; };",
        "struct lockstep_blob  { uint32_t at; uint32_t len; };",
        "struct lockstep_group { uint32_t at; uint16_t count; uint16_t stride; };",
        "",
        "struct lockstep_frame {",
        "    uint32_t length;",
        "    uint32_t crc32c;",
        "    uint16_t kind;",
        "    uint16_t version;",
        "    uint16_t flags;",
        "    uint16_t source;",
        "    uint64_t seq;",
        "    int64_t  ts;",
        "    int64_t  origin_ts;",
        "    uint64_t source_seq;",
        "    uint64_t cause;",
        "    uint32_t epoch;",
        "    uint32_t incarnation;",
        "};",
        "",
        "enum lockstep_kind {",
        *[f"    LOCKSTEP_{snake(c.__name__).upper()} = {k}," for k, c in sorted(REGISTRY.items())],
        "};",
    ]
    for enum in KERNEL_ENUMS:
        prefix = f"LOCKSTEP_{snake(enum.__name__).upper()}"
        out += ["", f"enum lockstep_{snake(enum.__name__)} {{", *[f"    {prefix}_{e.name} = {e.value}," for e in enum], "};"]
    for name, layout in sorted(_entries().items()):
        out += ["", f"struct lockstep_{snake(name)}_entry {{", *_c_fields(layout), "};"]
    for kind, cls in sorted(REGISTRY.items()):
        out += ["", f"/* {kind} */", f"struct lockstep_{snake(cls.__name__)} {{", *_c_fields(cls.LAYOUT), "};"]
    return "\n".join(out) + "\n"


def _field_text(f: Field) -> dict[str, Any]:
    text: dict[str, Any] = {"name": f.name, "type": f.wire, "offset": f.offset, "bytes": f.bytes}
    if f.scalar is not None:
        text["code"] = f.scalar.code
        if f.scalar.unit:
            text["unit"] = f.scalar.unit
        if isinstance(f.default, int) and f.default:
            text["default"] = str(f.default)
    if f.enum:
        text["enum"] = f.enum
    if f.entry is not None:
        text["entry"] = [_field_text(g) for g in f.entry.LAYOUT.fields]
        text["stride"] = f.entry.LAYOUT.fixed_bytes
    return text


def schema_text(only: Collection[int] | None = None) -> bytes:
    """The whole schema as canonical JSON: what a segment carries so that it can be read without this code. `only`: of these
    kinds, for segments that will hold no others."""
    kinds = [
        {
            "kind": kind,
            "name": cls.__name__,
            "version": cls.VERSION,
            "fixed_bytes": cls.LAYOUT.fixed_bytes,
            "fields": [_field_text(f) for f in cls.LAYOUT.fields],
        }
        | ({"ignorable": True} if cls.IGNORABLE else {})
        for kind, cls in sorted(REGISTRY.items())
        if only is None or kind in only
    ]
    return json.dumps({"format": SCHEMA_FORMAT, "kinds": kinds}, separators=(",", ":"), sort_keys=True).encode()


def schema_digest() -> bytes:
    """BLAKE2b-256 of the schema text."""
    return hashlib.blake2b(schema_text(), digest_size=32).digest()


class WireRule(msgspec.Struct, frozen=True):
    """What the sequencer checks of one kind: `descriptors` are (offset, type 1 text 2 blob 3 group, stride) in order."""

    kind: int
    version: int
    fixed_bytes: int
    descriptors: tuple[tuple[int, int, int], ...]


_DESCRIPTOR_TYPE = {"text": 1, "blob": 2, "group": 3}


def wire_rules() -> list[WireRule]:
    """One rule a kind, ascending. Text inside group rows is bounded by the reader, not here."""
    return [
        WireRule(
            kind,
            cls.VERSION,
            cls.LAYOUT.fixed_bytes,
            tuple(
                (f.offset, _DESCRIPTOR_TYPE[f.wire], f.entry.LAYOUT.fixed_bytes if f.entry else 1) for f in cls.LAYOUT.variable
            ),
        )
        for kind, cls in sorted(REGISTRY.items())
    ]


def sizes() -> dict[str, int]:
    """Struct name → bytes of its fixed part, for the agreement test."""
    out = {"lockstep_frame": struct.calcsize("<IIHHHHQqqQQII")}
    out |= {f"lockstep_{snake(n)}_entry": lay.fixed_bytes for n, lay in _entries().items()}
    return out | {f"lockstep_{snake(c.__name__)}": c.LAYOUT.fixed_bytes for c in REGISTRY.values()}


if __name__ == "__main__":
    HEADER_PATH.write_text(c_header())
    print(f"{HEADER_PATH}: {len(REGISTRY)} kinds, schema {schema_digest().hex()[:16]}")
