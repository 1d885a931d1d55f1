"""The terms of an order: each that does not fit has its reason, and its boundary."""

from __future__ import annotations

from typing import Any

import pytest
from risk_recorder import ACCOUNT, GATEWAY, INSTRUMENT, SECOND, USD, VENUE, RiskRecorder, listed, outcome, result, why

from journal.messages import (
    NULL,
    AccountDefined,
    AccountType,
    CheckResult,
    ContractType,
    ExecInst,
    MarginMode,
    MarginTable,
    MarginTier,
    MarketStatus,
    OrdStatus,
    OrdType,
    PositionEffect,
    QuantityType,
    Reason,
    RiskCheck,
    Side,
    StpMode,
    TimeInForce,
    TradingStatus,
    TrailType,
    Trigger,
    TriggerDirection,
    VenueDefined,
)
from journal.messages.capabilities import Handling

POST_ONLY, REDUCE = int(ExecInst.PARTICIPATE_DO_NOT_INITIATE), int(ExecInst.DO_NOT_INCREASE)
TRAIL = {"ord_type": OrdType.TRAILING_STOP, "px": NULL, "stop_px": 4900}
NOW = 1_000 * SECOND


def world(**instrument: Any) -> RiskRecorder:
    return RiskRecorder().open_world(**instrument)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"display_qty": 10}, 0),
        ({"display_qty": 100}, 0),
        ({"display_qty": 110}, Reason.INVALID_DISPLAY_QUANTITY),
        ({"display_qty": 0}, Reason.INVALID_DISPLAY_QUANTITY),
        ({"display_qty": 15}, Reason.INVALID_DISPLAY_QUANTITY),  # no lot
        ({"display_qty": 0, "exec_inst": int(ExecInst.HIDDEN)}, 0),
        ({"display_qty": 10, "exec_inst": int(ExecInst.HIDDEN)}, Reason.INVALID_DISPLAY_QUANTITY),
        ({"ord_type": OrdType.ICEBERG}, Reason.INVALID_DISPLAY_QUANTITY),
        ({"ord_type": OrdType.ICEBERG, "display_qty": 10}, 0),
        ({"min_qty": 100}, 0),
        ({"min_qty": 101}, Reason.INVALID_QUANTITY),
        ({"min_qty": -1}, Reason.INVALID_QUANTITY),
        ({"quantity_type": QuantityType.CONTRACTS}, 0),
        ({"quantity_type": QuantityType.PERCENT_OF_POSITION}, Reason.INVALID_QUANTITY_TYPE),
        ({"quantity_type": 99}, Reason.INVALID_QUANTITY_TYPE),
        ({"stop_px": 5000}, Reason.INVALID_STOP_OR_TRIGGER),  # a limit order has none
        ({"ord_type": OrdType.STOP, "px": NULL, "stop_px": 5000}, 0),
        ({"ord_type": OrdType.STOP, "px": NULL}, Reason.INVALID_STOP_OR_TRIGGER),
        ({"ord_type": OrdType.STOP, "px": NULL, "stop_px": 5000, "trigger": Trigger.TIME}, 0),
        ({"ord_type": OrdType.STOP, "px": NULL, "stop_px": 5000, "trigger": 11}, Reason.INVALID_STOP_OR_TRIGGER),
        (TRAIL | {"trail_offset": 1, "trail_type": TrailType.TICKS}, 0),
        (TRAIL | {"trail_offset": 0, "trail_type": TrailType.TICKS}, Reason.INVALID_TRAILING_OFFSET),
        (TRAIL | {"trail_offset": 1}, Reason.INVALID_TRAILING_OFFSET),
        (TRAIL | {"trail_offset": 1, "trail_type": 5}, Reason.INVALID_TRAILING_OFFSET),
        ({"trail_offset": 1, "trail_type": TrailType.TICKS}, Reason.INVALID_TRAILING_OFFSET),  # a limit order has none
        ({"tif": 14}, Reason.INVALID_TIME_IN_FORCE),
        ({"tif": TimeInForce.GTD}, Reason.INVALID_EXPIRE_TIME),
        ({"tif": TimeInForce.GTD, "expire_ts": NOW + SECOND}, 0),
        ({"tif": TimeInForce.GTD, "expire_ts": NOW}, Reason.INVALID_EXPIRE_TIME),
        ({"release_ts": NOW + SECOND}, 0),
        ({"release_ts": NOW + SECOND, "tif": TimeInForce.GTD, "expire_ts": NOW + SECOND + 1}, 0),
        ({"release_ts": NOW + SECOND, "tif": TimeInForce.GTD, "expire_ts": NOW + SECOND}, Reason.INVALID_RELEASE_TIME),
        ({"exec_inst": 1 << 30}, Reason.INVALID_EXEC_INST),
        ({"exec_inst": POST_ONLY, "tif": TimeInForce.IOC}, Reason.INVALID_EXEC_INST),
        ({"exec_inst": POST_ONLY, "tif": TimeInForce.GTX}, 0),
        ({"exec_inst": POST_ONLY, "ord_type": OrdType.MARKET, "px": NULL}, Reason.INVALID_EXEC_INST),
        ({"stp_mode": 7}, Reason.INVALID_EXEC_INST),
        ({"stp_mode": StpMode.CANCEL_TAKER}, 0),
        ({"position_effect": PositionEffect.CLOSE}, 0),
        ({"position_effect": 6}, Reason.INVALID_POSITION_EFFECT),
        ({"position_effect": PositionEffect.OPEN, "exec_inst": REDUCE}, Reason.INVALID_POSITION_EFFECT),
        ({"margin_mode": MarginMode.CROSS}, 0),
        ({"margin_mode": 5}, Reason.INVALID_MARGIN_MODE_OR_LEVERAGE),
        ({"leverage": 5}, 0),
        ({"leverage": 0}, Reason.INVALID_MARGIN_MODE_OR_LEVERAGE),
        ({"leverage": 5, "margin_mode": MarginMode.CASH}, Reason.INVALID_MARGIN_MODE_OR_LEVERAGE),
    ],
)  # fmt: skip
def test_terms_that_fit_and_that_do_not(order: dict[str, Any], reason: int) -> None:
    assert why(world(), **order) == reason


