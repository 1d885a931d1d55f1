"""The admission table: what the C kernel checks of each kind, written out from the message declarations."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from journal.messages import (
    REGISTRY,
    RoutedCancel,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
)
from journal.messages.derive import schema_text, wire_rules
from journal.messages.schema import USER_KIND_MIN, Layout
from sequencer.kernel._sequencer import ffi

AWAITED = (RoutedOrder, RoutedReplace, RoutedCancel, RoutedQuery, RoutedCancelAll, RoutedDeadMan, RoutedQuote)
"""What a gateway holds until it is on disk, and then acts on: a sync that covers one of these is not put off."""


def holes(layout: Layout) -> list[tuple[int, int]]:
    """(offset, bytes) of the padding inside a fixed part; it has to be zero."""
    found, at = [], 0
    for field in layout.fields:
        if at < field.offset:
            found.append((at, field.offset - at))
        at = field.offset + field.bytes
    if at < layout.fixed_bytes:
        found.append((at, layout.fixed_bytes - at))
    return found


def rule_table() -> tuple[Any, int]:
    """(struct lockstep_wire_rule[], its length), indexed by kind; user-defined kinds have no entry."""
    rules = [rule for rule in wire_rules() if rule.kind < USER_KIND_MIN]
    count = max(rule.kind for rule in rules) + 1
    table = ffi.new("struct lockstep_wire_rule[]", count)
    for rule in rules:
        layout = REGISTRY[rule.kind].LAYOUT
        row = table[rule.kind]
        row.known, row.version, row.fixed_bytes = 1, rule.version, rule.fixed_bytes
        row.awaited = REGISTRY[rule.kind] in AWAITED
        row.items, row.holes = len(rule.descriptors), len(holes(layout))
        for i, (field, (offset, what, stride)) in enumerate(zip(layout.variable, rule.descriptors, strict=True)):
            tail = field.entry is not None and bool(field.entry.LAYOUT.variable)
            row.item[i] = (offset, stride, what, tail)
        for i, hole in enumerate(holes(layout)):
            row.hole[i] = hole
    return table, count


def vocabulary_digest() -> bytes:
    """BLAKE2b-256 of the schema text without user-defined kinds: a publisher and its sequencer must agree on this, while
    each process may declare kinds of its own."""
    schema = json.loads(schema_text())
    schema["kinds"] = [k for k in schema["kinds"] if k["kind"] < USER_KIND_MIN]
    return hashlib.blake2b(json.dumps(schema, separators=(",", ":"), sort_keys=True).encode(), digest_size=32).digest()
