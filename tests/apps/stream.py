"""A stream in one process for tests of apps: appends inputs, steps a group, sequences what it says."""

import sys
from collections import deque

from apps.group import Group
from apps.ledger import Ledger
from journal.frames import frames
from journal.messages import REGISTRY, Flag
from journal.reader import JournalReader
from journal.writer import JournalWriter

MANY = 20 if "sanitized" in sys.modules else 100
"""Examples of a property: under sanitizers each takes five times as long."""


class Stream:
    def __init__(self, path, *, step=1_000_000):
        self.path = path
        self.writer = JournalWriter.open(path, stream_id=7, nonce=7, segment_bytes=1 << 20)
        self.reader = JournalReader(path)
        self.group = Group()
        self.step = step
        self.ts = 1_000_000_000
        self.numbers = {}
        self.said = deque()

    def add(self, name, app, source, *, active_from=0):
        ledger = Ledger(name, lambda e: self.said.append((source, e)))
        return self.group.add(name, app, source=source, ledger=ledger, active_from=active_from)

    def input(self, message, *, source=1, ts=None, cause=0, flags=Flag.LAST):
        self.ts = ts if ts is not None else self.ts + self.step
        self.numbers[source] = self.numbers.get(source, 0) + 1
        seq = self.writer.append(message, ts=self.ts, source=source, source_seq=self.numbers[source], cause=cause, flags=flags)
        self.settle()
        return seq

    def settle(self):
        self._poll()
        while self.said:
            source, e = self.said.popleft()
            self.ts += 1
            self.writer.append_bytes(
                e.kind, e.version, e.body, ts=self.ts, source=source, source_seq=e.source_seq,
                cause=e.cause, origin_ts=e.origin_ts, flags=e.flags,
            )  # fmt: skip
            self._poll()

    def _poll(self):
        while (batch := self.reader.poll()) is not None:
            self.group.run(batch.buffer, batch.refs)

    def messages(self, *classes):
        kinds = [c.KIND for c in classes] or list(REGISTRY)
        return [f.message for f in frames(self.path, kinds=kinds)]

    def close(self):
        self.reader.close()
        self.writer.close()


def replay(path, *apps, publish=None, published=0):
    """The same apps over a finished journal: (group, slots). `apps`: (name, app, source)."""
    group = Group()
    slots = [group.add(n, a, source=s, ledger=Ledger(n, publish, published)) for n, a, s in apps]
    with JournalReader(path) as reader:
        while (batch := reader.poll()) is not None:
            group.run(batch.buffer, batch.refs)
    return group, slots
