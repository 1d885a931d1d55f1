"""The configuration file of a system: TOML, strictly validated. Every error is one line: file, key, value found, expected.

Nothing here is read by an app: `lockstep.loader` turns it into frames, and apps read frames.
"""

from __future__ import annotations

import copy
import datetime
import re
import tomllib
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from apps.discovery import ConfigError as AppConfigError
from apps.discovery import load_class
from apps.live import HostSettings
from gateways.sim.exchange.settings import BadSettings, ExchangeSettings
from gateways.sim.exchange.settings import checked as checked_exchange
from gateways.sim.settings import SimGatewaySettings
from journal.errors import OperatingError
from journal.logs import LogSettings
from journal.messages import (
    REGISTRY,
    AccountType,
    CurrencyType,
    DurabilityPolicy,
    GroupType,
    Heartbeat,
    IdScheme,
    InstrumentType,
    LimitAction,
    Priority,
    SessionMode,
    SourceRole,
    VenueType,
)
from journal.messages.keeping import Keep
from lockstep import units, venue_offers
from lockstep.budgets import Budget, BudgetError
from lockstep.budgets import rule as budget_rule
from lockstep.risk_limits import LimitEntry, WrongLimit, limit_message
from sequencer.grants import GrantError, effective, granted
from sequencer.remote.settings import SOURCE as REPLICATION_SOURCE
from sequencer.remote.settings import SOURCE_KINDS as REPLICATION_KINDS
from sequencer.remote.settings import ReplicationSettings, endpoint
from sequencer.settings import SequencerSettings, SourceSettings


class ConfigError(OperatingError, ValueError):
    """A configuration that cannot be used: one line with file, key, value found and value expected."""


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all tables: an unknown key is an error."""


class Session(Section):
    """[session]"""

    journal: str
    mode: str = "live"
    durability: str = "durable"
    name: str = ""


class Currency(Section):
    """[currency.CODE]"""

    type: str = "fiat"
    ledger_decimals: int = 8


class Venue(Section):
    """[venue.NAME]"""

    type: str = "exchange"
    mic: str = ""
    order_types: list[str] | None = None
    """What it takes; None: a simulated venue's own lists, any other says nothing."""
    times_in_force: list[str] | None = None
    instructions: list[str] | None = None
    self_trade_prevention: list[str] | None = None
    quantity_types: list[str] | None = None
    native: list[str] | None = None
    """What it does itself for many orders at once; None: what the exchange of its name in this file does."""
    dead_man: str = ""
    """After so long without a sign of life the venue cancels everything; empty: its timer is left alone."""
    budget: dict[str, Budget] = {}


class Account(Section):
    """[account.NAME]"""

    venue: str
    currency: str
    type: str = "simulated"
    external_ref: str = ""
    id_scheme: str = "decimal"
    owners: dict[str, str] = {}


class Instrument(Section):
    """[instrument.SYMBOL]; prices and quantities in quotes."""

    venue: str
    base: str
    quote: str
    tick: str
    lot: str
    price_decimals: int
    quantity_decimals: int
    type: str = "perpetual"
    min_quantity: str = ""
    max_quantity: str = ""
    multiplier: str = "1"
    maker_fee: str = "0%"
    taker_fee: str = "0%"


class Rate(Section):
    """{ count = 100, window = "10s" }"""

    count: int
    window: str


class User(Section):
    """[user.NAME]: a person (or program) who gives commands."""

    login: str = ""


class Group(Section):
    """[group.NAME]: what belongs together for kills and limits."""

    type: str = "desk"
    accounts: list[str] = []
    strategies: list[str] = []
    instruments: list[str] = []
    users: list[str] = []


class ApprovalRules(Section):
    """[approval]: what a second person has to approve."""

    second_person: bool | None = None
    limits: bool = False
    valid: str = "1h"


class WatchEntry(Section):
    """[watch.NAME]: a dead man's handle."""

    interval: str
    who: str = ""
    alert: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 2
    pause: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    cancel_all: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    kill: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


class Limits(Section):
    """[risk.default], [risk.strategy.NAME], [risk.instrument.SYMBOL]"""

    max_order_qty: str = ""
    max_order_notional: str = ""
    max_position: str = ""
    max_working_orders: int = 0
    price_collar: str = ""
    max_messages: Rate | None = None
    action: str = "reject"


class Risk(Section):
    """[risk]"""

    default: Limits | None = None
    strategy: dict[str, Limits] = {}
    instrument: dict[str, Limits] = {}
    limits: list[LimitEntry] = []
    violations: bool = True
    ban: str = "1m"
    flatten: bool = False


