"""One test a check, with the boundary on both sides."""

from __future__ import annotations

from typing import Any

import pytest
from risk_recorder import (
    ACCOUNT,
    BOOKS,
    GATEWAY,
    INSTRUMENT,
    MAKER,
    OMS,
    OPERATOR,
    OTHER,
    SECOND,
    STRATEGY,
    USD,
    VENUE,
    RiskRecorder,
    outcome,
    result,
)

from journal.messages import (
    NULL,
    BookStateCode,
    CancelOrder,
    CheckResult,
    ConnectionState,
    ContractType,
    Decision,
    ExecInst,
    ExecType,
    Gate,
    GateCause,
    GateState,
    GatewayPhase,
    GatewayStatus,
    GroupDefined,
    GroupMember,
    InstrumentStatus,
    KillLevel,
    KillRelease,
    KillSwitch,
    LimitAction,
    Mark,
    MarketStatus,
    MarkType,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    Reason,
    RiskCheck,
    ScopeType,
    Side,
    SourceRole,
    SourceState,
    SourceStateCode,
    StreamStatus,
    TickStep,
    TickTable,
    TradingStatus,
    content_hash,
    order_id_of,
)
from riskengine.controlled import Rules


def world(**instrument: Any) -> RiskRecorder:
    return RiskRecorder().open_world(**instrument)


def why(r: RiskRecorder, **order: Any) -> int:
    """The reason an order is refused with; 0 when it passes."""
    decision = r.new(**order)
    assert (decision.decision == Decision.REJECT) == (decision.reason != 0)
    return decision.reason


def test_a_good_order_passes_with_every_check_listed_in_order() -> None:
    r = world()
    decision = r.new()
    asked = r.stream[-1][3]
    assert decision.decision == Decision.PASS
    assert decision.content_hash == content_hash(asked)
    assert decision.request_seq == r.seq
    assert (decision.reserved_qty, decision.reserved_notional) == (100, 100 * 5000 * 10)  # 1e-4 to 1e-5
    checks = [c.check for c in decision.checks]
    assert checks == sorted(checks)
    assert set(checks) == {
        RiskCheck.KILL_SWITCH, RiskCheck.GATE, RiskCheck.PERMISSION, RiskCheck.CLIENT_ID_UNIQUE,
        RiskCheck.INSTRUMENT_TRADABLE, RiskCheck.PRICE_INCREMENT, RiskCheck.QUANTITY_LIMITS, RiskCheck.LOT_STEP,
        RiskCheck.BOOK_VERIFIED_FRESH, RiskCheck.PRICE_COLLAR, RiskCheck.ORDER_NOTIONAL, RiskCheck.WORKING_ORDERS,
        RiskCheck.POSITION, RiskCheck.ORDER_RATE,
    }  # fmt: skip


def test_the_first_failing_check_gives_the_reason_and_the_rest_are_listed() -> None:
    r = world()
    r.frame(KillSwitch(kill=1, scope_type=ScopeType.GLOBAL), OPERATOR)
    decision = r.new(qty=3, px=5001)
    assert decision.reason == Reason.KILL_SWITCH_ACTIVE
    failed = [c.check for c in decision.checks if c.result == CheckResult.FAIL]
    assert failed == [RiskCheck.KILL_SWITCH, RiskCheck.PRICE_INCREMENT, RiskCheck.QUANTITY_LIMITS, RiskCheck.LOT_STEP]


def test_kill_switch() -> None:
    r = world()
    r.frame(KillSwitch(kill=9, level=KillLevel.BLOCK, scope_type=ScopeType.STRATEGY, scope_strategy=MAKER), OPERATOR)
    assert why(r) == Reason.KILL_SWITCH_ACTIVE
    assert outcome(r.last(), RiskCheck.KILL_SWITCH).input_seq == r.seq - 1
    assert why(r, strategy=MAKER + 1) == 0
    r.frame(KillRelease(kill=8), OPERATOR)
    assert why(r) == Reason.KILL_SWITCH_ACTIVE
    r.frame(KillRelease(kill=9), OPERATOR)
    assert why(r) == 0


