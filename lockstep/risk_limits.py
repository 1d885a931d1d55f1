"""[[risk.limits]]: a limit of any check, for any scope, as people write it. docs/risk-checks.md says what each check wants."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from journal.messages import NULL, LimitAction, RiskCheck, RiskLimitSet, ScopeType, Side
from lockstep import units


class Bound(Enum):
    """What a limit's `hard` and `warn` are."""

    AMOUNT = "an amount with its currency, such as '5000 USD'"
    DECIMAL = "a decimal number in quotes, such as '0.5'"
    COUNT = "a whole number from 0"
    RATE = "a rate such as '2%' or '25bp'"
    DURATION = "a duration such as '500ms', '10s', '5m'"
    NONE = 'nothing: it forbids, and "off" allows'
    SWITCH = '"off": it has no limit of its own'


_C = RiskCheck
BOUNDS: dict[RiskCheck, Bound] = {
    _C.INSTRUMENT_TRADABLE: Bound.SWITCH, _C.VENUE_CAPABILITY: Bound.SWITCH, _C.PRICE_INCREMENT: Bound.SWITCH,
    _C.QUANTITY_LIMITS: Bound.DECIMAL, _C.LOT_STEP: Bound.SWITCH, _C.QUOTE_QUANTITY_CONVERSION: Bound.SWITCH,
    _C.NOTIONAL_LIMITS: Bound.SWITCH, _C.BOOK_VERIFIED_FRESH: Bound.DURATION, _C.PRICE_COLLAR: Bound.RATE,
    _C.PRICE_COLLAR_WINDOW: Bound.RATE, _C.ORDER_NOTIONAL: Bound.AMOUNT, _C.WORKING_ORDERS: Bound.COUNT,
    _C.POSITION: Bound.DECIMAL, _C.GROSS_EXPOSURE: Bound.AMOUNT, _C.NET_EXPOSURE: Bound.AMOUNT, _C.FUNDS: Bound.DECIMAL,
    _C.MARGIN: Bound.DECIMAL, _C.CUMULATIVE_FUNDS: Bound.DECIMAL, _C.LEVERAGE: Bound.DECIMAL, _C.CREDIT: Bound.AMOUNT,
    _C.ORDER_RATE: Bound.COUNT, _C.RECONNECT_RATE: Bound.COUNT, _C.DUPLICATE: Bound.COUNT, _C.SELF_TRADE: Bound.NONE,
    _C.REDUCE_ONLY: Bound.SWITCH, _C.DAILY_LOSS: Bound.AMOUNT, _C.DRAWDOWN: Bound.AMOUNT, _C.LOSS_STREAK: Bound.COUNT,
    _C.REPEATED_EXECUTION: Bound.COUNT, _C.REJECT_LOOP: Bound.COUNT, _C.UNKNOWN_ORDERS: Bound.COUNT,
    _C.SHORT_SELL: Bound.DECIMAL, _C.RESTRICTED_LIST: Bound.NONE, _C.TURNOVER: Bound.AMOUNT, _C.CONCENTRATION: Bound.RATE,
}  # fmt: skip
WINDOWED = (_C.PRICE_COLLAR_WINDOW, _C.ORDER_RATE, _C.RECONNECT_RATE, _C.DUPLICATE)
"""Mean nothing without a window."""
MAY_HAVE_WINDOW = (*WINDOWED, _C.TURNOVER, _C.REPEATED_EXECUTION, _C.REJECT_LOOP, _C.DAILY_LOSS, _C.LOSS_STREAK)
CONFIRMED = (_C.DAILY_LOSS, _C.DRAWDOWN)
OF_A_CONNECTION = (_C.RECONNECT_RATE,)
"""A limit of a strategy or an instrument would never count anything."""
_SCOPES: dict[tuple[str, ...], ScopeType] = {
    (): ScopeType.GLOBAL, ("venue",): ScopeType.VENUE, ("group",): ScopeType.GROUP, ("account",): ScopeType.ACCOUNT,
    ("strategy",): ScopeType.STRATEGY, ("instrument",): ScopeType.INSTRUMENT,
    ("account", "instrument"): ScopeType.ACCOUNT_INSTRUMENT, ("strategy", "instrument"): ScopeType.STRATEGY_INSTRUMENT,
}  # fmt: skip
NAMES = ("venue", "group", "account", "strategy", "instrument")


