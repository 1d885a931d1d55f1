"""Hostile schemas: the text that a segment carries, spoiled at random under crcs that vouch for it, and read.

A reader may refuse with one of the documented errors, in one line; else it gives exactly the frames that were written, whatever
the text says. The journal holds kinds of this build, a kind in an older version, and one that this build does not know.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from journal.columns import columns
from journal.errors import JournalCorrupt, JournalError, NewerSchema
from journal.frames import frames
from journal.messages import Clock, LogRecord, TopOfBook
from journal.messages.derive import schema_text
from journal.messages.schema import I128, REGISTRY, U16, U32, U64, Blob, Digest, Entry, Message, entry, message
from journal.segment import BLOCK_BYTES, OPEN_AT, crc32c, segment_name
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.torture.drivers import scratch
from lockstep.torture.outcome import Find, Outcome, Tell

PROBE, TOMORROW = 60_001, 60_002
LINE_MAX = 4096
_COUNT = 20_000
_POOL: tuple[Any, ...] = (
    0, 1, -1, 7, 8, 64, 255, 2**16, 2**31, 2**32 - 8, 2**63, 2**64, -(2**63), 1.5, 1e300, None, True, "", "x", "x" * 5000,
    "\0", "\ud800", "a\nb", [], {}, [[]], "scalar", "digest", "text", "blob", "group", "B", "q", "QQ", "32s",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None beside the common ones."""


def run(arguments: argparse.Namespace, tell: Tell) -> Outcome:
    """`lockstep torture schemas`"""
    count = arguments.count or (1 << 62 if arguments.hours else _COUNT)
    end = time.monotonic() + arguments.hours * 3600 if arguments.hours else None
    outcome = Outcome("schemas", {"seed": arguments.seed, "count": arguments.count}, {"texts": 0, "refused": 0, "read": 0})
    with scratch() as folder, Hostile(folder) as journal:
        for seed in range(arguments.seed, arguments.seed + count):
            if end is not None and time.monotonic() >= end:
                break
            tell(outcome.metrics["texts"], count, f"{outcome.metrics['refused']:,} refused")
            text = spoiled(journal.texts, random.Random(seed))
            found = journal.look(text)
            outcome.metrics["texts"] += 1
            outcome.metrics["refused"] += journal.refused
            outcome.metrics["read"] += not journal.refused
            if found:
                kept = _keep(text, arguments.keep, seed)
                outcome.finds.append(Find(found, f"lockstep torture schemas --seed {seed} --count 1", kept))
    return outcome


def _keep(text: bytes, folder: Path | None, seed: int) -> str:
    if folder is None:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"schema-{seed}.json"
    path.write_bytes(text)
    return str(path)


@entry
class Row(Entry):
    """Of a Probe in its first version."""

    a: U32 = 0
    note: str = ""


@entry
class Row2(Entry):
    """Of a Probe in its second version: a scalar more."""

    a: U32 = 0
    more: U32 = 17
    note: str = ""


def _declare_old_probe() -> Any:
    """A kind with every type of field."""

    @message(PROBE, 1)
    class Probe(Message):
        wide: I128 = 0
        a: U64 = 0
        b: U64 = 0
        digest: Digest = bytes(32)
        name: str = ""
        data: Blob = b""
        rows: Sequence[Row] = ()

    return Probe


def _declare_probe() -> None:
    """The same with a scalar more."""
    del REGISTRY[PROBE]

    @message(PROBE, 2)
    class Probe(Message):
        wide: I128 = 0
        a: U64 = 0
        b: U64 = 0
        added: U64 = 4711
        digest: Digest = bytes(32)
        name: str = ""
        data: Blob = b""
        rows: Sequence[Row2] = ()


def _write(folder: Path) -> list[bytes]:
    """The journal as an older build has written it; the schema that its frames need, and the whole one."""
    probe = _declare_old_probe()

    @message(TOMORROW, 1, ignorable=True)
    class Tomorrow(Message):
        a: U16 = 0

    with JournalWriter.open(folder, stream_id=7, nonce=7, segment_bytes=1 << 20) as w:
        for n in range(1, 4):
            rows = [Row(a=n + i, note=f"row {i}") for i in range(n)]
            for m in (
                Clock(wall_ts=n),
                probe(wide=-n, a=n, b=100 + n, digest=bytes([n]) * 32, name=f"probe {n}", data=bytes(n), rows=rows),
                TopOfBook(instrument=n, bid_px=10 * n, ask_px=10 * n + 1),
                Tomorrow(a=n),
                LogRecord(about_seq=n, text=f"text {n}"),
            ):
                w.append(m, ts=w.last_ts + 1, source=1, source_seq=w.last_seq + 1)
    whole = schema_text()
    needed = schema_text([Clock.KIND, TopOfBook.KIND, LogRecord.KIND, PROBE, TOMORROW])
    del REGISTRY[TOMORROW]
    return [needed, whole]


def _canonical(schema: Any) -> bytes:
    return json.dumps(schema, separators=(",", ":"), sort_keys=True).encode()


