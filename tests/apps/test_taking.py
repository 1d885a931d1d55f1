"""A live host takes snapshots between the frames that come: none waits for more than a piece, and it ends however many come."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

import apps.group
from apps.app import App
from apps.group import Group
from apps.ledger import Ledger
from apps.live import FRAMES_A_BATCH, FRAMES_A_PIECE, HostSettings, LiveHost
from apps.snapshots import Snapshots
from apps.taking import SnapshotWriter
from journal.messages import TopOfBook
from journal.messages.captures import Entries
from journal.messages.tables import Table, Tables
from journal.reader import JournalReader
from tests.apps.stream import Stream

FRAMES, ENTRIES, EVERY = 9_000, 1_000, 4096
_ENTRIES = Entries(int, list[int])


class Keeper(App):
    """Has a table, of which each frame changes an entry, removes one and adds one."""

    def __init__(self) -> None:
        self.table: Table[int, list[int]] = Table({n: [n] for n in range(ENTRIES)})

    def on_top_of_book(self, m: TopOfBook) -> None:
        self.table[self.seq + ENTRIES] = [m.bid_px]
        self.table.pop(self.seq, None)
        changed = self.table.get(self.seq * 7919 % (self.seq + ENTRIES))
        if changed is not None:
            changed.append(self.seq)

    def parts(self) -> tuple[bytes, Tables]:
        return b"", (self.table,)

    def assemble(self, rest: bytes, pieces: Sequence[Sequence[Any]]) -> None:
        self.table = Table({})
        _ENTRIES.fill(self.table, pieces[0])


@pytest.mark.parametrize("begins_at", [0, EVERY + 1])  # all frames are there already, or the last is that of the snapshot
def test_it_ends_while_frames_come_and_where_none_come(tmp_path, monkeypatch, begins_at):
    monkeypatch.setattr(apps.group, "SNAPSHOT_EVERY", EVERY)
    monkeypatch.setattr(Group, "mute_of", lambda *_: [])
    path = tmp_path / "j"
    stream = Stream(path)
    slot = stream.add("keeper", Keeper(), 2)
    for n in range(begins_at or FRAMES):
        stream.input(TopOfBook(instrument=1, bid_px=n))
    stream.close()

    complaints: list[str] = []
    host = LiveHost(path, ["keeper"], HostSettings(idle="park"))
    live = host.group.add("keeper", Keeper(), source=2, ledger=Ledger("keeper"))
    host.publishers = [SimpleNamespace(wait=lambda *_, **__: host.stop(), saw=lambda _: None, alive=True)]
    files = Snapshots(tmp_path / "files", 7, {"keeper": "k"})
    writer = SnapshotWriter(files, complaints.append)
    host.group.snapshot_sink = writer.sink(host.group)
    steps, go_on = [], writer.go_on

    def step() -> None:
        steps.append(host.group.seq)
        go_on()

    monkeypatch.setattr(writer, "go_on", step)
    with JournalReader(path) as reader:
        assert host._follow(reader, writer) == 0
        last = reader.written_seq
    assert live.digest() == slot.digest()
    taken = last // EVERY
    assert len(steps) > 4 * taken
    if begins_at:
        assert steps[-1] == last  # in idle time
    else:
        assert EVERY < steps[0] <= EVERY + FRAMES_A_BATCH + FRAMES_A_PIECE
        assert {b - a for a, b in pairwise(steps)} & {FRAMES_A_PIECE}
    writer.close()
    assert complaints == []

    group = Group()
    again = group.add("keeper", Keeper(), source=2, ledger=Ledger("keeper", None, 10**9))
    assert files.restore(group, [again], last) == taken * EVERY
    with JournalReader(path, from_seq=taken * EVERY + 1) as reader:
        while (batch := reader.poll()) is not None:
            group.run(batch.buffer, batch.refs)
    assert again.digest() == slot.digest()
