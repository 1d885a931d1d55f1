"""Prices, balances, margin and profit as the stream tells them, and how the limits on losses stand.

One bad tick must not stop a desk: a loss counts when as many new inputs in a row as the limit wants (`confirmations`) show
it."""

from __future__ import annotations

from journal.messages import (
    NULL,
    ConversionRate,
    Funding,
    FundsConfirmed,
    MarginConfirmed,
    MarginTable,
    Mark,
    MarkType,
    Position,
)
from journal.messages.scopes import Subject
from riskengine.codes import Reason, RiskCheck
from riskengine.conduct import Conduct
from riskengine.funding import take
from riskengine.limits import Limit
from riskengine.memory import Equity, Funds, Holding, Losses, Price, Tier
from riskengine.money import Amount, convert, plus, unrealized
from riskengine.view import View

DAY_NS = 86_400 * 10**9
WATCHED = (RiskCheck.DAILY_LOSS, RiskCheck.DRAWDOWN)


class Finances(Conduct):
    """What things are worth."""

    def on_mark(self, m: Mark) -> None:
        """A price to value at. An index is of something else."""
        i = self.memory.instruments.get(m.instrument)
        if m.mark_type != MarkType.INDEX and m.mark_px != NULL:
            self.memory.marks[m.instrument] = Price(m.mark_px, i.px_exp if i else 0, self.ctx.seq)
            self.observe()

    def on_conversion_rate(self, m: ConversionRate) -> None:
        """What one currency is worth in another."""
        if m.rate > 0:
            self.memory.rates[f"{m.from_currency}/{m.to_currency}"] = Price(m.rate, m.rate_exp, self.ctx.seq)

    def on_funds_confirmed(self, m: FundsConfirmed) -> None:
        """A balance; it contains the fills up to its time."""
        if m.balance == NULL:
            return
        key = f"{m.account}/{m.currency}"
        before = self.memory.funds.get(key)
        left: list[tuple[int, int]] = []
        if before is not None and m.exchange_ts:
            for ts, amount in before.spent:
                if ts > m.exchange_ts:
                    shift = before.exp - m.exp
                    left.append((ts, amount * 10**shift if shift >= 0 else -(-amount // 10**-shift)))
        self.memory.funds[key] = Funds(m.balance, m.exp, self.ctx.seq, left)

    def on_funding(self, m: Funding) -> None:
        """What is charged is taken from a balance at once, as a fill takes; what is paid counts when the venue confirms it."""
        if m.payment != NULL and m.payment < 0:
            take(self.memory, m.account, Amount(-m.payment, 1, m.payment_exp, m.currency), m.funding_ts)

    def on_margin_confirmed(self, m: MarginConfirmed) -> None:
        """What an account is worth."""
        if m.equity != NULL:
            self.memory.equities[m.account] = Equity(m.equity, m.exp, m.currency, self.ctx.seq)

    def on_margin_table(self, m: MarginTable) -> None:
        """What holding an instrument takes."""
        tiers = [Tier(t.from_notional, t.initial_rate, t.max_leverage_rate) for t in m.tiers]
        self.memory.tiers[f"{m.instrument}/{m.account}"] = sorted(tiers, key=lambda t: t.from_notional)

    def on_position(self, m: Position) -> None:
        """A position and what it has made."""
        key = f"{m.account}/{m.strategy}/{m.instrument}"
        before = self.memory.holdings.get(key)
        now = self.memory.holdings[key] = Holding.of(m, self.ctx.seq)
        self.view.position_changed()
        if now.realized != (before.realized if before is not None else 0):
            self._streaks(now, now.made - (before.made if before is not None else 0))
        self.observe()

    # Losses.

    def observe(self) -> None:
        """Something that losses are computed from may have changed."""
        limits = self.view.limits
        for check in WATCHED:
            if limits.has(check):
                for limit in limits.of(check):
                    if not limit.off and limit.now_for(0, self.ctx.now):
                        self._observe(limit)

    def _observe(self, limit: Limit) -> None:
        found = profit(self.view, limit)
        if found is None:
            return
        made, seq = found
        state = self.memory.losses.setdefault(limit.limit, Losses())
        self._roll(limit, state)
        if seq <= state.input_seq:
            return
        state.input_seq = seq
        wanted = max(limit.confirmations, 1)
        state.recent = [*state.recent[-(wanted - 1) :], made] if wanted > 1 else [made]
        if len(state.recent) < wanted:
            return
        if limit.check == RiskCheck.DRAWDOWN:
            state.base = max(state.base, min(state.recent))
        loss = state.base - max(state.recent)
        if loss > limit.hard and not state.tripped:
            state.tripped = self.ctx.seq
            whom = Subject()
            self.breached(limit, Reason.LOSS_LIMIT, whom, value=loss, bound=limit.hard, count=wanted)

    def _roll(self, limit: Limit, state: Losses) -> None:
        """A new day begins with what the old one ended with."""
        if limit.check != RiskCheck.DAILY_LOSS:
            return
        day = self.ctx.now // (limit.period_ns or DAY_NS)
        if day != state.day:
            state.day, state.tripped = day, 0
            if state.recent:
                state.base, state.recent = state.recent[-1], state.recent[-1:]

    def _streaks(self, holding: Holding, made: int) -> None:
        """What a closing fill made, after fees: a gain ends a streak of losses."""
        subject = self.view.subject(holding.account, holding.strategy, 0, holding.instrument)
        for limit in self.view.limits.about(RiskCheck.LOSS_STREAK, subject, 0, self.ctx.now):
            state = self.memory.losses.setdefault(limit.limit, Losses())
            if limit.period_ns and self.ctx.now - state.last_ts >= limit.period_ns:
                state.streak = state.tripped = 0
            if made < 0:
                state.streak, state.last_ts = state.streak + 1, self.ctx.now
            elif made > 0 and not state.tripped:
                state.streak = 0
            if state.streak > limit.hard and not state.tripped and not limit.off:
                state.tripped = self.ctx.seq
                self.breached(
                    limit, Reason.LOSS_LIMIT, subject, value=state.streak, bound=limit.hard, count=state.streak
                )  # fmt: skip

    def limit_set(self, limit: Limit, before: Limit | None) -> None:
        """A limit on losses is set: a new one counts from here, one that had tripped is open again."""
        super().limit_set(limit, before)
        if limit.check not in (*WATCHED, RiskCheck.LOSS_STREAK):
            return
        state = self.memory.losses.setdefault(limit.limit, Losses())
        state.tripped = state.streak = 0
        state.recent = []
        if before is None and limit.check in WATCHED and not limit.off:
            found = profit(self.view, limit)
            state.day = self.ctx.now // (limit.period_ns or DAY_NS)
            if found is not None:
                state.base = found[0]


def profit(view: View, limit: Limit) -> tuple[int, int] | None:
    """(profit of what a limit covers since the journal began, newest input), in its currency and exponent, rounded down; None
    where something has no price or no rate."""
    memory, made, newest = view.memory, 0, 0
    for (instrument, currency), held in view.holdings(limit).items():
        i = memory.instruments.get(instrument)
        open_ = unrealized(memory, i, held.qty, held.cost, currency) if i is not None else None
        if open_ is None:
            return None
        whole = plus(open_, Amount(held.made, 1, memory.ledger_exp[currency], currency, held.seq))
        found = convert(memory, whole, limit.currency or currency)
        if found is None:
            return None
        made += found.down(limit.exp)
        newest = max(newest, found.seq)
    return made, newest
