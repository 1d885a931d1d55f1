"""Bodies to bytes and back. One decode and one encode function a kind, written out once from its layout.

The functions are generated source, as `dataclasses` does it: a loop over field objects would cost five times as much on
every frame. `python -c "from journal.messages import TopOfBook; print(TopOfBook.decode.__doc__)"` shows the source.

Encoding is canonical: equal messages give equal bytes, padding is zero, variable items stand in declared order without
holes. Decoding trusts the bytes: the sequencer has validated every frame that is in a journal. Where the accelerator was
built it stands in front of these functions; they remain the reference.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import Any, overload

from msgspec.structs import astuple

from journal.messages import accelerator
from journal.messages.header import FRAME_BYTES_MAX, HEADER_BYTES
from journal.messages.schema import CODE_OF, TEXT_BYTES_MAX, Entry, Field, Layout, Message

BODY_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES
ROWS_MAX = 0xFFFF


class EncodeError(ValueError):
    """A value that does not fit its field: kind, field, value, expectation."""


class Group(Sequence[Entry]):
    """The rows of a group, read in place from a frame; decoded row by row when asked for."""

    __slots__ = ("_at", "_base", "_buffer", "_row", "rows", "stride")

    def __init__(self, row: type[Entry], buffer: Any, base: int, offset: int, rows: int, stride: int) -> None:
        self._row = row
        self._buffer = buffer
        self._base = base
        self._at = base + offset
        self.rows = rows
        self.stride = stride

    def __len__(self) -> int:
        return self.rows

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.rows))]
        if index < 0:
            index += self.rows
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} of a group of {self.rows}")
        row: Entry = self._row.decode(self._buffer, self._at + index * self.stride, self._base)  # type: ignore[attr-defined]
        return row

    def __iter__(self) -> Iterator[Any]:
        row: Any = self._row
        if row.plain and self.stride == row.LAYOUT.fixed_bytes:
            return starmap(row, row.iter_unpack(self.raw()))
        return self._decoded()

    def _decoded(self) -> Iterator[Any]:
        decode, buffer, base = self._row.decode, self._buffer, self._base  # type: ignore[attr-defined]
        for row in range(self.rows):
            yield decode(buffer, self._at + row * self.stride, base)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))

    __hash__ = None  # type: ignore[assignment]

    def raw(self) -> memoryview:
        """The rows' own bytes, count × stride, in place. What a C kernel takes: ValueError where they do not hold such rows."""
        found, wanted = memoryview(self._buffer)[self._at : self._at + self.rows * self.stride], self._row.LAYOUT.fixed_bytes
        if self.rows and (self.stride < wanted or len(found) != self.rows * self.stride):
            raise ValueError(
                f"{self.rows} rows of {self.stride} bytes each, {len(found)} bytes there; expected {wanted} a row or more"
            )
        return found


accelerator.use_group(Group)


def group_bytes(rows: Sequence[Entry]) -> memoryview | bytes:
    """The bytes of scalar rows: in place when they come from a frame, encoded when they were made in Python."""
    if isinstance(rows, Group):
        return rows.raw()
    return b"".join([r.pack() for r in rows])  # type: ignore[attr-defined]


def i128(low: int, high: int) -> int:
    """Two 64-bit words, low first, as one signed integer."""
    value = (high << 64) | low
    return value - (1 << 128) if high >> 63 else value


def _text(buffer: Any, base: int, offset: int, length: int) -> str:
    if not length:
        return ""
    at = base + offset
    return bytes(buffer[at : at + length]).decode("utf-8", "replace")


def _blob(buffer: Any, base: int, offset: int, length: int) -> bytes:
    return bytes(buffer[base + offset : base + offset + length])


def _decode_source(layout: Layout) -> str:
    """Source of `decode(buffer, at, base)`; `base` is where the body starts, `at` where this fixed part does."""
    if all(f.wire in ("scalar", "digest") and f.bytes != 16 for f in layout.fields):
        return "def decode(buffer, at=0, base=0):\n    return cls(*unpack(buffer, at))\n"
    targets: list[str] = []
    values: list[str] = []
    for f in layout.fields:
        n = f.name
        if f.wire == "scalar" and f.bytes == 16:
            targets += [f"{n}_lo", f"{n}_hi"]
            values.append(f"i128({n}_lo, {n}_hi)")
        elif f.wire == "text":
            targets += [f"{n}_at", f"{n}_len", "_"]
            values.append(f"text(buffer, base, {n}_at, {n}_len) if {n}_len else ''")
        elif f.wire == "blob":
            targets += [f"{n}_at", f"{n}_len"]
            values.append(f"blob(buffer, base, {n}_at, {n}_len)")
        elif f.wire == "group":
            targets += [f"{n}_at", f"{n}_n", f"{n}_stride"]
            values.append(f"Group(row_{n}, buffer, base, {n}_at, {n}_n, {n}_stride)")
        else:
            targets.append(n)
            values.append(n)
    base = "" if layout.kind == 0 else "    base = at\n"
    return (
        f"def decode(buffer, at=0, base=0):\n{base}"
        f"    ({', '.join(targets)},) = unpack(buffer, at)\n"
        f"    return cls({', '.join(values)})\n"
    )