class LimitEntry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One [[risk.limits]]."""

    check: str
    hard: str | int = ""
    warn: str | int = ""
    venue: str = ""
    group: str = ""
    account: str = ""
    strategy: str = ""
    instrument: str = ""
    side: str = ""
    window: str = ""
    action: str = "reject"
    ban: str = ""
    confirmations: int = 0


class WrongLimit(ValueError):
    """A key of a limit, what was found, and what was expected."""

    def __init__(self, key: str, found: Any, expected: str) -> None:
        super().__init__(f"{key} = {found!r}: expected {expected}")
        self.key, self.found, self.expected = key, found, expected


def limit_message(entry: LimitEntry, id_of: Callable[[str, str], int]) -> RiskLimitSet:
    """The limit as the stream says it, without its number. `id_of` (kind, name) → id, of a venue, group, account, strategy,
    instrument, currency. WrongLimit where an entry does not fit its check."""
    check = RiskCheck.__members__.get(entry.check.upper())
    if check is None or check not in BOUNDS:
        raise WrongLimit("check", entry.check, f"one of {', '.join(c.name.lower() for c in BOUNDS)}")
    scope = tuple(name for name in NAMES if getattr(entry, name))
    if scope not in _SCOPES:
        raise WrongLimit("scope", " and ".join(scope), "one of venue, group, account, strategy, instrument, or an instrument "
                         "with an account or a strategy")  # fmt: skip
    if check in OF_A_CONNECTION and {"strategy", "instrument"} & set(scope):
        raise WrongLimit("scope", " and ".join(scope), "venue, group or account: a connection has no strategy or instrument")
    m = RiskLimitSet(check=check, scope_type=_SCOPES[scope], generation=1)
    for name in scope:
        setattr(m, f"scope_{name}", id_of(name, getattr(entry, name)))
    m.action = _member("action", entry.action, LimitAction)
    m.side = _member("side", entry.side, Side) if entry.side else 0
    m.period_ns = _window(entry, check)
    m.ban_ms = _duration("ban", entry.ban) // 10**6 if entry.ban else 0
    if not 0 <= entry.confirmations < 256 or (entry.confirmations and check not in CONFIRMED):
        raise WrongLimit("confirmations", entry.confirmations, f"0 to 255, for {_list(CONFIRMED)}")
    m.confirmations = entry.confirmations
    _bounds(entry, check, m, id_of)
    return m


def _bounds(entry: LimitEntry, check: RiskCheck, m: RiskLimitSet, id_of: Callable[[str, str], int]) -> None:
    bound = BOUNDS[check]
    if entry.hard == "off":
        m.hard = NULL
        return
    if bound in (Bound.NONE, Bound.SWITCH):
        if entry.hard != "" or entry.warn != "" or bound is Bound.SWITCH:
            raise WrongLimit("hard", entry.hard, bound.value)
        return
    hard, exp, m.currency = _value("hard", entry.hard, bound, id_of)
    warn, warn_exp, currency = _value("warn", entry.warn, bound, id_of) if entry.warn != "" else (0, exp, m.currency)
    if currency != m.currency:
        raise WrongLimit("warn", entry.warn, "the currency of hard")
    m.exp = min(exp, warn_exp)
    m.hard, m.warn = hard * 10 ** (exp - m.exp), warn * 10 ** (warn_exp - m.exp)
    if max(m.hard, m.warn) >= 1 << 62:
        raise WrongLimit("hard", entry.hard, "less than 2^62 units of its last digit")


def _value(key: str, given: str | int, bound: Bound, id_of: Callable[[str, str], int]) -> tuple[int, int, int]:
    """(mantissa, exponent, currency)."""
    try:
        if bound is Bound.COUNT:
            if not str(given).isascii() or not str(given).isdigit():
                raise WrongLimit(key, given, bound.value)
            return int(given), 0, 0
        text = str(given)
        if bound is Bound.RATE:
            return units.rate_e12(text), -12, 0
        if bound is Bound.DURATION:
            return units.duration_ns(text), 0, 0
        if bound is Bound.AMOUNT:
            number, currency = units.amount(text)
            return *units.decimal(str(number)), id_of("currency", currency)
        mantissa, exp = units.decimal(text)
    except units.WrongUnit:
        raise WrongLimit(key, given, bound.value) from None
    if mantissa < 0:
        raise WrongLimit(key, given, bound.value)
    return mantissa, exp, 0


def _window(entry: LimitEntry, check: RiskCheck) -> int:
    if not entry.window:
        if check in WINDOWED:
            raise WrongLimit("window", entry.window, Bound.DURATION.value)
        return 0
    if check not in MAY_HAVE_WINDOW:
        raise WrongLimit("window", entry.window, f"none: it is for {_list(MAY_HAVE_WINDOW)}")
    return _duration("window", entry.window)


def _duration(key: str, text: str) -> int:
    try:
        found = units.duration_ns(text)
    except units.WrongUnit:
        found = 0
    if not 0 < found < 1 << 62 or (key == "ban" and not 10**6 <= found < 1000 << 32):
        raise WrongLimit(key, text, Bound.DURATION.value + (", from 1ms to 49 days" if key == "ban" else ""))
    return found


def _member(key: str, text: str, known: type[LimitAction | Side]) -> int:
    found = known.__members__.get(text.upper())
    if not found:
        raise WrongLimit(key, text, f"one of {_list([m for m in known if m])}")
    return found


def _list(members: Any) -> str:
    return ", ".join(m.name.lower() for m in members)
