"""The sequencer's process: the loop's control plane.

The loop, the sync and the segment preparation are C and run in threads of their own without the GIL; what is Python sleeps in
one selector: publishers come and go over the socket, a signal ends it all. A publisher that is slow, hostile or dead costs
its own connection and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import socket
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from journal import logs
from journal.clock import Clock, SystemClock
from journal.errors import JournalError, JournalFenced
from journal.filesystem import sync_warning
from journal.kernel._journal import ffi as journal_ffi
from journal.messages import NO_DIGEST, DurabilityPolicy, Message, Reason, SessionEnd, SessionMode
from journal.notify import Heartbeat, Notifier, inherited_sockets
from journal.writer import JournalWriter, overtaken
from sequencer.attach import AttachError, socket_path
from sequencer.background import yield_to_the_stream
from sequencer.clock import LoopClock
from sequencer.flow import EXIT_HALTED, News, apply_limits, apply_settings, remember_bans
from sequencer.grants import GrantError
from sequencer.kernel._sequencer import ffi, lib
from sequencer.past import Past
from sequencer.publishers import Fenced, Publishers
from sequencer.rules import rule_table
from sequencer.scrubbing import Scrubbing
from sequencer.sealing import Sealing, sealed_message
from sequencer.session import ConfigurationError, Stamp, define_sources, learn, open_session
from sequencer.settings import IDLE, SequencerSettings, SourceSettings
from sequencer.telemetry import create

_EVENTFD = os.EFD_CLOEXEC | os.EFD_NONBLOCK
CONNECTIONS_MAX = 512
_LOG = logs.Log("sequencer")
SYNCS_SOON_US = 10_000
REFUSED = 2
"""Exit code for settings that cannot be used, and for a stream that goes on elsewhere: starting again is of no use
(apps/exits.py CONFIG)."""


class StreamEnded(RuntimeError):
    """The loop ended by itself: the writer failed."""


class Sequencer:
    """One journal's sequencer. `start`, `serve` until `stop` is called from anywhere, `close`."""

    def __init__(
        self,
        journal: Path,
        settings: SequencerSettings,
        sources: Sequence[SourceSettings],
        *,
        mode: SessionMode = SessionMode.LIVE,
        durability: DurabilityPolicy = DurabilityPolicy.DURABLE,
        config_digest: bytes = bytes(32),
        clock: Clock | None = None,
    ) -> None:
        self.journal = Path(journal)
        self.settings = settings
        self.sources = sources
        self.mode = mode
        self.durability = durability
        self.config_digest = config_digest
        self.end_reason = Reason.SHUTDOWN
        self.clock = clock or SystemClock()
        if not isinstance(self.clock, SystemClock | LoopClock):
            raise TypeError(f"clock {type(clock).__name__}; the loop, which is C, can read a SystemClock or a LoopClock")
        if settings.cpu is not None and settings.cpu not in os.sched_getaffinity(0):
            raise ConfigurationError(f"cpu {settings.cpu}; this process may run on {sorted(os.sched_getaffinity(0))}")
        self._socket_path = socket_path(self.journal)
        self._socket_inode = 0
        self._stop_fd = os.eventfd(0, _EVENTFD)
        self._fds: list[int] = [self._stop_fd]
        self._threads: list[threading.Thread] = []
        self._loop_thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._writer: JournalWriter | None = None
        self._sealing: Sealing | None = None
        self._scrubbing: Scrubbing | None = None
        self._activated = False
        self._keep: list[Any] = []
        self._loop: Any = None

    # ---- start

    def start(self) -> None:
        """Take the journal, open the session, run the loop, listen."""
        self._writer = writer = JournalWriter.open(
            self.journal,
            segment_bytes=self.settings.segment_bytes,
            write_through=self.settings.write_through,
            huge_pages=self.settings.huge_pages,
            by_index=True,
        )
        if warning := sync_warning(self.journal):
            _LOG.warning(warning)
        rates = {name: t.rate_limit.per_second for name, t in self.settings.sources.items() if t.rate_limit is not None}
        past = Past(self.journal, writer.passed)
        known, news = define_sources(past, self.sources, os.getuid(), rates)
        if strange := sorted(self.settings.sources.keys() - known.keys()):
            raise ConfigurationError(f"sequencer.sources.{strange[0]}: no such source; expected one of {', '.join(known)}")
        learn(past, known.values())
        apply_limits(self.settings, known.values())
        remember_bans(past, known.values(), self.clock.now_ns())
        if self.settings.seal:
            self._sealing = Sealing(self.journal, self.settings)
        chain_digest = self._sealing.catch_up() if self._sealing is not None else NO_DIGEST
        stamp = Stamp(writer, self.clock)
        open_session(
            stamp, news, mode=self.mode, durability=self.durability, config_digest=self.config_digest, chain_digest=chain_digest
        )
        if self._sealing is not None:
            for seal in self._sealing.untold():
                stamp.append(sealed_message(seal))
            while self._sealing.alerts:
                stamp.append(self._sealing.alerts.popleft())
        writer.sync()
        writer.prepare_next()  # ready means that the first roll finds its segment
        self._loop = loop = self._make_loop(writer)
        self._news = News(loop, self.journal, known.values())
        self._listener = self._listen(any(s.uid != os.getuid() for s in known.values()))
        if self.settings.telemetry:
            self._keep.append(create(self.journal, loop, known.values(), self.settings, self.clock.now_ns()))
        self.publishers = Publishers(loop, known, self.settings.ring_bytes, writer.epoch, self.journal.resolve(), self._command)
        self._run("sync", lambda: lib.lockstep_sync_run(loop))
        self._run("segments", self._prepare)
        if self._sealing is not None:
            self._sealing.start(writer, lambda: os.eventfd_write(loop.control_fd, 1))
        self._begin()
        self._scrubbing = Scrubbing(self.journal, writer.passed, lambda: os.eventfd_write(loop.control_fd, 1))
        self._scrubbing.start()
        logs.configure(position=lambda: (int(writer.epoch), int(loop.writer.last_seq)))
        _LOG.info("session opened", journal=self.journal, mode=self.mode.name, sources=len(known), idle=self.settings.idle)

    def _make_loop(self, writer: JournalWriter) -> Any:
        settings = self.settings
        rules, count = rule_table()
        loop = ffi.new("struct lockstep_loop *")
        loop.writer = ffi.cast("struct lockstep_writer *", int(journal_ffi.cast("uintptr_t", writer.c)))
        loop.rules, loop.rules_count = rules, count
        loop.idle, loop.spin_ns = IDLE[settings.idle], settings.spin_us * 1000
        loop.live = self.mode == SessionMode.LIVE
        loop.clock_interval_ns = settings.clock_interval_ms * 1_000_000
        loop.sync_interval_ns = settings.sync_interval_us * 1000
        loop.sync_lag_ns = settings.sync_lag_us * 1000
        loop.batch_bytes = settings.batch_bytes
        apply_settings(loop, settings)
        self._fds += [os.eventfd(0, _EVENTFD) for _ in range(4)]
        _, loop.wake_fd, loop.control_fd, loop.sync_fd, loop.segment_fd = self._fds
        # To wake a thread takes as long as ten messages, and the next one would wait for it. The thread that syncs wakes the
        # preparer as well: the loop does only where that may take long.
        if settings.sync_interval_us + settings.sync_lag_us > SYNCS_SOON_US:
            loop.writer.roll_fd = loop.segment_fd
        loop.seal_fd = self._sealing.wake_fd if self._sealing is not None else 0
        if isinstance(self.clock, LoopClock):
            loop.manual_ns = self.clock.cell
        self._keep += [rules, loop, self.clock]
        return loop

    def _run(self, name: str, target: Callable[[], Any]) -> threading.Thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def _begin(self) -> None:
        """The loop has a thread of its own."""
        self._loop_thread = self._run("sequencer", self._run_loop)

    def _prepare(self) -> None:
        yield_to_the_stream()  # there is a whole segment's time for the next one
        lib.lockstep_prepare_run(self._loop)

    def _run_loop(self) -> None:
        if self.settings.cpu is not None:
            os.sched_setaffinity(0, {self.settings.cpu})
        lib.lockstep_loop_run(self._loop)

    def _listen(self, others: bool) -> socket.socket:
        """Bind the socket. We hold the journal's lock, so a socket file that is there is a dead sequencer's."""
        path = self._socket_path
        path.parent.mkdir(mode=0o700, exist_ok=True)
        folder = os.lstat(path.parent)
        if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != os.getuid():
            raise ConfigurationError(f"{path.parent}: expected a folder of user {os.getuid()}, not a link or another user's")
        os.chmod(path.parent, 0o711 if others else 0o700)
        if (activated := self._inherited(path)) is not None:
            return activated
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise ConfigurationError(f"{path}: is no socket; remove it, the sequencer binds its socket there")
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        listener.bind(str(path))
        self._socket_inode = os.lstat(path).st_ino
        os.chmod(path, 0o666 if others else 0o600)
        listener.listen(64)
        return listener

    def _remove_socket(self) -> None:
        """Ours, and not that of a sequencer which has taken this journal over."""
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(self._socket_path).st_ino == self._socket_inode:
                self._socket_path.unlink()

    def _inherited(self, path: Path) -> socket.socket | None:
        """The service manager's socket, when it has opened one for us: it stays when we end, so publishers may wait in it."""
        found = inherited_sockets()
        for listener in found:
            name = listener.getsockname() if listener.family == socket.AF_UNIX else listener.family.name
            if listener.type != socket.SOCK_SEQPACKET or name != str(path):
                for other in found:
                    other.close()
                raise ConfigurationError(f"socket {name!r} from the service manager: expected ListenSequentialPacket={path}")
        if len(found) > 1:
            raise ConfigurationError(f"{len(found)} sockets from the service manager; expected one, for {path}")
        for listener in found:
            listener.setblocking(False)
            self._activated = True
        return found[0] if found else None

    # ---- the loop's mailbox

    def _command(self, command: int, lane: int, state: int = 0, reason: int = 0) -> None:
        """Give the loop a command and wait until it is done. StreamEnded if the loop is."""
        loop = self._loop
        lib.lockstep_loop_post(loop, command, lane, state, reason)
        self._await_obeyed()

    def _await_obeyed(self) -> None:
        loop = self._loop
        with selectors.DefaultSelector() as selector:
            selector.register(loop.control_fd, selectors.EVENT_READ)
            while True:
                # In this order: a loop that obeys and then ends says first that it has obeyed.
                ended = loop.ended
                if lib.lockstep_loop_done(loop) == loop.command_no:
                    break
                if ended:
                    raise StreamEnded(self._why())
                selector.select()
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(loop.control_fd)
        # Rings that died meanwhile, and a loop that ended, woke the same eventfd: look again.
        os.eventfd_write(loop.control_fd, 1)

    def _why(self) -> str:
        loop = self._loop
        code = -int(loop.error or loop.sync_error or loop.prepare_error)
        if code == errno.ESTALE and self._writer is not None:
            return overtaken(self.journal, self._writer.control, self._writer.epoch)
        what = "syncing" if loop.sync_error else "preparing a segment" if loop.prepare_error else "appending"
        found = os.strerror(code) if code else "ended"
        return f"{self.journal}: {found} while {what}; the stream ends at seq {loop.writer.last_seq}"

    # ---- serving

    @property
    def epoch(self) -> int:
        """Of this session."""
        assert self._writer is not None
        return self._writer.epoch

    def stop(self) -> None:
        """End `serve`. From any thread or a signal handler."""
        os.eventfd_write(self._stop_fd, 1)

    def progress(self) -> int:
        """Moves as long as the loop turns."""
        return int(lib.lockstep_loop_progress(self._loop))

    def knock(self) -> None:
        """Let a loop that sleeps turn once."""
        os.eventfd_write(self._loop.wake_fd, 1)

    def serve(self, heartbeat: Heartbeat | None = None) -> None:
        """Answer publishers until `stop`, or StreamEnded."""
        with selectors.DefaultSelector() as selector:
            self._watch(selector)
            while self._attend(selector, heartbeat.left_s() if heartbeat is not None else None):
                if heartbeat is not None:
                    heartbeat.tick()

    def _watch(self, selector: selectors.BaseSelector) -> None:
        assert self._listener is not None
        for watched in (self._stop_fd, self._loop.control_fd, self._listener):
            selector.register(watched, selectors.EVENT_READ)

    def _attend(self, selector: selectors.BaseSelector, timeout_s: float | None) -> bool:
        """Answer who has come or gone within the timeout. False: `stop` was called."""
        for key, _ in selector.select(timeout_s):
            if key.fd == self._stop_fd:
                return False
            if key.fd == self._loop.control_fd:
                self._look_at_loop(selector)
            elif key.fileobj is self._listener:
                self._accept(selector)
            else:
                self._hear(selector, key.fileobj)
        return True

    def _look_at_loop(self, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._loop.control_fd)
        self._tell_news()
        if self._loop.ended:
            raise StreamEnded(self._why())
        for connection in self.publishers.dead():
            self._hang_up(selector, connection)
        self._tell_of_seals()
        while self._scrubbing is not None and self._scrubbing.found:
            self._say(self._scrubbing.found.popleft().alert)

    def _tell_news(self) -> None:
        """To people. Before the end too: what led to it may be as new as that."""
        for line in self._news.lines():
            _LOG.warning(line)

    def _tell_of_seals(self) -> None:
        while self._sealing is not None and self._sealing.fresh:
            self._say(sealed_message(self._sealing.fresh[0]))
            self._sealing.fresh.popleft()
        while self._sealing is not None and self._sealing.alerts:
            self._say(self._sealing.alerts.popleft())

    def _say(self, message: Message) -> None:
        """Have the loop append a frame of the sequencer's own."""
        body = message.encode()
        lib.lockstep_loop_say(self._loop, message.KIND, ffi.from_buffer("uint8_t[]", body), len(body))
        self._await_obeyed()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(selector.get_map()) > CONNECTIONS_MAX:
            connection.close()
            return
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)

    def _hear(self, selector: selectors.BaseSelector, connection: Any) -> None:
        if connection.fileno() < 0:
            return
        if not self.publishers.hear(connection):
            self._hang_up(selector, connection)
            return
        for old in self.publishers.replaced():
            self._hang_up(selector, old)

    def _hang_up(self, selector: selectors.BaseSelector, connection: Any) -> None:
        selector.unregister(connection)
        self.publishers.gone(connection)
        connection.close()

    # ---- end

    def _say_the_end(self, stamp: Stamp) -> None:
        """The last frames: damage and seals that nobody was told of, and the end, which vouches for everything before it."""
        digest = NO_DIGEST
        while self._scrubbing is not None and self._scrubbing.found:
            stamp.append(self._scrubbing.found.popleft().alert)
        if self._sealing is not None:
            self._sealing.finish()
            while self._sealing.fresh:
                stamp.append(sealed_message(self._sealing.fresh.popleft()))
            while self._sealing.alerts:
                stamp.append(self._sealing.alerts.popleft())
            digest = self._sealing.finish()
        stamp.append(SessionEnd(frames=int(self._loop.frames), reason=self.end_reason, chain_digest=digest))

    def close(self, *, clean: bool = True) -> None:
        """Drain the rings, end the session, let go of the journal. clean=False: the writer failed, nothing can be appended.

        StreamEnded when the rings could not be drained: what is in them stays with the publishers.
        """
        undrained: StreamEnded | None = None
        if self._listener is not None:
            self._listener.close()
            if not self._activated:
                self._remove_socket()
        writer = self._writer
        try:
            if self._loop is not None and self._threads:
                self._loop.stop_wanted = 1
                try:
                    self._command(lib.LOCKSTEP_STOP, 0, 0, Reason.SHUTDOWN)
                except StreamEnded as error:
                    undrained = error if clean else None
                    clean = False
                if self._loop_thread is not None:
                    self._loop_thread.join()
                self._tell_news()
                lib.lockstep_prepare_end(self._loop)
                lib.lockstep_sync_end(self._loop)
                for thread in self._threads:
                    thread.join()
                if self._sealing is not None:
                    self._sealing.stop()
                if self._scrubbing is not None:
                    self._scrubbing.stop()
                if clean and writer is not None:
                    self._say_the_end(Stamp(writer, self.clock))
                self.publishers.close()
        finally:
            logs.forget_position()
            if writer is not None:
                writer.c.roll_fd = -1
                if clean:
                    writer.close()
                    if self._sealing is not None and self._threads:
                        self._sealing.last_head()
                else:
                    with contextlib.suppress(JournalError):
                        writer.close()
            if self._scrubbing is not None:
                self._scrubbing.stop()
            if self._sealing is not None:
                self._sealing.stop()
                self._sealing.close()
                self._sealing = None
            for fd in self._fds:
                os.close(fd)
            self._fds = []
        if undrained is not None:
            raise undrained