def _bind_decode(cls: Any, layout: Layout) -> None:
    names: dict[str, Any] = {
        "cls": cls,
        "unpack": struct.Struct(layout.format).unpack_from,
        "i128": i128,
        "text": _text,
        "blob": _blob,
        "Group": Group,
        **{f"row_{f.name}": f.entry for f in layout.fields if f.entry},
    }
    source = _decode_source(layout)
    exec(compile(source, f"<decode {layout.name}>", "exec"), names)
    names["decode"].__doc__ = source
    cls.decode = staticmethod(names["decode"])


# Encoding. What goes wrong inside the generated code is found out and named by `_explain`, after the fact and at leisure.

_PAD = tuple(bytes(-n % 8) for n in range(8))
_ERRORS = (struct.error, TypeError, AttributeError, UnicodeEncodeError, OverflowError)


def bind_entry(cls: type[Entry]) -> None:
    """Give a row type its codec: `decode(buffer, at, base)`, `table(rows, at)` and, for rows of scalars only, `pack()`."""
    layout, row = cls.LAYOUT, _any(cls)
    _bind_decode(cls, layout)
    row.plain = not layout.variable and not any(f.bytes == 16 for f in layout.fields)
    row.iter_unpack = struct.Struct(layout.format).iter_unpack
    if layout.variable:
        row.table = staticmethod(_made(_table_source(layout), layout)["table"])
        return
    row.pack = _made(_encode_source(layout), layout)["encode"]

    def table(rows: Sequence[Entry], at: int) -> bytes:  # noqa: ARG001
        if isinstance(rows, Group) and rows.stride == layout.fixed_bytes:
            return bytes(rows.raw())
        return b"".join([r.pack() for r in rows])  # type: ignore[attr-defined]

    row.table = staticmethod(table)


def bind(cls: type[Message]) -> None:
    """Give a message kind its codec."""
    layout = cls.LAYOUT
    _bind_decode(cls, layout)
    source = _encode_source(layout)
    encode = _made(source, layout)["encode"]
    encode.__doc__ = source
    cls.encode, cls.decode = accelerator.codec(cls, layout, encode, cls.decode)


def _any(value: Any) -> Any:
    return value


def _made(source: str, layout: Layout) -> dict[str, Any]:
    """Run generated source; the function it defines is in the result."""
    scope: dict[str, Any] = {
        "pack": struct.Struct(_encode_format(layout)).pack,
        "PAD": _PAD,
        "astuple": astuple,
        "ERRORS": _ERRORS,
        "explain": _explain,
        "fields": layout.fields,
        **{f"table_{f.name}": _any(f.entry).table for f in layout.fields if f.entry},
    }
    exec(compile(source, f"<encode {layout.name}>", "exec"), scope)
    return scope


def _encode_format(layout: Layout) -> str:
    """The layout's format, with the high word of an i128 signed, so that `struct` checks its range."""
    codes, at = ["<"], 0
    for f in layout.fields:
        if f.scalar is None:
            code = CODE_OF[f.wire]
        else:
            code = "Qq" if f.bytes == 16 else f.scalar.code
        codes.append(f"{f.offset - at}x{code}")
        at = f.offset + f.bytes
    return "".join(codes) + f"{layout.fixed_bytes - at}x"


def _place(f: Field) -> list[str]:
    """Source lines that put a variable item of message `m` at `at`, behind what is in `tail`."""
    n = f.name
    if f.wire == "digest":
        return [f"if len(m.{n}) != 32: raise TypeError"]
    if f.wire == "text":
        head = [f"v = m.{n}", "if v != '':", "    v = v.encode()", f"    {n}_len = len(v)"]
        head.append(f"    if {n}_len > {TEXT_BYTES_MAX}: raise OverflowError")
        none = f"else: {n}_at = {n}_len = 0"
    elif f.wire == "blob":
        head = [f"v = m.{n}", f"{n}_len = len(v)", f"if {n}_len:", "    v = bytes(v)"]
        none = f"else: {n}_at = 0"
    else:
        assert f.entry is not None
        head = [f"v = m.{n}", f"{n}_rows = len(v)", f"if {n}_rows:", f"    if {n}_rows > {ROWS_MAX}: raise OverflowError"]
        head += [f"    v = table_{n}(v, at)", f"    {n}_stride = {f.entry.LAYOUT.fixed_bytes}"]
        head.append("    size = len(v)")
        none = f"else: {n}_at = {n}_stride = 0"
    size = "size" if f.wire == "group" else f"{n}_len"
    return [*head, f"    {n}_at = at", f"    at += ({size} + 7) & -8", f"    tail += v + PAD[{size} & 7]", none]


