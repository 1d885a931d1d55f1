"""A sequencer without a process: the loop's turns are taken by the thread of the program that hosts it, a gateway.

One hop between cores less on the way in and on the way out: what the host publishes is sequenced by the host itself, a moment
later, and it reads the answer where it wrote it. Everything else is as ever: the same journal, rules, rings and socket for the
other publishers, the sync and the segments in threads of their own (C, without the GIL). What it costs: the host and the stream
live and die together, and while the host does something else nobody's messages are sequenced.

    with hosted(journal, settings, sources) as sequencer:
        mine = sequencer.connect("sim-md")
        while ...:
            ...                          # the host's own work, short
            sequencer.turn()             # often: each is one pass over all rings
            sequencer.attend()           # now and then: publishers that come and go

A host that sleeps puts `fileno` and `wake_fd` into its event loop and brackets the sleep with `arm` and `disarm`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sequencer.client import Publisher
from sequencer.daemon import Sequencer, StreamEnded
from sequencer.kernel._sequencer import lib
from sequencer.settings import SequencerSettings, SourceSettings

_turn, _WORKED = lib.lockstep_loop_turn, lib.LOCKSTEP_TURN_WORKED


class HostedSequencer(Sequencer):
    """A Sequencer for one thread of another program: `start`, then `turn` and `attend` again and again, then `close`."""

    _selector: selectors.EpollSelector | None = None

    def start(self) -> None:
        """Take the journal, open the session, listen. The loop stands still until it is turned."""
        super().start()
        self._selector = selectors.EpollSelector()
        self._watch(self._selector)

    def _begin(self) -> None:
        self._loop.hosted = 1
        if self.settings.cpu is not None:
            os.sched_setaffinity(0, {self.settings.cpu})

    def turn(self) -> bool:
        """One pass over the rings, without waiting. Whether there was anything to do. StreamEnded: the journal failed."""
        result: int = _turn(self._loop)
        if result < 0:
            raise StreamEnded(self._why())
        return bool(result == _WORKED)

    def attend(self, timeout_s: float = 0) -> bool:
        """Answer publishers that have come or gone. False: `stop` was called."""
        assert self._selector is not None
        return self._attend(self._selector, timeout_s)

    def fileno(self) -> int:
        """Readable when `attend` has something to do."""
        assert self._selector is not None
        return self._selector.fileno()

    # ---- sleeping

    @property
    def wake_fd(self) -> int:
        """An eventfd, readable when a publisher has committed after `arm`."""
        return int(self._loop.wake_fd)

    def arm(self) -> float:
        """Before the host sleeps: for how long it may, in seconds; 0 when there is work (disarm all the same)."""
        return int(self._loop.idle_ns) / 1e9 if lib.lockstep_loop_arm(self._loop) else 0.0

    def disarm(self) -> None:
        """After the sleep."""
        lib.lockstep_loop_disarm(self._loop)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._loop.wake_fd)

    # ---- the host as a publisher

    def connect(self, source: str, *, build: str = "") -> Publisher:
        """Attach to ourselves: the request waits for an answer that this thread gives."""
        found: list[Any] = []

        def ask() -> None:
            try:
                found.append(Publisher.connect(self.journal, source, build=build))
            except BaseException as error:  # raised again below, in the thread that asked
                found.append(error)
            os.eventfd_write(self._loop.control_fd, 1)

        asking = threading.Thread(target=ask, name=f"connect {source}", daemon=True)
        asking.start()
        while not found:
            self.attend(1.0)
        asking.join()
        if isinstance(found[0], Publisher):
            return found[0]
        raise found[0]

    def _await_obeyed(self) -> None:
        """The loop obeys because we turn it."""
        loop = self._loop
        while lib.lockstep_loop_done(loop) != loop.command_no:
            if lib.lockstep_loop_turn(loop) < 0 or (loop.ended and lib.lockstep_loop_done(loop) != loop.command_no):
                raise StreamEnded(self._why())

    def close(self, *, clean: bool = True) -> None:
        """Drain the rings, end the session, let go of the journal."""
        try:
            super().close(clean=clean)
        finally:
            if self._selector is not None:
                self._selector.close()


@contextlib.contextmanager
def hosted(
    journal: Path, settings: SequencerSettings, sources: Sequence[SourceSettings], **session: Any
) -> Iterator[HostedSequencer]:
    """A HostedSequencer from `start` to `close`; after StreamEnded nothing more is appended."""
    sequencer = HostedSequencer(journal, settings, sources, **session)
    clean = True
    try:
        sequencer.start()
        yield sequencer
    except StreamEnded:
        clean = False
        raise
    finally:
        sequencer.close(clean=clean)
