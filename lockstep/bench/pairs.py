"""Two states of one thing compared on a machine that others use: in turns, pair by pair.

The machine itself has states, one twice as fast as another, that change within seconds. Both of a pair meet the same one, most
of the time, and the median of the pairs' ratios does not hear of the rest: where two medians told anything from 0.85 to 1.12 of
two equal things, it tells 1.00.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

Round = tuple[float, ...]
"""What one round measured, the same figures in each."""


def in_turns(rounds: int, measure: Callable[[], Round], switch: Callable[[bool], None]) -> tuple[list[Round], list[Round]]:
    """Rounds with the switch on and off, in pairs whose order changes: what drifts meets both. (on, off)."""
    found: dict[bool, list[Round]] = {True: [], False: []}
    for turn in range(rounds):
        for on in (True, False) if turn % 2 else (False, True):
            switch(on)
            found[on].append(measure())
    return found[True], found[False]


def medians(found: list[Round]) -> Round:
    """Of each figure."""
    return tuple(statistics.median(values) for values in zip(*found, strict=True))


def ratios(on: list[Round], off: list[Round]) -> Round:
    """Of each figure: the median of on / off, pair by pair."""
    return medians([tuple(a / b for a, b in zip(*pair, strict=True)) for pair in zip(on, off, strict=True)])
