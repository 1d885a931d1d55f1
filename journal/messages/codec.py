"""Bodies to bytes and back. One decode and one encode function a kind, written out once from its layout.

The functions are generated source, as `dataclasses` does it: a loop over field objects would cost five times as much on
every frame. `python -c "from journal.messages import TopOfBook; print(TopOfBook.decode.__doc__)"` shows the source.

Encoding is canonical: equal messages give equal bytes, padding is zero, variable items stand in declared order without
holes. Decoding trusts the bytes: the sequencer has validated every frame that is in a journal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, overload

from journal.messages.schema import NULL_I128, TEXT_BYTES_MAX, Entry, Field, Layout, Message

_MASK64 = 2**64 - 1


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
        decode, buffer, base = self._row.decode, self._buffer, self._base  # type: ignore[attr-defined]
        for at in range(self._at, self._at + self.rows * self.stride, self.stride):
            yield decode(buffer, at, base)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))

    __hash__ = None  # type: ignore[assignment]

    def raw(self) -> memoryview:
        """The rows' own bytes, count × stride, in place. What a C kernel takes."""
        return memoryview(self._buffer)[self._at : self._at + self.rows * self.stride]


def group_bytes(rows: Sequence[Entry]) -> memoryview | bytes:
    """The bytes of scalar rows: in place when they come from a frame, encoded when they were made in Python."""
    if isinstance(rows, Group):
        return rows.raw()
    return b"".join(r.pack() for r in rows)  # type: ignore[attr-defined]


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


def _pad8(n: int) -> int:
    return -n % 8


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


def bind_entry(cls: type[Entry]) -> None:
    """Give a row type its codec: `decode(buffer, at, base)`, and `pack()` when it holds scalars only."""
    layout = cls.LAYOUT
    _bind_decode(cls, layout)
    fixed = struct.Struct(layout.format)
    names = [f.name for f in layout.fields]

    def pack(self: Entry) -> bytes:
        try:
            return fixed.pack(*[getattr(self, n) for n in names])
        except struct.error as error:
            raise _explain(self, layout.fields, error) from None

    if not layout.variable:
        cls.pack = pack  # type: ignore[attr-defined]


def bind(cls: type[Message]) -> None:
    """Give a message kind its codec."""
    layout = cls.LAYOUT
    _bind_decode(cls, layout)
    fixed = struct.Struct(layout.format)
    if not layout.variable and all(f.bytes != 16 for f in layout.fields):
        names = [f.name for f in layout.fields]
        items = ", ".join(f"m.{n}" for n in names)
        scope: dict[str, Any] = {"pack": fixed.pack}
        exec(compile(f"def pack_all(m): return pack({items})", f"<encode {layout.name}>", "exec"), scope)
        pack_all = scope["pack_all"]

        def encode(self: Message) -> bytes:
            try:
                out: bytes = pack_all(self)
            except struct.error as error:
                raise _explain(self, layout.fields, error) from None
            return out
    else:

        def encode(self: Message) -> bytes:
            return _encode_variable(self, layout, fixed)

    cls.encode = encode


def _encode_variable(body: Any, layout: Layout, fixed: struct.Struct) -> bytes:
    values: list[Any] = []
    tail: list[bytes] = []
    at = layout.fixed_bytes

    def put(data: bytes) -> int:
        nonlocal at
        start = at
        tail.append(data)
        tail.append(bytes(_pad8(len(data))))
        at += len(data) + _pad8(len(data))
        return start

    for f in layout.fields:
        value = getattr(body, f.name)
        if f.wire == "text":
            data = _utf8(layout.name, f.name, value)
            values += (put(data) if data else 0, len(data), 0)
        elif f.wire == "blob":
            values += (put(bytes(value)) if value else 0, len(value))
        elif f.wire == "group":
            values += _put_group(layout.name, f, value, put)
        elif f.bytes == 16:
            _check_i128(layout.name, f.name, value)
            values += (value & _MASK64, (value >> 64) & _MASK64)
        else:
            values.append(value)
    try:
        head = fixed.pack(*values)
    except struct.error as error:
        raise _explain(body, layout.fields, error) from None
    return head + b"".join(tail)


def _put_group(owner: str, field: Field, rows: Sequence[Any], put: Any) -> tuple[int, int, int]:
    if not len(rows):
        return 0, 0, 0
    if len(rows) > 0xFFFF:
        raise EncodeError(f"{owner}.{field.name}: {len(rows)} rows; a group holds at most 65535")
    assert field.entry is not None
    row_layout = field.entry.LAYOUT
    if not row_layout.variable:
        return put(bytes(group_bytes(rows))), len(rows), row_layout.fixed_bytes
    # Rows with text: the table first, then the texts, so that the table stays one contiguous array.
    fixed = struct.Struct(row_layout.format)
    table_bytes = len(rows) * row_layout.fixed_bytes
    start = put(b"")
    texts: list[bytes] = []
    at = start + table_bytes + _pad8(table_bytes)
    packed: list[bytes] = []
    for row in rows:
        values: list[Any] = []
        for f in row_layout.fields:
            value = getattr(row, f.name)
            if f.wire == "text":
                data = _utf8(row_layout.name, f.name, value)
                values += (at if data else 0, len(data), 0)
                if data:
                    texts += (data, bytes(_pad8(len(data))))
                    at += len(data) + _pad8(len(data))
            else:
                values.append(value)
        packed.append(fixed.pack(*values))
    put(b"".join(packed) + bytes(_pad8(table_bytes)) + b"".join(texts))
    return start, len(rows), row_layout.fixed_bytes


def _utf8(owner: str, name: str, value: str) -> bytes:
    data = value.encode("utf-8")
    if len(data) > TEXT_BYTES_MAX:
        raise EncodeError(f"{owner}.{name}: {len(data)} bytes of text; at most {TEXT_BYTES_MAX}")
    return data


def _check_i128(owner: str, name: str, value: int) -> None:
    if not NULL_I128 <= value < 2**127:
        raise EncodeError(f"{owner}.{name}: {value} does not fit 128 bits")


def _explain(body: Any, fields: tuple[Field, ...], error: struct.error) -> EncodeError:
    for f in fields:
        value = getattr(body, f.name)
        if f.wire != "scalar" or f.bytes == 16:
            continue
        assert f.scalar is not None
        low, high = (-(2 ** (8 * f.bytes - 1)), 2 ** (8 * f.bytes - 1) - 1) if f.scalar.signed else (0, 2 ** (8 * f.bytes) - 1)
        if not isinstance(value, int) or not low <= value <= high:
            return EncodeError(f"{type(body).__name__}.{f.name}: {value!r}; expected an integer from {low} to {high}")
    return EncodeError(f"{type(body).__name__}: {error}")