def test_a_kill_of_a_group_covers_its_members_and_everybody_while_nobody_knows_them() -> None:
    r = world()
    r.frame(KillSwitch(kill=9, level=KillLevel.BLOCK, scope_type=ScopeType.GROUP, scope_group=3), OPERATOR)
    assert why(r) == Reason.KILL_SWITCH_ACTIVE
    r.frame(GroupDefined(group=3, members=[GroupMember(member=ACCOUNT + 1, member_type=ScopeType.ACCOUNT)]))
    assert why(r) == 0
    r.frame(GroupDefined(group=3, members=[GroupMember(member=ACCOUNT, member_type=ScopeType.ACCOUNT)]))
    assert why(r) == Reason.KILL_SWITCH_ACTIVE


def test_a_kill_blocks_replaces() -> None:
    r = world()
    order_id = r.new().order_id
    r.frame(KillSwitch(kill=9, level=KillLevel.BLOCK, scope_type=ScopeType.GLOBAL), OPERATOR)
    assert r.replace(order_id, order_qty=50).reason == Reason.KILL_SWITCH_ACTIVE


def test_gate() -> None:
    r = world()
    r.frame(StreamStatus(venue=VENUE, account=ACCOUNT, connection=ConnectionState.DISCONNECTED), GATEWAY)
    assert why(r) == Reason.GATE_SHUT
    r.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, phase=GatewayPhase.RECONCILING), GATEWAY)
    assert why(r) == Reason.GATE_SHUT
    r.frame(GatewayStatus(venue=VENUE, account=0, phase=GatewayPhase.DISCONNECTED), GATEWAY)  # market data
    r.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, phase=GatewayPhase.READY), GATEWAY)
    assert why(r) == 0
    r.frame(SourceState(source=GATEWAY, state=SourceStateCode.DEAD), 0)
    assert why(r) == Reason.GATE_SHUT


@pytest.mark.parametrize(
    ("causes", "reason"),
    [
        (0, Reason.GATE_SHUT),
        (GateCause.OVERFILL, Reason.GATE_SHUT),
        (GateCause.DIFFERENCES | GateCause.RECONCILING, Reason.GATE_SHUT),
        (GateCause.RECONCILING | GateCause.UNKNOWN_ORDERS, Reason.RECONCILING),
        (GateCause.UNKNOWN_ORDERS | GateCause.KILL, Reason.UNKNOWN_ORDERS_PENDING),
        (1 << 30, Reason.GATE_SHUT),  # a cause that this build does not know
        (GateCause.KILL, 0),  # the kill is judged by itself
    ],
)  # fmt: skip
@pytest.mark.parametrize("instrument", [0, INSTRUMENT])
def test_a_gate_that_the_oms_has_shut(causes: int, reason: int, instrument: int) -> None:
    r = world()
    order_id = r.new().order_id
    said: dict[str, int] = {"venue": VENUE, "account": ACCOUNT, "instrument": instrument}
    seq = r.frame(Gate(state=GateState.CANCEL_ONLY, causes=int(causes), **said), OMS)
    assert why(r) == reason
    if reason:
        row = outcome(r.last(), RiskCheck.GATE)
        assert (row.value, row.bound, row.input_seq) == (GateState.CANCEL_ONLY, GateState.OPEN, seq)
        assert r.replace(order_id, order_qty=50).reason == reason
    r.frame(Gate(state=GateState.OPEN, **said), OMS)
    assert why(r) == 0


def test_a_gate_of_another_account_or_instrument_is_not_ours() -> None:
    r = world()
    for other in ({"account": ACCOUNT + 1}, {"instrument": INSTRUMENT + 1}, {"venue": VENUE + 1}):
        said = {"venue": VENUE, "account": ACCOUNT, "instrument": INSTRUMENT} | other
        r.frame(Gate(state=GateState.SHUT, causes=int(GateCause.OVERFILL), **said), OMS)
    assert why(r) == 0


