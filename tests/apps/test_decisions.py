"""Plain orders decided in C: the decisions, the reservations and the state are those of riskengine.engine, whatever the world
and the order are like."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import apps.group
from apps.ledger import Ledger
from apps.risk import RiskApp
from journal.messages import (
    NULL,
    NULL_I128,
    AccountDefined,
    BookState,
    BookStateCode,
    CancelOrder,
    CheckOutcome,
    CurrencyDefined,
    CxlRejResponseTo,
    Decision,
    ExecInst,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    GroupDefined,
    GroupMember,
    InstrumentDefined,
    InstrumentStatus,
    KillRelease,
    KillSwitch,
    LimitAction,
    MarketStatus,
    Message,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    ParentOrder,
    QuantityType,
    RateLimit,
    RateLimitType,
    RateLimitUsage,
    ReplaceOrder,
    ReportFlag,
    RiskCheck,
    RiskDecision,
    RiskLimitSet,
    ScopeType,
    Side,
    SourceDefined,
    SourceRole,
    TickStep,
    TickTable,
    TimeInForce,
    TopOfBook,
    TradingState,
    TradingStateSet,
    TradingStatus,
    VenueDefined,
    order_id_of,
    replace_hash,
)
from riskengine.checks import CHECKS
from riskengine.flat import KNOWN
from tests.apps.stream import MANY, Stream
from tests.apps.told import watch

pytestmark = pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")

MARKET, GATEWAY, RISK, BOOKS = 3, 4, 6, 10
SOURCES = (9, 11)
Frame = tuple[int, Message]


class InPython(RiskApp):
    """The reference: nothing is decided in C."""

    def natives(self) -> dict[int, Any]:
        return {}


def world() -> list[Frame]:
    """What there is when the day begins."""
    said: list[Frame] = [
        (0, SourceDefined(source=n, role=role))
        for n, role in ((GATEWAY, SourceRole.TRADING), (BOOKS, SourceRole.BOOKS), (9, SourceRole.ALGO), (11, SourceRole.ALGO))
    ]
    said += [(2, CurrencyDefined(currency=1, ledger_exp=-4))]
    for account in (7, 8):
        said += [
            (2, AccountDefined(account=account, venue=1, currency=1)),
            (GATEWAY, GatewayStatus(venue=1, account=account, phase=GatewayPhase.READY)),
        ]
    for n in (1, 2, 3):
        said += [
            (2, InstrumentDefined(instrument=n, venue=1, px_exp=-2, qty_exp=-1, tick_px=5, lot_qty=2, quote_currency=1)),
            (BOOKS, BookState(instrument=n, state=BookStateCode.LIVE)),
            (BOOKS, TopOfBook(instrument=n, bid_px=9_990, bid_qty=5, ask_px=10_010, ask_qty=5)),
        ]
    return said


instruments = st.sampled_from((1, 2, 3))


def usually(first: int, *others: int) -> st.SearchStrategy[int]:
    """The first three times out of four: an owner's second order is the first that C decides."""
    return st.sampled_from((*(first,) * 3 * len(others), *others))


mostly = st.integers(0, 9).map(bool)
"""True nine times out of ten."""


