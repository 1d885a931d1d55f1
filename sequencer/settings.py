"""What can be set of a sequencer, with the defaults that a small machine wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from journal.messages import FRAME_BYTES_MAX, SourceRole
from journal.segment import BLOCK_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN

Positive = Annotated[int, msgspec.Meta(ge=1)]
IDLE = {"spin": 1, "yield": 2, "spin-then-park": 3, "park": 4}
"""Names and enum lockstep_idle: how the loop waits. Spinning costs a core and answers in a fraction of a microsecond, parking
costs nothing and answers in some fifty."""


class RateLimit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How much one publisher may say. More than that waits in its ring; who waits for a whole window is banned."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    window_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]
    ban_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] = 0
    """0: it is only held back."""

    @property
    def per_second(self) -> int:
        """What it may keep up, rounded up: as it stands in SourceDefined."""
        return -(-self.count * 1000 // self.window_ms)


class SourceTuning(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[sequencer.sources.NAME]: what is set of one publisher."""

    rate_limit: RateLimit | None = None
    late_ms: Annotated[int, msgspec.Meta(ge=1, le=86_400_000)] | None = None
    """Messages whose origin is longer ago than this when they are sequenced have the flag LATE; None: none has."""
    ring_bytes: Annotated[int, msgspec.Meta(ge=1 << 12, le=1 << 30)] | None = None
    """Its ring; None: the sequencer's ring_bytes."""
    uid: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None
    """The user whose processes may attach as it; None: the sequencer's own."""
    kinds: list[int | str | tuple[int, int]] | None = None
    """Narrows what its role may publish; user-defined kinds are named here. Numbers, names, and pairs of first and last."""
    role: str | None = None
    """Of a publisher that is none of this system's apps and gateways."""

    def __post_init__(self) -> None:
        _power_of_two(self.ring_bytes)


class SequencerSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The [sequencer] table. Sizes in bytes, powers of two where a ring is meant."""

    idle: Literal["spin", "yield", "spin-then-park", "park"] = "spin-then-park"
    spin_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 50
    """spin-then-park: how long it spins before it sleeps."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=SEGMENT_BYTES_MIN, le=SEGMENT_BYTES_MAX, multiple_of=BLOCK_BYTES)] = 64 << 20
    """What the journal's writer takes."""
    ring_bytes: Annotated[int, msgspec.Meta(ge=1 << 12, le=1 << 30)] = 4 << 20
    clock_interval_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 100
    """A clock frame after this long without any other frame."""
    sync_interval_us: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 100
    """While frames flow, syncs start at least this far apart. About what a sync takes: whoever waits for `durable` waits for
    one sync, hardly for more; after a pause, for no other."""
    sync_lag_us: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 5_000
    """Frames that nobody waits for are on disk after so long at the most. Routed orders are synced at once, and everything as
    soon as a publisher sleeps. 0: everything at once, always."""
    batch_bytes: Annotated[int, msgspec.Meta(ge=64, le=FRAME_BYTES_MAX)] = 64 << 10
    """Taken from one ring before the next one has its turn. What a message (taken whole) has more, its next turns lack."""
    write_through: bool = True
    """New segments go to disk as zeros when they are prepared: each sync later is faster, each segment is written twice."""
    huge_pages: bool = False
    """Segments come into memory 2 MiB at a time instead of 64 KiB: half as much work for the kernel at millions of messages a
    second, but each sync of a quiet stream writes 2 MiB, which a durable acknowledgement waits for, and while more than 64 KiB
    come in a `sync_interval_us`, it waits until its 2 MiB are full."""
    telemetry: bool = True
    """Keep run/telemetry, which `lockstep top` reads."""
    clock_jump_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)] = 100
    """A step of the wall clock of more than this is told by a ClockJump frame."""
    stall_alert_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 500
    """The disk has not finished a sync for so long: an Alert frame, and a line on stderr."""
    disk_patience_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 5_000
    """The last segment is full and the disk gives no room for another: wait so long for some, then halt."""
    sources: dict[str, SourceTuning] = {}
    seal: bool = True
    """Seal full segments while running, and say so on the stream."""
    seal_key: str = ""
    """File of the key that signs seals and heads; empty: they are not signed."""
    head_file: str = ""
    """Append the stream's head to this file after each seal, every interval, and at the end; empty: nowhere."""
    head_interval_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 60
    cpu: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Pin the loop to this core."""

    def __post_init__(self) -> None:
        _power_of_two(self.ring_bytes)


def _power_of_two(ring_bytes: int | None) -> None:
    if ring_bytes is not None and ring_bytes & (ring_bytes - 1):
        raise ValueError(f"ring_bytes = {ring_bytes}: expected a power of two, e.g. {1 << ring_bytes.bit_length()}")


class SourceSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One publisher: its name, what it is, who may be it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    role: SourceRole
    uid: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None
    """The user whose processes may attach as this source; None: the sequencer's own."""
    kinds: Sequence[int | tuple[int, int]] | None = None
    """Narrows the role's grants; user-defined kinds are named here. None: what the role may."""
    ring_bytes: int | None = None
    """None: the sequencer's ring_bytes."""
    copies: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    """How many processes may be this source at once. They say the same under the same numbers: what comes first counts, what
    comes second is compared with it."""
