"""How a message kind is declared, and the layout that follows from the declaration.

A kind is a class; its annotations are its fields, in wire order:

    @message(201)
    class TopOfBook(MarketData):
        bid_px: Px = NULL
        bid_qty: Qty = NULL

Everything else (C struct, numpy dtype, codec, schema text) is derived, see `codec` and `derive`. Layout rules, also in
docs/journal-format.md:

- scalars first, widest first within a class, so that natural alignment needs no inner padding; then zero padding to 8;
- then digests (32 bytes); then one 8-byte descriptor for each text, byte string and group, in order;
- then the variable part: each item 8-byte aligned, padding zero, in the order of the descriptors.
"""

from __future__ import annotations

import functools
import inspect
import struct
import sys
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

import msgspec

NULL = -(2**63)
"""Not given, for signed quantities where 0 means something (px, qty, amount, rate). Never NaN, never -1."""
NULL_I128 = -(2**127)
TEXT_BYTES_MAX = 4096
USER_KIND_MIN = 10_000


class Scalar(msgspec.Struct, frozen=True):
    """A fixed-width integer on the wire. `code` is its struct format; `unit` says how people read it."""

    code: str
    ctype: str
    bytes: int
    unit: str = ""
    signed: bool = False


U8 = Annotated[int, Scalar("B", "uint8_t", 1)]
U16 = Annotated[int, Scalar("H", "uint16_t", 2)]
U32 = Annotated[int, Scalar("I", "uint32_t", 4)]
U64 = Annotated[int, Scalar("Q", "uint64_t", 8)]
I8 = Annotated[int, Scalar("b", "int8_t", 1, signed=True)]
I32 = Annotated[int, Scalar("i", "int32_t", 4, signed=True)]
I64 = Annotated[int, Scalar("q", "int64_t", 8, signed=True)]
Seq = Annotated[int, Scalar("Q", "uint64_t", 8, "seq")]
Px = Annotated[int, Scalar("q", "int64_t", 8, "px", signed=True)]
Qty = Annotated[int, Scalar("q", "int64_t", 8, "qty", signed=True)]
Amt = Annotated[int, Scalar("q", "int64_t", 8, "amt", signed=True)]
Rate = Annotated[int, Scalar("q", "int64_t", 8, "rate", signed=True)]
Ts = Annotated[int, Scalar("q", "int64_t", 8, "ns", signed=True)]
Ns = Annotated[int, Scalar("q", "int64_t", 8, "duration_ns", signed=True)]
I128 = Annotated[int, Scalar("QQ", "lockstep_i128", 16, signed=True)]
Digest = Annotated[bytes, "digest"]
"""32 bytes: BLAKE2b-256; chain digests are BLAKE3."""
Blob = Annotated[bytes, "blob"]
"""A byte string of any length up to the frame's; on the wire a descriptor (u32 offset, u32 length)."""


class Message(msgspec.Struct):
    """The body of a frame. Subclasses are message kinds; instances hold plain integers, text and groups."""

    KIND: ClassVar[int] = 0
    VERSION: ClassVar[int] = 1
    IGNORABLE: ClassVar[bool] = False
    """Builds that do not know this kind may pass over its frames: no state depends on them."""
    WHAT: ClassVar[int] = 0
    """KIND | VERSION << 16: the low half of what a ring is told of a message."""
    LAYOUT: ClassVar[Layout]
    # Bound by `message`: encode the body to canonical bytes; decode it at an offset of a buffer, in place.
    encode: ClassVar[Callable[[Any], bytes]]
    decode: ClassVar[Callable[..., Any]]


class Entry(msgspec.Struct):
    """One row of a group. Scalars, and text whose bytes stand in the variable part of the message."""

    LAYOUT: ClassVar[Layout]


class Field(msgspec.Struct, frozen=True):
    """One declared field and where it stands in the fixed part."""

    name: str
    wire: str  # "scalar", "digest", "text", "blob", "group"
    offset: int
    bytes: int
    scalar: Scalar | None = None
    enum: str = ""
    entry: type[Entry] | None = None
    default: Any = 0


class Layout(msgspec.Struct, frozen=True):
    """The fixed part of one version of a kind (or of a group entry)."""

    name: str
    kind: int
    version: int
    fields: tuple[Field, ...]
    fixed_bytes: int
    format: str

    @property
    def variable(self) -> tuple[Field, ...]:
        """Fields whose bytes stand behind the fixed part."""
        return tuple(f for f in self.fields if f.wire in ("text", "blob", "group"))


class DeclarationError(TypeError):
    """A message declaration that has no layout; says the class, the field and the rule."""


def _scalar_of(annotation: Any) -> tuple[Scalar | None, str]:
    """The scalar of an annotation and the name of its enumeration, if it names one."""
    scalar, enum = None, ""
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, Scalar):
            scalar = meta
        elif isinstance(meta, type):
            enum = meta.__name__
    return scalar, enum