def run_sequencer(
    journal: Path,
    settings: SequencerSettings,
    sources: Sequence[SourceSettings],
    *,
    mode: SessionMode,
    durability: DurabilityPolicy,
    config_digest: bytes,
    ready: Callable[[], None] | None = None,
    clock: Clock | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; the exit code: 0 after a clean end. What went wrong is one line on stderr."""
    try:
        sequencer = Sequencer(
            journal, settings, sources, mode=mode, durability=durability, config_digest=config_digest, clock=clock
        )
    except (AttachError, ValueError) as error:
        return _fail(error)
    before = {s: signal.signal(s, lambda *_: sequencer.stop()) for s in (signal.SIGTERM, signal.SIGINT)}
    clean = True
    notifier = Notifier()
    try:
        try:
            sequencer.start()
            if ready is not None:
                ready()
            notifier.ready(f"journal {journal}, epoch {sequencer.epoch}, {len(sources)} sources")
            sequencer.serve(Heartbeat(notifier, sequencer.progress, sequencer.knock))
            notifier.stopping()
            _LOG.info("stopping: draining the rings")
        except StreamEnded as error:
            clean = False
            return _fail(error, EXIT_HALTED)
        except Fenced as error:
            sequencer.end_reason = Reason.STALE_EPOCH
            return _fail(error)
        finally:
            sequencer.close(clean=clean)
    except StreamEnded as error:
        return _fail(error, EXIT_HALTED)
    except (JournalError, ConfigurationError, GrantError, OSError, msgspec.MsgspecError) as error:
        return _fail(error)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _fail(error: Exception, code: int = 1) -> int:
    _LOG.error(str(error))
    return REFUSED if isinstance(error, ConfigurationError | GrantError | JournalFenced | Fenced) else code
