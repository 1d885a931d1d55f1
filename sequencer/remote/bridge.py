"""The server's end of a publisher on another machine: a local publisher whose ring is filled from the wire.

Everything that arrives is judged by the sequencer, as from any ring. Where followers are required, a message counts as accepted
for the far end only when it is on their disks too: what it forgets is then nowhere missing, whichever machine goes on.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from sequencer.attach import AttachError
from sequencer.client import Publisher, PublisherRefused
from sequencer.kernel._sequencer import ffi, lib
from sequencer.remote.wire import STATUS, Hello, Kind, Link, LinkError, Welcome
from sequencer.rules import vocabulary_digest

if TYPE_CHECKING:
    from sequencer.remote.server import ReplicationServer

ROOM_PATIENCE_NS = 200_000_000
ATTACH_S = 2.0
_HEAD, _ACCEPTED = 0, 4


def serve_publisher(server: ReplicationServer, link: Link, hello: Hello, names: list[str]) -> None:
    """Until the connection ends."""
    settings = server.settings.publisher.get(hello.name)
    if settings is None:
        known = ", ".join(server.settings.publisher) or "none"
        raise link.refuse(f"no [replication.publisher.{hello.name}] is configured; known: {known}", fatal=True)
    wanted = settings.certificate or hello.name
    if names and wanted not in names:
        raise link.refuse(
            f"source {hello.name} belongs to the certificate of {wanted!r}; this one is of {', '.join(names)}", fatal=True
        )
    if hello.schema_digest != vocabulary_digest().hex():
        raise link.refuse("another schema: both ends must run the same version", fatal=True)
    try:
        local = Publisher.connect(server.journal, hello.name, timeout_s=ATTACH_S, build=hello.build)
    except AttachError as error:
        raise link.refuse(str(error)) from None
    try:
        _Bridge(server, link, local).run()
    finally:
        local.close()


class _Bridge:
    """One remote publisher's connection."""

    def __init__(self, server: ReplicationServer, link: Link, local: Publisher) -> None:
        self.server = server
        self.link = link
        self.local = local
        self._words = ffi.new("uint64_t[10]")
        self._start = self._word(_HEAD)
        self._said: bytes = b""
        self._held: deque[tuple[int, bytes]] = deque()
        """(seq that must be replicated first, status) of what the sequencer took."""

    def _word(self, index: int) -> int:
        lib.lockstep_page_words(self.local.producer.ring.page, self._words)
        return int(self._words[index])

    def run(self) -> None:
        link, local, server = self.link, self.local, self.server
        control = server.voice.control
        link.send(
            Kind.WELCOME,
            msgspec.json.encode(
                Welcome(
                    stream_id=control.stream_id, epoch=local.epoch, source_id=local.source, incarnation=local.incarnation,
                    last_source_seq=local.last_source_seq, ring_bytes=int(local.producer.ring.ring_bytes),
                )
            ),
        )  # fmt: skip
        link.wake_fd, link.hangup_fd = local.park_fd(), local.connection_fd()
        link.on_idle = self._idle
        while True:
            m = link.arrived()
            if m is None:
                local.arm()
                self._answer()
                link.wait()
                if not local.alive:
                    raise LinkError(f"{link.peer}: the sequencer has ended")
            elif m.kind == Kind.RECORDS:
                self._forward(m.payload)
            elif m.kind != Kind.HEARTBEAT:
                raise LinkError(f"{link.peer}: a {m.kind.name} where none belongs")

    def _idle(self) -> None:
        self._answer()
        self.link.heartbeat()

    def _forward(self, records: bytes) -> None:
        local, link = self.local, self.link
        producer, view = local.producer, ffi.from_buffer(records)
        done, count = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        at = 0
        while at < len(records):
            state = lib.lockstep_producer_forward(producer, view, len(records), at, done, count)
            at = int(done[0])
            local.gave_out(int(count[0]))
            try:
                local.commit()
            except PublisherRefused as error:
                self._answer()
                raise link.refuse(str(error)) from None
            if state == lib.LOCKSTEP_FORWARD_BAD:
                raise link.refuse(f"bytes that are no record, {len(records) - at} from the end")
            if state == lib.LOCKSTEP_FORWARD_FULL:
                # Our ring holds as much as the far end's: this is short, or the sequencer has ended.
                while not lib.lockstep_producer_wait_room(producer, int(producer.frame_bytes_max), ROOM_PATIENCE_NS):
                    self._idle()
                    if not local.alive:
                        raise LinkError(f"{link.peer}: the sequencer has ended")

    def _answer(self) -> None:
        """Say what the sequencer has taken, as far as it may be forgotten."""
        page = self.local.producer.ring.page
        control = self.server.voice.control.c
        lib.lockstep_page_words(page, self._words)
        words = [int(w) for w in self._words]
        status = STATUS.pack(words[_HEAD] - self._start, *words[_ACCEPTED:])
        # Read after the head: every record behind it is a frame, or refused by one, at or before this seq.
        written = int(control.written_seq)
        if not self._held or self._held[-1][1] != status:
            self._held.append((written, status))
        wanted = int(control.replicated_seq) if self.server.settings.required else written
        found = b""
        while self._held and self._held[0][0] <= wanted:
            found = self._held.popleft()[1]
        if found and found != self._said:
            self._said = found
            self.link.send(Kind.STATUS, found)