def _type_of(owner: str, name: str, annotation: Any) -> tuple[str, Scalar | None, str, type[Entry] | None]:
    scalar, enum = _scalar_of(annotation)
    if scalar is not None:
        return "scalar", scalar, enum, None
    if get_origin(annotation) is Annotated and get_args(annotation)[0] is bytes:
        return get_args(annotation)[1], None, "", None
    if annotation is str:
        return "text", None, "", None
    if get_origin(annotation) is Sequence and issubclass(get_args(annotation)[0], Entry):
        return "group", None, "", get_args(annotation)[0]
    raise DeclarationError(f"{owner}.{name}: {annotation!r} is no wire type; use the types of journal.messages.schema")


WIDTH_OF = {"digest": 32, "text": 8, "blob": 8, "group": 8}
CODE_OF = {"digest": "32s", "text": "IHH", "blob": "II", "group": "IHH"}


def place(owner: str, fields: Sequence[tuple[str, str, int]], *, row: bool) -> tuple[list[int], int]:
    """Where fields stand, given as (name, wire type, bytes): their offsets and the bytes of the fixed part. `row`: they are a
    group's. DeclarationError where a field would need padding before it, or stands behind one that must be later."""
    offsets: list[int] = []
    at = 0
    scalars_done = False
    for name, wire, width in fields:
        if wire != "scalar" and not scalars_done:
            scalars_done = True
            at += -at % 8
        if wire == "scalar" and scalars_done:
            raise DeclarationError(f"{owner}.{name}: a scalar after a digest, text or group; scalars come first")
        if at % min(width, 8):
            raise DeclarationError(f"{owner}.{name}: {width} bytes wide at offset {at}; declare wider fields first")
        offsets.append(at)
        at += width
    if not row or any(width == 8 for _, _, width in fields):
        at += -at % 8
    return offsets, at


@functools.cache
def _compiled(annotation: str) -> CodeType:
    return compile(annotation, "<annotation>", "eval")


def _hints(cls: type) -> dict[str, Any]:
    """Field → its type, own and inherited: as `typing.get_type_hints` says it, in a tenth of the time. Every process declares
    all kinds when it starts, and a few texts serve thousands of fields."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        names = vars(sys.modules[base.__module__])
        for field, annotation in inspect.get_annotations(base).items():
            if not field.isupper():  # what is known of the class, not a field
                hints[field] = eval(_compiled(annotation), names) if isinstance(annotation, str) else annotation
    return hints


def lay_out(cls: type[Message] | type[Entry], kind: int, version: int) -> Layout:
    """Compute the layout of a declared class; refuse a declaration that would need inner padding."""
    hints, names = _hints(cls), cls.__struct_fields__
    types = [_type_of(cls.__name__, name, hints[name]) for name in names]
    widths = [scalar.bytes if scalar else WIDTH_OF[wire] for wire, scalar, _, _ in types]
    named = [(name, wire, width) for name, (wire, *_), width in zip(names, types, widths, strict=True)]
    given = cls.__struct_defaults__  # of the last ones
    defaults = [()] * (len(names) - len(given)) + [() if default is msgspec.NODEFAULT else default for default in given]
    offsets, fixed_bytes = place(cls.__name__, named, row=not kind)
    fields: list[Field] = []
    codes, at = ["<"], 0
    for name, (wire, scalar, enum, entry), width, offset, default in zip(names, types, widths, offsets, defaults, strict=True):
        fields.append(Field(name, wire, offset, width, scalar, enum, entry, () if wire == "group" else default))
        codes.append(f"{offset - at}x{scalar.code if scalar else CODE_OF[wire]}")
        at = offset + width
    layout = Layout(cls.__name__, kind, version, tuple(fields), fixed_bytes, "".join(codes) + f"{fixed_bytes - at}x")
    assert struct.calcsize(layout.format) == layout.fixed_bytes
    return layout


REGISTRY: dict[int, type[Message]] = {}
"""kind → class, for every kind declared so far."""

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=Entry)


def message(kind: int, version: int = 1, *, ignorable: bool = False) -> Callable[[type[M]], type[M]]:
    """Declare a message kind: compute its layout, bind its codec, enter it in the registry."""

    def declare(cls: type[M]) -> type[M]:
        from journal.messages import codec

        if kind in REGISTRY and REGISTRY[kind].__name__ != cls.__name__:
            raise DeclarationError(f"kind {kind} is {REGISTRY[kind].__name__} already; {cls.__name__} needs another number")
        cls.KIND, cls.VERSION, cls.IGNORABLE = kind, version, ignorable
        cls.WHAT = kind | version << 16
        cls.LAYOUT = lay_out(cls, kind, version)
        codec.bind(cls)
        REGISTRY[kind] = cls
        return cls

    return declare


def entry(cls: type[E]) -> type[E]:
    """Declare the row type of a group."""
    from journal.messages import codec

    cls.LAYOUT = lay_out(cls, 0, 1)
    codec.bind_entry(cls)
    return cls