def _arguments(layout: Layout) -> str:
    """Arguments of `pack` for message `m`, once its variable items are placed."""
    parts = {"text": "{0}_at, {0}_len, 0", "blob": "{0}_at, {0}_len", "group": "{0}_at, {0}_rows, {0}_stride"}
    wide = "m.{0} & 0xFFFFFFFFFFFFFFFF, m.{0} >> 64"
    return ", ".join((wide if f.bytes == 16 else parts.get(f.wire, "m.{0}")).format(f.name) for f in layout.fields)


def _encode_source(layout: Layout) -> str:
    """Source of `encode(m)`."""
    lines = [line for f in layout.fields if f.wire != "scalar" for line in _place(f)]
    packed = f"pack({_arguments(layout)})"
    if layout.variable:
        lines = [f"at = {layout.fixed_bytes}", "tail = b''", *lines, f"if at > {BODY_BYTES_MAX}: raise OverflowError"]
        packed += " + tail"
        if all(f.wire == "text" or (f.wire == "scalar" and f.bytes <= 8) for f in layout.fields):
            # Texts are mostly empty: then all fields are taken out at once. Their numbers on the wire are zeros.
            fixed = len(layout.fields) - len(layout.variable)
            zeros = ", 0" * (3 * len(layout.variable))
            empty = "('',)" if len(layout.variable) == 1 else repr(("",) * len(layout.variable))
            lines = ["t = astuple(m)", f"if t[{fixed}:] == {empty}: return pack(*t[:{fixed}]{zeros})", *lines]
    body = "".join(f"        {line}\n" for line in [*lines, f"return {packed}"])
    return f"def encode(m):\n    try:\n{body}    except ERRORS as error:\n        raise explain(m, fields, error) from None\n"


def _table_source(layout: Layout) -> str:
    """Source of `table(rows, at)` for rows with text: the table first, then the texts, so that the table stays one array."""
    lines = [line for f in layout.fields if f.wire != "scalar" for line in _place(f)]
    body = "".join(f"            {line}\n" for line in [*lines, f"out.append(pack({_arguments(layout)}))"])
    return (
        "def table(rows, at):\n"
        f"    size = len(rows) * {layout.fixed_bytes}\n"
        "    at += size + (-size & 7)\n"
        "    out, tail = [], b''\n"
        "    for m in rows:\n"
        f"        try:\n{body}"
        "        except ERRORS as error:\n            raise explain(m, fields, error) from None\n"
        "    return b''.join(out) + PAD[size & 7] + tail\n"
    )


def _explain(body: Any, fields: tuple[Field, ...], error: Exception) -> EncodeError:
    """The error to raise for a message or row that could not be encoded: the first field that is at fault."""
    name = type(body).__name__
    for f in fields:
        value = getattr(body, f.name, None)
        problem = _fault(f, value)
        if problem:
            return EncodeError(f"{name}.{f.name}: {problem}")
    return EncodeError(f"{name}: longer than a frame's {BODY_BYTES_MAX} bytes, or no message at all ({error})")


def _fault(f: Field, value: Any) -> str:
    """What is wrong with a field's value; empty if nothing is."""
    if f.scalar is not None:
        bits = 8 * f.bytes
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if f.scalar.signed else (0, 2**bits - 1)
        good = isinstance(value, int) and low <= value <= high
        return "" if good else f"{value!r}; expected an integer from {low} to {high}"
    if f.wire == "digest":
        return "" if isinstance(value, bytes) and len(value) == 32 else f"{value!r}; expected 32 bytes"
    if f.wire == "blob":
        return "" if isinstance(value, bytes | bytearray | memoryview) else f"{value!r}; expected bytes"
    if f.wire == "text":
        if not isinstance(value, str):
            return f"{value!r}; expected text"
        size = len(value.encode("utf-8", "replace"))
        if size > TEXT_BYTES_MAX:
            return f"{size} bytes of text; at most {TEXT_BYTES_MAX}"
        return "" if value.isprintable() or _is_utf8(value) else f"{value!r}; not UTF-8: a lone surrogate"
    assert f.entry is not None
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return f"{value!r}; expected rows of {f.entry.__name__}"
    if len(value) > ROWS_MAX:
        return f"{len(value)} rows; a group holds at most {ROWS_MAX}"
    odd = next((r for r in value if not isinstance(r, f.entry)), None)
    return "" if odd is None else f"row {odd!r}; expected {f.entry.__name__}"


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