class Mmp(Section):
    """[mmp]: market-maker protection by the OMS, of every group of quotes."""

    window: str
    fills: int = 0
    quantity: int = 0


class Orders(Section):
    """[orders]: how long closed ones are kept."""

    keep: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = 100_000
    keep_for: str = "10m"


class Routing(Section):
    """[routing]"""

    failures_before_down: Annotated[int, msgspec.Meta(ge=1)] = 3
    down_for: str = "10s"


class AppEntry(Section):
    """[app.NAME]: an app that is no strategy."""

    class_: str = msgspec.field(name="class")
    role: str


class HostEntry(HostSettings):
    """[host.NAME]: apps that share a process."""

    apps: list[str]
    copies: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    """Processes that run them at once. What one says first counts, the other is compared with it."""


class Reconcile(Section):
    """[reconcile]"""

    interval: str = "60s"
    lookback: str = "24h"
    overlap: str = "5m"
    attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    backoff: str = "1s"
    max_unknown_orders: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 10
    missing_orders: Literal["ask", "close"] = "ask"
    second_person: bool = False
    position_tolerance: str = "0"
    balance_tolerance: str = "0"

    def of_orders(self) -> dict[str, Any]:
        """As the OMS takes it."""
        return {
            "interval_ns": units.duration_ns(self.interval), "lookback_ns": units.duration_ns(self.lookback),
            "overlap_ns": units.duration_ns(self.overlap), "attempts": self.attempts,
            "backoff_ns": units.duration_ns(self.backoff), "max_unknown": self.max_unknown_orders,
            "close_missing": self.missing_orders == "close", "approval": self.second_person,
        }  # fmt: skip

    def of_positions(self) -> dict[str, Any]:
        """As the positions app takes it."""
        return {"position_tolerance": self.position_tolerance, "balance_tolerance": self.balance_tolerance}


class BacktestPlan(Section):
    """[backtest]"""

    market: str = "generated"
    duration: str = "60s"
    order_latency: str = "1ms"


class System(Section):
    """The whole file."""

    session: Session
    sequencer: SequencerSettings = msgspec.field(default_factory=SequencerSettings)
    log: LogSettings = msgspec.field(default_factory=LogSettings)
    currency: dict[str, Currency] = {}
    venue: dict[str, Venue] = {}
    account: dict[str, Account] = {}
    instrument: dict[str, Instrument] = {}
    exchange: dict[str, ExchangeSettings] = {}
    gateway: dict[str, SimGatewaySettings] = {}
    app: dict[str, AppEntry] = {}
    strategy: dict[str, dict[str, Any]] = {}
    host: dict[str, HostEntry] = {}
    risk: Risk = msgspec.field(default_factory=Risk)
    mmp: Mmp | None = None
    orders: Orders = msgspec.field(default_factory=Orders)
    routing: Routing | None = None
    reconcile: Reconcile | None = None
    backtest: BacktestPlan | None = None
    replication: ReplicationSettings | None = None
    user: dict[str, User] = {}
    group: dict[str, Group] = {}
    approval: ApprovalRules = msgspec.field(default_factory=ApprovalRules)
    watch: dict[str, WatchEntry] = {}

    def natives(self, venue: str) -> list[str]:
        """What a venue does itself for many orders at once: as its table says, else as the exchange does that it is here."""
        listed = self.venue[venue].native
        exchange = self.exchange.get(venue)
        if listed is not None or exchange is None:
            return listed or []
        return [*exchange.native, *(["rate_limits"] if exchange.order_limit else [])]


STANDARD_APPS = {
    "books": AppEntry(class_="apps.books.app:Books", role="books"),
    "risk": AppEntry(class_="apps.risk:RiskApp", role="risk"),
    "oms": AppEntry(class_="apps.order_manager:OmsApp", role="oms"),
    "positions": AppEntry(class_="apps.positions:Positions", role="positions"),
}
"""Present in every system that has a strategy; an [app.NAME] table of the same name replaces one."""

FLATTENER = {"flattener": AppEntry(class_="apps.flattener:Flattener", role="positions")}
"""The app that closes positions when a kill wants it ([risk] flatten = true)."""

MODES = ("live", "paper", "simulation")
DURABILITIES = ("durable", "written", "replicated", "durable_and_replicated")
"""What a system may be started with; the last two need [replication] with a required follower. Other modes are what other
commands record."""

