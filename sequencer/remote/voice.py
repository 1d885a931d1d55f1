"""The server's own source on the stream: it says how followers stand, hears of new frames, and wakes who waits for either.

One thread owns the ring. Senders that have nothing to send ask to be woken; the sequencer is asked to wake us while one does.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from journal.messages import Message
from journal.segment import CONTROL, ControlPage
from sequencer.attach import AttachError, AttachRequest, socket_path
from sequencer.client import Publisher, PublisherRefused, SequencerGone
from sequencer.remote.settings import SOURCE
from sequencer.rules import vocabulary_digest

_EVENTFD = os.EFD_CLOEXEC | os.EFD_NONBLOCK
RETRY_S = 0.2


class Voice:
    """Attached while there is a sequencer; waits for one while there is none."""

    def __init__(self, journal: Path, say: Callable[[str], None]) -> None:
        self.journal = journal
        self.say = say
        self.control = ControlPage(journal / CONTROL, writable=True)
        self._kick_fd = os.eventfd(0, _EVENTFD)
        self._lock = threading.Lock()
        self._sleepers: set[int] = set()
        self._to_say: list[Message] = []
        self._publisher: Publisher | None = None
        self._ending = False
        self._refusal = ""
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Say what is left to say, then leave."""
        self._ending = True
        os.eventfd_write(self._kick_fd, 1)
        self._thread.join()
        os.close(self._kick_fd)

    def say_on_stream(self, message: Message) -> None:
        """Publish, as soon as there is a sequencer. From any thread."""
        with self._lock:
            self._to_say.append(message)
        os.eventfd_write(self._kick_fd, 1)

    def sleep(self, wake_fd: int) -> None:
        """Write this eventfd at the next news: look once more after this call, then sleep."""
        with self._lock:
            self._sleepers.add(wake_fd)
        os.eventfd_write(self._kick_fd, 1)

    def forget(self, wake_fd: int) -> None:
        """Do not write it any more."""
        with self._lock:
            self._sleepers.discard(wake_fd)

    def wake(self) -> None:
        """News of our own: wake who sleeps here, and through the sequencer who waits there for a watermark."""
        self._wake_sleepers()
        publisher = self._publisher
        if publisher is not None:
            with contextlib.suppress(OSError):
                publisher.poke()

    def _wake_sleepers(self) -> None:
        with self._lock:
            for fd in self._sleepers:
                os.eventfd_write(fd, 1)
            self._sleepers.clear()

    # ---- the thread

    def _run(self) -> None:
        while not self._ending:
            publisher = self._publisher
            if publisher is None:
                self._attach()
                continue
            try:
                self._speak(publisher)
                self._listen(publisher)
            except (SequencerGone, PublisherRefused):
                self._lost(publisher)
        if self._publisher is not None:
            with contextlib.suppress(SequencerGone, PublisherRefused):
                self._speak(self._publisher)
            self._publisher.close()

    def _attach(self) -> None:
        try:
            self._publisher = Publisher.connect(self.journal, SOURCE, timeout_s=RETRY_S)
        except AttachError as error:
            if "no sequencer answered" not in str(error) and str(error) != self._refusal:
                self._refusal = str(error)
                self.say(str(error))
            select.select([self._kick_fd], [], [], RETRY_S)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._kick_fd)
            return
        # A start with another segment size makes another page.
        self.control = ControlPage(self.journal / CONTROL, writable=True)
        self._wake_sleepers()

    def _lost(self, publisher: Publisher) -> None:
        publisher.close()
        self._publisher = None

    def _speak(self, publisher: Publisher) -> None:
        with self._lock:
            said, self._to_say = self._to_say, []
        for message in said:
            publisher.publish(message)

    def _listen(self, publisher: Publisher) -> None:
        """Until there is news, something to say, or the sequencer ends."""
        with self._lock:
            wanted = bool(self._sleepers)
        if wanted:
            seen = int(self.control.c.published)
            publisher.arm()
            if int(self.control.c.published) != seen:
                self._wake_sleepers()
                return
        poller = select.poll()
        for fd in (self._kick_fd, publisher.connection_fd(), *([publisher.park_fd()] if wanted else [])):
            poller.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poller.poll()}
        if self._kick_fd in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._kick_fd)
        if publisher.park_fd() in ready:
            publisher.disarm()
            self._wake_sleepers()
        if publisher.connection_fd() in ready and not publisher.alive:
            raise SequencerGone(f"{self.journal}: the sequencer has ended")

    # ---- fencing

    def fence(self, epoch: int) -> None:
        """A higher epoch has begun elsewhere: on our record first, then the sequencer is told to end."""
        c = self.control.c
        if epoch <= c.fenced_epoch:
            return
        c.fenced_epoch = epoch
        self.control.flush()
        self.say(f"{self.journal}: epoch {epoch} has begun elsewhere; this writer ends")
        self.wake()
        with contextlib.suppress(OSError, AttachError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(2)
            connection.connect(str(socket_path(self.journal)))
            request = AttachRequest(SOURCE, "", vocabulary_digest().hex(), fenced_epoch=epoch)
            connection.sendall(msgspec.json.encode(request))
            connection.recv(1)
