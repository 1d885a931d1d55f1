"""How an order fits with the others: how fast they come, whether it was sent before, whom it would trade with, and whether it
reduces what it says it reduces."""

from __future__ import annotations

from bisect import bisect_right

from journal.messages import NULL
from journal.messages.scopes import covers
from riskengine.codes import LimitAction, Reason, RiskCheck, ScopeType
from riskengine.conduct import fingerprint, standing, within
from riskengine.exposure import REDUCING
from riskengine.limits import Limit
from riskengine.proposal import Proposal, Verdict, against, failed, free, missing, not_applicable, passed, refused
from riskengine.view import View


def order_rate(view: View, p: Proposal, limit: Limit | None) -> Verdict:
    """The messages that went out in the last `period_ns`, this one included. A refused one does not go out and does not
    count; a cancel counts and is never refused. With the action BAN, who goes over it is banned for `ban_ms`."""
    check = RiskCheck.ORDER_RATE
    if limit is None:
        return missing(view.require_limits, check)
    times = view.memory.sent.get(limit.limit, [])
    count = 1 + len(times) - bisect_right(times, p.now - limit.period_ns)
    return against(limit, check, Reason.ORDER_RATE, value=count, bound=limit.hard, warn=limit.warn)


def reconnect_rate(view: View, p: Proposal, limit: Limit) -> Verdict:
    """How often the connection of the order's venue and account was lost in the last `period_ns`: not more than `hard`."""
    check = RiskCheck.RECONNECT_RATE
    key = f"{limit.limit}/{p.subject.venue}/{p.subject.account}"
    count = standing(view.memory.counts.get(key), p.now, limit.period_ns)
    return against(limit, check, Reason.RATE_BAN, value=count, bound=limit.hard, warn=limit.warn)


def duplicate(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Orders with the same account, instrument, side, type, prices and quantity in the last `period_ns`, before this one: not
    more than `hard` (I-41)."""
    check = RiskCheck.DUPLICATE
    if p.replace:
        return not_applicable(check)
    times = view.memory.fingerprints.get(limit.limit, {}).get(fingerprint(p), [])
    count = len(within(times, p.now, limit.period_ns))
    return against(limit, check, Reason.DUPLICATE_ORDER_TERMS, value=count, bound=limit.hard, warn=limit.warn)


def self_trade(view: View, p: Proposal, limit: Limit) -> Verdict:
    """Own open orders of what the limit covers, on the other side, at prices this one would trade at: none. Held triggers are
    in no book. `value`: how many; `input_seq`: the first one's order id is in no frame of its own, so the limit's."""
    check = RiskCheck.SELF_TRADE
    found = [
        held for held in view.crossing(p.subject.instrument, p.side, p.price_px) if covers(limit.scope, view.subject_of(held))
    ]
    if not found:
        return free(limit, check)
    return refused(limit, check, Reason.SELF_TRADE, value=len(found))


def reduce_only(view: View, p: Proposal, limit: Limit | None) -> Verdict | None:
    """An order that may only reduce (DO_NOT_INCREASE, CLOSE_POSITION), together with all others open that may only reduce, is
    not larger than the position against it: of its account, and of its strategy."""
    check = RiskCheck.REDUCE_ONLY
    if not p.exec_inst & REDUCING:
        return None
    i = p.instrument
    if i is None or p.order_qty <= 0:
        return not_applicable(check)
    position, working = reducible(view, p, all_orders=False)
    value = working + p.more_qty
    if value > position and not (limit is not None and limit.action == LimitAction.WARN):
        return failed(
            check, Reason.REDUCE_ONLY_WOULD_INCREASE, value=value, bound=position, exp=i.qty_exp,
            input_seq=limit.seq if limit is not None else 0,
        )  # fmt: skip
    return passed(check, value=value, bound=position, exp=i.qty_exp)


def reducible(view: View, p: Proposal, *, all_orders: bool) -> tuple[int, int]:
    """(position that an order of this side would reduce, what open orders of this side may take of it already), of the account
    or of the strategy, whichever leaves less. `all_orders`: any order may take of it, not only those that must reduce."""
    instrument, least = p.subject.instrument, None
    for kind, owner in ((ScopeType.ACCOUNT_INSTRUMENT, p.subject.account), (ScopeType.STRATEGY_INSTRUMENT, p.subject.strategy)):
        sums = view.area_of(kind, (owner, instrument)).of(instrument)
        if p.sign > 0:
            working = sums.buying if all_orders else sums.buying_to_reduce
        else:
            working = sums.selling if all_orders else sums.selling_to_reduce
        found = (max(-p.sign * sums.position, 0), working)
        if least is None or found[0] - found[1] < least[0] - least[1]:
            least = found
    assert least is not None
    return least


def reduces(view: View, p: Proposal) -> bool:
    """Whatever else fills first, it makes a position smaller."""
    position, working = reducible(view, p, all_orders=True)
    return p.order_qty > 0 and working + p.more_qty <= position


__all__ = [
    "NULL", "duplicate", "order_rate", "reconnect_rate", "reduce_only", "reduces", "reducible", "self_trade",
]  # fmt: skip