DECIMALS_MAX = 12

STRATEGY_KEYS = frozenset({"class", "account", "owner"})
"""Keys of a [strategy.NAME] table that are not parameters of its class."""


class Config:
    """A validated configuration and what follows from it."""

    def __init__(self, path: Path, system: System, text: bytes) -> None:
        self.path = path
        self.system = system
        self.text = text
        flattener = FLATTENER if system.risk.flatten else {}
        self.apps = {**(STANDARD_APPS if system.strategy else {}), **flattener, **system.app}

    def error(self, key: str, found: Any, expected: str) -> ConfigError:
        """The one line of a wrong value."""
        return ConfigError(f"{self.path}: {key} = {found!r}: expected {expected}")

    @property
    def journal(self) -> Path:
        """The session's journal folder; `{date}` is today (UTC). Relative to where the command runs."""
        today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
        return Path(self.system.session.journal.replace("{date}", today)).absolute()

    @property
    def mode(self) -> SessionMode:
        return SessionMode[self.system.session.mode.upper()]

    @property
    def durability(self) -> DurabilityPolicy:
        return DurabilityPolicy[self.system.session.durability.upper()]

    def sources(self) -> list[SourceSettings]:
        """Every publisher of the system, with its role."""
        found = [
            SourceSettings(name="supervisor", role=SourceRole.SUPERVISOR),
            SourceSettings(name="loader", role=SourceRole.LOADER),
            SourceSettings(name="operator", role=SourceRole.OPERATOR),
        ]
        for name in self.system.gateway:
            found.append(SourceSettings(name=f"{name}-md", role=SourceRole.MARKET_DATA))
            found.append(SourceSettings(name=f"{name}-trade", role=SourceRole.TRADING))
        found += [SourceSettings(name=name, role=SourceRole[app.role.upper()]) for name, app in self.apps.items()]
        found += [SourceSettings(name=name, role=SourceRole.ALGO) for name in self.system.strategy]
        found += [
            SourceSettings(name=watch_source(name, watch), role=SourceRole.CLIENT, kinds=[Heartbeat.KIND])
            for name, watch in self.system.watch.items()
            if not watch.who
        ]
        copies = {app: host.copies for host in self.system.host.values() for app in host.apps}
        for source in found:
            source.copies = copies.get(source.name, 1)
        if self.system.replication is not None:
            found.append(SourceSettings(name=REPLICATION_SOURCE, role=SourceRole.SUPERVISOR, kinds=REPLICATION_KINDS))
            for name, remote in self.system.replication.publisher.items():
                found.append(SourceSettings(name=name, role=SourceRole[remote.role.upper()], kinds=remote.kinds))
        return self._tuned(found)

    def _tuned(self, found: list[SourceSettings]) -> list[SourceSettings]:
        """What [sequencer.sources.NAME] says of them, and the publishers that only stand there."""
        tables, own = self.system.sequencer.sources, {source.name for source in found}
        for name, table in tables.items():
            key = f"sequencer.sources.{name}"
            if name in own and table.role is not None:
                raise self.error(f"{key}.role", table.role, "none: an app, strategy or gateway has its role already")
            if name not in own:
                if table.role is None:
                    raise ConfigError(
                        f"{self.path}: {key}: no publisher of this system; expected one of {', '.join(sorted(own))}, "
                        "or a role, which makes it one"
                    )
                _enum(self, f"{key}.role", table.role, SourceRole)
                found.append(SourceSettings(name=name, role=SourceRole[table.role.upper()]))
        for source in found:
            if (tuning := tables.get(source.name)) is not None:
                source.uid, source.ring_bytes = tuning.uid, tuning.ring_bytes
                source.kinds = self._kinds(f"sequencer.sources.{source.name}.kinds", tuning.kinds)
                try:
                    effective(source.name, source.role, source.kinds)
                except GrantError as error:
                    raise ConfigError(f"{self.path}: sequencer.sources.{source.name}.kinds: {error}") from None
        return found

    def _kinds(self, key: str, given: list[int | str | tuple[int, int]] | None) -> list[int | tuple[int, int]] | None:
        """Names as numbers."""
        if given is None:
            return None
        numbers = {cls.__name__: kind for kind, cls in REGISTRY.items()}
        for kind in given:
            if isinstance(kind, str) and kind not in numbers:
                raise self.error(key, kind, "the name or number of a message kind (lockstep journal dump shows names)")
        return [numbers[kind] if isinstance(kind, str) else kind for kind in given]

    def hosts(self) -> dict[str, list[str]]:
        """Process name → the apps it hosts: one each, unless [host.NAME] puts some together."""
        grouped = {name: host.apps for name, host in self.system.host.items()}
        taken = {app for apps in grouped.values() for app in apps}
        return grouped | {name: [name] for name in [*self.apps, *self.system.strategy] if name not in taken}

    @property
    def keep(self) -> Keep:
        """How long closed orders are kept: no shorter than a reconciliation may ask for their fills."""
        s = self.system
        asked = (s.reconcile.lookback, s.reconcile.overlap) if s.reconcile is not None else ()
        return Keep(s.orders.keep, max(units.duration_ns(s.orders.keep_for), sum(units.duration_ns(x) for x in asked)))

    def host_settings(self, apps: list[str]) -> HostSettings:
        """How the process of these apps waits: as the [host.NAME] says that has them all, else the defaults."""
        wanted = set(apps)
        return next((host for host in self.system.host.values() if wanted == set(host.apps)), HostSettings())

    def copies_of(self, apps: list[str]) -> int:
        """How many processes run these apps at once."""
        return next((host.copies for host in self.system.host.values() if set(apps) == set(host.apps)), 1)

    def class_of(self, app: str) -> str:
        """The class path of an app or strategy."""
        if app in self.system.strategy:
            path: str = self.system.strategy[app]["class"]
            return path
        return self.apps[app].class_

    def parameters_of(self, app: str) -> dict[str, Any]:
        """The parameters of an app or strategy, as written; of the standard apps what other tables say of them."""
        mmp, reconcile = self.system.mmp, self.system.reconcile
        found: dict[str, Any] = {}
        if mmp is not None and app in self.apps and self.apps[app].role.upper() == SourceRole.OMS.name:
            found["mmp"] = {"window_ns": units.duration_ns(mmp.window), "fills": mmp.fills, "qty": mmp.quantity}
        if reconcile is not None and app in ("oms", "positions"):
            found["reconcile"] = reconcile.of_orders() if app == "oms" else reconcile.of_positions()
        if found:
            return found
        return {k: v for k, v in self.system.strategy.get(app, {}).items() if k not in STRATEGY_KEYS}


