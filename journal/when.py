"""Times as people write them, to nanoseconds since 1970 UTC. Without a zone UTC is meant, everywhere."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from journal.errors import JournalError

_DATE = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_ZONE = r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?"
_WHOLE = re.compile(rf"{_DATE}(?:[Tt ]{_TIME}{_ZONE})?")
_OF_A_DAY = re.compile(rf"{_TIME}{_ZONE}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadTime(JournalError):
    """A text that is no time."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r}: expected a time such as 2026-11-21T10:15:00.5 or 10:15:00 (UTC unless a zone is given: Z, +01:00)"
        )


def parse_time(text: str, day: date | None = None) -> int:
    """`2026-11-21`, `2026-11-21T10:15[:00[.123456789]]`, `10:15:00` of the given day; each with `Z` or `+01:00` or nothing."""
    match = _WHOLE.fullmatch(text.strip()) or (_OF_A_DAY.fullmatch(text.strip()) if day is not None else None)
    if match is None:
        raise BadTime(text)
    part = match.groupdict()
    try:
        on = date(int(part["year"]), int(part["month"]), int(part["day"])) if part.get("year") else day
        assert on is not None
        hour, minute, second = (int(part.get(name) or 0) for name in ("hour", "minute", "second"))
        at = datetime(on.year, on.month, on.day, hour, minute, second, tzinfo=UTC) - _offset(part.get("zone") or "Z")
    except (ValueError, OverflowError):
        raise BadTime(text) from None
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int((part.get("fraction") or "").ljust(9, "0"))


def _offset(zone: str) -> timedelta:
    if zone in "Zz":
        return timedelta(0)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 14 or minutes > 59:
        raise ValueError(zone)
    return (1 if zone[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes)
