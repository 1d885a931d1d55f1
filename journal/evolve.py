"""Reading what another version of the schema has written. A segment carries its schema, so the question has an answer.

An older version of a kind (fewer fields) is read with the defaults of what it lacks: its frames are written anew, in memory, as
this build would have written them, so that hosts, columns and kernels see one layout. A newer version, or a kind that this
build does not know, is refused when a frame of it is reached; where its schema calls the kind ignorable, they are passed over.
Nothing is taken on trust: a schema that contradicts this build's own, or a frame that does not fit its schema, is corrupt.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from journal.errors import JournalCorrupt, JournalError, NewerSchema
from journal.kernel._journal import ffi, lib
from journal.messages import REGISTRY
from journal.messages.codec import i128
from journal.messages.declared import Declared, DeclaredField, SchemaError, check_older, check_same
from journal.messages.header import HEADER_BYTES
from journal.messages.schema import USER_KIND_MIN, Entry, Message
from journal.recovery import start_reader
from journal.segment import END_BYTES, SegmentHeader, crc32c, not_a_schema, schema_kinds

_REF = struct.Struct("<IHHQq")
_FRAMES_A_WINDOW = 1 << 16
_NO_LIMIT = 2**64 - 1
_KNOWN_MAX = 16
_UNDECLARED = 1 << 16
"""No version of a frame."""
_known: dict[tuple[int, int, tuple[tuple[int, int], ...]], Evolution] = {}
"""By a schema's crc and length and our own kinds: what comparing found. A live host enters a segment in microseconds."""
_DESCRIPTOR = {"text": "<IHH", "blob": "<II", "group": "<IHH"}


class Evolution(msgspec.Struct, frozen=True):
    """What of a schema is not this build's: kinds by number."""

    old: dict[int, Declared]
    newer: dict[int, str]
    ignorable: frozenset[int]
    versions: Any
    """uint32_t[65536], by kind: the version that its frames have once they can be read; 0: nobody here decodes it."""


def _compare(kinds: list[Declared]) -> Evolution:
    old: dict[int, Declared] = {}
    newer: dict[int, str] = {}
    ignorable = set()
    for kind in kinds:
        cls = REGISTRY.get(kind.kind)
        if cls is not None and kind.version == cls.VERSION:
            check_same(kind, cls)
        elif cls is not None and kind.version < cls.VERSION:
            check_older(kind, cls)
            old[kind.kind] = kind
        elif kind.ignorable and (cls is None or cls.IGNORABLE):
            ignorable.add(kind.kind)
        elif kind.kind < USER_KIND_MIN or cls is not None:
            reads = f"reads version {cls.VERSION}" if cls is not None else "does not know it"
            newer[kind.kind] = f"{kind}; this version of lockstep {reads}"
    return Evolution(old, newer, frozenset(ignorable), _versions({kind.kind for kind in kinds}))


def _versions(declared: set[int]) -> Any:
    """A sequencer does not know the kinds of users, so its segments do not declare them; all others are in their schema."""
    table = ffi.new("uint32_t[]", 1 << 16)
    for kind, cls in REGISTRY.items():
        table[kind] = cls.VERSION if kind in declared or kind >= USER_KIND_MIN else _UNDECLARED
    return table


def evolution_of(header: SegmentHeader) -> Evolution:
    """How a segment's schema differs from this build's. JournalCorrupt for one that is none, or that contradicts ours."""
    ours = tuple((kind, cls.VERSION) for kind, cls in REGISTRY.items())
    key = (header.schema_crc, header.schema_bytes, ours)
    if key not in _known:
        while len(_known) >= _KNOWN_MAX:
            del _known[next(iter(_known))]
        try:
            _known[key] = _compare(schema_kinds(header))
        except SchemaError as error:
            raise not_a_schema(header, error) from None
    return _known[key]


def other_version(header: SegmentHeader, offset: int, seq: int, kind: int, version: int) -> JournalError:
    """The error for a frame that the segment's schema does not tell how to read."""
    cls = REGISTRY[kind]
    if version == cls.VERSION:
        expected = "a frame of a kind that the segment's schema declares"
        return JournalCorrupt(header.path, offset, expected, f"frame {seq}, a {cls.__name__} (kind {kind})")
    return NewerSchema(
        f"{header.path}: frame {seq} at byte {offset} is a {cls.__name__} (kind {kind}) in version {version}, which the "
        f"segment's schema does not declare; this version of lockstep reads version {cls.VERSION}"
    )


