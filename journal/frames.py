"""Frames as objects, for tools, tests and reports. Hosts on the hot path use the batches of `JournalReader` instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from journal.errors import FramesLost, JournalError
from journal.messages.header import HEADER_BYTES, Header
from journal.messages.schema import REGISTRY, Message
from journal.reader import JournalReader
from journal.slices import begins_after


class Frame:
    """One frame: its header, its body's bytes in place, and the decoded message where this build knows the kind."""

    __slots__ = ("_message", "body", "header")

    def __init__(self, header: Header, body: memoryview) -> None:
        self.header = header
        self.body = body
        self._message: Message | None = None

    @property
    def message(self) -> Message | None:
        """The decoded body, made when first asked for; None for a kind that is not declared here."""
        if self._message is None:
            cls = REGISTRY.get(self.header.kind)
            if cls is not None and len(self.body) >= cls.LAYOUT.fixed_bytes:
                self._message = cls.decode(self.body)
        return self._message

    def __repr__(self) -> str:
        return f"Frame({self.header.seq}, {self.message if self.message is not None else self.header.kind})"


def frames(
    path: Path | str,
    *,
    from_seq: int = 1,
    to_seq: int | None = None,
    kinds: Iterable[int] | None = None,
    instruments: Iterable[int] | None = None,
    orders: Iterable[int] | None = None,
) -> Iterator[Frame]:
    """Frames from `from_seq` to `to_seq` (both included) or to the current end of the journal; of these kinds, instruments
    and orders only. Segments without an index get one on the way, where one would help."""
    limit = to_seq if to_seq is not None else 2**64 - 1
    with JournalReader(
        path, from_seq=from_seq, kinds=kinds, instruments=instruments, orders=orders, build_index=True
    ) as reader:
        while reader.next_seq <= limit and (batch := reader.poll(to_seq=limit)) is not None:
            buffer = batch.buffer
            for offset, *_ in batch:
                header = Header.unpack(buffer, offset)
                yield Frame(header, buffer[offset + HEADER_BYTES : offset + header.length])


def last_seq(path: Path | str) -> int:
    """Seq of the last frame that can be read; 0 for an empty journal. Reads heads of the last segment only,
    when asked again only the new ones."""
    with JournalReader(path, from_seq=2**63, verify=False, build_index=True) as reader:
        reader.poll()
        return reader.seen_seq


def recorded_to(path: Path | str) -> int:
    """As `last_seq`, for who proves something of the whole journal: FramesLost where more was on disk than can be read."""
    with JournalReader(path, from_seq=2**63, verify=False, build_index=True) as reader:
        durable = reader.durable_seq  # before the look: a live journal grows meanwhile
        reader.poll()
        if reader.seen_seq < durable:
            raise FramesLost(path, reader.seen_seq, durable)
        return reader.seen_seq


def frame_at(path: Path | str, seq: int) -> Frame:
    """The frame with this seq. JournalError where the journal ends before it."""
    before = begins_after(path)
    if seq > before:
        for frame in frames(path, from_seq=seq, to_seq=seq):
            return frame
    begins = f"begins with {before + 1} and " if before else ""
    raise JournalError(f"{path}: no frame {seq}; the journal {begins}ends with {last_seq(path)}")
