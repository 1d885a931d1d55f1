"""Reference data kinds, 100-199. A definition with the same id replaces the former one from its seq on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import (
    I8,
    I64,
    I128,
    NULL,
    NULL_I128,
    U8,
    U16,
    U32,
    U64,
    Entry,
    Message,
    Ns,
    Px,
    Qty,
    Rate,
    Ts,
    entry,
    message,
)


@message(100)
class CurrencyDefined(Message):
    """Asset of money or of holding; `ledger_exp` is fixed for ever."""

    currency: U32 = 0
    currency_type: Annotated[U8, e.CurrencyType] = 0
    ledger_exp: I8 = 0
    name: str = ""


@message(101)
class VenueDefined(Message):
    """What a venue offers; checked at start and per order. `ord_types`, `tifs`, `stp_modes`: bit n = value n offered."""

    supports: Annotated[U64, e.SupportType] = 0
    ord_types: U32 = 0
    tifs: U32 = 0
    exec_insts: Annotated[U32, e.ExecInst] = 0
    venue: U16 = 0
    stp_modes: U16 = 0
    venue_type: Annotated[U8, e.VenueType] = 0
    quantity_types: U8 = 0
    md_continuity: U8 = 0
    name: str = ""
    mic: str = ""


@message(102)
class AccountDefined(Message):
    """Account (1)."""

    account: U32 = 0
    parent_account: U32 = 0
    currency: U32 = 0
    venue: U16 = 0
    account_type: Annotated[U8, e.AccountType] = 0
    margin_mode: Annotated[U8, e.MarginMode] = 0
    position_mode: Annotated[U8, e.PositionMode] = 0
    id_scheme: Annotated[U8, e.IdScheme] = 0
    name: str = ""
    external_ref: str = ""


@message(103)
class UserDefined(Message):
    """Person or program; no credentials."""

    user: U32 = 0
    roles: U32 = 0
    desk: U32 = 0
    status: U8 = 0
    name: str = ""


@message(104)
class StrategyDefined(Message):
    """TargetStrategy (847): which app decides, for whom, on which account."""

    strategy: U32 = 0
    owner_user: U32 = 0
    default_account: U32 = 0
    app: U16 = 0
    name: str = ""


@entry
class GroupMember(Entry):
    """`member_type`: which scope the member's number is of (ACCOUNT, STRATEGY, USER, INSTRUMENT)."""

    member: U32 = 0
    member_type: Annotated[U32, e.ScopeType] = 0


@message(105)
class GroupDefined(Message):
    """PartyDetailsDefinitionRequest (35=CX): a desk, a book, a portfolio; a key for limits."""

    group: U32 = 0
    group_type: Annotated[U8, e.GroupType] = 0
    name: str = ""
    members: Sequence[GroupMember] = ()


@message(106)
class InstrumentDefined(Message):
    """SecurityDefinition (35=d). Prices and quantities of this instrument are mantissas with `px_exp` and `qty_exp`."""

    min_notional: I128 = NULL_I128
    max_notional: I128 = NULL_I128
    tick_px: Px = NULL
    lot_qty: Qty = NULL
    min_qty: Qty = NULL
    max_qty: Qty = NULL
    market_max_qty: Qty = NULL
    post_only_max_qty: Qty = NULL
    min_px: Px = NULL
    max_px: Px = NULL
    band_up_rate: Rate = NULL
    band_down_rate: Rate = NULL
    multiplier: I64 = 1
    quanto_rate: I64 = NULL
    strike_px: Px = NULL
    initial_rate: Rate = NULL
    maintenance_rate: Rate = NULL
    maker_rate: Rate = NULL
    taker_rate: Rate = NULL
    funding_interval_ns: Ns = 0
    listed_ts: Ts = 0
    expiry_ts: Ts = 0
    settle_ts: Ts = 0
    delisted_ts: Ts = 0
    exchange_ts: Ts = 0
    instrument: U32 = 0
    base_currency: U32 = 0
    quote_currency: U32 = 0
    settlement_currency: U32 = 0
    margin_currency: U32 = 0
    commission_currency: U32 = 0
    strike_currency: U32 = 0
    underlying: U32 = 0
    venue: U16 = 0
    max_orders: U16 = 0
    max_trigger_orders: U16 = 0
    instrument_type: Annotated[U8, e.InstrumentType] = 0
    instrument_status: Annotated[U8, e.InstrumentStatus] = 0
    contract: Annotated[U8, e.ContractType] = 0
    px_exp: I8 = 0
    qty_exp: I8 = 0
    multiplier_exp: I8 = 0
    quanto_rate_exp: I8 = 0
    quantity_type: Annotated[U8, e.QuantityType] = 0
    option_type: U8 = 0
    exercise_style: U8 = 0
    price_type: U8 = 0
    name: str = ""
    cfi: str = ""
    description: str = ""


@entry
class TickStep(Entry):
    """From this price on, this tick."""

    from_px: Px = 0
    tick_px: Px = 0


@message(107)
class TickTable(Message):
    """TickRules: price-dependent tick."""

    instrument: U32 = 0
    steps: Sequence[TickStep] = ()


@entry
class MarginTier(Entry):
    """From this notional on, these rates; `max_leverage_rate`: notional a unit of margin may carry."""

    from_notional: I128 = 0
    initial_rate: Rate = 0
    maintenance_rate: Rate = 0
    max_leverage_rate: Rate = NULL


@message(108)
class MarginTable(Message):
    """MarginRequirementReport (35=CJ): risk tiers of an instrument, of an account where it is given."""

    instrument: U32 = 0
    account: U32 = 0
    tiers: Sequence[MarginTier] = ()


@message(111)
class FeeSchedule(Message):
    """Expected fee, to compare with the charged one."""

    rate: Rate = 0
    flat_amt: I64 = 0
    valid_from_ts: Ts = 0
    account: U32 = 0
    instrument: U32 = 0
    currency: U32 = 0
    venue: U16 = 0
    liquidity: Annotated[U8, e.LiquidityIndicator] = 0
    fee_type: Annotated[U8, e.FeeType] = 0


@message(112)
class TradingCalendar(Message):
    """TradingSessionList (35=BJ): a phase of an instrument, or of a whole venue (instrument 0)."""

    from_ts: Ts = 0
    to_ts: Ts = 0
    instrument: U32 = 0
    venue: U16 = 0
    phase: Annotated[U8, e.TradingStatus] = 0


@message(113)
class DestinationDefined(Message):
    """ExDestination (100): a way to reach a venue."""

    account: U32 = 0
    destination: U16 = 0
    venue: U16 = 0
    gateway: U16 = 0
    transport: Annotated[U8, e.Transport] = 0
    priority: Annotated[U8, e.Priority] = 0


@message(114)
class OwnershipDefined(Message):
    """Which strategy may trade what on a shared login; `exclusive`: nobody else may."""

    account: U32 = 0
    instrument: U32 = 0
    strategy: U32 = 0
    exclusive: U8 = 0


__all__ = [
    "AccountDefined",
    "CurrencyDefined",
    "DestinationDefined",
    "FeeSchedule",
    "GroupDefined",
    "GroupMember",
    "InstrumentDefined",
    "MarginTable",
    "MarginTier",
    "OwnershipDefined",
    "StrategyDefined",
    "TickStep",
    "TickTable",
    "TradingCalendar",
    "UserDefined",
    "VenueDefined",
]  # fmt: skip
