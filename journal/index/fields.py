"""Where frames say their instrument and their order: by the schema in the segment, so that old and foreign kinds count too."""

from __future__ import annotations

import json

from journal.kernel._journal import ffi
from journal.messages.header import HEADER_BYTES
from journal.segment import SegmentHeader, read_schema

_CODES = {"instrument": "I", "order_id": "Q"}
_SCHEMAS_KEPT = 8
_known: dict[tuple[int, int], Fields] = {}


class Fields:
    """`struct lockstep_index_fields` of one schema."""

    def __init__(self, schema: bytes) -> None:
        self.c = ffi.new("struct lockstep_index_fields *")
        tables = {"instrument": self.c.instrument_at, "order_id": self.c.order_at}
        for kind, field, at in _places(schema):
            tables[field][kind] = HEADER_BYTES + at


def _places(schema: bytes) -> list[tuple[int, str, int]]:
    """(kind, field, offset in the body) of what the schema declares; nothing for a text that is no schema of ours."""
    found: list[tuple[int, str, int]] = []
    try:
        for kind in json.loads(schema)["kinds"]:
            for field in kind["fields"]:
                if field.get("code") == _CODES.get(field["name"], "") and 0 <= field["offset"] < 2**16 - HEADER_BYTES:
                    found.append((int(kind["kind"]), field["name"], int(field["offset"])))
    except (ValueError, KeyError, TypeError):
        return []
    return [place for place in found if 0 <= place[0] <= 0xFFFF]


def fields_of(header: SegmentHeader) -> Fields:
    """Those of a segment. The schema text is read and parsed once for each schema there is."""
    key = (header.schema_crc, header.schema_bytes)
    found = _known.get(key)
    if found is None:
        found = Fields(read_schema(header))
        if len(_known) >= _SCHEMAS_KEPT:
            _known.clear()
        _known[key] = found
    return found
