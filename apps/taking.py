"""Taking snapshots of a host that does not stop for them.

What is small is turned into bytes where the host stands, after the frame that a snapshot is of. Tables of many entries follow a
piece at a time (journal.messages.captures), between the frames that come next. A thread hashes the file, writes and syncs it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from apps.group import Group, Moment, Slot, SnapshotSink
from apps.snapshots import Head, Part, Snapshots
from journal.errors import JournalError
from journal.messages.captures import Capture
from journal.messages.tables import Tables

WAITING_MAX = 8
"""Files a host may have waiting for its disk; of more than that the newest are not written."""


class Taking:
    """One app's snapshot under way."""

    def __init__(self, snapshots: Snapshots, group: Group, slot: Slot, moment: Moment) -> None:
        self.app, self.seq = slot.name, moment.seq
        self._snapshots = snapshots
        self._moment = moment
        self._own = _Captured(*slot.parts(moment.parts))
        self._mute = {m.name: _Captured(*m.parts()) for m in group.mute_of(slot)}
        self._left = [c for part in (self._own, *self._mute.values()) for c in part.tables]

    def go_on(self) -> bool:
        """Encode a piece. False: all is encoded."""
        while self._left:
            if self._left[0].go_on():
                return True
            del self._left[0]
        return False

    def store(self) -> Path:
        """Write what is encoded."""
        seq, ts, digest, _ = self._moment
        head: Head = self._snapshots.head(
            self.app, seq, ts, digest, self._own.part(), {name: c.part() for name, c in self._mute.items()}
        )
        blocks = [block for part in (self._own, *self._mute.values()) for c in part.tables for block in c.blocks]
        return self._snapshots.store(head, blocks)


class _Captured:
    """The state of one slot."""

    def __init__(self, rest: bytes, tables: Tables) -> None:
        self.rest = rest
        self.tables = [Capture(table) for table in tables]

    def part(self) -> Part:
        return Part(self.rest, [c.sizes for c in self.tables])


def take(snapshots: Snapshots, group: Group, slot: Slot, moment: Moment) -> Path:
    """The whole at once, for who does not mind to stop."""
    taking = Taking(snapshots, group, slot, moment)
    while taking.go_on():
        pass
    return taking.store()


class SnapshotWriter:
    """Takes a host's snapshots. What cannot be taken or written is told to `complain`, and missed by nobody but the next
    restart.

    One that is due while that of an earlier frame is under way is not taken: so what has begun always comes to an end."""

    def __init__(self, snapshots: Snapshots, complain: Callable[[str], None]) -> None:
        self.snapshots = snapshots
        self._complain = complain
        self._under_way: list[Taking] = []
        self._waiting: queue.Queue[Taking | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._write, name="snapshots", daemon=True)
        self._thread.start()

    def sink(self, group: Group) -> SnapshotSink:
        """For `Group.snapshot_sink`."""

        def begin(slot: Slot, moment: Moment) -> None:
            former = next((t.seq for t in self._under_way if t.app == slot.name), 0)
            if former:
                self._complain(f"{slot.name}: no snapshot of seq {moment.seq}: that of {former} is still being taken")
            else:
                self._under_way.append(Taking(self.snapshots, group, slot, moment))

        return begin

    @property
    def busy(self) -> bool:
        """Whether there is something to go on with."""
        return bool(self._under_way)

    def go_on(self) -> None:
        """Encode a piece of what is under way."""
        taking = self._under_way[0]
        if taking.go_on():
            return
        del self._under_way[0]
        try:
            self._waiting.put_nowait(taking)
        except queue.Full:
            self._complain(f"{taking.app}: no snapshot of seq {taking.seq}: {WAITING_MAX} are waiting for the disk")

    def _write(self) -> None:
        while (taking := self._waiting.get()) is not None:
            try:
                taking.store()
            except (JournalError, OSError) as error:
                self._complain(f"{taking.app}: no snapshot of seq {taking.seq}: {error}")

    def close(self) -> None:
        """Finish what is under way, write what is waiting, and end."""
        while self.busy:
            self.go_on()
        self._waiting.put(None)
        self._thread.join()