def test_in_a_first_session_parameters_say_whose_book_counts() -> None:
    """Sources are defined before the engine lives; what it is then told of roles makes it judge as in every later session."""
    first = RiskRecorder()
    first.configure(Rules(roles=[(BOOKS, int(SourceRole.BOOKS)), (OPERATOR, int(SourceRole.OPERATOR))]))
    first.define()
    first.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, phase=GatewayPhase.READY), GATEWAY)
    first.touch(4990, 5010, source=GATEWAY)
    first.book(BookStateCode.LIVE, source=GATEWAY)
    assert why(first) == Reason.BOOK_NOT_LIVE
    assert not first.engine.memory.touches
    first.touch(4990, 5010)
    first.book(BookStateCode.LIVE)
    assert why(first) == 0
    first.configure(Rules(roles=[(BOOKS, int(SourceRole.BOOKS)), (OTHER, int(SourceRole.BOOKS))]))
    assert first.engine.memory.books_sources == [BOOKS, OTHER]


def test_before_its_first_word_the_gate_is_shut() -> None:
    r = world()
    assert why(r, account=ACCOUNT + 1) == Reason.GATE_SHUT


def test_permission() -> None:
    r = world()
    assert why(r, source=OTHER) == Reason.NOT_OWNER
    assert why(r, order_id=0) == Reason.NOT_OWNER
    order_id = r.new().order_id
    assert r.replace(order_id, order_qty=200, source=OTHER).reason == Reason.NOT_OWNER
    assert r.replace(order_id, order_qty=200, source=OPERATOR).decision == Decision.PASS


def test_client_id_unique() -> None:
    r = world()
    assert why(r, order_id=order_id_of(STRATEGY, 5)) == 0
    assert why(r, order_id=order_id_of(STRATEGY, 5)) == Reason.DUPLICATE_ORDER_ID
    r.report(order_id_of(STRATEGY, 5), OrdStatus.CANCELED, qty=100)
    assert why(r, order_id=order_id_of(STRATEGY, 5)) == Reason.DUPLICATE_ORDER_ID
    assert why(r, order_id=order_id_of(STRATEGY, 6)) == 0
    assert why(r, order_id=order_id_of(STRATEGY, 7), source=OTHER) == Reason.NOT_OWNER  # does not use the number up
    assert why(r, order_id=order_id_of(STRATEGY, 7)) == 0
    assert r.replace(order_id_of(STRATEGY, 5), order_qty=10).reason == Reason.TOO_LATE
    assert r.replace(order_id_of(STRATEGY, 99), order_qty=10).reason == Reason.UNKNOWN_ORDER


@pytest.mark.parametrize(
    ("status", "order", "reason"),
    [
        (InstrumentStatus.ACTIVE, {}, 0),
        (InstrumentStatus.UNDEFINED, {}, 0),
        (InstrumentStatus.SUSPENDED, {}, Reason.INSTRUMENT_NOT_TRADABLE),
        (InstrumentStatus.CANCEL_ONLY, {}, Reason.INSTRUMENT_NOT_TRADABLE),
        (InstrumentStatus.POST_ONLY, {}, Reason.INSTRUMENT_NOT_TRADABLE),
        (InstrumentStatus.POST_ONLY, {"exec_inst": int(ExecInst.PARTICIPATE_DO_NOT_INITIATE)}, 0),
        (InstrumentStatus.LIMIT_ONLY, {}, 0),
        (InstrumentStatus.LIMIT_ONLY, {"ord_type": OrdType.MARKET, "px": NULL}, Reason.INSTRUMENT_NOT_TRADABLE),
        (InstrumentStatus.CLOSING_ONLY, {}, Reason.INSTRUMENT_NOT_TRADABLE),
        (InstrumentStatus.CLOSING_ONLY, {"exec_inst": int(ExecInst.DO_NOT_INCREASE)}, 0),
        (InstrumentStatus.EXPIRED, {}, Reason.INSTRUMENT_EXPIRED),
    ],
)
def test_instrument_tradable(status: int, order: dict[str, Any], reason: int) -> None:
    r = world(instrument_status=status)
    r.report(order_id_of(9, 1), OrdStatus.FILLED, qty=100, cum=100, last=100, side=Side.SELL)  # something to close
    assert why(r, **order) == reason


