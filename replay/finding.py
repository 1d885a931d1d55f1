"""Places as people name them: a seq (`500`), a time (`10:15:00.25`, `2026-11-21T10:15`), an order (`9.42`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from journal.errors import OperatingError
from journal.frames import frames, last_seq
from journal.index.locate import seq_at
from journal.messages import order_id_of
from journal.slices import begins_after
from journal.text import number_of
from journal.when import BadTime, parse_time

_DAY_NS = 86_400 * 10**9
_ORDER = re.compile(r"(\d{1,5})[.·](\d{1,15})", re.ASCII)


class NoSuchPlace(OperatingError, ValueError):
    """What was asked for is no place in the journal; says why, and what would be one."""


def order_id(text: str) -> int:
    """`9.42`, as orders are printed, or the number itself. NoSuchPlace for anything else."""
    if (match := _ORDER.fullmatch(text)) and int(match[1]) < 1 << 16 and int(match[2]) < 1 << 48:
        return order_id_of(int(match[1]), int(match[2]))
    number = number_of(text)
    if number is not None:
        return number
    raise NoSuchPlace(f"{text!r}: no order; expected SOURCE.NUMBER, as 9.42")


def find_seq(path: Path, text: str) -> int:
    """The frame meant: with this seq; the first one at this time or later; the first one about this order."""
    first, last = begins_after(path) + 1, last_seq(path)
    if re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
        if not first <= int(text) <= last:
            raise NoSuchPlace(f"{path}: seq {text} is not in the journal; it has {first} to {last}")
        return int(text)
    if _ORDER.fullmatch(text):
        found = next(frames(path, from_seq=first, orders=[order_id(text)]), None)
        if found is None:
            raise NoSuchPlace(f"{path}: no frame is about order {text}")
        return found.header.seq
    begin = next(frames(path, from_seq=first, to_seq=first), None)
    start = begin.header.ts if begin is not None else 0
    try:
        ts = parse_time(text, datetime.fromtimestamp(start // 10**9, UTC).date())
    except BadTime:
        raise NoSuchPlace(
            f"{text!r}: no place in a journal; expected a seq (500), a time (10:15:00, 2026-11-21T10:15) or an order (9.42)"
        ) from None
    if ts < start and "-" not in text:
        ts += _DAY_NS  # a journal that begins before midnight: the time of day that is in it
    seq = max(first, seq_at(path, ts))
    if seq > last:
        raise NoSuchPlace(f"{path}: ends before {text}, at seq {last}")
    return seq
