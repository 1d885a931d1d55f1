"""What one instrument allows at a venue, and its fees in exact integers."""

from __future__ import annotations

import msgspec

from journal.messages.enums import OrdType, Reason

FEE_EXP = -8  # fees are mantissas of 10**-8 of the quote asset
RATE_ONE = 10**8  # fee rates are in units of 1e-8 of the notional

MAX_QTY_LOTS = 100_000_000
MAX_PX_TICKS = 1_000_000_000


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """px_exp, qty_exp: value = mantissa * 10**exp. tick, lot: mantissas, positive."""

    px_exp: int = -2
    qty_exp: int = -3
    tick: int = 10
    lot: int = 1
    maker_fee: int = 0
    taker_fee: int = 0

    def __post_init__(self) -> None:
        assert self.tick > 0, self.tick
        assert self.lot > 0, self.lot

    @property
    def max_px(self) -> int:
        return self.tick * MAX_PX_TICKS

    @property
    def max_qty(self) -> int:
        return self.lot * MAX_QTY_LOTS

    def refusal(self, *, ord_type: OrdType, qty: int, px: int) -> Reason | None:
        """Why these numbers cannot be an order, or None."""
        if qty <= 0:
            return Reason.INVALID_QUANTITY
        if qty % self.lot:
            return Reason.QUANTITY_NOT_ON_LOT
        if qty > self.max_qty:
            return Reason.QUANTITY_ABOVE_MAXIMUM
        if ord_type == OrdType.MARKET:
            return Reason.INVALID_PRICE if px else None
        if not self.tick <= px <= self.max_px:
            return Reason.INVALID_PRICE
        if px % self.tick:
            return Reason.PRICE_NOT_ON_TICK
        return None

    def fee(self, *, px: int, qty: int, maker: bool) -> int:
        """Fee of one fill as a mantissa of FEE_EXP, rounded once, half away from zero."""
        # px * qty * 10**(px_exp + qty_exp) * rate * 1e-8, in units of 1e-8: the two powers of 8 cancel.
        amount = px * qty * (self.maker_fee if maker else self.taker_fee)
        exp = self.px_exp + self.qty_exp
        if exp >= 0:
            return int(amount * 10**exp)
        unit = int(10**-exp)
        rounded = (2 * abs(amount) + unit) // (2 * unit)
        return rounded if amount >= 0 else -rounded
