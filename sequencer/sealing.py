"""Sealing beside a running sequencer: a thread that follows the stream behind the loop and never in its way.

Woken when the writer has rolled into the next segment, it seals the full one once that is on disk, hands the seal to the
control plane, which has the loop say so on the stream, and makes the segment's index for whoever looks for something in it.
With a head file it also writes down, every interval, what vouches for the stream so far: on another disk or host, that is
what a rewritten journal cannot agree with.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from journal import logs
from journal.chain import ChainWalker, store, walker_behind_the_seals
from journal.errors import JournalError
from journal.frames import frames
from journal.head import Head, append_head
from journal.index.store import load_or_build
from journal.messages import NO_DIGEST, Alert, AlertSeverity, AlertState, Reason, ScopeType, SegmentSealed
from journal.seal import Seal, read_seal, sealed_numbers
from journal.segment import all_segment_files, read_header, segment_name
from journal.signing import Key
from journal.writer import JournalWriter
from sequencer.background import yield_to_the_stream
from sequencer.settings import SequencerSettings

_LOG = logs.Log("sequencer")
CATCH_UP_BYTES_MAX = 1 << 30
"""What a start may hash before it is ready: more than that is left to the thread, and the first frame says nothing of it."""
_NICE = 10
_DURABLE_LOOK_S = 0.02
_TEXT_MAX = 400
_STOPPED, _UNREADABLE, _NO_HEAD = 2 << 32, 3 << 32, 4 << 32
"""What its alerts are numbered from: apart from those of damage, and from those that the loop counts."""


def sealed_message(seal: Seal) -> SegmentSealed:
    """A seal as the stream tells it."""
    return SegmentSealed(
        first_seq=seal.first_seq, last_seq=seal.last_seq, segment=seal.number, chain_digest=seal.chain, signature=seal.signature
    )


def unannounced(journal: Path, unreadable: Callable[[int, JournalError], None]) -> Iterator[Seal]:
    """Seals that no frame tells of: made while no sequencer ran, or just before one died. Looks from the end backwards, no
    further than to the first frame that tells of one: it tells of all before it. Seals that cannot be read are passed over,
    and `unreadable` is told."""
    untold: list[Seal] = []
    end: int | None = None
    for number in reversed(sealed_numbers(journal)):
        try:
            seal = read_seal(journal, number)
        except JournalError as error:
            unreadable(number, error)
            continue
        if seal is None:
            continue
        untold.append(seal)
        told = _last_told(journal, seal.last_seq + 1, end)
        if told:
            break
        end = seal.last_seq
    else:
        told = _last_told(journal, 1, end) if untold else 0
    yield from (seal for seal in reversed(untold) if seal.number > told)


def _last_told(journal: Path, first: int, last: int | None) -> int:
    """The last segment whose seal a frame in this stretch tells of; 0: none does."""
    told = 0
    for frame in frames(journal, from_seq=first, to_seq=last, kinds=[SegmentSealed.KIND]):
        if isinstance(frame.message, SegmentSealed):
            told = max(told, frame.message.segment)
    return told


class Sealing:
    """The walker, its thread, and what waits to be told."""

    def __init__(self, journal: Path, settings: SequencerSettings) -> None:
        self.journal = journal
        self.fresh: deque[Seal] = deque()
        self.alerts: deque[Alert] = deque()
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._key = Key(Path(settings.seal_key)) if settings.seal_key else None
        self._head_file = Path(settings.head_file) if settings.head_file else None
        self._interval_s = settings.head_interval_s
        self._walker: ChainWalker | None = None
        self._writer: JournalWriter | None = None
        self._head_seq = 0
        self._pending: Seal | None = None  # advanced to, and not known to be on disk when the thread was stopped
        self._stopping = self._failed = self._head_fails = False
        self._thread: threading.Thread | None = None
        self._tell: Callable[[], None] = lambda: None

    def catch_up(self) -> bytes:
        """Seal what is full; the chain digest of the whole stream, or zeros where there was too much to hash before the start,
        or a seal that it would go by is damaged or lost. The caller holds the journal's lock."""
        with self._reported():
            self._walker = walker = walker_behind_the_seals(self.journal)
            behind = sum(p.stat().st_size for n, p in all_segment_files(self.journal) if n > walker.number)
            if behind > CATCH_UP_BYTES_MAX:
                return NO_DIGEST
            while (seal := walker.advance()) is not None:
                self._store(seal)
            return walker.digest()
        return NO_DIGEST

    def untold(self) -> list[Seal]:
        """Seals that no frame of the stream tells of yet."""
        with self._reported():
            return list(unannounced(self.journal, self._unreadable))
        return []

    def start(self, writer: JournalWriter, tell: Callable[[], None]) -> None:
        """Follow the writer. `tell` is called from the thread when `fresh` or `alerts` has something."""
        self._writer, self._tell = writer, tell
        self._thread = threading.Thread(target=self._run, name="seals", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the walker stays where it is."""
        self._stopping = True
        if self._thread is not None:
            os.eventfd_write(self.wake_fd, 1)
            self._thread.join()
            self._thread = None

    def finish(self) -> bytes:
        """With no thread any more: the chain digest of the stream as it is; zeros if sealing has failed."""
        if self._failed or self._walker is None:
            return NO_DIGEST
        with self._reported():
            if self._pending is not None:
                self._keep(self._pending)
                self._pending = None
            while (seal := self._walker.advance()) is not None:
                self._keep(seal)
            return self._walker.digest()
        return NO_DIGEST

    def last_head(self) -> None:
        """Export the head of a stream that has ended."""
        if self.finish() != NO_DIGEST:
            self._export()

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.wake_fd)

    # ---- the thread

    def _run(self) -> None:
        yield_to_the_stream(nice=_NICE)
        wait_s = self._interval_s if self._head_file is not None else None
        while not self._stopping and not self._failed:
            with self._reported():
                self._turn()
            self._wait(wait_s)

    def _wait(self, seconds: float | None) -> None:
        """For news, or so long. The news is taken: left there, the next wait would be none. But who is told to stop waits no
        more, whoever took that news."""
        if self._stopping:
            return
        select.select([self.wake_fd], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.wake_fd)

    def _turn(self) -> None:
        walker, writer = self._walker, self._writer
        assert walker is not None
        assert writer is not None
        while not self._stopping and walker.sealed < int(writer.c.segment) - 1:
            seal = walker.advance()
            if seal is None:
                break
            self._full(seal)
        if self._head_file is not None:
            # What is on disk: a head of frames that a power loss takes back would accuse the innocent.
            durable = writer.durable_seq
            while (seal := walker.advance(durable)) is not None:
                self._full(seal)
            self._export()

    def _full(self, seal: Seal) -> None:
        if not self._durable(seal.last_seq):
            self._pending = seal
            return
        self._keep(seal)
        self._tell()
        with contextlib.suppress(OSError, JournalError):  # whoever needs it makes it, or says what is wrong
            load_or_build(read_header(self.journal / segment_name(seal.number), seal.number))

    def _durable(self, seq: int) -> bool:
        """Wait for the writer's own sync: a seal must not outlive what it vouches for, and a sync of ours could be told of the
        disk's failure instead of the writer. False: told to stop first."""
        assert self._writer is not None
        while self._writer.durable_seq < seq:
            if self._stopping:
                return False
            self._wait(_DURABLE_LOOK_S)
        return True

    def _store(self, seal: Seal) -> Seal:
        return store(self.journal, seal, self._key.sign(seal.chain) if self._key is not None else "")

    def _keep(self, seal: Seal) -> None:
        self.fresh.append(self._store(seal))

    def _export(self) -> None:
        """Where heads cannot be written now (that host is away) seals are made all the same; the next interval tries again."""
        walker = self._walker
        assert walker is not None
        if self._head_file is None or walker.last_seq <= self._head_seq:
            return
        try:
            digest = walker.digest()
            signature = self._key.sign(digest) if self._key is not None else ""
            append_head(self._head_file, Head(digest, walker.last_seq, walker.number, walker.stream_id, signature))
        except JournalError as error:
            if not self._head_fails:
                self._head_fails = True
                self._alert(_NO_HEAD, f"head_file: {error}")
            return
        self._head_seq = walker.last_seq
        if self._head_fails:
            self._head_fails = False
            self._alert(_NO_HEAD, f"head_file: {self._head_file}: heads are written again", AlertState.CLEARED)

    def _unreadable(self, number: int, error: JournalError) -> None:
        self._alert(_UNREADABLE | number, f"{error}; next: lockstep journal repair {self.journal}")

    def _alert(self, alert: int, text: str, state: AlertState = AlertState.RAISED) -> None:
        """Tell people, and have the stream told."""
        (_LOG.warning if state == AlertState.RAISED else _LOG.info)(text)
        about = self._walker.last_seq if self._walker is not None else 0
        rule = Reason.BAD_CHECKSUM if _UNREADABLE <= alert < _NO_HEAD else Reason.UNDEFINED
        self.alerts.append(
            Alert(
                scope_type=ScopeType.GLOBAL, alert=alert, about_seq=about, rule=rule,
                severity=AlertSeverity.ERROR, state=state, text=text[:_TEXT_MAX],
            )
        )  # fmt: skip
        self._tell()

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Seals are evidence, not the stream: without them it goes on, and somebody is told."""
        try:
            yield
        except (JournalError, OSError) as error:
            self._failed = True
            self._alert(_STOPPED, f"sealing has stopped, until the next start: {error}")
