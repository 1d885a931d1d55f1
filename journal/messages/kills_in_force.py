"""Kills in force, for who reads a whole journal and has no parameters of an app: gateways, `lockstep top`.

The rules of release (second person, how long an approval is waited for) are read from the configuration frames of the apps that
judge kills; otherwise it is their latch."""

from __future__ import annotations

import json
from typing import Any

from journal.messages.control import ConfigApplied, ConfigItem
from journal.messages.latch import Latch, SecondPerson
from journal.messages.operators import Approval, OperatorCommand
from journal.messages.persons import APPROVAL_VALID_NS
from journal.messages.reference import GroupDefined, UserDefined
from journal.messages.risk import KillRelease, KillSwitch
from journal.messages.schema import Message

KINDS = (UserDefined, GroupDefined, OperatorCommand, Approval, KillSwitch, KillRelease, ConfigItem, ConfigApplied)
_RULES = ("second_person", "approval_valid_ns")


class KillsInForce:
    """A latch, and the kills it holds."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.kills: dict[int, KillSwitch] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._judges: set[int] = set()

    def take(self, m: Message, *, source: int, seq: int, ts: int) -> bool:
        """One frame of KINDS; False: it is of none of them."""
        latch = self.latch
        if isinstance(m, KillSwitch):
            self.kills[-seq if m.kill in self.kills and self.kills[m.kill] != m else m.kill] = m
            latch.kill(m, source=source, role=0)
        elif isinstance(m, KillRelease):
            if not latch.release(m, source=source, seq=seq, now=ts).reason:
                self._end(m.kill)
        elif isinstance(m, Approval):
            wanted, reason = latch.approval(m, ts)
            if wanted is not None and not reason and wanted.kind == KillRelease.KIND:
                self._end(KillRelease.decode(wanted.body).kill)
        elif isinstance(m, UserDefined):
            latch.on_user_defined(m)
        elif isinstance(m, GroupDefined):
            latch.on_group_defined(m)
        elif isinstance(m, OperatorCommand):
            latch.on_operator_command(m, source, seq)
        elif isinstance(m, ConfigItem):
            if m.name in _RULES:
                self._items.setdefault(m.owner, {})[m.name] = json.loads(m.value)
                self._judges.add(m.owner)
        elif isinstance(m, ConfigApplied):
            if m.owner in self._judges:
                items = self._items.pop(m.owner, {})
                latch.second_person = SecondPerson.of(items.get("second_person"))
                latch.persons.valid_ns = items.get("approval_valid_ns", APPROVAL_VALID_NS)
        else:
            return False
        return True

    def _end(self, kill: int) -> None:
        self.kills = {key: m for key, m in self.kills.items() if m.kill != kill}


__all__ = ["KINDS", "KillsInForce"]