def watch_source(name: str, watch: WatchEntry) -> str:
    """Whose heartbeats count for a watch: the app named, or a publisher of the watch's own."""
    return watch.who or f"watch-{name}"


def load(path: Path, **overrides: Any) -> Config:
    """Read and check a configuration file; `overrides` replace keys of [session]."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a configuration file (see docs/configuration.md)") from None
    return parse(path, text, **overrides)


def parse(path: Path, text: bytes, **overrides: Any) -> Config:
    """Check the text of a configuration file."""
    try:
        raw = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    raw.setdefault("session", {}).update({k: v for k, v in overrides.items() if v is not None})
    try:
        system = _system(raw)
    except msgspec.ValidationError as error:
        raise ConfigError(_locate(path, raw, str(error), _system)) from None
    for table in system.strategy.values():
        _beside(path, table)
    for app in system.app.values():
        named = {"class": app.class_}
        _beside(path, named)
        app.class_ = named["class"]
    config = Config(path, system, text)
    _check(config)
    return config


def _system(raw: Any) -> System:
    return msgspec.convert(raw, System, strict=True)


def _beside(path: Path, table: dict[str, Any]) -> None:
    """A strategy file named relatively lies beside the configuration."""
    file, _, name = str(table.get("class", "")).rpartition(":")
    if file.endswith(".py"):
        table["class"] = f"{(path.parent / file).resolve()}:{name}"


_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<at>[^`]*)`)?$", re.DOTALL)
_PART = re.compile(r"\[[^\]]*\]|[^.$\[\]]+")
_ANY = "[...]"
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")


def _locate(path: Path, raw: dict[str, Any], error: str, read: Callable[[Any], object]) -> str:
    """msgspec's complaint as file, key, value found, value expected. `read` is what complained of `raw`."""
    found = _AT.match(error)
    assert found is not None
    what, parts = found["what"], _named(raw, error, _PART.findall(found["at"] or ""), read)
    at = "".join(part if part.startswith("[") else f".{part}" for part in parts).lstrip(".")
    unknown = _UNKNOWN.search(what)
    if unknown:
        key = ".".join(filter(None, [at, unknown["field"]]))
        return f"{path}: {key}: unknown key; expected one of the keys in docs/configuration.md"
    if missing := _MISSING.search(what):
        key = ".".join(filter(None, [at, missing["field"]]))
        return f"{path}: {key}: not given; expected a value"
    found_there = _value(raw, parts)
    if isinstance(found_there, dict) and not what.startswith("Expected"):
        # The table's own check of a value: it names the key, and the rest of the table is no part of it.
        return f"{path}: {'.'.join(filter(None, [at, what]))}"
    if what.startswith("Invalid enum value"):
        what = f"expected one of {', '.join(_choices(at))}"
    return f"{path}: {at} = {found_there!r}: {what[0].lower()}{what[1:]}"


