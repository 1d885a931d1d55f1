"""What an account may have open, and how far a limit price may be from the market: Binance's rules, each off unless set.

A limit never stands in the way of an order that makes the account smaller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from gateways.sim.exchange.accounts import Account, Accounts, OrderRecord
from gateways.sim.exchange.listing import Listing
from gateways.sim.exchange.numbers import NotDecimal, TooManyDecimals, text_of
from gateways.sim.exchange.settings import BadSettings, ExchangeSettings
from journal.messages.enums import Side

ALL_BPS = 10_000
BPS_DECIMALS = 4
Refusal = tuple[int, str]
"""The venue's number, and its words."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """0: no such limit."""

    leverage: int = 0
    max_open_orders: int = 0
    max_position: int = 0  # quantity mantissa
    price_band_bps: int = 0

    def filters(self) -> list[dict[str, Any]]:
        """What exchangeInfo says of them."""
        found: list[dict[str, Any]] = []
        if self.price_band_bps:
            up, down = (text_of(ALL_BPS + d, -BPS_DECIMALS) for d in (self.price_band_bps, -self.price_band_bps))
            band = {"multiplierUp": up, "multiplierDown": down, "multiplierDecimal": str(BPS_DECIMALS)}
            found.append({"filterType": "PERCENT_PRICE", **band})
        if self.max_open_orders:
            found.append({"filterType": "MAX_NUM_ORDERS", "limit": self.max_open_orders})
        return found


NO_LIMITS = Limits()


def limits_of(settings: ExchangeSettings, listing: Listing) -> Limits:
    """The settings' limits, in the instrument's numbers."""
    try:
        max_position = listing.qty_mantissa(settings.max_position)
        if max_position < 0:
            raise NotDecimal(settings.max_position)
    except (NotDecimal, TooManyDecimals):
        raise BadSettings(
            f"settings: max_position = {settings.max_position!r}: expected decimal text from 0 on, "
            f"at most {-listing.rules.qty_exp} decimals"
        ) from None
    return Limits(
        leverage=settings.leverage,
        max_open_orders=settings.max_open_orders,
        max_position=max_position,
        price_band_bps=settings.price_band_bps,
    )


class Market(NamedTuple):
    """Prices as they are now; 0: there is none."""

    bid: int
    ask: int
    last: int


class Wanted(NamedTuple):
    """An order as it would be open. `more`: it would be one more of those that are."""

    side: Side
    qty: int
    px: int
    stop_px: int
    more: bool

    def notional(self, market: Market) -> int:
        """At the price it would trade at: a sale never below the bid, a market order at the other side's best."""
        px = self.px or self.stop_px or (market.ask if self.side == Side.BUY else market.bid)
        return self.qty * (px if self.side == Side.BUY else max(px, market.bid))


class Guard:
    """Looks at an order before it is let in."""

    def __init__(self, limits: Limits, listing: Listing, accounts: Accounts) -> None:
        self._limits = limits
        self._listing = listing
        self._accounts = accounts

    def refusal(self, account: Account, wanted: Wanted, market: Market, replaced: OrderRecord | None = None) -> Refusal | None:
        """Why it may not be open beside what is, or None. `replaced`: the open order whose place it would take."""
        current = self._accounts.open_orders(account.number)
        others = [o for o in current if o is not replaced]
        return (
            self._band(wanted, market.last)
            or self._count(wanted, others)
            or self._position(account, wanted, current, others)
            or self._margin(account, wanted, current, others, market)
        )

    def _band(self, wanted: Wanted, last_px: int) -> Refusal | None:
        """As Binance's PERCENT_PRICE: no buy too far above the last trade, no sale too far below."""
        band = self._limits.price_band_bps
        if not band or not wanted.px or not last_px:
            return None
        if wanted.side == Side.BUY and wanted.px * ALL_BPS > last_px * (ALL_BPS + band):
            return -4016, f"Limit price can't be higher than {self._listing.px(last_px * (ALL_BPS + band) // ALL_BPS)}."
        if wanted.side == Side.SELL and wanted.px * ALL_BPS < last_px * (ALL_BPS - band):
            return -4024, f"Limit price can't be lower than {self._listing.px(-(-last_px * (ALL_BPS - band) // ALL_BPS))}."
        return None

    def _count(self, wanted: Wanted, others: list[OrderRecord]) -> Refusal | None:
        most = self._limits.max_open_orders
        return (-2025, "Reach max open order limit.") if most and wanted.more and len(others) >= most else None

    def _position(
        self, account: Account, wanted: Wanted, current: list[OrderRecord], others: list[OrderRecord]
    ) -> Refusal | None:
        """The position if all that is open on the order's side were filled."""
        held = account.position if wanted.side == Side.BUY else -account.position
        before = held + sum(_leaves(o) for o in current if o.side == wanted.side)
        after = held + sum(_leaves(o) for o in others if o.side == wanted.side) + wanted.qty
        if not self._limits.max_position or after <= max(before, self._limits.max_position):
            return None
        return -2027, "Exceeded the maximum allowable position at current leverage."

    def _margin(
        self, account: Account, wanted: Wanted, current: list[OrderRecord], others: list[OrderRecord], market: Market
    ) -> Refusal | None:
        """Notional by leverage, against equity. Without leverage an order is paid for, not secured: other words, same rule."""
        leverage = self._limits.leverage
        close_px = (market.bid if account.position > 0 else market.ask) or market.last
        worth = account.position * close_px
        before = _exposure(worth, ((o.side, _notional(o)) for o in current))
        after = _exposure(worth, [*((o.side, _notional(o)) for o in others), (wanted.side, wanted.notional(market))])
        if not leverage or after <= before:
            return None
        if self._listing.money(after, 0) <= self._accounts.equity(account, close_px) * leverage:
            return None
        return (-2018, "Balance is insufficient.") if leverage == 1 else (-2019, "Margin is insufficient.")


def _exposure(worth: int, orders: Iterable[tuple[Side, int]]) -> int:
    """The worse of: all buys filled, all sales filled."""
    bought, sold = worth, worth
    for side, notional in orders:
        if side == Side.BUY:
            bought += notional
        else:
            sold -= notional
    return max(abs(bought), abs(sold))


def _leaves(order: OrderRecord) -> int:
    return order.order_qty - order.cum_qty


def _notional(order: OrderRecord) -> int:
    return _leaves(order) * (order.px or order.stop_px)
