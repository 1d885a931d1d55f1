"""Payments of funding: the venue's words to our message."""

from __future__ import annotations

from gateways.sim.decimals import NotExact, decimal_pair, mantissa
from gateways.sim.mapping import NS_PER_MS, Listing
from gateways.sim.wire import BadFrame, FundingRow, FundingUpdate
from journal.messages import Channel, Funding, VenueErrorCode

RATE_EXP = -12


def pushed_funding(push: FundingUpdate, listing: Listing, account: int, currencies: dict[str, int]) -> Funding:
    """The payment in a push."""
    f = push.f
    return _funding(
        listing, account, currencies, channel=Channel.ORDER_STREAM, rate=f.r, position=f.P, payment=f.n, asset=f.N,
        ts=push.T or push.E, seq=f.v,
    )  # fmt: skip


def downloaded_funding(row: FundingRow, listing: Listing, account: int, currencies: dict[str, int]) -> Funding:
    """A payment from the venue's list."""
    return _funding(
        listing, account, currencies, channel=Channel.DOWNLOAD, rate=row.funding_rate, position=row.position_amt,
        payment=row.income, asset=row.asset, ts=row.time, seq=0,
    )  # fmt: skip


def _funding(
    listing: Listing, account: int, currencies: dict[str, int], *, channel: Channel, rate: str, position: str, payment: str,
    asset: str, ts: int, seq: int,
) -> Funding:  # fmt: skip
    try:
        amount, exp = decimal_pair(payment)
        return Funding(
            rate=mantissa(rate, RATE_EXP), position_qty=mantissa(position, listing.qty_exp), payment=amount, payment_exp=exp,
            funding_ts=ts * NS_PER_MS, exchange_seq=seq, account=account, instrument=listing.instrument,
            currency=currencies.get(asset, 0), channel=channel,
        )  # fmt: skip
    except NotExact as error:
        raise BadFrame(VenueErrorCode.UNPARSED, "funding numbers", f"funding of {listing.symbol[:64]!r}: {error}") from None