def _named(raw: dict[str, Any], error: str, parts: list[str], read: Callable[[Any], object]) -> list[str]:
    """Keys in the place of `[...]`, any key of a table: alone in its table, only the one meant is complained of."""
    parts = list(parts)
    for n, part in enumerate(parts):
        if part != _ANY:
            continue
        whole = _value(raw, parts[:n])
        for name in whole:
            alone = copy.deepcopy(raw)
            table = _value(alone, parts[:n])
            for other in whole.keys() - {name}:
                del table[other]
            try:
                read(alone)
            except (msgspec.ValidationError, AppConfigError, ValueError, TypeError) as again:
                if str(again) == error:
                    parts[n] = name
                    break
    return parts


def _value(raw: Any, parts: Sequence[str]) -> Any:
    """What stands there; None: nothing does."""
    for part in parts:
        if isinstance(raw, list):
            raw = raw[int(part.strip("[]"))]
        else:
            raw = raw.get(part) if isinstance(raw, dict) else None
    return raw


def _choices(at: str) -> list[str]:
    """The values that the key at this path may have."""
    found: Any = System
    for part in at.split("."):
        if isinstance(found, types.UnionType):  # a table that may be left out
            found = get_args(found)[0]
        if get_origin(found) is dict:
            found = get_args(found)[1]
        else:
            names = {f.encode_name: f.name for f in msgspec.structs.fields(found)}
            found = get_type_hints(found)[names[part]]
    return [str(choice) for choice in get_args(found)]


def _check_dead_man(config: Config, name: str, venue: Venue) -> None:
    key = f"venue.{name}.dead_man"
    _unit(config, key, venue.dead_man, units.duration_ns)
    if not 3 * 10**9 <= units.duration_ns(venue.dead_man) < 86400 * 10**9:
        raise config.error(key, venue.dead_man, "'3s' to below '1d'")
    if "dead_man" not in config.system.natives(name):
        raise config.error(key, venue.dead_man, f"a venue with such a timer: venue.{name}.native lists 'dead_man'")