MARKET_ORDER: dict[str, Any] = {"ord_type": OrdType.MARKET, "price_px": NULL}


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    """The next order of a source: plain ones above all, and all kinds of others. `again`: its number was used before."""
    plain = draw(mostly)
    terms: dict[str, Any] = {
        "source": draw(usually(9, 11)),
        "account": draw(usually(7, 8)),
        "strategy": draw(usually(1, 2)),
        "user": 0,
        "instrument": draw(usually(1, 2)),
        "side": draw(st.sampled_from((Side.BUY, Side.SELL))),
        "ord_type": OrdType.LIMIT,
        "tif": draw(usually(TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK)),
        "order_qty": draw(usually(2, 10, 40, 400, 3)),
        "price_px": draw(usually(10_000, 9_990, 10_010, 9_000, 10_001)),
    }
    if plain:
        return terms | (MARKET_ORDER if draw(st.integers(0, 4)) == 0 else {})
    odd: dict[str, Any] = {
        "side": Side.SELL_SHORT,
        "ord_type": OrdType.MARKET,
        "tif": TimeInForce.GTD,
        "order_qty": draw(st.sampled_from((0, -2, 1 << 61, 1 << 62))),
        "price_px": draw(st.sampled_from((0, -5, NULL, 1 << 61, 1 << 62))),
        "user": 3,
        "instrument": 4,
        "account": 5,
        "exec_inst": draw(st.sampled_from((ExecInst.PARTICIPATE_DO_NOT_INITIATE, ExecInst.DO_NOT_INCREASE, ExecInst.EMULATED))),
        "quantity_type": draw(st.sampled_from((QuantityType.UNITS, QuantityType.CONTRACTS, QuantityType.QUOTE_AMOUNT))),
        "display_qty": 2,
        "min_qty": 2,
        "expire_ts": 1 << 60,
        "stop_px": 10_000,
        "leverage": 2,
        "margin_mode": 1,
        "stp_mode": 1,
        "position_effect": 1,
        "trigger": 1,
        "trail_type": 1,
        "peg_type": 1,
        "list_id": 5,
        "parent_order_id": 5,
        "release_ts": 1 << 60,
        "leverage_exp": 1,
        "again": True,
        "foreign": True,
        "skip": 3,
    }
    for name in draw(st.lists(st.sampled_from(sorted(odd)), min_size=1, max_size=2, unique=True)):
        terms[name] = odd[name]
    return terms


_SCOPES: tuple[dict[str, Any], ...] = (
    {"scope_type": ScopeType.GLOBAL},
    {"scope_type": ScopeType.ACCOUNT, "scope_account": 7},
    {"scope_type": ScopeType.STRATEGY, "scope_strategy": 1},
    {"scope_type": ScopeType.INSTRUMENT, "scope_instrument": 2},
    {"scope_type": ScopeType.ACCOUNT_INSTRUMENT, "scope_account": 7, "scope_instrument": 1},
    {"scope_type": ScopeType.GROUP, "scope_group": 1},
    {"scope_type": ScopeType.VENUE, "scope_venue": 1},
)
_COMMON: tuple[tuple[RiskCheck, tuple[int, ...], int], ...] = (
    (RiskCheck.QUANTITY_LIMITS, (10, 40, 1000), -1),
    (RiskCheck.PRICE_COLLAR, (1, 5, 500), -3),
    (RiskCheck.ORDER_NOTIONAL, (1_000, 40_000, 1 << 50), -2),
    (RiskCheck.WORKING_ORDERS, (1, 3, 100), 0),
    (RiskCheck.POSITION, (10, 100, 100_000), -1),
    (RiskCheck.ORDER_RATE, (2, 5, 100), 0),
    (RiskCheck.BOOK_VERIFIED_FRESH, (3, 2_000, 1 << 60), 0),
)
_LIMITED = (
    *_COMMON,
    (RiskCheck.DUPLICATE, (1,), 0),
    (RiskCheck.SELF_TRADE, (0,), 0),
    (RiskCheck.GROSS_EXPOSURE, (1 << 40,), -2),
    (RiskCheck.KILL_SWITCH, (0,), 0),
    (RiskCheck.REDUCE_ONLY, (0,), 0),
    (RiskCheck.VENUE_CAPABILITY, (0,), 0),
    (RiskCheck.PRICE_INCREMENT, (0,), 0),
    (RiskCheck.NOTIONAL_LIMITS, (0,), 0),
    (RiskCheck.REJECT_LOOP, (1,), 0),
)


