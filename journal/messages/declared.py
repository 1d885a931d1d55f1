"""What a schema text declares: the text that a segment carries, read like anything else that comes from outside.

About the kinds that a build reads itself it believes a text only as far as it can check it: a kind of its own version has its
own layout, one of an older version is laid out by the rules of `schema` and has no field that this build does not have. Of
other kinds it needs to know no more than that they are others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import msgspec

from journal.messages.schema import WIDTH_OF, DeclarationError, Entry, Layout, Message, place

SCHEMA_FORMAT = 1
SCHEMA_BYTES_MAX = 16 << 20
_SCALAR_BYTES = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "QQ": 16}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NUMBERS = range(1, 1 << 16)


class SchemaError(ValueError):
    """A text that is no schema, or none that this build can believe: what, and what was expected."""


class DeclaredField(msgspec.Struct, frozen=True):
    """A field and where it stands; `code`: of a scalar; `entry`, `stride`: of a group."""

    name: str
    type: str
    offset: int
    bytes: int
    code: str = ""
    stride: int = 0
    entry: tuple[DeclaredField, ...] = ()


class Declared(msgspec.Struct, frozen=True):
    """A kind in one version."""

    kind: int
    name: str
    version: int
    fixed_bytes: int
    fields: tuple[DeclaredField, ...]
    ignorable: bool = False

    def __str__(self) -> str:
        return f"{self.name} (kind {self.kind}, version {self.version})"


class _Schema(msgspec.Struct, frozen=True):
    kinds: list[Declared]
    format: int = SCHEMA_FORMAT


def read_kinds(text: bytes) -> list[Declared]:
    """The kinds that a schema text declares, each once. SchemaError for a text that is not canonical JSON of that form."""
    try:
        schema = msgspec.json.decode(text, type=_Schema)
        canonical = json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True).encode()
    except (ValueError, RecursionError) as error:  # msgspec's and json's own errors are ValueErrors
        raise SchemaError(str(error)) from None
    if schema.format != SCHEMA_FORMAT:
        raise SchemaError(f"schema format {schema.format}; this version of lockstep reads format {SCHEMA_FORMAT}")
    if canonical != text:
        raise SchemaError("JSON that is not canonical: sorted keys, each once, no spaces")
    seen: set[int] = set()
    for kind in schema.kinds:
        if kind.kind not in _NUMBERS or kind.version not in _NUMBERS or kind.kind in seen:
            raise SchemaError(f"kind {kind.kind} in version {kind.version}; expected numbers of 16 bits, each kind once")
        if not _NAME.fullmatch(kind.name):
            raise SchemaError(f"kind {kind.kind} named {kind.name[:40]!r}; expected an identifier")
        seen.add(kind.kind)
    return schema.kinds


def check_same(kind: Declared, cls: type[Message]) -> None:
    """SchemaError unless a kind of our own version is laid out as it is here."""
    ours = _fields_of(cls.LAYOUT)
    if (kind.name, kind.fixed_bytes) != (cls.__name__, cls.LAYOUT.fixed_bytes):
        raise SchemaError(
            f"{kind} of {kind.fixed_bytes} bytes; expected {cls.__name__} of {cls.LAYOUT.fixed_bytes} bytes, as it is here"
        )
    if kind.fields != ours:
        at = next(i for i in range(len(ours) + 1) if kind.fields[: i + 1] != ours[: i + 1])
        raise SchemaError(f"{kind}: {_said(kind.fields, at)} as field {at + 1}; expected {_said(ours, at)}, as it is here")


def check_older(kind: Declared, cls: type[Message]) -> None:
    """SchemaError unless an older version of a kind follows the rules of layout and we have all of its fields."""
    _check_laid_out(str(kind), kind.fields, kind.fixed_bytes, row=False)
    _check_kept(str(kind), kind.fields, cls)


def _fields_of(layout: Layout) -> tuple[DeclaredField, ...]:
    return tuple(
        DeclaredField(
            f.name, f.wire, f.offset, f.bytes, f.scalar.code if f.scalar else "",
            f.entry.LAYOUT.fixed_bytes if f.entry else 0, _fields_of(f.entry.LAYOUT) if f.entry else (),
        )
        for f in layout.fields
    )  # fmt: skip


def _said(fields: Sequence[DeclaredField], at: int) -> str:
    if at >= len(fields):
        return "none"
    f = fields[at]
    return f"{f.name[:40]!r} ({f.type[:40]!r} {f.code[:40]!r}, {f.bytes} bytes at {f.offset})"


def _check_laid_out(owner: str, fields: Sequence[DeclaredField], fixed_bytes: int, *, row: bool) -> None:
    for i, f in enumerate(fields):
        width = _SCALAR_BYTES.get(f.code) if f.type == "scalar" else WIDTH_OF.get(f.type) if not f.code else None
        if width is None or width != f.bytes or not _NAME.fullmatch(f.name):
            raise SchemaError(f"{owner}: {_said(fields, i)}; expected a name, a type and its width")
        if f.type == "group":
            _check_laid_out(f"{owner}.{f.name}", f.entry, f.stride, row=True)
    try:
        offsets, there = place(owner, [(f.name, f.type, f.bytes) for f in fields], row=row)
    except DeclarationError as error:
        raise SchemaError(str(error)) from None
    if offsets != [f.offset for f in fields] or there != fixed_bytes:
        raise SchemaError(
            f"{owner}: {fixed_bytes} bytes, fields at {[f.offset for f in fields][:64]}; expected {there} bytes, {offsets[:64]}"
        )


def _check_kept(owner: str, fields: Sequence[DeclaredField], cls: type[Message] | type[Entry]) -> None:
    """Fields are only ever appended to a kind: ours has all the older ones, of the same types and in the same order."""
    ours = iter(cls.LAYOUT.fields)
    for i, f in enumerate(fields):
        mine = next((mine for mine in ours if mine.name == f.name), None)
        if mine is None or (mine.wire, mine.scalar.code if mine.scalar else "") != (f.type, f.code):
            raise SchemaError(f"{owner}: {_said(fields, i)}; this version of lockstep has no such field there")
        if mine.entry is not None:
            _check_kept(f"{owner}.{f.name}", f.entry, mine.entry)