def _check(config: Config) -> None:
    """What types cannot say: names that must exist, units, enumerations."""
    s = config.system
    for key, found, known in (("mode", s.session.mode, MODES), ("durability", s.session.durability, DURABILITIES)):
        if found.lower() not in known:
            raise config.error(f"session.{key}", found, "one of " + ", ".join(known))
    _check_replication(config)
    for name, currency in s.currency.items():
        _enum(config, f"currency.{name}.type", currency.type, CurrencyType)
        if not 0 <= currency.ledger_decimals <= 18:
            raise config.error(f"currency.{name}.ledger_decimals", currency.ledger_decimals, "0 to 18")
    for name, venue in s.venue.items():
        _enum(config, f"venue.{name}.type", venue.type, VenueType)
        for key, enum in venue_offers.LISTS.items():
            for found in getattr(venue, key) or ():
                _enum(config, f"venue.{name}.{key}", found, enum)
        for found in venue.native or ():
            if found not in venue_offers.NATIVE:
                raise config.error(f"venue.{name}.native", found, ", ".join(venue_offers.NATIVE))
        if venue.dead_man:
            _check_dead_man(config, name, venue)
        for budget, table in venue.budget.items():
            try:
                budget_rule(table, name=budget, venue=1)
            except BudgetError as error:
                raise ConfigError(f"{config.path}: venue.{name}.budget.{budget}.{error}") from None
    _unit(config, "orders.keep_for", s.orders.keep_for, units.duration_ns)
    if s.mmp is not None:
        _unit(config, "mmp.window", s.mmp.window, units.duration_ns)
        if min(s.mmp.fills, s.mmp.quantity) < 0 or not s.mmp.fills + s.mmp.quantity:
            raise config.error("mmp", {"fills": s.mmp.fills, "quantity": s.mmp.quantity}, "fills or quantity above 0")
    for name, account in s.account.items():
        _name(config, f"account.{name}.venue", account.venue, s.venue, "venue")
        _name(config, f"account.{name}.currency", account.currency, s.currency, "currency")
        _enum(config, f"account.{name}.type", account.type, AccountType)
        _enum(config, f"account.{name}.id_scheme", account.id_scheme, IdScheme)
        for symbol, strategy in account.owners.items():
            _name(config, f"account.{name}.owners", symbol, s.instrument, "instrument")
            _name(config, f"account.{name}.owners.{symbol}", strategy, s.strategy, "strategy")
    for name, instrument in s.instrument.items():
        _check_instrument(config, f"instrument.{name}", instrument)
    if s.routing is not None:
        _unit(config, "routing.down_for", s.routing.down_for, units.duration_ns)
    for name, gateway in s.gateway.items():
        _enum(config, f"gateway.{name}.priority", gateway.priority, Priority)
        _name(config, f"gateway.{name}.venue", gateway.venue, s.venue, "venue")
        _name(config, f"gateway.{name}.account", gateway.account, s.account, "account")
    for name, exchange in s.exchange.items():
        if name not in s.venue:
            raise ConfigError(
                f"{config.path}: exchange.{name}: expected the name of a venue of this file ({', '.join(s.venue) or 'none'}); "
                "an exchange is the venue of its name"
            )
        try:
            checked_exchange(exchange)
        except BadSettings as error:
            raise ConfigError(f"{config.path}: exchange.{name}.{str(error).removeprefix('settings: ')}") from None
    for name, app in s.app.items():
        _enum(config, f"app.{name}.role", app.role, SourceRole)
        try:
            load_class(app.class_)
        except AppConfigError as error:
            raise ConfigError(f"{config.path}: app.{name}.{error}") from None
    _check_hosts(config)
    _check_strategies(config)
    names = [source.name for source in config.sources()]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{config.path}: {name!r} names two publishers; expected a name of its own for each app, "
                              "strategy and gateway")  # fmt: skip
    if s.backtest is not None:
        _unit(config, "backtest.duration", s.backtest.duration, units.duration_ns)
        _unit(config, "backtest.order_latency", s.backtest.order_latency, units.duration_ns)
    if s.reconcile is not None:
        for field in ("interval", "lookback", "overlap", "backoff"):
            _unit(config, f"reconcile.{field}", getattr(s.reconcile, field), units.duration_ns)
        for field in ("position_tolerance", "balance_tolerance"):
            _unit(config, f"reconcile.{field}", getattr(s.reconcile, field), units.decimal)
            if units.decimal(getattr(s.reconcile, field))[0] < 0:
                raise config.error(f"reconcile.{field}", getattr(s.reconcile, field), "0 or more")
        if not units.duration_ns(s.reconcile.backoff):
            raise config.error("reconcile.backoff", s.reconcile.backoff, "above 0")
    for where, limits in _limits(s.risk):
        _check_limits(config, where, limits)
    _check_control(config)
    _check_risk_limits(config)


def _check_control(config: Config) -> None:
    """Users, groups, approvals, watches."""
    s = config.system
    _unit(config, "risk.ban", s.risk.ban, units.duration_ns)
    _unit(config, "approval.valid", s.approval.valid, units.duration_ns)
    for key, wanted in (("second_person", s.approval.second_person), ("limits", s.approval.limits)):
        if wanted and len(s.user) < 2:
            raise config.error(f"approval.{key}", wanted, "two [user.NAME] tables, so that there is a second person")
    logins = [user.login or name for name, user in s.user.items()]
    for name, user in s.user.items():
        if logins.count(user.login or name) > 1:
            raise config.error(f"user.{name}.login", user.login or name, "a login of its own for each user")
    for name, group in s.group.items():
        _enum(config, f"group.{name}.type", group.type, GroupType)
        members: dict[str, dict[str, Any]] = {
            "accounts": s.account, "strategies": s.strategy, "instruments": s.instrument, "users": s.user,
        }  # fmt: skip
        for key, known in members.items():
            for member in getattr(group, key):
                _name(config, f"group.{name}.{key}", member, known, key.removesuffix("s"))
    for name, watch in s.watch.items():
        key = f"watch.{name}"
        _unit(config, f"{key}.interval", watch.interval, units.duration_ns)
        if not 10**6 <= units.duration_ns(watch.interval) <= 86400 * 10**9:
            raise config.error(f"{key}.interval", watch.interval, "'1ms' to '1d'")
        if watch.who:
            beating = {name: app for name, app in config.apps.items() if granted(SourceRole[app.role.upper()], Heartbeat.KIND)}
            _name(config, f"{key}.who", watch.who, {**beating, **s.strategy}, "strategy, or app whose role may say heartbeats,")
        if not (watch.alert or watch.pause or watch.cancel_all or watch.kill):
            raise ConfigError(f"{config.path}: {key}: nothing is ever done; expected alert, pause, cancel_all or kill")


