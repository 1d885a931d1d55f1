"""The optional accelerator: extension modules in C for what each frame costs in Python. Nothing depends on them.

The generated Python codec and the cffi calls are the reference; they are used where an extension was not built, where it was
built for another Python, and when LOCKSTEP_ACCELERATOR is `off`. Either way the same bytes come out (tests compare them).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from journal.messages.schema import Layout

VARIABLE = "LOCKSTEP_ACCELERATOR"
_FIELDS_MAX = 96


def extension(name: str) -> Any:
    """The extension module of this name; None: do without."""
    if os.environ.get(VARIABLE) == "off":
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fast = extension("journal.kernel._fast")
follow: Callable[[int, int, int, int, bool], list[tuple[int, int, int, int, int]] | None] | None = getattr(
    _fast, "follow", None
)
"""`lockstep_reader_follow` by addresses; the rows of what came, None when nothing did."""


def codec(cls: type, layout: Layout, encode: Any, decode: Any) -> tuple[Any, Any]:
    """The two functions of a kind, accelerated if its layout allows: scalars up to 8 bytes, digests, and texts and byte strings
    as long as they are empty. Given are the generated ones, to which everything else goes."""
    codes = {"digest": "d", "text": "t", "blob": "b"}
    fields = [
        (f.name, f.offset, f.bytes, codes.get(f.wire) or ("s" if f.scalar and f.scalar.signed else "u"), f.default)
        for f in layout.fields
        if f.wire != "group" and not (f.scalar and f.bytes == 16)
    ]
    if _fast is None or len(fields) < len(layout.fields) or len(fields) > _FIELDS_MAX:
        return encode, staticmethod(decode)
    size = layout.fixed_bytes
    return _fast.Encoder(cls, encode, size, fields), staticmethod(_fast.Decoder(cls, decode, size, fields))
