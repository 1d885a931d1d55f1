"""Edges: for every bound of every check an order of a fixed value, and a world in which the bound can be put anywhere. So the
unit is the bound's own, not the order's lot or tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from risk_recorder import (
    ACCOUNT,
    GATEWAY,
    INSTRUMENT,
    MAKER,
    OMS,
    SECOND,
    STRATEGY,
    USD,
    VENUE,
    RiskRecorder,
)

from journal.messages import (
    NULL,
    AccountDefined,
    AccountType,
    Ban,
    ConnectionState,
    CurrencyDefined,
    ExecInst,
    ExecType,
    ExecutionReport,
    FundsConfirmed,
    GatewayPhase,
    GatewayStatus,
    InstrumentType,
    MarginConfirmed,
    MarginMode,
    MarginTable,
    MarginTier,
    Mark,
    MarkType,
    OrdStatus,
    OrdType,
    ParentOrder,
    Position,
    Reason,
    ReportFlag,
    RiskCheck,
    RiskDecision,
    ScopeType,
    Side,
    StreamStatus,
    TimeInForce,
    order_id_of,
)

C, R = RiskCheck, Reason
BTC, PARENT = 1, order_id_of(STRATEGY, 900)
HALF = 5 * 10**11  # 50% in 1e-12
PERPETUAL = {"instrument_type": InstrumentType.PERPETUAL, "initial_rate": 10**11}
SELL: dict[str, Any] = {"side": Side.SELL}
MARKET: dict[str, Any] = {"ord_type": OrdType.MARKET, "px": NULL}
REDUCE: dict[str, Any] = {"exec_inst": int(ExecInst.DO_NOT_INCREASE)}
Prepare = Callable[[RiskRecorder], None]


class Edge(NamedTuple):
    """One side of one bound."""

    name: str
    check: RiskCheck
    reason: Reason
    value: int
    """The bound at which the order just passes."""
    world: Callable[[int], RiskRecorder]
    """A world with this bound, in which the order comes next."""
    order: Mapping[str, Any] = MappingProxyType({})
    least: bool = False
    """The bound is one from below: a higher one refuses."""
    shown: bool = True
    """The decision shows value and bound in the bound's own unit."""
    limits: Callable[..., RiskRecorder] | None = None
    """Of a limit's bound: the same world with several limits, each (its scope, its bound), numbered from 1."""

    def ask(self, r: RiskRecorder) -> RiskDecision:
        """The order."""
        order = dict(self.order)
        if "at" in order:
            order["ns"] = order.pop("at") - r.now
        return r.new(**order)

    @property
    def beyond(self) -> int:
        """The bound that the order exceeds by one unit."""
        return self.value + 1 if self.least else self.value - 1

    @property
    def within(self) -> int:
        """The bound that leaves one unit."""
        return self.value - 1 if self.least else self.value + 1


def nothing(_: RiskRecorder) -> None:
    """For an order that comes first."""


def world(**instrument: Any) -> RiskRecorder:
    """0.1 at 500.0 is 50 USD; balances are kept in the mantissas of price times quantity."""
    r = RiskRecorder().open_world(**({"base_currency": BTC} | instrument))
    r.frame(CurrencyDefined(currency=BTC, ledger_exp=-8))
    return r


def limited(
    name: str, check: RiskCheck, reason: Reason, value: int, before: Prepare = nothing, *, least: bool = False,
    order: Mapping[str, Any] = MappingProxyType({}), instrument: Mapping[str, Any] = MappingProxyType({}), shown: bool = True,
    **terms: Any,
) -> Edge:  # fmt: skip
    """The edge of a limit. `before`: what comes between the limit and the order."""

    def made(*limits: tuple[dict[str, int], int], first: Prepare = nothing) -> RiskRecorder:
        r = world(**instrument)
        first(r)
        for n, (scope, bound) in enumerate(limits, 1):
            r.limit(check, bound, **({"exp": 0, "limit": n} | terms | scope))
        before(r)
        return r

    return Edge(name, check, reason, value, lambda bound: made(({}, bound)), order, least=least, shown=shown, limits=made)


