"""What is reserved, against a model that keeps a plain list of orders and adds up whatever is asked for.

Random orders, children of a parent among them, replaces that fills cross, ends, fills after the end, trades taken back and
restated, orders that work again and unknown outcomes, of two strategies in two instruments; after each, every sum, every price
level and every decision of the exposure checks must be what the list says (I-23, I-40, I-42)."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from risk_recorder import ACCOUNT, BOOKS, INSTRUMENT, MAKER, OMS, STRATEGY, USD, RiskRecorder, outcome

from journal.messages import (
    NULL,
    BookState,
    BookStateCode,
    CheckResult,
    ExecInst,
    ExecType,
    ExecutionReport,
    LimitAction,
    OrderCancelReject,
    OrdStatus,
    ParentOrder,
    ReportFlag,
    RiskCheck,
    ScopeType,
    Side,
    TopOfBook,
)
from tests.apart import state_of

INSTRUMENTS, STRATEGIES = (INSTRUMENT, INSTRUMENT + 1), (MAKER, MAKER + 1)
POSITION, ORDERS, UNKNOWN, FAMILY = 500, 6, 2, 400
PARENT = (9 << 48) | 900_000
pick = st.integers(0, 50)


@dataclass
class Order:
    """An open order of the model."""

    number: int
    strategy: int
    instrument: int
    side: int
    qty: int
    px: int
    reduce: bool
    cum: int = 0
    unknown: bool = False
    asked: list[tuple[int, int, int, bool]] = field(default_factory=list)
    """(frame, quantity, price, passed) of replaces under way."""
    child: bool = False
    trades: list[int] = field(default_factory=list)
    ended: int = 0

    @property
    def terms(self) -> list[tuple[int, int]]:
        return [(self.qty, self.px), *((q, p) for _, q, p, passed in self.asked if passed)]

    @property
    def most(self) -> int:
        return max(q for q, _ in self.terms) - self.cum

    @property
    def of_parent(self) -> int:
        """What it takes of its parent: filled, or able to."""
        return self.cum if self.ended else self.most + self.cum

    @property
    def worth(self) -> int:
        return max((q - self.cum) * p for q, p in self.terms)

    def crosses(self, side: int, px: int) -> bool:
        prices = [p for _, p in self.terms]
        return self.side != side and (max(prices) >= px if self.side == Side.BUY else min(prices) <= px)


class Exposures(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.r = RiskRecorder().open_world()
        self.orders: list[Order] = []
        self.ended: list[Order] = []
        self.positions: dict[tuple[int, int], int] = {}

    @initialize()
    def world(self) -> None:
        self.r.define(instrument=INSTRUMENTS[1])
        self.r.frame(BookState(instrument=INSTRUMENTS[1], state=BookStateCode.LIVE), BOOKS)
        self.r.frame(TopOfBook(instrument=INSTRUMENTS[1], bid_px=4990, bid_qty=1, ask_px=5010, ask_qty=1), BOOKS)
        own = {"scope_type": ScopeType.STRATEGY_INSTRUMENT, "scope_strategy": MAKER, "scope_instrument": INSTRUMENT}
        self.r.limit(RiskCheck.POSITION, POSITION, limit=1, exp=-3, **own)
        self.r.limit(RiskCheck.WORKING_ORDERS, ORDERS, limit=2)
        self.r.limit(RiskCheck.UNKNOWN_ORDERS, UNKNOWN, limit=3, scope_type=ScopeType.STRATEGY, scope_strategy=MAKER)
        self.r.limit(RiskCheck.SELF_TRADE, 0, limit=4, action=LimitAction.WARN)
        at = {"account": ACCOUNT, "strategy": MAKER, "instrument": INSTRUMENT, "side": Side.BUY, "order_qty": FAMILY}
        self.r.frame(ParentOrder(order_id=PARENT, **at), STRATEGY)
        accepted = {"leaves_qty": FAMILY, "exec_type": ExecType.NEW, "ord_status": OrdStatus.NEW}
        self.r.frame(ExecutionReport(order_id=PARENT, report_flags=ReportFlag.PARENT, **at, **accepted), OMS)
        self.r.limit(RiskCheck.CREDIT, 10**9, limit=5, exp=0, currency=USD, scope_type=ScopeType.ACCOUNT, scope_account=ACCOUNT)

    @rule(strategy=st.sampled_from(STRATEGIES), instrument=st.sampled_from(INSTRUMENTS), reduce=st.integers(0, 3),
          side=st.sampled_from([Side.BUY, Side.SELL]), qty=st.sampled_from([10, 100, 250]),
          px=st.sampled_from([4990, 5000, 5010]))  # fmt: skip
    def new(self, strategy: int, instrument: int, side: int, qty: int, px: int, reduce: int) -> None:
        r, sign = self.r, 1 if side == Side.BUY else -1
        terms = {"exec_inst": int(ExecInst.DO_NOT_INCREASE)} if reduce == 0 else {}
        fails = set()
        if self.adverse(strategy, instrument, sign) + qty > POSITION and (strategy, instrument) == (MAKER, INSTRUMENT):
            fails.add(RiskCheck.POSITION)
        if len(self.orders) + 1 > ORDERS:
            fails.add(RiskCheck.WORKING_ORDERS)
        if strategy == MAKER and sum(o.unknown for o in self.orders if o.strategy == MAKER) > UNKNOWN:
            fails.add(RiskCheck.UNKNOWN_ORDERS)
        if reduce == 0 and not self.reduces(strategy, instrument, side, qty):
            fails.add(RiskCheck.REDUCE_ONLY)
        crossed = sum(o.crosses(side, px) for o in self.orders if o.instrument == instrument)
        decision = r.new(qty=qty, px=px, side=side, strategy=strategy, instrument=instrument, **terms)
        failed = {c.check for c in decision.checks if c.result == CheckResult.FAIL}
        assert failed == fails, (failed, fails)
        assert outcome(decision, RiskCheck.SELF_TRADE).value == crossed
        assert decision.reserved_qty == (0 if fails else qty)
        if not fails:
            self.orders.append(Order(r.numbers, strategy, instrument, side, qty, px, reduce == 0))

    @rule(qty=st.sampled_from([10, 100, 250]))
    def child(self, qty: int) -> None:
        """An order that works the parent."""
        fails = set()
        if self.adverse(MAKER, INSTRUMENT, 1) + qty > POSITION:
            fails.add(RiskCheck.POSITION)
        if len(self.orders) + 1 > ORDERS:
            fails.add(RiskCheck.WORKING_ORDERS)
        if sum(o.unknown for o in self.orders if o.strategy == MAKER) > UNKNOWN:
            fails.add(RiskCheck.UNKNOWN_ORDERS)
        held = sum(o.of_parent for o in self.children())
        if held + qty > FAMILY:
            fails.add(RiskCheck.PARENT_INVARIANTS)
        decision = self.r.new(qty=qty, parent_order_id=PARENT)
        assert {c.check for c in decision.checks if c.result == CheckResult.FAIL} == fails
        assert outcome(decision, RiskCheck.PARENT_INVARIANTS).value == held + qty
        if not fails:
            self.orders.append(Order(self.r.numbers, MAKER, INSTRUMENT, Side.BUY, qty, 5000, False, child=True))

    def children(self) -> list[Order]:
        return [o for o in (*self.orders, *self.ended) if o.child]

    def adverse(self, strategy: int, instrument: int, sign: int) -> int:
        mine = [o for o in self.orders if (o.strategy, o.instrument) == (strategy, instrument)]
        side = Side.BUY if sign > 0 else Side.SELL
        return sign * self.positions.get((strategy, instrument), 0) + sum(o.most for o in mine if o.side == side)

    def reduces(self, strategy: int, instrument: int, side: int, qty: int) -> bool:
        sign = 1 if side == Side.BUY else -1
        for strategies in (STRATEGIES, (strategy,)):
            held = sum(self.positions.get((s, instrument), 0) for s in strategies)
            working = sum(
                o.most for o in self.orders
                if o.reduce and o.side == side and o.instrument == instrument and o.strategy in strategies
            )  # fmt: skip
            if working + qty > max(-sign * held, 0):
                return False
        return True

    def order(self, n: int) -> Order:
        return self.orders[n % len(self.orders)]

    def said(self, o: Order, status: int, **terms: int) -> None:
        base = {"side": o.side, "strategy": o.strategy, "instrument": o.instrument, "px": o.px, "cum": o.cum}
        if o.reduce:
            base["exec_inst"] = int(ExecInst.DO_NOT_INCREASE)
        if o.child:
            base["parent_order_id"] = PARENT
        self.r.report(self.id(o), status, qty=o.qty, **(base | terms))

    def id(self, o: Order) -> int:
        return (9 << 48) | o.number

    @precondition(lambda self: self.orders)
    @rule(n=pick, qty=st.sampled_from([10, 90, 120, 300]), px=st.sampled_from([NULL, 4980, 5020]))
    def replace(self, n: int, qty: int, px: int) -> None:
        o = self.order(n)
        decision = self.r.replace(self.id(o), order_qty=qty, price_px=px)
        o.asked.append((self.r.seq, qty, o.px if px == NULL else px, decision.reason == 0))

    @precondition(lambda self: any(o.asked for o in self.orders))
    @rule(n=pick, done=st.booleans())
    def replaced(self, n: int, done: bool) -> None:
        o = [o for o in self.orders if o.asked][n % sum(bool(o.asked) for o in self.orders)]
        seq, qty, px, passed = o.asked.pop(0)  # answered in the order of asking
        if done and passed and qty > o.cum:
            o.qty, o.px, o.unknown = qty, px, False
            self.said(o, OrdStatus.NEW, exec_type=ExecType.REPLACED, exec_ref_seq=seq)
        else:
            self.r.frame(OrderCancelReject(order_id=self.id(o), response_to=2), 5)

    @precondition(lambda self: self.orders)
    @rule(n=pick, qty=st.sampled_from([5, 10, 60]))
    def fill(self, n: int, qty: int) -> None:
        o = self.order(n)
        qty = min(qty, o.qty - o.cum)
        self.traded(o, qty)
        done = o.cum == o.qty
        self.said(o, OrdStatus.FILLED if done else OrdStatus.PARTIALLY_FILLED, cum=o.cum, last=qty)
        o.unknown = False
        if done:
            self.end(o, OrdStatus.FILLED)

    def traded(self, o: Order, qty: int) -> None:
        """A trade; of a negative quantity: one taken back."""
        o.cum += qty
        key = (o.strategy, o.instrument)
        self.positions[key] = self.positions.get(key, 0) + (qty if o.side == Side.BUY else -qty)
        if qty > 0:
            o.trades.append(qty)

    def end(self, o: Order, status: int) -> None:
        self.orders.remove(o)
        o.ended, o.unknown, o.asked = status, False, []
        self.ended.append(o)

    @precondition(lambda self: any(o.cum < o.qty for o in self.ended))
    @rule(n=pick, qty=st.sampled_from([5, 60]))
    def late(self, n: int, qty: int) -> None:
        """A fill after the end: the position moves, and nothing that was released is released again."""
        left = [o for o in self.ended if o.cum < o.qty]
        o = left[n % len(left)]
        qty = min(qty, o.qty - o.cum)
        self.traded(o, qty)
        o.ended = OrdStatus.FILLED if o.cum == o.qty else OrdStatus.CANCELED
        self.said(o, o.ended, cum=o.cum, last=qty)

    @precondition(lambda self: any(o.trades for o in (*self.orders, *self.ended)))
    @rule(n=pick, less=st.sampled_from([0, 1, 4]))
    def corrected(self, n: int, less: int) -> None:
        """The venue takes a trade back, or says that it was smaller; of an open order the rest can trade again."""
        of = [o for o in (*self.orders, *self.ended) if o.trades]
        o = of[n % len(of)]
        qty = o.trades.pop()
        self.traded(o, -qty)
        status = OrdStatus.CANCELED if o.ended else OrdStatus.UNKNOWN if o.unknown else OrdStatus.PARTIALLY_FILLED
        o.ended = o.ended and OrdStatus.CANCELED
        after = o.cum + max(qty - less, 0) if less else o.cum
        self.said(o, status, cum=after, last=qty, exec_type=ExecType.TRADE_CANCEL)
        if less and qty > less:
            self.traded(o, qty - less)
            self.said(o, status, cum=after, last=qty - less, exec_type=ExecType.TRADE_CORRECT)

    @precondition(lambda self: any(o.ended == OrdStatus.REJECTED and not o.cum for o in self.ended))
    @rule(n=pick)
    def works_after_all(self, n: int) -> None:
        """The venue works what it had rejected: reserved anew."""
        rejected = [o for o in self.ended if o.ended == OrdStatus.REJECTED and not o.cum]
        o = rejected[n % len(rejected)]
        self.ended.remove(o)
        o.ended = 0
        self.orders.append(o)
        self.said(o, OrdStatus.NEW)

    @precondition(lambda self: self.orders)
    @rule(n=pick, status=st.sampled_from([OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.UNKNOWN, OrdStatus.NEW]))
    def told(self, n: int, status: int) -> None:
        o = self.order(n)
        self.said(o, status)
        if status in (OrdStatus.CANCELED, OrdStatus.REJECTED):
            self.end(o, status)
        else:
            o.unknown = status == OrdStatus.UNKNOWN

    @invariant()
    def what_is_booked_is_what_the_list_says(self) -> None:
        self.r.engine.check()
        view = self.r.engine.view
        for strategy in STRATEGIES:
            area = view.area_of(ScopeType.STRATEGY, strategy)
            mine = [o for o in self.orders if o.strategy == strategy]
            assert (area.orders, area.unknown) == (len(mine), sum(o.unknown for o in mine))
            for instrument in INSTRUMENTS:
                sums, here = area.of(instrument), [o for o in mine if o.instrument == instrument]
                buys, sells = ([o for o in here if o.side == side] for side in (Side.BUY, Side.SELL))
                assert sums.position == self.positions.get((strategy, instrument), 0)
                assert (sums.buying, sums.selling) == (sum(o.most for o in buys), sum(o.most for o in sells))
                assert (sums.buying_value, sums.selling_value) == (sum(o.worth for o in buys), sum(o.worth for o in sells))
                assert sums.buying_to_reduce == sum(o.most for o in buys if o.reduce)
                assert sums.selling_to_reduce == sum(o.most for o in sells if o.reduce)
        parent = self.r.engine.memory.families.parents[PARENT]
        assert parent.qty == sum(o.of_parent for o in self.children())
        assert parent.unknown_qty == sum(o.most for o in self.children() if o.unknown)

    def teardown(self) -> None:
        half = self.r.replay(restart_at=len(self.r.stream) // 2)
        assert [m.encode() for m in half.emitted] == [m.encode() for m in self.r.emitted]
        assert state_of(half.engine) == state_of(self.r.engine)


TestExposures = Exposures.TestCase
TestExposures.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
