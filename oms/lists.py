"""Orders that depend on one another: OCO, OTO, OUO, brackets.

A list begins when all its members have passed risk, and not before. From then on what each member should have is a function of
what the others did, asked after every step of a member: a held one is changed where it stands, one at the venue by a
ReplaceOrder or cancel of ours, as anyone would ask for it. Between a fill and its consequence both legs may fill: that is told.
"""

from __future__ import annotations

from journal.messages import (
    NULL,
    AlertSeverity,
    ContingencyType,
    ListMemberStatus,
    ListRole,
    ListStatus,
    ListStatusCode,
    NewOrder,
    OrderList,
    OrdStatus,
    Reason,
    ReplaceOrder,
    RiskDecision,
    SourceRole,
    Trigger,
    order_id_source,
)
from oms.held import RETRY_NS, Held
from oms.instructions import Dependency, Hold, Leg, Wait
from oms.order import Order, Request
from oms.transitions import Event

MEMBERS_MAX = 64
TRIES_MAX = 5
"""So often a quantity is asked for that the venue or risk does not give, at growing distances."""
KEPT_NS = 60_000_000_000
"""How long a list that is done is remembered: late fills of its members are told as its races."""
SHARED_TIMER = 1 << 47
"""Token of the timer of everything that is not one order's. No source has number 0, so no order has this id."""
_OUO = (ContingencyType.OUO_ABSOLUTE, ContingencyType.OUO_PROPORTIONAL)
_SIZED = (*_OUO, ContingencyType.BRACKET)
_TRIGGERED = (ContingencyType.OTO, ContingencyType.BRACKET)
_CHILDREN = (ListRole.STOP_LOSS, ListRole.TAKE_PROFIT)


