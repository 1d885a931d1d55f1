"""How long what has closed is kept, and the line in which it waits to leave."""

from __future__ import annotations

import msgspec

from journal.messages.tables import Fixed


class Keep(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What has closed leaves when so many have closed after it and so much of the stream's time has passed, both."""

    orders: int = 100_000
    ns: int = 600_000_000_000


class Line(msgspec.Struct, array_like=True):
    """Ids with the time of their end, oldest first. Each has a number, so that the front leaves without anyone moving up."""

    waiting: dict[int, tuple[int, int]] = {}
    """Number → (when, id)."""
    first: int = 0
    """Number of the oldest."""
    next: int = 0

    def __post_init__(self) -> None:
        self.waiting = Fixed.of(self.waiting)

    @property
    def table(self) -> Fixed[int, tuple[int, int]]:
        """Those who wait, as a table with a digest."""
        return Fixed.of(self.waiting)

    def bare(self) -> Line:
        """All but those who wait."""
        return Line({}, self.first, self.next)

    def add(self, now: int, of: int) -> int:
        """Join the end; the number."""
        number = self.next
        self.waiting[number] = (now, of)
        self.next += 1
        return number

    def due(self, keep: Keep, now: int) -> tuple[int, int, int] | None:
        """(number, when, id) at the front if its time to leave has come; it is out of the line then."""
        number = self.first
        if self.next - number <= keep.orders:
            return None
        when, of = self.waiting[number]
        if when + keep.ns > now:
            return None
        del self.waiting[number]
        self.first += 1
        return number, when, of