class _Body:
    """A frame's body, of which no byte is given out that is not there, and all variable parts together once."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._left = len(data)

    def fixed(self, code: str, at: int) -> tuple[Any, ...]:
        return struct.unpack_from(code, self._data, at)

    def take(self, at: int, size: int) -> bytes:
        self._left -= size
        if at + size > len(self._data) or self._left < 0:
            raise ValueError(f"{size} bytes at {at} of a body of {len(self._data)}")
        return bytes(self._data[at : at + size])


def _values(fields: Sequence[DeclaredField], cls: type[Message] | type[Entry], body: _Body, at: int) -> dict[str, Any]:
    """Field values by name, read with the layout that they were written in (declared.check_older has compared it to ours)."""
    ours = {f.name: f for f in cls.LAYOUT.fields}
    out: dict[str, Any] = {}
    for field in fields:
        where = at + field.offset
        if field.type == "scalar":
            found = body.fixed("<" + field.code, where)
            out[field.name] = found[0] if len(found) == 1 else i128(*found)
        elif field.type == "digest":
            (out[field.name],) = body.fixed("32s", where)
        else:
            start, count, *rest = body.fixed(_DESCRIPTOR[field.type], where)
            if field.type == "text":
                out[field.name] = body.take(start, count).decode("utf-8", "replace")
            elif field.type == "blob":
                out[field.name] = body.take(start, count)
            else:
                stride, entry = rest[0], ours[field.name].entry
                assert entry is not None
                if count and stride < field.stride:
                    raise ValueError(f"rows of {stride} bytes, {field.stride} by the schema")
                body.take(start, count * stride)
                rows = (start + row * stride for row in range(count))
                out[field.name] = [entry(**_values(field.entry, entry, body, row)) for row in rows]
    return out


class Evolver:
    """A segment of another schema, given out in windows: copies of its frames, old ones as this build writes them."""

    def __init__(
        self, evolution: Evolution, header: SegmentHeader, buffer: memoryview, wanted: Collection[int] | None, *, verify: bool
    ) -> None:
        self.evolution = evolution
        self.header = header
        self._buffer = buffer
        self._c = ffi.new("struct lockstep_reader *")
        self._c.verify = verify
        start_reader(self._c, header, ffi.from_buffer(buffer))
        self._wanted = wanted
        self._refusal: JournalError | None = None
        self._refs = ffi.new("struct lockstep_ref[]", _FRAMES_A_WINDOW)

    @property
    def last_crc(self) -> int:
        """Of the last frame of the window, as it stands in the file: what the next segment names."""
        return int(self._c.last_crc)

    @property
    def source(self) -> Any:
        """The reader of the file itself, which knows why it stopped."""
        return self._c

    def window(self) -> bytearray | None:
        """The next frames; None when there are no more for now. NewerSchema at a frame that this build cannot read; what stands
        before it has been given out by then."""
        if self._refusal is not None:
            raise self._refusal
        first = int(self._c.next_seq)
        n = lib.lockstep_reader_poll(self._c, self._refs, _FRAMES_A_WINDOW, _FRAMES_A_WINDOW, _NO_LIMIT)
        out = bytearray()
        for offset, kind, _, seq, _ in _REF.iter_unpack(ffi.buffer(self._refs, n * _REF.size)):
            try:
                out += self._frame(offset, kind, seq)
            except (NewerSchema, JournalCorrupt) as error:
                if not out:
                    raise
                self._refusal = error
                return out + bytes(END_BYTES + 8)
        if self._c.state == lib.LOCKSTEP_END:
            at = int(self._c.offset)
            out += self._buffer[at : at + END_BYTES]
        elif self._c.next_seq == first:
            return None
        return out + bytes(END_BYTES + 8)

    def _frame(self, offset: int, kind: int, seq: int) -> bytes | memoryview:
        length, _, _, version = struct.unpack_from("<IIHH", self._buffer, offset)
        frame = self._buffer[offset : offset + length]
        old, ours = self.evolution.old.get(kind), self.evolution.versions[kind]
        if version == ours or (self._wanted is not None and kind not in self._wanted):
            return frame
        if old is not None and version == old.version:
            return self._rewritten(frame, old, offset)
        if kind in self.evolution.newer:
            what = self.evolution.newer[kind]
            raise NewerSchema(f"{self.header.path}: frame {seq} at byte {offset} is a {what}: read it with a newer one")
        if ours != 0:
            raise other_version(self.header, offset, seq, kind, version)
        return frame

    def _rewritten(self, frame: memoryview, old: Declared, offset: int) -> bytes:
        """A frame of an older version as this build would have written it."""
        cls = REGISTRY[old.kind]
        try:
            body = cls(**_values(old.fields, cls, _Body(frame[HEADER_BYTES:]), 0)).encode()
        except (ValueError, struct.error) as error:  # EncodeError is a ValueError
            raise JournalCorrupt(self.header.path, offset, f"a body of {old}", str(error)) from None
        head = bytearray(frame[:HEADER_BYTES])
        struct.pack_into("<I", head, 0, HEADER_BYTES + len(body))
        struct.pack_into("<H", head, 10, cls.VERSION)
        crc = crc32c(body, crc32c(bytes(head[8:]), crc32c(bytes(head[:4]), self.header.seed)))
        struct.pack_into("<I", head, 4, crc)
        return bytes(head) + body
