"""Held orders and lists against an obvious model, with a lawful venue that is slow, lost and found again, kills and restarts.

The model of a held order is a price and a side; that of a list is arithmetic on fills, asked when nothing is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oms_and_risk import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, SECOND, STRATEGY, Desk

from journal.messages import (
    NULL,
    Alert,
    CancelAll,
    CancelAllReport,
    CancelOrder,
    Channel,
    Clock,
    ContingencyType,
    CxlRejResponseTo,
    ExecType,
    GatewayPhase,
    KillLevel,
    KillRelease,
    KillSwitch,
    ListMember,
    ListRole,
    Message,
    OrderList,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedOrder,
    RoutedQuery,
    RoutedReplace,
    ScopeType,
    Side,
    Trade,
    TradeSummary,
    TrailType,
    Trigger,
    VenueCancelReject,
    VenueOrderUpdate,
    order_id_of,
)
from oms.manager import OrderManager
from riskengine.engine import RiskEngine
from tests.apart import backwards, state_of

pick = st.integers(0, 1000)
mostly = st.sampled_from([True, True, True, False])
TICK = 5
KINDS = [ContingencyType.OCO, ContingencyType.OUO_ABSOLUTE, ContingencyType.BRACKET]


@dataclass
class Waiting:
    """A held order of the model."""

    side: int
    stop: int | None
    trail: int = 0

    def sees(self, px: int) -> bool:
        if self.trail:
            away = px - self.trail if self.side == Side.SELL else px + self.trail
            stop = away // TICK * TICK if self.side == Side.SELL else -(-away // TICK) * TICK
            best = max if self.side == Side.SELL else min
            self.stop = stop if self.stop is None else best(self.stop, stop)
        assert self.stop is not None
        return px <= self.stop if self.side == Side.SELL else px >= self.stop


@dataclass
class AtVenue:
    qty: int
    px: int
    side: int
    cum: int = 0
    open: bool = True


@dataclass
class Listed:
    kind: int
    ids: list[int]
    qty: int
    raced: bool = False
    seen: dict[int, int] = field(default_factory=dict)


class Instructions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.d = Desk()
        self.d.check_every = False
        self.waiting: dict[int, Waiting] = {}
        self.triggered: set[int] = set()
        self.venue: dict[int, AtVenue] = {}
        self.queue: list[Message] = []
        self.read = 0
        self.lists: list[Listed] = []
        self.up = True
        self.killed = 0
        self.sweeps = 0

    @initialize()
    def world(self) -> None:
        self.d.ready()

    @property
    def flows(self) -> bool:
        return self.up and not self.killed

    def collect(self) -> None:
        """What the OMS has told the gateway meanwhile; lost when the gateway is down."""
        fresh, self.read = self.d.emitted[self.read :], len(self.d.emitted)
        routed = (RoutedOrder, RoutedCancel, RoutedReplace, RoutedQuery)
        self.queue += [m for m in fresh if isinstance(m, routed)] if self.up else []

    def calm(self, wanted: bool) -> None:
        if wanted:
            self.release()
            self.find()

    # Held orders.

    @rule(side=st.sampled_from([Side.BUY, Side.SELL]), off=st.integers(1, 8), trailing=st.booleans(), calm=mostly)
    def hold(self, side: int, off: int, trailing: bool, calm: bool) -> None:
        self.calm(calm)
        waits = (
            Waiting(side, None, off * TICK) if trailing else Waiting(side, 5000 + off * TICK * (1 if side == Side.BUY else -1))
        )
        stop = {"trail_offset": waits.trail, "trail_type": TrailType.PRICE} if trailing else {"stop_px": waits.stop}
        kind = OrdType.TRAILING_STOP if trailing else OrdType.STOP
        order_id = self.d.ask(kind, side=side, trigger=Trigger.LAST, **stop)
        if self.flows:
            self.waiting[order_id] = waits
        else:
            assert self.d.status(order_id) == OrdStatus.REJECTED

    @rule(path=st.lists(st.integers(993, 1007).map(lambda n: n * TICK), min_size=1, max_size=6))
    def trades(self, path: list[int]) -> None:
        for px in path:
            self.trade(px)

    def trade(self, px: int) -> None:
        self.d.frame(TradeSummary(instrument=INSTRUMENT, trades=[Trade(px=px, qty=1, side=Side.BUY)]), GATEWAY)
        for order_id in [x for x, w in self.waiting.items() if w.sees(px)] if self.flows else []:
            del self.waiting[order_id]
            self.triggered.add(order_id)
        if not self.flows:
            for waits in self.waiting.values():
                waits.sees(px)

    @precondition(lambda self: self.waiting)
    @rule(n=pick)
    def cancel_held(self, n: int) -> None:
        order_id = list(self.waiting)[n % len(self.waiting)]
        self.d.frame(CancelOrder(order_id=order_id), STRATEGY)
        del self.waiting[order_id]
        assert self.d.status(order_id) == OrdStatus.CANCELED

    @precondition(lambda self: self.waiting)
    @rule(n=pick, off=st.integers(1, 8))
    def move_stop(self, n: int, off: int) -> None:
        order_id = list(self.waiting)[n % len(self.waiting)]
        waits = self.waiting[order_id]
        if waits.trail:
            return
        stop = 5000 + off * TICK * (1 if waits.side == Side.BUY else -1)
        self.d.frame(ReplaceOrder(order_id=order_id, stop_px=stop), STRATEGY)
        if self.flows:
            waits.stop = stop

    # Lists.

    @rule(kind=st.sampled_from(KINDS), mode=st.integers(0, 1), calm=mostly, works=mostly)
    def listed(self, kind: int, mode: int, calm: bool, works: bool) -> None:
        self.calm(calm)
        self.d.number += 10
        ids = [order_id_of(STRATEGY, self.d.number + n) for n in range(3 if kind == ContingencyType.BRACKET else 2)]
        roles = [ListRole.PRIMARY, ListRole.STOP_LOSS, ListRole.TAKE_PROFIT] if len(ids) == 3 else [ListRole.SIBLING] * 2
        members = [ListMember(order_id=i, role=r) for i, r in zip(ids, roles, strict=True)]
        list_id = order_id_of(STRATEGY, self.d.number + 9)
        self.d.frame(OrderList(list_id=list_id, contingency=kind, trigger_mode=mode, members=members), STRATEGY)
        for n, order_id in enumerate(ids):
            side = Side.SELL if n and len(ids) == 3 else Side.BUY
            if n == 1 and len(ids) == 3:  # far away: its trigger is the other model's business
                terms = {"stop_px": 100, "trigger": Trigger.LAST}
                self.d.ask(OrdType.STOP, order_id=order_id, list_id=list_id, side=side, **terms)
            else:
                self.d.ask(OrdType.LIMIT, order_id=order_id, list_id=list_id, side=side, price_px=5000)
        self.d.number += 10
        self.lists.append(Listed(kind, ids, 100))
        if works and self.up:
            self.venue_works(9)

    # The venue.

    @precondition(lambda self: self.up)
    @rule(steps=st.integers(1, 5))
    def venue_works(self, steps: int) -> None:
        self.collect()
        for _ in range(steps):
            if self.queue:
                self.answer(self.queue.pop(0))
        self.collect()

    def answer(self, m: Message) -> None:
        if isinstance(m, RoutedOrder):
            self.venue[m.order_id] = AtVenue(m.order_qty, m.price_px, m.side)
            self.d.ack(m.order_id)
            return
        at = self.venue.get(m.order_id)  # type: ignore[attr-defined]
        order_id: int = m.order_id  # type: ignore[attr-defined]
        if isinstance(m, RoutedQuery):
            self.status(order_id, at)
        elif at is None or not at.open:
            to = CxlRejResponseTo.CANCEL if isinstance(m, RoutedCancel) else CxlRejResponseTo.REPLACE
            why = Reason.UNKNOWN_AT_VENUE if at is None else Reason.TOO_LATE_AT_VENUE
            self.d.frame(VenueCancelReject(order_id=order_id, response_to=to, reason=why), GATEWAY)
        elif isinstance(m, RoutedReplace) and m.order_qty > at.cum:
            at.qty = m.order_qty
            self.d.update(order_id, ExecType.REPLACED, order_qty=at.qty, price_px=at.px)
        else:
            at.open = False
            self.d.update(order_id, ExecType.CANCELED, cum_qty=at.cum)

    def status(self, order_id: int, at: AtVenue | None) -> None:
        status, reason = OrdStatus.UNDEFINED, 0
        if at is None:
            reason = Reason.UNKNOWN_AT_VENUE
        elif at.open:
            status = OrdStatus.PARTIALLY_FILLED if at.cum else OrdStatus.NEW
        else:
            status = OrdStatus.FILLED if at.cum >= at.qty else OrdStatus.CANCELED
        self.d.frame(
            VenueOrderUpdate(
                order_id=order_id, account=ACCOUNT, instrument=INSTRUMENT, channel=Channel.QUERY, reason=reason,
                exec_type=ExecType.ORDER_STATUS, ord_status=status, order_qty=at.qty if at else NULL,
                price_px=at.px if at else NULL, cum_qty=at.cum if at else NULL,
            ),
            GATEWAY,
        )  # fmt: skip

    @precondition(lambda self: self.up and any(a.open for a in self.venue.values()))
    @rule(fills=st.lists(st.tuples(pick, st.integers(1, 100), st.booleans()), min_size=1, max_size=4))
    def fills(self, fills: list[tuple[int, int, bool]]) -> None:
        for n, qty, works in fills:
            if any(a.open for a in self.venue.values()):
                self.fill(n, qty)
            if works:
                self.venue_works(9)

    def fill(self, n: int, qty: int) -> None:
        live = [x for x, a in self.venue.items() if a.open]
        order_id = live[n % len(live)]
        at = self.venue[order_id]
        qty = min(qty, at.qty - at.cum)
        self.note_races(order_id, qty)
        at.cum += qty
        at.open = at.cum < at.qty
        self.d.fill(order_id, qty)
        self.collect()

    def note_races(self, order_id: int, qty: int) -> None:
        """Would this fill be one too many? Only then may an alert say so."""
        for x in self.lists:
            if order_id in x.ids:
                x.raced |= self.excess(x, {order_id: qty}) > 0

    def cum(self, order_id: int) -> int:
        at = self.venue.get(order_id)
        return at.cum if at is not None else 0

    def excess(self, x: Listed, more: dict[int, int]) -> int:
        cums = [self.cum(i) + more.get(i, 0) for i in x.ids]
        if x.kind == ContingencyType.OCO:
            return sum(c > 0 for c in cums) - 1
        if x.kind == ContingencyType.OUO_ABSOLUTE:
            return sum(cums) - x.qty
        return cums[1] + cums[2] - cums[0]

    @precondition(lambda self: self.up and any(a.open for a in self.venue.values()))
    @rule(n=pick)
    def cancel_working(self, n: int) -> None:
        live = [x for x, a in self.venue.items() if a.open]
        self.d.frame(CancelOrder(order_id=live[n % len(live)]), STRATEGY)
        self.collect()

    # What happens to all of them.

    def lose(self) -> None:
        self.collect()
        if self.up:
            self.up, self.queue = False, []
            self.d.disconnect()
            self.d.phase(GatewayPhase.DISCONNECTED)
            self.collect()

    def find(self) -> None:
        if not self.up:
            self.read, self.up = len(self.d.emitted), True
            self.d.phase(GatewayPhase.READY)
            self.collect()

    @rule(what=st.sampled_from(["lose", "find", "block", "cancel", "release", "sweep", "restart", "restart"]))
    def disturb(self, what: str) -> None:
        if what == "block":
            self.kill(KillLevel.BLOCK)
        elif what == "cancel":
            self.kill(KillLevel.BLOCK_CANCEL)
        else:
            getattr(self, what)()

    def kill(self, level: int) -> None:
        if not self.killed:
            self.killed = 1
            self.d.frame(KillSwitch(kill=1, level=level, scope_type=ScopeType.GLOBAL), OPERATOR)
            if level == KillLevel.BLOCK_CANCEL:
                self.waiting.clear()
            self.collect()

    def release(self) -> None:
        self.killed = 0
        self.d.frame(KillRelease(kill=1), OPERATOR)

    def sweep(self) -> None:
        self.sweeps += 1
        self.d.frame(CancelAll(request=self.sweeps, scope_type=ScopeType.GLOBAL), STRATEGY)
        self.waiting.clear()
        self.collect()

    def restart(self) -> None:
        d = self.d
        orders, risk = d.oms.snapshot(), d.risk.snapshot()
        d.oms, d.risk = OrderManager(d), RiskEngine(d.aside)
        d.oms.restore(orders)
        d.risk.restore(risk)
        assert (d.oms.snapshot(), d.risk.snapshot()) == (orders, risk)
        for machine in (d.oms, d.risk):
            said = state_of(machine)
            machine.assemble(*backwards(machine))
            assert state_of(machine) == said

    # What always holds.

    @invariant()
    def consistent(self) -> None:
        self.d.oms.check()
        self.d.risk.check()

    @invariant()
    def held_is_what_the_model_holds(self) -> None:
        listed = {i for x in self.lists for i in x.ids}
        holds = self.d.oms.memory.instructions.holds
        assert sorted(x for x in holds if x not in listed) == sorted(self.waiting)
        sent = {m.order_id for m in self.d.sent}
        assert self.triggered <= sent
        assert not sent & set(self.waiting)
        for order_id, waits in self.waiting.items():
            assert holds[order_id].stop_px == (NULL if waits.stop is None else waits.stop)

    @invariant()
    def what_may_trade_is_reserved(self) -> None:
        for order in self.d.oms.memory.orders.values():
            assert self.d.reserved(order.order_id) >= order.leaves_qty

    @invariant()
    def races_alone_are_told_as_races(self) -> None:
        told = [a.scope_order_id for a in self.d.said(Alert) if "exclude one another" in a.text]
        for x in self.lists:
            assert (sum(t in x.ids for t in told) == 1) == x.raced

    def teardown(self) -> None:
        """Let everything come to rest: then every list is as its fills say."""
        if not self.d.stream:
            return
        self.release()
        self.find()
        for _ in range(200):
            self.collect()
            if not self.queue:
                self.d.frame(Clock(), 0, ns=6 * SECOND)
                self.collect()
                if not self.queue:
                    break
            while self.queue:
                self.answer(self.queue.pop(0))
        self.consistent()
        for x in self.lists:
            self.at_rest(x)
        reports = self.d.said(CancelAllReport)
        assert sorted(r.request for r in reports if r.final) == list(range(1, self.sweeps + 1))
        assert all(r.matched == r.canceled + r.rejected + r.pending for r in reports)
        assert self.d.replay() == self.d.emitted

    def at_rest(self, x: Listed) -> None:
        orders = [self.d.oms.memory.peek(i) for i in x.ids]
        live = [o for o in orders if o is not None and not o.closed]
        cums = [self.cum(i) for i in x.ids]
        if x.kind == ContingencyType.OCO:
            assert len(live) in (0, 1) if any(cums) or any(o is None or o.closed for o in orders) else len(live) == 2
        elif x.kind == ContingencyType.OUO_ABSOLUTE:
            for o in live:
                others = sum(c for i, c in zip(x.ids, cums, strict=True) if i != o.order_id)
                assert o.order_qty == x.qty - others
        else:
            for o, other in ((orders[1], 2), (orders[2], 1)):
                if o is not None and not o.closed and o.destination:
                    assert o.order_qty == min(x.qty, cums[0]) - cums[other]
                if o is not None and o.closed and not o.cum_qty:
                    continue
            first = orders[0]
            if first is not None and first.closed and not cums[0]:
                assert live == []


TestInstructions = Instructions.TestCase
TestInstructions.settings = settings(
    max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