class Lists(Held):
    """Contingent orders."""

    # What is asked.

    def on_order_list(self, m: OrderList) -> None:
        """Its members follow; they wait for one another."""
        lists = self.memory.instructions.lists
        if m.list_id in lists or order_id_source(m.list_id) != self.ctx.source or _malformed(m, self.ctx.source):
            self.ctx.emit(ListStatus(list_id=m.list_id, list_status=ListStatusCode.REJECTED, reason=Reason.INVALID_ORDER_LIST))
            return
        made = lists[m.list_id] = Dependency(
            m.list_id, m.contingency, m.trigger_mode, [Leg(x.order_id, x.role) for x in m.members],
            ListStatusCode.RECEIVED, self.ctx.now + self.request_timeout_ns,
        )  # fmt: skip
        self._tell_list(made)
        self.arm_shared()

    def accepted(self, order: Order, new: NewOrder) -> None:
        """A member finds its list, or is refused."""
        if new.list_id:
            found = self.memory.instructions.lists.get(new.list_id)
            leg = found.leg(order.order_id) if found is not None else None
            if found is None or leg is None or leg.qty or found.status != ListStatusCode.RECEIVED:
                known = found is not None and leg is not None and found.reason
                self.step(order, Event.RISK_REJECT, reason=known or Reason.INVALID_ORDER_LIST)
                return
            leg.qty = new.order_qty
            self.memory.instructions.list_of[order.order_id] = new.list_id
        super().accepted(order, new)

    def first_wait(self, order: Order, new: NewOrder) -> int:
        """A member waits for its list first of all."""
        return Wait.LIST if order.order_id in self.memory.instructions.list_of else super().first_wait(order, new)

    def passed(self, order: Order, m: RiskDecision) -> None:
        """When the last member has passed, the list begins."""
        super().passed(order, m)
        made = self._list(order)
        holds = self.memory.instructions.holds
        if made is not None and all(leg.order_id in holds for leg in made.legs):
            self._begin(made)

    def _list(self, order: Order) -> Dependency | None:
        i = self.memory.instructions
        return i.lists.get(i.list_of.get(order.order_id, 0)) if i.list_of else None

    def _begin(self, made: Dependency) -> None:
        if _unequal(made, [self.memory.orders[leg.order_id] for leg in made.legs]):
            self._deny(made, Reason.INVALID_ORDER_LIST)
            return
        made.status, made.deadline = ListStatusCode.EXECUTING, 0
        self._tell_list(made)
        self.arm_shared()
        for leg in made.legs:
            order = self.memory.orders[leg.order_id]
            hold = self.memory.instructions.holds.get(leg.order_id)
            if hold is None or hold.wait != Wait.LIST:
                continue  # an earlier member's step has ended this one
            if made.contingency in _TRIGGERED and leg.role != ListRole.PRIMARY:
                hold.wait, hold.pass_body = Wait.FILL, b""
            else:
                self._go(order, hold)

    def _go(self, order: Order, hold: Hold) -> None:
        """A member that waits for no other: it goes by the pass it has, or waits for its own time or price."""
        new = NewOrder.decode(hold.asked)
        wait = super().first_wait(order, new)
        decision, seq, hold.pass_body = RiskDecision.decode(hold.pass_body), hold.pass_seq, b""
        if wait:
            hold.wait = wait
            self.hold(order, hold)
            self.arm(order)
            return
        self.step(order, Event.RELEASE)
        del self.memory.instructions.holds[order.order_id]
        self.route(order, decision, risk_seq=seq)

    def _deny(self, made: Dependency, reason: int) -> None:
        """It does not begin: none of its members is sent."""
        made.status, made.reason, made.deadline = ListStatusCode.REJECTED, reason, self.ctx.now + KEPT_NS
        for leg in made.legs:
            order = self.memory.orders.get(leg.order_id)
            if order is not None and not order.closed:
                self.step(order, Event.RISK_REJECT, reason=reason)
        self._tell_list(made)
        self.arm_shared()

    def _tell_list(self, made: Dependency) -> None:
        members = []
        for leg in made.legs:
            order = self.memory.peek(leg.order_id)
            status, cum = (order.ord_status, order.cum_qty) if order is not None else (0, 0)
            members.append(ListMemberStatus(order_id=leg.order_id, ord_status=status, cum_qty=cum))
        self.ctx.emit(ListStatus(list_id=made.list_id, list_status=made.status, reason=made.reason, members=members))

    # What the others did.

    def moved(self, order: Order) -> None:
        """A member's step may be another's business."""
        super().moved(order)
        made = self._list(order)
        if made is None or made.busy:
            return
        made.busy = True
        if made.status == ListStatusCode.RECEIVED and order.closed:
            self._deny(made, Reason.LIST_MEMBER_DENIED)
        elif made.status in (ListStatusCode.EXECUTING, ListStatusCode.ALL_DONE):
            self._follow(made)
        made.busy = False

    def _follow(self, made: Dependency) -> None:
        orders = {leg.order_id: self.memory.peek(leg.order_id) for leg in made.legs}
        legs = [(leg, o) for leg in made.legs if (o := orders[leg.order_id]) is not None]
        if made.contingency == ContingencyType.OCO and not made.winner:
            # The first that fills, or ends, decides; its own rest goes on.
            made.winner = next((leg.order_id for leg, o in legs if o.cum_qty or o.closed), 0)
        for leg, o in legs:
            if not o.closed:
                self._adjust(made, leg, o, legs)
        if not made.alerted and _too_much(made, legs):
            made.alerted = True
            self.alert(legs[0][1], Reason.CONTINGENCY, f"list {made.list_id}: members filled that exclude one another",
                       severity=AlertSeverity.CRITICAL)  # fmt: skip
        if made.status == ListStatusCode.EXECUTING and all(o.closed for _, o in legs):
            made.status, made.deadline = ListStatusCode.ALL_DONE, self.ctx.now + KEPT_NS
            self._tell_list(made)
            self.arm_shared()

    def _adjust(self, made: Dependency, leg: Leg, order: Order, legs: list[tuple[Leg, Order]]) -> None:
        """Bring one open member to what it should have."""
        hold = self.memory.instructions.holds.get(leg.order_id)
        wanted = self._wanted(made, leg, legs, final=hold is not None)
        if wanted is not None and wanted <= order.cum_qty:
            if order.cancel is None:
                self.cancel(order, Event.POLICY_CANCEL, version=0, reason=Reason.CONTINGENCY)
            return
        if wanted is not None and wanted != order.order_qty:
            self._resize(leg, order, wanted, hold)
        if hold is not None and hold.wait == Wait.FILL and _active(made, legs):
            self.waited(order, hold, Trigger.ORDER_FILL)

    def _wanted(self, made: Dependency, leg: Leg, legs: list[tuple[Leg, Order]], *, final: bool) -> int | None:
        """The total quantity a member should have; None: as it is. `final`: what it can still come to, for one that is not sent
        yet; else what it should have now."""
        others = [(x, o) for x, o in legs if x is not leg and x.role != ListRole.PRIMARY]
        if made.contingency == ContingencyType.OCO:
            return 0 if made.winner not in (0, leg.order_id) else None
        if made.contingency in _TRIGGERED:
            first = next(o for x, o in legs if x.role == ListRole.PRIMARY)
            if leg.role == ListRole.PRIMARY:
                return None
            if first.closed and not first.cum_qty:
                return 0
            if made.contingency == ContingencyType.OTO:
                return None
            of = leg.qty if final and not first.closed else min(leg.qty, first.cum_qty)
            return of - sum(o.cum_qty for _, o in others)
        if made.contingency == ContingencyType.OUO_ABSOLUTE:
            return leg.qty - sum(o.cum_qty for _, o in others)
        wanted = leg.qty - sum(-(-leg.qty * o.cum_qty // x.qty) for x, o in others)
        lot = self.lot(legs[0][1].instrument)
        return wanted // lot * lot

    def _resize(self, leg: Leg, order: Order, wanted: int, hold: Hold | None) -> None:
        if hold is not None:
            if wanted < order.order_qty and hold.wait != Wait.RISK:
                self._shrink(order, wanted)
            return
        if order.replace is not None or leg.asking or order.unknown or order.base == OrdStatus.PENDING_NEW or order.cancel:
            return  # its end brings us here again
        if self.shut(order):
            self._try_again(leg, order, RETRY_NS)
            return
        if leg.asked_qty != wanted:
            leg.told, leg.tries, leg.retry_at = False, 0, 0
        elif leg.tries >= TRIES_MAX or leg.retry_at > self.ctx.now:
            return
        elif not leg.retry_at:
            if not leg.told:
                leg.told = True
                self.alert(order, Reason.CONTINGENCY, f"its list wants a quantity of {wanted}, which was not done")
            self._try_again(leg, order, RETRY_NS << leg.tries)
            return
        leg.asked_qty, leg.asking, leg.retry_at = wanted, True, 0
        leg.tries += 1
        self.ctx.emit(ReplaceOrder(order_id=order.order_id, order_qty=wanted))

    def _try_again(self, leg: Leg, order: Order, after_ns: int) -> None:
        if leg.retry_at <= self.ctx.now:
            leg.retry_at = self.ctx.now + after_ns
            self.arm(order)

    def _shrink(self, order: Order, qty: int) -> None:
        self.step(order, Event.RESIZED, then=lambda: setattr(order, "order_qty", qty), reason=Reason.CONTINGENCY)
        self.restate(order)

    def release(self, order: Order, hold: Hold, *, observed_px: int = NULL, trigger: int) -> None:
        """A child is released for what there is to be closed, no more."""
        made = self._list(order)
        if made is not None and not self.shut(order) and self.ctx.now >= hold.not_before:
            legs = [(leg, self.memory.orders[leg.order_id]) for leg in made.legs if leg.order_id in self.memory.orders]
            leg = next(leg for leg in made.legs if leg.order_id == order.order_id)
            wanted = self._wanted(made, leg, legs, final=False)
            if wanted is not None and 0 < wanted < order.order_qty:
                self._shrink(order, wanted)
        super().release(order, hold, observed_px=observed_px, trigger=trigger)

    def on_replace_order(self, m: ReplaceOrder) -> None:
        """Our own wish has come back, or another's."""
        made = self.memory.instructions.lists.get(self.memory.instructions.list_of.get(m.order_id, 0))
        leg = made.leg(m.order_id) if made is not None else None
        if leg is not None and self.memory.roles.get(self.ctx.source) == SourceRole.OMS:
            leg.asking = False
        super().on_replace_order(m)

    def _senseless(self, order: Order, request: Request) -> int:
        made = self._list(order)
        ours = self.memory.roles.get(self.ctx.source) == SourceRole.OMS
        if made is not None and made.contingency in _SIZED and request.order_qty != order.order_qty and not ours:
            return Reason.REPLACE_NOT_ALLOWED  # its list says how much it has
        hold = self.memory.instructions.holds.get(order.order_id)
        if hold is not None and hold.wait == Wait.LIST:
            return Reason.ALREADY_PENDING  # the pass it has is for the old terms
        return super()._senseless(order, request)

    # Time.

    def on_timer(self, token: int) -> None:
        """A list was not completed in time; one that was done is forgotten."""
        super().on_timer(token)
        if token == SHARED_TIMER:
            self.shared_due()
            self.arm_shared()
        made = self.memory.instructions.lists.get(self.memory.instructions.list_of.get(token, 0))
        leg = made.leg(token) if made is not None else None
        if made is not None and leg is not None and 0 < leg.retry_at <= self.ctx.now:
            made.busy = True
            self._follow(made)
            made.busy = False

    def due(self, order: Order) -> int:
        """As before, or when its quantity is asked for again."""
        due, made = super().due(order), self._list(order)
        leg = made.leg(order.order_id) if made is not None else None
        again = leg.retry_at if leg is not None and leg.retry_at > self.ctx.now else 0
        return min((d for d in (due, again) if d), default=0)

    def shared_due(self) -> None:
        """What is due of everything that is not one order's."""
        i = self.memory.instructions
        for made in [x for x in i.lists.values() if 0 < x.deadline <= self.ctx.now]:
            if made.status == ListStatusCode.RECEIVED:
                made.busy = True
                self._deny(made, Reason.LIST_INCOMPLETE)
                made.busy = False
            else:
                del i.lists[made.list_id]
                for leg in made.legs:
                    i.list_of.pop(leg.order_id, None)
                self.memory.use(made.list_id)  # counted with the orders by whoever gave it

    def shared_dues(self) -> list[int]:
        """When something of that is due next."""
        return [x.deadline for x in self.memory.instructions.lists.values()]

    def arm_shared(self) -> None:
        """One timer for all of it."""
        due = min((d for d in self.shared_dues() if d), default=0)
        if due:
            self.ctx.set_timer(due, SHARED_TIMER)
        else:
            self.ctx.cancel_timer(SHARED_TIMER)

    def check_instructions(self) -> None:
        """Assert what holds of lists. O(n)."""
        super().check_instructions()
        i = self.memory.instructions
        for made in i.lists.values():
            orders = [self.memory.peek(leg.order_id) for leg in made.legs]
            assert not made.busy
            if made.status == ListStatusCode.RECEIVED:
                assert all(o is None or not o.destination for o in orders), made  # nothing leaves before all have passed
            if made.status == ListStatusCode.REJECTED:
                assert all(o is None or (o.closed and not o.destination) for o in orders), made
            if made.contingency == ContingencyType.OCO and made.winner:
                for o in orders:
                    assert o is None or o.order_id == made.winner or o.closed or o.cancel is not None, o
            primary = next((leg.order_id for leg in made.legs if leg.role == ListRole.PRIMARY), 0)
            first = self.memory.peek(primary) if primary else None
            for o in orders:
                if first is not None and o is not None and o is not first and o.destination:
                    assert first.cum_qty, made  # no child leaves before its parent has filled


def _malformed(m: OrderList, source: int) -> bool:
    ids = [x.order_id for x in m.members]
    roles = [x.role for x in m.members]
    firsts = roles.count(ListRole.PRIMARY)
    if not 2 <= len(ids) <= MEMBERS_MAX or len(set(ids)) != len(ids) or m.trigger_mode not in (0, 1):
        return True
    if any(order_id_source(x) != source for x in ids):
        return True
    if m.contingency == ContingencyType.BRACKET:
        children = [r for r in roles if r in _CHILDREN]
        return firsts != 1 or len(children) != len(roles) - 1 or len(set(children)) != len(children)
    if m.contingency == ContingencyType.OTO:
        return firsts != 1
    return m.contingency not in (ContingencyType.OCO, *_OUO) or firsts != 0


def _unequal(made: Dependency, orders: list[Order]) -> bool:
    """Members whose quantities are compared are of one account and instrument; children close what their parent opened."""
    if made.contingency not in _SIZED:
        return False
    if len({(o.account, o.instrument) for o in orders}) > 1:
        return True
    if made.contingency != ContingencyType.BRACKET:
        return len({o.side for o in orders}) > 1
    first = next(o for leg, o in zip(made.legs, orders, strict=True) if leg.role == ListRole.PRIMARY)
    return any((o.side == 1) == (first.side == 1) for o in orders if o is not first)


def _active(made: Dependency, legs: list[tuple[Leg, Order]]) -> bool:
    """Whether the children may go: the parent is done (mode 0), or has begun to fill (mode 1)."""
    first = next(o for leg, o in legs if leg.role == ListRole.PRIMARY)
    return first.cum_qty > 0 and (first.closed or made.trigger_mode == 1)


def _too_much(made: Dependency, legs: list[tuple[Leg, Order]]) -> bool:
    rest = [(leg, o) for leg, o in legs if leg.role != ListRole.PRIMARY]
    if made.contingency == ContingencyType.OCO:
        return sum(o.cum_qty > 0 for _, o in rest) > 1
    if made.contingency == ContingencyType.BRACKET:
        first = next(o for leg, o in legs if leg.role == ListRole.PRIMARY)
        return sum(o.cum_qty for _, o in rest) > first.cum_qty
    if made.contingency == ContingencyType.OUO_ABSOLUTE:
        return sum(o.cum_qty for _, o in rest) > max(leg.qty for leg, _ in rest)
    if made.contingency == ContingencyType.OUO_PROPORTIONAL:
        # The shares add up to more than the whole; exact, without a division.
        whole = 1
        for leg, _ in rest:
            whole *= leg.qty
        return sum(o.cum_qty * (whole // leg.qty) for leg, o in rest) > whole
    return False
