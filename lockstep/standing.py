"""What stands, by the stream: limits in force and who set them, bans, what the risk engine was told of watches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from journal.frames import frames
from journal.messages import (
    Ban,
    BanLifted,
    ConfigApplied,
    ConfigItem,
    LimitAcknowledged,
    RiskLimitSet,
    SourceDefined,
    SourceRole,
)


class Standing(msgspec.Struct):
    """A limit in force."""

    terms: RiskLimitSet
    since_seq: int
    user: int = 0


def limits(path: Path) -> dict[int, Standing]:
    """Limits in force: the configuration's as it says them, people's from when the risk engine has acknowledged them."""
    found: dict[int, Standing] = {}
    asked: dict[int, RiskLimitSet] = {}
    operators: set[int] = set()
    for frame in frames(path, kinds=[SourceDefined.KIND, RiskLimitSet.KIND, LimitAcknowledged.KIND]):
        m = frame.message
        if isinstance(m, SourceDefined) and m.role == SourceRole.OPERATOR:
            operators.add(m.source)
        elif isinstance(m, RiskLimitSet):
            asked[frame.header.seq] = m
            if frame.header.source not in operators:
                found[m.limit] = Standing(m, frame.header.seq)
        elif isinstance(m, LimitAcknowledged):
            terms = asked.get(m.request_seq) or found[m.limit].terms
            until = terms.valid_until_ts if m.request_seq else 0
            terms = msgspec.structs.replace(
                terms, hard=m.hard, warn=m.warn, exp=m.exp, generation=m.generation, valid_until_ts=until
            )
            found[m.limit] = Standing(terms, frame.header.seq, m.user)
    return found


def bans(path: Path) -> dict[int, Ban]:
    """Bans of the risk engine that hold: frame → ban."""
    found: dict[int, Ban] = {}
    for frame in frames(path, kinds=[Ban.KIND, BanLifted.KIND]):
        m = frame.message
        if isinstance(m, Ban) and frame.header.source:
            found[frame.header.seq] = m
        elif isinstance(m, BanLifted):
            found.pop(m.ban_seq, None)
    return found


def watches(path: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """Name → what is configured of a watch, as the risk engine has it; and the sources' names."""
    found: dict[str, Any] = {}
    items: dict[int, list[Any]] = {}
    names: dict[int, str] = {}
    for frame in frames(path, kinds=[SourceDefined.KIND, ConfigItem.KIND, ConfigApplied.KIND]):
        m = frame.message
        if isinstance(m, SourceDefined):
            names[m.source] = m.name
        elif isinstance(m, ConfigItem) and m.name == "watches":
            items[m.owner] = json.loads(m.value)
        elif isinstance(m, ConfigApplied) and m.owner in items:
            found = {row["name"]: row for row in items.pop(m.owner)}
    return found, names
