"""Rate budgets of venues: how many requests may go, and when the next one may. Exact integers, on the stream's time alone.

Three kinds. A **fixed window** counts from one boundary to the next (Binance: 1 minute, on the minute). A **rolling window**
counts what went in the last `period_ns` (Bybit: per second). A **token bucket** has `limit` tokens, and `refill` come back each
`period_ns` (Deribit's credits). Kraken's counter is a token bucket whose cancels and amends cost the more the younger the
order is.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Kind(IntEnum):
    """How a budget comes back."""

    FIXED_WINDOW = 1
    ROLLING_WINDOW = 2
    TOKEN_BUCKET = 3


class Per(IntEnum):
    """What has a count of its own."""

    VENUE = 1
    ACCOUNT = 2
    INSTRUMENT = 3
    """Account and instrument."""


class Policy(IntEnum):
    """What becomes of a new order or replace beyond the budget. A cancel always waits."""

    QUEUE = 1
    REJECT = 2


class Action(IntEnum):
    """What is counted."""

    NEW = 0
    REPLACE = 1
    CANCEL = 2
    QUERY = 3


class Rule(msgspec.Struct, array_like=True, kw_only=True):
    """One budget, as configured."""

    name: str
    venue: int
    kind: int
    per: int = Per.ACCOUNT
    limit: int
    period_ns: int
    refill: int = 0
    """Tokens that come back each `period_ns`; token buckets only."""
    costs: tuple[int, int, int, int] = (1, 1, 1, 0)
    """Of a new order, a replace, a cancel, a query."""
    replace_ages: list[tuple[int, int]] = []
    """(age in ns, cost): what a replace of an order younger than this costs besides, ascending; older ones nothing."""
    cancel_ages: list[tuple[int, int]] = []
    """The same of a cancel."""
    reserve_percent: int = 30
    """Share of the limit that only cancels may use, rounded up."""
    policy: int = Policy.QUEUE
    queue_max: int = 1000
    limit_type: int = 0
    """RateLimitType of the venue's word (RateLimitUsage) that is about this budget; 0 = the venue does not speak of it."""

    def ages(self, action: int) -> list[tuple[int, int]]:
        """By which an action's cost falls as the order ages."""
        return self.cancel_ages if action == Action.CANCEL else self.replace_ages if action == Action.REPLACE else []

    def cost(self, action: int, age_ns: int) -> int:
        """What a request costs, for an order of this age."""
        return self.costs[action] + next((cost for age, cost in self.ages(action) if age_ns < age), 0)

    def cheaper_in(self, action: int, age_ns: int) -> int:
        """After how many ns it costs less; 0 = it will not."""
        return next((age - age_ns for age, _ in self.ages(action) if age_ns < age), 0)


class Gauge(msgspec.Struct, array_like=True):
    """What was used of one budget, by one venue, account or instrument."""

    used: int = 0
    """Whole requests; of a token bucket times `period_ns`, so that every nanosecond's refill is exact."""
    at: int = 0
    """To which time `used` is settled."""
    window_end: int = 0
    went: list[tuple[int, int]] = []
    """(time, cost) of a rolling window, oldest first."""
    limit: int = 0
    """The venue's own word on the limit; 0 = as configured."""

    def limit_of(self, rule: Rule) -> int:
        """The limit in force."""
        return self.limit or rule.limit

    def cap(self, rule: Rule, action: int) -> int:
        """How far this action may go: cancels to the limit, the rest leaves them their share."""
        limit = self.limit_of(rule)
        return limit if action in (Action.CANCEL, Action.QUERY) else limit - -(-limit * rule.reserve_percent // 100)

    def settle(self, rule: Rule, now: int) -> None:
        """Let time pass up to now."""
        if rule.kind == Kind.FIXED_WINDOW:
            if now >= self.window_end:
                periods = (now - self.window_end) // rule.period_ns + 1
                self.window_end += periods * rule.period_ns
                self.used = 0
        elif rule.kind == Kind.ROLLING_WINDOW:
            gone = 0
            for ts, cost in self.went:
                if ts + rule.period_ns > now:
                    break
                gone += 1
                self.used -= cost
            del self.went[:gone]
        else:
            self.used = max(self.used - rule.refill * (now - self.at), 0)
        self.at = now

    def used_now(self, rule: Rule) -> int:
        """What is used, in whole requests, rounded up. Settled before."""
        return -(-self.used // rule.period_ns) if rule.kind == Kind.TOKEN_BUCKET else self.used

    def free_at(self, rule: Rule, cost: int, cap: int) -> int:
        """When a request of this cost may go: 0 = now. One that costs more than there can be goes when nothing is used.
        Settled before."""
        unit = rule.period_ns if rule.kind == Kind.TOKEN_BUCKET else 1
        excess = self.used + cost * unit - cap * unit
        if excess <= 0 or self.used == 0:
            return 0
        excess = min(excess, self.used)
        if rule.kind == Kind.FIXED_WINDOW:
            return self.window_end
        if rule.kind == Kind.TOKEN_BUCKET:
            return self.at + -(-excess // rule.refill)
        for ts, went in self.went:
            excess -= went
            if excess <= 0:
                return ts + rule.period_ns
        raise AssertionError(f"{self!r}: the window does not add up")

    def charge(self, rule: Rule, cost: int) -> None:
        """A request goes. Settled before."""
        if rule.kind == Kind.TOKEN_BUCKET:
            self.used += cost * rule.period_ns
            return
        self.used += cost
        if rule.kind == Kind.ROLLING_WINDOW:
            self.went.append((self.at, cost))

    def correct(self, rule: Rule, *, limit: int, used: int, end_ts: int) -> None:
        """The venue's word: its limit and the end of its window are the truth; what it counts above our own was someone
        else's. Less than ours proves nothing, for ours may still be on the wire; time takes it away. Settled before."""
        self.limit = limit or self.limit
        if rule.kind == Kind.FIXED_WINDOW and end_ts > self.at:
            self.window_end = end_ts
        more = used - self.used_now(rule)
        if more > 0:
            self.charge(rule, more)

    def check(self, rule: Rule) -> None:
        """Assert what must hold."""
        assert self.used >= 0, (rule, self)
        if rule.kind == Kind.ROLLING_WINDOW:
            assert self.used == sum(cost for _, cost in self.went), (rule, self)
            assert self.went == sorted(self.went, key=lambda w: w[0]), (rule, self)


class Waiting(msgspec.Struct, array_like=True):
    """A request that waits for its budget."""

    action: int
    order_id: int
    request_seq: int
    """The NewOrder's, ReplaceOrder's or cancel's frame."""
    since_ts: int
    risk_seq: int = 0
    content_hash: int = 0
    valid_until_ts: int = 0
    keys: list[str] = []
    """Of the gauges it is counted in."""


class Pace(msgspec.Struct, array_like=True):
    """All budgets, and who waits for them."""

    rules: list[Rule] = []
    gauges: dict[str, Gauge] = {}
    """name/venue/account/instrument → gauge; what is not counted apart is 0."""
    queue: list[Waiting] = []
    """In the order of asking."""
    placed: dict[int, int] = {}
    """Order → when it went, where a budget asks for ages."""
    placed_max: int = 1024
