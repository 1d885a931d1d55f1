"""What can be set of replication: who listens where, which followers there are, who may publish from afar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from journal.messages import Alert, ReplicaState

SOURCE = "replication"
"""The server's own source: it says how the followers stand."""
SOURCE_KINDS = (ReplicaState.KIND, Alert.KIND)


class FollowerSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[replication.follower.NAME]: a machine that may keep a replica."""

    node: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    """Its number on the stream."""
    required: bool = False
    """A frame counts as replicated when it is on the disks of all required followers."""


class RemotePublisherSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[replication.publisher.NAME]: a source that may be published from another machine."""

    role: str
    """What it may publish: a SourceRole's name."""
    certificate: str = ""
    """The name in the client's certificate; empty: NAME."""
    kinds: Sequence[int | tuple[int, int]] | None = None


class ReplicationSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The [replication] table."""

    listen: str
    """HOST:PORT."""
    certificate: str = ""
    key: str = ""
    authority: str = ""
    plaintext: bool = False
    """Allow connections without TLS from other machines too."""
    heartbeat_ms: Annotated[int, msgspec.Meta(ge=10, le=60_000)] = 1000
    silence_ms: Annotated[int, msgspec.Meta(ge=50, le=600_000)] = 5000
    """A peer that says nothing for longer is gone."""
    spin_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """How long a sender looks for new frames before it sleeps."""
    lag_alarm_ms: Annotated[int, msgspec.Meta(ge=10, le=600_000)] = 1000
    """A follower that has acknowledged nothing new for longer, while there is something, counts as lagging."""
    peers: Sequence[str] = ()
    """HOST:PORT of the other machines' servers: they are told our epoch, so that an old writer learns that it is one."""
    follower: dict[str, FollowerSettings] = {}
    publisher: dict[str, RemotePublisherSettings] = {}

    @property
    def required(self) -> list[str]:
        """Names of the followers whose disks count."""
        return [name for name, follower in self.follower.items() if follower.required]


def endpoint(text: str) -> tuple[str, int]:
    """HOST:PORT as two values; ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{text!r}: expected HOST:PORT, e.g. 127.0.0.1:7400")
    return host.strip("[]"), int(port)
