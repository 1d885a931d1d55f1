"""The head of a stream: one line that vouches for everything up to a seq, to be kept where its keeper cannot change it.

Seals make edits show; but who can rewrite a journal's end can seal it anew. A head written down elsewhere (another host, an
append-only file, paper) is what such a journal no longer agrees with.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from journal.chain import walker_behind_the_seals
from journal.errors import JournalError, os_failure
from journal.segment import refuse_no_journal
from journal.signing import Key

_LINE = re.compile(r"lockstep-head ([0-9a-f]{16}) (\d{1,10}) (\d{1,20}) ([0-9a-f]{64})(?: (\S+))?")
_SHORT = re.compile(r"(?:(\d{1,20}):)?([0-9a-f]{64})")


class Head(msgspec.Struct, frozen=True):
    """The chain digest of a stream up to and with frame `seq`. Fields that a short form leaves out are None."""

    digest: bytes
    seq: int | None = None
    segment: int | None = None
    stream_id: int | None = None
    signature: str = ""

    def line(self) -> str:
        """`lockstep-head STREAM SEGMENT SEQ DIGEST [SIGNATURE]`."""
        text = f"lockstep-head {self.stream_id or 0:016x} {self.segment or 0} {self.seq or 0} {self.digest.hex()}"
        return f"{text} {self.signature}" if self.signature else text


def parse_head(text: str) -> Head:
    """A head from its line, from SEQ:DIGEST or from the digest alone. ValueError says what is expected."""
    if match := _LINE.fullmatch(text.strip()):
        stream, segment, seq, digest, signature = match.groups()
        return Head(bytes.fromhex(digest), int(seq), int(segment), int(stream, 16), signature or "")
    if match := _SHORT.fullmatch(text.strip()):
        return Head(bytes.fromhex(match[2]), int(match[1]) if match[1] else None)
    raise ValueError(
        f"{text.strip()[:80]!r}: expected a line of `lockstep journal head`, SEQ:DIGEST, or a digest of 64 hex digits"
    )


def heads_in(path: Path) -> list[Head]:
    """All heads of a sink, in order; blank lines and lines that begin with # are passed over."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise os_failure(path, error.errno or 0, "reading the heads") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            found.append(parse_head(line))
        except ValueError as error:
            raise JournalError(f"{path}: line {number}: {error}") from None
    return found


def head_of(path: Path, seq: int | None = None, key: Key | None = None) -> Head:
    """The head at `seq`, or at the last frame that can be read. Reads what is behind the last seal before it."""
    refuse_no_journal(path)
    limit = seq if seq is not None else 2**64 - 1
    walker = walker_behind_the_seals(path, limit)
    while walker.advance(limit) is not None:
        pass
    if seq is not None and walker.last_seq != seq:
        raise JournalError(f"{path}: no frame {seq}; the journal ends with {walker.last_seq}")
    digest = walker.digest()
    return Head(digest, walker.last_seq, walker.number, walker.stream_id, key.sign(digest) if key is not None else "")


def append_head(sink: Path, head: Head) -> None:
    """Write one line to a sink that is only ever appended to, and put it on disk."""
    try:
        fd = os.open(sink, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, f"{head.line()}\n".encode())
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise os_failure(sink, error.errno or 0, "appending a head") from None