@st.composite
def limits(draw: st.DrawFn, *, common: bool = False) -> Message:
    """A limit on one of the checks. `common`: that C knows, and that lasts."""
    check, bounds, exp = draw(st.sampled_from(_COMMON if common else _LIMITED))
    hard = draw(st.sampled_from((*bounds, bounds[-1], NULL)))
    return RiskLimitSet(
        limit=draw(st.integers(1, 12)),
        check=check,
        hard=hard,
        warn=draw(st.sampled_from((0, 0, bounds[0]))),
        exp=exp,
        period_ns=draw(st.sampled_from((0, 3_000, 1 << 50))),
        currency=draw(st.sampled_from((0, 0, 1, 2))),
        side=draw(st.sampled_from((0, 0, Side.BUY))),
        generation=draw(st.integers(1, 3)),
        valid_until_ts=0 if common else draw(st.sampled_from((0, 0, 0, 1 << 60))),
        action=draw(
            st.sampled_from(
                (LimitAction.REJECT, LimitAction.REJECT, LimitAction.WARN, LimitAction.REDUCE_ONLY, LimitAction.BAN)
            )
        ),
        ban_ms=1,
        **draw(st.sampled_from(_SCOPES)),
    )


@st.composite
def definitions(draw: st.DrawFn) -> Message:
    """An instrument as it is from now on."""
    some = st.sampled_from((NULL, NULL, 10, 9_995))
    return InstrumentDefined(
        instrument=draw(instruments),
        venue=1,
        px_exp=draw(st.integers(-4, 0)),
        qty_exp=draw(st.integers(-4, 1)),
        tick_px=draw(st.sampled_from((NULL, 0, 5, 10))),
        lot_qty=draw(st.sampled_from((NULL, 0, 1, 2))),
        quote_currency=draw(st.sampled_from((1, 1, 2))),
        min_qty=draw(st.sampled_from((NULL, 4))),
        max_qty=draw(st.sampled_from((NULL, 40))),
        market_max_qty=draw(st.sampled_from((NULL, 10))),
        post_only_max_qty=draw(st.sampled_from((NULL, 10))),
        min_px=draw(some),
        max_px=draw(st.sampled_from((NULL, NULL, 10_000))),
        max_orders=draw(st.sampled_from((0, 0, 2))),
        multiplier=draw(st.sampled_from((1, 10, NULL, 1 << 60))),
        multiplier_exp=draw(st.integers(-2, 2)),
        contract=draw(st.sampled_from((0, 0, 0, 1, 2))),
        expiry_ts=draw(st.sampled_from((0, 0, 1 << 60, 1))),
        instrument_status=draw(
            st.sampled_from((0, InstrumentStatus.ACTIVE, InstrumentStatus.ACTIVE, InstrumentStatus.SUSPENDED))
        ),
        min_notional=draw(st.sampled_from((NULL_I128, NULL_I128, 0, 500_000, 1 << 100))),
        max_notional=draw(st.sampled_from((NULL_I128, NULL_I128, 1 << 40, 1 << 100, 10))),
        band_up_rate=draw(st.sampled_from((NULL, NULL, NULL, 10**10))),
    )


