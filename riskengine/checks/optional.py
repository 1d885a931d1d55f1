"""Controls that some firms need: short sales, a restricted list, turnover."""

from __future__ import annotations

from riskengine.codes import Reason, RiskCheck, Side
from riskengine.limits import Limit
from riskengine.money import convert, of_orders
from riskengine.numbers import rescale_up
from riskengine.proposal import Proposal, Verdict, against, free, not_applicable, refused
from riskengine.view import View
from riskengine.windows import total


def short_sell(view: View, p: Proposal, limit: Limit) -> Verdict:
    """How short a sale, with every open sale before it, may leave what the limit covers: not more than `hard`, in quantity; 0
    forbids it. Marked or not (SELL_SHORT, SELL): what counts is what is held."""
    check, i = RiskCheck.SHORT_SELL, p.instrument
    if p.side == Side.BUY or i is None or p.order_qty <= 0:
        return not_applicable(check)
    more = p.more_qty
    short = max(view.area(limit.scope).of(i.instrument).adverse(-1) + more, 0)
    value = rescale_up(short, i.qty_exp, limit.exp)
    if more == 0:
        return free(limit, check, value=value, bound=limit.hard, exp=limit.exp)
    return against(limit, check, Reason.SHORT_SELL_NOT_PERMITTED, value=value, bound=limit.hard, warn=limit.warn, exp=limit.exp)


def restricted_list(_: View, p: Proposal, limit: Limit) -> Verdict:
    """What the limit covers is not traded. The action REDUCE_ONLY lets positions be closed; a narrower limit that is off lets
    somebody trade it."""
    return refused(limit, RiskCheck.RESTRICTED_LIST, Reason.RESTRICTED_INSTRUMENT, value=p.subject.instrument)


def turnover(view: View, p: Proposal, limit: Limit) -> Verdict:
    """What was traded in the last `period_ns` (0: ever), what open orders may trade, and this order, bought and sold alike: not
    more than `hard`, in the limit's currency."""
    check, i = RiskCheck.TURNOVER, p.instrument
    if i is None or p.order_qty <= 0:
        return not_applicable(check)
    currency = limit.currency or i.quote_currency
    so_far = turned_over(view, limit, currency, p.now)
    more = convert(view.memory, of_orders(i, p.more_qty, p.more_value(view.memory)), currency)
    if so_far is None or more is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    value = so_far + more.up(limit.exp)
    if more.n == 0:
        return free(limit, check, value=value, bound=limit.hard, exp=limit.exp)
    return against(limit, check, Reason.TURNOVER_LIMIT, value=value, bound=limit.hard, warn=limit.warn, exp=limit.exp)


def turned_over(view: View, limit: Limit, currency: int, now: int) -> int | None:
    """What was traded in the window and what open orders may trade, of what a limit covers; None where there is no rate."""
    value = total(view.memory.turnovers.get(limit.limit, []), now, limit.period_ns)
    for number, sums in view.area(limit.scope).by_instrument.items():
        i = view.memory.instruments.get(number)
        if i is None:
            continue
        pending = of_orders(i, sums.buying + sums.selling, sums.buying_value + sums.selling_value)
        found = convert(view.memory, pending, currency)
        if found is None:
            return None
        value += found.up(limit.exp)
    return value
