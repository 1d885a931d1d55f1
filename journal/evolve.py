"""Reading what another version of the schema has written. A segment carries its schema, so the question has an answer.

An older version of a kind (fewer fields) is read with the defaults of what it lacks: its frames are written anew, in memory, as
this build would have written them, so that hosts, columns and kernels see one layout. A newer version, or a kind that this
build does not know, is refused when a frame of it is reached; where its schema calls the kind ignorable, they are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

import msgspec

from journal.errors import NewerSchema
from journal.kernel._journal import ffi, lib
from journal.messages import REGISTRY
from journal.messages.codec import i128
from journal.messages.header import HEADER_BYTES
from journal.messages.schema import USER_KIND_MIN, Entry, Message
from journal.recovery import start_reader
from journal.segment import END_BYTES, SegmentHeader, crc32c, schema_kinds

_REF = struct.Struct("<IHHQq")
_FRAMES_A_WINDOW = 1 << 16
_NO_LIMIT = 2**64 - 1
_KNOWN_MAX = 64
_known: dict[tuple[int, int, tuple[tuple[int, int], ...]], Evolution | None] = {}
"""By a schema's crc and length and our own kinds: what comparing found. A live host enters a segment in microseconds."""
_DESCRIPTOR = {"text": "<IHH", "blob": "<II", "group": "<IHH"}


class Evolution(msgspec.Struct, frozen=True):
    """What of a schema is not this build's: kinds by number."""

    old: dict[int, Any]
    newer: dict[int, str]
    ignorable: frozenset[int]


def _compare(kinds: list[dict[str, Any]]) -> Evolution | None:
    old: dict[int, Any] = {}
    newer: dict[int, str] = {}
    ignorable = set()
    for kind in kinds:
        number, cls = int(kind["kind"]), REGISTRY.get(int(kind["kind"]))
        if cls is not None and kind["version"] < cls.VERSION:
            old[number] = kind
        elif cls is None or kind["version"] > cls.VERSION:
            if kind.get("ignorable"):
                ignorable.add(number)
            elif number < USER_KIND_MIN or cls is not None:
                reads = f"reads version {cls.VERSION}" if cls is not None else "does not know it"
                newer[number] = f"{kind['name']} (kind {number}, version {kind['version']}); this version of lockstep {reads}"
    return Evolution(old, newer, frozenset(ignorable)) if old or newer or ignorable else None


def evolution_of(header: SegmentHeader) -> Evolution | None:
    """None when everything in the segment is as this build has it, or may be passed on as it is."""
    ours = tuple((kind, cls.VERSION) for kind, cls in REGISTRY.items())
    key = (header.schema_crc, header.schema_bytes, ours)
    if key not in _known:
        while len(_known) >= _KNOWN_MAX:
            del _known[next(iter(_known))]
        _known[key] = _compare(schema_kinds(header))
    return _known[key]


def _values(fields: list[dict[str, Any]], cls: type[Message] | type[Entry], body: Any, at: int, base: int) -> dict[str, Any]:
    """Field values by name, read with the layout that they were written in; those that this build has no more are left out."""
    ours = {f.name: f for f in cls.LAYOUT.fields}
    out: dict[str, Any] = {}
    for field in fields:
        mine, where = ours.get(field["name"]), at + field["offset"]
        if mine is None or mine.wire != field["type"]:
            continue
        if field["type"] == "scalar":
            found = struct.unpack_from("<" + field["code"], body, where)
            out[mine.name] = found[0] if len(found) == 1 else i128(*found)
        elif field["type"] == "digest":
            out[mine.name] = bytes(body[where : where + 32])
        else:
            start, count, *rest = struct.unpack_from(_DESCRIPTOR[field["type"]], body, where)
            item = bytes(body[base + start : base + start + count])
            if field["type"] == "text":
                out[mine.name] = item.decode("utf-8", "replace")
            elif field["type"] == "blob":
                out[mine.name] = item
            else:
                assert mine.entry is not None
                rows = (base + start + i * rest[0] for i in range(count))
                out[mine.name] = [mine.entry(**_values(field["entry"], mine.entry, body, row, base)) for row in rows]
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
        self._refusal: NewerSchema | None = None
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
            self._refusal = self._newer(kind, seq, offset)
            if self._refusal is not None:
                if not out:
                    raise self._refusal
                return out + bytes(END_BYTES + 8)
            out += self._frame(offset, kind)
        if self._c.state == lib.LOCKSTEP_END:
            at = int(self._c.offset)
            out += self._buffer[at : at + END_BYTES]
        elif self._c.next_seq == first:
            return None
        return out + bytes(END_BYTES + 8)

    def _newer(self, kind: int, seq: int, offset: int) -> NewerSchema | None:
        what = self.evolution.newer.get(kind) if self._wanted is None or kind in self._wanted else None
        if what is None:
            return None
        return NewerSchema(f"{self.header.path}: frame {seq} at byte {offset} is a {what}: read it with a newer one")

    def _frame(self, offset: int, kind: int) -> bytes | memoryview:
        length, _, _, version = struct.unpack_from("<IIHH", self._buffer, offset)
        frame = self._buffer[offset : offset + length]
        old = self.evolution.old.get(kind)
        if old is None or version != old["version"]:
            return frame
        cls = REGISTRY[kind]
        body = cls(**_values(old["fields"], cls, frame, HEADER_BYTES, HEADER_BYTES)).encode()
        head = bytearray(frame[:HEADER_BYTES])
        struct.pack_into("<I", head, 0, HEADER_BYTES + len(body))
        struct.pack_into("<H", head, 10, cls.VERSION)
        crc = crc32c(body, crc32c(bytes(head[8:]), crc32c(bytes(head[:4]), self.header.seed)))
        struct.pack_into("<I", head, 4, crc)
        return bytes(head) + body
