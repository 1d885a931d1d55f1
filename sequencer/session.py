"""The beginning of a run: what the journal remembers of every source, and the frames that open a session.

Nothing but the journal is asked: ids, numbers, incarnations and epoch continue from it, so a sequencer can be killed at any
moment and started anywhere the journal is.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from journal.clock import Clock
from journal.messages import (
    NO_DIGEST,
    DurabilityPolicy,
    EpochCause,
    EpochStart,
    Grant,
    Message,
    Reason,
    RecoveryReport,
    SessionMode,
    SessionStart,
    SourceDefined,
    SourceRole,
)
from journal.messages.derive import schema_digest
from journal.writer import JournalWriter
from sequencer.grants import bitmap, effective
from sequencer.kernel._sequencer import ffi, lib
from sequencer.past import Past
from sequencer.remote.position import position_of
from sequencer.settings import SourceSettings

SOURCE_ID_MAX = 65_535


class ConfigurationError(ValueError):
    """Settings that name no possible sequencer."""


class Source(msgspec.Struct):
    """A configured publisher: its id on the stream, who may be it, and the loop's record of it."""

    id: int
    name: str
    role: SourceRole
    uid: int
    allowed: list[tuple[int, int]]
    state: Any
    """struct lockstep_source, shared with the loop."""
    ring_bytes: int | None = None
    """None: the sequencer's."""
    copies: int = 1
    """How many may be attached at once."""


def define_sources(
    past: Past, wanted: Sequence[SourceSettings], own_uid: int, rates: Mapping[str, int] | None = None
) -> tuple[dict[str, Source], list[SourceDefined]]:
    """Give every configured source the id it always had, or the next free one; also the definitions that are new or changed.
    `rates`: messages a second, of those that have a limit."""
    names = [s.name for s in wanted]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"source {name}: configured {names.count(name)} times; a name is one publisher")
    known: dict[str, SourceDefined] = {}
    for frame in past.frames(SourceDefined.KIND):
        if isinstance(frame.message, SourceDefined):
            known[frame.message.name] = frame.message
    next_id = max((d.source for d in known.values()), default=0) + 1
    sources: dict[str, Source] = {}
    news: list[SourceDefined] = []
    for settings in wanted:
        role = SourceRole(settings.role)
        if role in (SourceRole.UNDEFINED, SourceRole.SEQUENCER):
            raise ConfigurationError(f"source {settings.name}: role {role.name}; the sequencer is source 0 and no publisher")
        allowed = effective(settings.name, role, settings.kinds)
        uid = own_uid if settings.uid is None else settings.uid
        before = known.get(settings.name)
        number = before.source if before else next_id
        next_id += before is None
        if number > SOURCE_ID_MAX:
            raise ConfigurationError(f"source {settings.name}: all {SOURCE_ID_MAX} source ids of this stream are given out")
        definition = SourceDefined(
            uid=uid, rate_limit=(rates or {}).get(settings.name, 0), source=number, role=role, name=settings.name,
            grants=[Grant(a, b) for a, b in allowed],
        )  # fmt: skip
        if before is None or before.encode() != definition.encode():
            news.append(definition)
        state = ffi.new("struct lockstep_source *")
        state.source = number
        ffi.memmove(state.granted, bitmap(allowed), len(state.granted))
        sources[settings.name] = Source(number, settings.name, role, uid, allowed, state, settings.ring_bytes, settings.copies)
    return sources, news


def learn(past: Past, sources: Iterable[Source]) -> None:
    """Every source's numbering, from the journal: last number, last incarnation, what it may still name as its own cause, where
    a number that comes again is looked for."""
    by_id = {s.id: s.state for s in sources}
    for number, known in past.of(by_id.keys()).items():
        state = by_id[number]
        state.last_source_seq = state.first_source_seq = known.last_source_seq
        state.accepted_source_seq, state.accepted_seq = known.accepted_source_seq, known.accepted_seq
        state.incarnation = known.incarnation
        for at, (source_seq, seq) in known.numbers.items():
            state.own_source_seq[at], state.own_seq[at] = source_seq, seq
        for at, (source_seq, place) in enumerate(known.places):
            state.turns.first_source_seq[at], state.turns.place[at] = source_seq, place
        state.turns.count = len(known.places)


def build_digest() -> bytes:
    """BLAKE2b-256 over the product's sources as they are installed here. What a build generates (`_name.c`) is no source."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.blake2b(digest_size=32)
    for package in ("journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep"):
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".c", ".h") and not (path.suffix == ".c" and path.name.startswith("_")):
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.digest()


def product_version() -> str:
    """Of the installed distribution, or that there is none."""
    try:
        return metadata.version("lockstep")
    except metadata.PackageNotFoundError:
        return "not installed"


class Stamp:
    """Appends the sequencer's own frames while no loop runs: before it starts and after it has ended."""

    def __init__(self, writer: JournalWriter, clock: Clock) -> None:
        self.writer = writer
        self.clock = clock

    def append(self, message: Message) -> int:
        """Append with the next stream time; its seq."""
        now = self.clock.now_ns()
        return self.writer.append(message, ts=max(now, self.writer.last_ts + 1), origin_ts=now)


def open_session(
    stamp: Stamp,
    news: Iterable[SourceDefined],
    *,
    mode: SessionMode,
    durability: DurabilityPolicy,
    config_digest: bytes,
    chain_digest: bytes = NO_DIGEST,
) -> None:
    """EpochStart, SessionStart, RecoveryReport if something was cut, SourceDefined for what is new or changed."""
    writer = stamp.writer
    previous, last = writer.epoch, writer.last_seq
    epoch = writer.begin_epoch()
    # A promoted folder's page is ahead of its frames: it makes room for whatever the old writer may still have begun.
    end = position_of(writer.path, last)
    before = end.epoch if end else previous
    promoted = writer.control.c.role == lib.LOCKSTEP_ROLE_PROMOTED
    cause = EpochCause.FAILOVER if promoted else EpochCause.RESTART if last else EpochCause.FIRST_START
    stamp.append(
        EpochStart(
            prev_last_seq=last, new_epoch=epoch, prev_epoch=before, cause_code=cause, prev_chain_digest=chain_digest,
        )
    )  # fmt: skip
    writer.control.c.role = lib.LOCKSTEP_ROLE_WRITER
    stamp.append(
        SessionStart(
            session=epoch, stream_id=writer.stream_id, prev_last_seq=last, mode=mode, durability=durability, replicas=1,
            build_digest=build_digest(), config_digest=config_digest, schema_digest=schema_digest(), name="lockstep",
            version=product_version(), host=f"{platform.node()} {platform.machine()} pid {os.getpid()}",
        )
    )  # fmt: skip
    cut = writer.recovery
    if cut is not None:
        stamp.append(
            RecoveryReport(
                kept_seq=cut.kept_seq, cut_bytes=cut.cut_bytes, quarantined_bytes=cut.quarantined_bytes, segment=cut.segment,
                reason=Reason.MALFORMED, file=cut.files[0] if cut.files else "",
            )
        )  # fmt: skip
    for definition in news:
        stamp.append(definition)