def test_instrument_expired_unknown_or_market_closed() -> None:
    r = world(expiry_ts=1_001 * SECOND)
    assert why(r) == 0
    assert why(r, ns=1_001 * SECOND - r.now) == Reason.INSTRUMENT_EXPIRED
    assert why(world(), instrument=2) == Reason.UNKNOWN_INSTRUMENT
    r = world()
    r.frame(MarketStatus(instrument=INSTRUMENT, trading_status=TradingStatus.HALT), GATEWAY)
    assert why(r) == Reason.MARKET_CLOSED
    r.frame(MarketStatus(instrument=INSTRUMENT, trading_status=TradingStatus.OPEN), GATEWAY)
    assert why(r) == 0


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"px": 5005}, 0),
        ({"px": 5004}, Reason.PRICE_NOT_ON_TICK),
        ({"px": 5006}, Reason.PRICE_NOT_ON_TICK),
        ({"px": 0}, Reason.INVALID_PRICE),
        ({"px": -5}, Reason.INVALID_PRICE),
        ({"px": NULL}, Reason.INVALID_PRICE),
        ({"px": 1000}, 0),
        ({"px": 995}, Reason.PRICE_OUTSIDE_STATIC_LIMITS),
        ({"px": 9000}, 0),
        ({"px": 9005}, Reason.PRICE_OUTSIDE_STATIC_LIMITS),
        ({"px": 1 << 62}, Reason.ARITHMETIC_OVERFLOW),
        ({"px": 5000, "ord_type": OrdType.MARKET}, Reason.INVALID_PRICE),
        ({"px": NULL, "ord_type": OrdType.MARKET}, 0),
        ({"ord_type": 0}, Reason.INVALID_ORD_TYPE),
        ({"ord_type": 99}, Reason.INVALID_ORD_TYPE),
        ({"ord_type": OrdType.STOP_LIMIT}, Reason.INVALID_STOP_OR_TRIGGER),
        ({"ord_type": OrdType.STOP_LIMIT, "stop_px": 5000}, 0),
        ({"ord_type": OrdType.STOP_LIMIT, "stop_px": 5001}, Reason.PRICE_NOT_ON_TICK),
    ],
)
def test_price_increment(order: dict[str, Any], reason: int) -> None:
    assert why(world(min_px=1000, max_px=9000), **order) == reason


def test_price_increment_by_tick_table() -> None:
    r = world()
    r.frame(TickTable(instrument=INSTRUMENT, steps=[TickStep(from_px=0, tick_px=1), TickStep(from_px=5000, tick_px=50)]))
    assert why(r, px=4999) == 0
    assert why(r, px=5000) == 0
    assert why(r, px=5005) == Reason.PRICE_NOT_ON_TICK
    assert why(r, px=5050) == 0


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"qty": 10}, 0),
        ({"qty": 9}, Reason.QUANTITY_BELOW_MINIMUM),
        ({"qty": 1010}, Reason.MAX_ORDER_QUANTITY),
        ({"qty": 1000}, 0),
        ({"qty": 10_010}, Reason.QUANTITY_ABOVE_MAXIMUM),
        ({"qty": 0}, Reason.INVALID_QUANTITY),
        ({"qty": NULL}, Reason.INVALID_QUANTITY),
        ({"qty": 1 << 62}, Reason.ARITHMETIC_OVERFLOW),
        ({"side": 0}, Reason.INVALID_SIDE),
        ({"qty": 510, "ord_type": OrdType.MARKET, "px": NULL}, Reason.QUANTITY_ABOVE_MAXIMUM),
        ({"qty": 500, "ord_type": OrdType.MARKET, "px": NULL}, 0),
    ],
)
def test_quantity_limits(order: dict[str, Any], reason: int) -> None:
    r = world(market_max_qty=500)
    r.limit(RiskCheck.QUANTITY_LIMITS, 1, exp=0)  # one unit = 1000 of the instrument's
    assert why(r, **order) == reason


@pytest.mark.parametrize(("terms", "bound"), [({}, 0), ({"max_qty": 900}, 900), ({"max_qty": 900, "market_max_qty": 500}, 500)])
def test_the_least_of_the_instruments_maxima_is_shown(terms: dict[str, int], bound: int) -> None:
    decision = world(**({"max_qty": NULL} | terms)).new(ord_type=OrdType.MARKET, px=NULL)
    assert outcome(decision, RiskCheck.QUANTITY_LIMITS).bound == bound


