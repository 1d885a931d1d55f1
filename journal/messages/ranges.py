"""Numbers already used, as sorted disjoint ranges: a source that counts up costs one range for ever.

One that leaves holes costs a range a hole, up to `RANGES_MAX`; beyond that the lowest holes are closed, so that the numbers in
them count as used although they never were: whoever counts up will not miss them.
"""

from __future__ import annotations

from bisect import bisect_right

Ranges = list[list[int]]
"""[[first, last], …], both included, ascending, never touching."""

RANGES_MAX = 4096


def contains(ranges: Ranges, n: int) -> bool:
    """Whether a number was used. O(log ranges)."""
    i = bisect_right(ranges, n, key=lambda r: r[0]) - 1
    return i >= 0 and n <= ranges[i][1]


def add(ranges: Ranges, n: int) -> None:
    """Use a number. O(log ranges), O(ranges) when a new range opens in the middle."""
    i = bisect_right(ranges, n, key=lambda r: r[0])
    if i and n <= ranges[i - 1][1]:
        return
    after_previous = i > 0 and ranges[i - 1][1] + 1 == n
    before_next = i < len(ranges) and ranges[i][0] == n + 1
    if after_previous and before_next:
        ranges[i - 1][1] = ranges.pop(i)[1]
    elif after_previous:
        ranges[i - 1][1] = n
    elif before_next:
        ranges[i][0] = n
    else:
        ranges.insert(i, [n, n])
        if len(ranges) > RANGES_MAX:
            ranges[0][1] = ranges.pop(1)[1]


def reach(ranges: Ranges, first: int, last: int) -> None:
    """Use all numbers from `first` to `last`. O(ranges)."""
    low = bisect_right(ranges, first - 2, key=lambda r: r[1])
    high = bisect_right(ranges, last + 1, key=lambda r: r[0])
    if low < high:
        first, last = min(first, ranges[low][0]), max(last, ranges[high - 1][1])
    ranges[low:high] = [[first, last]]
