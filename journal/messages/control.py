"""Control kinds, 1-99: the stream speaking of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import (
    I64,
    NULL,
    U8,
    U16,
    U32,
    U64,
    Digest,
    Entry,
    Message,
    Ns,
    Seq,
    Ts,
    entry,
    message,
)
from journal.messages.scopes import Scope

NO_DIGEST = bytes(32)


@message(1)
class SessionStart(Message):
    """Opens every run: what runs, on which build, under which durability policy."""

    session: U64 = 0
    stream_id: U64 = 0
    prev_last_seq: Seq = 0
    mode: Annotated[U8, e.SessionMode] = 0
    durability: Annotated[U8, e.DurabilityPolicy] = 0
    replicas: U8 = 0
    build_digest: Digest = NO_DIGEST
    config_digest: Digest = NO_DIGEST
    schema_digest: Digest = NO_DIGEST
    name: str = ""
    version: str = ""
    host: str = ""


@message(2)
class SessionEnd(Message):
    """Clean stop; absent after a crash."""

    frames: U64 = 0
    reason: Annotated[U16, e.Reason] = 0
    chain_digest: Digest = NO_DIGEST


@message(3)
class EpochStart(Message):
    """A sequencer takes over; names its predecessor's end."""

    prev_last_seq: Seq = 0
    new_epoch: U32 = 0
    prev_epoch: U32 = 0
    node: U16 = 0
    cause_code: Annotated[U8, e.EpochCause] = 0
    prev_chain_digest: Digest = NO_DIGEST


@message(4)
class Clock(Message):
    """Idle tick; carries time onward."""

    wall_ts: Ts = 0
    mono_ns: Ns = 0


@message(6)
class ClockJump(Message):
    """The wall clock was stepped, by `after_ts` - `before_ts` - `mono_delta_ns`: before_ts is what it showed when it was last
    looked at, mono_delta_ns what has really passed since. Stands before the first frame that is stamped by the new time."""

    before_ts: Ts = 0
    after_ts: Ts = 0
    mono_delta_ns: Ns = 0


@message(7)
class SegmentSealed(Message):
    """A segment is full, on disk and sealed. The chain digest covers every byte of it and of all segments before."""

    first_seq: Seq = 0
    last_seq: Seq = 0
    segment: U32 = 0
    chain_digest: Digest = NO_DIGEST
    signature: str = ""


@message(9)
class RecoveryReport(Message):
    """What recovery cut, and that the rest was put aside."""

    kept_seq: Seq = 0
    cut_bytes: U64 = 0
    quarantined_bytes: U64 = 0
    segment: U32 = 0
    reason: Annotated[U16, e.Reason] = 0
    file: str = ""


@entry
class Grant(Entry):
    """A range of kinds, both ends included."""

    first: U16 = 0
    last: U16 = 0


@message(10)
class SourceDefined(Message):
    """Gives a publisher its number and its kinds. rate_limit: messages a second that it may keep up; 0: as many as it likes."""

    uid: U32 = 0
    rate_limit: U32 = 0
    source: U16 = 0
    node: U16 = 0
    role: Annotated[U8, e.SourceRole] = 0
    name: str = ""
    grants: Sequence[Grant] = ()


@message(11)
class SourceState(Message):
    """A publisher attached, detached, was put in quarantine."""

    last_source_seq: U64 = 0
    incarnation: U32 = 0
    source: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    state: Annotated[U8, e.SourceStateCode] = 0
    build_digest: Digest = NO_DIGEST


@message(12)
class SourceGap(Message):
    """A publisher skipped a number; it is in quarantine until it attaches anew."""

    expected_source_seq: U64 = 0
    got_source_seq: U64 = 0
    source: U16 = 0


@message(15)
class ConfigItem(Message):
    """One configuration value; a batch is closed by ConfigApplied. Secrets never."""

    generation: U32 = 0
    owner: U16 = 0
    scope: Annotated[U8, e.ConfigScope] = 0
    value_type: Annotated[U8, e.ValueType] = 0
    name: str = ""
    value: str = ""


@message(16)
class ConfigApplied(Message):
    """From here the new generation of the owner's configuration holds."""

    approval_seq: Seq = 0
    generation: U32 = 0
    items: U32 = 0
    owner: U16 = 0
    digest: Digest = NO_DIGEST


@message(20)
class StateDigest(Message):
    """Digest of an app's canonical state after `upto_seq`; replays compare it."""

    upto_seq: Seq = 0
    events: U64 = 0
    app: U16 = 0
    digest: Digest = NO_DIGEST


@message(21)
class SnapshotTaken(Message):
    """A restart point of an app: its state after `upto_seq`. Said by every host, whether it writes files or not."""

    upto_seq: Seq = 0
    size: U64 = 0
    """Of the state, in bytes; an entry of a table counts 256."""
    app: U16 = 0
    digest: Digest = NO_DIGEST
    """Of the state, as StateDigest says; not of a file's bytes."""
    state_schema_digest: Digest = NO_DIGEST
    file: str = ""


@message(22)
class Divergence(Message):
    """Two runs of one app disagree; the app halts. First differing seq."""

    at_seq: Seq = 0
    app: U16 = 0
    level: Annotated[U8, e.DivergenceLevel] = 0
    expected_digest: Digest = NO_DIGEST
    got_digest: Digest = NO_DIGEST
    field: str = ""


@message(24)
class ReplicaState(Message):
    """A follower is up, lagging, lost (R01): how far its disk is behind the stream."""

    acked_seq: Seq = 0
    lag_bytes: U64 = 0
    node: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    state: Annotated[U8, e.ReplicaStateCode] = 0
    name: str = ""


@message(26)
class StreamHalted(Message):
    """Last words of a sequencer that cannot go on."""

    os_error: I64 = 0
    reason: Annotated[U16, e.Reason] = 0


@message(30)
class Reject(Message):
    """BusinessMessageReject (35=j): why a message was not admitted. Repeats are counted; the content never enters."""

    for_source_seq: U64 = 0
    count: U32 = 0
    for_source: U16 = 0
    refused_kind: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    content_digest: Digest = NO_DIGEST


@message(31)
class Ban(Scope):
    """Roq RateLimitTrigger: a publisher, strategy or account may not publish or trade until then. `count` had come before."""

    until_ts: Ts = 0
    count: U32 = 0
    rule: U16 = 0


@message(32)
class BanLifted(Message):
    """A ban ended: by time, or by a named person."""

    ban_seq: Seq = 0
    reason: Annotated[U16, e.Reason] = 0


@message(33)
class AppState(Message):
    """An app recovers, is live, halted on a frame."""

    at_seq: Seq = 0
    app: U16 = 0
    restarts: U16 = 0
    reason: Annotated[U16, e.Reason] = 0
    state: Annotated[U8, e.AppStateCode] = 0


@message(34)
class ResourceState(Message):
    """A resource runs out, or has recovered: disk in bytes."""

    used: U64 = 0
    capacity: U64 = 0
    resource: Annotated[U8, e.Resource] = 0


__all__ = [
    "NO_DIGEST", "NULL", "AppState", "Ban", "BanLifted", "Clock", "ClockJump", "ConfigApplied", "ConfigItem",
    "Divergence", "EpochStart", "Grant", "RecoveryReport", "Reject", "ReplicaState", "ResourceState", "SegmentSealed",
    "SessionEnd", "SessionStart", "SnapshotTaken", "SourceDefined", "SourceGap", "SourceState", "StateDigest",
    "StreamHalted",
]  # fmt: skip
