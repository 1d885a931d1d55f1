"""The optional accelerator: extension modules in C for what each frame costs in Python. Nothing depends on them.

The generated Python codec and the cffi calls are the reference; they are used where an extension was not built, where it was
built for another Python, and when LOCKSTEP_ACCELERATOR is `off`. Either way the same bytes come out (tests compare them).
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable
from typing import Any

from journal.messages.schema import Entry, Field, Layout

VARIABLE = "LOCKSTEP_ACCELERATOR"
_FIELDS_MAX = 96
_OWN = "journal.kernel._fast"


def extension(name: str) -> Any:
    """The extension module of this name; None: do without. The others hand messages to the journal's decoders in C, so where
    that one was not built, none is used."""
    if os.environ.get(VARIABLE) == "off" or (name != _OWN and _fast is None):
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fast = extension(_OWN)
follow: Callable[[int, int, int, int, bool], bytes | None] | None = getattr(_fast, "follow", None)
"""`lockstep_reader_follow` by addresses; the refs of what came (24 bytes each), None when nothing did."""


def _blake2b(data: bytes, digest_size: int) -> bytes:
    return hashlib.blake2b(data, digest_size=digest_size).digest()


blake2b: Callable[[bytes, int], bytes] = getattr(_fast, "blake2b", _blake2b)
"""(data, digest size) → digest: for what is long, or taken often."""

tables: tuple[Any, ...] | None = _fast and (_fast.changed, _fast.added, _fast.removed, _fast.Hashes, _fast.Keys)
"""What journal.messages.tables does for each entry, and what it keeps of them."""
walk: Callable[[dict[Any, Any]], Any] | None = getattr(_fast, "Walk", None)
"""journal.messages.captures._Walk."""


def use_group(cls: type) -> None:
    """Tell of the class that groups are decoded to."""
    if _fast is not None:
        _fast.use_group(cls)


def codec(cls: type, layout: Layout, encode: Any, decode: Any) -> tuple[Any, Any]:
    """The two functions of a kind, accelerated where it can be. Given are the generated ones, to which everything goes that is
    not done here: what does not fit, and groups whose rows have texts."""
    if _fast is None or len(layout.fields) > _FIELDS_MAX:
        return encode, staticmethod(decode)
    size = layout.fixed_bytes
    decoder = _fast.Decoder(cls, decode, size, [(*_place(f), f.entry or f.default) for f in layout.fields])
    encoder = _fast.Encoder(cls, encode, size, [(*_place(f), _rows(f.entry) if f.entry else f.default) for f in layout.fields])
    return encoder, staticmethod(decoder)


def _place(f: Field) -> tuple[str, int, int, str]:
    return f.name, f.offset, f.bytes, _code(f)


def _rows(entry: type[Entry]) -> Any:
    """The encoder of a group's rows; None: they have texts."""
    layout = entry.LAYOUT
    if layout.variable or not layout.fields:
        return None
    return _fast.Encoder(entry, entry.pack, layout.fixed_bytes, [(*_place(f), f.default) for f in layout.fields])  # type: ignore[attr-defined]


def _code(f: Field) -> str:
    if f.scalar is None:
        return {"digest": "d", "text": "t", "blob": "b", "group": "g"}[f.wire]
    return "w" if f.bytes == 16 else "s" if f.scalar.signed else "u"