def test_an_order_is_not_released_after_its_instrument_has_expired() -> None:
    r = world(expiry_ts=NOW + 10 * SECOND)
    assert why(r, release_ts=NOW + 10 * SECOND - 1) == 0
    assert why(r, release_ts=NOW + 10 * SECOND) == Reason.INVALID_RELEASE_TIME


def test_a_cash_account_has_no_margin() -> None:
    r = world()
    r.frame(AccountDefined(account=ACCOUNT, account_type=AccountType.CASH))
    assert why(r, margin_mode=MarginMode.CASH) == 0
    assert why(r, margin_mode=MarginMode.ISOLATED) == Reason.INVALID_MARGIN_MODE_OR_LEVERAGE


def test_leverage_is_not_above_what_the_instrument_has() -> None:
    r = world()
    tiers = [MarginTier(max_leverage_rate=20 * 10**12), MarginTier(from_notional=10**9, max_leverage_rate=10**13)]
    r.frame(MarginTable(instrument=INSTRUMENT, tiers=tiers))
    assert why(r, leverage=20) == 0
    assert why(r, leverage=201, leverage_exp=-1) == Reason.INVALID_MARGIN_MODE_OR_LEVERAGE


@pytest.mark.parametrize(
    ("status", "order", "reason"),
    [
        (TradingStatus.OPEN, {}, 0),
        (TradingStatus.POST_ONLY, {}, Reason.MARKET_STATUS_FORBIDS),
        (TradingStatus.POST_ONLY, {"exec_inst": POST_ONLY}, 0),
        (TradingStatus.LIMIT_ONLY, {}, 0),
        (TradingStatus.LIMIT_ONLY, {"ord_type": OrdType.MARKET, "px": NULL}, Reason.MARKET_STATUS_FORBIDS),
        (TradingStatus.REDUCE_ONLY, {}, Reason.MARKET_STATUS_FORBIDS),
        (TradingStatus.PRE_OPEN, {}, 0),
        (TradingStatus.PRE_OPEN, {"tif": TimeInForce.IOC}, Reason.MARKET_STATUS_FORBIDS),
        (TradingStatus.PRE_OPEN_FREEZE, {}, Reason.MARKET_STATUS_FORBIDS),
        (TradingStatus.CLOSE, {}, Reason.MARKET_CLOSED),
    ],
)
def test_what_a_market_takes(status: int, order: dict[str, Any], reason: int) -> None:
    r = world()
    r.frame(MarketStatus(instrument=INSTRUMENT, trading_status=status), GATEWAY)
    assert why(r, **order) == reason


def test_a_market_that_only_reduces() -> None:
    r = world()
    r.holding(100)
    r.frame(MarketStatus(instrument=INSTRUMENT, trading_status=TradingStatus.REDUCE_ONLY), GATEWAY)
    assert why(r, side=Side.SELL, exec_inst=REDUCE) == 0


# Venue capability.


def bits(*values: int) -> int:
    return sum(1 << v for v in values)


def offering(**more: int) -> RiskRecorder:
    r = world()
    offer = {"ord_types": bits(OrdType.MARKET, OrdType.LIMIT), "tifs": bits(TimeInForce.GTC, TimeInForce.IOC)}
    r.frame(VenueDefined(venue=VENUE, **(offer | more)))
    return r


STOP = {"ord_type": OrdType.STOP, "px": NULL, "stop_px": 5000, "trigger_direction": TriggerDirection.UP}


