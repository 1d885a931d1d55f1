"""numpy's view of frames: the header, and the fixed part of each kind. Apart from `derive`: who never looks at columns
never loads numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from journal.messages.schema import Entry, Message

_NUMPY = {"B": "u1", "H": "<u2", "I": "<u4", "Q": "<u8", "b": "i1", "i": "<i4", "q": "<i8"}
_DESCRIPTOR = {"text": ("<u4", "<u2", "<u2"), "blob": ("<u4", "<u4"), "group": ("<u4", "<u2", "<u2")}
_DESCRIPTOR_NAMES = {"text": ("_at", "_len", "_zero"), "blob": ("_at", "_len"), "group": ("_at", "_count", "_stride")}

HEADER_DTYPE = np.dtype(
    [
        ("length", "<u4"), ("crc32c", "<u4"), ("kind", "<u2"), ("version", "<u2"), ("flags", "<u2"), ("source", "<u2"),
        ("seq", "<u8"), ("ts", "<i8"), ("origin_ts", "<i8"), ("source_seq", "<u8"), ("cause", "<u8"), ("epoch", "<u4"),
        ("incarnation", "<u4"),
    ]
)  # fmt: skip


def dtype_of(cls: type[Message] | type[Entry]) -> np.dtype[Any]:
    """The fixed part as a numpy dtype. i128 become two words (`x_lo`, `x_hi`), descriptors their parts (`x_at`, …)."""
    names: list[str] = []
    formats: list[str] = []
    offsets: list[int] = []

    def add(name: str, code: str, offset: int) -> None:
        names.append(name)
        formats.append(code)
        offsets.append(offset)

    layout = cls.LAYOUT
    for f in layout.fields:
        if f.wire == "digest":
            add(f.name, "V32", f.offset)
        elif f.scalar is not None and f.bytes == 16:
            add(f.name + "_lo", "<u8", f.offset)
            add(f.name + "_hi", "<i8", f.offset + 8)
        elif f.scalar is not None:
            add(f.name, _NUMPY[f.scalar.code], f.offset)
        else:
            at = f.offset
            for suffix, code in zip(_DESCRIPTOR_NAMES[f.wire], _DESCRIPTOR[f.wire], strict=True):
                add(f.name + suffix, code, at)
                at += np.dtype(code).itemsize
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": layout.fixed_bytes})
