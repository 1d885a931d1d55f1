"""The publisher's end: number a message, copy it into the ring, know that it is on the stream exactly once.

The ring is the outbox. The sequencer frees a message's room only after it stands in the journal, and the memory stays mapped
here when the sequencer dies; so `reconnect` attaches anew, learns the last number that is in the journal, and puts what
lies behind it into the new ring. Nothing is kept twice, nothing is copied while all goes well.

One thread. Not for two threads of a process: each has a source, or a lock, of its own.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from journal.messages import FRAME_BYTES_MAX, HEADER_BYTES, Flag, Message, Reason, SourceStateCode, accelerator
from sequencer.attach import AttachError, AttachReply, LockedOut, request_attach
from sequencer.kernel._sequencer import ffi, lib

_HEAD, _TAIL, _, _, _ACCEPTED, _ACCEPTED_SEQ, _REJECTED, _DUPLICATES, _LAST_REASON, _STATE = range(10)
_FULL, _OVERSIZED, _REFUSED = lib.LOCKSTEP_PUT_FULL, lib.LOCKSTEP_PUT_OVERSIZED, lib.LOCKSTEP_PUT_REFUSED
_UNREAD = frozenset({int(SourceStateCode.QUARANTINED), int(SourceStateCode.DEAD), int(SourceStateCode.REPLACED)})
"""Nobody reads this ring any more. A banned one is read: its messages are refused, and counted, until the ban is over."""
_LAST = int(Flag.LAST)
_send = lib.lockstep_producer_send
_send_rows = lib.lockstep_producer_send_rows
_fast = accelerator.extension("sequencer.kernel._fast")
_SEND_ADDRESS = int(ffi.cast("uintptr_t", ffi.addressof(lib, "lockstep_producer_send")))


class PublisherRefused(RuntimeError):
    """The sequencer no longer takes what this publisher writes: quarantined, replaced, or its ring was damaged."""


class SequencerGone(ConnectionError):
    """The sequencer has ended and the ring is full; `reconnect`, then publish again. Nothing published is lost."""


class Publisher:
    """One source's connection to the sequencer."""

    def __init__(self, journal: Path, source: str, build: str) -> None:
        self.journal = Path(journal)
        self.name = source
        self.build = build
        self.source = 0
        self.incarnation = 0
        self.epoch = 0
        self.last_source_seq = 0
        """The last number that was on the stream when this publisher attached."""
        self.full_waits = 0
        """How often a publish had to wait for room."""
        self._armed = False
        self._copies = 1
        self._fds: list[int] = []
        self._words = ffi.new("uint64_t[10]")
        self._producer: Any = None
        self._connection: Any = None
        self._sender = _fast.Sender(_SEND_ADDRESS, self._send_slowly) if _fast is not None else None
        self.send: Callable[[int, bytes, int, int], int] = self._sender or self._send_plainly
        """send(what, body, cause, origin_ts): `publish_bytes` for the hot path; `what` is kind | version << 16 | flags << 32.
        The same for as long as the publisher lives, whatever ring it writes to."""

    @classmethod
    def connect(cls, journal: Path | str, source: str, *, timeout_s: float = 10, build: str = "", **more: Any) -> Publisher:
        """Attach as `source`, waiting up to timeout_s for a sequencer that is not there yet.

        `journal` is a folder of this machine, or "tls://HOST:PORT" (several with commas) of a replication server; then
        `credentials` says who we are. Either way: the same methods, each message on the stream exactly once.
        """
        if str(journal).startswith(("tls://", "tcp://")):
            from sequencer.remote.publisher import RemotePublisher

            return RemotePublisher.connect_to(str(journal), source, timeout_s=timeout_s, build=build, **more)
        if more:
            raise TypeError(f"{', '.join(more)}: only for a publisher on another machine")
        self = cls(Path(journal), source, build)
        self._attach(timeout_s)
        self._producer.next_source_seq = self.last_source_seq + 1
        return self

    def _request(self, timeout_s: float) -> tuple[socket.socket, AttachReply, list[int]]:
        """Ask for a ring: a connection whose end tells the sequencer's, the answer, and the ring with its two eventfds."""
        return request_attach(self.journal, self.name, self.build, timeout_s)

    def _attach(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                connection, reply, fds = self._request(max(0.1, deadline - time.monotonic()))
                break
            except LockedOut as error:
                if time.monotonic() + error.retry_in_s >= deadline:
                    raise
                time.sleep(error.retry_in_s)  # it has said when
            except AttachError:
                raise
            except OSError as error:
                # Nobody listens yet. There is no event to wait for: the folder itself may not exist.
                if time.monotonic() >= deadline:
                    raise AttachError(
                        f"{self.journal}: no sequencer answered source {self.name} within {timeout_s:g} s ({error})"
                    ) from None
                time.sleep(0.02)
        producer = ffi.new("struct lockstep_producer *")
        error_no = lib.lockstep_ring_map(fds[0], ffi.addressof(producer.ring))
        if error_no:
            connection.close()
            for fd in fds:
                os.close(fd)
            raise AttachError(f"{self.journal}: the ring for source {self.name} cannot be mapped: {os.strerror(-error_no)}")
        lib.lockstep_producer_init(producer, fds[1], fds[2])
        connection.setblocking(False)
        self._connection, self._producer, self._fds = connection, producer, fds
        self._aim(producer)
        self.source, self.incarnation, self.epoch = reply.source_id, reply.incarnation, reply.epoch
        self.last_source_seq, self._copies = reply.last_source_seq, reply.copies
        self.journal = Path(reply.journal)
        self.disarm()  # attaching has woken us already

    # ---- publishing

    @property
    def next_source_seq(self) -> int:
        """The number that the next `publish` gives out."""
        return int(self._producer.next_source_seq)

    @property
    def producer(self) -> Any:
        """struct lockstep_producer, for a C kernel that publishes by itself and then says how much with `gave_out`."""
        return self._producer

    def gave_out(self, count: int) -> None:
        """A C kernel has put the next `count` numbers."""
        self._producer.next_source_seq += count

    def publish(self, message: Message, *, cause: int = 0, origin_ts: int = 0, flags: int = _LAST) -> int:
        """Number a message and put it into the ring; returns its source_seq. Committed at once unless inside `batch`."""
        return self.send(message.WHAT | flags << 32, message.encode(), cause, origin_ts)

    def publish_bytes(
        self, kind: int, version: int, body: bytes, *, cause: int = 0, origin_ts: int = 0, flags: int = _LAST
    ) -> int:
        """`publish` for a body that is encoded already."""
        if kind > 0xFFFF or version > 0xFFFF:
            raise ValueError(f"source {self.name}: kind {kind} version {version}; both have 16 bits")
        return self.send(kind | version << 16 | flags << 32, body, cause, origin_ts)

    def publish_rows(
        self,
        kind: int,
        version: int,
        rows: Any,
        *,
        row_bytes: int = 0,
        cause: int = 0,
        origin_ts: int = 0,
        flags: int = _LAST,
    ) -> range:
        """Publish many encoded bodies of one kind that stand one behind the other in a buffer; the source_seqs they got.

        A numpy structured array of the kind's rows is such a buffer; for one without items of its own (bytes) `row_bytes` says
        how long a body is. They become visible together, as far as the ring has room; a full ring is waited for.
        """
        if kind > 0xFFFF or version > 0xFFFF:
            raise ValueError(f"source {self.name}: kind {kind} version {version}; both have 16 bits")
        view = memoryview(rows)
        size = row_bytes or view.itemsize
        if size < 1 or view.nbytes % size:
            raise ValueError(f"source {self.name}: kind {kind}: {view.nbytes} bytes are no whole rows of {size} bytes")
        what, left, at = kind | version << 16 | flags << 32, view.nbytes // size, 0
        held = ffi.from_buffer("uint8_t[]", rows)
        first = self.next_source_seq
        last = first + left
        while left:
            put = _send_rows(self._producer, what, held + at, size, left, cause, origin_ts)
            if put == left:
                break
            if put < 0:
                self._cannot(put, what, size)
            left, at = left - put, at + put * size
            lib.lockstep_producer_commit(self._producer)
            self._wait_for_room(HEADER_BYTES + size + 7)
        return range(first, last)

    def publish_numbered(
        self, source_seq: int, message: Message, *, cause: int = 0, origin_ts: int = 0, flags: int = Flag.LAST
    ) -> bool:
        """Publish a regenerated message under the number it always had. False: it is published already, nothing was done."""
        expected = self.next_source_seq
        if source_seq < expected:
            return False
        if source_seq > expected:
            raise ValueError(f"source {self.name}: source_seq {source_seq} leaves a gap; expected {expected}")
        self.publish(message, cause=cause, origin_ts=origin_ts, flags=flags)
        return True

    def _aim(self, producer: Any) -> None:
        """The accelerated `send` writes to this producer from now on; None: to none."""
        if self._sender is not None:
            self._sender.aim(0 if producer is None else int(ffi.cast("uintptr_t", producer)))

    def _send_plainly(self, what: int, body: bytes, cause: int, origin_ts: int) -> int:
        """`send` through cffi: the reference, and what there is without the accelerator."""
        number: int = _send(self._producer, what, body, len(body), cause, origin_ts)
        return number if number > 0 else self._send_slowly(number, what, body, cause, origin_ts)

    def _send_slowly(self, result: int, what: int, body: bytes, cause: int, origin_ts: int) -> int:
        """What `_send` could not do at once: waits for room, or says why not."""
        while result == _FULL:
            lib.lockstep_producer_commit(self._producer)
            self._wait_for_room(HEADER_BYTES + len(body) + 7)
            result = _send(self._producer, what, body, len(body), cause, origin_ts)
        if result <= 0:
            self._cannot(result, what, len(body))
        return result

    def _cannot(self, result: int, what: int, size: int) -> NoReturn:
        if result <= _REFUSED:
            self._refused(_REFUSED - result)
        limit = min(FRAME_BYTES_MAX, self._producer.frame_bytes_max) - HEADER_BYTES
        raise ValueError(
            f"source {self.name}: kind {what & 0xFFFF}: body of {size} bytes; at most {limit} fit a frame of this ring"
        )

    def commit(self) -> None:
        """Make everything put so far visible to the sequencer."""
        lib.lockstep_producer_commit(self._producer)
        state = int(self._producer.ring.page.state)
        if state in _UNREAD:
            self._refused(state)

    def _refused(self, state: int) -> NoReturn:
        raise PublisherRefused(
            f"source {self.name} incarnation {self.incarnation}: {SourceStateCode(state).name}"
            + (f", last reject {self.last_reject_reason.name}" if self.last_reject_reason else "")
        )

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Messages published inside become visible together, with one store. A batch larger than the ring goes in parts."""
        self._producer.in_batch += 1
        try:
            yield
        finally:
            self._producer.in_batch -= 1
            if not self._producer.in_batch:
                self.commit()

    def _wait_for_room(self, length: int) -> None:
        self.full_waits += 1
        lib.lockstep_producer_waits(self._producer)
        armed_before = self._armed
        try:
            while True:
                lib.lockstep_producer_arm_room(self._producer, length)
                if lib.lockstep_producer_room(self._producer, length):
                    return
                if self.state in _UNREAD:
                    self._refused(self.state)
                if not self._poll(1.0) and not self.alive:
                    if lib.lockstep_producer_room(self._producer, length):
                        return
                    raise SequencerGone(f"source {self.name}: the sequencer of {self.journal} has ended and the ring is full")
        finally:
            if armed_before:
                # The event loop's own wait goes on; what was consumed here may have been its wake.
                self.arm()
                os.eventfd_write(self._fds[2], 1)
            else:
                self.disarm()

    def saw(self, seq: int) -> None:
        """Say how far this process has read the stream, for whoever watches (`lockstep top`). Costs a store."""
        lib.lockstep_producer_saw(self._producer, seq)

    # ---- the sequencer's answers

    def _status(self, word: int) -> int:
        lib.lockstep_page_words(self._producer.ring.page, self._words)
        return int(self._words[word])

    @property
    def state(self) -> SourceStateCode:
        """ATTACHED while the sequencer reads this ring."""
        return SourceStateCode(self._status(_STATE))

    @property
    def accepted_source_seq(self) -> int:
        """The last of our numbers that is a frame of the journal (in this incarnation or before it)."""
        return max(self._status(_ACCEPTED), self.last_source_seq)

    @property
    def accepted_seq(self) -> int:
        """The seq of the last accepted message."""
        return self._status(_ACCEPTED_SEQ)

    @property
    def rejected(self) -> int:
        """Messages refused since the sequencer started."""
        return self._status(_REJECTED)

    @property
    def duplicates(self) -> int:
        """Messages dropped because their number was on the stream already."""
        return self._status(_DUPLICATES)

    @property
    def last_reject_reason(self) -> Reason:
        """Why the last refused message was refused."""
        return Reason(self._status(_LAST_REASON))

    @property
    def pending(self) -> int:
        """Bytes in the ring that the sequencer has not taken: the outbox."""
        lib.lockstep_page_words(self._producer.ring.page, self._words)
        return int(self._producer.tail - self._words[_HEAD])

    # ---- waiting

    @property
    def alive(self) -> bool:
        """Whether the sequencer still holds its end of the connection."""
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def park_fd(self) -> int:
        """An eventfd, readable when frames were appended or made durable after `arm`. Read it, or `disarm`, to reset."""
        return self._fds[2]

    def connection_fd(self) -> int:
        """Readable when the sequencer has ended: add it to the event loop beside park_fd."""
        return int(self._connection.fileno())

    def poke(self) -> None:
        """Let a sleeping sequencer look up: a watermark that another process keeps has moved. From any thread."""
        os.eventfd_write(self._fds[1], 1)

    def arm(self) -> None:
        """Ask for one wake. Look for news once more before sleeping: what came before this call wakes nobody."""
        self._armed = True
        lib.lockstep_producer_arm(self._producer)

    def disarm(self) -> None:
        """No wake wanted; forget one that came."""
        self._armed = False
        lib.lockstep_producer_disarm(self._producer)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fds[2])

    def wait(self, timeout_s: float, *, unless: Any = None) -> bool:
        """Sleep until frames were appended or made durable, the sequencer ended, or the time is over. True: something came.

        `unless` is asked once after arming (say, whether the reader has a new frame): true means do not sleep.
        """
        self.arm()
        try:
            return bool(unless is not None and unless()) or self._poll(timeout_s)
        finally:
            self.disarm()

    def _poll(self, timeout_s: float) -> bool:
        poller = select.poll()
        poller.register(self._fds[2], select.POLLIN)
        poller.register(self._connection, select.POLLIN)
        events = poller.poll(timeout_s * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fds[2])
        return any(fd == self._fds[2] for fd, _ in events)

    # ---- the sequencer's death, our end

    def reconnect(self, timeout_s: float = 10) -> None:
        """Attach anew and put every message that is not on the stream yet into the new ring, each exactly once."""
        old, old_fds, last = self._producer, self._fds, self.next_source_seq - 1
        # The old connection stays open until there is a new one: a failed attempt must leave something that can be asked.
        old_connection = self._connection
        self._attach(timeout_s)
        old_connection.close()
        self._armed = False
        self._producer.next_source_seq, self._producer.in_batch = last + 1, old.in_batch
        if self.last_source_seq > last and self._copies == 1:
            raise PublisherRefused(
                f"source {self.name}: the stream has source_seq {self.last_source_seq}, this publisher gave out {last}: "
                "another process published as this source meanwhile"
            )
        first, end = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        while lib.lockstep_producer_replay(self._producer, old, self.last_source_seq, first, end) == _FULL:
            lib.lockstep_producer_commit(self._producer)
            self._wait_for_room(int(self._producer.frame_bytes_max))
        if self.last_source_seq < last and (first[0] != self.last_source_seq + 1 or end[0] != last):
            raise PublisherRefused(
                f"source {self.name}: the stream ends at source_seq {self.last_source_seq}, this publisher still holds "
                f"{first[0]} to {end[0]} of {last}: the journal lost messages that had been in it"
            )
        lib.lockstep_ring_unmap(ffi.addressof(old.ring))
        for fd in old_fds:
            os.close(fd)
        self.commit()

    def close(self) -> None:
        """Hang up. What was committed is still sequenced."""
        if self._producer is None:
            return
        self._aim(None)
        self._connection.close()
        lib.lockstep_ring_unmap(ffi.addressof(self._producer.ring))
        for fd in self._fds:
            os.close(fd)
        self._producer, self._fds = None, []

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
