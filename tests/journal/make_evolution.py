"""Writes journals of other schemas than today's: `python tests/journal/make_evolution.py`. They are kept as files: what an
older or a newer build has written must be read, or refused, for ever the same way."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from journal.messages import Clock
from journal.messages.schema import I128, REGISTRY, U16, U32, U64, Blob, Digest, Entry, Message, entry, message
from journal.writer import JournalWriter

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "evolution"
PROBE = 20_001
NAMES = ("older", "newer_version", "new_kind", "new_kind_ignorable")


def declare(version: int) -> type[Message]:
    """A kind in its first, second or third version: one more scalar each, in it and in its rows."""
    REGISTRY.pop(PROBE, None)
    if version == 1:

        @entry
        class Row1(Entry):
            a: U32 = 0
            note: str = ""

        @message(PROBE, 1)
        class Probe(Message):
            wide: I128 = 0
            a: U64 = 0
            digest: Digest = bytes(32)
            name: str = ""
            data: Blob = b""
            rows: Sequence[Row1] = ()

        Probe.ROW = Row1
        return Probe

    @entry
    class Row2(Entry):
        a: U32 = 0
        b: U32 = 17
        note: str = ""

    @message(PROBE, version)
    class Probe(Message):
        wide: I128 = 0
        a: U64 = 0
        added: U64 = 4711
        digest: Digest = bytes(32)
        name: str = ""
        data: Blob = b""
        rows: Sequence[Row2] = ()

    Probe.ROW = Row2
    return Probe


def probe(cls, n):
    rows = [cls.ROW(a=n + i, note=f"row {i}") for i in range(n % 3)]
    return cls(wide=-n, a=n, digest=bytes([n]) * 32, name=f"probe {n}", data=bytes(n), rows=rows)


def write(name: str, path: Path) -> None:
    """Five Clocks, each with one other frame behind it."""
    other = [probe(declare(3 if name == "newer_version" else 1), n) for n in range(1, 6)]
    if name.startswith("new_kind"):

        @message(98, 1, ignorable=name.endswith("ignorable"))
        class Tomorrow(Message):
            a: U16 = 0

        other = [Tomorrow(a=n) for n in range(5)]
    with JournalWriter.open(path, stream_id=7, nonce=7, segment_bytes=1 << 20) as w:
        for n, message_ in enumerate(other, start=1):
            w.append(Clock(wall_ts=n), ts=10 * n)
            w.append(message_, ts=10 * n + 1, source=1, source_seq=n)
    REGISTRY.pop(98, None)
    REGISTRY.pop(PROBE, None)


if __name__ == "__main__":
    for name in NAMES:
        shutil.rmtree(GOLDEN / name, ignore_errors=True)
        write(name, GOLDEN / name)
        (GOLDEN / name / "lock").unlink()
