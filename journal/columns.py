"""A journal's frames of one kind as one numpy table: the ground of reports, audit queries and research.

Fixed parts only: i128 values stand as two words, text and groups as their descriptors (`journal.messages.derive.dtype_of`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from journal.kernel._journal import ffi, lib
from journal.messages.dtypes import HEADER_DTYPE, dtype_of
from journal.messages.header import HEADER_BYTES
from journal.messages.schema import Message
from journal.reader import JournalReader

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
    chunks: list[np.ndarray[Any, Any]] = []
    with JournalReader(path, from_seq=from_seq, kinds=[cls.KIND], build_index=True) as reader:
        while reader.next_seq <= limit and (batch := reader.poll(_ROWS_MAX, to_seq=limit)) is not None:
            if not len(batch):
                continue
            rows = np.zeros((len(batch), dtype.itemsize), dtype=np.uint8)  # a frame may be shorter than its kind
            lib.lockstep_gather(
                ffi.from_buffer(batch.buffer),
                ffi.cast("struct lockstep_ref *", ffi.from_buffer(batch.refs)),
                len(batch),
                cls.LAYOUT.fixed_bytes,
                ffi.cast("uint8_t *", rows.ctypes.data),
            )
            chunks.append(rows)
    table = np.concatenate(chunks) if chunks else np.empty((0, dtype.itemsize), dtype=np.uint8)
    return table.reshape(-1).view(dtype)