def _check_replication(config: Config) -> None:
    found, policy = config.system.replication, config.system.session.durability
    if "replicated" in policy.lower() and not (found and found.required):
        raise config.error(
            "session.durability",
            policy,
            "durable or written, or a [replication.follower.NAME] with required = true to wait for",
        )
    if found is None:
        return
    for key, text in [("listen", found.listen), *((f"peers[{i}]", text) for i, text in enumerate(found.peers))]:
        try:
            endpoint(text)
        except ValueError as error:
            raise ConfigError(f"{config.path}: replication.{key} = {error}") from None
    files = (found.certificate, found.key, found.authority)
    if any(files) and not all(files):
        raise ConfigError(f"{config.path}: replication: certificate, key and authority belong together: all three, or none")
    for name, remote in found.publisher.items():
        _enum(config, f"replication.publisher.{name}.role", remote.role, SourceRole)
    nodes = [follower.node for follower in found.follower.values()]
    for name, follower in found.follower.items():
        if nodes.count(follower.node) > 1:
            raise config.error(f"replication.follower.{name}.node", follower.node, "a number of its own for each follower")


def _check_instrument(config: Config, key: str, i: Instrument) -> None:
    s = config.system
    _name(config, f"{key}.venue", i.venue, s.venue, "venue")
    _name(config, f"{key}.base", i.base, s.currency, "currency")
    _name(config, f"{key}.quote", i.quote, s.currency, "currency")
    _enum(config, f"{key}.type", i.type, InstrumentType)
    for field in ("price_decimals", "quantity_decimals"):
        if not 0 <= getattr(i, field) <= DECIMALS_MAX:
            raise config.error(f"{key}.{field}", getattr(i, field), f"0 to {DECIMALS_MAX}")
    for field in ("tick", "lot", "multiplier", "min_quantity", "max_quantity"):
        if getattr(i, field) or field not in ("min_quantity", "max_quantity"):
            _above_zero(config, f"{key}.{field}", getattr(i, field))
    for field in ("maker_fee", "taker_fee"):
        _unit(config, f"{key}.{field}", getattr(i, field), lambda t: units.rate_e12(t.removeprefix("-")))
    quantities = [(field, i.quantity_decimals) for field in ("lot", "min_quantity", "max_quantity") if getattr(i, field)]
    for field, decimals in (("tick", i.price_decimals), *quantities):
        _, exponent = units.decimal(getattr(i, field))
        if -exponent > decimals:
            raise config.error(f"{key}.{field}", getattr(i, field), f"at most {decimals} decimals")


def _above_zero(config: Config, key: str, found: str) -> None:
    _unit(config, key, found, units.decimal)
    if units.decimal(found)[0] <= 0:
        raise config.error(key, found, "a number above 0")


def _check_hosts(config: Config) -> None:
    s = config.system
    known = {**config.apps, **s.strategy}
    at: dict[str, str] = {}
    for name, host in s.host.items():
        key = f"host.{name}.apps"
        if not host.apps:
            raise config.error(key, host.apps, "at least one app or strategy")
        for app in host.apps:
            _name(config, key, app, known, "app or strategy")
            if app in at:
                raise config.error(key, app, f"each app in one host; this one is in host.{at[app]} too")
            at[app] = name
    for name, host in s.host.items():
        processes = {"sequencer", *(f"gateway-{g}" for g in s.gateway), *(f"exchange-{e}" for e in s.exchange)}
        if name in processes or (name in known and name not in host.apps):
            raise ConfigError(f"{config.path}: host.{name}: the name of another process; expected a name of its own")
        if host.copies > 1 and f"{name}-{host.copies}" in {*processes, *known, *s.host}:
            raise config.error(f"host.{name}.copies", host.copies, f"1: another process has the name {name}-{host.copies}")
        if host.copies > 1 and host.cpu is not None:
            raise config.error(f"host.{name}.cpu", host.cpu, "none, where copies = 2: two processes cannot have one core each")


