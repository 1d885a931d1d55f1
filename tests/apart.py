"""A state taken apart as for a snapshot file, its tables backwards: the order of their entries must mean nothing."""

from __future__ import annotations

from typing import Any

from journal.messages.captures import Capture, cut
from journal.messages.tables import Table, look


def backwards(machine: Any) -> tuple[bytes, list[list[memoryview]]]:
    """What `assemble` takes."""
    rest, tables = machine.parts()
    captures = [Capture(Table(dict(reversed(look(table))))) for table in tables]
    for capture in captures:
        capture.before_all()
    return rest, [cut(memoryview(b"".join(capture.blocks)), capture.sizes) for capture in captures]


def state_of(machine: Any) -> bytes:
    """32 bytes, the same for equal states whatever the order of tables."""
    digest: bytes = machine.memory.digest()
    return digest
