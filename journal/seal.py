"""The seal of a segment: what it held when it was full, in a chain over all segments before it.

Layout and reasons: docs/journal-format.md, "Seal". A seal stands beside its segment as NNNNNNNN.seal. Its first 152 bytes are
the facts; their digest is the chain digest, which the next seal takes up: one number vouches for every byte before it.
The same facts about a part of the last segment give the digest of a stream that is still being written (`journal.head`).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import msgspec

from journal.digest import DIGEST, blake3
from journal.errors import ForeignFile, JournalCorrupt, NewerFormat, SealBroken, SegmentMissing, WrongStream, os_failure
from journal.segment import crc32c, write_durably

SEAL_MAGIC = b"LKSTPSEL"
SEAL_FORMAT = 1
NO_CHAIN = bytes(DIGEST)
_FACTS = struct.Struct("<8sIIQQQQQQqqII32s32s")
_AFTER = struct.Struct("<32sII")
_END = struct.Struct("<II")
_SIGNATURE_BYTES_MAX = 4096
assert _FACTS.size == 152


class Seal(msgspec.Struct, frozen=True):
    """One seal. `covered`: how many bytes of the file are under the digest, all of them in a seal that is stored."""

    number: int
    stream_id: int
    nonce: int
    segment_bytes: int
    covered: int
    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int
    last_crc: int
    last_epoch: int
    previous: bytes
    digest: bytes
    values: bytes = b""
    """Chaining values of the file's whole blocks of 64 KiB."""
    signature: str = ""

    @property
    def facts(self) -> bytes:
        """What the chain digest covers."""
        return _FACTS.pack(
            SEAL_MAGIC, SEAL_FORMAT, self.number, self.stream_id, self.nonce, self.segment_bytes, self.covered, self.first_seq,
            self.last_seq, self.first_ts, self.last_ts, self.last_crc, self.last_epoch, self.previous, self.digest,
        )  # fmt: skip

    @property
    def chain(self) -> bytes:
        """The chain digest: of these facts, and through `previous` of every segment before."""
        return blake3(self.facts)

    def signed(self, signature: str) -> Seal:
        """The same seal with a signature; the chain digest stays."""
        return msgspec.structs.replace(self, signature=signature)


def seal_name(number: int) -> str:
    """`00000001.seal`."""
    return f"{number:08d}.seal"


def write_seal(folder: Path, seal: Seal) -> None:
    """Put a seal beside its segment: whole and on disk under its name, or not there."""
    signature = seal.signature.encode()
    text = signature + bytes(-len(signature) % 8)
    body = seal.facts + _AFTER.pack(seal.chain, len(signature), len(seal.values) // DIGEST) + text + seal.values
    write_durably(folder / seal_name(seal.number), body + _END.pack(0, crc32c(body)))


def read_seal(folder: Path, number: int, stream_id: int | None = None) -> Seal | None:
    """A stored seal, checked by itself; None when there is none. JournalError names what is wrong with it."""
    path = folder / seal_name(number)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_failure(path, error.errno or 0, "reading the seal") from None
    if data[:8] != SEAL_MAGIC:
        raise ForeignFile(f"{path}: starts with {data[:8]!r}; a seal of a lockstep journal starts with {SEAL_MAGIC!r}")
    head = _FACTS.size + _AFTER.size
    if len(data) < head + _END.size:
        raise JournalCorrupt(path, len(data), f"a seal of at least {head + _END.size} bytes", f"{len(data)} bytes")
    _, format_, own, *rest = _FACTS.unpack_from(data)
    if format_ != SEAL_FORMAT:
        raise NewerFormat(f"{path}: seal format {format_}; this version of lockstep reads format {SEAL_FORMAT}")
    chain, signature_bytes, blocks = _AFTER.unpack_from(data, _FACTS.size)
    at = head + signature_bytes + -signature_bytes % 8
    if signature_bytes > _SIGNATURE_BYTES_MAX or len(data) != at + blocks * DIGEST + _END.size:
        sizes = f"a signature of {signature_bytes} bytes and {blocks} blocks"
        raise JournalCorrupt(path, _FACTS.size + DIGEST, f"lengths that fit {len(data)} bytes", sizes, "the seal is damaged")
    zero, crc = _END.unpack_from(data, len(data) - _END.size)
    expected = crc32c(data[: -_END.size])
    if crc != expected or zero:
        raise JournalCorrupt(path, len(data) - 4, f"crc {expected:#010x}", f"{crc:#010x}", "the seal is damaged")
    facts = Seal(own, *rest)
    signature = data[head : head + signature_bytes].decode("utf-8", "replace")
    seal = msgspec.structs.replace(facts, values=data[at : len(data) - _END.size], signature=signature)
    if seal.chain != chain:
        raise JournalCorrupt(path, _FACTS.size, f"chain digest {seal.chain.hex()}", chain.hex(), "the seal was changed")
    if own != number:
        raise WrongStream(f"{path}: is the seal of segment {own}; the name says {number}; a file was renamed")
    if stream_id is not None and seal.stream_id != stream_id:
        raise WrongStream(f"{path}: belongs to stream {seal.stream_id:#018x}; this journal is stream {stream_id:#018x}")
    return seal


def sealed_numbers(folder: Path) -> list[int]:
    """Numbers of all seals that stand in a folder, ascending."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise os_failure(folder, error.errno or 0, "listing the journal") from None
    return sorted(int(n[:8]) for n in names if len(n) == 13 and n.endswith(".seal") and n[:8].isdigit())


def last_seal(folder: Path) -> Seal | None:
    """The newest seal of an unbroken row from segment 1 on; None when segment 1 has none. SegmentMissing for a hole."""
    numbers = sealed_numbers(folder)
    if not numbers:
        return None
    missing = next((n for n in range(1, numbers[-1]) if n not in set(numbers)), None)
    if missing is not None:
        raise SegmentMissing(
            f"{folder / seal_name(missing)}: missing, though {seal_name(numbers[-1])} is there; restore it from a copy of this"
            f" journal; or `lockstep journal seal` makes it again from the segment"
        )
    return read_seal(folder, numbers[-1])


def check_link(folder: Path, seal: Seal, before: Seal | None) -> None:
    """SealBroken when a seal does not follow the one before it."""
    path = folder / seal_name(seal.number)
    previous = before.chain if before is not None else NO_CHAIN
    if seal.previous != previous:
        other = seal_name(before.number) if before is not None else "the beginning of a stream"
        raise SealBroken(
            f"{path}: follows chain digest {seal.previous.hex()}, but {other} has {previous.hex()}: one of the two was replaced"
        )
    first = before.last_seq + 1 if before is not None else 1
    if seal.first_seq != first:
        raise SealBroken(f"{path}: begins with seq {seal.first_seq}; expected {first}")
