"""A stage for one app: hands it messages as frames would come, keeps what it says. Messages go through their bytes."""

from __future__ import annotations

import pytest

from apps.app import App
from journal.messages import REGISTRY, Message, SourceDefined, SourceRole


class Stage:
    SEQUENCER, GATEWAY, OTHER_GATEWAY, BOOKS, OMS = 0, 3, 4, 7, 8

    def __init__(self, app: App) -> None:
        self.app = app
        self.said: list[Message] = []
        self.seq = 0
        app._host = self
        app._uses = {}
        for cls in app.requires:
            app._uses[cls] = required = cls()
            required._host, required._uses = Stage.Mute(), {}
        roles = {
            self.GATEWAY: SourceRole.MARKET_DATA,
            self.OTHER_GATEWAY: SourceRole.MARKET_DATA,
            self.BOOKS: SourceRole.BOOKS,
        }
        for source, role in roles.items():
            self.frame(SourceDefined(source=source, role=role, name=f"source {source}"), self.SEQUENCER)

    class Mute:
        def emit(self, message: Message, flags: int, cause: int, origin_ts: int) -> None: ...

    def emit(self, message: Message, flags: int, cause: int, origin_ts: int) -> None:
        message.encode()  # what an app says must be sayable
        self.said.append(message)

    def frame(self, message: Message, source: int = GATEWAY) -> list[Message]:
        """One frame; returns what the app said in it."""
        self.seq += 1
        body = message.encode()
        before = len(self.said)
        for app in (*self.app._uses.values(), self.app):
            handler = app.handlers().get(message.KIND)
            if handler is not None:
                app.now, app.seq, app.source = self.seq * 1000, self.seq, source
                handler(REGISTRY[message.KIND].decode(memoryview(body), 0))
        return self.said[before:]


@pytest.fixture(scope="session")
def stage() -> type[Stage]:
    """`stage(App())` → a stage for that app."""
    return Stage
