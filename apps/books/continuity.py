"""Whether an update continues a book: the venue's numbers, judged without looking at prices.

Levels carry absolute quantities. An update therefore covers a stretch of the venue's numbers, (before, exchange_seq], and a
book at `last` may take it when the stretch begins at or before `last` and ends behind it. Right after a snapshot that is the
rule, since a snapshot is taken in the middle of some update's stretch. From then on each update must begin exactly where the
one before ended: an overlap would mean that the venue, or our decoding of it, is not what we think.
"""

from __future__ import annotations

APPLY = 0
"""The update continues the book."""
OLD = 1
"""The book contains it already: it was sent twice, or is older than the snapshot."""
GAP = 2
"""Something between the book and the update is missing."""
OVERLAP = 3
"""The update begins inside what the book contains, though one was joined before."""


def judge(*, last: int, joined: bool, prev: int, first: int, exchange_seq: int) -> int:
    """One of the verdicts above for a book at `last`; `joined`: an update followed the snapshot already.

    `prev` is the venue's number of the update before (0: not given), `first` the first number that the update covers (0: not
    given). A venue that gives neither offers no proof, and its updates are taken in the order in which they come.
    """
    if not prev and not first:
        return OLD if exchange_seq and exchange_seq <= last else APPLY
    before = prev or first - 1
    if exchange_seq <= last:
        return OLD
    if before == last or (before < last and not joined):
        return APPLY
    return GAP if before > last else OVERLAP