def defined(name: str, check: RiskCheck, reason: Reason, value: int, field: str, *, least: bool = False, **order: Any) -> Edge:
    """The edge of a bound that the instrument itself has."""
    return Edge(name, check, reason, value, lambda bound: world(**{field: bound, "lot_qty": 1}), order, least=least)


def orders(n: int, **terms: Any) -> Prepare:
    """So many orders before this one."""

    def ask(r: RiskRecorder) -> None:
        for _ in range(n):
            r.new(**terms)

    return ask


def told(*messages: Any) -> Prepare:
    def tell(r: RiskRecorder) -> None:
        for m in messages:
            r.frame(m, GATEWAY)

    return tell


def equity(amount: int, exp: int = -5) -> MarginConfirmed:
    return MarginConfirmed(account=ACCOUNT, equity=amount, currency=USD, exp=exp)


def balance(amount: int, currency: int = USD, exp: int = -4) -> FundsConfirmed:
    return FundsConfirmed(account=ACCOUNT, currency=currency, balance=amount, exp=exp)


def unknown(n: int) -> Prepare:
    def ask(r: RiskRecorder) -> None:
        for order_id in [r.new().order_id for _ in range(n)]:
            r.report(order_id, OrdStatus.UNKNOWN, qty=100)

    return ask


def fills(n: int) -> Prepare:
    def fill(r: RiskRecorder) -> None:
        for _ in range(n):
            r.holding(10)

    return fill


def rejects(n: int) -> Prepare:
    def reject(r: RiskRecorder) -> None:
        for _ in range(n):
            r.numbers += 1
            order_id = order_id_of(STRATEGY, r.numbers)
            r.report(order_id, OrdStatus.REJECTED, qty=100, exec_type=ExecType.REJECTED, reason=R.FUNDS_AT_VENUE)

    return reject


def losses(*made: int) -> Prepare:
    """Positions that have made this, one after the other."""

    def close(r: RiskRecorder) -> None:
        for realized in made:
            at = {"account": ACCOUNT, "strategy": MAKER, "instrument": INSTRUMENT, "currency": USD}
            r.frame(Position(long_qty=0, cost=0, realized=realized, **at), 9)

    return close


def marks(*prices: int) -> Prepare:
    """Long 1 from 500.0 on, then these prices: a tenth is 0.1 USD."""

    def mark(r: RiskRecorder) -> None:
        at = {"account": ACCOUNT, "strategy": MAKER, "instrument": INSTRUMENT, "currency": USD}
        r.frame(Position(long_qty=1000, cost=50_000_000, **at), 9)
        for px in prices:
            r.frame(Mark(instrument=INSTRUMENT, mark_px=px, mark_type=MarkType.VENUE_MARK), 8)

    return mark


def lost_connections(n: int) -> Prepare:
    def lose(r: RiskRecorder) -> None:
        for _ in range(n):
            r.frame(StreamStatus(venue=VENUE, account=ACCOUNT, connection=ConnectionState.DISCONNECTED), GATEWAY)
        r.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, gateway=GATEWAY, phase=GatewayPhase.READY), GATEWAY)

    return lose


def touch(bid: int, ask: int) -> Prepare:
    return lambda r: r.touch(bid, ask)


def with_funds(bound: int, *, currency: int, exp: int) -> RiskRecorder:
    r = world()
    r.limit(C.FUNDS, 0)
    r.frame(balance(bound, currency, exp))
    return r


def with_equity(bound: int) -> RiskRecorder:
    r = world(**PERPETUAL)
    r.limit(C.MARGIN, 0)
    r.frame(equity(bound))
    return r


def a_list(free: int) -> RiskRecorder:
    r = world()
    r.limit(C.CUMULATIVE_FUNDS, 0)
    r.frame(balance(free))
    return r


