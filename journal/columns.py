"""A journal's frames of one kind as one numpy table: the ground of reports, audit queries and research.

Fixed parts only: i128 values stand as two words, text and groups as their descriptors (`journal.messages.derive.dtype_of`).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from journal.kernel._journal import ffi, lib
from journal.messages.dtypes import HEADER_DTYPE, dtype_of
from journal.messages.header import HEADER_BYTES
from journal.messages.schema import Field, Message
from journal.reader import JournalReader
from journal.segment import SegmentHeader, schema_kinds

_ROWS_MAX = 1 << 16


def table_dtype(cls: type[Message]) -> np.dtype[Any]:
    """Header fields, then the kind's own. A body field named like a header field is called `body_<name>`."""
    body = dtype_of(cls)
    assert body.names is not None
    assert body.fields is not None
    assert HEADER_DTYPE.names is not None
    assert HEADER_DTYPE.fields is not None
    names = list(HEADER_DTYPE.names)
    formats = [HEADER_DTYPE.fields[n][0] for n in names]
    offsets = [int(HEADER_DTYPE.fields[n][1]) for n in names]
    for name in body.names:
        names.append(f"body_{name}" if name in HEADER_DTYPE.names else name)
        formats.append(body.fields[name][0])
        offsets.append(HEADER_BYTES + int(body.fields[name][1]))
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": HEADER_BYTES + body.itemsize})


def columns(path: Path | str, cls: type[Message], from_seq: int = 1, to_seq: int | None = None) -> np.ndarray[Any, Any]:
    """One row a frame of this kind, in stream order. Fields that an older version of the kind lacks have their defaults."""
    dtype = table_dtype(cls)
    limit = to_seq if to_seq is not None else 2**64 - 1
    blank = np.frombuffer(bytes(HEADER_BYTES) + _default_body(cls), dtype=np.uint8)
    chunks: list[np.ndarray[Any, Any]] = []
    body_bytes: dict[int, int] = {}
    with JournalReader(path, from_seq=from_seq, kinds=[cls.KIND], build_index=True) as reader:
        while reader.next_seq <= limit and (batch := reader.poll(_ROWS_MAX, to_seq=limit)) is not None:
            if not len(batch):
                continue
            number = batch.header.number
            if number not in body_bytes:
                there = cls.LAYOUT.fixed_bytes if batch.evolved else _fixed_bytes_in(batch.header, cls)
                body_bytes[number] = min(cls.LAYOUT.fixed_bytes, there)
            rows = np.empty((len(batch), dtype.itemsize), dtype=np.uint8)
            if body_bytes[number] < cls.LAYOUT.fixed_bytes:
                rows[:] = blank
            _gather(batch.buffer, batch.refs, body_bytes[number], rows)
            chunks.append(rows)
    table = np.concatenate(chunks) if chunks else np.empty((0, dtype.itemsize), dtype=np.uint8)
    return table.reshape(-1).view(dtype)


def _gather(buffer: memoryview, refs: bytes, body_bytes: int, rows: np.ndarray[Any, Any]) -> None:
    """Copy in C when the rows are as wide as what is copied, else through a narrower table."""
    n = len(rows)
    width = HEADER_BYTES + body_bytes
    target = rows if rows.shape[1] == width else np.empty((n, width), dtype=np.uint8)
    lib.lockstep_gather(
        ffi.from_buffer(buffer),
        ffi.cast("struct lockstep_ref *", ffi.from_buffer(refs)),
        n,
        body_bytes,
        ffi.cast("uint8_t *", target.ctypes.data),
    )
    if target is not rows:
        rows[:, :width] = target


def _fixed_bytes_in(header: SegmentHeader, cls: type[Message]) -> int:
    """How long the kind's fixed part was when the segment was written."""
    for kind in schema_kinds(header):
        if kind["kind"] == cls.KIND:
            return int(kind["fixed_bytes"])
    return cls.LAYOUT.fixed_bytes


def _default_body(cls: type[Message]) -> bytes:
    values: list[Any] = []
    for field in cls.LAYOUT.fields:
        values += _default_words(field)
    return struct.pack(cls.LAYOUT.format, *values)


def _default_words(field: Field) -> list[Any]:
    if field.wire == "digest":
        return [bytes(32)]
    if field.wire == "text" or field.wire == "group":
        return [0, 0, 0]
    if field.wire == "blob":
        return [0, 0]
    if field.bytes == 16:
        return [field.default & (2**64 - 1), (field.default >> 64) & (2**64 - 1)]
    return [field.default]
