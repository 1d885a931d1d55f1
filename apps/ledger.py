"""The ledger of one app's emissions: what it said, against what the journal says it said.

One mechanism serves three purposes. Live, it holds what was emitted until it comes back sequenced. After a restart, the app
re-emits from its history: what the journal has already is compared and kept back, the rest is published. In replay nothing
is published and the comparison is the proof of determinism.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from journal.messages import HEADER, HEADER_BYTES, REGISTRY, Flag, Message, accelerator

# Set by the sequencer, not by the publisher: no part of what an app said.
SEQUENCER_FLAGS = int(Flag.LATE)


class Emission(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message as its publisher numbers it."""

    source_seq: int
    kind: int
    version: int
    flags: int
    cause: int
    origin_ts: int
    body: bytes


class Diverged(Exception):
    """An app said something else than the journal holds: first differing seq, both messages side by side."""

    def __init__(self, app: str, seq: int, expected: Emission | None, got: Emission | None) -> None:
        self.app = app
        self.seq = seq
        self.expected = expected
        self.got = got
        super().__init__(self.describe())

    def describe(self) -> str:
        """Several lines: where, then journal and app field by field."""
        head = f"{self.app}: differs from the journal at seq {self.seq}"
        return f"{head}\n  journal: {_text(self.expected)}\n  app:     {_text(self.got)}"


def _text(e: Emission | None) -> str:
    if e is None:
        return "nothing"
    cls = REGISTRY.get(e.kind)
    body: Any = cls.decode(memoryview(e.body), 0) if cls else e.body.hex()
    return f"source_seq={e.source_seq} cause={e.cause} flags={e.flags} origin_ts={e.origin_ts} {body!r}"


_fast = accelerator.extension("apps.kernel._fast")
_pending: Callable[[], dict[int, Emission]] = _fast.Pending if _fast is not None else dict  # which does as a dict does here


class Ledger:
    """Emissions of one source, numbered, pending until the journal shows them."""

    __slots__ = ("_publish", "_published", "_send", "app", "compared", "emitted", "pending")

    def __init__(
        self,
        app: str,
        publish: Callable[[Emission], None] | None = None,
        published: int = 0,
        send: Callable[[int, bytes, int, int], int] | None = None,
    ) -> None:
        """`publish` takes what was emitted once it is noted; `send`, the live host's, takes it before, in the ring's terms
        (Publisher.send), and says which number it got."""
        self.app = app
        self.emitted = 0
        self.compared = 0
        self.pending: dict[int, Emission] = _pending()
        self._publish = publish
        self._send = send
        self._published = published  # the sequencer has these already: the last source_seq it knows

    def _accept(self, message: Message, flags: int, cause: int, origin_ts: int) -> None:
        """Number an emission; publish it unless the sequencer has it from an earlier life."""
        number = self.emitted + 1
        if type(flags) is not int:
            flags = int(flags)  # arithmetic with an enum member costs a microsecond
        body = message.encode()
        if self._send is not None and number > self._published:
            # First of all it goes: what is noted below serves the comparison with the journal, which comes later.
            given = self._send(message.WHAT | flags << 32, body, cause, origin_ts)
            assert given == number, f"{self.app}: emission {number} was numbered {given}"
        emission = Emission(number, message.KIND, message.VERSION, flags, cause, origin_ts, body)
        self.emitted = number
        self.pending[number] = emission
        if self._publish is not None and number > self._published:
            self._publish(emission)

    accept = _accept  # or the same in C, see below

    def match(self, buffer: Any, offset: int, seq: int) -> None:
        """A frame of this source is in the journal: it must be what the app said."""
        length, _, kind, version, flags, _, _, _, origin_ts, source_seq, cause, _, _ = HEADER.unpack_from(buffer, offset)
        body = bytes(buffer[offset + HEADER_BYTES : offset + length])
        found = Emission(source_seq, kind, version, flags & ~SEQUENCER_FLAGS, cause, origin_ts, body)
        said = self.pending.pop(source_seq, None)
        if said != found:
            raise Diverged(self.app, seq, found, said)
        self.compared += 1

    def restore(self, emitted: int, pending: list[Emission]) -> None:
        """What was emitted up to a snapshot, and of that what the journal had not shown."""
        self.emitted, self.pending = emitted, _pending()
        for e in pending:
            self.pending[e.source_seq] = e

    def refused(self, source_seq: int) -> None:
        """The sequencer refused an emission (a Reject frame says why); it will not come back."""
        self.pending.pop(source_seq, None)

    def resume(self) -> None:
        """After a restore: publish what was pending in the snapshot and never reached the sequencer."""
        for e in self.pending.values():
            if e.source_seq <= self._published:
                continue
            if self._send is not None:
                given = self._send(e.kind | e.version << 16 | e.flags << 32, e.body, e.cause, e.origin_ts)
                assert given == e.source_seq, f"{self.app}: emission {e.source_seq} was numbered {given}"
            if self._publish is not None:
                self._publish(e)


if _fast is not None:
    Ledger.accept = _fast.accept_of(Ledger, Emission, SEQUENCER_FLAGS)
