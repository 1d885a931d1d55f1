"""The loader: turns a configuration into frames. From then on the stream is the configuration.

Ids are given out once: a name that the journal has defined already keeps its id, and a definition that has not changed is
not said again. So starting a session on an existing journal adds only what is new.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from apps.discovery import CLASS_ITEM
from journal.frames import frames
from journal.messages import (
    NULL_I128,
    AccountDefined,
    AccountType,
    ConfigApplied,
    ConfigItem,
    ConfigScope,
    ContractType,
    CurrencyDefined,
    CurrencyType,
    DestinationDefined,
    GroupDefined,
    GroupMember,
    GroupType,
    IdScheme,
    InstrumentDefined,
    InstrumentStatus,
    InstrumentType,
    LimitAction,
    Message,
    OwnershipDefined,
    PositionMode,
    Priority,
    QuantityType,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    SourceDefined,
    SourceRole,
    StrategyDefined,
    Transport,
    UserDefined,
    ValueType,
    VenueDefined,
    VenueType,
)
from lockstep import units, venue_offers
from lockstep.budgets import rule as budget_rule
from lockstep.config import Config, ConfigError, Group, Instrument, Limits
from lockstep.control import control_parameters
from lockstep.risk_limits import limit_message

M = TypeVar("M", bound=Message)

_ID_FIELD: dict[type[Message], str] = {
    CurrencyDefined: "currency",
    VenueDefined: "venue",
    AccountDefined: "account",
    UserDefined: "user",
    StrategyDefined: "strategy",
    GroupDefined: "group",
    InstrumentDefined: "instrument",
    DestinationDefined: "destination",
}
_CLASS_OF: dict[str, type[Message]] = {
    "venue": VenueDefined, "group": GroupDefined, "account": AccountDefined, "strategy": StrategyDefined,
    "instrument": InstrumentDefined, "currency": CurrencyDefined,
}  # fmt: skip
_DEFINING: list[type[Message]] = [SourceDefined, ConfigItem, ConfigApplied, RiskLimitSet, OwnershipDefined, *_ID_FIELD]
_KINDS = [c.KIND for c in _DEFINING]


class Known:
    """What the journal has defined so far."""

    def __init__(self, journal: Path) -> None:
        self.sources: dict[str, int] = {}
        self.ids: dict[type[Message], dict[str, int]] = {cls: {} for cls in _ID_FIELD}
        self.said: dict[tuple[type[Message], int], Message] = {}
        self.config: dict[int, dict[str, str]] = {}
        self.generation: dict[int, int] = {}
        self.limits: dict[int, RiskLimitSet] = {}
        self.owners: dict[tuple[int, int], int] = {}
        items: dict[int, dict[str, str]] = {}
        for frame in frames(journal, kinds=_KINDS):
            m = frame.message
            if isinstance(m, SourceDefined):
                self.sources[m.name] = m.source
            elif isinstance(m, ConfigItem):
                items.setdefault(m.owner, {})[m.name] = m.value
            elif isinstance(m, ConfigApplied):
                self.config[m.owner] = items.pop(m.owner, {})
                self.generation[m.owner] = m.generation
            elif isinstance(m, RiskLimitSet):
                self.limits[m.limit] = m
            elif isinstance(m, OwnershipDefined):
                self.owners.pop((m.account, m.instrument), None)
                if m.exclusive:
                    self.owners[m.account, m.instrument] = m.strategy
            elif m is not None:
                number = getattr(m, _ID_FIELD[type(m)])
                self.said[type(m), number] = m
                self.ids[type(m)][_name_of(m)] = number

    def forget(self) -> None:
        """Names keep their ids, and everything is said again: for another stream than the one that was read."""
        for said in (self.said, self.config, self.generation, self.limits, self.owners):
            said.clear()

    def id_of(self, cls: type[Message], name: str) -> int:
        """The id of a name: the one it has, or the next free one."""
        held = self.ids[cls]
        return held.setdefault(name, max(held.values(), default=0) + 1)


def refuse_changed_classes(config: Config) -> None:
    """An app keeps the class that its journal was begun with; parameters may change. ConfigError names one that differs."""
    known = Known(config.journal)
    for app in [*config.apps, *config.system.strategy]:
        held = known.config.get(known.sources.get(app, -1), {}).get(CLASS_ITEM)
        if held is not None and json.loads(held) != config.class_of(app):
            table = "strategy" if app in config.system.strategy else "app"
            raise ConfigError(
                f"{config.path}: {table}.{app}.class = {config.class_of(app)!r}: {config.journal} has {json.loads(held)!r}; "
                "expected the same class, another name for the new one, or another journal"
            )


def _items(config: Config, app: str, known: Known) -> dict[str, str]:
    """An app's class and parameters as the stream says them."""
    path = config.class_of(app)
    given = config.parameters_of(app) | control_parameters(config, path, known.sources, known.ids[StrategyDefined])
    return {CLASS_ITEM: json.dumps(path)} | {k: json.dumps(v) for k, v in given.items()}


