"""How those who trade behave, and what comes of it: messages, rejects, executions, reconnections and equal orders counted
towards limits; and what a limit does when it is breached for longer than one order: bans, cancels, kills.

A counter is changed here and read by a check; a check changes nothing."""

from __future__ import annotations

from bisect import bisect_right

from journal.messages import (
    AlertSeverity,
    ConnectionState,
    ExecutionReport,
    Message,
    Scope,
    StreamStatus,
    Violation,
    order_id_source,
)
from journal.messages.scopes import Subject
from riskengine.codes import ExecType, LimitAction, Reason, RiskCheck, ScopeType
from riskengine.exposure import Held
from riskengine.funding import bundle_key, free_of, need_of
from riskengine.limits import Limit
from riskengine.memory import Bundle, Count
from riskengine.money import convert, of_orders
from riskengine.proposal import Proposal
from riskengine.windows import note
from riskengine.world import World

_SCOPE_FIELDS = Scope.__struct_fields__
REPORTED = (RiskCheck.REJECT_LOOP, RiskCheck.REPEATED_EXECUTION, RiskCheck.TURNOVER)
"""Checks for which reports are counted."""
_OWN_REFUSALS = frozenset(
    {
        Reason.REJECT_LOOP, Reason.RATE_BAN, Reason.ORDER_RATE, Reason.REPEATED_EXECUTION, Reason.STRATEGY_DISABLED,
        Reason.KILL_SWITCH_ACTIVE,
    }
)  # fmt: skip
"""Refusals that follow from a breaker: counting them would keep it open for ever."""


class Conduct(World):
    """Counts what is limited."""

    def on_stream_status(self, m: StreamStatus) -> None:
        """A connection lost may be one too many."""
        super().on_stream_status(m)
        if m.connection != ConnectionState.DISCONNECTED or not self.view.limits.has(RiskCheck.RECONNECT_RATE):
            return
        subject = Subject(account=m.account, venue=m.venue, source=self.ctx.source, groups=self.view.groups_of(m.account))
        for limit in self.view.limits.about(RiskCheck.RECONNECT_RATE, subject, 0, self.ctx.now):
            key = f"{limit.limit}/{m.venue}/{m.account}"
            count = counted(self.memory.counts.setdefault(key, Count()), self.ctx.now, limit.period_ns)
            if not limit.off and count > limit.hard and limit.action == LimitAction.BAN:
                whom = (
                    Scope(scope_type=ScopeType.ACCOUNT, scope_account=m.account)
                    if m.account
                    else Scope(scope_type=ScopeType.SOURCE, scope_source=self.ctx.source)
                )
                self.carry_out(limit, limit.check, 0, whom, 0, count)

    def passed(self, p: Proposal) -> None:
        """An order or replace goes out: it counts, in force or shadowed by a narrower limit."""
        self.count_message(p.subject, p.side)
        if p.order is not None:
            for limit in self.view.limits.about(RiskCheck.DUPLICATE, p.subject, p.side, p.now):
                seen = self.memory.fingerprints.setdefault(limit.limit, {})
                mark = fingerprint(p)
                seen[mark] = [*within(seen.pop(mark, []), p.now, limit.period_ns), p.now]
                while (first := next(iter(seen))) != mark and not within(seen[first], p.now, limit.period_ns):
                    del seen[first]
            self._bundle(p)

    def count_message(self, subject: Subject, side: int) -> None:
        """A message goes out: it counts towards every rate limit that is about it."""
        for limit in self.view.limits.about(RiskCheck.ORDER_RATE, subject, side, self.ctx.now):
            times = self.memory.sent.setdefault(limit.limit, [])
            times.append(self.ctx.now)
            del times[: bisect_right(times, self.ctx.now - limit.period_ns)]

    def _bundle(self, p: Proposal) -> None:
        """What the orders of a list need together."""
        if p.order is None or not p.order.list_id or not self.view.limits.has(RiskCheck.CUMULATIVE_FUNDS):
            return
        need = need_of(self.memory, p)
        if need is None:
            return
        key = bundle_key(p, need.currency)
        found = self.memory.bundles.get(key)
        if found is None:
            free, exp = free_of(self.view, p.subject.account, need.currency)
            found = self.memory.bundles[key] = Bundle(exp, free)
        found.needs += need.up(found.exp)
        found.orders.append(p.subject.order_id)

    def order_closed(self, held: Held) -> None:
        """A list whose orders are all closed needs nothing any more."""
        if held.list_id:
            for key in [k for k in self.memory.bundles if k.startswith(f"{held.list_id}/{held.account}/")]:
                bundle = self.memory.bundles[key]
                bundle.orders = [n for n in bundle.orders if n != held.order_id]
                if not bundle.orders:
                    del self.memory.bundles[key]

    def reported(self, m: ExecutionReport) -> None:
        """A reject or a fill counts."""
        if not any(self.view.limits.has(check) for check in REPORTED):
            return
        subject = self.view.subject(
            m.account, m.strategy, m.user, m.instrument, source=order_id_source(m.order_id), order_id=m.order_id,
            parent=m.parent_order_id,
        )  # fmt: skip
        if m.exec_type == ExecType.REJECTED and m.reason not in _OWN_REFUSALS:
            self._count_up(RiskCheck.REJECT_LOOP, Reason.REJECT_LOOP, subject, m.side)
        elif m.exec_type == ExecType.TRADE:
            self._count_up(RiskCheck.REPEATED_EXECUTION, Reason.REPEATED_EXECUTION, subject, m.side)
            self._turned_over(m, subject)

    def _count_up(self, check: int, reason: int, subject: Subject, side: int) -> None:
        for limit in self.view.limits.about(check, subject, side, self.ctx.now):
            state = self.memory.counts.setdefault(str(limit.limit), Count())
            count = counted(state, self.ctx.now, limit.period_ns)
            if limit.off or count <= limit.hard or state.tripped:
                continue
            if check == RiskCheck.REPEATED_EXECUTION:
                state.tripped = self.ctx.seq
            elif count != limit.hard + 1:
                continue  # said when it began
            self.breached(limit, reason, subject, value=count, bound=limit.hard, count=count)

    def _turned_over(self, m: ExecutionReport, subject: Subject) -> None:
        i = self.memory.instruments.get(m.instrument)
        if i is None or not self.view.limits.has(RiskCheck.TURNOVER):
            return
        traded = of_orders(i, m.last_qty, m.last_qty * abs(m.last_px))
        for limit in self.view.limits.about(RiskCheck.TURNOVER, subject, m.side, self.ctx.now):
            worth = convert(self.memory, traded, limit.currency or traded.currency)
            if worth is not None:
                note(self.memory.turnovers.setdefault(limit.limit, []), self.ctx.now, limit.period_ns, worth.up(limit.exp))

    # What a breach leads to.

    def breached(self, limit: Limit, reason: int, subject: Subject, *, value: int, bound: int, count: int) -> None:
        """A limit was breached outside a single order: say so, and do what it asks for."""
        whom = offender(limit, subject)
        self.ctx.emit(
            _scoped(
                Violation(
                    check=limit.check, reason=reason, limit=limit.limit, value=value, bound=bound, exp=limit.exp, count=count,
                    action=limit.action, about_seq=self.ctx.seq, severity=AlertSeverity.CRITICAL,
                    until_ts=self.ctx.now + limit.ban_ns if limit.action == LimitAction.BAN else 0,
                ),
                whom,
            )
        )  # fmt: skip
        self.carry_out(limit, limit.check, reason, whom, subject.strategy, count)

    def carry_out(self, limit: Limit, check: int, reason: int, whom: Scope, strategy: int, count: int) -> None:
        """Do what a limit wants done to whom it is breached by."""
        raise NotImplementedError(limit.action)

    def limit_set(self, limit: Limit, before: Limit | None) -> None:
        """A person has set the limit anew: what it had latched is open again. What had counted for another check or scope, or
        in other units, counts no more."""
        super().limit_set(limit, before)
        if before is not None and _meaning(before) != _meaning(limit):
            for counted_by in (self.memory.sent, self.memory.fingerprints, self.memory.turnovers, self.memory.losses):
                counted_by.pop(limit.limit, None)
        for key in [k for k in self.memory.counts if k.partition("/")[0] == str(limit.limit)]:
            del self.memory.counts[key]


