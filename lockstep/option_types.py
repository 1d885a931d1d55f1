"""What an option takes, for argparse: a value that cannot be is one line and exit code 2, before anything is begun."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

SEQ_MAX = 2**63 - 1


def whole(low: int, high: int = SEQ_MAX) -> Callable[[str], int]:
    """A whole number within bounds, as the type of an option."""

    def parse(text: str) -> int:
        try:
            number = int(text) if text.isascii() else low - 1
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, {low} to {high}")
        return number

    return parse


def hours(text: str) -> float:
    """A time in hours."""
    return _time(text, "hours", 24 * 366)


def minutes(text: str) -> float:
    """A time in minutes."""
    return _time(text, "minutes", 60 * 24 * 366)


def _time(text: str, unit: str, most: int) -> float:
    """nan is never over, and neither is inf."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of {unit}, 0 to {most}")
    return number


def ring_bytes(text: str) -> int:
    """The size of a ring, as the configuration wants it."""
    number = whole(1 << 12, 1 << 30)(text)
    if number & (number - 1):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a power of two, e.g. {1 << number.bit_length()}")
    return number


def folder(text: str) -> Path:
    """A folder in which files can be made."""
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a folder that exists")
    if not os.access(text, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a folder that this user may write")
    return Path(text)
