"""Pacing: requests keep to the venues' rate budgets. What is beyond them waits its turn, cancels first, or is refused; either
way the stream says so with reason VENUE_RATE_BUDGET."""

from __future__ import annotations

import msgspec

from journal.messages import ExecType, RateLimitUsage, Reason
from oms.budgets import Action, Gauge, Per, Policy, Rule, Waiting
from oms.destinations import Destinations
from oms.order import Order
from oms.transitions import Event, State

PACING_TOKEN = (0xFFFF << 48) + 1
"""Of the one timer that lets waiting requests go; no order has such an id."""


class Piece(msgspec.Struct, frozen=True):
    """A request's share of one budget."""

    key: str
    rule: Rule
    gauge: Gauge
    cost: int


class Pacing(Destinations):
    """What may go now, and what goes later."""

    _turn = 0
    """The order whose waiting request goes at this moment: it was charged for."""

    def set_budgets(self, rules: list[Rule]) -> None:
        """Budgets from the configuration; what was used of one of the same name stays used."""
        pace = self.memory.pace
        pace.rules = rules
        names = {rule.name for rule in rules}
        pace.gauges = {key: gauge for key, gauge in pace.gauges.items() if key.partition("/")[0] in names}

    # Asked before anything is sent.

    def held_back(
        self, order: Order, action: int, request_seq: int, *, risk_seq: int = 0, hashed: int = 0, until: int = 0
    ) -> bool:
        """Whether a request may not go now. It was charged if it may; else it waits, or was refused."""
        pace = self.memory.pace
        if not pace.rules:
            return False
        earlier = next((w for w in pace.queue if (w.order_id, w.action) == (order.order_id, action)), None)
        if earlier is not None and earlier.request_seq == request_seq:
            return True
        if earlier is not None:
            pace.queue.remove(earlier)  # overtaken: the venue answered it before it went
        pieces = self._pieces(order, action)
        keys = [p.key for p in pieces]
        if self._turn == order.order_id or not (self._in_the_way(keys, action) or self._free_at(pieces, action)):
            self._charge(order, action, pieces)
            return False
        waiting = Waiting(action, order.order_id, request_seq, self.ctx.now, risk_seq, hashed, until, keys)
        refused = any(p.rule.policy == Policy.REJECT or len(pace.queue) >= p.rule.queue_max for p in pieces)
        if refused and action != Action.CANCEL:
            self.step(order, Event.RISK_REJECT if action == Action.NEW else Event.REPLACE_FAIL, reason=Reason.VENUE_RATE_BUDGET)
            return True
        pace.queue.append(waiting)
        text = f"{Action(action).name.lower()} waits, {len(pace.queue) - 1} before it"
        self.report(order, ExecType.ORDER_STATUS, reason=Reason.VENUE_RATE_BUDGET, text=text)
        self._arm_queue()
        return True

    def fits_as_one(self, order: Order, action: int) -> bool:
        """Whether one request for this order and others may go now. It was charged if so, as one."""
        if not self.memory.pace.rules:
            return True
        pieces = self._pieces(order, action)
        if self._in_the_way([p.key for p in pieces], action) or self._free_at(pieces, action):
            return False
        self._charge(order, action, pieces)
        return True

    def ask(self, order: Order) -> None:
        """A query counts, and goes whatever is left: what it finds out is worth more than a new order."""
        before = self.memory.queries
        super().ask(order)
        if self.memory.queries != before and self.memory.pace.rules:
            self._charge(order, Action.QUERY, self._pieces(order, Action.QUERY))

    def _pieces(self, order: Order, action: int) -> list[Piece]:
        """The budgets a request is counted in, settled to now."""
        pieces = []
        pace, now = self.memory.pace, self.ctx.now
        for rule in pace.rules:
            if rule.venue != order.venue:
                continue
            cost = rule.cost(action, now - pace.placed.get(order.order_id, 0))
            if cost:
                account = order.account if rule.per != Per.VENUE else 0
                instrument = order.instrument if rule.per == Per.INSTRUMENT else 0
                key = f"{rule.name}/{rule.venue}/{account}/{instrument}"
                pieces.append(Piece(key, rule, self._gauge(key, rule), cost))
        return pieces

    def _gauge(self, key: str, rule: Rule) -> Gauge:
        gauge = self.memory.pace.gauges.setdefault(key, Gauge())
        gauge.settle(rule, self.ctx.now)
        return gauge

    def _free_at(self, pieces: list[Piece], action: int) -> int:
        return max((p.gauge.free_at(p.rule, p.cost, p.gauge.cap(p.rule, action)) for p in pieces), default=0)

    def _in_the_way(self, keys: list[str], action: int) -> bool:
        """Whether someone waits for one of these budgets and goes first: no one overtakes, but cancels do."""
        return any(
            not {*keys}.isdisjoint(w.keys)
            for w in self.memory.pace.queue
            if action != Action.CANCEL or w.action == Action.CANCEL
        )

    def _charge(self, order: Order, action: int, pieces: list[Piece]) -> None:
        for p in pieces:
            p.gauge.charge(p.rule, p.cost)
        pace = self.memory.pace
        if action == Action.NEW and any(rule.cancel_ages or rule.replace_ages for rule in pace.rules):
            pace.placed[order.order_id] = self.ctx.now
            if len(pace.placed) > pace.placed_max:
                pace.placed = {
                    n: ts for n, ts in pace.placed.items() if n in self.memory.orders and not self.memory.orders[n].closed
                }
                pace.placed_max = max(1024, 2 * len(pace.placed))

    # The queue.

    def release_waiting(self) -> None:
        """Let go what may go now: cancels first, each in the order of asking."""
        blocked: set[str] = set()
        pace = self.memory.pace
        for waiting in sorted(pace.queue, key=lambda w: w.action != Action.CANCEL):
            order = self.memory.orders.get(waiting.order_id)
            if order is None or not self._still_wanted(order, waiting):
                pace.queue.remove(waiting)
                continue
            pieces = self._pieces(order, waiting.action)
            keys = {p.key for p in pieces}
            if keys & blocked or self._free_at(pieces, waiting.action):
                blocked |= keys
                continue
            pace.queue.remove(waiting)
            self._turn = order.order_id
            self.send_waiting(order, waiting)
            self._turn = 0
        self._arm_queue()

    def _arm_queue(self) -> None:
        """The timer is due when the first of those that wait for the same may go."""
        dues: list[int] = []
        heads: set[str] = set()
        now = self.ctx.now
        for waiting in sorted(self.memory.pace.queue, key=lambda w: w.action != Action.CANCEL):
            order = self.memory.orders.get(waiting.order_id)
            if order is None or not heads.isdisjoint(waiting.keys):
                continue
            heads.update(waiting.keys)
            pieces = self._pieces(order, waiting.action)
            age = now - self.memory.pace.placed.get(order.order_id, 0)
            dues += [self._free_at(pieces, waiting.action) or now + 1]
            dues += [now + wait for p in pieces if (wait := p.rule.cheaper_in(waiting.action, age))]
        if dues:
            self.ctx.set_timer(min(dues), PACING_TOKEN)
        else:
            self.ctx.cancel_timer(PACING_TOKEN)

    def _still_wanted(self, order: Order, waiting: Waiting) -> bool:
        """Whether what waits is still to be sent: a cancel or a kill may have come in between."""
        if waiting.action == Action.NEW:
            return order.state is State.RCV and order.request_seq == waiting.request_seq
        request = order.cancel if waiting.action == Action.CANCEL else order.replace
        return request is not None and request.request_seq == waiting.request_seq and not request.routed

    def send_waiting(self, order: Order, waiting: Waiting) -> None:
        """Send it after all, unless something else forbids it by now."""
        raise NotImplementedError

    # The venue's word.

    def on_rate_limit_usage(self, m: RateLimitUsage) -> None:
        """What the venue counts corrects what we count."""
        for rule in self.memory.pace.rules:
            if rule.venue != m.venue or not rule.limit_type or rule.per == Per.INSTRUMENT:
                continue
            account = m.account if rule.per == Per.ACCOUNT else 0
            gauge = self._gauge(f"{rule.name}/{rule.venue}/{account}/0", rule)
            for row in m.limits:
                if row.limit_type == rule.limit_type and row.period_ns in (0, rule.period_ns):
                    gauge.correct(rule, limit=row.limit, used=row.used, end_ts=row.end_ts)
        if self.memory.pace.queue:
            self.release_waiting()

    def check_pace(self) -> None:
        """Assert what must hold of budgets and queue. For tests and the debugger."""
        rules = {rule.name: rule for rule in self.memory.pace.rules}
        for key, gauge in self.memory.pace.gauges.items():
            gauge.check(rules[key.partition("/")[0]])
        kinds = [(w.order_id, w.action) for w in self.memory.pace.queue]
        assert len(kinds) == len(set(kinds)), kinds
