"""Can it be paid for: balances, margin, and what the orders of a list need together."""

from __future__ import annotations

from journal.messages import NULL
from riskengine.codes import Reason, RiskCheck, Side
from riskengine.exposure import Sums
from riskengine.funding import bundle_key, confirmed, free_of, need_of, paid_for, reserved, spendable
from riskengine.limits import Limit
from riskengine.memory import Instrument, Tier
from riskengine.money import Amount, convert, notional
from riskengine.numbers import RATE_EXP, rescale_down, rescale_up
from riskengine.proposal import Proposal, Verdict, against, free, not_applicable, refused
from riskengine.view import View


def funds(view: View, p: Proposal, limit: Limit) -> Verdict:
    """What all open orders of the account and this one take of a currency, against the confirmed balance less what fills have
    spent since, less `hard`, which is kept back. A purchase takes quote currency, a sale base currency."""
    check, i = RiskCheck.FUNDS, p.instrument
    if i is None or not paid_for(i) or p.order_qty <= 0:
        return not_applicable(check)
    need = need_of(view.memory, p)
    if need is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    held = confirmed(view.memory, p.subject.account, need.currency)
    taken = reserved(view, p.subject.account, need.currency, held.exp)
    value, there = taken + need.up(held.exp), spendable(held)
    bound, warn = there - _kept(limit.hard, limit, held.exp), there - _kept(limit.warn, limit, held.exp)
    if need.n == 0:
        return free(limit, check, value=value, bound=bound, seq=held.seq, exp=held.exp)
    return against(limit, check, Reason.INSUFFICIENT_FUNDS, value=value, bound=bound, warn=warn, seq=held.seq, exp=held.exp)


def cumulative_funds(view: View, p: Proposal, limit: Limit) -> Verdict | None:
    """What the orders of a list take of a currency together, filled or not, against what was free when the list began, and
    against `hard` where it is above 0. So a list is not half sent."""
    check = RiskCheck.CUMULATIVE_FUNDS
    if p.order is None or not p.order.list_id:
        return None
    if p.instrument is None or not paid_for(p.instrument) or p.order_qty <= 0:
        return not_applicable(check)
    need = need_of(view.memory, p)
    if need is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    bundle = view.memory.bundles.get(bundle_key(p, need.currency))
    if bundle is None:
        free, exp = free_of(view, p.subject.account, need.currency)
        before = 0
    else:
        free, exp, before = bundle.free, bundle.exp, bundle.needs
    value, warn = before + need.up(exp), rescale_down(limit.warn, limit.exp, exp)
    bound = min(free, rescale_down(limit.hard, limit.exp, exp)) if limit.hard > 0 else free
    return against(limit, check, Reason.CUMULATIVE_FUNDS, value=value, bound=bound, warn=warn, exp=exp)


def margin(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Initial margin of the account's largest possible positions, this order in, by the tiers of their instruments, against
    its equity (MarginConfirmed) less `hard`, which is kept back. What takes no margin is not counted."""
    check, i = RiskCheck.MARGIN, p.instrument
    if i is None or paid_for(i) or p.order_qty <= 0:
        return not_applicable(check)
    equity = view.memory.equities.get(p.subject.account)
    if equity is None:
        return refused(limit, check, Reason.MARGIN_CALCULATION_FAILED)
    held = dict(view.account(p.subject.account).by_instrument)
    held.setdefault(i.instrument, Sums())
    bought, sold = (p.more_qty, 0) if p.sign > 0 else (0, p.more_qty)
    before = after = 0
    for number, sums in held.items():
        of = view.memory.instruments.get(number)
        if of is None or paid_for(of):
            continue
        now = _initial(view, of, p.subject.account, sums.worst())
        then = now if of is not i else _initial(view, of, p.subject.account, sums.worst(bought, sold))
        if now is None or then is None:
            return refused(limit, check, Reason.MARGIN_CALCULATION_FAILED, seq=equity.seq)
        converted = [convert(view.memory, a, equity.currency) for a in (now, then)]
        if converted[0] is None or converted[1] is None:
            return refused(limit, check, Reason.MARGIN_CALCULATION_FAILED, seq=equity.seq)
        before, after = before + converted[0].up(equity.exp), after + converted[1].up(equity.exp)
    bound, warn = (equity.equity - _kept(amount, limit, equity.exp) for amount in (limit.hard, limit.warn))
    if after <= before:
        return free(limit, check, value=after, bound=bound, seq=equity.seq, exp=equity.exp)
    return against(
        limit, check, Reason.INSUFFICIENT_MARGIN, value=after, bound=bound, warn=warn, seq=equity.seq, exp=equity.exp
    )


def tier_of(view: View, i: Instrument, account: int, worth: Amount) -> Tier | None:
    """The tier that a notional falls into; the instrument's own rate where it has no tiers; None where nothing says."""
    tiers = view.memory.tiers.get(f"{i.instrument}/{account}") or view.memory.tiers.get(f"{i.instrument}/0")
    if not tiers:
        return Tier(0, i.initial_rate, NULL) if i.initial_rate != NULL else None
    exp = view.memory.ledger_exp.get(worth.currency)
    if exp is None:
        return None
    size, found = worth.up(exp), tiers[0]
    for tier in tiers:
        if size >= tier.from_notional:
            found = tier
    return found


def _initial(view: View, i: Instrument, account: int, qty: int) -> Amount | None:
    worth = notional(view.memory, i, qty)
    tier = tier_of(view, i, account, worth) if worth is not None else None
    if worth is None or tier is None:
        return None
    return worth._replace(n=worth.n * tier.initial_rate, exp=worth.exp + RATE_EXP)


def _kept(amount: int, limit: Limit, exp: int) -> int:
    return rescale_up(amount, limit.exp, exp)


__all__ = ["Side", "cumulative_funds", "funds", "margin", "tier_of"]
