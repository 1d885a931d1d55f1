"""Payments of funding: which are known, and what of one is whose."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apps.valuation import div_half_away
from journal.messages import Funding

KNOWN_MOST = 64
"""Payments remembered of an account and instrument: three weeks of those that come every eight hours."""


class Payments(msgspec.Struct, array_like=True):
    """The last payments of each `account/instrument`, by their time, oldest first; in ledger units."""

    known: dict[str, dict[int, int]] = {}

    def take(self, m: Funding, payment: int) -> int | None:
        """What it was when it was told before; None: it is news, and is known from now on. One that is older than all that are
        remembered is as it was."""
        told = self.known.setdefault(f"{m.account}/{m.instrument}", {})
        if m.funding_ts in told:
            return told[m.funding_ts]
        if len(told) == KNOWN_MOST:
            if m.funding_ts < min(told):
                return payment
            del told[min(told)]
        told[m.funding_ts] = payment
        self.known[f"{m.account}/{m.instrument}"] = dict(sorted(told.items()))
        return None


def shares(payment: int, held: Sequence[int], charged: int) -> tuple[list[int], int]:
    """What of a payment each of these positions gets, as it is of what was charged; and what is left for none of them. Where
    they are all that was charged, the last one gets what the others lost in rounding."""
    if not charged:
        return [0] * len(held), payment
    sign = 1 if charged > 0 else -1
    found = [div_half_away(payment * qty * sign, abs(charged)) for qty in held]
    left = payment - sum(found)
    if found and sum(held) == charged:
        found[-1], left = found[-1] + left, 0
    return found, left