def test_lot_step() -> None:
    r = world()
    assert why(r, qty=110) == 0
    assert why(r, qty=115) == Reason.QUANTITY_NOT_ON_LOT
    assert result(world(lot_qty=NULL).new(qty=11), RiskCheck.LOT_STEP) == CheckResult.NOT_APPLICABLE


def test_book_verified() -> None:
    r = world()
    for state in BookStateCode:
        r.book(state)
        assert why(r) == (0 if state == BookStateCode.LIVE else Reason.BOOK_NOT_LIVE)
    r.book(BookStateCode.LIVE, source=GATEWAY)  # a book is kept here: a gateway's word does not count
    assert why(r) == Reason.BOOK_NOT_LIVE


def test_book_fresh() -> None:
    r = world()
    r.limit(RiskCheck.BOOK_VERIFIED_FRESH, 2 * SECOND)
    r.touch(4990, 5010)
    assert why(r, ns=2 * SECOND) == 0
    assert why(r, ns=1) == Reason.BOOK_TOO_OLD


def test_nobody_keeps_books_where_no_books_app_is() -> None:
    r = RiskRecorder()
    r.define()
    r.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, phase=GatewayPhase.READY), GATEWAY)
    r.limit(RiskCheck.PRICE_COLLAR, 10**10, exp=-12)
    r.touch(4990, 5010, source=GATEWAY)  # then the gateway's own touch is the reference
    decision = r.new()
    assert decision.decision == Decision.PASS
    assert result(decision, RiskCheck.BOOK_VERIFIED_FRESH) == CheckResult.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("px", "reason"),
    [(5050, 0), (5055, Reason.PRICE_COLLAR), (4950, 0), (4945, Reason.PRICE_COLLAR)],
)
def test_price_collar(px: int, reason: int) -> None:
    """One percent of the mid, 5000."""
    for hard, exp in ((10**10, -12), (1, -2)):
        for side in (Side.BUY, Side.SELL):
            r = world()
            r.limit(RiskCheck.PRICE_COLLAR, hard, exp=exp)
            assert why(r, px=px, side=side) == reason
            seen = outcome(r.last(), RiskCheck.PRICE_COLLAR)
            assert (seen.exp, seen.bound) == (-12, 10**10)
            assert seen.value == abs(px - 5000) * 10**12 // 5000
            assert r.stream[seen.input_seq - 1][2] == BOOKS


@pytest.mark.parametrize(
    ("px", "reason"),
    [(5100, 0), (5105, Reason.PRICE_COLLAR), (4950, 0), (4945, Reason.PRICE_COLLAR)],
)
def test_price_collar_by_the_instruments_own_bands(px: int, reason: int) -> None:
    """Two percent above the mark, one below, with or without a limit of ours."""
    r = world(band_up_rate=2 * 10**10, band_down_rate=10**10)
    assert why(r, px=px) == reason
    r.frame(Mark(instrument=INSTRUMENT, mark_px=5000 if reason else 8000, mark_type=MarkType.VENUE_MARK))
    assert why(r, px=px) == Reason.PRICE_COLLAR
    r = world(band_up_rate=2 * 10**10)
    assert why(r, px=4000) == 0
    r.touch(NULL, NULL)
    assert why(r, px=4000) == Reason.REFERENCE_PRICE_UNAVAILABLE


def test_price_collar_needs_both_sides_of_the_book() -> None:
    r = world()
    r.limit(RiskCheck.PRICE_COLLAR, 1, exp=-2)
    r.touch(NULL, 5010)
    assert why(r) == Reason.REFERENCE_PRICE_UNAVAILABLE
    assert why(r, ord_type=OrdType.MARKET, px=NULL) == 0


def test_price_collar_between_two_grid_points() -> None:
    """A mid of 5000.5: the deviation is rounded up, never down."""
    r = world(tick_px=1)
    r.touch(5000, 5001)
    r.limit(RiskCheck.PRICE_COLLAR, 99_990_000, exp=-12)  # just below 0.5 / 5000.5 = 9.99900009999e-5
    assert why(r, px=5000) == Reason.PRICE_COLLAR
    r.limit(RiskCheck.PRICE_COLLAR, 99_990_001, exp=-12)
    assert why(r, px=5000) == 0


