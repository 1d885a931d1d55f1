"""What the risk engine holds of control: the latch of kills, trading states, bans, watches, limits that wait, violations.

One structure, the last field of the engine's memory; a stream that uses none of it has none of its bytes."""

from __future__ import annotations

import msgspec

from journal.messages import Scope
from journal.messages.keeping import Keep
from journal.messages.latch import Latch
from journal.messages.persons import APPROVAL_VALID_NS
from journal.messages.requests import Heard
from riskengine.limits import Limit

BAN_NS = 60_000_000_000
"""How long a ban by a limit lasts unless the configuration says otherwise."""
_SCOPE = Scope.__struct_fields__


class Watch(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A dead man's handle as configured ([watch.NAME]). Counts of missed intervals; 0: not done."""

    watch: int
    name: str
    source: int
    """Whose heartbeats count."""
    interval_ns: int
    strategy: int = 0
    """What is paused, canceled, killed: this strategy; 0: everything."""
    alert: int = 0
    pause: int = 0
    cancel_all: int = 0
    kill: int = 0


class Beat(msgspec.Struct, array_like=True):
    """A watch as it stands. It is armed by its first heartbeat."""

    seq: int = 0
    ts: int = 0
    missed: int = 0
    """Up to which number of missed intervals it has acted."""
    alerted: bool = False
    paused_seq: int = 0
    """The frame that paused; a person lifts it."""


class Rules(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Parameters of the engine's control, as the loader says them."""

    roles: list[tuple[int, int]] = []
    """(source, SourceRole) of those who may do what others may not."""
    second_person: bool | None = None
    approval_valid_ns: int = APPROVAL_VALID_NS
    approve_limits: bool = False
    violations: bool = False
    ban_ns: int = BAN_NS
    keep: Keep = Keep()
    """How long closed children and parents are kept."""
    watches: list[Watch] = []
    dead_men: list[tuple[int, int]] = []
    """(venue, ns): after so long without a sign of life the venue cancels everything."""


class Told(msgspec.Struct, array_like=True):
    """Violations of one kind: when one was last told, how many have come since, and the last of those."""

    ts: int
    count: int = 0
    body: bytes = b""


class Countdown(msgspec.Struct, array_like=True):
    """One connection to a venue and account, and the timer that is held through it."""

    venue: int
    account: int
    gateway: int
    """The source that serves it; 0: not known before it says something."""
    ready: bool = False
    armed: bool = False
    shut: bool = False
    """The venue is under maintenance."""
    told: bool = False
    """People know that the venue does not take it."""


class Control(msgspec.Struct, array_like=True):
    """The state."""

    latch: Latch = msgspec.field(default_factory=Latch)
    rules: Rules = msgspec.field(default_factory=Rules)
    states: dict[str, tuple[int, bytes]] = {}
    """scope → (frame, TradingStateSet); ACTIVE has no entry."""
    bans: dict[int, bytes] = {}
    """Frame of the Ban → its body."""
    beats: dict[int, Beat] = {}
    told: dict[str, Told] = {}
    acted: dict[str, int] = {}
    """limit/scope → until when its action is not done again."""
    former: dict[int, Limit] = {}
    """limit → what holds again when the time of its change is over."""
    kills: int = 0
    """Kills of our own so far; the next one's number is one more."""
    alerts: int = 0
    differences: list[int] = []
    """The newest frames that say how we and a venue differ: an approval of one is the OMS's business."""
    countdowns: dict[int, Countdown] = {}
    """By destination: the timers that venues have."""
    sweeps: int = 0
    """CancelAlls of our own so far; the next one's number is one more."""
    heard: Heard = msgspec.field(default_factory=Heard)
    """TradingStateSets by number."""


def scope_key(scope: Scope) -> str:
    """Equal for equal scopes."""
    return "/".join(str(getattr(scope, name)) for name in _SCOPE)


def scope_of(scope: Scope) -> dict[str, int]:
    """The scope's fields, to give to another message."""
    return {name: getattr(scope, name) for name in _SCOPE}
