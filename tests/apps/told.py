"""Whoever changes an entry of a table says so before he does: for what is captured meanwhile must be what it was."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.app import App
from journal.messages.tables import Fixed, Table, look
from tests.apps.stream import Stream

_encode = msgspec.json.Encoder().encode  # of numbers of any size


class Told:
    """Watches one table. `note` is called after each frame."""

    def __init__(self, table: Fixed[Any, Any] | Table[Any, Any]) -> None:
        self.table = table
        self._told: set[Any] = set()
        self._known = self._now()
        table.watchers = (*table.watchers, self)

    def _now(self) -> dict[Any, bytes]:
        return {key: _encode(entry) for key, entry in look(self.table)}

    def before(self, key: Any) -> None:
        if key not in self._told:
            self._told.add(key)
            now = _encode(dict.__getitem__(self.table, key)) if key in self.table else None
            assert now == self._known.get(key), f"{key} was changed before it was told of"

    def before_all(self) -> None:
        for key in [*self._known, *self.table]:
            self.before(key)

    def note(self) -> None:
        before, self._known = self._known, self._now()
        unseen = {key for key in {*before, *self._known} - self._told if before.get(key) != self._known.get(key)}
        assert not unseen, "changed, and nobody told of it"
        self._told.clear()


def watch(stream: Stream, app: App) -> None:
    """From now on all tables that an app has now are watched, frame by frame."""
    watched = [Told(table) for table in app.parts()[1]]

    def poll() -> None:
        while (batch := stream.reader.poll(1)) is not None:
            stream.group.run(batch.buffer, batch.refs)
            for told in watched:
                told.note()

    stream._poll = poll  # type: ignore[method-assign]