@pytest.mark.parametrize(("qty", "reason"), [(100, 0), (110, Reason.MAX_ORDER_NOTIONAL)])
def test_order_notional(qty: int, reason: int) -> None:
    """0.1 at 500.0 is 50 USD."""
    r = world()
    r.limit(RiskCheck.ORDER_NOTIONAL, 50, exp=0, currency=USD)
    assert why(r, qty=qty) == reason
    assert outcome(r.last(), RiskCheck.ORDER_NOTIONAL).value == (50 if qty == 100 else 55)


def test_order_notional_of_a_market_order_is_at_the_far_touch() -> None:
    r = world()
    r.limit(RiskCheck.ORDER_NOTIONAL, 5000, exp=-2, currency=USD)
    assert why(r, ord_type=OrdType.MARKET, px=NULL, side=Side.SELL) == 0  # at 499.0
    assert why(r, ord_type=OrdType.MARKET, px=NULL, side=Side.BUY) == Reason.MAX_ORDER_NOTIONAL  # at 501.0
    r.touch(4990, NULL)
    assert why(r, ord_type=OrdType.MARKET, px=NULL, side=Side.BUY) == Reason.REFERENCE_PRICE_UNAVAILABLE


def test_order_notional_in_another_currency_is_shut_not_open() -> None:
    r = world()
    r.limit(RiskCheck.ORDER_NOTIONAL, 10**9, currency=USD + 1)
    assert why(r) == Reason.LIMIT_NOT_DEFINED


