"""Kills, states, bans, violations and what waits for a second person, as a journal grows: for `lockstep top`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from journal.messages import (
    HEADER_BYTES,
    REGISTRY,
    AbsenceAction,
    Ban,
    BanLifted,
    Heartbeat,
    HeartbeatLost,
    KillLevel,
    Message,
    RiskCheck,
    ScopeType,
    TradingState,
    TradingStateSet,
    Violation,
)
from journal.messages.kills_in_force import KINDS as KILL_KINDS
from journal.messages.kills_in_force import KillsInForce
from journal.reader import JournalReader
from riskengine.controlled import scope_key

_KINDS = (Ban, BanLifted, Heartbeat, HeartbeatLost, TradingStateSet, Violation, *KILL_KINDS)


class Controls:
    """Folds what has come since the last look. Reads the journal, asks nobody."""

    def __init__(self, journal: Path) -> None:
        self._reader = JournalReader(journal, kinds=[cls.KIND for cls in _KINDS])
        self.in_force = KillsInForce()
        self.states: dict[str, TradingStateSet] = {}
        self.bans: dict[int, Ban] = {}
        self.lost: dict[int, int] = {}
        self.violations: Counter[str] = Counter()

    def look(self) -> dict[str, Any]:
        """What stands now."""
        while (batch := self._reader.poll()) is not None:
            for offset, kind, source, seq, ts in batch:
                self._take(REGISTRY[kind].decode(batch.buffer, offset + HEADER_BYTES), source, seq, ts)
        kills = self.in_force.kills
        return {
            "kills": {str(n): f"{KillLevel(m.level).name.lower()} of {_scope(m.scope_type)}" for n, m in kills.items()},
            "waiting": len(self.in_force.latch.persons.asked),
            "states": [f"{TradingState(m.state).name.lower()}: {_scope(m.scope_type)}" for m in self.states.values()],
            "bans": len(self.bans),
            "heartbeats_lost": {str(n): AbsenceAction(a).name.lower() for n, a in self.lost.items()},
            "violations": dict(self.violations.most_common()),
        }

    def _take(self, m: Message, source: int, seq: int, ts: int) -> None:
        if isinstance(m, Violation):
            self.violations[RiskCheck(m.check).name.lower()] += m.count
        elif isinstance(m, TradingStateSet):
            if m.state in (TradingState.REDUCING, TradingState.HALTED):
                self.states[scope_key(m)] = m
            else:
                self.states.pop(scope_key(m), None)
        elif isinstance(m, Ban) and source:
            self.bans[seq] = m
        elif isinstance(m, BanLifted):
            self.bans.pop(m.ban_seq, None)
        elif isinstance(m, HeartbeatLost):
            self.lost[m.watch] = m.action
        elif isinstance(m, Heartbeat):
            self.lost.pop(m.watch, None)
        else:
            self.in_force.take(m, source=source, seq=seq, ts=ts)

    def close(self) -> None:
        """Let go of the journal."""
        self._reader.close()


def _scope(scope_type: int) -> str:
    return "everything" if scope_type == ScopeType.GLOBAL else ScopeType(scope_type).name.lower()
