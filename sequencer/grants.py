"""Who may publish what: the default grants of the roles, as data.

A configuration may narrow them, source by source, and add user-defined kinds (10,000 and up) to the roles that may have
them; nothing else. So a strategy can never publish a fill, a risk pass or a routed order, the UI never a venue message, and a
venue gateway never an order of its own. Simulation kinds (900-999) are refused in a LIVE session whatever the grant says.
"""

from __future__ import annotations

from collections.abc import Iterable

from journal.messages import SourceRole as R
from journal.messages.schema import USER_KIND_MIN

KIND_MAX = 65_535

Kinds = tuple[int | tuple[int, int], ...]
"""Single kinds and ranges, both ends included."""

_LOG = (806,)
_CLIENT_ORDERS: Kinds = ((300, 308),)
_VENUE_POSITIONS: Kinds = (501, 502, 504, 520, 522, 523, 525, 526)

GRANTS: dict[R, Kinds] = {
    R.SEQUENCER: ((1, 14), (17, 19), (22, 32), 34, 804, 806, 811),
    R.SUPERVISOR: (5, 22, 24, 33, 34, 303, 326, 403, 407, 600, 804, 806, 809, 812),
    R.LOADER: (15, 16, (100, 119), 400, 521, 527, 608, 613, *_LOG),
    R.MARKET_DATA: (100, (106, 112), 119, (200, 211), (213, 290), (700, 702), (705, 709), (720, 724), *_LOG),
    R.TRADING: (100, 102, 106, 108, 111, 290, (327, 336), *_VENUE_POSITIONS, (700, 710), (720, 724), *_LOG),
    R.CLIENT: (290, *_CLIENT_ORDERS, 407, 540, 541, 700, 701, 709, (720, 724), 730, 803, *_LOG),
    R.BOOKS: ((20, 22), 33, 201, 208, 209, 212, 213, 520, 521, 612, 801, 804, *_LOG),
    R.OMS: ((20, 22), 33, 301, 308, (320, 326), (350, 370), 402, 406, 609, 703, 704, 801, 804, *_LOG),
    R.RISK: (
        (20, 22), (31, 33), 302, 303, 307, 323, 326, (401, 403), 405, 406, (408, 410), 801, 804, *_LOG,
    ),
    R.POSITIONS: (
        (20, 22), 33, 300, 325, (360, 363), 500, 503, 510, 511, 520, 524, 526, 530, 532, 540, 801, 804, *_LOG,
    ),
    R.ALGO: ((20, 22), 33, *_CLIENT_ORDERS, 355, 402, 407, (601, 604), 606, 607, (609, 613), 801, 804, *_LOG),
    R.OPERATOR: (
        14, 25, 32, (300, 305), 307, 308, 362, 400, (403, 405), 407, 524, 527, 531, 540, 600, 602, 605, 608, 611,
        (800, 803), (805, 807), 809,
    ),
    R.SINK: (541, 804, (806, 808), (810, 812), 907, 908),
    R.SIMULATOR: (
        (100, 119), (200, 211), (213, 290), *_CLIENT_ORDERS, (327, 336), *_VENUE_POSITIONS, 521, 613, (700, 710), *_LOG,
        (900, 908),
    ),
}  # fmt: skip

USER_KIND_ROLES = frozenset(R) - {R.UNDEFINED, R.SEQUENCER, R.SUPERVISOR, R.OPERATOR}
"""Roles to which user-defined kinds can be granted, one by one."""


class GrantError(ValueError):
    """A configured grant that its role cannot have."""


def ranges(kinds: Iterable[int | tuple[int, int] | list[int]]) -> list[tuple[int, int]]:
    """Kinds as ascending ranges that neither touch nor overlap."""
    pairs = sorted((k, k) if isinstance(k, int) else (k[0], k[1]) for k in kinds)
    out: list[tuple[int, int]] = []
    for first, last in pairs:
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out


def granted(role: R, kind: int) -> bool:
    """Whether the role's default grants name the kind."""
    return any(first <= kind <= last for first, last in ranges(GRANTS[role]))


def effective(name: str, role: R, kinds: Iterable[int | tuple[int, int] | list[int]] | None) -> list[tuple[int, int]]:
    """The ranges a source may publish: its role's, narrowed to `kinds` where given; user-defined kinds come only from there."""
    default = ranges(GRANTS[role])
    if kinds is None:
        return default
    out: list[tuple[int, int]] = []
    for first, last in ranges(kinds):
        if not 0 < first <= last <= KIND_MAX:
            raise GrantError(f"source {name}: kinds {first}-{last}; expected 1 <= first <= last <= {KIND_MAX}")
        if first >= USER_KIND_MIN:
            if role not in USER_KIND_ROLES:
                raise GrantError(f"source {name}: user-defined kinds {first}-{last} cannot be granted to role {role.name}")
            out.append((first, last))
            continue
        inside = [(max(first, a), min(last, b)) for a, b in default if a <= last and b >= first]
        if sum(b - a + 1 for a, b in inside) != last - first + 1:
            raise GrantError(
                f"source {name}: kinds {first}-{last} exceed what role {role.name} may publish; grants only narrow"
            )
        out += inside
    return ranges(out)


def bitmap(allowed: Iterable[tuple[int, int]]) -> bytes:
    """One bit per kind, 8 KiB: what the loop looks up."""
    bits = bytearray((KIND_MAX + 1) // 8)
    for first, last in allowed:
        for kind in range(first, last + 1):
            bits[kind >> 3] |= 1 << (kind & 7)
    return bytes(bits)