def test_order_notional_overflow() -> None:
    r = world(max_qty=NULL)
    r.frame(r.stream[0][3])  # nothing new
    assert why(r, qty=(1 << 61) // 10 * 10) == Reason.ARITHMETIC_OVERFLOW


def test_order_notional_with_multiplier_and_inverse_contract() -> None:
    r = world(multiplier=25, multiplier_exp=-1)
    r.limit(RiskCheck.ORDER_NOTIONAL, 125, currency=USD)
    assert why(r) == 0
    assert why(r, qty=110) == Reason.MAX_ORDER_NOTIONAL
    r = world(contract=ContractType.INVERSE, multiplier=100)  # a contract is worth 100 USD whatever its price
    r.limit(RiskCheck.ORDER_NOTIONAL, 10, currency=USD)
    assert why(r, px=100) == 0
    assert why(r, qty=110, px=100) == Reason.MAX_ORDER_NOTIONAL


def test_working_orders() -> None:
    r = world()
    r.limit(RiskCheck.WORKING_ORDERS, 2)
    first = r.new().order_id
    assert why(r) == 0
    assert why(r) == Reason.MAX_WORKING_ORDERS
    assert r.replace(first, order_qty=50).decision == Decision.PASS  # no further order
    r.report(first, OrdStatus.UNKNOWN, qty=100)
    assert why(r) == Reason.MAX_WORKING_ORDERS  # unknown is working until known
    r.report(first, OrdStatus.CANCELED, qty=100)
    assert why(r) == 0


def test_working_orders_by_the_venues_cap() -> None:
    r = world(max_orders=1)
    assert why(r) == 0
    assert why(r) == Reason.MAX_WORKING_ORDERS


def test_position() -> None:
    r = world()
    r.limit(RiskCheck.POSITION, 300, exp=-3)
    order_id = r.new(qty=200).order_id
    assert why(r, qty=110) == Reason.POSITION_LIMIT
    assert outcome(r.last(), RiskCheck.POSITION).value == 310
    assert why(r, qty=100) == 0
    assert why(r, qty=10) == Reason.POSITION_LIMIT
    # Filled or not makes no difference; canceled does.
    r.report(order_id, OrdStatus.PARTIALLY_FILLED, qty=200, cum=50, last=50)
    assert why(r, qty=10) == Reason.POSITION_LIMIT
    r.report(order_id, OrdStatus.UNKNOWN, qty=200, cum=50)
    assert why(r, qty=10) == Reason.POSITION_LIMIT
    r.report(order_id, OrdStatus.CANCELED, qty=200, cum=50)
    assert why(r, qty=160) == Reason.POSITION_LIMIT
    assert why(r, qty=150) == 0
    # The other side has its own worst case: short 300 from long 50.
    assert why(r, qty=360, side=Side.SELL) == Reason.POSITION_LIMIT
    assert why(r, qty=350, side=Side.SELL) == 0
    r.engine.check()


def test_position_counts_the_larger_of_both_terms_while_a_replace_is_under_way() -> None:
    r = world()
    r.limit(RiskCheck.POSITION, 300, exp=-3)
    order_id = r.new(qty=200).order_id
    assert r.replace(order_id, version=1, order_qty=310).reason == Reason.POSITION_LIMIT
    r.frame(OrderCancelReject(order_id=order_id, version=1, response_to=2), OMS)
    up = r.replace(order_id, version=2, order_qty=300)
    asked = r.seq
    assert (up.decision, up.reserved_qty) == (Decision.PASS, 100)
    assert why(r, qty=10) == Reason.POSITION_LIMIT
    # Taken up; another of the same version is refused, then this one is given up: room only then.
    r.report(order_id, OrdStatus.PENDING_REPLACE, qty=200, exec_type=ExecType.PENDING_REPLACE, exec_ref_seq=asked)
    r.replace(order_id, version=2, order_qty=300)
    r.frame(OrderCancelReject(order_id=order_id, version=2, response_to=2), OMS)
    assert why(r, qty=10) == Reason.POSITION_LIMIT
    r.report(order_id, OrdStatus.NEW, qty=200, exec_ref_seq=asked)
    r.frame(OrderCancelReject(order_id=order_id, version=2, response_to=2), OMS)
    assert why(r, qty=100) == 0
    down = r.replace(order_id, version=3, order_qty=50)  # adds nothing: passes at the limit, and frees nothing yet
    asked = r.seq
    assert (down.decision, down.reserved_qty) == (Decision.PASS, 0)
    assert why(r, qty=10) == Reason.POSITION_LIMIT
    r.report(order_id, OrdStatus.NEW, qty=50, exec_type=ExecType.REPLACED, exec_ref_seq=asked)
    assert why(r, qty=150) == 0
    r.engine.check()


def test_position_of_an_order_that_is_not_ours_counts() -> None:
    r = world()
    r.limit(RiskCheck.POSITION, 300, exp=-3)
    r.report(1, OrdStatus.NEW, qty=250, strategy=0)
    assert why(r, qty=60) == Reason.POSITION_LIMIT
    r.report(1, OrdStatus.FILLED, qty=250, cum=250, last=250, strategy=0)
    assert why(r, qty=60) == Reason.POSITION_LIMIT
    assert why(r, qty=50) == 0


def test_position_late_fill_and_reopening() -> None:
    r = world()
    r.limit(RiskCheck.POSITION, 300, exp=-3)
    order_id = r.new(qty=200).order_id
    r.report(order_id, OrdStatus.REJECTED, qty=200)
    r.report(order_id, OrdStatus.PARTIALLY_FILLED, qty=200, cum=30, last=30)  # the venue worked it after all
    assert why(r, qty=110) == Reason.POSITION_LIMIT
    r.report(order_id, OrdStatus.CANCELED, qty=200, cum=30)
    r.report(order_id, OrdStatus.CANCELED, qty=200, cum=40, last=10)
    assert why(r, qty=270) == Reason.POSITION_LIMIT
    assert why(r, qty=260) == 0


def test_position_of_a_trade_taken_back_and_restated() -> None:
    r = world()
    r.limit(RiskCheck.POSITION, 300, exp=-3)
    order_id = r.new(qty=200).order_id
    r.report(order_id, OrdStatus.FILLED, qty=200, cum=200, last=200)
    assert why(r, qty=110) == Reason.POSITION_LIMIT
    r.report(order_id, OrdStatus.CANCELED, qty=200, cum=150, last=200, exec_type=ExecType.TRADE_CANCEL)
    r.report(order_id, OrdStatus.CANCELED, qty=200, cum=150, last=150, exec_type=ExecType.TRADE_CORRECT)
    assert why(r, qty=160) == Reason.POSITION_LIMIT
    assert why(r, qty=150) == 0
    r.engine.check()


def test_position_overflow() -> None:
    r = world(max_qty=NULL, quote_currency=0)
    most = ((1 << 61) + (1 << 60)) // 10 * 10
    assert why(r, qty=most) == 0
    assert why(r, qty=most) == Reason.ARITHMETIC_OVERFLOW


def test_order_rate() -> None:
    r = world()
    r.limit(RiskCheck.ORDER_RATE, 2, period_ns=SECOND)
    start = r.now
    order_id = r.new(ns=1).order_id
    assert why(r, ns=1) == 0
    assert why(r, ns=1) == Reason.ORDER_RATE
    assert why(r, ns=start + SECOND - r.now) == Reason.ORDER_RATE  # the first is exactly one ns younger than the window
    assert why(r, ns=1) == 0
    assert why(r, ns=SECOND) == 0
    r.frame(CancelOrder(order_id=order_id), STRATEGY)  # counts, and goes whatever the count
    assert why(r, ns=1) == Reason.ORDER_RATE


def test_the_most_specific_scope_wins() -> None:
    r = world()
    check = RiskCheck.POSITION
    r.limit(check, 1000, limit=1, exp=-3)
    r.limit(check, 10, limit=2, exp=-3, scope_type=ScopeType.STRATEGY, scope_strategy=MAKER + 1)
    assert why(r, qty=100) == 0
    r.limit(check, 200, limit=3, exp=-3, scope_type=ScopeType.STRATEGY, scope_strategy=MAKER)
    assert why(r, qty=110) == Reason.POSITION_LIMIT
    assert outcome(r.last(), check).limit == 3
    r.limit(check, 500, limit=4, exp=-3, scope_type=ScopeType.STRATEGY_INSTRUMENT, scope_strategy=MAKER,
            scope_instrument=INSTRUMENT)  # fmt: skip
    assert why(r, qty=400) == 0
    assert outcome(r.last(), check).limit == 4


def test_generations_sides_ends_and_warnings() -> None:
    r = world()
    check = RiskCheck.QUANTITY_LIMITS
    r.limit(check, 100, exp=-3, generation=2)
    r.limit(check, 500, exp=-3, generation=1)  # older: changes nothing
    assert why(r, qty=200) == Reason.MAX_ORDER_QUANTITY
    r.limit(check, 500, exp=-3, generation=3, warn=200)
    assert r.new(qty=200).decision == Decision.PASS
    warned = r.new(qty=210)
    assert (warned.decision, warned.rules_generation) == (Decision.PASS_WITH_WARNING, 3)
    assert result(warned, check) == CheckResult.WARN
    r.limit(check, 10, exp=-3, generation=4, side=Side.SELL)
    assert why(r, qty=600) == 0
    assert why(r, qty=20, side=Side.SELL) == Reason.MAX_ORDER_QUANTITY
    r.limit(check, 10, exp=-3, generation=5, valid_until_ts=r.now + 10)
    assert why(r, qty=20) == Reason.MAX_ORDER_QUANTITY
    assert why(r, qty=20, ns=100) == 0
    r.limit(check, 10, exp=-3, generation=6, action=LimitAction.WARN)
    assert r.new(qty=20).decision == Decision.PASS_WITH_WARNING


def test_limits_that_are_required_and_missing() -> None:
    r = RiskRecorder(require_limits=True).open_world()
    required = (
        RiskCheck.PRICE_COLLAR, RiskCheck.ORDER_NOTIONAL, RiskCheck.WORKING_ORDERS, RiskCheck.POSITION, RiskCheck.ORDER_RATE
    )  # fmt: skip
    for check in required:
        decision = r.new()
        assert decision.reason == Reason.LIMIT_NOT_DEFINED
        assert next(c.check for c in decision.checks if c.result == CheckResult.FAIL) == check
        hard = {RiskCheck.PRICE_COLLAR: 10**11}.get(check, 10_000)
        r.limit(check, hard, exp=-12 if check == RiskCheck.PRICE_COLLAR else 0, period_ns=SECOND)
    assert why(r) == 0
