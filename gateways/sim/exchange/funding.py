"""Funding: what the longs of a perpetual pay its shorts, or the other way round: a rate of what the position is worth, at fixed
times."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.venue.rules import FEE_EXP, Rules
from gateways.sim.exchange.listing import Listing
from gateways.sim.exchange.numbers import text_of


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """One payment of an account. `payment`: mantissa of FEE_EXP; negative: it was charged."""

    time_ms: int
    rate: int
    """Mantissa of FEE_EXP; positive: longs pay."""
    position: int
    payment: int


def payment(rules: Rules, *, position: int, mark2: int, rate: int) -> int:
    """What a position brings, rounded half away from zero. `mark2`: the mark times two, so that a middle is exact."""
    # position * mark * 10**(px_exp + qty_exp) * rate * 1e-8, in units of 1e-8: the two powers of 8 cancel.
    amount = -position * mark2 * rate
    exp = rules.px_exp + rules.qty_exp
    unit = 2 * 10 ** max(-exp, 0)
    rounded = (2 * abs(amount) * 10 ** max(exp, 0) + unit) // (2 * unit)
    return int(rounded if amount >= 0 else -rounded)


def funding_json(listing: Listing, paid: Paid) -> dict[str, Any]:
    """A payment as `account.funding` shows it."""
    return {
        "symbol": listing.symbol,
        "time": paid.time_ms,
        "fundingRate": text_of(paid.rate, FEE_EXP),
        "positionAmt": listing.qty(paid.position),
        "income": listing.fee(paid.payment),
        "asset": listing.quote,
    }


def funding_push(listing: Listing, paid: Paid, number: int) -> bytes:
    """A payment as its account is told of it."""
    row = funding_json(listing, paid)
    told = {"s": row["symbol"], "r": row["fundingRate"], "P": row["positionAmt"], "n": row["income"], "N": row["asset"]}
    return msgspec.json.encode({"e": "FUNDING_FEE", "E": paid.time_ms, "T": paid.time_ms, "f": told | {"v": number}})