def family(qty: int = 1000, side: int = Side.BUY, **terms: int) -> RiskRecorder:
    """A parent that the OMS has taken."""
    r = world()
    terms = {"limit_px": NULL} | terms
    base = {"order_id": PARENT, "account": ACCOUNT, "strategy": MAKER, "instrument": INSTRUMENT, "side": side, "order_qty": qty}
    r.frame(ParentOrder(**(base | terms)), STRATEGY)
    r.frame(
        ExecutionReport(
            order_id=PARENT, account=ACCOUNT, instrument=INSTRUMENT, side=side, order_qty=qty, price_px=terms["limit_px"],
            leaves_qty=qty, exec_type=ExecType.NEW, ord_status=OrdStatus.NEW, report_flags=ReportFlag.PARENT,
        ),
        OMS,
    )  # fmt: skip
    return r


def holding(qty: int) -> RiskRecorder:
    r = world()
    r.holding(qty)
    return r


def resting(side: int, px: int) -> RiskRecorder:
    """An own order at a price, on ticks of 1."""
    r = world(tick_px=1)
    r.limit(C.SELF_TRADE, 0)
    r.new(side=side, px=px, strategy=MAKER + 1)
    return r


def banned(until: int) -> RiskRecorder:
    r = world()
    r.frame(Ban(until_ts=until, scope_type=ScopeType.GLOBAL), 6)
    return r


def levered(most: int) -> RiskRecorder:
    r = world()
    r.frame(AccountDefined(account=ACCOUNT, venue=VENUE, account_type=AccountType.MARGIN))
    r.frame(MarginTable(instrument=INSTRUMENT, tiers=[MarginTier(initial_rate=10**11, max_leverage_rate=most)]))
    return r


def expiring(end: int) -> RiskRecorder:
    """A world whose next order ends then."""
    r = world()
    ask = r.new
    r.new = lambda **terms: ask(**({"expire_ts": end} | terms))  # type: ignore[method-assign]
    return r


NOW = 1_000 * SECOND
CHILD: dict[str, Any] = {"parent_order_id": PARENT}
GTD: dict[str, Any] = {"tif": TimeInForce.GTD}
WINDOW = {"period_ns": 32 * SECOND}
AMOUNT: dict[str, Any] = {"exp": -4, "currency": USD}
WORTH = 100 * 5000