def _check_strategies(config: Config) -> None:
    s = config.system
    for name, table in s.strategy.items():
        key = f"strategy.{name}"
        if not isinstance(table.get("class"), str):
            raise config.error(f"{key}.class", table.get("class"), "'package.module:ClassName'")
        _name(config, f"{key}.account", table.get("account"), s.account, "account")
        if "owner" in table:
            _name(config, f"{key}.owner", table["owner"], s.user, "user")
        try:
            app = load_class(table["class"])()
            app.configure(config.parameters_of(name))
            app.snapshot()  # what it holds at its start must be state: no floats, no sets
        except AppConfigError as error:
            raise ConfigError(f"{config.path}: {key}.{error}") from None
        except msgspec.ValidationError as error:
            line = _locate(config.path, config.parameters_of(name), str(error), load_class(table["class"])().configure)
            raise ConfigError(line.replace(f"{config.path}: ", f"{config.path}: {key}.", 1)) from None
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{config.path}: {key}.{error}") from None
        except OperatingError:
            raise
        except Exception as error:  # its author's mistake, whatever it is, and no bug of ours
            at = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {error} ({at.filename}:{at.lineno}, in {at.name})"
            raise ConfigError(f"{config.path}: {key}: cannot be started: {said}") from error


def _limits(risk: Risk) -> list[tuple[str, Limits]]:
    found = [("risk.default", risk.default)] if risk.default else []
    found += [(f"risk.strategy.{n}", limits) for n, limits in risk.strategy.items()]
    found += [(f"risk.instrument.{n}", limits) for n, limits in risk.instrument.items()]
    return found


def _check_limits(config: Config, where: str, limits: Limits) -> None:
    s = config.system
    _, scope, *name = where.split(".", 2)
    if scope == "strategy":
        _name(config, where, name[0], s.strategy, "strategy")
    if scope == "instrument":
        _name(config, where, name[0], s.instrument, "instrument")
    for field in ("max_order_qty", "max_position"):
        if getattr(limits, field):
            _above_zero(config, f"{where}.{field}", getattr(limits, field))
    _enum(config, f"{where}.action", limits.action, LimitAction)
    if limits.max_working_orders < 0:
        raise config.error(f"{where}.max_working_orders", limits.max_working_orders, "0 (no limit) or more")
    if limits.max_order_notional:
        _unit(config, f"{where}.max_order_notional", limits.max_order_notional, units.amount)
        _, currency = units.amount(limits.max_order_notional)
        _name(config, f"{where}.max_order_notional", currency, s.currency, "currency")
    if limits.price_collar:
        _unit(config, f"{where}.price_collar", limits.price_collar, units.rate_e12)
    if limits.max_messages is not None:
        if limits.max_messages.count < 1:
            raise config.error(f"{where}.max_messages.count", limits.max_messages.count, "1 or more")
        _unit(config, f"{where}.max_messages.window", limits.max_messages.window, units.duration_ns)


def _check_risk_limits(config: Config) -> None:
    s = config.system
    known: dict[str, dict[str, Any]] = {
        "venue": s.venue, "group": s.group, "account": s.account, "strategy": s.strategy, "instrument": s.instrument,
        "currency": s.currency,
    }  # fmt: skip
    for n, entry in enumerate(s.risk.limits, 1):
        where = f"risk.limits[{n}]"

        def found(kind: str, name: str, where: str = where) -> int:
            key = f"{where}.{kind}" if kind != "currency" else f"{where}.hard"
            _name(config, key, name, known[kind], kind)
            return list(known[kind]).index(name) + 1

        try:
            limit_message(entry, found)
        except WrongLimit as wrong:
            raise config.error(f"{where}.{wrong.key}", wrong.found, wrong.expected) from None


def _name(config: Config, key: str, found: Any, known: dict[str, Any], what: str) -> None:
    if found not in known:
        names = ", ".join(known) or f"none; add a [{what}.NAME] table"
        raise config.error(key, found, f"a {what} of this file ({names})")


def _enum(config: Config, key: str, found: str, enum: Any) -> None:
    if found.upper() not in enum.__members__ or found.upper() == "UNDEFINED":
        raise config.error(key, found, "one of " + ", ".join(m.lower() for m in enum.__members__ if m != "UNDEFINED"))


def _unit(config: Config, key: str, found: str, parse_unit: Callable[[str], Any]) -> None:
    try:
        parse_unit(found)
    except units.WrongUnit as error:
        raise ConfigError(f"{config.path}: {key} = {error}") from None
