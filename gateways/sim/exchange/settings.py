"""What the exchange is started with, strictly read: an unknown key or a wrong value is one line that names it."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from apps.venue.rules import FEE_EXP
from gateways.sim.exchange.numbers import NotDecimal, TooManyDecimals, mantissa

NATIVE = ("cancel_all", "dead_man", "mass_quote", "stops")


class FaultSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Faults fired once, counted from the start; 0 is never."""

    gap_after: int = 0
    drop_connection_after: int = 0
    garbage_after: int = 0
    oversize_after: int = 0
    oversize_bytes: int = 8 << 20
    reject_orders: int = 0
    delay_answers_ms: int = 0
    chaos_per_mille: int = 0
    """Of so many requests and pushes in a thousand something is done wrong, by lot."""
    chaos_seed: int = 1
    chaos_ms: int = 100
    """How late what comes late comes."""


class ExchangeSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """See docs/simulated-exchange.md. None: derived from the capture, or the generated market's default."""

    host: str = "127.0.0.1"
    port: int = 0
    symbol: str | None = None
    base: str | None = None
    quote: str | None = None
    seed: int = 1
    px_exp: int | None = None
    qty_exp: int | None = None
    tick: int | None = None
    lot: int | None = None
    start_px: int = 6_180_000
    rate: int = 100
    capture: str | tuple[str, ...] | None = None
    speed: str = "1"
    api_key: str = "lockstep"
    more_api_keys: tuple[str, ...] = ()
    maker_fee: int = 20_000
    taker_fee: int = 50_000
    client_queue: int = 20_000
    native: tuple[str, ...] = ()
    """What it does itself beyond single orders, of NATIVE."""
    order_limit: int = 0
    """So many orders and modifies may come in each window; answers say how many have. 0: as many as want to."""
    order_window_s: int = 10
    balance: str = "0"
    """What every account begins with: decimal text in the quote currency."""
    leverage: int = 0
    """Orders are secured by notional / leverage of what the account is worth; 1: paid for in full. 0: nobody asks."""
    max_open_orders: int = 0
    max_position: str = "0"
    """Largest position, open orders included: decimal text in the base currency. 0: any."""
    funding_rate: int = 0
    """What longs pay shorts each time, a part of what the position is worth, in units of 1e-8; negative: shorts pay."""
    funding_interval_s: int = 0
    """How long from one time to the next. 0: there is no funding."""
    price_band_bps: int = 0
    """No limit price so many hundredths of a percent beyond the last trade. 0: any."""
    cancel_on_disconnect: bool = False
    """The open orders of an account are canceled when its session ends."""
    read_only_keys: tuple[str, ...] = ()
    """Of the keys above: those that may log on and ask, and change nothing."""
    halt_cancels: bool = False
    """A halt cancels whatever is open."""
    admin: bool = False
    state: str | None = None
    """The file that accounts, orders and trades are kept in over restarts. None: a restarted exchange has forgotten them."""
    faults: FaultSettings = FaultSettings()

    @property
    def read_only(self) -> tuple[int, ...]:
        """The accounts of `read_only_keys`."""
        return tuple(n for n, key in enumerate(self.api_keys, 1) if key in self.read_only_keys)

    @property
    def deposit(self) -> int:
        """`balance` as a mantissa of FEE_EXP."""
        return mantissa(self.balance, FEE_EXP)

    @property
    def captures(self) -> tuple[str, ...]:
        if self.capture is None:
            return ()
        return (self.capture,) if isinstance(self.capture, str) else self.capture

    @property
    def pace(self) -> Decimal | None:
        """Recorded seconds per second; None is as fast as the sockets drain."""
        return None if self.speed == "max" else Decimal(self.speed)

    @property
    def api_keys(self) -> tuple[str, ...]:
        return (self.api_key, *self.more_api_keys)


class BadSettings(ValueError):
    """One line: key, value found, value expected."""


_SPEED = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
_WITHIN = {
    "port": (0, 65_535),
    "px_exp": (-12, 0),
    "qty_exp": (-12, 0),
    "tick": (1, 10**12),
    "lot": (1, 10**12),
    "start_px": (1, 10**15),
    "rate": (1, 5_000),
    "order_limit": (0, 10**6),
    "order_window_s": (1, 3_600),
    "leverage": (0, 125),
    "max_open_orders": (0, 10**6),
    "price_band_bps": (0, 9_999),
    "funding_rate": (-(10**7), 10**7),
    "funding_interval_s": (0, 86_400),
    "maker_fee": (-(10**7), 10**7),
    "taker_fee": (-(10**7), 10**7),
    "client_queue": (1, 10**7),
}


def read_settings(text: bytes | str) -> ExchangeSettings:
    """Settings from JSON text."""
    try:
        settings = msgspec.json.decode(text, type=ExchangeSettings)
    except msgspec.ValidationError as error:
        raise BadSettings(f"settings: {error}") from None
    except msgspec.DecodeError as error:
        raise BadSettings(f"settings: not JSON: {error}") from None
    return checked(settings)


def checked(settings: ExchangeSettings) -> ExchangeSettings:
    """The same settings, or BadSettings about the first value that cannot be used."""
    for key, (low, high) in _WITHIN.items():
        value = getattr(settings, key)
        if value is not None and not low <= value <= high:
            raise BadSettings(f"settings: {key} = {value}: expected {low} to {high}")
    for key in FaultSettings.__struct_fields__:
        if getattr(settings.faults, key) < 0:
            raise BadSettings(f"settings: faults.{key} = {getattr(settings.faults, key)}: expected 0 or more")
    if settings.faults.chaos_per_mille > 1000:
        raise BadSettings(f"settings: faults.chaos_per_mille = {settings.faults.chaos_per_mille}: expected 0 to 1000")
    if settings.speed != "max" and (_SPEED.fullmatch(settings.speed) is None or Decimal(settings.speed) == 0):
        raise BadSettings(f'settings: speed = {settings.speed!r}: expected "max" or a decimal above 0, as "1" or "2.5"')
    if settings.capture is not None and not all(settings.captures or ("",)):
        raise BadSettings(f"settings: capture = {settings.capture!r}: expected the name of a file, or a list of names")
    _check_balance(settings)
    for word in settings.native:
        if word not in NATIVE:
            raise BadSettings(f"settings: native = {word!r}: expected {', '.join(NATIVE)}")
    if not all(settings.api_keys) or len(set(settings.api_keys)) != len(settings.api_keys):
        raise BadSettings("settings: api_key, more_api_keys: expected texts that are not empty and differ")
    for key in settings.read_only_keys:
        if key not in settings.api_keys:
            raise BadSettings(f"settings: read_only_keys = {key!r}: expected one of api_key, more_api_keys")
    return settings


def _check_balance(settings: ExchangeSettings) -> None:
    try:
        if settings.deposit >= 0:
            return
    except (NotDecimal, TooManyDecimals):
        pass
    raise BadSettings(f"settings: balance = {settings.balance!r}: expected decimal text from 0 on, at most {-FEE_EXP} decimals")
