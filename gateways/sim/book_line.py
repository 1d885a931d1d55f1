"""One instrument's depth stream: joined to a snapshot, then followed without a hole.

    WAITING --snapshot--> LIVE --gap--> WAITING          (docs/simulated-exchange.md, "Join rule")

While waiting, updates are kept; a snapshot older than all of them does not join and another one is asked for. Whatever this
line lets through, in order, rebuilds the venue's book: nothing is let through that does not follow from what went before.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from journal.messages import MarketByPriceUpdate

BUFFER_UPDATES_MAX = 10_000
"""Kept while waiting. The oldest go first: a snapshot that would have needed them is then found too old."""


class Gap(msgspec.Struct, frozen=True):
    """The update that did not follow: what had to come before it, and what it says came before it."""

    expected: int
    got: int
    snapshot_too_old: bool = False


class BookLine:
    """The join and continuity rules for one instrument, without any I/O."""

    def __init__(self) -> None:
        self.live = False
        self.last = 0
        """Id of the last update (or snapshot) that was let through."""
        self.verified = 0
        """Updates let through since the last snapshot."""
        self.duplicates = 0
        self._joining = False  # a snapshot was taken; the first update may straddle it
        self._kept: list[MarketByPriceUpdate] = []

    def reset(self) -> None:
        """The connection is gone: nothing of it may join the next one's."""
        self.live = self._joining = False
        self._kept.clear()

    def update(self, m: MarketByPriceUpdate) -> MarketByPriceUpdate | Gap | None:
        """An update from the stream: let through (returned), kept or dropped (None), or a gap found."""
        if not self.live:
            self._keep(m)
            return None
        step = self._step(m)
        if isinstance(step, Gap):
            self.reset()
            self._keep(m)
        return step

    def snapshot(self, last_update_id: int) -> Sequence[MarketByPriceUpdate] | Gap | None:
        """A snapshot: the kept updates that follow it; a Gap if they do not; None if it is not news."""
        if self.live and last_update_id <= self.last:
            return None
        before = (self.last, self.verified)
        self.last, self.live, self.verified, self._joining = last_update_id, True, 0, True
        # On a lossless connection this is the order of arrival; sorting makes a reordered one (V05) join as well.
        kept, self._kept = sorted(self._kept, key=lambda m: m.exchange_seq), []
        through: list[MarketByPriceUpdate] = []
        for at, m in enumerate(kept):
            step = self._step(m)
            if isinstance(step, Gap):
                self.last, self.verified = before
                self.live = self._joining = False
                # After a hole among the kept ones, only what stands behind it can follow a newer snapshot.
                self._kept = kept[at:]
                return Gap(step.expected, step.got, snapshot_too_old=not through)
            if step is not None:
                through.append(step)
        return through

    def _keep(self, m: MarketByPriceUpdate) -> None:
        self._kept.append(m)
        if len(self._kept) > BUFFER_UPDATES_MAX:
            del self._kept[0]

    def _step(self, m: MarketByPriceUpdate) -> MarketByPriceUpdate | Gap | None:
        """Let m through if it follows: its predecessor is `last`, or, as the first after a snapshot, it straddles it.

        An update carries absolute quantities, so one that begins inside the snapshot may be applied whole."""
        last = self.last
        if m.exchange_seq < last or (m.exchange_seq == last and not self._joining):
            self.duplicates += 1
            return None
        if m.prev_exchange_seq != last and not (self._joining and m.first_exchange_seq <= last + 1):
            return Gap(last, m.prev_exchange_seq)
        self.last, self._joining = m.exchange_seq, False
        self.verified += 1
        return m
