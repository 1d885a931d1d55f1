"""The live host: apps of one process at the tail of the journal, publishing through their rings.

On start it reads from the stream which class and parameters each name has, takes the newest good snapshots, steps through
the rest of the journal and publishes exactly what was not yet sequenced. From then on it is the same loop at the tail.
A lost sequencer is waited for; whatever it had not sequenced is published again, once.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import msgspec

from apps import exits, parting
from apps.discovery import DISCOVERY_KINDS, ConfigError, Discovery, build, load_class
from apps.group import Group, Slot
from apps.identity import code_of
from apps.ledger import Diverged, Ledger
from apps.pages import use_large_pages
from apps.snapshots import Snapshots, SnapshotUnfit
from apps.taking import SnapshotWriter
from journal import logs
from journal.errors import JournalError
from journal.frames import frames
from journal.messages import HEADER_BYTES, REGISTRY
from journal.notify import Heartbeat, Notifier
from journal.reader import JournalReader
from sequencer.attach import AttachError
from sequencer.client import Publisher, PublisherRefused

WAIT_S = 0.1
_LOG = logs.Log("host")
FRAMES_A_BATCH = 4096
FRAMES_A_PIECE = 128
"""While a snapshot is taken, a piece of it follows so many frames, or the next moment without one: two frames an entry. For
each entry of a table there are eight to the next snapshot (apps.group: ENTRY_BYTES / SNAPSHOT_BYTES_A_FRAME), so that one comes
to its end before, however many frames there are."""
SPIN_SLICE_NS = 1_000_000
"""A host that never sleeps looks for signals and a lost sequencer this often."""


class HostSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a host waits for frames, and where it runs. The names are the sequencer's."""

    idle: Literal["spin", "yield", "spin-then-park", "park"] = "spin-then-park"
    spin_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 50
    """spin-then-park: how long it spins before it sleeps."""
    cpu: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Pin the host to this core."""
    other_code: bool = False
    """Start from snapshots that other code left too: the way from one version of an app to the next without a replay."""

    @property
    def spin_ns(self) -> int:
        """How long one wait spins."""
        return {"spin-then-park": self.spin_us * 1000, "park": 0}.get(self.idle, SPIN_SLICE_NS)

    @property
    def parks(self) -> bool:
        """Whether it sleeps when nothing has come."""
        return self.idle in ("spin-then-park", "park")


class LiveHost:
    """Hosts the named apps on one journal until told to stop."""

    def __init__(self, journal: Path, names: list[str], settings: HostSettings | None = None, *, copy: int = 1) -> None:
        """`copy`: which of the processes that run the same apps at once; each has snapshots of its own."""
        self.journal = journal
        self.copy = copy
        self.names = names
        self.settings = settings or HostSettings()
        self.group = Group()
        self.publishers: list[Publisher] = []
        self.stopping = False
        self.notifier = Notifier()
        self._turns = 0
        self.heartbeat = Heartbeat(self.notifier, lambda: self._turns)

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Leave after the current batch. Fits `signal.signal`."""
        self.stopping = True

    def run(self) -> int:
        """Run until stopped; returns an exit code, 0 only when all is well."""
        cpu, mine = self.settings.cpu, os.sched_getaffinity(0)
        use_large_pages()
        try:
            if cpu is not None and cpu not in mine:
                raise ConfigError(f"cpu {cpu}; this process may run on {sorted(mine)}")
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            with contextlib.ExitStack() as stack:
                return self._run(stack)
        except ConfigError as error:
            return _complain(str(error), exits.CONFIG)
        except AttachError as error:
            return _complain(str(error), exits.UNREACHABLE)
        except PublisherRefused as error:
            return _complain(str(error), exits.REFUSED)
        except Diverged as error:
            self._leave(error)
            return _complain(str(error), exits.DIVERGED)

    def _leave(self, found: Diverged) -> None:
        """Where two run, the other one goes on: say at which event they parted."""
        slot = next(s for s in self.group.slots if s.name == found.app and s.ledger is not None)
        with contextlib.suppress(OSError, JournalError):
            parting.leave(
                parting.path_of(self.journal, self.names[0], self.copy), parting.parting(self.journal, slot.app.me, found)
            )

    def _run(self, stack: contextlib.ExitStack) -> int:
        known = self._known()
        for name in self.names:
            publisher = Publisher.connect(self.journal, name, build=_code_of(known, name))
            stack.callback(publisher.close)
            self.publishers.append(publisher)
        specs = known if all(map(known.named, self.names)) else self._discover()
        if specs is None:
            return exits.OK
        reader = JournalReader(self.journal)
        snapshots, restored = self._restored(specs, reader)
        if restored:
            reader.close()
            reader = JournalReader(self.journal, from_seq=restored + 1)
        stack.callback(reader.close)
        writer = SnapshotWriter(snapshots, lambda line: _LOG.error("snapshot not written", why=line))
        stack.callback(writer.close)
        self.group.snapshot_sink = writer.sink(self.group)
        logs.configure(position=lambda: (self.publishers[0].epoch, self.group.seq))
        stack.callback(logs.forget_position)
        _LOG.info("following the stream", apps=",".join(self.names), restored=restored or 0)
        self.notifier.ready(f"{', '.join(self.names)} on {self.journal}")
        return self._follow(reader, writer)

    def _fresh(self, specs: Discovery) -> list[Slot]:
        """The apps as they begin, in a group of their own."""
        self.group = Group()
        slots: list[Slot] = []
        for publisher, name in zip(self.publishers, self.names, strict=True):
            spec = specs.named(name)
            assert spec is not None
            ledger = Ledger(name, None, publisher.last_source_seq, publisher.send)
            slots.append(self.group.add(name, build(spec), source=spec.source, ledger=ledger, active_from=spec.active_from))
        return slots

    def _restored(self, specs: Discovery, reader: JournalReader) -> tuple[Snapshots, int]:
        """The apps as the newest good snapshots have them, and after which frame that is; 0: as they begin."""
        slots = self._fresh(specs)
        classes = {n: s.class_path for n in self.names if (s := specs.named(n))}
        snapshots = Snapshots.of(
            self.journal, reader.stream_id or 0, slots, classes, other_code=self.settings.other_code, copy=self.copy
        )
        restored = -1
        while restored < 0:
            try:
                restored = snapshots.restore(self.group, slots, reader.written_seq, self._time_of)
            except SnapshotUnfit:
                slots = self._fresh(specs)
        for line in snapshots.refused:
            _LOG.warning("snapshot passed over", why=line)
        for slot in slots if restored else ():
            assert slot.ledger is not None
            slot.ledger.resume()
        return snapshots, restored

    def _known(self) -> Discovery:
        """What the stream says already: who attaches says also which code it is."""
        found = Discovery()
        with contextlib.suppress(JournalError, OSError):
            found.fold(frames(self.journal, kinds=DISCOVERY_KINDS))
        return found

    def _time_of(self, seq: int) -> int:
        """When the journal's frame of this seq was; 0 where it has none."""
        with JournalReader(self.journal, from_seq=seq) as reader:
            batch = reader.poll(1)
            return next((ts for _, _, _, found, ts in batch or () if found == seq), 0)

    def _discover(self) -> Discovery | None:
        """Wait until the stream has completed the configuration of every app of this host."""
        reader = JournalReader(self.journal, kinds=DISCOVERY_KINDS)
        found = Discovery()
        try:
            while not self.stopping:
                batch = reader.poll()
                if batch is not None:
                    for offset, kind, _, seq, _ in batch:
                        found.handle(seq, REGISTRY[kind].decode(batch.buffer, offset + HEADER_BYTES))
                elif all(found.named(name) for name in self.names):
                    return found
                else:
                    self._idle(reader)
        finally:
            reader.close()
        return None

    def _follow(self, reader: JournalReader, writer: SnapshotWriter) -> int:
        # What is there now stays: the collector need not look through it again while a frame waits.
        gc.collect()
        gc.freeze()
        group, spin_ns, yields = self.group, self.settings.spin_ns, self.settings.idle == "yield"
        while not self.stopping:
            self._turns += 1
            self.heartbeat.tick()
            try:
                if writer.busy:
                    came = group.follow(reader, FRAMES_A_PIECE, 0, yields=False)
                    writer.go_on()
                else:
                    came = group.follow(reader, FRAMES_A_BATCH, spin_ns, yields=yields)
            except (Diverged, JournalError):
                raise
            except Exception:
                traceback.print_exc()
                return _complain(f"{', '.join(self.names)}: halted on the frame after seq {group.seq}", exits.POISON)
            if came:
                self._saw()
                continue
            if writer.busy:
                continue
            code = self._idle(reader)
            if code:
                return code
        self.notifier.stopping()
        return exits.OK

    def _saw(self) -> None:
        for publisher in self.publishers:
            publisher.saw(self.group.seq)

    def _idle(self, reader: JournalReader) -> int:
        """Nothing new: sleep until the sequencer says so; see to it that it is alive."""
        if self.settings.parks:
            self.publishers[0].wait(WAIT_S, unless=lambda: reader.written_seq >= reader.next_seq)
        for publisher in self.publishers:
            while not publisher.alive and not self.stopping:
                with contextlib.suppress(OSError, TimeoutError):
                    publisher.reconnect(timeout_s=1.0)
                    _LOG.info("attached again", source=publisher.name, epoch=publisher.epoch)
                    if reader.written_seq < self.group.seq:
                        return _complain(
                            f"{', '.join(self.names)}: the journal ends at seq {reader.written_seq}, this process has seen "
                            f"{self.group.seq}; starting again from the journal",
                            exits.BEHIND,
                        )
        return exits.OK


def _code_of(known: Discovery, name: str) -> str:
    spec = known.named(name)
    return code_of([load_class(spec.class_path)]).hex() if spec is not None else ""


def _complain(line: str, code: int) -> int:
    _LOG.error(line)
    return code


def run_apps(journal: Path, names: list[str], settings: HostSettings | None = None, *, copy: int = 1) -> int:
    """Host the named apps until SIGTERM or SIGINT."""
    host = LiveHost(journal, names, settings, copy=copy)
    signal.signal(signal.SIGTERM, host.stop)
    signal.signal(signal.SIGINT, host.stop)
    return host.run()