def _meaning(limit: Limit) -> tuple[object, ...]:
    return limit.check, limit.scope, limit.exp, limit.currency, limit.period_ns


def counted(state: Count, now: int, period_ns: int) -> int:
    """Count one event; how many there are in the window, or ever where there is none."""
    state.total += 1
    if not period_ns:
        return state.total
    state.times.append(now)
    del state.times[: bisect_right(state.times, now - period_ns)]
    return len(state.times)


def standing(state: Count | None, now: int, period_ns: int) -> int:
    """How many events count at a time."""
    if state is None:
        return 0
    return len(within(state.times, now, period_ns)) if period_ns else state.total


def within(times: list[int], now: int, period_ns: int) -> list[int]:
    """The times of the window: one exactly as old as the window is out of it."""
    return times[bisect_right(times, now - period_ns) :]


def fingerprint(p: Proposal) -> str:
    """What makes two orders the same one sent twice (I-41)."""
    return f"{p.subject.account}/{p.subject.instrument}/{p.side}/{p.ord_type}/{p.order_qty}/{p.price_px}/{p.stop_px}"


def offender(limit: Limit, subject: Subject) -> Scope:
    """Whom a breach is held against: whom the limit is about, and of a limit for everybody the strategy that did it."""
    if limit.scope.scope_type == ScopeType.GLOBAL and subject.strategy:
        return Scope(scope_type=ScopeType.STRATEGY, scope_strategy=subject.strategy)
    return limit.scope


def _scoped(message: Message, scope: Scope) -> Message:
    for name in _SCOPE_FIELDS:
        setattr(message, name, getattr(scope, name))
    return message