@st.composite
def happenings(draw: st.DrawFn) -> Frame:
    """Something that is not an order."""
    n, some = draw(instruments), draw(st.integers(0, 15))
    px = draw(st.sampled_from((9_990, 9_980, NULL, -5)))
    ts = TradingStatus
    account = draw(st.sampled_from((7, 8)))
    choices: tuple[Frame, ...] = (
        (
            BOOKS,
            TopOfBook(
                instrument=n, bid_px=px, bid_qty=1, ask_px=draw(st.sampled_from((10_010, 10_010, NULL, 0, 1 << 61))), ask_qty=1
            ),
        ),
        (
            BOOKS,
            BookState(instrument=n, state=draw(st.sampled_from((BookStateCode.LIVE, BookStateCode.LIVE, BookStateCode.STALE)))),
        ),
        (
            GATEWAY,
            MarketStatus(instrument=n, trading_status=draw(st.sampled_from((ts.OPEN, ts.FAST_MARKET, ts.HALT, ts.POST_ONLY)))),
        ),
        (
            GATEWAY,
            GatewayStatus(
                venue=1, account=account, phase=draw(st.sampled_from((GatewayPhase.READY, GatewayPhase.DISCONNECTED)))
            ),
        ),
        (2, draw(limits())),
        (2, draw(limits())),
        (2, draw(limits())),
        (2, draw(definitions())),
        (
            2,
            TickTable(
                instrument=n,
                steps=[TickStep(from_px=0, tick_px=5), TickStep(from_px=10_000, tick_px=draw(st.sampled_from((10, 1))))],
            ),
        ),
        (
            2,
            VenueDefined(
                venue=1,
                ord_types=draw(st.sampled_from((0, 0b110, 0b10, 0b100))),
                tifs=draw(st.sampled_from((1 << TimeInForce.GTC, 0b110110))),
                exec_insts=draw(st.integers(0, 3)),
                quantity_types=0b100,
            ),
        ),
        (2, GroupDefined(group=1, members=[GroupMember(member=draw(st.sampled_from((7, 8))), member_type=ScopeType.ACCOUNT)])),
        (12, KillSwitch(kill=1, level=1, scope_type=ScopeType.ACCOUNT, scope_account=7)),
        (12, KillRelease(kill=1)),
        (
            12,
            TradingStateSet(
                state=draw(st.sampled_from((TradingState.ACTIVE, TradingState.HALTED))),
                scope_type=ScopeType.STRATEGY,
                scope_strategy=1,
            ),
        ),
        (
            GATEWAY,
            RateLimitUsage(
                account=account,
                venue=1,
                limits=[RateLimit(limit_type=RateLimitType.ORDER_ACTION, limit=100, used=1, period_ns=10**9)],
            ),
        ),
        (2, CurrencyDefined(currency=draw(st.sampled_from((1, 2))), ledger_exp=draw(st.sampled_from((-4, -8, 2))))),
    )
    return choices[some]


class Replace(NamedTuple):
    """Other terms for an order that is open, or once was. `source`: who asks, None: whose it is."""

    nth: int
    terms: dict[str, int]
    source: int | None = None


class Cancel(NamedTuple):
    """An order is to end."""

    nth: int
    source: int | None = None


class News(NamedTuple):
    """What the OMS says of an order: a report; without a type, that a replace was refused. `part`: half of what is left is
    traded; the second of the replaces that wait is meant."""

    nth: int
    exec_type: ExecType | None
    part: bool = False


nths = usually(0, -1, 1, 7)
"""Mostly the same few orders: a replace is to be answered, and filled meanwhile."""


@st.composite
def replaces(draw: st.DrawFn) -> Replace:
    """Up and down in price and quantity, and all kinds of others."""
    terms = {
        "order_qty": draw(usually(2, 10, 40, NULL, 400, 3)),
        "price_px": draw(usually(10_000, 9_990, 10_010, NULL, 9_000, 10_001)),
    }
    if draw(st.integers(0, 3)):
        return Replace(draw(nths), terms)
    odd = {
        "order_qty": draw(st.sampled_from((0, -2, 1 << 61, 1 << 62))),
        "price_px": draw(st.sampled_from((0, -5, 1 << 61, 1 << 62))),
        "stop_px": 10_000,
        "display_qty": 2,
        "expire_ts": 1 << 60,
        "release_ts": 1 << 60,
        "version": 2,
    }
    names = draw(st.lists(st.sampled_from(sorted(odd)), max_size=2, unique=True))
    return Replace(draw(nths), terms | {n: odd[n] for n in names}, draw(st.sampled_from((None, *SOURCES, 12))))