class Hostile:
    """The journal, in a folder, under any schema text."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "j"
        self.texts: list[bytes] = []
        self.refused = False

    def __enter__(self) -> Hostile:
        self.texts = _write(self.path)
        _declare_probe()
        data = (self.path / segment_name(1)).read_bytes()
        (frames_at,) = struct.unpack_from("<I", data, 12)
        self._head, self._frames = data[:BLOCK_BYTES], data[frames_at:].rstrip(b"\0") + bytes(8)
        self._bytes = len(data)
        self._wanted = list(_as_read(self.path))
        assert [seq for seq, *_ in self._wanted] == [n for n in range(1, 16) if n % 5 != 4]
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.pop(PROBE, None)

    def put(self, text: bytes) -> None:
        """Write the segment with this schema; every crc that covers it is right."""
        blocks = -(-len(text) // BLOCK_BYTES)
        head = bytearray(self._head)
        size = max(self._bytes, (blocks + 16) * BLOCK_BYTES + -(-len(self._frames) // BLOCK_BYTES) * BLOCK_BYTES)
        struct.pack_into("<I", head, 12, (1 + blocks) * BLOCK_BYTES)
        struct.pack_into("<Q", head, 32, size)
        struct.pack_into("<II", head, 44, len(text), crc32c(text))
        struct.pack_into("<I", head, 60, crc32c(bytes(head[:60])))
        struct.pack_into("<I", head, OPEN_AT + 36, crc32c(bytes(head[OPEN_AT : OPEN_AT + 36]), crc32c(bytes(head[:64]))))
        with (self.path / segment_name(1)).open("wb") as file:
            file.write(bytes(head) + text.ljust(blocks * BLOCK_BYTES, b"\0") + self._frames)
            file.truncate(size)

    def look(self, text: bytes) -> str:
        """Read it in every way there is: what was found, empty when all is as promised."""
        self.put(text)
        try:
            return self._judge()
        except Exception:  # whatever a hostile text makes a reader raise is a find
            return traceback.format_exc(limit=-3)

    def _judge(self) -> str:
        there, error = _attempt(partial(_as_read, self.path))
        self.refused = error is not None
        # What is passed over as ignorable may also be given out as it is: nobody here knows its kind.
        known = [frame for frame in there if frame[0] % 5 != 4]
        if known != self._wanted[: len(known)] or (error is None and len(known) != len(self._wanted)):
            return f"{known!r} was read; written was {self._wanted!r}"
        for cls in (TopOfBook, Clock):
            table, _ = _attempt(partial(columns, self.path, cls))
            if table and [row["seq"] for row in table] != [seq for seq, kind, *_ in self._wanted if kind == cls.KIND]:
                return f"the table of {cls.__name__} has {table!r}"
        found, refused = _attempt(partial(frames, self.path, instruments=[2]))
        if refused is None and [f.header.seq for f in found] != [8]:
            return f"{found!r} are of instrument 2; expected frame 8"
        problems = [str(p) for p in survey(self.path).problems]
        if (isinstance(error, JournalCorrupt) and error.offset == BLOCK_BYTES) != bool(problems):
            return f"reading it: {error}; verifying it: {problems}"
        lines = [str(e) for e in (error, refused) if e is not None] + problems
        return next((f"an error of {len(p)} bytes: {p[:200]!r}" for p in lines if not p.isprintable() or len(p) > LINE_MAX), "")


def _attempt(read: Callable[[], Iterable[Any]]) -> tuple[list[Any], JournalError | None]:
    """What `read` gives, and the documented error that ended it."""
    found: list[Any] = []
    try:
        found.extend(read())
    except (JournalCorrupt, NewerSchema) as error:
        return found, error
    return found, None


def _as_read(path: Path) -> Iterator[tuple[int, int, int, bytes, str]]:
    for f in frames(path):
        yield f.header.seq, f.header.kind, f.header.version, bytes(f.body), repr(f.message)


def spoiled(texts: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the texts with a few things wrong: its values, its structure, or its bytes."""
    text = chance.choice(texts if chance.random() < 0.1 else texts[:1])
    if chance.random() < 0.3:
        return _spoiled_bytes(text, chance)
    schema = json.loads(text)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _spoil_tree(schema, chance)
    return _canonical(schema) if chance.random() < 0.95 else json.dumps(schema).encode()


def _spoiled_bytes(text: bytes, chance: random.Random) -> bytes:
    data = bytearray(text)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at, size = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 16, 300))
        match chance.randrange(5):
            case 0:
                data[at : at + size] = b""
            case 1:
                data[at:at] = chance.randbytes(size)
            case 2:
                data[at : at + size] = chance.randbytes(min(size, len(data) - at))
            case 3:
                data[at:at] = data[at : at + size]
            case _:
                data[at:at] = chance.choice((b"[", b'{"a":', b"9")) * chance.choice((1, 5000, 200_000))
    return bytes(data)


def _spoil_tree(schema: Any, chance: random.Random) -> None:
    """Change, remove, repeat or exchange something somewhere below."""
    places = list(_places(schema))
    if not places:
        return
    holder, key = chance.choice(places)
    other, there = chance.choice(places)
    match chance.randrange(6):
        case 0 | 1:
            holder[key] = chance.choice(_POOL)
        case 2 if isinstance(holder[key], int):
            holder[key] += chance.choice((-64, -8, -1, 1, 8, 16, 64))
        case 3:
            del holder[key]
        case 4 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case _:
            holder[key], other[there] = json.loads(json.dumps([other[there], holder[key]]))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (list or object, key) of a tree."""
    for key in range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else ():
        yield node, key
        yield from _places(node[key])
