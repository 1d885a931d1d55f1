"""What every campaign gives back."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Find(msgspec.Struct, frozen=True):
    """Something that must not be. `reproduce`: the command that shows it again; `kept`: what was kept of it, empty: nothing."""

    what: str
    reproduce: str
    kept: str = ""


class Outcome(msgspec.Struct):
    """A campaign's end: what was done, under which conditions, and what was found (nothing, when all is well)."""

    campaign: str
    conditions: dict[str, str | int | float]
    metrics: dict[str, int | float]
    finds: list[Find] = []


class Tell(Protocol):
    """Called now and then: how much is done, of how much (0: nobody knows), in words."""

    def __call__(self, done: float, total: float, text: str) -> None: ...