cancels = st.builds(Cancel, nths, st.sampled_from((None, None, *SOURCES)))
news = st.builds(
    News,
    nths,
    st.sampled_from(
        (
            *(ExecType.NEW, ExecType.TRADE, ExecType.TRADE, ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED),
            *(ExecType.UNKNOWN, ExecType.PENDING_CANCEL),
            *(ExecType.PENDING_REPLACE, ExecType.PENDING_REPLACE, ExecType.REPLACED, ExecType.REPLACED, ExecType.ORDER_STATUS),
            None,
        )
    ),
    st.booleans(),
)
items = st.sampled_from((*(orders(),) * 3, *(replaces(),) * 4, *(news,) * 5, cancels, happenings())).flatmap(lambda kind: kind)
days = st.lists(items, min_size=10, max_size=60)
rules = st.lists(limits(common=True), max_size=4)
"""What is limited when the day begins."""


PLAIN: dict[str, Any] = {
    "source": 9,
    "account": 7,
    "strategy": 1,
    "user": 0,
    "instrument": 1,
    "side": Side.BUY,
    "ord_type": OrdType.LIMIT,
    "tif": TimeInForce.GTC,
    "order_qty": 2,
    "price_px": 10_000,
}
"""The order that C decides from its third time on."""


@dataclass
class Open:
    """An order as the OMS has it."""

    m: NewOrder
    order_qty: int
    price_px: int
    cum_qty: int = 0
    wanted: list[tuple[int, int, int]] = field(default_factory=list)
    """Replaces that are not answered: frame, quantity, price."""


_ENDS: dict[int, OrdStatus] = {
    ExecType.CANCELED: OrdStatus.CANCELED,
    ExecType.EXPIRED: OrdStatus.EXPIRED,
    ExecType.REJECTED: OrdStatus.REJECTED,
}
_LIVES: dict[int, OrdStatus] = {
    ExecType.PENDING_CANCEL: OrdStatus.PENDING_CANCEL,
    ExecType.PENDING_REPLACE: OrdStatus.PENDING_REPLACE,
    ExecType.UNKNOWN: OrdStatus.UNKNOWN,
}


_ABOUT_REPLACES = (ExecType.PENDING_REPLACE, ExecType.REPLACED, ExecType.ORDER_STATUS, ExecType.NEW)
"""That one is taken up, in force, or given up."""


