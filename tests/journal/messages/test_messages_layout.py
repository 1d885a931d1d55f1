"""One declaration, three readers: the C compiler, numpy and the codec agree on every offset."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence

import numpy as np
import pytest

from journal.messages import HEADER, NULL, REGISTRY, ExecutionReport, Flag, Message, entry, message
from journal.messages.derive import HEADER_PATH, c_header, sizes, snake, wire_rules
from journal.messages.dtypes import HEADER_DTYPE, dtype_of
from journal.messages.schema import I64, U8, U16, U32, DeclarationError, Digest, Entry, lay_out

SUFFIXES = {"text": ("at", "len", "zero"), "blob": ("at", "len"), "group": ("at", "count", "stride")}
ENTRIES = sorted(
    {f.entry for cls in REGISTRY.values() for f in cls.LAYOUT.fields if f.entry is not None}, key=lambda c: c.__name__
)


def test_the_generated_header_is_up_to_date():
    assert HEADER_PATH.read_text() == c_header(), "run: python -m journal.messages.derive"


def members() -> list[tuple[str, str, str, int, int]]:
    """(struct, C member, numpy name, offset, bytes) of everything that has a place."""
    found = []
    for cls in (*REGISTRY.values(), *ENTRIES):
        name = f"lockstep_{snake(cls.__name__)}" + ("_entry" if cls in ENTRIES else "")
        for f in cls.LAYOUT.fields:
            if f.wire in SUFFIXES:
                at = f.offset
                for suffix in SUFFIXES[f.wire]:
                    size = 4 if suffix == "at" or f.wire == "blob" else 2
                    found.append((name, f"{f.name}.{suffix}", f"{f.name}_{suffix}", at, size))
                    at += size
            elif f.bytes == 16:
                found.append((name, f"{f.name}.lo", f"{f.name}_lo", f.offset, 8))
                found.append((name, f"{f.name}.hi", f"{f.name}_hi", f.offset + 8, 8))
            else:
                found.append((name, f.name, f.name, f.offset, f.bytes))
    for f, (dtype, at) in HEADER_DTYPE.fields.items():
        found.append(("lockstep_frame", f, f, at, dtype.itemsize))
    return found


def test_c_agrees(tmp_path):
    """Compiled asserts: a layout that the compiler would lay out otherwise does not compile."""
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    assert compiler is not None, "no C compiler: the kernels need one as well"
    lines = ["#include <stddef.h>", "#include <stdint.h>", c_header()]
    for name, member, _, offset, size in members():
        lines.append(f'_Static_assert(offsetof(struct {name}, {member}) == {offset}, "{name}.{member}");')
        lines.append(f'_Static_assert(sizeof(((struct {name} *)0)->{member}) == {size}, "{name}.{member}");')
    lines += [f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");' for name, size in sizes().items()]
    lines += [f'_Static_assert(LOCKSTEP_{snake(c.__name__).upper()} == {k}, "{k}");' for k, c in REGISTRY.items()]
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines) + "\nint main(void) { return 0; }\n")
    built = subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(source)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr


@pytest.mark.parametrize("cls", [*REGISTRY.values(), *ENTRIES], ids=lambda c: c.__name__)
def test_numpy_agrees(cls):
    dtype = dtype_of(cls)
    assert dtype.itemsize == cls.LAYOUT.fixed_bytes == struct.calcsize(cls.LAYOUT.format)
    name = f"lockstep_{snake(cls.__name__)}" + ("_entry" if cls in ENTRIES else "")
    expected = {numpy_name: (offset, size) for owner, _, numpy_name, offset, size in members() if owner == name}
    assert {n: (at, d.itemsize) for n, (d, at) in dtype.fields.items()} == expected


def test_numpy_reads_what_the_codec_wrote():
    body = ExecutionReport(cum_notional=-5, order_id=2**63, last_px=-7, account=9, fee_exp=-8, text="late").encode()
    row = np.frombuffer(body, dtype_of(ExecutionReport), 1)[0]
    assert (int(row["cum_notional_hi"]) << 64) + int(row["cum_notional_lo"]) == -5
    assert (row["order_id"], row["last_px"], row["account"], row["fee_exp"]) == (2**63, -7, 9, -8)
    assert body[row["text_at"] :][: row["text_len"]] == b"late"
    assert row["order_qty"] == NULL


def test_the_header_is_one_cache_line():
    assert HEADER.size == HEADER_DTYPE.itemsize == 64
    packed = HEADER.pack(*range(1, 14))
    assert list(np.frombuffer(packed, HEADER_DTYPE)[0].tolist()) == list(range(1, 14))
    assert [f.value for f in Flag] == [1 << n for n in range(9)]


def test_wire_rules_cover_every_kind_in_order():
    rules = wire_rules()
    assert [r.kind for r in rules] == sorted(REGISTRY)
    assert all(r.fixed_bytes % 8 == 0 for r in rules)
    for r in rules:
        assert [d[0] for d in r.descriptors] == sorted(d[0] for d in r.descriptors)


class Bad:
    """Declarations that have no layout."""

    class InnerPadding(Message):
        a: U8 = 0
        b: I64 = 0

    class ScalarBehindText(Message):
        a: str = ""
        b: U8 = 0

    class ScalarBehindDigest(Message):
        a: Digest = bytes(32)
        b: I64 = 0

    class PlainInteger(Message):
        a: int = 0

    class RowsOfNoEntry(Message):
        a: Sequence[int] = ()

    class PlainBytes(Message):
        a: bytes = b""


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (Bad.InnerPadding, r"InnerPadding\.b: 8 bytes wide at offset 1; declare wider fields first"),
        (Bad.ScalarBehindText, r"ScalarBehindText\.b: a scalar after a digest, text or group; scalars come first"),
        (Bad.ScalarBehindDigest, r"ScalarBehindDigest\.b: a scalar after a digest"),
        (Bad.PlainInteger, r"PlainInteger\.a: <class 'int'> is no wire type"),
        (Bad.RowsOfNoEntry, r"RowsOfNoEntry\.a: .* is no wire type"),
        (Bad.PlainBytes, r"PlainBytes\.a: <class 'bytes'> is no wire type"),
    ],
)
def test_bad_declarations_are_refused(cls, text):
    with pytest.raises(DeclarationError, match=text):
        lay_out(cls, 60_000, 1)


def test_a_number_is_used_once():
    class Impostor(Message):
        a: U32 = 0

    with pytest.raises(DeclarationError, match="kind 201 is TopOfBook already; Impostor needs another number"):
        message(201)(Impostor)
    assert REGISTRY[201].__name__ == "TopOfBook"


@entry
class Leg(Entry):
    ratio: I64 = 0
    side: U16 = 0
    note: str = ""


class Basket(Message):
    wide: I64 = NULL
    number: U16 = 0
    digest: Digest = bytes(32)
    name: str = ""
    legs: Sequence[Leg] = ()


def test_user_declared_kinds_work_like_ours():
    message(60_001, version=3)(Basket)
    del REGISTRY[60_001]  # other tests enumerate the kinds
    m = Basket(5, 7, b"d" * 32, "basket", [Leg(1, 2, "long"), Leg(-3, 4)])
    assert Basket.decode(m.encode()) == m
    assert Basket.VERSION == 3
    assert Basket.LAYOUT.fixed_bytes == dtype_of(Basket).itemsize == 8 + 8 + 32 + 8 + 8
