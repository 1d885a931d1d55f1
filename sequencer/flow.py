"""Flow control's Python side: limits and bans from settings and journal, lock-outs of publishers that attach again and again,
and what the loop found, as lines for people.

The loop decides (sequencer/kernel/flow.h); what it decided is on the stream.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from journal.messages import Ban, BanLifted, Reason, ScopeType
from sequencer.past import Past
from sequencer.session import Source
from sequencer.settings import SequencerSettings

EXIT_HALTED = 8
"""The stream ended by itself: a failed sync, or a full disk. It stands in StreamHalted and on stderr."""

ATTACHES_FREE = 16
ATTACHES_WINDOW_S = 10.0
LOCKOUT_FIRST_S = 0.25
LOCKOUT_MOST_S = 60.0


def apply_settings(loop: Any, settings: SequencerSettings) -> None:
    """What the loop shall watch for."""
    flow = loop.flow
    flow.clock_jump_ns = settings.clock_jump_ms * 1_000_000
    flow.stall_alert_ns = settings.stall_alert_ms * 1_000_000
    flow.disk_patience_ns = settings.disk_patience_ms * 1_000_000
    flow.wake_at = 2**63 - 1


def apply_limits(settings: SequencerSettings, sources: Iterable[Source]) -> None:
    """Give every source the limits that are configured for it."""
    for source in sources:
        tuning = settings.sources.get(source.name)
        if tuning is not None and tuning.late_ms is not None:
            source.state.late_ns = tuning.late_ms * 1_000_000
        if tuning is not None and tuning.rate_limit is not None:
            limit = source.state.limit
            limit.count = tuning.rate_limit.count * source.copies  # each says everything
            limit.window_ns = tuning.rate_limit.window_ms * 1_000_000
            limit.ban_ns = tuning.rate_limit.ban_ms * 1_000_000


def remember_bans(past: Past, sources: Iterable[Source], now_ns: int) -> None:
    """A ban outlives the sequencer: what is left of it, by the wall clock, goes on."""
    by_id = {s.id: s for s in sources}
    bans: dict[int, tuple[int, Ban]] = {}
    for frame in past.frames(Ban.KIND, BanLifted.KIND):
        m = frame.message
        if isinstance(m, Ban) and m.scope_type == ScopeType.SOURCE and frame.header.source == 0:
            bans[m.scope_source] = frame.header.seq, m
        elif isinstance(m, BanLifted):
            bans = {number: ban for number, ban in bans.items() if ban[0] != m.ban_seq}
    for number, (seq, ban) in bans.items():
        if number in by_id:
            limit = by_id[number].state.limit
            limit.ban_seq = seq
            limit.banned_until = time.monotonic_ns() + max(0, ban.until_ts - now_ns)


class Lockout:
    """Who attaches more than ATTACHES_FREE times in ATTACHES_WINDOW_S is let in only after a while, which doubles each time."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._recent: dict[str, deque[float]] = {}
        self._strikes: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def locked_for_s(self, name: str) -> float:
        """Count an attempt; 0: it may attach, else how long it may not. Attempts during a lock-out change nothing."""
        now = self._now_s()
        until = self._until.get(name, 0.0)
        if now < until:
            return until - now
        recent = self._recent.setdefault(name, deque())
        while recent and now - recent[0] > ATTACHES_WINDOW_S:
            recent.popleft()
        if now - until > LOCKOUT_MOST_S:
            self._strikes.pop(name, None)
        if len(recent) < ATTACHES_FREE:
            recent.append(now)
            return 0.0
        strikes = self._strikes[name] = self._strikes.get(name, 0) + 1
        seconds = min(LOCKOUT_FIRST_S * 2.0 ** (strikes - 1), LOCKOUT_MOST_S)
        self._until[name] = now + seconds
        recent.clear()
        return seconds


class News:
    """What changed in the loop since the last look, as lines."""

    def __init__(self, loop: Any, journal: Path, sources: Iterable[Source]) -> None:
        self._loop = loop
        self._journal = journal
        self._sources = list(sources)
        self._disk_error = 0
        self._stalled = False
        self._drifts = False
        self._jumps = 0
        self._banned: set[str] = set()
        self._late: set[str] = set()
        self._differs: dict[str, int] = {}

    def lines(self) -> Iterator[str]:
        """Each change once."""
        loop, flow = self._loop, self._loop.flow
        code = -int(loop.prepare_error)
        if code != self._disk_error:
            self._disk_error = code
            if code:
                yield (
                    f"{self._journal}: {os.strerror(code)} while preparing a segment; the one being written is the last "
                    "(free some space; trying again every second)"
                )
            else:
                yield f"{self._journal}: the next segment is prepared again"
        if bool(flow.stalled) != self._stalled:
            self._stalled = bool(flow.stalled)
            state = "stands still: orders wait" if self._stalled else "goes on"
            yield f"{self._journal}: the disk {state}, durable up to seq {flow.durable_seen}"
        if bool(flow.drifts) != self._drifts:
            self._drifts = bool(flow.drifts)
            state = "does not keep pace with the monotonic clock" if self._drifts else "keeps pace again"
            yield f"{self._journal}: the wall clock {state}; stream time goes on"
        jumps, self._jumps = self._jumps, int(flow.jumps)
        if jumps != self._jumps and not self._drifts:
            yield f"{self._journal}: the wall clock was stepped (ClockJump, {self._jumps} in this run); stream time goes on"
        for source in self._sources:
            yield from self._about(source)

    def _about(self, source: Source) -> Iterator[str]:
        limit, differs = source.state.limit, int(source.state.turns.differs)
        if bool(limit.ban_seq) != (source.name in self._banned):
            if limit.ban_seq:
                self._banned.add(source.name)
                yield f"source {source.name}: banned for {limit.ban_ns // 1_000_000} ms, {Reason.PUBLISH_RATE.name}"
            else:
                self._banned.discard(source.name)
                yield f"source {source.name}: the ban is over"
        if source.state.late and source.name not in self._late:
            self._late.add(source.name)
            yield f"source {source.name}: messages are older than {source.state.late_ns // 1_000_000} ms when they come (LATE)"
        if differs != self._differs.get(source.name, 0):
            self._differs[source.name] = differs
            yield f"source {source.name}: {differs} messages came again and differ ({Reason.DUPLICATE_DIFFERS.name})"