class Day:
    """The frames of a day, given to one risk engine."""

    def __init__(self, folder: str, app: type[RiskApp]) -> None:
        self.stream = Stream(Path(folder))
        self.slot = self.stream.add("risk", app(), RISK)
        self.in_python: Counter[str] = Counter()
        self.last = dict.fromkeys(SOURCES, 0)
        self.asked: list[Open] = []
        for name in ("on_new_order", "on_replace_order", "on_cancel_order", "on_execution_report"):
            self._count(name)
        for source, m in world():
            self.stream.input(m, source=source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def _count(self, name: str) -> None:
        handler = getattr(self.slot.app.engine, name)

        def counted(m: Message) -> None:
            self.in_python[name] += 1
            handler(m)

        setattr(self.slot.app.engine, name, counted)

    def play(self, item: Any) -> None:
        """One item of a day."""
        match item:
            case dict():
                self._order(**item)
            case Replace() | Cancel() | News():
                if self.asked:
                    self._about(self.asked[item.nth % len(self.asked)], item)
            case _:
                self.stream.input(item[1], source=item[0])

    def _order(self, *, source: int, again: bool = False, foreign: bool = False, skip: int = 1, **terms: Any) -> None:
        number = self.last[source] = max(self.last[source] + (0 if again else skip), 1)
        m = NewOrder(order_id=order_id_of(source + (1 if foreign else 0), number), **terms)
        self.stream.input(m, source=source)
        if not again and not foreign and m.order_qty > 0:
            self.asked.append(Open(m, m.order_qty, m.price_px))

    def _about(self, order: Open, item: Replace | Cancel | News) -> None:
        order_id = order.m.order_id
        owner = order_id >> 48
        match item:
            case Replace(_, terms, source):
                seq = self.stream.input(ReplaceOrder(order_id=order_id, **terms), source=source or owner)
                qty, px = terms["order_qty"], terms["price_px"]
                order.wanted.append((seq, order.order_qty if qty == NULL else qty, order.price_px if px == NULL else px))
            case Cancel(_, source):
                self.stream.input(CancelOrder(order_id=order_id), source=source or owner)
            case News(_, None, part):
                response = CxlRejResponseTo.CANCEL if part else CxlRejResponseTo.REPLACE
                self.stream.input(OrderCancelReject(order_id=order_id, response_to=response), source=5)
            case News(_, exec_type, part):
                self._report(order, exec_type, part)

    def _report(self, order: Open, exec_type: int, part: bool) -> None:
        m, about = order.m, 0
        if order.wanted and exec_type in _ABOUT_REPLACES:
            nth = min(int(part), len(order.wanted) - 1)
            about, qty, px = order.wanted[nth]
            if exec_type == ExecType.REPLACED:
                order.order_qty, order.price_px = qty // (1 + part), px  # or as the venue would have it
            if exec_type != ExecType.PENDING_REPLACE:
                del order.wanted[nth]
        last_qty = max((order.order_qty - order.cum_qty) // (1 + part), 1) if exec_type == ExecType.TRADE else 0
        order.cum_qty += last_qty
        over = exec_type in _ENDS or order.cum_qty >= order.order_qty
        status = _ENDS.get(exec_type) or (OrdStatus.FILLED if over else _LIVES.get(exec_type, OrdStatus.NEW))
        self.stream.input(
            ExecutionReport(
                order_id=m.order_id,
                account=m.account,
                strategy=m.strategy,
                user=m.user,
                instrument=m.instrument,
                side=m.side,
                ord_type=m.ord_type,
                order_qty=order.order_qty,
                price_px=order.price_px,
                cum_qty=order.cum_qty,
                leaves_qty=0 if over else order.order_qty - order.cum_qty,
                last_qty=last_qty,
                last_px=max(order.price_px, 1),
                exec_type=exec_type,
                ord_status=status,
                exec_ref_seq=about,
            ),
            source=5,
        )
        if over:
            self.asked.remove(order)


def both(*items: Any) -> list[Any]:
    """The decisions of a day, in C and in Python the same."""
    said = []
    for app in (RiskApp, InPython):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Day(folder, app) as day:
            for item in items:
                day.play(item)
            said.append(day.stream.messages(RiskDecision))
    assert said[0] == said[1]
    return said[0]


@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(rules, days)
def test_decisions_are_those_of_the_engine(limited: list[Message], day: list[Any]) -> None:
    with ExitStack() as stack:
        fast, slow = (
            stack.enter_context(Day(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")), app))
            for app in (RiskApp, InPython)
        )
        for each in (fast, slow):
            watch(each.stream, each.slot.app)
        for item in [*((2, m) for m in limited), *(PLAIN | {"side": n % 2 + 1} for n in range(8)), *day]:
            for each in (fast, slow):
                each.play(item)
            assert fast.slot.snapshot() == slow.slot.snapshot(), item
            assert fast.slot.app.digest() == slow.slot.app.digest(), item  # what has changed is known to have
        assert fast.stream.messages() == slow.stream.messages()
        fast.slot.app.engine.view.check()


def test_plain_orders_are_decided_in_c() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Day(folder, RiskApp) as day:
        for n, check in enumerate(
            (RiskCheck.ORDER_NOTIONAL, RiskCheck.POSITION, RiskCheck.WORKING_ORDERS, RiskCheck.ORDER_RATE)
        ):
            day.play((2, RiskLimitSet(limit=n, check=check, hard=1 << 50, period_ns=1 << 50, scope_type=ScopeType.GLOBAL)))
        for _ in range(50):
            day.play(PLAIN)
        assert day.in_python["on_new_order"] == 2  # before the owner's plan was made, and before its exposure was summed
        decisions = day.stream.messages(RiskDecision)
    assert len(decisions) == 50
    assert all(isinstance(c, CheckOutcome) for d in decisions for c in d.checks)
    assert len({len(d.checks) for d in decisions}) == 1


def test_market_orders_are_decided_and_followed_in_c() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Day(folder, RiskApp) as day:
        for n, check in enumerate((RiskCheck.ORDER_NOTIONAL, RiskCheck.PRICE_COLLAR)):
            day.play((2, RiskLimitSet(limit=n, check=check, hard=1 << 50, scope_type=ScopeType.GLOBAL)))
        for n in range(10):
            day.play(PLAIN | MARKET_ORDER | {"tif": TimeInForce.IOC, "side": n % 2 + 1, "order_qty": 4})
            if n == 3:
                day.in_python.clear()  # as of any order: before both plans were made, and their exposure was summed
        for news in (News(-1, ExecType.NEW), News(-1, ExecType.TRADE, True), News(-1, ExecType.TRADE)):
            day.play(news)
        assert not day.in_python
        decisions = day.stream.messages(RiskDecision)
    assert len(decisions) == 10
    assert {m.reserved_notional for m in decisions[-2:]} == {4 * 9_990 * 10, 4 * 10_010 * 10}  # at the far touch


def test_changes_of_plain_orders_are_decided_and_followed_in_c() -> None:
    """A market maker's order: acknowledged, moved up and down, filled in part while it is moved, and canceled."""
    life = [
        News(0, ExecType.NEW),
        *(
            item
            for qty, px in ((1000, 10_010), (900, 10_000), (NULL, 9_990), (1200, NULL), (1200, 9_990))
            for item in (
                Replace(0, {"order_qty": qty, "price_px": px}),
                News(0, ExecType.PENDING_REPLACE),
                News(0, ExecType.TRADE, True),
                News(0, ExecType.REPLACED),
            )
        ),
        Cancel(0),
        News(0, ExecType.PENDING_CANCEL),
        News(0, ExecType.TRADE, True),
        News(0, ExecType.CANCELED),
    ]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Day(folder, RiskApp) as day:
        for n, check in enumerate((RiskCheck.POSITION, RiskCheck.WORKING_ORDERS, RiskCheck.ORDER_RATE)):
            day.play((2, RiskLimitSet(limit=n, check=check, hard=1 << 50, period_ns=1 << 50, scope_type=ScopeType.GLOBAL)))
        for _ in range(3):
            day.play(PLAIN | {"order_qty": 800})
        day.asked = day.asked[-1:]
        day.in_python.clear()
        for item in life:
            day.play(item)
            assert not day.in_python, item
        assert not day.asked
        decisions = [m for m in day.stream.messages(RiskDecision) if m.request_kind == ReplaceOrder.KIND]
        day.slot.app.engine.view.check()
    assert [m.decision for m in decisions] == [Decision.PASS] * 5


def test_replaces_of_children_are_decided_as_such() -> None:
    parent = order_id_of(9, 9)
    decisions = both(
        (9, ParentOrder(order_id=parent, account=7, instrument=1, side=Side.BUY, order_qty=100)),
        (5, ExecutionReport(order_id=parent, report_flags=ReportFlag.PARENT, ord_status=OrdStatus.NEW)),
        *(PLAIN,) * 3,
        PLAIN | {"parent_order_id": parent},
        Replace(-1, {"order_qty": 4, "price_px": 9_990}),
    )
    assert RiskCheck.PARENT_INVARIANTS in {c.check for c in decisions[-1].checks}


@pytest.mark.parametrize("odd", [{"stop_px": 10_000}, {"display_qty": 2}, {"expire_ts": 1}, {"release_ts": 1 << 61}])
def test_replaces_that_ask_for_more_than_price_and_quantity_are_for_python(odd: dict[str, int]) -> None:
    expires = InstrumentDefined(instrument=1, venue=1, px_exp=-2, qty_exp=-1, quote_currency=1, expiry_ts=1 << 60)
    terms = {"order_qty": 4, "price_px": 9_990}
    both((2, expires), *(PLAIN,) * 4, Replace(-1, terms), Replace(-1, terms | odd))


@pytest.mark.parametrize("begins", [1 << 60, 0], ids=["from the start", "from a replace on"])
def test_an_end_that_the_oms_keeps_is_no_term_of_a_replace(begins: int) -> None:
    ending = PLAIN | ({"tif": TimeInForce.GTD, "expire_ts": begins} if begins else {})
    terms = {"order_qty": 4, "price_px": 9_990}
    replaced = (News(-1, ExecType.PENDING_REPLACE), News(-1, ExecType.REPLACED))
    for tifs, told in ((0, (begins, 1 << 59, 1 << 59)), (1 << TimeInForce.GTD, (begins, 1 << 59, 1 << 59)), (1, (0, 0, 0))):
        decisions = both(
            (2, VenueDefined(venue=1, ord_types=1 << OrdType.LIMIT if tifs else 0, tifs=1 << TimeInForce.GTC | tifs)),
            *(PLAIN,) * 4, ending,
            Replace(-1, terms), *replaced, Replace(-1, terms | {"expire_ts": 1 << 59}), *replaced, Replace(-1, terms),
        )[-3:]  # fmt: skip
        of = {"order_id": decisions[0].order_id, "stop_px": NULL, "display_qty": NULL} | terms
        assert [m.content_hash for m in decisions] == [replace_hash(expire_ts=end, **of) for end in told]
        assert {m.decision for m in decisions} == {Decision.PASS}


def test_what_differs_for_market_orders() -> None:
    """No price to hold against a collar, and a venue's own largest quantity."""
    most = InstrumentDefined(instrument=1, venue=1, px_exp=-2, qty_exp=-1, quote_currency=1, max_qty=20, market_max_qty=10)
    decisions = both(
        (2, most),
        (2, RiskLimitSet(check=RiskCheck.PRICE_COLLAR, hard=1 << 50, scope_type=ScopeType.GLOBAL)),
        *(PLAIN | MARKET_ORDER | {"order_qty": n} for n in (4, 4, 4, 10, 11)),
        PLAIN | {"order_qty": 11},
    )
    assert [m.decision for m in decisions[-3:]] == [Decision.PASS, Decision.REJECT, Decision.PASS]


def test_what_is_sent_otherwise_is_decided_as_it_is_sent() -> None:
    """Also where nobody checks what the venue offers: the pass is for what leaves, here a DAY order sent as GTC."""
    both(
        (2, VenueDefined(venue=1, ord_types=1 << OrdType.LIMIT, tifs=1 << TimeInForce.GTC)),
        (2, RiskLimitSet(check=RiskCheck.VENUE_CAPABILITY, hard=NULL, scope_type=ScopeType.GLOBAL)),
        *(PLAIN | {"tif": TimeInForce.DAY},) * 5,
    )


def test_who_listens_to_what_is_said_in_c_reads_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks of a decision stand in bytes: they are there for a listener in Python, too, and for as long as he keeps it."""
    heard: list[Message] = []

    def listen(ledger: Ledger, message: Message, flags: int, cause: int, origin_ts: int) -> None:
        heard.append(message)
        Ledger._accept(ledger, message, flags, cause, origin_ts)

    monkeypatch.setattr(Ledger, "accept", listen)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Day(folder, RiskApp) as day:
        for _ in range(10):
            day.play(PLAIN)
        assert day.in_python["on_new_order"] == 2
        decisions = day.stream.messages(RiskDecision)
    assert [m.encode() for m in heard if isinstance(m, RiskDecision)] == [m.encode() for m in decisions]
    assert len({len(d.checks) for d in decisions}) == 1


def test_what_is_known_in_c_is_a_check() -> None:
    assert {row.check for row in CHECKS} >= KNOWN