def _name_of(m: Any) -> str:
    return f"{m.venue}/{m.account}/{m.gateway}" if isinstance(m, DestinationDefined) else m.name


class Loader:
    """Everything a configuration says, as messages in the order they have to be published."""

    def __init__(self, config: Config, *, journal: Path | None = None, sources: dict[str, int] | None = None) -> None:
        self.config = config
        self.known = Known(journal or config.journal)
        self.known.sources |= sources or {}
        self.out: list[Message] = []

    def messages(self) -> list[Message]:
        """What the stream does not say yet."""
        s = self.config.system
        for name in s.strategy:
            self._id(StrategyDefined, name)  # parameters may name them
        for app in [*self.config.apps, *s.strategy]:
            self._configure(app)
        for name in s.user:
            self._define(UserDefined(user=self._id(UserDefined, name), name=name))
        for name, c in s.currency.items():
            self._define(
                CurrencyDefined(
                    currency=self._id(CurrencyDefined, name),
                    currency_type=CurrencyType[c.type.upper()],
                    ledger_exp=-c.ledger_decimals,
                    name=name,
                )
            )
        for name, v in s.venue.items():
            self._define(
                VenueDefined(
                    venue=self._id(VenueDefined, name),
                    venue_type=VenueType[v.type.upper()],
                    name=name,
                    mic=v.mic,
                    **venue_offers.offered(v, self._natives(name)),
                )
            )
        for name, a in s.account.items():
            self._define(
                AccountDefined(
                    account=self._id(AccountDefined, name),
                    venue=self._id(VenueDefined, a.venue),
                    currency=self._id(CurrencyDefined, a.currency),
                    account_type=AccountType[a.type.upper()],
                    position_mode=PositionMode.NETTING,
                    id_scheme=IdScheme[a.id_scheme.upper()],
                    name=name,
                    external_ref=a.external_ref,
                )
            )
        for name, i in s.instrument.items():
            self._define(self._instrument(name, i))
        # A backtest has no gateways: its trading source stands for all of them.
        gateways, destinations = self.known.sources, set[int]()
        for name, g in s.gateway.items():
            venue, account = self._id(VenueDefined, g.venue), self._id(AccountDefined, g.account)
            gateway = gateways.get(f"{name}-trade", gateways.get("trading", 0))
            destination = self._id(DestinationDefined, f"{venue}/{account}/{gateway}")
            if destination in destinations:
                continue
            destinations.add(destination)
            self._define(
                DestinationDefined(
                    destination=destination,
                    venue=venue,
                    account=account,
                    gateway=gateway,
                    transport=Transport.TCP,
                    priority=Priority[g.priority.upper()],
                )
            )
        for name, table in s.strategy.items():
            self._define(
                StrategyDefined(
                    strategy=self._id(StrategyDefined, name),
                    app=self.known.sources[name],
                    owner_user=self._id(UserDefined, table["owner"]) if "owner" in table else 0,
                    default_account=self._id(AccountDefined, table["account"]),
                    name=name,
                )
            )
        for name, group in s.group.items():
            self._define(self._group(name, group))
        self._ownership()
        self._risk()
        return self.out

    def _group(self, name: str, group: Group) -> GroupDefined:
        given: list[tuple[ScopeType, type[Message], list[str]]] = [
            (ScopeType.ACCOUNT, AccountDefined, group.accounts), (ScopeType.STRATEGY, StrategyDefined, group.strategies),
            (ScopeType.INSTRUMENT, InstrumentDefined, group.instruments), (ScopeType.USER, UserDefined, group.users),
        ]  # fmt: skip
        members = [GroupMember(member=self._id(cls, m), member_type=kind) for kind, cls, names in given for m in names]
        group_type = GroupType[group.type.upper()]
        return GroupDefined(group=self._id(GroupDefined, name), group_type=group_type, name=name, members=members)

    def _ownership(self) -> None:
        """Who alone may trade what on an account; what the file does not say any more is given up."""
        wanted = {
            (self._id(AccountDefined, name), self._id(InstrumentDefined, symbol)): self._id(StrategyDefined, strategy)
            for name, account in self.config.system.account.items()
            for symbol, strategy in account.owners.items()
        }
        for (account, instrument), strategy in wanted.items():
            if self.known.owners.get((account, instrument)) != strategy:
                self.out.append(OwnershipDefined(account=account, instrument=instrument, strategy=strategy, exclusive=1))
        for account, instrument in self.known.owners.keys() - wanted.keys():
            self.out.append(OwnershipDefined(account=account, instrument=instrument))

    def _id(self, cls: type[Message], name: str) -> int:
        return self.known.id_of(cls, name)

    def _define(self, message: Message) -> None:
        key = (type(message), getattr(message, _ID_FIELD[type(message)]))
        if self.known.said.get(key) != message:
            self.out.append(message)

    def _settings(self, app: str) -> dict[str, str]:
        """What other tables of the file say to an app, as it gets it: ids instead of names."""
        role = self.config.apps[app].role.upper() if app in self.config.apps else ""
        if role == SourceRole.RISK.name:
            return self._dead_men()
        if role != SourceRole.OMS.name:
            return {}
        rules = [
            budget_rule(budget, name=f"{venue}.{name}", venue=self._id(VenueDefined, venue))
            for venue, v in self.config.system.venue.items()
            for name, budget in v.budget.items()
        ]
        items = {"budgets": json.dumps(msgspec.to_builtins(rules))} if rules else {}
        if (routing := self.config.system.routing) is not None:
            down_ns = units.duration_ns(routing.down_for)
            items["routing"] = json.dumps({"failures_before_down": routing.failures_before_down, "down_ns": down_ns})
        return items

    def _dead_men(self) -> dict[str, str]:
        found = [
            [self._id(VenueDefined, name), units.duration_ns(v.dead_man)]
            for name, v in self.config.system.venue.items()
            if v.dead_man and "dead_man" in self._natives(name)
        ]
        return {"dead_men": json.dumps(found)} if found else {}

    def _natives(self, venue: str) -> list[str]:
        """What a venue does itself; the venue of a backtest does some of it."""
        natives = self.config.system.natives(venue)
        return [n for n in natives if n in venue_offers.BACKTESTED] if "trading" in self.known.sources else natives

    def _configure(self, app: str) -> None:
        owner = self.known.sources[app]
        items = _items(self.config, app, self.known) | self._settings(app)
        if self.known.config.get(owner) == items:
            return
        generation = self.known.generation.get(owner, 0) + 1
        digest = hashlib.blake2b(digest_size=32)
        for name, value in items.items():
            digest.update(f"{name}={value}\n".encode())
            self.out.append(
                ConfigItem(
                    owner=owner,
                    generation=generation,
                    scope=ConfigScope.SOURCE,
                    value_type=ValueType.TEXT,
                    name=name,
                    value=value,
                )
            )
        self.out.append(ConfigApplied(owner=owner, generation=generation, items=len(items), digest=digest.digest()))

    def _instrument(self, name: str, i: Instrument) -> InstrumentDefined:
        def px(text: str) -> int:
            return int(Decimal(text).scaleb(i.price_decimals))

        def qty(text: str, default: int = 0) -> int:
            return int(Decimal(text).scaleb(i.quantity_decimals)) if text else default

        quote = self._id(CurrencyDefined, i.quote)
        multiplier, multiplier_exp = units.decimal(i.multiplier)
        m = InstrumentDefined(
            instrument=self._id(InstrumentDefined, name),
            venue=self._id(VenueDefined, i.venue),
            instrument_type=InstrumentType[i.type.upper()],
            instrument_status=InstrumentStatus.ACTIVE,
            contract=ContractType.LINEAR,
            quantity_type=QuantityType.UNITS,
            px_exp=-i.price_decimals,
            qty_exp=-i.quantity_decimals,
            tick_px=px(i.tick),
            lot_qty=qty(i.lot),
            min_qty=qty(i.min_quantity, qty(i.lot)),
            multiplier=multiplier,
            multiplier_exp=multiplier_exp,
            base_currency=self._id(CurrencyDefined, i.base),
            quote_currency=quote,
            settlement_currency=quote,
            commission_currency=quote,
            maker_rate=_signed_rate(i.maker_fee),
            taker_rate=_signed_rate(i.taker_fee),
            min_notional=NULL_I128,
            name=name,
        )
        if i.max_quantity:
            m.max_qty = qty(i.max_quantity)
        return m

    def _risk(self) -> None:
        r = self.config.system.risk
        rows: list[tuple[RiskLimitSet, Limits]] = []
        if r.default:
            rows.append((RiskLimitSet(scope_type=ScopeType.GLOBAL), r.default))
        for name, limits in r.strategy.items():
            scope = RiskLimitSet(scope_type=ScopeType.STRATEGY, scope_strategy=self._id(StrategyDefined, name))
            rows.append((scope, limits))
        for name, limits in r.instrument.items():
            scope = RiskLimitSet(scope_type=ScopeType.INSTRUMENT, scope_instrument=self._id(InstrumentDefined, name))
            rows.append((scope, limits))
        wanted: list[RiskLimitSet] = []
        for scope, limits in rows:
            action = LimitAction[limits.action.upper()]
            for check, hard, exp, period_ns, currency in self._limits(limits):
                wanted.append(
                    RiskLimitSet(
                        scope_type=scope.scope_type,
                        scope_strategy=scope.scope_strategy,
                        scope_instrument=scope.scope_instrument,
                        generation=1,
                        check=check,
                        hard=hard,
                        exp=exp,
                        period_ns=period_ns,
                        currency=currency,
                        action=action,
                    )
                )
        wanted += [limit_message(entry, lambda kind, name: self._id(_CLASS_OF[kind], name)) for entry in r.limits]
        for number, m in enumerate(wanted, 1):
            m.limit = number
            held = self.known.limits.get(number)
            if held is not None:
                m.generation = held.generation
                if m == held:
                    continue
                m.generation += 1
            self.out.append(m)
        last = len(wanted)
        for number, held in self.known.limits.items():
            if number > last and held.valid_until_ts == 0:
                # Taken out of the file: what the journal holds ends at once.
                ended = msgspec.structs.replace(held, generation=held.generation + 1, valid_until_ts=1)
                self.out.append(ended)

    def _limits(self, limits: Limits) -> list[tuple[int, int, int, int, int]]:
        """(check, hard, exp, period_ns, currency) of each limit given."""
        found: list[tuple[int, int, int, int, int]] = []
        if limits.max_order_qty:
            found.append((RiskCheck.QUANTITY_LIMITS, *units.decimal(limits.max_order_qty), 0, 0))
        if limits.max_order_notional:
            value, currency = units.amount(limits.max_order_notional)
            number, exp = units.decimal(str(value))
            found.append((RiskCheck.ORDER_NOTIONAL, number, exp, 0, self._id(CurrencyDefined, currency)))
        if limits.max_position:
            found.append((RiskCheck.POSITION, *units.decimal(limits.max_position), 0, 0))
        if limits.max_working_orders:
            found.append((RiskCheck.WORKING_ORDERS, limits.max_working_orders, 0, 0, 0))
        if limits.price_collar:
            found.append((RiskCheck.PRICE_COLLAR, units.rate_e12(limits.price_collar), -12, 0, 0))
        if limits.max_messages is not None:
            window = units.duration_ns(limits.max_messages.window)
            found.append((RiskCheck.ORDER_RATE, limits.max_messages.count, 0, window, 0))
        return found


def _signed_rate(text: str) -> int:
    rate = units.rate_e12(text.removeprefix("-"))
    return -rate if text.startswith("-") else rate