EDGES = [
    # Limits.
    limited("quantity", C.QUANTITY_LIMITS, R.MAX_ORDER_QUANTITY, 100, exp=-3),
    limited("book", C.BOOK_VERIFIED_FRESH, R.BOOK_TOO_OLD, 777, touch(4990, 5010), order={"ns": 777}),
    *(
        limited(f"collar {where}, {Side(side).name}", C.PRICE_COLLAR, R.PRICE_COLLAR, 10**10, exp=-12,
                order={"px": px, "side": side})
        for where, px in (("above", 5050), ("below", 4950)) for side in (Side.BUY, Side.SELL)
    ),
    limited("window above", C.PRICE_COLLAR_WINDOW, R.PRICE_COLLAR_WINDOW, 10**10, touch(4990, 5010), exp=-12, **WINDOW,
            order={"px": 5050}),
    limited("window below", C.PRICE_COLLAR_WINDOW, R.PRICE_COLLAR_WINDOW, 10**10, touch(4990, 5010), exp=-12, **WINDOW,
            order={"px": 4950}),
    limited("notional", C.ORDER_NOTIONAL, R.MAX_ORDER_NOTIONAL, WORTH, **AMOUNT),
    limited("notional of a sale", C.ORDER_NOTIONAL, R.MAX_ORDER_NOTIONAL, WORTH, **AMOUNT, order=SELL),
    limited("working", C.WORKING_ORDERS, R.MAX_WORKING_ORDERS, 3, orders(2)),
    limited("position long", C.POSITION, R.POSITION_LIMIT, 300, orders(1, qty=200), exp=-3),
    limited("position short", C.POSITION, R.POSITION_LIMIT, 300, orders(1, qty=200, **SELL), exp=-3, order=SELL),
    limited("gross long", C.GROSS_EXPOSURE, R.GROSS_EXPOSURE_LIMIT, WORTH, **AMOUNT),
    limited("gross short", C.GROSS_EXPOSURE, R.GROSS_EXPOSURE_LIMIT, WORTH, **AMOUNT, order=SELL),
    limited("net long", C.NET_EXPOSURE, R.NET_EXPOSURE_LIMIT, WORTH, **AMOUNT),
    limited("net short", C.NET_EXPOSURE, R.NET_EXPOSURE_LIMIT, WORTH, **AMOUNT, order=SELL),
    limited("leverage", C.LEVERAGE, R.LEVERAGE_LIMIT, HALF, told(equity(100, 0)), exp=-12),
    limited("concentration", C.CONCENTRATION, R.CONCENTRATION_LIMIT, HALF, told(equity(100, 0)), exp=-12),
    limited("credit", C.CREDIT, R.CREDIT_LIMIT, 2 * WORTH, orders(1, **SELL), **AMOUNT),
    limited("rate", C.ORDER_RATE, R.ORDER_RATE, 3, orders(2), period_ns=SECOND),
    limited("reconnects", C.RECONNECT_RATE, R.RATE_BAN, 2, lost_connections(2), period_ns=SECOND),
    limited("duplicates", C.DUPLICATE, R.DUPLICATE_ORDER_TERMS, 2, orders(2), period_ns=SECOND),
    limited("loss of the day", C.DAILY_LOSS, R.LOSS_LIMIT, 2_000_000, marks(4800), exp=-5, currency=USD),
    limited("drawdown", C.DRAWDOWN, R.LOSS_LIMIT, 3_000_000, marks(5100, 4800), exp=-5, currency=USD),
    limited("streak", C.LOSS_STREAK, R.LOSS_LIMIT, 2, losses(-1, -2)),
    limited("executions", C.REPEATED_EXECUTION, R.REPEATED_EXECUTION, 2, fills(2)),
    limited("rejects", C.REJECT_LOOP, R.REJECT_LOOP, 2, rejects(2)),
    limited("unknown", C.UNKNOWN_ORDERS, R.UNKNOWN_ORDERS_PENDING, 2, unknown(2)),
    limited("short sale", C.SHORT_SELL, R.SHORT_SELL_NOT_PERMITTED, 100, exp=-3, order=SELL),
    limited("turnover", C.TURNOVER, R.TURNOVER_LIMIT, 2 * WORTH, orders(1, **SELL), **AMOUNT, **WINDOW),
    limited("list", C.CUMULATIVE_FUNDS, R.CUMULATIVE_FUNDS, WORTH, told(balance(9 * WORTH)), exp=-4, order={"list_id": 7}),
    # What a limit keeps back: a higher one refuses.
    limited("kept back", C.FUNDS, R.INSUFFICIENT_FUNDS, 77, told(balance(WORTH + 77)), exp=-4, least=True, shown=False),
    limited("margin kept back", C.MARGIN, R.INSUFFICIENT_MARGIN, 77, told(equity(500_077)), instrument=PERPETUAL, exp=-5,
            least=True, shown=False),
    # What the venue has confirmed.
    Edge("balance to buy", C.FUNDS, R.INSUFFICIENT_FUNDS, WORTH, lambda b: with_funds(b, currency=USD, exp=-4)),
    Edge("balance to sell", C.FUNDS, R.INSUFFICIENT_FUNDS, 100, lambda b: with_funds(b, currency=BTC, exp=-3), SELL),
    Edge("equity", C.MARGIN, R.INSUFFICIENT_MARGIN, 500_000, with_equity),
    Edge("list from what was free", C.CUMULATIVE_FUNDS, R.CUMULATIVE_FUNDS, WORTH, a_list, {"list_id": 7}),
    # The instrument's own.
    defined("least quantity", C.QUANTITY_LIMITS, R.QUANTITY_BELOW_MINIMUM, 100, "min_qty", least=True),
    defined("most quantity", C.QUANTITY_LIMITS, R.QUANTITY_ABOVE_MAXIMUM, 100, "max_qty"),
    defined("most at the market", C.QUANTITY_LIMITS, R.QUANTITY_ABOVE_MAXIMUM, 100, "market_max_qty", **MARKET),
    defined("most post-only", C.QUANTITY_LIMITS, R.QUANTITY_ABOVE_MAXIMUM, 100, "post_only_max_qty",
            exec_inst=int(ExecInst.PARTICIPATE_DO_NOT_INITIATE)),
    defined("least price", C.PRICE_INCREMENT, R.PRICE_OUTSIDE_STATIC_LIMITS, 5000, "min_px", least=True),
    defined("most price", C.PRICE_INCREMENT, R.PRICE_OUTSIDE_STATIC_LIMITS, 5000, "max_px"),
    defined("least notional", C.NOTIONAL_LIMITS, R.NOTIONAL_BELOW_MINIMUM, 10 * WORTH, "min_notional", least=True),
    defined("most notional", C.NOTIONAL_LIMITS, R.NOTIONAL_ABOVE_MAXIMUM, 10 * WORTH, "max_notional"),
    defined("band above", C.PRICE_COLLAR, R.PRICE_COLLAR, 10**10, "band_up_rate", px=5050),
    defined("band below", C.PRICE_COLLAR, R.PRICE_COLLAR, 10**10, "band_down_rate", px=4950),
    Edge("orders at the venue", C.WORKING_ORDERS, R.MAX_WORKING_ORDERS, 3,
         lambda b: (r := world(max_orders=b), orders(2)(r))[0]),
    Edge("leverage of the first tier", C.VENUE_CAPABILITY, R.INVALID_MARGIN_MODE_OR_LEVERAGE, 5 * 10**12, levered,
         {"margin_mode": MarginMode.CROSS, "leverage": 5, "leverage_exp": 0}, shown=False),
    Edge("lot", C.LOT_STEP, R.QUANTITY_NOT_ON_LOT, 1, lambda b: world(lot_qty=100 if b else 99, min_qty=1), shown=False),
    # Time: an order at the very nanosecond is too late.
    Edge("expiry of the instrument", C.INSTRUMENT_TRADABLE, R.INSTRUMENT_EXPIRED, NOW + 1000 + 1,
         lambda b: world(expiry_ts=b), {"at": NOW + 1000}, shown=False),
    Edge("expiry of the order", C.VENUE_CAPABILITY, R.INVALID_EXPIRE_TIME, NOW + 1000 + 1,
         lambda b: expiring(b), {"at": NOW + 1000, **GTD}, shown=False),
    # Against what is held.
    Edge("reduces long", C.REDUCE_ONLY, R.REDUCE_ONLY_WOULD_INCREASE, 100, holding, SELL | REDUCE),
    Edge("reduces short", C.REDUCE_ONLY, R.REDUCE_ONLY_WOULD_INCREASE, 100, lambda b: holding(-b), REDUCE),
    Edge("own sale in the way", C.SELF_TRADE, R.SELF_TRADE, 5001, lambda b: resting(Side.SELL, b), shown=False),
    Edge("own purchase in the way", C.SELF_TRADE, R.SELF_TRADE, 4999, lambda b: resting(Side.BUY, b), SELL, least=True,
         shown=False),
    # A child and its parent.
    Edge("child and parent", C.PARENT_INVARIANTS, R.CHILD_EXCEEDS_PARENT, 100, family, CHILD),
    Edge("slice", C.PARENT_INVARIANTS, R.CHILD_EXCEEDS_PARENT, 100, lambda b: family(max_slice_qty=b), CHILD, shown=False),
    Edge("child that buys", C.PARENT_INVARIANTS, R.CHILD_WORSE_THAN_LIMIT, 5000, lambda b: family(limit_px=b), CHILD,
         shown=False),
    Edge("child that sells", C.PARENT_INVARIANTS, R.CHILD_WORSE_THAN_LIMIT, 5000,
         lambda b: family(side=Side.SELL, limit_px=b), CHILD | SELL, least=True, shown=False),
    Edge("child's end", C.PARENT_INVARIANTS, R.CHILD_OUTLIVES_PARENT, 2 * NOW, lambda b: family(end_ts=b),
         CHILD | GTD | {"expire_ts": 2 * NOW}, shown=False),
]  # fmt: skip


def decide(edge: Edge, bound: int, last: Prepare = nothing) -> RiskDecision:
    """The decision on an edge's order. `last`: what happens just before it."""
    r = edge.world(bound)
    last(r)
    return edge.ask(r)
