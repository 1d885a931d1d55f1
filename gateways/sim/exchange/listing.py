"""The one instrument that this exchange lists, and how the venue describes it (exchangeInfo)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from apps.venue.rules import FEE_EXP, Rules
from gateways.sim.exchange.numbers import mantissa, text_of
from gateways.sim.exchange.settings import BadSettings, ExchangeSettings

MarketKind = Literal["generated", "capture-futures", "capture-spot"]
QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "USD", "TRY", "JPY")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    base: str
    quote: str
    market: MarketKind
    rules: Rules

    def px(self, value: int) -> str:
        return text_of(value, self.rules.px_exp)

    def qty(self, value: int) -> str:
        return text_of(value, self.rules.qty_exp)

    def notional(self, value: int) -> str:
        """A sum of px * qty."""
        return text_of(value, self.rules.px_exp + self.rules.qty_exp)

    def fee(self, value: int) -> str:
        return text_of(value, FEE_EXP)

    def balance(self, notional: int, fees: int) -> str:
        return text_of(self.money(notional, fees), self.money_exp)

    @property
    def money_exp(self) -> int:
        return min(self.rules.px_exp + self.rules.qty_exp, FEE_EXP)

    def money(self, notional: int, fees: int) -> int:
        """A sum of px * qty and of fees, exact: a mantissa of `money_exp`."""
        exps = (self.rules.px_exp + self.rules.qty_exp, FEE_EXP)
        return sum(int(x * 10 ** (e - self.money_exp)) for x, e in zip((notional, fees), exps, strict=True))

    def px_mantissa(self, text: str) -> int:
        return mantissa(text, self.rules.px_exp)

    def qty_mantissa(self, text: str) -> int:
        return mantissa(text, self.rules.qty_exp)

    def info(self, now_ms: int) -> dict[str, Any]:
        rules = self.rules
        return {
            "timezone": "UTC",
            "serverTime": now_ms,
            "rateLimits": [],
            "symbols": [
                {
                    "symbol": self.symbol,
                    "status": "TRADING",
                    "baseAsset": self.base,
                    "quoteAsset": self.quote,
                    "marginAsset": self.quote,
                    "pricePrecision": -rules.px_exp,
                    "quantityPrecision": -rules.qty_exp,
                    "orderTypes": ["LIMIT", "MARKET"],
                    "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
                    "filters": [
                        {
                            "filterType": "PRICE_FILTER",
                            "minPrice": self.px(rules.tick),
                            "maxPrice": self.px(rules.max_px),
                            "tickSize": self.px(rules.tick),
                        },
                        {
                            "filterType": "LOT_SIZE",
                            "minQty": self.qty(rules.lot),
                            "maxQty": self.qty(rules.max_qty),
                            "stepSize": self.qty(rules.lot),
                        },
                    ],
                    "makerCommission": text_of(rules.maker_fee, FEE_EXP),
                    "takerCommission": text_of(rules.taker_fee, FEE_EXP),
                    "market": self.market,
                }
            ],
        }


def make_listing(
    settings: ExchangeSettings, *, symbol: str, market: MarketKind, px_exp: int, qty_exp: int, tick: int, lot: int
) -> Listing:
    """What the market has, overruled by what the settings say."""
    if settings.symbol is not None and settings.symbol != symbol:
        raise BadSettings(f"settings: symbol = {settings.symbol!r}: the capture has {symbol!r}")
    quote = settings.quote or next((q for q in QUOTES if symbol.endswith(q) and symbol != q), None)
    if quote is None:
        raise BadSettings(f"settings: quote is missing: it cannot be told from the symbol {symbol!r}")
    return Listing(
        symbol=symbol,
        base=settings.base or symbol.removesuffix(quote),
        quote=quote,
        market=market,
        rules=Rules(
            px_exp=px_exp if settings.px_exp is None else settings.px_exp,
            qty_exp=qty_exp if settings.qty_exp is None else settings.qty_exp,
            tick=settings.tick or tick,
            lot=settings.lot or lot,
            maker_fee=settings.maker_fee,
            taker_fee=settings.taker_fee,
        ),
    )


def generated_listing(settings: ExchangeSettings) -> Listing:
    listing = make_listing(
        settings, symbol=settings.symbol or "BTCUSDT", market="generated", px_exp=-2, qty_exp=-3, tick=10, lot=1
    )
    ticks = settings.start_px // listing.rules.tick
    if not 1_000 <= ticks <= 10**8:
        raise BadSettings(
            f"settings: start_px = {settings.start_px}: {ticks} ticks of {listing.rules.tick}, expected 1000 to 1e8"
        )
    return listing
