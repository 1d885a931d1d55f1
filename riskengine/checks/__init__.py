"""The pre-trade checks, in the order in which they are evaluated and listed: the first that fails gives the reason, the rest
still say what they saw. A check reads the memory and the proposal, and changes nothing.

To add one: a function `(view, proposal, limit) -> Verdict | None` in the module it belongs to, a row in CHECKS at the place of
its RiskCheck, its part of docs/risk-checks.md, and a test on both sides of its boundary."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from journal.messages import NULL, RiskCheck
from riskengine.checks import (
    behaviour,
    budget,
    capital,
    conduct,
    control,
    funds,
    losses,
    market,
    optional,
    parents,
    size,
    state,
    terms,
)
from riskengine.checks.behaviour import reduces
from riskengine.codes import CheckResult, LimitAction
from riskengine.limits import Limit
from riskengine.memory import Memory
from riskengine.proposal import Proposal, Verdict
from riskengine.view import View

Run = Callable[[View, Proposal, Limit | None], Verdict | None]


class Check(NamedTuple):
    """One check. None from `run`: there is nothing to list."""

    check: RiskCheck
    run: Run
    by_itself: bool
    """It runs whether or not a limit is set; else a limit switches it on."""
    fixed: bool = False
    """No limit switches it off."""


_PLANS_MOST = 4096
Plan = tuple[tuple[Check, Limit | None], ...]


def plain(run: Callable[[Memory, Proposal], Verdict | None]) -> Run:
    """A check that knows no limits."""
    return lambda view, p, _: run(view.memory, p)


def _limited(run: Callable[[View, Proposal, Limit], Verdict | None]) -> Run:
    """A check that is only there for a limit."""
    return lambda view, p, limit: run(view, p, limit) if limit is not None else None


CHECKS: tuple[Check, ...] = (
    Check(RiskCheck.KILL_SWITCH, plain(state.kill_switch), by_itself=True, fixed=True),
    Check(RiskCheck.TRADING_STATE, plain(control.trading_state), by_itself=True, fixed=True),
    Check(RiskCheck.GATE, plain(state.gate), by_itself=True, fixed=True),
    Check(RiskCheck.PERMISSION, plain(state.permission), by_itself=True, fixed=True),
    Check(RiskCheck.BAN, plain(control.ban), by_itself=True, fixed=True),
    Check(RiskCheck.CLIENT_ID_UNIQUE, plain(state.client_id_unique), by_itself=True, fixed=True),
    Check(RiskCheck.INSTRUMENT_TRADABLE, terms.instrument_tradable, by_itself=True),
    Check(RiskCheck.VENUE_CAPABILITY, terms.venue_capability, by_itself=True),
    Check(RiskCheck.PRICE_INCREMENT, terms.price_increment, by_itself=True),
    Check(RiskCheck.QUANTITY_LIMITS, terms.quantity_limits, by_itself=True),
    Check(RiskCheck.LOT_STEP, terms.lot_step, by_itself=True),
    Check(RiskCheck.QUOTE_QUANTITY_CONVERSION, terms.quote_quantity_conversion, by_itself=True),
    Check(RiskCheck.NOTIONAL_LIMITS, terms.notional_limits, by_itself=True),
    Check(RiskCheck.BOOK_VERIFIED_FRESH, market.book_verified_fresh, by_itself=True),
    Check(RiskCheck.PRICE_COLLAR, market.price_collar, by_itself=True),
    Check(RiskCheck.PRICE_COLLAR_WINDOW, _limited(market.price_collar_window), by_itself=False),
    Check(RiskCheck.ORDER_NOTIONAL, size.order_notional, by_itself=True),
    Check(RiskCheck.WORKING_ORDERS, size.working_orders, by_itself=True),
    Check(RiskCheck.POSITION, size.position, by_itself=True),
    Check(RiskCheck.GROSS_EXPOSURE, _limited(capital.gross_exposure), by_itself=False),
    Check(RiskCheck.NET_EXPOSURE, _limited(capital.net_exposure), by_itself=False),
    Check(RiskCheck.FUNDS, _limited(funds.funds), by_itself=False),
    Check(RiskCheck.MARGIN, _limited(funds.margin), by_itself=False),
    Check(RiskCheck.CUMULATIVE_FUNDS, _limited(funds.cumulative_funds), by_itself=False),
    Check(RiskCheck.LEVERAGE, _limited(capital.leverage), by_itself=False),
    Check(RiskCheck.CREDIT, _limited(capital.credit), by_itself=False),
    Check(RiskCheck.ORDER_RATE, behaviour.order_rate, by_itself=True),
    Check(RiskCheck.RECONNECT_RATE, _limited(behaviour.reconnect_rate), by_itself=False),
    Check(RiskCheck.DUPLICATE, _limited(behaviour.duplicate), by_itself=False),
    Check(RiskCheck.SELF_TRADE, _limited(behaviour.self_trade), by_itself=False),
    Check(RiskCheck.REDUCE_ONLY, behaviour.reduce_only, by_itself=True),
    Check(RiskCheck.PARENT_INVARIANTS, plain(parents.parent_invariants), by_itself=True, fixed=True),
    Check(RiskCheck.VENUE_RATE_BUDGET, plain(budget.venue_rate_budget), by_itself=True, fixed=True),
    Check(RiskCheck.DAILY_LOSS, _limited(losses.daily_loss), by_itself=False),
    Check(RiskCheck.DRAWDOWN, _limited(losses.drawdown), by_itself=False),
    Check(RiskCheck.LOSS_STREAK, _limited(losses.loss_streak), by_itself=False),
    Check(RiskCheck.REPEATED_EXECUTION, _limited(conduct.repeated_execution), by_itself=False),
    Check(RiskCheck.REJECT_LOOP, _limited(conduct.reject_loop), by_itself=False),
    Check(RiskCheck.UNKNOWN_ORDERS, _limited(conduct.unknown_orders), by_itself=False),
    Check(RiskCheck.DEAD_MAN, plain(control.dead_man), by_itself=True, fixed=True),
    Check(RiskCheck.SHORT_SELL, _limited(optional.short_sell), by_itself=False),
    Check(RiskCheck.RESTRICTED_LIST, _limited(optional.restricted_list), by_itself=False),
    Check(RiskCheck.TURNOVER, _limited(optional.turnover), by_itself=False),
    Check(RiskCheck.CONCENTRATION, _limited(capital.concentration), by_itself=False),
)


def evaluate(view: View, p: Proposal) -> list[Verdict]:
    """Every check's verdict."""
    verdicts: list[Verdict] = []
    for row, limit in _plan(view, p):
        if limit is not None and limit.hard == NULL and not row.fixed:
            verdicts.append(Verdict(row.check, CheckResult.NOT_APPLICABLE, limit=limit.limit))
            continue
        verdict = row.run(view, p, limit)
        if verdict is not None:
            softened = limit is not None and limit.action == LimitAction.REDUCE_ONLY and verdict.result == CheckResult.FAIL
            verdicts.append(_softened(view, p, limit, verdict) if softened and limit is not None else verdict)
    return verdicts


def _plan(view: View, p: Proposal) -> Plan:
    """The checks that run for a proposal, each with the limit in force: found once for all orders of an owner, unless a limit
    is for a time or for single orders."""
    s, limits = p.subject, view.limits
    key = (s.account, s.strategy, s.user, s.source, s.instrument, p.side)
    plan: Plan | None = view.plans.get(key) if limits.lasting else None
    if plan is None:
        plan = tuple(
            (row, limits.in_force(row.check, s, p.side, p.now))
            for row in CHECKS
            if row.by_itself or limits.has(row.check)
        )  # fmt: skip
        if limits.lasting:
            if len(view.plans) >= _PLANS_MOST:  # whoever makes up owners shall not fill the memory
                view.plans.clear()
            view.plans[key] = plan
    return plan


def _softened(view: View, p: Proposal, limit: Limit, verdict: Verdict) -> Verdict:
    """What only makes a position smaller passes a limit that lets it, with a warning."""
    if verdict.limit != limit.limit or not reduces(view, p):
        return verdict
    return msgspec.structs.replace(verdict, result=CheckResult.WARN, reason=0)