@pytest.mark.parametrize(
    ("order", "reason", "how"),
    [
        ({}, 0, Handling.NATIVE),
        ({"tif": TimeInForce.FOK}, Reason.NOT_SUPPORTED_BY_VENUE, Handling.REFUSED),
        ({"ord_type": OrdType.MARKET_TO_LIMIT, "px": NULL}, Reason.NOT_SUPPORTED_BY_VENUE, Handling.REFUSED),
        ({"exec_inst": POST_ONLY}, Reason.NOT_SUPPORTED_BY_VENUE, Handling.REFUSED),
        (STOP, 0, Handling.EMULATED),
        (STOP | {"exec_inst": int(ExecInst.NO_EMULATION)}, Reason.NOT_SUPPORTED_BY_VENUE, Handling.REFUSED),
        ({"exec_inst": int(ExecInst.EMULATED)}, Reason.EMULATION_NOT_POSSIBLE, Handling.REFUSED),
        ({"stp_mode": StpMode.CANCEL_BOTH}, Reason.NOT_SUPPORTED_BY_VENUE, Handling.REFUSED),
    ],
)
def test_venue_capability(order: dict[str, Any], reason: int, how: Handling) -> None:
    r = offering()
    assert why(r, **order) == reason
    assert outcome(r.last(), RiskCheck.VENUE_CAPABILITY).value == how


def test_a_venue_that_offers_more_takes_more() -> None:
    r = offering(exec_insts=POST_ONLY, stp_modes=bits(StpMode.CANCEL_BOTH))
    assert why(r, exec_inst=POST_ONLY, stp_mode=StpMode.CANCEL_BOTH) == 0
    assert RiskCheck.VENUE_CAPABILITY not in listed(world().new())  # this one says nothing


# Quote quantity and notional.


@pytest.mark.parametrize(
    ("amount", "side", "order", "bought"),
    [
        (5_000_000, Side.BUY, {}, 100),  # 50 USD at 500.0
        (5_000_001, Side.BUY, {}, 101),  # rounded up
        (5_000_000, Side.BUY, {"ord_type": OrdType.MARKET, "px": NULL}, 100),  # at 501.0, 99.8
        (5_000_000, Side.SELL, {"ord_type": OrdType.MARKET, "px": NULL}, 101),  # at 499.0, 100.2
    ],
)
def test_quote_quantity_conversion(amount: int, side: int, order: dict[str, Any], bought: int) -> None:
    r = world()
    order_id = r.new(qty=amount, side=side, quantity_type=QuantityType.QUOTE_AMOUNT, **order).order_id
    assert r.last().reserved_qty == bought
    assert outcome(r.last(), RiskCheck.QUOTE_QUANTITY_CONVERSION).value == bought
    r.report(order_id, OrdStatus.PARTIALLY_FILLED, qty=amount, cum=30, last=30, side=side, px=order.get("px", 5000))
    assert r.engine.memory.exposure.orders[order_id].reserved_qty == bought - 30  # the report's quantity is money
    assert r.replace(order_id, order_qty=amount + 1).reason == Reason.QUANTITY_CONVERSION_FAILED
    r.engine.check()


def test_an_amount_without_a_price_is_no_quantity() -> None:
    r = world()
    r.touch(4990, NULL)
    order = {"ord_type": OrdType.MARKET, "px": NULL, "quantity_type": QuantityType.QUOTE_AMOUNT, "qty": 5_000_000}
    assert why(r, **order) == Reason.QUANTITY_CONVERSION_FAILED
    inverse = world(contract=ContractType.INVERSE)
    assert why(inverse, quantity_type=QuantityType.QUOTE_AMOUNT) == Reason.QUANTITY_CONVERSION_FAILED


@pytest.mark.parametrize(
    ("qty", "reason"),
    [(90, Reason.NOTIONAL_BELOW_MINIMUM), (100, 0), (200, 0), (210, Reason.NOTIONAL_ABOVE_MAXIMUM)],
)
def test_notional_limits(qty: int, reason: int) -> None:
    """50 to 100 USD; 0.1 at 500.0 is 50."""
    assert why(world(min_notional=5_000_000, max_notional=10_000_000), qty=qty) == reason


def test_notional_limits_at_the_last_unit() -> None:
    assert why(world(min_notional=5_000_001)) == Reason.NOTIONAL_BELOW_MINIMUM
    assert why(world(max_notional=4_999_999)) == Reason.NOTIONAL_ABOVE_MAXIMUM
    r = world(min_notional=5_000_000)
    r.touch(NULL, NULL)
    assert why(r, ord_type=OrdType.MARKET, px=NULL) == Reason.REFERENCE_PRICE_UNAVAILABLE
    r.holding(50)
    assert why(r, side=Side.SELL, qty=50, exec_inst=REDUCE) == 0  # what only reduces may be smaller
    assert RiskCheck.NOTIONAL_LIMITS not in listed(world().new())


# Off.


def test_a_check_is_switched_off_where_a_limit_says_so_and_that_is_shown() -> None:
    r = world()
    assert why(r, px=5001) == Reason.PRICE_NOT_ON_TICK
    r.limit(RiskCheck.PRICE_INCREMENT, NULL, limit=70)
    assert why(r, px=5001) == 0
    assert result(r.last(), RiskCheck.PRICE_INCREMENT) == CheckResult.NOT_APPLICABLE
    assert outcome(r.last(), RiskCheck.PRICE_INCREMENT).limit == 70
    r.limit(RiskCheck.GATE, NULL, limit=71)  # what may be sent at all is no limit
    assert why(r, account=ACCOUNT + 1) == Reason.GATE_SHUT
    assert USD
