"""How much in money: exposure, credit and leverage, at marks, in the currency of the limit, with every open order counted, also
those whose outcome is not known."""

from __future__ import annotations

from collections.abc import Callable

from riskengine.codes import Reason, RiskCheck
from riskengine.exposure import Sums
from riskengine.limits import Limit
from riskengine.memory import Instrument
from riskengine.money import Amount, convert, notional, of_orders
from riskengine.numbers import RATE_EXP, rescale_down, rescale_up
from riskengine.proposal import Proposal, Verdict, against, free, not_applicable, refused
from riskengine.view import View

Worth = Callable[[View, Instrument, Sums, int, int], Amount | None]
"""(view, instrument, what is held, more bought, more sold) → its worth."""


def gross_exposure(view: View, p: Proposal, limit: Limit) -> Verdict:
    """The sum over instruments of the largest position that open orders may lead to, on either side."""
    return _exposure(view, p, limit, RiskCheck.GROSS_EXPOSURE, Reason.GROSS_EXPOSURE_LIMIT, largest)


def net_exposure(view: View, p: Proposal, limit: Limit) -> Verdict:
    """The sum over instruments of the positions as far as open orders may take them to the order's side: long and short offset
    one another."""
    return _exposure(view, p, limit, RiskCheck.NET_EXPOSURE, Reason.NET_EXPOSURE_LIMIT, long if p.sign > 0 else short)


def credit(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Capital in use: every position at its mark and every open order in full at its own price; nothing offsets anything. Of a
    desk (GROUP), a client (ACCOUNT), the firm."""
    check, i = RiskCheck.CREDIT, p.instrument
    if i is None or p.order_qty <= 0:
        return not_applicable(check)
    currency = limit.currency or i.quote_currency
    used = in_use(view, limit, currency)
    more = convert(view.memory, of_orders(i, p.more_qty, p.more_value(view.memory)), currency)
    if used is None or more is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    value, seq = used[0] + more.up(limit.exp), used[1]
    if more.n == 0 and p.more_qty == 0:
        return free(limit, check, value=value, bound=limit.hard, exp=limit.exp)
    return against(limit, check, Reason.CREDIT_LIMIT, value=value, bound=limit.hard, warn=limit.warn, seq=seq, exp=limit.exp)


def in_use(view: View, limit: Limit, currency: int) -> tuple[int, int] | None:
    """(capital in use of what a limit covers, newest input); None where something cannot be valued."""
    used, seq = 0, 0
    for number, sums in view.area(limit.scope).by_instrument.items():
        of = view.memory.instruments.get(number)
        if of is None:
            continue
        orders = of_orders(of, sums.buying + sums.selling, sums.buying_value + sums.selling_value)
        for worth in (notional(view.memory, of, abs(sums.position)), orders):
            found = convert(view.memory, worth, currency) if worth is not None else None
            if found is None:
                return None
            used, seq = used + found.up(limit.exp), max(seq, found.seq)
    return used, seq


def leverage(view: View, p: Proposal, limit: Limit) -> Verdict:
    """The account's gross exposure for each unit of its equity as the venue says it (MarginConfirmed)."""
    return _by_equity(view, p, limit, RiskCheck.LEVERAGE, Reason.LEVERAGE_LIMIT, one=False)


def concentration(view: View, p: Proposal, limit: Limit) -> Verdict:
    """The account's largest possible position in the order's instrument, as a share of its equity."""
    return _by_equity(view, p, limit, RiskCheck.CONCENTRATION, Reason.CONCENTRATION_LIMIT, one=True)


def _exposure(view: View, p: Proposal, limit: Limit, check: int, reason: int, worth: Worth) -> Verdict:
    i = p.instrument
    if i is None or p.order_qty <= 0:
        return not_applicable(check)
    found = _total(view, p, view.area(limit.scope).by_instrument, limit.currency or i.quote_currency, limit.exp, worth)
    if found is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    before, after, seq = found
    if after <= before:
        return free(limit, check, value=after, bound=limit.hard, seq=seq, exp=limit.exp)
    return against(limit, check, reason, value=after, bound=limit.hard, warn=limit.warn, seq=seq, exp=limit.exp)


def _by_equity(view: View, p: Proposal, limit: Limit, check: int, reason: int, *, one: bool) -> Verdict:
    i = p.instrument
    if i is None or p.order_qty <= 0:
        return not_applicable(check)
    equity = view.memory.equities.get(p.subject.account)
    if equity is None or equity.equity <= 0:
        return refused(limit, check, Reason.MARGIN_CALCULATION_FAILED, seq=equity.seq if equity is not None else 0)
    held = view.account(p.subject.account)
    found = _total(
        view, p, {i.instrument: held.of(i.instrument)} if one else held.by_instrument, equity.currency, equity.exp, largest
    )
    if found is None:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    before, after, _ = found
    value = -(-after * 10**-RATE_EXP // equity.equity)
    bound = rescale_down(limit.hard, limit.exp, RATE_EXP)
    if after <= before:
        return free(limit, check, value=value, bound=bound, seq=equity.seq, exp=RATE_EXP)
    return against(
        limit, check, reason, value=value, bound=bound, warn=rescale_up(limit.warn, limit.exp, RATE_EXP), seq=equity.seq,
        exp=RATE_EXP,
    )  # fmt: skip


def _total(
    view: View, p: Proposal, held: dict[int, Sums], currency: int, exp: int, worth: Worth
) -> tuple[int, int, int] | None:  # fmt: skip
    """(without the order, with it, newest input) over instruments; None where one cannot be valued."""
    before = after = seq = 0
    own = p.subject.instrument
    bought, sold = (p.more_qty, 0) if p.sign > 0 else (0, p.more_qty)
    for number in held if own in held else (*held, own):
        i = view.memory.instruments.get(number)
        if i is None:
            continue
        sums = held.get(number) or Sums()
        found = _valued(view, worth(view, i, sums, 0, 0), currency)
        more = found if number != own else _valued(view, worth(view, i, sums, bought, sold), currency)
        if found is None or more is None:
            return None
        before, after, seq = before + found.up(exp), after + more.up(exp), max(seq, more.seq)
    return before, after, seq


def _valued(view: View, amount: Amount | None, currency: int) -> Amount | None:
    return convert(view.memory, amount, currency) if amount is not None else None


def largest(view: View, i: Instrument, sums: Sums, bought: int, sold: int) -> Amount | None:
    """The largest position, on either side."""
    return notional(view.memory, i, sums.worst(bought, sold))


def long(view: View, i: Instrument, sums: Sums, bought: int, _: int) -> Amount | None:
    """As long as it could get."""
    return notional(view.memory, i, sums.position + sums.buying + bought)


def short(view: View, i: Instrument, sums: Sums, _: int, sold: int) -> Amount | None:
    """As short as it could get."""
    return notional(view.memory, i, -sums.position + sums.selling + sold)
