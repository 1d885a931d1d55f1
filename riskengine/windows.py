"""A rolling window in a bounded number of parts: what a long window holds must not grow with what happens in it.

A part that is partly older than the window counts whole: a window reaches up to one part too far back, never too short."""

from __future__ import annotations

import msgspec

PARTS = 32


class Part(msgspec.Struct, array_like=True):
    """One part of a window."""

    slot: int
    low: int
    high: int
    total: int


def note(parts: list[Part], now: int, period_ns: int, value: int) -> None:
    """A value comes; what is older than the window goes. `period_ns` 0: one part for ever."""
    slot = now // _width(period_ns) if period_ns else 0
    _forget(parts, now, period_ns)
    if parts and parts[-1].slot == slot:
        part = parts[-1]
        part.low, part.high, part.total = min(part.low, value), max(part.high, value), part.total + value
    else:
        parts.append(Part(slot, value, value, value))


def bounds(parts: list[Part], now: int, period_ns: int) -> tuple[int, int] | None:
    """Lowest and highest value of the window; None where it is empty."""
    held = _within(parts, now, period_ns)
    return (min(p.low for p in held), max(p.high for p in held)) if held else None


def total(parts: list[Part], now: int, period_ns: int) -> int:
    """Sum of the window's values."""
    return sum(p.total for p in _within(parts, now, period_ns))


def _width(period_ns: int) -> int:
    return -(-period_ns // PARTS)


def _within(parts: list[Part], now: int, period_ns: int) -> list[Part]:
    oldest = (now - period_ns) // _width(period_ns) if period_ns else 0
    return [p for p in parts if p.slot >= oldest]


def _forget(parts: list[Part], now: int, period_ns: int) -> None:
    oldest = (now - period_ns) // _width(period_ns) if period_ns else 0
    gone = sum(1 for p in parts if p.slot < oldest)
    del parts[:gone]
